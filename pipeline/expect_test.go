package pipeline

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"testing/synctest"
)

// eyes are an inspector that sees in each take of an item what a test wants seen. Takes count from 0, by job.
type eyes struct {
	*world
	see      func(job int) Facts
	examined int
}

func (e *eyes) Inspect(string) (io.Writer, func() Facts) {
	var b bytes.Buffer
	return &b, func() Facts {
		var job int
		_, name, _ := strings.Cut(b.String(), "asset_")
		fmt.Sscanf(name, "%d", &job)
		f := e.see(job)
		f.Blank, f.Alpha, f.Silent = nil, nil, nil
		return f
	}
}

func (e *eyes) Examine(mime string) (io.Writer, func() Facts) {
	e.mu.Lock()
	e.examined++
	e.mu.Unlock()
	w, look := e.Inspect(mime)
	return w, func() Facts {
		f := look()
		full := e.see(0)
		f.Blank, f.Alpha, f.Silent = full.Blank, full.Alpha, full.Silent
		return f
	}
}

func wide(pixels ...int) func(int) Facts {
	return func(job int) Facts { return Facts{Width: pixels[min(job, len(pixels)-1)], Height: 100} }
}

func (e *eyes) on(c *Config) { c.Inspector = e }

func atLeast(of Measure, v float64, rerolls int) *Expect {
	return &Expect{Checks: []Check{{Of: of, Min: v, Max: math.Inf(1), Written: fmt.Sprintf("min_%s: %v", of, v)}}, Rerolls: rerolls}
}

func TestRejectedIsKeptAndNotBoughtAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, its := newWorld(), append(items(2), item("walk", map[string]any{"image": From{Item: "item-000"}}))
		e := &eyes{world: w, see: wide(640)}
		its[0].Expect = atLeast(MeasureWidth, 1280, 0)
		for range 2 {
			s := w.run(t, its, e.on)
			wantTotals(t, s, Totals{Items: 3, Delivered: s.Totals.Delivered, Reused: s.Totals.Reused, Rejected: 1, Blocked: 1})
			o := s.Outcomes[0]
			if o.Err == nil || o.Err.Code != CodeRejected || !strings.Contains(o.Err.Error(), "item-000.png: it is 640 pixels wide (expected min_width: 1280)") || len(o.Outputs) != 1 || !o.Charged() {
				t.Errorf("%+v, %v", o, o.Err)
			}
			if s.ExitCode() != ExitFailed || w.object("item-000.png") == "" || len(w.jobs) != 2 {
				t.Errorf("exit %d, %d jobs", s.ExitCode(), len(w.jobs))
			}
			if !strings.Contains(s.Outcomes[2].Err.Error(), "was rejected") {
				t.Errorf("%v", s.Outcomes[2].Err)
			}
		}
		// Expecting less accepts it, and buys nothing for that.
		its[0].Expect = atLeast(MeasureWidth, 640, 0)
		its = its[:2]
		wantTotals(t, w.run(t, its, e.on), Totals{Items: 2, Reused: 2})
		if len(w.jobs) != 2 || w.calls["fetch"]+w.calls["submit"] > 0 {
			t.Errorf("%d jobs, %v", len(w.jobs), w.calls)
		}
		// Expecting more again, it is made anew when told to, once.
		its[0].Expect = atLeast(MeasureWidth, 1280, 0)
		wantTotals(t, w.run(t, its, func(c *Config) { e.on(c); c.Retry = []Code{CodeRejected} }), Totals{Items: 2, Reused: 1, Rejected: 1})
		if len(w.jobs) != 3 {
			t.Errorf("%d jobs", len(w.jobs))
		}
	})
}

