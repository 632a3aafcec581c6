package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var testFacts = []byte(`{"model_a":{"shots":{"inputs":[{"name":"prompt","type":"string","required":{"always":true}}]}}}`)

func TestBuild(t *testing.T) {
	want, err := os.ReadFile("testdata/want.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 { // maps must not decide the order
		got, err := build(os.DirFS("testdata"), testFacts)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("got\n%s\nwant\n%s", got, want)
		}
	}
}

func TestBuildRefusesWhatWouldBeLost(t *testing.T) {
	for facts, want := range map[string]string{
		`{"model_z":{"image":{"kind":"image"}}}`: "model_z is in no table",
		`{"model_a":{"frame":{"kind":"image"}}}`: "model_a has no input frame",
		`{"model_a":{"image":{"maxItems":3}}}`:   `unknown field "maxItems"`,
		`{"model_a":{"image":{"kind":"image"}}`:  "facts.json",
	} {
		if _, err := build(os.DirFS("testdata"), []byte(facts)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", facts, err, want)
		}
	}
	if err := run("", "x"); err == nil {
		t.Error("no tables, no error")
	}
	if err := run(t.TempDir(), filepath.Join(t.TempDir(), "x")); err == nil {
		t.Error("an empty folder, no error")
	}
}

// The committed facts must be in the committed snapshot: somebody who edits one must run the generator.
func TestFactsAreInTheSnapshot(t *testing.T) {
	data, err := os.ReadFile("../data/models.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	models := map[string]*model{}
	for i, line := range strings.Split(strings.TrimSpace(string(data)), "\n") {
		if i == 0 {
			continue
		}
		var m model
		dec := json.NewDecoder(strings.NewReader(line))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&m); err != nil {
			t.Fatalf("line %d: %v", i+1, err)
		}
		models[m.ID] = &m
	}
	before := encode(t, models)
	if err := complete(models, facts); err != nil {
		t.Fatal(err)
	}
	if after := encode(t, models); before != after {
		t.Error("facts.json says more than data/models.jsonl: run go generate ./internal/catalog")
	}
}

func encode(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
