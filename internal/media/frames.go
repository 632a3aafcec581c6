package media

import (
	"encoding/binary"

	"dailies/pipeline"
)

// A frame is one piece of a stream that has no table of contents.
type frame struct {
	length  int     // bytes, header included
	seconds float64 // it plays
	// An information frame plays nothing; it says how many frames follow, 0 when it does not.
	info  bool
	count uint32
}

// frames is the probe of MP3 and AAC streams. It goes from frame to frame and adds up what they play, which is right
// for constant and variable rates alike; an MP3 that says how many frames it has is believed.
type frames struct {
	walker
	read     func(b []byte) (frame, bool) // b is at least frameHead bytes
	frame    frame                        // the last one
	seconds  float64
	promised uint32
	lost     int // bytes passed over in search of a frame since the last one
}

// frameHead is enough to find an MP3's information frame: header, side information, "Xing", flags, count.
const frameHead = 64

// maxLost bounds the search for a frame in what is no longer sound.
const maxLost = 64 << 10

func newFrames(read func([]byte) (frame, bool)) *frames {
	f := &frames{read: read}
	f.walker = walker{step: f.next, want: frameHead}
	return f
}

func (f *frames) next(b []byte) (int64, int) {
	if string(b[:3]) == "ID3" {
		return id3Size(b), frameHead
	}
	fr, ok := f.read(b)
	switch {
	case ok && fr.info:
		f.promised = fr.count
	case ok:
		f.seconds, f.frame = f.seconds+fr.seconds, fr
	case f.lost >= maxLost:
		return 0, 0
	default:
		f.lost++
		return 1, frameHead
	}
	f.lost = 0
	return int64(fr.length), frameHead
}

func (f *frames) facts() pipeline.Facts {
	seconds := f.seconds
	// The last frames may be too short to be shown.
	for rest := f.held; len(rest) > 0 && len(rest) < frameHead; {
		var b [frameHead]byte
		copy(b[:], rest)
		fr, ok := f.read(b[:])
		if !ok || fr.info || fr.length > len(rest) {
			break
		}
		seconds, rest = seconds+fr.seconds, rest[fr.length:]
	}
	if f.promised > 0 {
		seconds = float64(f.promised) * f.frame.seconds
	}
	return pipeline.Facts{Duration: plausible(seconds)}
}

// id3Size is the length of a tag before the sound; its digits have seven bits.
func id3Size(b []byte) int64 {
	size := int64(b[6]&0x7f)<<21 | int64(b[7]&0x7f)<<14 | int64(b[8]&0x7f)<<7 | int64(b[9]&0x7f)
	if b[5]&0x10 != 0 { // footer
		size += 10
	}
	return size + 10
}

var (
	mp3Rates = [4]int{44100, 48000, 32000, 0}
	// Layer III in kbit/s: version 1, then 2 and 2.5.
	mp3Bits = [2][16]int{
		{0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0},
		{0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0},
	}
)

// mp3Frame reads an MPEG audio header; of the three layers only the third.
func mp3Frame(b []byte) (frame, bool) {
	if b[0] != 0xff || b[1]&0xe6 != 0xe2 {
		return frame{}, false
	}
	version := b[1] >> 3 & 3 // 0: 2.5, 2: 2, 3: 1
	rate := mp3Rates[b[2]>>2&3]
	kbits, samples, side := mp3Bits[0][b[2]>>4], 1152, 32
	mono := b[3]>>6 == 3
	switch version {
	case 1:
		return frame{}, false
	case 0:
		rate /= 4
	case 2:
		rate /= 2
	}
	if version != 3 {
		kbits, samples, side = mp3Bits[1][b[2]>>4], 576, 17
	}
	if mono {
		side = map[int]int{32: 17, 17: 9}[side]
	}
	if rate == 0 || kbits == 0 {
		return frame{}, false
	}
	padding := int(b[2] >> 1 & 1)
	fr := frame{length: samples/8*kbits*1000/rate + padding, seconds: float64(samples) / float64(rate)}
	if at := 4 + side; string(b[at:at+4]) == "Xing" || string(b[at:at+4]) == "Info" {
		fr.info = true
		if b[at+7]&1 != 0 {
			fr.count = binary.BigEndian.Uint32(b[at+8:])
		}
	} else if string(b[36:40]) == "VBRI" {
		fr.info, fr.count = true, binary.BigEndian.Uint32(b[50:])
	}
	return fr, true
}

var aacRates = [16]int{96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350}

// adtsFrame reads an AAC frame's ADTS header.
func adtsFrame(b []byte) (frame, bool) {
	if b[0] != 0xff || b[1]&0xf6 != 0xf0 {
		return frame{}, false
	}
	rate := aacRates[b[2]>>2&15]
	length := int(b[3]&3)<<11 | int(b[4])<<3 | int(b[5])>>5
	if rate == 0 || length < 7 {
		return frame{}, false
	}
	blocks := int(b[6]&3) + 1
	return frame{length: length, seconds: float64(1024*blocks) / float64(rate)}, true
}
