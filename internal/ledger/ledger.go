// Package ledger keeps what is known of every item: durable records in a place where racing writers are kept apart by
// compare-and-swap, so that two runs cannot both believe that they may buy.
//
// It promises that a record is written whole or not at all, that what it wrote it can read, and that a record that is
// torn, empty, of another item or from a newer version is named and never taken for "nothing was bought yet". It
// refuses to return or to touch the records of another realm.
//
// # Layout
//
//	realm.json                whose records these are: the API and project that came first
//	items/<id>.json           one record an item
//	inputs/<sha256>.json      which asset an input file was uploaded as
//	realms/<digest>/…         the same for each further realm
//	index.jsonl.gz            a copy of all records, where that spares reading each (see index.go)
//	lock.json                 who is running
//	lock-2-of-5.json          who is running a part of the batch
//	turn.json                 who is writing the report of the whole
//
// The first realm to write claims the top; any other gets a folder of its own. So a rehearsal in the sandbox and the
// real run can share an output: neither sees, counts or overwrites what the other knows.
package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"dailies/pipeline"
)

// readers is how many records are read at once.
const readers = 32

// Blobs is where records are kept; internal/store's destinations are such places.
type Blobs interface {
	// URI is the address of a record, for people.
	URI(key string) string

	// ReadRecord returns a record and its version. One that is not there is [fs.ErrNotExist].
	ReadRecord(ctx context.Context, key string) (data []byte, version string, err error)

	// WriteRecord replaces the record of the given version, "" meaning that there is none, and returns the new
	// version. Where another version stands it returns [pipeline.ErrConflict], unless its bytes are these very ones.
	WriteRecord(ctx context.Context, key string, data []byte, version string) (newVersion string, err error)

	// List yields the objects whose keys begin with prefix.
	List(ctx context.Context, prefix string) iter.Seq2[pipeline.Object, error]

	// Remove deletes a record; one that is not there is no error.
	Remove(ctx context.Context, key string) error

	// Open reads an object of any size; one that is not there is [fs.ErrNotExist].
	Open(ctx context.Context, key string) (io.ReadCloser, pipeline.Object, error)

	// Put stores an object, whole or not at all; size is the number of bytes that will come, or -1.
	Put(ctx context.Context, key string, body io.Reader, size int64, meta pipeline.ObjectMeta) (pipeline.Object, error)
}

// A Ledger is a pipeline.Ledger over blobs.
type Ledger struct {
	blobs Blobs
	realm pipeline.Realm

	mu   sync.Mutex
	home *home // nil until it is known

	known known
}

var _ pipeline.Ledger = (*Ledger)(nil)

// Open returns the ledger of one realm. Nothing is read or written yet. The root of b is the batch's .dailies folder.
func Open(b Blobs, realm pipeline.Realm) *Ledger {
	return &Ledger{blobs: b, realm: realm}
}

