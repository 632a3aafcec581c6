package catalog

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"dailies/pipeline"
)

// A Model is one model's contract. It is read-only and safe for concurrent use.
type Model struct {
	ID           string // the API's full id
	Name         string // as the API shows it to people
	Description  string // one line, often empty
	Capabilities []string
	Inputs       []Input
	Access       int       // the plan grade it asks for: 0 free, 25, 50, 75, 100 [SEEN]; 0 also when not told
	Date         time.Time // of the contract; zero when not told
	Successor    string    // the id that takes its place, from the tag "deprecated:<id>"; empty when it is current
	FetchedAt    time.Time // when the live API gave this contract; zero for the snapshot's

	open   bool // the contract names no inputs: anything is let through
	rules  []rule
	remark *pipeline.Finding // said of every payload: the name that led here is not the model's own
}

// A Type is what kind of value an input takes, in the API's words.
type Type string

const (
	Boolean     Type = "boolean"
	File        Type = "file" // an asset id, whatever the input's name says
	FileArray   Type = "file_array"
	InputsArray Type = "inputs_array" // objects with inputs of their own
	ModelID     Type = "model"
	ModelArray  Type = "model_array"
	Number      Type = "number"
	NumberArray Type = "number_array"
	String      Type = "string"
	StringArray Type = "string_array"
)

// An Input is one key a payload may have.
type Input struct {
	Name        string
	Type        Type
	Label       string
	Description string
	Default     any // JSON value with json.Number; nil when there is none
	Required    bool
	RequiredIf  []string // required once one of these is given
	RequiredOr  []string // required unless one of these is given
	Min, Max    *float64 // of a number, or of each number in an array
	Step        *float64 // from Min, or from 0
	Allowed     []any    // JSON values: strings or json.Number
	MinLength   int      // characters of text; items of an array
	MaxLength   int      // the same; 0 when not told
	Kind        string   // of a file: image, video, audio, 3d, …; guessed from the name where the contract is silent
	MaxBytes    int64    // of a file; 0 when not told
	MovesPrice  *bool    // nil when not told
	Inputs      []Input  // of each object in an array; nil when not told
}

// Model returns the full id.
func (m *Model) Model() string { return m.ID }

// Makes returns the kind of asset the model is for, "" when its capabilities name none or several.
func (m *Model) Makes() string {
	made := ""
	for _, c := range m.Capabilities {
		_, to, ok := strings.Cut(c, "2") // "txt2video", "3d23d"
		if !ok {
			continue
		}
		if to == "img" {
			to = "image"
		}
		if made != "" && made != to {
			return ""
		}
		made = to
	}
	return made
}

// input finds one of a list by its name.
func input(list []Input, name string) (*Input, bool) {
	i := slices.IndexFunc(list, func(in Input) bool { return in.Name == name })
	if i < 0 {
		return nil, false
	}
	return &list[i], true
}

// record is a model as GET /models/{id} describes it, as far as contracts need it.
type record struct {
	ID                 string        `json:"id"`
	Name               string        `json:"name"`
	ShortDescription   string        `json:"shortDescription"`
	Capabilities       []string      `json:"capabilities"`
	Tags               []string      `json:"tags"`
	AccessRestrictions int           `json:"accessRestrictions"`
	UpdatedAt          string        `json:"updatedAt"`
	Inputs             []inputRecord `json:"inputs"`
}

type inputRecord struct {
	Name          string          `json:"name"`
	Type          Type            `json:"type"`
	Label         string          `json:"label"`
	Description   string          `json:"description"`
	Required      json.RawMessage `json:"required"`
	Default       any             `json:"default"`
	Min           *float64        `json:"min"`
	Max           *float64        `json:"max"`
	Step          *float64        `json:"step"`
	AllowedValues []any           `json:"allowedValues"`
	MinLength     int             `json:"minLength"`
	MaxLength     int             `json:"maxLength"`
	Kind          string          `json:"kind"`
	MaxSize       int64           `json:"maxSize"` // bytes [DOC]
	CostImpact    *bool           `json:"costImpact"`
	Inputs        []inputRecord   `json:"inputs"`
}

// envelope is a record as the API answers it ({"model": …}) and as the cache keeps it (with the date).
type envelope struct {
	Model     json.RawMessage `json:"model"`
	FetchedAt time.Time       `json:"fetchedAt,omitzero"`
}

