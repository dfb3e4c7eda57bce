//go:build linux && (amd64 || arm64)

package bpf

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/windhover/windhover/internal/event"
)

// Probe is the loaded kernel side. Its methods are safe for concurrent use, but Close
// must not be called before Run of every shard has returned.
type Probe struct {
	coll     *ebpf.Collection
	shards   []*Shard
	programs []string // names, for statistics

	mu       sync.Mutex
	links    []link.Link
	wanted   map[event.Type]string // program in the table by type
	counters []byte                // struct counters by CPU, mapped
	readers  []byte
	closed   bool
	traces   ebpf.MapID // what trace_slot holds; 0: nothing
	path     string     // of the pin
	losers   map[uint64]*Loser
	lost     uint64 // what was dropped when losers was read
}

// counterWords is struct counters in include/maps.h as 64-bit words.
const (
	producedAt     = NumSlots
	droppedAt      = producedAt + event.MaxTypes
	ownAt          = droppedAt + event.MaxTypes*int(event.NumLanes)*int(NumDropReasons)
	unattributedAt = ownAt + 2
	counterWords   = ownAt + 8
)

// readerSize is the size of struct reader in include/maps.h.
const readerSize = 64

// Load loads the programs and makes the rings. Nothing is attached yet, nothing is
// reported. It returns a *NotSupportedError, *MissingCapabilityError or
// *NoMemoryError where that is the cause.
func Load(c Config) (*Probe, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("configure probe: %w", err)
	}
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return nil, fmt.Errorf("count CPUs: %w", err)
	}
	c = c.withDefaults(cpus)
	if err := capable(); err != nil {
		return nil, err
	}
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		return nil, &NotSupportedError{Feature: "type information (/sys/kernel/btf/vmlinux)", Since: "a kernel built with CONFIG_DEBUG_INFO_BTF=y"}
	}
	if err := supported(kernel); err != nil {
		return nil, err
	}
	spec, err := loadProbe()
	if err != nil {
		return nil, fmt.Errorf("read BPF object: %w", err)
	}
	if err := configure(spec, kernel, c, cpus); err != nil {
		return nil, err
	}
	return load(spec, c)
}

// configure sets constants and sizes of the object.
func configure(spec *ebpf.CollectionSpec, kernel *btf.Spec, c Config, cpus int) error {
	var cast *btf.Func
	hasCast := !c.ProbeRead && kernel.TypeByName("bpf_rdonly_cast", &cast) == nil
	for name, value := range map[string]any{
		probeVarHasCast:      hasCast,
		probeVarNumShards:    uint32(c.Shards),
		probeVarWakeBytes:    uint32(c.WakeBytes),
		probeVarDescriptors:  descriptors(),
		probeVarTraceContext: c.TraceContext != "",
	} {
		if err := spec.Variables[name].Set(value); err != nil {
			return fmt.Errorf("set constant %s: %w", name, err)
		}
	}
	spec.Maps[probeMapCounters].MaxEntries = uint32(cpus)
	spec.Maps[probeMapScratches].MaxEntries = uint32(cpus)
	spec.Maps[probeMapRings].MaxEntries = uint32(c.Shards * int(event.NumLanes))
	spec.Maps[probeMapRings].InnerMap.MaxEntries = uint32(c.BulkSize)
	return nil
}

func load(spec *ebpf.CollectionSpec, c Config) (_ *Probe, err error) {
	p := &Probe{wanted: map[event.Type]string{}, losers: map[uint64]*Loser{}, path: c.TraceContext}
	defer func() {
		if err != nil {
			p.Close()
		}
	}()
	p.coll, err = ebpf.NewCollection(spec)
	if err != nil {
		return nil, explain("programs", err, c)
	}
	for name := range p.coll.Programs {
		p.programs = append(p.programs, name)
	}
	slices.Sort(p.programs)
	if err := p.coll.Maps[probeMapPrograms].Put(uint32(0), p.coll.Programs[probeProgAnnounce]); err != nil {
		return nil, fmt.Errorf("set program %s: %w", probeProgAnnounce, err)
	}
	if p.counters, err = mapArray(p.coll.Maps[probeMapCounters]); err != nil {
		return nil, explain("counters", err, c)
	}
	if p.readers, err = mapArray(p.coll.Maps[probeMapReaders]); err != nil {
		return nil, explain("state of readers", err, c)
	}
	for i := range c.Shards {
		s, err := newShard(p, i, c)
		if err != nil {
			return nil, explain(fmt.Sprintf("shard %d", i), err, c)
		}
		p.shards = append(p.shards, s)
	}
	if !c.ObserveSelf {
		if err := p.markSelf(); err != nil {
			return nil, err
		}
	}
	return p, p.SetWanted(event.TypeSet{})
}

