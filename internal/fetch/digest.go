package fetch

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"net/http"
	"strings"
)

// A digest checks a whole file against what its sender said of it. S3 says so in x-amz-checksum-* (of the object,
// whatever range is asked for), others in Repr-Digest (RFC 9530). An ETag is not used: it is an MD5 only sometimes.
type digest struct {
	hash.Hash
	name string
	want []byte
}

// digests are tried in order: the cheapest that are good enough to find damage come first.
var digests = []struct {
	header string
	make   func() hash.Hash
}{
	{"X-Amz-Checksum-Crc64nvme", func() hash.Hash { return crc64.New(crc64.MakeTable(0x9a6c9329ac4bc9b5)) }},
	{"X-Amz-Checksum-Crc32c", func() hash.Hash { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) }},
	{"X-Amz-Checksum-Crc32", func() hash.Hash { return crc32.NewIEEE() }},
	{"X-Amz-Checksum-Sha1", sha1.New},
	{"X-Amz-Checksum-Sha256", sha256.New},
}

// digestOf returns the check a 200 answer offers, nil when it offers none that can be used. A checksum of checksums
// (a multipart object's, "…-3") says nothing about the bytes in order and is passed over.
func digestOf(h http.Header) *digest {
	for _, d := range digests {
		if h.Get("X-Amz-Checksum-Type") == "COMPOSITE" {
			break
		}
		sum := d.make()
		if want, err := base64.StdEncoding.DecodeString(h.Get(d.header)); err == nil && len(want) == sum.Size() {
			return &digest{sum, strings.ToLower(d.header), want}
		}
	}
	for field := range strings.SplitSeq(h.Get("Repr-Digest"), ",") {
		encoded, ok := strings.CutPrefix(strings.TrimSpace(field), "sha-256=:")
		if !ok {
			continue
		}
		if want, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(encoded, ":")); err == nil && len(want) == sha256.Size {
			return &digest{sha256.New(), "repr-digest", want}
		}
	}
	return nil
}

func (d *digest) right() bool { return bytes.Equal(d.Sum(nil), d.want) }
