package manifest

import (
	"fmt"
	"iter"
	"slices"
	"strings"
)

// A key is one word a mapping of the manifest can hold. These tables are what the reader allows and what the JSON
// Schema offers; a new word is a row here and the code that reads it.
type key struct {
	name     string
	doc      string
	form     form
	required bool
	examples []any
}

var manifestKeys = []key{
	{name: "version", doc: "The version of this form: 1.", form: formVersion, required: true},
	{name: "batch", doc: "The batch's name: a-z, 0-9 and dashes. It names the default output, out/<batch>, and the ledger goes by it.", form: formBatch, required: true, examples: []any{"dragon-realm"}},
	{name: "output", doc: "Where the assets go: s3://bucket/prefix, or a folder, relative to this file. The default is out/<batch> in the current directory.", form: formText, examples: []any{"s3://game-assets/dragon-realm", "out/dragons"}},
	{name: "state", doc: "Where the ledger goes when it is not to be in .dailies under the output.", form: formText},
	{name: "key", doc: "The name of each asset under the output. It can hold {item}, {batch}, {model}, {ext}, {n} (1, 2, …) and {-n} (empty for an item's only file).", form: formText, examples: []any{"{item}{-n}{ext}", "{model}/{item}{-n}{ext}"}},
	{name: "salt", doc: "Any text. Changing it makes every item anew.", form: formText},
	{name: "limits", doc: "How much, how fast, how long.", form: formLimits},
	{name: "on_lost_submit", doc: "What to do when the answer to a purchase was lost and the job is not found: submit once more, or hold and leave it to you.", form: formLost},
	{name: "notify", doc: "Whom to tell when a run has ended: a webhook that takes what Slack's take.", form: formNotify, examples: []any{map[string]any{"webhook": "SLACK_WEBHOOK_URL", "on": "failure"}}},
	{name: "vars", doc: "Names for values: ${name} stands for them in ids, prompts and payloads.", form: formAnyMapping, examples: []any{map[string]any{"style": "painterly, warm rim light"}}},
	{name: "inputs", doc: "Names for input files (relative to this file) and asset ids: ${inputs.name} stands for them in payloads. A file is uploaded once.", form: formTexts, examples: []any{map[string]any{"knight": "refs/knight.png"}}},
	{name: "defaults", doc: "What items have that do not say otherwise.", form: formDefaults},
	{name: "items", doc: "The things to make.", form: formItems, required: true},
}

var limitKeys = []key{
	{name: "concurrency", doc: "Jobs in flight. auto grows until the API names its ceiling.", form: formConcurrency, examples: []any{"auto", 8}},
	{name: "requests_per_minute", doc: "Requests to the API a minute; its own limit is 100 a project.", form: formCount, examples: []any{100}},
	{name: "budget", doc: "The most creative units these items may cost, over all runs.", form: formAmount, examples: []any{500, 13.25}},
	{name: "deadline", doc: "The most time one run may take, as 5h30m; what is still generating then is collected by the next run.", form: formDuration, examples: []any{"5h30m", "45m"}},
	{name: "max_failures", doc: "Failed items after which a run stops: a number, or a share such as 10%.", form: formFailures, examples: []any{20, "10%"}},
}

var defaultKeys = []key{
	{name: "model", doc: "The model of items that name none: an alias or a full id.", form: formModel, examples: []any{"veo-3.1"}},
	{name: "payload", doc: "Inputs for items of the defaults' model (of every item, when the defaults name no model). An item's own inputs replace them key by key; null removes one.", form: formPayload},
	{name: "tags", doc: "Tags of items that have none of their own.", form: formTags},
	{name: "expect", doc: "What every item's files must be like. An item's own expect replaces it key by key; null removes one.", form: formExpect},
}

var itemKeys = []key{
	{name: "id", doc: "The item's name, and its file's: a-z, 0-9, dot, dash and underscore. Different for every item, also after matrix.", form: formText, required: true, examples: []any{"dragon-flyover", "knight-${pose}"}},
	{name: "model", doc: "An alias (veo-3.1) or a full id (model_veo3-1); dailies models lists them.", form: formModel, examples: []any{"veo-3.1", "happy-horse-r2v"}},
	{name: "prompt", doc: "What to make, in words: the payload's prompt.", form: formText, examples: []any{"A dragon crosses the moon, ${style}"}},
	{name: "payload", doc: "The model's inputs, as its page documents them; dailies models MODEL shows them.", form: formPayload},
	{name: "from", doc: "Makes an item of every row of a .csv, .tsv or .jsonl file, relative to this file: ${column} stands for its cells. The first line of .csv and .tsv names the columns.", form: formFrom, examples: []any{"rows.csv"}},
	{name: "matrix", doc: "Makes an item of every combination: a name and a list of values each; include adds combinations, or values to combinations, exclude leaves some out, as in CI matrices.", form: formMatrix, examples: []any{map[string]any{"pose": []any{"idle", "attack"}}}},
	{name: "repeat", doc: "Makes that many variations, id-1, id-2, …, each with its own seed where the model takes one.", form: formCount, examples: []any{4}},
	{name: "tags", doc: "Words to choose items by, with --tag.", form: formTags, examples: []any{[]any{"cutscene"}}},
	{name: "expect", doc: "What the item's files must be like once they are delivered. One that is not is kept, and the item is rejected.", form: formExpect, examples: []any{map[string]any{"duration": "5s", "min_width": 1280, "audio": true}}},
	{name: "key", doc: "The name of this item's assets, instead of the manifest's key.", form: formText},
	{name: "salt", doc: "Any text. Changing it makes the item anew.", form: formText},
}

