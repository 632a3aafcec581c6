package sandbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A contract is a model record as the API gives it, read as far as validation and prices need it.
type contract struct {
	ID           string   `json:"id"`
	Name         string   `json:"name"`
	Capabilities []string `json:"capabilities"`
	Tags         []string `json:"tags"`
	Access       int      `json:"accessRestrictions"`
	Inputs       []input  `json:"inputs"`

	record json.RawMessage // as given
	makes  string          // image, video, audio, 3d or text
	priced bool            // the record says which inputs move the price
}

// An input is one field of a payload. [DOC] reference models.retrieve
type input struct {
	Name          string   `json:"name"`
	Type          string   `json:"type"`
	Required      required `json:"required"`
	Default       any      `json:"default"`
	Min           *float64 `json:"min"`
	Max           *float64 `json:"max"`
	Step          *float64 `json:"step"`
	MinLength     *int     `json:"minLength"`
	MaxLength     *int     `json:"maxLength"` // of a string or of an array
	AllowedValues []any    `json:"allowedValues"`
	Kind          string   `json:"kind"`    // of files
	MaxSize       int64    `json:"maxSize"` // of files, bytes
	CostImpact    *bool    `json:"costImpact"`
	Inputs        []input  `json:"inputs"` // of the elements of an inputs_array
}

// required says when an input must be there. conditionalValues exists too, but no captured record shows its form.
type required struct {
	Always       bool                       `json:"always"`
	IfDefined    map[string]json.RawMessage `json:"ifDefined"` // other input → {message}
	IfNotDefined map[string]json.RawMessage `json:"ifNotDefined"`
}

// readContract reads a model record; numbers keep their spelling.
func readContract(record json.RawMessage) (*contract, error) {
	c := &contract{record: record}
	d := json.NewDecoder(bytes.NewReader(record))
	d.UseNumber()
	if err := d.Decode(c); err != nil {
		return nil, fmt.Errorf("model record: %w", err)
	}
	c.makes = makes(c.Capabilities)
	c.priced = slices.ContainsFunc(c.Inputs, func(in input) bool { return in.CostImpact != nil })
	return c, nil
}

// makes tells what a model makes by the first of its capabilities that says: txt2img, img2video, video2audio, img23d…
func makes(capabilities []string) string {
	for _, c := range capabilities {
		switch {
		case strings.HasSuffix(c, "23d"):
			return "3d"
		case strings.HasSuffix(c, "2video"):
			return "video"
		case strings.HasSuffix(c, "2audio"):
			return "audio"
		case strings.HasSuffix(c, "2img"):
			return "image"
		case strings.HasSuffix(c, "2txt"):
			return "text"
		}
	}
	return "image"
}

func (c *contract) input(name string) *input {
	for i := range c.Inputs {
		if c.Inputs[i].Name == name {
			return &c.Inputs[i]
		}
	}
	return nil
}

// A reader answers for asset ids: what kind of asset one is and how large, if the project has it.
type reader func(assetID string) (kind string, size int64, ok bool)

// check holds a payload against the contract. It returns the inputs as the model will see them: without what the
// real API drops in silence (a single value where an array is declared), and without nulls. A problem is the
// reason of a 400; an unknown field is none unless strict is set.
func (c *contract) check(payload map[string]any, assets reader, strict bool) (taken map[string]any, problem string) {
	if strict {
		for name := range payload {
			if c.input(name) == nil {
				return nil, fmt.Sprintf("Input %s is not allowed", name)
			}
		}
	}
	taken, problem = checkInputs(c.Inputs, payload, assets)
	if problem != "" {
		return nil, problem
	}
	v := values{inputs: c.Inputs, given: taken}
	for _, r := range rules {
		if slices.Contains(r.models, c.ID) {
			if problem := r.broken(v); problem != "" {
				return nil, problem
			}
		}
	}
	return taken, ""
}

func checkInputs(inputs []input, payload map[string]any, assets reader) (taken map[string]any, problem string) {
	taken = make(map[string]any, len(payload))
	for name, v := range payload {
		if v != nil {
			taken[name] = v
		}
	}
	for i := range inputs {
		in := &inputs[i]
		v, ok := taken[in.Name]
		if !ok {
			continue
		}
		if in.array() {
			if _, isArray := v.([]any); !isArray {
				delete(taken, in.Name) // [CODE] dropped in silence and still charged
				continue
			}
		}
		if problem := in.check(v, assets); problem != "" {
			return nil, "Input " + in.Name + " " + problem
		}
	}
	for i := range inputs {
		in := &inputs[i]
		if taken[in.Name] != nil {
			continue
		}
		if in.Required.Always {
			return nil, "Input " + in.Name + " is required"
		}
		for _, other := range slices.Sorted(maps.Keys(in.Required.IfDefined)) {
			if taken[other] != nil {
				return nil, reason(in.Required.IfDefined[other], in.Name, "when "+other+" is given")
			}
		}
		for _, other := range slices.Sorted(maps.Keys(in.Required.IfNotDefined)) {
			if taken[other] == nil {
				return nil, reason(in.Required.IfNotDefined[other], in.Name, "when "+other+" is not given")
			}
		}
	}
	return taken, ""
}

// reason is why a condition makes an input required: in the record's own words, where it has any.
func reason(condition json.RawMessage, name, when string) string {
	var c struct{ Message string }
	if json.Unmarshal(condition, &c) == nil && c.Message != "" {
		return c.Message
	}
	return "Input " + name + " is required " + when
}

