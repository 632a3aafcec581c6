package sandbox

import (
	"bytes"
	"container/list"
	"embed"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"sync"

	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/sfnt"
)

//go:generate sh media/make.sh

//go:embed media/*.mp4 media/*.webp
var clips embed.FS

// A form is a kind of file the sandbox makes.
type form string

const (
	png  form = "png"
	jpg  form = "jpeg"
	webp form = "webp"
	mp4  form = "mp4"
	wav  form = "wav"
	glb  form = "glb"
	txt  form = "text"
)

func (f form) mime() string {
	switch f {
	case mp4:
		return "video/mp4"
	case wav:
		return "audio/wav"
	case glb:
		return "model/gltf-binary"
	case txt:
		return "text/plain"
	}
	return "image/" + string(f)
}

func (f form) kind() string {
	switch f {
	case mp4:
		return "video"
	case wav:
		return "audio"
	case glb:
		return "3d"
	case txt:
		return "text"
	}
	return "image"
}

const (
	clipRate   = 24    // frames a second of the embedded clips
	sampleRate = 24000 // of the sounds made here
	longSide   = 640   // pixels of the pictures made here
)

// outputs decides what files a job makes.
func (s *Server) outputs(model *contract, v values, thumbnailFirst bool) []output {
	if s.o.AssetBytes != nil {
		if n := s.o.AssetBytes(model.ID); n > 0 {
			return []output{{ID: newID("asset_"), Form: formOf(model), Bytes: n}}
		}
	}
	var outs []output
	add := func(o output) {
		o.ID = newID("asset_")
		outs = append(outs, o)
	}
	if thumbnailFirst || model.makes == "3d" { // [CODE] 3D models list a thumbnail before the mesh
		add(output{Form: webp, W: 256, H: 256})
	}
	f := formOf(model)
	switch f {
	case mp4:
		shape := clipShape(aspect(v))
		seconds := 2.0
		if n, ok := v.number("duration"); ok && n > 0 {
			seconds = min(max(1, n), 60)
		}
		add(output{Form: f, W: shape.w, H: shape.h, Seconds: seconds, Sound: v.flag("generateAudio") || v.flag("keepAudio")})
	case wav:
		seconds := 4.0
		for _, name := range []string{"duration", "durationSeconds"} {
			if n, ok := v.number(name); ok && n > 0 {
				seconds = min(max(0.5, n), 30)
			}
		}
		add(output{Form: f, Seconds: seconds})
	case glb:
		add(output{Form: glb})
		add(output{Form: png, W: 256, H: 256}) // its texture
	case txt:
		add(output{Form: txt})
	default:
		w, h := fit(aspect(v))
		for range outputsAsked(v) {
			add(output{Form: f, W: w, H: h})
		}
	}
	return outs
}

// formOf is what a model's files are. Some image models answer with JPEG whatever is asked for. [SEEN]
func formOf(model *contract) form {
	switch model.makes {
	case "video":
		return mp4
	case "audio":
		return wav
	case "3d":
		return glb
	case "text":
		return txt
	}
	for _, name := range []string{"p-image", "seedream", "flux-1"} {
		if strings.Contains(model.ID, name) {
			return jpg
		}
	}
	return png
}

// aspect reads the shape asked for, width over height.
func aspect(v values) float64 {
	w, ok1 := v.number("width")
	h, ok2 := v.number("height")
	if ok1 && ok2 && w > 0 && h > 0 {
		return min(max(w/h, 0.25), 4)
	}
	for _, name := range []string{"aspectRatio", "imageSize", "size"} {
		var w, h float64
		shape := strings.NewReplacer("x", ":", "*", ":").Replace(v.text(name))
		if n, _ := fmt.Sscanf(shape, "%f:%f", &w, &h); n == 2 && w > 0 && h > 0 {
			return min(max(w/h, 0.25), 4)
		}
	}
	if v.has("aspectRatio") || v.of("aspectRatio") != nil {
		return 16.0 / 9 // "auto", "adaptive"
	}
	return 1
}

func fit(aspect float64) (w, h int) {
	even := func(f float64) int { return max(2, int(math.Round(f/2))*2) }
	if aspect >= 1 {
		return longSide, even(longSide / aspect)
	}
	return even(longSide * aspect), longSide
}

type shape struct {
	name string
	w, h int
}

// clipShape is the embedded clip's nearest to an aspect.
func clipShape(aspect float64) shape {
	best := shape{}
	for _, s := range []shape{{"16x9", 640, 360}, {"9x16", 360, 640}, {"1x1", 480, 480}} {
		if best.w == 0 || off(s, aspect) < off(best, aspect) {
			best = s
		}
	}
	return best
}

func off(s shape, aspect float64) float64 {
	return math.Abs(math.Log(float64(s.w) / float64(s.h) / aspect))
}

// A studio makes media, and remembers the last of it: a file is asked for its size, then for its bytes.
type studio struct {
	regular, bold *sfnt.Font

	mu     sync.Mutex
	recent list.List // of *print, latest first
	byID   map[string]*list.Element
	held   int
}

type print struct {
	id    string
	bytes []byte
}

const studioHolds = 32 << 20 // bytes

