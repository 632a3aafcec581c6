package manifest

import (
	"cmp"
	"encoding/json"
	"slices"

	"github.com/google/jsonschema-go/jsonschema"
)

// A ModelSchema is one model's branch of the manifest's schema.
type ModelSchema struct {
	ID      string
	Aliases []string
	Payload *jsonschema.Schema // of the payload as a manifest holds it: with ${references}, and null to remove a default
}

// Schema is the JSON Schema (2020-12) of manifests, for editors: every key with its description, and for every model
// its payload. It is looser than Load: nothing is required of a payload, because defaults and prompt: bring some of
// it, and it knows nothing of files, names and ids.
func Schema(models []ModelSchema) *jsonschema.Schema {
	models = slices.SortedFunc(slices.Values(models), func(a, b ModelSchema) int { return cmp.Compare(a.ID, b.ID) })
	root := object(manifestKeys)
	root.Schema = "https://json-schema.org/draft/2020-12/schema"
	root.Title = "dailies manifest"
	root.Description = "A batch of assets to generate, version 1."
	root.PatternProperties = map[string]*jsonschema.Schema{"^x-": {Description: "Ignored: a place for YAML anchors."}}
	root.Defs = schemas{}
	item := object(itemKeys)
	root.Properties["items"].Items = item
	var names []any
	for _, m := range models {
		own := []any{m.ID}
		for _, a := range m.Aliases {
			own = append(own, a)
		}
		names = append(names, own...)
		root.Defs[m.ID] = &jsonschema.Schema{Type: "object"}
		if m.Payload != nil {
			*root.Defs[m.ID] = *m.Payload
			root.Defs[m.ID].Required = nil
		}
		ref := func() *jsonschema.Schema { return &jsonschema.Schema{Ref: "#/$defs/" + m.ID} }
		isModel := func() *jsonschema.Schema {
			return &jsonschema.Schema{Properties: schemas{"model": {Enum: own}}, Required: []string{"model"}}
		}
		item.AllOf = append(item.AllOf, &jsonschema.Schema{
			If:   isModel(),
			Then: &jsonschema.Schema{Properties: schemas{"payload": ref()}},
		})
		root.AllOf = append(root.AllOf, &jsonschema.Schema{
			If: &jsonschema.Schema{Properties: schemas{"defaults": isModel()}, Required: []string{"defaults"}},
			Then: &jsonschema.Schema{Properties: schemas{
				"defaults": {Properties: schemas{"payload": ref()}},
				"items": {Items: &jsonschema.Schema{
					If:   &jsonschema.Schema{Not: &jsonschema.Schema{Required: []string{"model"}}},
					Then: &jsonschema.Schema{Properties: schemas{"payload": ref()}},
				}},
			}},
		})
	}
	if len(names) > 0 {
		root.Defs["model"] = &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Enum: names}, {Type: "string"}}}
		for _, model := range []*jsonschema.Schema{item.Properties["model"], root.Properties["defaults"].Properties["model"]} {
			model.Type, model.Ref = "", "#/$defs/model"
		}
	}
	return root
}

type schemas = map[string]*jsonschema.Schema

// object is the schema of a mapping with the keys of a table and no others.
func object(table []key) *jsonschema.Schema {
	s := &jsonschema.Schema{
		Type:                 "object",
		Properties:           schemas{},
		AdditionalProperties: &jsonschema.Schema{Not: &jsonschema.Schema{}},
	}
	for _, k := range table {
		p := k.form()
		p.Description, p.Examples = k.doc, k.examples
		s.Properties[k.name] = p
		s.PropertyOrder = append(s.PropertyOrder, k.name)
		if k.required {
			s.Required = append(s.Required, k.name)
		}
	}
	return s
}

// A form makes the schema of a key's value, new each time: schemas are trees.
type form func() *jsonschema.Schema

func formVersion() *jsonschema.Schema { return &jsonschema.Schema{Const: new(any(1))} }
func formText() *jsonschema.Schema {
	return &jsonschema.Schema{Types: []string{"string", "number", "boolean", "null"}}
}
func formBatch() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: batchName.String()}
}
func formModel() *jsonschema.Schema { return &jsonschema.Schema{Type: "string"} }
func formAnyMapping() *jsonschema.Schema {
	return &jsonschema.Schema{Types: []string{"object", "null"}}
}
func formPayload() *jsonschema.Schema { return &jsonschema.Schema{Types: []string{"object", "null"}} }
func formCount() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "integer", Minimum: new(1.0)}
}
func formAmount() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "number", Minimum: new(0.0)}
}
func formDuration() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: `^([0-9]+(\.[0-9]+)?(h|m|s|ms))+$`}
}
func formFailures() *jsonschema.Schema {
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{
		{Type: "integer", Minimum: new(0.0)},
		{Type: "string", Pattern: `^[0-9]+%?$`},
	}}
}
func formConcurrency() *jsonschema.Schema {
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Enum: []any{"auto"}}, formCount()}, Default: json.RawMessage(`"auto"`)}
}
func formLost() *jsonschema.Schema {
	return &jsonschema.Schema{Enum: []any{"adopt-or-resubmit", "hold"}, Default: json.RawMessage(`"adopt-or-resubmit"`)}
}
func formTexts() *jsonschema.Schema {
	return &jsonschema.Schema{Types: []string{"object", "null"}, AdditionalProperties: &jsonschema.Schema{Type: "string"}}
}
func formTags() *jsonschema.Schema {
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{formText(), {Type: "array", Items: formText()}}}
}
func formMatrix() *jsonschema.Schema {
	rows := &jsonschema.Schema{Type: "array", Items: &jsonschema.Schema{Type: "object"}}
	return &jsonschema.Schema{
		Type:       "object",
		Properties: schemas{"include": rows, "exclude": {Type: "array", Items: &jsonschema.Schema{Type: "object"}}},
		AdditionalProperties: &jsonschema.Schema{AnyOf: []*jsonschema.Schema{
			{Type: "array", MinItems: new(1)},
			{Type: "string", Pattern: `^\$\{`},
		}},
	}
}
func formFrom() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: `(?i)\.(csv|tsv|jsonl)$|\$\{`}
}
func formWords() *jsonschema.Schema {
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Type: "string"}, {Type: "array", Items: &jsonschema.Schema{Type: "string"}, MinItems: new(1)}}}
}
func formCheck() *jsonschema.Schema {
	return &jsonschema.Schema{Types: []string{"integer", "string", "null"}, Minimum: new(0.0)}
}
func formSeconds() *jsonschema.Schema {
	return &jsonschema.Schema{Types: []string{"string", "number"}}
}
func formExpectDuration() *jsonschema.Schema {
	return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Types: []string{"string", "number", "null"}}, object(spanKeys)}}
}
func formExpect() *jsonschema.Schema {
	s := object(expectKeys)
	s.Type, s.Types = "", []string{"object", "null"}
	return s
}
func formLimits() *jsonschema.Schema   { return object(limitKeys) }
func formDefaults() *jsonschema.Schema { return object(defaultKeys) }
func formItems() *jsonschema.Schema    { return &jsonschema.Schema{Type: "array", MinItems: new(1)} }
