package store_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"dailies/internal/store"
	"dailies/internal/store/s3test"
	"dailies/pipeline"
)

func TestCopy(t *testing.T) {
	server := s3test.Start(t)
	places := map[string]func(t *testing.T, name string) store.Store{
		"folder": func(t *testing.T, _ string) store.Store { return open(t, t.TempDir(), store.Options{}) },
		"s3": func(t *testing.T, name string) store.Store {
			return open(t, server.URI(name), store.Options{AWS: server.Config})
		},
		"s3-parts": func(t *testing.T, name string) store.Store {
			return open(t, server.URI("parts-"+name), store.Options{AWS: server.Config, SinglePutLimit: 1})
		},
	}
	data := pattern(6 << 20)
	sum := sha256.Sum256(data)
	meta := pipeline.ObjectMeta{ContentType: "video/mp4", Values: map[string]string{"item": "dragon"}}
	for source, makeSource := range places {
		for target, makeTarget := range places {
			t.Run(source+" to "+target, func(t *testing.T) {
				from, to := makeSource(t, "from-"+target), makeTarget(t, "to-"+source)
				o, err := from.Put(t.Context(), "a/x y.mp4", stream(data), int64(len(data)), meta)
				if err != nil {
					t.Fatal(err)
				}
				known := store.Known{Bytes: o.Bytes, SHA256: hex.EncodeToString(sum[:]), Version: o.Version}
				for range 2 { // it may be done again
					copied, err := store.Copy(t.Context(), from, to, "a/x y.mp4", known, meta)
					if err != nil || copied.Bytes != o.Bytes || copied.Version == "" {
						t.Fatalf("%+v, %v", copied, err)
					}
					body, now, err := to.Open(t.Context(), "a/x y.mp4")
					if err != nil {
						t.Fatal(err)
					}
					got, err := io.ReadAll(body)
					body.Close()
					if err != nil || !bytes.Equal(got, data) || now.Version != copied.Version {
						t.Fatalf("%d bytes, version %q, want %q, %v", len(got), now.Version, copied.Version, err)
					}
				}
				if same, _, err := store.Holds(t.Context(), to, "a/x y.mp4", known); !same || err != nil {
					t.Errorf("%v, %v", same, err)
				}
				if _, _, err := from.Open(t.Context(), "a/x y.mp4"); err != nil {
					t.Errorf("the source is gone: %v", err)
				}

				// Somebody alters the source: the copy stays what it was.
				for _, bad := range [][]byte{[]byte("short"), append(bytes.Clone(data[:len(data)-1]), '!')} {
					if _, err := from.Put(t.Context(), "a/x y.mp4", stream(bad), int64(len(bad)), meta); err != nil {
						t.Fatal(err)
					}
					if _, err := store.Copy(t.Context(), from, to, "a/x y.mp4", known, meta); pipeline.CodeOf(err) != pipeline.CodeCorrupt {
						t.Errorf("altered: %v", err)
					}
				}
				if same, _, err := store.Holds(t.Context(), to, "a/x y.mp4", known); !same || err != nil {
					t.Errorf("after that: %v, %v", same, err)
				}
				if _, err := store.Copy(t.Context(), from, to, "gone", known, meta); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("gone: %v", err)
				}
			})
		}
	}
}

// Between buckets nothing flows through here, and what the object says of itself goes with it.
func TestCopyWithinS3IsTheServers(t *testing.T) {
	server := s3test.Start(t)
	from := open(t, server.URI("from"), store.Options{AWS: server.Config})
	to := open(t, server.URI("to"), store.Options{AWS: server.Config})
	data := pattern(1 << 20)
	sum := sha256.Sum256(data)
	o, err := from.Put(t.Context(), "x", stream(data), int64(len(data)), pipeline.ObjectMeta{ContentType: "video/mp4", Values: map[string]string{"item": "dragon"}})
	if err != nil {
		t.Fatal(err)
	}
	known := store.Known{Bytes: o.Bytes, SHA256: hex.EncodeToString(sum[:]), Version: o.Version}
	if _, err := store.Copy(t.Context(), from, to, "x", known, pipeline.ObjectMeta{ContentType: "not asked for"}); err != nil {
		t.Fatal(err)
	}
	head, err := server.Client().HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &server.Bucket, Key: aws.String("to/x")})
	if err != nil {
		t.Fatal(err)
	}
	if aws.ToString(head.ContentType) != "video/mp4" || head.Metadata["item"] != "dragon" {
		t.Errorf("%q, %v: it was sent from here", aws.ToString(head.ContentType), head.Metadata)
	}
}