func newStudio() (*studio, error) {
	regular, err := sfnt.Parse(goregular.TTF)
	if err != nil {
		return nil, fmt.Errorf("sandbox: font: %w", err)
	}
	bold, err := sfnt.Parse(gobold.TTF)
	if err != nil {
		return nil, fmt.Errorf("sandbox: font: %w", err)
	}
	return &studio{regular: regular, bold: bold, byID: map[string]*list.Element{}}, nil
}

// make gives the bytes of an output: the same ones every time. They must not be changed.
func (st *studio) make(a *asset) ([]byte, error) {
	return st.remember(a.id(), func() ([]byte, error) {
		o, j := a.output(), a.job
		mark := o.ID
		switch o.Form {
		case mp4:
			return clip(o, mark)
		case wav:
			return sound(j.prompt(), o.Seconds, mark), nil
		case glb:
			return mesh(j.seed, mark)
		case webp:
			return thumbnailWebP(mark)
		case txt:
			return []byte(j.prompt()), nil
		}
		return st.picture(a)
	})
}

func (st *studio) thumbnail(a *asset) ([]byte, error) {
	return st.remember("thumbnail "+a.id(), func() ([]byte, error) { return st.poster(a) })
}

func (st *studio) remember(id string, make func() ([]byte, error)) ([]byte, error) {
	st.mu.Lock()
	if e := st.byID[id]; e != nil {
		st.recent.MoveToFront(e)
		st.mu.Unlock()
		return e.Value.(*print).bytes, nil
	}
	st.mu.Unlock()
	b, err := make()
	if err != nil {
		return nil, err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.byID[id] != nil {
		return b, nil
	}
	st.byID[id] = st.recent.PushFront(&print{id, b})
	st.held += len(b)
	for st.held > studioHolds {
		old := st.recent.Remove(st.recent.Back()).(*print)
		delete(st.byID, old.id)
		st.held -= len(old.bytes)
	}
	return b, nil
}

// simulated is what every file says of itself.
func simulated(mark string) string { return "SIMULATED by dailies sandbox: " + mark }

// thumbnailWebP is the embedded thumbnail in the extended form of WebP, with a note in a chunk that readers skip.
func thumbnailWebP(mark string) ([]byte, error) {
	simple, err := clips.ReadFile("media/thumbnail.webp")
	if err != nil {
		return nil, err
	}
	chunk := func(b []byte, name string, data []byte) []byte {
		b = append(b, name...)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(data)))
		b = append(b, data...)
		if len(data)%2 == 1 {
			b = append(b, 0)
		}
		return b
	}
	var size [10]byte // flags, reserved, and the canvas less one in 24 bits each
	size[4], size[7] = 255, 255
	body := chunk([]byte("WEBP"), "VP8X", size[:])
	body = append(body, simple[12:]...)
	body = chunk(body, "NOTE", []byte(simulated(mark)))
	return chunk(nil, "RIFF", body), nil
}

// sound is a little melody of its own for every prompt, over a soft chord, as 16-bit mono WAV.
func sound(prompt string, seconds float64, mark string) []byte {
	seed := hash64("melody", prompt)
	scale := []float64{0, 2, 4, 7, 9, 12, 14, 16} // a pentatonic: whatever is drawn from it sounds well
	root := 196 * math.Pow(2, float64(seed%7)/12)
	n := int(seconds * sampleRate)
	const beat = sampleRate / 3
	samples := make([]byte, 0, 2*n)
	for i := range n {
		t := float64(i) / sampleRate
		var v float64
		for _, step := range []float64{0, 7, 16} { // the chord
			v += 0.06 * math.Sin(2*math.Pi*root*math.Pow(2, step/12)*t)
		}
		note := i / beat
		since := float64(i%beat) / sampleRate
		pitch := 2 * root * math.Pow(2, scale[(seed>>(3*(note%20)))%8]/12)
		v += 0.30 * math.Exp(-5*since) * min(1, since*200) * (math.Sin(2*math.Pi*pitch*since) + 0.3*math.Sin(4*math.Pi*pitch*since))
		v *= min(1, t*20, (seconds-t)*4) // no clicks at either end
		samples = binary.LittleEndian.AppendUint16(samples, uint16(int16(v*math.MaxInt16)))
	}
	return wave(samples, mark)
}

func wave(samples []byte, mark string) []byte {
	note := simulated(mark)
	note += strings.Repeat("\x00", 2-len(note)%2) // ends in a zero, at an even place
	var b bytes.Buffer
	le := func(v any) { _ = binary.Write(&b, binary.LittleEndian, v) } // a Buffer does not fail
	b.WriteString("RIFF")
	le(uint32(4 + 24 + 8 + len(samples) + 8 + 4 + 8 + len(note)))
	b.WriteString("WAVEfmt ")
	le([]uint32{16})
	le([]uint16{1, 1}) // PCM, one channel
	le([]uint32{sampleRate, sampleRate * 2})
	le([]uint16{2, 16})
	b.WriteString("data")
	le(uint32(len(samples)))
	b.Write(samples)
	b.WriteString("LIST")
	le(uint32(4 + 8 + len(note)))
	b.WriteString("INFOICMT")
	le(uint32(len(note)))
	b.WriteString(note)
	return b.Bytes()
}
