package manifest

import (
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"dailies/pipeline"
)

// A template is a text cut at its ${…}.
type template struct {
	parts []part
	wrong string // why it is no template; empty when it is one
	where string // the piece of the text that is wrong
}

// A part is either literal text or a reference.
type part struct {
	literal string
	name    *template // what stands between ${ and }; it may itself hold references; nil for a literal
	written string    // the reference as it is in the file
}

// parseTemplate cuts a text. ${name} is a reference, $${ writes ${, any other dollar sign is itself.
func parseTemplate(s string) *template {
	t := &template{}
	var literal strings.Builder
	flush := func() {
		if literal.Len() > 0 {
			t.parts = append(t.parts, part{literal: literal.String()})
			literal.Reset()
		}
	}
	for s != "" {
		i := strings.IndexByte(s, '$')
		if i < 0 {
			literal.WriteString(s)
			break
		}
		literal.WriteString(s[:i])
		s = s[i:]
		switch {
		case strings.HasPrefix(s, "$${"):
			literal.WriteString("${")
			s = s[3:]
		case strings.HasPrefix(s, "${"):
			end := closing(s)
			if end < 0 {
				t.wrong, t.where = "a ${ is never closed with }", s
				if line, _, more := strings.Cut(s, "\n"); more {
					t.where = line
				}
				return t
			}
			name := parseTemplate(strings.TrimSpace(s[2:end]))
			if name.wrong == "" && len(name.parts) == 0 {
				name.wrong, name.where = "${} names nothing", s[:end+1]
			}
			if name.wrong != "" {
				return name
			}
			flush()
			t.parts = append(t.parts, part{name: name, written: s[:end+1]})
			s = s[end+1:]
		default:
			literal.WriteByte('$')
			s = s[1:]
		}
	}
	flush()
	return t
}

