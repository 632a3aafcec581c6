// Package retry is the program's one retry loop. It decides when to try again, never what is worth trying again:
// the caller says so of each error, and a paid request is never put into it.
package retry

import (
	"context"
	"math/rand/v2"
	"time"
)

// A Policy bounds a loop. The wait before attempt n+1 is drawn evenly from the upper half of Base × 2ⁿ⁻¹, and is
// never above Max, unless the peer itself asked for longer.
type Policy struct {
	Attempts int           // at least 1
	Base     time.Duration // wait after the first failure
	Max      time.Duration // longest wait by our own choice
}

// A Verdict is what the caller says of an error.
type Verdict struct {
	Again bool          // trying again may help
	After time.Duration // the peer's wish; 0 when it had none
}

// Do calls op until it succeeds, judge says that another attempt is of no use, the attempts are used up, or ctx
// ends. It returns op's last error: a context that ends while waiting does not hide what went wrong.
func Do(ctx context.Context, p Policy, op func(attempt int) error, judge func(error) Verdict) error {
	for attempt := 1; ; attempt++ {
		err := op(attempt)
		if err == nil {
			return nil
		}
		v := judge(err)
		if !v.Again || attempt >= p.Attempts || !Sleep(ctx, p.Wait(attempt, v.After)) {
			return err
		}
	}
}

// Wait is the time to let pass after the given failed attempt (from 1); asked is the peer's wish.
func (p Policy) Wait(attempt int, asked time.Duration) time.Duration {
	d := p.Max
	if shift := attempt - 1; shift < 30 && p.Base<<shift < p.Max {
		d = p.Base << shift
	}
	if d > 1 {
		d = d/2 + rand.N(d/2)
	}
	return max(d, asked)
}

// Sleep lets d pass and reports whether it did so before ctx ended.
func Sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
