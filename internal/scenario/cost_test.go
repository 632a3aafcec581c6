package scenario

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dailies/pipeline"
)

// TestRequestsPerItem is the benchmark of the watcher and the limiter, in virtual time: how many requests an item
// costs all told, and how long a finished job waits to be seen. The guides' own loop, every 3 seconds a job, needs
// 34 requests for a job of 100 seconds.
func TestRequestsPerItem(t *testing.T) {
	for _, tt := range []struct {
		items, inFlight int
		median          time.Duration
		sigma           float64
		most            float64       // requests an item
		seen            time.Duration // median time from a job's end to its being seen
	}{
		// Requests are scarce here.
		{items: 200, inFlight: 10, median: 6 * time.Second, sigma: 0.3, most: 1.5, seen: 4 * time.Second},
		{items: 200, inFlight: 10, median: 12 * time.Second, sigma: 0.5, most: 2, seen: 2 * time.Second},
		{items: 1000, inFlight: 100, median: 40 * time.Second, sigma: 0.4, most: 1.2, seen: 20 * time.Second},
		{items: 1000, inFlight: 100, median: 100 * time.Second, sigma: 0.4, most: 1.8, seen: 4 * time.Second},
		// Slots are, and requests are spent to free them.
		{items: 200, inFlight: 10, median: 40 * time.Second, sigma: 0.4, most: 6, seen: 1200 * time.Millisecond},
		{items: 200, inFlight: 10, median: 100 * time.Second, sigma: 0.4, most: 12, seen: time.Second},
		{items: 1000, inFlight: 100, median: 240 * time.Second, sigma: 0.3, most: 3, seen: 3 * time.Second},
		// Somebody waits for a single one.
		{items: 1, inFlight: 1, median: 100 * time.Second, sigma: 0.4, most: 40, seen: 8 * time.Second},
		{items: 1, inFlight: 1, median: 6 * time.Second, sigma: 0.4, most: 8, seen: 2 * time.Second},
	} {
		t.Run(fmt.Sprintf("%d at %d, %s", tt.items, tt.inFlight, tt.median), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(1, 2))
				took := make([]time.Duration, tt.items)
				for i := range took {
					took[i] = time.Duration(float64(tt.median) * math.Exp(tt.sigma*rng.NormFloat64()))
				}
				api := &fakeAPI{perMinute: 100, latency: 100 * time.Millisecond, took: func(n int) time.Duration { return took[n] }}
				c := against(t, api)
				var late []time.Duration
				var mu sync.Mutex
				var group sync.WaitGroup
				slots := make(chan struct{}, tt.inFlight)
				start := time.Now()
				for range tt.items {
					slots <- struct{}{}
					group.Go(func() {
						receipt, err := c.Submit(t.Context(), "model_x", []byte(`{}`), nil)
						if err != nil {
							t.Error(err)
							return
						}
						job, err := c.Await(t.Context(), refOf(receipt, "model_x"), nil)
						if err != nil || job.State != pipeline.JobSucceeded {
							t.Errorf("await: %v, %v", job, err)
						}
						mu.Lock()
						late = append(late, time.Since(api.job(job.ID).ends))
						mu.Unlock()
						<-slots
						time.Sleep(time.Duration(20+rand.IntN(60)) * time.Millisecond) // the record is written
						if got, err := c.Assets(t.Context(), job.AssetIDs); err != nil || len(got) != 1 {
							t.Errorf("assets: %v, %v", got, err)
						}
					})
				}
				group.Wait()
				slices.Sort(late)
				sent, total := c.Requests(), 0
				for _, n := range sent {
					total += n
				}
				each, p50 := float64(total)/float64(tt.items), late[len(late)/2]
				ideal := time.Duration(float64(tt.median)*math.Exp(tt.sigma*tt.sigma/2)) * time.Duration(tt.items) / time.Duration(tt.inFlight)
				t.Logf("%.2f requests an item (%v); seen after p50 %.1fs p95 %.1fs; %s in all, %s without any limit",
					each, sent, p50.Seconds(), late[len(late)*95/100].Seconds(), pipeline.Span(time.Since(start)), pipeline.Span(ideal))
				if each > tt.most {
					t.Errorf("%.2f requests an item, want at most %.2f", each, tt.most)
				}
				if p50 > tt.seen {
					t.Errorf("half of the jobs were seen later than %s after their end, want %s", p50, tt.seen)
				}
				if api.violations > 0 {
					t.Errorf("%d requests over the limit", api.violations)
				}
			})
		})
	}
}
