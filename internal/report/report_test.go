package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mattn/go-runewidth"

	"dailies/pipeline"
)

var night = time.Date(2026, 11, 20, 2, 0, 0, 0, time.UTC)

func cu(s string) *pipeline.CU {
	c, err := pipeline.ParseCU(s)
	if err != nil {
		panic(err)
	}
	return &c
}

// sample is a run with an item of every kind of end.
func sample() (Run, *pipeline.Summary) {
	run := Run{
		ID: "run_20261120T020000Z", Batch: "dragon-realm", Version: "v0.1.0", BaseURL: "https://api.cloud.scenario.com/v1",
		ManifestPath: "dragon.yaml", ManifestSHA256: strings.Repeat("ab", 32), ExitCode: pipeline.ExitUnfinished,
		StartedAt: night, FinishedAt: night.Add(372 * time.Second), OutputURI: "s3://game-assets/dragon-realm",
	}
	item := func(line int, id, model, prompt string, payload map[string]any) *pipeline.Item {
		return &pipeline.Item{
			ID: id, Model: model, Prompt: prompt, Payload: payload, Fingerprint: strings.Repeat(fmt.Sprintf("%02x", line), 32),
			At: pipeline.Position{File: "dragon.yaml", Line: line, Col: 5},
		}
	}
	flyover := item(12, "dragon-flyover", "model_veo3-1", "A dragon crosses the moon. SFX: wing beats.", nil)
	flyover.Tags, flyover.Vars = []string{"cutscene"}, map[string]string{"pose": "idle"}
	s := &pipeline.Summary{
		Outcomes: []pipeline.Outcome{
			{
				Item: flyover, Status: pipeline.Delivered, JobID: "job_1", Seed: "18446744073709551615", Quoted: cu("80"), Cost: cu("80"), Attempts: 1,
				Payload:     json.RawMessage(`{"prompt":"A dragon crosses the moon. SFX: wing beats.","duration":8,"seed":18446744073709551615}`),
				SubmittedAt: night.Add(time.Second), FinishedAt: night.Add(40 * time.Second), DeliveredAt: night.Add(42 * time.Second),
				Outputs: []pipeline.Output{{
					N: 1, AssetID: "asset_1", URI: "s3://game-assets/dragon-realm/dragon-flyover.mp4", Key: "dragon-flyover.mp4", Bytes: 4_213_377,
					SHA256: strings.Repeat("cd", 32), MIME: "video/mp4", Kind: "video", Width: 1280, Height: 720, Duration: 8, Audio: new(true),
				}},
			},
			{
				Item: item(16, "gem", "model_meshy-txt23d", "=HYPERLINK(\"http://evil\")", nil), Status: pipeline.Reused, JobID: "job_2", Cost: cu("13.25"), Attempts: 2,
				Outputs: []pipeline.Output{
					{N: 1, AssetID: "asset_2", URI: "s3://game-assets/dragon-realm/gem-1.png", Key: "gem-1.png", Bytes: 7000, MIME: "image/png", Kind: "image", Width: 512, Height: 512},
					{N: 2, AssetID: "asset_3", URI: "s3://game-assets/dragon-realm/gem-2.glb", Key: "gem-2.glb", Bytes: 15_000, MIME: "model/gltf-binary", Kind: "3d"},
				},
			},
			{
				Item: item(20, "hero-walk", "model_kling-v3-i2v-pro", "<script>alert(1)</script> | `x` \x1b[2J\x00\u202e", nil), Status: pipeline.Failed, JobID: "job_3", Quoted: cu("20"), Cost: cu("0"), Attempts: 1,
				Payload: json.RawMessage(`{"prompt": "<script>alert(1)</script>", "startImage": "asset_9"}`),
				Err:     &pipeline.Error{Code: pipeline.CodeModerated, Message: "the prompt was flagged\nby <b>content moderation</b> | see [here](http://evil)"},
			},
			{
				Item: item(24, "hero-loop", "model_kling-v3-i2v-pro", "Loop", map[string]any{
					"startImage": pipeline.From{Item: "hero-walk", Kind: "video"},
					"elements":   []any{pipeline.File{Path: "/home/me/refs/knight.png", Name: "refs/knight.png", SHA256: "00"}},
					"duration":   json.Number("5"),
				}),
				Status: pipeline.Blocked, Err: pipeline.Errorf(pipeline.CodeSource, `it takes its asset from "hero-walk", which failed`),
			},
			{Item: item(28, "theme", "model_lyria-2", "Tavern theme", nil), Status: pipeline.Running, JobID: "job_4", Quoted: cu("10"), Cost: cu("10"), Attempts: 1, SubmittedAt: night.Add(300 * time.Second)},
			{Item: item(32, "roar", "model_lyria-2", "Roar", nil), Status: pipeline.Unknown, Attempts: 1, Err: pipeline.Errorf(pipeline.CodeSubmitLost, "the answer to the submit was lost")},
			{Item: item(36, "later", "model_veo3-1", "Later", nil), Status: pipeline.Skipped},
		},
		Totals:    pipeline.Totals{Items: 7, Delivered: 1, Reused: 1, Failed: 1, Running: 1, Unknown: 1, Blocked: 1, Skipped: 1, Quoted: *cu("110"), Spent: *cu("90")},
		StartedAt: run.StartedAt, FinishedAt: run.FinishedAt,
		Stop: pipeline.Errorf(pipeline.CodeDeadline, "the time box of 6m is over"),
	}
	return run, s
}

