// Package fold counts repeats of alerts and reports them in one record, so that a rule
// that matches again and again is neither noise nor lost.
//
// A Folder belongs to a source, a Worker to a goroutine that handles its events. Only
// matches come here: an event that matches nothing meets no lock of this package.
package fold

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/windhover/windhover/internal/alert"
	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/field"
	"github.com/windhover/windhover/internal/ledger"
	"github.com/windhover/windhover/rules"
)

// Why a record is made.
const (
	endOfWindow = "window"
	evicted     = "evicted"
	shutdown    = "shutdown"
	recalled    = "recalled"
)

// Bounds of what one record tells.
const (
	maxValues     = 5
	maxValueBytes = 256
	maxEventIDs   = 100
)

// Settings of a Folder.
type Settings struct {
	Config Config
	// Type is that of the source.
	Type string
	// Queue takes the records.
	Queue *alert.Queue
	// Redact is called for every record before the queue gets it; nil: nothing is.
	Redact func(*alert.Alert)
	// Now is the clock; nil: the real one.
	Now func() time.Time
}

// Folder watches the alerts of one source for repeats. It is safe for concurrent use.
type Folder struct {
	settings Settings
	priority rules.Priority
	fields   []*field.Field // of the key; nil: those of the output

	mu      sync.Mutex
	closed  bool
	entries map[string]*entry
	// The entries by their age.
	first, last *entry
	bytes       int64
	stats       ledger.FoldStats
}

// entry is an alert that is watched for repeats.
type entry struct {
	key        string
	end        time.Time     // of the window
	alert      *alert.Alert  // nil: it is being made …
	made       chan struct{} // … until this is closed
	fold       alert.Fold
	bytes      int64
	prev, next *entry
}

// New returns a Folder for a valid configuration. The error says which field is none.
func New(s Settings) (*Folder, error) {
	if s.Now == nil {
		s.Now = time.Now
	}
	f := &Folder{settings: s, entries: map[string]*entry{}}
	f.priority, _ = rules.ParsePriority(s.Config.Priority)
	for _, name := range s.Config.Fields {
		fd, err := field.Lookup(name, s.Type)
		if err != nil {
			return nil, fmt.Errorf("fold by %s: %w", name, err)
		}
		f.fields = append(f.fields, fd)
	}
	return f, nil
}

// Worker asks a Folder for one goroutine.
type Worker struct {
	f       *Folder
	parts   map[*rules.Rule]*parts
	key     []byte
	value   []byte
	pending *entry
}

// maxRules bounds how many rules a worker remembers over reloads.
const maxRules = 10_000

// Worker returns a worker. Only one goroutine may use it.
func (f *Folder) Worker() *Worker { return &Worker{f: f, parts: map[*rules.Rule]*parts{}} }

// Repeats reports whether the match of ev by r repeats an alert, and counts it then: it
// is to become no alert. Otherwise the caller makes an alert and calls Opened.
func (w *Worker) Repeats(ev *event.Event, r *rules.Rule) bool {
	f := w.f
	w.pending = nil
	if r.Priority < f.priority {
		return false
	}
	p := w.parts[r]
	if p == nil {
		if len(w.parts) >= maxRules {
			clear(w.parts)
		}
		p = split(r, f.fields)
		w.parts[r] = p
	}
	w.key = appendKey(w.key[:0], ev, r, p.stable)
	now := f.settings.Now()

	f.mu.Lock()
	defer f.mu.Unlock()
	e := f.entries[string(w.key)]
	for e != nil && e.alert == nil {
		// Another goroutine makes the first alert of this key at this moment, which takes
		// microseconds. Two first ones would be one too many.
		f.mu.Unlock()
		<-e.made
		f.mu.Lock()
		e = f.entries[string(w.key)]
	}
	switch {
	case f.closed:
		return false
	case e == nil:
	case !now.Before(e.end) && f.finish(e, endOfWindow, now):
	default:
		w.count(e, ev, p)
		return true
	}
	if f.makeRoom(now) {
		w.pending = f.insert(string(w.key), now)
	}
	return false
}

// count adds ev to the repeats of e.
func (w *Worker) count(e *entry, ev *event.Event, p *parts) {
	fold := &e.fold
	if fold.Count == 0 {
		fold.First = ev.Time
	}
	fold.First, fold.Last = min(fold.First, ev.Time), max(fold.Last, ev.Time)
	fold.Count++
	w.f.stats.Open++
	before := e.bytes
	if len(fold.EventIDs) < maxEventIDs {
		id := w.eventID(ev)
		fold.EventIDs = append(fold.EventIDs, id)
		e.bytes += sizeOfText + int64(len(id))
	}
	if fold.Values == nil && len(p.changing) > 0 {
		fold.Values = make([]alert.FoldValues, len(p.changing))
		for i, fd := range p.changing {
			fold.Values[i].Name = fd.String()
		}
		e.bytes += int64(len(p.changing)) * sizeOfValues
	}
	for i, fd := range p.changing {
		if v := &fold.Values[i]; len(v.Texts) < maxValues {
			e.bytes += w.add(v, fd, ev)
		}
	}
	w.f.bytes += e.bytes - before
}

// Sizes of what an entry is made of, for accounting.
const (
	sizeOfEntry  = 512
	sizeOfText   = 24
	sizeOfValues = 64
)

// add adds the value of fd, if it is another, and returns how much memory that takes.
func (w *Worker) add(v *alert.FoldValues, fd *field.Field, ev *event.Event) int64 {
	text, ok := field.AppendValueText(w.value[:0], fd, ev)
	w.value = text
	if !ok {
		return 0
	}
	text = text[:min(len(text), maxValueBytes)]
	if slices.Contains(v.Texts, string(text)) {
		return 0
	}
	v.Texts = append(v.Texts, string(text))
	return sizeOfText + int64(len(text))
}

