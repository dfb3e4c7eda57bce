package otlp

import (
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/ledger"
)

// Keys of metric attributes.
const (
	keySource     = attribute.Key("source")
	keySourceType = attribute.Key("source.type")
	keyEventType  = attribute.Key("event.type")
	keyLane       = attribute.Key("lane")
	keyReason     = attribute.Key("reason")
	keyState      = attribute.Key("state")
	keyShard      = attribute.Key("shard")
	keyABI        = attribute.Key("abi")
	keySyscall    = attribute.Key("syscall")
	keyProgram    = attribute.Key("program")
	keyRule       = attribute.Key("security_rule.name")
	keyPriority   = attribute.Key("priority")
	keyExporter   = attribute.Key("exporter")
	keySignal     = attribute.Key("signal")
	keyOutcome    = attribute.Key("outcome")
	keyContainer  = attribute.Key("container.id")
)

// kind is how a metric behaves.
type kind uint8

const (
	counter       kind = iota // only grows
	counterDouble             // only grows, with fractions
	upDown                    // grows and shrinks; adds up over sources
	gauge                     // is what it is
	gaugeDouble
)

func (k kind) String() string {
	return [...]string{"counter", "counter", "up-down counter", "gauge", "gauge"}[k]
}

// reading is what one collection reads, once for all metrics.
type reading struct {
	sources  []*ledger.Snapshot
	rules    ledger.RuleStats
	hasRules bool
	host     ledger.HostStats
	named    ruleSeries
	memory   int64 // 0: not known
	cpu      time.Duration
	hasCPU   bool
}

// emit reports one value. f is used by metrics with fractions, n by the others.
type emit func(n int64, f float64, attrs ...attribute.KeyValue)

// metric is one row of the table.
type metric struct {
	name string
	unit string
	kind kind
	doc  string
	keys []attribute.Key
	// read emits every value that the metric has now.
	read func(r *reading, e emit)
}

// perSource returns a read function that calls f for each source.
func perSource(f func(s *ledger.Snapshot, source attribute.KeyValue, e emit)) func(*reading, emit) {
	return func(r *reading, e emit) {
		for _, s := range r.sources {
			f(s, keySource.String(s.Name), e)
		}
	}
}

// count makes the values of a counter; one above half of the range would be negative
// in OTLP, after centuries.
func count(e emit, n uint64, attrs ...attribute.KeyValue) { e(int64(n), 0, attrs...) }

