package fetch

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"dailies/pipeline"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// secret is in the query of every URL here; it must be in nothing that people see.
const secret = "SIGNATURE-abc~def_"

// noise is n bytes in which no part is like another.
func noise(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{7}).Read(b)
	return b
}

// A visit is one request to the CDN under test, counted from 1.
type visit struct {
	http.ResponseWriter
	r    *http.Request
	n    int
	from int64 // of its Range; -1 when it had none
}

func (v visit) start() int { return int(max(0, v.from)) }

// says sets the headers an S3 object has, and those of a part when one was asked for.
func (v visit) says(file []byte, etag string) visit {
	h := v.Header()
	h.Set("Content-Type", "video/mp4")
	if etag != "" {
		h.Set("ETag", etag)
	}
	h.Set("Content-Length", strconv.Itoa(len(file)-v.start()))
	if v.from >= 0 {
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", v.from, len(file)-1, len(file)))
		v.WriteHeader(http.StatusPartialContent)
	}
	return v
}

// whole sends the rest of the file.
func (v visit) whole(file []byte, etag string) { v.says(file, etag).Write(file[v.start():]) }

// cut sends n bytes and closes the connection.
func (v visit) cut(file []byte, etag string, n int) {
	v.says(file, etag).Write(file[v.start():min(len(file), v.start()+n)])
	v.flush()
	panic(http.ErrAbortHandler)
}

// reset sends n bytes and tears the connection down.
func (v visit) reset(file []byte, n int) {
	c, rw, err := http.NewResponseController(v.ResponseWriter).Hijack()
	if err != nil {
		panic(err)
	}
	if v.from >= 0 {
		fmt.Fprintf(rw, "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes %d-%d/%d\r\n", v.from, len(file)-1, len(file))
	} else {
		fmt.Fprint(rw, "HTTP/1.1 200 OK\r\n")
	}
	fmt.Fprintf(rw, "ETag: %s\r\nContent-Length: %d\r\n\r\n", strong, len(file)-v.start())
	rw.Write(file[v.start() : v.start()+n])
	rw.Flush()
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
}

// raw answers with bytes of one's own making.
func (v visit) raw(text string) {
	c, _, err := http.NewResponseController(v.ResponseWriter).Hijack()
	if err != nil {
		panic(err)
	}
	io.WriteString(c, text)
	c.Close()
}

func (v visit) flush() { http.NewResponseController(v.ResponseWriter).Flush() }

// hang says nothing more until the client has gone.
func (v visit) hang() {
	v.flush()
	<-v.r.Context().Done()
}

const strong = `"5d41402abc4b2a76b9719d911017c592"`

// A cdn is a server on loopback that answers each request as the test says and checks what every request must be.
type cdn struct {
	*httptest.Server
	mu    sync.Mutex
	n     int
	froms []int64
}

func newCDN(t *testing.T, answer func(visit)) *cdn {
	t.Helper()
	c := new(cdn)
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, name := range []string{"Authorization", "Cookie", "Referer"} {
			if v := r.Header.Get(name); v != "" {
				t.Errorf("a request has %s: %s", name, v)
			}
		}
		if got := r.Header.Get("Accept-Encoding"); got != "identity" {
			t.Errorf("a request accepts encoding %q, want identity", got)
		}
		from := int64(-1)
		if text, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes="); ok {
			var err error
			if from, err = strconv.ParseInt(strings.TrimSuffix(text, "-"), 10, 64); err != nil {
				t.Errorf("Range is %q", r.Header.Get("Range"))
			}
		}
		c.mu.Lock()
		c.n++
		v := visit{w, r, c.n, from}
		c.froms = append(c.froms, from)
		c.mu.Unlock()
		answer(v)
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *cdn) asset(size int) pipeline.Asset {
	return pipeline.Asset{ID: "asset_X", URL: c.URL + "/assets/asset_X?p=100&Signature=" + secret, MIME: "video/mp4", Bytes: int64(size)}
}

// newFetcher is a Fetcher whose waits are short enough for real servers.
func newFetcher(t *testing.T) *Fetcher {
	t.Helper()
	f := New(Options{Stall: 100 * time.Millisecond, Notice: func(text string) { clean(t, text) }})
	f.policy.Base, f.policy.Max = time.Millisecond, time.Millisecond
	t.Cleanup(f.CloseIdleConnections)
	return f
}

