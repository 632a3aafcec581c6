package catalog

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"dailies/pipeline"
)

// body reads a payload as manifests do: numbers keep their spelling.
func body(t testing.TB, text string) map[string]any {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var m map[string]any
	if err := dec.Decode(&m); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return m
}

func check(t testing.TB, model, text string) (*Model, pipeline.Checked) {
	t.Helper()
	m, err := Snapshot().Model(model)
	if err != nil {
		t.Fatal(err)
	}
	return m, m.Check(body(t, text))
}

// The examples the guides and reference pages print. What they send must be let through, made right where the
// contract says how. (Where a page leaves an asset id blank, one stands here.)
func TestDocumentedBodies(t *testing.T) {
	for _, tt := range []struct{ name, model, in, out string }{
		{"quick start, video", "model_kling-v2-6-t2v-pro",
			`{"prompt":"A cinematic drone shot of a futuristic city at sunset, highly detailed","aspectRatio":"16:9","duration":5}`,
			`{"prompt":"A cinematic drone shot of a futuristic city at sunset, highly detailed","aspectRatio":"16:9","duration":"5"}`},
		{"quick start, audio", "model_lyria-2", `{"prompt":"Futuristic country music, steel guitar"}`, ""},
		{"quick start, 3D", "model_meshy-txt23d", `{"prompt":"A low-poly treasure chest with gold coins"}`, ""},
		{"quick start, image", "model_imagen4-ultra", `{"prompt":"A photorealistic portrait of an astronaut in a garden","aspectRatio":"4:3"}`, ""},
		{"image guide", "model_imagen4-ultra", `{"prompt":"a futuristic cityscape at sunset","aspectRatio":"16:9"}`, ""},
		{"video guide, curl", "model_veo3", `{"prompt":"A lone skateboarder","generateAudio":true,"aspectRatio":"16:9","duration":8}`, ""},
		{"Veo 3.1 reference", "model_veo3-1",
			`{"referenceImagesType":"ASSET","negativePrompt":"","resolution":"720p","generateAudio":true,"aspectRatio":"16:9","duration":8}`, ""},
		{"Happy Horse reference", "model_alibaba-happy-horse-reference-to-video",
			`{"prompt":"A fantasy landscape","referenceImages":["asset_a"],"aspectRatio":"16:9","resolution":"1080P","duration":5}`, ""},
		{"Kling V3 I2V, two shots", "model_kling-v3-i2v-pro",
			`{"startImage":"asset_s","multiPrompt":[{"prompt":"Wide shot, @Element1 crosses the plaza","duration":"5"},{"prompt":"Close-up","duration":"4"}],
			  "generateAudio":true,"elements":[{"frontalImage":"asset_f"}]}`, ""},
		{"Veo 3.1 from references", "model_veo3-1",
			`{"prompt":"Medium shot","referenceImages":["asset_a","asset_b"],"referenceImagesType":"ASSET","duration":8,"resolution":"1080p","aspectRatio":"16:9","generateAudio":true}`, ""},
		{"Seedance from references", "model_bytedance-seedance-2-0",
			`{"prompt":"@image1 defines the bottle","referenceImages":["asset_a","asset_b"],"duration":8,"resolution":"720p","generateAudio":true}`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, got := check(t, tt.model, tt.in)
			for _, p := range got.Problems {
				t.Errorf("problem at %v: %s (%s)", p.Path, p.Message, p.Hint)
			}
			want := tt.out
			if want == "" {
				want = tt.in
			}
			if !reflect.DeepEqual(got.Payload, body(t, want)) {
				t.Errorf("sent %v, want %s", got.Payload, want)
			}
			if (tt.out != "") != slices.ContainsFunc(got.Notes, func(n pipeline.Finding) bool { return strings.Contains(n.Message, "is sent as") }) {
				t.Errorf("notes of the changes: %+v", got.Notes)
			}
			if again := m.Check(got.Payload); !reflect.DeepEqual(again.Payload, got.Payload) {
				t.Errorf("checked again: %v", again.Payload)
			}
		})
	}
}

