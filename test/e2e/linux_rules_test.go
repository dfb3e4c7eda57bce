//go:build linux

package e2e

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/windhover/windhover/rules"
	"github.com/windhover/windhover/test/require"
)

// linuxCase makes one default rule fire with real system calls, and does something
// near it that must stay silent.
type linuxCase struct {
	rule string
	act  func(*actor) error
	miss func(*actor) error
	near string // what miss does
}

func linuxCaseByRule(rule string) (linuxCase, bool) {
	for _, c := range linuxCases {
		if c.rule == rule {
			return c, true
		}
	}
	return linuxCase{}, false
}

// in runs do in a program called name.
func in(name string, do func(*actor) error) func(*actor) error {
	return func(a *actor) error {
		if a.stage() == "" {
			return a.as(name, "do")
		}
		return do(a)
	}
}

// user runs do under an unprivileged user ID.
func user(do func(*actor) error) func(*actor) error {
	return func(a *actor) error {
		if a.stage() == "" {
			return a.asUser(12345, "do")
		}
		return do(a)
	}
}

// container runs do in a control group that a container engine would make.
func container(do func(*actor) error) func(*actor) error {
	return func(a *actor) error {
		switch a.stage() {
		case "":
			return a.as("entrypoint", "enter")
		case "enter":
			return a.inContainerGroup("do")
		}
		return do(a)
	}
}

func reads(file string) func(*actor) error {
	return func(a *actor) error {
		if err := a.put(file, "x"); err != nil {
			return err
		}
		return open(file, unix.O_RDONLY)
	}
}

func writes(file string, flags int) func(*actor) error {
	return func(*actor) error {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		return open(file, unix.O_WRONLY|unix.O_CREAT|flags)
	}
}

func starts(program string, args ...string) func(*actor) error {
	return func(a *actor) error {
		if a.stage() != "" {
			return nil
		}
		if filepath.IsAbs(program) {
			return a.runAt(program, "do", args...)
		}
		return a.as(program, "do", args...)
	}
}

// parent makes a program called parent start one called child.
func parent(parentName, child string) func(*actor) error {
	return func(a *actor) error {
		switch a.stage() {
		case "":
			return a.as(parentName, "parent")
		case "parent":
			return a.as(child, "child")
		}
		return nil
	}
}

func errnoOf(_, _ uintptr, errno unix.Errno) error {
	if errno != 0 {
		return errno
	}
	return nil
}

