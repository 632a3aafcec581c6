package media

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"runtime"
	"strings"
	"testing"
)

var inspected = []string{
	"video/mp4", "image/avif", "video/webm", "audio/mpeg", "audio/aac", "audio/ogg", "audio/wav", "audio/flac", "image/png",
	"image/tiff", "image/svg+xml", "image/x-exr", "image/vnd.radiance", "model/gltf-binary", "application/pdf",
}

func TestFactsOfText(t *testing.T) {
	for name, c := range map[string]struct {
		mime, text    string
		width, height int
		duration      float64
	}{
		"svg in pixels":           {"image/svg+xml", `<?xml version="1.0"?><!-- x --><svg xmlns="s" width="640px" height="480">`, 640, 480, 0},
		"svg in millimetres":      {"image/svg+xml", `<svg width="100mm" height="50mm" viewBox="0 0 200,100">`, 200, 100, 0},
		"svg of no size":          {"image/svg+xml", `<svg xmlns="s">`, 0, 0, 0},
		"svg of endless size":     {"image/svg+xml", `<svg width="1e300" height="-5">`, 0, 0, 0},
		"svg cut short":           {"image/svg+xml", `<svg width="64`, 0, 0, 0},
		"hdr":                     {"image/vnd.radiance", "#?RADIANCE\nFORMAT=32-bit_rle_rgbe\nEXPOSURE=1\n\n-Y 512 +X 1024\nxx", 1024, 512, 0},
		"hdr on its side":         {"image/vnd.radiance", "#?RADIANCE\n\n+X 1024 -Y 512\n", 1024, 512, 0},
		"hdr without a size":      {"image/vnd.radiance", "#?RADIANCE\n\nhello\n", 0, 0, 0},
		"hdr of a negative size":  {"image/vnd.radiance", "#?RADIANCE\n\n-Y -512 +X 1024\n", 0, 0, 0},
		"still model":             {"model/gltf-binary", glbOf(`{"asset":{"version":"2.0"}}`), 0, 0, 0},
		"moving model":            {"model/gltf-binary", glbOf(`{"animations":[{"samplers":[{"input":0},{"input":1},{"input":9}]}],"accessors":[{"max":[1.25]},{"max":[2.5]}]}`), 0, 0, 2.5},
		"model of broken JSON":    {"model/gltf-binary", glbOf(`{"animations":[`), 0, 0, 0},
		"wav of two channels":     {"audio/wav", wavOf(1000, strings.Repeat("x", 500)), 0, 0, 0.5},
		"wav, data of unsaid end": {"audio/wav", strings.Replace(wavOf(1000, strings.Repeat("x", 500)), "data\xf4\x01\x00\x00", "data\xff\xff\xff\xff", 1), 0, 0, 0.5},
		"wav, data said to be 0":  {"audio/wav", strings.Replace(wavOf(1000, strings.Repeat("x", 500)), "data\xf4\x01\x00\x00", "data\x00\x00\x00\x00", 1), 0, 0, 0.5},
		"wav of no rate":          {"audio/wav", wavOf(0, "xxxx"), 0, 0, 0},
		"a type without facts":    {"application/pdf", "%PDF-1.7", 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			f := inspect([]byte(c.text), c.mime, len(c.text))
			if f.Width != c.width || f.Height != c.height || f.Duration != c.duration || f.Audio != nil {
				t.Errorf("%+v; want %dx%d, %vs", f, c.width, c.height, c.duration)
			}
		})
	}
}

func glbOf(scene string) string {
	head := []byte("glTF\x02\x00\x00\x00")
	head = binary.LittleEndian.AppendUint32(head, uint32(20+len(scene)))
	head = binary.LittleEndian.AppendUint32(head, uint32(len(scene)))
	return string(head) + "JSON" + scene
}

// wavOf has a chunk of odd length before the data.
func wavOf(bytesPerSecond uint32, data string) string {
	b := []byte("RIFF\x00\x00\x00\x00WAVELIST\x03\x00\x00\x00abc\x00fmt \x10\x00\x00\x00\x01\x00\x02\x00\x00\x00\x00\x00")
	b = binary.LittleEndian.AppendUint32(b, bytesPerSecond)
	b = append(b, "\x04\x00\x10\x00data"...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(data)))
	return string(b) + data
}