func TestRerolls(t *testing.T) {
	for _, tt := range []struct {
		name   string
		wide   []int
		n      int
		jobs   int
		status Status
	}{
		{"at once", []int{1280}, 2, 1, Delivered},
		{"the third is good", []int{640, 640, 1280}, 2, 3, Delivered},
		{"none is", []int{640}, 2, 3, Rejected},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, its := newWorld(), items(1)
				its[0].Payload["seed"], its[0].PicksSeed = "7", false // named in the manifest
				its[0].Expect = atLeast(MeasureWidth, 1280, tt.n)
				e := &eyes{world: w, see: wide(tt.wide...)}
				s := w.run(t, its, e.on)
				if o := s.Outcomes[0]; o.Status != tt.status || len(w.jobs) != tt.jobs || s.Totals.Spent != CU(tt.jobs)*jobPrice || o.Attempts != tt.jobs {
					t.Fatalf("%s after %d jobs, %v spent: %v", o.Status, len(w.jobs), s.Totals.Spent, o.Err)
				}
				seeds := map[string]bool{}
				for i, j := range w.jobs {
					seeds[fmt.Sprint(j.Input["seed"])] = true
					key := "item-000.png"
					if i < len(w.jobs)-1 {
						key = HistoryKey("item-000", j.ID, key)
					}
					if w.object(key) != contentOf(j.AssetIDs[0]) {
						t.Errorf("take %d is not at %s", i, key)
					}
				}
				if len(seeds) != tt.jobs {
					t.Errorf("seeds %v", seeds)
				}
				again := w.run(t, its, e.on)
				if len(w.jobs) != tt.jobs || again.Totals.Reused+again.Totals.Rejected != 1 {
					t.Errorf("the next run: %+v, %d jobs", again.Totals, len(w.jobs))
				}
			})
		})
	}
}

// What cannot be paid for leaves what there is: rejected, and in its place.
func TestRerollsKeepToTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, its := newWorld(), items(1)
		its[0].Expect = atLeast(MeasureWidth, 1280, 5)
		e := &eyes{world: w, see: wide(640)}
		s := w.run(t, its, func(c *Config) { e.on(c); c.Budget = 2 * jobPrice })
		if o := s.Outcomes[0]; o.Status != Rejected || len(w.jobs) != 2 || s.Totals.Spent != 2*jobPrice || s.ExitCode() != ExitBudget || len(o.Outputs) != 1 {
			t.Errorf("%s, %d jobs, spent %v, exit %d", o.Status, len(w.jobs), s.Totals.Spent, s.ExitCode())
		}
		if w.object("item-000.png") == "" {
			t.Error("the file is gone")
		}
		// With more to spend it goes on where it stopped: five rerolls in all.
		s = w.run(t, its, e.on)
		if len(w.jobs) != 6 || s.Outcomes[0].Status != Rejected {
			t.Errorf("%s after %d jobs", s.Outcomes[0].Status, len(w.jobs))
		}
	})
}

// Whatever exchange the process dies at, no take is bought twice and none is lost.
func TestDeathWhileRerolling(t *testing.T) {
	setUp := func() (*world, []*Item, *eyes) {
		w, its := newWorld(), items(1)
		its[0].Expect = atLeast(MeasureWidth, 1280, 3)
		return w, its, &eyes{world: w, see: wide(640, 1280)}
	}
	total := 0
	synctest.Test(t, func(t *testing.T) {
		w, its, e := setUp()
		wantTotals(t, w.run(t, its, e.on), Totals{Items: 1, Delivered: 1})
		total = w.exchange
	})
	for n := range total {
		for _, kind := range []string{"before", "after"} {
			t.Run(fmt.Sprintf("%d-%s", n, kind), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w, its, e := setUp()
					ctx, die := context.WithCancel(t.Context())
					w.faults[n] = kind
					w.onFault = func() { die(); w.dead() }
					w.runUntil(t, ctx, ctx, its, e.on)
					w.alive()
					s := w.run(t, its, e.on)
					if s.Totals.Delivered+s.Totals.Reused != 1 || len(w.jobs) != 2 {
						t.Errorf("%+v, %d jobs; exchanges: %v", s.Totals, len(w.jobs), w.log)
					}
					first, second := w.jobs[0], w.jobs[1]
					if w.object(HistoryKey("item-000", first.ID, "item-000.png")) != contentOf(first.AssetIDs[0]) || w.object("item-000.png") != contentOf(second.AssetIDs[0]) {
						t.Errorf("the takes are not where they belong; exchanges: %v", w.log)
					}
				})
			})
		}
	}
}

