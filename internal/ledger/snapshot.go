package ledger

import (
	"errors"
	"fmt"
	"time"

	"github.com/windhover/windhover/internal/event"
)

// Snapshot is the account of one source at one moment. It is reused by
// Source.Snapshot: reading a source again and again does not allocate.
type Snapshot struct {
	Name, Type string
	State      State
	Reason     string
	Since      time.Time

	// Lanes and DropReasons are those that the source can have.
	Lanes       []event.Lane
	DropReasons []DropReason

	Produced  [event.MaxTypes]uint64
	Delivered [event.MaxTypes]uint64
	Evaluated [event.MaxTypes]uint64
	Skipped   [event.MaxTypes][NumSkipReasons]uint64
	Dropped   [event.MaxTypes][event.NumLanes][NumDropReasons]uint64

	Rules []RuleCount
	// Costs are the rules that took most time, and Other for the rest.
	Costs      []RuleCost
	Lost       [NumLostReasons]uint64
	Folded     uint64
	Below      uint64
	HasFold    bool
	Fold       FoldStats
	HasCount   bool
	Count      CountStats
	Redacted   uint64
	Notices    uint64
	NoticeLost [NumLostReasons]uint64

	HasQueue     bool
	Queue        QueueStats
	Acknowledged uint64
	Failed       [NumFailReasons]uint64

	Lag          time.Duration
	HasProcesses bool
	Processes    int

	HasKernel bool
	KernelErr error // why the kernel side could not be read; its last counters are used
	// Losers are all containers whose events the kernel dropped; Containers the ones of
	// them that lost first and most, and Host and Other.
	Losers, Containers []ContainerCount
	// Filtered counts the system calls that made no event.
	Filtered uint64
	Syscalls []Syscall
	Programs []Program
	Rings    []Ring

	sum counts
}

// RuleCount is what became of the matches of one rule.
type RuleCount struct {
	RuleKey
	Matched, Alerts uint64
}

// RuleCost is what a rule took, as far as it was measured: an estimate.
type RuleCost struct {
	Name        string
	Time        time.Duration
	Evaluations uint64
}

// Snapshot reads the account into dst.
func (s *Source) Snapshot(dst *Snapshot) {
	state, reason, since := s.State()

	s.mu.Lock()
	defer s.mu.Unlock()

	// The order matters: what comes later on the way is read earlier, so that a
	// difference is what is under way and never negative.
	acked, failed := s.acked, s.failed
	sum := &dst.sum
	rules := sum.rules[:0]
	clear(sum.rules[:cap(sum.rules)])
	*sum = counts{rules: rules}
	sum.add(&s.retired)
	for _, w := range s.workers {
		w.mu.Lock()
		sum.add(&w.published)
		w.mu.Unlock()
	}
	notices, noticeLost := s.notices, s.noticeLost

	dst.Name, dst.Type = s.name, s.typ
	dst.State, dst.Reason, dst.Since = state, reason, since
	dst.Lanes, dst.DropReasons = s.lanes, s.reasons
	dst.Produced, dst.Delivered, dst.Evaluated = sum.produced, sum.delivered, sum.evaluated
	dst.Skipped, dst.Lost, dst.Folded, dst.Below, dst.Lag = sum.skipped, sum.lost, sum.folded, sum.below, sum.lag
	for t := range sum.dropped {
		dst.Dropped[t] = sum.dropped[t]
	}
	dst.Rules = dst.Rules[:0]
	for i, k := range s.rules {
		c := RuleCount{RuleKey: k}
		if i < len(sum.rules) {
			c.Matched, c.Alerts = sum.rules[i].matched, sum.rules[i].alerts
		}
		dst.Rules = append(dst.Rules, c)
	}
	s.rankRules(dst)
	dst.Notices, dst.NoticeLost = notices, noticeLost
	dst.Acknowledged, dst.Failed = acked, failed
	dst.HasFold = s.fold != nil
	if s.fold != nil {
		dst.Fold = s.fold()
	}
	dst.HasCount = s.count != nil
	if s.count != nil {
		dst.Count = s.count()
	}
	if s.redacted != nil {
		dst.Redacted = s.redacted()
	}
	dst.HasQueue = s.queue != nil
	if s.queue != nil {
		dst.Queue = s.queue()
	}
	dst.HasProcesses = s.processes != nil
	if s.processes != nil {
		dst.Processes = s.processes()
	}

	dst.HasKernel = s.typ == KernelSource
	dst.KernelErr = nil
	if s.read != nil {
		dst.KernelErr = s.read(&s.kernel)
	}
	for t := range s.kernel.Produced {
		dst.Produced[t] += s.kernel.Produced[t]
		for lane := range s.kernel.Dropped[t] {
			for r, n := range s.kernel.Dropped[t][lane] {
				dst.Dropped[t][lane][r] += n
			}
		}
	}
	if dst.HasKernel {
		s.rankContainers(dst)
		s.countFiltered(dst)
	}
	dst.Syscalls = append(dst.Syscalls[:0], s.kernel.Syscalls...)
	dst.Programs = append(dst.Programs[:0], s.kernel.Programs...)
	dst.Rings = append(dst.Rings[:0], s.kernel.Rings...)
}

