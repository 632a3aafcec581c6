package report

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"gopkg.in/yaml.v3"

	"dailies/pipeline"
)

// PicksVersion is the version of picks.yaml. Within it fields may be added, none is changed or removed.
const PicksVersion = 1

const mostPicks = 32 << 20 // bytes of a file of picks: a hundred thousand items are half of it

// A Verdict is what a person says of an item.
type Verdict string

const (
	Keep   Verdict = "keep"
	Reject Verdict = "reject" // not good
	Reroll Verdict = "reroll" // to be made anew
)

// Picks is picks.yaml: what a person said of the items of one batch.
type Picks struct {
	Batch string
	Items []Pick // in the file's order
}

// A Pick is what a person said of one item, or rather of what one job made of it.
type Pick struct {
	Item    string
	Verdict Verdict
	Job     string // the job whose result was looked at; "" says whatever there is, and only of what is kept
	At      pipeline.Position
}

// ReadPicks reads a picks.yaml, as the gallery saves it or as people write it:
//
//	version: 1
//	batch: dragon-realm
//	picks:
//	  dragon-flyover: keep
//	  hero-walk: {pick: reroll, job: job_ABC}
//
// A result that is not wanted is named by its job: otherwise the same file, used twice, would reject what came of using
// it once. Errors are CodeUsage, with their place in the file; name is how they call it.
func ReadPicks(r io.Reader, name string) (*Picks, error) {
	limited := &io.LimitedReader{R: r, N: mostPicks + 1}
	dec := yaml.NewDecoder(limited)
	var root yaml.Node
	err := dec.Decode(&root)
	switch {
	case limited.N == 0:
		return nil, pipeline.Errorf(pipeline.CodeUsage, "%s is larger than %d MiB: not a file of picks", name, mostPicks>>20)
	case errors.Is(err, io.EOF):
		return nil, &pipeline.Error{Code: pipeline.CodeUsage, Message: name + " is empty", Hint: picksHint}
	case err != nil:
		return nil, &pipeline.Error{Code: pipeline.CodeUsage, Message: fmt.Sprintf("%s: %s", name, strings.TrimPrefix(err.Error(), "yaml: ")), Hint: picksHint, Err: err}
	}
	p := picksReader{name: name}
	return p.file(root.Content[0])
}

const picksHint = "the gallery (index.html) saves one: open it, pick, and press Save picks.yaml"

type picksReader struct{ name string }

func (p picksReader) wrong(n *yaml.Node, format string, args ...any) *pipeline.Error {
	e := pipeline.Errorf(pipeline.CodeUsage, format, args...)
	e.At = pipeline.Position{File: p.name, Line: n.Line, Col: n.Column}
	e.Hint = picksHint
	return e
}

// fields walks over a mapping whose keys are texts, each there once. Aliases are nothing picks need.
func (p picksReader) fields(n *yaml.Node, what string, field func(key, value *yaml.Node) error) error {
	if n.Kind != yaml.MappingNode {
		return p.wrong(n, "%s must be a mapping", what)
	}
	seen := make(map[string]bool, len(n.Content)/2)
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode || value.Kind == yaml.AliasNode {
			return p.wrong(key, "%s takes plain keys and values only", what)
		}
		if seen[key.Value] {
			return p.wrong(key, "%q is there twice", key.Value)
		}
		seen[key.Value] = true
		if err := field(key, value); err != nil {
			return err
		}
	}
	return nil
}

func (p picksReader) text(n *yaml.Node, what string) (string, error) {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		return "", p.wrong(n, "%s must be a text", what)
	}
	return n.Value, nil
}

func (p picksReader) file(root *yaml.Node) (*Picks, error) {
	picks := &Picks{}
	version := ""
	err := p.fields(root, "a file of picks", func(key, value *yaml.Node) (err error) {
		switch key.Value {
		case "version":
			version, err = p.text(value, "version")
			if err == nil && version != fmt.Sprint(PicksVersion) {
				err = p.wrong(value, "version %q is not one this program knows: it knows %d", version, PicksVersion)
			}
		case "batch":
			picks.Batch, err = p.text(value, "batch")
		case "picks":
			if value.Tag == "!!null" {
				return nil // none
			}
			err = p.fields(value, "picks", func(id, value *yaml.Node) error {
				pick, err := p.pick(id, value)
				picks.Items = append(picks.Items, pick)
				return err
			})
		default:
			err = p.wrong(key, "unknown key %q; a file of picks has version, batch and picks", key.Value)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, must := range []struct{ name, value string }{{"version", version}, {"batch", picks.Batch}} {
		if must.value == "" {
			return nil, p.wrong(root, "%s: is missing", must.name)
		}
	}
	return picks, nil
}

func (p picksReader) pick(id, value *yaml.Node) (Pick, error) {
	pick := Pick{Item: id.Value, At: pipeline.Position{File: p.name, Line: id.Line, Col: id.Column}}
	said := value
	if value.Kind == yaml.MappingNode {
		err := p.fields(value, "a pick", func(key, value *yaml.Node) (err error) {
			switch key.Value {
			case "pick":
				said = value
			case "job":
				pick.Job, err = p.text(value, "job")
			default:
				err = p.wrong(key, "unknown key %q; a pick has pick and job", key.Value)
			}
			return err
		})
		if err != nil {
			return pick, err
		}
		if said == value {
			return pick, p.wrong(value, "pick: is missing")
		}
	}
	word, err := p.text(said, "a pick")
	if err != nil {
		return pick, err
	}
	pick.Verdict = Verdict(word)
	switch pick.Verdict {
	case Keep:
	case Reject, Reroll:
		if pick.Job == "" {
			e := p.wrong(said, "which take of %q is not wanted? name its job: {pick: %s, job: job_…}", id.Value, word)
			e.Hint = "results.json has the job of every item; or open this file in the gallery and save it again, which adds them"
			return pick, e
		}
	default:
		return pick, p.wrong(said, "%q is neither keep nor reject nor reroll", word)
	}
	return pick, nil
}
