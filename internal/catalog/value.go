package catalog

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	"dailies/pipeline"
)

// value holds one value against its input and returns it as it will be sent.
func (c *checker) value(path []any, in *Input, v any) any {
	switch in.Type {
	case String, ModelID:
		return c.text(path, in, v)
	case Number:
		return c.number(path, in, v)
	case Boolean:
		return c.boolean(path, v)
	case File:
		return c.asset(path, in, v)
	case FileArray, StringArray, NumberArray, ModelArray, InputsArray:
		return c.list(path, in, v)
	}
	return c.free(path, in.Name, v) // a type younger than this program: the API knows
}

// isFile tells whether v stands for an asset.
func isFile(v any) bool {
	switch v.(type) {
	case pipeline.File, pipeline.From:
		return true
	}
	return false
}

// unfit reports a value of the wrong type.
func (c *checker) unfit(path []any, v any, want, hint string) any {
	is := show(v)
	if s, ok := v.(string); ok {
		is = quote(s)
	}
	c.problem(path, fmt.Sprintf("%s takes %s, not %s", label(path), want, is), "%s", hint)
	return c.free(path, "", v)
}

func (c *checker) text(path []any, in *Input, v any) any {
	s, isText := v.(string)
	if n, ok := v.(json.Number); ok && jsonNumber(n.String()) {
		s, isText = n.String(), true
		if f, err := n.Float64(); err == nil && len(in.Allowed) > 0 {
			s = showNumber(f) // 5.0 is the choice "5"
		}
		if len(in.Allowed) > 0 && !slices.Contains(in.Allowed, any(s)) {
			c.problem(path, fmt.Sprintf("%s %s is not one %s takes", label(path), n, c.model.Name), "use %s", choices(in.Allowed))
			return v
		}
		c.note(path, fmt.Sprintf("%s: %s is sent as the text %s: %s takes text here", label(path), n, quote(s), c.model.Name), "write %s to be exact", quote(s))
	}
	if !isText {
		if list, ok := v.([]any); ok && c.model.holdsJSON(in.Name) && len(path) == 1 {
			if data, ok := jsonText(list); ok {
				c.note(path, fmt.Sprintf("%s is sent as the JSON text of this list: %s takes text here", in.Name, c.model.Name), "")
				return data
			}
		}
		hint := "write text"
		switch {
		case len(in.Allowed) > 0:
			hint = "use " + choices(in.Allowed)
		case isFile(v):
			hint = "a file goes into an input that takes one" + c.fileInputs()
		}
		if b, ok := v.(bool); ok && len(in.Allowed) == 0 {
			hint = fmt.Sprintf("write %q, in quotation marks, if the word is meant", strconv.FormatBool(b))
		}
		return c.unfit(path, v, "text", hint)
	}
	if len(in.Allowed) > 0 {
		return c.choice(path, in, s)
	}
	switch n := len(utf16.Encode([]rune(s))); {
	case strings.TrimSpace(s) == "" && (in.Required || in.MinLength > 0):
		c.problem(path, label(path)+" is empty", "write some text")
	case in.MaxLength > 0 && n > in.MaxLength:
		c.problem(path, fmt.Sprintf("%s is %d characters long; %s takes %d", label(path), n, c.model.Name, in.MaxLength),
			"shorten it by %d: it would be refused, not cut", n-in.MaxLength)
	case n < in.MinLength:
		c.problem(path, fmt.Sprintf("%s is %d characters long; %s wants %d or more", label(path), n, c.model.Name, in.MinLength), "say more")
	}
	return s
}

// choice picks the allowed value that was meant: the same, or the only one that differs in case alone.
func (c *checker) choice(path []any, in *Input, s string) any {
	var alike []string
	for _, a := range in.Allowed {
		switch a, ok := a.(string); {
		case ok && a == s:
			return s
		case ok && strings.EqualFold(a, s):
			alike = append(alike, a)
		}
	}
	if len(alike) == 1 {
		c.note(path, fmt.Sprintf("%s: %s is sent as %s, as %s spells it", label(path), show(s), show(alike[0]), c.model.Name), "write %s", show(alike[0]))
		return alike[0]
	}
	hint := "use " + choices(in.Allowed)
	if s == "" && !in.Required {
		hint += ", or leave it out"
	}
	if near := nearest(s, in.Allowed); near != "" && len(in.Allowed) > 4 && !jsonNumber(s) {
		hint = "did you mean " + near + "? It takes " + choices(in.Allowed)
	}
	c.problem(path, fmt.Sprintf("%s %s is not one %s takes", label(path), show(s), c.model.Name), "%s", hint)
	return s
}

