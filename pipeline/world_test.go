package pipeline

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dailies/internal/retry"
)

// A world is everything outside the engine, in memory: an API that keeps a book of what was bought, a ledger and a
// destination with compare-and-swap. It counts every exchange and can be told to answer any of them badly, or to
// end the process at it. What it keeps survives the end of a run, as the real things do.
type world struct {
	mu      sync.Mutex
	jobs    []*worldJob
	uploads map[string]int
	ceiling int           // generation slots; 0 is no end of them
	lag     time.Duration // of the listing
	skew    time.Duration // of the API's clock
	limits  time.Duration // how long a submit waits for its turn
	learned []time.Duration
	takes   func(n int) time.Duration
	fate    func(n int, payload map[string]any) string // of job n: "", fail, fail-charged, moderated, no-assets

	records map[string]stored
	assets  map[string]string // uploaded inputs by digest
	objects map[string]stored
	peak    int
	calls   map[string]int

	exchange int                               // how many there have been
	faults   map[int]string                    // by exchange: before, after
	faultOn  func(kind string, nth int) string // or by kind
	onFault  func()
	log      []string
}

type worldJob struct {
	Job
	payload string
	ends    time.Time
	fate    string
}

type stored struct {
	data    []byte
	version int
}

const jobPrice = 2_500_000 // 2.5 CU

func newWorld() *world {
	return &world{
		uploads: map[string]int{}, records: map[string]stored{}, assets: map[string]string{}, objects: map[string]stored{},
		calls: map[string]int{}, faults: map[int]string{},
		takes: func(n int) time.Duration { return time.Duration(20+n%7) * time.Second },
		fate:  func(int, map[string]any) string { return "" },
	}
}

var errReset = errors.New("connection reset")

// step is one exchange: it takes a moment, and may be told to go wrong. before is the fault for what happens before
// the other side has acted, after for when it has acted and its answer is lost.
func (w *world) step(ctx context.Context, kind string) (before, after error) {
	w.mu.Lock()
	n := w.exchange
	w.exchange++
	w.calls[kind]++
	fault := w.faults[n]
	if w.faultOn != nil {
		fault = w.faultOn(kind, w.calls[kind])
	}
	w.log = append(w.log, kind)
	onFault := w.onFault
	w.mu.Unlock()
	if !retry.Sleep(ctx, 10*time.Millisecond) {
		return context.Cause(ctx), nil
	}
	if fault != "" && onFault != nil {
		onFault()
	}
	switch fault {
	case "before":
		return errReset, nil
	case "after":
		return nil, errReset
	}
	return nil, nil
}

func (w *world) free(ctx context.Context, kind string) error {
	before, after := w.step(ctx, kind)
	if err := cmp.Or(before, after); err != nil {
		return Errorf(CodeAPIUnavailable, "%s: %w", kind, err)
	}
	return nil
}

func (w *world) Quote(ctx context.Context, model string, payload json.RawMessage) (CU, error) {
	return jobPrice, w.free(ctx, "quote")
}

