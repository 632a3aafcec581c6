package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dailies/pipeline"
)

func answer(id, name string) json.RawMessage {
	return json.RawMessage(`{"model":{"id":"` + id + `","name":"` + name + `","inputs":[{"name":"prompt","type":"string"}]}}`)
}

func TestCacheKeepsWhatIsFetched(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "models", "realm")
	synctest.Test(t, func(t *testing.T) {
		c := NewCache(dir)
		if records, notes := c.Load(); len(records)+len(notes) > 0 {
			t.Errorf("an empty cache holds %v, %v", records, notes)
		}
		at := time.Now()
		err := c.Refresh(t.Context(), func(_ context.Context, id string) (json.RawMessage, error) {
			return answer(id, "live "+id), nil
		}, "model_veo3-1", "model_new")
		if err != nil {
			t.Fatal(err)
		}
		records, notes := c.Load()
		if len(records) != 2 || len(notes) > 0 {
			t.Fatalf("%v, %v", records, notes)
		}
		m, err := Snapshot().With(records).Model("veo-3.1")
		if err != nil || m.Name != "live model_veo3-1" || !m.FetchedAt.Equal(at.Truncate(time.Second)) {
			t.Errorf("%+v, %v", m, err)
		}

		time.Sleep(time.Hour) // fake: fetched again, later
		if err := c.Refresh(t.Context(), func(_ context.Context, id string) (json.RawMessage, error) { return answer(id, "newer"), nil }, "model_new"); err != nil {
			t.Fatal(err)
		}
		records, _ = c.Load()
		if m, err := Snapshot().With(records).Model("new"); err != nil || m.Name != "newer" || m.FetchedAt.Sub(at) < time.Hour-time.Second {
			t.Errorf("%+v, %v", m, err)
		}
	})
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestRefreshGoesOnAfterOneModel(t *testing.T) {
	c := NewCache(t.TempDir())
	gone := &pipeline.Error{Code: pipeline.CodeNotFound, Message: "no such model"}
	err := c.Refresh(t.Context(), func(_ context.Context, id string) (json.RawMessage, error) {
		switch id {
		case "model_gone":
			return nil, gone
		case "model_html":
			return json.RawMessage("<html>Bad Gateway</html>"), nil
		case "model_other":
			return answer("model_veo3-1", "x"), nil
		}
		return answer(id, "x"), nil
	}, "model_gone", "model_html", "model_other", "../../etc/passwd", "model_good")
	if !errors.Is(err, gone) {
		t.Errorf("the failure is lost: %v", err)
	}
	for _, want := range []string{"model_html", "it is of model_veo3-1", "cannot be a model's id"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
	if records, notes := c.Load(); len(records) != 1 || records["model_good"] == nil || len(notes) > 0 {
		t.Errorf("kept %v, %v", records, notes)
	}
}

func TestRefreshStopsWhereARunWould(t *testing.T) {
	asked := 0
	err := NewCache(t.TempDir()).Refresh(t.Context(), func(context.Context, string) (json.RawMessage, error) {
		asked++
		return nil, &pipeline.Error{Code: pipeline.CodeCredentials, Message: "401"}
	}, "model_a", "model_b", "model_c")
	if asked != 1 || pipeline.CodeOf(err) != pipeline.CodeCredentials {
		t.Errorf("asked %d times: %v", asked, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err = NewCache(t.TempDir()).Refresh(ctx, func(context.Context, string) (json.RawMessage, error) {
		t.Error("asked after the end")
		return nil, nil
	}, "model_a")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestDamagedCacheIsNoReasonToStop(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"model_cut.json":        `{"model":{"id":"model_cut","inp`,
		"model_empty.json":      "",
		"model_wrong.json":      `{"model":{"id":"model_veo3-1","inputs":[]}}`,
		"model_type.json":       `{"model":{"id":"model_type","inputs":"none"}}`,
		"model_good.json":       string(answer("model_good", "good")),
		".model_x.json.ABC.tmp": `{`,
		"README":                "not ours",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "model_huge.json"), make([]byte, maxRecord+1), 0o644); err != nil {
		t.Fatal(err)
	}
	records, notes := NewCache(dir).Load()
	if len(records) != 1 || records["model_good"] == nil {
		t.Errorf("records %v", records)
	}
	all := strings.Join(notes, "\n")
	for _, id := range []string{"model_cut", "model_empty", "model_wrong", "model_type", "model_huge"} {
		if !strings.Contains(all, id+" is not used") {
			t.Errorf("nothing is said of %s: %s", id, all)
		}
	}
	if len(notes) != 5 {
		t.Errorf("notes: %s", all)
	}
}

// Several programs share a cache; a catalog serves many goroutines.
func TestSharing(t *testing.T) {
	c := NewCache(t.TempDir())
	catalog := Snapshot()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := c.Refresh(t.Context(), func(_ context.Context, id string) (json.RawMessage, error) { return answer(id, "x"), nil }, "model_a", "model_b"); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			if _, notes := c.Load(); len(notes) > 0 {
				t.Errorf("a file was seen half written: %v", notes)
			}
			for m := range catalog.Models() {
				m.Check(map[string]any{"prompt": "x"})
			}
		})
	}
	wg.Wait()
}
