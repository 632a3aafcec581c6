package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"unicode/utf8"
)

// jsonRows yields the rows of JSON Lines: an object a line. The columns are those of all rows, in the order in which
// they come.
func (r *reader) jsonRows(t *table, sc *scope) iter.Seq2[map[string]*value, pos] {
	return func(yield func(map[string]*value, pos) bool) {
		s := t.src
		known := map[string]bool{}
		for line := int32(1); int(line) <= len(s.lines); line++ {
			begin, end := int(s.lines[line-1]), s.end(line)
			if len(bytes.TrimSpace(s.text[begin:end])) == 0 {
				continue
			}
			j := &jsonLine{src: s, line: line, begin: begin, dec: json.NewDecoder(bytes.NewReader(s.text[begin:end]))}
			j.dec.UseNumber()
			n, err := j.row()
			if err != nil {
				r.itemProblem(sc, err.at, err.message, err.hint)
				s.broken, r.missing = true, true
				if r.problems.full() {
					return
				}
				continue
			}
			row := make(map[string]*value, len(n.entries))
			cells := &scope{vars: sc.vars, from: n.at, entry: sc.entry}
			sound := true
			for _, e := range n.entries {
				if !known[e.key] {
					if sound = r.checkColumn(sc, e.at, e.key, t.names); !sound {
						break
					}
					known[e.key] = true
					t.names = append(t.names, e.key)
				}
				v := r.newValue(e.value, cells)
				v.blank, v.cell = e.value.kind == null, e.value.raw
				row[e.key] = v
			}
			if !sound {
				s.broken, r.missing = true, true
				return
			}
			if !yield(row, n.at) {
				return
			}
		}
	}
}

// A jsonLine reads one line into nodes, so that what is wrong with a value later can be pointed at.
type jsonLine struct {
	src   *source
	line  int32
	begin int // of the line in the text
	dec   *json.Decoder
}

// A flaw is what is wrong with a line.
type flaw struct {
	at            pos
	message, hint string
}

// next is the next token, and where it begins.
func (j *jsonLine) next() (json.Token, pos, *flaw) {
	at := j.at(int(j.dec.InputOffset()))
	token, err := j.dec.Token()
	if err == nil {
		return token, at, nil
	}
	const hint = `write one object a line, such as {"name": "dawn", "line": "The sun rises"}`
	if wrong, ok := errors.AsType[*json.SyntaxError](err); ok {
		return nil, at, &flaw{at, "not JSON: " + wrong.Error(), hint}
	}
	return nil, at, &flaw{at, "the line ends before its object does", hint}
}

// at is the place of the first character at or after an offset that is no space, comma or colon.
func (j *jsonLine) at(offset int) pos {
	text := bytes.TrimRight(j.src.text[j.begin:j.src.end(j.line)], "\r\n")
	for offset < len(text) && bytes.IndexByte([]byte(" \t\r\n,:"), text[offset]) >= 0 {
		offset++
	}
	return pos{j.line, int32(1 + utf8.RuneCount(text[:min(offset, len(text))])), j.src.file}
}

// row reads the object of the line, which must be all there is in it.
func (j *jsonLine) row() (*node, *flaw) {
	n, wrong := j.value(0)
	if wrong != nil {
		return nil, wrong
	}
	if n.kind != mapping {
		return nil, &flaw{n.at, fmt.Sprintf("a row is an object of names and values, not %s", n.kind), `such as {"name": "dawn", "line": "The sun rises"}`}
	}
	at := j.at(int(j.dec.InputOffset()))
	if _, err := j.dec.Token(); !errors.Is(err, io.EOF) {
		return nil, &flaw{at, "something stands after the row", "write one object a line"}
	}
	return n, nil
}

func (j *jsonLine) value(depth int) (*node, *flaw) {
	token, at, wrong := j.next()
	if wrong != nil {
		return nil, wrong
	}
	n := &node{at: at}
	if depth > maxDepth {
		return nil, &flaw{at, fmt.Sprintf("nested more than %d deep", maxDepth), ""}
	}
	switch v := token.(type) {
	case json.Delim:
		if v == '[' {
			n.kind = list
			for j.dec.More() {
				e, wrong := j.value(depth + 1)
				if wrong != nil {
					return nil, wrong
				}
				n.list = append(n.list, e)
			}
		} else if wrong := j.entries(n, depth); wrong != nil {
			return nil, wrong
		}
		_, _, wrong = j.next() // the bracket that closes
		return n, wrong
	case string:
		n.kind, n.raw = text, v
	case json.Number:
		n.kind, n.raw = number, v.String()
	case bool:
		n.kind, n.raw = boolean, fmt.Sprint(v)
	}
	return n, nil
}

func (j *jsonLine) entries(n *node, depth int) *flaw {
	n.kind = mapping
	for j.dec.More() {
		key, at, wrong := j.next()
		if wrong != nil {
			return wrong
		}
		name, _ := key.(string)
		if n.get(name) != nil {
			return &flaw{at, fmt.Sprintf("%q is given twice", name), "keep one of the two"}
		}
		v, wrong := j.value(depth + 1)
		if wrong != nil {
			return wrong
		}
		n.add(entry{key: name, at: at, value: v})
	}
	return nil
}
