package fetch

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"
)

// A stallError is the end of a connection that was silent for so long.
type stallError time.Duration

func (e stallError) Error() string { return "no byte came for " + time.Duration(e).String() }

var errCrawled = errors.New("the connection crawls")

// crawl is the pace, in bytes a second kept up for the stall time, below which a connection is as good as dead.
const crawl = 256

// A conn is one request and the body that answers it. Its clock runs only while something is awaited from the
// sender: a reader that takes its time is not a stall.
type conn struct {
	body   io.ReadCloser
	ctx    context.Context // the request's
	cancel context.CancelCauseFunc
	dog    *time.Timer // cancels the request, and nothing else
	stall  time.Duration

	bounded bool  // by a Content-Length, so that no more can come than was announced
	gained  int64 // new bytes brought to the reader
	// The pace is measured over windows of at least the stall time spent waiting.
	waited time.Duration
	came   int64
	fair   bool // at least one window was good
}

// dial sends the request under the watch. The answer's body is the conn's to close.
func dial(ctx context.Context, client *http.Client, req *http.Request, stall time.Duration) (*conn, *http.Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	c := &conn{ctx: ctx, cancel: cancel, stall: stall}
	c.dog = time.AfterFunc(stall, func() { cancel(stallError(stall)) })
	resp, err := client.Do(req.WithContext(ctx))
	c.dog.Stop()
	if err != nil {
		err = c.reason(err)
		cancel(nil)
		return nil, nil, err
	}
	c.body, c.bounded = resp.Body, resp.ContentLength >= 0
	return c, resp, nil
}

// Read reads from the body; it allocates nothing.
func (c *conn) Read(p []byte) (int, error) {
	c.dog.Reset(c.stall)
	begin := time.Now()
	n, err := c.body.Read(p)
	c.dog.Stop()
	if err != nil && err != io.EOF {
		return n, c.reason(err)
	}
	c.waited += time.Since(begin)
	c.came += int64(n)
	if err == nil && c.waited >= c.stall {
		if c.came >= int64(crawl*c.stall.Seconds()) {
			c.fair = true
		} else {
			err = errCrawled
		}
		c.waited, c.came = 0, 0
	}
	return n, err
}

// reason is the watch's word where it was the watch that ended the connection.
func (c *conn) reason(err error) error {
	if stalled, ok := errors.AsType[stallError](context.Cause(c.ctx)); ok {
		return stalled
	}
	return err
}

func (c *conn) close() {
	c.dog.Stop()
	c.body.Close()
	c.cancel(nil)
}
