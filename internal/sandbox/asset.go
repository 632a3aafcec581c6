package sandbox

import (
	"encoding/json"
	"maps"
	"math"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

// An asset is a file of the project: an output of a job, or an uploaded file.
type asset struct {
	job *job
	n   int // which of the job's outputs
	up  *upload

	size atomic.Int64 // of an output, once it has been made
}

func (a *asset) id() string {
	if a.up != nil {
		return a.up.AssetID
	}
	return a.output().ID
}

func (a *asset) output() *output { return &a.job.Outputs[a.n] }

func (a *asset) project() string {
	if a.up != nil {
		return a.up.Project
	}
	return a.job.Project
}

// exists says whether the asset is there yet.
func (a *asset) exists(now time.Time) bool {
	switch {
	case a.up != nil:
		return a.up.state(now) == imported
	case a.output().Prompt:
		return true
	}
	return a.job.Fate.End == "" && !a.job.end().After(now)
}

func (a *asset) mime() string {
	if a.up != nil {
		return a.up.MIME
	}
	return a.output().Form.mime()
}

func (a *asset) kind() string {
	if a.up != nil {
		return a.up.AssetKind
	}
	return a.output().Form.kind()
}

// The API's own form of an asset.
type assetView struct {
	ID               string         `json:"id"`
	URL              string         `json:"url,omitempty"`
	MIMEType         string         `json:"mimeType"`
	Kind             string         `json:"kind"`
	Status           string         `json:"status"`
	Source           string         `json:"source"`
	Properties       map[string]any `json:"properties"`
	Metadata         map[string]any `json:"metadata"`
	Thumbnail        *thumbnailView `json:"thumbnail,omitempty"`
	Privacy          string         `json:"privacy"`
	Tags             []string       `json:"tags"`
	CollectionIDs    []string       `json:"collectionIds"`
	NSFW             []string       `json:"nsfw"`
	EditCapabilities []string       `json:"editCapabilities"`
	OwnerID          string         `json:"ownerId"`
	AuthorID         string         `json:"authorId"`
	CreatedAt        string         `json:"createdAt"`
	UpdatedAt        string         `json:"updatedAt"`
}

type thumbnailView struct {
	AssetID string `json:"assetId"`
	URL     string `json:"url"`
}

// viewAsset is the asset as the API shows it, with its link signed for the host that was asked.
func (s *Server) viewAsset(a *asset, c *call) (assetView, error) {
	v := assetView{
		ID: a.id(), MIMEType: a.mime(), Kind: a.kind(), Status: success, Privacy: "private",
		Tags: []string{}, CollectionIDs: []string{}, NSFW: []string{}, EditCapabilities: []string{},
		OwnerID: a.project(),
	}
	v.URL = s.sign(c.origin()+"/cdn/assets/"+v.ID, c.now.Add(s.o.URLLife))
	if v.Kind == "image" || v.Kind == "video" {
		v.Thumbnail = &thumbnailView{v.ID, c.origin() + "/cdn/thumbnails/" + v.ID}
	}
	if up := a.up; up != nil {
		v.Source, v.AuthorID = "uploaded", up.Author
		v.CreatedAt, v.UpdatedAt = timestamp(up.At), timestamp(up.importedAt())
		v.Properties = maps.Clone(up.Properties)
		v.Metadata = maps.Clone(up.Properties)
		v.Metadata["type"], v.Metadata["kind"], v.Metadata["name"] = "uploaded", up.AssetKind, up.FileName
		if v.Kind == "image" {
			v.EditCapabilities = []string{"UPSCALE"}
		}
		return v, nil
	}
	size, err := s.size(a)
	if err != nil {
		return assetView{}, err
	}
	o := a.output()
	v.AuthorID, v.Source = a.job.Author, source(a.job.Makes, v.Kind)
	v.CreatedAt, v.UpdatedAt = timestamp(a.job.end()), timestamp(a.job.end())
	v.Properties = o.properties(size, a.job)
	v.Metadata = consumed(a.job)
	v.Metadata["type"], v.Metadata["kind"], v.Metadata["modelId"] = v.Source, v.Kind, a.job.Model
	v.Metadata["parentJobId"], v.Metadata["outputIndex"] = a.job.ID, 0 // [SEEN] 0 for each of several
	if o.Prompt {
		v.Source, v.Metadata["type"] = "prompt", "prompt"
		v.CreatedAt, v.UpdatedAt = timestamp(a.job.At), timestamp(a.job.At)
	}
	return v, nil
}

func source(makes, kind string) string {
	switch {
	case makes == "3d" && kind == "3d":
		return "txt23d"
	case makes == "video":
		return "txt2video"
	case makes == "audio":
		return "txt2audio"
	case kind == "text":
		return "txt2txt"
	}
	return "txt2img"
}

// consumed is what of the payload the model saw: the proof that a reference was not dropped. [SEEN]
func consumed(j *job) map[string]any {
	var payload map[string]any
	_ = json.Unmarshal(j.Payload, &payload)
	m := map[string]any{}
	for name, v := range payload {
		if name == "prompt" || name == "seed" || name == "negativePrompt" || name == "aspectRatio" {
			m[name] = v
			continue
		}
		switch x := v.(type) {
		case string:
			if strings.HasPrefix(x, "asset_") {
				m[name] = v
				m["parentId"] = x
			}
		case []any:
			if first, ok := at(x, 0).(string); ok && strings.HasPrefix(first, "asset_") {
				if j.Fate.Drops {
					x = x[:len(x)-1]
				}
				m[name] = x
			}
		}
	}
	for _, name := range j.Dropped {
		delete(m, name)
	}
	return m
}

func at(list []any, i int) any {
	if i < len(list) {
		return list[i]
	}
	return nil
}

// properties are what the API says of the file, true of the bytes served.
func (o *output) properties(size int64, j *job) map[string]any {
	p := map[string]any{"size": size}
	if o.W > 0 {
		p["width"], p["height"] = o.W, o.H
	}
	if o.Seconds > 0 {
		p["duration"] = o.Seconds
	}
	switch {
	case o.Form == mp4 && o.Seconds > 0:
		frames := base(o.Seconds) * clipRate
		p["frameRate"], p["nbFrames"], p["codecName"] = math.Round(frames/o.Seconds*100)/100, int(frames), "h264"
		p["bitrate"] = int64(float64(size) * 8 / o.Seconds)
	case o.Form == wav:
		p["sampleRate"], p["channels"], p["codecName"] = sampleRate, 1, "pcm_s16le"
	case o.Form == glb:
		p["faceCount"], p["vertexCount"], p["format"] = meshFaces, meshFaces*3, "glb"
	case o.Form == txt:
		text := j.prompt()
		p["preview"] = cut(text, 1024)
		p["hasFullPreview"] = utf8.RuneCountInString(text) <= 1024
	}
	return p
}

// cut shortens a text to so many characters.
func cut(text string, n int) string {
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	return string([]rune(text)[:n])
}