// clean fails the test if a text has what people must not see.
func clean(t *testing.T, text string) {
	t.Helper()
	if strings.Contains(text, "SIGNATURE") {
		t.Errorf("a signed URL is shown: %s", text)
	}
}

// fetch reads an asset to its end.
func fetch(ctx context.Context, f *Fetcher, a pipeline.Asset, fresh func(context.Context) (pipeline.Asset, error)) ([]byte, int64, error) {
	body, size, err := f.Open(ctx, a, fresh)
	if err != nil {
		return nil, size, err
	}
	defer body.Close()
	b, err := io.ReadAll(body)
	return b, size, err
}

func TestHowStreamsDie(t *testing.T) {
	file := noise(40_000)
	other := bytes.Clone(file)
	for i := range other {
		other[i] ^= 0xff
	}
	sum := sha256.Sum256(file)
	const html = "<html>sign in to the guest network</html>"

	cases := []struct {
		name     string
		announce int // asset.Bytes; 0: the file's size, -1: not told
		answer   func(visit)
		code     pipeline.Code // "": all is well
		says     string        // in the error
		requests int           // 0: not counted
		fresh    int           // calls
	}{
		{name: "nothing happens", requests: 1,
			answer: func(v visit) { v.whole(file, strong) }},
		{name: "size not told by the API", announce: -1, requests: 1,
			answer: func(v visit) { v.whole(file, strong) }},
		{name: "reset by the peer", requests: 2,
			answer: func(v visit) {
				if v.n == 1 {
					v.reset(file, 12_345)
					return
				}
				v.whole(file, strong)
			}},
		{name: "cut again and again", requests: 9, // each brings 5,000, from the second on less the seam
			answer: func(v visit) { v.cut(file, strong, 5000) }},
		{name: "closed before any answer", requests: 3,
			answer: func(v visit) {
				if v.n < 3 {
					panic(http.ErrAbortHandler)
				}
				v.whole(file, strong)
			}},
		{name: "closed before any answer, always", code: pipeline.CodeDownload, says: "6 attempts",
			answer: func(visit) { panic(http.ErrAbortHandler) }},
		{name: "answered, and then nothing, always", code: pipeline.CodeDownload, says: "6 attempts", requests: 6,
			answer: func(v visit) { v.cut(file, strong, 0) }},
		{name: "no progress after the first cut", code: pipeline.CodeDownload, says: "at byte 5000 of 40000 (6 attempts without a new byte)",
			answer: func(v visit) {
				if v.n == 1 {
					v.cut(file, strong, 5000)
				}
				v.cut(file, strong, 0)
			}},
		{name: "stalled", requests: 2,
			answer: func(v visit) {
				if v.n == 1 {
					v.says(file, strong).Write(file[:9000])
					v.hang()
					return
				}
				v.whole(file, strong)
			}},
		{name: "stalled before any answer", requests: 2,
			answer: func(v visit) {
				if v.n == 1 {
					<-v.r.Context().Done()
					return
				}
				v.whole(file, strong)
			}},
		{name: "chunks that end early without saying so", requests: 2,
			answer: func(v visit) {
				if v.n == 1 {
					v.Write(file[:7000]) // a clean end
					v.flush()
					return
				}
				v.whole(file, "")
			}},
		{name: "chunks, nobody told the size", announce: -1, requests: 1,
			answer: func(v visit) {
				v.flush()
				v.Write(file)
			}},
		{name: "chunks cut, nobody told the size", announce: -1, requests: 2,
			answer: func(v visit) {
				if v.n == 1 {
					v.flush()
					v.Write(file[:7000])
					v.flush()
					panic(http.ErrAbortHandler)
				}
				v.whole(file, "")
			}},
		{name: "cut after the last byte", requests: 1,
			answer: func(v visit) {
				v.flush() // chunks, whose end never comes
				v.Write(file)
				v.flush()
				panic(http.ErrAbortHandler)
			}},
		{name: "nothing to recognise the file by", requests: 3,
			answer: func(v visit) { v.cut(file, "", 15_000) }},
		{name: "a weak validator", requests: 3,
			answer: func(v visit) {
				if got := v.r.Header.Get("If-Range"); got != "" {
					t.Errorf("If-Range is %q: a weak tag is no condition", got)
				}
				v.cut(file, `W/"1"`, 15_000)
			}},
		{name: "a date for a validator", requests: 2,
			answer: func(v visit) {
				const date = "Wed, 21 Oct 2026 07:28:00 GMT"
				if got := v.r.Header.Get("If-Range"); v.n > 1 && got != date {
					t.Errorf("If-Range is %q, want %q", got, date)
				}
				v.Header().Set("Last-Modified", date)
				if v.n == 1 {
					v.cut(file, "", 15_000)
				}
				v.whole(file, "")
			}},
		{name: "replaced while being read", code: pipeline.CodeCorrupt, says: "replaced", requests: 2,
			answer: func(v visit) {
				if v.n == 1 {
					v.cut(file, strong, 9000)
				}
				if got := v.r.Header.Get("If-Range"); got != strong {
					t.Errorf("If-Range is %q, want %q", got, strong)
				}
				v.from = -1 // the condition does not hold: all of it
				v.whole(other, `"another"`)
			}},
		{name: "another's part under another tag", code: pipeline.CodeCorrupt, says: "replaced", requests: 2,
			answer: func(v visit) {
				if v.n == 1 {
					v.cut(file, strong, 9000)
				}
				v.whole(other, `"another"`)
			}},
		{name: "another's part under the same tag", code: pipeline.CodeCorrupt, says: "different now", requests: 2,
			answer: func(v visit) {
				if v.n == 1 {
					v.cut(file, strong, 9000)
				}
				v.whole(other, strong)
			}},
		{name: "another's part of another size", code: pipeline.CodeCorrupt, says: "replaced", requests: 2,
			answer: func(v visit) {
				if v.n == 1 {
					v.cut(file, "", 9000)
				}
				v.whole(append(other, 1), "")
			}},
		{name: "ranges not known, same tag", requests: 2,
			answer: func(v visit) {
				v.from = -1
				if v.n == 1 {
					v.cut(file, strong, 9000)
				}
				v.whole(file, strong)
			}},
		{name: "ranges not known, no tag", code: pipeline.CodeCorrupt, says: "anew", requests: 2,
			answer: func(v visit) {
				v.from = -1
				if v.n == 1 {
					v.cut(file, "", 9000)
				}
				v.whole(file, "")
			}},
		{name: "ranges not known, no tag, all of it seen again", requests: 2,
			answer: func(v visit) {
				v.from = -1
				if v.n == 1 {
					v.cut(file, "", 300)
				}
				v.whole(file, "")
			}},
		{name: "another part than the one asked for", code: pipeline.CodeCorrupt, says: "another part",
			answer: func(v visit) {
				if v.n == 1 {
					v.cut(file, strong, 9000)
				}
				v.from++
				v.whole(file, strong)
			}},
		{name: "a part without saying which", code: pipeline.CodeCorrupt, says: "another part",
			answer: func(v visit) {
				if v.n == 1 {
					v.cut(file, strong, 9000)
				}
				v.WriteHeader(http.StatusPartialContent)
			}},
		{name: "shorter than what was read", code: pipeline.CodeCorrupt, says: "shorter", requests: 2,
			answer: func(v visit) {
				if v.n == 1 {
					v.cut(file, strong, 9000)
				}
				v.Header().Set("Content-Range", "bytes */100")
				v.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			}},
		{name: "longer than announced", announce: 39_999, code: pipeline.CodeCorrupt, says: "39999 bytes were announced and the server has 40000", requests: 2, fresh: 1,
			answer: func(v visit) { v.whole(file, strong) }},
		{name: "shorter than announced", announce: 40_001, code: pipeline.CodeCorrupt, says: "40001 bytes were announced and the server has 40000", requests: 2, fresh: 1,
			answer: func(v visit) { v.whole(file, strong) }},
		{name: "longer than announced, in chunks", announce: 39_999, code: pipeline.CodeCorrupt, says: "more than the bytes announced", requests: 1,
			answer: func(v visit) {
				v.flush()
				v.Write(file)
			}},
		{name: "empty", announce: -1, code: pipeline.CodeCorrupt, says: "empty", fresh: 1,
			answer: func(v visit) { v.Header().Set("Content-Length", "0") }},
		{name: "empty chunks", announce: -1, code: pipeline.CodeCorrupt, says: "empty", fresh: 1,
			answer: func(v visit) { v.flush() }},
		{name: "refused, fresh link", requests: 2, fresh: 1,
			answer: func(v visit) {
				if v.r.URL.Query().Get("fresh") == "" {
					v.WriteHeader(http.StatusForbidden)
					return
				}
				v.whole(file, strong)
			}},
		{name: "expired on the way", requests: 3, fresh: 1,
			answer: func(v visit) {
				switch v.n {
				case 1:
					v.cut(file, strong, 9000)
				case 2:
					v.WriteHeader(http.StatusForbidden)
				default:
					v.whole(file, strong)
				}
			}},
		{name: "busy, then well", requests: 3,
			answer: func(v visit) {
				if v.n < 3 {
					v.WriteHeader(http.StatusServiceUnavailable)
					return
				}
				v.whole(file, strong)
			}},
		{name: "busy for ever", code: pipeline.CodeDownload, says: "502 Bad Gateway", requests: 6,
			answer: func(v visit) { v.WriteHeader(http.StatusBadGateway) }},
		{name: "an answer of no use", code: pipeline.CodeDownload, says: "418 I'm a teapot", requests: 1,
			answer: func(v visit) { v.WriteHeader(http.StatusTeapot) }},
		{name: "a web page instead", code: pipeline.CodeDownload, says: "a web page came instead of video/mp4", requests: 6, fresh: 1, announce: -1,
			answer: func(v visit) {
				v.Header().Set("Content-Type", "text/html; charset=utf-8")
				io.WriteString(v, html)
			}},
		{name: "a web page once", requests: 2, fresh: 1,
			answer: func(v visit) {
				if v.n == 1 {
					v.Header().Set("Content-Type", "text/html")
					io.WriteString(v, html)
					return
				}
				v.whole(file, strong)
			}},
		{name: "encoded", announce: -1, code: pipeline.CodeCorrupt, says: `encoded as "gzip"`, requests: 6,
			answer: func(v visit) {
				v.Header().Set("Content-Encoding", "gzip")
				z := gzip.NewWriter(v)
				z.Write(file)
				z.Close()
			}},
		{name: "no HTTP at all", code: pipeline.CodeDownload, says: "malformed HTTP",
			answer: func(v visit) { v.raw("SSH-2.0-OpenSSH_9.2\r\n") }},
		{name: "old HTTP without a length", announce: -1, requests: 1,
			answer: func(v visit) { v.raw("HTTP/1.0 200 OK\r\n\r\n" + string(file)) }},
		{name: "a digest that fits", requests: 2,
			answer: func(v visit) {
				v.Header().Set("x-amz-checksum-sha256", base64.StdEncoding.EncodeToString(sum[:]))
				if v.n == 1 {
					v.cut(file, strong, 9000)
				}
				v.whole(file, strong)
			}},
		{name: "damage of the same length", code: pipeline.CodeCorrupt, says: "x-amz-checksum-sha256", requests: 1,
			answer: func(v visit) {
				v.Header().Set("x-amz-checksum-sha256", base64.StdEncoding.EncodeToString(sum[:]))
				v.whole(other, strong)
			}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			server := newCDN(t, c.answer)
			size := len(file)
			if c.announce != 0 {
				size = max(0, c.announce)
			}
			asset, asked := server.asset(size), 0
			got, announced, err := fetch(t.Context(), newFetcher(t), asset, func(context.Context) (pipeline.Asset, error) {
				asked++
				again := asset
				again.URL += "&fresh=" + strconv.Itoa(asked)
				return again, nil
			})
			if code := pipeline.CodeOf(err); code != c.code {
				t.Fatalf("error is %v (%s), want %q", err, code, c.code)
			}
			if err == nil {
				if !bytes.Equal(got, file) {
					t.Errorf("%d bytes came, and not those of the file", len(got))
				}
				if announced >= 0 && announced != int64(len(file)) {
					t.Errorf("announced %d bytes, want %d", announced, len(file))
				}
			} else {
				clean(t, err.Error())
				if !strings.Contains(err.Error(), c.says) || !strings.HasPrefix(err.Error(), "asset_X: ") {
					t.Errorf("error is %q, want %q in it", err, c.says)
				}
				if len(got) >= size && size > 0 {
					t.Errorf("a broken file of %d bytes came whole", len(got))
				}
			}
			if c.requests > 0 && server.n != c.requests {
				t.Errorf("%d requests, from bytes %v; want %d", server.n, server.froms, c.requests)
			}
			if asked != c.fresh {
				t.Errorf("%d fresh links asked for, want %d", asked, c.fresh)
			}
		})
	}
}