// closing is the index of the brace that closes the ${ that s begins with, -1 when none does. Three levels are
// one more than anybody needs.
func closing(s string) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch {
		case strings.HasPrefix(s[i:], "${"):
			if depth++; depth > 3 {
				return -1
			}
			i++
		case s[i] == '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// whole is the reference a text consists of, nil when it is anything else.
func (t *template) whole() *part {
	if t == nil || t.wrong != "" || len(t.parts) != 1 || t.parts[0].name == nil {
		return nil
	}
	return &t.parts[0]
}

// A value is what a name stands for.
type value struct {
	v     any    // a JSON value, a pipeline.File or a pipeline.From
	text  string // as it reads within a text
	node  *node  // where it was written
	cell  string // of a row: as the file has it
	blank bool   // an empty cell: as a value it is nothing, in a text it is no text
}

// A scope is what names mean at one place.
type scope struct {
	item string            // the item it is the scope of, for messages
	row  map[string]*value // matrix axes, and the columns of a row
	vars map[string]*value

	from, entry pos // the row of a file it is made of, and the item of the manifest that reads it; zero without one
}

func (sc *scope) lookup(name string) *value {
	if v, ok := sc.row[name]; ok {
		return v
	}
	return sc.vars[name]
}

func (sc *scope) names() iter.Seq[string] {
	return func(yield func(string) bool) {
		for n := range sc.row {
			if !yield(n) {
				return
			}
		}
		for n := range sc.vars {
			if !yield(n) {
				return
			}
		}
	}
}

// unreadable stands for a value that a problem has been reported about; no item has an empty id.
var unreadable = pipeline.From{}

// eval is the JSON value of a node: references resolved, numbers as json.Number. What cannot be had is reported
// and comes back as unreadable.
func (r *reader) eval(n *node, sc *scope) any {
	if r.spent(sc, n.at, 1, 0) {
		return unreadable
	}
	if n.textual {
		if s, ok := r.evalText(n, sc); ok {
			return strings.TrimRight(s, "\n") // the line break a block text ends with
		}
		return unreadable
	}
	switch n.kind {
	case null:
		return nil
	case boolean:
		return strings.EqualFold(n.raw, "true")
	case number:
		num, err := jsonNumber(n.raw)
		if err != nil {
			r.itemProblem(sc, n.at, err.Error(), "")
			return unreadable
		}
		return num
	case list:
		l := make([]any, len(n.list))
		for i, e := range n.list {
			l[i] = r.eval(e, sc)
		}
		return l
	case mapping:
		m := make(map[string]any, len(n.entries))
		for _, e := range n.entries {
			m[e.key] = r.eval(e.value, sc)
		}
		return m
	}
	t := n.template()
	if t == nil {
		return n.raw
	}
	if p := t.whole(); p != nil {
		v := r.resolve(n, *p, sc)
		if v == nil {
			return unreadable
		}
		return r.clone(v.v, sc, n.at)
	}
	if s, ok := r.join(n, t, sc); ok {
		return s
	}
	return unreadable
}

// evalText is the text of a node that must be one: ids, models, prompts. Numbers and dates are text as written.
func (r *reader) evalText(n *node, sc *scope) (string, bool) {
	if !n.scalar() {
		r.itemProblem(sc, n.at, fmt.Sprintf("text is wanted here, not %s", n.kind), "")
		return "", false
	}
	t := n.template()
	if t == nil {
		return n.raw, true
	}
	return r.join(n, t, sc)
}

// template is the text's pattern; nil for a text without references.
func (n *node) template() *template {
	if n.pattern == nil {
		if n.kind != text || !strings.Contains(n.raw, "${") {
			return nil
		}
		n.pattern = parseTemplate(n.raw)
	}
	return n.pattern
}

// join puts a text together.
func (r *reader) join(n *node, t *template, sc *scope) (string, bool) {
	if t.wrong != "" {
		r.itemProblem(sc, r.within(n, t.where), t.wrong, "write $${ for a plain ${")
		return "", false
	}
	var b strings.Builder
	ok := true
	for _, p := range t.parts {
		if p.name == nil {
			b.WriteString(p.literal)
			continue
		}
		v := r.resolve(n, p, sc)
		if v == nil {
			ok = false
			continue
		}
		if why := notText(v.v); why != "" && !v.blank {
			r.itemProblem(sc, r.within(n, p.written), fmt.Sprintf("%s stands for %s, which cannot be part of a text", p.written, why), `it can be a whole value: "`+p.written+`"`)
			ok = false
			continue
		}
		if r.spent(sc, n.at, 1, len(v.text)) {
			return "", false
		}
		b.WriteString(v.text)
	}
	return b.String(), ok
}

func notText(v any) string {
	switch v.(type) {
	case nil:
		return "nothing"
	case []any:
		return "a list"
	case map[string]any:
		return "a mapping"
	case pipeline.File:
		return "a file"
	case pipeline.From:
		return "another item's asset"
	}
	return ""
}

// within is where a piece of a node's text is written.
func (r *reader) within(n *node, piece string) pos {
	if r.problems.full() {
		return n.at
	}
	return r.sources[n.at.file].find(n.at, piece, len(n.raw))
}

// resolve finds what a reference of n's text stands for; nil when a problem has been reported.
func (r *reader) resolve(n *node, p part, sc *scope) *value {
	at := func() pos { return r.within(n, p.written) }
	name := ""
	if len(p.name.parts) == 1 && p.name.parts[0].name == nil {
		name = p.name.parts[0].literal
	} else {
		var ok bool
		if name, ok = r.join(n, p.name, sc); !ok {
			return nil
		}
	}
	if item, ok := strings.CutPrefix(name, "items."); ok {
		if item == "" {
			r.itemProblem(sc, at(), p.written+" names no item", "")
			return nil
		}
		return &value{v: pipeline.From{Item: item}, node: n}
	}
	if input, ok := strings.CutPrefix(name, "inputs."); ok {
		v, known := r.inputs[input]
		if !known {
			hint := r.near(input, len(r.inputs), maps.Keys(r.inputs))
			if hint == "" {
				hint = "name files and asset ids under inputs: at the top"
			}
			r.itemProblem(sc, at(), fmt.Sprintf("no input is named %q", input), hint)
			return nil
		}
		if v != nil {
			r.used[input] = true
		}
		return v
	}
	v := sc.lookup(name)
	if e := r.unread[name]; v == nil && e != nil {
		v = r.readVar(name, e)
	}
	const deepest = 100
	if len(r.reading) > deepest {
		r.itemProblem(sc, at(), fmt.Sprintf("vars are made of each other more than %d deep", deepest), "")
		return nil
	}
	if slices.Contains(r.reading, name) && sc.row[name] == nil {
		circle := strings.Join(append(r.reading[slices.Index(r.reading, name):], name), " → ")
		r.itemProblem(sc, at(), "vars that are made of each other: "+circle, "")
		return nil
	}
	if v != nil {
		if v.v == unreadable {
			return nil
		}
		return v
	}
	r.itemProblem(sc, at(), fmt.Sprintf("%s is not defined here", p.written), r.undefinedHint(name, sc))
	return nil
}

func (r *reader) undefinedHint(name string, sc *scope) string {
	_, isInput := r.inputs[name]
	_, isItem := r.byID[name]
	switch {
	case isInput:
		return fmt.Sprintf("did you mean ${inputs.%s}?", name)
	case isItem:
		return fmt.Sprintf("did you mean ${items.%s}?", name)
	case strings.HasPrefix(name, "env."):
		return "the environment is not read; define it under vars:"
	}
	if hint := r.near(name, len(sc.row)+len(sc.vars), sc.names()); hint != "" {
		return hint
	}
	where := "under vars: or as a matrix axis"
	if sc.from.line > 0 {
		where += ", or as a column of " + r.sources[sc.from.file].name
	}
	switch n := len(sc.row) + len(sc.vars); {
	case n == 0:
		return "define it " + where + "; write $${ for a plain ${"
	case n > 12:
		return "define it " + where
	}
	known := slices.Compact(slices.Sorted(sc.names()))
	return "defined here: " + strings.Join(known, ", ")
}

// clone copies what could be altered later; texts and numbers are shared.
func (r *reader) clone(v any, sc *scope, at pos) any {
	if r.spent(sc, at, 1, 0) {
		return unreadable
	}
	switch v := v.(type) {
	case []any:
		l := make([]any, len(v))
		for i, e := range v {
			l[i] = r.clone(e, sc, at)
		}
		return l
	case map[string]any:
		m := make(map[string]any, len(v))
		for k, e := range v {
			m[k] = r.clone(e, sc, at)
		}
		return m
	}
	return v
}

// newValue is what a name stands for that was given this node.
func (r *reader) newValue(n *node, sc *scope) *value {
	if n.kind == number {
		if _, err := jsonNumber(n.raw); err != nil {
			return &value{v: n.raw, text: n.raw, node: n} // text, as in shot-${take} with take: 007
		}
	}
	v := &value{v: r.eval(n, sc), node: n}
	if p := n.template().whole(); p != nil && v.v != unreadable {
		inner := r.resolve(n, *p, sc)
		v.text, v.node = inner.text, inner.node
		return v
	}
	switch x := v.v.(type) {
	case string:
		v.text = x
	case []any, map[string]any:
		// for reports; it is never part of a text
		v.text = string(pipeline.Canonical(x))
	case json.Number, bool:
		v.text = n.raw // 007 is 007 in an id
	}
	return v
}

// Bounds on what references can multiply.
const (
	maxText     = 128 << 20 // bytes of text put in the place of references
	maxExpanded = 5_000_000 // values in all payloads
)

// spent counts values and bytes of text, and says when a manifest makes too much of itself. It reports that once;
// expansion stops.
func (r *reader) spent(sc *scope, at pos, values, bytes int) bool {
	if r.values += values; r.values <= maxExpanded {
		if r.bytes += bytes; r.bytes <= maxText {
			return false
		}
	}
	if !r.full {
		r.full = true
		r.itemProblem(sc, at, "the manifest expands to more than 128 MiB of text or 5,000,000 values", "split it into several batches")
	}
	return true
}
