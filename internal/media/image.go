package media

import (
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"image"
	_ "image/gif"
	_ "image/jpeg"
	_ "image/png"
	"io"
	"strconv"
	"strings"

	_ "golang.org/x/image/bmp"
	_ "golang.org/x/image/webp"

	"dailies/pipeline"
)

// maxSide is beyond what any picture has; larger sizes are damage.
const maxSide = 1 << 20

func sized(width, height int) (pipeline.Facts, bool) {
	if width <= 0 || height <= 0 || width > maxSide || height > maxSide {
		return pipeline.Facts{}, false
	}
	return pipeline.Facts{Width: width, Height: height}, true
}

func imageFacts(b []byte) (pipeline.Facts, bool) {
	c, _, err := image.DecodeConfig(bytes.NewReader(b))
	if err != nil {
		// A file that goes on may mend an end that came too soon; damage it does not mend.
		return pipeline.Facts{}, !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF)
	}
	return sized(c.Width, c.Height)
}

// svgFacts takes width and height where they are in pixels, else the view box.
func svgFacts(b []byte) (pipeline.Facts, bool) {
	d := xml.NewDecoder(bytes.NewReader(b))
	d.Strict = false
	for {
		token, err := d.RawToken()
		if err != nil {
			return pipeline.Facts{}, false
		}
		svg, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		attr := make(map[string]string)
		for _, a := range svg.Attr {
			attr[a.Name.Local] = a.Value
		}
		if f, ok := sized(pixels(attr["width"]), pixels(attr["height"])); ok {
			return f, true
		}
		if box := strings.FieldsFunc(attr["viewBox"], func(r rune) bool { return r == ' ' || r == ',' }); len(box) == 4 {
			return sized(pixels(box[2]), pixels(box[3]))
		}
		return pipeline.Facts{}, false
	}
}

// pixels is a length in pixels, rounded; 0 when it is in another unit.
func pixels(s string) int {
	v, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(s), "px"), 64)
	if err != nil || !(v > 0 && v <= maxSide) {
		return 0
	}
	return int(v + 0.5)
}

// exrFacts reads the display window from an OpenEXR header: name, type, size, value, until an empty name.
func exrFacts(b []byte) (pipeline.Facts, bool) {
	b = b[min(8, len(b)):] // magic, version
	for {
		name, rest, ok := bytes.Cut(b, []byte{0})
		if !ok || len(name) == 0 {
			return pipeline.Facts{}, false
		}
		kind, rest, ok := bytes.Cut(rest, []byte{0})
		if !ok || len(rest) < 4 {
			return pipeline.Facts{}, false
		}
		size := int64(binary.LittleEndian.Uint32(rest))
		if rest = rest[4:]; size > int64(len(rest)) {
			return pipeline.Facts{}, false
		}
		if string(name) == "displayWindow" && string(kind) == "box2i" && size == 16 {
			side := func(from, to int) int {
				return int(int32(binary.LittleEndian.Uint32(rest[to:]))) - int(int32(binary.LittleEndian.Uint32(rest[from:]))) + 1
			}
			return sized(side(0, 8), side(4, 12))
		}
		b = rest[size:]
	}
}

// hdrFacts reads Radiance's resolution line, the first after an empty one: "-Y 512 +X 1024".
func hdrFacts(b []byte) (pipeline.Facts, bool) {
	_, rest, ok := bytes.Cut(b, []byte("\n\n"))
	if !ok {
		return pipeline.Facts{}, false
	}
	line, _, ok := bytes.Cut(rest, []byte("\n"))
	field := strings.Fields(string(line))
	if !ok || len(field) != 4 {
		return pipeline.Facts{}, false
	}
	first, err1 := strconv.Atoi(field[1])
	second, err2 := strconv.Atoi(field[3])
	switch {
	case err1 != nil || err2 != nil || len(field[0]) != 2 || len(field[2]) != 2:
		return pipeline.Facts{}, false
	case field[0][1] == 'Y' && field[2][1] == 'X':
		return sized(second, first)
	case field[0][1] == 'X' && field[2][1] == 'Y':
		return sized(first, second)
	}
	return pipeline.Facts{}, false
}
