package scenario

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dailies/pipeline"
)

// submits makes n jobs and returns their refs.
func submits(t *testing.T, c *Client, n int) []pipeline.JobRef {
	t.Helper()
	var refs []pipeline.JobRef
	for range n {
		r, err := c.Submit(t.Context(), "model_x", []byte(`{}`), nil)
		if err != nil {
			t.Fatal(err)
		}
		refs = append(refs, refOf(r, "model_x"))
	}
	return refs
}

// awaitAll awaits every job and returns how each wait ended, by job id.
func awaitAll(ctx context.Context, c *Client, refs []pipeline.JobRef) map[string]ending {
	got := make(map[string]ending)
	var mu sync.Mutex
	var group sync.WaitGroup
	for _, ref := range refs {
		group.Go(func() {
			job, err := c.Await(ctx, ref, nil)
			mu.Lock()
			defer mu.Unlock()
			got[ref.ID] = ending{job, err}
		})
	}
	group.Wait()
	return got
}

func TestAwaitReturnsEveryEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{latency: 10 * time.Millisecond}
		c := against(t, api)
		refs := submits(t, c, 8)
		want := map[string]pipeline.JobState{"": pipeline.JobSucceeded, "success": pipeline.JobSucceeded, "completed": pipeline.JobSucceeded,
			"failure": pipeline.JobFailed, "failed": pipeline.JobFailed, "error": pipeline.JobFailed,
			"canceled": pipeline.JobCanceled, "cancelled": pipeline.JobCanceled}
		i := 0
		for status := range want {
			api.jobs[i].status = status
			i++
		}
		for id, end := range awaitAll(t.Context(), c, refs) {
			if state := want[api.job(id).status]; end.err != nil || end.job.State != state {
				t.Errorf("a job that ended %q: %+v, %v", api.job(id).status, end.job, end.err)
			}
		}
		if d, ok := c.Expected("model_x"); !ok || d != 10*time.Second {
			t.Errorf("expects %s, %t", d, ok)
		}
	})
}

func TestAwaitAsksForWhatTheListingHides(t *testing.T) {
	for name, spoil := range map[string]func(*fakeAPI){
		"left out":               func(f *fakeAPI) { f.hidden = map[string]bool{f.jobs[2].id: true, f.jobs[5].id: true} },
		"pushed off":             func(f *fakeAPI) { f.pushed = 1000 },
		"no listing at all":      func(f *fakeAPI) { f.fault = noListing },
		"some rows are nonsense": func(f *fakeAPI) { f.fault = nonsense },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := &fakeAPI{}
				c := against(t, api)
				refs := submits(t, c, 12)
				api.mu.Lock()
				spoil(api)
				api.mu.Unlock()
				start := time.Now()
				for id, end := range awaitAll(t.Context(), c, refs) {
					if end.err != nil || end.job.State != pipeline.JobSucceeded {
						t.Errorf("%s: %+v, %v", id, end.job, end.err)
					}
				}
				if d := time.Since(start); d > 90*time.Second {
					t.Errorf("twelve jobs of 10 s took %s", d)
				}
				if n := c.Requests()["job"]; n > 60 {
					t.Errorf("%d single requests for twelve jobs", n)
				}
			})
		})
	}
}

func noListing(r *http.Request) *http.Response {
	if r.URL.Path == "/v1/jobs" {
		return reply(400, map[string]any{"reason": "Invalid types"})
	}
	return unharmed
}

func nonsense(r *http.Request) *http.Response {
	if r.URL.Path == "/v1/jobs" {
		return reply(200, map[string]any{"jobs": []any{nil, 3, "x", map[string]any{"jobId": 7}, map[string]any{"jobId": "job_a/b", "status": "success"}}})
	}
	return unharmed
}

