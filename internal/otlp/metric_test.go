package otlp

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/otlptranslator"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/otel/attribute"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/instrumentation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdkresource "go.opentelemetry.io/otel/sdk/resource"

	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/ledger"
)

// testBook returns a book with a little of everything.
func testBook(tb testing.TB) *ledger.Book {
	tb.Helper()
	var b ledger.Book
	s := ledger.NewSource("windhover_syscall", ledger.KernelSource)
	s.SetState(ledger.StateOK, "")
	err := s.SetKernelReader(func(c *ledger.KernelCounters) error {
		*c = ledger.KernelCounters{
			Syscalls: []ledger.Syscall{{ABI: "x86_64", Name: "getpid", Count: 12}, {ABI: "x86_64", Name: "openat", Count: 9}, {ABI: "i386", Name: "open"}},
			Programs: []ledger.Program{{Name: "sys_exit", Runs: 21, Time: 2 * time.Microsecond}},
			Rings:    []ledger.Ring{{Shard: 0, Lane: event.LaneBulk, Used: 100, Size: 8 << 20}, {Shard: 0, Lane: event.LaneReserved, Size: 1 << 20}},
		}
		c.Produced[event.OpenAt] = 9
		c.Dropped[event.OpenAt][event.LaneBulk][ledger.DropRingFull] = 2
		c.Losers = []ledger.ContainerCount{{Container: ledger.Other}, {Container: "3ad7b26ded6d", Count: 2}}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	s.SetProcesses(func() int { return 77 })
	s.SetQueue(func() ledger.QueueStats {
		return ledger.QueueStats{Items: 1, ItemLimit: 10, Bytes: 900, ByteLimit: 1000, Accepted: 3, Taken: 2}
	})
	s.SetFold(func() ledger.FoldStats {
		return ledger.FoldStats{Keys: 2, KeyLimit: 100, Reported: 3, Open: 1, Evicted: 1, Unreported: [ledger.NumLostReasons]uint64{ledger.LostQueueClosed: 1}}
	})
	s.SetCount(func() ledger.CountStats { return ledger.CountStats{Keys: 3, KeyLimit: 50, Evicted: 2} })
	s.SetRedacted(func() uint64 { return 1 })
	w := s.Worker()
	w.SetRules([]ledger.RuleKey{{Name: "first", Priority: "Warning"}, {Name: "second", Priority: "Critical"}})
	for range 6 {
		w.Delivered(event.OpenAt)
		w.Evaluated(event.OpenAt)
	}
	w.Delivered(event.OpenAt)
	w.Skipped(event.OpenAt, ledger.SkipSelf)
	w.Below(1)
	w.Alerted(0)
	w.Alerted(0)
	w.Lost(1, ledger.LostQueueBytes)
	for range 5 {
		w.Folded(0)
	}
	w.Cost(0, 1500*time.Microsecond, 4096)
	w.SetLag(1500 * time.Millisecond)
	w.Publish()
	s.Noticed()
	s.Acknowledged(1)
	s.Failed(ledger.FailRefused, 1)
	b.Add(s)
	b.Add(ledger.NewSource("windhover_k8saudit/a", "k8s_audit"))
	b.SetRules(func() ledger.RuleStats {
		return ledger.RuleStats{Loaded: 2, Generation: 3, Reloads: 2, ReloadFailures: 1, Stale: true}
	})
	b.SetHost(func() ledger.HostStats {
		return ledger.HostStats{
			Outlets: []ledger.OutletStats{{Exporter: "otlp_grpc", Signal: "logs", Items: 4, Bytes: 4000, Taken: 10, Failed: 1, Refused: 2}},
			Sources: []ledger.SourceStats{
				{Source: "windhover_syscall", State: ledger.StateOK, Restarts: 1},
				{Source: "windhover_k8saudit/failed", State: ledger.StateFailed},
			},
		}
	})
	return &b
}

func newReader(tb testing.TB, b *ledger.Book) *MetricReader {
	tb.Helper()
	r, err := NewMetricReader(b, testResource)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := r.Shutdown(context.WithoutCancel(tb.Context())); err != nil {
			tb.Error(err)
		}
	})
	return r
}

