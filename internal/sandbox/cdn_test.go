package sandbox

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestLinksExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := bubbled(t, Options{URLLife: 2 * time.Second})
		id := field(t, ask(s, "POST", "/v1/generate/custom/model_lyria-2", `{"prompt":"x"}`), "job", "jobId")
		asset := field(t, ask(s, "GET", "/v1/jobs/"+id, ""), "job", "metadata", "assetIds", 0)
		link := field(t, ask(s, "GET", "/v1/assets/"+asset+"?originalAssets=true", ""), "asset", "url")
		get := func(link string) *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, link, nil))
			return w
		}
		_, rest, _ := strings.Cut(link, "Policy=")
		encoded, _, _ := strings.Cut(rest, "&")
		raw, err := base64.StdEncoding.DecodeString(strings.NewReplacer("-", "+", "_", "=", "~", "/").Replace(encoded))
		if err != nil {
			t.Fatal(err)
		}
		var p struct {
			Statement []struct {
				Resource  string
				Condition struct {
					DateLessThan struct {
						Epoch int64 `json:"AWS:EpochTime"`
					}
				}
			}
		}
		if err := json.Unmarshal(raw, &p); err != nil || p.Statement[0].Condition.DateLessThan.Epoch != time.Now().Unix()+2 {
			t.Errorf("the expiry cannot be read from %s: %v", raw, err)
		}
		if w := get(link); w.Code != 200 || w.Header().Get("Content-Type") != "audio/wav" {
			t.Errorf("fresh: %d %s", w.Code, w.Body)
		}
		for edit, want := range map[string]string{
			link + "&width=512": "200",
			strings.Replace(link, "?p=100", "?width=512&p=100", 1): "403",
			strings.Replace(link, "p=100", "p=50", 1):              "403",
			strings.Replace(link, asset, "asset_X", 1):             "403",
			link[:len(link)-4] + "AAA_":                            "403",
			strings.Split(link, "&Policy")[0]:                      "403",
		} {
			if w := get(edit); fmt.Sprint(w.Code) != want {
				t.Errorf("%s: %d, want %s", edit, w.Code, want)
			}
		}
		time.Sleep(2*time.Second - time.Nanosecond)
		if w := get(link); w.Code != 200 {
			t.Errorf("just before its end: %d", w.Code)
		}
		time.Sleep(time.Nanosecond)
		if w := get(link); w.Code != 403 || !strings.Contains(w.Body.String(), "<Code>AccessDenied</Code>") || w.Header().Get("Content-Type") != "text/xml" {
			t.Errorf("expired: %d %s", w.Code, w.Body)
		}
		fresh := field(t, ask(s, "GET", "/v1/assets/"+asset, ""), "asset", "url")
		if w := get(fresh); w.Code != 200 {
			t.Errorf("asked for again: %d", w.Code)
		}
	})
}

func TestRanges(t *testing.T) {
	r := newRig(t, Options{})
	link := r.made("model_veo3-1-fast", veo)[0]["url"].(string)
	whole := r.do("GET", link, "")
	etag := whole.header.Get("ETag")
	part := r.do("GET", link, "", "Range", "bytes=100-199", "If-Range", etag)
	if part.status != 206 || !bytes.Equal(part.body, whole.body[100:200]) || part.header.Get("Content-Range") != fmt.Sprintf("bytes 100-199/%d", len(whole.body)) {
		t.Errorf("range: %d %v", part.status, part.header)
	}
	if res := r.do("GET", link, "", "Range", "bytes=100-199", "If-Range", `"another"`); res.status != 200 || len(res.body) != len(whole.body) {
		t.Errorf("If-Range of another file: %d, %d bytes", res.status, len(res.body))
	}
	if res := r.do("GET", link, "", "Range", fmt.Sprintf("bytes=%d-", len(whole.body))); res.status != 416 {
		t.Errorf("past the end: %d", res.status)
	}
	head := r.do("HEAD", link, "")
	if head.status != 200 || head.header.Get("Content-Length") != fmt.Sprint(len(whole.body)) || len(head.body) != 0 {
		t.Errorf("HEAD: %d %v", head.status, head.header)
	}
}

