package manifest

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"iter"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"dailies/pipeline"
)

// A file of rows makes an item of every row: its columns are variables. It is read in the form its name says: .csv, .tsv
// or .jsonl. Rows are read one by one; what stays of a row is what its items keep.

const (
	maxRowsBytes = 64 << 20
	maxColumns   = 200
	maxColumn    = 100 // bytes of a column's name
)

// A table is a file of rows, opened.
type table struct {
	src   *source
	names []string // of the columns, in the file's order; complete once every row has been read
	// each yields the values of a row by column, and where it begins.
	each iter.Seq2[map[string]*value, pos]
}

// readRows makes the items of an entry with from:.
func (r *reader) readRows(d *draft, e *entry, m *matrix) {
	t := r.openTable(d, e)
	if t == nil {
		r.missing = true
		return
	}
	first, rows := len(r.items), 0
	for row, at := range t.each {
		rows++
		sc := &scope{vars: r.vars, row: row, from: at, entry: d.n.at}
		if m == nil {
			if !r.room(e.value.at, max(1, d.repeat)) {
				break
			}
			r.draw(d, sc)
		} else if !r.room(e.value.at, m.size*max(1, d.repeat)) || !r.combine(d, e.value.at, m, sc) {
			break
		}
		if r.done() {
			break
		}
	}
	if rows == 0 && !r.done() && !t.src.broken {
		r.problem(e.value.at, fmt.Sprintf("%s has no rows", t.src.name), "write one under the line with the names of the columns")
	}
	for i := first; i < len(r.items); i++ {
		r.items[i].item.Columns = t.names
	}
}

// openTable reads the file that from: names; nil when it cannot be, with the problem reported.
func (r *reader) openTable(d *draft, e *entry) *table {
	name, ok := r.evalText(e.value, &scope{vars: r.vars})
	if !ok {
		return nil
	}
	wrong := func(message, hint string) *table {
		r.problem(e.value.at, message, hint)
		return nil
	}
	form := strings.ToLower(path.Ext(name))
	switch form {
	case ".csv", ".tsv", ".jsonl":
	case ".xlsx", ".xls", ".ods", ".numbers":
		return wrong(fmt.Sprintf("%s is a spreadsheet program's own file; from reads .csv, .tsv and .jsonl", name), saveAsCSV)
	default:
		return wrong(fmt.Sprintf("from reads .csv, .tsv and .jsonl files, not %q", name),
			cmp.Or(didYouMean(form, slices.Values([]string{".csv", ".tsv", ".jsonl"})), saveAsCSV))
	}
	f := r.find(name)
	if f.wrong != "" {
		return wrong(f.wrong, f.hint)
	}
	src, err := r.loadRows(f)
	if err != nil {
		return wrong(fmt.Sprintf("%s cannot be read: %v", name, reason(err)), "")
	}
	if len(src.text) > maxRowsBytes {
		return wrong(fmt.Sprintf("%s is larger than 64 MiB", name), "split it, and the manifest, into several batches")
	}
	t := &table{src: src}
	sc := &scope{vars: r.vars, entry: d.n.at}
	if message, hint, at := src.unfit(); message != "" {
		r.itemProblem(sc, at, message, hint)
		return nil
	}
	if form == ".jsonl" {
		t.each = r.jsonRows(t, sc)
		return t
	}
	if !r.openCSV(t, sc, form == ".tsv") {
		return nil
	}
	return t
}

const saveAsCSV = "in the spreadsheet program, save the sheet as CSV UTF-8"

// loadRows reads a file once, whoever else takes rows from it.
func (r *reader) loadRows(f *found) (*source, error) {
	if i, ok := r.rowFiles[f.file.Name]; ok {
		return r.sources[i], nil
	}
	file, err := r.openFile(f.file.Name, f.file.Path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxRowsBytes+4))
	if err != nil {
		return nil, err
	}
	src := newLines(trimBOM(data))
	src.name, src.file = f.file.Path, int32(len(r.sources))
	if r.rowFiles == nil {
		r.rowFiles = map[string]int32{}
	}
	r.rowFiles[f.file.Name] = src.file
	r.sources = append(r.sources, src)
	return src, nil
}

// newLines finds the lines of a file of rows as spreadsheet programs count them. A carriage return alone ends a line
// where there is no other line break.
func newLines(text []byte) *source {
	if !bytes.Contains(text, []byte{'\n'}) {
		text = bytes.ReplaceAll(text, []byte{'\r'}, []byte{'\n'})
	}
	s := &source{text: text, lines: []int32{0}}
	for i, c := range text {
		if c == '\n' {
			s.lines = append(s.lines, int32(i+1))
		}
	}
	return s
}

