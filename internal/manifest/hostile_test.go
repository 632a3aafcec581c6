package manifest_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"dailies/internal/manifest"
)

// What no YAML reader, or no manifest, can take: one problem, in plain words, at the line to mend.
func TestUnreadable(t *testing.T) {
	const head = "version: 1\nbatch: test\n"
	tests := []struct{ name, text, want string }{
		{"nothing", "", "1:1 the manifest is empty | dailies init"},
		{"comments alone", "# hello\n\n", "1:1 the manifest is empty"},
		{"a null", "---\n~\n", "1:1 the manifest is empty"},
		{"second document", head + "items: []\n---\na: 1\n", "4:1 a second document begins here"},
		{"not UTF-8", head + "items:\n  - id: \"\xff\"\n", "4:10 not UTF-8"},
		{"UTF-16", "\xff\xfev\x00", "1:1 the file is UTF-16 | save it as UTF-8"},
		{"control character", head + "key: \"a\x01b\"\n", `3:8 a control character | \x01`},
		{"C1 control character", head + "key: \"a\u0090b\"\n", "3:8 a control character"},
		{"tab", head + "limits:\n\tbudget: 5\n", "4:1 a tab in the indentation | spaces"},
		{"tab after spaces", head + "limits:\n  concurrency: 1\n \tbudget: 5\n", "5:2 a tab in the indentation"},
		{"colon in a text", head + "items:\n  - id: a\n    prompt: A dragon: big\n", `5:21 a second ": " in one line`},
		{"colon after a reference", head + "items:\n  - id: a\n    prompt: A ${v} dragon. SFX: wind\n", `5:31 a second ": " in one line | "SFX: wind"`},
		{"too deep", head + "items:\n  - id: a\n     prompt: x\n", "5:6 this line is indented too far"},
		{"unclosed quote", head + "items:\n  - id: a\n    prompt: \"abc\n  - id: b\n", "5:5 a text that began with a quote is never closed"},
		{"text after a quote", head + "items:\n  - id: a\n    prompt: \"abc\" and more\n    model: x\n", "5:5 this line does not fit the ones above"},
		{"bad indentation", head + "items:\n  - id: a\n   prompt: x\n", "5:4 this line does not fit the ones above"},
		{"key in braces", head + "key: {item}{-n}{ext}\n", "3:1 this line does not fit the ones above | double quotes"},
		{"reference in a list", head + "x-a: 1\nx-b: [${inputs.a}]\nitems: []\n", "4:1 YAML cannot read this line | write \"${…}\" with quotes"},
		{"unclosed list", head + "items: [a, b\nlimits: {}\n", "3:1 a list that began with [ goes on without a comma"},
		{"unclosed mapping", head + "limits: {budget: 1\nitems: []\n", "3:1 a mapping that began with {"},
		{"at sign", head + "key: @home\n", "3:1 a value cannot begin with this character | double quotes"},
		{"percent", head + "items: 1\n%x: 1\n", "4:1 "},
		{"unknown anchor", head + "x-a: 1\nkey: *star light\n", "4:6 *star stands for an anchor &star, and there is none | needs quotes"},
		{"a line of words", head + "items\nlimits: {}\n", "3:1 a line without its \"key:\""},
		{"escape", head + "key: \"a\\qb\"\n", `3:1 a \ that YAML does not know`},
		{"tag", head + "key: !secret x\nitems: [x]\n", "3:6 the tag !secret means nothing here"},
		{"anchor in itself", head + "x-a: &a\n  b: *a\n", "4:6 *a stands for something that holds it"},
		{"list as key", head + "? [a, b]\n: c\n", "3:3 a key must be a word"},
		{"empty key", head + "?\n: c\n", "3:2 a key must be a word"},
		{"merge of nothing", head + "x-a:\n  <<: 5\n", "4:7 << takes a mapping"},
		{"a list at the top", "- a\n- b\n", "1:1 the manifest is a mapping of keys to values, not a list"},
		{"a text at the top", "hello\n", "1:1 the manifest is a mapping of keys to values, not text"},
		{"wrong version", "version: 2\nbatch: test\nitems: [x]\n", "1:10 this program reads version 1"},
		{"deep", head + "x-a: " + strings.Repeat("[", 200) + strings.Repeat("]", 200), "3:106 nested more than 100 deep"},
		{"very deep", head + "x-a: " + strings.Repeat("[", 1<<20), "3:1 the values are nested too deeply"},
		{"very deep indentation", head + strings.Repeat("- ", 1<<18), "3:1 "},
		{"alias bomb", head + bomb(12), " the aliases stand for more than 1,000,000 values"},
		{"merge bomb", head + mergeBomb(12), " the aliases stand for more than 1,000,000 values"},
		{"too many values", head + "x-a: [" + strings.Repeat("a,", 3<<20) + "]", " the manifest holds more than 2,000,000 values"},
		{"too large", head + "x-a: " + strings.Repeat("x", 10<<20), " the manifest is larger than 10 MiB"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := manifest.Parse("m.yaml", []byte(tt.text), options())
			ps, ok := errors.AsType[manifest.Problems](err)
			if !ok {
				t.Fatalf("error %v", err)
			}
			w, hint, _ := strings.Cut(tt.want, " | ")
			at, words, _ := strings.Cut(w, " ")
			for _, p := range ps {
				if strings.HasPrefix(p.String(), "m.yaml") && strings.Contains(p.String(), at+": ") && strings.Contains(p.Message, words) && strings.Contains(p.Hint, hint) {
					return
				}
			}
			t.Errorf("got %.2000s\nwant %s", report(err), tt.want)
		})
	}
}

