package ledger_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dailies/internal/ledger"
	"dailies/internal/store"
	"dailies/internal/store/s3test"
	"dailies/pipeline"
)

var (
	live    = pipeline.Realm{BaseURL: "https://api.example.com/v1", Project: "proj_1"}
	other   = pipeline.Realm{BaseURL: "https://api.example.com/v1", Project: "proj_2"}
	sandbox = pipeline.Realm{BaseURL: "sandbox"}
)

// delivered is a record with every field set.
func delivered(id string) pipeline.Record {
	at := time.Date(2026, 3, 1, 22, 15, 0, 123456789, time.UTC)
	return pipeline.Record{
		ID: id, State: pipeline.Stored, Fingerprint: "f00d", Model: "model_veo3-1", RunID: "run-1", Attempts: 2, Lost: 1,
		Payload:    json.RawMessage(`{"prompt":"a <b> & \"c\" 水","duration":8,"seed":12345678901234567890}`),
		IntendedAt: at, JobID: "job_1", SubmittedAt: at.Add(time.Second), FinishedAt: at.Add(time.Minute), DeliveredAt: at.Add(time.Hour),
		Quoted: cu("13.25"), Cost: cu("12.5"), AssetIDs: []string{"asset_1"},
		Outputs: []pipeline.Output{{N: 1, AssetID: "asset_1", URI: "s3://b/x.mp4", Key: "x.mp4", Bytes: 7, SHA256: "ab", MIME: "video/mp4", Kind: "video",
			Width: 16, Height: 9, Duration: 8.5, Audio: new(true), Version: "etag"}},
		Error:   &pipeline.RecordedError{Code: pipeline.CodeDownload, Message: "cut", Hint: "again", Retryable: true, Charged: true},
		History: []pipeline.Purchase{{State: pipeline.Broken, Fingerprint: "beef", Model: "model_x", JobID: "job_0", SubmittedAt: at, Cost: cu("0")}},
	}
}

func cu(s string) *pipeline.CU {
	c, err := pipeline.ParseCU(s)
	if err != nil {
		panic(err)
	}
	return &c
}

func folder(t testing.TB, dir string) store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return store.Sub(s, ".dailies")
}

func save(t testing.TB, l *ledger.Ledger, r pipeline.Record, version string) string {
	t.Helper()
	v, err := l.Save(t.Context(), r, version)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func load(t testing.TB, l *ledger.Ledger) map[string]pipeline.Entry {
	t.Helper()
	entries, err := l.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

func TestRecordsComeBackAsTheyWere(t *testing.T) {
	server := s3test.Start(t)
	for name, blobs := range map[string]func(*testing.T) store.Store{
		"folder": func(t *testing.T) store.Store { return folder(t, t.TempDir()) },
		"s3": func(t *testing.T) store.Store {
			s, err := store.Open(t.Context(), server.URI("batch"), store.Options{AWS: server.Config})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { s.Close() })
			return store.Sub(s, ".dailies")
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := blobs(t)
			l, again := ledger.Open(b, live), ledger.Open(b, live)
			if got := load(t, l); len(got) != 0 {
				t.Errorf("a new ledger holds %v", got)
			}
			const n = 70 // more than are read at once
			want := map[string]pipeline.Entry{}
			for i := range n {
				r := delivered(fmt.Sprintf("knight-%d.a_b", i))
				v := save(t, l, r, "")
				r.Schema, r.Realm = pipeline.RecordSchema, live
				want[r.ID] = pipeline.Entry{Record: r, Version: v}
			}
			if got := load(t, again); !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v\nwant %+v", got["knight-1.a_b"], want["knight-1.a_b"])
			}

			r := delivered("knight-1.a_b")
			stale := want[r.ID].Version
			r.Attempts++
			fresh := save(t, again, r, stale)
			r.Attempts++
			if _, err := l.Save(t.Context(), r, stale); !errors.Is(err, pipeline.ErrConflict) {
				t.Errorf("a stale version was accepted: %v", err)
			}
			if _, err := l.Save(t.Context(), r, ""); !errors.Is(err, pipeline.ErrConflict) {
				t.Errorf("a second creation was accepted: %v", err)
			}
			save(t, l, r, fresh)
		})
	}
}

