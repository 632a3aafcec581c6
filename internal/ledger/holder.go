package ledger

import (
	"os"
	"strings"
)

// ThisProcess is the holder that this process is, in the named run.
func ThisProcess(runID string) Holder {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	return Holder{RunID: runID, Host: host, PID: os.Getpid(), Boot: boot()}
}

// boot names the process table that this process's id is in: the kernel's boot and the namespace. Two containers can
// share a host name and a kernel and still not see each other's processes. Only Linux says; elsewhere the host name
// has to do.
func boot() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	space, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id)) + " " + space
}
