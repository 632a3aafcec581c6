package cli

import (
	"sync"
	"sync/atomic"
	"time"

	"dailies/internal/telemetry"
	"dailies/pipeline"
)

// A watcher passes what the adapters notice on to those who observe, who are there later than they are.
type watcher struct {
	exchanges atomic.Pointer[telemetry.Telemetry]

	mu      sync.Mutex
	tell    pipeline.Observer
	waiting []string
}

func (w *watcher) notice(message string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.tell == nil {
		w.waiting = append(w.waiting, message)
		return
	}
	w.tell(pipeline.Event{At: time.Now(), Kind: pipeline.EventNotice, Message: message})
}

// exchange is told of requests to the API.
func (w *watcher) exchange(kind string, status int, took time.Duration) {
	w.exchanges.Load().Exchange(kind, status, took)
}

func (w *watcher) observe(tell pipeline.Observer) {
	w.mu.Lock()
	waiting := w.waiting
	w.tell, w.waiting = tell, nil
	w.mu.Unlock()
	for _, m := range waiting {
		w.notice(m)
	}
}
