package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"dailies/internal/catalog"
	"dailies/internal/fetch"
	"dailies/internal/ledger"
	"dailies/internal/manifest"
	"dailies/internal/media"
	"dailies/internal/retry"
	"dailies/internal/sandbox"
	"dailies/internal/scenario"
	"dailies/internal/store"
	"dailies/pipeline"
)

// The sweep is over every exchange with the API, its CDN and the destination, and over every way each can go wrong:
// the real client, fetcher, ledger, lock and folder, against the real sandbox, in one process and in virtual time.

// sweptFaults are what an exchange can suffer. Those of the destination are fewer: it is no HTTP.
var (
	sweptFaults = []string{"reset-before", "reset-after", "hang", "hang-after", "429", "500", "500-after", "502", "malformed", "truncated"}
	storeFaults = []string{"reset-before", "reset-after"}
)

const swept = `version: 1
batch: swept
inputs: {knight: refs/knight.png}
items:
  - {id: plate, model: imagen4-ultra, prompt: a plate}
  - {id: walk, model: kling-v2.6-i2v-pro, prompt: they walk, payload: {image: "${items.plate}", duration: "5"}}
  - {id: knight, model: happy-horse-r2v, prompt: character1 bows, payload: {referenceImages: ["${inputs.knight}"], duration: 3}}
  - {id: twin, model: imagen4-ultra, prompt: the same, repeat: 2}
`

// strikes say which exchanges go wrong, by number from 0, and how. API and destination count apart.
type strikes struct {
	calls, moves map[int]string

	loses int // the answer to every so manieth submit; 0 loses none

	mu           sync.Mutex
	asked, moved int
	submits      int
}

func (s *strikes) atAPI(r *http.Request) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	fault := s.calls[s.asked]
	s.asked++
	if s.loses > 0 && kindOf(r) == "submit" {
		if s.submits++; s.submits%s.loses == 0 {
			return "reset-after"
		}
	}
	return fault
}

func (s *strikes) atStore() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	fault := s.moves[s.moved]
	s.moved++
	return fault
}

// inProcess carries requests to a handler within the process.
type inProcess struct {
	to http.Handler
	*strikes
}

const wireTime = 20 * time.Millisecond // each way

var errReset = errors.New("connection reset by peer")