// eventID returns what identifies ev: the identifier of its document or log record, or
// the time and thread of a system call.
func (w *Worker) eventID(ev *event.Event) string {
	id := alert.AppendRecordID(w.value[:0], ev)
	if len(id) == 0 {
		id = strconv.AppendInt(id, ev.Time, 10)
		id = strconv.AppendInt(append(id, '/'), int64(ev.TID), 10)
	}
	w.value = id
	return string(id)
}

// Opened says what became of a match that repeats nothing: it is the alert a, or nil if
// it was refused. Repeats of an alert that was sent are counted from now on.
func (w *Worker) Opened(a *alert.Alert) {
	e := w.pending
	if e == nil {
		return
	}
	w.pending = nil
	f := w.f
	f.mu.Lock()
	defer f.mu.Unlock()
	close(e.made)
	if f.closed {
		return
	}
	if a == nil {
		f.remove(e)
		return
	}
	e.alert = a
	e.fold.UID = a.UID
	e.bytes += a.Size()
	f.bytes += a.Size()
	now := f.settings.Now()
	for f.bytes > f.settings.Config.Bytes && f.evict(now) {
	}
}

// makeRoom ends windows until there is room for one more, and reports whether there is.
func (f *Folder) makeRoom(now time.Time) bool {
	for len(f.entries) >= f.settings.Config.Keys || f.bytes > f.settings.Config.Bytes {
		if !f.evict(now) {
			return false
		}
	}
	return true
}

// evict ends the oldest window. It cannot if the queue does not take its record: what
// was folded is not lost to make room.
func (f *Folder) evict(now time.Time) bool {
	if f.first == nil || f.first.alert == nil || !f.finish(f.first, evicted, now) {
		return false
	}
	f.stats.Evicted++
	return true
}

func (f *Folder) insert(key string, now time.Time) *entry {
	e := &entry{key: key, made: make(chan struct{}), end: now.Add(f.settings.Config.Window), bytes: sizeOfEntry + int64(len(key)), prev: f.last}
	if f.last != nil {
		f.last.next = e
	} else {
		f.first = e
	}
	f.last = e
	f.entries[key] = e
	f.bytes += e.bytes
	return e
}

func (f *Folder) remove(e *entry) {
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		f.first = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	} else {
		f.last = e.prev
	}
	e.prev, e.next = nil, nil
	delete(f.entries, e.key)
	f.bytes -= e.bytes
}

// finish ends the window of e, with a record if anything was folded. It reports false
// if the queue does not take the record: then counting goes on.
func (f *Folder) finish(e *entry, reason string, now time.Time) bool {
	if e.fold.Count > 0 {
		if _, ok := f.send(e, reason, now); !ok {
			return false
		}
	}
	f.remove(e)
	return true
}

func (f *Folder) send(e *entry, reason string, now time.Time) (ledger.LostReason, bool) {
	if lost, full := f.settings.Queue.Full(); full {
		return lost, false
	}
	fold := e.fold // the record shares nothing that is still changed
	fold.Reason = reason
	fold.Values = nil
	for _, v := range e.fold.Values {
		if len(v.Texts) > 0 {
			fold.Values = append(fold.Values, alert.FoldValues{Name: v.Name, Texts: append([]string(nil), v.Texts...)})
		}
	}
	fold.EventIDs = append([]string(nil), fold.EventIDs...)
	a := alert.NewFoldNotice(e.alert, &fold, now)
	if f.settings.Redact != nil {
		f.settings.Redact(a)
	}
	lost, ok := f.settings.Queue.Push(a)
	if ok {
		f.stats.Records++
		f.stats.Reported += fold.Count
		f.stats.Open -= fold.Count
	}
	return lost, ok
}

// Recall ends the windows of alerts that did not go out after all, with a record of what
// was folded: who tries again makes the alerts anew.
func (f *Folder) Recall(alerts []*alert.Alert) {
	gone := make(map[*alert.Alert]bool, len(alerts))
	for _, a := range alerts {
		gone[a] = true
	}
	now := f.settings.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	for e := f.first; e != nil; {
		next := e.next
		if e.alert != nil && gone[e.alert] {
			f.end(e, recalled, now)
		}
		e = next
	}
}

// end ends the window of e whether the queue takes a record or not: what it refuses is
// counted as unreported.
func (f *Folder) end(e *entry, reason string, now time.Time) {
	if e.fold.Count > 0 {
		if lost, ok := f.send(e, reason, now); !ok {
			f.stats.Unreported[lost] += e.fold.Count
			f.stats.Open -= e.fold.Count
		}
	}
	f.remove(e)
}

// Sweep ends every window that is over.
func (f *Folder) Sweep() {
	now := f.settings.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	for e := f.first; e != nil && !now.Before(e.end); {
		next := e.next
		if e.alert != nil && !f.finish(e, endOfWindow, now) {
			return
		}
		e = next
	}
}

// sweepTime is how often windows are looked at: how late a record can be.
const sweepTime = 250 * time.Millisecond

// Run sweeps until ctx is done.
func (f *Folder) Run(ctx context.Context) {
	ticker := time.NewTicker(sweepTime)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			f.Sweep()
		case <-ctx.Done():
			return
		}
	}
}

// Close ends every window and folds no more. Records that the queue refuses now are
// counted as unreported. It is called when all workers are done and before the queue is
// closed.
func (f *Folder) Close() {
	now := f.settings.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for e := f.first; e != nil; e = f.first {
		f.end(e, shutdown, now)
	}
}

// Stats returns the counters.
func (f *Folder) Stats() ledger.FoldStats {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.stats
	s.Keys, s.KeyLimit = len(f.entries), f.settings.Config.Keys
	return s
}
