package manifest

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"dailies/pipeline"
)

// link ties the items together: what they take from each other, where they are stored, their fingerprints.
func (r *reader) link() {
	for i := range r.items {
		r.checkSources(&r.items[i])
	}
	order := r.order()
	r.checkKeys()
	if len(r.problems.list) > 0 {
		return
	}
	source := func(id string) string { return r.items[r.byID[id]].item.Fingerprint }
	for _, i := range order {
		it := r.items[i].item
		it.Fingerprint = pipeline.Fingerprint(it.Model, it.Payload, r.items[i].salt, source)
	}
	r.m.Items = make([]*pipeline.Item, len(r.items))
	for i := range r.items {
		r.m.Items[i] = r.items[i].item
	}
}

// checkSources fills in the item's sources and drops references to items that do not exist.
func (r *reader) checkSources(one *drawn) {
	if len(one.refs) == 0 {
		return
	}
	sc := &scope{item: one.item.ID}
	one.refs = slices.DeleteFunc(one.refs, func(ref reference) bool {
		i, ok := r.byID[ref.item]
		if !ok {
			if !r.missing && !r.done() {
				r.itemProblem(sc, ref.at, fmt.Sprintf("no item has the id %q", ref.item), r.itemHint(ref.item))
			}
			return true
		}
		makes := r.items[i].item.Makes
		if ref.kind != "" && slices.Contains([]string{"image", "video", "audio"}, makes) && makes != ref.kind {
			r.itemProblem(sc, ref.at, fmt.Sprintf("this input takes kind %s, and item %q makes kind %s", ref.kind, ref.item, makes), "")
		}
		return false
	})
	seen := make(map[string]bool, len(one.refs))
	for _, ref := range one.refs {
		if !seen[ref.item] {
			seen[ref.item] = true
			one.item.Sources = append(one.item.Sources, ref.item)
		}
	}
}

// itemHint helps to find the id that was meant: one like it, or those an expanded item has.
func (r *reader) itemHint(id string) string {
	if r.guesses += len(r.items); r.guesses > maxGuesses {
		return ""
	}
	var expanded []string
	for i := range r.items {
		if s := r.items[i].item.ID; strings.HasPrefix(s, id+"-") {
			if expanded = append(expanded, s); len(expanded) > 3 {
				expanded[3] = "…"
				break
			}
		}
	}
	if len(expanded) > 0 {
		return "there is " + strings.Join(expanded, ", ")
	}
	return r.near(id, len(r.byID), maps.Keys(r.byID))
}

// order lists the items so that each comes after its sources. Items that wait for each other are reported and left out.
func (r *reader) order() []int32 {
	waits := make([]int32, len(r.items))
	followers := map[int32][]int32{}
	var order []int32
	for i := range r.items {
		for _, s := range r.items[i].item.Sources {
			src := r.byID[s]
			followers[src] = append(followers[src], int32(i))
			waits[i]++
		}
		if waits[i] == 0 {
			order = append(order, int32(i))
		}
	}
	for next := 0; next < len(order); next++ {
		for _, f := range followers[order[next]] {
			if waits[f]--; waits[f] == 0 {
				order = append(order, f)
			}
		}
	}
	if len(order) < len(r.items) {
		r.circles(waits)
	}
	return order
}

// circles names every circle among the items that still wait: whoever waits, waits for one that waits.
func (r *reader) circles(waits []int32) {
	seen := make([]int32, len(r.items)) // the walk that came by; 0 for none
	for start := range r.items {
		i := int32(start)
		for waits[i] > 0 && seen[i] == 0 {
			seen[i] = int32(start) + 1
			i = r.waitsFor(i, waits)
		}
		if waits[i] == 0 || seen[i] != int32(start)+1 {
			continue
		}
		var circle []string
		for j := i; ; j = r.waitsFor(j, waits) {
			circle = append(circle, r.items[j].item.ID)
			if len(circle) > 1 && j == i {
				break
			}
		}
		one := r.items[i]
		at := one.at
		for _, ref := range one.refs {
			if ref.item == circle[1] {
				at = ref.at
				break
			}
		}
		if len(circle) == 2 {
			r.itemProblem(&scope{item: circle[0]}, at, "the item takes its own asset", "")
			continue
		}
		if len(circle) > 12 {
			circle = slices.Concat(circle[:6], []string{"…"}, circle[len(circle)-5:])
		}
		r.itemProblem(&scope{}, at, "items that wait for each other: "+strings.Join(circle, " → "), "take one of the references out")
	}
}