// golden holds what is written against testdata/name. UPDATE_GOLDEN=1 writes it anew, to be read before it is kept.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is now\n%s\nwant\n%s", name, got, want)
	}
}

func written(t *testing.T, write func(io.Writer, Run, *pipeline.Summary) error) []byte {
	t.Helper()
	run, s := sample()
	var b bytes.Buffer
	if err := write(&b, run, s); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestGolden(t *testing.T) {
	for name, write := range map[string]func(io.Writer, Run, *pipeline.Summary) error{
		"results.json": WriteJSON,
		"results.csv":  WriteCSV,
		"junit.xml":    JUnit,
		"summary.md":   Summary,
		"table.txt": func(w io.Writer, run Run, s *pipeline.Summary) error {
			Table(w, run, s, TableOptions{})
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) { golden(t, name, written(t, write)) })
	}
}

// What is made from results.json is what was made from the run itself.
func TestReportsFromResultsAreTheSame(t *testing.T) {
	run, s, err := ReadJSON(bytes.NewReader(written(t, WriteJSON)))
	if err != nil {
		t.Fatal(err)
	}
	for name, write := range map[string]func(io.Writer, Run, *pipeline.Summary) error{
		"json": WriteJSON, "csv": WriteCSV, "junit": JUnit, "summary": Summary, "gallery": Gallery,
		"table": func(w io.Writer, run Run, s *pipeline.Summary) error {
			Table(w, run, s, TableOptions{Width: 80, Color: true})
			return nil
		},
	} {
		var b bytes.Buffer
		if err := write(&b, run, s); err != nil {
			t.Fatal(err)
		}
		if want := written(t, write); b.String() != string(want) {
			t.Errorf("%s from results.json is\n%s\nfrom the run\n%s", name, b.Bytes(), want)
		}
	}
}

