package host

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componentstatus"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/exporter/otlphttpexporter"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/receiver"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/windhover/windhover/config"
	"github.com/windhover/windhover/internal/ledger"
)

const deadline = 30 * time.Second

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// script is a receiver that does what a test says.
type script struct {
	start    func(*script) error
	host     component.Host
	next     consumer.Logs
	shutdown func()
}

// Start runs the script.
func (s *script) Start(_ context.Context, host component.Host) error {
	s.host = host
	return s.start(s)
}

// Shutdown ends the script.
func (s *script) Shutdown(context.Context) error {
	if s.shutdown != nil {
		s.shutdown()
	}
	return nil
}

// send emits one record with this body.
func (s *script) send(body string) error {
	ld := plog.NewLogs()
	r := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	r.Body().SetStr(body)
	return s.next.ConsumeLogs(context.Background(), ld)
}

func (s *script) report(e *componentstatus.Event) { componentstatus.ReportStatus(s.host, e) }

// source adds a ledger account in this state.
func (s *script) account(name string, state ledger.State) *ledger.Source {
	a := ledger.NewSource(name, "test")
	a.SetState(state, "as the test says")
	s.host.(ledger.Keeper).Book().Add(a)
	return a
}

// scripted returns the factory of receivers of type test_x for each script.
func scripted(scripts map[string]func(*script) error) []receiver.Factory {
	var fs []receiver.Factory
	for typ, start := range scripts {
		fs = append(fs, receiver.NewFactory(component.MustNewType(typ),
			func() component.Config { return &struct{}{} },
			receiver.WithLogs(func(_ context.Context, _ receiver.Settings, _ component.Config, next consumer.Logs) (receiver.Logs, error) {
				return &script{start: start, next: next}, nil
			}, component.StabilityLevelDevelopment)))
	}
	return fs
}

// sink is an OTLP receiver over HTTP.
type sink struct {
	*httptest.Server

	mu      sync.Mutex
	bodies  []string
	metrics map[string]bool
	changed chan struct{}
}

func newSink(tb testing.TB) *sink {
	tb.Helper()
	s := &sink{metrics: map[string]bool{}, changed: make(chan struct{}, 1)}
	s.Server = httptest.NewServer(s)
	tb.Cleanup(s.Close)
	return s
}

// ServeHTTP takes one export request.
func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var from io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		from = z
	}
	body, err := io.ReadAll(from)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	switch r.URL.Path {
	case "/v1/logs":
		req := plogotlp.NewExportRequest()
		if err := req.UnmarshalProto(body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
		for _, rl := range req.Logs().ResourceLogs().All() {
			for _, sl := range rl.ScopeLogs().All() {
				for _, r := range sl.LogRecords().All() {
					s.bodies = append(s.bodies, r.Body().Str())
				}
			}
		}
	case "/v1/metrics":
		req := pmetricotlp.NewExportRequest()
		if err := req.UnmarshalProto(body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
		for _, rm := range req.Metrics().ResourceMetrics().All() {
			for _, sm := range rm.ScopeMetrics().All() {
				for _, m := range sm.Metrics().All() {
					s.metrics[m.Name()] = true
				}
			}
		}
	default:
		http.NotFound(w, r)
	}
	s.mu.Unlock()
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

func (s *sink) taken() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string{}, s.bodies...)
}

func (s *sink) hasMetric(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.metrics[name]
}

// daemon is a host that runs in the test.
type daemon struct {
	address string
	cancel  context.CancelFunc
	reload  chan struct{}
	ended   chan struct{}
	err     error
	log     *observer.ObservedLogs
}

