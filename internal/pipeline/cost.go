package pipeline

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/windhover/windhover/internal/event"
)

// How often the cost of rules is measured: so seldom that it is less than a hundredth of
// what matching takes, with any number of rules.
const (
	measureEvery = 1024 // events, on average: a fixed step would see only a part of what recurs
	measureRules = 8    // of those that an event may match
)

// again is how long the decision of a rule may take before it is measured a second
// time: the thread was probably interrupted.
const again = 10 * time.Microsecond

// meter measures what rules cost. The condition of a rule is decided by itself, as if
// the rule were the only one: what rules share is charged to each of them in full, so
// together they show more than matching takes.
type meter struct {
	clock func() time.Duration
	own   time.Duration // what reading the clock takes
}

var started = time.Now()

func newMeter(clock func() time.Duration) meter {
	if clock == nil {
		clock = func() time.Duration { return time.Since(started) }
	}
	m := meter{clock: clock}
	var spans [31]time.Duration
	for i := range spans {
		before := clock()
		spans[i] = clock() - before
	}
	slices.Sort(spans[:])
	m.own = spans[len(spans)/2]
	return m
}

// untilMeasured returns how many events there are to the next one that is measured.
func untilMeasured() uint64 { return measureEvery/2 + 1 + rand.Uint64N(measureEvery) }

// measure takes what some of the rules cost that ev may match. They stand for all, and
// ev for all events since the one before.
func (w *Worker) measure(ev *event.Event) {
	m := &w.meter
	w.measured = w.num + untilMeasured()
	alone := w.set.Alone(ev)
	n := alone.Len()
	if n == 0 {
		return
	}
	var took [measureRules]time.Duration
	some, first := min(n, measureRules), rand.IntN(n)
	before := m.clock()
	for i := range some {
		alone.Decide((first+i)%n, ev)
		now := m.clock()
		took[i], before = now-before, now
	}
	weight := measureEvery * n / some
	for i, d := range took[:some] {
		if d > again {
			before = m.clock()
			alone.Decide((first+i)%n, ev)
			d = min(d, m.clock()-before)
		}
		// A rule that is there for a sequence only has no index.
		if r := alone.Rule((first + i) % n); r.Index >= 0 {
			w.ledger.Cost(r.Index, max(0, d-m.own)*time.Duration(weight), uint64(weight))
		}
	}
}
