package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"dailies/pipeline"
)

// Faults are what goes wrong, in the order in which they are tried.
type Faults struct {
	Rules []Rule
}

// A Rule is one thing that goes wrong with some requests. Those it can meet are counted in the order they arrive;
// After, Every, Times and Probability choose among them, so one script does the same thing every time.
type Rule struct {
	Fault string `yaml:"fault"` // a name of [FaultKinds]
	On    string `yaml:"on"`    // a route of the kind's; empty means the first of them, "any" all of them

	After       int     `yaml:"after"`       // let so many pass first
	Every       int     `yaml:"every"`       // then strike every so manieth; 0 means each
	Times       int     `yaml:"times"`       // and no more than so often; 0 means no end
	Probability float64 `yaml:"probability"` // and only with this chance; 0 means always
	Seed        uint64  `yaml:"seed"`        // of that chance

	Model  string `yaml:"model"`  // only requests about this model; * and ? as in file names
	Prompt string `yaml:"prompt"` // only requests about a prompt that holds this text

	For        time.Duration `yaml:"for"`         // hang, stall: how long; listing-lag, asset-pending: until this old
	RetryAfter time.Duration `yaml:"retry_after"` // 429-retry-after
	Processed  bool          `yaml:"processed"`   // hang, 429, 5xx: the request is carried out all the same
	At         float64       `yaml:"at"`          // truncate, stall, reset-after, wrong-length: after this part of the body
	Bytes      int64         `yaml:"bytes"`       // truncate, stall, reset-after: after so many bytes, instead
	MIME       string        `yaml:"mime"`        // wrong-mime: what is said
	Status     string        `yaml:"status"`      // unknown-status: the word
	Factor     float64       `yaml:"factor"`      // slow: times longer
	Count      int           `yaml:"count"`       // listing-strangers: how many
	Before     time.Duration `yaml:"before"`      // listing-strangers: made so long ago
	Alike      bool          `yaml:"alike"`       // listing-strangers: with model and inputs of the newest job of ours
}

// A FaultKind is one thing that can go wrong.
type FaultKind struct {
	Name   string
	On     []string // the routes it can strike
	Params []string // what it can be told, beyond when to strike
	Does   string

	stage stage
}

// stage is where in the life of a request a fault strikes. Of those about the exchange itself one request suffers one.
type stage int

const (
	during stage = iota // it changes what is done or said
	before              // instead of an answer, nothing done
	after               // instead of the answer to what was done
)

var (
	apiRoutes = []string{"submit", "quote", "job", "jobs", "cancel", "assets", "bulk", "upload", "models"}
	allRoutes = append(slices.Clone(apiRoutes), "cdn", "part")
	onSubmit  = []string{"submit"}
	onAssets  = []string{"assets", "bulk"}
	onCDN     = []string{"cdn"}
)