// run starts a host with a configuration text.
func run(tb testing.TB, f Factories, text string) *daemon {
	tb.Helper()
	name := tb.TempDir() + "/windhover.yaml"
	writeFile(tb, name, text+"\nserver: {address: 127.0.0.1:0}\n")
	f.Exporters = append(f.Exporters, otlphttpexporter.NewFactory())
	f.Extensions = append(f.Extensions, fakeRulesFactory())
	loaded, err := config.Load(config.Settings{Files: []string{name}, Types: f.Types()})
	if err != nil {
		tb.Fatal(err)
	}
	blocks, err := Configure(loaded, f)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(tb.Context())
	listening := make(chan string, 1)
	core, log := observer.New(zap.InfoLevel)
	d := &daemon{log: log, cancel: cancel, reload: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(d.ended)
		d.err = Run(ctx, Settings{
			Blocks: blocks, Build: component.BuildInfo{Command: "windhover", Version: "test"},
			Logger: zap.New(core), Reload: d.reload, Listening: func(a string) { listening <- a },
		})
	}()
	tb.Cleanup(func() { cancel(); <-d.ended })
	select {
	case d.address = <-listening:
	case <-d.ended:
		select {
		case d.address = <-listening: // and it ended at once
		default:
			tb.Fatalf("host ended before it listened: %v", d.err)
		}
	case <-time.After(deadline):
		tb.Fatal("host does not listen")
	}
	return d
}

// fakeRules stands where the default configuration has the rules.
type fakeRules struct{}

func fakeRulesFactory() extension.Factory {
	return extension.NewFactory(component.MustNewType("windhover_rules"), func() component.Config { return &struct{}{} },
		func(context.Context, extension.Settings, component.Config) (extension.Extension, error) {
			return &fakeRules{}, nil
		}, component.StabilityLevelDevelopment)
}

func (*fakeRules) Start(context.Context, component.Host) error { return nil }
func (*fakeRules) Shutdown(context.Context) error              { return nil }

// stop ends the host and returns what Run returned.
func (d *daemon) stop(tb testing.TB) error {
	tb.Helper()
	d.cancel()
	return d.wait(tb)
}

func (d *daemon) wait(tb testing.TB) error {
	tb.Helper()
	select {
	case <-d.ended:
		return d.err
	case <-time.After(deadline):
		tb.Fatal("host does not end")
		return nil
	}
}

// get returns the status and body of a page of the host's server.
func (d *daemon) get(tb testing.TB, path string) (int, string) {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), http.MethodGet, "http://"+d.address+path, http.NoBody)
	if err != nil {
		tb.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// states returns what /readyz says of each source, once it says what is wanted.
func (d *daemon) waitReady(tb testing.TB, wantStatus int, want map[string]string) {
	tb.Helper()
	expired := time.After(deadline)
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		status, body := d.get(tb, "/readyz")
		var r ready
		if err := json.Unmarshal([]byte(body), &r); err != nil {
			tb.Fatalf("readyz says %q: %v", body, err)
		}
		got := map[string]string{}
		for _, s := range r.Sources {
			got[s.Name] = s.State
		}
		if status == wantStatus && cmp.Equal(want, got) {
			return
		}
		select {
		case <-again.C:
		case <-expired:
			tb.Fatalf("readyz = %d %v, want %d %v\n%s", status, got, wantStatus, want, body)
		}
	}
}

// until waits for a condition that the sink's next requests may fulfil.
func (s *sink) until(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	expired := time.After(deadline)
	for !ok() {
		select {
		case <-s.changed:
		case <-expired:
			tb.Fatalf("no %s in %v", what, deadline)
		}
	}
}

func TestAlertsAndMetricsArriveOverOTLP(t *testing.T) {
	t.Parallel()
	s := newSink(t)
	d := run(t, Factories{Receivers: scripted(map[string]func(*script) error{
		"test_a": func(s *script) error { return s.send("hello") },
	})}, `
receivers: {test_a: }
exporters: {otlp_http: {endpoint: "`+s.URL+`"}}
telemetry: {metrics: {interval: 1s}, resource: {team: red}}
`)
	s.until(t, "alert", func() bool { return cmp.Equal(s.taken(), []string{"hello"}) })
	s.until(t, "metric", func() bool { return s.hasMetric("windhover.outlet.items") })
	if status, body := d.get(t, "/healthz"); status != http.StatusOK || body != "alive\n" {
		t.Errorf("healthz = %d %q", status, body)
	}
	_, body := d.get(t, "/metrics")
	for _, want := range []string{
		`windhover_outlet_items_total{exporter="otlp_http",outcome="taken",signal="logs"} 1`,
		`otelcol_exporter_sent_log_records_total{exporter="otlp_http"`,
		`process_resident_memory_bytes`,
		`go_memstats_heap_alloc_bytes`,
		`team="red"`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("metrics lack %s in\n%s", want, body)
		}
	}
	if err := d.stop(t); err != nil {
		t.Errorf("Run = %v, want nil after it was asked to stop", err)
	}
}

