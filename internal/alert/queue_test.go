package alert

import (
	"context"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windhover/windhover/internal/ledger"
)

// deadline bounds every wait.
const deadline = 10 * time.Second

func sized(n int64) *Alert { return &Alert{size: n} }

func TestQueueConfig(t *testing.T) {
	t.Parallel()
	c := DefaultQueueConfig()
	if err := c.Validate(); err != nil {
		t.Errorf("the defaults are not valid: %v", err)
	}
	err := (&QueueConfig{}).Validate()
	want := "items: 0 is not between 1 and 10000000\nbytes: 0 is less than 65536"
	if err == nil || err.Error() != want {
		t.Errorf("Validate = %v, want %s", err, want)
	}
}

func TestQueueRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		do    func(q *Queue)
		size  int64
		want  ledger.LostReason
		taken bool
	}{
		{"nothing while there is room", func(*Queue) {}, 1000, 0, true},
		{"an alert more than it may hold", func(q *Queue) {
			for range 3 {
				q.Push(sized(1))
			}
		}, 1, ledger.LostQueueItems, false},
		{"a byte more than it may hold", func(q *Queue) { q.Push(sized(99_000)) }, 1001, ledger.LostQueueBytes, false},
		{"an alert that could never fit", func(*Queue) {}, 100_001, ledger.LostQueueBytes, false},
		{"nothing after something was taken", func(q *Queue) {
			for range 3 {
				q.Push(sized(1))
			}
			q.take(nil, 1)
		}, 1, 0, true},
		{"everything once it is closed", func(q *Queue) { q.Close() }, 1, ledger.LostQueueClosed, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			q := NewQueue(QueueConfig{Items: 3, Bytes: 100_000})
			tt.do(q)
			got, ok := q.Push(sized(tt.size))
			if got != tt.want || ok != tt.taken {
				t.Errorf("Push = %v, %v, want %v, %v", got, ok, tt.want, tt.taken)
			}
			var refused uint64
			if !tt.taken {
				refused = 1
			}
			if s := q.Stats(); s.Refused[tt.want] != refused {
				t.Errorf("refused %v, want %d for %v", s.Refused, refused, tt.want)
			}
		})
	}
}

func TestFullIsCounted(t *testing.T) {
	t.Parallel()
	q := NewQueue(QueueConfig{Items: 1, Bytes: 100_000})
	if reason, full := q.Full(); full {
		t.Errorf("an empty queue is full: %v", reason)
	}
	q.Push(sized(1))
	if reason, full := q.Full(); !full || reason != ledger.LostQueueItems {
		t.Errorf("Full = %v, %v, want %v", reason, full, ledger.LostQueueItems)
	}
	if got := q.Stats().Refused[ledger.LostQueueItems]; got != 1 {
		t.Errorf("refused %d, want 1", got)
	}
}

func TestTake(t *testing.T) {
	t.Parallel()
	const long = time.Hour
	for _, tt := range []struct {
		name   string
		before int // alerts in the queue
		closed bool
		done   bool
		limit  int
		wait   time.Duration
		want   int
	}{
		{"a full batch does not wait", 5, false, false, 5, long, 5},
		{"a batch is no larger than its limit", 9, false, false, 5, long, 5},
		{"a batch goes when its time is over", 2, false, false, 5, time.Millisecond, 2},
		{"a batch of one does not wait", 2, false, false, 1, long, 1},
		{"what is left is taken after the end", 2, false, true, 5, long, 2},
		{"what is left is taken after the queue is closed", 2, true, false, 5, long, 2},
		{"nothing is left after the end", 0, false, true, 5, long, 0},
		{"nothing is left in a closed queue", 0, true, false, 5, long, 0},
		{"a limit above the size of the queue is its size", 10, false, false, 100, long, 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			q := NewQueue(QueueConfig{Items: 10, Bytes: 100_000})
			var in []*Alert
			for i := range tt.before {
				in = append(in, &Alert{TID: int32(i), size: 1})
				q.Push(in[i])
			}
			if tt.closed {
				q.Close()
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if tt.done {
				cancel()
			}
			var got []*Alert
			returned := make(chan struct{})
			go func() {
				defer close(returned)
				got = q.Take(ctx, nil, tt.limit, tt.wait)
			}()
			select {
			case <-returned:
			case <-time.After(deadline):
				t.Fatal("Take waits for ever")
			}
			var want []int32
			for i := range tt.want {
				want = append(want, int32(i))
			}
			var ids []int32
			for _, a := range got {
				ids = append(ids, a.TID)
			}
			if diff := cmp.Diff(want, ids); diff != "" {
				t.Errorf("Take (-want +got):\n%s", diff)
			}
			if (got == nil) != (tt.want == 0) {
				t.Errorf("Take returned nil: %v", got == nil)
			}
		})
	}
}

