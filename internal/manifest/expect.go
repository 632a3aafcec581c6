package manifest

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"dailies/pipeline"
)

// Tolerances where none is written: models round lengths to whole frames and sides to what their codec likes.
const (
	closeDuration = 0.5  // seconds
	closeAspect   = 0.02 // of the ratio
	mostRerolls   = 10
)

// A measure is what one key of expect: looks at, and the kinds of files that have it.
type measure struct {
	of    pipeline.Measure
	kinds []string // nil: all
	read  func(r *reader, sc *scope, e *entry) (pipeline.Check, bool)
}

var (
	seen   = []string{"image", "video"}
	heard  = []string{"video", "audio"}
	lasts  = []string{"video", "audio", "3d"}
	fileIs = []string{"image", "video", "audio", "3d", "text"}
)

// measures are the keys of expect: but for on_fail.
var measures = map[string]measure{
	"kind":          {pipeline.MeasureKind, nil, (*reader).kindCheck},
	"type":          {pipeline.MeasureType, nil, (*reader).typeCheck},
	"min_width":     {pipeline.MeasureWidth, seen, atLeast(wholeNumber)},
	"max_width":     {pipeline.MeasureWidth, seen, atMost(wholeNumber)},
	"min_height":    {pipeline.MeasureHeight, seen, atLeast(wholeNumber)},
	"max_height":    {pipeline.MeasureHeight, seen, atMost(wholeNumber)},
	"aspect":        {pipeline.MeasureAspect, seen, (*reader).aspectCheck},
	"duration":      {pipeline.MeasureDuration, lasts, (*reader).durationCheck},
	"audio":         {pipeline.MeasureAudio, heard, (*reader).isCheck},
	"silent":        {pipeline.MeasureSilent, []string{"audio"}, (*reader).isCheck},
	"blank":         {pipeline.MeasureBlank, []string{"image"}, (*reader).isCheck},
	"alpha":         {pipeline.MeasureAlpha, []string{"image"}, (*reader).isCheck},
	"min_bytes":     {pipeline.MeasureBytes, nil, atLeast(fileSize)},
	"max_bytes":     {pipeline.MeasureBytes, nil, atMost(fileSize)},
	"min_triangles": {pipeline.MeasureTriangles, []string{"3d"}, atLeast(wholeNumber)},
	"max_triangles": {pipeline.MeasureTriangles, []string{"3d"}, atMost(wholeNumber)},
	"min_materials": {pipeline.MeasureMaterials, []string{"3d"}, atLeast(wholeNumber)},
	"max_materials": {pipeline.MeasureMaterials, []string{"3d"}, atMost(wholeNumber)},
}

// hints for measures that people may ask of the wrong kind of file.
var measureHints = map[string]string{
	"silent": "a video's sound is compressed, and this program does not unpack it; audio: true makes sure of a sound track",
	"blank":  "a video's pictures are compressed, and this program does not unpack them",
	"alpha":  "a video's pictures are compressed, and this program does not unpack them",
}

// expectOf reads what an item expects of its files, nil when it expects nothing.
func (r *reader) expectOf(d *draft, sc *scope, m *model) *pipeline.Expect {
	n := r.defaults.expect
	if e := d.fs["expect"]; e != nil {
		if e.value.kind == null {
			return nil
		}
		if n = e.value; n.kind == mapping && r.defaults.expect != nil {
			if d.expect == nil {
				d.expect = n.over(r.defaults.expect.entries)
			}
			n = d.expect
		}
	}
	if n == nil {
		return nil
	}
	read := d.read
	if read == nil || n.refers() {
		read = r.readExpect(n, sc)
		d.read = read
	}
	if read.expect == nil {
		return nil
	}
	r.checkKinds(sc, read, m)
	return read.expect
}

// expected is an expect: that was read, with the entries it was read of.
type expected struct {
	expect  *pipeline.Expect // nil when a problem has been reported
	entries []*entry         // of its checks
}

