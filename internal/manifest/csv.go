package manifest

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"
)

// separatorLine is a line Excel knows: it names the character between cells.
var separatorLine = regexp.MustCompile(`^"?sep=([,;\t|])"?\r?\n`)

// A csvReader reads the rows of a text that is divided by commas, semicolons or tabs.
type csvReader struct {
	r     *reader
	t     *table
	sc    *scope
	csv   *csv.Reader
	comma rune
	lines int      // before the first it reads
	names []string // of each column; "" for one that has none
}

// openCSV reads the names of the columns and gets ready for the rows. What stands between cells is told by the line
// with the names: whichever of comma, semicolon and tab there is most of, outside quotes; a comma where there is none.
// European spreadsheets write semicolons.
func (r *reader) openCSV(t *table, sc *scope, tabs bool) bool {
	c := &csvReader{r: r, t: t, sc: sc}
	text := t.src.text
	if m := separatorLine.FindSubmatch(text); m != nil && !tabs {
		c.comma, c.lines, text = rune(m[1][0]), 1, text[len(m[0]):]
	} else if c.comma = '\t'; !tabs {
		c.comma = separator(text)
	}
	c.csv = csv.NewReader(bytes.NewReader(text))
	c.csv.Comma, c.csv.FieldsPerRecord, c.csv.ReuseRecord = c.comma, -1, true
	head, ok := c.next()
	if !ok {
		if !t.src.broken {
			r.itemProblem(sc, pos{1, 1, t.src.file}, "the file has no lines", "its first line names the columns, such as name,line")
		}
		return false
	}
	for i, name := range head {
		if name == "" {
			c.names = append(c.names, "")
			continue
		}
		if !r.checkColumn(sc, c.at(i), name, t.names) {
			t.src.broken, ok = true, false
			continue
		}
		c.names = append(c.names, name)
		t.names = append(t.names, name)
	}
	t.each = c.rows
	return ok
}

// separator is the character between cells.
func separator(text []byte) rune {
	count := map[rune]int{}
	quoted := false
	text = bytes.TrimLeft(text, "\r\n")
	for _, b := range text {
		if b == '"' {
			quoted = !quoted
		}
		if !quoted {
			if b == '\n' {
				break
			}
			count[rune(b)]++
		}
	}
	best := ','
	for _, c := range []rune{';', '\t'} {
		if count[c] > count[best] {
			best = c
		}
	}
	return best
}

// next is the next row that is not empty, its cells trimmed; false at the end, or where the file cannot be read, with
// the problem reported.
func (c *csvReader) next() ([]string, bool) {
	for {
		row, err := c.csv.Read()
		if errors.Is(err, io.EOF) {
			return nil, false
		}
		if err != nil {
			c.t.src.broken = true
			if !c.unreadable(err) {
				return nil, false
			}
			continue
		}
		empty := true
		for i := range row {
			row[i] = strings.TrimSpace(row[i])
			empty = empty && row[i] == ""
		}
		if !empty {
			return row, true
		}
	}
}

// unreadable reports a quote where none can be; it says whether the rows after it can be trusted.
func (c *csvReader) unreadable(err error) (goOn bool) {
	at := pos{1, 1, c.t.src.file}
	wrong, ok := errors.AsType[*csv.ParseError](err)
	if !ok {
		c.r.itemProblem(c.sc, at, "the file cannot be read: "+err.Error(), "")
		return false
	}
	const double = `put the whole cell between double quotes, and write each " within it twice: "the ""big"" one"`
	if errors.Is(wrong.Err, csv.ErrBareQuote) {
		c.r.itemProblem(c.sc, c.place(wrong.Line, wrong.Column), `a " in the midst of a cell`, double)
		return true
	}
	if wrong.StartLine != wrong.Line {
		c.r.itemProblem(c.sc, c.place(wrong.StartLine, 1), `a cell of this row begins with a " and goes on to the end of the file`, "add the missing quote")
		return false
	}
	c.r.itemProblem(c.sc, c.place(wrong.Line, wrong.Column), `a " that ends a cell has text after it, or is missing`, double)
	return false
}

// place is a line and a byte of it, as the reader counts them.
func (c *csvReader) place(line, column int) pos {
	s := c.t.src
	line += c.lines
	if line > len(s.lines) {
		return pos{int32(len(s.lines)), 1, s.file}
	}
	from := int(s.lines[line-1])
	to := min(from+column-1, len(s.text))
	return pos{int32(line), int32(1 + utf8.RuneCount(s.text[from:to])), s.file}
}

// at is where a cell of the row begins that was read last.
func (c *csvReader) at(cell int) pos { return c.place(c.csv.FieldPos(cell)) }

// rows yields the rows. Cells that are missing at the end are empty: spreadsheet programs leave them out.
func (c *csvReader) rows(yield func(map[string]*value, pos) bool) {
	for {
		cells, ok := c.next()
		if !ok {
			return
		}
		row := make(map[string]*value, len(c.t.names))
		sound := true
		for i, cell := range cells {
			switch {
			case i < len(c.names) && c.names[i] != "":
				row[c.names[i]] = c.r.cell(cell, c.at(i), c.sc)
			case cell == "":
			case i < len(c.names):
				c.r.itemProblem(c.sc, c.at(i), fmt.Sprintf("a cell in column %d, which has no name", i+1), "name the column in the first line")
				sound = false
			default:
				c.r.itemProblem(c.sc, c.at(i), fmt.Sprintf("a cell too many: this row has %d, and the first line names %d columns", len(cells), len(c.names)),
					fmt.Sprintf("a text with %s in it goes between double quotes", commaName(c.comma)))
				sound = false
			}
			if !sound {
				break
			}
		}
		if !sound {
			c.t.src.broken, c.r.missing = true, true
			continue
		}
		for _, name := range c.t.names {
			if row[name] == nil {
				row[name] = c.r.cell("", c.at(0), c.sc)
			}
		}
		if !yield(row, c.at(0)) {
			return
		}
	}
}

func commaName(c rune) string {
	switch c {
	case ';':
		return "a semicolon"
	case '\t':
		return "a tab"
	case '|':
		return "a |"
	}
	return "a comma"
}
