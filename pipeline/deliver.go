package pipeline

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"dailies/internal/retry"
)

const (
	sniffLen    = 4096             // bytes of a file that decide its type
	assetWait   = 10 * time.Minute // for the API to finish processing an asset of a job that has succeeded
	bytesNotice = 1 << 20          // bytes between two events about one flowing asset
)

var assetPolicy = retry.Policy{Attempts: 1 << 10, Base: time.Second, Max: 15 * time.Second}

// deliver brings every asset of a succeeded job to the destination, at once: their URLs expire.
func (r *run) deliver(t *task) error {
	r.stage(t, StageFetch)
	assets, err := r.assets(t)
	if err != nil {
		return err
	}
	if err := r.setAside(t); err != nil {
		return err
	}
	outputs := make([]Output, len(assets))
	for i, a := range assets {
		if outputs[i], err = r.transfer(t, a, i+1, len(assets)); err != nil {
			return err
		}
	}
	rec := t.rec
	rec.State, rec.Outputs, rec.DeliveredAt, rec.Error = Stored, outputs, time.Now().UTC(), nil
	if unused := t.unused(assets); unused != nil {
		rec.Error = unused.Recorded(true) // the file is kept: it was paid for
	} else if refusal := t.it.judge(outputs).err(); refusal != nil {
		rec.Error = refusal.Recorded(true) // for people: what counts is what the files are and the manifest expects
	}
	t.redo = false
	return r.save(t, rec)
}

// assets describes what the job made, the kind the model is for first: a 3D model's thumbnail may be listed before
// the model itself. It waits for assets that the API is still processing.
func (r *run) assets(t *task) ([]Asset, error) {
	ctx, cancel := context.WithTimeout(r.working, assetWait)
	defer cancel()
	ids := t.rec.AssetIDs
	var assets []Asset
	err := r.persist(ctx, assetPolicy, func() error {
		known, err := r.API.Assets(ctx, ids)
		if err != nil {
			return err
		}
		assets = assets[:0]
		for _, id := range ids {
			a, ok := known[id]
			switch {
			case !ok:
				return &Error{Code: CodeNotFound, Message: "asset " + id + " of job " + t.rec.JobID + " is not there any more",
					Hint: "it was made and paid for, and deleted since; change the item's salt to have it made anew"}
			case a.Broken:
				return Errorf(CodeAssetFailed, "asset %s of job %s is broken, says the API", id, t.rec.JobID)
			case !a.Ready:
				return Errorf(CodeDownload, "asset %s of job %s is still being processed", id, t.rec.JobID)
			}
			assets = append(assets, a)
		}
		return nil
	})
	slices.SortStableFunc(assets, func(a, b Asset) int {
		return cmp.Compare(notKind(a, t.it.Makes), notKind(b, t.it.Makes))
	})
	return assets, err
}

func notKind(a Asset, kind string) int {
	if a.Kind == kind {
		return 0
	}
	return 1
}

// transfer streams one asset from its signed URL to the destination, taking its digest and its measures on the way.
func (r *run) transfer(t *task, a Asset, n, of int) (out Output, err error) {
	select {
	case r.flow <- struct{}{}:
		defer func() { <-r.flow }()
	case <-r.working.Done():
		return out, asStop(context.Cause(r.working))
	}
	err = r.persist(r.working, transferPolicy, func() error {
		out, err = r.stream(t, &a, n, of)
		return err
	})
	return out, err
}

// stream is one attempt at a transfer. A URL that was signed anew stays in a for the next.
func (r *run) stream(t *task, a *Asset, n, of int) (Output, error) {
	body, size, err := r.Fetcher.Open(r.working, *a, func(ctx context.Context) (Asset, error) {
		known, err := r.API.Assets(ctx, []string{a.ID})
		if err != nil {
			return Asset{}, err
		}
		if signed, ok := known[a.ID]; ok {
			*a = signed
			return signed, nil
		}
		return Asset{}, Errorf(CodeNotFound, "asset %s is not there any more", a.ID)
	})
	if err != nil {
		return Output{}, err
	}
	defer body.Close()

	src := &source{r: bufio.NewReaderSize(body, sniffLen)}
	head, err := src.r.Peek(sniffLen)
	if err != nil && !errors.Is(err, io.EOF) {
		return Output{}, err
	}
	mime, kind, ext := r.Inspector.Sniff(head, a.MIME)
	if isMedia(a.Kind) && !isMedia(kind) && kind != "" {
		return Output{}, Errorf(CodeCorrupt, "asset %s should be %s, and what came is %s", a.ID, a.Kind, mime)
	}
	sum := sha256.New()
	closer := t.closer || t.it.Expect.examines()
	inspect := r.Inspector.Inspect
	if closer {
		inspect = r.Inspector.Examine
	}
	look, facts := inspect(mime)
	src.w = io.MultiWriter(sum, look)
	src.told = func(moved int64) {
		r.emit(Event{Kind: EventBytes, Item: t.it, Bytes: moved, Total: size})
	}

	key := r.keyOf(t.it, n, of, ext)
	if err := CheckObjectKey(key); err != nil {
		return Output{}, Errorf(CodeDestination, "%w", err)
	}
	object, err := r.Store.Put(r.working, key, src, size, ObjectMeta{ContentType: mime, Values: map[string]string{
		"item": t.it.ID, "model": t.it.Model, "job": t.rec.JobID, "asset": a.ID, "fingerprint": t.it.Fingerprint,
	}})
	if src.err != nil {
		return Output{}, src.err // what broke the stream, rather than what the destination made of that
	}
	if err != nil {
		return Output{}, err
	}
	if object.Bytes != src.n {
		return Output{}, Errorf(CodeCorrupt, "%d bytes were sent to %s and it holds %d", src.n, r.Store.URI(key), object.Bytes)
	}
	src.told(src.n)
	if closer {
		r.unpack.Lock()
		defer r.unpack.Unlock()
	}
	f := facts()
	return Output{
		N: n, AssetID: a.ID, URI: r.Store.URI(key), Key: key, Bytes: src.n, SHA256: hex.EncodeToString(sum.Sum(nil)),
		MIME: mime, Kind: cmp.Or(kind, a.Kind), Width: cmp.Or(f.Width, a.Width), Height: cmp.Or(f.Height, a.Height),
		Duration: cmp.Or(f.Duration, a.Duration), Audio: f.Audio, Version: object.Version,
		Triangles: f.Triangles, Materials: f.Materials, Silent: f.Silent, Blank: f.Blank, Alpha: f.Alpha, Examined: closer,
	}, nil
}

// source is the stream on its way to the destination: everything read from it is also written to w.
type source struct {
	r    *bufio.Reader
	w    io.Writer
	n    int64
	last int64
	told func(int64)
	err  error // what ended the stream, if that was not its end
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.w.Write(p[:n]) // a digest and an inspector: neither fails
	s.n += int64(n)
	if s.n-s.last >= bytesNotice {
		s.last = s.n
		s.told(s.n)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

func (r *run) keyOf(it *Item, n, of int, ext string) string {
	return ObjectKey(cmp.Or(it.KeyTemplate, DefaultKey), KeyParts{Item: it.ID, Batch: r.Batch, Model: it.Model, N: n, Of: of, Ext: ext})
}

func isMedia(kind string) bool {
	return strings.HasPrefix(kind, "image") || kind == "video" || kind == "audio" || kind == "3d"
}