// lines returns every value in m as a line of text, sorted.
func lines(m pmetric.Metrics) []string {
	var out []string
	for _, rm := range m.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				points := pmetric.NewNumberDataPointSlice()
				switch m.Type() {
				case pmetric.MetricTypeSum:
					points = m.Sum().DataPoints()
				case pmetric.MetricTypeGauge:
					points = m.Gauge().DataPoints()
				}
				for _, p := range points.All() {
					attrs := p.Attributes().AsRaw()
					var line strings.Builder
					line.WriteString(m.Name())
					for _, k := range slices.Sorted(maps.Keys(attrs)) {
						fmt.Fprintf(&line, " %s=%v", k, attrs[k])
					}
					if p.ValueType() == pmetric.NumberDataPointValueTypeDouble {
						fmt.Fprint(&line, " ", p.DoubleValue())
					} else {
						fmt.Fprint(&line, " ", p.IntValue())
					}
					out = append(out, line.String())
				}
			}
		}
	}
	slices.Sort(out)
	return out
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	m, err := newReader(t, testBook(t)).Collect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := slices.DeleteFunc(lines(m), func(s string) bool {
		return strings.HasPrefix(s, "windhover.memory.usage ") || strings.HasPrefix(s, "windhover.process.cpu ")
	})
	golden(t, filepath.Join("testdata", "metrics.txt"), []byte(strings.Join(got, "\n")+"\n"))
}

func TestEveryLossIsThereFromTheStart(t *testing.T) {
	t.Parallel()
	var b ledger.Book
	b.Add(ledger.NewSource("windhover_syscall", ledger.KernelSource))
	b.Add(ledger.NewSource("windhover_k8saudit/a", "k8s_audit"))
	m, err := newReader(t, &b).Collect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := lines(m)
	for _, lane := range []string{"bulk", "reserved"} {
		for _, r := range ledger.DropReasons {
			want := fmt.Sprintf("windhover.source.dropped lane=%s reason=%s source=windhover_syscall 0", lane, r.Name)
			if !slices.Contains(got, want) {
				t.Errorf("no %s", want)
			}
		}
	}
	for _, r := range ledger.DropReasons {
		want := fmt.Sprintf("windhover.source.dropped lane=bulk reason=%s source=windhover_k8saudit/a 0", r.Name)
		if slices.Contains(got, want) == r.Kernel {
			t.Errorf("%s: %v, though only the kernel has it: %v", want, !r.Kernel, r.Kernel)
		}
	}
	for _, r := range ledger.LostReasons {
		if want := fmt.Sprintf("windhover.alert.lost reason=%s source=windhover_syscall 0", r.Name); !slices.Contains(got, want) {
			t.Errorf("no %s", want)
		}
	}
}

func TestTheTableIsWellFormed(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for i := range metrics {
		m := &metrics[i]
		switch {
		case seen[m.name]:
			t.Errorf("%s is twice in the table", m.name)
		case !strings.HasPrefix(m.name, "windhover."), strings.HasSuffix(m.name, "total"):
			t.Errorf("%s is no name for a metric", m.name)
		case m.unit == "" || m.unit == "1":
			t.Errorf("%s has unit %q, of which Prometheus makes a suffix of its own", m.name, m.unit)
		case !strings.HasSuffix(m.doc, "."):
			t.Errorf("%s: %q is no sentence", m.name, m.doc)
		}
		seen[m.name] = true
	}
}

// TestAttributesAreThoseOfTheTable holds keys and the attributes that are emitted
// together.
func TestAttributesAreThoseOfTheTable(t *testing.T) {
	t.Parallel()
	b := testBook(t)
	r := reading{sources: b.Snapshot(nil), host: b.Host(), memory: 1, hasCPU: true}
	r.rules, r.hasRules = b.Rules()
	for i := range metrics {
		m := &metrics[i]
		emitted := 0
		m.read(&r, func(_ int64, _ float64, attrs ...attribute.KeyValue) {
			emitted++
			var keys []attribute.Key
			for _, a := range attrs {
				keys = append(keys, a.Key)
			}
			if diff := cmp.Diff(m.keys, keys); diff != "" {
				t.Errorf("%s: keys (-table +emitted):\n%s", m.name, diff)
			}
		})
		if emitted == 0 {
			t.Errorf("%s: nothing is emitted for a book with everything", m.name)
		}
	}
}

func TestTheReferencePageIsUpToDate(t *testing.T) {
	t.Parallel()
	golden(t, filepath.Join("..", "..", "docs", "metrics.md"), Reference())
}