// A CDN that cuts every 64 KiB must cost little more than the file.
func TestCutsCostLittle(t *testing.T) {
	file := noise(1 << 20)
	var sent int
	server := newCDN(t, func(v visit) {
		sent += min(64<<10, len(file)-v.start())
		v.cut(file, strong, 64<<10)
	})
	got, _, err := fetch(t.Context(), newFetcher(t), server.asset(len(file)), nil)
	if err != nil || !bytes.Equal(got, file) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	if limit := len(file) * 11 / 10; sent > limit {
		t.Errorf("%d bytes sent for a file of %d, want at most %d", sent, len(file), limit)
	}
}

func TestRedirects(t *testing.T) {
	file := noise(20_000)
	for name, c := range map[string]struct {
		to       string // "": to the file on the same server
		requests int
		code     pipeline.Code
		says     string
	}{
		"on loopback":         {requests: 2},
		"to plain http":       {"http://192.0.2.1/a?Signature=" + secret, 1, pipeline.CodeDownload, "redirects to http://192.0.2.1"},
		"to a file":           {"file:///etc/passwd", 1, pipeline.CodeDownload, "redirects to file://"},
		"round and round":     {"/loop?Signature=" + secret, 6, pipeline.CodeDownload, "too many redirects"},
		"to what is no URL":   {"http://[/?Signature=" + secret, 1, pipeline.CodeDownload, "Location"},
		"with someone's name": {"http://user:word@HOST/file", 2, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			server := newCDN(t, func(v visit) {
				to := strings.Replace(c.to, "HOST", v.r.Host, 1)
				if to == "" {
					to = "/file?Signature=" + secret
				}
				if v.r.URL.Path == "/file" {
					v.whole(file, strong)
					return
				}
				v.Header().Set("Location", to)
				v.WriteHeader(http.StatusFound)
			})
			f := newFetcher(t)
			f.policy.Attempts = 1
			got, _, err := fetch(t.Context(), f, server.asset(len(file)), nil)
			if pipeline.CodeOf(err) != c.code || err == nil && !bytes.Equal(got, file) {
				t.Fatalf("%d bytes, error %v (%s); want %q", len(got), err, pipeline.CodeOf(err), c.code)
			}
			if err != nil {
				clean(t, err.Error())
				clean(t, fmt.Sprint(pipeline.AsError(err).Err))
				if !strings.Contains(err.Error(), c.says) {
					t.Errorf("error is %q, want %q in it", err, c.says)
				}
			}
			if server.n != c.requests {
				t.Errorf("%d requests, want %d", server.n, c.requests)
			}
		})
	}
}

