// Package sandbox is the Scenario API, simulated: the same routes, validation, envelopes, statuses, limits, prices
// and signed links, with media that plainly says it is not real. It is how a batch is rehearsed for nothing and how
// the rest of the program is tested.
//
// It promises to be as unforgiving as the real API. A misspelt input is ignored and still paid for, a single value
// where an array is declared is dropped and still paid for, dryRun in the body buys, listings answer only their page,
// links expire, every job is committed spend, and nothing it accepted is ever forgotten: with a journal ([Options].Book)
// not even when its process is killed. What goes wrong beyond that is written down as [Faults], or for a single
// job in its prompt: "[sandbox:moderate]", "[sandbox:fail]", "[sandbox:slow]" and the other faults of a submit's job.
//
// It refuses to be mistaken for the real thing (every answer carries the header [Header]), to reach any network, and
// to share a type with the client: testdata/api referees both.
package sandbox

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"dailies/pipeline"
)

// Header is on every answer the sandbox gives, so that a client can tell that it is rehearsing.
const Header = "Dailies-Sandbox"

// Names under which [Server.Requests] counts what a client must never do.
const (
	BreachCDNAuth  = "breach: credentials sent to the CDN"
	BreachPartAuth = "breach: credentials sent with an upload part"
)

// Options say what is simulated, and how fast.
type Options struct {
	// Models gives a model's record in the API's own form: the "model" object of GET /models/{id}. Payloads are
	// held against its inputs. A model it does not know is answered with 404.
	Models   func(id string) (json.RawMessage, bool)
	ModelIDs []string // those listed by GET /models?privacy=public

	// Key and Secret are the credentials accepted; an empty Key accepts any non-empty pair. ProjectID is the
	// project they belong to; when empty, every projectId asked for is a project of its own, and a request
	// that names none is in the project of its key.
	Key, Secret, ProjectID string

	// Pace scales how long things take: 1 is life (images about 8 s, audio 15 s, video 60 to 120 s, 3D 90 s),
	// 0 is at once.
	Pace float64

	RequestsPerMinute int           // API requests in any minute, per project; 0 means 100, below 0 no limit
	Concurrency       int           // generations in flight, per project; 0 means 10, below 0 no limit
	URLLife           time.Duration // how long a signed link lives; 0 means 24 h
	DryRunStatus      int           // of a quote: 0 means 269; 200; 402 is the form one guide prints
	Plan              string        // "cu-basic": models above it are answered with 403; empty allows every model
	Credits           string        // creative units there are to spend, a decimal; empty is endless
	Faults            *Faults       // what goes wrong; nil is nothing

	// Book is the path of a journal that jobs and uploads are appended to and read back from, so that they
	// outlive the process (uploaded bytes are kept beside it, in a folder of the same name with ".files").
	// Empty keeps them in memory, and uploaded bytes in a temporary folder that Close removes.
	Book string

	// AssetBytes, for benchmarks: a job of the model makes one file of exactly this many bytes, computed as it
	// is read and never held. 0 or less, or a nil AssetBytes, makes the usual media.
	AssetBytes func(model string) int64

	// Takes, for benchmarks: how long the job of a payload takes, whatever the pace. Nil is what was seen in life.
	Takes func(model string, payload json.RawMessage) time.Duration

	Log io.Writer // one line a request, without its query and without secrets; nil is silent
}

// A Server is one simulated API. It is an http.Handler and needs no goroutine of its own: everything that happens
// over time is computed from the clock when it is asked for, so it works inside a testing/synctest bubble.
type Server struct {
	o       Options
	mux     *http.ServeMux
	key     [sha256.Size]byte // signs links
	studio  *studio
	journal *journal
	files   *blobs
	done    chan struct{} // closed by Close: lets go of requests that hang

	logging sync.Mutex // one line at a time

	mu        sync.Mutex
	contracts map[string]*contract
	projects  map[string]*project
	jobs      map[string]*job
	assets    map[string]*asset
	uploads   map[string]*upload
	counts    map[string]int
	script    script
	spent     pipeline.CU // charged and not refunded
	credits   pipeline.CU // what spent may grow to
	running   byEnd
	booked    []*job // every purchase, oldest first
	server    *http.Server
	closed    bool
}

// A project is what one set of credentials sees.
type project struct {
	id      string
	jobs    []*job // oldest first
	active  int    // generations in flight
	minutes window
}