// A bad payload and the one thing that is said of it: where, what, what to type instead.
func TestProblems(t *testing.T) {
	for _, tt := range []struct{ model, in, path, message, hint string }{
		// Names.
		{"veo-3.1", `{"prompt":"x","generateAudio":true,"startImage":"asset_a"}`, "startImage key", `Google Veo 3.1 has no input "startImage"`, "did you mean image?"},
		{"veo-3.1", `{"prompt":"x","generateAudio":true,"endImage":"asset_a"}`, "endImage key", `no input "endImage"`, "did you mean lastFrameImage?"},
		{"veo-3.1", `{"prompt":"x","generateAudio":true,"aspect_ratio":"16:9"}`, "aspect_ratio key", `no input "aspect_ratio"`, "did you mean aspectRatio?"},
		{"veo-3.1", `{"prompt":"x","generateAudio":true,"resolutoin":"720p"}`, "resolutoin key", `no input "resolutoin"`, "did you mean resolution?"},
		{"veo-3.1-fast", `{"prompt":"x","generateAudio":true,"referenceImages":["asset_a"],"referenceImagesType":"STYLE"}`, "referenceImagesType key", "no input", "did you mean referenceImages?"},
		{"veo-3.1-lite", `{"prompt":"x","generateAudio":true,"referenceImages":["asset_a"]}`, "referenceImages key", "no input", "did you mean image?"},
		{"kling-v2.5-i2v-pro", `{"prompt":"x","image":"asset_a"}`, "image key", `no input "image"`, "did you mean imageUrl?"},
		{"kling-v2.6-i2v-pro", `{"prompt":"x","startImage":"asset_a"}`, "startImage key", `no input "startImage"`, "did you mean image?"},
		{"lyria-2", `{"prompt":"x","duration":30}`, "duration key", `Google Lyria 2 has no input "duration"`, "it takes prompt, negativePrompt, seed"},
		{"imagen4-ultra", `{"prompt":"x","wildlyOff":1}`, "wildlyOff key", "no input", "it takes prompt, aspectRatio"},
		{"kling-v3-t2v-pro", `{"multiPrompt":[{"prompt":"x","duration":"5","seconds":5}]}`, "multiPrompt 0 seconds key", `no input "seconds" in multiPrompt[0]`, "did you mean duration?"},

		// What must be there.
		{"imagen4", `{"aspectRatio":"1:1"}`, "", "Imagen 4 needs prompt", `add prompt: "…"`},
		{"imagen4", `{"prompt":" "}`, "prompt", "prompt is empty", "write some text"},
		{"imagen4", `{"prompt":""}`, "prompt", "prompt is empty", "write some text"},
		{"kling-v2.1", `{"prompt":"x"}`, "", "Kling V2.1 needs startImage", "add startImage: ${inputs.NAME}"},
		{"happy-horse-r2v", `{"prompt":"x","referenceImages":[]}`, "referenceImages", "has 0; Happy Horse R2V wants 1 or more", `add referenceImages: ["${inputs.NAME}"]`},
		{"seedance-2.0", `{"prompt":"x","lastFrameImage":"asset_a"}`, "", "Seedance 2.0 needs image", "add image"},
		{"kling-v3-t2v-pro", `{"multiPrompt":[{"prompt":"x"}]}`, "multiPrompt 0", "multiPrompt[0] needs duration", "add duration"},
		{"veo-3.1-extend", `{"prompt":"x","generateAudio":false}`, "", "needs video", "add video"},

		// Types.
		{"veo-3.1", `{"prompt":"x","generateAudio":"true"}`, "generateAudio", `generateAudio takes true or false, not "true"`, "write true, without quotation marks"},
		{"veo-3.1", `{"prompt":"x","generateAudio":"no"}`, "generateAudio", `not "no"`, "write false, without quotation marks"},
		{"veo-3.1", `{"prompt":true,"generateAudio":true}`, "prompt", "prompt takes text, not true", `write "true", in quotation marks`},
		{"veo-3.1", `{"prompt":["x"],"generateAudio":true}`, "prompt", "prompt takes text, not a list", "write text"},
		{"veo-3.1", `{"prompt":"x","generateAudio":true,"duration":"eight"}`, "duration", `duration takes a number, not "eight"`, "use 4, 6 or 8"},
		{"veo-3.1", `{"prompt":"x","generateAudio":true,"duration":"8s"}`, "duration", `not "8s"`, "use 4, 6 or 8"},
		{"veo-3.1", `{"prompt":"x","generateAudio":true,"image":["asset_a"]}`, "image", "image takes a file or an asset id, not a list", "without the brackets"},
		{"veo-3.1", `{"prompt":"x","generateAudio":true,"image":""}`, "image", "image is empty", "leave image out"},
		{"veo-3.1", `{"prompt":"x","generateAudio":true,"image":"https://example.com/a.png"}`, "image", "not a web address", "download it"},
		{"veo-3.1", `{"prompt":"x","generateAudio":true,"referenceImages":["asset_a",""]}`, "referenceImages 1", "referenceImages[1] is empty", "asset id"},
		{"kling-v3-t2v-pro", `{"multiPrompt":"two shots"}`, "multiPrompt", `multiPrompt takes a list, not "two shots"`, "a list of objects"},
		{"kling-v3-t2v-pro", `{"multiPrompt":["shot"]}`, "multiPrompt 0", `multiPrompt[0] takes objects, not "shot"`, "{name: value}"},

		// Values.
		{"veo-3.1", `{"prompt":"x","generateAudio":true,"duration":5}`, "duration", "duration 5 is not one Google Veo 3.1 takes", "use 4, 6 or 8"},
		{"veo-3.1", `{"prompt":"x","generateAudio":true,"resolution":"4k"}`, "resolution", "resolution 4k is not one", "use 720p or 1080p"},
		{"veo-3.1", `{"prompt":"x","generateAudio":true,"aspectRatio":"1:1"}`, "aspectRatio", `aspectRatio "1:1" is not one`, `use "16:9" or "9:16"`},
		{"kling-v2.6-t2v-pro", `{"prompt":"x","duration":7}`, "duration", "duration 7 is not one Kling V2.6 T2V Pro takes", `use "5" or "10"`},
		{"kling-v3-t2v-pro", `{"prompt":"x","duration":"16"}`, "duration", `duration "16" is not one`, `use "3" to "15"`},
		{"seedance-2.0", `{"prompt":"x","duration":3}`, "duration", "duration 3 is not one", "use -1 or 4 to 15"},
		{"happy-horse-1.1", `{"prompt":"x","duration":20}`, "duration", "duration 20 is more than Happy Horse 1.1 takes", "use 3 to 15"},
		{"happy-horse-1.1", `{"prompt":"x","seed":-1}`, "seed", "seed -1 is less than", "use 0 to 2147483647"},
		{"kling-v2.6-t2v-pro", `{"prompt":"x","cfgScale":1.5}`, "cfgScale", "cfgScale 1.5 is more than", "use 0 to 1"},
		{"meshy-txt23d", `{"prompt":"x","poseMode":""}`, "poseMode", `poseMode "" is not one`, "use a-pose or t-pose, or leave it out"},
		{"meshy-txt23d", `{"prompt":"x","poseMode":"apose"}`, "poseMode", "poseMode apose is not one", "use a-pose or t-pose"},
		{"kling-lip-sync", `{"videoUrl":"asset_v","text":"hi","voiceId":"en_calm_story"}`, "voiceId", "voiceId en_calm_story is not one", "did you mean en_calm_story1?"},
		{"meshy-7-txt23d", `{"prompt":"` + strings.Repeat("é", 601) + `"}`, "prompt", "prompt is 601 characters long; Meshy 7 - Text-to-3D takes 600", "shorten it by 1"},
		{"veo-3.1", `{"prompt":"x","generateAudio":true,"referenceImages":["asset_a","asset_b","asset_c","asset_d"]}`, "referenceImages", "has 4; Google Veo 3.1 takes at most 3", "leave 1 out"},
		{"happy-horse-r2v-1.1", `{"prompt":"x","referenceImages":["asset_1","asset_2","asset_3","asset_4","asset_5","asset_6","asset_7","asset_8","asset_9","asset_10"]}`,
			"referenceImages", "has 10; Happy Horse 1.1 R2V takes at most 9", "leave 1 out"},

		// Rules between inputs.
		{"veo-3.1", `{"prompt":"x","generateAudio":true,"image":"asset_a","referenceImages":["asset_b"]}`, "referenceImages key", "image and referenceImages exclude each other", "keep one"},
		{"veo-3.1-fast", `{"prompt":"x","generateAudio":true,"duration":6,"referenceImages":["asset_b"]}`, "duration", "duration 6 is not one Google Veo 3.1 Fast takes with referenceImages", "use 8, or leave out referenceImages"},
		{"veo-3.1", `{"prompt":"x","generateAudio":true,"aspectRatio":"9:16","referenceImages":["asset_b"]}`, "aspectRatio", `aspectRatio cannot be "9:16" with referenceImages`, "leave out referenceImages"},
		{"kling-v3-t2v-standard", `{"prompt":"x","multiPrompt":[{"prompt":"x","duration":"5"}]}`, "multiPrompt key", "prompt and multiPrompt exclude each other", "keep one"},
		{"kling-v3-i2v-4k", `{"startImage":"asset_a"}`, "", "Kling V3 I2V 4K needs prompt or multiPrompt", "add one"},
		{"kling-v3-omni", `{"prompt":"x","generateAudio":true,"referenceVideo":"asset_v"}`, "generateAudio", "generateAudio cannot be true with referenceVideo", "leave out referenceVideo"},
		{"kling-v3-omni", `{"prompt":"x","referenceVideo":"asset_v","referenceImages":["asset_1","asset_2","asset_3","asset_4","asset_5"]}`, "referenceImages", "5 are too many with referenceVideo", "leave 1 out"},
		{"kling-v3-omni", `{"prompt":"x","referenceImages":["a","b","c","d","e","f","g","h"]}`, "referenceImages", "has 8; Kling V3 Omni Video takes at most 7", "leave 1 out"},
		{"kling-v3-omni", `{"prompt":"x","multiPrompt":"three shots"}`, "multiPrompt", "multiPrompt is not a JSON list", "[{prompt, duration}, …]"},
		{"kling-v3-omni", `{"prompt":"x","multiPrompt":"[{\"prompt\":\"a\",\"duration\":3}]"}`, "multiPrompt", "add up to 3, not to duration 5", "write duration: 3"},
		{"kling-v3-omni", `{"prompt":"x","multiPrompt":"[{\"prompt\":\"a\"}]"}`, "multiPrompt", "multiPrompt[0] needs duration", "[{prompt, duration}, …]"},
		{"kling-v3-omni", `{"prompt":"x","duration":7,"multiPrompt":[{"prompt":"a","duration":1},{"prompt":"a","duration":1},{"prompt":"a","duration":1},{"prompt":"a","duration":1},{"prompt":"a","duration":1},{"prompt":"a","duration":1},{"prompt":"a","duration":1}]}`,
			"multiPrompt", "multiPrompt has 7; Kling V3 Omni Video takes at most 6", "leave 1 out"},
		{"kling-v2.6-i2v-pro", `{"prompt":"x","image":"asset_a","lastFrameImage":"asset_b","generateAudio":true}`, "generateAudio", "generateAudio cannot be true with lastFrameImage", "leave out lastFrameImage"},
		{"kling-lip-sync", `{"videoUrl":"asset_v","audioFile":"asset_a","text":"hi"}`, "text key", "audioFile and text exclude each other", "keep one"},
		{"kling-o1-r2v", `{"prompt":"x","images":["a","b","c","d"],"elements":[{},{},{},{}]}`, "images", "images and elements: 8 are too many", "leave 1 out"},
		{"meshy-7-txt23d", `{"prompt":"x","shouldRemesh":true,"textureResolution":"8k","topology":"quad"}`, "topology", "topology cannot be quad with shouldRemesh: true and textureResolution: 8k", "change topology"},
		{"seedance-2.0", `{"prompt":"x","image":"asset_a","referenceVideos":["asset_b"]}`, "referenceVideos key", "exclude each other", "keep one"},
		{"seedance-2.0", `{"prompt":"x","referenceAudio":["asset_b"]}`, "", "needs referenceImages or referenceVideos with referenceAudio", "add one"},
		{"happy-horse-r2v", `{"prompt":"character1 fights character3","referenceImages":["asset_a","asset_b"]}`, "prompt", "the prompt speaks of character3, but referenceImages has 2", "character1 is the first"},
	} {
		t.Run(tt.model+" "+tt.path+" "+tt.message, func(t *testing.T) {
			_, got := check(t, tt.model, tt.in)
			if len(got.Problems) != 1 {
				t.Fatalf("%d problems, want one: %+v", len(got.Problems), got.Problems)
			}
			p := got.Problems[0]
			path := strings.Trim(fmt.Sprint(p.Path), "[]")
			if p.OnKey {
				path += " key"
			}
			if path != tt.path {
				t.Errorf("at %q, want %q", path, tt.path)
			}
			if !strings.Contains(p.Message, tt.message) {
				t.Errorf("message %q, want %q in it", p.Message, tt.message)
			}
			if !strings.Contains(p.Hint, tt.hint) {
				t.Errorf("hint %q, want %q in it", p.Hint, tt.hint)
			}
		})
	}
}

