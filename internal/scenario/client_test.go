package scenario

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dailies/pipeline"
)

func TestNewRefuses(t *testing.T) {
	for base, want := range map[string]string{
		"":                                   "has no host",
		"api.example.com/v1":                 "has no host",
		"http://api.example.com/v1":          "must be https",
		"http://127.0.0.1.example.com":       "must be https",
		"ftp://api.example.com":              "must begin with https://",
		"https://me:hush@api.example.com":    "must not hold credentials",
		"https://api.example.com/v1?x=1":     "must not have a query",
		"https://api.example.com/v1#x":       "must not have a query",
		"https://api.example.com/%zz?p=hush": "cannot be read",
	} {
		_, err := New(Config{BaseURL: base, Key: testKey, Secret: testSecret})
		e := checkError(t, err, pipeline.Error{Code: pipeline.CodeUsage, Message: want})
		if strings.Contains(e.Error(), "hush") {
			t.Errorf("repeats a password: %s", e)
		}
	}
	for _, base := range []string{"https://api.cloud.scenario.com/v1/", "http://localhost:8080", "http://127.0.0.1/v1", "http://[::1]:1/v1"} {
		c, err := New(Config{BaseURL: base, Key: testKey, Secret: testSecret})
		if err != nil {
			t.Errorf("%s: %v", base, err)
			continue
		}
		c.Close()
	}
	for _, cfg := range []Config{{Key: testKey}, {Secret: testSecret}} {
		cfg.BaseURL = "https://api.example.com"
		_, err := New(cfg)
		checkError(t, err, pipeline.Error{Code: pipeline.CodeCredentialsNone})
	}
}

func TestSimulated(t *testing.T) {
	for _, sandbox := range []bool{true, false} {
		asked := 0
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked++
			if r.Header.Get("Authorization") != "" || r.Method != http.MethodGet {
				t.Errorf("the probe is a %s with credentials", r.Method)
			}
			if sandbox {
				w.Header().Set("Dailies-Sandbox", "1")
			}
			w.WriteHeader(http.StatusNotFound)
		}))
		c := clientOf(t, srv)
		for range 3 {
			if got := c.Simulated(t.Context()); got != sandbox {
				t.Errorf("simulated is %t, want %t", got, sandbox)
			}
		}
		if asked != 1 || len(c.Requests()) != 0 {
			t.Errorf("asked %d times, counted %v", asked, c.Requests())
		}
	}
	// Nobody on the network is the sandbox, whatever it says; and it is not asked.
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{fault: func(*http.Request) *http.Response {
			r := reply(200, map[string]any{"model": map[string]any{"id": "model_x"}})
			r.Header.Set(sandboxHeader, "1")
			return r
		}}
		c := against(t, api)
		c.Model(t.Context(), "model_x")
		if c.Simulated(t.Context()) || len(api.arrived) != 1 {
			t.Errorf("believed a stranger, after %d requests", len(api.arrived))
		}
	})
}

func TestWhatTheAPISaysIsMadeSafe(t *testing.T) {
	for name, body := range map[string]string{
		"key":        `{"reason":"bad key ` + testKey + `"}`,
		"secret":     `{"message":"sent ` + testSecret + `"}`,
		"header":     `{"error":"Basic YXBpX2NhbmFyeUtFWXh5ejpjYW5hcnlTRUNSRVR4eXowMTIzNDU2Nzg5"}`,
		"signed URL": `{"detail":"see https://cdn.example.com/a?Policy=x&Signature=y now"}`,
		"in id":      `{"reason":"x","trace_id":"` + testSecret + `"}`,
		"terminal":   `{"reason":"\u001b[2J\u0007 two\nlines\u202e"}`,
		"endless":    `{"reason":"` + strings.Repeat("long ", 5000) + `"}`,
		"not utf-8":  "{\"reason\":\"\xff\xfe\"}",
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, body)
		}))
		_, err := clientOf(t, srv).Quote(t.Context(), "model_x", []byte(`{}`))
		e := checkError(t, err, pipeline.Error{Code: pipeline.CodeInput, Refused: true})
		if e.Message != pipeline.Plain(e.Message) || len(e.Message) > 2000 {
			t.Errorf("%s: message is not one plain line: %q", name, e.Message)
		}
	}
}

func TestErrorsKeepWhatTheAPISaid(t *testing.T) {
	x := readExchange(t, "error-429-concurrency")
	_, err := replay(t, x.Name).Submit(t.Context(), modelOf(x), x.Request.Body, nil)
	e, ok := pipeline.AsError(err).Err.(*APIError)
	want := &APIError{Status: 429, Reason: "Too many concurrent generations for your plan", Name: "TooManyRequestsError", TraceID: "tr_1",
		Details: map[string]any{"actionName": "custom-generation", "actionLimit": json.Number("5")}}
	if !ok || !reflect.DeepEqual(e, want) {
		t.Errorf("got %+v, want %+v", e, want)
	}
}

