package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"dailies/internal/report"
	"dailies/internal/store"
	"dailies/pipeline"
)

type promoteFlags struct {
	reading
	placeFlags
	picks, to string
	asJSON    bool
}

func (a *app) promoteCommand() *cobra.Command {
	var f promoteFlags
	cmd := &cobra.Command{
		Use: "promote MANIFEST|results.json --picks picks.yaml --to DESTINATION", Short: "Copy what was kept in the gallery to a release folder or prefix", Args: cobra.ExactArgs(1),
		Long: `Copies the files of the items that picks.yaml keeps, under the same keys, to another folder or S3 prefix, and proves
that what is there then is what was delivered. Between buckets S3 copies by itself, and nothing flows through here.

It is idempotent: what is there already stays, a newer take that was kept replaces the one promoted before, and a file
that somebody else put there is left alone and reported. Nothing is ever deleted, neither here nor there. What was
promoted is remembered in .dailies/promoted/BATCH.json beside it.

Exit codes: 0 all that was kept is there; 3 some of it is not; 5 a destination refused.`,
		Example: `  dailies promote night.yaml --picks picks.yaml --to s3://game-assets/release`,
		RunE:    func(cmd *cobra.Command, args []string) error { return a.promote(cmd.Context(), args[0], f) },
	}
	cmd.Flags().StringVar(&f.picks, "picks", "", "file of picks, saved in the gallery (required)")
	cmd.Flags().StringVar(&f.to, "to", "", "folder or s3://bucket/prefix to copy to (required)")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print what was done as JSON")
	f.reading.flags(cmd)
	cmd.Flags().StringVar(&f.output, "output", "", "folder or s3://bucket/prefix of the assets (default out/BATCH)")
	return cmd
}

// promoted is one line of what was done.
type promoted struct {
	Item   string `json:"item"`
	Key    string `json:"key,omitempty"`
	URI    string `json:"uri,omitempty"`
	Did    string `json:"did"` // copied, replaced, there, or left
	Why    string `json:"why,omitempty"`
	Bytes  int64  `json:"bytes,omitempty"`
	SHA256 string `json:"sha256,omitempty"`
}

const (
	didCopy    = "copied"
	didReplace = "replaced"
	didNothing = "there" // already
	didLeave   = "left"  // not promoted

	promoters = 8 // files copied at once
)

func (a *app) promote(ctx context.Context, source string, f promoteFlags) error {
	picks, err := readPicks(f.picks)
	if err != nil {
		return err
	}
	if f.to == "" {
		return &pipeline.Error{Code: pipeline.CodeUsage, Message: "--to is missing", Hint: "name the folder or the s3://bucket/prefix to copy to"}
	}
	from, run, summary, err := a.delivered(ctx, source, f)
	if err != nil {
		return err
	}
	defer from.Close()
	if err := sameBatch(picks, run.Batch, f.picks); err != nil {
		return err
	}
	if run.Simulated {
		fmt.Fprintln(a.Stderr, "SANDBOX: what is promoted was simulated: these files are stand-ins.")
	}
	to, err := store.Open(ctx, f.to, store.Options{})
	if err != nil {
		return err
	}
	defer to.Close()
	if to.URI("x") == from.URI("x") {
		return &pipeline.Error{Code: pipeline.CodeUsage, Message: "--to is where the files are already", Hint: "name another folder or prefix"}
	}
	if err := to.Probe(ctx); err != nil {
		return err
	}
	p := &promotion{from: from, to: to, book: promotedKey(run.Batch), now: time.Now().UTC()}
	done, err := p.run(ctx, picks, summary)
	if err != nil {
		return err
	}
	if f.asJSON {
		err = a.printJSON(done)
	} else {
		err = a.showPromoted(done, to)
	}
	for _, d := range done {
		if err == nil && d.Did == didLeave {
			err = exited(pipeline.ExitFailed)
		}
	}
	return err
}

