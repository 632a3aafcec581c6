package manifest_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"dailies/internal/manifest"
	"dailies/pipeline"
)

func ids(m *manifest.Manifest) string {
	var s []string
	for _, it := range m.Items {
		s = append(s, it.ID)
	}
	return strings.Join(s, " ")
}

func item(t *testing.T, m *manifest.Manifest, id string) *pipeline.Item {
	t.Helper()
	i := slices.IndexFunc(m.Items, func(it *pipeline.Item) bool { return it.ID == id })
	if i < 0 {
		t.Fatalf("no item %q among %s", id, ids(m))
	}
	return m.Items[i]
}

func TestHeader(t *testing.T) {
	m, err := manifest.Parse("dir/m.yaml", []byte(`
version: 1
batch: dragon-realm
output: out/${show}
state: s3://bucket/state
key: "{item}/{n}{ext}"
on_lost_submit: hold
limits: {concurrency: 12, requests_per_minute: 60, budget: 13.25, deadline: 5h30m, max_failures: 10%}
vars: {show: s1}
x-shared: &shared {model: imagen4-ultra, prompt: x}
items:
  - {<<: *shared, id: a, tags: one}
  - {<<: [*shared, {prompt: never}], id: b, model: dice, tags: [one, two, one]}
`), options())
	if err != nil {
		t.Fatal(report(err))
	}
	budget := pipeline.CU(13_250_000)
	if want := (manifest.Limits{Concurrency: 12, RequestsPerMinute: 60, Budget: &budget, Deadline: 330 * time.Minute, MaxFailures: "10%"}); !reflect.DeepEqual(m.Limits, want) {
		t.Errorf("limits %+v", m.Limits)
	}
	if m.Batch != "dragon-realm" || m.Key != "{item}/{n}{ext}" || m.OnLostSubmit != "hold" || m.Output != "out/s1" {
		t.Errorf("got %+v", m)
	}
	if m.OutputPath() != filepath.Join("dir", "out", "s1") || m.StatePath() != "s3://bucket/state" {
		t.Errorf("paths %s %s", m.OutputPath(), m.StatePath())
	}
	a, b := item(t, m, "a"), item(t, m, "b")
	if a.Model != "model_imagen4-ultra" || a.Makes != "image" || a.Prompt != "x" || a.KeyTemplate != m.Key || !slices.Equal(a.Tags, []string{"one"}) {
		t.Errorf("a: %+v", a)
	}
	if b.Model != "model_dice" || !b.PicksSeed || b.SeedMax != 99 || !slices.Equal(b.Tags, []string{"one", "two"}) {
		t.Errorf("b: %+v", b)
	}
	if (a.At != pipeline.Position{File: "dir/m.yaml", Line: 12, Col: 5}) {
		t.Errorf("a is at %s", a.At)
	}
}

// What the design's own example promises: the defaults' payload goes with the defaults' model.
func TestDefaults(t *testing.T) {
	m := mustParse(t, `defaults:
  model: veo-3.1
  payload: {resolution: 720p, generateAudio: true, aspectRatio: "16:9"}
  tags: [all]
items:
  - {id: own, prompt: x, payload: {resolution: 1080p, aspectRatio: null}}
  - {id: same-by-id, model: model_veo3-1, prompt: x}
  - {id: other, model: imagen4-ultra, prompt: x, tags: null}
`)
	want := map[string]string{
		"own":        `{"generateAudio":true,"prompt":"x","resolution":"1080p"}`,
		"same-by-id": `{"aspectRatio":"16:9","generateAudio":true,"prompt":"x","resolution":"720p"}`,
		"other":      `{"prompt":"x"}`,
	}
	for id, payload := range want {
		if got := string(pipeline.Canonical(item(t, m, id).Payload)); got != payload {
			t.Errorf("%s: %s, want %s", id, got, payload)
		}
	}
	if item(t, m, "other").Tags != nil || len(item(t, m, "own").Tags) != 1 {
		t.Error("tags do not follow the defaults")
	}
}

