package report

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"pgregory.net/rapid"

	"dailies/pipeline"
)

func TestResultsFitTheSchema(t *testing.T) {
	schema, err := ResultsSchema().Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string]struct{ old, new string }{
		"as written":       {},
		"another version":  {`"dailies.results/v1"`, `"dailies.results/v2"`},
		"no batch":         {`"batch": "dragon-realm",`, ``},
		"a status unknown": {`"status": "reused"`, `"status": "recycled"`},
		"a code unknown":   {`"code": "moderated"`, `"code": "unlucky"`},
		"negative price":   {`"cost_cu": 80`, `"cost_cu": -80`},
		"a field more":     {`"attempts": 2`, `"attempts": 2, "url": "https://cdn"`},
		"items missing":    {`"items"`, `"things"`},
	} {
		t.Run(name, func(t *testing.T) {
			text := string(written(t, WriteJSON))
			if edit.old != "" {
				if !strings.Contains(text, edit.old) {
					t.Fatalf("results.json has no %s", edit.old)
				}
				text = strings.Replace(text, edit.old, edit.new, 1)
			}
			var doc any
			if err := json.Unmarshal([]byte(text), &doc); err != nil {
				t.Fatal(err)
			}
			if err := schema.Validate(doc); (err == nil) != (edit.old == "") {
				t.Errorf("the schema says %v", err)
			}
		})
	}
}

// Whatever a run ends in, results.json says it, fits its schema, and is written again from what is read of it.
func TestResultsRoundTrip(t *testing.T) {
	schema, err := ResultsSchema().Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		run, s := anyRun(rt)
		var first, second bytes.Buffer
		if err := WriteJSON(&first, run, s); err != nil {
			rt.Fatal(err)
		}
		var doc any
		if err := json.Unmarshal(first.Bytes(), &doc); err != nil {
			rt.Fatalf("%v:\n%s", err, first.Bytes())
		}
		if err := schema.Validate(doc); err != nil {
			rt.Fatalf("%v:\n%s", err, first.Bytes())
		}
		readRun, read, err := ReadJSON(iotest.HalfReader(bytes.NewReader(first.Bytes())))
		if err != nil {
			rt.Fatalf("%v:\n%s", err, first.Bytes())
		}
		if len(read.Outcomes) != len(s.Outcomes) || read.Totals != s.Totals || !read.FinishedAt.Equal(readRun.FinishedAt) {
			rt.Fatalf("%d outcomes of %d, totals %v of %v", len(read.Outcomes), len(s.Outcomes), read.Totals, s.Totals)
		}
		if err := WriteJSON(&second, readRun, read); err != nil {
			rt.Fatal(err)
		}
		if decoded(rt, first.Bytes()) != decoded(rt, second.Bytes()) {
			rt.Fatalf("written\n%s\nand from that\n%s", first.Bytes(), second.Bytes())
		}
	})
}

// decoded brings JSON to one spelling: the same values are the same text, however they were escaped.
func decoded(rt *rapid.T, text []byte) string {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var doc any
	if err := dec.Decode(&doc); err != nil {
		rt.Fatal(err)
	}
	return string(pipeline.Canonical(doc))
}

