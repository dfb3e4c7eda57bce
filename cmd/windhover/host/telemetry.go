package host

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/otel/attribute"
	prometheusexporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/windhover/windhover/internal/ledger"
	"github.com/windhover/windhover/internal/otlp"
)

// telemetry is what Windhover measures of itself: one provider, read by Prometheus and
// by a periodic export, so that both have the same metrics.
type telemetry struct {
	registry *prometheus.Registry
	provider *sdkmetric.MeterProvider
	settings component.TelemetrySettings
}

// chatty are the libraries whose own metrics are left out, as a collector leaves them
// out: one histogram per method and status.
var chatty = []string{
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc",
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp",
}

func newTelemetry(s Settings, book *ledger.Book, send func(pmetric.Metrics) error) (*telemetry, error) {
	cfg := s.Blocks.Config.Telemetry
	t := &telemetry{registry: prometheus.NewRegistry()}
	if err := errors.Join(
		t.registry.Register(collectors.NewGoCollector()),
		t.registry.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})),
	); err != nil {
		return nil, fmt.Errorf("register metrics of the runtime: %w", err)
	}
	scraped, err := prometheusexporter.New(prometheusexporter.WithRegisterer(t.registry), prometheusexporter.WithoutScopeInfo())
	if err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	res := pcommon.NewResource()
	host := otlp.HostResource(s.Build.Version)
	host.Put(res.Attributes())
	for name, value := range cfg.Resource {
		res.Attributes().PutStr(name, value)
	}
	var attributes []attribute.KeyValue
	for name, value := range res.Attributes().All() {
		attributes = append(attributes, attribute.String(name, value.Str()))
	}
	o := []sdkmetric.Option{
		sdkmetric.WithResource(resource.NewSchemaless(attributes...)),
		sdkmetric.WithReader(scraped),
		// The tables of metrics bound the number of series; a limit would put whole
		// system calls and rules together.
		sdkmetric.WithCardinalityLimit(0),
	}
	if e := cfg.Metrics.Exporters; e == nil || len(e) > 0 {
		o = append(o, sdkmetric.WithReader(sdkmetric.NewPeriodicReader(&periodic{book: book, send: send},
			sdkmetric.WithInterval(cfg.Metrics.Interval), sdkmetric.WithTimeout(10*time.Second))))
	}
	for _, scope := range chatty {
		o = append(o, sdkmetric.WithView(sdkmetric.NewView(
			sdkmetric.Instrument{Scope: instrumentation.Scope{Name: scope}},
			sdkmetric.Stream{Aggregation: sdkmetric.AggregationDrop{}})))
	}
	t.provider = sdkmetric.NewMeterProvider(o...)
	t.settings = component.TelemetrySettings{
		Logger:         s.Logger,
		TracerProvider: noop.NewTracerProvider(),
		MeterProvider:  t.provider,
		Resource:       res,
	}
	return t, nil
}

func (t *telemetry) flush(ctx context.Context) error    { return t.provider.ForceFlush(ctx) }
func (t *telemetry) shutdown(ctx context.Context) error { return t.provider.Shutdown(ctx) }

// observe registers all metrics.
func (t *telemetry) observe(h *Host) error {
	h.book.SetHost(h.stats)
	_, err := otlp.Instrument(t.provider, h.book)
	return err
}

// stats is what the ledger cannot know of itself.
func (h *Host) stats() ledger.HostStats {
	var st ledger.HostStats
	for _, o := range h.alerts.outlets {
		st.Outlets = append(st.Outlets, o.stats("logs"))
	}
	for _, o := range h.metrics {
		st.Outlets = append(st.Outlets, o.stats("metrics"))
	}
	for _, s := range h.sources {
		r := s.report()
		st.Sources = append(st.Sources, ledger.SourceStats{Source: r.Name, State: r.state, Restarts: uint64(r.Restarts)})
	}
	return st
}

// periodic hands what a reader collected to the exporters of metrics.
type periodic struct {
	book *ledger.Book
	send func(pmetric.Metrics) error
}

func (*periodic) Temporality(sdkmetric.InstrumentKind) metricdata.Temporality {
	return metricdata.CumulativeTemporality
}

func (*periodic) Aggregation(k sdkmetric.InstrumentKind) sdkmetric.Aggregation {
	return sdkmetric.DefaultAggregationSelector(k)
}

// Export is not called concurrently.
func (p *periodic) Export(_ context.Context, rm *metricdata.ResourceMetrics) error {
	rules, _ := p.book.Rules()
	return p.send(otlp.ToPMetric(rm, rules.Generation))
}

func (*periodic) ForceFlush(context.Context) error { return nil }
func (*periodic) Shutdown(context.Context) error   { return nil }
