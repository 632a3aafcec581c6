package e2e

import (
	"cmp"
	"container/heap"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dailies/internal/catalog"
	"dailies/internal/fetch"
	"dailies/internal/media"
	"dailies/internal/sandbox"
	"dailies/internal/scenario"
	"dailies/pipeline"
)

// A night is a batch and an API to make it on. Durations are lognormal with a median of 90 s and a sigma of 0.5; two
// jobs in a hundred take three times as long, and two in a hundred fail.
type night struct {
	name  string
	items int
	slots int  // the API's ceiling
	told  bool // the user says what it is; otherwise its first refusal does
	kinds int  // models, each with a duration of its own that last night taught; 0 is one model nobody has seen
	noise bool // two requests in a hundred are answered with 429 or 5xx
	pace  float64
}

const (
	perMinute = 100 // requests, documented
	median    = 90 * time.Second
	sigma     = 0.5
)

var nights = []night{
	{name: "rate-bound", items: 1000, slots: 200, told: true},
	{name: "rate-bound-ceiling-unknown", items: 1000, slots: 200},
	{name: "rate-bound-kinds", items: 1000, slots: 200, kinds: 8},
	{name: "rate-bound-noise", items: 1000, slots: 200, noise: true},
	{name: "mixed", items: 1000, slots: 100, told: true},
	{name: "mixed-ceiling-unknown", items: 1000, slots: 100},
	{name: "mixed-kinds", items: 1000, slots: 100, kinds: 8},
	{name: "mixed-noise", items: 1000, slots: 100, noise: true},
	{name: "slot-bound", items: 1000, slots: 10, told: true},
	{name: "slot-bound-ceiling-unknown", items: 1000, slots: 10},
	{name: "slot-bound-kinds", items: 1000, slots: 10, kinds: 8},
	{name: "slot-bound-noise", items: 1000, slots: 10, noise: true},
	{name: "rehearsal", items: 200, slots: 10, pace: 0.1},
}

// BenchmarkSchedule makes whole nights in virtual time: the engine and the client as they are, on the sandbox as it is,
// with nothing but the network, the ledger and the destination replaced by delays. Beside it runs the loop that the
// API's guides show. Metrics:
//
//	bound-s     the larger of N ÷ request rate and the longest-first list schedule of the same jobs on the same slots
//	in-order-s  the same jobs in the manifest's order, at the same rate on the same slots, with no delay anywhere:
//	            what can be reached without knowing how long a job will take
//	makespan-s  what it took, ×bound its ratio
//	req/item    requests an item, all told and by kind
//	p50-s p95-s from a job's end to the first byte of its asset asked for
//	over-limit  requests that were more than allowed in some minute
func BenchmarkSchedule(b *testing.B) {
	for _, n := range nights {
		for _, who := range []struct {
			name string
			make func(*testing.T, *made)
		}{{"dailies", runDailies}, {"guide-loop", runGuideLoop}} {
			b.Run(n.name+"/"+who.name, func(b *testing.B) {
				for b.Loop() {
					m := newMade(n)
					bubble(b, func(t *testing.T) { m.run(t, who.make) })
					m.report(b)
				}
			})
		}
	}
}

// bubble runs f in virtual time, which testing grants to tests alone.
func bubble(b *testing.B, f func(*testing.T)) {
	b.Helper()
	all := func(string, string) (bool, error) { return true, nil }
	test := testing.InternalTest{Name: b.Name(), F: func(t *testing.T) { synctest.Test(t, f) }}
	if !testing.RunTests(all, []testing.InternalTest{test}) {
		b.FailNow()
	}
}

// made is a night and what came of it.
type made struct {
	night
	items []*pipeline.Item
	takes map[string]time.Duration // by prompt
	wire  *memoryWire
	took  time.Duration
	late  []time.Duration // from a job's end to the first byte asked for, ascending
}

