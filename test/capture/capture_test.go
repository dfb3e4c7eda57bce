//go:build linux

package capture

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/windhover/windhover/internal/alert"
	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/ledger"
	"github.com/windhover/windhover/receiver/syscallreceiver"
	"github.com/windhover/windhover/test/require"
)

// children are what a re-executed test binary can do.
var children = map[string]func(args []string) error{
	// open opens a file as often as it is told.
	"open": func(args []string) error {
		for range len(args) - 1 {
			f, err := os.Open(args[0])
			if err != nil {
				return err
			}
			_ = f.Close()
		}
		return nil
	},
	// open after input waits for a line before it opens a file.
	"open after input": func(args []string) error {
		if _, err := fmt.Scanln(new(string)); err != nil {
			return err
		}
		_, err := os.ReadFile(args[0])
		return err
	},
	// start tries to start a receiver and prints why it cannot.
	"start": func([]string) error {
		f := syscallreceiver.NewFactory()
		c := f.CreateDefaultConfig().(*syscallreceiver.Config)
		c.Instance.Rules = ""
		return startOnly(f, c)
	},
}

// marked makes a file that nobody else opens.
func marked(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "marked")
	if err := os.WriteFile(name, []byte("x\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestAProcessIsKnownWithItsParents(t *testing.T) {
	require.Kernel(t)
	file := marked(t)
	w := start(t, rule("open", "evt.type in (open, openat, openat2) and fd.name = "+file,
		"%proc.name|%proc.cmdline|%proc.pname|%proc.pcmdline|%proc.aname[2]|%user.name"))
	script := "cat " + file + "; exit 0"
	run(t, exec.Command("/bin/sh", "-c", script))
	self := filepath.Base(os.Args[0])
	w.awaitText(t, fmt.Sprintf("cat|cat %s|sh|sh -c %s|%s|root", file, script, self[:min(15, len(self))]))
}

// The child's first event comes through another shard than that of its parent.
func TestForkedChildrenAreKnown(t *testing.T) {
	require.Kernel(t)
	file := marked(t)
	w := start(t, rule("open", "evt.type in (open, openat, openat2) and fd.name = "+file, "%proc.name|%proc.pname"),
		func(c *syscallreceiver.Config) { c.Shards = 8 })
	const n = 500
	run(t, exec.Command("/bin/sh", "-c", fmt.Sprintf("i=0; while [ $i -lt %d ]; do (read x <%s); i=$((i+1)); done", n, file)))
	w.stop(t)
	got := w.bodies()
	if len(got) != n {
		t.Errorf("%d records, want %d", len(got), n)
	}
	for _, body := range got {
		if body != "sh|sh" {
			t.Errorf("record %q, want sh|sh", body)
		}
	}
}

func TestWhatRanBeforeIsKnown(t *testing.T) {
	require.Kernel(t)
	file := marked(t)
	cmd := child(t, "open after input", file)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w := start(t, rule("open", "evt.type in (open, openat, openat2) and fd.name = "+file, "%proc.cmdline|%proc.exepath|%proc.pcmdline"))
	// The parent, this process, is not reported, but it was there before.
	want := func(body string) bool {
		f := strings.Split(body, "|")
		return len(f) == 3 && strings.HasSuffix(f[0], file) && f[1] == os.Args[0] && strings.Contains(f[2], "-test.")
	}
	if _, err := in.Write([]byte("go\n")); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	w.await(t, "of the child and its parent", want)
}

func TestExecShowsWhatTheProcessWasAndIs(t *testing.T) {
	require.Kernel(t)
	w := start(t, rule("exec", "evt.type = execve and proc.args contains windhover-exec-test", "%proc.name %proc.args|%proc.pname|%evt.num|%evt.source"))
	run(t, exec.Command("/bin/sh", "-c", "exec /bin/echo windhover-exec-test"))
	w.await(t, "of echo", func(body string) bool { return strings.HasPrefix(body, "echo windhover-exec-test|") })
}

func TestAProcessThatEndsIsKnown(t *testing.T) {
	require.Kernel(t)
	w := start(t, rule("exit", "evt.type = procexit and proc.args contains windhover-exit-test", "%proc.name ended"))
	run(t, exec.Command("/bin/sh", "-c", "true windhover-exit-test"))
	w.awaitText(t, "sh ended")
}

func TestRulesCanChange(t *testing.T) {
	require.Kernel(t)
	dir := t.TempDir()
	w := start(t, rule("mkdir", "evt.type in (mkdir, mkdirat) and fs.path.name startswith "+dir, "made %fs.path.name"))
	one, two := filepath.Join(dir, "one"), filepath.Join(dir, "two")
	run(t, exec.Command("/bin/mkdir", one))
	w.awaitText(t, "made "+one)
	// Nobody wanted unlinks before.
	w.host.live.Swap(compile(t, rule("rmdir", "evt.type in (rmdir, unlinkat) and fs.path.name startswith "+dir, "removed %fs.path.name")))
	run(t, exec.Command("/bin/mkdir", two))
	run(t, exec.Command("/bin/rmdir", two))
	w.awaitText(t, "removed "+two)
	if slices.Contains(w.bodies(), "made "+two) {
		t.Error("a rule that is gone matched")
	}
}

func TestASourceCanStartAgainAndTwice(t *testing.T) {
	require.Kernel(t)
	file := marked(t)
	text := rule("open", "evt.type in (open, openat, openat2) and fd.name = "+file, "opened")
	for range 2 {
		a, b := start(t, text), start(t, text)
		run(t, child(t, "open", file, ""))
		a.awaitText(t, "opened")
		b.awaitText(t, "opened")
		a.stop(t)
		b.stop(t)
	}
}

func TestNothingIsLostBetweenTheCallAndTheRecord(t *testing.T) {
	require.Kernel(t)
	file := marked(t)
	const n, procs = 2000, 4
	w := start(t, rule("open", "evt.type in (open, openat, openat2) and fd.name = "+file, "opened"),
		func(c *syscallreceiver.Config) {
			c.Instance.Queue = alert.QueueConfig{Items: 2 * n * procs, Bytes: 1 << 30}
		})
	var cmds []*exec.Cmd
	for range procs {
		cmd := child(t, "open", append([]string{file}, make([]string, n)...)...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		cmds = append(cmds, cmd)
	}
	for _, cmd := range cmds {
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	w.stop(t)
	if got := len(w.bodies()); got != n*procs {
		t.Errorf("%d records, want %d", got, n*procs)
	}
}

func TestLossesAreCountedAndTold(t *testing.T) {
	require.Kernel(t)
	file := marked(t)
	w := start(t, rule("open", "evt.type in (open, openat, openat2) and fd.name = "+file+" and proc.name = nobody", "opened"),
		func(c *syscallreceiver.Config) {
			c.Rings.Bulk, c.Rings.WakeBytes = 64<<10, 32<<10
			c.Shards = 1
			// Fewer wake-ups make the ring overflow.
			c.Rings.PollInterval = time.Second
		})
	var s ledger.Snapshot
	timeout := time.Now().Add(deadline)
	for s.DroppedAll(event.OpenAt) == 0 {
		if time.Now().After(timeout) {
			t.Fatal("the ring does not overflow")
		}
		run(t, child(t, "open", append([]string{file}, make([]string, 100_000)...)...))
		w.account.Snapshot(&s)
		if err := s.Balance(); err != nil {
			t.Error(err)
		}
	}
	w.await(t, "that events are lost", func(body string) bool {
		return strings.Contains(body, "is losing events") && strings.Contains(body, "openat=") && strings.Contains(body, "ring_full=")
	})
	w.stop(t)
}

func TestContainersAreKnownByTheirCgroup(t *testing.T) {
	require.Kernel(t)
	const id = "3ad7b26ded6d8e7b23da7d48fe889434573036c27ae5a74837233de441c3601e"
	parent := filepath.Join(cgroups(t), "windhover-test")
	dir := filepath.Join(parent, id)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, dir := range []string{dir, parent} {
			if err := os.Remove(dir); err != nil {
				t.Error(err)
			}
		}
	})
	file := marked(t)
	w := start(t, rule("open", "evt.type in (open, openat, openat2) and fd.name = "+file, "in %container.id"))
	run(t, exec.Command("/bin/cat", file))
	w.awaitText(t, "in host")
	run(t, exec.Command("/bin/sh", "-c", fmt.Sprintf("echo $$ >%s/cgroup.procs && exec cat %s", dir, file)))
	w.awaitText(t, "in 3ad7b26ded6d")
}

// cgroups returns where the unified hierarchy is mounted.
func cgroups(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 2 && f[2] == "cgroup2" {
			return f[1]
		}
	}
	// A mount namespace of a container may lack it; anybody may mount it.
	dir := t.TempDir()
	if err := syscall.Mount("none", dir, "cgroup2", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestNamesAreThoseOfTheMountNamespace(t *testing.T) {
	require.Kernel(t)
	file := marked(t)
	passwd := filepath.Join(t.TempDir(), "passwd")
	if err := os.WriteFile(passwd, []byte("root:x:0:0::/root:/bin/sh\ninside:x:4711:0::/:/bin/sh\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	w := start(t, rule("open", "evt.type in (open, openat, openat2) and fd.name = "+file, "%user.uid is %user.name"))
	cmd := exec.Command("/bin/sh", "-c", fmt.Sprintf(`mount --bind %s /etc/passwd && exec setpriv --reuid 4711 --clear-groups sh -c 'while read go; do cat %s; done'`, passwd, file))
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Unshareflags: syscall.CLONE_NEWNS}
	for dir := filepath.Dir(file); dir != os.TempDir(); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// The names are read in the background: the first events may come before them.
	timeout := time.Now().Add(deadline)
	for !slices.Contains(w.bodies(), "4711 is inside") {
		if time.Now().After(timeout) {
			t.Fatalf("records %.500q, want 4711 is inside", w.bodies())
		}
		before := len(w.bodies())
		if _, err := in.Write([]byte("go\n")); err != nil {
			t.Fatal(err)
		}
		w.awaitMore(t, before)
	}
	_ = in.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
}

func TestMissingCapabilitiesAreNamed(t *testing.T) {
	require.Kernel(t)
	cmd := child(t, "start")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	// The test binary lies in a directory that only root may enter.
	exe := filepath.Join(os.TempDir(), fmt.Sprintf("windhover-capture-%d", os.Getpid()))
	b, err := os.ReadFile(cmd.Path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(exe, b, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(exe) })
	cmd.Path, cmd.Dir, cmd.Stderr = exe, "/", nil
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Fatal("the receiver started without capabilities")
	}
	for _, want := range []string{"CAP_BPF", "CAP_PERFMON", "run as root or grant them"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("error %q does not say %q", out, want)
		}
	}
}

func TestAlertsAreInTime(t *testing.T) {
	require.Kernel(t)
	file := marked(t)
	w := start(t, rule("open", "evt.type in (open, openat, openat2) and fd.name = "+file, "open")+
		rule("exec", "evt.type = execve and proc.args contains windhover-latency-test", "exec"))
	const n = 100
	for range n {
		run(t, exec.Command("/bin/sh", "-c", "true windhover-latency-test; read x <"+file))
	}
	w.stop(t)
	late := map[string][]time.Duration{}
	for _, a := range w.all {
		late[a.body] = append(late[a.body], a.late)
	}
	// The median, since other work of the machine is not what is tested.
	for body, limit := range map[string]time.Duration{"exec": 20 * time.Millisecond, "open": 50 * time.Millisecond} {
		d := late[body]
		if len(d) != n {
			t.Fatalf("%d records of %s, want %d", len(d), body, n)
		}
		slices.Sort(d)
		t.Logf("%s: median %v, 99th percentile %v", body, d[n/2], d[n*99/100])
		if d[n/2] > limit {
			t.Errorf("%s: the median delay is %v, want at most %v", body, d[n/2], limit)
		}
	}
}
