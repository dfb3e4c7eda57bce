//go:build linux

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/windhover/windhover/test/require"
)

// TestFloodPushesOutNoExec overflows a small bulk ring with openat(2) while a marked
// program is executed 1,000 times: each execution must be reported, each loss counted.
func TestFloodPushesOutNoExec(t *testing.T) {
	require.Kernel(t)
	const execs = 1000
	dir := t.TempDir()
	rulesFile := filepath.Join(dir, "rules.yaml")
	if err := os.WriteFile(rulesFile, []byte(`
- rule: Marked program
  desc: The program of the test was executed.
  condition: evt.type = execve and evt.failed = false and proc.name = marked-program
  output: marked %proc.pid
  priority: NOTICE
- rule: Opened
  desc: Makes openat wanted.
  condition: evt.type = openat and fd.name = /no/such/file/at/all
  output: opened
  priority: NOTICE
`), 0o600); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "marked-program")
	a := &actor{dir: dir}
	if _, err := a.self(program); err != nil {
		t.Fatal(err)
	}
	d := startDaemon(t, `
receivers:
  windhover_syscall:
    shards: 2
    rings: {bulk: 65536, wake_bytes: 32768}
    fold: {enabled: false}
exporters: {windhover_console: {}}
`, "-r", rulesFile)
	warm := d.metric("windhover_memory_usage_bytes")

	// The flood: processes that do nothing but open a file, more than the ring can take.
	stop := make(chan struct{})
	var floods sync.WaitGroup
	for range 2 {
		floods.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				cmd := exec.Command(self)
				cmd.Env = append(os.Environ(), actorEnv+"="+floodCase)
				if err := cmd.Run(); err != nil {
					t.Errorf("flood: %v", err)
					return
				}
			}
		})
	}
	for range execs {
		cmd := exec.Command(program)
		cmd.Env = append(os.Environ(), actorEnv+"="+idleCase)
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	floods.Wait()

	eventually(t, 20*time.Second, "every event is accounted for", func() bool {
		return d.metric("windhover_source_in_flight") == 0 && d.metric("windhover_source_events_total", `event_type="execve"`) >= execs
	})
	if d.metric("windhover_source_imbalance_ratio")+d.metric("windhover_source_imbalance") != 0 {
		t.Errorf("the ledger does not balance:\n%s", d.page("/metrics"))
	}
	if n := d.metric("windhover_source_dropped_total", `lane="bulk"`, `reason="ring_full"`); n == 0 {
		t.Errorf("the flood did not overflow the ring: the test shows nothing")
	} else {
		t.Logf("%.0f events of the flood were dropped, and counted", n)
	}
	if n := d.metric("windhover_source_dropped_total", `lane="reserved"`); n != 0 {
		t.Errorf("%.0f events of the reserved lane were dropped", n)
	}
	if now := d.metric("windhover_memory_usage_bytes"); now > warm+30<<20 || now > 80<<20 {
		t.Errorf("memory went from %.1f to %.1f MB in the flood; 80 is the limit", warm/(1<<20), now/(1<<20))
	}
	d.stop()
	marked := 0
	for _, a := range d.all() {
		if a.Rule == "Marked program" {
			marked++
		}
	}
	if marked != execs {
		t.Errorf("%d executions were reported, want %d", marked, execs)
	}
	if !strings.Contains(d.stderr.String(), "lost") {
		t.Errorf("the log does not speak of the losses:\n%s", d.stderr)
	}
}

const (
	floodCase = "flood" // opens a file 200,000 times
	idleCase  = "idle"  // does nothing
)

func flood() int {
	for range 200_000 {
		fd, err := unix.Open("/proc/self/status", unix.O_RDONLY, 0)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		_ = unix.Close(fd)
	}
	return 0
}
