package scenario

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"dailies/pipeline"
)

const (
	testKey     = "api_canaryKEYxyz"
	testSecret  = "canarySECRETxyz0123456789"
	testProject = "proj_AAAAAAAAAAAAAAAAAAAAAAAA"
)

// An exchange is one file of testdata/api; its README says what the fields mean.
type exchange struct {
	Name    string
	Request struct {
		Method, Path string
		Query        map[string]string
		Body         json.RawMessage
	}
	Response struct {
		Status   int
		Headers  map[string]string
		Body     json.RawMessage
		BodyText *string
	}
}

func readExchange(t *testing.T, name string) exchange {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "testdata", "api", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var x exchange
	if err := json.Unmarshal(b, &x); err != nil {
		t.Fatal(err)
	}
	return x
}

// replay serves the exchanges in order and checks that each request is the recorded one.
func replay(t *testing.T, names ...string) *Client {
	t.Helper()
	var next atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := int(next.Add(1)) - 1
		if n >= len(names) {
			t.Errorf("request %d: %s %s: nothing was expected any more", n+1, r.Method, r.URL)
			return
		}
		x := readExchange(t, names[n])
		checkRequest(t, x, r)
		for k, v := range x.Response.Headers {
			w.Header().Set(k, v)
		}
		w.WriteHeader(x.Response.Status)
		if x.Response.BodyText != nil {
			io.WriteString(w, *x.Response.BodyText)
			return
		}
		w.Write(x.Response.Body)
	}))
	t.Cleanup(func() {
		if int(next.Load()) != len(names) {
			t.Errorf("%d of %d exchanges took place", next.Load(), len(names))
		}
	})
	return clientOf(t, srv)
}