// waitsFor is the first of an item's sources that itself waits.
func (r *reader) waitsFor(i int32, waits []int32) int32 {
	for _, s := range r.items[i].item.Sources {
		if src := r.byID[s]; waits[src] > 0 {
			return src
		}
	}
	panic("manifest: an item waits for nothing") // order counts what is waited for
}

// besideNumber finds a number field that touches what may end or begin with a digit: file 12 of "a" and file 2 of
// "a1" would have one name.
var besideNumber = regexp.MustCompile(`(?:\{(?:item|batch|model)\}|[0-9])\{n\}|\{-?n\}(?:\{(?:item|batch|model|-?n)\}|[0-9])|\{-n\}\{n\}`)

func (r *reader) checkKey(sc *scope, at pos, template string) bool {
	if err := pipeline.CheckKey(template); err != nil {
		r.itemProblem(sc, at, err.Error(), "")
		return false
	}
	if m := besideNumber.FindString(template); m != "" {
		r.itemProblem(sc, at, fmt.Sprintf("key: in %s the number runs into what stands beside it", m), "put a dash or a slash between them")
		return false
	}
	return true
}

// What stands for parts of keys that are not known yet; no key can hold these characters.
const (
	anyExt  = ".*"
	anyItem = "?"
	hole    = "\x00" // a number
)

// keyForm is a template with all but the item filled in: for its only file, and for one of several.
type keyForm struct{ single, several string }

// checkKeys reports items whose files would be stored in the same place. A key without a number belongs to an item's
// only file; with it, to one of several; how many a model makes is known only afterwards. So "a-2" and the
// second file of "a" are in each other's way too.
func (r *reader) checkKeys() {
	single := make(map[string]int32, len(r.items))
	several := make(map[string]int32, len(r.items)) // with hole for the number
	keys := make([]string, len(r.items))
	forms := map[[2]string]keyForm{} // by template and model
	for i := range r.items {
		it := r.items[i].item
		form := [2]string{it.KeyTemplate, it.Model}
		filled, ok := forms[form]
		if !ok {
			parts := pipeline.KeyParts{Item: anyItem, Batch: r.m.Batch, Model: it.Model, N: 1, Of: 1, Ext: anyExt}
			filled.single = pipeline.ObjectKey(it.KeyTemplate, parts)
			parts.N, parts.Of = holeNumber, 2
			filled.several = strings.ReplaceAll(pipeline.ObjectKey(it.KeyTemplate, parts), holeText, hole)
			forms[form] = filled
		}
		key := strings.ReplaceAll(filled.single, anyItem, it.ID)
		if err := pipeline.CheckObjectKey(strings.ReplaceAll(key, anyExt, ".ext")); err != nil {
			r.itemProblem(&scope{item: it.ID}, r.items[i].at, err.Error(), "")
			continue
		}
		keys[i] = strings.ToLower(key)
		if first, ok := single[keys[i]]; ok {
			r.clash(int32(i), first, keys[i])
			continue
		}
		single[keys[i]] = int32(i)
		family := strings.ToLower(strings.ReplaceAll(filled.several, anyItem, it.ID))
		if first, ok := several[family]; ok {
			r.clash(int32(i), first, strings.ReplaceAll(family, hole, "2"))
			continue
		}
		several[family] = int32(i)
	}
	for i, key := range keys {
		for _, at := range lastOf(numbers.FindAllStringIndex(key, -1), 16) {
			family := key[:at[0]] + hole + key[at[1]:]
			if first, ok := several[family]; ok && first != int32(i) {
				r.clash(int32(i), first, key)
			}
		}
	}
}

func lastOf[E any](s []E, n int) []E { return s[max(0, len(s)-n):] }

const (
	holeNumber = 7_700_000_077 // no id ends with it by chance, and no item has so many files
	holeText   = "7700000077"
)

var numbers = regexp.MustCompile(`[1-9][0-9]*`)

func (r *reader) clash(later, first int32, key string) {
	if later < first {
		later, first = first, later
	}
	a, b := r.items[first], r.items[later]
	key = strings.ReplaceAll(key, anyExt, "")
	r.itemProblem(&scope{item: b.item.ID}, b.at,
		fmt.Sprintf("a file of this item and one of item %q (%s) would both be stored as %s", a.item.ID, r.line(a), key),
		`rename one of them, or give each item a folder: key: "{item}/{n}{ext}"`)
}
