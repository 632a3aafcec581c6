// Package pipeline is what an item is, how it moves, and what may stop it. It knows no HTTP, no YAML, no cloud and
// no terminal: those are adapters behind the interfaces in ports.go.
//
// Read walk.go first: it is the way of one item, top to bottom. run.go holds the walks together.
package pipeline

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"dailies/internal/retry"
)

// Config is what a run works with.
type Config struct {
	API       API
	Fetcher   Fetcher
	Inspector Inspector
	Store     Store
	Ledger    Ledger
	Observe   Observer // nil: nobody watches

	Batch string
	RunID string
	Realm Realm

	Concurrency int         // jobs in flight at most; 0 lets the API teach it
	Budget      CU          // for the items as they are, earlier runs counted; Unlimited for none
	Allowance   *CU         // for this run alone; nil for none
	Deadline    time.Time   // zero for none
	MaxFailures MaxFailures // zero value: any number
	OnLost      LostPolicy
	Grace       time.Duration    // for the job of a lost answer to show up in the listing; 0 is two minutes
	Retry       []Code           // failures to try again that are not tried again by themselves
	Select      func(*Item) bool // items left out are answered from the ledger; nil selects all
	Elsewhere   func(*Item) bool // items that other runs make meanwhile: left out, and not of this budget; nil is none
	// Redo makes items anew although they are delivered or have failed for good: by item, the job whose result is not
	// wanted. The objects of that job become history when those of the new one are there; every other item is left
	// out. A job that has been replaced already is not replaced again. nil redoes nothing.
	Redo map[string]string

	// MayBuy is asked right before every purchase whether this run still holds the batch. nil always may.
	MayBuy func(context.Context) error
}

// MaxFailures stops buying once more items have failed than it allows.
type MaxFailures struct {
	Count   int // more than this many; 0 is no limit, unless Percent is set
	Percent int // of the selected items
}

func (m MaxFailures) exceeded(failed, items int) bool {
	switch {
	case m.Percent > 0:
		return failed*100 > m.Percent*items
	case m.Count > 0:
		return failed > m.Count
	}
	return false
}

// LostPolicy says what to do when the answer to a submit was lost and no job is found for it.
type LostPolicy string

const (
	AdoptOrResubmit LostPolicy = "adopt-or-resubmit" // after the grace period, submit once more
	Hold            LostPolicy = "hold"              // never: leave it unknown for a person
)

const (
	walkersMost  = 512             // items under way at once, with a slot or waiting for one
	walkersExtra = 16              // beyond the user's cap, where that is higher: those that are fetching need no slot
	downloads    = 16              // assets flowing at once
	linger       = 3 * time.Second // what downloads get to finish in, once the run is told to stop
)

// run is one invocation. It has three contexts, each ending sooner than the one before: working ends when
// everything must be dropped, following when the run is told to stop, buying also when something has gone wrong
// that makes spending more senseless. What must be written down is written under none of them.
type run struct {
	Config
	working, following, buying context.Context

	tasks    []*task
	outcomes []Outcome // of the tasks, in their order
	byID     map[string]*task
	slots    *slots
	budget   *budget
	quotes   *quotes
	inputs   *inputs
	lost     *lost
	flow     chan struct{} // a token for each asset flowing
	unpack   sync.Mutex    // one file is unpacked at a time: a picture takes the memory of all its pixels

	mu       sync.Mutex
	ready    chan *task
	answered int
	failed   int
	selected int
	short    *Error // the first purchase that did not fit the budget or the time box

	observing sync.Mutex
}

// A task is an item with what is known of it.
type task struct {
	it      *Item
	rec     Record
	version string // of rec in the ledger

	problem error  // found before its walk began
	left    bool   // not selected
	redo    bool   // to be made anew, whatever the ledger has of it
	reused  bool   // delivered by an earlier run, and still there
	drift   string // what somebody did to its delivered objects
	closer  bool   // its checks ask what only a closer look at its files tells
	waits   int    // sources not delivered yet
	takers  []*task
	place   int // in the manifest
	behind  int // items in the longest chain of takers

	slot bool // it holds one
	// resubmitted: no job showed up for a submit whose answer was lost, so this run submits it again.
	resubmitted bool
	reserved    CU       // set aside for a purchase that is not settled
	inherited   CU       // what earlier runs paid, or may have paid, for the purchase the record is about
	quoted      CU       // of the submits this run made
	spent       CU       // by this run
	outcome     *Outcome // in the summary
}

