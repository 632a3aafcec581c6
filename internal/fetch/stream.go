package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"sync"
	"time"

	"dailies/internal/retry"
	"dailies/pipeline"
)

// seamSize is how much of what was already read is fetched again with every new connection and compared: proof, where
// a validator only claims it, that the two belong together.
const seamSize = 512

// freshEvery keeps a server that refuses every URL from causing a flood of API requests.
const freshEvery = 2 * time.Second

// A stream is one file on its way, over as many connections as that takes. Read is for one goroutine; Close may come
// from another and ends a Read in progress.
type stream struct {
	f      *Fetcher
	ctx    context.Context
	cancel context.CancelFunc
	asset  pipeline.Asset
	fresh  func(context.Context) (pipeline.Asset, error)

	mu  sync.Mutex // held by Read and, once ctx is canceled, by Close
	end error      // what Read says from now on

	size   int64   // of the whole file; -1 while nobody told
	opened bool    // the caller has been told the size
	at     int64   // bytes read so far
	is     version // which file that is
	digest *digest // nil: the sender gave none
	seam   []byte  // the last bytes read, at most seamSize
	conn   *conn   // nil: none now

	lost       *fault    // why the last connection is gone; nil before that
	dry        bool      // it brought nothing
	crawls     int       // connections in a row given up for their pace
	renewals   int       // fresh URLs in a row that brought no new byte
	renewedAt  time.Time // when fresh was last asked
	clockWrong bool      // a fresh URL looked expired too: it must be this machine's clock
}

func newStream(ctx context.Context, f *Fetcher, asset pipeline.Asset, fresh func(context.Context) (pipeline.Asset, error)) *stream {
	ctx, cancel := context.WithCancel(ctx)
	s := &stream{f: f, ctx: ctx, cancel: cancel, asset: asset, fresh: fresh, size: -1, seam: make([]byte, 0, seamSize)}
	if asset.Bytes > 0 {
		s.size = asset.Bytes
	}
	return s
}

// open makes the first connection.
func (s *stream) open() error {
	err := s.persist(s.connect)
	s.opened = err == nil
	return err
}

// Read implements io.Reader. A connection's bytes go straight into p.
func (s *stream) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end != nil || len(p) == 0 {
		return 0, s.end
	}
	if s.conn != nil {
		n, err := s.pull(p)
		if err == nil || err == io.EOF {
			s.end = err
			return n, err
		}
	}
	n, err := s.readAnew(p)
	s.end = err
	return n, err
}

// readAnew is Read once the connection is lost.
func (s *stream) readAnew(p []byte) (n int, err error) {
	err = s.persist(func() error {
		err := s.connect()
		if err == nil {
			n, err = s.pull(p)
		}
		return err
	})
	return n, err
}

// Close implements io.Closer. It releases the connection, whatever state the stream is in.
func (s *stream) Close() error {
	s.cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hangUp()
	if s.end == nil {
		s.end = fs.ErrClosed
	}
	return nil
}

// persist tries op until it brings the stream forward. A connection that was just lost without having done so
// was the first attempt.
func (s *stream) persist(op func() error) error {
	attempts := 0
	err := retry.Do(s.ctx, s.f.policy, func(attempt int) error {
		attempts = attempt
		if attempt == 1 && s.lost != nil && (s.dry || s.lost.stop) {
			return s.lost
		}
		return op()
	}, s.verdict)
	if err == nil || err == io.EOF {
		return err
	}
	if s.ctx.Err() != nil {
		return s.interrupted()
	}
	if f, ok := errors.AsType[*fault](err); ok {
		e := pipeline.Errorf(f.code, "%s: %s %s", s.asset.ID, f.text, s.where())
		if attempts > 1 {
			e.Message += fmt.Sprintf(" (%d attempts without a new byte)", attempts)
		}
		e.Err, e.RetryAfter = f.cause, f.after
		return e
	}
	return pipeline.AsError(err)
}

