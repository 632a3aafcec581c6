package progress

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"dailies/pipeline"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var colors = regexp.MustCompile(`\x1b\[[0-9;]*m`)

// A rehearsal tells an observer of a run as the engine would.
type rehearsal struct {
	observe pipeline.Observer
	items   []*pipeline.Item
}

func rehearse(observe pipeline.Observer, n int, models ...string) *rehearsal {
	r := &rehearsal{observe: observe}
	for i := range n {
		r.items = append(r.items, &pipeline.Item{ID: fmt.Sprintf("item-%d", i), Model: models[i%len(models)]})
	}
	observe(pipeline.Event{At: time.Now(), Kind: pipeline.EventPlanned, Items: r.items})
	return r
}

func (r *rehearsal) stage(i int, s pipeline.Stage) {
	e := pipeline.Event{At: time.Now(), Kind: pipeline.EventStage, Item: r.items[i], Stage: s}
	if s == pipeline.StageGenerating {
		e.JobID, e.Cost = fmt.Sprintf("job_%d", i), new(pipeline.CU(80_000_000))
	}
	r.observe(e)
}

func (r *rehearsal) done(i int, o pipeline.Outcome) {
	o.Item = r.items[i]
	r.observe(pipeline.Event{At: time.Now(), Kind: pipeline.EventDone, Item: o.Item, Outcome: &o})
}

func (r *rehearsal) deliver(i int, took time.Duration) {
	r.stage(i, pipeline.StageSubmit)
	r.stage(i, pipeline.StageGenerating)
	time.Sleep(took)
	r.stage(i, pipeline.StageFetch)
	r.done(i, pipeline.Outcome{
		Status: pipeline.Delivered, SubmittedAt: time.Now().Add(-took), FinishedAt: time.Now(), Attempts: 1,
		Outputs: []pipeline.Output{{N: 1, Key: "a.mp4", Bytes: 4_200_000, Kind: "video"}},
	})
}

func (r *rehearsal) fail(i int, err *pipeline.Error) {
	r.done(i, pipeline.Outcome{Status: pipeline.Failed, Err: err})
}

func moderated() *pipeline.Error {
	return pipeline.Errorf(pipeline.CodeModerated, "flagged: \x1b[2Jblood\nand gore")
}

// within runs f with virtual time, shown as o says, and returns what was written.
func within(t *testing.T, o Options, n int, models []string, f func(r *rehearsal)) (written string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		o.Out = &out
		observe, finish := New(o)
		f(rehearse(observe, n, models...))
		finish()
		written = out.String()
	})
	return written
}

func TestParseMode(t *testing.T) {
	for _, m := range []Mode{Auto, Bar, Lines, JSON, None} {
		if got, err := ParseMode(string(m)); got != m || err != nil {
			t.Errorf("ParseMode(%q) = %q, %v", m, got, err)
		}
	}
	if _, err := ParseMode("loud"); pipeline.CodeOf(err) != pipeline.CodeUsage {
		t.Errorf("ParseMode of nonsense: %v", err)
	}
}

