package sandbox

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"io"
	"mime"
	"net/http"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	// Dimensions of uploaded pictures.
	_ "image/gif"
	_ "image/jpeg"
	_ "image/png"

	_ "golang.org/x/image/webp"
)

// Limits of uploads. [DOC] guide "uploading assets"
const (
	smallLimit = 6 << 20
	partLeast  = 5 << 20
	partsMost  = 10_000
)

// States of an upload. [DOC]
const (
	validating = "validating"
	validated  = "validated"
	imported   = "imported"
	failed     = "failed"
)

// An upload becomes an asset. Its exported fields are what the journal keeps: one entry when it is begun, and one
// when its parts are declared complete.
type upload struct {
	ID       string    `json:"id"`
	Project  string    `json:"project"`
	Author   string    `json:"author"`
	JobID    string    `json:"jobId,omitempty"` // of a multipart upload
	Kind     string    `json:"kind"`            // as declared
	FileName string    `json:"fileName"`
	MIME     string    `json:"mime"`
	Parts    int       `json:"parts,omitempty"`
	FileSize int64     `json:"fileSize,omitempty"`
	At       time.Time `json:"at"`

	Completed  time.Time      `json:"completed,omitzero"`
	Takes      time.Duration  `json:"takes,omitempty"` // from complete to imported
	Problem    string         `json:"problem,omitempty"`
	AssetID    string         `json:"assetId,omitempty"`
	AssetKind  string         `json:"assetKind,omitempty"`
	Properties map[string]any `json:"properties,omitempty"`
}

func (u *upload) importedAt() time.Time { return u.Completed.Add(u.Takes) }

// state is pending → validating → validated → imported, or failed.
func (u *upload) state(now time.Time) string {
	switch elapsed := now.Sub(u.Completed); {
	case u.Completed.IsZero():
		return pending
	case elapsed < u.Takes/2:
		return validating
	case u.Problem != "":
		return failed
	case elapsed < u.Takes:
		return validated
	}
	return imported
}

func (u *upload) jobStatus(now time.Time) string {
	switch u.state(now) {
	case imported:
		return success
	case failed:
		return failure
	case pending:
		return pending
	}
	return inProgress
}

// jobView shows the upload among the jobs. [DOC] jobType upload, metadata.output.entityId, no cost
func (u *upload) jobView(j *job, now time.Time) jobView {
	v := jobView{
		JobID: j.ID, JobType: "upload", Status: u.jobStatus(now), OwnerID: u.Project, AuthorID: u.Author,
		StatusHistory: []statusView{{pending, timestamp(u.At)}},
		CreatedAt:     timestamp(u.At), UpdatedAt: timestamp(u.At),
		Metadata: metadataView{Input: json.RawMessage(`{}`), Error: ""},
	}
	if !u.Completed.IsZero() {
		v.UpdatedAt = timestamp(u.Completed)
	}
	switch v.Status {
	case success:
		v.Progress, v.Metadata.Output = 1, map[string]any{"entityId": u.AssetID}
	case failure:
		v.Progress, v.Metadata.Error = 1, u.Problem
	}
	return v
}

type uploadView struct {
	ID           string     `json:"id"`
	Status       string     `json:"status"`
	Source       string     `json:"source"`
	Kind         string     `json:"kind"`
	FileName     string     `json:"fileName"`
	JobID        string     `json:"jobId"`
	AuthorID     string     `json:"authorId"`
	OwnerID      string     `json:"ownerId"`
	CreatedAt    string     `json:"createdAt"`
	UpdatedAt    string     `json:"updatedAt"`
	Parts        []partView `json:"parts,omitempty"`
	EntityID     *string    `json:"entityId"`
	ErrorMessage string     `json:"errorMessage,omitempty"`
}

type partView struct {
	Number  int    `json:"number"`
	URL     string `json:"url"`
	Expires string `json:"expires"`
}

func (u *upload) view(now time.Time) uploadView {
	v := uploadView{
		ID: u.ID, Status: u.state(now), Source: "multipart", Kind: u.Kind, FileName: u.FileName, JobID: u.JobID,
		AuthorID: u.Author, OwnerID: u.Project, CreatedAt: timestamp(u.At), UpdatedAt: timestamp(u.At),
	}
	switch v.Status {
	case imported:
		v.EntityID = &u.AssetID
	case failed:
		v.ErrorMessage = u.Problem
	}
	return v
}

// addUpload files an upload, in place of an earlier state of it. The caller holds mu.
func (s *Server) addUpload(u *upload) {
	if u.JobID != "" {
		if j := s.jobs[u.JobID]; j != nil {
			j.upload = u
		} else {
			s.add(&job{ID: u.JobID, Project: u.Project, Author: u.Author, At: u.At, upload: u})
		}
	}
	s.uploads[u.ID] = u
	if u.AssetID != "" {
		s.assets[u.AssetID] = &asset{up: u}
	}
}

