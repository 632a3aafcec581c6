package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"dailies/internal/sandbox"
	"dailies/internal/store/s3test"
)

// TestREADME runs what the README tells people to type, in its order, and validates its manifests.
func TestREADME(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(repo, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, name := range []string{"testdata", "manifests", "Makefile", "main.go", "go.mod"} { // what its paths name
		if err := os.Symlink(filepath.Join(repo, name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(filepath.Join(dir, "refs"), os.DirFS(filepath.Join(repo, "manifests", "refs"))); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "props.csv"), []byte("name,line\nchest,A chest of oak\nlamp,A brass lamp\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, url := startAPI(t, sandboxOptions())
	s3 := s3test.Start(t)
	s3.CreateBucket(t, "game-assets")
	env := append(command(t, url).Env, s3.Env()...)

	blocks := regexp.MustCompile("(?s)```(sh|yaml)( picks)?\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	commands, manifests := 0, 0
	for _, b := range blocks {
		if b[1] == "yaml" && b[2] != "" {
			if err := os.WriteFile(filepath.Join(dir, "picks.yaml"), []byte(b[3]), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if b[1] == "yaml" {
			manifests++
			name := "night.yaml" // the first is the one that the commands are about
			if manifests > 1 {
				name = "props.yaml"
			}
			if err := os.WriteFile(filepath.Join(dir, name), []byte(b[3]), 0o644); err != nil {
				t.Fatal(err)
			}
			runREADME(t, dir, env, "dailies", "run", name, "--budget", "1000")
			continue
		}
		for line := range strings.Lines(b[3]) {
			args := strings.Fields(line)
			commands++
			switch {
			case args[0] == "make":
				makefile, err := os.ReadFile(filepath.Join(repo, "Makefile"))
				if err != nil || !strings.Contains(string(makefile), "\n"+args[1]+":") {
					t.Errorf("%s: the Makefile has no such target (%v)", strings.TrimSpace(line), err)
				}
			case args[0] == "export":
				for _, pair := range args[1:] {
					if !strings.HasSuffix(pair, "=…") {
						t.Errorf("%s: a key in the README?", line)
					}
				}
			case args[0] == "dailies" && args[1] == "sandbox":
				script, err := os.ReadFile(filepath.Join(repo, args[len(args)-1]))
				if err != nil {
					t.Error(err)
				} else if _, err := sandbox.ParseFaults(script); err != nil {
					t.Error(err)
				}
			case args[0] == "dailies":
				runREADME(t, dir, env, args...)
			case args[0] == "go" && args[1] == "run":
				runREADME(t, dir, env, append([]string{"dailies"}, args[3:]...)...)
			case args[0] == "go" && args[1] == "build": // TestMain did
			default:
				t.Errorf("no test for the README's %q", line)
			}
		}
	}
	if commands < 10 || manifests < 1 {
		t.Errorf("%d commands and %d manifests found in the README", commands, manifests)
	}
}

func runREADME(t *testing.T, dir string, env []string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), dailies, args[1:]...)
	cmd.Dir, cmd.Env = dir, env
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
}
