package pipeline

import (
	"strings"
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
