package cli

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"dailies/internal/catalog"
	"dailies/internal/fetch"
	"dailies/internal/ledger"
	"dailies/internal/manifest"
	"dailies/internal/media"
	"dailies/internal/progress"
	"dailies/internal/report"
	"dailies/internal/store"
	"dailies/internal/telemetry"
	"dailies/pipeline"
)

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
	fetcher *fetch.Fetcher
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
		if s.conn, err = acc.connect(f.requestsPerMinute, s.watch); err != nil {
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
		if s.conn, err = acc.connect(s.requestsPerMinute, s.watch); err != nil {
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
		if s.conn, err = rehearse(s.settings, s.watch); err != nil {
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

// closeCall is how little of a link's life may be left as a download begins without people being told. Links live a
// day or more.
const closeCall = time.Hour

// config is what the engine works with, as the settings say.
func (s *session) config() pipeline.Config {
	s.fetcher = fetch.New(fetch.Options{Notice: s.watch.notice})
	c := pipeline.Config{
		API: s.conn, Fetcher: s.fetcher, Inspector: media.Inspector{}, Store: s.dest, Ledger: s.book,
		Batch: s.m.Batch, RunID: s.report.ID, Realm: s.conn.realm,
		Concurrency: s.concurrency, Budget: s.budget, Deadline: s.deadline, MaxFailures: s.maxFailures, OnLost: s.onLost,
		Retry: s.retry, Select: s.selects, Elsewhere: s.elsewhere,
	}
	if s.conn.simulated {
		c.Grace = rehearsalGrace
	}
	return c
}

// execute runs items under the batch's lock, shows how it goes, and leaves the reports.
func (s *session) execute(ctx context.Context, c pipeline.Config, items []*pipeline.Item) (err error) {
	var summary *pipeline.Summary
	defer func() { s.tell(summary, err) }()
	lock, err := s.book.Lock(ctx, ledger.ThisProcess(s.report.ID), ledger.LockOptions{Part: s.part})
	if err != nil {
		return err
	}
	defer lock.Release(context.WithoutCancel(ctx))
	if t := lock.Took; t != nil {
		s.note("the run before this one (%s, process %d on %s) ended without a word; what it left is picked up", t.RunID, t.PID, t.Host)
	}
	c.MayBuy = lock.Check
	if err := s.approve(ctx, c, items); err != nil {
		return err
	}

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
	watched := telemetry.Start(ctx, telemetry.Run{ID: s.report.ID, Batch: s.m.Batch, Version: s.report.Version, Simulated: s.conn.simulated}, s.watch.notice)
	s.watch.exchanges.Store(watched)
	c.Observe = watched.With(observe)
	if summary, err = pipeline.Run(s.working, ctx, c, items); summary != nil {
		exit = summary.ExitCode()
	}
	if asset, left, known := s.fetcher.Closest(); known && left < closeCall {
		s.watch.notice(fmt.Sprintf("the closest call: the link of %s had %s left when its download began", asset, left.Round(100*time.Millisecond)))
	}
	watched.End(ctx, summary, exit)
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

// approve asks the person at the terminal before anything is bought, with the price, when there is neither a budget nor
// --yes nor a plan. Where there is nobody to ask it refuses.
func (s *session) approve(ctx context.Context, c pipeline.Config, items []*pipeline.Item) error {
	if s.conn.simulated || s.f.yes || s.f.plan != "" || s.budget != pipeline.Unlimited {
		return nil
	}
	p, err := pipeline.MakePlan(ctx, c, items, false)
	if err != nil {
		return err
	}
	n := p.Purchases()
	if n == 0 {
		return nil
	}
	if !isTerminal(s.Stdin) || !isTerminal(s.Stderr) {
		return pipeline.Errorf(pipeline.CodeNotAllowed, "%s would be bought, and there is neither a budget nor --yes", pipeline.Count(n, "item"))
	}
	fmt.Fprintf(s.Stderr, "Asking for the price of %s…\n", pipeline.Count(n, "item"))
	if p, err = pipeline.MakePlan(ctx, c, items, true); err != nil {
		return err
	}
	more := ""
	if p.Unpriced > 0 {
		more = fmt.Sprintf(", and %s whose price is not known yet", pipeline.Count(p.Unpriced, "item"))
	}
	fmt.Fprintf(s.Stderr, "Buy %s for %v CU%s? [y/N] ", pipeline.Count(p.Purchases()-p.Unpriced, "item"), p.Total, more)
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(s.Stdin).ReadString('\n')
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
