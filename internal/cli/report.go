package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dailies/internal/ledger"
	"dailies/internal/manifest"
	"dailies/internal/report"
	"dailies/internal/store"
	"dailies/pipeline"
)

type reportFlags struct {
	reading
	placeFlags
	sandbox        bool
	junit, summary string
}

func (a *app) reportCommand() *cobra.Command {
	var f reportFlags
	cmd := &cobra.Command{
		Use: "report MANIFEST|results.json [flags]", Short: "Write results, gallery and other reports anew", Args: cobra.ExactArgs(1),
		Long: `Of a manifest, answers for every item from the ledger, whichever runs and shards made it, and writes results.json,
results.csv and index.html anew: nothing is asked of the API. Its totals are what the batch has come to over all runs.

Of a results.json, writes results.csv and index.html beside it.`,
		RunE: func(cmd *cobra.Command, args []string) error { return a.report(cmd.Context(), args[0], f) },
	}
	f.reading.flags(cmd)
	f.placeFlags.flags(cmd)
	cmd.Flags().BoolVar(&f.sandbox, "sandbox", false, "report on the rehearsal's records")
	cmd.Flags().StringVar(&f.junit, "junit", "", "also write a JUnit report to this file")
	cmd.Flags().StringVar(&f.summary, "summary", "", "also write a summary in Markdown to this file")
	return cmd
}

func (a *app) report(ctx context.Context, source string, f reportFlags) error {
	if strings.EqualFold(filepath.Ext(source), ".json") {
		return a.reportResults(ctx, source, f)
	}
	acc := accountFromEnvironment()
	m, err := f.load(source, a.contractsFor(ctx, acc, nil, f.sandbox))
	if err != nil {
		return err
	}
	output, state := f.places(m)
	dest, records, err := openStores(ctx, output, state)
	if err != nil {
		return err
	}
	defer dest.Close()
	defer records.Close()
	last, results, err := readResults(ctx, dest)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		a.note("%s is written anew: %s", dest.URI(resultsFile), pipeline.AsError(err).Message)
	}
	realm := acc.realm()
	switch {
	case f.sandbox, results != nil && last.BaseURL == sandboxRealm.BaseURL:
		realm = sandboxRealm
	case !acc.known() && results != nil:
		a.note("no Scenario API key is set, and the key says whose records to report on: this is what the last run said")
		return a.writeAll(ctx, dest, last, results, f)
	case !acc.known():
		return pipeline.Errorf(pipeline.CodeCredentialsNone, "no Scenario API key is set, and the key says whose records to report on")
	}
	book := ledger.Open(records, realm)
	turn, err := book.Turn(ctx, ledger.ThisProcess(runID()))
	if err != nil {
		return err
	}
	defer turn.Release(context.WithoutCancel(ctx))
	entries, err := book.Load(ctx)
	if err != nil {
		return err
	}
	if len(entries) == 0 && results == nil {
		return &pipeline.Error{Code: pipeline.CodeUsage, Message: "nothing has been run yet: " + dest.URI(resultsFile) + " is not there, and the ledger is empty",
			Hint: "a run writes both: dailies run MANIFEST"}
	}
	if results == nil || last.BaseURL != realm.BaseURL { // what another API or a rehearsal did is not of this
		last, results = report.Run{Simulated: realm == sandboxRealm}, &pipeline.Summary{}
	}
	s := pipeline.Recollect(m.Items, entries, outcomesByID(results))
	return a.writeAll(ctx, dest, recollected(last, m, realm, dest, s), s, f)
}

// recollected is the head of a report that is of no run in particular.
func recollected(last report.Run, m *manifest.Manifest, realm pipeline.Realm, dest store.Store, s *pipeline.Summary) report.Run {
	now := time.Now().UTC()
	if s.StartedAt.IsZero() {
		s.StartedAt, s.FinishedAt = now, now
	}
	return report.Run{ID: cmp.Or(last.ID, runID()), Batch: m.Batch, Version: thisBuild().Version, BaseURL: realm.BaseURL, ManifestPath: m.Path,
		ManifestSHA256: m.SHA256, Simulated: last.Simulated, ExitCode: s.ExitCode(), StartedAt: s.StartedAt, FinishedAt: s.FinishedAt, OutputURI: dest.URI("")}
}

// reportResults writes what is made from a results.json that may be anywhere.
func (a *app) reportResults(ctx context.Context, source string, f reportFlags) error {
	results, err := os.Open(source)
	if errors.Is(err, fs.ErrNotExist) {
		return &pipeline.Error{Code: pipeline.CodeUsage, Message: source + " is not there", Hint: "a run writes it: dailies run MANIFEST"}
	}
	if err != nil {
		return pipeline.Errorf(pipeline.CodeUsage, "%w", err)
	}
	defer results.Close()
	run, s, err := report.ReadJSON(results)
	if err != nil {
		return pipeline.Errorf(pipeline.CodeUsage, "%s: %w", source, err)
	}
	dest, err := store.Open(ctx, cmp.Or(f.output, filepath.Dir(source)), store.Options{})
	if err != nil {
		return err
	}
	defer dest.Close()
	if err := put(ctx, dest, csvFile, csvMIME, func(w io.Writer) error { return report.WriteCSV(w, run, s) }); err != nil {
		return err
	}
	if err := put(ctx, dest, galleryFile, galleryMIME, func(w io.Writer) error { return report.Gallery(w, run, s) }); err != nil {
		return err
	}
	return a.reported(dest, run, s, f)
}

func (a *app) writeAll(ctx context.Context, dest store.Store, run report.Run, s *pipeline.Summary, f reportFlags) error {
	if err := writeReports(ctx, dest, run, s); err != nil {
		return err
	}
	return a.reported(dest, run, s, f)
}

// reported writes the reports for this machine, and says where the gallery is.
func (a *app) reported(dest store.Store, run report.Run, s *pipeline.Summary, f reportFlags) error {
	if err := leaveLocal(run, s, f.junit, f.summary); err != nil {
		return err
	}
	_, err := fmt.Fprintln(a.Stdout, dest.URI(galleryFile))
	return err
}