func (w inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	hang := func() (*http.Response, error) {
		<-r.Context().Done()
		return nil, context.Cause(r.Context())
	}
	var body []byte
	if r.Body != nil {
		var err error
		body, err = io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil {
			return nil, err
		}
	}
	if !retry.Sleep(r.Context(), wireTime) {
		return hang()
	}
	answer := func(status int, mime, text string) (*http.Response, error) {
		return &http.Response{StatusCode: status, ProtoMajor: 1, Header: http.Header{"Content-Type": {mime}, sandbox.Header: {"1"}},
			Body: io.NopCloser(strings.NewReader(text)), ContentLength: int64(len(text)), Request: r}, nil
	}
	fault := w.atAPI(r)
	switch fault {
	case "reset-before":
		return nil, errReset
	case "hang":
		return hang()
	case "429":
		return answer(http.StatusTooManyRequests, "application/json", `{"message":"Too Many Requests"}`)
	case "500":
		return answer(http.StatusInternalServerError, "application/json", `{"message":"Internal server error"}`)
	case "502":
		return answer(http.StatusBadGateway, "text/html", "<html><body><h1>502 Bad Gateway</h1></body></html>")
	}
	in := r.Clone(context.WithoutCancel(r.Context()))
	in.Body, in.RequestURI = io.NopCloser(strings.NewReader(string(body))), r.URL.RequestURI()
	if in.Host == "" {
		in.Host = r.URL.Host
	}
	rec := httptest.NewRecorder()
	w.to.ServeHTTP(rec, in)
	if !retry.Sleep(r.Context(), wireTime) {
		return hang()
	}
	switch fault {
	case "reset-after":
		return nil, errReset
	case "hang-after":
		return hang()
	case "500-after":
		return answer(http.StatusInternalServerError, "application/json", `{"message":"Internal server error"}`)
	case "malformed":
		return answer(rec.Code, "application/json", `{"job":{"jobId":`)
	}
	resp := rec.Result()
	resp.Request = r
	if resp.ContentLength < 0 {
		resp.ContentLength = int64(rec.Body.Len())
	}
	resp.Header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	if fault == "truncated" {
		resp.Body = io.NopCloser(io.MultiReader(io.LimitReader(resp.Body, resp.ContentLength/2), broken{}))
	}
	return resp, nil
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// rough is a destination whose exchanges can go wrong.
type rough struct {
	store.Store
	*strikes
}

// strike carries op out, or not, or for nobody to know.
func (s rough) strike(op func() error) error {
	lost := pipeline.Errorf(pipeline.CodeDestination, "destination: %w", errReset)
	switch s.atStore() {
	case "reset-before":
		return lost
	case "reset-after":
		if err := op(); err != nil {
			return err
		}
		return lost
	}
	return op()
}

func (s rough) Put(ctx context.Context, key string, body io.Reader, size int64, meta pipeline.ObjectMeta) (o pipeline.Object, err error) {
	err = s.strike(func() error {
		o, err = s.Store.Put(ctx, key, body, size, meta)
		return err
	})
	return o, err
}

func (s rough) WriteRecord(ctx context.Context, key string, data []byte, version string) (next string, err error) {
	err = s.strike(func() error {
		next, err = s.Store.WriteRecord(ctx, key, data, version)
		return err
	})
	return next, err
}

func (s rough) ReadRecord(ctx context.Context, key string) (data []byte, version string, err error) {
	err = s.strike(func() error {
		data, version, err = s.Store.ReadRecord(ctx, key)
		return err
	})
	return data, version, err
}

// A stage is where a batch is made in one process: one sandbox and one folder, over any number of runs.
type stage struct {
	*strikes
	api    *sandbox.Server
	folder string
	items  []*pipeline.Item
	runs   atomic.Int64
}

func readItems(t *testing.T, text string) []*pipeline.Item {
	t.Helper()
	m, err := manifest.Load(writeManifest(t, text), manifest.Options{Contracts: catalog.Snapshot()})
	if err != nil {
		t.Fatal(err)
	}
	return m.Items
}

func newStage(t *testing.T, items []*pipeline.Item, faults *sandbox.Faults) *stage {
	t.Helper()
	o := sandboxOptions()
	o.Faults = faults
	o.Pace, o.AssetBytes, o.Log = 1, func(string) int64 { return 5000 }, nil
	api, err := sandbox.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { api.Close() })
	return &stage{strikes: &strikes{}, api: api, folder: t.TempDir(), items: items}
}

