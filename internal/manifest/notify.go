package manifest

import (
	"fmt"
	"regexp"

	"github.com/google/jsonschema-go/jsonschema"
)

// Notify says whom to tell that a run has ended.
type Notify struct {
	Webhook string // the environment variable that holds the address, which is a secret; empty tells nobody
	On      string // "always", or "failure": only when something went wrong or is left to do
}

var notifyKeys = []key{
	{name: "webhook", doc: "The environment variable that holds the webhook's address. The address itself is a secret: it does not go here.", form: formVariable, required: true, examples: []any{"SLACK_WEBHOOK_URL"}},
	{name: "on", doc: "When: always, or only on failure, which is any exit code but 0.", form: formOn},
}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func formVariable() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "string", Pattern: variableName.String()}
}

func formOn() *jsonschema.Schema {
	return &jsonschema.Schema{Enum: []any{"always", "failure"}, Default: []byte(`"always"`)}
}

func formNotify() *jsonschema.Schema { return object(notifyKeys) }

func (r *reader) notify(e *entry) {
	if e == nil {
		return
	}
	fs := r.fields(e.value, "notify", notifyKeys)
	if fs == nil {
		return
	}
	n := &r.m.Notify
	n.On = "always"
	if on := fs["on"]; on != nil {
		n.On = r.oneOf(on, "always", "failure")
	}
	switch w := fs["webhook"]; {
	case w == nil: // fields has said that it is missing
	case !w.value.scalar() || !variableName.MatchString(w.value.raw):
		r.problem(w.value.at, fmt.Sprintf("%s is the name of an environment variable", w.key),
			"write webhook: SLACK_WEBHOOK_URL, and set that variable to the address, which is a secret")
		if said := r.problems.list; len(said) > 0 {
			said[len(said)-1].source = "" // it may be the address, and logs are for many eyes
		}
	default:
		n.Webhook = w.value.raw
	}
}
