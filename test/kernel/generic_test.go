//go:build linux

package kernel

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/windhover/windhover/bpf"
	"github.com/windhover/windhover/internal/event"
)

// genericCase is one system call and what its sample holds.
type genericCase struct {
	name string
	nr   uintptr
	args []any // uintptr-like numbers, or strings
	typ  event.Type
	errs syscall.Errno

	base, base2 string
	path        string // of the object
	lane        event.Lane
	skipStr     []int // arguments whose string is not reported
}

// call makes the call and returns what the sample must hold for its arguments.
func (tt *genericCase) call(t *testing.T) (args [6]uint64, strs map[int]string, errno syscall.Errno) {
	t.Helper()
	strs = map[int]string{}
	var words [6]uintptr
	for i, a := range tt.args {
		switch a := a.(type) {
		case string:
			words[i] = raw(t, a)
			strs[i] = a
		case int:
			words[i] = uintptr(a)
		case uintptr:
			words[i] = a
		default:
			t.Fatalf("argument %d is a %T", i, a)
		}
		args[i] = uint64(words[i])
	}
	for _, i := range tt.skipStr {
		delete(strs, i)
	}
	_, _, errno = syscall.RawSyscall6(tt.nr, words[0], words[1], words[2], words[3], words[4], words[5])
	return args, strs, errno
}

// absent returns what a call fails with on a kernel that does not have it yet.
func absent(nr uintptr) syscall.Errno {
	if _, _, errno := syscall.RawSyscall6(nr, ^uintptr(0), 0, 0, 0, 0, 0); errno == unix.ENOSYS {
		return errno
	}
	return 0
}

