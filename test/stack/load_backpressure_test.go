//go:build linux

package stack

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/windhover/windhover/test/stack/peer"
)

// sink takes OTLP over HTTP at an address, except when it is stopped: then nobody is
// there.
type sink struct {
	tb      testing.TB
	address string
	server  *http.Server
	ended   chan struct{}

	mu      sync.Mutex
	got     map[string]bool // by windhover.record.id
	copies  int
	records []sinkRecord
}

// sinkRecord is what a log record says.
type sinkRecord struct {
	body, source, name string
	attributes         map[string]any
}

// maxSinkRecords bounds what is kept of records beside their number.
const maxSinkRecords = 1000

func newSink(tb testing.TB) *sink {
	tb.Helper()
	s := &sink{tb: tb, address: peer.Free(tb), got: map[string]bool{}}
	s.start()
	tb.Cleanup(s.stop)
	return s
}

func (s *sink) start() {
	s.tb.Helper()
	l, err := net.Listen("tcp", s.address)
	if err != nil {
		s.tb.Fatal(err)
	}
	s.server, s.ended = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}, make(chan struct{})
	server, ended := s.server, s.ended
	go func() {
		defer close(ended)
		_ = server.Serve(l)
	}()
}

// stop finishes what is being answered and is gone.
func (s *sink) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_ = s.server.Shutdown(ctx)
	_ = s.server.Close()
	<-s.ended
}

// ServeHTTP takes a request.
func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		body = z
	}
	b, err := io.ReadAll(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	ld, err := (&plog.ProtoUnmarshaler{}).UnmarshalLogs(b) // a request is the message of its logs
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, lr := range sl.LogRecords().All() {
				id, _ := lr.Attributes().Get("windhover.record.id")
				if s.got[id.Str()] {
					s.copies++
				}
				s.got[id.Str()] = true
				if len(s.records) < maxSinkRecords {
					source, _ := lr.Attributes().Get("windhover.source.name")
					s.records = append(s.records, sinkRecord{lr.Body().AsString(), source.Str(), lr.EventName(), lr.Attributes().AsRaw()})
				}
			}
		}
	}
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func (s *sink) state() (different, copies int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.got), s.copies
}

// find returns the records that ok accepts.
func (s *sink) find(ok func(*sinkRecord) bool) (found []sinkRecord) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.records {
		if ok(&s.records[i]) {
			found = append(found, s.records[i])
		}
	}
	return found
}

// memory is what a process has in memory: its own, and what it maps of files. Of the file
// of a persistent queue the kernel keeps there what it has room for.
type memory struct{ own, files int64 }

func (m memory) String() string {
	return fmt.Sprintf("%.1f MB (and %.1f MB of mapped files)", mb(m.own), mb(m.files))
}

func memoryOf(tb testing.TB, p *peer.Process) (m memory) {
	tb.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		tb.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		for key, to := range map[string]*int64{"RssAnon:": &m.own, "RssFile:": &m.files} {
			if rest, ok := strings.CutPrefix(line, key); ok {
				if _, err := fmt.Sscanf(rest, "%d kB", to); err != nil {
					tb.Fatalf("read %q: %v", line, err)
				}
				*to <<= 10
			}
		}
	}
	return m
}

// outage is what happened in a test with a sink that is away for a while.
type outage struct {
	matches         int
	early, late     memory // in the outage
	delivered       int
	copies, refused int
}

// runOutage has 1,000 matches a second while the sink is there for two seconds, away for
// as long as loads last, and there again for two.
func runOutage(t *testing.T, queue string) (o outage) {
	t.Helper()
	const (
		perBatch = 100
		every    = 100 * time.Millisecond
	)
	s := newSink(t)
	webhook := peer.Free(t)
	w := peer.Windhover(t, "-r", peer.WriteFile(t, "rules.yaml", loadRules(1)), "-c", peer.WriteFile(t, "windhover.yaml", fmt.Sprintf(`
extensions:
  file_storage: {directory: %q, create_directory: true}
receivers:
  windhover_k8saudit: {endpoint: %q, fold: {enabled: false}}
exporters:
  otlp_http:
    logs_endpoint: "http://%s/v1/logs"
    sending_queue: %s
    retry_on_failure: {initial_interval: 200ms, max_interval: 1s, max_elapsed_time: 0s}
telemetry: {metrics: {exporters: []}}
`, t.TempDir(), webhook, s.address, queue)))
	templates := loadTemplates(t)
	matching := &templates[len(templates)-1]
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	flow := func(span time.Duration) {
		for range int(span / every) {
			<-ticker.C
			text := []byte(`{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[`)
			at := time.Now().UTC().AppendFormat(nil, "2006-01-02T15:04:05.000000Z")
			for i := range perBatch {
				if i > 0 {
					text = append(text, ',')
				}
				o.matches++
				text = matching.appendEvent(text, uint64(o.matches), at)
			}
			status, err := postOnce(t.Context(), client, "http://"+webhook+"/k8s-audit", append(text, `]}`...))
			if err != nil || status != http.StatusOK {
				t.Fatalf("a batch is answered %d, %v", status, err)
			}
		}
	}
	lasts := loadTime(t)
	flow(2 * time.Second)
	s.stop()
	flow(lasts / 2)
	o.early = memoryOf(t, w)
	flow(lasts - lasts/2)
	o.late = memoryOf(t, w)
	s.start()
	flow(2 * time.Second)

	// What is counted as refused by the exporter's queue, or before it.
	refused := func() int {
		return int(w.Metric("windhover_outlet_items_total", `outcome="failed"`, `signal="logs"`) +
			w.Metric("windhover_outlet_items_total", `outcome="refused"`, `signal="logs"`) +
			w.Metric("windhover_alert_lost_total"))
	}
	peer.Eventually(t, 120*time.Second, "every alert is delivered or refused", func() (bool, string) {
		o.delivered, o.copies = s.state()
		o.refused = refused()
		return o.delivered+o.refused >= o.matches, fmt.Sprintf("%d delivered, %d refused, of %d", o.delivered, o.refused, o.matches)
	})
	// What was still under way would show as one too many.
	w.Stop()
	o.delivered, o.copies = s.state()
	return o
}

func (o *outage) claim(t *testing.T, queue string) {
	t.Helper()
	peer.Claim(t, "sink stopped for %v under 1,000 matches/s, %s: of %d alerts %d delivered once or more (%d copies), %d counted as refused; memory %v in the middle of it and %v at its end",
		loadTime(t), queue, o.matches, o.delivered, o.copies, o.refused, o.early, o.late)
	if o.delivered+o.refused != o.matches {
		t.Errorf("of %d alerts %d were delivered and %d refused: some both, or neither", o.matches, o.delivered, o.refused)
	}
	if o.late.own > o.early.own+16<<20 {
		t.Errorf("memory grew from %v to %v while the sink was away", o.early, o.late)
	}
}

func TestLoadWithAStoppedSinkAndAPersistentQueue(t *testing.T) {
	o := runOutage(t, "{storage: file_storage, sizer: bytes, queue_size: 1073741824}")
	o.claim(t, "queue on disk")
	if o.refused != 0 {
		t.Errorf("%d alerts were refused", o.refused)
	}
}

func TestLoadWithAStoppedSinkAndAMemoryQueue(t *testing.T) {
	o := runOutage(t, "{sizer: bytes, queue_size: 4194304}")
	o.claim(t, "queue of 4 MiB in memory")
	if o.refused == 0 {
		t.Error("the queue was never full, so nothing was tried")
	}
}