func TestInterpolation(t *testing.T) {
	m := mustParse(t, `vars:
  style: "painterly, ${light}"
  light: warm
  secs: 8
  loud: true
  take: 007
items:
  - id: a-${take}
    model: veo-3.1
    prompt: |
      A ${style} knight for $${price} and $5, ${ secs } s, ${loud}
    payload: {duration: "${secs}", generateAudio: "${loud}"}
`)
	it := m.Items[0]
	want := map[string]any{"prompt": "A painterly, warm knight for ${price} and $5, 8 s, true", "duration": json.Number("8"), "generateAudio": true}
	if !reflect.DeepEqual(it.Payload, want) || it.ID != "a-007" {
		t.Errorf("%s: got %#v", it.ID, it.Payload)
	}
}

func TestNumbers(t *testing.T) {
	m := mustParse(t, `items:
  - {id: a, model: dice, prompt: x, payload: {seed: 0x1F}}
  - {id: b, model: dice, prompt: x, payload: {seed: 0o17}}
  - {id: c, model: dice, prompt: x, payload: {seed: +5}}
  - {id: d, model: dice, prompt: x, payload: {seed: .5}}
  - {id: e, model: dice, prompt: x, payload: {seed: 1_0}}
  - {id: f, model: dice, prompt: x, payload: {seed: 2.50}}
`)
	for id, want := range map[string]string{"a": "31", "b": "15", "c": "5", "d": "0.5", "e": "10", "f": "2.50"} {
		if got := item(t, m, id).Payload["seed"]; got != json.Number(want) {
			t.Errorf("%s: %v, want %s", id, got, want)
		}
	}
}

// YAML 1.1 would make 16:9 a number of base 60, and on a boolean.
func TestScalarsAreWhatTheyLookLike(t *testing.T) {
	m := mustParse(t, "items:\n  - {id: a, model: imagen4-ultra, prompt: on, payload: {aspectRatio: 16:9}}\n  - {id: b, model: imagen4-ultra, prompt: 2024-01-01}\n  - {id: c, model: imagen4-ultra, prompt: 1.50}\n")
	for i, want := range []string{"on", "2024-01-01", "1.50"} {
		if got := m.Items[i].Payload["prompt"]; got != want {
			t.Errorf("prompt %v, want %s", got, want)
		}
	}
	if m.Items[0].Payload["aspectRatio"] != "16:9" {
		t.Error(m.Items[0].Payload)
	}
}

func TestRepeat(t *testing.T) {
	m := mustParse(t, `items:
  - {id: plain, model: imagen4-ultra, prompt: x, repeat: 3}
  - {id: seeded, model: lyria-2, prompt: x, repeat: 3}
  - {id: small, model: dice, prompt: x, repeat: 3}
  - {id: fixed, model: dice, prompt: x, repeat: 2, payload: {seed: 7}}
`)
	if want := "plain-1 plain-2 plain-3 seeded-1 seeded-2 seeded-3 small-1 small-2 small-3 fixed-1 fixed-2"; ids(m) != want {
		t.Fatalf("got %s", ids(m))
	}
	prints := map[string]string{}
	for _, it := range m.Items {
		if other, ok := prints[it.Fingerprint]; ok {
			t.Errorf("%s and %s have one fingerprint", it.ID, other)
		}
		prints[it.Fingerprint] = it.ID
		seed, has := it.Payload["seed"].(json.Number)
		n, _ := seed.Int64()
		switch strings.TrimRight(it.ID, "-123") {
		case "plain":
			if has {
				t.Errorf("%s has a seed its model does not take", it.ID)
			}
		case "seeded":
			if !has || it.PicksSeed || it.SeedMax < 1 {
				t.Errorf("%s has no seed of its own", it.ID)
			}
		case "small":
			if !has || n < 1 || n > 99 {
				t.Errorf("%s: seed %s is over the input's maximum", it.ID, seed)
			}
		case "fixed":
			if seed != "7" {
				t.Errorf("%s: seed %s", it.ID, seed)
			}
		}
	}
	if len(m.Notes) != 1 || !strings.Contains(m.Notes[0].Message, "same thing again") {
		t.Errorf("notes %v", m.Notes)
	}
	again := mustParse(t, "items:\n  - {id: seeded, model: lyria-2, prompt: x, repeat: 1}\n")
	if again.Items[0].Fingerprint != item(t, m, "seeded-1").Fingerprint {
		t.Error("a repetition's seed depends on what else is in the manifest")
	}
}

