//go:build unix

package consoleexporter

import (
	"os"
	"syscall"
)

// openStdout returns a copy of standard output. Closing it leaves the original open;
// and the runtime ends a process that writes to descriptor 1 when nobody reads, but
// returns EPIPE on any other.
func openStdout() (*os.File, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fd, err := syscall.Dup(1)
	if err != nil {
		return nil, os.NewSyscallError("dup", err)
	}
	syscall.CloseOnExec(fd)
	return os.NewFile(uintptr(fd), "/dev/stdout"), nil
}
