package manifest_test

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"dailies/pipeline"
)

func TestExpect(t *testing.T) {
	m := mustParse(t, `
defaults: {expect: {min_bytes: 20KB, min_width: 640}}
items:
  - id: walk
    model: veo-3.1
    prompt: x
    payload: {generateAudio: true}
    expect: {kind: Video, type: [mp4, video/webm], min_width: 1280, aspect: 16:9, duration: 5s, audio: true, on_fail: reroll 2}
  - {id: plate, model: imagen4-ultra, prompt: x, expect: {aspect: 1:1 ± 1%, min_bytes: null, blank: false, alpha: TRUE}}
  - {id: roar, model: lyria-2, prompt: x, expect: {min_width: null, duration: {min: 2s, max: 1m}, silent: false, max_bytes: 1.5 MiB}}
  - {id: any, model: imagen4-ultra, prompt: x, expect: null}
`)
	inf := math.Inf(1)
	for id, want := range map[string]*pipeline.Expect{
		"walk": {Rerolls: 2, Checks: []pipeline.Check{
			{Of: "kind", Words: []string{"video"}, Written: "kind: video"},
			{Of: "type", Words: []string{"mp4", "video/webm"}, Written: "type: mp4 or video/webm"},
			{Of: "width", Min: 1280, Max: inf, Written: "min_width: 1280"},
			{Of: "aspect", Min: 16. / 9 * 0.98, Max: 16. / 9 * 1.02, Written: "aspect: 16:9"},
			{Of: "duration", Min: 4.5, Max: 5.5, Written: "duration: 5s±0.5s"},
			{Of: "audio", Is: true, Written: "audio: true"},
			{Of: "bytes", Min: 20_000, Max: inf, Written: "min_bytes: 20KB"},
		}},
		"any": nil,
		"plate": {Checks: []pipeline.Check{
			{Of: "width", Min: 640, Max: inf, Written: "min_width: 640"},
			{Of: "aspect", Min: 0.99, Max: 1.01, Written: "aspect: 1:1 ± 1%"},
			{Of: "blank", Written: "blank: false"},
			{Of: "alpha", Is: true, Written: "alpha: TRUE"},
		}},
		"roar": {Checks: []pipeline.Check{
			{Of: "duration", Min: 2, Max: 60, Written: "duration: min 2s, max 1m"},
			{Of: "silent", Written: "silent: false"},
			{Of: "bytes", Min: 20_000, Max: inf, Written: "min_bytes: 20KB"},
			{Of: "bytes", Max: 1.5 * (1 << 20), Written: "max_bytes: 1.5 MiB"},
		}},
	} {
		if got := item(t, m, id).Expect; !reflect.DeepEqual(got, want) {
			t.Errorf("%s expects\n%+v, want\n%+v", id, got, want)
		}
	}
}

func TestExpectOfACombination(t *testing.T) {
	m := mustParse(t, `
items:
  - {id: "plate-${w}", model: imagen4-ultra, prompt: x, matrix: {w: [100, 200]}, expect: {min_width: "${w}"}}
  - {id: "same-${w}", model: imagen4-ultra, prompt: x, matrix: {w: [100, 200]}, expect: {min_width: 50}}
`)
	for id, want := range map[string]float64{"plate-100": 100, "plate-200": 200, "same-100": 50} {
		if got := item(t, m, id).Expect.Checks[0].Min; got != want {
			t.Errorf("%s: %v, want %v", id, got, want)
		}
	}
	if item(t, m, "same-100").Expect != item(t, m, "same-200").Expect {
		t.Error("what is the same for all combinations is kept once")
	}
}

// What is made anew gets another seed, within what the model takes, even where the manifest names one.
func TestRerollsKnowTheSeedsRange(t *testing.T) {
	m := mustParse(t, `
items:
  - {id: named, model: dice, prompt: x, payload: {seed: 7}, expect: {min_width: 1, on_fail: reroll 1}}
  - {id: own, model: dice, prompt: x, repeat: 2, expect: {min_width: 1, on_fail: reroll 1}}
  - {id: none, model: imagen4-ultra, prompt: x, expect: {min_width: 1, on_fail: reroll 1}}
`)
	for id, want := range map[string]int64{"named": 99, "own-1": 99, "none": 0} {
		if it := item(t, m, id); it.SeedMax != want || it.PicksSeed {
			t.Errorf("%s: seeds up to %d, picks %v; want %d, false", id, it.SeedMax, it.PicksSeed, want)
		}
	}
}

