package scenario

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"dailies/pipeline"
)

// inputFile writes a file and describes it as a manifest would.
func inputFile(t *testing.T, name string, data []byte) pipeline.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	return pipeline.File{Path: path, Name: "refs/" + name, SHA256: hex.EncodeToString(sum[:]), Bytes: int64(len(data))}
}

func png(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7)
	}
	copy(b, "\x89PNG\r\n\x1a\n")
	return b
}

func mp4(n int) []byte {
	b := png(n)
	copy(b, "\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom")
	return b
}

func TestUploadSmallImage(t *testing.T) {
	c := replay(t, "upload-small")
	id, err := c.Upload(t.Context(), inputFile(t, "ref.png", []byte("\x89PNG\r\n\x1a\n")))
	if err != nil || id != "asset_RAAAAAAAAAAAAAAAAAAAAAAA" {
		t.Errorf("got %q, %v", id, err)
	}
}

func TestUploadSmallImageOfEverySize(t *testing.T) {
	for _, n := range []int{8, 9, 10, 11, 3071, 3072, 3073, 100_000, smallImage - 1} {
		data := png(n)
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var body struct{ Image, Name string }
			if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
				t.Error(err)
			}
			got, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(body.Image, "data:image/png;base64,"))
			if err != nil || !bytes.Equal(got, data) || body.Name != `hé"ro.png` {
				t.Errorf("%d bytes arrived as %d, %v, named %q", n, len(got), err, body.Name)
			}
			io.WriteString(w, `{"asset":{"id":"asset_1","status":"success"}}`)
		}))
		if _, err := clientOf(t, srv).Upload(t.Context(), inputFile(t, `hé"ro.png`, data)); err != nil {
			t.Error(err)
		}
	}
	if err := iotest.TestReader(&encoder{data: png(10_000)}, []byte(base64.StdEncoding.EncodeToString(png(10_000)))); err != nil {
		t.Error(err)
	}
}

// storage stands for the API and its storage in multipart uploads.
type storage struct {
	t        *testing.T
	parts    map[string][]byte
	failPart int // times that a part is refused with 503
	begun    map[string]any
	states   []string // answers to complete and to each poll
	during   func()   // called when the first part arrives
}

func (s *storage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	example := func(name string) map[string]any {
		var body map[string]any
		json.Unmarshal(readExchange(s.t, name).Response.Body, &body)
		return body
	}
	switch {
	case r.Method == http.MethodPut:
		if r.Header.Get("Authorization") != "" || r.URL.Query().Has("projectId") {
			s.t.Error("credentials went to the storage")
		}
		if s.during != nil {
			s.during()
		}
		if s.failPart--; s.failPart >= 0 {
			io.CopyN(io.Discard, r.Body, 1000)
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		s.parts[r.URL.Path], _ = io.ReadAll(r.Body)
	case r.URL.Path == "/v1/uploads":
		json.NewDecoder(r.Body).Decode(&s.begun)
		body := example("upload-create")
		var parts []any
		for n := range int(s.begun["parts"].(float64)) {
			parts = append(parts, map[string]any{"number": n + 1, "url": fmt.Sprintf("https://storage.example.com/part/%d?X-Amz-Signature=canarySIGNATURE", n+1)})
		}
		body["upload"].(map[string]any)["parts"] = parts
		json.NewEncoder(w).Encode(body)
	default:
		if len(s.states) == 0 {
			s.t.Error("asked once too often")
			return
		}
		x := readExchange(s.t, s.states[0])
		checkRequest(s.t, x, r)
		s.states = s.states[1:]
		w.Write(x.Response.Body)
	}
}

// on makes a client that talks to the storage in memory, on the clock of a synctest bubble.
func (s *storage) on(t *testing.T) *Client {
	s.t, s.parts = t, make(map[string][]byte)
	c, err := New(Config{BaseURL: "https://api.example.com/v1", Key: testKey, Secret: testSecret, ProjectID: testProject, Version: "1.2.3",
		Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			if r = r.Clone(r.Context()); r.Body == nil {
				r.Body = http.NoBody
			}
			defer r.Body.Close()
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			if err := r.Context().Err(); err != nil {
				return nil, err
			}
			return w.Result(), nil
		})})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestUploadInParts(t *testing.T) {
	data := mp4(2*partBytes + 12345)
	f := inputFile(t, "ref.mp4", data)
	s := &storage{states: []string{"upload-complete", "upload-validating", "upload-imported"}, failPart: 1}
	synctest.Test(t, func(t *testing.T) {
		if id, err := s.on(t).Upload(t.Context(), f); err != nil || id != "asset_VAAAAAAAAAAAAAAAAAAAAAAA" {
			t.Errorf("got %q, %v", id, err)
		}
	})
	want := map[string]any{"fileName": "ref.mp4", "contentType": "video/mp4", "kind": "video", "parts": 3.0, "fileSize": float64(len(data))}
	if fmt.Sprint(s.begun) != fmt.Sprint(want) {
		t.Errorf("began with %v, want %v", s.begun, want)
	}
	var got []byte
	for n := range 3 {
		got = append(got, s.parts[fmt.Sprintf("/part/%d", n+1)]...)
	}
	if !bytes.Equal(got, data) {
		t.Errorf("%d bytes arrived, not those sent", len(got))
	}
}