func TestCheckRedirect(t *testing.T) {
	for _, c := range []struct {
		from, to string
		followed bool
	}{
		{"https://cdn.example/a", "https://other.example/a", true},
		{"https://cdn.example/a", "http://cdn.example/a", false},
		{"https://cdn.example/a", "https://127.0.0.1/a", false}, // nobody outside sends us in
		{"https://cdn.example/a", "http://localhost:80/a", false},
		{"http://127.0.0.1:1/a", "http://127.0.0.1:2/a", true},
		{"http://127.0.0.1:1/a", "https://cdn.example/a", true},
	} {
		from, err := http.NewRequest("GET", c.from, nil)
		if err != nil {
			t.Fatal(err)
		}
		to, err := http.NewRequest("GET", c.to, nil)
		if err != nil {
			t.Fatal(err)
		}
		to.Header.Set("Referer", c.from)
		err = checkRedirect(to, []*http.Request{from})
		if (err == nil) != c.followed {
			t.Errorf("%s to %s: %v; want followed %v", c.from, c.to, err, c.followed)
		}
		if to.Header.Get("Referer") != "" {
			t.Errorf("%s to %s: the referrer is sent", c.from, c.to)
		}
	}
}

func TestLinksRefused(t *testing.T) {
	for _, link := range []string{"http://cdn.example/a?Signature=" + secret, "ftp://cdn.example/a", "file:///etc/passwd", "https:///a", "", "::?" + secret} {
		_, _, err := New(Options{}).Open(t.Context(), pipeline.Asset{ID: "asset_X", URL: link}, nil)
		if pipeline.CodeOf(err) != pipeline.CodeDownload {
			t.Errorf("%s: %v, want it refused", link, err)
			continue
		}
		clean(t, err.Error())
	}
}

