package store_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"dailies/internal/store"
	"dailies/pipeline"
)

func TestOpenRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for uri, code := range map[string]pipeline.Code{
		"":                   pipeline.CodeUsage,
		"s3://":              pipeline.CodeUsage,
		"s3:///x":            pipeline.CodeUsage,
		"s3://b/x/../y":      pipeline.CodeUsage,
		"s3://b/x//y":        pipeline.CodeUsage,
		"gs://bucket/x":      pipeline.CodeUsage,
		"https://host/x":     pipeline.CodeUsage,
		file:                 pipeline.CodeDestinationDenied,
		file + "/below":      pipeline.CodeDestinationDenied,
		"nul\x00in the name": pipeline.CodeDestinationDenied,
	} {
		if s, err := store.Open(t.Context(), uri, store.Options{}); pipeline.CodeOf(err) != code {
			t.Errorf("Open(%q) = %v, %v; want %s", uri, s, err, code)
		}
	}
}

func TestFolderIsConfined(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Log("making symbolic links takes a privilege there; the confinement is os.Root's")
		return
	}
	outside, dir := t.TempDir(), t.TempDir()
	if err := os.Symlink(outside, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir, store.Options{})
	_, err := s.Put(t.Context(), "link/x", strings.NewReader("x"), 1, pipeline.ObjectMeta{})
	_, recordErr := s.WriteRecord(t.Context(), "link/x", []byte("x"), "")
	for _, err := range []error{err, recordErr} {
		if e := pipeline.AsError(err); e == nil || e.Code != pipeline.CodeDestinationDenied || !strings.Contains(e.Hint, "symbolic link") {
			t.Errorf("a link out of the folder was followed: %v", err)
		}
	}
	if left, _ := os.ReadDir(outside); len(left) != 0 {
		t.Errorf("%v was written outside", left)
	}
	wantScratch(t, dir)
}

func TestUnfinishedFilesAreClearedAway(t *testing.T) {
	dir := t.TempDir()
	scratch := filepath.Join(dir, ".dailies", "tmp")
	if err := os.MkdirAll(scratch, 0o777); err != nil {
		t.Fatal(err)
	}
	for name, age := range map[string]time.Duration{"old.part": 25 * time.Hour, "fresh.part": time.Hour, "somebody's": 1000 * time.Hour} {
		path := filepath.Join(scratch, name)
		if err := os.WriteFile(path, []byte("half"), 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Time{}, time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	if err := open(t, dir, store.Options{}).Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantScratch(t, dir, "fresh.part", "somebody's")
}

// TestNothingIsLeftInScratch after writes that succeeded, failed and lost.
func TestNothingIsLeftInScratch(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	put(t, s, "x", "1")
	put(t, s, "x", "2")
	if _, err := s.Put(t.Context(), "y", strings.NewReader("short"), 9, pipeline.ObjectMeta{}); err == nil {
		t.Error("a short body was stored")
	}
	if _, err := s.Put(t.Context(), "x/below a file", strings.NewReader("x"), 1, pipeline.ObjectMeta{}); pipeline.CodeOf(err) != pipeline.CodeDestination {
		t.Errorf("a key below a file: %v", err)
	}
	writeRecord(t, s, "r", "1", "")
	if _, err := s.WriteRecord(t.Context(), "r", []byte("2"), ""); err == nil {
		t.Error("a record was created twice")
	}
	wantScratch(t, dir)
}

func wantScratch(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, ".dailies", "tmp"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		if e.Name() != "turn.lock" {
			got = append(got, e.Name())
		}
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("scratch holds %q, want %q", got, want)
	}
}
