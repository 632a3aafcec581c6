package pipeline

import (
	"encoding/json"
	"fmt"
	"time"
)

// An Item is one thing to make, checked and complete: what is left to do is to make it.
type Item struct {
	ID     string
	Model  string // the API's full model id, "model_veo3-1"
	Prompt string // for people: the payload's prompt, or its first words for models that have none

	// Payload is the body of the submit, as JSON values (map[string]any, []any, string, bool, json.Number,
	// nil), except that a [File] or a [From] stands wherever an asset id is still to be found.
	Payload map[string]any

	Tags        []string
	KeyTemplate string            // object key under the output; see [ObjectKey]
	Vars        map[string]string // matrix axes and row columns, for reports
	Columns     []string          // of Vars, the columns of the file of rows the item comes from, in the file's order; shared by its items
	Makes       string            // the kind of asset the model is for: image, video, audio, 3d, or "" when unknown
	PicksSeed   bool              // the model takes a seed and the payload names none: each submit picks one
	SeedMax     int64             // the largest it may pick, now or when it is made anew; the smallest is 1; 0: the model takes none
	PriceShape  string            // items of one shape cost the same: model and the inputs that move the price
	Fingerprint string            // see [Fingerprint]
	Sources     []string          // ids of the items whose assets the payload takes, each once
	Expect      *Expect           // what its files must be like; nil: anything
	At          Position
}

// A Position is a place in a file the user wrote. Line and Col count from 1; Col counts characters.
type Position struct {
	File      string
	Line, Col int

	// Also is the other place it takes to find something: the manifest's line that reads a file of rows, or the row
	// for which a line of the manifest is wrong. Nil when one place says it all.
	Also *Position
}

func (p Position) String() string {
	if p.Line == 0 {
		return p.File
	}
	at := fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
	if p.Also != nil {
		at += " (" + p.Also.String() + ")"
	}
	return at
}

// A File in a payload stands for the asset id its upload will have.
type File struct {
	Path   string // where it is on this machine
	Name   string // how the manifest spells it, for messages
	SHA256 string // lower-case hex, of its bytes
	Bytes  int64
}

// A From in a payload stands for the asset id another item's delivery will have.
type From struct {
	Item string
	Kind string // the kind of asset the input takes: image, video, audio, 3d, or "" for the item's main one
}

// Status says what became of an item in this run. It is what results.json says.
type Status string

const (
	Delivered Status = "delivered" // made or collected, and stored, in this run
	Reused    Status = "reused"    // stored by an earlier run, and still there
	Failed    Status = "failed"
	Rejected  Status = "rejected" // made and stored, and not what the manifest expects
	Running   Status = "running"  // submitted; still generating, or not yet stored, when the run ended
	Unknown   Status = "unknown"  // submitted, the answer was lost, and it is not settled what became of it
	Blocked   Status = "blocked"  // an item it takes an asset from has not been delivered
	Skipped   Status = "skipped"  // not begun: the run stopped first, or was told to leave it out
)

// Statuses lists every status, in the order reports show them.
var Statuses = []Status{Delivered, Reused, Running, Unknown, Failed, Rejected, Blocked, Skipped}

// An Output is one stored object.
type Output struct {
	N        int     `json:"n"` // from 1
	AssetID  string  `json:"asset_id"`
	URI      string  `json:"uri"` // file path or s3:// address
	Key      string  `json:"key"` // under the output
	Bytes    int64   `json:"bytes"`
	SHA256   string  `json:"sha256"`
	MIME     string  `json:"mime"`
	Kind     string  `json:"kind"`
	Width    int     `json:"width,omitempty"`      // pixels
	Height   int     `json:"height,omitempty"`     // pixels
	Duration float64 `json:"duration_s,omitempty"` // seconds
	Audio    *bool   `json:"audio,omitempty"`      // a video's: whether it has a sound track

	// What a closer look tells, where one was taken; nil is not known.
	Triangles *int  `json:"triangles,omitempty"` // a 3D model's
	Materials *int  `json:"materials,omitempty"` // a 3D model's
	Silent    *bool `json:"silent,omitempty"`    // nothing is to be heard in it
	Blank     *bool `json:"blank,omitempty"`     // a picture all of one colour
	Alpha     *bool `json:"alpha,omitempty"`     // a picture that is not all opaque
	Examined  bool  `json:"examined,omitempty"`  // it was unpacked for all that can be known of it

	// Version is the destination's own word for these bytes (an ETag, a modification time), by which a
	// listing tells that somebody else has altered the object.
	Version string `json:"version,omitempty"`
}

// An Outcome is what results.json says of one item.
type Outcome struct {
	Item        *Item
	Status      Status
	JobID       string
	Payload     json.RawMessage // as sent; nil when nothing was
	Seed        json.Number     // as sent; empty when the payload has none
	Quoted      *CU
	Cost        *CU // charged by the API and not refunded, as far as it says
	Attempts    int // submits, over all runs
	SubmittedAt time.Time
	FinishedAt  time.Time // when the API says the job ended
	DeliveredAt time.Time
	Outputs     []Output
	Err         *Error
}

// Charged says whether the API keeps its price: by its own word where there is one, else by what the error's
// code means.
func (o *Outcome) Charged() bool {
	if o.Cost != nil {
		return *o.Cost > 0
	}
	return o.Err != nil && o.Err.Code.Traits().Charged
}

// Generation is how long the API took to make it, 0 when that is not known.
func (o *Outcome) Generation() time.Duration {
	if o.SubmittedAt.IsZero() || o.FinishedAt.IsZero() {
		return 0
	}
	return max(o.FinishedAt.Sub(o.SubmittedAt), 0)
}

// Bytes is the size of all its files.
func (o *Outcome) Bytes() (bytes int64) {
	for _, out := range o.Outputs {
		bytes += out.Bytes
	}
	return bytes
}

// Totals count outcomes and money.
type Totals struct {
	Items     int `json:"items"`
	Delivered int `json:"delivered"`
	Reused    int `json:"reused"`
	Failed    int `json:"failed"`
	Rejected  int `json:"rejected"`
	Running   int `json:"running"`
	Unknown   int `json:"unknown"`
	Blocked   int `json:"blocked"`
	Skipped   int `json:"skipped"`
	Quoted    CU  `json:"quoted_cu"` // of what this run submitted
	Spent     CU  `json:"spent_cu"`  // by this run, refunds taken off
}

// A Summary is one run, whole: an outcome for every item, in manifest order.
type Summary struct {
	Outcomes   []Outcome
	Totals     Totals
	StartedAt  time.Time
	FinishedAt time.Time
	Stop       *Error // why the run stopped before its end; nil when it did not
}