// nearest is the allowed text closest to s, "" when none is close.
func nearest(s string, allowed []any) string {
	best, limit := "", min(max(1, len(s)/3), 4)
	for _, a := range allowed {
		if a, ok := a.(string); ok {
			if d, ok := within(limit, strings.ToLower(s), strings.ToLower(a)); ok {
				best, limit = a, d-1
			}
		}
	}
	if best == "" {
		return ""
	}
	return show(best)
}

func (c *checker) number(path []any, in *Input, v any) any {
	n, ok := v.(json.Number)
	if s, isText := v.(string); isText && jsonNumber(strings.TrimSpace(s)) {
		n, ok = json.Number(strings.TrimSpace(s)), true
		if _, err := n.Float64(); err == nil {
			c.note(path, fmt.Sprintf("%s: %s is sent as the number %s: %s takes a number here", label(path), quote(s), n, c.model.Name), "write %s, without quotation marks", n)
		}
	}
	f, err := n.Float64()
	if !ok || !jsonNumber(n.String()) || err != nil {
		hint := "write a number"
		switch {
		case len(in.Allowed) > 0:
			hint = "use " + choices(in.Allowed)
		case in.span() != "":
			hint = "use " + in.span()
		}
		return c.unfit(path, v, "a number", hint)
	}
	same := func(a any) bool {
		n, ok := a.(json.Number)
		g, err := n.Float64()
		return ok && err == nil && f == g
	}
	switch {
	case len(in.Allowed) > 0 && !slices.ContainsFunc(in.Allowed, same):
		c.problem(path, fmt.Sprintf("%s %s is not one %s takes", label(path), n, c.model.Name), "use %s", choices(in.Allowed))
	case in.Min != nil && f < *in.Min:
		c.problem(path, fmt.Sprintf("%s %s is less than %s takes", label(path), n, c.model.Name), "use %s", in.span())
	case in.Max != nil && f > *in.Max:
		c.problem(path, fmt.Sprintf("%s %s is more than %s takes", label(path), n, c.model.Name), "use %s", in.span())
	case in.offStep(f):
		c.problem(path, fmt.Sprintf("%s %s is between the steps %s takes", label(path), n, c.model.Name), "use a multiple of %s%s", showNumber(*in.Step), in.from())
	}
	return n
}

// span says what a number may be: "3 to 15", "0 or more"; "" when everything goes.
func (in *Input) span() string {
	switch {
	case in.Min != nil && in.Max != nil:
		return showNumber(*in.Min) + " to " + showNumber(*in.Max)
	case in.Min != nil:
		return showNumber(*in.Min) + " or more"
	case in.Max != nil:
		return showNumber(*in.Max) + " or less"
	}
	return ""
}

func (in *Input) from() string {
	if in.Min != nil && *in.Min != 0 {
		return ", counted from " + showNumber(*in.Min)
	}
	return ""
}

func (in *Input) offStep(f float64) bool {
	if in.Step == nil || *in.Step <= 0 {
		return false
	}
	base := 0.0
	if in.Min != nil {
		base = *in.Min
	}
	steps := (f - base) / *in.Step
	return math.Abs(steps-math.Round(steps)) > 1e-6
}

func (c *checker) boolean(path []any, v any) any {
	if _, ok := v.(bool); ok {
		return v
	}
	hint := "write true or false"
	if s, ok := v.(string); ok {
		switch strings.ToLower(s) {
		case "true", "yes", "on":
			hint = "write true, without quotation marks"
		case "false", "no", "off":
			hint = "write false, without quotation marks"
		}
	}
	return c.unfit(path, v, "true or false", hint)
}

