package media

import (
	"encoding/binary"
	"strings"
	"testing"
)

func TestSniff(t *testing.T) {
	ftyp := func(brands ...string) string {
		text := "ftyp" + brands[0] + "\x00\x00\x02\x00" + strings.Join(brands[1:], "")
		return string(binary.BigEndian.AppendUint32(nil, uint32(4+len(text)))) + text
	}
	zip := func(name string) string {
		return "PK\x03\x04" + strings.Repeat("\x00", 22) + string(rune(len(name))) + "\x00\x00\x00" + name
	}
	binarySTL := strings.Repeat("\x00", 80) + "\x01\x00\x00\x00" + strings.Repeat("\x00\x00\x80?", 12) + "\x00\x00"

	for name, c := range map[string]struct {
		head, declared  string
		mime, kind, ext string
	}{
		// Bytes win.
		"png called mp4":         {"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR", "video/mp4", "image/png", "image", ".png"},
		"jpeg called png":        {"\xff\xd8\xff\xe0\x00\x10JFIF", "image/png", "image/jpeg", "image", ".jpg"},
		"mp3 called wav":         {"ID3\x04\x00\x00\x00\x00\x00\x00", "audio/wav", "audio/mpeg", "audio", ".mp3"},
		"fbx called glb":         {"Kaydara FBX Binary  \x00\x1a\x00", "model/gltf-binary", "model/fbx", "3d", ".fbx"},
		"web page called mp4":    {"\n<!DOCTYPE html><html><body>sign in</body></html>", "video/mp4", "text/html", "", ".html"},
		"web page called obj":    {"<html lang=en>", "model/obj", "text/html", "", ".html"},
		"page after a comment":   {"<!-- saved -->\n<html>", "image/svg+xml", "text/html", "", ".html"},
		"refusal called mp4":     {`<?xml version="1.0" encoding="UTF-8"?><Error><Code>AccessDenied</Code></Error>`, "video/mp4", "application/xml", "", ".xml"},
		"json called png":        {`{"message":"no"}`, "image/png", "application/json", "json", ".json"},
		"noise called png":       {"\x00\x01\x02\x03\xfe\xff", "image/png", "application/octet-stream", "", ".bin"},
		"noise called text":      {"\x00\x01\x02\x03\xfe\xff", "text/plain", "application/octet-stream", "", ".bin"},
		"a poem called mp3":      {"I wandered lonely as a cloud", "audio/mpeg", "text/plain", "text", ".txt"},
		"a poem called a secret": {"I wandered lonely as a cloud", "application/octet-stream", "text/plain", "text", ".txt"},

		// The sender is asked where bytes do not tell.
		"obj as declared":        {"# a model\ng cube\n", "model/obj; charset=utf-8", "model/obj", "3d", ".obj"},
		"obj by another name":    {"g cube\n", "TEXT/OBJ", "model/obj", "3d", ".obj"},
		"markdown as declared":   {"# A title\n", "text/markdown", "text/markdown", "text", ".md"},
		"binary stl as declared": {binarySTL, "model/stl", "model/stl", "3d", ".stl"},
		"splat as declared":      {"\x00\x01\x02\x03", "model/x-splat", "model/x-splat", "3d", ".splat"},
		"a model nobody knows":   {"\x00\x01\x02\x03", "model/x-new", "model/x-new", "3d", ""},
		"m4a of a plain brand":   {ftyp("isom", "iso2"), "audio/x-m4a", "audio/mp4", "audio", ".m4a"},
		"audio webm":             {"\x1aE\xdf\xa3\x9fB\x82\x84webm", "audio/webm", "audio/webm", "audio", ".weba"},
		"3mf":                    {zip("[Content_Types].xml"), "model/3mf", "model/3mf", "3d", ".3mf"},
		"no type declared":       {"hello", "", "text/plain", "text", ".txt"},
		"nonsense declared":      {"\x00\x01", "video/../../etc", "application/octet-stream", "", ".bin"},
		"nothing, nothing":       {"", "", "application/octet-stream", "", ".bin"},

		// Each by itself.
		"gif":                    {"GIF89a\x01\x00", "", "image/gif", "image", ".gif"},
		"webp":                   {"RIFF\x00\x00\x00\x00WEBPVP8 ", "", "image/webp", "image", ".webp"},
		"webp in no riff":        {"XXXX\x00\x00\x00\x00WEBPVP8 ", "", "application/octet-stream", "", ".bin"},
		"avif":                   {ftyp("avif", "mif1"), "", "image/avif", "image", ".avif"},
		"avif under mif1":        {ftyp("mif1", "avif"), "", "image/avif", "image", ".avif"},
		"heic":                   {ftyp("heic", "mif1"), "", "image/heic", "image", ".heic"},
		"heif":                   {ftyp("mif1", "miaf"), "image/heif", "image/heic", "image", ".heic"},
		"svg":                    {"<?xml version=\"1.0\"?>\n<!-- drawn -->\n<svg width=\"1\">", "", "image/svg+xml", "image", ".svg"},
		"tiff, big end":          {"MM\x00*\x00\x00\x00\x08", "", "image/tiff", "image", ".tiff"},
		"exr":                    {"v/1\x01\x02\x00\x00\x00", "", "image/x-exr", "image", ".exr"},
		"hdr":                    {"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n", "", "image/vnd.radiance", "image", ".hdr"},
		"ktx2":                   {"\xabKTX 20\xbb\r\n\x1a\n", "", "image/ktx2", "image", ".ktx2"},
		"dds":                    {"DDS |\x00\x00\x00", "", "image/vnd.ms-dds", "image", ".dds"},
		"mp4":                    {ftyp("isom", "iso2", "avc1", "mp41"), "", "video/mp4", "video", ".mp4"},
		"mov":                    {ftyp("qt  ", "qt  "), "video/mp4", "video/quicktime", "video", ".mov"},
		"old mov":                {"\x00\x00\x00\x08wide\x00\x00\x10\x00mdat", "", "video/quicktime", "video", ".mov"},
		"m4a":                    {ftyp("M4A ", "mp42"), "", "audio/mp4", "audio", ".m4a"},
		"mkv":                    {"\x1aE\xdf\xa3\xa3B\x82\x88matroska", "", "video/x-matroska", "video", ".mkv"},
		"wav":                    {"RIFF\x00\x00\x00\x00WAVEfmt ", "", "audio/wav", "audio", ".wav"},
		"flac":                   {"fLaC\x00\x00\x00\x22", "", "audio/flac", "audio", ".flac"},
		"glb":                    {"glTF\x02\x00\x00\x00", "", "model/gltf-binary", "3d", ".glb"},
		"gltf":                   {`{"asset":{"version":"2.0"},"scenes":[{"nodes":[0`, "", "model/gltf+json", "3d", ".gltf"},
		"ascii fbx":              {"; FBX 7.3.0 project file\n", "", "model/fbx", "3d", ".fbx"},
		"obj by its look":        {"# Blender\n\nmtllib cube.mtl\no Cube\n", "", "model/obj", "3d", ".obj"},
		"bare obj":               {"v 1.0 -1.0 0\nv 0 0 0\n", "", "model/obj", "3d", ".obj"},
		"ascii stl":              {"solid cube\n  facet normal 0 0 1\n", "", "model/stl", "3d", ".stl"},
		"a poem of solid things": {"solid ground under my feet", "", "text/plain", "text", ".txt"},
		"ply":                    {"ply\nformat binary_little_endian 1.0\n", "", "model/ply", "3d", ".ply"},
		"usdz":                   {zip("cube.usdc"), "application/zip", "model/vnd.usdz+zip", "3d", ".usdz"},
		"zip":                    {zip("cube.obj"), "model/obj", "application/zip", "", ".zip"},
		"json":                   {"\ufeff [1, {\"a\": \"b", "", "application/json", "json", ".json"},
		"a poem in brackets":     {"[a sigh] {and more}", "", "text/plain", "text", ".txt"},
		"text cut in a letter":   {"caf\xc3", "", "text/plain", "text", ".txt"},
		"pdf":                    {"%PDF-1.7\n", "", "application/pdf", "document", ".pdf"},
	} {
		t.Run(name, func(t *testing.T) {
			mime, kind, ext := Sniff([]byte(c.head), c.declared)
			if mime != c.mime || kind != c.kind || ext != c.ext {
				t.Errorf("%q, %q = %s, %q, %q; want %s, %q, %q", c.head, c.declared, mime, kind, ext, c.mime, c.kind, c.ext)
			}
		})
	}
}

