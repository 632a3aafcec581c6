package sandbox

import (
	"encoding/base64"
	"strings"
	"testing"
)

// smallPNG is a valid picture of 2 by 2.
func smallPNG(t *testing.T) string {
	t.Helper()
	st, err := newStudio()
	if err != nil {
		t.Fatal(err)
	}
	j := &job{Model: "model", Payload: []byte(`{}`), Outputs: []output{{ID: "asset_1", Form: png, W: 64, H: 64}}}
	b, err := st.picture(&asset{job: j})
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(b)
}

func (r *rig) uploadPNG() string {
	r.t.Helper()
	res := r.do("POST", "/v1/assets", `{"image":"`+smallPNG(r.t)+`","name":"ref.png"}`)
	if res.status != 200 {
		r.t.Fatalf("upload: %d %s", res.status, res.body)
	}
	return res.text(r.t, "asset", "id")
}

func TestValidation(t *testing.T) {
	r := newRig(t, Options{RequestsPerMinute: -1, Concurrency: -1})
	img := r.uploadPNG()
	mesh := r.made("model_meshy-7-txt23d", `{"prompt":"a stone"}`)[1]["id"].(string)
	clip := r.made("model_veo3-1-fast", veo)[0]["id"].(string)
	refs := func(n int) string { return `["` + strings.Repeat(img+`","`, n-1) + img + `"]` }
	const ok = ""
	for _, tc := range []struct {
		name, model, body string
		reason            string // ok, or the beginning of the reason of a 400
	}{
		{"required", "model_imagen4-ultra", `{}`, "Input prompt is required"},
		{"null is absent", "model_imagen4-ultra", `{"prompt":null}`, "Input prompt is required"},
		{"empty is absent", "model_imagen4-ultra", `{"prompt":""}`, "Input prompt is required"},
		{"required with a default", "model_veo3-1-fast", `{"prompt":"x"}`, "Input generateAudio is required"},
		{"enum", "model_imagen4-ultra", `{"prompt":"x","aspectRatio":"2:1"}`, "Input aspectRatio must be one of 9:16, 3:4"},
		{"enum of numbers", "model_veo3-1-fast", `{"prompt":"x","generateAudio":true,"duration":5}`, "Input duration must be one of 4, 6, 8"},
		{"a number is a number however spelt", "model_veo3-1-fast", `{"prompt":"x","generateAudio":true,"duration":8.0}`, ok},
		{"string for number", "model_veo3-1-fast", `{"prompt":"x","generateAudio":true,"duration":"8"}`, "Input duration must be a number"},
		{"number for string", "model_kling-v3-t2v-pro", `{"prompt":"x","duration":5}`, "Input duration must be a string"},
		{"string for boolean", "model_veo3-1-fast", `{"prompt":"x","generateAudio":"true"}`, "Input generateAudio must be a boolean"},
		{"least", "model_p-image", `{"prompt":"xx","width":128}`, "Input width must be at least 256"},
		{"most", "model_p-image", `{"prompt":"xx","width":1456}`, "Input width must be at most 1440"},
		{"step", "model_p-image", `{"prompt":"xx","width":257}`, "Input width must be a multiple of 16"},
		{"on step", "model_p-image", `{"prompt":"xx","width":272}`, ok},
		{"too short", "model_p-image", `{"prompt":"x"}`, "Input prompt must be at least 2 characters"},
		{"too long", "model_meshy-7-txt23d", `{"prompt":"` + strings.Repeat("é", 601) + `"}`, "Input prompt must be at most 600 characters"},
		{"as long as allowed", "model_meshy-7-txt23d", `{"prompt":"` + strings.Repeat("é", 600) + `"}`, ok},
		{"too many", "model_p-image", `{"prompt":"xx","style":["ink","oil","ink"]}`, "Input style must have at most 2 items"},
		{"too few", "model_p-image", `{"prompt":"xx","style":[]}`, "Input style must have at least 1 items"},
		{"enum of items", "model_p-image", `{"prompt":"xx","style":["ink","mud"]}`, "Input style [1] must be one of ink, oil"},
		{"required if defined", "model_p-image", `{"prompt":"xx","strength":1}`, "Input mask is required when strength is given"},
		{"unknown fields are ignored", "model_imagen4-ultra", `{"prompt":"x","promt":"y"}`, ok},
		{"a scalar for an array is dropped", "model_p-image", `{"prompt":"xx","style":"mud"}`, ok},
		{"and then it is missing", "model_alibaba-happy-horse-reference-to-video", `{"prompt":"x","referenceImages":"` + img + `"}`, "Input referenceImages is required"},
		{"an empty required list", "model_alibaba-happy-horse-reference-to-video", `{"prompt":"x","referenceImages":[]}`, "Input referenceImages is required"},
		{"an asset that is there", "model_alibaba-happy-horse-reference-to-video", `{"prompt":"x","referenceImages":["` + img + `"]}`, ok},
		{"an asset that is not", "model_alibaba-happy-horse-reference-to-video", `{"prompt":"x","referenceImages":["asset_X"]}`, "Input referenceImages [0] refers to an asset that does not exist"},
		{"a URL", "model_kling-v2-6-i2v-pro", `{"prompt":"x","image":"https://example.com/a.png"}`, "Input image must be an asset id"},
		{"an asset of another kind", "model_kling-v2-6-i2v-pro", `{"prompt":"x","image":"` + mesh + `"}`, "Input image must be of kind image"},
		{"nested inputs", "model_kling-v3-t2v-pro", `{"multiPrompt":[{"duration":"3"}]}`, "Input multiPrompt [0] is refused: Input prompt is required"},

		{"Veo: image or references", "model_veo3-1-fast", `{"generateAudio":true,"image":"` + img + `","referenceImages":` + refs(1) + `}`, "Input image cannot be combined"},
		{"Veo: references last 8 s", "model_veo3-1-fast", `{"generateAudio":true,"duration":4,"referenceImages":` + refs(1) + `}`, "Input duration must be 8"},
		{"Veo: references are wide", "model_veo3-1-fast", `{"generateAudio":true,"aspectRatio":"9:16","referenceImages":` + refs(1) + `}`, "Input aspectRatio 9:16"},
		{"Veo: three references", "model_veo3-1-fast", `{"generateAudio":true,"referenceImages":` + refs(3) + `}`, ok},
		{"Veo: four references", "model_veo3-1-fast", `{"generateAudio":true,"referenceImages":` + refs(4) + `}`, "Input referenceImages must have at most 3"},
		{"Kling V3: neither prompt", "model_kling-v3-t2v-pro", `{}`, "Exactly one of"},
		{"Kling V3: both prompts", "model_kling-v3-t2v-pro", `{"prompt":"x","multiPrompt":[{"prompt":"y"}]}`, "Exactly one of"},
		{"Kling V3: shots", "model_kling-v3-t2v-pro", `{"multiPrompt":[{"prompt":"y","duration":"3"}]}`, ok},
		{"Omni: shots that add up", "model_kling-v3-omni-video", `{"prompt":"x","duration":5,"multiPrompt":"[{\"prompt\":\"a\",\"duration\":2},{\"prompt\":\"b\",\"duration\":3}]"}`, ok},
		{"Omni: shots that do not", "model_kling-v3-omni-video", `{"prompt":"x","duration":6,"multiPrompt":"[{\"prompt\":\"a\",\"duration\":2}]"}`, "Input multiPrompt durations add up to 2"},
		{"Omni: shots as a list", "model_kling-v3-omni-video", `{"prompt":"x","multiPrompt":[]}`, "Input multiPrompt must be a string"},
		{"Omni: shots that are no JSON", "model_kling-v3-omni-video", `{"prompt":"x","multiPrompt":"a, then b"}`, "Input multiPrompt must be a JSON string"},
		{"Omni: sound with a video", "model_kling-v3-omni-video", `{"prompt":"x","generateAudio":true,"referenceVideo":"` + clip + `"}`, "Input generateAudio cannot"},
		{"Omni: five references beside a video", "model_kling-v3-omni-video", `{"prompt":"x","referenceVideo":"` + clip + `","referenceImages":` + refs(5) + `}`, "Input referenceImages must have at most 4"},
		{"Omni: eight references", "model_kling-v3-omni-video", `{"prompt":"x","referenceImages":` + refs(8) + `}`, "Input referenceImages must have at most 7"},
		{"Kling 2.6: sound with a last frame", "model_kling-v2-6-i2v-pro", `{"prompt":"x","image":"` + img + `","lastFrameImage":"` + img + `","generateAudio":true}`, "Input generateAudio cannot"},
		{"Kling O1: seven together", "model_kling-o1-r2v", `{"prompt":"x","images":` + refs(6) + `,"elements":[{}]}`, ok},
		{"Kling O1: eight together", "model_kling-o1-r2v", `{"prompt":"x","images":` + refs(6) + `,"elements":[{},{}]}`, "Inputs images and elements must have at most 7"},
		{"Happy Horse: nine references", "model_alibaba-happy-horse-reference-to-video", `{"prompt":"x","referenceImages":` + refs(9) + `}`, ok},
		{"Happy Horse: ten references", "model_alibaba-happy-horse-reference-to-video", `{"prompt":"x","referenceImages":` + refs(10) + `}`, "Input referenceImages must have at most 9"},
		{"Meshy 7: 8k and quads", "model_meshy-7-txt23d", `{"prompt":"x","textureResolution":"8k","shouldRemesh":true,"topology":"quad"}`, "Input textureResolution 8k"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := len(r.Book())
			for _, query := range []string{"?dryRun=true", ""} { // a dry run is a free check of the same things
				res := r.do("POST", "/v1/generate/custom/"+tc.model+query, tc.body)
				if tc.reason == ok {
					if res.status != 200 && res.status != 269 {
						t.Errorf("%q: %d %s", query, res.status, res.body)
					}
					continue
				}
				if got := res.text(t, "reason"); res.status != 400 || !strings.HasPrefix(got, tc.reason) {
					t.Errorf("%q: %d %q, want 400 %q", query, res.status, got, tc.reason)
				}
			}
			bought := 0
			if tc.reason == ok {
				bought = 1
			}
			if got := len(r.Book()) - before; got != bought {
				t.Errorf("%d jobs were bought, want %d", got, bought)
			}
		})
	}
}

