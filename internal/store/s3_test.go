package store_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"dailies/internal/store"
	"dailies/internal/store/s3test"
	"dailies/pipeline"
)

func TestObjectsSayWhatTheyAre(t *testing.T) {
	server := s3test.Start(t)
	for name, o := range map[string]store.Options{"one": {}, "parts": {SinglePutLimit: 1}} {
		o.AWS = server.Config
		s := open(t, server.URI(name), o)
		data := pattern(6 << 20)
		_, err := s.Put(t.Context(), "x.mp4", stream(data), int64(len(data)), pipeline.ObjectMeta{ContentType: "video/mp4",
			Values: map[string]string{"item": "dragon-flyover", "model": "größe 水"}})
		if err != nil {
			t.Fatal(err)
		}
		head, err := server.Client().HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &server.Bucket, Key: aws.String(name + "/x.mp4"), ChecksumMode: "ENABLED"})
		if err != nil {
			t.Fatal(err)
		}
		if got := aws.ToString(head.ContentType); got != "video/mp4" {
			t.Errorf("%s: content type %q", name, got)
		}
		want := map[string]string{"item": "dragon-flyover", "model": "=?utf-8?q?gr=C3=B6=C3=9Fe_=E6=B0=B4?="}
		if !maps.Equal(head.Metadata, want) {
			t.Errorf("%s: metadata %q, want %q", name, head.Metadata, want)
		}
		if head.ChecksumCRC32 == nil {
			t.Errorf("%s: the server was given no checksum", name)
		}
		if err := s.Move(t.Context(), "x.mp4", "kept/x.mp4"); err != nil {
			t.Fatal(err)
		}
		moved, err := server.Client().HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &server.Bucket, Key: aws.String(name + "/kept/x.mp4")})
		if err != nil || aws.ToString(moved.ContentType) != "video/mp4" || !maps.Equal(moved.Metadata, want) {
			t.Errorf("%s: moved, it is %q with %q, %v", name, aws.ToString(moved.ContentType), moved.Metadata, err)
		}
	}
}

func TestFailedUploadsLeaveNoParts(t *testing.T) {
	server := s3test.Start(t)
	s := open(t, server.URI(""), store.Options{AWS: server.Config})
	ctx, cancel := context.WithCancel(t.Context())
	body := &hook{Reader: stream(pattern(20 << 20)), at: 12 << 20, do: cancel}
	if _, err := s.Put(ctx, "x", body, -1, pipeline.ObjectMeta{}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	out, err := server.Client().ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: &server.Bucket})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Uploads) != 0 {
		t.Errorf("%d unfinished uploads are left to be paid for", len(out.Uploads))
	}
}

// TestEnvironment reaches the server as a user would tell the program to: through the environment alone.
func TestEnvironment(t *testing.T) {
	server := s3test.Start(t)
	for _, kv := range server.Env() {
		name, value, _ := strings.Cut(kv, "=")
		t.Setenv(name, value)
	}
	t.Setenv("AWS_REGION", "")
	s := open(t, server.URI("nightly"), store.Options{})
	if err := s.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	put(t, s, "x", "1")
	if got, want := s.URI("x"), "s3://assets/nightly/x"; got != want {
		t.Errorf("URI %q, want %q", got, want)
	}
}

