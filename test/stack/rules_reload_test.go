//go:build linux

package stack

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/windhover/windhover/test/stack/peer"
)

// reloadRules match everything that the test sends, and say a word about it.
func reloadRules(word string) string {
	var b strings.Builder
	for _, source := range []string{"k8s_audit", "json", "log"} {
		fmt.Fprintf(&b, "- rule: Anything of %[1]s\n  desc: d\n  condition: json.obj exists or evt.num >= 0\n  output: %[2]s of %[1]s\n  priority: CRITICAL\n  source: %[1]s\n", source, word)
	}
	return b.String()
}

// TestReloadInACollectorReachesEveryComponent has one windhover_rules extension, two
// receivers and a processor in a collector: a good file is in use everywhere at once, a
// bad one nowhere, and status, metric and log say so.
func TestReloadInACollectorReachesEveryComponent(t *testing.T) {
	t.Parallel()
	s := newSink(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "rules.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(reloadRules("first"))
	audit, documents, otlp, health, metrics := peer.Free(t), peer.Free(t), peer.Free(t), peer.Free(t), peer.Free(t)
	host, port, _ := strings.Cut(metrics, ":")
	config := peer.WriteFile(t, "collector.yaml", fmt.Sprintf(`
extensions:
  windhover_rules: {files: [%q]}
  health_check:
    http: {endpoint: %q, status: {enabled: true, path: /status}}
    component_health: {include_recoverable_errors: true, recovery_duration: 0s}
receivers:
  windhover_k8saudit: {endpoint: %q, fold: {enabled: false}}
  windhover_json: {endpoint: %q, fold: {enabled: false}}
  otlp: {protocols: {http: {endpoint: %q}}}
processors:
  windhover_rules: {mode: alerts_only, fold: {enabled: false}}
exporters:
  otlp_http: {logs_endpoint: "http://%s/v1/logs"}
service:
  extensions: [windhover_rules, health_check]
  telemetry:
    metrics: {level: detailed, readers: [{pull: {exporter: {prometheus: {host: %q, port: %s, without_type_suffix: true, without_units: true}}}}]}
  pipelines:
    logs/receivers: {receivers: [windhover_k8saudit, windhover_json], exporters: [otlp_http]}
    logs/records: {receivers: [otlp], processors: [windhover_rules], exporters: [otlp_http]}
`, file, health, audit, documents, otlp, s.address, host, port))
	log := filepath.Join(dir, "log")
	out, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(collectorBinary(t), "--config", config, "--feature-gates", "extension.healthcheck.useComponentStatus")
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	logged := func(text string) bool {
		b, err := os.ReadFile(log)
		return err == nil && strings.Contains(string(b), text)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = out.Close()
		if b, err := os.ReadFile(log); t.Failed() && err == nil {
			t.Logf("the end of what the collector says:\n%s", b[max(0, len(b)-4000):])
		}
	})
	peer.Eventually(t, 60*time.Second, "the collector is ready", func() (bool, string) {
		return logged("Everything is ready. Begin running and processing data."), ""
	})

	page := func(url string) (status int, body string) {
		res, err := http.Get("http://" + url)
		if err != nil {
			return 0, err.Error()
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			return 0, err.Error()
		}
		return res.StatusCode, string(b)
	}
	metric := func(name string) float64 {
		_, body := page(metrics + "/metrics")
		for line := range strings.Lines(body) {
			if strings.HasPrefix(line, name+"{") || strings.HasPrefix(line, name+" ") {
				v, err := strconv.ParseFloat(strings.TrimSpace(line[strings.LastIndexByte(line, ' ')+1:]), 64)
				if err == nil {
					return v
				}
			}
		}
		return -1
	}
	sent := 0
	send := func() {
		t.Helper()
		sent++
		for url, body := range map[string]string{
			audit + "/k8s-audit":  fmt.Sprintf(`{"kind":"Event","auditID":"a%d","stage":"ResponseComplete","stageTimestamp":"2026-01-02T03:04:05Z"}`, sent),
			documents + "/events": fmt.Sprintf(`{"n":%d}`, sent),
			otlp + "/v1/logs":     fmt.Sprintf(`{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"{\"n\":%d}"}}]}]}]}`, sent),
		} {
			if status, err := postOnce(t.Context(), http.DefaultClient, "http://"+url, []byte(body)); err != nil || status != http.StatusOK {
				t.Fatalf("%s answers %d, %v", url, status, err)
			}
		}
	}
	// say are the distinct answers of the three components to what was sent last.
	say := func(n int) (words []string) {
		for _, r := range s.find(func(r *sinkRecord) bool { return r.name == "windhover.alert" })[(n-1)*3:] {
			words = append(words, fmt.Sprint(r.body, " by ", r.source, " in ", r.attributes["windhover.ruleset.generation"]))
		}
		slices.Sort(words)
		return words
	}
	check := func(word string, generation int) {
		t.Helper()
		send()
		peer.Eventually(t, 30*time.Second, "three alerts", func() (bool, string) {
			n := len(s.find(func(r *sinkRecord) bool { return r.name == "windhover.alert" }))
			return n >= 3*sent, fmt.Sprint(n, " of ", 3*sent)
		})
		want := fmt.Sprintf("[%[1]s of json by windhover_json in %[2]d %[1]s of k8s_audit by windhover_k8saudit in %[2]d %[1]s of log by windhover_rules in %[2]d]", word, generation)
		if got := fmt.Sprint(say(sent)); got != want {
			t.Errorf("the alerts are\n%s, want\n%s", got, want)
		}
		if got := metric("windhover_rules_generation"); got != float64(generation) {
			t.Errorf("windhover_rules_generation is %v, want %d", got, generation)
		}
	}
	healthy := func() (int, string) { return page(health + "/status?verbose") }

	check("first", 1)
	if status, body := healthy(); status != http.StatusOK {
		t.Errorf("the status is %d: %s", status, body)
	}
	write(strings.ReplaceAll(reloadRules("bad"), "evt.num", "evt.nmu"))
	peer.Eventually(t, 30*time.Second, "a bad file is in the metric, the log and the status", func() (bool, string) {
		status, body := healthy()
		return metric("windhover_rules_stale") == 1 && logged("rules not reloaded: the set before stays in use") && status != http.StatusOK,
			fmt.Sprint(metric("windhover_rules_stale"), " ", status, body)
	})
	if _, body := healthy(); !strings.Contains(body, "evt.nmu") {
		t.Errorf("the status does not say what is wrong: %s", body)
	}
	check("first", 1)
	write(reloadRules("second"))
	peer.Eventually(t, 30*time.Second, "the good file is in use, and all is well", func() (bool, string) {
		status, body := healthy()
		return metric("windhover_rules_stale") == 0 && metric("windhover_rules_generation") == 2 && status == http.StatusOK, fmt.Sprint(status, body)
	})
	check("second", 2)
	peer.Claim(t, "a reload in a collector reaches two receivers and a processor with one generation; a bad file leaves the old rules and is in status, metric (%v failures) and log", metric("windhover_rules_reload_failures"))
}
