package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestTornRecords: a ledger record cut at any byte, and some stranger things, is named and nothing is bought for it.
func TestTornRecords(t *testing.T) {
	t.Parallel()
	api, base := startAPI(t, sandboxOptions())
	manifest := writeManifest(t, two)
	out := t.TempDir()
	if said, exit := launch(t, base, nil, "run", manifest, "--output", out, "--yes").end(); exit != 0 {
		t.Fatalf("exit %d:\n%s", exit, said)
	}
	record := filepath.Join(out, ".dailies", "items", "apple.json")
	whole, err := os.ReadFile(record)
	if err != nil {
		t.Fatal(err)
	}
	torn := map[string][]byte{
		"of a newer version":  []byte(strings.Replace(string(whole), "dailies.item/v1", "dailies.item/v2", 1)),
		"of another item":     []byte(strings.Replace(string(whole), `"id": "apple"`, `"id": "pear"`, 1)),
		"with another's tail": append(whole[:len(whole):len(whole)], "{}"...),
		"of zeros":            make([]byte, len(whole)),
	}
	step := 60 // every byte is cut at in the ledger's own tests and in a soak
	if *soak {
		step = 1
	}
	for n := 0; n < len(whole)-2; n += step { // the last two are a brace and a line feed
		torn["cut at "+itoa(n)] = whole[:n]
	}
	torn["cut before its last brace"] = whole[:len(whole)-2]
	for name, data := range torn {
		if err := os.WriteFile(record, data, 0o644); err != nil {
			t.Fatal(err)
		}
		said, exit := launch(t, base, nil, "run", manifest, "--output", out, "--yes").end()
		if exit != 3 || len(api.Book()) != 2 || !strings.Contains(said, "ledger_damaged") || !strings.Contains(said, "apple.json") {
			t.Errorf("%s: exit %d, %d bought:\n%s", name, exit, len(api.Book()), said)
		}
		if left, err := os.ReadFile(record); err != nil || string(left) != string(data) {
			t.Errorf("%s: the record was touched (%v)", name, err)
		}
	}
	if err := os.WriteFile(record, whole, 0o644); err != nil {
		t.Fatal(err)
	}
	if said, exit := launch(t, base, nil, "run", manifest, "--output", out, "--yes").end(); exit != 0 || len(api.Book()) != 2 {
		t.Errorf("mended: exit %d, %d bought:\n%s", exit, len(api.Book()), said)
	}
}
