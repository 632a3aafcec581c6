package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"
)

const guidePause = 3 * time.Second // between two looks at a job, as the API's guides have it

// runGuideLoop is the loop that the API's guides show, in as many copies as the API has slots: submit, look at the job
// every 3 seconds, ask for its asset, fetch it. Whatever is refused is tried again after the same 3 seconds.
func runGuideLoop(t *testing.T, m *made) {
	ask := func(method, path string, body any) (answer struct {
		Job struct {
			JobID, Status string
			Metadata      struct{ AssetIDs []string }
		}
		Asset struct{ URL string }
	}) {
		for {
			var sent io.Reader
			if body != nil {
				b, _ := json.Marshal(body)
				sent = bytes.NewReader(b)
			}
			req, err := http.NewRequestWithContext(t.Context(), method, path, sent)
			if err != nil {
				t.Error(err)
				return answer
			}
			req.SetBasicAuth("key", "secret")
			resp, err := (&http.Client{Transport: m.wire}).Do(req)
			if err == nil {
				err = json.NewDecoder(resp.Body).Decode(&answer)
				resp.Body.Close()
				if err == nil && resp.StatusCode < 300 {
					return answer
				}
			}
			time.Sleep(guidePause)
		}
	}
	items := make(chan int, len(m.items))
	for i := range m.items {
		items <- i
	}
	close(items)
	var group sync.WaitGroup
	for range m.slots {
		group.Go(func() {
			for i := range items {
				job := ask(http.MethodPost, where+"/generate/custom/"+m.items[i].Model, m.items[i].Payload).Job
				for job.Status != "success" && job.Status != "failure" {
					time.Sleep(guidePause)
					job = ask(http.MethodGet, where+"/jobs/"+job.JobID, nil).Job
				}
				for _, id := range job.Metadata.AssetIDs {
					resp, err := (&http.Client{Transport: m.wire}).Get(ask(http.MethodGet, where+"/assets/"+id, nil).Asset.URL)
					if err != nil {
						t.Error(err)
						return
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
			}
		})
	}
	group.Wait()
}
