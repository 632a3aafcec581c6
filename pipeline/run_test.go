package pipeline

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRunDeliversAndThenReuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, its := newWorld(), items(30)
		s := w.run(t, its, nil)
		wantTotals(t, s, Totals{Items: 30, Delivered: 30})
		if s.Totals.Spent != 30*jobPrice || s.Totals.Quoted != 30*jobPrice || s.ExitCode() != ExitDone {
			t.Errorf("spent %v, quoted %v, exit %d; want 75, 75, 0", s.Totals.Spent, s.Totals.Quoted, s.ExitCode())
		}
		if w.calls["quote"] != 1 {
			t.Errorf("%d price questions for one price shape, want 1", w.calls["quote"])
		}
		o := s.Outcomes[7]
		if len(o.Outputs) != 1 || o.Outputs[0].Key != "item-007.png" || o.Outputs[0].Width != 640 || o.Seed == "" || o.JobID == "" {
			t.Errorf("outcome is incomplete: %+v", o)
		}

		again := w.run(t, its, nil)
		wantTotals(t, again, Totals{Items: 30, Reused: 30})
		if w.calls["submit"]+w.calls["quote"]+w.calls["put"] != 0 || again.Totals.Spent != 0 {
			t.Errorf("the second run made calls: %v", w.calls)
		}
		if len(again.Outcomes[7].Outputs) != 1 || again.Outcomes[7].Outputs[0].SHA256 != o.Outputs[0].SHA256 {
			t.Error("a reused item lost its outputs")
		}
	})
}

// The sweep: whatever exchange the process dies at, and whether or not the other side acted, running the same thing
// again delivers everything and has bought every item once.
func TestDeathAtEveryExchange(t *testing.T) {
	its := []*Item{
		item("plate", map[string]any{"prompt": "plate"}),
		item("walk", map[string]any{"prompt": "walk", "image": From{Item: "plate"}}),
		item("other", map[string]any{"prompt": "other", "ref": File{Path: "f", SHA256: "abc"}}),
	}
	total := 0
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		wantTotals(t, w.run(t, its, nil), Totals{Items: 3, Delivered: 3})
		total = w.exchange
	})
	for n := range total {
		for _, kind := range []string{"before", "after"} {
			t.Run(fmt.Sprintf("%d-%s", n, kind), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld()
					ctx, die := context.WithCancel(t.Context())
					w.faults[n] = kind
					w.onFault = func() { die(); w.dead() }
					w.runUntil(t, ctx, ctx, its, nil)
					w.alive()
					s := w.run(t, its, nil)
					wantTotals(t, s, Totals{Items: 3, Delivered: s.Totals.Delivered, Reused: 3 - s.Totals.Delivered})
					for what, n := range w.bought() {
						if n != 1 {
							t.Errorf("%s was bought %d times; exchanges: %v", what, n, w.log)
						}
					}
					if w.uploads["abc"] > 2 {
						t.Errorf("the input was uploaded %d times", w.uploads["abc"])
					}
				})
			})
		}
	}
}

// Without dying: one exchange, or two, go wrong, and the one run copes.
func TestOneFaultAtEveryExchange(t *testing.T) {
	its := items(3)
	total := 0
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.run(t, its, nil)
		total = w.exchange
	})
	for n := range total {
		for _, kind := range []string{"before", "after"} {
			t.Run(fmt.Sprintf("%d-%s", n, kind), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld()
					w.faults[n], w.faults[n+5] = kind, kind
					wantTotals(t, w.run(t, its, nil), Totals{Items: 3, Delivered: 3})
					for what, n := range w.bought() {
						if n != 1 {
							t.Errorf("%s was bought %d times; exchanges: %v", what, n, w.log)
						}
					}
				})
			})
		}
	}
}

