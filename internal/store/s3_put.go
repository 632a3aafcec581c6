package store

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"mime"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"dailies/pipeline"
)

const maxParts = 10_000 // S3's

// Put sends an object whose size is known in one request, through which the body flows; so nothing of it is kept in
// memory. What is larger than that may be, or of unknown size, goes in parts. Neither is tried again here: a stream
// cannot be rewound.
func (b *bucket) Put(ctx context.Context, key string, from io.Reader, size int64, meta pipeline.ObjectMeta) (pipeline.Object, error) {
	name, err := b.object(key)
	if err != nil {
		return pipeline.Object{}, err
	}
	if size > int64(b.partSize)*maxParts && size > b.onePut {
		return pipeline.Object{}, pipeline.Errorf(pipeline.CodeDestination, "%s: %d bytes are more than %d parts of %d bytes", b.URI(key), size, maxParts, b.partSize)
	}
	src := &body{ctx: ctx, from: from, want: size}
	up := upload{bucket: b, key: key, name: name, contentType: cmp.Or(meta.ContentType, "application/octet-stream"), metadata: ascii(meta.Values)}
	var etag *string
	switch {
	case size < 0 || size > b.onePut:
		etag, err = up.inParts(ctx, src)
	case size == 0: // net/http takes a body of length 0 for one of unknown length
		if _, err = readSome(src, make([]byte, 1)); err == io.EOF {
			etag, err = up.whole(ctx, nil)
		}
	default:
		etag, err = up.stream(ctx, src)
	}
	if src.err != nil { // says more than what the destination made of it
		return pipeline.Object{}, src.err
	}
	if err != nil {
		return pipeline.Object{}, b.fail(ctx, "write", key, err)
	}
	version, err := b.stored(key, etag)
	if err != nil {
		return pipeline.Object{}, err
	}
	return pipeline.Object{Key: key, Bytes: src.n, Version: version}, nil
}

// An upload is one object on its way to S3.
type upload struct {
	*bucket
	key         string
	name        *string // key, as S3 knows it
	contentType string
	metadata    map[string]string
}

// stream sends a body of known length, with a checksum behind it that S3 holds against what it received.
func (u *upload) stream(ctx context.Context, src *body) (*string, error) {
	watched, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := pipeline.Errorf(pipeline.CodeDestination, "write %s: the server took nothing for %s", u.URI(u.key), u.patience)
	watch := time.AfterFunc(u.patience, func() { cancel(stalled) })
	defer watch.Stop()
	in := &s3.PutObjectInput{Bucket: &u.bucket.name, Key: u.name, Body: &taken{src, watch, u.patience}, ContentLength: &src.want,
		ContentType: &u.contentType, Metadata: u.metadata}
	out, err := u.client.PutObject(watched, in, once, checksumBehind)
	if err == nil {
		return out.ETag, nil
	}
	if context.Cause(watched) == error(stalled) {
		return nil, stalled
	}
	return nil, err
}

// taken is a body whose bytes must be taken in time. How long they are in coming is the sender's affair.
type taken struct {
	*body
	watch    *time.Timer
	patience time.Duration
}

func (t *taken) Read(p []byte) (int, error) {
	t.watch.Stop()
	defer t.watch.Reset(t.patience)
	return t.body.Read(p)
}

// whole sends an object that is in memory.
func (u *upload) whole(ctx context.Context, data []byte) (*string, error) {
	in := &s3.PutObjectInput{Bucket: &u.bucket.name, Key: u.name, Body: bytes.NewReader(data), ContentType: &u.contentType, Metadata: u.metadata,
		ChecksumAlgorithm: types.ChecksumAlgorithmCrc32}
	out, err := u.client.PutObject(ctx, in)
	if err != nil {
		return nil, err
	}
	return out.ETag, nil
}

// inParts sends a body one part at a time, through one buffer of those that all uploads share. It holds no second one
// while it waits, so uploads cannot wait for each other in a circle.
func (u *upload) inParts(ctx context.Context, src *body) (*string, error) {
	buf, err := u.takeBuffer(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { u.parts <- buf }()
	n, err := io.ReadFull(src, buf)
	if src.done {
		return u.whole(ctx, buf[:n])
	}
	if err != nil {
		return nil, err
	}
	created, err := u.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &u.bucket.name, Key: u.name, ContentType: &u.contentType,
		Metadata: u.metadata, ChecksumAlgorithm: types.ChecksumAlgorithmCrc32})
	if err != nil {
		return nil, err
	}
	etag, err := u.sendParts(ctx, created.UploadId, src, buf)
	if err != nil {
		u.abort(ctx, created.UploadId)
	}
	return etag, err
}

// sendParts sends what is in buf, which is full, and all that follows.
func (u *upload) sendParts(ctx context.Context, id *string, src *body, buf []byte) (*string, error) {
	var parts []types.CompletedPart
	for n := len(buf); n > 0; {
		number := aws.Int32(int32(len(parts) + 1))
		if *number > maxParts {
			return nil, pipeline.Errorf(pipeline.CodeDestination, "%s: more than %d parts of %d bytes", u.URI(u.key), maxParts, u.partSize)
		}
		out, err := u.client.UploadPart(ctx, &s3.UploadPartInput{Bucket: &u.bucket.name, Key: u.name, UploadId: id, PartNumber: number,
			Body: bytes.NewReader(buf[:n]), ChecksumAlgorithm: types.ChecksumAlgorithmCrc32})
		if err != nil {
			return nil, err
		}
		parts = append(parts, types.CompletedPart{PartNumber: number, ETag: out.ETag, ChecksumCRC32: out.ChecksumCRC32})
		if n, err = io.ReadFull(src, buf); err != nil && !src.done {
			return nil, err
		}
	}
	out, err := u.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: &u.bucket.name, Key: u.name, UploadId: id,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}})
	if err != nil {
		return nil, err
	}
	return out.ETag, nil
}

func (u *upload) takeBuffer(ctx context.Context) ([]byte, error) {
	select {
	case buf := <-u.parts:
		if buf == nil {
			buf = make([]byte, u.partSize)
		}
		return buf, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// abort frees the space of parts that will not become an object, also when the run is being stopped. If it fails, the
// bucket's own rule for unfinished uploads has to do it.
func (u *upload) abort(ctx context.Context, id *string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	_, _ = u.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &u.bucket.name, Key: u.name, UploadId: id})
}

// ascii makes values fit for headers, in the form in which S3 itself gives back what is not ASCII.
func ascii(values map[string]string) map[string]string {
	m := make(map[string]string, len(values))
	for k, v := range values {
		m[k] = mime.QEncoding.Encode("utf-8", v)
	}
	return m
}