func genericCases(t *testing.T) []genericCase {
	t.Helper()
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"file", "chown", "chmod"} {
		if err := os.WriteFile(in(name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(in("d"), 0o755); err != nil {
		t.Fatal(err)
	}
	open := func(name string, flags int) uintptr {
		fd, err := unix.Open(name, flags, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		return uintptr(fd)
	}
	d := open(in("d"), unix.O_PATH|unix.O_DIRECTORY)
	file := open(in("file"), unix.O_RDWR)
	uts := open("/proc/self/ns/uts", unix.O_RDONLY)
	utsName, err := os.Readlink("/proc/self/ns/uts")
	if err != nil {
		t.Fatal(err)
	}
	here := unix.AT_FDCWD
	reserved := event.LaneReserved
	cases := []genericCase{
		{name: "mkdirat relative to a descriptor", nr: unix.SYS_MKDIRAT, args: []any{d, "made", 0o700}, typ: event.MkdirAt, base: in("d")},
		{name: "mkdirat with an absolute path", nr: unix.SYS_MKDIRAT, args: []any{here, in("made"), 0o700}, typ: event.MkdirAt},
		{name: "unlinkat of a directory", nr: unix.SYS_UNLINKAT, args: []any{d, "made", unix.AT_REMOVEDIR}, typ: event.UnlinkAt, base: in("d")},
		{name: "unlinkat of nothing", nr: unix.SYS_UNLINKAT, args: []any{here, in("missing"), 0}, typ: event.UnlinkAt, errs: unix.ENOENT},
		{name: "linkat with two directories", nr: unix.SYS_LINKAT, args: []any{here, in("file"), d, "hard", 0}, typ: event.LinkAt, base2: in("d")},
		{name: "symlinkat keeps the target as it is", nr: unix.SYS_SYMLINKAT, args: []any{"../file", d, "soft"}, typ: event.SymlinkAt, base: in("d")},
		{name: "renameat2 with flags", nr: unix.SYS_RENAMEAT2, args: []any{d, "hard", d, "moved", unix.RENAME_NOREPLACE}, typ: event.RenameAt2, base: in("d"), base2: in("d")},
		{name: "fchmodat", nr: unix.SYS_FCHMODAT, args: []any{here, in("chmod"), 0o4755}, typ: event.FchmodAt},
		{name: "fchmodat2 with flags", nr: unix.SYS_FCHMODAT2, args: []any{here, in("chmod"), 0o600, 0}, typ: event.FchmodAt2, errs: absent(unix.SYS_FCHMODAT2)},
		{name: "fchmod with the file's path", nr: unix.SYS_FCHMOD, args: []any{file, 0o640}, typ: event.Fchmod, path: in("file")},
		{name: "fchmod of no descriptor", nr: unix.SYS_FCHMOD, args: []any{9999, 0o640}, typ: event.Fchmod, errs: unix.EBADF},
		{name: "fchownat", nr: unix.SYS_FCHOWNAT, args: []any{here, in("chown"), 1000, 1001, unix.AT_SYMLINK_NOFOLLOW}, typ: event.FchownAt},
		{name: "fchown with the file's path", nr: unix.SYS_FCHOWN, args: []any{file, 0, 0}, typ: event.Fchown, path: in("file")},
		{name: "setuid", nr: unix.SYS_SETUID, args: []any{0}, typ: event.SetUID, lane: reserved},
		{name: "setgid", nr: unix.SYS_SETGID, args: []any{0}, typ: event.SetGID, lane: reserved},
		{name: "setreuid", nr: unix.SYS_SETREUID, args: []any{0, 0}, typ: event.SetREUID, lane: reserved},
		{name: "setregid", nr: unix.SYS_SETREGID, args: []any{0, 0}, typ: event.SetREGID, lane: reserved},
		{name: "setresuid", nr: unix.SYS_SETRESUID, args: []any{0, 0, 0}, typ: event.SetRESUID, lane: reserved},
		{name: "setresgid", nr: unix.SYS_SETRESGID, args: []any{0, 0, 0}, typ: event.SetRESGID, lane: reserved},
		{name: "setns with the namespace's name", nr: unix.SYS_SETNS, args: []any{uts, unix.CLONE_NEWUTS}, typ: event.SetNS, path: utsName, lane: reserved},
		{name: "unshare", nr: unix.SYS_UNSHARE, args: []any{0}, typ: event.Unshare, lane: reserved},
		{name: "mount with all its strings", nr: unix.SYS_MOUNT, args: []any{"source", in("nowhere"), "tmpfs", unix.MS_NODEV, 0}, typ: event.Mount, errs: unix.ENOENT, lane: reserved},
		{name: "umount2", nr: unix.SYS_UMOUNT2, args: []any{in("nowhere"), unix.MNT_DETACH}, typ: event.Umount2, errs: unix.ENOENT, lane: reserved},
		{name: "ptrace", nr: unix.SYS_PTRACE, args: []any{unix.PTRACE_ATTACH, 0x7fffffff, 0, 0}, typ: event.Ptrace, errs: unix.ESRCH, lane: reserved},
		{name: "memfd_create with the file that it makes", nr: unix.SYS_MEMFD_CREATE, args: []any{"name", unix.MFD_CLOEXEC}, typ: event.MemfdCreate, path: "/memfd:name", lane: reserved},
		{name: "bpf", nr: unix.SYS_BPF, args: []any{9999, 0, 0}, typ: event.BPF, errs: unix.EINVAL, lane: reserved},
		{name: "prctl with a name", nr: unix.SYS_PRCTL, args: []any{unix.PR_SET_NAME, "renamed"}, typ: event.Prctl},
		{name: "prctl without a string", nr: unix.SYS_PRCTL, args: []any{unix.PR_GET_DUMPABLE, "not a string to it"}, typ: event.Prctl, skipStr: []int{1}, errs: 0},
		{name: "kill", nr: unix.SYS_KILL, args: []any{os.Getpid(), 0}, typ: event.Kill},
		{name: "tkill", nr: unix.SYS_TKILL, args: []any{0x7fffffff, 0}, typ: event.Tkill, errs: unix.ESRCH},
		{name: "tgkill", nr: unix.SYS_TGKILL, args: []any{os.Getpid(), 0x7fffffff, 0}, typ: event.Tgkill, errs: unix.ESRCH},
		{name: "fchdir with the directory's path", nr: unix.SYS_FCHDIR, args: []any{9999}, typ: event.Fchdir, errs: unix.EBADF},
		{name: "chdir that fails", nr: unix.SYS_CHDIR, args: []any{"missing"}, typ: event.Chdir, errs: unix.ENOENT, base: cwd(t)},
		{name: "chroot that fails", nr: unix.SYS_CHROOT, args: []any{in("missing")}, typ: event.Chroot, errs: unix.ENOENT, lane: reserved},
		{name: "a path that cannot be read", nr: unix.SYS_UNLINKAT, args: []any{here, 1, 0}, typ: event.UnlinkAt, errs: unix.EFAULT},
	}
	return append(cases, legacyGenericCases(in)...)
}

func TestGeneric(t *testing.T) {
	cases := genericCases(t)
	var types []event.Type
	for _, tt := range cases {
		types = append(types, tt.typ)
	}
	p := start(t, self, types...)
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			since := bootTime(t)
			args, strs, errno := tt.call(t)
			if errno != tt.errs && tt.skipStr == nil {
				t.Fatalf("call: %v, want %v", errno, tt.errs)
			}
			n := tt.typ.Spec().NArgs
			s := p.awaitOwn(tt.typ, func(s *sample) bool {
				return s.Time >= since && cmp.Equal(s.Args, args[:n])
			})
			if errno != 0 && s.Ret != -int64(errno) || errno == 0 && s.Ret < 0 {
				t.Errorf("ret = %d, want %v", s.Ret, errno)
			}
			if s.Lane != tt.lane {
				t.Errorf("lane = %d, want %d", s.Lane, tt.lane)
			}
			for i := range 6 {
				want, ok := strs[i]
				got, has := s.Sections[uint8(i)]
				if ok != has || string(got) != want {
					t.Errorf("string of argument %d = %q, want %q: %v", i, got, want, s)
				}
			}
			for tag, want := range map[uint8]string{tagBase: tt.base, tagBase2: tt.base2, tagPath: tt.path} {
				if got := s.text(tag); got != want {
					t.Errorf("section %d = %q, want %q: %v", tag, got, want, s)
				}
			}
			if got, want := s.Flags&event.Faulted != 0, tt.errs == unix.EFAULT; got != want {
				t.Errorf("faulted = %t, want %t", got, want)
			}
		})
	}
}

