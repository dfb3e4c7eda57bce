//go:build linux

package kernel

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/windhover/windhover/internal/event"
)

func ptr[T any](p *T) uintptr { return uintptr(unsafe.Pointer(p)) }

// cutState returns the state of a thread from its stat file.
func cutState(stat string) (byte, bool) {
	i := strings.LastIndex(stat, ") ")
	if i < 0 || i+2 >= len(stat) {
		return 0, false
	}
	return stat[i+2], true
}

// image is what a test looks at in a snapshot.
type image struct {
	PID, PPID, SID, PGID int32
	VPID                 int32
	UID, EUID            uint32
	Comm, Exe, CWD       string
	Args, Env            []string
}

// exeWritable is EXE_WRITABLE in struct sample_proc.
const exeWritable = 1 << 16

// Offsets in struct sample_proc of bpf/include/event.h.
const (
	procParentStart = 0
	procEffective   = 24
	procExeIno      = 32
	procPIDNSInit   = 56
	procExeDev      = 64
	procExeFlags    = 68
	procPID         = 72
	procStart       = 80
	procPPID        = 88
	procSID         = 92
	procPGID        = 96
	procVPID        = 100
	procUID         = 116
	procEUID        = 124
	procPIDNS       = 140
	procMntNS       = 144
	procComm        = 156
	procSize        = 172
)

func (s *sample) image(tb testing.TB) image {
	tb.Helper()
	if n := len(s.Sections[tagProc]); n != procSize {
		tb.Fatalf("struct sample_proc is %d bytes long, want %d: %v", n, procSize, s)
	}
	vector := func(tag uint8) []string {
		if len(s.Sections[tag]) == 0 {
			return nil
		}
		return strings.Split(s.text(tag), "\x00")
	}
	comm, _, _ := strings.Cut(string(s.Sections[tagProc][procComm:]), "\x00")
	return image{
		PID: int32(s.u32(tagProc, procPID)), PPID: int32(s.u32(tagProc, procPPID)),
		SID: int32(s.u32(tagProc, procSID)), PGID: int32(s.u32(tagProc, procPGID)),
		VPID: int32(s.u32(tagProc, procVPID)),
		UID:  s.u32(tagProc, procUID), EUID: s.u32(tagProc, procEUID),
		Comm: comm, Exe: s.text(tagExe), CWD: s.text(tagCWD),
		Args: vector(tagArgs), Env: vector(tagEnv),
	}
}

// resolved returns the path of a program without symbolic links.
func resolved(tb testing.TB, name string) string {
	tb.Helper()
	name, err := filepath.EvalSymlinks(name)
	if err != nil {
		tb.Fatal(err)
	}
	return name
}

func session(tb testing.TB) int32 {
	tb.Helper()
	sid, err := unix.Getsid(0)
	if err != nil {
		tb.Fatal(err)
	}
	return int32(sid)
}

