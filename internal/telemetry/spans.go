package telemetry

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"dailies/pipeline"
)

// spans are those of a run: one for the whole, one for each item that is under way, and within it one for its stage.
type spans struct {
	tracer trace.Tracer
	root   context.Context

	mu   sync.Mutex
	open map[*pipeline.Item]*way
}

// A way is an item's, as far as it has come.
type way struct {
	ctx   context.Context
	item  trace.Span
	stage trace.Span
}

func newSpans(ctx context.Context, tracer trace.Tracer, run Run) *spans {
	ctx, _ = tracer.Start(ctx, "run", trace.WithAttributes(attribute.String("dailies.batch", run.Batch),
		attribute.String("dailies.run.id", run.ID), attribute.Bool("dailies.simulated", run.Simulated)))
	return &spans{tracer: tracer, root: ctx, open: map[*pipeline.Item]*way{}}
}

func (s *spans) observe(e pipeline.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch e.Kind {
	case pipeline.EventPlanned:
		trace.SpanFromContext(s.root).SetAttributes(attribute.Int("dailies.items", len(e.Items)))
	case pipeline.EventStage:
		w := s.way(e)
		if w.stage != nil {
			w.stage.End(trace.WithTimestamp(e.At))
		}
		_, w.stage = s.tracer.Start(w.ctx, string(e.Stage), trace.WithTimestamp(e.At))
		if e.JobID != "" {
			w.item.SetAttributes(attribute.String("dailies.job.id", e.JobID))
		}
	case pipeline.EventRetry:
		if w := s.open[e.Item]; w != nil && w.stage != nil {
			w.stage.AddEvent("retry", trace.WithTimestamp(e.At), trace.WithAttributes(attribute.String("error.type", e.Message)))
		}
	case pipeline.EventNotice:
		if w := s.open[e.Item]; w != nil {
			w.item.AddEvent(e.Message, trace.WithTimestamp(e.At))
		}
	case pipeline.EventDone:
		s.done(e)
	}
}

// way is an item's, begun when the item was first heard of.
func (s *spans) way(e pipeline.Event) *way {
	w := s.open[e.Item]
	if w == nil {
		w = &way{}
		w.ctx, w.item = s.tracer.Start(s.root, "item", trace.WithTimestamp(e.At), trace.WithAttributes(
			attribute.String("dailies.item.id", e.Item.ID), attribute.String("dailies.model", e.Item.Model)))
		s.open[e.Item] = w
	}
	return w
}

// done ends an item's span. Items that needed nothing have none.
func (s *spans) done(e pipeline.Event) {
	o := e.Outcome
	if s.open[e.Item] == nil && o.Err == nil {
		return
	}
	w := s.way(e)
	delete(s.open, e.Item)
	if w.stage != nil {
		w.stage.End(trace.WithTimestamp(e.At))
	}
	w.item.SetAttributes(attribute.String("dailies.status", string(o.Status)), attribute.Int("dailies.attempts", o.Attempts),
		attribute.Int("dailies.outputs", len(o.Outputs)), attribute.Int64("dailies.bytes", o.Bytes()))
	if o.Cost != nil {
		w.item.SetAttributes(attribute.Float64("dailies.cost_cu", amount(*o.Cost)))
	}
	if o.Err != nil {
		w.item.SetAttributes(attribute.String("error.type", string(o.Err.Code)))
		if o.Status == pipeline.Failed || o.Status == pipeline.Blocked || o.Status == pipeline.Unknown {
			w.item.SetStatus(codes.Error, pipeline.Plain(o.Err.Error()))
		}
	}
	w.item.End(trace.WithTimestamp(e.At))
}

// end ends the run's span, and those of items that were never answered for.
func (s *spans) end(sum *pipeline.Summary, exit int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.open {
		if w.stage != nil {
			w.stage.End()
		}
		w.item.End()
	}
	clear(s.open)
	run := trace.SpanFromContext(s.root)
	run.SetAttributes(attribute.Int("dailies.exit_code", exit))
	if sum != nil {
		run.SetAttributes(attribute.Int("dailies.delivered", sum.Totals.Delivered), attribute.Int("dailies.reused", sum.Totals.Reused),
			attribute.Int("dailies.failed", sum.Totals.Failed+sum.Totals.Blocked), attribute.Float64("dailies.spent_cu", amount(sum.Totals.Spent)))
		if sum.Stop != nil {
			run.SetAttributes(attribute.String("error.type", string(sum.Stop.Code)))
		}
	}
	if exit != pipeline.ExitDone {
		run.SetStatus(codes.Error, "")
	}
	run.End(trace.WithTimestamp(time.Now()))
}
