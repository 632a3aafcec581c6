package progress

import (
	"fmt"
	"testing"
	"time"

	"dailies/pipeline"
)

func TestTimeLeft(t *testing.T) {
	minute := func(string) (time.Duration, bool) { return time.Minute, true }
	start := time.Unix(1_000_000, 0)
	for _, c := range []struct {
		name       string
		o          Options
		items      int
		generating int           // since start
		after      time.Duration // now
		took       time.Duration // what a first, delivered item took
		want       string
	}{
		{name: "nothing is known", items: 5, generating: 2, after: time.Second, want: ""},
		{name: "one waits for nothing but itself", o: Options{Expected: minute}, items: 1, generating: 1, after: 20 * time.Second, want: "40s left"},
		{name: "slots in use share the work", o: Options{Expected: minute}, items: 20, generating: 10, want: "2m left"},
		{name: "slots to come share it too", o: Options{Expected: minute, Concurrency: 20}, items: 20, generating: 1, want: "1m00s left"},
		{name: "a straggler is nearly done", o: Options{Expected: minute}, items: 1, generating: 1, after: time.Hour, want: "5s left"},
		{name: "the request rate bounds it", o: Options{Expected: minute, Concurrency: 10_000, RequestsPerMinute: 100}, items: 1000, want: "10m left"},
		{name: "what was seen counts", items: 11, generating: 10, took: 5 * time.Minute, want: "5m left"},
		{name: "what was seen weighs as much as what was known", o: Options{Expected: minute}, items: 2, generating: 1, took: 3 * time.Minute, want: "2m left"},
		{name: "hours", o: Options{Expected: minute}, items: 1000, generating: 8, want: "2h05m left"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tl := newTally(c.o)
			var items []*pipeline.Item
			for i := range c.items {
				items = append(items, &pipeline.Item{ID: fmt.Sprint(i), Model: "m"})
			}
			tl.apply(pipeline.Event{At: start, Kind: pipeline.EventPlanned, Items: items})
			if c.took > 0 {
				tl.apply(pipeline.Event{At: start, Kind: pipeline.EventDone, Item: items[0], Outcome: &pipeline.Outcome{
					Status: pipeline.Delivered, SubmittedAt: start.Add(-c.took), FinishedAt: start,
				}})
				items = items[1:]
			}
			for _, it := range items[:c.generating] {
				tl.apply(pipeline.Event{At: start, Kind: pipeline.EventStage, Item: it, Stage: pipeline.StageGenerating})
			}
			if got := tl.leftWords(start.Add(c.after)); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestNoBarGoesBack(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	tl := newTally(Options{Expected: func(string) (time.Duration, bool) { return time.Minute, true }})
	it := &pipeline.Item{ID: "a", Model: "m"}
	tl.apply(pipeline.Event{At: start, Kind: pipeline.EventPlanned, Items: []*pipeline.Item{it}})
	far := 0.0
	check := func(now time.Time) {
		t.Helper()
		_, all := tl.advances(now)
		if all < far || all > 1 {
			t.Errorf("the bar goes from %v to %v", far, all)
		}
		far = all
	}
	tell := func(after time.Duration, e pipeline.Event) {
		e.At, e.Item = start.Add(after), it
		tl.apply(e)
		check(e.At)
	}
	tell(0, pipeline.Event{Kind: pipeline.EventStage, Stage: pipeline.StageGenerating})
	check(start.Add(50 * time.Second))
	tell(51*time.Second, pipeline.Event{Kind: pipeline.EventProgress, Progress: 0.2})
	tell(55*time.Second, pipeline.Event{Kind: pipeline.EventStage, Stage: pipeline.StageSlot}) // refused: it waits again
	tell(56*time.Second, pipeline.Event{Kind: pipeline.EventStage, Stage: pipeline.StageGenerating})
	tell(70*time.Second, pipeline.Event{Kind: pipeline.EventStage, Stage: pipeline.StageFetch})
	tell(71*time.Second, pipeline.Event{Kind: pipeline.EventBytes, Bytes: 90, Total: 100})
	tell(72*time.Second, pipeline.Event{Kind: pipeline.EventBytes, Bytes: 10, Total: 100}) // the second file
	tell(73*time.Second, pipeline.Event{Kind: pipeline.EventDone, Outcome: &pipeline.Outcome{Status: pipeline.Delivered}})
	if far != 1 {
		t.Errorf("a batch that is done is shown at %v", far)
	}
}
