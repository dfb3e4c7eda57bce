//go:build linux

package stack

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/windhover/windhover/test/stack/peer"
)

func TestRecipeByPriority(t *testing.T) {
	t.Parallel()
	pager, store := peer.Webhook(t), peer.VictoriaLogs(t)
	env := map[string]string{"PAGER_URL": pager.URL, "LOGS_URL": store.OTLPEndpoint()}
	otlp := listen(t, env)
	cook(t, "by-priority", env)
	postAudit(t, auditAgent(t, otlp), secretRead("shop", "db"), adminBinding("evil"), privilegedPod("shop", "miner"))

	page := pager.Await(t, 30*time.Second, "the pager is called", func(peer.Post) bool { return true })
	var alert struct{ Rule, Priority, Source, Hostname string }
	if err := json.Unmarshal(page.Body, &alert); err != nil {
		t.Fatalf("decode page: %v: %s", err, page.Body)
	}
	if alert.Rule != "Cluster administrator binding created" || alert.Priority != "Error" || alert.Source != "k8s_audit" {
		t.Errorf("the page = %s, want that of the binding", page.Body)
	}
	rest := await(t, store, 2, "*")
	if got, want := rulesOf(rest), []string{"Privileged pod created", "Secrets read by a user"}; !slices.Equal(got, want) {
		t.Errorf("the log store has %q, want %q", got, want)
	}
	if n := len(pager.Posts()); n != 1 {
		t.Errorf("the pager was called %d times, want once", n)
	}
	peer.Claim(t, "by-priority: 3 alerts, the one of priority Error at the pager as JSON, the other 2 in the log store")
}

func TestRecipeByPriorityKeepsAPagerThatIsDownFromHoldingUpTheRest(t *testing.T) {
	t.Parallel()
	pager, store := peer.Webhook(t), peer.VictoriaLogs(t)
	pager.Answer(http.StatusServiceUnavailable)
	env := map[string]string{"PAGER_URL": pager.URL, "LOGS_URL": store.OTLPEndpoint()}
	otlp := listen(t, env)
	cook(t, "by-priority", env)
	postAudit(t, auditAgent(t, otlp), adminBinding("evil"), secretRead("shop", "db"))
	await(t, store, 1, "*")
	pager.Await(t, 30*time.Second, "the pager refuses", func(peer.Post) bool { return true })
	pager.Answer(http.StatusOK)
	pager.Await(t, 60*time.Second, "the page is tried again", func(p peer.Post) bool { return p.Status == http.StatusOK })
}

func TestRecipeByNamespace(t *testing.T) {
	t.Parallel()
	store := peer.VictoriaLogs(t)
	sink := func(team string) string { return store.OTLPEndpoint() + "?extra_fields=sink%3D" + team }
	env := map[string]string{
		"SHOP_LOGS_URL": sink("shop"), "PAYMENTS_LOGS_URL": sink("payments"), "PLATFORM_LOGS_URL": sink("platform"),
	}
	otlp := listen(t, env)
	cook(t, "by-namespace", env)
	postAudit(t, auditAgent(t, otlp),
		secretRead("shop", "a"), secretRead("checkout", "b"), secretRead("payments-eu", "c"), secretRead("shopping", "d"), adminBinding("e"))
	// Of a process in a pod: the namespace is in the resource.
	postOTLP(t, env["OTLP_HTTP"], `{"resource": {"attributes": [{"key": "k8s.namespace.name", "value": {"stringValue": "payments"}}]},
		"scopeLogs": [{"logRecords": [{"eventName": "windhover.alert", "body": {"stringValue": "shell"},
		"attributes": [{"key": "log.record.uid", "value": {"stringValue": "f"}}]}]}]}`)

	for team, want := range map[string]string{
		"shop": "checkout shop", "payments": "payments payments-eu", "platform": "<nil> shopping",
	} {
		n := len(strings.Fields(want))
		var got []string
		for _, r := range await(t, store, n, "sink:="+team) {
			got = append(got, fmt.Sprint(r["k8s.namespace.name"]))
			if r["team"] != team {
				t.Errorf("team of %v = %v, want %v", r["security_rule.name"], r["team"], team)
			}
		}
		slices.Sort(got)
		if got := strings.Join(got, " "); got != want {
			t.Errorf("namespaces of team %s = %q, want %q", team, got, want)
		}
	}
	if all := store.Query(t, "*"); len(all) != 6 {
		t.Errorf("%d alerts arrived, want 6", len(all))
	}
	peer.Claim(t, "by-namespace: 6 alerts, 2 at each of 3 teams, none at two")
}

// postOTLP posts ResourceLogs as JSON and wants them taken.
func postOTLP(tb testing.TB, address, resourceLogs string) {
	tb.Helper()
	resp, err := http.Post("http://"+address+"/v1/logs", "application/json", strings.NewReader(`{"resourceLogs": [`+resourceLogs+`]}`))
	if err != nil {
		tb.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		tb.Fatalf("the OTLP receiver answers %d", resp.StatusCode)
	}
}