// A check that needs a closer look gets one: at delivery when it is asked then, else of the asset fetched again.
func TestACloserLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, its := newWorld(), items(2)
		e := &eyes{world: w, see: func(int) Facts { return Facts{Width: 9, Blank: new(true)} }}
		wantTotals(t, w.run(t, its, e.on), Totals{Items: 2, Delivered: 2})
		if e.examined != 0 {
			t.Errorf("%d files were unpacked, and nobody asked", e.examined)
		}
		its[0].Expect = &Expect{Checks: []Check{{Of: MeasureBlank, Written: "blank: false"}}, Rerolls: 0}
		its[1].Expect = &Expect{Checks: []Check{{Of: MeasureSilent, Written: "silent: false"}}, Rerolls: 3}
		for range 2 {
			s := w.run(t, its, e.on)
			wantTotals(t, s, Totals{Items: 2, Rejected: 2})
			if !strings.Contains(s.Outcomes[0].Err.Error(), "it is all of one colour (expected blank: false)") {
				t.Errorf("%v", s.Outcomes[0].Err)
			}
			if err := s.Outcomes[1].Err; !strings.Contains(err.Error(), "silent cannot be told of image/png") || !strings.Contains(err.HintText(), "take out of expect:") {
				t.Errorf("%v: %s", err, err.HintText())
			}
			if len(w.jobs) != 2 || e.examined != 2 {
				t.Errorf("%d jobs, %d unpacked", len(w.jobs), e.examined)
			}
		}
	})
}

// An item that is left out is judged by what is known of it: nobody looks closer, and nothing is said against it.
func TestWhatIsLeftOutIsNotLookedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, its := newWorld(), items(2)
		e := &eyes{world: w, see: func(int) Facts { return Facts{Width: 9, Blank: new(true)} }}
		w.run(t, its, e.on)
		its[0].Expect = &Expect{Checks: []Check{{Of: MeasureBlank, Written: "blank: false"}}}
		its[1].Expect = atLeast(MeasureWidth, 10, 3)
		s := w.run(t, its, func(c *Config) { e.on(c); c.Select = func(*Item) bool { return false } })
		wantTotals(t, s, Totals{Items: 2, Reused: 1, Rejected: 1})
		if e.examined > 0 || len(w.jobs) != 2 {
			t.Errorf("%d unpacked, %d jobs", e.examined, len(w.jobs))
		}
		for i, want := range []Status{Reused, Rejected} {
			if got := Known(its[i], Entry{Record: w.record(t, its[i].ID)}).Status; got != want {
				t.Errorf("%s is known as %s", its[i].ID, got)
			}
		}
	})
}

func TestPlanOfWhatWasRejected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, its := newWorld(), items(2)
		e := &eyes{world: w, see: wide(640)}
		w.run(t, its, e.on)
		its[0].Expect, its[1].Expect = atLeast(MeasureWidth, 1280, 0), atLeast(MeasureWidth, 1280, 1)
		p, err := MakePlan(t.Context(), Config{API: w, Store: w, Ledger: w, Inspector: e, Budget: Unlimited}, its, true)
		if err != nil {
			t.Fatal(err)
		}
		if a, b := p.Steps[0], p.Steps[1]; a.Action != ActionFailed || !strings.Contains(a.Why[0], "--retry rejected") || b.Action != ActionNew || b.Price == nil || p.Total != jobPrice {
			t.Errorf("%+v\n%+v", a, b)
		}
	})
}