// asset holds a place for one asset id. Text that is not an id is for whoever reads manifests to turn into one.
func (c *checker) asset(path []any, in *Input, v any) any {
	switch v := v.(type) {
	case string:
		switch {
		case strings.TrimSpace(v) == "":
			c.problem(path, label(path)+" is empty", "name a file or an asset id, or leave %s out", in.Name)
			return v
		case strings.HasPrefix(v, "http://"), strings.HasPrefix(v, "https://"):
			c.problem(path, label(path)+" takes a file or an asset id, not a web address", "download it and name the file")
			return v
		}
	case pipeline.File:
		if in.MaxBytes > 0 && v.Bytes > in.MaxBytes {
			c.problem(path, fmt.Sprintf("%s is %s; %s takes files of at most %s", v.Name, megabytes(v.Bytes), label(path[:1]), megabytes(in.MaxBytes)),
				"make the file smaller")
		}
	case pipeline.From:
		c.file(path, in.Kind, in.MaxBytes)
		return aimed(v, in.Kind)
	default:
		hint := "name a file, an asset id, ${inputs.NAME} or ${items.ID}"
		if list, ok := v.([]any); ok && len(list) == 1 {
			hint = "it takes one: write it without the brackets"
		}
		return c.unfit(path, v, "a file or an asset id", hint)
	}
	c.file(path, in.Kind, in.MaxBytes)
	return v
}

func megabytes(n int64) string {
	return strconv.FormatFloat(math.Ceil(float64(n)*10/(1<<20))/10, 'f', -1, 64) + " MiB"
}

// list holds an array. One value where an array is declared is wrapped: the API would drop it in silence and
// charge all the same [CODE].
func (c *checker) list(path []any, in *Input, v any) any {
	items, ok := v.([]any)
	if !ok {
		_, isObject := v.(map[string]any)
		if isObject != (in.Type == InputsArray) {
			return c.unfit(path, v, "a list", in.howTo())
		}
		items = []any{v}
	}
	before := len(c.out.Problems)
	out := make([]any, len(items))
	for i, item := range items {
		at := under(path, i)
		if !ok {
			at = path // where it stands in the manifest
		}
		out[i] = c.item(at, in, item)
	}
	if !ok && len(c.out.Problems) == before {
		// Where it stands in what is sent.
		for i := range c.out.Files {
			if f := &c.out.Files[i]; startsWith(f.Path, path) {
				f.Path = slices.Insert(slices.Clone(f.Path), len(path), any(0))
			}
		}
		c.note(path, fmt.Sprintf("%s is sent as a list of one: %s takes a list here", label(path), c.model.Name), "write it in brackets")
	} else if !ok {
		return out[0]
	}
	least, most := in.MinLength, in.MaxLength
	if in.Type == StringArray {
		least, most = 0, 0 // of each text, not of the list [DOC]
	}
	if in.Required {
		least = max(1, least)
	}
	switch n := len(items); {
	case n < least && (n > 0 || in.Required):
		c.problem(path, fmt.Sprintf("%s has %d; %s wants %d or more", label(path), n, c.model.Name, least), "%s", in.howTo())
	case most > 0 && n > most:
		c.problem(path, fmt.Sprintf("%s has %d; %s takes at most %d", label(path), n, c.model.Name, most), "leave %d out", n-most)
	}
	return out
}

func startsWith(path, prefix []any) bool {
	return len(path) >= len(prefix) && slices.Equal(path[:len(prefix)], prefix)
}

// item holds one item of an array.
func (c *checker) item(path []any, in *Input, v any) any {
	one := *in
	switch in.Type {
	case FileArray:
		one.Type = File
	case StringArray, ModelArray:
		one.Type, one.Required = String, in.Type == ModelArray
		if in.Type == ModelArray {
			one.MinLength, one.MaxLength = 0, 0
		}
	case NumberArray:
		one.Type = Number
	case InputsArray:
		obj, ok := v.(map[string]any)
		switch {
		case !ok:
			return c.unfit(path, v, "objects", "write each as {name: value}")
		case in.Inputs == nil:
			return c.free(path, "", obj)
		}
		return c.object(path, in.Inputs, obj)
	}
	if v == nil {
		return c.unfit(path, v, "values", "take the null out")
	}
	return c.value(path, &one, v)
}

// fileInputs names the model's inputs that take files.
func (c *checker) fileInputs() string {
	var names []string
	for _, in := range c.model.Inputs {
		if in.Type == File || in.Type == FileArray {
			names = append(names, in.Name)
		}
	}
	if names == nil {
		return ", and " + c.model.Name + " has none"
	}
	return ": " + strings.Join(names, ", ")
}

// jsonText is the JSON text of a list, if it can have one: a file in it cannot be written before it is uploaded.
func jsonText(list []any) (string, bool) {
	for _, item := range list {
		if hasFile(item) {
			return "", false
		}
	}
	if _, err := json.Marshal(list); err != nil {
		return "", false
	}
	return string(pipeline.Canonical(list)), true
}

func hasFile(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		for _, e := range v {
			if hasFile(e) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(v, hasFile)
	}
	return isFile(v)
}
