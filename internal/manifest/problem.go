package manifest

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/mattn/go-runewidth"

	"dailies/pipeline"
)

// A Problem is something to say about one place in a manifest.
type Problem struct {
	At      pipeline.Position
	Message string // lower case, no full stop
	Hint    string // what to write instead; may be empty
	Item    string // the id of the (first) item it was met in; empty when it is about no item

	more   int    // further items that met the same at the same place
	source string // the line, or the part of a very long one that is around the column
	before int    // characters of source that come before the column
}

// String is the problem on one line, without the source.
func (p Problem) String() string {
	var b strings.Builder
	if at := p.At.String(); at != "" {
		b.WriteString(at + ": ")
	}
	switch {
	case p.Item != "" && p.more == 1:
		fmt.Fprintf(&b, "item %q and 1 more: ", p.Item)
	case p.Item != "" && p.more > 1:
		fmt.Fprintf(&b, "item %q and %d more: ", p.Item, p.more)
	case p.Item != "":
		fmt.Fprintf(&b, "item %q: ", p.Item)
	}
	b.WriteString(p.Message)
	return b.String()
}

// Format writes the problem for people: file:line:col and the message, the source line with a caret under the
// column, and the hint. Control characters of the source are shown as �, so that a manifest cannot draw on a terminal.
func (p Problem) Format(w io.Writer, color bool) {
	paint := func(code, s string) string {
		if !color {
			return s
		}
		return "\x1b[" + code + "m" + s + "\x1b[0m"
	}
	fmt.Fprintln(w, paint("1", visible(p.String())))
	if p.source != "" {
		shown := visible(p.source)
		fmt.Fprintf(w, "    %s\n", shown)
		fmt.Fprintf(w, "    %s%s\n", blank(firstRunes(shown, p.before)), paint("1;31", "^"))
	}
	if p.Hint != "" {
		fmt.Fprintf(w, "  %s %s\n", paint("36", "hint:"), visible(p.Hint))
	}
}

// visible replaces what would not show as itself: control characters, direction marks.
func visible(s string) string {
	const joiner = '\u200d' // holds emoji together
	return strings.Map(func(r rune) rune {
		if r == '\t' || r == joiner || unicode.IsPrint(r) || unicode.Is(unicode.Zs, r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

// blank is white space as wide as s on a terminal: tabs stay tabs, wide characters count twice.
func blank(s string) string {
	wide := runewidth.Condition{} // not the locale's: the same everywhere
	var b strings.Builder
	for i, part := range strings.Split(s, "\t") {
		if i > 0 {
			b.WriteByte('\t')
		}
		b.WriteString(strings.Repeat(" ", wide.StringWidth(part)))
	}
	return b.String()
}

func firstRunes(s string, n int) string {
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}

// Problems are all that is wrong with a manifest, by position. They are an error of code manifest_invalid.
type Problems []Problem

func (ps Problems) Error() string {
	switch len(ps) {
	case 0:
		return "no problems"
	case 1:
		return ps[0].String()
	}
	return fmt.Sprintf("%s (and %d more problems)", ps[0], len(ps)-1)
}

// Code is the row of the closed table these belong to.
func (ps Problems) Code() pipeline.Code { return pipeline.CodeManifest }

// As lets errors.As find a *pipeline.Error, so that whoever only asks for the code need not know this type.
func (ps Problems) As(target any) bool {
	t, ok := target.(**pipeline.Error)
	if !ok || len(ps) == 0 {
		return false
	}
	*t = &pipeline.Error{Code: pipeline.CodeManifest, Message: ps.Error(), Hint: ps[0].Hint}
	return true
}

// maxProblems bounds what a hopeless file can make us say; reading ends there.
const maxProblems = 1000

// collector gathers problems; those of the same words at the same place count as one.
type collector struct {
	sources *[]*source
	list    []Problem
	seen    map[place]int
}

type place struct {
	pos
	message string
}

// add keeps a problem, with the place that completes at, if there is one.
func (c *collector) add(at, also pos, item, message, hint string) {
	key := place{at, message}
	if i, ok := c.seen[key]; ok {
		if item != "" && item != c.list[i].Item {
			c.list[i].more++
		}
		return
	}
	if c.full() {
		return
	}
	if c.seen == nil {
		c.seen = map[place]int{}
	}
	c.seen[key] = len(c.list)
	p := Problem{At: c.position(at), Message: message, Hint: hint, Item: item}
	if also.line > 0 {
		p.At.Also = new(c.position(also))
	}
	p.source, p.before = (*c.sources)[at.file].excerpt(at)
	c.list = append(c.list, p)
}

// full says that nothing more is kept: nobody need look for what nobody will see.
func (c *collector) full() bool { return len(c.list) >= maxProblems }

func (c *collector) position(at pos) pipeline.Position {
	return pipeline.Position{File: (*c.sources)[at.file].name, Line: int(at.line), Col: int(at.col)}
}

// sorted is what was gathered, by place: the manifest's own, then those of each file of rows.
func (c *collector) sorted() []Problem {
	slices.SortStableFunc(c.list, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(c.fileOf(a), c.fileOf(b)), cmp.Compare(a.At.Line, b.At.Line), cmp.Compare(a.At.Col, b.At.Col), cmp.Compare(a.Message, b.Message))
	})
	if c.full() {
		c.list = append(c.list, Problem{At: c.position(pos{}), Message: fmt.Sprintf("more than %d problems; the rest was not looked at", maxProblems)})
	}
	return c.list
}

func (c *collector) fileOf(p Problem) int {
	return slices.IndexFunc(*c.sources, func(s *source) bool { return s.name == p.At.File })
}
