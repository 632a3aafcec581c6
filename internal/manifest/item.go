package manifest

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"gopkg.in/yaml.v3"

	"dailies/pipeline"
)

// defaults are what items have that do not say otherwise.
type defaults struct {
	model, payload, tags, expect *node // nil where there are none
}

// model is what is known of one model, asked once.
type model struct {
	contract pipeline.Contract
	wrong    string // why there is no contract
	hint     string
}

// drawn is an item with what is needed until all items are known.
type drawn struct {
	item *pipeline.Item
	at   pos // where its id is written
	salt string
	refs []reference
	from pos // the row it is made of; zero for none
}

// reference is a place where an item takes another's asset.
type reference struct {
	item string
	kind string
	at   pos
}

// readItems makes the items: those of the document, and those that are given apart.
func (r *reader) readItems(e *entry, apart iter.Seq[*yaml.Node]) {
	if e == nil {
		return
	}
	r.models, r.shapes, r.byID = map[string]*model{}, map[string]string{}, map[string]int32{}
	entries := 0
	for y := range apart {
		entries++
		r.entry(r.convert(y, 2))
	}
	r.offset = 0
	if entries > 0 || r.missing || r.miscut {
		return
	}
	if e.value.kind != list {
		r.problem(e.value.at, fmt.Sprintf("items is a list, not %s", e.value.kind), "begin each item with a dash: - id: first")
		return
	}
	if len(e.value.list) == 0 {
		r.problem(e.value.at, "there are no items", "")
	}
	for _, n := range e.value.list {
		r.entry(n)
	}
}

// draft is one entry of items: what its expansions have in common.
type draft struct {
	n      *node
	fs     fields
	inputs *node // the entry's own payload, with its prompt
	merged *node // inputs over the defaults'; made when first needed
	repeat int   // 0 when the entry does not repeat
	expect *node // the entry's own over the defaults'; made when first needed
	read   *expected
	at     *pipeline.Position // where it is, for the items of rows
}

func (r *reader) entry(n *node) {
	if r.done() {
		return
	}
	d := &draft{n: n, fs: r.fields(n, "an item", itemKeys)}
	if d.fs == nil || d.fs["id"] == nil {
		r.missing = true
		if d.fs == nil {
			return
		}
	}
	r.ownInputs(d)
	if e := d.fs["repeat"]; e != nil {
		if d.repeat = r.count(e, maxItems, ""); d.repeat == 0 {
			r.missing = true
		}
	}
	outer := &scope{vars: r.vars}
	e := d.fs["matrix"]
	if from := d.fs["from"]; from != nil {
		var m *matrix
		if e != nil {
			if m = r.readMatrix(e.value, outer); m == nil {
				r.missing = true
				return
			}
		}
		r.readRows(d, from, m)
		return
	}
	if e == nil {
		if r.room(n.at, max(1, d.repeat)) {
			r.draw(d, outer)
		}
		return
	}
	m := r.readMatrix(e.value, outer)
	if m == nil {
		r.missing = true
		return
	}
	if !r.room(e.value.at, m.size*max(1, d.repeat)) {
		return
	}
	drew := false
	m.combinations(func(c map[string]*value) bool {
		drew = true
		if !r.room(e.value.at, max(1, d.repeat)) {
			return false
		}
		r.draw(d, &scope{row: c, vars: r.vars})
		return !r.done()
	})
	if !drew {
		r.problem(e.value.at, "the matrix has no combination left", "")
	}
}

// done says that there is no use in making more items.
func (r *reader) done() bool { return r.over || r.full || r.problems.full() }

// room says whether n more items are within the bound, and reports it once when they are not.
func (r *reader) room(at pos, n int) bool {
	if len(r.items)+n <= maxItems {
		return true
	}
	if !r.over {
		r.over = true
		r.problem(at, fmt.Sprintf("the manifest makes more than %d items", maxItems), "split it into several batches")
	}
	return false
}

// ownInputs joins prompt: and payload: of an entry.
func (r *reader) ownInputs(d *draft) {
	p, payload := d.fs["prompt"], d.fs["payload"]
	d.inputs = &node{kind: mapping, at: d.n.at}
	if payload != nil && r.checkPayload(payload.value) {
		d.inputs = payload.value
	}
	if p == nil {
		return
	}
	if also := d.inputs.get("prompt"); also != nil {
		r.problem(p.at, fmt.Sprintf("prompt: and payload.prompt (line %d) are the same thing", also.at.line), "keep one of the two")
		return
	}
	prompt := *p.value
	prompt.textual = true
	d.inputs = d.inputs.over([]entry{{"prompt", p.at, &prompt}})
}

