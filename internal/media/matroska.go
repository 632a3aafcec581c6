package media

import (
	"encoding/binary"
	"math"
	"math/bits"

	"dailies/pipeline"
)

// matroska is the probe of WebM and Matroska. A recording that was never finished says no duration; it is then
// taken from the last block.
type matroska struct {
	walker
	scale         uint64  // nanoseconds a unit
	duration      float64 // units; 0 when not said
	cluster       uint64  // time of the cluster being read, in units
	last          uint64  // of the latest block
	video, sound  bool
	width, height int
}

// Element ids, with their length marker. Those that hold others are entered: what is in them is met next.
const (
	idSegment     = 0x18538067
	idInfo        = 0x1549a966
	idScale       = 0x2ad7b1
	idDuration    = 0x4489
	idTracks      = 0x1654ae6b
	idTrackEntry  = 0xae
	idTrackType   = 0x83
	idVideo       = 0xe0
	idPixelWidth  = 0xb0
	idPixelHeight = 0xba
	idCluster     = 0x1f43b675
	idTimestamp   = 0xe7
	idSimpleBlock = 0xa3
	idBlockGroup  = 0xa0
	idBlock       = 0xa1
)

// ebmlHeader is the longest an element's id and size can be.
const ebmlHeader = 4 + 8

func newMatroska() *matroska {
	m := &matroska{scale: 1e6}
	m.walker = walker{step: m.element, want: 2}
	return m
}

// element is the step at the beginning of an element. It asks for more when the header is longer than what it sees.
func (m *matroska) element(b []byte) (int64, int) {
	idLen := bits.LeadingZeros8(b[0]) + 1
	if idLen > 4 {
		return 0, 0
	}
	if len(b) < idLen+1 {
		return 0, idLen + 1
	}
	sizeLen := bits.LeadingZeros8(b[idLen]) + 1
	if sizeLen > 8 {
		return 0, 0
	}
	header := idLen + sizeLen
	if len(b) < header {
		return 0, header
	}
	id, size := number(b[:idLen]), number(b[idLen:header])
	unknown := size == 1<<(7*sizeLen+1)-1 // every bit set, the marker too
	size &^= 1 << (7 * sizeLen)
	switch id {
	case idSegment, idInfo, idTracks, idTrackEntry, idVideo, idCluster, idBlockGroup:
		return int64(header), 2
	}
	if unknown || size > math.MaxInt64-ebmlHeader {
		return 0, 0
	}
	whole := int64(header) + int64(size)
	shown := 8
	switch id {
	case idScale, idDuration, idTrackType, idPixelWidth, idPixelHeight, idTimestamp:
		if size > 8 {
			return whole, 2
		}
	case idSimpleBlock, idBlock:
		shown = 12 // track number and time
	default:
		return whole, 2
	}
	shown = int(min(int64(shown), int64(size)))
	if shown == 0 {
		return whole, 2
	}
	if len(b) < header+shown {
		return 0, header + shown
	}
	m.value(id, b[header:header+shown])
	return whole, 2
}

func (m *matroska) value(id uint64, b []byte) {
	v := number(b)
	switch id {
	case idScale:
		m.scale = v
	case idDuration:
		switch len(b) {
		case 4:
			m.duration = float64(math.Float32frombits(uint32(v)))
		case 8:
			m.duration = math.Float64frombits(v)
		}
	case idTrackType:
		m.video = m.video || v == 1
		m.sound = m.sound || v == 2
	case idPixelWidth:
		if m.width == 0 && v <= maxSide {
			m.width = int(v)
		}
	case idPixelHeight:
		if m.height == 0 && v <= maxSide {
			m.height = int(v)
		}
	case idTimestamp:
		m.cluster = v
	case idSimpleBlock, idBlock:
		at := bits.LeadingZeros8(b[0]) + 1
		if len(b) >= at+2 {
			if t := int64(m.cluster) + int64(int16(binary.BigEndian.Uint16(b[at:]))); t > 0 {
				m.last = max(m.last, uint64(t))
			}
		}
	}
}

func number(b []byte) (v uint64) {
	for _, c := range b {
		v = v<<8 | uint64(c)
	}
	return v
}

func (m *matroska) facts() pipeline.Facts {
	units := m.duration
	if !(units > 0) { // also when it is no number
		units = float64(m.last)
	}
	f := pipeline.Facts{Width: m.width, Height: m.height, Duration: plausible(units * float64(m.scale) / 1e9)}
	if m.video {
		f.Audio = new(m.sound)
	}
	return f
}

// plausible is a duration in seconds; what is longer than a year, or no number, is damage.
func plausible(seconds float64) float64 {
	if seconds > 0 && seconds < 366*24*3600 {
		return seconds
	}
	return 0
}
