package cli

import (
	"bufio"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dailies/internal/catalog"
	"dailies/internal/fetch"
	"dailies/internal/ledger"
	"dailies/internal/manifest"
	"dailies/internal/media"
	"dailies/internal/progress"
	"dailies/internal/report"
	"dailies/internal/store"
	"dailies/pipeline"
)

// runFlags are what was typed, or set in the environment; what was not is the manifest's to say.
type runFlags struct {
	reading
	placeFlags
	choiceFlags
	plan              string
	concurrency       string
	requestsPerMinute int
	budget            string
	deadline          time.Duration
	maxFailures       string
	onLost            string
	progress          string
	junit, summary    string
	yes               bool
}

// placeFlags say where things are, for every command that looks there.
type placeFlags struct{ output, state string }

func (f *placeFlags) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.output, "output", "", "folder or s3://bucket/prefix of the assets (default out/BATCH)")
	cmd.Flags().StringVar(&f.state, "state", "", "folder or s3://bucket/prefix of the ledger (default .dailies under the output)")
}

// choiceFlags say which items are meant, and at which API, for every command that says what is to be done.
type choiceFlags struct {
	sandbox    bool
	only, tags []string
	shard      string
	retry      []string
}

func (f *choiceFlags) flags(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.BoolVar(&f.sandbox, "sandbox", false, "rehearse on the simulated API: nothing is bought")
	fl.StringArrayVar(&f.only, "only", nil, "only items whose id matches this pattern, such as 'knight-*' (repeatable)")
	fl.StringArrayVar(&f.tags, "tag", nil, "only items with this tag (repeatable: any of them)")
	fl.StringVar(&f.shard, "shard", "", "only part I of N of the items, as I/N; stable by id")
	fl.StringArrayVar(&f.retry, "retry", nil, "also try again items that failed with this code, such as moderated (repeatable)")
}

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

// flags are those of every command that makes something.
func (f *runFlags) flags(cmd *cobra.Command) {
	f.reading.flags(cmd)
	f.placeFlags.flags(cmd)
	f.choiceFlags.flags(cmd)
	fl := cmd.Flags()
	fl.StringVar(&f.concurrency, "concurrency", "", "jobs in flight at most, or auto: as many as the API allows (default auto)")
	fl.IntVar(&f.requestsPerMinute, "requests-per-minute", 0, "API requests a minute at most (default 100, a project's limit)")
	fl.StringVar(&f.budget, "budget", "", "creative units the items of this manifest may cost, earlier runs counted")
	fl.DurationVar(&f.deadline, "deadline", 0, "stop in time to end after this long, such as 5h30m")
	fl.StringVar(&f.maxFailures, "max-failures", "", "stop buying when more than N items, or P%, have failed")
	fl.StringVar(&f.onLost, "on-lost-submit", "", "when no job shows up for a submit whose answer was lost: adopt-or-resubmit or hold (default adopt-or-resubmit)")
	fl.StringVar(&f.progress, "progress", "auto", "auto, bar, lines, json or none")
	fl.StringVar(&f.junit, "junit", "", "also write a JUnit report to this file")
	fl.StringVar(&f.summary, "summary", "", "also write a summary in Markdown to this file (default $GITHUB_STEP_SUMMARY)")
	fl.BoolVar(&f.yes, "yes", false, "buy without asking")
}

// settings is what flags, environment, manifest and defaults come to.
type settings struct {
	output, state     string
	concurrency       int
	requestsPerMinute int
	budget            pipeline.CU
	deadline          time.Time
	maxFailures       pipeline.MaxFailures
	onLost            pipeline.LostPolicy
	retry             []pipeline.Code
	selects           func(*pipeline.Item) bool // nil: all
	part              ledger.Part
	elsewhere         func(*pipeline.Item) bool // items of the other parts; nil when there are none
	share             string                    // what of the budget is this part's, in words
	progress          progress.Mode
	summary           string
}

func badFlag(name, value, want string) error {
	e := pipeline.Errorf(pipeline.CodeUsage, "--%s %q is not %s", name, value, want)
	e.Hint = "dailies run --help shows what it takes"
	return e
}

// places says where a manifest's assets and its ledger are; an empty state is beside the assets.
func (f *placeFlags) places(m *manifest.Manifest) (output, state string) {
	output = cmp.Or(f.output, m.OutputPath(), filepath.Join("out", m.Batch))
	return output, cmp.Or(f.state, m.StatePath())
}