var faultKinds = []FaultKind{
	{"reset-before", allRoutes, nil, "the connection is reset; nothing was done", before},
	{"reset-after", allRoutes, []string{"at", "bytes"}, "it is done, and the connection reset before the answer (of the CDN: in its midst)", after},
	{"hang", allRoutes, []string{"for", "processed"}, "no answer comes, for 10 minutes or so long", before},
	{"429", allRoutes, []string{"processed"}, "too many requests, with no word of when", before},
	{"429-retry-after", allRoutes, []string{"retry_after", "processed"}, "too many requests, with a Retry-After of 2 s or so long", before},
	{"500", allRoutes, []string{"processed"}, "internal server error, in JSON", before},
	{"503", allRoutes, []string{"processed"}, "service unavailable, in JSON", before},
	{"html-502", allRoutes, []string{"processed"}, "a gateway's page instead of JSON", before},
	{"malformed-json", apiRoutes, nil, "it is done, and the answer is no JSON", after},
	{"truncate", allRoutes, []string{"at", "bytes"}, "the answer ends early, short of its Content-Length", after},
	{"stall", allRoutes, []string{"at", "bytes", "for"}, "the answer stops coming in its midst, for 10 minutes or so long", after},

	{"corrupt", onCDN, nil, "one byte is wrong; the length is right", during},
	{"wrong-length", onCDN, []string{"at"}, "a whole answer of a file that is shorter than its asset says", during},
	{"expired-url", []string{"cdn", "assets", "bulk"}, nil, "the CDN says 403; of assets and bulk: links have expired when they are handed out", during},
	{"wrong-mime", []string{"assets", "bulk", "cdn"}, []string{"mime"}, "another type is said than the bytes are", during},
	{"range-ignored", onCDN, nil, "a Range is answered with 200 and the whole file", during},
	{"redirect", onCDN, nil, "302, to the same link with one more parameter", during},
	{"etag-changed", onCDN, nil, "the ETag is another every time", during},

	{"listing-lag", []string{"jobs"}, []string{"for"}, "jobs younger than 5 s, or so long, are not listed", during},
	{"listing-strangers", []string{"jobs"}, []string{"count", "before", "alike"}, "200 or so many jobs of other people come into the listing", during},
	{"asset-pending", onAssets, []string{"for"}, "assets are pending, with no link; or as long as they are younger than that", during},

	{"slow", onSubmit, []string{"factor"}, "the job takes 10 or so many times longer", during},
	{"fail", onSubmit, nil, "the job fails, and its price is given back", during},
	{"fail-no-refund", onSubmit, nil, "the job fails, and its price is kept", during},
	{"moderated", onSubmit, nil, "the provider refuses the prompt; the price is given back", during},
	{"canceled", onSubmit, nil, "somebody cancels the job", during},
	{"no-assets", onSubmit, nil, "the job succeeds and lists no assets", during},
	{"drop-inputs", onSubmit, nil, "the last asset of every list of them is thrown away, and charged for all the same", during},
	{"duplicate-assets", onSubmit, nil, "the job lists every asset twice", during},
	{"thumbnail-first", onSubmit, nil, "the job lists a thumbnail before its result", during},
	{"stuck-progress", onSubmit, nil, "progress stays 0, then is 1.02", during},
	{"unknown-status", onSubmit, []string{"status"}, "the job runs under a status nobody has heard of", during},
	{"prompt-as-asset", onSubmit, nil, "the job's metadata shows the prompt as an asset id", during},
	{"plan-gate", []string{"submit", "quote"}, nil, "403: the model is above the plan", during},
	{"credits-out", onSubmit, nil, "402: no creative units are left", during},
	{"quote-buys", []string{"quote"}, nil, "the dry run starts a paid job", during},
	{"unknown-field-400", []string{"submit", "quote"}, nil, "a field the model does not have is refused, not ignored", during},
}

// FaultKinds lists what can go wrong.
func FaultKinds() []FaultKind { return slices.Clone(faultKinds) }

func kindOf(name string) *FaultKind {
	i := slices.IndexFunc(faultKinds, func(k FaultKind) bool { return k.Name == name })
	if i < 0 {
		return nil
	}
	return &faultKinds[i]
}

var ruleKeys = []string{"fault", "on", "after", "every", "times", "probability", "seed", "model", "prompt"}

// ParseFaults reads a script of faults: a YAML list of rules. What it does not know it refuses, with the line and
// the nearest name it does. Errors are *pipeline.Error with CodeUsage.
func ParseFaults(script []byte) (*Faults, error) {
	d := yaml.NewDecoder(bytes.NewReader(script))
	var doc yaml.Node
	switch err := d.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return &Faults{}, nil
	case err != nil:
		return nil, pipeline.Errorf(pipeline.CodeUsage, "faults: %w", err)
	}
	list := doc.Content[0]
	if list.Kind != yaml.SequenceNode {
		return nil, wrong(list, "a script of faults is a list of rules", `begin each rule with "- fault: NAME"`)
	}
	f := &Faults{}
	for _, n := range list.Content {
		r, err := parseRule(n)
		if err != nil {
			return nil, err
		}
		f.Rules = append(f.Rules, r)
	}
	if err := d.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return nil, pipeline.Errorf(pipeline.CodeUsage, "faults: a script is one YAML document")
	}
	return f, nil
}

