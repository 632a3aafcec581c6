package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"dailies/internal/report"
	"dailies/internal/store"
	"dailies/pipeline"
)

type reportFlags struct {
	reading
	placeFlags
	junit, summary string
}

func (a *app) reportCommand() *cobra.Command {
	var f reportFlags
	cmd := &cobra.Command{
		Use: "report MANIFEST|results.json [flags]", Short: "Write the gallery and other reports anew, from the results of the last run", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.report(cmd.Context(), args[0], f) },
	}
	f.reading.flags(cmd)
	cmd.Flags().StringVar(&f.output, "output", "", "folder or s3://bucket/prefix of the assets (default out/BATCH)")
	cmd.Flags().StringVar(&f.junit, "junit", "", "also write a JUnit report to this file")
	cmd.Flags().StringVar(&f.summary, "summary", "", "also write a summary in Markdown to this file")
	return cmd
}

// report reads results.json, beside the assets or as named, and writes what is made from it.
func (a *app) report(ctx context.Context, source string, f reportFlags) error {
	output := f.output
	if strings.EqualFold(filepath.Ext(source), ".json") {
		if output == "" {
			output = filepath.Dir(source)
		}
	} else {
		m, err := f.load(source, a.loadContracts(ctx, accountFromEnvironment(), nil))
		if err != nil {
			return err
		}
		output, _ = f.places(m)
		source = ""
	}
	dest, err := store.Open(ctx, output, store.Options{})
	if err != nil {
		return err
	}
	defer dest.Close()
	var results io.ReadCloser
	if source == "" {
		source = dest.URI(resultsFile)
		results, _, err = dest.Open(ctx, resultsFile)
	} else {
		results, err = os.Open(source)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return &pipeline.Error{Code: pipeline.CodeUsage, Message: source + " is not there", Hint: "a run writes it: dailies run MANIFEST"}
	}
	if err != nil {
		return pipeline.AsError(err)
	}
	defer results.Close()
	run, s, err := report.ReadJSON(results)
	if err != nil {
		return pipeline.Errorf(pipeline.CodeUsage, "%s: %w", source, err)
	}
	if err := put(ctx, dest, csvFile, csvMIME, func(w io.Writer) error { return report.WriteCSV(w, run, s) }); err != nil {
		return err
	}
	if err := put(ctx, dest, galleryFile, galleryMIME, func(w io.Writer) error { return report.Gallery(w, run, s) }); err != nil {
		return err
	}
	if err := leaveLocal(run, s, f.junit, f.summary); err != nil {
		return err
	}
	_, err = fmt.Fprintln(a.Stdout, dest.URI(galleryFile))
	return err
}
