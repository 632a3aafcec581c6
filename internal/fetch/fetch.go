// Package fetch turns the signed URL of an asset into its bytes.
//
// It promises that a stream ends with io.EOF only when every byte announced has been read and, where the sender
// gave a digest, has been proven right; that a cut, a stall or an expired URL costs a new connection and not the
// bytes already read; and that bytes of two different files are never joined. The last bytes of a stream are
// withheld until the whole is known to be right, so that no reader can mistake a broken file for a finished one.
//
// It refuses plain http (a loopback address excepted, and only when the asset's own URL is one), redirects to
// anything but that, and encoded bodies. It sends no credentials, cookies or referrer, and no URL it is
// given appears in an error or a notice with its query.
package fetch

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"dailies/internal/retry"
	"dailies/pipeline"
)

// Options change how a Fetcher works; the zero value is what a run uses.
type Options struct {
	Transport http.RoundTripper // nil: one of its own, tuned for bulk downloads
	Stall     time.Duration     // a connection that brings no byte for so long is dead; default 30 s
	Attempts  int               // consecutive attempts without a new byte before giving up; default 6
	Notice    func(string)      // told, in one line, of every connection that had to be replaced; may be nil
}

const (
	defaultStall    = 30 * time.Second
	defaultAttempts = 6

	// The waits between attempts that bring nothing: 0.5 s, 1 s, 2 s ... A cut after progress is taken up at once.
	waitBase = 500 * time.Millisecond
	waitMax  = 15 * time.Second

	maxRedirects = 5
)

// A Fetcher opens streams. It is safe for concurrent use and implements pipeline.Fetcher.
type Fetcher struct {
	client *http.Client
	stall  time.Duration
	policy retry.Policy
	notice func(string)

	closest closest
}

var _ pipeline.Fetcher = (*Fetcher)(nil)

// New returns a Fetcher.
func New(o Options) *Fetcher {
	f := &Fetcher{
		client: &http.Client{Transport: o.Transport, CheckRedirect: checkRedirect},
		stall:  o.Stall,
		policy: retry.Policy{Attempts: o.Attempts, Base: waitBase, Max: waitMax},
		notice: o.Notice,
	}
	if o.Transport == nil {
		f.client.Transport = newTransport()
	}
	if f.stall <= 0 {
		f.stall = defaultStall
	}
	if f.policy.Attempts <= 0 {
		f.policy.Attempts = defaultAttempts
	}
	if f.notice == nil {
		f.notice = func(string) {}
	}
	return f
}

// newTransport speaks HTTP/1.1 only: a download then has a connection to itself, so that giving up a stalled one
// touches no other, and a body is read from the socket straight into the reader's buffer.
func newTransport() *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		Protocols:              protocols,
		TLSHandshakeTimeout:    10 * time.Second,
		MaxIdleConns:           256,
		MaxIdleConnsPerHost:    64, // nearly every asset is on one host
		IdleConnTimeout:        60 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true,
	}
}

// Closest is the download that began with the least time left before its link expired, and how much that was; false
// when no link told.
func (f *Fetcher) Closest() (asset string, left time.Duration, known bool) { return f.closest.get() }

// CloseIdleConnections lets go of connections kept for later streams.
func (f *Fetcher) CloseIdleConnections() { f.client.CloseIdleConnections() }

// Open starts reading the asset's file and returns once its size is known or nobody will tell it: bytes is
// asset.Bytes, else the Content-Length, else -1.
//
// fresh may be nil, else it is called, from Open or Read and never twice within two seconds, when the URL is
// refused or within half a minute of its expiry. Errors are *pipeline.Error: CodeURLExpired when fresh URLs are
// refused too; CodeDownload when attempts are used up or the URL is not one to follow; CodeCorrupt when the
// bytes are not those announced, or changed on the way after some had been read, so that the file must be
// fetched from its beginning; CodeInterrupted when ctx ended; else whatever fresh returned.
//
// The API's size is held against the sender's: where they differ a fresh URL is asked for once, since the API may
// just have replaced the file, and then it is CodeCorrupt.
func (f *Fetcher) Open(ctx context.Context, asset pipeline.Asset, fresh func(context.Context) (pipeline.Asset, error)) (io.ReadCloser, int64, error) {
	s := newStream(ctx, f, asset, fresh)
	if err := s.open(); err != nil {
		s.Close()
		return nil, 0, err
	}
	return s, s.size, nil
}

var errTooManyRedirects = errors.New("too many redirects")

// checkRedirect follows https to https, and loopback to loopback.
func checkRedirect(req *http.Request, via []*http.Request) error {
	req.Header.Del("Referer") // the client puts the signed URL there
	req.URL.User = nil        // the client would make an Authorization header of it
	if len(via) > maxRedirects {
		return errTooManyRedirects
	}
	if fine(req.URL) && (!loopback(req.URL) || loopback(via[0].URL)) {
		return nil
	}
	return &redirectError{to: req.URL.Scheme + "://" + req.URL.Host}
}

// A redirectError is a redirect that is not followed.
type redirectError struct{ to string }

func (e *redirectError) Error() string { return "redirects to " + e.to + ", which is not followed" }

// fine tells whether a URL is one to fetch from.
func fine(u *url.URL) bool {
	return u.Host != "" && (u.Scheme == "https" || u.Scheme == "http" && loopback(u))
}

func loopback(u *url.URL) bool {
	host := u.Hostname()
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}
