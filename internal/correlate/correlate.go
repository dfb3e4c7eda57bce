// Package correlate counts over time: it says which matches of rules with a threshold,
// and of the steps of sequences, make an alert.
//
// A Counter belongs to a source, a Worker to a goroutine that handles its events. Only
// matches come here: an event that matches nothing meets no lock of this package. Time
// is that of the events, so recorded ones count as they did when they happened.
package correlate

import (
	"crypto/sha256"
	"encoding/binary"
	"hash/maphash"
	"slices"
	"sync"

	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/field"
	"github.com/windhover/windhover/internal/ledger"
	"github.com/windhover/windhover/rules"
)

// Config bounds a Counter.
type Config struct {
	Keys  int   // combinations of a rule and values that are counted at the same time
	Bytes int64 // memory that they may take
}

// DefaultConfig returns the bounds of a source.
func DefaultConfig() Config { return Config{Keys: 10_000, Bytes: 16 << 20} }

// Counter counts the matches of one source. It is safe for concurrent use.
type Counter struct {
	config Config
	seed   maphash.Seed

	mu      sync.Mutex
	entries map[string]*entry
	// Entries by when they were last counted in. Steps may arrive a little out of order,
	// so the first of a key to come is kept even if it is not the first of the sequence;
	// but early entries make room for all others.
	early, begun queue
	bytes        int64
	arrivals     uint64
	evicted      uint64
}

// New returns a Counter.
func New(c Config) *Counter {
	return &Counter{config: c, seed: maphash.MakeSeed(), entries: map[string]*entry{}}
}

// Stats returns the counters.
func (c *Counter) Stats() ledger.CountStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return ledger.CountStats{Keys: len(c.entries), KeyLimit: c.config.Keys, Evicted: c.evicted}
}

// Outcome is what a match comes to: an alert, or if Below is set a match that was
// counted and is none yet.
type Outcome struct {
	Rule  *rules.Rule
	Below bool
	// Count is how many matches made the alert, or how many different values if the rule
	// counts those, or how many steps; 0 for a rule that speaks of one event.
	Count int
	// First and Last are when the first and the last of them happened, in nanoseconds
	// since the Unix epoch.
	First, Last int64
}

// Worker asks a Counter for one goroutine.
type Worker struct {
	c     *Counter
	key   []byte
	value []byte
	// arrival is the number of the event, which is the same for all steps that it is; 0:
	// it has none yet.
	arrival uint64
}

// Worker returns a worker. Only one goroutine may use it.
func (c *Counter) Worker() *Worker { return &Worker{c: c} }

// AppendOutcomes appends to dst what becomes of matches, which are what set says of ev,
// and returns it. Rules that are matched only as steps of sequences have no outcome.
func (w *Worker) AppendOutcomes(dst []Outcome, set *rules.Set, ev *event.Event, matches []*rules.Rule) []Outcome {
	from, ordered, chosen := len(dst), true, false
	w.arrival = 0
	for _, r := range matches {
		if r.Sequence != nil {
			continue // its steps decide
		}
		o := Outcome{Rule: r}
		if r.Threshold != nil {
			o.Below = !w.reached(ev, r, &o)
		}
		if !o.Below {
			for _, step := range r.Steps {
				s := Outcome{Rule: step.Rule}
				if w.completed(ev, step, matches, &s) {
					dst, ordered = append(dst, s), false
				}
			}
		}
		alerts := r.Enabled
		if set.First() && !r.Counts() {
			alerts = alerts && !chosen
			chosen = chosen || r.Enabled
		}
		if alerts {
			dst = append(dst, o)
		}
	}
	if !ordered {
		slices.SortStableFunc(dst[from:], func(a, b Outcome) int { return a.Rule.Index - b.Rule.Index })
	}
	return dst
}

// maxKey is how long a key may be before its hash stands for it.
const maxKey = 256

// setKey makes the key of r on ev. It reports false if a field has no value: a missing
// value is equal to nothing.
func (w *Worker) setKey(ev *event.Event, r *rules.Rule, by []*field.Field) bool {
	key := appendPart(w.key[:0], r.Source)
	key = appendPart(key, r.Name)
	key = appendPart(key, r.Hash)
	for _, f := range by {
		from := len(key)
		key = append(key, 0, 0, 0, 0)
		var ok bool
		if key, ok = field.AppendValueText(key, f, ev); !ok {
			w.key = key
			return false
		}
		binary.NativeEndian.PutUint32(key[from:], uint32(len(key)-from-4))
	}
	if len(key) > maxKey {
		sum := sha256.Sum256(key)
		key = append(key[:0], sum[:]...)
	}
	w.key = key
	return true
}

