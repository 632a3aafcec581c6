package report

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"dailies/pipeline"
)

//go:embed gallery
var galleryFiles embed.FS

// Gallery writes index.html: one page with a card for each item, to be put beside the assets. It holds its own style
// and script and names the assets by relative links, so that it works from a folder, from a bucket and without a
// network; its own policy lets it load nothing else. Without JavaScript it shows everything and filters nothing.
func Gallery(w io.Writer, run Run, s *pipeline.Summary) error {
	style, err := galleryFiles.ReadFile("gallery/page.css")
	if err != nil {
		return err
	}
	script, err := galleryFiles.ReadFile("gallery/page.js")
	if err != nil {
		return err
	}
	page, err := template.ParseFS(galleryFiles, "gallery/page.html")
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(w, 64<<10)
	whole := pageOf(run, s)
	whole.Style, whole.Script = template.CSS(style), template.JS(script)
	whole.Policy = fmt.Sprintf("default-src 'none'; img-src 'self' file:; media-src 'self' file:; style-src '%s'; script-src '%s'; base-uri 'none'; form-action 'none'",
		digest(style), digest(script))
	if err := page.ExecuteTemplate(out, "head", whole); err != nil {
		return err
	}
	for i := range s.Outcomes {
		if err := page.ExecuteTemplate(out, "card", cardOf(i, &s.Outcomes[i])); err != nil {
			return err
		}
	}
	if err := page.ExecuteTemplate(out, "foot", whole); err != nil {
		return err
	}
	return out.Flush()
}

// digest is how a Content-Security-Policy names a text.
func digest(text []byte) string {
	sum := sha256.Sum256(text)
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// A galleryPage is what its head and foot show.
type galleryPage struct {
	Run      Run
	Totals   pipeline.Totals
	Stop     *pipeline.Error
	There    int // items whose files are in the destination
	Took     string
	Finished time.Time
	Statuses []choice
	Models   []choice
	Tags     []choice
	Policy   string
	Style    template.CSS
	Script   template.JS
}

// A choice is one value of a filter.
type choice struct {
	Name, Label string
	N           int
}

func pageOf(run Run, s *pipeline.Summary) galleryPage {
	p := galleryPage{
		Run: run, Totals: s.Totals, Stop: s.Stop, There: s.Totals.Delivered + s.Totals.Reused,
		Took: pipeline.Span(run.took()), Finished: run.FinishedAt.UTC(),
	}
	statuses, models, tags := map[pipeline.Status]int{}, map[string]int{}, map[string]int{}
	for i := range s.Outcomes {
		o := &s.Outcomes[i]
		statuses[o.Status]++
		models[o.Item.Model]++
		for _, tag := range o.Item.Tags {
			tags[tag]++
		}
	}
	for _, status := range pipeline.Statuses {
		if n := statuses[status]; n > 0 {
			p.Statuses = append(p.Statuses, choice{Name: string(status), N: n})
		}
	}
	p.Models, p.Tags = choices(models), choices(tags)
	for i, m := range p.Models {
		p.Models[i].Label = pipeline.ModelName(m.Name)
	}
	return p
}

func choices(counts map[string]int) []choice {
	var all []choice
	for name, n := range counts {
		all = append(all, choice{Name: name, N: n})
	}
	slices.SortFunc(all, func(a, b choice) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// A card is one item on the page.
type card struct {
	*pipeline.Outcome
	Anchor    string
	ModelName string
	Tags      string // one a line
	Facts     []string
	Seen      []shownFile // images and videos
	Across    int         // how many of them stand beside each other
	Heard     []shownFile
	Files     []shownFile // every one, to be taken
	Details   []detail
	Payload   string
}

type shownFile struct {
	pipeline.Output
	Link  template.URL
	Label string // what it shows, for those who cannot see it
	Facts string
}

type detail struct{ Name, Value string }

func cardOf(i int, o *pipeline.Outcome) card {
	c := card{
		Outcome: o, Anchor: fmt.Sprintf("item-%d", i+1), ModelName: pipeline.ModelName(o.Item.Model), Tags: strings.Join(o.Item.Tags, "\n"),
		Details: details(o), Across: 1,
	}
	var pretty bytes.Buffer
	if json.Indent(&pretty, payload(o), "", "  ") == nil {
		c.Payload = pretty.String()
	}
	for _, out := range o.Outputs {
		f := shownFile{Output: out, Link: link(out.Key), Label: out.Kind + " of " + o.Item.ID, Facts: facts(out)}
		switch out.Kind {
		case "image", "video":
			c.Seen = append(c.Seen, f)
		case "audio":
			c.Heard = append(c.Heard, f)
		}
		c.Files = append(c.Files, f)
	}
	if len(c.Seen) > 1 {
		c.Across = 2
	}
	if o.Cost != nil {
		c.Facts = append(c.Facts, o.Cost.String()+" CU")
	}
	if d := o.Generation(); d > 0 {
		c.Facts = append(c.Facts, "made in "+pipeline.Span(d))
	}
	return c
}

func details(o *pipeline.Outcome) []detail {
	var all []detail
	add := func(name, value string) {
		if value != "" {
			all = append(all, detail{name, value})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o.Item.Vars)) {
		add(name, o.Item.Vars[name])
	}
	add("tags", strings.Join(o.Item.Tags, ", "))
	add("seed", o.Seed.String())
	add("job", o.JobID)
	if o.Attempts > 1 {
		add("attempts", fmt.Sprint(o.Attempts))
	}
	add("manifest", where(o.Item.At))
	return all
}

// link is the way from the page to an object beside it. The ./ and the escapes keep a key from being read as
// anything but a path.
func link(key string) template.URL {
	var segments []string
	for segment := range strings.SplitSeq(key, "/") {
		segments = append(segments, url.PathEscape(segment))
	}
	return template.URL("./" + strings.Join(segments, "/"))
}
