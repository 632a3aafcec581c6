package catalog

import (
	"encoding/json"
	"fmt"
	"strconv"
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

func anyOf(s ...*jsonschema.Schema) *jsonschema.Schema {
	return &jsonschema.Schema{AnyOf: append(s, &jsonschema.Schema{Type: "null"})}
}

func (in *Input) schema() *jsonschema.Schema {
	one := in.scalar()
	switch in.Type {
	case FileArray, StringArray, NumberArray, ModelArray:
		list := &jsonschema.Schema{Type: "array", Items: one}
		if in.Type != StringArray {
			list.MinItems, list.MaxItems = limit(in.MinLength), limit(in.MaxLength)
		}
		return anyOf(list, one) // a single value is wrapped
	case InputsArray:
		item := &jsonschema.Schema{Type: "object"}
		if in.Inputs != nil {
			item = object(in.Inputs)
		}
		return anyOf(&jsonschema.Schema{Type: "array", Items: item, MinItems: limit(in.MinLength), MaxItems: limit(in.MaxLength)}, item)
	}
	if one.AnyOf != nil {
		return anyOf(one.AnyOf...)
	}
	return anyOf(one)
}

// scalar is the schema of one value, or of one item of a list.
func (in *Input) scalar() *jsonschema.Schema {
	if len(in.Allowed) > 0 {
		var enum []any
		for _, v := range in.Allowed {
			enum = append(enum, v)
			text, isText := v.(string)
			if !isText {
				text = show(v)
			}
			if f, err := strconv.ParseFloat(text, 64); err == nil && jsonNumber(text) {
				if !isText {
					enum = enum[:len(enum)-1]
				}
				enum = append(enum, f) // where text is wanted, 5 becomes "5"
			}
		}
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Enum: enum}, template()}}
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

func limit(n int) *int {
	if n <= 0 {
		return nil
	}
	return &n
}
