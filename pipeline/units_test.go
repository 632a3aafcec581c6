package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

func TestParseCU(t *testing.T) {
	for text, want := range map[string]string{
		"80": "80", "13.25": "13.25", "0.75": "0.75", "0": "0", "000.10": "0.1", "1e2": "100", "1.5e-3": "0.0015", " 7 ": "7", ".5": "0.5",
		"0.0000010": "0.000001", "999999999999": "999999999999",
	} {
		c, err := ParseCU(text)
		if err != nil || c.String() != want {
			t.Errorf("ParseCU(%q) = %v, %v; want %s", text, c, err, want)
		}
	}
	for _, text := range []string{"", "-1", "1.2.3", "lots", "0.0000001", "1e99", "NaN", "Inf", "9999999999999999999", "1_000", "0x10", "e5", "."} {
		if c, err := ParseCU(text); err == nil {
			t.Errorf("ParseCU(%q) = %v, want an error", text, c)
		}
	}
}

func TestCUIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := CU(rapid.Int64Range(0, 1e17).Draw(t, "millionths"))
		data, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		var back CU
		if err := json.Unmarshal(data, &back); err != nil || back != c {
			t.Fatalf("%d became %s became %d (%v)", c, data, back, err)
		}
	})
}

func TestObjectKey(t *testing.T) {
	p := KeyParts{Item: "hero", Batch: "night", Model: "model_x", N: 2, Of: 3, Ext: ".png"}
	for template, want := range map[string]string{
		DefaultKey:                   "hero-2.png",
		"{batch}/{item}/{n}{ext}":    "night/hero/2.png",
		"{model}/{item}{-n}{ext}":    "model_x/hero-2.png",
		"plates/{item}{-n}.original": "plates/hero-2.original",
	} {
		if err := CheckKey(template); err != nil {
			t.Errorf("%s: %v", template, err)
		}
		if got := ObjectKey(template, p); got != want {
			t.Errorf("ObjectKey(%q) = %q, want %q", template, got, want)
		}
	}
	p.N, p.Of = 1, 1
	if got := ObjectKey(DefaultKey, p); got != "hero.png" {
		t.Errorf("a single output is named %q", got)
	}
	for template, why := range map[string]string{
		"{item}{ext}":                    "several files",
		"{itm}{-n}{ext}":                 "unknown field",
		"{item{-n}{ext}":                 "unknown field",
		"{item}}{-n}":                    "a }",
		"{item}{-n":                      "a {",
		"/{item}{-n}":                    "plain relative path",
		"../{item}{-n}":                  "plain relative path",
		"a//{item}{-n}":                  "plain relative path",
		"{item}{-n}{ext}.":               "a dot or a space",
		".dailies/{item}{-n}{ext}":       "dailies' own",
		"Index.html/{item}{-n}":          "dailies' own",
		"{item}{-n}?{ext}":               "character",
		strings.Repeat("x", 300) + "{n}": "bytes long",
	} {
		if err := CheckKey(template); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("CheckKey(%q) = %v, want %q in it", template, err, why)
		}
	}
}

func TestFingerprint(t *testing.T) {
	of := func(model string, payload map[string]any, salt string) string {
		return Fingerprint(model, payload, salt, func(id string) string { return "of " + id })
	}
	base := func() map[string]any {
		return map[string]any{"prompt": "a", "n": json.Number("5"), "list": []any{File{Path: "x", SHA256: "1"}, From{Item: "y"}}}
	}
	first := of("m", base(), "")
	if second := of("m", base(), ""); first != second || len(first) != 64 {
		t.Errorf("%s, then %s", first, second)
	}
	moved := base()
	moved["list"] = []any{File{Path: "elsewhere", Name: "other", SHA256: "1", Bytes: 9}, From{Item: "y"}}
	if of("m", moved, "") != first {
		t.Error("where a file lies counts, and only its content should")
	}
	for what, change := range map[string]func(map[string]any){
		"a text":                func(p map[string]any) { p["prompt"] = "b" },
		"a number's type":       func(p map[string]any) { p["n"] = "5" },
		"a file's content":      func(p map[string]any) { p["list"] = []any{File{SHA256: "2"}, From{Item: "y"}} },
		"a source":              func(p map[string]any) { p["list"] = []any{File{SHA256: "1"}, From{Item: "z"}} },
		"a key more":            func(p map[string]any) { p["extra"] = nil },
		"an order in an array":  func(p map[string]any) { p["list"] = []any{From{Item: "y"}, File{SHA256: "1"}} },
		"an asset for a file":   func(p map[string]any) { p["list"] = []any{"1", From{Item: "y"}} },
		"a text like a file is": func(p map[string]any) { p["list"] = []any{map[string]any{"file": "9"}, From{Item: "y"}} },
	} {
		p := base()
		change(p)
		if of("m", p, "") == first {
			t.Errorf("%s does not count", what)
		}
	}
	if of("other", base(), "") == first || of("m", base(), "salt") == first {
		t.Error("model or salt do not count")
	}
}