// unwrap takes a record out of its envelope, if it is in one.
func unwrap(data json.RawMessage) (envelope, error) {
	var e envelope
	if err := json.Unmarshal(data, &e); err != nil {
		return e, err
	}
	if len(e.Model) == 0 || e.Model[0] != '{' {
		e.Model = data
	}
	return e, nil
}

// parse reads a record in the API's form: the snapshot's, the cache's or a live answer.
func parse(data json.RawMessage) (*Model, error) {
	e, err := unwrap(data)
	if err != nil {
		return nil, err
	}
	var r record
	dec := json.NewDecoder(strings.NewReader(string(e.Model)))
	dec.UseNumber()
	if err := dec.Decode(&r); err != nil {
		return nil, err
	}
	if r.ID == "" {
		return nil, fmt.Errorf("the record has no id")
	}
	m := &Model{ID: r.ID, Name: r.Name, Description: r.ShortDescription, Capabilities: r.Capabilities,
		Access: r.AccessRestrictions, FetchedAt: e.FetchedAt, open: r.Inputs == nil}
	if m.Name == "" {
		m.Name = r.ID
	}
	if at, err := time.Parse(time.RFC3339, r.UpdatedAt); err == nil {
		m.Date = at
	}
	for _, tag := range r.Tags {
		if id, ok := strings.CutPrefix(tag, "deprecated:"); ok {
			m.Successor = id
		}
	}
	m.Inputs, err = inputs(r.Inputs)
	return m, err
}

func inputs(records []inputRecord) ([]Input, error) {
	var list []Input
	for _, r := range records {
		if r.Name == "" {
			return nil, fmt.Errorf("an input has no name")
		}
		if _, twice := input(list, r.Name); twice {
			return nil, fmt.Errorf("there are two inputs %s", r.Name)
		}
		in := Input{Name: r.Name, Type: r.Type, Label: r.Label, Description: r.Description, Default: r.Default, Min: r.Min, Max: r.Max,
			Step: r.Step, Allowed: r.AllowedValues, MinLength: r.MinLength, MaxLength: r.MaxLength, MaxBytes: r.MaxSize, MovesPrice: r.CostImpact}
		if r.Type == File || r.Type == FileArray {
			in.Kind = r.Kind
			if in.Kind == "" {
				in.Kind = kindOf(r.Name)
			}
		}
		if err := in.require(r.Required); err != nil {
			return nil, fmt.Errorf("input %s: %w", r.Name, err)
		}
		nested, err := inputs(r.Inputs)
		if err != nil {
			return nil, fmt.Errorf("input %s: %w", r.Name, err)
		}
		in.Inputs = nested
		list = append(list, in)
	}
	return list, nil
}

// require reads {"always": true, "ifDefined": {"other": …}, "ifNotDefined": {"other": …}}, or a plain boolean.
// The form of its conditionalValues is documented nowhere, so they are left to the API.
func (in *Input) require(data json.RawMessage) error {
	if len(data) == 0 || string(data) == "null" || json.Unmarshal(data, &in.Required) == nil {
		return nil
	}
	var rule struct {
		Always       bool                       `json:"always"`
		IfDefined    map[string]json.RawMessage `json:"ifDefined"`
		IfNotDefined map[string]json.RawMessage `json:"ifNotDefined"`
	}
	if err := json.Unmarshal(data, &rule); err != nil {
		return fmt.Errorf("required: %w", err)
	}
	in.Required, in.RequiredIf, in.RequiredOr = rule.Always, sortedKeys(rule.IfDefined), sortedKeys(rule.IfNotDefined)
	return nil
}

// kindOf guesses from its name what kind of file an input takes. The tables name no kinds; what is at stake is
// only which of another item's assets is taken where it made several.
func kindOf(name string) string {
	name = strings.ToLower(name)
	for _, k := range []struct{ kind, words string }{
		{"audio", "audio voice music"},
		{"video", "video"},
		{"image", "image img frame mask texture photo panorama palette"},
		{"3d", "model mesh 3d"},
	} {
		for word := range strings.FieldsSeq(k.words) {
			if strings.Contains(name, word) {
				return k.kind
			}
		}
	}
	return ""
}