// run is one run of the batch, wired as the command wires it.
func (s *stage) run(t *testing.T) (*pipeline.Summary, error) {
	t.Helper()
	ctx := t.Context()
	over := inProcess{s.api, s.strikes}
	client, err := scenario.New(scenario.Config{BaseURL: "http://localhost/v1", Key: testKey, Secret: testSecret, Transport: over})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	plain, err := store.Open(ctx, s.folder, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	dest := rough{plain, s.strikes}
	realm := pipeline.Realm{BaseURL: "http://localhost/v1", Project: "p"}
	runID := fmt.Sprintf("run-%d", s.runs.Add(1))
	book := ledger.Open(store.Sub(dest, ".dailies"), realm)
	lock, err := book.Lock(ctx, ledger.ThisProcess(runID), ledger.LockOptions{})
	if err != nil {
		return nil, err
	}
	defer lock.Release(context.WithoutCancel(ctx))
	return pipeline.Run(ctx, ctx, pipeline.Config{
		API: client, Fetcher: fetch.New(fetch.Options{Transport: over}), Inspector: media.Inspector{}, Store: dest, Ledger: book,
		Batch: "swept", RunID: runID, Realm: realm, Budget: pipeline.Unlimited, MayBuy: lock.Check,
	}, s.items)
}

// finish runs the batch, and runs it again, until everything is delivered, and holds it against the book. It returns
// what is wrong.
func (s *stage) finish(t *testing.T) (problems []string) {
	t.Helper()
	problem := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	var sum *pipeline.Summary
	for n := 1; ; n++ {
		var err error
		sum, err = s.run(t)
		if err == nil && sum.ExitCode() == pipeline.ExitDone {
			break
		}
		if n == 4 {
			problem("not delivered after %d runs: %v", n, err)
			if sum != nil {
				for _, o := range sum.Outcomes {
					problem("%s is %s: %v", o.Item.ID, o.Status, o.Err)
				}
			}
			return problems
		}
	}
	var items []claim
	for _, o := range sum.Outcomes {
		items = append(items, claim{o.Item.ID, o.JobID, o.Outputs})
	}
	p := prove(s.api, items, func(key string) ([]byte, error) { return os.ReadFile(filepath.Join(s.folder, key)) })
	problems = append(problems, p.problems...)
	// A lock whose release was struck is ended by its lease.
	if left, _ := filepath.Glob(filepath.Join(s.folder, ".dailies", "lock*")); len(left) > 0 && len(s.moves) == 0 {
		problem("still locked: %v", left)
	}
	if left, _ := filepath.Glob(filepath.Join(s.folder, ".dailies", "tmp", "*.part")); len(left) > 0 {
		problem("unfinished files were left: %v", left)
	}
	return problems
}

func TestSweep(t *testing.T) {
	items := readItems(t, swept)
	var asked, moved int
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, items, nil)
		for _, problem := range s.finish(t) {
			t.Fatal(problem)
		}
		asked, moved = s.asked, s.moved
	})
	t.Logf("%d exchanges with the API, %d with the destination", asked, moved)
	luck := rand.New(rand.NewPCG(*seed, 0))
	cases := 0
	strike := func(name string, api, dest map[int]string) {
		cases++
		synctest.Test(t, func(t *testing.T) {
			s := newStage(t, items, nil)
			s.strikes = &strikes{calls: api, moves: dest}
			for _, problem := range s.finish(t) {
				t.Errorf("%s: %s", name, problem)
			}
		})
	}
	chosen := func() bool { return *soak || luck.IntN(3) == 0 } // a test takes a sample
	for n := range asked {
		for _, fault := range sweptFaults {
			if chosen() {
				strike(fmt.Sprintf("API exchange %d: %s", n, fault), map[int]string{n: fault}, nil)
			}
		}
	}
	for n := range moved {
		for _, fault := range storeFaults {
			if chosen() {
				strike(fmt.Sprintf("destination exchange %d: %s", n, fault), nil, map[int]string{n: fault})
			}
		}
	}
	pairs := 60
	if *soak {
		pairs = 1200
	}
	for range pairs {
		a, b := luck.IntN(asked), luck.IntN(asked)
		c := luck.IntN(moved)
		fa, fb, fc := sweptFaults[luck.IntN(len(sweptFaults))], sweptFaults[luck.IntN(len(sweptFaults))], storeFaults[luck.IntN(len(storeFaults))]
		if luck.IntN(2) == 0 {
			strike(fmt.Sprintf("API exchanges %d: %s and %d: %s", a, fa, b, fb), map[int]string{a: fa, b: fb}, nil)
		} else {
			strike(fmt.Sprintf("API exchange %d: %s, destination exchange %d: %s", a, fa, c, fc), map[int]string{a: fa}, map[int]string{c: fc})
		}
	}
	t.Logf("seed %d: %d schedules of faults, each finished with every payload bought once", *seed, cases)
}
