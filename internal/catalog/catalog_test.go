package catalog

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"dailies/pipeline"
)

func TestSnapshotHoldsEveryModel(t *testing.T) {
	c := Snapshot()
	types := []Type{Boolean, File, FileArray, InputsArray, ModelID, ModelArray, Number, NumberArray, String, StringArray}
	n := 0
	for m := range c.Models() {
		n++
		if m.ID == "" || m.Name == "" || len(m.Capabilities) == 0 || len(m.Inputs) == 0 {
			t.Errorf("%s: incomplete: %+v", m.ID, m)
		}
		if !validID(m.ID) {
			t.Errorf("%s: not fit for a file name", m.ID)
		}
		for _, in := range m.Inputs {
			if !slices.Contains(types, in.Type) {
				t.Errorf("%s %s: type %q", m.ID, in.Name, in.Type)
			}
			if in.Default != nil {
				ch := &checker{model: m}
				if ch.value([]any{in.Name}, &in, in.Default); len(ch.out.Problems)+len(ch.out.Notes) > 0 {
					t.Errorf("%s %s: the contract refuses its own default %v: %v", m.ID, in.Name, in.Default, ch.out)
				}
			}
		}
	}
	if n != 474 || c.header.Models != n {
		t.Errorf("%d models, the header says %d; 474 are documented", n, c.header.Models)
	}
	if got := c.Date().Format("2006-01-02"); got != "2026-08-25" {
		t.Errorf("the snapshot is of %s", got)
	}
}

// The sandbox serves these records as the API would: they must be in its form.
func TestRecordsAreInTheAPIsForm(t *testing.T) {
	c := Snapshot()
	last := ""
	for id, data := range c.Records() {
		if id <= last {
			t.Errorf("%s comes after %s", id, last)
		}
		last = id
		var r map[string]any
		if err := json.Unmarshal(data, &r); err != nil {
			t.Fatalf("%s: %v", id, err)
		}
		if r["id"] != id || r["type"] != "custom" || r["inputs"] == nil {
			t.Errorf("%s: %s", id, data)
		}
		for _, in := range r["inputs"].([]any) {
			if need, ok := in.(map[string]any)["required"]; ok {
				if _, ok := need.(map[string]any); !ok {
					t.Errorf("%s: required is %T, the API has an object", id, need)
				}
			}
		}
	}
	if _, ok := c.Record("model_veo3-1"); !ok {
		t.Error("no record of model_veo3-1")
	}
	if _, ok := c.Record("model_nobody"); ok {
		t.Error("a record of model_nobody")
	}
}

// Facts that only single models' own tables hold.
func TestRicherFacts(t *testing.T) {
	c := Snapshot()
	get := func(model, name string) *Input {
		t.Helper()
		m, err := c.Model(model)
		if err != nil {
			t.Fatal(err)
		}
		in, ok := input(m.Inputs, name)
		if !ok {
			t.Fatalf("%s has no %s", model, name)
		}
		return in
	}
	if in := get("happy-horse-r2v", "referenceImages"); in.MinLength != 1 || in.MaxLength != 9 || in.MaxBytes != 10<<20 || !in.Required {
		t.Errorf("happy-horse-r2v referenceImages: %+v", in)
	}
	if in := get("seedance-2.0", "image"); !slices.Equal(in.RequiredIf, []string{"lastFrameImage"}) || in.Kind != "image" || in.MovesPrice == nil || *in.MovesPrice {
		t.Errorf("seedance-2.0 image: %+v", in)
	}
	if in := get("meshy-7-txt23d", "prompt"); in.MaxLength != 600 {
		t.Errorf("meshy-7-txt23d prompt: %+v", in)
	}
	if in := get("kling-v3-t2v-pro", "multiPrompt"); len(in.Inputs) != 2 {
		t.Errorf("kling-v3-t2v-pro multiPrompt: %+v", in)
	}
	if m, _ := c.Model("meshy-7-txt23d"); m.Access != 50 {
		t.Errorf("meshy-7-txt23d asks for plan grade %d", m.Access)
	}
}

