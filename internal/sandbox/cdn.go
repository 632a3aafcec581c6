package sandbox

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

const keyPairID = "KSANDBOX"

// A policy is what a signed link allows, as CloudFront writes it. [SEEN]
type policy struct {
	Statement []statement `json:"Statement"`
}

type statement struct {
	Resource  string    `json:"Resource"`
	Condition condition `json:"Condition"`
}

type condition struct {
	DateLessThan struct {
		EpochTime int64 `json:"AWS:EpochTime"`
	} `json:"DateLessThan"`
}

// CloudFront's own spelling of base64.
var (
	toCloudFront   = strings.NewReplacer("+", "-", "=", "_", "/", "~")
	fromCloudFront = strings.NewReplacer("-", "+", "_", "=", "~", "/")
)

func (s *Server) mac(message string) []byte {
	m := hmac.New(sha256.New, s.key[:])
	m.Write([]byte(message))
	return m.Sum(nil)
}

// sign makes a link that lives until expires, or up to a second longer: links know whole seconds.
func (s *Server) sign(link string, expires time.Time) string {
	link += "?p=100"
	var p policy
	p.Statement = []statement{{Resource: link + "*"}}
	p.Statement[0].Condition.DateLessThan.EpochTime = expires.Add(time.Second - 1).Unix()
	doc, _ := json.Marshal(p) // of strings and numbers: cannot fail
	return fmt.Sprintf("%s&Policy=%s&Key-Pair-Id=%s&Signature=%s", link,
		toCloudFront.Replace(base64.StdEncoding.EncodeToString(doc)), keyPairID,
		toCloudFront.Replace(base64.StdEncoding.EncodeToString(s.mac(string(doc)))))
}

// signed says whether a request is what its policy allows, and allowed still. What is appended after the signed part
// is tolerated, for the policy's resource ends in *; anything else is not. [SEEN]
func (s *Server) signed(r *http.Request, now time.Time) bool {
	var plain []string
	var doc, signature, pair string
	for part := range strings.SplitSeq(r.URL.RawQuery, "&") {
		name, value, _ := strings.Cut(part, "=")
		switch name {
		case "Policy":
			doc = value
		case "Signature":
			signature = value
		case "Key-Pair-Id":
			pair = value
		default:
			plain = append(plain, part)
		}
	}
	rawDoc, err1 := base64.StdEncoding.DecodeString(fromCloudFront.Replace(doc))
	rawSignature, err2 := base64.StdEncoding.DecodeString(fromCloudFront.Replace(signature))
	if err1 != nil || err2 != nil || pair != keyPairID || !hmac.Equal(rawSignature, s.mac(string(rawDoc))) {
		return false
	}
	var p policy
	if json.Unmarshal(rawDoc, &p) != nil || len(p.Statement) != 1 {
		return false
	}
	asked := origin(r) + r.URL.EscapedPath() + "?" + strings.Join(plain, "&")
	return strings.HasPrefix(asked, strings.TrimSuffix(p.Statement[0].Resource, "*")) &&
		now.Unix() < p.Statement[0].Condition.DateLessThan.EpochTime
}

// signPart makes the presigned URL of an upload part.
func (s *Server) signPart(origin, upload string, n int, expires time.Time) string {
	at := strconv.FormatInt(expires.Unix(), 10)
	q := url.Values{"X-Amz-Expires": {at}, "X-Amz-Signature": {hex.EncodeToString(s.mac(partMessage(upload, n, at)))}}
	return fmt.Sprintf("%s/s3/%s/%d?%s", origin, upload, n, q.Encode())
}

func (s *Server) partSigned(r *http.Request, upload string, n int, now time.Time) bool {
	q := r.URL.Query()
	at := q.Get("X-Amz-Expires")
	signature, err := hex.DecodeString(q.Get("X-Amz-Signature"))
	expires, err2 := strconv.ParseInt(at, 10, 64)
	return err == nil && err2 == nil && now.Unix() < expires && hmac.Equal(signature, s.mac(partMessage(upload, n, at)))
}

func partMessage(upload string, n int, expires string) string {
	return fmt.Sprintf("PUT\n%s\n%d\n%s", upload, n, expires)
}

