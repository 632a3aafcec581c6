package media

import (
	"encoding/binary"

	"dailies/pipeline"
)

// boxes is the probe of ISO base media files: MP4, QuickTime, M4A, and pictures in HEIF (AVIF, HEIC). It enters the
// boxes that hold what it looks for, reads the few that say it, and skips all others, mdat first among them; so
// it does not matter whether moov comes before or after the media, nor how long its sample tables are.
type boxes struct {
	walker
	picture bool

	movie  clock
	tracks []*track // at most maxTracks

	fragment *track // the traf being read
	perMoof  uint32 // its samples' duration where they have none of their own

	width, height int // of a picture
}

// maxTracks is beyond what real files have.
const maxTracks = 64

// A clock is a duration in units of its own.
type clock struct {
	scale    uint32 // units a second
	duration uint64
}

func (c clock) seconds() float64 {
	if c.scale == 0 {
		return 0
	}
	return float64(c.duration) / float64(c.scale)
}

type track struct {
	clock
	id            uint32
	handler       string
	width, height int
	turned        bool   // shown a quarter turn from how it is stored
	perTrack      uint32 // fragments' default sample duration
	end           uint64 // of the fragments seen, in the clock's units
}

const boxHeader = 8

// maxBody is how much of a box is held: those read whole are far smaller, and of a fragment's sample table the first
// twenty thousand entries will do.
const maxBody = 256 << 10

func newBoxes(picture bool) *boxes {
	b := &boxes{picture: picture}
	b.walker = walker{step: b.header, want: boxHeader}
	return b
}

// header is the step at the beginning of a box.
func (b *boxes) header(h []byte) (int64, int) {
	size, length := int64(binary.BigEndian.Uint32(h)), int64(boxHeader)
	switch {
	case size == 1 && len(h) < 16:
		return 0, 16
	case size == 1:
		size, length = int64(binary.BigEndian.Uint64(h[8:])), 16
	}
	if size < length {
		return 0, 0 // 0: to the end of the file; otherwise damage
	}
	kind := string(h[4:8])
	if into := b.enter(kind); into >= 0 {
		return length + into, boxHeader
	}
	read := b.reader(kind)
	if read == nil || size == length {
		return size, boxHeader
	}
	shown := min(size-length, maxBody)
	b.step = func(body []byte) (int64, int) {
		read(body[length:])
		b.step = b.header
		return size, boxHeader
	}
	return 0, int(length + shown)
}

// enter tells how many bytes of a box precede the boxes in it; -1: it is not one to look into.
func (b *boxes) enter(kind string) int64 {
	switch kind {
	case "moov", "mdia", "minf", "stbl", "mvex", "moof":
		return 0
	case "trak":
		if len(b.tracks) < maxTracks {
			b.tracks = append(b.tracks, new(track))
		}
		return 0
	case "traf":
		b.fragment = nil
		return 0
	case "iprp", "ipco":
		if b.picture {
			return 0
		}
	case "meta":
		if b.picture {
			return 4
		}
	}
	return -1
}

// reader is what takes the body of a box of this kind, or as much of it as may be held; nil for most kinds.
func (b *boxes) reader(kind string) func([]byte) {
	switch kind {
	case "mvhd":
		return func(body []byte) { b.movie, _ = readClock(body) }
	case "trex":
		return b.trex
	case "tfhd":
		return b.tfhd
	case "tfdt":
		return b.tfdt
	case "trun":
		return b.trun
	case "ispe":
		return b.ispe
	}
	if len(b.tracks) == 0 {
		return nil
	}
	t := b.tracks[len(b.tracks)-1]
	switch kind {
	case "tkhd":
		return t.tkhd
	case "mdhd":
		return func(body []byte) { t.clock, _ = readClock(body) }
	case "hdlr":
		return t.hdlr
	case "stsd":
		return t.stsd
	}
	return nil
}

// readClock reads what mvhd and mdhd have in common, and tells where that ends.
func readClock(body []byte) (clock, int) {
	switch {
	case len(body) >= 32 && body[0] == 1:
		c := clock{binary.BigEndian.Uint32(body[20:]), binary.BigEndian.Uint64(body[24:])}
		if c.duration == 1<<64-1 { // unknown
			c.duration = 0
		}
		return c, 32
	case len(body) >= 20 && body[0] == 0:
		c := clock{binary.BigEndian.Uint32(body[12:]), uint64(binary.BigEndian.Uint32(body[16:]))}
		if c.duration == 1<<32-1 {
			c.duration = 0
		}
		return c, 20
	}
	return clock{}, 0
}

