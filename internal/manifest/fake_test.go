package manifest_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"dailies/internal/manifest"
	"dailies/pipeline"
)

// contracts is a small stand-in for the catalog, with what manifests must get along with: closed sets, ranges,
// single files and lists of them, a value that is wrapped, a seed with a maximum, a cross-input rule.
type contracts map[string]contract

type contract struct {
	id, makes string
	inputs    map[string]input
}

type input struct {
	kind     string // string, number, boolean, file, files
	required bool
	allowed  []string
	max      float64
	asset    string // of file and files
	maxBytes int64
}

func testContracts() contracts {
	veo := contract{"model_veo3-1", "video", map[string]input{
		"prompt": {kind: "string"}, "image": {kind: "file", asset: "image"}, "lastFrameImage": {kind: "file", asset: "image"},
		"referenceImages": {kind: "files", asset: "image", maxBytes: 2000}, "resolution": {kind: "string", allowed: []string{"720p", "1080p"}},
		"generateAudio": {kind: "boolean", required: true}, "aspectRatio": {kind: "string", allowed: []string{"16:9", "9:16"}},
		"duration": {kind: "number", allowed: []string{"4", "6", "8"}}, "seed": {kind: "number"},
	}}
	imagen := contract{"model_imagen4-ultra", "image", map[string]input{
		"prompt": {kind: "string", required: true}, "aspectRatio": {kind: "string", allowed: []string{"1:1", "4:3", "16:9"}},
	}}
	dice := contract{"model_dice", "image", map[string]input{"prompt": {kind: "string", required: true}, "seed": {kind: "number", max: 99}}}
	music := contract{"model_lyria-2", "audio", map[string]input{"prompt": {kind: "string", required: true}, "seed": {kind: "number"}}}
	return contracts{
		"veo-3.1": veo, "model_veo3-1": veo,
		"imagen4-ultra": imagen, "model_imagen4-ultra": imagen,
		"dice": dice, "model_dice": dice, "lyria-2": music, "model_lyria-2": music,
	}
}

func (cs contracts) Contract(name string) (pipeline.Contract, error) {
	if c, ok := cs[name]; ok {
		return c, nil
	}
	return nil, &pipeline.Error{Code: pipeline.CodeModelUnknown, Message: fmt.Sprintf("no model %q", name), Hint: "dailies models lists them"}
}

func (c contract) Model() string { return c.id }
func (c contract) Makes() string { return c.makes }

func (c contract) PriceShape(p map[string]any) string {
	return fmt.Sprint(c.id, p["duration"], p["resolution"])
}

func (c contract) Check(payload map[string]any) pipeline.Checked {
	out := pipeline.Checked{Payload: maps.Clone(payload)}
	if seed, ok := c.inputs["seed"]; ok {
		out.TakesSeed, out.SeedMax = payload["seed"] == nil, int64(cmp.Or(seed.max, 1<<31-1))
	}
	problem := func(onKey bool, message string, path ...any) {
		out.Problems = append(out.Problems, pipeline.Finding{Path: path, OnKey: onKey, Message: message})
	}
	for name, in := range c.inputs {
		if in.required && payload[name] == nil {
			problem(false, name+" is required", name)
		}
	}
	for name, v := range payload {
		in, ok := c.inputs[name]
		if !ok {
			problem(true, fmt.Sprintf("%s has no input %q", c.id, name), name)
			continue
		}
		switch in.kind {
		case "string":
			if s, ok := v.(string); !ok {
				problem(false, name+" is text", name)
			} else if in.allowed != nil && !slices.Contains(in.allowed, s) {
				problem(false, fmt.Sprintf("%s is one of %s", name, strings.Join(in.allowed, ", ")), name)
			}
		case "number":
			n, ok := v.(json.Number)
			f, _ := n.Float64()
			switch {
			case !ok:
				problem(false, name+" is a number", name)
			case in.allowed != nil && !slices.Contains(in.allowed, n.String()):
				problem(false, fmt.Sprintf("%s is one of %s", name, strings.Join(in.allowed, ", ")), name)
			case in.max > 0 && f > in.max:
				problem(false, fmt.Sprintf("%s is %v at most", name, in.max), name)
			}
		case "boolean":
			if _, ok := v.(bool); !ok {
				problem(false, name+" is true or false", name)
			}
		case "file":
			out.Files = append(out.Files, pipeline.FileInput{Path: []any{name}, Kind: in.asset, MaxBytes: in.maxBytes})
		case "files":
			l, ok := v.([]any)
			if !ok {
				l = []any{v}
				out.Payload[name] = l
				out.Notes = append(out.Notes, pipeline.Finding{Path: []any{name}, Message: "wrapped in a list"})
			}
			for i := range l {
				out.Files = append(out.Files, pipeline.FileInput{Path: []any{name, i}, Kind: in.asset, MaxBytes: in.maxBytes})
			}
		}
	}
	if payload["image"] != nil && payload["referenceImages"] != nil {
		problem(false, "image and referenceImages cannot both be set", "referenceImages")
	}
	return out
}

func options() manifest.Options { return manifest.Options{Contracts: testContracts()} }

// parse reads a manifest whose lines follow "version: 1" and "batch: test".
func parse(t *testing.T, body string, o manifest.Options) (*manifest.Manifest, error) {
	t.Helper()
	return manifest.Parse("m.yaml", []byte("version: 1\nbatch: test\n"+body), o)
}

func mustParse(t *testing.T, body string) *manifest.Manifest {
	t.Helper()
	m, err := parse(t, body, options())
	if err != nil {
		t.Fatal(report(err))
	}
	return m
}

func report(err error) string {
	ps, ok := err.(manifest.Problems)
	if !ok {
		return err.Error()
	}
	var b strings.Builder
	for _, p := range ps {
		p.Format(&b, false)
	}
	return b.String()
}