// Run makes items, and answers for every one of them. It stops buying and following when following ends, and drops
// everything when ctx does. The error is for what kept the run from starting; after that, whatever happens is in
// the summary.
func Run(ctx, following context.Context, c Config, items []*Item) (*Summary, error) {
	if c.Observe == nil {
		c.Observe = func(Event) {}
	}
	working, drop := context.WithCancelCause(ctx)
	defer drop(nil)
	if !c.Deadline.IsZero() {
		var cancel context.CancelFunc
		following, cancel = context.WithDeadlineCause(following, c.Deadline, Errorf(CodeDeadline, "the time box has ended"))
		defer cancel()
	}
	defer context.AfterFunc(following, func() {
		if retry.Sleep(working, linger) {
			drop(context.Cause(following))
		}
	})()

	r := newRun(working, following, c, len(items))
	s := &Summary{StartedAt: time.Now().UTC()}
	if _, err := r.recall(items); err != nil {
		return nil, err
	}
	r.emit(Event{Kind: EventPlanned, Items: items})
	r.money()

	buying, halt := context.WithCancelCause(following)
	defer halt(nil)
	r.buying = buying
	// A function given to the group returns an error only when nothing more must be bought. That ends buying and
	// nothing else: what is paid for is collected.
	var g errgroup.Group
	g.SetLimit(max(walkersMost, c.Concurrency+walkersExtra))
	r.begin()
	for t := range r.ready {
		g.Go(func() error {
			defer r.freeSlot(t)
			err := r.walk(t)
			r.answer(t, err)
			if err = r.stopping(err); err != nil {
				halt(err)
			}
			return err
		})
	}
	g.Wait() // its first error is the cause buying ended with, unless a signal came sooner

	s.FinishedAt = time.Now().UTC()
	s.Outcomes = r.outcomes
	for _, t := range r.tasks {
		s.Totals.add(t)
	}
	if s.Totals.Delivered+s.Totals.Reused < s.Totals.Items {
		if s.Stop = r.stopped(); s.Stop == nil {
			s.Stop = r.short
		}
	}
	return s, nil
}

func newRun(working, following context.Context, c Config, items int) *run {
	r := &run{
		Config: c, working: working, following: following,
		byID:   make(map[string]*task, items),
		slots:  newSlots(c.Concurrency, c.API.Expected),
		budget: &budget{limit: c.Budget, allowance: c.Allowance},
		flow:   make(chan struct{}, downloads),
		ready:  make(chan *task, items),
	}
	r.quotes = newQuotes(r.askPrice)
	r.inputs = newInputs(r.upload)
	r.lost = newLost(r)
	return r
}

// add counts one task.
func (t *Totals) add(k *task) {
	t.Items++
	*t.of(k.outcome.Status)++
	t.Quoted += k.quoted
	t.Spent += k.spent
}

func (t *Totals) of(s Status) *int {
	switch s {
	case Delivered:
		return &t.Delivered
	case Reused:
		return &t.Reused
	case Running:
		return &t.Running
	case Unknown:
		return &t.Unknown
	case Rejected:
		return &t.Rejected
	case Blocked:
		return &t.Blocked
	case Skipped:
		return &t.Skipped
	}
	return &t.Failed
}

// Count is how many items have a status.
func (t Totals) Count(s Status) int { return *t.of(s) }

// ExitCode is what the process says of the run; the signal's own number is the caller's to put in for
// [ExitInterrupted].
func (s *Summary) ExitCode() int {
	unfinished := s.Totals.Running+s.Totals.Unknown > 0
	switch {
	case s.Stop != nil && s.Stop.Code == CodeInterrupted && unfinished:
		return ExitUnfinished
	case s.Stop != nil:
		return s.Stop.Code.Traits().Exit
	case unfinished:
		return ExitUnfinished
	case s.Totals.Failed+s.Totals.Rejected+s.Totals.Blocked > 0:
		return ExitFailed
	}
	return ExitDone
}

// errLeftOut ends the walk of an item that was not selected.
var errLeftOut = errors.New("left out of this run")

// asStop makes an Error of whatever ended a context.
func asStop(err error) *Error {
	if _, ok := errors.AsType[*Error](err); !ok && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		return Errorf(CodeInterrupted, "interrupted: %w", err)
	}
	return AsError(err)
}

