package report

import (
	"fmt"
	"io"
	"strings"

	"dailies/pipeline"
)

// An Annotation is a line of a CI job's log that GitHub shows beside the place in the file it is about.
type Annotation struct {
	Level   string // error or warning
	At      pipeline.Position
	Title   string
	Message string
}

// MostAnnotations is how many there are of one step at most: GitHub shows no more than ten of a kind.
const MostAnnotations = 10

// Annotations are what to say of a run in the files it is about: each cause of failure first with one item, then with
// others as long as there is room, and how many there was none for.
func Annotations(s *pipeline.Summary) []Annotation {
	var all []Annotation
	if n := s.Totals.Running + s.Totals.Unknown; n > 0 {
		all = append(all, Annotation{Level: "warning", Title: "dailies: still generating",
			Message: pipeline.Count(n, "item") + " may still be generating: run the same command again, and what is paid for is collected"})
	}
	if s.Stop != nil {
		all = append(all, Failure(s.Stop))
	}
	groups, left := causes(s), 0
	for _, c := range groups {
		left += len(c.outcomes)
	}
	for round := 0; left > 0; round++ {
		for _, c := range groups {
			if round >= len(c.outcomes) {
				continue
			}
			if len(all) >= MostAnnotations-1 && left > 1 {
				return append(all, Annotation{Level: "error", Title: "dailies",
					Message: fmt.Sprintf("and %s more to look at: the job summary and results.json have them all", pipeline.Count(left, "item"))})
			}
			all = append(all, annotationOf(c.outcomes[round]))
			left--
		}
	}
	return all
}

func annotationOf(o *pipeline.Outcome) Annotation {
	a := Annotation{Level: "error", At: o.Item.At, Title: fmt.Sprintf("%s: %s", o.Item.ID, o.Status), Message: string(o.Status)}
	if o.Err != nil {
		a.Title = fmt.Sprintf("%s: %s", o.Item.ID, o.Err.Code)
		a.Message = o.Err.Message + "\nhint: " + o.Err.HintText()
	}
	return a
}

// Failure is an error that is about no item.
func Failure(e *pipeline.Error) Annotation {
	return Annotation{Level: "error", At: e.At, Title: "dailies: " + string(e.Code), Message: e.Message + "\nhint: " + e.HintText()}
}

// WriteAnnotations writes workflow commands, a line each. Nothing in them can end a line or begin another command.
func WriteAnnotations(w io.Writer, all []Annotation) error {
	var b strings.Builder
	for _, a := range all {
		fmt.Fprintf(&b, "::%s ", a.Level)
		if a.At.Line > 0 {
			fmt.Fprintf(&b, "file=%s,line=%d,col=%d,", commandProperty(a.At.File), a.At.Line, a.At.Col)
		}
		fmt.Fprintf(&b, "title=%s::%s\n", commandProperty(a.Title), commandData.Replace(plainLines(a.Message)))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// What workflow commands take in the place of the characters they are made of.
var (
	commandData       = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	commandProperties = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

func commandProperty(s string) string { return commandProperties.Replace(pipeline.Plain(s)) }

// plainLines makes text of others fit to be shown, line by line, at a length a person reads.
func plainLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = shorten(pipeline.Plain(l), 1000)
	}
	return strings.Join(lines, "\n")
}
