//go:build linux

package e2e

import (
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"

	"github.com/windhover/windhover/test/require"
)

// records is an OTLP receiver that keeps what it gets.
type records struct {
	plogotlp.UnimplementedGRPCServer
	address string

	mu  sync.Mutex
	all []plog.LogRecord
}

func startRecords(tb testing.TB) *records {
	tb.Helper()
	l, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	r := &records{address: l.Addr().String()}
	s := grpc.NewServer()
	plogotlp.RegisterGRPCServer(s, r)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	tb.Cleanup(func() {
		s.Stop()
		if err := <-served; err != nil {
			tb.Error(err)
		}
	})
	return r
}

// Export keeps the records of a request.
func (r *records) Export(_ context.Context, req plogotlp.ExportRequest) (plogotlp.ExportResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rl := range req.Logs().ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, rec := range sl.LogRecords().All() {
				kept := plog.NewLogRecord()
				rec.CopyTo(kept)
				r.all = append(r.all, kept)
			}
		}
	}
	return plogotlp.NewExportResponse(), nil
}

// find returns the first record that ok accepts.
func (r *records) find(ok func(plog.LogRecord) bool) (plog.LogRecord, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rec := range r.all {
		if ok(rec) {
			return rec, true
		}
	}
	return plog.LogRecord{}, false
}

// await returns the first record that ok accepts, past or future.
func (r *records) await(tb testing.TB, what string, ok func(plog.LogRecord) bool) plog.LogRecord {
	tb.Helper()
	var got plog.LogRecord
	eventually(tb, time.Minute, what, func() bool { // the exporter waits between attempts
		rec, found := r.find(ok)
		got = rec
		return found
	})
	return got
}

// mountBPF mounts a BPF file system of the test's own and returns a path in it.
func mountBPF(tb testing.TB) string {
	tb.Helper()
	dir := filepath.Join(tb.TempDir(), "bpf")
	if err := os.Mkdir(dir, 0o700); err != nil {
		tb.Fatal(err)
	}
	if err := unix.Mount("bpf", dir, "bpf", 0, ""); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			tb.Error(err)
		}
	})
	return filepath.Join(dir, "traces_ctx_v1")
}

func pinMap(tb testing.TB, path string, spec ebpf.MapSpec) *ebpf.Map {
	tb.Helper()
	m, err := ebpf.NewMap(&spec)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { m.Close() })
	if err := m.Pin(path); err != nil {
		tb.Fatal(err)
	}
	return m
}

// startTracedDaemon runs windhover with a rule about files named traced-….
func startTracedDaemon(t *testing.T, r *records, pin string) (d *daemon, dir string) {
	t.Helper()
	dir = t.TempDir()
	rulesFile := filepath.Join(dir, "rules.yaml")
	if err := os.WriteFile(rulesFile, []byte(`
- rule: Traced file
  desc: A file of the test was opened.
  condition: evt.type = openat and fd.name contains "/traced-"
  output: opened %fd.name
  priority: NOTICE
`), 0o600); err != nil {
		t.Fatal(err)
	}
	return startDaemon(t, fmt.Sprintf(`
receivers:
  windhover_syscall: {shards: 2, fold: {enabled: false}, trace_context: {path: %q}}
exporters:
  otlp_grpc: {endpoint: %q, tls: {insecure: true}, timeout: 20s, retry_on_failure: {initial_interval: 200ms, max_interval: 1s}}
`, pin, r.address), "-r", rulesFile), dir
}

// TestAlertsCarryTheTraceOfTheProcess has a map such as OpenTelemetry eBPF
// instrumentation makes. It appears while Windhover runs.
func TestAlertsCarryTheTraceOfTheProcess(t *testing.T) {
	require.Kernel(t)
	pin := mountBPF(t)
	r := startRecords(t)
	d, dir := startTracedDaemon(t, r, pin)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	// open opens a file and returns the alert about it.
	open := func(name string) plog.LogRecord {
		t.Helper()
		fd, err := unix.Open(filepath.Join(dir, name), unix.O_CREAT|unix.O_RDONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		unix.Close(fd)
		return r.await(t, "an alert about "+name, func(rec plog.LogRecord) bool {
			return strings.HasSuffix(rec.Body().AsString(), "/"+name)
		})
	}
	if rec := open("traced-before"); !rec.TraceID().IsEmpty() || !rec.SpanID().IsEmpty() {
		t.Errorf("trace %v, span %v, although there is no map", rec.TraceID(), rec.SpanID())
	}
	m := pinMap(t, pin, ebpf.MapSpec{Name: "traces_ctx_v1", Type: ebpf.LRUHash, KeySize: 8, ValueSize: 24, MaxEntries: 1 << 14})
	const trace, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	value, err := hex.DecodeString(trace + span)
	if err != nil {
		t.Fatal(err)
	}
	thread := uint64(os.Getpid())<<32 | uint64(unix.Gettid())
	if err := m.Put(thread, value); err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, "the map is found", func() bool {
		return strings.Contains(d.stderr.String(), "alerts carry the trace of the process")
	})
	if rec := open("traced-within"); rec.TraceID().String() != trace || rec.SpanID().String() != span {
		t.Errorf("trace %v, span %v, want %s, %s", rec.TraceID(), rec.SpanID(), trace, span)
	}
	if err := m.Delete(thread); err != nil {
		t.Fatal(err)
	}
	if rec := open("traced-after"); !rec.TraceID().IsEmpty() || !rec.SpanID().IsEmpty() {
		t.Errorf("trace %v, span %v, although the request is over", rec.TraceID(), rec.SpanID())
	}
	d.stop()
}

func TestAMapOfAnotherLayoutIsNoFailure(t *testing.T) {
	require.Kernel(t)
	pin := mountBPF(t)
	pinMap(t, pin, ebpf.MapSpec{Type: ebpf.LRUHash, KeySize: 8, ValueSize: 40, MaxEntries: 16})
	r := startRecords(t)
	d, dir := startTracedDaemon(t, r, pin)
	if err := os.WriteFile(filepath.Join(dir, "traced-file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	rec := r.await(t, "an alert", func(rec plog.LogRecord) bool { return strings.HasSuffix(rec.Body().AsString(), "/traced-file") })
	if !rec.TraceID().IsEmpty() {
		t.Errorf("trace = %v, want none", rec.TraceID())
	}
	if n := d.metric("windhover_source_state", `state="ok"`); n != 1 {
		t.Errorf("the source is not well")
	}
	d.stop()
	if log := d.stderr.String(); strings.Count(log, "alerts carry no trace") != 1 || !strings.Contains(log, "values of 40 bytes") {
		t.Errorf("the log does not say once what is wrong with the map:\n%s", log)
	}
}
