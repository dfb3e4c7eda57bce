//go:build linux

package stack

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"

	"github.com/windhover/windhover/test/stack/peer"
)

// ruleFiles are what deploy/prometheus has for Prometheus to load.
var ruleFiles = []string{"windhover.rules.yaml", "windhover.alerts.yaml"}

// upstreamMetrics are the metrics of other makers that rules use: those of the
// collector's exporters, which the daemon has too, with their attributes.
var upstreamMetrics = map[string][]string{
	"otelcol_exporter_send_failed_log_records_total": {"exporter", "error_type", "error_permanent", "server_address", "server_port", "url_path"},
	"otelcol_exporter_queue_size":                    {"exporter", "data_type"},
	"otelcol_exporter_queue_capacity":                {"exporter", "data_type"},
}

// prometheusRule is one recording or alerting rule.
type prometheusRule struct {
	Record      string            `yaml:"record"`
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

func (r prometheusRule) name() string { return r.Record + r.Alert }

func deployed(name string) string { return filepath.Join(peer.Root(), "deploy", "prometheus", name) }

func readYAML(tb testing.TB, path string, v any) {
	tb.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	if err := yaml.Unmarshal(text, v); err != nil {
		tb.Fatalf("read %s: %v", path, err)
	}
}

// prometheusRules returns the rules of deploy/prometheus.
func prometheusRules(tb testing.TB) []prometheusRule {
	tb.Helper()
	var rules []prometheusRule
	for _, name := range ruleFiles {
		var file struct {
			Groups []struct{ Rules []prometheusRule }
		}
		readYAML(tb, deployed(name), &file)
		for _, g := range file.Groups {
			rules = append(rules, g.Rules...)
		}
	}
	if len(rules) == 0 {
		tb.Fatal("read deploy/prometheus: no rules")
	}
	return rules
}

// metricLabels returns the metrics of docs/metrics.md by the names that Prometheus
// gives them, with their labels.
func metricLabels(tb testing.TB) map[string][]string {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join(peer.Root(), "docs", "metrics.md"))
	if err != nil {
		tb.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| `[a-z_.]+` \\| `([a-z_]+)` \\| [^|]+ \\| [^|]+ \\|([^|]*)\\|")
	table := map[string][]string{}
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		attributes := strings.Fields(strings.NewReplacer("`", "", ".", "_").Replace(m[2]))
		table[m[1]] = attributes
	}
	if len(table) == 0 {
		tb.Fatal("read docs/metrics.md: no row of a metric")
	}
	return table
}

// knownMetrics returns what expressions may ask for: metrics of Windhover and of
// exporters, and what the rules record.
func knownMetrics(tb testing.TB) map[string][]string {
	tb.Helper()
	known := metricLabels(tb)
	maps.Copy(known, upstreamMetrics)
	for _, r := range prometheusRules(tb) {
		if r.Record != "" {
			known[r.Record] = []string{"source", "lane", "priority", "exporter", "signal"}
		}
	}
	return known
}

// expressionProblems says what is wrong with an expression: that it does not parse, or
// the metrics and labels in it that nothing has. Any metric of known may have the
// labels that Prometheus adds.
func expressionProblems(expr string, known map[string][]string) []string {
	tree, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	if err != nil {
		return []string{fmt.Sprintf("%v", err)}
	}
	var problems []string
	allowed := map[string]bool{"job": true, "instance": true}
	parser.Inspect(tree, func(n parser.Node, _ []parser.Node) error {
		s, ok := n.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		attributes, ok := known[s.Name]
		if !ok {
			problems = append(problems, fmt.Sprintf("no metric %q", s.Name))
		}
		for _, a := range attributes {
			allowed[a] = true
		}
		for _, m := range s.LabelMatchers {
			if m.Name != "__name__" && m.Name != "job" && m.Name != "instance" && !slices.Contains(attributes, m.Name) {
				problems = append(problems, fmt.Sprintf("metric %s has no label %q", s.Name, m.Name))
			}
		}
		return nil
	})
	check := func(names []string) {
		for _, name := range names {
			if !allowed[name] {
				problems = append(problems, fmt.Sprintf("no metric of the expression has a label %q", name))
			}
		}
	}
	parser.Inspect(tree, func(n parser.Node, _ []parser.Node) error {
		switch n := n.(type) {
		case *parser.AggregateExpr:
			check(n.Grouping)
		case *parser.BinaryExpr:
			if n.VectorMatching != nil {
				check(n.VectorMatching.MatchingLabels)
			}
		}
		return nil
	})
	return problems
}

func TestPrometheusRulesUseMetricsThatExist(t *testing.T) {
	t.Parallel()
	rules, known := prometheusRules(t), knownMetrics(t)
	used := map[string]bool{}
	for _, r := range rules {
		for _, p := range expressionProblems(r.Expr, known) {
			t.Errorf("%s: %s", r.name(), p)
		}
		for name := range known {
			if strings.Contains(r.Expr, name) {
				used[name] = true
			}
		}
	}
	for name := range upstreamMetrics {
		if !used[name] {
			t.Errorf("no rule uses %s", name)
		}
	}
	if !t.Failed() {
		peer.Claim(t, "prometheus: the real parser reads the %d expressions of the rules, and every metric and label in them exists", len(rules))
	}
}