func newMade(n night) *made {
	m := &made{night: n, takes: map[string]time.Duration{}}
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range n.items {
		model, typical, spread := "model_night", float64(median), sigma
		if n.kinds > 0 {
			// What the kinds differ by and what their jobs do make up the same sigma.
			k := i % n.kinds
			model, spread = fmt.Sprintf("model_night-%d", k), sigma*0.3
			typical *= math.Exp(sigma * 0.95 * normalQuantile((float64(k)+0.5)/float64(n.kinds)))
		}
		prompt := fmt.Sprintf("shot %04d", i)
		took := typical * math.Exp(spread*rng.NormFloat64())
		switch p := rng.Float64(); {
		case p < 0.02:
			took *= 3
		case p < 0.04:
			prompt += " [sandbox:fail]"
		}
		payload := map[string]any{"prompt": prompt, "generateAudio": true}
		m.takes[prompt] = time.Duration(took).Truncate(time.Millisecond)
		m.items = append(m.items, &pipeline.Item{
			ID: fmt.Sprintf("shot-%04d", i), Model: model, Payload: payload, Prompt: prompt, PriceShape: model, Makes: "video",
			Fingerprint: pipeline.Fingerprint(model, payload, "", func(id string) string { return id }),
		})
	}
	return m
}

// normalQuantile is the inverse of the normal distribution.
func normalQuantile(p float64) float64 { return math.Sqrt2 * math.Erfinv(2*p-1) }

// lasts is how long the sandbox takes over an item's job.
func (m *made) lasts(prompt string) time.Duration {
	d := m.takes[prompt]
	if strings.Contains(prompt, "[sandbox:fail]") {
		d = d * 6 / 10 // what fails does so before the end
	}
	return d.Truncate(time.Millisecond)
}

// run makes the night within a bubble.
func (m *made) run(t *testing.T, do func(*testing.T, *made)) {
	known := catalog.Snapshot()
	model, ok := known.Record("model_veo3-1")
	if !ok {
		t.Fatal("no record of Veo")
	}
	o := sandbox.Options{
		Models:      func(string) (json.RawMessage, bool) { return model, true },
		Concurrency: m.slots, RequestsPerMinute: perMinute, Pace: m.pace,
		AssetBytes: func(string) int64 { return 16 << 10 },
	}
	if m.pace == 0 {
		o.Takes = func(_ string, payload json.RawMessage) time.Duration { return m.takes[promptOf(payload)] }
	}
	if m.noise {
		o.Faults = &sandbox.Faults{Rules: []sandbox.Rule{
			{Fault: "429", On: "any", Probability: 0.005, Seed: 1},
			{Fault: "429-retry-after", On: "any", Probability: 0.005, Seed: 2},
			{Fault: "503", On: "any", Probability: 0.005, Seed: 3},
			{Fault: "500", On: "any", Probability: 0.005, Seed: 4, Processed: true},
		}}
	}
	api, err := sandbox.New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	m.wire = newMemoryWire(api)
	began := time.Now()
	do(t, m)
	m.took = time.Since(began)
	for _, p := range api.Book() {
		ended := p.At.Add(m.lasts(promptOf(p.Payload)))
		for _, id := range p.AssetIDs {
			if asked, ok := m.wire.firstByte[id]; ok && m.pace == 0 {
				m.late = append(m.late, asked.Sub(ended))
			}
		}
	}
	slices.Sort(m.late)
}

func promptOf(payload json.RawMessage) string {
	var p struct{ Prompt string }
	_ = json.Unmarshal(payload, &p)
	return p.Prompt
}

const where = "http://127.0.0.1/v1"

