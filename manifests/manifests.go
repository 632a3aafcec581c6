// Package manifests holds the manifests that come with the program: examples that people run from this folder, and
// starters, which dailies init writes for them to go on from.
//
// Examples may use the pictures in refs; a starter stands alone. Every one of them is valid.
package manifests

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"
)

// Examples are this folder's manifests and their reference pictures.
//
//go:embed *.yaml refs
var Examples embed.FS

//go:embed starters
var starters embed.FS

// First is the starter for somebody who has never seen a manifest.
const First = "first"

// List names the starters, sorted.
func List() []string {
	entries, err := fs.ReadDir(starters, "starters")
	if err != nil {
		panic(err) // it is compiled in
	}
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".yaml"))
	}
	return names
}

// About is what a starter says of itself in its first sentence; empty when there is no such starter.
func About(starter string) string {
	text, err := starters.ReadFile(path.Join("starters", starter+".yaml"))
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(string(text), "# "), "\n")
	first, _, _ = strings.Cut(first, ". ")
	return strings.TrimSuffix(first, ".")
}

// Starter is the text of the first starter for a batch. See Named.
func Starter(batch string) ([]byte, error) { return Named(First, batch) }

var batchName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,99}$`)

// Named is the text of a starter for a batch, to be written to <batch>.yaml: it names both. It is an error when there
// is no such starter, or a batch cannot have the name.
func Named(starter, batch string) ([]byte, error) {
	if !batchName.MatchString(batch) {
		return nil, fmt.Errorf("%q cannot be a batch's name; use a-z, 0-9 and dashes, 100 characters at most", batch)
	}
	text, err := starters.ReadFile(path.Join("starters", starter+".yaml"))
	if err != nil {
		return nil, fmt.Errorf("no starter %q; there is: %s", starter, strings.Join(List(), ", "))
	}
	return []byte(strings.NewReplacer("{{batch}}", batch, "{{file}}", batch+".yaml").Replace(string(text))), nil
}
