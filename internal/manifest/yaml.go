package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// Bounds on what a manifest may make us hold. The file itself is bounded by maxBytes.
const (
	maxBytes  = 10 << 20
	maxValues = 2_000_000 // values in the file
	maxAlias  = 1_000_000 // values that aliases stand for
	maxDepth  = 100
)

// document is a manifest as the YAML reader gives it.
type document struct {
	root  *yaml.Node // without the items, where they are given apart
	items iter.Seq[*yaml.Node]
}

// parseYAML reads the one document of a manifest; nil when it cannot be read, with the problem reported.
func (r *reader) parseYAML() *document {
	if at, message, hint := r.src.flaw(); message != "" {
		r.problem(at, message, hint)
		return nil
	}
	if len(r.src.text) > r.splitAbove {
		if p := r.src.split(); p != nil {
			if around, err := decodeOne(p.around); err == nil {
				return &document{root: around.Content[0], items: r.inPieces(p)}
			}
		}
	}
	doc, err := decodeOne(r.src.text)
	switch {
	case errors.Is(err, io.EOF):
		r.problem(top, "the manifest is empty", "dailies init writes one to start from")
		return nil
	case errors.Is(err, errSecond):
		r.problem(r.posOf(doc), "a second document begins here", "a manifest is one document: delete the line of dashes, or make two files")
		return nil
	case err != nil:
		r.syntaxProblem(err, piece{1, int32(len(r.src.lines))})
		return nil
	}
	root := doc.Content[0]
	return &document{root: root, items: detachItems(root)}
}

var errSecond = errors.New("a second document")

// decodeOne reads a text that is one YAML document. It returns the second document where there is one, with
// errSecond; an empty text is io.EOF.
func decodeOne(text []byte) (*yaml.Node, error) {
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var doc, second yaml.Node
	if err := dec.Decode(&doc); err != nil {
		return nil, err
	}
	if len(doc.Content) == 0 || doc.Content[0].Kind == yaml.ScalarNode && doc.Content[0].Tag == "!!null" {
		return nil, io.EOF
	}
	if err := dec.Decode(&second); err == nil {
		return &second, errSecond
	} else if !errors.Is(err, io.EOF) {
		return nil, err
	}
	return &doc, nil
}

// inPieces yields the items of a cut manifest, piece by piece. Where a piece cannot be read, either the manifest
// cannot, which is reported, or the cut was wrong, and r.miscut is set.
func (r *reader) inPieces(p *pieces) iter.Seq[*yaml.Node] {
	return func(yield func(*yaml.Node) bool) {
		for _, piece := range p.items {
			items, err := r.parsePiece(piece)
			if err != nil {
				if _, whole := decodeOne(r.src.text); whole == nil || errors.Is(whole, errSecond) || errors.Is(err, errNoList) {
					r.miscut = true
					return
				}
				r.offset = 0
				r.syntaxProblem(err, piece)
				r.missing = true
				return
			}
			for _, y := range items {
				if !yield(y) {
					return
				}
			}
		}
	}
}

// posOf is where a node stands in the whole text.
func (r *reader) posOf(y *yaml.Node) pos {
	return pos{line: int32(y.Line) + r.offset, col: int32(y.Column)}
}

// detachItems takes the items out of a document, so that they can be let go one by one. Items that are shared through
// an anchor stay.
func detachItems(root *yaml.Node) iter.Seq[*yaml.Node] {
	var items []*yaml.Node
	if root.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(root.Content); i += 2 {
			if k, v := root.Content[i], root.Content[i+1]; k.Kind == yaml.ScalarNode && k.Value == "items" && v.Kind == yaml.SequenceNode && v.Anchor == "" {
				items, v.Content = v.Content, nil
				break
			}
		}
	}
	return func(yield func(*yaml.Node) bool) {
		for i, y := range items {
			if items[i] = nil; !yield(y) {
				return
			}
		}
	}
}

var yamlError = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

