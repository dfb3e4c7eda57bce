//go:build linux

package kernel

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/windhover/windhover/bpf"
)

// childEnv names the function of children that the test binary runs instead of tests.
const childEnv = "WINDHOVER_TEST_CHILD"

// children are run in processes of their own because of what they do to themselves.
// They have the arguments that follow their name.
var children = map[string]func(args []string) error{
	"chroot":        chrootChild,
	"threads":       threadsChild,
	"exec thread":   execThreadChild,
	"script":        scriptChild,
	"exit":          exitChild,
	"namespaces":    namespacesChild,
	"execveat":      execveatChild,
	"credentials":   credentialsChild,
	"zombie leader": zombieLeaderChild,
	"unprivileged":  unprivilegedChild,
	"memfd":         memfdChild,
	"losers":        losersChild,
}

func TestMain(m *testing.M) {
	name, ok := os.LookupEnv(childEnv)
	if !ok {
		os.Exit(m.Run())
	}
	runtime.LockOSThread()
	if err := children[name](os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(99)
	}
}

// child returns a command that runs a function of children.
func child(tb testing.TB, name string, args ...string) *exec.Cmd {
	tb.Helper()
	if children[name] == nil {
		tb.Fatalf("no child function %q", name)
	}
	cmd := exec.CommandContext(tb.Context(), "/proc/self/exe", args...)
	cmd.Env = []string{childEnv + "=" + name}
	cmd.Stderr = os.Stderr
	return cmd
}

// run runs a command that must succeed and returns its process ID.
func run(tb testing.TB, cmd *exec.Cmd) int32 {
	tb.Helper()
	if err := cmd.Run(); err != nil {
		tb.Fatalf("run %v: %v", cmd, err)
	}
	return int32(cmd.Process.Pid)
}

func chrootChild(args []string) error {
	// Directory args[0] becomes the root, then a file in it is opened.
	if err := unix.Chroot(args[0]); err != nil {
		return err
	}
	if err := unix.Chdir("/"); err != nil {
		return err
	}
	for _, name := range []string{"/inside", "inside"} {
		fd, err := unix.Open(name, unix.O_RDONLY, 0)
		if err != nil {
			return err
		}
		unix.Close(fd)
	}
	return nil
}

func threadsChild([]string) error {
	done := make(chan error)
	for range 4 {
		go func() {
			runtime.LockOSThread()
			_, err := os.Stat("/")
			done <- err
		}()
	}
	for range 4 {
		if err := <-done; err != nil {
			return err
		}
	}
	return nil
}

func execThreadChild(args []string) error {
	// A thread other than the leader, which is locked to the main goroutine.
	failed := make(chan error)
	go func() {
		runtime.LockOSThread()
		failed <- unix.Exec(args[0], args, []string{})
	}()
	return <-failed
}

func scriptChild(args []string) error {
	if err := os.Chdir(args[0]); err != nil {
		return err
	}
	return unix.Exec("./"+args[1], []string{"zero", "one"}, []string{})
}

func exitChild(args []string) error {
	switch args[0] {
	case "code":
		unix.Exit(7)
	case "signal":
		if err := unix.Kill(unix.Getpid(), unix.SIGKILL); err != nil {
			return err
		}
	}
	select {}
}

func namespacesChild(args []string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", args[0], "tmpfs", 0, ""); err != nil {
		return err
	}
	fd, err := unix.Open(args[0]+"/in-namespace", unix.O_CREAT|unix.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

func execveatChild(args []string) error {
	fd, err := unix.Open(args[0], unix.O_PATH, 0)
	if err != nil {
		return err
	}
	empty, err := unix.BytePtrFromString("")
	if err != nil {
		return err
	}
	name, err := unix.BytePtrFromString("by-descriptor")
	if err != nil {
		return err
	}
	argv := []*byte{name, nil}
	_, _, errno := syscall.Syscall6(unix.SYS_EXECVEAT, uintptr(fd), ptr(empty), ptr(&argv[0]), 0, unix.AT_EMPTY_PATH, 0)
	return errno
}

func credentialsChild(args []string) error {
	// All calls are made by the leader, whose event shows what it has become.
	open := func() error {
		fd, err := unix.Open(args[0], unix.O_RDONLY, 0)
		if err != nil {
			return err
		}
		return unix.Close(fd)
	}
	if err := open(); err != nil {
		return err
	}
	if _, _, errno := syscall.RawSyscall(unix.SYS_SETRESUID, 65534, 65533, 65532); errno != 0 {
		return errno
	}
	return open()
}

func zombieLeaderChild(args []string) error {
	done := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer close(done)
		// The leader has ended once its state says so.
		for {
			stat, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/stat", os.Getpid()))
			if err != nil {
				break
			}
			if state, ok := cutState(string(stat)); ok && state == 'Z' {
				break
			}
			runtime.Gosched()
		}
		fd, err := unix.Open(args[0], unix.O_RDONLY, 0)
		if err == nil {
			unix.Close(fd)
		}
		unix.Exit(0)
	}()
	// Ends this thread only, not the process.
	_, _, errno := syscall.RawSyscall(unix.SYS_EXIT, 0, 0, 0)
	<-done
	return errno
}

// unprivilegedChild says on standard output what Load lacks.
func unprivilegedChild([]string) error {
	_, err := bpf.Load(bpf.Config{})
	var missing *bpf.MissingCapabilityError
	if !errors.As(err, &missing) {
		return fmt.Errorf("load: %w", err)
	}
	fmt.Print(strings.Join(missing.Missing, " "))
	return nil
}

// memfdChild executes a copy of program args[0] in memory.
func memfdChild(args []string) error {
	b, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	fd, err := unix.MemfdCreate("payload", 0)
	if err != nil {
		return err
	}
	if _, err := unix.Write(fd, b); err != nil {
		return err
	}
	return unix.Exec(fmt.Sprintf("/proc/self/fd/%d", fd), []string{"innocent"}, nil)
}
