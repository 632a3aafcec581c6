package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// records are models in the API's own form, cut down to what the tests touch.
var records = map[string]string{
	"model_imagen4-ultra": `{"id":"model_imagen4-ultra","name":"Imagen 4 Ultra","capabilities":["txt2img"],"tags":["sc:featured"],"accessRestrictions":25,"inputs":[
		{"name":"prompt","type":"string","required":{"always":true},"costImpact":false},
		{"name":"aspectRatio","type":"string","default":"4:3","allowedValues":["9:16","3:4","1:1","4:3","16:9"],"costImpact":false}]}`,
	"model_veo3-1-fast": `{"id":"model_veo3-1-fast","name":"Veo 3.1 Fast","capabilities":["txt2video","img2video"],"accessRestrictions":25,"inputs":[
		{"name":"prompt","type":"string"},{"name":"image","type":"file"},{"name":"lastFrameImage","type":"file"},{"name":"referenceImages","type":"file_array"},
		{"name":"resolution","type":"string","default":"720p","allowedValues":["720p","1080p"]},
		{"name":"generateAudio","type":"boolean","required":{"always":true},"default":true},
		{"name":"aspectRatio","type":"string","default":"16:9","allowedValues":["16:9","9:16"]},
		{"name":"duration","type":"number","default":8,"allowedValues":[4,6,8]},{"name":"seed","type":"number"}]}`,
	"model_kling-v3-t2v-pro": `{"id":"model_kling-v3-t2v-pro","capabilities":["txt2video"],"inputs":[
		{"name":"prompt","type":"string"},{"name":"multiPrompt","type":"inputs_array","inputs":[{"name":"prompt","type":"string","required":{"always":true}},{"name":"duration","type":"string"}]},
		{"name":"duration","type":"string","default":"5","allowedValues":["3","5","10"]},{"name":"generateAudio","type":"boolean","default":true}]}`,
	"model_kling-v3-omni-video": `{"id":"model_kling-v3-omni-video","capabilities":["txt2video"],"inputs":[
		{"name":"prompt","type":"string","required":{"always":true}},{"name":"referenceImages","type":"file_array"},{"name":"referenceVideo","type":"file","kind":"video"},
		{"name":"generateAudio","type":"boolean","default":false},{"name":"duration","type":"number","default":5,"min":3,"max":15},{"name":"multiPrompt","type":"string"}]}`,
	"model_kling-v2-6-i2v-pro": `{"id":"model_kling-v2-6-i2v-pro","capabilities":["img2video"],"inputs":[
		{"name":"prompt","type":"string","required":{"always":true}},{"name":"image","type":"file","kind":"image","required":{"always":true},"maxSize":100000},
		{"name":"lastFrameImage","type":"file"},{"name":"generateAudio","type":"boolean","default":false},{"name":"duration","type":"string","default":"5","allowedValues":["5","10"]}]}`,
	"model_alibaba-happy-horse-reference-to-video": `{"id":"model_alibaba-happy-horse-reference-to-video","capabilities":["img2video"],"inputs":[
		{"name":"prompt","type":"string","required":{"always":true}},{"name":"referenceImages","type":"file_array","required":{"always":true}},
		{"name":"resolution","type":"string","default":"1080P"},{"name":"duration","type":"number","default":5,"min":3,"max":15}]}`,
	"model_kling-o1-r2v": `{"id":"model_kling-o1-r2v","capabilities":["img2video"],"inputs":[{"name":"prompt","type":"string","required":{"always":true}},
		{"name":"images","type":"file_array"},{"name":"elements","type":"inputs_array"}]}`,
	"model_lyria-2": `{"id":"model_lyria-2","capabilities":["txt2audio"],"inputs":[{"name":"prompt","type":"string","required":{"always":true}},{"name":"seed","type":"number"}]}`,
	"model_meshy-7-txt23d": `{"id":"model_meshy-7-txt23d","capabilities":["txt23d"],"accessRestrictions":50,"inputs":[
		{"name":"prompt","type":"string","required":{"always":true},"maxLength":600,"costImpact":false},{"name":"ultraMode","type":"boolean","default":false,"costImpact":true},
		{"name":"topology","type":"string","default":"triangle","allowedValues":["triangle","quad"],"costImpact":false},
		{"name":"textureResolution","type":"string","default":"2k","allowedValues":["2k","4k","8k"],"costImpact":true},
		{"name":"shouldRemesh","type":"boolean","default":false,"costImpact":false},{"name":"targetPolycount","type":"number","min":100,"max":300000,"costImpact":false}]}`,
	"model_p-image": `{"id":"model_p-image","capabilities":["txt2img"],"inputs":[{"name":"prompt","type":"string","required":{"always":true},"minLength":2},
		{"name":"width","type":"number","min":256,"max":1440,"step":16},{"name":"height","type":"number"},{"name":"numOutputs","type":"number","min":1,"max":4,"default":1},
		{"name":"style","type":"string_array","minLength":1,"maxLength":2,"allowedValues":["ink","oil"]},
		{"name":"mask","type":"file","required":{"ifDefined":{"strength":{"message":"Input mask is required when strength is given"}}}},{"name":"strength","type":"number"}]}`,
}

