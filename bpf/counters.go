package bpf

import "github.com/windhover/windhover/internal/event"

// DropReason is why a wanted event was lost in the kernel.
type DropReason uint8

// The values are part of the contract with include/event.h.
const (
	DropRingFull DropReason = iota
	DropTooLarge
	DropNoScratch

	NumDropReasons
)

// String returns the name that metrics give to the reason.
func (r DropReason) String() string {
	if r < NumDropReasons {
		return [...]string{"ring_full", "too_large", "no_scratch"}[r]
	}
	return "unknown"
}

// Counters are what the programs counted since Load, summed over CPUs.
type Counters struct {
	// Syscalls counts every system call that returned, wanted or not, by Slot.
	Syscalls []uint64
	// Produced counts the wanted events by type, sent or dropped, and the life of
	// processes, which is always reported.
	Produced [event.MaxTypes]uint64
	Dropped  [event.MaxTypes][event.NumLanes][NumDropReasons]uint64
	// Own counts what was discarded because the process that loaded the probe did it.
	Own uint64
	// Losers are the cgroups whose processes lost events, in no order. Together with
	// Unattributed, the losses that no room was left to count by cgroup, they make up
	// what was dropped, or more: they are read last.
	Losers       []Loser
	Unattributed uint64
	// Programs are the kernel's statistics by program; they stand still while
	// kernel.bpf_stats_enabled is 0.
	Programs []ProgramStats
}

// ProgramStats is what the kernel counted of one program.
type ProgramStats struct {
	Name string
	Runs uint64
	NS   uint64
	// Missed counts calls that were not made because the program was running on the
	// same CPU already.
	Missed uint64
}

// Loser is a cgroup whose processes lost events.
type Loser struct {
	// Cgroup is its path in the default hierarchy, CgroupV1 that in the first v1
	// hierarchy in which it is not the root. Both are empty if they are too long.
	Cgroup, CgroupV1 string
	Dropped          uint64
}

// DroppedTotal returns how many events were lost.
func (c *Counters) DroppedTotal() uint64 {
	var n uint64
	for t := range c.Dropped {
		for _, lane := range c.Dropped[t] {
			for _, count := range lane {
				n += count
			}
		}
	}
	return n
}
