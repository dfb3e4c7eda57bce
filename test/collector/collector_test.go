//go:build collector && linux

package collector

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip" // what the exporter compresses with

	"github.com/windhover/windhover/test/require"
)

// deadline bounds every wait: a loaded machine takes seconds to attach the probe.
const deadline = 60 * time.Second

const rules = `
- rule: marked file opened
  desc: Someone opened the file that the test made.
  condition: evt.type in (open, openat, openat2) and fd.name = %q
  output: marked file opened (file=%%fd.name pid=%%proc.pid)
  priority: WARNING
  tags: [test]

- rule: pod exec
  desc: Someone ran a command in a pod.
  condition: ka.verb = create and ka.target.subresource = exec
  output: pod exec (user=%%ka.user.name pod=%%ka.target.name)
  priority: NOTICE
  source: k8s_audit
  tags: [test]
`

const config = `
extensions:
  windhover_rules:
    files: [%[1]q]
receivers:
  windhover_syscall:
    rules: windhover_rules
  windhover_k8saudit:
    rules: windhover_rules
    endpoint: %[2]s
exporters:
  otlp_grpc:
    endpoint: %[3]s
    tls: {insecure: true}
service:
  extensions: [windhover_rules]
  telemetry:
    metrics: {level: none}
  pipelines:
    logs:
      receivers: [windhover_syscall, windhover_k8saudit]
      exporters: [otlp_grpc]
`

const auditEvents = `{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[{
	"level":"RequestResponse","auditID":"7f1d3f0e-6a55-4c4c-9d5b-3f4d0b8c2a11","stage":"ResponseComplete",
	"requestURI":"/api/v1/namespaces/shop/pods/web-0/exec?command=sh","verb":"create",
	"user":{"username":"mallory","groups":["system:authenticated"]},"sourceIPs":["192.0.2.7"],
	"objectRef":{"resource":"pods","namespace":"shop","name":"web-0","apiVersion":"v1","subresource":"exec"},
	"responseStatus":{"code":101},
	"requestReceivedTimestamp":"2026-01-02T03:04:05.000000Z","stageTimestamp":"2026-01-02T03:04:05.100000Z"}]}`

func binary() string {
	if name := os.Getenv("WINDHOVER_COLLECTOR"); name != "" {
		return name
	}
	return "../../bin/windhover-collector"
}

func TestCollectorHasTheComponents(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), binary(), "components").CombinedOutput()
	if err != nil {
		t.Fatalf("list components: %v\n%s", err, out)
	}
	for _, want := range []string{"windhover_syscall", "windhover_k8saudit", "windhover_console", "windhover_rules"} {
		if !strings.Contains(string(out), "name: "+want+"\n") {
			t.Errorf("the collector has no component %s:\n%s", want, out)
		}
	}
}

func TestAlertsOfBothReceiversArriveAtOTLP(t *testing.T) {
	require.Kernel(t)
	sink := startSink(t)
	dir := t.TempDir()
	marked, nearMiss := filepath.Join(dir, "marked"), filepath.Join(dir, "marked-not")
	for _, name := range []string{marked, nearMiss} {
		write(t, name, "")
	}
	webhook := freeAddress(t)
	rulesFile, configFile := filepath.Join(dir, "rules.yaml"), filepath.Join(dir, "collector.yaml")
	write(t, rulesFile, fmt.Sprintf(rules, marked))
	write(t, configFile, fmt.Sprintf(config, rulesFile, webhook, sink.address))
	collector := start(t, "--config", configFile)

	// The probe attaches some time after the start, and nothing but an alert shows
	// that it did: open until one comes.
	opened := waitFor(t, collector, sink, "marked file opened", func() {
		for _, name := range []string{nearMiss, marked} {
			if _, err := os.ReadFile(name); err != nil {
				t.Error(err)
			}
		}
	})
	if got := opened.EventName(); got != "windhover.alert" {
		t.Errorf("event name = %q, want windhover.alert", got)
	}
	if got := opened.SeverityNumber(); got != plog.SeverityNumberWarn {
		t.Errorf("severity = %v, want %v", got, plog.SeverityNumberWarn)
	}
	if want, got := fmt.Sprintf("marked file opened (file=%s pid=%d)", marked, os.Getpid()), opened.Body().Str(); got != want {
		t.Errorf("body = %q, want %q", got, want)
	}
	attributes := opened.Attributes().AsRaw()
	for key, want := range map[string]any{
		"security_rule.name": "marked file opened",
		"file.path":          marked,
		"process.pid":        int64(os.Getpid()),
	} {
		if got := attributes[key]; got != want {
			t.Errorf("attribute %s = %v, want %v", key, got, want)
		}
	}
	if age := time.Since(opened.Timestamp().AsTime()).Abs(); age > deadline {
		t.Errorf("timestamp = %v, which is %v from now", opened.Timestamp().AsTime(), age)
	}

	exec := waitFor(t, collector, sink, "pod exec", func() { post(t, "http://"+webhook+"/k8s-audit", auditEvents) })
	if got, want := exec.Body().Str(), "pod exec (user=mallory pod=web-0)"; got != want {
		t.Errorf("body = %q, want %q", got, want)
	}

	collector.stop(t)
	for _, r := range sink.taken() {
		if strings.Contains(r.Body().Str(), nearMiss) {
			t.Errorf("alert %q for a file that no rule names", r.Body().Str())
		}
	}
}