func TestLostAnswers(t *testing.T) {
	lose := func(w *world, kind string) { // the first submit
		w.faults[2] = kind // quote, save, submit
	}
	t.Run("its job is found although the listing lags", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.lag = 45 * time.Second
			lose(w, "after")
			s := w.run(t, items(1), nil)
			wantTotals(t, s, Totals{Items: 1, Delivered: 1})
			if len(w.jobs) != 1 || s.Totals.Spent != jobPrice {
				t.Errorf("%d jobs, %v CU", len(w.jobs), s.Totals.Spent)
			}
		})
	})
	t.Run("none is found and it is submitted once more", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			lose(w, "before")
			start := time.Now()
			s := w.run(t, items(1), nil)
			wantTotals(t, s, Totals{Items: 1, Delivered: 1})
			if len(w.jobs) != 1 || s.Totals.Spent != jobPrice {
				t.Errorf("%d jobs, %v CU", len(w.jobs), s.Totals.Spent)
			}
			if first := w.jobs[0].CreatedAt.Sub(start); first < defaultGrace {
				t.Errorf("it was submitted again after %v, before the grace period", first)
			}
		})
	})
	t.Run("none is found and it is held", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			lose(w, "before")
			s := w.run(t, items(1), func(c *Config) { c.OnLost = Hold })
			wantTotals(t, s, Totals{Items: 1, Unknown: 1})
			if len(w.jobs) != 0 || s.ExitCode() != ExitUnfinished || s.Outcomes[0].Err.HintText() == "" {
				t.Errorf("%d jobs, exit %d, %+v", len(w.jobs), s.ExitCode(), s.Outcomes[0].Err)
			}
			wantTotals(t, w.run(t, items(1), func(c *Config) { c.OnLost = Hold }), Totals{Items: 1, Unknown: 1})
			wantTotals(t, w.run(t, items(1), nil), Totals{Items: 1, Delivered: 1})
		})
	})
	t.Run("a job of another, older than the intent or with other inputs, is left alone", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			its := items(1)
			its[0].PicksSeed = false
			stranger := func(at time.Duration, prompt string) {
				w.jobs = append(w.jobs, &worldJob{Job: Job{ID: fmt.Sprintf("job_9%02d", len(w.jobs)), Model: "model_x", State: JobSucceeded,
					Input: map[string]any{"prompt": prompt}, CreatedAt: time.Now().Add(at).UTC(), AssetIDs: []string{"asset_theirs"}}})
			}
			stranger(-time.Minute, "picture 0")
			stranger(time.Second, "picture 1")
			stranger(time.Second, "asset_text_picture_1")
			lose(w, "before")
			s := w.run(t, its, nil)
			wantTotals(t, s, Totals{Items: 1, Delivered: 1})
			if s.Outcomes[0].Outputs[0].AssetID == "asset_theirs" || len(w.jobs) != 4 {
				t.Errorf("took %s; %d jobs", s.Outcomes[0].Outputs[0].AssetID, len(w.jobs))
			}
		})
	})
	for _, skew := range []time.Duration{-3 * time.Hour, 3 * time.Hour} {
		t.Run(fmt.Sprintf("clocks differ by %v, and the next run's too", skew), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.skew, w.lag = skew, 20*time.Second
				lose(w, "after")
				ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
				defer stop()
				its := items(1)
				its[0].PicksSeed = false
				wantTotals(t, w.runUntil(t, t.Context(), ctx, its, nil), Totals{Items: 1, Unknown: 1})
				s := w.run(t, its, nil)
				wantTotals(t, s, Totals{Items: 1, Delivered: 1})
				if len(w.jobs) != 1 {
					t.Errorf("%d jobs", len(w.jobs))
				}
			})
		})
	}
	t.Run("a job whose text begins like ours is not ours", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			its := items(1)
			its[0].PicksSeed = false
			w.jobs = append(w.jobs, &worldJob{Job: Job{ID: "job_900", Model: "model_x", State: JobSucceeded,
				Input: map[string]any{"prompt": "asset_text_picture"}, CreatedAt: time.Now().Add(time.Second).UTC(), AssetIDs: []string{"asset_theirs"}}})
			lose(w, "before")
			s := w.run(t, its, nil)
			wantTotals(t, s, Totals{Items: 1, Delivered: 1})
			if s.Outcomes[0].Outputs[0].AssetID == "asset_theirs" {
				t.Error("it took a stranger's")
			}
		})
	})
	t.Run("a job that may be ours and cannot be told is not paid for again", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			its := items(1)
			its[0].PicksSeed = false
			lose(w, "after")
			w.fate = func(n int, in map[string]any) string { in["prompt"] = "asset_text_"; return "" } // its text is not there
			s := w.run(t, its, nil)
			wantTotals(t, s, Totals{Items: 1, Unknown: 1})
			if len(w.jobs) != 1 || s.ExitCode() != ExitUnfinished {
				t.Errorf("%d jobs, exit %d", len(w.jobs), s.ExitCode())
			}
		})
	})
	t.Run("a prompt shown as an asset is recognised", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			lose(w, "after")
			w.fate = func(n int, in map[string]any) string { in["prompt"] = "asset_text_picture_0"; return "" }
			wantTotals(t, w.run(t, items(1), nil), Totals{Items: 1, Delivered: 1})
			if len(w.jobs) != 1 {
				t.Errorf("%d jobs", len(w.jobs))
			}
		})
	})
	t.Run("identical payloads find a job each", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			var its []*Item
			for i := range 6 {
				it := item(fmt.Sprintf("twin-%d", i), map[string]any{"prompt": "twin"})
				it.PicksSeed = false
				its = append(its, it)
			}
			w.faultOn = func(kind string, nth int) string {
				if kind == "submit" && nth%2 == 1 {
					return "after"
				}
				return ""
			}
			s := w.run(t, its, nil)
			wantTotals(t, s, Totals{Items: 6, Delivered: 6})
			seen := map[string]bool{}
			for _, o := range s.Outcomes {
				seen[o.JobID] = true
			}
			if len(w.jobs) != 6 || len(seen) != 6 {
				t.Errorf("%d jobs bought, %d of them used; want 6 and 6", len(w.jobs), len(seen))
			}
		})
	})
}