func TestGenericStringLongerThanItsLimitIsCutAndSaysSo(t *testing.T) {
	p := start(t, self, event.UnlinkAt)
	long := strings.Repeat("x", 5000)
	if err := unix.Unlinkat(unix.AT_FDCWD, long, 0); err != unix.ENAMETOOLONG {
		t.Fatalf("unlinkat: %v, want %v", err, unix.ENAMETOOLONG)
	}
	s := p.awaitOwn(event.UnlinkAt, func(s *sample) bool { return strings.HasPrefix(s.str(1), "xxxx") })
	if got := s.str(1); got != long[:4096] || s.Flags&event.Truncated == 0 {
		t.Errorf("string is %d bytes long with flags %#x, want the first 4096 and truncated", len(got), s.Flags)
	}
}

// A call that no row of the table names is reported with its raw arguments.
func TestGenericCallWithoutARow(t *testing.T) {
	typ, ok := event.TypeByName("getpriority")
	if !ok {
		t.Fatal("no event type getpriority")
	}
	p := start(t, self, typ)
	since := bootTime(t)
	if _, _, errno := syscall.RawSyscall(unix.SYS_GETPRIORITY, unix.PRIO_PROCESS, 0, 77); errno != 0 {
		t.Fatal(errno)
	}
	s := p.awaitOwn(typ, func(s *sample) bool { return s.Time >= since })
	if len(s.Args) != 6 || s.Args[0] != unix.PRIO_PROCESS || s.Args[2] != 77 {
		t.Errorf("arguments = %v, want all six", s.Args)
	}
}

// Only what is wanted is reported, and the set may change at any time.
func TestWantedTypesMayChange(t *testing.T) {
	p := start(t, self, event.MkdirAt)
	dir := t.TempDir()
	kill := func() { _, _, _ = syscall.RawSyscall(unix.SYS_KILL, uintptr(os.Getpid()), 0, 0) }
	mkdir := func(name string) {
		t.Helper()
		if err := unix.Mkdirat(unix.AT_FDCWD, filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	kill()
	mkdir("one")
	p.awaitOwn(event.MkdirAt, func(s *sample) bool { return strings.HasSuffix(s.str(1), "/one") })
	if err := p.SetWanted(event.TypesOf(event.Kill)); err != nil {
		t.Fatal(err)
	}
	mkdir("two")
	kill()
	p.awaitOwn(event.Kill, func(*sample) bool { return true })
	p.stop()
	kills := 0
	for _, s := range p.all() {
		switch {
		case s.PID != int32(os.Getpid()):
		case s.Type == event.Kill:
			kills++
		case s.Type == event.MkdirAt && strings.HasSuffix(s.str(1), "/two"):
			t.Errorf("an event came that is not wanted any more: %v", s)
		}
	}
	if kills != 1 {
		t.Errorf("%d kills were reported, want the one that was made while they were wanted", kills)
	}
}

func TestLoadRefusesAConfigurationThatCannotBe(t *testing.T) {
	t.Parallel()
	_, err := bpf.Load(bpf.Config{Shards: 65, BulkSize: 5000, PollInterval: 1})
	if err == nil {
		t.Fatal("Load accepted it")
	}
	for _, want := range []string{"shards: 65", "bulk size: 5000", "poll interval: 1ns"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("Load = %v, want %q in it", err, want)
		}
	}
}
