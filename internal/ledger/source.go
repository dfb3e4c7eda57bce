package ledger

import (
	"slices"
	"sync"
	"time"

	"github.com/windhover/windhover/internal/event"
)

// KernelSource is the type of the sources that have a kernel side, with its lanes
// and drop reasons.
const KernelSource = "syscall"

// maxRules bounds how many rules a source counts one by one over all reloads; the
// others share a slot for each priority, named overflowRule.
const (
	maxRules     = 10_000
	overflowRule = "other"
)

// RuleKey names a rule in the ledger. It outlives reloads.
type RuleKey struct {
	Name     string
	Priority string
}

// Source is the account of one source instance. It is safe for concurrent use.
type Source struct {
	name, typ string
	lanes     []event.Lane
	reasons   []DropReason

	mu      sync.Mutex
	workers []*Worker
	retired counts // of closed workers, and what was counted without one

	slots map[RuleKey]int32
	rules []RuleKey // by slot

	state  State
	reason string
	lossy  string
	since  time.Time

	notices    uint64
	noticeLost [NumLostReasons]uint64
	acked      uint64
	failed     [NumFailReasons]uint64

	read      KernelReader
	kernel    KernelCounters
	queue     func() QueueStats
	fold      func() FoldStats
	count     func() CountStats
	redacted  func() uint64
	processes func() int

	containers leaders // by what they lost
	costly     leaders // by the time their rules took
	ranked     []named // reused
	rankedAt   map[string]int
	filtered   uint64
}

// NewSource opens an account for the source instance name of type typ, as rules name
// it in "source".
func NewSource(name, typ string) *Source {
	s := &Source{
		name: name, typ: typ, slots: map[RuleKey]int32{}, lanes: []event.Lane{event.LaneBulk}, since: time.Now(),
		containers: newLeaders(maxContainers, false), costly: newLeaders(maxCostly, true), rankedAt: map[string]int{},
	}
	kernel := typ == KernelSource
	if kernel {
		s.lanes = append(s.lanes, event.LaneReserved)
	}
	for r := range NumDropReasons {
		if kernel || !DropReasons[r].Kernel {
			s.reasons = append(s.reasons, r)
		}
	}
	return s
}

// Name returns the name of the instance.
func (s *Source) Name() string { return s.name }

// Type returns the type of the source.
func (s *Source) Type() string { return s.typ }

// Worker returns a new worker of the source. The goroutine that uses it ends with
// Close.
func (s *Source) Worker() *Worker {
	w := &Worker{s: s}
	s.mu.Lock()
	s.workers = append(s.workers, w)
	s.mu.Unlock()
	return w
}

func (s *Source) retire(w *Worker) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.workers, w)
	if i < 0 {
		return
	}
	s.workers = slices.Delete(s.workers, i, i+1)
	s.retired.add(&w.published)
}

// ruleSlots appends the slots of rules to dst, making those that are not known; -1
// for a zero key.
func (s *Source) ruleSlots(rules []RuleKey, dst []int32) []int32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range rules {
		if k == (RuleKey{}) {
			dst = append(dst, -1)
			continue
		}
		if _, known := s.slots[k]; !known && len(s.rules) >= maxRules {
			k.Name = overflowRule
		}
		slot, known := s.slots[k]
		if !known {
			slot = int32(len(s.rules))
			s.slots[k] = slot
			s.rules = append(s.rules, k)
		}
		dst = append(dst, slot)
	}
	return dst
}

// Produced counts n events that the source read, for callers without a worker.
func (s *Source) Produced(t event.Type, n int) {
	s.mu.Lock()
	s.retired.produced[t%event.MaxTypes] += uint64(n)
	s.mu.Unlock()
}

// Dropped counts n produced events that were lost, for callers without a worker.
func (s *Source) Dropped(t event.Type, l event.Lane, r DropReason, n int) {
	s.mu.Lock()
	s.retired.dropped[t%event.MaxTypes][l][r] += uint64(n)
	s.mu.Unlock()
}

// Noticed counts an alert record that no rule made and the queue took.
func (s *Source) Noticed() {
	s.mu.Lock()
	s.notices++
	s.mu.Unlock()
}

// NoticeLost counts an alert record that no rule made and the queue refused.
func (s *Source) NoticeLost(r LostReason) {
	s.mu.Lock()
	s.noticeLost[r]++
	s.mu.Unlock()
}

// Acknowledged counts n alerts that the next consumer took.
func (s *Source) Acknowledged(n int) {
	s.mu.Lock()
	s.acked += uint64(n)
	s.mu.Unlock()
}

// Failed counts n alerts that left the queue and that nobody took.
func (s *Source) Failed(r FailReason, n int) {
	s.mu.Lock()
	s.failed[r] += uint64(n)
	s.mu.Unlock()
}