func TestClassify(t *testing.T) {
	for _, tt := range []struct {
		status int
		reason string
		want   pipeline.Code
	}{
		{400, "Input width must be at least 672", pipeline.CodeInput},
		{400, "The image has an insufficient resolution", pipeline.CodeInput},
		{403, "Insufficient permissions", pipeline.CodeProject},
		{403, "Insufficient credits on this project", pipeline.CodeCredits},
		{400, "Not enough creative units", pipeline.CodeCredits},
		{403, "Monthly quota reached", pipeline.CodeCredits},
		{400, "PlanLimitExceeded", pipeline.CodeCredits},
		{404, "Quota model not found", pipeline.CodeNotFound},
		{429, "Quota exceeded", pipeline.CodeRateLimited},
		{429, "Too many concurrent jobs", pipeline.CodeConcurrency},
		{408, "", pipeline.CodeAPIUnavailable},
		{409, "", pipeline.CodeAPIUnavailable},
		{503, "Not enough creative units", pipeline.CodeAPIUnavailable},
		{302, "", pipeline.CodeAPIUnreadable},
		{418, "", pipeline.CodeInput},
	} {
		if got := classify(&APIError{Status: tt.status, Reason: tt.reason}, true); got != tt.want {
			t.Errorf("%d %q is %s, want %s", tt.status, tt.reason, got, tt.want)
		}
	}
	for status, want := range map[int]pipeline.Code{400: pipeline.CodeAPIUnreadable, 403: pipeline.CodeAPIUnreadable, 404: pipeline.CodeAPIUnreadable,
		401: pipeline.CodeCredentials, 402: pipeline.CodeCredits, 429: pipeline.CodeRateLimited, 502: pipeline.CodeAPIUnavailable} {
		if got := classify(&APIError{Status: status}, false); got != want {
			t.Errorf("%d without words of the API is %s, want %s", status, got, want)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	date := time.Date(2026, 10, 2, 21, 20, 0, 0, time.UTC)
	for _, tt := range []struct {
		header  map[string]string
		details map[string]any
		reason  string
		want    time.Duration
	}{
		{header: map[string]string{"Retry-After": "7"}, want: 7 * time.Second},
		{header: map[string]string{"Retry-After": "1.5"}, want: 1500 * time.Millisecond},
		{header: map[string]string{"Retry-After": "-3"}},
		{header: map[string]string{"Retry-After": "soon"}},
		{header: map[string]string{"Retry-After": "99999999999999999999"}, want: 24 * time.Hour},
		{header: map[string]string{"Retry-After": "NaN"}},
		{header: map[string]string{"Retry-After-Ms": "250", "Retry-After": "7"}, want: 250 * time.Millisecond},
		{header: map[string]string{"Retry-After": date.Add(90 * time.Second).Format(http.TimeFormat), "Date": date.Format(http.TimeFormat)}, want: 90 * time.Second},
		{header: map[string]string{"Retry-After": date.Format(http.TimeFormat), "Date": date.Add(time.Hour).Format(http.TimeFormat)}},
		{details: map[string]any{"remainingSeconds": json.Number("12.5")}, want: 12500 * time.Millisecond},
		{details: map[string]any{"remainingSeconds": "12"}, want: 12 * time.Second},
		{reason: "Please wait 20 seconds before trying again", want: 20 * time.Second},
		{reason: "Wait 5s", want: 5 * time.Second},
		{reason: "wait for a while"},
	} {
		h := http.Header{}
		for k, v := range tt.header {
			h.Set(k, v)
		}
		if got := retryAfter(h, &APIError{Status: 429, Details: tt.details, Reason: tt.reason}); got != tt.want {
			t.Errorf("%v %v %q asks for %s, want %s", tt.header, tt.details, tt.reason, got, tt.want)
		}
	}
}

func TestRateRefusalPausesEverybodyAndIsSaidOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{latency: 100 * time.Millisecond}
		c := against(t, api)
		var said []string
		var mu sync.Mutex
		c.notice = func(s string) {
			mu.Lock()
			defer mu.Unlock()
			said = append(said, s)
		}
		api.fault = func(*http.Request) *http.Response {
			r := reply(429, map[string]any{"message": "Too Many Requests"})
			r.Header.Set("Retry-After", "30")
			return r
		}
		var group sync.WaitGroup
		for range 3 {
			group.Go(func() { c.Model(t.Context(), "model_x") })
		}
		group.Wait()
		api.mu.Lock()
		api.fault = nil
		api.mu.Unlock()
		start := time.Now()
		submits(t, c, 1)
		if d := time.Since(start); d < 28*time.Second || d > 31*time.Second {
			t.Errorf("the next request was let through after %s", d)
		}
		if want := []string{"the API limits the rate of requests: pausing 30s"}; !reflect.DeepEqual(said, want) {
			t.Errorf("said %q", said)
		}
	})
}