// syntaxProblem puts the YAML reader's error into plain words and at the right place. The reader names the line where
// the broken construct began, or none; the line to blame is the last one of the shortest beginning of the text that
// is broken in the same way. It is looked for in the lines of within.
func (r *reader) syntaxProblem(err error, within piece) {
	named, message := 1, strings.TrimPrefix(err.Error(), "yaml: ")
	if m := yamlError.FindStringSubmatch(err.Error()); m != nil {
		named, _ = strconv.Atoi(m[1])
		message = m[2]
	}
	if name, ok := strings.CutPrefix(message, "unknown anchor '"); ok {
		name = strings.TrimSuffix(name, "' referenced")
		at := r.src.find(top, "*"+name, len(r.src.text))
		r.problem(at, fmt.Sprintf("*%s stands for an anchor &%s, and there is none", name, name), "a text that begins with * needs quotes")
		return
	}
	line := max(within.first, min(within.first-1+int32(named), within.last))
	if within.last-within.first < int32(len(r.src.lines))-1 || len(r.src.text) <= splitAbove {
		line = r.firstBroken(within, line-1, message)
	}
	shown := r.src.line(line)
	indent := len(shown) - len(strings.TrimLeft(shown, " \t"))
	at := pos{line: line, col: int32(indent + 1)}
	if tab := strings.IndexByte(shown[:indent], '\t'); tab >= 0 {
		r.problem(pos{line: line, col: int32(tab + 1)}, "a tab in the indentation", "YAML is indented with spaces: replace the tab")
		return
	}
	words, hint := plainWords(message, shown)
	if strings.Contains(message, "mapping values are not allowed") {
		if first := strings.Index(shown, ": "); first >= 0 {
			if second := strings.Index(shown[first+1:], ": "); second >= 0 {
				at.col = int32(utf8.RuneCountInString(shown[:first+1+second]) + 1)
			}
		}
	}
	r.problem(at, words, hint)
}

// firstBroken finds, by halving, the line at which some lines of the file break with message; it takes the
// reader's word that those up to sound are well.
func (r *reader) firstBroken(within piece, sound int32, message string) int32 {
	breaks := func(last int32) bool {
		var n yaml.Node
		err := yaml.Unmarshal(r.src.piece(piece{within.first, last}), &n)
		return err != nil && strings.HasSuffix(err.Error(), message)
	}
	lo, hi := min(sound, within.last-1), within.last
	if lo >= within.first && breaks(lo) {
		lo = within.first - 1
	}
	for hi-lo > 1 {
		if mid := (lo + hi) / 2; breaks(mid) {
			hi = mid
		} else {
			lo = mid
		}
	}
	return hi
}

// plainWords says what a YAML error means to somebody who never heard of block mappings.
func plainWords(message, line string) (words, hint string) {
	const quote = "put the text between double quotes"
	switch {
	case strings.Contains(message, "mapping values are not allowed"):
		if strings.Count(line, ": ") > 1 {
			return `a second ": " in one line`, `put the whole text between double quotes, as in prompt: "SFX: wind"`
		}
		return "this line is indented too far", "align it with the ones above"
	case strings.Contains(line, "${") && !strings.Contains(line, `"${`) && strings.ContainsAny(strings.ReplaceAll(line, "${", ""), "[{"):
		return "YAML cannot read this line", `inside [ ] and { }, write "${…}" with quotes`
	case strings.Contains(message, "could not find expected ':'"):
		return `a line without its "key:"`, "a text over several lines begins with key: > on a line of its own, and is indented"
	case strings.Contains(message, "cannot start any token"):
		return "a value cannot begin with this character", quote
	case strings.Contains(message, "did not find expected key"), strings.Contains(message, "expected '-' indicator"):
		return "this line does not fit the ones above", "align it with the lines it belongs to; " + quote + " if it is one text that begins with a quote, { or ["
	case strings.Contains(message, "expected ',' or ']'"):
		return "a list that began with [ goes on without a comma, or is never closed", "add the missing , or ]"
	case strings.Contains(message, "expected ',' or '}'"):
		return "a mapping that began with { goes on without a comma, or is never closed", "add the missing , or }"
	case strings.Contains(message, "unexpected end of stream"), strings.Contains(message, "unexpected document indicator"):
		return "a text that began with a quote is never closed", "add the missing quote"
	case strings.Contains(message, "escape"), strings.Contains(message, "hexdecimal"):
		return `a \ that YAML does not know, between double quotes`, `write \\ for a backslash, or use single quotes`
	case strings.Contains(message, "tab character"):
		return "a tab in the indentation", "YAML is indented with spaces: replace the tab"
	case strings.Contains(message, "exceeded max depth"):
		return "the values are nested too deeply", ""
	case strings.Contains(message, "tag"):
		return "a value cannot begin with !", quote
	case strings.Contains(message, "directive"), strings.Contains(message, "incompatible YAML"):
		return "a line that begins with % is not for manifests", "delete it"
	case strings.Contains(message, "attempted to go past the end"), strings.Contains(message, "document start"):
		return "something stands after the end of the document", "delete it"
	}
	return "not YAML: " + message, ""
}