// appendPart appends a text and its length, which keeps two keys from being equal by
// chance.
func appendPart(dst []byte, s string) []byte {
	dst = binary.NativeEndian.AppendUint32(dst, uint32(len(s)))
	return append(dst, s...)
}

// reached counts a match of r, and reports whether that makes an alert. Then o tells of
// it, and counting starts anew.
func (w *Worker) reached(ev *event.Event, r *rules.Rule, o *Outcome) bool {
	t := r.Threshold
	if !w.setKey(ev, r, t.By) {
		return false
	}
	var value uint64
	if t.Distinct != nil {
		text, ok := field.AppendValueText(w.value[:0], t.Distinct, ev)
		w.value = text
		if !ok {
			return false
		}
		value = maphash.Bytes(w.c.seed, text)
	}
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	e := w.c.touch(w.key, ev.Time, int64(t.Within), true)
	var full bool
	if t.Distinct != nil {
		full = e.addValue(value, ev.Time, t.Count, o)
	} else {
		full = e.addTime(ev.Time, t.Count, o)
	}
	if full {
		o.Count = t.Count
		w.c.remove(e)
	} else {
		w.c.resize(e)
	}
	return full
}

// completed counts a match of a step, and reports whether it completes the sequence.
func (w *Worker) completed(ev *event.Event, step rules.Step, matches []*rules.Rule, o *Outcome) bool {
	r := step.Rule
	s := r.Sequence
	n := len(s.Of)
	// The condition of the sequence is about the last event.
	if step.At == n-1 && !slices.Contains(matches, r) {
		return false
	}
	if !w.setKey(ev, r, s.By) {
		return false
	}
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	e := w.c.touch(w.key, ev.Time, int64(s.Within), step.At == 0)
	if e == nil {
		return false
	}
	if e.steps == nil {
		e.steps = make([][]mark, n)
	}
	if w.arrival == 0 {
		w.c.arrivals++
		w.arrival = w.c.arrivals
	}
	e.addStep(step.At, mark{ev.Time, w.arrival})
	if !e.chain(o) {
		w.c.resize(e)
		return false
	}
	o.Count = n
	w.c.remove(e)
	return true
}

// touch returns the entry of a key, which is made if there is none, as the one that was
// counted in last. Begun says that it is more than an early one, which is not made if
// there is no room.
func (c *Counter) touch(key []byte, now, within int64, begun bool) *entry {
	e := c.entries[string(key)]
	if e == nil {
		for range 2 { // faster than entries are made
			for _, q := range [2]*queue{&c.early, &c.begun} {
				if q.first != nil && q.first.over(now) {
					c.remove(q.first)
				}
			}
		}
		for len(c.entries) >= c.config.Keys {
			if !begun && c.early.first == nil {
				return nil
			}
			c.evict(now)
		}
		e = &entry{key: string(key), within: within, newest: now}
		c.entries[e.key] = e
		e.bytes = e.size()
		c.bytes += e.bytes
		c.early.push(e)
	}
	e.newest = max(e.newest, now)
	q := e.in
	if begun {
		q = &c.begun
	}
	e.in.remove(e)
	q.push(e)
	return e
}

// evict forgets the entry that was longest not counted in.
func (c *Counter) evict(now int64) {
	e := c.early.first
	if e == nil {
		if e = c.begun.first; !e.over(now) {
			c.evicted++
		}
	}
	c.remove(e)
}

// resize takes the size of e again and makes room if that is too much in all.
func (c *Counter) resize(e *entry) {
	size := e.size()
	c.bytes += size - e.bytes
	e.bytes = size
	for c.bytes > c.config.Bytes && c.early.first != e && (c.early.first != nil || c.begun.first != e) {
		c.evict(e.newest)
	}
}

func (c *Counter) remove(e *entry) {
	e.in.remove(e)
	delete(c.entries, e.key)
	c.bytes -= e.bytes
}

// queue is a list of entries.
type queue struct{ first, last *entry }

func (q *queue) push(e *entry) {
	e.in, e.prev = q, q.last
	if q.last != nil {
		q.last.next = e
	} else {
		q.first = e
	}
	q.last = e
}

func (q *queue) remove(e *entry) {
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		q.first = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	} else {
		q.last = e.prev
	}
	e.in, e.prev, e.next = nil, nil, nil
}
