package ledger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"dailies/internal/retry"
	"dailies/pipeline"
)

// A Part is the I-th of the N parts a batch is divided into, from 1. The zero value, and the only part of one, are the
// whole of it.
type Part struct {
	I int `json:"i"`
	N int `json:"n"`
}

// of is how many parts the batch is divided into.
func (p Part) of() int { return max(p.N, 1) }

func (p Part) file() string {
	if p.of() == 1 {
		return "lock.json"
	}
	return fmt.Sprintf("lock-%d-of-%d.json", p.I, p.N)
}

// noted is the part as a lock's note names it: not at all when it is the whole.
func (p Part) noted() *Part {
	if p.of() == 1 {
		return nil
	}
	return &p
}

// partOf reads the name of a lock; ok is false for what is none.
func partOf(file string) (p Part, ok bool) {
	if file == p.file() {
		return p, true
	}
	name, _ := strings.CutPrefix(strings.TrimSuffix(file, ".json"), "lock-")
	i, n, _ := strings.Cut(name, "-of-")
	p.I, _ = strconv.Atoi(i)
	p.N, _ = strconv.Atoi(n)
	return p, p.N > 1 && file == p.file()
}

// How long a run of fewer parts waits for one of more to give way. That one has only to look.
const (
	giveWay   = 5 * time.Second
	lookEvery = 250 * time.Millisecond
)

// settle looks, once our note is written, whether a run is at work that ours must not run beside. Of two that began at
// the same time both see each other, and one must go: the one of the finer division goes at once, the other gives it a
// moment to. A run that had settled before ours wrote its note has nothing to look for any more, and stays.
func (k *Lock) settle(ctx context.Context) error {
	for waited := time.Duration(0); ; waited += lookEvery {
		held, finer, err := k.beside(ctx)
		if held == nil || err != nil {
			return err
		}
		if !finer || waited >= giveWay {
			return held
		}
		if !retry.Sleep(ctx, lookEvery) {
			return context.Cause(ctx)
		}
	}
}

// beside finds a living run that ours must not run beside, and whether its division is finer than ours.
func (k *Lock) beside(ctx context.Context) (held *pipeline.Error, finer bool, err error) {
	for o, err := range k.l.blobs.List(ctx, "lock") {
		if err != nil {
			return nil, false, err
		}
		part, ok := partOf(o.Key)
		if !ok || part.of() == k.o.Part.of() {
			continue
		}
		n, _, err := k.l.lockNote(ctx, o.Key)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, false, err
		}
		finer := part.of() > k.o.Part.of()
		switch {
		case n == nil:
		case !k.abandoned(*n):
			return k.l.heldBy(*n, o.Key), finer, nil
		case finer:
			// Nobody can take it up and stay while our note stands.
			if err := k.l.blobs.Remove(ctx, o.Key); err != nil {
				return nil, false, err
			}
			if k.Took == nil {
				k.Took = &n.Holder
			}
		}
	}
	return nil, false, nil
}

// Turn takes a lock of its own for what the runs of several parts must not do at the same time, such as writing the
// report of the whole; it waits until nobody else has it. It must be released.
func (l *Ledger) Turn(ctx context.Context, who Holder) (*Lock, error) {
	for {
		k, err := l.lock(ctx, who, LockOptions{}, "turn.json")
		if pipeline.CodeOf(err) != pipeline.CodeLocked || !retry.Sleep(ctx, lookEvery) || ctx.Err() != nil {
			return k, err
		}
	}
}