// Every code has a hint for people, an exit code from the contract, and nothing that charges is refused for free.
func TestCodes(t *testing.T) {
	exits := map[int]bool{ExitInternal: true, ExitUsage: true, ExitFailed: true, ExitBudget: true, ExitRefused: true, ExitLocked: true, ExitUnfinished: true, ExitInterrupted: true}
	for _, c := range Codes() {
		traits := c.Traits()
		if traits.Hint == "" || !exits[traits.Exit] {
			t.Errorf("%s: exit %d, hint %q", c, traits.Exit, traits.Hint)
		}
	}
	if CodeOf(errors.New("unheard of")) != CodeInternal || Code("unheard of").Traits().Exit != ExitInternal {
		t.Error("what nobody knows is internal")
	}
	wrapped := Errorf(CodeUpload, "reading: %w", errors.New("no such file"))
	if wrapped.Error() != "reading: no such file" || errors.Unwrap(wrapped) == nil {
		t.Errorf("%v unwraps to %v", wrapped, errors.Unwrap(wrapped))
	}
}

func TestSlots(t *testing.T) {
	unseen := func(string) (time.Duration, bool) { return 0, false }
	acquireAll := func(t *testing.T, s *slots) (n int) {
		for {
			s.mu.Lock()
			room := s.inFlight < s.limit && s.inAir < s.mayFly()
			s.mu.Unlock()
			if !room {
				return n
			}
			if err := s.acquire(t.Context(), claim{}); err != nil {
				t.Fatal(err)
			}
			n++
		}
	}
	t.Run("a user's cap is never passed", func(t *testing.T) {
		s := newSlots(3, unseen)
		for range 5 {
			for range acquireAll(t, s) {
				s.accepted()
			}
		}
		if s.inFlight != 3 {
			t.Errorf("%d in flight under a cap of 3", s.inFlight)
		}
	})
	t.Run("without one it widens by the half, and more than a few are never in the air", func(t *testing.T) {
		s := newSlots(0, unseen)
		for _, want := range []int{4, 4, 4, 6, 9, 13, 16, 16} {
			n := acquireAll(t, s)
			for range n {
				s.accepted()
			}
			if n != want {
				t.Errorf("%d were let go at once, want %d", n, want)
			}
		}
	})
	t.Run("a refusal teaches what fits, and then it probes by one", func(t *testing.T) {
		s := newSlots(0, unseen)
		for range 2 {
			for range acquireAll(t, s) {
				s.accepted()
			}
		}
		for range acquireAll(t, s) {
			s.refused(0)
		}
		fit := s.inFlight
		if s.limit != fit {
			t.Errorf("%d fit, and the limit is %d", fit, s.limit)
		}
		for range fit {
			s.release()
		}
		for s.inFlight < fit {
			for range acquireAll(t, s) {
				s.accepted()
			}
		}
		if s.limit != fit+1 {
			t.Errorf("after a round without a refusal the limit is %d", s.limit)
		}
	})
	t.Run("first those that others wait for, then the longest, then as they stand in the manifest", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			takes := map[string]time.Duration{"clip": 90 * time.Second, "picture": 8 * time.Second}
			s := newSlots(1, func(model string) (time.Duration, bool) { d, ok := takes[model]; return d, ok })
			var order []string
			for i, c := range []struct {
				name, model string
				behind      int
			}{{"the first", "picture", 0}, {"a picture", "picture", 0}, {"a source", "picture", 2}, {"a clip", "clip", 0}, {"another clip", "clip", 0}} {
				go func() {
					if s.acquire(t.Context(), claim{c.model, c.behind, i}) == nil {
						order = append(order, c.name)
					}
				}()
				synctest.Wait()
			}
			for range 5 {
				s.accepted()
				s.release()
				synctest.Wait()
			}
			if want := []string{"the first", "a source", "a clip", "another clip", "a picture"}; !slices.Equal(order, want) {
				t.Errorf("in the order %q, want %q", order, want)
			}
		})
	})
	t.Run("who has left is not served", func(t *testing.T) {
		s := newSlots(1, unseen)
		ctx, leave := context.WithCancel(t.Context())
		leave()
		if s.acquire(ctx, claim{}) == nil || s.inFlight != 0 || s.inAir != 0 || len(s.waiting) != 0 {
			t.Errorf("%d in flight, %d in the air, %d waiting", s.inFlight, s.inAir, len(s.waiting))
		}
	})
	t.Run("when others hold every slot it waits, longer each time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newSlots(0, unseen)
			last := time.Duration(0)
			for range 4 {
				start := time.Now()
				if err := s.acquire(t.Context(), claim{}); err != nil {
					t.Fatal(err)
				}
				waited := time.Since(start)
				if last > 0 && waited <= last {
					t.Errorf("waited %v after %v", waited, last)
				}
				if last == 0 {
					waited = time.Nanosecond // the first goes at once
				}
				last = waited
				s.refused(5)
			}
			if s.ceiling != 5 || s.limit != 1 {
				t.Errorf("ceiling %d, limit %d", s.ceiling, s.limit)
			}
		})
	})
}