// rank adds to the ranked amount of a name.
func (s *Source) rank(name string, a amount) {
	i, ok := s.rankedAt[name]
	if !ok {
		i = len(s.ranked)
		s.rankedAt[name] = i
		s.ranked = append(s.ranked, named{name: name})
	}
	s.ranked[i].rank += a.rank
	s.ranked[i].also += a.also
}

func (s *Source) clearRanks() {
	s.ranked = s.ranked[:0]
	clear(s.rankedAt)
}

// rankRules sets dst.Costs. A rule that had another priority before is one rule.
func (s *Source) rankRules(dst *Snapshot) {
	s.clearRanks()
	for i := range dst.sum.rules {
		if c := &dst.sum.rules[i]; c.evaluations > 0 {
			s.rank(s.rules[i].Name, amount{c.time, c.evaluations})
		}
	}
	l := &s.costly
	l.look(s.ranked)
	dst.Costs = dst.Costs[:0]
	for i := range s.ranked {
		if r := &s.ranked[i]; l.chosen[r.name] {
			dst.Costs = append(dst.Costs, RuleCost{r.name, time.Duration(r.rank), r.also})
		}
	}
	dst.Costs = append(dst.Costs, RuleCost{Other, time.Duration(l.other.rank), l.other.also})
}

// rankContainers sets dst.Losers and dst.Containers.
func (s *Source) rankContainers(dst *Snapshot) {
	s.clearRanks()
	var host, unknown uint64
	for _, c := range s.kernel.Losers {
		switch c.Container {
		case Host:
			host += c.Count
		case Other:
			unknown += c.Count
		default:
			s.rank(c.Container, amount{rank: c.Count})
		}
	}
	l := &s.containers
	l.look(s.ranked)
	dst.Losers = append(dst.Losers[:0], ContainerCount{Host, host}, ContainerCount{Other, unknown})
	dst.Containers = append(dst.Containers[:0], ContainerCount{Host, host}, ContainerCount{Other, unknown + l.other.rank})
	for i := range s.ranked {
		c := ContainerCount{s.ranked[i].name, s.ranked[i].rank}
		dst.Losers = append(dst.Losers, c)
		if l.chosen[c.Container] {
			dst.Containers = append(dst.Containers, c)
		}
	}
}

// countFiltered sets dst.Filtered. A call is counted before its event is, so the
// difference may go back by what is under way: then the count stands still.
func (s *Source) countFiltered(dst *Snapshot) {
	var calls, events uint64
	for i := range s.kernel.Syscalls {
		calls += s.kernel.Syscalls[i].Count
	}
	for t, n := range s.kernel.Produced {
		if t := event.Type(t); t != event.Proc && t != event.ProcExit {
			events += n
		}
	}
	if calls > events {
		s.filtered = max(s.filtered, calls-events)
	}
	dst.Filtered = s.filtered
}

// DroppedAll returns the number of dropped events of type t.
func (s *Snapshot) DroppedAll(t event.Type) uint64 {
	var n uint64
	for lane := range s.Dropped[t] {
		for _, c := range s.Dropped[t][lane] {
			n += c
		}
	}
	return n
}

// DroppedBy returns the number of events dropped in a lane for a reason.
func (s *Snapshot) DroppedBy(l event.Lane, r DropReason) uint64 {
	var n uint64
	for t := range s.Dropped {
		n += s.Dropped[t][l][r]
	}
	return n
}