// runDailies is the program from the engine down.
func runDailies(t *testing.T, m *made) {
	client, err := scenario.New(scenario.Config{BaseURL: where, Key: "key", Secret: "secret", RequestsPerMinute: perMinute, Transport: m.wire})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if m.kinds > 0 {
		for _, it := range m.items[:len(m.items)/10] {
			client.Learn(it.Model, m.lasts(it.Prompt))
		}
	}
	c := pipeline.Config{
		API: client, Fetcher: fetch.New(fetch.Options{Transport: m.wire}), Inspector: media.Inspector{}, Store: memoryStore{},
		Ledger: &memoryLedger{}, Batch: "night", RunID: "1", Budget: pipeline.Unlimited,
	}
	if m.told {
		c.Concurrency = m.slots
	}
	s, err := pipeline.Run(t.Context(), t.Context(), c, m.items)
	if err != nil {
		t.Fatal(err)
	}
	failing := 0
	for _, it := range m.items {
		if strings.Contains(it.Prompt, "[sandbox:fail]") {
			failing++
		}
	}
	if s.Totals.Delivered+failing != len(m.items) {
		for _, o := range s.Outcomes {
			if o.Err != nil && o.Err.Code != pipeline.CodeGeneration {
				t.Log(o.Err)
				break
			}
		}
		t.Errorf("delivered %d of %d, %d of which were to fail: %+v", s.Totals.Delivered, len(m.items), failing, s.Totals)
	}
}

// bound is the least time the night can take.
func (m *made) bound() time.Duration {
	jobs := m.durations()
	slices.SortFunc(jobs, func(a, b time.Duration) int { return cmp.Compare(b, a) })
	return max(time.Duration(len(jobs))*time.Minute/perMinute, schedule(jobs, m.slots, 0))
}

func (m *made) durations() []time.Duration {
	jobs := make([]time.Duration, len(m.items))
	for i, it := range m.items {
		jobs[i] = m.lasts(it.Prompt)
	}
	return jobs
}

// schedule is how long jobs take on so many slots, begun in that order, each as soon as a slot is free and the rate
// (in any minute; 0 is none) allows.
func schedule(jobs []time.Duration, slots, rate int) (makespan time.Duration) {
	free := make(instants, slots)
	began := make([]time.Duration, len(jobs))
	for i, d := range jobs {
		began[i] = free[0]
		if rate > 0 && i >= rate {
			began[i] = max(began[i], began[i-rate]+time.Minute)
		}
		free[0] = began[i] + d
		makespan = max(makespan, free[0])
		heap.Fix(&free, 0)
	}
	return makespan
}

// instants is a heap, the earliest on top.
type instants []time.Duration

func (h instants) Len() int           { return len(h) }
func (h instants) Less(a, b int) bool { return h[a] < h[b] }
func (h instants) Swap(a, b int)      { h[a], h[b] = h[b], h[a] }
func (h *instants) Push(x any)        { *h = append(*h, x.(time.Duration)) }
func (h *instants) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

func (m *made) report(b *testing.B) {
	b.Helper()
	each := func(kinds ...string) float64 {
		sum := 0
		for _, k := range kinds {
			sum += m.wire.sent[k]
		}
		return float64(sum) / float64(len(m.items))
	}
	if m.pace == 0 {
		bound := m.bound()
		b.ReportMetric(bound.Seconds(), "bound-s")
		b.ReportMetric(schedule(m.durations(), m.slots, perMinute).Seconds(), "in-order-s")
		b.ReportMetric(m.took.Seconds()/bound.Seconds(), "×bound")
		b.ReportMetric(m.late[len(m.late)/2].Seconds(), "p50-s")
		b.ReportMetric(m.late[len(m.late)*95/100].Seconds(), "p95-s")
	}
	b.ReportMetric(m.took.Seconds(), "makespan-s")
	b.ReportMetric(each(http.MethodPost+" generate", "GET jobs", "GET job", "POST assets", "GET assets"), "req/item")
	b.ReportMetric(each("POST generate"), "submits/item")
	b.ReportMetric(each("GET jobs"), "listings/item")
	b.ReportMetric(each("GET job"), "jobs/item")
	b.ReportMetric(each("POST assets", "GET assets"), "assets/item")
	b.ReportMetric(float64(m.wire.over), "over-limit")
}
