package media

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"math"
	"os"
	"testing"

	"dailies/pipeline"
)

// examined gives a file to a closer look, in pieces of some size.
func examined(mime string, file []byte, piece int) pipeline.Facts {
	w, facts := Inspector{}.Examine(mime)
	for len(file) > 0 {
		n := min(piece, len(file))
		w.Write(file[:n])
		file = file[n:]
	}
	return facts()
}

func word(is *bool) string {
	if is == nil {
		return "?"
	}
	return map[bool]string{true: "yes", false: "no"}[*is]
}

// painted is a picture of one colour, but for the pixels that paint changes.
func painted(c color.Color, paint func(*image.NRGBA)) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, 40, 30))
	for y := range 30 {
		for x := range 40 {
			img.Set(x, y, c)
		}
	}
	if paint != nil {
		paint(img)
	}
	return img
}

func encoded(t *testing.T, encode func(*bytes.Buffer) error) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := encode(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestPictures(t *testing.T) {
	black, clear := color.NRGBA{A: 255}, color.NRGBA{}
	dot := func(c color.NRGBA) func(*image.NRGBA) { return func(img *image.NRGBA) { img.SetNRGBA(39, 29, c) } }
	pngOf := func(img image.Image) []byte {
		return encoded(t, func(b *bytes.Buffer) error { return png.Encode(b, img) })
	}
	read := func(name string) []byte {
		b, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	noisy := painted(color.NRGBA{120, 120, 120, 255}, dot(color.NRGBA{122, 119, 121, 255}))
	for _, tt := range []struct {
		name, mime   string
		file         []byte
		blank, alpha string
	}{
		{"black", "image/png", pngOf(painted(black, nil)), "yes", "no"},
		{"a dot in the last corner", "image/png", pngOf(painted(black, dot(color.NRGBA{255, 0, 0, 255}))), "no", "no"},
		{"traces of compression", "image/png", pngOf(noisy), "yes", "no"},
		{"jpeg", "image/jpeg", encoded(t, func(b *bytes.Buffer) error { return jpeg.Encode(b, noisy, nil) }), "yes", "no"},
		{"gif", "image/gif", encoded(t, func(b *bytes.Buffer) error { return gif.Encode(b, painted(black, nil), nil) }), "yes", "no"},
		{"not to be seen", "image/png", pngOf(painted(clear, nil)), "yes", "yes"},
		{"a hole in the last corner", "image/png", pngOf(painted(black, dot(clear))), "no", "yes"},
		{"transparent, but of one colour where it is seen", "image/png", pngOf(painted(color.NRGBA{0, 0, 0, 128}, nil)), "yes", "yes"},
		{"webp", "image/webp", read("still.webp"), "no", "no"},
		{"cut short", "image/png", pngOf(painted(black, nil))[:60], "?", "?"},
		{"no picture", "image/png", []byte("not a picture"), "?", "?"},
		{"a form that is not unpacked", "image/avif", read("still.avif"), "?", "?"},
		{"a video", "video/mp4", read("front.mp4"), "?", "?"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			plain, look := Inspector{}.Inspect(tt.mime)
			plain.Write(tt.file)
			for _, piece := range []int{1, 7, 1 << 20} {
				f := examined(tt.mime, tt.file, piece)
				if word(f.Blank) != tt.blank || word(f.Alpha) != tt.alpha {
					t.Errorf("blank %s, alpha %s; want %s, %s", word(f.Blank), word(f.Alpha), tt.blank, tt.alpha)
				}
				f.Blank, f.Alpha = nil, nil
				if g := look(); f.Width != g.Width || f.Height != g.Height || f.Duration != g.Duration {
					t.Errorf("the closer look tells %+v, the first %+v", f, g)
				}
			}
		})
	}
}

// A file larger than is unpacked still has the facts of its head.
func TestAPictureTooLargeToUnpack(t *testing.T) {
	head := encoded(t, func(b *bytes.Buffer) error { return png.Encode(b, painted(color.White, nil)) })
	w, facts := Inspector{}.Examine("image/png")
	w.Write(head)
	for range maxPacked >> 20 {
		w.Write(make([]byte, 1<<20))
	}
	if f := facts(); f.Width != 40 || f.Blank != nil {
		t.Errorf("%+v", f)
	}
	// Sides that claim more than is unpacked.
	binary.BigEndian.PutUint32(head[16:], 1<<19)
	if f := examined("image/png", head, 1<<20); f.Blank != nil {
		t.Errorf("%+v", f)
	}
}

// soundOf is a WAV of samples as they are encoded.
func soundOf(coding, bits uint16, extensible bool, samples []byte) []byte {
	format := binary.LittleEndian.AppendUint16(nil, coding)
	if extensible {
		format = binary.LittleEndian.AppendUint16(nil, 0xfffe)
	}
	format = binary.LittleEndian.AppendUint16(format, 1)
	format = binary.LittleEndian.AppendUint32(format, 8000)
	format = binary.LittleEndian.AppendUint32(format, 8000*uint32(bits)/8)
	format = binary.LittleEndian.AppendUint16(format, bits/8)
	format = binary.LittleEndian.AppendUint16(format, bits)
	if extensible {
		format = binary.LittleEndian.AppendUint16(format, 22)
		format = append(format, 0, 0, 0, 0, 0, 0)
		format = binary.LittleEndian.AppendUint16(format, coding)
		format = append(format, make([]byte, 14)...)
	}
	b := append([]byte("RIFF\x00\x00\x00\x00WAVE"), "fmt "...)
	b = append(binary.LittleEndian.AppendUint32(b, uint32(len(format))), format...)
	b = append(binary.LittleEndian.AppendUint32(append(b, "data"...), uint32(len(samples))), samples...)
	return append(b, "LIST\x04\x00\x00\x00loud"...) // which is no sound
}

func TestSilence(t *testing.T) {
	run := func(size int, quiet byte, at int, loud ...byte) []byte {
		b := bytes.Repeat([]byte{quiet}, size*4000)
		copy(b[at*size:], loud)
		return b
	}
	float := func(v float32) []byte { return binary.LittleEndian.AppendUint32(nil, math.Float32bits(v)) }
	for _, tt := range []struct {
		name string
		file []byte
		want string
	}{
		{"16 bits, nothing", soundOf(1, 16, false, run(2, 0, 0)), "yes"},
		{"16 bits, the last sample", soundOf(1, 16, false, run(2, 0, 3999, 0, 0x40)), "no"},
		{"16 bits, a whisper nobody hears", soundOf(1, 16, false, run(2, 0, 9, 8, 0)), "yes"},
		{"16 bits, below nothing", soundOf(1, 16, false, run(2, 0, 9, 0, 0x80)), "no"},
		{"8 bits, nothing", soundOf(1, 8, false, run(1, 128, 0)), "yes"},
		{"8 bits", soundOf(1, 8, false, run(1, 128, 77, 200)), "no"},
		{"24 bits, said elsewhere", soundOf(1, 24, true, run(3, 0, 3000, 0, 0, 0x20)), "no"},
		{"24 bits, nothing", soundOf(1, 24, true, run(3, 0, 0)), "yes"},
		{"fractions", soundOf(3, 32, false, run(4, 0, 5, float(-0.5)...)), "no"},
		{"fractions, nothing", soundOf(3, 32, false, run(4, 0, 5, float(0.0001)...)), "yes"},
		{"no samples", soundOf(1, 16, false, nil)[:44], "?"},
		{"compressed", soundOf(17, 4, false, run(1, 77, 0)), "?"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, piece := range []int{1, 5, 1000, 1 << 20} {
				if f := examined("audio/wav", tt.file, piece); word(f.Silent) != tt.want {
					t.Errorf("silent: %s, want %s, in pieces of %d", word(f.Silent), tt.want, piece)
				}
			}
		})
	}
	tone, err := os.ReadFile("testdata/tone.wav")
	if err != nil {
		t.Fatal(err)
	}
	if f := examined("audio/wav", tone, 4096); word(f.Silent) != "no" || f.Duration == 0 {
		t.Errorf("a tone: %+v", f)
	}
}

func TestTriangles(t *testing.T) {
	const scene = `{"accessors":[{"count":36},{"count":24},{"count":9}],"materials":[{},{}],
		"meshes":[{"primitives":[{"indices":0,"attributes":{"POSITION":1}},{"mode":4,"attributes":{"POSITION":2}}]},
		{"primitives":[{"mode":5,"indices":2},{"mode":1,"indices":0},{"indices":99},{"attributes":{"POSITION":-1}}]}]}`
	b := []byte(glbOf(scene))
	f := examined("model/gltf-binary", b, 10)
	if f.Triangles == nil || *f.Triangles != 12+3+7 || f.Materials == nil || *f.Materials != 2 {
		t.Errorf("%+v", f)
	}
	if f := examined("model/gltf-binary", b[:50], 10); f.Triangles != nil || f.Materials != nil {
		t.Errorf("of half a file: %+v", f)
	}
}
