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

// FuzzRows: whatever a file of rows holds, reading it ends, every row has all its columns, and every place named is one
// of the file's.
func FuzzRows(f *testing.F) {
	for _, s := range []string{
		"name,line\na,b\n", "\ufeffname;line\r\na;\"x\r\ny\"\r\n", "sep=;\nname;line\n1;2\n", "name\tline\ra\tb\r", "a,a\n1,2\n", "a,,\n1,2,3\n",
		"\"a\n\nb", "a\n\"b\"c\n", "a,b\n${x},${items.y}\n", "a\n1e999\n-0\n007\n", "\n\n,,\n", "a\n\"\"\"\"\n",
		`{"a": 1, "b": [true, null, {"c": "d"}]}` + "\n" + `{"a": "${x}"}`, `{"a": `, "[[[[", `{"a":1}{"b":2}`, "{\"\\u0000\": 1}", "\xef\xbb\xbf{}",
	} {
		f.Add([]byte(s), true)
		f.Add([]byte(s), false)
	}
	f.Fuzz(func(t *testing.T, data []byte, asCSV bool) {
		if len(data) > 1<<14 {
			return
		}
		r := &reader{m: &Manifest{Path: "m.yaml"}, o: Options{Contracts: anything{}}}
		r.setText([]byte("items:\n"))
		src := newLines(trimBOM(data))
		src.name, src.file = "rows", 1
		r.sources = append(r.sources, src)
		if message, _, at := src.unfit(); message != "" {
			if at.line < 1 || int(at.line) > len(src.lines) {
				t.Fatalf("%s at %v", message, at)
			}
			return
		}
		tab, sc := &table{src: src}, &scope{entry: top}
		if !asCSV {
			tab.each = r.jsonRows(tab, sc)
		} else if !r.openCSV(tab, sc, false) {
			return
		}
		for row, at := range tab.each {
			if at.line < 1 || int(at.line) > len(src.lines) || at.file != 1 {
				t.Fatalf("a row at %v of %d lines", at, len(src.lines))
			}
			for _, name := range tab.names {
				if asCSV && row[name] == nil {
					t.Fatalf("the row at %v has no %q", at, name)
				}
			}
			for name, v := range row {
				if v.node == nil || name == "" && asCSV {
					t.Fatalf("column %q: %+v", name, v)
				}
			}
		}
		for _, p := range r.problems.sorted() {
			if p.At.File != "rows" || p.At.Line < 1 || p.At.Line > len(src.lines) || p.At.Col < 1 || p.At.Also == nil {
				t.Fatalf("problem %+v", p)
			}
		}
	})
}
