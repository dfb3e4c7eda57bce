//go:build linux

package stack

import (
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windhover/windhover/test/stack/peer"
)

// notProvoked are the alerts that no run of a sound Windhover makes fire; their cases
// for promtool show that they would.
var notProvoked = []string{"WindhoverLedgerOutOfBalance"}

// quick writes the rules of deploy/prometheus with every "for" of an alert replaced by
// one second, the only change, and returns the files.
func quick(tb testing.TB) []string {
	tb.Helper()
	var files []string
	for _, name := range ruleFiles {
		text, err := os.ReadFile(deployed(name))
		if err != nil {
			tb.Fatal(err)
		}
		files = append(files, peer.WriteFile(tb, name, regexp.MustCompile(`(?m)^( +for:) .*$`).ReplaceAllString(string(text), "$1 1s")))
	}
	return files
}

// troubles is two instances of Windhover and what goes wrong with them.
type troubles struct {
	tb testing.TB
	// host watches system calls with tiny buffers and a rule that matches each open of
	// file, for a destination that is slow; audit takes audit events, and its exporters have destinations that refuse
	// and that hang.
	host, audit *peer.Process
	file        string
	webhook     string
	rules       string // of audit
}

const auditRules = `
- rule: Every request
  desc: A request of the test.
  condition: ka.verb exists
  output: request %ka.auditid
  priority: NOTICE
  source: k8s_audit
`

func startTroubles(tb testing.TB, otlp string) *troubles {
	tb.Helper()
	tr := &troubles{tb: tb, file: peer.WriteFile(tb, "marked", ""), webhook: peer.Free(tb)}

	// Nothing waits before this exporter but the alert queue.
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(50 * time.Millisecond): // the destination is slow, not away
		case <-r.Context().Done():
		}
	}))
	tb.Cleanup(slow.Close)
	rules := peer.WriteFile(tb, "host.yaml", fmt.Sprintf(`
- rule: Marked file opened
  desc: Somebody opened the file of the test.
  condition: evt.type in (open, openat, openat2) and fd.name = %q
  output: opened %%fd.name
  priority: NOTICE
- rule: Program started
  desc: A program of the test.
  condition: evt.type = execve and proc.name = never
  output: started %%proc.name
  priority: NOTICE
`, tr.file))
	tr.host = peer.Windhover(tb, "-r", rules, "-c", peer.WriteFile(tb, "windhover.yaml", fmt.Sprintf(`
receivers:
  windhover_syscall:
    rings: {bulk: 65536, reserved: 65536, wake_bytes: 16384}
    fold: {enabled: false}
    queue: {items: 20}
exporters:
  otlp_http/slow: {logs_endpoint: %s/v1/logs, sending_queue: {enabled: false}}
  otlp_http: {metrics_endpoint: %q}
alerts: {exporters: [otlp_http/slow], queue: {items: 1}}
telemetry: {metrics: {exporters: [otlp_http], interval: 1s}, resource: {service.instance.id: host}}
`, slow.URL, otlp)))

	// One destination refuses, the other takes connections and never answers.
	refuses := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }))
	tb.Cleanup(refuses.Close)
	hangs, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { hangs.Close() })
	tr.rules = peer.WriteFile(tb, "audit.yaml", auditRules)
	tr.audit = peer.StartWindhover(tb, "-r", tr.rules, "-c", peer.WriteFile(tb, "windhover.yaml", fmt.Sprintf(`
receivers:
  windhover_k8saudit/busy: {endpoint: %q, fold: {enabled: false}}
  windhover_k8saudit/silent: {endpoint: %q}
  windhover_k8saudit/failed: {endpoint: %q, on_error: continue}
exporters:
  otlp_http/refuses:
    logs_endpoint: %s/v1/logs
    sending_queue: {queue_size: 4, num_consumers: 1}
    retry_on_failure: {initial_interval: 500ms, max_interval: 1s, max_elapsed_time: 2s}
  otlp_grpc/hangs:
    endpoint: %q
    tls: {insecure: true}
    sending_queue: {queue_size: 1, num_consumers: 1, block_on_overflow: true}
  otlp_http: {metrics_endpoint: %q}
alerts: {exporters: [otlp_http/refuses, otlp_grpc/hangs], queue: {items: 20}}
telemetry: {metrics: {exporters: [otlp_http], interval: 1s}, resource: {service.instance.id: audit}}
`, tr.webhook, peer.Free(tb), hangs.Addr(), refuses.URL, hangs.Addr(), otlp)))
	return tr
}