// origin is the address a request came to.
func origin(r *http.Request) string {
	if r.TLS != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// cdnAsset serves the bytes of an asset to whoever holds its link.
func (s *Server) cdnAsset(w http.ResponseWriter, r *http.Request, v verdict) {
	if r.Header.Get("Authorization") != "" {
		s.count(BreachCDNAuth)
	}
	now := time.Now()
	if v.has("expired-url") != nil || !s.signed(r, now) {
		accessDenied(w)
		return
	}
	s.mu.Lock()
	a := s.assets[r.PathValue("id")]
	s.mu.Unlock()
	if a == nil || !a.exists(now) {
		accessDenied(w) // a bucket does not tell strangers what it lacks
		return
	}
	if v.has("redirect") != nil {
		http.Redirect(w, r, origin(r)+r.URL.RequestURI()+"&hop=1", http.StatusFound)
		return
	}
	content, size, err := s.open(a)
	if err != nil {
		writeXML(w, http.StatusInternalServerError, "InternalError", "We encountered an internal error. Please try again.")
		return
	}
	defer content.Close()
	h := w.Header()
	etag := fmt.Sprintf("%016x", hash64("etag", a.id()))
	h.Set("Content-Type", a.mime())
	if f := v.has("wrong-mime"); f != nil {
		h.Set("Content-Type", f.MIME)
	}
	if v.has("etag-changed") != nil {
		etag = fmt.Sprintf("%016x", hash64("etag", a.id(), strconv.FormatInt(now.UnixNano(), 10)))
	}
	if v.has("range-ignored") != nil {
		r.Header.Del("Range")
	}
	h.Set("ETag", `"`+etag+`"`)
	var body io.ReadSeeker = content
	if v.has("corrupt") != nil {
		body = &corrupted{ReadSeeker: content, at: size / 2}
	}
	if f := v.has("wrong-length"); f != nil {
		body = io.NewSectionReader(readerAt{body}, 0, int64(float64(size)*f.At))
	}
	if f := v.exchange(after); f != nil {
		w = &cutWriter{ResponseWriter: w, server: s, r: r, rule: f, left: -1}
	}
	http.ServeContent(w, r, "", modified(a), body)
}

func modified(a *asset) time.Time {
	if a.up != nil {
		return a.up.importedAt()
	}
	return a.job.end()
}

// cdnThumbnail serves a small picture of an asset, also of a private one, to anybody. [SEEN] 502 for an unknown id
func (s *Server) cdnThumbnail(w http.ResponseWriter, r *http.Request, _ verdict) {
	s.mu.Lock()
	a := s.assets[r.PathValue("id")]
	s.mu.Unlock()
	if a == nil || !a.exists(time.Now()) {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	picture, err := s.studio.thumbnail(a)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	w.Header().Set("Content-Type", jpg.mime())
	http.ServeContent(w, r, "", modified(a), bytes.NewReader(picture))
}

func accessDenied(w http.ResponseWriter) {
	writeXML(w, http.StatusForbidden, "AccessDenied", "Access denied")
}

func writeXML(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>`, code)
	_ = xml.EscapeText(w, []byte(message)) // to a client that may have gone
	io.WriteString(w, "</Message></Error>")
}

// open gives the bytes of an asset.
func (s *Server) open(a *asset) (readSeekCloser, int64, error) {
	if a.up != nil {
		name, err := s.files.path(a.up.AssetID)
		if err != nil {
			return nil, 0, err
		}
		f, err := os.Open(name)
		if err != nil {
			return nil, 0, err
		}
		return f, a.up.FileSize, nil
	}
	if o := a.output(); o.Bytes > 0 {
		return unclosed{newSynthetic(a)}, o.Bytes, nil
	}
	made, err := s.studio.make(a)
	if err != nil {
		return nil, 0, err
	}
	a.size.Store(int64(len(made)))
	return unclosed{bytes.NewReader(made)}, int64(len(made)), nil
}

// size is the length of what open gives.
func (s *Server) size(a *asset) (int64, error) {
	if a.up != nil {
		return a.up.FileSize, nil
	}
	if o := a.output(); o.Bytes > 0 {
		return o.Bytes, nil
	}
	if n := a.size.Load(); n > 0 {
		return n, nil
	}
	_, n, err := s.open(a)
	return n, err
}

type readSeekCloser interface {
	io.ReadSeeker
	io.Closer
}

type unclosed struct{ io.ReadSeeker }

func (unclosed) Close() error { return nil }

// corrupted turns over the bits of one byte.
type corrupted struct {
	io.ReadSeeker
	at, pos int64
}

func (c *corrupted) Read(p []byte) (int, error) {
	n, err := c.ReadSeeker.Read(p)
	if i := c.at - c.pos; i >= 0 && i < int64(n) {
		p[i] ^= 0xff
	}
	c.pos += int64(n)
	return n, err
}

func (c *corrupted) Seek(offset int64, whence int) (int64, error) {
	pos, err := c.ReadSeeker.Seek(offset, whence)
	c.pos = pos
	return pos, err
}

// readerAt lets one reader, used by one goroutine, be read by position.
type readerAt struct{ io.ReadSeeker }

func (r readerAt) ReadAt(p []byte, off int64) (int, error) {
	if _, err := r.Seek(off, io.SeekStart); err != nil {
		return 0, err
	}
	return io.ReadFull(r.ReadSeeker, p)
}
