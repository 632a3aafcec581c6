package manifest_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"
	"gopkg.in/yaml.v3"

	"dailies/internal/manifest"
)

func testSchema(t *testing.T) *jsonschema.Resolved {
	t.Helper()
	s := manifest.Schema([]manifest.ModelSchema{
		{ID: "model_veo3-1", Aliases: []string{"veo-3.1"}, Payload: &jsonschema.Schema{
			Type: "object",
			Properties: map[string]*jsonschema.Schema{
				"prompt":        {Type: "string"},
				"generateAudio": {Types: []string{"boolean", "null"}},
				"duration":      {AnyOf: []*jsonschema.Schema{{Enum: []any{4, 6, 8}}, {Type: "string", Pattern: `\$\{`}}},
			},
			Required:             []string{"generateAudio"},
			AdditionalProperties: &jsonschema.Schema{Not: &jsonschema.Schema{}},
		}},
		{ID: "model_bare"},
	})
	// What an editor is given is JSON; that is what has to hold.
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "https://json-schema.org/draft/2020-12/schema") {
		t.Error("the schema does not name its dialect")
	}
	var read jsonschema.Schema
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	resolved, err := read.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	return resolved
}

func TestSchema(t *testing.T) {
	schema := testSchema(t)
	const head = "version: 1\nbatch: test\n"
	tests := []struct {
		name, text string
		ok         bool
	}{
		{"everything", head + `output: s3://b/p
state: .state
key: "{item}{-n}{ext}"
salt: 1
x-anchors: [1]
on_lost_submit: hold
limits: {concurrency: auto, requests_per_minute: 100, budget: 12.5, deadline: 5h30m, max_failures: 10%}
vars: {a: [1]}
inputs: {k: a.png}
defaults: {model: veo-3.1, payload: {generateAudio: true, duration: 8}, tags: [x]}
items:
  - {id: a, prompt: x}
  - {id: b, model: model_veo3-1, payload: {duration: "${d}", generateAudio: null}, matrix: {d: [4], include: [{e: 5}]}, repeat: 2, tags: x}
  - {id: c, model: some-other, payload: {what: ever}, matrix: {d: "${a}"}}
`, true},
		{"no batch", "version: 1\nitems: [{id: a}]\n", false},
		{"unknown key", head + "outptu: x\nitems: [{id: a}]\n", false},
		{"unknown item key", head + "items: [{id: a, modle: x}]\n", false},
		{"item without id", head + "items: [{model: x}]\n", false},
		{"no items", head + "items: []\n", false},
		{"repeat", head + "items: [{id: a, repeat: 0}]\n", false},
		{"a model's unknown input", head + "items: [{id: a, model: veo-3.1, payload: {resoluton: x}}]\n", false},
		{"a model's wrong value", head + "items: [{id: a, model: veo-3.1, payload: {duration: 5}}]\n", false},
		{"the default model's wrong value", head + "defaults: {model: veo-3.1}\nitems: [{id: a, payload: {duration: 5}}]\n", false},
		{"another model's own matter", head + "defaults: {model: veo-3.1}\nitems: [{id: a, model: model_bare, payload: {duration: 5}}]\n", true},
		{"a wrong default", head + "defaults: {model: veo-3.1, payload: {duration: 5}}\nitems: [{id: a}]\n", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var v any
			if err := yaml.Unmarshal([]byte(tt.text), &v); err != nil {
				t.Fatal(err)
			}
			if err := schema.Validate(v); (err == nil) != tt.ok {
				t.Errorf("got %v", err)
			}
		})
	}
}

// The schema and the reader go by one table; this holds them to it for every key.
func TestSchemaAllowsWhatTheReaderAllows(t *testing.T) {
	text, err := json.Marshal(manifest.Schema(nil))
	if err != nil {
		t.Fatal(err)
	}
	var s struct {
		Properties map[string]struct {
			Description string
			Items       struct {
				Properties map[string]struct{ Description string }
			}
			Properties map[string]struct{ Description string }
		}
	}
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	read := func(body string) string {
		_, err := manifest.Parse("m.yaml", []byte(body), options())
		return report(err)
	}
	for name, p := range s.Properties {
		if p.Description == "" || strings.Contains(read(name+": 1\n"), "unknown key") {
			t.Errorf("key %s: description %q", name, p.Description)
		}
		for inner, q := range p.Properties {
			if q.Description == "" || strings.Contains(read(name+": {"+inner+": 1}\n"), "unknown key") {
				t.Errorf("key %s.%s: description %q", name, inner, q.Description)
			}
		}
		for inner, q := range p.Items.Properties {
			if q.Description == "" || strings.Contains(read(name+": [{"+inner+": 1}]\n"), "unknown key") {
				t.Errorf("key %s[].%s: description %q", name, inner, q.Description)
			}
		}
	}
}
