// Package telemetry tells an OpenTelemetry collector of a run: a trace with a span for every item and one within it for
// each stage of its way, and metrics of requests, retries, refusals for the rate, bytes and creative units.
//
// It promises to be nothing at all unless the standard OTEL_* environment asks for it: no goroutine, no connection, and
// a nil *Telemetry whose methods return at once. It never holds a run up: what cannot be sent is dropped, and said once.
// It refuses to send prompts and payloads, and whatever is not from a small set of words becomes no metric's attribute.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"dailies/pipeline"
)

// scope is what instruments and spans are filed under.
const scope = "dailies"

// patience is how long the end of a run waits for a collector.
const patience = 5 * time.Second

// A Run is what spans and metrics are about.
type Run struct {
	ID        string
	Batch     string
	Version   string // of the program
	Simulated bool
}

// Telemetry watches one run. A nil one does nothing.
type Telemetry struct {
	traces  *sdktrace.TracerProvider // nil when only metrics are asked for
	metrics *sdkmetric.MeterProvider // nil when only traces are

	spans       *spans
	instruments *instruments
}

// Start begins to watch if the environment asks for it, and returns nil if it does not. note is told, once each, of what
// is asked for and cannot be done.
func Start(ctx context.Context, run Run, note func(string)) *Telemetry {
	traced, measured := asked("TRACES", note), asked("METRICS", note)
	if !traced && !measured {
		return nil
	}
	var once sync.Once
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		once.Do(func() { note("telemetry could not be sent, and is not waited for: " + plain(err)) })
	}))
	about, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(
		attribute.String("service.name", scope), attribute.String("service.version", run.Version), attribute.String("service.instance.id", run.ID)),
		resource.WithFromEnv())
	if err != nil {
		note("OTEL_RESOURCE_ATTRIBUTES cannot be read in full: " + plain(err))
	}
	t := &Telemetry{}
	if traced {
		exporter, err := otlptracehttp.New(ctx)
		if err != nil {
			otel.Handle(err)
			return nil
		}
		t.traces = sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(about))
		t.spans = newSpans(parent(ctx), t.traces.Tracer(scope), run)
	}
	if measured {
		exporter, err := otlpmetrichttp.New(ctx)
		if err != nil {
			otel.Handle(err)
			return nil
		}
		t.metrics = sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewPeriodicReader(exporter)), sdkmetric.WithResource(about))
		if t.instruments, err = newInstruments(t.metrics.Meter(scope), run.Simulated); err != nil {
			otel.Handle(err)
		}
	}
	return t
}

// asked reports whether the environment wants a signal sent to a collector, by the rules of OpenTelemetry's
// specification, except that without an endpoint nothing is sent to a default one.
func asked(signal string, note func(string)) bool {
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") {
		return false
	}
	exporter := os.Getenv("OTEL_" + signal + "_EXPORTER")
	switch {
	case exporter == "none":
		return false
	case exporter != "" && exporter != "otlp":
		note(fmt.Sprintf("OTEL_%s_EXPORTER=%s is not known here: otlp and none are", signal, pipeline.Plain(exporter)))
		return false
	case exporter == "" && firstSet("OTEL_EXPORTER_OTLP_"+signal+"_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT") == "":
		return false
	}
	protocol := firstSet("OTEL_EXPORTER_OTLP_"+signal+"_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
	if !slices.Contains([]string{"", "http/protobuf"}, protocol) {
		note(fmt.Sprintf("telemetry over %s is not sent: set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf, and the collector's HTTP port (4318)", pipeline.Plain(protocol)))
		return false
	}
	return true
}

func firstSet(names ...string) string {
	for _, n := range names {
		if v := os.Getenv(n); v != "" {
			return v
		}
	}
	return ""
}

// parent is the trace that whoever started the program is in, as TRACEPARENT names it.
func parent(ctx context.Context) context.Context {
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{
		"traceparent": os.Getenv("TRACEPARENT"), "tracestate": os.Getenv("TRACESTATE")})
}

// plain is an error without the address it is about, which may hold a password or a token.
func plain(err error) string {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	return pipeline.Plain(err.Error())
}

// With is an observer that tells t of what it is told, after next.
func (t *Telemetry) With(next pipeline.Observer) pipeline.Observer {
	if t == nil {
		return next
	}
	return func(e pipeline.Event) {
		next(e)
		t.Observe(e)
	}
}

// Observe is told of a run's events.
func (t *Telemetry) Observe(e pipeline.Event) {
	if t == nil {
		return
	}
	if t.spans != nil {
		t.spans.observe(e)
	}
	if t.instruments != nil {
		t.instruments.observe(e)
	}
}

// Exchange is told of every request to the API: its kind, the status of the answer (0 when there was none), how long it took.
func (t *Telemetry) Exchange(kind string, status int, took time.Duration) {
	if t != nil && t.instruments != nil {
		t.instruments.exchange(kind, status, took)
	}
}

// End sends what is left. The run is over, and s may be nil when it did not begin.
func (t *Telemetry) End(ctx context.Context, s *pipeline.Summary, exit int) {
	if t == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	var sending sync.WaitGroup
	if t.spans != nil {
		t.spans.end(s, exit)
		sending.Go(func() { report(t.traces.Shutdown(ctx)) })
	}
	if t.metrics != nil {
		sending.Go(func() { report(t.metrics.Shutdown(ctx)) })
	}
	sending.Wait()
}

func report(err error) {
	if err != nil {
		otel.Handle(err)
	}
}
