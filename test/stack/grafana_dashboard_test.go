//go:build linux

package stack

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"

	"github.com/windhover/windhover/test/stack/draw"
	"github.com/windhover/windhover/test/stack/peer"
)

// Types of data sources in Grafana.
const (
	prometheusSource   = "prometheus"
	victoriaLogsSource = "victoriametrics-logs-datasource"
	lokiSource         = "loki"
)

// dashboards returns the dashboards of deploy/grafana by their file.
func dashboards(tb testing.TB) map[string]*draw.Dashboard {
	tb.Helper()
	all := map[string]*draw.Dashboard{}
	for name, text := range dashboardFiles(tb) {
		d, err := draw.Read(text)
		if err != nil {
			tb.Fatalf("%s: %v", name, err)
		}
		all[name] = d
	}
	return all
}

func dashboardFiles(tb testing.TB) map[string][]byte {
	tb.Helper()
	root := filepath.Join(peer.Root(), "deploy", "grafana", "dashboards")
	files := map[string][]byte{}
	for _, pattern := range []string{"*.json", "*/*.json"} {
		names, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			tb.Fatal(err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				tb.Fatal(err)
			}
			short, _ := filepath.Rel(root, name)
			files[short] = text
		}
	}
	if len(files) == 0 {
		tb.Fatalf("no dashboards in %s", root)
	}
	return files
}

// substitute puts what Grafana would in place of the variables of a query.
func substitute(expr string, span, step time.Duration) string {
	rate := max(step, 8*time.Second)
	return strings.NewReplacer(
		"$__rate_interval", rate.Truncate(time.Second).String(),
		"$__range_s", strconv.Itoa(int(span.Seconds())),
		"$__range", span.Truncate(time.Second).String(),
		"$__interval", step.String(),
		"$instance", ".*",
		"$source", ".*",
	).Replace(expr)
}

// TestDashboardsHaveGrafanasTypes has the TypeScript compiler check every dashboard
// against the types that Grafana publishes.
func TestDashboardsHaveGrafanasTypes(t *testing.T) {
	t.Parallel()
	npm, err := exec.LookPath("npm")
	if err != nil {
		t.Skip("npm is not installed")
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("grafana-schema")); err != nil {
		t.Fatal(err)
	}
	run := func(name string, args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := run(npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"); err != nil {
		t.Fatalf("install Grafana's types: %v\n%s", err, out)
	}
	constant := func(text []byte) []byte {
		return slices.Concat([]byte("import type { WindhoverDashboard } from './types';\nexport const dashboard: WindhoverDashboard = "), text)
	}
	files := dashboardFiles(t)
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, strings.ReplaceAll(name, "/", "-")+".ts"), constant(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	compiler := filepath.Join(dir, "node_modules", ".bin", "tsc")
	if out, err := run(compiler, "-p", "."); err != nil {
		t.Fatalf("check dashboards: %v\n%s", err, out)
	}
	// The check notices what a person would get wrong.
	mistakes := []struct{ right, wrong string }{
		{`"legend":`, `"legnd":`},
		{`"displayMode": "list"`, `"displayMode": "lists"`},
		{`"mergeValues"`, `"mergeValue"`},
		{`"fillOpacity"`, `"opacity"`},
		{`"type": "stat"`, `"type": "stats"`},
		{`"expr"`, `"expression"`},
		{`"schemaVersion": 42`, `"schemaVersion": 41`},
		{`"uid": "${logs}"`, `"uid": "logs"`},
	}
	for i, m := range mistakes {
		text := bytes.ReplaceAll(files["losses.json"], []byte(m.right), []byte(m.wrong))
		if bytes.Equal(text, files["losses.json"]) {
			t.Fatalf("losses.json has no %s", m.right)
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("mistake%d.ts", i)), constant(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := run(compiler, "-p", ".")
	if err == nil {
		t.Error("no mistake is noticed")
	}
	for i, m := range mistakes {
		if !strings.Contains(out, fmt.Sprintf("mistake%d.ts(", i)) {
			t.Errorf("%s passes the check", m.wrong)
		}
	}
	peer.Claim(t, "dashboards: %d files have the types of @grafana/schema 13.2.3, and each of %d mistakes is noticed", len(files), len(mistakes))
}

// metricNames returns the names that docs/metrics.md gives for Prometheus.
func metricNames(tb testing.TB) map[string]bool {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join(peer.Root(), "docs", "metrics.md"))
	if err != nil {
		tb.Fatal(err)
	}
	names := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `windhover[^`]*` \\| `([a-z_]+)` \\|").FindAllSubmatch(text, -1) {
		names[string(m[1])] = true
	}
	if len(names) < 30 {
		tb.Fatalf("docs/metrics.md has %d metrics", len(names))
	}
	return names
}

// TestQueriesOfDashboardsParse has Prometheus' parser read every query, and looks up
// every metric in it.
func TestQueriesOfDashboardsParse(t *testing.T) {
	t.Parallel()
	known := metricNames(t)
	used := map[string]bool{}
	n := 0
	check := func(where, text string) {
		n++
		e, err := parser.NewParser(parser.Options{}).ParseExpr(substitute(text, time.Hour, 30*time.Second))
		if err != nil {
			t.Errorf("%s: %v\n%s", where, err, text)
			return
		}
		parser.Inspect(e, func(node parser.Node, _ []parser.Node) error {
			if s, ok := node.(*parser.VectorSelector); ok {
				used[s.Name] = true
				if !known[s.Name] {
					t.Errorf("%s: Windhover has no metric %s", where, s.Name)
				}
			}
			return nil
		})
	}
	for file, d := range dashboards(t) {
		for _, p := range d.Panels {
			for _, q := range p.Targets {
				if q.Datasource.Type == prometheusSource {
					check(file+": "+p.Title, q.Expr)
				}
			}
		}
		for _, v := range d.Templating.List {
			if q, ok := v.Query.(map[string]any); ok {
				text, _ := q["query"].(string)
				inner, ok := strings.CutPrefix(text, "label_values(")
				selector, _, comma := strings.Cut(strings.TrimSuffix(inner, ")"), ", ")
				if !ok || !comma {
					t.Errorf("%s: variable %s asks %q, want label_values(selector, label)", file, v.Name, text)
					continue
				}
				check(file+": variable "+v.Name, selector)
			}
		}
	}
	if !t.Failed() {
		peer.Claim(t, "dashboards: Prometheus' parser reads all %d PromQL queries; they use %d of the %d metrics, and no other name", n, len(used), len(known))
	}
}

// TestLokiQueriesAreSelectorsAndLabelFilters: Loki is not run here, so its queries are
// kept to what there is little to get wrong in.
func TestLokiQueriesAreSelectorsAndLabelFilters(t *testing.T) {
	t.Parallel()
	const matcher = `[a-z0-9_]+(=|!=|=~|!~)"[^"]*"`
	plain := regexp.MustCompile(`^\{` + matcher + `(, ` + matcher + `)*\}( \| (` + matcher + `|[a-z_]+ (=|!=|=~|!~) "[^"]*"|[a-z_]+ (>|>=|<|<=|==) [0-9]+))*$`)
	n := 0
	for file, d := range dashboards(t) {
		if !strings.HasPrefix(file, "loki/") {
			continue
		}
		queries := []draw.Target{}
		for _, a := range d.Annotations.List {
			queries = append(queries, a.Target)
		}
		for _, p := range d.Panels {
			queries = append(queries, p.Targets...)
		}
		for _, q := range queries {
			if q.Datasource.Type != lokiSource {
				continue
			}
			n++
			if !plain.MatchString(q.Expr) {
				t.Errorf("%s: %s is more than a stream selector with label filters", file, q.Expr)
			}
		}
	}
	if n == 0 {
		t.Error("no query for Loki")
	}
}

