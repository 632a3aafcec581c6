package retry

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

var errPassing = errors.New("passing")

func again(error) Verdict { return Verdict{Again: true} }

func TestDoStopsAtSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var attempts []int
		err := Do(t.Context(), Policy{Attempts: 5, Base: time.Second, Max: time.Minute}, func(n int) error {
			attempts = append(attempts, n)
			if n < 3 {
				return errPassing
			}
			return nil
		}, again)
		if err != nil || len(attempts) != 3 || attempts[2] != 3 {
			t.Errorf("attempts %v, err %v; want three attempts and no error", attempts, err)
		}
	})
}

func TestDoGivesUp(t *testing.T) {
	for name, c := range map[string]struct {
		judge func(error) Verdict
		want  int
	}{
		"attempts used up": {again, 4},
		"no use":           {func(error) Verdict { return Verdict{} }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := 0
				err := Do(t.Context(), Policy{Attempts: 4, Base: time.Second, Max: time.Minute}, func(int) error { n++; return errPassing }, c.judge)
				if !errors.Is(err, errPassing) || n != c.want {
					t.Errorf("%d attempts, err %v; want %d and the last error", n, err, c.want)
				}
			})
		})
	}
}

func TestDoEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		start := time.Now()
		err := Do(ctx, Policy{Attempts: 100, Base: time.Hour, Max: time.Hour}, func(int) error { return errPassing }, again)
		if !errors.Is(err, errPassing) || time.Since(start) != 10*time.Second {
			t.Errorf("after %v: %v; want the operation's own error after 10s", time.Since(start), err)
		}
	})
}

func TestWait(t *testing.T) {
	p := Policy{Base: time.Second, Max: 10 * time.Second}
	for _, c := range []struct {
		attempt       int
		asked, lo, hi time.Duration
	}{
		{1, 0, time.Second / 2, time.Second},
		{3, 0, 2 * time.Second, 4 * time.Second},
		{9, 0, 5 * time.Second, 10 * time.Second},
		{90, 0, 5 * time.Second, 10 * time.Second},
		{1, time.Minute, time.Minute, time.Minute},
	} {
		for range 100 {
			if d := p.Wait(c.attempt, c.asked); d < c.lo || d > c.hi {
				t.Fatalf("Wait(%d, %v) = %v, want %v to %v", c.attempt, c.asked, d, c.lo, c.hi)
			}
		}
	}
}