// Budget: whatever the order, the faults and the failures, what the API has charged never goes over it.
func TestBudgetIsNeverOvershot(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 25).Draw(rt, "items")
		limit := CU(rapid.IntRange(0, 30).Draw(rt, "budget")) * jobPrice
		concurrency := rapid.IntRange(1, 20).Draw(rt, "concurrency")
		fates := rapid.SliceOfN(rapid.SampledFrom([]string{"", "", "", "fail", "fail-charged", "moderated", "no-assets"}), 100, 100).Draw(rt, "fates")
		faults := rapid.SliceOfN(rapid.SampledFrom([]string{"", "", "", "", "before", "after"}), 120, 120).Draw(rt, "faults")
		ceiling := rapid.IntRange(0, 6).Draw(rt, "ceiling")
		stop := time.Duration(rapid.IntRange(1, 300).Draw(rt, "stop")) * time.Second
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.ceiling = ceiling
			w.fate = func(n int, _ map[string]any) string { return fates[n%len(fates)] }
			for i, f := range faults {
				w.faults[i] = f
			}
			its := items(n)
			for range 4 {
				following, cancel := context.WithTimeout(t.Context(), stop)
				s := w.runUntil(t, t.Context(), following, its, func(c *Config) { c.Budget, c.Concurrency = limit, concurrency })
				cancel()
				if charged, _ := w.charged(); charged > limit {
					rt.Fatalf("%v CU charged under a budget of %v", charged, limit)
				}
				if s.ExitCode() == ExitInternal {
					rt.Fatalf("internal error: %v", s.Stop)
				}
			}
			if _, peak := w.charged(); peak > limit {
				rt.Fatalf("at one instant %v CU were committed under a budget of %v", peak, limit)
			}
			for what, n := range w.deliveredTwice() {
				rt.Fatalf("%s was bought %d times although its first job was good", what, n)
			}
		})
	})
}

func TestBudgetStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		s := w.run(t, items(10), func(c *Config) { c.Budget = 4*jobPrice + 1 })
		wantTotals(t, s, Totals{Items: 10, Delivered: 4, Skipped: 6})
		if s.ExitCode() != ExitBudget || s.Stop.Code != CodeBudget || s.Totals.Spent != 4*jobPrice {
			t.Errorf("exit %d, stop %v, spent %v", s.ExitCode(), s.Stop, s.Totals.Spent)
		}
		// The same command again has the same brake; a higher one lets it go on.
		wantTotals(t, w.run(t, items(10), func(c *Config) { c.Budget = 4*jobPrice + 1 }), Totals{Items: 10, Reused: 4, Skipped: 6})
		wantTotals(t, w.run(t, items(10), func(c *Config) { c.Budget = 10 * jobPrice }), Totals{Items: 10, Reused: 4, Delivered: 6})
	})
}

func TestSignal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, its := newWorld(), items(20)
		following, signal := context.WithCancelCause(t.Context())
		time.AfterFunc(10*time.Second, func() { signal(Errorf(CodeInterrupted, "SIGINT")) })
		start := time.Now()
		s := w.runUntil(t, t.Context(), following, its, func(c *Config) { c.Concurrency = 5 })
		wantTotals(t, s, Totals{Items: 20, Running: 5, Skipped: 15})
		if s.ExitCode() != ExitUnfinished || time.Since(start) > 15*time.Second {
			t.Errorf("exit %d after %v", s.ExitCode(), time.Since(start))
		}
		wantTotals(t, w.run(t, its, nil), Totals{Items: 20, Delivered: 20})
		if len(w.jobs) != 20 {
			t.Errorf("%d jobs bought for 20 items", len(w.jobs))
		}
	})
}

func TestSignalBeforeAnythingIsBought(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		following, signal := context.WithCancelCause(t.Context())
		signal(Errorf(CodeInterrupted, "SIGINT"))
		s := newWorld().runUntil(t, t.Context(), following, items(3), nil)
		wantTotals(t, s, Totals{Items: 3, Skipped: 3})
		if s.ExitCode() != ExitInterrupted {
			t.Errorf("exit %d, want 130", s.ExitCode())
		}
	})
}

func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		s := w.run(t, items(20), func(c *Config) { c.Concurrency, c.Deadline = 5, time.Now().Add(10*time.Second) })
		if s.ExitCode() != ExitUnfinished || s.Stop.Code != CodeDeadline || s.Totals.Running != 5 {
			t.Errorf("exit %d, stop %v, totals %+v", s.ExitCode(), s.Stop, s.Totals)
		}
	})
}

// Nothing is begun that would still be generating when the time box ends, and what is quicker still is.
func TestTheTimeBoxIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.takes = func(int) time.Duration { return 40 * time.Second }
		s := w.run(t, items(40), func(c *Config) { c.Concurrency, c.Deadline = 5, time.Now().Add(2*time.Minute) })
		if s.ExitCode() != ExitUnfinished || s.Stop == nil || s.Stop.Code != CodeDeadline || s.Totals.Running != 0 || s.Totals.Delivered != 10 {
			t.Errorf("exit %d, stop %v, totals %+v", s.ExitCode(), s.Stop, s.Totals)
		}
		if took := s.FinishedAt.Sub(s.StartedAt); took > 2*time.Minute {
			t.Errorf("it took %v", took)
		}
		i := slices.IndexFunc(s.Outcomes, func(o Outcome) bool { return o.Status != Delivered })
		if o := s.Outcomes[i]; o.Status != Skipped || o.Err.Code != CodeDeadline || o.Attempts != 0 {
			t.Errorf("what is not delivered is %s: %v", o.Status, o.Err)
		}
		wantTotals(t, w.run(t, items(40), nil), Totals{Items: 40, Delivered: 30, Reused: 10})
	})
}

