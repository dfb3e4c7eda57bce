package rulesprocessor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.uber.org/zap"

	"github.com/windhover/windhover/internal/alert"
	"github.com/windhover/windhover/internal/field"
	"github.com/windhover/windhover/internal/fold"
	"github.com/windhover/windhover/internal/ledger"
	"github.com/windhover/windhover/internal/otlp"
	"github.com/windhover/windhover/internal/redact"
)

const (
	// flushTime is how often windows are looked at: how late a record of them can be.
	flushTime = 250 * time.Millisecond
	// flushRecords is how many records are passed on at a time.
	flushRecords = 128
)

// repeats folds repeats of alerts. First alerts go the way of their records; the records
// that stand for repeats are passed on by a goroutine of its own, when windows end.
type repeats struct {
	p     *rulesProcessor
	types []*folding // by source type

	end  context.CancelFunc
	done chan struct{}
}

// folding is what repeats are of one source type.
type folding struct {
	folder  *fold.Folder
	queue   *alert.Queue
	account *ledger.Source
}

func newRepeats(p *rulesProcessor) *repeats { return &repeats{p: p} }

// folder adds what is needed for the next source type. Of the configured fields those
// count that events of that type have.
func (r *repeats) folder(sourceType string, red *redact.Redactor, account *ledger.Source) (*fold.Folder, error) {
	c := r.p.config.Fold
	c.Fields = slices.DeleteFunc(slices.Clone(c.Fields), func(name string) bool {
		_, err := field.Lookup(name, sourceType)
		return err != nil
	})
	queue := alert.NewQueue(alert.DefaultQueueConfig())
	f, err := fold.New(fold.Settings{Config: c, Type: sourceType, Queue: queue, Redact: red.Alert})
	if err != nil {
		return nil, err
	}
	account.SetFold(f.Stats)
	r.types = append(r.types, &folding{f, queue, account})
	return f, nil
}

// check reports fields that no event can have.
func (r *repeats) check() error {
	var errs []error
	for _, name := range r.p.config.Fold.Fields {
		var first error
		if !slices.ContainsFunc(r.p.sources.types, func(sourceType string) bool {
			_, err := field.Lookup(name, sourceType)
			if first == nil {
				first = err
			}
			return err == nil
		}) {
			errs = append(errs, fmt.Errorf("fold by %s, of %s: %w", name, strings.Join(r.p.sources.types, " or "), first))
		}
	}
	return errors.Join(errs...)
}

func (r *repeats) start() {
	var running context.Context
	running, r.end = context.WithCancel(context.Background())
	r.done = make(chan struct{})
	go func() {
		defer close(r.done)
		ticker := time.NewTicker(flushTime)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
			case <-running.Done():
				return
			}
			for _, f := range r.types {
				f.folder.Sweep()
				r.flush(running, f)
			}
		}
	}()
}

// flush passes on the records that wait.
func (r *repeats) flush(ctx context.Context, f *folding) {
	if f.queue.Stats().Items == 0 {
		return
	}
	noWait, cancel := context.WithCancel(ctx)
	cancel()
	for {
		batch := f.queue.Take(noWait, nil, flushRecords, 0)
		if len(batch) == 0 {
			return
		}
		err := r.p.next.ConsumeLogs(ctx, r.encode(batch))
		if err != nil && ctx.Err() != nil {
			f.account.Failed(ledger.FailShutdown, len(batch))
		} else {
			settle(f.account, len(batch), err)
		}
		if err != nil {
			r.p.settings.Logger.Warn("records of repeated alerts could not be passed on", zap.Int("records", len(batch)), zap.Error(err))
		}
	}
}

// encode returns the records, each with the resource of the alert that it tells of.
func (r *repeats) encode(batch []*alert.Alert) plog.Logs {
	ld := plog.NewLogs()
	groups := map[string]plog.LogRecordSlice{}
	for _, a := range batch {
		o := a.Origin.(*origin)
		records, ok := groups[o.key]
		if !ok {
			rl := ld.ResourceLogs().AppendEmpty()
			o.resource.CopyTo(rl.Resource())
			rl.SetSchemaUrl(o.schemaURL)
			records = r.p.scope(rl).LogRecords()
			groups[o.key] = records
		}
		otlp.PutAlert(records.AppendEmpty(), a)
	}
	return ld
}

// recall takes back alerts that were not passed on: their records will come again.
func (r *repeats) recall(source int, alerts []*alert.Alert) {
	if len(alerts) > 0 {
		r.types[source].folder.Recall(alerts)
	}
}

// stop ends all windows and passes on what is known of them, as far as ctx leaves time.
// It is called when no batch is handled any more.
func (r *repeats) stop(ctx context.Context) error {
	r.end()
	var err error
	select {
	case <-r.done:
	case <-ctx.Done():
		err = fmt.Errorf("end records of repeated alerts: %w", ctx.Err())
	}
	for _, f := range r.types {
		f.folder.Close()
		f.queue.Close()
		if err == nil {
			r.flush(ctx, f)
			continue
		}
		// The goroutine may still have some in its hands.
		if n := f.queue.Stats().Items; n > 0 {
			f.account.Failed(ledger.FailShutdown, n)
		}
	}
	return err
}