// metrics is THE METRIC TABLE: names, units and meanings of everything that Windhover
// measures, in OTLP and on /metrics. docs/metrics.md is made of it.
//
// Names follow the OpenTelemetry conventions: no unit and no "total" in a name, since
// Prometheus adds them. Values with few possible attributes are there from the start,
// at zero; those by event type, system call or program appear with their first count.
var metrics = []metric{
	{
		name: "windhover.source.events", unit: "{event}", kind: counter,
		doc:  "Events that came out of a source whole, by their type.",
		keys: []attribute.Key{keySource, keySourceType, keyEventType},
		read: perSource(func(s *ledger.Snapshot, source attribute.KeyValue, e emit) {
			for t, n := range s.Delivered {
				if n > 0 {
					count(e, n, source, keySourceType.String(s.Type), keyEventType.String(event.Type(t).String()))
				}
			}
		}),
	},
	{
		name: "windhover.source.dropped", unit: "{event}", kind: counter,
		doc:  "Events that were wanted and lost, by the lane they were lost in and the reason.",
		keys: []attribute.Key{keySource, keyLane, keyReason},
		read: perSource(func(s *ledger.Snapshot, source attribute.KeyValue, e emit) {
			for _, l := range s.Lanes {
				for _, r := range s.DropReasons {
					count(e, s.DroppedBy(l, r), source, keyLane.String(l.String()), keyReason.String(r.String()))
				}
			}
		}),
	},
	{
		name: "windhover.source.type.dropped", unit: "{event}", kind: counter,
		doc:  "The same, by the type of the event.",
		keys: []attribute.Key{keySource, keyEventType},
		read: perSource(func(s *ledger.Snapshot, source attribute.KeyValue, e emit) {
			for t := range s.Dropped {
				if n := s.DroppedAll(event.Type(t)); n > 0 {
					count(e, n, source, keyEventType.String(event.Type(t).String()))
				}
			}
		}),
	},
	{
		name: "windhover.container.dropped", unit: "{event}", kind: counter,
		doc:  "Events that were wanted and lost in the kernel, by the container of the process: `host` outside containers; `other` beyond the first 20 containers that lost events, and where it is not known.",
		keys: []attribute.Key{keySource, keyContainer},
		read: perSource(func(s *ledger.Snapshot, source attribute.KeyValue, e emit) {
			for _, c := range s.Containers {
				count(e, c.Count, source, keyContainer.String(text(c.Container)))
			}
		}),
	},
	{
		name: "windhover.source.evaluated", unit: "{event}", kind: counter,
		doc:  "Events that were shown to the rules.",
		keys: []attribute.Key{keySource},
		read: perSource(func(s *ledger.Snapshot, source attribute.KeyValue, e emit) {
			var sum uint64
			for _, n := range s.Evaluated {
				sum += n
			}
			count(e, sum, source)
		}),
	},
	{
		name: "windhover.source.skipped", unit: "{event}", kind: counter,
		doc:  "Events that were shown to no rule.",
		keys: []attribute.Key{keySource, keyReason},
		read: perSource(func(s *ledger.Snapshot, source attribute.KeyValue, e emit) {
			for r := range ledger.NumSkipReasons {
				var sum uint64
				for t := range s.Skipped {
					sum += s.Skipped[t][r]
				}
				count(e, sum, source, keyReason.String(r.String()))
			}
		}),
	},
	{
		name: "windhover.source.in_flight", unit: "{event}", kind: upDown,
		doc:  "Events that were produced and are neither dropped nor out of the source yet.",
		keys: []attribute.Key{keySource},
		read: perSource(func(s *ledger.Snapshot, source attribute.KeyValue, e emit) {
			count(e, s.InFlight(), source)
		}),
	},
	{
		name: "windhover.source.lag", unit: "s", kind: gaugeDouble,
		doc:  "Time between an event and its handling, of the slowest goroutine of the source.",
		keys: []attribute.Key{keySource},
		read: perSource(func(s *ledger.Snapshot, source attribute.KeyValue, e emit) {
			e(0, s.Lag.Seconds(), source)
		}),
	},
	{
		name: "windhover.source.state", unit: "{state}", kind: gauge,
		doc:  "1 for the state that the source is in, 0 for the others.",
		keys: []attribute.Key{keySource, keyState},
		read: func(r *reading, e emit) {
			for _, s := range r.sources {
				emitState(e, s.Name, s.State)
			}
			for _, s := range r.host.Sources {
				open := func(a *ledger.Snapshot) bool { return a.Name == s.Source }
				if !slices.ContainsFunc(r.sources, open) {
					emitState(e, s.Source, s.State)
				}
			}
		},
	},
	{
		name: "windhover.source.imbalance", unit: "{equation}", kind: gauge,
		doc:  "1 if the account of the source does not add up: a mistake in Windhover; 0 if it does.",
		keys: []attribute.Key{keySource},
		read: perSource(func(s *ledger.Snapshot, source attribute.KeyValue, e emit) {
			var n int64
			if s.Balance() != nil {
				n = 1
			}
			e(n, 0, source)
		}),
	},
	{
		name: "windhover.syscall.calls", unit: "{call}", kind: counter,
		doc:  "System calls of the host, captured or not.",
		keys: []attribute.Key{keySource, keyABI, keySyscall},
		read: perSource(func(s *ledger.Snapshot, source attribute.KeyValue, e emit) {
			for _, c := range s.Syscalls {
				if c.Count > 0 {
					count(e, c.Count, source, keyABI.String(c.ABI), keySyscall.String(c.Name))
				}
			}
		}),
	},
	{
		name: "windhover.syscall.filtered", unit: "{call}", kind: counter,
		doc:  "System calls of the host that made no event: no rule asks for them, or they are Windhover's own.",
		keys: []attribute.Key{keySource},
		read: perSource(func(s *ledger.Snapshot, source attribute.KeyValue, e emit) {
			if s.HasKernel {
				count(e, s.Filtered, source)
			}
		}),
	},
	{
		name: "windhover.ring.usage", unit: "By", kind: upDown,
		doc:  "Bytes that wait in a ring buffer.",
		keys: []attribute.Key{keySource, keyShard, keyLane},
		read: perSource(func(s *ledger.Snapshot, source attribute.KeyValue, e emit) {
			for _, r := range s.Rings {
				e(int64(r.Used), 0, source, keyShard.Int(r.Shard), keyLane.String(r.Lane.String()))
			}
		}),
	},
	{
		name: "windhover.ring.limit", unit: "By", kind: upDown,
		doc:  "Size of a ring buffer.",
		keys: []attribute.Key{keySource, keyShard, keyLane},
		read: perSource(func(s *ledger.Snapshot, source attribute.KeyValue, e emit) {
			for _, r := range s.Rings {
				e(int64(r.Size), 0, source, keyShard.Int(r.Shard), keyLane.String(r.Lane.String()))
			}
		}),
	},
	{
		name: "windhover.program.runs", unit: "{run}", kind: counter,
		doc:  "Runs of a kernel program; needs the kernel's BPF statistics.",
		keys: []attribute.Key{keySource, keyProgram},
		read: perSource(func(s *ledger.Snapshot, source attribute.KeyValue, e emit) {
			for _, p := range s.Programs {
				if p.Runs > 0 {
					count(e, p.Runs, source, keyProgram.String(p.Name))
				}
			}
		}),
	},
	{
		name: "windhover.program.time", unit: "s", kind: counterDouble,
		doc:  "Time spent in a kernel program; needs the kernel's BPF statistics.",
		keys: []attribute.Key{keySource, keyProgram},
		read: perSource(func(s *ledger.Snapshot, source attribute.KeyValue, e emit) {
			for _, p := range s.Programs {
				if p.Runs > 0 {
					e(0, p.Time.Seconds(), source, keyProgram.String(p.Name))
				}
			}
		}),
	},
	{
		name: "windhover.process.table", unit: "{process}", kind: upDown,
		doc:  "Processes in the process table.",
		keys: []attribute.Key{keySource},
		read: perSource(func(s *ledger.Snapshot, source attribute.KeyValue, e emit) {
			if s.HasProcesses {
				e(int64(s.Processes), 0, source)
			}
		}),
	},
	{
		name: "windhover.matches", unit: "{match}", kind: counter,
		doc:  "Events that satisfied a rule, counted once for every rule.",
		keys: []attribute.Key{keySource},
		read: perSource(func(s *ledger.Snapshot, source attribute.KeyValue, e emit) {
			matched, _ := s.Matched()
			count(e, matched, source)
		}),
	},
	{
		name: "windhover.alerts", unit: "{alert}", kind: counter,
		doc:  "Alerts, by the rule that made them and its priority; from the 1,001st rule on, by `other`.",
		keys: []attribute.Key{keySource, keyRule, keyPriority},
		read: func(r *reading, e emit) {
			for _, s := range r.sources {
				source := keySource.String(s.Name)
				rest := map[string]uint64{}
				for _, c := range s.Rules {
					if r.named.admit(s.Name, c.RuleKey) {
						count(e, c.Alerts, source, keyRule.String(text(c.Name)), keyPriority.String(c.Priority))
					} else {
						rest[c.Priority] += c.Alerts
					}
				}
				for priority, n := range rest {
					count(e, n, source, keyRule.String(otherRules), keyPriority.String(priority))
				}
			}
		},
	},
	{
		name: "windhover.rule.time", unit: "s", kind: counterDouble,
		doc:  "Time that the condition of a rule takes by itself, for the 50 rules that take most; `other` for the rest. Estimated: about one event in 1,024 is measured, for up to 8 rules.",
		keys: []attribute.Key{keySource, keyRule},
		read: perSource(func(s *ledger.Snapshot, source attribute.KeyValue, e emit) {
			for _, c := range s.Costs {
				e(0, c.Time.Seconds(), source, keyRule.String(text(c.Name)))
			}
		}),
	},
	{
		name: "windhover.rule.evaluations", unit: "{evaluation}", kind: counter,
		doc:  "Events of the types that a rule asks for, for the same rules; estimated like the time.",
		keys: []attribute.Key{keySource, keyRule},
		read: perSource(func(s *ledger.Snapshot, source attribute.KeyValue, e emit) {
			for _, c := range s.Costs {
				count(e, c.Evaluations, source, keyRule.String(text(c.Name)))
			}
		}),
	},
	{
		name: "windhover.alert.lost", unit: "{alert}", kind: counter,
		doc:  "Matches that became no alert.",
		keys: []attribute.Key{keySource, keyReason},
		read: perSource(func(s *ledger.Snapshot, source attribute.KeyValue, e emit) {
			for r := range ledger.NumLostReasons {
				count(e, s.Lost[r], source, keyReason.String(r.String()))
			}
		}),
	},
	{
		name: "windhover.notice.lost", unit: "{alert}", kind: counter,
		doc:  "Notices that the alert queue refused.",
		keys: []attribute.Key{keySource, keyReason},
		read: perSource(func(s *ledger.Snapshot, source attribute.KeyValue, e emit) {
			for r := range ledger.NumLostReasons {
				count(e, s.NoticeLost[r], source, keyReason.String(r.String()))
			}
		}),
	},
	{
		name: "windhover.alert.folded", unit: "{match}", kind: counter,
		doc:  "Matches that repeat an alert and are reported with others in one record.",
		keys: []attribute.Key{keySource},
		read: perSource(func(s *ledger.Snapshot, source attribute.KeyValue, e emit) {
			count(e, s.Folded, source)
		}),
	},
	{
		name: "windhover.alert.below_threshold", unit: "{match}", kind: counter,
		doc:  "Matches of rules with a threshold that do not reach it.",
		keys: []attribute.Key{keySource},
		read: perSource(func(s *ledger.Snapshot, source attribute.KeyValue, e emit) {
			count(e, s.Below, source)
		}),
	},
	{
		name: "windhover.count.evicted", unit: "{key}", kind: counter,
		doc:  "Combinations of a rule and values that were no longer counted before the end of their window, to make room for others.",
		keys: []attribute.Key{keySource},
		read: counting(func(c *ledger.CountStats) int64 { return int64(c.Evicted) }),
	},
	{
		name: "windhover.count.usage", unit: "{key}", kind: upDown,
		doc:  "Combinations of a rule and values that thresholds and sequences count at the moment.",
		keys: []attribute.Key{keySource},
		read: counting(func(c *ledger.CountStats) int64 { return int64(c.Keys) }),
	},
	{
		name: "windhover.count.limit", unit: "{key}", kind: upDown,
		doc:  "Combinations of a rule and values that may be counted at the same time.",
		keys: []attribute.Key{keySource},
		read: counting(func(c *ledger.CountStats) int64 { return int64(c.KeyLimit) }),
	},
	{
		name: "windhover.alert.redacted", unit: "{alert}", kind: counter,
		doc:  "Alerts and notices in which a secret was replaced.",
		keys: []attribute.Key{keySource},
		read: perSource(func(s *ledger.Snapshot, source attribute.KeyValue, e emit) {
			count(e, s.Redacted, source)
		}),
	},
	{
		name: "windhover.fold.records", unit: "{alert}", kind: counter,
		doc:  "Records that report folded matches; they are notices too.",
		keys: []attribute.Key{keySource},
		read: folded(func(f *ledger.FoldStats) int64 { return int64(f.Records) }),
	},
	{
		name: "windhover.fold.reported", unit: "{match}", kind: counter,
		doc:  "Folded matches that such a record reports.",
		keys: []attribute.Key{keySource},
		read: folded(func(f *ledger.FoldStats) int64 { return int64(f.Reported) }),
	},
	{
		name: "windhover.fold.open", unit: "{match}", kind: upDown,
		doc:  "Folded matches that wait for the end of their window.",
		keys: []attribute.Key{keySource},
		read: folded(func(f *ledger.FoldStats) int64 { return int64(f.Open) }),
	},
	{
		name: "windhover.fold.unreported", unit: "{match}", kind: counter,
		doc:  "Folded matches whose record the alert queue refused for good: at the end of the source.",
		keys: []attribute.Key{keySource, keyReason},
		read: perSource(func(s *ledger.Snapshot, source attribute.KeyValue, e emit) {
			if !s.HasFold {
				return
			}
			for r := range ledger.NumLostReasons {
				count(e, s.Fold.Unreported[r], source, keyReason.String(r.String()))
			}
		}),
	},
	{
		name: "windhover.fold.evicted", unit: "{key}", kind: counter,
		doc:  "Alerts whose repeats were reported before the end of their window, to make room for others.",
		keys: []attribute.Key{keySource},
		read: folded(func(f *ledger.FoldStats) int64 { return int64(f.Evicted) }),
	},
	{
		name: "windhover.fold.usage", unit: "{key}", kind: upDown,
		doc:  "Alerts whose repeats are counted at the moment.",
		keys: []attribute.Key{keySource},
		read: folded(func(f *ledger.FoldStats) int64 { return int64(f.Keys) }),
	},
	{
		name: "windhover.fold.limit", unit: "{key}", kind: upDown,
		doc:  "Alerts whose repeats may be counted at the same time.",
		keys: []attribute.Key{keySource},
		read: folded(func(f *ledger.FoldStats) int64 { return int64(f.KeyLimit) }),
	},
	{
		name: "windhover.notices", unit: "{alert}", kind: counter,
		doc:  "Alert records that no match made alone: that a source lost events, or that an alert was folded.",
		keys: []attribute.Key{keySource},
		read: perSource(func(s *ledger.Snapshot, source attribute.KeyValue, e emit) {
			count(e, s.AllNotices(), source)
		}),
	},
	{
		name: "windhover.queue.usage", unit: "{alert}", kind: upDown,
		doc:  "Alerts that wait in the alert queue.",
		keys: []attribute.Key{keySource},
		read: queued(func(q *ledger.QueueStats) int64 { return int64(q.Items) }),
	},
	{
		name: "windhover.queue.limit", unit: "{alert}", kind: upDown,
		doc:  "Alerts that the alert queue may hold.",
		keys: []attribute.Key{keySource},
		read: queued(func(q *ledger.QueueStats) int64 { return int64(q.ItemLimit) }),
	},
	{
		name: "windhover.queue.memory.usage", unit: "By", kind: upDown,
		doc:  "Memory that alerts in the alert queue hold.",
		keys: []attribute.Key{keySource},
		read: queued(func(q *ledger.QueueStats) int64 { return q.Bytes }),
	},
	{
		name: "windhover.queue.memory.limit", unit: "By", kind: upDown,
		doc:  "Memory that alerts in the alert queue may hold.",
		keys: []attribute.Key{keySource},
		read: queued(func(q *ledger.QueueStats) int64 { return q.ByteLimit }),
	},
	{
		name: "windhover.export.acknowledged", unit: "{alert}", kind: counter,
		doc:  "Alerts and notices that the next consumer took.",
		keys: []attribute.Key{keySource},
		read: perSource(func(s *ledger.Snapshot, source attribute.KeyValue, e emit) {
			if s.HasQueue {
				count(e, s.Acknowledged, source)
			}
		}),
	},
	{
		name: "windhover.export.failed", unit: "{alert}", kind: counter,
		doc:  "Alerts and notices that left the alert queue and that a next consumer did not take; others may have.",
		keys: []attribute.Key{keySource, keyReason},
		read: perSource(func(s *ledger.Snapshot, source attribute.KeyValue, e emit) {
			if !s.HasQueue {
				return
			}
			for r := range ledger.NumFailReasons {
				count(e, s.Failed[r], source, keyReason.String(r.String()))
			}
		}),
	},
	{
		name: "windhover.rules.loaded", unit: "{rule}", kind: gauge,
		doc:  "Rules in the rule set in use.",
		read: ruleSet(func(r *ledger.RuleStats) int64 { return int64(r.Loaded) }),
	},
	{
		name: "windhover.rules.generation", unit: "{generation}", kind: gauge,
		doc:  "Number of the rule set in use; it grows with every reload that succeeds.",
		read: ruleSet(func(r *ledger.RuleStats) int64 { return int64(r.Generation) }),
	},
	{
		name: "windhover.rules.reloads", unit: "{reload}", kind: counter,
		doc:  "Reloads of the rules that succeeded.",
		read: ruleSet(func(r *ledger.RuleStats) int64 { return int64(r.Reloads) }),
	},
	{
		name: "windhover.rules.reload_failures", unit: "{reload}", kind: counter,
		doc:  "Reloads of the rules that failed; the rule set before stays in use.",
		read: ruleSet(func(r *ledger.RuleStats) int64 { return int64(r.ReloadFailures) }),
	},
	{
		name: "windhover.rules.stale", unit: "{reload}", kind: gauge,
		doc: "1 if the last reload failed, so that older rules than those in the files are in use; 0 if not.",
		read: ruleSet(func(r *ledger.RuleStats) int64 {
			if r.Stale {
				return 1
			}
			return 0
		}),
	},
	{
		name: "windhover.outlet.usage", unit: "{item}", kind: upDown,
		doc:  "Alerts or points of metrics that wait for an exporter which blocks; in the daemon only.",
		keys: []attribute.Key{keyExporter, keySignal},
		read: outlets(func(o *ledger.OutletStats, e emit, attrs ...attribute.KeyValue) { e(int64(o.Items), 0, attrs...) }),
	},
	{
		name: "windhover.outlet.memory.usage", unit: "By", kind: upDown,
		doc:  "Encoded size of what waits for an exporter which blocks; in the daemon only.",
		keys: []attribute.Key{keyExporter, keySignal},
		read: outlets(func(o *ledger.OutletStats, e emit, attrs ...attribute.KeyValue) { e(o.Bytes, 0, attrs...) }),
	},
	{
		name: "windhover.outlet.items", unit: "{item}", kind: counter,
		doc:  "Alerts or points of metrics by what became of them: taken or failed by the exporter, or refused because too much waited for it; in the daemon only.",
		keys: []attribute.Key{keyExporter, keySignal, keyOutcome},
		read: outlets(func(o *ledger.OutletStats, e emit, attrs ...attribute.KeyValue) {
			count(e, o.Taken, append(attrs, keyOutcome.String("taken"))...)
			count(e, o.Failed, append(attrs, keyOutcome.String("failed"))...)
			count(e, o.Refused, append(attrs, keyOutcome.String("refused"))...)
		}),
	},
	{
		name: "windhover.source.restarts", unit: "{restart}", kind: counter,
		doc:  "Times that a source was started again after it failed; in the daemon only.",
		keys: []attribute.Key{keySource},
		read: func(r *reading, e emit) {
			for _, s := range r.host.Sources {
				count(e, s.Restarts, keySource.String(s.Source))
			}
		},
	},
	{
		name: "windhover.process.cpu", unit: "s", kind: counterDouble,
		doc: "CPU time, in user space and in the kernel, of the process that Windhover runs in.",
		read: func(r *reading, e emit) {
			if r.hasCPU {
				e(0, r.cpu.Seconds())
			}
		},
	},
	{
		name: "windhover.memory.usage", unit: "By", kind: gauge,
		doc: "Resident memory of the process that Windhover runs in.",
		read: func(r *reading, e emit) {
			if r.memory > 0 {
				e(r.memory, 0)
			}
		},
	},
}