// Every type that Sniff can name is in the table, under its own name, once.
func TestTheTableHolds(t *testing.T) {
	seen := make(map[string]bool)
	for _, ft := range fileTypes {
		if seen[ft.mime] {
			t.Errorf("%s is there twice", ft.mime)
		}
		seen[ft.mime] = true
		if got := canonical(ft.mime); got != ft.mime {
			t.Errorf("%s is also a name for %s", ft.mime, got)
		}
	}
	for name, mime := range otherNames {
		if !seen[mime] {
			t.Errorf("%s stands for %s, which is not there", name, mime)
		}
	}
	for _, s := range signatures {
		if !seen[s.mime] {
			t.Errorf("%q is the signature of %s, which is not there", s.magic, s.mime)
		}
		if typed(s.mime).unmarked {
			t.Errorf("%s has a signature and is said to have none", s.mime)
		}
	}
}

func FuzzSniff(f *testing.F) {
	for _, c := range samples {
		b := sample(f, c.file)
		f.Add(b[:min(len(b), 600)], c.mime)
	}
	f.Add([]byte("<html>"), "video/mp4")
	f.Add([]byte(`{"asset":{"version":"2.0"},"nodes":[]}`), "model/obj")
	f.Fuzz(func(t *testing.T, head []byte, declared string) {
		mime, kind, ext := Sniff(head, declared)
		if !strings.Contains(mime, "/") || strings.ContainsAny(mime, " \r\n\x00;") {
			t.Errorf("the type is %q", mime)
		}
		if ext != "" && (ext[0] != '.' || strings.ContainsAny(ext[1:], "./\\")) {
			t.Errorf("the extension is %q", ext)
		}
		if mime == "text/html" && kind != "" {
			t.Errorf("a web page is of kind %q", kind)
		}
	})
}
