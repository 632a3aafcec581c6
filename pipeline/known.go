package pipeline

import (
	"slices"
	"time"
)

// Known is what the ledger alone says of an item: nothing is asked of anybody, and nothing done.
func Known(it *Item, e Entry) Outcome {
	t := &task{it: it, rec: e.Record, left: true}
	var err error = errLeftOut
	status := Status("")
	switch {
	case e.Damaged != nil:
		err = e.Damaged
	case t.in(Stored):
		err, t.reused = nil, true
	case t.in(Submitted, Succeeded):
		status = Running
	case t.in(Intended):
		status = Unknown
	case t.in(Broken):
		err = t.rec.Error.again()
	}
	o := new(run).outcomeOf(t, err)
	if status != "" {
		o.Status = status
	}
	return o
}

// Complete answers for the items that a run was told to leave out: as the ledger stands now, and where that knows
// nothing, as an earlier report said of the same item. So whichever of several runs ends last has the whole.
func (s *Summary) Complete(left func(*Item) bool, entries map[string]Entry, earlier map[string]Outcome) *Summary {
	whole := *s
	whole.Outcomes = slices.Clone(s.Outcomes)
	for i := range whole.Outcomes {
		o := &whole.Outcomes[i]
		if o.Status != Skipped || o.Err != nil || !left(o.Item) {
			continue
		}
		now := Known(o.Item, entries[o.Item.ID])
		before, ok := earlier[o.Item.ID]
		if now.Status == Skipped && ok && before.Item.Fingerprint == o.Item.Fingerprint && (before.Status == Failed || before.Status == Blocked) {
			now = before // refused before there was anything to record
			now.Item = o.Item
		}
		*whole.Totals.of(o.Status)--
		*whole.Totals.of(now.Status)++
		*o = now
	}
	return &whole
}

// Recollect is a summary of nothing but what is known: what a batch has come to and cost, over all its runs.
func Recollect(items []*Item, entries map[string]Entry, earlier map[string]Outcome) *Summary {
	s := &Summary{Outcomes: make([]Outcome, len(items))}
	for i, it := range items {
		s.Outcomes[i] = Outcome{Item: it, Status: Skipped}
	}
	s.Totals.Items, s.Totals.Skipped = len(items), len(items)
	s = s.Complete(func(*Item) bool { return true }, entries, earlier)
	s.Totals.Delivered, s.Totals.Reused = s.Totals.Reused, 0
	for i := range s.Outcomes {
		o := &s.Outcomes[i]
		if o.Status == Reused {
			o.Status = Delivered
		}
		if o.Quoted != nil {
			s.Totals.Quoted += *o.Quoted
		}
		if o.Cost != nil {
			s.Totals.Spent += *o.Cost
		}
		if at := o.SubmittedAt; !at.IsZero() && (s.StartedAt.IsZero() || at.Before(s.StartedAt)) {
			s.StartedAt = at
		}
		for _, at := range []time.Time{o.FinishedAt, o.DeliveredAt} {
			if at.After(s.FinishedAt) {
				s.FinishedAt = at
			}
		}
	}
	return s
}