func TestSalt(t *testing.T) {
	print := func(body string) string { return mustParse(t, body).Items[0].Fingerprint }
	plain := print("items:\n  - {id: a, model: imagen4-ultra, prompt: x}\n")
	top := print("salt: one\nitems:\n  - {id: a, model: imagen4-ultra, prompt: x}\n")
	own := print("salt: one\nitems:\n  - {id: a, model: imagen4-ultra, prompt: x, salt: two}\n")
	none := print("salt: one\nitems:\n  - {id: b, model: imagen4-ultra, prompt: x, salt: null}\n")
	if plain == top || top == own || plain != none {
		t.Errorf("fingerprints %s %s %s %s", plain, top, own, none)
	}
}

func TestChains(t *testing.T) {
	body := `items:
  - id: walk-${pose}
    model: veo-3.1
    matrix: {pose: [idle, run]}
    payload: {prompt: x, generateAudio: true, image: "${items.plate-${pose}}"}
  - {id: "plate-${pose}", model: imagen4-ultra, prompt: "%s ${pose}", matrix: {pose: [idle, run]}}
`
	m := mustParse(t, fmt.Sprintf(body, "a"))
	walk := item(t, m, "walk-run")
	if !slices.Equal(walk.Sources, []string{"plate-run"}) || walk.Payload["image"] != (pipeline.From{Item: "plate-run", Kind: "image"}) {
		t.Errorf("got %+v", walk)
	}
	if !maps.Equal(walk.Vars, map[string]string{"pose": "run"}) || walk.PriceShape == "" {
		t.Errorf("got %+v", walk)
	}
	if changed := mustParse(t, fmt.Sprintf(body, "b")); item(t, changed, "walk-run").Fingerprint == walk.Fingerprint {
		t.Error("what is made from a changed item keeps its fingerprint")
	}
}

