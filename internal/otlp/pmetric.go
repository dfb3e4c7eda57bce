package otlp

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdkresource "go.opentelemetry.io/otel/sdk/resource"

	"github.com/windhover/windhover/internal/ledger"
)

// MetricReader collects the metrics of a book for a pipeline of a collector. It is
// safe for concurrent use.
type MetricReader struct {
	book     *ledger.Book
	reader   *sdkmetric.ManualReader
	provider *sdkmetric.MeterProvider
}

// NewMetricReader returns a reader of b whose metrics belong to res.
func NewMetricReader(b *ledger.Book, res Resource) (*MetricReader, error) {
	m := pcommon.NewMap()
	res.Put(m)
	var attrs []attribute.KeyValue
	for k, v := range m.All() {
		attrs = append(attrs, attribute.String(k, v.Str()))
	}
	reader := sdkmetric.NewManualReader()
	r := &MetricReader{
		reader: reader,
		book:   b,
		provider: sdkmetric.NewMeterProvider(
			sdkmetric.WithReader(reader),
			sdkmetric.WithResource(sdkresource.NewSchemaless(attrs...)),
			// The tables bound the number of series; a limit would put whole system
			// calls and rules together.
			sdkmetric.WithCardinalityLimit(0),
		),
	}
	if _, err := Instrument(r.provider, b); err != nil {
		return nil, err
	}
	return r, nil
}

// Collect reads every metric now.
func (r *MetricReader) Collect(ctx context.Context) (pmetric.Metrics, error) {
	var rm metricdata.ResourceMetrics
	if err := r.reader.Collect(ctx, &rm); err != nil {
		return pmetric.Metrics{}, fmt.Errorf("collect metrics: %w", err)
	}
	rules, _ := r.book.Rules()
	return ToPMetric(&rm, rules.Generation), nil
}

// Shutdown ends the reader.
func (r *MetricReader) Shutdown(ctx context.Context) error { return r.provider.Shutdown(ctx) }

// ToPMetric returns rm as a collector passes it on: the very OTLP message that an
// exporter of the SDK would send.
//
// The scope says which rule set was in use, unless generation is 0: on the scope it is on
// every metric and makes no series anew at a reload.
func ToPMetric(rm *metricdata.ResourceMetrics, generation uint64) pmetric.Metrics {
	out := pmetric.NewMetrics()
	if len(rm.ScopeMetrics) == 0 {
		return out
	}
	to := out.ResourceMetrics().AppendEmpty()
	if rm.Resource != nil {
		putSet(to.Resource().Attributes(), rm.Resource.Attributes())
		to.SetSchemaUrl(rm.Resource.SchemaURL())
	}
	for i := range rm.ScopeMetrics {
		sm := &rm.ScopeMetrics[i]
		scope := to.ScopeMetrics().AppendEmpty()
		scope.Scope().SetName(sm.Scope.Name)
		scope.Scope().SetVersion(sm.Scope.Version)
		putSet(scope.Scope().Attributes(), sm.Scope.Attributes.ToSlice())
		if generation != 0 {
			scope.Scope().Attributes().PutInt(attributeGeneration, int64(generation))
		}
		scope.SetSchemaUrl(sm.Scope.SchemaURL)
		scope.Metrics().EnsureCapacity(len(sm.Metrics))
		for j := range sm.Metrics {
			m := &sm.Metrics[j]
			dst := scope.Metrics().AppendEmpty()
			dst.SetName(m.Name)
			dst.SetDescription(m.Description)
			dst.SetUnit(m.Unit)
			putAggregation(dst, m.Data)
		}
	}
	return out
}

func putAggregation(dst pmetric.Metric, data metricdata.Aggregation) {
	switch d := data.(type) {
	case metricdata.Sum[int64]:
		putSum(dst, d, pmetric.NumberDataPoint.SetIntValue)
	case metricdata.Sum[float64]:
		putSum(dst, d, pmetric.NumberDataPoint.SetDoubleValue)
	case metricdata.Gauge[int64]:
		putPoints(dst.SetEmptyGauge().DataPoints(), d.DataPoints, pmetric.NumberDataPoint.SetIntValue)
	case metricdata.Gauge[float64]:
		putPoints(dst.SetEmptyGauge().DataPoints(), d.DataPoints, pmetric.NumberDataPoint.SetDoubleValue)
	case metricdata.Histogram[int64]:
		putHistogram(dst, d)
	case metricdata.Histogram[float64]:
		putHistogram(dst, d)
	}
}