// A disk that is full is told of, not written past.
func TestWriteErrorsAreReturned(t *testing.T) {
	run, s := sample()
	for name, write := range map[string]func(io.Writer, Run, *pipeline.Summary) error{
		"json": WriteJSON, "csv": WriteCSV, "junit": JUnit, "summary": Summary, "gallery": Gallery,
	} {
		if err := write(full{}, run, s); err == nil {
			t.Errorf("%s: no error on a full disk", name)
		}
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func TestCSVIsSafeInASpreadsheet(t *testing.T) {
	for _, evil := range []string{"=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "\u00a0=cmd|' /C calc'!A0", "|calc", "%0A"} {
		run, s := sample()
		s.Outcomes = s.Outcomes[:1]
		o := &s.Outcomes[0]
		o.Item.ID, o.Item.Model, o.Item.Prompt, o.Item.Tags = evil, evil, evil, []string{evil}
		o.Item.Vars = map[string]string{evil: evil}
		o.JobID, o.Outputs[0].Key, o.Err = evil, evil, &pipeline.Error{Code: pipeline.CodeInput, Message: evil, Hint: evil}
		var b bytes.Buffer
		if err := WriteCSV(&b, run, s); err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(b.String(), byteOrderMark))).ReadAll()
		if err != nil || len(rows) != 2 || len(rows[0]) != len(rows[1]) {
			t.Fatalf("%q: %d rows, %v", evil, len(rows), err)
		}
		for i, cell := range rows[1] {
			if strings.IndexAny(strings.TrimLeft(cell, " \u00a0"), "=+-@|%\t\r\n") == 0 {
				t.Errorf("%s is the cell %q", rows[0][i], cell)
			}
		}
	}
}

