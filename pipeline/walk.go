package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"dailies/internal/retry"
)

// walk takes one item from where the ledger left it to its destination, and again while a check rejects what was made
// and the item says to make it anew. A nil error means delivered and accepted.
func (r *run) walk(t *task) error {
	for {
		if err := r.oneWalk(t); err != nil {
			return err
		}
		if t.reused || !t.rerolls() {
			return t.judged()
		}
		t.redo = true
		r.notice(t, "%s; made anew, %d of %d", t.refusal().Message, t.rec.Rerolls+1, t.it.Expect.Rerolls)
	}
}

// oneWalk is the way to one delivery.
//
// Money is at risk in one place, submit, between the two writes of the ledger that enclose the paid request.
func (r *run) oneWalk(t *task) error {
	switch {
	case t.problem != nil:
		return t.problem
	case t.in(Stored) && !t.redo:
		t.reused = true
		return nil
	case t.left:
		return errLeftOut
	case t.buys(r.Retry):
		if err := r.purchase(t); err != nil {
			return err
		}
	case t.in(Broken):
		return t.rec.Error.again()
	}
	if err := r.await(t); err != nil {
		return err
	}
	return r.deliver(t)
}

// purchase brings an item to the point where its job id is known: it looks for the job if one may have been paid
// for, and submits otherwise.
func (r *run) purchase(t *task) error {
	for {
		if t.in(Intended) {
			if err := r.settle(t); err != nil || t.in(Submitted) {
				return err
			}
		}
		if err := r.submit(t); CodeOf(err) != CodeSubmitLost {
			return err
		}
		r.notice(t, "the answer to a paid request was lost; looking for its job before anything is paid again")
	}
}

// submit buys. However it ends, the ledger says what is known: submitted with the job id, refused when provably
// nothing was bought, or still intended when the answer was lost.
func (r *run) submit(t *task) error {
	payload, price, err := r.price(t)
	if err != nil {
		return err
	}
	if !r.budget.reserve(price) {
		return r.overBudget(price)
	}
	t.reserved = price
	r.money()

	was, intent := t.rec, t.intent(r, payload, price)
	t.inherited = 0 // it stays counted: this is another purchase
	for attempt := 1; ; attempt++ {
		var receipt Receipt
		if receipt, err = r.attempt(t, intent); err == nil {
			return r.bought(t, receipt)
		}
		if CodeOf(err) == CodeSubmitLost {
			return err // it stays intended; its slot and its reservation stay taken
		}
		if !r.again(t, AsError(err), attempt) {
			break
		}
	}
	// Nothing was bought.
	r.freeSlot(t)
	r.budget.release(t.reserved)
	t.reserved = 0
	r.money()
	if t.in(Intended) {
		refused := t.rec
		refused.State = Refused
		refused.Attempts--
		if t.redo {
			refused = was // what it has delivered is still what there is
		}
		if saveErr := r.save(t, refused); saveErr != nil {
			return saveErr
		}
	}
	return err
}

// attempt sends the paid request once, when there is a slot for its job and the intent is durable.
func (r *run) attempt(t *task, intent Record) (Receipt, error) {
	r.stage(t, StageSlot)
	if err := r.slots.acquire(r.buying, claim{t.it.Model, t.behind, t.place}); err != nil {
		return Receipt{}, asStop(err)
	}
	t.slot = true
	receipt, err := r.send(t, intent)
	switch {
	case err == nil:
		r.slots.accepted()
	case CodeOf(err) == CodeConcurrency:
		t.slot = false
		r.slots.refused(AsError(err).Limit)
	default:
		r.slots.unsent()
	}
	return receipt, err
}

func (r *run) send(t *task, intent Record) (Receipt, error) {
	if err := r.inTime(t); err != nil {
		return Receipt{}, err
	}
	intent.IntendedAt = r.API.Clock().UTC()
	if err := r.save(t, intent); err != nil {
		return Receipt{}, err
	}
	r.stage(t, StageSubmit)
	landed := r.lost.inTheAir(t.it.Model, intent.Payload)
	receipt, err := r.API.Submit(r.following, t.it.Model, intent.Payload, r.mayBuy)
	landed(receipt.JobID)
	return receipt, err
}

