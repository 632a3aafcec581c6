package progress

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mattn/go-runewidth"
	"pgregory.net/rapid"

	"dailies/pipeline"
)

func TestBars(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		scr := &screen{t: t, cols: 80}
		observe, finish := New(Options{
			Mode: Auto, Out: scr, Terminal: true, Batch: "dragon-realm", Width: func() int { return 80 }, Simulated: true,
			Expected: func(string) (time.Duration, bool) { return time.Minute, true },
		})
		r := rehearse(observe, 8, "model_veo3-1", "model_alibaba-happy-horse-reference-to-video")
		r.observe(pipeline.Event{At: time.Now(), Kind: pipeline.EventMoney, Spent: 160_000_000, Budget: 500_000_000})
		r.stage(1, pipeline.StageSubmit)
		r.stage(1, pipeline.StageGenerating)
		r.deliver(0, 30*time.Second)
		r.fail(2, moderated())
		time.Sleep(time.Second)
		synctest.Wait()
		want := `x item-2: moderated: flagged: [2Jblood and gore
  hint: reword the prompt or choose another model; the same prompt would be refused again
`
		want = strings.Replace(want, "x ", "✗ ", 1) +
			`dragon-realm         ━━━╸──────  2/8  1 failed · ~5m left · 160/500 CU
 veo3-1              ━━━━━─────  2/4  1 failed · 2 waiting
 alibaba-…-to-video  ━╸────────  0/4  1 generating · 3 waiting`
		if got := scr.text(); got != want {
			t.Errorf("the screen shows\n%s\nwant\n%s", got, want)
		}
		finish()
		if got := scr.text(); strings.Contains(got, "━") || !strings.HasPrefix(got, "✗ item-2") {
			t.Errorf("after the run the screen shows\n%s", got)
		}
	})
}

// Whatever the terminal and the batch, no row of the bars is wider than it or more than it has, what stays above is
// whole, and in the end nothing else is left.
func TestBarsFitEveryTerminal(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		cols := rapid.IntRange(1, 150).Draw(rt, "columns")
		rows := rapid.IntRange(1, 30).Draw(rt, "rows")
		models := rapid.SliceOfN(rapid.StringMatching(`model_[a-z龙é-]{0,40}`), 1, 12).Draw(rt, "models")
		batch := rapid.StringMatching(`[a-z龙]{0,60}`).Draw(rt, "batch")
		b := newBars(Options{
			Batch: batch, Simulated: rapid.Bool().Draw(rt, "simulated"), Color: rapid.Bool().Draw(rt, "color"), ASCII: rapid.Bool().Draw(rt, "ascii"),
			Width: func() int { return cols }, Height: func() int { return rows },
		})
		now := time.Unix(1_000_000, 0)
		tl := newTally(Options{Expected: func(string) (time.Duration, bool) { return time.Minute, true }})
		var w bytes.Buffer
		tell := func(e pipeline.Event) { e.At = now; tl.apply(e); b.event(&w, e, tl) }
		var items []*pipeline.Item
		for i := range rapid.IntRange(1, 50).Draw(rt, "items") {
			items = append(items, &pipeline.Item{ID: fmt.Sprint(i), Model: models[i%len(models)]})
		}
		tell(pipeline.Event{Kind: pipeline.EventPlanned, Items: items})
		for _, it := range items {
			stage := rapid.SampledFrom([]pipeline.Stage{pipeline.StageSlot, pipeline.StageSubmit, pipeline.StageGenerating, pipeline.StageFetch, pipeline.StageDone}).Draw(rt, "stage")
			if stage == pipeline.StageDone {
				tell(pipeline.Event{Kind: pipeline.EventDone, Item: it, Outcome: &pipeline.Outcome{Item: it, Status: pipeline.Delivered}})
			} else {
				tell(pipeline.Event{Kind: pipeline.EventStage, Item: it, Stage: stage})
			}
		}
		frame := b.frame(now.Add(time.Second), tl, cols-1, rows-2)
		if len(frame) > max(rows-2, 1) {
			rt.Fatalf("%d rows of %d", len(frame), rows)
		}
		for _, line := range frame {
			if n := runewidth.StringWidth(colors.ReplaceAllString(line, "")); n > max(cols-1, 1) {
				rt.Fatalf("%d columns of %d: %q", n, cols, line)
			}
			if !b.style.color && strings.Contains(line, "\x1b") {
				rt.Fatalf("colour where none is wanted: %q", line)
			}
			if b.style.ascii && batch == "" && len(models) == 1 && models[0] == "model_" && strings.ContainsFunc(line, func(r rune) bool { return r > '~' }) {
				rt.Fatalf("more than ASCII: %q", line)
			}
		}
	})
}

// A narrower terminal breaks the lines that are there in two; the next drawing takes away all of them.
func TestBarsFollowTheTerminal(t *testing.T) {
	cols := 100
	scr := &screen{t: t, cols: cols}
	term := terminal{width: func() int { return cols }}
	var w bytes.Buffer
	draw := func(above string, frame ...string) {
		term.draw(&w, []byte(above), frame)
		_, _ = scr.Write(w.Bytes())
		w.Reset()
	}
	draw("stays\n", strings.Repeat("a", 90), strings.Repeat("b", 40))
	cols, scr.cols = 50, 50
	scr.lines = []string{"stays", strings.Repeat("a", 50), strings.Repeat("a", 40), strings.Repeat("b", 40)} // as terminals rewrap
	scr.row = 4
	draw("", "short", "er")
	if got := scr.text(); got != "stays\nshort\ner" {
		t.Errorf("the screen shows\n%s", got)
	}
	draw("more\n")
	if got := scr.text(); got != "stays\nmore" {
		t.Errorf("the screen shows\n%s", got)
	}
}

func TestBarsAreDrawnAtMostTenTimesASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		scr := &screen{t: t, cols: 80}
		observe, finish := New(Options{Mode: Bar, Out: scr, Terminal: true, Expected: func(string) (time.Duration, bool) { return time.Second, true }})
		r := rehearse(observe, 1000, "m")
		for i := range 1000 {
			r.deliver(i, 10*time.Millisecond)
		}
		finish()
		if scr.writes > 102 || scr.writes < 50 {
			t.Errorf("%d drawings in 10 s", scr.writes)
		}
		if scr.wrapped {
			t.Error("a row was wider than the terminal")
		}
	})
}

func TestNoBarsOffATerminal(t *testing.T) {
	for _, mode := range []Mode{Auto, Bar} {
		got := within(t, Options{Mode: mode, Color: true}, 1, []string{"m"}, func(r *rehearsal) { r.deliver(0, time.Minute) })
		if strings.ContainsAny(got, "\x1b\r━") || !strings.Contains(got, "delivered") {
			t.Errorf("%s off a terminal writes %q", mode, got)
		}
	}
}
