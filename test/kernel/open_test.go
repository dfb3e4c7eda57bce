//go:build linux

package kernel

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/windhover/windhover/internal/event"
)

// openCase is one way to open a file.
type openCase struct {
	name string
	typ  event.Type
	open func() (fd int, err error)
	// What the sample holds: the path argument, the directory that it is relative to,
	// the resolved path, flags of the file.
	arg        int
	raw, base  string
	path       string
	flags      event.FileFlags
	args       []uint64 // from the second after the path on, if set
	incomplete bool
	fails      error
}

func (tt *openCase) run(t *testing.T, p *probe) {
	t.Helper()
	since := bootTime(t)
	fd, err := tt.open()
	if !errors.Is(err, tt.fails) {
		t.Fatalf("open %s: %v, want %v", tt.raw, err, tt.fails)
	}
	want := int64(fd)
	if errno := syscall.Errno(0); errors.As(err, &errno) {
		want = -int64(errno)
	}
	var st unix.Stat_t
	if fd >= 0 {
		defer unix.Close(fd)
		if err := unix.Fstat(fd, &st); err != nil {
			t.Fatal(err)
		}
	}
	s := p.awaitOwn(tt.typ, func(s *sample) bool { return s.Time >= since && s.str(tt.arg) == tt.raw && s.Ret == want })
	if s.Lane != event.LaneBulk {
		t.Errorf("lane = %d, want %d", s.Lane, event.LaneBulk)
	}
	if got := s.text(tagBase); got != tt.base {
		t.Errorf("directory of %q = %q, want %q", tt.raw, got, tt.base)
	}
	if got := s.text(tagPath); got != tt.path {
		t.Errorf("path of %q = %q, want %q", tt.raw, got, tt.path)
	}
	for i, want := range tt.args {
		if got := s.Args[tt.arg+1+i]; got != want {
			t.Errorf("argument %d = %#x, want %#x", tt.arg+1+i, got, want)
		}
	}
	if got := s.Flags&event.Incomplete != 0; got != tt.incomplete {
		t.Errorf("incomplete = %t, want %t: %v", got, tt.incomplete, s)
	}
	if tt.fails != nil {
		if _, ok := s.Sections[tagFile]; ok {
			t.Errorf("a call that failed has a file: %v", s)
		}
		return
	}
	if got := s.u64(tagFile, 0); got != st.Ino {
		t.Errorf("inode = %d, want %d", got, st.Ino)
	}
	if got, want := s.u32(tagFile, 8), unix.Major(st.Dev)<<20|unix.Minor(st.Dev); got != want {
		t.Errorf("device = %#x, want %#x", got, want)
	}
	if got := s.u32(tagFile, 12); got != st.Mode {
		t.Errorf("mode = %#o, want %#o", got, st.Mode)
	}
	if got := event.FileFlags(s.u32(tagFile, 16)); got != tt.flags {
		t.Errorf("file flags = %#x, want %#x", got, tt.flags)
	}
}

func raw(tb testing.TB, s string) uintptr {
	tb.Helper()
	p, err := unix.BytePtrFromString(s)
	if err != nil {
		tb.Fatal(err)
	}
	return ptr(p)
}

