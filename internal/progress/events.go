package progress

import (
	"bytes"
	"encoding/json"
	"reflect"
	"time"

	"github.com/google/jsonschema-go/jsonschema"

	"dailies/pipeline"
)

// EventVersion is the version of the events. Within it fields and events may be added, none is changed or removed.
const EventVersion = "dailies.event/v1"

// The events, one JSON object a line. Every one has schema, event and time (UTC, milliseconds).
//
//	event          when                                          fields
//	run_planned    once, before anything is bought               batch, simulated, items, models{model: items}
//	item_stage     an item enters a stage                        item, model, stage; job_id and cost_cu once bought
//	item_progress  a job got a tenth further, by the API's word  item, progress (0 to 1)
//	item_done      once an item                                  item, model, status, job_id, cost_cu, attempts, outputs[], error
//	money          an amount changed                             spent_cu, reserved_cu, budget_cu (null: none)
//	notice         something people should know, once            item (absent: the run), message
//	heartbeat      nothing else was written for 30 s             submitting, generating, fetching, waiting, delivered,
//	                                                             failed, items, spent_cu, left_s (absent: not known)
//	run_finished   once, last                                    exit_code, seconds, totals, stop
//
// outputs, error, totals and stop are those of results.json. Fields that are null: not known, or there is none.
// Bytes on their way are not reported: they would be most of the output. No event holds a signed URL or a secret.
type (
	eventHead struct {
		Schema string    `json:"schema"`
		Event  string    `json:"event"`
		Time   time.Time `json:"time"`
	}
	runPlanned struct {
		eventHead
		Batch     string         `json:"batch"`
		Simulated bool           `json:"simulated"`
		Items     int            `json:"items"`
		Models    map[string]int `json:"models"`
	}
	itemStage struct {
		eventHead
		Item  string         `json:"item"`
		Model string         `json:"model"`
		Stage pipeline.Stage `json:"stage"`
		JobID string         `json:"job_id,omitempty"`
		Cost  *pipeline.CU   `json:"cost_cu,omitempty"`
	}
	itemProgress struct {
		eventHead
		Item     string  `json:"item"`
		Progress float64 `json:"progress"`
	}
	itemDone struct {
		eventHead
		Item     string                  `json:"item"`
		Model    string                  `json:"model"`
		Status   pipeline.Status         `json:"status"`
		JobID    *string                 `json:"job_id"`
		Cost     *pipeline.CU            `json:"cost_cu"`
		Attempts int                     `json:"attempts"`
		Outputs  []pipeline.Output       `json:"outputs"`
		Error    *pipeline.RecordedError `json:"error"`
	}
	money struct {
		eventHead
		Spent    pipeline.CU  `json:"spent_cu"`
		Reserved pipeline.CU  `json:"reserved_cu"`
		Budget   *pipeline.CU `json:"budget_cu"`
	}
	notice struct {
		eventHead
		Item    string `json:"item,omitempty"`
		Message string `json:"message"`
	}
	beat struct {
		eventHead
		Submitting int         `json:"submitting"`
		Generating int         `json:"generating"`
		Fetching   int         `json:"fetching"`
		Waiting    int         `json:"waiting"`
		Delivered  int         `json:"delivered"`
		Failed     int         `json:"failed"`
		Items      int         `json:"items"`
		Spent      pipeline.CU `json:"spent_cu"`
		Left       *int        `json:"left_s,omitempty"`
	}
	runFinished struct {
		eventHead
		ExitCode int                     `json:"exit_code"`
		Seconds  float64                 `json:"seconds"`
		Totals   pipeline.Totals         `json:"totals"`
		Stop     *pipeline.RecordedError `json:"stop"`
	}
)

// Events are for programs.
type events struct {
	o       Options
	last    time.Time      // when something was written
	tenths  map[string]int // by item id, while it generates
	written [3]pipeline.CU // the amounts of the last money event
}

func newEvents(o Options) *events {
	return &events{o: o, last: time.Now(), tenths: map[string]int{}}
}

func (v *events) period() time.Duration { return time.Second }

func (v *events) event(w *bytes.Buffer, e pipeline.Event, t *tally) {
	switch e.Kind {
	case pipeline.EventPlanned:
		models := make(map[string]int, len(t.groups))
		for _, g := range t.groups {
			models[g.model] = g.items
		}
		v.write(w, runPlanned{v.head("run_planned", e.At), v.o.Batch, v.o.Simulated, t.items, models})
	case pipeline.EventStage:
		if e.Stage != pipeline.StageDone { // item_done says more
			v.write(w, itemStage{v.head("item_stage", e.At), e.Item.ID, e.Item.Model, e.Stage, e.JobID, e.Cost})
		}
	case pipeline.EventProgress:
		if tenth := int(min(max(e.Progress, 0), 1) * 10); tenth > v.tenths[e.Item.ID] {
			v.tenths[e.Item.ID] = tenth
			v.write(w, itemProgress{v.head("item_progress", e.At), e.Item.ID, float64(tenth) / 10})
		}
	case pipeline.EventDone:
		delete(v.tenths, e.Item.ID)
		v.write(w, v.done(e))
	case pipeline.EventMoney:
		if now := [3]pipeline.CU{e.Spent, e.Reserved, e.Budget}; now != v.written {
			v.written = now
			v.write(w, money{v.head("money", e.At), e.Spent, e.Reserved, limit(e.Budget)})
		}
	case pipeline.EventNotice:
		n := notice{eventHead: v.head("notice", e.At), Message: e.Message}
		if e.Item != nil {
			n.Item = e.Item.ID
		}
		v.write(w, n)
	}
}