// delivered opens the place of the assets and what the last run said of them. No account is needed for that.
func (a *app) delivered(ctx context.Context, source string, f promoteFlags) (from store.Store, run report.Run, s *pipeline.Summary, err error) {
	output := f.output
	if strings.EqualFold(filepath.Ext(source), ".json") {
		output = cmp.Or(output, filepath.Dir(source))
	} else {
		m, err := f.load(source, a.loadContracts(ctx, accountFromEnvironment(), nil))
		if err != nil {
			return nil, run, nil, err
		}
		output, _ = f.places(m)
		source = ""
	}
	if from, err = store.Open(ctx, output, store.Options{}); err != nil {
		return nil, run, nil, err
	}
	if source == "" {
		source = from.URI(resultsFile)
		run, s, err = readResults(ctx, from)
	} else {
		var file *os.File
		if file, err = os.Open(source); err == nil {
			run, s, err = report.ReadJSON(file)
			file.Close()
		}
	}
	if err != nil {
		from.Close()
		if errors.Is(err, fs.ErrNotExist) {
			err = &pipeline.Error{Code: pipeline.CodeUsage, Message: source + " is not there", Hint: "a run writes it: dailies run MANIFEST"}
		}
		return nil, run, nil, err
	}
	return from, run, s, nil
}

// A promotion copies what was kept from one place to another.
type promotion struct {
	from, to store.Store
	book     string
	now      time.Time

	mu    sync.Mutex
	known map[string]promotedObject // by key
}

const promotedSchema = "dailies.promoted/v1"

// promotedBook is what promotions remember at their destination.
type promotedBook struct {
	Schema  string                    `json:"schema"`
	Objects map[string]promotedObject `json:"objects"`
}

// promotedObject is one file as it was promoted.
type promotedObject struct {
	Item    string    `json:"item"`
	JobID   string    `json:"job_id"`
	SHA256  string    `json:"sha256"`
	Bytes   int64     `json:"bytes"`
	Version string    `json:"version"` // the destination's word for these bytes
	At      time.Time `json:"at"`
}

func promotedKey(batch string) string { return ".dailies/promoted/" + batch + ".json" }

func (p *promotion) run(ctx context.Context, picks *report.Picks, s *pipeline.Summary) ([]promoted, error) {
	if err := p.read(ctx); err != nil {
		return nil, err
	}
	byID := outcomesByID(s)
	var kept []report.Pick
	wanted := map[string]bool{}
	for _, pick := range picks.Items {
		if pick.Verdict != report.Keep {
			continue
		}
		kept = append(kept, pick)
		for _, o := range byID[pick.Item].Outputs {
			wanted[o.Key] = true
		}
	}
	there := map[string]pipeline.Object{} // of what is wanted
	for o, err := range p.to.List(ctx, "") {
		if err != nil {
			return nil, err
		}
		if wanted[o.Key] {
			there[o.Key] = o
		}
	}

	lines := make([][]promoted, len(kept))
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(promoters)
	for i, pick := range kept {
		o, ok := byID[pick.Item]
		if why := unfit(pick, o, ok); why != "" {
			lines[i] = []promoted{{Item: pick.Item, Did: didLeave, Why: why}}
			continue
		}
		lines[i] = make([]promoted, len(o.Outputs))
		for j, out := range o.Outputs {
			group.Go(func() error {
				line, err := p.one(gctx, o, out, there)
				lines[i][j] = line
				return err
			})
		}
	}
	err := group.Wait()
	if saveErr := p.save(context.WithoutCancel(ctx)); err == nil {
		err = saveErr
	}
	var done []promoted
	for _, of := range lines {
		done = append(done, of...)
	}
	return done, err
}

// unfit is why there is nothing to promote of a pick.
func unfit(pick report.Pick, o pipeline.Outcome, known bool) string {
	switch {
	case !known:
		return "there is no such item in the results"
	case pick.Job != "" && pick.Job != o.JobID:
		return "it has been made anew since it was picked: look at it again"
	case len(o.Outputs) == 0:
		return "it is " + string(o.Status) + " and has no files"
	}
	return ""
}

