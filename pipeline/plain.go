package pipeline

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Plain makes one safe line of text that others wrote (prompts, the API's messages, names in manifests), for
// people to read on a terminal, in a log or in a report: control characters and line ends become spaces, runs of
// white space become one space, and characters that hide or reorder others are dropped, so that no text can move
// the cursor, forge a line or pretend to be another.
func Plain(s string) string {
	clean := func(r rune) rune {
		switch {
		case unicode.IsSpace(r) || unicode.IsControl(r):
			return ' '
		case unicode.Is(unicode.Cf, r) && r != '\u200d': // the joiner makes emoji, nothing else
			return -1
		case unicode.Is(unicode.Co, r) || unicode.Is(unicode.Cs, r):
			return unicode.ReplacementChar
		}
		return r
	}
	return strings.Join(strings.Fields(strings.Map(clean, strings.ToValidUTF8(s, "\ufffd"))), " ")
}

// Count writes a number of things for people: "1 file", "3 files".
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

// ModelName is a model's id as people say it: "veo3-1" for model_veo3-1.
func ModelName(id string) string { return Plain(strings.TrimPrefix(id, "model_")) }

// Size writes a number of bytes for people, in powers of 1000 as file managers do: "512 B", "4.2 MB", "1.3 GB".
func Size(bytes int64) string {
	if bytes < 1000 {
		return strconv.FormatInt(bytes, 10) + " B"
	}
	size := float64(bytes)
	for _, unit := range []string{"kB", "MB", "GB"} {
		size /= 1000
		switch {
		case size < 9.95:
			return fmt.Sprintf("%.1f %s", size, unit)
		case size < 999.5:
			return fmt.Sprintf("%.0f %s", size, unit)
		}
	}
	return fmt.Sprintf("%.1f TB", size/1000)
}

// Span writes a duration for people, as exact as they care: "8s", "2m14s", "1h05m", "3d04h".
func Span(d time.Duration) string {
	d = max(d, 0).Round(time.Second)
	s, m, h := int(d.Seconds())%60, int(d.Minutes())%60, int(d.Hours())
	switch {
	case h >= 48:
		return fmt.Sprintf("%dd%02dh", h/24, h%24)
	case h > 0:
		return fmt.Sprintf("%dh%02dm", h, m)
	case m > 0:
		return fmt.Sprintf("%dm%02ds", m, s)
	}
	return fmt.Sprintf("%ds", s)
}
