package cli

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"dailies/internal/report"
	"dailies/pipeline"
)

type rerollFlags struct {
	runFlags
	picks    string
	verdicts []string
}

func (a *app) rerollCommand() *cobra.Command {
	var f rerollFlags
	cmd := &cobra.Command{
		Use: "reroll MANIFEST --picks picks.yaml [flags]", Short: "Make anew what was rejected in the gallery", Args: cobra.ExactArgs(1),
		Long: `Makes anew the items that picks.yaml rejects or wants re-rolled: with a new seed where the model has one, under the
same keys. The takes before are kept under .dailies/history, and the ledger remembers them. Everything else is as with
run: it asks before it buys, keeps to the budget, and holds the batch.

A pick is about the job that made what was looked at. So the same picks, used again, buy nothing again: what was cut
short is finished, and what has been made anew already stays. Items made from one that is made anew are not made anew
with it; pick them too.`,
		Example: `  dailies reroll night.yaml --picks picks.yaml
  dailies reroll night.yaml --picks picks.yaml --pick reroll     leave those that are only rejected as they are`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.reroll(cmd.Context(), args[0], f) },
	}
	cmd.Flags().StringVar(&f.picks, "picks", "", "file of picks, saved in the gallery (required)")
	cmd.Flags().StringArrayVar(&f.verdicts, "pick", []string{string(report.Reject), string(report.Reroll)}, "make anew what has this pick: reject or reroll (repeatable; default both)")
	f.runFlags.flags(cmd)
	return cmd
}

func (a *app) reroll(ctx context.Context, manifestPath string, f rerollFlags) error {
	for _, v := range f.verdicts {
		if v != string(report.Reject) && v != string(report.Reroll) {
			return badFlag("pick", v, "reject or reroll")
		}
	}
	picks, err := readPicks(f.picks)
	if err != nil {
		return err
	}
	s, err := a.open(ctx, manifestPath, f.runFlags)
	if err != nil {
		return err
	}
	defer s.close()
	if err := sameBatch(picks, s.m.Batch, f.picks); err != nil {
		return err
	}
	redo := s.wishes(picks, f.verdicts)
	if len(redo) == 0 {
		fmt.Fprintf(a.Stdout, "%s wants nothing made anew\n", f.picks)
		return nil
	}
	selected := s.selects
	s.selects = func(it *pipeline.Item) bool { return redo[it.ID] != "" && (selected == nil || selected(it)) }
	c := s.config()
	c.Redo = redo
	return s.execute(ctx, c, s.m.Items)
}

// wishes are the jobs whose results are not wanted, by item.
func (s *session) wishes(picks *report.Picks, verdicts []string) map[string]string {
	redo := map[string]string{}
	for _, p := range picks.Items {
		if slices.Contains(verdicts, string(p.Verdict)) {
			redo[p.Item] = p.Job
		}
	}
	known := map[string]bool{}
	for _, it := range s.m.Items {
		known[it.ID] = true
		if redo[it.ID] != "" {
			continue
		}
		for _, source := range it.Sources {
			if redo[source] != "" {
				s.note("%s was made from %s and stays as it is; pick it too to have it made from the new one", it.ID, source)
			}
		}
	}
	for _, p := range picks.Items {
		if redo[p.Item] != "" && !known[p.Item] {
			s.note("%s: there is no item %q in the manifest any more: left alone", p.At, p.Item)
			delete(redo, p.Item)
		}
	}
	return redo
}

// readPicks reads the file that --picks names.
func readPicks(name string) (*report.Picks, error) {
	if name == "" {
		return nil, &pipeline.Error{Code: pipeline.CodeUsage, Message: "--picks is missing", Hint: "save a picks.yaml in the gallery: open index.html, pick, and press Save picks.yaml"}
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, pipeline.Errorf(pipeline.CodeUsage, "%s", strings.TrimPrefix(err.Error(), "open "))
	}
	defer file.Close()
	return report.ReadPicks(file, name)
}

func sameBatch(picks *report.Picks, batch, name string) error {
	if picks.Batch == batch {
		return nil
	}
	return &pipeline.Error{Code: pipeline.CodeUsage, Message: fmt.Sprintf("%s is about the batch %q, and this is %q", name, picks.Batch, batch),
		Hint: "name the manifest, or the results, that the picks were made from"}
}
