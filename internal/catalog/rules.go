package catalog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A rule is something a model asks of several inputs at once. Exactly one of the statements is set.
//
// An input is given when it says anything (null, "" and [] do not); where a value is compared, one that is left
// out has its default's. Rules about inputs a contract does not have (any more) say nothing.
type rule struct {
	When   *condition `json:"when"`   // the rule holds only if …
	Unless *condition `json:"unless"` // the rule holds only if not …
	Note   bool       `json:"note"`   // worth a look, but no reason not to send it
	Why    string     `json:"why"`    // put behind the message

	Exclusive []string         `json:"exclusive"` // at most one of these may be given
	Any       []string         `json:"any"`       // at least one of these must be given
	Only      map[string][]any `json:"only"`      // this input must have one of these values
	Never     map[string][]any `json:"never"`     // this input must have none of these values
	Ignored   []string         `json:"ignored"`   // these are without effect; always a note
	Count     []string         `json:"count"`     // these lists together hold at most Items
	JSON      string           `json:"json"`      // this text holds a JSON list of at most Items objects with Fields
	Mentions  string           `json:"mentions"`  // the text In says this word and a number: the place in the list Of
	Spoken    string           `json:"spoken"`    // the length of this text moves the price

	Items  int       `json:"items"`
	Fields []string  `json:"fields"`
	Sum    [2]string `json:"sum"` // of JSON: a field whose values add up to an input's
	In     string    `json:"in"`
	Of     string    `json:"of"`

	mention *regexp.Regexp // finds Mentions and its number
}

type condition struct {
	Given []string       `json:"given"` // all of these are given
	Is    map[string]any `json:"is"`    // each of these inputs has this value
}

