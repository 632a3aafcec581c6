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

// The JUnit form that CI systems read. Characters that XML cannot hold become U+FFFD (encoding/xml sees to it).
type (
	testCase struct {
		XMLName    xml.Name   `xml:"testcase"`
		Name       string     `xml:"name,attr"`
		Class      string     `xml:"classname,attr"`
		Seconds    string     `xml:"time,attr"`
		File       string     `xml:"file,attr,omitempty"`
		Line       int        `xml:"line,attr,omitempty"`
		Properties []property `xml:"properties>property,omitempty"`
		Failure    *verdict   `xml:"failure"`
		Error      *verdict   `xml:"error"`
		Skipped    *skipped   `xml:"skipped"`
	}
	property struct {
		Name  string `xml:"name,attr"`
		Value string `xml:"value,attr"`
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
// come to it, an error while it may still be generating, failed otherwise. Cost, job and the addresses of the
// stored files are properties.
func JUnit(w io.Writer, run Run, s *pipeline.Summary) error {
	out := bufio.NewWriterSize(w, 64<<10)
	out.WriteString(xml.Header) // errors stay: Flush tells
	t := s.Totals
	suite := fmt.Sprintf(`name="%s" tests="%d" failures="%d" errors="%d" skipped="%d" time="%s"`,
		attribute(run.Batch), len(s.Outcomes), t.Failed+t.Rejected+t.Blocked, t.Running+t.Unknown, t.Skipped, seconds(run.took()))
	fmt.Fprintf(out, "<testsuites %s>\n  <testsuite %s timestamp=\"%s\">\n", suite, suite, run.StartedAt.UTC().Format("2006-01-02T15:04:05"))
	enc := xml.NewEncoder(out)
	enc.Indent("    ", "  ")
	var err error
	for i := range s.Outcomes {
		if err = enc.Encode(caseOf(run, &s.Outcomes[i])); err != nil {
			break
		}
	}
	out.WriteString("\n  </testsuite>\n</testsuites>\n")
	return errors.Join(err, out.Flush())
}

func caseOf(run Run, o *pipeline.Outcome) testCase {
	c := testCase{
		Name: o.Item.ID, Class: run.Batch + "." + strings.TrimPrefix(o.Item.Model, "model_"), Seconds: seconds(o.Generation()),
		File: o.Item.At.File, Line: o.Item.At.Line,
	}
	add := func(name, value string) {
		if value != "" {
			c.Properties = append(c.Properties, property{name, value})
		}
	}
	add("status", string(o.Status))
	add("model", o.Item.Model)
	add("job_id", o.JobID)
	add("cost_cu", amount(o.Cost))
	for _, stored := range o.Outputs {
		add("output", stored.URI)
	}
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
