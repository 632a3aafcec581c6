package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/joshdk/go-junit"

	"dailies/pipeline"
)

// junitForm is what Jenkins's schema (junit-10.xsd, which is Surefire's) allows: the attributes of each element,
// those that must be there marked with a !, and the elements it may hold; text only where "text" is among them.
var junitForm = map[string]struct{ attributes, children string }{
	"testsuites": {"name time tests failures errors", "testsuite"},
	"testsuite":  {"name! tests! failures! errors! group time skipped timestamp hostname id package file log url", "testsuite properties testcase system-out system-err"},
	"properties": {"", "property"},
	"property":   {"name! value!", ""},
	"testcase":   {"name! time classname group", "skipped error failure rerunFailure rerunError flakyFailure flakyError system-out system-err"},
	"failure":    {"type message", "text"},
	"error":      {"type message", "text"},
	"skipped":    {"type message", "text"},
	"system-out": {"", "text"},
	"system-err": {"", "text"},
}

var surefireTime = regexp.MustCompile(`^(([0-9]{0,3},)*[0-9]{3}|[0-9]{0,3})*(\.[0-9]*)?$`)

// validJUnit holds a document against the schema.
func validJUnit(r io.Reader) error {
	dec := xml.NewDecoder(r)
	var open []string
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch token := token.(type) {
		case xml.StartElement:
			name := token.Name.Local
			form, ok := junitForm[name]
			if parent := slices.Concat([]string{""}, open)[len(open)]; !ok || parent == "" && name != "testsuites" ||
				parent != "" && !slices.Contains(strings.Fields(junitForm[parent].children), name) {
				return fmt.Errorf("<%s> in <%s>", name, parent)
			}
			allowed := strings.Fields(form.attributes)
			for _, a := range token.Attr {
				i := slices.IndexFunc(allowed, func(s string) bool { return strings.TrimSuffix(s, "!") == a.Name.Local })
				if i < 0 {
					return fmt.Errorf("<%s> has %s", name, a.Name.Local)
				}
				if name != "testcase" && a.Name.Local == "time" && !surefireTime.MatchString(a.Value) {
					return fmt.Errorf("<%s> has the time %q", name, a.Value)
				}
				allowed = slices.Delete(allowed, i, i+1)
			}
			for _, left := range allowed {
				if strings.HasSuffix(left, "!") {
					return fmt.Errorf("<%s> has no %s", name, left)
				}
			}
			open = append(open, name)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			if len(open) > 0 && junitForm[open[len(open)-1]].children != "text" && len(bytes.TrimSpace(token)) > 0 {
				return fmt.Errorf("text in <%s>: %q", open[len(open)-1], token)
			}
		}
	}
}

// TestJUnitAsItIsRead: valid by the schema CI systems hold it to, and what a reader that is not ours makes of it.
func TestJUnitAsItIsRead(t *testing.T) {
	run, s := sample()
	var b bytes.Buffer
	if err := JUnit(&b, run, s); err != nil {
		t.Fatal(err)
	}
	if err := validJUnit(bytes.NewReader(b.Bytes())); err != nil {
		t.Errorf("not valid: %v\n%s", err, b.Bytes())
	}
	suites, err := junit.IngestReader(bytes.NewReader(b.Bytes()))
	if err != nil || len(suites) != 1 {
		t.Fatalf("%d suites, %v", len(suites), err)
	}
	suite := suites[0]
	if n := suite.Totals; suite.Name != "dragon-realm" || n.Tests != 7 || n.Passed != 2 || n.Failed != 2 || n.Error != 2 || n.Skipped != 1 {
		t.Errorf("the reader counts %+v in %q", n, suite.Name)
	}
	for name, want := range map[string]string{
		"cost_cu dragon-flyover": "80", "output dragon-flyover": "s3://game-assets/dragon-realm/dragon-flyover.mp4",
		"cost_cu gem": "13.25", "spent_cu": s.Totals.Spent.String(), "run_id": run.ID,
	} {
		if got := suite.Properties[name]; got != want {
			t.Errorf("property %q is %q, want %q", name, got, want)
		}
	}
	for i, c := range suite.Tests {
		o := &s.Outcomes[i]
		if c.Name != o.Item.ID {
			t.Fatalf("case %d is %q, want %q", i, c.Name, o.Item.ID)
		}
		place := fmt.Sprintf("dragon.yaml:%d", o.Item.At.Line)
		if !strings.Contains(c.SystemOut, "manifest: "+place+"\n") || !strings.Contains(c.SystemOut, "status: "+string(o.Status)) {
			t.Errorf("%s: the output is %q", c.Name, c.SystemOut)
		}
		for _, out := range o.Outputs {
			if !strings.Contains(c.SystemOut, "output: "+out.URI+"\n") {
				t.Errorf("%s: the output does not link %s", c.Name, out.URI)
			}
		}
		if c.Status == junit.StatusFailed && !strings.HasPrefix(c.Error.Error(), place) {
			t.Errorf("%s: the failure does not begin with its place: %q", c.Name, c.Error)
		}
	}
}

// TestJUnitOfAnything: of any number of items, and whatever they say, it stays valid.
func TestJUnitOfAnything(t *testing.T) {
	run, s := many(500)
	for i := range s.Outcomes {
		o := &s.Outcomes[i]
		o.Status = pipeline.Statuses[i%len(pipeline.Statuses)]
		o.JobID = "]]> <!-- \x00\x1b\ufffe\xff & \" ' </testcase>"
		if i%3 == 0 {
			o.Err = pipeline.Errorf(pipeline.CodeGeneration, "</failure>\x00 ]]>\n%d", i)
		}
	}
	for _, s := range []*pipeline.Summary{s, {}} {
		var b bytes.Buffer
		if err := JUnit(&b, run, s); err != nil {
			t.Fatal(err)
		}
		if err := validJUnit(&b); err != nil {
			t.Errorf("%d items: %v", len(s.Outcomes), err)
		}
	}
}