func TestRefusalsAreExplained(t *testing.T) {
	server := s3test.Start(t)
	config := func(change func(*aws.Config)) func(context.Context) (aws.Config, error) {
		return func(ctx context.Context) (aws.Config, error) {
			cfg, err := server.Config(ctx)
			change(&cfg)
			return cfg, err
		}
	}
	static := func(key, secret string) func(*aws.Config) {
		return func(c *aws.Config) { c.Credentials = credentials.NewStaticCredentialsProvider(key, secret, "") }
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	for name, c := range map[string]struct {
		uri    string
		change func(*aws.Config)
		code   pipeline.Code
		says   []string
	}{
		"no such bucket": {"s3://nowhere/x", func(*aws.Config) {}, pipeline.CodeDestinationDenied, []string{"nowhere", "no such bucket", server.Endpoint}},
		"unknown key":    {server.URI("x"), static("AKIDUNKNOWN", server.SecretKey), pipeline.CodeDestinationDenied, []string{"access key is unknown", "AWS_ACCESS_KEY_ID"}},
		"wrong secret":   {server.URI("x"), static(server.AccessKey, "not the secret"), pipeline.CodeDestinationDenied, []string{"secret key is wrong", "AWS_SECRET_ACCESS_KEY"}},
		"no credentials": {server.URI("x"), func(c *aws.Config) { c.Credentials = nil }, pipeline.CodeDestinationDenied, []string{"no AWS credentials", "AWS_PROFILE"}},
		"not reachable":  {server.URI("x"), func(c *aws.Config) { c.BaseEndpoint = aws.String("http://" + closed.Addr().String()) }, pipeline.CodeDestination, []string{"refused"}},
		"not S3":         {server.URI("x"), func(c *aws.Config) { c.BaseEndpoint = aws.String(answering(t, 200, nil, "<html>hello</html>")) }, pipeline.CodeDestination, nil},
		"forbidden": {server.URI("x"), func(c *aws.Config) {
			c.BaseEndpoint = aws.String(answering(t, 403, nil, s3error("AccessDenied", "no")))
		},
			pipeline.CodeDestinationDenied, []string{"access denied", "s3:PutObject"}},
		"forbidden by a proxy": {server.URI("x"), func(c *aws.Config) { c.BaseEndpoint = aws.String(answering(t, 403, nil, "<html>")) },
			pipeline.CodeDestinationDenied, []string{"access denied"}},
		"other region": {server.URI("x"), func(c *aws.Config) {
			c.BaseEndpoint = aws.String(answering(t, 301, http.Header{"X-Amz-Bucket-Region": {"eu-west-3"}}, s3error("PermanentRedirect", "elsewhere")))
		}, pipeline.CodeDestinationDenied, []string{"eu-west-3", "AWS_REGION=eu-west-3"}},
		"expired session": {server.URI("x"), func(c *aws.Config) {
			c.BaseEndpoint = aws.String(answering(t, 400, nil, s3error("ExpiredToken", "The provided token has expired.")))
		}, pipeline.CodeDestinationDenied, []string{"session has expired", "aws sso login"}},
		"overloaded": {server.URI("x"), func(c *aws.Config) {
			c.BaseEndpoint = aws.String(answering(t, 503, http.Header{"Retry-After": {"1"}}, s3error("SlowDown", "Please reduce your request rate.")))
		}, pipeline.CodeDestination, []string{"SlowDown"}},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := store.Open(t.Context(), c.uri, store.Options{AWS: config(c.change)})
			if err == nil {
				defer s.Close()
				// Put makes one attempt, where Probe would wait before the next.
				_, err = s.Put(t.Context(), "x", strings.NewReader("x"), 1, pipeline.ObjectMeta{})
				if c.code == pipeline.CodeDestinationDenied {
					if probed := s.Probe(t.Context()); pipeline.CodeOf(probed) != c.code {
						t.Errorf("Probe says %v", probed)
					}
				}
			}
			if pipeline.CodeOf(err) != c.code {
				t.Fatalf("error %v (%s), want %s", err, pipeline.CodeOf(err), c.code)
			}
			e := pipeline.AsError(err)
			text := e.Message + "\n" + e.HintText()
			for _, s := range c.says {
				if !strings.Contains(text, s) {
					t.Errorf("%q does not say %q", text, s)
				}
			}
			for _, secret := range []string{server.AccessKey, server.SecretKey, "AKIDUNKNOWN", "not the secret", "X-Amz-", "Signature="} {
				if strings.Contains(text, secret) {
					t.Errorf("%q tells the secret %q", text, secret)
				}
			}
		})
	}
}

