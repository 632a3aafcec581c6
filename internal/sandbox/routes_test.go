package sandbox

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestWhoMayAsk(t *testing.T) {
	r := newRig(t, Options{Key: "key", Secret: "secret", ProjectID: "proj_A", RequestsPerMinute: -1})
	basic := func(pair string) []string {
		return []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(pair))}
	}
	for _, tc := range []struct {
		name, query string
		header      []string
		status      int
		body        string
	}{
		{"right", "", basic("key:secret"), 404, "Job not found"},
		{"wrong secret", "", basic("key:other"), 401, "Unauthorized"},
		{"wrong key", "", basic("other:secret"), 401, "Unauthorized"},
		{"no secret", "", basic("key:"), 401, "Unauthorized"},
		{"no credentials", "", []string{"Authorization", ""}, 401, "Unauthorized"},
		{"a token", "", []string{"Authorization", "Bearer x"}, 401, "Unauthorized"},
		{"right project", "?projectId=proj_A", basic("key:secret"), 404, "Job not found"},
		{"another's project", "?projectId=proj_B", basic("key:secret"), 403, "Forbidden"},
	} {
		res := r.do("GET", "/v1/jobs/job_X"+tc.query, "", tc.header...)
		if res.status != tc.status || !strings.Contains(string(res.body), tc.body) {
			t.Errorf("%s: %d %s, want %d %s", tc.name, res.status, res.body, tc.status, tc.body)
		}
	}
}

func TestAnyPairOpensItsOwnProject(t *testing.T) {
	r := newRig(t, Options{})
	id := r.buy("model_lyria-2", `{"prompt":"x"}`)
	other := []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("other:secret"))}
	if res := r.do("GET", "/v1/jobs/"+id, "", other...); res.status != 404 {
		t.Errorf("another key sees the job: %d", res.status)
	}
	if res := r.do("GET", "/v1/jobs/"+id+"?projectId=proj_else", ""); res.status != 404 {
		t.Errorf("another project sees the job: %d", res.status)
	}
	if res := r.do("GET", "/v1/jobs", "", other...); len(res.get(t, "jobs").([]any)) != 0 {
		t.Errorf("another key lists the job: %s", res.body)
	}
	asset := r.assetsOf(id)[0]["id"].(string)
	if res := r.do("GET", "/v1/assets/"+asset, "", other...); res.status != 404 {
		t.Errorf("another key sees the asset: %d", res.status)
	}
}

func TestRefusals(t *testing.T) {
	r := newRig(t, Options{RequestsPerMinute: -1})
	id := r.buy("model_lyria-2", `{"prompt":"x"}`)
	many, _ := json.Marshal(map[string]any{"assetIds": make([]string, 201)})
	for _, tc := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/v1/me", "", 403, `{"message":"API Keys cannot access protected resources"}`},
		{"GET", "/v1/nothing", "", 404, "Not Found"},
		{"DELETE", "/v1/jobs/" + id, "", 404, "Not Found"},
		{"GET", "/jobs/" + id, "", 404, "Not Found"},
		{"GET", "/v1/jobs/job_X", "", 404, "Job not found"},
		{"GET", "/v1/assets/asset_X", "", 404, "Asset not found"},
		{"GET", "/v1/models/model_X", "", 404, "Model not found"},
		{"GET", "/v1/uploads/upload_X", "", 404, "Upload not found"},
		{"POST", "/v1/generate/custom/model_X", `{}`, 404, "Model not found"},
		{"POST", "/v1/generate/custom/model_lyria-2", `[]`, 400, "Invalid request body"},
		{"POST", "/v1/generate/custom/model_lyria-2", `{"prompt":`, 400, "Invalid request body"},
		{"POST", "/v1/jobs/" + id + "/action", `{"action":"cancel"}`, 400, "Cannot cancel this type of job. Action not permitted."},
		{"POST", "/v1/jobs/" + id + "/action", `{"action":"stop"}`, 400, "action"},
		{"POST", "/v1/assets/get-bulk", string(many), 400, "assetIds must"},
		{"POST", "/v1/assets/get-bulk", `{}`, 400, "assetIds is required"},
		{"GET", "/v1/jobs?pageSize=201", "", 400, "pageSize"},
		{"GET", "/v1/jobs?pageSize=0", "", 400, "pageSize"},
		{"GET", "/v1/jobs?status=failed", "", 400, "status"},
		{"GET", "/v1/jobs?paginationToken=x", "", 400, "token"},
		{"GET", "/v1/models?privacy=public&pageSize=501", "", 400, "pageSize"},
		{"POST", "/v1/assets", `{"image":"%%%"}`, 400, "base64"},
		{"POST", "/v1/assets", `{"image":"aGVsbG8="}`, 400, "Invalid image"},
		{"POST", "/v1/assets", `{"image":"` + base64.StdEncoding.EncodeToString(make([]byte, 6<<20+1)) + `"}`, 413, "6 MB"},
		{"POST", "/v1/assets", `{"image":"` + strings.Repeat("A", 11<<20) + `"}`, 413, "Request Too Long"},
	} {
		res := r.do(tc.method, tc.path, tc.body)
		if res.status != tc.status || !strings.Contains(string(res.body), tc.want) {
			t.Errorf("%s %s: %d %s, want %d %s", tc.method, tc.path, res.status, res.body, tc.status, tc.want)
		}
	}
}