func TestMakes(t *testing.T) {
	c := Snapshot()
	for name, want := range map[string]string{
		"veo-3.1": "video", "imagen4-ultra": "image", "lyria-2": "audio", "meshy-txt23d": "3d", "meshy-rigging": "3d",
		"kling-video-to-audio": "", // makes either
		"nano-banana-2":        "image",
	} {
		m, err := c.Model(name)
		if err != nil {
			t.Error(err)
			continue
		}
		if got := m.Makes(); got != want {
			t.Errorf("%s makes %q, want %q", name, got, want)
		}
	}
}

func TestEveryAliasIsAModels(t *testing.T) {
	c := Snapshot()
	own := map[string]string{} // the ids' own bare forms
	for id := range c.Records() {
		if other, ok := own[bare(id)]; ok {
			t.Errorf("%s and %s cannot be told apart without model_ and dots", id, other)
		}
		own[bare(id)] = id
	}
	seen := map[string]string{}
	var file struct{ Aliases [][]string }
	if err := json.Unmarshal(aliasData, &file); err != nil {
		t.Fatal(err)
	}
	for _, row := range file.Aliases {
		id := row[0]
		if _, ok := c.Record(id); !ok {
			t.Errorf("aliases of %s, which is no model", id)
		}
		for _, alias := range row[1:] {
			if m, err := c.Model(alias); err != nil || m.ID != id {
				t.Errorf("%s: %v, %v; want %s", alias, m, err, id)
			}
			if other, ok := own[bare(alias)]; ok && other != id {
				t.Errorf("%s is the alias of %s and the name of %s", alias, id, other)
			}
			if other, ok := seen[bare(alias)]; ok {
				t.Errorf("%s is given twice: %s and %s", alias, other, id)
			}
			seen[bare(alias)] = id
		}
		if !slices.Equal(c.Aliases(id), row[1:]) {
			t.Errorf("Aliases(%s) = %v", id, c.Aliases(id))
		}
	}
	for gone, id := range c.names().gone {
		if _, ok := c.Record(id); !ok {
			t.Errorf("%s leads to %s, which is no model", gone, id)
		}
	}
}

