package rulesprocessor

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processorhelper"

	"github.com/windhover/windhover/internal/alert"
	"github.com/windhover/windhover/internal/correlate"
	"github.com/windhover/windhover/internal/document"
	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/feed"
	"github.com/windhover/windhover/internal/field"
	"github.com/windhover/windhover/internal/instance"
	"github.com/windhover/windhover/internal/ledger"
	"github.com/windhover/windhover/internal/otlp"
	"github.com/windhover/windhover/internal/pipeline"
	"github.com/windhover/windhover/internal/redact"
	"github.com/windhover/windhover/rules"
)

// rulesProcessor shows records to rules. Batches are handled on the goroutines that
// bring them, as many at a time as there are workers.
type rulesProcessor struct {
	// Logs counts items and passes batches on.
	processor.Logs
	next     consumer.Logs
	settings processor.Settings
	config   *Config
	sources  *sources
	path     *document.Path // nil: the body is the event
	limits   document.Limits

	// What follows is there between Start and Shutdown. Lists are by the index of their
	// source type.
	accounts []*ledger.Source
	pipes    []pipeline.Settings
	repeats  *repeats // nil: nothing is folded
	workers  chan *worker
	undo     func()
}

func newProcessor(ctx context.Context, settings processor.Settings, c *Config, next consumer.Logs) (*rulesProcessor, error) {
	p := &rulesProcessor{settings: settings, config: c, limits: feed.Limits(c.MaxEventBytes), next: next}
	var err error
	if p.sources, err = newSources(c); err != nil {
		return nil, err
	}
	if c.Document != "" {
		if p.path, err = document.CompilePath(c.Document); err != nil {
			return nil, fmt.Errorf("document: %w", err)
		}
	}
	p.Logs, err = processorhelper.NewLogs(ctx, settings, c, next, p.process,
		processorhelper.WithCapabilities(consumer.Capabilities{MutatesData: c.Mode != modeAlertsOnly}),
		processorhelper.WithStart(p.start), processorhelper.WithShutdown(p.shutdown))
	if err != nil {
		return nil, err
	}
	return p, nil
}

func (p *rulesProcessor) start(_ context.Context, host component.Host) error {
	live, err := instance.FindRules(host, p.config.Rules)
	if err != nil {
		return err
	}
	name := p.settings.ID.String()
	p.accounts, p.pipes, p.repeats = nil, nil, nil
	if p.config.Fold.Enabled && p.config.Mode != modeAnnotate {
		p.repeats = newRepeats(p)
	}
	for _, t := range p.sources.types {
		account := name
		if len(p.sources.types) > 1 {
			account += ":" + t
		}
		s, err := p.prepare(account, t, live)
		if err != nil {
			return err
		}
		p.accounts, p.pipes = append(p.accounts, s.Ledger), append(p.pipes, s)
	}
	if p.repeats != nil {
		if err := p.repeats.check(); err != nil {
			return err
		}
	}
	if p.undo, err = instance.Keep(host, p.settings.MeterProvider, p.accounts); err != nil {
		return err
	}
	n := runtime.GOMAXPROCS(0)
	p.workers = make(chan *worker, n)
	for range n {
		p.workers <- p.newWorker()
	}
	if p.repeats != nil {
		p.repeats.start()
	}
	for _, a := range p.accounts {
		a.SetState(ledger.StateOK, "")
	}
	return nil
}

// prepare returns the way of the events of one source type.
func (p *rulesProcessor) prepare(name, sourceType string, live *rules.Live) (pipeline.Settings, error) {
	s := pipeline.Settings{
		Source: &event.Source{Name: name, Type: sourceType}, Rules: live,
		Ledger: ledger.NewSource(name, sourceType), Count: correlate.New(correlate.DefaultConfig()),
	}
	s.Ledger.SetCount(s.Count.Stats)
	var err error
	if s.Redact, err = redact.New(p.config.Redact, sourceType); err != nil {
		return s, err
	}
	s.Ledger.SetRedacted(s.Redact.Records)
	if p.repeats != nil {
		s.Fold, err = p.repeats.folder(sourceType, s.Redact, s.Ledger)
	}
	return s, err
}

func (p *rulesProcessor) shutdown(ctx context.Context) error {
	if p.workers == nil {
		return nil
	}
	for range cap(p.workers) {
		select {
		case w := <-p.workers:
			for _, pipe := range w.pipes {
				pipe.Close()
			}
		case <-ctx.Done():
			return fmt.Errorf("end batches: %w", ctx.Err())
		}
	}
	var err error
	if p.repeats != nil {
		err = p.repeats.stop(ctx)
	}
	for _, a := range p.accounts {
		a.SetState(ledger.StateEnded, "shut down")
	}
	p.undo()
	p.workers = nil
	return err
}

