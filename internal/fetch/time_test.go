package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dailies/pipeline"
)

// transport answers requests without a network, so that time is the test's.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// drip is a body that brings its bytes piece by piece, each after a while, and nothing more once they are used up
// until the request ends.
type drip struct {
	ctx   context.Context
	bytes []byte
	piece int
	every time.Duration
	ready int // of a piece
}

func (d *drip) Read(p []byte) (int, error) {
	if len(d.bytes) == 0 {
		<-d.ctx.Done()
		return 0, d.ctx.Err()
	}
	if d.ready == 0 {
		select {
		case <-time.After(d.every):
		case <-d.ctx.Done():
			return 0, d.ctx.Err()
		}
		d.ready = min(d.piece, len(d.bytes))
	}
	n := copy(p, d.bytes[:d.ready])
	d.bytes, d.ready = d.bytes[n:], d.ready-n
	return n, nil
}

func (d *drip) Close() error { return nil }

// answerWith sends the rest of a file, of which cut bytes come.
func answerWith(r *http.Request, file []byte, cut, piece int, every time.Duration) *http.Response {
	from := 0
	resp := &http.Response{StatusCode: 200, Header: http.Header{"Etag": {strong}}, Request: r}
	if text := r.Header.Get("Range"); text != "" {
		fmt.Sscanf(text, "bytes=%d-", &from)
		resp.StatusCode = 206
		resp.Header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(file)-1, len(file)))
	}
	resp.ContentLength = int64(len(file) - from)
	resp.Body = &drip{ctx: r.Context(), bytes: file[from:min(len(file), from+cut)], piece: piece, every: every}
	return resp
}

func status(code int, header ...string) *http.Response {
	resp := &http.Response{StatusCode: code, Header: make(http.Header), Body: http.NoBody}
	for i := 0; i < len(header); i += 2 {
		resp.Header.Set(header[i], header[i+1])
	}
	return resp
}

var link = pipeline.Asset{ID: "asset_X", URL: "https://cdn.example/assets/asset_X?Signature=" + secret, MIME: "video/mp4"}

func TestStallTakesThirtySeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file, requests := noise(50_000), 0
		var notices []string
		f := New(Options{
			Notice: func(text string) { notices = append(notices, text) },
			Transport: transport(func(r *http.Request) (*http.Response, error) {
				requests++
				cut := len(file)
				if requests == 1 {
					cut = 20_000
				}
				return answerWith(r, file, cut, 4096, 0), nil
			})})
		start := time.Now()
		got, _, err := fetch(t.Context(), f, link, nil)
		if err != nil || !bytes.Equal(got, file) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		if d := time.Since(start); d != 30*time.Second {
			t.Errorf("it took %v, want the stall's 30s and no wait after it", d)
		}
		want := "asset_X: no byte came for 30s at byte 20000 of 50000; connecting again"
		if len(notices) != 1 || notices[0] != want {
			t.Errorf("notices %q, want %q", notices, want)
		}
	})
}

func TestASlowReaderIsNoStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file, requests := noise(1000), 0
		f := New(Options{Transport: transport(func(r *http.Request) (*http.Response, error) {
			requests++
			return answerWith(r, file, len(file), 100, 0), nil
		})})
		body, _, err := f.Open(t.Context(), link, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer body.Close()
		var got []byte
		for buf := make([]byte, 100); ; {
			n, err := body.Read(buf)
			got = append(got, buf[:n]...)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			<-time.After(time.Hour) // the store takes its time
		}
		if !bytes.Equal(got, file) || requests != 1 {
			t.Errorf("%d bytes over %d connections, want the file over one", len(got), requests)
		}
	})
}

func TestPace(t *testing.T) {
	for name, c := range map[string]struct {
		piece    int // bytes every 10 s
		code     pipeline.Code
		requests int // at most
	}{
		"slow but steady": {piece: 4000, requests: 1},
		"a drip":          {piece: 1000, code: pipeline.CodeDownload, requests: 6},
		"drop by drop":    {piece: 10, code: pipeline.CodeDownload, requests: 12}, // even the seam takes too long
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				file, requests := noise(50_000), 0
				f := New(Options{Transport: transport(func(r *http.Request) (*http.Response, error) {
					requests++
					return answerWith(r, file, len(file), c.piece, 10*time.Second), nil
				})})
				_, _, err := fetch(t.Context(), f, link, nil)
				if pipeline.CodeOf(err) != c.code || requests > c.requests {
					t.Errorf("%v after %d connections; want %q after at most %d", err, requests, c.code, c.requests)
				}
				if err != nil && !strings.Contains(err.Error(), "crawls") {
					t.Errorf("error is %q", err)
				}
			})
		})
	}
}

