package media

import "strings"

// A fileType is one the program can name. Its kind is the API's word: image, video, audio, 3d, text, json, document,
// or "" for what is none of them.
type fileType struct {
	mime, kind, ext string
	// unmarked types have no signature: the sender's word is needed to know them.
	unmarked bool
}

var fileTypes = []fileType{
	{mime: "image/png", kind: "image", ext: ".png"},
	{mime: "image/jpeg", kind: "image", ext: ".jpg"},
	{mime: "image/gif", kind: "image", ext: ".gif"},
	{mime: "image/webp", kind: "image", ext: ".webp"},
	{mime: "image/avif", kind: "image", ext: ".avif"},
	{mime: "image/heic", kind: "image", ext: ".heic"},
	{mime: "image/svg+xml", kind: "image", ext: ".svg"},
	{mime: "image/tiff", kind: "image", ext: ".tiff"},
	{mime: "image/bmp", kind: "image", ext: ".bmp"},
	{mime: "image/x-exr", kind: "image", ext: ".exr"},
	{mime: "image/vnd.radiance", kind: "image", ext: ".hdr"},
	{mime: "image/vnd.adobe.photoshop", kind: "image", ext: ".psd"},
	{mime: "image/ktx2", kind: "image", ext: ".ktx2"},
	{mime: "image/vnd.ms-dds", kind: "image", ext: ".dds"},
	{mime: "image/jxl", kind: "image", ext: ".jxl"},
	{mime: "image/x-tga", kind: "image", ext: ".tga", unmarked: true},

	{mime: "video/mp4", kind: "video", ext: ".mp4"},
	{mime: "video/quicktime", kind: "video", ext: ".mov"},
	{mime: "video/webm", kind: "video", ext: ".webm"},
	{mime: "video/x-matroska", kind: "video", ext: ".mkv"},
	{mime: "video/x-msvideo", kind: "video", ext: ".avi"},
	{mime: "video/ogg", kind: "video", ext: ".ogv"},

	{mime: "audio/wav", kind: "audio", ext: ".wav"},
	{mime: "audio/mpeg", kind: "audio", ext: ".mp3"},
	{mime: "audio/flac", kind: "audio", ext: ".flac"},
	{mime: "audio/ogg", kind: "audio", ext: ".ogg"},
	{mime: "audio/mp4", kind: "audio", ext: ".m4a"},
	{mime: "audio/aac", kind: "audio", ext: ".aac"},
	{mime: "audio/webm", kind: "audio", ext: ".weba"},
	{mime: "audio/aiff", kind: "audio", ext: ".aiff"},
	{mime: "audio/midi", kind: "audio", ext: ".mid"},

	{mime: "model/gltf-binary", kind: "3d", ext: ".glb"},
	{mime: "model/gltf+json", kind: "3d", ext: ".gltf"},
	{mime: "model/fbx", kind: "3d", ext: ".fbx"},
	{mime: "model/obj", kind: "3d", ext: ".obj", unmarked: true},
	{mime: "model/mtl", kind: "3d", ext: ".mtl", unmarked: true},
	{mime: "model/stl", kind: "3d", ext: ".stl", unmarked: true}, // its binary form has no signature
	{mime: "model/ply", kind: "3d", ext: ".ply"},
	{mime: "model/vnd.usdz+zip", kind: "3d", ext: ".usdz"},
	{mime: "model/vnd.usd", kind: "3d", ext: ".usdc"},
	{mime: "model/vnd.usda", kind: "3d", ext: ".usda"},
	{mime: "model/3mf", kind: "3d", ext: ".3mf"},
	{mime: "model/x-blend", kind: "3d", ext: ".blend"},
	{mime: "model/x-splat", kind: "3d", ext: ".splat", unmarked: true},

	{mime: "application/json", kind: "json", ext: ".json"},
	{mime: "text/plain", kind: "text", ext: ".txt", unmarked: true},
	{mime: "text/markdown", kind: "text", ext: ".md", unmarked: true},
	{mime: "text/csv", kind: "text", ext: ".csv", unmarked: true},
	{mime: "text/vtt", kind: "text", ext: ".vtt"},
	{mime: "application/x-subrip", kind: "text", ext: ".srt", unmarked: true},
	{mime: "application/pdf", kind: "document", ext: ".pdf"},

	{mime: "text/html", ext: ".html"},
	{mime: "application/xml", ext: ".xml"},
	{mime: "application/zip", ext: ".zip"},
	{mime: "application/gzip", ext: ".gz"},
	{mime: "application/octet-stream", ext: ".bin", unmarked: true},
}

// otherNames are what senders also call types.
var otherNames = map[string]string{
	"image/jpg":                    "image/jpeg",
	"image/pjpeg":                  "image/jpeg",
	"image/svg":                    "image/svg+xml",
	"image/tif":                    "image/tiff",
	"image/heif":                   "image/heic",
	"image/aces":                   "image/x-exr",
	"image/hdr":                    "image/vnd.radiance",
	"image/tga":                    "image/x-tga",
	"video/x-m4v":                  "video/mp4",
	"video/avi":                    "video/x-msvideo",
	"audio/x-wav":                  "audio/wav",
	"audio/wave":                   "audio/wav",
	"audio/vnd.wave":               "audio/wav",
	"audio/mp3":                    "audio/mpeg",
	"audio/x-flac":                 "audio/flac",
	"audio/x-m4a":                  "audio/mp4",
	"audio/m4a":                    "audio/mp4",
	"audio/opus":                   "audio/ogg",
	"audio/aacp":                   "audio/aac",
	"audio/x-aac":                  "audio/aac",
	"audio/x-aiff":                 "audio/aiff",
	"model/glb":                    "model/gltf-binary",
	"model/gltf":                   "model/gltf+json",
	"application/fbx":              "model/fbx",
	"application/vnd.autodesk.fbx": "model/fbx",
	"application/x-tgif":           "model/obj",
	"text/obj":                     "model/obj",
	"model/x.stl-binary":           "model/stl",
	"model/x.stl-ascii":            "model/stl",
	"application/sla":              "model/stl",
	"application/vnd.ms-pki.stl":   "model/stl",
	"application/x-ply":            "model/ply",
	"application/vnd.ms-package.3dmanufacturing-3dmodel+xml": "model/3mf",
	"text/json":                    "application/json",
	"text/xml":                     "application/xml",
	"application/x-zip-compressed": "application/zip",
	"binary/octet-stream":          "application/octet-stream",
}

// typed returns the type of a MIME name; what the table does not hold gets its kind from the name's first part.
func typed(mime string) fileType {
	for _, t := range fileTypes {
		if t.mime == mime {
			return t
		}
	}
	t := fileType{mime: mime, unmarked: true}
	switch family, _, _ := strings.Cut(mime, "/"); family {
	case "image", "video", "audio", "text":
		t.kind = family
	case "model":
		t.kind = "3d"
	}
	return t
}

// canonical is a declared type without its parameters, by the name used here; "" when it is no type.
func canonical(declared string) string {
	mime, _, _ := strings.Cut(declared, ";")
	mime = strings.ToLower(strings.TrimSpace(mime))
	if name, ok := otherNames[mime]; ok {
		return name
	}
	if family, sub, ok := strings.Cut(mime, "/"); !ok || !isToken(family) || !isToken(sub) {
		return ""
	}
	return mime
}

func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?=`, r)
	})
}