// recall reads the ledger, looks at what the destination holds, and sets up a task for every item.
func (r *run) recall(items []*Item) (map[string]Entry, error) {
	entries, err := r.Ledger.Load(r.working)
	if err != nil {
		return nil, err
	}
	present, err := r.present(entries)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		r.lost.claim(e.Record.JobID)
		for _, p := range e.Record.History {
			r.lost.claim(p.JobID)
		}
		if !e.Record.SubmittedAt.IsZero() && e.Record.FinishedAt.After(e.Record.SubmittedAt) {
			r.API.Learn(e.Record.Model, e.Record.FinishedAt.Sub(e.Record.SubmittedAt))
		}
	}
	r.outcomes = make([]Outcome, len(items))
	for i, it := range items {
		e := entries[it.ID]
		elsewhere := r.Elsewhere != nil && r.Elsewhere(it)
		t := &task{it: it, place: len(r.tasks), rec: e.Record, version: e.Version, left: elsewhere || r.Select != nil && !r.Select(it)}
		if e.Damaged != nil {
			t.problem = e.Damaged
		}
		if t.in(Stored) {
			if t.drift = r.driftOf(t, present); t.drift != "" {
				t.rec.State = Succeeded // the asset itself was paid for, and is asked for again
			}
		}
		r.chooseRedo(t)
		r.judgeAgain(t)
		if !elsewhere {
			t.inherited = t.mayHaveCost()
			r.budget.inherit(t.inherited + t.paidInVain())
		}
		if !t.left {
			r.selected++
		}
		t.outcome = &r.outcomes[i]
		r.tasks = append(r.tasks, t)
		r.byID[it.ID] = t
	}
	for _, t := range r.tasks {
		if t.left || !t.buys(r.Retry) {
			continue
		}
		for _, id := range t.it.Sources {
			t.waits++
			r.byID[id].takers = append(r.byID[id].takers, t)
		}
	}
	for _, t := range r.tasks {
		t.measure()
	}
	return entries, nil
}

// measure finds the longest chain of items that waits for this one.
func (t *task) measure() int {
	if t.behind == 0 {
		for _, d := range t.takers {
			t.behind = max(t.behind, 1+d.measure())
		}
	}
	return t.behind
}

// present lists what the destination holds, if anything was ever delivered there.
func (r *run) present(entries map[string]Entry) (map[string]Object, error) {
	present := map[string]Object{}
	for _, e := range entries {
		if e.Record.State != Stored {
			continue
		}
		for o, err := range r.Store.List(r.working, "") {
			if err != nil {
				return nil, err
			}
			present[o.Key] = o
		}
		break
	}
	return present, nil
}

// driftOf says in what the destination differs from what was delivered there; empty when in nothing.
func (r *run) driftOf(t *task, present map[string]Object) string {
	for _, o := range t.rec.Outputs {
		p, ok := present[o.Key]
		switch key := r.keyOf(t.it, o.N, len(t.rec.Outputs), path.Ext(o.Key)); {
		case o.Key != key:
			return fmt.Sprintf("%s is now to be named %s", o.Key, key)
		case !ok:
			return o.Key + " was removed"
		case p.Bytes != o.Bytes, o.Version != "" && p.Version != o.Version:
			return o.Key + " was altered"
		}
	}
	if len(t.rec.Outputs) == 0 {
		return "no object is recorded"
	}
	return ""
}

// begin makes every task ready that waits for nothing: first those already paid for.
func (r *run) begin() {
	if len(r.tasks) == 0 {
		close(r.ready)
	}
	byMoney := slices.Clone(r.tasks)
	slices.SortStableFunc(byMoney, func(a, b *task) int { return a.rank(r.Retry) - b.rank(r.Retry) })
	for _, t := range byMoney {
		if t.waits == 0 {
			r.ready <- t
		}
	}
}

// answer settles what became of an item, tells those who wait for it, and those who watch.
func (r *run) answer(t *task, err error) {
	*t.outcome = r.outcomeOf(t, err)
	r.emit(Event{Kind: EventDone, Item: t.it, Stage: StageDone, Outcome: t.outcome})
	r.money()

	r.mu.Lock()
	var freed, blocked []*task
	for _, d := range t.takers {
		switch t.outcome.Status {
		case Delivered, Reused:
			if d.waits--; d.waits == 0 {
				freed = append(freed, d)
			}
		default:
			if d.waits > 0 {
				d.waits = -1 // answered for: no other source may free it
				blocked = append(blocked, d)
			}
		}
	}
	if t.outcome.Status == Failed || t.outcome.Status == Rejected {
		r.failed++
	}
	r.answered++
	last := r.answered == len(r.tasks)
	r.mu.Unlock()

	for _, d := range freed {
		r.ready <- d
	}
	for _, d := range blocked {
		r.answer(d, r.blockedBy(t))
	}
	if last {
		close(r.ready)
	}
}

