//go:build linux

// Package stack runs Windhover beside the programs that people run it with: the
// configurations, rules and dashboards of deploy/ in the real Prometheus, Alertmanager,
// VictoriaLogs and collector. Package peer starts them; "make test-stack" runs it all
// and prints what each test saw.
package stack

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/windhover/windhover/test/stack/peer"
)

// auditOnly is a configuration that needs no privilege.
func auditOnly(tb testing.TB) (config, webhook string) {
	tb.Helper()
	webhook = peer.Free(tb)
	return fmt.Sprintf("receivers: {windhover_k8saudit: {endpoint: %q}}\n", webhook), "http://" + webhook + "/k8s-audit"
}

func TestPrometheusScrapesWindhover(t *testing.T) {
	t.Parallel()
	config, _ := auditOnly(t)
	w := peer.Windhover(t, "-c", peer.WriteFile(t, "windhover.yaml", config))
	p := peer.Prometheus(t, peer.PrometheusOptions{Config: peer.ScrapeConfig("windhover", w.URL)})
	p.AwaitUp(t, 1)
	peer.Eventually(t, 10*time.Second, "the rules are counted", func() (bool, string) {
		got := p.Query(t, `windhover_rules_loaded`)
		return len(got) == 1 && got[0].Value > 0 && got[0].Metric["job"] == "windhover", fmt.Sprint(got)
	})
	if w.RSS() < 1<<20 || w.CPU() <= 0 {
		t.Errorf("RSS %d, CPU %v: want some of both", w.RSS(), w.CPU())
	}
	w.Stop()
	if code := w.ExitCode(); code != 0 {
		t.Errorf("exit code = %d, want 0", code)
	}
}

func TestAlertmanagerCallsTheWebhook(t *testing.T) {
	t.Parallel()
	r := peer.Webhook(t)
	a := peer.Alertmanager(t, fmt.Sprintf(`
route: {receiver: test, group_wait: 0s}
receivers: [{name: test, webhook_configs: [{url: %q}]}]
`, r.URL))
	body := `[{"labels": {"alertname": "Test"}, "annotations": {"summary": "of the test"}}]`
	resp, err := http.Post(a.URL+"/api/v2/alerts", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("Alertmanager answers %d", resp.StatusCode)
	}
	r.Await(t, 20*time.Second, "the alert arrives", func(p peer.Post) bool { return strings.Contains(string(p.Body), `"alertname":"Test"`) })
	if got := a.Alerts(t); len(got) != 1 || got[0].Annotations["summary"] != "of the test" {
		t.Errorf("alerts = %v, want that of the test", got)
	}
}

func TestVictoriaLogsKeepsAlerts(t *testing.T) {
	t.Parallel()
	v := peer.VictoriaLogs(t)
	config, webhook := auditOnly(t)
	peer.Windhover(t, "-c", peer.WriteFile(t, "windhover.yaml", config+fmt.Sprintf(
		"exporters: {otlp_http: {logs_endpoint: %q, headers: {VL-Stream-Fields: service.name}}}\ntelemetry: {metrics: {exporters: []}}\n", v.OTLPEndpoint())))
	postAudit(t, webhook, podExec("shop", "web-0"))
	rows := v.AwaitRecords(t, 1, `event_name:="windhover.alert"`)
	if rule := fmt.Sprint(rows[0]["security_rule.name"]); !strings.Contains(rule, "pod") {
		t.Errorf("rule of the alert = %q, want that of an exec into a pod: %v", rule, rows[0])
	}
}

func TestKafkaBrokerTakesConnections(t *testing.T) {
	t.Parallel()
	brokers := peer.Kafka(t, "audit")
	c, err := net.Dial("tcp", brokers[0])
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

// podExec is an audit event: somebody runs a command in a pod.
func podExec(namespace, pod string) string {
	return fmt.Sprintf(`{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse",
"auditID":"%[1]s-%[2]s","stage":"ResponseComplete","verb":"create",
"requestURI":"/api/v1/namespaces/%[1]s/pods/%[2]s/exec?command=sh",
"user":{"username":"mallory","groups":["system:authenticated"]},"sourceIPs":["192.0.2.7"],
"objectRef":{"resource":"pods","namespace":"%[1]s","name":"%[2]s","apiVersion":"v1","subresource":"exec"},
"responseStatus":{"code":101},"requestReceivedTimestamp":%[3]q,"stageTimestamp":%[3]q}`,
		namespace, pod, time.Now().UTC().Format(time.RFC3339Nano))
}

// postAudit posts audit events as the API server does, and wants them taken.
func postAudit(tb testing.TB, webhook string, events ...string) {
	tb.Helper()
	body := `{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[` + strings.Join(events, ",") + `]}`
	resp, err := http.Post(webhook, "application/json", strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		tb.Fatalf("the webhook answers %d", resp.StatusCode)
	}
}
