//go:build linux

package stack

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/windhover/windhover/test/stack/peer"
)

// recipe returns the path of a configuration in deploy/collector.
func recipe(name string) string {
	return filepath.Join(peer.Root(), "deploy", "collector", name+".yaml")
}

// recipeRules returns the value of RULES that names a file of deploy/collector/rules.
func recipeRules(name string) string {
	return "[" + filepath.Join(peer.Root(), "deploy", "collector", "rules", name+".yaml") + "]"
}

// quiet turns the collector's own metrics off: the default address is one for all.
const quiet = "service: {telemetry: {metrics: {level: none}}}\n"

// cook runs the collector with a recipe. STATE is a directory of its own unless env
// names one.
func cook(tb testing.TB, name string, env map[string]string) *peer.Process {
	tb.Helper()
	env = maps.Clone(env)
	if _, ok := env["STATE"]; !ok {
		env["STATE"] = filepath.Join(tb.TempDir(), "state")
	}
	return peer.Collector(tb, []string{recipe(name), peer.WriteFile(tb, "quiet.yaml", quiet)}, env)
}

// listen adds addresses for a recipe that takes OTLP to env and returns the one of gRPC.
func listen(tb testing.TB, env map[string]string) (grpc string) {
	tb.Helper()
	grpc = peer.Free(tb)
	env["OTLP_GRPC"], env["OTLP_HTTP"] = grpc, peer.Free(tb)
	return grpc
}

// auditAgent runs Windhover with the rules that it ships on a webhook and sends alerts
// to an OTLP endpoint. Repeats are not folded.
func auditAgent(tb testing.TB, otlp string) (webhook string) {
	tb.Helper()
	address := peer.Free(tb)
	config := fmt.Sprintf(`
receivers: {windhover_k8saudit: {endpoint: %q, fold: {enabled: false}}}
exporters: {otlp_grpc: {endpoint: %q, tls: {insecure: true}}}
telemetry: {metrics: {exporters: []}}
`, address, otlp)
	peer.Windhover(tb, "-c", peer.WriteFile(tb, "windhover.yaml", config))
	return "http://" + address + "/k8s-audit"
}

// auditEvent returns an answered request to the API server; more are its members.
func auditEvent(id, user, verb, namespace, resource, name, more string) string {
	return fmt.Sprintf(`{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse",
"auditID":%q,"stage":"ResponseComplete","verb":%q,"requestURI":"/api/v1/namespaces/%[4]s/%[5]s/%[6]s",
"user":{"username":%[3]q,"groups":["system:authenticated"]},"sourceIPs":["192.0.2.7"],
"objectRef":{"resource":%[5]q,"namespace":%[4]q,"name":%[6]q,"apiVersion":"v1"},"responseStatus":{"code":200},
"requestReceivedTimestamp":%[7]q,"stageTimestamp":%[7]q%[8]s}`,
		id, verb, user, namespace, resource, name, time.Now().UTC().Format(time.RFC3339Nano), more)
}

// secretRead is an audit event of priority Notice and tactic TA0006.
func secretRead(namespace, name string) string {
	return auditEvent("secret-"+namespace+"-"+name, "mallory", "get", namespace, "secrets", name, "")
}

// privilegedPod is an audit event of priority Warning and tactic TA0004.
func privilegedPod(namespace, name string) string {
	return auditEvent("pod-"+namespace+"-"+name, "mallory", "create", namespace, "pods", name,
		`,"requestObject":{"kind":"Pod","apiVersion":"v1","metadata":{"name":"`+name+`"},
		"spec":{"containers":[{"name":"a","image":"`+name+`","securityContext":{"privileged":true}}]}}`)
}

// adminBinding is an audit event of priority Error and tactics TA0003 and TA0004.
func adminBinding(name string) string {
	return auditEvent("binding-"+name, "mallory", "create", "", "clusterrolebindings", name,
		`,"requestObject":{"kind":"ClusterRoleBinding","metadata":{"name":"`+name+`"},
		"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"cluster-admin"},
		"subjects":[{"kind":"User","name":"mallory"}]}`)
}