// writeFiles makes a manifest folder with a neighbour outside of it.
func writeFiles(t *testing.T) (dir string) {
	t.Helper()
	top := t.TempDir()
	dir = filepath.Join(top, "batch")
	for name, content := range map[string]string{
		"outside.png": "o", "batch/refs/knight.png": "knight", "batch/refs/copy.png": "knight", "batch/empty.png": "",
		"batch/big.png": strings.Repeat("x", 2001), "batch/clip.mp4": "v",
	} {
		path := filepath.Join(top, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if runtime.GOOS != "windows" {
		for to, link := range map[string]string{"../outside.png": "leads-out.png", "refs/knight.png": "leads-in.png"} {
			if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir
}

func withReferences(dir, references string, o manifest.Options) (*manifest.Manifest, error) {
	return manifest.Parse(filepath.Join(dir, "m.yaml"), []byte("version: 1\nbatch: test\ninputs: {knight: refs/knight.png, hall: asset_1}\nitems:\n"+
		"  - id: a\n    model: veo-3.1\n    payload:\n      generateAudio: true\n      referenceImages: "+references+"\n"), o)
}

func TestFiles(t *testing.T) {
	dir := writeFiles(t)
	m, err := withReferences(dir, `["${inputs.knight}", "${inputs.hall}", refs/copy.png, ./refs/knight.png, leads-in.png, asset_2]`, options())
	if err != nil {
		t.Fatal(report(err))
	}
	sum := sha256.Sum256([]byte("knight"))
	refs := m.Items[0].Payload["referenceImages"].([]any)
	for i, name := range map[int]string{0: "refs/knight.png", 2: "refs/copy.png", 3: "./refs/knight.png", 4: "leads-in.png"} {
		want := pipeline.File{Path: filepath.Join(dir, filepath.FromSlash(name)), Name: name, SHA256: hex.EncodeToString(sum[:]), Bytes: 6}
		if refs[i] != want {
			t.Errorf("%d: %+v, want %+v", i, refs[i], want)
		}
	}
	if refs[1] != "asset_1" || refs[5] != "asset_2" {
		t.Errorf("got %v", refs)
	}
	// One content is one fingerprint, wherever it is kept.
	one, _ := withReferences(dir, "[refs/copy.png]", options())
	two, _ := withReferences(dir, `refs/knight.png`, options())
	if one.Items[0].Fingerprint != two.Items[0].Fingerprint {
		t.Error("the fingerprint goes by the file's name")
	}
	if len(two.Notes) != 3 { // wrapped; two inputs that nobody uses
		t.Errorf("notes %v", two.Notes)
	}
}

func TestFileProblems(t *testing.T) {
	dir := writeFiles(t)
	for reference, want := range map[string]string{
		"refs/knigth.png":           `no file refs/knigth.png | did you mean "knight.png"?`,
		"../outside.png":            "../outside.png is outside the manifest's folder | --allow-outside",
		"/etc/hostname":             "/etc/hostname is outside",
		"leads-out.png":             "leads-out.png is outside",
		"refs":                      "refs is a folder",
		"empty.png":                 "empty.png is empty",
		"big.png":                   "big.png is 2001 bytes; this input takes 2000 bytes at most",
		"clip.mp4":                  "clip.mp4 is of kind video; this input takes kind image",
		"https://example.com/a.png": "an address cannot be an input | download",
		`"data:image/png;base64,"`:  "a data URL cannot be an input",
		"job_abc":                   "job_abc is not an asset id",
		`""`:                        "not an empty text",
	} {
		t.Run(reference, func(t *testing.T) {
			_, err := withReferences(dir, "["+reference+"]", options())
			ps, _ := errors.AsType[manifest.Problems](err)
			words, hint, _ := strings.Cut(want, " | ")
			if len(ps) != 1 || ps[0].At.Line != 9 || ps[0].At.Col != 25 || !strings.Contains(ps[0].Message, words) || !strings.Contains(ps[0].Hint, hint) {
				t.Errorf("got %s", report(err))
			}
		})
	}
}

func TestAllowOutside(t *testing.T) {
	dir := writeFiles(t)
	o := options()
	o.AllowOutside = true
	m, err := withReferences(dir, "[../outside.png, leads-out.png]", o)
	if err != nil {
		t.Fatal(report(err))
	}
	for _, ref := range m.Items[0].Payload["referenceImages"].([]any) {
		if ref.(pipeline.File).Bytes != 1 {
			t.Errorf("got %+v", ref)
		}
	}
}

func TestAllowUnknown(t *testing.T) {
	o := options()
	o.AllowUnknown = func(model string) pipeline.Contract {
		return contract{model, "", map[string]input{"prompt": {kind: "string"}}}
	}
	m, err := parse(t, "items:\n  - {id: a, model: model_new, prompt: x}\n", o)
	if err != nil {
		t.Fatal(report(err))
	}
	if m.Items[0].Model != "model_new" {
		t.Errorf("model %s", m.Items[0].Model)
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "m.yaml")
	text := "\ufeffversion: 1\r\nbatch: test\r\nitems:\r\n- {id: a, model: imagen4-ultra, prompt: x}\r\n"
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	m, err := manifest.Load(path, options())
	if err != nil {
		t.Fatal(report(err))
	}
	sum := sha256.Sum256([]byte(text))
	if m.SHA256 != hex.EncodeToString(sum[:]) || m.Dir != dir || m.OutputPath() != "" {
		t.Errorf("got %+v", m)
	}
	for _, tt := range []struct{ path, want string }{{filepath.Join(dir, "none.yaml"), "no manifest at"}, {dir, "is a folder"}} {
		_, err := manifest.Load(tt.path, options())
		if e, ok := errors.AsType[*pipeline.Error](err); !ok || e.Code != pipeline.CodeManifest || !strings.Contains(e.Message, tt.want) || e.Hint == "" {
			t.Errorf("%s: %v", tt.path, err)
		}
	}
}

// The same manifest makes the same items, whatever order maps are walked in.
func TestDeterministic(t *testing.T) {
	body := "items:\n  - {id: \"a-${x}-${y}\", model: dice, prompt: \"${x} ${z}\", repeat: 2, matrix: {x: [1, 2], y: [3, 4], include: [{z: 5}, {x: 1, z: 6}]}}\n"
	first := mustParse(t, body)
	for range 20 {
		if again := mustParse(t, body); !reflect.DeepEqual(first, again) {
			t.Fatal("two readings differ")
		}
	}
}
