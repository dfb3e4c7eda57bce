// Package pipeline is the way of an event after its source decoded it: count, match,
// make alerts.
//
// A Worker handles the events of one goroutine. An event that matches nothing costs
// no allocation, lock or channel operation: it ends in Handle.
package pipeline

import (
	"time"

	"github.com/windhover/windhover/internal/alert"
	"github.com/windhover/windhover/internal/correlate"
	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/fold"
	"github.com/windhover/windhover/internal/ledger"
	"github.com/windhover/windhover/internal/redact"
	"github.com/windhover/windhover/rules"
)

// Settings of a Worker. Several workers of one source share them.
type Settings struct {
	Source *event.Source
	Rules  *rules.Live
	Ledger *ledger.Source
	Alerts *alert.Queue
	// Count counts for thresholds and sequences; nil: each worker by itself.
	Count *correlate.Counter
	// Fold reports repeats of alerts in one record; nil: every match is an alert.
	Fold *fold.Folder
	// Redact replaces secrets; nil: it does not.
	Redact *redact.Redactor
	// Clock is what the cost of rules is measured with; nil: the monotonic clock.
	Clock func() time.Duration
}

// Worker handles events on one goroutine, which ends with Close.
type Worker struct {
	settings Settings
	ledger   *ledger.Worker
	fold     *fold.Worker // nil: every match is an alert
	count    *correlate.Worker

	set        *rules.Set
	generation uint64
	counts     bool // the rules of this source need count
	matches    []*rules.Rule
	outcomes   []correlate.Outcome
	num        uint64
	measured   uint64 // num of the next event that rules are measured with
	meter      meter
}

// NewWorker returns a worker. Only one goroutine may use it.
func NewWorker(s Settings) *Worker {
	w := &Worker{settings: s, ledger: s.Ledger.Worker(), matches: make([]*rules.Rule, 0, 64), measured: untilMeasured(), meter: newMeter(s.Clock)}
	if s.Fold != nil {
		w.fold = s.Fold.Worker()
	}
	if s.Count == nil {
		s.Count = correlate.New(correlate.DefaultConfig())
	}
	w.count = s.Count.Worker()
	return w
}

// Handle counts ev, shows it to the rules and queues an alert for each that matches.
// It sets ev.Num, and ev.Source if that is nil. It keeps no reference to ev.
func (w *Worker) Handle(ev *event.Event) {
	for _, r := range w.Match(ev) {
		w.alert(ev, r)
	}
}

// settle leaves in matches what is to become an alert. The outcomes stay valid until the
// next event that matches.
func (w *Worker) settle(ev *event.Event) {
	w.outcomes = w.count.AppendOutcomes(w.outcomes[:0], w.set, ev, w.matches)
	w.matches = w.matches[:0]
	for i := range w.outcomes {
		if o := &w.outcomes[i]; o.Below {
			w.ledger.Below(o.Rule.Index)
		} else {
			w.matches = append(w.matches, o.Rule)
		}
	}
}

// newAlert makes the alert that r matched ev.
func (w *Worker) newAlert(ev *event.Event, r *rules.Rule) *alert.Alert {
	a := alert.New(ev, r, w.generation)
	if r.Counts() {
		for i := range w.outcomes {
			if o := &w.outcomes[i]; o.Rule == r && !o.Below {
				a.Count(o)
			}
		}
	}
	return a
}

// alert queues the alert that r matched ev, unless it repeats one that was.
func (w *Worker) alert(ev *event.Event, r *rules.Rule) {
	if w.fold == nil {
		w.send(ev, r)
		return
	}
	if w.fold.Repeats(ev, r) {
		w.ledger.Folded(r.Index)
		return
	}
	w.fold.Opened(w.send(ev, r))
}

// send makes and queues an alert and returns it, or nil if the queue is full: then it
// is not even made.
func (w *Worker) send(ev *event.Event, r *rules.Rule) *alert.Alert {
	if reason, full := w.settings.Alerts.Full(); full {
		w.ledger.Lost(r.Index, reason)
		return nil
	}
	a := w.newAlert(ev, r)
	w.settings.Redact.Alert(a)
	if reason, ok := w.settings.Alerts.Push(a); !ok {
		w.ledger.Lost(r.Index, reason)
		return nil
	}
	w.ledger.Alerted(r.Index)
	return a
}

// Produced counts n events that the source read, for a source that has no other count
// of them.
func (w *Worker) Produced(t event.Type, n int) { w.ledger.Produced(t, n) }

// Skip counts an event that was delivered and that no rule is to see.
func (w *Worker) Skip(t event.Type, r ledger.SkipReason) {
	w.ledger.Delivered(t)
	w.ledger.Skipped(t, r)
}

// Drop counts an event that was lost between the source and Handle.
func (w *Worker) Drop(t event.Type, l event.Lane, r ledger.DropReason) { w.ledger.Dropped(t, l, r) }

// SetLag says how long ago the last handled event happened, zero if nothing waits.
func (w *Worker) SetLag(d time.Duration) { w.ledger.SetLag(d) }

// Idle makes the counts visible to others. A source calls it when it has nothing to
// read, and from time to time when it has.
func (w *Worker) Idle() { w.ledger.Publish() }

// Close publishes the last counts and ends the worker.
func (w *Worker) Close() { w.ledger.Close() }

// use makes set the one that events are shown to.
func (w *Worker) use(set *rules.Set) {
	w.set, w.generation = set, w.settings.Rules.Generation()
	w.counts = set.Counts(w.settings.Source.Type)
	list := set.Rules()
	keys := make([]ledger.RuleKey, len(list))
	for i, r := range list {
		keys[i] = ledger.RuleKey{Name: r.Name, Priority: r.Priority.String()}
	}
	w.ledger.SetRules(keys)
}
