package progress

import (
	"strconv"
	"strings"
	"testing"

	"github.com/mattn/go-runewidth"
)

// A screen shows what a terminal of some width would, for the few sequences that bars use. Lines that leave at the
// top are kept, as in a scroll-back.
type screen struct {
	t       *testing.T
	cols    int
	lines   []string
	row     int
	writes  int
	wrapped bool // a line was longer than the screen is wide
}

func (s *screen) Write(p []byte) (int, error) {
	s.writes++
	text := string(p)
	for text != "" {
		switch {
		case strings.HasPrefix(text, "\x1b["):
			end := strings.IndexFunc(text[2:], func(r rune) bool { return r >= '@' }) + 2
			s.control(text[end], text[2:end])
			text = text[end+1:]
		case text[0] == '\n':
			s.row++
			text = text[1:]
		case text[0] == '\r':
			text = text[1:]
		default:
			line := text
			if end := strings.IndexAny(text, "\n\r"); end >= 0 {
				line = text[:end]
			}
			text = text[len(line):]
			s.line(line)
		}
	}
	return len(p), nil
}

func (s *screen) control(final byte, args string) {
	n, _ := strconv.Atoi(args)
	switch final {
	case 'A':
		if s.row -= n; s.row < 0 {
			s.t.Errorf("the cursor leaves the screen at the top")
			s.row = 0
		}
	case 'J':
		s.lines = s.lines[:min(s.row, len(s.lines))]
	case 'K', 'm':
	default:
		s.t.Errorf("sequence %q is not known to every terminal", args+string(final))
	}
}

// line puts text at the cursor. The cursor is always at the beginning of a line, and text always ends one.
func (s *screen) line(text string) {
	text = colors.ReplaceAllString(strings.TrimSuffix(text, "\x1b[K"), "")
	for len(s.lines) <= s.row {
		s.lines = append(s.lines, "")
	}
	s.lines[s.row] = text
	for rest := runewidth.StringWidth(text) - s.cols; rest > 0; rest -= s.cols {
		s.wrapped = true
		s.row++ // the terminal shows the rest on further rows
		for len(s.lines) <= s.row {
			s.lines = append(s.lines, "")
		}
		s.lines[s.row] = ""
	}
}

func (s *screen) text() string {
	var lines []string
	for _, l := range s.lines {
		if l != "" {
			lines = append(lines, strings.TrimRight(l, " "))
		}
	}
	return strings.Join(lines, "\n")
}
