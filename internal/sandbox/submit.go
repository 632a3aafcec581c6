package sandbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"dailies/pipeline"
)

// submit is POST /generate/custom/{model}: the purchase, or with dryRun in the query the price of it.
func (s *Server) submit(c *call) reply {
	model, err := s.contract(c.r.PathValue("model"))
	if err != nil {
		return broken(err)
	}
	if model == nil {
		return refuse(http.StatusNotFound, "Model not found")
	}
	if c.verdict.has("plan-gate") != nil || s.o.Plan != "" && model.Access > planAccess(s.o.Plan) {
		return s.abovePlan(model)
	}
	taken, problem := model.check(c.body, s.reader(c), c.verdict.has("unknown-field-400") != nil)
	if problem != "" {
		return refuse(http.StatusBadRequest, problem)
	}
	cost := model.price(taken)
	if dryRun(c.query) && c.verdict.has("quote-buys") == nil {
		if s.o.DryRunStatus == http.StatusPaymentRequired {
			return reply{s.o.DryRunStatus, map[string]any{"statusCode": 402, "message": "Dry run completed", "estimatedCost": cost}}
		}
		return reply{s.o.DryRunStatus, quoted{struct{}{}, cost, 0, map[string]pipeline.CU{"custom-generation": cost}}}
	}
	payload, err := canonical(c.body)
	if err != nil {
		return broken(err)
	}
	j := &job{
		ID: newID("job_"), Project: c.project, Author: c.author, Model: model.ID, Makes: model.makes,
		Payload: payload, At: c.now, Cost: cost,
	}
	for name, v := range c.body {
		if _, ok := taken[name]; !ok && v != nil {
			j.Dropped = append(j.Dropped, name)
		}
	}
	slices.Sort(j.Dropped)
	s.fates(j, model, taken, c.verdict)
	if refusal := s.accept(j, c); refusal.status != 0 {
		return refusal
	}
	return answer(bought{j.view(j.At.Add(-time.Nanosecond), false), cost, 0})
}

type quoted struct {
	Job      struct{}               `json:"job"`
	Cost     pipeline.CU            `json:"creativeUnitsCost"`
	Discount int                    `json:"creativeUnitsDiscount"`
	Details  map[string]pipeline.CU `json:"costDetails"`
}

type bought struct {
	Job      jobView     `json:"job"`
	Cost     pipeline.CU `json:"creativeUnitsCost"`
	Discount int         `json:"creativeUnitsDiscount"`
}

// accept takes the money and the slot, writes the job down, and files it: all of it or nothing.
func (s *Server) accept(j *job, c *call) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle(c.now)
	p := s.projectNamed(j.Project)
	switch {
	case c.verdict.has("credits-out") != nil || s.credits-s.spent < j.Cost:
		return reply{http.StatusPaymentRequired, map[string]any{"reason": "Insufficient creative units to run this generation", "trace_id": newID("tr_")}}
	case s.o.Concurrency > 0 && p.active >= s.o.Concurrency:
		return reply{http.StatusTooManyRequests, map[string]any{
			"reason": "Too many concurrent generations for your plan", "name": "TooManyRequestsError",
			"details":  map[string]any{"actionName": "custom-generation", "actionLimit": s.o.Concurrency},
			"trace_id": newID("tr_"),
		}}
	}
	// Two jobs of a project are never of one instant's wrong order, whatever the clock does.
	if n := len(p.jobs); n > 0 && p.jobs[n-1].At.After(j.At) {
		j.At = p.jobs[n-1].At
	}
	if err := s.journal.append(entry{Job: j}); err != nil {
		return broken(err)
	}
	s.add(j)
	return reply{}
}

// triggerOpen begins what a prompt can ask for in words: "[sandbox:fail]", and so every fault of a single job (slow,
// fail, fail-no-refund, moderated or moderate, canceled, no-assets, drop-inputs, duplicate-assets, thumbnail-first,
// stuck-progress, unknown-status, prompt-as-asset). The others are no wish of a prompt's.
const triggerOpen = "[sandbox:"

// wishes are what a submit is to suffer: by a fault, or because its prompt says so.
type wishes struct {
	verdict verdict
	prompt  string
}

func (w wishes) want(fault string) bool {
	return w.verdict.has(fault) != nil || strings.Contains(w.prompt, triggerOpen+fault+"]")
}

