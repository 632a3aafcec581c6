package media

// maxPiece is the longest run of bytes a format may ask a walker to hold.
const maxPiece = 4 << 20

// A walker leads a stream through a format in the pieces the format asks for. step is shown as many bytes as were
// wanted; it says how far to go on from the first of them, which may be less or far more than it was shown, and
// how many it wants to see then. Wanting none ends the walk.
type walker struct {
	step func(b []byte) (advance int64, want int)
	want int
	held []byte
	skip int64
}

// Write implements io.Writer; it never fails.
func (w *walker) Write(p []byte) (int, error) {
	n := len(p)
	for w.want > 0 {
		if w.skip > 0 {
			k := min(w.skip, int64(len(p)))
			p, w.skip = p[k:], w.skip-k
			if w.skip > 0 {
				break
			}
		}
		if missing := w.want - len(w.held); missing > 0 {
			k := min(missing, len(p))
			w.held = append(w.held, p[:k]...)
			p = p[k:]
			if k < missing {
				break
			}
		}
		before := w.want
		advance, want := w.step(w.held[:w.want])
		if advance < 0 || advance == 0 && want <= before || want > maxPiece {
			want = 0 // a walk that does not get on is over
		}
		w.want = want
		if advance >= int64(len(w.held)) {
			w.skip, w.held = advance-int64(len(w.held)), w.held[:0]
		} else {
			w.held = w.held[:copy(w.held, w.held[advance:])]
		}
	}
	if w.want == 0 {
		w.held = nil
	}
	return n, nil
}