// unfit says why a text cannot hold rows.
func (s *source) unfit() (message, hint string, at pos) {
	t := s.text
	switch {
	case bytes.HasPrefix(t, []byte{0xFF, 0xFE}), bytes.HasPrefix(t, []byte{0xFE, 0xFF}):
		return "the file is UTF-16", saveAsCSV, pos{1, 1, s.file}
	case bytes.HasPrefix(t, []byte("PK\x03\x04")):
		return "this is a spreadsheet program's own file, under another name", saveAsCSV, pos{1, 1, s.file}
	}
	for i := 0; i < len(t); {
		if c := t[i]; c < utf8.RuneSelf {
			if c < ' ' && c != '\t' && c != '\n' && c != '\r' || c == 0x7F {
				return "a control character", "delete it", s.at(i)
			}
			i++
			continue
		}
		c, n := utf8.DecodeRune(t[i:])
		if c == utf8.RuneError && n == 1 {
			return "not UTF-8", saveAsCSV, s.at(i)
		}
		i += n
	}
	return "", "", pos{}
}

// cell makes the value of one cell. An empty one is nothing; others are read as a manifest's plain values are:
// ${references} resolved, numbers numbers.
func (r *reader) cell(raw string, at pos, sc *scope) *value {
	n := &node{kind: text, plain: true, at: at, raw: raw}
	switch {
	case raw == "":
		n.kind = null
		return &value{node: n, blank: true}
	case isNumber(raw):
		n.kind = number
	case strings.EqualFold(raw, "true"), strings.EqualFold(raw, "false"):
		n.kind = boolean
	}
	v := r.newValue(n, &scope{vars: sc.vars, from: pos{at.line, 1, at.file}, entry: sc.entry})
	v.cell = raw
	return v
}

// isNumber reports whether JSON writes a number so.
func isNumber(s string) bool {
	if c := s[0]; c != '-' && (c < '0' || c > '9') {
		return false
	}
	_, err := jsonNumber(s)
	return err == nil && !strings.ContainsAny(s, "_xXoObB+")
}

// checkColumn reports a name that no column can have.
func (r *reader) checkColumn(sc *scope, at pos, name string, names []string) bool {
	switch {
	case len(name) > maxColumn:
		r.itemProblem(sc, at, fmt.Sprintf("a column's name has %d bytes at most", maxColumn), "is the line with the names of the columns missing?")
	case strings.ContainsAny(name, "${}\n\r"):
		r.itemProblem(sc, at, fmt.Sprintf("%q cannot be a column's name", name), "take $, {, } and line breaks out of it")
	case strings.HasPrefix(name, "items."), strings.HasPrefix(name, "inputs."):
		r.itemProblem(sc, at, fmt.Sprintf("%q cannot be a column's name: ${%s} means something else", name, name), "")
	case slices.Contains(names, name):
		r.itemProblem(sc, at, fmt.Sprintf("two columns are named %q", name), "rename one of them")
	case len(names) >= maxColumns:
		r.itemProblem(sc, at, fmt.Sprintf("a row has %d columns at most", maxColumns), "")
	default:
		return true
	}
	return false
}

// combine draws the combinations of a matrix for one row.
func (r *reader) combine(d *draft, at pos, m *matrix, sc *scope) bool {
	m.combinations(func(c map[string]*value) bool {
		if !r.room(at, max(1, d.repeat)) {
			return false
		}
		both := make(map[string]*value, len(c)+len(sc.row))
		for name, v := range sc.row {
			both[name] = v
		}
		for name, v := range c {
			if sc.row[name] != nil {
				r.problem(d.fs["matrix"].value.at, fmt.Sprintf("%q is an axis of the matrix and a column of %s", name, r.sources[sc.from.file].name), "rename one of them")
				r.missing = true
				return false
			}
			both[name] = v
		}
		one := *sc
		one.row = both
		r.draw(d, &one)
		return !r.done()
	})
	return !r.done()
}

// digestRows makes the manifest's digest one of the files of rows too: they are part of what it says.
func (r *reader) digestRows() {
	if len(r.sources) < 2 {
		return
	}
	h := sha256.New()
	io.WriteString(h, r.m.SHA256)
	for _, s := range r.sources[1:] {
		sum := sha256.Sum256(s.text)
		h.Write(sum[:])
	}
	r.m.SHA256 = hex.EncodeToString(h.Sum(nil))
}

// itemPosition is where an item was written: the row, with the manifest's item that reads it, where there is one.
func (r *reader) itemPosition(d *draft, sc *scope) pipeline.Position {
	at := r.problems.position(d.n.at)
	if sc.from.line == 0 {
		return at
	}
	if d.at == nil {
		d.at = &at
	}
	row := r.problems.position(sc.from)
	row.Also = d.at
	return row
}
