package ledger

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"slices"
	"sync"

	"dailies/pipeline"
)

const (
	indexSchema = "dailies.index/v1"
	indexFile   = "index.jsonl.gz"

	// worthIndexing is how many records there must be: fewer are read as quickly one by one.
	worthIndexing = 200
)

// The index is a copy of all records in one object, so that a bucket of 100,000 need not be asked for each. It is never
// believed by itself: a listing says which version of a record stands, and only an entry of that very version counts.
// What the listing names and the index does not have is read as if there were no index; what is left of a torn or
// foreign one is nothing. And whatever is bought on the word of an entry is bought by replacing that version.
//
// A folder's listing does not tell the versions of records; there no entry ever counts, and none is written.

// indexHead is the first line of an index.
type indexHead struct {
	Schema string         `json:"schema"`
	Realm  pipeline.Realm `json:"realm"`
}

// indexLine is each further line. Its record is left unread until it is known to be of use.
type indexLine[R pipeline.Record | json.RawMessage] struct {
	ID      string `json:"id"`
	Version string `json:"version"`
	Record  R      `json:"record"`
}

// indexed returns what the index says of the records that stand, by item: those listed, in these versions. It is empty
// when there is no index to rely on.
func (l *Ledger) indexed(ctx context.Context, dir string, listed map[string]string) (map[string]pipeline.Entry, error) {
	if len(listed) < worthIndexing {
		return nil, nil
	}
	file, _, err := l.blobs.Open(ctx, dir+indexFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	entries, err := l.readIndex(file, listed)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, nil // the records themselves have it all
	}
	return entries, nil
}

// readIndex reads the entries of an index that are listed in these versions.
func (l *Ledger) readIndex(r io.Reader, listed map[string]string) (map[string]pipeline.Entry, error) {
	plain, err := gzip.NewReader(bufio.NewReaderSize(r, 64<<10)) // checks a sum at the end
	if err != nil {
		return nil, err
	}
	lines := json.NewDecoder(plain)
	var head indexHead
	if err := lines.Decode(&head); err != nil {
		return nil, err
	}
	if head != (indexHead{indexSchema, l.realm}) {
		return nil, errors.New("it is not an index of these records")
	}
	entries := make(map[string]pipeline.Entry, len(listed))
	for {
		var line indexLine[json.RawMessage]
		if err := lines.Decode(&line); err == io.EOF {
			return entries, nil
		} else if err != nil {
			return nil, err
		}
		if version, ok := listed[line.ID]; !ok || version != line.Version {
			continue
		}
		var rec pipeline.Record
		if err := json.Unmarshal(line.Record, &rec); err != nil {
			return nil, err
		}
		if err := check(rec, line.ID, l.realm); err != nil {
			return nil, err
		}
		entries[line.ID] = pipeline.Entry{Record: rec, Version: line.Version}
	}
}

// known is what a ledger has read and written. It is kept only where an index is of use.
type known struct {
	sync.Mutex
	off     bool // a listing of this place does not tell the versions of records
	entries map[string]pipeline.Entry
	stale   bool // the index does not say all of it
}

// loaded takes in everything there is, of which all but the index's own was read record by record; listed are the
// versions of that.
func (k *known) loaded(entries map[string]pipeline.Entry, listed map[string]string) {
	k.Lock()
	defer k.Unlock()
	k.off = len(listed) > 0
	for id, version := range listed {
		if entries[id].Version == version {
			k.off = false
			break
		}
	}
	k.entries, k.stale = nil, len(listed) > 0
	if !k.off {
		k.entries = maps.Clone(entries)
	}
}

// saved takes in one record.
func (k *known) saved(e pipeline.Entry) {
	k.Lock()
	defer k.Unlock()
	if k.off {
		return
	}
	if k.entries == nil {
		k.entries = map[string]pipeline.Entry{}
	}
	k.entries[e.Record.ID], k.stale = e, true
}

// learnListing finds out whether a listing of this place tells the versions of records, by the one that is always there.
func (l *Ledger) learnListing(ctx context.Context, dir string) {
	tells := false
	if _, version, err := l.blobs.ReadRecord(ctx, dir+realmFile); err == nil {
		for o, err := range l.blobs.List(ctx, dir+realmFile) {
			tells = tells || err == nil && o.Key == dir+realmFile && o.Version == version
		}
	}
	l.known.Lock()
	defer l.known.Unlock()
	if l.known.off = !tells; l.known.off {
		l.known.entries = nil
	}
}

// WriteIndex leaves a copy of all records that this ledger has read or written, where that makes the next one load
// faster. That it fails harms nothing.
func (l *Ledger) WriteIndex(ctx context.Context) error {
	dir, err := l.claim(ctx)
	if err != nil {
		return err
	}
	l.known.Lock()
	defer l.known.Unlock()
	if l.known.off || !l.known.stale || len(l.known.entries) < worthIndexing {
		return nil
	}
	r, w := io.Pipe()
	var writing sync.WaitGroup
	writing.Go(func() { w.CloseWithError(l.known.write(w, l.realm)) })
	_, err = l.blobs.Put(ctx, dir+indexFile, r, -1, pipeline.ObjectMeta{ContentType: "application/gzip"})
	r.CloseWithError(io.ErrClosedPipe) // lets the writer go when not all of it was wanted
	writing.Wait()
	if err != nil {
		return err
	}
	l.known.stale = false
	return nil
}

// write writes an index. The lock is held.
func (k *known) write(w io.Writer, realm pipeline.Realm) error {
	packed, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return err
	}
	lines := json.NewEncoder(packed)
	lines.SetEscapeHTML(false)
	if err := lines.Encode(indexHead{indexSchema, realm}); err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(k.entries)) {
		e := k.entries[id]
		if e.Damaged != nil {
			continue
		}
		if err := lines.Encode(indexLine[pipeline.Record]{id, e.Version, e.Record}); err != nil {
			return err
		}
	}
	return packed.Close()
}
