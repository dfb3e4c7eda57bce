package ledger

import (
	"errors"
	"slices"
	"sync"
)

// Book holds the accounts of several sources: those of one component, or of a whole
// process. It is safe for concurrent use; the zero value is empty.
type Book struct {
	mu      sync.Mutex
	sources []*Source
	rules   func() RuleStats
	host    func() HostStats
}

// Keeper is a host of components that keeps one book for the whole process. A
// component adds its sources to the book of its host, if it is one, beside its own.
type Keeper interface{ Book() *Book }

// HostStats describe what the process does besides its sources.
type HostStats struct {
	Outlets []OutletStats
	Sources []SourceStats
}

// OutletStats describe the queue before one exporter. Counts are of alerts or of points
// of metrics.
type OutletStats struct {
	Exporter, Signal string
	Items            int // that wait
	Bytes            int64
	Taken            uint64
	Failed           uint64
	Refused          uint64
}

// SourceStats are what the host knows of a source, also of one that has no account: it
// failed before it opened one, or its account was closed when it failed.
type SourceStats struct {
	Source   string
	State    State
	Restarts uint64 // times that it was started again after it failed
}

// RuleStats describe the rule set in use.
type RuleStats struct {
	Loaded         int
	Generation     uint64
	Reloads        uint64
	ReloadFailures uint64
	Stale          bool // the last reload failed
}

// Add puts s into the book. The function it returns takes it out.
func (b *Book) Add(s *Source) (remove func()) {
	b.mu.Lock()
	b.sources = append(b.sources, s)
	b.mu.Unlock()
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		if i := slices.Index(b.sources, s); i >= 0 {
			b.sources = slices.Delete(b.sources, i, i+1)
		}
	}
}

// Sources returns the accounts in the order they were added.
func (b *Book) Sources() []*Source {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.sources)
}

// SetRules sets how the rule set is read. Only the owner of the rule set calls it, so
// that a reload is counted once.
func (b *Book) SetRules(stats func() RuleStats) {
	b.mu.Lock()
	b.rules = stats
	b.mu.Unlock()
}

// Rules describes the rule set, if the book belongs to its owner.
func (b *Book) Rules() (RuleStats, bool) {
	b.mu.Lock()
	stats := b.rules
	b.mu.Unlock()
	if stats == nil {
		return RuleStats{}, false
	}
	return stats(), true
}

// SetHost sets how the host is read.
func (b *Book) SetHost(stats func() HostStats) {
	b.mu.Lock()
	b.host = stats
	b.mu.Unlock()
}

// Host describes the host, if there is one of our own.
func (b *Book) Host() HostStats {
	b.mu.Lock()
	stats := b.host
	b.mu.Unlock()
	if stats == nil {
		return HostStats{}
	}
	return stats()
}

// Snapshot reads every account. It reuses dst.
func (b *Book) Snapshot(dst []*Snapshot) []*Snapshot {
	sources := b.Sources()
	for len(dst) < len(sources) {
		dst = append(dst, new(Snapshot))
	}
	dst = dst[:len(sources)]
	for i, s := range sources {
		s.Snapshot(dst[i])
	}
	return dst
}

// Balance returns what does not add up in any account.
func (b *Book) Balance() error {
	var errs []error
	for _, s := range b.Snapshot(nil) {
		errs = append(errs, s.Balance())
	}
	return errors.Join(errs...)
}