var linuxCases = []linuxCase{
	{
		rule: "Sensitive file read by an unexpected program",
		act:  reads("/etc/shadow"),
		near: "sshd reads the password hashes",
		miss: in("sshd", reads("/etc/shadow")),
	},
	{
		rule: "Private key read by an unexpected program",
		act:  reads("/root/.ssh/id_ed25519"),
		near: "the public half is read",
		miss: reads("/root/.ssh/known_hosts"),
	},
	{
		rule: "Cloud credentials read by a general purpose tool",
		act:  in("cat", reads("/root/.aws/credentials")),
		near: "the cloud's own client reads them",
		miss: in("aws", reads("/root/.aws/credentials")),
	},
	{
		rule: "Search for private keys or passwords",
		act:  starts("find", "/", "-name", "id_rsa"),
		near: "something else is searched",
		miss: starts("find", "/", "-name", "readme.txt"),
	},
	{
		rule: "Memory or environment of another process read",
		act:  in("strings", func(*actor) error { return open(fmt.Sprintf("/proc/%d/environ", os.Getppid()), unix.O_RDONLY) }),
		near: "the status of a process is read",
		miss: in("strings", func(*actor) error { return open(fmt.Sprintf("/proc/%d/status", os.Getppid()), unix.O_RDONLY) }),
	},
	{
		rule: "Cloud metadata service contacted by an unexpected program",
		act:  func(*actor) error { return connect("169.254.169.254", 80) },
		near: "its neighbour is contacted",
		miss: func(*actor) error { return connect("169.254.169.253", 80) },
	},
	{
		rule: "Shell spawned by a server program",
		act:  parent("nginx", "sh"),
		near: "a server starts a worker",
		miss: parent("nginx", "worker"),
	},
	{
		rule: "Program executed from shared memory",
		act:  starts("/dev/shm/tool"),
		near: "a program of nearly that directory is executed",
		miss: starts("/usr/local/bin/dev-shm-tool"),
	},
	{
		rule: "Program executed from memory",
		act: func(a *actor) error {
			if a.stage() != "" {
				return nil
			}
			return a.memfdProgram("do")
		},
		near: "an anonymous file is made and not executed",
		miss: func(*actor) error {
			fd, err := unix.MemfdCreate("quiet", 0)
			if err != nil {
				return err
			}
			return unix.Close(fd)
		},
	},
	{
		rule: "Hidden program executed from a temporary directory",
		act: func(a *actor) error {
			if a.stage() != "" {
				return nil
			}
			dir, err := os.MkdirTemp("/var/tmp", ".hidden-")
			if err != nil {
				return err
			}
			defer os.RemoveAll(dir)
			return a.runAt(filepath.Join(dir, "tool"), "do")
		},
		near: "a program in plain view is executed there",
		miss: func(a *actor) error {
			if a.stage() != "" {
				return nil
			}
			dir, err := os.MkdirTemp("/var/tmp", "plain-")
			if err != nil {
				return err
			}
			defer os.RemoveAll(dir)
			return a.runAt(filepath.Join(dir, "tool"), "do")
		},
	},
	{
		rule: "Data destruction tool started",
		act:  starts("shred", "disk.img"),
		near: "dd writes to nowhere",
		miss: starts("dd", "if=/dev/zero", "of=/dev/null"),
	},
	{
		rule: "Process changed through ptrace",
		act: func(a *actor) error {
			if a.stage() == "wait" {
				_, err := io.Copy(io.Discard, os.Stdin)
				return err
			}
			return a.ptraceChild(unix.PTRACE_ATTACH)
		},
		near: "a debugger attaches",
		miss: func(a *actor) error {
			switch a.stage() {
			case "":
				return a.as("gdb", "debug")
			case "wait":
				_, err := io.Copy(io.Discard, os.Stdin)
				return err
			}
			return a.ptraceChild(unix.PTRACE_ATTACH)
		},
	},
	{
		rule: "Process disguised as a kernel thread",
		act:  func(*actor) error { return setName("[kworker/0:1]") },
		near: "a process takes a plain name",
		miss: func(*actor) error { return setName("kworker") },
	},
	{
		rule: "Log file cleared",
		act: func(a *actor) error {
			if err := a.put("/var/log/auth.log", "x"); err != nil {
				return err
			}
			return open("/var/log/auth.log", unix.O_WRONLY|unix.O_TRUNC)
		},
		near: "a log is appended to",
		miss: writes("/var/log/other.log", unix.O_APPEND),
	},
	{
		rule: "Shell history removed",
		act: func(a *actor) error {
			if err := a.put("/root/.bash_history", "ls"); err != nil {
				return err
			}
			return unix.Unlink("/root/.bash_history")
		},
		near: "another file of the home directory is removed",
		miss: func(a *actor) error {
			if err := a.put("/root/.bash_logout", "clear"); err != nil {
				return err
			}
			return unix.Unlink("/root/.bash_logout")
		},
	},
	{
		rule: "Symbolic link over a sensitive file",
		act:  func(a *actor) error { return unix.Symlink("/etc/shadow", filepath.Join(a.dir, "notes")) },
		near: "a link to a public file is made",
		miss: func(a *actor) error { return unix.Symlink("/etc/hostname", filepath.Join(a.dir, "host")) },
	},
	{
		rule: "Hard link over a sensitive file",
		act: func(a *actor) error {
			if err := a.put("/etc/shadow", "x"); err != nil {
				return err
			}
			return unix.Link("/etc/shadow", "/etc/notes")
		},
		near: "a public file gets a second name",
		miss: func(a *actor) error {
			if err := a.put("/etc/hostname", "x"); err != nil {
				return err
			}
			return unix.Link("/etc/hostname", "/etc/hostname2")
		},
	},
	{
		rule: "Account file written by an unexpected program",
		act:  writes("/etc/passwd", 0),
		near: "useradd writes it",
		miss: in("useradd", writes("/etc/passwd", 0)),
	},
	{
		rule: "SSH authorized keys written",
		act:  writes("/root/.ssh/authorized_keys", unix.O_APPEND),
		near: "the list of known hosts is written",
		miss: writes("/root/.ssh/known_hosts", unix.O_APPEND),
	},
	{
		rule: "Scheduled task or service written",
		act:  writes("/etc/cron.d/job", 0),
		near: "crontab writes it",
		miss: in("crontab", writes("/etc/cron.d/job2", 0)),
	},
	{
		rule: "Dynamic linker preload written",
		act:  writes("/etc/ld.so.preload", 0),
		near: "the linker's other configuration is written",
		miss: writes("/etc/ld.so.conf", 0),
	},
	{
		rule: "File written below a directory of system programs",
		act:  writes("/usr/sbin/tool", 0),
		near: "a program of the administrator's own directory is written",
		miss: writes("/usr/local/bin/tool", 0),
	},
	{
		rule: "Script written by a server program",
		act:  in("apache2", func(a *actor) error { return open(filepath.Join(a.dir, "shell.php"), unix.O_WRONLY|unix.O_CREAT) }),
		near: "a server writes a picture",
		miss: in("apache2", func(a *actor) error { return open(filepath.Join(a.dir, "picture.png"), unix.O_WRONLY|unix.O_CREAT) }),
	},
	{
		rule: "Set-user-ID bit set",
		act: func(a *actor) error {
			file := filepath.Join(a.dir, "suid")
			if err := a.put(file, "x"); err != nil {
				return err
			}
			return unix.Chmod(file, 0o4755)
		},
		near: "a file is made executable",
		miss: func(a *actor) error {
			file := filepath.Join(a.dir, "plain")
			if err := a.put(file, "x"); err != nil {
				return err
			}
			return unix.Chmod(file, 0o755)
		},
	},
	{
		rule: "Root identity requested by an unprivileged user",
		act: user(func(*actor) error {
			if errnoOf(unix.RawSyscall(unix.SYS_SETUID, 0, 0, 0)) == nil {
				return fmt.Errorf("an unprivileged process became root")
			}
			return nil
		}),
		near: "a process asks for the user ID it has",
		miss: user(func(*actor) error { return errnoOf(unix.RawSyscall(unix.SYS_SETUID, 12345, 0, 0)) }),
	},
	{
		rule: "Kernel module loaded by an unexpected program",
		act: func(*actor) error {
			_ = unix.InitModule([]byte("no module"), "")
			return nil
		},
		near: "insmod does it",
		miss: in("insmod", func(*actor) error {
			_ = unix.InitModule([]byte("no module"), "")
			return nil
		}),
	},
	{
		rule: "BPF program loaded by an unexpected program",
		act:  func(*actor) error { return loadBPF() },
		near: "bpftool loads one",
		miss: in("bpftool", func(*actor) error { return loadBPF() }),
	},
	{
		rule: "Namespace of another process entered",
		act:  enterNamespace,
		near: "a container runtime enters it",
		miss: in("runc", enterNamespace),
	},
	{
		rule: "User namespace created by an unprivileged user",
		act:  user(func(*actor) error { return childUnshare(unix.CLONE_NEWUSER) }),
		near: "root makes a mount namespace",
		miss: func(*actor) error { return childUnshare(unix.CLONE_NEWNS) },
	},
	{
		rule: "File system mounted in a container",
		act:  container(mountScratch),
		near: "a file system is mounted on the host",
		miss: mountScratch,
	},
	{
		rule: "Kernel helper path written",
		act:  func(*actor) error { return open("/proc/sys/kernel/core_pattern", unix.O_WRONLY) },
		near: "it is read",
		miss: func(*actor) error { return open("/proc/sys/kernel/core_pattern", unix.O_RDONLY) },
	},
	{
		rule: "Container runtime socket contacted by an unexpected program",
		act:  in("curl", func(a *actor) error { return connectUnix(filepath.Join(a.dir, "docker.sock")) }),
		near: "curl contacts another socket",
		miss: in("curl", func(a *actor) error { return connectUnix(filepath.Join(a.dir, "other.sock")) }),
	},
	{
		rule: "Outbound connection by an unexpected program",
		act:  in("bash", connectOut),
		near: "curl connects",
		miss: in("curl", connectOut),
	},
	{
		rule: "Port opened by a network backdoor tool",
		act:  in("ncat", openPort),
		near: "a web server opens a port",
		miss: in("nginx", openPort),
	},
}