// Changes that lose nothing are made, and told.
func TestChanges(t *testing.T) {
	for _, tt := range []struct{ model, in, out, note string }{
		{"kling-v2.6-t2v-pro", `{"prompt":"x","duration":10}`, `{"prompt":"x","duration":"10"}`, `duration: 10 is sent as the text "10"`},
		{"kling-v2.6-t2v-pro", `{"prompt":"x","duration":5.0}`, `{"prompt":"x","duration":"5"}`, `duration: 5.0 is sent as the text "5"`},
		{"imagen4", `{"prompt":1984}`, `{"prompt":"1984"}`, `prompt: 1984 is sent as the text "1984"`},
		{"veo-3.1", `{"prompt":"x","generateAudio":false,"duration":"8"}`, `{"prompt":"x","generateAudio":false,"duration":8}`, `duration: "8" is sent as the number 8`},
		{"veo-3.1", `{"prompt":"x","generateAudio":false,"referenceImages":"asset_a"}`, `{"prompt":"x","generateAudio":false,"referenceImages":["asset_a"]}`, "referenceImages is sent as a list of one"},
		{"kling-v3-t2v-pro", `{"multiPrompt":{"prompt":"x","duration":"5"}}`, `{"multiPrompt":[{"prompt":"x","duration":"5"}]}`, "multiPrompt is sent as a list of one"},
		{"kling-v3-t2v-pro", `{"multiPrompt":[{"prompt":"x","duration":5}]}`, `{"multiPrompt":[{"prompt":"x","duration":"5"}]}`, `multiPrompt[0].duration: 5 is sent as the text "5"`},
		{"happy-horse-1.1", `{"prompt":"x","resolution":"1080p"}`, `{"prompt":"x","resolution":"1080P"}`, "resolution: 1080p is sent as 1080P"},
		{"veo-3.1", `{"prompt":"x","generateAudio":true,"resolution":"1080P"}`, `{"prompt":"x","generateAudio":true,"resolution":"1080p"}`, "resolution: 1080P is sent as 1080p"},
		{"veo-3.1", `{"prompt":"x"}`, `{"prompt":"x","generateAudio":true}`, "generateAudio: true is added"},
		{"veo-3.1", `{"prompt":"x","generateAudio":true,"seed":null}`, `{"prompt":"x","generateAudio":true}`, "seed is null: it is left out"},
		{"kling-v3-omni", `{"prompt":"x","multiPrompt":[{"prompt":"a","duration":2},{"prompt":"b","duration":"3"}]}`,
			`{"prompt":"x","multiPrompt":"[{\"duration\":2,\"prompt\":\"a\"},{\"duration\":\"3\",\"prompt\":\"b\"}]"}`, "multiPrompt is sent as the JSON text of this list"},
	} {
		t.Run(tt.model+" "+tt.note, func(t *testing.T) {
			m, got := check(t, tt.model, tt.in)
			if len(got.Problems) > 0 {
				t.Fatalf("problems: %+v", got.Problems)
			}
			if !reflect.DeepEqual(got.Payload, body(t, tt.out)) {
				t.Errorf("sent %v, want %s", got.Payload, tt.out)
			}
			if len(got.Notes) != 1 || !strings.Contains(got.Notes[0].Message, tt.note) {
				t.Errorf("notes %+v, want %q", got.Notes, tt.note)
			}
			if again := m.Check(got.Payload); len(again.Notes) > 0 || !reflect.DeepEqual(again.Payload, got.Payload) {
				t.Errorf("checked again: %v, %+v", again.Payload, again.Notes)
			}
		})
	}
}

