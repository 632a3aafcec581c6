package sandbox

import (
	"bytes"
	"container/heap"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"math"
	"slices"
	"time"

	"dailies/pipeline"
)

// Statuses of a job. [DOC][CODE] the SDK's own enumeration
const (
	pending    = "pending"
	queued     = "queued"
	warmingUp  = "warming-up"
	inProgress = "in-progress"
	finalizing = "finalizing"
	success    = "success"
	failure    = "failure"
	canceled   = "canceled"
)

// A job is one accepted submit (or an upload, or a stranger's). How it goes is decided when it is accepted; what it
// looks like is computed from the clock. Its exported fields are what the journal keeps; they never change.
type job struct {
	ID      string          `json:"id"`
	Project string          `json:"project"`
	Author  string          `json:"author"`
	Model   string          `json:"model,omitempty"`
	Makes   string          `json:"makes,omitempty"`
	Payload json.RawMessage `json:"payload,omitempty"` // as sent, canonical
	Dropped []string        `json:"dropped,omitempty"` // inputs the API threw away
	At      time.Time       `json:"at"`
	Takes   time.Duration   `json:"takes"`
	Cost    pipeline.CU     `json:"cost"`
	Fate    fate            `json:"fate,omitzero"`
	Outputs []output        `json:"outputs,omitempty"`

	upload *upload // a job that is an upload
	seed   uint64  // of Model and Payload
}

// fate is how a job goes when it does not go well.
type fate struct {
	End      string `json:"end,omitempty"` // failure or canceled; empty is success
	Error    string `json:"error,omitempty"`
	Hint     string `json:"hint,omitempty"`
	NoRefund bool   `json:"noRefund,omitempty"`
	Running  string `json:"running,omitempty"` // a status nobody has heard of, while it runs
	Stuck    bool   `json:"stuck,omitempty"`   // progress 0, then 1.02
	Twice    bool   `json:"twice,omitempty"`   // every asset id is listed twice
	Drops    bool   `json:"drops,omitempty"`   // the last asset of every list is not used
	Stranger bool   `json:"stranger,omitempty"`
}

// An output is a file a job makes.
type output struct {
	ID      string  `json:"id"`
	Form    form    `json:"form"`
	W       int     `json:"w,omitempty"`
	H       int     `json:"h,omitempty"`
	Seconds float64 `json:"seconds,omitempty"`
	Sound   bool    `json:"sound,omitempty"`
	Bytes   int64   `json:"bytes,omitempty"`  // a synthetic file of this size
	Prompt  bool    `json:"prompt,omitempty"` // the job's own prompt as a text asset; not among its assetIds
}

// newID makes an id of the API's form: the prefix and 24 characters.
func newID(prefix string) string { return prefix + rand.Text()[:24] }

func hash64(parts ...string) uint64 {
	h := sha256.New()
	for _, p := range parts {
		h.Write([]byte(p))
		h.Write([]byte{0})
	}
	return binary.BigEndian.Uint64(h.Sum(nil))
}

// takes is how long a job of this kind takes at pace 1: lognormal around what was seen of the real ones.
// [SEEN] flux 6 s, sound effects 10–17 s, video 60–246 s
func takes(makes string, seed uint64) time.Duration {
	var median, sigma, least, most float64
	switch makes {
	case "video":
		median, sigma, least, most = 80, 0.2, 60, 120
	case "3d":
		median, sigma, least, most = 90, 0.15, 70, 130
	case "audio":
		median, sigma, least, most = 15, 0.2, 9, 25
	default:
		median, sigma, least, most = 8, 0.2, 5, 14
	}
	// Box and Muller's normal, from two halves of the seed.
	u1 := (float64(seed>>32) + 1) / (1 << 32)
	u2 := float64(seed&0xffffffff) / (1 << 32)
	z := math.Sqrt(-2*math.Log(u1)) * math.Cos(2*math.Pi*u2)
	seconds := min(max(median*math.Exp(sigma*z), least), most)
	return time.Duration(seconds * float64(time.Second))
}

func (j *job) end() time.Time { return j.At.Add(j.Takes) }

