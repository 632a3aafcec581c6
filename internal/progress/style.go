package progress

import (
	"strings"

	"github.com/mattn/go-runewidth"
)

type color string

const (
	plain  color = ""
	red    color = "\x1b[31m"
	green  color = "\x1b[32m"
	yellow color = "\x1b[33m"
	cyan   color = "\x1b[36m"
	dim    color = "\x1b[90m"
	reset        = "\x1b[0m"
)

// A style is what the terminal can show.
type style struct{ color, ascii bool }

func (s style) paint(c color, text string) string {
	if !s.color || c == plain {
		return text
	}
	return string(c) + text + reset
}

// sign is a character, or what stands for it in ASCII.
func (s style) sign(unicode, ascii string) string {
	if s.ascii {
		return ascii
	}
	return unicode
}

// cut shortens text to a number of columns.
func (s style) cut(text string, cols int) string {
	return runewidth.Truncate(text, cols, s.sign("…", "~"))
}

// squeeze shortens a name to a number of columns by leaving out its middle, because names of one family begin alike.
func (s style) squeeze(text string, cols int) string {
	has, tail := runewidth.StringWidth(text), cols/2
	if has <= cols {
		return text
	}
	return s.cut(text, cols-tail) + runewidth.TruncateLeft(text, has-tail, "")
}

// bar gives the elements of a bar, by the names in barTemplate. Its tip is half a column where half is set, so that
// it moves twice as smoothly.
func (s style) bar(half, full bool) map[string]string {
	if s.ascii {
		return map[string]string{"left": "[", "done": "=", "tip": s.tip(full, "=", ">"), "rest": " ", "right": "]", "none": "["}
	}
	tip := s.tip(!half, "━", "╸")
	if !s.color {
		return map[string]string{"left": " ", "done": "━", "tip": tip, "rest": "─", "right": " ", "none": " "}
	}
	done := cyan
	if full {
		done = green
	}
	return map[string]string{
		"left": string(done) + " ", "done": "━", "tip": tip + string(dim), "rest": "─", "right": " " + reset, "none": string(dim) + " ",
	}
}

func (style) tip(whole bool, full, part string) string {
	if whole {
		return full
	}
	return part
}

const between = " · "

// width is how many columns words take, joined.
func width(words []word) int {
	cols := 0
	for i, w := range words {
		if i > 0 {
			cols += 3
		}
		cols += runewidth.StringWidth(w.text)
	}
	return cols
}

// join puts as many words as fit beside each other.
func (s style) join(words []word, cols int) string {
	var b strings.Builder
	for i, w := range words {
		if width(words[:i+1]) > cols {
			if i == 0 {
				b.WriteString(s.paint(w.color, s.cut(w.text, cols)))
			}
			break
		}
		if i > 0 {
			b.WriteString(s.paint(dim, s.sign(between, " - ")))
		}
		b.WriteString(s.paint(w.color, w.text))
	}
	return b.String()
}