// What deserves a look but is no reason not to send.
func TestNotes(t *testing.T) {
	for _, tt := range []struct{ model, in, note string }{
		{"meshy-txt23d", `{"prompt":"x","textureImage":"asset_a","texturePrompt":"gold"}`, "texturePrompt has no effect with textureImage"},
		{"meshy-7-txt23d", `{"prompt":"x","targetPolycount":5000}`, "targetPolycount has no effect without shouldRemesh: true"},
		{"meshy-img23d", `{"image":["asset_a"],"shouldTexture":false,"texturePrompt":"gold"}`, "texturePrompt has no effect without shouldTexture: true"},
		{"veo-3.1", `{"prompt":"x","generateAudio":true,"referenceImagesType":"STYLE"}`, "referenceImagesType has no effect without referenceImages"},
		{"veo-3.1", `{"generateAudio":true}`, "needs prompt, image or referenceImages"},
		{"happy-horse-r2v", `{"prompt":"character1","referenceImages":["asset_a"],"resolution":"480P"}`, "resolution 480P is not one Happy Horse R2V takes: going by version 1.1"},
		{"happy-horse-r2v", `{"prompt":"character1 and Character 3","referenceImages":["asset_a","asset_b","asset_c"]}`, "does not speak of character2"},
		{"kling-lip-sync", `{"videoUrl":"asset_v","audioFile":"asset_a","voiceSpeed":1.5}`, "voiceSpeed has no effect with audioFile"},
	} {
		t.Run(tt.model+" "+tt.note, func(t *testing.T) {
			_, got := check(t, tt.model, tt.in)
			if len(got.Problems) > 0 || len(got.Notes) != 1 || !strings.Contains(got.Notes[0].Message, tt.note) {
				t.Errorf("problems %+v, notes %+v, want the note %q", got.Problems, got.Notes, tt.note)
			}
			if !reflect.DeepEqual(got.Payload, body(t, tt.in)) {
				t.Errorf("altered: %v", got.Payload)
			}
		})
	}
	if _, got := check(t, "meshy-txt23d", `{"prompt":"x","targetPolycount":5000,"shouldRemesh":true}`); len(got.Notes) > 0 {
		t.Errorf("with shouldRemesh on: %+v", got.Notes)
	}
}