// payloadOf is the entry's payload, over the defaults' where it may have them, without the keys that null removes.
func (r *reader) payloadOf(d *draft, withDefaults bool) *node {
	if !withDefaults || r.defaults.payload == nil {
		return d.inputs
	}
	if d.merged == nil {
		d.merged = d.inputs.over(r.defaults.payload.entries)
	}
	return d.merged
}

// draw makes the item of one combination, or its repetitions.
func (r *reader) draw(d *draft, sc *scope) {
	if r.spent(sc, d.n.at, len(sc.row), 0) {
		return
	}
	base := drawn{item: &pipeline.Item{At: r.itemPosition(d, sc), Vars: rowVars(sc)}, from: sc.from}
	base.item.ID, base.at = r.id(d, sc)
	sc.item = base.item.ID
	base.item.Tags = r.tags(d, sc)
	base.item.KeyTemplate = r.keyTemplate(d, sc)
	base.salt = r.saltOf(d, sc)
	m := r.modelOf(d, sc)
	if m.contract != nil {
		base.item.Model, base.item.Makes = m.contract.Model(), m.contract.Makes()
	}
	base.item.Expect = r.expectOf(d, sc, m)
	inputs := r.payloadOf(d, r.takesDefaults(d, m))
	if d.repeat == 0 {
		r.finish(base, sc, m, inputs, 0)
		return
	}
	for n := 1; n <= d.repeat && !r.done(); n++ {
		one, item, again := base, *base.item, *sc
		one.item = &item
		if item.ID != "" {
			item.ID = r.checkID(sc, base.at, fmt.Sprintf("%s-%d", item.ID, n))
		}
		again.item = item.ID
		r.finish(one, &again, m, inputs, n)
	}
}

// finish makes the payload, holds it against the contract, and keeps the item. n counts repetitions, 0 for none.
func (r *reader) finish(one drawn, sc *scope, m *model, inputs *node, n int) {
	const mostInputs = 1000
	if len(inputs.entries) > mostInputs {
		r.itemProblem(sc, inputs.at, fmt.Sprintf("a payload has %d inputs at most", mostInputs), "")
		r.keep(one, sc)
		return
	}
	payload := r.payload(inputs, sc)
	item := one.item
	if item.Prompt = promptOf(payload); m.contract == nil {
		r.keep(one, sc)
		return
	}
	checked := m.contract.Check(payload)
	item.PicksSeed, item.SeedMax = checked.TakesSeed, checked.SeedMax
	if n > 0 {
		_, named := payload[seedInput]
		if seeded, ok := r.seeded(item.ID, payload, m.contract, checked); ok {
			checked, item.PicksSeed = seeded, false
		} else if one.salt += "#" + strconv.Itoa(n); named && n == 1 {
			r.notes.add(one.at, sc.other(one.at), item.ID, "repeat with a seed in the payload makes the same thing again and again", "leave the seed out: each repetition gets its own")
		}
	}
	look := finder{payload: payload, inputs: inputs, sc: sc, r: r}
	for _, f := range checked.Problems {
		if at, ok := look.place(f.Path, f.OnKey); ok {
			r.itemProblem(sc, at, f.Message, cmp.Or(look.hint, f.Hint))
		}
	}
	for _, f := range checked.Notes {
		// A cell has no type of its own: that it is sent as text, or as a number, is no news.
		if at, ok := look.place(f.Path, f.OnKey); ok && at.file == 0 {
			r.notes.add(at, sc.other(at), item.ID, f.Message, f.Hint)
		}
	}
	if e := inputs.get("prompt"); e != nil && e.value.textual && item.Prompt == "" && sc.from.line > 0 && payload["prompt"] == "" {
		r.itemProblem(sc, r.origin(e.value, sc), "the prompt is empty", "fill in the cell, or take the row out")
	}
	one.refs = r.settle(&look, checked)
	item.Payload = checked.Payload
	if len(checked.Problems) == 0 {
		shape := m.contract.PriceShape(item.Payload)
		if _, ok := r.shapes[shape]; !ok {
			r.shapes[shape] = shape
		}
		item.PriceShape = r.shapes[shape]
	}
	r.keep(one, sc)
}

