package scenario

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"dailies/pipeline"
)

const (
	answerTime  = time.Minute     // for one exchange; the official SDKs' own [DOC]
	receiptTime = 2 * time.Minute // for a submit: giving up early leaves a purchase in doubt
	receiptWait = 3 * time.Second // for a receipt on its way when the caller has given up

	maxAnswer      = 16 << 20 // a page of 200 jobs is some 400 KB
	maxErrorAnswer = 64 << 10
)

// A call is one request, before it is sent.
type call struct {
	kind     string // for Requests
	about    string // what the caller wants, for messages: "job job_..."
	priority priority
	method   string
	path     []string
	query    url.Values
	body     func() (r io.Reader, size int64) // JSON, made when the turn has come; nil for none
	last     func(context.Context) error      // asked before any of the body leaves; nil lets it
}

func jsonBody(v any) func() (io.Reader, int64) { return rawBody(pipeline.Canonical(v)) }

func rawBody(b []byte) func() (io.Reader, int64) {
	return func() (io.Reader, int64) { return bytes.NewReader(b), int64(len(b)) }
}

// An answer is what came back, read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
	sentAt time.Time // when the limiter let it go
}

// A failure is an exchange that brought no whole answer.
type failure struct {
	err   error // scrubbed: no URL
	left  bool  // something of the request may have reached the API
	ended bool  // by the caller's context, not by the API or the time limit
}

// exchange sends a request once and reads the answer, within the given time. When the caller's context ends after
// the request has left, the answer is given grace to arrive.
func (c *Client) exchange(ctx context.Context, client *http.Client, rq call, limit, grace time.Duration) (*answer, *failure) {
	ended := func(err error) *failure { return &failure{err: err, ended: true} }
	sentAt, err := c.turn(ctx, rq.priority)
	if err != nil {
		return nil, ended(err)
	}

	sending, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), limit, errNoAnswer)
	defer cancel()
	var way passage
	sending = httptrace.WithClientTrace(sending, way.trace())
	stop := context.AfterFunc(ctx, func() {
		if way.maybeSent() && grace > 0 {
			select {
			case <-time.After(grace):
			case <-sending.Done():
			}
		}
		cancel()
	})
	defer stop()
	stopLife := context.AfterFunc(c.life, cancel)
	defer stopLife()

	req, err := c.request(sending, rq, &way)
	if err != nil {
		return nil, &failure{err: err}
	}
	switch {
	case ctx.Err() != nil:
		return nil, ended(context.Cause(ctx))
	case c.life.Err() != nil:
		return nil, ended(errClosed)
	}
	if rq.last != nil {
		if err := rq.last(sending); err != nil {
			return nil, ended(err)
		}
	}
	c.count(rq.kind)
	began, status := time.Now(), 0
	defer func() { c.exchanged(rq.kind, status, time.Since(began)) }()
	resp, err := client.Do(req)
	var body []byte
	if err == nil {
		defer drain(resp.Body)
		status = resp.StatusCode
		c.hear(resp, began)
		if resp.StatusCode != http.StatusTooManyRequests {
			c.limiter.granted()
		}
		most := int64(maxAnswer)
		if resp.StatusCode >= 300 {
			most = maxErrorAnswer
		}
		body, err = readAtMost(resp.Body, most)
		if resp.StatusCode >= 300 {
			err = nil // a refusal is one, however little of its text came through
		}
	}
	if err != nil {
		f := &failure{err: scrub(err), left: resp != nil || way.left(err)}
		switch {
		case way.refusal() != nil:
			f.err, f.ended, f.left = way.refusal(), true, false
		case ctx.Err() != nil:
			f.err, f.ended = context.Cause(ctx), true
		case c.life.Err() != nil:
			f.err, f.ended = errClosed, true
		case context.Cause(sending) == errNoAnswer:
			f.err = fmt.Errorf("%w within %s", errNoAnswer, pipeline.Span(limit))
		}
		return nil, f
	}
	return &answer{status: resp.StatusCode, header: resp.Header, body: body, sentAt: sentAt}, nil
}

var errNoAnswer = errors.New("no answer")

// turn waits for the limiter, as long as the client lives.
func (c *Client) turn(ctx context.Context, p priority) (time.Time, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(c.life, func() { cancel(errClosed) })()
	return c.limiter.wait(ctx, p)
}

func (c *Client) request(ctx context.Context, rq call, way *passage) (*http.Request, error) {
	u := c.base.JoinPath(rq.path...)
	q := url.Values{}
	for k, v := range rq.query {
		q[k] = v
	}
	if c.project != "" {
		q.Set("projectId", c.project)
	}
	u.RawQuery = q.Encode()
	req, err := http.NewRequestWithContext(ctx, rq.method, u.String(), nil)
	if err != nil {
		return nil, scrub(err)
	}
	if rq.body != nil {
		// A body that cannot be rewound is what keeps net/http from sending it again.
		body, size := rq.body()
		req.Body = io.NopCloser(&watchedReader{r: body, way: way, last: func() error {
			if rq.last == nil {
				return nil
			}
			return rq.last(ctx)
		}})
		req.ContentLength = size
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Authorization", c.auth)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", c.userAgent)
	return req, nil
}

