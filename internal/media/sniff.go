package media

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Sniff names the type of a file by its first bytes (at least 512 of them, or all there are). declared is what the
// sender said, used only where bytes do not tell: never against them, and never to make a medium of a web page.
// kind is the API's word (image, video, audio, 3d, text, json, document), or empty; ext begins with a dot, or is
// empty.
func Sniff(head []byte, declared string) (mime, kind, ext string) {
	t := typed(sniff(head, canonical(declared)))
	if t.mime == "audio/ogg" && bytes.Contains(head[:min(len(head), 64)], []byte("OpusHead")) {
		t.ext = ".opus"
	}
	return t.mime, t.kind, t.ext
}

// signatures are types known by bytes at one place.
var signatures = []struct {
	at    int
	magic string
	mime  string
}{
	{0, "\x89PNG\r\n\x1a\n", "image/png"},
	{0, "\xff\xd8\xff", "image/jpeg"},
	{0, "GIF87a", "image/gif"},
	{0, "GIF89a", "image/gif"},
	{8, "WEBP", "image/webp"}, // in a RIFF, as the next two
	{8, "WAVE", "audio/wav"},
	{8, "AVI ", "video/x-msvideo"},
	{0, "II*\x00", "image/tiff"},
	{0, "MM\x00*", "image/tiff"},
	{0, "v/1\x01", "image/x-exr"},
	{0, "#?RADIANCE", "image/vnd.radiance"},
	{0, "#?RGBE", "image/vnd.radiance"},
	{0, "8BPS\x00", "image/vnd.adobe.photoshop"},
	{0, "\xabKTX 20\xbb\r\n\x1a\n", "image/ktx2"},
	{0, "DDS |\x00\x00\x00", "image/vnd.ms-dds"},
	{0, "\x00\x00\x00\x0cJXL \r\n\x87\n", "image/jxl"},
	{0, "\xff\x0a", "image/jxl"},
	{0, "fLaC", "audio/flac"},
	{0, "ID3", "audio/mpeg"},
	{8, "AIFF", "audio/aiff"},
	{0, "MThd\x00\x00\x00\x06", "audio/midi"},
	{0, "glTF", "model/gltf-binary"},
	{0, "Kaydara FBX Binary", "model/fbx"},
	{0, "; FBX ", "model/fbx"},
	{0, "ply\n", "model/ply"},
	{0, "ply\r\n", "model/ply"},
	{0, "PXR-USDC", "model/vnd.usd"},
	{0, "#usda ", "model/vnd.usda"},
	{0, "BLENDER", "model/x-blend"},
	{0, "%PDF-", "application/pdf"},
	{0, "WEBVTT", "text/vtt"},
	{0, "\x1f\x8b\x08", "application/gzip"},
}

func sniff(b []byte, declared string) string {
	for _, s := range signatures {
		if len(b) < s.at || !bytes.HasPrefix(b[s.at:], []byte(s.magic)) {
			continue
		}
		if s.at == 8 && !isContainer(b, s.mime) {
			continue
		}
		return s.mime
	}
	switch {
	case len(b) >= 12 && string(b[4:8]) == "ftyp":
		return brand(b, declared)
	case len(b) >= 12 && oldQuickTime(b):
		return "video/quicktime"
	case bytes.HasPrefix(b, []byte("\x1aE\xdf\xa3")):
		return matroskaType(b, declared)
	case bytes.HasPrefix(b, []byte("OggS")):
		if bytes.Contains(b[:min(len(b), 64)], []byte("theora")) {
			return "video/ogg"
		}
		return "audio/ogg"
	case bytes.HasPrefix(b, []byte("PK\x03\x04")):
		return zipType(b, declared)
	case len(b) >= 18 && string(b[:2]) == "BM" && binary.LittleEndian.Uint32(b[6:]) == 0 && b[14] >= 12 && b[15] == 0:
		return "image/bmp"
	case len(b) >= frameHead && repeats(b, mp3Frame):
		return "audio/mpeg"
	case len(b) >= frameHead && repeats(b, adtsFrame):
		return "audio/aac"
	case len(b) > 0 && isText(b):
		return textType(b, declared)
	}
	// Binary without a signature: a declared type that has one is not true.
	if declared != "" && typed(declared).unmarked && !strings.HasPrefix(declared, "text/") {
		return declared
	}
	return "application/octet-stream"
}

func isContainer(b []byte, mime string) bool {
	switch form := string(b[:4]); mime {
	case "audio/aiff":
		return form == "FORM"
	case "audio/wav":
		return form == "RIFF" || form == "RF64"
	default:
		return form == "RIFF"
	}
}

// brand tells what an ISO base media file is for: by its own brand, or, of pictures, any it says to be compatible with.
// Those of plain MP4 say nothing about whether there is a picture; there the sender is asked.
func brand(b []byte, declared string) string {
	switch string(b[8:12]) {
	case "qt  ":
		return "video/quicktime"
	case "M4A ", "M4B ", "M4P ":
		return "audio/mp4"
	}
	brands := b[8:max(12, min(len(b), int(min(binary.BigEndian.Uint32(b), 1<<10))))]
	has := func(names ...string) bool {
		for at := 0; at+4 <= len(brands); at += 4 {
			if slices.Contains(names, string(brands[at:at+4])) {
				return true
			}
		}
		return false
	}
	switch {
	case has("avif", "avis"):
		return "image/avif"
	case has("heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1"):
		return "image/heic"
	case declared == "audio/mp4":
		return declared
	}
	return "video/mp4"
}

