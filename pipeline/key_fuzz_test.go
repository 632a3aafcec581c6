package pipeline

import (
	"path"
	"strings"
	"testing"
)

// A template that CheckKey lets pass makes keys that stay under the output and, for the several files of one item and
// for different items, differ; whatever is filled in that the rest of the program lets pass too.
func FuzzObjectKey(f *testing.F) {
	for _, template := range []string{DefaultKey, "{model}/{item}{-n}{ext}", "{item}/{n}{ext}", "a/../{item}{n}", "{n}", "{{item}{n}}", "}{", "/{item}{n}", "{item}{-n}.", "results.json{n}", ".dailies/{n}"} {
		f.Add(template, "knight-idle", "night", "model_veo3-1", ".mp4")
	}
	f.Add("{item}{-n}{ext}", "..", "b", "m", "")
	f.Add("{item}/{n}", ".", "b", "m", "/../../x")
	f.Fuzz(func(t *testing.T, template, item, batch, model, ext string) {
		if CheckKey(template) != nil {
			return
		}
		seen := map[string]bool{}
		for n := 1; n <= 3; n++ {
			key := ObjectKey(template, KeyParts{Item: item, Batch: batch, Model: model, N: n, Of: 3, Ext: ext})
			if seen[key] {
				t.Fatalf("%q gives two files of %q the key %q", template, item, key)
			}
			seen[key] = true
			if CheckObjectKey(key) != nil {
				continue // is refused where it is made
			}
			if path.IsAbs(key) || key != path.Clean(key) || strings.HasPrefix(key, "..") && (key == ".." || key[2] == '/') || strings.HasPrefix(strings.ToLower(key), ".dailies/") {
				t.Fatalf("%q makes the key %q", template, key)
			}
		}
	})
}
