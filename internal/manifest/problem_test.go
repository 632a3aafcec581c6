package manifest_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"dailies/internal/manifest"
	"dailies/pipeline"
)

// Every way a manifest can be wrong: where it is reported, and what the words must hold. The body begins at line 3.
func TestProblems(t *testing.T) {
	const one = "items:\n  - {id: a, model: imagen4-ultra, prompt: x}\n"
	tests := []struct {
		name, body string
		want       []string // "line:col words | hint words", in order
	}{
		{"unknown top key", one + "outptu: x\n", []string{`5:1 unknown key "outptu" in the manifest | did you mean "output"?`}},
		{"unknown item key", "items:\n  - id: a\n    modle: veo\n    model: imagen4-ultra\n    prompt: x\n", []string{`5:5 unknown key "modle" in an item | did you mean "model"?`}},
		{"no items", "vars: {}\n", []string{"1:1 the manifest has no items"}},
		{"empty items", "items: []\n", []string{"3:8 there are no items"}},
		{"items not a list", "items: {a: b}\n", []string{"3:8 items is a list, not a mapping | begin each item with a dash"}},
		{"item not a mapping", "items: [x]\n", []string{"3:9 an item is a mapping"}},
		{"no id", "items:\n  - {model: imagen4-ultra, prompt: x}\n", []string{"4:5 an item has no id"}},
		{"no model", "items:\n  - {id: a, prompt: x}\n", []string{"4:5 the item has no model | under defaults"}},
		{"unknown model", "items:\n  - {id: a, model: veo-9, prompt: x}\n", []string{`4:20 no model "veo-9" | dailies models`}},
		{"unknown model by var", "vars:\n  m: veo-9\nitems:\n  - {id: a, model: \"${m}\", prompt: x}\n", []string{`4:6 no model "veo-9"`}},
		{"bad id", "items:\n  - {id: Big Hero, model: imagen4-ultra, prompt: x}\n", []string{`4:10 "Big Hero" cannot be an id | big-hero`}},
		{"device id", "items:\n  - {id: con.png, model: imagen4-ultra, prompt: x}\n", []string{`4:10 "con.png" is a device on Windows`}},
		{"long id", "items:\n  - {id: " + strings.Repeat("x", 101) + ", model: imagen4-ultra, prompt: x}\n", []string{`4:10 the id is 101 characters long`}},
		{"dot at the end", "items:\n  - {id: a., model: imagen4-ultra, prompt: x}\n", []string{`4:10 the id "a." ends in a dot`}},
		{"same id twice", "items:\n  - {id: a, model: imagen4-ultra, prompt: x}\n  - {id: a, model: imagen4-ultra, prompt: y}\n", []string{`5:10 the id "a" is taken by the item in line 4`}},
		{"matrix without axis in id", "items:\n  - id: a\n    matrix: {x: [1, 2, 3]}\n    model: imagen4-ultra\n    prompt: ${x}\n", []string{"4:9 several combinations make this id | ${pose}"}},
		{"prompt twice", "items:\n  - id: a\n    model: imagen4-ultra\n    prompt: x\n    payload: {prompt: y}\n", []string{"6:5 prompt: and payload.prompt (line 7) are the same thing"}},
		{"payload not a mapping", "items:\n  - id: a\n    model: imagen4-ultra\n    prompt: x\n    payload: [y]\n", []string{"7:14 payload is a mapping of the model's inputs, not a list"}},
		{"all problems of a payload", "items:\n  - id: a\n    model: veo-3.1\n    prompt: x\n    payload:\n      resolution: 4k\n      resoluton: 720p\n      duration: \"8\"\n", []string{
			"8:7 generateAudio is required", "8:19 resolution is one of", `9:7 model_veo3-1 has no input "resoluton"`, "10:17 duration is a number"}},
		{"yes is text", "items:\n  - id: a\n    model: veo-3.1\n    prompt: x\n    payload: {generateAudio: yes}\n", []string{"7:30 generateAudio is true or false | yes is text here; write true or false"}},
		{"a default's fault", "defaults:\n  model: veo-3.1\n  payload:\n    generateAudio: true\n    duration: 5\nitems:\n  - {id: a, prompt: x}\n  - {id: b, prompt: x}\n", []string{`7:15 item "a" and 1 more: duration is one of 4, 6, 8`}},
		{"an axis value's fault", "items:\n  - id: a-${d}\n    matrix:\n      d: [4, 5, 8]\n    model: veo-3.1\n    prompt: x\n    payload: {generateAudio: true, duration: \"${d}\"}\n", []string{`6:14 item "a-5": duration is one of`}},
		{"undefined name", "vars: {style: x}\nitems:\n  - id: a\n    model: imagen4-ultra\n    prompt: a ${stlye} b\n", []string{`7:15 ${stlye} is not defined here | did you mean "style"?`}},
		{"undefined name in block text", "items:\n  - id: a\n    model: imagen4-ultra\n    prompt: |\n      first line\n      then ${nope}\n", []string{`8:12 ${nope} is not defined here`}},
		{"input without its prefix", "inputs: {hall: asset_1}\nitems:\n  - id: a\n    model: veo-3.1\n    prompt: x\n    payload: {generateAudio: true, image: \"${hall}\"}\n", []string{"8:44 ${hall} is not defined here | did you mean ${inputs.hall}?"}},
		{"unknown input", "inputs: {hall: asset_1}\nitems:\n  - id: a\n    model: veo-3.1\n    prompt: x\n    payload: {generateAudio: true, image: \"${inputs.hal}\"}\n", []string{`8:44 no input is named "hal" | did you mean "hall"?`}},
		{"unclosed reference", "items:\n  - id: a\n    model: imagen4-ultra\n    prompt: a ${b\n", []string{"6:15 a ${ is never closed with } | $${"}},
		{"empty reference", "items:\n  - id: a\n    model: imagen4-ultra\n    prompt: a ${ } b\n", []string{"6:15 ${} names nothing"}},
		{"environment", "items:\n  - id: a\n    model: imagen4-ultra\n    prompt: a ${env.HOME}\n", []string{"6:15 ${env.HOME} is not defined here | the environment is not read"}},
		{"list inside a text", "vars: {l: [1]}\nitems:\n  - id: a\n    model: imagen4-ultra\n    prompt: a ${l}\n", []string{"7:15 ${l} stands for a list, which cannot be part of a text"}},
		{"vars in a circle", "vars: {a: \"${b}\", b: \"${c} x\", c: \"${a}\"}\n" + one, []string{"3:36 vars that are made of each other: a → b → c → a"}},
		{"unknown item", "items:\n  - id: hero-plate\n    model: imagen4-ultra\n    prompt: x\n  - id: walk\n    model: veo-3.1\n    prompt: x\n    payload: {generateAudio: true, image: \"${items.hero-plat}\"}\n", []string{`10:43 no item has the id "hero-plat" | did you mean "hero-plate"?`}},
		{"item before expansion", "items:\n  - id: hero-${p}\n    matrix: {p: [idle, run]}\n    model: imagen4-ultra\n    prompt: x\n  - id: walk\n    model: veo-3.1\n    prompt: x\n    payload: {generateAudio: true, image: \"${items.hero}\"}\n", []string{`11:43 no item has the id "hero" | there is hero-idle, hero-run`}},
		{"wrong kind of source", "items:\n  - {id: song, model: lyria-2, prompt: x}\n  - id: walk\n    model: veo-3.1\n    prompt: x\n    payload: {generateAudio: true, image: \"${items.song}\"}\n", []string{`8:43 this input takes kind image, and item "song" makes kind audio`}},
		{"asset where none goes", "items:\n  - {id: a, model: imagen4-ultra, prompt: x}\n  - id: b\n    model: imagen4-ultra\n    prompt: x\n    payload: {aspectRatio: \"${items.a}\"}\n", []string{"8:28 aspectRatio is text"}},
		{"self", "items:\n  - id: a\n    model: veo-3.1\n    payload: {generateAudio: true, image: \"${items.a}\"}\n", []string{"6:43 the item takes its own asset", "6:43 this input takes kind image, and item"}},
		{"circle", "defaults: {model: dice-chain}\nitems:\n  - id: a\n    model: any\n    payload: {image: \"${items.b}\"}\n  - id: b\n    model: any\n    payload: {image: \"${items.c}\"}\n  - id: c\n    model: any\n    payload: {image: \"${items.a}\"}\n", []string{"7:22 items that wait for each other: a → b → c → a"}},
		{"key without number", "key: \"{item}{ext}\"\n" + one, []string{"3:6 key"}},
		{"key with a number that runs on", "key: \"{item}{n}{ext}\"\n" + one, []string{"3:6 key: in {item}{n} the number runs into"}},
		{"keys that meet", "items:\n  - {id: a, model: imagen4-ultra, prompt: x}\n  - {id: a-2, model: imagen4-ultra, prompt: x}\n", []string{`5:10 a file of this item and one of item "a" (line 4) would both be stored as a-2 | {item}/{n}{ext}`}},
		{"keys without the item", "key: \"{model}{-n}{ext}\"\nitems:\n  - {id: a, model: imagen4-ultra, prompt: x}\n  - {id: b, model: imagen4-ultra, prompt: x}\n", []string{`6:10 a file of this item and one of item "a" (line 5) would both be stored as model_imagen4-ultra`}},
		{"keys that differ in case", "items:\n  - {id: a, model: imagen4-ultra, prompt: x, key: \"X{-n}{ext}\"}\n  - {id: b, model: imagen4-ultra, prompt: x, key: \"x{-n}{ext}\"}\n", []string{`5:10 a file of this item`}},
		{"batch name", "x-nothing: 1\n" + one + "batch: Big\n", []string{`6:1 "batch" is given twice; first in line 2`}},
		{"limits", "limits:\n  concurrency: 0\n  requests_per_minute: many\n  budget: -5\n  deadline: 90\n  max_failures: 110%\n  budgte: 1\n" + one, []string{"4:16 concurrency is auto, or a whole number", "5:24 requests_per_minute is a whole number", "6:11 budget is an amount", "7:13 deadline is a time | needs its unit", "8:17 max_failures is a number", `9:3 unknown key "budgte" in limits | did you mean "budget"?`}},
		{"on_lost_submit", "on_lost_submit: holt\n" + one, []string{`3:17 on_lost_submit is one of: adopt-or-resubmit, hold | did you mean "hold"?`}},
		{"output scheme", "output: gs://x/y\n" + one, []string{"3:9 output cannot be a gs address"}},
		{"output without bucket", "output: s3:///y\n" + one, []string{"3:9 output names no bucket"}},
		{"repeat", "items:\n  - {id: a, model: imagen4-ultra, prompt: x, repeat: 0}\n", []string{"4:54 repeat is a whole number from 1"}},
		{"tags", "items:\n  - {id: a, model: imagen4-ultra, prompt: x, tags: [\"two words\"]}\n", []string{`4:53 "two words" cannot be a tag`}},
		{"matrix shape", "items:\n  - {id: \"a-${p}\", model: imagen4-ultra, prompt: x, matrix: {p: idle}}\n", []string{"4:65 the values of p are a list, not text | write p: [one, two]"}},
		{"exclude of nothing", "items:\n  - id: a-${p}\n    model: imagen4-ultra\n    prompt: x\n    matrix:\n      p: [idle, run]\n      exclude: [{p: ruin}, {q: 1}]\n", []string{"9:21 exclude leaves nothing out: p is never ruin", `9:28 exclude names "q", which is no axis`}},
		{"all excluded", "items:\n  - id: a-${p}\n    model: imagen4-ultra\n    prompt: x\n    matrix:\n      p: [idle]\n      exclude: [{p: idle}]\n", []string{"8:7 the matrix has no combination left"}},
		{"too many combinations", "items:\n  - id: a-${a}\n    model: imagen4-ultra\n    prompt: x\n    matrix: {" + tenByTen("abcdefghij") + "}\n", []string{"7:13 the matrix has more than 100000 combinations"}},
		{"too many repetitions", "items:\n  - {id: a, model: imagen4-ultra, prompt: x, repeat: 60000}\n  - {id: b, model: imagen4-ultra, prompt: x, repeat: 60000}\n", []string{"5:5 the manifest makes more than 100000 items"}},
		{"leading zero", "items:\n  - {id: 007, model: dice, prompt: x, payload: {seed: 007}}\n", []string{`4:55 007 begins with a zero | `}},
		{"not a number", "items:\n  - {id: a, model: dice, prompt: x, payload: {seed: .nan}}\n", []string{"4:53 .nan is not a number a payload can hold"}},
		{"huge number", "items:\n  - {id: a, model: dice, prompt: x, payload: {seed: 123456789012345678901234567890}}\n", []string{"4:53 123456789012345678901234567890 is too large for a number"}},
		{"long number", "items:\n  - {id: a, model: dice, prompt: x, payload: {seed: 9007199254740993}}\n", []string{"4:53 9007199254740993 is too large to arrive exactly"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := options()
			o.Contracts.(contracts)["any"] = contract{"model_any", "", map[string]input{"image": {kind: "file"}}}
			_, err := parse(t, tt.body, o)
			checkProblems(t, err, tt.want)
		})
	}
}