func setName(name string) error {
	b := append([]byte(name), 0)
	return unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(&b[0])), 0, 0, 0)
}

func enterNamespace(*actor) error {
	fd, err := unix.Open("/proc/self/ns/uts", unix.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Setns(fd, unix.CLONE_NEWUTS)
}

// childUnshare calls unshare(2) in a process with one thread, which a user namespace
// needs: it starts unshare's caller through clone(2) without the Go runtime.
func childUnshare(flags int) error {
	pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	if pid == 0 {
		_, _, errno = unix.RawSyscall(unix.SYS_UNSHARE, uintptr(flags), 0, 0)
		unix.RawSyscall(unix.SYS_EXIT_GROUP, uintptr(errno), 0, 0)
	}
	var status unix.WaitStatus
	if _, err := unix.Wait4(int(pid), &status, 0, nil); err != nil {
		return err
	}
	if status.ExitStatus() != 0 {
		return unix.Errno(status.ExitStatus())
	}
	return nil
}

func mountScratch(a *actor) error {
	dir := filepath.Join(a.dir, "mnt")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("none", dir, "tmpfs", 0, ""); err != nil {
		return err
	}
	return unix.Unmount(dir, 0)
}

func connectUnix(path string) error {
	_ = os.Remove(path)
	l, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(l)
	if err := unix.Bind(l, &unix.SockaddrUnix{Name: path}); err != nil {
		return err
	}
	if err := unix.Listen(l, 1); err != nil {
		return err
	}
	c, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(c)
	return unix.Connect(c, &unix.SockaddrUnix{Name: path})
}

func connectOut(*actor) error {
	l, port, err := listener()
	if err != nil {
		return err
	}
	defer unix.Close(l)
	return connect("127.0.0.1", port)
}

func openPort(*actor) error {
	l, _, err := listener()
	if err != nil {
		return err
	}
	return unix.Close(l)
}

// inContainerGroup runs stage in a control group named like a container.
func (a *actor) inContainerGroup(stage string) error {
	root, err := cgroupRoot()
	if err != nil {
		return err
	}
	group := filepath.Join(root, "docker-"+strings.Repeat("0123456789abcdef", 4)+".scope")
	if err := os.MkdirAll(group, 0o755); err != nil {
		return err
	}
	defer os.Remove(group)
	if err := os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte("0"), 0o644); err != nil {
		return err
	}
	err = a.as("contained", stage)
	if back := os.WriteFile(filepath.Join(root, "cgroup.procs"), []byte("0"), 0o644); err == nil {
		err = back
	}
	return err
}