// New makes a Server. The error is a *pipeline.Error when Options are wrong or the journal cannot be used.
func New(o Options) (*Server, error) {
	if o.RequestsPerMinute == 0 {
		o.RequestsPerMinute = 100
	}
	if o.Concurrency == 0 {
		o.Concurrency = 10
	}
	if o.URLLife == 0 {
		o.URLLife = 24 * time.Hour
	}
	switch o.DryRunStatus {
	case 0:
		o.DryRunStatus = statusDryRun
	case statusDryRun, http.StatusOK, http.StatusPaymentRequired:
	default:
		return nil, pipeline.Errorf(pipeline.CodeUsage, "sandbox: a dry run is answered with 269, 200 or 402, not %d", o.DryRunStatus)
	}
	if o.Pace < 0 {
		return nil, pipeline.Errorf(pipeline.CodeUsage, "sandbox: pace %v is below 0", o.Pace)
	}
	credits := pipeline.Unlimited
	if o.Credits != "" {
		var err error
		if credits, err = pipeline.ParseCU(o.Credits); err != nil {
			return nil, pipeline.Errorf(pipeline.CodeUsage, "sandbox: credits: %w", err)
		}
	}
	if o.Plan != "" && planAccess(o.Plan) < 0 {
		return nil, pipeline.Errorf(pipeline.CodeUsage, "sandbox: plan %q is unknown; it holds one of free, basic, pro, team, enterprise", o.Plan)
	}
	if err := o.Faults.check(); err != nil {
		return nil, err
	}
	st, err := newStudio()
	if err != nil {
		return nil, err
	}
	s := &Server{
		o: o, studio: st, credits: credits, done: make(chan struct{}),
		key:       sha256.Sum256([]byte("dailies sandbox links\x00" + o.Secret)),
		contracts: map[string]*contract{}, projects: map[string]*project{}, jobs: map[string]*job{},
		assets: map[string]*asset{}, uploads: map[string]*upload{}, counts: map[string]int{},
		script: o.Faults.script(),
		files:  &blobs{},
	}
	s.mux = s.routes()
	if o.Book != "" {
		s.files.dir = o.Book + ".files"
		if s.journal, err = openJournal(o.Book, s.replay); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set(Header, "1")
	if s.o.Log == nil {
		s.mux.ServeHTTP(w, r)
		return
	}
	began, lw := time.Now(), &loggedWriter{ResponseWriter: w, status: http.StatusOK}
	defer func() {
		s.logging.Lock()
		defer s.logging.Unlock()
		fmt.Fprintf(s.o.Log, "%s %s %s %d %d B %v\n", began.UTC().Format("15:04:05.000"), r.Method, r.URL.Path, lw.status, lw.bytes, time.Since(began).Round(time.Millisecond))
	}()
	s.mux.ServeHTTP(lw, r)
}

// Serve answers requests on ln until Close. It always returns a non-nil error; after Close, http.ErrServerClosed.
func (s *Server) Serve(ln net.Listener) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return http.ErrServerClosed
	}
	if s.server == nil {
		s.server = &http.Server{Handler: s, ReadHeaderTimeout: 30 * time.Second}
	}
	server := s.server
	s.mu.Unlock()
	return server.Serve(ln)
}

// Close lets go of hanging requests, stops serving, and closes the journal. Jobs in a journal live on.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	close(s.done)
	server := s.server
	s.mu.Unlock()
	var errs []error
	if server != nil {
		errs = append(errs, server.Close())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.journal != nil {
		errs = append(errs, s.journal.close())
	}
	return errors.Join(append(errs, s.files.close())...)
}

// Requests counts the requests received, by route (submit, quote, job, jobs, cancel, assets, bulk, upload, part, cdn,
// thumbnail, models, teams, me, other), whatever came of them, and breaches by their names.
func (s *Server) Requests() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.counts)
}

// projectNamed finds or founds a project. The caller holds mu.
func (s *Server) projectNamed(id string) *project {
	p := s.projects[id]
	if p == nil {
		p = &project{id: id}
		s.projects[id] = p
	}
	return p
}

// clock is the time as the API tells it: whole milliseconds, UTC.
func clock() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

// timestamp writes a time as the API does.
func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

type loggedWriter struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (w *loggedWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (w *loggedWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (w *loggedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// blobs is the folder of uploaded bytes, made when first needed.
type blobs struct {
	mu   sync.Mutex
	dir  string
	temp bool
}

func (b *blobs) path(name string) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.dir == "" {
		dir, err := os.MkdirTemp("", "dailies-sandbox-")
		if err != nil {
			return "", err
		}
		b.dir, b.temp = dir, true
	}
	if err := os.MkdirAll(b.dir, 0o700); err != nil {
		return "", err
	}
	return b.dir + string(os.PathSeparator) + name, nil
}

func (b *blobs) close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.temp {
		return nil
	}
	return os.RemoveAll(b.dir)
}