// fates decides how the job will go: how long it takes, how it ends, what it makes.
func (s *Server) fates(j *job, model *contract, taken map[string]any, v verdict) {
	w := wishes{v, j.prompt()}
	if s.o.Takes != nil {
		j.Takes = s.o.Takes(j.Model, j.Payload)
	} else {
		j.Takes = s.scaled(takes(model.makes, hash64(j.Model, string(j.Payload))))
	}
	if w.want("slow") {
		factor := 10.0
		if f := v.has("slow"); f != nil {
			factor = f.Factor
		}
		j.Takes = time.Duration(float64(j.Takes) * factor).Truncate(time.Millisecond)
	}
	switch {
	case w.want("moderated"), w.want("moderate"):
		j.Fate = fate{
			End: failure, Error: "The prompt was flagged by the provider's content moderation",
			Hint:     "Rephrase the prompt or try another model",
			NoRefund: strings.Contains(j.Model, "xai") || strings.Contains(j.Model, "grok"), // [CODE]
		}
	case w.want("fail-no-refund"):
		j.Fate = fate{End: failure, Error: "The provider failed to generate a result", Hint: "Try again later", NoRefund: true}
	case w.want("fail"):
		j.Fate = fate{End: failure, Error: "The provider failed to generate a result", Hint: "Try again later"}
	case w.want("canceled"):
		j.Fate = fate{End: canceled}
	}
	if j.Fate.End != "" { // what goes wrong does so before the end
		j.Takes = (j.Takes * 6 / 10).Truncate(time.Millisecond)
	}
	if f := v.has("unknown-status"); f != nil {
		j.Fate.Running = f.Status
	} else if w.want("unknown-status") {
		j.Fate.Running = "reviewing"
	}
	j.Fate.Stuck = w.want("stuck-progress")
	j.Fate.Twice = w.want("duplicate-assets")
	j.Fate.Drops = w.want("drop-inputs")
	if !w.want("no-assets") && j.Fate.End == "" {
		j.Outputs = s.outputs(model, values{model.Inputs, taken}, w.want("thumbnail-first"))
	}
	if w.want("prompt-as-asset") && w.prompt != "" {
		j.Outputs = append(j.Outputs, output{ID: newID("asset_"), Form: txt, Prompt: true})
	}
}

// scaled is how long something takes at the sandbox's pace.
func (s *Server) scaled(d time.Duration) time.Duration {
	return time.Duration(float64(d) * s.o.Pace).Truncate(time.Millisecond)
}

// contract finds a model; nil when there is none of that id.
func (s *Server) contract(id string) (*contract, error) {
	s.mu.Lock()
	c := s.contracts[id]
	s.mu.Unlock()
	if c != nil || s.o.Models == nil {
		return c, nil
	}
	record, ok := s.o.Models(id)
	if !ok {
		return nil, nil
	}
	c, err := readContract(record)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", id, err)
	}
	c.ID = id
	s.mu.Lock()
	defer s.mu.Unlock()
	s.contracts[id] = c
	return c, nil
}

// reader answers for the assets a call may use.
func (s *Server) reader(c *call) reader {
	return func(id string) (string, int64, bool) {
		s.mu.Lock()
		a := s.assets[id]
		s.mu.Unlock()
		if a == nil || a.project() != c.project || !a.exists(c.now) {
			return "", 0, false
		}
		size, err := s.size(a)
		return a.kind(), size, err == nil
	}
}

// plans are what API plans give access to. [SEEN] a model's accessRestrictions against the plan's grade
var plans = map[string]int{"free": 0, "starter": 25, "basic": 25, "creator": 25, "pro": 50, "max": 75, "team": 75, "enterprise": 100}

// planAccess reads the grade out of a plan's name, "cu-pro-q3-25"; -1 for one that names none.
func planAccess(plan string) int {
	for word := range strings.SplitSeq(plan, "-") {
		if grade, ok := plans[word]; ok {
			return grade
		}
	}
	return -1
}

func (s *Server) abovePlan(model *contract) reply {
	needed := "cu-enterprise"
	switch {
	case model.Access <= 25:
		needed = "cu-basic"
	case model.Access <= 50:
		needed = "cu-pro-q3-25"
	case model.Access <= 75:
		needed = "cu-team"
	}
	current := s.o.Plan
	if current == "" {
		current = "cu-basic"
	}
	return reply{http.StatusForbidden, map[string]any{
		"reason": "You are not allowed to use this model with your plan", "name": "ModelAccessRestrictedError",
		"details": map[string]any{"currentPlan": current, "requiredPlan": needed},
	}}
}

// teams is GET /teams: where a client can read its plan. [SEEN]
func (s *Server) teams(c *call) reply {
	plan := s.o.Plan
	if plan == "" {
		plan = "cu-enterprise"
	}
	return answer(map[string]any{"teams": []any{map[string]any{"id": "team_" + derived(c.project), "name": "Sandbox", "plan": plan}}})
}

