package e2e

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestHouse holds the rule of the house: imports run downhill only. main knows cli, cli wires the adapters, adapters
// know the pipeline and not each other, and the pipeline knows the retry loop and nothing of the world.
func TestHouse(t *testing.T) {
	pipeline := []string{"dailies/pipeline"}
	allowed := map[string][]string{
		"dailies":                      {"dailies/internal/cli"},
		"dailies/manifests":            {},
		"dailies/pipeline":             {"dailies/internal/retry"},
		"dailies/internal/retry":       {},
		"dailies/internal/catalog":     pipeline,
		"dailies/internal/catalog/gen": {},
		"dailies/internal/fetch":       {"dailies/pipeline", "dailies/internal/retry"},
		"dailies/internal/ledger":      {"dailies/pipeline", "dailies/internal/retry"},
		"dailies/internal/manifest":    pipeline,
		"dailies/internal/media":       pipeline,
		"dailies/internal/progress":    pipeline,
		"dailies/internal/report":      pipeline,
		"dailies/internal/sandbox":     pipeline,
		"dailies/internal/scenario":    {"dailies/pipeline", "dailies/internal/retry"},
		"dailies/internal/notify":      {"dailies/pipeline", "dailies/internal/retry"},
		"dailies/internal/telemetry":   pipeline,
		"dailies/internal/store":       {"dailies/pipeline", "dailies/internal/retry"},
	}
	// The ledger is records over a store, so its tests are over the real ones.
	inTests := map[string][]string{"dailies/internal/ledger": {"dailies/internal/store", "dailies/internal/store/s3test"}}
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", "dailies/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	seen := 0
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p struct {
			ImportPath                         string
			Imports, TestImports, XTestImports []string
		}
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		if p.ImportPath == "dailies/internal/cli" || p.ImportPath == "dailies/internal/e2e" || strings.HasSuffix(p.ImportPath, "test") {
			continue // cli wires everything; what is for tests alone may use anything
		}
		seen++
		may, ok := allowed[p.ImportPath]
		if !ok {
			t.Errorf("%s is not in the table: give it its place", p.ImportPath)
		}
		uphill := func(imports, may []string, who string) {
			for _, i := range imports {
				if strings.HasPrefix(i, "dailies/") && i != p.ImportPath && !slices.Contains(may, i) && !strings.HasPrefix(i, p.ImportPath+"/") {
					t.Errorf("%s imports %s, which is not downhill of it", who, i)
				}
			}
		}
		uphill(p.Imports, may, p.ImportPath)
		uphill(slices.Concat(p.TestImports, p.XTestImports), slices.Concat(may, inTests[p.ImportPath]), "a test of "+p.ImportPath)
		if p.ImportPath == "dailies/pipeline" {
			for _, i := range p.Imports {
				for _, alien := range []string{"net/http", "gopkg.in/yaml", "github.com/aws", "golang.org/x/term", "github.com/cheggaaa"} {
					if strings.HasPrefix(i, alien) {
						t.Errorf("the pipeline imports %s", i)
					}
				}
			}
		}
	}
	if seen != len(allowed) {
		t.Errorf("%d packages seen, the table has %d", seen, len(allowed))
	}
}
