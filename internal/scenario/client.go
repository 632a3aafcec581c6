// Package scenario talks to the Scenario generation API.
//
// It promises one attempt a call, errors with a code of the pipeline's closed table, at most the configured number
// of requests in any minute, and one watcher that follows every waiting job at once. A submit's error either proves
// that nothing was bought or says that it is not known; there is no third kind.
//
// It refuses to try again by itself, to follow redirects, to send credentials anywhere but to the API, to build a
// path from an id that is not plainly an id, and to put a key, a header or a signed URL into an error.
//
// Facts about the API carry the confidence they have: [SEEN] in live answers, [CODE] in official clients and their
// fixtures, [DOC] in documentation, [INF] inferred. testdata/api holds the exchanges this package is tested against.
package scenario

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"dailies/pipeline"
)

// Config says which API, as whom, and how fast.
type Config struct {
	BaseURL   string // "https://api.cloud.scenario.com/v1"; plain http on loopback only
	Key       string // with Secret the API key of one project (HTTP Basic) [DOC]
	Secret    string
	ProjectID string // optional; sent with every request when set [DOC]
	Version   string // of this program, for the User-Agent

	// RequestsPerMinute is never exceeded in any minute. The default is 100, the limit documented for a project,
	// which all programs and people of that project share [DOC].
	RequestsPerMinute int

	Transport http.RoundTripper // nil: one of its own
	Notice    func(string)      // optional: told what people should know, once; may be called from any goroutine

	// Exchanged is optional: told of every request sent, by its kind (see Requests), with the status of the answer, 0
	// when none came, and the time from the request to the answer's end. It may be called from any goroutine.
	Exchanged func(kind string, status int, took time.Duration)
}

const defaultRequestsPerMinute = 100

// sandboxHeader marks the answers of the simulated API.
const sandboxHeader = "Dailies-Sandbox"

// A Client is one project's door to the API. It is safe for concurrent use and implements [pipeline.API].
type Client struct {
	base      *url.URL
	project   string
	auth      string // the Authorization header
	userAgent string
	secrets   *strings.Replacer // takes the credentials out of text that others wrote
	notice    func(string)
	exchanged func(kind string, status int, took time.Duration)

	http  *http.Client // asks
	buys  *http.Client // over connections that tell what was written to them
	owned []*http.Transport

	limiter   *limiter
	watcher   *watcher
	durations *durations
	bulk      *bulk

	life context.Context // ends with Close
	end  context.CancelFunc

	clock     clock // the API's
	simulated atomic.Bool
	probed    sync.Once

	mu   sync.Mutex
	sent map[string]int
}

var _ pipeline.API = (*Client)(nil)

// New makes a client. Errors are CodeCredentialsNone and CodeUsage.
func New(cfg Config) (*Client, error) {
	if cfg.Key == "" || cfg.Secret == "" {
		return nil, pipeline.Errorf(pipeline.CodeCredentialsNone, "the Scenario API needs a key and a secret")
	}
	base, err := parseBase(cfg.BaseURL)
	if err != nil {
		return nil, err
	}
	basic := base64.StdEncoding.EncodeToString([]byte(cfg.Key + ":" + cfg.Secret))
	c := &Client{
		base:      base,
		project:   cfg.ProjectID,
		auth:      "Basic " + basic,
		userAgent: "dailies/" + cfg.Version,
		secrets:   redactor(basic, cfg.Secret, cfg.Key),
		notice:    cfg.Notice,
		exchanged: cfg.Exchanged,
		durations: newDurations(),
		sent:      make(map[string]int),
	}
	if cfg.Version == "" {
		c.userAgent = "dailies"
	}
	if c.notice == nil {
		c.notice = func(string) {}
	}
	if c.exchanged == nil {
		c.exchanged = func(string, int, time.Duration) {}
	}
	perMinute := cfg.RequestsPerMinute
	if perMinute <= 0 {
		perMinute = defaultRequestsPerMinute
	}
	c.http, c.buys, c.owned = clients(cfg.Transport)
	c.life, c.end = context.WithCancel(context.Background())
	c.limiter = newLimiter(perMinute)
	c.watcher = newWatcher(c)
	c.bulk = &bulk{client: c}
	return c, nil
}

// Close stops the watcher and whatever is in the air. Those who still wait are answered with CodeInterrupted.
func (c *Client) Close() error {
	c.end()
	c.watcher.stop()
	c.bulk.stop()
	for _, t := range c.owned {
		t.CloseIdleConnections()
	}
	return nil
}

