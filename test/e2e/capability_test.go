//go:build linux

package e2e

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/windhover/windhover/test/require"
)

// nobody is a user without any right of its own.
const nobody = 65534

// permitted is a copy of the binary that gives who executes it the four capabilities as
// permitted ones, none of them effective.
func permitted(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "windhover-permitted-") //nolint:usetesting // nobody may not enter t.TempDir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "windhover")
	content, err := os.ReadFile(daemonBinary)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o755); err != nil {
		t.Fatal(err)
	}
	wanted := uint64(1)<<unix.CAP_BPF | 1<<unix.CAP_PERFMON | 1<<unix.CAP_SYS_PTRACE | 1<<unix.CAP_DAC_READ_SEARCH
	var attribute bytes.Buffer // struct vfs_cap_data, revision 2
	for _, word := range []uint32{0x02000000, uint32(wanted), 0, uint32(wanted >> 32), 0} {
		if err := binary.Write(&attribute, binary.LittleEndian, word); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Setxattr(path, "security.capability", attribute.Bytes(), 0); err != nil {
		t.Fatal(err)
	}
	return path
}

func asNobody(path string, args ...string) *exec.Cmd {
	cmd := exec.Command(path, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	cmd.Dir = "/"
	return cmd
}

func TestPermittedCapabilitiesAreMadeEffective(t *testing.T) {
	require.Kernel(t)
	path := permitted(t)

	out, err := asNobody(path, "preflight").CombinedOutput()
	if err != nil {
		t.Fatalf("preflight: %v\n%s", err, out)
	}
	for _, name := range []string{"CAP_BPF", "CAP_PERFMON", "CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"} {
		if !strings.Contains(string(out), name) || strings.Contains(string(out), " no ") {
			t.Errorf("preflight does not have %s:\n%s", name, out)
		}
	}

	server := freeAddress(t)
	cmd := asNobody(path, "run", "--output", "json", "--set", "server::address="+server)
	stderr := &syncBuffer{}
	cmd.Stderr = stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d := &daemon{tb: t, cmd: cmd, server: server, stderr: stderr, eof: make(chan struct{}), grown: make(chan struct{})}
	go d.read(stdout)
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			d.kill()
		}
	})
	d.waitReady()

	for task, effective := range effectiveByTask(t, cmd.Process.Pid) {
		// BPF, PERFMON, SYS_PTRACE, DAC_READ_SEARCH
		if want := "000000c000080004"; effective != want {
			t.Errorf("thread %s has the capabilities %s, want %s", task, effective, want)
		}
	}

	ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Second, io.ErrNoProgress)
	defer cancel()
	if err := exec.Command("cat", "/etc/shadow").Run(); err != nil {
		t.Fatal(err)
	}
	a, err := d.await(ctx, func(a *alertLine) bool { return a.field("fd.name") == "/etc/shadow" })
	if err != nil {
		t.Fatalf("no alert as a user without rights: %v\n%s", err, stderr)
	}
	if got := a.field("proc.exepath"); got != "" && !strings.HasSuffix(got, "/cat") {
		t.Errorf("proc.exepath = %q, want that of cat", got)
	}
	d.stop()
}

// effectiveByTask returns the effective capabilities of each thread of a process, as
// /proc writes them.
func effectiveByTask(t *testing.T, pid int) map[string]string {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(files) < 2 {
		t.Fatalf("list threads of %d: %v, %v", pid, files, err)
	}
	sets := map[string]string{}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // a thread that has ended
		}
		for line := range strings.Lines(string(text)) {
			if set, ok := strings.CutPrefix(line, "CapEff:"); ok {
				sets[filepath.Base(filepath.Dir(name))] = strings.TrimSpace(set)
			}
		}
	}
	return sets
}
