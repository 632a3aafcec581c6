package scenario

import (
	"bytes"
	"net/http"
	"path/filepath"
	"strings"
)

// fileType finds the content type and the API's kind of an input file: by its first bytes where they tell, else by
// the file's extension.
func fileType(head []byte, path string) (mime, kind string, ok bool) {
	named := byExtension(strings.ToLower(filepath.Ext(path)))
	sniffed, _, _ := strings.Cut(http.DetectContentType(head), ";")
	switch {
	case bytes.HasPrefix(head, []byte("glTF")):
		mime = "model/gltf-binary"
	case sniffed == "audio/wave":
		mime = "audio/wav"
	case sniffed == "video/mp4" && named == "audio/mp4":
		mime = named // one container for both
	case strings.HasPrefix(sniffed, "image/"), strings.HasPrefix(sniffed, "video/"), strings.HasPrefix(sniffed, "audio/"):
		mime = sniffed
	default:
		mime = named
	}
	family, _, _ := strings.Cut(mime, "/")
	switch family {
	case "image", "video", "audio", "text":
		return mime, family, true
	case "model":
		return mime, "3d", true
	}
	return "", "", false
}

func byExtension(ext string) string {
	switch ext {
	case ".png":
		return "image/png"
	case ".jpg", ".jpeg":
		return "image/jpeg"
	case ".webp":
		return "image/webp"
	case ".gif":
		return "image/gif"
	case ".avif":
		return "image/avif"
	case ".heic", ".heif":
		return "image/heic"
	case ".tif", ".tiff":
		return "image/tiff"
	case ".svg":
		return "image/svg+xml"
	case ".hdr":
		return "image/vnd.radiance"
	case ".exr":
		return "image/x-exr"
	case ".mp4", ".m4v":
		return "video/mp4"
	case ".mov":
		return "video/quicktime"
	case ".webm":
		return "video/webm"
	case ".mkv":
		return "video/x-matroska"
	case ".avi":
		return "video/avi"
	case ".mp3":
		return "audio/mpeg"
	case ".wav":
		return "audio/wav"
	case ".ogg", ".oga", ".opus":
		return "audio/ogg"
	case ".flac":
		return "audio/flac"
	case ".m4a":
		return "audio/mp4"
	case ".aac":
		return "audio/aac"
	case ".aif", ".aiff":
		return "audio/aiff"
	case ".glb":
		return "model/gltf-binary"
	case ".gltf":
		return "model/gltf+json"
	case ".obj":
		return "model/obj"
	case ".fbx":
		return "model/vnd.autodesk.fbx"
	case ".stl":
		return "model/stl"
	case ".usdz":
		return "model/vnd.usdz+zip"
	case ".ply":
		return "model/ply"
	case ".txt", ".md":
		return "text/plain"
	}
	return ""
}