func (v *events) done(e pipeline.Event) itemDone {
	o := e.Outcome
	d := itemDone{
		eventHead: v.head("item_done", e.At), Item: e.Item.ID, Model: e.Item.Model, Status: o.Status,
		Cost: o.Cost, Attempts: o.Attempts, Outputs: o.Outputs,
	}
	if o.JobID != "" {
		d.JobID = &o.JobID
	}
	if d.Outputs == nil {
		d.Outputs = []pipeline.Output{}
	}
	if o.Err != nil {
		d.Error = o.Err.Recorded(o.Charged())
	}
	return d
}

func limit(budget pipeline.CU) *pipeline.CU {
	if budget == pipeline.Unlimited {
		return nil
	}
	return &budget
}

func (v *events) tick(w *bytes.Buffer, now time.Time, t *tally) {
	if now.Sub(v.last) < heartbeat {
		return
	}
	_, p := t.phases()
	b := beat{
		eventHead: v.head("heartbeat", now), Submitting: p.submitting, Generating: p.generating, Fetching: p.fetching,
		Waiting: p.waiting, Delivered: t.delivered(), Failed: t.failed(), Items: t.items, Spent: t.spent,
	}
	if left, ok := t.left(now); ok {
		b.Left = new(int(left.Seconds()))
	}
	v.write(w, b)
}

func (v *events) end(w *bytes.Buffer, now time.Time, t *tally) {
	f := runFinished{eventHead: v.head("run_finished", now), Seconds: now.Sub(t.started).Round(time.Millisecond).Seconds()}
	if v.o.Result != nil {
		var s *pipeline.Summary
		if s, f.ExitCode = v.o.Result(); s != nil {
			f.Totals = s.Totals
			if s.Stop != nil {
				f.Stop = s.Stop.Recorded(false)
			}
		}
	}
	v.write(w, f)
}

func (v *events) head(event string, at time.Time) eventHead {
	v.last = at
	return eventHead{EventVersion, event, at.UTC().Truncate(time.Millisecond)}
}

func (v *events) write(w *bytes.Buffer, event any) {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(event); err != nil {
		// Only a number that JSON cannot hold does this, in the facts of an output.
		_ = enc.Encode(notice{eventHead: v.head("notice", v.last), Message: "an event could not be written: " + err.Error()})
	}
}

// EventSchema is the JSON Schema (2020-12) of one event, as this version of the program writes it.
func EventSchema() *jsonschema.Schema {
	forms := []struct {
		event string
		form  any
	}{
		{"run_planned", runPlanned{}}, {"item_stage", itemStage{}}, {"item_progress", itemProgress{}}, {"item_done", itemDone{}},
		{"money", money{}}, {"notice", notice{}}, {"heartbeat", beat{}}, {"run_finished", runFinished{}},
	}
	whole := &jsonschema.Schema{
		Schema:      "https://json-schema.org/draft/2020-12/schema",
		Title:       EventVersion,
		Description: "One line of dailies run --progress json.",
	}
	for _, f := range forms {
		s := schemaOf(f.form)
		s.Title = f.event
		s.Properties["schema"].Const = new(any(EventVersion))
		s.Properties["event"].Const = new(any(f.event))
		whole.OneOf = append(whole.OneOf, s)
	}
	return whole
}

// schemaOf infers a schema from a type. It panics on types that have none, which is a matter of this file alone.
func schemaOf(form any) *jsonschema.Schema {
	words := func(values ...any) *jsonschema.Schema { return &jsonschema.Schema{Type: "string", Enum: values} }
	var statuses []any
	for _, s := range pipeline.Statuses {
		statuses = append(statuses, string(s))
	}
	var codes []any
	for _, c := range pipeline.Codes() {
		codes = append(codes, string(c))
	}
	s, err := jsonschema.ForType(reflect.TypeOf(form), &jsonschema.ForOptions{TypeSchemas: map[reflect.Type]*jsonschema.Schema{
		reflect.TypeFor[pipeline.CU]():     {Type: "number", Description: "creative units"},
		reflect.TypeFor[pipeline.Status](): words(statuses...),
		reflect.TypeFor[pipeline.Code]():   words(codes...),
		reflect.TypeFor[pipeline.Stage](): words(string(pipeline.StageInputs), string(pipeline.StageQuote), string(pipeline.StageSlot),
			string(pipeline.StageSubmit), string(pipeline.StageGenerating), string(pipeline.StageFetch)),
	}})
	if err != nil {
		panic(err)
	}
	return s
}
