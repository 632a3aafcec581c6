//go:build browser

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"image"
	_ "image/png"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"gopkg.in/yaml.v3"
)

var screens = flag.String("screens", "", "folder to save screenshots in")

// A tab is a page in a real browser of its own. At its end nothing must have been complained of on the console, and
// nothing asked for that is not beside the page.
type tab struct {
	t         *testing.T
	ctx       context.Context
	downloads string

	mu       sync.Mutex
	base     string
	asked    []string
	grumbles []string
}

// chromium is the browser. It is never done without: a gallery nobody has looked at proves nothing.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("there is no chromium here: apt-get install chromium")
	return ""
}

// tabTime is for all that a test does in one tab.
const tabTime = 2 * time.Minute

func newTab(t *testing.T) *tab {
	t.Helper()
	alloc, stop := chromedp.NewExecAllocator(t.Context(),
		chromedp.ExecPath(chromium(t)), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1400, 1000),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true))
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(cancel)
	ctx, expire := context.WithTimeout(ctx, tabTime)
	t.Cleanup(expire)
	b := &tab{t: t, ctx: ctx, downloads: t.TempDir()}
	err := chromedp.Listen(ctx, func(event any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		switch e := event.(type) {
		case *network.EventRequestWillBeSent:
			b.asked = append(b.asked, e.Request.URL)
		case *runtime.EventExceptionThrown:
			b.grumbles = append(b.grumbles, e.ExceptionDetails.Text+" "+e.ExceptionDetails.Exception.Description)
		case *runtime.EventConsoleAPICalled:
			b.grumbles = append(b.grumbles, fmt.Sprintf("console.%s", e.Type))
		case *log.EventEntryAdded:
			b.grumbles = append(b.grumbles, e.Entry.Text+" "+e.Entry.URL)
		case *page.EventJavascriptDialogOpening:
			b.grumbles = append(b.grumbles, "a dialog: "+e.Message)
		}
	})
	b.check(err)
	_, err = chromedp.Call(ctx, network.Enable, network.EnableParams{})
	b.check(err)
	_, err = chromedp.CallBrowser(ctx, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
		Behavior: browser.SetDownloadBehaviorBehaviorAllow, DownloadPath: b.downloads})
	b.check(err)
	t.Cleanup(func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, g := range b.grumbles {
			t.Errorf("on the console: %s", g)
		}
		for _, u := range b.asked {
			if !slices.ContainsFunc([]string{b.base, "blob:", "data:"}, func(ours string) bool { return strings.HasPrefix(u, ours) }) {
				t.Errorf("a request off the page: %s", u)
			}
		}
	})
	return b
}

func (b *tab) check(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// open goes to the gallery in a folder, and returns how long that took.
func (b *tab) open(base, rest string) time.Duration {
	b.t.Helper()
	b.mu.Lock()
	b.base = base
	b.mu.Unlock()
	start := time.Now()
	b.do(chromedp.Navigate(base + "index.html" + rest))
	return time.Since(start)
}

func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	b.check(chromedp.Do(b.ctx, steps...))
}

// eval is what a script comes to.
func eval[T any](b *tab, js string) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](js))
	if err != nil {
		b.t.Fatalf("%s: %v", js, err)
	}
	return v
}

// until waits for a condition on the page.
func (b *tab) until(js string) {
	b.t.Helper()
	if _, err := chromedp.Run(b.ctx, chromedp.Poll[bool](js, chromedp.WithPollingTimeout(10*time.Second))); err != nil {
		b.t.Fatalf("%s: %v", js, err)
	}
}

// want compares what a script comes to.
func want[T comparable](b *tab, js string, v T) {
	b.t.Helper()
	if got := eval[T](b, js); got != v {
		b.t.Errorf("%s is %v, want %v", js, got, v)
	}
}

func (b *tab) press(keys string) {
	b.t.Helper()
	b.do(chromedp.KeyEvent(keys))
}

