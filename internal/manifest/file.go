package manifest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"dailies/pipeline"
)

// files finds input files and digests each once.
type files struct {
	root  *os.Root
	found map[string]*found // by the name in the manifest
}

type found struct {
	file   pipeline.File
	hashed bool
	wrong  string // why it cannot be used
	hint   string
}

func (f *files) close() {
	if f.root != nil {
		f.root.Close()
	}
}

// find looks at a file without reading it.
func (r *reader) find(name string) *found {
	if f, ok := r.files.found[name]; ok {
		return f
	}
	f := &found{file: pipeline.File{Name: name}}
	if r.files.found == nil {
		r.files.found = map[string]*found{}
	}
	r.files.found[name] = f
	if f.wrong, f.hint = notAPath(name); f.wrong != "" {
		return f
	}
	f.file.Path = filepath.FromSlash(name)
	if !filepath.IsAbs(f.file.Path) {
		f.file.Path = filepath.Join(r.m.Dir, f.file.Path)
	}
	info, err := r.stat(name, f.file.Path)
	switch {
	case errors.Is(err, errOutside):
		f.wrong, f.hint = fmt.Sprintf("%s is outside the manifest's folder", name), "copy it next to the manifest, or pass --allow-outside"
	case errors.Is(err, fs.ErrNotExist):
		f.wrong, f.hint = fmt.Sprintf("no file %s", name), "paths start from the manifest's folder"
		if near := r.near(path.Base(name), mostNeighbours, neighbours(filepath.Dir(f.file.Path))); near != "" {
			f.hint = near
		}
	case err != nil:
		f.wrong = fmt.Sprintf("%s cannot be read: %v", name, reason(err))
	case info.IsDir():
		f.wrong, f.hint = fmt.Sprintf("%s is a folder", name), "name a file in it"
	case !info.Mode().IsRegular():
		f.wrong = fmt.Sprintf("%s is not a regular file", name)
	case info.Size() == 0:
		f.wrong, f.hint = fmt.Sprintf("%s is empty", name), ""
	default:
		f.file.Bytes = info.Size()
	}
	return f
}

// notAPath says what a string is that should have been the path of a file.
func notAPath(s string) (wrong, hint string) {
	lower := strings.ToLower(s)
	switch {
	case strings.TrimSpace(s) == "":
		return "an asset id or the path of a file is wanted here, not an empty text", ""
	case strings.HasPrefix(lower, "http://"), strings.HasPrefix(lower, "https://"), strings.HasPrefix(lower, "s3://"):
		return "an address cannot be an input", "download the file next to the manifest and name it here, or give an asset id"
	case strings.HasPrefix(lower, "data:"):
		return "a data URL cannot be an input", "save it as a file next to the manifest"
	case strings.ContainsRune(s, 0), len(s) > 4096:
		return "this cannot be the path of a file", ""
	case strings.HasPrefix(lower, "job_"), strings.HasPrefix(lower, "model_") && !strings.Contains(s, "."):
		return fmt.Sprintf("%s is not an asset id; those begin with asset_", s), ""
	}
	return "", ""
}

var errOutside = errors.New("outside the manifest's folder")

