//go:build !unix

package ledger

import "os"

// processAlive reports whether there is such a process.
func processAlive(pid int) bool {
	p, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	p.Release()
	return true
}