// mapArray maps the values of an array map into memory, readable and writable.
func mapArray(m *ebpf.Map) ([]byte, error) {
	size := int(m.ValueSize()) * int(m.MaxEntries())
	page := os.Getpagesize()
	return unix.Mmap(m.FD(), 0, (size+page-1)&^(page-1), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
}

// markSelf marks the calling process as the one whose events are discarded. The mark
// is set through a descriptor of the process: its ID may be another in the kernel's
// eyes.
func (p *Probe) markSelf() error {
	fd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		return fmt.Errorf("open own process: %w", err)
	}
	defer unix.Close(fd)
	mark := struct{ changed, announced, exited, own uint32 }{own: 1}
	if err := p.coll.Maps[probeMapMarks].Put(int32(fd), unsafe.Slice((*byte)(unsafe.Pointer(&mark)), unsafe.Sizeof(mark))); err != nil {
		return fmt.Errorf("mark own process: %w", err)
	}
	return nil
}

// Attach attaches the programs: from here on samples come in.
func (p *Probe) Attach() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.links) > 0 || p.closed {
		return errors.New("attach probe: already attached or closed")
	}
	// The life of processes first: what a call reports about a process is then never
	// older than what was said of it.
	for _, name := range []string{probeProgExec, probeProgFork, probeProgExited, probeProgDispatch} {
		l, err := link.AttachTracing(link.TracingOptions{Program: p.coll.Programs[name]})
		if err != nil {
			err = fmt.Errorf("attach program %s: %w", name, err)
			return errors.Join(err, p.detach())
		}
		p.links = append(p.links, l)
	}
	return nil
}

// Detach detaches the programs: no sample comes in after it returned. What is in the
// rings stays.
func (p *Probe) Detach() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.detach()
}

func (p *Probe) detach() error {
	var errs []error
	for _, l := range slices.Backward(p.links) {
		if err := l.Close(); err != nil {
			errs = append(errs, fmt.Errorf("detach program: %w", err))
		}
	}
	p.links = nil
	return errors.Join(errs...)
}

// Close detaches the programs and frees everything. Calling it again does nothing.
func (p *Probe) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	errs := []error{p.detach()}
	for _, s := range p.shards {
		errs = append(errs, s.close())
	}
	for _, b := range [][]byte{p.counters, p.readers} {
		if b != nil {
			errs = append(errs, unix.Munmap(b))
		}
	}
	p.counters, p.readers = nil, nil
	if p.coll != nil {
		p.coll.Close()
	}
	return errors.Join(errs...)
}

// NumShards returns the number of shards.
func (p *Probe) NumShards() int { return len(p.shards) }

// Shard returns shard i.
func (p *Probe) Shard(i int) *Shard { return p.shards[i] }

// SetWanted sets the types to report. It may be called at any time; while it runs, a
// type that was wanted before and still is keeps being reported.
func (p *Probe) SetWanted(types event.TypeSet) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return errors.New("set wanted events: probe is closed")
	}
	t := wantedTables(types)
	table := p.coll.Maps[probeMapPrograms]
	for typ, name := range t.programs {
		if p.wanted[typ] == name {
			continue
		}
		if err := table.Put(uint32(typ), p.coll.Programs[name]); err != nil {
			return fmt.Errorf("set program of %s: %w", typ, err)
		}
		p.wanted[typ] = name
	}
	// Only after its program is there may a type be looked for.
	for name, value := range map[string]any{probeVarSocketcalls: t.socketcalls, probeVarSlots: t.slots} {
		if err := p.coll.Variables[name].Set(value); err != nil {
			return fmt.Errorf("set wanted system calls: %w", err)
		}
	}
	for typ := range p.wanted {
		if _, ok := t.programs[typ]; ok {
			continue
		}
		if err := table.Delete(uint32(typ)); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("remove program of %s: %w", typ, err)
		}
		delete(p.wanted, typ)
	}
	return nil
}

