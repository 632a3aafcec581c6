package report

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/mattn/go-runewidth"

	"dailies/pipeline"
)

// TableOptions say where the table is shown.
type TableOptions struct {
	Width int  // columns; 0 for a log, where no line is broken
	Color bool // the caller has honoured NO_COLOR and TERM=dumb
}

// How many items are named; the others are counted. results.json has them all.
const (
	mostTroubled  = 10 // of one cause
	mostCauses    = 8
	mostDelivered = 12
)

// Table writes what people want to know when a run has ended: first what failed, why and what to do; then what
// there is, where it is and what it cost; last what to do next.
func Table(w io.Writer, run Run, s *pipeline.Summary, o TableOptions) {
	out := bufio.NewWriter(w)
	defer out.Flush() // whoever cannot be written to cannot be told so either
	t := table{out, o}
	for _, c := range causes(s) {
		t.cause(c)
	}
	t.delivered(s)
	t.counts(run, s)
	t.places(run, s)
	t.next(run, s)
}

// A cause is the items that ended in one way for one reason.
type cause struct {
	status   pipeline.Status
	code     pipeline.Code
	hint     string
	outcomes []*pipeline.Outcome
}

// causes groups the items in trouble, in the order of the manifest.
func causes(s *pipeline.Summary) []*cause {
	var all []*cause
	index := map[[3]string]*cause{}
	for i := range s.Outcomes {
		o := &s.Outcomes[i]
		if !troubled(o) {
			continue
		}
		var code pipeline.Code
		var hint string
		if o.Err != nil {
			code, hint = o.Err.Code, o.Err.HintText()
		}
		key := [3]string{string(o.Status), string(code), hint}
		if index[key] == nil {
			index[key] = &cause{status: o.Status, code: code, hint: hint}
			all = append(all, index[key])
		}
		index[key].outcomes = append(index[key].outcomes, o)
	}
	rank := map[pipeline.Status]int{pipeline.Failed: 0, pipeline.Rejected: 1, pipeline.Unknown: 2, pipeline.Blocked: 3}
	slices.SortStableFunc(all, func(a, b *cause) int { return cmp.Compare(rank[a.status], rank[b.status]) })
	if len(all) > mostCauses { // hints of the API's own can be many
		rest := &cause{status: all[mostCauses-1].status, hint: "see results.json for the other causes"}
		for _, c := range all[mostCauses-1:] {
			rest.outcomes = append(rest.outcomes, c.outcomes...)
		}
		all = append(all[:mostCauses-1], rest)
	}
	return all
}

type table struct {
	*bufio.Writer
	o TableOptions
}

const (
	bold   = "\x1b[1m"
	red    = "\x1b[1;31m"
	yellow = "\x1b[33m"
	green  = "\x1b[32m"
)

func (t table) paint(color, s string) string {
	if !t.o.Color {
		return s
	}
	return color + s + "\x1b[0m"
}

func (t table) cause(c *cause) {
	head := fmt.Sprintf("%s %s", pipeline.Count(len(c.outcomes), "item"), c.status)
	if c.code != "" && string(c.code) != string(c.status) {
		head += ": " + string(c.code)
	}
	color := red
	if c.status != pipeline.Failed && c.status != pipeline.Rejected {
		color = yellow
	}
	t.wrapped("", t.paint(color, head))
	for _, o := range c.outcomes[:min(mostTroubled, len(c.outcomes))] {
		subject := pipeline.Plain(o.Item.ID) + " (" + pipeline.ModelName(o.Item.Model)
		if o.Item.At.Line > 0 {
			subject += fmt.Sprintf(", %s:%d", pipeline.Plain(o.Item.At.File), o.Item.At.Line)
		}
		t.wrapped("  ", subject+")")
		if o.Err != nil {
			t.wrapped("    ", shorten(pipeline.Plain(o.Err.Error()), 1000))
		}
	}
	if more := len(c.outcomes) - mostTroubled; more > 0 {
		fmt.Fprintf(t, "  and %d more, all in results.json\n", more)
	}
	if c.hint != "" {
		t.wrapped("  ", "hint: "+pipeline.Plain(c.hint))
	}
	fmt.Fprintln(t)
}

// delivered lists the files of this run, when they are few enough to be read.
func (t table) delivered(s *pipeline.Summary) {
	type file struct{ id, key, facts string }
	var files []file
	total, id, key := 0, 0, 0
	for i := range s.Outcomes {
		o := &s.Outcomes[i]
		if o.Status != pipeline.Delivered {
			continue
		}
		for n, out := range o.Outputs {
			if total++; total > mostDelivered {
				continue
			}
			f := file{key: pipeline.Plain(out.Key), facts: facts(out)}
			if n == 0 {
				f.id = pipeline.Plain(o.Item.ID)
			}
			files = append(files, f)
			id, key = max(id, runewidth.StringWidth(f.id)), max(key, runewidth.StringWidth(f.key))
		}
	}
	if total == 0 {
		return
	}
	fmt.Fprintln(t, t.paint(green, pipeline.Count(total, "file")+" delivered"))
	if t.o.Width > 0 { // names yield, facts stay
		id = min(id, t.o.Width/4)
		key = min(key, t.o.Width/3)
	}
	for _, f := range files {
		t.cut("  " + column(f.id, id) + "  " + column(f.key, key) + "  " + f.facts)
	}
	if more := total - len(files); more > 0 {
		fmt.Fprintf(t, "  and %d more\n", more)
	}
	fmt.Fprintln(t)
}