func TestModels(t *testing.T) {
	r := newRig(t, Options{RequestsPerMinute: -1})
	if got := r.do("GET", "/v1/models", "").get(t, "models").([]any); len(got) != 0 {
		t.Errorf("without privacy=public %d models are listed, want the project's own: none", len(got))
	}
	var ids []string
	query := "/v1/models?privacy=public&pageSize=4"
	for token := ""; ; {
		res := r.do("GET", query+token, "")
		for _, m := range res.get(t, "models").([]any) {
			row := m.(map[string]any)
			ids = append(ids, row["id"].(string))
			if row["inputs"] != nil {
				t.Errorf("%s is listed with its inputs", row["id"])
			}
		}
		next, _ := res.get(t, "nextPaginationToken").(string)
		if next == "" {
			break
		}
		token = "&paginationToken=" + url.QueryEscape(next)
	}
	if fmt.Sprint(ids) != fmt.Sprint(r.o.ModelIDs) {
		t.Errorf("listed %v, want %v", ids, r.o.ModelIDs)
	}
	if got := r.do("GET", "/v1/models?privacy=public&tags=sc:featured,sc:none", "").get(t, "models").([]any); len(got) != 1 {
		t.Errorf("%d models have the tag, want 1", len(got))
	}
	if got := r.do("GET", "/v1/models/model_lyria-2", "").text(t, "model", "inputs", 0, "name"); got != "prompt" {
		t.Errorf("first input %s", got)
	}
	bulk := r.do("POST", "/v1/models/get-bulk", `{"modelIds":["model_lyria-2","model_X"]}`)
	if got := bulk.get(t, "models").([]any); len(got) != 1 {
		t.Errorf("bulk: %s", bulk.body)
	}
}

func TestPlanGate(t *testing.T) {
	r := newRig(t, Options{Plan: "cu-basic"})
	res := r.do("POST", "/v1/generate/custom/model_meshy-7-txt23d?dryRun=true", `{"prompt":"x"}`)
	if res.status != 403 || res.text(t, "name") != "ModelAccessRestrictedError" || res.text(t, "details", "currentPlan") != "cu-basic" || res.text(t, "details", "requiredPlan") != "cu-pro-q3-25" {
		t.Errorf("%d %s", res.status, res.body)
	}
	r.buy("model_imagen4-ultra", `{"prompt":"x"}`)
	if got := r.do("GET", "/v1/teams", "").text(t, "teams", 0, "plan"); got != "cu-basic" {
		t.Errorf("plan %s", got)
	}
	if _, err := New(Options{Plan: "gold"}); err == nil {
		t.Error("a plan nobody knows was taken")
	}
}

// ask calls the handler without a network, as tests inside a bubble do.
func ask(s *Server, method, target, body string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, target, strings.NewReader(body))
	req.SetBasicAuth("key", "secret")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, req)
	return w
}