func putSum[N int64 | float64](dst pmetric.Metric, d metricdata.Sum[N], set func(pmetric.NumberDataPoint, N)) {
	sum := dst.SetEmptySum()
	sum.SetIsMonotonic(d.IsMonotonic)
	sum.SetAggregationTemporality(temporality(d.Temporality))
	putPoints(sum.DataPoints(), d.DataPoints, set)
}

func putPoints[N int64 | float64](dst pmetric.NumberDataPointSlice, points []metricdata.DataPoint[N], set func(pmetric.NumberDataPoint, N)) {
	dst.EnsureCapacity(len(points))
	for i := range points {
		p := &points[i]
		to := dst.AppendEmpty()
		putSet(to.Attributes(), p.Attributes.ToSlice())
		to.SetStartTimestamp(timestamp(p.StartTime))
		to.SetTimestamp(timestamp(p.Time))
		set(to, p.Value)
	}
}

func putHistogram[N int64 | float64](dst pmetric.Metric, d metricdata.Histogram[N]) {
	h := dst.SetEmptyHistogram()
	h.SetAggregationTemporality(temporality(d.Temporality))
	h.DataPoints().EnsureCapacity(len(d.DataPoints))
	for i := range d.DataPoints {
		p := &d.DataPoints[i]
		to := h.DataPoints().AppendEmpty()
		putSet(to.Attributes(), p.Attributes.ToSlice())
		to.SetStartTimestamp(timestamp(p.StartTime))
		to.SetTimestamp(timestamp(p.Time))
		to.SetCount(p.Count)
		to.SetSum(float64(p.Sum))
		if v, ok := p.Min.Value(); ok {
			to.SetMin(float64(v))
		}
		if v, ok := p.Max.Value(); ok {
			to.SetMax(float64(v))
		}
		to.ExplicitBounds().FromRaw(p.Bounds)
		to.BucketCounts().FromRaw(p.BucketCounts)
	}
}

// timestamp returns t as OTLP writes it: 0 if it is not known.
func timestamp(t time.Time) pcommon.Timestamp {
	if t.IsZero() {
		return 0
	}
	return pcommon.NewTimestampFromTime(t)
}

func temporality(t metricdata.Temporality) pmetric.AggregationTemporality {
	switch t {
	case metricdata.CumulativeTemporality:
		return pmetric.AggregationTemporalityCumulative
	case metricdata.DeltaTemporality:
		return pmetric.AggregationTemporalityDelta
	}
	return pmetric.AggregationTemporalityUnspecified
}

func putSet(m pcommon.Map, attrs []attribute.KeyValue) {
	m.EnsureCapacity(len(attrs))
	for _, a := range attrs {
		key := string(a.Key)
		switch a.Value.Type() {
		case attribute.BOOL:
			m.PutBool(key, a.Value.AsBool())
		case attribute.INT64:
			m.PutInt(key, a.Value.AsInt64())
		case attribute.FLOAT64:
			m.PutDouble(key, a.Value.AsFloat64())
		case attribute.STRINGSLICE:
			list := m.PutEmptySlice(key)
			for _, s := range a.Value.AsStringSlice() {
				list.AppendEmpty().SetStr(s)
			}
		case attribute.BOOLSLICE:
			list := m.PutEmptySlice(key)
			for _, b := range a.Value.AsBoolSlice() {
				list.AppendEmpty().SetBool(b)
			}
		case attribute.INT64SLICE:
			list := m.PutEmptySlice(key)
			for _, n := range a.Value.AsInt64Slice() {
				list.AppendEmpty().SetInt(n)
			}
		case attribute.FLOAT64SLICE:
			list := m.PutEmptySlice(key)
			for _, f := range a.Value.AsFloat64Slice() {
				list.AppendEmpty().SetDouble(f)
			}
		default:
			m.PutStr(key, a.Value.AsString())
		}
	}
}
