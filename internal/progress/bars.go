package progress

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/cheggaaa/pb/v3"
	"github.com/mattn/go-runewidth"

	"dailies/pipeline"
)

const (
	redraw  = 100 * time.Millisecond // ten times a second, no more
	maxRows = 6                      // models with a row of their own
)

// Bars are for a terminal: a bar for the batch and one for each of a few models, drawn over and over in place, and
// above them, to stay, what failed and what should be known. At the end the bars go and what is above them stays.
//
// pb draws each bar; pb's own pool is not used, because it takes the terminal's echo and the process's signals,
// and because what stays must be written by the same hand as what is drawn over.
type bars struct {
	failures
	label     string
	simulated bool
	term      terminal
	style     style
	bar       *pb.ProgressBar

	above   bytes.Buffer // lines to stay, not yet written
	planned bool
	words   int // the widest text beside a bar so far, so that the bars keep their length
	width   int // for which that holds
}

func newBars(o Options) *bars {
	b := &bars{label: pipeline.Plain(o.Batch), simulated: o.Simulated, style: style{o.Color, o.ASCII}}
	if b.label == "" {
		b.label = "all"
	}
	b.term = terminal{width: o.Width, height: o.Height}
	b.bar = pb.New(granules).SetTemplate(barTemplate).SetWriter(io.Discard)
	return b
}

func (b *bars) period() time.Duration { return redraw }

func (b *bars) event(_ *bytes.Buffer, e pipeline.Event, _ *tally) {
	switch e.Kind {
	case pipeline.EventPlanned:
		b.planned = true
	case pipeline.EventNotice:
		fmt.Fprintf(&b.above, "%s %s%s\n", b.style.paint(yellow, b.style.sign("!", "!")), subject(e.Item), cut(pipeline.Plain(e.Message)))
	case pipeline.EventDone:
		if worthALine(e.Outcome) {
			sign := b.style.paint(red, b.style.sign("✗", "x"))
			for _, text := range b.failure(e) {
				fmt.Fprintf(&b.above, "%s %s\n", sign, text)
				sign = " "
			}
		}
	}
}

func (b *bars) tick(w *bytes.Buffer, now time.Time, t *tally) {
	cols, rows := b.term.size()
	var frame []string
	if b.planned {
		frame = b.frame(now, t, cols-1, rows-2) // the last column is left free: some terminals wrap at it
	}
	b.term.draw(w, b.above.Bytes(), frame)
	b.above.Reset()
}

func (b *bars) end(w *bytes.Buffer, _ time.Time, _ *tally) {
	b.term.draw(w, b.above.Bytes(), nil)
	b.above.Reset()
}

// A row is a label, a bar, a count, and words in the order of their worth: what does not fit is left out from the end.
type row struct {
	label string
	done  float64
	count string
	words []word
}

type word struct {
	text  string
	color color
}

// frame composes the rows for a number of columns, in no more than a number of lines.
func (b *bars) frame(now time.Time, t *tally, cols, lines int) []string {
	of, all := t.advances(now)
	rows := append([]row{b.whole(now, t, all)}, b.models(t, of, min(lines-1, maxRows))...)
	var label, count, words int
	for _, r := range rows {
		label, count = max(label, runewidth.StringWidth(r.label)), max(count, len(r.count))
		words = max(words, width(r.words))
	}
	if b.width != cols {
		b.width, b.words = cols, 0
	}
	b.words = max(b.words, words)
	l := layOut(cols, label, count, b.words)
	var frame []string
	for i, r := range rows {
		frame = append(frame, b.line(r, l))
		if i == 0 && l.words == 0 && len(rows) < lines {
			frame = append(frame, b.style.join(r.words, cols)) // too narrow: the words below the bar
		}
	}
	return frame[:max(min(len(frame), lines), 1)]
}

// A layout is how many columns each part of a row has, 0 for none.
type layout struct{ label, bar, count, words int }