// TestProbeWantsConditionalWrites has a server that answers as S3 did for years: every write succeeds.
func TestProbeWantsConditionalWrites(t *testing.T) {
	server := s3test.Start(t)
	proxy := intercept(t, server, func(r *http.Request, next http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			answer := httptest.NewRecorder()
			next(answer, r)
			if answer.Code == http.StatusPreconditionFailed {
				w.Header().Set("ETag", `"as if written"`)
				return
			}
			maps.Copy(w.Header(), answer.Header())
			w.WriteHeader(answer.Code)
			w.Write(answer.Body.Bytes())
		}
	})
	s := open(t, server.URI("x"), store.Options{AWS: proxy})
	if err := s.Probe(t.Context()); pipeline.CodeOf(err) != pipeline.CodeDestinationDenied || !strings.Contains(err.Error(), "conditional writes") {
		t.Error(err)
	}
	wantKeys(t, s, "")
}

// TestLostAnswers cuts the connection after the server has done what it was asked for.
func TestLostAnswers(t *testing.T) {
	server := s3test.Start(t)
	var cut atomic.Bool
	proxy := intercept(t, server, func(r *http.Request, next http.HandlerFunc) http.HandlerFunc {
		if r.Method == http.MethodPut && cut.CompareAndSwap(true, false) {
			return func(_ http.ResponseWriter, r *http.Request) {
				next(httptest.NewRecorder(), r)
				panic(http.ErrAbortHandler)
			}
		}
		return next
	})
	s := open(t, server.URI("x"), store.Options{AWS: proxy})

	cut.Store(true)
	v1 := writeRecord(t, s, "r.json", "one", "")
	cut.Store(true)
	v2 := writeRecord(t, s, "r.json", "two", v1)
	if cut.Load() {
		t.Fatal("nothing was cut")
	}
	if _, got, err := s.ReadRecord(t.Context(), "r.json"); err != nil || got != v2 {
		t.Errorf("version %q, %v; WriteRecord said %q", got, err, v2)
	}

	cut.Store(true)
	_, err := s.Put(t.Context(), "y", strings.NewReader("y"), 1, pipeline.ObjectMeta{})
	if pipeline.CodeOf(err) != pipeline.CodeDestination {
		t.Errorf("a Put that was cut off says %v", err)
	}
	put(t, s, "y", "y") // the next attempt is as good as the first
}

// TestLostAnswerIsNotAVictory: the answer to a write that came too late was lost, too.
func TestLostAnswerIsNotAVictory(t *testing.T) {
	server := s3test.Start(t)
	var cut atomic.Bool
	proxy := intercept(t, server, func(r *http.Request, next http.HandlerFunc) http.HandlerFunc {
		if r.Method == http.MethodPut && cut.CompareAndSwap(true, false) {
			return func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
		}
		return next
	})
	s := open(t, server.URI("x"), store.Options{AWS: proxy})
	writeRecord(t, s, "r.json", "theirs", "")
	cut.Store(true)
	if _, err := s.WriteRecord(t.Context(), "r.json", []byte("ours"), ""); !errors.Is(err, pipeline.ErrConflict) {
		t.Errorf("error %v", err)
	}
}

// TestCorruptedOnTheWay changes one byte between client and server, over plain HTTP.
func TestCorruptedOnTheWay(t *testing.T) {
	server := s3test.Start(t)
	proxy := intercept(t, server, func(r *http.Request, next http.HandlerFunc) http.HandlerFunc {
		if r.Method == http.MethodPut {
			r.Body = io.NopCloser(&flip{Reader: r.Body, at: 100 << 10})
		}
		return next
	})
	for name, size := range map[string]int64{"one": 1 << 20, "unknown": -1} {
		s := open(t, server.URI(name), store.Options{AWS: proxy})
		_, err := s.Put(t.Context(), "x", stream(pattern(1<<20)), size, pipeline.ObjectMeta{})
		if pipeline.CodeOf(err) != pipeline.CodeDestination {
			t.Errorf("%s: %v", name, err)
		}
		wantKeys(t, s, "")
	}
}

