package pipeline

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
)

// Action is what a run would do about an item.
type Action string

const (
	ActionNew     Action = "+" // buy it
	ActionChanged Action = "~" // buy it anew: it is not what it was
	ActionKept    Action = "=" // nothing: it is delivered
	ActionRunning Action = ">" // collect it: it is paid for
	ActionGone    Action = "-" // nothing: it is in the ledger and no longer in the manifest
	ActionDrifted Action = "!" // restore it: somebody removed or altered what was delivered
	ActionFailed  Action = "x" // nothing: it failed, and trying again would not help
)

// Actions lists every action, in the order plans count them.
var Actions = []Action{ActionNew, ActionChanged, ActionDrifted, ActionRunning, ActionFailed, ActionKept, ActionGone}

// A Step is one line of a plan.
type Step struct {
	ID          string   `json:"id"`
	Model       string   `json:"model"`
	Action      Action   `json:"action"`
	Fingerprint string   `json:"fingerprint"`
	Why         []string `json:"why,omitempty"` // a reason each
	Price       *CU      `json:"price_cu"`      // of what is to be bought; null when it cannot be known yet
	Error       *Error   `json:"-"`             // why the API would refuse it
	Refused     string   `json:"refused,omitempty"`
}

// Buys reports whether the step costs money.
func (s Step) Buys() bool { return s.Action == ActionNew || s.Action == ActionChanged }

// A Plan is what a run would do, step by step, in manifest order; what is gone comes last.
type Plan struct {
	Steps    []Step `json:"steps"`
	Total    CU     `json:"total_cu"` // of all whose price is known
	Unpriced int    `json:"unpriced"` // purchases whose price is not
	Ledger   string `json:"ledger"`   // digest of the records it was made from
}

// Purchases counts what is to be bought and not already known to be refused.
func (p *Plan) Purchases() (n int) {
	for _, s := range p.Steps {
		if s.Buys() && s.Refused == "" {
			n++
		}
	}
	return n
}

// MakePlan says what [Run] would do with the same configuration. Prices are asked of the API when priced; for that,
// input files are uploaded, which is free and done once. Nothing is bought.
func MakePlan(ctx context.Context, c Config, items []*Item, priced bool) (*Plan, error) {
	if c.Observe == nil {
		c.Observe = func(Event) {}
	}
	r := newRun(ctx, ctx, c, len(items))
	r.buying = ctx
	entries, err := r.recall(items)
	if err != nil {
		return nil, err
	}
	p := &Plan{Steps: make([]Step, len(r.tasks)), Ledger: digestOf(entries)}
	for i, t := range r.tasks {
		p.Steps[i] = r.step(t)
		delete(entries, t.it.ID)
	}
	if priced {
		if err := r.priceAll(p); err != nil {
			return nil, err
		}
	}
	for _, id := range slices.Sorted(maps.Keys(entries)) {
		rec := entries[id].Record
		p.Steps = append(p.Steps, Step{ID: id, Model: rec.Model, Action: ActionGone, Fingerprint: rec.Fingerprint,
			Why: []string{"no longer in the manifest; what it made is left where it is"}})
	}
	return p, nil
}

