package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// writePicks saves picks as the gallery does, with the jobs that results.json names.
func writePicks(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: picks RESULTS FILE ITEM=PICK…")
	}
	var r struct {
		Batch string
		Items []struct {
			ID    string
			JobID string `json:"job_id"`
		}
	}
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &r))
	jobs := map[string]string{}
	for _, it := range r.Items {
		jobs[it.ID] = it.JobID
	}
	var text strings.Builder
	fmt.Fprintf(&text, "version: 1\nbatch: %q\npicks:\n", r.Batch)
	for _, arg := range args[2:] {
		id, pick, _ := strings.Cut(arg, "=")
		fmt.Fprintf(&text, "  %q: {pick: %s, job: %q}\n", id, pick, jobs[id])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text.String()), 0o666))
}
