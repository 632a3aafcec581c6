package scenario

import (
	"context"
	"slices"
	"sync"
	"time"
)

// A priority says who goes first when requests are scarce.
type priority int

const (
	forSubmit priority = iota // a slot stands empty until it has been sent
	forAsset                  // something is finished or about to begin: quotes, assets, uploads, models
	forWatch                  // looking whether something has finished
	priorities
)

// The limit is documented as 100 requests a minute a project [DOC], without saying how the minute is cut. A limit
// that holds for every minute, wherever it begins, keeps to any of them; the margin is for the time requests need
// to arrive.
const window = time.Minute + time.Second

// A limiter lets at most n requests begin in any window, the most urgent first and each kind in order. Bursts are
// free: a request waits only when n others were sent within the last minute. (A token bucket of n would let nearly
// 2n begin in the minute after a rest.)
//
// A twentieth of the requests is kept for watching: if submits could take all of them nobody would see the jobs
// finish that they wait for.
type limiter struct {
	n, reserve int

	mu    sync.Mutex
	sent  []time.Time // within the last window, oldest first
	queue [priorities][]*turn
	timer *time.Timer // set while somebody waits
	until time.Time   // nobody goes before

	strikes int       // refusals for the rate, in a row
	struck  time.Time // when the last one was taken in
}

// A turn is somebody's place in the queue.
type turn struct {
	ready chan time.Time // buffered: given the moment the request may be sent
}

func newLimiter(perMinute int) *limiter {
	l := &limiter{n: perMinute}
	if perMinute > 1 {
		l.reserve = max(1, perMinute/20)
	}
	return l
}

// wait returns when a request of that priority may be sent, with the moment it counts from. It fails only with
// the context's cause, and then has used nothing.
func (l *limiter) wait(ctx context.Context, p priority) (time.Time, error) {
	if ctx.Err() != nil {
		return time.Time{}, context.Cause(ctx)
	}
	t := &turn{ready: make(chan time.Time, 1)}
	l.mu.Lock()
	l.queue[p] = append(l.queue[p], t)
	l.serve()
	l.mu.Unlock()
	select {
	case at := <-t.ready:
		return at, nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(l.queue[p], t); i >= 0 {
		l.queue[p] = slices.Delete(l.queue[p], i, i+1)
	} else if i := slices.Index(l.sent, <-t.ready); i >= 0 { // its turn came as it left: give it back
		l.sent = slices.Delete(l.sent, i, i+1)
	}
	l.serve()
	return time.Time{}, context.Cause(ctx)
}

// serve lets everybody go whose turn it is and sets the timer for the next. The lock is held.
func (l *limiter) serve() {
	now := time.Now()
	l.forget(now)
	for {
		p, ok := l.next()
		if !ok {
			l.arm(0)
			return
		}
		if d := l.earliest(p).Sub(now); d > 0 {
			l.arm(d)
			return
		}
		l.sent = append(l.sent, now)
		l.queue[p][0].ready <- now
		l.queue[p] = l.queue[p][1:]
	}
}

// next picks the most urgent kind of request that is not waiting for room only others may use.
func (l *limiter) next() (priority, bool) {
	first, ok := priority(0), false
	for p := range priorities {
		if len(l.queue[p]) == 0 {
			continue
		}
		if len(l.sent) < l.room(p) {
			return p, true
		}
		if !ok || l.earliest(p).Before(l.earliest(first)) {
			first, ok = p, true
		}
	}
	return first, ok
}

func (l *limiter) room(p priority) int {
	if p == forWatch {
		return l.n
	}
	return l.n - l.reserve
}

// earliest is when a request of that kind may be sent if nothing else is. The lock is held.
func (l *limiter) earliest(p priority) time.Time {
	at := l.until
	if over := len(l.sent) - l.room(p); over >= 0 {
		at = later(at, l.sent[over].Add(window))
	}
	if len(l.sent) > 0 {
		at = later(at, l.sent[len(l.sent)-1].Add(l.spacing()))
	}
	return at
}

// forget drops what is older than the window.
func (l *limiter) forget(now time.Time) {
	old := 0
	for old < len(l.sent) && now.Sub(l.sent[old]) >= window {
		old++
	}
	l.sent = l.sent[old:]
}

// price is what a request costs, against one of the documented limit: less where more are allowed, down to a tenth.
func (l *limiter) price() float64 {
	return min(1, max(0.1, float64(defaultRequestsPerMinute)/float64(l.n)))
}

// arm sets the timer; 0 stops it.
func (l *limiter) arm(d time.Duration) {
	switch {
	case d <= 0:
		if l.timer != nil {
			l.timer.Stop()
		}
	case l.timer == nil:
		l.timer = time.AfterFunc(d, l.tick)
	default:
		l.timer.Reset(d)
	}
}

func (l *limiter) tick() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.serve()
}

const (
	longestPause = 10 * time.Minute // whatever the API asks for
	calmAfter    = 3 * time.Minute  // without a refusal for the rate, bursts are allowed again
)

// refused takes in that a request, sent at the given moment, was turned away for the rate. All callers pause: for
// as long as the API asked, else for longer each time; then requests go out evenly spaced for a while. It returns
// the pause it began, 0 when one for the same burst has begun already.
func (l *limiter) refused(sent time.Time, asked time.Duration) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	known := !sent.After(l.struck)
	if !known {
		if now.Sub(l.struck) > calmAfter {
			l.strikes = 0
		}
		l.strikes++
		l.struck = now
	}
	pause := min(asked, longestPause)
	if asked <= 0 {
		if known {
			return 0
		}
		pause = min(5*time.Second<<min(l.strikes-1, 4), window)
	}
	until := now.Add(pause)
	if !until.After(l.until) {
		return 0
	}
	l.until = until
	l.serve()
	if known {
		return 0
	}
	return pause
}

// spacing is the least time between two requests: none normally, an even share of the minute after a refusal, and
// twice that after each further one. The lock is held.
func (l *limiter) spacing() time.Duration {
	if l.strikes == 0 || time.Since(l.struck) > calmAfter {
		return 0
	}
	return window / time.Duration(l.n) << min(l.strikes-1, 3)
}

// load is how much of the minute's requests is spoken for, 0 to 1: sent already, or waited for.
func (l *limiter) load() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget(time.Now())
	if time.Now().Before(l.until) {
		return 1
	}
	used := len(l.sent)
	for p := range forWatch {
		used += len(l.queue[p])
	}
	return min(1, float64(used)/float64(l.n-l.reserve))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