// bought writes the job id down before anything else happens.
func (r *run) bought(t *task, receipt Receipt) error {
	rec := t.rec
	rec.State, rec.JobID, rec.Cost = Submitted, receipt.JobID, new(receipt.Cost)
	rec.SubmittedAt = receipt.At
	if rec.SubmittedAt.IsZero() {
		rec.SubmittedAt = r.API.Clock().UTC()
	}
	err := r.save(t, rec)
	r.budget.settle(t.reserved, receipt.Cost)
	t.quoted += t.reserved
	t.spent += receipt.Cost
	t.reserved = 0
	r.money()
	if err != nil {
		// The intent is durable and the job exists: the next run finds it.
		e := *AsError(err)
		e.Message = fmt.Sprintf("job %s was bought and could not be written down: %s", receipt.JobID, e.Message)
		return &e
	}
	return nil
}

// again decides whether a refused submit is worth another attempt, and waits for its turn.
func (r *run) again(t *task, e *Error, attempt int) bool {
	if !e.Refused || !e.Code.Traits().Retry {
		return false
	}
	if e.Code != CodeConcurrency { // which is no failure: the slot was not there yet, and the gate decides when to try again
		r.freeSlot(t)
		if attempt >= submitPolicy.Attempts || !retry.Sleep(r.buying, submitPolicy.Wait(attempt, e.RetryAfter)) {
			return false
		}
	}
	r.emit(Event{Kind: EventRetry, Item: t.it, Message: string(e.Code)})
	return true
}

// overBudget refuses one purchase; a cheaper one may still fit.
func (r *run) overBudget(price CU) error {
	err := Errorf(CodeBudget, "%v CU more would go over the budget of %v", price, r.budget.bound())
	r.fallShort(err)
	return err
}

// mayBuy is the last look before money is spent.
func (r *run) mayBuy(ctx context.Context) error {
	if stop := r.stopped(); stop != nil {
		return stop
	}
	if r.MayBuy != nil {
		return r.MayBuy(ctx)
	}
	return nil
}

// errNoTime is the cause of what is not begun any more because the time box would end first. It is the item's own:
// one of a faster model may still be in time.
var errNoTime = errors.New("not in time")

// inTime refuses a purchase that would still be generating when the time box ends, going by how long the model's jobs
// have taken, and a quarter more: typical is not certain. A model nobody has seen is given its chance.
func (r *run) inTime(t *task) error {
	takes, seen := r.API.Expected(t.it.Model)
	if r.Deadline.IsZero() || !seen {
		return nil
	}
	left := time.Until(r.Deadline)
	if takes += takes / 4; takes <= left {
		return nil
	}
	err := Errorf(CodeDeadline, "the time box ends in %s, and jobs of %s take some %s", Span(max(left, 0)), t.it.Model, Span(takes))
	err.Err = errNoTime
	r.fallShort(err)
	return err
}

// fallShort notes the first purchase that had to be left.
func (r *run) fallShort(err *Error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.short == nil {
		r.short = err
	}
}

// await follows the job to its end, and writes down how it ended.
func (r *run) await(t *task) error {
	if !t.in(Submitted) {
		return nil // it ended in an earlier run; what is left is to fetch
	}
	if !t.slot {
		r.slots.occupy()
		t.slot = true
	}
	r.stage(t, StageGenerating)
	job, err := r.API.Await(r.following, JobRef{ID: t.rec.JobID, Model: t.it.Model, SubmittedAt: t.rec.SubmittedAt}, func(p float64) {
		r.emit(Event{Kind: EventProgress, Item: t.it, Progress: p})
	})
	if err != nil {
		if r.following.Err() != nil {
			return asStop(context.Cause(r.following))
		}
		return err
	}
	if job.State == JobSucceeded {
		r.freeSlot(t) // after a failure only once it is counted: it may be one too many
	}
	rec := t.rec
	rec.FinishedAt = job.UpdatedAt
	if job.State == JobSucceeded && len(job.AssetIDs) > 0 {
		rec.State, rec.AssetIDs = Succeeded, job.AssetIDs
		r.API.Learn(t.it.Model, rec.FinishedAt.Sub(rec.SubmittedAt))
		return r.save(t, rec)
	}
	failure := failureOf(job)
	rec.State = Broken
	if !job.NoRefund && !failure.Code.Traits().Charged {
		r.refund(t, &rec)
	}
	rec.Error = failure.Recorded(rec.Cost != nil && *rec.Cost > 0)
	if err := r.save(t, rec); err != nil {
		return err
	}
	return failure
}

