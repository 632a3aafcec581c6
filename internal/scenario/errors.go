package scenario

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"dailies/pipeline"
)

// An APIError is a refusal as the API worded it. It is the cause of the [pipeline.Error] that the caller meets.
type APIError struct {
	Status     int
	Reason     string         // one line; empty when the answer had no words
	Name       string         // "ModelAccessRestrictedError" [SEEN]
	Details    map[string]any // numbers are json.Number; not cleaned: for programs, not for people
	TraceID    string         // for Scenario's support
	RetryAfter time.Duration
}

func (e *APIError) Error() string {
	var b strings.Builder
	switch {
	case e.Reason != "":
		b.WriteString(e.Reason)
	case http.StatusText(e.Status) != "":
		b.WriteString(strings.ToLower(http.StatusText(e.Status)))
	default:
		b.WriteString("refused")
	}
	fmt.Fprintf(&b, " (status %d", e.Status)
	if e.TraceID != "" {
		fmt.Fprintf(&b, ", trace %s", e.TraceID)
	}
	b.WriteString(")")
	return b.String()
}

// number reads a detail as a whole number, 0 when it is none.
func (e *APIError) number(name string) int {
	n, _ := finite(fmt.Sprint(e.Details[name]))
	return int(min(max(n, 0), 1e6))
}

func (e *APIError) detail(name string) string {
	s, _ := e.Details[name].(string)
	return s
}

// parseError reads an answer of status 300 and above. readable is false when it is not the API's JSON.
func (c *Client) parseError(a *answer) (e *APIError, readable bool) {
	e = &APIError{Status: a.status}
	var body struct {
		Reason, Message, Error, Detail text
		Name                           text
		Details                        json.RawMessage
		TraceID                        text `json:"trace_id"`
		TraceId                        text `json:"traceId"`
		RemainingSeconds               json.RawMessage
	}
	err := json.Unmarshal(a.body, &body)
	if err == nil {
		// The order in which official clients look for words [CODE].
		for _, t := range []text{body.Reason, body.Message, body.Error, body.Detail} {
			if e.Reason = c.clean(string(t)); e.Reason != "" {
				break
			}
		}
		e.Name = c.clean(string(body.Name))
		e.TraceID = c.clean(string(body.TraceID + body.TraceId))
		e.Details = object(body.Details)
		if body.RemainingSeconds != nil && e.Details["remainingSeconds"] == nil {
			if e.Details == nil {
				e.Details = make(map[string]any)
			}
			e.Details["remainingSeconds"] = json.Number(body.RemainingSeconds)
		}
	}
	e.RetryAfter = retryAfter(a.header, e)
	return e, err == nil
}

// refusal turns an answer of status 300 and above into the error the caller meets. For the rate limit it also makes
// all callers pause.
func (c *Client) refusal(rq call, a *answer) *pipeline.Error {
	e, readable := c.parseError(a)
	err := &pipeline.Error{
		Code:       classify(e, readable),
		RetryAfter: e.RetryAfter,
		Refused:    a.status >= 400 && a.status < 500 && a.status != http.StatusConflict && a.status != http.StatusRequestTimeout,
		Err:        e,
		Message:    fmt.Sprintf("%s: %s", rq.about, e),
	}
	switch err.Code {
	case pipeline.CodePlan:
		if current, required := e.detail("currentPlan"), e.detail("requiredPlan"); required != "" {
			err.Message = fmt.Sprintf("%s: %s: the plan is %s, the model needs %s", rq.about, e, c.clean(current), c.clean(required))
		}
	case pipeline.CodeConcurrency:
		err.Limit = e.number("actionLimit")
	case pipeline.CodeRateLimited:
		if pause := c.limiter.refused(a.sentAt, e.RetryAfter); pause > 0 {
			c.notice(fmt.Sprintf("the API limits the rate of requests: pausing %s", pipeline.Span(pause)))
		}
	case pipeline.CodeAPIUnreadable:
		err.Message = fmt.Sprintf("%s: answered with status %d and no words of the API (%s)", rq.about, a.status, contentOf(a))
	}
	return err
}

// classify finds the code of a refusal, by status first and by words where the API's statuses are not documented.
func classify(e *APIError, readable bool) pipeline.Code {
	switch s := e.Status; {
	case s == http.StatusUnauthorized:
		return pipeline.CodeCredentials
	case s == http.StatusTooManyRequests && (e.Details["actionLimit"] != nil || concurrent.MatchString(e.Reason)):
		return pipeline.CodeConcurrency // past the team's ceiling; nothing was accepted [SEEN]
	case s == http.StatusTooManyRequests:
		return pipeline.CodeRateLimited
	case s == http.StatusPaymentRequired:
		return pipeline.CodeCredits
	case s >= 500:
		return pipeline.CodeAPIUnavailable
	case !readable || s < 400:
		return pipeline.CodeAPIUnreadable
	case s == http.StatusForbidden && e.Name == "ModelAccessRestrictedError":
		return pipeline.CodePlan // [SEEN]
	case s != http.StatusNotFound && noCredits.MatchString(e.Reason+" "+e.Name):
		return pipeline.CodeCredits
	case s == http.StatusForbidden:
		return pipeline.CodeProject
	case s == http.StatusNotFound:
		return pipeline.CodeNotFound
	case s == http.StatusRequestTimeout || s == http.StatusConflict:
		return pipeline.CodeAPIUnavailable // the SDKs treat them as the transport's [DOC]
	}
	return pipeline.CodeInput
}

var (
	concurrent = regexp.MustCompile(`(?i)concurren`)

	// The words official clients look for are "insufficient", "not enough creative" and "quota" [CODE]. The first
	// is held to money here: a picture can be of insufficient size, a key have insufficient rights.
	noCredits = regexp.MustCompile(`(?i)insufficient[^.]*(credit|creative|unit|fund|balance)|not enough (creative|credit|unit|fund)|quota|planlimit`)

	waitSeconds = regexp.MustCompile(`(?i)\bwait\s+(\d{1,5})\s*s(ec|\b)`)
)

// retryAfter finds how long the API asks to wait: the headers that its SDKs read [DOC], the remainingSeconds of a
// cool-down [CODE], or the words "wait N seconds" [SEEN].
func retryAfter(h http.Header, e *APIError) time.Duration {
	const most = 24 * time.Hour
	within := func(d float64) time.Duration { return time.Duration(min(max(d, 0), float64(most))) }
	if ms, ok := finite(h.Get("Retry-After-Ms")); ok {
		return within(ms * float64(time.Millisecond))
	}
	if v := h.Get("Retry-After"); v != "" {
		if s, ok := finite(v); ok {
			return within(s * float64(time.Second))
		}
		if at, err := http.ParseTime(v); err == nil {
			from, err := http.ParseTime(h.Get("Date")) // the sender's own clock, where it tells
			if err != nil {
				from = time.Now()
			}
			return within(float64(at.Sub(from)))
		}
	}
	if n, ok := finite(fmt.Sprint(e.Details["remainingSeconds"])); ok {
		return within(n * float64(time.Second))
	}
	if m := waitSeconds.FindStringSubmatch(e.Reason); m != nil && e.Status == http.StatusTooManyRequests {
		n, _ := strconv.Atoi(m[1])
		return within(float64(n) * float64(time.Second))
	}
	return 0
}