// cgroupRoot returns where the unified hierarchy is mounted.
func cgroupRoot() (string, error) {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); len(f) > 2 && f[2] == "cgroup2" {
			return f[1], nil
		}
	}
	dir, err := os.MkdirTemp("", "cgroup-")
	if err != nil {
		return "", err
	}
	return dir, unix.Mount("none", dir, "cgroup2", 0, "")
}

// linuxRules returns the names of the default rules for system calls.
func linuxRules(tb testing.TB) []string {
	tb.Helper()
	set, report := rules.Compile(rules.Library(), rules.Options{})
	if set == nil {
		tb.Fatalf("the default rules do not compile: %v", report)
	}
	var names []string
	for _, r := range set.Rules() {
		if r.Source == "syscall" {
			names = append(names, r.Name)
		}
	}
	return names
}

func TestEveryLinuxRuleFiresAndItsNearMissDoesNot(t *testing.T) {
	require.Kernel(t)
	for _, name := range linuxRules(t) {
		if _, ok := linuxCaseByRule(name); !ok {
			t.Errorf("rule %q has no case", name)
		}
	}
	d := startDaemon(t, "receivers: {windhover_syscall: {fold: {enabled: false}}}\nexporters: {windhover_console: {}}\n")

	for i, c := range linuxCases {
		t.Run(c.rule, func(t *testing.T) {
			missMark := fmt.Sprintf("miss-%d-", i)
			if err := play(t, "miss:"+c.rule, missMark); err != nil {
				t.Fatalf("%s: %v", c.near, err)
			}
			mark := fmt.Sprintf("act-%d-", i)
			if err := play(t, "act:"+c.rule, mark); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			a, err := d.await(ctx, func(a *alertLine) bool { return a.Rule == c.rule && strings.Contains(a.field("proc.cmdline"), mark) })
			if err != nil {
				t.Fatalf("no alert: %v", err)
			}
			if len(a.Tags) == 0 || strings.Contains(a.Output, "%") {
				t.Errorf("the alert is not whole: %+v", a)
			}
		})
	}

	d.stop() // drains: what was captured before is out now
	for i, c := range linuxCases {
		mark := fmt.Sprintf("miss-%d-", i)
		for _, a := range d.all() {
			if a.Rule == c.rule && strings.Contains(a.field("proc.cmdline"), mark) {
				t.Errorf("%s: alert though %s: %s", c.rule, c.near, a.Output)
			}
		}
	}
}

// play runs a case in a process of its own.
func play(t *testing.T, name, mark string) error {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, mark)
	cmd.WaitDelay = time.Second // its children hold its output open
	cmd.Env = append(os.Environ(), actorEnv+"="+name, "WINDHOVER_E2E_DIR="+dir)
	cmd.SysProcAttr = &unix.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}