// charged says whether the job's price is kept, once it has ended.
func (j *job) charged() bool { return j.Fate.End == "" || j.Fate.NoRefund }

type phase struct {
	status string
	at     time.Duration // since the job was created
}

func (j *job) phases() []phase {
	part := func(f float64) time.Duration { return time.Duration(f * float64(j.Takes)).Truncate(time.Millisecond) }
	ps := make([]phase, 1, 5)
	ps[0] = phase{queued, 0}
	if j.seed%3 == 0 {
		ps = append(ps, phase{warmingUp, part(0.03)})
	}
	running := inProgress
	if j.Fate.Running != "" {
		running = j.Fate.Running
	}
	ps = append(ps, phase{running, part(0.06)})
	end := success
	if j.Fate.End != "" {
		end = j.Fate.End
	} else if j.seed%2 == 0 || j.Fate.Stuck {
		ps = append(ps, phase{finalizing, part(0.94)})
	}
	return append(ps, phase{end, j.Takes.Truncate(time.Millisecond)})
}

// progress is what the API shows of a running job: often 0 until the end, sometimes more than 1. [SEEN]
func (j *job) progress(status string, elapsed time.Duration) float64 {
	switch status {
	case success, failure, canceled:
		return 1
	case finalizing:
		if j.Fate.Stuck || j.seed%5 == 0 {
			return 1.02
		}
		return 1
	case queued, warmingUp:
		return 0
	}
	if j.Fate.Stuck || j.seed%4 == 0 {
		return 0
	}
	return math.Floor(95*min(1, float64(elapsed)/float64(j.Takes))) / 100
}

// The API's own forms of a job.
type (
	jobView struct {
		JobID         string       `json:"jobId"`
		JobType       string       `json:"jobType"`
		Status        string       `json:"status"`
		Progress      float64      `json:"progress"`
		StatusHistory []statusView `json:"statusHistory"`
		Metadata      metadataView `json:"metadata"`
		OwnerID       string       `json:"ownerId"`
		AuthorID      string       `json:"authorId"`
		CreatedAt     string       `json:"createdAt"`
		UpdatedAt     string       `json:"updatedAt"`
		Billing       billingView  `json:"billing"`
	}
	statusView struct {
		Status string `json:"status"`
		Date   string `json:"date"`
	}
	metadataView struct {
		Input    json.RawMessage `json:"input"`
		AssetIDs []string        `json:"assetIds,omitzero"`
		Error    string          `json:"error,omitempty"`
		Hint     string          `json:"hint,omitempty"`
		Output   map[string]any  `json:"output,omitempty"`
	}
	billingView struct {
		Cost          pipeline.CU `json:"cuCost"`
		Discount      int         `json:"cuDiscount"`
		DisableRefund bool        `json:"disableRefund,omitempty"`
	}
)

// view is a generation as the API shows it at a time; before its own, it is queued. bare leaves the results out (hideResults).
func (j *job) view(now time.Time, bare bool) jobView {
	v := jobView{
		JobID: j.ID, JobType: "custom", OwnerID: j.Project, AuthorID: j.Author,
		CreatedAt: timestamp(j.At), UpdatedAt: timestamp(j.At),
		Metadata: metadataView{Input: j.input(), AssetIDs: []string{}},
		Billing:  billingView{Cost: j.Cost, DisableRefund: j.Fate.NoRefund},
	}
	elapsed := now.Sub(j.At)
	for i, p := range j.phases() {
		if i > 0 && p.at > elapsed {
			break
		}
		v.Status = p.status
		v.UpdatedAt = timestamp(j.At.Add(p.at))
		v.StatusHistory = append(v.StatusHistory, statusView{p.status, v.UpdatedAt})
	}
	v.Progress = j.progress(v.Status, elapsed)
	switch v.Status {
	case success:
		if v.Metadata.AssetIDs = j.assetIDs(); len(v.Metadata.AssetIDs) == 0 {
			v.Metadata.Output = map[string]any{"text": simulated(j.ID)} // as text models do
		}
	case failure, canceled:
		v.Metadata.Error, v.Metadata.Hint = j.Fate.Error, j.Fate.Hint
	}
	if bare {
		v.Metadata.AssetIDs = nil
	}
	return v
}

