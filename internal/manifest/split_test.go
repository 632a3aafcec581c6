package manifest

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"dailies/pipeline"
)

// anything accepts every payload; it is for tests of how manifests are read.
type anything struct{ name string }

func (a anything) Contract(name string) (pipeline.Contract, error) { return anything{name}, nil }
func (a anything) Model() string                                   { return a.name }
func (a anything) Makes() string                                   { return "" }
func (a anything) Check(p map[string]any) pipeline.Checked         { return pipeline.Checked{Payload: p} }
func (a anything) PriceShape(map[string]any) string                { return a.name }

// A manifest read in pieces is the same as read whole, also where the cut is in a wrong place.
func TestSplit(t *testing.T) {
	const head = "version: 1\nbatch: test\nvars: {v: 1}\n"
	item := func(id, prompt string) string {
		return fmt.Sprintf("- id: %s\n  model: m\n  prompt: %s\n", id, prompt)
	}
	many := func(indent string) string {
		var b strings.Builder
		for i := range 600 {
			for line := range strings.Lines(item(fmt.Sprintf("i%d", i), "text number ${v}"+strings.Repeat(" and more", 30)+"\n\n  # a comment")) {
				b.WriteString(indent + line)
			}
		}
		return b.String()
	}
	for name, text := range map[string]string{
		"at the margin":      head + "items:\n" + many(""),
		"indented":           head + "items: # all of them\n" + many("    "),
		"keys after":         head + "items:\n" + many("  ") + "output: x\nlimits: {budget: 5}\n",
		"windows":            strings.ReplaceAll(head+"items:\n"+many(""), "\n", "\r\n"),
		"quoted dashes":      head + "items:\n" + item("a", "\"x\n- id: no\n- id: no\"") + many(""),
		"quoted key":         head + "items:\n" + item("a", "\"x\noutput: y\n- id: no\"") + many(""),
		"list over lines":    head + "items:\n- id: z\n  model: m\n  tags: [a,\n- b]\n" + many(""),
		"items in a text":    head + "x-a: |\n  items:\n  - a\nitems:\n" + many(""),
		"a dash in a block":  head + "items:\n" + item("a", "|\n   x\n   - id: y\n    - z") + many(""),
		"anchors":            head + "items:\n- &a {id: a, model: m}\n- {<<: *a, id: b}\n" + many(""),
		"an unknown key":     head + "items:\n" + many("") + "- idd: x\n",
		"a syntax error":     head + "items:\n" + many("") + "- id: x: y\n" + many(""),
		"an error after":     head + "items:\n" + many("") + "limits: [\n",
		"a second document":  head + "items:\n" + many("") + "---\na: b\n",
		"items given twice":  head + "items:\n" + many("") + "items:\n" + item("a", "x"),
		"nothing but dashes": head + "items:\n- \n-\n",
	} {
		t.Run(name, func(t *testing.T) {
			o := Options{Contracts: anything{}}
			whole, cut := read("m.yaml", []byte(text), o, maxBytes), read("m.yaml", []byte(text), o, 0)
			if cut.miscut {
				return // it is read whole then
			}
			a, b := whole.problems.sorted(), cut.problems.sorted()
			if len(a) == 0 || len(b) == 0 {
				if !reflect.DeepEqual(a, b) || !reflect.DeepEqual(whole.m, cut.m) {
					t.Errorf("they differ: %v, %v", Problems(a), Problems(b))
				}
				return
			}
			if a[0].At != b[0].At || a[0].Message != b[0].Message {
				t.Errorf("whole: %v\nin pieces: %v", a[0], b[0])
			}
		})
	}
	if text := head + "items:\n" + many(""); newSource([]byte(text)).split() == nil || len(newSource([]byte(text)).split().items) < 2 {
		t.Error("a plain manifest is not cut")
	}
}
