package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dailies/internal/sandbox"
	"dailies/pipeline"
)

// TestStreamsThatDie: however a download dies, the object never appears wrong or in part, and one that can be had in
// the end is delivered, whole.
func TestStreamsThatDie(t *testing.T) {
	t.Parallel()
	for name, rule := range map[string]sandbox.Rule{
		"truncate":      {Fault: "truncate", On: "cdn", At: 0.7, Every: 2},
		"reset":         {Fault: "reset-after", On: "cdn", At: 0.5, Every: 2},
		"expired":       {Fault: "expired-url", On: "bulk", Every: 2},
		"refused":       {Fault: "expired-url", On: "cdn", Every: 3},
		"range ignored": {Fault: "range-ignored", On: "cdn"},
		"etag changed":  {Fault: "etag-changed", On: "cdn"},
		"wrong length":  {Fault: "wrong-length", On: "cdn", At: 0.8, Every: 3},
		"redirect":      {Fault: "redirect", On: "cdn", Every: 2},
		"503":           {Fault: "503", On: "cdn", Every: 3},
		"html":          {Fault: "html-502", On: "cdn", Every: 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := sandboxOptions()
			o.AssetBytes = func(string) int64 { return 2_000_000 }
			rules := []sandbox.Rule{rule}
			if rule.Fault == "range-ignored" || rule.Fault == "etag-changed" { // matter where a stream is taken up again
				rules = append(rules, sandbox.Rule{Fault: "truncate", On: "cdn", At: 0.6, Every: 2, Times: 8})
			}
			o.Faults = &sandbox.Faults{Rules: rules}
			api, base := startAPI(t, o)
			manifest, out := writeManifest(t, dozen), t.TempDir()
			for n := 1; ; n++ {
				said, exit := launch(t, base, nil, "run", manifest, "--output", out, "--yes").end()
				onlyWhole(t, api, out)
				if exit == 0 {
					break
				}
				if exit != pipeline.ExitFailed || n == 6 {
					t.Fatalf("run %d: exit %d:\n%s", n, exit, said)
				}
			}
			provesOut(t, api, out)
			if n := len(api.Book()); n != 12 {
				t.Errorf("%d bought", n)
			}
		})
	}
}

// onlyWhole holds every object there is against what the sandbox made.
func onlyWhole(t *testing.T, api *sandbox.Server, folder string) {
	t.Helper()
	r := readResults(t, folder)
	known := map[string]bool{}
	for _, it := range r.Items {
		for _, o := range it.Outputs {
			known[o.Key] = true
			data, err := os.ReadFile(filepath.Join(folder, o.Key))
			if err != nil || int64(len(data)) != 2_000_000 {
				t.Errorf("%s: %d bytes, %v", o.Key, len(data), err)
			}
		}
	}
	objects, _ := filepath.Glob(filepath.Join(folder, "n-*"))
	for _, name := range objects {
		if !known[filepath.Base(name)] {
			t.Errorf("%s is there, and no item's", name)
		}
	}
}

// TestLinksThatExpire: links that live two seconds, and many more assets than flow at once. Each stale one is replaced
// by asking again, and none is lost.
func TestLinksThatExpire(t *testing.T) {
	t.Parallel()
	const items = 200
	o := sandboxOptions()
	o.URLLife, o.Concurrency = 2*time.Second, -1
	o.AssetBytes = func(string) int64 { return 400_000 }
	api, err := sandbox.New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	base := serve(t, slowCDN(api, 250*time.Millisecond)) // 16 flow at once: the last begin three seconds late
	manifest := writeManifest(t, fmt.Sprintf("version: 1\nbatch: expiring\nitems:\n  - {id: it, model: imagen4-ultra, prompt: a tile, repeat: %d}\n", items))
	out := t.TempDir()
	said, exit := launch(t, base, nil, "run", manifest, "--output", out, "--yes", "--requests-per-minute", "100000").end()
	if exit != 0 || len(api.Book()) != items {
		t.Fatalf("exit %d, %d bought:\n%s", exit, len(api.Book()), said)
	}
	provesOut(t, api, out)
	if !strings.Contains(said, "closest call") {
		t.Errorf("the closest call is not told:\n%s", said)
	}
}