func models(id string) (json.RawMessage, bool) {
	r, ok := records[id]
	return json.RawMessage(r), ok
}

// A rig is a sandbox behind a real server, and a client of it.
type rig struct {
	*Server
	t    *testing.T
	http *httptest.Server
}

func newRig(t *testing.T, o Options) *rig {
	t.Helper()
	if o.Models == nil {
		o.Models = models
		o.ModelIDs = slices.Sorted(maps.Keys(records))
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	h := httptest.NewServer(s)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		h.Close()
	})
	return &rig{s, t, h}
}

// faulty is a rig without limits, at once, with a script.
func faulty(t *testing.T, script string) *rig {
	t.Helper()
	f, err := ParseFaults([]byte(script))
	if err != nil {
		t.Fatal(err)
	}
	return newRig(t, Options{RequestsPerMinute: -1, Concurrency: -1, Faults: f})
}

type response struct {
	status int
	header http.Header
	body   []byte
	err    error // of reading the body
}

func (r response) get(t *testing.T, path ...any) any {
	t.Helper()
	var v any
	d := json.NewDecoder(bytes.NewReader(r.body))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v in %q", err, r.body)
	}
	for _, p := range path {
		switch p := p.(type) {
		case string:
			v = v.(map[string]any)[p]
		case int:
			v = v.([]any)[p]
		}
	}
	return v
}

func (r response) text(t *testing.T, path ...any) string {
	t.Helper()
	return fmt.Sprint(r.get(t, path...))
}

