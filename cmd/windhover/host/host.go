// Package host runs collector components without a collector: extensions, exporters and
// receivers made from the very factories that a collector uses, with one configuration,
// one metrics provider and one HTTP server around them.
//
// Alerts take one way: receivers → logsFanout → one outlet per exporter → exporter. An
// outlet is a bounded queue and a goroutine, so that no exporter waits for another. Start
// with Run; supervise.go has what happens to a source that fails.
package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pipeline"
	"go.uber.org/zap"

	"github.com/windhover/windhover/internal/ledger"
)

// Settings is what a host is made from.
type Settings struct {
	Blocks *Blocks
	Build  component.BuildInfo
	Logger *zap.Logger
	// Reload tells the host to have the rules read again.
	Reload <-chan struct{}
	// Listening, if set, is called with the address of the HTTP server.
	Listening func(address string)
	// Looked, if set, is called by the supervisor each time it has looked at the sources,
	// which is about once a second, and once more when it is about to shut them down.
	Looked func(Outlook)
}

// Outlook is what the supervisor sees of the sources.
type Outlook struct {
	// Settled is set once every source watches, or has failed to at least once.
	Settled bool
	// Stopping is set when nothing is watched any more.
	Stopping bool
	// Text says in one line what each source does.
	Text string
}

// Host is a running set of components.
type Host struct {
	Settings
	telemetry  *telemetry
	book       *ledger.Book
	server     *server
	extensions []started
	exporters  []started
	byID       map[component.ID]component.Component // extensions
	alerts     logsFanout
	metrics    []*outlet[pmetric.Metrics]
	// sendsMetrics is set once metrics can be read by the periodic export.
	sendsMetrics atomic.Bool
	running      sync.WaitGroup // outlets
	sources      []*source
	failed       chan error // takes the first reason to stop
	changed      chan struct{}
}

type started struct {
	id     component.ID
	kind   string
	signal string // of exporters, which are made once for each
	component.Component
	status *status
	// blocked says how many items wait because the exporter blocks.
	blocked func() (items int, blocked bool)
}

// Run starts the components and runs them until ctx is done, every source has ended, or
// one fails whose failure is to stop the others, which is what it returns. Then it shuts
// everything down, within the configured time: sources first, so that what they still
// report is delivered. What goes wrong in that is logged.
func Run(ctx context.Context, s Settings) error {
	h := &Host{
		Settings: s,
		book:     &ledger.Book{},
		byID:     map[component.ID]component.Component{},
		failed:   make(chan error, 1),
		changed:  make(chan struct{}, 1),
		alerts:   logsFanout{resource: s.Blocks.Config.Telemetry.Resource},
	}
	// Components live until they are shut down, however long after the end of ctx.
	outletContext, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	defer giveUp()
	err := h.start(ctx, outletContext)
	if err != nil {
		err = &StartError{err}
	} else {
		err = h.supervise(ctx)
	}
	if h.Looked != nil {
		h.Looked(Outlook{Stopping: true, Text: "delivering what is queued"})
	}
	h.shutdown(context.WithoutCancel(ctx), giveUp)
	return err
}

// StartError is returned by Run if there was no source yet when it failed.
type StartError struct{ Err error }

func (e *StartError) Error() string { return e.Err.Error() }

// Unwrap returns what failed.
func (e *StartError) Unwrap() error { return e.Err }

func (h *Host) start(ctx, outletContext context.Context) error {
	var err error
	if h.telemetry, err = newTelemetry(h.Settings, h.book, h.sendMetrics); err != nil {
		return err
	}
	for _, b := range h.Blocks.Extensions {
		if err := h.startExtension(ctx, b); err != nil {
			return err
		}
	}
	for _, b := range h.Blocks.Exporters {
		if err := h.startExporter(ctx, outletContext, b); err != nil {
			return err
		}
	}
	if len(h.alerts.outlets) == 0 {
		return errors.New("start exporters: none of them takes alerts")
	}
	for _, s := range h.Blocks.Sources {
		h.sources = append(h.sources, h.newSource(s))
	}
	if err := h.telemetry.observe(h); err != nil {
		return err
	}
	h.sendsMetrics.Store(true)
	// From here on other goroutines read the lists above, which stay as they are.
	return h.startServer()
}

func (h *Host) settings(kind string, id component.ID) component.TelemetrySettings {
	t := h.telemetry.settings
	t.Logger = h.Logger.With(zap.String(kind, id.String()))
	return t
}

