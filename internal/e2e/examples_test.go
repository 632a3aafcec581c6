package e2e

import (
	"bytes"
	"encoding/json"
	"flag"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"dailies/internal/sandbox"
	"dailies/manifests"
)

var update = flag.Bool("update", false, "write golden files anew")

// results is what tests read of results.json, as a user's own program would.
type results struct {
	Run struct {
		Simulated bool
		ExitCode  int `json:"exit_code"`
	}
	Totals map[string]json.Number
	Items  []struct {
		ID, Model, Status string
		JobID             string `json:"job_id"`
		Outputs           []struct {
			AssetID string `json:"asset_id"`
			Key     string
			Bytes   int64
			SHA256  string
			MIME    string
			Kind    string
		}
		Error *struct{ Code, Message, Hint string }
	}
}

func readResults(t *testing.T, out string) results {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(out, "results.json"))
	if err != nil {
		t.Fatal(err)
	}
	var r results
	if err := json.Unmarshal(data, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// command is the binary with an environment of its own: an account at the API, and nothing of the developer's.
func command(t *testing.T, baseURL string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), dailies, args...)
	home := t.TempDir()
	cmd.Env = []string{"HOME=" + home, "XDG_CACHE_HOME=" + home, "TMPDIR=" + home, "PATH=" + os.Getenv("PATH"),
		"SCENARIO_BASE_URL=" + baseURL, "SCENARIO_SDK_API_KEY=" + testKey, "SCENARIO_SDK_API_SECRET=" + testSecret}
	cmd.Dir = home
	return cmd
}

// startAPI serves a sandbox for a test.
func startAPI(t *testing.T, o sandbox.Options) (*sandbox.Server, string) {
	t.Helper()
	s, url, stop, err := serveSandbox(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return s, url
}

// TestExamples runs every example manifest as its reader would, twice, and holds what went over the wire against
// testdata/wire.
func TestExamples(t *testing.T) {
	examples, err := fs.Glob(manifests.Examples, "*.yaml")
	if err != nil || len(examples) < 9 {
		t.Fatalf("%d examples: %v", len(examples), err)
	}
	for _, name := range examples {
		t.Run(strings.TrimSuffix(name, ".yaml"), func(t *testing.T) {
			t.Parallel()
			api, url := startAPI(t, sandboxOptions())
			out := filepath.Join(t.TempDir(), "out")
			run := func() {
				t.Helper()
				cmd := command(t, url, "run", filepath.Join(repo, "manifests", name), "--output", out, "--yes")
				if output, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("%v\n%s", err, output)
				}
			}
			run()
			bought := len(api.Book())
			r := readResults(t, out)
			if bought != len(r.Items) || !r.Run.Simulated {
				t.Errorf("%d purchases for %d items; simulated: %v", bought, len(r.Items), r.Run.Simulated)
			}
			for _, it := range r.Items {
				if it.Status != "delivered" || len(it.Outputs) == 0 {
					t.Errorf("%s: %s with %d outputs", it.ID, it.Status, len(it.Outputs))
				}
				for _, o := range it.Outputs {
					if st, err := os.Stat(filepath.Join(out, o.Key)); err != nil || st.Size() != o.Bytes {
						t.Errorf("%s: %v, want %d bytes", o.Key, err, o.Bytes)
					}
				}
			}
			golden(t, filepath.Join("wire", strings.TrimSuffix(name, ".yaml")+".txt"), wire(t, api, r, out))

			run()
			if again := len(api.Book()); again != bought {
				t.Errorf("the second run bought %d more", again-bought)
			}
			for _, it := range readResults(t, out).Items {
				if it.Status != "reused" {
					t.Errorf("%s is %s in the second run", it.ID, it.Status)
				}
			}
		})
	}
}

// wire is what was sent for each item, in manifest order, with what differs from run to run named instead.
func wire(t *testing.T, api *sandbox.Server, r results, out string) []byte {
	t.Helper()
	names := map[string]string{} // asset id: what it is
	for _, it := range r.Items {
		names[it.Outputs[0].AssetID] = "the asset of " + it.ID
	}
	uploads, err := filepath.Glob(filepath.Join(out, ".dailies", "inputs", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range uploads {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var in struct {
			AssetID string `json:"asset_id"`
			Name    string `json:"name"`
		}
		if err := json.Unmarshal(data, &in); err != nil || in.Name == "" {
			t.Fatalf("%s: %v", data, err)
		}
		names[in.AssetID] = "the asset of " + in.Name
	}
	sent := map[string]sandbox.Purchase{}
	for _, p := range api.Book() {
		sent[p.JobID] = p
	}
	var text bytes.Buffer
	for _, it := range r.Items {
		p := sent[it.JobID]
		body := string(p.Payload)
		body = regexp.MustCompile(`asset_[A-Za-z0-9]{24}`).ReplaceAllStringFunc(body, func(id string) string { return names[id] })
		body = regexp.MustCompile(`"seed":\d{5,}`).ReplaceAllString(body, `"seed":"picked"`)
		text.WriteString(it.ID + "  POST /generate/custom/" + p.Model + "\n")
		if err := json.Indent(&text, []byte(body), "", "  "); err != nil {
			t.Fatal(err)
		}
		text.WriteString("\n\n")
	}
	return bytes.TrimRight(text.Bytes(), "\n")
}

// golden holds got against a file under testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join(repo, "testdata", name)
	got = append(got, '\n')
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (go test -update writes it anew):\n%s", name, got)
	}
}