// A connection that was fast once is not forgiven for ever.
func TestAFastBeginningIsNoLicence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file, requests := noise(500_000), 0
		f := New(Options{Transport: transport(func(r *http.Request) (*http.Response, error) {
			requests++
			resp := answerWith(r, file, len(file), 400, 10*time.Second)
			d := resp.Body.(*drip)
			d.ready = min(60_000, len(d.bytes))
			return resp, nil
		})})
		start := time.Now()
		got, _, err := fetch(t.Context(), f, link, nil)
		if err != nil || !bytes.Equal(got, file) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		// Nine times 60,000 bytes at once, and after each a first window that they excuse and a second they do not.
		if d := time.Since(start); requests != 9 || d > 9*time.Minute {
			t.Errorf("%d connections and %v, want 9 and about a minute each", requests, d)
		}
	})
}

func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		requests := 0
		f := New(Options{Transport: transport(func(*http.Request) (*http.Response, error) {
			requests++
			return nil, errors.New("no route to host")
		})})
		start := time.Now()
		_, _, err := f.Open(t.Context(), link, nil)
		if pipeline.CodeOf(err) != pipeline.CodeDownload || requests != 6 {
			t.Errorf("%v after %d attempts, want %s after 6", err, requests, pipeline.CodeDownload)
		}
		if want := "asset_X: no route to host at byte 0 (6 attempts without a new byte)"; err.Error() != want {
			t.Errorf("error is %q, want %q", err, want)
		}
		// 0.5 s, 1 s, 2 s, 4 s, 8 s, each at least half of it.
		if d := time.Since(start); d < 7750*time.Millisecond || d > 15500*time.Millisecond {
			t.Errorf("gave up after %v", d)
		}
	})
}

func TestRetryAfterIsHonoured(t *testing.T) {
	for value, want := range map[string]time.Duration{"20": 20 * time.Second, "86400": maxRetryAfter} {
		synctest.Test(t, func(t *testing.T) {
			file, requests := noise(10), 0
			f := New(Options{Transport: transport(func(r *http.Request) (*http.Response, error) {
				if requests++; requests == 1 {
					return status(429, "Retry-After", value), nil
				}
				return answerWith(r, file, len(file), 10, 0), nil
			})})
			start := time.Now()
			if _, _, err := fetch(t.Context(), f, link, nil); err != nil {
				t.Fatal(err)
			}
			if d := time.Since(start); d != want {
				t.Errorf("Retry-After: %s was given %v, want %v", value, d, want)
			}
		})
	}
}

func TestExpiringLinksAreReplacedFirst(t *testing.T) {
	for name, c := range map[string]struct {
		left, freshLeft time.Duration
		asked           int
	}{
		"days left":             {left: 72 * time.Hour},
		"seconds left":          {left: 5 * time.Second, freshLeft: time.Hour, asked: 1},
		"over":                  {left: -time.Hour, freshLeft: time.Hour, asked: 1},
		"this clock is fast":    {left: -time.Hour, freshLeft: -time.Hour, asked: 1},
		"it never says its end": {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				file, asked := noise(100_000), 0
				asset := link
				if c.left != 0 {
					asset.URL = policyURL(time.Now().Add(c.left))
				}
				current := asset.URL
				f := New(Options{Transport: transport(func(r *http.Request) (*http.Response, error) {
					if got := r.URL.String(); got != current {
						t.Errorf("fetched %s, want the link as it was signed, %s", got, current)
					}
					return answerWith(r, file, 30_000, 30_000, 0), nil // and then a stall
				})})
				got, _, err := fetch(t.Context(), f, asset, func(context.Context) (pipeline.Asset, error) {
					asked++
					current = policyURL(time.Now().Add(c.freshLeft))
					return pipeline.Asset{URL: current}, nil
				})
				if err != nil || !bytes.Equal(got, file) {
					t.Fatalf("%d bytes, %v", len(got), err)
				}
				if asked != c.asked {
					t.Errorf("asked for %d fresh links, want %d", asked, c.asked)
				}
			})
		})
	}
}

func TestFreshIsNotAFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []time.Time
		fresh := func(context.Context) (pipeline.Asset, error) {
			asked = append(asked, time.Now())
			return link, nil
		}
		f := New(Options{Transport: transport(func(*http.Request) (*http.Response, error) { return status(403), nil })})
		_, _, err := f.Open(t.Context(), link, fresh)
		if pipeline.CodeOf(err) != pipeline.CodeURLExpired || len(asked) != 3 {
			t.Fatalf("%v after %d fresh links, want %s after 3", err, len(asked), pipeline.CodeURLExpired)
		}
		for i := 1; i < len(asked); i++ {
			if d := asked[i].Sub(asked[i-1]); d < freshEvery {
				t.Errorf("asked again after %v", d)
			}
		}
	})
}

