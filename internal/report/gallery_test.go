package report

import (
	"bytes"
	"html"
	"regexp"
	"slices"
	"strings"
	"testing"

	"dailies/pipeline"
)

var tags = regexp.MustCompile(`(?s)<(/?[a-z][a-z0-9]*)((?:\s+[a-zA-Z-]+(?:="[^"<>]*")?)*)\s*/?>`)

// Prompts and errors are data: whatever they say, the page has the elements and attributes of the template and no more.
func TestGalleryTextIsNeverMarkup(t *testing.T) {
	evil := "\"'`><script>alert(1)</script><img src=x onerror=alert(2)></textarea></pre></style><!--{{.}}${x}\x00\x1b"
	run, s := sample()
	run.Batch, run.ID, run.Version, run.ManifestPath = evil, evil, evil, evil
	s.Stop = &pipeline.Error{Code: pipeline.CodeInternal, Message: evil, Hint: evil}
	for i := range s.Outcomes {
		o := &s.Outcomes[i]
		it := o.Item
		it.ID, it.Model, it.Prompt, it.Tags, it.Vars, it.At.File = evil, evil, evil, []string{evil}, map[string]string{evil: evil}, evil
		o.JobID = evil
		if o.Payload != nil || it.Payload != nil {
			o.Payload, it.Payload = nil, map[string]any{evil: evil}
		}
		if o.Err != nil {
			o.Err.Message, o.Err.Hint = evil, evil
		}
		for n := range o.Outputs {
			o.Outputs[n].Key = "javascript:" + evil
		}
	}
	var b bytes.Buffer
	if err := Gallery(&b, run, s); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	if n := strings.Count(page, "<script"); n != 1 {
		t.Errorf("%d scripts", n)
	}
	body := page[strings.Index(page, "</style>"):strings.Index(page, "<script")]
	values := regexp.MustCompile(`(src|href)="(?:[^.#]|#[^i])`) // every link begins with ./, every icon is the page's own
	known := map[string]bool{}
	template, err := galleryFiles.ReadFile("gallery/page.html")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range tags.FindAllStringSubmatch(regexp.MustCompile(`\{\{.*?\}\}`).ReplaceAllString(string(template), ""), -1) {
		known[m[1]] = true
	}
	for _, m := range tags.FindAllStringSubmatch(body, -1) {
		if !known[m[1]] {
			t.Errorf("an element of the data: %s", m[0])
		}
		if values.MatchString(m[2]) || strings.Contains(regexp.MustCompile(`="[^"]*"`).ReplaceAllString(m[2], ""), " on") {
			t.Errorf("an attribute of the data: %s", m[0])
		}
	}
	if rest := tags.ReplaceAllString(body, ""); strings.ContainsAny(rest, "<>") {
		t.Errorf("markup that is not an element of the page: %q", regexp.MustCompile(`.{0,40}[<>].{0,40}`).FindString(rest))
	}
	if !strings.Contains(html.UnescapeString(body), "<script>alert(1)</script>") {
		t.Error("the prompt is not shown as it is")
	}
}

// The page allows itself its own style and script by what they are, and nothing else from anywhere.
func TestGalleryPolicy(t *testing.T) {
	page := string(written(t, Gallery))
	policy := html.UnescapeString(regexp.MustCompile(`Content-Security-Policy" content="([^"]*)"`).FindStringSubmatch(page)[1])
	for _, element := range []string{"style", "script"} {
		m := regexp.MustCompile(`(?s)<`+element+`(?: type="module")?>(.*?)</`+element+`>`).FindAllStringSubmatch(page, -1)
		if len(m) != 1 {
			t.Fatalf("%d of %s", len(m), element)
		}
		if !strings.Contains(policy, element+"-src '"+digest([]byte(m[0][1]))+"'") {
			t.Errorf("the %s on the page is not the one the policy allows: %s", element, policy)
		}
	}
	if !strings.HasPrefix(policy, "default-src 'none';") {
		t.Errorf("the policy begins otherwise: %s", policy)
	}
	found := regexp.MustCompile(`(?:src|href)="[^."#][^"]*"`).FindAllString(page, -1)
	if !slices.Equal(found, []string{`href="data:,"`}) { // no icon, so that none is asked for
		t.Errorf("links that are not relative: %s", found)
	}
	if strings.Contains(page, "style=\"") {
		t.Error("an inline style, which the policy forbids")
	}
}

func TestGalleryLinks(t *testing.T) {
	for key, want := range map[string]string{
		"a.mp4":              "./a.mp4",
		"day 1/a #1 50%.mp4": "./day%201/a%20%231%2050%25.mp4",
		"javascript:x":       "./javascript:x",
		"龙?.png":             "./%E9%BE%99%3F.png",
	} {
		if got := string(link(key)); got != want {
			t.Errorf("link(%q) = %s, want %s", key, got, want)
		}
	}
}

func TestGalleryHasACardForEveryItem(t *testing.T) {
	page := string(written(t, Gallery))
	if n := strings.Count(page, "<article "); n != 7 {
		t.Errorf("%d cards of 7", n)
	}
	for _, want := range []string{
		`<video preload="none" playsinline loop src="./dragon-flyover.mp4" width="1280" height="720"`,
		`<img loading="lazy" decoding="async" src="./gem-1.png" width="512" height="512"`,
		`<a href="./gem-2.glb" download>`,
		`reword the prompt or choose another model`,
		`the time box of 6m is over`,
		`2</b> of <b>7</b> delivered`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
}
