package sandbox

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	pngformat "image/png"
	"math"
	"strings"

	xdraw "golang.org/x/image/draw"
	"golang.org/x/image/font"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/f64"
	"golang.org/x/image/math/fixed"
)

// picture is an image output, encoded, with its asset's id inside so that no two are the same.
func (st *studio) picture(a *asset) ([]byte, error) {
	o := a.output()
	img, err := st.paint(a.job, o.W, o.H)
	if err != nil {
		return nil, err
	}
	if o.Form == jpg {
		b, err := encodeJPEG(img)
		if err != nil {
			return nil, err
		}
		note := simulated(o.ID)
		comment := append([]byte{0xff, 0xfe}, binary.BigEndian.AppendUint16(nil, uint16(2+len(note)))...)
		comment = append(comment, note...)
		return append(append(bytes.Clone(b[:2]), comment...), b[2:]...), nil
	}
	var b bytes.Buffer
	encoder := pngformat.Encoder{CompressionLevel: pngformat.BestSpeed}
	if err := encoder.Encode(&b, img); err != nil {
		return nil, err
	}
	end := b.Len() - 12 // IEND is the last chunk
	out := append(bytes.Clone(b.Bytes()[:end]), textChunk("Comment\x00"+simulated(o.ID))...)
	return append(out, b.Bytes()[end:]...), nil
}

func textChunk(data string) []byte {
	body := "tEXt" + data
	b := binary.BigEndian.AppendUint32(nil, uint32(len(data)))
	b = append(b, body...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE([]byte(body)))
}

// poster is the thumbnail of an image or a video.
func (st *studio) poster(a *asset) ([]byte, error) {
	w, h := 320, 320
	if a.up == nil {
		if o := a.output(); o.W >= o.H && o.W > 0 {
			h = max(1, 320*o.H/o.W)
		} else if o.H > 0 {
			w = max(1, 320*o.W/o.H)
		}
		img, err := st.paint(a.job, w, h)
		if err != nil {
			return nil, err
		}
		return encodeJPEG(img)
	}
	img, err := st.paint(&job{Model: "uploaded", seed: hash64(a.up.ID)}, w, h)
	if err != nil {
		return nil, err
	}
	return encodeJPEG(img)
}

func encodeJPEG(img image.Image) ([]byte, error) {
	var b bytes.Buffer
	err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 85})
	return b.Bytes(), err
}

// paint draws what stands for a generated picture: colours of the job's own, soft discs, the prompt in words, and
// SIMULATED across it.
func (st *studio) paint(j *job, w, h int) (*image.RGBA, error) {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	hue := float64(j.seed%360) / 360
	from, to := hsl(hue, 0.45, 0.22), hsl(hue+0.12+float64(j.seed>>9%100)/600, 0.55, 0.52)
	diagonal := float64(w + h)
	for y := range h {
		row := img.Pix[y*img.Stride:]
		for x := range w {
			f := float64(x+y) / diagonal
			p := row[4*x : 4*x+4 : 4*x+4]
			p[0], p[1], p[2], p[3] = mix(from.R, to.R, f), mix(from.G, to.G, f), mix(from.B, to.B, f), 255
		}
	}
	short := float64(min(w, h))
	for i := range 4 {
		bits := j.seed >> (8 * i)
		cx, cy := float64(bits&15)/15*float64(w), float64(bits>>4&15)/15*float64(h)
		disc(img, cx, cy, short*(0.16+0.06*float64(i)), hsl(hue+0.08*float64(i), 0.6, 0.7), 0.10)
	}
	if err := st.watermark(img, short); err != nil {
		return nil, err
	}
	return img, st.caption(img, j, short)
}

func mix(a, b uint8, f float64) uint8 { return uint8(float64(a) + (float64(b)-float64(a))*f) }

func hsl(h, s, l float64) color.RGBA {
	h -= math.Floor(h)
	part := func(n float64) uint8 {
		k := math.Mod(n+h*12, 12)
		return uint8(255 * (l - s*min(l, 1-l)*max(-1, min(k-3, 9-k, 1))))
	}
	return color.RGBA{part(0), part(8), part(4), 255}
}

