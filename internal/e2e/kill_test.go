package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"dailies/internal/sandbox"
	"dailies/internal/store/s3test"
	"dailies/pipeline"
)

var (
	soak = flag.Bool("soak", false, "attack for minutes instead of seconds")
	seed = flag.Uint64("seed", 1, "of everything the attacks choose")
)

// TestKills kills the program, with kill -9, at moments chosen by what the API and the destination have seen, while
// exchanges are spoilt at random; and types the same command again until it exits with 0. Then the sandbox's book must
// show every payload bought once, and the destination every asset, byte for byte.
func TestKills(t *testing.T) {
	t.Parallel()
	kills, each, workers := 16, 2, 8 // most of a batch is waiting
	if *soak {
		kills, each, workers = 220, 8, 12
	}
	server, budget := s3test.Start(t), undisturbed(t)
	var (
		mu    sync.Mutex
		total chaos
		group sync.WaitGroup
		next  int
	)
	for range workers {
		group.Go(func() {
			for {
				mu.Lock()
				n := next
				next++
				enough := total.kills >= kills || len(total.problems) > 0
				mu.Unlock()
				if enough {
					return
				}
				c := attack(t, server, n, each, budget)
				mu.Lock()
				total.add(c)
				mu.Unlock()
			}
		})
	}
	group.Wait()
	t.Logf("seed %d: %s", *seed, &total)
	for _, problem := range total.problems {
		t.Error(problem)
	}
}

// chaos is what attacks have come to.
type chaos struct {
	batches, items, runs, kills, faults, bought, twice, lost, overshoot int
	problems                                                            []string
}

func (c *chaos) add(d chaos) {
	c.batches += d.batches
	c.items += d.items
	c.runs += d.runs
	c.kills += d.kills
	c.faults += d.faults
	c.bought += d.bought
	c.twice += d.twice
	c.lost += d.lost
	c.overshoot += d.overshoot
	c.problems = append(c.problems, d.problems...)
}

func (c *chaos) String() string {
	return fmt.Sprintf("%d batches, %d runs, %d kills, %d faults injected, %d items, %d bought, bought twice %d, lost %d, overshoot %d",
		c.batches, c.runs, c.kills, c.faults, c.items, c.bought, c.twice, c.lost, c.overshoot)
}

const attackedItems = 10

// attacked is the manifest: pictures and clips of models that take no seed, so that nothing but inputs and times tells
// their jobs apart, two of them alike, one that takes another's asset, and one that takes a file.
const attacked = `version: 1
batch: attacked
inputs: {knight: refs/knight.png}
items:
  - {id: "plate-${n}", model: imagen4-ultra, prompt: "plate ${n}", matrix: {n: [1, 2, 3, 4]}}
  - {id: twin, model: imagen4-ultra, prompt: the same, repeat: 2}
  - {id: walk, model: kling-v2.6-i2v-pro, prompt: they walk, payload: {image: "${items.plate-1}", duration: "5"}}
  - {id: city, model: kling-v2.6-t2v-pro, prompt: a city, payload: {duration: "5"}}
  - {id: knight, model: happy-horse-r2v, prompt: character1 bows, payload: {referenceImages: ["${inputs.knight}"], duration: 3}}
  - {id: theme, model: lyria-2, prompt: slow strings}
`

