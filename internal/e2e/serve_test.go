package e2e

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// serve serves a handler on loopback and returns the base URL of the API it is.
func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL + "/v1"
}

func itoa(n int) string { return strconv.Itoa(n) }

// age moves a lock's heartbeat into the past, as time would.
func age(t *testing.T, lock string, by time.Duration) {
	t.Helper()
	data, err := os.ReadFile(lock)
	if err != nil {
		t.Fatal(err)
	}
	var note map[string]any
	if err := json.Unmarshal(data, &note); err != nil {
		t.Fatal(err)
	}
	note["heartbeat_at"] = time.Now().Add(-by).UTC()
	if data, err = json.Marshal(note); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(lock, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// slowCDN lets every download wait before it begins.
func slowCDN(h http.Handler, by time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/cdn/") {
			select {
			case <-time.After(by):
			case <-r.Context().Done():
			}
		}
		h.ServeHTTP(w, r)
	})
}
