package scenario

import (
	"context"
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// send waits for a turn and notes when it came.
type sends struct {
	mu  sync.Mutex
	at  []time.Time
	who []string
}

func (s *sends) note(who string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at, s.who = append(s.at, time.Now()), append(s.who, who)
}

// worst is the largest number of sends within any minute.
func (s *sends) worst() int {
	slices.SortFunc(s.at, time.Time.Compare)
	most := 0
	for i, from := range s.at {
		n := 0
		for n < len(s.at)-i && s.at[i+n].Sub(from) < time.Minute {
			n++
		}
		most = max(most, n)
	}
	return most
}

func TestLimiterHoldsInEveryWindow(t *testing.T) {
	for _, n := range []int{1, 2, 19, 20, 100} {
		synctest.Test(t, func(t *testing.T) {
			l := newLimiter(n)
			rng := rand.New(rand.NewPCG(7, uint64(n)))
			var got sends
			var group sync.WaitGroup
			for range 5 * n {
				pause, p := time.Duration(rng.Int64N(int64(20*time.Minute/time.Duration(n)/5)))/4, priority(rng.IntN(int(priorities)))
				time.Sleep(pause * time.Duration(rng.IntN(2))) // half of them come at once
				group.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
					defer cancel()
					if rng := rand.IntN(5); rng == 0 { // some give up
						ctx, cancel = context.WithTimeout(t.Context(), time.Duration(rand.Int64N(int64(time.Minute))))
						defer cancel()
					}
					if _, err := l.wait(ctx, p); err == nil {
						got.note("")
					}
				})
			}
			group.Wait()
			if worst := got.worst(); worst > n {
				t.Errorf("%d requests within a minute, want at most %d", worst, n)
			}
			if len(got.at) < 4*n*8/10 {
				t.Errorf("only %d of %d were let through", len(got.at), 5*n)
			}
		})
	}
}

func TestLimiterBurstIsFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, start := newLimiter(100), time.Now()
		for range 95 {
			if _, err := l.wait(t.Context(), forSubmit); err != nil {
				t.Fatal(err)
			}
		}
		for range 5 { // the reserve
			if _, err := l.wait(t.Context(), forWatch); err != nil {
				t.Fatal(err)
			}
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("the first hundred took %s", d)
		}
		if n := l.spare(); n != 5 { // of this minute; a burst tells no pace
			t.Errorf("%d to spare", n)
		}
		if _, err := l.wait(t.Context(), forWatch); err != nil || time.Since(start) != window {
			t.Errorf("the next one came after %s, %v", time.Since(start), err)
		}
	})
}

func TestLimiterServesTheUrgentFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(1)
		l.wait(t.Context(), forWatch)
		var got sends
		var group sync.WaitGroup
		for _, q := range []struct {
			who string
			p   priority
		}{{"watch 1", forWatch}, {"asset 1", forAsset}, {"submit 1", forSubmit}, {"watch 2", forWatch}, {"submit 2", forSubmit}, {"asset 2", forAsset}, {"submit 3", forSubmit}} {
			group.Go(func() {
				l.wait(t.Context(), q.p)
				got.note(q.who)
			})
			synctest.Wait() // it stands in the queue before the next one comes
		}
		group.Wait()
		if want := []string{"submit 1", "submit 2", "submit 3", "asset 1", "asset 2", "watch 1", "watch 2"}; !reflect.DeepEqual(got.who, want) {
			t.Errorf("served %v, want %v", got.who, want)
		}
	})
}

func TestLimiterSubmitsCannotStarveWatching(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(100)
		ctx, cancel := context.WithCancel(t.Context())
		var group sync.WaitGroup
		for range 300 { // more than can ever be served
			group.Go(func() {
				for {
					if _, err := l.wait(ctx, forSubmit); err != nil {
						return
					}
				}
			})
		}
		synctest.Wait()
		start := time.Now()
		for range 20 {
			if _, err := l.wait(ctx, forWatch); err != nil {
				t.Fatal(err)
			}
		}
		if d := time.Since(start); d > 5*window {
			t.Errorf("20 looks took %s beside endless submits", d)
		}
		cancel()
		group.Wait()
	})
}

func TestLimiterCancellationGivesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(2)
		l.wait(t.Context(), forSubmit)
		l.wait(t.Context(), forWatch)
		why := errors.New("no longer wanted")
		ctx, cancel := context.WithCancelCause(t.Context())
		var group sync.WaitGroup
		for p := range priorities {
			group.Go(func() {
				if _, err := l.wait(ctx, p); err != why {
					t.Errorf("ended with %v, want %v", err, why)
				}
			})
		}
		synctest.Wait()
		cancel(why)
		group.Wait()
		for p := range priorities {
			if len(l.queue[p]) != 0 {
				t.Errorf("%d still queued", len(l.queue[p]))
			}
		}
		start := time.Now()
		for range 2 {
			l.wait(t.Context(), forWatch)
		}
		if d := time.Since(start); d != window {
			t.Errorf("two more took %s, want %s: the canceled ones must not count", d, window)
		}
		if _, err := l.wait(ctx, forSubmit); err != why {
			t.Errorf("a context that has ended was let through: %v", err)
		}
	})
}

func TestLimiterPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(100)
		sent, _ := l.wait(t.Context(), forSubmit)
		time.Sleep(time.Second)

		// The whole burst is refused; that is one refusal, and one pause.
		if d := l.refused(sent, 7*time.Second); d != 7*time.Second {
			t.Errorf("pauses %s, want what was asked", d)
		}
		if d := l.refused(sent, 0); d != 0 {
			t.Errorf("a second refusal of the same burst pauses %s more", d)
		}
		if n := l.spare(); n != 5 { // the reserve
			t.Errorf("%d to spare in a pause", n)
		}
		start := time.Now()
		l.wait(t.Context(), forWatch)
		if d := time.Since(start); d != 7*time.Second {
			t.Errorf("went on after %s", d)
		}
		// Afterwards requests are spaced evenly, for a while.
		from := time.Now()
		for range 10 {
			l.wait(t.Context(), forSubmit)
		}
		if d, want := time.Since(from), 10*(window/100); d != want {
			t.Errorf("ten requests took %s, want %s", d, want)
		}
		for range 20 {
			l.granted()
		}
		from = time.Now()
		for range 10 {
			l.wait(t.Context(), forSubmit)
		}
		if d := time.Since(from); d != 0 {
			t.Errorf("ten requests took %s after a row of answers", d)
		}
	})
}

func TestLimiterBacksOffWhenNothingWasAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(100)
		var pauses []time.Duration
		for range 5 {
			sent, _ := l.wait(t.Context(), forSubmit)
			time.Sleep(time.Millisecond)
			pauses = append(pauses, l.refused(sent, 0))
		}
		want := []time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 32 * time.Second}
		if !reflect.DeepEqual(pauses, want) {
			t.Errorf("paused %v, want %v", pauses, want)
		}
	})
}
