package scenario

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"dailies/pipeline"
)

// A fragile connection fails to write when told to, after so many bytes of the piece at hand.
type fragile struct {
	net.Conn
	fails func() (after int, fail bool)
}

func (f *fragile) Write(p []byte) (int, error) {
	after, fail := f.fails()
	if !fail {
		return f.Conn.Write(p)
	}
	n, _ := f.Conn.Write(p[:after])
	return n, errors.New("write: broken pipe")
}

// On a connection that served a submit before, the next is lost as soon as one byte of it may have left, and provably
// not sent while none has. Either way it is sent once.
func TestSubmitOnAConnectionThatIsDead(t *testing.T) {
	for _, tt := range []struct {
		name  string
		after int
		want  pipeline.Error
	}{
		{"before the first byte", 0, pipeline.Error{Code: pipeline.CodeAPIUnavailable, Refused: true}},
		{"after the first byte", 1, pipeline.Error{Code: pipeline.CodeSubmitLost}},
	} {
		for _, secure := range []bool{false, true} {
			t.Run(tt.name, func(t *testing.T) {
				var mu sync.Mutex
				var paid, dialed int
				broken := false
				srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					io.Copy(io.Discard, r.Body)
					mu.Lock()
					defer mu.Unlock()
					paid++
					io.WriteString(w, `{"job":{"jobId":"job_1"}}`)
				}))
				if secure {
					srv.StartTLS()
				} else {
					srv.Start()
				}
				defer srv.Close()
				tr := srv.Client().Transport.(*http.Transport).Clone()
				tr.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
					mu.Lock()
					defer mu.Unlock()
					dialed++
					conn, err := new(net.Dialer).DialContext(ctx, network, address)
					return &fragile{Conn: conn, fails: func() (int, bool) {
						mu.Lock()
						defer mu.Unlock()
						return tt.after, broken
					}}, err
				}
				c, err := New(Config{BaseURL: srv.URL, Key: testKey, Secret: testSecret, Transport: tr})
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				for range 3 {
					if _, err := c.Submit(t.Context(), "model_x", []byte(payload), nil); err != nil {
						t.Fatal(err)
					}
				}
				mu.Lock()
				broken = true
				mu.Unlock()
				_, err = c.Submit(t.Context(), "model_x", []byte(payload), nil)
				checkError(t, err, tt.want)
				mu.Lock()
				defer mu.Unlock()
				if paid != 3 || dialed != 1 {
					t.Errorf("%d submits arrived over %d connections", paid, dialed)
				}
			})
		}
	}
}

// A connection that worked before and dies with the request on it is what net/http replays requests on.
func TestSubmitOnAReusedConnectionIsNeverReplayed(t *testing.T) {
	var mu sync.Mutex
	var from []string // the connection each submit came over
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		mu.Lock()
		defer mu.Unlock()
		if from = append(from, r.RemoteAddr); len(from)%2 == 1 {
			io.WriteString(w, `{"job":{"jobId":"job_1"}}`)
			return
		}
		conn, _, _ := http.NewResponseController(w).Hijack()
		if len(from)%4 == 0 {
			reset(conn)
		}
		conn.Close()
	}))
	defer srv.Close()
	c := clientOf(t, srv)
	for i := range 20 {
		if _, err := c.Submit(t.Context(), "model_x", []byte(payload), nil); err != nil {
			t.Fatal(err)
		}
		_, err := c.Submit(t.Context(), "model_x", []byte(payload), nil)
		checkError(t, err, pipeline.Error{Code: pipeline.CodeSubmitLost})
		mu.Lock()
		if len(from) != 2*(i+1) || from[2*i] != from[2*i+1] {
			t.Fatalf("%d submits arrived of %d made, the last over %v", len(from), 2*(i+1), from[max(0, len(from)-2):])
		}
		mu.Unlock()
	}
}
