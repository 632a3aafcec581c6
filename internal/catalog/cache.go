package catalog

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"dailies/pipeline"
)

// maxRecord bounds a cached record; the largest documented one has 4 KB.
const maxRecord = 4 << 20

// A Cache keeps live records between runs, one file a model. The folder belongs to one API realm: contracts, like
// jobs, differ between APIs. Writes are atomic, so programs may share it.
type Cache struct {
	dir string
}

// NewCache returns the cache in dir, which is made when something is first written to it.
func NewCache(dir string) Cache { return Cache{dir} }

// Refresh asks for the record of each model and keeps it, with the time it was asked. It goes on after a model that
// fails and returns all failures joined; an error that stops a run (credentials, project) ends it at once.
// An answer that is not the model's record is CodeAPIUnreadable and leaves what was kept.
func (c Cache) Refresh(ctx context.Context, fetch func(ctx context.Context, id string) (json.RawMessage, error), ids ...string) error {
	if err := os.MkdirAll(c.dir, 0o755); err != nil {
		return fmt.Errorf("model cache: %w", err)
	}
	root, err := os.OpenRoot(c.dir)
	if err != nil {
		return fmt.Errorf("model cache: %w", err)
	}
	defer root.Close()
	var failures []error
	for _, id := range ids {
		if err := ctx.Err(); err != nil {
			return errors.Join(append(failures, err)...)
		}
		err := refresh(ctx, root, fetch, id)
		if err != nil {
			failures = append(failures, err)
		}
		if e, ok := errors.AsType[*pipeline.Error](err); ok && e.Code.Traits().StopsRun {
			break
		}
	}
	return errors.Join(failures...)
}

func refresh(ctx context.Context, root *os.Root, fetch func(context.Context, string) (json.RawMessage, error), id string) error {
	if !validID(id) {
		return &pipeline.Error{Code: pipeline.CodeNotFound, Message: fmt.Sprintf("%q cannot be a model's id", id)}
	}
	at := time.Now().UTC().Truncate(time.Second)
	data, err := fetch(ctx, id)
	if err != nil {
		return err
	}
	e, err := unwrap(data)
	if err == nil {
		var m *Model
		if m, err = parse(data); err == nil && m.ID != id {
			err = fmt.Errorf("it is of %s", m.ID)
		}
	}
	if err != nil {
		return pipeline.Errorf(pipeline.CodeAPIUnreadable, "the record of %s cannot be read: %w", id, err)
	}
	e.FetchedAt = at
	kept, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return replace(root, id+".json", kept)
}

// replace writes a file whole or not at all.
func replace(root *os.Root, name string, data []byte) (err error) {
	temp := "." + name + "." + rand.Text() + ".tmp"
	f, err := root.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("model cache: %w", err)
	}
	defer func() {
		if err != nil {
			f.Close()
			root.Remove(temp)
			err = fmt.Errorf("model cache: %w", err)
		}
	}()
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return root.Rename(temp, name)
}

// Load returns the records kept, for [Catalog.With]. What cannot be read is left out and told of in notes: a cache
// is never a reason to stop.
func (c Cache) Load() (records map[string]json.RawMessage, notes []string) {
	records = make(map[string]json.RawMessage)
	entries, err := os.ReadDir(c.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		notes = append(notes, fmt.Sprintf("the model cache is not used: %v", err))
	}
	for _, entry := range entries {
		id, ok := strings.CutSuffix(entry.Name(), ".json")
		if !ok || !validID(id) || !entry.Type().IsRegular() {
			continue
		}
		data, err := readCapped(filepath.Join(c.dir, entry.Name()))
		var m *Model
		if err == nil {
			m, err = parse(data)
		}
		if err == nil && m.ID != id {
			err = fmt.Errorf("it is of %s", m.ID)
		}
		if err != nil {
			notes = append(notes, fmt.Sprintf("the cached contract of %s is not used: %v; dailies models %s --refresh renews it", id, err, id))
			continue
		}
		records[id] = data
	}
	return records, notes
}

func readCapped(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxRecord {
		return nil, fmt.Errorf("it is %s large", megabytes(info.Size()))
	}
	return os.ReadFile(name)
}

// validID keeps to what model ids are made of, so that one is always a safe file name and a safe part of an address.
func validID(id string) bool {
	return id != "" && len(id) <= 200 && id[0] != '.' && !strings.ContainsFunc(id, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.')
	})
}
