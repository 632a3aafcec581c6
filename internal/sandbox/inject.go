package sandbox

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// spoil carries out a fault of the exchange itself. made is the answer that was due, nil when there is none.
func (s *Server) spoil(w http.ResponseWriter, r *http.Request, f *cue, status int, made []byte) {
	switch f.Fault {
	case "reset-before", "reset-after":
		reset(w)
	case "hang":
		s.wait(r, f.For)
		reset(w)
	case "429":
		writeJSON(w, http.StatusTooManyRequests, []byte(`{"message":"Too Many Requests"}`))
	case "429-retry-after":
		seconds := (f.RetryAfter + time.Second - 1) / time.Second
		w.Header().Set("Retry-After", strconv.Itoa(int(seconds)))
		writeJSON(w, http.StatusTooManyRequests, []byte(`{"message":"Too Many Requests"}`))
	case "500":
		writeJSON(w, http.StatusInternalServerError, []byte(`{"message":"Internal server error"}`))
	case "503":
		writeJSON(w, http.StatusServiceUnavailable, []byte(`{"message":"Service Unavailable"}`))
	case "html-502":
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusBadGateway)
		_, _ = w.Write([]byte("<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body><center><h1>502 Bad Gateway</h1></center></body>\r\n</html>\r\n"))
	case "malformed-json":
		writeJSON(w, status, append([]byte(`{"job":{"jobId":`), made[:len(made)/2]...))
	case "truncate", "stall":
		if len(made) == 0 {
			made = []byte("{}") // an answer without a body cannot be cut
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(made)))
		writeJSON(&cutWriter{ResponseWriter: w, server: s, r: r, rule: f, left: -1}, status, made)
	}
}

// wait passes the time, until the client goes away or the server closes.
func (s *Server) wait(r *http.Request, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-r.Context().Done():
	case <-s.done:
	}
}

// reset ends the connection rudely: on TCP with RST, elsewhere with whatever the server does for an aborted handler.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(interface{ SetLinger(seconds int) error }); ok {
		_ = tcp.SetLinger(0)
	}
	conn.Close()
}

// cutWriter lets a part of a body through, then does what its rule says.
type cutWriter struct {
	http.ResponseWriter
	server *Server
	r      *http.Request
	rule   *cue
	left   int64 // -1 until the header tells how long the body is
}

func (w *cutWriter) WriteHeader(status int) {
	w.measure()
	w.ResponseWriter.WriteHeader(status)
}

func (w *cutWriter) measure() {
	if w.left >= 0 {
		return
	}
	total, _ := strconv.ParseInt(w.Header().Get("Content-Length"), 10, 64)
	w.left = int64(w.rule.At * float64(total))
	if w.rule.Bytes > 0 {
		w.left = w.rule.Bytes
	}
}

func (w *cutWriter) Write(p []byte) (int, error) {
	w.measure()
	if int64(len(p)) <= w.left {
		n, err := w.ResponseWriter.Write(p)
		w.left -= int64(n)
		return n, err
	}
	_, _ = w.ResponseWriter.Write(p[:w.left])
	_ = http.NewResponseController(w.ResponseWriter).Flush()
	switch w.rule.Fault {
	case "reset-after":
		reset(w.ResponseWriter)
	case "stall":
		w.server.wait(w.r, w.rule.For)
	}
	panic(http.ErrAbortHandler) // the connection ends here, short of what was announced
}

func writeJSON(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// An answer waiting to be written.
type reply struct {
	status int
	body   any
}

func answer(body any) reply { return reply{http.StatusOK, body} }

// refuse makes an error as the API words them. [CODE][SEEN] {"reason": …}
func refuse(status int, reason string) reply {
	return reply{status, map[string]any{"reason": reason}}
}

// gateway makes an error as the gateway before the API words them. [CODE] {"message": …}
func gateway(status int, message string) reply {
	return reply{status, map[string]any{"message": message}}
}

// broken is an error of the sandbox's own making, such as a full disk.
func broken(err error) reply {
	return reply{http.StatusInternalServerError, map[string]any{"message": "Internal server error", "sandbox": err.Error()}}
}

func (r reply) encode() []byte {
	if raw, ok := r.body.(json.RawMessage); ok {
		return raw
	}
	b, err := json.Marshal(r.body)
	if err != nil { // nothing the sandbox answers with can fail to encode
		panic(err)
	}
	return b
}
