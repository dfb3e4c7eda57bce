package k8sauditreceiver

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"

	"github.com/windhover/windhover/internal/feed"
)

func loadConfig(tb testing.TB, name string) (*Config, error) {
	tb.Helper()
	cm, err := confmaptest.LoadConf(filepath.Join("testdata", "config.yaml"))
	if err != nil {
		tb.Fatal(err)
	}
	sub, err := cm.Sub(name)
	if err != nil {
		tb.Fatal(err)
	}
	c := createDefaultConfig().(*Config)
	if err := sub.Unmarshal(c); err != nil {
		return nil, err
	}
	return c, confmap.Validate(c)
}

func TestConfigKeysReachTheirPlace(t *testing.T) {
	t.Parallel()
	c, err := loadConfig(t, "windhover_k8saudit/full")
	if err != nil {
		t.Fatal(err)
	}
	storage := component.MustNewID("file_storage")
	for _, tt := range []struct {
		key       string
		got, want any
	}{
		{"endpoint", c.Webhook.HTTP.NetAddr.Endpoint, "0.0.0.0:9765"},
		{"path", c.Webhook.Path, "/audit"},
		{"tls", c.Webhook.HTTP.TLS.Get().CertFile, "tls.crt"},
		{"max_request_body_size", c.Webhook.HTTP.MaxRequestBodySize, int64(1 << 20)},
		{"read_timeout", c.Webhook.HTTP.ReadTimeout, 5 * time.Second},
		{"max_concurrent_requests", c.Webhook.MaxConcurrentRequests, 7},
		{"max_inflight_bytes", c.Webhook.MaxInflightBytes, int64(8 << 20)},
		{"max_event_bytes", c.MaxEventBytes, 65536},
		{"files", c.Files, feed.FilesConfig{Include: []string{"/var/log/audit*.log"}, StartAt: "beginning", PollInterval: time.Second, Storage: &storage}},
		{"rules", c.Instance.Rules, "windhover_rules/b"},
		{"queue", c.Instance.Queue.Items, 5},
		{"metrics_interval", c.Instance.MetricsInterval, time.Minute},
		{"on_error", c.Instance.OnError, "restart"},
	} {
		if diff := cmp.Diff(tt.want, tt.got, cmp.AllowUnexported(component.ID{}, component.Type{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.key, diff)
		}
	}
}

func TestConfigProblemsAreAllReported(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		want []string
	}{
		{"windhover_k8saudit", []string{"nothing to read: set endpoint for a webhook, or files::include"}},
		{"windhover_k8saudit/bad", []string{
			`path: "audit" is not a path such as /events`,
			"max_concurrent_requests: 0 is less than 1",
			"max_request_body_size: 10 is less than 1024",
			"max_event_bytes: 10 is not between 1024 and 67108864",
			"read_timeout: 0s lets a slow client hold a connection for ever; set a time",
			`include: "[" is not a pattern of file names`,
			`start_at: no place "middle"; there are beginning and end`,
			"poll_interval: 1ms is shorter than 10ms",
			`rules: "1 2" is not the ID of an extension`,
			"metrics_interval: 1ms is shorter than 100ms",
			`on_error: no action "panic"; there are stop, continue, restart`,
			"items: 0 is not between 1 and 10000000",
		}},
		{"windhover_k8saudit/inflight", []string{"max_inflight_bytes: 16777216 is less than twice what one request may have, max_request_body_size: 12582912"}},
		{"windhover_k8saudit/unknown", []string{"has invalid keys: endpiont"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := loadConfig(t, tt.name)
			if err == nil {
				t.Fatal("no problem was reported")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("missing %q in:\n%v", want, err)
				}
			}
		})
	}
}