// settle brings flags and manifest together.
func (f *runFlags) settle(m *manifest.Manifest) (s settings, err error) {
	s = settings{requestsPerMinute: f.requestsPerMinute, summary: f.summary, budget: pipeline.Unlimited}
	s.output, s.state = f.places(m)
	s.concurrency = m.Limits.Concurrency
	if f.concurrency != "" {
		s.concurrency = 0
		if f.concurrency != "auto" {
			if s.concurrency, err = strconv.Atoi(f.concurrency); err != nil || s.concurrency < 1 {
				return s, badFlag("concurrency", f.concurrency, "auto or a number from 1")
			}
		}
	}
	if f.requestsPerMinute < 0 {
		return s, badFlag("requests-per-minute", strconv.Itoa(f.requestsPerMinute), "a number from 1")
	}
	if s.requestsPerMinute == 0 {
		s.requestsPerMinute = m.Limits.RequestsPerMinute
	}
	if m.Limits.Budget != nil {
		s.budget = *m.Limits.Budget
	}
	if f.budget != "" {
		if s.budget, err = pipeline.ParseCU(f.budget); err != nil {
			return s, badFlag("budget", f.budget, "an amount of creative units, such as 500 or 99.5")
		}
	}
	limit := m.Limits.Deadline
	if f.deadline != 0 {
		limit = f.deadline
	}
	if limit < 0 {
		return s, badFlag("deadline", limit.String(), "a time to come")
	}
	if limit > 0 {
		s.deadline = time.Now().Add(limit)
	}
	most := f.maxFailures
	if most == "" {
		most = m.Limits.MaxFailures
	}
	if s.maxFailures, err = parseMaxFailures(most); err != nil {
		return s, err
	}
	lost := f.onLost
	if lost == "" {
		lost = m.OnLostSubmit
	}
	switch p := pipeline.LostPolicy(lost); p {
	case "":
		s.onLost = pipeline.AdoptOrResubmit
	case pipeline.AdoptOrResubmit, pipeline.Hold:
		s.onLost = p
	default:
		return s, badFlag("on-lost-submit", lost, "adopt-or-resubmit or hold")
	}
	for _, c := range f.retry {
		if !slices.Contains(pipeline.Codes(), pipeline.Code(c)) {
			return s, badFlag("retry", c, "an error code; results.json names them, such as moderated")
		}
		s.retry = append(s.retry, pipeline.Code(c))
	}
	if s.progress, err = progress.ParseMode(cmp.Or(f.progress, "auto")); err != nil {
		return s, badFlag("progress", f.progress, "auto, bar, lines, json or none")
	}
	if s.summary == "" {
		s.summary = os.Getenv("GITHUB_STEP_SUMMARY")
	}
	if s.selects, err = f.selection(m); err != nil {
		return s, err
	}
	return s, s.divide(f.shard, m.Items)
}

func parseMaxFailures(text string) (most pipeline.MaxFailures, err error) {
	if text == "" {
		return most, nil
	}
	number, percent := strings.CutSuffix(text, "%")
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 || percent && n > 100 {
		return most, badFlag("max-failures", text, "a number from 1, such as 20, or a share, such as 10%")
	}
	if percent {
		most.Percent = n
	} else {
		most.Count = n
	}
	return most, nil
}

