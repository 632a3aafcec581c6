package progress

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"dailies/pipeline"
)

const (
	// heartbeat is how long a log may be silent.
	heartbeat = 30 * time.Second

	// A batch of more than chatty items gets no line for each submit and delivery: the heartbeat counts them.
	chatty = 100

	// sameFailures is how many failures of one code get a line each; one cause rarely needs more to be understood.
	sameFailures = 20

	// longest is where the text of others is cut.
	longest = 500
)

// Lines are for logs: what happened, after the time since the run began.
type lines struct {
	batch     string
	simulated bool
	quiet     bool // failures only

	compact bool // too many items for a line each
	spoken  time.Time
	reused  int // not yet told of
	told    bool
	failures
}

func newLines(o Options, quiet bool) *lines {
	return &lines{batch: o.Batch, simulated: o.Simulated, quiet: quiet, spoken: time.Now()}
}

func (l *lines) period() time.Duration {
	if l.quiet {
		return 0
	}
	return time.Second
}

func (l *lines) event(w *bytes.Buffer, e pipeline.Event, t *tally) {
	switch e.Kind {
	case pipeline.EventNotice:
		if l.quiet {
			return
		}
		l.say(w, e.At, t, "notice", subject(e.Item)+pipeline.Plain(e.Message))
	case pipeline.EventPlanned:
		l.compact = len(e.Items) > chatty
		if !l.quiet {
			l.say(w, e.At, t, "planned", l.plan(t))
		}
	case pipeline.EventStage:
		if e.Stage == pipeline.StageGenerating && !l.quiet && !l.compact {
			l.firstReused(w, e.At, t)
			l.say(w, e.At, t, "submitted", submitted(e))
		}
	case pipeline.EventDone:
		l.done(w, e, t)
	}
}

func (l *lines) done(w *bytes.Buffer, e pipeline.Event, t *tally) {
	switch o := e.Outcome; {
	case o.Status == pipeline.Reused:
		l.reused++
	case o.Status == pipeline.Delivered:
		if !l.quiet && !l.compact {
			l.firstReused(w, e.At, t)
			l.say(w, e.At, t, "delivered", delivered(e))
		}
	case worthALine(o):
		l.firstReused(w, e.At, t)
		spoken, what := l.spoken, string(o.Status)
		for _, text := range l.failure(e) {
			l.say(w, e.At, t, what, text)
			what = "" // the lines that follow are about the same
		}
		if l.compact {
			l.spoken = spoken // a trickle of failures must not hold up the heartbeat
		}
	}
}

func (l *lines) tick(w *bytes.Buffer, now time.Time, t *tally) {
	if now.Sub(l.spoken) < heartbeat {
		return
	}
	l.tellReused(w, now, t)
	l.say(w, now, t, "", l.pulse(now, t))
}

func (l *lines) end(w *bytes.Buffer, now time.Time, t *tally) { l.tellReused(w, now, t) }

// say writes one line: when, what, and the rest.
func (l *lines) say(w *bytes.Buffer, at time.Time, t *tally, what, text string) {
	fmt.Fprintf(w, "%7s  %-9s  %s\n", pipeline.Span(at.Sub(t.started)), what, text)
	l.spoken = at
}

// tellReused makes one line of however many items needed nothing.
func (l *lines) tellReused(w *bytes.Buffer, at time.Time, t *tally) {
	if l.reused > 0 && !l.quiet {
		l.say(w, at, t, "reused", pipeline.Count(l.reused, "item")+" delivered by an earlier run")
	}
	l.told, l.reused = l.told || l.reused > 0, 0
}

// firstReused tells of them before the first item that needed something; the others wait for the heartbeat.
func (l *lines) firstReused(w *bytes.Buffer, at time.Time, t *tally) {
	if !l.told {
		l.tellReused(w, at, t)
	}
}

func (l *lines) plan(t *tally) string {
	const named = 4
	var models []string
	for _, g := range t.groups[:min(named, len(t.groups))] {
		models = append(models, fmt.Sprintf("%d %s", g.items, pipeline.ModelName(g.model)))
	}
	if more := len(t.groups) - named; more > 0 {
		models = append(models, fmt.Sprintf("and %s more", pipeline.Count(more, "model")))
	}
	text := pipeline.Count(t.items, "item")
	if l.batch != "" {
		text = pipeline.Plain(l.batch) + ": " + text
	}
	if len(models) > 0 {
		text += " (" + strings.Join(models, ", ") + ")"
	}
	if l.simulated {
		text += ", simulated: nothing is bought"
	}
	return text
}

func (l *lines) pulse(now time.Time, t *tally) string {
	_, all := t.phases()
	words := append(all.words(), fmt.Sprintf("%d of %d delivered", t.delivered(), t.items))
	if n := t.failed(); n > 0 {
		words = append(words, fmt.Sprintf("%d failed", n))
	}
	spent := t.spent.String() + " CU spent"
	if t.budget != pipeline.Unlimited {
		spent = t.spent.String() + " of " + t.budget.String() + " CU spent"
	}
	words = append(words, spent)
	if left := t.leftWords(now); left != "" {
		words = append(words, "about "+left)
	}
	return strings.Join(words, ", ")
}

func submitted(e pipeline.Event) string {
	words := []string{pipeline.Plain(e.Item.ID), pipeline.ModelName(e.Item.Model)}
	if e.JobID != "" {
		words = append(words, pipeline.Plain(e.JobID))
	}
	if e.Cost != nil {
		words = append(words, e.Cost.String()+" CU")
	}
	return strings.Join(words, "  ")
}

func delivered(e pipeline.Event) string {
	o := e.Outcome
	words := []string{pipeline.Plain(e.Item.ID), pipeline.Count(len(o.Outputs), "file"), pipeline.Size(o.Bytes())}
	if d := o.Generation(); d > 0 {
		words = append(words, "made in "+pipeline.Span(d))
	}
	return strings.Join(words, "  ")
}

// subject begins a line that is about an item.
func subject(it *pipeline.Item) string {
	if it == nil {
		return ""
	}
	return pipeline.Plain(it.ID) + ": "
}

// Failures remembers what has been said, so that ten thousand items that fail for one reason do not say it ten
// thousand times. results.json has every one.
type failures struct{ told map[pipeline.Code]int }

// worthALine says whether an item's end needs somebody's attention before the end of the run.
func worthALine(o *pipeline.Outcome) bool {
	return o.Err != nil && (o.Status == pipeline.Failed || o.Status == pipeline.Rejected || o.Status == pipeline.Blocked || o.Status == pipeline.Unknown)
}

// failure is what to say of an item that failed: its error, the hint with the first of its kind, or nothing.
func (f *failures) failure(e pipeline.Event) []string {
	if f.told == nil {
		f.told = map[pipeline.Code]int{}
	}
	err := e.Outcome.Err
	f.told[err.Code]++
	switch n := f.told[err.Code]; {
	case n > sameFailures+1:
		return nil
	case n == sameFailures+1:
		return []string{fmt.Sprintf("more items end with %s; they are counted here and listed in results.json", err.Code)}
	case n > 1:
		return []string{failed(e)}
	}
	return []string{failed(e), "hint: " + cut(pipeline.Plain(err.HintText()))}
}

func failed(e pipeline.Event) string {
	return fmt.Sprintf("%s%s: %s", subject(e.Item), e.Outcome.Err.Code, cut(pipeline.Plain(e.Outcome.Err.Error())))
}

// cut shortens the text of others to what a line can bear.
func cut(s string) string {
	if len(s) <= longest {
		return s
	}
	return strings.ToValidUTF8(s[:longest], "") + "…"
}
