package store

import (
	"context"
	"io"

	"dailies/pipeline"
)

// A body is what Put is given, watched on its way. Nothing may be stored before the sender has said that all of it was
// right, and that word is its io.EOF: a fetcher that finds a wrong digest at the very end says so in place of it. So the
// last bytes are held back until the EOF behind them has been seen.
//
// It also remembers the sender's error, which says more than whatever the destination makes of it.
type body struct {
	ctx  context.Context
	from io.Reader
	want int64 // -1: not known
	n    int64 // bytes handed on
	err  error // the sender's, nil for EOF
	done bool
}

func (b *body) Read(p []byte) (int, error) {
	switch {
	case b.err != nil:
		return 0, b.err
	case b.done:
		return 0, io.EOF
	case len(p) == 0:
		return 0, nil
	}
	if err := b.ctx.Err(); err != nil {
		return 0, b.fail(err)
	}
	n, err := b.from.Read(p)
	if err == nil && b.want >= 0 && b.n+int64(n) == b.want {
		var more int
		if more, err = readSome(b.from, make([]byte, 1)); more > 0 {
			return 0, b.fail(b.tooLong())
		}
	}
	switch {
	case b.want >= 0 && b.n+int64(n) > b.want:
		return 0, b.fail(b.tooLong())
	case err == nil:
		b.n += int64(n)
		return n, nil
	case err != io.EOF:
		return 0, b.fail(err)
	case b.want >= 0 && b.n+int64(n) < b.want:
		return 0, b.fail(pipeline.Errorf(pipeline.CodeCorrupt, "%d bytes came, %d were announced", b.n+int64(n), b.want))
	}
	b.n += int64(n)
	b.done = true
	return n, io.EOF
}

func (b *body) fail(err error) error {
	b.err = err
	return err
}

func (b *body) tooLong() error {
	return pipeline.Errorf(pipeline.CodeCorrupt, "more than the %d bytes announced came", b.want)
}

// readSome reads until there is at least one byte, or an error.
func readSome(r io.Reader, p []byte) (n int, err error) {
	for n == 0 && err == nil {
		n, err = r.Read(p)
	}
	return n, err
}
