// Package report writes what a run leaves for people and programs: results.json, results.csv, the gallery, the table
// at the end of a run, the job summary and JUnit. All of it is made from one [pipeline.Summary], or from the
// results.json that keeps it, so that no two of them can disagree.
//
// It promises that every item is there once, in manifest order; that text from others (prompts, the API's messages,
// file names) is data everywhere and markup, formula or escape sequence nowhere; and that nothing is held in memory
// beyond one item at a time. It refuses to know where things go: it writes to an [io.Writer].
package report

import (
	"encoding/json"
	"strings"
	"time"

	"dailies/pipeline"
)

// A Run is what a report says of a run beside its items.
type Run struct {
	ID             string
	Batch          string
	Version        string // of the program
	BaseURL        string // of the API
	ManifestPath   string // as the user named it
	ManifestSHA256 string // lower-case hex
	Simulated      bool
	ExitCode       int
	StartedAt      time.Time
	FinishedAt     time.Time
	OutputURI      string // where the assets, results.json and index.html are: a folder or s3:// address
}

// place is the address of an object under the output.
func (r Run) place(key string) string {
	if r.OutputURI == "" {
		return key
	}
	return strings.TrimRight(r.OutputURI, "/") + "/" + key
}

func (r Run) took() time.Duration { return r.FinishedAt.Sub(r.StartedAt) }

// payload is the body that was sent for an item, or what would be: a file in the place of an asset id is shown as
// {"file": name}, another item as {"item": id}.
func payload(o *pipeline.Outcome) json.RawMessage {
	if json.Valid(o.Payload) {
		return o.Payload
	}
	if o.Item.Payload == nil {
		return json.RawMessage("{}")
	}
	return pipeline.Canonical(shown(o.Item.Payload))
}

func shown(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := make(map[string]any, len(v))
		for k, e := range v {
			m[k] = shown(e)
		}
		return m
	case []any:
		s := make([]any, len(v))
		for i, e := range v {
			s[i] = shown(e)
		}
		return s
	case pipeline.File:
		return map[string]any{"file": v.Name}
	case pipeline.From:
		return map[string]any{"item": v.Item}
	}
	return v
}

// troubled says whether an item's end needs somebody's attention.
func troubled(o *pipeline.Outcome) bool {
	switch o.Status {
	case pipeline.Failed, pipeline.Rejected, pipeline.Blocked, pipeline.Unknown:
		return true
	}
	return false
}
