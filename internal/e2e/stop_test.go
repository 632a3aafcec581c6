package e2e

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"dailies/internal/sandbox"
	"dailies/internal/store/s3test"
	"dailies/pipeline"
)

const dozen = `version: 1
batch: dozen
defaults: {model: imagen4-ultra}
items:
  - {id: "n-${n}", prompt: "number ${n}", matrix: {n: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]}}
`

// A running is the program at work in a process of its own.
type running struct {
	*exec.Cmd
	t   *testing.T
	out *strings.Builder
}

func launch(t *testing.T, base string, env []string, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patient)
	t.Cleanup(cancel)
	like := command(t, base, args...)
	p := &running{exec.CommandContext(ctx, like.Path, args...), t, &strings.Builder{}}
	p.Env, p.Dir = append(like.Env, env...), like.Dir
	p.Stdout, p.Stderr = p.out, p.out
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// end waits for the process and returns what it said and its exit code.
func (p *running) end() (said string, exit int) {
	p.t.Helper()
	err := p.Wait()
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		return p.out.String(), e.ExitCode()
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return p.out.String(), 0
}

// await waits until something is so, which it is bound to be.
func await(t *testing.T, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	overdue := time.After(patient)
	for !so() {
		select {
		case <-tick.C:
		case <-overdue:
			t.Fatalf("waited a minute for: %s", what)
		}
	}
}

// hung is when a process that was told to stop is not stopping: well above what it takes, which a busy machine stretches,
// and well below what it would take to wait for its jobs.
const hung = 20 * time.Second

// TestSignals: the first signal stops buying, and the run ends within five seconds with its results written and an exit
// code that says whether anything is left generating. The same command then collects.
func TestSignals(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		signal  os.Signal
		pace    float64 // 1: nothing is done within the test
		bought  int     // when it is sent
		exit    int
		refused bool // every submit is, so that nothing is generating
	}{
		"SIGINT with jobs generating":  {syscall.SIGINT, 1, 4, pipeline.ExitUnfinished, false},
		"SIGTERM with jobs generating": {syscall.SIGTERM, 1, 4, pipeline.ExitUnfinished, false},
		"SIGINT with nothing bought":   {syscall.SIGINT, 1, 0, pipeline.ExitInterrupted, true},
		"SIGTERM with nothing bought":  {syscall.SIGTERM, 1, 0, pipeline.ExitTerminated, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := sandboxOptions()
			o.Pace, o.Concurrency = tt.pace, 4
			if tt.refused {
				o.Faults = &sandbox.Faults{Rules: []sandbox.Rule{{Fault: "429-retry-after", On: "submit", RetryAfter: time.Hour}}}
			}
			api, base := startAPI(t, o)
			manifest, out := writeManifest(t, dozen), t.TempDir()
			p := launch(t, base, nil, "run", manifest, "--output", out, "--yes", "--progress", "lines")
			await(t, "its submits", func() bool { return len(api.Book()) == tt.bought && api.Requests()["submit"] > tt.bought })
			if err := p.Process.Signal(tt.signal); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			said, exit := p.end()
			if took := time.Since(began); exit != tt.exit || took > hung {
				t.Errorf("exit %d after %v, want %d at once:\n%s", exit, took, tt.exit, said)
			}
			if n := len(api.Book()); n != tt.bought {
				t.Errorf("%d were bought after the signal", n-tt.bought)
			}
			r := readResults(t, out)
			if len(r.Items) != 12 || r.Run.ExitCode != tt.exit && tt.exit != pipeline.ExitTerminated {
				t.Errorf("results.json has %d items and exit code %d", len(r.Items), r.Run.ExitCode)
			}
			if tt.refused {
				return
			}
			// The next run collects. (Generating takes eight seconds a picture.)
			said, exit = launch(t, base, nil, "run", manifest, "--output", out, "--yes", "--only", "n-1*").end()
			if exit != 0 || !strings.Contains(said, "n-10") {
				t.Errorf("exit %d:\n%s", exit, said)
			}
		})
	}
}

// TestASecondSignal leaves at once, and the ledger knows what is needed: the next run buys nothing twice.
func TestASecondSignal(t *testing.T) {
	t.Parallel()
	o := sandboxOptions()
	o.Pace, o.Concurrency = 0.05, 4
	api, err := sandbox.New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	front := newGate(api)
	base := serve(t, front)
	manifest, out := writeManifest(t, dozen), t.TempDir()
	var p *running
	var started sync.WaitGroup
	started.Add(1)
	front.set(&trap{kind: "submit", nth: 3, when: unanswered, fire: func() {
		started.Wait()
		p.Process.Signal(syscall.SIGINT)
		await(t, "the first signal to be taken in", func() bool { return true })
		for p.Process.Signal(syscall.SIGINT) == nil { // until it is gone
		}
	}})
	p = launch(t, base, nil, "run", manifest, "--output", out, "--yes", "--progress", "lines")
	started.Done()
	began := time.Now()
	said, exit := p.end()
	if took := time.Since(began); took > hung || exit == 0 {
		t.Errorf("exit %d after %v:\n%s", exit, took, said)
	}
	if said, exit := launch(t, base, nil, "run", manifest, "--output", out, "--yes").end(); exit != 0 {
		t.Fatalf("exit %d:\n%s", exit, said)
	}
	provesOut(t, api, out)
}

