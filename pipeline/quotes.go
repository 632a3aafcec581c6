package pipeline

import (
	"context"
	"encoding/json"
	"sync"
)

// quotes asks for each distinct price once: items of one price shape cost the same.
type quotes struct {
	ask func(ctx context.Context, model string, payload json.RawMessage) (CU, error)

	mu      sync.Mutex
	shapes  map[string]*quote
	refused map[string]error // by model: the plan does not include it, whatever the payload
}

type quote struct {
	turn  turn // taken while the price is being asked
	known bool
	price CU
}

func newQuotes(ask func(context.Context, string, json.RawMessage) (CU, error)) *quotes {
	return &quotes{ask: ask, shapes: map[string]*quote{}, refused: map[string]error{}}
}

// of returns the price of a submit. An error is the item's own: the next item of the shape asks again, because a
// price question is also the API's check of that one payload. Only a plan that lacks the model is remembered.
func (q *quotes) of(ctx context.Context, it *Item, payload json.RawMessage) (CU, error) {
	shape := shapeOf(it)
	q.mu.Lock()
	refused := q.refused[it.Model]
	s := q.shapes[shape]
	if s == nil {
		s = &quote{turn: newTurn()}
		q.shapes[shape] = s
	}
	q.mu.Unlock()
	if refused != nil {
		return 0, refused
	}

	if err := s.turn.take(ctx); err != nil {
		return 0, err
	}
	defer s.turn.give()
	if s.known {
		return s.price, nil
	}
	price, err := q.ask(ctx, it.Model, payload)
	if err != nil {
		if CodeOf(err) == CodePlan {
			q.mu.Lock()
			q.refused[it.Model] = err
			q.mu.Unlock()
		}
		return 0, err
	}
	s.known, s.price = true, price
	return price, nil
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
