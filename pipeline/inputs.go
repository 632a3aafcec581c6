package pipeline

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
)

// inputs turns what stands in for asset ids into asset ids.
type inputs struct {
	upload func(ctx context.Context, f File) (string, error)

	mu    sync.Mutex
	files map[string]*upload // by SHA-256: a file is uploaded once, by content
}

type upload struct {
	turn    turn // taken while it is on its way
	assetID string
}

func newInputs(up func(context.Context, File) (string, error)) *inputs {
	return &inputs{upload: up, files: map[string]*upload{}}
}

// asset returns the asset id of a file, uploading it if no run has yet.
func (in *inputs) asset(ctx context.Context, f File) (string, error) {
	in.mu.Lock()
	u := in.files[f.SHA256]
	if u == nil {
		u = &upload{turn: newTurn()}
		in.files[f.SHA256] = u
	}
	in.mu.Unlock()

	if err := u.turn.take(ctx); err != nil {
		return "", err
	}
	defer u.turn.give()
	if u.assetID == "" {
		id, err := in.upload(ctx, f)
		if err != nil {
			return "", err
		}
		u.assetID = id
	}
	return u.assetID, nil
}

// resolve makes the body of a submit: asset ids in every place, and a seed if the item picks one, or is made anew and
// has one.
func (in *inputs) resolve(ctx context.Context, it *Item, anew bool, source func(From) (string, error)) (json.RawMessage, error) {
	var failed error
	body := replaceLeaves(it.Payload, func(leaf any) any {
		if failed != nil {
			return leaf
		}
		var id string
		switch v := leaf.(type) {
		case File:
			id, failed = in.asset(ctx, v)
		case From:
			id, failed = source(v)
		default:
			return leaf
		}
		return id
	}).(map[string]any)
	if failed != nil {
		return nil, failed
	}
	if _, named := body["seed"]; it.PicksSeed || anew && named && it.SeedMax > 0 {
		// A seed of our own makes the result repeatable, and the job recognisable should the answer get lost.
		body["seed"] = json.Number(strconv.FormatInt(1+rand.Int64N(max(it.SeedMax, 1)), 10))
	}
	return Canonical(body), nil
}

// mainOutput is the output another item takes: the first of the kind it asks for, else the first.
func mainOutput(outputs []Output, kind string) (Output, bool) {
	if len(outputs) == 0 {
		return Output{}, false
	}
	i := slices.IndexFunc(outputs, func(o Output) bool { return o.Kind == kind })
	return outputs[max(i, 0)], true
}

// seedOf reads the seed of a body as sent.
func seedOf(payload json.RawMessage) json.Number {
	var body struct{ Seed json.Number }
	if json.Unmarshal(payload, &body) != nil {
		return ""
	}
	return body.Seed
}
