// Package manifest reads the YAML file a user writes and makes the items of it: defaults merged, matrices expanded,
// references resolved, every payload held against its model's contract, every input file found and digested.
//
// It promises to report everything that is wrong in one pass, each problem with the line and column of the very value
// or key; to end quickly and in bounded memory whatever the file holds; and to be deterministic: the same manifest
// and files make the same items with the same fingerprints. It refuses what it does not know (keys, names, models)
// rather than guess, reads no environment, and asks no network.
package manifest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"dailies/pipeline"
)

// Options are what a manifest is read with.
type Options struct {
	Contracts    pipeline.Contracts                   // required
	AllowOutside bool                                 // input files may be outside the manifest's folder
	AllowUnknown func(model string) pipeline.Contract // stands in for models nobody knows; nil: they are problems
}

// A Manifest is one file, read, expanded and checked.
type Manifest struct {
	Path   string // as given
	Dir    string // the folder relative paths start from
	SHA256 string // lower-case hex, of the file's bytes, and of those of the files of rows it reads

	Batch  string
	Output string // as written; empty when the file names none. See OutputPath
	Key    string // the template; pipeline.DefaultKey when the file names none
	State  string // as written; empty when the file names none

	Limits       Limits
	OnLostSubmit string // "adopt-or-resubmit", "hold", or empty
	Notify       Notify
	Items        []*pipeline.Item
	Notes        []Problem // changes made to payloads, and what deserves a look
}

// Limits are what the file says of them; zero values are for what it leaves open.
type Limits struct {
	Concurrency       int           // jobs in flight; 0 is auto
	RequestsPerMinute int           // 0 is the default
	Budget            *pipeline.CU  // nil is none
	Deadline          time.Duration // 0 is none
	MaxFailures       string        // "20" or "10%"; empty is none
}

// OutputPath is the output with a relative folder put under the manifest's; empty when the file names none.
func (m *Manifest) OutputPath() string { return m.under(m.Output) }

// StatePath is the state with a relative folder put under the manifest's; empty when the file names none.
func (m *Manifest) StatePath() string { return m.under(m.State) }

func (m *Manifest) under(p string) string {
	if p == "" || strings.Contains(p, "://") || filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(m.Dir, filepath.FromSlash(p))
}

// Load reads the manifest in a file. The error is Problems, or a *pipeline.Error when the file cannot be read.
func Load(path string, o Options) (*Manifest, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return Parse(path, data, o)
}

// readFile reads at most a byte more than a manifest may have: files without an end are no trouble.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		e := pipeline.Errorf(pipeline.CodeManifest, "manifest %s cannot be read: %w", path, reason(err))
		if errors.Is(err, fs.ErrNotExist) {
			e.Message, e.Hint = fmt.Sprintf("no manifest at %s", path), "check the path; dailies init writes a manifest to start from"
		}
		return nil, e
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err != nil {
		e := pipeline.Errorf(pipeline.CodeManifest, "manifest %s cannot be read: %w", path, reason(err))
		if info, statErr := f.Stat(); statErr == nil && info.IsDir() {
			e.Message, e.Hint = path+" is a folder", "name the manifest file in it"
		}
		return nil, e
	}
	return data, nil
}

// reason is an error of the file system without the path, which messages name themselves.
func reason(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}

// Parse reads a manifest that is at hand; name is what messages call it, and its folder is where relative paths
// start from. The error is Problems.
func Parse(name string, data []byte, o Options) (*Manifest, error) {
	r := read(name, data, o, splitAbove)
	if r.miscut {
		r = read(name, data, o, maxBytes)
	}
	if problems := r.problems.sorted(); len(problems) > 0 {
		return nil, Problems(problems)
	}
	r.m.Notes = r.notes.sorted()
	return r.m, nil
}

// reader is the state of one reading.
type reader struct {
	o   Options
	m   *Manifest
	src *source

	sources  []*source        // the manifest, then the files of rows
	rowFiles map[string]int32 // files of rows by name

	problems, notes collector

	splitAbove int   // see split.go
	offset     int32 // lines before the piece being read
	miscut     bool

	open    map[*yaml.Node]bool // anchors being resolved
	inAlias int
	aliased int // values that came through aliases
	bomb    bool

	vars     map[string]*value
	unread   map[string]*entry // vars not read yet
	reading  []string          // vars being read, one made of the next
	inputs   map[string]*value // nil values are inputs a problem has been reported about
	used     map[string]bool   // inputs somebody refers to
	defaults defaults
	salt     string
	files    files
	models   map[string]*model
	shapes   map[string]string // price shapes, each kept once

	items   []drawn
	byID    map[string]int32
	missing bool // some items could not be made: references to unknown ones may be right

	values int // made so far, with bytes of text, over all payloads
	bytes  int
	full   bool

	guesses int  // names compared for hints
	over    bool // too many items
}

func (r *reader) problem(at pos, message, hint string) { r.problems.add(at, pos{}, "", message, hint) }

// itemProblem reports what was met in a scope.
func (r *reader) itemProblem(sc *scope, at pos, message, hint string) {
	r.problems.add(at, sc.other(at), sc.item, message, hint)
}

// other is the place that completes at: the row for a place in the manifest, the manifest's item for one in a row.
func (sc *scope) other(at pos) pos {
	if at.file != 0 {
		return sc.entry
	}
	return sc.from
}

// read reads a manifest, in pieces when it is larger than splitAbove.
func read(name string, data []byte, o Options, splitAbove int) *reader {
	r := &reader{o: o, m: &Manifest{Path: name, Dir: filepath.Dir(name), Key: pipeline.DefaultKey}, splitAbove: splitAbove}
	defer r.files.close()
	r.read(data)
	return r
}

func (r *reader) read(data []byte) {
	sum := sha256.Sum256(data)
	r.m.SHA256 = hex.EncodeToString(sum[:])
	data = trimBOM(data)
	if len(data) > maxBytes {
		r.setText(nil)
		r.problem(pos{}, "the manifest is larger than 10 MiB", "split it into several batches, or use matrix")
		return
	}
	r.setText(data)
	doc := r.parseYAML()
	if doc == nil {
		return
	}
	fs := r.fields(r.convert(doc.root, 0), theManifest, manifestKeys)
	if fs == nil {
		return
	}
	r.header(fs)
	if r.readItems(fs["items"], doc.items); r.miscut {
		return
	}
	r.unusedInputs(fs["inputs"])
	r.link()
	r.digestRows()
}

// setText makes the manifest's text known to all who show places in it.
func (r *reader) setText(data []byte) {
	r.src = newSource(data)
	r.src.name = r.m.Path
	r.sources = []*source{r.src}
	r.problems.sources, r.notes.sources = &r.sources, &r.sources
}

func trimBOM(data []byte) []byte {
	if len(data) >= 3 && data[0] == 0xEF && data[1] == 0xBB && data[2] == 0xBF {
		return data[3:]
	}
	return data
}
