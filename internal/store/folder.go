package store

import (
	"bytes"
	"context"
	"crypto/rand"
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
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/gofrs/flock"

	"dailies/pipeline"
)

// scratch is where objects grow before they are renamed to their place: under the same root, so that they never cross
// a file system. It also holds the file by which processes take turns.
const (
	scratch    = ".dailies/tmp"
	turns      = scratch + "/turn.lock"
	unfinished = ".part"
	abandoned  = 24 * time.Hour // an unfinished file not written to for so long has no writer
	turnLimit  = 30 * time.Second
)

// A folder is a destination on a file system. The version of an object is its size and time of change, that of a
// record the digest of its bytes.
type folder struct {
	dir   string // absolute
	root  *os.Root
	mu    sync.Mutex // takes turns within the process, so that only one asks the file system for its turn
	syncs commits
}

func openFolder(dir string) (*folder, error) {
	if dir == "" {
		return nil, pipeline.Errorf(pipeline.CodeUsage, "output is empty: name a folder or s3://bucket/prefix")
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, folderError("open", dir, err)
	}
	if err := os.MkdirAll(abs, 0o777); err != nil {
		return nil, folderError("create", abs, err)
	}
	root, err := os.OpenRoot(abs)
	if err != nil {
		return nil, folderError("open", abs, err)
	}
	return &folder{dir: abs, root: root}, nil
}

func (f *folder) Close() error { return f.root.Close() }

func (f *folder) URI(key string) string { return filepath.Join(f.dir, filepath.FromSlash(key)) }

func (f *folder) Put(ctx context.Context, key string, from io.Reader, size int64, _ pipeline.ObjectMeta) (pipeline.Object, error) {
	if err := checkKey(key); err != nil {
		return pipeline.Object{}, err
	}
	src := &body{ctx: ctx, from: from, want: size}
	tmp, info, err := f.write(src)
	if src.err != nil {
		return pipeline.Object{}, src.err
	}
	if err != nil {
		return pipeline.Object{}, folderError("write", f.URI(key), err)
	}
	if err := f.place(tmp, key); err != nil {
		f.root.Remove(tmp)
		return pipeline.Object{}, folderError("write", f.URI(key), err)
	}
	return describe(key, info), nil
}

// write makes a durable file of all that comes, or none.
func (f *folder) write(from io.Reader) (tmp string, info fs.FileInfo, err error) {
	if err := f.ensure(scratch); err != nil {
		return "", nil, err
	}
	tmp = scratch + "/" + rand.Text() + unfinished
	file, err := f.root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return "", nil, err
	}
	if _, err = io.Copy(file, from); err == nil {
		err = file.Sync()
	}
	if err == nil {
		info, err = file.Stat()
	}
	if err := errors.Join(err, file.Close()); err != nil {
		f.root.Remove(tmp)
		return "", nil, err
	}
	return tmp, info, nil
}

// place moves a finished file to where it is wanted, durably.
func (f *folder) place(from, to string) error {
	if err := f.rename(from, to); err != nil {
		return err
	}
	return f.sync(path.Dir(to))
}

// rename moves a file, into a folder that is made where it is missing. It is durable after a sync of that folder.
func (f *folder) rename(from, to string) error {
	if err := f.ensure(path.Dir(to)); err != nil {
		return err
	}
	return f.root.Rename(from, to)
}

// ensure creates a folder and those above it, durably.
func (f *folder) ensure(dir string) error {
	if info, err := f.root.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	if err := f.root.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	for dir != "." {
		dir = path.Dir(dir)
		if err := f.sync(dir); err != nil {
			return err
		}
	}
	return nil
}

// sync makes the names in a folder durable, for all who ask at about the same time at once. Windows has no such call,
// and keeps them by itself.
func (f *folder) sync(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	return f.syncs.join(dir, func() error {
		d, err := f.root.Open(dir)
		if err != nil {
			return err
		}
		return errors.Join(d.Sync(), d.Close())
	})
}

func (f *folder) List(ctx context.Context, prefix string) iter.Seq2[pipeline.Object, error] {
	return func(yield func(pipeline.Object, error) bool) {
		stopped := errors.New("the caller has seen enough")
		start := "."
		if i := strings.LastIndexByte(prefix, '/'); i >= 0 {
			start = prefix[:i]
			if err := checkKey(start); err != nil {
				yield(pipeline.Object{}, err)
				return
			}
		}
		err := fs.WalkDir(f.root.FS(), start, func(key string, d fs.DirEntry, err error) error {
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case errors.Is(err, fs.ErrNotExist): // removed while we look, or never there
				return nil
			case err != nil:
				return err
			case d.IsDir() && (key == scratch || key != "." && !strings.HasPrefix(key+"/", prefix) && !strings.HasPrefix(prefix, key+"/")):
				return fs.SkipDir
			case !d.Type().IsRegular() || !strings.HasPrefix(key, prefix):
				return nil
			}
			info, err := d.Info()
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			if !yield(describe(key, info), nil) {
				return stopped
			}
			return nil
		})
		if err != nil && err != stopped {
			yield(pipeline.Object{}, folderError("list", f.URI(start), err))
		}
	}
}