// Requests counts the requests sent so far, by kind: submit, quote, job, jobs (pages of the listing), bulk (asset
// look-ups), asset, upload (every request of one; parts go to the storage and do not count), model.
func (c *Client) Requests() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.sent)
}

func (c *Client) count(kind string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent[kind]++
}

// Simulated reports whether the API is the sandbox, which says so in every answer. A server on loopback that has
// not answered anything yet is asked once, without credentials and outside the request limit.
func (c *Client) Simulated(ctx context.Context) bool {
	if !c.simulated.Load() && isLoopback(c.base.Hostname()) {
		c.probed.Do(func() { c.probe(ctx) })
	}
	return c.simulated.Load()
}

func (c *Client) probe(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base.String()+"/_sandbox", nil)
	if err != nil {
		return
	}
	req.Header.Set("User-Agent", c.userAgent)
	sent := time.Now()
	resp, err := c.http.Do(req)
	if err != nil {
		return
	}
	drain(resp.Body)
	c.hear(resp, sent)
}

// hear takes from an answer what is true of the API as a whole.
func (c *Client) hear(resp *http.Response, sent time.Time) {
	if resp.Header.Get(sandboxHeader) != "" && isLoopback(c.base.Hostname()) {
		c.simulated.Store(true)
	}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		c.clock.hear(date, sent)
	}
}

// redactor takes secrets out of text. One too short to be a real key would take out half of the words.
func redactor(secrets ...string) *strings.Replacer {
	var pairs []string
	for _, s := range secrets {
		if len(s) >= 8 {
			pairs = append(pairs, s, "[redacted]")
		}
	}
	return strings.NewReplacer(pairs...)
}

// parseBase checks the API's address. Credentials travel with every request, so only loopback may go without TLS.
func parseBase(raw string) (*url.URL, error) {
	wrong := func(why string) error {
		return &pipeline.Error{Code: pipeline.CodeUsage, Message: "the API's base URL " + why,
			Hint: "set SCENARIO_BASE_URL to an address such as https://api.cloud.scenario.com/v1"}
	}
	u, err := url.Parse(strings.TrimRight(raw, "/"))
	switch {
	case err != nil:
		return nil, wrong("cannot be read") // the parser's own words repeat the URL, which may hold a password
	case u.Host == "":
		return nil, wrong("has no host")
	case u.User != nil:
		return nil, wrong("must not hold credentials")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, wrong("must not have a query or a fragment")
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return nil, wrong(fmt.Sprintf("must be https: plain http to %s would show the key to the network", u.Hostname()))
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, wrong("must begin with https://")
	}
	return u, nil
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// clients makes the two HTTP clients from one transport: what costs money has connections of its own.
func clients(rt http.RoundTripper) (asks, buys *http.Client, owned []*http.Transport) {
	client := func(rt http.RoundTripper) *http.Client {
		return &http.Client{
			Transport:     rt,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	var shared *http.Transport
	switch t := rt.(type) {
	case nil:
		shared = &http.Transport{
			Proxy:                 http.ProxyFromEnvironment,
			DialContext:           (&net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
			ForceAttemptHTTP2:     true,
			MaxIdleConns:          16,
			MaxIdleConnsPerHost:   8,
			IdleConnTimeout:       30 * time.Second, // shorter than gateways keep theirs
			TLSHandshakeTimeout:   15 * time.Second,
			ExpectContinueTimeout: time.Second,
		}
		owned = append(owned, shared)
	case *http.Transport:
		shared = t
	default:
		return client(rt), client(rt), nil
	}
	buying := forBuying(shared)
	return client(shared), client(buying), append(owned, buying)
}

// checkID refuses what must not become part of a path.
func checkID(what, id string) error {
	if id == "" || id == "." || id == ".." || strings.ContainsFunc(id, unsafeInPath) {
		return pipeline.Errorf(pipeline.CodeInput, "%q is not the id of %s", pipeline.Plain(id), what)
	}
	return nil
}

// unsafeInPath are the characters official clients refuse in ids [CODE], and everything that is not printable ASCII.
func unsafeInPath(r rune) bool {
	return r <= ' ' || r >= 0x7f || strings.ContainsRune(`/\?#%`, r)
}

var errClosed = errors.New("the client was closed")