// blockedBy is why an item cannot be made when one it takes from was not delivered.
func (r *run) blockedBy(source *task) error {
	switch source.outcome.Status {
	case Failed, Blocked:
		return Errorf(CodeSource, "it takes the asset of %q, which has not been delivered", source.it.ID)
	case Rejected:
		return Errorf(CodeSource, "it takes the asset of %q, which was rejected", source.it.ID)
	}
	if source.left {
		return &Error{Code: CodeSource, Message: "it takes the asset of \"" + source.it.ID + "\", which was left out of this run", Hint: "select that item too"}
	}
	if stop := r.stopped(); stop != nil {
		return stop
	}
	return Errorf(CodeSource, "it takes the asset of %q, which is not there yet", source.it.ID)
}

// stopping returns err if nothing more must be bought because of it.
func (r *run) stopping(err error) error {
	if err == nil || errors.Is(err, errLeftOut) || errors.Is(err, errNoTime) {
		return nil
	}
	if e := AsError(err); e.Code.Traits().StopsRun {
		return e
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.MaxFailures.exceeded(r.failed, r.selected) {
		return Errorf(CodeTooManyFailures, "%d items have failed", r.failed)
	}
	return nil
}

// stopped is why nothing more is bought, nil while buying goes on.
func (r *run) stopped() *Error {
	if r.buying.Err() == nil {
		return nil
	}
	return asStop(context.Cause(r.buying))
}

// outcomeOf says what became of an item, from its record and the error its walk ended with.
func (r *run) outcomeOf(t *task, err error) Outcome {
	o := Outcome{
		Item: t.it, Attempts: t.rec.Attempts, JobID: t.rec.JobID, Payload: t.rec.Payload, Seed: seedOf(t.rec.Payload),
		Quoted: t.rec.Quoted, Cost: t.rec.Cost, SubmittedAt: t.rec.SubmittedAt, FinishedAt: t.rec.FinishedAt,
		DeliveredAt: t.rec.DeliveredAt, Outputs: t.rec.Outputs,
	}
	if !t.current() { // what the record says is about what the item was
		o = Outcome{Item: t.it}
	}
	if refusal := t.refusal(); refusal != nil { // also when it was to be made anew, and was not bought
		o.Status, o.Err = Rejected, refusal.at(t.it.At)
		if t.withoutInput() {
			o.Status = Failed
		}
		return o
	}
	switch {
	case err == nil && t.reused:
		o.Status = Reused
		return o
	case err == nil:
		o.Status = Delivered
		return o
	case errors.Is(err, errLeftOut):
		o.Status = Skipped
		return o
	}
	o.Err = AsError(err).at(t.it.At)
	stops := o.Err.Code.Traits().StopsRun
	switch {
	case o.Err.Code == CodeSource:
		o.Status = Blocked
	case o.Err.Code == CodeSubmitLost, stops && t.in(Intended):
		o.Status = Unknown
	case stops && t.in(Submitted, Succeeded):
		o.Status = Running
	case stops, o.Err.Code == CodeBudget:
		o.Status = Skipped
	default:
		o.Status = Failed
	}
	return o
}

func (r *run) emit(e Event) {
	r.observing.Lock()
	defer r.observing.Unlock()
	e.At = time.Now()
	r.Observe(e)
}

func (r *run) stage(t *task, s Stage) {
	e := Event{Kind: EventStage, Item: t.it, Stage: s}
	if t.in(Submitted, Succeeded) {
		e.JobID, e.Cost = t.rec.JobID, t.rec.Cost
	}
	r.emit(e)
}

func (r *run) notice(t *task, format string, args ...any) {
	r.emit(Event{Kind: EventNotice, Item: t.it, Message: Errorf(CodeInternal, format, args...).Message})
}

func (r *run) money() {
	spent, reserved, limit := r.budget.state()
	r.emit(Event{Kind: EventMoney, Spent: spent, Reserved: reserved, Budget: limit})
}
