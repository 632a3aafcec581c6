package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"dailies/internal/retry"
)

// lost finds the jobs of submits whose answers never came. The API has no idempotency key and no client reference;
// what is left is the listing of jobs: same model, created since the intent, the same inputs, and not known to be
// anybody else's. Our own seed, where the model takes one, makes the inputs unmistakable. Identical payloads are
// interchangeable: any job may stand for any of them, but each for one only.
type lost struct {
	run *run

	mu      sync.Mutex
	claimed map[string]bool // job ids that belong to an item
	air     map[string]int  // bodies being submitted right now: a job of one may not be listed as lost

	looking turn // one look at the listing serves all that wait for one
	listing []Job
	began   time.Time
	since   time.Time
}

const (
	// clockSlack is how far the clock that dates jobs may be behind the API's own as its answers tell it. The intent
	// is dated by the latter, so that no clock of ours decides what is older than what.
	clockSlack = 2 * time.Second
	// surelyOurs is from how many possible seeds on one that we picked ourselves proves a job to be ours.
	surelyOurs = 1 << 20
	// listingAge is for how long one look at the listing serves others.
	listingAge = 2 * time.Second
	// defaultGrace is how long a job is given to show up in the listing. How far the listing lags is not documented.
	defaultGrace = 2 * time.Minute
)

var settlePolicy = retry.Policy{Attempts: 1, Base: 2 * time.Second, Max: 20 * time.Second}

func newLost(r *run) *lost {
	return &lost{run: r, claimed: map[string]bool{}, air: map[string]int{}, looking: newTurn()}
}

func bodyKey(model string, payload json.RawMessage) string { return model + "\n" + string(payload) }

// claim marks a job as somebody's.
func (l *lost) claim(jobID string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if jobID != "" {
		l.claimed[jobID] = true
	}
}

// inTheAir marks a body as being submitted; the returned function ends that, with the job id if one came back.
func (l *lost) inTheAir(model string, payload json.RawMessage) (landed func(jobID string)) {
	key := bodyKey(model, payload)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.air[key]++
	return func(jobID string) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.air[key]--; l.air[key] == 0 {
			delete(l.air, key)
		}
		if jobID != "" {
			l.claimed[jobID] = true
		}
	}
}

// settle finds out what became of a submit whose answer was lost. Afterwards the record says submitted, when the
// job was found, or refused, when the grace period has shown that there is none; an error means that it is unknown.
func (r *run) settle(t *task) error {
	grace := r.Grace
	if grace == 0 {
		grace = defaultGrace
	}
	settled := r.API.Clock().Add(grace) // and not from the intent: the request may have waited for its turn long after it
	r.stage(t, StageSettle)
	var trouble error
	failed := 0 // looks in a row
	for attempt := 1; ; attempt++ {
		job, found, looked, err := r.lost.find(r.following, t)
		switch {
		case found:
			return r.adopt(t, job)
		case err != nil:
			trouble = err
			if failed++; failed >= callPolicy.Attempts && r.API.Clock().After(settled) || !AsError(err).Code.Traits().Retry {
				return unknown(t, "its job could not be looked for: "+err.Error(), "")
			}
		case looked.After(settled):
			return r.giveUp(t, grace)
		default:
			failed = 0
		}
		wait := settlePolicy.Wait(attempt, 0)
		if left := settled.Sub(r.API.Clock()); left > 0 {
			wait = min(wait, left+time.Millisecond)
		}
		if !retry.Sleep(r.following, wait) {
			why := "the run ended before its job was found"
			if trouble != nil {
				why += " (" + trouble.Error() + ")"
			}
			return unknown(t, why, "")
		}
	}
}

// adopt takes a job that was found as the item's own.
func (r *run) adopt(t *task, job Job) error {
	rec := t.rec
	rec.State, rec.JobID, rec.SubmittedAt = Submitted, job.ID, job.CreatedAt
	cost := job.Cost
	if cost == 0 && rec.Quoted != nil {
		cost = *rec.Quoted
	}
	rec.Cost = &cost
	if err := r.save(t, rec); err != nil {
		return err
	}
	if t.inherited == 0 {
		r.budget.settle(t.reserved, cost)
		t.quoted += t.reserved
		t.spent += cost
		t.reserved = 0
		r.money()
	}
	r.notice(t, "its job %s was found: nothing is paid again", job.ID)
	return nil
}

// giveUp concludes that a submit bought nothing: its job has not shown up within the grace period.
func (r *run) giveUp(t *task, grace time.Duration) error {
	if r.OnLost == Hold {
		return unknown(t, fmt.Sprintf("no job of it showed up within %v", grace),
			"look for it in the Scenario web app; if it is not there, run again with --on-lost-submit adopt-or-resubmit")
	}
	if t.resubmitted { // a run does so once; the next one may, when somebody has asked for it
		return unknown(t, "it was submitted once more, the answer was lost again, and no job showed up either time",
			"look for its jobs in the Scenario web app; the same command again looks too, and submits it again only if there is none")
	}
	t.resubmitted = true
	rec := t.rec
	rec.State = Refused
	rec.Lost++
	if err := r.save(t, rec); err != nil {
		return err
	}
	r.freeSlot(t)
	r.budget.release(t.reserved)
	r.budget.inherit(-t.inherited)
	t.reserved, t.inherited = 0, 0
	r.money()
	r.notice(t, "no job of it showed up within %v: it is submitted once more", grace)
	return nil
}

