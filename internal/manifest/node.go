package manifest

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// A node is a value of the manifest, aliases and merge keys already resolved, with the place it was written at.
type node struct {
	kind    kind
	plain   bool // a scalar without quotes
	at      pos
	raw     string           // a scalar as written (its content, for quoted text)
	list    []*node          // of a list
	entries []entry          // of a mapping, in the order written
	index   map[string]int32 // of a large mapping's entries

	textual bool      // whatever stands here is text, even when it looks like a number: prompt:
	pattern *template // text that has been parsed for ${…}
}

type entry struct {
	key   string
	at    pos // of the key
	value *node
}

type kind uint8

const (
	null kind = iota
	boolean
	number
	text
	list
	mapping
)

func (k kind) String() string {
	return [...]string{"nothing", "true or false", "a number", "text", "a list", "a mapping"}[k]
}

func (n *node) scalar() bool { return n.kind == boolean || n.kind == number || n.kind == text }

// get returns the entry of a mapping, nil when there is none.
func (n *node) get(key string) *entry {
	if n.index != nil {
		if i, ok := n.index[key]; ok {
			return &n.entries[i]
		}
		return nil
	}
	for i := range n.entries {
		if n.entries[i].key == key {
			return &n.entries[i]
		}
	}
	return nil
}

// add puts an entry at the end of a mapping. Large mappings get an index, so that nothing is quadratic in the file.
func (n *node) add(e entry) {
	const large = 16
	n.entries = append(n.entries, e)
	if n.index == nil && len(n.entries) == large {
		n.index = make(map[string]int32, 4*large)
		for i, e := range n.entries {
			n.index[e.key] = int32(i)
		}
	} else if n.index != nil {
		n.index[e.key] = int32(len(n.entries) - 1)
	}
}

// over is a mapping with the entries of n, and those of others that n does not have.
func (n *node) over(others []entry) *node {
	m := &node{kind: mapping, at: n.at, entries: make([]entry, 0, len(n.entries)+len(others))}
	for _, e := range n.entries {
		m.add(e)
	}
	for _, e := range others {
		if n.get(e.key) == nil {
			m.add(e)
		}
	}
	return m
}

// jsonNumber turns a YAML number into a JSON one. What JSON writes the same way is kept as written. The error says
// what is wrong with the number, and what to write.
func jsonNumber(raw string) (json.Number, error) {
	if json.Valid([]byte(raw)) {
		return exact(raw)
	}
	plain := strings.TrimPrefix(strings.ReplaceAll(raw, "_", ""), "+")
	digits := strings.TrimPrefix(plain, "-")
	if len(digits) > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9' {
		return "", fmt.Errorf("%s begins with a zero, which YAML readers take for octal; write %s, or %q for text", raw, strings.TrimLeft(digits, "0"), raw)
	}
	if i, err := strconv.ParseInt(plain, 0, 64); err == nil { // 0x1F, 0o17, 0b11, 1_000
		return exact(strconv.FormatInt(i, 10))
	}
	f, err := strconv.ParseFloat(plain, 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		return "", fmt.Errorf("%s is not a number a payload can hold; quote it if it is text", raw)
	}
	return json.Number(strconv.FormatFloat(f, 'f', -1, 64)), nil
}

// exact refuses numbers that the other end would read as others: JSON readers hold numbers in 64-bit floats.
func exact(s string) (json.Number, error) {
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		if i > 1<<53 || i < -1<<53 {
			return "", fmt.Errorf("%s is too large to arrive exactly (the limit is 9007199254740992); quote it if it is text", s)
		}
		return json.Number(s), nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || !strings.ContainsAny(s, ".eE") {
		return "", fmt.Errorf("%s is too large for a number; quote it if it is text", s)
	}
	if f == 0 && strings.ContainsAny(strings.SplitN(strings.ToLower(s), "e", 2)[0], "123456789") {
		return "", fmt.Errorf("%s is too small for a number", s)
	}
	return json.Number(s), nil
}