func (in *input) array() bool { return strings.HasSuffix(in.Type, "_array") }

func (in *input) file() bool { return in.Type == "file" || in.Type == "file_array" }

// check says what is wrong with a value, to follow "Input name ".
func (in *input) check(v any, assets reader) string {
	if !in.array() {
		return in.checkOne(in.Type, v, assets)
	}
	list := v.([]any)
	if in.MinLength != nil && len(list) < *in.MinLength {
		return fmt.Sprintf("must have at least %d items", *in.MinLength)
	}
	if in.MaxLength != nil && len(list) > *in.MaxLength {
		return fmt.Sprintf("must have at most %d items", *in.MaxLength)
	}
	if in.Required.Always && len(list) == 0 {
		return "is required"
	}
	for i, e := range list {
		if problem := in.checkOne(strings.TrimSuffix(in.Type, "_array"), e, assets); problem != "" {
			return fmt.Sprintf("[%d] %s", i, problem)
		}
	}
	return ""
}

func (in *input) checkOne(typ string, v any, assets reader) string {
	switch typ {
	case "boolean":
		if _, ok := v.(bool); !ok {
			return "must be a boolean"
		}
	case "number", "integer":
		n, ok := v.(json.Number)
		if !ok {
			return "must be a number"
		}
		return in.checkNumber(n)
	case "file":
		id, ok := v.(string)
		if !ok || !strings.HasPrefix(id, "asset_") {
			return "must be an asset id"
		}
		kind, size, ok := assets(id)
		switch {
		case !ok:
			return "refers to an asset that does not exist: " + id
		case in.Kind != "" && kind != in.Kind:
			return fmt.Sprintf("must be of kind %s, and %s is of kind %s", in.Kind, id, kind)
		case in.MaxSize > 0 && size > in.MaxSize:
			return fmt.Sprintf("must be at most %d bytes", in.MaxSize)
		}
	case "inputs":
		m, ok := v.(map[string]any)
		if !ok {
			return "must be an object"
		}
		if len(in.Inputs) > 0 {
			if _, problem := checkInputs(in.Inputs, m, assets); problem != "" {
				return "is refused: " + problem
			}
		}
	case "string", "model":
		text, ok := v.(string)
		if !ok {
			return "must be a string"
		}
		n := utf8.RuneCountInString(text)
		switch {
		case !in.array() && in.MinLength != nil && n < *in.MinLength:
			return fmt.Sprintf("must be at least %d characters long", *in.MinLength)
		case !in.array() && in.MaxLength != nil && n > *in.MaxLength:
			return fmt.Sprintf("must be at most %d characters long", *in.MaxLength)
		case in.Required.Always && n == 0:
			return "is required"
		}
	}
	return in.checkAllowed(v)
}

func (in *input) checkNumber(n json.Number) string {
	f, err := n.Float64()
	if err != nil || math.IsInf(f, 0) {
		return "must be a number"
	}
	if in.Min != nil && f < *in.Min {
		return "must be at least " + plain(*in.Min)
	}
	if in.Max != nil && f > *in.Max {
		return "must be at most " + plain(*in.Max)
	}
	if in.Step != nil && *in.Step > 0 {
		from := 0.0
		if in.Min != nil {
			from = *in.Min
		}
		steps := (f - from) / *in.Step
		if math.Abs(steps-math.Round(steps)) > 1e-6 {
			return "must be a multiple of " + plain(*in.Step)
		}
	}
	return in.checkAllowed(n)
}

func (in *input) checkAllowed(v any) string {
	if len(in.AllowedValues) == 0 {
		return ""
	}
	for _, a := range in.AllowedValues {
		if same(a, v) {
			return ""
		}
	}
	words := make([]string, len(in.AllowedValues))
	for i, a := range in.AllowedValues {
		words[i] = fmt.Sprint(a)
	}
	return "must be one of " + strings.Join(words, ", ")
}

// same compares two scalars of JSON; 8 and 8.0 are the same number, 8 and "8" are not the same.
func same(a, b any) bool {
	x, ok1 := a.(json.Number)
	y, ok2 := b.(json.Number)
	if ok1 && ok2 {
		f, _ := x.Float64()
		g, _ := y.Float64()
		return f == g
	}
	return a == b
}

func plain(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// values reads a payload with the contract's defaults behind it.
type values struct {
	inputs []input
	given  map[string]any
}

func (v values) of(name string) any {
	if x, ok := v.given[name]; ok {
		return x
	}
	for i := range v.inputs {
		if v.inputs[i].Name == name {
			return v.inputs[i].Default
		}
	}
	return nil
}

func (v values) has(name string) bool { return v.given[name] != nil }

func (v values) text(name string) string {
	t, _ := v.of(name).(string)
	return t
}

func (v values) flag(name string) bool {
	b, _ := v.of(name).(bool)
	return b
}

// number reads a number, also one spelt as a string: Kling's duration is "5".
func (v values) number(name string) (float64, bool) {
	switch x := v.of(name).(type) {
	case json.Number:
		f, err := x.Float64()
		return f, err == nil
	case string:
		f, err := strconv.ParseFloat(x, 64)
		return f, err == nil
	}
	return 0, false
}

func (v values) count(name string) int {
	list, _ := v.of(name).([]any)
	return len(list)
}
