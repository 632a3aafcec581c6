package manifest

import (
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// The second is the example GitHub documents include with, its rows in the same order.
func TestMatrix(t *testing.T) {
	tests := []struct{ name, matrix, want string }{
		{"the first axis is slowest", "{a: [1, 2], b: [x, y]}", "a=1 b=x; a=1 b=y; a=2 b=x; a=2 b=y"},
		{"include as documented", `{fruit: [apple, pear], animal: [cat, dog], include: [
  {color: green}, {color: pink, animal: cat}, {fruit: apple, shape: circle}, {fruit: banana}, {fruit: banana, animal: cat}]}`,
			"animal=cat color=pink fruit=apple shape=circle; animal=dog color=green fruit=apple shape=circle; " +
				"animal=cat color=pink fruit=pear; animal=dog color=green fruit=pear; fruit=banana; animal=cat fruit=banana"},
		{"exclude", "{a: [1, 2], b: [x, y], exclude: [{a: 1, b: y}, {b: x, a: 2}]}", "a=1 b=x; a=2 b=y"},
		{"exclude by one axis", "{a: [1, 2], b: [x, y], exclude: [{a: 1}]}", "a=2 b=x; a=2 b=y"},
		{"include brings back what exclude left out", "{a: [1, 2], exclude: [{a: 1}], include: [{a: 1}]}", "a=2; a=1"},
		{"include alone", "{include: [{a: 1}, {a: 2}]}", "a=1; a=2"},
		{"a number is no text", `{a: [5], include: [{a: "5", b: 1}]}`, "a=5; a=5 b=1"},
		{"lists compare by value", `{a: [[1, 2], [3]], exclude: [{a: [1, 2]}]}`, "a=[3]"},
		{"a list by its name", `{a: "${poses}"}`, "a=idle; a=run"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := &reader{m: &Manifest{}}
			r.setText([]byte(tt.matrix))
			var doc yaml.Node
			if err := yaml.Unmarshal([]byte(tt.matrix), &doc); err != nil {
				t.Fatal(err)
			}
			poses := &node{kind: list, list: []*node{{kind: text, raw: "idle"}, {kind: text, raw: "run"}}}
			sc := &scope{vars: map[string]*value{"poses": {v: []any{"idle", "run"}, node: poses}}}
			m := r.readMatrix(r.convert(doc.Content[0], 0), sc)
			if len(r.problems.list) > 0 {
				t.Fatal(r.problems.list)
			}
			var got []string
			m.combinations(func(c map[string]*value) bool {
				var one []string
				for name, v := range c {
					one = append(one, name+"="+v.text)
				}
				slices.Sort(one)
				got = append(got, strings.Join(one, " "))
				return true
			})
			if strings.Join(got, "; ") != tt.want {
				t.Errorf("got  %s\nwant %s", strings.Join(got, "; "), tt.want)
			}
		})
	}
}
