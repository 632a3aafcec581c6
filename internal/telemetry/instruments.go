package telemetry

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"dailies/pipeline"
)

// instruments are what is counted and measured.
type instruments struct {
	requests   metric.Int64Counter
	throttled  metric.Int64Counter
	answered   metric.Float64Histogram
	retries    metric.Int64Counter
	items      metric.Int64Counter
	bytes      metric.Int64Counter
	cost       metric.Float64Counter
	spent      metric.Float64Gauge
	reserved   metric.Float64Gauge
	stages     metric.Float64Histogram
	generation metric.Float64Histogram
	simulated  attribute.KeyValue

	mu sync.Mutex
	at map[*pipeline.Item]stay
}

// A stay is how long an item has been in a stage.
type stay struct {
	stage pipeline.Stage
	since time.Time
}

// moments are bounds that tell a quick answer from a slow video, in seconds.
var moments = []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600}

func newInstruments(m metric.Meter, simulated bool) (*instruments, error) {
	i := &instruments{simulated: attribute.Bool("dailies.simulated", simulated), at: map[*pipeline.Item]stay{}}
	var errs [11]error
	count := func(n int, name, unit, what string) (c metric.Int64Counter) {
		c, errs[n] = m.Int64Counter(name, metric.WithUnit(unit), metric.WithDescription(what))
		return c
	}
	measure := func(n int, name, what string) (h metric.Float64Histogram) {
		h, errs[n] = m.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(what), metric.WithExplicitBucketBoundaries(moments...))
		return h
	}
	i.requests = count(0, "dailies.api.requests", "{request}", "Requests to the API.")
	i.throttled = count(1, "dailies.api.throttled", "{request}", "Requests the API refused for the rate or for want of a slot (429).")
	i.retries = count(2, "dailies.retries", "{attempt}", "Calls that were tried again.")
	i.items = count(3, "dailies.items", "{item}", "Items answered for.")
	i.bytes = count(4, "dailies.delivered", "By", "Bytes of delivered assets.")
	i.answered = measure(5, "dailies.api.request.duration", "Time from a request to the end of its answer.")
	i.stages = measure(6, "dailies.stage.duration", "Time items spend in a stage.")
	i.generation = measure(7, "dailies.generation.duration", "Time a job took, by the API's own clock.")
	i.cost, errs[8] = m.Float64Counter("dailies.cost", metric.WithUnit("{CU}"), metric.WithDescription("Creative units that items cost when they were answered for."))
	i.spent, errs[9] = m.Float64Gauge("dailies.spent", metric.WithUnit("{CU}"), metric.WithDescription("Creative units spent by this run so far, refunds taken off."))
	i.reserved, errs[10] = m.Float64Gauge("dailies.reserved", metric.WithUnit("{CU}"), metric.WithDescription("Creative units set aside for submits in the air."))
	return i, errors.Join(errs[:]...)
}

func (i *instruments) with(attrs ...attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributes(append(attrs, i.simulated)...)
}

func (i *instruments) exchange(kind string, status int, took time.Duration) {
	ctx, about := context.Background(), i.with(attribute.String("dailies.api.call", kind), attribute.Int("http.response.status_code", status))
	i.requests.Add(ctx, 1, about)
	i.answered.Record(ctx, took.Seconds(), about)
	if status == http.StatusTooManyRequests {
		i.throttled.Add(ctx, 1, i.with(attribute.String("dailies.api.call", kind)))
	}
}

func (i *instruments) observe(e pipeline.Event) {
	ctx := context.Background()
	switch e.Kind {
	case pipeline.EventStage:
		i.leave(e)
		i.mu.Lock()
		i.at[e.Item] = stay{e.Stage, e.At}
		i.mu.Unlock()
	case pipeline.EventRetry:
		i.retries.Add(ctx, 1, i.with(attribute.String("error.type", e.Message)))
	case pipeline.EventMoney:
		i.spent.Record(ctx, amount(e.Spent), i.with())
		i.reserved.Record(ctx, amount(e.Reserved), i.with())
	case pipeline.EventDone:
		i.leave(e)
		o, model := e.Outcome, attribute.String("dailies.model", e.Item.Model)
		about := []attribute.KeyValue{model, attribute.String("dailies.status", string(o.Status))}
		if o.Err != nil {
			about = append(about, attribute.String("error.type", string(o.Err.Code)))
		}
		i.items.Add(ctx, 1, i.with(about...))
		if o.Status != pipeline.Delivered {
			return
		}
		i.bytes.Add(ctx, o.Bytes(), i.with(model))
		if o.Cost != nil {
			i.cost.Add(ctx, amount(*o.Cost), i.with(model))
		}
		if took := o.Generation(); took > 0 {
			i.generation.Record(ctx, took.Seconds(), i.with(model))
		}
	}
}

// leave measures the stage an item was in.
func (i *instruments) leave(e pipeline.Event) {
	i.mu.Lock()
	was, ok := i.at[e.Item]
	delete(i.at, e.Item)
	i.mu.Unlock()
	if ok {
		i.stages.Record(context.Background(), e.At.Sub(was.since).Seconds(), i.with(attribute.String("dailies.stage", string(was.stage)), attribute.String("dailies.model", e.Item.Model)))
	}
}

// amount is what charts take; the books are kept in exact units elsewhere.
func amount(c pipeline.CU) float64 { return float64(c) / 1e6 }