// refund takes the price of a failed job off what was spent.
func (r *run) refund(t *task, rec *Record) {
	if rec.Cost == nil {
		return
	}
	if t.inherited > 0 {
		r.budget.inherit(-t.inherited)
		t.inherited = 0
	} else {
		r.budget.refund(*rec.Cost)
		t.spent -= *rec.Cost
	}
	rec.Cost = new(CU(0))
	r.money()
}

// failureOf is the error of a job that ended without assets.
func failureOf(job Job) *Error {
	code, what := CodeGeneration, "the generation failed"
	switch {
	case job.State == JobSucceeded:
		code, what = CodeNoAssets, "the job succeeded without assets"
	case job.State == JobCanceled:
		code, what = CodeCanceled, "the job was canceled"
	case job.Moderated:
		code, what = CodeModerated, "the provider refused the content"
	}
	if job.Error != "" {
		what += ": " + job.Error
	}
	return &Error{Code: code, Message: fmt.Sprintf("%s (job %s)", what, job.ID), Hint: job.Hint}
}

// again is a recorded failure, met by a run that must not repeat it.
func (e *RecordedError) again() *Error {
	if e == nil {
		return Errorf(CodeLedger, "the record says failed and not why")
	}
	return &Error{Code: e.Code, Message: e.Message, Hint: e.Hint}
}

// price makes the body of the submit and asks what it would cost.
func (r *run) price(t *task) (json.RawMessage, CU, error) {
	if stop := r.stopped(); stop != nil {
		return nil, 0, stop
	}
	r.stage(t, StageInputs)
	payload, err := r.inputs.resolve(r.working, t.it, t.anew(), r.assetOf)
	if err != nil {
		return nil, 0, err
	}
	r.stage(t, StageQuote)
	price, err := r.quotes.of(r.following, t.it, payload)
	return payload, price, err
}

// assetOf is the asset another item delivered.
func (r *run) assetOf(f From) (string, error) {
	out, ok := mainOutput(r.byID[f.Item].rec.Outputs, f.Kind)
	if !ok {
		return "", Errorf(CodeSource, "%q has delivered no asset to take", f.Item)
	}
	return out.AssetID, nil
}

// askPrice and upload are the free calls, tried until they succeed or cannot.
func (r *run) askPrice(ctx context.Context, model string, payload json.RawMessage) (price CU, err error) {
	err = r.persist(ctx, callPolicy, func() error {
		price, err = r.API.Quote(ctx, model, payload)
		return err
	})
	return price, err
}

func (r *run) upload(ctx context.Context, f File) (id string, err error) {
	if id, err = r.Ledger.Input(ctx, f.SHA256); err != nil || id != "" {
		return id, err
	}
	err = r.persist(ctx, callPolicy, func() error {
		id, err = r.API.Upload(ctx, f)
		return err
	})
	if err != nil {
		return "", err
	}
	return id, r.Ledger.SaveInput(context.WithoutCancel(ctx), f, id)
}

// save writes the record down, whatever else is ending, and makes it the task's own.
func (r *run) save(t *task, rec Record) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.working), saveTime)
	defer cancel()
	err := r.persist(ctx, callPolicy, func() error {
		version, err := r.Ledger.Save(ctx, rec, t.version)
		if err == nil {
			t.version = version
		}
		return err
	})
	if errors.Is(err, ErrConflict) {
		return Errorf(CodeLedgerMoved, "another run has written the record of item %q: %w", t.it.ID, err)
	}
	if err == nil {
		t.rec = rec
	}
	return err
}

