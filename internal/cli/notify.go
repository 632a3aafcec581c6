package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"dailies/internal/notify"
	"dailies/pipeline"
)

// tell lets the manifest's webhook know how a run has ended: the summary it came to, nil if it could not begin, and the
// error it ended with. Whether that works changes nothing about the run.
func (s *session) tell(summary *pipeline.Summary, err error) {
	n := s.m.Notify
	exit, why := pipeline.ExitDone, (*pipeline.Error)(nil)
	if code, ok := errors.AsType[exited](err); ok {
		exit = int(code)
	} else if err != nil {
		why = pipeline.AsError(err)
		exit = why.Code.Traits().Exit
	}
	if n.Webhook == "" || n.On == "failure" && exit == pipeline.ExitDone || s.working.Err() != nil {
		return
	}
	address := os.Getenv(n.Webhook)
	if address == "" {
		s.note("nobody is told: the manifest's notify.webhook names %s, and that is not set", n.Webhook)
		return
	}
	run := notify.Run{Batch: s.m.Batch, Simulated: s.conn.simulated, Gallery: s.dest.URI(galleryFile), Job: jobAddress(), Exit: exit}
	if s.part.N > 1 {
		run.Part = fmt.Sprintf("%d/%d", s.part.I, s.part.N)
	}
	if err := notify.Send(context.WithoutCancel(s.working), address, notify.Text(run, summary, why)); err != nil {
		s.note("the webhook in %s could not be told: %s", n.Webhook, pipeline.Plain(err.Error()))
	}
}

// jobAddress is where the CI system shows the job this is, if it is one: GitHub's, GitLab's or Jenkins's.
func jobAddress() string {
	if server, repository, id := os.Getenv("GITHUB_SERVER_URL"), os.Getenv("GITHUB_REPOSITORY"), os.Getenv("GITHUB_RUN_ID"); onGitHub() && id != "" {
		return strings.Join([]string{server, repository, "actions", "runs", id}, "/")
	}
	return cmp.Or(os.Getenv("CI_JOB_URL"), os.Getenv("BUILD_URL"))
}