// waitFor calls provoke until an alert of the rule arrives, and returns that alert.
func waitFor(tb testing.TB, c *process, s *sink, rule string, provoke func()) plog.LogRecord {
	tb.Helper()
	timeout := time.After(deadline)
	again := time.NewTicker(200 * time.Millisecond)
	defer again.Stop()
	for {
		provoke()
		select {
		case <-again.C:
		case <-s.arrived:
		case <-c.exited:
			tb.Fatalf("collector ended before an alert of %q: %v\n%s", rule, c.err, c.output.String())
		case <-timeout:
			tb.Fatalf("no alert of %q in %v\n%s", rule, deadline, c.output.String())
		}
		for _, r := range s.taken() {
			if name, ok := r.Attributes().Get("security_rule.name"); ok && name.Str() == rule {
				return r
			}
		}
	}
}

// post sends audit events to the webhook, once it listens.
func post(tb testing.TB, url, body string) {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		tb.Logf("post audit events: %v", err)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		tb.Errorf("post audit events: status %d, want 200", resp.StatusCode)
	}
}

// process is the collector under test.
type process struct {
	cmd    *exec.Cmd
	output lockedBuffer
	exited chan struct{} // closed when the collector ended; err is set
	err    error
}

func start(tb testing.TB, args ...string) *process {
	tb.Helper()
	p := &process{exited: make(chan struct{})}
	p.cmd = exec.Command(binary(), args...)
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	if err := p.cmd.Start(); err != nil {
		tb.Fatalf("start collector: %v", err)
	}
	go func() {
		defer close(p.exited)
		p.err = p.cmd.Wait()
	}()
	tb.Cleanup(func() {
		_ = p.cmd.Process.Kill() // already gone after stop
		<-p.exited
	})
	return p
}

// stop asks the collector to end and fails the test unless it does so in time, with
// status 0 and without an error in its log.
func (p *process) stop(tb testing.TB) {
	tb.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		tb.Fatalf("stop collector: %v", err)
	}
	select {
	case <-p.exited:
	case <-time.After(deadline):
		tb.Fatalf("collector still runs %v after SIGTERM\n%s", deadline, p.output.String())
	}
	if p.err != nil {
		tb.Errorf("collector ended with %v\n%s", p.err, p.output.String())
	}
	for line := range strings.Lines(p.output.String()) {
		if strings.Contains(line, "\terror\t") || strings.HasPrefix(line, "panic:") {
			tb.Errorf("collector logged an error: %s", line)
		}
	}
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// sink is an OTLP receiver that keeps every log record.
type sink struct {
	plogotlp.UnimplementedGRPCServer

	address string
	arrived chan struct{} // holds a token if records came since the last receive

	mu      sync.Mutex
	records []plog.LogRecord
}

func startSink(tb testing.TB) *sink {
	tb.Helper()
	listener, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s := &sink{address: listener.Addr().String(), arrived: make(chan struct{}, 1)}
	server := grpc.NewServer()
	plogotlp.RegisterGRPCServer(server, s)
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	tb.Cleanup(func() {
		server.Stop()
		if err := <-served; err != nil {
			tb.Errorf("serve OTLP: %v", err)
		}
	})
	return s
}

// Export takes the records of one request; it is called by several goroutines.
func (s *sink) Export(_ context.Context, req plogotlp.ExportRequest) (plogotlp.ExportResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rl := range req.Logs().ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, r := range sl.LogRecords().All() {
				kept := plog.NewLogRecord()
				r.CopyTo(kept)
				s.records = append(s.records, kept)
			}
		}
	}
	select {
	case s.arrived <- struct{}{}:
	default:
	}
	return plogotlp.NewExportResponse(), nil
}

// taken returns the records that arrived so far.
func (s *sink) taken() []plog.LogRecord {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clip(s.records)
}

// freeAddress returns an address of this host that nothing listened on a moment ago.
func freeAddress(tb testing.TB) string {
	tb.Helper()
	listener, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

func write(tb testing.TB, name, text string) {
	tb.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
}
