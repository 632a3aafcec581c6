package progress

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"dailies/pipeline"
)

func TestEvents(t *testing.T) {
	schema, err := EventSchema().Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	totals := pipeline.Totals{Items: 3, Delivered: 1, Failed: 1, Running: 1, Spent: 80_500_000}
	o := Options{Mode: JSON, Batch: "realm", Simulated: true, Terminal: true, Color: true, Result: func() (*pipeline.Summary, int) {
		return &pipeline.Summary{Totals: totals, Stop: pipeline.Errorf(pipeline.CodeDeadline, "the time box is over")}, pipeline.ExitUnfinished
	}, Expected: func(string) (time.Duration, bool) { return time.Minute, true }}
	got := within(t, o, 3, []string{"model_veo3-1"}, func(r *rehearsal) {
		r.observe(pipeline.Event{At: time.Now(), Kind: pipeline.EventMoney, Spent: 80_500_000, Budget: pipeline.Unlimited})
		r.observe(pipeline.Event{At: time.Now(), Kind: pipeline.EventMoney, Spent: 80_500_000, Budget: pipeline.Unlimited})
		r.observe(pipeline.Event{At: time.Now(), Kind: pipeline.EventMoney, Spent: 80_500_000, Budget: 100_000_000})
		r.stage(2, pipeline.StageGenerating)
		for i := range 100 {
			r.observe(pipeline.Event{At: time.Now(), Kind: pipeline.EventProgress, Item: r.items[2], Progress: float64(i) / 100})
		}
		r.deliver(0, 45*time.Second)
		r.observe(pipeline.Event{At: time.Now(), Kind: pipeline.EventNotice, Item: r.items[1], Message: "line\nbreak <&>"})
		r.observe(pipeline.Event{At: time.Now(), Kind: pipeline.EventNotice, Message: "of the run"})
		r.fail(1, moderated())
		r.stage(0, pipeline.StageDone)
	})
	counts := map[string]int{}
	lines := strings.Split(strings.TrimSuffix(got, "\n"), "\n")
	for _, line := range lines {
		var event map[string]any
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatalf("not JSON: %v: %s", err, line)
		}
		if err := schema.Validate(event); err != nil {
			t.Errorf("%v: %s", err, line)
		}
		counts[event["event"].(string)]++
	}
	for event, want := range map[string]int{
		"run_planned": 1, "item_stage": 4, "item_progress": 9, "item_done": 2, "money": 2, "notice": 2, "heartbeat": 1, "run_finished": 1,
	} {
		if counts[event] != want {
			t.Errorf("%d of %s, want %d", counts[event], event, want)
		}
	}
	last := lines[len(lines)-1]
	want := `{"schema":"dailies.event/v1","event":"run_finished","time":"2000-01-01T00:00:45Z","exit_code":75,"seconds":45,` +
		`"totals":{"items":3,"delivered":1,"reused":0,"failed":1,"rejected":0,"running":1,"unknown":0,"blocked":0,"skipped":0,"quoted_cu":0,"spent_cu":80.5},` +
		`"stop":{"code":"deadline_reached","message":"the time box is over","hint":"run the same command again: it collects what is still generating","retryable":true,"charged":false}}`
	if last != want {
		t.Errorf("the last event is\n%s\nwant\n%s", last, want)
	}
}

func TestEventSchemaRefuses(t *testing.T) {
	schema, err := EventSchema().Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, line := range map[string]string{
		"another version": `{"schema":"dailies.event/v2","event":"item_progress","time":"2026-01-01T00:00:00Z","item":"a","progress":0.1}`,
		"unknown event":   `{"schema":"dailies.event/v1","event":"party","time":"2026-01-01T00:00:00Z"}`,
		"missing field":   `{"schema":"dailies.event/v1","event":"item_progress","time":"2026-01-01T00:00:00Z","item":"a"}`,
		"unknown field":   `{"schema":"dailies.event/v1","event":"notice","time":"2026-01-01T00:00:00Z","message":"a","url":"b"}`,
		"unknown status":  `{"schema":"dailies.event/v1","event":"item_done","time":"2026-01-01T00:00:00Z","item":"a","model":"b","status":"lost","job_id":null,"cost_cu":null,"attempts":0,"outputs":[],"error":null}`,
	} {
		var event any
		if err := json.Unmarshal([]byte(line), &event); err != nil {
			t.Fatal(err)
		}
		if schema.Validate(event) == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestEventsWithoutResult(t *testing.T) {
	got := within(t, Options{Mode: JSON}, 1, []string{"m"}, func(*rehearsal) {})
	if n := strings.Count(got, `"run_finished"`); n != 1 || !strings.Contains(got, `"exit_code":0`) {
		t.Errorf("got\n%s", got)
	}
}
