package e2e

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"dailies/internal/sandbox"
)

// masked serves a sandbox that does not say it is one, as the real API does not: what is bought there is real.
func masked(t *testing.T, o sandbox.Options) (*sandbox.Server, string) {
	t.Helper()
	s, base := startAPI(t, o)
	target, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: target.Scheme, Host: target.Host})
			r.Out.Host = r.In.Host // links are signed for the host that was asked
		},
		ModifyResponse: func(r *http.Response) error {
			r.Header.Del(sandbox.Header)
			return nil
		},
	}
	front := httptest.NewServer(proxy)
	t.Cleanup(front.Close)
	return s, front.URL + "/v1"
}

const two = `version: 1
batch: two
items:
  - {id: apple, model: imagen4-ultra, prompt: an apple}
  - {id: pear, model: imagen4-ultra, prompt: a pear}
`

// run runs the binary to its end.
func run(t *testing.T, cmd *exec.Cmd) (output string, exit int) {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(out), e.ExitCode()
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(out), 0
}

func TestNothingIsBoughtUnasked(t *testing.T) {
	t.Parallel()
	api, base := masked(t, sandboxOptions())
	manifest := filepath.Join(t.TempDir(), "two.yaml")
	if err := os.WriteFile(manifest, []byte(two), 0o644); err != nil {
		t.Fatal(err)
	}
	dest := t.TempDir()
	out, exit := run(t, command(t, base, "run", manifest, "--output", dest))
	if exit != 2 || len(api.Book()) != 0 || !strings.Contains(out, "2 items would be bought") || !strings.Contains(out, "--yes") {
		t.Errorf("exit %d, %d bought:\n%s", exit, len(api.Book()), out)
	}
	if strings.Contains(out, "SANDBOX") {
		t.Errorf("the real API is called a sandbox:\n%s", out)
	}
	out, exit = run(t, command(t, base, "run", manifest, "--output", dest, "--budget", "100"))
	if exit != 0 || len(api.Book()) != 2 {
		t.Errorf("exit %d, %d bought:\n%s", exit, len(api.Book()), out)
	}
	// With nothing left to buy there is nothing to ask.
	out, exit = run(t, command(t, base, "run", manifest, "--output", dest))
	if exit != 0 || len(api.Book()) != 2 {
		t.Errorf("exit %d, %d bought:\n%s", exit, len(api.Book()), out)
	}
}

// A rehearsal never counts as delivered for the real thing.
func TestRealmsDoNotMix(t *testing.T) {
	t.Parallel()
	api, base := masked(t, sandboxOptions())
	manifest := filepath.Join(t.TempDir(), "two.yaml")
	if err := os.WriteFile(manifest, []byte(two), 0o644); err != nil {
		t.Fatal(err)
	}
	dest := t.TempDir()
	if out, exit := run(t, command(t, base, "run", manifest, "--output", dest, "--sandbox")); exit != 0 || len(api.Book()) != 0 {
		t.Fatalf("exit %d, %d bought of the real API:\n%s", exit, len(api.Book()), out)
	}
	if out, exit := run(t, command(t, base, "run", manifest, "--output", dest, "--yes")); exit != 0 || len(api.Book()) != 2 {
		t.Errorf("exit %d, %d bought, want both in spite of the rehearsal:\n%s", exit, len(api.Book()), out)
	}
	if r := readResults(t, dest); r.Run.Simulated || r.Items[0].Status != "delivered" {
		t.Errorf("simulated %v, %s", r.Run.Simulated, r.Items[0].Status)
	}
	// And each finds its own again.
	for _, args := range [][]string{{"--sandbox"}, {"--yes"}} {
		args = append([]string{"run", manifest, "--output", dest}, args...)
		if out, exit := run(t, command(t, base, args...)); exit != 0 || len(api.Book()) != 2 {
			t.Errorf("%v: exit %d, %d bought:\n%s", args, exit, len(api.Book()), out)
		}
	}
}
