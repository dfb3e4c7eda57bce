//go:build linux

package peer

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// PrometheusOptions says what a Prometheus is started with.
type PrometheusOptions struct {
	// Config is the YAML of the configuration, such as scrape_configs; ScrapeConfig
	// makes them. Without "global" in it, scrapes and rules run every second.
	Config string
	// RuleFiles are paths of rules, which are loaded.
	RuleFiles []string
	// OTLP has it take OTLP metrics at OTLPEndpoint. Without "otlp" in Config,
	// service.name and service.instance.id become labels of every series.
	OTLP bool
	// Alertmanager is the URL of one; empty: none.
	Alertmanager string
	// Lookback is how long a series without a new point is still there, which says
	// when one that came by OTLP is gone; 0: five minutes.
	Lookback time.Duration
}

// PrometheusServer is a running Prometheus.
type PrometheusServer struct{ *Process }

// Sample is one element of an instant vector; a scalar is one without labels.
type Sample struct {
	Metric map[string]string
	Value  float64
	Time   time.Time
}

// String prints the sample as Prometheus writes it, its labels in order.
func (s Sample) String() string {
	return labels(s.Metric) + " " + strconv.FormatFloat(s.Value, 'g', -1, 64)
}

// Series is one element of a range vector.
type Series struct {
	Metric map[string]string
	Points []Point
}

// Point is the value of a series at a time.
type Point struct {
	Time  time.Time
	Value float64
}

// Alert is an alert that Prometheus knows of.
type Alert struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	State       string            `json:"state"` // pending or firing
	Value       string            `json:"value"`
}

// ScrapeConfig returns the scrape_configs for one job whose targets, addresses or
// URLs, have /metrics.
func ScrapeConfig(job string, targets ...string) string {
	quoted := make([]string, len(targets))
	for i, t := range targets {
		quoted[i] = strconv.Quote(strings.TrimPrefix(t, "http://"))
	}
	return fmt.Sprintf("scrape_configs:\n  - job_name: %q\n    static_configs: [{targets: [%s]}]\n", job, strings.Join(quoted, ", "))
}

// Prometheus runs a Prometheus.
func Prometheus(tb testing.TB, o PrometheusOptions) *PrometheusServer {
	tb.Helper()
	binary := tool(tb, ".cache/bin/prometheus", "stack-tools")
	config := o.Config
	if !hasKey(config, "global") {
		config = "global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\n" + config
	}
	if o.OTLP && !hasKey(config, "otlp") {
		config += "\notlp: {promote_resource_attributes: [service.name, service.instance.id]}\n"
	}
	if len(o.RuleFiles) > 0 {
		var paths []string
		for _, f := range o.RuleFiles {
			abs, err := filepath.Abs(f)
			if err != nil {
				tb.Fatal(err)
			}
			paths = append(paths, strconv.Quote(abs))
		}
		config += "\nrule_files: [" + strings.Join(paths, ", ") + "]\n"
	}
	if o.Alertmanager != "" {
		config += fmt.Sprintf("\nalerting: {alertmanagers: [{static_configs: [{targets: [%q]}]}]}\n", strings.TrimPrefix(o.Alertmanager, "http://"))
	}
	file := WriteFile(tb, "prometheus.yml", config)
	storage := filepath.Join(tb.TempDir(), "tsdb")
	return &PrometheusServer{serve(tb, binary, "/-/ready", func(address string) []string {
		args := []string{"--config.file=" + file, "--web.listen-address=" + address, "--storage.tsdb.path=" + storage}
		if o.OTLP {
			args = append(args, "--web.enable-otlp-receiver")
		}
		if o.Lookback > 0 {
			args = append(args, "--query.lookback-delta="+o.Lookback.String())
		}
		return args
	})}
}

// hasKey reports whether a YAML document has a key at its top level.
func hasKey(document, key string) bool {
	return strings.HasPrefix(document, key+":") || strings.Contains(document, "\n"+key+":")
}

// OTLPEndpoint returns where metrics are posted: metrics_endpoint of otlp_http.
func (p *PrometheusServer) OTLPEndpoint() string { return p.URL + "/api/v1/otlp/v1/metrics" }

