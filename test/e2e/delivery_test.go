//go:build linux

package e2e

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip" // what exporters send
)

// receiverCase is the act in which the test binary is an OTLP receiver at the address
// that is its first argument. It writes one line per log record to the file that is
// its second argument, before it acknowledges the record.
const receiverCase = "otlp-receiver"

type otlpReceiver struct {
	plogotlp.UnimplementedGRPCServer
	out *os.File
}

func (r *otlpReceiver) Export(_ context.Context, req plogotlp.ExportRequest) (plogotlp.ExportResponse, error) {
	var lines strings.Builder
	for _, rl := range req.Logs().ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, rec := range sl.LogRecords().All() {
				fmt.Fprintf(&lines, "%s\t%s\t%s\n", rec.EventName(), attribute(rec, "log.record.uid"), strings.ReplaceAll(rec.Body().AsString(), "\n", " "))
			}
		}
	}
	_, err := r.out.WriteString(lines.String())
	return plogotlp.NewExportResponse(), err
}

func attribute(rec plog.LogRecord, name string) string {
	v, ok := rec.Attributes().Get(name)
	if !ok {
		return ""
	}
	return v.AsString()
}

func receive(address, file string) int {
	out, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	s := grpc.NewServer()
	plogotlp.RegisterGRPCServer(s, &otlpReceiver{out: out})
	if err := s.Serve(l); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// startReceiver runs an OTLP receiver in a process of its own.
func startReceiver(tb testing.TB, address, file string) *exec.Cmd {
	tb.Helper()
	self, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.Command(self, address, file)
	cmd.Env = append(os.Environ(), actorEnv+"="+receiverCase)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	eventually(tb, 10*time.Second, "the receiver listens", func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return cmd
}

// eventually polls until ok holds.
func eventually(tb testing.TB, limit time.Duration, what string, ok func() bool) {
	tb.Helper()
	deadline := time.Now().Add(limit)
	for !ok() {
		if time.Now().After(deadline) {
			tb.Fatalf("not within %v: %s", limit, what)
		}
		time.Sleep(20 * time.Millisecond) // poll: a process or a page has no notification
	}
}

// received returns the bodies of the alerts in the receiver's file and how many records
// have an identity that another one has too.
func received(tb testing.TB, file string) (bodies map[string]int, repeated int) {
	tb.Helper()
	bodies = map[string]int{}
	f, err := os.Open(file)
	if os.IsNotExist(err) {
		return bodies, 0
	}
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	ids := map[string]bool{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		part := strings.SplitN(lines.Text(), "\t", 3)
		if len(part) != 3 || part[0] != "windhover.alert" {
			continue
		}
		if ids[part[1]] {
			repeated++
			continue
		}
		ids[part[1]] = true
		bodies[part[2]]++
	}
	return bodies, repeated
}

// metric returns the sum of the series of a metric whose labels contain all of with.
func (d *daemon) metric(name string, with ...string) float64 {
	d.tb.Helper()
	sum := 0.0
next:
	for line := range strings.Lines(d.page("/metrics")) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || rest[0] != '{' && rest[0] != ' ' {
			continue
		}
		for _, w := range with {
			if !strings.Contains(rest, w) {
				continue next
			}
		}
		var v float64
		if _, err := fmt.Sscan(rest[strings.LastIndexByte(rest, ' ')+1:], &v); err != nil {
			d.tb.Fatalf("metric line %q: %v", line, err)
		}
		sum += v
	}
	return sum
}

func TestEveryAlertArrivesThoughReceiverAndDaemonAreKilled(t *testing.T) {
	const outage = 20 * time.Second
	dir := t.TempDir()
	file := filepath.Join(dir, "received")
	otlp, webhook := freeAddress(t), freeAddress(t)
	rulesFile := filepath.Join(dir, "rules.yaml")
	if err := os.WriteFile(rulesFile, []byte(`
- rule: Marked request
  desc: A request of the test.
  condition: ka.verb = create
  output: marked %ka.target.name
  priority: NOTICE
  source: k8s_audit
  tags: [T1609]
`), 0o600); err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf(`
extensions:
  file_storage: {directory: %q, create_directory: true}
receivers:
  windhover_k8saudit: {endpoint: %q, fold: {enabled: false}}
exporters:
  otlp_grpc:
    endpoint: %q
    tls: {insecure: true}
    sending_queue: {storage: file_storage, queue_size: 100000}
    retry_on_failure: {initial_interval: 200ms, max_interval: 1s, max_elapsed_time: 0s}
`, filepath.Join(dir, "queue"), webhook, otlp)

	receiver := startReceiver(t, otlp, file)
	d := startDaemon(t, config, "-r", rulesFile)

	// Alerts flow all the time: with the receiver, without it, and until the daemon
	// is killed.
	sent := 0
	post := func() {
		t.Helper()
		change := object{"verb": "create", "objectRef": object{"resource": "pods", "name": fmt.Sprintf("alert-%d", sent)}}
		if status := postAudit(t, "http://"+webhook+"/k8s-audit", auditEvent(fmt.Sprint(sent), change)); status != http.StatusOK {
			t.Fatalf("the webhook answers %d", status)
		}
		sent++
	}
	flow := func(span time.Duration) {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for end := time.Now().Add(span); time.Now().Before(end); <-tick.C {
			post()
		}
	}
	flow(time.Second)
	if err := receiver.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = receiver.Wait()
	flow(outage)
	// An alert is safe from SIGKILL once it is in the persistent queue, one micro-batch
	// after its event.
	eventually(t, 10*time.Second, "all alerts are in the persistent queue", func() bool { return d.metric("windhover_queue_usage") == 0 })
	d.kill()

	startReceiver(t, otlp, file)
	startDaemon(t, config, "-r", rulesFile)
	var bodies map[string]int
	var repeated int
	for deadline := time.Now().Add(60 * time.Second); len(bodies) < sent && time.Now().Before(deadline); {
		time.Sleep(100 * time.Millisecond) // poll: the receiver is another process
		bodies, repeated = received(t, file)
	}
	for i := range sent {
		if bodies[fmt.Sprintf("marked alert-%d", i)] == 0 {
			t.Errorf("alert %d of %d did not arrive", i, sent)
		}
	}
	if len(bodies) != sent {
		t.Fatalf("%d of %d alerts arrived", len(bodies), sent)
	}
	t.Logf("%d alerts, all arrived; %d of them twice, recognisable by log.record.uid", sent, repeated)
}

// TestHungSinkStallsNothing has one sink that takes connections and never answers, and
// the console beside it.
func TestHungSinkStallsNothing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // never accepts: the kernel completes the connection
	webhook := freeAddress(t)
	dir := t.TempDir()
	rulesFile := filepath.Join(dir, "rules.yaml")
	if err := os.WriteFile(rulesFile, []byte(`
- rule: Every request
  desc: A request of the test.
  condition: ka.verb exists
  output: request %ka.auditid %ka.uri
  priority: NOTICE
  source: k8s_audit
`), 0o600); err != nil {
		t.Fatal(err)
	}
	d := startDaemon(t, fmt.Sprintf(`
receivers:
  windhover_k8saudit: {endpoint: %q, fold: {enabled: false}}
exporters:
  windhover_console: {}
  otlp_grpc:
    endpoint: %q
    tls: {insecure: true}
    sending_queue: {queue_size: 1000, sizer: items}
`, webhook, l.Addr()), "-r", rulesFile)

	const batches, perBatch = 300, 100
	rss := func() float64 { return d.metric("windhover_memory_usage_bytes") }
	var warm float64
	for b := range batches {
		var events []object
		for i := range perBatch {
			events = append(events, auditEvent(fmt.Sprintf("%d-%d", b, i), object{"requestURI": "/" + strings.Repeat("x", 500)}))
		}
		eventually(t, 30*time.Second, "the batch is taken", func() bool {
			return postAudit(t, "http://"+webhook+"/k8s-audit", events...) == http.StatusOK
		})
		if b == batches/3 {
			warm = rss()
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	last := fmt.Sprintf("%d-%d", batches-1, perBatch-1)
	if _, err := d.await(ctx, func(a *alertLine) bool { return a.field("ka.auditid") == last }); err != nil {
		t.Fatalf("the console did not get the last alert: %v", err)
	}
	if got := len(d.all()); got != batches*perBatch {
		t.Errorf("the console got %d alerts of %d", got, batches*perBatch)
	}
	if now := rss(); now > warm+24<<20 {
		t.Errorf("memory grew from %.0f to %.0f MB while a sink hung", warm/(1<<20), now/(1<<20))
	}
	if refused := d.metric("otelcol_exporter_enqueue_failed_log_records_total", "otlp_grpc"); refused == 0 {
		t.Errorf("no refused alert is counted for the sink that hangs")
	}
}
