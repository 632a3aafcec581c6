package pipeline

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// DefaultKey is the object key template of a manifest that names none.
const DefaultKey = "{item}{-n}{ext}"

// KeyParts fill in an object key template.
type KeyParts struct {
	Item, Batch, Model string
	N, Of              int    // this is output N (from 1) of Of
	Ext                string // ".mp4"
}

// ObjectKey fills in a template: {item}, {batch}, {model}, {ext}, {n}, and {-n}, which is "-2" for the second of
// several outputs and empty for the only one.
func ObjectKey(template string, p KeyParts) string {
	var key strings.Builder
	for {
		before, rest, more := strings.Cut(template, "{")
		key.WriteString(before)
		if !more {
			return key.String()
		}
		field, after, _ := strings.Cut(rest, "}")
		key.WriteString(p.field(field))
		template = after
	}
}

func (p KeyParts) field(name string) string {
	switch name {
	case "item":
		return p.Item
	case "batch":
		return p.Batch
	case "model":
		return p.Model
	case "ext":
		return p.Ext
	case "n":
		return strconv.Itoa(p.N)
	case "-n":
		if p.Of > 1 {
			return "-" + strconv.Itoa(p.N)
		}
	}
	return ""
}

var keyFields = []string{"item", "batch", "model", "ext", "n", "-n"}

// reserved are the names under the output that are the program's own.
var reserved = []string{".dailies", "results.json", "results.csv", "index.html", "picks.yaml"}

// CheckKey says what is wrong with an object key template, nil when nothing is.
func CheckKey(template string) error {
	rest := template
	for {
		before, after, ok := strings.Cut(rest, "{")
		if strings.Contains(before, "}") {
			return fmt.Errorf("key %q has a } without its {", template)
		}
		if !ok {
			break
		}
		field, tail, ok := strings.Cut(after, "}")
		if !ok {
			return fmt.Errorf("key %q has a { without its }", template)
		}
		if !slices.Contains(keyFields, field) {
			return fmt.Errorf("key %q has an unknown field {%s}; it can hold {item}, {batch}, {model}, {n}, {-n} and {ext}", template, field)
		}
		rest = tail
	}
	if !strings.Contains(template, "{n}") && !strings.Contains(template, "{-n}") {
		return fmt.Errorf("key %q would put the several files of one item in the same place; add {-n} (empty for a single file) or {n}", template)
	}
	return CheckObjectKey(ObjectKey(template, KeyParts{Item: "item", Batch: "batch", Model: "model", N: 1, Of: 2, Ext: ".ext"}))
}

// CheckObjectKey says what is wrong with a finished key, nil when nothing is. It must be a clean relative path that
// every destination can hold and that does not touch the program's own files.
func CheckObjectKey(key string) error {
	switch {
	case key == "":
		return fmt.Errorf("the key is empty")
	case len(key) > 900:
		return fmt.Errorf("the key is %d bytes long; S3 takes 1,024 with the prefix", len(key))
	case strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r == 0x7f || strings.ContainsRune(`\:*?"<>|`, r) }):
		return fmt.Errorf(`key %q holds a character that not every file system takes (\ : * ? " < > | or a control character)`, key)
	case path.IsAbs(key) || path.Clean(key) != key || key == "." || key == ".." || strings.HasPrefix(key, "../"):
		return fmt.Errorf("key %q is not a plain relative path", key)
	}
	for segment := range strings.SplitSeq(key, "/") {
		if len(segment) > 200 {
			return fmt.Errorf("a part of key %q is %d bytes long; file systems take 255 with a suffix", key, len(segment))
		}
		if strings.HasSuffix(segment, ".") || strings.HasSuffix(segment, " ") {
			return fmt.Errorf("a part of key %q ends in a dot or a space, which not every file system takes", key)
		}
	}
	first, _, _ := strings.Cut(key, "/")
	if slices.Contains(reserved, strings.ToLower(first)) {
		return fmt.Errorf("key %q is in the place of dailies' own %s", key, first)
	}
	return nil
}
