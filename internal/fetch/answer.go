package fetch

import (
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"dailies/pipeline"
)

// A version is what the sender says of one representation of the file.
type version struct {
	etag     string // strong, or empty
	modified string // Last-Modified as sent
	size     int64  // -1 when not told
}

func versionOf(h http.Header, size int64) version {
	v := version{etag: h.Get("ETag"), modified: h.Get("Last-Modified"), size: size}
	if !strings.HasPrefix(v.etag, `"`) { // weak, or not an entity tag
		v.etag = ""
	}
	return v
}

// condition is the If-Range that lets the sender answer with a part only if the file is still this one.
func (v version) condition() string {
	if v.etag != "" {
		return v.etag
	}
	return v.modified
}

// differs tells whether the validators of two answers cannot be of the same file.
func (v version) differs(w version) bool {
	return v.etag != "" && w.etag != "" && v.etag != w.etag ||
		v.etag == "" && w.etag == "" && v.modified != "" && w.modified != "" && v.modified != w.modified
}

// same tells whether two answers are provably of the same file.
func (v version) same(w version) bool {
	return v.etag != "" && v.etag == w.etag && v.size == w.size
}

// An answer is where a body begins in the file, and which file it is of.
type answer struct {
	from int64
	version
}

// read judges an answer to a request for the file from byte asked on (0: all of it).
func read(resp *http.Response, asset pipeline.Asset, asked int64) (answer, *fault) {
	if f := refused(resp); f != nil {
		return answer{}, f
	}
	if encoding := resp.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return answer{}, &fault{code: pipeline.CodeCorrupt, text: fmt.Sprintf("the bytes came encoded as %q though plain ones were asked for", encoding)}
	}
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind == "text/html" && asset.MIME != kind {
		what := "the asset"
		if asset.MIME != "" {
			what = asset.MIME
		}
		return answer{}, &fault{code: pipeline.CodeDownload, text: "a web page came instead of " + what, renew: 1}
	}
	if resp.StatusCode == http.StatusOK {
		return answer{0, versionOf(resp.Header, resp.ContentLength)}, nil
	}
	part, ok := parseContentRange(resp.Header.Get("Content-Range"))
	length := part.last - part.first + 1
	if !ok || part.first != asked || resp.ContentLength >= 0 && resp.ContentLength != length {
		return answer{}, &fault{code: pipeline.CodeCorrupt,
			text: fmt.Sprintf("another part came than the one asked for: %.80q for bytes %d on", resp.Header.Get("Content-Range"), asked)}
	}
	return answer{part.first, versionOf(resp.Header, part.total)}, nil
}

// refused tells what an answer without the file means; nil for 200 and 206.
func refused(resp *http.Response) *fault {
	f := &fault{code: pipeline.CodeDownload, text: "the server answered " + strconv.Itoa(resp.StatusCode)}
	if name := http.StatusText(resp.StatusCode); name != "" {
		f.text += " " + name
	}
	switch code := resp.StatusCode; {
	case code == http.StatusOK, code == http.StatusPartialContent:
		return nil
	case code == http.StatusBadRequest, code == http.StatusUnauthorized, code == http.StatusForbidden,
		code == http.StatusNotFound, code == http.StatusGone:
		// An expired or broken signature is a 403, the same every time [SEEN]; other signers say 400, 401 or 410.
		f.code, f.stop, f.renew = pipeline.CodeURLExpired, true, 3
	case code == http.StatusRequestedRangeNotSatisfiable:
		f.code, f.stop = pipeline.CodeCorrupt, true
		f.text = "the file has become shorter than what was already read of it"
	case code == http.StatusTooManyRequests, code == http.StatusRequestTimeout, code == http.StatusTooEarly, code >= 500:
		f.after = retryAfter(resp.Header.Get("Retry-After"))
	default:
		f.stop = true
	}
	return f
}

// maxRetryAfter bounds what a sender can ask for: waiting longer is the caller's decision.
const maxRetryAfter = 2 * time.Minute

func retryAfter(value string) time.Duration {
	if seconds, err := strconv.ParseInt(value, 10, 32); err == nil {
		return min(max(0, time.Duration(seconds)*time.Second), maxRetryAfter)
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(0, time.Until(at)), maxRetryAfter)
	}
	return 0
}

// A part is a Content-Range: both ends included; total is -1 when not told.
type part struct{ first, last, total int64 }

func parseContentRange(value string) (part, bool) {
	unit, rest, _ := strings.Cut(value, " ")
	ends, total, ok1 := strings.Cut(rest, "/")
	first, last, ok2 := strings.Cut(ends, "-")
	if !strings.EqualFold(unit, "bytes") || !ok1 || !ok2 {
		return part{}, false
	}
	p := part{total: -1}
	var err [3]error
	p.first, err[0] = digits(first)
	p.last, err[1] = digits(last)
	if total != "*" {
		p.total, err[2] = digits(total)
	}
	ok := err == [3]error{} && p.first <= p.last && (p.total < 0 || p.last < p.total)
	return p, ok
}

// digits parses a number that fits an int64 and has no sign.
func digits(s string) (int64, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	return int64(n), err
}
