package rulesprocessor

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"

	"github.com/windhover/windhover/internal/fold"
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
	if _, err := loadConfig(t, "windhover_rules"); err != nil {
		t.Errorf("the default: %v", err)
	}
	c, err := loadConfig(t, "windhover_rules/full")
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		Rules: "windhover_rules/b", Mode: "annotate", Source: "none", SourceAttribute: "source.type",
		Sources: []SourceConfig{
			{"k8s_audit", "log.attribute[log.file.name] startswith audit"},
			{"aws_cloudtrail", `resource.attribute[aws.service] = "cloudtrail"`},
		},
		Document: "message", MaxEventBytes: 65536,
		Fold: fold.Config{Window: 5 * time.Second, Priority: "Critical", Fields: []string{"log.body"}, Keys: 7, Bytes: 65536},
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
}

func TestConfigProblemsAreAllReported(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		want []string
	}{
		{"windhover_rules/bad", []string{
			`rules: "1 2" is not the ID of an extension`,
			`mode: no mode "drop"; there are append, alerts_only, annotate`,
			`source: no type "syscall"; there are log, json, aws_cloudtrail, gcp_auditlog, github, k8s_audit, okta, none`,
			`sources::0::source: no type "k8s"`,
			`no field "log.boddy"; did you mean "log.body"?`,
			`document: compile path "["`,
			"max_event_bytes: 1 is not between 1024 and 67108864",
			"fold: window: 1ms is not between 100ms and 24h0m0s",
		}},
		{"windhover_rules/unknown", []string{"has invalid keys: source_attr"}},
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
