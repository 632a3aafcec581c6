package scenario

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"time"

	"dailies/pipeline"
)

// The types here read what the API writes without ever failing on one odd field: an answer that names a job must
// not be lost because a progress came as a string.

// text reads a string, or an object's message; anything else is empty.
type text string

func (t *text) UnmarshalJSON(b []byte) error {
	var s string
	if json.Unmarshal(b, &s) == nil {
		*t = text(s)
		return nil
	}
	if m := object(b); m != nil {
		for _, k := range []string{"message", "reason", "error"} {
			if s, ok := m[k].(string); ok && s != "" {
				*t = text(s)
				return nil
			}
		}
	}
	*t = ""
	return nil
}

// texts reads an array of strings, leaving out what is not one, and repeats.
type texts []string

func (t *texts) UnmarshalJSON(b []byte) error {
	*t = nil
	var all []text
	if json.Unmarshal(b, &all) != nil {
		return nil
	}
	seen := make(map[text]bool, len(all))
	for _, s := range all {
		if s != "" && !seen[s] {
			seen[s] = true
			*t = append(*t, string(s))
		}
	}
	return nil
}

// number reads a number, or a string that is one, and keeps its digits; anything else is empty.
type number string

func (n *number) UnmarshalJSON(b []byte) error {
	s := string(bytes.Trim(b, `"`))
	if _, ok := finite(s); !ok {
		s = ""
	}
	*n = number(s)
	return nil
}

func (n number) float() float64 {
	f, _ := finite(string(n))
	return f
}

// finite reads a number that can be counted with.
func finite(s string) (float64, bool) {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
		return 0, false
	}
	return f, true
}

func (n number) whole() int64 { return int64(min(max(n.float(), 0), 1<<53)) }

// cu reads an amount of creative units; ok is false when it is none.
func (n number) cu() (cu pipeline.CU, ok bool) {
	if n == "" {
		return 0, false
	}
	cu, err := pipeline.ParseCU(string(n))
	return cu, err == nil
}

// moment reads an ISO 8601 time; anything else is the zero time.
type moment struct{ time.Time }

func (m *moment) UnmarshalJSON(b []byte) error {
	m.Time, _ = time.Parse(time.RFC3339, string(bytes.Trim(b, `"`)))
	return nil
}

// flag reads a boolean; anything else is false.
type flag bool

func (f *flag) UnmarshalJSON(b []byte) error {
	*f = string(b) == "true"
	return nil
}

// object reads a JSON object with its numbers as written; anything else is nil.
func object(b []byte) map[string]any {
	var m map[string]any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if d.Decode(&m) != nil {
		return nil
	}
	return m
}
