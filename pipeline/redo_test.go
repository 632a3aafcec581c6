package pipeline

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
)

// wishes are picks about what the ledger has now.
func (w *world) wishes(t *testing.T, ids ...string) map[string]string {
	t.Helper()
	entries, err := w.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	redo := map[string]string{}
	for _, id := range ids {
		redo[id] = entries[id].Record.JobID
	}
	return redo
}

func redoing(redo map[string]string) func(*Config) { return func(c *Config) { c.Redo = redo } }

func (w *world) object(key string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(w.objects[key].data)
}

func (w *world) record(t *testing.T, id string) Record {
	t.Helper()
	entries, err := w.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return entries[id].Record
}

func TestRedoMakesAnewOnceAndKeepsWhatWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, its := newWorld(), items(4)
		its[1].Payload["seed"], its[1].PicksSeed = "7", false // named in the manifest
		first := w.run(t, its, nil)
		redo := w.wishes(t, "item-001", "item-002")
		was := w.record(t, "item-001")

		s := w.run(t, its, redoing(redo))
		wantTotals(t, s, Totals{Items: 4, Delivered: 2, Reused: 2})
		if s.Totals.Spent != 2*jobPrice {
			t.Errorf("spent %v", s.Totals.Spent)
		}
		rec := w.record(t, "item-001")
		if rec.State != Stored || rec.JobID == was.JobID || rec.Outputs[0].Key != "item-001.png" || len(rec.History) != 1 || rec.Attempts != 2 {
			t.Fatalf("%+v", rec)
		}
		if o := first.Outcomes[1]; s.Outcomes[1].Seed == o.Seed || rec.History[0].Seed != o.Seed {
			t.Errorf("seed %s after %s, and %s in the history", s.Outcomes[1].Seed, o.Seed, rec.History[0].Seed)
		}
		old := rec.History[0].Outputs[0]
		if want := HistoryKey("item-001", was.JobID, "item-001.png"); old.Key != want || w.object(want) != contentOf(was.AssetIDs[0]) {
			t.Errorf("the earlier take is at %s", old.Key)
		}
		if w.object("item-001.png") != contentOf(rec.AssetIDs[0]) {
			t.Error("the new take is not in its place")
		}

		// The same wishes again, and a run: all is as wished.
		for _, change := range []func(*Config){redoing(redo), nil} {
			wantTotals(t, w.run(t, its, change), Totals{Items: 4, Reused: 4})
		}
		if len(w.jobs) != 6 {
			t.Errorf("%d jobs", len(w.jobs))
		}

		// What is left out stays as it is, wished or not.
		wantTotals(t, w.run(t, its, func(c *Config) {
			c.Redo, c.Select = w.wishes(t, "item-001"), func(it *Item) bool { return it.ID == "item-000" }
		}), Totals{Items: 4, Reused: 4})

		// New wishes are about the new take.
		wantTotals(t, w.run(t, its, redoing(w.wishes(t, "item-001"))), Totals{Items: 4, Delivered: 1, Reused: 3})
		if rec := w.record(t, "item-001"); len(rec.History) != 2 || w.object(rec.History[0].Outputs[0].Key) == w.object(rec.History[1].Outputs[0].Key) {
			t.Errorf("%+v", rec.History)
		}
	})
}

