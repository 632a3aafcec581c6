package catalog

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/google/jsonschema-go/jsonschema"
)

// PayloadSchema describes the model's payload as a manifest holds it (JSON Schema, draft 2020-12), for editors: any
// scalar may be text with a ${variable} in it, a file is text, null takes a default away. It lets through what
// [Model.Check] turns into the right form. What is required is named, though a manifest's defaults may supply it;
// rules between inputs are left to Check.
func (m *Model) PayloadSchema() *jsonschema.Schema {
	if m.open {
		return &jsonschema.Schema{Type: "object", Title: m.Name, Description: m.Description}
	}
	s := object(m.Inputs)
	for i := range m.Inputs {
		if in := &m.Inputs[i]; m.holdsJSON(in.Name) { // a list is written as text
			s.Properties[in.Name].AnyOf = append(s.Properties[in.Name].AnyOf, &jsonschema.Schema{Type: "array"})
		}
	}
	s.Title, s.Description, s.Deprecated = m.Name, m.Description, m.Successor != ""
	return s
}

func object(list []Input) *jsonschema.Schema {
	s := &jsonschema.Schema{Type: "object", Properties: make(map[string]*jsonschema.Schema), AdditionalProperties: &jsonschema.Schema{Not: &jsonschema.Schema{}}}
	for i := range list {
		in := &list[i]
		p := in.schema()
		p.Description = in.about()
		if in.Default != nil {
			p.Default = json.RawMessage(canonical(in.Default))
		}
		s.Properties[in.Name] = p
		s.PropertyOrder = append(s.PropertyOrder, in.Name)
		if in.Required && in.Default == nil {
			s.Required = append(s.Required, in.Name)
		}
	}
	return s
}

// about is the help an editor shows.
func (in *Input) about() string {
	parts := []string{strings.TrimSpace(in.Description)}
	if parts[0] == "" {
		parts[0] = in.Label
	}
	if in.Type == File || in.Type == FileArray {
		kind := "file"
		if in.Kind != "" {
			kind = in.Kind + " file"
		}
		takes := fmt.Sprintf("Takes a %s, an asset id, ${inputs.NAME} or ${items.ID}.", kind)
		if in.MaxBytes > 0 {
			takes += fmt.Sprintf(" At most %s each.", megabytes(in.MaxBytes))
		}
		parts = append(parts, takes)
	}
	return strings.TrimSpace(strings.Join(parts, " "))
}

func template() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: `\$\{[^}]+\}`}
}

// anyOf lets any of the forms through, and null.
func anyOf(forms ...*jsonschema.Schema) *jsonschema.Schema {
	s := &jsonschema.Schema{}
	for _, form := range append(forms, &jsonschema.Schema{Type: "null"}) {
		if form.AnyOf != nil {
			s.AnyOf = append(s.AnyOf, form.AnyOf...)
		} else {
			s.AnyOf = append(s.AnyOf, form)
		}
	}
	return s
}

func (in *Input) schema() *jsonschema.Schema {
	switch in.Type {
	case FileArray, StringArray, NumberArray, ModelArray, InputsArray:
		list := &jsonschema.Schema{Type: "array", Items: in.item()}
		if in.Type != StringArray {
			list.MinItems, list.MaxItems = limit(in.MinLength), limit(in.MaxLength)
		}
		return anyOf(list, in.item()) // a single value is wrapped
	}
	return anyOf(in.item())
}

// item is the schema of one value: the input's own, or one of its list.
func (in *Input) item() *jsonschema.Schema {
	if in.Type == InputsArray {
		if in.Inputs == nil {
			return &jsonschema.Schema{Type: "object"}
		}
		return object(in.Inputs)
	}
	return in.scalar()
}

func (in *Input) scalar() *jsonschema.Schema {
	if len(in.Allowed) > 0 {
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Enum: in.enum()}, template()}}
	}
	switch in.Type {
	case Boolean:
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Type: "boolean"}, template()}}
	case Number, NumberArray:
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Type: "number", Minimum: in.Min, Maximum: in.Max}, template()}}
	case File, FileArray:
		return &jsonschema.Schema{Type: "string", MinLength: new(1)}
	case String, StringArray:
		if in.MaxLength > 0 {
			return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Types: []string{"string", "number"}, MaxLength: limit(in.MaxLength)}, template()}}
		}
		return &jsonschema.Schema{Types: []string{"string", "number"}}
	case ModelID, ModelArray:
		return &jsonschema.Schema{Type: "string"}
	}
	return &jsonschema.Schema{}
}

// enum is what is allowed, as an editor compares it: numbers as numbers, and 5 where "5" is wanted.
func (in *Input) enum() []any {
	var values []any
	for _, v := range in.Allowed {
		n, isNumber := v.(json.Number)
		if text, ok := v.(string); ok {
			n = json.Number(text)
		}
		if !isNumber {
			values = append(values, v)
		}
		if f, err := n.Float64(); err == nil && jsonNumber(n.String()) {
			values = append(values, f)
		}
	}
	return values
}

func limit(n int) *int {
	if n <= 0 {
		return nil
	}
	return &n
}
