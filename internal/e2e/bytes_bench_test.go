package e2e

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"

	"dailies/internal/store/s3test"
)

const mib = 1 << 20

// BenchmarkBytes streams assets from the CDN to a folder and to a real S3 server, with a digest taken on the way: the
// real binary, run by run beside a bare Go program that does that and nothing else. The binary's time counts from the
// first byte asked for; its memory and CPU are those of the whole process.
//
//	go test -run '^$' -bench Bytes -benchtime 3x ./internal/e2e
func BenchmarkBytes(b *testing.B) {
	for _, load := range []struct {
		name    string
		assets  int
		size    int64
		atOnce  int
		cut     int64
		allowed string // peak memory
	}{
		{"1x1GiB", 1, 1024 * mib, 1, 0, "48"},
		{"500x4MiB", 500, 4 * mib, 16, 0, "64"},
		{"1x1GiB-cut-every-64MiB", 1, 1024 * mib, 1, 64 * mib, "48"},
	} {
		b.Run(load.name, func(b *testing.B) {
			for _, to := range places(b) {
				b.Run(to.name, func(b *testing.B) {
					all := int64(load.assets) * load.size
					b.SetBytes(all)
					s := openStudio(b, load.size)
					path := manifestOf(b, load.assets)
					var own, plain usage
					var fetched int64
					for b.Loop() {
						output, clear := to.next()
						links := s.make(b, path, output)
						if load.cut == 0 { // the bare program does not resume
							theirs, clearTheirs := to.next()
							cmd := bare(b, "copy", fmt.Sprint(load.atOnce))
							cmd.Stdin = strings.NewReader(copies(b, to, links, theirs))
							plain.add(spend(b, cmd))
							clearTheirs()
						}
						s.cut = load.cut
						s.first.Store(0)
						s.served.Store(0)
						u := spend(b, s.ours(b, to.env, "run", path, "--output", output, "--yes", "--progress", "none", "--concurrency", fmt.Sprint(load.atOnce),
							"--requests-per-minute", "1000000"))
						u.wall = u.ended.Sub(time.Unix(0, s.first.Load()))
						own.add(u)
						fetched += s.served.Load()
						s.cut = 0
						clear()
					}
					b.ReportMetric(float64(all)/mib/seconds(own.wall, b.N), "MiB/s")
					b.ReportMetric(seconds(own.cpu, b.N), "CPU-s")
					b.ReportMetric(own.peak, "peak-MiB(≤"+load.allowed+")")
					b.ReportMetric(float64(fetched)/float64(all)/float64(b.N), "fetched-ratio(≤1.1)")
					if load.cut == 0 {
						b.ReportMetric(plain.wall.Seconds()/own.wall.Seconds(), "rate-vs-bare(≥0.9)")
						b.ReportMetric(plain.cpu.Seconds()/own.cpu.Seconds(), "CPU-vs-bare")
						b.ReportMetric(plain.peak, "bare-peak-MiB")
					}
				})
			}
		})
	}
}

// A copyJob is one line of what the bare program is to do.
type copyJob struct{ From, To string } // To is a signed URL to PUT to, or a file

func copies(b *testing.B, to place, links []string, output string) string {
	b.Helper()
	var text strings.Builder
	lines := json.NewEncoder(&text)
	for i, link := range links {
		job := copyJob{link, filepath.Join(output, fmt.Sprint(i))}
		if to.s3 != nil {
			job.To = signedPut(b, to.s3, strings.TrimPrefix(output, to.s3.URI(""))+fmt.Sprint("/", i))
		}
		lines.Encode(job)
	}
	if to.s3 == nil {
		if err := os.MkdirAll(output, 0o755); err != nil {
			b.Fatal(err)
		}
	}
	return text.String()
}

func signedPut(b *testing.B, server *s3test.Server, key string) string {
	b.Helper()
	signed, err := s3.NewPresignClient(server.Client()).PresignPutObject(b.Context(), &s3.PutObjectInput{Bucket: &server.Bucket, Key: aws.String(key)})
	if err != nil {
		b.Fatal(err)
	}
	return signed.URL
}

// bareCopy is the least that moves assets: a GET, a digest on the way, a plain PUT or a durable file.
func bareCopy(in io.Reader, atOnce int) error {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: atOnce, DisableCompression: true, WriteBufferSize: 64 << 10}}
	var group errgroup.Group
	group.SetLimit(atOnce)
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var job copyJob
		if err := json.Unmarshal(lines.Bytes(), &job); err != nil {
			return err
		}
		group.Go(func() error {
			resp, err := client.Get(job.From)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			sum := sha256.New()
			body := io.TeeReader(resp.Body, sum)
			if strings.HasPrefix(job.To, "http") {
				return barePut(client, job.To, body, resp.ContentLength)
			}
			return bareFile(job.To, body)
		})
	}
	return errors.Join(group.Wait(), lines.Err())
}

func barePut(client *http.Client, to string, body io.Reader, size int64) error {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPut, to, io.NopCloser(body))
	if err != nil {
		return err
	}
	req.ContentLength = size
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		return fmt.Errorf("PUT: %s", resp.Status)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}

func bareFile(to string, body io.Reader) error {
	f, err := os.Create(to + ".part")
	if err != nil {
		return err
	}
	_, err = io.Copy(f, body)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(to+".part", to)
}