// SetState says how the source is and why. It reports whether that is news, so that
// the caller logs a change once. StateLossy is left to SetLossy.
func (s *Source) SetState(state State, reason string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == state && s.reason == reason {
		return false
	}
	s.state, s.reason, s.since = state, reason, time.Now()
	return true
}

// SetLossy says that the source is losing events and how, or with an empty reason
// that it no longer is. A source that failed or ended stays that.
func (s *Source) SetLossy(reason string) {
	s.mu.Lock()
	if (s.lossy == "") != (reason == "") {
		s.since = time.Now()
	}
	s.lossy = reason
	s.mu.Unlock()
}

// State returns how the source is, why, and since when.
func (s *Source) State() (State, string, time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lossy != "" && (s.state == StateOK || s.state == StateDegraded) {
		reason := s.lossy
		if s.reason != "" {
			reason += "; " + s.reason
		}
		return StateLossy, reason, s.since
	}
	return s.state, s.reason, s.since
}

// KernelCounters is what the kernel side of a source counted since it was loaded,
// summed over CPUs.
type KernelCounters struct {
	// Produced counts wanted events that were handed over or dropped.
	Produced [event.MaxTypes]uint64
	// Dropped counts by event type, lane and reason; reasons of user space stay 0.
	Dropped [event.MaxTypes][event.NumLanes][NumDropReasons]uint64
	// Losers says whose events were dropped, as far as that is known.
	Losers   []ContainerCount
	Syscalls []Syscall
	Programs []Program
	Rings    []Ring
}

// ContainerCount counts events of one container, of the host or of others.
type ContainerCount struct {
	Container string // its ID, Host or Other
	Count     uint64
}

// Syscall counts the calls of one system call, captured or not.
type Syscall struct {
	ABI   string // x86_64, arm64, i386, x32
	Name  string
	Count uint64
}

// Program is one kernel program.
type Program struct {
	Name string
	Runs uint64
	Time time.Duration // 0 where the kernel's statistics are off
}

// Ring is one ring buffer.
type Ring struct {
	Shard      int
	Lane       event.Lane
	Used, Size int // bytes
}

// KernelReader fills c, whose slices it may reuse. It is called by one goroutine at a
// time.
type KernelReader func(c *KernelCounters) error

// SetKernelReader sets how the kernel side is read. The ledger reads it when it is
// asked itself, after the workers, so that no event is seen delivered before it is
// seen produced. With nil the counters are read once more and kept: call it after the
// programs were detached and before the maps are closed.
func (s *Source) SetKernelReader(read KernelReader) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	if read == nil && s.read != nil {
		err = s.read(&s.kernel)
	}
	s.read = read
	return err
}

// QueueStats are the counters of an alert queue, taken in one moment:
// Accepted = Items + Taken.
type QueueStats struct {
	Items, ItemLimit int
	Bytes, ByteLimit int64
	Accepted, Taken  uint64
	Refused          [NumLostReasons]uint64
}

// SetQueue sets how the alert queue of the source is read.
func (s *Source) SetQueue(stats func() QueueStats) {
	s.mu.Lock()
	s.queue = stats
	s.mu.Unlock()
}

// FoldStats are the counters of what folds repeated alerts, taken in one moment. All
// but Keys, Records and Evicted are of matches.
type FoldStats struct {
	Keys, KeyLimit int    // alerts whose repeats are counted at the moment
	Records        uint64 // records that the alert queue took
	Reported       uint64 // in those records
	Open           uint64 // to be reported at the end of their window
	Evicted        uint64 // windows that ended early, to make room
	Unreported     [NumLostReasons]uint64
}

// SetFold sets how the folding of the source is read.
func (s *Source) SetFold(stats func() FoldStats) {
	s.mu.Lock()
	s.fold = stats
	s.mu.Unlock()
}

// CountStats describe what counts matches over time, taken in one moment.
type CountStats struct {
	Keys, KeyLimit int    // combinations of a rule and values that are counted
	Evicted        uint64 // that were forgotten within their window, to make room
}

// SetCount sets how the counting of the source is read.
func (s *Source) SetCount(stats func() CountStats) {
	s.mu.Lock()
	s.count = stats
	s.mu.Unlock()
}

// SetRedacted sets how it is read in how many records something was redacted.
func (s *Source) SetRedacted(records func() uint64) {
	s.mu.Lock()
	s.redacted = records
	s.mu.Unlock()
}

// SetProcesses sets how the size of the process table is read.
func (s *Source) SetProcesses(size func() int) {
	s.mu.Lock()
	s.processes = size
	s.mu.Unlock()
}