// stat follows links, but out of the folder only where that is allowed.
func (r *reader) stat(name, where string) (fs.FileInfo, error) {
	if r.o.AllowOutside {
		return os.Stat(where)
	}
	if !filepath.IsLocal(filepath.FromSlash(name)) {
		return nil, errOutside
	}
	root, err := r.root()
	if err != nil {
		return nil, err
	}
	info, err := root.Stat(filepath.FromSlash(name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
		// os.Root does not export the error of a link that leads out; the plain call tells it from others.
		if _, plain := os.Stat(where); plain == nil {
			return nil, errOutside
		}
	}
	return info, err
}

func (r *reader) root() (*os.Root, error) {
	if r.files.root == nil {
		root, err := os.OpenRoot(r.m.Dir)
		if err != nil {
			return nil, err
		}
		r.files.root = root
	}
	return r.files.root, nil
}

func (r *reader) openFile(name, where string) (*os.File, error) {
	if r.o.AllowOutside {
		return os.Open(where)
	}
	root, err := r.root()
	if err != nil {
		return nil, err
	}
	return root.Open(filepath.FromSlash(name))
}

// digest fills in the file's SHA-256.
func (r *reader) digest(f *found) {
	if f.hashed || f.wrong != "" {
		return
	}
	f.hashed = true
	file, err := r.openFile(f.file.Name, f.file.Path)
	if err == nil {
		defer file.Close()
		h := sha256.New()
		if f.file.Bytes, err = io.Copy(h, file); err == nil {
			f.file.SHA256 = hex.EncodeToString(h.Sum(nil))
			return
		}
	}
	f.wrong = fmt.Sprintf("%s cannot be read: %v", f.file.Name, reason(err))
}

const mostNeighbours = 1000

// neighbours are the names in a folder, not too many.
func neighbours(dir string) iter.Seq[string] {
	d, err := os.Open(dir)
	if err != nil {
		return slices.Values([]string(nil))
	}
	defer d.Close()
	names, _ := d.Readdirnames(mostNeighbours)
	return slices.Values(names)
}

// readInputs reads inputs:, the names for files and asset ids.
func (r *reader) readInputs(e *entry) {
	r.inputs, r.used = map[string]*value{}, map[string]bool{}
	if e == nil || e.value.kind == null {
		return
	}
	if e.value.kind != mapping {
		r.problem(e.value.at, fmt.Sprintf("inputs is a mapping of names to files or asset ids, not %s", e.value.kind), "")
		return
	}
	sc := &scope{vars: r.vars}
	for i := range e.value.entries {
		in := &e.value.entries[i]
		r.inputs[in.key] = nil
		if !r.checkVarName(in) {
			continue
		}
		s, ok := r.evalText(in.value, sc)
		if !ok {
			continue
		}
		if isAssetID(s) {
			r.inputs[in.key] = &value{v: s, text: s, node: in.value}
			continue
		}
		f := r.find(s)
		if f.wrong != "" {
			r.problem(in.value.at, f.wrong, f.hint)
			continue
		}
		r.inputs[in.key] = &value{v: f.file, node: in.value}
	}
}

func isAssetID(s string) bool { return strings.HasPrefix(s, "asset_") }

func (r *reader) unusedInputs(e *entry) {
	if e == nil {
		return
	}
	for _, in := range e.value.entries {
		if r.inputs[in.key] != nil && !r.used[in.key] {
			r.notes.add(in.at, pos{}, "", fmt.Sprintf("input %q is used by no item", in.key), "")
		}
	}
}

// fileKinds are the kinds that names tell.
var fileKinds = map[string]string{
	".png": "image", ".jpg": "image", ".jpeg": "image", ".webp": "image", ".gif": "image", ".avif": "image", ".bmp": "image", ".tif": "image", ".tiff": "image",
	".mp4": "video", ".mov": "video", ".webm": "video", ".mkv": "video", ".avi": "video",
	".wav": "audio", ".mp3": "audio", ".ogg": "audio", ".flac": "audio", ".m4a": "audio", ".aac": "audio",
	".glb": "3d", ".gltf": "3d", ".fbx": "3d", ".obj": "3d", ".stl": "3d", ".usdz": "3d",
}

// checkFile says what is wrong with a file at one place of a payload, "" when nothing is.
func checkFile(f pipeline.File, in pipeline.FileInput) (wrong, hint string) {
	if in.MaxBytes > 0 && f.Bytes > in.MaxBytes {
		return fmt.Sprintf("%s is %s; this input takes %s at most", f.Name, megabytes(f.Bytes), megabytes(in.MaxBytes)), "make it smaller"
	}
	if kind := fileKinds[strings.ToLower(path.Ext(f.Name))]; kind != "" && in.Kind != "" && kind != in.Kind {
		return fmt.Sprintf("%s is of kind %s; this input takes kind %s", f.Name, kind, in.Kind), ""
	}
	return "", ""
}

func megabytes(n int64) string {
	if n < 1<<20 {
		return fmt.Sprintf("%d bytes", n)
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}
