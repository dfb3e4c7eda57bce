//go:build linux

package packages

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const repository = "../../.."

// TestMain gives podman storage of its own: the images and containers of this machine are
// none of a test's business.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "windhover-packages-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := 1
	if err := configure(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		code = m.Run()
	}
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func configure(dir string) error {
	engine := filepath.Join(dir, "containers.conf")
	storage := filepath.Join(dir, "storage.conf")
	return errors.Join(
		// A machine may allow less than podman's default limits.
		os.WriteFile(engine, []byte(`[containers]
default_ulimits = ["nofile=1024:4096", "nproc=1024:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
`), 0o600),
		os.WriteFile(storage, fmt.Appendf(nil, "[storage]\ndriver = \"vfs\"\ngraphroot = %q\nrunroot = %q\n",
			filepath.Join(dir, "storage"), filepath.Join(dir, "run")), 0o600),
		os.Setenv("CONTAINERS_CONF", engine),
		os.Setenv("CONTAINERS_STORAGE_CONF", storage))
}

// needs skips a test where this machine cannot run containers that watch it; with
// WINDHOVER_REQUIRE_KERNEL=1 it fails instead.
func needs(t *testing.T) {
	t.Helper()
	err := lacking()
	switch {
	case err == nil:
	case os.Getenv("WINDHOVER_REQUIRE_KERNEL") == "1":
		t.Fatalf("%v, and WINDHOVER_REQUIRE_KERNEL=1", err)
	default:
		t.Skip(err)
	}
}

func lacking() error {
	if os.Geteuid() != 0 {
		return errors.New("run containers with capabilities: needs root")
	}
	if _, err := os.Stat("/sys/kernel/btf/vmlinux"); err != nil {
		return fmt.Errorf("find kernel types: %w", err)
	}
	for _, program := range []string{"podman", "runc"} {
		if _, err := exec.LookPath(program); err != nil {
			return err
		}
	}
	return nil
}

// artifact returns the absolute path of the one file that a pattern below the root of the
// repository matches.
func artifact(t *testing.T, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(repository, pattern))
	if err != nil || len(files) != 1 {
		t.Fatalf("find %s: %d files, %v; make test-packages builds it", pattern, len(files), err)
	}
	path, err := filepath.Abs(files[0])
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// result is what a program did.
type result struct {
	stdout, stderr string
	code           int
}

func (r result) String() string {
	return fmt.Sprintf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
}

// try runs a program to its end.
func try(t *testing.T, name string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 2*time.Minute)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatalf("run %s %s: %v", name, strings.Join(args, " "), err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// must runs a program that has to succeed and returns its output.
func must(t *testing.T, name string, args ...string) string {
	t.Helper()
	r := try(t, name, args...)
	if r.code != 0 {
		t.Fatalf("run %s %s: %v", name, strings.Join(args, " "), r)
	}
	return r.stdout
}

// container is a running container.
type container struct {
	t  *testing.T
	id string
}

// start runs a container in the background until the end of the test.
func start(t *testing.T, args ...string) *container {
	t.Helper()
	args = append([]string{"run", "--detach", "--pull=never"}, args...)
	c := &container{t, strings.TrimSpace(must(t, "podman", args...))}
	t.Cleanup(func() {
		if t.Failed() {
			r := try(t, "podman", "logs", c.id)
			t.Logf("container, the end of its output:\n%s", tail(r.stdout+r.stderr, 4000))
		}
		must(t, "podman", "rm", "--force", "--time=5", c.id)
	})
	return c
}

// output returns what the container wrote so far.
func (c *container) output() (stdout, stderr string) {
	c.t.Helper()
	r := try(c.t, "podman", "logs", c.id)
	return r.stdout, r.stderr
}

// status returns what /proc says of the container's first process.
func (c *container) status(key string) string {
	c.t.Helper()
	pid := strings.TrimSpace(must(c.t, "podman", "inspect", "--format={{.State.Pid}}", c.id))
	text, err := os.ReadFile("/proc/" + pid + "/status")
	if err != nil {
		c.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, key+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	c.t.Fatalf("status of process %s has no %s", pid, key)
	return ""
}

// eventually waits until f says that something holds; what it says of the state is
// reported if that takes too long.
func eventually(t *testing.T, what string, f func() (holds bool, state string)) {
	t.Helper()
	deadline := time.Now().Add(40 * time.Second)
	for {
		holds, state := f()
		if holds {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("wait until %s: not in 40 s; now:\n%s", what, state)
		}
		time.Sleep(100 * time.Millisecond) // a poll: containers offer no notification
	}
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }
