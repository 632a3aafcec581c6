package manifest

import (
	"fmt"
	"maps"
	"slices"

	"dailies/pipeline"
)

// maxItems bounds what a manifest expands to.
const maxItems = 100_000

// maxComparisons bounds how often values of combinations are held against those of include and exclude rows.
const maxComparisons = 20_000_000

// A matrix is read once and then expanded combination by combination, in the order of CI matrices: the first axis
// changes slowest.
//
// exclude leaves out every combination that has all the values of one of its rows. Then each include row is added to
// every remaining combination whose own values it does not contradict; a row that fits none becomes a combination
// of its own. Values a row adds may be replaced by later rows, those of the axes never are.
type matrix struct {
	axes    []axis
	include []row
	exclude []row
	size    int // combinations of the axes; more than maxItems when there are too many
}

type axis struct {
	name   string
	values []*value
}

type row struct {
	at     pos
	values map[string]*value
	used   bool
}

// readMatrix reads matrix:; nil when it cannot be expanded.
func (r *reader) readMatrix(n *node, sc *scope) *matrix {
	if n.kind != mapping || len(n.entries) == 0 {
		r.problem(n.at, fmt.Sprintf("matrix is a mapping of names to lists of values, not %s", n.kind), "write matrix: {pose: [idle, attack]}")
		return nil
	}
	m, ok := &matrix{}, true
	var include, exclude *entry
	for i := range n.entries {
		e := &n.entries[i]
		switch {
		case e.key == "include":
			include = e
		case e.key == "exclude":
			exclude = e
		case !r.checkVarName(e):
			ok = false
		default:
			values := r.axisValues(e, sc)
			ok = ok && values != nil
			m.axes = append(m.axes, axis{e.key, values})
		}
	}
	const mostAxes = 100
	if len(m.axes) > mostAxes {
		r.problem(n.at, fmt.Sprintf("a matrix has %d axes at most", mostAxes), "")
		return nil
	}
	if !ok {
		return nil
	}
	if len(m.axes) > 0 {
		m.size = 1
	}
	for _, a := range m.axes {
		if m.size *= len(a.values); m.size > maxItems {
			r.problem(n.at, fmt.Sprintf("the matrix has more than %d combinations", maxItems), "split it into several batches")
			r.over = true
			return nil
		}
	}
	m.include = r.rows(include, sc)
	m.exclude = r.rows(exclude, sc)
	if (len(m.include)+len(m.exclude))*max(1, m.size)*max(1, len(m.axes)) > maxComparisons {
		r.problem(n.at, "too many include and exclude rows for so many combinations", "")
		return nil
	}
	m.checkExclude(r)
	return m
}

// axisValues are the values of one axis: a list, or a name that stands for one.
func (r *reader) axisValues(e *entry, sc *scope) []*value {
	n := e.value
	if p := n.template().whole(); p != nil {
		v := r.resolve(n, *p, sc)
		if v == nil {
			return nil
		}
		n = v.node
	}
	if n.kind != list {
		r.problem(e.value.at, fmt.Sprintf("the values of %s are a list, not %s", e.key, n.kind), fmt.Sprintf("write %s: [one, two]", e.key))
		return nil
	}
	if len(n.list) == 0 {
		r.problem(e.value.at, e.key+" has no values", "")
		return nil
	}
	values := make([]*value, len(n.list))
	for i, v := range n.list {
		values[i] = r.newValue(v, sc)
	}
	return values
}

func (r *reader) rows(e *entry, sc *scope) []row {
	if e == nil || e.value.kind == null {
		return nil
	}
	if e.value.kind != list {
		r.problem(e.value.at, fmt.Sprintf("%s is a list of mappings, not %s", e.key, e.value.kind), "")
		return nil
	}
	var rows []row
	for _, n := range e.value.list {
		if n.kind != mapping {
			r.problem(n.at, fmt.Sprintf("a row of %s is a mapping of names to values, not %s", e.key, n.kind), "")
			continue
		}
		w := row{at: n.at, values: make(map[string]*value, len(n.entries))}
		for i := range n.entries {
			if r.checkVarName(&n.entries[i]) {
				w.values[n.entries[i].key] = r.newValue(n.entries[i].value, sc)
			}
		}
		rows = append(rows, w)
	}
	return rows
}

// checkExclude reports rows that can leave nothing out: they are slips.
func (m *matrix) checkExclude(r *reader) {
	for _, w := range m.exclude {
		for name, v := range w.values {
			i := slices.IndexFunc(m.axes, func(a axis) bool { return a.name == name })
			if i < 0 {
				hint := didYouMean(name, func(yield func(string) bool) {
					for _, a := range m.axes {
						if !yield(a.name) {
							return
						}
					}
				})
				r.problem(w.at, fmt.Sprintf("exclude names %q, which is no axis of this matrix", name), hint)
			} else if !slices.ContainsFunc(m.axes[i].values, v.equal) {
				r.problem(v.node.at, fmt.Sprintf("exclude leaves nothing out: %s is never %s", name, v.text), "")
			}
		}
	}
}

// equal compares by meaning: 5 and 5, not 5 and "5".
func (v *value) equal(o *value) bool {
	switch v.v.(type) {
	case []any, map[string]any:
		return string(pipeline.Canonical(v.v)) == string(pipeline.Canonical(o.v))
	}
	switch o.v.(type) {
	case []any, map[string]any:
		return false
	}
	return v.v == o.v
}

// combinations calls each with every combination, until it returns false.
func (m *matrix) combinations(each func(map[string]*value) bool) {
	for i := range m.size {
		c := make(map[string]*value, len(m.axes)+1)
		rest := i
		for a := len(m.axes) - 1; a >= 0; a-- {
			values := m.axes[a].values
			c[m.axes[a].name] = values[rest%len(values)]
			rest /= len(values)
		}
		if slices.ContainsFunc(m.exclude, func(w row) bool { return w.within(c) }) {
			continue
		}
		for j := range m.include {
			if w := &m.include[j]; w.fits(c, m.axes) { // it never changes an axis, so c's own values stay
				w.used = true
				maps.Copy(c, w.values)
			}
		}
		if !each(c) {
			return
		}
	}
	for _, w := range m.include {
		if !w.used && !each(w.values) {
			return
		}
	}
}

// within says whether the combination has all the row's values.
func (w *row) within(c map[string]*value) bool {
	for name, v := range w.values {
		if o := c[name]; o == nil || !v.equal(o) {
			return false
		}
	}
	return true
}

// fits says whether the row can be added to the combination without changing a value of an axis.
func (w *row) fits(c map[string]*value, axes []axis) bool {
	for _, a := range axes {
		if v := w.values[a.name]; v != nil && !v.equal(c[a.name]) {
			return false
		}
	}
	return true
}