// selection is which items --only and --tag leave in; nil is all of them.
func (f *runFlags) selection(m *manifest.Manifest) (func(*pipeline.Item) bool, error) {
	for _, pattern := range f.only {
		if _, err := path.Match(pattern, ""); err != nil {
			return nil, badFlag("only", pattern, "a pattern, such as 'knight-*'")
		}
	}
	if len(f.only) == 0 && len(f.tags) == 0 {
		return nil, nil
	}
	selects := func(it *pipeline.Item) bool {
		named := func(pattern string) bool { ok, _ := path.Match(pattern, it.ID); return ok }
		tagged := func(tag string) bool { return slices.Contains(it.Tags, tag) }
		return (len(f.only) == 0 || slices.ContainsFunc(f.only, named)) &&
			(len(f.tags) == 0 || slices.ContainsFunc(f.tags, tagged))
	}
	if !slices.ContainsFunc(m.Items, selects) {
		return nil, pipeline.Errorf(pipeline.CodeUsage, "no item of %s is selected by --only and --tag", m.Path)
	}
	return selects, nil
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

// A session is everything a command needs that works on a batch: opened in the order in which things may go wrong, so
// that nothing is bought before the manifest is valid, the account known, and the destination proven.
type session struct {
	*app
	settings
	f       runFlags
	m       *manifest.Manifest
	conn    *connection
	dest    store.Store
	records store.Store // of the ledger
	book    *ledger.Ledger
	report  report.Run
	watch   *watcher
}

// open prepares a session; it must be closed.
func (a *app) open(ctx context.Context, manifestPath string, f runFlags) (_ *session, err error) {
	s := &session{app: a, f: f, watch: &watcher{}}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	acc := accountFromEnvironment()
	if !f.sandbox && acc.known() {
		if s.conn, err = acc.connect(f.requestsPerMinute, s.watch.notice); err != nil {
			return nil, err
		}
	}
	if s.m, err = f.load(manifestPath, a.contractsFor(ctx, acc, s.conn, f.sandbox)); err != nil {
		return nil, err
	}
	if s.settings, err = f.settle(s.m); err != nil {
		return nil, err
	}
	if s.conn == nil && !f.sandbox {
		return nil, pipeline.Errorf(pipeline.CodeCredentialsNone, "no Scenario API key is set")
	}
	if s.conn != nil && s.requestsPerMinute != f.requestsPerMinute { // the manifest has a limit of its own
		s.conn.close()
		if s.conn, err = acc.connect(s.requestsPerMinute, s.watch.notice); err != nil {
			return nil, err
		}
	}
	a.showNotes(s.m.Notes, mostNotes)
	if s.share != "" {
		a.note("%s", s.share)
	}
	if s.dest, s.records, err = openStores(ctx, s.output, s.state); err != nil {
		return nil, err
	}
	if f.sandbox {
		if s.conn, err = rehearse(s.settings, s.watch.notice); err != nil {
			return nil, err
		}
	} else {
		s.conn.simulated = s.conn.Simulated(ctx) // a sandbox may run in a process of its own
	}
	if s.conn.simulated {
		fmt.Fprintln(a.Stderr, "SANDBOX: a simulated API. Nothing is bought, and what it makes is a stand-in.")
	}
	s.book = ledger.Open(s.records, s.conn.realm)
	s.report = report.Run{ID: runID(), Batch: s.m.Batch, Version: thisBuild().Version, BaseURL: s.conn.baseURL, ManifestPath: manifestPath,
		ManifestSHA256: s.m.SHA256, Simulated: s.conn.simulated, OutputURI: s.dest.URI("")}
	return s, nil
}

func (s *session) close() {
	if s.conn != nil {
		s.conn.close()
	}
	if s.records != nil {
		s.records.Close()
	}
	if s.dest != nil {
		s.dest.Close()
	}
}

// config is what the engine works with, as the settings say.
func (s *session) config() pipeline.Config {
	c := pipeline.Config{
		API: s.conn, Fetcher: fetch.New(fetch.Options{Notice: s.watch.notice}), Inspector: media.Inspector{}, Store: s.dest, Ledger: s.book,
		Batch: s.m.Batch, RunID: s.report.ID, Realm: s.conn.realm,
		Concurrency: s.concurrency, Budget: s.budget, Deadline: s.deadline, MaxFailures: s.maxFailures, OnLost: s.onLost,
		Retry: s.retry, Select: s.selects, Elsewhere: s.elsewhere,
	}
	if s.conn.simulated {
		c.Grace = rehearsalGrace
	} else if !s.f.yes && s.budget == pipeline.Unlimited {
		c.Approve = s.askToBuy
	}
	return c
}

// execute runs items under the batch's lock, shows how it goes, and leaves the reports.
func (s *session) execute(ctx context.Context, c pipeline.Config, items []*pipeline.Item) error {
	lock, err := s.book.Lock(ctx, ledger.ThisProcess(s.report.ID), ledger.LockOptions{Part: s.part})
	if err != nil {
		return err
	}
	defer lock.Release(context.WithoutCancel(ctx))
	if t := lock.Took; t != nil {
		s.note("the run before this one (%s, process %d on %s) ended without a word; what it left is picked up", t.RunID, t.PID, t.Host)
	}
	c.MayBuy = lock.Check

	var summary *pipeline.Summary
	exit := pipeline.ExitInternal
	out, table := s.Stderr, s.Stdout
	if s.progress == progress.JSON {
		out, table = s.Stdout, s.Stderr
	}
	observe, finish := progress.New(progress.Options{
		Mode: s.progress, Out: out, Terminal: isTerminal(out), Color: s.color(out),
		Width:  func() int { width, _ := size(out); return width },
		Height: func() int { _, height := size(out); return height },
		Batch:  s.m.Batch, Simulated: s.conn.simulated, Expected: s.conn.Expected, Concurrency: s.concurrency, RequestsPerMinute: s.requestsPerMinute,
		Result: func() (*pipeline.Summary, int) { return summary, exit },
	})
	s.watch.observe(observe)
	c.Observe = observe
	if summary, err = pipeline.Run(s.working, ctx, c, items); summary != nil {
		exit = summary.ExitCode()
	}
	finish()
	if err != nil {
		return err
	}
	s.report.ExitCode, s.report.StartedAt, s.report.FinishedAt = exit, summary.StartedAt, summary.FinishedAt
	if err := s.leave(summary); err != nil {
		return err
	}
	width, _ := size(table)
	report.Table(table, s.report, summary, report.TableOptions{Width: width, Color: s.color(table)})
	s.annotate(report.Annotations(summary)...)
	return exited(exit)
}

// contractsFor is the catalog a run reads its manifest with. A rehearsal knows what the sandbox knows.
func (a *app) contractsFor(ctx context.Context, acc account, live *connection, sandbox bool) pipeline.Contracts {
	if sandbox {
		return catalog.Snapshot()
	}
	if live == nil {
		return a.loadContracts(ctx, acc, nil)
	}
	return a.loadContracts(ctx, acc, live.Client)
}

// openStores opens the destination, and the place of the ledger; both are proven to work.
func openStores(ctx context.Context, output, state string) (dest, records store.Store, err error) {
	if dest, err = store.Open(ctx, output, store.Options{}); err != nil {
		return nil, nil, err
	}
	if err = dest.Probe(ctx); err != nil {
		dest.Close()
		return nil, nil, err
	}
	if state == "" {
		return dest, store.Sub(dest, ".dailies"), nil
	}
	if records, err = store.Open(ctx, state, store.Options{}); err == nil {
		err = records.Probe(ctx)
	}
	if err != nil {
		dest.Close()
		return nil, nil, err
	}
	return dest, records, nil
}

// rehearsalFolder is where the sandbox keeps its book: beside the ledger, so that both are deleted together, or with
// the user's caches when the ledger is in a bucket.
func rehearsalFolder(s settings) (string, error) {
	state := s.state
	if state == "" {
		state = s.output + "/.dailies"
	}
	name := "sandbox" // of each part its own: they do not share one process
	if s.part.N > 1 {
		name += fmt.Sprintf("-%d-of-%d", s.part.I, s.part.N)
	}
	if !strings.HasPrefix(state, "s3://") {
		return filepath.Join(filepath.FromSlash(state), name), nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", pipeline.Errorf(pipeline.CodeUsage, "no cache folder for the sandbox: %w", err)
	}
	sum := sha256.Sum256([]byte(state))
	return filepath.Join(cache, "dailies", name, hex.EncodeToString(sum[:8])), nil
}

// runID is unique, and sorts by time.
func runID() string {
	return time.Now().UTC().Format("20060102T150405Z") + "-" + strings.ToLower(rand.Text()[:6])
}

// askToBuy asks the person at the terminal, with the price. Where there is none it refuses.
func (a *app) askToBuy(ctx context.Context, items int, price func() (pipeline.Estimate, error)) error {
	if !isTerminal(a.Stdin) || !isTerminal(a.Stderr) {
		return pipeline.Errorf(pipeline.CodeNotAllowed, "%s would be bought, and there is neither a budget nor --yes", pipeline.Count(items, "item"))
	}
	e, err := price()
	if err != nil {
		return err
	}
	more := ""
	if e.Unpriced > 0 {
		more = fmt.Sprintf(", and %s whose price is not known yet", pipeline.Count(e.Unpriced, "item"))
	}
	fmt.Fprintf(a.Stderr, "\nBuy %s for %s CU%s? [y/N] ", pipeline.Count(items-e.Unpriced, "item"), e.Cost, more)
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(a.Stdin).ReadString('\n')
		answer <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case line := <-answer:
		if line == "y" || line == "yes" {
			return nil
		}
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return &pipeline.Error{Code: pipeline.CodeNotAllowed, Message: "not bought: you said no"}
}