func TestAnswersAreCapped(t *testing.T) {
	endless := func(w http.ResponseWriter, status int) {
		w.WriteHeader(status)
		io.WriteString(w, `{"reason":"`)
		for chunk := []byte(strings.Repeat("a", 1<<20)); ; {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}
	for status, want := range map[int]pipeline.Error{
		200: {Code: pipeline.CodeAPIUnavailable, Message: "the answer is larger than 17 MB"},
		400: {Code: pipeline.CodeAPIUnreadable, Refused: true, Message: "answered with status 400"},
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { endless(w, status) }))
		_, err := clientOf(t, srv).Model(t.Context(), "model_x")
		checkError(t, err, want)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("credentials went elsewhere: %v", r.Header["Authorization"])
	}))
	defer elsewhere.Close()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL+"/x?Signature=canary", http.StatusFound)
	}))
	_, err := clientOf(t, srv).Model(t.Context(), "model_x")
	checkError(t, err, pipeline.Error{Code: pipeline.CodeAPIUnreadable, Message: "status 302"})
}

// A machine whose clock is wrong must not think jobs old or yet to come.
func TestAgesAreByTheAPIsClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, skew := range []time.Duration{-3 * time.Hour, 3 * time.Hour} {
			api := &fakeAPI{}
			api.fault = func(r *http.Request) *http.Response {
				now := time.Now().Add(skew)
				if r.Method == http.MethodGet {
					for _, j := range api.jobs {
						j.created, j.ends = now, now.Add(time.Hour)
					}
					return unharmed
				}
				resp := reply(200, map[string]any{"job": (&fakeJob{id: "job_1", created: now, ends: now.Add(time.Hour)}).wire(now)})
				resp.Header.Set("Date", now.UTC().Format(http.TimeFormat))
				return resp
			}
			c := against(t, api)
			receipt, err := c.Submit(t.Context(), "model_x", []byte(`{}`), nil)
			if err != nil {
				t.Fatal(err)
			}
			me := &waiter{progress: make(chan float64, 1), ended: make(chan ending, 1)}
			c.watcher.join(refOf(receipt, "model_x"), me)
			c.watcher.mu.Lock()
			age := time.Since(c.watcher.jobs["job_1"].submitted)
			c.watcher.mu.Unlock()
			if age < 0 || age > 2*time.Second {
				t.Errorf("with a clock off by %s the job just submitted is %s old", skew, age)
			}
			c.watcher.leave("job_1", me)
		}
	})
}

func TestJobsListingErrors(t *testing.T) {
	for name, tt := range map[string]struct {
		pages func(token string) string
		want  pipeline.Error
	}{
		"circle":  {func(string) string { return `{"jobs":[],"nextPaginationToken":"again"}` }, pipeline.Error{Code: pipeline.CodeAPIUnreadable, Message: "in a circle"}},
		"no jobs": {func(string) string { return `{}` }, pipeline.Error{Code: pipeline.CodeAPIUnreadable, Message: "no jobs field"}},
		"list":    {func(string) string { return `[]` }, pipeline.Error{Code: pipeline.CodeAPIUnreadable, Message: "not what the API documents"}},
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, tt.pages(r.URL.Query().Get("paginationToken")))
		}))
		var last error
		for _, err := range clientOf(t, srv).Jobs(t.Context(), time.Time{}) {
			if last != nil {
				t.Errorf("%s: goes on after an error", name)
			}
			last = err
		}
		checkError(t, last, tt.want)
	}
}

// FuzzAnswers feeds hostile bodies to every decoder: none may panic, and what comes out must hold what it promises.
func FuzzAnswers(f *testing.F) {
	for _, s := range []string{`{}`, `null`, `[]`, `{"jobId":"job_1","status":"success","progress":"1e999","metadata":{"assetIds":[null,1,"a","a"],"error":{"message":5}}}`,
		`{"id":"asset_1","properties":{"size":-1e300,"width":"9"},"status":{}}`, `{"billing":{"cuCost":"1e-9","cuCostDetails":[]}}`,
		`{"reason":{"message":"x"},"details":[],"remainingSeconds":"9"}`, `{"creativeUnitsCost":true}`} {
		f.Add([]byte(s))
	}
	c, err := New(Config{BaseURL: "https://api.example.com/v1", Key: testKey, Secret: testSecret})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { c.Close() })
	f.Fuzz(func(t *testing.T, data []byte) {
		if j, ok := decodeJob(data); ok {
			if j.ID == "" || !(j.Progress >= 0 && j.Progress <= 1) || j.Cost < 0 || strings.ContainsFunc(j.ID, unsafeInPath) {
				t.Errorf("job %+v", j)
			}
		}
		if a, ok := decodeAsset(data); ok {
			if a.ID == "" || a.Bytes < 0 || a.Width < 0 || !(a.Duration >= 0) || a.Ready && a.Broken {
				t.Errorf("asset %+v", a)
			}
		}
		for _, status := range []int{302, 400, 403, 429, 500} {
			e, _ := c.parseError(&answer{status: status, body: data, header: http.Header{}})
			if e.RetryAfter < 0 || e.Reason != pipeline.Plain(e.Reason) || e.number("actionLimit") < 0 {
				t.Errorf("error %+v", e)
			}
			checkSecrets(t, fmt.Errorf("%w", e))
		}
	})
}