// passage observes how far a request came.
type passage struct {
	wanted   atomic.Bool // the transport began to look for a connection, and says so
	got      atomic.Bool // it had one: from here on bytes may have left
	bodyRead atomic.Bool
	refused  atomic.Pointer[error] // the last look's: none of the body has left

	conn   atomic.Pointer[witness] // the connection it had, if that can tell what was written
	before int64                   // writes until then
}

func (p *passage) refusal() error {
	if err := p.refused.Load(); err != nil {
		return *err
	}
	return nil
}

func (p *passage) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GetConn: func(string) { p.wanted.Store(true) },
		GotConn: func(info httptrace.GotConnInfo) {
			if w := witnessOf(info.Conn); w != nil {
				p.before = w.writes.Load()
				p.conn.Store(w)
			}
			p.got.Store(true)
		},
	}
}

// maybeSent is the cautious guess while the request is under way.
func (p *passage) maybeSent() bool { return p.got.Load() || !p.wanted.Load() }

// left reports whether anything of the request may have reached the peer, once it has failed and its connection is
// closed. Looking up a name, dialling and shaking hands come before a connection is had; a connection that was kept
// from an earlier request may turn out to be dead before the first byte is written. A transport that tells nothing of
// connections is believed only where its error is one of those and it has not touched the body.
func (p *passage) left(err error) bool {
	if w := p.conn.Load(); w != nil {
		return w.writes.Load() != p.before
	}
	if p.wanted.Load() {
		return p.got.Load()
	}
	op, dial := errors.AsType[*net.OpError](err)
	_, dns := errors.AsType[*net.DNSError](err)
	return p.bodyRead.Load() || !dns && !(dial && op.Op == "dial")
}

// watchedReader is a body on its way. The first of it leaves only after the last look.
type watchedReader struct {
	r    io.Reader
	way  *passage
	last func() error
}

func (w *watchedReader) Read(b []byte) (int, error) {
	if w.last != nil {
		if err := w.last(); err != nil {
			w.way.refused.Store(&err)
			return 0, err
		}
		w.last = nil
	}
	w.way.bodyRead.Store(true)
	return w.r.Read(b)
}

// readAtMost reads a body of at most that many bytes.
func readAtMost(r io.Reader, most int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, most+1))
	if err == nil && int64(len(b)) > most {
		return nil, fmt.Errorf("the answer is larger than %s", pipeline.Size(most))
	}
	return b, err
}

// drain lets the connection be used again when little is left to read.
func drain(body io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, body, 4<<10)
	_ = body.Close()
}

// scrub takes the URL out of what net/http says: it may be signed, and its query names the project.
func scrub(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// ask sends a request that costs nothing and decodes the answer into out.
func (c *Client) ask(ctx context.Context, rq call, out any) error {
	a, f := c.exchange(ctx, c.http, rq, answerTime, 0)
	if f != nil {
		return c.broken(rq, f)
	}
	if a.status >= 300 {
		return c.refusal(rq, a)
	}
	if err := json.Unmarshal(a.body, out); err != nil {
		return c.unreadable(rq, a)
	}
	return nil
}

// broken says what a failed exchange means where nothing is bought.
func (c *Client) broken(rq call, f *failure) *pipeline.Error {
	if f.ended {
		return interrupted(rq, f)
	}
	return &pipeline.Error{Code: pipeline.CodeAPIUnavailable, Refused: !f.left, Err: f.err,
		Message: fmt.Sprintf("%s: %s", rq.about, c.clean(f.err.Error()))}
}

// interrupted passes on why the caller's context ended.
func interrupted(rq call, f *failure) *pipeline.Error {
	code := pipeline.CodeInterrupted
	if e, ok := errors.AsType[*pipeline.Error](f.err); ok {
		code = e.Code
	}
	return &pipeline.Error{Code: code, Refused: !f.left, Err: f.err, Message: rq.about + ": " + f.err.Error()}
}

func (c *Client) unreadable(rq call, a *answer) *pipeline.Error {
	return &pipeline.Error{Code: pipeline.CodeAPIUnreadable, Err: &APIError{Status: a.status},
		Message: fmt.Sprintf("%s: the answer (status %d, %s) is not what the API documents", rq.about, a.status, contentOf(a))}
}

// contentOf describes an answer that could not be read, without repeating it.
func contentOf(a *answer) string {
	if len(a.body) == 0 {
		return "empty"
	}
	mime, _, _ := strings.Cut(a.header.Get("Content-Type"), ";")
	if mime = pipeline.Plain(mime); mime == "" {
		mime = "no type"
	}
	return fmt.Sprintf("%s, %s", mime, pipeline.Size(int64(len(a.body))))
}

// clean makes text from elsewhere fit for an error: one line, not long, without the credentials.
func (c *Client) clean(text string) string {
	const most = 500
	text = pipeline.Plain(c.secrets.Replace(unsigned(text)))
	if r := []rune(text); len(r) > most {
		text = string(r[:most]) + "…"
	}
	return text
}

// unsigned cuts the query from every URL in a text.
func unsigned(text string) string {
	if !strings.Contains(text, "://") {
		return text
	}
	words := strings.Fields(text)
	for i, w := range words {
		if !strings.Contains(w, "://") {
			continue
		}
		if before, _, cut := strings.Cut(w, "?"); cut {
			words[i] = before + "?…"
		}
	}
	return strings.Join(words, " ")
}