// one brings one file to where it is to be. The error is for what stops all.
func (p *promotion) one(ctx context.Context, o pipeline.Outcome, out pipeline.Output, there map[string]pipeline.Object) (promoted, error) {
	line := promoted{Item: o.Item.ID, Key: out.Key, URI: p.to.URI(out.Key), Bytes: out.Bytes, SHA256: out.SHA256, Did: didCopy}
	left := func(err error) (promoted, error) {
		e := pipeline.AsError(err)
		line.Did, line.Why = didLeave, e.Message
		if ctx.Err() != nil || e.Code.Traits().StopsRun {
			return line, err
		}
		return line, nil
	}
	want := store.Known{Bytes: out.Bytes, SHA256: out.SHA256, Version: out.Version}
	if now, ok := there[out.Key]; ok {
		was, ours := p.remembered(out.Key)
		ours = ours && was.Version == now.Version
		if ours && was.SHA256 == out.SHA256 {
			line.Did = didNothing
			return line, nil
		}
		same, now, err := store.Holds(ctx, p.to, out.Key, want)
		switch {
		case err != nil:
			return left(err)
		case same:
			p.remember(o, out, now)
			line.Did = didNothing
			return line, nil
		case !ours:
			return left(pipeline.Errorf(pipeline.CodeDestination, "something else is there, which dailies did not put there: move it away"))
		}
		line.Did = didReplace
	}
	object, err := store.Copy(ctx, p.from, p.to, out.Key, want, pipeline.ObjectMeta{ContentType: out.MIME, Values: map[string]string{
		"item": o.Item.ID, "model": o.Item.Model, "job": o.JobID, "asset": out.AssetID, "fingerprint": o.Item.Fingerprint,
	}})
	if err != nil {
		return left(err)
	}
	p.remember(o, out, object)
	return line, nil
}

func (p *promotion) remembered(key string) (promotedObject, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	o, ok := p.known[key]
	return o, ok
}

func (p *promotion) remember(o pipeline.Outcome, out pipeline.Output, there pipeline.Object) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.known[out.Key] = promotedObject{Item: o.Item.ID, JobID: o.JobID, SHA256: out.SHA256, Bytes: out.Bytes, Version: there.Version, At: p.now}
}

// read recalls what earlier promotions did. Without it nothing is lost: files are compared byte by byte then.
func (p *promotion) read(ctx context.Context) error {
	p.known = map[string]promotedObject{}
	body, _, err := p.to.Open(ctx, p.book)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer body.Close()
	var book promotedBook
	if err := json.NewDecoder(body).Decode(&book); err == nil && book.Schema == promotedSchema && book.Objects != nil {
		p.known = book.Objects
	}
	return nil
}

func (p *promotion) save(ctx context.Context) error {
	if len(p.known) == 0 {
		return nil
	}
	return put(ctx, p.to, p.book, "application/json", func(w io.Writer) error {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(promotedBook{Schema: promotedSchema, Objects: p.known})
	})
}

func (a *app) showPromoted(done []promoted, to store.Store) error {
	counts := map[string]int{}
	var bytes int64
	w := tabwriter.NewWriter(a.Stdout, 0, 0, 2, ' ', 0)
	for _, d := range done {
		counts[d.Did]++
		if d.Did == didCopy || d.Did == didReplace {
			bytes += d.Bytes
		}
		if d.Did != didNothing {
			fmt.Fprintf(w, "%s\t%s\t%s\n", d.Did, pipeline.Plain(cmp.Or(d.Key, d.Item)), pipeline.Plain(d.Why))
		}
	}
	var said []string
	for _, did := range []struct{ what, words string }{{didCopy, "copied"}, {didReplace, "replaced"}, {didNothing, "there already"}, {didLeave, "not promoted"}} {
		if n := counts[did.what]; n > 0 {
			said = append(said, fmt.Sprintf("%d %s", n, did.words))
		}
	}
	if len(said) == 0 {
		said = []string{"nothing is kept in these picks"}
	}
	line := strings.Join(said, ", ")
	if bytes > 0 {
		line += ", " + pipeline.Size(bytes)
	}
	fmt.Fprintf(w, "%s: %s\n", strings.TrimRight(to.URI(""), "/"), line)
	return w.Flush()
}
