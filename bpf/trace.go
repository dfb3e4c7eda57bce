//go:build linux && (amd64 || arm64)

package bpf

import (
	"errors"
	"fmt"
	"os"

	"github.com/cilium/ebpf"
)

// What the map of traces must be; see struct traces in include/maps.h.
const (
	traceKeySize   = 8
	traceValueSize = 24
)

// FollowTraces makes the programs look for traces in the map that is pinned at
// Config.TraceContext now, or in none if there is none. The instrumentation may start
// and end at any time, so the caller calls it again and again, every few seconds.
//
// changed says that another map is used than before, or none any more; found that one
// is used. With an error, such as one that the map has another layout, none is.
func (p *Probe) FollowTraces() (changed, found bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.path == "" {
		return false, false, nil
	}
	m, err := ebpf.LoadPinnedMap(p.path, &ebpf.LoadPinOptions{ReadOnly: true})
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			err = nil
		} else {
			err = fmt.Errorf("open map of traces: %w", err)
		}
		changed, clearErr := p.dropTraces()
		return changed, false, errors.Join(err, clearErr)
	}
	defer m.Close()
	id, err := p.useTraces(m)
	if err != nil {
		changed, clearErr := p.dropTraces()
		return changed, false, errors.Join(err, clearErr)
	}
	changed = id != p.traces
	p.traces = id
	return changed, true, nil
}

// useTraces puts m into the slot, unless it is there.
func (p *Probe) useTraces(m *ebpf.Map) (ebpf.MapID, error) {
	if m.Type() != ebpf.LRUHash || m.KeySize() != traceKeySize || m.ValueSize() != traceValueSize || m.Flags() != 0 {
		return 0, fmt.Errorf("use map of traces %s: it is a map of type %v with keys of %d and values of %d bytes and flags %#x, not of type %v with %d and %d and none",
			p.path, m.Type(), m.KeySize(), m.ValueSize(), m.Flags(), ebpf.LRUHash, traceKeySize, traceValueSize)
	}
	info, err := m.Info()
	if err != nil {
		return 0, fmt.Errorf("describe map of traces %s: %w", p.path, err)
	}
	id, _ := info.ID()
	if id == p.traces {
		return id, nil
	}
	if err := p.coll.Maps[probeMapTraceSlot].Put(uint32(0), m); err != nil {
		return 0, fmt.Errorf("use map of traces %s: %w", p.path, err)
	}
	return id, nil
}

// dropTraces empties the slot. It reports whether something was in it.
func (p *Probe) dropTraces() (bool, error) {
	if p.traces == 0 {
		return false, nil
	}
	p.traces = 0
	if err := p.coll.Maps[probeMapTraceSlot].Delete(uint32(0)); err != nil {
		return true, fmt.Errorf("let go of map of traces: %w", err)
	}
	return true, nil
}
