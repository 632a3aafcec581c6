package scenario

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"dailies/pipeline"
)

// The payload's bytes are the caller's: a fingerprint and a ledger record stand for exactly these.
const payload = "{ \"prompt\" : \"<rain> & snow\",\n \"seed\":12345678901234567890, \"cfgScale\": 0.50 }"

func TestSubmitSendsThePayloadAsGiven(t *testing.T) {
	var got string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got = string(b)
		io.WriteString(w, `{"job":{"jobId":"job_1"}}`)
	}))
	if _, err := clientOf(t, srv).Submit(t.Context(), "model_x", []byte(payload), nil); err != nil {
		t.Fatal(err)
	}
	if got != payload {
		t.Errorf("sent %q", got)
	}
}

// A wire serves raw connections: each is handed to handle after one whole request has been read (and counted).
func wire(t *testing.T, handle func(n int32, c net.Conn)) (c *Client, requests *atomic.Int32) {
	t.Helper()
	requests = new(atomic.Int32)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		handle(requests.Add(1), conn)
	}))
	return clientOf(t, srv), requests
}

func reset(c net.Conn) { c.(*net.TCPConn).SetLinger(0) }

func TestSubmitLostOnTheWayBack(t *testing.T) {
	for name, handle := range map[string]func(int32, net.Conn){
		"reset":       func(_ int32, c net.Conn) { reset(c) },
		"closed":      func(int32, net.Conn) {},
		"not http":    func(_ int32, c net.Conn) { io.WriteString(c, "220 mail ready\r\n") },
		"cut headers": func(_ int32, c net.Conn) { io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Le") },
		"cut body": func(_ int32, c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n{\"job\":{\"jobId\":\"job_1\"")
		},
		"cut chunks": func(_ int32, c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"job")
		},
		"no body": func(_ int32, c net.Conn) { io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") },
		"redirect": func(_ int32, c net.Conn) {
			io.WriteString(c, "HTTP/1.1 307 Temporary Redirect\r\nLocation: /v1/elsewhere\r\nContent-Length: 0\r\n\r\n")
		},
		"timeout": func(_ int32, c net.Conn) {
			io.WriteString(c, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 2\r\n\r\n{}")
		},
		"bad id": func(_ int32, c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 32\r\n\r\n{\"job\":{\"jobId\":\"job_1/../../x\"}}")
		},
		"gateway page": func(_ int32, c net.Conn) {
			io.WriteString(c, "HTTP/1.1 504 Gateway Timeout\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>")
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, requests := wire(t, handle)
			_, err := c.Submit(t.Context(), "model_x", []byte(payload), nil)
			checkError(t, err, pipeline.Error{Code: pipeline.CodeSubmitLost, Message: "submit to model_x: the request left and no receipt came back"})
			if n := requests.Load(); n != 1 {
				t.Errorf("sent %d times", n)
			}
		})
	}
}

// A connection kept alive that dies under a request is what net/http replays requests on.
func TestSubmitIsNeverReplayed(t *testing.T) {
	var paid atomic.Int32
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			io.WriteString(w, `{"model":{"id":"model_x"}}`) // leaves a connection behind that can be reused
			return
		}
		io.Copy(io.Discard, r.Body)
		paid.Add(1)
		conn, _, _ := http.NewResponseController(w).Hijack()
		reset(conn)
		conn.Close()
	}))
	srv.Start()
	c := clientOf(t, srv)
	for i := range 20 {
		if _, err := c.Model(t.Context(), "model_x"); err != nil {
			t.Fatal(err)
		}
		_, err := c.Submit(t.Context(), "model_x", []byte(payload), nil)
		checkError(t, err, pipeline.Error{Code: pipeline.CodeSubmitLost})
		if n := int(paid.Load()); n != i+1 {
			t.Fatalf("%d submits arrived of %d made", n, i+1)
		}
	}
}