// Nothing that passes may end a wait: the job lives and is paid for.
func TestAwaitOutlastsTrouble(t *testing.T) {
	for name, answer := range map[string]func() *http.Response{
		"500":       func() *http.Response { return reply(500, map[string]any{"message": "Internal server error"}) },
		"502":       func() *http.Response { r := reply(502, "<html>"); r.Header.Set("Content-Type", "text/html"); return r },
		"malformed": func() *http.Response { return reply(200, "no") },
		"no jobs":   func() *http.Response { return reply(200, map[string]any{}) },
		"rate":      func() *http.Response { return reply(429, map[string]any{"message": "Too Many Requests"}) },
		"hang":      func() *http.Response { return nil },
	} {
		for _, jobs := range []int{1, 5} {
			t.Run(fmt.Sprint(name, jobs), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					api := &fakeAPI{}
					c := against(t, api)
					refs := submits(t, c, jobs)
					until := time.Now().Add(10 * time.Minute)
					api.mu.Lock()
					api.fault = func(*http.Request) *http.Response {
						if time.Now().Before(until) {
							return answer()
						}
						return unharmed
					}
					api.mu.Unlock()
					for id, end := range awaitAll(t.Context(), c, refs) {
						if end.err != nil || end.job.State != pipeline.JobSucceeded {
							t.Errorf("%s: %+v, %v", id, end.job, end.err)
						}
					}
					if d := time.Since(until); d > 2*time.Minute {
						t.Errorf("noticed only %s after the trouble was over", d)
					}
					if n := len(api.arrived); n > 100 {
						t.Errorf("%d requests in ten minutes of trouble", n)
					}
				})
			})
		}
	}
}

func TestAwaitEndsForAllWhenTheAPIRefuses(t *testing.T) {
	for _, tt := range []struct {
		status int
		body   map[string]any
		want   pipeline.Code
	}{
		{401, map[string]any{"message": "Unauthorized"}, pipeline.CodeCredentials},
		{403, map[string]any{"reason": "Forbidden"}, pipeline.CodeProject},
	} {
		for _, jobs := range []int{1, 5} {
			synctest.Test(t, func(t *testing.T) {
				api := &fakeAPI{}
				c := against(t, api)
				refs := submits(t, c, jobs)
				api.fault = func(*http.Request) *http.Response { return reply(tt.status, tt.body) }
				got := awaitAll(t.Context(), c, refs)
				for id, end := range got {
					if pipeline.CodeOf(end.err) != tt.want {
						t.Errorf("%s ended with %v, want %s", id, end.err, tt.want)
					}
				}
				if len(got) != jobs {
					t.Errorf("%d of %d ended", len(got), jobs)
				}
			})
		}
	}
}

func TestAwaitJobNobodyKnows(t *testing.T) {
	for _, others := range []int{0, 3} {
		synctest.Test(t, func(t *testing.T) {
			c := against(t, &fakeAPI{took: func(int) time.Duration { return 5 * time.Minute }})
			refs := submits(t, c, others)
			gone := pipeline.JobRef{ID: "job_gone", Model: "model_x", SubmittedAt: time.Now()}
			ctx, cancel := context.WithCancel(t.Context())
			var group sync.WaitGroup
			group.Go(func() { awaitAll(ctx, c, refs) })
			start := time.Now()
			_, err := c.Await(ctx, gone, nil)
			checkError(t, err, pipeline.Error{Code: pipeline.CodeNotFound, Refused: true, Message: "job job_gone: Job not found"})
			if d := time.Since(start); d < lagAllowed || d > 4*lagAllowed {
				t.Errorf("given up after %s", d)
			}
			cancel()
			group.Wait()
		})
	}
}

func TestAwaitTellsProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{took: func(int) time.Duration { return time.Minute }}
		c := against(t, api)
		refs := submits(t, c, 1)
		steps := []any{0, 0.2, "0.4", 0.4, 1.02, -1, "much"}
		api.fault = func(*http.Request) *http.Response {
			if len(steps) == 0 {
				return unharmed
			}
			job := api.jobs[0].wire(time.Now())
			job["progress"], steps = steps[0], steps[1:]
			return reply(200, map[string]any{"job": job})
		}
		var told []float64
		if _, err := c.Await(t.Context(), refs[0], func(f float64) { told = append(told, f) }); err != nil {
			t.Fatal(err)
		}
		if want := []float64{0.2, 0.4, 1, 0}; !reflect.DeepEqual(told, want) {
			t.Errorf("told %v, want %v", told, want)
		}
	})
}

func TestAwaitLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{}
		c := against(t, api)
		refs := submits(t, c, 3)
		why := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		var group sync.WaitGroup
		for _, ref := range refs[:2] {
			group.Go(func() {
				_, err := c.Await(ctx, ref, nil)
				checkError(t, err, pipeline.Error{Code: pipeline.CodeInterrupted, Refused: true, Message: "enough"})
				if !errors.Is(err, why) {
					t.Errorf("%v is not %v", err, why)
				}
			})
		}
		group.Go(func() {
			for range 2 { // two wait for the same job
				if job, err := c.Await(t.Context(), refs[2], nil); err != nil || job.State != pipeline.JobSucceeded {
					t.Errorf("got %+v, %v", job, err)
				}
			}
		})
		time.Sleep(2 * time.Second)
		cancel(why)
		group.Wait()
		synctest.Wait()
		c.watcher.mu.Lock()
		if len(c.watcher.jobs) != 0 || c.watcher.current != nil {
			t.Errorf("still watching %d jobs", len(c.watcher.jobs))
		}
		c.watcher.mu.Unlock()
		before := len(api.arrived)
		time.Sleep(time.Hour)
		if n := len(api.arrived) - before; n > 0 {
			t.Errorf("%d requests while nobody waited", n)
		}
	})
}

