package scenario

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"dailies/pipeline"
)

// A fakeAPI answers from memory, on the clock of a synctest bubble. It holds the documented limit itself: more
// than perMinute requests in any minute are counted as violations.
type fakeAPI struct {
	perMinute int
	latency   time.Duration
	took      func(n int) time.Duration          // how long the n-th job takes, from 0
	fault     func(*http.Request) *http.Response // nil: answer as usual

	mu         sync.Mutex
	jobs       []*fakeJob // oldest first
	arrived    []time.Time
	violations int
	hidden     map[string]bool // jobs that the listing leaves out
	pushed     int             // newer jobs of other people, which fill the listing
}

type fakeJob struct {
	id, model string
	created   time.Time
	ends      time.Time
	status    string // how it ends; "" is success
}

func (f *fakeAPI) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
		r.Body.Close()
	}
	select {
	case <-time.After(f.latency / 2):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	resp := f.answer(r, body)
	if resp == nil { // hang
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	select {
	case <-time.After(f.latency / 2):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	return resp, nil
}

func (f *fakeAPI) answer(r *http.Request, body []byte) *http.Response {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	f.arrived = append(f.arrived, now)
	if n := len(f.arrived); f.perMinute > 0 && n > f.perMinute && now.Sub(f.arrived[n-1-f.perMinute]) < time.Minute {
		f.violations++
	}
	if f.fault != nil {
		if resp := f.fault(r); resp != unharmed {
			return resp
		}
	}
	path := strings.Split(strings.TrimPrefix(r.URL.Path, "/v1/"), "/")
	switch {
	case path[0] == "generate":
		j := &fakeJob{id: fmt.Sprintf("job_%024d", len(f.jobs)), model: path[2], created: now, ends: now.Add(f.took(len(f.jobs)))}
		f.jobs = append(f.jobs, j)
		return reply(200, map[string]any{"job": j.wire(now), "creativeUnitsCost": 1})
	case path[0] == "jobs" && len(path) == 1:
		rows := []any{}
		size, _ := strconv.Atoi(r.URL.Query().Get("pageSize"))
		for i := range min(f.pushed, size) {
			rows = append(rows, (&fakeJob{id: fmt.Sprintf("job_x%023d", i), model: "model_other", created: now, ends: now}).wire(now))
		}
		for _, j := range slices.Backward(f.jobs) {
			if len(rows) < size && !f.hidden[j.id] {
				rows = append(rows, j.wire(now))
			}
		}
		page := map[string]any{"jobs": rows}
		if len(rows) == size {
			page["nextPaginationToken"] = "more"
		}
		return reply(200, page)
	case path[0] == "jobs":
		for _, j := range f.jobs {
			if j.id == path[1] {
				return reply(200, map[string]any{"job": j.wire(now)})
			}
		}
		return reply(404, map[string]any{"reason": "Job not found"})
	case path[0] == "assets":
		var ask struct{ AssetIDs []string }
		json.Unmarshal(body, &ask)
		if len(ask.AssetIDs) > bulkMost {
			return reply(400, map[string]any{"reason": "too many"})
		}
		rows := []any{}
		for _, id := range ask.AssetIDs {
			if !strings.HasPrefix(id, "asset_gone") {
				rows = append(rows, map[string]any{"id": id, "status": "success", "url": "https://cdn.example.com/" + id})
			}
		}
		return reply(200, map[string]any{"assets": rows})
	}
	return reply(404, map[string]any{"reason": "Not found"})
}

func (j *fakeJob) wire(now time.Time) map[string]any {
	const form = "2006-01-02T15:04:05.000Z"
	w := map[string]any{"jobId": j.id, "status": "in-progress", "progress": 0,
		"createdAt": j.created.UTC().Format(form), "updatedAt": j.created.UTC().Format(form),
		"metadata": map[string]any{"input": map[string]any{"modelId": j.model}}}
	if !now.Before(j.ends) {
		w["status"], w["progress"], w["updatedAt"] = "success", 1, j.ends.UTC().Format(form)
		if j.status != "" {
			w["status"] = j.status
		}
		w["metadata"].(map[string]any)["assetIds"] = []string{"asset_" + j.id[4:]}
	}
	return w
}

// unharmed is what a fault answers where it does not strike.
var unharmed = &http.Response{}

func reply(status int, v any) *http.Response {
	b, _ := json.Marshal(v)
	return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(b))}
}

// against makes a client of the fake API; it must be called, and ends, in the bubble.
func against(t *testing.T, f *fakeAPI) *Client {
	t.Helper()
	if f.took == nil {
		f.took = func(int) time.Duration { return 10 * time.Second }
	}
	c, err := New(Config{BaseURL: "https://api.example.com/v1", Key: testKey, Secret: testSecret, Transport: f, RequestsPerMinute: f.perMinute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func (f *fakeAPI) job(id string) *fakeJob {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, j := range f.jobs {
		if j.id == id {
			return j
		}
	}
	return nil
}

func refOf(r pipeline.Receipt, model string) pipeline.JobRef {
	return pipeline.JobRef{ID: r.JobID, Model: model, SubmittedAt: r.At}
}
