package fetch

import (
	"errors"
	"io"
	"net/url"
	"strings"
	"time"

	"dailies/pipeline"
)

// A fault is why one connection was of no use, and what may be tried next.
type fault struct {
	code  pipeline.Code
	text  string        // without its where, and without secrets
	cause error         // nil, or one whose own text holds no secret
	stop  bool          // the same URL will not help
	renew int           // how many fresh URLs in a row this is worth; 0: it is not the URL's fault
	after time.Duration // the sender's wish
}

func (f *fault) Error() string { return f.text }

// broken is the fault of a connection that could not be made, or ended with err.
func broken(err error) *fault {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err // the outer text is the whole URL
	}
	f := &fault{code: pipeline.CodeDownload, text: scrub(err.Error())}
	if f.text == err.Error() {
		f.cause = err
	}
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		f.text = "the connection ended early"
	}
	if _, ok := errors.AsType[*redirectError](err); ok || errors.Is(err, errTooManyRedirects) {
		f.stop, f.renew = true, 1 // an expired link has been seen to redirect [SEEN]
	}
	return f
}

// scrub takes the query out of every URL in a text; that is where a signature is.
func scrub(text string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(text, "?")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		end := strings.IndexAny(after, " \t\r\n\"'<>`")
		if end < 0 {
			end = len(after)
		}
		b.WriteByte('?')
		if end > 0 {
			b.WriteString("…")
		}
		text = after[end:]
	}
}
