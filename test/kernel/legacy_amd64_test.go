package kernel

import (
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/windhover/windhover/internal/event"
)

// legacyOpenCases are the calls that newer architectures do not have.
func legacyOpenCases(t *testing.T, in func(string) string) []openCase {
	t.Helper()
	result := func(fd uintptr, errno syscall.Errno) (int, error) {
		if errno != 0 {
			return -1, errno
		}
		return int(fd), nil
	}
	return []openCase{
		{
			name: "open", typ: event.Open, raw: in("link"), path: in("d/file"), args: []uint64{unix.O_RDONLY},
			open: func() (int, error) {
				fd, _, errno := syscall.Syscall(unix.SYS_OPEN, raw(t, in("link")), unix.O_RDONLY, 0)
				return result(fd, errno)
			},
		},
		{
			name: "creat", typ: event.Creat, raw: in("created"), path: in("created"), flags: event.FileCreated, args: []uint64{0o600},
			open: func() (int, error) {
				fd, _, errno := syscall.Syscall(unix.SYS_CREAT, raw(t, in("created")), 0o600, 0)
				return result(fd, errno)
			},
		},
	}
}