// status is the job's status alone, for filters.
func (j *job) status(now time.Time) string {
	if j.upload != nil {
		return j.upload.jobStatus(now)
	}
	status := queued
	for _, p := range j.phases() {
		if p.at > now.Sub(j.At) {
			break
		}
		status = p.status
	}
	return status
}

// assetIDs are those the job lists when it has succeeded.
func (j *job) assetIDs() []string {
	ids := make([]string, 0, len(j.Outputs))
	for _, o := range j.Outputs {
		if o.Prompt {
			continue
		}
		ids = append(ids, o.ID)
		if j.Fate.Twice {
			ids = append(ids, o.ID)
		}
	}
	return ids
}

// input is metadata.input: what was taken of the payload, and the model. A prompt may be shown as an asset id. [CODE]
func (j *job) input() json.RawMessage {
	prompt := slices.IndexFunc(j.Outputs, func(o output) bool { return o.Prompt })
	if len(j.Dropped) == 0 && prompt < 0 {
		head, _ := json.Marshal(j.Model) // a string: cannot fail
		in := append([]byte(`{"modelId":`), head...)
		if len(j.Payload) > len("{}") {
			in = append(in, ',')
		}
		return append(in, j.Payload[1:]...)
	}
	var m map[string]json.RawMessage
	if json.Unmarshal(j.Payload, &m) != nil || m == nil {
		m = map[string]json.RawMessage{}
	}
	for _, name := range j.Dropped {
		delete(m, name)
	}
	if prompt >= 0 {
		m["prompt"], _ = json.Marshal(j.Outputs[prompt].ID)
	}
	m["modelId"], _ = json.Marshal(j.Model)
	in, _ := json.Marshal(m) // of valid parts: cannot fail
	return in
}

// prompt is the text the job was asked with.
func (j *job) prompt() string {
	var p struct {
		Prompt any `json:"prompt"`
	}
	_ = json.Unmarshal(j.Payload, &p)
	text, _ := p.Prompt.(string)
	return text
}

// canonical writes a payload with sorted keys and no white space, its numbers as they were spelt.
func canonical(payload map[string]any) (json.RawMessage, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(payload); err != nil {
		return nil, err
	}
	return bytes.TrimSpace(b.Bytes()), nil
}

// add files a job with everything that finds it. The caller holds mu.
func (s *Server) add(j *job) {
	j.seed = hash64(j.Model, string(j.Payload))
	p := s.projectNamed(j.Project)
	i := len(p.jobs)
	for i > 0 && p.jobs[i-1].At.After(j.At) { // only a stranger's comes out of turn
		i--
	}
	p.jobs = slices.Insert(p.jobs, i, j)
	s.jobs[j.ID] = j
	for n := range j.Outputs {
		s.assets[j.Outputs[n].ID] = &asset{job: j, n: n}
	}
	if j.upload == nil && !j.Fate.Stranger {
		s.booked = append(s.booked, j)
		s.spent += j.Cost
		p.active++
		heap.Push(&s.running, j)
	}
}

// settle gives back the slots, and where it is due the money, of jobs that have ended. The caller holds mu.
func (s *Server) settle(now time.Time) {
	for len(s.running) > 0 && !s.running[0].end().After(now) {
		j := heap.Pop(&s.running).(*job)
		s.projects[j.Project].active--
		if !j.charged() {
			s.spent -= j.Cost
		}
	}
}

// byEnd is a heap of running jobs, the one to end first on top.
type byEnd []*job

func (h byEnd) Len() int           { return len(h) }
func (h byEnd) Less(a, b int) bool { return h[a].end().Before(h[b].end()) }
func (h byEnd) Swap(a, b int)      { h[a], h[b] = h[b], h[a] }
func (h *byEnd) Push(j any)        { *h = append(*h, j.(*job)) }
func (h *byEnd) Pop() any {
	old := *h
	j := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return j
}
