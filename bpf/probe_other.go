//go:build !linux || (!amd64 && !arm64)

package bpf

import (
	"context"

	"github.com/windhover/windhover/internal/event"
)

// Probe is the loaded kernel side.
type Probe struct{}

// Shard is one reader of the probe.
type Shard struct{}

// Load returns a *NotSupportedError: the programs are for Linux on amd64 and arm64.
func Load(Config) (*Probe, error) {
	return nil, &NotSupportedError{Feature: "BPF programs of this project", Since: "Linux 5.17 on amd64 or arm64"}
}

// The methods are never called: there is no Probe.

// SetWanted does nothing here.
func (*Probe) SetWanted(event.TypeSet) error { return nil }

// Attach does nothing here.
func (*Probe) Attach() error { return nil }

// NumShards returns 0 here.
func (*Probe) NumShards() int { return 0 }

// Shard returns nil here.
func (*Probe) Shard(int) *Shard { return nil }

// ReadCounters does nothing here.
func (*Probe) ReadCounters(*Counters) error { return nil }

// FollowTraces does nothing here.
func (*Probe) FollowTraces() (changed, found bool, err error) { return false, false, nil }

// Detach does nothing here.
func (*Probe) Detach() error { return nil }

// Close does nothing here.
func (*Probe) Close() error { return nil }

// Run does nothing here.
func (*Shard) Run(context.Context, func(event.Lane, []byte), func()) error { return nil }

// Usage returns 0 here.
func (*Shard) Usage(event.Lane) (used, size int) { return 0, 0 }