func anyRun(rt *rapid.T) (Run, *pipeline.Summary) {
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "<b>", "\xff", "\x00\x1b", "\u2028", `"\`}))
	moment := rapid.Custom(func(t *rapid.T) time.Time {
		if rapid.Bool().Draw(t, "unknown") {
			return time.Time{}
		}
		return time.Unix(0, rapid.Int64Range(0, 4e18).Draw(t, "ns"))
	})
	amount := rapid.Custom(func(t *rapid.T) *pipeline.CU {
		if rapid.Bool().Draw(t, "unknown") {
			return nil
		}
		return new(pipeline.CU(rapid.Int64Range(0, 1e17).Draw(t, "cu")))
	})
	failure := rapid.Custom(func(t *rapid.T) *pipeline.Error {
		if rapid.Bool().Draw(t, "none") {
			return nil
		}
		return &pipeline.Error{
			Code: rapid.SampledFrom(pipeline.Codes()).Draw(t, "code"), Message: text.Draw(t, "message"), Hint: text.Draw(t, "hint"),
			At: pipeline.Position{File: text.Draw(t, "file"), Line: rapid.IntRange(0, 9).Draw(t, "line")},
		}
	})
	output := rapid.Custom(func(t *rapid.T) pipeline.Output {
		return pipeline.Output{
			N: 1, AssetID: text.Draw(t, "asset"), Key: text.Draw(t, "key"), Bytes: rapid.Int64Range(0, 1<<50).Draw(t, "bytes"),
			Width: rapid.IntRange(0, 9000).Draw(t, "width"), Duration: rapid.Float64().Draw(t, "duration"),
		}
	})
	run := Run{ID: text.Draw(rt, "run"), Batch: text.Draw(rt, "batch"), Simulated: rapid.Bool().Draw(rt, "simulated"), StartedAt: night, FinishedAt: moment.Draw(rt, "end")}
	s := &pipeline.Summary{Stop: failure.Draw(rt, "stop"), Totals: pipeline.Totals{Items: 3, Spent: 1_250_000}}
	for range rapid.IntRange(0, 3).Draw(rt, "items") {
		it := &pipeline.Item{
			ID: "i" + text.Draw(rt, "id"), Prompt: text.Draw(rt, "prompt"), Tags: rapid.SliceOfN(text, 0, 3).Draw(rt, "tags"),
			Vars: rapid.MapOfN(text, text, 0, 2).Draw(rt, "vars"), At: pipeline.Position{File: "m.yaml", Line: rapid.IntRange(0, 3).Draw(rt, "line")},
			Payload: map[string]any{text.Draw(rt, "key"): []any{pipeline.File{Name: text.Draw(rt, "name")}, pipeline.From{Item: "x"}, nil, true, json.Number("1e3")}},
		}
		s.Outcomes = append(s.Outcomes, pipeline.Outcome{
			Item: it, Status: rapid.SampledFrom(pipeline.Statuses).Draw(rt, "status"), JobID: text.Draw(rt, "job"),
			Payload: rapid.SampledFrom([]json.RawMessage{nil, json.RawMessage(`{ "b": 1.50, "a": "<&>" }`), json.RawMessage(`{torn`)}).Draw(rt, "payload"),
			Seed:    rapid.SampledFrom([]json.Number{"", "0", "-7", "18446744073709551615", "seven"}).Draw(rt, "seed"),
			Quoted:  amount.Draw(rt, "quoted"), Cost: amount.Draw(rt, "cost"), Attempts: rapid.IntRange(0, 9).Draw(rt, "attempts"),
			SubmittedAt: moment.Draw(rt, "submitted"), FinishedAt: moment.Draw(rt, "finished"), DeliveredAt: moment.Draw(rt, "delivered"),
			Outputs: rapid.SliceOfN(output, 0, 3).Draw(rt, "outputs"), Err: failure.Draw(rt, "error"),
		})
	}
	return run, s
}

func TestResultsAreStrictJSONWhateverFilesSay(t *testing.T) {
	for _, d := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		run, s := sample()
		s.Outcomes[0].Outputs[0].Duration = d
		var b bytes.Buffer
		if err := WriteJSON(&b, run, s); err != nil || !json.Valid(b.Bytes()) {
			t.Errorf("duration %v: %v", d, err)
		}
		if got := s.Outcomes[0].Outputs[0].Duration; got == 0 {
			t.Error("the outcome itself was changed")
		}
	}
}

func TestReadJSONRefuses(t *testing.T) {
	good := string(written(t, WriteJSON))
	for name, text := range map[string]string{
		"nothing":           "",
		"no JSON":           "<html>",
		"another document":  `{"name": "dailies"}`,
		"an array":          "[]",
		"a later version":   strings.Replace(good, "results/v1", "results/v2", 1),
		"a file cut short":  good[:len(good)/2],
		"a status unknown":  strings.Replace(good, `"reused",`, `"recycled",`, 1),
		"an item nameless":  strings.Replace(good, `"id": "gem"`, `"id": ""`, 1),
		"items of no list":  `{"schema": "dailies.results/v1", "items": {}}`,
		"a negative amount": strings.Replace(good, `"cost_cu": 80`, `"cost_cu": -80`, 1),
	} {
		if text == good {
			t.Fatalf("%s: the sample does not have what is replaced", name)
		}
		_, s, err := ReadJSON(strings.NewReader(text))
		if s != nil || pipeline.CodeOf(err) != pipeline.CodeUsage || pipeline.AsError(err).HintText() == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReadJSONTakesFieldsOfTomorrow(t *testing.T) {
	text := strings.Replace(string(written(t, WriteJSON)), `"items": [`, `"weather": {"tomorrow": ["fine"]}, "items": [`, 1)
	if _, s, err := ReadJSON(strings.NewReader(text)); err != nil || len(s.Outcomes) != 7 {
		t.Errorf("%v", err)
	}
}

func FuzzReadJSON(f *testing.F) {
	f.Add(`{"schema":"dailies.results/v1","items":[{"id":"a","status":"failed","error":{"code":"x"}}]}`)
	run, s := sample()
	var b bytes.Buffer
	if err := WriteJSON(&b, run, s); err != nil {
		f.Fatal(err)
	}
	f.Add(b.String())
	f.Fuzz(func(t *testing.T, text string) {
		run, s, err := ReadJSON(strings.NewReader(text))
		if err != nil {
			return
		}
		for name, write := range map[string]func(io.Writer, Run, *pipeline.Summary) error{
			"json": WriteJSON, "csv": WriteCSV, "junit": JUnit, "summary": Summary, "gallery": Gallery,
		} {
			if err := write(io.Discard, run, s); err != nil {
				t.Errorf("%s of what was read: %v", name, err)
			}
		}
		Table(io.Discard, run, s, TableOptions{Width: 60})
	})
}

// A report of 100,000 items is written one item at a time: what is live meanwhile (live-B, above what was before)
// does not grow with them.
func BenchmarkReports(b *testing.B) {
	run, s := many(100_000)
	for name, write := range map[string]func(io.Writer, Run, *pipeline.Summary) error{
		"json": WriteJSON, "csv": WriteCSV, "junit": JUnit, "gallery": Gallery,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			m := &meter{before: live()}
			for b.Loop() {
				if err := write(m, run, s); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(m.most), "live-B")
		})
	}
}

// A meter is a destination that looks at the heap every few MiB.
type meter struct {
	before, most int64
	written      int
}

func (m *meter) Write(p []byte) (int, error) {
	if m.written += len(p); m.written > 16<<20 {
		m.written = 0
		m.most = max(m.most, live()-m.before)
	}
	return len(p), nil
}

func live() int64 {
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}
