// Package media tells what a file is, and what is in it, from its own bytes as they flow past.
//
// It promises bounded memory whatever a file's size or claims, and never to fail: a broken file has no facts, or
// those of its sound part. It trusts a declared type only where bytes do not tell (a text can be a model or a poem),
// and unpacks pictures and listens to sound only where it is asked to: see Examine.
//
// MP4 and Matroska are read by small readers of the few boxes that matter. A library would want a file it can seek in
// or a moov box in memory; these skip what they need not, wherever the facts are in the file.
package media

import (
	"io"
	"strings"

	"dailies/pipeline"
)

// An Inspector implements pipeline.Inspector; the zero value is ready.
type Inspector struct{}

var _ pipeline.Inspector = Inspector{}

// Sniff implements pipeline.Inspector with the function of the same name.
func (Inspector) Sniff(head []byte, declared string) (mime, kind, ext string) {
	return Sniff(head, declared)
}

// A probe is given a whole file in order. Its Write never fails.
type probe interface {
	io.Writer
	facts() pipeline.Facts
}

// Inspect returns a writer to be given the whole file in order, and the facts known so far: all there are once it
// has been. mime is what Sniff said.
func (Inspector) Inspect(mime string) (w io.Writer, facts func() pipeline.Facts) {
	p := probeFor(mime)
	return p, p.facts
}

func probeFor(mime string) probe {
	switch mime {
	case "video/mp4", "video/quicktime", "audio/mp4", "image/avif", "image/heic":
		return newBoxes(strings.HasPrefix(mime, "image/"))
	case "video/webm", "video/x-matroska", "audio/webm":
		return newMatroska()
	case "audio/mpeg":
		return newFrames(mp3Frame)
	case "audio/aac":
		return newFrames(adtsFrame)
	case "audio/ogg", "video/ogg":
		return newOgg()
	case "audio/wav":
		return newWAV()
	case "audio/flac":
		return newHead(64, flacFacts)
	case "image/tiff":
		return newTIFF()
	case "image/svg+xml":
		return newHead(64<<10, svgFacts)
	case "image/x-exr":
		return newHead(64<<10, exrFacts)
	case "image/vnd.radiance":
		return newHead(64<<10, hdrFacts)
	case "model/gltf-binary":
		return newGLB()
	}
	if strings.HasPrefix(mime, "image/") {
		return newHead(2<<20, imageFacts)
	}
	return nothing{}
}

// nothing is the probe of a file that has no facts to tell.
type nothing struct{}

func (nothing) Write(p []byte) (int, error) { return len(p), nil }
func (nothing) facts() pipeline.Facts       { return pipeline.Facts{} }