// ReadCounters sets c to what was counted since Load. It allocates only if c is new.
// Programs are left out, with a nil error, where the kernel does not tell.
func (p *Probe) ReadCounters(c *Counters) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return errors.New("read counters: probe is closed")
	}
	syscalls := c.Syscalls
	if len(syscalls) != NumSlots {
		syscalls = make([]uint64, NumSlots)
	}
	clear(syscalls)
	*c = Counters{Syscalls: syscalls, Programs: c.Programs[:0], Losers: c.Losers[:0]}
	all := unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(p.counters))), len(p.counters)/8)
	for ; len(all) >= counterWords; all = all[counterWords:] {
		for i := range syscalls {
			syscalls[i] += atomic.LoadUint64(&all[i])
		}
		for t := range c.Produced {
			c.Produced[t] += atomic.LoadUint64(&all[producedAt+t])
		}
		at := droppedAt
		for t := range c.Dropped {
			for lane := range c.Dropped[t] {
				for reason := range c.Dropped[t][lane] {
					c.Dropped[t][lane][reason] += atomic.LoadUint64(&all[at])
					at++
				}
			}
		}
		c.Own += atomic.LoadUint64(&all[ownAt])
		c.Unattributed += atomic.LoadUint64(&all[unattributedAt])
	}
	if err := p.readLosers(c); err != nil {
		return err
	}
	for _, name := range p.programs {
		s, err := p.coll.Programs[name].Stats()
		if err != nil {
			c.Programs = c.Programs[:0]
			break
		}
		c.Programs = append(c.Programs, ProgramStats{Name: name, Runs: s.RunCount, NS: uint64(s.Runtime), Missed: s.RecursionMisses})
	}
	return nil
}

// capable says which capabilities this process lacks.
func capable() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("read capabilities: %w", err)
	}
	has := func(c int) bool { return data[c/32].Effective&(1<<(c%32)) != 0 }
	if has(unix.CAP_SYS_ADMIN) {
		return nil
	}
	var missing []string
	if !has(unix.CAP_BPF) {
		missing = append(missing, "CAP_BPF")
	}
	if !has(unix.CAP_PERFMON) {
		missing = append(missing, "CAP_PERFMON")
	}
	if missing == nil {
		return nil
	}
	return &MissingCapabilityError{Missing: missing}
}

// supported asks the kernel's types for what the programs call, which finds what a
// distribution has brought to an older version.
func supported(kernel *btf.Spec) error {
	var ids *btf.Enum
	if err := kernel.TypeByName("bpf_func_id", &ids); err != nil {
		return &NotSupportedError{Feature: "BPF helper functions in its type information", Since: "Linux 5.17"}
	}
	known := map[string]bool{}
	for _, v := range ids.Values {
		known[v.Name] = true
	}
	for _, f := range []struct {
		fn    asm.BuiltinFunc
		name  string
		since string
	}{
		{asm.FnRingbufOutput, "ringbuf_output", "Linux 5.8"},
		{asm.FnTaskStorageGet, "task_storage_get", "Linux 5.11"},
		{asm.FnSnprintf, "snprintf", "Linux 5.13"},
		{asm.FnTaskPtRegs, "task_pt_regs", "Linux 5.15"},
		{asm.FnLoop, "loop", "Linux 5.17"},
	} {
		if !known["BPF_FUNC_"+f.name] {
			return &NotSupportedError{Feature: "BPF helper bpf_" + f.name, Since: f.since}
		}
	}
	return nil
}

// explain makes an error of the kernel one that says what to do.
func explain(what string, err error, c Config) error {
	switch {
	case errors.Is(err, unix.ENOMEM):
		return &NoMemoryError{Bytes: c.Shards * (c.BulkSize + c.ReservedSize), Err: err}
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("load %s: %w: not for lack of a capability: a seccomp profile, kernel lockdown (confidentiality) or a security module forbids bpf(2), or the limit RLIMIT_MEMLOCK is too low", what, err)
	case errors.Is(err, ebpf.ErrNotSupported):
		return &NotSupportedError{Feature: strings.TrimSuffix(err.Error(), ": "+ebpf.ErrNotSupported.Error()), Since: "Linux 5.17 with CONFIG_BPF_SYSCALL, CONFIG_BPF_JIT and CONFIG_BPF_EVENTS (" + runtime.GOARCH + ": JIT with calls and tail calls in one program)"}
	}
	return fmt.Errorf("load %s: %w", what, err)
}
