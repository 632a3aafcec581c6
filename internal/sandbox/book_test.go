package sandbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"dailies/pipeline"
)

func TestBookSurvivesARestart(t *testing.T) {
	book := filepath.Join(t.TempDir(), "book.jsonl")
	open := func() *rig {
		return newRig(t, Options{Book: book, RequestsPerMinute: -1, Concurrency: -1, Credits: "500"})
	}
	r := open()
	img := r.uploadPNG()
	veoJob := r.buy("model_veo3-1-fast", veo)
	r.buy("model_imagen4-ultra", `{"prompt":"[sandbox:fail]"}`)
	horse := r.buy("model_alibaba-happy-horse-reference-to-video", `{"prompt":"x","referenceImages":["`+img+`"]}`)
	asset := r.assetsOf(veoJob)[0]
	before := r.do("GET", asset["url"].(string), "").body
	was := r.Book()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}

	r = open()
	if now := r.Book(); !reflect.DeepEqual(now, was) {
		t.Errorf("the book said\n%+v\nand says\n%+v", was, now)
	}
	if got := r.assetsOf(veoJob)[0]; got["id"] != asset["id"] {
		t.Errorf("the job's asset is %v, was %v", got["id"], asset["id"])
	}
	if after := r.do("GET", r.assetsOf(veoJob)[0]["url"].(string), "").body; !bytes.Equal(before, after) {
		t.Error("the asset's bytes have changed")
	}
	// What was uploaded can still be used and fetched.
	r.buy("model_alibaba-happy-horse-reference-to-video", `{"prompt":"y","referenceImages":["`+img+`"]}`)
	link := r.do("GET", "/v1/assets/"+img, "").text(t, "asset", "url")
	if res := r.do("GET", link, ""); res.status != 200 || len(res.body) == 0 {
		t.Errorf("uploaded bytes: %d", res.status)
	}
	if got := r.do("GET", "/v1/jobs/"+horse, "").text(t, "job", "metadata", "input", "referenceImages", 0); got != img {
		t.Errorf("input %s, want %s", got, img)
	}
	if got := r.do("POST", "/v1/generate/custom/model_veo3-1-fast", veo).status; got != 200 && got != 402 {
		t.Errorf("the next submit: %d", got)
	}
	var spent pipeline.CU
	for _, p := range r.Book() {
		if !p.Refunded {
			spent += p.Cost
		}
	}
	if limit, _ := pipeline.ParseCU("500"); spent > limit {
		t.Errorf("over the two lives %s CU were spent of 500", spent)
	}
}

