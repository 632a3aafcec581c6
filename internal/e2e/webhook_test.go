package e2e

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"
)

// A webhook keeps what it is told, as a chat's would show it.
type webhook struct {
	mu    sync.Mutex
	texts []string
}

func (h *webhook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var message struct{ Text string }
	if err := json.NewDecoder(r.Body).Decode(&message); err != nil || r.URL.Path != "/services/SECRET" {
		http.Error(w, "invalid_payload", http.StatusBadRequest)
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.texts = append(h.texts, message.Text)
}

func startWebhook(ts *testscript.TestScript, neg bool, args []string) {
	hook := &webhook{}
	server := httptest.NewServer(hook)
	ts.Defer(server.Close)
	ts.Setenv("HOOK", server.URL+"/services/SECRET")
	around(ts).hook = hook
}

// told looks at the last thing the webhook was told.
func told(ts *testscript.TestScript, neg bool, args []string) {
	hook := around(ts).hook
	hook.mu.Lock()
	defer hook.mu.Unlock()
	last := ""
	if n := len(hook.texts); n > 0 {
		last = hook.texts[n-1]
	}
	if regexp.MustCompile(args[0]).MatchString(last) == neg {
		ts.Fatalf("the webhook was last told %q", last)
	}
}