func TestUploadErrors(t *testing.T) {
	video := mp4(5000)
	for _, tt := range []struct {
		name  string
		serve storage
		spoil func(*testing.T, *pipeline.File)
		file  []byte
		as    string
		want  pipeline.Error
	}{
		{name: "the API could not take it in", file: video, as: "a.mp4", serve: storage{states: []string{"upload-complete", "upload-failed"}},
			want: pipeline.Error{Code: pipeline.CodeUpload, Message: `upload "refs/a.mp4": File is not a valid video`}},
		{name: "storage stays away", file: video, as: "a.mp4", serve: storage{failPart: 9},
			want: pipeline.Error{Code: pipeline.CodeAPIUnavailable, Message: "part 1: the storage answered with status 503"}},
		{name: "gone", file: video, as: "a.mp4", spoil: func(_ *testing.T, f *pipeline.File) { f.Path += ".gone" },
			want: pipeline.Error{Code: pipeline.CodeUpload, Message: `upload "refs/a.mp4": no such file or directory`}},
		{name: "longer", file: video, as: "a.mp4", spoil: func(_ *testing.T, f *pipeline.File) { f.Bytes-- },
			want: pipeline.Error{Code: pipeline.CodeUpload, Message: "changed while"}},
		{name: "other bytes", file: video, as: "a.mp4", spoil: func(_ *testing.T, f *pipeline.File) { f.SHA256 = strings.Repeat("0", 64) },
			want: pipeline.Error{Code: pipeline.CodeUpload, Message: "changed while"}},
		{name: "other bytes of an image", file: png(100), as: "a.png", spoil: func(_ *testing.T, f *pipeline.File) { f.SHA256 = strings.Repeat("0", 64) },
			want: pipeline.Error{Code: pipeline.CodeUpload, Message: "changed while"}},
		{name: "a folder", file: video, as: "a.mp4", spoil: func(_ *testing.T, f *pipeline.File) { f.Path = filepath.Dir(f.Path) },
			want: pipeline.Error{Code: pipeline.CodeUpload, Message: "not a regular file"}},
		{name: "empty", file: nil, as: "a.png", want: pipeline.Error{Code: pipeline.CodeUpload, Message: "the file is empty"}},
		{name: "unknown", file: []byte{0, 1, 2, 3}, as: "a.xyz", want: pipeline.Error{Code: pipeline.CodeUpload, Message: "not a kind of file"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := inputFile(t, tt.as, tt.file)
			if tt.spoil != nil {
				tt.spoil(t, &f)
			}
			synctest.Test(t, func(t *testing.T) {
				_, err := tt.serve.on(t).Upload(t.Context(), f)
				e := checkError(t, err, tt.want)
				if strings.Contains(e.Error(), filepath.Dir(f.Path)) || strings.Contains(e.Error(), "SIGNATURE") {
					t.Errorf("tells where the file or the storage is: %s", e)
				}
			})
		})
	}
}