func TestCredentialsAtTheCDNAreABreach(t *testing.T) {
	r := newRig(t, Options{})
	link := r.made("model_lyria-2", `{"prompt":"x"}`)[0]["url"].(string)
	r.do("GET", link, "")
	if n := r.Requests()[BreachCDNAuth]; n != 0 {
		t.Fatalf("%d breaches before there was one", n)
	}
	r.do("GET", link, "", "Authorization", "Basic a2V5OnNlY3JldA==")
	if n := r.do("GET", "/_sandbox/requests", "").text(t, "requests", BreachCDNAuth); n != "1" {
		t.Errorf("%s breaches, want 1", n)
	}
}

func TestThumbnails(t *testing.T) {
	r := newRig(t, Options{})
	a := r.made("model_veo3-1-fast", veo)[0]
	res := r.do("GET", a["thumbnail"].(map[string]any)["url"].(string), "")
	config, format, err := image.DecodeConfig(bytes.NewReader(res.body))
	if err != nil || format != "jpeg" || config.Width != 320 || config.Height != 180 {
		t.Errorf("%s %+v %v", format, config, err)
	}
	if res := r.do("GET", "/cdn/thumbnails/asset_X", ""); res.status != 502 {
		t.Errorf("unknown: %d", res.status)
	}
	img := r.uploadPNG()
	if res := r.do("GET", "/cdn/thumbnails/"+img, ""); res.status != 200 {
		t.Errorf("of an upload: %d", res.status)
	}
}

func TestSyntheticAssets(t *testing.T) {
	for _, size := range []int64{1, 7, 100, 16 << 10, 3<<20 + 5} {
		r := newRig(t, Options{AssetBytes: func(string) int64 { return size }})
		for _, model := range []string{"model_veo3-1-fast", "model_lyria-2", "model_imagen4-ultra", "model_meshy-7-txt23d"} {
			as := r.made(model, `{"prompt":"x","generateAudio":true}`)
			link := as[0]["url"].(string)
			whole := r.do("GET", link, "")
			if len(as) != 1 || int64(len(whole.body)) != size || fmt.Sprint(as[0]["properties"].(map[string]any)["size"]) != fmt.Sprint(size) {
				t.Fatalf("%s: %d assets, %d bytes, want 1 of %d", model, len(as), len(whole.body), size)
			}
			if again := r.do("GET", link, ""); !bytes.Equal(again.body, whole.body) {
				t.Errorf("%s: other bytes the second time", model)
			}
			from := size / 3
			if rest := r.do("GET", link, "", "Range", fmt.Sprintf("bytes=%d-", from)); !bytes.Equal(rest.body, whole.body[from:]) {
				t.Errorf("%s: other bytes from the middle", model)
			}
		}
	}
}