// readRules returns the rules of each model.
func readRules(data []byte) map[string][]rule {
	var file []struct {
		Models []string `json:"models"`
		Rules  []rule   `json:"rules"`
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	dec.DisallowUnknownFields()
	if err := dec.Decode(&file); err != nil {
		panic(fmt.Sprintf("catalog: the embedded rules: %v", err))
	}
	byModel := make(map[string][]rule)
	for _, group := range file {
		for i := range group.Rules {
			if r := &group.Rules[i]; r.Mentions != "" {
				r.mention = regexp.MustCompile(`(?i)\b` + regexp.QuoteMeta(r.Mentions) + `\s?(\d{1,3})\b`)
			}
		}
		for _, id := range group.Models {
			byModel[id] = append(byModel[id], group.Rules...)
		}
	}
	return byModel
}

// inputs names every input the rule speaks of.
func (r *rule) inputs() []string {
	names := slices.Concat(r.Exclusive, r.Any, sortedKeys(r.Only), sortedKeys(r.Never), r.Ignored, r.Count)
	for _, c := range []*condition{r.When, r.Unless} {
		if c != nil {
			names = slices.Concat(names, c.Given, sortedKeys(c.Is))
		}
	}
	for _, name := range []string{r.JSON, r.Sum[1], r.In, r.Of, r.Spoken} {
		if name != "" {
			names = append(names, name)
		}
	}
	return names
}

// Rules tells in words what the model asks of several inputs at once.
func (m *Model) Rules() []string {
	var told []string
	for _, r := range m.rules {
		told = append(told, r.String())
	}
	return told
}

func (r rule) String() string {
	why := ""
	if r.Why != "" {
		why = ": " + r.Why
	}
	var said []string
	switch {
	case r.Exclusive != nil:
		return strings.Join(r.Exclusive, " and ") + " exclude each other" + why
	case r.Any != nil:
		return "it needs " + orList(r.Any) + r.because() + why
	case r.Only != nil:
		for _, name := range sortedKeys(r.Only) {
			said = append(said, name+" is "+choices(r.Only[name]))
		}
	case r.Never != nil:
		for _, name := range sortedKeys(r.Never) {
			said = append(said, name+" cannot be "+choices(r.Never[name]))
		}
	case r.Ignored != nil:
		said = append(said, "no effect has "+orList(r.Ignored))
	case r.Count != nil:
		said = append(said, fmt.Sprintf("%s: at most %d", strings.Join(r.Count, " and "), r.Items))
	case r.JSON != "":
		return fmt.Sprintf("%s is the JSON text of at most %d {%s}, each %s a part of %s", r.JSON, r.Items, strings.Join(r.Fields, ", "), r.Sum[0], r.Sum[1])
	case r.Mentions != "":
		return fmt.Sprintf("the %s calls the %s %s1, %s2, … in their order", r.In, r.Of, r.Mentions, r.Mentions)
	case r.Spoken != "":
		return "the price depends on the length of " + r.Spoken
	}
	return strings.Join(said, ", ") + r.because() + why
}

// holdsJSON tells whether the input is text that holds a JSON list.
func (m *Model) holdsJSON(name string) bool {
	return slices.ContainsFunc(m.rules, func(r rule) bool { return r.JSON == name })
}

// check holds the payload, which has been through the contract, against the rule.
func (r *rule) check(c *checker) {
	p := c.out.Payload
	if r.When != nil && !r.When.holds(c, p) || r.Unless != nil && r.Unless.holds(c, p) {
		return
	}
	switch {
	case r.Exclusive != nil:
		if both := r.givenOf(c, r.Exclusive); len(both) > 1 {
			// The place is the key that came too much, not its value.
			r.say(c, []any{both[1]}, fmt.Sprintf("%s and %s exclude each other", both[0], both[1]), "keep one of them")
			c.markKey(r.Note)
		}
	case r.Any != nil:
		known := slices.DeleteFunc(slices.Clone(r.Any), func(name string) bool { return !c.has(name) })
		if len(known) > 0 && len(r.givenOf(c, known)) == 0 {
			r.say(c, nil, fmt.Sprintf("%s needs %s%s", c.model.Name, orList(known), r.because()), "add one of them")
		}
	case r.Only != nil:
		for _, name := range sortedKeys(r.Only) {
			in, ok := input(c.model.Inputs, name)
			if v := c.effective(name); ok && v != nil && !contains(r.Only[name], v) && !(r.Note && len(in.Allowed) > 0) {
				r.say(c, c.place(name), fmt.Sprintf("%s %s is not one %s takes%s", name, show(v), c.model.Name, r.because()), "use %s%s", choices(r.Only[name]), r.orDrop())
			}
		}
	case r.Never != nil:
		for _, name := range sortedKeys(r.Never) {
			if v := c.effective(name); v != nil && c.has(name) && contains(r.Never[name], v) {
				r.say(c, c.place(name), fmt.Sprintf("%s cannot be %s%s", name, show(v), r.because()), "change %s%s", name, r.orDrop())
			}
		}
	case r.Ignored != nil:
		for _, name := range r.givenOf(c, r.Ignored) {
			c.note([]any{name}, fmt.Sprintf("%s has no effect%s", name, r.because()), "leave %s out", name)
		}
	case r.Count != nil:
		n := 0
		for _, name := range r.Count {
			list, _ := p[name].([]any)
			n += len(list)
		}
		if n > r.Items {
			r.say(c, []any{r.givenOf(c, r.Count)[0]}, fmt.Sprintf("%s: %d are too many%s; %s takes %d", strings.Join(r.Count, " and "), n, r.because(), c.model.Name, r.Items), "leave %d out", n-r.Items)
		}
	case r.JSON != "":
		r.checkJSON(c)
	case r.Mentions != "":
		r.checkMentions(c)
	}
}

func (r *rule) say(c *checker, path []any, message, hint string, args ...any) {
	if r.Why != "" {
		message += ": " + r.Why
	}
	if r.Note {
		c.note(path, message, hint, args...)
		return
	}
	c.problem(path, message, hint, args...)
}

// because names the condition under which the rule holds.
func (r *rule) because() string {
	switch {
	case r.When != nil:
		return " with " + r.When.String()
	case r.Unless != nil:
		return " without " + r.Unless.String()
	}
	return ""
}

// orDrop is the other way out of a conditional rule.
func (r *rule) orDrop() string {
	if r.When == nil || len(r.When.Given) == 0 {
		return ""
	}
	return ", or leave out " + orList(r.When.Given)
}

func (k *condition) String() string {
	parts := slices.Clone(k.Given)
	for _, name := range sortedKeys(k.Is) {
		parts = append(parts, name+": "+show(k.Is[name]))
	}
	return strings.Join(parts, " and ")
}

func (k *condition) holds(c *checker, p map[string]any) bool {
	for _, name := range k.Given {
		if !given(p[name]) {
			return false
		}
	}
	for name, v := range k.Is {
		if !contains([]any{v}, c.effective(name)) {
			return false
		}
	}
	return true
}

func (r *rule) givenOf(c *checker, names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !given(c.out.Payload[name]) })
}

func (c *checker) has(name string) bool {
	_, ok := input(c.model.Inputs, name)
	return ok
}

// effective is what the API will take the input to be: what is given, or the default; nil when there is neither.
func (c *checker) effective(name string) any {
	if v, ok := c.out.Payload[name]; ok {
		return v
	}
	if in, ok := input(c.model.Inputs, name); ok {
		return in.Default
	}
	return nil
}