// Load returns every record of the realm, by item.
func (l *Ledger) Load(ctx context.Context) (map[string]pipeline.Entry, error) {
	dir, err := l.find(ctx)
	if err != nil {
		return nil, err
	}
	listed := map[string]string{} // versions, by item
	for o, err := range l.blobs.List(ctx, dir+"items/") {
		if err != nil {
			return nil, err
		}
		id, ok := strings.CutSuffix(strings.TrimPrefix(o.Key, dir+"items/"), ".json")
		if ok && !strings.Contains(id, "/") { // else it is not a record's name
			listed[id] = o.Version
		}
	}
	entries, err := l.indexed(ctx, dir, listed)
	if err != nil {
		return nil, err
	}
	if entries == nil {
		entries = make(map[string]pipeline.Entry, len(listed))
	}
	for id := range entries {
		delete(listed, id)
	}
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readers)
	for id := range listed {
		group.Go(func() error {
			entry, err := l.read(ctx, dir+"items/"+id+".json", id)
			if errors.Is(err, fs.ErrNotExist) {
				return nil // removed meanwhile
			}
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			entries[id] = entry
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	l.known.loaded(entries, listed)
	return entries, nil
}

// read returns one record. That it is damaged is no error here: the other items go on.
func (l *Ledger) read(ctx context.Context, key, id string) (pipeline.Entry, error) {
	data, version, err := l.blobs.ReadRecord(ctx, key)
	if e, ok := errors.AsType[*pipeline.Error](err); ok && e.Code == pipeline.CodeLedger {
		return pipeline.Entry{Damaged: e}, nil
	}
	if err != nil {
		return pipeline.Entry{}, err
	}
	rec, err := decode(data)
	if err == nil {
		err = check(rec, id, l.realm)
		rec.Realm = l.realm // the same words, and one copy of them
	}
	if err != nil {
		return pipeline.Entry{Version: version, Damaged: l.damaged(key, err)}, nil
	}
	return pipeline.Entry{Record: rec, Version: version}, nil
}

// Save writes r, which becomes a record of this ledger's realm, if the one it replaces still has the given version.
// A record that Load would call damaged is refused.
func (l *Ledger) Save(ctx context.Context, r pipeline.Record, version string) (string, error) {
	r.Schema, r.Realm = pipeline.RecordSchema, l.realm
	if err := check(r, r.ID, l.realm); err != nil {
		return "", pipeline.Errorf(pipeline.CodeInternal, "the record of item %q is not written: %w", r.ID, err)
	}
	dir, err := l.claim(ctx)
	if err != nil {
		return "", err
	}
	version, err = l.blobs.WriteRecord(ctx, dir+"items/"+r.ID+".json", encode(r), version)
	if err == nil {
		l.known.saved(pipeline.Entry{Record: r, Version: version})
	}
	return version, err
}

func (l *Ledger) damaged(key string, err error) *pipeline.Error {
	return pipeline.Errorf(pipeline.CodeLedger, "%s: %w", l.blobs.URI(key), err)
}

// An input says which asset a file was uploaded as.
type input struct {
	Schema  string         `json:"schema"`
	SHA256  string         `json:"sha256"`
	Realm   pipeline.Realm `json:"realm"`
	AssetID string         `json:"asset_id"`
	Name    string         `json:"name"` // as the manifest spelled it, for people
	Bytes   int64          `json:"bytes"`
}

const inputSchema = "dailies.input/v1"

// Input returns the asset an input file was uploaded as. A note that cannot be read is as good as none: uploading
// again buys nothing.
func (l *Ledger) Input(ctx context.Context, sha256 string) (string, error) {
	dir, err := l.find(ctx)
	if err != nil {
		return "", err
	}
	in, _, err := l.input(ctx, dir, sha256)
	return in.AssetID, err
}

// SaveInput notes which asset an input file was uploaded as; the last note stands.
func (l *Ledger) SaveInput(ctx context.Context, f pipeline.File, assetID string) error {
	dir, err := l.claim(ctx)
	if err != nil {
		return err
	}
	data := encode(input{Schema: inputSchema, SHA256: f.SHA256, Realm: l.realm, AssetID: assetID, Name: f.Name, Bytes: f.Bytes})
	for {
		_, version, err := l.input(ctx, dir, f.SHA256)
		if err != nil {
			return err
		}
		_, err = l.blobs.WriteRecord(ctx, inputKey(dir, f.SHA256), data, version)
		if !errors.Is(err, pipeline.ErrConflict) || ctx.Err() != nil {
			return err
		}
	}
}

// input reads a note; one that is absent, unreadable or not of this file and realm is empty.
func (l *Ledger) input(ctx context.Context, dir, sha256 string) (input, string, error) {
	data, version, err := l.blobs.ReadRecord(ctx, inputKey(dir, sha256))
	if errors.Is(err, fs.ErrNotExist) {
		return input{}, "", nil
	}
	if err != nil {
		return input{}, "", err
	}
	var in input
	if strict(data, &in) != nil || in.Schema != inputSchema || in.SHA256 != sha256 || in.Realm != l.realm {
		return input{}, version, nil
	}
	return in, version, nil
}

func inputKey(dir, sha256 string) string { return fmt.Sprintf("%sinputs/%s.json", dir, sha256) }
