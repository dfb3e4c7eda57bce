package jsonreceiver

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
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
	c, err := loadConfig(t, "windhover_json/full")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		key       string
		got, want any
	}{
		{"source", c.Source, "json"},
		{"time", c.Time, TimeConfig{"event.created", "unix_ms"}},
		{"envelope", c.Envelope, "Records"},
		{"batch", c.Batch, "document"},
		{"max_event_bytes", c.MaxEventBytes, 65536},
		{"max_batch_bytes", c.MaxBatchBytes, 1 << 20},
		{"endpoint", c.Webhook.HTTP.NetAddr.Endpoint, "0.0.0.0:9766"},
		{"path", c.Webhook.Path, "/in"},
		{"max_concurrent_requests", c.Webhook.MaxConcurrentRequests, 7},
		{"secret", string(c.Secret), "hush"},
		{"secret in words", c.Secret.String(), "[REDACTED]"},
		{"socket", c.Socket, SocketConfig{"/run/windhover/json.sock", "0600"}},
		{"stdin", c.Stdin, true},
		{"files::include", c.Files.Include, []string{"/var/log/app*.json"}},
		{"files::follow", c.Files.Follow, false},
		{"files::storage", *c.Files.Storage, component.MustNewID("file_storage")},
		{"rules", c.Instance.Rules, "windhover_rules/b"},
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
		{"windhover_json", []string{"nothing to read: set endpoint, files::include, socket::path or stdin"}},
		{"windhover_json/bad", []string{
			`source: no type "cloudtrail"; there are json, aws_cloudtrail, gcp_auditlog, github, k8s_audit, okta`,
			`compile path "a[": offset 1: [ has no ]`,
			`batch: no end "file"; there are line and document`,
			"max_event_bytes: 10 is not between 1024 and 268435456",
			"max_batch_bytes: 1 is not between max_event_bytes, 10, and 268435456",
			"secret: there are no requests to check; set endpoint, or remove it",
			`mode: "rw" is not a number such as 0660`,
		}},
		{"windhover_json/known", []string{
			"time: source okta has its own; remove it, or set source to json",
			"envelope: source okta has its own; remove it, or set source to json",
			`fold::fields: source okta has no field "ct.name"; it belongs to source aws_cloudtrail`,
		}},
		{"windhover_json/unknown", []string{"has invalid keys: stdn"}},
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
