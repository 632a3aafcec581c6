package cli

import (
	"context"

	"github.com/spf13/cobra"
)

func (a *app) runCommand() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use: "run MANIFEST [flags]", Short: "Make what the manifest lists, deliver it, and report on every item", Args: cobra.ExactArgs(1),
		Long: `Validates the manifest, uploads input files, asks for prices, submits, follows, downloads and delivers, and
writes results.json, results.csv and index.html beside the assets.

It is idempotent: whatever happened, run the same command again. Every flag can also be given as an environment
variable (--max-failures is DAILIES_MAX_FAILURES) or, where the manifest has a field of that name, there; a flag wins
over the environment, and that over the manifest.

Exit codes: 0 all delivered; 2 invalid, nothing spent; 3 some items failed; 4 stopped by the budget; 5 credentials,
plan, credits or destination refused; 6 another run holds the batch; 75 still generating: run the same command again;
130 and 143 interrupted with nothing left generating; 1 internal error.`,
		Example: `  dailies run manifests/quickstart.yaml --sandbox
  dailies run night.yaml --output s3://game-assets/night --budget 500 --deadline 5h30m`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.run(cmd.Context(), args[0], f) },
	}
	f.flags(cmd)
	cmd.Flags().StringVar(&f.plan, "plan", "", "do exactly what this saved plan says, or refuse (dailies plan -o FILE)")
	return cmd
}

// run is the command.
func (a *app) run(ctx context.Context, manifestPath string, f runFlags) error {
	s, err := a.open(ctx, manifestPath, f)
	if err != nil {
		return err
	}
	defer s.close()
	c := s.config()
	if f.plan != "" {
		if err := s.obey(ctx, f.plan, &c); err != nil {
			return err
		}
	}
	return s.execute(ctx, c, s.m.Items)
}
