package e2e

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// TestTelemetryOfARun: the binary tells a collector of its run, and needs none to work.
func TestTelemetryOfARun(t *testing.T) {
	_, api, stop, err := serveSandbox(sandboxOptions())
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	var mu sync.Mutex
	came := map[string]string{}
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		came[r.URL.Path] += string(body)
		mu.Unlock()
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	defer collector.Close()

	dir := t.TempDir()
	manifest := "version: 1\nbatch: told\nitems:\n  - id: song\n    model: lyria-2\n    prompt: a waltz nobody is to hear of\n"
	if err := os.WriteFile(filepath.Join(dir, "told.yaml"), []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	run := func(endpoint string) string {
		cmd := exec.CommandContext(t.Context(), dailies, "run", "told.yaml", "--yes")
		cmd.Dir = dir
		cmd.Env = []string{"HOME=" + dir, "SCENARIO_BASE_URL=" + api, "SCENARIO_SDK_API_KEY=key-of-the-test", "SCENARIO_SDK_API_SECRET=secret-of-the-test",
			"OTEL_EXPORTER_OTLP_ENDPOINT=" + endpoint}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	run(collector.URL)
	for path, words := range map[string][]string{
		"/v1/traces":  {"run", "item", "song", "generating", "fetch", "model_lyria-2", "job_"},
		"/v1/metrics": {"dailies.api.requests", "submit", "dailies.items", "delivered", "dailies.cost"},
	} {
		for _, word := range words {
			if !strings.Contains(came[path], word) {
				t.Errorf("%s was not told of %q", path, word)
			}
		}
		for _, secret := range []string{"a waltz nobody", "secret-of-the-test", "key-of-the-test"} {
			if strings.Contains(came[path], secret) {
				t.Errorf("%s was told %q", path, secret)
			}
		}
	}
	collector.Close()
	if out := run(collector.URL); strings.Count(out, "telemetry could not be sent") != 1 {
		t.Errorf("that nobody listened is not said once:\n%s", out)
	}
}
