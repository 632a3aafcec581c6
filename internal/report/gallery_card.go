package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"dailies/pipeline"
)

// A card is one item on the page.
type card struct {
	*pipeline.Outcome
	Anchor  string
	Tags    string // one a line
	Vars    string // a JSON object
	Took    string // seconds it took to make, "" when not known
	Length  string // seconds its first film or sound lasts, "" when not known
	Icon    string // what stands where there is no picture
	Facts   []string
	Seen    []shownFile // what there is to look at
	Across  int         // how many of them stand beside each other
	Heard   []shownFile
	Files   []shownFile // every one, to be taken
	Summary string      // of what is folded away
	Details []detail
	Payload string
}

type shownFile struct {
	pipeline.Output
	Link   template.URL
	Label  string // what it shows, for those who cannot see it
	Facts  string
	Poster template.URL // a picture that came with a video; else its first frame serves
	Length string
	Sound  bool
	Badge  string // what the picture stands for, where that is something else
}

type detail struct{ Name, Value string }

func cardOf(i int, o *pipeline.Outcome) card {
	c := card{
		Outcome: o, Anchor: fmt.Sprintf("item-%d", i+1), Tags: strings.Join(o.Item.Tags, "\n"), Vars: "{}",
		Facts: cardFacts(o), Details: details(o), Summary: "payload",
	}
	if vars, err := json.Marshal(o.Item.Vars); err == nil && o.Item.Vars != nil {
		c.Vars = string(vars)
	}
	var pretty bytes.Buffer
	if json.Indent(&pretty, payload(o), "", "  ") == nil {
		c.Payload = pretty.String()
	}
	if d := o.Generation(); d > 0 {
		c.Took = strconv.FormatFloat(d.Seconds(), 'f', 1, 64)
	}
	c.show()
	if len(c.Files) > 0 {
		c.Summary = pipeline.Count(len(c.Files), "file") + ", payload"
	}
	return c
}

// show decides what of an item's files is looked at, what is listened to, and what stands for the rest.
func (c *card) show() {
	var pictures, films, models []shownFile
	for _, out := range c.Outputs {
		f := shownFile{Output: out, Link: link(out.Key), Label: out.Kind + " of " + c.Item.ID, Facts: facts(out)}
		if out.Duration > 0 {
			f.Length = clock(out.Duration)
			if c.Length == "" {
				c.Length = strconv.FormatFloat(out.Duration, 'f', 2, 64)
			}
		}
		switch out.Kind {
		case "image":
			pictures = append(pictures, f)
		case "video":
			f.Sound = out.Audio != nil && *out.Audio
			films = append(films, f)
		case "audio":
			c.Heard = append(c.Heard, f)
		case "3d":
			models = append(models, f)
		}
		c.Files = append(c.Files, f)
	}
	switch {
	case len(films) > 0: // pictures beside a film are of it
		if len(pictures) == len(films) {
			for i := range films {
				films[i].Poster = pictures[i].Link
			}
			pictures = nil
		}
		c.Seen = append(films, pictures...)
	case len(models) > 0 && len(pictures) > 0: // the first is of the model, the others are its textures
		pictures[0].Badge = "3D  " + pipeline.Size(models[0].Bytes)
		c.Seen = pictures[:1]
	default:
		c.Seen = pictures
	}
	c.Across = min(max(len(c.Seen), 1), 2)
	switch {
	case troubled(c.Outcome):
		c.Icon = "trouble"
	case len(c.Heard) > 0:
		c.Icon = "sound"
	case len(models) > 0:
		c.Icon = "model"
	case len(c.Files) > 0:
		c.Icon = "file"
	default:
		c.Icon = "wait"
	}
}

// cardFacts are the few that are always in view.
func cardFacts(o *pipeline.Outcome) []string {
	all := []string{pipeline.ModelName(o.Item.Model)}
	if o.Cost != nil {
		all = append(all, o.Cost.String()+" CU")
	}
	if d := o.Generation(); d > 0 {
		all = append(all, "made in "+pipeline.Span(d))
	}
	if n := o.Bytes(); n > 0 {
		all = append(all, pipeline.Size(n))
	}
	if len(o.Outputs) > 0 && o.Outputs[0].Width > 0 && o.Outputs[0].Height > 0 {
		all = append(all, fmt.Sprintf("%d×%d", o.Outputs[0].Width, o.Outputs[0].Height))
	}
	if o.Seed != "" {
		all = append(all, "seed "+o.Seed.String())
	}
	return all
}

// clock is how players write a duration given in seconds.
func clock(seconds float64) string {
	s := int(time.Duration(seconds * float64(time.Second)).Round(time.Second).Seconds())
	return fmt.Sprintf("%d:%02d", s/60, s%60)
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
	if o.Quoted != nil && (o.Cost == nil || *o.Quoted != *o.Cost) {
		add("quoted", o.Quoted.String()+" CU")
	}
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
