package report

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"dailies/pipeline"
)

// ResultsVersion is the version of results.json. Within it fields may be added, none is changed or removed.
const ResultsVersion = "dailies.results/v1"

// Results is results.json as a whole. It is for [ResultsSchema]: WriteJSON and ReadJSON take it item by item.
//
// Every field is always there but for those marked omitempty, so that a program need not ask twice: null means not
// known, or that there is none. Times are UTC. An output's width, height, duration_s and audio are absent where its
// bytes do not tell; at (where the manifest has the item) and vars are absent where there are none.
type results struct {
	Schema string          `json:"schema"`
	Batch  string          `json:"batch"`
	Run    runForm         `json:"run"`
	Totals pipeline.Totals `json:"totals"`
	// Columns are those among the items' vars that are columns of files of rows, in the files' order.
	Columns []string   `json:"columns,omitempty"`
	Items   []itemForm `json:"items"`
}

type runForm struct {
	ID             string                  `json:"id"`
	StartedAt      time.Time               `json:"started_at"`
	FinishedAt     time.Time               `json:"finished_at"`
	Version        string                  `json:"version"`
	Simulated      bool                    `json:"simulated"`
	BaseURL        string                  `json:"base_url"`
	ManifestSHA256 string                  `json:"manifest_sha256"`
	ExitCode       int                     `json:"exit_code"`
	Manifest       string                  `json:"manifest"`
	Output         string                  `json:"output"`
	Stop           *pipeline.RecordedError `json:"stop"` // why it stopped before its end
}

type itemForm struct {
	ID          string                  `json:"id"`
	Model       string                  `json:"model"`
	Status      pipeline.Status         `json:"status"`
	Fingerprint string                  `json:"fingerprint"`
	JobID       *string                 `json:"job_id"`
	Prompt      string                  `json:"prompt"`
	Payload     json.RawMessage         `json:"payload"`
	Tags        []string                `json:"tags"`
	Seed        *json.Number            `json:"seed"`
	Quoted      *pipeline.CU            `json:"quoted_cu"`
	Cost        *pipeline.CU            `json:"cost_cu"`
	Attempts    int                     `json:"attempts"`
	SubmittedAt *time.Time              `json:"submitted_at"`
	FinishedAt  *time.Time              `json:"finished_at"`
	DeliveredAt *time.Time              `json:"delivered_at"`
	Outputs     []pipeline.Output       `json:"outputs"`
	Error       *pipeline.RecordedError `json:"error"`
	Vars        map[string]string       `json:"vars,omitempty"`
	At          *positionForm           `json:"at,omitempty"`
}

type positionForm struct {
	File string `json:"file"`
	Line int    `json:"line"`
	Col  int    `json:"col"`
}

// WriteJSON writes results.json, item by item.
func WriteJSON(w io.Writer, run Run, s *pipeline.Summary) error {
	buffered := bufio.NewWriterSize(w, 64<<10)
	var err error
	value := func(prefix string, v any) {
		var b []byte
		if err == nil {
			b, err = encode(prefix, v)
			buffered.Write(b) // its error is Flush's
		}
	}
	type field struct {
		name  string
		value any
	}
	fields := []field{{"schema", ResultsVersion}, {"batch", run.Batch}, {"run", formOfRun(run, s.Stop)}, {"totals", s.Totals}}
	if own := columns(s); len(own) > 0 {
		fields = append(fields, field{"columns", own})
	}
	for i, field := range fields {
		buffered.WriteString([]string{"{\n", ",\n"}[min(i, 1)])
		fmt.Fprintf(buffered, "  %q: ", field.name)
		value("  ", field.value)
	}
	buffered.WriteString(",\n  \"items\": [")
	for i := range s.Outcomes {
		buffered.WriteString([]string{"\n    ", ",\n    "}[min(i, 1)])
		value("    ", formOf(&s.Outcomes[i]))
	}
	buffered.WriteString([]string{"]\n}\n", "\n  ]\n}\n"}[min(len(s.Outcomes), 1)])
	return errors.Join(err, buffered.Flush())
}

