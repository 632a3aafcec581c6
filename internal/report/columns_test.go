package report

import (
	"bytes"
	"encoding/csv"
	"slices"
	"strings"
	"testing"

	"dailies/pipeline"
)

// The producer's own columns come back in front, in their order and under their names, whatever else there is.
func TestColumnsComeBack(t *testing.T) {
	first, second := []string{"Shot", "status", "=line"}, []string{"Shot", "music"}
	item := func(id string, own []string, vars map[string]string) pipeline.Outcome {
		return pipeline.Outcome{Item: &pipeline.Item{ID: id, Model: "model_x", Vars: vars, Columns: own}, Status: pipeline.Skipped}
	}
	s := &pipeline.Summary{Outcomes: []pipeline.Outcome{
		item("a", nil, map[string]string{"pose": "idle"}),
		item("b", first, map[string]string{"Shot": "12", "status": "draft", "=line": "x", "pose": "run"}),
		item("c", first, map[string]string{"Shot": "13", "status": "", "=line": "", "pose": "idle"}),
		item("d", second, map[string]string{"Shot": "14", "music": "loud"}),
	}}
	s.Totals.Items, s.Totals.Skipped = 4, 4
	rows := func(s *pipeline.Summary) [][]string {
		var b bytes.Buffer
		if err := WriteCSV(&b, Run{}, s); err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(b.String(), byteOrderMark))).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		return rows
	}
	got := rows(s)
	if want := []string{"Shot", "status", "'=line", "music", "id", "dailies.status", "model"}; !slices.Equal(got[0][:7], want) {
		t.Errorf("the head is %q, want %q", got[0], want)
	}
	if last := got[0][len(got[0])-1]; last != "vars.pose" || slices.Contains(got[0], "vars.Shot") {
		t.Errorf("the head ends %q", got[0])
	}
	if want := []string{"12", "draft", "x", "", "b", "skipped"}; !slices.Equal(got[2][:6], want) {
		t.Errorf("b is %q, want %q", got[2], want)
	}
	if want := []string{"", "", "", "", "a"}; !slices.Equal(got[1][:5], want) {
		t.Errorf("a is %q", got[1])
	}

	var b bytes.Buffer
	if err := WriteJSON(&b, Run{}, s); err != nil {
		t.Fatal(err)
	}
	_, read, err := ReadJSON(&b)
	if err != nil {
		t.Fatal(err)
	}
	if again := rows(read); !slices.EqualFunc(got, again, slices.Equal) {
		t.Errorf("from results.json it is\n%q, not\n%q", again, got)
	}
}
