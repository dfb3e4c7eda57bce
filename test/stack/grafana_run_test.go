//go:build linux

package stack

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/windhover/windhover/test/stack/draw"
	"github.com/windhover/windhover/test/stack/peer"
)

// picturesEnv names a directory. With it the run is longer, with several episodes of
// loss, and its dashboards are drawn there.
const picturesEnv = "WINDHOVER_PICTURES"

// emptyInHealth are the panels that show nothing while nothing is wrong, by file and
// title, with the reason. Every other panel shows something then, and all of them do
// in the run that loses.
var emptyInHealth = map[string]string{
	"losses.json: Event types that lost most":     "lists only what lost",
	"losses.json: Containers that lost most":      "lists only what lost",
	"losses.json: Episodes as they were reported": "lists episodes, and there was none",
}

// zeroIsRight are the panels that show zero even while events are lost.
var zeroIsRight = map[string]string{
	"alerts.json: Windows that ended early": "takes 2,048 different alerts within a window",
	"losses.json: Ledger":                   "another value is a defect of Windhover",
	"losses.json: Lag":                      "small rings hold nothing old; scrapes see that of large ones by chance",
	"losses.json: Alert queue":              "the daemon empties it within milliseconds; scrapes see it by chance",
}

// stage is a Windhover with all that its dashboards ask.
type stage struct {
	logs            *peer.LogStore
	scraped, pushed *peer.PrometheusServer
}

