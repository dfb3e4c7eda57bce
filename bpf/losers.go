//go:build linux && (amd64 || arm64)

package bpf

import (
	"encoding/binary"
	"fmt"
)

// Offsets of struct loser in include/maps.h, and the tags of its sections in
// include/event.h.
const (
	loserLenAt      = 8
	loserSectionsAt = 16
	loserSize       = 512

	sectionCgroup   = 37
	sectionCgroupV1 = 38
)

// readLosers sets c.Losers. The map is read only after something more was lost.
func (p *Probe) readLosers(c *Counters) error {
	if n := c.DroppedTotal(); n != p.lost {
		var key uint64
		var value [loserSize]byte
		entries := p.coll.Maps[probeMapLosers].Iterate()
		for entries.Next(&key, &value) {
			l, ok := p.losers[key]
			if !ok {
				l = newLoser(value[:])
				p.losers[key] = l
			}
			l.Dropped = binary.NativeEndian.Uint64(value[:])
		}
		if err := entries.Err(); err != nil {
			return fmt.Errorf("read who lost events: %w", err)
		}
		p.lost = n
	}
	for _, l := range p.losers {
		c.Losers = append(c.Losers, *l)
	}
	return nil
}

// newLoser takes the paths from a struct loser.
func newLoser(value []byte) *Loser {
	l := &Loser{}
	n := int(binary.NativeEndian.Uint32(value[loserLenAt:]))
	b := value[loserSectionsAt:]
	if n > len(b) {
		return l
	}
	const header = 4
	for b = b[:n]; len(b) >= header; {
		tag, size := b[0], int(binary.NativeEndian.Uint16(b[2:]))
		if b = b[header:]; size > len(b) {
			break
		}
		switch tag {
		case sectionCgroup:
			l.Cgroup = string(b[:size])
		case sectionCgroupV1:
			l.CgroupV1 = string(b[:size])
		}
		b = b[size:]
	}
	return l
}