func TestJUnitIsXMLWhateverItemsSay(t *testing.T) {
	run, s := sample()
	evil := "]]> <!-- \x00\x1b\ufffe\xff & \" ' </testcase>"
	run.Batch = evil
	for i := range s.Outcomes {
		o := &s.Outcomes[i]
		o.Item.ID, o.Item.Model, o.JobID = evil, evil, evil
		if o.Err != nil {
			o.Err.Message, o.Err.Hint = evil, evil
		}
	}
	var b bytes.Buffer
	if err := JUnit(&b, run, s); err != nil {
		t.Fatal(err)
	}
	var read struct {
		Suites []struct {
			Tests    int `xml:"tests,attr"`
			Failures int `xml:"failures,attr"`
			Errors   int `xml:"errors,attr"`
			Skipped  int `xml:"skipped,attr"`
			Cases    []struct {
				Name    string    `xml:"name,attr"`
				Failure *struct{} `xml:"failure"`
				Error   *struct{} `xml:"error"`
				Skipped *struct{} `xml:"skipped"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(b.Bytes(), &read); err != nil {
		t.Fatalf("%v:\n%s", err, b.Bytes())
	}
	suite := read.Suites[0]
	var failures, errors, skips int
	for _, c := range suite.Cases {
		for n, is := range map[*int]bool{&failures: c.Failure != nil, &errors: c.Error != nil, &skips: c.Skipped != nil} {
			if is {
				*n++
			}
		}
	}
	if suite.Tests != 7 || len(suite.Cases) != 7 || suite.Failures != failures || suite.Errors != errors || suite.Skipped != skips || failures != 2 || errors != 2 || skips != 1 {
		t.Errorf("the head counts %d/%d/%d/%d, the cases %d/%d/%d/%d", suite.Tests, suite.Failures, suite.Errors, suite.Skipped, len(suite.Cases), failures, errors, skips)
	}
}

func TestSummaryStaysUnderItsLimit(t *testing.T) {
	run, s := many(20_000)
	for i := range s.Outcomes {
		if o := &s.Outcomes[i]; i%2 == 0 {
			o.Status = pipeline.Failed
			o.Err = &pipeline.Error{Code: pipeline.CodeInput, Message: strings.Repeat("|<@#", 500), Hint: fmt.Sprint("hint ", i)}
		}
	}
	var b bytes.Buffer
	if err := Summary(&b, run, s); err != nil {
		t.Fatal(err)
	}
	if b.Len() > 900<<10 || b.Len() < 700<<10 {
		t.Errorf("%d bytes", b.Len())
	}
	text := b.String()
	if strings.Count(text, "see results.json") != 2 || !strings.Contains(text, "| delivered |") || !strings.HasSuffix(text, "</details>\n") {
		t.Errorf("it ends in\n%s", text[len(text)-2000:])
	}
}

func TestSummaryWithinWhatIsLeft(t *testing.T) {
	run, s := many(2_000)
	for i := range s.Outcomes {
		if o := &s.Outcomes[i]; i%2 == 0 {
			o.Status, o.Err = pipeline.Failed, pipeline.Errorf(pipeline.CodeInput, "no")
		}
	}
	for _, room := range []int{0, 1, 100, 5_000, 50_000} {
		var b bytes.Buffer
		if err := SummaryWithin(&b, run, s, room); err != nil {
			t.Fatal(err)
		}
		text := b.String()
		if len(text) > room {
			t.Errorf("%d bytes in a room of %d", len(text), room)
		}
		if failed, delivered := strings.Index(text, "items to look at"), strings.Index(text, "files delivered"); room >= 5_000 &&
			(failed < 0 || !strings.Contains(text, "`input_rejected`") || !strings.Contains(text, "| delivered |") || delivered >= 0 && delivered < failed) {
			t.Errorf("in a room of %d:\n%s", room, text)
		}
		if strings.Contains(text, "<details>") != strings.Contains(text, "</details>") {
			t.Errorf("in a room of %d something stays open", room)
		}
	}
}

func TestSummaryTextIsNoMarkup(t *testing.T) {
	got := escape("a|b <img> `c` *d* [e](f) @g #1 https://h\ni \x1b[2J &amp;")
	if strings.ContainsAny(got, "|<>`*[]()@\x1b\n") || strings.Contains(got, "://") || strings.Contains(got, "&amp;") {
		t.Errorf("escaped: %s", got)
	}
}

func TestTableFitsAndIsShort(t *testing.T) {
	run, s := many(10_000)
	for i := range s.Outcomes {
		if o := &s.Outcomes[i]; i%2 == 0 {
			o.Status = pipeline.Failed
			o.Err = &pipeline.Error{Code: pipeline.CodeInput, Message: "value out of range: 龙龙龙龙龙龙龙龙龙龙龙龙龙龙龙龙龙龙龙龙 and more of it", Hint: fmt.Sprint("hint ", i%100)}
		}
	}
	for _, width := range []int{20, 40, 80, 200} {
		var b bytes.Buffer
		Table(&b, run, s, TableOptions{Width: width, Color: width == 80})
		lines := strings.Split(b.String(), "\n")
		if width >= 80 && len(lines) > 300 {
			t.Errorf("%d lines at %d columns", len(lines), width)
		}
		for _, line := range lines {
			plain := regexp.MustCompile(`\x1b\[[0-9;]*m`).ReplaceAllString(line, "")
			one := !strings.Contains(strings.TrimSpace(plain), " ") // a single word is not broken
			place := strings.HasPrefix(plain, "assets ") || strings.HasPrefix(plain, "gallery ") || strings.HasPrefix(plain, "results ") || strings.HasPrefix(plain, "  and ")
			if runewidth.StringWidth(plain) > width && !one && !place {
				t.Errorf("%d columns of %d: %q", runewidth.StringWidth(plain), width, plain)
			}
			if width != 80 && strings.Contains(line, "\x1b") {
				t.Errorf("colour where none is wanted: %q", line)
			}
		}
	}
}

func TestTableOfADoneRun(t *testing.T) {
	run, s := sample()
	s.Stop, s.Outcomes = nil, s.Outcomes[1:2]
	s.Totals = pipeline.Totals{Items: 1, Reused: 1}
	var b bytes.Buffer
	Table(&b, run, s, TableOptions{})
	want := `reused          1     2 files     22 kB
1 item in 6m12s, 0 CU spent

assets   s3://game-assets/dragon-realm
gallery  s3://game-assets/dragon-realm/index.html
results  s3://game-assets/dragon-realm/results.json

Nothing was submitted: every item was delivered by an earlier run, and is still there.
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

// many is a run of n delivered items.
func many(n int) (Run, *pipeline.Summary) {
	run, s := sample()
	one := s.Outcomes[0]
	s.Outcomes = make([]pipeline.Outcome, n)
	for i := range s.Outcomes {
		it := *one.Item
		it.ID = fmt.Sprintf("dragon-flyover-%d", i)
		s.Outcomes[i] = one
		s.Outcomes[i].Item = &it
	}
	s.Totals = pipeline.Totals{Items: n, Delivered: n}
	return run, s
}