func (s *stream) verdict(err error) retry.Verdict {
	f, ok := errors.AsType[*fault](err)
	switch {
	case !ok: // the end, or fresh's own error, which the caller has tried to avoid as often as it likes
		return retry.Verdict{}
	case s.renewable(f):
		return retry.Verdict{Again: true, After: max(f.after, time.Until(s.renewedAt.Add(freshEvery)))}
	}
	return retry.Verdict{Again: !f.stop, After: f.after}
}

// renewable tells whether a fault is worth one more fresh URL.
func (s *stream) renewable(f *fault) bool {
	return f != nil && s.fresh != nil && s.renewals < f.renew
}

// connect finds the file from byte s.at on.
func (s *stream) connect() error {
	if s.lost != nil {
		s.f.notice(fmt.Sprintf("%s: %s %s; connecting again", s.asset.ID, s.lost.text, s.where()))
	}
	if err := s.renew(); err != nil {
		return err
	}
	from := s.at - int64(len(s.seam))
	req, f := s.request(from)
	if f != nil {
		return s.lose(f)
	}
	c, resp, err := dial(s.ctx, s.f.client, req, s.f.stall)
	if err != nil {
		return s.lose(broken(err))
	}
	s.conn = c
	a, f := read(resp, s.asset, from)
	if f == nil && s.at == 0 {
		f = s.begin(a, resp)
	} else if f == nil {
		f = s.join(a)
	}
	if f != nil {
		return s.lose(f)
	}
	s.f.closest.note(s.asset)
	return nil
}

// renew asks for a fresh URL where the one at hand was refused, or is about to be.
func (s *stream) renew() error {
	ending := s.fresh != nil && !s.clockWrong && expiring(s.asset.URL)
	if !ending && !s.renewable(s.lost) {
		return nil
	}
	s.renewals++
	s.renewedAt = time.Now()
	a, err := s.fresh(s.ctx)
	switch {
	case err != nil:
		return err
	case a.Broken:
		return s.lose(&fault{code: pipeline.CodeAssetFailed, text: "the API now says that the asset failed", stop: true})
	case a.URL == "":
		return s.lose(&fault{code: pipeline.CodeURLExpired, text: "the API gave no fresh link", stop: true})
	}
	s.asset.URL = a.URL
	if !s.opened && a.Bytes > 0 {
		s.asset.MIME, s.size = a.MIME, a.Bytes
	}
	s.clockWrong = expiring(a.URL)
	return nil
}

func expiring(rawURL string) bool {
	end, known := Expiry(rawURL)
	return known && time.Until(end) < expiryMargin
}

func (s *stream) request(from int64) (*http.Request, *fault) {
	u, err := url.Parse(s.asset.URL)
	if err != nil || !fine(u) {
		return nil, &fault{code: pipeline.CodeDownload, text: "its link is not an https one", stop: true}
	}
	u.User = nil // would become an Authorization header
	header := http.Header{
		"Accept-Encoding": {"identity"}, // sizes and ranges are those of the file itself
		"User-Agent":      {"dailies"},
	}
	if from > 0 {
		header.Set("Range", fmt.Sprintf("bytes=%d-", from))
		if condition := s.is.condition(); condition != "" {
			header.Set("If-Range", condition)
		}
	}
	return &http.Request{Method: http.MethodGet, URL: u, Host: u.Host, Header: header}, nil
}

// begin takes an answer that nothing has been read of yet for what the file is.
func (s *stream) begin(a answer, resp *http.Response) *fault {
	switch {
	case a.size == 0:
		return empty()
	case s.size >= 0 && a.size >= 0 && a.size != s.size:
		return &fault{code: pipeline.CodeCorrupt, stop: true, renew: 1,
			text: fmt.Sprintf("%d bytes were announced and the server has %d", s.size, a.size)}
	}
	s.is, s.digest = a.version, nil
	if resp.StatusCode == http.StatusOK {
		s.digest = digestOf(resp.Header)
	}
	if s.size < 0 {
		s.size = a.size
	}
	return nil
}

func empty() *fault {
	return &fault{code: pipeline.CodeCorrupt, text: "the file came empty", renew: 1}
}