func (b *tab) choose(id, value string) {
	b.t.Helper()
	eval[any](b, fmt.Sprintf(`{ const s = document.getElementById(%q); s.value = %q; s.dispatchEvent(new Event("change")) }`, id, value))
}

// shown are the ids in view, in the order in which they are seen.
const shown = `[...document.querySelectorAll("article:not([hidden]) h2")].map((e) => e.textContent).join(" ")`

func (b *tab) look(wide, high int64, scheme string) {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
	b.check(err)
	b.do(chromedp.EmulateViewport(wide, high))
}

// shoot returns a picture of the page, and saves it under -screens.
func (b *tab) shoot(name string) image.Image {
	b.t.Helper()
	png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	b.check(err)
	if *screens != "" {
		b.check(os.WriteFile(filepath.Join(*screens, name+".png"), png, 0o666))
	}
	picture, _, err := image.Decode(bytes.NewReader(png))
	b.check(err)
	return picture
}

// galleryNight is a batch with something of everything, and what somebody could do to a page with words.
const galleryNight = `
version: 1
batch: night
items:
  - {id: flyover, model: veo-3.1, prompt: A dragon crosses the moon, payload: {duration: 8, generateAudio: true}, tags: [cutscene]}
  - {id: "icon-${thing}-${metal}", model: imagen4-fast, matrix: {thing: [sword, shield], metal: [iron, gold, jade]}, prompt: "Game icon of a ${thing} made of ${metal}", tags: [icon]}
  - {id: tavern, model: lyria-2, prompt: a waltz in a tavern}
  - {id: chest, model: meshy-txt23d, prompt: a treasure chest}
  - {id: hostile, model: lyria-2, prompt: "<script>hacked=1</script><img src=x onerror=hacked=2>\"'` + "`" + `${x} </script> [sandbox:moderate]"}
`

// deliver runs a manifest for real against a sandbox, and returns the folder, the manifest and how to run more.
func deliver(t *testing.T, text string) (out, manifest string, more func(args ...string) string) {
	t.Helper()
	_, api := startAPI(t, sandboxOptions())
	dir := t.TempDir()
	manifest, out = filepath.Join(dir, "night.yaml"), filepath.Join(dir, "out")
	if err := os.WriteFile(manifest, []byte(strings.ReplaceAll(text, "${x}", "$${x}")), 0o666); err != nil {
		t.Fatal(err)
	}
	more = func(args ...string) string {
		t.Helper()
		said, err := command(t, api, args...).CombinedOutput()
		if exit, ok := err.(*exec.ExitError); err != nil && (!ok || exit.ExitCode() != 3) {
			t.Fatalf("%v: %v\n%s", args, err, said)
		}
		return string(said)
	}
	more("run", manifest, "--output", out, "--yes")
	return out, manifest, more
}

func fileBase(dir string) string {
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(dir)}).String() + "/"
}

// TestGallery does what a person does, from a folder and from a web server.
func TestGallery(t *testing.T) {
	out, manifest, more := deliver(t, galleryNight)
	files := http.FileServer(http.Dir(out))
	server := httptest.NewServer(files)
	t.Cleanup(server.Close)
	for name, base := range map[string]string{"file": fileBase(out), "http": server.URL + "/"} {
		t.Run(name, func(t *testing.T) {
			b := newTab(t)
			b.look(1400, 1000, "light")
			b.open(base, "")
			want(b, `document.querySelectorAll("article").length`, 10)
			t.Run("plays", func(t *testing.T) { b.t = t; plays(b) })
			t.Run("filters", func(t *testing.T) { b.t = t; filters(b) })
			t.Run("sorts and groups", func(t *testing.T) { b.t = t; groups(b) })
			t.Run("large view", func(t *testing.T) { b.t = t; largeView(b) })
			t.Run("picks", func(t *testing.T) { b.t = t; picks(b, base) })
			t.Run("has names and contrast", func(t *testing.T) { b.t = t; accessible(b) })
			b.t = t
			want(b, `typeof hacked`, "undefined")
			if name == "file" {
				b.shoot("ten-light")
			}
		})
	}
	t.Run("reroll", func(t *testing.T) { rerolls(t, out, manifest, more) })
	t.Run("a file that is gone", func(t *testing.T) {
		if err := os.Rename(filepath.Join(out, "icon-sword-iron.png"), filepath.Join(out, "elsewhere.png")); err != nil {
			t.Fatal(err)
		}
		b := newTab(t)
		b.open(fileBase(out), "")
		b.until(`document.querySelector(".gone")?.closest("article").querySelector("h2").textContent === "icon-sword-iron"`)
		b.mu.Lock()
		defer b.mu.Unlock()
		b.grumbles = slices.DeleteFunc(b.grumbles, func(g string) bool { return strings.Contains(g, "ERR_FILE_NOT_FOUND") })
	})
}

