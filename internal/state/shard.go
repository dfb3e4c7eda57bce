package state

import (
	"bytes"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/windhover/windhover/internal/event"
)

// Bounds of what one shard remembers beside its processes.
const (
	maxTexts   = 4096
	maxTextLen = 256
	maxMissed  = 1024
)

// graceful is how many exited processes a shard keeps before it frees the oldest, for
// events that arrive late.
const graceful = 32

// Shard holds the processes whose events arrive in one shard. Its methods belong to
// the goroutine that reads the shard.
type Shard struct {
	table *Table

	// procs is written by the owner under mu. The owner reads it without mu, others
	// under it.
	mu    sync.RWMutex
	procs map[key]entry
	num   atomic.Int64
	bytes atomic.Int64

	lastPID   int32 // of last
	lastStart int64
	last      *event.Process

	exited  [graceful]key
	exits   int
	missed  map[key]miss
	texts   map[string][]byte // texts that many images share
	removal removals
}

// miss is a look-up in vain, at a generation of Table.waiting.
type miss struct {
	generation uint64
	p          *event.Process // known by name only, or nil
}

// removals hands processes that were found to be gone to the owner of the shard.
type removals struct {
	pending atomic.Bool
	mu      sync.Mutex
	keys    []key
}

// Lookup returns the process, or nil if it is not known. Of two look-ups for the same
// process in a row, the second costs one comparison.
func (s *Shard) Lookup(pid int32, start int64) *event.Process {
	if pid == s.lastPID && start == s.lastStart {
		return s.last
	}
	k := keyOf(pid, start)
	p := s.procs[k].p
	if p == nil {
		if p = s.take(k); p == nil {
			return nil
		}
	}
	s.lastPID, s.lastStart, s.last = pid, start, p
	return p
}

// take looks for a process that waits. If there is none, or only its name is known, it
// asks for a look at /proc: the announcement was lost, or it was evicted.
func (s *Shard) take(k key) *event.Process {
	t := s.table
	g := t.generation.Load()
	if m, ok := s.missed[k]; ok && m.generation == g {
		return m.p
	}
	t.mu.Lock()
	e, ok := t.waiting[k]
	if ok && !e.named {
		t.dropWaiting(k)
		s.put(k, e)
	}
	t.mu.Unlock()
	if ok && !e.named {
		return e.p
	}
	if len(s.missed) >= maxMissed {
		clear(s.missed)
	}
	s.missed[k] = miss{g, e.p}
	select {
	case t.lost <- k.pid:
	default:
	}
	return e.p
}

// Announce takes over what snap says about its process. It returns the process and
// what it ran before, nil if that is not known; or no process if snap names none.
func (s *Shard) Announce(snap *Snapshot) (p *event.Process, before *event.Image) {
	if snap.PID <= 0 {
		return nil, nil
	}
	k := keyOf(snap.PID, snap.Start)
	e, known := s.procs[k]
	parent := s.parentOf(e.p, snap)
	if !known {
		// Under the lock of the table nobody can make the same process a second time.
		t := s.table
		t.mu.Lock()
		e, known = t.waiting[k]
		if known {
			t.dropWaiting(k)
		} else {
			e.p = &event.Process{PID: snap.PID, Start: snap.Start}
		}
		s.put(k, e)
		t.mu.Unlock()
	}
	if known && !e.named {
		before = e.p.Image()
	}
	image, n := s.image(snap, before, parent)
	e.p.SetImage(image)
	e.named, e.scanned = false, false
	e.bytes = n
	if parent != nil && parent != e.p {
		e.p.SetParent(parent)
		cut(e.p)
	}
	s.put(k, e)
	s.lastPID, s.lastStart, s.last = snap.PID, snap.Start, e.p
	return e.p, before
}

// AnnounceOther takes over what snap says about a process whose events arrive in
// another shard: the child of a fork. If anything newer is known of it, that stays.
func (s *Shard) AnnounceOther(snap *Snapshot) {
	if snap.PID <= 0 {
		return
	}
	t, k := s.table, keyOf(snap.PID, snap.Start)
	parent := s.parentOf(nil, snap)
	image, n := s.image(snap, nil, parent)

	t.mu.Lock()
	defer t.mu.Unlock()
	e, ok := t.waiting[k]
	if ok && !e.named || t.find(k) != nil {
		return
	}
	if !ok {
		e.p = &event.Process{PID: snap.PID, Start: snap.Start}
	}
	e.p.SetImage(image)
	if parent != nil && parent != e.p {
		e.p.SetParent(parent)
		cut(e.p)
	}
	t.putWaiting(k, entry{p: e.p, bytes: n})
}