func TestLines(t *testing.T) {
	got := within(t, Options{Mode: Auto, Batch: "realm"}, 5, []string{"model_veo3-1", "model_lyria-2"}, func(r *rehearsal) {
		r.done(3, pipeline.Outcome{Status: pipeline.Reused})
		r.done(4, pipeline.Outcome{Status: pipeline.Reused})
		r.deliver(0, 39*time.Second)
		r.observe(pipeline.Event{At: time.Now(), Kind: pipeline.EventNotice, Message: "2 jobs\nat most"})
		r.fail(1, moderated())
		r.fail(2, moderated())
	})
	want := `     0s  planned    realm: 5 items (3 veo3-1, 2 lyria-2)
     0s  reused     2 items delivered by an earlier run
     0s  submitted  item-0  veo3-1  job_0  80 CU
    30s             1 generating, 2 waiting, 2 of 5 delivered, 0 CU spent
    39s  delivered  item-0  1 file  4.2 MB  made in 39s
    39s  notice     2 jobs at most
    39s  failed     item-1: moderated: flagged: [2Jblood and gore
    39s             hint: reword the prompt or choose another model; the same prompt would be refused again
    39s  failed     item-2: moderated: flagged: [2Jblood and gore
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestLinesKeepBeating(t *testing.T) {
	got := within(t, Options{Mode: Lines}, 1, []string{"m"}, func(r *rehearsal) { r.deliver(0, 95*time.Second) })
	if n := strings.Count(got, "1 generating"); n != 3 {
		t.Errorf("%d heartbeats in 95 s of silence, want 3:\n%s", n, got)
	}
}

// A log of ten thousand items is a few hundred lines, and still says what fails and that it lives.
func TestLinesStayFew(t *testing.T) {
	got := within(t, Options{Mode: Lines}, 10_000, []string{"model_a", "model_b", "model_c"}, func(r *rehearsal) {
		for i := range 10_000 {
			switch {
			case i%10 == 0:
				r.fail(i, moderated())
			case i%1000 == 1:
				r.fail(i, pipeline.Errorf(pipeline.CodeGeneration, "provider failed"))
			default:
				r.deliver(i, 300*time.Millisecond)
			}
		}
	})
	lines := strings.Split(strings.TrimSpace(got), "\n")
	beats := 10_000 * 3 * 9 / 10 / 10 / 30
	if len(lines) > beats+60 {
		t.Errorf("%d lines:\n%s", len(lines), strings.Join(lines[:100], "\n"))
	}
	if n := strings.Count(got, " waiting, "); n < beats-3 {
		t.Errorf("%d heartbeats, want about %d: failures must not hold them up", n, beats)
	}
	if n := strings.Count(got, "moderated: "); n != sameFailures {
		t.Errorf("%d lines of one failure, want %d", n, sameFailures)
	}
	if n := strings.Count(got, "generation_failed: provider failed"); n != 10 {
		t.Errorf("%d lines of the rare failure, want 10", n)
	}
	if !strings.Contains(got, "more items end with moderated") {
		t.Error("it is not said that failures are no longer listed")
	}
}

func TestNoneTellsFailuresOnly(t *testing.T) {
	got := within(t, Options{Mode: None}, 2, []string{"m"}, func(r *rehearsal) {
		r.observe(pipeline.Event{At: time.Now(), Kind: pipeline.EventNotice, Message: "by the way"})
		r.deliver(0, time.Hour)
		r.fail(1, moderated())
	})
	if n := strings.Count(got, "\n"); n != 2 || !strings.Contains(got, "item-1: moderated") || !strings.Contains(got, "hint: ") {
		t.Errorf("got\n%s", got)
	}
}

func TestNothingAfterFinish(t *testing.T) {
	for _, mode := range []Mode{Bar, Lines, JSON, None} {
		t.Run(string(mode), func(t *testing.T) {
			var out bytes.Buffer
			observe, finish := New(Options{Mode: mode, Out: &out, Terminal: true})
			r := rehearse(observe, 2, "m")
			finish()
			before := out.String()
			r.fail(0, moderated())
			finish()
			if out.String() != before {
				t.Errorf("written after finish: %q", out.String()[len(before):])
			}
		})
	}
}

// A terminal that takes nothing (Ctrl-S) holds up the bars and not the run.
func TestNobodyWaitsForTheTerminal(t *testing.T) {
	for _, mode := range []Mode{Bar, Lines, JSON} {
		t.Run(string(mode), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				read, write := io.Pipe()
				observe, finish := New(Options{Mode: mode, Out: write, Terminal: true})
				r := rehearse(observe, 1000, "m")
				for i := range 1000 {
					r.deliver(i, time.Second)
				}
				var wg sync.WaitGroup
				var written bytes.Buffer
				wg.Go(func() { _, _ = written.ReadFrom(read) })
				finish()
				write.Close()
				wg.Wait()
				if written.Len() == 0 {
					t.Error("nothing was written once the reader came back")
				}
			})
		})
	}
}