func bubbled(t *testing.T, o Options) *Server {
	t.Helper()
	o.Models = models
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func field(t *testing.T, w *httptest.ResponseRecorder, path ...any) string {
	t.Helper()
	return response{body: w.Body.Bytes()}.text(t, path...)
}

func TestRequestsAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := bubbled(t, Options{})
		get := func() int { return ask(s, "GET", "/v1/jobs", "").Code }
		for i := range 50 {
			if got := get(); got != 200 {
				t.Fatalf("request %d: %d", i, got)
			}
		}
		time.Sleep(30 * time.Second)
		for i := range 50 {
			if got := get(); got != 200 {
				t.Fatalf("request %d: %d", 50+i, got)
			}
		}
		w := ask(s, "GET", "/v1/jobs", "")
		if w.Code != 429 || strings.TrimSpace(w.Body.String()) != `{"message":"Too Many Requests"}` {
			t.Fatalf("request 101: %d %s", w.Code, w.Body)
		}
		time.Sleep(30*time.Second - time.Millisecond)
		if got := get(); got != 429 {
			t.Errorf("just before the first minute is over: %d", got)
		}
		time.Sleep(time.Millisecond)
		for i := range 50 {
			if got := get(); got != 200 {
				t.Fatalf("after it, request %d: %d", i, got)
			}
		}
		if got := get(); got != 429 {
			t.Errorf("the window is a sliding one: %d", got)
		}
	})
}

func TestSlots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := bubbled(t, Options{Pace: 1, Concurrency: 2})
		buy := func() *httptest.ResponseRecorder {
			return ask(s, "POST", "/v1/generate/custom/model_lyria-2", `{"prompt":"x"}`)
		}
		buy()
		if got := buy().Code; got != 200 {
			t.Fatalf("second job: %d", got)
		}
		w := buy()
		if w.Code != 429 || field(t, w, "details", "actionLimit") != "2" || field(t, w, "details", "actionName") != "custom-generation" {
			t.Fatalf("third job: %d %s", w.Code, w.Body)
		}
		time.Sleep(30 * time.Second)
		if got := buy().Code; got != 200 {
			t.Errorf("after the first two have ended: %d", got)
		}
		if got := len(s.Book()); got != 3 {
			t.Errorf("%d jobs in the book, want 3", got)
		}
	})
}

func TestCreditsAndRefunds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := bubbled(t, Options{Pace: 1, Credits: "160"})
		submit := func(words string) int {
			body := strings.Replace(veo, "boat", "boat "+words, 1)
			return ask(s, "POST", "/v1/generate/custom/model_veo3-1-fast", body).Code
		}
		if a, b, c := submit("[sandbox:fail]"), submit("[sandbox:fail-no-refund]"), submit(""); a != 200 || b != 200 || c != 402 {
			t.Fatalf("160 CU bought %d %d %d", a, b, c)
		}
		time.Sleep(3 * time.Minute)
		if a, b := submit(""), submit(""); a != 200 || b != 402 {
			t.Errorf("after one refund: %d %d, want one more and no more", a, b)
		}
		book := s.Book()
		if !book[0].Refunded || book[0].Outcome != "failure" || book[1].Refunded || book[1].Outcome != "failure" || book[2].Outcome != "running" {
			t.Errorf("book: %+v", book)
		}
		// The API itself does not tell refunds. [CODE]
		if got := field(t, ask(s, "GET", "/v1/jobs/"+book[0].JobID, ""), "job", "billing", "cuCost"); got != "80" {
			t.Errorf("billing after the refund: %s", got)
		}
		if got := field(t, ask(s, "GET", "/v1/jobs/"+book[1].JobID, ""), "job", "billing", "disableRefund"); got != "true" {
			t.Errorf("disableRefund: %s", got)
		}
	})
}

