package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"dailies/pipeline"
)

var (
	errEmpty = errors.New("the file is empty")
	errTorn  = errors.New("the file is cut off")

	states = []pipeline.State{pipeline.Intended, pipeline.Refused, pipeline.Submitted, pipeline.Succeeded, pipeline.Stored, pipeline.Broken}
	idForm = regexp.MustCompile(`^[^/\\\x00-\x1f]+$`)
)

// encode makes JSON that people can read, with a line feed at its end.
func encode(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		panic(fmt.Sprintf("ledger: a record is not JSON: %v", err))
	}
	return b.Bytes()
}

// decode reads a record of this version, and nothing that merely looks like one.
func decode(data []byte) (pipeline.Record, error) {
	var head struct {
		Schema string `json:"schema"`
	}
	if err := json.Unmarshal(data, &head); err == nil && head.Schema != pipeline.RecordSchema {
		family, _, _ := strings.Cut(pipeline.RecordSchema, "/")
		if strings.HasPrefix(head.Schema, family+"/") {
			return pipeline.Record{}, fmt.Errorf("it is a %q, written by another version of dailies; this one knows %q", head.Schema, pipeline.RecordSchema)
		}
		return pipeline.Record{}, fmt.Errorf("it is a %q, not a record of an item", head.Schema)
	}
	var r pipeline.Record
	if err := strict(data, &r); err != nil {
		return pipeline.Record{}, err
	}
	if len(r.Payload) > 0 { // was indented with the rest
		var b bytes.Buffer
		if err := json.Compact(&b, r.Payload); err != nil {
			return pipeline.Record{}, err
		}
		r.Payload = b.Bytes()
	}
	return r, nil
}

// strict decodes exactly one JSON value that has no fields but v's.
func strict(data []byte, v any) error {
	if len(bytes.TrimSpace(data)) == 0 {
		return errEmpty
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
			return errTorn
		}
		return fmt.Errorf("it cannot be read: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := dec.Token(); err != io.EOF {
		return errors.New("something follows the record")
	}
	return nil
}

// check says why r is not a record of this item and realm that a run can rely on.
func check(r pipeline.Record, id string, realm pipeline.Realm) error {
	switch {
	case !idForm.MatchString(r.ID):
		return fmt.Errorf("%q cannot be an item's id", r.ID)
	case r.ID != id:
		return fmt.Errorf("it is the record of item %q", r.ID)
	case r.Realm != realm:
		return fmt.Errorf("it belongs to another project or API (%s)", r.Realm.BaseURL)
	case !slices.Contains(states, r.State):
		return fmt.Errorf("%q is not a state", r.State)
	case r.Fingerprint == "" || r.Model == "":
		return errors.New("it does not say what was bought: fingerprint or model is missing")
	case r.JobID == "" && (r.State == pipeline.Submitted || r.State == pipeline.Succeeded || r.State == pipeline.Stored):
		return fmt.Errorf("it is %s and names no job", r.State)
	case len(r.AssetIDs) == 0 && r.State == pipeline.Succeeded:
		return errors.New("it is succeeded and names no assets")
	case len(r.Outputs) == 0 && r.State == pipeline.Stored:
		return errors.New("it is delivered and names no outputs")
	}
	return nil
}
