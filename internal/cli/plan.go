package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"dailies/pipeline"
)

const planSchema = "dailies.plan/v1"

// savedPlan is a plan in a file, with what it was made from: when any of that is no longer so, it is stale.
type savedPlan struct {
	Schema         string         `json:"schema"`
	Batch          string         `json:"batch"`
	ManifestSHA256 string         `json:"manifest_sha256"`
	Realm          pipeline.Realm `json:"realm"`
	Output         string         `json:"output"`
	*pipeline.Plan
}

func (a *app) planCommand() *cobra.Command {
	var f runFlags
	var save string
	var asJSON bool
	cmd := &cobra.Command{
		Use: "plan MANIFEST [flags]", Short: "Show what run would do, and what it would cost", Args: cobra.ExactArgs(1),
		Long: `Shows what run would do about every item, why, and what it would cost:

  +  new: to be bought             ~  changed: to be bought anew, with the fields that differ
  =  kept: delivered already       >  running: paid for, to be collected
  !  drifted: to be restored       -  gone from the manifest; its files are left
  x  failed, not to be tried again

Nothing is bought. Prices are asked of the API; for that, input files are uploaded, which is free.
-o FILE saves the plan; run --plan FILE does exactly that, or refuses when the manifest or the ledger has moved on.`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.plan(cmd.Context(), args[0], f, save, asJSON) },
	}
	f.reading.flags(cmd)
	f.placeFlags.flags(cmd)
	f.choiceFlags.flags(cmd)
	cmd.Flags().StringVarP(&save, "out", "o", "", "save the plan in this file, for run --plan")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the plan as JSON")
	return cmd
}

func (a *app) plan(ctx context.Context, manifestPath string, f runFlags, save string, asJSON bool) error {
	s, err := a.open(ctx, manifestPath, f)
	if err != nil {
		return err
	}
	defer s.close()
	p, err := s.makePlan(ctx, true)
	if err != nil {
		return err
	}
	if save != "" {
		if err := writeFile(save, os.O_TRUNC, func(w io.Writer) error {
			enc := json.NewEncoder(w)
			enc.SetIndent("", "  ")
			return enc.Encode(p)
		}); err != nil {
			return err
		}
	}
	if asJSON {
		return a.printJSON(p)
	}
	return a.showPlan(p, s.conn.simulated)
}

func (s *session) makePlan(ctx context.Context, priced bool) (*savedPlan, error) {
	p, err := pipeline.MakePlan(ctx, s.config(), s.m.Items, priced)
	if err != nil {
		return nil, err
	}
	return &savedPlan{Schema: planSchema, Batch: s.m.Batch, ManifestSHA256: s.m.SHA256, Realm: s.conn.realm, Output: s.dest.URI(""), Plan: p}, nil
}

// showPlan prints what is to be done, then what is not, in counts.
func (a *app) showPlan(p *savedPlan, simulated bool) error {
	w := bufio.NewWriter(a.Stdout)
	wide := 0
	for _, step := range p.Steps {
		if step.Action != pipeline.ActionKept {
			wide = max(wide, len(step.ID))
		}
	}
	counts := map[pipeline.Action]int{}
	for _, step := range p.Steps {
		counts[step.Action]++
		if step.Action == pipeline.ActionKept {
			continue
		}
		price := ""
		switch {
		case step.Refused != "":
			price = "refused"
		case step.Price != nil:
			price = step.Price.String() + " CU"
		case step.Buys():
			price = "priced later"
		}
		fmt.Fprintf(w, "%s %-*s  %-12s %s\n", step.Action, wide, step.ID, price, pipeline.ModelName(step.Model))
		for _, why := range step.Why {
			fmt.Fprintf(w, "    %s\n", pipeline.Plain(why))
		}
		if step.Error != nil {
			fmt.Fprintf(w, "    %s\n    hint: %s\n", pipeline.Plain(step.Refused), pipeline.Plain(step.Error.HintText()))
		}
	}
	names := map[pipeline.Action]string{pipeline.ActionNew: "new", pipeline.ActionChanged: "changed", pipeline.ActionKept: "kept",
		pipeline.ActionRunning: "running", pipeline.ActionGone: "gone", pipeline.ActionDrifted: "drifted", pipeline.ActionFailed: "failed"}
	var said []string
	for _, action := range pipeline.Actions {
		if n := counts[action]; n > 0 {
			said = append(said, fmt.Sprintf("%d %s", n, names[action]))
		}
	}
	line := strings.Join(said, ", ") + ": "
	if p.Total == 0 && p.Unpriced == 0 {
		line += "nothing to buy"
	} else {
		line += p.Total.String() + " CU to buy"
		if p.Unpriced > 0 {
			line += fmt.Sprintf(", and %s whose price is not known yet", pipeline.Count(p.Unpriced, "item"))
		}
		if simulated {
			line += " (simulated)"
		}
	}
	fmt.Fprintln(w, line)
	return w.Flush()
}

// obey makes a run do what a saved plan says and nothing else, or refuses.
func (s *session) obey(ctx context.Context, file string, c *pipeline.Config) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return pipeline.Errorf(pipeline.CodeUsage, "%w", err)
	}
	var saved savedPlan
	if err := json.Unmarshal(data, &saved); err != nil || saved.Schema != planSchema || saved.Plan == nil {
		return &pipeline.Error{Code: pipeline.CodeUsage, Message: file + " is not a plan of this version", Hint: "make one with dailies plan MANIFEST -o FILE"}
	}
	now, err := s.makePlan(ctx, false)
	if err != nil {
		return err
	}
	for _, was := range []struct {
		what string
		same bool
	}{
		{"the account", saved.Realm == now.Realm},
		{"the output", saved.Output == now.Output},
		{"the manifest", saved.Batch == now.Batch && saved.ManifestSHA256 == now.ManifestSHA256},
		{"the ledger", saved.Ledger == now.Ledger},
		{"the selection, an input file or the destination", sameSteps(saved.Steps, now.Steps)},
	} {
		if !was.same {
			return pipeline.Errorf(pipeline.CodePlanStale, "%s is not what plan %s was made from", was.what, file)
		}
	}
	if saved.Unpriced == 0 {
		c.Allowance = &saved.Total
	}
	return nil
}

func sameSteps(a, b []pipeline.Step) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].ID != b[i].ID || a[i].Action != b[i].Action || a[i].Fingerprint != b[i].Fingerprint {
			return false
		}
	}
	return true
}
