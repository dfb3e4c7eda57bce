package consoleexporter

import (
	"os"
	"syscall"
)

// openStdout returns a copy of standard output. Closing it leaves the original open.
func openStdout() (*os.File, error) {
	p, err := syscall.GetCurrentProcess()
	if err != nil {
		return nil, os.NewSyscallError("GetCurrentProcess", err)
	}
	var h syscall.Handle
	if err := syscall.DuplicateHandle(p, syscall.Handle(os.Stdout.Fd()), p, &h, 0, false, syscall.DUPLICATE_SAME_ACCESS); err != nil {
		return nil, os.NewSyscallError("DuplicateHandle", err)
	}
	return os.NewFile(uintptr(h), "stdout"), nil
}