func (r *reader) readExpect(n *node, sc *scope) *expected {
	fs := r.fields(n, "expect", expectKeys)
	if fs == nil {
		return &expected{}
	}
	x, out, sound := &pipeline.Expect{}, &expected{}, true
	for _, k := range expectKeys {
		e := fs[k.name]
		if e == nil || e.value.kind == null {
			continue
		}
		m, ok := measures[k.name]
		if !ok {
			x.Rerolls, ok = r.onFail(sc, e)
			sound = sound && ok
			continue
		}
		c, ok := m.read(r, sc, e)
		c.Of = m.of
		sound = sound && ok
		x.Checks = append(x.Checks, c)
		out.entries = append(out.entries, e)
	}
	for _, pair := range [][2]string{{"min_width", "max_width"}, {"min_height", "max_height"}, {"min_bytes", "max_bytes"}, {"min_triangles", "max_triangles"}, {"min_materials", "max_materials"}} {
		low, high := -1, -1
		for i, e := range out.entries {
			switch e.key {
			case pair[0]:
				low = i
			case pair[1]:
				high = i
			}
		}
		if sound && low >= 0 && high >= 0 && x.Checks[low].Min > x.Checks[high].Max {
			r.itemProblem(sc, out.entries[high].value.at, fmt.Sprintf("%s is less than %s: nothing could pass", pair[1], pair[0]), "")
			sound = false
		}
	}
	if sound && len(x.Checks) > 0 {
		out.expect = x
	}
	return out
}

// checkKinds reports checks that no file of the item's kind could pass: found now, they cost nothing.
func (r *reader) checkKinds(sc *scope, read *expected, m *model) {
	makes := []string{}
	if m.contract != nil && m.contract.Makes() != "" {
		makes = append(makes, m.contract.Makes())
	}
	for i, c := range read.expect.Checks {
		if c.Of != pipeline.MeasureKind {
			continue
		}
		if len(makes) > 0 && !slices.Contains(c.Words, makes[0]) {
			r.itemProblem(sc, read.entries[i].value.at, fmt.Sprintf("the item expects %s, and its model makes %s", strings.Join(c.Words, " or "), makes[0]), "")
			return
		}
		makes = c.Words
	}
	for _, e := range read.entries {
		kinds := measures[e.key].kinds
		if len(makes) == 0 || kinds == nil || slices.ContainsFunc(makes, func(k string) bool { return slices.Contains(kinds, k) }) {
			continue
		}
		hint := ""
		if makes[0] == "video" {
			hint = measureHints[e.key]
		}
		if hint == "" && from(r.defaults.expect, e) {
			hint = fmt.Sprintf("it comes from the defaults; take it out for this item with expect: {%s: null}", e.key)
		}
		r.itemProblem(sc, e.at, fmt.Sprintf("%s cannot be told of %s files", e.key, makes[0]), hint)
	}
}

// from reports whether an entry was written in the defaults.
func from(defaults *node, e *entry) bool {
	if defaults == nil {
		return false
	}
	own := defaults.get(e.key)
	return own != nil && own.at == e.at
}

// refers reports whether a value holds references, so that it may be another for every item.
func (n *node) refers() bool {
	switch n.kind {
	case list:
		return slices.ContainsFunc(n.list, (*node).refers)
	case mapping:
		return slices.ContainsFunc(n.entries, func(e entry) bool { return e.value.refers() })
	}
	return n.template() != nil
}

func written(e *entry, s string) string { return e.key + ": " + s }

// measured reads a value in a way of its own, and reports it when that cannot be done.
func (r *reader) measured(sc *scope, e *entry, want string, parse func(string) (float64, bool)) (v float64, s string, ok bool) {
	if e.value.scalar() {
		if s, ok = r.evalText(e.value, sc); !ok {
			return 0, "", false
		}
		if v, ok = parse(strings.TrimSpace(s)); ok {
			return v, s, true
		}
	}
	r.itemProblem(sc, r.origin(e.value, sc), fmt.Sprintf("%s is %s", e.key, want), "")
	return 0, "", false
}

// A quantity is a way to write numbers.
type quantity struct {
	want  string
	parse func(string) (float64, bool)
}

