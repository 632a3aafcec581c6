package manifest

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"dailies/pipeline"
)

// FuzzParse: whatever the bytes are, reading ends without a panic, in one of two ways: items that hold what the rest
// of the program relies on, or problems that each name a place of the file. In pieces it is the same as whole.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"version: 1\nbatch: b\nitems:\n- {id: a, model: m, prompt: x}\n",
		"version: 1\nbatch: b\nvars: {v: [1, 2]}\nitems:\n- id: a-${x}\n  matrix: {x: \"${v}\", y: [1], exclude: [{x: 1}], include: [{z: 1}]}\n  model: m\n  repeat: 2\n",
		"version: 1\nbatch: b\ninputs: {k: asset_1}\nitems:\n- {id: a, model: m, payload: {i: \"${inputs.k}\", j: \"${items.b}\"}}\n- {id: b, model: m}\n",
		"version: 1\nbatch: b\nx-a: &a {model: m}\nitems:\n- {<<: *a, id: a}\n- {<<: [*a], id: b, tags: [x]}\n",
		"a: &a [*a]\n", "a: \"${", "---\n---\n", "\xff", "\t", "a: !!binary x", "items: *x", "? [a]\n: b", "- - - -", "%YAML 1.1\n---\na: 0x\n",
		"version: 1\nbatch: b\nkey: \"{item}/{n}\"\nlimits: {budget: 1e3, deadline: 1h, max_failures: 5%}\nitems: [{id: a, model: m, key: \"{item}-{n}{ext}\", salt: ~}]\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<16 {
			return
		}
		o := Options{Contracts: anything{}}
		m, err := Parse("m.yaml", data, o)
		if err != nil {
			for _, p := range err.(Problems) {
				if p.Message == "" || p.At.Line < 0 || p.At.Line > len(newSource(trimBOM(data)).lines) {
					t.Fatalf("problem %+v", p)
				}
				var b strings.Builder
				if p.Format(&b, true); strings.ContainsFunc(strings.ReplaceAll(b.String(), "\x1b[", ""), func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' }) || !utf8.ValidString(b.String()) {
					t.Fatalf("shown as %q", b.String())
				}
			}
		} else {
			seen := map[string]bool{}
			for _, it := range m.Items {
				if it.ID == "" || seen[it.ID] || len(it.Fingerprint) != 64 || pipeline.CheckKey(it.KeyTemplate) != nil {
					t.Fatalf("item %+v", it)
				}
				seen[it.ID] = true
				if _, err := json.Marshal(it.Payload); err != nil {
					t.Fatal(err)
				}
			}
		}
		if cut := read("m.yaml", data, o, 0); !cut.miscut && (len(cut.problems.list) == 0) != (err == nil) {
			t.Fatalf("whole: %v\nin pieces: %v", err, Problems(cut.problems.sorted()))
		}
	})
}

// FuzzInterpolate: a template is cut without loss, and a text without references comes out as it is.
func FuzzInterpolate(f *testing.F) {
	for _, s := range []string{"", "a", "${a}", "$${a}", "$$${a}", "${a${b}}", "${", "${}", "${ a }b${c}", "$", "${${${${a}}}}", "é${ü}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tmpl := parseTemplate(s)
		if tmpl.wrong != "" {
			if !strings.Contains(s, tmpl.where) {
				t.Fatalf("%q is not in %q", tmpl.where, s)
			}
			return
		}
		var back strings.Builder
		for _, p := range tmpl.parts {
			if p.name == nil {
				back.WriteString(strings.ReplaceAll(p.literal, "${", "$${"))
				continue
			}
			back.WriteString(p.written)
		}
		if back.String() != s {
			t.Fatalf("%q came back as %q", s, back.String())
		}
	})
}