// A process may be killed at any byte of a line: whole lines count, the torn one never happened, and the next one is
// not glued to it.
func TestTornLine(t *testing.T) {
	dir := t.TempDir()
	book := filepath.Join(dir, "book.jsonl")
	r := newRig(t, Options{Book: book})
	for i := range 3 {
		r.buy("model_lyria-2", fmt.Sprintf(`{"prompt":"%d"}`, i))
	}
	r.Close()
	whole, err := os.ReadFile(book)
	if err != nil {
		t.Fatal(err)
	}
	last := bytes.LastIndexByte(whole[:len(whole)-1], '\n') + 1
	for cut := last; cut <= len(whole); cut += 7 {
		torn := filepath.Join(dir, fmt.Sprintf("torn-%d.jsonl", cut))
		if err := os.WriteFile(torn, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		r := newRig(t, Options{Book: torn})
		want := 2
		if cut == len(whole) {
			want = 3
		}
		if got := len(r.Book()); got != want {
			t.Errorf("cut at %d of %d: %d jobs, want %d", cut, len(whole), got, want)
		}
		r.buy("model_lyria-2", `{"prompt":"after"}`)
		r.Close()
		if got := len(newRig(t, Options{Book: torn}).Book()); got != want+1 {
			t.Errorf("cut at %d, and one more: %d jobs, want %d", cut, got, want+1)
		}
	}
}

func TestDamagedBook(t *testing.T) {
	for _, line := range []string{"{\n", "{}\n", `{"job":{"id":"job_1"}}` + "\n", "null\n"} {
		book := filepath.Join(t.TempDir(), "book.jsonl")
		if err := os.WriteFile(book, []byte(line), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := New(Options{Book: book}); err == nil || !strings.Contains(err.Error(), "book.jsonl:1:1") {
			t.Errorf("%q: %v", line, err)
		}
	}
	if _, err := New(Options{Book: filepath.Join(t.TempDir(), "none", "book")}); pipeline.CodeOf(err) != pipeline.CodeUsage {
		t.Errorf("no folder: %v", err)
	}
}

// Everything at once, for the race detector; and the sums come out right all the same.
func TestManyAtOnce(t *testing.T) {
	f, err := ParseFaults([]byte("- {fault: reset-after, on: submit, every: 7}\n- {fault: fail, every: 5}\n- {fault: listing-strangers, every: 50, count: 3}\n"))
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, Options{RequestsPerMinute: -1, Concurrency: -1, Faults: f, Credits: "1000", Book: filepath.Join(t.TempDir(), "book")})
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			for i := range 25 {
				res, err := r.request("POST", "/v1/generate/custom/model_imagen4-ultra", fmt.Sprintf(`{"prompt":"%d %d"}`, n, i))
				if err != nil {
					continue
				}
				var got struct{ Job struct{ JobID string } }
				_ = json.NewDecoder(res.Body).Decode(&got)
				res.Body.Close()
				for _, path := range []string{"/v1/jobs/" + got.Job.JobID, "/v1/jobs?types=custom&pageSize=200", "/_sandbox/book", "/_sandbox/requests"} {
					if res, err := r.request("GET", path, ""); err == nil {
						res.Body.Close()
					}
				}
			}
		})
	}
	wg.Wait()
	var spent pipeline.CU
	jobs := map[string]bool{}
	for _, p := range r.Book() {
		if jobs[p.JobID] {
			t.Errorf("%s is in the book twice", p.JobID)
		}
		jobs[p.JobID] = true
		if !p.Refunded {
			spent += p.Cost
		}
	}
	limit, _ := pipeline.ParseCU("1000")
	if spent > limit || len(jobs) == 0 || r.Requests()["submit"] != 200 {
		t.Errorf("%s CU spent by %d jobs of %d submits", spent, len(jobs), r.Requests()["submit"])
	}
}

func BenchmarkSubmit(b *testing.B) {
	s, err := New(Options{Models: models, RequestsPerMinute: -1, Concurrency: -1})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	b.ReportAllocs()
	for b.Loop() {
		req := httptest.NewRequest("POST", "/v1/generate/custom/model_veo3-1-fast", strings.NewReader(veo))
		req.SetBasicAuth("key", "secret")
		w := httptest.NewRecorder()
		s.ServeHTTP(w, req)
		if w.Code != 200 {
			b.Fatal(w.Body)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "submits/s")
}

func BenchmarkSubmitBook(b *testing.B) {
	s, err := New(Options{Models: models, RequestsPerMinute: -1, Concurrency: -1, Book: filepath.Join(b.TempDir(), "book")})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	for b.Loop() {
		req := httptest.NewRequest("POST", "/v1/generate/custom/model_veo3-1-fast", strings.NewReader(veo))
		req.SetBasicAuth("key", "secret")
		s.ServeHTTP(httptest.NewRecorder(), req)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "submits/s")
}

// A page of 200 costs the same whether there are a thousand jobs or a hundred thousand.
func BenchmarkListing(b *testing.B) {
	for _, n := range []int{1_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s, err := New(Options{Models: models, RequestsPerMinute: -1, Concurrency: -1})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			request := func(method, path, body string) {
				req := httptest.NewRequest(method, path, strings.NewReader(body))
				req.SetBasicAuth("key", "secret")
				s.ServeHTTP(httptest.NewRecorder(), req)
			}
			for range n {
				request("POST", "/v1/generate/custom/model_veo3-1-fast", veo)
			}
			for b.Loop() {
				request("GET", "/v1/jobs?types=custom&pageSize=200", "")
			}
		})
	}
}
