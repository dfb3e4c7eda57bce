// Package instance is what every receiver has besides its own way of reading: the
// rules, the account in the ledger, the queue of alerts, their delivery to the next
// consumer, the metrics and the state of one source instance.
//
// Start with Receivers, which makes receivers, and Instance, which a receiver's own
// part gets: it passes events to a Worker and says how it fares.
package instance

import (
	"context"
	"errors"
	"slices"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"
	"go.uber.org/zap"

	"github.com/windhover/windhover/internal/alert"
	"github.com/windhover/windhover/internal/correlate"
	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/fold"
	"github.com/windhover/windhover/internal/ledger"
	"github.com/windhover/windhover/internal/pipeline"
	"github.com/windhover/windhover/internal/redact"
	"github.com/windhover/windhover/rules"
)

// Settings are what a receiver is made of.
type Settings struct {
	Receiver receiver.Settings
	// Type is what rules name in "source:".
	Type   string
	Config Config
	// Open begins to read and returns how to end that. It is called by Start and may
	// not block; what it starts reports to the instance. An error says what is missing
	// and what to do. Close ends the reading and handles what was read already; no
	// worker is used after it returned.
	Open func(ctx context.Context, in *Instance) (closer func(context.Context) error, err error)
}

// Receivers makes the receivers of one factory. A collector makes two of one
// configuration if it uses the receiver for logs and for metrics: they share one source.
type Receivers struct {
	mu       sync.Mutex
	byConfig map[component.Config]*Receiver
}

// Of returns the receiver of a configuration that is not shut down yet, or makes one.
func (rs *Receivers) Of(c component.Config, s Settings) *Receiver {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if r, ok := rs.byConfig[c]; ok {
		return r
	}
	r := &Receiver{settings: s}
	r.forget = func() {
		rs.mu.Lock()
		delete(rs.byConfig, c)
		rs.mu.Unlock()
	}
	if rs.byConfig == nil {
		rs.byConfig = map[component.Config]*Receiver{}
	}
	rs.byConfig[c] = r
	return r
}

// Receiver is a receiver of logs and metrics. A collector that uses it for both starts
// and shuts it down twice; only the first time counts.
type Receiver struct {
	settings Settings
	// Logs and Metrics are the next consumers; nil: no such pipeline uses the receiver.
	// They are set before Start.
	Logs    consumer.Logs
	Metrics consumer.Metrics
	forget  func()

	mu      sync.Mutex
	running *Instance // nil: not started, or shut down
}

// Start begins to read. With on_error other than stop, an error is reported as the
// status of the component instead.
func (r *Receiver) Start(ctx context.Context, host component.Host) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running != nil {
		return nil
	}
	in, err := r.start(ctx, host)
	if err != nil {
		if r.settings.Config.OnError == Stop {
			return err
		}
		componentstatus.ReportStatus(host, componentstatus.NewPermanentErrorEvent(err))
		return nil
	}
	r.running = in
	return nil
}

// Shutdown ends reading, handles what was read and hands over the alerts that wait, as
// far as ctx leaves time for it. It may be called before Start.
func (r *Receiver) Shutdown(ctx context.Context) error {
	r.forget()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.running == nil {
		return nil
	}
	in := r.running
	r.running = nil
	return in.stop(ctx)
}

// Instance is a source between Start and Shutdown.
type Instance struct {
	Settings
	// Host is where the source runs.
	Host component.Host
	// Account counts what happens to the events.
	Account *ledger.Source
	// Alerts is the queue of what rules matched.
	Alerts *alert.Queue

	logs    consumer.Logs
	metrics consumer.Metrics
	live    *rules.Live
	origin  *event.Source
	health  health
	closer  func(context.Context) error
	count   *correlate.Counter
	fold    *fold.Folder     // nil: nothing is folded
	redact  *redact.Redactor // nil: nothing is redacted
	export  exporting
	undo    []func() // in reverse order
}

func (r *Receiver) start(ctx context.Context, host component.Host) (_ *Instance, err error) {
	s := r.settings
	name := s.Receiver.ID.String()
	in := &Instance{
		Settings: s,
		Host:     host,
		Account:  ledger.NewSource(name, s.Type),
		Alerts:   alert.NewQueue(s.Config.Queue),
		logs:     r.Logs,
		metrics:  r.Metrics,
		origin:   &event.Source{Name: name, Type: s.Type},
	}
	in.health.parts = map[string]string{}
	in.health.changed = in.report
	defer func() {
		if err != nil {
			in.unwind()
		}
	}()
	if in.live, err = FindRules(host, s.Config.Rules); err != nil {
		return nil, err
	}
	in.Account.SetQueue(in.Alerts.Stats)
	if err := in.prepareAlerts(); err != nil {
		return nil, err
	}
	if err := in.keepAccount(); err != nil {
		return nil, err
	}
	if in.closer, err = s.Open(ctx, in); err != nil {
		return nil, err
	}
	in.export.start(in)
	in.SetPart("", "")
	return in, nil
}

