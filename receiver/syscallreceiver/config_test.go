package syscallreceiver

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"

	"github.com/windhover/windhover/internal/alert"
	"github.com/windhover/windhover/internal/fold"
	"github.com/windhover/windhover/internal/instance"
	"github.com/windhover/windhover/internal/ledger"
	"github.com/windhover/windhover/internal/redact"
)

func TestConfigFromFile(t *testing.T) {
	t.Parallel()
	file, err := confmaptest.LoadConf("testdata/config.yaml")
	if err != nil {
		t.Fatal(err)
	}
	shared := instance.NewDefaultConfig()
	shared.Rules, shared.Queue = "windhover_rules/other", alert.QueueConfig{Items: 10, Bytes: 64 << 10}
	shared.Fold = fold.Config{Window: 5 * time.Second, Priority: "critical", Fields: []string{"proc.name"}, Keys: 3, Bytes: 128 << 10}
	shared.Redact = redact.Config{Patterns: []redact.PatternConfig{{Pattern: `cust-\d+`, Fields: []string{"proc.cmdline"}}}}
	shared.MetricsInterval, shared.OnError = time.Second, "restart"
	for _, tt := range []struct {
		name, id string
		want     component.Config
	}{
		{"nothing set means the defaults", "windhover_syscall", createDefaultConfig()},
		{"every key can be set", "windhover_syscall/all", &Config{
			Instance:  shared,
			Shards:    4,
			Rings:     RingsConfig{Bulk: 1 << 20, Reserved: 64 << 10, WakeBytes: 4096, PollInterval: 5 * time.Millisecond},
			Processes: ProcessesConfig{Items: 1000, Bytes: 2 << 20},
			Drops: ledger.DropConfig{
				Actions: []string{"exit"}, Threshold: 1.5, Interval: time.Minute, Burst: 3, SimulateDrops: true,
			},
			TraceContext:  TraceContextConfig{Path: "/traces"},
			Containers:    ContainersConfig{CRI: []string{"/run/cri.sock"}, Docker: []string{}},
			HostRoot:      "/host",
			CaptureSelf:   true,
			ReplaySamples: "x.bin",
			RecordSamples: "y.bin",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			sub, err := file.Sub(tt.id)
			if err != nil {
				t.Fatal(err)
			}
			got := createDefaultConfig()
			if err := sub.Unmarshal(&got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("config (-want +got):\n%s", diff)
			}
			if err := confmap.Validate(got); err != nil {
				t.Errorf("Validate: %v", err)
			}
		})
	}
}

func TestConfigProblems(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		set  func(*Config)
		want string
	}{
		{"a ring that is no power of two", func(c *Config) { c.Rings.Bulk = 3 << 20 }, "rings: bulk: 3145728 is not a power of two"},
		{"a ring that is too small", func(c *Config) { c.Rings.Reserved = 4096 }, "rings: reserved: 4096 is not a power of two between 65536"},
		{"a wake-up that comes too late", func(c *Config) { c.Rings.WakeBytes = c.Rings.Bulk }, "rings: wake_bytes: 8388608 is not between 1 and half of bulk, 4194304"},
		{"no poll interval", func(c *Config) { c.Rings.PollInterval = 0 }, "rings: poll_interval: 0s is not between 1ms and 10s"},
		{"too many shards", func(c *Config) { c.Shards = 17 }, "shards: 17 is not between 0 and 16"},
		{"no room for processes", func(c *Config) { c.Processes = ProcessesConfig{} }, "processes: items: 0 is less than 128\nbytes: 0 is less than 1048576"},
		{"nowhere", func(c *Config) { c.HostRoot = "" }, `host_root: it is empty; use "/"`},
		{"a map of traces that is nowhere", func(c *Config) { c.TraceContext.Path = "traces" }, `trace_context: path: "traces" is not absolute`},
		{"an engine by its address", func(c *Config) { c.Containers.CRI = []string{"unix:///run/cri.sock"} }, `containers: cri: "unix:///run/cri.sock" is no absolute path of a socket`},
		{"what every source has", func(c *Config) { c.Instance.OnError = "panic" }, `on_error: no action "panic"; there are stop, continue, restart`},
		{"a block of what every source has", func(c *Config) { c.Instance.Queue.Items = 0 }, "queue: items: 0 is not between 1 and"},
		{"a file that is read and written", func(c *Config) { c.ReplaySamples, c.RecordSamples = "a", "a" }, "record_samples: a is the file that is replayed"},
		{"two problems at once", func(c *Config) { c.Shards, c.HostRoot = -1, "" }, "shards: -1 is not between 0 and 16\nhost_root: it is empty"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := createDefaultConfig().(*Config)
			tt.set(c)
			err := confmap.Validate(c)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Validate: %v\nwant %s", err, tt.want)
			}
		})
	}
}
