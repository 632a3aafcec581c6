package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"dailies/internal/manifest"
	"dailies/internal/report"
	"dailies/pipeline"
)

// onGitHub reports whether this is a step of a GitHub job: there, errors are also shown beside the lines they are about.
func onGitHub() bool { return os.Getenv("GITHUB_ACTIONS") == "true" }

// annotate shows annotations, with paths as the repository has them.
func (a *app) annotate(all ...report.Annotation) {
	if !onGitHub() {
		return
	}
	for i := range all {
		all[i].At.File = inWorkspace(all[i].At.File)
	}
	_ = report.WriteAnnotations(a.Stderr, all) // a log that cannot be written to has no reader
}

// annotateError shows an error that ended a command.
func (a *app) annotateError(err error) {
	problems, ok := errors.AsType[manifest.Problems](err)
	if !ok {
		a.annotate(report.Failure(pipeline.AsError(err)))
		return
	}
	var all []report.Annotation
	for i, p := range problems {
		if left := len(problems) - i; len(all) == report.MostAnnotations-1 && left > 1 {
			all = append(all, report.Annotation{Level: "error", Title: "dailies", Message: fmt.Sprintf("and %s more: the log has them", pipeline.Count(left, "problem"))})
			break
		}
		said := report.Annotation{Level: "error", At: p.At, Title: "dailies: the manifest is not valid", Message: p.Message}
		if p.Item != "" {
			said.Message = fmt.Sprintf("item %q: %s", p.Item, p.Message)
		}
		if p.Hint != "" {
			said.Message += "\nhint: " + p.Hint
		}
		all = append(all, said)
	}
	a.annotate(all...)
}

// inWorkspace is a path from the root of the checkout, which is where GitHub looks for files.
func inWorkspace(file string) string {
	root := os.Getenv("GITHUB_WORKSPACE")
	if root == "" || file == "" {
		return file
	}
	whole, err := filepath.Abs(file)
	if err != nil {
		return file
	}
	if inside, err := filepath.Rel(root, whole); err == nil && filepath.IsLocal(inside) {
		return filepath.ToSlash(inside)
	}
	return file
}
