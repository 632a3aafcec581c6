package media

import (
	"encoding/binary"

	"dailies/pipeline"
)

// tiff is the probe of TIFF, whose directory is usually at the end of the file and whose size is there whatever the
// colours are, which a decoder would want to know.
type tiff struct {
	walker
	order         binary.ByteOrder
	left          int // directory entries to come
	width, height int
}

func newTIFF() *tiff {
	t := new(tiff)
	t.walker = walker{step: t.header, want: 8}
	return t
}

func (t *tiff) header(b []byte) (int64, int) {
	t.order = binary.LittleEndian
	if b[0] == 'M' {
		t.order = binary.BigEndian
	}
	t.step = t.directory
	return int64(t.order.Uint32(b[4:])), 2
}

func (t *tiff) directory(b []byte) (int64, int) {
	t.left = int(t.order.Uint16(b))
	t.step = t.entry
	return 2, 12
}

func (t *tiff) entry(b []byte) (int64, int) {
	value := int(t.order.Uint32(b[8:]))
	if t.order.Uint16(b[2:]) == 3 { // a short
		value = int(t.order.Uint16(b[8:]))
	}
	switch t.order.Uint16(b) {
	case 256:
		t.width = value
	case 257:
		t.height = value
	}
	if t.left--; t.left <= 0 {
		return 0, 0
	}
	return 12, 12
}

func (t *tiff) facts() pipeline.Facts {
	f, _ := sized(t.width, t.height)
	return f
}