var expectKeys = []key{
	{name: "kind", doc: "The kind of file: image, video, audio, 3d or text; or a list of them.", form: formWords, examples: []any{"video"}},
	{name: "type", doc: "The type of file, as an extension or a MIME type; or a list of them.", form: formWords, examples: []any{"png", "video/mp4"}},
	{name: "min_width", doc: "Pixels, at least.", form: formCheck, examples: []any{1280}},
	{name: "max_width", doc: "Pixels, at most.", form: formCheck},
	{name: "min_height", doc: "Pixels, at least.", form: formCheck, examples: []any{720}},
	{name: "max_height", doc: "Pixels, at most.", form: formCheck},
	{name: "aspect", doc: "Width by height, within 2% where no tolerance is given.", form: formText, examples: []any{"16:9", "1:1±1%"}},
	{name: "duration", doc: "How long it lasts, within half a second where no tolerance is given; or {min, max}.", form: formExpectDuration, examples: []any{"5s", "5s±0.2s", map[string]any{"min": "4s", "max": "6s"}}},
	{name: "audio", doc: "Whether a video has a sound track.", form: formText, examples: []any{true}},
	{name: "silent", doc: "Whether nothing is to be heard. It can be told of WAV files.", form: formText, examples: []any{false}},
	{name: "blank", doc: "Whether a picture is all of one colour. It can be told of PNG, JPEG, WebP, GIF and BMP.", form: formText, examples: []any{false}},
	{name: "alpha", doc: "Whether some of a picture is transparent. It can be told of PNG, JPEG, WebP, GIF and BMP.", form: formText, examples: []any{true}},
	{name: "min_bytes", doc: "The file's size, at least: 200KB, 1.5MB, or bytes.", form: formCheck, examples: []any{"20KB"}},
	{name: "max_bytes", doc: "The file's size, at most.", form: formCheck, examples: []any{"8MB"}},
	{name: "min_triangles", doc: "Triangles of a GLB model, at least.", form: formCheck},
	{name: "max_triangles", doc: "Triangles of a GLB model, at most.", form: formCheck, examples: []any{20000}},
	{name: "min_materials", doc: "Materials of a GLB model, at least.", form: formCheck, examples: []any{1}},
	{name: "max_materials", doc: "Materials of a GLB model, at most.", form: formCheck},
	{name: "on_fail", doc: "What to do about a file that is not as expected: reject, or reroll N: make it anew, N times at most.", form: formText, examples: []any{"reject", "reroll 2"}},
}

// fields are the entries of a mapping that its key table knows.
type fields map[string]*entry

// fields reads a mapping by its table: what is unknown or missing is reported. It is nil when n is no mapping.
func (r *reader) fields(n *node, what string, table []key) fields {
	if n.kind != mapping {
		r.problem(n.at, fmt.Sprintf("%s is a mapping of keys to values, not %s", what, n.kind), "")
		return nil
	}
	fs := make(fields, len(table))
	for i := range n.entries {
		e := &n.entries[i]
		if what == theManifest && strings.HasPrefix(e.key, "x-") {
			continue // a place for anchors
		}
		if slices.ContainsFunc(table, func(k key) bool { return k.name == e.key }) {
			fs[e.key] = e
			continue
		}
		hint := r.near(e.key, len(table), names(table))
		if hint == "" && !r.problems.full() {
			hint = "it can hold: " + strings.Join(slices.Collect(names(table)), ", ")
		}
		r.problem(e.at, fmt.Sprintf("unknown key %q in %s", e.key, what), hint)
	}
	for _, k := range table {
		if k.required && fs[k.name] == nil {
			r.problem(n.at, fmt.Sprintf("%s has no %s", what, k.name), "")
		}
	}
	return fs
}

// theManifest is what messages call the whole.
const theManifest = "the manifest"

func names(table []key) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, k := range table {
			if !yield(k.name) {
				return
			}
		}
	}
}
