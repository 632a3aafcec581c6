package e2e

import (
	"encoding/base64"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dailies/internal/sandbox"
)

// TestSecretsStayIn looks at every byte the program leaves anywhere, under every fault there is, for the key, the
// secret, the header they make, and what signs links; and the credentials go to the API alone.
func TestSecretsStayIn(t *testing.T) {
	t.Parallel()
	const key, secret = "canary-key-5f0c2a", "canary-secret-91e7bd"
	pair := base64.StdEncoding.EncodeToString([]byte(key + ":" + secret))
	forbidden := []string{key, secret, pair, "Authorization", "Basic ", "Signature=", "Policy=", "Key-Pair-Id", "X-Amz-Signature", "X-Amz-Credential"}
	batches := map[string][]sandbox.Rule{}
	for i, k := range sandbox.FaultKinds() {
		batch := "batch " + itoa(i%4)
		if k.Name == "quote-buys" || k.Name == "credits-out" {
			batch = k.Name // ends a run
		}
		batches[batch] = append(batches[batch], sandbox.Rule{Fault: k.Name, On: "any", Every: 3, Times: 4, For: 50 * time.Millisecond})
	}
	for name, rules := range batches {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := sandboxOptions()
			o.Key, o.Secret, o.Pace = key, secret, 0
			o.Faults = &sandbox.Faults{Rules: rules}
			api, base := startAPI(t, o)
			home := t.TempDir()
			manifest := writeManifest(t, swept)
			for _, progress := range []string{"json", "lines"} {
				p := launch(t, base, []string{"SCENARIO_SDK_API_KEY=" + key, "SCENARIO_SDK_API_SECRET=" + secret, "HOME=" + home, "XDG_CACHE_HOME=" + home, "TMPDIR=" + home},
					"run", manifest, "--output", filepath.Join(home, "out"), "--yes", "--progress", progress, "--deadline", "5s",
					"--junit", filepath.Join(home, "junit.xml"), "--summary", filepath.Join(home, "summary.md"))
				said, _ := p.end()
				canary(t, "what it said", said, forbidden)
			}
			looked := 0
			err := filepath.WalkDir(home, func(name string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				data, err := os.ReadFile(name)
				looked++
				canary(t, name, string(data), forbidden)
				return err
			})
			if err != nil || looked < 5 {
				t.Errorf("looked at %d files: %v", looked, err)
			}
			for _, breach := range []string{sandbox.BreachCDNAuth, sandbox.BreachPartAuth} {
				if n := api.Requests()[breach]; n > 0 {
					t.Errorf("%s, %d times", breach, n)
				}
			}
		})
	}
}

func canary(t *testing.T, where, text string, forbidden []string) {
	t.Helper()
	for _, words := range forbidden {
		if i := strings.Index(text, words); i >= 0 {
			t.Errorf("%s holds %q: …%.120q", where, words, text[max(0, i-40):])
		}
	}
}
