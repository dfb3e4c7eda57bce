//go:build linux

package e2e

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// actor does what a case says, in a process of its own: the test binary started
// again under the name of the program it plays. Its mount namespace is its own, with
// empty file systems over the directories that cases write to, so that no case
// changes the machine.
type actor struct {
	dir  string // a directory of the case
	mark string // an argument that is in the command line of every process of the case
}

func act(name string) int {
	runtime.LockOSThread()
	verb, rest, _ := strings.Cut(name, ":")
	c, ok := linuxCaseByRule(rest)
	if !ok {
		fmt.Fprintf(os.Stderr, "no case %q\n", rest)
		return 2
	}
	a := &actor{dir: os.Getenv("WINDHOVER_E2E_DIR"), mark: os.Args[1]}
	if os.Getenv("WINDHOVER_E2E_STAGE") == "" {
		if err := a.seclude(); err != nil {
			fmt.Fprintln(os.Stderr, "seclude:", err)
			return 2
		}
	}
	do := c.act
	if verb == "miss" {
		do = c.miss
	}
	if err := do(a); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		return 1
	}
	return 0
}

// seclude puts empty file systems over what cases write to.
func (a *actor) seclude() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	// What a case may look up stays: bound, since writing it would be what rules watch.
	keep := map[string]int{}
	for _, f := range []string{"/etc/passwd", "/etc/group"} {
		fd, err := unix.Open(f, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		keep[f] = fd
	}
	for _, dir := range []string{"/etc", "/root", "/home", "/var/log", "/var/spool", "/usr/local/bin", "/usr/sbin", "/dev/shm"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=0755"); err != nil {
			return fmt.Errorf("mount over %s: %w", dir, err)
		}
	}
	for f, fd := range keep {
		if err := unix.Mknod(f, unix.S_IFREG|0o644, 0); err != nil {
			return err
		}
		if err := unix.Mount(fmt.Sprintf("/proc/self/fd/%d", fd), f, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("bind %s: %w", f, err)
		}
	}
	return nil
}

// put makes a file and the directories above it.
func (a *actor) put(file, text string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(text), 0o600)
}

// self copies this program to file.
func (a *actor) self(file string) (string, error) {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return "", err
	}
	in, err := os.Open("/proc/self/exe")
	if err != nil {
		return "", err
	}
	defer in.Close()
	out, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o755)
	if err != nil {
		return "", err
	}
	if _, err := io.Copy(out, in); err != nil {
		return "", err
	}
	return file, out.Close()
}

// as runs stage of this case in a program called name, with more arguments.
func (a *actor) as(name, stage string, args ...string) error {
	return a.runAt(filepath.Join(a.dir, "programs", name), stage, args...)
}

// runAt is as for a program at a given path.
func (a *actor) runAt(path, stage string, args ...string) error {
	if _, err := a.self(path); err != nil {
		return err
	}
	return a.start(path, stage, nil, args...)
}

func (a *actor) start(path, stage string, attr *syscall.SysProcAttr, args ...string) error {
	cmd := exec.Command(path, append([]string{a.mark}, args...)...)
	cmd.Env = append(os.Environ(), "WINDHOVER_E2E_STAGE="+stage)
	cmd.SysProcAttr = attr
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", path, err, out)
	}
	return nil
}

// stage is the part of the case that this process plays: empty at first.
func (a *actor) stage() string { return os.Getenv("WINDHOVER_E2E_STAGE") }

func open(file string, flags int) error {
	fd, err := unix.Open(file, flags, 0o600)
	if err != nil {
		return fmt.Errorf("open %s: %w", file, err)
	}
	return unix.Close(fd)
}

// asUser runs stage under user ID uid.
func (a *actor) asUser(uid uint32, stage string) error {
	path, err := a.self("/usr/local/bin/" + "plain")
	if err != nil {
		return err
	}
	return a.start(path, stage, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}})
}

// connect makes a TCP connection to address and ignores its outcome.
func connect(ip string, port int) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	sa := &unix.SockaddrInet4{Port: port}
	copy(sa.Addr[:], net.ParseIP(ip).To4())
	_ = unix.Connect(fd, sa)
	return nil
}

// listener returns a listening socket of this machine and its port.
func listener() (fd, port int, err error) {
	if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0); err != nil {
		return 0, 0, err
	}
	if err = unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 0, 0, err
	}
	if err = unix.Listen(fd, 1); err != nil {
		return 0, 0, err
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return 0, 0, err
	}
	return fd, sa.(*unix.SockaddrInet4).Port, nil
}

// loadBPF loads the smallest BPF program there is: return 0.
func loadBPF() error {
	insns := []uint64{0x00000000000000b7, 0x0000000000000095}
	license := []byte("GPL\x00")
	attr := struct {
		progType, insnCnt uint32
		insns, license    uint64
		rest              [112]byte
	}{progType: unix.BPF_PROG_TYPE_SOCKET_FILTER, insnCnt: 2, insns: uint64(uintptr(unsafe.Pointer(&insns[0]))), license: uint64(uintptr(unsafe.Pointer(&license[0])))}
	fd, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_LOAD, uintptr(unsafe.Pointer(&attr)), 48)
	runtime.KeepAlive(insns)
	runtime.KeepAlive(license)
	if errno != 0 {
		return errno
	}
	return unix.Close(int(fd))
}

// memfdProgram runs stage from an anonymous file in memory.
func (a *actor) memfdProgram(stage string) error {
	fd, err := unix.MemfdCreate("act", 0)
	if err != nil {
		return err
	}
	out := os.NewFile(uintptr(fd), "act")
	defer out.Close()
	in, err := os.Open("/proc/self/exe")
	if err != nil {
		return err
	}
	defer in.Close()
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	return a.start(fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), fd), stage, nil)
}

// ptraceChild attaches to a child of this process and lets it go.
func (a *actor) ptraceChild(request int) error {
	child := exec.Command(filepath.Join(a.dir, "programs", "victim"), a.mark)
	if _, err := a.self(child.Path); err != nil {
		return err
	}
	child.Env = append(os.Environ(), "WINDHOVER_E2E_STAGE=wait")
	stdin, err := child.StdinPipe()
	if err != nil {
		return err
	}
	if err := child.Start(); err != nil {
		return err
	}
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, uintptr(request), uintptr(child.Process.Pid), 0, 0, 0, 0)
	if errno == 0 && request == unix.PTRACE_ATTACH {
		var status unix.WaitStatus
		_, _ = unix.Wait4(child.Process.Pid, &status, 0, nil)
		_ = unix.PtraceDetach(child.Process.Pid)
		// The stop that was waited for may have been another signal's: then that of the
		// attachment is still to come, unless this takes it away.
		_ = unix.Kill(child.Process.Pid, unix.SIGCONT)
	}
	stdin.Close()
	_ = child.Wait()
	if errno != 0 && request == unix.PTRACE_ATTACH {
		return fmt.Errorf("ptrace attach: %w", errno)
	}
	return nil
}
