package manifest

import (
	"bytes"
	"errors"
	"regexp"

	"gopkg.in/yaml.v3"
)

// A YAML reader's tree is thirty times the size of its text. So a large manifest is read in pieces: the text
// around the items, then some items at a time. Wherever the cut is wrong, because a text or a list goes on over
// lines that look like items, a piece ends within it and cannot be read; then the manifest is read whole.

const (
	splitAbove = 1 << 20   // bytes; smaller manifests are read whole
	pieceBytes = 128 << 10 // of items at a time
)

// pieces are a manifest, cut.
type pieces struct {
	around []byte  // the text with blank lines in the place of the items
	items  []piece // in order
}

type piece struct{ first, last int32 } // lines

var (
	itemsLine = regexp.MustCompile(`(?m)^items:[ \t]*(#.*)?\r?$`)
	// Anchors and aliases reach over the whole document.
	anchorLike = regexp.MustCompile(`(?m)(^|[\s\[{,:-])[&*][^\s&*]`)
)

// split cuts a manifest whose items are a plain list of a line or more each; nil when it is not so.
func (s *source) split() *pieces {
	at := itemsLine.FindAllIndex(s.text, 2)
	if len(at) != 1 || anchorLike.Match(s.text) {
		return nil
	}
	first := s.at(at[0][0]).line + 1
	p := &pieces{}
	indent := -1
	n, begin := first, first
	for ; int(n) <= len(s.lines); n++ {
		line := s.text[s.lines[n-1]:s.end(n)]
		body := bytes.TrimLeft(line, " ")
		deep := len(line) - len(body)
		if body = bytes.TrimSpace(body); len(body) == 0 || body[0] == '#' {
			continue
		}
		isItem := body[0] == '-' && (len(body) == 1 || body[1] == ' ')
		if indent < 0 {
			if !isItem {
				return nil
			}
			indent = deep
		}
		if deep < indent || deep == indent && !isItem {
			break
		}
		if deep == indent && int(s.lines[n-1]-s.lines[begin-1]) > pieceBytes {
			p.items = append(p.items, piece{begin, n - 1})
			begin = n
		}
	}
	if indent < 0 {
		return nil
	}
	p.items = append(p.items, piece{begin, n - 1})
	p.around = append(p.around, s.text[:s.lines[first-1]]...)
	p.around = append(p.around, bytes.Repeat([]byte{'\n'}, int(n-first))...)
	if int(n) <= len(s.lines) {
		p.around = append(p.around, s.text[s.lines[n-1]:]...)
	}
	return p
}

// piece is the text of some lines.
func (s *source) piece(p piece) []byte { return s.text[s.lines[p.first-1]:s.end(p.last)] }

var errNoList = errors.New("not a list of items")

// parsePiece reads some items.
func (r *reader) parsePiece(p piece) ([]*yaml.Node, error) {
	doc, err := decodeOne(r.src.piece(p))
	if err != nil {
		return nil, err
	}
	if doc.Content[0].Kind != yaml.SequenceNode {
		return nil, errNoList
	}
	r.offset = p.first - 1
	return doc.Content[0].Content, nil
}
