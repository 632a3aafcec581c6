package progress

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/cheggaaa/pb/v3"
)

// A terminal holds a few lines at its bottom that are drawn over in place. What it writes is whole: the cursor is
// left at the beginning of the line below, so that whatever ends the program leaves nothing odd behind.
type terminal struct {
	width, height func() int
	drawn         []string
}

func (t *terminal) size() (cols, rows int) {
	ask := func(f func() int, otherwise int) int {
		if f != nil {
			if n := f(); n > 0 {
				return n
			}
		}
		return otherwise
	}
	return ask(t.width, 80), ask(t.height, 24)
}

// draw writes the lines to stay above, then frame in place of what was drawn before. It writes nothing when nothing
// has changed. Lines that a narrower terminal has broken in two since they were drawn are counted as it shows them.
func (t *terminal) draw(w *bytes.Buffer, above []byte, frame []string) {
	if len(above) == 0 && slices.Equal(frame, t.drawn) {
		return
	}
	cols, _ := t.size()
	up := 0
	for _, line := range t.drawn {
		up += max(1, (pb.CellCount(line)+cols-1)/cols)
	}
	w.WriteString("\r")
	if up > 0 {
		fmt.Fprintf(w, "\x1b[%dA", up)
	}
	if len(above) > 0 || len(frame) == 0 || up != len(t.drawn) {
		w.WriteString("\x1b[J") // what stays is longer than a line of the frame, or there is none to draw over it
	}
	w.Write(above)
	for _, line := range frame {
		w.WriteString(line + "\x1b[K\n")
	}
	if len(frame) < len(t.drawn) {
		w.WriteString("\x1b[J")
	}
	t.drawn = slices.Clone(frame)
}