// keepUpload writes an upload's new state down and files it.
func (s *Server) keepUpload(u *upload) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.journal.append(entry{Upload: u}); err != nil {
		return err
	}
	s.addUpload(u)
	return nil
}

// uploadSmall is POST /assets: a picture in base64 or as a data URL, an asset at once.
func (s *Server) uploadSmall(c *call) reply {
	encoded, ok := c.body["image"].(string)
	if !ok || encoded == "" {
		return refuse(http.StatusBadRequest, "Input image is required")
	}
	if strings.HasPrefix(encoded, "data:") {
		_, data, ok := strings.Cut(encoded, ";base64,")
		if !ok {
			return refuse(http.StatusBadRequest, "Invalid data URL")
		}
		encoded = data
	}
	data, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return refuse(http.StatusBadRequest, "Invalid base64 image")
	}
	if len(data) > smallLimit {
		return refuse(http.StatusRequestEntityTooLarge, "Image is larger than 6 MB; use a multipart upload")
	}
	config, format, err := image.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return refuse(http.StatusBadRequest, "Invalid image")
	}
	name, _ := c.body["name"].(string)
	u := &upload{
		ID: newID("upload_"), Project: c.project, Author: c.author, Kind: "image", AssetKind: "image", FileName: name,
		MIME: "image/" + format, FileSize: int64(len(data)), At: c.now, Completed: c.now, AssetID: newID("asset_"),
		Properties: map[string]any{"size": len(data), "width": config.Width, "height": config.Height},
	}
	file, err := s.files.path(u.AssetID)
	if err == nil {
		err = os.WriteFile(file, data, 0o600)
	}
	if err == nil {
		err = s.keepUpload(u)
	}
	if err != nil {
		return broken(err)
	}
	v, err := s.viewAsset(&asset{up: u}, c)
	if err != nil {
		return broken(err)
	}
	return answer(map[string]any{"asset": v})
}

// uploadBegin is POST /uploads.
func (s *Server) uploadBegin(c *call) reply {
	var in struct {
		FileName    string `json:"fileName"`
		ContentType string `json:"contentType"`
		Kind        string `json:"kind"`
		Parts       int    `json:"parts"`
		FileSize    int64  `json:"fileSize"`
		URL         string `json:"url"`
	}
	if err := json.Unmarshal(c.raw, &in); err != nil {
		return refuse(http.StatusBadRequest, "Invalid body: "+err.Error())
	}
	switch in.Kind {
	case "image", "audio", "video", "3d", "text", "avatar", "asset", "model":
	default:
		return refuse(http.StatusBadRequest, "Input kind must be one of image, audio, video, 3d, text, avatar, asset, model")
	}
	switch {
	case in.URL != "":
		return refuse(http.StatusBadRequest, "Imports from a URL are not simulated")
	case in.FileName == "":
		return refuse(http.StatusBadRequest, "Input fileName is required")
	case in.ContentType == "":
		return refuse(http.StatusBadRequest, "Input contentType is required")
	case in.Parts < 1 || in.Parts > partsMost:
		return refuse(http.StatusBadRequest, "Input parts must be between 1 and 10000")
	case in.FileSize < 1:
		return refuse(http.StatusBadRequest, "Input fileSize must be at least 1")
	}
	u := &upload{
		ID: newID("upload_"), Project: c.project, Author: c.author, JobID: newID("job_"), Kind: in.Kind,
		FileName: in.FileName, MIME: in.ContentType, Parts: in.Parts, FileSize: in.FileSize, At: c.now,
	}
	if err := s.keepUpload(u); err != nil {
		return broken(err)
	}
	v := u.view(c.now)
	expires := c.now.Add(time.Hour)
	for n := range u.Parts {
		v.Parts = append(v.Parts, partView{n + 1, s.signPart(c.origin(), u.ID, n+1, expires), expires.Format(time.RFC3339)})
	}
	return answer(map[string]any{"upload": v})
}

// uploadState is GET /uploads/{id}.
func (s *Server) uploadState(c *call) reply {
	u := s.findUpload(c)
	if u == nil {
		return refuse(http.StatusNotFound, "Upload not found")
	}
	return answer(map[string]any{"upload": u.view(c.now)})
}

func (s *Server) findUpload(c *call) *upload {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.uploads[c.r.PathValue("id")]
	if u == nil || u.Project != c.project || u.JobID == "" {
		return nil
	}
	return u
}