// keep adds an item, whatever is wrong with it, so that others can refer to it.
func (r *reader) keep(one drawn, sc *scope) {
	id := one.item.ID
	if id == "" {
		r.missing = true
		return
	}
	if i, ok := r.byID[id]; ok {
		first := r.items[i]
		switch {
		case one.from.line > 0 && first.from.file == one.from.file && first.from != one.from:
			r.itemProblem(&scope{from: one.from, entry: sc.entry}, one.at, fmt.Sprintf("the id %q is taken by the row in line %d", id, first.from.line), "ids are different for every row: put a column into it that is, or rename one")
		case first.at == one.at:
			r.itemProblem(sc, one.at, "several combinations make this id", "put every axis into the id, as in hero-${pose}-${side}")
		default:
			r.itemProblem(sc, one.at, fmt.Sprintf("the id %q is taken by the item in %s", id, r.line(first)), "ids are different for every item")
		}
		return
	}
	r.byID[id] = int32(len(r.items))
	r.items = append(r.items, one)
}

const maxID = 100 // bytes; an id names files and ledger records

var (
	idForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]*$`)
	// Windows takes these for devices, whatever extension they have.
	deviceName = regexp.MustCompile(`^(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)`)
)

func (r *reader) id(d *draft, sc *scope) (string, pos) {
	e := d.fs["id"]
	if e == nil {
		return "", d.n.at
	}
	s, ok := r.evalText(e.value, sc)
	at := e.value.at
	if cell := r.origin(e.value, sc); cell.file != 0 {
		at = cell
	}
	if !ok {
		return "", at
	}
	return r.checkID(sc, at, s), at
}

// checkID returns the id, or "" when it cannot be one, with the problem reported.
func (r *reader) checkID(sc *scope, at pos, id string) string {
	const form = "ids are made of a-z, 0-9, dot, dash and underscore, and begin with a letter or digit"
	wrong, hint := "", ""
	switch {
	case id == "":
		wrong, hint = "the id is empty", form
	case len(id) > maxID:
		wrong, hint = fmt.Sprintf("the id is %d characters long", len(id)), fmt.Sprintf("%d are the most: it names files", maxID)
	case !idForm.MatchString(id):
		wrong, hint = fmt.Sprintf("%q cannot be an id", id), form+orSay(": ", slug(id, true))
	case strings.HasSuffix(id, "."):
		wrong, hint = fmt.Sprintf("the id %q ends in a dot, which not every file system takes", id), ""
	case deviceName.MatchString(id):
		wrong, hint = fmt.Sprintf("%q is a device on Windows, and cannot name a file there", id), ""
	default:
		return id
	}
	r.missing = true
	r.itemProblem(&scope{from: sc.from, entry: sc.entry}, at, wrong, hint)
	return ""
}

// model asks for a contract once.
func (r *reader) model(name string) *model {
	if m, ok := r.models[name]; ok {
		return m
	}
	m := &model{}
	r.models[name] = m
	c, err := r.o.Contracts.Contract(name)
	switch {
	case err == nil:
		m.contract = c
	case r.o.AllowUnknown != nil && pipeline.CodeOf(err) == pipeline.CodeModelUnknown && strings.TrimSpace(name) != "":
		m.contract = r.o.AllowUnknown(name)
	default:
		e := pipeline.AsError(err)
		m.wrong, m.hint = e.Message, e.HintText()
	}
	return m
}

// modelOf is the model of one combination; without a contract when a problem has been reported.
func (r *reader) modelOf(d *draft, sc *scope) *model {
	n := r.defaults.model
	if e := d.fs["model"]; e != nil {
		n = e.value
	}
	if n == nil {
		r.itemProblem(sc, d.n.at, "the item has no model", "name one here, or under defaults: for all items")
		return &model{}
	}
	name, ok := r.evalText(n, sc)
	if !ok {
		return &model{}
	}
	m := r.model(name)
	if m.contract == nil {
		r.itemProblem(sc, r.origin(n, sc), m.wrong, m.hint)
	}
	return m
}

// takesDefaults says whether the defaults' payload is for an item of this model: it goes with the defaults' model,
// since another model has other inputs.
func (r *reader) takesDefaults(d *draft, m *model) bool {
	if d.fs["model"] == nil || r.defaults.model == nil {
		return true
	}
	theirs := r.defaults.model
	if m.contract == nil || theirs.kind != text || theirs.template() != nil {
		return false
	}
	own := r.model(theirs.raw)
	return own.contract != nil && own.contract.Model() == m.contract.Model()
}

// origin is where a value was written: for a reference, where what it stands for was.
func (r *reader) origin(n *node, sc *scope) pos {
	if p := n.template().whole(); p != nil {
		if v := r.resolve(n, *p, sc); v != nil {
			return v.node.at
		}
	}
	return n.at
}

// tags are a list of words, or one word.
func (r *reader) tags(d *draft, sc *scope) []string {
	n := r.defaults.tags
	if e := d.fs["tags"]; e != nil {
		n = e.value
	}
	if n == nil || n.kind == null {
		return nil
	}
	words := n.list
	if n.scalar() {
		words = []*node{n}
	} else if n.kind != list {
		r.itemProblem(sc, n.at, fmt.Sprintf("tags is a list of words, not %s", n.kind), "write tags: [one, two]")
		return nil
	}
	const most = 100
	if len(words) > most {
		r.itemProblem(sc, n.at, fmt.Sprintf("an item has %d tags at most", most), "")
		return nil
	}
	var tags []string
	for _, w := range words {
		t, ok := r.evalText(w, sc)
		switch {
		case !ok:
		case t == "" || strings.ContainsFunc(t, func(c rune) bool { return c == ',' || unicode.IsSpace(c) || !unicode.IsPrint(c) }):
			r.itemProblem(sc, w.at, fmt.Sprintf("%q cannot be a tag", t), "a tag is one word, without spaces and commas")
		case !slices.Contains(tags, t):
			tags = append(tags, t)
		}
	}
	return tags
}

func (r *reader) keyTemplate(d *draft, sc *scope) string {
	if e := d.fs["key"]; e != nil {
		if s, ok := r.evalText(e.value, sc); ok && r.checkKey(sc, e.value.at, s) {
			return s
		}
	}
	return r.m.Key
}

func (r *reader) saltOf(d *draft, sc *scope) string {
	e := d.fs["salt"]
	if e == nil {
		return r.salt
	}
	if e.value.kind == null {
		return ""
	}
	s, _ := r.evalText(e.value, sc)
	return s
}

func rowVars(sc *scope) map[string]string {
	if len(sc.row) == 0 {
		return nil
	}
	m := make(map[string]string, len(sc.row))
	for name, v := range sc.row {
		m[name] = cmp.Or(v.cell, v.text)
	}
	return m
}

// payload is the JSON of an item's inputs; a key that is null, or stands for nothing, is not there.
func (r *reader) payload(inputs *node, sc *scope) map[string]any {
	m := make(map[string]any, len(inputs.entries))
	for _, e := range inputs.entries {
		if v := r.eval(e.value, sc); v != nil {
			m[e.key] = v
		}
	}
	return m
}

// promptOf is what people recognise an item by: its prompt, or the first words a model without one is given.
func promptOf(payload map[string]any) string {
	if s, ok := payload["prompt"].(string); ok {
		return s
	}
	for _, name := range slices.Sorted(maps.Keys(payload)) {
		if lower := strings.ToLower(name); strings.Contains(lower, "prompt") && !strings.Contains(lower, "negative") || lower == "text" || lower == "lyrics" {
			if s := firstText(payload[name]); s != "" {
				return s
			}
		}
	}
	return ""
}

func firstText(v any) string {
	switch v := v.(type) {
	case string:
		const most = 200
		if len(v) > most {
			v = strings.ToValidUTF8(v[:most], "") + "…"
		}
		return v
	case []any:
		for _, e := range v {
			if s := firstText(e); s != "" {
				return s
			}
		}
	case map[string]any:
		return firstText(v["prompt"])
	}
	return ""
}

// seedInput is the name every model's seed has.
const seedInput = "seed"

// seeded holds the payload against the contract with a seed of its own: made of batch and id, so that it is the same
// every time, and different for every repetition. It is not ok when the model takes none, or has one already.
func (r *reader) seeded(id string, payload map[string]any, c pipeline.Contract, plain pipeline.Checked) (pipeline.Checked, bool) {
	if !plain.TakesSeed || plain.SeedMax < 1 {
		return plain, false
	}
	sum := sha256.Sum256([]byte(r.m.Batch + "\x00" + id))
	seed := 1 + binary.BigEndian.Uint64(sum[:])%uint64(plain.SeedMax)
	with := maps.Clone(payload)
	with[seedInput] = json.Number(strconv.FormatUint(seed, 10))
	return c.Check(with), true
}

// line is how messages call the place of an item.
func (r *reader) line(one drawn) string {
	at := one.at
	if one.from.line > 0 {
		at = one.from
	}
	if at.file == 0 {
		return fmt.Sprintf("line %d", at.line)
	}
	return fmt.Sprintf("line %d of %s", at.line, r.sources[at.file].name)
}
