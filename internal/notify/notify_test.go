package notify

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"dailies/pipeline"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSend(t *testing.T) {
	for name, c := range map[string]struct {
		answers []int // the last one for all that follow
		posts   int32
		ends    string // part of the error, "" for none
	}{
		"taken":            {[]int{200}, 1, ""},
		"taken in the end": {[]int{500, 200}, 2, ""},
		"refused":          {[]int{403}, 1, "status 403"},
		"redirected":       {[]int{302}, 1, "status 302"},
	} {
		t.Run(name, func(t *testing.T) {
			var posts atomic.Int32
			hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				var got struct{ Text string }
				if err := json.NewDecoder(r.Body).Decode(&got); err != nil || got.Text != `a "text"` || r.Header.Get("Content-Type") != "application/json" {
					t.Errorf("the webhook is told %+v (%v)", got, err)
				}
				n := int(posts.Add(1))
				w.Header().Set("Location", "https://elsewhere.example/secret")
				w.WriteHeader(c.answers[min(n, len(c.answers))-1])
			}))
			defer hook.Close()
			err := Send(t.Context(), hook.URL+"/services/T0/B0/secret", `a "text"`)
			if posts.Load() != c.posts {
				t.Errorf("%d posts, want %d", posts.Load(), c.posts)
			}
			if (err == nil) != (c.ends == "") || err != nil && !strings.Contains(err.Error(), c.ends) {
				t.Errorf("error %v, want %q", err, c.ends)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the address is in %q", err)
			}
		})
	}
}

func TestNobodyThere(t *testing.T) {
	hook := httptest.NewServer(http.NotFoundHandler())
	address := hook.URL + "/services/secret"
	hook.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond) // it need not try all its life
	defer cancel()
	if err := Send(ctx, address, "x"); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("error is %v", err)
	}
}

func TestAddresses(t *testing.T) {
	for address, good := range map[string]bool{
		"https://hooks.slack.com/services/T/B/x": true, "http://127.0.0.1:8080/x": true, "http://localhost/x": true, "http://[::1]:1/x": true,
		"http://hooks.slack.com/services/T/B/x": false, "ftp://127.0.0.1/x": false, "hooks.slack.com/x": false, "": false, "https://": false,
		"http://127.0.0.1.evil.example/x": false, "%": false,
	} {
		if err := check(address); (err == nil) != good {
			t.Errorf("%q: %v", address, err)
		} else if err != nil && len(address) > len("https://") && strings.Contains(err.Error(), address) {
			t.Errorf("the address is in %q", err)
		}
	}
}

func TestText(t *testing.T) {
	item := func(id string) *pipeline.Item { return &pipeline.Item{ID: id} }
	at := time.Date(2026, 11, 21, 2, 0, 0, 0, time.UTC)
	s := &pipeline.Summary{StartedAt: at, FinishedAt: at.Add(63 * time.Minute), Totals: pipeline.Totals{Items: 5, Delivered: 1, Reused: 1, Failed: 3, Spent: 13_250_000},
		Outcomes: []pipeline.Outcome{
			{Item: item("a"), Status: pipeline.Delivered}, {Item: item("b"), Status: pipeline.Reused},
			{Item: item("c"), Status: pipeline.Failed, Err: pipeline.Errorf(pipeline.CodeModerated, "<!channel> *no* `x` & <https://evil.example|here>")},
			{Item: item("d"), Status: pipeline.Failed, Err: pipeline.Errorf(pipeline.CodeModerated, "no")},
			{Item: item("e"), Status: pipeline.Failed, Err: pipeline.Errorf(pipeline.CodePlan, "no plan")},
		}}
	got := Text(Run{Batch: "dragons", Part: "2/5", Simulated: true, Gallery: "s3://b/index.html", Job: "https://ci.example/1", Exit: pipeline.ExitFailed}, s, nil)
	want := ":x: *dragons* (part 2/5) (simulated): 2 of 5 delivered, 3 failed; 13.25 CU in 1h03m\n" +
		"• `moderated` c and 1 more: &lt;!channel&gt; ∗no∗ 'x' &amp; &lt;https://evil.example|here&gt;\n" +
		"• `plan_required` e: no plan\n" +
		"s3://b/index.html\nhttps://ci.example/1"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	got = Text(Run{Batch: "dragons", Exit: pipeline.ExitRefused}, nil, pipeline.Errorf(pipeline.CodeCredentials, "refused"))
	if !strings.HasPrefix(got, ":x: *dragons*: not begun\nstopped: `credentials_refused` refused\n_") {
		t.Errorf("of a run that did not begin: %s", got)
	}
	for exit, mark := range map[int]string{pipeline.ExitDone: ":white_check_mark:", pipeline.ExitUnfinished: ":hourglass"} {
		if got := Text(Run{Exit: exit}, s, nil); !strings.HasPrefix(got, mark) {
			t.Errorf("exit %d begins %s", exit, got[:20])
		}
	}
}
