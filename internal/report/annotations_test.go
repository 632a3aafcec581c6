package report

import (
	"fmt"
	"strings"
	"testing"

	"dailies/pipeline"
)

func TestAnnotations(t *testing.T) {
	_, s := sample()
	var b strings.Builder
	if err := WriteAnnotations(&b, Annotations(s)); err != nil {
		t.Fatal(err)
	}
	want := `::warning title=dailies%3A still generating::2 items may still be generating: run the same command again, and what is paid for is collected
::error title=dailies%3A deadline_reached::the time box of 6m is over%0Ahint: run the same command again: it collects what is still generating
::error file=dragon.yaml,line=20,col=5,title=hero-walk%3A moderated::the prompt was flagged%0Aby <b>content moderation</b> | see [here](http://evil)%0Ahint: reword the prompt or choose another model; the same prompt would be refused again
::error file=dragon.yaml,line=32,col=5,title=roar%3A submit_lost::the answer to the submit was lost%0Ahint: run the same command again: it looks for the job before it pays for another
::error file=dragon.yaml,line=24,col=5,title=hero-loop%3A source_failed::it takes its asset from "hero-walk", which failed%0Ahint: mend the item it takes its asset from; this one follows
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

// TestAnnotationsAreData: whatever items and the API say, a line is one command, and its end is where we put it.
func TestAnnotationsAreData(t *testing.T) {
	hostile := "a%0A\r\n::stop-commands::x, file=/etc/passwd::\x1b[2J\u202e"
	a := Annotation{Level: "error", At: pipeline.Position{File: hostile, Line: 3, Col: 4}, Title: hostile, Message: hostile}
	var b strings.Builder
	if err := WriteAnnotations(&b, []Annotation{a}); err != nil {
		t.Fatal(err)
	}
	line, rest, _ := strings.Cut(b.String(), "\n")
	if rest != "" {
		t.Errorf("more than one line: %q", rest)
	}
	if strings.ContainsAny(line, "\r\x1b\u202e") {
		t.Errorf("control characters in %q", line)
	}
	properties, message, _ := strings.Cut(strings.TrimPrefix(line, "::error "), "::")
	if strings.Count(properties, ",") != 3 || strings.Count(properties, ":") != 0 {
		t.Errorf("the properties are not four: %q", properties)
	}
	if !strings.Contains(message, "a%250A") {
		t.Errorf("an escape of the text's own is taken for one of ours: %q", message)
	}
}

// TestManyFailuresAreNoFlood: every cause is named, and the rest is counted.
func TestManyFailuresAreNoFlood(t *testing.T) {
	for _, n := range []int{8, 9, 10, 11, 5000} {
		s := &pipeline.Summary{}
		for i := range n {
			code := pipeline.CodeModerated
			if i == n-1 {
				code = pipeline.CodePlan
			}
			s.Outcomes = append(s.Outcomes, pipeline.Outcome{Item: &pipeline.Item{ID: fmt.Sprintf("item-%d", i), At: pipeline.Position{File: "m.yaml", Line: i + 1, Col: 1}},
				Status: pipeline.Failed, Err: pipeline.Errorf(code, "no")})
		}
		all := Annotations(s)
		if len(all) != min(n, MostAnnotations) {
			t.Errorf("%d failures make %d annotations", n, len(all))
		}
		if all[1].Title != fmt.Sprintf("item-%d: plan_required", n-1) {
			t.Errorf("of %d failures the second annotation is %q, want the other cause", n, all[1].Title)
		}
		last := all[len(all)-1].Message
		if more := fmt.Sprintf("and %d items more", n-9); n > 10 && !strings.HasPrefix(last, more) {
			t.Errorf("the last of %d says %q, want %q", n, last, more)
		}
	}
}
