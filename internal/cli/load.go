package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"dailies/internal/catalog"
	"dailies/internal/manifest"
	"dailies/pipeline"
)

// reading is how a manifest is to be read; the flags are those of every command that takes one.
type reading struct {
	allowOutside bool
	allowUnknown bool
}

func (r *reading) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&r.allowOutside, "allow-outside", false, "allow input files outside the manifest's folder")
	cmd.Flags().BoolVar(&r.allowUnknown, "allow-unknown-models", false, "send payloads of models without a known contract unchecked")
}

// load reads a manifest, held against contracts.
func (r *reading) load(path string, c pipeline.Contracts) (*manifest.Manifest, error) {
	o := manifest.Options{Contracts: c, AllowOutside: r.allowOutside}
	if r.allowUnknown {
		o.AllowUnknown = catalog.Unknown
	}
	return manifest.Load(path, o)
}

const mostNotes = 8 // shown of a manifest's notes before a run; validate shows all

// showNotes prints what was changed in payloads, and what deserves a look.
func (a *app) showNotes(notes []manifest.Problem, most int) {
	for i, n := range notes {
		if i == most {
			a.note("and %s more like these; dailies validate shows all", pipeline.Count(len(notes)-most, "note"))
			return
		}
		a.note("%s", n)
	}
}

// note says something worth knowing that is no error.
func (a *app) note(format string, args ...any) {
	fmt.Fprintf(a.Stderr, "note: "+format+"\n", args...)
}

func (a *app) validateCommand() *cobra.Command {
	var r reading
	var asJSON bool
	cmd := &cobra.Command{
		Use: "validate MANIFEST [flags]", Short: "Check a manifest without touching the network", Args: cobra.ExactArgs(1),
		Long: `Checks everything that can be checked without the network: the YAML, the names, the input files, and every
payload against its model's contract. All problems are shown in one pass, each with its place.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := r.load(args[0], a.loadContracts(cmd.Context(), accountFromEnvironment(), nil))
			if asJSON {
				return a.validateJSON(m, err)
			}
			if err != nil {
				return err
			}
			a.showNotes(m.Notes, len(m.Notes))
			fmt.Fprintf(a.Stdout, "%s is valid: batch %s, %s\n", args[0], m.Batch, pipeline.Count(len(m.Items), "item"))
			return nil
		},
	}
	r.flags(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// finding is a problem or a note as JSON.
type finding struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Also    string `json:"also,omitempty"` // the manifest's line for a row of a file, the row for a line of the manifest
	Item    string `json:"item,omitempty"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

func findings(problems []manifest.Problem) []finding {
	found := make([]finding, len(problems))
	for i, p := range problems {
		found[i] = finding{File: p.At.File, Line: p.At.Line, Column: p.At.Col, Item: p.Item, Message: p.Message, Hint: p.Hint}
		if p.At.Also != nil {
			found[i].Also = p.At.Also.String()
		}
	}
	return found
}

func (a *app) validateJSON(m *manifest.Manifest, err error) error {
	answer := struct {
		Valid    bool      `json:"valid"`
		Batch    string    `json:"batch,omitempty"`
		Items    int       `json:"items"`
		Problems []finding `json:"problems"`
		Notes    []finding `json:"notes"`
	}{Valid: err == nil, Problems: []finding{}, Notes: []finding{}}
	if err != nil {
		problems, ok := err.(manifest.Problems)
		if !ok {
			return err
		}
		answer.Problems = findings(problems)
	} else {
		answer.Batch, answer.Items, answer.Notes = m.Batch, len(m.Items), findings(m.Notes)
	}
	if err := a.printJSON(answer); err != nil {
		return err
	}
	if !answer.Valid {
		a.annotateError(err)
		return exited(pipeline.ExitUsage)
	}
	return nil
}