// TestDashboardsShowARunningWindhover runs every query of every panel against a real
// Prometheus, once scraping and once fed by OTLP, and a real VictoriaLogs, while a real
// Windhover watches this host, a cluster's audit events and a cloud's: first in health,
// then while one with small rings loses events and its exporters fail.
func TestDashboardsShowARunningWindhover(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("loading BPF programs needs root")
	}
	pictures := os.Getenv(picturesEnv)
	healthy, lossy, episodes := 15*time.Second, 12*time.Second, 1
	if pictures != "" {
		healthy, lossy, episodes = 60*time.Second, 20*time.Second, 4
	}
	countPrograms(t)
	logs := peer.VictoriaLogs(t)
	pushed := peer.Prometheus(t, peer.PrometheusOptions{OTLP: true})
	rulesFile := peer.WriteFile(t, "dashboards.rules.yaml", read(t, "testdata/dashboards.rules.yaml"))
	audit, trail := peer.Free(t), peer.Free(t)
	fails := peer.Webhook(t)
	fails.Answer(http.StatusInternalServerError)
	config := func(name string) string { return filepath.Join(peer.Root(), "test", "stack", "testdata", name) }
	for name, value := range map[string]string{
		"AUDIT": audit, "TRAIL": trail,
		"LOGS": logs.OTLPEndpoint(), "METRICS": pushed.OTLPEndpoint(), "HANGS": hangingServer(t), "FAILS": fails.URL,
		"LIBRARY": filepath.Join(peer.Root(), "rules", "library"), "RULES": rulesFile, "FLOOD": config("dashboards.flood.yaml"),
	} {
		t.Setenv(name, value)
	}
	start := time.Now()
	calm := peer.Windhover(t, "-c", config("dashboards.calm.yaml"))
	targets := peer.WriteFile(t, "targets.json", "[]")
	aim := func(processes ...*peer.Process) {
		var addresses []string
		for _, p := range processes {
			addresses = append(addresses, strings.TrimPrefix(p.URL, "http://"))
		}
		text, err := json.Marshal([]any{map[string]any{"targets": addresses}})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(targets, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	aim(calm)
	s := &stage{logs: logs, pushed: pushed, scraped: peer.Prometheus(t, peer.PrometheusOptions{Config: fmt.Sprintf(
		`
global: {scrape_interval: 2s, scrape_timeout: 2s}
scrape_configs: [{job_name: windhover, file_sd_configs: [{files: [%q], refresh_interval: 1s}]}]
`, targets)})}
	s.scraped.AwaitUp(t, 1)
	h := newHost(t, "http://"+audit+"/k8s-audit", "http://"+trail+"/events")

	healthStart := time.Now()
	h.work(healthy)
	s.settle(t)
	shown := s.check(t, "in health", healthStart, func(name string, r draw.Result) string {
		_, empty := emptyInHealth[name]
		switch {
		case empty && shows(r):
			return "shows something, and emptyInHealth says that it does not"
		case !empty && !shows(r):
			return "shows nothing"
		}
		return ""
	})
	if lost := s.scraped.Query(t, "sum(windhover_source_dropped_total)"); len(lost) != 1 || lost[0].Value != 0 {
		t.Errorf("in health %v events were lost", lost)
	}
	peer.Claim(t, "dashboards: in health %d panels show values from scraped metrics, from OTLP metrics and from VictoriaLogs; %d that list losses are empty", shown, len(emptyInHealth))

	lossStart := time.Now()
	strained := peer.StartWindhover(t, "-c", config("dashboards.strained.yaml"))
	aim(calm, strained)
	s.scraped.AwaitUp(t, 2)
	for i := range episodes {
		h.work(5 * time.Second)
		if i == 0 {
			breakRules(t, rulesFile, strained)
		}
		h.flood()
		h.work(lossy)
		if episodes > 1 {
			h.calm()
			h.work(lossy)
		}
	}
	if episodes > 1 { // the last one ends with the flood
		h.flood()
		h.work(lossy / 2)
	}
	s.settle(t)
	for range 3 {
		h.step() // what is fresh when the queries run
	}
	shown = s.check(t, "under loss", lossStart, func(name string, r draw.Result) string {
		_, right := zeroIsRight[name]
		switch {
		case !shows(r):
			return "shows nothing"
		case !right && !showsMoreThanZero(r):
			return "shows zeros only"
		}
		return ""
	})
	s.checkBalance(t, start)
	dropped := s.scraped.Query(t, "sum(windhover_source_dropped_total)")
	peer.Claim(t, "dashboards: under loss (%.0f events dropped) %d panels show values, %d of them zero because that is right", dropped[0].Value, shown, len(zeroIsRight))

	end := time.Now()
	results := s.results(t, s.scraped, start, end, max(time.Second, end.Sub(start).Truncate(time.Second)/150))
	for file, d := range dashboards(t) {
		if strings.HasPrefix(file, "loki/") {
			continue
		}
		var page bytes.Buffer
		if err := draw.Page(&page, d, results[file], start, end); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(page.String(), "No data") {
			t.Errorf("the picture of %s has a panel without data", file)
		}
		if pictures != "" {
			name := strings.TrimSuffix(file, ".json")
			shoot(t, "file://"+peer.WriteFile(t, name+".html", page.String()), filepath.Join(pictures, "dashboard-"+name+".png"), draw.Width, draw.Height(d))
		}
	}
	if pictures != "" {
		h.calm()
		query := url.Values{
			"query":          {`event_name:=windhover.alert ("k8s.namespace.name":* or "windhover.source.type":=aws_cloudtrail or "container.id":*) | fields _time, _msg, severity_text, "security_rule.name", "host.name", "k8s.namespace.name"`},
			"g0.range_input": {"5m"}, "limit": {"50"},
		}
		shoot(t, logs.URL+"/select/vmui/?#/?"+query.Encode(), filepath.Join(pictures, "victorialogs.png"), 1400, 1000)
	}
}

// settle waits until what was written can be read.
func (s *stage) settle(tb testing.TB) {
	tb.Helper()
	now := time.Now()
	peer.Eventually(tb, 30*time.Second, "records and metrics of now are there", func() (bool, string) {
		records := s.logs.Query(tb, fmt.Sprintf(`_time:[%d, %d] "service.name":=windhover | limit 1`, now.Add(-3*time.Second).Unix(), now.Unix()+60))
		metrics := s.pushed.Query(tb, fmt.Sprintf(`max(timestamp(windhover_matches_total)) > %d`, now.Unix()))
		return len(records) > 0 && len(metrics) > 0, fmt.Sprintf("%d records, %v", len(records), metrics)
	})
}

// check asks the queries of every panel of both Prometheus and reports what problem
// says of their results. It returns the number of panels that show something.
func (s *stage) check(t *testing.T, when string, start time.Time, problem func(name string, r draw.Result) string) int {
	t.Helper()
	shown := 0
	for i, p := range []*peer.PrometheusServer{s.scraped, s.pushed} {
		how := []string{"scraped", "by OTLP"}[i]
		end := time.Now()
		results := s.results(t, p, start, end, time.Second)
		for file, d := range dashboards(t) {
			if strings.HasPrefix(file, "loki/") {
				continue
			}
			for _, panel := range d.Panels {
				if panel.Type == "row" {
					continue
				}
				r := results[file][panel.ID]
				if text := problem(file+": "+panel.Title, r); text != "" {
					t.Errorf("%s, %s, %s, %s: %s\n%s", file, panel.Title, when, how, text, panel.Targets[0].Expr)
				}
				if i == 0 && shows(r) {
					shown++
				}
			}
			for _, a := range d.Annotations.List {
				r := s.ask(t, p, 0, a.Target, start, end, time.Second)
				if when == "under loss" && len(r.Records) == 0 {
					t.Errorf("%s, marks of %q, %s: there are none", file, a.Name, when)
				}
			}
		}
	}
	return shown
}

// checkBalance wants what the ledger says to add up in every single scrape. Metrics
// sent by OTLP have a time each, a look between two of them sees both old and new.
func (s *stage) checkBalance(t *testing.T, start time.Time) {
	t.Helper()
	scrapes := 0
	for file, d := range dashboards(t) {
		if file != "losses.json" {
			continue
		}
		for _, panel := range d.Panels {
			if panel.Type != "table" {
				continue
			}
			gap := panel.Targets[len(panel.Targets)-1]
			for _, series := range s.scraped.Range(t, substitute(gap.Expr, time.Minute, time.Second), start, time.Now(), 2*time.Second) {
				for _, q := range series.Points {
					scrapes++
					// Lost alerts include notices of losses, which are no matches.
					if q.Value > 0 || q.Value < 0 && panel.Title != "Matches" {
						t.Errorf("%s: %v at %v for %v, want 0", panel.Title, q.Value, q.Time, series.Metric)
					}
				}
			}
		}
	}
	if scrapes == 0 {
		t.Error("nothing to balance")
	}
	peer.Claim(t, "dashboards: the ledger's columns add up in each of %d samples, under loss too", scrapes)
}

// results asks the queries of every panel: by file, and by the panel's ID.
func (s *stage) results(tb testing.TB, p *peer.PrometheusServer, start, end time.Time, step time.Duration) map[string]map[int]draw.Result {
	tb.Helper()
	all := map[string]map[int]draw.Result{}
	for file, d := range dashboards(tb) {
		if strings.HasPrefix(file, "loki/") {
			continue
		}
		all[file] = map[int]draw.Result{}
		for _, panel := range d.Panels {
			var r draw.Result
			for i, q := range panel.Targets {
				answer := s.ask(tb, p, i, q, start, end, step)
				r.Series = append(r.Series, answer.Series...)
				r.Records = append(r.Records, answer.Records...)
			}
			all[file][panel.ID] = r
		}
	}
	return all
}

// ask runs the i-th query of a panel as Grafana would.
func (s *stage) ask(tb testing.TB, p *peer.PrometheusServer, i int, q draw.Target, start, end time.Time, step time.Duration) draw.Result {
	tb.Helper()
	expr := substitute(q.Expr, end.Sub(start), step)
	var r draw.Result
	switch {
	case q.Datasource.Type == victoriaLogsSource:
		return s.askLogs(tb, i, q, expr, start, end, step)
	case q.Instant:
		for _, sample := range p.Query(tb, expr) {
			r.Series = append(r.Series, draw.Series{Target: i, Labels: sample.Metric, Points: []draw.Point{{Time: sample.Time, Value: sample.Value}}})
		}
	default:
		for _, series := range p.Range(tb, expr, start, end, step) {
			points := make([]draw.Point, len(series.Points))
			for j, q := range series.Points {
				points[j] = draw.Point(q)
			}
			r.Series = append(r.Series, draw.Series{Target: i, Labels: series.Metric, Points: points})
		}
	}
	return r
}

// askLogs asks VictoriaLogs with the requests that its plugin for Grafana makes.
func (s *stage) askLogs(tb testing.TB, i int, q draw.Target, expr string, start, end time.Time, step time.Duration) draw.Result {
	tb.Helper()
	from, to := strconv.FormatInt(start.Unix(), 10), strconv.FormatInt(end.Unix()+1, 10)
	paths := map[string]string{"instant": "query", "stats": "stats_query", "statsRange": "stats_query_range"}
	form := url.Values{}
	switch q.QueryType {
	case "instant":
		form = url.Values{"query": {expr + " | sort by (_time) desc"}, "limit": {strconv.Itoa(q.MaxLines)}, "start": {from}, "end": {to}}
	case "stats":
		form = url.Values{"query": {"_time:[" + from + ", " + to + "] " + expr}, "time": {to}}
	case "statsRange":
		form = url.Values{"query": {expr}, "start": {from}, "end": {to}, "step": {max(step, 5*time.Second).String()}}
	default:
		tb.Fatalf("unknown type of query %q", q.QueryType)
	}
	resp, err := http.PostForm(s.logs.URL+"/select/logsql/"+paths[q.QueryType], form)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		tb.Fatalf("ask VictoriaLogs for %s: status %d, %v: %s", expr, resp.StatusCode, err, body)
	}
	var r draw.Result
	if q.QueryType == "instant" {
		for line := range bytes.Lines(body) {
			var row map[string]string
			if err := json.Unmarshal(line, &row); err != nil {
				tb.Fatalf("decode row of %s: %v: %s", expr, err, line)
			}
			at, err := time.Parse(time.RFC3339Nano, row["_time"])
			if err != nil {
				tb.Fatal(err)
			}
			r.Records = append(r.Records, draw.Record{Time: at, Severity: row["severity_text"], Body: row["_msg"]})
		}
		return r
	}
	var answer struct {
		Data struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
				Values [][2]any
			}
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		tb.Fatalf("decode answer to %s: %v: %s", expr, err, body)
	}
	for _, e := range answer.Data.Result {
		if q.QueryType == "stats" {
			e.Values = [][2]any{e.Value}
		}
		series := draw.Series{Target: i, Labels: e.Metric}
		for _, v := range e.Values {
			seconds, _ := v[0].(float64)
			text, _ := v[1].(string)
			value, err := strconv.ParseFloat(text, 64)
			if err != nil {
				tb.Fatalf("decode answer to %s: %v: %s", expr, err, body)
			}
			series.Points = append(series.Points, draw.Point{Time: time.UnixMilli(int64(seconds * 1000)), Value: value})
		}
		r.Series = append(r.Series, series)
	}
	return r
}

