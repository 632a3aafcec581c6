package catalog

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"dailies/pipeline"
)

// PriceShape implements [pipeline.Contract]: the model and the inputs that may move its price, as one short text.
//
// Where the contract says which inputs do (costImpact), it is believed. Where it does not, everything counts but
// prompts, the seed and which files are used; how many files there are counts. A shape too fine costs one more
// price question, which is free; one too coarse would break the budget.
func (m *Model) PriceShape(payload map[string]any) string {
	parts := []string{m.ID}
	for _, key := range sortedKeys(payload) {
		in, ok := input(m.Inputs, key)
		if !ok {
			in = &Input{Name: key}
		}
		if part, counts := m.priced(in, payload[key]); counts {
			parts = append(parts, key+"="+part)
		}
	}
	shape := strings.Join(parts, " ")
	if len(shape) <= 200 {
		return shape
	}
	sum := sha256.Sum256([]byte(shape))
	return m.ID + " " + hex.EncodeToString(sum[:16])
}

// priced is what the price may depend on in one input's value.
func (m *Model) priced(in *Input, v any) (part string, counts bool) {
	if v == nil || in.MovesPrice != nil && !*in.MovesPrice {
		return "", false
	}
	if in.MovesPrice == nil {
		if in.Name == "seed" {
			return "", false
		}
		if text, ok := v.(string); ok && isPrompt(in.Name) {
			switch {
			case slices.ContainsFunc(m.rules, func(r rule) bool { return r.Spoken == in.Name }):
				return strconv.Itoa(len(text)) + " bytes", true
			case m.holdsJSON(in.Name):
				if parts, err := jsonObjects(text); err == nil {
					list := make([]any, len(parts))
					for i, p := range parts {
						list[i] = p
					}
					return canonical(priceable(list)), true
				}
			}
			return "", false
		}
	}
	if in.Type == File || in.Type == FileArray {
		return fmt.Sprintf("%d files", countFiles(v)), true
	}
	return canonical(priceable(v)), true
}

func isPrompt(name string) bool {
	return strings.HasSuffix(strings.ToLower(name), "prompt")
}

func countFiles(v any) int {
	if list, ok := v.([]any); ok {
		return len(list)
	}
	return 1
}

// priceable is a value without what does not move prices: prompts and which files.
func priceable(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			if !isPrompt(k) {
				out[k] = priceable(e)
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = priceable(e)
		}
		return out
	case pipeline.File, pipeline.From:
		return "file"
	case string:
		if strings.HasPrefix(v, "asset_") {
			return "file"
		}
	case json.Number:
		if f, err := v.Float64(); err == nil && jsonNumber(v.String()) {
			return json.Number(showNumber(f)) // 5.0 is 5
		}
		return v.String()
	}
	return v
}

func canonical(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("%#v", v) // not JSON: Check has refused it
	}
	return string(data)
}
