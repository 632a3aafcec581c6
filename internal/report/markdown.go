package report

import (
	"fmt"
	"io"
	"strings"

	"dailies/pipeline"
)

// MostSummary is where a job summary ends, in bytes; GitHub shows none of more than 1 MiB.
const MostSummary = 900 << 10

// Summary writes a job summary in GitHub's Markdown, at most 900 KiB: failures first, then totals and price, then
// what was delivered. Text from others is escaped and adds no markup of its own.
func Summary(w io.Writer, run Run, s *pipeline.Summary) error {
	return SummaryWithin(w, run, s, MostSummary)
}

// SummaryWithin is a [Summary] of at most so many bytes, for a file that others have written to.
func SummaryWithin(w io.Writer, run Run, s *pipeline.Summary, most int) error {
	m := markdown{left: most}
	t := s.Totals
	title := fmt.Sprintf("%d of %d delivered", t.Delivered+t.Reused, t.Items)
	if run.Batch != "" {
		title = escape(run.Batch) + ": " + title
	}
	m.line("## %s\n", title)
	if run.Simulated {
		m.line("> [!NOTE]\n> Simulated by the sandbox: nothing was bought, and the assets are stand-ins.\n")
	}
	if s.Stop != nil {
		m.line("> [!WARNING]\n> Stopped: `%s`: %s<br>%s\n", s.Stop.Code, escape(s.Stop.Error()), escape(s.Stop.HintText()))
	}
	m.troubled(s)
	m.totals(run, s)
	m.delivered(s)
	_, err := io.WriteString(w, m.text.String())
	return err
}

type markdown struct {
	text strings.Builder
	left int
}

// line adds a line, or says that there is no room for it.
func (m *markdown) line(format string, args ...any) bool {
	l := fmt.Sprintf(format, args...) + "\n"
	if len(l) > m.left {
		return false
	}
	m.left -= len(l)
	m.text.WriteString(l)
	return true
}

// rows adds a table, as much of it as there is room for with room left for others, and says what was left out.
func (m *markdown) rows(head string, n int, keep int, row func(i int) string) {
	m.line("%s", head)
	for i := range n {
		r := row(i)
		if len(r) > m.left-keep {
			m.line("\nand %d more: see results.json\n", n-i)
			return
		}
		m.line("%s", r)
	}
	m.line("")
}

func (m *markdown) troubled(s *pipeline.Summary) {
	var all []*pipeline.Outcome
	for _, c := range causes(s) {
		all = append(all, c.outcomes...)
	}
	if len(all) == 0 {
		return
	}
	m.line("### %s\n", pipeline.Count(len(all), "item")+" to look at")
	m.rows("| item | model | where | what happened | what to do |\n|---|---|---|---|---|", len(all), m.left/9, func(i int) string {
		o := all[i]
		what, todo := string(o.Status), ""
		if o.Err != nil {
			what = fmt.Sprintf("`%s` %s", o.Err.Code, escape(shorten(o.Err.Error(), 1000)))
			todo = escape(shorten(o.Err.HintText(), 500))
		}
		return fmt.Sprintf("| %s | %s | %s | %s | %s |", escape(o.Item.ID), escape(pipeline.ModelName(o.Item.Model)), escape(where(o.Item.At)), what, todo)
	})
}

func where(at pipeline.Position) string {
	if at.Line == 0 {
		return at.File
	}
	return fmt.Sprintf("%s:%d", at.File, at.Line)
}

func (m *markdown) totals(run Run, s *pipeline.Summary) {
	t := s.Totals
	head, rule, row := "|", "|", "|"
	add := func(name, value string) {
		head, rule, row = head+" "+name+" |", rule+"---:|", row+" "+value+" |"
	}
	for _, c := range []struct {
		name string
		n    int
	}{
		{"delivered", t.Delivered}, {"reused", t.Reused}, {"running", t.Running}, {"unknown", t.Unknown},
		{"failed", t.Failed}, {"rejected", t.Rejected}, {"blocked", t.Blocked}, {"skipped", t.Skipped},
	} {
		if c.n > 0 {
			add(c.name, fmt.Sprint(c.n))
		}
	}
	var bytes int64
	for i := range s.Outcomes {
		if s.Outcomes[i].Status == pipeline.Delivered {
			bytes += s.Outcomes[i].Bytes()
		}
	}
	add("spent", t.Spent.String()+" CU")
	add("quoted", t.Quoted.String()+" CU")
	add("stored", pipeline.Size(bytes))
	add("time", pipeline.Span(run.took()))
	m.line("%s\n%s\n%s\n", head, rule, row)
	if run.OutputURI != "" {
		m.line("Assets, gallery and results: %s\n", escape(run.OutputURI))
	}
	if t.Running+t.Unknown > 0 {
		m.line("**Run the same command again**: what is still generating is collected, not bought again.\n")
	}
}

func (m *markdown) delivered(s *pipeline.Summary) {
	var files []struct {
		id  string
		out pipeline.Output
	}
	for i := range s.Outcomes {
		if o := &s.Outcomes[i]; o.Status == pipeline.Delivered {
			for _, out := range o.Outputs {
				files = append(files, struct {
					id  string
					out pipeline.Output
				}{o.Item.ID, out})
			}
		}
	}
	if len(files) == 0 || m.left < 2<<10 { // no room for what is opened here and must be closed
		return
	}
	m.line("<details><summary>%s delivered</summary>\n", pipeline.Count(len(files), "file"))
	m.rows("| item | file | what it is |\n|---|---|---|", len(files), 1<<10, func(i int) string {
		return fmt.Sprintf("| %s | %s | %s |", escape(files[i].id), escape(files[i].out.Key), facts(files[i].out))
	})
	m.line("</details>")
}

// escape makes text inert in Markdown: on one line, without markup, cells, links, references or mentions.
func escape(s string) string {
	var b strings.Builder
	for _, r := range pipeline.Plain(s) {
		switch {
		case strings.ContainsRune("&<>\"'", r), strings.ContainsRune("\\`*_{}[]()#+!|~$@:^=", r):
			fmt.Fprintf(&b, "&#%d;", r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
