package manifest

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"dailies/pipeline"
)

// header reads everything but the items.
func (r *reader) header(fs fields) {
	r.version(fs["version"])
	r.batch(fs["batch"])
	r.readVars(fs["vars"])
	r.readInputs(fs["inputs"])
	r.limits(fs["limits"])
	sc := &scope{vars: r.vars}
	r.m.Output = r.destination(fs["output"], sc)
	r.m.State = r.destination(fs["state"], sc)
	if e := fs["key"]; e != nil {
		if s, ok := r.evalText(e.value, sc); ok && r.checkKey(sc, e.value.at, s) {
			r.m.Key = s
		}
	}
	if e := fs["salt"]; e != nil && e.value.kind != null {
		r.salt, _ = r.evalText(e.value, sc)
	}
	if e := fs["on_lost_submit"]; e != nil {
		r.m.OnLostSubmit = r.oneOf(e, "adopt-or-resubmit", "hold")
	}
	r.notify(fs["notify"])
	r.readDefaults(fs["defaults"])
}

func (r *reader) version(e *entry) {
	if e != nil && (!e.value.scalar() || e.value.raw != "1") {
		r.problem(e.value.at, "this program reads version 1 of manifests", "write version: 1")
	}
}

var (
	batchName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,99}$`)
	varName   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)
)

func (r *reader) batch(e *entry) {
	if e == nil {
		return
	}
	switch v := e.value; {
	case !v.scalar():
		r.problem(v.at, fmt.Sprintf("batch is a name, not %s", v.kind), "")
	case !batchName.MatchString(v.raw):
		r.problem(v.at, fmt.Sprintf("%q cannot be a batch's name", v.raw), "use a-z, 0-9 and dashes, 100 characters at most"+orSay(`: `, slug(v.raw, false)))
	default:
		r.m.Batch = v.raw
	}
}

func orSay(before, s string) string {
	if s == "" {
		return ""
	}
	return before + s
}

// slug is what a name could be instead, "" when nothing is left of it.
func slug(s string, id bool) string {
	s = strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', id && (c == '.' || c == '_'):
			return c
		case c >= 'A' && c <= 'Z':
			return c + 'a' - 'A'
		case c == ' ', c == '_', c == '.', c == '/':
			return '-'
		}
		return -1
	}, s)
	s = strings.Trim(s, "-._")
	return s[:min(len(s), 100)]
}

// destination reads output: and state:.
func (r *reader) destination(e *entry, sc *scope) string {
	if e == nil {
		return ""
	}
	s, ok := r.evalText(e.value, sc)
	if !ok {
		return ""
	}
	scheme, rest, isURL := strings.Cut(s, "://")
	switch {
	case s == "":
		r.problem(e.value.at, e.key+" is empty", "leave it out for the default, out/<batch>")
	case isURL && scheme != "s3":
		r.problem(e.value.at, fmt.Sprintf("%s cannot be a %s address", e.key, scheme), "write s3://bucket/prefix, or a folder")
	case isURL && strings.Trim(rest, "/") == "", isURL && strings.HasPrefix(rest, "/"):
		r.problem(e.value.at, e.key+" names no bucket", "write s3://bucket/prefix")
	}
	return s
}

func (r *reader) oneOf(e *entry, words ...string) string {
	if v := e.value; v.scalar() && slices.Contains(words, v.raw) {
		return v.raw
	}
	r.problem(e.value.at, fmt.Sprintf("%s is one of: %s", e.key, strings.Join(words, ", ")), didYouMean(e.value.raw, slices.Values(words)))
	return ""
}

func (r *reader) limits(e *entry) {
	if e == nil {
		return
	}
	fs := r.fields(e.value, "limits", limitKeys)
	l := &r.m.Limits
	if c := fs["concurrency"]; c != nil && c.value.raw != "auto" {
		l.Concurrency = r.count(c, 10_000, "auto, or ")
	}
	if c := fs["requests_per_minute"]; c != nil {
		l.RequestsPerMinute = r.count(c, 100_000, "")
	}
	if b := fs["budget"]; b != nil {
		cu, err := pipeline.ParseCU(b.value.raw)
		if err != nil || !b.value.scalar() {
			r.problem(b.value.at, "budget is an amount of creative units, such as 500 or 13.25", "")
		} else {
			l.Budget = &cu
		}
	}
	if d := fs["deadline"]; d != nil {
		t, err := time.ParseDuration(d.value.raw)
		if err != nil || t <= 0 {
			r.problem(d.value.at, "deadline is a time such as 5h30m or 45m", "a number needs its unit: h, m or s")
		} else {
			l.Deadline = t
		}
	}
	if f := fs["max_failures"]; f != nil {
		if maxFailures(f.value.raw) {
			l.MaxFailures = f.value.raw
		} else {
			r.problem(f.value.at, "max_failures is a number of items, such as 20, or a share of them, such as 10%", "")
		}
	}
}

func maxFailures(s string) bool {
	share, isShare := strings.CutSuffix(s, "%")
	n, err := strconv.ParseUint(share, 10, 31)
	return err == nil && (!isShare || n <= 100)
}

// count reads a whole number from 1 to most; 0 when it is none, with the problem reported.
func (r *reader) count(e *entry, most int, also string) int {
	n, err := strconv.Atoi(e.value.raw)
	if err != nil || e.value.kind != number || n < 1 || n > most {
		r.problem(e.value.at, fmt.Sprintf("%s is %sa whole number from 1 to %d", e.key, also, most), "")
		return 0
	}
	return n
}

// readVars reads vars: in any order, since one may be made of others.
func (r *reader) readVars(e *entry) {
	r.vars = map[string]*value{}
	if e == nil || e.value.kind == null {
		return
	}
	if e.value.kind != mapping {
		r.problem(e.value.at, fmt.Sprintf("vars is a mapping of names to values, not %s", e.value.kind), "")
		return
	}
	r.unread = make(map[string]*entry, len(e.value.entries))
	for i := range e.value.entries {
		v := &e.value.entries[i]
		if r.checkVarName(v) {
			r.unread[v.key] = v
		}
	}
	for i := range e.value.entries {
		if v := r.unread[e.value.entries[i].key]; v != nil {
			r.readVar(v.key, v)
		}
	}
	r.unread = nil
}

func (r *reader) checkVarName(e *entry) bool {
	if varName.MatchString(e.key) {
		return true
	}
	hint := "names are made of letters, digits, dash and underscore, and begin with a letter"
	if e.value.kind == null && strings.Contains(e.key, " ") { // the rest of a text that was cut at its comma
		hint = "inside { }, a text with a comma in it goes between double quotes"
	}
	r.problem(e.at, fmt.Sprintf("%q cannot be a name", e.key), hint)
	return false
}

func (r *reader) readVar(name string, e *entry) *value {
	// Until it is read it is not to be had: one that is made of itself finds this.
	r.vars[name] = &value{v: unreadable, node: e.value}
	delete(r.unread, name)
	r.reading = append(r.reading, name)
	v := r.newValue(e.value, &scope{vars: r.vars})
	r.reading = r.reading[:len(r.reading)-1]
	r.vars[name] = v
	return v
}

func (r *reader) readDefaults(e *entry) {
	if e == nil || e.value.kind == null {
		return
	}
	fs := r.fields(e.value, "defaults", defaultKeys)
	d := &r.defaults
	if m := fs["model"]; m != nil {
		d.model = m.value
	}
	if p := fs["payload"]; p != nil && r.checkPayload(p.value) {
		d.payload = p.value
	}
	if t := fs["tags"]; t != nil {
		d.tags = t.value
	}
	if x := fs["expect"]; x != nil && x.value.kind != null {
		d.expect = x.value
	}
}

func (r *reader) checkPayload(n *node) bool {
	switch n.kind {
	case mapping:
		return true
	case null:
		return false
	}
	r.problem(n.at, fmt.Sprintf("payload is a mapping of the model's inputs, not %s", n.kind), "")
	return false
}