// Over TLS with HTTP/2 on offer too, submits go over HTTP/1.1, one at a time on a connection that only submits use; the
// rest share one.
func TestSubmitsHaveConnectionsOfTheirOwn(t *testing.T) {
	var mu sync.Mutex
	conns := make(map[string][]string)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		conns[r.Method] = append(conns[r.Method], r.Proto+" "+r.RemoteAddr)
		mu.Unlock()
		io.WriteString(w, `{"job":{"jobId":"job_1"},"model":{"id":"model_x"}}`)
	}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	tr := srv.Client().Transport.(*http.Transport)
	c, err := New(Config{BaseURL: srv.URL, Key: testKey, Secret: testSecret, Transport: tr})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 5 {
		if _, err := c.Model(t.Context(), "model_x"); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Submit(t.Context(), "model_x", []byte(payload), nil); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(conns["POST"])
	if each := slices.Compact(conns["POST"]); len(each) != 1 || !strings.HasPrefix(each[0], "HTTP/1.1 ") {
		t.Errorf("submits came over %q", each)
	}
	if each := slices.Compact(conns["GET"]); len(each) != 1 || !strings.HasPrefix(each[0], "HTTP/2.0 ") {
		t.Errorf("the others came over %q", each)
	}
}

func TestSubmitThatNeverLeft(t *testing.T) {
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead.Close()
	plain := httptest.NewServer(http.NotFoundHandler()) // speaks no TLS
	defer plain.Close()
	stranger := httptest.NewUnstartedServer(http.NotFoundHandler()) // shows a certificate nobody vouches for
	stranger.Config.ErrorLog = log.New(io.Discard, "", 0)
	stranger.StartTLS()
	defer stranger.Close()
	for name, base := range map[string]string{
		"nobody listens":        "http://" + dead.Addr().String(),
		"no such host":          "https://api.invalid",
		"not tls":               "https://" + plain.Listener.Addr().String(),
		"unvouched certificate": stranger.URL,
	} {
		t.Run(name, func(t *testing.T) {
			c, err := New(Config{BaseURL: base, Key: testKey, Secret: testSecret})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_, err = c.Submit(t.Context(), "model_x", []byte(payload), nil)
			checkError(t, err, pipeline.Error{Code: pipeline.CodeAPIUnavailable, Refused: true, Message: "submit to model_x: "})
		})
	}
}

func TestSubmitInterruptedBeforeItLeft(t *testing.T) {
	// Dialling never ends.
	dialing := make(chan struct{})
	var once sync.Once
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		once.Do(func() { close(dialing) })
		<-ctx.Done()
		return nil, ctx.Err()
	}, TLSClientConfig: &tls.Config{}}
	c, err := New(Config{BaseURL: "https://api.example.com/v1", Key: testKey, Secret: testSecret, Transport: tr})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-dialing
		cancel()
	}()
	_, err = c.Submit(ctx, "model_x", []byte(payload), nil)
	checkError(t, err, pipeline.Error{Code: pipeline.CodeInterrupted, Refused: true})

	_, err = c.Submit(ctx, "model_x", []byte(payload), nil)
	checkError(t, err, pipeline.Error{Code: pipeline.CodeInterrupted, Refused: true})
}

func TestSubmitInterruptedInQueuePassesTheReasonOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{perMinute: 1}
		c := against(t, api)
		if _, err := c.Submit(t.Context(), "model_x", []byte(payload), nil); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, pipeline.Errorf(pipeline.CodeDeadline, "the deadline is reached"))
		defer cancel()
		_, err := c.Submit(ctx, "model_x", []byte(payload), nil)
		checkError(t, err, pipeline.Error{Code: pipeline.CodeDeadline, Refused: true, Message: "the deadline is reached"})
		if len(api.jobs) != 1 {
			t.Errorf("%d jobs were bought", len(api.jobs))
		}
	})
}

func TestSubmitHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{fault: func(*http.Request) *http.Response { return nil }}
		c, start := against(t, api), time.Now()
		_, err := c.Submit(t.Context(), "model_x", []byte(payload), nil)
		checkError(t, err, pipeline.Error{Code: pipeline.CodeSubmitLost, Message: "no answer within 2m00s"})
		if d := time.Since(start); d != receiptTime {
			t.Errorf("gave up after %s", d)
		}
		start = time.Now()
		_, err = c.Quote(t.Context(), "model_x", []byte(payload))
		checkError(t, err, pipeline.Error{Code: pipeline.CodeAPIUnavailable, Message: "price of model_x: no answer within 1m00s"})
		if d := time.Since(start); d != answerTime {
			t.Errorf("a quote gave up after %s", d)
		}
	})
}