func disc(img *image.RGBA, cx, cy, r float64, c color.RGBA, opacity float64) {
	b := image.Rect(int(cx-r), int(cy-r), int(cx+r)+2, int(cy+r)+2).Intersect(img.Rect)
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			f := opacity * min(1, max(0, r-math.Hypot(float64(x)-cx, float64(y)-cy))) // a soft rim
			p := img.Pix[img.PixOffset(x, y):]
			p[0], p[1], p[2] = mix(p[0], c.R, f), mix(p[1], c.G, f), mix(p[2], c.B, f)
		}
	}
}

func face(f *sfnt.Font, size float64) (font.Face, error) {
	return opentype.NewFace(f, &opentype.FaceOptions{Size: size, DPI: 72, Hinting: font.HintingFull})
}

// watermark lays SIMULATED across the picture.
func (st *studio) watermark(img *image.RGBA, short float64) error {
	size := short / 6
	f, err := face(st.bold, size)
	if err != nil {
		return err
	}
	defer f.Close()
	const word = "SIMULATED"
	width := font.MeasureString(f, word).Ceil()
	mask := image.NewRGBA(image.Rect(0, 0, width, int(size*1.3)))
	d := font.Drawer{Dst: mask, Src: image.NewUniform(color.NRGBA{255, 255, 255, 92}), Face: f, Dot: fixed.P(0, int(size))}
	d.DrawString(word)
	sin, cos := math.Sincos(-math.Pi / 7)
	cx, cy := float64(img.Rect.Dx())/2, float64(img.Rect.Dy())/2-short*0.06
	mx, my := float64(width)/2, size*0.65
	turn := f64.Aff3{cos, -sin, cx - cos*mx + sin*my, sin, cos, cy - sin*mx - cos*my}
	xdraw.BiLinear.Transform(img, turn, mask, mask.Rect, draw.Over, nil)
	return nil
}

// caption writes the model's name and the beginning of the prompt at the foot of the picture.
func (st *studio) caption(img *image.RGBA, j *job, short float64) error {
	size := min(max(short/20, 10), 18)
	small, err := face(st.bold, size*0.72)
	if err != nil {
		return err
	}
	defer small.Close()
	text, err := face(st.regular, size)
	if err != nil {
		return err
	}
	defer text.Close()
	margin := int(size)
	lines := wrap(text, j.prompt(), img.Rect.Dx()-2*margin, 3)
	line := int(size * 1.3)
	height := margin*2 + line*len(lines) + int(size)
	scrim := image.Rect(0, img.Rect.Dy()-height, img.Rect.Dx(), img.Rect.Dy())
	draw.Draw(img, scrim, image.NewUniform(color.NRGBA{0, 0, 0, 130}), image.Point{}, draw.Over)
	y := scrim.Min.Y + margin + int(size*0.5)
	d := font.Drawer{Dst: img, Src: image.NewUniform(color.NRGBA{255, 255, 255, 170}), Face: small, Dot: fixed.P(margin, y)}
	d.DrawString(j.Model)
	d.Face, d.Src = text, image.White
	for i, words := range lines {
		d.Dot = fixed.P(margin, y+line*(i+1))
		d.DrawString(words)
	}
	return nil
}

// wrap breaks a text into at most so many lines of a width, and marks what is left out.
func wrap(f font.Face, text string, width, most int) []string {
	fits := func(s string) bool { return font.MeasureString(f, s).Ceil() <= width }
	var lines []string
	current := ""
	for _, word := range strings.Fields(cut(text, 400)) {
		for !fits(word) && len(word) > 1 { // one that is wider than the picture
			word = string([]rune(word)[:len([]rune(word))-1])
		}
		longer := strings.TrimSpace(current + " " + word)
		if fits(longer) {
			current = longer
			continue
		}
		lines = append(lines, current)
		current = word
		if len(lines) == most {
			lines[most-1] = strings.TrimRight(lines[most-1], ".,; ") + "…"
			return lines
		}
	}
	if current != "" {
		lines = append(lines, current)
	}
	return lines
}
