// Package notify tells a webhook how a run has ended, in the form that Slack and those who speak its language take.
//
// It promises to try again where that may help, to end soon, and that the webhook's address, which is a secret, is in no
// error. It refuses addresses that would send the message over a network in the clear, and to follow redirects.
package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"dailies/internal/retry"
	"dailies/pipeline"
)

const (
	answerTime = 10 * time.Second
	totalTime  = 45 * time.Second // whatever happens
)

var policy = retry.Policy{Attempts: 4, Base: time.Second, Max: 8 * time.Second}

// A refusal is an answer that is none of success.
type refusal struct {
	status int
	after  time.Duration
}

func (r *refusal) Error() string {
	return fmt.Sprintf("it answered with status %d", r.status)
}

// Send posts a text to the webhook at that address. Errors do not repeat the address.
func Send(ctx context.Context, address, text string) error {
	if err := check(address); err != nil {
		return err
	}
	body, err := json.Marshal(map[string]string{"text": text})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, totalTime)
	defer cancel()
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: answerTime, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: answerTime, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return retry.Do(ctx, policy, func(int) error { return post(ctx, client, address, body) }, func(err error) retry.Verdict {
		r, answered := errors.AsType[*refusal](err)
		if !answered {
			return retry.Verdict{Again: ctx.Err() == nil}
		}
		return retry.Verdict{Again: r.status == http.StatusTooManyRequests || r.status >= 500, After: min(r.after, totalTime)}
	})
}

func post(ctx context.Context, client *http.Client, address string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return errAddress
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "dailies")
	resp, err := client.Do(req)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err // without the address
		}
		return err
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 4<<10)
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return nil
	}
	seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
	return &refusal{status: resp.StatusCode, after: time.Duration(max(seconds, 0)) * time.Second}
}

var errAddress = errors.New("its address is not an https:// address")

// check refuses what would not be private on its way; on this machine itself everything is.
func check(address string) error {
	u, err := url.Parse(strings.TrimSpace(address))
	if err != nil || u.Host == "" {
		return errAddress
	}
	ip := net.ParseIP(u.Hostname())
	loopback := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	if u.Scheme != "https" && !(u.Scheme == "http" && loopback) {
		return errAddress
	}
	return nil
}

// A Run is what a message says of a run beside its summary.
type Run struct {
	Batch     string
	Part      string // such as "2/5"; empty for the whole
	Simulated bool
	Gallery   string // its address
	Job       string // the address of the CI job, if there is one
	Exit      int
}

const mostCauses = 5

// Text says how a run has ended: what there is, what failed and why, what it cost, where to look. s is nil for a run
// that could not begin; why is the error it ended with, if it did.
func Text(run Run, s *pipeline.Summary, why *pipeline.Error) string {
	var b strings.Builder
	mark := map[int]string{pipeline.ExitDone: ":white_check_mark:", pipeline.ExitUnfinished: ":hourglass_flowing_sand:"}[run.Exit]
	if mark == "" {
		mark = ":x:"
	}
	fmt.Fprintf(&b, "%s *%s*", mark, escape(run.Batch))
	if run.Part != "" {
		fmt.Fprintf(&b, " (part %s)", escape(run.Part))
	}
	if run.Simulated {
		b.WriteString(" (simulated)")
	}
	if s == nil {
		b.WriteString(": not begun")
	} else {
		t := s.Totals
		fmt.Fprintf(&b, ": %d of %d delivered", t.Delivered+t.Reused, t.Items)
		for _, c := range []pipeline.Status{pipeline.Failed, pipeline.Rejected, pipeline.Blocked, pipeline.Running, pipeline.Unknown, pipeline.Skipped} {
			if n := t.Count(c); n > 0 {
				fmt.Fprintf(&b, ", %d %s", n, c)
			}
		}
		fmt.Fprintf(&b, "; %v CU in %s", t.Spent, pipeline.Span(s.FinishedAt.Sub(s.StartedAt)))
		causes(&b, s)
		if why == nil {
			why = s.Stop
		}
	}
	if why != nil {
		fmt.Fprintf(&b, "\nstopped: `%s` %s\n_%s_", why.Code, escape(shorten(why.Error())), escape(why.HintText()))
	}
	for _, link := range []string{run.Gallery, run.Job} {
		if link != "" {
			b.WriteString("\n" + escape(link))
		}
	}
	return b.String()
}

// causes lists why items failed, each cause with the first of its items.
func causes(b *strings.Builder, s *pipeline.Summary) {
	var order []pipeline.Code
	first, count := map[pipeline.Code]*pipeline.Outcome{}, map[pipeline.Code]int{}
	for i := range s.Outcomes {
		o := &s.Outcomes[i]
		if o.Err == nil || o.Status != pipeline.Failed && o.Status != pipeline.Rejected {
			continue
		}
		if count[o.Err.Code]++; count[o.Err.Code] == 1 {
			order, first[o.Err.Code] = append(order, o.Err.Code), o
		}
	}
	for i, code := range order {
		if i == mostCauses {
			fmt.Fprintf(b, "\n• and %s more", pipeline.Count(len(order)-i, "cause"))
			return
		}
		fmt.Fprintf(b, "\n• `%s` %s", code, escape(first[code].Item.ID))
		if more := count[code] - 1; more > 0 {
			fmt.Fprintf(b, " and %d more", more)
		}
		fmt.Fprintf(b, ": %s", escape(shorten(first[code].Err.Error())))
	}
}

// escape makes text of others inert: no markup of Slack's, no mention, no link.
func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "`", "'", "*", "∗").Replace(pipeline.Plain(s))
}

func shorten(s string) string {
	const most = 300
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
