package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"dailies/pipeline"
)

func TestScriptsOfTestdata(t *testing.T) {
	files, err := filepath.Glob("../../testdata/faults/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		script, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if f, err := ParseFaults(script); err != nil || len(f.Rules) == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseFaults(t *testing.T) {
	f, err := ParseFaults([]byte("- fault: hang\n  on: submit\n  after: 2\n  for: 1m30s\n  processed: true\n- {fault: fail, probability: 0.5, seed: 3, model: \"model_veo*\"}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Rules[0]; got.Fault != "hang" || got.For != 90*time.Second || !got.Processed || got.After != 2 {
		t.Errorf("%+v", got)
	}
	if got := f.Rules[1]; got.Probability != 0.5 || got.Model != "model_veo*" {
		t.Errorf("%+v", got)
	}
	if f, err := ParseFaults([]byte("# nothing\n")); err != nil || len(f.Rules) != 0 {
		t.Errorf("an empty script: %+v %v", f, err)
	}
	for _, tc := range []struct{ script, message, hint string }{
		{"- fault: 500\n- fault: reset-befor\n", "line 2: fault \"reset-befor\" is unknown", "did you mean reset-before?"},
		{"- fault: xyz\n", "fault \"xyz\" is unknown", "it can be reset-before, "},
		{"- fault: hang\n  fro: 3s\n", "line 2: hang has no \"fro\"", "did you mean for?"},
		{"- fault: fail\n  for: 3s\n", "line 2: fail has no \"for\"", ""},
		{"- fault: corrupt\n  on: jobs\n", "line 2: corrupt cannot strike \"jobs\"", "cdn"},
		{"- fault: hang\n  on: submitt\n", "cannot strike \"submitt\"", "did you mean submit?"},
		{"- fault: hang\n  for: soon\n", "line 2: for cannot be \"soon\"", "90s"},
		{"- fault: hang\n  times: [1]\n", "line 2: times cannot be", "counts 3"},
		{"- fault: hang\n  for: -3s\n", "line 1: for, retry_after and before cannot be negative", ""},
		{"- fault: fail\n  probability: 2\n", "line 1: probability", ""},
		{"- fault: fail\n  model: \"[\"\n", "is no pattern", ""},
		{"- fault: fail\n  fault: hang\n", "line 2: fault is given twice", ""},
		{"- on: submit\n", "line 1: the rule names no fault", ""},
		{"- fail\n", "line 1: a rule is a mapping", ""},
		{"fault: fail\n", "line 1: a script of faults is a list", ""},
		{"- [\n", "faults: yaml: line", ""},
		{"- fault: fail\n---\n- fault: fail\n", "one YAML document", ""},
	} {
		_, err := ParseFaults([]byte(tc.script))
		e, ok := errors.AsType[*pipeline.Error](err)
		if !ok || e.Code != pipeline.CodeUsage || !strings.Contains(e.Message, tc.message) || !strings.Contains(e.HintText(), tc.hint) {
			t.Errorf("%q: %v (%v), want %q (%q)", tc.script, err, e, tc.message, tc.hint)
		}
	}
	if _, err := New(Options{Faults: &Faults{Rules: []Rule{{Fault: "nonsense"}}}}); err == nil {
		t.Error("a rule made in Go is not checked")
	}
}

func FuzzParseFaults(f *testing.F) {
	files, _ := filepath.Glob("../../testdata/faults/*.yaml")
	for _, name := range files {
		script, _ := os.ReadFile(name)
		f.Add(script)
	}
	f.Add([]byte("- &a {fault: *a}"))
	f.Fuzz(func(t *testing.T, script []byte) {
		parsed, err := ParseFaults(script)
		if err == nil && parsed.check() != nil {
			t.Errorf("parsed, and refused: %v", parsed.check())
		}
	})
}

func TestWhichRequestsAreStruck(t *testing.T) {
	for _, tc := range []struct {
		rule Rule
		want string // x for struck, of 12
	}{
		{Rule{}, "xxxxxxxxxxxx"},
		{Rule{Times: 2}, "xx.........."},
		{Rule{After: 3}, "...xxxxxxxxx"},
		{Rule{Every: 4}, "...x...x...x"},
		{Rule{After: 2, Every: 3, Times: 2}, "....x..x...."},
		{Rule{Probability: 1}, "xxxxxxxxxxxx"},
	} {
		tc.rule.Fault = "fail"
		draw := func() (got string) {
			s := (&Faults{Rules: []Rule{tc.rule}}).script()
			for range 12 {
				if len(s.draw("submit", subject{})) > 0 {
					got += "x"
				} else {
					got += "."
				}
			}
			return got
		}
		if got := draw(); got != tc.want {
			t.Errorf("%+v strikes %s, want %s", tc.rule, got, tc.want)
		}
	}
	chance := func(seed uint64) (struck []int) {
		s := (&Faults{Rules: []Rule{{Fault: "fail", Probability: 0.3, Seed: seed}}}).script()
		for i := range 1000 {
			if len(s.draw("submit", subject{})) > 0 {
				struck = append(struck, i)
			}
		}
		return struck
	}
	if a, b := fmt.Sprint(chance(1)), fmt.Sprint(chance(1)); a != b {
		t.Error("the same seed strikes others the second time")
	}
	if a, b := chance(1), chance(2); fmt.Sprint(a) == fmt.Sprint(b) || len(a) < 250 || len(a) > 350 {
		t.Errorf("seeds 1 and 2 strike %d and %d of 1000 alike", len(a), len(b))
	}
	// Of two faults of the exchange one strikes, and the other is kept for the next request.
	s := (&Faults{Rules: []Rule{{Fault: "500", Times: 1}, {Fault: "503", Times: 1}}}).script()
	first, second := s.draw("submit", subject{}), s.draw("submit", subject{})
	if len(first) != 1 || first[0].Fault != "500" || len(second) != 1 || second[0].Fault != "503" {
		t.Errorf("%v, then %v", first, second)
	}
}

// TestExchangeFaults holds every fault of an exchange against the two things that count: what the client sees, and
// whether the job was bought.
func TestExchangeFaults(t *testing.T) {
	const page = "<html>"
	for _, tc := range []struct {
		name, script string
		status       int    // 0: no answer
		body         string // contained in the answer
		bought       int
	}{
		{"reset-before", "- fault: reset-before", 0, "", 0},
		{"reset-after", "- fault: reset-after", 0, "", 1},
		{"hang", "- {fault: hang, for: 1ms}", 0, "", 0},
		{"hang processed", "- {fault: hang, for: 1ms, processed: true}", 0, "", 1},
		{"429", "- fault: 429", 429, "Too Many Requests", 0},
		{"429-retry-after", "- {fault: 429-retry-after, retry_after: 7s}", 429, "Too Many Requests", 0},
		{"500", "- fault: 500", 500, "Internal server error", 0},
		{"500 processed", "- {fault: 500, processed: true}", 500, "Internal server error", 1},
		{"503", "- fault: 503", 503, "Service Unavailable", 0},
		{"html-502", "- fault: html-502", 502, page, 0},
		{"html-502 processed", "- {fault: html-502, processed: true}", 502, page, 1},
		{"malformed-json", "- fault: malformed-json", 200, `{"job":`, 1},
		{"truncate", "- fault: truncate", 200, `{"job":`, 1},
		{"stall", "- {fault: stall, for: 1ms, bytes: 10}", 200, `{"job":`, 1},
		{"credits-out", "- fault: credits-out", 402, "Insufficient creative units", 0},
		{"plan-gate", "- fault: plan-gate", 403, "ModelAccessRestrictedError", 0},
		{"unknown-field-400", "- fault: unknown-field-400", 400, "Input zeal is not allowed", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := faulty(t, tc.script)
			res, err := r.request("POST", "/v1/generate/custom/model_lyria-2", `{"prompt":"x","zeal":1}`)
			if got := len(r.Book()); got != tc.bought {
				t.Errorf("%d jobs were bought, want %d", got, tc.bought)
			}
			if tc.status == 0 {
				if err == nil {
					res.Body.Close()
					t.Fatalf("an answer: %s", res.Status)
				}
				if strings.HasPrefix(tc.name, "reset") && !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("%v, want a connection reset", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			if res.StatusCode != tc.status || !strings.Contains(string(body), tc.body) {
				t.Errorf("%d %s, want %d %s", res.StatusCode, body, tc.status, tc.body)
			}
			if cut := tc.name == "truncate" || tc.name == "stall"; cut != errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("the body ends with %v", err)
			}
			if tc.name == "malformed-json" && json.Valid(body) {
				t.Errorf("the body is valid: %s", body)
			}
			if got := res.Header.Get("Retry-After"); got != map[bool]string{true: "7"}[tc.name == "429-retry-after"] {
				t.Errorf("Retry-After %q", got)
			}
		})
	}
}

// A client that gives up waiting is let go at once, and so is one that waits when the server closes.
func TestHangLetsGo(t *testing.T) {
	r := faulty(t, "- fault: hang\n")
	done := make(chan error, 1)
	go func() {
		res, err := r.http.Client().Get(r.http.URL + "/v1/generate/custom/x")
		if err == nil {
			res.Body.Close()
		}
		done <- err
	}()
	<-done // not a route: it must not hang
	go func() {
		res, err := r.http.Client().Post(r.http.URL+"/v1/generate/custom/x", "", strings.NewReader("{}"))
		if err == nil {
			res.Body.Close()
		}
		done <- err
	}()
	for r.Requests()["submit"] == 0 {
		runtime.Gosched() // the request is on its way
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; err == nil {
		t.Error("a hanging request was answered")
	}
}

func TestStreamFaults(t *testing.T) {
	fetch := func(t *testing.T, script string, header ...string) (whole []byte, res response, err error) {
		r := faulty(t, script)
		a := r.made("model_veo3-1-fast", veo)[0]
		r.Server.mu.Lock()
		whole, merr := r.studio.make(r.assets[a["id"].(string)])
		r.Server.mu.Unlock()
		if merr != nil {
			t.Fatal(merr)
		}
		got, err := r.request("GET", a["url"].(string), "", header...)
		if err != nil {
			return whole, response{}, err
		}
		defer got.Body.Close()
		b, err := io.ReadAll(got.Body)
		return whole, response{got.StatusCode, got.Header, b, err}, err
	}
	t.Run("truncate", func(t *testing.T) {
		whole, res, err := fetch(t, "- {fault: truncate, on: cdn, at: 0.25}")
		if err == nil || !bytes.Equal(res.body, whole[:len(whole)/4]) {
			t.Errorf("%d of %d bytes, %v", len(res.body), len(whole), err)
		}
	})
	t.Run("truncate bytes", func(t *testing.T) {
		_, res, err := fetch(t, "- {fault: truncate, on: cdn, bytes: 1000}")
		if err == nil || len(res.body) != 1000 {
			t.Errorf("%d bytes, %v", len(res.body), err)
		}
	})
	t.Run("stall", func(t *testing.T) {
		whole, res, err := fetch(t, "- {fault: stall, on: cdn, for: 1ms}")
		if err == nil || len(res.body) != len(whole)/2 {
			t.Errorf("%d of %d bytes, %v", len(res.body), len(whole), err)
		}
	})
	t.Run("reset-after", func(t *testing.T) {
		_, _, err := fetch(t, "- {fault: reset-after, on: cdn}")
		if !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%v", err)
		}
	})
	t.Run("corrupt", func(t *testing.T) {
		whole, res, err := fetch(t, "- fault: corrupt")
		wrong := 0
		for i := range min(len(whole), len(res.body)) {
			if whole[i] != res.body[i] {
				wrong++
			}
		}
		if err != nil || len(res.body) != len(whole) || wrong != 1 {
			t.Errorf("%d of %d bytes, %d wrong, %v", len(res.body), len(whole), wrong, err)
		}
	})
	t.Run("wrong-length", func(t *testing.T) {
		whole, res, err := fetch(t, "- {fault: wrong-length, at: 0.9}")
		if err != nil || res.status != 200 || len(res.body) != len(whole)*9/10 || !bytes.HasPrefix(whole, res.body) {
			t.Errorf("%d: %d of %d bytes, %v", res.status, len(res.body), len(whole), err)
		}
	})
	t.Run("range-ignored", func(t *testing.T) {
		whole, res, err := fetch(t, "- fault: range-ignored", "Range", "bytes=100-")
		if err != nil || res.status != 200 || !bytes.Equal(res.body, whole) {
			t.Errorf("%d: %d of %d bytes, %v", res.status, len(res.body), len(whole), err)
		}
	})
	t.Run("expired-url", func(t *testing.T) {
		if _, res, _ := fetch(t, "- fault: expired-url"); res.status != 403 {
			t.Errorf("%d", res.status)
		}
	})
	t.Run("expired when handed out", func(t *testing.T) {
		if _, res, _ := fetch(t, "- {fault: expired-url, on: bulk}"); res.status != 403 {
			t.Errorf("%d", res.status)
		}
	})
	t.Run("wrong-mime", func(t *testing.T) {
		if _, res, _ := fetch(t, "- {fault: wrong-mime, on: cdn, mime: text/html}"); res.header.Get("Content-Type") != "text/html" {
			t.Errorf("%v", res.header)
		}
	})
	t.Run("html-502", func(t *testing.T) {
		if _, res, _ := fetch(t, "- {fault: html-502, on: cdn, processed: true}"); res.status != 502 {
			t.Errorf("%d", res.status)
		}
	})
	t.Run("redirect", func(t *testing.T) {
		whole, res, err := fetch(t, "- {fault: redirect, times: 2}")
		if err != nil || !bytes.Equal(res.body, whole) {
			t.Errorf("%d: %d of %d bytes, %v", res.status, len(res.body), len(whole), err)
		}
	})
	t.Run("etag-changed", func(t *testing.T) {
		r := faulty(t, "- fault: etag-changed")
		link := r.made("model_lyria-2", `{"prompt":"x"}`)[0]["url"].(string)
		first := r.do("GET", link, "")
		again := r.do("GET", link, "", "Range", "bytes=10-", "If-Range", first.header.Get("ETag"))
		if again.status != 200 || !bytes.Equal(first.body, again.body) {
			t.Errorf("%d, %d of %d bytes", again.status, len(again.body), len(first.body))
		}
	})
}

func TestJobFaults(t *testing.T) {
	type look func(t *testing.T, s *Server, id string, view response)
	job := func(want string) look {
		return func(t *testing.T, _ *Server, _ string, view response) {
			if got := view.text(t, "job", "status"); got != want {
				t.Errorf("the job is %s, want %s", got, want)
			}
		}
	}
	assets := func(n int) look {
		return func(t *testing.T, _ *Server, _ string, view response) {
			job(success)(t, nil, "", view)
			if got := view.get(t, "job", "metadata", "assetIds").([]any); len(got) != n {
				t.Errorf("assets %v, want %d", got, n)
			}
		}
	}
	for _, tc := range []struct {
		fault, trigger string
		after          time.Duration // when to look; images take 5 to 14 s
		look           look
	}{
		{"fail", "fail", time.Minute, job(failure)},
		{"moderated", "moderate", time.Minute, func(t *testing.T, _ *Server, _ string, view response) {
			job(failure)(t, nil, "", view)
			if got := view.text(t, "job", "metadata", "error"); !strings.Contains(got, "moderation") {
				t.Errorf("error %q", got)
			}
		}},
		{"fail-no-refund", "fail-no-refund", time.Minute, func(t *testing.T, s *Server, _ string, view response) {
			job(failure)(t, nil, "", view)
			if view.text(t, "job", "billing", "disableRefund") != "true" || s.Book()[0].Refunded {
				t.Errorf("%s", view.body)
			}
		}},
		{"canceled", "canceled", time.Minute, job(canceled)},
		{"slow", "slow", 40 * time.Second, job(inProgress)},
		{"no-assets", "no-assets", time.Minute, assets(0)},
		{"duplicate-assets", "duplicate-assets", time.Minute, assets(2)},
		{"thumbnail-first", "thumbnail-first", time.Minute, assets(2)},
		{"unknown-status", "unknown-status", 3 * time.Second, job("reviewing")},
		{"stuck-progress", "stuck-progress", 3 * time.Second, func(t *testing.T, _ *Server, _ string, view response) {
			if view.text(t, "job", "progress") != "0" {
				t.Errorf("%s", view.body)
			}
		}},
		{"prompt-as-asset", "prompt-as-asset", 0, func(t *testing.T, s *Server, _ string, view response) {
			shown := view.text(t, "job", "metadata", "input", "prompt")
			a := ask(s, "GET", "/v1/assets/"+shown, "")
			if !strings.HasPrefix(shown, "asset_") || !strings.HasPrefix(field(t, a, "asset", "properties", "preview"), "a boat") || field(t, a, "asset", "kind") != "text" {
				t.Errorf("%s\n%s", view.body, a.Body)
			}
		}},
	} {
		for _, how := range []struct{ name, script, prompt string }{
			{"by script", "- fault: " + tc.fault, "a boat"},
			{"by prompt", "", "a boat [sandbox:" + tc.trigger + "]"},
		} {
			t.Run(tc.fault+" "+how.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f, err := ParseFaults([]byte(how.script))
					if err != nil {
						t.Fatal(err)
					}
					s := bubbled(t, Options{Pace: 1, Faults: f})
					id := field(t, ask(s, "POST", "/v1/generate/custom/model_imagen4-ultra", `{"prompt":"`+how.prompt+`"}`), "job", "jobId")
					time.Sleep(tc.after)
					tc.look(t, s, id, response{body: ask(s, "GET", "/v1/jobs/"+id, "").Body.Bytes()})
				})
			})
		}
	}
}