func (f *folder) Move(_ context.Context, from, to string) error {
	if err := errors.Join(checkKey(from), checkKey(to)); err != nil {
		return err
	}
	if _, err := f.root.Lstat(from); errors.Is(err, fs.ErrNotExist) {
		return notExist(f.URI(from))
	}
	if err := f.place(from, to); err != nil {
		return folderError("move", f.URI(from), err)
	}
	if err := f.sync(path.Dir(from)); err != nil {
		return folderError("move", f.URI(from), err)
	}
	return nil
}

func (f *folder) Open(_ context.Context, key string) (io.ReadCloser, pipeline.Object, error) {
	if err := checkKey(key); err != nil {
		return nil, pipeline.Object{}, err
	}
	file, err := f.root.Open(key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, pipeline.Object{}, notExist(f.URI(key))
	}
	if err != nil {
		return nil, pipeline.Object{}, folderError("read", f.URI(key), err)
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("it is not a file")
	}
	if err != nil {
		file.Close()
		return nil, pipeline.Object{}, folderError("read", f.URI(key), err)
	}
	return file, describe(key, info), nil
}

func (f *folder) Remove(_ context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	err := f.root.Remove(key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = f.sync(path.Dir(key))
	}
	if err != nil {
		return folderError("remove", f.URI(key), err)
	}
	return nil
}

func (f *folder) ReadRecord(ctx context.Context, key string) ([]byte, string, error) {
	file, _, err := f.Open(ctx, key)
	if err != nil {
		return nil, "", err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, MaxRecord+1))
	if err != nil {
		return nil, "", folderError("read", f.URI(key), err)
	}
	if len(data) > MaxRecord {
		return nil, "", tooLarge(f.URI(key))
	}
	return data, digest(data), nil
}

func (f *folder) WriteRecord(ctx context.Context, key string, data []byte, version string) (string, error) {
	if err := checkKey(key); err != nil {
		return "", err
	}
	if len(data) > MaxRecord {
		return "", tooLarge(f.URI(key))
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	// The slow part, making the bytes durable, comes before the turn is taken.
	tmp, _, err := f.write(bytes.NewReader(data))
	if err != nil {
		return "", folderError("write", f.URI(key), err)
	}
	defer f.root.Remove(tmp) // in vain when it has been renamed
	if err := f.swap(ctx, tmp, key, digest(data), version); err != nil {
		if errors.Is(err, pipeline.ErrConflict) {
			return "", err
		}
		return "", folderError("write", f.URI(key), err)
	}
	// After the turn: whoever reads the record before this is done is on this machine, and goes down with it.
	if err := f.sync(path.Dir(key)); err != nil {
		return "", folderError("write", f.URI(key), err)
	}
	return digest(data), nil
}

// swap puts tmp in the place of the record of the given version, while nobody else can. It is not durable yet.
func (f *folder) swap(ctx context.Context, tmp, key, next, version string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	ctx, cancel := context.WithTimeoutCause(ctx, turnLimit, fmt.Errorf("another process has kept %s locked for %s", f.URI(turns), turnLimit))
	defer cancel()
	turn := flock.New(f.URI(turns))
	defer turn.Close()
	if _, err := turn.TryLockContext(ctx, 2*time.Millisecond); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	_, current, err := f.ReadRecord(ctx, key)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		current = ""
	case err != nil:
		return err
	case current == next:
		return nil // these very bytes stand there
	}
	if current != version {
		return fmt.Errorf("%s: %w", f.URI(key), pipeline.ErrConflict)
	}
	return f.rename(tmp, key)
}

// Probe also clears away what writers that died left unfinished long ago.
func (f *folder) Probe(ctx context.Context) error {
	entries, err := fs.ReadDir(f.root.FS(), scratch)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return folderError("list", f.URI(scratch), err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && strings.HasSuffix(e.Name(), unfinished) && time.Since(info.ModTime()) > abandoned {
			f.root.Remove(scratch + "/" + e.Name())
		}
	}
	return probe(ctx, f)
}

func describe(key string, info fs.FileInfo) pipeline.Object {
	return pipeline.Object{Key: key, Bytes: info.Size(), Version: fmt.Sprintf("%d-%d", info.Size(), info.ModTime().UnixNano())}
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// folderError says what a file system's refusal means.
func folderError(op, where string, err error) error {
	if _, ok := errors.AsType[*pipeline.Error](err); ok || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	cause := err
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		cause = e.Err // its path is one inside the root: where says it better
	} else if e, ok := errors.AsType[*os.LinkError](err); ok {
		cause = e.Err
	}
	e := pipeline.Errorf(pipeline.CodeDestination, "%s %s: %w", op, where, cause)
	switch {
	case errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || isWindowsDiskFull(err):
		e.Code = pipeline.CodeDiskFull
	case errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS):
		e.Code, e.Hint = pipeline.CodeDestinationDenied, "give this user the right to write there, or choose another --output"
	case op == "create" || op == "open":
		e.Code, e.Hint = pipeline.CodeDestinationDenied, "choose another --output: this cannot be a folder"
	case strings.Contains(cause.Error(), "path escapes"):
		e.Code, e.Hint = pipeline.CodeDestinationDenied, "a symbolic link leads out of the output folder: remove it, or choose another --output"
	}
	return e
}

func isWindowsDiskFull(err error) bool {
	const handleDiskFull, diskFull = syscall.Errno(39), syscall.Errno(112)
	return runtime.GOOS == "windows" && (errors.Is(err, handleDiskFull) || errors.Is(err, diskFull))
}
