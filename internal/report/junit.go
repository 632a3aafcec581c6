package report

import (
	"bufio"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"dailies/pipeline"
)

// The JUnit form that CI systems read, as the schemas of Surefire and Jenkins have it: they allow a test case neither
// properties nor a file, so an item's facts are properties of the suite that bear its name, and its output.
// Characters that XML cannot hold become U+FFFD (encoding/xml sees to it).
type (
	testCase struct {
		XMLName xml.Name `xml:"testcase"`
		Name    string   `xml:"name,attr"`
		Class   string   `xml:"classname,attr"`
		Seconds string   `xml:"time,attr"`
		Failure *verdict `xml:"failure"`
		Error   *verdict `xml:"error"`
		Skipped *skipped `xml:"skipped"`
		Output  string   `xml:"system-out"`
	}
	property struct {
		XMLName xml.Name `xml:"property"`
		Name    string   `xml:"name,attr"`
		Value   string   `xml:"value,attr"`
	}
	verdict struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",chardata"`
	}
	skipped struct {
		Message string `xml:"message,attr"`
	}
)

// JUnit writes one test case an item: passed when its files are in the destination, skipped when the run did not
// come to it, an error while it may still be generating, failed otherwise, with its place in the manifest. What it cost
// and the addresses of its stored files are properties ("cost_cu dragon", "output dragon"), and in its output.
func JUnit(w io.Writer, run Run, s *pipeline.Summary) error {
	out := bufio.NewWriterSize(w, 64<<10)
	out.WriteString(xml.Header) // errors stay: Flush tells
	t := s.Totals
	counts := fmt.Sprintf(`name="%s" tests="%d" failures="%d" errors="%d"`,
		attribute(run.Batch), len(s.Outcomes), t.Failed+t.Rejected+t.Blocked, t.Running+t.Unknown)
	fmt.Fprintf(out, "<testsuites %s time=\"%s\">\n  <testsuite %s skipped=\"%d\" time=\"%s\" timestamp=\"%s\">\n    <properties>\n",
		counts, seconds(run.took()), counts, t.Skipped, seconds(run.took()), run.StartedAt.UTC().Format("2006-01-02T15:04:05"))
	enc := xml.NewEncoder(out)
	enc.Indent("      ", "  ")
	var err error
	write := func(v any) {
		if err == nil {
			err = enc.Encode(v)
		}
	}
	add := func(name, value string) {
		if value != "" {
			write(property{Name: name, Value: value})
		}
	}
	add("run_id", run.ID)
	add("output", run.OutputURI)
	add("spent_cu", t.Spent.String())
	if run.Simulated {
		add("simulated", "true")
	}
	for i := range s.Outcomes {
		itemFacts(&s.Outcomes[i], func(name, value string) {
			if name == "cost_cu" || name == "output" {
				add(name+" "+s.Outcomes[i].Item.ID, value)
			}
		})
	}
	out.WriteString("\n    </properties>\n")
	enc.Indent("    ", "  ")
	for i := range s.Outcomes {
		write(caseOf(run, &s.Outcomes[i]))
	}
	out.WriteString("\n  </testsuite>\n</testsuites>\n")
	return errors.Join(err, out.Flush())
}

// itemFacts are what a CI system is told of an item beside how it ended.
func itemFacts(o *pipeline.Outcome, add func(name, value string)) {
	add("status", string(o.Status))
	add("model", o.Item.Model)
	add("manifest", where(o.Item.At))
	add("job_id", o.JobID)
	add("cost_cu", amount(o.Cost))
	for _, stored := range o.Outputs {
		add("output", stored.URI)
	}
}

func caseOf(run Run, o *pipeline.Outcome) testCase {
	c := testCase{Name: o.Item.ID, Class: run.Batch + "." + strings.TrimPrefix(o.Item.Model, "model_"), Seconds: seconds(o.Generation())}
	itemFacts(o, func(name, value string) {
		if value != "" {
			c.Output += name + ": " + pipeline.Plain(value) + "\n"
		}
	})
	switch o.Status {
	case pipeline.Failed, pipeline.Rejected, pipeline.Blocked:
		c.Failure = verdictOf(o)
	case pipeline.Running, pipeline.Unknown:
		c.Error = verdictOf(o)
	case pipeline.Skipped:
		c.Skipped = &skipped{Message: verdictOf(o).Message}
	}
	return c
}

func verdictOf(o *pipeline.Outcome) *verdict {
	if o.Err == nil {
		return &verdict{Message: "the run ended before this item did: run the same command again", Type: string(o.Status)}
	}
	v := &verdict{Message: pipeline.Plain(o.Err.Error()), Type: string(o.Err.Code)}
	if at := o.Item.At; at.Line > 0 && !strings.HasPrefix(v.Message, at.File+":") {
		v.Text = at.String() + ": "
	}
	v.Text += fmt.Sprintf("%s\nhint: %s\n", v.Message, pipeline.Plain(o.Err.HintText()))
	return v
}

func attribute(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder takes everything
	return b.String()
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", max(d, 0).Seconds()) }
