package pipeline

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
)

func TestPartsAreStableAndEven(t *testing.T) {
	its := items(1000)
	parts := Divide(its, 5)
	sizes := make([]int, 6)
	for _, p := range parts {
		sizes[p]++
	}
	for p, n := range sizes[1:] {
		if n < 150 || n > 250 {
			t.Errorf("part %d has %d of 1000 items", p+1, n)
		}
	}
	fewer := slices.DeleteFunc(slices.Clone(its), func(it *Item) bool { return it.ID < "item-500" && it.ID > "item-100" })
	at := map[string]int{}
	for i, it := range its {
		at[it.ID] = parts[i]
	}
	for i, p := range Divide(fewer, 5) {
		if at[fewer[i].ID] != p {
			t.Fatalf("%s moved from part %d to %d when others went", fewer[i].ID, at[fewer[i].ID], p)
		}
	}
	if parts := Divide(its, 1); slices.Max(parts) != 1 || slices.Min(parts) != 1 {
		t.Error("one part is not everything")
	}
}

// TestWhatBelongsTogetherIsNotDivided: nothing waits for another machine, and no two machines submit what looks alike.
func TestWhatBelongsTogetherIsNotDivided(t *testing.T) {
	var its []*Item
	for i := range 40 {
		source := item(fmt.Sprintf("plate-%d", i), map[string]any{"prompt": fmt.Sprint("plate ", i)})
		walk := item(fmt.Sprintf("walk-%d", i), map[string]any{"image": From{Item: source.ID}})
		walk.Sources = []string{source.ID}
		cut := item(fmt.Sprintf("cut-%d", i), map[string]any{"video": From{Item: walk.ID}, "image": From{Item: source.ID}})
		cut.Sources = []string{walk.ID, source.ID}
		its = append(its, cut, walk, source) // takers may come first
	}
	for i := range 40 {
		seedless := item(fmt.Sprintf("same-%d", i), map[string]any{"prompt": "the same"})
		seedless.PicksSeed = false
		its = append(its, seedless, item(fmt.Sprintf("seeded-%d", i), map[string]any{"prompt": "the same, with a seed each"}))
	}
	for _, it := range its {
		it.Fingerprint = Fingerprint(it.Model, it.Payload, it.ID, func(id string) string { return id })
	}
	at := map[string]int{}
	for i, p := range Divide(its, 7) {
		at[its[i].ID] = p
	}
	same, seeded := map[int]bool{}, map[int]bool{}
	for i := range 40 {
		plate, walk, cut := at[fmt.Sprintf("plate-%d", i)], at[fmt.Sprintf("walk-%d", i)], at[fmt.Sprintf("cut-%d", i)]
		if plate != walk || plate != cut {
			t.Errorf("chain %d is divided: parts %d, %d and %d", i, plate, walk, cut)
		}
		same[at[fmt.Sprintf("same-%d", i)]] = true
		seeded[at[fmt.Sprintf("seeded-%d", i)]] = true
	}
	if len(same) != 1 {
		t.Errorf("identical payloads are in %d parts", len(same))
	}
	if len(seeded) != 7 {
		t.Errorf("items that only look alike are in %d of 7 parts", len(seeded))
	}
}

// TestPartsMakeTheWhole: each part buys its own, within its own budget, and the last report has everything.
func TestPartsMakeTheWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, its := newWorld(), items(12)
		w.fate = func(n int, input map[string]any) string {
			if input["prompt"] == its[3].Payload["prompt"] {
				return "failed"
			}
			return ""
		}
		parts := Divide(its, 3)
		in := func(p int) func(*Item) bool {
			return func(it *Item) bool { return parts[slices.Index(its, it)] == p }
		}
		var whole *Summary
		for p := 1; p <= 3; p++ {
			mine := in(p)
			own := 0
			for _, it := range its {
				if mine(it) {
					own++
				}
			}
			others := func(it *Item) bool { return !mine(it) }
			s := w.run(t, its, func(c *Config) { c.Elsewhere, c.Budget = others, CU(own)*jobPrice })
			if s.Totals.Failed+s.Totals.Delivered != own {
				t.Errorf("part %d: %+v, want its %d items made", p, s.Totals, own)
			}
			entries, err := w.Load(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			whole = s.Complete(others, entries, nil)
			if s.ExitCode() == ExitFailed != (parts[3] == p) {
				t.Errorf("part %d exits with %d", p, s.ExitCode())
			}
		}
		if n := whole.Totals; n.Items != 12 || n.Failed != 1 || n.Delivered+n.Reused != 11 || n.Skipped != 0 {
			t.Errorf("the last part's report has %+v", n)
		}
		entries, _ := w.Load(t.Context())
		all := Recollect(its, entries, nil)
		if n := all.Totals; n.Delivered != 11 || n.Failed != 1 || n.Spent != 11*jobPrice {
			t.Errorf("what is known comes to %+v", n)
		}
		if all.StartedAt.IsZero() || !all.FinishedAt.After(all.StartedAt) {
			t.Errorf("from %v to %v", all.StartedAt, all.FinishedAt)
		}
	})
}

func TestKnown(t *testing.T) {
	it := item("a", map[string]any{"prompt": "p"})
	rec := func(s State, change func(*Record)) Entry {
		r := Record{ID: "a", State: s, Fingerprint: it.Fingerprint, Model: it.Model, JobID: "job", Attempts: 1}
		if change != nil {
			change(&r)
		}
		return Entry{Record: r}
	}
	for name, c := range map[string]struct {
		entry Entry
		want  Status
		code  Code
	}{
		"nothing":             {Entry{}, Skipped, ""},
		"refused":             {rec(Refused, nil), Skipped, ""},
		"intended":            {rec(Intended, nil), Unknown, ""},
		"submitted":           {rec(Submitted, nil), Running, ""},
		"succeeded":           {rec(Succeeded, nil), Running, ""},
		"stored":              {rec(Stored, nil), Reused, ""},
		"failed":              {rec(Broken, func(r *Record) { r.Error = &RecordedError{Code: CodeModerated, Message: "no"} }), Failed, CodeModerated},
		"about what it was":   {rec(Stored, func(r *Record) { r.Fingerprint = "other" }), Skipped, ""},
		"cannot be read":      {Entry{Damaged: Errorf(CodeLedger, "torn")}, Failed, CodeLedger},
		"failed without word": {rec(Broken, nil), Failed, CodeLedger},
	} {
		o := Known(it, c.entry)
		if o.Status != c.want || CodeOf(asError(o.Err)) != c.code {
			t.Errorf("%s: %s, %v; want %s %s", name, o.Status, o.Err, c.want, c.code)
		}
	}
	refused := Outcome{Item: &Item{ID: "a", Fingerprint: it.Fingerprint}, Status: Failed, Err: Errorf(CodeInput, "no such picture")}
	s := Recollect([]*Item{it}, nil, map[string]Outcome{"a": refused})
	if o := s.Outcomes[0]; o.Status != Failed || o.Item != it || s.Totals.Failed != 1 {
		t.Errorf("what an earlier report knew is lost: %+v", o)
	}
	s = Recollect([]*Item{it}, map[string]Entry{"a": rec(Submitted, nil)}, map[string]Outcome{"a": refused})
	if s.Outcomes[0].Status != Running {
		t.Error("an earlier report counts for more than the ledger")
	}
}

func asError(e *Error) error {
	if e == nil {
		return nil
	}
	return e
}
