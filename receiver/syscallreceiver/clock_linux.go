package syscallreceiver

import (
	"math"

	"golang.org/x/sys/unix"
)

// bootOffset measures the difference between the clock of the Unix epoch and that of
// boot. Of a few tries it takes the one in which the least time passed between the
// readings, since the thread may be interrupted.
func bootOffset() int64 {
	best, offset := int64(math.MaxInt64), int64(0)
	for range 5 {
		before, wall, after := gettime(unix.CLOCK_BOOTTIME), gettime(unix.CLOCK_REALTIME), gettime(unix.CLOCK_BOOTTIME)
		if d := after - before; d < best {
			best, offset = d, wall-before-d/2
		}
	}
	return offset
}

func gettime(clock int32) int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(clock, &ts); err != nil {
		panic("BUG: syscallreceiver: read clock: " + err.Error()) // both clocks exist since Linux 2.6.39
	}
	return ts.Nano()
}
