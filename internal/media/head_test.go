package media

import (
	"bytes"
	"testing"
)

// A picture whose beginning is damaged is not kept in the hope of more: a crowd of them would fill the memory.
func TestDamageIsNotKept(t *testing.T) {
	noise := bytes.Repeat([]byte("noise"), 20_000)
	for name, begins := range map[string]string{
		"png":  "\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR\x00\x00\x00\x00",
		"jpeg": "\xff\xd8\xff\xc0\x00\x03\x08",
		"gif":  "GIF89a",
		"none": "",
	} {
		h := newHead(2<<20, imageFacts)
		h.Write([]byte(begins))
		h.Write(noise)
		if !h.done || len(h.buf) != 0 {
			t.Errorf("%s: %d bytes are kept", name, len(h.buf))
		}
	}
}