func plays(b *tab) {
	const video = `document.querySelector("main video")`
	b.until(video + `.readyState >= 2`) // its first picture is there, and it does not play
	want(b, video+`.paused`, true)
	box := eval[struct{ X, Y float64 }](b, `(({x, y, width, height}) => ({X: x + width / 2, Y: y + height / 2}))(`+video+`.getBoundingClientRect())`)
	b.do(chromedp.MouseEvent("mouseMoved", box.X, box.Y))
	b.until(`!` + video + `.paused && ` + video + `.currentTime > 0.2`)
	want(b, video+`.muted`, true)
	b.do(chromedp.MouseEvent("mouseMoved", 5, 5))
	b.until(video + `.paused && ` + video + `.currentTime === 0`)
	eval[any](b, `document.querySelector("audio").play().then(() => null)`)
	b.until(`document.querySelector("audio").currentTime > 0.1`)
	eval[any](b, `document.querySelector("audio").pause()`)
}

func filters(b *tab) {
	b.do(chromedp.SendKeys(chromedp.CSS("#text"), "jade SWORD"))
	want(b, shown, "icon-sword-jade")
	want(b, `document.querySelector("#shown").textContent`, "1 of 10")
	b.press(kb.Escape)
	b.do(chromedp.Click(chromedp.CSS(`.chip:has([value=failed])`)))
	want(b, shown, "hostile")
	if text := eval[string](b, `document.querySelector("article:not([hidden])").textContent`); !strings.Contains(text, "moderated") || !strings.Contains(text, "<script>hacked=1</script>") {
		b.t.Errorf("what failed is not shown: %s", text)
	}
	b.do(chromedp.Click(chromedp.CSS(`.chip:has([value=failed])`)))
	b.choose("tag", "cutscene")
	want(b, shown, "flyover")
	b.do(chromedp.Reload())
	want(b, shown, "flyover") // the view is in the address
	b.choose("tag", "")
	b.choose("model", "model_imagen4-fast")
	want(b, `document.querySelector("#shown").textContent`, "6 of 10")
	b.choose("model", "")
	b.do(chromedp.SendKeys(chromedp.CSS("#text"), "no such thing"))
	want(b, `document.querySelector("#none").hidden`, false)
	b.press(kb.Escape)
	want(b, `document.querySelector("#shown").textContent`, "10 items")
}

func groups(b *tab) {
	b.choose("sort", "cost-")
	want(b, shown+`.split(" ")[0]`, "flyover")
	b.choose("sort", "id")
	want(b, shown+`.split(" ")[0]`, "chest")
	b.choose("sort", "")
	b.choose("group", "vars.metal")
	want(b, `[...document.querySelectorAll("h3")].map((e) => e.textContent).join(", ")`, "metal: iron 2, metal: gold 2, metal: jade 2, the others 4")
	b.choose("across", "vars.thing")
	want(b, `[...document.querySelectorAll(".matrix th")].map((e) => e.scope + " " + e.textContent).join(", ")`,
		"col sword, col shield, row iron, row gold, row jade")
	want(b, `document.querySelector(".matrix tbody tr:nth-child(2) td:nth-child(3) h2").textContent`, "icon-shield-gold")
	b.shoot("matrix")
	b.choose("group", "status")
	b.choose("group", "")
	want(b, shown+`.split(" ")[0]`, "flyover")
}

