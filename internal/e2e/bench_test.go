package e2e

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"dailies/internal/catalog"
	"dailies/internal/ledger"
	"dailies/internal/manifest"
	"dailies/internal/sandbox"
	"dailies/internal/store"
	"dailies/internal/store/s3test"
	"dailies/pipeline"
)

// A studio is what a benchmark works against: the simulated API, in this process, whose limits are off and which is
// done at once. What is measured is in processes of its own; they share the machine's cores with this one.
type studio struct {
	api  *sandbox.Server
	base string // the API's URL
	cut  int64  // every answer of the CDN ends after so many bytes; 0 is never

	first  atomic.Int64 // when the CDN was first asked, in Unix nanoseconds; 0 before that
	served atomic.Int64 // bytes the CDN has sent
}

const studioProject = "bench"

func openStudio(b *testing.B, assetBytes int64) *studio {
	b.Helper()
	o := sandboxOptions()
	o.Concurrency, o.AssetBytes, o.Log = -1, func(string) int64 { return assetBytes }, nil
	api, err := sandbox.New(o)
	if err != nil {
		b.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s := &studio{api: api, base: "http://" + ln.Addr().String() + "/v1"}
	server := &http.Server{Handler: s}
	done := make(chan struct{})
	go func() { defer close(done); server.Serve(ln) }()
	b.Cleanup(func() {
		server.Close()
		api.Close()
		<-done
	})
	return s
}

// ServeHTTP is the API, and the CDN under watch.
func (s *studio) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/cdn/") {
		s.first.CompareAndSwap(0, time.Now().UnixNano())
		w = &watchedAnswer{ResponseWriter: w, studio: s, left: s.cut}
	}
	s.api.ServeHTTP(w, r)
}

// watchedAnswer counts what is sent, and breaks off where the studio says so.
type watchedAnswer struct {
	http.ResponseWriter
	studio *studio
	left   int64
}

