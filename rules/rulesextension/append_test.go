package rulesextension

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/confmap"

	"github.com/windhover/windhover/internal/alert"
	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/falcojson"
	"github.com/windhover/windhover/internal/ledger"
	"github.com/windhover/windhover/internal/otlp"
	"github.com/windhover/windhover/internal/pipeline"
)

// TestAppendedOutputIsInTheAlert follows one alert from the configuration to the JSON
// that the console shows.
func TestAppendedOutputIsInTheAlert(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "rules.yaml")
	write(t, file, `
- rule: Shell
  desc: A rule of the test.
  condition: evt.type = execve
  output: shell %proc.name
  priority: NOTICE
  tags: [process, shell]
`)
	config := createDefaultConfig().(*Config)
	err := confmap.NewFromStringMap(map[string]any{
		"files": []any{file},
		"append_output": []any{
			map[string]any{
				"match":        map[string]any{"source": "syscall", "tags": []any{"shell", "process"}, "rule": "Shell"},
				"extra_output": "pid=%proc.pid", "suggested_output": true,
				"extra_fields": []any{"proc.ppid", "user.uid", map[string]any{"Who": "%proc.name in %proc.pid!"}},
			},
			map[string]any{"extra_fields": []any{"evt.type", map[string]any{"proc.name": "not %proc.name"}}},
			map[string]any{"match": map[string]any{"tags": []any{"shell", "network"}}, "extra_output": "tags differ"},
			map[string]any{"match": map[string]any{"source": "k8s_audit"}, "extra_output": "source differs"},
			map[string]any{"match": map[string]any{"rule": "Other"}, "extra_output": "name differs"},
		},
	}).Unmarshal(config)
	if err != nil {
		t.Fatal(err)
	}
	e, err := start(t, config)
	if err != nil {
		t.Fatal(err)
	}

	alerts := alert.NewQueue(alert.DefaultQueueConfig())
	w := pipeline.NewWorker(pipeline.Settings{
		Source: &event.Source{Name: "test", Type: "syscall"},
		Rules:  e.Live(), Ledger: ledger.NewSource("test", "syscall"), Alerts: alerts,
	})
	p := &event.Process{PID: 7, Start: 1}
	p.SetImage(&event.Image{Name: []byte("sh")})
	w.Handle(&event.Event{Type: event.Execve, Proc: p, Time: 1, UID: 33})
	w.Close()
	alerts.Close()
	line := falcojson.Append(nil, otlp.EncodeAlerts(alerts.Take(t.Context(), nil, 10, 0), otlp.Resource{HostName: "h"}), &falcojson.Settings{})

	var got struct {
		Output string         `json:"output"`
		Fields map[string]any `json:"output_fields"`
	}
	if err := json.Unmarshal(line, &got); err != nil {
		t.Fatalf("line %q: %v", line, err)
	}
	if want := "shell sh pid=7 container_id=host container_name=host container_image_repository=<NA> container_image_tag=<NA> " +
		"k8s_pod_name=<NA> k8s_ns_name=<NA> k8smeta_pod_name=<NA> k8smeta_ns_name=<NA>"; got.Output != want {
		t.Errorf("output = %q, want %q", got.Output, want)
	}
	want := map[string]any{
		"proc.name": "not sh", "proc.pid": 7.0, "proc.ppid": 0.0, "user.uid": 33.0, "container.id": "host", "container.name": "host", "Who": "sh in 7!", "evt.type": "execve",
		"container.image.repository": nil, "container.image.tag": nil,
		"k8s.pod.name": nil, "k8s.ns.name": nil, "k8smeta.pod.name": nil, "k8smeta.ns.name": nil,
	}
	if diff := cmp.Diff(want, got.Fields); diff != "" {
		t.Errorf("output_fields (-want +got):\n%s", diff)
	}
}

func TestAppendedOutputIsChecked(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		append AppendOutputConfig
		want   string
	}{
		{"nothing is appended", AppendOutputConfig{}, "append_output[0]: wants extra_output, extra_fields or suggested_output"},
		{"a field without a name", AppendOutputConfig{ExtraFields: []any{""}}, "append_output[0]: extra_fields[0]: wants the name of a field"},
		{"a format that is a number", AppendOutputConfig{ExtraFields: []any{"proc.name", map[string]any{"a": 1}}}, "append_output[0]: extra_fields[1]: wants"},
		{"too many fields", AppendOutputConfig{ExtraFields: make([]any, 65)}, "extra_fields[64]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			config := createDefaultConfig().(*Config)
			config.AppendOutput = []AppendOutputConfig{tt.append}
			if err := config.Validate(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Validate = %v, want an error with %q", err, tt.want)
			}
		})
	}
	t.Run("a field that does not exist", func(t *testing.T) {
		t.Parallel()
		config := createDefaultConfig().(*Config)
		config.AppendOutput = []AppendOutputConfig{{Match: AppendMatchConfig{Source: "syscall"}, ExtraFields: []any{"proc.nmae"}}}
		if _, err := start(t, config); err == nil || !strings.Contains(err.Error(), `did you mean "proc.name"?`) {
			t.Errorf("Start = %v, want an error that names the nearest field", err)
		}
	})
}
