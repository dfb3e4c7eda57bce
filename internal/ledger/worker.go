package ledger

import (
	"math/bits"
	"sync"
	"time"

	"github.com/windhover/windhover/internal/event"
)

// counts are the counters of one worker, or the sum of several.
type counts struct {
	produced  [event.MaxTypes]uint64
	delivered [event.MaxTypes]uint64
	evaluated [event.MaxTypes]uint64
	skipped   [event.MaxTypes][NumSkipReasons]uint64
	dropped   [event.MaxTypes]losses
	lost      [NumLostReasons]uint64
	folded    uint64
	below     uint64
	rules     []ruleCounts // by slot of the source
	lag       time.Duration
}

// losses counts by lane and reason.
type losses [event.NumLanes][NumDropReasons]uint64

type ruleCounts struct {
	matched, alerts uint64
	// Estimates from what was measured now and then.
	time        uint64 // nanoseconds
	evaluations uint64
}

// Worker counts for one goroutine that handles events of a source. Only that
// goroutine may use it. No method but Close blocks, and counting does not allocate.
type Worker struct {
	s *Source

	own   counts
	dirty [event.MaxTypes / 64]uint64 // types that changed since Publish
	other bool                        // what has no type changed since Publish
	slots []int32                     // slot of a rule by its index

	mu        sync.Mutex
	published counts
}

func (w *Worker) touch(t event.Type) { w.dirty[t%event.MaxTypes/64] |= 1 << (t % 64) }

// Produced counts n events that the source read. A source with a kernel side leaves
// this to its KernelReader.
func (w *Worker) Produced(t event.Type, n int) {
	w.own.produced[t%event.MaxTypes] += uint64(n)
	w.touch(t)
}

// Delivered counts an event that came out of the source whole.
func (w *Worker) Delivered(t event.Type) {
	w.own.delivered[t%event.MaxTypes]++
	w.touch(t)
}

// Evaluated counts a delivered event that was shown to the rules.
func (w *Worker) Evaluated(t event.Type) {
	w.own.evaluated[t%event.MaxTypes]++
	w.touch(t)
}

// Skipped counts a delivered event that was shown to no rule.
func (w *Worker) Skipped(t event.Type, r SkipReason) {
	w.own.skipped[t%event.MaxTypes][r]++
	w.touch(t)
}

// Dropped counts a produced event that was lost before it was delivered. What the
// kernel lost comes from the KernelReader.
func (w *Worker) Dropped(t event.Type, l event.Lane, r DropReason) {
	w.own.dropped[t%event.MaxTypes][l][r]++
	w.touch(t)
}

// SetRules tells the worker which rules the indices of Alerted, Folded, Below and Lost stand for; a
// zero key stands for a rule that this source cannot match. The goroutine calls it
// before its first event and after a reload.
func (w *Worker) SetRules(rules []RuleKey) {
	w.slots = w.s.ruleSlots(rules, w.slots[:0])
	for _, slot := range w.slots {
		if n := int(slot) + 1; n > len(w.own.rules) {
			w.own.rules = append(w.own.rules, make([]ruleCounts, n-len(w.own.rules))...)
		}
	}
	w.other = true
}

// Alerted counts a match of the rule with that index that became an alert.
func (w *Worker) Alerted(rule int) {
	c := &w.own.rules[w.slots[rule]]
	c.matched++
	c.alerts++
	w.other = true
}

// Folded counts a match of the rule with that index that repeats an alert: it is
// reported with others in one record.
func (w *Worker) Folded(rule int) {
	w.own.rules[w.slots[rule]].matched++
	w.own.folded++
	w.other = true
}

// Below counts a match of the rule with that index that does not reach the rule's
// threshold.
func (w *Worker) Below(rule int) {
	w.own.rules[w.slots[rule]].matched++
	w.own.below++
	w.other = true
}

// Lost counts a match of the rule with that index that became no alert.
func (w *Worker) Lost(rule int, r LostReason) {
	w.own.rules[w.slots[rule]].matched++
	w.own.lost[r]++
	w.other = true
}

// Cost adds an estimate of what the condition of the rule with that index took, and of
// how often it was decided.
func (w *Worker) Cost(rule int, took time.Duration, evaluations uint64) {
	c := &w.own.rules[w.slots[rule]]
	c.time += uint64(took)
	c.evaluations += evaluations
	w.other = true
}

// SetLag records how late the last handled event was: the time between its
// occurrence and now, zero if nothing waits.
func (w *Worker) SetLag(d time.Duration) {
	if w.own.lag != d {
		w.own.lag = d
		w.other = true
	}
}

// Publish makes what was counted visible to readers. It costs a few nanoseconds per
// event type seen since it was last called, and does nothing while a reader reads:
// the next call does it then.
func (w *Worker) Publish() {
	if !w.mu.TryLock() {
		return
	}
	w.publish()
	w.mu.Unlock()
}

func (w *Worker) publish() {
	from, to := &w.own, &w.published
	for i, word := range w.dirty {
		for ; word != 0; word &= word - 1 {
			t := i*64 + bits.TrailingZeros64(word)
			to.produced[t] = from.produced[t]
			to.delivered[t] = from.delivered[t]
			to.evaluated[t] = from.evaluated[t]
			to.skipped[t] = from.skipped[t]
			to.dropped[t] = from.dropped[t]
		}
		w.dirty[i] = 0
	}
	if w.other {
		w.other = false
		to.lost = from.lost
		to.folded = from.folded
		to.below = from.below
		to.lag = from.lag
		to.rules = append(to.rules[:0], from.rules...)
	}
}

// Close publishes the last counts and ends the worker. Its counts stay with the
// source.
func (w *Worker) Close() {
	w.own.lag = 0
	w.other = true
	w.mu.Lock()
	w.publish()
	w.mu.Unlock()
	w.s.retire(w)
}

// add adds o to c, but for the lag, of which it keeps the larger.
func (c *counts) add(o *counts) {
	for t := range c.delivered {
		c.produced[t] += o.produced[t]
		c.delivered[t] += o.delivered[t]
		c.evaluated[t] += o.evaluated[t]
		for r := range c.skipped[t] {
			c.skipped[t][r] += o.skipped[t][r]
		}
		c.dropped[t].add(&o.dropped[t])
	}
	for r := range c.lost {
		c.lost[r] += o.lost[r]
	}
	c.folded += o.folded
	c.below += o.below
	if n := len(o.rules); n > len(c.rules) {
		c.rules = append(c.rules, make([]ruleCounts, n-len(c.rules))...)
	}
	for i := range o.rules {
		c.rules[i].matched += o.rules[i].matched
		c.rules[i].alerts += o.rules[i].alerts
		c.rules[i].time += o.rules[i].time
		c.rules[i].evaluations += o.rules[i].evaluations
	}
	c.lag = max(c.lag, o.lag)
}

func (l *losses) add(o *losses) {
	for lane := range l {
		for r := range l[lane] {
			l[lane][r] += o[lane][r]
		}
	}
}
