package pipeline

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// Fingerprint says whether two items are the same thing to make: SHA-256, in hex, of the canonical form of model,
// payload and salt. An input file counts by its content, an item it takes from by that item's own fingerprint
// (source gives it), so that a change is felt by all that is made from it. Position, names, times and the
// program's version do not count.
func Fingerprint(model string, payload map[string]any, salt string, source func(item string) string) string {
	stand := func(leaf any) any {
		switch v := leaf.(type) {
		case File:
			return map[string]any{"file": v.SHA256}
		case From:
			return map[string]any{"from": source(v.Item), "kind": v.Kind}
		}
		return leaf
	}
	form := map[string]any{"model": model, "payload": replaceLeaves(payload, stand)}
	if salt != "" {
		form["salt"] = salt
	}
	sum := sha256.Sum256(Canonical(form))
	return hex.EncodeToString(sum[:])
}

// Canonical is the one JSON text of a value: keys sorted, no white space, no HTML escapes, numbers as written.
// It panics on what is not JSON, because payloads are checked before they come here.
func Canonical(v any) json.RawMessage {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(fmt.Sprintf("pipeline: payload is not JSON: %v", err))
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// replaceLeaves returns a copy of a JSON value in which f has replaced every value that is not an object or an array.
func replaceLeaves(v any, f func(any) any) any {
	switch v := v.(type) {
	case map[string]any:
		m := make(map[string]any, len(v))
		for k, e := range v {
			m[k] = replaceLeaves(e, f)
		}
		return m
	case []any:
		s := make([]any, len(v))
		for i, e := range v {
			s[i] = replaceLeaves(e, f)
		}
		return s
	}
	return f(v)
}