func largeView(b *tab) {
	b.do(chromedp.Click(chromedp.CSS("main .look")))
	b.until(`document.querySelector("#big").open && document.querySelector("#stage video").currentTime > 0.1`)
	want(b, `document.querySelector("#stage video").controls`, true)
	want(b, `document.querySelector("#big-id").textContent + ", " + document.querySelector("#place").textContent`, "flyover, 1 of 10")
	b.press(kb.ArrowRight)
	b.until(`document.querySelector("#stage img").naturalWidth > 0`)
	b.shoot("large")
	want(b, `document.querySelector("#big-id").textContent`, "icon-sword-iron")
	want(b, `document.querySelector("#stage").childElementCount`, 1) // nothing plays on behind it
	b.press("z")
	want(b, `document.querySelector("#stage").className`, "actual")
	b.press("k") // and on to the next
	want(b, `document.querySelector("#big-id").textContent`, "icon-sword-gold")
	b.press(kb.ArrowLeft)
	want(b, `document.querySelector("#big-pick [value=keep]").getAttribute("aria-pressed")`, "true")
	b.press("u")
	b.press(kb.Escape)
	b.until(`document.activeElement.querySelector("h2")?.textContent === "icon-sword-iron"`) // where one was
	want(b, `document.querySelector("#big").open`, false)
	want(b, `document.querySelector("#tally").textContent.startsWith("No picks yet")`, true)
}

// picksFile is picks.yaml as any program would read it.
type picksFile struct {
	Version int
	Batch   string
	Picks   map[string]struct{ Pick, Job string }
}

func picks(b *tab, base string) {
	eval[any](b, `document.querySelector("article").focus()`)
	b.press("k")
	b.press(kb.ArrowRight)
	b.press("r")
	b.press(kb.ArrowRight)
	b.press(" ")
	b.do(chromedp.Click(chromedp.CSS(`article[data-status=failed] [value=reroll]`)))
	want(b, `document.querySelector("#tally").textContent`, "1 kept, 1 rejected, 2 to re-roll")
	want(b, `document.querySelector("article[data-status=failed] [value=keep]") === null`, true) // there is nothing to keep
	b.do(chromedp.Reload())
	want(b, `document.querySelector("#tally").textContent`, "1 kept, 1 rejected, 2 to re-roll")
	b.choose("pick", "reroll")
	want(b, shown, "icon-sword-gold hostile")
	b.choose("pick", "")

	b.do(chromedp.Click(chromedp.CSS("#export")))
	saved := filepath.Join(b.downloads, "picks.yaml")
	text := b.downloaded(saved)
	var file picksFile
	if err := yaml.Unmarshal([]byte(text), &file); err != nil {
		b.t.Fatalf("%v\n%s", err, text)
	}
	said := map[string]string{}
	for id, p := range file.Picks {
		said[id] = p.Pick
		if !strings.HasPrefix(p.Job, "job_") {
			b.t.Errorf("%s names no job", id)
		}
	}
	if got := fmt.Sprint(said); file.Version != 1 || file.Batch != "night" || got != "map[flyover:keep hostile:reroll icon-sword-gold:reroll icon-sword-iron:reject]" {
		b.t.Errorf("picks.yaml: %s", text)
	}

	// Another browser, or another day: the file brings them back, and a wrong one is refused.
	eval[any](b, `localStorage.clear()`)
	b.do(chromedp.Reload())
	want(b, `document.querySelector("#export").disabled`, true)
	for content, answer := range map[string]string{
		"version: 1\nbatch: other\npicks: {}\n":                 "it is of the batch other",
		"version: 1\nbatch: night\npicks:\n  tavern: perhaps\n": "line 4 is neither keep nor reject nor reroll",
	} {
		wrong := filepath.Join(b.t.TempDir(), "wrong.yaml")
		b.check(os.WriteFile(wrong, []byte(content), 0o666))
		b.do(chromedp.SetUploadFiles(chromedp.CSS("#file"), []string{wrong}))
		b.until(fmt.Sprintf(`document.querySelector("#next").textContent.includes(%q)`, answer))
	}
	b.do(chromedp.SetUploadFiles(chromedp.CSS("#file"), []string{saved}))
	b.until(`document.querySelector("#tally").textContent === "1 kept, 1 rejected, 2 to re-roll"`)
	byHand := filepath.Join(b.t.TempDir(), "by-hand.yaml")
	b.check(os.WriteFile(byHand, []byte("version: 1\nbatch: night\npicks:\n  'tavern': keep # loopable\n  nobody: keep\n"), 0o666))
	b.do(chromedp.SetUploadFiles(chromedp.CSS("#file"), []string{byHand}))
	b.until(`document.querySelector("#tally").textContent === "2 kept, 1 rejected, 2 to re-roll"`)
	want(b, `document.querySelector("#next").textContent`, "by-hand.yaml: 1 taken, 1 about items or takes that are not on this page.")
}

