package alert

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/windhover/windhover/internal/ledger"
)

// QueueConfig bounds a Queue.
type QueueConfig struct {
	// Items is the largest number of alerts that wait.
	Items int `mapstructure:"items"`
	// Bytes is the largest amount of memory that waiting alerts hold.
	Bytes int64 `mapstructure:"bytes"`
}

// maxQueueItems bounds the memory of the queue itself, 8 bytes an item.
const maxQueueItems = 10_000_000

// DefaultQueueConfig returns the bounds that apply unless the user sets others.
func DefaultQueueConfig() QueueConfig { return QueueConfig{Items: 10_000, Bytes: 16 << 20} }

// Validate reports every problem with c.
func (c *QueueConfig) Validate() error {
	var errs []error
	if c.Items < 1 || c.Items > maxQueueItems {
		errs = append(errs, fmt.Errorf("items: %d is not between 1 and %d", c.Items, maxQueueItems))
	}
	if c.Bytes < 64<<10 {
		errs = append(errs, fmt.Errorf("bytes: %d is less than 65536", c.Bytes))
	}
	return errors.Join(errs...)
}

// Queue holds alerts between the goroutines that make them and the one that exports
// them. It is bounded in items and in bytes; what does not fit is refused and counted.
type Queue struct {
	byteLimit int64
	ready     chan struct{} // holds a token if the consumer has something to do

	mu     sync.Mutex
	ring   []*Alert
	first  int
	items  int
	bytes  int64
	want   int // items for which the consumer waits
	closed bool

	accepted, taken uint64
	refused         [ledger.NumLostReasons]uint64
}

// NewQueue returns an empty queue with the bounds of a valid c.
func NewQueue(c QueueConfig) *Queue {
	return &Queue{
		byteLimit: c.Bytes,
		ready:     make(chan struct{}, 1),
		ring:      make([]*Alert, c.Items),
		want:      1,
	}
}

// Push puts a into the queue, or says why not; a refused alert is counted. It never
// waits for room. Any goroutine may call it.
func (q *Queue) Push(a *Alert) (ledger.LostReason, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if reason, full := q.full(a.size); full {
		q.refused[reason]++
		return reason, false
	}
	q.ring[(q.first+q.items)%len(q.ring)] = a
	q.items++
	q.bytes += a.size
	q.accepted++
	if q.items >= q.want {
		q.signal()
	}
	return 0, true
}

// Full reports whether the queue refuses an alert of any size at this moment, and
// counts a refusal if so: whoever asks first need not make the alert.
func (q *Queue) Full() (ledger.LostReason, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	reason, full := q.full(sizeOfAlert)
	if full {
		q.refused[reason]++
	}
	return reason, full
}

func (q *Queue) full(size int64) (ledger.LostReason, bool) {
	switch {
	case q.closed:
		return ledger.LostQueueClosed, true
	case q.items == len(q.ring):
		return ledger.LostQueueItems, true
	case q.bytes+size > q.byteLimit:
		return ledger.LostQueueBytes, true
	}
	return 0, false
}

func (q *Queue) signal() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// Take waits for an alert, then for up to limit of them or for the time wait,
// whatever comes first, and returns them appended to dst[:0]. When ctx is done or the
// queue is closed it returns what is left without waiting; then nil. Only one
// goroutine may call it.
func (q *Queue) Take(ctx context.Context, dst []*Alert, limit int, wait time.Duration) []*Alert {
	if !q.await(ctx, 1, nil) {
		return nil
	}
	if limit > 1 && wait > 0 {
		timer := time.NewTimer(wait)
		q.await(ctx, limit, timer.C)
		timer.Stop()
	}
	return q.take(dst[:0], limit)
}

// await returns when the queue holds n items, ctx is done, the queue is closed or the
// timeout fires, and reports whether it holds any.
func (q *Queue) await(ctx context.Context, n int, timeout <-chan time.Time) bool {
	for {
		q.mu.Lock()
		items, closed := q.items, q.closed
		q.want = min(n, len(q.ring))
		q.mu.Unlock()
		if items >= min(n, len(q.ring)) || closed || ctx.Err() != nil {
			return items > 0
		}
		select {
		case <-q.ready:
		case <-timeout:
			return items > 0
		case <-ctx.Done():
		}
	}
}

func (q *Queue) take(dst []*Alert, limit int) []*Alert {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.items > 0 && len(dst) < limit {
		a := q.ring[q.first]
		q.ring[q.first] = nil
		q.first = (q.first + 1) % len(q.ring)
		q.items--
		q.bytes -= a.size
		q.taken++
		dst = append(dst, a)
	}
	q.want = 1
	return dst
}

// Close makes the queue refuse every further alert. What it holds can still be taken.
func (q *Queue) Close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.signal()
}

// Stats returns the counters of the queue.
func (q *Queue) Stats() ledger.QueueStats {
	q.mu.Lock()
	defer q.mu.Unlock()
	return ledger.QueueStats{
		Items: q.items, ItemLimit: len(q.ring),
		Bytes: q.bytes, ByteLimit: q.byteLimit,
		Accepted: q.accepted, Taken: q.taken,
		Refused: q.refused,
	}
}