func TestNamesInLinksAreNotSent(t *testing.T) {
	file := noise(10)
	server := newCDN(t, func(v visit) { v.whole(file, strong) }) // which fails the test at an Authorization header
	asset := server.asset(len(file))
	asset.URL = strings.Replace(asset.URL, "http://", "http://user:word@", 1)
	if _, _, err := fetch(t.Context(), newFetcher(t), asset, nil); err != nil {
		t.Error(err)
	}
}

func TestRefusedWithoutFresh(t *testing.T) {
	server := newCDN(t, func(v visit) { v.WriteHeader(http.StatusForbidden) })
	_, _, err := fetch(t.Context(), newFetcher(t), server.asset(10), nil)
	if pipeline.CodeOf(err) != pipeline.CodeURLExpired || server.n != 1 {
		t.Errorf("%v after %d requests; want %s after one", err, server.n, pipeline.CodeURLExpired)
	}
}

// Whoever closes a stream, at whatever point, lets go of its connection: the test's end checks that nothing is left.
func TestCloseReleases(t *testing.T) {
	file := noise(1 << 20)
	server := newCDN(t, func(v visit) {
		v.says(file, strong).Write(file[:100_000])
		v.hang()
	})
	f := newFetcher(t)
	f.stall = time.Hour
	for _, n := range []int64{0, 1, 100_000} {
		body, _, err := f.Open(t.Context(), server.asset(len(file)), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(io.Discard, body, n); err != nil {
			t.Fatal(err)
		}
		var reading sync.WaitGroup
		if n == 100_000 { // another goroutine waits for what will never come
			reading.Go(func() {
				if _, err := body.Read(make([]byte, 10)); err == nil || err == io.EOF {
					t.Errorf("a read that was closed upon ends with %v", err)
				}
			})
		}
		body.Close()
		reading.Wait()
		if _, err := body.Read(make([]byte, 10)); err == nil || err == io.EOF {
			t.Errorf("a read after Close ends with %v", err)
		}
		if err := body.Close(); err != nil {
			t.Errorf("the second Close: %v", err)
		}
	}
}

func TestReadAllocatesNothing(t *testing.T) {
	file := noise(8 << 20)
	server := newCDN(t, func(v visit) { v.whole(file, strong) })
	body, _, err := newFetcher(t).Open(t.Context(), server.asset(len(file)), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	buf := make([]byte, 64)
	if n := testing.AllocsPerRun(1000, func() { body.Read(buf) }); n > 0 {
		t.Errorf("%v allocations a read", n)
	}
}

// BenchmarkStream holds a stream against a bare request to the same server.
func BenchmarkStream(b *testing.B) {
	file := noise(64 << 20)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", strong)
		w.Header().Set("Content-Length", strconv.Itoa(len(file)))
		w.Write(file)
	}))
	defer server.Close()
	buf := make([]byte, 64<<10)
	toNull, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer toNull.Close()
	drain := func(b *testing.B, r io.Reader) {
		n, err := io.CopyBuffer(struct{ io.Writer }{toNull}, struct{ io.Reader }{r}, buf)
		if err != nil || n != int64(len(file)) {
			b.Fatal(n, err)
		}
	}
	b.Run("fetch", func(b *testing.B) {
		f := New(Options{})
		defer f.CloseIdleConnections()
		b.SetBytes(int64(len(file)))
		for b.Loop() {
			body, _, err := f.Open(b.Context(), pipeline.Asset{URL: server.URL, Bytes: int64(len(file))}, nil)
			if err != nil {
				b.Fatal(err)
			}
			drain(b, body)
			body.Close()
		}
	})
	b.Run("bare", func(b *testing.B) {
		defer http.DefaultClient.CloseIdleConnections()
		b.SetBytes(int64(len(file)))
		for b.Loop() {
			resp, err := http.Get(server.URL)
			if err != nil {
				b.Fatal(err)
			}
			drain(b, resp.Body)
			resp.Body.Close()
		}
	})
}
