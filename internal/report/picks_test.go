package report

import (
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"

	"dailies/pipeline"
)

func TestReadPicks(t *testing.T) {
	at := func(line int) pipeline.Position { return pipeline.Position{File: "picks.yaml", Line: line, Col: 3} }
	got, err := ReadPicks(strings.NewReader(`# as the gallery saves it, and as people write it
version: 1
batch: "dragon-realm"
picks:
  "dragon-flyover": {pick: keep, job: "job_1"}
  hero-walk: {pick: reroll, job: job_2}
  "12": keep # a short one
  "a \"name\": with #signs": {pick: reject, job: job_4}
`), "picks.yaml")
	want := &Picks{Batch: "dragon-realm", Items: []Pick{
		{"dragon-flyover", Keep, "job_1", at(5)},
		{"hero-walk", Reroll, "job_2", at(6)},
		{"12", Keep, "", at(7)},
		{`a "name": with #signs`, Reject, "job_4", at(8)},
	}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, none := range []string{"version: 1\nbatch: b\n", "version: 1\nbatch: b\npicks:\n", "version: 1\nbatch: b\npicks: {}\n"} {
		if got, err := ReadPicks(strings.NewReader(none), "p"); err != nil || len(got.Items) != 0 {
			t.Errorf("%q: %v, %v", none, got, err)
		}
	}
}

func TestReadPicksRefuses(t *testing.T) {
	head := "version: 1\nbatch: b\npicks:\n"
	for _, tc := range []struct{ text, want string }{
		{"", "p is empty"},
		{"a: [", "p: line 1: did not find expected node content"},
		{"- a", "p:1:1: a file of picks must be a mapping"},
		{"batch: b\npicks: {}", "p:1:1: version: is missing"},
		{"version: 1\npicks: {}", "p:1:1: batch: is missing"},
		{"version: 2\nbatch: b", `p:1:10: version "2" is not one this program knows: it knows 1`},
		{"version: 1\nbatch: b\nitems: {}", `p:3:1: unknown key "items"; a file of picks has version, batch and picks`},
		{head + "  a: perhaps", `p:4:6: "perhaps" is neither keep nor reject nor reroll`},
		{head + "  a: reroll", `p:4:6: which take of "a" is not wanted? name its job: {pick: reroll, job: job_…}`},
		{head + "  a: {job: j}", "p:4:6: pick: is missing"},
		{head + "  a: {pick: keep, why: x}", `p:4:19: unknown key "why"; a pick has pick and job`},
		{head + "  a: [keep]", "p:4:6: a pick must be a text"},
		{head + "  a: ~", "p:4:6: a pick must be a text"},
		{head + "  a: keep\n  a: keep", `p:5:3: "a" is there twice`},
		{head + "  a: &x {pick: keep}\n  b: *x", "p:5:3: picks takes plain keys and values only"},
	} {
		_, err := ReadPicks(strings.NewReader(tc.text), "p")
		if err == nil || pipeline.CodeOf(err) != pipeline.CodeUsage || err.Error() != tc.want {
			t.Errorf("%q: %v\nwant %s", tc.text, err, tc.want)
		}
	}
	endless := io.MultiReader(strings.NewReader(head), repeating("  # and so on\n"))
	if _, err := ReadPicks(endless, "p"); pipeline.CodeOf(err) != pipeline.CodeUsage || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("without end: %v", err)
	}
}

// repeating is a text again and again, for ever.
type repeating string

func (r repeating) Read(p []byte) (int, error) {
	for n := 0; n < len(p); {
		n += copy(p[n:], r)
	}
	return len(p), nil
}

func FuzzReadPicks(f *testing.F) {
	f.Add("version: 1\nbatch: b\npicks:\n  a: {pick: reroll, job: j}\n  b: keep\n")
	f.Add("a: &a [*a]")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ReadPicks(strings.NewReader(text), "p")
		if err != nil {
			if pipeline.CodeOf(err) != pipeline.CodeUsage {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		for _, pick := range p.Items {
			if pick.Verdict != Keep && pick.Job == "" {
				t.Fatalf("%s without a job: %s", pick.Verdict, fmt.Sprint(pick))
			}
		}
	})
}
