package pipeline

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
)

// It is judged only where the asset says something of that very input.
func TestDropped(t *testing.T) {
	says := func(input string, ids ...string) Asset { return Asset{Consumed: map[string][]string{input: ids}} }
	for _, tt := range []struct {
		name, sent string
		made       Asset
		missing    string
	}{
		{"all are there", `{"refs":["asset_a","asset_b"]}`, says("refs", "asset_b", "asset_a"), ""},
		{"one is not", `{"refs":["asset_a","asset_b"]}`, says("refs", "asset_a"), "refs asset_b"},
		{"none is", `{"refs":["asset_a"]}`, says("refs"), "refs asset_a"},
		{"another is", `{"image":"asset_a"}`, says("image", "asset_z"), "image asset_a"},
		{"more are", `{"refs":["asset_a"]}`, says("refs", "asset_a", "asset_z"), ""},
		{"nothing is said", `{"refs":["asset_a"]}`, Asset{}, ""},
		{"something is said of another input", `{"refs":["asset_a"],"image":"asset_b"}`, says("image", "asset_b"), ""},
		{"nothing was sent", `{"prompt":"x"}`, says("refs"), ""},
		{"no asset was sent", `{"refs":["ink"],"style":"asset"}`, says("refs"), ""},
		{"the parent is it", `{"image":"asset_a"}`, Asset{Parent: "asset_a"}, ""},
		{"the parent is another", `{"image":"asset_a"}`, Asset{Parent: "asset_z"}, "image asset_a"},
		{"the parent is one of two", `{"image":"asset_a","last":"asset_b"}`, Asset{Parent: "asset_z"}, ""},
		{"the input's own word counts more", `{"image":"asset_a"}`, Asset{Parent: "asset_z", Consumed: map[string][]string{"image": {"asset_a"}}}, ""},
		{"no payload", `null`, says("refs"), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			input, missing := dropped(json.RawMessage(tt.sent), tt.made)
			if got := strings.TrimSpace(input + " " + missing); got != tt.missing {
				t.Errorf("got %q, want %q", got, tt.missing)
			}
		})
	}
}

// forgetful is an API whose models do not see one input.
type forgetful struct {
	*world
	sees bool
}

func (f *forgetful) Assets(ctx context.Context, ids []string) (map[string]Asset, error) {
	known, err := f.world.Assets(ctx, ids)
	for id, a := range known {
		a.Consumed = map[string][]string{"refs": {}}
		if f.sees {
			a.Consumed["refs"] = []string{"asset_hall"}
		}
		known[id] = a
	}
	return known, err
}

func TestADroppedInputFailsTheItemAndKeepsItsFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, its := newWorld(), []*Item{item("hall", map[string]any{"prompt": "x", "refs": []any{"asset_hall"}})}
		its[0].Expect = atLeast(MeasureWidth, 1e6, 3) // which would have it made anew
		f := &forgetful{world: w}
		on := func(c *Config) { c.API = f }
		for range 2 {
			s := w.run(t, its, on)
			wantTotals(t, s, Totals{Items: 1, Failed: 1})
			if o := s.Outcomes[0]; o.Err.Code != CodeInputDropped || !strings.Contains(o.Err.Error(), "asset_hall, which was sent as refs") || !o.Charged() || len(o.Outputs) != 1 || s.ExitCode() != ExitFailed {
				t.Errorf("%+v: %v", o, o.Err)
			}
			if len(w.jobs) != 1 || w.object("hall.png") == "" {
				t.Errorf("%d jobs", len(w.jobs))
			}
		}
		f.sees, its[0].Expect = true, nil
		wantTotals(t, w.run(t, its, func(c *Config) { on(c); c.Retry = []Code{CodeInputDropped} }), Totals{Items: 1, Delivered: 1})
		wantTotals(t, w.run(t, its, on), Totals{Items: 1, Reused: 1})
	})
}
