package scenario

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"dailies/pipeline"
)

// run is the request that makes something of a model; a dry run asks for its price alone.
func run(model string, payload json.RawMessage) (call, error) {
	if err := checkID("a model", model); err != nil {
		return call{}, err
	}
	return call{method: http.MethodPost, path: []string{"generate", "custom", model}, body: rawBody(payload)}, nil
}

// jobID is the id of a job in the answer to a run. Captures say jobId, the quick-start guide says id [SEEN].
type jobID struct {
	JobID, ID text
}

func (j jobID) String() string {
	if j.JobID != "" {
		return string(j.JobID)
	}
	return string(j.ID)
}

// Quote asks for the price of one submit with a dry run. That must be said in the query: in the body it is ignored
// and a paid job starts [CODE]. The price comes with 269 [CODE] or 200 [SEEN] as creativeUnitsCost, or with 402 as
// estimatedCost [DOC]. An answer that names a job is CodeQuoteBought.
func (c *Client) Quote(ctx context.Context, model string, payload json.RawMessage) (pipeline.CU, error) {
	rq, err := run(model, payload)
	if err != nil {
		return 0, err
	}
	rq.kind, rq.about, rq.priority = "quote", "price of "+model, forAsset
	rq.query = url.Values{"dryRun": {"true"}}
	a, f := c.exchange(ctx, c.http, rq, answerTime, 0)
	if f != nil {
		return 0, c.broken(rq, f)
	}
	var quote struct {
		Job               jobID
		CreativeUnitsCost number
		EstimatedCost     number
	}
	readable := json.Unmarshal(a.body, &quote) == nil
	if id := quote.Job.String(); readable && id != "" {
		return 0, pipeline.Errorf(pipeline.CodeQuoteBought, "%s: the answer names job %s, so a paid job may have started", rq.about, c.clean(id))
	}
	switch {
	case a.status < 300:
		if cu, ok := quote.CreativeUnitsCost.cu(); readable && ok {
			return cu, nil
		}
		return 0, c.unreadable(rq, a)
	case a.status == http.StatusPaymentRequired:
		if cu, ok := quote.EstimatedCost.cu(); readable && ok {
			return cu, nil
		}
	}
	return 0, c.refusal(rq, a)
}

// Submit buys one run. The request is sent once, on a connection that no other request shares meanwhile, and given two
// minutes. An error with Refused set means that it provably never left or was turned away; every other one is
// CodeSubmitLost. last is asked
// when the request's turn has come and again when its connection stands: a process can be stopped for a night between
// the two, and nothing can be bought with a request whose body has not left.
func (c *Client) Submit(ctx context.Context, model string, payload json.RawMessage, last func(context.Context) error) (pipeline.Receipt, error) {
	rq, err := run(model, payload)
	if err != nil {
		e := pipeline.AsError(err)
		e.Refused = true
		return pipeline.Receipt{}, e
	}
	rq.kind, rq.about, rq.priority, rq.last = "submit", "submit to "+model, forSubmit, last
	a, f := c.exchange(ctx, c.buys, rq, receiptTime, receiptWait)
	switch {
	case f != nil && !f.left && f.ended:
		return pipeline.Receipt{}, interrupted(rq, f)
	case f != nil && !f.left:
		return pipeline.Receipt{}, c.broken(rq, f)
	case f != nil:
		return pipeline.Receipt{}, lost(rq, c.clean(f.err.Error()), f.err)
	}
	if a.status >= 300 {
		refusal := c.refusal(rq, a)
		if refusal.Refused {
			return pipeline.Receipt{}, refusal
		}
		return pipeline.Receipt{}, lost(rq, fmt.Sprintf("status %d", a.status), refusal)
	}
	var receipt struct {
		Job struct {
			jobID
			CreatedAt moment
			Billing   billing
		}
		CreativeUnitsCost number
	}
	id := ""
	if json.Unmarshal(a.body, &receipt) == nil {
		id = receipt.Job.String()
	}
	if checkID("a job", id) != nil {
		return pipeline.Receipt{}, lost(rq, fmt.Sprintf("status %d, and the answer (%s) names no job", a.status, contentOf(a)), nil)
	}
	cost, ok := receipt.CreativeUnitsCost.cu() // beside the job here, inside it later [SEEN]
	if !ok {
		cost = receipt.Job.Billing.total()
	}
	at := receipt.Job.CreatedAt.Time
	if at.IsZero() {
		at = c.now()
	}
	return pipeline.Receipt{JobID: id, Cost: cost, At: at}, nil
}

// lost says that it is not known whether anything was bought.
func lost(rq call, why string, cause error) *pipeline.Error {
	return &pipeline.Error{Code: pipeline.CodeSubmitLost, Err: cause,
		Message: fmt.Sprintf("%s: the request left and no receipt came back (%s)", rq.about, why)}
}