// emitState says for every state whether the source is in it.
func emitState(e emit, source string, state ledger.State) {
	for st := range ledger.NumStates {
		var n int64
		if st == state {
			n = 1
		}
		e(n, 0, keySource.String(source), keyState.String(st.String()))
	}
}

func queued(value func(*ledger.QueueStats) int64) func(*reading, emit) {
	return perSource(func(s *ledger.Snapshot, source attribute.KeyValue, e emit) {
		if s.HasQueue {
			e(value(&s.Queue), 0, source)
		}
	})
}

func folded(value func(*ledger.FoldStats) int64) func(*reading, emit) {
	return perSource(func(s *ledger.Snapshot, source attribute.KeyValue, e emit) {
		if s.HasFold {
			e(value(&s.Fold), 0, source)
		}
	})
}

func counting(value func(*ledger.CountStats) int64) func(*reading, emit) {
	return perSource(func(s *ledger.Snapshot, source attribute.KeyValue, e emit) {
		if s.HasCount {
			e(value(&s.Count), 0, source)
		}
	})
}

func outlets(value func(*ledger.OutletStats, emit, ...attribute.KeyValue)) func(*reading, emit) {
	return func(r *reading, e emit) {
		for i := range r.host.Outlets {
			o := &r.host.Outlets[i]
			value(o, e, keyExporter.String(o.Exporter), keySignal.String(o.Signal))
		}
	}
}

func ruleSet(value func(*ledger.RuleStats) int64) func(*reading, emit) {
	return func(r *reading, e emit) {
		if r.hasRules {
			e(value(&r.rules), 0)
		}
	}
}
