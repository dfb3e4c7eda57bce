//go:build linux

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

func legacyGenericCases(in func(string) string) []genericCase {
	return []genericCase{
		{name: "mkdir", nr: unix.SYS_MKDIR, args: []any{in("legacy"), 0o700}, typ: event.Mkdir},
		{name: "rmdir", nr: unix.SYS_RMDIR, args: []any{in("legacy")}, typ: event.Rmdir},
		{name: "link", nr: unix.SYS_LINK, args: []any{in("file"), in("linked")}, typ: event.Link},
		{name: "rename", nr: unix.SYS_RENAME, args: []any{in("linked"), in("renamed")}, typ: event.Rename},
		{name: "renameat", nr: unix.SYS_RENAMEAT, args: []any{unix.AT_FDCWD, in("renamed"), unix.AT_FDCWD, in("again")}, typ: event.RenameAt},
		{name: "symlink", nr: unix.SYS_SYMLINK, args: []any{"target", in("symbolic")}, typ: event.Symlink},
		{name: "unlink", nr: unix.SYS_UNLINK, args: []any{in("symbolic")}, typ: event.Unlink},
		{name: "chmod", nr: unix.SYS_CHMOD, args: []any{in("chmod"), 0o600}, typ: event.Chmod},
		{name: "chown", nr: unix.SYS_CHOWN, args: []any{in("chown"), 0, 0}, typ: event.Chown},
		{name: "lchown", nr: unix.SYS_LCHOWN, args: []any{in("chown"), 0, 0}, typ: event.Lchown},
		{name: "init_module with its parameters", nr: unix.SYS_INIT_MODULE, args: []any{0, 0, "parameter=1"}, typ: event.InitModule, errs: initModule(), lane: event.LaneReserved},
		{name: "finit_module with its parameters", nr: unix.SYS_FINIT_MODULE, args: []any{9999, "parameter=1", 0}, typ: event.FinitModule, errs: finitModule(), lane: event.LaneReserved},
	}
}

// A kernel without modules refuses these before it looks at their arguments.
func initModule() syscall.Errno {
	_, _, errno := syscall.RawSyscall(unix.SYS_INIT_MODULE, 0, 0, 0)
	return errno
}

func finitModule() syscall.Errno {
	_, _, errno := syscall.RawSyscall(unix.SYS_FINIT_MODULE, 9999, 0, 0)
	return errno
}