// uploadComplete is POST /uploads/{id}/action.
func (s *Server) uploadComplete(c *call) reply {
	if action, _ := c.body["action"].(string); action != "complete" {
		return refuse(http.StatusBadRequest, "Input action must be one of complete")
	}
	u := s.findUpload(c)
	switch {
	case u == nil:
		return refuse(http.StatusNotFound, "Upload not found")
	case !u.Completed.IsZero():
		return refuse(http.StatusBadRequest, "Upload is already complete")
	}
	done := *u
	done.Completed = c.now
	done.Takes = s.scaled(4 * time.Second)
	asset := newID("asset_")
	if err := s.assemble(&done, asset); err != nil {
		if !errors.Is(err, errParts) {
			return broken(err)
		}
		done.Problem = err.Error()
	} else {
		done.AssetID = asset
	}
	if err := s.keepUpload(&done); err != nil {
		return broken(err)
	}
	v := done.view(c.now)
	v.Status = validating
	v.EntityID, v.ErrorMessage = nil, ""
	return answer(map[string]any{"upload": v})
}

var errParts = errors.New("the upload is incomplete")

// assemble joins the parts into the asset's file.
func (s *Server) assemble(u *upload, asset string) error {
	target, err := s.files.path(asset)
	if err != nil {
		return err
	}
	out, err := os.OpenFile(target, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	var total int64
	for n := range u.Parts {
		part, err := s.files.path(partName(u.ID, n+1))
		if err != nil {
			return err
		}
		size, err := appendFile(out, part)
		switch {
		case errors.Is(err, os.ErrNotExist):
			err = fmt.Errorf("%w: part %d was never sent", errParts, n+1)
		case err == nil && n+1 < u.Parts && size < partLeast:
			err = fmt.Errorf("%w: part %d is smaller than 5 MB", errParts, n+1)
		}
		if err != nil {
			return errors.Join(err, os.Remove(target))
		}
		total += size
	}
	if total != u.FileSize {
		return errors.Join(fmt.Errorf("%w: %d bytes were announced and %d sent", errParts, u.FileSize, total), os.Remove(target))
	}
	for n := range u.Parts {
		if part, err := s.files.path(partName(u.ID, n+1)); err == nil {
			_ = os.Remove(part)
		}
	}
	u.Properties = map[string]any{"size": total}
	u.AssetKind = u.Kind
	if t, _, err := mime.ParseMediaType(u.MIME); err == nil && u.Kind == "asset" {
		u.AssetKind, _, _ = strings.Cut(t, "/")
	}
	if _, err := out.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if config, _, err := image.DecodeConfig(out); err == nil {
		u.Properties["width"], u.Properties["height"] = config.Width, config.Height
	}
	return out.Close()
}

func appendFile(out io.Writer, name string) (int64, error) {
	in, err := os.Open(name)
	if err != nil {
		return 0, err
	}
	defer in.Close()
	return io.Copy(out, in)
}

func partName(upload string, n int) string { return upload + "." + strconv.Itoa(n) }

// putPart is the presigned PUT of one part: no credentials, no project, no JSON.
func (s *Server) putPart(w http.ResponseWriter, r *http.Request, v verdict) {
	id, n := r.PathValue("id"), r.PathValue("part")
	number, err := strconv.Atoi(n)
	s.mu.Lock()
	u := s.uploads[id]
	s.mu.Unlock()
	switch {
	case r.Header.Get("Authorization") != "":
		s.count(BreachPartAuth)
		writeXML(w, http.StatusBadRequest, "InvalidArgument", "Only one auth mechanism allowed")
		return
	case err != nil || !s.partSigned(r, id, number, time.Now()):
		writeXML(w, http.StatusForbidden, "AccessDenied", "Request has expired or its signature does not match")
		return
	case u == nil || number > u.Parts:
		writeXML(w, http.StatusNotFound, "NoSuchUpload", "The specified upload does not exist")
		return
	case r.ContentLength < 0:
		writeXML(w, http.StatusLengthRequired, "MissingContentLength", "You must provide the Content-Length HTTP header.")
		return
	}
	name, err := s.files.path(path.Base(partName(id, number)))
	if err == nil {
		err = writeFile(name, r.Body, r.ContentLength)
	}
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		writeXML(w, http.StatusBadRequest, "IncompleteBody", "You did not provide the number of bytes specified by the Content-Length HTTP header")
	case err != nil:
		writeXML(w, http.StatusInternalServerError, "InternalError", "We encountered an internal error. Please try again.")
	case v.exchange(after) != nil:
		s.spoil(w, r, v.exchange(after), http.StatusOK, nil)
	default:
		w.Header().Set("ETag", fmt.Sprintf("%q", fmt.Sprintf("%016x", hash64(id, n))))
		w.WriteHeader(http.StatusOK)
	}
}

// writeFile stores a body of a known size; one cut short leaves what stood there before.
func writeFile(name string, body io.Reader, size int64) error {
	f, err := os.OpenFile(name+".part", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.CopyN(f, body, size); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return errors.Join(err, os.Remove(f.Name()))
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
