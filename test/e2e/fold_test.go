//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestRepeatsReachAReaderOfFalcosJSONAsOneRecord goes from requests that are all the
// same to what a server that knows Falco gets: two objects, which tell of every request
// and of no secret.
func TestRepeatsReachAReaderOfFalcosJSONAsOneRecord(t *testing.T) {
	const requests = 500
	var (
		mu  sync.Mutex
		got []alertLine
		raw strings.Builder
	)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		raw.Write(body)
		var a alertLine
		if err != nil || json.Unmarshal(body, &a) != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		got = append(got, a)
	}))
	t.Cleanup(server.Close)
	rulesFile := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(rulesFile, []byte(`
- rule: Marked request
  desc: A request of the test.
  condition: ka.verb = create
  output: "%ka.user.name made %ka.target.name (id=%ka.auditid)"
  priority: NOTICE
  source: k8s_audit
`), 0o600); err != nil {
		t.Fatal(err)
	}
	webhook := freeAddress(t)
	d := startDaemon(t, fmt.Sprintf(`
receivers:
  windhover_k8saudit: {endpoint: %q, fold: {window: 2s}}
exporters:
  windhover_falco_json:
    time_format_iso_8601: true
    http: {endpoint: %q}
`, webhook, server.URL), "-r", rulesFile)
	for i := range requests {
		change := object{"verb": "create", "objectRef": object{"resource": "pods", "name": "x --token=s3cr3t"}}
		if status := postAudit(t, "http://"+webhook+"/k8s-audit", auditEvent(fmt.Sprintf("id-%d", i), change)); status != http.StatusOK {
			t.Fatalf("the webhook answers %d", status)
		}
	}
	matches := func(list []alertLine) (sum int) {
		for i := range list {
			sum++
			if n, ok := list[i].OutputFields["windhover.fold.count"].(float64); ok {
				sum += int(n) - 1
			}
		}
		return sum
	}
	eventually(t, 30*time.Second, "every request is told of", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return matches(got) == requests
	})
	mu.Lock()
	defer mu.Unlock()
	// A window is as long as it is: on a slow machine the requests take several.
	if len(got) > requests/10 {
		t.Errorf("%d records tell of %d requests", len(got), requests)
	}
	first, last := &got[0], &got[len(got)-1]
	if first.Rule != "Marked request" || first.Priority != "Notice" || first.Source != "k8s_audit" || first.field("ka.auditid") != "id-0" ||
		!strings.Contains(first.Output, "+0000: Notice ") || first.OutputFields["evt.time.iso8601"] == nil {
		t.Errorf("the first alert is %+v", first)
	}
	ids, _ := last.OutputFields["windhover.fold.event_ids"].([]any)
	values, _ := last.OutputFields["windhover.fold.values"].(map[string]any)
	if len(ids) == 0 || values["ka.auditid"] == nil {
		t.Errorf("the last record is %+v", last)
	}
	if strings.Contains(raw.String(), "s3cr3t") || !strings.Contains(raw.String(), "x --token=[redacted]") {
		t.Errorf("the secret shows, or what is around it does not: %s", first.Output)
	}
	if n := d.metric("windhover_alert_folded_total"); int(n) != requests-1 && len(got) == 2 {
		t.Errorf("%v are counted as folded, want %d", n, requests-1)
	}
	if d.metric("windhover_source_imbalance") != 0 {
		t.Error("the account does not add up")
	}
}