func (b *tab) downloaded(name string) string {
	b.t.Helper()
	for range 200 {
		if data, err := os.ReadFile(name); err == nil && len(data) > 0 {
			return string(data)
		}
		b.do(chromedp.Sleep(20 * time.Millisecond)) // the browser writes it in its own time
	}
	b.t.Fatalf("%s was not saved", name)
	return ""
}

// rerolls takes what the page saved to the command line and back.
func rerolls(t *testing.T, out, manifest string, more func(args ...string) string) {
	b := newTab(t)
	b.open(fileBase(out), "")
	b.do(chromedp.Click(chromedp.CSS(`#item-1 [value=keep]`)), chromedp.Click(chromedp.CSS(`#item-2 [value=reject]`)), chromedp.Click(chromedp.CSS("#export")))
	file := filepath.Join(b.downloads, "picks.yaml")
	b.downloaded(file)
	first := eval[string](b, `document.querySelector("#item-2").dataset.job`)
	more("reroll", manifest, "--picks", file, "--output", out, "--yes")
	b.open(fileBase(out), "")
	if now := eval[string](b, `document.querySelector("#item-2").dataset.job`); now == first {
		t.Error("the rejected take is still there")
	}
	want(b, `document.querySelector("#tally").textContent`, "1 kept") // the pick was about the take before
	release := filepath.Join(t.TempDir(), "release")
	if said := more("promote", manifest, "--picks", file, "--output", out, "--to", release); !strings.Contains(said, "1 copied") {
		t.Errorf("promote said %s", said)
	}
}