func TestChecks(t *testing.T) {
	video := Output{Key: "a/walk.mp4", MIME: "video/mp4; codecs=x", Kind: "video", Width: 1280, Height: 720, Duration: 5.04, Audio: new(false), Bytes: 4000}
	mesh := Output{Key: "rock.glb", MIME: "model/gltf-binary", Kind: "3d", Triangles: new(1200), Materials: new(0)}
	span := func(of Measure, low, high float64) Check { return Check{Of: of, Min: low, Max: high} }
	for _, tt := range []struct {
		o    Output
		c    Check
		ok   bool
		says string // empty: it cannot be told
	}{
		{video, Check{Of: MeasureKind, Words: []string{"image", "video"}}, true, "it is video"},
		{video, Check{Of: MeasureKind, Words: []string{"image"}}, false, "it is video"},
		{Output{}, Check{Of: MeasureKind, Words: []string{"image"}}, false, "it is of no known kind"},
		{video, Check{Of: MeasureType, Words: []string{"video/mp4"}}, true, "it is video/mp4; codecs=x"},
		{video, Check{Of: MeasureType, Words: []string{".MP4"}}, true, "it is video/mp4; codecs=x"},
		{video, Check{Of: MeasureType, Words: []string{"webm", "video/webm"}}, false, "it is video/mp4; codecs=x"},
		{video, span(MeasureWidth, 1280, 1280), true, "it is 1280 pixels wide"},
		{video, span(MeasureWidth, 1281, 2000), false, "it is 1280 pixels wide"},
		{mesh, span(MeasureWidth, 0, 2000), false, ""},
		{video, span(MeasureHeight, 0, 719), false, "it is 720 pixels high"},
		{video, span(MeasureAspect, 1.7, 1.8), true, "it is 1280x720"},
		{video, span(MeasureAspect, 0.9, 1.1), false, "it is 1280x720"},
		{mesh, span(MeasureAspect, 0, 9), false, ""},
		{video, span(MeasureDuration, 4.5, 5.5), true, "it lasts 5.04s"},
		{video, span(MeasureDuration, 7.5, 8.5), false, "it lasts 5.04s"},
		{mesh, span(MeasureDuration, 0, 9), false, ""},
		{video, span(MeasureBytes, 4001, math.Inf(1)), false, "it has 4000 bytes"},
		{mesh, span(MeasureTriangles, 1, 1000), false, "1200 triangles"},
		{mesh, span(MeasureMaterials, 1, 9), false, "0 materials"},
		{video, span(MeasureTriangles, 1, 9), false, ""},
		{video, Check{Of: MeasureAudio, Is: true}, false, "it has no sound track"},
		{video, Check{Of: MeasureAudio}, true, "it has no sound track"},
		{Output{Kind: "audio"}, Check{Of: MeasureAudio, Is: true}, true, "it has a sound track"},
		{mesh, Check{Of: MeasureAudio, Is: true}, false, ""},
		{Output{Silent: new(true)}, Check{Of: MeasureSilent}, false, "it is silent"},
		{Output{Alpha: new(false)}, Check{Of: MeasureAlpha, Is: true}, false, "no part of it is transparent"},
		{Output{Blank: new(false)}, Check{Of: MeasureBlank}, true, "it is not all of one colour"},
		{Output{}, Check{Of: MeasureBlank}, false, ""},
	} {
		if says, ok := tt.c.holds(tt.o); ok != tt.ok || says != tt.says {
			t.Errorf("%+v of %s: %q, %v; want %q, %v", tt.c, tt.o.Key, says, ok, tt.says, tt.ok)
		}
	}
}

// A 3D model's thumbnail is not asked for triangles, unless pictures are what is expected.
func TestChecksAreOfTheFilesThatAreMeant(t *testing.T) {
	outputs := []Output{{Key: "rock-1.glb", Kind: "3d", Triangles: new(12)}, {Key: "rock-2.png", Kind: "image", Width: 64}}
	triangles := Check{Of: MeasureTriangles, Min: 1, Max: 20}
	it := &Item{Makes: "3d", Expect: &Expect{Checks: []Check{triangles}}}
	if err := it.judge(outputs).err(); err != nil {
		t.Error(err)
	}
	it.Expect.Checks = []Check{{Of: MeasureKind, Words: []string{"image"}}, {Of: MeasureWidth, Min: 100, Max: 200}}
	if err := it.judge(outputs).err(); err == nil || !strings.Contains(err.Message, "rock-2.png: it is 64 pixels wide") || strings.Contains(err.Message, "rock-1") {
		t.Error(err)
	}
	it.Expect.Checks = []Check{{Of: MeasureKind, Words: []string{"video"}, Written: "kind: video"}}
	if err := it.judge(outputs).err(); err == nil || !strings.Contains(err.Message, "rock-1.glb: it is 3d") {
		t.Error(err)
	}
}
