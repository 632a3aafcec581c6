package catalog

import (
	"encoding/json"
	"strings"
	"testing"

	"dailies/pipeline"
)

func TestPriceShape(t *testing.T) {
	c := Snapshot()
	for _, tt := range []struct {
		what, model, a, b string
		same              bool
	}{
		{"the prompt", "veo-3.1", `{"prompt":"a boat"}`, `{"prompt":"a longer tale"}`, true},
		{"the negative prompt", "veo-3.1", `{"prompt":"a"}`, `{"prompt":"a","negativePrompt":"fog"}`, true},
		{"the seed", "veo-3.1", `{"prompt":"a","seed":1}`, `{"prompt":"a","seed":2}`, true},
		{"which file", "veo-3.1", `{"image":"asset_a"}`, `{"image":"asset_b"}`, true},
		{"whether there is a file", "veo-3.1", `{"prompt":"a"}`, `{"prompt":"a","image":"asset_b"}`, false},
		{"how many files", "veo-3.1", `{"referenceImages":["asset_a"]}`, `{"referenceImages":["asset_a","asset_b"]}`, false},
		{"the duration", "veo-3.1", `{"duration":4}`, `{"duration":8}`, false},
		{"the spelling of a number", "veo-3.1", `{"duration":8}`, `{"duration":8.0}`, true},
		{"the sound", "veo-3.1", `{"generateAudio":true}`, `{"generateAudio":false}`, false},
		{"the prompts of shots", "kling-v3-t2v-pro", `{"multiPrompt":[{"prompt":"a","duration":"5"}]}`, `{"multiPrompt":[{"prompt":"b","duration":"5"}]}`, true},
		{"the lengths of shots", "kling-v3-t2v-pro", `{"multiPrompt":[{"prompt":"a","duration":"5"}]}`, `{"multiPrompt":[{"prompt":"a","duration":"6"}]}`, false},
		{"the prompts of shots in text", "kling-v3-omni", `{"multiPrompt":"[{\"prompt\":\"a\",\"duration\":5}]"}`, `{"multiPrompt":"[{\"prompt\":\"b\",\"duration\":5}]"}`, true},
		{"the number of shots in text", "kling-v3-omni", `{"multiPrompt":"[{\"prompt\":\"a\",\"duration\":5}]"}`, `{"multiPrompt":"[{\"prompt\":\"a\",\"duration\":2},{\"prompt\":\"b\",\"duration\":3}]"}`, false},
		{"which character", "kling-v3-i2v-pro", `{"elements":[{"frontalImage":"asset_a"}]}`, `{"elements":[{"frontalImage":"asset_b"}]}`, true},
		{"how many characters", "kling-v3-i2v-pro", `{"elements":[{"frontalImage":"asset_a"}]}`, `{"elements":[{"frontalImage":"asset_a"},{"frontalImage":"asset_b"}]}`, false},
		{"what the contract says moves nothing", "seedance-2.0", `{"aspectRatio":"16:9"}`, `{"aspectRatio":"1:1"}`, true},
		{"what the contract says moves it", "seedance-2.0", `{"resolution":"480p"}`, `{"resolution":"4k"}`, false},
		{"the length of spoken text", "lux-tts", `{"prompt":"one"}`, `{"prompt":"one two three"}`, false},
		{"other words of one length", "lux-tts", `{"prompt":"one"}`, `{"prompt":"two"}`, true},
		{"text that is read out", "elevenlabs-v3", `{"text":"one"}`, `{"text":"one two three"}`, false},
		{"null", "veo-3.1", `{"prompt":"a","duration":null}`, `{"prompt":"a"}`, true},
	} {
		m, err := c.Model(tt.model)
		if err != nil {
			t.Fatal(err)
		}
		a, b := m.PriceShape(body(t, tt.a)), m.PriceShape(body(t, tt.b))
		if (a == b) != tt.same {
			t.Errorf("%s: %s: %q and %q", tt.model, tt.what, a, b)
		}
		if !strings.HasPrefix(a, m.ID) || len(a) > 250 {
			t.Errorf("%s: shape %q", tt.model, a)
		}
	}
	veo, _ := c.Model("veo-3.1")
	lite, _ := c.Model("veo-3.1-lite")
	if p := body(t, `{"prompt":"a"}`); veo.PriceShape(p) == lite.PriceShape(p) {
		t.Error("two models have one shape")
	}
	file := map[string]any{"image": pipeline.File{SHA256: "a"}}
	if veo.PriceShape(file) != veo.PriceShape(map[string]any{"image": pipeline.From{Item: "b"}}) {
		t.Error("a file and another item's asset differ in price")
	}
	long := map[string]any{"style": strings.Repeat("x", 1000), "n": json.Number("1")}
	u := Unknown("model_x")
	if s := u.PriceShape(long); len(s) > 100 || s != u.PriceShape(long) {
		t.Errorf("a long shape: %q", s)
	}
	long["n"] = json.Number("2")
	if u.PriceShape(long) == u.PriceShape(map[string]any{"style": long["style"], "n": json.Number("1")}) {
		t.Error("long shapes lose what differs")
	}
}
