package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"dailies/internal/sandbox"
)

// A gate stands before a server, sees every exchange, and can spoil it or spring a trap at it.
type gate struct {
	next http.Handler

	mu     sync.Mutex
	seen   map[string]int // exchanges by kind, since reset
	trap   *trap
	chance float64 // of a fault at any exchange
	luck   *rand.Rand
	struck int // faults so far
}

// A trap springs at the nth exchange of a kind.
type trap struct {
	kind  string
	nth   int
	when  moment
	fire  func() // returns when the process is dead
	after int    // midway: so many bytes of the answer have left
}

// A moment is where in an exchange a trap springs.
type moment string

const (
	arrives    moment = "as it arrives"           // then it is carried out, for nobody
	vanishes   moment = "before it arrives"       // nothing is carried out
	unanswered moment = "before it is answered"   // it has been carried out
	answered   moment = "as it has been answered" // whether or not the answer was read
	midway     moment = "in the midst of an answer"
)

var moments = []moment{arrives, vanishes, unanswered, answered}

func newGate(next http.Handler) *gate { return &gate{next: next, seen: map[string]int{}} }

// kindOf names an exchange: with the API, with its CDN, or with S3.
func kindOf(r *http.Request) string {
	path := r.URL.Path
	switch {
	case strings.HasPrefix(path, "/v1/generate/") && r.URL.Query().Get("dryRun") != "":
		return "quote"
	case strings.HasPrefix(path, "/v1/generate/"):
		return "submit"
	case strings.HasPrefix(path, "/cdn/"):
		return "asset"
	case strings.HasPrefix(path, "/v1/jobs"):
		return "jobs"
	case strings.HasPrefix(path, "/v1/assets/get-bulk"):
		return "bulk"
	case strings.HasSuffix(path, "/_sandbox"):
		return "probe"
	case strings.HasPrefix(path, "/v1/"), strings.HasPrefix(path, "/s3/"):
		return "other"
	case r.Method == http.MethodPut && strings.Contains(path, ".dailies/items/"):
		return "record"
	case r.Method == http.MethodPut && !strings.Contains(path, ".dailies"):
		return "object"
	}
	return "s3"
}

// set arms the gate, or disarms it with nil, and counts anew.
func (g *gate) set(t *trap) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.trap = t
	clear(g.seen)
}

func (g *gate) draw(kind string) (sprung *trap, fault string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.seen[kind]++
	if t := g.trap; t != nil && t.kind == kind && t.nth == g.seen[kind] {
		g.trap = nil
		return t, ""
	}
	if g.chance > 0 && kind != "probe" && g.luck.Float64() < g.chance {
		g.struck++
		kinds := apiFaults
		if kind == "record" || kind == "object" || kind == "s3" {
			kinds = s3Faults
		}
		return nil, kinds[g.luck.IntN(len(kinds))]
	}
	return nil, ""
}

// What a gate does to exchanges by chance. None of them proves by itself that nothing was bought.
var (
	apiFaults = []string{"reset-before", "reset-after", "429", "500", "500-after", "502", "malformed", "truncated"}
	s3Faults  = []string{"reset-before", "reset-after", "500", "503"}
)

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	sprung, fault := g.draw(kindOf(r))
	switch {
	case sprung != nil:
		g.spring(w, r, sprung)
	case fault != "":
		g.spoil(w, r, fault)
	default:
		g.next.ServeHTTP(w, r)
	}
}

// spring lets a trap spring at its moment; the client is dead when it returns, so nobody is answered.
func (g *gate) spring(w http.ResponseWriter, r *http.Request, t *trap) {
	switch t.when {
	case arrives, vanishes:
		// What is to arrive has to have left first.
		body, err := io.ReadAll(r.Body)
		t.fire()
		if t.when == vanishes || err != nil {
			break
		}
		late := r.Clone(context.WithoutCancel(r.Context())) // the connection it came by is gone
		late.Body = io.NopCloser(bytes.NewReader(body))
		g.next.ServeHTTP(httptest.NewRecorder(), late)
	case unanswered:
		g.next.ServeHTTP(httptest.NewRecorder(), r)
		t.fire()
	case answered:
		g.next.ServeHTTP(w, r)
		http.NewResponseController(w).Flush()
		t.fire()
		return
	case midway:
		g.next.ServeHTTP(&midwayWriter{ResponseWriter: w, left: t.after, fire: sync.OnceFunc(t.fire)}, r)
		return
	}
	panic(http.ErrAbortHandler)
}

// midwayWriter fires once so many bytes of an answer have left.
type midwayWriter struct {
	http.ResponseWriter
	left int
	fire func()
}

func (w *midwayWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p[:min(len(p), w.left)])
	if w.left -= n; err != nil || n == len(p) && w.left > 0 {
		return n, err
	}
	http.NewResponseController(w.ResponseWriter).Flush()
	w.fire()
	panic(http.ErrAbortHandler)
}

// spoil answers badly.
func (g *gate) spoil(w http.ResponseWriter, r *http.Request, fault string) {
	plain := func(status int, mime, body string) {
		w.Header().Set(sandbox.Header, "1")
		w.Header().Set("Content-Type", mime)
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
	switch fault {
	case "reset-before":
	case "reset-after":
		g.next.ServeHTTP(httptest.NewRecorder(), r)
	case "429":
		w.Header().Set("Retry-After", "1")
		plain(http.StatusTooManyRequests, "application/json", `{"message":"Too Many Requests"}`)
		return
	case "500":
		plain(http.StatusInternalServerError, "application/json", `{"message":"Internal server error"}`)
		return
	case "503":
		plain(http.StatusServiceUnavailable, "application/xml", `<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>`)
		return
	case "502":
		plain(http.StatusBadGateway, "text/html", "<html><body><h1>502 Bad Gateway</h1></body></html>")
		return
	case "500-after", "malformed", "truncated":
		made := httptest.NewRecorder()
		g.next.ServeHTTP(made, r)
		switch fault {
		case "500-after":
			plain(http.StatusInternalServerError, "application/json", `{"message":"Internal server error"}`)
			return
		case "malformed":
			plain(made.Code, "application/json", `{"job":{"jobId":`)
			return
		}
		w.Header().Set("Content-Type", made.Header().Get("Content-Type"))
		w.Header().Set("Content-Length", fmt.Sprint(made.Body.Len()+1))
		w.WriteHeader(made.Code)
		w.Write(made.Body.Bytes()[:made.Body.Len()/2])
		http.NewResponseController(w).Flush()
	default:
		panic("no such fault: " + fault)
	}
	panic(http.ErrAbortHandler)
}

// patient is how long a test waits for something that is bound to happen before it says that it did not.
const patient = time.Minute