// join makes sure that an answer is of the file already begun, and leads the connection up to what is still to
// be read.
func (s *stream) join(a answer) *fault {
	from := s.at - int64(len(s.seam))
	switch {
	case s.is.differs(a.version), s.size >= 0 && a.size >= 0 && a.size != s.size:
		return changed("the file was replaced by another while it was being read")
	case a.from < from && !s.is.same(a.version):
		return changed("the server began the file anew without proof that it is the same")
	}
	if _, err := io.CopyN(io.Discard, s.conn, from-a.from); err != nil {
		return broken(err)
	}
	var again [seamSize]byte
	if _, err := io.ReadFull(s.conn, again[:len(s.seam)]); err != nil {
		return broken(err)
	}
	if !bytes.Equal(again[:len(s.seam)], s.seam) {
		return changed("bytes already read are different now")
	}
	return nil
}

func changed(text string) *fault {
	return &fault{code: pipeline.CodeCorrupt, text: text, stop: true}
}

// pull reads from the connection at hand. Its error is io.EOF, once all is known to be right, or a fault; a
// connection that is lost after it brought something is no error yet.
func (s *stream) pull(p []byte) (int, error) {
	if s.size >= 0 {
		p = p[:min(int64(len(p)), s.size-s.at)]
	}
	n, err := s.conn.Read(p)
	if n > 0 {
		s.take(p[:n])
	}
	switch {
	case s.at == s.size, s.size < 0 && err == io.EOF && s.at > 0:
		if f := s.finish(err); f != nil {
			return 0, s.lose(f)
		}
		s.hangUp()
		return n, io.EOF
	case err == nil:
		return n, nil
	}
	f := broken(err)
	switch {
	case err == io.EOF && s.at == 0:
		f = empty()
	case err == io.EOF:
		f.code, f.text = pipeline.CodeCorrupt, "the server ended the file early"
	case errors.Is(err, errCrawled):
		if s.conn.fair {
			s.crawls = 0
		}
		s.crawls++
		f.stop = s.crawls >= s.f.policy.Attempts
	default:
		s.crawls = 0
	}
	s.lose(f)
	if n > 0 {
		return n, nil
	}
	return 0, f
}

// take counts bytes in.
func (s *stream) take(p []byte) {
	s.at += int64(len(p))
	s.conn.gained += int64(len(p))
	s.renewals = 0
	if s.digest != nil {
		s.digest.Write(p)
	}
	if over := len(s.seam) + len(p) - seamSize; over >= len(s.seam) {
		s.seam = append(s.seam[:0], p[max(0, len(p)-seamSize):]...)
	} else {
		s.seam = append(s.seam[:copy(s.seam, s.seam[max(0, over):])], p...)
	}
}

// finish checks the whole, err being what came with its last byte. After that byte a connection that ends badly, or
// not at all, does no harm any more.
func (s *stream) finish(err error) *fault {
	if err == nil && !s.conn.bounded {
		var more [1]byte
		if n, _ := io.ReadFull(s.conn, more[:]); n > 0 {
			return changed("the server sends more than the bytes announced")
		}
	}
	if s.digest != nil && !s.digest.right() {
		return changed("the bytes do not match the server's own " + s.digest.name)
	}
	return nil
}

// lose gives the connection up for f.
func (s *stream) lose(f *fault) error {
	s.dry = s.conn == nil || s.conn.gained == 0
	s.lost = f
	s.hangUp()
	return f
}

func (s *stream) hangUp() {
	if s.conn != nil {
		s.conn.close()
		s.conn = nil
	}
}

func (s *stream) where() string {
	if s.size < 0 {
		return fmt.Sprintf("at byte %d", s.at)
	}
	return fmt.Sprintf("at byte %d of %d", s.at, s.size)
}

// interrupted is the error of a stream whose context ended.
func (s *stream) interrupted() error {
	cause := context.Cause(s.ctx)
	if e, ok := errors.AsType[*pipeline.Error](cause); ok {
		return e
	}
	return &pipeline.Error{Code: pipeline.CodeInterrupted, Message: s.asset.ID + ": stopped " + s.where(), Err: cause}
}
