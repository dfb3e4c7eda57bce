//go:build linux

package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"golang.org/x/sys/unix"

	"github.com/windhover/windhover/test/require"
)

// newContainer makes a cgroup of the default hierarchy that is named as docker does, and
// returns its directory and the ID of the container.
func newContainer(tb testing.TB) (cgroup, id string) {
	tb.Helper()
	root := filepath.Join(tb.TempDir(), "cgroup")
	if err := os.Mkdir(root, 0o700); err != nil {
		tb.Fatal(err)
	}
	if err := unix.Mount("cgroup2", root, "cgroup2", 0, ""); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := unix.Unmount(root, 0); err != nil {
			tb.Error(err)
		}
	})
	id = "feedf00d6d8e7b23da7d48fe8894345730360c27ae5a74837233de441c3601e7"
	cgroup = filepath.Join(root, "docker-"+id+".scope")
	if err := os.Mkdir(cgroup, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		eventually(tb, 10*time.Second, "the cgroup is removed", func() bool { return os.Remove(cgroup) == nil })
	})
	return cgroup, id
}

// TestLossesAreCountedByContainer floods a small ring from a container.
func TestLossesAreCountedByContainer(t *testing.T) {
	require.Kernel(t)
	cgroup, id := newContainer(t)
	r := startRecords(t)
	rulesFile := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(rulesFile, []byte(`
- rule: Opened
  desc: Makes openat wanted.
  condition: evt.type = openat and fd.name = /no/such/file/at/all
  output: opened
  priority: NOTICE
`), 0o600); err != nil {
		t.Fatal(err)
	}
	d := startDaemon(t, fmt.Sprintf(`
receivers:
  windhover_syscall: {shards: 2, rings: {bulk: 65536, wake_bytes: 32768}}
exporters:
  otlp_grpc: {endpoint: %q, tls: {insecure: true}, timeout: 20s, retry_on_failure: {initial_interval: 200ms, max_interval: 1s}}
`, r.address), "-r", rulesFile)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.Open(cgroup)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	lost := func(container string) float64 {
		return d.metric("windhover_container_dropped_total", `container_id="`+container+`"`)
	}
	eventually(t, time.Minute, "the container loses events", func() bool {
		cmd := exec.CommandContext(t.Context(), self)
		cmd.Env = append(os.Environ(), actorEnv+"="+floodCase)
		cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		return lost(id) > 1000
	})
	notice := r.await(t, "a notice that names the container", func(rec plog.LogRecord) bool {
		return rec.EventName() == "windhover.events_dropped" && strings.Contains(rec.Body().AsString(), "by container "+id+"=")
	})
	v, _ := notice.Attributes().Get("windhover.drop.containers")
	if n, ok := v.Map().Get(id); !ok || n.Int() < 1 {
		t.Errorf("windhover.drop.containers = %v, without %s", v.AsString(), id)
	}
	eventually(t, 10*time.Second, "what is lost is counted by container, all of it", func() bool {
		return d.metric("windhover_container_dropped_total") == d.metric("windhover_source_dropped_total")
	})
	t.Logf("lost: container %.0f, host %.0f, other %.0f", lost(id), lost("host"), lost("other"))
	if cpu := d.metric("windhover_process_cpu_seconds_total"); cpu <= 0 {
		t.Errorf("CPU time = %v", cpu)
	}
	if calls, filtered := d.metric("windhover_syscall_calls_total"), d.metric("windhover_syscall_filtered_total"); filtered <= 0 || filtered >= calls {
		t.Errorf("%v calls, of which %v made no event", calls, filtered)
	}
	opened := d.metric("windhover_source_events_total", `event_type="openat"`)
	if shown := d.metric("windhover_rule_evaluations_total", `security_rule_name="Opened"`); shown < opened/2 || shown > 2*opened {
		t.Errorf("the rule was decided %.0f times, as an estimate, want about %.0f", shown, opened)
	}
	if cost := d.metric("windhover_rule_time_seconds_total", `security_rule_name="Opened"`); cost <= 0 || cost > opened*1e-5 {
		t.Errorf("the rule took %.6f s for %.0f events", cost, opened)
	}
	d.stop()
}
