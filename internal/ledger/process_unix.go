//go:build unix

package ledger

import (
	"errors"
	"os"
	"syscall"
)

// processAlive reports whether there is such a process, be it ours to signal or not.
func processAlive(pid int) bool {
	p, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	defer p.Release()
	err = p.Signal(syscall.Signal(0))
	return err == nil || errors.Is(err, os.ErrPermission)
}
