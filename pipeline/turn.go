package pipeline

import "context"

// A turn is a lock that is held while something slow is asked, so that others who need the same answer wait for it;
// unlike a mutex, waiting for it ends with a context.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

func (t turn) take(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return asStop(context.Cause(ctx))
	}
}

func (t turn) give() { <-t }