func TestAnAlertWakesTheConsumer(t *testing.T) {
	t.Parallel()
	q := NewQueue(DefaultQueueConfig())
	got := make(chan int)
	go func() { got <- len(q.Take(context.Background(), nil, 128, time.Millisecond)) }()
	q.Push(sized(1))
	select {
	case n := <-got:
		if n != 1 {
			t.Errorf("took %d alerts, want 1", n)
		}
	case <-time.After(deadline):
		t.Fatal("the consumer sleeps on")
	}
}

// TestEveryAlertIsTakenOrRefused has producers that are faster than the consumer.
func TestEveryAlertIsTakenOrRefused(t *testing.T) {
	t.Parallel()
	const producers, each = 4, 20_000
	q := NewQueue(QueueConfig{Items: 100, Bytes: 1 << 20})
	var (
		wg       sync.WaitGroup
		mu       sync.Mutex
		accepted int
		refused  int
	)
	for range producers {
		wg.Go(func() {
			n := 0
			for range each {
				if _, ok := q.Push(sized(100)); ok {
					n++
				}
			}
			mu.Lock()
			accepted += n
			refused += each - n
			mu.Unlock()
		})
	}
	go func() {
		wg.Wait()
		q.Close()
	}()
	taken := 0
	var batch []*Alert
	for {
		batch = q.Take(t.Context(), batch, 64, time.Millisecond)
		if batch == nil {
			break
		}
		taken += len(batch)
		if s := q.Stats(); s.Accepted != uint64(s.Items)+s.Taken || s.Items > s.ItemLimit || s.Bytes > s.ByteLimit || s.Bytes < 0 {
			t.Fatalf("the counters do not add up: %+v", s)
		}
	}
	s := q.Stats()
	if taken != accepted || accepted+refused != producers*each {
		t.Errorf("took %d of %d accepted alerts, refused %d of %d", taken, accepted, refused, producers*each)
	}
	if s.Items != 0 || s.Bytes != 0 || s.Taken != uint64(taken) || s.Refused[ledger.LostQueueItems] != uint64(refused) {
		t.Errorf("at the end the counters are %+v", s)
	}
}

// TestMemoryIsFlatWhenNobodyTakes pushes a hundred times what fits. It is not parallel:
// it looks at the heap.
func TestMemoryIsFlatWhenNobodyTakes(t *testing.T) {
	const limit = 4 << 20
	ev, _ := opened()
	r := rule(t, strings.Repeat("x", 2000))
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	q := NewQueue(QueueConfig{Items: 10_000, Bytes: limit})
	for range 200_000 {
		q.Push(New(ev, r, 1))
	}
	grown := heap() - before
	s := q.Stats()
	if s.Refused[ledger.LostQueueBytes] == 0 || s.Bytes > limit {
		t.Errorf("the queue was not full: %+v", s)
	}
	if grown > limit+limit/4 {
		t.Errorf("the heap grew by %d bytes for a queue of at most %d", grown, limit)
	}
	if grown < limit/2 {
		t.Errorf("the heap grew by %d bytes though the queue accounts for %d", grown, s.Bytes)
	}
	runtime.KeepAlive(q)
}

func TestTheQueueForgetsWhatWasTaken(t *testing.T) {
	t.Parallel()
	q := NewQueue(QueueConfig{Items: 4, Bytes: 100_000})
	q.Push(sized(1))
	q.take(nil, 4)
	for i, a := range q.ring {
		if a != nil {
			t.Errorf("place %d keeps an alert alive", i)
		}
	}
}

func BenchmarkQueue(b *testing.B) {
	q := NewQueue(DefaultQueueConfig())
	a := sized(1000)
	dst := make([]*Alert, 0, 128)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		q.Push(a)
		if i%128 == 127 {
			dst = q.take(dst[:0], 128)
		}
	}
}
