//go:build linux

package stack

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/windhover/windhover/test/stack/peer"
)

const (
	manyContainers = 10_000
	manyRules      = 1_000
	// maxSeries is how many series an instance may have by default.
	maxSeries = 2_000
)

// TestSeriesAreBounded starts a process in each of 10,000 containers, which are control
// groups as a container engine makes them. Each process opens a file that one of 1,000
// rules is about, and many of their events are lost.
func TestSeriesAreBounded(t *testing.T) {
	requireRoot(t)
	root := cgroupRoot(t)
	dir := t.TempDir()
	var rules strings.Builder
	for i := range manyRules {
		fmt.Fprintf(&rules, `
- rule: Marked file %[1]d opened
  desc: A container opened the file of the test.
  condition: evt.type in (open, openat, openat2) and fd.name = %[2]q
  output: opened (file=%%fd.name container=%%container.id)
  priority: %[3]s
`, i, markedFile(dir, i), []string{"WARNING", "NOTICE", "CRITICAL", "INFO"}[i%4])
		if err := os.WriteFile(markedFile(dir, i), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	w := peer.Windhover(t, "-r", filepath.Join(peer.Root(), "rules", "library"), "-r", peer.WriteFile(t, "rules.yaml", rules.String()),
		"-c", peer.WriteFile(t, "windhover.yaml", fmt.Sprintf(`
receivers:
  windhover_syscall: {rings: {bulk: 65536, reserved: 65536, wake_bytes: 16384}}
  windhover_k8saudit: {endpoint: %q}
exporters:
  windhover_console: {path: /dev/null}
`, peer.Free(t))))

	start := time.Now()
	var next atomic.Int64
	var workers sync.WaitGroup
	run := func(until int64) {
		for range 4 {
			workers.Go(func() {
				for {
					c := next.Add(1) - 1
					if c >= until || t.Failed() {
						return
					}
					if err := openInContainer(root, int(c), markedFile(dir, int(c)%manyRules)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		workers.Wait()
		next.Store(until)
	}
	// First all are seen, then some are lost: while Windhover does not run.
	run(manyContainers - 1_000)
	w.Signal(syscall.SIGSTOP)
	run(manyContainers)
	w.Signal(syscall.SIGCONT)
	took := time.Since(start)

	lost := func() float64 { return w.Metric("windhover_source_dropped_total", `source="windhover_syscall"`) }
	var last float64
	peer.Eventually(t, time.Minute, "everything is counted", func() (bool, string) {
		n := w.Metric("windhover_source_events_total")
		// Other programs of the host go on making some.
		done := n-last < 1_000 && lost() > 0 && w.Metric("windhover_queue_usage") == 0
		last = n
		return done || t.Failed(), fmt.Sprintf("%g events, %g lost", n, lost())
	})
	// All from one page, so that it can be compared.
	total, byName, sums, rulesSeen, containers := 0, map[string]int{}, map[string]float64{}, map[string]bool{}, map[string]bool{}
	alerted := map[string]bool{}
	for line := range strings.Lines(w.Page("/metrics")) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		total++
		series, text := cutLast(strings.TrimSpace(line), " ")
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			t.Fatalf("metric line %q: %v", line, err)
		}
		name, labels, _ := strings.Cut(series, "{")
		byName[name]++
		sums[name] += value
		switch name {
		case "windhover_alerts_total":
			rule := label(labels, "security_rule_name")
			rulesSeen[rule] = true
			if value > 0 {
				alerted[rule] = true
			}
		case "windhover_container_dropped_total":
			containers[label(labels, "container_id")] = true
		}
	}
	if total > maxSeries {
		largest := slices.SortedFunc(maps.Keys(byName), func(a, b string) int { return byName[b] - byName[a] })
		t.Errorf("%d series, want at most %d; most of %v", total, maxSeries, largest[:5])
	}
	if !rulesSeen["other"] || len(rulesSeen) > manyRules+1 {
		t.Errorf("windhover_alerts_total has %d rules, want at most %d and other", len(rulesSeen), manyRules)
	}
	if !containers["other"] || !containers["host"] || len(containers) > 22 {
		t.Errorf("windhover_container_dropped_total has %d containers, want 20, host and other", len(containers))
	}
	// What has no series of its own is in other, not gone.
	parts := sums["windhover_alerts_total"] + sums["windhover_alert_folded_total"] + sums["windhover_alert_lost_total"] + sums["windhover_alert_below_threshold_total"]
	if got := sums["windhover_matches_total"]; got != parts {
		t.Errorf("%g matches, %g by what became of them", got, parts)
	}
	// The kernel goes on counting between the reading of the one and of the other.
	if got, want := sums["windhover_container_dropped_total"], sums["windhover_source_dropped_total"]; got == 0 || got > 1.01*want {
		t.Errorf("containers lost %g events, the sources %g: want some, and no more", got, want)
	}
	if len(alerted) < manyRules*9/10 {
		t.Errorf("%d rules have alerts, want nearly all of %d", len(alerted), manyRules)
	}
	if n := w.Metric("windhover_source_imbalance"); n != 0 {
		t.Error("the ledger does not balance")
	}
	peer.Claim(t, "cardinality: %d containers (in %v, %g events lost) and %d rules leave %d series, of them %d of Windhover's alerts and %d of containers; the bound is %d",
		manyContainers, took.Round(time.Second), sums["windhover_source_dropped_total"], int(sums["windhover_rules_loaded"]), total, byName["windhover_alerts_total"], byName["windhover_container_dropped_total"], maxSeries)
}

func markedFile(dir string, i int) string { return fmt.Sprintf("%s/marked-%d", dir, i) }

// openInContainer has a process of container c, a control group named as Docker names
// them, open a file.
func openInContainer(root string, c int, file string) error {
	group := filepath.Join(root, fmt.Sprintf("docker-%x.scope", sha256.Sum256(fmt.Append(nil, c))))
	if err := os.Mkdir(group, 0o755); err != nil {
		return err
	}
	defer func() {
		// A process that has been waited for may still be leaving its group.
		for range 100 {
			if os.Remove(group) == nil {
				return
			}
			time.Sleep(time.Millisecond) // poll: rmdir(2) has no notification
		}
	}()
	f, err := os.Open(group)
	if err != nil {
		return err
	}
	defer f.Close()
	cmd := exec.Command("/bin/cat", file)
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(f.Fd())}
	return cmd.Run()
}

func cutLast(s, separator string) (before, after string) {
	i := strings.LastIndex(s, separator)
	if i < 0 {
		return s, ""
	}
	return s[:i], s[i+len(separator):]
}

// label returns the value of a label in the text behind the name of a metric.
func label(text, name string) string {
	_, rest, _ := strings.Cut(text, name+`="`)
	value, _, _ := strings.Cut(rest, `"`)
	return value
}
