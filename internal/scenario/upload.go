package scenario

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"dailies/internal/retry"
	"dailies/pipeline"
)

const (
	// smallImage is where images stop going in one request. The guide says 6 MB; base64 and the gateway's limit of
	// 10 MB bite earlier, and the official plugin draws the line here [CODE].
	smallImage = 3_500_000

	// Parts are at least 5 MB and at most 10,000 [DOC].
	partBytes = 8 << 20
	mostParts = 10_000

	partTime   = 10 * time.Minute
	importTime = 15 * time.Minute // an upload is taken in within 2 to 30 s [SEEN]
)

var partPolicy = retry.Policy{Attempts: 3, Base: time.Second, Max: 8 * time.Second}

// Upload makes an asset of a local file and returns its id. The bytes must still be those the manifest was read
// with. Uploads are free of charge.
func (c *Client) Upload(ctx context.Context, f pipeline.File) (string, error) {
	up := upload{client: c, file: f, about: fmt.Sprintf("upload %q", f.Name)}
	file, err := os.Open(f.Path)
	if err != nil {
		return "", up.failed(ioWords(err), err)
	}
	defer file.Close()
	before, err := file.Stat()
	switch {
	case err != nil:
		return "", up.failed(ioWords(err), err)
	case !before.Mode().IsRegular():
		return "", up.failed("it is not a regular file", nil)
	case before.Size() != f.Bytes:
		return "", up.changed()
	case f.Bytes == 0:
		return "", up.failed("the file is empty", nil)
	}
	head := make([]byte, 512)
	n, err := file.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return "", up.failed(ioWords(err), err)
	}
	var known bool
	if up.mime, up.kind, known = fileType(head[:n], f.Path); !known {
		return "", up.failed("it is not a kind of file the API takes", nil)
	}
	if up.kind == "image" && f.Bytes < smallImage {
		return up.whole(ctx, file)
	}
	return up.inParts(ctx, file, before)
}

// An upload is one file on its way to becoming an asset.
type upload struct {
	client     *Client
	file       pipeline.File
	about      string
	mime, kind string
}

func (u *upload) failed(why string, cause error) *pipeline.Error {
	return &pipeline.Error{Code: pipeline.CodeUpload, Message: u.about + ": " + why, Err: cause}
}

func (u *upload) changed() *pipeline.Error {
	e := u.failed("the file changed while the run was going on", nil)
	e.Hint = "let nothing write to input files during a run, then run the same command again"
	return e
}

// ioWords leaves the path out of an error: the message names the file as the manifest spells it.
func ioWords(err error) string {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err.Error()
	}
	return err.Error()
}

// whole sends an image in one request, as base64 [CODE].
func (u *upload) whole(ctx context.Context, file *os.File) (string, error) {
	data, err := io.ReadAll(io.LimitReader(file, smallImage))
	if err != nil {
		return "", u.failed(ioWords(err), err)
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != u.file.SHA256 {
		return "", u.changed()
	}
	rq := call{kind: "upload", about: u.about, priority: forAsset, method: http.MethodPost, path: []string{"assets"}}
	rq.body = func() (io.Reader, int64) {
		before := fmt.Sprintf(`{"image":"data:%s;base64,`, u.mime)
		after := fmt.Sprintf(`","name":%s}`, pipeline.Canonical(filepath.Base(u.file.Name)))
		size := len(before) + base64.StdEncoding.EncodedLen(len(data)) + len(after)
		return io.MultiReader(bytes.NewReader([]byte(before)), &encoder{data: data}, bytes.NewReader([]byte(after))), int64(size)
	}
	var out struct{ Asset json.RawMessage }
	if err := u.client.ask(ctx, rq, &out); err != nil {
		return "", err
	}
	a, ok := decodeAsset(out.Asset)
	switch {
	case !ok || checkID("an asset", a.ID) != nil:
		return "", pipeline.Errorf(pipeline.CodeAPIUnreadable, "%s: the answer names no asset", u.about)
	case a.Broken:
		return "", u.failed("the API could not read it", nil)
	}
	return a.ID, nil
}

// encoder reads data as base64, without holding the whole text.
type encoder struct {
	data []byte // not yet encoded
	text []byte // encoded, not yet read
	buf  [4096]byte
}

func (e *encoder) Read(p []byte) (int, error) {
	if len(e.text) == 0 {
		if len(e.data) == 0 {
			return 0, io.EOF
		}
		n := min(len(e.data), len(e.buf)/4*3)
		base64.StdEncoding.Encode(e.buf[:], e.data[:n])
		e.text, e.data = e.buf[:base64.StdEncoding.EncodedLen(n)], e.data[n:]
	}
	n := copy(p, e.text)
	e.text = e.text[n:]
	return n, nil
}

// uploadState is an upload as the API describes it [DOC].
type uploadState struct {
	Upload struct {
		ID, Status, EntityID, ErrorMessage text
		Parts                              []struct {
			Number number
			URL    text
		}
	}
}

// inParts sends a file to storage in parts, has them joined, and waits until the API has taken it in.
func (u *upload) inParts(ctx context.Context, file *os.File, before fs.FileInfo) (string, error) {
	h := sha256.New()
	if _, err := io.Copy(h, file); err != nil {
		return "", u.failed(ioWords(err), err)
	}
	if hex.EncodeToString(h.Sum(nil)) != u.file.SHA256 {
		return "", u.changed()
	}
	size := max(partBytes, (u.file.Bytes+mostParts-1)/mostParts)
	parts := (u.file.Bytes + size - 1) / size
	begin := map[string]any{"fileName": filepath.Base(u.file.Name), "contentType": u.mime, "kind": u.kind,
		"parts": parts, "fileSize": u.file.Bytes}
	var state uploadState
	if err := u.ask(ctx, &state, http.MethodPost, begin, "uploads"); err != nil {
		return "", err
	}
	id := string(state.Upload.ID)
	if checkID("an upload", id) != nil || int64(len(state.Upload.Parts)) != parts {
		return "", pipeline.Errorf(pipeline.CodeAPIUnreadable, "%s: the answer does not say where %d parts go", u.about, parts)
	}
	for _, p := range state.Upload.Parts {
		n := p.Number.whole()
		if n < 1 || n > parts {
			return "", pipeline.Errorf(pipeline.CodeAPIUnreadable, "%s: the answer numbers a part %d of %d", u.about, n, parts)
		}
		at := (n - 1) * size
		if err := u.put(ctx, string(p.URL), io.NewSectionReader(file, at, min(size, u.file.Bytes-at)), n); err != nil {
			return "", err
		}
	}
	if after, err := file.Stat(); err != nil || after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime()) {
		return "", u.changed()
	}
	if err := u.ask(ctx, &state, http.MethodPost, map[string]any{"action": "complete"}, "uploads", id, "action"); err != nil {
		return "", err
	}
	return u.imported(ctx, id, state)
}

