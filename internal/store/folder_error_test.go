package store

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"syscall"
	"testing"

	"dailies/pipeline"
)

// What a file system refuses is hard to bring about for an administrator, whom tests often run as.
func TestFolderErrors(t *testing.T) {
	at := func(errno error) error { return &fs.PathError{Op: "write", Path: ".dailies/tmp/X.part", Err: errno} }
	for name, c := range map[string]struct {
		err  error
		code pipeline.Code
		text string
	}{
		"disk full":      {at(syscall.ENOSPC), pipeline.CodeDiskFull, "write /out/x.mp4: no space left on device"},
		"over quota":     {at(syscall.EDQUOT), pipeline.CodeDiskFull, "write /out/x.mp4: disk quota exceeded"},
		"not allowed":    {at(syscall.EACCES), pipeline.CodeDestinationDenied, "write /out/x.mp4: permission denied"},
		"read-only":      {at(syscall.EROFS), pipeline.CodeDestinationDenied, "write /out/x.mp4: read-only file system"},
		"rename refused": {&os.LinkError{Op: "rename", Old: "a", New: "b", Err: syscall.EPERM}, pipeline.CodeDestinationDenied, "write /out/x.mp4: operation not permitted"},
		"broken disk":    {at(syscall.EIO), pipeline.CodeDestination, "write /out/x.mp4: input/output error"},
		"explained":      {pipeline.Errorf(pipeline.CodeCorrupt, "short"), pipeline.CodeCorrupt, "short"},
	} {
		err := folderError("write", "/out/x.mp4", c.err)
		if pipeline.CodeOf(err) != c.code || err.Error() != c.text {
			t.Errorf("%s: %s %q, want %s %q", name, pipeline.CodeOf(err), err, c.code, c.text)
		}
		if !errors.Is(err, c.err) && !errors.Is(err, errors.Unwrap(c.err)) {
			t.Errorf("%s: the cause is lost", name)
		}
	}
	if err := folderError("write", "x", context.Canceled); err != context.Canceled {
		t.Errorf("canceled: %v", err)
	}
}
