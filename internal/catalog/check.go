package catalog

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"dailies/pipeline"
)

// MaxSeed is the largest seed that is ever picked, whatever more a model would take.
const MaxSeed = 2147483647

// Check implements [pipeline.Contract]. The payload is not altered; what comes back shares nothing with it but
// leaves. Notes tell every change, and checking what came back makes no further one.
func (m *Model) Check(payload map[string]any) pipeline.Checked {
	c := &checker{model: m}
	if m.remark != nil {
		c.out.Notes = append(c.out.Notes, *m.remark)
	}
	if m.Successor != "" {
		c.note(nil, fmt.Sprintf("%s is deprecated", m.Name), "its successor is %s", m.Successor)
	}
	if m.open {
		c.out.Payload, _ = c.free(nil, "", payload).(map[string]any)
		return c.out
	}
	c.out.Payload = c.object(nil, m.Inputs, payload)
	for _, r := range m.rules {
		r.check(c)
	}
	c.out.TakesSeed, c.out.SeedMax = m.seed(c.out.Payload)
	return c.out
}

// seed tells whether the payload leaves a seed open, and how large one may be, also in the place of one that is given.
func (m *Model) seed(payload map[string]any) (takes bool, largest int64) {
	in, ok := input(m.Inputs, "seed")
	if !ok || in.Type != Number || in.Allowed != nil || in.Min != nil && *in.Min > 1 || in.Max != nil && *in.Max < 1 {
		return false, 0
	}
	largest = MaxSeed
	if in.Max != nil && *in.Max < MaxSeed {
		largest = int64(*in.Max)
	}
	_, given := payload["seed"]
	return !given, largest
}

// A checker walks one payload.
type checker struct {
	model *Model
	out   pipeline.Checked
}

func (c *checker) problem(path []any, message, hint string, args ...any) {
	c.out.Problems = append(c.out.Problems, pipeline.Finding{Path: path, Message: message, Hint: fmt.Sprintf(hint, args...)})
}

func (c *checker) note(path []any, message, hint string, args ...any) {
	c.out.Notes = append(c.out.Notes, pipeline.Finding{Path: path, Message: message, Hint: fmt.Sprintf(hint, args...)})
}

// under returns the path of something inside path.
func under(path []any, step any) []any { return append(slices.Clip(path), step) }

// label is how messages call a place: "duration", "multiPrompt[1].prompt".
func label(path []any) string {
	var b strings.Builder
	for _, step := range path {
		switch step := step.(type) {
		case string:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(step)
		case int:
			fmt.Fprintf(&b, "[%d]", step)
		}
	}
	return b.String()
}

// object holds the keys of obj against a list of inputs.
func (c *checker) object(path []any, list []Input, obj map[string]any) map[string]any {
	out := make(map[string]any, len(obj))
	meant := map[string]bool{} // inputs a wrong key probably stands for: not reported as missing as well
	for _, key := range sortedKeys(obj) {
		if _, ok := input(list, key); ok {
			continue
		}
		out[key] = c.free(under(path, key), key, obj[key])
		hint, in := suggest(list, key, c.model)
		meant[in] = true
		where := ""
		if len(path) > 0 {
			where = " in " + label(path)
		}
		c.out.Problems = append(c.out.Problems, pipeline.Finding{Path: under(path, key), OnKey: true, Hint: hint,
			Message: fmt.Sprintf("%s has no input %s%s", c.model.Name, quote(key), where)})
	}
	for i := range list {
		in := &list[i]
		at := under(path, in.Name)
		v, given := obj[in.Name]
		if given && v == nil {
			given = false
			c.note(at, in.Name+" is null: it is left out", "")
		}
		if given {
			out[in.Name] = c.value(at, in, v)
			continue
		}
		if !in.needed(obj) || meant[in.Name] {
			continue
		}
		if in.Default != nil {
			out[in.Name] = c.free(at, in.Name, in.Default)
			c.note(path, fmt.Sprintf("%s: %s is added: %s requires it, and this is its default", in.Name, show(in.Default), c.model.Name),
				"write %s yourself to choose", in.Name)
			continue
		}
		where := c.model.Name
		if len(path) > 0 {
			where = label(path)
		}
		c.problem(path, fmt.Sprintf("%s needs %s", where, in.Name), "%s", in.howTo())
	}
	return out
}

// needed tells whether the input must be in obj.
func (in *Input) needed(obj map[string]any) bool {
	if in.Required {
		return true
	}
	isGiven := func(name string) bool { return given(obj[name]) }
	return slices.ContainsFunc(in.RequiredIf, isGiven) ||
		len(in.RequiredOr) > 0 && !slices.ContainsFunc(in.RequiredOr, isGiven)
}

// given tells whether a value says anything: null, "" and an empty list do not.
func given(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case string:
		return v != ""
	case []any:
		return len(v) > 0
	}
	return true
}

// howTo shows what to write for an input that is missing.
func (in *Input) howTo() string {
	example := ""
	switch {
	case len(in.Allowed) > 0:
		return fmt.Sprintf("add %s: %s (it takes %s)", in.Name, show(in.Allowed[0]), choices(in.Allowed))
	case in.Type == File:
		example = "${inputs.NAME}, a file or an asset id"
	case in.Type == FileArray:
		example = `["${inputs.NAME}"], a list of files or asset ids`
	case in.Type == Boolean:
		example = "true or false"
	case in.Type == Number:
		example = "a number"
		if r := in.span(); r != "" {
			example += ", " + r
		}
	case in.Type == String:
		example = `"…"`
	case in.Type == InputsArray:
		example = "a list of objects"
	case strings.HasSuffix(string(in.Type), "_array"):
		example = "a list"
	default:
		return "add " + in.Name
	}
	return "add " + in.Name + ": " + example
}

// free copies what no contract describes, and finds the asset ids in it: files, other items' assets, ids that say
// so themselves, and text under a key that is plainly a file's ("frontalImage").
func (c *checker) free(path []any, key string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for _, k := range sortedKeys(v) {
			out[k] = c.free(under(path, k), k, v[k])
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = c.free(under(path, i), key, e)
		}
		return out
	case pipeline.File:
		c.file(path, fileKey(key), 0)
	case pipeline.From:
		c.file(path, fileKey(key), 0)
		return aimed(v, fileKey(key))
	case string:
		if strings.HasPrefix(v, "asset_") || v != "" && fileKey(key) != "" {
			c.file(path, fileKey(key), 0)
		}
	}
	return v
}

// fileKey is the kind of file that text under this key names, "" when it names none.
func fileKey(key string) string {
	key = strings.ToLower(key)
	for _, kind := range []string{"image", "video", "audio"} {
		if strings.HasSuffix(key, kind) || strings.HasSuffix(key, kind+"s") {
			return kind
		}
	}
	return ""
}

func (c *checker) file(path []any, kind string, maxBytes int64) {
	c.out.Files = append(c.out.Files, pipeline.FileInput{Path: path, Kind: kind, MaxBytes: maxBytes})
}

// aimed says which of the other item's assets is wanted, where nobody has said so.
func aimed(v pipeline.From, kind string) pipeline.From {
	if v.Kind == "" {
		v.Kind = kind
	}
	return v
}

// jsonNumber tells whether s is a number in JSON's grammar (Go's is wider).
func jsonNumber(s string) bool {
	if s == "" || s[0] != '-' && (s[0] < '0' || s[0] > '9') {
		return false
	}
	return json.Valid([]byte(s))
}
