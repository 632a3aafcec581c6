package e2e

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"
)

// BenchmarkOwnCost makes many small items on an API that takes no time and sets no limits, so that what is left is what
// the program itself costs. Beside it runs a bare loop that makes the same requests (a submit an item, listings and
// look-ups of 200, a download) and the same durable writes (the asset, and four records an item), and nothing else.
//
//	go test -run '^$' -bench OwnCost -benchtime 1x ./internal/e2e
func BenchmarkOwnCost(b *testing.B) {
	for _, items := range []int{1_000, 10_000} {
		b.Run(fmt.Sprint(items), func(b *testing.B) {
			var own, plain usage
			for b.Loop() {
				s := openStudio(b, 16<<10)
				dir := b.TempDir()
				plain.add(spend(b, bare(b, "make", s.base, filepath.Join(dir, "bare"), fmt.Sprint(items))))
				s = openStudio(b, 16<<10)
				own.add(spend(b, s.ours(b, nil, "run", manifestOf(b, items), "--output", filepath.Join(dir, "own"), "--yes", "--progress", "none",
					"--requests-per-minute", "100000000")))
			}
			each := func(u usage) float64 { return float64(u.cpu.Microseconds()) / float64(items*b.N) }
			b.ReportMetric(float64(items*b.N)/own.wall.Seconds(), "items/s")
			b.ReportMetric(plain.wall.Seconds()/own.wall.Seconds(), "rate-vs-bare(≥0.8)")
			b.ReportMetric(each(own), "CPU-µs/item")
			b.ReportMetric(each(plain), "bare-CPU-µs/item")
			b.ReportMetric(own.peak, "peak-MiB")
		})
	}
}

const bareAtOnce = 200 // a listing's worth

// bareMake is the loop.
func bareMake(base, dir, items string) error {
	n, err := strconv.Atoi(items)
	if err != nil {
		return err
	}
	for _, sub := range []string{"", "records"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return err
		}
	}
	l := &bareLoop{base: base, dir: dir, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: bareAtOnce}}}
	for first := 0; first < n; first += bareAtOnce {
		if err := l.round(first, min(n, first+bareAtOnce)); err != nil {
			return err
		}
	}
	return nil
}

type bareLoop struct {
	base, dir string
	client    *http.Client
}

// round makes the items of one listing.
func (l *bareLoop) round(from, to int) error {
	jobs := make([]string, to-from)
	err := l.all(from, to, func(i int) error {
		if err := l.record(i, "intended"); err != nil {
			return err
		}
		var answer struct{ Job struct{ JobID string } }
		err := l.ask(http.MethodPost, "/generate/custom/model_imagen4-ultra", map[string]any{"prompt": "a stone"}, &answer)
		jobs[i-from] = answer.Job.JobID
		return errors.Join(err, l.record(i, "submitted"))
	})
	if err != nil {
		return err
	}
	var listing struct {
		Jobs []struct {
			JobID    string
			Metadata struct{ AssetIDs []string }
		}
	}
	if err := l.ask(http.MethodGet, "/jobs?types=custom&pageSize=200", nil, &listing); err != nil {
		return err
	}
	assets := map[string]string{}
	var ids []string
	for _, job := range listing.Jobs {
		assets[job.JobID] = job.Metadata.AssetIDs[0]
		ids = append(ids, job.Metadata.AssetIDs[0])
	}
	var found struct{ Assets []struct{ ID, URL string } }
	if err := l.ask(http.MethodPost, "/assets/get-bulk", map[string]any{"assetIds": ids}, &found); err != nil {
		return err
	}
	links := map[string]string{}
	for _, a := range found.Assets {
		links[a.ID] = a.URL
	}
	return l.all(from, to, func(i int) error {
		if err := l.record(i, "succeeded"); err != nil {
			return err
		}
		resp, err := l.client.Get(links[assets[jobs[i-from]]])
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		sum := sha256.New()
		if err := l.write(fmt.Sprint(i, ".png"), io.TeeReader(resp.Body, sum)); err != nil {
			return err
		}
		return l.record(i, fmt.Sprintf("delivered %x", sum.Sum(nil)))
	})
}

func (l *bareLoop) all(from, to int, do func(int) error) error {
	var group errgroup.Group
	for i := from; i < to; i++ {
		group.Go(func() error { return do(i) })
	}
	return group.Wait()
}

func (l *bareLoop) ask(method, path string, body, into any) error {
	var sent io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return err
		}
		sent = bytes.NewReader(data)
	}
	req, err := http.NewRequest(method, l.base+path, sent)
	if err != nil {
		return err
	}
	req.SetBasicAuth("key", "secret")
	resp, err := l.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s", method, path, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

// record writes as much as a record of the ledger is.
func (l *bareLoop) record(i int, state string) error {
	return l.write(fmt.Sprintf("records/%d.json", i), bytes.NewReader(append(bytes.Repeat([]byte("-"), 900), state...)))
}

var bareBuffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// write makes a file that is whole or not there, and survives the machine's end.
func (l *bareLoop) write(name string, from io.Reader) error {
	tmp, to := filepath.Join(l.dir, rand.Text()), filepath.Join(l.dir, name)
	f, err := os.Create(tmp)
	if err != nil {
		return err
	}
	buf := bareBuffers.Get().(*[32 << 10]byte)
	defer bareBuffers.Put(buf)
	_, err = io.CopyBuffer(struct{ io.Writer }{f}, from, buf[:])
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp, to); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(to))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
