package main

import (
	"bytes"
	"cmp"
	_ "embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
)

//go:embed facts.json
var facts []byte

// A header is the snapshot's first line.
type header struct {
	Snapshot string `json:"snapshot"` // the newest date of any model
	Models   int    `json:"models"`
	Source   string `json:"source"`
}

// A model is written in the form in which GET /models/{id} answers under "model". The order of the fields is the
// order on the line; readers of the snapshot find "id" first.
type model struct {
	ID                 string   `json:"id"`
	Name               string   `json:"name"`
	Type               string   `json:"type"`
	Capabilities       []string `json:"capabilities"`
	Tags               []string `json:"tags"`
	AccessRestrictions *int     `json:"accessRestrictions,omitempty"`
	UpdatedAt          string   `json:"updatedAt,omitempty"`
	Inputs             []input  `json:"inputs"`
}

type input struct {
	Name          string            `json:"name"`
	Type          string            `json:"type"`
	Description   string            `json:"description,omitempty"`
	Required      *required         `json:"required,omitempty"`
	Default       json.RawMessage   `json:"default,omitempty"`
	Min           json.RawMessage   `json:"min,omitempty"`
	Max           json.RawMessage   `json:"max,omitempty"`
	AllowedValues []json.RawMessage `json:"allowedValues,omitempty"`
	MinLength     int               `json:"minLength,omitempty"`
	MaxLength     int               `json:"maxLength,omitempty"`
	Kind          string            `json:"kind,omitempty"`
	MaxSize       int64             `json:"maxSize,omitempty"` // bytes
	CostImpact    *bool             `json:"costImpact,omitempty"`
	Inputs        []input           `json:"inputs,omitempty"`
}

type required struct {
	Always    bool                `json:"always,omitempty"`
	IfDefined map[string]struct{} `json:"ifDefined,omitempty"`
}

// The tables' own form.
type (
	table struct {
		ID                 string     `json:"id"`
		Name               string     `json:"name"`
		Capabilities       []string   `json:"capabilities"`
		SchemaDate         string     `json:"schemaDate"`
		AccessRestrictions *int       `json:"accessRestrictions"`
		Inputs             []tableRow `json:"inputs"`
	}
	tableRow struct {
		Name              string            `json:"name"`
		Type              string            `json:"type"`
		Description       string            `json:"description"`
		Required          bool              `json:"required"`
		Default           json.RawMessage   `json:"default"`
		Min               json.RawMessage   `json:"min"`
		Max               json.RawMessage   `json:"max"`
		Allowed           []json.RawMessage `json:"allowed"`
		MinItems          int               `json:"minItems"`
		MaxItems          int               `json:"maxItems"`
		MaxLength         int               `json:"maxLength"`
		MaxSizeBytes      int64             `json:"maxSizeBytes"`
		Kind              string            `json:"kind"`
		CostImpact        *bool             `json:"costImpact"`
		RequiredIfDefined []string          `json:"requiredIfDefined"`
	}
	catalogue struct {
		Models map[string]struct {
			Name         string              `json:"name"`
			Capabilities []string            `json:"capabilities"`
			SchemaDate   string              `json:"schemaDate"`
			Inputs       [][]json.RawMessage `json:"inputs"` // name, type, required, default, min, max, allowed
		} `json:"models"`
	}
)