func (w *watchedAnswer) Write(p []byte) (int, error) {
	if w.studio.cut > 0 && int64(len(p)) > w.left {
		n, _ := w.ResponseWriter.Write(p[:w.left])
		w.studio.served.Add(int64(n))
		http.NewResponseController(w.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	n, err := w.ResponseWriter.Write(p)
	w.left -= int64(n)
	w.studio.served.Add(int64(n))
	return n, err
}

// env is how a process reaches the API.
func (s *studio) env() []string {
	return []string{"SCENARIO_BASE_URL=" + s.base, "SCENARIO_SDK_API_KEY=key", "SCENARIO_SDK_API_SECRET=secret", "SCENARIO_PROJECT_ID=" + studioProject}
}

// manifestOf writes a manifest of so many items.
func manifestOf(b *testing.B, items int) string {
	b.Helper()
	path := filepath.Join(b.TempDir(), "bench.yaml")
	text := fmt.Sprintf("version: 1\nbatch: bench\ndefaults: {model: imagen4-ultra}\nitems:\n  - {id: item, repeat: %d, prompt: a stone}\n", items)
	if items == 1 {
		text = strings.Replace(text, "repeat: 1, ", "", 1)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		b.Fatal(err)
	}
	return path
}

// make has the studio make every item of a manifest, and writes down in the ledger of a destination what a run knows
// that was stopped before it fetched anything. It returns the assets' links.
func (s *studio) make(b *testing.B, path, output string) (links []string) {
	b.Helper()
	m, err := manifest.Load(path, manifest.Options{Contracts: catalog.Snapshot()})
	if err != nil {
		b.Fatal(err)
	}
	dest, err := store.Open(b.Context(), output, store.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer dest.Close()
	book := ledger.Open(store.Sub(dest, ".dailies"), pipeline.Realm{BaseURL: s.base, Project: studioProject})
	for _, it := range m.Items {
		payload := pipeline.Canonical(it.Payload)
		s.ask(b, http.MethodPost, "/generate/custom/"+it.Model+"?projectId="+studioProject, payload)
		made := s.api.Book()
		job := made[len(made)-1]
		price := job.Cost
		if _, err := book.Save(b.Context(), pipeline.Record{ID: it.ID, State: pipeline.Succeeded, Fingerprint: it.Fingerprint, Model: it.Model,
			Payload: payload, Attempts: 1, JobID: job.JobID, SubmittedAt: job.At, FinishedAt: time.Now().UTC(), Quoted: &price, Cost: &price,
			AssetIDs: job.AssetIDs}, ""); err != nil {
			b.Fatal(err)
		}
		var answer struct{ Asset struct{ URL string } }
		decode(b, s.ask(b, http.MethodGet, "/assets/"+job.AssetIDs[0]+"?originalAssets=true&projectId="+studioProject, nil), &answer)
		links = append(links, answer.Asset.URL)
	}
	return links
}

// ask makes a request to the API without a network.
func (s *studio) ask(b *testing.B, method, path string, body []byte) []byte {
	b.Helper()
	rec := httptest.NewRecorder()
	req := httptest.NewRequestWithContext(b.Context(), method, s.base+path, bytes.NewReader(body))
	req.SetBasicAuth("key", "secret")
	s.api.ServeHTTP(rec, req)
	if rec.Code >= 300 {
		b.Fatalf("%s %s: %d %s", method, path, rec.Code, rec.Body)
	}
	return rec.Body.Bytes()
}

// A usage is what a process has used.
type usage struct {
	wall, cpu time.Duration
	peak      float64 // resident memory at most, MiB; 0 where the system does not say
	ended     time.Time
}

func (u *usage) add(o usage) {
	u.wall += o.wall
	u.cpu += o.cpu
	u.peak = max(u.peak, o.peak)
}

// spend runs a command, which must succeed, and says what it used.
func spend(b *testing.B, cmd *exec.Cmd) usage {
	b.Helper()
	var said bytes.Buffer
	if cmd.Stdout == nil {
		cmd.Stdout = &said
	}
	cmd.Stderr = &said
	began := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	over, peak := make(chan struct{}), make(chan float64)
	go func() { // the figure only grows, and is gone with the process
		var most float64
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			now := peakOf(cmd.Process.Pid)
			if cmd.SysProcAttr != nil { // it leads a group
				now = crowdPeak(cmd.Process.Pid)
			}
			most = max(most, now)
			select {
			case <-tick.C:
			case <-over:
				peak <- most
				return
			}
		}
	}()
	err := cmd.Wait()
	ended := time.Now()
	close(over)
	if err != nil {
		b.Fatalf("%v: %v\n%s", cmd.Args, err, said.String())
	}
	return usage{wall: ended.Sub(began), cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), peak: <-peak, ended: ended}
}

// peakOf is the most resident memory a process ever had, in MiB, where the system says so.
func peakOf(pid int) float64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	var kib float64
	fmt.Sscan(after, &kib)
	return kib / 1024
}

// ours is a command of the binary under test, away from the developer's own settings.
func (s *studio) ours(b *testing.B, extra []string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(b.Context(), dailies, args...)
	cmd.Dir = b.TempDir()
	cmd.Env = append(append(append(os.Environ(), "XDG_CACHE_HOME="+cmd.Dir, "HOME="+cmd.Dir), s.env()...), extra...)
	return cmd
}

// bare is a plain Go program for the same work: this test binary in a role of its own.
func bare(b *testing.B, role string, args ...string) *exec.Cmd {
	exe, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.CommandContext(b.Context(), exe, args...)
	cmd.Env = append(os.Environ(), bareRole+"="+role)
	return cmd
}

// place is a destination that is new for every run.
type place struct {
	name string
	env  []string
	next func() (output string, clear func())
	s3   *s3test.Server // nil for a folder
}

// places are a folder and a bucket.
func places(b *testing.B) []place {
	b.Helper()
	server := s3test.Start(b)
	for _, pair := range server.Env() { // for the ledger that is written from this process
		name, value, _ := strings.Cut(pair, "=")
		b.Setenv(name, value)
	}
	n := 0
	dir := b.TempDir()
	return []place{
		{"folder", nil, func() (string, func()) {
			n++
			out := filepath.Join(dir, fmt.Sprint(n))
			return out, func() { os.RemoveAll(out) }
		}, nil},
		{"s3", server.Env(), func() (string, func()) {
			n++
			prefix := fmt.Sprint("run-", n)
			return server.URI(prefix), func() { os.RemoveAll(filepath.Join(server.Dir, server.Bucket, prefix)) }
		}, server},
	}
}

func seconds(d time.Duration, n int) float64 { return d.Seconds() / float64(n) }
