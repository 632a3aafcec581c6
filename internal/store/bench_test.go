package store_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"

	"dailies/internal/store"
	"dailies/internal/store/s3test"
	"dailies/pipeline"
)

// BenchmarkPut stores objects from a process of their own, whose peak memory is the figure that matters. The server
// shares the machine's cores, so the rate is a lower bound.
//
//	go test -run '^$' -bench Put ./internal/store
func BenchmarkPut(b *testing.B) {
	plain, secure := s3test.Start(b), s3test.StartTLS(b)
	const mib = 1 << 20
	for _, load := range []struct {
		name            string
		objects, atOnce int
		size            int64
		unknown         bool
	}{
		{"1x1GiB", 1, 1, 1024 * mib, false},
		{"1x1GiB-size-unknown", 1, 1, 1024 * mib, true},
		{"500x4MiB-16-at-once", 500, 16, 4 * mib, false},
		{"60x16MiB-16-at-once-size-unknown", 60, 16, 16 * mib, true},
	} {
		for name, to := range map[string]func(run string) (uri string, env []string){
			"folder": func(string) (string, []string) { return b.TempDir(), nil },
			"s3":     func(run string) (string, []string) { return plain.URI(run), plain.Env() },
			"s3-tls": func(run string) (string, []string) { return secure.URI(run), secure.Env() },
		} {
			run := 0
			b.Run(load.name+"/"+name, func(b *testing.B) {
				b.SetBytes(int64(load.objects) * load.size)
				var peak, cpu float64
				for b.Loop() {
					run++ // a key that is replaced costs the server twice as much as a fresh one
					uri, env := to(fmt.Sprint(load.name, "-", run))
					size := load.size
					if load.unknown {
						size = -size
					}
					cmd := exec.Command(os.Args[0])
					cmd.Env = append(append(os.Environ(), "CHILD_PUT="+uri, fmt.Sprint("CHILD_LOAD=", load.objects, " ", load.atOnce, " ", size)), env...)
					out, err := cmd.CombinedOutput()
					if err != nil {
						b.Fatalf("%v\n%s", err, out)
					}
					kib, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
					if err != nil {
						b.Fatalf("%v\n%s", err, out)
					}
					peak = max(peak, kib/1024)
					cpu += (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
				}
				b.ReportMetric(peak, "peak-RSS-MiB")
				b.ReportMetric(cpu/float64(b.N), "client-CPU-s/op")
			})
		}
	}
}

// putChild is what TestMain becomes in such a process: it stores what it was told to, and prints the most memory it
// ever had, in KiB.
func putChild(uri, load string) error {
	var objects, atOnce int
	var size int64
	if _, err := fmt.Sscan(load, &objects, &atOnce, &size); err != nil {
		return err
	}
	announced := size
	if size < 0 {
		size, announced = -size, -1
	}
	ctx := context.Background()
	s, err := store.Open(ctx, uri, store.Options{AWS: trusting})
	if err != nil {
		return err
	}
	defer s.Close()
	var wg sync.WaitGroup
	errs := make([]error, atOnce)
	for worker := range atOnce {
		wg.Go(func() {
			for i := worker; i < objects && errs[worker] == nil; i += atOnce {
				_, errs[worker] = s.Put(ctx, fmt.Sprintf("%d.bin", i), io.LimitReader(zeros{}, size), announced, pipeline.ObjectMeta{})
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	fmt.Println(strings.Fields(after)[0])
	return nil
}

// trusting is the default chain, for a server whose certificate nobody knows.
func trusting(ctx context.Context) (aws.Config, error) {
	client := awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) { t.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} })
	return config.LoadDefaultConfig(ctx, config.WithHTTPClient(client))
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
