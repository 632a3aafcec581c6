package ledger_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dailies/internal/ledger"
)

// BenchmarkLoad reads a ledger of delivered items from a folder.
//
//	go test -run '^$' -bench . ./internal/ledger
func BenchmarkLoad(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			dir := b.TempDir()
			l := ledger.Open(folder(b, dir), live)
			save(b, l, delivered("item-0"), "")
			items := filepath.Join(dir, ".dailies", "items")
			one, err := os.ReadFile(filepath.Join(items, "item-0.json"))
			if err != nil {
				b.Fatal(err)
			}
			for i := 1; i < n; i++ {
				id := fmt.Sprintf("item-%d", i)
				if err := os.WriteFile(filepath.Join(items, id+".json"), []byte(strings.ReplaceAll(string(one), "item-0", id)), 0o666); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				if entries, err := l.Load(b.Context()); err != nil || len(entries) != n {
					b.Fatalf("%d entries, %v", len(entries), err)
				}
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// BenchmarkSave writes records, each durable before the next.
func BenchmarkSave(b *testing.B) {
	l := ledger.Open(folder(b, b.TempDir()), live)
	r, version := delivered("hero"), ""
	for b.Loop() {
		r.Attempts++
		version = save(b, l, r, version)
	}
}
