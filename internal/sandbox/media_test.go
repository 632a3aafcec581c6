package sandbox

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"image"
	"math"
	"slices"
	"testing"

	webpformat "golang.org/x/image/webp"
)

// atoms reads the boxes of an MP4 in order.
func atoms(t *testing.T, b []byte) (names []string, bodies map[string][]byte) {
	t.Helper()
	bodies = map[string][]byte{}
	for len(b) > 0 {
		if len(b) < 8 {
			t.Fatalf("%d bytes after the last box", len(b))
		}
		n := int(binary.BigEndian.Uint32(b))
		name := string(b[4:8])
		if n < 8 || n > len(b) {
			t.Fatalf("box %s of %d bytes in %d", name, n, len(b))
		}
		names = append(names, name)
		bodies[name] = b[8:n]
		b = b[n:]
	}
	return names, bodies
}

func TestClips(t *testing.T) {
	r := newRig(t, Options{RequestsPerMinute: -1, Concurrency: -1})
	for _, tc := range []struct {
		shape   string
		w, h    int
		seconds int
		sound   bool
	}{
		{"16:9", 640, 360, 8, true},
		{"9:16", 360, 640, 8, false},
		{"16:9", 640, 360, 6, true},
		{"16:9", 640, 360, 4, true},
		{"9:16", 360, 640, 4, false},
	} {
		a := r.made("model_veo3-1-fast", fmt.Sprintf(`{"prompt":"x","aspectRatio":"%s","duration":%d,"generateAudio":%v}`, tc.shape, tc.seconds, tc.sound))[0]
		b := r.do("GET", a["url"].(string), "").body
		names, bodies := atoms(t, b)
		if !slices.Equal(names, []string{"ftyp", "moov", "free", "mdat", "free"}) {
			t.Errorf("boxes %v: want the index first and the note last", names)
		}
		_, movie := atoms(t, bodies["moov"])
		scale, length := binary.BigEndian.Uint32(movie["mvhd"][12:]), binary.BigEndian.Uint32(movie["mvhd"][16:])
		p := a["properties"].(map[string]any)
		if got := float64(length) / float64(scale); fmt.Sprint(p["duration"]) != fmt.Sprint(tc.seconds) || math.Abs(got-float64(tc.seconds)) > 0.05 {
			t.Errorf("%v s said, %v s in the file, want %d", p["duration"], got, tc.seconds)
		}
		if fmt.Sprintf("%v %v", p["width"], p["height"]) != fmt.Sprintf("%d %d", tc.w, tc.h) {
			t.Errorf("%v by %v, want %d by %d", p["width"], p["height"], tc.w, tc.h)
		}
		if got := bytes.Contains(bodies["moov"], []byte("mp4a")); got != tc.sound || !bytes.Contains(bodies["moov"], []byte("avc1")) {
			t.Errorf("sound %v, want %v", got, tc.sound)
		}
	}
}

// A clip lasts as long as it was asked to, by every clock in it, and its pictures are all there.
func TestPace(t *testing.T) {
	for _, seconds := range []float64{1, 2, 3, 4, 5, 10, 15} {
		for _, o := range []output{{W: 640, H: 360, Seconds: seconds, Sound: true}, {W: 480, H: 480, Seconds: seconds}} {
			b, err := clip(&o, "asset_x")
			if err != nil {
				t.Fatal(err)
			}
			_, bodies := atoms(t, b)
			movie := bodies["moov"]
			_, parts := atoms(t, movie)
			near := func(what string, got, want float64) {
				if math.Abs(got-want) > 0.03 {
					t.Errorf("%v s: the %s lasts %v s, want %v", seconds, what, got, want)
				}
			}
			scale := func(head []byte, at int) float64 {
				return float64(binary.BigEndian.Uint32(head[at+4:])) / float64(binary.BigEndian.Uint32(head[at:]))
			}
			near("film", scale(parts["mvhd"], 12), seconds)
			trak := movie[bytes.Index(movie, []byte("trak"))-4:]
			_, track := atoms(t, trak[8:binary.BigEndian.Uint32(trak)])
			_, medium := atoms(t, track["mdia"])
			near("track of pictures", scale(medium["mdhd"], 12), seconds)
			near("track's place in the film", float64(binary.BigEndian.Uint32(track["tkhd"][20:]))/1000, seconds)
		}
	}
}

func TestEveryFileIsItsOwn(t *testing.T) {
	r := newRig(t, Options{RequestsPerMinute: -1, Concurrency: -1})
	for _, model := range []string{"model_veo3-1-fast", "model_imagen4-ultra", "model_p-image", "model_lyria-2", "model_meshy-7-txt23d"} {
		body := `{"prompt":"the same words","generateAudio":true}`
		one, two := r.made(model, body), r.made(model, body)
		for i := range one {
			a, b := r.do("GET", one[i]["url"].(string), "").body, r.do("GET", two[i]["url"].(string), "").body
			if bytes.Equal(a, b) {
				t.Errorf("%s: two jobs made the same bytes", model)
			}
			if !bytes.Contains(a, []byte("SIMULATED")) {
				t.Errorf("%s: the file does not say that it is simulated", model)
			}
			if fmt.Sprint(one[i]["properties"].(map[string]any)["size"]) != fmt.Sprint(len(a)) {
				t.Errorf("%s: %v said, %d bytes", model, one[i]["properties"], len(a))
			}
		}
	}
}

