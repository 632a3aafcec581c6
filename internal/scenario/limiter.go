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
// A twentieth of the requests is kept from submits: if they could take all of them nobody would see the jobs finish
// that they wait for, and nobody fetch what they made.
type limiter struct {
	n, reserve int

	mu    sync.Mutex
	sent  []departure // within the last window, oldest first
	queue [priorities][]*turn
	timer *time.Timer // set while somebody waits
	until time.Time   // nobody goes before
	began time.Time   // when the first request was let go

	strikes int       // refusals for the rate, with few other answers between them
	struck  time.Time // when the last one was taken in
	calm    int       // other answers since
}

// A departure is a request that was let go.
type departure struct {
	at time.Time
	p  priority
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
	} else if i := slices.Index(l.sent, departure{<-t.ready, p}); i >= 0 { // its turn came as it left: give it back
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
		if l.began.IsZero() {
			l.began = now
		}
		l.sent = append(l.sent, departure{now, p})
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
	if p == forSubmit {
		return l.n - l.reserve
	}
	return l.n
}

// earliest is when a request of that kind may be sent if nothing else is. The lock is held.
func (l *limiter) earliest(p priority) time.Time {
	at := l.until
	if over := len(l.sent) - l.room(p); over >= 0 {
		at = later(at, l.sent[over].at.Add(window))
	}
	if len(l.sent) > 0 {
		at = later(at, l.sent[len(l.sent)-1].at.Add(l.spacing()))
	}
	return at
}

// forget drops what is older than the window.
func (l *limiter) forget(now time.Time) {
	old := 0
	for old < len(l.sent) && now.Sub(l.sent[old].at) >= window {
		old++
	}
	l.sent = l.sent[old:]
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
	longestPause  = 10 * time.Minute // whatever the API asks for
	shortestPause = 2 * time.Second  // when it does not say
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
		l.strikes++
		l.struck = now
	}
	l.calm = 0
	pause := min(asked, longestPause)
	if asked <= 0 {
		if known {
			return 0
		}
		pause = min(shortestPause<<min(l.strikes-1, 5), window)
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

// granted takes in an answer that was no refusal for the rate. A fifth of a minute's worth of them in a row, and the
// refusals before them are forgotten.
func (l *limiter) granted() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.calm++; l.calm >= max(1, l.n/5) && l.strikes > 0 {
		l.strikes = 0
		l.serve()
	}
}

// spacing is the least time between two requests: none normally, an even share of the minute after a refusal, and
// twice that after each further one. The lock is held.
func (l *limiter) spacing() time.Duration {
	if l.strikes == 0 {
		return 0
	}
	return window / time.Duration(l.n) << min(l.strikes-1, 3)
}

// spare is how many requests a minute there are for watching, going by what anything else has needed in the last one,
// or needs at the pace of the first. While submits wait for their turn that is only what they may not take. It is at
// least 1.
func (l *limiter) spare() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.forget(now)
	submits, others := 0, 0
	for _, d := range l.sent {
		switch d.p {
		case forSubmit:
			submits++
		case forAsset:
			others++
		}
	}
	if len(l.queue[forSubmit]) > 0 || now.Before(l.until) {
		return max(1, l.reserve-others)
	}
	needed := submits + others + len(l.queue[forAsset])
	// Before half of it has passed, what was sent is the burst a run begins with, and says nothing of its pace.
	if age := now.Sub(l.began); age > window/2 && age < window {
		needed = int(float64(needed) * window.Seconds() / age.Seconds())
	}
	return max(1, l.n-needed)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
