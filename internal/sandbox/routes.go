package sandbox

import (
	"bytes"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	statusDryRun = 269      // [CODE] of a quote
	bodyLimit    = 10 << 20 // the gateway's
	bulkLimit    = 200      // [SEEN] of ids in one call; more are refused whole
)

// A call is one request to the API, after authentication.
type call struct {
	r       *http.Request
	query   url.Values
	now     time.Time
	project string
	author  string
	raw     []byte
	body    map[string]any // of requests that have one; numbers as they were spelt
	verdict verdict
}

func (c *call) origin() string { return origin(c.r) }

type handler func(*call) reply

func (s *Server) routes() *http.ServeMux {
	m := http.NewServeMux()
	api := func(pattern, route string, h handler) {
		method, path, _ := strings.Cut(pattern, " ")
		m.HandleFunc(method+" /v1"+path, func(w http.ResponseWriter, r *http.Request) { s.serveAPI(w, r, route, h) })
	}
	api("POST /generate/custom/{model}", "submit", s.submit)
	api("GET /jobs/{id}", "job", s.getJob)
	api("GET /jobs", "jobs", s.listJobs)
	api("POST /jobs/{id}/action", "cancel", s.cancelJob)
	api("GET /assets/{id}", "assets", s.getAsset)
	api("POST /assets/get-bulk", "bulk", s.bulkAssets)
	api("POST /assets", "upload", s.uploadSmall)
	api("POST /uploads", "upload", s.uploadBegin)
	api("GET /uploads/{id}", "upload", s.uploadState)
	api("POST /uploads/{id}/action", "upload", s.uploadComplete)
	api("GET /models", "models", s.listModels)
	api("GET /models/{id}", "models", s.getModel)
	api("POST /models/get-bulk", "models", s.bulkModels)
	api("GET /teams", "teams", s.teams)
	api("GET /me", "me", func(*call) reply {
		return gateway(http.StatusForbidden, "API Keys cannot access protected resources")
	})
	m.HandleFunc("GET /cdn/assets/{id}", s.public("cdn", s.cdnAsset)) // HEAD too
	m.HandleFunc("GET /cdn/thumbnails/{id}", s.public("thumbnail", s.cdnThumbnail))
	m.HandleFunc("PUT /s3/{id}/{part}", s.public("part", s.putPart))
	m.HandleFunc("GET /_sandbox/book", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, answer(map[string]any{"purchases": s.Book()}).encode())
	})
	m.HandleFunc("GET /_sandbox/requests", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, answer(map[string]any{"requests": s.Requests()}).encode())
	})
	m.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.count("other")
		writeJSON(w, http.StatusNotFound, []byte(`{"message":"Not Found"}`))
	})
	return m
}

func (s *Server) count(route string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[route]++
}

// serveAPI takes a request through what every API request meets: what goes wrong with it, who asks, how often, and
// what goes wrong with its answer.
func (s *Server) serveAPI(w http.ResponseWriter, r *http.Request, route string, h handler) {
	c := &call{r: r, query: r.URL.Query()}
	if route == "submit" && dryRun(c.query) {
		route = "quote"
	}
	var problem reply
	if r.Method == http.MethodPost {
		problem = c.read(w)
	}
	c.now = clock()
	c.verdict = s.judge(route, s.subjectOf(r, c.body))
	if f := c.verdict.exchange(before); f != nil {
		s.spoil(w, r, f, 0, nil)
		return
	}
	out := s.admit(c)
	switch {
	case out.status != 0:
	case problem.status != 0:
		out = problem
	default:
		out = h(c)
	}
	made := out.encode()
	if f := c.verdict.exchange(after); f != nil {
		s.spoil(w, r, f, out.status, made)
		return
	}
	writeJSON(w, out.status, made)
}

// public takes a request that is no API request, and needs no key, through what goes wrong.
func (s *Server) public(route string, h func(http.ResponseWriter, *http.Request, verdict)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v := s.judge(route, s.subjectOf(r, nil))
		f := v.exchange(before)
		if late := v.exchange(after); f == nil && late != nil && late.Processed && r.Method == http.MethodGet {
			f = late // nothing is done by a GET
		}
		if f != nil {
			s.spoil(w, r, f, 0, nil)
			return
		}
		h(w, r, v)
	}
}