// What is written to while it flows must not become an asset that passes for the other.
func TestUploadOfAFileBeingWritten(t *testing.T) {
	f := inputFile(t, "a.mp4", mp4(5000))
	s := &storage{during: func() {
		if err := os.Chtimes(f.Path, time.Time{}, time.Now().Add(time.Minute)); err != nil {
			t.Error(err)
		}
	}}
	synctest.Test(t, func(t *testing.T) {
		_, err := s.on(t).Upload(t.Context(), f)
		checkError(t, err, pipeline.Error{Code: pipeline.CodeUpload, Message: "changed while"})
	})
}

func TestUploadSendsPartsNowhereElse(t *testing.T) {
	for _, to := range []string{"", "http://storage.example.com/part", "ftp://127.0.0.1/part", "part/1", "file:///etc/passwd"} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			json.NewEncoder(w).Encode(map[string]any{"upload": map[string]any{"id": "upload_1", "parts": []any{map[string]any{"number": 1, "url": to}}}})
		}))
		_, err := clientOf(t, srv).Upload(t.Context(), inputFile(t, "a.mp4", mp4(5000)))
		checkError(t, err, pipeline.Error{Code: pipeline.CodeAPIUnreadable, Message: "no https address"})
	}
}

func TestUploadInterrupted(t *testing.T) {
	f := inputFile(t, "a.mp4", mp4(5000))
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		s := &storage{during: cancel}
		_, err := s.on(t).Upload(ctx, f)
		checkError(t, err, pipeline.Error{Code: pipeline.CodeInterrupted, Refused: true})
	})
}

func TestFileType(t *testing.T) {
	for _, tt := range []struct{ head, path, mime, kind string }{
		{"\x89PNG\r\n\x1a\n", "a.jpg", "image/png", "image"}, // the bytes know better
		{"\xff\xd8\xff\xe0", "a", "image/jpeg", "image"},
		{"RIFF\x00\x00\x00\x00WEBPVP8 ", "a.webp", "image/webp", "image"},
		{"RIFF\x00\x00\x00\x00WAVEfmt ", "a.wav", "audio/wav", "audio"},
		{"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom", "A.MP4", "video/mp4", "video"},
		{"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom", "a.m4a", "audio/mp4", "audio"},
		{"\x00\x00\x00\x14ftypqt  \x00\x00\x00\x00qt  ", "a.mov", "video/quicktime", "video"},
		{"ID3\x03", "a.mp3", "audio/mpeg", "audio"},
		{"\xff\xfb\x90\x44", "a.mp3", "audio/mpeg", "audio"},
		{"OggS\x00", "a.ogg", "audio/ogg", "audio"},
		{"glTF\x02\x00\x00\x00", "a.bin", "model/gltf-binary", "3d"},
		{"Kaydara FBX Binary", "a.fbx", "model/vnd.autodesk.fbx", "3d"},
		{"v 0 0 0\n", "a.obj", "model/obj", "3d"},
		{"a well", "a.txt", "text/plain", "text"},
	} {
		mime, kind, ok := fileType([]byte(tt.head), tt.path)
		if !ok || mime != tt.mime || kind != tt.kind {
			t.Errorf("%q in %s is %s %s %t, want %s %s", tt.head, tt.path, mime, kind, ok, tt.mime, tt.kind)
		}
	}
	if mime, _, ok := fileType([]byte("#!/bin/sh"), "a.sh"); ok {
		t.Errorf("a script is %s", mime)
	}
}
