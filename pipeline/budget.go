package pipeline

import "sync"

// budget keeps spending under its limit at every instant: money is reserved before a purchase, so that what is in
// flight always counts, and a reservation ends as spent or as released. The limit holds for the items as they
// stand in the manifest: what earlier runs paid for them counts too, or a night of restarts would have no brake.
type budget struct {
	mu        sync.Mutex
	limit     CU
	allowance *CU // of this run alone; nil for none
	earlier   CU  // by earlier runs, for the items as they are now
	spent     CU  // by this run
	reserved  CU
}

// reserve sets an amount aside, or reports that it does not fit.
func (b *budget) reserve(c CU) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.limit != Unlimited && c > b.limit-b.earlier-b.spent-b.reserved {
		return false
	}
	if b.allowance != nil && c > *b.allowance-b.spent-b.reserved {
		return false
	}
	b.reserved += c
	return true
}

// release gives a reservation back: nothing was bought with it.
func (b *budget) release(c CU) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reserved -= c
}

// settle turns a reservation into what was really charged.
func (b *budget) settle(reserved, charged CU) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reserved -= reserved
	b.spent += charged
}

// refund takes back a charge of this run.
func (b *budget) refund(c CU) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.spent -= c
}

// inherit counts what an earlier run spent or, when it is not known whether it did, may have spent.
func (b *budget) inherit(c CU) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.earlier += c
}

// state is what observers are told.
func (b *budget) state() (spent, reserved, limit CU) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.spent, b.reserved, b.limit
}

// bound is the tighter of the limits, for messages.
func (b *budget) bound() CU {
	if b.allowance != nil {
		return min(b.limit, *b.allowance)
	}
	return b.limit
}