func openCases(t *testing.T) []openCase {
	t.Helper()
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	if err := os.MkdirAll(in("d/e"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(in("d/file"), nil, 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("d/file", in("link")); err != nil {
		t.Fatal(err)
	}
	dirfd, err := unix.Open(in("d"), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(dirfd) })
	t.Chdir(dir)

	long := strings.Repeat("component-of-some-length/", 150) + "leaf"
	if err := os.MkdirAll(in(filepath.Dir(long)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(in(long), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wide := strings.Repeat("w", 255)
	if err := os.WriteFile(in(wide), nil, 0o600); err != nil {
		t.Fatal(err)
	}

	open := func(name string, flags int, mode uint32) func() (int, error) {
		return func() (int, error) { return unix.Open(name, flags, mode) }
	}
	cases := []openCase{
		{
			name: "an absolute path", typ: event.OpenAt, open: open(in("d/file"), unix.O_RDONLY, 0),
			arg: 1, raw: in("d/file"), path: in("d/file"),
		},
		{
			name: "a symbolic link and dots are resolved", typ: event.OpenAt, open: open(in("d/e/../../link"), unix.O_RDWR, 0),
			arg: 1, raw: in("d/e/../../link"), path: in("d/file"), args: []uint64{unix.O_RDWR | unix.O_LARGEFILE},
		},
		{
			name: "a path relative to the working directory", typ: event.OpenAt, open: open("d/file", unix.O_RDONLY, 0),
			arg: 1, raw: "d/file", base: dir, path: in("d/file"),
		},
		{
			name: "a path relative to a descriptor", typ: event.OpenAt,
			open: func() (int, error) { return unix.Openat(dirfd, "file", unix.O_RDONLY, 0) },
			arg:  1, raw: "file", base: in("d"), path: in("d/file"),
		},
		{
			name: "a file that is created", typ: event.OpenAt, open: open(in("new"), unix.O_CREAT|unix.O_WRONLY|unix.O_EXCL, 0o640),
			arg: 1, raw: in("new"), path: in("new"), flags: event.FileCreated,
			args: []uint64{unix.O_CREAT | unix.O_WRONLY | unix.O_EXCL | unix.O_LARGEFILE, 0o640},
		},
		{
			name: "O_CREAT of a file that exists creates nothing", typ: event.OpenAt, open: open(in("d/file"), unix.O_CREAT|unix.O_WRONLY, 0o640),
			arg: 1, raw: in("d/file"), path: in("d/file"),
			args: []uint64{unix.O_CREAT | unix.O_WRONLY | unix.O_LARGEFILE, 0o640},
		},
		{
			name: "a file that is not there", typ: event.OpenAt, open: open(in("missing"), unix.O_RDONLY, 0),
			arg: 1, raw: in("missing"), fails: unix.ENOENT,
		},
		{
			name: "openat2 with its struct", typ: event.OpenAt2,
			open: func() (int, error) {
				return unix.Openat2(dirfd, "file", &unix.OpenHow{Flags: unix.O_RDWR, Resolve: unix.RESOLVE_NO_SYMLINKS})
			},
			arg: 1, raw: "file", base: in("d"), path: in("d/file"), args: []uint64{unix.O_RDWR, 0, unix.RESOLVE_NO_SYMLINKS},
		},
		{
			name: "a directory", typ: event.OpenAt, open: open("/", unix.O_RDONLY|unix.O_DIRECTORY, 0),
			arg: 1, raw: "/", path: "/",
		},
		{
			name: "a file on another mount", typ: event.OpenAt, open: open("/proc/self/status", unix.O_RDONLY, 0),
			arg: 1, raw: "/proc/self/status", path: "/proc/" + pidText() + "/status",
		},
		{
			name: "a long path", typ: event.OpenAt, open: open(in(long), unix.O_RDONLY, 0),
			arg: 1, raw: in(long), path: in(long),
		},
		{
			name: "a name of 255 bytes", typ: event.OpenAt, open: open(in(wide), unix.O_RDONLY, 0),
			arg: 1, raw: in(wide), path: in(wide),
		},
		{
			name: "a file in memory through /proc", typ: event.OpenAt,
			open: func() (int, error) {
				fd, err := unix.MemfdCreate("secret", 0)
				if err != nil {
					return -1, err
				}
				t.Cleanup(func() { unix.Close(fd) })
				if err := unix.Dup3(fd, 200, 0); err != nil {
					return -1, err
				}
				return unix.Open("/proc/self/fd/200", unix.O_RDWR, 0)
			},
			arg: 1, raw: "/proc/self/fd/200", path: "/memfd:secret", flags: event.FileMemfd,
		},
		{
			name: "a pipe through /proc", typ: event.OpenAt,
			open: func() (int, error) {
				var fds [2]int
				if err := unix.Pipe(fds[:]); err != nil {
					return -1, err
				}
				t.Cleanup(func() { unix.Close(fds[0]); unix.Close(fds[1]) })
				if err := unix.Dup3(fds[0], 201, 0); err != nil {
					return -1, err
				}
				return unix.Open("/proc/self/fd/201", unix.O_RDONLY, 0)
			},
			arg: 1, raw: "/proc/self/fd/201", path: "PIPE",
		},
		{
			name: "a namespace", typ: event.OpenAt, open: open("/proc/self/ns/uts", unix.O_RDONLY, 0),
			arg: 1, raw: "/proc/self/ns/uts", path: "NS",
		},
		{
			name: "a file whose last name is gone", typ: event.OpenAt,
			open: func() (int, error) {
				fd, err := unix.Open(in("gone"), unix.O_CREAT|unix.O_RDWR, 0o600)
				if err != nil {
					return -1, err
				}
				t.Cleanup(func() { unix.Close(fd) })
				if err := unix.Dup3(fd, 202, 0); err != nil {
					return -1, err
				}
				if err := unix.Unlink(in("gone")); err != nil {
					return -1, err
				}
				return unix.Open("/proc/self/fd/202", unix.O_RDONLY, 0)
			},
			arg: 1, raw: "/proc/self/fd/202", path: in("gone"), flags: event.FileDeleted,
		},
	}
	return append(cases, legacyOpenCases(t, in)...)
}

func pidText() string {
	name, err := os.Readlink("/proc/self")
	if err != nil {
		return ""
	}
	return name
}

func TestOpen(t *testing.T) {
	p := start(t, self, event.Open, event.OpenAt, event.OpenAt2, event.Creat)
	for _, tt := range openCases(t) {
		t.Run(tt.name, func(t *testing.T) {
			if tt.path == "PIPE" || tt.path == "NS" {
				// Named by the inode: as /proc shows it.
				open := tt.open
				tt.open = func() (int, error) {
					fd, err := open()
					if err == nil {
						tt.path, err = os.Readlink("/proc/self/fd/" + itoa(fd))
					}
					return fd, err
				}
			}
			tt.run(t, p)
		})
	}
}

// Kernels before 6.2 have no typed cast: there every structure is read by a helper.
func TestOpenByProbeReads(t *testing.T) {
	c := self
	c.ProbeRead = true
	p := start(t, c, event.Open, event.OpenAt, event.OpenAt2, event.Creat)
	for _, tt := range openCases(t) {
		if tt.path == "PIPE" || tt.path == "NS" {
			continue
		}
		t.Run(tt.name, func(t *testing.T) { tt.run(t, p) })
	}
	pid := run(t, child(t, "credentials", "/etc/passwd"))
	s := p.await("exec", func(s *sample) bool { return s.Type == event.Execve && s.PID == pid })
	if got := s.image(t); got.PPID != int32(os.Getpid()) || got.Exe != resolved(t, "/proc/self/exe") {
		t.Errorf("image = %+v, want that of this program", got)
	}
}

func TestPathInAChangedRoot(t *testing.T) {
	p := start(t, self, event.OpenAt, event.Chroot)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "inside"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	pid := run(t, child(t, "chroot", dir))
	for _, tt := range []struct{ raw, base string }{{"/inside", ""}, {"inside", "/"}} {
		s := p.await("open in the root", func(s *sample) bool {
			return s.Type == event.OpenAt && s.PID == pid && s.str(1) == tt.raw
		})
		if got := s.text(tagPath); got != "/inside" {
			t.Errorf("path of %q = %q, want /inside", tt.raw, got)
		}
		if got := s.text(tagBase); got != tt.base {
			t.Errorf("directory of %q = %q, want %q", tt.raw, got, tt.base)
		}
	}
	s := p.await("chroot", func(s *sample) bool { return s.Type == event.Chroot && s.PID == pid })
	if got := s.text(tagPath); got != dir {
		t.Errorf("path of the new root = %q, want %q", got, dir)
	}
}

func TestPathOnMounts(t *testing.T) {
	p := start(t, self, event.OpenAt)
	dir := t.TempDir()
	mount := func(source, target, kind string, flags uintptr, data string) {
		t.Helper()
		if err := os.MkdirAll(target, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount(source, target, kind, flags, data); err != nil {
			t.Fatalf("mount %s on %s: %v", source, target, err)
		}
		t.Cleanup(func() {
			if err := unix.Unmount(target, unix.MNT_DETACH); err != nil {
				t.Error(err)
			}
		})
	}
	write := func(name string) string {
		t.Helper()
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	mount("tmpfs", dir+"/a", "tmpfs", 0, "")
	for _, sub := range []string{"/a/sub/deep", "/a/lower", "/a/upper", "/a/work"} {
		if err := os.MkdirAll(dir+sub, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	mount("tmpfs", dir+"/a/sub/b", "tmpfs", 0, "")
	mount(dir+"/a/sub", dir+"/bound", "", unix.MS_BIND, "")
	write(dir + "/a/lower/below")
	mount("overlay", dir+"/merged", "overlay", 0, "lowerdir="+dir+"/a/lower,upperdir="+dir+"/a/upper,workdir="+dir+"/a/work")

	open := func(name string, flags int) func() (int, error) {
		return func() (int, error) { return unix.Open(name, flags, 0o600) }
	}
	for _, tt := range []openCase{
		{name: "a mount on a mount", path: write(dir + "/a/sub/b/file")},
		{name: "a bind mount", path: write(dir + "/bound/deep/file")},
		{name: "the lower layer of an overlay", path: dir + "/merged/below", flags: event.FileLower},
		{name: "the upper layer of an overlay", path: write(dir + "/merged/above"), flags: event.FileUpper},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.typ, tt.arg, tt.raw, tt.open = event.OpenAt, 1, tt.path, open(tt.path, unix.O_RDONLY)
			tt.run(t, p)
		})
	}

	t.Run("a mount that is gone", func(t *testing.T) {
		detached := filepath.Join(dir, "detached")
		if err := os.Mkdir(detached, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount("tmpfs", detached, "tmpfs", 0, ""); err != nil {
			t.Fatal(err)
		}
		write(detached + "/file")
		root, err := unix.Open(detached, unix.O_PATH|unix.O_DIRECTORY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(root)
		if err := unix.Unmount(detached, unix.MNT_DETACH); err != nil {
			t.Fatal(err)
		}
		(&openCase{
			typ: event.OpenAt, arg: 1, raw: "file", base: "/", path: "/file", incomplete: true,
			open: func() (int, error) { return unix.Openat(root, "file", unix.O_RDONLY, 0) },
		}).run(t, p)
	})
}

func TestPathLongerThanItsLimitIsCutAndSaysSo(t *testing.T) {
	p := start(t, self, event.OpenAt)
	t.Chdir(t.TempDir())
	name := strings.Repeat("n", 250)
	for range 20 {
		if err := os.Mkdir(name, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := unix.Chdir(name); err != nil {
			t.Fatal(err)
		}
	}
	fd, err := unix.Open("leaf", unix.O_CREAT|unix.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	s := p.awaitOwn(event.OpenAt, func(s *sample) bool { return s.str(1) == "leaf" })
	if want := event.Truncated | event.Incomplete; s.Flags != want {
		t.Errorf("flags = %#x, want %#x", s.Flags, want)
	}
	got, suffix := s.text(tagPath), "/"+name+"/leaf"
	if !strings.HasSuffix(got, suffix) || !strings.HasPrefix(got, "/"+name+"/") || len(got) > 4096 {
		t.Errorf("path is %d bytes long, %.20q…: want its end, in whole names", len(got), got)
	}
}

func itoa(n int) string { return strconv.Itoa(n) }

// bootTime returns the time in the clock of samples.
func bootTime(tb testing.TB) uint64 {
	tb.Helper()
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		tb.Fatal(err)
	}
	return uint64(ts.Nano())
}
