package catalog

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestPayloadSchema(t *testing.T) {
	c := Snapshot()
	for _, tt := range []struct {
		model, in string
		ok        bool
	}{
		{"veo-3.1", `{"prompt":"x","generateAudio":true,"duration":8,"image":"first.png","referenceImages":["a.png"]}`, true},
		{"veo-3.1", `{"prompt":"${line}","generateAudio":"${sound}","duration":"${seconds}","resolution":"${size}","seed":"${n}"}`, true},
		{"veo-3.1", `{"duration":null,"image":"${inputs.knight}","referenceImages":"${inputs.hall}"}`, true},
		{"veo-3.1", `{"duration":5}`, false},
		{"veo-3.1", `{"resolution":"4k"}`, false},
		{"veo-3.1", `{"startImage":"a.png"}`, false},
		{"veo-3.1", `{"referenceImages":["a","b","c","d"]}`, false},
		{"veo-3.1", `{"generateAudio":"yes"}`, false},
		{"kling-v2.6-t2v-pro", `{"prompt":"x","duration":5}`, true},
		{"kling-v2.6-t2v-pro", `{"prompt":"x","duration":"5"}`, true},
		{"kling-v2.6-t2v-pro", `{"prompt":"x","duration":7}`, false},
		{"kling-v2.6-t2v-pro", `{"prompt":"x","cfgScale":2}`, false},
		{"kling-v2.6-t2v-pro", `{"duration":"5"}`, false}, // prompt is required
		{"kling-v3-t2v-pro", `{"multiPrompt":[{"prompt":"a","duration":"5"}]}`, true},
		{"kling-v3-t2v-pro", `{"multiPrompt":[{"prompt":"a","seconds":"5"}]}`, false},
		{"kling-v3-omni", `{"prompt":"x","multiPrompt":[{"prompt":"a","duration":5}]}`, true},
		{"kling-v3-i2v-pro", `{"prompt":"x","startImage":"a.png","elements":[{"frontalImage":"b.png","anything":1}]}`, true},
		{"meshy-7-txt23d", `{"prompt":"` + strings.Repeat("x", 601) + `"}`, false},
		{"meshy-7-txt23d", `{"prompt":"` + strings.Repeat("${x}", 300) + `"}`, true},
	} {
		m, err := c.Model(tt.model)
		if err != nil {
			t.Fatal(err)
		}
		s, err := m.PayloadSchema().Resolve(nil)
		if err != nil {
			t.Fatalf("%s: %v", tt.model, err)
		}
		var in any
		if err := json.Unmarshal([]byte(tt.in), &in); err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(in); (err == nil) != tt.ok {
			t.Errorf("%s %s: %v", tt.model, tt.in, err)
		}
	}
}

func TestEveryModelHasASchema(t *testing.T) {
	for m := range Snapshot().Models() {
		s := m.PayloadSchema()
		if _, err := s.Resolve(nil); err != nil {
			t.Errorf("%s: %v", m.ID, err)
		}
		data, err := json.Marshal(s)
		if err != nil {
			t.Errorf("%s: %v", m.ID, err)
		}
		if !strings.Contains(string(data), `"additionalProperties":false`) {
			t.Errorf("%s: lets unknown keys through: %s", m.ID, data)
		}
	}
}