// tally are the alerts of one batch, by source type: what becomes of them is known when
// the batch was passed on.
type tally struct{ alerts [][]*alert.Alert }

type tallyKey struct{}

// ConsumeLogs handles a batch and passes on what mode says.
func (p *rulesProcessor) ConsumeLogs(ctx context.Context, ld plog.Logs) error {
	var t tally
	err := p.Logs.ConsumeLogs(context.WithValue(ctx, tallyKey{}, &t), ld)
	for i, alerts := range t.alerts {
		settle(p.accounts[i], len(alerts), err)
		if err != nil && p.repeats != nil {
			p.repeats.recall(i, alerts)
		}
	}
	return err
}

// settle counts what the next consumer said of n alerts.
func settle(a *ledger.Source, n int, err error) {
	switch {
	case n == 0:
	case err == nil:
		a.Acknowledged(n)
	case consumererror.IsPermanent(err):
		a.Failed(ledger.FailPermanent, n)
	default:
		a.Failed(ledger.FailRefused, n)
	}
}

// process is what is done to a batch before it is passed on.
func (p *rulesProcessor) process(ctx context.Context, ld plog.Logs) (plog.Logs, error) {
	var w *worker
	select {
	case w = <-p.workers:
	case <-ctx.Done():
		return ld, ctx.Err()
	}
	defer func() { p.workers <- w }()
	out := w.batch(ld)
	if t, ok := ctx.Value(tallyKey{}).(*tally); ok && w.total > 0 {
		t.alerts = make([][]*alert.Alert, len(w.tally))
		for i, alerts := range w.tally {
			t.alerts[i] = slices.Clone(alerts)
		}
	}
	if p.config.Mode == modeAlertsOnly && w.total == 0 {
		return ld, processorhelper.ErrSkipProcessingData
	}
	return out, nil
}

// worker handles one batch at a time. Its memory is reused.
type worker struct {
	p     *rulesProcessor
	pipes []*pipeline.Worker // by source type
	split []splitting

	record   record
	ev       event.Event
	doc      document.Document // of the event
	quoted   document.Document // a string around it …
	wrapped  document.Document // … what it is a member of …
	inner    document.Document // … and a string that it is there
	splitter document.Splitter
	body     []byte
	later    func() []byte
	found    []*rules.Rule

	made  []made // of the resource
	mine  []*alert.Alert
	tally [][]*alert.Alert // of the batch, by source type
	total int
}

// splitting says how the events of a source type lie in a record.
type splitting struct {
	whole  bool // the record is the event
	format feed.Format
}

// made is an alert that was made, with what it takes from its record.
type made struct {
	alert *alert.Alert
	trace pcommon.TraceID
	span  pcommon.SpanID
	flags plog.LogRecordFlags
}

func (p *rulesProcessor) newWorker() *worker {
	w := &worker{p: p, tally: make([][]*alert.Alert, len(p.sources.types)), found: make([]*rules.Rule, 0, 16)}
	w.later = w.text
	for i, t := range p.sources.types {
		w.pipes = append(w.pipes, pipeline.NewWorker(p.pipes[i]))
		w.split = append(w.split, splitting{whole: t == field.Log, format: feed.FormatOf(t)})
	}
	return w
}

// batch shows every record of a batch to the rules and returns what is to be passed on.
func (w *worker) batch(ld plog.Logs) plog.Logs {
	for i, alerts := range w.tally {
		clear(alerts)
		w.tally[i] = alerts[:0]
	}
	w.total = 0
	w.record.kept = w.p.repeats != nil
	out := ld
	if w.p.config.Mode == modeAlertsOnly {
		out = plog.NewLogs()
	}
	resources := ld.ResourceLogs()
	for i := range resources.Len() {
		rl := resources.At(i)
		w.record.of(rl)
		w.made = w.made[:0]
		scopes := rl.ScopeLogs()
		for j := range scopes.Len() {
			sl := scopes.At(j)
			w.record.sl = sl
			records := sl.LogRecords()
			for k := range records.Len() {
				w.record.lr = records.At(k)
				w.one()
			}
		}
		if len(w.made) > 0 && w.p.config.Mode != modeAnnotate {
			w.put(out, rl)
		}
	}
	clear(w.made[:cap(w.made)])
	w.record = record{}
	w.ev.Reset()
	for _, d := range [...]*document.Document{&w.doc, &w.quoted, &w.wrapped, &w.inner} {
		d.Reset() // lets go of the batch
	}
	for _, pipe := range w.pipes {
		pipe.Idle()
	}
	return out
}

