package sandbox

import (
	"slices"
	"strings"

	"dailies/pipeline"
)

// quarter is the step of the sandbox's prices; the API's own come in such steps too (13.25, 0.75).
const quarter pipeline.CU = 250_000

// price is what a run of the model costs. The figures are made up, of the size the real ones have where those were
// seen (a Veo 3.1 Fast clip of 8 s with sound: 80). They depend on the model and on nothing but inputs that move
// the price: those the record marks, or where it marks none, all but prompts, seeds and files.
func (c *contract) price(taken map[string]any) pipeline.CU {
	v := values{inputs: c.Inputs, given: map[string]any{}}
	v.inputs = slices.DeleteFunc(slices.Clone(c.Inputs), func(in input) bool { return !c.moves(&in) })
	for i := range v.inputs {
		if x, ok := taken[v.inputs[i].Name]; ok {
			v.given[v.inputs[i].Name] = x
		}
	}
	units := 1.0 // in CU
	odd := float64(hash64(c.ID) % 8)
	switch c.makes {
	case "video":
		seconds, ok := v.number("duration")
		if !ok || seconds <= 0 {
			seconds = 5
		}
		units = 20 * seconds * resolution(v)
		if in := c.input("generateAudio"); in != nil && c.moves(in) && !v.flag("generateAudio") {
			units *= 0.75
		}
	case "3d":
		units = 75 + odd
		if v.flag("ultraMode") {
			units += 35
		}
		switch v.text("textureResolution") {
		case "4k":
			units += 5
		case "8k":
			units += 15
		}
	case "audio":
		units = 13.25 + odd
		if seconds, ok := v.number("duration"); ok && seconds > 10 {
			units += seconds / 4
		}
	case "text":
		units = 0.75
	default:
		units = (8 + odd/4) * resolution(v)
		if v.text("quality") == "high" {
			units *= 4
		}
	}
	units *= tier(c.ID)
	for i := range v.inputs {
		if in := &v.inputs[i]; in.file() && v.has(in.Name) {
			units *= 1.25
		}
	}
	units *= float64(outputsAsked(v))
	return max(quarter, pipeline.CU(units*4+0.5)*quarter)
}

func (c *contract) moves(in *input) bool {
	if c.priced {
		return in.CostImpact != nil && *in.CostImpact
	}
	return !in.file() && in.Name != "prompt" && in.Name != "negativePrompt" && in.Name != "seed"
}

// tier reads what a model's name says about its rank.
func tier(id string) float64 {
	for word := range strings.FieldsFuncSeq(id, func(r rune) bool { return r == '-' || r == '_' }) {
		switch word {
		case "lite", "mini", "nano":
			return 0.25
		case "fast", "flash", "turbo", "standard", "schnell":
			return 0.5
		case "ultra", "max", "4k":
			return 1.5
		}
	}
	return 1
}

func resolution(v values) float64 {
	for _, name := range []string{"resolution", "mode", "imageSize", "size"} {
		switch strings.ToLower(v.text(name)) {
		case "480p", "std", "standard":
			return 0.75
		case "1080p", "2k":
			return 1.5
		case "4k":
			return 3
		}
	}
	return 1
}

// outputsAsked is how many files of its kind a run makes.
func outputsAsked(v values) int {
	for _, name := range []string{"numOutputs", "numImages", "numSamples"} {
		if n, ok := v.number(name); ok {
			return min(max(1, int(n)), 8)
		}
	}
	return 1
}