var (
	wholeNumber = quantity{"a whole number, such as 1280", func(s string) (float64, bool) {
		n, err := strconv.ParseUint(s, 10, 53)
		return float64(n), err == nil
	}}
	fileSize = quantity{"a size, such as 200KB, 1.5MB or 4096 (bytes)", parseSize}
)

func atLeast(q quantity) func(*reader, *scope, *entry) (pipeline.Check, bool) {
	return func(r *reader, sc *scope, e *entry) (pipeline.Check, bool) {
		v, s, ok := r.measured(sc, e, q.want, q.parse)
		return pipeline.Check{Min: v, Max: math.Inf(1), Written: written(e, s)}, ok
	}
}

func atMost(q quantity) func(*reader, *scope, *entry) (pipeline.Check, bool) {
	return func(r *reader, sc *scope, e *entry) (pipeline.Check, bool) {
		v, s, ok := r.measured(sc, e, q.want, q.parse)
		return pipeline.Check{Max: v, Written: written(e, s)}, ok
	}
}

var sizeForm = regexp.MustCompile(`^(?i)([0-9]+(?:\.[0-9]+)?) ?(B|KB|MB|GB|KiB|MiB|GiB)?$`)

func parseSize(s string) (float64, bool) {
	m := sizeForm.FindStringSubmatch(s)
	if m == nil {
		return 0, false
	}
	v, err := strconv.ParseFloat(m[1], 64)
	unit := map[string]float64{"": 1, "B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30}
	v = math.Ceil(v * unit[strings.ToUpper(m[2])])
	return v, err == nil && v < 1<<53
}

func (r *reader) isCheck(sc *scope, e *entry) (pipeline.Check, bool) {
	is, s, ok := r.measured(sc, e, "true or false", func(s string) (float64, bool) {
		return map[string]float64{"true": 1}[strings.ToLower(s)], slices.Contains([]string{"true", "false"}, strings.ToLower(s))
	})
	return pipeline.Check{Is: is == 1, Written: written(e, s)}, ok
}

// words reads one word or a list of them.
func (r *reader) words(sc *scope, e *entry, want string, good func(string) bool, hint func(string) string) (pipeline.Check, bool) {
	list := e.value.list
	if e.value.scalar() {
		list = []*node{e.value}
	}
	if len(list) == 0 || len(list) > 20 {
		r.itemProblem(sc, e.value.at, fmt.Sprintf("%s is %s, or a list of them", e.key, want), "")
		return pipeline.Check{}, false
	}
	c, sound := pipeline.Check{}, true
	for _, n := range list {
		w, ok := r.evalText(n, sc)
		w = strings.ToLower(strings.TrimSpace(w))
		if ok && !good(w) {
			r.itemProblem(sc, r.origin(n, sc), fmt.Sprintf("%q is not %s", w, want), hint(w))
			ok = false
		}
		sound = sound && ok
		c.Words = append(c.Words, w)
	}
	c.Written = written(e, strings.Join(c.Words, " or "))
	return c, sound
}

func (r *reader) kindCheck(sc *scope, e *entry) (pipeline.Check, bool) {
	return r.words(sc, e, "a kind of file: "+strings.Join(fileIs, ", "), func(w string) bool { return slices.Contains(fileIs, w) },
		func(w string) string { return didYouMean(w, slices.Values(fileIs)) })
}

var typeForm = regexp.MustCompile(`^(\.?[a-z0-9]{1,12}|[a-z0-9]+/[a-z0-9.+-]+)$`)

func (r *reader) typeCheck(sc *scope, e *entry) (pipeline.Check, bool) {
	return r.words(sc, e, "an extension such as png, or a type such as image/png", typeForm.MatchString, func(string) string { return "" })
}

// tolerance cuts "5s±0.5s" into the value and its tolerance; +- does for keyboards without ±.
func tolerance(s string) (value, around string, given bool) {
	value, around, given = strings.Cut(strings.Replace(s, "+-", "±", 1), "±")
	return strings.TrimSpace(value), strings.TrimSpace(around), given
}

// parseSeconds reads a time; a plain number is seconds.
func parseSeconds(s string) (float64, bool) {
	s = strings.ReplaceAll(s, " ", "")
	if v, err := strconv.ParseFloat(s, 64); err == nil {
		return v, v >= 0 && v < 1e6
	}
	t, err := time.ParseDuration(s)
	return t.Seconds(), err == nil && t >= 0
}

func parseShare(s string) (float64, bool) {
	number, ok := strings.CutSuffix(s, "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	return v / 100, ok && err == nil && v >= 0 && v <= 100
}

func (r *reader) durationCheck(sc *scope, e *entry) (pipeline.Check, bool) {
	if e.value.kind == mapping {
		return r.durationSpan(sc, e)
	}
	c := pipeline.Check{}
	_, s, ok := r.measured(sc, e, "a time such as 5s or 5s±0.5s, or {min: 4s, max: 6s}", func(s string) (float64, bool) {
		value, around, given := tolerance(s)
		v, ok := parseSeconds(value)
		near := closeDuration
		if given && ok {
			if near, ok = parseSeconds(around); !ok {
				near, ok = parseShare(around)
				near *= v
			}
		}
		c.Min, c.Max = v-near, v+near
		return v, ok
	})
	if c.Written = written(e, s); !strings.ContainsAny(s, "±+") {
		c.Written += fmt.Sprintf("±%vs", closeDuration)
	}
	return c, ok
}

var spanKeys = []key{
	{name: "min", doc: "No shorter than this.", form: formSeconds},
	{name: "max", doc: "No longer than this.", form: formSeconds},
}

func (r *reader) durationSpan(sc *scope, e *entry) (c pipeline.Check, sound bool) {
	fs := r.fields(e.value, "duration", spanKeys)
	c.Max, sound = math.Inf(1), fs != nil
	if len(e.value.entries) == 0 {
		r.itemProblem(sc, e.value.at, "duration names neither min nor max", "write duration: 5s, or duration: {min: 4s, max: 6s}")
		sound = false
	}
	var said []string
	for _, k := range spanKeys {
		end := fs[k.name]
		if end == nil {
			continue
		}
		v, s, ok := r.measured(sc, end, "a time such as 4s", parseSeconds)
		sound = sound && ok
		said = append(said, k.name+" "+s)
		if k.name == "min" {
			c.Min = v
		} else {
			c.Max = v
		}
	}
	if sound && c.Min > c.Max {
		r.itemProblem(sc, e.value.at, "max is less than min: nothing could pass", "")
		sound = false
	}
	c.Written = written(e, strings.Join(said, ", "))
	return c, sound
}

func (r *reader) aspectCheck(sc *scope, e *entry) (c pipeline.Check, ok bool) {
	_, s, ok := r.measured(sc, e, "width by height, such as 16:9 or 16:9±1%", func(s string) (float64, bool) {
		value, around, given := tolerance(s)
		wide, high, _ := strings.Cut(value, ":")
		w, err1 := strconv.ParseFloat(strings.TrimSpace(wide), 64)
		h, err2 := strconv.ParseFloat(strings.TrimSpace(high), 64)
		near, ok := closeAspect, err1 == nil && err2 == nil && w > 0 && h > 0 && w/h < 1000 && h/w < 1000
		if given && ok {
			near, ok = parseShare(around)
		}
		c.Min, c.Max = w/h*(1-near), w/h*(1+near)
		return w / max(h, 1), ok
	})
	c.Written = written(e, s)
	return c, ok
}

func (r *reader) onFail(sc *scope, e *entry) (rerolls int, ok bool) {
	n, _, ok := r.measured(sc, e, fmt.Sprintf("reject (keep the file and fail), or reroll N with N from 1 to %d (make it anew so often)", mostRerolls), func(s string) (float64, bool) {
		words := strings.Fields(s)
		switch {
		case len(words) == 1 && words[0] == "reject":
			return 0, true
		case len(words) == 2 && words[0] == "reroll":
			n, err := strconv.Atoi(words[1])
			return float64(n), err == nil && n >= 1 && n <= mostRerolls
		}
		return 0, false
	})
	return int(n), ok
}
