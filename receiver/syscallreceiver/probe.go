package syscallreceiver

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/windhover/windhover/bpf"
	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/ledger"
	"github.com/windhover/windhover/internal/state"
)

// probe is the kernel side as a capture.
type probe struct {
	*bpf.Probe
	counters bpf.Counters
}

func loadProbe(c *Config) (*probe, error) {
	shards := c.Shards
	if shards == 0 {
		shards = min(runtime.NumCPU(), maxShards)
	}
	traces := ""
	if c.TraceContext.Enabled {
		traces = c.TraceContext.Path
	}
	p, err := bpf.Load(bpf.Config{
		Shards:       shards,
		BulkSize:     c.Rings.Bulk,
		ReservedSize: c.Rings.Reserved,
		WakeBytes:    c.Rings.WakeBytes,
		PollInterval: c.Rings.PollInterval,
		ObserveSelf:  c.CaptureSelf,
		TraceContext: traces,
	})
	if err != nil {
		return nil, err
	}
	return &probe{Probe: p}, nil
}

func (p *probe) numShards() int { return p.NumShards() }

func (p *probe) run(ctx context.Context, shard int, f func(event.Lane, []byte), idle func()) error {
	return p.Shard(shard).Run(ctx, f, idle)
}

// pending reports whether the reserved lane of a shard holds unhandled samples.
func (p *probe) pending(shard int) bool {
	used, _ := p.Shard(shard).Usage(event.LaneReserved)
	return used > 0
}

// abiName returns what metrics call a table of system calls.
func abiName(a bpf.ABI) string {
	arm := runtime.GOARCH == "arm64"
	switch {
	case a == bpf.ABIX32:
		return "x32"
	case a == bpf.ABI32 && arm:
		return "arm"
	case a == bpf.ABI32:
		return "i386"
	case arm:
		return "arm64"
	}
	return "x86_64"
}

// readKernel fills c with the counters of the kernel side. It is a
// ledger.KernelReader: called by one goroutine at a time.
func (p *probe) readKernel(c *ledger.KernelCounters) error {
	if err := p.ReadCounters(&p.counters); err != nil {
		return fmt.Errorf("read kernel counters: %w", err)
	}
	from := &p.counters
	c.Produced = from.Produced
	for t := range from.Dropped {
		for lane := range from.Dropped[t] {
			copy(c.Dropped[t][lane][:], from.Dropped[t][lane][:])
		}
	}
	p.countLosers(c)
	c.Syscalls = c.Syscalls[:0]
	for slot, n := range from.Syscalls {
		if n == 0 {
			continue
		}
		abi, nr := bpf.SlotCall(slot)
		name := bpf.SyscallName(abi, nr)
		if name == "" {
			name = "other"
		}
		c.Syscalls = append(c.Syscalls, ledger.Syscall{ABI: abiName(abi), Name: name, Count: n})
	}
	c.Programs = c.Programs[:0]
	for _, s := range from.Programs {
		c.Programs = append(c.Programs, ledger.Program{Name: s.Name, Runs: s.Runs, Time: time.Duration(s.NS)})
	}
	c.Rings = c.Rings[:0]
	for i := range p.NumShards() {
		for lane := range event.NumLanes {
			used, size := p.Shard(i).Usage(lane)
			c.Rings = append(c.Rings, ledger.Ring{Shard: i, Lane: lane, Used: used, Size: size})
		}
	}
	return nil
}

// countLosers says in which containers the processes ran whose events were lost. A
// container may have many cgroups.
func (p *probe) countLosers(c *ledger.KernelCounters) {
	c.Losers = append(c.Losers[:0], ledger.ContainerCount{Container: ledger.Other, Count: p.counters.Unattributed})
	for i := range p.counters.Losers {
		l := &p.counters.Losers[i]
		c.Losers = append(c.Losers, ledger.ContainerCount{Container: containerOf(l.Cgroup, l.CgroupV1), Count: l.Dropped})
	}
}

// containerOf returns the name that metrics give to the container of a cgroup.
func containerOf(cgroup, v1 string) string {
	for _, path := range []string{cgroup, v1} {
		if id, _ := state.Container([]byte(path)); id != nil {
			return string(id)
		}
	}
	if cgroup == "" {
		return ledger.Other // its path was too long
	}
	return ledger.Host
}