// A fault drops one of them; the job was accepted with all, and charged.
func TestDroppedReferencesAreMissingFromTheAsset(t *testing.T) {
	r := faulty(t, "- fault: drop-inputs")
	first, second := r.uploadPNG(), r.uploadPNG()
	a := r.made("model_alibaba-happy-horse-reference-to-video", `{"prompt":"x","referenceImages":["`+first+`","`+second+`"]}`)[0]
	meta := a["metadata"].(map[string]any)
	if refs, _ := meta["referenceImages"].([]any); len(refs) != 1 || refs[0] != first {
		t.Errorf("metadata: %v", meta)
	}
}

func TestQuoteThatBuys(t *testing.T) {
	r := faulty(t, "- fault: quote-buys")
	res := r.do("POST", "/v1/generate/custom/model_lyria-2?dryRun=true", `{"prompt":"x"}`)
	if len(r.Book()) != 1 || res.text(t, "job", "jobId") != r.Book()[0].JobID {
		t.Errorf("%s", res.body)
	}
}

func TestListingFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, err := ParseFaults([]byte("- {fault: listing-lag, for: 10s}\n- {fault: listing-strangers, after: 2, times: 1, count: 300}\n- {fault: listing-strangers, after: 2, times: 1, count: 1, alike: true, before: 1h}\n"))
		if err != nil {
			t.Fatal(err)
		}
		s := bubbled(t, Options{Pace: 1, Faults: f, ModelIDs: []string{"model_lyria-2"}})
		id := field(t, ask(s, "POST", "/v1/generate/custom/model_imagen4-ultra", `{"prompt":"ours"}`), "job", "jobId")
		list := func() []any {
			return response{body: ask(s, "GET", "/v1/jobs?types=custom&pageSize=200", "").Body.Bytes()}.get(t, "jobs").([]any)
		}
		if got := list(); len(got) != 0 {
			t.Errorf("at once: %v", got)
		}
		time.Sleep(10 * time.Second)
		if got := list(); len(got) != 1 {
			t.Errorf("after the lag: %v", got)
		}
		list() // the strangers come, and lag themselves
		time.Sleep(10 * time.Second)
		first := ask(s, "GET", "/v1/jobs?types=custom&pageSize=200", "")
		if strings.Contains(first.Body.String(), id) {
			t.Error("our job is still on the first page")
		}
		next := field(t, first, "nextPaginationToken")
		second := response{body: ask(s, "GET", "/v1/jobs?types=custom&pageSize=200&paginationToken="+next, "").Body.Bytes()}
		rows := second.get(t, "jobs").([]any)
		if len(rows) != 102 || rows[100].(map[string]any)["jobId"] != id {
			t.Fatalf("%d rows on the second page: %.300s", len(rows), second.body)
		}
		twin := rows[101].(map[string]any)
		if input, _ := json.Marshal(twin["metadata"].(map[string]any)["input"]); string(input) != `{"modelId":"model_imagen4-ultra","prompt":"ours"}` {
			t.Errorf("the stranger's job that looks like ours: %s", input)
		}
		if got := len(s.Book()); got != 1 {
			t.Errorf("%d purchases in the book: strangers' are not ours", got)
		}
	})
}

func TestAssetFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, err := ParseFaults([]byte("- {fault: asset-pending, on: any, for: 5s}\n- {fault: wrong-mime, on: assets}\n"))
		if err != nil {
			t.Fatal(err)
		}
		s := bubbled(t, Options{Faults: f})
		id := field(t, ask(s, "POST", "/v1/generate/custom/model_imagen4-ultra", `{"prompt":"x"}`), "job", "jobId")
		asset := field(t, ask(s, "GET", "/v1/jobs/"+id, ""), "job", "metadata", "assetIds", 0)
		bulk := func() response {
			return response{body: ask(s, "POST", "/v1/assets/get-bulk", `{"assetIds":["`+asset+`"]}`).Body.Bytes()}
		}
		if b := bulk(); b.text(t, "assets", 0, "status") != pending || b.get(t, "assets", 0, "url") != nil {
			t.Errorf("%s", b.body)
		}
		time.Sleep(5 * time.Second)
		if b := bulk(); b.text(t, "assets", 0, "status") != success || b.get(t, "assets", 0, "url") == nil {
			t.Errorf("%s", b.body)
		}
		if got := field(t, ask(s, "GET", "/v1/assets/"+asset, ""), "asset", "mimeType"); got != "application/octet-stream" {
			t.Errorf("type %s", got)
		}
	})
}