func TestPictures(t *testing.T) {
	r := newRig(t, Options{RequestsPerMinute: -1, Concurrency: -1})
	for _, tc := range []struct {
		model, body, format string
		w, h, n             int
	}{
		{"model_imagen4-ultra", `{"prompt":"a hall","aspectRatio":"16:9"}`, "png", 640, 360, 1},
		{"model_imagen4-ultra", `{"prompt":"a hall"}`, "png", 640, 480, 1},
		{"model_imagen4-ultra", `{"prompt":"a hall","aspectRatio":"9:16"}`, "png", 360, 640, 1},
		{"model_p-image", `{"prompt":"a hall","numOutputs":3}`, "jpeg", 640, 640, 3},
		{"model_p-image", `{"prompt":"a hall","width":1280,"height":640}`, "jpeg", 640, 320, 1},
	} {
		as := r.made(tc.model, tc.body)
		if len(as) != tc.n {
			t.Errorf("%s: %d pictures, want %d", tc.body, len(as), tc.n)
		}
		img, format, err := image.Decode(bytes.NewReader(r.do("GET", as[0]["url"].(string), "").body))
		if err != nil || format != tc.format || img.Bounds().Dx() != tc.w || img.Bounds().Dy() != tc.h {
			t.Fatalf("%s: %s %v %v, want %s %d by %d", tc.body, format, img.Bounds(), err, tc.format, tc.w, tc.h)
		}
		colours := map[any]bool{}
		for y := 0; y < tc.h; y += 7 {
			for x := 0; x < tc.w; x += 7 {
				colours[img.At(x, y)] = true
			}
		}
		if len(colours) < 100 {
			t.Errorf("%s: %d colours: nothing to look at", tc.body, len(colours))
		}
	}
}

func TestPromptsThatAreHardToDraw(t *testing.T) {
	st, err := newStudio()
	if err != nil {
		t.Fatal(err)
	}
	for _, prompt := range []string{"", " ", "日本語のプロンプト", string(bytes.Repeat([]byte("W"), 5000)), "a\x00b\n\tc", "\xff\xfe"} {
		payload, _ := json.Marshal(map[string]string{"prompt": prompt})
		for _, side := range [][2]int{{640, 360}, {160, 640}, {2, 2}} {
			if _, err := st.paint(&job{Model: "model_x", Payload: payload}, side[0], side[1]); err != nil {
				t.Errorf("%.20q at %v: %v", prompt, side, err)
			}
		}
	}
}

func TestSound(t *testing.T) {
	r := newRig(t, Options{})
	a := r.made("model_lyria-2", `{"prompt":"a calm lake"}`)[0]
	b := r.do("GET", a["url"].(string), "").body
	if string(b[:4]) != "RIFF" || string(b[8:16]) != "WAVEfmt " || int(binary.LittleEndian.Uint32(b[4:])) != len(b)-8 || string(b[36:40]) != "data" {
		t.Fatalf("no WAV: %q", b[:44])
	}
	samples := b[44 : 44+binary.LittleEndian.Uint32(b[40:])]
	var loudest, sum float64
	for i := 0; i+1 < len(samples); i += 2 {
		v := math.Abs(float64(int16(binary.LittleEndian.Uint16(samples[i:]))) / math.MaxInt16)
		loudest, sum = max(loudest, v), sum+v*v
	}
	if rms := math.Sqrt(sum / float64(len(samples)/2)); loudest > 0.98 || rms < 0.05 {
		t.Errorf("loudest %v, mean %v: want it audible and not clipped", loudest, rms)
	}
	if got := float64(len(samples)) / 2 / sampleRate; fmt.Sprint(a["properties"].(map[string]any)["duration"]) != fmt.Sprint(got) {
		t.Errorf("%v s, the asset says %v", got, a["properties"])
	}
}

func TestMesh(t *testing.T) {
	r := newRig(t, Options{})
	as := r.made("model_meshy-7-txt23d", `{"prompt":"a stone"}`)
	var mimes []any
	for _, a := range as {
		mimes = append(mimes, a["mimeType"])
	}
	if fmt.Sprint(mimes) != "[image/webp model/gltf-binary image/png]" {
		t.Fatalf("files %v: want the thumbnail first", mimes)
	}
	thumb := r.do("GET", as[0]["url"].(string), "").body
	if config, err := webpformat.DecodeConfig(bytes.NewReader(thumb)); err != nil || config.Width != 256 {
		t.Errorf("thumbnail: %+v %v", config, err)
	}
	b := r.do("GET", as[1]["url"].(string), "").body
	if string(b[:4]) != "glTF" || int(binary.LittleEndian.Uint32(b[8:])) != len(b) {
		t.Fatalf("no GLB: %q", b[:12])
	}
	n := binary.LittleEndian.Uint32(b[12:])
	var doc struct {
		Accessors []struct{ Count int }
		Buffers   []struct{ ByteLength int }
	}
	if err := json.Unmarshal(b[20:20+n], &doc); err != nil {
		t.Fatal(err)
	}
	p := as[1]["properties"].(map[string]any)
	if fmt.Sprint(p["vertexCount"]) != fmt.Sprint(doc.Accessors[0].Count) || doc.Buffers[0].ByteLength != len(b)-int(n)-28 {
		t.Errorf("%+v in %d bytes; the asset says %v", doc, len(b), p)
	}
}

func TestStudioForgets(t *testing.T) {
	st, err := newStudio()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		if _, err := st.remember(fmt.Sprint(i), func() ([]byte, error) { return make([]byte, 1<<20), nil }); err != nil {
			t.Fatal(err)
		}
	}
	if st.held > studioHolds || st.recent.Len() != len(st.byID) {
		t.Errorf("%d bytes held, %d prints, %d known", st.held, st.recent.Len(), len(st.byID))
	}
}