func (r *rig) request(method, path, body string, header ...string) (*http.Response, error) {
	r.t.Helper()
	if strings.HasPrefix(path, "/") {
		path = r.http.URL + path
	}
	req, err := http.NewRequestWithContext(r.t.Context(), method, path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	if strings.HasPrefix(path, r.http.URL+"/v1") {
		req.SetBasicAuth("key", "secret")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return r.http.Client().Do(req)
}

func (r *rig) do(method, path, body string, header ...string) response {
	r.t.Helper()
	res, err := r.request(method, path, body, header...)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	if res.Header.Get(Header) != "1" {
		r.t.Errorf("%s %s: the answer does not say that it is the sandbox's", method, path)
	}
	b, err := io.ReadAll(res.Body)
	return response{res.StatusCode, res.Header, b, err}
}

// buy submits and returns the job id.
func (r *rig) buy(model, body string) string {
	r.t.Helper()
	res := r.do("POST", "/v1/generate/custom/"+model, body)
	if res.status != 200 {
		r.t.Fatalf("submit: %d %s", res.status, res.body)
	}
	return res.text(r.t, "job", "jobId")
}

// made buys at pace 0 and returns the assets' views.
func (r *rig) made(model, body string) []map[string]any {
	r.t.Helper()
	return r.assetsOf(r.buy(model, body))
}

func (r *rig) assetsOf(job string) []map[string]any {
	r.t.Helper()
	res := r.do("GET", "/v1/jobs/"+job, "")
	if got := res.text(r.t, "job", "status"); got != "success" {
		r.t.Fatalf("job is %s: %s", got, res.body)
	}
	ids, _ := json.Marshal(map[string]any{"assetIds": res.get(r.t, "job", "metadata", "assetIds")})
	var views []map[string]any
	for _, a := range r.do("POST", "/v1/assets/get-bulk", string(ids)).get(r.t, "assets").([]any) {
		views = append(views, a.(map[string]any))
	}
	return views
}

const veo = `{"prompt":"a paper boat on a river at dawn","generateAudio":true,"aspectRatio":"16:9","resolution":"720p","duration":8}`

func TestSubmitToBytes(t *testing.T) {
	r := newRig(t, Options{Key: "key", Secret: "secret", ProjectID: "proj_A"})
	quote := r.do("POST", "/v1/generate/custom/model_veo3-1-fast?dryRun=true&projectId=proj_A", veo)
	if quote.status != 269 || quote.text(t, "creativeUnitsCost") != "80" || quote.text(t, "costDetails", "custom-generation") != "80" {
		t.Errorf("quote: %d %s", quote.status, quote.body)
	}
	if len(r.Book()) != 0 {
		t.Fatal("a quote bought something")
	}
	submit := r.do("POST", "/v1/generate/custom/model_veo3-1-fast", veo)
	if got := submit.text(t, "job", "status"); got != "queued" {
		t.Errorf("status at submit: %s", got)
	}
	if got := submit.text(t, "creativeUnitsCost"); got != "80" {
		t.Errorf("cost: %s", got)
	}
	assets := r.assetsOf(submit.text(t, "job", "jobId"))
	if len(assets) != 1 || assets[0]["mimeType"] != "video/mp4" {
		t.Fatalf("assets: %v", assets)
	}
	file := r.do("GET", assets[0]["url"].(string), "")
	if size := assets[0]["properties"].(map[string]any)["size"]; file.status != 200 || fmt.Sprint(len(file.body)) != fmt.Sprint(size) {
		t.Errorf("file: %d, %d bytes; the asset says %v", file.status, len(file.body), size)
	}
	book := r.Book()
	if len(book) != 1 || book[0].Outcome != "success" || book[0].Refunded || book[0].Cost.String() != "80" {
		t.Errorf("book: %+v", book)
	}
	if got, want := string(book[0].Payload), `{"aspectRatio":"16:9","duration":8,"generateAudio":true,"prompt":"a paper boat on a river at dawn","resolution":"720p"}`; got != want {
		t.Errorf("payload %s, want %s", got, want)
	}
	counts := r.Requests()
	for route, n := range map[string]int{"submit": 1, "quote": 1, "job": 1, "bulk": 1, "cdn": 1} {
		if counts[route] != n {
			t.Errorf("%s was asked %d times, want %d", route, counts[route], n)
		}
	}
	var overHTTP struct{ Purchases []Purchase }
	if err := json.Unmarshal(r.do("GET", "/_sandbox/book", "").body, &overHTTP); err != nil || len(overHTTP.Purchases) != 1 {
		t.Errorf("book over HTTP: %v %v", overHTTP, err)
	}
}

func TestDryRunInTheBodyBuys(t *testing.T) {
	r := newRig(t, Options{})
	r.buy("model_imagen4-ultra", `{"prompt":"x","dryRun":true}`)
	if len(r.Book()) != 1 {
		t.Error("nothing was bought")
	}
}

func TestServe(t *testing.T) {
	s, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	res, err := http.Get("http://" + ln.Addr().String() + "/_sandbox/requests")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("served until %v", err)
	}
	if err := s.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("serving after Close: %v", err)
	}
}