// flood opens the file a hundred times every few milliseconds until stop is called.
func (tr *troubles) flood() (stop func()) {
	var wg sync.WaitGroup
	done := make(chan struct{})
	wg.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			for range 100 {
				if f, err := os.Open(tr.file); err == nil {
					f.Close()
				}
			}
		}
	})
	return sync.OnceFunc(func() { close(done); wg.Wait() })
}

// freeze keeps the host's instance from running while programs are started: what it
// does not read in time is lost, in the reserved lane too.
func (tr *troubles) freeze() {
	tr.tb.Helper()
	tr.host.Signal(syscall.SIGSTOP)
	defer tr.host.Signal(syscall.SIGCONT)
	for range 200 {
		if err := exec.CommandContext(tr.tb.Context(), "/bin/true").Run(); err != nil {
			tr.tb.Fatal(err)
		}
	}
}

// firing returns the alerts that fire, by name with the distinct values of their label
// source, exporter or neither.
func firing(tb testing.TB, p *peer.PrometheusServer) map[string][]string {
	tb.Helper()
	out := map[string][]string{}
	for _, a := range p.Alerts(tb) {
		if a.State != "firing" {
			continue
		}
		name, about := a.Labels["alertname"], a.Labels["source"]+a.Labels["exporter"]
		if !slices.Contains(out[name], about) {
			out[name] = append(out[name], about)
			slices.Sort(out[name])
		}
	}
	return out
}

// fired is firing for all of the last ten minutes.
func fired(tb testing.TB, p *peer.PrometheusServer) map[string][]string {
	tb.Helper()
	out := map[string][]string{}
	for _, s := range p.Query(tb, `group by (alertname, source, exporter) (last_over_time(ALERTS{alertstate="firing"}[10m]))`) {
		name := s.Metric["alertname"]
		out[name] = append(out[name], s.Metric["source"]+s.Metric["exporter"])
	}
	return out
}

// awaitAlerts waits until each of the alerts is among those that get returns, about what
// is wanted among others.
func awaitAlerts(tb testing.TB, p *peer.PrometheusServer, get func(testing.TB, *peer.PrometheusServer) map[string][]string, want map[string]string) {
	tb.Helper()
	peer.Eventually(tb, 2*time.Minute, "the alerts fire", func() (bool, string) {
		got := get(tb, p)
		var missing []string
		for name, about := range want {
			if !slices.Contains(got[name], about) {
				missing = append(missing, name+" "+about)
			}
		}
		slices.Sort(missing)
		return len(missing) == 0, fmt.Sprintf("missing %q, firing %v", missing, got)
	})
}