func TestFiles(t *testing.T) {
	c := Snapshot()
	knight := pipeline.File{Path: "/refs/knight.png", Name: "refs/knight.png", Bytes: 1 << 20}
	tests := []struct {
		name, model string
		in          map[string]any
		want        []pipeline.FileInput
		problem     string
	}{
		{name: "files and other items", model: "happy-horse-r2v",
			in: map[string]any{"prompt": "character1 meets character2", "referenceImages": []any{knight, pipeline.From{Item: "plate"}}},
			want: []pipeline.FileInput{{Path: []any{"referenceImages", 0}, Kind: "image", MaxBytes: 10 << 20},
				{Path: []any{"referenceImages", 1}, Kind: "image", MaxBytes: 10 << 20}}},
		{name: "one where a list is declared", model: "happy-horse-r2v",
			in:   map[string]any{"prompt": "character1", "referenceImages": knight},
			want: []pipeline.FileInput{{Path: []any{"referenceImages", 0}, Kind: "image", MaxBytes: 10 << 20}}},
		{name: "in an undescribed object", model: "kling-v3-i2v-pro",
			in: map[string]any{"prompt": "x", "startImage": "hero.png", "elements": []any{map[string]any{"frontalImage": knight, "referenceImages": []any{"side.png", "asset_a"}, "name": "hero"}}},
			want: []pipeline.FileInput{{Path: []any{"startImage"}, Kind: "image"}, {Path: []any{"elements", 0, "frontalImage"}, Kind: "image"},
				{Path: []any{"elements", 0, "referenceImages", 0}, Kind: "image"}, {Path: []any{"elements", 0, "referenceImages", 1}, Kind: "image"}}},
		{name: "a video", model: "veo-3.1-extend", in: map[string]any{"video": pipeline.From{Item: "shot"}, "generateAudio": true},
			want: []pipeline.FileInput{{Path: []any{"video"}, Kind: "video"}}},
		{name: "where text belongs", model: "imagen4", in: map[string]any{"prompt": knight}, problem: "prompt takes text, not a file",
			want: []pipeline.FileInput{{Path: []any{"prompt"}}}},
		{name: "in a number's place", model: "veo-3.1", in: map[string]any{"prompt": "x", "generateAudio": true, "seed": pipeline.From{Item: "shot"}}, problem: "seed takes a number, not a file",
			want: []pipeline.FileInput{{Path: []any{"seed"}}}},
		{name: "too large", model: "happy-horse-r2v", in: map[string]any{"prompt": "character1", "referenceImages": []any{pipeline.File{Name: "big.png", Bytes: 10<<20 + 1}}},
			problem: "big.png is 10.1 MiB; referenceImages takes files of at most 10 MiB",
			want:    []pipeline.FileInput{{Path: []any{"referenceImages", 0}, Kind: "image", MaxBytes: 10 << 20}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, err := c.Model(tt.model)
			if err != nil {
				t.Fatal(err)
			}
			before := maps.Clone(tt.in)
			got := m.Check(tt.in)
			if !reflect.DeepEqual(before, tt.in) {
				t.Error("the payload was altered")
			}
			if !reflect.DeepEqual(got.Files, tt.want) {
				t.Errorf("files %+v, want %+v", got.Files, tt.want)
			}
			if tt.problem == "" && len(got.Problems) > 0 || tt.problem != "" && (len(got.Problems) != 1 || !strings.Contains(got.Problems[0].Message, tt.problem)) {
				t.Errorf("problems %+v, want %q", got.Problems, tt.problem)
			}
		})
	}

	t.Run("the kind wanted of another item", func(t *testing.T) {
		m, _ := c.Model("veo-3.1")
		got := m.Check(map[string]any{"generateAudio": true, "image": pipeline.From{Item: "chest"}})
		if got.Payload["image"] != (pipeline.From{Item: "chest", Kind: "image"}) {
			t.Errorf("%+v", got.Payload["image"])
		}
	})
}