func tenByTen(axes string) string {
	var b strings.Builder
	for _, a := range axes {
		fmt.Fprintf(&b, "%c: [0,1,2,3,4,5,6,7,8,9], ", a)
	}
	return strings.TrimSuffix(b.String(), ", ")
}

func checkProblems(t *testing.T, err error, want []string) {
	t.Helper()
	ps, ok := errors.AsType[manifest.Problems](err)
	if !ok {
		t.Fatalf("error %v is no Problems", err)
	}
	if ps.Code() != pipeline.CodeManifest || pipeline.CodeOf(err) != pipeline.CodeManifest {
		t.Errorf("code %s", pipeline.CodeOf(err))
	}
	if len(ps) != len(want) {
		t.Fatalf("%d problems, want %d:\n%s", len(ps), len(want), report(ps))
	}
	for i, w := range want {
		w, hint, _ := strings.Cut(w, " | ")
		at, words, _ := strings.Cut(w, " ")
		got := ps[i].String()
		if !strings.HasPrefix(got, "m.yaml:"+at+": ") || !strings.Contains(got, words) || !strings.Contains(ps[i].Hint, hint) {
			t.Errorf("got  %s | %s\nwant %s %s | %s", got, ps[i].Hint, at, words, hint)
		}
	}
}

func TestFormat(t *testing.T) {
	_, err := parse(t, "items:\n  - id: a\n    model: imagen4-ultra\n    prompt: \"世界\tdeux é 👩‍🚀 ${nope}\x7f\"\n", options())
	if err == nil || !strings.Contains(report(err), "control character") {
		t.Fatalf("got %v", err)
	}
	_, err = parse(t, "items:\n  - id: a\n    model: imagen4-ultra\n    prompt: \"世界\tdeux é 👩‍🚀 \u202e${nope}\"\n", options())
	want := "m.yaml:6:29: item \"a\": ${nope} is not defined here\n" +
		"        prompt: \"世界\tdeux é 👩‍🚀 \ufffd${nope}\"\n" +
		"                 " + "    \t           ^\n" +
		"  hint: define it under vars: or as a matrix axis; write $${ for a plain ${\n"
	if got := report(err); got != want {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
}

func TestFormatClipsLongLines(t *testing.T) {
	_, err := parse(t, "items:\n  - {id: a, model: imagen4-ultra, prompt: \""+strings.Repeat("x", 100_000)+"${nope}"+strings.Repeat("y", 100_000)+"\"}\n", options())
	lines := strings.Split(report(err), "\n")
	if len(lines) < 3 || len(lines[1]) > 200 {
		t.Fatalf("got %.300s", report(err))
	}
	if at := strings.Index(lines[2], "^"); !strings.HasPrefix(string([]rune(lines[1])[at:]), "${nope}") {
		t.Errorf("caret astray:\n%s\n%s", lines[1], lines[2])
	}
}

func TestManyProblemsAreBounded(t *testing.T) {
	var b strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&b, "wrong%d: x\n", i)
	}
	_, err := parse(t, b.String(), options())
	ps, _ := errors.AsType[manifest.Problems](err)
	if len(ps) != 1001 || !strings.Contains(ps[1000].Message, "more than 1000 problems") {
		t.Errorf("%d problems, last %v", len(ps), ps[len(ps)-1])
	}
}
