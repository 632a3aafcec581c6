package progress

import (
	"fmt"
	"time"

	"dailies/pipeline"
)

// A tally is what is known of a run at one moment. It keeps a few words for each item in flight and none for the others.
type tally struct {
	started time.Time
	items   int
	done    int
	counts  map[pipeline.Status]int
	files   int
	bytes   int64 // of the files this run delivered

	groups  []*group // a model each, in the order of the manifest
	byModel map[string]*group
	walks   map[string]*walk // by item id: from its submit until it is answered for

	spent, reserved, budget pipeline.CU

	expected    func(model string) (time.Duration, bool)
	concurrency int
	perMinute   int
}

// A group is the items of one model.
type group struct {
	model  string
	items  int
	done   int
	failed int

	took  time.Duration // by the jobs of this run that have ended
	jobs  int           // how many those are
	shown float64       // the furthest a bar has been, so that none goes back
}

// A walk is one item on its way.
type walk struct {
	group        *group
	stage        pipeline.Stage
	since        time.Time // when the stage began
	progress     float64
	moved, total int64
}

func newTally(o Options) *tally {
	return &tally{
		started: time.Now(), counts: map[pipeline.Status]int{}, byModel: map[string]*group{}, walks: map[string]*walk{},
		budget: pipeline.Unlimited, expected: o.Expected, concurrency: o.Concurrency, perMinute: o.RequestsPerMinute,
	}
}

func (t *tally) group(model string) *group {
	g := t.byModel[model]
	if g == nil {
		g = &group{model: model}
		t.byModel[model] = g
		t.groups = append(t.groups, g)
	}
	return g
}

func (t *tally) apply(e pipeline.Event) {
	switch e.Kind {
	case pipeline.EventPlanned:
		t.started = e.At
		t.items = len(e.Items)
		for _, it := range e.Items {
			t.group(it.Model).items++
		}
	case pipeline.EventStage:
		t.moveTo(e)
	case pipeline.EventProgress:
		if w := t.walks[e.Item.ID]; w != nil {
			w.progress = max(w.progress, e.Progress)
		}
	case pipeline.EventBytes:
		if w := t.walks[e.Item.ID]; w != nil {
			w.moved, w.total = e.Bytes, e.Total
		}
	case pipeline.EventMoney:
		t.spent, t.reserved, t.budget = e.Spent, e.Reserved, e.Budget
	case pipeline.EventDone:
		t.answered(e)
	}
}

func (t *tally) moveTo(e pipeline.Event) {
	switch e.Stage {
	case pipeline.StageSubmit, pipeline.StageGenerating, pipeline.StageFetch:
		w := t.walks[e.Item.ID]
		if w == nil {
			w = &walk{group: t.group(e.Item.Model)}
			t.walks[e.Item.ID] = w
		}
		if w.stage != e.Stage {
			w.stage, w.since = e.Stage, e.At
		}
	case pipeline.StageInputs, pipeline.StageQuote, pipeline.StageSlot:
		delete(t.walks, e.Item.ID) // it waits (again)
	}
}

func (t *tally) answered(e pipeline.Event) {
	g, o := t.group(e.Item.Model), e.Outcome
	delete(t.walks, e.Item.ID)
	t.done++
	t.counts[o.Status]++
	g.done++
	switch o.Status {
	case pipeline.Failed, pipeline.Rejected, pipeline.Blocked:
		g.failed++
	case pipeline.Delivered:
		t.files += len(o.Outputs)
		t.bytes += o.Bytes()
		if d := o.Generation(); d > 0 {
			g.took += d
			g.jobs++
		}
	}
}

// delivered counts what is in the destination, by this run or an earlier one.
func (t *tally) delivered() int { return t.counts[pipeline.Delivered] + t.counts[pipeline.Reused] }

func (t *tally) failed() int {
	return t.counts[pipeline.Failed] + t.counts[pipeline.Rejected] + t.counts[pipeline.Blocked]
}

// Phases count items that are not answered for.
type phases struct{ submitting, generating, fetching, waiting int }

func (p *phases) count(s pipeline.Stage) {
	p.waiting--
	switch s {
	case pipeline.StageSubmit:
		p.submitting++
	case pipeline.StageGenerating:
		p.generating++
	case pipeline.StageFetch:
		p.fetching++
	}
}

// phases counts each group, and all together.
func (t *tally) phases() (of map[*group]*phases, all phases) {
	of = make(map[*group]*phases, len(t.groups))
	for _, g := range t.groups {
		of[g] = &phases{waiting: g.items - g.done}
	}
	all.waiting = t.items - t.done
	for _, w := range t.walks {
		of[w.group].count(w.stage)
		all.count(w.stage)
	}
	return of, all
}