// Exit marks the process as gone at boot time at. It stays known until some more
// processes have exited.
func (s *Shard) Exit(pid int32, start, at int64) {
	k := keyOf(pid, start)
	if e, ok := s.procs[k]; ok {
		e.p.SetExited(at)
	} else {
		s.table.mu.Lock()
		s.table.dropWaiting(k)
		s.table.mu.Unlock()
	}
	slot := &s.exited[s.exits%graceful]
	if *slot != (key{}) {
		s.remove(*slot)
	}
	*slot = k
	s.exits++
}

// Idle frees what was found to be gone. The owner calls it when it has nothing else
// to do.
func (s *Shard) Idle() {
	if !s.removal.pending.Load() {
		return
	}
	s.removal.mu.Lock()
	keys := s.removal.keys
	s.removal.keys = nil
	s.removal.pending.Store(false)
	s.removal.mu.Unlock()
	for _, k := range keys {
		s.remove(k)
	}
}

// put stores e and evicts others if there is no room.
func (s *Shard) put(k key, e entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, ok := s.procs[k]
	if !ok {
		s.num.Add(1)
	}
	s.procs[k] = e
	s.bytes.Add(e.bytes - old.bytes)
	if len(s.procs) <= s.table.maxProcs && s.bytes.Load() <= s.table.maxBytes {
		return
	}
	for victim := range s.procs {
		if len(s.procs) <= s.table.maxProcs && s.bytes.Load() <= s.table.maxBytes {
			break
		}
		if victim != k {
			s.drop(victim)
			s.table.evicted.Add(1)
		}
	}
}

// remove frees a process that is gone. Its children keep it reachable, but not its
// environment.
func (s *Shard) remove(k key) {
	e, ok := s.procs[k]
	if !ok {
		return
	}
	s.mu.Lock()
	s.drop(k)
	s.mu.Unlock()
	if i := e.p.Image(); i.Env != nil {
		lean := *i
		lean.Env = nil
		e.p.SetImage(&lean)
	}
}

// drop forgets k; mu is held.
func (s *Shard) drop(k key) {
	e, ok := s.procs[k]
	if !ok {
		return
	}
	delete(s.procs, k)
	s.num.Add(-1)
	s.bytes.Add(-e.bytes)
	if s.last == e.p {
		s.lastPID, s.lastStart, s.last = 0, 0, nil
	}
}

// parentOf returns the parent that snap names, and links the ancestors above it as
// far as they are not linked. p is the process that snap describes, if it is known.
func (s *Shard) parentOf(p *event.Process, snap *Snapshot) *event.Process {
	if snap.Image.PPID <= 0 {
		return nil
	}
	want := keyOf(snap.Image.PPID, snap.ParentStart)
	if p != nil {
		if q := p.Parent(); q != nil && keyOf(q.PID, q.Start) == want {
			return q
		}
	}
	lineage := snap.Lineage()
	if len(lineage) == 0 || keyOf(lineage[0].PID, lineage[0].Start) != want {
		if e, ok := s.procs[want]; ok {
			return e.p
		}
		return s.table.find(want)
	}
	var parent, below *event.Process
	for _, a := range lineage {
		above := s.procs[keyOf(a.PID, a.Start)].p
		if above == nil {
			above = s.table.ancestor(a)
		}
		if below == nil {
			parent = above
		} else if below != above && older(above, below) {
			below.SetParent(above)
		}
		if above.Parent() != nil {
			break
		}
		below = above
	}
	return parent
}

// older keeps a lineage that makes no sense from closing a circle.
func older(a, b *event.Process) bool { return a.Start/tick <= b.Start/tick && a.PID != b.PID }

// cut ends the chain of parents above p at an exited one that is maxDepth away, so
// that a program that forks and exits for ever does not keep all its past alive.
func cut(p *event.Process) {
	for range maxDepth {
		if p = p.Parent(); p == nil {
			return
		}
	}
	if p.Exited() != 0 {
		p.SetParent(nil)
	}
}

