//go:build unix

package ledger_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"dailies/internal/ledger"
	"dailies/internal/store"
	"dailies/internal/store/s3test"
	"dailies/pipeline"
)

// These tests have real processes, on one folder and on one bucket. The test binary plays the run: it does what its
// standard input says, a line at a time, and answers each with a line.

// child is what TestMain becomes in such a process.
func child() int {
	s, err := store.Open(background, os.Getenv("CHILD_STATE"), store.Options{})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	l := ledger.Open(store.Sub(s, ".dailies"), live)
	run := os.Getenv("CHILD_RUN")
	lease, err := time.ParseDuration(os.Getenv("CHILD_LEASE"))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	var k *ledger.Lock
	fmt.Println("ready")
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		verb, arg, _ := strings.Cut(in.Text(), " ")
		var err error
		switch verb {
		case "lock":
			o := ledger.LockOptions{Lease: lease}
			fmt.Sscanf(arg, "%d/%d", &o.Part.I, &o.Part.N) // none: the whole
			k, err = l.Lock(background, ledger.ThisProcess(run), o)
		case "check":
			err = k.Check(background)
		case "release":
			err = k.Release(background)
		case "intend":
			r := pipeline.Record{ID: arg, State: pipeline.Intended, Fingerprint: "f", Model: "m", RunID: run}
			_, err = l.Save(background, r, "")
		}
		switch {
		case err == nil:
			fmt.Println("ok")
		case errors.Is(err, pipeline.ErrConflict):
			fmt.Println("conflict")
		default:
			fmt.Println(pipeline.CodeOf(err), err)
		}
	}
	return 0
}

type process struct {
	*exec.Cmd
	t   *testing.T
	in  io.WriteCloser
	out *bufio.Reader
}

func start(t *testing.T, state, run, lease string, env ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(os.Args[0]), t: t}
	p.Env = append(append(os.Environ(), "CHILD_STATE="+state, "CHILD_RUN="+run, "CHILD_LEASE="+lease), env...)
	p.Stderr = os.Stderr
	in, err := p.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.in, p.out = in, bufio.NewReader(out)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Process.Kill()
		p.Wait()
	})
	p.want("ready")
	return p
}

func (p *process) send(line string) {
	p.t.Helper()
	if _, err := io.WriteString(p.in, line+"\n"); err != nil {
		p.t.Fatal(err)
	}
}

func (p *process) answer() string {
	p.t.Helper()
	line, err := p.out.ReadString('\n')
	if err != nil {
		p.t.Fatalf("process: %v", err)
	}
	return strings.TrimSpace(line)
}

func (p *process) want(begins string) {
	p.t.Helper()
	if got := p.answer(); !strings.HasPrefix(got, begins) {
		p.t.Fatalf("process answers %q, want %q", got, begins)
	}
}

func (p *process) do(line, want string) {
	p.t.Helper()
	p.send(line)
	p.want(want)
}

func (p *process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

func TestTwoProcesses(t *testing.T) {
	server := s3test.Start(t)
	for name, place := range map[string]func(t *testing.T) (state string, env []string){
		"folder": func(t *testing.T) (string, []string) { return t.TempDir(), nil },
		"s3":     func(t *testing.T) (string, []string) { return server.URI(t.Name()), server.Env() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Run("one intends", func(t *testing.T) {
				state, env := place(t)
				a, b := start(t, state, "run-a", "60s", env...), start(t, state, "run-b", "60s", env...)
				for i := range 30 {
					line := fmt.Sprintf("intend item-%d", i)
					a.send(line)
					b.send(line)
					if got := a.answer() + " " + b.answer(); got != "ok conflict" && got != "conflict ok" {
						t.Fatalf("item %d: %s", i, got)
					}
				}
			})

			t.Run("one holds the lock", func(t *testing.T) {
				state, env := place(t)
				a, b := start(t, state, "run-a", "60s", env...), start(t, state, "run-b", "60s", env...)
				a.send("lock")
				b.send("lock")
				winner, loser := a, b
				if got := a.answer(); got != "ok" {
					winner, loser = b, a
					if !strings.HasPrefix(got, "batch_locked run run-b") {
						t.Fatal(got)
					}
					winner.want("ok")
				} else {
					loser.want("batch_locked run run-a")
				}
				winner.do("check", "ok")
				winner.do("release", "ok")
				loser.do("lock", "ok")
			})

			t.Run("parts work side by side", func(t *testing.T) {
				state, env := place(t)
				a, b, c := start(t, state, "run-a", "60s", env...), start(t, state, "run-b", "60s", env...), start(t, state, "run-c", "60s", env...)
				a.send("lock 1/2")
				b.send("lock 2/2")
				a.want("ok")
				b.want("ok")
				c.do("lock 2/2", "batch_locked run run-b")
				c.do("lock", "batch_locked run run-a")
				a.do("release", "ok")
				b.signal(os.Kill)
				b.Wait()
				c.do("lock", "ok")
				a.do("lock 1/2", "batch_locked run run-c")
			})

			t.Run("a killed run is not waited for", func(t *testing.T) {
				state, env := place(t)
				a := start(t, state, "run-a", "1h", env...)
				a.do("lock", "ok")
				b := start(t, state, "run-b", "1h", env...)
				b.do("lock", "batch_locked run run-a")
				a.signal(os.Kill)
				a.Wait()
				b.do("lock", "ok")
			})

			t.Run("a run that was stopped for longer than its lease may not buy", func(t *testing.T) {
				state, env := place(t)
				a, b := start(t, state, "run-a", "300ms", env...), start(t, state, "run-b", "60s", env...)
				a.do("lock", "ok")
				a.do("check", "ok")
				a.signal(syscall.SIGSTOP)
				for {
					b.send("lock")
					if got := b.answer(); got == "ok" {
						break
					} else if !strings.HasPrefix(got, "batch_locked run run-a") {
						t.Fatal(got)
					}
				}
				a.signal(syscall.SIGCONT)
				a.do("check", "batch_locked run run-b")
				b.do("check", "ok")
			})
		})
	}
}