// writeManifest puts a manifest where its input files are.
func writeManifest(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "refs"), os.DirFS(filepath.Join(repo, "manifests", "refs"))); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "manifest.yaml")
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// attack runs one batch to its end through so many kills at most, and faults. Even ones are on a folder, odd ones on S3.
func attack(t *testing.T, server *s3test.Server, n, kills int, budget pipeline.CU) (c chaos) {
	c = chaos{batches: 1, items: attackedItems}
	problem := func(format string, args ...any) {
		c.problems = append(c.problems, fmt.Sprintf("batch %d of seed %d: ", n, *seed)+fmt.Sprintf(format, args...))
	}
	luck := rand.New(rand.NewPCG(*seed, uint64(n)))
	o := sandboxOptions()
	o.Pace, o.Concurrency = 0.002, 4
	o.AssetBytes = func(string) int64 { return 300_000 }
	api, err := sandbox.New(o)
	if err != nil {
		problem("%v", err)
		return c
	}
	defer api.Close()
	front := newGate(api)
	front.chance, front.luck = 0.03, rand.New(rand.NewPCG(*seed, uint64(n)+1<<32))
	web := httptest.NewServer(front)
	defer web.Close()

	manifest, out, folder := writeManifest(t, attacked), "", ""
	env := command(t, web.URL+"/v1").Env
	gates := map[string]*gate{"submit": front, "asset": front, "bulk": front, "jobs": front}
	if n%2 == 0 {
		out = t.TempDir()
		folder = out
	} else {
		target, err := url.Parse(server.Endpoint)
		if err != nil {
			problem("%v", err)
			return c
		}
		back := newGate(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // is signed
		}, ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { panic(http.ErrAbortHandler) }})
		back.chance, back.luck = 0.01, rand.New(rand.NewPCG(*seed, uint64(n)+2<<32))
		s3 := httptest.NewServer(back)
		defer s3.Close()
		prefix := fmt.Sprintf("attack-%d", n)
		out, folder = server.URI(prefix), filepath.Join(server.Dir, server.Bucket, prefix)
		for _, pair := range server.Env() {
			if strings.HasPrefix(pair, "AWS_ENDPOINT_URL_S3=") {
				pair = "AWS_ENDPOINT_URL_S3=" + s3.URL
			}
			env = append(env, pair)
		}
		gates["record"], gates["object"] = back, back
		defer func() { c.faults += back.struck }()
	}
	defer func() { c.faults += front.struck }()

	var last string
	for done := false; !done; {
		if c.runs++; c.runs > 60 {
			problem("not delivered after %d runs; the last said\n%s", c.runs, last)
			return c
		}
		var said bytes.Buffer
		cmd := exec.Command(dailies, "run", manifest, "--output", out, "--budget", budget.String(),
			"--requests-per-minute", "100000", "--progress", "lines")
		cmd.Env, cmd.Stdout, cmd.Stderr = env, &said, &said
		dead := make(chan struct{})
		killed := false
		kill := sync.OnceFunc(func() {
			killed = true
			cmd.Process.Kill()
			<-dead
		})
		t := &trap{nth: 1 + luck.IntN(4), when: moments[luck.IntN(len(moments))], fire: kill}
		kinds := []string{"submit", "submit", "asset", "asset", "record", "record", "record", "object", "bulk", "jobs"}
		t.kind = kinds[luck.IntN(len(kinds))]
		if t.kind == "asset" {
			t.when, t.after = midway, 1+luck.IntN(300_000)
		}
		for _, g := range gates {
			g.set(nil)
		}
		if err := cmd.Start(); err != nil {
			problem("%v", err)
			return c
		}
		watching := make(chan struct{})
		if c.kills == kills {
			// It has been through enough.
		} else if g := gates[t.kind]; g != nil {
			g.set(t)
		} else { // on a folder nobody passes by: watch it
			go func() {
				if watchFolder(folder, t.kind, t.nth, watching) {
					kill()
				}
			}()
		}
		overdue := time.AfterFunc(2*patient, func() { cmd.Process.Kill() })
		err := cmd.Wait()
		alive := overdue.Stop()
		close(dead)
		close(watching)
		for _, g := range gates {
			g.set(nil)
		}
		last = said.String()
		exit, isExit := errors.AsType[*exec.ExitError](err)
		switch {
		case !alive:
			problem("a run hung:\n%s", last)
			return c
		case err == nil:
			done = true
		case killed && isExit && exit.ExitCode() < 0:
			c.kills++
		case !isExit || exit.ExitCode() != pipeline.ExitUnfinished && exit.ExitCode() != pipeline.ExitFailed && exit.ExitCode() != pipeline.ExitRefused && exit.ExitCode() != pipeline.ExitBudget:
			problem("a run ended with %v:\n%s", err, last)
			return c
		}
	}
	r, err := resultsIn(folder)
	if err != nil {
		problem("%v", err)
		return c
	}
	if len(r.Items) != attackedItems || r.Run.ExitCode != 0 {
		problem("results.json has %d items and exit code %d", len(r.Items), r.Run.ExitCode)
	}
	var items []claim
	for _, it := range r.Items {
		m := claim{id: it.ID, jobID: it.JobID}
		for _, o := range it.Outputs {
			m.outputs = append(m.outputs, pipeline.Output{AssetID: o.AssetID, Key: o.Key, SHA256: o.SHA256})
		}
		items = append(items, m)
		if it.Status != "delivered" && it.Status != "reused" {
			problem("%s is %s", it.ID, it.Status)
		}
	}
	p := prove(api, items, func(key string) ([]byte, error) { return os.ReadFile(filepath.Join(folder, key)) })
	c.bought, c.twice, c.lost = p.bought, p.twice, p.lost
	for _, text := range p.problems {
		problem("%s", text)
	}
	if p.spent > budget {
		c.overshoot++
		problem("%v CU were spent under a budget of %v", p.spent, budget)
	}
	if _, err := os.Stat(filepath.Join(folder, ".dailies", "lock.json")); !errors.Is(err, fs.ErrNotExist) {
		problem("the batch is still locked (%v)", err)
	}
	return c
}

// watchFolder reports that the nth change of a record, or the nth object, has been seen in a folder.
func watchFolder(folder, kind string, nth int, until <-chan struct{}) bool {
	dir := folder
	if kind == "record" {
		dir = filepath.Join(folder, ".dailies", "items")
	}
	known := map[string]time.Time{}
	look := func() (changes int) {
		entries, _ := os.ReadDir(dir) // may not be there yet
		for _, e := range entries {
			info, err := e.Info()
			if err != nil || e.IsDir() || known[e.Name()].Equal(info.ModTime()) {
				continue
			}
			known[e.Name()] = info.ModTime()
			changes++
		}
		return changes
	}
	look()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for seen := 0; seen < nth; {
		select {
		case <-tick.C:
			seen += look()
		case <-until:
			return false
		}
	}
	return true
}

// resultsIn reads a results.json.
func resultsIn(folder string) (r results, err error) {
	data, err := os.ReadFile(filepath.Join(folder, "results.json"))
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(data, &r)
}

// undisturbed is what the attacked batch costs if nothing goes wrong: everything bought once, and not a hundredth more.
func undisturbed(t *testing.T) (sum pipeline.CU) {
	t.Helper()
	api, base := startAPI(t, sandboxOptions())
	if said, exit := run(t, command(t, base, "run", writeManifest(t, attacked), "--output", t.TempDir(), "--yes")); exit != 0 {
		t.Fatalf("exit %d:\n%s", exit, said)
	}
	for _, b := range api.Book() {
		sum += b.Cost
	}
	return sum
}