// accessible holds the page against what a screen reader is told and what weak eyes can read.
func accessible(b *tab) {
	tree, err := chromedp.Call(b.ctx, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	b.check(err)
	for _, n := range tree.Nodes {
		if n.Ignored || n.Role == nil {
			continue
		}
		var role, name string
		json.Unmarshal(n.Role.Value, &role)
		if n.Name != nil {
			json.Unmarshal(n.Name.Value, &name)
		}
		switch role {
		case "button", "link", "checkbox", "combobox", "searchbox", "slider", "image", "img", "dialog", "article":
			if strings.TrimSpace(name) == "" {
				b.t.Errorf("a %s without a name", role)
			}
		}
	}
	for _, scheme := range []string{"light", "dark"} {
		b.look(1400, 1000, scheme)
		for _, pale := range eval[[]string](b, paleTexts) {
			b.t.Errorf("%s: %s", scheme, pale)
		}
	}
}

// paleTexts are the texts whose contrast is below 4.5 to 1 (WCAG AA), on whatever plain colour is behind them.
const paleTexts = `(() => {
	const channel = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
	const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
	const parts = (color) => color.match(/[\d.]+/g).map(Number);
	const behind = (e) => {
		for (; e; e = e.parentElement) {
			const color = parts(getComputedStyle(e).backgroundColor);
			if (color.length === 3 || color[3] === 1) return color;
		}
		return [255, 255, 255];
	};
	const found = new Set();
	for (const e of document.querySelectorAll("h1, h2, p, span, small, b, summary, kbd, button:enabled, select, label, dt, dd, pre")) {
		if (!e.checkVisibility() || e.closest(".badge, [data-pick=reject] .seen") || ![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
		const a = light(parts(getComputedStyle(e).color)), z = light(behind(e));
		const ratio = (Math.max(a, z) + 0.05) / (Math.min(a, z) + 0.05);
		if (ratio < 4.5) found.add(e.tagName + "." + e.className + " " + ratio.toFixed(2) + " " + e.textContent.trim().slice(0, 30));
	}
	return [...found];
})()`

// TestGalleryOfAThousand opens at once, and loads what is in view.
func TestGalleryOfAThousand(t *testing.T) {
	out, _, more := deliver(t, `
version: 1
batch: many
items:
  - {id: clip, model: veo-3.1, prompt: a clip, payload: {duration: 8, generateAudio: true}}
`)
	multiply(t, out, 1000)
	more("report", filepath.Join(out, "results.json"))
	quickest := time.Hour
	for range 3 { // the machine may be busy with something else
		b := newTab(t)
		b.look(1400, 1000, "dark")
		took := b.open(fileBase(out), "")
		quickest = min(quickest, took)
		b.until(`document.querySelector("main video").readyState >= 1`)
		want(b, `document.querySelectorAll("article").length`, 1000)
		b.mu.Lock()
		n := 0
		for _, u := range b.asked {
			if strings.HasSuffix(u, ".mp4") {
				n++
			}
		}
		b.mu.Unlock()
		if n == 0 || n > 60 {
			t.Errorf("%d videos were asked for at the start", n)
		}
		b.shoot("thousand-dark")

		// To the end and back: what is far is let go of.
		eval[any](b, `document.querySelector("article:last-of-type").scrollIntoView()`)
		b.until(`[...document.querySelectorAll("main video")].at(-1).readyState >= 1`)
		b.until(`document.querySelector("main video").readyState === 0`)
		start := time.Now()
		b.do(chromedp.SendKeys(chromedp.CSS("#text"), "clip-0777"))
		want(b, shown, "clip-0777")
		t.Logf("opened in %v, searched in %v, %d videos asked for", took, time.Since(start), n)
	}
	if quickest > 10*time.Second { // a page that loads what it need not; two seconds is the aim, and what is logged
		t.Errorf("it took %v to open", quickest)
	}
}

// multiply makes of a batch of one item a batch of n, each with a file of its own.
func multiply(t *testing.T, out string, n int) {
	t.Helper()
	name := filepath.Join(out, "results.json")
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var whole map[string]any
	if err := json.Unmarshal(data, &whole); err != nil {
		t.Fatal(err)
	}
	one, err := json.Marshal(whole["items"].([]any)[0])
	if err != nil {
		t.Fatal(err)
	}
	items := make([]json.RawMessage, n)
	for i := range items {
		id := fmt.Sprintf("clip-%04d", i)
		items[i] = bytes.ReplaceAll(bytes.ReplaceAll(one, []byte(`"clip"`), []byte(`"`+id+`"`)), []byte("clip.mp4"), []byte(id+".mp4"))
		if err := os.Link(filepath.Join(out, "clip.mp4"), filepath.Join(out, id+".mp4")); err != nil {
			t.Fatal(err)
		}
	}
	whole["items"] = items
	if data, err = json.Marshal(whole); err == nil {
		err = os.WriteFile(name, data, 0o666)
	}
	if err != nil {
		t.Fatal(err)
	}
}
