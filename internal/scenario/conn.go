package scenario

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// buyingIdle is how long a connection that a submit has used waits for another. It is shorter than any server or
// gateway keeps one open (Node's five seconds are the least seen), so that hardly ever a submit meets one that is
// just being closed, and long enough at the pace the API allows.
const buyingIdle = 2 * time.Second

// forBuying makes a transport for submits of another. They go over HTTP/1.1, so that none shares a connection while it
// is under way and a failure is that of one purchase alone; and over connections that tell what was written to them.
//
// A connection is used again for a while. That net/http replays requests on those is no danger: it does so only with
// what it can rewind, which a submit is not (see [Client.request]).
func forBuying(t *http.Transport) *http.Transport {
	t = t.Clone()
	t.IdleConnTimeout = buyingIdle
	t.MaxIdleConns, t.MaxIdleConnsPerHost = 64, 64
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP1(true)
	t.TLSNextProto = nil
	if t.TLSClientConfig != nil { // what the clone took over offers HTTP/2
		t.TLSClientConfig.NextProtos = nil
	}
	dial := t.DialContext
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	t.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &witness{Conn: c}, nil
	}
	return t
}

// A witness is a connection that knows whether anything may have been sent over it.
type witness struct {
	net.Conn
	writes atomic.Int64 // under way, or of which something was taken
}

// witnessOf returns the witness a connection is, or runs over; nil when there is none.
func witnessOf(c net.Conn) *witness {
	if secure, ok := c.(*tls.Conn); ok {
		c = secure.NetConn()
	}
	w, _ := c.(*witness)
	return w
}

func (w *witness) Write(p []byte) (int, error) {
	w.writes.Add(1)
	n, err := w.Conn.Write(p)
	if n == 0 && err != nil {
		w.writes.Add(-1) // the system took nothing
	}
	return n, err
}
