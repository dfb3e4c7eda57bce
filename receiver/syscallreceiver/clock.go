package syscallreceiver

import (
	"sync/atomic"
	"time"
)

// clock converts the time since boot, which samples carry, to the time since the Unix
// epoch. It is safe for concurrent use.
type clock struct {
	offset atomic.Int64
	read   func() int64
}

// tolerance is the jitter of a measured offset that is no change of the clock. Within
// it, events of one reader stay in order.
const tolerance = int64(100 * time.Microsecond)

// newClock measures the offset with read.
func newClock(read func() int64) *clock {
	c := &clock{read: read}
	c.offset.Store(read())
	return c
}

// Offset returns what to add to nanoseconds since boot.
func (c *clock) Offset() int64 { return c.offset.Load() }

// refresh measures the offset again: somebody may have set the clock.
func (c *clock) refresh() {
	now := c.read()
	if d := now - c.offset.Load(); d > tolerance || d < -tolerance {
		c.offset.Store(now)
	}
}