// persist repeats a call that costs nothing while its error says that another attempt may help.
func (r *run) persist(ctx context.Context, p retry.Policy, call func() error) error {
	var last error
	err := retry.Do(ctx, p, func(attempt int) error {
		if attempt > 1 {
			r.emit(Event{Kind: EventRetry, Message: string(CodeOf(last))})
		}
		last = call()
		return last
	}, func(err error) retry.Verdict {
		if errors.Is(err, ErrConflict) {
			return retry.Verdict{}
		}
		e := AsError(err)
		return retry.Verdict{Again: e.Code.Traits().Retry, After: e.RetryAfter}
	})
	if err != nil && ctx.Err() != nil && !errors.Is(err, ErrConflict) {
		if cause, ok := errors.AsType[*Error](context.Cause(ctx)); ok {
			return cause
		}
	}
	return err
}

// Policies for calls that may be repeated. The paid request is not among them: submitPolicy bounds only how often
// one is tried anew after it was provably refused.
var (
	callPolicy     = retry.Policy{Attempts: 6, Base: time.Second, Max: 30 * time.Second}
	submitPolicy   = retry.Policy{Attempts: 8, Base: 2 * time.Second, Max: 60 * time.Second}
	transferPolicy = retry.Policy{Attempts: 4, Base: time.Second, Max: 15 * time.Second}
)

const saveTime = 30 * time.Second // for a record to become durable, once it must

func (r *run) freeSlot(t *task) {
	if t.slot {
		t.slot = false
		r.slots.release()
	}
}

// current reports whether the record is about the item as it is now.
func (t *task) current() bool { return t.rec.Fingerprint == t.it.Fingerprint }

// in reports whether the ledger knows the item, as it is now, to be in one of the states.
func (t *task) in(states ...State) bool { return t.current() && slices.Contains(states, t.rec.State) }

// buys reports whether the item is still to be bought, or may have been without our knowing.
func (t *task) buys(anyway []Code) bool {
	if t.redo || !t.current() {
		return true
	}
	switch t.rec.State {
	case "", Refused, Intended:
		return true
	case Broken:
		return t.rec.Error != nil && (t.rec.Error.Code.Traits().Again || slices.Contains(anyway, t.rec.Error.Code))
	}
	return false
}

// rank orders items for their walks: what is already paid for comes first.
func (t *task) rank(anyway []Code) int {
	if t.buys(anyway) && !t.in(Intended) {
		return 1
	}
	return 0
}

// mayHaveCost is what earlier runs spent, or may have spent, on the purchase the record is about, if that is of the
// item as it is now.
func (t *task) mayHaveCost() CU {
	switch {
	case !t.current():
	case t.rec.State == Intended && t.rec.Quoted != nil:
		return *t.rec.Quoted
	case t.rec.State != Refused && t.rec.Cost != nil:
		return *t.rec.Cost
	}
	return 0
}

// paidInVain is what earlier purchases of the item as it is now have cost that brought nothing.
func (t *task) paidInVain() (sum CU) {
	for _, p := range t.rec.History {
		if p.Fingerprint == t.it.Fingerprint && p.Cost != nil {
			sum += *p.Cost
		}
	}
	return sum
}

// intent is the record that says: from here on, money may be spent.
func (t *task) intent(r *run, payload json.RawMessage, price CU) Record {
	rec := Record{
		Schema: RecordSchema, ID: t.it.ID, Realm: r.Realm, State: Intended, Fingerprint: t.it.Fingerprint,
		Model: t.it.Model, Payload: payload, RunID: r.RunID, IntendedAt: time.Now().UTC(), Quoted: &price,
		Attempts: 1, History: t.rec.History,
	}
	if t.current() {
		rec.Attempts, rec.Lost, rec.Rerolls = t.rec.Attempts+1, t.rec.Lost, t.rec.Rerolls
	}
	if t.redo && t.rerolls() {
		rec.Rerolls++
	}
	if t.redo {
		rec.Lost = 0 // those were of another take
	}
	if old := t.rec; old.JobID != "" || (old.State == Intended && !t.current()) {
		rec.History = append(slices.Clip(rec.History), Purchase{State: old.State, Fingerprint: old.Fingerprint,
			Model: old.Model, JobID: old.JobID, Seed: seedOf(old.Payload), SubmittedAt: old.SubmittedAt, Cost: old.Cost,
			Outputs: old.Outputs})
	}
	return rec
}