// Whatever exchange the process dies at, the same wishes again end with each item made anew once, and every take kept.
func TestDeathAtEveryExchangeOfARedo(t *testing.T) {
	its := []*Item{
		item("plate", map[string]any{"prompt": "plate"}),
		item("walk", map[string]any{"prompt": "walk", "image": From{Item: "plate"}}),
		item("other", map[string]any{"prompt": "other"}),
	}
	from, to := 0, 0
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.run(t, its, nil)
		from = w.exchange
		w.run(t, its, redoing(w.wishes(t, "plate", "walk")))
		to = w.exchange
	})
	for n := from; n < to; n++ {
		for _, kind := range []string{"before", "after"} {
			t.Run(fmt.Sprintf("%d-%s", n, kind), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld()
					w.run(t, its, nil)
					redo := w.wishes(t, "plate", "walk")
					takes := map[string]string{}
					for id := range redo {
						takes[id] = contentOf(w.record(t, id).AssetIDs[0])
					}
					ctx, die := context.WithCancel(t.Context())
					w.faults[n] = kind
					w.onFault = func() { die(); w.dead() }
					w.runUntil(t, ctx, ctx, its, redoing(redo))
					w.alive()
					w.run(t, its, redoing(redo))
					wantTotals(t, w.run(t, its, nil), Totals{Items: 3, Reused: 3})
					for what, n := range w.bought() {
						want := 2
						if what == "other" {
							want = 1
						}
						if n != want {
							t.Errorf("%s was bought %d times; exchanges: %v", what, n, w.log)
						}
					}
					for id, take := range takes {
						rec := w.record(t, id)
						old := rec.History[0].Outputs[0].Key
						if !strings.HasPrefix(old, historyFolder) || w.object(old) != take {
							t.Errorf("the first take of %s is not at %s; exchanges: %v", id, old, w.log)
						}
						if w.object(rec.Outputs[0].Key) != contentOf(rec.AssetIDs[0]) {
							t.Errorf("%s holds something else", rec.Outputs[0].Key)
						}
					}
				})
			})
		}
	}
}

func TestRedoThatBuysNothingChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, its := newWorld(), items(2)
		w.run(t, its, nil)
		was := w.record(t, "item-000")
		redo := w.wishes(t, "item-000")
		s := w.run(t, its, func(c *Config) {
			c.Redo = redo
			c.MayBuy = func(context.Context) error { return Errorf(CodeCredits, "no credits") }
		})
		if s.Outcomes[0].Status == Delivered || s.Stop == nil {
			t.Errorf("%s, %v", s.Outcomes[0].Status, s.Stop)
		}
		if now := w.record(t, "item-000"); now.State != Stored || now.JobID != was.JobID || len(now.History) != 0 || now.Attempts != 1 {
			t.Errorf("the record is now %+v", now)
		}
		wantTotals(t, w.run(t, its, func(c *Config) { c.Redo, c.Budget = redo, 2*jobPrice }), Totals{Items: 2, Skipped: 1, Reused: 1})
		wantTotals(t, w.run(t, its, nil), Totals{Items: 2, Reused: 2})
		wantTotals(t, w.run(t, its, redoing(redo)), Totals{Items: 2, Delivered: 1, Reused: 1})
	})
}

func TestRedoOfWhatFailedAndOfWhatIsUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, its := newWorld(), items(3)
		w.fate = func(n int, _ map[string]any) string {
			if n < 2 {
				return "moderated"
			}
			return ""
		}
		first := w.run(t, its[:2], nil)
		wantTotals(t, first, Totals{Items: 2, Failed: 2})
		redo := w.wishes(t, "item-000")
		redo["item-001"] = "job_of_a_rehearsal"
		redo["item-002"] = "job_never_seen" // nor the item
		s := w.run(t, its, redoing(redo))
		wantTotals(t, s, Totals{Items: 3, Delivered: 1, Skipped: 2})
		if len(w.jobs) != 3 {
			t.Errorf("%d jobs", len(w.jobs))
		}
	})
}

// A take that failed has nothing in the way; the one before it has.
func TestRedoAfterAFailedRedo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, its := newWorld(), items(1)
		w.fate = func(n int, _ map[string]any) string {
			if n == 1 {
				return "fail-charged"
			}
			return ""
		}
		w.run(t, its, nil)
		first := contentOf(w.record(t, "item-000").AssetIDs[0])
		w.run(t, its, redoing(w.wishes(t, "item-000")))
		if rec := w.record(t, "item-000"); rec.State != Broken || w.object("item-000.png") != first {
			t.Fatalf("%s", rec.State)
		}
		w.run(t, its, redoing(w.wishes(t, "item-000")))
		rec := w.record(t, "item-000")
		if rec.State != Stored || len(rec.History) != 2 || w.object(rec.History[0].Outputs[0].Key) != first || w.object("item-000.png") == first {
			t.Errorf("%+v", rec)
		}
	})
}
