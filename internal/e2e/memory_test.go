package e2e

import (
	"context"
	"io"
	"iter"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"time"

	"dailies/pipeline"
)

const (
	roundTrip = 150 * time.Millisecond // to the API and back
	writeTime = 30 * time.Millisecond  // for a small object in a bucket
)

// A memoryWire is the network between a client and a handler: a delay each way. It keeps what a referee must know.
type memoryWire struct {
	api http.Handler

	mu        sync.Mutex
	sent      map[string]int // API requests by method and kind
	arrived   []time.Time    // API requests
	over      int            // those that were more than perMinute in a minute
	firstByte map[string]time.Time
}

func newMemoryWire(api http.Handler) *memoryWire {
	return &memoryWire{api: api, sent: map[string]int{}, firstByte: map[string]time.Time{}}
}

func (w *memoryWire) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	w.note(r, time.Now())
	if err := pass(r.Context(), roundTrip/2); err != nil {
		return nil, err
	}
	w.arrive(r, time.Now())
	rec := httptest.NewRecorder()
	in := r.Clone(r.Context())
	in.RequestURI, in.RemoteAddr = r.URL.RequestURI(), "127.0.0.1:1"
	if in.Body == nil {
		in.Body = http.NoBody
	}
	in.Host = r.URL.Host
	if !served(w.api, rec, in) {
		return nil, io.ErrUnexpectedEOF
	}
	if err := pass(r.Context(), roundTrip/2); err != nil {
		return nil, err
	}
	resp = rec.Result()
	resp.Request = r
	if resp.ContentLength < 0 {
		resp.ContentLength, _ = strconv.ParseInt(resp.Header.Get("Content-Length"), 10, 64)
	}
	return resp, nil
}

// served is false when the handler broke the connection off.
func served(h http.Handler, w http.ResponseWriter, r *http.Request) (whole bool) {
	defer func() {
		if p := recover(); p != nil && p != http.ErrAbortHandler {
			panic(p)
		}
	}()
	h.ServeHTTP(w, r)
	return true
}

// note takes down when an asset's bytes are first asked for.
func (w *memoryWire) note(r *http.Request, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if id, ok := strings.CutPrefix(r.URL.Path, "/cdn/assets/"); ok {
		if _, again := w.firstByte[id]; !again {
			w.firstByte[id] = at
		}
	}
}

// arrive counts a request at the API.
func (w *memoryWire) arrive(r *http.Request, at time.Time) {
	path, ok := strings.CutPrefix(r.URL.Path, "/v1/")
	if !ok {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	kind, rest, _ := strings.Cut(path, "/")
	if kind == "jobs" && rest != "" {
		kind = "job"
	}
	w.sent[r.Method+" "+kind]++
	w.arrived = append(w.arrived, at)
	if n := len(w.arrived); n > perMinute && at.Sub(w.arrived[n-1-perMinute]) < time.Minute {
		w.over++
	}
}

func pass(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// A memoryLedger keeps records as long as it lives, as slowly as a bucket would.
type memoryLedger struct {
	mu      sync.Mutex
	records map[string]pipeline.Entry
	inputs  map[string]string
}

func (l *memoryLedger) Load(context.Context) (map[string]pipeline.Entry, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.records), nil
}

func (l *memoryLedger) Save(ctx context.Context, r pipeline.Record, version string) (string, error) {
	if err := pass(ctx, writeTime); err != nil {
		return "", err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.records[r.ID].Version != version {
		return "", pipeline.ErrConflict
	}
	if l.records == nil {
		l.records = map[string]pipeline.Entry{}
	}
	n, _ := strconv.Atoi(version)
	version = strconv.Itoa(n + 1)
	l.records[r.ID] = pipeline.Entry{Record: r, Version: version}
	return version, nil
}

func (l *memoryLedger) Input(_ context.Context, sha256 string) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.inputs[sha256], nil
}

func (l *memoryLedger) SaveInput(_ context.Context, f pipeline.File, assetID string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.inputs == nil {
		l.inputs = map[string]string{}
	}
	l.inputs[f.SHA256] = assetID
	return nil
}

// A memoryStore takes everything and keeps nothing.
type memoryStore struct{}

func (memoryStore) URI(key string) string { return "memory:" + key }

func (memoryStore) Put(ctx context.Context, key string, body io.Reader, _ int64, _ pipeline.ObjectMeta) (pipeline.Object, error) {
	n, err := io.Copy(io.Discard, body)
	if err == nil {
		err = pass(ctx, writeTime)
	}
	return pipeline.Object{Key: key, Bytes: n, Version: "1"}, err
}

func (memoryStore) List(context.Context, string) iter.Seq2[pipeline.Object, error] {
	return func(func(pipeline.Object, error) bool) {}
}

func (memoryStore) Move(context.Context, string, string) error { return nil }