func TestExpressionProblemsAreFound(t *testing.T) {
	t.Parallel()
	known := map[string][]string{"windhover_a_total": {"source", "lane"}, "windhover_b": {"source"}}
	for _, tt := range []struct{ name, expr, want string }{
		{"what exists is fine", `sum without (lane) (rate(windhover_a_total{lane="bulk"}[5m])) / windhover_b > 0`, ""},
		{"labels of Prometheus are fine", `sum by (job, instance) (windhover_b)`, ""},
		{"a metric that nobody has", `rate(windhover_a[5m])`, `no metric "windhover_a"`},
		{"a label that the metric does not have", `windhover_b{lane="bulk"}`, `metric windhover_b has no label "lane"`},
		{"a label that is grouped by", `sum by (ring) (windhover_b)`, `no metric of the expression has a label "ring"`},
		{"a label that is matched on", `windhover_b / on (shard) windhover_b`, `no metric of the expression has a label "shard"`},
		{"no expression", `sum(`, `parse error`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := strings.Join(expressionProblems(tt.expr, known), "; ")
			if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
				t.Errorf("problems of %s = %q, want %q", tt.expr, got, tt.want)
			}
		})
	}
}

func TestEveryPrometheusAlertIsWholeAndHasItsRunbook(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(peer.Root(), "docs", "runbooks.md"))
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^## (Windhover\w+)$`).FindAllStringSubmatch(string(text), -1) {
		sections[m[1]] = true
	}
	alerts := 0
	for _, r := range prometheusRules(t) {
		if r.Alert == "" {
			continue
		}
		alerts++
		if !sections[r.Alert] {
			t.Errorf("docs/runbooks.md has no section %q", "## "+r.Alert)
		}
		delete(sections, r.Alert)
		if s := r.Labels["severity"]; s != "critical" && s != "warning" {
			t.Errorf("%s: severity = %q, want critical or warning", r.Alert, s)
		}
		want := []string{"description", "runbook_url", "summary"}
		if diff := cmp.Diff(want, slices.Sorted(maps.Keys(r.Annotations))); diff != "" {
			t.Errorf("%s: annotations (-want +got):\n%s", r.Alert, diff)
		}
		if want := "docs/runbooks.md#" + strings.ToLower(r.Alert); !strings.HasSuffix(r.Annotations["runbook_url"], want) {
			t.Errorf("%s: runbook_url = %q, want one that ends in %s", r.Alert, r.Annotations["runbook_url"], want)
		}
	}
	for s := range sections {
		t.Errorf("docs/runbooks.md has a section %s, and there is no such alert", s)
	}
	if !t.Failed() {
		peer.Claim(t, "prometheus: each of the %d alerts has a severity, a summary, a description and a runbook section", alerts)
	}
}

func TestRunbooksAskForWhatExists(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(peer.Root(), "docs", "runbooks.md"))
	if err != nil {
		t.Fatal(err)
	}
	known, asked := knownMetrics(t), 0
	for _, m := range regexp.MustCompile("`([^`\n]+)`").FindAllStringSubmatch(string(text), -1) {
		if !strings.Contains(m[1], "windhover_") && !strings.Contains(m[1], "otelcol_") {
			continue // not about a metric of ours
		}
		asked++
		for _, p := range expressionProblems(m[1], known) {
			t.Errorf("docs/runbooks.md: %s: %s", m[1], p)
		}
	}
	if asked == 0 {
		t.Error("docs/runbooks.md asks for nothing")
	}
}

// promtool runs promtool in deploy/prometheus.
func promtool(tb testing.TB, args ...string) string {
	tb.Helper()
	cmd := exec.CommandContext(tb.Context(), filepath.Join(peer.Root(), ".cache", "bin", "promtool"), args...)
	cmd.Dir = deployed(".")
	out, err := cmd.CombinedOutput()
	if err != nil {
		tb.Fatalf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestPromtoolAcceptsRulesAndExample(t *testing.T) {
	t.Parallel()
	promtool(t, append([]string{"check", "rules", "--lint=all", "--lint-fatal"}, ruleFiles...)...)
	promtool(t, "check", "config", "--lint=all", "--lint-fatal", "prometheus.yml")
	peer.Claim(t, "prometheus: promtool accepts the rules and the example configuration")
}

func TestPromtoolPassesTheCasesOfTheRules(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(deployed("tests/*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("find cases: %v, %d files", err, len(files))
	}
	type outcome struct{ Fires, Silent, Samples int }
	outcomes := map[string]outcome{}
	for _, file := range files {
		var f struct {
			Tests []struct {
				AlertRuleTest []struct {
					Alertname string
					ExpAlerts []any `yaml:"exp_alerts"`
				} `yaml:"alert_rule_test"`
				PromqlExprTest []struct {
					Expr       string
					ExpSamples []any `yaml:"exp_samples"`
				} `yaml:"promql_expr_test"`
			}
		}
		readYAML(t, file, &f)
		for _, c := range f.Tests {
			for _, a := range c.AlertRuleTest {
				o := outcomes[a.Alertname]
				if len(a.ExpAlerts) > 0 {
					o.Fires++
				} else {
					o.Silent++
				}
				outcomes[a.Alertname] = o
			}
			for _, e := range c.PromqlExprTest {
				o := outcomes[e.Expr]
				o.Samples += len(e.ExpSamples)
				outcomes[e.Expr] = o
			}
		}
	}
	cases := 0
	for _, r := range prometheusRules(t) {
		o := outcomes[r.name()]
		cases += o.Fires + o.Silent
		if r.Alert != "" && (o.Fires == 0 || o.Silent == 0) {
			t.Errorf("%s: %d cases in which it fires and %d in which it does not, want some of both", r.Alert, o.Fires, o.Silent)
		}
		// What one rule records for the next is seen in the next.
		if r.Record != "" && o.Samples == 0 && !strings.Contains(r.Record, "source_lane:windhover_dropped") {
			t.Errorf("%s: no case has a sample of it", r.Record)
		}
	}
	promtool(t, append([]string{"test", "rules"}, files...)...)
	peer.Claim(t, "prometheus: promtool passes %d cases in which an alert fires or, nearly the same, does not, and those of the recording rules", cases)
}