// rulesOf returns the names of the rules of alerts in the log store, in order.
func rulesOf(rows []map[string]any) []string {
	var names []string
	for _, r := range rows {
		names = append(names, fmt.Sprint(r["security_rule.name"]))
	}
	slices.Sort(names)
	return names
}

// await waits until query gives n rows and returns them. More are a failure: what a test
// sends in one request shows at once, so what should not be there would be, too.
func await(tb testing.TB, store *peer.LogStore, n int, query string) []map[string]any {
	tb.Helper()
	rows := store.AwaitRecords(tb, n, query)
	if len(rows) != n {
		tb.Fatalf("%d records for %s, want %d: %v", len(rows), query, n, rows)
	}
	return rows
}

// collectorBinary returns the collector that recipes run in.
func collectorBinary(tb testing.TB) string {
	tb.Helper()
	if name := os.Getenv(peer.CollectorEnv); name != "" {
		return name
	}
	name := filepath.Join(peer.Root(), "bin", "windhover-collector-contrib")
	if _, err := os.Stat(name); err != nil {
		tb.Fatal("find bin/windhover-collector-contrib: run make collector-contrib first")
	}
	return name
}

// elsewhere has the receiver of a recipe that the collector here does not have.
var elsewhere = map[string]string{"s3-cloudtrail": "awss3", "pubsub-gcp": "googlecloudpubsub"}

// withOTLP returns a copy of a recipe with an OTLP receiver instead of one that the
// collector here does not have, and without the encoding that only that one uses.
func withOTLP(tb testing.TB, name string) (path string) {
	tb.Helper()
	text, err := os.ReadFile(recipe(name))
	if err != nil {
		tb.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), "\nreceivers:\n")
	_, rest, ok2 := strings.Cut(rest, "\nprocessors:\n")
	if !ok || !ok2 {
		tb.Fatalf("%s does not have receivers before processors", name)
	}
	rest = strings.NewReplacer(
		"receivers: ["+elsewhere[name]+"]", "receivers: [otlp]",
		"  text_encoding:\n", "",
		"[text_encoding, ", "[",
	).Replace(rest)
	for _, gone := range []string{elsewhere[name], "text_encoding"} {
		if strings.Contains(rest, gone) {
			tb.Fatalf("%s still names %s:\n%s", name, gone, rest)
		}
	}
	return peer.WriteFile(tb, name+".yaml", head+
		"\nreceivers: {otlp: {protocols: {http: {endpoint: \"${env:OTLP_HTTP}\"}}}}\nprocessors:\n"+rest)
}

func TestRecipesAreValid(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob(recipe("*"))
	if err != nil || len(names) == 0 {
		t.Fatalf("find recipes: %v, %v", names, err)
	}
	page, err := os.ReadFile(filepath.Join(peer.Root(), "docs", "collector.md"))
	if err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "STATE="+t.TempDir(), "OTLP_HTTP=127.0.0.1:4318")
	for _, key := range []string{"PAGER_URL", "SHOP_LOGS_URL", "PAYMENTS_LOGS_URL", "PLATFORM_LOGS_URL"} {
		env = append(env, key+"=http://127.0.0.1:1/")
	}
	for _, name := range names {
		name = strings.TrimSuffix(filepath.Base(name), ".yaml")
		if link := "deploy/collector/" + name + ".yaml"; !strings.Contains(string(page), link) {
			t.Errorf("docs/collector.md does not name %s", link)
		}
		path := recipe(name)
		if elsewhere[name] != "" {
			path = withOTLP(t, name)
		}
		validate := exec.CommandContext(t.Context(), collectorBinary(t), "validate", "--config", path)
		validate.Env = env
		if out, err := validate.CombinedOutput(); err != nil {
			t.Errorf("validate %s: %v\n%s", name, err, out)
		}
	}
	peer.Claim(t, "the collector of deploy/ocb/manifest-contrib.yaml takes %d of %d recipes as they are, and %d with another receiver",
		len(names)-len(elsewhere), len(names), len(elsewhere))
}