// TestNamesAreTheSameBothWays compares what /metrics shows with what Prometheus makes
// of OTLP.
func TestNamesAreTheSameBothWays(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(registry), otelprometheus.WithoutScopeInfo())
	if err != nil {
		t.Fatal(err)
	}
	b := testBook(t)
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter), sdkmetric.WithCardinalityLimit(0))
	unregister, err := Instrument(provider, b)
	if err != nil {
		t.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	scraped := map[string]int{}
	for _, f := range families {
		if f.GetName() != "target_info" {
			scraped[f.GetName()] = len(f.GetMetric())
		}
	}
	m, err := newReader(t, b).Collect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sent := map[string]int{}
	namer := otlptranslator.NewMetricNamer("", otlptranslator.UnderscoreEscapingWithSuffixes)
	for _, m := range m.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
		typ, n := otlptranslator.MetricType(otlptranslator.MetricTypeGauge), 0
		switch {
		case m.Type() == pmetric.MetricTypeGauge:
			n = m.Gauge().DataPoints().Len()
		case m.Sum().IsMonotonic():
			typ, n = otlptranslator.MetricTypeMonotonicCounter, m.Sum().DataPoints().Len()
		default:
			typ, n = otlptranslator.MetricTypeNonMonotonicCounter, m.Sum().DataPoints().Len()
		}
		name, err := namer.Build(otlptranslator.Metric{Name: m.Name(), Unit: m.Unit(), Type: typ})
		if err != nil {
			t.Fatal(err)
		}
		sent[name] = n
	}
	if diff := cmp.Diff(scraped, sent); diff != "" {
		t.Errorf("series by name (-scraped +sent):\n%s", diff)
	}
	documented := map[string]int{}
	for i := range metrics {
		name := metrics[i].prometheusName()
		documented[name] = sent[name]
	}
	if diff := cmp.Diff(documented, sent); diff != "" {
		t.Errorf("series by name (-documented +sent):\n%s", diff)
	}

	if err := unregister(); err != nil {
		t.Fatal(err)
	}
	families, err = registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "windhover_") {
			t.Errorf("%s is still there after unregister", f.GetName())
		}
	}
}

func TestReadersMayCollectAtTheSameTime(t *testing.T) {
	t.Parallel()
	b := testBook(t)
	r := newReader(t, b)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				if _, err := r.Collect(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// TestToPMetric goes through every kind of value, also those that Windhover does not
// use itself.
func TestToPMetric(t *testing.T) {
	t.Parallel()
	start, now := time.Unix(1_767_323_000, 0), time.Unix(1_767_323_045, 7)
	attrs := attribute.NewSet(
		attribute.String("s", "x"), attribute.Int("i", 1), attribute.Bool("b", true), attribute.Float64("f", 0.5),
		attribute.StringSlice("ss", []string{"x", "y"}), attribute.IntSlice("is", []int{1, 2}),
		attribute.BoolSlice("bs", []bool{true}), attribute.Float64Slice("fs", []float64{0.5}),
	)
	rm := &metricdata.ResourceMetrics{
		Resource: sdkresource.NewWithAttributes("https://example.com/schema", attribute.String("host.name", "node-1")),
		ScopeMetrics: []metricdata.ScopeMetrics{{
			Scope: instrumentation.Scope{Name: "scope", Version: "1", SchemaURL: "https://example.com/scope", Attributes: attribute.NewSet(attribute.String("a", "b"))},
			Metrics: []metricdata.Metrics{
				{Name: "counter", Unit: "{event}", Description: "Counts.", Data: metricdata.Sum[int64]{
					Temporality: metricdata.CumulativeTemporality, IsMonotonic: true,
					DataPoints: []metricdata.DataPoint[int64]{{Attributes: attrs, StartTime: start, Time: now, Value: 7}},
				}},
				{Name: "updown", Data: metricdata.Sum[float64]{
					Temporality: metricdata.DeltaTemporality,
					DataPoints:  []metricdata.DataPoint[float64]{{StartTime: start, Time: now, Value: 0.5}},
				}},
				{Name: "gauge", Data: metricdata.Gauge[int64]{DataPoints: []metricdata.DataPoint[int64]{{Time: now, Value: -1}}}},
				{Name: "gauge.double", Data: metricdata.Gauge[float64]{DataPoints: []metricdata.DataPoint[float64]{{Time: now, Value: 1.5}}}},
				{Name: "histogram", Unit: "s", Data: metricdata.Histogram[float64]{
					Temporality: metricdata.CumulativeTemporality,
					DataPoints: []metricdata.HistogramDataPoint[float64]{{
						StartTime: start, Time: now, Count: 3, Sum: 4.5, Bounds: []float64{1, 2}, BucketCounts: []uint64{1, 1, 1},
						Min: metricdata.NewExtrema(0.5), Max: metricdata.NewExtrema(2.5),
					}},
				}},
				{Name: "histogram.int", Data: metricdata.Histogram[int64]{
					Temporality: metricdata.CumulativeTemporality,
					DataPoints:  []metricdata.HistogramDataPoint[int64]{{StartTime: start, Time: now, Count: 1, Sum: 4, Bounds: []float64{1}, BucketCounts: []uint64{0, 1}}},
				}},
			},
		}},
	}
	b, err := (&pmetric.JSONMarshaler{}).MarshalMetrics(ToPMetric(rm, 3))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, filepath.Join("testdata", "pmetric.json"), indented(t, b))
}

func BenchmarkCollect(b *testing.B) {
	r := newReader(b, testBook(b))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Collect(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
