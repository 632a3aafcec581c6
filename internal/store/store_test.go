package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"dailies/internal/store"
	"dailies/internal/store/s3test"
	"dailies/pipeline"
)

// TestStore is the contract, held against every destination. Each case gets an empty one of its own, and can open it a
// second time as another process would.
func TestStore(t *testing.T) {
	plain, secure := s3test.Start(t), s3test.StartTLS(t)
	s3store := func(server *s3test.Server, o store.Options) func(t *testing.T) opener {
		return func(t *testing.T) opener {
			o.AWS = server.Config
			uri := server.URI("run/" + strings.ReplaceAll(t.Name(), "/", "_"))
			return func() store.Store { return open(t, uri, o) }
		}
	}
	for name, destination := range map[string]func(t *testing.T) opener{
		"folder": func(t *testing.T) opener {
			dir := t.TempDir()
			return func() store.Store { return open(t, dir, store.Options{}) }
		},
		"s3":           s3store(plain, store.Options{}),
		"s3-tls":       s3store(secure, store.Options{}),
		"s3-multipart": s3store(plain, store.Options{SinglePutLimit: 1, PartBuffers: 2}),
		"sub": func(t *testing.T) opener {
			dir := t.TempDir()
			return func() store.Store { return store.Sub(open(t, dir, store.Options{}), "a/b") }
		},
	} {
		t.Run(name, func(t *testing.T) {
			for name, test := range contract {
				t.Run(name, func(t *testing.T) { test(t, destination(t)) })
			}
		})
	}
}

type opener func() store.Store

func open(t testing.TB, uri string, o store.Options) store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), uri, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