// TestServerThatStops accepts the connection, and then takes or says nothing more.
func TestServerThatStops(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer l.Close()
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
		}
	})
	cfg := aws.Config{Region: "us-east-1", BaseEndpoint: aws.String("http://" + l.Addr().String()), Credentials: credentials.NewStaticCredentialsProvider("k", "s", "")}
	s := open(t, "s3://assets/x", store.Options{Patience: 100 * time.Millisecond, AWS: func(context.Context) (aws.Config, error) { return cfg, nil }})
	for name, size := range map[string]int64{"large": 64 << 20, "small": 1} {
		_, err := s.Put(t.Context(), "x", stream(make([]byte, size)), size, pipeline.ObjectMeta{})
		if e := pipeline.AsError(err); e == nil || e.Code != pipeline.CodeDestination || t.Context().Err() != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

type flip struct {
	io.Reader
	at int
}

func (f *flip) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if f.at >= 0 && f.at < n {
		p[f.at] ^= 1
	}
	f.at -= n
	return n, err
}

func TestPartBuffersAreBounded(t *testing.T) {
	server := s3test.Start(t)
	s := open(t, server.URI("x"), store.Options{AWS: server.Config, PartBuffers: 2})
	var wg sync.WaitGroup
	var reading, most atomic.Int32
	for i := range 8 {
		wg.Go(func() {
			first := true
			body := readerFunc(func(p []byte) (int, error) {
				if first {
					first = false
					n := reading.Add(1)
					for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
					}
					return copy(p, bytes.Repeat([]byte{byte(i)}, 1000)), nil
				}
				reading.Add(-1)
				return 0, io.EOF
			})
			if _, err := s.Put(t.Context(), string(rune('a'+i)), body, -1, pipeline.ObjectMeta{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if most.Load() > 2 {
		t.Errorf("%d uploads had a buffer at once, of 2", most.Load())
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestRegionIsFound(t *testing.T) {
	var asked []string
	var mu sync.Mutex
	amazon := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		_, scope, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
		asked = append(asked, r.Method+" "+r.Host+" "+strings.Split(scope+"////", "/")[2])
		if r.Method == http.MethodHead {
			w.Header().Set("X-Amz-Bucket-Region", "eu-west-3")
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		io.WriteString(w, `<ListBucketResult></ListBucketResult>`)
	}))
	defer amazon.Close()
	transport := &http.Transport{DisableKeepAlives: true}
	cfg := aws.Config{Credentials: credentials.NewStaticCredentialsProvider("k", "s", ""), HTTPClient: toward{amazon.Listener.Addr().String(), transport}}
	s := open(t, "s3://bucket/x", store.Options{AWS: func(context.Context) (aws.Config, error) { return cfg, nil }})
	for _, err := range s.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"HEAD bucket.s3.us-east-1.amazonaws.com us-east-1", "GET bucket.s3.eu-west-3.amazonaws.com eu-west-3"}
	if strings.Join(asked, "\n") != strings.Join(want, "\n") {
		t.Errorf("asked %q, want %q", asked, want)
	}
}

// toward sends every request to one address, under the name it was meant for.
type toward struct {
	address   string
	transport *http.Transport
}

func (c toward) Do(r *http.Request) (*http.Response, error) {
	r.Host, r.URL.Scheme, r.URL.Host = r.URL.Host, "http", c.address
	return c.transport.RoundTrip(r)
}

// answering is a server that always gives the same answer.
func answering(t *testing.T, status int, header http.Header, body string) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		maps.Copy(w.Header(), header)
		w.WriteHeader(status)
		io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func s3error(code, message string) string {
	return `<?xml version="1.0"?><Error><Code>` + code + `</Code><Message>` + message + `</Message></Error>`
}

// intercept puts a proxy before the server, and returns how to reach it. The request has been signed already.
func intercept(t *testing.T, server *s3test.Server, by func(*http.Request, http.HandlerFunc) http.HandlerFunc) func(context.Context) (aws.Config, error) {
	target, err := url.Parse(server.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	forward := &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target) // and keep the Host that was signed
		r.Out.Host = r.In.Host
	}}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { by(r, forward.ServeHTTP)(w, r) }))
	t.Cleanup(func() {
		proxy.Close()
		transport.CloseIdleConnections()
	})
	return func(ctx context.Context) (aws.Config, error) {
		cfg, err := server.Config(ctx)
		cfg.BaseEndpoint = &proxy.URL
		return cfg, err
	}
}