// getModel is GET /models/{id}.
func (s *Server) getModel(c *call) reply {
	m, err := s.contract(c.r.PathValue("id"))
	if err != nil {
		return broken(err)
	}
	if m == nil {
		return refuse(http.StatusNotFound, "Model not found")
	}
	return answer(map[string]any{"model": m.record})
}

// bulkModels is POST /models/get-bulk. Ids it does not know are left out.
func (s *Server) bulkModels(c *call) reply {
	ids, refusal := idList(c, "modelIds")
	if refusal.status != 0 {
		return refusal
	}
	minimal, _ := c.body["minimal"].(bool)
	models := []json.RawMessage{}
	for _, id := range ids {
		m, err := s.contract(id)
		if err != nil {
			return broken(err)
		}
		if m == nil {
			continue
		}
		record := m.record
		if minimal {
			record = m.row()
		}
		models = append(models, record)
	}
	return answer(map[string]any{"models": models})
}

// row is a model as listings show it: without inputs. [CODE]
func (c *contract) row() json.RawMessage {
	var fields map[string]json.RawMessage
	if json.Unmarshal(c.record, &fields) != nil { // it was read before
		return c.record
	}
	delete(fields, "inputs")
	row, _ := json.Marshal(fields)
	return row
}

// listModels is GET /models. Unless public ones are asked for it lists the project's own, of which there are none. [SEEN]
func (s *Server) listModels(c *call) reply {
	size, refusal := pageSize(c.query, 100, 500)
	if refusal.status != 0 {
		return refusal
	}
	if c.query.Get("privacy") != "public" {
		return answer(map[string]any{"models": []any{}, "nextPaginationToken": nil})
	}
	ids := s.o.ModelIDs
	if token := c.query.Get("paginationToken"); token != "" {
		last, err := readToken(token)
		i := slices.Index(ids, last.ModelID.S)
		if err != nil || i < 0 {
			return refuse(http.StatusBadRequest, "Invalid pagination token")
		}
		ids = ids[i+1:]
	}
	wanted := map[string]bool{}
	for tag := range strings.SplitSeq(c.query.Get("tags"), ",") {
		if tag != "" {
			wanted[tag] = true
		}
	}
	rows := []json.RawMessage{}
	for i, id := range ids {
		m, err := s.contract(id)
		if err != nil {
			return broken(err)
		}
		if m == nil || len(wanted) > 0 && !slices.ContainsFunc(m.Tags, func(t string) bool { return wanted[t] }) {
			continue
		}
		rows = append(rows, m.row())
		if len(rows) == size && i+1 < len(ids) {
			return answer(map[string]any{"models": rows, "nextPaginationToken": token{ModelID: text{id}}.String()})
		}
	}
	return answer(map[string]any{"models": rows, "nextPaginationToken": nil})
}

// idList reads a list of ids of a bulk call; more than the limit is refused whole. [SEEN]
func idList(c *call, name string) ([]string, reply) {
	list, ok := c.body[name].([]any)
	if !ok {
		return nil, refuse(http.StatusBadRequest, "Input "+name+" is required")
	}
	if len(list) > bulkLimit {
		return nil, refuse(http.StatusBadRequest, fmt.Sprintf("Input %s must have at most %d items", name, bulkLimit))
	}
	ids := make([]string, len(list))
	for i, v := range list {
		id, ok := v.(string)
		if !ok {
			return nil, refuse(http.StatusBadRequest, "Input "+name+" must be a list of ids")
		}
		ids[i] = id
	}
	return ids, reply{}
}

// stranger makes a job of somebody else in the project.
func (s *Server) stranger(p *project, f *cue, now time.Time, n int) *job {
	models := slices.Sorted(slices.Values(s.o.ModelIDs))
	j := &job{
		ID: newID("job_"), Project: p.id, Author: "apiu_" + derived("stranger"), Model: "model_stranger", Makes: "image",
		Payload: json.RawMessage(fmt.Sprintf(`{"prompt":"somebody else's picture %d"}`, n)),
		At:      now.Add(-f.Before), Cost: quarter * 8, Fate: fate{Stranger: true},
	}
	if len(models) > 0 {
		j.Model = models[n%len(models)]
	}
	if f.Alike {
		for i := len(p.jobs) - 1; i >= 0; i-- {
			if ours := p.jobs[i]; ours.upload == nil && !ours.Fate.Stranger {
				j.Model, j.Makes, j.Payload, j.Cost = ours.Model, ours.Makes, ours.Payload, ours.Cost
				break
			}
		}
	}
	j.Takes = s.scaled(takes(j.Makes, hash64(j.ID)))
	j.Outputs = []output{{ID: newID("asset_"), Form: png, W: 256, H: 256}}
	return j
}
