//go:build linux

package peer

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"testing"
)

// AlertmanagerServer is a running Alertmanager.
type AlertmanagerServer struct{ *Process }

// Alertmanager runs Debian's Alertmanager with a configuration, without a cluster.
func Alertmanager(tb testing.TB, config string) *AlertmanagerServer {
	tb.Helper()
	binary, err := exec.LookPath("prometheus-alertmanager")
	if err != nil {
		tb.Fatal("find prometheus-alertmanager: install Debian's package prometheus-alertmanager")
	}
	file := WriteFile(tb, "alertmanager.yml", config)
	storage := filepath.Join(tb.TempDir(), "alertmanager")
	return &AlertmanagerServer{serve(tb, binary, "/-/ready", func(address string) []string {
		return []string{
			"--config.file=" + file, "--web.listen-address=" + address,
			"--cluster.listen-address=", "--storage.path=" + storage,
		}
	})}
}

// Alerts returns the alerts that it knows of and that have not ended.
func (a *AlertmanagerServer) Alerts(tb testing.TB) []Alert {
	tb.Helper()
	var alerts []struct {
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
		Status      struct {
			State string `json:"state"`
		} `json:"status"`
	}
	if err := json.Unmarshal([]byte(a.Page("/api/v2/alerts")), &alerts); err != nil {
		tb.Fatalf("decode alerts of Alertmanager: %v", err)
	}
	out := make([]Alert, len(alerts))
	for i, e := range alerts {
		out[i] = Alert{Labels: e.Labels, Annotations: e.Annotations, State: e.Status.State}
	}
	return out
}