func TestRulesByModelAndPrompt(t *testing.T) {
	r := faulty(t, "- {fault: 500, on: any, model: \"model_lyria*\"}\n- {fault: 503, on: any, prompt: storm}\n")
	if res := r.do("POST", "/v1/generate/custom/model_lyria-2", `{"prompt":"x"}`); res.status != 500 {
		t.Errorf("by model: %d", res.status)
	}
	if res := r.do("POST", "/v1/generate/custom/model_imagen4-ultra", `{"prompt":"a storm"}`); res.status != 503 {
		t.Errorf("by prompt: %d", res.status)
	}
	id := r.buy("model_imagen4-ultra", `{"prompt":"x"}`)
	if res := r.do("GET", "/v1/jobs/"+id, ""); res.status != 200 {
		t.Errorf("neither: %d", res.status)
	}
}

// Every fault there is is in a test above or in a script of testdata; a new one must be too.
func TestEveryFaultIsTried(t *testing.T) {
	var tried bytes.Buffer
	files, _ := filepath.Glob("../../testdata/faults/*.yaml")
	for _, name := range append(files, "faults_test.go") {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		tried.Write(b)
	}
	for _, k := range FaultKinds() {
		if !bytes.Contains(tried.Bytes(), []byte(k.Name)) {
			t.Errorf("%s is not tried", k.Name)
		}
		if k.Does == "" || len(k.On) == 0 {
			t.Errorf("%s does not say what it does", k.Name)
		}
	}
}
