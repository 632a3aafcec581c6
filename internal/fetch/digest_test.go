package fetch

import (
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"testing"
)

func TestDigestOf(t *testing.T) {
	text := []byte("123456789") // the standard check input
	b64 := func(h string) string {
		b, err := hex.DecodeString(h)
		if err != nil {
			t.Fatal(err)
		}
		return base64.StdEncoding.EncodeToString(b)
	}
	const sha = "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"
	for name, c := range map[string]struct {
		header, value string
		used          bool
	}{
		"crc64nvme":              {"x-amz-checksum-crc64nvme", b64("ae8b14860a799888"), true},
		"crc32c":                 {"x-amz-checksum-crc32c", b64("e3069283"), true},
		"crc32":                  {"x-amz-checksum-crc32", b64("cbf43926"), true},
		"sha1":                   {"x-amz-checksum-sha1", b64("f7c3bc1d808e04732adf679965ccc34ca7ae3441"), true},
		"sha256":                 {"x-amz-checksum-sha256", b64(sha), true},
		"repr-digest":            {"Repr-Digest", "sha-512=:AA==:, sha-256=:" + b64(sha) + ":", true},
		"checksum of checksums":  {"x-amz-checksum-crc32", b64("cbf43926") + "-3", false},
		"unknown":                {"x-amz-checksum-md2", b64("cbf43926"), false},
		"of the wrong length":    {"x-amz-checksum-sha256", b64("cbf43926"), false},
		"none":                   {"ETag", `"25f9e794323b453885f5181f1b624d0b"`, false},
		"only weaker algorithms": {"Repr-Digest", "md5=:JfnnlDI7RTiF9RgfG2JNCw==:", false},
	} {
		t.Run(name, func(t *testing.T) {
			d := digestOf(http.Header{http.CanonicalHeaderKey(c.header): {c.value}})
			if !c.used {
				if d != nil {
					t.Errorf("%s is used", d.name)
				}
				return
			}
			if d == nil {
				t.Fatal("not used")
			}
			d.Write(text)
			if !d.right() {
				t.Errorf("%s of the check input is said to be wrong", d.name)
			}
			d.Write(text)
			if d.right() {
				t.Errorf("%s of something else is said to be right", d.name)
			}
		})
	}
	composite := http.Header{"X-Amz-Checksum-Crc32": {b64("cbf43926")}, "X-Amz-Checksum-Type": {"COMPOSITE"}}
	if digestOf(composite) != nil {
		t.Error("a checksum of checksums is used")
	}
}