func TestRecordsAreForPeople(t *testing.T) {
	dir := t.TempDir()
	save(t, ledger.Open(folder(t, dir), live), delivered("hero"), "")
	data, err := os.ReadFile(filepath.Join(dir, ".dailies/items/hero.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{`  "state": "delivered",`, `    "prompt": "a <b> & \"c\" 水",`, `  "cost_cu": 12.5,`, `    "seed": 12345678901234567890`} {
		if !strings.Contains(string(data), line+"\n") {
			t.Errorf("no line %s in\n%s", line, data)
		}
	}
}

func TestRealmsDoNotMix(t *testing.T) {
	dir := t.TempDir()
	b := folder(t, dir)
	rehearsal := ledger.Open(b, sandbox)
	first := save(t, rehearsal, delivered("hero"), "")
	if err := rehearsal.SaveInput(t.Context(), pipeline.File{SHA256: "aa"}, "asset_fake"); err != nil {
		t.Fatal(err)
	}

	for _, realm := range []pipeline.Realm{live, other} {
		l := ledger.Open(b, realm)
		if got := load(t, l); len(got) != 0 {
			t.Fatalf("%+v sees %+v", realm, got)
		}
		if id, err := l.Input(t.Context(), "aa"); id != "" || err != nil {
			t.Errorf("%+v takes input %q, %v of the sandbox", realm, id, err)
		}
		r := delivered("hero")
		r.State, r.JobID, r.Outputs = pipeline.Intended, "", nil
		save(t, l, r, "")
		got := load(t, ledger.Open(b, realm))
		if len(got) != 1 || got["hero"].Record.Realm != realm || got["hero"].Record.State != pipeline.Intended {
			t.Errorf("%+v reads back %+v", realm, got)
		}
	}
	got := load(t, ledger.Open(b, sandbox))
	if len(got) != 1 || got["hero"].Version != first {
		t.Errorf("the rehearsal's records were touched: %+v", got)
	}

	t.Run("the claim was deleted by hand", func(t *testing.T) {
		if err := os.Remove(filepath.Join(dir, ".dailies/realm.json")); err != nil {
			t.Fatal(err)
		}
		if got := load(t, ledger.Open(b, live)); got["hero"].Record.State != pipeline.Intended {
			t.Errorf("what the live run bought is forgotten: %+v", got)
		}
		third := ledger.Open(b, pipeline.Realm{BaseURL: "https://elsewhere.example.com"})
		got := load(t, third)
		if pipeline.CodeOf(got["hero"].Damaged) != pipeline.CodeLedger {
			t.Errorf("a third realm takes the rehearsal's record for %+v", got["hero"])
		}
		if _, err := third.Save(t.Context(), delivered("hero"), ""); !errors.Is(err, pipeline.ErrConflict) {
			t.Errorf("a third realm overwrites the rehearsal's record: %v", err)
		}
	})
}

// TestQuickerClaim has two realms that both found the place empty. The one that claims second must not write where the
// first does.
func TestQuickerClaim(t *testing.T) {
	b := folder(t, t.TempDir())
	one, two := ledger.Open(b, live), ledger.Open(b, sandbox)
	load(t, one)
	load(t, two)
	save(t, one, delivered("hero"), "")
	save(t, two, delivered("hero"), "")
	for _, realm := range []pipeline.Realm{live, sandbox} {
		if got := load(t, ledger.Open(b, realm)); len(got) != 1 || got["hero"].Record.Realm != realm {
			t.Errorf("%+v has %+v", realm, got)
		}
	}
}

func TestDamage(t *testing.T) {
	whole := func() string {
		dir := t.TempDir()
		save(t, ledger.Open(folder(t, dir), live), delivered("hero"), "")
		data, err := os.ReadFile(filepath.Join(dir, ".dailies/items/hero.json"))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}()
	for name, c := range map[string]struct{ data, says string }{
		"empty":           {"", "empty"},
		"blank":           {" \n", "empty"},
		"zeros":           {string(make([]byte, 512)), "cannot be read"},
		"newer":           {strings.Replace(whole, "dailies.item/v1", "dailies.item/v2", 1), "another version"},
		"newer, unlike":   {`{"schema": "dailies.item/v9", "id": ["hero"]}`, ""},
		"not ours":        {`{"hello": "world"}`, "not a record"},
		"null":            {"null", "not a record"},
		"unknown field":   {strings.Replace(whole, `"attempts"`, `"attempt_count"`, 1), "attempt_count"},
		"another item's":  {strings.Replace(whole, `"id": "hero"`, `"id": "villain"`, 1), `item "villain"`},
		"another realm's": {strings.Replace(whole, "proj_1", "proj_9", 1), "another project"},
		"no such state":   {strings.Replace(whole, `"delivered"`, `"deliverd"`, 1), "not a state"},
		"no job":          {strings.Replace(whole, `"job_1"`, `""`, 1), "no job"},
		"no fingerprint":  {strings.Replace(whole, `"f00d"`, `""`, 1), "fingerprint"},
		"two in one":      {whole + whole, "follows"},
		"merge markers":   {"<<<<<<< HEAD\n" + whole, "cannot be read"},
		"too large":       {strings.Repeat(" ", store.MaxRecord+1), "larger than"},
	} {
		t.Run(name, func(t *testing.T) { wantDamaged(t, c.data, c.says) })
	}
	t.Run("cut at any byte", func(t *testing.T) {
		for cut := range len(strings.TrimSpace(whole)) {
			wantDamaged(t, whole[:cut], "")
		}
	})
}

// wantDamaged holds that an item whose record is data is neither forgotten nor believed, that its file is named, and
// that others are not touched by it.
func wantDamaged(t *testing.T, data, says string) {
	t.Helper()
	b := &memory{}
	l := ledger.Open(b, live)
	save(t, l, delivered("good"), "")
	b.set("items/hero.json", data)
	got := load(t, l)
	if len(got) != 2 || got["good"].Damaged != nil {
		t.Fatalf("entries %+v", got)
	}
	e := got["hero"]
	if pipeline.CodeOf(e.Damaged) != pipeline.CodeLedger || !strings.Contains(e.Damaged.Error(), "mem:items/hero.json") || !strings.Contains(e.Damaged.Error(), says) {
		t.Errorf("%.40q: damage is %v, want it to say %q", data, e.Damaged, says)
	}
	if !reflect.DeepEqual(e.Record, pipeline.Record{}) {
		t.Errorf("%.40q: a damaged record is believed: %+v", data, e.Record)
	}
	if _, err := l.Save(t.Context(), delivered("hero"), ""); !errors.Is(err, pipeline.ErrConflict) {
		t.Errorf("%.40q: a damaged record is overwritten: %v", data, err)
	}
}

func TestSaveRefusesWhatLoadWouldRefuse(t *testing.T) {
	l := ledger.Open(&memory{}, live)
	for name, spoil := range map[string]func(*pipeline.Record){
		"no id":      func(r *pipeline.Record) { r.ID = "" },
		"path as id": func(r *pipeline.Record) { r.ID = "../x" },
		"no state":   func(r *pipeline.Record) { r.State = "" },
		"no job":     func(r *pipeline.Record) { r.State, r.JobID = pipeline.Submitted, "" },
		"no outputs": func(r *pipeline.Record) { r.Outputs = nil },
		"no assets":  func(r *pipeline.Record) { r.State, r.AssetIDs = pipeline.Succeeded, nil },
		"no model":   func(r *pipeline.Record) { r.Model = "" },
	} {
		r := delivered("hero")
		spoil(&r)
		if _, err := l.Save(t.Context(), r, ""); pipeline.CodeOf(err) != pipeline.CodeInternal {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := load(t, l); len(got) != 0 {
		t.Errorf("written all the same: %+v", got)
	}
}

func TestLoadFailsWhenThePlaceDoes(t *testing.T) {
	down := pipeline.Errorf(pipeline.CodeDestination, "the server does not answer")
	b := &memory{}
	for i := range 50 {
		save(t, ledger.Open(b, live), delivered(fmt.Sprint("item", i)), "")
	}
	for _, broken := range []string{"items/item7.json", "list items/", "realm.json"} {
		b.breaks(func(op string) error {
			if op == broken || op == "read "+broken {
				return down
			}
			return nil
		})
		if got, err := ledger.Open(b, live).Load(t.Context()); !errors.Is(err, down) {
			t.Errorf("%s is down: %d entries, %v; an incomplete ledger would buy again", broken, len(got), err)
		}
	}
}

func TestInputs(t *testing.T) {
	b := &memory{}
	l := ledger.Open(b, live)
	ctx := t.Context()
	want := func(id string) {
		t.Helper()
		if got, err := ledger.Open(b, live).Input(ctx, "abc"); got != id || err != nil {
			t.Errorf("input is %q, %v; want %q", got, err, id)
		}
	}
	want("")
	for _, id := range []string{"asset_1", "asset_2"} {
		if err := l.SaveInput(ctx, pipeline.File{SHA256: "abc", Name: "refs/knight.png", Bytes: 9}, id); err != nil {
			t.Fatal(err)
		}
		want(id)
	}
	b.set("inputs/abc.json", `{"schema": "dailies.inp`)
	want("") // torn: as good as none
	if err := l.SaveInput(ctx, pipeline.File{SHA256: "abc"}, "asset_3"); err != nil {
		t.Fatal(err)
	}
	want("asset_3")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if err := ledger.Open(b, live).SaveInput(ctx, pipeline.File{SHA256: "abc"}, fmt.Sprint("asset_", i)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func FuzzRecord(f *testing.F) {
	b := &memory{}
	save(f, ledger.Open(b, live), delivered("hero"), "")
	whole := b.get("items/hero.json")
	f.Add([]byte(whole))
	f.Add([]byte(whole[:len(whole)/2]))
	f.Add([]byte(strings.Replace(whole, "item/v1", "item/v2", 1)))
	f.Add([]byte(`{"schema":"dailies.item/v1","id":"hero","realm":{"base_url":"https://api.example.com/v1","project":"proj_1"},"state":"intended","fingerprint":"f","model":"m"}`))
	f.Add([]byte(``))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, data []byte) {
		b := &memory{}
		l := ledger.Open(b, live)
		b.set("items/hero.json", string(data))
		e, ok := load(t, l)["hero"]
		if !ok {
			t.Fatal("a record that is there was not seen: it would be bought again")
		}
		if e.Damaged != nil {
			if !reflect.DeepEqual(e.Record, pipeline.Record{}) {
				t.Fatalf("damaged, and believed: %+v", e.Record)
			}
			return
		}
		if e.Record.ID != "hero" || e.Record.Realm != live {
			t.Fatalf("not this item's: %+v", e.Record)
		}
		// What was read can be written, and is then read as the same.
		save(t, l, e.Record, e.Version)
		if again := load(t, ledger.Open(b, live))["hero"]; !reflect.DeepEqual(again.Record, e.Record) {
			t.Fatalf("read %+v\nthen %+v", e.Record, again.Record)
		}
	})
}

// memory is a place for records that tests can break.
type memory struct {
	mu   sync.Mutex
	data map[string]string
	seq  map[string]int
	fail func(op string) error
}

func (m *memory) URI(key string) string { return "mem:" + key }

func (m *memory) set(key, data string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.put(key, data)
}

func (m *memory) put(key, data string) {
	if m.data == nil {
		m.data, m.seq = map[string]string{}, map[string]int{}
	}
	m.data[key] = data
	m.seq[key]++
}

func (m *memory) get(key string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.data[key]
}

// breaks makes operations fail; nil mends all.
func (m *memory) breaks(fail func(op string) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = fail
}

func (m *memory) broken(op string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail == nil {
		return nil
	}
	return m.fail(op)
}

func (m *memory) ReadRecord(ctx context.Context, key string) ([]byte, string, error) {
	if err := errors.Join(ctx.Err(), m.broken("read "+key)); err != nil {
		return nil, "", err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	data, ok := m.data[key]
	switch {
	case !ok:
		return nil, "", fs.ErrNotExist
	case len(data) > store.MaxRecord:
		return nil, "", pipeline.Errorf(pipeline.CodeLedger, "mem:%s is larger than 4 MiB", key)
	}
	return []byte(data), fmt.Sprint(m.seq[key]), nil
}

func (m *memory) WriteRecord(ctx context.Context, key string, data []byte, version string) (string, error) {
	if err := errors.Join(ctx.Err(), m.broken("write "+key)); err != nil {
		return "", err
	}
	v, err := m.swap(key, string(data), version)
	return v, errors.Join(err, m.broken("answer "+key))
}

func (m *memory) swap(key, data, version string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	current, ok := m.data[key]
	if ok && current == data {
		return fmt.Sprint(m.seq[key]), nil
	}
	if ok && fmt.Sprint(m.seq[key]) != version || !ok && version != "" {
		return "", pipeline.ErrConflict
	}
	m.put(key, data)
	return fmt.Sprint(m.seq[key]), nil
}

func (m *memory) List(ctx context.Context, prefix string) iter.Seq2[pipeline.Object, error] {
	return func(yield func(pipeline.Object, error) bool) {
		if err := errors.Join(ctx.Err(), m.broken("list "+prefix)); err != nil {
			yield(pipeline.Object{}, err)
			return
		}
		m.mu.Lock()
		keys := slices.Sorted(maps.Keys(m.data))
		m.mu.Unlock()
		for _, key := range keys {
			if strings.HasPrefix(key, prefix) && !yield(pipeline.Object{Key: key, Version: m.version(key)}, nil) {
				return
			}
		}
	}
}

// version is as a bucket's: a listing tells that of every record.
func (m *memory) version(key string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return fmt.Sprint(m.seq[key])
}

func (m *memory) Open(ctx context.Context, key string) (io.ReadCloser, pipeline.Object, error) {
	data, version, err := m.ReadRecord(ctx, key)
	return io.NopCloser(bytes.NewReader(data)), pipeline.Object{Key: key, Version: version}, err
}

func (m *memory) Put(ctx context.Context, key string, body io.Reader, _ int64, _ pipeline.ObjectMeta) (pipeline.Object, error) {
	if err := errors.Join(ctx.Err(), m.broken("put "+key)); err != nil {
		return pipeline.Object{}, err
	}
	data, err := io.ReadAll(body)
	if err != nil {
		return pipeline.Object{}, err
	}
	m.set(key, string(data))
	return pipeline.Object{Key: key, Bytes: int64(len(data)), Version: m.version(key)}, nil
}

func (m *memory) Remove(_ context.Context, key string) error {
	if err := m.broken("remove " + key); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.data, key)
	return nil
}
