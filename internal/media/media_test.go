package media

import (
	"math"
	"os"
	"path/filepath"
	"testing"

	"dailies/pipeline"
)

// samples were made with ffmpeg; sizes and durations are ffprobe's, except where said.
var samples = []struct {
	file, mime, kind, ext string
	width, height         int
	duration              float64
	audio                 string // "yes", "no", "" for unknown
}{
	{"end.mp4", "video/mp4", "video", ".mp4", 160, 90, 1.5, "yes"},   // moov after the media
	{"front.mp4", "video/mp4", "video", ".mp4", 160, 90, 1.5, "yes"}, // moov before it
	{"silent.mp4", "video/mp4", "video", ".mp4", 160, 90, 1.5, "no"},
	{"rotated.mp4", "video/mp4", "video", ".mp4", 90, 160, 1.5, "no"}, // as it is shown
	{"fragmented.mp4", "video/mp4", "video", ".mp4", 160, 90, 1.7, "yes"},
	{"clip.mov", "video/quicktime", "video", ".mov", 160, 90, 1.5, "yes"},
	{"clip.webm", "video/webm", "video", ".webm", 160, 90, 1.508, "yes"},
	{"live.webm", "video/webm", "video", ".webm", 160, 90, 1.501, "yes"}, // without a duration: where the last block begins
	{"clip.mkv", "video/x-matroska", "video", ".mkv", 160, 90, 1.5, "no"},
	{"tone.wav", "audio/wav", "audio", ".wav", 0, 0, 0.5, ""},
	{"streamed.wav", "audio/wav", "audio", ".wav", 0, 0, 0.5, ""},
	{"adpcm.wav", "audio/wav", "audio", ".wav", 0, 0, 0.509, ""},
	{"cbr.mp3", "audio/mpeg", "audio", ".mp3", 0, 0, 1.541, ""},
	{"vbr.mp3", "audio/mpeg", "audio", ".mp3", 0, 0, 1.541, ""}, // ffprobe guesses 1.526 from the first rate
	{"xing.mp3", "audio/mpeg", "audio", ".mp3", 0, 0, 1.541, ""},
	{"tagged.mp3", "audio/mpeg", "audio", ".mp3", 0, 0, 1.541, ""},
	{"tone.flac", "audio/flac", "audio", ".flac", 0, 0, 0.5, ""},
	{"tone.ogg", "audio/ogg", "audio", ".ogg", 0, 0, 1.5, ""},
	{"tone.opus", "audio/ogg", "audio", ".opus", 0, 0, 1.5, ""},
	{"flac.ogg", "audio/ogg", "audio", ".ogg", 0, 0, 0.5, ""},
	{"tone.m4a", "audio/mp4", "audio", ".m4a", 0, 0, 1.5, ""},
	{"tone.aac", "audio/aac", "audio", ".aac", 0, 0, 1.533, ""}, // 66 frames; ffprobe guesses 1.547
	{"still.png", "image/png", "image", ".png", 60, 34, 0, ""},
	{"still.jpg", "image/jpeg", "image", ".jpg", 60, 34, 0, ""},
	{"still.webp", "image/webp", "image", ".webp", 60, 34, 0, ""},
	{"still.gif", "image/gif", "image", ".gif", 60, 34, 0, ""},
	{"still.avif", "image/avif", "image", ".avif", 60, 34, 0, ""},
	{"still.tiff", "image/tiff", "image", ".tiff", 20, 12, 0, ""},
	{"still.bmp", "image/bmp", "image", ".bmp", 20, 12, 0, ""},
	{"still.exr", "image/x-exr", "image", ".exr", 6, 4, 0, ""},
}

func sample(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func inspect(b []byte, mime string, piece int) pipeline.Facts {
	w, facts := Inspector{}.Inspect(mime)
	for len(b) > 0 {
		n := min(piece, len(b))
		w.Write(b[:n])
		b = b[n:]
	}
	return facts()
}

func TestSamples(t *testing.T) {
	seen := make(map[string]bool)
	for _, c := range samples {
		seen[c.file] = true
		t.Run(c.file, func(t *testing.T) {
			b := sample(t, c.file)
			for _, size := range []int{512, len(b)} {
				mime, kind, ext := Sniff(b[:min(size, len(b))], "application/octet-stream")
				if mime != c.mime || kind != c.kind || ext != c.ext {
					t.Errorf("Sniff of %d bytes = %s, %s, %s; want %s, %s, %s", size, mime, kind, ext, c.mime, c.kind, c.ext)
				}
			}
			for _, piece := range []int{1, 13, 4096, len(b)} {
				f := inspect(b, c.mime, piece)
				if f.Width != c.width || f.Height != c.height || math.Abs(f.Duration-c.duration) > 0.002 || audio(f) != c.audio {
					t.Errorf("in pieces of %d: %dx%d %.3fs audio %q; want %dx%d %.3fs audio %q",
						piece, f.Width, f.Height, f.Duration, audio(f), c.width, c.height, c.duration, c.audio)
				}
			}
		})
	}
	files, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !f.IsDir() && !seen[f.Name()] {
			t.Errorf("%s is a sample that nothing is expected of", f.Name())
		}
	}
}

func audio(f pipeline.Facts) string {
	switch {
	case f.Audio == nil:
		return ""
	case *f.Audio:
		return "yes"
	}
	return "no"
}
