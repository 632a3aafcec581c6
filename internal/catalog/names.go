package catalog

import (
	"cmp"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"dailies/pipeline"
)

// names turn what people type into ids.
type names struct {
	ids     map[string]string   // bare form → id; "" where two ids share it
	gone    map[string]string   // bare form of an id that answers 404 → the id that works
	aliases map[string][]string // id → its aliases, the best one first
	order   []string            // the ids that have aliases, those most used first
}

func newNames(data []byte, ids iter.Seq[string]) *names {
	var file struct {
		Aliases [][]string        `json:"aliases"` // each: id, alias, alias…
		Gone    map[string]string `json:"gone"`
	}
	if err := json.Unmarshal(data, &file); err != nil {
		panic(fmt.Sprintf("catalog: the embedded aliases: %v", err))
	}
	n := &names{ids: make(map[string]string), gone: make(map[string]string), aliases: make(map[string][]string)}
	for id := range ids {
		if other, ok := n.ids[bare(id)]; ok && other != id {
			n.ids[bare(id)] = ""
			continue
		}
		n.ids[bare(id)] = id
	}
	for _, row := range file.Aliases {
		id := row[0]
		n.aliases[id], n.order = row[1:], append(n.order, id)
		for _, alias := range row[1:] {
			n.ids[bare(alias)] = id
		}
	}
	for id, successor := range file.Gone {
		n.ids[bare(id)], n.gone[bare(id)] = successor, successor
	}
	return n
}

// bare is the form names are compared in: "model_veo3-1" and "Veo3.1" are both "veo3-1".
func bare(name string) string {
	name = strings.Map(func(r rune) rune {
		switch {
		case r == '.' || r == '_' || r == ' ':
			return '-'
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return r
	}, strings.TrimSpace(name))
	return strings.TrimPrefix(name, "model-")
}

func (n *names) find(name string) (id string, ok bool) {
	id = n.ids[bare(name)]
	return id, id != ""
}

// short is the name to show people: the best alias, else the id without its prefix.
func (n *names) short(id string) string {
	if aliases := n.aliases[id]; len(aliases) > 0 {
		return aliases[0]
	}
	return strings.TrimPrefix(id, "model_")
}

// near returns up to three names that may have been meant, each of another model.
func (n *names) near(name string) []string {
	typed := bare(name)
	if typed == "" {
		return nil
	}
	closest := make(map[string]int) // id → distance
	for form, id := range n.ids {
		if id == "" {
			continue
		}
		d, ok := within(min(max(1, len(typed)/3), 3), typed, form)
		if !ok {
			if !partOf(typed, form) {
				continue
			}
			d = 3
		}
		if best, ok := closest[id]; !ok || d < best {
			closest[id] = d
		}
	}
	ids := slices.SortedFunc(maps.Keys(closest), func(a, b string) int {
		return cmp.Or(closest[a]-closest[b], n.rank(a)-n.rank(b), strings.Compare(a, b))
	})
	var near []string
	for _, id := range ids[:min(3, len(ids))] {
		near = append(near, n.short(id))
	}
	return near
}

// rank puts the models that people use most first: those with an alias, in the order of the file.
func (n *names) rank(id string) int {
	if i := slices.Index(n.order, id); i >= 0 {
		return i
	}
	return len(n.order)
}

// partOf tells whether what was typed is a part of a name: "veo", "happyhorse", "gpt-image".
func partOf(typed, form string) bool {
	squeeze := func(s string) string { return strings.ReplaceAll(s, "-", "") }
	if len(typed) < 3 {
		return false
	}
	if strings.Contains(squeeze(form), squeeze(typed)) {
		return true
	}
	for word := range strings.SplitSeq(typed, "-") {
		if !strings.HasPrefix(form, word) && !strings.Contains(form, "-"+word) {
			return false
		}
	}
	return true
}

// unknown is the error for a name that is no model's.
func (c *Catalog) unknown(name string) error {
	e := &pipeline.Error{Code: pipeline.CodeModelUnknown, Message: fmt.Sprintf("model %s is not known", quote(name))}
	var ways []string
	if near := c.names().near(name); len(near) > 0 {
		ways = append(ways, "did you mean "+orList(near)+"?")
	}
	if strings.HasPrefix(name, "model_") {
		ways = append(ways, "dailies models "+name+" --refresh asks the API for its contract; --allow-unknown-models sends its payload unchecked")
	} else {
		ways = append(ways, "dailies models lists all")
	}
	e.Hint = strings.Join(ways, " ")
	return e
}