// oldQuickTime files begin with any of these boxes instead of a brand.
func oldQuickTime(b []byte) bool {
	switch string(b[4:8]) {
	case "moov", "mdat", "wide", "pnot":
		return true
	case "free", "skip":
		return b[0] == 0
	}
	return false
}

func matroskaType(b []byte, declared string) string {
	switch {
	case !bytes.Contains(b[:min(len(b), 64)], []byte("webm")):
		return "video/x-matroska"
	case declared == "audio/webm":
		return declared
	}
	return "video/webm"
}

// zipType looks at the first entry's name: USDZ demands a USD layer there.
func zipType(b []byte, declared string) string {
	const fixed = 30
	if len(b) >= fixed {
		name := b[fixed:min(len(b), fixed+int(binary.LittleEndian.Uint16(b[26:])))]
		for _, ext := range []string{".usdc", ".usda", ".usd"} {
			if bytes.HasSuffix(bytes.ToLower(name), []byte(ext)) {
				return "model/vnd.usdz+zip"
			}
		}
		if declared == "model/3mf" && (bytes.HasPrefix(name, []byte("[Content_Types].xml")) || bytes.HasPrefix(name, []byte("3D/")) || bytes.HasPrefix(name, []byte("_rels/"))) {
			return declared
		}
	}
	return "application/zip"
}

// repeats tells whether a frame is followed by another, as far as bytes are there; a single header is two bytes of
// sense, too little.
func repeats(b []byte, read func([]byte) (frame, bool)) bool {
	first, ok := read(b)
	if !ok {
		return false
	}
	if len(b) < first.length+frameHead {
		return len(b) <= first.length || bytes.HasPrefix(b[first.length:], b[:1])
	}
	_, ok = read(b[first.length:])
	return ok
}

// isText accepts UTF-8 without control characters; the head may have cut the last character.
func isText(b []byte) bool {
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			return !utf8.FullRune(b)
		}
		if r < ' ' && r != '\n' && r != '\r' && r != '\t' && r != '\f' && r != 0x1b || r == 0x7f {
			return false
		}
		b = b[n:]
	}
	return true
}

var (
	webPage   = regexp.MustCompile(`(?i)^(<!--[^>]*-->\s*)*(<!doctype html|<html|<head|<body|<script)[\s>]`)
	vector    = regexp.MustCompile(`(?is)^(<\?xml[^>]*>|<!--.*?-->|<!doctype svg[^>]*>|\s)*<svg[\s>]`)
	wavefront = regexp.MustCompile(`(?m)^(mtllib \S|v\s+[-+.\d])`)
	facet     = regexp.MustCompile(`(?s)^solid\b.*\bfacet\s+normal\b`)
)

func textType(b []byte, declared string) string {
	text := bytes.TrimLeft(bytes.TrimPrefix(b, []byte("\ufeff")), " \t\r\n\f")
	switch {
	case webPage.Match(text):
		return "text/html"
	case vector.Match(text):
		return "image/svg+xml"
	case bytes.HasPrefix(text, []byte("<?xml")):
		return "application/xml"
	case isJSON(text):
		if isGLTF(text) || declared == "model/gltf+json" {
			return "model/gltf+json"
		}
		return "application/json"
	case facet.Match(text):
		return "model/stl"
	}
	// What is left has no signature. A declared type that would have one is not true.
	if t := typed(declared); declared != "" && t.unmarked && t.mime != "application/octet-stream" {
		if family, _, _ := strings.Cut(declared, "/"); family != "image" && family != "audio" && family != "video" {
			return declared
		}
	}
	if wavefront.Match(firstLines(text)) {
		return "model/obj"
	}
	return "text/plain"
}

// firstLines are those after comments, by which a bare OBJ file may be known.
func firstLines(b []byte) []byte {
	for {
		line, rest, more := bytes.Cut(b, []byte("\n"))
		if trimmed := bytes.TrimSpace(line); len(trimmed) > 0 && trimmed[0] != '#' {
			return line
		}
		if !more {
			return nil
		}
		b = rest
	}
}

// isJSON accepts an object or an array, or the beginning of one.
func isJSON(b []byte) bool {
	if len(b) == 0 || b[0] != '{' && b[0] != '[' {
		return false
	}
	d := json.NewDecoder(bytes.NewReader(b))
	for tokens := 0; ; tokens++ {
		if _, err := d.Token(); err != nil {
			cut := err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF)
			return cut && tokens > 0
		}
	}
}

var gltfParts = regexp.MustCompile(`"(accessors|bufferViews|meshes|nodes|scenes)"\s*:`)

func isGLTF(b []byte) bool {
	return bytes.Contains(b, []byte(`"asset"`)) && gltfParts.Match(b)
}