func TestUploads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := bubbled(t, Options{Pace: 1, RequestsPerMinute: -1})
		content := bytes.Repeat([]byte("a video, more or less. "), 7<<20/23)
		first, second := content[:5<<20], content[5<<20:]
		begin := func() (id string, parts []string) {
			w := ask(s, "POST", "/v1/uploads", fmt.Sprintf(`{"fileName":"ref.mp4","contentType":"video/mp4","kind":"video","parts":2,"fileSize":%d}`, len(content)))
			return field(t, w, "upload", "id"), []string{field(t, w, "upload", "parts", 0, "url"), field(t, w, "upload", "parts", 1, "url")}
		}
		put := func(link string, body []byte, header ...string) int {
			req := httptest.NewRequest(http.MethodPut, link, bytes.NewReader(body))
			for i := 0; i < len(header); i += 2 {
				req.Header.Set(header[i], header[i+1])
			}
			w := httptest.NewRecorder()
			s.ServeHTTP(w, req)
			return w.Code
		}
		finish := func(id string) (states []string, asset string) {
			w := ask(s, "POST", "/v1/uploads/"+id+"/action", `{"action":"complete"}`)
			for {
				state := field(t, w, "upload", "status")
				if len(states) == 0 || states[len(states)-1] != state {
					states = append(states, state)
				}
				if state == imported || state == failed {
					return states, field(t, w, "upload", "entityId")
				}
				time.Sleep(time.Second)
				w = ask(s, "GET", "/v1/uploads/"+id, "")
			}
		}

		id, parts := begin()
		if got := put(parts[0], first, "Authorization", "Basic x"); got != 400 || s.Requests()[BreachPartAuth] != 1 {
			t.Errorf("a part with credentials: %d", got)
		}
		if got := put(parts[0]+"0", first); got != 403 {
			t.Errorf("an edited signature: %d", got)
		}
		if a, b := put(parts[0], first), put(parts[1], second); a != 200 || b != 200 {
			t.Fatalf("parts: %d %d", a, b)
		}
		states, asset := finish(id)
		if fmt.Sprint(states) != "[validating validated imported]" {
			t.Errorf("states %v", states)
		}
		view := ask(s, "GET", "/v1/assets/"+asset, "")
		if field(t, view, "asset", "kind") != "video" || field(t, view, "asset", "properties", "size") != fmt.Sprint(len(content)) {
			t.Errorf("asset: %s", view.Body)
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, field(t, view, "asset", "url"), nil))
		if sha256.Sum256(w.Body.Bytes()) != sha256.Sum256(content) {
			t.Error("the bytes that come back are not those that went up")
		}
		jobs := ask(s, "GET", "/v1/jobs?type=upload", "")
		if field(t, jobs, "jobs", 0, "metadata", "output", "entityId") != asset || field(t, jobs, "jobs", 0, "status") != success {
			t.Errorf("its job: %s", jobs.Body)
		}
		if got := ask(s, "POST", "/v1/generate/custom/model_kling-v3-omni-video", `{"prompt":"x","referenceVideo":"`+asset+`"}`).Code; got != 200 {
			t.Errorf("it cannot be used: %d", got)
		}

		id, parts = begin()
		put(parts[0], first)
		if states, _ := finish(id); states[len(states)-1] != failed {
			t.Errorf("a part was never sent: %v", states)
		}
		id, parts = begin()
		put(parts[0], second)
		put(parts[1], first)
		if states, _ := finish(id); states[len(states)-1] != failed {
			t.Errorf("the first part was below 5 MB: %v", states)
		}
		id, parts = begin()
		put(parts[0], first)
		put(parts[1], second[1:])
		if states, _ := finish(id); states[len(states)-1] != failed {
			t.Errorf("a byte was missing: %v", states)
		}
		time.Sleep(time.Hour)
		if got := put(parts[1], second); got != 403 {
			t.Errorf("an hour later: %d", got)
		}
		if got := len(s.Book()); got != 1 {
			t.Errorf("%d purchases, want the 1 generation: uploads are free", got)
		}
	})
}

func TestSmallUpload(t *testing.T) {
	r := newRig(t, Options{})
	data := smallPNG(t)
	for _, form := range []string{data, "data:image/png;base64," + data} {
		res := r.do("POST", "/v1/assets", `{"image":"`+form+`","name":"ref.png"}`)
		if res.status != 200 || res.text(t, "asset", "metadata", "name") != "ref.png" || res.text(t, "asset", "properties", "width") != "64" {
			t.Fatalf("%d %s", res.status, res.body)
		}
		want, _ := base64.StdEncoding.DecodeString(data)
		if got := r.do("GET", res.text(t, "asset", "url"), ""); !bytes.Equal(got.body, want) {
			t.Error("other bytes come back")
		}
	}
}

func TestSyntheticReadsStraight(t *testing.T) {
	s := &synthetic{head: []byte("head"), size: 1 << 20, seed: 1}
	whole, err := io.ReadAll(s)
	if err != nil || len(whole) != 1<<20 {
		t.Fatal(len(whole), err)
	}
	for _, from := range []int64{0, 1, 3, 4, 5, 8, 1<<20 - 1} {
		if _, err := s.Seek(from, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 13)
		n, _ := io.ReadFull(s, got)
		if !bytes.Equal(got[:n], whole[from:min(from+13, 1<<20)]) {
			t.Errorf("from %d: %x, want %x", from, got[:n], whole[from:min(from+13, 1<<20)])
		}
	}
}