func TestSeeds(t *testing.T) {
	for _, tt := range []struct {
		model, in string
		takes     bool
		largest   int64
	}{
		{"veo-3.1", `{"prompt":"x","generateAudio":true}`, true, 2147483647},
		{"veo-3.1", `{"prompt":"x","generateAudio":true,"seed":null}`, true, 2147483647},
		{"veo-3.1", `{"prompt":"x","generateAudio":true,"seed":7}`, false, 2147483647},
		{"happy-horse-1.1", `{"prompt":"x"}`, true, 2147483647},
		{"kling-v2.6-t2v-pro", `{"prompt":"x"}`, false, 0},
		{"seedance-2.0", `{"prompt":"x"}`, false, 0},
	} {
		_, got := check(t, tt.model, tt.in)
		if got.TakesSeed != tt.takes || got.SeedMax != tt.largest {
			t.Errorf("%s %s: %v, %d", tt.model, tt.in, got.TakesSeed, got.SeedMax)
		}
	}
	for m := range Snapshot().Models() {
		takes, largest := m.seed(map[string]any{})
		if in, ok := input(m.Inputs, "seed"); takes && (!ok || largest < 1 || in.Max != nil && float64(largest) > *in.Max) {
			t.Errorf("%s: seeds up to %d", m.ID, largest)
		}
	}
}