func encode(prefix string, v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent(prefix, "  ")
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

func formOfRun(run Run, stop *pipeline.Error) runForm {
	f := runForm{
		ID: run.ID, StartedAt: stamp(run.StartedAt), FinishedAt: stamp(run.FinishedAt), Version: run.Version,
		Simulated: run.Simulated, BaseURL: run.BaseURL, ManifestSHA256: run.ManifestSHA256, ExitCode: run.ExitCode,
		Manifest: run.ManifestPath, Output: run.OutputURI,
	}
	if stop != nil {
		f.Stop = stop.Recorded(false)
	}
	return f
}

func formOf(o *pipeline.Outcome) itemForm {
	it := o.Item
	f := itemForm{
		ID: it.ID, Model: it.Model, Status: o.Status, Fingerprint: it.Fingerprint, Prompt: it.Prompt, Payload: payload(o),
		Tags: slices.Clone(it.Tags), Quoted: o.Quoted, Cost: o.Cost, Attempts: o.Attempts, SubmittedAt: known(o.SubmittedAt),
		FinishedAt: known(o.FinishedAt), DeliveredAt: known(o.DeliveredAt), Outputs: slices.Clone(o.Outputs), Vars: it.Vars,
	}
	if o.JobID != "" {
		f.JobID = &o.JobID
	}
	if json.Valid([]byte(o.Seed)) {
		f.Seed = &o.Seed
	}
	if f.Tags == nil {
		f.Tags = []string{}
	}
	if f.Outputs == nil {
		f.Outputs = []pipeline.Output{}
	}
	for i := range f.Outputs {
		if d := f.Outputs[i].Duration; math.IsNaN(d) || math.IsInf(d, 0) {
			f.Outputs[i].Duration = 0 // a broken file's word; JSON has none for it
		}
	}
	if o.Err != nil {
		f.Error = o.Err.Recorded(o.Charged())
	}
	if it.At.Line > 0 {
		f.At = &positionForm{it.At.File, it.At.Line, it.At.Col}
	}
	return f
}

func stamp(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return new(stamp(t))
}

// ReadJSON reads a results.json. An outcome's Payload is what the file shows, sent or not; an error's At is part of
// its message. What is not a results.json of a version this program knows is a CodeUsage error.
func ReadJSON(r io.Reader) (Run, *pipeline.Summary, error) {
	var (
		run    Run
		s      = &pipeline.Summary{}
		schema string
		own    []string
	)
	err := readObject(json.NewDecoder(bufio.NewReader(r)), func(dec *json.Decoder, key string) error {
		switch key {
		case "schema":
			return dec.Decode(&schema)
		case "batch":
			return dec.Decode(&run.Batch)
		case "run":
			var f runForm
			err := dec.Decode(&f)
			run = f.run(run.Batch)
			s.Stop = failure(f.Stop)
			return err
		case "totals":
			return dec.Decode(&s.Totals)
		case "columns":
			return dec.Decode(&own)
		case "items":
			return readItems(dec, s)
		}
		var other json.RawMessage
		return dec.Decode(&other)
	})
	switch {
	case err != nil:
		err = fmt.Errorf("cannot be read: %w", err)
	case schema != ResultsVersion:
		err = fmt.Errorf("has the schema %q, not %q", schema, ResultsVersion)
	default:
		s.StartedAt, s.FinishedAt = run.StartedAt, run.FinishedAt
		for i := range s.Outcomes {
			if it := s.Outcomes[i].Item; slices.ContainsFunc(own, func(name string) bool { _, has := it.Vars[name]; return has }) {
				it.Columns = own
			}
		}
		return run, s, nil
	}
	e := pipeline.Errorf(pipeline.CodeUsage, "results %w", err)
	e.Hint = "name a results.json that dailies run wrote, or the manifest"
	return Run{}, nil, e
}

// readObject walks over the fields of one object.
func readObject(dec *json.Decoder, field func(dec *json.Decoder, key string) error) error {
	if err := expect(dec, json.Delim('{')); err != nil {
		return err
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return err
		}
		if err := field(dec, key.(string)); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	return expect(dec, json.Delim('}'))
}

func readItems(dec *json.Decoder, s *pipeline.Summary) error {
	if err := expect(dec, json.Delim('[')); err != nil {
		return err
	}
	for dec.More() {
		var f itemForm
		if err := dec.Decode(&f); err != nil {
			return fmt.Errorf("item %d: %w", len(s.Outcomes)+1, err)
		}
		if f.ID == "" || !slices.Contains(pipeline.Statuses, f.Status) {
			return fmt.Errorf("item %d: no id, or a status that is none: %q", len(s.Outcomes)+1, f.Status)
		}
		s.Outcomes = append(s.Outcomes, f.outcome())
	}
	return expect(dec, json.Delim(']'))
}

func expect(dec *json.Decoder, want json.Delim) error {
	got, err := dec.Token()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err == nil && got != want {
		err = fmt.Errorf("%v where %v belongs", got, want)
	}
	return err
}

func (f runForm) run(batch string) Run {
	return Run{
		ID: f.ID, Batch: batch, Version: f.Version, BaseURL: f.BaseURL, ManifestPath: f.Manifest, ManifestSHA256: f.ManifestSHA256,
		Simulated: f.Simulated, ExitCode: f.ExitCode, StartedAt: f.StartedAt, FinishedAt: f.FinishedAt, OutputURI: f.Output,
	}
}

func (f itemForm) outcome() pipeline.Outcome {
	o := pipeline.Outcome{
		Item:   &pipeline.Item{ID: f.ID, Model: f.Model, Prompt: f.Prompt, Tags: f.Tags, Vars: f.Vars, Fingerprint: f.Fingerprint},
		Status: f.Status, Payload: f.Payload, Quoted: f.Quoted, Cost: f.Cost, Attempts: f.Attempts, Outputs: f.Outputs,
		Err: failure(f.Error),
	}
	if f.JobID != nil {
		o.JobID = *f.JobID
	}
	if f.Seed != nil {
		o.Seed = *f.Seed
	}
	for _, t := range []struct {
		from *time.Time
		to   *time.Time
	}{{f.SubmittedAt, &o.SubmittedAt}, {f.FinishedAt, &o.FinishedAt}, {f.DeliveredAt, &o.DeliveredAt}} {
		if t.from != nil {
			*t.to = *t.from
		}
	}
	if f.At != nil {
		o.Item.At = pipeline.Position{File: f.At.File, Line: f.At.Line, Col: f.At.Col}
	}
	return o
}

func failure(r *pipeline.RecordedError) *pipeline.Error {
	if r == nil {
		return nil
	}
	return &pipeline.Error{Code: r.Code, Message: r.Message, Hint: r.Hint}
}