func (h *Host) startExtension(ctx context.Context, b Block[extension.Factory]) error {
	ext, err := b.Factory.Create(ctx, extension.Settings{
		ID: b.ID, TelemetrySettings: h.settings("extension", b.ID), BuildInfo: h.Build,
	}, b.Config)
	if err != nil {
		return fmt.Errorf("create extension %s: %w", b.ID, err)
	}
	st := h.newStatus("extension", b.ID)
	h.byID[b.ID] = ext
	h.extensions = append(h.extensions, started{id: b.ID, kind: "extension", Component: ext, status: st})
	if err := ext.Start(ctx, &componentHost{h, st}); err != nil {
		return fmt.Errorf("start extension %s: %w", b.ID, err)
	}
	st.settle()
	return nil
}

// startExporter starts what the exporter is for: alerts, metrics or both.
func (h *Host) startExporter(ctx, outletContext context.Context, b Block[exporter.Factory]) error {
	cfg := h.Blocks.Config
	set := exporter.Settings{
		ID: b.ID, TelemetrySettings: h.settings("exporter", b.ID), BuildInfo: h.Build,
	}
	used := false
	if takes(cfg.Alerts.Exporters, b.ID) {
		logs, err := b.Factory.CreateLogs(ctx, set, b.Config)
		switch {
		case err == nil:
			o := newOutlet(b.ID.String(), cfg.Alerts.Queue, set.Logger, logs.ConsumeLogs, measureLogs)
			if err := h.startOne(ctx, started{id: b.ID, signal: "logs", Component: logs, blocked: o.blocked}); err != nil {
				return err
			}
			h.alerts.outlets = append(h.alerts.outlets, o)
			h.alerts.mutates = append(h.alerts.mutates, logs.Capabilities().MutatesData)
			runOutlet(h, outletContext, o)
			used = true
		case !errors.Is(err, pipeline.ErrSignalNotSupported) || cfg.Alerts.Exporters != nil:
			return fmt.Errorf("create exporter %s for alerts: %w; alerts::exporters names those that get alerts", b.ID, err)
		}
	}
	if takes(cfg.Telemetry.Metrics.Exporters, b.ID) {
		metrics, err := b.Factory.CreateMetrics(ctx, set, b.Config)
		switch {
		case err == nil:
			o := newOutlet(b.ID.String(), cfg.Alerts.Queue, set.Logger, metrics.ConsumeMetrics, measureMetrics)
			if err := h.startOne(ctx, started{id: b.ID, signal: "metrics", Component: metrics, blocked: o.blocked}); err != nil {
				return err
			}
			h.metrics = append(h.metrics, o)
			runOutlet(h, outletContext, o)
			used = true
		case !errors.Is(err, pipeline.ErrSignalNotSupported) || cfg.Telemetry.Metrics.Exporters != nil:
			return fmt.Errorf("create exporter %s for metrics: %w; telemetry::metrics::exporters names those that get metrics, [] none", b.ID, err)
		}
	}
	if !used {
		h.Logger.Warn("exporter is not used: no list of exporters names it", zap.Stringer("exporter", b.ID))
	}
	return nil
}

// takes reports whether a list names an exporter; null names all.
func takes(names []string, id component.ID) bool {
	return names == nil || slices.Contains(names, id.String())
}

// startOne starts an exporter for one signal.
func (h *Host) startOne(ctx context.Context, c started) error {
	c.kind, c.status = "exporter", h.newStatus("exporter", c.id)
	h.exporters = append(h.exporters, c)
	if err := c.Start(ctx, &componentHost{h, c.status}); err != nil {
		return fmt.Errorf("start exporter %s: %w", c.id, err)
	}
	c.status.settle()
	return nil
}

func runOutlet[T any](h *Host, ctx context.Context, o *outlet[T]) { //nolint:revive // a method cannot have a type parameter, so the host is first
	h.running.Go(func() {
		if left := o.run(ctx); left > 0 {
			o.logger.Error("exporter did not take everything before the time to shut down was over", zap.Int("items", left))
		}
	})
}

func (h *Host) sendMetrics(md pmetric.Metrics) error {
	if !h.sendsMetrics.Load() || len(h.metrics) == 0 {
		return nil
	}
	md.MarkReadOnly()
	return send(h.metrics, func(int) pmetric.Metrics { return md })
}

