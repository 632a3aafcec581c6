package cli

import (
	"context"
	"fmt"
	"math/bits"

	"dailies/internal/ledger"
	"dailies/pipeline"
)

// divide takes in --shard: whose the items are, and how much of the budget is ours. Runs of all parts at the same time
// cannot see what the others are about to spend, so each has a share of its own, by the number of its items.
func (s *settings) divide(shard string, items []*pipeline.Item) error {
	if shard == "" {
		return nil
	}
	p := &s.part
	if n, err := fmt.Sscanf(shard, "%d/%d", &p.I, &p.N); err != nil || n != 2 || p.I < 1 || p.I > p.N || fmt.Sprintf("%d/%d", p.I, p.N) != shard {
		return badFlag("shard", shard, "I/N with I from 1 to N, such as 2/5")
	}
	ours := map[string]bool{}
	for i, part := range pipeline.Divide(items, p.N) {
		if part == p.I {
			ours[items[i].ID] = true
		}
	}
	s.elsewhere = func(it *pipeline.Item) bool { return !ours[it.ID] }
	if s.budget != pipeline.Unlimited && len(items) > 0 {
		high, low := bits.Mul64(uint64(s.budget), uint64(len(ours)))
		share, _ := bits.Div64(high, low, uint64(len(items)))
		s.share = fmt.Sprintf("part %s has %d of %s, and %v of the %v CU", shard, len(ours), pipeline.Count(len(items), "item"), pipeline.CU(share), s.budget)
		s.budget = pipeline.CU(share)
	}
	return nil
}

// left reports whether an item is for other runs to make.
func (s *settings) left(it *pipeline.Item) bool {
	return s.selects != nil && !s.selects(it) || s.elsewhere != nil && s.elsewhere(it)
}

// whole adds what other runs have made meanwhile to what this one did, so that whichever ends last reports everything.
// The next must not begin to before this has been written: done says that it is.
func (s *session) whole(ctx context.Context, own *pipeline.Summary) (_ *pipeline.Summary, done func(), err error) {
	if s.selects == nil && s.elsewhere == nil {
		return own, func() {}, nil
	}
	turn, err := s.book.Turn(ctx, ledger.ThisProcess(s.report.ID))
	if err != nil {
		return nil, nil, err
	}
	done = func() { turn.Release(context.WithoutCancel(ctx)) }
	whole, err := s.complete(ctx, own)
	if err != nil {
		done()
	}
	return whole, done, err
}

func (s *session) complete(ctx context.Context, own *pipeline.Summary) (*pipeline.Summary, error) {
	entries, err := s.book.Load(ctx)
	if err != nil {
		return nil, err
	}
	run, before, err := readResults(ctx, s.dest)
	if err != nil || run.Simulated != s.report.Simulated || run.BaseURL != s.report.BaseURL {
		before = &pipeline.Summary{} // none, unreadable, or of another world: the ledger knows what counts
	}
	return own.Complete(s.left, entries, outcomesByID(before)), nil
}

func outcomesByID(s *pipeline.Summary) map[string]pipeline.Outcome {
	known := make(map[string]pipeline.Outcome, len(s.Outcomes))
	for _, o := range s.Outcomes {
		known[o.Item.ID] = o
	}
	return known
}