// convert makes a node of what the YAML reader read. It resolves aliases and merge keys, and reports duplicate
// keys, keys that are not text, tags and whatever is too deep or too much; then the node is nothing.
func (r *reader) convert(y *yaml.Node, depth int) *node {
	n := &node{at: r.posOf(y)}
	if depth > maxDepth {
		r.problem(n.at, fmt.Sprintf("nested more than %d deep", maxDepth), "")
		return n
	}
	if y.Kind == yaml.AliasNode {
		return r.convertAlias(y, depth)
	}
	if r.inAlias > 0 {
		if r.aliased++; r.aliased > maxAlias {
			return n
		}
	}
	if y.Style&yaml.TaggedStyle != 0 && !plainTags[y.Tag] {
		r.problem(n.at, fmt.Sprintf("the tag %s means nothing here", y.Tag), "a text that begins with ! needs quotes")
		return n
	}
	switch y.Kind {
	case yaml.SequenceNode:
		n.kind, n.list = list, make([]*node, len(y.Content))
		for i, c := range y.Content {
			n.list[i] = r.convert(c, depth+1)
		}
	case yaml.MappingNode:
		n.kind = mapping
		r.convertEntries(n, y, depth)
	case yaml.ScalarNode:
		n.raw = y.Value
		n.plain = y.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0
		switch y.Tag {
		case "!!null":
			n.kind = null
		case "!!bool":
			n.kind = boolean
		case "!!int", "!!float":
			n.kind = number
		default: // text, dates, and << where no key is
			n.kind = text
		}
	}
	return n
}

var plainTags = map[string]bool{"!!str": true, "!!map": true, "!!seq": true}

// convertAlias puts what the anchor names in the alias's place. A file of a few lines can name more values than
// there are atoms; so they are counted.
func (r *reader) convertAlias(y *yaml.Node, depth int) *node {
	if r.open[y.Alias] {
		r.problem(r.posOf(y), fmt.Sprintf("*%s stands for something that holds it", y.Value), "")
		return &node{at: r.posOf(y)}
	}
	if r.open == nil {
		r.open = map[*yaml.Node]bool{}
	}
	r.open[y.Alias] = true
	r.inAlias++
	n := r.convert(y.Alias, depth+1)
	r.inAlias--
	delete(r.open, y.Alias)
	if r.aliased > maxAlias && !r.bomb {
		r.bomb = true
		r.problem(r.posOf(y), "the aliases stand for more than 1,000,000 values", "use vars, defaults or matrix instead")
	}
	return n
}

func (r *reader) convertEntries(n *node, y *yaml.Node, depth int) {
	n.entries = make([]entry, 0, len(y.Content)/2)
	var merges []*node
	for i := 0; i+1 < len(y.Content); i += 2 {
		k, v := y.Content[i], y.Content[i+1]
		if k.Kind == yaml.AliasNode {
			k = k.Alias
		}
		if k.Kind == yaml.ScalarNode && k.Tag == "!!merge" {
			merges = append(merges, r.convert(v, depth+1))
			continue
		}
		if k.Kind != yaml.ScalarNode || k.Tag == "!!null" && k.Value == "" {
			r.problem(r.posOf(k), "a key must be a word", `put a text that begins with { or [ between double quotes`)
			continue
		}
		if first := n.get(k.Value); first != nil {
			r.problem(r.posOf(k), fmt.Sprintf("%q is given twice; first in line %d", k.Value, first.at.line), "keep one of the two")
			continue
		}
		n.add(entry{key: k.Value, at: r.posOf(k), value: r.convert(v, depth+1)})
	}
	for _, m := range merges {
		r.merge(n, m)
	}
}

// merge adds the entries of << that the mapping does not have itself; of several mappings the first wins.
func (r *reader) merge(n, m *node) {
	switch m.kind {
	case mapping:
		for _, e := range m.entries {
			if n.get(e.key) == nil {
				n.add(e)
			}
		}
	case list:
		for _, e := range m.list {
			if e.kind != mapping {
				r.problem(e.at, "<< takes mappings", "write <<: *name, where name is the anchor of a mapping")
				continue
			}
			r.merge(n, e)
		}
	default:
		r.problem(m.at, "<< takes a mapping", "write <<: *name, where name is the anchor of a mapping")
	}
}
