package pipeline

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
)

func TestPlan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		made := []*Item{
			item("kept", map[string]any{"prompt": "kept"}),
			item("changed", map[string]any{"prompt": "changed", "steps": 4, "mode": "pro"}),
			item("drifted", map[string]any{"prompt": "drifted"}),
			item("gone", map[string]any{"prompt": "gone"}),
			item("failed", map[string]any{"prompt": "failed"}),
			item("plate", map[string]any{"prompt": "plate"}),
			item("walk", map[string]any{"prompt": "walk", "image": From{Item: "plate"}}),
		}
		w.fate = func(_ int, in map[string]any) string {
			if in["prompt"] == "failed" {
				return "moderated"
			}
			return ""
		}
		w.run(t, made, nil)
		w.objects["drifted.png"] = stored{[]byte("vandal"), 9}
		spent := len(w.jobs)

		plate := item("plate", map[string]any{"prompt": "another plate"})
		walk := item("walk", map[string]any{"prompt": "walk", "image": From{Item: "plate"}})
		walk.Fingerprint = "as its source has changed, so has this"
		now := []*Item{
			made[0],
			item("changed", map[string]any{"prompt": "changed a lot", "steps": 8, "fps": 24}),
			made[2], made[4], plate, walk,
			item("new", map[string]any{"prompt": "new"}),
		}
		c := Config{API: w, Fetcher: w, Inspector: w, Store: w, Ledger: w, Batch: "b", Budget: Unlimited}
		p, err := MakePlan(t.Context(), c, now, true)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, s := range p.Steps {
			line := fmt.Sprintf("%s %s", s.Action, s.ID)
			if s.Price != nil {
				line += " " + s.Price.String()
			}
			got = append(got, line+": "+strings.Join(s.Why, "; "))
		}
		want := []string{
			`= kept: `,
			`~ changed 2.5: fps: added, 24; mode: removed, was "pro"; prompt: "changed" → "changed a lot"; steps: 4 → 8`,
			`! drifted: drifted.png was altered`,
			`x failed: it failed with moderated; --retry moderated tries it again`,
			`~ plate 2.5: prompt: "plate" → "another plate"`,
			`~ walk 2.5: image: "asset_005" → "the new asset of plate"`,
			`+ new 2.5: `,
			`- gone: no longer in the manifest; what it made is left where it is`,
		}
		for i := range want {
			want[i] = strings.ReplaceAll(want[i], "asset_005", w.assetOf(t, "plate"))
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		if p.Total != 4*jobPrice || p.Unpriced != 0 || len(w.jobs) != spent {
			t.Errorf("total %v, %d unpriced, %d jobs bought by planning", p.Total, p.Unpriced, len(w.jobs)-spent)
		}

		before := p.Ledger
		w.run(t, now[:1], nil)
		if p, _ = MakePlan(t.Context(), c, now, false); p.Ledger != before {
			t.Error("a run that wrote nothing changed the ledger's digest")
		}
		w.run(t, now, nil)
		if p, _ = MakePlan(t.Context(), c, now, false); p.Ledger == before {
			t.Error("the ledger moved on and its digest did not")
		}
	})
}

// assetOf is the asset an item has in the ledger.
func (w *world) assetOf(t *testing.T, id string) string {
	t.Helper()
	entries, err := w.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return entries[id].Record.Outputs[0].AssetID
}
