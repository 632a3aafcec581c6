package pipeline

import (
	"cmp"
	"context"
	"encoding/json"
	"sync"
	"sync/atomic"
)

// quotes asks for each distinct price once: items of one price shape cost the same.
type quotes struct {
	ask   func(ctx context.Context, model string, payload json.RawMessage) (CU, error)
	free  atomic.Bool // an answer has shown that asking costs nothing
	first turn        // taken to ask, until then

	mu      sync.Mutex
	shapes  map[string]*quote
	refused map[string]error // by model: the plan does not include it, whatever the payload
	alarm   error            // what an answer said that ends all asking: a quote that bought, a key refused
}

type quote struct {
	turn  turn // taken while the price is being asked
	known bool
	price CU
}

func newQuotes(ask func(context.Context, string, json.RawMessage) (CU, error)) *quotes {
	return &quotes{ask: ask, first: newTurn(), shapes: map[string]*quote{}, refused: map[string]error{}}
}

// of returns the price of a submit. An error is the item's own: the next item of the shape asks again, because a
// price question is also the API's check of that one payload. Only a plan that lacks the model is remembered.
func (q *quotes) of(ctx context.Context, it *Item, payload json.RawMessage) (CU, error) {
	shape := shapeOf(it)
	q.mu.Lock()
	s := q.shapes[shape]
	if s == nil {
		s = &quote{turn: newTurn()}
		q.shapes[shape] = s
	}
	q.mu.Unlock()

	if err := s.turn.take(ctx); err != nil {
		return 0, err
	}
	defer s.turn.give()
	if s.known {
		return s.price, nil
	}
	if err := q.settled(it.Model); err != nil {
		return 0, err
	}
	price, err := q.carefully(ctx, it.Model, payload)
	if err != nil {
		return 0, err
	}
	s.known, s.price = true, price
	return price, nil
}

// carefully asks; until one answer has shown that asking is free, one question is in the air at a time.
func (q *quotes) carefully(ctx context.Context, model string, payload json.RawMessage) (CU, error) {
	if !q.free.Load() {
		if err := q.first.take(ctx); err != nil {
			return 0, err
		}
		defer q.first.give()
		if err := q.settled(model); err != nil {
			return 0, err
		}
	}
	price, err := q.ask(ctx, model, payload)
	if err != nil {
		q.remember(model, err) // before the next one's turn
		return 0, err
	}
	q.free.Store(true)
	return price, nil
}

// settled is an error that asking again would only repeat, or make worse.
func (q *quotes) settled(model string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return cmp.Or(q.alarm, q.refused[model])
}

func (q *quotes) remember(model string, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch code := CodeOf(err); {
	case code == CodePlan:
		q.refused[model] = err
	case code.Traits().StopsRun && code != CodeInterrupted && code != CodeDeadline:
		q.alarm = cmp.Or(q.alarm, err)
	}
}

// known returns the price of an item if one of its shape has been asked for.
func (q *quotes) known(it *Item) (CU, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if s := q.shapes[shapeOf(it)]; s != nil && s.known {
		return s.price, true
	}
	return 0, false
}

// shapeOf is what the item's price depends on; without a contract that tells, it is a shape of its own.
func shapeOf(it *Item) string {
	if it.PriceShape != "" {
		return it.PriceShape
	}
	return it.Fingerprint
}
