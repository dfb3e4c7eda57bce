package main

import (
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// raiseCapabilities makes those capabilities effective that watching takes and that the
// process is permitted but does not have yet. A program file gives them that way to a
// user who is not root: a file with the effective bit could not be executed at all where
// one of its capabilities is out of reach.
func raiseCapabilities() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData // bits 0 to 31, and 32 to 63
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return fmt.Errorf("read capabilities: %w", err)
	}
	raised := sets
	for _, cp := range capabilities {
		raised[cp.bit/32].Effective |= sets[cp.bit/32].Permitted & (1 << (cp.bit % 32))
	}
	if raised == sets {
		return nil
	}
	// Capabilities are a thread's; any thread of the runtime may run any goroutine.
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET,
		uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&raised[0])), 0)
	if errno != 0 {
		return fmt.Errorf("raise capabilities: %w", errno)
	}
	return nil
}