func TestRecipeByTactic(t *testing.T) {
	t.Parallel()
	store := peer.VictoriaLogs(t)
	file := filepath.Join(t.TempDir(), "siem.json")
	env := map[string]string{"SIEM_FILE": file, "LOGS_URL": store.OTLPEndpoint()}
	otlp := listen(t, env)
	cook(t, "by-tactic", env)
	// TA0006, TA0004, TA0003 with TA0004, and TA0002, which the SIEM does not get.
	postAudit(t, auditAgent(t, otlp), secretRead("shop", "db"), privilegedPod("shop", "miner"), adminBinding("evil"), podExec("shop", "web-0"))
	await(t, store, 4, "*")

	var rules []string
	peer.Eventually(t, 30*time.Second, "the file has three lines", func() (bool, string) {
		text, err := os.ReadFile(file)
		return strings.Count(string(text), "\n") >= 3, fmt.Sprintf("%v %s", err, text)
	})
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var alert struct {
			Rule, Output, Time string
			Tags               []string
		}
		if err := json.Unmarshal([]byte(line), &alert); err != nil {
			t.Fatalf("decode line: %v: %s", err, line)
		}
		if !slices.ContainsFunc(alert.Tags, func(tag string) bool { return strings.HasPrefix(tag, "mitre_") }) {
			t.Errorf("tags of %s = %v, want one of a tactic", alert.Rule, alert.Tags)
		}
		rules = append(rules, alert.Rule)
	}
	slices.Sort(rules)
	want := []string{"Cluster administrator binding created", "Privileged pod created", "Secrets read by a user"}
	if !slices.Equal(rules, want) {
		t.Errorf("the file has %q, want %q", rules, want)
	}
	peer.Claim(t, "by-tactic: 4 alerts in the log store, the 3 of chosen tactics in the SIEM's file as well")
}

func TestRecipeLowPriority(t *testing.T) {
	t.Parallel()
	const different, repeats, warnings = 3000, 1000, 40
	store := peer.VictoriaLogs(t)
	webhook := peer.Free(t)
	cook(t, "low-priority", map[string]string{"AUDIT_ENDPOINT": webhook, "WINDOW": "2s", "LOGS_URL": store.OTLPEndpoint()})
	url := "http://" + webhook + "/k8s-audit"
	var events []string
	for i := range different {
		events = append(events, secretRead("shop", "secret-"+strconv.Itoa(i)))
	}
	for range repeats {
		events = append(events, secretRead("shop", "the-same"))
	}
	for i := range warnings {
		events = append(events, privilegedPod("shop", "pod-"+strconv.Itoa(i)))
	}
	for chunk := range slices.Chunk(events, 500) {
		postAudit(t, url, chunk...)
	}

	folds := await(t, store, 1, `event_name:="windhover.alerts_folded"`)
	if got := folds[0]["windhover.fold.count"]; got != strconv.Itoa(repeats-1) {
		t.Errorf("the record of repeats counts %v, want %d", got, repeats-1)
	}
	await(t, store, warnings, `event_name:="windhover.alert" severity_text:=Warning`)
	low := store.Query(t, `event_name:="windhover.alert" severity_text:=Notice`)
	// One in ten, give or take four standard deviations.
	const mean = (different + 1) * 0.1
	if d := 4 * math.Sqrt(mean*0.9); math.Abs(float64(len(low))-mean) > d {
		t.Errorf("%d alerts of priority Notice pass, want %.0f ± %.0f", len(low), mean, d)
	}
	for _, r := range low[:1] {
		if r["sampling.threshold"] == nil || r["chance"] != nil {
			t.Errorf("a sampled alert has no threshold, or what was only of use inside: %v", r)
		}
	}
	peer.Claim(t, "low-priority: %d matches, %d different of priority Notice, %d equal and %d of Warning, become %d records: %d sampled, 1 that says %d, %d of Warning",
		len(events), different, repeats, warnings, len(low)+1+warnings, len(low), repeats-1, warnings)
}

func TestRecipeAlertMetrics(t *testing.T) {
	t.Parallel()
	store := peer.VictoriaLogs(t)
	scrape := peer.Free(t)
	prometheus := peer.Prometheus(t, peer.PrometheusOptions{Config: peer.ScrapeConfig("collector", scrape), OTLP: true})
	env := map[string]string{"LOGS_URL": store.OTLPEndpoint(), "PROMETHEUS_URL": prometheus.OTLPEndpoint(), "SCRAPE": scrape, "HOSTNAME": "tier-0"}
	otlp := listen(t, env)
	cook(t, "alert-metrics", env)
	webhook := auditAgent(t, otlp)
	for _, n := range []int{10, 20} { // two batches: the second adds to the first
		var events []string
		for i := range n {
			events = append(events, secretRead("shop", fmt.Sprintf("%d-%d", n, i)))
		}
		postAudit(t, webhook, append(events, secretRead("payments", strconv.Itoa(n)), adminBinding(strconv.Itoa(n)))...)
		store.AwaitRecords(t, n+2, `*`)
	}

	want := map[string]float64{
		"Secrets read by a user/Notice/shop":               30,
		"Secrets read by a user/Notice/payments":           2,
		"Cluster administrator binding created/Error/none": 2,
	}
	for _, job := range []string{"windhover-alerts", "collector"} { // by OTLP, and scraped
		peer.Eventually(t, 60*time.Second, "the counts are right", func() (bool, string) {
			got := make(map[string]float64)
			for _, s := range prometheus.Query(t, fmt.Sprintf(`sum by (security_rule_name, priority, k8s_namespace_name) (security_alerts_total{job=%q})`, job)) {
				got[s.Metric["security_rule_name"]+"/"+s.Metric["priority"]+"/"+s.Metric["k8s_namespace_name"]] = s.Value
			}
			ok := len(got) == len(want)
			for k, v := range want {
				ok = ok && got[k] == v
			}
			return ok, fmt.Sprintf("job %s: %v, want %v", job, got, want)
		})
	}
	peer.Claim(t, "alert-metrics: 34 alerts are 3 series of security_alerts_total with the sums 30, 2 and 2, by OTLP and scraped")
}