// build makes the snapshot of the tables in fsys, completed by facts: model id → input name → fields to set.
func build(fsys fs.FS, facts []byte) ([]byte, error) {
	models, err := catalogued(fsys)
	if err != nil {
		return nil, err
	}
	files, err := fs.Glob(fsys, "model_*.json")
	if err != nil {
		return nil, err
	}
	for _, name := range files {
		var t table
		if err := readJSON(fsys, name, &t); err != nil {
			return nil, err
		}
		models[t.ID] = t.model()
	}
	if err := complete(models, facts); err != nil {
		return nil, fmt.Errorf("facts.json: %w", err)
	}

	h := header{Models: len(models), Source: "docs.scenario.com"}
	for _, m := range models {
		date, _, _ := strings.Cut(m.UpdatedAt, "T")
		h.Snapshot = max(h.Snapshot, date)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(h); err != nil {
		return nil, err
	}
	for _, id := range slices.Sorted(maps.Keys(models)) {
		if err := enc.Encode(models[id]); err != nil {
			return nil, fmt.Errorf("%s: %w", id, err)
		}
	}
	return b.Bytes(), nil
}

func catalogued(fsys fs.FS) (map[string]*model, error) {
	var c catalogue
	if err := readJSON(fsys, "_catalog_all.json", &c); err != nil {
		return nil, err
	}
	models := make(map[string]*model, len(c.Models))
	for id, m := range c.Models {
		t := table{ID: id, Name: m.Name, Capabilities: m.Capabilities, SchemaDate: m.SchemaDate}
		for _, tuple := range m.Inputs {
			if len(tuple) != 7 {
				return nil, fmt.Errorf("%s: an input has %d columns, not 7", id, len(tuple))
			}
			var row tableRow
			for i, into := range []any{&row.Name, &row.Type, &row.Required, nil, nil, nil, &row.Allowed} {
				if into == nil {
					continue
				}
				if err := json.Unmarshal(tuple[i], into); err != nil {
					return nil, fmt.Errorf("%s: column %d of an input: %w", id, i+1, err)
				}
			}
			row.Default, row.Min, row.Max = tuple[3], tuple[4], tuple[5]
			t.Inputs = append(t.Inputs, row)
		}
		models[id] = t.model()
	}
	return models, nil
}

func (t table) model() *model {
	m := &model{ID: t.ID, Name: t.Name, Type: "custom", Capabilities: t.Capabilities, Tags: []string{"sc:third-party"},
		AccessRestrictions: t.AccessRestrictions, Inputs: []input{}}
	if t.SchemaDate != "" {
		m.UpdatedAt = t.SchemaDate + "T00:00:00.000Z"
	}
	for _, row := range t.Inputs {
		m.Inputs = append(m.Inputs, row.input())
	}
	return m
}

func (r tableRow) input() input {
	in := input{Name: r.Name, Type: r.Type, Description: r.Description, Default: defaultOf(r), Min: given(r.Min), Max: given(r.Max),
		AllowedValues: r.Allowed, MinLength: r.MinItems, MaxLength: cmp.Or(r.MaxLength, r.MaxItems), Kind: r.Kind,
		MaxSize: r.MaxSizeBytes, CostImpact: r.CostImpact}
	if r.Required {
		in.Required = &required{Always: true}
	}
	for _, other := range r.RequiredIfDefined {
		if in.Required == nil {
			in.Required = &required{}
		}
		if in.Required.IfDefined == nil {
			in.Required.IfDefined = map[string]struct{}{}
		}
		in.Required.IfDefined[other] = struct{}{}
	}
	return in
}

// defaultOf undoes what a printed table does to the default of an array: an empty one is a stray quotation mark,
// a filled one is its items joined by commas.
func defaultOf(r tableRow) json.RawMessage {
	def := given(r.Default)
	var text string
	if !strings.HasSuffix(r.Type, "_array") || json.Unmarshal(def, &text) != nil {
		return def
	}
	if strings.Trim(text, `"“”`) == "" {
		return nil
	}
	items, err := json.Marshal(strings.Split(text, ","))
	if err != nil {
		panic(err) // strings always marshal
	}
	return items
}

func given(v json.RawMessage) json.RawMessage {
	if string(v) == "null" {
		return nil
	}
	return v
}

// complete sets the fields that facts names. A fact about a model or an input that is not there is an error: it
// would otherwise be lost in silence when a table changes.
func complete(models map[string]*model, facts []byte) error {
	var byModel map[string]map[string]json.RawMessage
	if err := json.Unmarshal(facts, &byModel); err != nil {
		return err
	}
	for id, inputs := range byModel {
		m, ok := models[id]
		if !ok {
			return fmt.Errorf("%s is in no table", id)
		}
		for name, fields := range inputs {
			i := slices.IndexFunc(m.Inputs, func(in input) bool { return in.Name == name })
			if i < 0 {
				return fmt.Errorf("%s has no input %s", id, name)
			}
			dec := json.NewDecoder(bytes.NewReader(fields))
			dec.DisallowUnknownFields()
			if err := dec.Decode(&m.Inputs[i]); err != nil {
				return fmt.Errorf("%s %s: %w", id, name, err)
			}
		}
	}
	return nil
}

func readJSON(fsys fs.FS, name string, into any) error {
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
