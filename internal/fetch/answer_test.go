package fetch

import (
	"math"
	"testing"
)

func TestParseContentRange(t *testing.T) {
	for value, want := range map[string]*part{
		"bytes 0-9/10":                  {0, 9, 10},
		"bytes 5-9/*":                   {5, 9, -1},
		"Bytes 5-5/6":                   {5, 5, 6},
		"bytes 0-9223372036854775806/*": {0, math.MaxInt64 - 1, -1},
		"":                              nil,
		"bytes */10":                    nil,
		"bytes 9-5/10":                  nil,
		"bytes 0-10/10":                 nil,
		"bytes -1-5/10":                 nil,
		"bytes +1-5/10":                 nil,
		"items 0-9/10":                  nil,
		"bytes 0-9":                     nil,
		"bytes 0-99999999999999999999/999999999999": nil,
	} {
		got, ok := parseContentRange(value)
		if ok != (want != nil) || ok && got != *want {
			t.Errorf("%q = %v, %v; want %v", value, got, ok, want)
		}
	}
}

func FuzzParseContentRange(f *testing.F) {
	f.Add("bytes 0-9/10")
	f.Add("bytes 5-9/*")
	f.Fuzz(func(t *testing.T, value string) {
		p, ok := parseContentRange(value)
		if ok && (p.first < 0 || p.last < p.first || p.total >= 0 && p.total <= p.last) {
			t.Errorf("%q = %v", value, p)
		}
	})
}

func TestScrub(t *testing.T) {
	for text, want := range map[string]string{
		"plain": "plain",
		"Get https://h/a?Policy=x&Signature=y: refused":       "Get https://h/a?… refused",
		`failed to parse Location header "https://h/?s=1": x`: `failed to parse Location header "https://h/?…": x`,
		"why? because": "why? because",
		"a?b c?d":      "a?… c?…",
	} {
		if got := scrub(text); got != want {
			t.Errorf("scrub(%q) = %q, want %q", text, got, want)
		}
	}
}