// facts are what a file is, in a few words: "4.2 MB  1280x720  8s".
func facts(out pipeline.Output) string {
	words := []string{pipeline.Size(out.Bytes)}
	if out.Width > 0 && out.Height > 0 {
		words = append(words, fmt.Sprintf("%dx%d", out.Width, out.Height))
	}
	if out.Duration > 0 {
		words = append(words, fmt.Sprintf("%.3gs", out.Duration))
	}
	if out.Audio != nil {
		words = append(words, map[bool]string{true: "sound", false: "silent"}[*out.Audio])
	}
	return strings.Join(words, "  ")
}

func (t table) counts(run Run, s *pipeline.Summary) {
	type tally struct {
		items, files int
		bytes        int64
	}
	by := map[pipeline.Status]tally{}
	for i := range s.Outcomes {
		o := &s.Outcomes[i]
		c := by[o.Status]
		by[o.Status] = tally{c.items + 1, c.files + len(o.Outputs), c.bytes + o.Bytes()}
	}
	for _, status := range pipeline.Statuses {
		c := by[status]
		if c.items == 0 {
			continue
		}
		line := fmt.Sprintf("%-9s  %6s", status, fmt.Sprint(c.items))
		if c.files > 0 {
			line += fmt.Sprintf("  %10s  %8s", pipeline.Count(c.files, "file"), pipeline.Size(c.bytes))
		}
		t.cut(line)
	}
	money := s.Totals.Spent.String() + " CU spent"
	if s.Totals.Quoted != s.Totals.Spent {
		money += ", " + s.Totals.Quoted.String() + " quoted"
	}
	if run.Simulated {
		money += " (simulated: nothing was bought)"
	}
	t.wrapped("", t.paint(bold, pipeline.Count(s.Totals.Items, "item")+" in "+pipeline.Span(run.took())+", "+money))
	fmt.Fprintln(t)
}

func (t table) places(run Run, s *pipeline.Summary) {
	if len(s.Outcomes) == 0 || run.OutputURI == "" {
		return
	}
	for _, p := range [][2]string{{"assets", run.OutputURI}, {"gallery", run.place("index.html")}, {"results", run.place("results.json")}} {
		fmt.Fprintf(t, "%-8s %s\n", p[0], pipeline.Plain(p[1])) // never cut: it is there to be copied
	}
}

func (t table) next(run Run, s *pipeline.Summary) {
	if stop := s.Stop; stop != nil {
		fmt.Fprintln(t)
		t.wrapped("", t.paint(yellow, fmt.Sprintf("stopped: %s: %s", stop.Code, shorten(pipeline.Plain(stop.Error()), 1000))))
		t.wrapped("  ", "hint: "+pipeline.Plain(stop.HintText()))
	}
	if s.Totals.Items > 0 && s.Totals.Reused == s.Totals.Items {
		fmt.Fprintln(t)
		t.wrapped("", "Nothing was submitted: every item was delivered by an earlier run, and is still there.")
	}
	if n := s.Totals.Running + s.Totals.Unknown; n > 0 {
		fmt.Fprintln(t)
		t.wrapped("", t.paint(bold, "Run the same command again: ")+pipeline.Count(n, "item")+" may still be generating; what is paid for is collected, not bought again.")
	}
}

// wrapped writes text after an indent, broken between words where it is wider than the terminal.
func (t table) wrapped(indent, text string) {
	if t.o.Width <= 0 {
		fmt.Fprintln(t, indent+text)
		return
	}
	line, cols := indent, len(indent)
	for i, word := range strings.Split(text, " ") {
		wide := visible(word)
		if i > 0 && cols+1+wide > t.o.Width && cols > len(indent) {
			fmt.Fprintln(t, line)
			line, cols = indent, len(indent)
		} else if i > 0 {
			line, cols = line+" ", cols+1
		}
		line, cols = line+word, cols+wide
	}
	fmt.Fprintln(t, line)
}

// visible is the width of a word beside its colours.
func visible(word string) int {
	for {
		before, after, ok := strings.Cut(word, "\x1b[")
		if !ok {
			return runewidth.StringWidth(word)
		}
		_, after, _ = strings.Cut(after, "m")
		word = before + after
	}
}

func (t table) cut(line string) {
	if t.o.Width > 0 {
		line = runewidth.Truncate(line, t.o.Width, "~")
	}
	fmt.Fprintln(t, strings.TrimRight(line, " "))
}

func column(s string, cols int) string {
	return runewidth.FillRight(runewidth.Truncate(s, cols, "~"), cols)
}

// shorten keeps the beginning of a text of others, in bytes.
func shorten(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}