// judge counts a request and decides what goes wrong with it.
func (s *Server) judge(route string, about subject) verdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[route]++
	return s.script.draw(route, about)
}

// subjectOf finds the model and prompt a request is about, for rules that ask for them.
func (s *Server) subjectOf(r *http.Request, body map[string]any) (about subject) {
	if !slices.ContainsFunc(s.script, func(c *cue) bool { return c.Model != "" || c.Prompt != "" }) {
		return about
	}
	if model := r.PathValue("model"); model != "" {
		prompt, _ := body["prompt"].(string)
		return subject{[]string{model}, []string{prompt}}
	}
	ids := []string{r.PathValue("id")}
	if list, ok := body["assetIds"].([]any); ok {
		for _, v := range list {
			if id, ok := v.(string); ok {
				ids = append(ids, id)
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		j := s.jobs[id]
		if a := s.assets[id]; a != nil {
			j = a.job
		}
		if j != nil {
			about.models = append(about.models, j.Model)
			about.prompts = append(about.prompts, j.prompt())
		}
		if strings.HasPrefix(id, "model_") {
			about.models = append(about.models, id)
		}
	}
	return about
}

// read takes in the body, whole and before anything is decided: the gateway does, and a client that goes away is
// only noticed once it has been read.
func (c *call) read(w http.ResponseWriter) reply {
	raw, err := io.ReadAll(http.MaxBytesReader(w, c.r.Body, bodyLimit))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return gateway(http.StatusRequestEntityTooLarge, "Request Too Long")
	}
	if err != nil {
		return gateway(http.StatusBadRequest, "Bad Request")
	}
	c.raw = raw
	if c.body = decodeObject(raw); c.body == nil {
		return gateway(http.StatusBadRequest, "Invalid request body")
	}
	return reply{}
}

// decodeObject reads a JSON object with its numbers as they were spelt; nil for anything else.
func decodeObject(raw []byte) (m map[string]any) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if d.Decode(&m) != nil || d.More() {
		return nil
	}
	return m
}

// admit lets a call in, or says why not.
func (s *Server) admit(c *call) reply {
	key, secret, ok := credentials(c.r.Header.Get("Authorization"))
	if !ok || key == "" || secret == "" {
		return gateway(http.StatusUnauthorized, "Unauthorized")
	}
	if s.o.Key != "" && (subtle.ConstantTimeCompare([]byte(key), []byte(s.o.Key))&subtle.ConstantTimeCompare([]byte(secret), []byte(s.o.Secret))) != 1 {
		return gateway(http.StatusUnauthorized, "Unauthorized")
	}
	c.author = "apiu_" + derived(key)
	asked := c.query.Get("projectId")
	switch {
	case s.o.ProjectID != "" && asked != "" && asked != s.o.ProjectID:
		return refuse(http.StatusForbidden, "Forbidden")
	case s.o.ProjectID != "":
		c.project = s.o.ProjectID
	case asked != "":
		c.project = asked
	default:
		c.project = "proj_" + derived(key)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.projectNamed(c.project).minutes.allow(c.now, s.o.RequestsPerMinute) {
		return gateway(http.StatusTooManyRequests, "Too Many Requests")
	}
	return reply{}
}

// credentials reads HTTP Basic.
func credentials(header string) (key, secret string, ok bool) {
	encoded, found := strings.CutPrefix(header, "Basic ")
	if !found {
		return "", "", false
	}
	plain, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return "", "", false
	}
	return strings.Cut(string(plain), ":")
}

// derived is the part of an id that belongs to a key, without telling the key.
func derived(key string) string {
	const letters = "ABCDEFGHJKMNPQRSTVWXYZ23456789ab"
	var b strings.Builder
	for n := hash64("id", key); b.Len() < 24; n = bits.RotateLeft64(n*0x9e3779b97f4a7c15+1, 29) {
		b.WriteByte(letters[n%uint64(len(letters))])
	}
	return b.String()
}

func dryRun(q url.Values) bool {
	switch q.Get("dryRun") {
	case "true", "1", "api":
		return true
	}
	return false
}

// pageSize reads the parameter; a size out of range is refused.
func pageSize(q url.Values, normal, most int) (int, reply) {
	text := q.Get("pageSize")
	if text == "" {
		return normal, reply{}
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, refuse(http.StatusBadRequest, fmt.Sprintf("pageSize must be between 1 and %d", most))
	}
	return n, reply{}
}
