// Package catalog knows what models accept: every documented model's contract, the names people type for them, and
// the rules between inputs that the contracts themselves do not tell.
//
// It promises to say, before anything is bought, all that the documentation lets one know to be wrong with a
// payload, and to make only changes that lose nothing (each with a note). It refuses to guess: a name it does not
// know is an error with near names, never a nearest match, and what no document tells is left to the API.
//
// The facts are data: data/models.jsonl (a dated snapshot, one model a line, in the form GET /models/{id} answers
// in), data/aliases.json and data/rules.json. Live records, see [Cache], win over the snapshot.
package catalog

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"dailies/pipeline"
)

//go:generate go run ./gen

var (
	//go:embed data/models.jsonl
	snapshot string
	//go:embed data/aliases.json
	aliasData []byte
	//go:embed data/rules.json
	ruleData []byte
)

// A Catalog is a set of contracts. It is safe for concurrent use.
type Catalog struct {
	header  header
	records map[string]string // id → record, as JSON
	names   func() *names     // made when first asked for, as most models are
	rules   func() map[string][]rule

	mu     sync.Mutex
	parsed map[string]*Model
}

// header is the snapshot's first line.
type header struct {
	Snapshot string `json:"snapshot"`
	Models   int    `json:"models"`
	Source   string `json:"source"`
}

var _ pipeline.Contracts = (*Catalog)(nil)

// Snapshot returns the contracts that come with the program. It reads no more than where each begins.
func Snapshot() *Catalog {
	first, rest, _ := strings.Cut(snapshot, "\n")
	var h header
	if err := json.Unmarshal([]byte(first), &h); err != nil {
		panic(fmt.Sprintf("catalog: the embedded snapshot's header: %v", err))
	}
	records := make(map[string]string, h.Models)
	for line := range strings.Lines(rest) {
		id, _, _ := strings.Cut(strings.TrimPrefix(line, `{"id":"`), `"`)
		records[id] = strings.TrimSuffix(line, "\n")
	}
	return newCatalog(h, records)
}

func newCatalog(h header, records map[string]string) *Catalog {
	c := &Catalog{header: h, records: records, parsed: make(map[string]*Model)}
	c.names = sync.OnceValue(func() *names { return newNames(aliasData, maps.Keys(records)) })
	c.rules = sync.OnceValue(func() map[string][]rule { return readRules(ruleData) })
	return c
}

// With returns a catalog in which these records win: id → what GET /models/{id} answered, with or without its
// "model" envelope. A record that cannot be read, or is of another model, is left out.
func (c *Catalog) With(live map[string]json.RawMessage) *Catalog {
	records, parsed := maps.Clone(c.records), make(map[string]*Model)
	for id, data := range live {
		m, err := parse(data)
		if err != nil || m.ID != id {
			continue
		}
		e, err := unwrap(data)
		if err != nil {
			continue
		}
		records[id], parsed[id] = string(e.Model), m
	}
	with := newCatalog(c.header, records)
	for id, m := range parsed {
		m.rules = with.rules()[id]
	}
	with.parsed = parsed
	return with
}

// Date is the day of the snapshot.
func (c *Catalog) Date() time.Time {
	day, err := time.Parse(time.DateOnly, c.header.Snapshot)
	if err != nil {
		panic(fmt.Sprintf("catalog: the embedded snapshot's date: %v", err))
	}
	return day
}

// Contract implements [pipeline.Contracts].
func (c *Catalog) Contract(name string) (pipeline.Contract, error) {
	m, err := c.Model(name)
	if err != nil {
		return nil, err
	}
	return m, nil
}

// Model finds a model by alias or id; an id may be written without its "model_", and with dots for dashes, where
// that leaves no doubt. The error is CodeModelUnknown, with near names as its hint.
func (c *Catalog) Model(name string) (*Model, error) {
	if _, ok := c.records[name]; ok {
		return c.model(name), nil
	}
	id, ok := c.names().find(name)
	if !ok {
		return nil, c.unknown(name)
	}
	m := c.model(id)
	if c.names().gone[bare(name)] == id {
		copied := *m
		copied.remark = &pipeline.Finding{Message: fmt.Sprintf("%s is not an id the API knows any more; %s is used", name, id),
			Hint: "write model: " + c.names().short(id)}
		return &copied, nil
	}
	return m, nil
}

func (c *Catalog) model(id string) *Model {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m, ok := c.parsed[id]; ok {
		return m
	}
	m, err := parse(json.RawMessage(c.records[id]))
	if err != nil {
		panic(fmt.Sprintf("catalog: the embedded record of %s: %v", id, err)) // a test parses them all
	}
	m.rules = c.rules()[id]
	c.parsed[id] = m
	return m
}

// Models yields every model, sorted by id.
func (c *Catalog) Models() iter.Seq[*Model] {
	return func(yield func(*Model) bool) {
		for id := range c.Records() {
			if !yield(c.model(id)) {
				return
			}
		}
	}
}

// Records yields every record in the form the API answers in (what stands under "model"), sorted by id.
func (c *Catalog) Records() iter.Seq2[string, json.RawMessage] {
	return func(yield func(string, json.RawMessage) bool) {
		for _, id := range sortedKeys(c.records) {
			if !yield(id, json.RawMessage(c.records[id])) {
				return
			}
		}
	}
}

// Record returns one of [Catalog.Records].
func (c *Catalog) Record(id string) (json.RawMessage, bool) {
	data, ok := c.records[id]
	return json.RawMessage(data), ok
}

// Aliases returns the short names of a model, the best one first.
func (c *Catalog) Aliases(id string) []string {
	return slices.Clone(c.names().aliases[id])
}

// Unknown is a contract for a model nothing is known of: every payload is let through, and no seed is taken.
func Unknown(id string) pipeline.Contract {
	return &Model{ID: id, Name: id, open: true}
}

func sortedKeys[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}