// image makes an owned image of snap and says how many bytes it takes. What equals
// the image before, or the parent's, is shared with it.
func (s *Shard) image(snap *Snapshot, before *event.Image, parent *event.Process) (*event.Image, int64) {
	i := new(event.Image)
	*i = snap.Image
	i.Name = s.text(snap.Name)
	i.ExePath = s.text(snap.ExePath)
	i.CWD = s.text(snap.CWD)
	if n := len(snap.CWD); n > 0 && snap.CWD[n-1] != '/' {
		i.CWD = s.text(append(snap.CWD[:n:n], '/'))
	}
	cgroup := snap.Cgroup
	if len(cgroup) <= 1 && len(snap.CgroupV1) > 0 {
		cgroup = snap.CgroupV1
	}
	i.Cgroup = s.text(cgroup)
	full, id := Container(snap.Cgroup)
	if full == nil {
		full, id = Container(snap.CgroupV1)
	}
	i.ContainerFullID = s.text(full)
	i.ContainerID = i.ContainerFullID[:len(id)]
	if full != nil {
		i.PodUID = s.text(PodUID(snap.Cgroup))
		if i.PodUID == nil {
			i.PodUID = s.text(PodUID(snap.CgroupV1))
		}
		i.Container = s.container(i.ContainerFullID, before, parent)
	}
	if before != nil && i.ExecTime == 0 {
		i.ExecTime = before.ExecTime
	}
	if s.table.names != nil {
		i.Names = s.table.names.Of(i.MntNS, snap.PID, i.PPID)
	}

	alike := [2]*event.Image{before}
	if parent != nil {
		alike[1] = parent.Image()
	}
	args, env := true, true // still to be copied
	for _, a := range alike {
		if a == nil {
			continue
		}
		if args && sameList(snap.Args, a.Exe, a.Args) {
			args = false
			i.Exe, i.Args, i.ArgLine = a.Exe, a.Args, a.ArgLine
			if bytes.Equal(i.Name, a.Name) {
				i.Cmdline = a.Cmdline
			}
		}
		if env && len(a.Env) > 0 && sameList(snap.Env, a.Env[0], a.Env[1:]) {
			env = false
			i.Env = a.Env
		}
	}
	shared := listSize(i)
	if args {
		if list := split(snap.Args); len(list) > 0 {
			i.Exe, i.Args = list[0], list[1:]
		}
	}
	if i.Cmdline == nil {
		i.Cmdline, i.ArgLine = join(i.Name, i.Args)
	}
	if env {
		i.Env = split(snap.Env)
	}
	return i, size(i) - shared
}

// text returns an owned copy of b, the same for the same text as long as the shard
// remembers it, or nil if b is empty.
func (s *Shard) text(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	if len(b) > maxTextLen {
		return bytes.Clone(b)
	}
	if t, ok := s.texts[string(b)]; ok {
		return t
	}
	if len(s.texts) >= maxTexts {
		clear(s.texts)
	}
	t := bytes.Clone(b)
	s.texts[string(t)] = t
	return t
}

// sameList reports whether the strings that b holds are first and rest.
func sameList(b, first []byte, rest [][]byte) bool {
	if len(b) == 0 {
		return false
	}
	for i := -1; ; i++ {
		want := first
		if i >= 0 {
			want = rest[i]
		}
		if len(b) < len(want) || string(b[:len(want)]) != string(want) {
			return false
		}
		b = b[len(want):]
		switch {
		case i == len(rest)-1:
			return len(b) == 0
		case len(b) == 0 || b[0] != 0:
			return false
		}
		b = b[1:]
	}
}

// split returns an owned copy of the strings of b, which NULs separate.
func split(b []byte) [][]byte {
	if len(b) == 0 {
		return nil
	}
	b = bytes.Clone(b)
	list := make([][]byte, 0, bytes.Count(b, []byte{0})+1)
	for {
		i := bytes.IndexByte(b, 0)
		if i < 0 {
			return append(list, b)
		}
		list = append(list, b[:i:i])
		b = b[i+1:]
	}
}

// join returns name and args joined by spaces, and the part of it that is args.
func join(name []byte, args [][]byte) (line, argLine []byte) {
	if len(args) == 0 {
		return name, nil
	}
	n := len(name)
	for _, a := range args {
		n += 1 + len(a)
	}
	line = make([]byte, 0, n)
	line = append(line, name...)
	for _, a := range args {
		line = append(line, ' ')
		line = append(line, a...)
	}
	return line, line[len(name)+1:]
}

// size estimates the bytes that a process with image i takes.
func size(i *event.Image) int64 {
	return int64(unsafe.Sizeof(*i)) + int64(unsafe.Sizeof(event.Process{})) + listSize(i) +
		int64(len(i.Name)+len(i.ExePath)+len(i.CWD)+len(i.Cgroup)+len(i.ContainerFullID)+len(i.PodUID))
}

// listSize estimates the bytes of what images share with each other.
func listSize(i *event.Image) int64 {
	const slice = int64(unsafe.Sizeof([]byte(nil)))
	n := int64(len(i.Cmdline) + len(i.Exe))
	for _, a := range i.Args {
		n += slice + int64(len(a))
	}
	for _, e := range i.Env {
		n += slice + int64(len(e))
	}
	return n
}

// container returns what leads to the container with an ID: most processes are in the
// one that they, or their parents, were in before.
func (s *Shard) container(id []byte, before *event.Image, parent *event.Process) *event.ContainerRef {
	if s.table.engines == nil {
		return nil
	}
	alike := [2]*event.Image{before}
	if parent != nil {
		alike[1] = parent.Image()
	}
	for _, i := range alike {
		if i != nil && i.Container.Status() == event.ContainerKnown && string(i.ContainerFullID) == string(id) {
			return i.Container
		}
	}
	return s.table.engines.Ref(id)
}
