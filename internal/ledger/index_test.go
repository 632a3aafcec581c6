package ledger_test

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"dailies/internal/ledger"
	"dailies/internal/store"
	"dailies/internal/store/s3test"
	"dailies/pipeline"
)

const many = 300

// fill saves records and leaves an index of them.
func fill(t *testing.T, b ledger.Blobs) {
	t.Helper()
	l := ledger.Open(b, live)
	for i := range many {
		save(t, l, delivered(fmt.Sprint("item-", i)), "")
	}
	if err := l.WriteIndex(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// reads loads a fresh ledger and returns the records it had to read one by one.
func (m *memory) reads(t *testing.T) (entries map[string]pipeline.Entry, read []string) {
	t.Helper()
	m.breaks(func(op string) error {
		if key, ok := strings.CutPrefix(op, "read items/"); ok {
			read = append(read, key) // under the lock
		}
		return nil
	})
	defer m.breaks(nil)
	entries = load(t, ledger.Open(m, live))
	slices.Sort(read)
	return entries, read
}

// unindexed is what the records themselves say.
func (m *memory) unindexed(t *testing.T) map[string]pipeline.Entry {
	t.Helper()
	bare := &memory{data: map[string]string{}, seq: map[string]int{}}
	for key, data := range m.data {
		if key != "index.jsonl.gz" {
			bare.data[key], bare.seq[key] = data, m.seq[key]
		}
	}
	return load(t, ledger.Open(bare, live))
}

func TestIndexSparesReadingEachRecord(t *testing.T) {
	b := &memory{}
	fill(t, b)
	got, read := b.reads(t)
	if len(read) != 0 {
		t.Errorf("read %d records, %v ...", len(read), read[:min(3, len(read))])
	}
	if want := b.unindexed(t); len(got) != many || !reflect.DeepEqual(got, want) {
		t.Errorf("%d entries; item-7 is\n%+v\nwant\n%+v", len(got), got["item-7"], want["item-7"])
	}
}

// What happened behind the index's back is seen: only the versions that the listing names count.
func TestIndexIsNeverBelievedByItself(t *testing.T) {
	b := &memory{}
	fill(t, b)
	behind := ledger.Open(b, live)
	entries := load(t, behind)

	changed := entries["item-1"].Record
	changed.State, changed.Outputs, changed.JobID = pipeline.Submitted, nil, "job_2"
	save(t, behind, changed, entries["item-1"].Version)
	save(t, behind, delivered("late"), "")
	b.set("items/item-2.json", "torn")
	if err := b.Remove(t.Context(), "items/item-3.json"); err != nil {
		t.Fatal(err)
	}

	got, read := b.reads(t)
	if want := []string{"item-1.json", "item-2.json", "late.json"}; !slices.Equal(read, want) {
		t.Errorf("read %v, want %v", read, want)
	}
	if want := b.unindexed(t); !reflect.DeepEqual(got, want) {
		t.Error("the index and the records do not say the same")
	}
	if got["item-1"].Record.JobID != "job_2" || got["item-2"].Damaged == nil || got["item-3"].Version != "" {
		t.Errorf("got %+v, %+v, %+v", got["item-1"], got["item-2"], got["item-3"])
	}
}

// An index that is torn, foreign or nonsense is as good as none.
func TestIndexThatCannotBeRead(t *testing.T) {
	b := &memory{}
	fill(t, b)
	good := b.get("index.jsonl.gz")
	want := b.unindexed(t)
	unpacked, err := gzip.NewReader(strings.NewReader(good))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(unpacked)
	if err != nil {
		t.Fatal(err)
	}
	packed := func(text string) string {
		var s strings.Builder
		w := gzip.NewWriter(&s)
		io.WriteString(w, text)
		w.Close()
		return s.String()
	}
	indexes := map[string]string{
		"empty":                "",
		"not packed":           string(plain),
		"another project's":    packed(strings.Replace(string(plain), live.Project, "proj_9", 1)),
		"another version's":    packed(strings.Replace(string(plain), "index/v1", "index/v2", 1)),
		"another item's entry": packed(strings.Replace(string(plain), `"id":"item-100",`, `"id":"item-10",`, 1)),
		"nonsense in a line":   packed(strings.Replace(string(plain), `"state":"delivered"`, `"state":"deliverd"`, 1)),
		"cut line":             packed(string(plain[:len(plain)/2])),
	}
	for cut := 0; cut < len(good); cut += 97 {
		indexes[fmt.Sprint("cut at ", cut)] = good[:cut]
	}
	for name, index := range indexes {
		b.set("index.jsonl.gz", index)
		got, read := b.reads(t)
		if len(read) != many {
			t.Errorf("%s: read %d records", name, len(read))
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: its entries are believed", name)
		}
	}
}

// A few records are read as quickly one by one, and an index that says it all is not written again.
func TestIndexIsWrittenWhereItHelps(t *testing.T) {
	few := &memory{}
	l := ledger.Open(few, live)
	save(t, l, delivered("hero"), "")
	if err := l.WriteIndex(t.Context()); err != nil || few.get("index.jsonl.gz") != "" {
		t.Errorf("%v, %d bytes", err, len(few.get("index.jsonl.gz")))
	}

	b := &memory{}
	fill(t, b)
	again := ledger.Open(b, live)
	entries := load(t, again)
	b.breaks(func(op string) error {
		if strings.HasPrefix(op, "put ") {
			return pipeline.Errorf(pipeline.CodeDestination, "full")
		}
		return nil
	})
	if err := again.WriteIndex(t.Context()); err != nil {
		t.Errorf("written without need: %v", err)
	}
	r := entries["item-1"].Record
	r.Attempts++
	save(t, again, r, entries["item-1"].Version)
	if err := again.WriteIndex(t.Context()); pipeline.CodeOf(err) != pipeline.CodeDestination {
		t.Errorf("a failed write: %v", err)
	}
	b.breaks(nil)
	if err := again.WriteIndex(t.Context()); err != nil {
		t.Error(err)
	}
	if _, read := b.reads(t); len(read) != 0 {
		t.Errorf("read %v", read)
	}
}

func TestIndexOnRealPlaces(t *testing.T) {
	dir := t.TempDir()
	fill(t, folder(t, dir))
	if _, err := os.Stat(filepath.Join(dir, ".dailies", "index.jsonl.gz")); err == nil {
		t.Error("a folder got an index that never counts")
	}

	server := s3test.Start(t)
	s, err := store.Open(t.Context(), server.URI("batch"), store.Options{AWS: server.Config})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	b := &counted{Store: store.Sub(s, ".dailies")}
	fill(t, b)
	b.read.Store(0)
	if got := load(t, ledger.Open(b, live)); len(got) != many {
		t.Errorf("%d entries", len(got))
	}
	if n := b.read.Load(); n > 3 { // whose they are
		t.Errorf("read %d records", n)
	}
}

// counted counts the records read.
type counted struct {
	store.Store
	read atomic.Int32
}

func (c *counted) ReadRecord(ctx context.Context, key string) ([]byte, string, error) {
	c.read.Add(1)
	return c.Store.ReadRecord(ctx, key)
}
