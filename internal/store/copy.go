package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"dailies/pipeline"
)

// mostServerCopy is the largest object S3 copies in one request.
const mostServerCopy = 5 << 30

// Known is what is known of an object that is to be copied: what was measured when it was delivered.
type Known struct {
	Bytes   int64
	SHA256  string // lower-case hex
	Version string // the source's own, of these very bytes
}

// Copy puts the object that from has under key under the same key in to, and proves that it is the one that is known:
// what is at the source now and is not, is refused, and leaves nothing. Between buckets S3 copies by itself; all else
// flows through, and is measured on the way.
func Copy(ctx context.Context, from, to Store, key string, k Known, meta pipeline.ObjectMeta) (pipeline.Object, error) {
	source, isBucket := from.(*bucket)
	target, toBucket := to.(*bucket)
	if isBucket && toBucket && k.Bytes <= mostServerCopy && k.Version != "" {
		return target.copyFrom(ctx, source, key, k)
	}
	body, o, err := from.Open(ctx, key)
	if err != nil {
		return pipeline.Object{}, err
	}
	defer body.Close()
	if o.Bytes != k.Bytes {
		return pipeline.Object{}, altered(from.URI(key))
	}
	return to.Put(ctx, key, &proven{from: body, sum: sha256.New(), want: k.SHA256, where: from.URI(key)}, k.Bytes, meta)
}

// copyFrom lets S3 copy the version that is known. Its ETag tells whether the copy is of the same bytes; where it
// cannot (parts, encryption), the copy is read.
func (b *bucket) copyFrom(ctx context.Context, from *bucket, key string, k Known) (pipeline.Object, error) {
	source, err := from.object(key)
	if err != nil {
		return pipeline.Object{}, err
	}
	target, err := b.object(key)
	if err != nil {
		return pipeline.Object{}, err
	}
	out, err := b.client.CopyObject(ctx, &s3.CopyObjectInput{Bucket: &b.name, Key: target,
		CopySource: aws.String(copySource(from.name, *source)), CopySourceIfMatch: aws.String(quote(k.Version))})
	if status(err) == http.StatusPreconditionFailed {
		return pipeline.Object{}, altered(from.URI(key))
	}
	if err != nil {
		if absent(err) {
			return pipeline.Object{}, notExist(from.URI(key))
		}
		return pipeline.Object{}, b.fail(ctx, "copy", key, err)
	}
	o := pipeline.Object{Key: key, Bytes: k.Bytes}
	if out.CopyObjectResult != nil {
		o.Version = unquote(out.CopyObjectResult.ETag)
	}
	if o.Version == k.Version {
		return o, nil
	}
	same, now, err := Holds(ctx, b, key, k)
	if err == nil && !same {
		err = pipeline.Errorf(pipeline.CodeCorrupt, "%s is not what was copied there", b.URI(key))
	}
	return now, err
}

// Holds reads an object and reports whether it is the one that is known.
func Holds(ctx context.Context, s Store, key string, k Known) (bool, pipeline.Object, error) {
	body, o, err := s.Open(ctx, key)
	if err != nil {
		return false, pipeline.Object{}, err
	}
	defer body.Close()
	if o.Bytes != k.Bytes {
		return false, o, nil
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, body); err != nil {
		return false, o, pipeline.Errorf(pipeline.CodeDestination, "read %s: %w", s.URI(key), err)
	}
	return hex.EncodeToString(sum.Sum(nil)) == k.SHA256, o, nil
}

func altered(uri string) error {
	return &pipeline.Error{Code: pipeline.CodeCorrupt, Message: uri + " is not what was delivered there: somebody has altered it",
		Hint: "dailies run delivers it again, from the asset"}
}

// proven is a stream whose end is an error when it was not the one that is wanted.
type proven struct {
	from  io.Reader
	sum   hash.Hash
	want  string
	where string
}

func (p *proven) Read(b []byte) (int, error) {
	n, err := p.from.Read(b)
	p.sum.Write(b[:n])
	if err == io.EOF && hex.EncodeToString(p.sum.Sum(nil)) != p.want {
		return n, altered(p.where)
	}
	if err != nil && err != io.EOF {
		return n, fmt.Errorf("read %s: %w", p.where, err)
	}
	return n, err
}
