//go:build unix

package otlp

import (
	"syscall"
	"time"
)

// processorTime returns the CPU time of this process, and false where the system does
// not tell.
func processorTime() (time.Duration, bool) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, false
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), true
}