// TestPanelsLeadToRunbooks looks up the sections that panels lead to.
func TestPanelsLeadToRunbooks(t *testing.T) {
	t.Parallel()
	page := strings.ToLower(read(t, filepath.Join(peer.Root(), "docs", "runbooks.md")))
	link := regexp.MustCompile(`docs/runbooks\.md#([a-z]+)"`)
	n := 0
	for file, text := range dashboardFiles(t) {
		for _, m := range link.FindAllSubmatch(text, -1) {
			n++
			if !strings.Contains(page, "\n## "+string(m[1])+"\n") {
				t.Errorf("%s: docs/runbooks.md has no section %s", file, m[1])
			}
		}
	}
	if n == 0 {
		t.Error("no panel leads to a runbook")
	}
}

// TestProvisioningNamesWhatDashboardsAskFor decodes the provisioning files strictly, by
// the keys of Grafana's documentation that they use.
func TestProvisioningNamesWhatDashboardsAskFor(t *testing.T) {
	t.Parallel()
	decode := func(name string, v any) {
		d := yaml.NewDecoder(strings.NewReader(read(t, filepath.Join(peer.Root(), "deploy", "grafana", "provisioning", name))))
		d.KnownFields(true)
		if err := d.Decode(v); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	var sources struct {
		APIVersion  int `yaml:"apiVersion"`
		Datasources []struct {
			Name, UID, Type, Access, URL string
			JSONData                     map[string]any `yaml:"jsonData"`
		}
	}
	decode("datasources/windhover.yaml", &sources)
	types := map[string]bool{}
	for _, s := range sources.Datasources {
		if s.Name == "" || s.UID == "" || s.Access != "proxy" || !strings.HasPrefix(s.URL, "$") {
			t.Errorf("data source %+v lacks something", s)
		}
		types[s.Type] = true
	}
	for file, d := range dashboards(t) {
		if strings.HasPrefix(file, "loki/") {
			continue
		}
		for _, p := range d.Panels {
			for _, q := range p.Targets {
				if !types[q.Datasource.Type] {
					t.Errorf("%s: %s asks a %s, and none is provisioned", file, p.Title, q.Datasource.Type)
				}
			}
		}
	}
	var boards struct {
		APIVersion int `yaml:"apiVersion"`
		Providers  []struct {
			Name, Folder, Type    string
			AllowUIUpdates        bool `yaml:"allowUiUpdates"`
			UpdateIntervalSeconds int  `yaml:"updateIntervalSeconds"`
			Options               struct{ Path string }
		}
	}
	decode("dashboards/windhover.yaml", &boards)
	if sources.APIVersion != 1 || boards.APIVersion != 1 || len(boards.Providers) != 1 || boards.Providers[0].Type != "file" || boards.Providers[0].Options.Path == "" {
		t.Errorf("provisioning is %+v and %+v", sources, boards)
	}
}
