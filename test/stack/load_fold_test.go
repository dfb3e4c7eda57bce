//go:build linux

package stack

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/windhover/windhover/test/stack/peer"
)

// Every source gets so many events that are all the same to a rule, from so many
// connections or processes, in so much time.
const (
	sameEvents = 100_000
	sameFrom   = 4
	sameTime   = 10 * time.Second
)

// noisyEnv makes the test binary a process that opens the file it names again and again.
const noisyEnv = "WINDHOVER_STACK_NOISY"

// TestNoisyProcess is no test: it is what processes of TestEqualMatchesAreTwoRecords do.
func TestNoisyProcess(t *testing.T) {
	name := os.Getenv(noisyEnv)
	if name == "" {
		return
	}
	paced(sameEvents/sameFrom/100, func(int) {
		for range 100 {
			f, err := os.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			_ = f.Close()
		}
	})
}

// paced calls do n times in sameTime.
func paced(n int, do func(i int)) {
	ticker := time.NewTicker(sameTime / time.Duration(n))
	defer ticker.Stop()
	for i := range n {
		<-ticker.C
		do(i)
	}
}

// TestEqualMatchesAreTwoRecords has 100,000 equal matches in ten seconds in each kind of
// source at the same time.
func TestEqualMatchesAreTwoRecords(t *testing.T) {
	needKernel(t)
	s := newSink(t)
	dir := t.TempDir()
	marked := filepath.Join(dir, "marked")
	if err := os.WriteFile(marked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	rules := peer.WriteFile(t, "rules.yaml", fmt.Sprintf(`
- rule: File opened
  desc: d
  condition: evt.type in (open, openat, openat2) and fd.name = %q
  output: "file opened by %%proc.name (pid=%%proc.pid time=%%evt.time)"
  priority: WARNING
- rule: Request made
  desc: d
  condition: ka.verb = get
  output: "request by %%ka.user.name (id=%%ka.auditid)"
  priority: WARNING
  source: k8s_audit
- rule: Document came
  desc: d
  condition: json.value[/a] = same
  output: "document %%json.value[/a]"
  priority: WARNING
  source: json
- rule: Line came
  desc: d
  condition: log.body = same
  output: "line %%log.body"
  priority: WARNING
  source: log
`, marked))
	audit, socket := peer.Free(t), filepath.Join(dir, "json.sock")
	w := peer.Windhover(t, "-r", rules, "-c", peer.WriteFile(t, "windhover.yaml", fmt.Sprintf(`
receivers:
  windhover_syscall: {}
  windhover_k8saudit: {endpoint: %q}
  windhover_json: {socket: {path: %q}}
exporters:
  otlp_http: {logs_endpoint: "http://%s/v1/logs"}
telemetry: {metrics: {exporters: []}}
`, audit, socket, s.address)))
	otlp := peer.Free(t)
	collector := peer.Collector(t, []string{peer.WriteFile(t, "collector.yaml", fmt.Sprintf(`
extensions: {windhover_rules: {files: [%q]}}
receivers: {otlp: {protocols: {http: {endpoint: %q}}}}
processors: {windhover_rules: {mode: alerts_only}}
exporters: {otlp_http: {logs_endpoint: "http://%s/v1/logs"}}
service:
  extensions: [windhover_rules]
  telemetry: {metrics: {level: none}}
  pipelines: {logs: {receivers: [otlp], processors: [windhover_rules], exporters: [otlp_http]}}
`, rules, otlp, s.address))}, nil)

	var all sync.WaitGroup
	for from := range sameFrom {
		all.Go(func() { // a process
			cmd := exec.Command(os.Args[0], "-test.run=^TestNoisyProcess$")
			cmd.Env = append(os.Environ(), noisyEnv+"="+marked)
			cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("noisy process: %v\n%s", err, out)
			}
		})
		all.Go(func() { // a connection of an API server
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			paced(sameEvents/sameFrom/100, func(i int) {
				var events []string
				for j := range 100 {
					events = append(events, fmt.Sprintf(`{"kind":"Event","auditID":"%d-%d-%d","stage":"ResponseComplete","verb":"get","user":{"username":"eve"},"stageTimestamp":"2026-01-02T03:04:05Z"}`, from, i, j))
				}
				body := `{"kind":"EventList","items":[` + strings.Join(events, ",") + `]}`
				if status, err := postOnce(t.Context(), client, "http://"+audit+"/k8s-audit", []byte(body)); err != nil || status != http.StatusOK {
					t.Errorf("the webhook answers %d, %v", status, err)
				}
			})
		})
		all.Go(func() { // a peer of the socket
			conn, err := net.Dial("unix", socket)
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			paced(sameEvents/sameFrom/100, func(i int) {
				var lines strings.Builder
				for j := range 100 {
					fmt.Fprintf(&lines, "{\"a\":\"same\",\"n\":\"%d-%d-%d\"}\n", from, i, j)
				}
				if _, err := conn.Write([]byte(lines.String())); err != nil {
					t.Error(err)
				}
			})
		})
		all.Go(func() { // a sender of log records
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			records := strings.TrimSuffix(strings.Repeat(`{"body":{"stringValue":"same"}},`, 100), ",")
			body := `{"resourceLogs":[{"scopeLogs":[{"logRecords":[` + records + `]}]}]}`
			paced(sameEvents/sameFrom/100, func(int) {
				if status, err := postOnce(t.Context(), client, "http://"+otlp+"/v1/logs", []byte(body)); err != nil || status != http.StatusOK {
					t.Errorf("the collector answers %d, %v", status, err)
				}
			})
		})
	}
	begin := time.Now()
	all.Wait()
	took := time.Since(begin)
	for _, source := range []string{"windhover_syscall", "windhover_json"} { // which nobody answers
		peer.Eventually(t, 30*time.Second, source+" has handled what it got", func() (bool, string) {
			n := w.Metric("windhover_matches_total", source)
			return n >= sameEvents, fmt.Sprint(n)
		})
	}
	dropped := w.Metric("windhover_source_dropped_total")
	w.Stop() // which ends the windows
	collector.Stop()

	for rule, source := range map[string]string{"File opened": "system calls", "Request made": "Kubernetes audit", "Document came": "documents", "Line came": "log records in a collector"} {
		alerts, notices, sum := 0, 0, int64(0)
		for _, r := range s.find(func(r *sinkRecord) bool { return r.attributes["security_rule.name"] == rule }) {
			if r.name == "windhover.alerts_folded" {
				notices++
				sum += r.attributes["windhover.fold.count"].(int64)
				continue
			}
			alerts++
			sum++
		}
		peer.Claim(t, "%d equal matches of %s from %d places in %.1f s: %d alert and %d record of its repeats, which stand for %d", sameEvents, source, sameFrom, took.Seconds(), alerts, notices, sum)
		if alerts != 1 || notices != 1 || sum != sameEvents {
			t.Errorf("%s: %d alerts and %d records of repeats stand for %d matches, want 1, 1 and %d; %v events were dropped", source, alerts, notices, sum, sameEvents, dropped)
		}
	}
}
