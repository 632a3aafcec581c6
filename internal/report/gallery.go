package report

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"slices"
	"time"

	"dailies/pipeline"
)

//go:embed gallery
var galleryFiles embed.FS

// galleryScripts are one script on the page; each builds on those before it.
var galleryScripts = [...]string{"page.js", "view.js", "play.js", "picks.js", "big.js", "keys.js"}

// Gallery writes index.html: one page with a card for each item, to be put beside the assets. It holds its own style
// and script and names the assets by relative links, so that it works from a folder, from a bucket and without a
// network; its own policy lets it load nothing else. Without JavaScript it shows everything and filters nothing.
//
// What a person picks there leaves the page as picks.yaml, which internal/cli reads.
func Gallery(w io.Writer, run Run, s *pipeline.Summary) error {
	style, err := galleryFiles.ReadFile("gallery/page.css")
	if err != nil {
		return err
	}
	script, err := galleryScript()
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
	whole.Policy = fmt.Sprintf("default-src 'none'; img-src 'self' file: data:; media-src 'self' file:; style-src '%s'; script-src '%s'; base-uri 'none'; form-action 'none'",
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

func galleryScript() ([]byte, error) {
	var all bytes.Buffer
	for _, name := range galleryScripts {
		part, err := galleryFiles.ReadFile("gallery/" + name)
		if err != nil {
			return nil, err
		}
		all.Write(part)
	}
	return all.Bytes(), nil
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