// bomb is a file of a few lines that stands for 10^n values.
func bomb(n int) string {
	var b strings.Builder
	b.WriteString("x-0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i < n; i++ {
		fmt.Fprintf(&b, "x-%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 10), ", "))
	}
	return b.String()
}

func mergeBomb(n int) string {
	var b strings.Builder
	b.WriteString("x-0: &a0 {a: x, b: x}\n")
	for i := 1; i < n; i++ {
		fmt.Fprintf(&b, "x-%d: &a%d {<<: [%s]}\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 10), ", "))
	}
	return b.String()
}

// Texts and payloads that multiply through vars and matrices are bounded too.
func TestExpansionBombs(t *testing.T) {
	long := strings.Repeat("x", 1<<20)
	var vars strings.Builder
	fmt.Fprintf(&vars, "vars:\n  v0: %s\n", strings.Repeat("x", 1000))
	for i := 1; i < 12; i++ {
		fmt.Fprintf(&vars, "  v%d: \"%s\"\n", i, strings.Repeat(fmt.Sprintf("${v%d}", i-1), 10))
	}
	for name, body := range map[string]string{
		"vars of vars":   vars.String() + "items:\n  - {id: a, model: dice, prompt: x}\n",
		"long var":       "vars: {v: " + long + "}\nitems:\n  - {id: a, model: dice, prompt: \"${v}${v}\", repeat: 1000}\n",
		"large payloads": "vars: {v: [" + strings.Repeat("1,", 1000) + "]}\nitems:\n  - {id: a, model: any, payload: {image: \"${v}\"}, repeat: 100000}\n",
	} {
		t.Run(name, func(t *testing.T) {
			o := options()
			o.Contracts.(contracts)["any"] = contract{"model_any", "", map[string]input{"image": {kind: "string"}}}
			_, err := parse(t, body, o)
			if err == nil || !strings.Contains(report(err), "expands to more than 128 MiB of text or 5,000,000 values") {
				t.Errorf("got %.500v", err)
			}
		})
	}
}

// Files that are large in one direction: what is quadratic in any of them would show as minutes.
func TestLargeInOneDirection(t *testing.T) {
	const n = 10_000
	each := func(format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i, i+1)
		}
		return b.String()
	}
	for name, tt := range map[string]struct{ body, want string }{
		"payload":       {"items:\n- id: a\n  model: veo-3.1\n  payload:\n" + each("    k%[1]d: 1\n"), "a payload has 1000 inputs at most"},
		"defaults":      {"defaults:\n  model: veo-3.1\n  payload:\n" + each("    k%[1]d: 1\n") + "items:\n- id: a\n  payload:\n" + each("    l%[1]d: 1\n"), "a payload has 1000 inputs at most"},
		"keys":          {each("k%[1]d: 1\n"), "more than 1000 problems"},
		"vars":          {"vars:\n" + each("  v%d: \"${v%d}\"\n") + "items: [{id: a, model: dice, prompt: x}]\n", "vars are made of each other more than 100 deep"},
		"names":         {"vars:\n" + each("  v%[1]d: 1\n") + "items:\n- id: a\n  model: dice\n  prompt: " + each("${w%[1]d} ") + "\n", "more than 1000 problems"},
		"tags":          {"items:\n- {id: a, model: dice, prompt: x, tags: [" + each("t%[1]d, ") + "]}\n", "an item has 100 tags at most"},
		"axes":          {"items:\n- id: a\n  model: dice\n  prompt: x\n  matrix:\n" + each("    a%[1]d: [1]\n"), "a matrix has 100 axes at most"},
		"include rows":  {"items:\n- id: a\n  model: dice\n  prompt: x\n  matrix:\n    a: [1, 2, 3, 4, 5]\n    b: [1, 2, 3, 4, 5]\n    c: [1, 2, 3, 4, 5]\n    d: [1, 2, 3, 4, 5]\n    include:\n" + each("    - {b%[1]d: 1}\n"), "too many include and exclude rows"},
		"chain":         {"items:\n" + strings.Replace(each("- {id: i%d, model: any, payload: {image: \"${items.i%d}\"}}\n"), "items.i10000", "items.i0", 1), "items that wait for each other: i0 → i1"},
		"unknown items": {"items:\n" + each("- {id: i%d, model: any, payload: {image: \"${items.j%d}\"}}\n"), "more than 1000 problems"},
	} {
		t.Run(name, func(t *testing.T) {
			o := options()
			o.Contracts.(contracts)["any"] = contract{"model_any", "", map[string]input{"image": {kind: "file"}}}
			if _, err := parse(t, tt.body, o); !strings.Contains(report(err), tt.want) {
				t.Errorf("got %.300s", report(err))
			}
		})
	}
}

