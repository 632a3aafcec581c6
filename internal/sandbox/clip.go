package sandbox

import (
	"encoding/binary"
	"fmt"
	"math"
)

// base is how long the embedded clip is that a clip of some length is made of.
func base(seconds float64) float64 {
	if seconds >= 4 {
		return 4
	}
	return 2
}

// clip is an embedded clip, played slower or faster to be as long as was asked for, with its asset's id in a box that
// players skip, so that no two are the same.
func clip(o *output, mark string) ([]byte, error) {
	sound := "silent"
	if o.Sound {
		sound = "sound"
	}
	shape, has := clipShape(float64(o.W)/float64(o.H)), base(o.Seconds)
	b, err := clips.ReadFile(fmt.Sprintf("media/%s-%.0fs-%s.mp4", shape.name, has, sound))
	if err != nil {
		return nil, err
	}
	if o.Seconds != has {
		pace(b, o.Seconds, has)
	}
	note := simulated(mark)
	b = binary.BigEndian.AppendUint32(b, uint32(8+len(note)))
	b = append(b, "free"...)
	return append(b, note...), nil
}

// pace makes a clip of one length last another, in place: the clock of its pictures ticks otherwise. Its sound keeps its
// pitch, and ends with it or before it. The boxes are those of the embedded clips, all of version 0.
func pace(b []byte, seconds, has float64) {
	u32 := func(at int) uint32 { return binary.BigEndian.Uint32(b[at:]) }
	put := func(at int, v float64) { binary.BigEndian.PutUint32(b[at:], uint32(math.Round(v))) }
	var movie float64 // units a second of the film's own clock
	var walk func(from, to int, video bool)
	walk = func(from, to int, video bool) {
		for size := 0; from+8 <= to; from += size {
			size = max(8, int(u32(from)))
			lasts := seconds
			if !video {
				lasts = min(seconds, has)
			}
			switch name := string(b[from+4 : from+8]); name {
			case "trak":
				walk(from+8, from+size, isVideo(b[from:from+size]))
			case "moov", "edts", "mdia":
				walk(from+8, from+size, video)
			case "mvhd":
				movie = float64(u32(from + 20))
				put(from+24, seconds*movie)
			case "tkhd":
				put(from+28, lasts*movie)
			case "elst":
				put(from+16, lasts*movie)
			case "mdhd":
				if video {
					put(from+20, float64(u32(from+20))*has/seconds)
				}
			}
		}
	}
	walk(0, len(b), true)
}

// isVideo reports whether a track is of pictures: its handler says so.
func isVideo(trak []byte) bool {
	for i := 0; i+20 <= len(trak); i++ {
		if string(trak[i:i+4]) == "hdlr" {
			return string(trak[i+12:i+16]) == "vide"
		}
	}
	return false
}
