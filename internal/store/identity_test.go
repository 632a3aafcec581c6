package store_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"dailies/internal/store"
	"dailies/internal/store/s3test"
	"dailies/pipeline"
)

// A tokenService is an STS whose credentials are good for a second, and the gate of a bucket that holds to that.
type tokenService struct {
	t      *testing.T
	s3     *s3test.Server
	expect string // the web identity token to come

	mu      sync.Mutex
	issued  []time.Time
	refused int
}

const lifetime = time.Second

func (s *tokenService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil || r.Form.Get("Action") != "AssumeRoleWithWebIdentity" || r.Form.Get("RoleArn") != "arn:aws:iam::123456789012:role/night" ||
		r.Form.Get("WebIdentityToken") != s.expect {
		s.t.Errorf("STS is asked %v", r.Form)
		http.Error(w, "no", http.StatusForbidden)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.issued = append(s.issued, now)
	w.Header().Set("Content-Type", "text/xml")
	fmt.Fprintf(w, `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult>
<AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/night/x</Arn><AssumedRoleId>A:x</AssumedRoleId></AssumedRoleUser>
<Credentials><AccessKeyId>ASIA%[1]d</AccessKeyId><SecretAccessKey>secret-%[1]d</SecretAccessKey><SessionToken>session-%[1]d</SessionToken><Expiration>%[2]s</Expiration></Credentials>
</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`, len(s.issued)-1, now.Add(lifetime).UTC().Format(time.RFC3339Nano))
}

// gate lets a request through to the bucket while its session lasts, as S3 does; the server behind it knows no sessions,
// so what comes through is signed as its own. A request may have been signed just before the session's end and come
// just after.
func (s *tokenService) gate(target *url.URL, through http.RoundTripper) http.Handler {
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	to := &httputil.ReverseProxy{Transport: through, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		for _, name := range []string{"Authorization", "X-Amz-Security-Token", "X-Amz-Date"} {
			r.Out.Header.Del(name)
		}
		own := aws.Credentials{AccessKeyID: s.s3.AccessKey, SecretAccessKey: s.s3.SecretKey}
		if err := signer.SignHTTP(r.Out.Context(), own, r.Out, r.Out.Header.Get("X-Amz-Content-Sha256"), "s3", s.s3.Region, time.Now()); err != nil {
			s.t.Error(err)
		}
	}}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := -1
		fmt.Sscanf(r.Header.Get("X-Amz-Security-Token"), "session-%d", &n)
		s.mu.Lock()
		good := strings.Contains(r.Header.Get("Authorization"), fmt.Sprintf("Credential=ASIA%d/", n)) && n >= 0 && n < len(s.issued) && time.Since(s.issued[n]) < 2*lifetime
		if !good {
			s.refused++
		}
		s.mu.Unlock()
		if !good {
			w.WriteHeader(http.StatusBadRequest)
			io.WriteString(w, `<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>`)
			return
		}
		to.ServeHTTP(w, r)
	})
}

func (s *tokenService) sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.issued)
}

// TestCredentialsThatExpireWithinARun: a role assumed with a web identity is assumed again, by the process itself, as
// often as a run needs it; nothing it stores meets an expired session.
func TestCredentialsThatExpireWithinARun(t *testing.T) {
	server := s3test.Start(t)
	target, err := url.Parse(server.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	for name, prepare := range map[string]func(t *testing.T, s *tokenService){
		"a token in a file": func(t *testing.T, s *tokenService) {
			file := filepath.Join(t.TempDir(), "token")
			if err := os.WriteFile(file, []byte(s.expect), 0o600); err != nil {
				t.Fatal(err)
			}
			t.Setenv("AWS_WEB_IDENTITY_TOKEN_FILE", file)
		},
		"a token of GitHub's": func(t *testing.T, s *tokenService) {
			runner := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") != "Bearer of-the-runner" || r.URL.Query().Get("audience") != "sts.amazonaws.com" || r.URL.Query().Get("api-version") != "2" {
					t.Errorf("the runner is asked %s", r.URL)
				}
				fmt.Fprintf(w, `{"count": 1, "value": %q}`, s.expect)
			}))
			t.Cleanup(runner.Close)
			t.Setenv("ACTIONS_ID_TOKEN_REQUEST_URL", runner.URL+"/token?api-version=2")
			t.Setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "of-the-runner")
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := &tokenService{t: t, s3: server, expect: "eyJ." + strings.ReplaceAll(name, " ", "-")}
			sts := httptest.NewServer(s)
			t.Cleanup(sts.Close)
			through := &http.Transport{DisableCompression: true}
			t.Cleanup(through.CloseIdleConnections)
			gate := httptest.NewServer(s.gate(target, through))
			t.Cleanup(gate.Close)
			onlyEnvironment(t)
			t.Setenv("AWS_ENDPOINT_URL_STS", sts.URL)
			t.Setenv("AWS_ENDPOINT_URL_S3", gate.URL)
			t.Setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/night")
			prepare(t, s)

			dest, err := store.Open(t.Context(), server.URI(strings.ReplaceAll(name, " ", "-")), store.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer dest.Close()
			body := bytes.Repeat([]byte("frame"), 10_000)
			for n := 0; s.sessions() < 4; n++ { // three expire meanwhile
				key := fmt.Sprintf("clip-%d.mp4", n)
				if _, err := dest.Put(t.Context(), key, bytes.NewReader(body), int64(len(body)), pipeline.ObjectMeta{ContentType: "video/mp4"}); err != nil {
					t.Fatalf("object %d, session %d: %v", n, s.sessions(), err)
				}
			}
			if s.refused > 0 {
				t.Errorf("%d requests came with a session that was over", s.refused)
			}
		})
	}
}

// onlyEnvironment takes the developer's own credentials away.
func onlyEnvironment(t *testing.T) {
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE",
		"AWS_ROLE_SESSION_NAME", "AWS_ENDPOINT_URL", "ACTIONS_ID_TOKEN_REQUEST_URL", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
		"AWS_CONTAINER_CREDENTIALS_FULL_URI"} {
		t.Setenv(name, "")
	}
	t.Setenv("AWS_REGION", "us-east-1")
	t.Setenv("AWS_CONFIG_FILE", os.DevNull)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
}

// TestNoIdentity: a job that may not have tokens is told so, and no secret with it.
func TestNoIdentity(t *testing.T) {
	onlyEnvironment(t)
	runner := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Error(w, "of-the-runner", http.StatusForbidden) }))
	defer runner.Close()
	t.Setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/night")
	t.Setenv("ACTIONS_ID_TOKEN_REQUEST_URL", runner.URL+"/token?secret=of-the-runner")
	t.Setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "of-the-runner")
	_, err := store.Open(t.Context(), "s3://bucket/x", store.Options{})
	e := pipeline.AsError(err)
	if e == nil || e.Code != pipeline.CodeDestinationDenied || !strings.Contains(e.HintText(), "id-token: write") || !strings.Contains(e.Message, "status 403") {
		t.Fatalf("error is %v", err)
	}
	runner.Close()
	_, err = store.Open(t.Context(), "s3://bucket/x", store.Options{})
	if said := pipeline.AsError(err); said == nil || strings.Contains(said.Error(), "of-the-runner") {
		t.Errorf("error is %v", err)
	}
}