// A receipt on its way when the run is interrupted is worth a moment; a hang is not worth more.
func TestSubmitInterruptedWaitsForTheReceipt(t *testing.T) {
	for _, tt := range []struct {
		latency time.Duration
		lost    bool
	}{{latency: 2 * time.Second}, {latency: time.Minute, lost: true}} {
		synctest.Test(t, func(t *testing.T) {
			api := &fakeAPI{latency: tt.latency}
			c := against(t, api)
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			start := time.Now()
			receipt, err := c.Submit(ctx, "model_x", []byte(payload), nil)
			switch {
			case tt.lost:
				checkError(t, err, pipeline.Error{Code: pipeline.CodeSubmitLost})
				if d := time.Since(start); d > receiptWait+time.Millisecond {
					t.Errorf("held the caller for %s", d)
				}
			case err != nil || receipt.JobID != api.jobs[0].id:
				t.Errorf("got %+v, %v", receipt, err)
			}
		})
	}
}

// A transport that tells nothing of its connections is believed only where its error is proof by itself.
func TestSubmitThroughAnOpaqueTransport(t *testing.T) {
	dial := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	for _, tt := range []struct {
		name string
		read bool
		err  error
		want pipeline.Error
	}{
		{"dial", false, dial, pipeline.Error{Code: pipeline.CodeAPIUnavailable, Refused: true}},
		{"dns", false, &net.DNSError{Err: "no such host", Name: "api.example.com", IsNotFound: true}, pipeline.Error{Code: pipeline.CodeAPIUnavailable, Refused: true}},
		{"dial after the body was read", true, dial, pipeline.Error{Code: pipeline.CodeSubmitLost}},
		{"anything else", false, io.ErrUnexpectedEOF, pipeline.Error{Code: pipeline.CodeSubmitLost}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := New(Config{BaseURL: "https://api.example.com/v1", Key: testKey, Secret: testSecret,
				Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
					if tt.read {
						io.ReadAll(r.Body)
					}
					return nil, tt.err
				})})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_, err = c.Submit(t.Context(), "model_x", []byte(payload), nil)
			checkError(t, err, tt.want)
		})
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestUnsafeIDsAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fakeAPI{}
		c := against(t, api)
		for _, id := range []string{"", ".", "..", "a/b", `a\b`, "a?b", "a#b", "a%2fb", "a b", "a\nb", "ä", strings.Repeat("x", 3) + "\x7f"} {
			_, err := c.Submit(t.Context(), id, []byte(payload), nil)
			checkError(t, err, pipeline.Error{Code: pipeline.CodeInput, Refused: true, Message: "is not the id of a model"})
			_, err = c.Quote(t.Context(), id, []byte(payload))
			checkError(t, err, pipeline.Error{Code: pipeline.CodeInput})
			_, err = c.Model(t.Context(), id)
			checkError(t, err, pipeline.Error{Code: pipeline.CodeInput})
			_, err = c.Await(t.Context(), pipeline.JobRef{ID: id}, nil)
			checkError(t, err, pipeline.Error{Code: pipeline.CodeInput})
		}
		if len(api.arrived) != 0 {
			t.Errorf("%d requests were sent", len(api.arrived))
		}
	})
}

// The last look is asked when the turn has come and when the connection stands. Where it refuses, nothing was bought:
// the body has not left.
func TestSubmitLastLook(t *testing.T) {
	for _, refusesAt := range []int{1, 2} {
		bodies := make(chan int, 1)
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n, _ := io.Copy(io.Discard, r.Body)
			bodies <- int(n)
		}))
		defer srv.Close()
		asked := 0
		last := func(context.Context) error {
			if asked++; asked == refusesAt {
				return pipeline.Errorf(pipeline.CodeLocked, "another run holds it")
			}
			return nil
		}
		_, err := clientOf(t, srv).Submit(t.Context(), "model_x", []byte(payload), last)
		checkError(t, err, pipeline.Error{Code: pipeline.CodeLocked, Refused: true, Message: "another run holds it"})
		if asked != refusesAt {
			t.Errorf("asked %d times, want %d", asked, refusesAt)
		}
		if refusesAt == 2 {
			if n := <-bodies; n != 0 {
				t.Errorf("%d bytes of the body left after the refusal", n)
			}
		}
	}
}