func TestUnknownContract(t *testing.T) {
	c := Unknown("model_brand-new")
	in := map[string]any{"prompt": "x", "image": pipeline.From{Item: "a"}, "deep": map[string]any{"list": []any{json.Number("1"), nil, "asset_b"}}}
	got := c.Check(in)
	if c.Model() != "model_brand-new" || c.Makes() != "" || len(got.Problems) > 0 || got.TakesSeed {
		t.Errorf("%+v", got)
	}
	want := []pipeline.FileInput{{Path: []any{"deep", "list", 2}}, {Path: []any{"image"}, Kind: "image"}}
	if !reflect.DeepEqual(got.Files, want) {
		t.Errorf("files %+v", got.Files)
	}
}

func TestLiveContractFields(t *testing.T) {
	m, err := parse(json.RawMessage(`{"id":"model_x","name":"X","inputs":[
		{"name":"width","type":"number","min":64,"max":512,"step":16},
		{"name":"image","type":"file","required":{"ifNotDefined":{"mesh":{"message":"Provide one"}}}},
		{"name":"mesh","type":"file","kind":"3d"},
		{"name":"tags","type":"string_array","maxLength":3},
		{"name":"flag","type":"boolean","required":true},
		{"name":"novel","type":"hologram"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]string{
		`{"flag":true,"mesh":"asset_a","width":80}`:                      "",
		`{"flag":true,"mesh":"asset_a","width":81}`:                      "between the steps",
		`{"flag":true,"width":80}`:                                       "needs image",
		`{"mesh":"asset_a"}`:                                             "needs flag",
		`{"flag":true,"mesh":"asset_a","tags":["a","b","c","d"]}`:        "",
		`{"flag":true,"mesh":"asset_a","tags":["long"]}`:                 "tags[0] is 4 characters long",
		`{"flag":true,"mesh":"asset_a","novel":{"anything":["at all"]}}`: "",
	} {
		got := m.Check(body(t, in))
		if want == "" && len(got.Problems) > 0 || want != "" && (len(got.Problems) != 1 || !strings.Contains(got.Problems[0].Message, want)) {
			t.Errorf("%s: %+v, want %q", in, got.Problems, want)
		}
	}
}

func TestCaseIsMendedOnlyWithoutDoubt(t *testing.T) {
	m, err := parse(json.RawMessage(`{"id":"model_x","name":"X","inputs":[{"name":"axis","type":"string","allowedValues":["x","X","y"]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	for in, problems := range map[string]int{"x": 0, "X": 0, "y": 0, "Y": 0, "z": 1} {
		if got := m.Check(map[string]any{"axis": in}); len(got.Problems) != problems {
			t.Errorf("%s: %+v", in, got.Problems)
		}
	}
	m.Inputs[0].Allowed = []any{"ab", "AB"}
	if got := m.Check(map[string]any{"axis": "Ab"}); len(got.Problems) != 1 || got.Payload["axis"] != "Ab" {
		t.Errorf("either could be meant: %+v", got)
	}
}

func TestFilledDefaultsAreCopies(t *testing.T) {
	m, got := check(t, "model_ace-step-1-5-edit-complete-track", `{"srcAudio":"asset_a","prompt":"x"}`)
	filled, ok := got.Payload["completeTrackClasses"].([]any)
	if !ok || len(got.Problems) > 0 {
		t.Fatalf("%+v", got)
	}
	filled[0] = "altered"
	if again := m.Check(body(t, `{"srcAudio":"asset_a","prompt":"x"}`)); len(again.Problems) > 0 || again.Payload["completeTrackClasses"].([]any)[0] == "altered" {
		t.Errorf("the contract's own default was altered: %+v", again)
	}
}

func BenchmarkCheck(b *testing.B) {
	c := Snapshot()
	for _, bb := range []struct{ name, in string }{
		{"veo-3.1", `{"prompt":"A dragon crosses the moon","generateAudio":true,"duration":8,"aspectRatio":"16:9","resolution":"720p"}`},
		{"happy-horse-r2v", `{"prompt":"character1 walks","referenceImages":["asset_a"]}`},
	} {
		b.Run(bb.name, func(b *testing.B) {
			m, err := c.Model(bb.name)
			if err != nil {
				b.Fatal(err)
			}
			in := body(b, bb.in)
			b.ReportAllocs()
			for b.Loop() {
				m.Check(in)
			}
		})
	}
}
