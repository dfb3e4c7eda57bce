//go:build unix

package falcojsonexporter

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// reader is a program that appends what it reads to the file it is told of.
var reader = []string{"sh", "-c", `exec cat >> "$1"`, "sh"}

func TestAlertsReachAProgram(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "got")
	e := start(t, func(c *Config) { c.Program.GetOrInsertDefault().Command = append(reader, path) })
	send(t, e, "a", "b")
	until(t, "read", func() bool { return len(linesOf(t, path)) == 2 })
	check(t, linesOf(t, path), "a", "b")
}

func TestNoShellReadsTheCommand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	e := start(t, func(c *Config) {
		c.Program.GetOrInsertDefault().Command = []string{"tee", filepath.Join(dir, "$(touch x); `id`")}
	})
	send(t, e, "a")
	until(t, "read", func() bool { return len(linesOf(t, filepath.Join(dir, "$(touch x); `id`"))) == 1 })
}

func TestAProgramGetsNoCredentials(t *testing.T) {
	t.Setenv("WINDHOVER_TEST_TOKEN", "s3cr3t")
	path := filepath.Join(t.TempDir(), "env")
	start(t, func(c *Config) {
		p := c.Program.GetOrInsertDefault()
		p.Command, p.Env = []string{"sh", "-c", `env > "$1.part"; mv "$1.part" "$1"; exec cat`, "sh", path}, map[string]string{"TEAM": "blue"}
	})
	until(t, "started", func() bool { return len(linesOf(t, path)) > 0 })
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if s := string(b); strings.Contains(s, "s3cr3t") || !strings.Contains(s, "TEAM=blue\n") {
		t.Errorf("the environment is %s", s)
	}
}

func TestAProgramThatEndedIsStartedAgain(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "got")
	e := start(t, func(c *Config) {
		// It reads one line and ends.
		c.Program.GetOrInsertDefault().Command = []string{"sh", "-c", `read -r line; printf '%s\n' "$line" >> "$1"`, "sh", path}
	})
	send(t, e, "a")
	until(t, "read", func() bool { return len(linesOf(t, path)) == 1 })
	// What is written before the end of the program is seen may be lost with it.
	until(t, "read again", func() bool {
		send(t, e, "b")
		return len(linesOf(t, path)) > 1
	})
	if got := read(t, linesOf(t, path)[1]); !strings.HasSuffix(got.Output, " b") {
		t.Errorf("the second program got %q", got.Output)
	}
}

func TestAProgramThatDoesNotReadHoldsUpNobody(t *testing.T) {
	t.Parallel()
	e := start(t, func(c *Config) {
		c.Program.GetOrInsertDefault().Command = []string{"sleep", "1000"}
		c.Timeout.Timeout = 50 * time.Millisecond
		c.Retry.Enabled = false
	})
	if err := e.ConsumeLogs(t.Context(), alerts(strings.Repeat("x", 16<<10), strings.Repeat("y", 16<<10), strings.Repeat("z", 16<<10), strings.Repeat("a", 16<<10), "b")); err == nil {
		t.Error("what nobody read was taken")
	}
}

func TestASignalOpensTheFileAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "alerts.json")
	e := start(t, func(c *Config) { c.File.GetOrInsertDefault().Path = path })
	send(t, e, "a")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	until(t, "opened again", func() bool {
		_, err := os.Stat(path)
		return err == nil
	})
	send(t, e, "b")
	check(t, linesOf(t, path), "b")
}

// TestAFileThatCannotBeWrittenSaysSo has a disk that is full.
func TestAFileThatCannotBeWrittenSaysSo(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("there is no /dev/full here")
	}
	out, err := openFile(&FileConfig{Path: "/dev/full", Backups: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = out.close() })
	if n, err := out.send(t.Context(), []outgoing{{line: []byte("{}")}}); n != 0 || err == nil {
		t.Errorf("send = %d, %v, want that there is no room", n, err)
	}
}
