package manifest_test

import (
	"strings"
	"testing"

	"dailies/internal/manifest"
)

func TestNotify(t *testing.T) {
	for text, want := range map[string]any{
		"":                                       manifest.Notify{},
		"notify: {webhook: SLACK_WEBHOOK_URL}\n": manifest.Notify{"SLACK_WEBHOOK_URL", "always"},
		"notify: {webhook: HOOK, on: failure}\n": manifest.Notify{"HOOK", "failure"},
		"notify: {webhook: \"https://hooks.slack.com/services/T0/B0/hunter2\"}\n": "is the name of an environment variable",
		"notify: {on: failure}\n":                 "notify has no webhook",
		"notify: {webhook: HOOK, on: failures}\n": `did you mean "failure"?`,
		"notify: SLACK_WEBHOOK_URL\n":             "notify is a mapping",
		"notify: {webhook: HOOK, url: x}\n":       `unknown key "url" in notify`,
	} {
		m, err := manifest.Parse("m.yaml", []byte("version: 1\nbatch: b\n"+text+"items:\n  - id: a\n    model: dice\n    prompt: x\n"), options())
		switch want := want.(type) {
		case manifest.Notify:
			if err != nil || m.Notify != want {
				t.Errorf("%q: %v, want %+v", text, err, want)
			}
		case string:
			problems, _ := err.(manifest.Problems)
			said := ""
			for _, p := range problems {
				var shown strings.Builder
				p.Format(&shown, false)
				said += shown.String()
			}
			if !strings.Contains(said, want) {
				t.Errorf("%q: %q, want %q", text, said, want)
			}
			if strings.Contains(said, "hunter2") {
				t.Errorf("the address is repeated: %q", said)
			}
		}
	}
}
