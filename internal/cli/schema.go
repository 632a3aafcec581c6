package cli

import (
	"github.com/spf13/cobra"

	"dailies/internal/catalog"
	"dailies/internal/manifest"
	"dailies/internal/progress"
	"dailies/internal/report"
)

func (a *app) schemaCommand() *cobra.Command {
	var events, results bool
	cmd := &cobra.Command{
		Use: "schema [flags]", Short: "Print the JSON Schema of manifests, results or events", Args: cobra.NoArgs,
		Long: `Prints the JSON Schema (2020-12) of manifests, with a branch for every known model. In an editor with the YAML
language server, put this on a manifest's first line:

  # yaml-language-server: $schema=dailies.schema.json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case events && results:
				return usagef(cmd, "--events and --results are two schemas: ask for one")
			case events:
				return a.printJSON(progress.EventSchema())
			case results:
				return a.printJSON(report.ResultsSchema())
			}
			known := catalog.Snapshot()
			var models []manifest.ModelSchema
			for m := range known.Models() {
				models = append(models, manifest.ModelSchema{ID: m.ID, Aliases: known.Aliases(m.ID), Payload: m.PayloadSchema()})
			}
			return a.printJSON(manifest.Schema(models))
		},
	}
	cmd.Flags().BoolVar(&events, "events", false, "of the lines --progress json prints")
	cmd.Flags().BoolVar(&results, "results", false, "of results.json")
	return cmd
}