func parseRule(n *yaml.Node) (Rule, error) {
	var r Rule
	if n.Kind != yaml.MappingNode {
		return r, wrong(n, "a rule is a mapping", `begin it with "- fault: NAME"`)
	}
	keys := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if keys[key.Value] != nil {
			return r, wrong(key, fmt.Sprintf("%s is given twice", key.Value), "")
		}
		keys[key.Value] = value
	}
	name := keys["fault"]
	if name == nil {
		return r, wrong(n, "the rule names no fault", "add fault: NAME")
	}
	kind := kindOf(name.Value)
	if kind == nil {
		return r, wrong(name, fmt.Sprintf("fault %q is unknown", name.Value), didYouMean(name.Value, kindNames()))
	}
	known := append(slices.Clone(ruleKeys), kind.Params...)
	for i := 0; i < len(n.Content); i += 2 {
		if key := n.Content[i]; !slices.Contains(known, key.Value) {
			return r, wrong(key, fmt.Sprintf("%s has no %q", kind.Name, key.Value), didYouMean(key.Value, known))
		}
	}
	if on := keys["on"]; on != nil && on.Value != "any" && !slices.Contains(kind.On, on.Value) {
		return r, wrong(on, fmt.Sprintf("%s cannot strike %q", kind.Name, on.Value), didYouMean(on.Value, append(slices.Clone(kind.On), "any")))
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		one := yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{key, value}}
		if one.Decode(&r) != nil {
			return r, wrong(value, fmt.Sprintf("%s cannot be %q", key.Value, value.Value), "durations are written 90s or 5m, counts 3, chances 0.25")
		}
	}
	if problem := r.problem(); problem != "" {
		return r, wrong(n, problem, "")
	}
	return r, nil
}

func wrong(n *yaml.Node, message, hint string) error {
	e := pipeline.Errorf(pipeline.CodeUsage, "faults: line %d: %s", n.Line, message)
	e.Hint = hint
	if hint == "" {
		e.Hint = "a rule takes " + strings.Join(ruleKeys, ", ") + ", and what its fault can be told"
	}
	return e
}

// problem says what is wrong with a rule's values.
func (r *Rule) problem() string {
	switch kind := kindOf(r.Fault); {
	case kind == nil:
		return fmt.Sprintf("fault %q is unknown", r.Fault)
	case r.On != "" && r.On != "any" && !slices.Contains(kind.On, r.On):
		return fmt.Sprintf("%s cannot strike %q", r.Fault, r.On)
	case r.After < 0 || r.Every < 0 || r.Times < 0 || r.Count < 0 || r.Bytes < 0:
		return "after, every, times, count and bytes cannot be negative"
	case r.For < 0 || r.RetryAfter < 0 || r.Before < 0:
		return "for, retry_after and before cannot be negative"
	case r.Probability < 0 || r.Probability > 1:
		return "probability is between 0 and 1"
	case r.At < 0 || r.At > 1:
		return "at is between 0 and 1"
	case r.Factor < 0:
		return "factor cannot be negative"
	}
	if _, err := path.Match(r.Model, ""); err != nil {
		return fmt.Sprintf("model %q is no pattern", r.Model)
	}
	return ""
}

func (f *Faults) check() error {
	if f == nil {
		return nil
	}
	for i := range f.Rules {
		if problem := f.Rules[i].problem(); problem != "" {
			return pipeline.Errorf(pipeline.CodeUsage, "faults: rule %d: %s", i+1, problem)
		}
	}
	return nil
}

