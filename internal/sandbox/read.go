package sandbox

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

// getJob is GET /jobs/{id}.
func (s *Server) getJob(c *call) reply {
	j := s.findJob(c)
	if j == nil {
		return refuse(http.StatusNotFound, "Job not found")
	}
	return answer(map[string]any{"job": s.show(j, c.now, false)})
}

// findJob finds a job of the caller's project; another's is not there. [SEEN]
func (s *Server) findJob(c *call) *job {
	s.mu.Lock()
	defer s.mu.Unlock()
	if j := s.jobs[c.r.PathValue("id")]; j != nil && j.Project == c.project {
		return j
	}
	return nil
}

// show is a job's view; an upload's changes under it, so that is read with care.
func (s *Server) show(j *job, now time.Time, bare bool) jobView {
	s.mu.Lock()
	u := j.upload
	s.mu.Unlock()
	if u != nil {
		return u.jobView(j, now)
	}
	return j.view(now, bare)
}

// cancelJob is POST /jobs/{id}/action. A generation cannot be canceled. [SEEN]
func (s *Server) cancelJob(c *call) reply {
	if s.findJob(c) == nil {
		return refuse(http.StatusNotFound, "Job not found")
	}
	if action, _ := c.body["action"].(string); action != "cancel" {
		return refuse(http.StatusBadRequest, "Input action must be one of cancel")
	}
	return refuse(http.StatusBadRequest, "Cannot cancel this type of job. Action not permitted.")
}

// A token is where a listing goes on: opaque to clients, the key of the last row as DynamoDB writes it. [CODE]
type token struct {
	CreatedAt text `json:"createdAt,omitzero"`
	JobID     text `json:"jobId,omitzero"`
	OwnerID   text `json:"ownerId,omitzero"`
	ModelID   text `json:"modelId,omitzero"`
}

type text struct {
	S string `json:"S"`
}

func (t token) String() string {
	b, _ := json.Marshal(t) // of strings: cannot fail
	return base64.StdEncoding.EncodeToString(b)
}

func readToken(encoded string) (t token, err error) {
	b, err := base64.StdEncoding.DecodeString(encoded)
	if err == nil {
		err = json.Unmarshal(b, &t)
	}
	return t, err
}

// listJobs is GET /jobs: newest first, a page a time. What it costs depends on the page, not on how many there are.
func (s *Server) listJobs(c *call) reply {
	size, refusal := pageSize(c.query, 10, 200)
	if refusal.status != 0 {
		return refusal
	}
	status := c.query.Get("status")
	switch status {
	case "", pending, queued, warmingUp, inProgress, finalizing, success, failure, canceled:
	default:
		return refuse(http.StatusBadRequest, "status must be one of pending, queued, warming-up, in-progress, finalizing, success, failure, canceled")
	}
	types := c.query.Get("types")
	if types == "" {
		types = c.query.Get("type")
	}
	wanted := strings.Split(types, ",")
	author := c.query.Get("authorId")
	page, next, ok := s.page(c, size, func(j *job) bool {
		kind := "custom"
		if j.upload != nil {
			kind = "upload"
		}
		return (types == "" || slices.Contains(wanted, kind)) &&
			(author == "" || j.Author == author) &&
			(status == "" || j.status(c.now) == status)
	})
	if !ok {
		return refuse(http.StatusBadRequest, "Invalid pagination token")
	}
	bare := c.query.Get("hideResults") == "true"
	views := make([]jobView, len(page))
	for i, j := range page {
		views[i] = s.show(j, c.now, bare)
	}
	return answer(map[string]any{"jobs": views, "nextPaginationToken": next})
}

// page collects a page of the caller's jobs, and the token of the next one, nil on the last.
func (s *Server) page(c *call, size int, keep func(*job) bool) (page []*job, next *string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.projectNamed(c.project)
	for _, f := range c.verdict {
		if f.Fault != "listing-strangers" {
			continue
		}
		for n := range f.Count {
			s.add(s.stranger(p, f, c.now, n))
		}
	}
	i := len(p.jobs) - 1
	if encoded := c.query.Get("paginationToken"); encoded != "" {
		t, err := readToken(encoded)
		if i = p.position(t.JobID.S, s.jobs); err != nil || i < 0 {
			return nil, nil, false
		}
		i--
	}
	youngest := c.now
	if f := c.verdict.has("listing-lag"); f != nil {
		youngest = c.now.Add(-f.For)
	}
	for ; i >= 0; i-- {
		j := p.jobs[i]
		if j.At.After(youngest) || !keep(j) {
			continue
		}
		if len(page) == size {
			last := page[size-1]
			t := token{text{timestamp(last.At)}, text{last.ID}, text{last.Project}, text{}}.String()
			return page, &t, true
		}
		page = append(page, j)
	}
	return page, nil, true
}

// position finds a job among its project's by its time, -1 when it is not there.
func (p *project) position(id string, all map[string]*job) int {
	j := all[id]
	if j == nil {
		return -1
	}
	i, _ := slices.BinarySearchFunc(p.jobs, j.At, func(a *job, t time.Time) int { return a.At.Compare(t) })
	for ; i < len(p.jobs) && p.jobs[i].At.Equal(j.At); i++ {
		if p.jobs[i] == j {
			return i
		}
	}
	return -1
}

// getAsset is GET /assets/{id}.
func (s *Server) getAsset(c *call) reply {
	views, err := s.describe(c, []string{c.r.PathValue("id")})
	if err != nil {
		return broken(err)
	}
	if len(views) == 0 {
		return refuse(http.StatusNotFound, "Asset not found")
	}
	return answer(map[string]any{"asset": views[0]})
}

// bulkAssets is POST /assets/get-bulk. Ids it does not know are left out.
func (s *Server) bulkAssets(c *call) reply {
	ids, refusal := idList(c, "assetIds")
	if refusal.status != 0 {
		return refusal
	}
	views, err := s.describe(c, ids)
	if err != nil {
		return broken(err)
	}
	return answer(map[string]any{"assets": views})
}

// describe shows those of the assets that the caller's project has, with what is to go wrong with them.
func (s *Server) describe(c *call, ids []string) ([]assetView, error) {
	views := []assetView{}
	for _, id := range ids {
		s.mu.Lock()
		a := s.assets[id]
		s.mu.Unlock()
		if a == nil || a.project() != c.project || !a.exists(c.now) {
			continue
		}
		v, err := s.viewAsset(a, c)
		if err != nil {
			return nil, err
		}
		if f := c.verdict.has("wrong-mime"); f != nil {
			v.MIMEType = f.MIME
		}
		if c.verdict.has("expired-url") != nil {
			v.URL = s.sign(c.origin()+"/cdn/assets/"+id, c.now.Add(-time.Hour))
		}
		if f := c.verdict.has("asset-pending"); f != nil && (f.For == 0 || c.now.Sub(modified(a)) < f.For) {
			v.Status, v.URL, v.Properties = pending, "", map[string]any{}
		}
		views = append(views, v)
	}
	return views, nil
}
