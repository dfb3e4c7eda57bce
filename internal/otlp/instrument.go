package otlp

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	otelmetric "go.opentelemetry.io/otel/metric"

	"github.com/windhover/windhover/internal/ledger"
)

// Instrument registers every metric of the table with mp. They are observable: the
// book is read when a reader of mp collects, and nothing happens per event. The
// function it returns takes them away again.
func Instrument(mp otelmetric.MeterProvider, b *ledger.Book) (unregister func() error, err error) {
	meter := mp.Meter(ScopeName)
	observers := make([]func(otelmetric.Observer, *reading), len(metrics))
	instruments := make([]otelmetric.Observable, len(metrics))
	for i := range metrics {
		instruments[i], observers[i], err = metrics[i].register(meter)
		if err != nil {
			return nil, fmt.Errorf("register metric %s: %w", metrics[i].name, err)
		}
	}
	var (
		mu sync.Mutex // readers may collect at the same time
		r  reading
	)
	registration, err := meter.RegisterCallback(func(_ context.Context, o otelmetric.Observer) error {
		mu.Lock()
		defer mu.Unlock()
		r.sources = b.Snapshot(r.sources)
		r.rules, r.hasRules = b.Rules()
		r.host = b.Host()
		r.memory = residentMemory()
		r.cpu, r.hasCPU = processorTime()
		for _, observe := range observers {
			observe(o, &r)
		}
		return nil
	}, instruments...)
	if err != nil {
		return nil, fmt.Errorf("register metrics: %w", err)
	}
	return registration.Unregister, nil
}

// register makes the instrument of m and returns how it is observed.
func (m *metric) register(meter otelmetric.Meter) (otelmetric.Observable, func(otelmetric.Observer, *reading), error) {
	unit, doc := otelmetric.WithUnit(m.unit), otelmetric.WithDescription(m.doc)
	switch m.kind {
	case counter:
		c, err := meter.Int64ObservableCounter(m.name, unit, doc)
		return c, m.observeInt(c), err
	case upDown:
		c, err := meter.Int64ObservableUpDownCounter(m.name, unit, doc)
		return c, m.observeInt(c), err
	case gauge:
		g, err := meter.Int64ObservableGauge(m.name, unit, doc)
		return g, m.observeInt(g), err
	case counterDouble:
		c, err := meter.Float64ObservableCounter(m.name, unit, doc)
		return c, m.observeFloat(c), err
	case gaugeDouble:
		g, err := meter.Float64ObservableGauge(m.name, unit, doc)
		return g, m.observeFloat(g), err
	}
	panic("BUG: otlp: metric " + m.name + " has no kind")
}

func (m *metric) observeInt(i otelmetric.Int64Observable) func(otelmetric.Observer, *reading) {
	return func(o otelmetric.Observer, r *reading) {
		m.read(r, func(n int64, _ float64, attrs ...attribute.KeyValue) {
			o.ObserveInt64(i, n, otelmetric.WithAttributes(attrs...))
		})
	}
}

func (m *metric) observeFloat(i otelmetric.Float64Observable) func(otelmetric.Observer, *reading) {
	return func(o otelmetric.Observer, r *reading) {
		m.read(r, func(_ int64, f float64, attrs ...attribute.KeyValue) {
			o.ObserveFloat64(i, f, otelmetric.WithAttributes(attrs...))
		})
	}
}

// residentMemory returns the resident set of this process in bytes; where the kernel
// does not tell, what the Go runtime has from it.
func residentMemory() int64 {
	if b, err := os.ReadFile("/proc/self/statm"); err == nil {
		if fields := strings.Fields(string(b)); len(fields) > 1 {
			if pages, err := strconv.ParseInt(fields[1], 10, 64); err == nil {
				return pages * int64(os.Getpagesize())
			}
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.Sys - m.HeapReleased)
}

// Reference returns docs/metrics.md: the table of metrics and the tables of reasons.
func Reference() []byte {
	var b strings.Builder
	b.WriteString(`# Metrics

<!-- Made of the tables in internal/otlp and internal/ledger by "make golden". -->

Windhover sends these over OTLP and shows them on /metrics, under the same names: Prometheus writes ` + "`_`" + ` for ` + "`.`" + `, and adds the unit and, to counters, ` + "`_total`" + `. All are cumulative from the start of the process. Over OTLP the scope of every metric has ` + "`windhover.ruleset.generation`" + `, the number of the rule set in use; on /metrics it is ` + "`windhover_rules_generation`" + `. Series by event type, system call or program appear with their first count; all others are there from the start.

An instance has about 400 series and one for each rule, of which the first 1,000 have one of their own. Containers add 20 at most, which makes about 1,500 series in a test with 10,000 containers and 1,044 rules.

| OpenTelemetry | Prometheus | kind | unit | attributes | meaning |
|---|---|---|---|---|---|
`)
	for i := range metrics {
		m := &metrics[i]
		keys := make([]string, len(m.keys))
		for i, k := range m.keys {
			keys[i] = "`" + string(k) + "`"
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s | %s | %s |\n", m.name, m.prometheusName(), m.kind, m.unit, strings.Join(keys, " "), m.doc)
	}
	table := func(title, intro string, rows []ledger.Reason, kernel bool) {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| name | meaning |\n|---|---|\n", title, intro)
		for _, r := range rows {
			doc := r.Doc
			if kernel && r.Kernel {
				doc += " In the kernel."
			}
			fmt.Fprintf(&b, "| `%s` | %s |\n", r.Name, doc)
		}
	}
	table("Drop reasons", "`reason` of `windhover.source.dropped`: why an event that was wanted is lost.", ledger.DropReasons[:], true)
	table("Skip reasons", "`reason` of `windhover.source.skipped`: why an event was shown to no rule.", ledger.SkipReasons[:], false)
	table("Lost alerts", "`reason` of `windhover.alert.lost` and `windhover.notice.lost`: why a match became no alert.", ledger.LostReasons[:], false)
	table("Failed exports", "`reason` of `windhover.export.failed`: why an alert could not be handed on.", ledger.FailReasons[:], false)
	table("States of a source", "`state` of `windhover.source.state`.", ledger.States[:], false)
	b.WriteString(`
## The balance

For every source these hold at any time, and Windhover checks them itself (` + "`windhover.source.imbalance`" + `):

` + "```" + `
produced           = dropped + events + in flight
events             = evaluated + skipped
matches            = alerts + folded + below threshold + lost
folded             = reported + open + unreported
alerts and notices = acknowledged + failed + queued + on their way to the next consumer
` + "```" + `

The share of events that a source lost is ` + "`dropped / (events + dropped)`" + `:

` + "```promql" + `
sum by (source) (rate(windhover_source_dropped_total[5m]))
  / (sum by (source) (rate(windhover_source_events_total[5m])) + sum by (source) (rate(windhover_source_dropped_total[5m])))
` + "```" + `
`)
	return []byte(b.String())
}

// prometheusName returns the name under which Prometheus knows m: a test compares it
// with what the exporter and the OTLP receiver of Prometheus make of it.
func (m *metric) prometheusName() string {
	name := strings.ReplaceAll(m.name, ".", "_")
	if word, ok := map[string]string{"By": "_bytes", "s": "_seconds"}[m.unit]; ok {
		name += word
	}
	if m.kind == counter || m.kind == counterDouble {
		name += "_total"
	}
	return name
}