// provesOut holds a finished batch in a folder against the sandbox's book.
func provesOut(t *testing.T, api *sandbox.Server, folder string) {
	t.Helper()
	r := readResults(t, folder)
	var items []claim
	for _, it := range r.Items {
		c := claim{id: it.ID, jobID: it.JobID}
		for _, o := range it.Outputs {
			c.outputs = append(c.outputs, pipeline.Output{AssetID: o.AssetID, Key: o.Key, SHA256: o.SHA256})
		}
		items = append(items, c)
	}
	p := prove(api, items, func(key string) ([]byte, error) { return os.ReadFile(filepath.Join(folder, key)) })
	p.check(t)
}

// TestDeadline: nothing is begun that would not be done in time, by what the models have taken before.
func TestDeadline(t *testing.T) {
	t.Parallel()
	o := sandboxOptions()
	o.Pace, o.Concurrency = 0.1, 3 // 0.8 s a picture
	api, base := startAPI(t, o)
	manifest, out := writeManifest(t, dozen), t.TempDir()
	if said, exit := launch(t, base, nil, "run", manifest, "--output", out, "--yes", "--only", "n-1").end(); exit != 0 {
		t.Fatalf("exit %d:\n%s", exit, said)
	}
	said, exit := launch(t, base, nil, "run", manifest, "--output", out, "--yes", "--deadline", "500ms").end()
	if exit != pipeline.ExitUnfinished || len(api.Book()) != 1 || !strings.Contains(said, "time box") {
		t.Errorf("exit %d, %d bought:\n%s", exit, len(api.Book()), said)
	}
	if said, exit := launch(t, base, nil, "run", manifest, "--output", out, "--yes").end(); exit != 0 || len(api.Book()) != 12 {
		t.Errorf("exit %d, %d bought:\n%s", exit, len(api.Book()), said)
	}
}

// TestTwoAtOnce: of two processes started together one works, and the other says who does and how to take over.
func TestTwoAtOnce(t *testing.T) {
	t.Parallel()
	server := s3test.Start(t)
	for name, place := range map[string]func() (out, folder string, env []string){
		"folder": func() (string, string, []string) { d := t.TempDir(); return d, d, nil },
		"s3": func() (string, string, []string) {
			return server.URI("two"), filepath.Join(server.Dir, server.Bucket, "two"), server.Env()
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := sandboxOptions()
			o.Pace = 0.1
			api, base := startAPI(t, o)
			manifest := writeManifest(t, dozen)
			out, folder, env := place()
			a := launch(t, base, env, "run", manifest, "--output", out, "--yes")
			b := launch(t, base, env, "run", manifest, "--output", out, "--yes")
			saidA, exitA := a.end()
			saidB, exitB := b.end()
			if exitA != 0 {
				saidA, exitA, saidB, exitB = saidB, exitB, saidA, exitA
			}
			if exitA != 0 || exitB != pipeline.ExitLocked {
				t.Fatalf("exits %d and %d:\n%s\n%s", exitA, exitB, saidA, saidB)
			}
			for _, words := range []string{"has held this batch since", "process ", "takes over from", "lock.json"} {
				if !strings.Contains(saidB, words) {
					t.Errorf("the second does not say %q:\n%s", words, saidB)
				}
			}
			provesOut(t, api, folder)
		})
	}
}

// TestAStoppedProcessDoesNotBuy: one process is stopped at its request's last instant for longer than its lease, as
// its lock tells; another takes over and makes the batch; woken, the first buys nothing.
func TestAStoppedProcessDoesNotBuy(t *testing.T) {
	t.Parallel()
	o := sandboxOptions()
	o.Pace, o.Concurrency = 0.02, 4
	api, err := sandbox.New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	front := newGate(api)
	base := serve(t, front)
	manifest, out := writeManifest(t, dozen), t.TempDir()
	var p *running
	var started sync.WaitGroup
	started.Add(1)
	stopped := make(chan struct{})
	front.set(&trap{kind: "jobs", nth: 1, when: answered, fire: func() {
		started.Wait()
		p.Process.Signal(syscall.SIGSTOP)
		close(stopped)
	}})
	p = launch(t, base, nil, "run", manifest, "--output", out, "--yes", "--concurrency", "2")
	started.Done()
	select {
	case <-stopped:
	case <-time.After(patient):
		t.Fatal("it never looked at its jobs")
	}
	// A minute passes without a heartbeat.
	lock := filepath.Join(out, ".dailies", "lock.json")
	await(t, "the stop", func() bool {
		state, err := os.ReadFile("/proc/" + itoa(p.Process.Pid) + "/stat")
		return err != nil || strings.Contains(string(state), ") T ")
	})
	age(t, lock, 2*time.Minute)
	if said, exit := launch(t, base, nil, "run", manifest, "--output", out, "--yes").end(); exit != 0 {
		t.Fatalf("the second: exit %d:\n%s", exit, said)
	}
	if n := len(api.Book()); n != 12 {
		t.Fatalf("%d bought", n)
	}
	p.Process.Signal(syscall.SIGCONT)
	if said, exit := p.end(); exit == 0 || len(api.Book()) != 12 {
		t.Errorf("woken, it ended with %d, and %d were bought:\n%s", exit, len(api.Book()), said)
	}
	if said, exit := launch(t, base, nil, "run", manifest, "--output", out, "--yes").end(); exit != 0 {
		t.Fatalf("in the end: exit %d:\n%s", exit, said)
	}
	provesOut(t, api, out)
}
