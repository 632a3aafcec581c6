package catalog

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"dailies/pipeline"
)

// leaf draws any value a payload can hold at its ends, those that a contract likes among them.
func leaf(in *Input) *rapid.Generator[any] {
	gens := []*rapid.Generator[any]{
		rapid.SampledFrom([]any{nil, true, false, "", " ", "x", "true", "8", "-0", "1e999", "asset_a", "refs/a.png", "https://example.com/a.png",
			json.Number("5"), json.Number("5.0"), json.Number("-1"), json.Number("1e400"), json.Number("99999999999999999999"),
			pipeline.File{Name: "a.png", Bytes: 1 << 30}, pipeline.From{Item: "a"}, pipeline.From{Item: "b", Kind: "audio"}}),
		rapid.Map(rapid.String(), func(s string) any { return s }),
		rapid.Just[any](`[{"prompt":"a","duration":5}]`),
	}
	if in != nil && len(in.Allowed) > 0 {
		gens = append(gens, rapid.SampledFrom(in.Allowed))
	}
	return rapid.OneOf(gens...)
}

func value(in *Input, depth int) *rapid.Generator[any] {
	if depth == 0 {
		return leaf(in)
	}
	var nested []Input
	if in != nil {
		nested = in.Inputs
	}
	return rapid.OneOf(leaf(in), leaf(in),
		rapid.Map(rapid.SliceOfN(value(in, depth-1), 0, 4), func(s []any) any { return s }),
		rapid.Map(object1(nested, depth-1), func(m map[string]any) any { return m }))
}

func object1(list []Input, depth int) *rapid.Generator[map[string]any] {
	return rapid.Custom(func(t *rapid.T) map[string]any {
		m := map[string]any{}
		for i := range list {
			if rapid.Bool().Draw(t, "give "+list[i].Name) {
				m[list[i].Name] = value(&list[i], depth).Draw(t, list[i].Name)
			}
		}
		if rapid.IntRange(0, 3).Draw(t, "stray") == 0 {
			m[rapid.String().Draw(t, "key")] = value(nil, depth).Draw(t, "value")
		}
		return m
	})
}

func copied(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := make(map[string]any, len(v))
		for k, e := range v {
			m[k] = copied(e)
		}
		return m
	case []any:
		s := make([]any, len(v))
		for i, e := range v {
			s[i] = copied(e)
		}
		return s
	}
	return v
}

// at follows a path; ok tells whether it leads anywhere.
func at(v any, path []any) (any, bool) {
	for _, step := range path {
		switch step := step.(type) {
		case string:
			m, ok := v.(map[string]any)
			if !ok {
				return nil, false
			}
			if v, ok = m[step]; !ok {
				return nil, false
			}
		case int:
			s, ok := v.([]any)
			if !ok || step >= len(s) {
				return nil, false
			}
			v = s[step]
		}
	}
	return v, true
}

func holds(t interface{ Errorf(string, ...any) }, m *Model, in map[string]any) {
	before := copied(in)
	got := m.Check(in)
	if !reflect.DeepEqual(before, any(in)) {
		t.Errorf("the payload was altered: %v, was %v", in, before)
	}
	m.PriceShape(in)
	m.PriceShape(got.Payload)
	for _, f := range got.Files {
		v, ok := at(got.Payload, f.Path)
		switch v.(type) {
		case string, pipeline.File, pipeline.From:
		default:
			ok = false
		}
		if !ok {
			t.Errorf("no asset stands at %v of %v", f.Path, got.Payload)
		}
	}
	for _, p := range slices.Concat(got.Problems, got.Notes) {
		if _, ok := at(in, p.Path); !ok {
			t.Errorf("%q is about %v, which the payload does not have: %v", p.Message, p.Path, in)
		}
		if p.Message == "" {
			t.Errorf("a finding says nothing: %+v", p)
		}
	}
	again := m.Check(got.Payload)
	if !reflect.DeepEqual(again.Payload, got.Payload) {
		t.Errorf("a second check changes more: %v, then %v", got.Payload, again.Payload)
	}
	for _, n := range again.Notes {
		if !slices.ContainsFunc(got.Notes, func(o pipeline.Finding) bool { return o.Message == n.Message }) {
			t.Errorf("a second check notes more: %s", n.Message)
		}
	}
	if len(again.Problems) != len(got.Problems) {
		t.Errorf("problems %v, then %v", got.Problems, again.Problems)
	}
	if len(got.Problems) == 0 {
		free := copied(got.Payload).(map[string]any)
		for _, f := range got.Files { // what is sent once every asset is known
			set(free, f.Path, "asset_a")
		}
		if _, err := json.Marshal(free); err != nil {
			t.Errorf("a payload without problems is not JSON: %v", err)
		}
	}
}

func set(v any, path []any, to any) {
	parent, _ := at(v, path[:len(path)-1])
	switch step := path[len(path)-1].(type) {
	case string:
		parent.(map[string]any)[step] = to
	case int:
		parent.([]any)[step] = to
	}
}

func TestCheckHoldsForAnyPayload(t *testing.T) {
	c := Snapshot()
	ids := sortedKeys(c.records)
	ruled := sortedKeys(c.rules())
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.OneOf(rapid.SampledFrom(ids), rapid.SampledFrom(ruled)).Draw(t, "model")
		m, err := c.Model(id)
		if err != nil {
			t.Fatal(err)
		}
		holds(t, m, object1(m.Inputs, 3).Draw(t, "payload"))
	})
}

func FuzzCheck(f *testing.F) {
	for _, name := range []string{"veo-3.1", "kling-v3-i2v-pro", "kling-v3-omni", "happy-horse-r2v", "meshy-7-txt23d", "seedance-2.0"} {
		f.Add(name, []byte(`{"prompt":"character1","duration":5,"multiPrompt":[{"prompt":"a","duration":5}],"referenceImages":"asset_a","elements":[{"frontalImage":"a.png"}],"seed":null}`))
	}
	c := Snapshot()
	f.Fuzz(func(t *testing.T, name string, data []byte) {
		m, err := c.Model(name)
		if err != nil {
			return
		}
		dec := json.NewDecoder(bytes.NewReader(data))
		dec.UseNumber()
		var in map[string]any
		if dec.Decode(&in) == nil && in != nil {
			holds(t, m, in)
		}
	})
}

// A live record is a stranger's text.
func FuzzParse(f *testing.F) {
	rules := Snapshot().rules()
	data, _ := Snapshot().Record("model_bytedance-seedance-2-0")
	f.Add([]byte(data))
	f.Add([]byte(`{"model":{"id":"model_x","inputs":[{"name":"a","type":"inputs_array","required":{"ifDefined":{"b":null}},"inputs":[{"name":"b","type":"number","allowedValues":[1,"2",null]}]}]}}`))
	f.Add([]byte(`{"id":"x","inputs":[{"name":"a","type":"string","required":7}]}`))
	f.Add([]byte(`{"id":"x","inputs":[{"name":"a","type":"string"},{"name":"a","type":"number"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := parse(data)
		if err != nil {
			return
		}
		m.rules = rules[m.ID]
		holds(t, m, map[string]any{"a": "x", "b": json.Number("1")})
		if _, err := json.Marshal(m.PayloadSchema()); err != nil {
			t.Errorf("schema: %v", err)
		}
	})
}
