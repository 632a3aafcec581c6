package pipeline

import (
	"testing"
	"time"
)

func TestPlain(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"text stays", "a dragon, drôle et 龙 👩\u200d🚀", "a dragon, drôle et 龙 👩\u200d🚀"},
		{"lines become one", " first\r\n\tsecond\u2028third ", "first second third"},
		{"escape sequences lose their escape", "\x1b[2J\x1b]0;owned\a red \u009b31m", "[2J ]0;owned red 31m"},
		{"bidirectional tricks are dropped", "file\u202egnp.exe\u2066", "filegnp.exe"},
		{"invisible characters are dropped", "pay\u200bload\ufeff", "payload"},
		{"broken UTF-8 is marked", "a\xff\xfeb", "a\ufffdb"},
		{"private use is marked", "\ue000", "\ufffd"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := Plain(c.in); got != c.want {
				t.Errorf("Plain(%q) = %q, want %q", c.in, got, c.want)
			}
		})
	}
}

func TestSize(t *testing.T) {
	for bytes, want := range map[int64]string{
		0: "0 B", 999: "999 B", 1000: "1.0 kB", 9_949: "9.9 kB", 9_950: "10 kB", 999_499: "999 kB", 999_500: "1.0 MB",
		4_200_000: "4.2 MB", 1_300_000_000: "1.3 GB", 2_500_000_000_000: "2.5 TB",
	} {
		if got := Size(bytes); got != want {
			t.Errorf("Size(%d) = %q, want %q", bytes, got, want)
		}
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 400 * time.Millisecond: "0s", 8 * time.Second: "8s", 59_600 * time.Millisecond: "1m00s",
		134 * time.Second: "2m14s", 65 * time.Minute: "1h05m", 76 * time.Hour: "3d04h",
	} {
		if got := Span(d); got != want {
			t.Errorf("Span(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[int]string{0: "0 files", 1: "1 file", 2: "2 files"} {
		if got := Count(n, "file"); got != want {
			t.Errorf("Count(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestGeneration(t *testing.T) {
	at := time.Unix(1_000_000, 0)
	for name, c := range map[string]struct {
		o    Outcome
		want time.Duration
	}{
		"known":             {Outcome{SubmittedAt: at, FinishedAt: at.Add(39 * time.Second)}, 39 * time.Second},
		"never submitted":   {Outcome{FinishedAt: at}, 0},
		"not finished":      {Outcome{SubmittedAt: at}, 0},
		"clocks that argue": {Outcome{SubmittedAt: at, FinishedAt: at.Add(-time.Second)}, 0},
	} {
		if got := c.o.Generation(); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
