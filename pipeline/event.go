package pipeline

import "time"

// Stage is where an item is on its walk.
type Stage string

const (
	StageInputs     Stage = "inputs"     // its input files are being uploaded
	StageQuote      Stage = "quote"      // its price is being asked
	StageSlot       Stage = "slot"       // it waits for a generation slot
	StageSubmit     Stage = "submit"     // the paid request is in the air
	StageSettle     Stage = "settle"     // the answer to its paid request was lost; its job is looked for
	StageGenerating Stage = "generating" // the API works on it
	StageFetch      Stage = "fetch"      // its assets flow to the destination
	StageDone       Stage = "done"       // it is answered for
)

// EventKind says which fields of an Event have meaning.
type EventKind string

const (
	EventPlanned  EventKind = "planned"  // Items
	EventStage    EventKind = "stage"    // Item, Stage; JobID and Cost from StageGenerating on
	EventProgress EventKind = "progress" // Item, Progress: the API's word on how far the job is
	EventBytes    EventKind = "bytes"    // Item, Bytes of Total moved for this asset so far
	EventDone     EventKind = "done"     // Item, Outcome
	EventMoney    EventKind = "money"    // Spent, Reserved, Budget
	EventNotice   EventKind = "notice"   // Item (may be nil), Message: something people should know, once
	EventRetry    EventKind = "retry"    // Item (nil when it is for several), Message: the code of the error a call is tried again after
)

// An Event tells observers what happened. Events of one item come in order; those of different items interleave.
type Event struct {
	At       time.Time
	Kind     EventKind
	Item     *Item
	Stage    Stage
	JobID    string  // the job that was bought, found again or collected
	Cost     *CU     // its price; nil when the API told none
	Progress float64 // 0 to 1
	Bytes    int64
	Total    int64 // -1 when unknown
	Outcome  *Outcome
	Message  string
	Items    []*Item // planned: every item, in manifest order
	Spent    CU      // by this run, refunds taken off
	Reserved CU      // by jobs in flight
	Budget   CU      // Unlimited when none
}

// An Observer is told of events, one at a time. It must be quick: items wait for it.
type Observer func(Event)