var contract = map[string]func(*testing.T, opener){
	"probe": func(t *testing.T, open opener) {
		s := open()
		if err := s.Probe(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantKeys(t, s, "")
	},

	"put and open": func(t *testing.T, open opener) {
		s := open()
		// 6 MiB are two parts; the odd sizes are those at which off-by-ones live.
		for _, size := range []int{0, 1, 511, 32 << 10, 5<<20 - 1, 5 << 20, 5<<20 + 1, 6 << 20} {
			for _, announced := range []int64{int64(size), -1} {
				key := fmt.Sprintf("put/%d_%d.bin", size, announced)
				want := pattern(size)
				o, err := s.Put(t.Context(), key, stream(want), announced, pipeline.ObjectMeta{ContentType: "video/mp4", Values: map[string]string{"item": "größe 水"}})
				if err != nil {
					t.Fatalf("%s: %v", key, err)
				}
				if o.Key != key || o.Bytes != int64(size) || o.Version == "" {
					t.Errorf("%s: Put returned %+v", key, o)
				}
				wantObject(t, s, o, want)
			}
		}
	},

	"keys of all kinds": func(t *testing.T, open opener) {
		s := open()
		for _, key := range []string{"a b/c+d&e=f%20.png", "水/龍 🐉.mp4", "é/é.txt", "deep/er/and/deep/er/still.bin", "'(quotes)~!@#$.txt", "-n.txt"} {
			o, err := s.Put(t.Context(), key, strings.NewReader(key), int64(len(key)), pipeline.ObjectMeta{})
			if err != nil {
				t.Fatal(err)
			}
			wantObject(t, s, o, []byte(key))
			if err := s.Move(t.Context(), key, "moved/"+key); err != nil {
				t.Fatal(err)
			}
			o.Key = "moved/" + key
			wantObject(t, s, pipeline.Object{Key: o.Key, Bytes: o.Bytes}, []byte(key))
			if _, _, err := s.Open(t.Context(), key); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s is still there after Move: %v", key, err)
			}
			if !strings.HasSuffix(filepathToSlash(s.URI(key)), key) {
				t.Errorf("URI(%q) = %q", key, s.URI(key))
			}
		}
	},

	"keys that leave": func(t *testing.T, open opener) {
		s := open()
		ctx := t.Context()
		for _, key := range []string{"", ".", "..", "../x", "/etc/x", "a/../../x", "a//b", "a/", "./a", `a\b`, "a\x00b", "\xff"} {
			_, err := s.Put(ctx, key, strings.NewReader("x"), 1, pipeline.ObjectMeta{})
			_, _, openErr := s.Open(ctx, key)
			_, recordErr := s.WriteRecord(ctx, key, []byte("x"), "")
			for op, err := range map[string]error{"Put": err, "Open": openErr, "WriteRecord": recordErr, "Remove": s.Remove(ctx, key),
				"Move to": s.Move(ctx, "x", key), "Move from": s.Move(ctx, key, "x")} {
				if pipeline.CodeOf(err) != pipeline.CodeManifest {
					t.Errorf("%s %q: %v", op, key, err)
				}
			}
		}
		wantKeys(t, s, "")
	},

	"a body that fails leaves nothing": func(t *testing.T, open opener) {
		s := open()
		broken := errors.New("the connection broke")
		full := pattern(6 << 20)
		for name, c := range map[string]struct {
			body io.Reader
			size int64
			want func(error) bool
		}{
			"breaks at once":     {iotest.ErrReader(broken), 10, isErr(broken)},
			"breaks in between":  {io.MultiReader(stream(full[:3<<20]), iotest.ErrReader(broken)), 6 << 20, isErr(broken)},
			"wrong at the end":   {io.MultiReader(stream(full), iotest.ErrReader(broken)), 6 << 20, isErr(broken)},
			"wrong, size hidden": {io.MultiReader(stream(full), iotest.ErrReader(broken)), -1, isErr(broken)},
			"empty and wrong":    {iotest.ErrReader(broken), 0, isErr(broken)},
			"short":              {stream(full[:100]), 101, isCode(pipeline.CodeCorrupt)},
			"short and large":    {stream(full), 6<<20 + 1, isCode(pipeline.CodeCorrupt)},
			"long":               {stream(full[:102]), 101, isCode(pipeline.CodeCorrupt)},
			"long and large":     {stream(full), 6<<20 - 1, isCode(pipeline.CodeCorrupt)},
			"not empty":          {stream(full[:1]), 0, isCode(pipeline.CodeCorrupt)},
			"its own words":      {iotest.ErrReader(pipeline.Errorf(pipeline.CodeURLExpired, "expired")), 10, isCode(pipeline.CodeURLExpired)},
		} {
			_, err := s.Put(t.Context(), "broken/x.bin", c.body, c.size, pipeline.ObjectMeta{})
			if !c.want(err) {
				t.Errorf("%s: %v", name, err)
			}
			wantKeys(t, s, "")
		}
	},

	"a canceled Put leaves nothing": func(t *testing.T, open opener) {
		s := open()
		for _, size := range []int64{20 << 20, -1} {
			ctx, cancel := context.WithCancel(t.Context())
			body := &hook{Reader: stream(pattern(20 << 20)), at: 7 << 20, do: cancel}
			if _, err := s.Put(ctx, "x.bin", body, size, pipeline.ObjectMeta{}); !errors.Is(err, context.Canceled) {
				t.Errorf("size %d: %v", size, err)
			}
			wantKeys(t, s, "")
		}
	},

	"the old stays until the new is whole": func(t *testing.T, open opener) {
		s, other := open(), open()
		old, err := s.Put(t.Context(), "x.bin", strings.NewReader("old"), 3, pipeline.ObjectMeta{})
		if err != nil {
			t.Fatal(err)
		}
		check := func() { wantObject(t, other, old, []byte("old")) }
		fresh := pattern(12 << 20)
		o, err := s.Put(t.Context(), "x.bin", &hook{Reader: stream(fresh), at: 11 << 20, do: check}, int64(len(fresh)), pipeline.ObjectMeta{})
		if err != nil {
			t.Fatal(err)
		}
		if o.Version == old.Version {
			t.Error("the version did not change with the bytes")
		}
		wantObject(t, other, o, fresh)
		broken := errors.New("broke")
		if _, err := s.Put(t.Context(), "x.bin", io.MultiReader(stream(fresh[:6<<20]), iotest.ErrReader(broken)), 12<<20, pipeline.ObjectMeta{}); !errors.Is(err, broken) {
			t.Error(err)
		}
		wantObject(t, other, o, fresh)
	},

	"list": func(t *testing.T, open opener) {
		s := open()
		for _, key := range []string{"a", "ab", "b/1", "b/2/x", "ba/1", ".dailies/items/x.json"} {
			if _, err := s.Put(t.Context(), key, strings.NewReader(key), -1, pipeline.ObjectMeta{}); err != nil {
				t.Fatal(err)
			}
		}
		for prefix, want := range map[string][]string{
			"":                {".dailies/items/x.json", "a", "ab", "b/1", "b/2/x", "ba/1"},
			"a":               {"a", "ab"},
			"b":               {"b/1", "b/2/x", "ba/1"},
			"b/":              {"b/1", "b/2/x"},
			"b/2":             {"b/2/x"},
			"b/2/":            {"b/2/x"},
			"c":               nil,
			"c/d/":            nil,
			".dailies/items/": {".dailies/items/x.json"},
		} {
			wantKeys(t, s, prefix, want...)
		}
		for range s.List(t.Context(), "") {
			break // must not go on
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for _, err := range s.List(ctx, "") {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("List of a canceled run: %v", err)
			}
		}
	},

	"move": func(t *testing.T, open opener) {
		s := open()
		put(t, s, "from", "new")
		put(t, s, "to/deep", "old")
		if err := s.Move(t.Context(), "from", "to/deep"); err != nil {
			t.Fatal(err)
		}
		wantKeys(t, s, "", "to/deep")
		wantObject(t, s, pipeline.Object{Key: "to/deep", Bytes: 3}, []byte("new"))
		if err := s.Move(t.Context(), "absent", "x"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Move of what is absent: %v", err)
		}
		if err := s.Move(t.Context(), "to/deep", "to/deep"); err != nil {
			t.Errorf("Move onto itself: %v", err)
		}
		wantKeys(t, s, "", "to/deep")
	},

	"remove": func(t *testing.T, open opener) {
		s := open()
		put(t, s, "x/y", "1")
		for range 2 {
			if err := s.Remove(t.Context(), "x/y"); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Remove(t.Context(), "never/was"); err != nil {
			t.Fatal(err)
		}
		wantKeys(t, s, "")
	},

	"records": func(t *testing.T, open opener) {
		s, other := open(), open()
		ctx := t.Context()
		const key = "items/hero.json"
		if _, _, err := s.ReadRecord(ctx, key); !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("absent: %v", err)
		}
		if _, err := s.WriteRecord(ctx, key, []byte("one"), "no such version"); !errors.Is(err, pipeline.ErrConflict) {
			t.Fatalf("replacing what is absent: %v", err)
		}
		v1 := writeRecord(t, s, key, "one", "")
		data, version, err := other.ReadRecord(ctx, key)
		if err != nil || string(data) != "one" || version != v1 {
			t.Fatalf("read %q, version %q (want %q), %v", data, version, v1, err)
		}
		v2 := writeRecord(t, other, key, "two", v1)
		for name, version := range map[string]string{"create": "", "stale": v1} {
			if _, err := s.WriteRecord(ctx, key, []byte("three"), version); !errors.Is(err, pipeline.ErrConflict) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if again := writeRecord(t, s, key, "two", v1); again != v2 {
			t.Errorf("a repeated write returned version %q, want %q", again, v2)
		}
		writeRecord(t, s, key, "three", v2)
		if _, err := s.WriteRecord(ctx, key, make([]byte, store.MaxRecord+1), v2); pipeline.CodeOf(err) != pipeline.CodeLedger {
			t.Errorf("a record too large to read was written: %v", err)
		}
		put(t, s, "big", strings.Repeat("x", store.MaxRecord+1))
		if _, _, err := s.ReadRecord(ctx, "big"); pipeline.CodeOf(err) != pipeline.CodeLedger {
			t.Errorf("too large: %v", err)
		}
		wantKeys(t, s, "items/", key)
	},

	"of many writers one wins": func(t *testing.T, open opener) {
		stores := []store.Store{open(), open(), open()}
		version := ""
		for round := range 5 {
			var wg sync.WaitGroup
			var mu sync.Mutex
			var won []string
			for i := range 12 {
				wg.Go(func() {
					data := fmt.Sprintf("round %d, writer %d", round, i)
					v, err := stores[i%len(stores)].WriteRecord(t.Context(), "race", []byte(data), version)
					switch {
					case err == nil:
						mu.Lock()
						defer mu.Unlock()
						won = append(won, data, v)
					case !errors.Is(err, pipeline.ErrConflict):
						t.Errorf("round %d: %v", round, err)
					}
				})
			}
			wg.Wait()
			if len(won) != 2 {
				t.Fatalf("round %d: winners %q, want one", round, won)
			}
			data, v, err := stores[0].ReadRecord(t.Context(), "race")
			if err != nil || string(data) != won[0] || v != won[1] {
				t.Fatalf("round %d: %q version %q, %v; the winner was %q", round, data, v, err, won)
			}
			version = v
		}
	},

	"concurrent puts do not mix": func(t *testing.T, open opener) {
		s := open()
		var wg sync.WaitGroup
		for i := range 6 {
			wg.Go(func() {
				data := bytes.Repeat([]byte{byte('a' + i)}, 6<<20)
				size := int64(len(data))
				if i%2 == 0 {
					size = -1
				}
				if _, err := s.Put(t.Context(), "same", stream(data), size, pipeline.ObjectMeta{}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		body, _, err := s.Open(t.Context(), "same")
		if err != nil {
			t.Fatal(err)
		}
		defer body.Close()
		data, err := io.ReadAll(body)
		if err != nil || len(data) != 6<<20 || len(bytes.Trim(data, string(data[:1]))) != 0 {
			t.Errorf("%d bytes, %v, of more than one writer", len(data), err)
		}
	},
}

func pattern(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i*7 + i>>8)
	}
	return p
}

// stream hides everything but Read, as a download would.
func stream(p []byte) io.Reader { return struct{ io.Reader }{bytes.NewReader(p)} }

// A hook does something once, when a number of bytes has been read.
type hook struct {
	io.Reader
	at int
	do func()
}

func (h *hook) Read(p []byte) (int, error) {
	n, err := h.Reader.Read(p)
	if h.at -= n; h.at <= 0 && h.do != nil {
		h.do()
		h.do = nil
	}
	return n, err
}

func isErr(want error) func(error) bool { return func(err error) bool { return errors.Is(err, want) } }

func isCode(want pipeline.Code) func(error) bool {
	return func(err error) bool { return pipeline.CodeOf(err) == want }
}

func put(t *testing.T, s store.Store, key, data string) {
	t.Helper()
	if _, err := s.Put(t.Context(), key, strings.NewReader(data), int64(len(data)), pipeline.ObjectMeta{}); err != nil {
		t.Fatal(err)
	}
}

func writeRecord(t *testing.T, s store.Store, key, data, version string) string {
	t.Helper()
	v, err := s.WriteRecord(t.Context(), key, []byte(data), version)
	if err != nil {
		t.Fatal(err)
	}
	if v == "" {
		t.Fatal("a written record has no version")
	}
	return v
}

func wantObject(t *testing.T, s store.Store, want pipeline.Object, data []byte) {
	t.Helper()
	body, o, err := s.Open(t.Context(), want.Key)
	if err != nil {
		t.Error(err)
		return
	}
	defer body.Close()
	got, err := io.ReadAll(body)
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("%s: %d bytes, %v; want %d", want.Key, len(got), err, len(data))
	}
	if o.Key != want.Key || o.Bytes != want.Bytes || want.Version != "" && o.Version != want.Version {
		t.Errorf("Open says %+v, want %+v", o, want)
	}
	for listed, err := range s.List(t.Context(), want.Key) {
		if err != nil || listed.Key == want.Key && listed != o {
			t.Errorf("List says %+v, %v; Open says %+v", listed, err, o)
		}
	}
}

func wantKeys(t *testing.T, s store.Store, prefix string, want ...string) {
	t.Helper()
	got := map[string]bool{}
	for o, err := range s.List(t.Context(), prefix) {
		if err != nil {
			t.Errorf("List %q: %v", prefix, err)
			return
		}
		got[o.Key] = true
	}
	if keys := slices.Sorted(maps.Keys(got)); !slices.Equal(keys, want) {
		t.Errorf("List %q: %q, want %q", prefix, keys, want)
	}
}

func filepathToSlash(p string) string { return strings.ReplaceAll(p, `\`, "/") }
