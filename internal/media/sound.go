package media

import (
	"bytes"
	"encoding/binary"

	"dailies/pipeline"
)

// wav is the probe of RIFF sound: its size over its byte rate. What a recorder that streams leaves in the size of
// the data (nothing, or all ones) is not believed beyond what came.
type wav struct {
	walker
	total   int64
	coding  uint16  // 1 is whole numbers, 3 fractions
	bits    uint16  // a sample
	rate    uint32  // bytes a second
	samples uint32  // a second, where the sound is compressed and the byte rate but an average
	fact    float64 // seconds, as such a file says; 0: it does not
	data    int64   // as claimed
	start   int64   // of the data; 0: not reached
	at      int64   // of the chunk being read
}

func newWAV() *wav {
	w := new(wav)
	w.walker = walker{step: w.riff, want: 12}
	return w
}

func (w *wav) Write(p []byte) (int, error) {
	w.total += int64(len(p))
	return w.walker.Write(p)
}

func (w *wav) riff([]byte) (int64, int) {
	w.step, w.at = w.chunk, 12
	return 12, 8
}

func (w *wav) chunk(b []byte) (int64, int) {
	size := int64(binary.LittleEndian.Uint32(b[4:]))
	switch string(b[:4]) {
	case "fmt ":
		if want := 8 + int(min(size, 26)); len(b) < want && size >= 12 {
			return 0, want
		}
		if len(b) >= 20 {
			w.rate = binary.LittleEndian.Uint32(b[16:])
			w.coding = binary.LittleEndian.Uint16(b[8:])
			if len(b) >= 24 {
				w.bits = binary.LittleEndian.Uint16(b[22:])
			}
			if len(b) >= 34 && w.coding == 0xfffe { // what is meant comes later
				w.coding = binary.LittleEndian.Uint16(b[32:])
			}
			switch binary.LittleEndian.Uint16(b[8:]) {
			case 1, 3, 0xfffe: // plain samples: the byte rate is exact
			default:
				w.samples = binary.LittleEndian.Uint32(b[12:])
			}
		}
	case "fact":
		if len(b) < 12 && size >= 4 {
			return 0, 12
		}
		if len(b) >= 12 && w.samples > 0 {
			w.fact = float64(binary.LittleEndian.Uint32(b[8:])) / float64(w.samples)
		}
	case "data":
		w.start, w.data = w.at+8, size
		return 0, 0
	}
	size += 8 + size&1
	w.at += size
	return size, 8
}

func (w *wav) facts() pipeline.Facts {
	if w.start == 0 || w.rate == 0 {
		return pipeline.Facts{}
	}
	if w.fact > 0 {
		return pipeline.Facts{Duration: plausible(w.fact)}
	}
	length := w.total - w.start
	if w.data > 0 {
		length = min(length, w.data)
	}
	return pipeline.Facts{Duration: plausible(float64(length) / float64(w.rate))}
}

// flacFacts reads STREAMINFO, which is always the first block.
func flacFacts(b []byte) (pipeline.Facts, bool) {
	if len(b) < 26 || string(b[:4]) != "fLaC" || b[4]&0x7f != 0 {
		return pipeline.Facts{}, false
	}
	packed := binary.BigEndian.Uint64(b[18:]) // 20 bits rate, 3 channels, 5 depth, 36 samples
	rate, samples := packed>>44, packed&(1<<36-1)
	if rate == 0 {
		return pipeline.Facts{}, false
	}
	return pipeline.Facts{Duration: plausible(float64(samples) / float64(rate))}, true
}

// ogg is the probe of Ogg: the last position of its first sound stream.
type ogg struct {
	walker
	known  bool // the stream is found
	serial uint32
	rate   float64 // positions a second
	skip   int64   // positions before the sound begins
	last   int64
}

const oggHeader = 27

func newOgg() *ogg {
	o := new(ogg)
	o.walker = walker{step: o.page, want: oggHeader}
	return o
}

// page is the step at the beginning of a page: header, the lengths of its segments, and, on a first page, what codec
// it is of.
func (o *ogg) page(b []byte) (int64, int) {
	if string(b[:4]) != "OggS" {
		return 0, 0
	}
	header := oggHeader + int(b[26])
	if len(b) < header {
		return 0, header
	}
	body := 0
	for _, n := range b[oggHeader:header] {
		body += int(n)
	}
	position, serial := int64(binary.LittleEndian.Uint64(b[6:])), binary.LittleEndian.Uint32(b[14:])
	if b[5]&2 != 0 && !o.known { // the beginning of a stream
		if shown := header + min(body, 64); len(b) < shown {
			return 0, shown
		}
		o.codec(b[header:], serial)
	}
	if o.known && serial == o.serial {
		o.last = max(o.last, position)
	}
	return int64(header + body), oggHeader
}

func (o *ogg) codec(b []byte, serial uint32) {
	switch {
	case bytes.HasPrefix(b, []byte("OpusHead")) && len(b) >= 12:
		o.rate, o.skip = 48000, int64(binary.LittleEndian.Uint16(b[10:]))
	case bytes.HasPrefix(b, []byte("\x01vorbis")) && len(b) >= 16:
		o.rate = float64(binary.LittleEndian.Uint32(b[12:]))
	case bytes.HasPrefix(b, []byte("\x7fFLAC")) && len(b) >= 31:
		o.rate = float64(binary.BigEndian.Uint32(b[27:]) >> 12)
	default:
		return
	}
	o.known, o.serial = true, serial
}

func (o *ogg) facts() pipeline.Facts {
	if o.rate == 0 {
		return pipeline.Facts{}
	}
	return pipeline.Facts{Duration: plausible(float64(o.last-o.skip) / o.rate)}
}