// A link that dies after every few bytes must not become a flood of API requests either.
func TestFreshIsNotAFloodWhenThereIsProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file, requests := noise(20_000), 0
		var asked []time.Time
		f := New(Options{Stall: time.Second, Transport: transport(func(r *http.Request) (*http.Response, error) {
			if requests++; requests%2 == 0 {
				return status(403), nil
			}
			return answerWith(r, file, 2000, 2000, 0), nil
		})})
		got, _, err := fetch(t.Context(), f, link, func(context.Context) (pipeline.Asset, error) {
			asked = append(asked, time.Now())
			return link, nil
		})
		if err != nil || !bytes.Equal(got, file) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		for i := 1; i < len(asked); i++ {
			if d := asked[i].Sub(asked[i-1]); d < freshEvery {
				t.Errorf("asked again after %v", d)
			}
		}
	})
}

func TestWhatFreshMayAnswer(t *testing.T) {
	down := pipeline.Errorf(pipeline.CodeAPIUnavailable, "the API is down")
	for name, c := range map[string]struct {
		asset pipeline.Asset
		err   error
		want  pipeline.Code
	}{
		"an error":     {err: down, want: pipeline.CodeAPIUnavailable},
		"no link":      {want: pipeline.CodeURLExpired},
		"broken asset": {asset: pipeline.Asset{URL: link.URL, Broken: true}, want: pipeline.CodeAssetFailed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked := 0
				f := New(Options{Transport: transport(func(*http.Request) (*http.Response, error) { return status(410), nil })})
				_, _, err := f.Open(t.Context(), link, func(context.Context) (pipeline.Asset, error) {
					asked++
					return c.asset, c.err
				})
				if pipeline.CodeOf(err) != c.want || asked != 1 {
					t.Errorf("%v after asking %d times, want %s after once", err, asked, c.want)
				}
				if c.err != nil && !errors.Is(err, c.err) {
					t.Errorf("%v is not what fresh returned", err)
				}
			})
		})
	}
}

// The API may have replaced a file whose size it told before: a fresh link brings the new one.
func TestASizeThatFreshCorrects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := noise(100)
		f := New(Options{Transport: transport(func(r *http.Request) (*http.Response, error) {
			return answerWith(r, file, len(file), len(file), 0), nil
		})})
		asset := link
		asset.Bytes = 99
		got, size, err := fetch(t.Context(), f, asset, func(context.Context) (pipeline.Asset, error) {
			again := link
			again.Bytes = 100
			return again, nil
		})
		if err != nil || size != 100 || !bytes.Equal(got, file) {
			t.Errorf("%d bytes of %d, %v", len(got), size, err)
		}
	})
}

// What the caller was told when it opened the stream stands.
func TestASizeOnceToldStands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file, requests := noise(5000), 0
		f := New(Options{Transport: transport(func(r *http.Request) (*http.Response, error) {
			if requests++; requests == 2 {
				return status(403), nil
			}
			return answerWith(r, file, 3000, 3000, 0), nil
		})})
		got, size, err := fetch(t.Context(), f, link, func(context.Context) (pipeline.Asset, error) {
			again := link
			again.Bytes = 4000
			return again, nil
		})
		if err != nil || size != 5000 || !bytes.Equal(got, file) {
			t.Errorf("%d bytes of %d, %v", len(got), size, err)
		}
	})
}

func TestTheContextEndsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		deadline := pipeline.Errorf(pipeline.CodeDeadline, "the time is up")
		for _, c := range []struct {
			cause error
			want  pipeline.Code
		}{{nil, pipeline.CodeInterrupted}, {deadline, pipeline.CodeDeadline}} {
			for name, answer := range map[string]transport{
				"while waiting": func(*http.Request) (*http.Response, error) { return status(503), nil },
				"while reading": func(r *http.Request) (*http.Response, error) {
					return answerWith(r, noise(1000), 10, 10, 0), nil
				},
				"while connecting": func(r *http.Request) (*http.Response, error) {
					<-r.Context().Done()
					return nil, r.Context().Err()
				},
			} {
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(100*time.Millisecond, func() { cancel(c.cause) })
				_, _, err := fetch(ctx, New(Options{Transport: answer}), link, nil)
				if pipeline.CodeOf(err) != c.want {
					t.Errorf("%s, %v: %v, want %s", name, c.cause, err, c.want)
				}
				if c.cause == nil && !errors.Is(err, context.Canceled) {
					t.Errorf("%s: %v does not say that it was canceled", name, err)
				}
			}
		}
	})
}