func (w *world) Submit(ctx context.Context, model string, payload json.RawMessage, last func(context.Context) error) (Receipt, error) {
	if w.limits > 0 && !retry.Sleep(ctx, w.limits) {
		e := *asStop(context.Cause(ctx))
		e.Refused = true
		return Receipt{}, &e
	}
	if err := last(ctx); err != nil {
		e := *AsError(err)
		e.Refused = true
		return Receipt{}, &e
	}
	before, after := w.step(ctx, "submit")
	if before != nil {
		return Receipt{}, Errorf(CodeSubmitLost, "submit: %w", before)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.settle()
	running := 0
	for _, j := range w.jobs {
		if j.State == JobRunning {
			running++
		}
	}
	if w.ceiling > 0 && running >= w.ceiling {
		return Receipt{}, &Error{Code: CodeConcurrency, Message: "too many", Refused: true, Limit: w.ceiling}
	}
	var input map[string]any
	if err := json.Unmarshal(payload, &input); err != nil {
		return Receipt{}, err
	}
	n := len(w.jobs)
	j := &worldJob{payload: string(payload), ends: time.Now().Add(w.takes(n)), fate: w.fate(n, input)}
	j.Job = Job{ID: fmt.Sprintf("job_%03d", n), Model: model, State: JobRunning, Input: input, Cost: jobPrice, CreatedAt: w.Clock().UTC(), UpdatedAt: w.Clock().UTC()}
	w.jobs = append(w.jobs, j)
	w.peak = max(w.peak, running+1)
	if after != nil {
		return Receipt{}, Errorf(CodeSubmitLost, "submit: %w", after)
	}
	return Receipt{JobID: j.ID, Cost: jobPrice, At: j.CreatedAt}, nil
}

// settle lets jobs end whose time has come. The lock is held.
func (w *world) settle() {
	for _, j := range w.jobs {
		if j.State != JobRunning || time.Now().Before(j.ends) {
			continue
		}
		j.UpdatedAt = j.ends.Add(w.skew).UTC()
		switch j.fate {
		case "":
			j.State, j.AssetIDs = JobSucceeded, []string{"asset_" + strings.TrimPrefix(j.ID, "job_")}
		case "no-assets":
			j.State = JobSucceeded
		default:
			j.State, j.Error = JobFailed, j.fate
			j.NoRefund, j.Moderated = j.fate == "fail-charged", j.fate == "moderated"
		}
	}
}

func (w *world) Await(ctx context.Context, ref JobRef, progress func(float64)) (Job, error) {
	for {
		if err := w.free(ctx, "job"); err != nil && ctx.Err() != nil {
			return Job{}, context.Cause(ctx)
		}
		w.mu.Lock()
		w.settle()
		i := slices.IndexFunc(w.jobs, func(j *worldJob) bool { return j.ID == ref.ID })
		if i < 0 {
			w.mu.Unlock()
			return Job{}, Errorf(CodeNotFound, "job %s not found", ref.ID)
		}
		j := w.jobs[i].Job
		w.mu.Unlock()
		if j.State != JobRunning {
			return j, nil
		}
		progress(0.5)
		if !retry.Sleep(ctx, 3*time.Second) {
			return Job{}, context.Cause(ctx)
		}
	}
}

func (w *world) Jobs(ctx context.Context, since time.Time) iter.Seq2[Job, error] {
	return func(yield func(Job, error) bool) {
		if err := w.free(ctx, "jobs"); err != nil {
			yield(Job{}, err)
			return
		}
		w.mu.Lock()
		w.settle()
		var listed []Job
		for _, j := range slices.Backward(w.jobs) {
			if !j.CreatedAt.Before(since) && w.Clock().Sub(j.CreatedAt) >= w.lag {
				listed = append(listed, j.Job)
			}
		}
		w.mu.Unlock()
		for _, j := range listed {
			if !yield(j, nil) {
				return
			}
		}
	}
}

func (w *world) Assets(ctx context.Context, ids []string) (map[string]Asset, error) {
	if err := w.free(ctx, "assets"); err != nil {
		return nil, err
	}
	known := map[string]Asset{}
	for _, id := range ids {
		if text, ok := strings.CutPrefix(id, "asset_text_"); ok {
			known[id] = Asset{ID: id, Kind: "text", Ready: true, Text: strings.ReplaceAll(text, "_", " ")}
			continue
		}
		known[id] = Asset{ID: id, URL: "memory:" + id, MIME: "image/png", Kind: "image", Ready: true, Bytes: int64(len(contentOf(id)))}
	}
	return known, nil
}

func (w *world) Upload(ctx context.Context, f File) (string, error) {
	if err := w.free(ctx, "upload"); err != nil {
		return "", err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.uploads[f.SHA256]++
	return "asset_up_" + f.SHA256, nil
}

func (w *world) Clock() time.Time { return time.Now().Add(w.skew) }

func (w *world) Learn(model string, took time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.learned = append(w.learned, took)
}

func (w *world) Expected(string) (time.Duration, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.learned) == 0 {
		return 0, false
	}
	return w.learned[0], true
}

func contentOf(id string) string { return "\x89PNG\r\n\x1a\n" + strings.Repeat(id, 1000) }

func (w *world) Open(ctx context.Context, a Asset, fresh func(context.Context) (Asset, error)) (io.ReadCloser, int64, error) {
	before, after := w.step(ctx, "fetch")
	if before != nil {
		return nil, 0, Errorf(CodeDownload, "fetch: %w", before)
	}
	if after != nil {
		return io.NopCloser(io.MultiReader(strings.NewReader(contentOf(a.ID)[:100]), failing{})), a.Bytes, nil
	}
	return io.NopCloser(strings.NewReader(contentOf(a.ID))), a.Bytes, nil
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, Errorf(CodeDownload, "fetch: %w", errReset) }

func (w *world) Sniff(head []byte, declared string) (string, string, string) {
	if bytes.HasPrefix(head, []byte("\x89PNG")) {
		return "image/png", "image", ".png"
	}
	return "text/html", "document", ".html"
}

func (w *world) Inspect(string) (io.Writer, func() Facts) {
	return io.Discard, func() Facts { return Facts{Width: 640, Height: 360} }
}

func (w *world) Examine(mime string) (io.Writer, func() Facts) { return w.Inspect(mime) }

func (w *world) URI(key string) string { return "memory/" + key }

func (w *world) Put(ctx context.Context, key string, body io.Reader, size int64, meta ObjectMeta) (Object, error) {
	before, after := w.step(ctx, "put")
	if before != nil {
		return Object{}, Errorf(CodeDestination, "put: %w", before)
	}
	data, err := io.ReadAll(body)
	if err != nil {
		return Object{}, Errorf(CodeDestination, "put: %w", err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	s := stored{data, w.objects[key].version + 1}
	w.objects[key] = s
	if after != nil {
		return Object{}, Errorf(CodeDestination, "put: %w", after)
	}
	return Object{Key: key, Bytes: int64(len(data)), Version: fmt.Sprint(s.version)}, nil
}

func (w *world) List(ctx context.Context, prefix string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		w.mu.Lock()
		objects := maps.Clone(w.objects)
		w.mu.Unlock()
		for key, s := range objects {
			if strings.HasPrefix(key, prefix) && !yield(Object{Key: key, Bytes: int64(len(s.data)), Version: fmt.Sprint(s.version)}, nil) {
				return
			}
		}
	}
}

func (w *world) Move(ctx context.Context, from, to string) error {
	before, after := w.step(ctx, "move")
	if before != nil {
		return Errorf(CodeDestination, "move: %w", before)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	o, ok := w.objects[from]
	if !ok {
		return Errorf(CodeDestination, "move: %w", fs.ErrNotExist)
	}
	w.objects[to] = o
	delete(w.objects, from)
	if after != nil {
		return Errorf(CodeDestination, "move: %w", after)
	}
	return nil
}

func (w *world) Load(ctx context.Context) (map[string]Entry, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	entries := map[string]Entry{}
	for id, s := range w.records {
		e := Entry{Version: fmt.Sprint(s.version)}
		if err := json.Unmarshal(s.data, &e.Record); err != nil {
			e.Damaged = Errorf(CodeLedger, "record of %s: %w", id, err)
		}
		entries[id] = e
	}
	return entries, nil
}

func (w *world) Save(ctx context.Context, r Record, version string) (string, error) {
	before, after := w.step(ctx, "save:"+string(r.State))
	if before != nil {
		return "", Errorf(CodeDestination, "save: %w", before)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	old, exists := w.records[r.ID]
	data, err := json.Marshal(r)
	if err != nil {
		return "", err
	}
	switch {
	case exists && bytes.Equal(old.data, data): // our own write, whose answer was lost
	case exists && version != fmt.Sprint(old.version), !exists && version != "":
		return "", ErrConflict
	default:
		old.version++
	}
	w.records[r.ID] = stored{data, old.version}
	if after != nil {
		return "", Errorf(CodeDestination, "save: %w", after)
	}
	return fmt.Sprint(old.version), nil
}

func (w *world) Input(ctx context.Context, sha256 string) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.assets[sha256], nil
}

func (w *world) SaveInput(ctx context.Context, f File, assetID string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.assets[f.SHA256] = assetID
	return nil
}

// item makes an item of a payload; sources are given as From values in it.
func item(id string, payload map[string]any) *Item {
	it := &Item{ID: id, Model: "model_x", Prompt: id, Payload: payload, Makes: "image", PicksSeed: true, SeedMax: 1 << 30,
		PriceShape: "x", At: Position{File: "m.yaml", Line: 3, Col: 1}}
	for _, v := range payload {
		if f, ok := v.(From); ok {
			it.Sources = append(it.Sources, f.Item)
		}
	}
	it.Fingerprint = Fingerprint(it.Model, payload, "", func(id string) string { return "of " + id })
	return it
}

func items(n int) []*Item {
	var its []*Item
	for i := range n {
		its = append(its, item(fmt.Sprintf("item-%03d", i), map[string]any{"prompt": fmt.Sprintf("picture %d", i)}))
	}
	return its
}

// run makes one run over the world, with change applied to its configuration.
func (w *world) run(t *testing.T, its []*Item, change func(*Config)) *Summary {
	t.Helper()
	return w.runUntil(t, t.Context(), t.Context(), its, change)
}

func (w *world) runUntil(t *testing.T, ctx, following context.Context, its []*Item, change func(*Config)) *Summary {
	t.Helper()
	w.mu.Lock()
	clear(w.calls)
	w.mu.Unlock()
	c := Config{API: w, Fetcher: w, Inspector: w, Store: w, Ledger: w, Batch: "b", RunID: fmt.Sprintf("run-%d", time.Now().UnixNano()), Budget: Unlimited}
	if change != nil {
		change(&c)
	}
	s, err := Run(ctx, following, c, its)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Outcomes) != len(its) {
		t.Fatalf("%d outcomes for %d items", len(s.Outcomes), len(its))
	}
	for i, o := range s.Outcomes {
		if o.Item != its[i] {
			t.Fatalf("outcome %d is of %s, want %s", i, o.Item.ID, its[i].ID)
		}
	}
	return s
}

// bought counts purchases by what was asked for, the seed left out.
func (w *world) bought() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := map[string]int{}
	for _, j := range w.jobs {
		n[fmt.Sprint(j.Input["prompt"])]++
	}
	return n
}

func wantTotals(t *testing.T, s *Summary, want Totals) {
	t.Helper()
	want.Quoted, want.Spent = s.Totals.Quoted, s.Totals.Spent
	if s.Totals != want {
		for _, o := range s.Outcomes {
			t.Logf("%s: %s %v", o.Item.ID, o.Status, o.Err)
		}
		t.Fatalf("totals %+v\nwant   %+v (stop: %v)", s.Totals, want, s.Stop)
	}
}

// dead ends the process from the world's point of view: nothing it still tries has any effect.
func (w *world) dead() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for n := range 10_000 {
		w.faults[w.exchange+n] = "before"
	}
}

// alive is the world for the next process.
func (w *world) alive() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.faults)
	w.onFault = nil
}

// charged is what the API keeps, and the most it had charged and not given back at any instant.
func (w *world) charged() (now, peak CU) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.settle()
	type change struct {
		at time.Time
		by CU
	}
	var changes []change
	for _, j := range w.jobs {
		now += jobPrice
		changes = append(changes, change{j.CreatedAt, jobPrice})
		if j.State == JobFailed && !j.NoRefund {
			now -= jobPrice
			changes = append(changes, change{j.UpdatedAt, -jobPrice})
		}
	}
	slices.SortStableFunc(changes, func(a, b change) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.by, b.by)) })
	var sum CU
	for _, c := range changes {
		sum += c.by
		peak = max(peak, sum)
	}
	return now, peak
}

// deliveredTwice counts the purchases of what was bought again although a job of it had succeeded with assets.
func (w *world) deliveredTwice() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	good := map[string]int{}
	for _, j := range w.jobs {
		if j.fate == "" {
			good[fmt.Sprint(j.Input["prompt"])]++
		}
	}
	maps.DeleteFunc(good, func(_ string, n int) bool { return n < 2 })
	return good
}
