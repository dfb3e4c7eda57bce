// Package state knows the processes of a host: what runs, since when, below which
// parents, in which container, under which user names.
//
// Processes announce themselves: the kernel side sends a full snapshot of a process
// before its first event, so the table never has to guess. It is split as the rings
// are: each Shard belongs to the goroutine that reads that shard, which looks up its
// own processes without a lock. Start with Table and Shard; scan_linux.go reads what ran
// before Windhover, names.go the names of users and groups.
package state

import (
	"sync"
	"sync/atomic"

	"github.com/windhover/windhover/internal/event"
)

// Limits of a Table by default.
const (
	DefaultMaxProcesses = 32768
	DefaultMaxBytes     = 32 << 20
)

// maxDepth bounds how many exited ancestors a process keeps reachable.
const maxDepth = 64

// tick is the resolution of start times in /proc/PID/stat. USER_HZ is 100 on every
// architecture that Windhover runs on.
const tick = 10_000_000

// Settings of a Table.
type Settings struct {
	Shards       int
	MaxProcesses int   // 0: DefaultMaxProcesses
	MaxBytes     int64 // estimated bytes of all images; 0: DefaultMaxBytes
	Names        *NameReader
	Containers   Containers // may be nil: nobody asks engines
}

// Containers knows what engines tell of containers. Implementations are safe for
// concurrent use, and neither block nor keep id.
type Containers interface {
	// Ref returns what is known, or will be, of the container with an ID.
	Ref(id []byte) *event.ContainerRef
}

// Table holds the processes of a host.
type Table struct {
	shards   []*Shard
	names    *NameReader
	engines  Containers
	maxProcs int // per shard, and of those that wait
	maxBytes int64

	// waiting holds processes that no shard has met yet: ancestors known by name
	// from somebody's lineage, and what Scan found. The shard that meets one takes
	// it over, so that there is one Process per process. mu is locked before the
	// lock of a shard.
	mu         sync.Mutex
	waiting    map[key]entry
	generation atomic.Uint64 // changes when something is added to waiting

	lost      chan int32 // processes to look up in /proc
	evicted   atomic.Uint64
	numWait   atomic.Int64
	waitBytes atomic.Int64
	scans     scanCounters
}

// key identifies a process with the resolution of /proc, which is enough: no PID is
// used twice within a tick.
type key struct {
	pid   int32
	ticks int64
}

func keyOf(pid int32, start int64) key { return key{pid, start / tick} }

type entry struct {
	p       *event.Process
	bytes   int64
	named   bool // only the name is known
	scanned bool // read from procfs
}

// NewTable returns an empty table.
func NewTable(s Settings) *Table {
	if s.MaxProcesses == 0 {
		s.MaxProcesses = DefaultMaxProcesses
	}
	if s.MaxBytes == 0 {
		s.MaxBytes = DefaultMaxBytes
	}
	n := max(1, s.Shards)
	t := &Table{
		names:    s.Names,
		engines:  s.Containers,
		maxProcs: max(1, s.MaxProcesses/(n+1)),
		maxBytes: max(1, s.MaxBytes/int64(n+1)),
		waiting:  make(map[key]entry),
		lost:     make(chan int32, 256),
	}
	for range n {
		t.shards = append(t.shards, &Shard{
			table:  t,
			procs:  make(map[key]entry),
			missed: make(map[key]miss),
			texts:  make(map[string][]byte),
		})
	}
	return t
}

// Shard returns shard i. One goroutine at a time may use it.
func (t *Table) Shard(i int) *Shard { return t.shards[i] }

// Stats says how full a table is and what it could not keep or read.
type Stats struct {
	Processes  int
	Bytes      int64 // estimate
	Evicted    uint64
	Scanned    uint64 // processes read from /proc
	ScanFailed uint64 // processes that could not be read from /proc
	NameFailed uint64 // user or group files that could not be read
}

// Stats returns the counters of t. Any goroutine may call it.
func (t *Table) Stats() Stats {
	s := Stats{
		Processes:  int(t.numWait.Load()),
		Bytes:      t.waitBytes.Load(),
		Evicted:    t.evicted.Load(),
		Scanned:    t.scans.read.Load(),
		ScanFailed: t.scans.failed.Load(),
	}
	for _, sh := range t.shards {
		s.Processes += int(sh.num.Load())
		s.Bytes += sh.bytes.Load()
	}
	if t.names != nil {
		s.NameFailed = t.names.failed.Load()
	}
	return s
}

// Find returns the process, whichever shard it belongs to, or nil. Any goroutine may
// call it; it takes locks.
func (t *Table) Find(pid int32, start int64) *event.Process {
	k := keyOf(pid, start)
	if p := t.find(k); p != nil {
		return p
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.find(k); p != nil {
		return p
	}
	return t.waiting[k].p
}

// find returns the process from the shard that has it, or nil.
func (t *Table) find(k key) *event.Process {
	for _, s := range t.shards {
		s.mu.RLock()
		e, ok := s.procs[k]
		s.mu.RUnlock()
		if ok {
			return e.p
		}
	}
	return nil
}

// ancestor returns the process that a is about, and makes one that only has a name
// if there is none.
func (t *Table) ancestor(a Ancestor) *event.Process {
	k := keyOf(a.PID, a.Start)
	if p := t.find(k); p != nil {
		return p
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if e, ok := t.waiting[k]; ok {
		return e.p
	}
	if p := t.find(k); p != nil { // its shard took it over in between
		return p
	}
	p := &event.Process{PID: a.PID, Start: a.Start}
	i := &event.Image{Name: append([]byte(nil), a.Name...)}
	p.SetImage(i)
	t.putWaiting(k, entry{p: p, bytes: size(i), named: true})
	return p
}

// putWaiting adds e; t.mu is held.
func (t *Table) putWaiting(k key, e entry) {
	if old, ok := t.waiting[k]; ok {
		t.waitBytes.Add(-old.bytes)
		t.numWait.Add(-1)
	}
	t.waiting[k] = e
	t.waitBytes.Add(e.bytes)
	t.numWait.Add(1)
	t.generation.Add(1)
	for victim := range t.waiting {
		if len(t.waiting) <= t.maxProcs && t.waitBytes.Load() <= t.maxBytes {
			break
		}
		if victim != k {
			t.dropWaiting(victim)
			t.evicted.Add(1)
		}
	}
}

// dropWaiting removes k; t.mu is held.
func (t *Table) dropWaiting(k key) {
	if e, ok := t.waiting[k]; ok {
		delete(t.waiting, k)
		t.waitBytes.Add(-e.bytes)
		t.numWait.Add(-1)
	}
}
