package cli

import (
	"sync"
	"time"

	"dailies/pipeline"
)

// A watcher passes notices of the adapters on to the observer, which is made after they are.
type watcher struct {
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

func (w *watcher) observe(tell pipeline.Observer) {
	w.mu.Lock()
	waiting := w.waiting
	w.tell, w.waiting = tell, nil
	w.mu.Unlock()
	for _, m := range waiting {
		w.notice(m)
	}
}