// shutdown ends everything in the order in which events flow. Each step gets what is
// left of the time; what is over it is abandoned and named.
func (h *Host) shutdown(ctx context.Context, giveUp context.CancelFunc) {
	total := h.Blocks.Config.ShutdownTimeout
	deadline := time.Now().Add(total)
	// A source that does not end must leave time to deliver what others reported.
	sourcesContext, cancelSources := context.WithDeadline(ctx, deadline.Add(-total/2))
	defer cancelSources()
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	step := func(ctx context.Context, what string, f func(context.Context) error) {
		if err := within(ctx, f); err != nil {
			h.Logger.Error("not shut down in order", zap.String("step", what), zap.Error(err))
		}
	}

	h.shutdownSources(sourcesContext, step)
	if h.telemetry != nil {
		step(ctx, "send the last metrics", h.telemetry.flush)
		h.sendsMetrics.Store(false)
	}
	for _, o := range h.alerts.outlets {
		o.close()
	}
	for _, o := range h.metrics {
		o.close()
	}
	// An exporter that hangs is told, by its context, when the time is over; those that
	// only retry end when they are shut down.
	wait := func(context.Context) error { h.running.Wait(); return nil }
	step(ctx, "deliver what is queued", wait)
	giveUp()
	// Exporters and extensions end even if the time is over: they have files to close.
	last, cancelLast := context.WithTimeout(context.WithoutCancel(ctx), max(time.Until(deadline), time.Second))
	defer cancelLast()
	for _, list := range [][]started{h.exporters, h.extensions} {
		for _, c := range slices.Backward(list) {
			step(last, fmt.Sprintf("shut down %s %s", c.kind, c.id), c.Shutdown)
		}
	}
	step(last, "end the queues", wait)
	if h.telemetry != nil {
		step(last, "shut down metrics", h.telemetry.shutdown)
	}
	if h.server != nil {
		step(last, "shut down server", h.server.shutdown)
	}
}

var errTimeOver = errors.New("not done when the time was over; see shutdown_timeout")

// within calls f and waits for it until ctx is done, for callees that do not heed it.
func within(ctx context.Context, f func(context.Context) error) error {
	result := make(chan error, 1)
	go func() { result <- f(ctx) }()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		// Both may be ready.
		select {
		case err := <-result:
			return err
		default:
			return errTimeOver
		}
	}
}

// reload has every extension that can do so read its files again.
func (h *Host) reload(ctx context.Context) {
	for _, e := range h.extensions {
		r, ok := e.Component.(interface{ Reload(context.Context) error })
		if !ok {
			continue
		}
		_ = r.Reload(ctx) // the extension has logged, counted and reported it
	}
}

// fail is called with a reason to stop; the first one counts.
func (h *Host) fail(err error) {
	select {
	case h.failed <- err:
	default:
	}
}

// componentHost is the host that one component sees.
type componentHost struct {
	*Host
	status *status
}

var (
	_ component.Host           = (*componentHost)(nil)
	_ componentstatus.Reporter = (*componentHost)(nil)
	_ ledger.Keeper            = (*componentHost)(nil)
)

// GetExtensions returns the extensions that were created so far.
func (c *componentHost) GetExtensions() map[component.ID]component.Component { return c.byID }

// Book is the ledger of the process, to which receivers add their sources.
func (c *componentHost) Book() *ledger.Book { return c.book }

// Report takes what a component says of itself.
func (c *componentHost) Report(e *componentstatus.Event) { c.status.report(e) }

var errNoReason = errors.New("gave up without a reason")

// status is what a component last said of itself.
type status struct {
	h    *Host
	kind string
	id   component.ID

	mu    sync.Mutex
	last  componentstatus.Status
	err   error
	since time.Time
}

func (h *Host) newStatus(kind string, id component.ID) *status {
	return &status{h: h, kind: kind, id: id, last: componentstatus.StatusStarting, since: time.Now()}
}

// settle ends the start of a component that says nothing of itself.
func (s *status) settle() {
	s.mu.Lock()
	if s.last == componentstatus.StatusStarting {
		s.last, s.since = componentstatus.StatusOK, time.Now()
	}
	s.mu.Unlock()
}

func (s *status) report(e *componentstatus.Event) {
	s.mu.Lock()
	if s.last != e.Status() {
		s.since = e.Timestamp()
	}
	s.last, s.err = e.Status(), e.Err()
	s.mu.Unlock()
	if e.Status() == componentstatus.StatusFatalError {
		err := e.Err()
		if err == nil {
			err = errNoReason
		}
		s.h.fail(fmt.Errorf("%s %s: %w", s.kind, s.id, err))
	}
	select {
	case s.h.changed <- struct{}{}:
	default:
	}
}

// said is what a component last said of itself.
type said struct {
	status componentstatus.Status
	err    error
	since  time.Time
}

func (s *status) read() said {
	s.mu.Lock()
	defer s.mu.Unlock()
	return said{s.last, s.err, s.since}
}