func TestExec(t *testing.T) {
	p := start(t, self, event.Execve, event.ExecveAt)
	truth := resolved(t, "/bin/true")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "script"), []byte("#!"+truth+" -x\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	plain := exec.Command("/bin/true", "one", "", "three")
	plain.Env = []string{"A=1", "B=2"}
	plain.Dir = "/usr"
	for _, tt := range []struct {
		name       string
		cmd        *exec.Cmd
		typ        event.Type
		file, base string
		want       image
	}{
		{
			"a program with arguments and an environment", plain, event.Execve, "/bin/true", "",
			image{Comm: "true", Exe: truth, CWD: "/usr", Args: []string{"/bin/true", "one", "", "three"}, Env: []string{"A=1", "B=2"}},
		},
		{
			"a script by a relative path", child(t, "script", dir, "script"), event.Execve, "./script", dir,
			image{Comm: "script", Exe: truth, CWD: dir, Args: []string{truth, "-x", "./script", "one"}},
		},
		{
			"a program by its descriptor", child(t, "execveat", truth), event.ExecveAt, "/dev/fd/", "",
			image{Comm: "true", Exe: truth, CWD: cwd(t), Args: []string{"by-descriptor"}},
		},
		{
			"an exec by another thread than the first", child(t, "exec thread", truth, "x"), event.Execve, truth, "",
			image{Comm: "true", Exe: truth, CWD: cwd(t), Args: []string{truth, "x"}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pid := run(t, tt.cmd)
			s := p.await("exec of "+tt.want.Exe, func(s *sample) bool {
				return s.Type == tt.typ && s.PID == pid && s.Ret == 0 && s.text(tagExe) == tt.want.Exe
			})
			arg := 0
			if tt.typ == event.ExecveAt {
				arg = 1
			}
			if s.Lane != event.LaneReserved {
				t.Errorf("lane of an exec = %d, want %d", s.Lane, event.LaneReserved)
			}
			if got := s.str(arg); !strings.HasPrefix(got, tt.file) {
				t.Errorf("file name = %q, want %q", got, tt.file)
			}
			if got := s.text(tagBase); got != tt.base {
				t.Errorf("directory of the file name = %q, want %q", got, tt.base)
			}
			want := tt.want
			want.PID, want.VPID, want.PPID = pid, pid, int32(os.Getpid())
			want.SID, want.PGID = session(t), int32(unix.Getpgrp())
			if diff := cmp.Diff(want, s.image(t)); diff != "" {
				t.Errorf("image (-want +got):\n%s", diff)
			}
			var st unix.Stat_t
			if err := unix.Stat(truth, &st); err != nil {
				t.Fatal(err)
			}
			if got := s.u64(tagProc, procExeIno); got != st.Ino {
				t.Errorf("inode of the executable = %d, want %d", got, st.Ino)
			}
			if major, minor := unix.Major(st.Dev), unix.Minor(st.Dev); s.u32(tagProc, procExeDev) != major<<20|minor {
				t.Errorf("device of the executable = %#x, want %d:%d", s.u32(tagProc, procExeDev), major, minor)
			}
			// The lineage begins with this process.
			if got := int32(s.u32(tagLineage, 8)); got != int32(os.Getpid()) {
				t.Errorf("first ancestor = %d, want %d", got, os.Getpid())
			}
			if got, want := s.u64(tagLineage, 0), s.u64(tagProc, procParentStart); got != want {
				t.Errorf("start of the first ancestor = %d, parent_start = %d: want the same", got, want)
			}
		})
	}

	t.Run("a program in memory", func(t *testing.T) {
		pid := run(t, child(t, "memfd", truth))
		s := p.await("exec", func(s *sample) bool {
			return s.Type == event.Execve && s.PID == pid && s.text(tagArgs) == "innocent"
		})
		if got := s.text(tagExe); got != "/memfd:payload" {
			t.Errorf("executable = %q, want /memfd:payload", got)
		}
		if got := event.FileFlags(s.u32(tagProc, procExeFlags)); got&(event.FileMemfd|event.FileDeleted) != event.FileMemfd {
			t.Errorf("flags of the executable = %#x, want that of a file in memory", got)
		}
	})

	t.Run("an exec that fails", func(t *testing.T) {
		name := filepath.Join(dir, "missing")
		if err := exec.Command(name).Run(); !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("run %s: %v", name, err)
		}
		s := p.await("failed exec", func(s *sample) bool { return s.Type == event.Execve && s.str(0) == name })
		if s.Ret != -int64(unix.ENOENT) || len(s.Args) != 3 {
			t.Errorf("ret = %d with %d arguments, want %d with 3: %v", s.Ret, len(s.Args), -int64(unix.ENOENT), s)
		}
	})
}

func TestExecOfALongCommandLineIsCutAndSaysSo(t *testing.T) {
	p := start(t, self)
	long := strings.Repeat("x", 9000)
	pid := run(t, exec.Command("/bin/true", long))
	s := p.await("exec", func(s *sample) bool { return s.Type == event.Execve && s.PID == pid })
	if got, want := s.text(tagArgs), ("/bin/true\x00" + long)[:8192]; got != want {
		t.Errorf("arguments are %d bytes long, want the first %d of the command line", len(got), len(want))
	}
	if s.Flags&event.Truncated == 0 {
		t.Errorf("flags = %#x, want truncated", s.Flags)
	}
}