// ask makes one request of the upload's conversation and reads the state it answers with.
func (u *upload) ask(ctx context.Context, state *uploadState, method string, body any, path ...string) error {
	rq := call{kind: "upload", about: u.about, priority: forAsset, method: method, path: path}
	if body != nil {
		rq.body = jsonBody(body)
	}
	*state = uploadState{}
	return u.client.ask(ctx, rq, state)
}

// imported asks until the API has made an asset of the upload.
func (u *upload) imported(ctx context.Context, id string, state uploadState) (string, error) {
	limit := time.Now().Add(importTime)
	for pause := time.Second; ; pause = min(pause*3/2, 5*time.Second) {
		switch up := state.Upload; up.Status {
		case "imported", "complete", "completed":
			if checkID("an asset", string(up.EntityID)) == nil {
				return string(up.EntityID), nil
			}
			return "", pipeline.Errorf(pipeline.CodeAPIUnreadable, "%s: it was taken in and the answer names no asset", u.about)
		case "failed", "failure", "error":
			why := u.client.clean(string(up.ErrorMessage))
			if why == "" {
				why = "the API could not take it in"
			}
			return "", u.failed(why, nil)
		}
		if time.Now().After(limit) {
			return "", u.failed(fmt.Sprintf("the API has not taken it in within %s", pipeline.Span(importTime)), nil)
		}
		if !retry.Sleep(ctx, pause) {
			return "", interrupted(call{about: u.about}, &failure{err: context.Cause(ctx)})
		}
		if err := u.ask(ctx, &state, http.MethodGet, nil, "uploads", id); err != nil {
			if e := pipeline.AsError(err); !e.Code.Traits().Retry {
				return "", err
			}
			state = uploadState{} // it will have happened by then
		}
	}
}

// put sends one part to its presigned URL: no credentials, outside the request limit [SEEN]. Sending a part again
// replaces it, so this is tried again.
func (u *upload) put(ctx context.Context, to string, part *io.SectionReader, n int64) error {
	target, err := url.Parse(to)
	if err != nil || target.Host == "" || target.Scheme != "https" && !(target.Scheme == "http" && isLoopback(target.Hostname())) {
		return pipeline.Errorf(pipeline.CodeAPIUnreadable, "%s: part %d has no https address to go to", u.about, n)
	}
	send := func(int) error {
		ctx, cancel := context.WithTimeoutCause(ctx, partTime, errNoAnswer)
		defer cancel()
		body := io.NewSectionReader(part, 0, part.Size())
		req, err := http.NewRequestWithContext(ctx, http.MethodPut, to, io.NopCloser(body))
		if err != nil {
			return u.failed("the address of a part cannot be used", nil)
		}
		req.ContentLength = part.Size()
		req.Header.Set("User-Agent", u.client.userAgent)
		resp, err := u.client.http.Do(req)
		if err != nil {
			return &pipeline.Error{Code: pipeline.CodeAPIUnavailable, Err: scrub(err),
				Message: fmt.Sprintf("%s: part %d: %s", u.about, n, u.client.clean(scrub(err).Error()))}
		}
		drain(resp.Body)
		switch s := resp.StatusCode; {
		case s < 300:
			return nil
		case s >= 500 || s == http.StatusTooManyRequests || s == http.StatusRequestTimeout:
			return pipeline.Errorf(pipeline.CodeAPIUnavailable, "%s: part %d: the storage answered with status %d", u.about, n, s)
		default:
			return u.failed(fmt.Sprintf("part %d: the storage answered with status %d", n, s), nil)
		}
	}
	again := func(err error) retry.Verdict {
		return retry.Verdict{Again: pipeline.CodeOf(err).Traits().Retry && ctx.Err() == nil}
	}
	if err := retry.Do(ctx, partPolicy, send, again); err != nil {
		if ctx.Err() != nil {
			return interrupted(call{about: u.about}, &failure{err: context.Cause(ctx)})
		}
		return err
	}
	return nil
}