// A film of any length is told by a few bytes of memory, even when what matters comes last.
func TestMemoryDoesNotGrowWithTheFile(t *testing.T) {
	const media = 6 << 30
	file := sample(t, "end.mp4")
	mdat, moov := bytes.Index(file, []byte("mdat")), bytes.Index(file, []byte("moov"))
	if mdat < 0 || moov < mdat {
		t.Fatal("the sample has moov before the media")
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	w, facts := Inspector{}.Inspect("video/mp4")
	w.Write(file[:mdat-4])
	io.WriteString(w, "\x00\x00\x00\x01mdat")
	w.Write(binary.BigEndian.AppendUint64(nil, media+16))
	piece := make([]byte, 1<<20)
	for range media / len(piece) {
		w.Write(piece)
	}
	w.Write(file[moov-4:])
	f := facts()
	runtime.ReadMemStats(&after)
	if f.Width != 160 || f.Duration != 1.5 || audio(f) != "yes" {
		t.Errorf("%+v", f)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 2<<20 {
		t.Errorf("%d bytes allocated in all", used)
	}
}

// What a header claims is not what gets allocated.
func TestClaimsCostNothing(t *testing.T) {
	box := func(size uint32, kind string) string {
		return string(binary.BigEndian.AppendUint32(nil, size)) + kind
	}
	for name, c := range map[string]struct{ mime, text string }{
		"a sample table of 4 GiB":   {"video/mp4", box(8, "moov") + box(8, "trak") + box(math.MaxUint32, "stsd")},
		"a box of 8 EiB":            {"video/mp4", box(1, "mvhd") + "\x7f\xff\xff\xff\xff\xff\xff\xff"},
		"a run of 4 billion":        {"video/mp4", box(8, "moov") + box(8, "trak") + box(math.MaxUint32, "trun") + "\x00\x00\x01\x00\xff\xff\xff\xff"},
		"tracks without end":        {"video/mp4", box(8, "moov") + strings.Repeat(box(8, "trak"), 100_000)},
		"boxes of no length":        {"video/mp4", strings.Repeat(box(0, "free"), 1000)},
		"boxes shorter than a head": {"video/mp4", strings.Repeat(box(7, "free"), 1000)},
		"an element of 32 PiB":      {"video/webm", "\x44\x89\x01\x7f\xff\xff\xff\xff\xff\xff"},
		"a scene of 4 GiB":          {"model/gltf-binary", "glTF\x02\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xffJSON{"},
		"a tag of 256 MiB":          {"audio/mpeg", "ID3\x04\x00\x00\x7f\x7f\x7f\x7f" + strings.Repeat("x", 100)},
		"a chunk of 4 GiB":          {"audio/wav", "RIFF\xff\xff\xff\xffWAVEfmt \xff\xff\xff\xff" + strings.Repeat("x", 100)},
		"a picture of 4 Gpx a side": {"image/png", "\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR\x7f\xff\xff\xff\x7f\xff\xff\xff\x08\x06\x00\x00\x00\xed\xf5\x8b\x5e"},
		"an attribute of 4 GiB":     {"image/x-exr", "v/1\x01\x02\x00\x00\x00name\x00kind\x00\xff\xff\xff\xff"},
		"a directory 4 GiB away":    {"image/tiff", "II*\x00\xff\xff\xff\xff"},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			f := inspect([]byte(c.text), c.mime, 1<<20)
			runtime.ReadMemStats(&after)
			if used := after.TotalAlloc - before.TotalAlloc; used > 2<<20 {
				t.Errorf("%d bytes allocated", used)
			}
			if f.Width != 0 || f.Height != 0 || f.Duration != 0 {
				t.Errorf("facts from nothing: %+v", f)
			}
		})
	}
}

// A file that is cut or damaged anywhere may lose its facts and nothing else.
func TestDamage(t *testing.T) {
	for _, c := range samples {
		t.Run(c.file, func(t *testing.T) {
			b := sample(t, c.file)
			for n := 0; n < len(b); n += 1 + len(b)/300 {
				sane(t, b[:n], c.mime)
				damaged := bytes.Clone(b)
				for i := n; i < min(n+4, len(b)); i++ {
					damaged[i] = 0xff
				}
				sane(t, damaged, c.mime)
			}
		})
	}
}

func sane(t *testing.T, b []byte, mime string) {
	t.Helper()
	f := inspect(b, mime, len(b))
	if f.Width < 0 || f.Height < 0 || f.Width > maxSide || f.Height > maxSide || !(f.Duration >= 0 && f.Duration < 367*24*3600) {
		t.Errorf("%s: %+v", mime, f)
	}
}

func FuzzInspect(f *testing.F) {
	for _, c := range samples {
		b := sample(f, c.file)
		for i, mime := range inspected {
			if mime == c.mime {
				f.Add(b, byte(i), uint16(97))
			}
		}
	}
	f.Add([]byte(glbOf(`{"animations":[{"samplers":[{"input":0}]}],"accessors":[{"max":[1]}]}`)), byte(13), uint16(5))
	f.Add([]byte(`<svg viewBox="0 0 1 1">`), byte(10), uint16(1))
	f.Add([]byte("#?RADIANCE\n\n-Y 5 +X 4\n"), byte(12), uint16(1))
	f.Fuzz(func(t *testing.T, b []byte, which byte, piece uint16) {
		mime := inspected[int(which)%len(inspected)]
		sane(t, b, mime)
		whole, parts := inspect(b, mime, max(1, len(b))), inspect(b, mime, int(piece)+1)
		if fmt.Sprint(whole.Width, whole.Height, whole.Duration, audio(whole)) != fmt.Sprint(parts.Width, parts.Height, parts.Duration, audio(parts)) {
			t.Errorf("%s: %+v at once, %+v in pieces of %d", mime, whole, parts, int(piece)+1)
		}
	})
}

func BenchmarkInspect(b *testing.B) {
	for _, file := range []string{"end.mp4", "clip.webm", "cbr.mp3", "still.png"} {
		b.Run(file, func(b *testing.B) {
			data := sample(b, file)
			mime, _, _ := Sniff(data, "")
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				inspect(data, mime, 32<<10)
			}
		})
	}
}