func TestNames(t *testing.T) {
	c := Snapshot()
	for name, want := range map[string]string{
		"veo-3.1":                 "model_veo3-1",
		"veo-3-1":                 "model_veo3-1",
		"Veo-3.1":                 "model_veo3-1",
		"veo3-1":                  "model_veo3-1",
		"veo3.1":                  "model_veo3-1",
		"model_veo3-1":            "model_veo3-1",
		"veo-3.1-fast":            "model_veo3-1-fast",
		"veo-3.1-lite":            "model_veo3-1-lite",
		"veo-3.1-extend":          "model_veo3-1-extend-video",
		"veo-3":                   "model_veo3",
		"kling-v2.1":              "model_kling-v2-1",
		"kling-v2.6-t2v-pro":      "model_kling-v2-6-t2v-pro",
		"kling-v2.6-i2v-pro":      "model_kling-v2-6-i2v-pro",
		"kling-v3-t2v-4k":         "model_kling-v3-t2v-4k",
		"kling-v3-i2v-pro":        "model_kling-v3-i2v-pro",
		"kling-v3-omni":           "model_kling-v3-omni-video",
		"happy-horse-r2v":         "model_alibaba-happy-horse-reference-to-video",
		"happy-horse-r2v-1.1":     "model_alibaba-happy-horse-reference-to-video-1.1",
		"alibaba-happy-horse-1-1": "model_alibaba-happy-horse-1.1",
		"imagen4-ultra":           "model_imagen4-ultra",
		"lyria-2":                 "model_lyria-2",
		"lyria-3-pro":             "model_lyria-3-pro",
		"meshy-txt23d":            "model_meshy-txt23d",
		"meshy-7-txt23d":          "model_meshy-7-txt23d",
		"meshy-img23d":            "model_meshy-img23d",
		"seedance-2.0":            "model_bytedance-seedance-2-0",
		"ideogram-v4":             "model_ideogram-v4",
		"model_google-veo-3-1":    "model_veo3-1",
		"model_kling-3-0":         "model_kling-v3-omni-video",
	} {
		m, err := c.Model(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if m.ID != want {
			t.Errorf("%s is %s, want %s", name, m.ID, want)
		}
	}
}

func TestDeadIDsSaySo(t *testing.T) {
	c := Snapshot()
	m, err := c.Model("model_google-veo-3-1")
	if err != nil {
		t.Fatal(err)
	}
	got := m.Check(map[string]any{"prompt": "a boat", "generateAudio": true})
	if len(got.Notes) != 1 || !strings.Contains(got.Notes[0].Message, "model_google-veo-3-1") || !strings.Contains(got.Notes[0].Hint, "veo-3.1") {
		t.Errorf("notes: %+v", got.Notes)
	}
	if m, _ := c.Model("veo-3.1"); m.remark != nil {
		t.Error("the remark sticks to the model itself")
	}
}

func TestUnknownNames(t *testing.T) {
	c := Snapshot()
	for name, want := range map[string]string{
		"veo-3.2":        "did you mean veo-3.1",
		"veo":            "veo-3.1",
		"kilng-v2.1":     "kling-v2.1",
		"klingv3":        "kling-v3-t2v-standard",
		"happyhorse":     "happy-horse-r2v",
		"imagen":         "imagen4",
		"model_new-9":    "dailies models model_new-9 --refresh",
		"no such thing!": "dailies models lists all",
		"":               "dailies models lists all",
	} {
		_, err := c.Contract(name)
		e := pipeline.AsError(err)
		if pipeline.CodeOf(err) != pipeline.CodeModelUnknown {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !strings.Contains(e.HintText(), want) {
			t.Errorf("%s: hint %q, want %q in it", name, e.HintText(), want)
		}
	}
	if _, err := c.Contract("zzz"); strings.Contains(pipeline.AsError(err).Hint, "did you mean") {
		t.Errorf("zzz resembles nothing: %v", pipeline.AsError(err).Hint)
	}
}

func TestLiveRecordsWin(t *testing.T) {
	base := Snapshot()
	live := base.With(map[string]json.RawMessage{
		"model_veo3-1": json.RawMessage(`{"model":{"id":"model_veo3-1","name":"Veo 3.1 new","capabilities":["txt2video"],
			"tags":["sc:featured","deprecated:model_veo4"],"updatedAt":"2026-10-02T21:20:16.925Z","inputs":[{"name":"prompt","type":"string","required":{"always":true}}]},
			"fetchedAt":"2026-11-01T00:00:00Z"}`),
		"model_brand-new": json.RawMessage(`{"id":"model_brand-new","name":"New","inputs":[]}`),
		"model_lyria-2":   json.RawMessage(`{"id":"model_somebody-else","inputs":[]}`),
		"model_imagen4":   json.RawMessage(`<html>`),
		"model_bare":      json.RawMessage(`{"id":"model_bare","name":"A trained model"}`),
	})
	m, err := live.Model("veo-3.1")
	if err != nil {
		t.Fatal(err)
	}
	if m.Name != "Veo 3.1 new" || len(m.Inputs) != 1 || m.Successor != "model_veo4" || m.FetchedAt.IsZero() || m.Date.Year() != 2026 {
		t.Errorf("%+v", m)
	}
	got := m.Check(map[string]any{"prompt": "x"})
	if len(got.Problems) > 0 || len(got.Notes) != 1 || !strings.Contains(got.Notes[0].Hint, "model_veo4") {
		t.Errorf("a deprecated model's check: %+v", got)
	}
	if data, _ := live.Record("model_veo3-1"); !strings.HasPrefix(string(data), `{"id"`) {
		t.Errorf("the record is still in its envelope: %.40s", data)
	}
	for name, want := range map[string]string{"brand-new": "New", "lyria-2": "Google Lyria 2", "imagen4": "Imagen 4"} {
		if m, err := live.Model(name); err != nil || m.Name != want {
			t.Errorf("%s: %v, %v", name, m, err)
		}
	}
	if m, err := live.Model("bare"); err != nil || len(m.Check(map[string]any{"anything": true}).Problems) > 0 {
		t.Errorf("a record without inputs says nothing about the payload: %v", err)
	}
	back := base.With(map[string]json.RawMessage{"model_kling-3-0": json.RawMessage(`{"id":"model_kling-3-0","name":"Kling 3 is back","inputs":[]}`)})
	if m, err := back.Model("model_kling-3-0"); err != nil || m.Name != "Kling 3 is back" {
		t.Errorf("an id that lives again: %v, %v", m, err)
	}
	if m, _ := base.Model("veo-3.1"); m.Name != "Google Veo 3.1" {
		t.Error("With altered the catalog it was called on")
	}
}

// Every rule must speak of inputs that its models have: a rule about a misspelt input would hold for nothing.
func TestRulesFitTheirModels(t *testing.T) {
	c := Snapshot()
	for id, rules := range c.rules() {
		data, ok := c.Record(id)
		if !ok {
			t.Errorf("rules for %s, which is no model", id)
			continue
		}
		m, err := parse(data)
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range rules {
			for _, name := range r.inputs() {
				if _, ok := input(m.Inputs, name); !ok {
					t.Errorf("%s: rule %d speaks of %s, which the model does not have", id, i, name)
				}
			}
			statements := 0
			for _, set := range []bool{r.Exclusive != nil, r.Any != nil, r.Only != nil, r.Never != nil, r.Ignored != nil,
				r.Count != nil, r.JSON != "", r.Mentions != "", r.Spoken != ""} {
				if set {
					statements++
				}
			}
			if statements != 1 {
				t.Errorf("%s: rule %d makes %d statements", id, i, statements)
			}
		}
	}
}

func TestRulesInWords(t *testing.T) {
	c := Snapshot()
	for name, want := range map[string][]string{
		"veo-3.1": {"image and referenceImages exclude each other: a clip starts from a first frame or from references",
			"duration is 8 with referenceImages", `aspectRatio cannot be "9:16" with referenceImages`,
			"it needs prompt, image or referenceImages", "no effect has referenceImagesType without referenceImages"},
		"kling-v3-omni": {"multiPrompt is the JSON text of at most 6 {prompt, duration}, each duration a part of duration",
			"generateAudio cannot be true with referenceVideo", "referenceImages: at most 4 with referenceVideo",
			"no effect has videoReferenceType without referenceVideo"},
		"happy-horse-r2v-1.1": {"the prompt calls the referenceImages character1, character2, … in their order"},
		"lyria-2":             nil,
	} {
		m, err := c.Model(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Rules(); !slices.Equal(got, want) {
			t.Errorf("%s: %q", name, got)
		}
	}
	for m := range c.Models() {
		if slices.Contains(m.Rules(), "") {
			t.Errorf("%s: a rule without words", m.ID)
		}
	}
}

// The alias file is read by people.
func TestDataFilesAreTidy(t *testing.T) {
	for _, name := range []string{"data/aliases.json", "data/rules.json", "data/models.jsonl"} {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if m := regexp.MustCompile(`(?m)[ \t]+$|\t|\r`).FindIndex(data); m != nil {
			t.Errorf("%s: stray white space at byte %d", name, m[0])
		}
		if !strings.HasSuffix(string(data), "\n") {
			t.Errorf("%s: no newline at its end", name)
		}
	}
}

func BenchmarkSnapshotLookup(b *testing.B) {
	for b.Loop() {
		if _, err := Snapshot().Contract("veo-3.1"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSnapshot(b *testing.B) {
	for b.Loop() {
		Snapshot()
	}
}
