package cli

import (
	"cmp"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"dailies/internal/ledger"
	"dailies/internal/manifest"
	"dailies/internal/progress"
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
