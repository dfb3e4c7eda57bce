package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

const deadline = 30 * time.Second

const auditRules = `
- rule: pod exec
  desc: Somebody runs a command in a pod.
  condition: ka.verb = create and ka.target.subresource = exec
  output: %OUTPUT% (user=%ka.user.name pod=%ka.target.name)
  priority: NOTICE
  source: k8s_audit
`

const auditEvent = `{"kind":"Event","apiVersion":"audit.k8s.io/v1","auditID":"8f2e4a10-62c1-4a6e-9c55-0f3d4c1b2a77","level":"Request",
"stage":"ResponseComplete","requestURI":"/api/v1/namespaces/default/pods/web-0/exec","verb":"create","user":{"username":"mallory"},
"objectRef":{"resource":"pods","namespace":"default","name":"web-0","apiVersion":"v1","subresource":"exec"},
"responseStatus":{"code":101},"requestReceivedTimestamp":"2026-01-01T00:00:00.000000Z","stageTimestamp":"2026-01-01T00:00:00.000000Z"}`

// audited is a windhover that listens for audit events and writes alerts to a file.
type audited struct {
	dir, metrics, webhook, alerts string
	cancel                        context.CancelFunc
	ended                         chan int
}

// startAudited runs the command line in this process. Nothing else in it handles SIGHUP,
// so tests that send it do not run in parallel.
func startAudited(t *testing.T) *audited {
	t.Helper()
	a := &audited{dir: t.TempDir(), metrics: freeAddress(t), webhook: freeAddress(t), ended: make(chan int, 1)}
	a.alerts = filepath.Join(a.dir, "alerts")
	a.writeRules(t, "first")
	config := filepath.Join(a.dir, "c.yaml")
	write(t, config, `
receivers:
  windhover_k8saudit/a: {endpoint: "`+a.webhook+`", fold: {enabled: false}}
exporters:
  windhover_console: {path: "`+a.alerts+`"}
server: {address: "`+a.metrics+`"}
`)
	ctx, cancel := context.WithCancel(t.Context())
	a.cancel = cancel
	var stderr string
	go func() {
		var code int
		code, _, stderr = windhover(t, ctx, nil, "run", "-c", config, "-r", filepath.Join(a.dir, "rules.yaml"),
			"--set", "extensions.windhover_rules.watch=false")
		a.ended <- code
	}()
	t.Cleanup(func() {
		cancel()
		select {
		case code := <-a.ended:
			if code != exitOK {
				t.Errorf("run: code %d, want 0\n%s", code, stderr)
			}
		case <-time.After(deadline):
			t.Error("run does not end")
		}
	})
	a.until(t, "ready", func() bool {
		status, _ := a.get(t, "/readyz")
		return status == http.StatusOK
	})
	return a
}

func (a *audited) writeRules(tb testing.TB, output string) {
	tb.Helper()
	write(tb, filepath.Join(a.dir, "rules.yaml"), strings.ReplaceAll(auditRules, "%OUTPUT%", output))
}

func (a *audited) until(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	expired := time.After(deadline)
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for !ok() {
		select {
		case <-again.C:
		case <-expired:
			_, body := a.get(tb, "/readyz")
			tb.Fatalf("not %s in %v; readyz says %s", what, deadline, body)
		}
	}
}

// get returns status 0 while nothing listens.
func (a *audited) get(tb testing.TB, path string) (int, string) {
	tb.Helper()
	return request(tb, http.MethodGet, "http://"+a.metrics+path, "")
}

// post sends an audit event and returns how many alerts begin with a text then.
func (a *audited) post(tb testing.TB, beginning string) int {
	tb.Helper()
	if status, body := request(tb, http.MethodPost, "http://"+a.webhook+"/k8s-audit", auditEvent); status != http.StatusOK {
		tb.Fatalf("webhook answers %d %s", status, body)
	}
	text, err := os.ReadFile(a.alerts)
	if err != nil && !os.IsNotExist(err) {
		tb.Fatal(err)
	}
	return strings.Count(string(text), " "+beginning+" (user=mallory pod=web-0)")
}

func request(tb testing.TB, method, url, body string) (int, string) {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), method, url, strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

func freeAddress(tb testing.TB) string {
	tb.Helper()
	l, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// reloads returns what /readyz says of the rules.
func (a *audited) reloads(tb testing.TB) (reloads, failures uint64) {
	tb.Helper()
	_, body := a.get(tb, "/readyz")
	var r struct {
		Rules struct {
			Reloads        uint64 `json:"reloads"`
			ReloadFailures uint64 `json:"reload_failures"`
		} `json:"rules"`
	}
	if err := json.Unmarshal([]byte(body), &r); err != nil {
		tb.Fatalf("readyz says %s: %v", body, err)
	}
	return r.Rules.Reloads, r.Rules.ReloadFailures
}

func TestHangupReadsTheRulesAgain(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no SIGHUP")
	}
	a := startAudited(t)
	a.until(t, "alerted by the first rules", func() bool { return a.post(t, "first") > 0 })

	write(t, filepath.Join(a.dir, "rules.yaml"), "- rule: broken\n  condition: ka.vreb = create\n")
	hangup(t)
	a.until(t, "told that the rules are bad", func() bool { _, failures := a.reloads(t); return failures == 1 })
	before := a.post(t, "first")
	a.until(t, "alerted by the old rules", func() bool { return a.post(t, "first") > before })
	if status, _ := a.get(t, "/readyz"); status != http.StatusOK {
		t.Errorf("readyz = %d with rules that are old but good, want 200", status)
	}
	if _, body := a.get(t, "/metrics"); !strings.Contains(body, "\nwindhover_rules_reload_failures_total 1\n") {
		t.Error("metrics do not count the reload that failed")
	}
	if _, body := a.get(t, "/metrics"); !strings.Contains(body, "\nwindhover_rules_stale 1\n") {
		t.Error("metrics do not say that the rules are stale")
	}

	a.writeRules(t, "second")
	hangup(t)
	a.until(t, "reloaded", func() bool { reloads, _ := a.reloads(t); return reloads == 1 })
	a.until(t, "alerted by the new rules", func() bool { return a.post(t, "second") > 0 })
}

func hangup(tb testing.TB) {
	tb.Helper()
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		tb.Fatal(err)
	}
	if err := self.Signal(syscall.SIGHUP); err != nil {
		tb.Fatal(err)
	}
}
