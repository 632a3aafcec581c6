package scenario

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"dailies/pipeline"
)

// pageSize is the most jobs a listing gives at once [DOC].
const pageSize = 200

// billing of a job. Its cuCostDetails are add-ons on top of cuCost, unlike a quote's costDetails [CODE].
type billing struct {
	CuCost        number
	CuCostDetails map[string]number
	DisableRefund flag
}

func (b *billing) UnmarshalJSON(data []byte) error {
	type plain billing
	if json.Unmarshal(data, (*plain)(b)) != nil {
		*b = billing{}
	}
	return nil
}

func (b billing) total() pipeline.CU {
	sum, _ := b.CuCost.cu()
	for _, n := range b.CuCostDetails {
		if addOn, _ := n.cu(); addOn <= pipeline.Unlimited-sum {
			sum += addOn
		}
	}
	return sum
}

// metadata of a job.
type metadata struct {
	AssetIDs texts
	Input    json.RawMessage
	ModelID  text
	Error    text // a string, null, or an object with a message [CODE]
	Hint     text
}

func (m *metadata) UnmarshalJSON(data []byte) error {
	type plain metadata
	if json.Unmarshal(data, (*plain)(m)) != nil {
		*m = metadata{}
	}
	return nil
}

// job is a job as the API writes it.
type job struct {
	jobID
	Status    text
	Progress  number
	CreatedAt moment
	UpdatedAt moment
	Billing   billing
	Metadata  metadata
}

// decodeJob reads one job; ok is false when it has no usable id.
func decodeJob(data []byte) (pipeline.Job, bool) {
	var j job
	if json.Unmarshal(data, &j) != nil || checkID("a job", j.String()) != nil {
		return pipeline.Job{}, false
	}
	input := object(j.Metadata.Input)
	model, _ := input["modelId"].(string)
	if model == "" {
		model = string(j.Metadata.ModelID)
	}
	return pipeline.Job{
		ID:        j.String(),
		Model:     model,
		State:     stateOf(string(j.Status)),
		Status:    string(j.Status),
		Progress:  clamp(j.Progress.float()),
		AssetIDs:  j.Metadata.AssetIDs,
		Input:     input,
		Error:     string(j.Metadata.Error),
		Hint:      string(j.Metadata.Hint),
		Cost:      j.Billing.total(),
		NoRefund:  bool(j.Billing.DisableRefund),
		Moderated: moderated(string(j.Metadata.Error)),
		CreatedAt: j.CreatedAt.Time,
		UpdatedAt: j.UpdatedAt.Time,
	}, true
}

// stateOf makes one of the many spellings: the first of each is the API's own [SEEN], the others stand in its
// guides [DOC]. A status it does not know is a job still running.
func stateOf(status string) pipeline.JobState {
	switch status {
	case "success", "succeeded", "completed":
		return pipeline.JobSucceeded
	case "failure", "failed", "error":
		return pipeline.JobFailed
	case "canceled", "cancelled":
		return pipeline.JobCanceled
	}
	return pipeline.JobRunning
}

// moderated reports whether a failure's words are those of a provider that refuses the content. There is no field
// for it; the words are those that the official client looks for [CODE].
func moderated(failure string) bool {
	failure = strings.ToLower(failure)
	return slices.ContainsFunc([]string{"moderat", "nsfw", "sensitive content", "content policy", "flagged", "safety system"},
		func(words string) bool { return strings.Contains(failure, words) })
}

// clamp holds a progress between 0 and 1; 1.02 has been seen [SEEN].
func clamp(f float64) float64 {
	if !(f > 0) {
		return 0
	}
	return min(f, 1)
}

// job asks for one job.
func (c *Client) job(ctx context.Context, id string, p priority) (pipeline.Job, error) {
	if err := checkID("a job", id); err != nil {
		return pipeline.Job{}, err
	}
	var out struct{ Job json.RawMessage }
	rq := call{kind: "job", about: "job " + id, priority: p, method: http.MethodGet, path: []string{"jobs", id}}
	if err := c.ask(ctx, rq, &out); err != nil {
		return pipeline.Job{}, err
	}
	j, ok := decodeJob(out.Job)
	if !ok || j.ID != id {
		return pipeline.Job{}, pipeline.Errorf(pipeline.CodeAPIUnreadable, "%s: the answer does not describe it", rq.about)
	}
	return j, nil
}

// page asks for one page of so many generation jobs, newest first [CODE]; next is empty after the last.
func (c *Client) page(ctx context.Context, token string, size int, p priority) (jobs []pipeline.Job, next string, err error) {
	rq := call{kind: "jobs", about: "list of jobs", priority: p, method: http.MethodGet, path: []string{"jobs"},
		query: url.Values{"types": {"custom"}, "pageSize": {strconv.Itoa(size)}}}
	if token != "" {
		rq.query.Set("paginationToken", token)
	}
	var out struct {
		Jobs                *[]json.RawMessage
		NextPaginationToken text
	}
	if err := c.ask(ctx, rq, &out); err != nil {
		return nil, "", err
	}
	if out.Jobs == nil {
		return nil, "", pipeline.Errorf(pipeline.CodeAPIUnreadable, "%s: the answer has no jobs field", rq.about)
	}
	for _, row := range *out.Jobs {
		if j, ok := decodeJob(row); ok {
			jobs = append(jobs, j)
		}
	}
	return jobs, string(out.NextPaginationToken), nil
}

// Jobs lists generation jobs newest first, back to the first one created before since, which is left out.
func (c *Client) Jobs(ctx context.Context, since time.Time) iter.Seq2[pipeline.Job, error] {
	return func(yield func(pipeline.Job, error) bool) {
		seen := make(map[string]bool)
		for token := ""; !seen[token]; {
			seen[token] = true
			jobs, next, err := c.page(ctx, token, pageSize, forAsset)
			if err != nil {
				yield(pipeline.Job{}, err)
				return
			}
			for _, j := range jobs {
				if !j.CreatedAt.IsZero() && j.CreatedAt.Before(since) || !yield(j, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			token = next
		}
		yield(pipeline.Job{}, pipeline.Errorf(pipeline.CodeAPIUnreadable, "list of jobs: its pages go round in a circle"))
	}
}

// Model returns the model's record as the API has it.
func (c *Client) Model(ctx context.Context, id string) (json.RawMessage, error) {
	if err := checkID("a model", id); err != nil {
		return nil, err
	}
	var out struct{ Model json.RawMessage }
	rq := call{kind: "model", about: "model " + id, priority: forAsset, method: http.MethodGet, path: []string{"models", id}}
	if err := c.ask(ctx, rq, &out); err != nil {
		return nil, err
	}
	if object(out.Model) == nil {
		return nil, pipeline.Errorf(pipeline.CodeAPIUnreadable, "%s: the answer does not describe it", rq.about)
	}
	return out.Model, nil
}
