package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"dailies/internal/catalog"
	"dailies/internal/ledger"
	"dailies/internal/manifest"
	"dailies/internal/store"
	"dailies/pipeline"
)

// BenchmarkScale shows how the commands grow with the batch: what each takes, and its memory, a thousandth of the
// largest batch at a time. Plan and run are of a batch that is delivered, so that they do everything but buy.
//
//	go test -run '^$' -bench Scale -benchtime 1x ./internal/e2e
func BenchmarkScale(b *testing.B) {
	for _, items := range []int{1_000, 10_000, 100_000} {
		path := manifestOf(b, items)
		measured := func(name, most string, s *studio, env []string, args ...string) {
			b.Run(fmt.Sprint(items, "/", name), func(b *testing.B) {
				var used usage
				for b.Loop() {
					used.add(spend(b, s.ours(b, env, args...)))
				}
				b.ReportMetric(seconds(used.wall, b.N), "s"+most)
				b.ReportMetric(seconds(used.cpu, b.N), "CPU-s")
				b.ReportMetric(used.peak, "peak-MiB(≤300)")
				b.ReportMetric(used.cpu.Seconds()*1e6/float64(items*b.N), "CPU-µs/item")
			})
		}
		s := openStudio(b, 1)
		measured("validate", "(≤3)", s, nil, "validate", path)

		out := filepath.Join(b.TempDir(), "out")
		if err := s.deliverToFolder(path, out); err != nil {
			b.Fatal(err)
		}
		measured("plan/folder", "(≤10)", s, nil, "plan", path, "--output", out)
		measured("run-reusing-all/folder", "", s, nil, "run", path, "--output", out, "--yes", "--progress", "none")

		if items > 10_000 {
			continue // two requests an item to set it up
		}
		to := places(b)[1]
		bucket, _ := to.next()
		if err := s.deliverToBucket(b.Context(), path, bucket, false); err != nil {
			b.Fatal(err)
		}
		measured("plan/s3/without-index", "", s, to.env, "plan", path, "--output", bucket)
		bucket, _ = to.next()
		if err := s.deliverToBucket(b.Context(), path, bucket, true); err != nil {
			b.Fatal(err)
		}
		measured("plan/s3", "", s, to.env, "plan", path, "--output", bucket)
		measured("run-reusing-all/s3", "", s, to.env, "run", path, "--output", bucket, "--yes", "--progress", "none")
	}
}

func (s *studio) realm() pipeline.Realm {
	return pipeline.Realm{BaseURL: s.base, Project: studioProject}
}

// delivered is the record of an item that was delivered as one byte.
func (s *studio) delivered(it *pipeline.Item, version string) pipeline.Record {
	at, price := time.Now().UTC().Add(-time.Hour), pipeline.CU(0)
	key := it.ID + ".png"
	return pipeline.Record{Schema: pipeline.RecordSchema, Realm: s.realm(), ID: it.ID, State: pipeline.Stored, Fingerprint: it.Fingerprint, Model: it.Model,
		Payload: pipeline.Canonical(it.Payload), RunID: "20260101T000000Z-abcdef", Attempts: 1, IntendedAt: at, JobID: "job_" + it.ID, SubmittedAt: at,
		FinishedAt: at.Add(8 * time.Second), DeliveredAt: at.Add(9 * time.Second), Quoted: &price, Cost: &price, AssetIDs: []string{"asset_" + it.ID},
		Outputs: []pipeline.Output{{N: 1, AssetID: "asset_" + it.ID, URI: key, Key: key, Bytes: 1, SHA256: strings.Repeat("ab", 32), MIME: "image/png",
			Kind: "image", Width: 1024, Height: 1024, Version: version}}}
}

// deliverToFolder leaves what a run leaves, without its care.
func (s *studio) deliverToFolder(path, out string) error {
	m, err := manifest.Load(path, manifest.Options{Contracts: catalog.Snapshot()})
	if err != nil {
		return err
	}
	items := filepath.Join(out, ".dailies", "items")
	if err := os.MkdirAll(items, 0o755); err != nil {
		return err
	}
	write := func(name string, v any) error {
		data, err := json.MarshalIndent(v, "", "  ")
		if err != nil {
			return err
		}
		return os.WriteFile(name, data, 0o644)
	}
	if err := write(filepath.Join(out, ".dailies", "realm.json"), map[string]any{"schema": "dailies.realm/v1", "realm": s.realm()}); err != nil {
		return err
	}
	for _, it := range m.Items {
		if err := os.WriteFile(filepath.Join(out, it.ID+".png"), []byte("x"), 0o644); err != nil {
			return err
		}
		if err := write(filepath.Join(items, it.ID+".json"), s.delivered(it, "")); err != nil {
			return err
		}
	}
	return nil
}

// deliverToBucket does the same through the store and the ledger themselves.
func (s *studio) deliverToBucket(ctx context.Context, path, output string, index bool) error {
	m, err := manifest.Load(path, manifest.Options{Contracts: catalog.Snapshot()})
	if err != nil {
		return err
	}
	dest, err := store.Open(ctx, output, store.Options{})
	if err != nil {
		return err
	}
	defer dest.Close()
	book := ledger.Open(store.Sub(dest, ".dailies"), s.realm())
	var group errgroup.Group
	group.SetLimit(32)
	for _, it := range m.Items {
		group.Go(func() error {
			o, err := dest.Put(ctx, it.ID+".png", strings.NewReader("x"), 1, pipeline.ObjectMeta{ContentType: "image/png"})
			if err != nil {
				return err
			}
			_, err = book.Save(ctx, s.delivered(it, o.Version), "")
			return err
		})
	}
	if err := group.Wait(); err != nil || !index {
		return err
	}
	return book.WriteIndex(ctx)
}

// BenchmarkStart is how long the program takes to say something that needs nothing.
func BenchmarkStart(b *testing.B) {
	info, err := os.Stat(dailies)
	if err != nil {
		b.Fatal(err)
	}
	s := openStudio(b, 1)
	for _, arg := range []string{"version", "--help"} {
		b.Run(strings.TrimLeft(arg, "-"), func(b *testing.B) {
			var used usage
			for b.Loop() {
				used.add(spend(b, s.ours(b, nil, arg)))
			}
			b.ReportMetric(1000*seconds(used.wall, b.N), "ms(≤30)")
			b.ReportMetric(1000*seconds(used.cpu, b.N), "CPU-ms")
			b.ReportMetric(float64(info.Size())/mib, "binary-MiB")
		})
	}
}