// A submit that waits for its turn when the run is told to stop is not sent.
func TestNothingIsBoughtAfterTheSignal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.limits = 30 * time.Second // for each submit's turn
		following, signal := context.WithCancelCause(t.Context())
		time.AfterFunc(45*time.Second, func() { signal(Errorf(CodeInterrupted, "SIGINT")) })
		atSignal := make(chan int, 1)
		time.AfterFunc(45*time.Second+time.Millisecond, func() { atSignal <- len(w.bought()) })
		start := time.Now()
		s := w.runUntil(t, t.Context(), following, items(20), nil)
		bought := <-atSignal
		if took := time.Since(start); took > 50*time.Second || len(w.bought()) != bought || bought == 0 {
			t.Errorf("%d bought at the signal, %d at the end, after %v; totals %+v", bought, len(w.bought()), took, s.Totals)
		}
		if s.Totals.Unknown != 0 {
			t.Errorf("what was never sent is unknown: %+v", s.Totals)
		}
	})
}

func TestConcurrencyIsTaught(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.ceiling = 12
		s := w.run(t, items(200), nil)
		wantTotals(t, s, Totals{Items: 200, Delivered: 200})
		if w.peak != 12 {
			t.Errorf("at most %d jobs were in flight, the ceiling is 12", w.peak)
		}
		if refused := w.calls["submit"] - 200; refused > 12 {
			t.Errorf("%d submits were refused before the ceiling was learned", refused)
		}
	})
}

func TestChains(t *testing.T) {
	plate := item("plate", map[string]any{"prompt": "plate"})
	walk := item("walk", map[string]any{"prompt": "walk", "image": From{Item: "plate", Kind: "image"}})
	run := item("run", map[string]any{"prompt": "run", "image": From{Item: "walk"}})
	alone := item("alone", map[string]any{"prompt": "alone"})
	its := []*Item{run, walk, plate, alone}
	t.Run("an item takes the asset of its source", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			s := w.run(t, its, nil)
			wantTotals(t, s, Totals{Items: 4, Delivered: 4})
			i := slices.IndexFunc(w.jobs, func(j *worldJob) bool { return j.Input["prompt"] == "walk" })
			if got, want := w.jobs[i].Input["image"], s.Outcomes[2].Outputs[0].AssetID; got != want {
				t.Errorf("it was given %v, want %v", got, want)
			}
		})
	})
	t.Run("a failed source blocks what is made from it, and nothing else", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			w.fate = func(_ int, in map[string]any) string {
				if in["prompt"] == "plate" {
					return "moderated"
				}
				return ""
			}
			s := w.run(t, its, nil)
			wantTotals(t, s, Totals{Items: 4, Delivered: 1, Failed: 1, Blocked: 2})
			if s.ExitCode() != ExitFailed || s.Outcomes[2].Err.Code != CodeModerated || s.Outcomes[0].Err.Code != CodeSource {
				t.Errorf("exit %d, %v, %v", s.ExitCode(), s.Outcomes[2].Err, s.Outcomes[0].Err)
			}
		})
	})
	t.Run("a source that is left out blocks it unless it is delivered already", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			only := func(ids ...string) func(*Config) {
				return func(c *Config) { c.Select = func(it *Item) bool { return slices.Contains(ids, it.ID) } }
			}
			wantTotals(t, w.run(t, its, only("walk")), Totals{Items: 4, Skipped: 3, Blocked: 1})
			wantTotals(t, w.run(t, its, only("plate")), Totals{Items: 4, Skipped: 3, Delivered: 1})
			wantTotals(t, w.run(t, its, only("walk")), Totals{Items: 4, Skipped: 2, Delivered: 1, Reused: 1})
		})
	})
}

func TestFailuresAreTriedAgainOnlyWhereThatCanHelp(t *testing.T) {
	for fate, again := range map[string]bool{"fail": true, "fail-charged": true, "moderated": false, "no-assets": false} {
		t.Run(fate, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.fate = func(n int, _ map[string]any) string {
					if n == 0 {
						return fate
					}
					return ""
				}
				s := w.run(t, items(1), nil)
				wantTotals(t, s, Totals{Items: 1, Failed: 1})
				wantSpent := map[bool]CU{true: jobPrice}[fate == "fail-charged" || fate == "no-assets"]
				if s.Totals.Spent != wantSpent || s.ExitCode() != ExitFailed {
					t.Errorf("spent %v, want %v; exit %d", s.Totals.Spent, wantSpent, s.ExitCode())
				}
				code := s.Outcomes[0].Err.Code
				s = w.run(t, items(1), nil)
				if again {
					wantTotals(t, s, Totals{Items: 1, Delivered: 1})
					return
				}
				wantTotals(t, s, Totals{Items: 1, Failed: 1})
				if len(w.jobs) != 1 || s.Outcomes[0].Err.Code != code {
					t.Errorf("%d jobs; %v, want %s again", len(w.jobs), s.Outcomes[0].Err, code)
				}
				wantTotals(t, w.run(t, items(1), func(c *Config) { c.Retry = []Code{code} }), Totals{Items: 1, Delivered: 1})
			})
		})
	}
}

func TestMaxFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.fate = func(int, map[string]any) string { return "fail" }
		s := w.run(t, items(50), func(c *Config) { c.Concurrency, c.MaxFailures = 2, MaxFailures{Count: 3} })
		if s.Stop == nil || s.Stop.Code != CodeTooManyFailures || s.Totals.Failed < 4 || s.Totals.Failed > 6 || s.ExitCode() != ExitFailed {
			t.Errorf("stop %v, totals %+v, exit %d", s.Stop, s.Totals, s.ExitCode())
		}
	})
}

// One at a time, not one job too many is bought: a failure counts before its slot is anybody else's.
func TestMaxFailuresToTheJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.fate = func(int, map[string]any) string { return "fail" }
		w.run(t, items(50), func(c *Config) { c.Concurrency, c.MaxFailures = 1, MaxFailures{Count: 2} })
		if len(w.jobs) != 3 {
			t.Errorf("%d jobs were bought, want 3", len(w.jobs))
		}
	})
}

func TestAnAlteredObjectIsRestoredWithoutBuying(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, its := newWorld(), items(3)
		w.run(t, its, nil)
		delete(w.objects, "item-000.png")
		w.objects["item-001.png"] = stored{[]byte("vandal"), 77}
		s := w.run(t, its, nil)
		wantTotals(t, s, Totals{Items: 3, Delivered: 2, Reused: 1})
		for _, o := range s.Outcomes {
			if held := string(w.objects[o.Item.ID+".png"].data); held != contentOf(o.Outputs[0].AssetID) {
				t.Errorf("%s holds %.30q", o.Item.ID, held)
			}
		}
		if len(w.jobs) != 3 {
			t.Errorf("%d jobs", len(w.jobs))
		}
	})
}

func TestAChangedItemIsMadeAnewAndRemembersTheOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.run(t, items(1), nil)
		changed := item("item-000", map[string]any{"prompt": "another picture"})
		wantTotals(t, w.run(t, []*Item{changed}, nil), Totals{Items: 1, Delivered: 1})
		entries, _ := w.Load(t.Context())
		h := entries["item-000"].Record.History
		if len(h) != 1 || h[0].JobID != "job_000" || len(h[0].Outputs) != 1 {
			t.Errorf("history %+v", h)
		}
	})
}

func TestADamagedRecordNeverLeadsToBuying(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.records["item-000"] = stored{[]byte(`{"id":"item-0`), 1}
		s := w.run(t, items(2), nil)
		wantTotals(t, s, Totals{Items: 2, Delivered: 1, Failed: 1})
		if len(w.jobs) != 1 || s.Outcomes[0].Err.Code != CodeLedger {
			t.Errorf("%d jobs, %v", len(w.jobs), s.Outcomes[0].Err)
		}
	})
}

func TestNothingIsBoughtWithoutLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		s := w.run(t, items(3), func(c *Config) {
			c.MayBuy = func(context.Context) error { return Errorf(CodeLocked, "another holds the batch") }
		})
		wantTotals(t, s, Totals{Items: 3, Skipped: 3})
		if len(w.jobs) != 0 || s.Stop == nil || s.Stop.Code != CodeLocked || s.ExitCode() != ExitLocked {
			t.Errorf("%d jobs, stop %v", len(w.jobs), s.Stop)
		}
		wantTotals(t, w.run(t, items(3), nil), Totals{Items: 3, Delivered: 3})
	})
}