func (p *phases) add(q phases) {
	p.submitting += q.submitting
	p.generating += q.generating
	p.fetching += q.fetching
	p.waiting += q.waiting
}

func (p phases) words() []string {
	var words []string
	for _, c := range []struct {
		n    int
		what string
	}{{p.submitting, "submitting"}, {p.generating, "generating"}, {p.fetching, "fetching"}, {p.waiting, "waiting"}} {
		if c.n > 0 {
			words = append(words, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	return words
}

// takes is what one job of a model takes: what this run has seen, next to what was known before it as one more
// sighting; where neither is known, what the other models of this run took.
func (t *tally) takes(g *group) (time.Duration, bool) {
	sum, n := g.took, g.jobs
	if t.expected != nil {
		if d, ok := t.expected(g.model); ok {
			sum, n = sum+d, n+1
		}
	}
	if n == 0 {
		for _, other := range t.groups {
			sum, n = sum+other.took, n+other.jobs
		}
	}
	if n == 0 {
		return 0, false
	}
	return sum / time.Duration(n), true
}

// left estimates the time until every item is answered for: the work that is left shared by the slots in use, but
// not less than its longest piece, nor than the submits that the request rate allows. False when it is not known.
func (t *tally) left(now time.Time) (time.Duration, bool) {
	var work, longest time.Duration
	known := true
	add := func(g *group, n int, left func(time.Duration) time.Duration) {
		d, ok := t.takes(g)
		known = known && ok
		d = left(d)
		work, longest = work+d*time.Duration(n), max(longest, d)
	}
	of, all := t.phases()
	for _, g := range t.groups {
		if n := of[g].waiting + of[g].submitting; n > 0 {
			add(g, n, func(d time.Duration) time.Duration { return d })
		}
	}
	for _, w := range t.walks {
		if w.stage == pipeline.StageGenerating {
			// A straggler is always nearly done.
			add(w.group, 1, func(d time.Duration) time.Duration { return max(d-now.Sub(w.since), d/10) })
		}
	}
	if !known || work == 0 {
		return 0, false
	}
	slots := all.submitting + all.generating + all.fetching // who fetches has just left a slot to the next
	if t.concurrency > 0 {
		slots = min(t.concurrency, slots+all.waiting)
	}
	least := longest
	if t.perMinute > 0 {
		least = max(least, time.Duration(all.waiting)*time.Minute/time.Duration(t.perMinute))
	}
	return max(work/time.Duration(max(slots, 1)), least), true
}

// leftWords says what is left, rounded to what an estimate is worth: "45s left", "6m left", "2h10m left", "" when it
// is not known.
func (t *tally) leftWords(now time.Time) string {
	d, ok := t.left(now)
	switch {
	case !ok:
		return ""
	case d < 90*time.Second:
		d = max(d.Round(5*time.Second), 5*time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%.0fm left", d.Minutes())
	default:
		d = d.Round(5 * time.Minute)
	}
	return pipeline.Span(d) + " left"
}

// fraction is how far a walk has come, 0 to 1. The API's word counts where it says more than the clock, and the
// clock never says that a job has ended.
func (t *tally) fraction(w *walk, now time.Time) float64 {
	const generated = 0.9 // the rest is the way to the destination
	switch w.stage {
	case pipeline.StageGenerating:
		clock := 0.0
		if d, ok := t.takes(w.group); ok && d > 0 {
			clock = min(float64(now.Sub(w.since))/float64(d), 0.95)
		}
		return generated * min(max(w.progress, clock, 0), 1)
	case pipeline.StageFetch:
		if w.total > 0 {
			return generated + (1-generated)*min(float64(w.moved)/float64(w.total), 1)
		}
		return generated
	}
	return 0
}

// advances returns how far each group has come, 0 to 1, and all together. No group goes back.
func (t *tally) advances(now time.Time) (of map[*group]float64, all float64) {
	of = make(map[*group]float64, len(t.groups))
	for _, g := range t.groups {
		of[g] = float64(g.done)
	}
	for _, w := range t.walks {
		of[w.group] += t.fraction(w, now)
	}
	for g, sum := range of {
		g.shown = max(g.shown, min(sum/float64(max(g.items, 1)), 1))
		of[g] = g.shown
		all += g.shown * float64(g.items)
	}
	return of, all / float64(max(t.items, 1))
}
