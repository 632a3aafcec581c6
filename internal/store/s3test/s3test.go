// Package s3test starts a real S3 server for tests: versitygw, built from the module beside this one
// (internal/s3server). It listens on loopback only and ends with the test. Where it cannot be built or started, the
// test fails; it is never skipped, because what would be left proves nothing.
package s3test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/gofrs/flock"
)

// A Server is a running S3 server with one bucket.
type Server struct {
	Endpoint  string // http://127.0.0.1:PORT
	AccessKey string
	SecretKey string
	Region    string
	Bucket    string
	Dir       string // holds the bucket as a folder

	trusted *x509.CertPool // nil for plain HTTP
}

// Start starts a server with plain HTTP.
func Start(tb testing.TB) *Server {
	tb.Helper()
	return start(tb, nil)
}

// StartTLS starts a server with https; [Server.Config] trusts its certificate.
func StartTLS(tb testing.TB) *Server {
	tb.Helper()
	// httptest has a certificate for 127.0.0.1 and its key.
	donor := httptest.NewTLSServer(nil)
	defer donor.Close()
	return start(tb, donor)
}

func start(tb testing.TB, donor *httptest.Server) *Server {
	tb.Helper()
	binary, err := build()
	if err != nil {
		tb.Fatalf("s3test: build the S3 server: %v", err)
	}
	s := &Server{AccessKey: "K" + rand.Text(), SecretKey: rand.Text(), Region: "us-east-1", Bucket: "assets", Dir: tb.TempDir()}
	args := []string{"-root", s.Dir}
	if donor != nil {
		s.trusted = x509.NewCertPool()
		s.trusted.AddCert(donor.Certificate())
		pair, err := writePair(tb.TempDir(), donor)
		if err != nil {
			tb.Fatalf("s3test: %v", err)
		}
		args = append(args, pair...)
	}
	if err := s.run(tb, binary, args); err != nil {
		tb.Fatalf("s3test: start the S3 server: %v", err)
	}
	s.CreateBucket(tb, s.Bucket)
	return s
}

// run starts the process and waits for its first line, which is its address.
func (s *Server) run(tb testing.TB, binary string, args []string) error {
	cmd := exec.Command(binary, args...)
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+s.AccessKey, "ROOT_SECRET_KEY="+s.SecretKey, "AWS_REGION="+s.Region)
	var log bytes.Buffer
	cmd.Stderr = &log
	stdin, err := cmd.StdinPipe() // the server ends when this is closed, by whatever means this process goes away
	if err != nil {
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	tb.Cleanup(func() {
		stdin.Close()
		cmd.Process.Kill()
		cmd.Wait()
		if tb.Failed() && log.Len() > 0 {
			tb.Logf("the S3 server said:\n%s", log.String())
		}
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		cmd.Wait()
		return fmt.Errorf("%w\n%s", err, log.String())
	}
	s.Endpoint = strings.TrimSpace(line)
	return nil
}

// Config is how to reach the server, for the SDK.
func (s *Server) Config(context.Context) (aws.Config, error) {
	client := awshttp.NewBuildableClient()
	if s.trusted != nil {
		client = client.WithTransportOptions(func(t *http.Transport) { t.TLSClientConfig.RootCAs = s.trusted })
	}
	return aws.Config{
		Region:       s.Region,
		BaseEndpoint: &s.Endpoint,
		HTTPClient:   client,
		Credentials:  credentials.NewStaticCredentialsProvider(s.AccessKey, s.SecretKey, ""),
	}, nil
}

// Client is the SDK's own client, for what a test wants to see or do beside the code it tests. Its connections are
// closed after each request.
func (s *Server) Client() *s3.Client {
	cfg, _ := s.Config(context.Background())
	cfg.HTTPClient = cfg.HTTPClient.(*awshttp.BuildableClient).WithTransportOptions(func(t *http.Transport) { t.DisableKeepAlives = true })
	return s3.NewFromConfig(cfg, func(o *s3.Options) { o.UsePathStyle = true })
}

// CreateBucket makes another bucket.
func (s *Server) CreateBucket(tb testing.TB, name string) {
	tb.Helper()
	if _, err := s.Client().CreateBucket(context.Background(), &s3.CreateBucketInput{Bucket: aws.String(name)}); err != nil {
		tb.Fatalf("s3test: create bucket %s: %v", name, err)
	}
}

// Env is the environment that makes a child process reach the server, and nothing of the developer's own.
func (s *Server) Env() []string {
	return []string{
		"AWS_ENDPOINT_URL_S3=" + s.Endpoint,
		"AWS_ACCESS_KEY_ID=" + s.AccessKey,
		"AWS_SECRET_ACCESS_KEY=" + s.SecretKey,
		"AWS_SESSION_TOKEN=",
		"AWS_PROFILE=",
		"AWS_REGION=" + s.Region,
		"AWS_CONFIG_FILE=" + os.DevNull,
		"AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull,
		"AWS_EC2_METADATA_DISABLED=true",
	}
}

// URI is the address of a prefix in the bucket.
func (s *Server) URI(prefix string) string { return "s3://" + s.Bucket + "/" + prefix }

// build returns the server's binary. It is built once for each version of its sources, whichever test process comes
// first; the others wait for it.
var build = sync.OnceValues(func() (string, error) {
	_, here, _, ok := runtime.Caller(0)
	if !ok || !filepath.IsAbs(here) {
		return "", fmt.Errorf("the sources are not where they were compiled (built with -trimpath?)")
	}
	module := filepath.Join(filepath.Dir(here), "..", "..", "s3server")
	sum := sha256.New()
	fmt.Fprintln(sum, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	for _, name := range []string{"main.go", "go.mod", "go.sum"} {
		data, err := os.ReadFile(filepath.Join(module, name))
		if err != nil {
			return "", err
		}
		sum.Write(data)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	dir := filepath.Join(cache, "dailies-s3server")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "s3server-"+hex.EncodeToString(sum.Sum(nil))[:16])
	if runtime.GOOS == "windows" {
		binary += ".exe"
	}
	lock := flock.New(filepath.Join(dir, "build.lock"))
	if err := lock.Lock(); err != nil {
		return "", err
	}
	defer lock.Unlock()
	if _, err := os.Stat(binary); err == nil {
		return binary, nil
	}
	fresh := binary + ".new"
	cmd := exec.Command("go", "build", "-C", module, "-o", fresh, ".")
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return binary, os.Rename(fresh, binary)
})

// writePair returns the server's flags for a certificate and its key.
func writePair(dir string, donor *httptest.Server) ([]string, error) {
	pair := donor.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		return nil, err
	}
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if err := os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}), 0o600); err != nil {
		return nil, err
	}
	return []string{"-cert", certFile, "-key", keyFile}, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600)
}
