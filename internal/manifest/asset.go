package manifest

import (
	"fmt"
	"slices"
	"strings"

	"dailies/pipeline"
)

// finder leads from a place in a payload back to where it was written.
type finder struct {
	payload map[string]any
	inputs  *node
	sc      *scope
	r       *reader
	hint    string // what the last place looked at calls for
}

// place follows a path as far as what was written goes: a missing key is where it should have been. It is not ok
// where a problem has been reported already.
func (f *finder) place(path []any, onKey bool) (at pos, ok bool) {
	f.hint = ""
	n, v := f.inputs, any(f.payload)
	at = n.at
	for i, step := range path {
		switch step := step.(type) {
		case string:
			e := n.get(step)
			if e == nil || n.kind != mapping {
				return at, true
			}
			if at, n = e.at, e.value; onKey && i == len(path)-1 {
				return at, true
			}
			if m, isMap := v.(map[string]any); isMap {
				v = m[step]
			}
		case int:
			if n.kind != list || step >= len(n.list) {
				continue // a single value that was wrapped
			}
			n = n.list[step]
			if l, isList := v.([]any); isList && step < len(l) {
				v = l[step]
			}
		}
		if _, is := v.(pipeline.From); is && v == unreadable {
			return at, false
		}
		if p := n.template().whole(); p != nil {
			if to := f.r.resolve(n, *p, f.sc); to != nil {
				n = to.node
			}
		}
		at = n.at
	}
	if n.plain && n.kind == text && slices.Contains([]string{"yes", "no", "on", "off"}, strings.ToLower(n.raw)) {
		f.hint = fmt.Sprintf("%s is text here; write true or false", n.raw)
	}
	return at, true
}

// settle puts files and references in all the places that take an asset, and reports what cannot go there.
func (r *reader) settle(look *finder, checked pipeline.Checked) []reference {
	var refs []reference
	settled := map[string]bool{}
	for _, in := range checked.Files {
		at, ok := look.place(in.Path, false)
		value, put := reach(checked.Payload, in.Path)
		settled[fmt.Sprint(in.Path)] = true
		if !ok || put == nil {
			continue
		}
		var file *found
		switch v := value.(type) {
		case string:
			if isAssetID(v) {
				continue
			}
			file = r.find(v)
		case pipeline.File:
			file = r.find(v.Name)
		case pipeline.From:
			v.Kind = in.Kind
			put(v)
			refs = append(refs, reference{v.Item, v.Kind, at})
			continue
		default:
			continue // the contract has said so
		}
		wrong, hint := file.wrong, file.hint
		if wrong == "" {
			wrong, hint = checkFile(file.file, in)
		}
		if wrong == "" {
			r.digest(file)
			wrong = file.wrong
		}
		if wrong != "" {
			r.itemProblem(look.sc, at, wrong, hint)
			continue
		}
		put(file.file)
	}
	r.strays(look, checked, nil, checked.Payload, settled)
	return refs
}

// strays reports assets in places that take none.
func (r *reader) strays(look *finder, checked pipeline.Checked, path []any, v any, settled map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			r.strays(look, checked, append(path, k), e, settled)
		}
	case []any:
		for i, e := range v {
			r.strays(look, checked, append(path, i), e, settled)
		}
	case pipeline.File, pipeline.From:
		if v == unreadable || settled[fmt.Sprint(path)] {
			return
		}
		if slices.ContainsFunc(checked.Problems, func(f pipeline.Finding) bool { return within(path, f.Path) }) {
			return // the contract has said so
		}
		if at, ok := look.place(path, false); ok {
			r.itemProblem(look.sc, at, "this input takes no asset", "")
		}
	}
}

// within says whether a path leads into, or to, the place that another names.
func within(path, outer []any) bool {
	return len(outer) > 0 && len(outer) <= len(path) && slices.Equal(path[:len(outer)], outer)
}

// reach is the value at a path and the way to replace it; put is nil when there is no such place.
func reach(payload map[string]any, path []any) (value any, put func(any)) {
	var v any = payload
	for _, step := range path {
		switch step := step.(type) {
		case string:
			m, ok := v.(map[string]any)
			if !ok {
				return nil, nil
			}
			v, put = m[step], func(x any) { m[step] = x }
		case int:
			l, ok := v.([]any)
			if !ok || step < 0 || step >= len(l) {
				return nil, nil
			}
			v, put = l[step], func(x any) { l[step] = x }
		}
	}
	return v, put
}