// prepareAlerts sets up what happens to a match before the queue.
func (in *Instance) prepareAlerts() error {
	in.count = correlate.New(correlate.DefaultConfig())
	in.Account.SetCount(in.count.Stats)
	var err error
	if in.redact, err = redact.New(in.Config.Redact, in.Type); err != nil {
		return err
	}
	in.Account.SetRedacted(in.redact.Records)
	if !in.Config.Fold.Enabled {
		return nil
	}
	in.fold, err = fold.New(fold.Settings{Config: in.Config.Fold, Type: in.Type, Queue: in.Alerts, Redact: in.redact.Alert})
	if err != nil {
		return err
	}
	in.Account.SetFold(in.fold.Stats)
	return nil
}

// keepAccount shows the account of the source to whoever reads metrics.
func (in *Instance) keepAccount() error {
	undo, err := Keep(in.Host, in.Receiver.MeterProvider, []*ledger.Source{in.Account})
	if err == nil {
		in.undo = append(in.undo, undo)
	}
	return err
}

// Worker returns a new worker, which passes events to the rules. One goroutine at a
// time may use it.
func (in *Instance) Worker() *pipeline.Worker {
	return pipeline.NewWorker(pipeline.Settings{
		Source: in.origin, Rules: in.live, Ledger: in.Account, Alerts: in.Alerts, Count: in.count, Fold: in.fold, Redact: in.redact,
	})
}

// Answered returns how many alerts left the queue and were taken or refused by the next
// consumer.
func (in *Instance) Answered() uint64 { return in.export.answered.Load() }

// SetPart says what is wrong with a part of the source that goes on nevertheless, or
// with an empty reason that nothing is. The source is degraded while a part is.
func (in *Instance) SetPart(part, reason string) { in.health.set(part, reason) }

// Fail ends the source with an error: what happens then is on_error's.
func (in *Instance) Fail(err error) {
	ev := componentstatus.NewPermanentErrorEvent(err)
	if in.Config.OnError == Stop {
		ev = componentstatus.NewFatalErrorEvent(err)
	}
	in.fail(err, ev)
}

// Exit ends the source with an error, and asks the host to end the process whatever
// on_error says: the user wants that when events are lost.
func (in *Instance) Exit(err error) { in.fail(err, componentstatus.NewFatalErrorEvent(err)) }

func (in *Instance) fail(err error, ev *componentstatus.Event) {
	if !in.health.close() {
		return
	}
	in.Account.SetState(ledger.StateFailed, err.Error())
	componentstatus.ReportStatus(in.Host, ev)
}

// End says that there is nothing more to read.
func (in *Instance) End(reason string) {
	if in.health.close() {
		in.Account.SetState(ledger.StateEnded, reason)
		in.Receiver.Logger.Info("source ended", zap.String("reason", reason))
	}
}

// report tells everybody about a change of health.
func (in *Instance) report(reason string) {
	if reason == "" {
		in.Account.SetState(ledger.StateOK, "")
		componentstatus.ReportStatus(in.Host, componentstatus.NewEvent(componentstatus.StatusOK))
		return
	}
	if in.Account.SetState(ledger.StateDegraded, reason) {
		in.Receiver.Logger.Warn("source is degraded", zap.String("reason", reason))
		componentstatus.ReportStatus(in.Host, componentstatus.NewRecoverableErrorEvent(errors.New(reason)))
	}
}

// stop ends everything in the order of the way of an event, so that nothing that was
// read is lost on it.
func (in *Instance) stop(ctx context.Context) error {
	err := in.closer(ctx)
	if in.fold != nil {
		in.fold.Close()
	}
	in.Alerts.Close()
	err = errors.Join(err, in.export.stop(ctx))
	in.health.close()
	if state, _, _ := in.Account.State(); state != ledger.StateFailed {
		in.Account.SetState(ledger.StateEnded, "shut down")
	}
	in.unwind()
	return err
}

func (in *Instance) unwind() {
	for _, undo := range slices.Backward(in.undo) {
		undo()
	}
	in.undo = nil
}