func layOut(cols, label, count, words int) layout {
	const gap, leastBar, mostBar, leastWords = 2, 12, 40, 16
	l := layout{label: min(label, max(cols/4, 6), 24), count: count}
	rest := cols - l.label - l.count - 2 // a bar has ends of its own
	switch {
	case rest < leastBar: // no room for a bar
		l.label = max(cols-l.count-1, 0)
	case rest-gap-leastBar < leastWords: // for a bar and nothing else
		l.bar = rest
	default:
		l.bar = min(max(rest-gap-words, leastBar), mostBar)
		l.words = rest - gap - l.bar
	}
	return l
}

func (b *bars) line(r row, l layout) string {
	line := runewidth.FillRight(b.style.squeeze(r.label, l.label), l.label) + " "
	if l.bar > 0 {
		line += b.draw(r.done, l.bar) + " "
	}
	line += fmt.Sprintf("%*s", l.count, r.count)
	if l.words > 0 {
		line += "  " + b.style.join(r.words, l.words)
	}
	return pb.StripString(strings.TrimRight(line, " "), max(b.width, 1))
}

func (b *bars) whole(now time.Time, t *tally, done float64) row {
	r := row{label: b.label, done: done, count: fmt.Sprintf("%d/%d", t.done, t.items)}
	if n := t.failed(); n > 0 {
		r.words = append(r.words, word{fmt.Sprintf("%d failed", n), red})
	}
	if left := t.leftWords(now); left != "" {
		r.words = append(r.words, word{"~" + left, plain})
	}
	spent := t.spent.String()
	if t.budget != pipeline.Unlimited {
		spent += "/" + t.budget.String()
	}
	r.words = append(r.words, word{spent + " CU", plain})
	if b.simulated {
		r.words = append(r.words, word{"sandbox", yellow})
	}
	if t.bytes > 0 {
		r.words = append(r.words, word{pipeline.Size(t.bytes), plain})
	}
	r.words = append(r.words, word{pipeline.Span(now.Sub(t.started)), dim})
	return r
}

// models makes a row for each model. Of too many, those that have ended go first, and one row stands for the rest.
func (b *bars) models(t *tally, of map[*group]float64, most int) []row {
	if most < 1 {
		return nil
	}
	phasesOf, _ := t.phases()
	shown, rest := t.groups, []*group(nil)
	if len(t.groups) > most {
		shown = nil
		for _, g := range t.groups {
			if g.done < g.items && len(shown) < most-1 {
				shown = append(shown, g)
			} else {
				rest = append(rest, g)
			}
		}
	}
	var rows []row
	for _, g := range shown {
		r := row{label: " " + pipeline.ModelName(g.model), done: of[g], count: fmt.Sprintf("%d/%d", g.done, g.items)}
		if g.failed > 0 {
			r.words = append(r.words, word{fmt.Sprintf("%d failed", g.failed), red})
		}
		for _, text := range phasesOf[g].words() {
			r.words = append(r.words, word{text, dim})
		}
		rows = append(rows, r)
	}
	if len(rest) > 0 {
		r := row{label: fmt.Sprintf(" %d more models", len(rest))}
		var items, done int
		var sum phases
		for _, g := range rest {
			items, done = items+g.items, done+g.done
			r.done += of[g] * float64(g.items)
			sum.add(*phasesOf[g])
		}
		r.done /= float64(max(items, 1))
		r.count = fmt.Sprintf("%d/%d", done, items)
		for _, text := range sum.words() {
			r.words = append(r.words, word{text, dim})
		}
		rows = append(rows, r)
	}
	return rows
}

// granules is how finely a bar counts.
const granules = 1_000_000

// The elements' texts are values, so that one template serves every style. They are, in pb's order: left end, done,
// tip, to do, right end, and the left end when nothing is done.
const barTemplate pb.ProgressBarTemplate = `{{bar . (string . "left") (string . "done") (string . "tip") (string . "rest") (string . "right") (string . "none")}}`

// draw draws one bar of that many columns.
func (b *bars) draw(done float64, cols int) string {
	inner := float64(cols - 2)
	value := int64(min(max(done, 0), 1) * granules)
	exact := float64(value) / granules * inner
	half := exact > 0 && exact-(math.Ceil(exact)-1) <= 0.5
	for part, text := range b.style.bar(half, value == granules) {
		b.bar.Set(part, text)
	}
	return b.bar.SetWidth(cols).SetCurrent(value).String()
}