// answer asks the HTTP API and decodes what it answers into v.
func (p *PrometheusServer) answer(tb testing.TB, path string, parameters url.Values, v any) {
	tb.Helper()
	u := p.URL + path + "?" + parameters.Encode()
	status, body, err := fetch(tb.Context(), u)
	if err != nil {
		tb.Fatalf("ask Prometheus: %v", err)
	}
	var envelope struct {
		Status string          `json:"status"`
		Error  string          `json:"error"`
		Data   json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal([]byte(body), &envelope); err != nil {
		tb.Fatalf("ask Prometheus for %s: status %d, %v: %s", u, status, err, tail(body, 1000))
	}
	if status != http.StatusOK || envelope.Status != "success" {
		tb.Fatalf("ask Prometheus for %s: status %d, %s", u, status, envelope.Error)
	}
	if err := json.Unmarshal(envelope.Data, v); err != nil {
		tb.Fatalf("ask Prometheus for %s: %v: %s", u, err, tail(body, 1000))
	}
}

// pair is a time and a value as the API writes them.
type pair [2]json.RawMessage

func (p pair) point() (Point, error) {
	var seconds float64
	var text string
	if err := json.Unmarshal(p[0], &seconds); err != nil {
		return Point{}, err
	}
	if err := json.Unmarshal(p[1], &text); err != nil {
		return Point{}, err
	}
	value, err := strconv.ParseFloat(text, 64)
	return Point{time.UnixMilli(int64(seconds * 1000)), value}, err
}

// Query evaluates an expression now. An expression without a result gives no sample.
func (p *PrometheusServer) Query(tb testing.TB, expr string) []Sample {
	tb.Helper()
	var result struct {
		ResultType string          `json:"resultType"`
		Result     json.RawMessage `json:"result"`
	}
	p.answer(tb, "/api/v1/query", url.Values{"query": {expr}}, &result)
	if result.ResultType == "scalar" {
		var v pair
		if err := json.Unmarshal(result.Result, &v); err != nil {
			tb.Fatalf("decode result of %s: %v", expr, err)
		}
		at, err := v.point()
		if err != nil {
			tb.Fatalf("decode result of %s: %v", expr, err)
		}
		return []Sample{{Value: at.Value, Time: at.Time}}
	}
	var vector []struct {
		Metric map[string]string `json:"metric"`
		Value  pair              `json:"value"`
	}
	if err := json.Unmarshal(result.Result, &vector); err != nil {
		tb.Fatalf("decode %s of %s: %v", result.ResultType, expr, err)
	}
	samples := make([]Sample, len(vector))
	for i, e := range vector {
		at, err := e.Value.point()
		if err != nil {
			tb.Fatalf("decode result of %s: %v", expr, err)
		}
		samples[i] = Sample{Metric: e.Metric, Value: at.Value, Time: at.Time}
	}
	return samples
}

// Range evaluates an expression at every step from start to end.
func (p *PrometheusServer) Range(tb testing.TB, expr string, start, end time.Time, step time.Duration) []Series {
	tb.Helper()
	var result struct {
		Result []struct {
			Metric map[string]string `json:"metric"`
			Values []pair            `json:"values"`
		} `json:"result"`
	}
	seconds := func(t time.Time) string { return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', 3, 64) }
	p.answer(tb, "/api/v1/query_range", url.Values{
		"query": {expr}, "start": {seconds(start)}, "end": {seconds(end)},
		"step": {strconv.FormatFloat(step.Seconds(), 'f', 3, 64)},
	}, &result)
	series := make([]Series, len(result.Result))
	for i, e := range result.Result {
		series[i].Metric = e.Metric
		for _, v := range e.Values {
			at, err := v.point()
			if err != nil {
				tb.Fatalf("decode result of %s: %v", expr, err)
			}
			series[i].Points = append(series[i].Points, at)
		}
	}
	return series
}

// Alerts returns the alerts that are pending or firing.
func (p *PrometheusServer) Alerts(tb testing.TB) []Alert {
	tb.Helper()
	var result struct {
		Alerts []Alert `json:"alerts"`
	}
	p.answer(tb, "/api/v1/alerts", nil, &result)
	return result.Alerts
}

// AwaitUp waits until n targets are scraped.
func (p *PrometheusServer) AwaitUp(tb testing.TB, n int) {
	tb.Helper()
	Eventually(tb, startTimeout, fmt.Sprintf("Prometheus scrapes %d targets", n), func() (bool, string) {
		up := p.Query(tb, "up == 1")
		return len(up) >= n, fmt.Sprint(up)
	})
}

func labels(m map[string]string) string {
	var b strings.Builder
	b.WriteString(m["__name__"] + "{")
	for i, k := range slices.Sorted(maps.Keys(m)) {
		if k == "__name__" {
			continue
		}
		if i > 0 && !strings.HasSuffix(b.String(), "{") {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s=%q", k, m[k])
	}
	return b.String() + "}"
}