func clientOf(t *testing.T, srv *httptest.Server) *Client {
	t.Helper()
	c, err := New(Config{BaseURL: srv.URL + "/v1/", Key: testKey, Secret: testSecret, ProjectID: testProject, Version: "1.2.3"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)
	t.Cleanup(func() { c.Close() })
	return c
}

func checkRequest(t *testing.T, x exchange, r *http.Request) {
	t.Helper()
	if r.Method != x.Request.Method || r.URL.Path != x.Request.Path {
		t.Errorf("%s: sent %s %s, want %s %s", x.Name, r.Method, r.URL.Path, x.Request.Method, x.Request.Path)
	}
	query := make(map[string]string)
	for k, v := range r.URL.Query() {
		query[k] = strings.Join(v, "|")
	}
	if !reflect.DeepEqual(query, x.Request.Query) {
		t.Errorf("%s: query is %v, want %v", x.Name, query, x.Request.Query)
	}
	if key, secret, ok := r.BasicAuth(); !ok || key != testKey || secret != testSecret {
		t.Errorf("%s: credentials are not those configured", x.Name)
	}
	if got := r.Header.Get("User-Agent"); got != "dailies/1.2.3" {
		t.Errorf("%s: User-Agent is %q", x.Name, got)
	}
	if got := r.Header.Get("Accept"); got != "application/json" {
		t.Errorf("%s: Accept is %q", x.Name, got)
	}
	body, _ := io.ReadAll(r.Body)
	if x.Request.Body == nil {
		if len(body) > 0 {
			t.Errorf("%s: has a body: %s", x.Name, body)
		}
		return
	}
	if got := r.Header.Get("Content-Type"); got != "application/json" {
		t.Errorf("%s: Content-Type is %q", x.Name, got)
	}
	if r.ContentLength != int64(len(body)) {
		t.Errorf("%s: Content-Length is %d for %d bytes", x.Name, r.ContentLength, len(body))
	}
	var got, want any
	if err := json.Unmarshal(body, &got); err != nil {
		t.Errorf("%s: body is not JSON: %v", x.Name, err)
	}
	if json.Unmarshal(x.Request.Body, &want); !reflect.DeepEqual(got, want) {
		t.Errorf("%s: body is\n%s\nwant\n%s", x.Name, body, x.Request.Body)
	}
}

func modelOf(x exchange) string { return x.Request.Path[strings.LastIndex(x.Request.Path, "/")+1:] }

func cu(t *testing.T, s string) pipeline.CU {
	t.Helper()
	c, err := pipeline.ParseCU(s)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestSubmitReceipts(t *testing.T) {
	created := time.Date(2026, 10, 2, 21, 20, 16, 925e6, time.UTC)
	for name, want := range map[string]pipeline.Receipt{
		"submit":                 {JobID: "job_7FqTn2VbXcYkWmZr4sLhPd3E", Cost: cu(t, "80"), At: created},
		"submit-happy-horse-r2v": {JobID: "job_H1AAAAAAAAAAAAAAAAAAAAAA", Cost: cu(t, "62.5"), At: created},
		"submit-id-spelling":     {JobID: "job_7FqTn2VbXcYkWmZr4sLhPd3E", Cost: cu(t, "80")},
	} {
		t.Run(name, func(t *testing.T) {
			x := readExchange(t, name)
			got, err := replay(t, name).Submit(t.Context(), modelOf(x), x.Request.Body, nil)
			if err != nil {
				t.Fatal(err)
			}
			if want.At.IsZero() && !got.At.IsZero() {
				want.At = got.At // the answer tells none: ours
			}
			if got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

func TestSubmitErrors(t *testing.T) {
	plan := "the plan is cu-basic, the model needs cu-pro-q3-25"
	for name, want := range map[string]pipeline.Error{
		"submit-lost-no-job-id":       {Code: pipeline.CodeSubmitLost, Message: "names no job"},
		"submit-lost-malformed":       {Code: pipeline.CodeSubmitLost, Message: "names no job"},
		"submit-lost-500":             {Code: pipeline.CodeSubmitLost, Message: "status 500"},
		"submit-lost-502-html":        {Code: pipeline.CodeSubmitLost, Message: "status 502"},
		"submit-lost-409":             {Code: pipeline.CodeSubmitLost, Message: "status 409"},
		"error-400-required":          {Code: pipeline.CodeInput, Message: "Input prompt is required (status 400)", Refused: true},
		"error-400-docs-envelope":     {Code: pipeline.CodeInput, Message: "duration must be one of 4, 6, 8", Refused: true},
		"error-400-custom-only":       {Code: pipeline.CodeInput, Message: "custom models only (status 400, trace tr_0)", Refused: true},
		"error-422":                   {Code: pipeline.CodeInput, Message: "Unprocessable Entity", Refused: true},
		"error-401":                   {Code: pipeline.CodeCredentials, Message: "Unauthorized", Refused: true},
		"error-403-plan":              {Code: pipeline.CodePlan, Message: plan, Refused: true},
		"error-403-project":           {Code: pipeline.CodeProject, Message: "Forbidden", Refused: true},
		"error-404":                   {Code: pipeline.CodeNotFound, Message: "Model not found", Refused: true},
		"error-402":                   {Code: pipeline.CodeCredits, Message: "Not enough creative units", Refused: true},
		"error-400-credits":           {Code: pipeline.CodeCredits, Message: "Insufficient creative units", Refused: true},
		"error-429-concurrency":       {Code: pipeline.CodeConcurrency, Message: "Too many concurrent", Refused: true, Limit: 5},
		"error-429-rate":              {Code: pipeline.CodeRateLimited, Message: "Too Many Requests", Refused: true},
		"error-429-retry-after":       {Code: pipeline.CodeRateLimited, Refused: true, RetryAfter: 7 * time.Second},
		"error-429-remaining-seconds": {Code: pipeline.CodeRateLimited, Refused: true, RetryAfter: 12 * time.Second},
		"error-429-wait-words":        {Code: pipeline.CodeRateLimited, Refused: true, RetryAfter: 20 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			x := readExchange(t, name)
			_, err := replay(t, name).Submit(t.Context(), modelOf(x), x.Request.Body, nil)
			checkError(t, err, want)
		})
	}
}

func checkError(t *testing.T, err error, want pipeline.Error) *pipeline.Error {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %s", want.Code)
	}
	got := pipeline.AsError(err)
	if got.Code != want.Code || got.Refused != want.Refused || got.Limit != want.Limit || got.RetryAfter != want.RetryAfter {
		t.Errorf("got %s refused=%t limit=%d after=%s (%s),\nwant %s refused=%t limit=%d after=%s",
			got.Code, got.Refused, got.Limit, got.RetryAfter, got, want.Code, want.Refused, want.Limit, want.RetryAfter)
	}
	if !strings.Contains(got.Error(), want.Message) {
		t.Errorf("message is %q, want it to hold %q", got, want.Message)
	}
	checkSecrets(t, err)
	return got
}

// checkSecrets looks for what must never be in an error's text, all the way down.
func checkSecrets(t *testing.T, err error) {
	t.Helper()
	for e := err; e != nil; {
		for _, secret := range []string{testKey, testSecret, "YXBpX2NhbmFyeUtFWXh5e", "Authorization", "Signature="} {
			if strings.Contains(e.Error(), secret) {
				t.Errorf("error text holds %q: %s", secret, e)
			}
		}
		u, ok := e.(interface{ Unwrap() error })
		if !ok {
			return
		}
		e = u.Unwrap()
	}
}

func TestQuote(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		err        pipeline.Error
	}{
		{name: "quote-269", want: "80"},
		{name: "quote-200", want: "13.25"},
		{name: "quote-402", want: "12"},
		{name: "quote-bought", err: pipeline.Error{Code: pipeline.CodeQuoteBought, Message: "job_7FqTn2VbXcYkWmZr4sLhPd3E"}},
		{name: "quote-400", err: pipeline.Error{Code: pipeline.CodeInput, Message: "Input prompt is required", Refused: true}},
		{name: "quote-403-plan", err: pipeline.Error{Code: pipeline.CodePlan, Message: "cu-pro-q3-25", Refused: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x := readExchange(t, tt.name)
			got, err := replay(t, tt.name).Quote(t.Context(), modelOf(x), x.Request.Body)
			if tt.err.Code != "" {
				checkError(t, err, tt.err)
				return
			}
			if err != nil || got != cu(t, tt.want) {
				t.Errorf("got %s, %v; want %s", got, err, tt.want)
			}
		})
	}
}

func TestJobShapes(t *testing.T) {
	const flagged = "The prompt was flagged by the provider's content moderation"
	for name, want := range map[string]pipeline.Job{
		"job-running":              {State: pipeline.JobRunning, Status: "in-progress", Progress: 0.35},
		"job-running-over-one":     {State: pipeline.JobRunning, Status: "finalizing", Progress: 1},
		"job-success":              {State: pipeline.JobSucceeded, Status: "success", Progress: 1, AssetIDs: []string{"asset_QPWUfkCQim533r8qPUUDcWGc"}},
		"job-success-several":      {State: pipeline.JobSucceeded, Status: "success", Progress: 1, AssetIDs: []string{"asset_T1AAAAAAAAAAAAAAAAAAAAAA", "asset_G1AAAAAAAAAAAAAAAAAAAAAA"}},
		"job-success-no-assets":    {State: pipeline.JobSucceeded, Status: "success", Progress: 1},
		"job-failure":              {State: pipeline.JobFailed, Status: "failure", Progress: 1, Error: flagged, Moderated: true, Hint: "Rephrase the prompt or try another model"},
		"job-failure-no-refund":    {State: pipeline.JobFailed, Status: "failure", Progress: 1, Error: flagged, Moderated: true, Hint: "Rephrase the prompt or try another model", NoRefund: true},
		"job-failure-error-object": {State: pipeline.JobFailed, Status: "failure", Progress: 1, Error: "Provider timed out"},
		"job-canceled":             {State: pipeline.JobCanceled, Status: "canceled", Progress: 1},
		"job-addons":               {State: pipeline.JobSucceeded, Status: "success", Progress: 1, Cost: cu(t, "17.25"), AssetIDs: []string{"asset_QPWUfkCQim533r8qPUUDcWGc"}},
		"job-spelled-failed":       {State: pipeline.JobFailed, Status: "failed", Progress: 1, Error: flagged, Moderated: true, Hint: "Rephrase the prompt or try another model"},
		"job-spelled-cancelled":    {State: pipeline.JobCanceled, Status: "cancelled", Progress: 1},
		"job-spelled-succeeded":    {State: pipeline.JobSucceeded, Status: "succeeded", Progress: 1, AssetIDs: []string{"asset_QPWUfkCQim533r8qPUUDcWGc"}},
		"job-spelled-processing":   {State: pipeline.JobRunning, Status: "processing", Progress: 0.5},
		"job-status-unknown":       {State: pipeline.JobRunning, Status: "reticulating", Progress: 0.1},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := replay(t, name).job(t.Context(), "job_7FqTn2VbXcYkWmZr4sLhPd3E", forWatch)
			if err != nil {
				t.Fatal(err)
			}
			if got.Input["modelId"] != got.Model || got.CreatedAt.IsZero() || got.UpdatedAt.IsZero() {
				t.Errorf("input %v, created %s, updated %s", got.Input, got.CreatedAt, got.UpdatedAt)
			}
			if want.Cost == 0 {
				want.Cost = cu(t, "80")
			}
			want.ID, want.Model, want.Input, want.CreatedAt, want.UpdatedAt = "job_7FqTn2VbXcYkWmZr4sLhPd3E", got.Model, got.Input, got.CreatedAt, got.UpdatedAt
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

func TestAskErrors(t *testing.T) {
	for name, want := range map[string]pipeline.Error{
		"job-malformed":           {Code: pipeline.CodeAPIUnreadable, Message: "is not what the API documents"},
		"error-500-json":          {Code: pipeline.CodeAPIUnavailable, Message: "Internal server error (status 500)"},
		"error-502-html":          {Code: pipeline.CodeAPIUnavailable, Message: "bad gateway (status 502)"},
		"error-403-expired-token": {Code: pipeline.CodeProject, Message: "explicit deny", Refused: true},
		"job-404":                 {Code: pipeline.CodeNotFound, Message: "Job not found", Refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := replay(t, name).job(t.Context(), modelOf(readExchange(t, name)), forWatch)
			checkError(t, err, want)
		})
	}
}

func TestJobsListing(t *testing.T) {
	var got []string
	for j, err := range replay(t, "jobs-page1", "jobs-page2").Jobs(t.Context(), time.Time{}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, j.ID+" "+j.Model+" "+string(j.State))
	}
	want := []string{"job_bAAAAAAAAAAAAAAAAAAAAAAA model_imagen4-ultra running", "job_aAAAAAAAAAAAAAAAAAAAAAAA model_imagen4-ultra succeeded", "job_9AAAAAAAAAAAAAAAAAAAAAAA model_veo3-1 failed"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}

	// The second page is not asked for when the first already reaches back far enough, or nobody wants more.
	n := 0
	for j, err := range replay(t, "jobs-page1").Jobs(t.Context(), time.Date(2026, 10, 2, 21, 22, 0, 0, time.UTC)) {
		if n++; err != nil || j.ID != "job_bAAAAAAAAAAAAAAAAAAAAAAA" {
			t.Errorf("got %v, %v", j, err)
		}
	}
	if n != 1 {
		t.Errorf("%d jobs since 21:22, want 1", n)
	}
	for range replay(t, "jobs-page1").Jobs(t.Context(), time.Time{}) {
		break
	}
}

func TestAssetsBulk(t *testing.T) {
	x := readExchange(t, "assets-bulk")
	var body struct{ AssetIDs []string }
	json.Unmarshal(x.Request.Body, &body)
	got, err := replay(t, "assets-bulk").Assets(t.Context(), append(body.AssetIDs, body.AssetIDs[0]))
	if err != nil {
		t.Fatal(err)
	}
	const cdn = "https://cdn.cloud.scenario.com/assets/"
	signed := func(id string) string {
		return cdn + id + "?p=100&Policy=eyJTdGF0ZW1lbnQiOltdfQ__&Key-Pair-Id=KEXAMPLE&Signature=abc~def_"
	}
	want := map[string]pipeline.Asset{}
	for _, a := range []pipeline.Asset{
		{ID: "asset_QPWUfkCQim533r8qPUUDcWGc", MIME: "video/mp4", Kind: "video", Ready: true, Bytes: 4182733, Width: 1280, Height: 720, Duration: 8},
		{ID: "asset_OAAAAAAAAAAAAAAAAAAAAAAA", MIME: "image/png", Kind: "image", Ready: true, Width: 1024, Height: 1024,
			URL: cdn + "original.png?Policy=eyJ9&Key-Pair-Id=KEXAMPLE&Signature=ghi~"},
		{ID: "asset_PAAAAAAAAAAAAAAAAAAAAAAA", MIME: "video/mp4", Kind: "video"},
		{ID: "asset_TXAAAAAAAAAAAAAAAAAAAAAA", MIME: "text/plain", Kind: "text", Ready: true, Bytes: 21, Text: "A paper boat at dawn."},
		{ID: "asset_EAAAAAAAAAAAAAAAAAAAAAAA", MIME: "video/mp4", Kind: "video", Broken: true},
	} {
		if a.URL == "" {
			a.URL = signed(a.ID)
		}
		want[a.ID] = a
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestAssetsOneByOneWhenTheWholeIsNotFound(t *testing.T) {
	x := readExchange(t, "asset")
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == x.Request.Path {
			checkRequest(t, x, r)
			w.Write(x.Response.Body)
			return
		}
		w.WriteHeader(http.StatusNotFound)
		io.WriteString(w, `{"reason":"Asset not found"}`)
	}))
	got, err := clientOf(t, srv).Assets(t.Context(), []string{"asset_gone", modelOf(x)})
	if err != nil || len(got) != 1 || !got[modelOf(x)].Ready {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestModel(t *testing.T) {
	got, err := replay(t, "model").Model(t.Context(), "model_imagen4-ultra")
	if err != nil {
		t.Fatal(err)
	}
	var want struct{ Model any }
	json.Unmarshal(readExchange(t, "model").Response.Body, &want)
	var record any
	if json.Unmarshal(got, &record); !reflect.DeepEqual(record, want.Model) {
		t.Errorf("got %s", got)
	}
	_, err = replay(t, "model-404").Model(t.Context(), "model_google-veo-3-1")
	checkError(t, err, pipeline.Error{Code: pipeline.CodeNotFound, Message: "Model not found", Refused: true})
}