// hung is an exporter that never takes anything.
func hung() exporter.Factory {
	return exporter.NewFactory(component.MustNewType("hung"), func() component.Config { return &struct{}{} },
		exporter.WithLogs(func(context.Context, exporter.Settings, component.Config) (exporter.Logs, error) {
			return hungExporter{}, nil
		}, component.StabilityLevelDevelopment))
}

type hungExporter struct{}

func (hungExporter) Start(context.Context, component.Host) error { return nil }
func (hungExporter) Shutdown(context.Context) error              { return nil }
func (hungExporter) Capabilities() consumer.Capabilities         { return consumer.Capabilities{} }
func (hungExporter) ConsumeLogs(ctx context.Context, _ plog.Logs) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestExporterThatHangsStallsNoOther(t *testing.T) {
	t.Parallel()
	s := newSink(t)
	const n = 50
	sent := make(chan int, 1)
	d := run(t, Factories{
		Receivers: scripted(map[string]func(*script) error{
			"test_a": func(s *script) error {
				go func() {
					refused := 0
					for range n {
						if err := s.send("x"); errors.Is(err, errOutletFull) {
							refused++
						}
					}
					sent <- refused
				}()
				return nil
			},
		}),
		Exporters: []exporter.Factory{hung()},
	}, `
receivers: {test_a: }
exporters: {hung: , otlp_http: {endpoint: "`+s.URL+`"}}
alerts: {queue: {items: 20, bytes: 1000000}}
shutdown_timeout: 2s
`)
	s.until(t, "alerts at the exporter that works", func() bool { return len(s.taken()) == n })
	if refused := <-sent; refused != n-20 {
		t.Errorf("%d alerts were refused, want %d", refused, n-20)
	}
	_, body := d.get(t, "/metrics")
	for _, want := range []string{
		`windhover_outlet_items_total{exporter="hung",outcome="refused",signal="logs"} 30`,
		`windhover_outlet_usage{exporter="hung",signal="logs"} 20`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	if _, body := d.get(t, "/readyz"); !strings.Contains(body, "it blocks; 20 items wait") {
		t.Errorf("readyz does not say that the exporter blocks: %s", body)
	}
	if err := d.stop(t); err != nil {
		t.Errorf("Run = %v, want nil after it was asked to stop", err)
	}
	if d.log.FilterMessage("exporter did not take everything before the time to shut down was over").Len() != 1 {
		t.Errorf("the log does not say that something was not delivered: %v", d.log.All())
	}
}

var errBroken = errors.New("broken")

func TestFailureOfASource(t *testing.T) {
	t.Parallel()
	works := func(*script) error { return nil }
	for _, tt := range []struct {
		name    string
		onError string
		fails   func(*script) error
		want    string // what Run returns; empty: it goes on
		status  int
		states  map[string]string
	}{
		{"at its start stops all", "stop", func(*script) error { return errBroken }, "source test_bad: start: broken", 0, nil},
		{
			"at its start leaves the others alone", "continue", func(*script) error { return errBroken }, "",
			http.StatusServiceUnavailable,
			map[string]string{"test_bad": "failed", "test_good": "ok"},
		},
		{
			"later stops all", "stop", func(s *script) error {
				s.report(componentstatus.NewPermanentErrorEvent(errBroken))
				return nil
			},
			"source test_bad: broken", 0, nil,
		},
		{
			"later leaves the others alone", "continue", func(s *script) error {
				s.report(componentstatus.NewPermanentErrorEvent(errBroken))
				return nil
			},
			"",
			http.StatusServiceUnavailable,
			map[string]string{"test_bad": "failed", "test_good": "ok"},
		},
		{
			"that only the ledger knows of stops all", "stop", func(s *script) error {
				s.account("test_bad", ledger.StateFailed)
				return nil
			},
			"source test_bad: as the test says", 0, nil,
		},
		{
			"that is fatal stops all whatever is set", "continue", func(s *script) error {
				s.report(componentstatus.NewFatalErrorEvent(errBroken))
				return nil
			},
			"receiver test_bad: broken", 0, nil,
		},
		{
			"is not what it recovers from", "stop", func(s *script) error {
				s.report(componentstatus.NewRecoverableErrorEvent(errBroken))
				return nil
			},
			"",
			http.StatusOK,
			map[string]string{"test_bad": "degraded", "test_good": "ok"},
		},
		{
			"is not its end", "stop", func(s *script) error {
				s.account("test_bad", ledger.StateEnded)
				return nil
			},
			"",
			http.StatusOK,
			map[string]string{"test_bad": "ended", "test_good": "ok"},
		},
		{
			"is not a loss", "stop", func(s *script) error {
				s.account("test_bad", ledger.StateOK).SetLossy("drops")
				return nil
			},
			"",
			http.StatusOK,
			map[string]string{"test_bad": "lossy", "test_good": "ok"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSink(t)
			d := run(t, Factories{Receivers: scripted(map[string]func(*script) error{"test_bad": tt.fails, "test_good": works})}, `
receivers: {test_bad: {on_error: `+tt.onError+`}, test_good: }
exporters: {otlp_http: {endpoint: "`+s.URL+`"}}
`)
			if tt.want != "" {
				if err := d.wait(t); err == nil || err.Error() != tt.want {
					t.Errorf("Run = %v, want %q", err, tt.want)
				}
				return
			}
			d.waitReady(t, tt.status, tt.states)
			_, metrics := d.get(t, "/metrics")
			for source, state := range tt.states {
				if want := "\nwindhover_source_state{source=\"" + source + "\",state=\"" + state + "\"} 1\n"; !strings.Contains(metrics, want) {
					t.Errorf("metrics lack %s", want)
				}
			}
			if err := d.stop(t); err != nil {
				t.Errorf("Run = %v, want nil", err)
			}
		})
	}
}

func TestSourceThatFailedStartsAgain(t *testing.T) {
	t.Parallel()
	s := newSink(t)
	var mu sync.Mutex
	starts, shutdowns := 0, 0
	d := run(t, Factories{Receivers: scripted(map[string]func(*script) error{
		"test_a": func(s *script) error {
			mu.Lock()
			defer mu.Unlock()
			s.shutdown = func() { mu.Lock(); shutdowns++; mu.Unlock() }
			starts++
			if starts == 1 {
				return errBroken
			}
			return s.send("again")
		},
	})}, `
receivers: {test_a: {on_error: restart}}
exporters: {otlp_http: {endpoint: "`+s.URL+`"}}
`)
	s.until(t, "alert after the restart", func() bool { return cmp.Equal(s.taken(), []string{"again"}) })
	d.waitReady(t, http.StatusOK, map[string]string{"test_a": "ok"})
	if _, body := d.get(t, "/metrics"); !strings.Contains(body, `windhover_source_restarts_total{source="test_a"} 1`) {
		t.Error("metrics do not count the restart")
	}
	if err := d.stop(t); err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
	mu.Lock()
	defer mu.Unlock()
	if starts != 2 || shutdowns != 2 {
		t.Errorf("%d starts and %d shutdowns, want 2 and 2", starts, shutdowns)
	}
}

func TestRunEndsWhenEverySourceHas(t *testing.T) {
	t.Parallel()
	s := newSink(t)
	ended := func(name string) func(*script) error {
		return func(s *script) error {
			s.account(name, ledger.StateEnded)
			return s.send("last words of " + name)
		}
	}
	d := run(t, Factories{Receivers: scripted(map[string]func(*script) error{"test_a": ended("test_a"), "test_b": ended("test_b")})}, `
receivers: {test_a: , test_b: }
exporters: {otlp_http: {endpoint: "`+s.URL+`"}}
`)
	if err := d.wait(t); err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
	if got := len(s.taken()); got != 2 {
		t.Errorf("%d alerts arrived, want both", got)
	}
}

func writeFile(tb testing.TB, name, text string) {
	tb.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
}
