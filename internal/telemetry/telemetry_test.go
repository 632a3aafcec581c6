package telemetry

import (
	"compress/gzip"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	collectormetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	collectortrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"dailies/pipeline"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A collector receives OTLP over HTTP, as a real one does.
type collector struct {
	*httptest.Server
	mu       sync.Mutex
	headers  http.Header
	resource map[string]string
	spans    []*tracepb.Span
	metrics  map[string]*metricspb.Metric
}

func startCollector(t *testing.T) *collector {
	c := &collector{metrics: map[string]*metricspb.Metric{}}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	t.Cleanup(func() { http.DefaultTransport.(*http.Transport).CloseIdleConnections() })
	return c
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		unpacked, err := gzip.NewReader(body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		body = unpacked
	}
	data, err := io.ReadAll(body)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.headers = r.Header
	if err == nil && r.Header.Get("Content-Type") == "application/x-protobuf" {
		switch r.URL.Path {
		case "/v1/traces":
			var in collectortrace.ExportTraceServiceRequest
			err = proto.Unmarshal(data, &in)
			for _, rs := range in.ResourceSpans {
				c.resource = texts(rs.Resource.Attributes)
				for _, ss := range rs.ScopeSpans {
					c.spans = append(c.spans, ss.Spans...)
				}
			}
		case "/v1/metrics":
			var in collectormetrics.ExportMetricsServiceRequest
			err = proto.Unmarshal(data, &in)
			for _, rm := range in.ResourceMetrics {
				for _, sm := range rm.ScopeMetrics {
					for _, m := range sm.Metrics {
						c.metrics[m.Name] = m // cumulative: the last says it all
					}
				}
			}
		default:
			http.NotFound(w, r)
			return
		}
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func texts(attrs []*commonpb.KeyValue) map[string]string {
	m := map[string]string{}
	for _, a := range attrs {
		if s, ok := a.Value.Value.(*commonpb.AnyValue_StringValue); ok {
			m[a.Key] = s.StringValue
		} else {
			m[a.Key] = strings.TrimSpace(a.Value.String())
		}
	}
	return m
}

func (c *collector) spanNamed(t *testing.T, name string, attr ...string) *tracepb.Span {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		if s.Name == name && (len(attr) == 0 || texts(s.Attributes)[attr[0]] == attr[1]) {
			return s
		}
	}
	t.Fatalf("no span %q %v came", name, attr)
	return nil
}

// sum is what a counter came to, over the points with these attributes.
func (c *collector) sum(t *testing.T, name string, attr ...string) float64 {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	m, ok := c.metrics[name]
	if !ok {
		t.Fatalf("no metric %q came: %v", name, slices.Sorted(maps.Keys(c.metrics)))
	}
	var points []*metricspb.NumberDataPoint
	switch {
	case m.GetSum() != nil:
		points = m.GetSum().DataPoints
	case m.GetGauge() != nil:
		points = m.GetGauge().DataPoints
	}
	total := 0.0
	for _, p := range points {
		about := texts(p.Attributes)
		if len(attr) > 0 && about[attr[0]] != attr[1] {
			continue
		}
		total += p.GetAsDouble() + float64(p.GetAsInt())
	}
	return total
}

// clean takes whatever the developer's own environment asks for away.
func clean(t *testing.T) {
	for _, name := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
		"OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER", "OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_SDK_DISABLED",
		"OTEL_RESOURCE_ATTRIBUTES", "OTEL_SERVICE_NAME", "TRACEPARENT", "TRACESTATE"} {
		t.Setenv(name, "")
	}
}

var night = Run{ID: "20261121T020000Z-abc", Batch: "dragons", Version: "1.2.3"}

// drive is a run of one item that is delivered, one that fails, and one that was there already.
func drive(tel *Telemetry) {
	at := time.Date(2026, 11, 21, 2, 0, 0, 0, time.UTC)
	good := &pipeline.Item{ID: "good", Model: "model_veo3-1", Prompt: "a secret prompt"}
	bad := &pipeline.Item{ID: "bad", Model: "model_lyria-2"}
	old := &pipeline.Item{ID: "old", Model: "model_lyria-2"}
	send := func(after time.Duration, e pipeline.Event) {
		e.At = at.Add(after)
		tel.Observe(e)
	}
	stage := func(after time.Duration, it *pipeline.Item, s pipeline.Stage) {
		send(after, pipeline.Event{Kind: pipeline.EventStage, Item: it, Stage: s, JobID: map[bool]string{true: "job_1"}[s == pipeline.StageGenerating]})
	}
	send(0, pipeline.Event{Kind: pipeline.EventPlanned, Items: []*pipeline.Item{good, bad, old}})
	send(0, pipeline.Event{Kind: pipeline.EventDone, Item: old, Outcome: &pipeline.Outcome{Item: old, Status: pipeline.Reused}})
	stage(0, good, pipeline.StageQuote)
	stage(time.Second, good, pipeline.StageSubmit)
	send(time.Second, pipeline.Event{Kind: pipeline.EventRetry, Item: good, Message: "concurrency_limited"})
	stage(2*time.Second, good, pipeline.StageGenerating)
	stage(2*time.Second, bad, pipeline.StageQuote)
	send(3*time.Second, pipeline.Event{Kind: pipeline.EventRetry, Message: "api_unavailable"})
	send(3*time.Second, pipeline.Event{Kind: pipeline.EventMoney, Spent: 80e6, Reserved: 10e6})
	failure := pipeline.Errorf(pipeline.CodeModerated, "the provider refused the content")
	send(4*time.Second, pipeline.Event{Kind: pipeline.EventDone, Item: bad, Outcome: &pipeline.Outcome{Item: bad, Status: pipeline.Failed, Err: failure}})
	stage(62*time.Second, good, pipeline.StageFetch)
	send(64*time.Second, pipeline.Event{Kind: pipeline.EventDone, Item: good, Outcome: &pipeline.Outcome{Item: good, Status: pipeline.Delivered, Attempts: 1,
		Cost: new(pipeline.CU(80e6)), Outputs: []pipeline.Output{{Bytes: 1000}, {Bytes: 24}}, SubmittedAt: at.Add(2 * time.Second), FinishedAt: at.Add(60 * time.Second)}})
	tel.Exchange("submit", 200, 300*time.Millisecond)
	tel.Exchange("submit", 429, 20*time.Millisecond)
	tel.Exchange("jobs", 200, 100*time.Millisecond)
	tel.Exchange("jobs", 0, time.Minute)
}

func TestARunAsACollectorSeesIt(t *testing.T) {
	clean(t)
	c := startCollector(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.URL)
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-team=art")
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=ci")
	t.Setenv("TRACEPARENT", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	tel := Start(t.Context(), night, func(s string) { t.Errorf("note: %s", s) })
	if tel == nil {
		t.Fatal("nothing was started")
	}
	drive(tel)
	tel.End(t.Context(), &pipeline.Summary{Totals: pipeline.Totals{Delivered: 1, Reused: 1, Failed: 1, Spent: 80e6}}, pipeline.ExitFailed)

	for name, want := range map[string]string{"service.name": "dailies", "service.version": "1.2.3", "service.instance.id": night.ID, "deployment.environment.name": "ci"} {
		if c.resource[name] != want {
			t.Errorf("resource %s is %q, want %q", name, c.resource[name], want)
		}
	}
	if c.headers.Get("X-Team") != "art" {
		t.Error("the headers that were asked for are not sent")
	}
	run := c.spanNamed(t, "run")
	if got := hexOf(run.TraceId); got != "0af7651916cd43dd8448eb211c80319c" || hexOf(run.ParentSpanId) != "b7ad6b7169203331" {
		t.Errorf("the run is in trace %s, not in that of whoever started it", got)
	}
	if run.Status.Code != tracepb.Status_STATUS_CODE_ERROR {
		t.Errorf("a run that ended with 3 has status %v", run.Status)
	}
	good, bad := c.spanNamed(t, "item", "dailies.item.id", "good"), c.spanNamed(t, "item", "dailies.item.id", "bad")
	if string(good.ParentSpanId) != string(run.SpanId) || took(good) != 64*time.Second {
		t.Errorf("the item's span takes %v", took(good))
	}
	if bad.Status.Code != tracepb.Status_STATUS_CODE_ERROR || texts(bad.Attributes)["error.type"] != "moderated" {
		t.Errorf("the failed item's span: %v", bad)
	}
	stages := map[string]time.Duration{}
	for _, s := range c.spans {
		if string(s.ParentSpanId) == string(good.SpanId) {
			stages[s.Name] = took(s)
			if s.Name == "submit" && (len(s.Events) != 1 || s.Events[0].Name != "retry") {
				t.Errorf("the submit's retry is not in its span: %v", s.Events)
			}
		}
	}
	want := map[string]time.Duration{"quote": time.Second, "submit": time.Second, "generating": time.Minute, "fetch": 2 * time.Second}
	if !maps.Equal(stages, want) {
		t.Errorf("the stages took %v, want %v", stages, want)
	}
	if n := len(c.spans); n != 1+2+4+1 {
		t.Errorf("%d spans came: what was there already needs none", n)
	}
	for _, s := range c.spans {
		if strings.Contains(s.String(), "secret prompt") {
			t.Error("a prompt was sent")
		}
	}

	for _, m := range []struct {
		name, key, value string
		want             float64
	}{
		{"dailies.api.requests", "dailies.api.call", "submit", 2}, {"dailies.api.requests", "dailies.api.call", "jobs", 2},
		{"dailies.api.throttled", "dailies.api.call", "submit", 1}, {"dailies.retries", "error.type", "api_unavailable", 1},
		{"dailies.retries", "error.type", "concurrency_limited", 1}, {"dailies.items", "dailies.status", "delivered", 1},
		{"dailies.items", "dailies.status", "reused", 1}, {"dailies.items", "error.type", "moderated", 1},
		{"dailies.delivered", "dailies.model", "model_veo3-1", 1024}, {"dailies.cost", "dailies.model", "model_veo3-1", 80},
	} {
		if got := c.sum(t, m.name, m.key, m.value); got != m.want {
			t.Errorf("%s{%s=%s} is %v, want %v", m.name, m.key, m.value, got, m.want)
		}
	}
	if spent, reserved := c.sum(t, "dailies.spent"), c.sum(t, "dailies.reserved"); spent != 80 || reserved != 10 {
		t.Errorf("money: %v spent, %v reserved", spent, reserved)
	}
	for _, name := range []string{"dailies.api.request.duration", "dailies.stage.duration", "dailies.generation.duration"} {
		if c.metrics[name].GetHistogram() == nil {
			t.Errorf("no histogram %s", name)
		}
	}
}

func took(s *tracepb.Span) time.Duration {
	return time.Duration(s.EndTimeUnixNano - s.StartTimeUnixNano)
}

func hexOf(b []byte) string {
	const digits = "0123456789abcdef"
	var s strings.Builder
	for _, c := range b {
		s.WriteByte(digits[c>>4])
		s.WriteByte(digits[c&15])
	}
	return s.String()
}

// TestNothingUnlessAsked: without the environment there is nothing, and what there is not costs nothing.
func TestNothingUnlessAsked(t *testing.T) {
	for name, env := range map[string]map[string]string{
		"nothing set":       {},
		"no signal wanted":  {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"},
		"all switched off":  {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"},
		"another protocol":  {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
		"another exporter":  {"OTEL_TRACES_EXPORTER": "jaeger", "OTEL_METRICS_EXPORTER": "prometheus"},
		"headers and names": {"OTEL_SERVICE_NAME": "x", "OTEL_EXPORTER_OTLP_HEADERS": "a=b"},
	} {
		t.Run(name, func(t *testing.T) {
			clean(t)
			for k, v := range env {
				t.Setenv(k, v)
			}
			said := 0
			before := runtime.NumGoroutine()
			tel := Start(t.Context(), night, func(string) { said++ })
			if tel != nil {
				t.Fatal("something was started")
			}
			if after := runtime.NumGoroutine(); after > before {
				t.Errorf("%d goroutines more", after-before)
			}
			if wants := strings.HasPrefix(name, "another"); wants != (said > 0) {
				t.Errorf("%d notes", said)
			}
			e := pipeline.Event{Kind: pipeline.EventMoney}
			if n := testing.AllocsPerRun(100, func() { tel.Observe(e); tel.Exchange("jobs", 200, time.Second) }); n > 0 {
				t.Errorf("%v allocations for nothing", n)
			}
			tel.End(t.Context(), nil, 0)
		})
	}
}

// TestACollectorThatIsNotThere: the run is not held up and the reason is said once, without the address's password.
func TestACollectorThatIsNotThere(t *testing.T) {
	clean(t)
	refusing := httptest.NewServer(http.NotFoundHandler())
	url := refusing.URL
	refusing.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", strings.Replace(url, "http://", "http://user:hunter2secret@", 1)+"/?token=hunter2secret")
	var mu sync.Mutex
	var notes []string
	tel := Start(t.Context(), night, func(s string) {
		mu.Lock()
		defer mu.Unlock()
		notes = append(notes, s)
	})
	drive(tel)
	began := time.Now()
	tel.End(t.Context(), nil, pipeline.ExitDone)
	if waited := time.Since(began); waited > 2*patience {
		t.Errorf("the end waited %v", waited)
	}
	if len(notes) != 1 || strings.Contains(notes[0], "hunter2secret") {
		t.Errorf("notes: %q", notes)
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(error) {}))
}