// put adds the alerts of a resource to it, or to a copy of it in out.
func (w *worker) put(out plog.Logs, rl plog.ResourceLogs) {
	if w.p.config.Mode == modeAlertsOnly {
		from := rl
		rl = out.ResourceLogs().AppendEmpty()
		from.Resource().CopyTo(rl.Resource())
		rl.SetSchemaUrl(from.SchemaUrl())
	}
	sl := w.p.scope(rl)
	for _, m := range w.made {
		lr := sl.LogRecords().AppendEmpty()
		otlp.PutAlert(lr, m.alert)
		lr.SetTraceID(m.trace)
		lr.SetSpanID(m.span)
		lr.SetFlags(m.flags)
	}
}

// scope adds the scope of alerts to a resource.
func (p *rulesProcessor) scope(rl plog.ResourceLogs) plog.ScopeLogs {
	sl := rl.ScopeLogs().AppendEmpty()
	sl.Scope().SetName(otlp.ScopeName)
	sl.Scope().SetVersion(p.settings.BuildInfo.Version)
	return sl
}

// begin makes the event that of the record, without a source or a time.
func (w *worker) begin() {
	w.ev.Reset()
	w.ev.Type, w.ev.Log = event.PluginEvent, &w.record
	w.doc.ParseLater(w.later, w.p.limits)
	w.ev.Doc = &w.doc
}

// keep is how many bytes of documents a worker keeps memory for.
const keep = 256 << 10

// one shows the record to the rules.
func (w *worker) one() {
	source := w.p.sources.of(w)
	if source == notAny {
		return
	}
	pipe := w.pipes[source]
	if w.record.sl.Scope().Name() == otlp.ScopeName && strings.HasPrefix(w.record.lr.EventName(), "windhover.") {
		pipe.Produced(event.PluginEvent, 1)
		pipe.Skip(event.PluginEvent, ledger.SkipSelf) // an alert is not watched again
		return
	}
	w.mine = w.mine[:0]
	if w.split[source].whole {
		w.begin()
		w.show(source, w.time(nil))
	} else {
		w.documents(source)
	}
	if len(w.mine) > 0 && w.p.config.Mode == modeAnnotate {
		slices.SortStableFunc(w.mine, func(a, b *alert.Alert) int { return cmp.Compare(a.Rule.Priority, b.Rule.Priority) })
		otlp.Annotate(w.record.lr.Attributes(), w.mine)
	}
	clear(w.mine)
	for _, d := range [...]*document.Document{&w.doc, &w.quoted, &w.wrapped, &w.inner} {
		d.Trim(keep)
	}
	if cap(w.body) > keep {
		w.body = nil
	}
	if cap(w.ev.Scratch) > keep {
		w.ev.Scratch = nil
	}
}

// documents shows every document in the record to the rules.
func (w *worker) documents(source int) {
	pipe, format := w.pipes[source], &w.split[source].format
	drop := func(r ledger.DropReason) {
		pipe.Produced(event.PluginEvent, 1)
		pipe.Drop(event.PluginEvent, event.LaneBulk, r)
	}
	text := w.text()
	if text == nil {
		drop(ledger.DropMalformed)
		return
	}
	if format.Envelope.Single(&w.doc, text, w.p.limits) {
		w.document(source)
		return
	}
	w.splitter.Reset(text, format.Envelope)
	for {
		one, _, ok, err := w.splitter.Next()
		if err != nil {
			drop(ledger.DropMalformed)
			return
		}
		if !ok {
			return
		}
		if err := w.doc.Parse(one, w.p.limits); err != nil {
			drop(feed.DropReasonOf(err))
			continue
		}
		w.document(source)
	}
}

// document shows the document that was read to the rules.
func (w *worker) document(source int) {
	w.ev.Reset()
	w.ev.Type, w.ev.Log, w.ev.Doc = event.PluginEvent, &w.record, &w.doc
	w.show(source, w.time(&w.split[source].format))
}

// time returns when the event happened: as the record says, or else its document.
func (w *worker) time(format *feed.Format) int64 {
	if t := w.record.lr.Timestamp(); t != 0 {
		return int64(t)
	}
	if format != nil && format.Time != nil {
		if t, err := format.Time(&w.doc); err == nil {
			return t
		}
	}
	if t := w.record.lr.ObservedTimestamp(); t != 0 {
		return int64(t)
	}
	return time.Now().UnixNano()
}

// show shows the event to the rules of its source and makes the alerts.
func (w *worker) show(source int, at int64) {
	pipe := w.pipes[source]
	pipe.Produced(event.PluginEvent, 1)
	w.ev.Source, w.ev.Time = w.p.pipes[source].Source, at
	for _, r := range pipe.Match(&w.ev) {
		a := pipe.Alert(&w.ev, r)
		if a == nil {
			continue
		}
		w.tally[source] = append(w.tally[source], a)
		w.total++
		if w.p.config.Mode == modeAnnotate {
			w.mine = append(w.mine, a)
			continue
		}
		lr := w.record.lr
		w.made = append(w.made, made{a, lr.TraceID(), lr.SpanID(), lr.Flags()})
	}
}
