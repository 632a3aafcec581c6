package manifest

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// pos is a place in the manifest, or in a file of rows; both count from 1, col counts characters. The zero pos is
// nowhere in particular.
type pos struct {
	line, col int32
	file      int32 // 0 is the manifest; else see reader.sources
}

// source is a file's text, for finding places in it and showing its lines.
type source struct {
	name  string
	file  int32
	text  []byte
	lines []int32 // where each line begins

	broken bool // a file of rows: not all of it could be read, which has been reported

	last       pos // the last place looked up, and its offset
	lastOffset int
}

// top is where the manifest begins.
var top = pos{line: 1, col: 1}

// newSource finds the lines as YAML counts them: LF, CR, CRLF, and the Unicode breaks NEL, LS and PS end one.
func newSource(text []byte) *source {
	s := &source{text: text, lines: []int32{0}}
	for i := 0; i < len(text); {
		n := lineBreak(text[i:])
		if n == 0 {
			i++
			continue
		}
		i += n
		s.lines = append(s.lines, int32(i))
	}
	return s
}

// lineBreak is the length of the line break that b begins with, 0 when it begins with none.
func lineBreak(b []byte) int {
	switch b[0] {
	case '\n':
		return 1
	case '\r':
		if len(b) > 1 && b[1] == '\n' {
			return 2
		}
		return 1
	case 0xC2:
		if len(b) > 1 && b[1] == 0x85 {
			return 2
		}
	case 0xE2:
		if len(b) > 2 && b[1] == 0x80 && (b[2] == 0xA8 || b[2] == 0xA9) {
			return 3
		}
	}
	return 0
}

// line is the text of a line without its break; "" when there is no such line.
func (s *source) line(n int32) string {
	if n < 1 || int(n) > len(s.lines) {
		return ""
	}
	return strings.TrimRight(string(s.text[s.lines[n-1]:s.end(n)]), lineBreaks)
}

const lineBreaks = "\r\n\u0085\u2028\u2029"

// end is where a line ends, its break included.
func (s *source) end(line int32) int {
	if int(line) < len(s.lines) {
		return int(s.lines[line])
	}
	return len(s.text)
}

// excerpt is the line that a place is in, or the part around it of a long one, and the characters of it before the place.
func (s *source) excerpt(p pos) (part string, before int) {
	if p.line < 1 || int(p.line) > len(s.lines) {
		return "", 0
	}
	const around = 80 // bytes
	begin, end, at := int(s.lines[p.line-1]), s.end(p.line), s.offset(p)
	from, to := begin, end
	if end-begin > 2*around {
		from, to = max(begin, min(at, end-around)-around), min(end, max(at, begin+around)+around)
	}
	for from > begin && !utf8.RuneStart(s.text[from]) {
		from--
	}
	for to < end && !utf8.RuneStart(s.text[to]) {
		to++
	}
	part, before = string(s.text[from:to]), utf8.RuneCount(s.text[from:max(from, min(at, to))])
	if from > begin {
		part, before = "…"+part, before+1
	}
	if to < end && strings.Trim(string(s.text[to:end]), lineBreaks) != "" {
		part += "…"
	}
	return strings.TrimRight(part, lineBreaks), before
}

// at turns an offset into the text into a place.
func (s *source) at(offset int) pos {
	lo, hi := 0, len(s.lines)
	for hi-lo > 1 {
		if mid := (lo + hi) / 2; int(s.lines[mid]) <= offset {
			lo = mid
		} else {
			hi = mid
		}
	}
	from, col := int(s.lines[lo]), int32(1)
	if int(s.last.line) == lo+1 && s.lastOffset <= offset {
		from, col = s.lastOffset, s.last.col
	}
	s.last = pos{int32(lo + 1), col + int32(utf8.RuneCount(s.text[from:offset])), s.file}
	s.lastOffset = offset
	return s.last
}

// offset is the inverse of at. It goes on from the place before where it can: a line may be megabytes long, and hold
// many problems.
func (s *source) offset(p pos) int {
	if p.line < 1 || int(p.line) > len(s.lines) {
		return len(s.text)
	}
	i, col := int(s.lines[p.line-1]), int32(1)
	if s.last.line == p.line && s.last.col <= p.col {
		i, col = s.lastOffset, s.last.col
	}
	for ; col < p.col && i < len(s.text); col++ {
		_, n := utf8.DecodeRune(s.text[i:])
		i += n
	}
	s.last, s.lastOffset = pos{p.line, col, s.file}, i
	return i
}

// find is the place of the first word at or after p within a text of about reach bytes; p itself when it is not
// there as written (folded over lines, or escaped).
func (s *source) find(p pos, word string, reach int) pos {
	from := s.offset(p)
	// Indentation, line breaks and escapes make a text longer in the file than it is.
	to := min(len(s.text), from+2*reach+1024)
	if i := bytes.Index(s.text[from:to], []byte(word)); i >= 0 {
		return s.at(from + i)
	}
	return p
}

// flaw is the first thing in the text that no YAML file may hold.
func (s *source) flaw() (p pos, message, hint string) {
	t := s.text
	if bytes.HasPrefix(t, []byte{0xFF, 0xFE}) || bytes.HasPrefix(t, []byte{0xFE, 0xFF}) {
		return top, "the file is UTF-16", "save it as UTF-8"
	}
	marks := 0
	for i := 0; i < len(t); {
		c := t[i]
		switch {
		case c == ',' || c == '[' || c == '{' || c == ':' || c == '\n' || c == '\r':
			marks++
		case (c == '-' || c == '?') && i+1 < len(t) && (t[i+1] == ' ' || t[i+1] == '\t'):
			marks++
		case c == '\t' || c >= ' ' && c < 0x7F:
		case c < utf8.RuneSelf:
			return s.at(i), "a control character", "delete it, or write it as an escape between double quotes: \"\\x" + hexByte(c) + "\""
		default:
			r, n := utf8.DecodeRune(t[i:])
			if r == utf8.RuneError && n == 1 {
				return s.at(i), "not UTF-8", "save the file as UTF-8"
			}
			if r < 0xA0 && r != 0x85 || r == 0xFFFE || r == 0xFFFF {
				return s.at(i), "a control character", "delete it"
			}
			if r == 0x85 || r == 0x2028 || r == 0x2029 {
				marks++
			}
			i += n
			continue
		}
		if marks > maxValues {
			return s.at(i), "the manifest holds more than 2,000,000 values", "split it into several batches, or use matrix"
		}
		i++
	}
	return pos{}, "", ""
}

func hexByte(c byte) string {
	const digits = "0123456789ABCDEF"
	return string([]byte{digits[c>>4], digits[c&15]})
}