func TestPrometheusAlertsFireOnRealTrouble(t *testing.T) {
	requireRoot(t)
	pager := peer.Webhook(t)
	text, err := os.ReadFile(deployed("alertmanager.yml"))
	if err != nil {
		t.Fatal(err)
	}
	// The example, with the receiver of the test and without its waits.
	config := strings.ReplaceAll(string(text), "http://127.0.0.1:8080", pager.URL)
	config = regexp.MustCompile(`(?m)^( *group_wait:) .*$`).ReplaceAllString(config, "$1 1s")
	config = regexp.MustCompile(`(?m)^( *group_interval:) .*$`).ReplaceAllString(config, "$1 1s")
	manager := peer.Alertmanager(t, config)

	rules := quick(t)
	pushed := peer.Prometheus(t, peer.PrometheusOptions{RuleFiles: rules, OTLP: true, Lookback: 10 * time.Second})
	tr := startTroubles(t, pushed.OTLPEndpoint())
	scraped := peer.Prometheus(t, peer.PrometheusOptions{
		Config:    peer.ScrapeConfig("windhover", tr.host.URL, tr.audit.URL),
		RuleFiles: rules, Alertmanager: manager.URL,
	})
	both := map[string]*peer.PrometheusServer{"scraped": scraped, "pushed": pushed}
	scraped.AwaitUp(t, 2)
	for name, p := range both {
		peer.Eventually(t, time.Minute, name+": both instances are there", func() (bool, string) {
			got := p.Query(t, "count_over_time(windhover_rules_loaded[1m]) > 2")
			return len(got) == 2, fmt.Sprint(got)
		})
	}

	// From here on, each trouble in its turn.
	started := time.Now()
	tr.freeze()
	stop := tr.flood()
	defer stop()
	if err := os.WriteFile(tr.rules, []byte("- rule: Every request\n  condition: nonsense(\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var posted atomic.Int64
	posting := make(chan struct{})
	var poster sync.WaitGroup
	poster.Go(func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-posting:
				return
			case <-tick.C:
				var events []string
				for range 10 {
					events = append(events, podExec("shop", fmt.Sprintf("web-%d", posted.Add(1))))
				}
				postAudit(t, "http://"+tr.webhook+"/k8s-audit", events...)
			}
		}
	})
	stopPosting := sync.OnceFunc(func() { close(posting); poster.Wait() })
	defer stopPosting()

	want := map[string]string{
		"WindhoverReservedLaneDrops":    "windhover_syscall",
		"WindhoverLossHigh":             "windhover_syscall",
		"WindhoverEventsLost":           "windhover_syscall",
		"WindhoverSourceUnhealthy":      "windhover_k8saudit/busy",
		"WindhoverAlertQueueFilling":    "windhover_syscall",
		"WindhoverAlertsLost":           "windhover_syscall",
		"WindhoverSourceSilent":         "windhover_k8saudit/silent",
		"WindhoverSourceFailed":         "windhover_k8saudit/failed",
		"WindhoverExportsFailing":       "otlp_http/refuses",
		"WindhoverDestinationFailing":   "otlp_http/refuses",
		"WindhoverExporterQueueFilling": "otlp_http/refuses",
		"WindhoverOutletRefusing":       "otlp_grpc/hangs",
		"WindhoverRulesReloadFailed":    "",
	}
	for _, p := range both {
		awaitAlerts(t, p, fired, want)
	}
	if names := firing(t, scraped); len(names["WindhoverAbsent"])+len(names["WindhoverLedgerOutOfBalance"]) > 0 {
		t.Errorf("alerts that should not fire: %v", names)
	}
	peer.Claim(t, "prometheus: %d alerts fire on real trouble, scraped and by OTLP, %v after it begins, with every \"for\" at 1 s", len(want), time.Since(started).Round(time.Second))

	// What the drops look like to whoever is called.
	loss := pager.Await(t, time.Minute, "the loss arrives at the pager", func(p peer.Post) bool {
		return p.Path == "/pager" && strings.Contains(string(p.Body), `"alertname":"WindhoverReservedLaneDrops"`)
	})
	for _, text := range []string{`"severity":"critical"`, `"source":"windhover_syscall"`, "runbooks.md#windhoverreservedlanedrops", "in five minutes"} {
		if !strings.Contains(string(loss.Body), text) {
			t.Errorf("the pager's message lacks %s: %s", text, loss.Body)
		}
	}
	if strings.Contains(string(loss.Body), "no value") || strings.Contains(string(loss.Body), "error expanding") {
		t.Errorf("the pager's message has a gap: %s", loss.Body)
	}
	peer.Claim(t, "alertmanager: the loss of reserved events arrives at the pager of the example's routes, %v after the first of them", loss.Time.Sub(started).Round(time.Second))
	pager.Await(t, time.Minute, "a warning arrives at the chat", func(p peer.Post) bool {
		return p.Path == "/chat" && strings.Contains(string(p.Body), `"alertname":"WindhoverSourceSilent"`)
	})
	peer.Eventually(t, time.Minute, "the lesser alert about the loss is inhibited", func() (bool, string) {
		for _, a := range manager.Alerts(t) {
			if a.Labels["alertname"] == "WindhoverEventsLost" && a.Labels["source"] == "windhover_syscall" {
				return a.State == "suppressed", a.State
			}
		}
		return false, "no such alert"
	})

	stop()
	stopPosting()
	compareWays(t, tr, scraped, pushed)

	// And the end of it all.
	tr.audit.Kill()
	for _, p := range both {
		awaitAlerts(t, p, firing, map[string]string{"WindhoverInstanceGone": ""})
	}
	tr.host.Kill()
	for _, p := range both {
		awaitAlerts(t, p, firing, map[string]string{"WindhoverAbsent": ""})
	}
	want["WindhoverInstanceGone"], want["WindhoverAbsent"] = "", ""
	var never []string
	for _, r := range prometheusRules(t) {
		if _, ok := want[r.Alert]; r.Alert != "" && !ok {
			never = append(never, r.Alert)
		}
	}
	if diff := cmp.Diff(notProvoked, never); diff != "" {
		t.Errorf("alerts that were not provoked (-want +got):\n%s", diff)
	}
	peer.Claim(t, "prometheus: an instance that is gone and the absence of all fire, scraped and by OTLP; not provoked, since it takes a mistake in Windhover: %s", strings.Join(never, ", "))
}