// place is where a finding about an input belongs: at it, or at the whole payload when it is left out.
func (c *checker) place(name string) []any {
	if _, ok := c.out.Payload[name]; ok {
		return []any{name}
	}
	return nil
}

func (c *checker) markKey(note bool) {
	if list := c.out.Problems; !note {
		list[len(list)-1].OnKey = true
	} else {
		c.out.Notes[len(c.out.Notes)-1].OnKey = true
	}
}

// contains compares as JSON does: 8 and 8.0 are the same number, "8" is none.
func contains(values []any, v any) bool {
	return slices.ContainsFunc(values, func(a any) bool {
		switch a := a.(type) {
		case json.Number:
			n, ok := v.(json.Number)
			f, err := a.Float64()
			g, err2 := n.Float64()
			return ok && err == nil && err2 == nil && f == g
		case string:
			s, ok := v.(string)
			return ok && a == s
		case bool:
			b, ok := v.(bool)
			return ok && a == b
		}
		return false
	})
}

// checkJSON reads the list in the text: the API takes it as text and would tell what is wrong with it after payment.
func (r *rule) checkJSON(c *checker) {
	text, ok := c.out.Payload[r.JSON].(string)
	if !ok || text == "" {
		return
	}
	path := []any{r.JSON}
	form := "[{" + strings.Join(r.Fields, ", ") + "}, …]"
	shots, err := jsonObjects(text)
	if err != nil {
		r.say(c, path, r.JSON+" is not a JSON list of objects", "write a list, %s: it is turned into JSON text", form)
		return
	}
	if len(shots) > r.Items {
		r.say(c, path, fmt.Sprintf("%s has %d; %s takes at most %d", r.JSON, len(shots), c.model.Name, r.Items), "leave %d out", len(shots)-r.Items)
	}
	sum := 0.0
	for i, shot := range shots {
		for _, field := range r.Fields {
			if !given(shot[field]) {
				r.say(c, path, fmt.Sprintf("%s[%d] needs %s", r.JSON, i, field), "write %s", form)
				return
			}
		}
		number := fmt.Sprint(shot[r.Sum[0]]) // 5 or "5"
		f, err := strconv.ParseFloat(number, 64)
		if err != nil || !jsonNumber(number) {
			r.say(c, path, fmt.Sprintf("%s[%d]: %s is not a number", r.JSON, i, r.Sum[0]), "write seconds")
			return
		}
		sum += f
	}
	total, ok := c.effective(r.Sum[1]).(json.Number)
	if f, err := total.Float64(); ok && err == nil && f != sum {
		r.say(c, path, fmt.Sprintf("%s: the %ss of its parts add up to %s, not to %s %s", r.JSON, r.Sum[0], showNumber(sum), r.Sum[1], total),
			"write %s: %s, or change the parts", r.Sum[1], showNumber(sum))
	}
}

func jsonObjects(text string) ([]map[string]any, error) {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var list []map[string]any
	if err := dec.Decode(&list); err != nil {
		return nil, err
	}
	if dec.More() || list == nil {
		return nil, fmt.Errorf("more or less than a list")
	}
	return list, nil
}

// checkMentions holds "character3" in a prompt against the number of references.
func (r *rule) checkMentions(c *checker) {
	text, ok := c.out.Payload[r.In].(string)
	list, isList := c.out.Payload[r.Of].([]any)
	if !ok || !isList {
		return
	}
	said := map[int]bool{}
	for _, m := range r.mention.FindAllStringSubmatch(text, -1) {
		n, err := strconv.Atoi(m[1])
		if err == nil {
			said[n] = true
		}
	}
	var silent []string
	for i := range list {
		if !said[i+1] {
			silent = append(silent, r.Mentions+strconv.Itoa(i+1))
		}
	}
	for _, n := range slices.Sorted(maps.Keys(said)) {
		if n > len(list) || n == 0 {
			r.say(c, []any{r.In}, fmt.Sprintf("the %s speaks of %s%d, but %s has %d", r.In, r.Mentions, n, r.Of, len(list)),
				"%s1 is the first of %s; add the missing one or change the %s", r.Mentions, r.Of, r.In)
		}
	}
	if len(silent) > 0 {
		c.note([]any{r.In}, fmt.Sprintf("the %s does not speak of %s", r.In, orList(silent)), "%s are called %s1, %s2, … in their order", r.Of, r.Mentions, r.Mentions)
	}
}