// InFlight returns how many events were produced and neither dropped nor delivered
// yet: zero at rest.
func (s *Snapshot) InFlight() uint64 {
	var n uint64
	for t := range s.Produced {
		if gone := s.DroppedAll(event.Type(t)) + s.Delivered[t]; s.Produced[t] > gone {
			n += s.Produced[t] - gone
		}
	}
	return n
}

// Exporting returns how many alerts left the queue and are not answered yet: zero at
// rest.
func (s *Snapshot) Exporting() uint64 {
	done := s.Acknowledged
	for _, n := range s.Failed {
		done += n
	}
	return s.Queue.Taken - min(done, s.Queue.Taken)
}

// Matched returns the sums over all rules.
func (s *Snapshot) Matched() (matched, alerts uint64) {
	for i := range s.Rules {
		matched += s.Rules[i].Matched
		alerts += s.Rules[i].Alerts
	}
	return matched, alerts
}

// AllNotices returns the number of alert records that no match made alone.
func (s *Snapshot) AllNotices() uint64 { return s.Notices + s.Fold.Records }

// known returns how many matches were folded.
func (f *FoldStats) known() uint64 {
	n := f.Reported + f.Open
	for _, u := range f.Unreported {
		n += u
	}
	return n
}

// Balance returns what does not add up, with what may be under way left open; nil if
// the account balances. AtRest is the stricter one.
func (s *Snapshot) Balance() error {
	var errs []error
	wrong := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("balance "+s.Name+": "+format, args...))
	}

	for t := range s.Produced {
		name := event.Type(t)
		if gone := s.DroppedAll(name) + s.Delivered[t]; gone > s.Produced[t] {
			wrong("%s: dropped %d and delivered %d are more than produced %d", name, s.DroppedAll(name), s.Delivered[t], s.Produced[t])
		}
		var skipped uint64
		for _, n := range s.Skipped[t] {
			skipped += n
		}
		if s.Evaluated[t]+skipped != s.Delivered[t] {
			wrong("%s: evaluated %d and skipped %d are not delivered %d", name, s.Evaluated[t], skipped, s.Delivered[t])
		}
	}
	matched, alerts := s.Matched()
	var lost uint64
	for _, n := range s.Lost {
		lost += n
	}
	if alerts+s.Folded+s.Below+lost != matched {
		wrong("alerts %d, folded %d, below a threshold %d and lost %d are not matched %d", alerts, s.Folded, s.Below, lost, matched)
	}
	if known := s.Fold.known(); s.Folded > known {
		wrong("folded %d are more than what is reported, open or unreported, %d", s.Folded, known)
	}
	if s.HasQueue {
		q := &s.Queue
		if uint64(q.Items)+q.Taken != q.Accepted {
			wrong("queued %d and taken %d are not accepted %d", q.Items, q.Taken, q.Accepted)
		}
		if n := s.AllNotices(); alerts+n > q.Accepted {
			wrong("alerts %d and notices %d are more than the queue accepted, %d", alerts, n, q.Accepted)
		}
		done := s.Acknowledged
		for _, n := range s.Failed {
			done += n
		}
		if done > q.Taken {
			wrong("acknowledged and failed %d are more than taken %d", done, q.Taken)
		}
	}
	return errors.Join(errs...)
}

// AtRest returns what does not add up if nothing is under way: after a source ended,
// its workers are closed and the queue is drained.
func (s *Snapshot) AtRest() error {
	errs := []error{s.Balance()}
	if n := s.InFlight(); n != 0 {
		errs = append(errs, fmt.Errorf("balance %s: %d events are in flight", s.Name, n))
	}
	if s.HasQueue {
		if n := s.Exporting(); n != 0 {
			errs = append(errs, fmt.Errorf("balance %s: %d alerts are not answered", s.Name, n))
		}
		n := s.AllNotices()
		if _, alerts := s.Matched(); alerts+n != s.Queue.Accepted {
			errs = append(errs, fmt.Errorf("balance %s: alerts %d and notices %d are not what the queue accepted, %d", s.Name, alerts, n, s.Queue.Accepted))
		}
	}
	if known := s.Fold.known(); s.Folded != known || s.Fold.Open != 0 {
		errs = append(errs, fmt.Errorf("balance %s: folded %d are not what is reported or unreported, %d, with %d open", s.Name, s.Folded, known, s.Fold.Open))
	}
	return errors.Join(errs...)
}