func TestFork(t *testing.T) {
	p := start(t, self, event.Clone, event.Clone3, event.Vfork, event.Fork)

	t.Run("a child of this process", func(t *testing.T) {
		pid := run(t, exec.Command("/bin/true"))
		s := p.await("fork", func(s *sample) bool {
			return s.Type >= event.Clone && s.Type <= event.Vfork && s.Ret == int64(pid)
		})
		if s.PID != int32(os.Getpid()) {
			t.Errorf("caller = %d, want %d", s.PID, os.Getpid())
		}
		got := s.image(t)
		if got.PID != pid || got.PPID != int32(os.Getpid()) || got.Exe != resolved(t, "/proc/self/exe") {
			t.Errorf("image of the child = %+v, want that of this program with ID %d and parent %d", got, pid, os.Getpid())
		}
		// Go starts a process with vfork semantics, by clone or clone3.
		if flags := s.Args[0]; flags&unix.CLONE_VFORK == 0 {
			t.Errorf("flags = %#x, want CLONE_VFORK in it: %v", flags, s)
		}
		exec := p.await("exec", func(s *sample) bool { return s.Type == event.Execve && s.PID == pid })
		if got, want := s.u64(tagProc, procStart), exec.Start; got != want {
			t.Errorf("start of the child = %d, of the process that it became %d: want the same", got, want)
		}
	})

	t.Run("threads are reported without a snapshot", func(t *testing.T) {
		pid := run(t, child(t, "threads"))
		s := p.await("thread", func(s *sample) bool {
			return (s.Type == event.Clone || s.Type == event.Clone3) && s.PID == pid && s.Args[0]&unix.CLONE_THREAD != 0
		})
		if _, ok := s.Sections[tagProc]; ok || s.Ret <= 0 || s.Ret == int64(pid) {
			t.Errorf("sample of a new thread = %v, want its ID and no snapshot", s)
		}
	})

	t.Run("a fork that fails", func(t *testing.T) {
		// CLONE_SIGHAND without CLONE_VM is refused.
		_, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, unix.CLONE_SIGHAND, 0, 0, 0, 0, 0)
		if errno != unix.EINVAL {
			t.Fatalf("clone = %v, want %v", errno, unix.EINVAL)
		}
		s := p.awaitOwn(event.Clone, func(s *sample) bool { return s.Ret < 0 })
		if s.Ret != -int64(unix.EINVAL) || s.Args[0] != unix.CLONE_SIGHAND {
			t.Errorf("failed clone = %v", s)
		}
	})
}

func TestForkIntoNewNamespaces(t *testing.T) {
	p := start(t, self, event.OpenAt)
	dir := t.TempDir()
	cmd := child(t, "namespaces", dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS}
	pid := run(t, cmd)
	s := p.await("fork", func(s *sample) bool {
		return s.Type >= event.Clone && s.Type <= event.Vfork && s.Ret == int64(pid)
	})
	if got := s.image(t); got.VPID != 1 || got.PID != pid {
		t.Errorf("process in a new namespace has ID %d, %d inside, want %d and 1", got.PID, got.VPID, pid)
	}
	if got, want := s.u64(tagProc, procPIDNSInit), s.u64(tagProc, procStart); got != want {
		t.Errorf("start of the namespace's init = %d, want that of the process: %d", got, want)
	}
	if got, want := s.text(tagCWD), cwd(t); got != want {
		t.Errorf("working directory = %q, want %q", got, want)
	}
	var st unix.Stat_t
	if err := unix.Stat("/proc/self/ns/mnt", &st); err != nil {
		t.Fatal(err)
	}
	if got := uint64(s.u32(tagProc, procMntNS)); got == st.Ino || got == 0 {
		t.Errorf("mount namespace = %d, want one of its own", got)
	}
	o := p.await("open in the namespace", func(s *sample) bool {
		return s.Type == event.OpenAt && s.PID == pid && strings.HasSuffix(s.str(1), "/in-namespace")
	})
	if got, want := o.text(tagPath), dir+"/in-namespace"; got != want {
		t.Errorf("path on a mount of the namespace = %q, want %q", got, want)
	}
}

func TestExited(t *testing.T) {
	p := start(t, self)
	for _, tt := range []struct {
		name, how string
		status    int64
	}{
		{"with a code", "code", 7 << 8},
		{"by a signal", "signal", int64(unix.SIGKILL)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd := child(t, "exit", tt.how)
			if err := cmd.Run(); err == nil {
				t.Fatal("child succeeded")
			}
			pid := int32(cmd.Process.Pid)
			s := p.await("exit", func(s *sample) bool { return s.Type == event.ProcExit && s.PID == pid })
			if s.Ret != tt.status || s.Lane != event.LaneReserved {
				t.Errorf("status = %#x in lane %d, want %#x in %d", s.Ret, s.Lane, tt.status, event.LaneReserved)
			}
		})
	}
	p.stop()
	n := map[int32]int{}
	for _, s := range p.all() {
		if s.Type == event.ProcExit {
			n[s.PID]++
		}
	}
	for pid, n := range n {
		if n != 1 {
			t.Errorf("process %d ended %d times: its threads are not processes", pid, n)
		}
	}
}

func cwd(tb testing.TB) string {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	return dir
}