// A job's life, looked at every 100 ms: the statuses come in their order, progress does not go back, and nothing of
// it is ever unsaid.
func TestJobLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := bubbled(t, Options{Pace: 1, RequestsPerMinute: -1, Concurrency: -1})
		order := map[string]int{queued: 0, warmingUp: 1, inProgress: 2, finalizing: 3, success: 4}
		seen := map[string]bool{}
		for n := range 12 {
			id := field(t, ask(s, "POST", "/v1/generate/custom/model_imagen4-ultra", fmt.Sprintf(`{"prompt":"%d"}`, n)), "job", "jobId")
			began, at, history := time.Now(), -1, 0
			for {
				w := ask(s, "GET", "/v1/jobs/"+id, "")
				status := field(t, w, "job", "status")
				seen[status] = true
				hs := response{body: w.Body.Bytes()}.get(t, "job", "statusHistory").([]any)
				if order[status] < at || len(hs) < history || hs[len(hs)-1].(map[string]any)["status"] != status {
					t.Fatalf("after %v: %s", time.Since(began), w.Body)
				}
				at, history = order[status], len(hs)
				ids := response{body: w.Body.Bytes()}.get(t, "job", "metadata", "assetIds").([]any)
				if (status == success) != (len(ids) == 1) {
					t.Fatalf("%s with assets %v", status, ids)
				}
				if status == success {
					break
				}
				time.Sleep(100 * time.Millisecond)
			}
			if took := time.Since(began); took < 5*time.Second || took > 14100*time.Millisecond {
				t.Errorf("an image took %v", took)
			}
		}
		for status := range order {
			if !seen[status] {
				t.Errorf("no job was ever %s", status)
			}
		}
	})
}

func TestListing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := bubbled(t, Options{RequestsPerMinute: -1, Concurrency: -1})
		var want []string
		for i := range 25 {
			id := field(t, ask(s, "POST", "/v1/generate/custom/model_lyria-2", `{"prompt":"x"}`), "job", "jobId")
			want = append([]string{id}, want...)
			if i%5 == 0 { // several of one millisecond
				time.Sleep(time.Second)
			}
		}
		ask(s, "POST", "/v1/uploads", `{"fileName":"a.mp4","contentType":"video/mp4","kind":"video","parts":1,"fileSize":1}`)
		for _, size := range []int{1, 7, 25, 26, 200} {
			var got []string
			for token := ""; ; {
				w := ask(s, "GET", fmt.Sprintf("/v1/jobs?types=custom&pageSize=%d%s", size, token), "")
				page := response{body: w.Body.Bytes()}
				rows := page.get(t, "jobs").([]any)
				for _, row := range rows {
					got = append(got, row.(map[string]any)["jobId"].(string))
				}
				next, _ := page.get(t, "nextPaginationToken").(string)
				if next == "" {
					break
				}
				if len(rows) != size {
					t.Fatalf("a page of %d rows, want %d", len(rows), size)
				}
				token = "&paginationToken=" + url.QueryEscape(next)
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("pages of %d list %v\nwant %v", size, got, want)
			}
		}
		count := func(query string) int {
			return len(response{body: ask(s, "GET", "/v1/jobs?pageSize=200&"+query, "").Body.Bytes()}.get(t, "jobs").([]any))
		}
		for query, n := range map[string]int{"": 26, "type=upload": 1, "types=custom,upload": 26, "status=success": 25, "status=queued": 0, "status=pending": 1, "authorId=apiu_X": 0} {
			if got := count(query); got != n {
				t.Errorf("%q lists %d jobs, want %d", query, got, n)
			}
		}
		bare := ask(s, "GET", "/v1/jobs?types=custom&hideResults=true", "")
		if m := (response{body: bare.Body.Bytes()}).get(t, "jobs", 0, "metadata").(map[string]any); m["assetIds"] != nil {
			t.Errorf("hideResults shows %v", m)
		}
	})
}

func TestHeaderIsOnEveryAnswer(t *testing.T) {
	s := bubbled(t, Options{Key: "k"})
	for _, path := range []string{"/", "/v1/jobs", "/v1/me", "/cdn/assets/x", "/cdn/thumbnails/x", "/_sandbox/book", "/_sandbox/requests"} {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		if w.Header().Get(Header) != "1" {
			t.Errorf("%s answers %d without it", path, w.Code)
		}
	}
}

func TestLogHoldsNoSecrets(t *testing.T) {
	var log strings.Builder
	s := bubbled(t, Options{Log: &log})
	id := field(t, ask(s, "POST", "/v1/generate/custom/model_lyria-2", `{"prompt":"x"}`), "job", "jobId")
	asset := field(t, ask(s, "GET", "/v1/jobs/"+id, ""), "job", "metadata", "assetIds", 0)
	ask(s, "GET", field(t, ask(s, "GET", "/v1/assets/"+asset, ""), "asset", "url"), "")
	if l := log.String(); strings.Contains(l, "Signature") || strings.Contains(l, "Basic") || !strings.Contains(l, "POST /v1/generate/custom/model_lyria-2 200") {
		t.Errorf("log:\n%s", l)
	}
}