// compareWays checks that every metric and every expression of the rules has the same
// series, whichever way it came, but for job, and that expressions are zero together:
// windows began at other times. What the audit sources count is the same to the last
// event, since nothing goes on there any more.
func compareWays(t *testing.T, tr *troubles, scraped, pushed *peer.PrometheusServer) {
	t.Helper()
	names := map[string]string{
		strings.TrimPrefix(tr.host.URL, "http://"):  "host",
		strings.TrimPrefix(tr.audit.URL, "http://"): "audit",
	}
	series := func(p *peer.PrometheusServer, expr string) map[string]peer.Sample {
		out := map[string]peer.Sample{}
		for _, s := range p.Query(t, expr) {
			m := maps.Clone(s.Metric)
			for _, name := range []string{"job", "service_name", "service_instance_id"} {
				delete(m, name)
			}
			if name, ok := names[m["instance"]]; ok {
				m["instance"] = name
			}
			out[fmt.Sprint(m)] = s
		}
		return out
	}
	compare := func(expr string) (n int) {
		peer.Eventually(t, 30*time.Second, expr+" is the same both ways", func() (bool, string) {
			a, b := series(scraped, expr), series(pushed, expr)
			if diff := cmp.Diff(slices.Sorted(maps.Keys(a)), slices.Sorted(maps.Keys(b))); diff != "" {
				return false, "series (-scraped +pushed):\n" + diff
			}
			for k, v := range a {
				w := b[k]
				quiet := strings.HasPrefix(expr, "windhover_") && strings.HasPrefix(v.Metric["source"], "windhover_k8saudit") && v.Metric["__name__"] == expr
				if (v.Value == 0) != (w.Value == 0) || quiet && v.Value != w.Value {
					return false, fmt.Sprintf("scraped %v, pushed %v", v, w)
				}
			}
			n = len(a)
			return true, ""
		})
		return n
	}
	expressions, metrics, inRules, inMetrics := 0, 0, 0, 0
	for _, r := range prometheusRules(t) {
		expressions++
		inRules += compare(r.Expr)
		if r.Record != "" {
			inRules += compare(r.Record)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(metricLabels(t))) {
		// What changes from one moment to the next is zero at one and not at the other.
		switch name {
		case "windhover_source_in_flight", "windhover_source_lag_seconds", "windhover_ring_usage_bytes", "windhover_outlet_usage", "windhover_outlet_memory_usage_bytes":
			continue
		}
		metrics++
		inMetrics += compare(name)
	}
	peer.Claim(t, "prometheus: the %d expressions of the rules have the same %d series scraped and by OTLP, and %d metrics the same %d", expressions, inRules, metrics, inMetrics)
}

// requireRoot skips a test that watches system calls where that cannot be done.
func requireRoot(tb testing.TB) {
	tb.Helper()
	out, err := exec.CommandContext(tb.Context(), peer.WindhoverBinary(tb), "preflight").CombinedOutput()
	if err == nil {
		return
	}
	if os.Getenv("WINDHOVER_REQUIRE_KERNEL") == "1" {
		tb.Fatalf("watch system calls: %v\n%s", err, out)
	}
	tb.Skipf("watch system calls: %v\n%s", err, out)
}