// A file without an end is given up at the bound.
func TestEndlessFile(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no endless file")
	}
	_, err := manifest.Load("/dev/zero", options())
	if ps, ok := errors.AsType[manifest.Problems](err); !ok || !strings.Contains(ps[0].Message, "larger than 10 MiB") {
		t.Errorf("got %v", err)
	}
	path := filepath.Join(t.TempDir(), "large.yaml")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 1<<30); err != nil {
		t.Fatal(err)
	}
	if _, err := manifest.Load(path, options()); err == nil || !strings.Contains(err.Error(), "larger than 10 MiB") {
		t.Errorf("got %v", err)
	}
}

func explicitItems(n int) []byte {
	var b bytes.Buffer
	b.WriteString("version: 1\nbatch: large\ndefaults: {model: veo-3.1, payload: {generateAudio: true, resolution: 720p}}\nitems:\n")
	for i := range n {
		fmt.Fprintf(&b, "- id: clip-%05d\n  prompt: dragon %d over the moon\n  payload: {duration: 8, seed: %d}\n", i, i, i)
	}
	return b.Bytes()
}

func matrixItems() []byte {
	axis := func(prefix string, n int) string {
		var s []string
		for i := range n {
			s = append(s, fmt.Sprintf("%s%d", prefix, i))
		}
		return strings.Join(s, ", ")
	}
	return fmt.Appendf(nil, "version: 1\nbatch: large\nitems:\n- id: hero-${a}-${b}-${c}\n  model: veo-3.1\n  matrix: {a: [%s], b: [%s], c: [%s]}\n"+
		"  prompt: A ${a} knight in ${b} light before a ${c}\n  payload: {generateAudio: true, duration: 8}\n", axis("a", 100), axis("b", 100), axis("c", 10))
}

func benchmark(b *testing.B, data []byte) {
	if len(data) > 10<<20 {
		b.Fatalf("%d bytes", len(data))
	}
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		stop, peak := watchHeap()
		m, err := manifest.Parse("m.yaml", data, options())
		if err != nil {
			b.Fatal(report(err))
		}
		close(stop)
		b.ReportMetric(float64(<-peak)/(1<<20), "peak-MiB")
		runtime.GC()
		var held runtime.MemStats
		runtime.ReadMemStats(&held)
		b.ReportMetric(float64(held.HeapAlloc)/(1<<20), "kept-MiB")
		if len(m.Items) != 100_000 {
			b.Fatalf("%d items", len(m.Items))
		}
	}
}

// watchHeap samples the heap until stop is closed.
func watchHeap() (stop chan struct{}, peak chan uint64) {
	stop, peak = make(chan struct{}), make(chan uint64)
	go func() {
		var most uint64
		var s runtime.MemStats
		for {
			runtime.ReadMemStats(&s)
			most = max(most, s.HeapAlloc)
			select {
			case <-stop:
				peak <- most
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	return stop, peak
}

func BenchmarkExplicitItems(b *testing.B) { benchmark(b, explicitItems(100_000)) }
func BenchmarkMatrixItems(b *testing.B)   { benchmark(b, matrixItems()) }
