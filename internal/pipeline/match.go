package pipeline

import (
	"github.com/windhover/windhover/internal/alert"
	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/rules"
)

// Match counts ev, shows it to the rules and returns those that make an alert,
// valid until the next event. It is for who delivers alerts without a queue: each of the
// rules is for Alert. It sets what Handle sets.
func (w *Worker) Match(ev *event.Event) []*rules.Rule {
	if set := w.settings.Rules.Set(); set != w.set {
		w.use(set)
	}
	w.num++
	ev.Num = w.num
	if ev.Source == nil {
		ev.Source = w.settings.Source
	}
	w.ledger.Delivered(ev.Type)
	w.ledger.Evaluated(ev.Type)
	w.matches = w.set.AppendMatches(w.matches[:0], ev)
	if w.num == w.measured {
		w.measure(ev)
	}
	if w.counts && len(w.matches) > 0 {
		w.settle(ev)
	}
	return w.matches
}

// Alert makes and counts the alert that r matched ev, which Match returned; nil if it
// repeats one that was made.
func (w *Worker) Alert(ev *event.Event, r *rules.Rule) *alert.Alert {
	if w.fold != nil && w.fold.Repeats(ev, r) {
		w.ledger.Folded(r.Index)
		return nil
	}
	a := w.newAlert(ev, r)
	w.settings.Redact.Alert(a)
	w.ledger.Alerted(r.Index)
	if w.fold != nil {
		w.fold.Opened(a)
	}
	return a
}
