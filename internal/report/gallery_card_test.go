package report

import (
	"html/template"
	"testing"

	"dailies/pipeline"
)

// What of an item's files is looked at, listened to, or stands for the rest.
func TestCardShows(t *testing.T) {
	file := func(kind, key string) pipeline.Output { return pipeline.Output{Kind: kind, Key: key, Bytes: 28_000} }
	film := func(key string) pipeline.Output {
		o := file("video", key)
		o.Duration, o.Audio = 7.6, new(true)
		return o
	}
	for _, tc := range []struct {
		name    string
		outputs []pipeline.Output
		seen    []template.URL
		poster  template.URL // of the first
		badge   string       // of the first
		heard   int
		icon    string
	}{
		{"a film", []pipeline.Output{film("a.mp4")}, []template.URL{"./a.mp4"}, "", "", 0, "file"},
		{"a film with its still", []pipeline.Output{film("a.mp4"), file("image", "a.jpg")}, []template.URL{"./a.mp4"}, "./a.jpg", "", 0, "file"},
		{"a film and other pictures", []pipeline.Output{film("a.mp4"), file("image", "b.jpg"), file("image", "c.jpg")},
			[]template.URL{"./a.mp4", "./b.jpg", "./c.jpg"}, "", "", 0, "file"},
		{"four pictures", []pipeline.Output{file("image", "1.png"), file("image", "2.png"), file("image", "3.png"), file("image", "4.png")},
			[]template.URL{"./1.png", "./2.png", "./3.png", "./4.png"}, "", "", 0, "file"},
		{"a model, its picture and a texture", []pipeline.Output{file("3d", "m.glb"), file("image", "m.webp"), file("image", "t.png")},
			[]template.URL{"./m.webp"}, "", "3D  28 kB", 0, "model"},
		{"a model alone", []pipeline.Output{file("3d", "m.glb")}, nil, "", "", 0, "model"},
		{"a song", []pipeline.Output{file("audio", "s.wav")}, nil, "", "", 1, "sound"},
		{"a text", []pipeline.Output{file("document", "s.txt")}, nil, "", "", 0, "file"},
		{"nothing yet", nil, nil, "", "", 0, "wait"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := cardOf(0, &pipeline.Outcome{Item: &pipeline.Item{ID: "x"}, Status: pipeline.Delivered, Outputs: tc.outputs})
			if len(c.Seen) != len(tc.seen) || len(c.Heard) != tc.heard || c.Icon != tc.icon || len(c.Files) != len(tc.outputs) {
				t.Fatalf("%d seen, %d heard, %d files, icon %s", len(c.Seen), len(c.Heard), len(c.Files), c.Icon)
			}
			for i, f := range c.Seen {
				if f.Link != tc.seen[i] {
					t.Errorf("%s in place %d", f.Link, i)
				}
			}
			if len(c.Seen) > 0 && (c.Seen[0].Poster != tc.poster || c.Seen[0].Badge != tc.badge) {
				t.Errorf("poster %q, badge %q", c.Seen[0].Poster, c.Seen[0].Badge)
			}
			if len(tc.outputs) > 0 && tc.outputs[0].Duration > 0 && (c.Seen[0].Length != "0:08" || !c.Seen[0].Sound || c.Length != "7.60") {
				t.Errorf("length %q, sound %v, %q", c.Seen[0].Length, c.Seen[0].Sound, c.Length)
			}
		})
	}
}
