package pipeline

import (
	"encoding/json"
	"time"
)

// State is how far the ledger knows an item to have come. It moves
//
//	intended ──► submitted ──► succeeded ──► delivered
//	   │             │             │
//	   ├► refused    └► failed     └► failed
//	   └► (answer lost: stays intended until the job is found or given up)
type State string

const (
	Intended  State = "intended"  // the POST may have left: money may be spent
	Refused   State = "refused"   // provably nothing was bought
	Submitted State = "submitted" // bought; the job id is known
	Succeeded State = "succeeded" // made; the asset ids are known
	Stored    State = "delivered" // stored, checked
	Broken    State = "failed"    // ended without an asset
)

// A Record is what the ledger keeps of one item, as JSON that people can read.
type Record struct {
	Schema      string          `json:"schema"` // RecordSchema
	ID          string          `json:"id"`
	Realm       Realm           `json:"realm"`
	State       State           `json:"state"`
	Fingerprint string          `json:"fingerprint"`
	Model       string          `json:"model"`
	Payload     json.RawMessage `json:"payload,omitempty"` // as sent, byte for byte but for white space
	RunID       string          `json:"run_id"`
	Attempts    int             `json:"attempts"`               // submits of this fingerprint
	Lost        int             `json:"lost_submits,omitempty"` // of them, how many were never answered and no job was found
	Rerolls     int             `json:"rerolls,omitempty"`      // of them, how many replaced what a check had rejected
	IntendedAt  time.Time       `json:"intended_at,omitzero"`
	JobID       string          `json:"job_id,omitempty"`
	SubmittedAt time.Time       `json:"submitted_at,omitzero"`
	FinishedAt  time.Time       `json:"finished_at,omitzero"`
	DeliveredAt time.Time       `json:"delivered_at,omitzero"`
	Quoted      *CU             `json:"quoted_cu,omitempty"`
	Cost        *CU             `json:"cost_cu,omitempty"`
	AssetIDs    []string        `json:"asset_ids,omitempty"`
	Outputs     []Output        `json:"outputs,omitempty"`
	Error       *RecordedError  `json:"error,omitempty"`
	History     []Purchase      `json:"history,omitempty"` // what this record said before the item was made anew, oldest first
}

// RecordSchema is the version of the record's form.
const RecordSchema = "dailies.item/v1"

// A Realm is where a record's job lives: one API, one project. Jobs and assets of one are unknown in another.
type Realm struct {
	BaseURL string `json:"base_url"`
	Project string `json:"project,omitempty"` // the project id, or a digest of the key when none was named
}

// A Purchase is a job an item once had, kept when the item was made anew.
type Purchase struct {
	State       State       `json:"state"`
	Fingerprint string      `json:"fingerprint"`
	Model       string      `json:"model"`
	JobID       string      `json:"job_id,omitempty"`
	Seed        json.Number `json:"seed,omitempty"` // with it, the same can be made again
	SubmittedAt time.Time   `json:"submitted_at,omitzero"`
	Cost        *CU         `json:"cost_cu,omitempty"`
	Outputs     []Output    `json:"outputs,omitempty"` // their keys are under .dailies/history once others took their place
}

// A RecordedError is an Error as the ledger and results.json keep it.
type RecordedError struct {
	Code      Code   `json:"code"`
	Message   string `json:"message"`
	Hint      string `json:"hint"`
	Retryable bool   `json:"retryable"` // the next run tries again by itself
	Charged   bool   `json:"charged"`
}

// Recorded is the error's lasting form.
func (e *Error) Recorded(charged bool) *RecordedError {
	return &RecordedError{Code: e.Code, Message: e.Error(), Hint: e.HintText(), Retryable: e.Code.Traits().Again, Charged: charged}
}