// The silent drop is only visible afterwards: in what the job says it was given.
func TestDroppedInputIsGoneFromTheJob(t *testing.T) {
	r := newRig(t, Options{})
	id := r.buy("model_p-image", `{"prompt":"xx","style":"ink","seed":3}`)
	in := r.do("GET", "/v1/jobs/"+id, "").get(t, "job", "metadata", "input").(map[string]any)
	if in["style"] != nil || in["prompt"] != "xx" || in["modelId"] != "model_p-image" {
		t.Errorf("input: %v", in)
	}
	if p := string(r.Book()[0].Payload); !strings.Contains(p, `"style":"ink"`) {
		t.Errorf("the book holds what was sent, not %s", p)
	}
}

func TestConsumedReferencesShowOnTheAsset(t *testing.T) {
	r := newRig(t, Options{})
	img := r.uploadPNG()
	a := r.made("model_alibaba-happy-horse-reference-to-video", `{"prompt":"x","referenceImages":["`+img+`"]}`)[0]
	meta := a["metadata"].(map[string]any)
	if refs, _ := meta["referenceImages"].([]any); len(refs) != 1 || refs[0] != img {
		t.Errorf("metadata: %v", meta)
	}
}

func TestPrices(t *testing.T) {
	r := newRig(t, Options{RequestsPerMinute: -1})
	price := func(model, body string) string {
		res := r.do("POST", "/v1/generate/custom/"+model+"?dryRun=true", body)
		return res.text(t, "creativeUnitsCost")
	}
	base := price("model_meshy-7-txt23d", `{"prompt":"x"}`)
	for body, moves := range map[string]bool{
		`{"prompt":"quite another prompt"}`:           false,
		`{"prompt":"x","topology":"quad"}`:            false,
		`{"prompt":"x","shouldRemesh":true}`:          false,
		`{"prompt":"x","ultraMode":true}`:             true,
		`{"prompt":"x","textureResolution":"8k"}`:     true,
		`{"prompt":"x","unknown":"to nobody's gain"}`: false,
	} {
		if got := price("model_meshy-7-txt23d", body); (got != base) != moves {
			t.Errorf("%s costs %s, the plain one %s", body, got, base)
		}
	}
	short := price("model_veo3-1-fast", `{"prompt":"x","generateAudio":true,"duration":4}`)
	if long := price("model_veo3-1-fast", `{"prompt":"x","generateAudio":true,"seed":4}`); long != "80" || short != "40" {
		t.Errorf("8 s cost %s and 4 s %s, want 80 and 40", long, short)
	}
	if got := price("model_lyria-2", `{"prompt":"x"}`); !strings.Contains(got, ".") {
		t.Errorf("music costs %s, want a fraction: clients must not count in whole units", got)
	}
}

func FuzzCheck(f *testing.F) {
	for id := range records {
		f.Add(id, []byte(veo))
	}
	f.Add("model_kling-v3-omni-video", []byte(`{"prompt":"x","multiPrompt":"[{}]"}`))
	f.Fuzz(func(t *testing.T, id string, body []byte) {
		record, ok := models(id)
		if !ok {
			return
		}
		c, err := readContract(record)
		if err != nil {
			t.Fatal(err)
		}
		payload := decodeObject(body)
		if payload == nil {
			return
		}
		taken, problem := c.check(payload, func(string) (string, int64, bool) { return "image", 1, true }, false)
		if problem != "" {
			return
		}
		if c.price(taken) <= 0 {
			t.Errorf("a run for nothing: %s", body)
		}
		if _, err := canonical(payload); err != nil {
			t.Error(err)
		}
	})
}