func kindNames() []string {
	names := make([]string, len(faultKinds))
	for i, k := range faultKinds {
		names[i] = k.Name
	}
	return names
}

// didYouMean names what was probably meant, or all there is.
func didYouMean(word string, known []string) string {
	best, least := "", len(word)/2+1
	for _, k := range known {
		if d := distance(word, k); d <= least && (best == "" || d < least) {
			best, least = k, d
		}
	}
	if best == "" {
		return "it can be " + strings.Join(known, ", ")
	}
	return fmt.Sprintf("did you mean %s?", best)
}

// distance is the number of single-character edits between two words.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := corner
			if a[i] != b[j] {
				cost++
			}
			corner = row[j+1]
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}

// A script is Faults at work: the rules with their defaults filled in, and how often each was met.
type script []*cue

type cue struct {
	Rule
	kind   *FaultKind
	stage  stage
	met    int
	struck int
}

func (f *Faults) script() script {
	if f == nil {
		return nil
	}
	s := make(script, len(f.Rules))
	for i, r := range f.Rules {
		c := &cue{Rule: r, kind: kindOf(r.Fault)}
		c.stage = c.kind.stage
		if c.Processed {
			c.stage = after
		}
		if c.On == "" {
			c.On = c.kind.On[0]
		}
		orElse(&c.At, 0.5)
		orElse(&c.MIME, "application/octet-stream")
		orElse(&c.Status, "reviewing")
		orElse(&c.Factor, 10)
		orElse(&c.Count, 200)
		orElse(&c.RetryAfter, 2*time.Second)
		switch c.Fault {
		case "hang", "stall":
			orElse(&c.For, 10*time.Minute)
		case "listing-lag":
			orElse(&c.For, 5*time.Second)
		}
		s[i] = c
	}
	return s
}

func orElse[T comparable](p *T, value T) {
	var zero T
	if *p == zero {
		*p = value
	}
}

// A subject is what a request is about, as far as that can be told.
type subject struct {
	models  []string
	prompts []string
}

// A verdict is what goes wrong with one request.
type verdict []*cue

func (v verdict) has(fault string) *cue {
	for _, c := range v {
		if c.Fault == fault {
			return c
		}
	}
	return nil
}

// exchange is the fault of the exchange itself at a stage, if any.
func (v verdict) exchange(at stage) *cue {
	for _, c := range v {
		if c.stage == at {
			return c
		}
	}
	return nil
}

// draw decides what goes wrong with a request. The caller holds the server's mu: the order of calls is the order in
// which requests are counted.
func (s script) draw(route string, about subject) verdict {
	var v verdict
	exchange := false
	for i, c := range s {
		if c.stage != during && exchange || !c.meets(route, about) {
			continue
		}
		if !c.strikes(i) {
			continue
		}
		v = append(v, c)
		exchange = exchange || c.stage != during
	}
	return v
}

func (c *cue) meets(route string, about subject) bool {
	if c.On != route && (c.On != "any" || !slices.Contains(c.kind.On, route)) {
		return false
	}
	if c.Model != "" && !slices.ContainsFunc(about.models, func(m string) bool {
		ok, _ := path.Match(c.Model, m)
		return ok
	}) {
		return false
	}
	return c.Prompt == "" || slices.ContainsFunc(about.prompts, func(p string) bool { return strings.Contains(p, c.Prompt) })
}

func (c *cue) strikes(rule int) bool {
	if c.Times > 0 && c.struck >= c.Times {
		return false
	}
	c.met++
	n := c.met - c.After
	if n <= 0 || c.Every > 1 && n%c.Every != 0 {
		return false
	}
	if c.Probability > 0 {
		chance := hash64("chance", fmt.Sprint(c.Seed, rule, c.met))
		if float64(chance>>11)/(1<<53) >= c.Probability {
			return false
		}
	}
	c.struck++
	return true
}