func unknown(t *task, why, hint string) *Error {
	return &Error{Code: CodeSubmitLost, Message: fmt.Sprintf("the answer to its submit at %s was lost: %s", t.rec.IntendedAt.Format(time.RFC3339), why), Hint: hint}
}

// find looks for the job of a task's intent. looked is when the look began, by the API's clock; it is zero when the
// look cannot prove that there is no job.
func (l *lost) find(ctx context.Context, t *task) (job Job, found bool, looked time.Time, err error) {
	if err := l.looking.take(ctx); err != nil {
		return Job{}, false, time.Time{}, err
	}
	defer l.looking.give()
	key := bodyKey(t.rec.Model, t.rec.Payload)
	since := t.rec.IntendedAt.Add(-clockSlack)
	if l.isInTheAir(key) {
		return Job{}, false, time.Time{}, nil // a twin is being submitted: what is listed may be the twin's
	}
	if time.Since(l.began) > listingAge || since.Before(l.since) {
		l.began, l.since, l.listing = time.Now(), since, nil
		for j, err := range l.run.API.Jobs(ctx, since) {
			if err != nil {
				l.began = time.Time{}
				return Job{}, false, time.Time{}, err
			}
			l.listing = append(l.listing, j)
		}
	}
	var doubt error
	for _, j := range l.listing {
		if j.Model != t.rec.Model || j.CreatedAt.Before(since) || l.isClaimed(j.ID) {
			continue
		}
		same, err := l.sameInputs(ctx, t, j)
		if err != nil {
			doubt = err // another may be surely its own
		}
		if !same {
			continue
		}
		if l.isInTheAir(key) {
			return Job{}, false, time.Time{}, nil
		}
		l.claim(j.ID)
		return j, true, time.Time{}, nil
	}
	if doubt != nil {
		return Job{}, false, time.Time{}, doubt
	}
	// By the clock as it is known now: before the first answer it was only our own.
	return Job{}, false, l.run.API.Clock().Add(-time.Since(l.began)), nil
}

func (l *lost) isInTheAir(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.air[key] > 0
}

func (l *lost) isClaimed(jobID string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.claimed[jobID]
}

// sameInputs reports whether a job was made from what a task sent: everything is there. What the API adds (the model
// id, defaults) does not count. A text may be shown as the id of a text asset; where that cannot be read it is an
// error, because the job may well be the one. A seed that we picked needs no further proof.
func (l *lost) sameInputs(ctx context.Context, t *task, j Job) (bool, error) {
	body, err := decodeBody(t.rec.Payload)
	if err != nil {
		return false, nil
	}
	if seed, ok := j.Input["seed"]; ok && t.it.PicksSeed && t.it.SeedMax >= surelyOurs {
		return sameValue(body["seed"], seed), nil
	}
	texts := map[string]string{} // asset id: what it should say
	for k, v := range body {
		got, ok := j.Input[k]
		if !ok {
			return false, nil
		}
		if sameValue(v, got) {
			continue
		}
		text, isText := v.(string)
		id, isString := got.(string)
		if !isText || !isString || !strings.HasPrefix(id, "asset_") || strings.HasPrefix(text, "asset_") {
			return false, nil
		}
		texts[id] = text
	}
	if len(texts) == 0 {
		return true, nil
	}
	assets, err := l.run.API.Assets(ctx, slices.Sorted(maps.Keys(texts)))
	if err != nil {
		return false, err
	}
	for id, text := range texts {
		switch a := assets[id]; {
		case a.Text == "":
			err = Errorf(CodeAPIUnreadable, "job %s may be the one, and asset %s, which stands for its text, cannot be read", j.ID, id)
		case a.Text != text && !(a.TextCut && strings.HasPrefix(text, a.Text)):
			return false, nil
		}
	}
	return err == nil, err
}

func decodeBody(sent json.RawMessage) (map[string]any, error) {
	d := json.NewDecoder(strings.NewReader(string(sent)))
	d.UseNumber()
	var body map[string]any
	return body, d.Decode(&body)
}

// sameValue compares JSON values; numbers by value, whatever their spelling.
func sameValue(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for k, v := range a {
			if w, ok := b[k]; !ok || !sameValue(v, w) {
				return false
			}
		}
		return true
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for i := range a {
			if !sameValue(a[i], b[i]) {
				return false
			}
		}
		return true
	case json.Number:
		x, err := strconv.ParseFloat(string(a), 64)
		if err != nil {
			return false
		}
		switch b := b.(type) {
		case json.Number:
			y, err := strconv.ParseFloat(string(b), 64)
			return err == nil && x == y
		case float64:
			return x == b
		}
		return false
	}
	return a == b
}
