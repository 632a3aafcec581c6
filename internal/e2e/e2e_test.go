// Package e2e tests the program as its users meet it: the real binary in processes of its own, real signals, a real
// S3 server, and the simulated API on a loopback port.
package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// The binary under test, and the root of the repository.
var dailies, repo string

func TestMain(m *testing.M) {
	if role := os.Getenv(bareRole); role != "" {
		if err := runBare(role, os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "dailies-e2e-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		if repo, err = filepath.Abs(filepath.Join("..", "..")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		dailies = filepath.Join(dir, "dailies")
		build := exec.Command("go", append(append([]string{"build"}, buildFlags...), "-o", dailies, ".")...)
		build.Dir = repo
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "%v: %v\n%s", build.Args, err, out)
			return 1
		}
		return m.Run()
	}())
}