func (t *track) tkhd(body []byte) {
	id, matrix := 12, 40
	if len(body) > 0 && body[0] == 1 {
		id, matrix = 20, 52
	}
	if len(body) < matrix+44 {
		return
	}
	t.id = binary.BigEndian.Uint32(body[id:])
	// The matrix is {a b u, c d v, x y w}; a quarter turn has nothing in a and d.
	at := func(i int) uint32 { return binary.BigEndian.Uint32(body[matrix+4*i:]) }
	t.turned = at(0) == 0 && at(4) == 0 && at(1) != 0 && at(3) != 0
	if t.width == 0 {
		t.width, t.height = int(at(9)>>16), int(at(10)>>16)
	}
}

// hdlr keeps to media handlers: QuickTime has a second, of data, in each track.
func (t *track) hdlr(body []byte) {
	if len(body) < 12 {
		return
	}
	if kind := string(body[8:12]); kind == "vide" || kind == "soun" {
		t.handler = kind
	}
}

// stsd has the stored size of pictures, which tkhd may have scaled.
func (t *track) stsd(body []byte) {
	const entry, size = 8, 8 + 32
	if t.handler != "vide" || len(body) < size+4 {
		return
	}
	if w, h := int(binary.BigEndian.Uint16(body[size:])), int(binary.BigEndian.Uint16(body[size+2:])); w > 0 && h > 0 {
		t.width, t.height = w, h
	}
}

func (b *boxes) track(id uint32) *track {
	for _, t := range b.tracks {
		if t.id == id {
			return t
		}
	}
	return nil
}

func (b *boxes) trex(body []byte) {
	if len(body) < 16 {
		return
	}
	if t := b.track(binary.BigEndian.Uint32(body[4:])); t != nil {
		t.perTrack = binary.BigEndian.Uint32(body[12:])
	}
}

func (b *boxes) tfhd(body []byte) {
	if len(body) < 8 {
		return
	}
	if b.fragment = b.track(binary.BigEndian.Uint32(body[4:])); b.fragment == nil {
		return
	}
	b.perMoof = b.fragment.perTrack
	flags, at := binary.BigEndian.Uint32(body), 8
	if flags&1 != 0 { // base data offset
		at += 8
	}
	if flags&2 != 0 { // sample description
		at += 4
	}
	if flags&8 != 0 && len(body) >= at+4 {
		b.perMoof = binary.BigEndian.Uint32(body[at:])
	}
}

func (b *boxes) tfdt(body []byte) {
	switch t := b.fragment; {
	case t == nil:
	case len(body) >= 12 && body[0] == 1:
		t.end = binary.BigEndian.Uint64(body[4:])
	case len(body) >= 8:
		t.end = uint64(binary.BigEndian.Uint32(body[4:]))
	}
}

func (b *boxes) trun(body []byte) {
	t := b.fragment
	if t == nil || len(body) < 8 {
		return
	}
	flags, count, at := binary.BigEndian.Uint32(body), uint64(binary.BigEndian.Uint32(body[4:])), 8
	if flags&0x100 == 0 { // samples have no duration of their own
		t.end += count * uint64(b.perMoof)
		return
	}
	for _, field := range []uint32{1, 4} { // data offset, first sample's flags
		if flags&field != 0 {
			at += 4
		}
	}
	stride := 0
	for _, field := range []uint32{0x100, 0x200, 0x400, 0x800} { // duration, which comes first; size; flags; offset
		if flags&field != 0 {
			stride += 4
		}
	}
	for ; count > 0 && at+stride <= len(body); count, at = count-1, at+stride {
		t.end += uint64(binary.BigEndian.Uint32(body[at:]))
	}
}

// ispe is the size of a picture or of one of its tiles; the largest is the picture's.
func (b *boxes) ispe(body []byte) {
	if len(body) < 12 {
		return
	}
	f, ok := sized(int(binary.BigEndian.Uint32(body[4:])), int(binary.BigEndian.Uint32(body[8:])))
	if ok && f.Width*f.Height > b.width*b.height {
		b.width, b.height = f.Width, f.Height
	}
}

func (b *boxes) facts() pipeline.Facts {
	if b.picture {
		return pipeline.Facts{Width: b.width, Height: b.height}
	}
	f := pipeline.Facts{Duration: plausible(b.movie.seconds())}
	video, sound, longest := false, false, 0.0
	for _, t := range b.tracks {
		length := t.clock
		if length.duration == 0 {
			length.duration = t.end
		}
		longest = max(longest, length.seconds())
		switch t.handler {
		case "soun":
			sound = sound || length.duration > 0 // a track without samples is silence
		case "vide":
			if !video {
				f.Width, f.Height = t.width, t.height
				if t.turned {
					f.Width, f.Height = t.height, t.width
				}
			}
			video = true
		}
	}
	if f.Duration == 0 {
		f.Duration = plausible(longest)
	}
	if video {
		f.Audio = &sound
	}
	return f
}