// The fingerprint is of what is bought, not of what is expected of it.
func TestExpectIsNotPartOfTheFingerprint(t *testing.T) {
	const body = "items:\n  - {id: a, model: imagen4-ultra, prompt: x"
	plain, strict := mustParse(t, body+"}\n"), mustParse(t, body+", expect: {min_width: 9}}\n")
	if plain.Items[0].Fingerprint != strict.Items[0].Fingerprint {
		t.Error("expect: changed the fingerprint")
	}
}

func TestExpectProblems(t *testing.T) {
	const video, image, sound = "model: veo-3.1, payload: {generateAudio: true}", "model: imagen4-ultra", "model: lyria-2"
	for _, tt := range []struct {
		name, model, expect string
		at, want            string // what the caret is under, and what is said
	}{
		{"a slip", video, "{durration: 5s}", "durration", `unknown key "durration" in expect | did you mean "duration"?`},
		{"no mapping", video, "5s", "5s", "expect is a mapping of keys to values, not text"},
		{"no time", video, "{duration: long}", "long", "duration is a time such as 5s or 5s±0.5s"},
		{"no tolerance", video, "{duration: 5s±much}", "5s±", "duration is a time such as"},
		{"no span", video, "{duration: {}}", "{}}", "duration names neither min nor max"},
		{"a span upside down", video, "{duration: {min: 5s, max: 4s}}", "{min", "max is less than min"},
		{"a slip in a span", video, "{duration: {min: 1s, mxa: 5s}}", "mxa", `unknown key "mxa" in duration | did you mean "max"?`},
		{"no ratio", video, "{aspect: wide}", "wide", "aspect is width by height, such as 16:9"},
		{"no ratio either", video, "{aspect: 16:0}", "16:0", "aspect is width by height"},
		{"no number", video, "{min_width: 1280px}", "1280px", "min_width is a whole number"},
		{"upside down", video, "{min_width: 1280, max_width: 720}", "720", "max_width is less than min_width"},
		{"no size", video, "{max_bytes: huge}", "huge", "max_bytes is a size, such as 200KB"},
		{"no truth", video, "{audio: maybe}", "maybe", "audio is true or false"},
		{"no kind", video, "{kind: vidoe}", "vidoe", `"vidoe" is not a kind of file | did you mean "video"?`},
		{"no type", video, "{type: [mp4, \"m p\"]}", "\"m p", `"m p" is not an extension`},
		{"another kind", video, "{kind: image}", "image}", "the item expects image, and its model makes video"},
		{"silence of a video", video, "{silent: false}", "silent", "silent cannot be told of video files | audio: true makes sure"},
		{"colour of a video", video, "{blank: false}", "blank", "blank cannot be told of video files | does not unpack"},
		{"length of a picture", image, "{duration: 5s}", "duration", "duration cannot be told of image files"},
		{"width of a sound", sound, "{min_width: 5}", "min_width", "min_width cannot be told of audio files"},
		{"triangles of a picture", image, "{max_triangles: 5}", "max_", "max_triangles cannot be told of image files"},
		{"no way to fail", image, "{on_fail: reroll}", "reroll", "on_fail is reject (keep the file and fail), or reroll N"},
		{"too often", image, "{on_fail: reroll 99}", "reroll", "on_fail is reject"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			line := "    expect: " + tt.expect
			_, err := parse(t, "items:\n  - {id: a, prompt: x, "+tt.model+",\n"+line+"}\n", options())
			col := utf8.RuneCountInString(line[:strings.Index(line, tt.at)]) + 1
			checkProblems(t, err, []string{fmt.Sprintf("5:%d %s", col, tt.want)})
		})
	}
	t.Run("from the defaults", func(t *testing.T) {
		_, err := parse(t, "defaults: {expect: {min_width: 640}}\nitems:\n  - {id: a, prompt: x, "+sound+"}\n  - {id: b, prompt: x, "+sound+"}\n", options())
		checkProblems(t, err, []string{"3:21 min_width cannot be told of audio files | expect: {min_width: null}"})
	})
}