// digestOf is equal only for equal ledgers.
func digestOf(entries map[string]Entry) string {
	h := sha256.New()
	for _, id := range slices.Sorted(maps.Keys(entries)) {
		fmt.Fprintf(h, "%q %q\n", id, entries[id].Version)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// step says what is to be done about one item, and why.
func (r *run) step(t *task) Step {
	s := Step{ID: t.it.ID, Model: t.it.Model, Fingerprint: t.it.Fingerprint}
	because := func(a Action, format string, args ...any) Step {
		s.Action = a
		if format != "" {
			s.Why = append(s.Why, fmt.Sprintf(format, args...))
		}
		return s
	}
	rec := t.rec
	switch {
	case t.problem != nil:
		return because(ActionFailed, "%s", t.problem)
	case t.left:
		return because(ActionKept, "left out by the selection")
	case rec.ID == "":
		return because(ActionNew, "")
	case !t.current():
		s.Action, s.Why = ActionChanged, r.changes(t)
		return s
	case t.drift != "":
		return because(ActionDrifted, "%s", t.drift)
	case t.redo && t.refusal() != nil:
		return because(ActionNew, "again: %s", t.refusal().Message)
	case t.redo:
		return because(ActionNew, "again: what job %s made is not wanted", rec.JobID)
	case t.refusal() != nil:
		return because(ActionFailed, "%s; --retry %s makes it anew", t.refusal().Message, t.refusal().Code)
	case rec.State == Stored:
		return because(ActionKept, "")
	case rec.State == Submitted:
		return because(ActionRunning, "job %s is generating or has ended", rec.JobID)
	case rec.State == Succeeded:
		return because(ActionRunning, "job %s has succeeded and is to be fetched", rec.JobID)
	case rec.State == Intended:
		return because(ActionRunning, "the answer to its submit was lost; its job is looked for before it is paid for again")
	case rec.State == Broken && rec.Error != nil && t.buys(r.Retry):
		return because(ActionNew, "again: it failed with %s", rec.Error.Code)
	case rec.State == Broken && rec.Error != nil:
		return because(ActionFailed, "it failed with %s; --retry %s tries it again", rec.Error.Code, rec.Error.Code)
	}
	return because(ActionNew, "") // refused before anything was bought
}

// priceAll asks for the price of everything that is to be bought.
func (r *run) priceAll(p *Plan) error {
	var mu sync.Mutex
	var g errgroup.Group
	g.SetLimit(walkersExtra)
	for i, t := range r.tasks {
		if !p.Steps[i].Buys() || t.waits > 0 {
			continue
		}
		g.Go(func() error {
			_, price, err := r.price(t)
			mu.Lock()
			defer mu.Unlock()
			switch e := AsError(err); {
			case e == nil:
				p.Steps[i].Price = &price
			case e.Code.Traits().StopsRun:
				return e
			default:
				p.Steps[i].Error = e.at(t.it.At)
				p.Steps[i].Refused = p.Steps[i].Error.Error()
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i, t := range r.tasks {
		s := &p.Steps[i]
		if !s.Buys() || s.Refused != "" {
			continue
		}
		if price, ok := r.quotes.known(t.it); s.Price == nil && ok {
			s.Price = &price // it waits for another item, and one of its shape has been priced
		}
		if s.Price == nil {
			p.Unpriced++
			continue
		}
		p.Total += *s.Price
	}
	return nil
}

// changes says, field by field, in what an item is not what its record says.
func (r *run) changes(t *task) []string {
	var why []string
	if t.rec.Model != t.it.Model {
		why = append(why, fmt.Sprintf("model: %s → %s", t.rec.Model, t.it.Model))
	}
	was, err := decodeBody(t.rec.Payload)
	if err != nil {
		return append(why, "the payload that was sent is not recorded")
	}
	now := replaceLeaves(t.it.Payload, func(leaf any) any {
		switch v := leaf.(type) {
		case File:
			if id, err := r.Ledger.Input(r.working, v.SHA256); err == nil && id != "" {
				return id
			}
			return "file " + v.Name
		case From:
			if out, ok := mainOutput(r.byID[v.Item].rec.Outputs, v.Kind); ok && r.byID[v.Item].in(Stored, Succeeded) {
				return out.AssetID
			}
			return "the new asset of " + v.Item
		}
		return leaf
	}).(map[string]any)
	if t.it.PicksSeed {
		delete(was, "seed") // it was picked, not written
	}
	for _, key := range slices.Sorted(maps.Keys(merged(was, now))) {
		a, had := was[key]
		b, has := now[key]
		switch {
		case !had:
			why = append(why, fmt.Sprintf("%s: added, %s", key, brief(b)))
		case !has:
			why = append(why, fmt.Sprintf("%s: removed, was %s", key, brief(a)))
		case !sameValue(b, a):
			why = append(why, fmt.Sprintf("%s: %s → %s", key, brief(a), brief(b)))
		}
	}
	if len(why) == 0 {
		for _, id := range t.it.Sources {
			if src := r.byID[id]; !src.in(Stored) {
				why = append(why, fmt.Sprintf("made from %s, which is to be made anew", id))
			}
		}
	}
	if len(why) == 0 {
		why = append(why, "salt") // all else that a fingerprint covers has been looked at
	}
	return why
}

func merged(a, b map[string]any) map[string]any {
	m := maps.Clone(a)
	maps.Copy(m, b)
	return m
}

// brief is a value in a few words.
func brief(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return "?"
	}
	s := []rune(Plain(string(b)))
	if len(s) > 60 {
		s = append(s[:59], '…')
	}
	return strings.TrimSpace(string(s))
}
