package host

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/windhover/windhover/config"
	"github.com/windhover/windhover/internal/ledger"
)

// patience is how long the sender of a batch waits for an exporter's answer. One that
// takes longer is behind: its batches wait in its outlet, and nobody waits for them.
const patience = 100 * time.Millisecond

var (
	errOutletFull   = errors.New("its queue is full")
	errOutletClosed = errors.New("it is shut down")
)

// outlet hands batches to one exporter on a goroutine of its own, so that an exporter
// that blocks holds up no other. What waits is bounded; what does not fit is refused.
type outlet[T any] struct {
	name    string
	limit   config.QueueConfig
	consume func(context.Context, T) error
	measure func(T) (items int, bytes int64)
	logger  *zap.Logger
	wake    chan struct{} // holds a token if there may be something to take

	mu      sync.Mutex
	waiting []batch[T] // the first one is being consumed
	behind  bool
	closed  bool
	items   int
	bytes   int64
	// counts are cumulative numbers of items.
	counts struct{ taken, failed, refused uint64 }
}

type batch[T any] struct {
	content T
	items   int
	bytes   int64
	answer  chan error // takes one error without blocking
}

func newOutlet[T any](name string, limit config.QueueConfig, logger *zap.Logger,
	consume func(context.Context, T) error, measure func(T) (int, int64),
) *outlet[T] {
	return &outlet[T]{
		name: name, limit: limit, consume: consume, measure: measure, logger: logger,
		wake: make(chan struct{}, 1),
	}
}

// offer queues content. The answer comes over the channel, which is nil if the exporter
// is behind. A batch that alone exceeds the limit is taken when nothing else waits.
func (o *outlet[T]) offer(content T) (<-chan error, error) {
	items, bytes := o.measure(content)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		o.counts.refused += uint64(items)
		return nil, fmt.Errorf("hand over to exporter %s: %w", o.name, errOutletClosed)
	}
	if len(o.waiting) > 0 && (o.items+items > o.limit.Items || o.bytes+bytes > o.limit.Bytes) {
		o.counts.refused += uint64(items)
		return nil, fmt.Errorf("hand over to exporter %s: %w", o.name, errOutletFull)
	}
	b := batch[T]{content: content, items: items, bytes: bytes, answer: make(chan error, 1)}
	o.waiting = append(o.waiting, b)
	o.items += items
	o.bytes += bytes
	select {
	case o.wake <- struct{}{}:
	default:
	}
	if o.behind {
		return nil, nil
	}
	return b.answer, nil
}

// fallBehind is called when an answer did not come in time.
func (o *outlet[T]) fallBehind() {
	o.mu.Lock()
	first := !o.behind && len(o.waiting) > 0
	o.behind = o.behind || first
	o.mu.Unlock()
	if first {
		o.logger.Warn("exporter blocks: alerts wait for it, and are refused when its queue is full",
			zap.Duration("after", patience), zap.Int("queue_items", o.limit.Items), zap.Int64("queue_bytes", o.limit.Bytes))
	}
}

// close lets run return once everything that waits is consumed.
func (o *outlet[T]) close() {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// run consumes batches until the outlet is closed and empty, or ctx, which is passed to
// the exporter, is done. It reports how many items it left.
func (o *outlet[T]) run(ctx context.Context) (left int) {
	for {
		b, ok, closed := o.first()
		switch {
		case ok:
			if ctx.Err() != nil {
				return o.leave()
			}
			err := o.consume(ctx, b.content)
			o.done(b, err)
			b.answer <- err
		case closed:
			return 0
		default:
			select {
			case <-o.wake:
			case <-ctx.Done():
				return o.leave()
			}
		}
	}
}

func (o *outlet[T]) first() (b batch[T], ok, closed bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.waiting) == 0 {
		return b, false, o.closed
	}
	return o.waiting[0], true, o.closed
}

func (o *outlet[T]) done(b batch[T], err error) {
	o.mu.Lock()
	o.waiting[0] = batch[T]{}
	o.waiting = o.waiting[1:]
	o.items -= b.items
	o.bytes -= b.bytes
	recovered := false
	if len(o.waiting) == 0 {
		o.waiting = nil
		recovered, o.behind = o.behind, false
	}
	if err != nil {
		o.counts.failed += uint64(b.items)
	} else {
		o.counts.taken += uint64(b.items)
	}
	o.mu.Unlock()
	if recovered {
		o.logger.Info("exporter takes alerts again")
	}
}

// leave gives up what waits and counts it as failed.
func (o *outlet[T]) leave() (left int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	for _, b := range o.waiting {
		b.answer <- errOutletClosed
	}
	left = o.items
	o.counts.failed += uint64(left)
	o.waiting, o.items, o.bytes = nil, 0, 0
	return left
}

// blocked reports whether the exporter blocks, and how much waits for it.
func (o *outlet[T]) blocked() (items int, blocked bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.items, o.behind
}

func (o *outlet[T]) stats(signal string) ledger.OutletStats {
	o.mu.Lock()
	defer o.mu.Unlock()
	return ledger.OutletStats{
		Exporter: o.name, Signal: signal, Items: o.items, Bytes: o.bytes,
		Taken: o.counts.taken, Failed: o.counts.failed, Refused: o.counts.refused,
	}
}

// send offers content to every outlet and waits, for a bounded time, until those that
// are not behind have answered. The error has what each exporter answered.
func send[T any](outlets []*outlet[T], copyFor func(i int) T) error {
	var errs []error
	answers := make([]<-chan error, len(outlets))
	for i, o := range outlets {
		answer, err := o.offer(copyFor(i))
		answers[i] = answer
		errs = append(errs, err)
	}
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	expired := false
	for i, answer := range answers {
		if answer == nil {
			continue
		}
		if !expired {
			select {
			case err := <-answer:
				errs = append(errs, err)
				continue
			case <-timeout.C:
				expired = true
			}
		}
		select {
		case err := <-answer:
			errs = append(errs, err)
		default:
			outlets[i].fallBehind()
		}
	}
	return errors.Join(errs...)
}