// shows reports whether a panel with that result shows anything.
func shows(r draw.Result) bool {
	return len(r.Records) > 0 || hasValue(r, func(float64) bool { return true })
}

// showsMoreThanZero reports whether it shows more than zeros.
func showsMoreThanZero(r draw.Result) bool {
	return len(r.Records) > 0 || hasValue(r, func(v float64) bool { return v != 0 })
}

func hasValue(r draw.Result, ok func(float64) bool) bool {
	return slices.ContainsFunc(r.Series, func(s draw.Series) bool {
		return slices.ContainsFunc(s.Points, func(p draw.Point) bool {
			return !math.IsNaN(p.Value) && !math.IsInf(p.Value, 0) && ok(p.Value)
		})
	})
}

// countPrograms has the kernel measure its BPF programs, as the dashboards ask for.
func countPrograms(tb testing.TB) {
	tb.Helper()
	const name = "/proc/sys/kernel/bpf_stats_enabled"
	before := read(tb, name)
	if err := os.WriteFile(name, []byte("1"), 0); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := os.WriteFile(name, []byte(before), 0); err != nil {
			tb.Error(err)
		}
	})
}

// breakRules has a Windhover read rules that do not compile.
func breakRules(tb testing.TB, file string, w *peer.Process) {
	tb.Helper()
	if err := os.WriteFile(file, []byte("- rule: ["), 0o600); err != nil {
		tb.Fatal(err)
	}
	w.Signal(syscall.SIGHUP)
	peer.Eventually(tb, 20*time.Second, "the reload fails", func() (bool, string) {
		n := w.Metric("windhover_rules_reload_failures_total")
		return n > 0, fmt.Sprint(n)
	})
}

// hangingServer returns the URL of a server that takes requests and answers none.
func hangingServer(tb testing.TB) string {
	tb.Helper()
	done := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-done:
		case <-r.Context().Done():
		}
	}))
	tb.Cleanup(func() {
		close(done)
		s.Close()
	})
	return s.URL
}

func read(tb testing.TB, name string) string {
	tb.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

// shoot has a browser make a picture of a page.
func shoot(tb testing.TB, page, file string, width, height int) {
	tb.Helper()
	cmd := exec.CommandContext(tb.Context(), "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
		"--user-data-dir="+tb.TempDir(), "--force-device-scale-factor=1", "--virtual-time-budget=15000",
		fmt.Sprintf("--window-size=%d,%d", width, height), "--screenshot="+file, page)
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("make a picture of %s: %v\n%s", page, err, out)
	}
	small, err := draw.Shrink([]byte(read(tb, file)))
	if err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(file, small, 0o644); err != nil {
		tb.Fatal(err)
	}
}
