package media

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"io"
	"math"

	"dailies/pipeline"
)

// Bounds on what is unpacked; of larger files a closer look tells no more than the first.
const (
	maxPacked = 64 << 20 // bytes of a picture's file
	maxPixels = 34 << 20 // of a picture: an 8K frame has 33 million
)

// Examine implements pipeline.Inspector. Pictures (PNG, JPEG, WebP, GIF, BMP) are unpacked for whether they are blank
// and have transparent parts; WAV is listened to. Sound in other forms, and the pictures of a video, are compressed in
// ways this program does not undo: of those it tells what Inspect tells.
func (Inspector) Examine(mime string) (w io.Writer, facts func() pipeline.Facts) {
	switch p := probeFor(mime).(type) {
	case *wav:
		l := &listener{wav: p}
		return l, l.facts
	case *head:
		switch mime {
		case "image/png", "image/jpeg", "image/webp", "image/gif", "image/bmp":
			v := &viewer{head: p}
			return v, v.facts
		}
		return p, p.facts
	default:
		return p, p.facts
	}
}

// A viewer keeps a picture's file and unpacks it when its facts are asked for.
type viewer struct {
	*head
	packed []byte
	over   bool
}

func (v *viewer) Write(p []byte) (int, error) {
	if v.over = v.over || len(v.packed)+len(p) > maxPacked; v.over {
		v.packed = nil
	} else {
		v.packed = append(v.packed, p...)
	}
	return v.head.Write(p)
}

func (v *viewer) facts() pipeline.Facts {
	f := v.head.facts()
	if v.over || int64(f.Width)*int64(f.Height) > maxPixels || f.Width == 0 {
		return f
	}
	if img := unpack(v.packed); img != nil {
		f.Blank, f.Alpha = look(img)
	}
	v.packed, v.over = nil, true
	return f
}

// unpack decodes a picture; nil when it is broken. A file that makes a decoder panic is broken too.
func unpack(b []byte) (img image.Image) {
	defer func() {
		if recover() != nil {
			img = nil
		}
	}()
	img, _, err := image.Decode(bytes.NewReader(b))
	if err != nil {
		return nil
	}
	return img
}

// alike is how far the colours of a blank picture may be apart, of 65535: compression leaves traces.
const alike = 65535 / 50

// look goes over a picture until both questions are answered. A picture that is nowhere to be seen is blank.
func look(img image.Image) (blank, alpha *bool) {
	blank, alpha = new(true), new(false)
	b := img.Bounds()
	opaque, ok := img.(interface{ Opaque() bool })
	mayHide := !ok || !opaque.Opaque()
	var first [4]uint32
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			c := pixel(img.At(x, y))
			if x == b.Min.X && y == b.Min.Y {
				first = c
			}
			if *blank && apart(first, c) {
				*blank = false
			}
			if mayHide && c[3] < 0xffff {
				*alpha, mayHide = true, false
			}
			if !*blank && !mayHide {
				return blank, alpha
			}
		}
	}
	return blank, alpha
}

func pixel(c color.Color) [4]uint32 {
	r, g, b, a := c.RGBA()
	return [4]uint32{r, g, b, a}
}

func apart(a, b [4]uint32) bool {
	for i := range a {
		if max(a[i], b[i])-min(a[i], b[i]) > alike {
			return true
		}
	}
	return false
}

// faint is what nobody hears: 60 decibels below full scale.
const faint = 0.001

// A listener is a wav that listens to plain samples until it hears something.
type listener struct {
	*wav
	at    int64  // bytes gone by
	rest  []byte // of a sample that is not whole yet
	heard bool
	any   bool
}

func (l *listener) Write(p []byte) (int, error) {
	from := l.at
	l.at += int64(len(p))
	n, err := l.wav.Write(p)
	if l.heard || l.start == 0 {
		return n, err
	}
	end := l.at
	if l.data > 0 {
		end = min(end, l.start+l.data)
	}
	if begin := max(from, l.start); begin < end {
		l.listen(p[begin-from : end-from])
	}
	return n, err
}

// listen takes a run of samples.
func (l *listener) listen(b []byte) {
	size := int(l.bits) / 8
	if l.coding != 1 && l.coding != 3 || size < 1 || size > 8 {
		return
	}
	if len(l.rest) > 0 {
		k := min(size-len(l.rest), len(b))
		l.rest = append(l.rest, b[:k]...)
		b = b[k:]
		if len(l.rest) < size {
			return
		}
		l.hear(l.rest)
		l.rest = l.rest[:0]
	}
	for len(b) >= size && !l.heard {
		l.hear(b[:size])
		b = b[size:]
	}
	if !l.heard {
		l.rest = append(l.rest, b...)
	}
}

func (l *listener) hear(sample []byte) {
	v, ok := loudness(l.coding, sample)
	l.any = l.any || ok
	l.heard = l.heard || ok && v > faint
}

// loudness is how far a little-endian sample is from silence, 0 to 1. Whole numbers of 8 bits have no sign.
func loudness(coding uint16, b []byte) (float64, bool) {
	switch {
	case coding == 3 && len(b) == 4:
		return math.Abs(float64(math.Float32frombits(binary.LittleEndian.Uint32(b)))), true
	case coding == 3 && len(b) == 8:
		return math.Abs(math.Float64frombits(binary.LittleEndian.Uint64(b))), true
	case coding == 3 || len(b) > 4:
		return 0, false
	case len(b) == 1:
		return math.Abs(float64(b[0])-128) / 128, true
	}
	var wide [4]byte
	copy(wide[4-len(b):], b)
	return math.Abs(float64(int32(binary.LittleEndian.Uint32(wide[:])))) / (1 << 31), true
}

func (l *listener) facts() pipeline.Facts {
	f := l.wav.facts()
	if l.any {
		f.Silent = new(!l.heard)
	}
	return f
}