func TestCloseAnswersEverybody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{latency: time.Minute, perMinute: 10}
		c := against(t, api)
		var group sync.WaitGroup
		for i := range 3 {
			group.Go(func() {
				_, err := c.Await(t.Context(), pipeline.JobRef{ID: fmt.Sprint("job_", i)}, nil)
				checkError(t, err, pipeline.Error{Code: pipeline.CodeInterrupted, Refused: true, Message: "the client was closed"})
			})
			group.Go(func() {
				_, err := c.Assets(t.Context(), []string{"asset_1"})
				if pipeline.CodeOf(err) != pipeline.CodeInterrupted {
					t.Errorf("assets ended with %v", err)
				}
			})
			group.Go(func() {
				_, err := c.Submit(t.Context(), "model_x", []byte(`{}`), nil)
				checkError(t, err, pipeline.Error{Code: pipeline.CodeSubmitLost})
			})
		}
		time.Sleep(10 * time.Second)
		c.Close()
		group.Wait()
		_, err := c.Await(t.Context(), pipeline.JobRef{ID: "job_1"}, nil)
		checkError(t, err, pipeline.Error{Code: pipeline.CodeInterrupted, Refused: true})
		_, err = c.Assets(t.Context(), []string{"asset_1"})
		checkError(t, err, pipeline.Error{Code: pipeline.CodeInterrupted, Refused: true})
		_, err = c.Submit(t.Context(), "model_x", []byte(`{}`), nil)
		checkError(t, err, pipeline.Error{Code: pipeline.CodeInterrupted, Refused: true})
	})
}

// The learned law lets the watcher rest: a model that has never taken less than a minute is not looked for after a second.
func TestWatcherRestsUntilItCanBeDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{took: func(int) time.Duration { return 240 * time.Second }}
		c := against(t, api)
		for i := range 20 {
			c.Learn("model_x", 240*time.Second+time.Duration(i-10)*time.Second)
		}
		refs := submits(t, c, 5)
		start, looked := time.Now(), make(chan int, 1)
		time.AfterFunc(3*time.Minute, func() { looked <- c.Requests()["jobs"] })
		awaitAll(t.Context(), c, refs)
		if d := time.Since(start) - 240*time.Second; d > 2*time.Second {
			t.Errorf("seen %s late", d)
		}
		if early := <-looked; early > 15 { // one each half minute for the sake of progress
			t.Errorf("looked %d times in three minutes", early)
		}
	})
}

func TestLaw(t *testing.T) {
	d := newDurations()
	for range 30 {
		d.learn("model_x", 100*time.Second)
	}
	l := d.law("model_x")
	if early := l.ended(0, 50*time.Second); early > 0.05 {
		t.Errorf("half way, ended with probability %.2f", early)
	}
	if late := l.ended(0, 150*time.Second); late < 0.9 {
		t.Errorf("long after, ended with probability %.2f", late)
	}
	for _, age := range []time.Duration{-time.Second, 0, time.Second, time.Minute, time.Hour, 1000 * time.Hour} {
		last := 0.0
		for _, further := range []time.Duration{0, time.Second, time.Minute, time.Hour, 100 * time.Hour} {
			p := l.ended(age, age+further)
			if !(p >= last && p <= 1) {
				t.Errorf("ended(%s, +%s) is %g after %g", age, further, p, last)
			}
			last = p
		}
	}
	d.learn("model_x", -time.Second)
	d.learn("model_x", 48*time.Hour)
	if m, _ := d.median("model_x"); m != 100*time.Second {
		t.Errorf("median is %s", m)
	}
	if _, ok := d.median("model_y"); ok {
		t.Error("a model nobody has seen has a median")
	}
}

func TestListedJobIsNotAskedForByID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{}
		c := against(t, api)
		awaitAll(t.Context(), c, submits(t, c, 50))
		for kind, n := range c.Requests() {
			if strings.HasPrefix(kind, "job") && n > 12 {
				t.Errorf("%d requests of kind %s for fifty jobs", n, kind)
			}
		}
	})
}
