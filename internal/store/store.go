// Package store is where assets and records go: a folder or a bucket, behind one interface.
//
// It promises that an object appears whole or not at all, that of several writers of one record exactly one wins,
// that memory does not grow with the size of an object, and that a failure says what a person can do about it. It
// refuses keys that leave the destination, and destinations that cannot keep these promises (see Probe).
package store

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"

	"dailies/pipeline"
)

// MaxRecord is the size in bytes above which something is not a record.
const MaxRecord = 4 << 20

// A Store is a destination. Its methods may be called concurrently. Keys are slash-separated relative paths. Errors
// that people can meet are *pipeline.Error; an object that is not there is an error that is [fs.ErrNotExist].
type Store interface {
	pipeline.Store

	// Probe proves, before anything is bought, that the destination can be read, written, listed and deleted from,
	// and that it keeps two writers of one record apart. It leaves no object behind.
	Probe(ctx context.Context) error

	// Open reads an object.
	Open(ctx context.Context, key string) (io.ReadCloser, pipeline.Object, error)

	// Remove deletes an object; one that is not there is no error.
	Remove(ctx context.Context, key string) error

	// ReadRecord returns a small object whole, and its version. One above [MaxRecord] is an error.
	ReadRecord(ctx context.Context, key string) (data []byte, version string, err error)

	// WriteRecord replaces the record that has the given version, "" meaning that there is none, and returns the
	// new version. If another version stands there the error is [pipeline.ErrConflict], unless its bytes are
	// these very ones: so a write whose answer was lost can be repeated. Whoever needs to know that it was they
	// who wrote puts something of their own in the record.
	WriteRecord(ctx context.Context, key string, data []byte, version string) (newVersion string, err error)

	// Close releases connections and handles. Nothing may be called after it.
	Close() error
}

// Options are for tests and rare setups; the zero value is right.
type Options struct {
	// AWS says how to reach S3; nil means the SDK's default chain (environment, profiles, SSO, web identity, roles).
	AWS func(context.Context) (aws.Config, error)

	// SinglePutLimit is the size in bytes up to which an object is sent to S3 in one request. Default 5 GiB, which
	// is also the most S3 takes.
	SinglePutLimit int64

	// PartSize is the size in bytes of the parts of larger objects and of those whose size is unknown. Default
	// 5 MiB, the least S3 takes; 10,000 parts is the most.
	PartSize int

	// PartBuffers is how many parts are held in memory at once, over all uploads. Default 4.
	PartBuffers int

	// Patience is how long an S3 server may neither take nor send anything before the attempt is given up. Default a
	// minute.
	Patience time.Duration
}

// Open returns the destination that uri names: "s3://bucket" or "s3://bucket/prefix", else a folder, which is created.
// It does not promise that the destination can be written: Probe does.
func Open(ctx context.Context, uri string, o Options) (Store, error) {
	scheme, rest, isURL := strings.Cut(uri, "://")
	switch {
	case !isURL:
		return openFolder(uri)
	case strings.EqualFold(scheme, "s3"):
		bucket, prefix, _ := strings.Cut(rest, "/")
		prefix = strings.Trim(prefix, "/")
		if bucket == "" || (prefix != "" && !fs.ValidPath(prefix)) {
			return nil, pipeline.Errorf(pipeline.CodeUsage, "output %q: want s3://bucket or s3://bucket/prefix", uri)
		}
		o.SinglePutLimit = cmp.Or(o.SinglePutLimit, 5<<30)
		o.PartSize = cmp.Or(o.PartSize, 5<<20)
		o.PartBuffers = cmp.Or(o.PartBuffers, 4)
		o.Patience = cmp.Or(o.Patience, time.Minute)
		return openBucket(ctx, bucket, prefix, o)
	}
	return nil, &pipeline.Error{Code: pipeline.CodeUsage, Message: fmt.Sprintf("output %q: %s is not a destination", uri, scheme+"://"),
		Hint: "name a bucket (s3://bucket/prefix) or a folder"}
}

// checkKey refuses what could leave the destination or would mean different objects on different systems.
func checkKey(key string) error {
	if !fs.ValidPath(key) || key == "." || !utf8.ValidString(key) || strings.ContainsAny(key, "\\\x00") || !filepath.IsLocal(filepath.FromSlash(key)) {
		return &pipeline.Error{Code: pipeline.CodeManifest, Message: fmt.Sprintf("key %q is not a plain relative path", key),
			Hint: "change key: in the manifest"}
	}
	return nil
}

// notExist is the error for an object that is not there.
func notExist(uri string) error {
	return &pipeline.Error{Code: pipeline.CodeDestination, Message: uri + ": there is no such object", Err: fs.ErrNotExist}
}

func tooLarge(uri string) error {
	return pipeline.Errorf(pipeline.CodeLedger, "%s is larger than %d MiB: not a record", uri, MaxRecord>>20)
}
