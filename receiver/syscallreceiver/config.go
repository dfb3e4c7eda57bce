package syscallreceiver

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"

	"github.com/windhover/windhover/internal/container"
	"github.com/windhover/windhover/internal/instance"
	"github.com/windhover/windhover/internal/ledger"
	"github.com/windhover/windhover/internal/state"
)

// Bounds of a ring. The kernel wants a power of two and whole pages; a ring smaller
// than its largest sample could hold none.
const (
	minRing = 64 << 10
	maxRing = 1 << 30

	maxShards = 16
)

// Config is what a user sets for the system call receiver.
type Config struct {
	Instance instance.Config `mapstructure:",squash"`
	// Shards is how many goroutines read, each with rings of its own; 0 means one per
	// CPU, at most 16.
	Shards int `mapstructure:"shards"`
	// Rings are the ring buffers of each shard.
	Rings RingsConfig `mapstructure:"rings"`
	// Processes bounds the table of processes.
	Processes ProcessesConfig `mapstructure:"processes"`
	// Drops says what to do when events are lost.
	Drops ledger.DropConfig `mapstructure:"drops"`
	// TraceContext says whether alerts carry the trace that the process worked for.
	TraceContext TraceContextConfig `mapstructure:"trace_context"`
	// Containers says which container engines are asked what containers are.
	Containers ContainersConfig `mapstructure:"containers"`
	// HostRoot is the directory where the files of the host are mounted, "/" but in a
	// container. The host's procfs is expected at proc in it.
	HostRoot string `mapstructure:"host_root"`
	// CaptureSelf also reports what Windhover itself does.
	CaptureSelf bool `mapstructure:"capture_self"`
	// ReplaySamples names a file of recorded samples to read instead of the kernel.
	ReplaySamples string `mapstructure:"replay_samples"`
	// RecordSamples names a file to which every sample is written as it was read.
	RecordSamples string `mapstructure:"record_samples"`
}

// RingsConfig describes the two ring buffers of a shard.
type RingsConfig struct {
	// Bulk is the size in bytes of the ring that takes most events: a power of two.
	Bulk int `mapstructure:"bulk"`
	// Reserved is the size in bytes of the ring for what must not be pushed out by a
	// flood: executions, exits, privileges, modules, mounts. A power of two.
	Reserved int `mapstructure:"reserved"`
	// WakeBytes is how much must wait in a bulk ring for the reader to be woken before
	// its next look.
	WakeBytes int `mapstructure:"wake_bytes"`
	// PollInterval is how often a reader looks at its bulk ring unasked: the longest
	// time that an event of this ring waits on a quiet host.
	PollInterval time.Duration `mapstructure:"poll_interval"`
}

// TraceContextConfig says where OpenTelemetry eBPF instrumentation tells which trace a
// thread works for. It does so if its own key ebpf::populate_trace_context is set. It
// may start and end at any time; without it, alerts carry no trace.
type TraceContextConfig struct {
	// Enabled: look there.
	Enabled bool `mapstructure:"enabled"`
	// Path is where the map of traces is pinned in the BPF file system.
	Path string `mapstructure:"path"`
}

// ContainersConfig says where container engines listen. They are asked for names, images,
// labels and pods; without them a container has its ID and the UID of its pod. Paths are
// below HostRoot; where nothing listens, nobody is asked.
type ContainersConfig struct {
	// Enabled: ask them.
	Enabled bool `mapstructure:"enabled"`
	// CRI are sockets of the Container Runtime Interface: containerd, CRI-O.
	CRI []string `mapstructure:"cri"`
	// Docker are sockets of the HTTP interface of Docker and Podman.
	Docker []string `mapstructure:"docker"`
}

// ProcessesConfig bounds the table of processes.
type ProcessesConfig struct {
	// Items is the largest number of processes.
	Items int `mapstructure:"items"`
	// Bytes is the largest amount of memory that what is known of them takes.
	Bytes int64 `mapstructure:"bytes"`
}

func createDefaultConfig() component.Config {
	sockets := container.DefaultSockets()
	return &Config{
		Instance: instance.NewDefaultConfig(),
		Rings: RingsConfig{
			Bulk:         8 << 20,
			Reserved:     2 << 20,
			WakeBytes:    1 << 20,
			PollInterval: 20 * time.Millisecond,
		},
		Processes:    ProcessesConfig{Items: state.DefaultMaxProcesses, Bytes: state.DefaultMaxBytes},
		Drops:        ledger.DefaultDropConfig(),
		TraceContext: TraceContextConfig{Enabled: true, Path: "/sys/fs/bpf/otel/traces_ctx_v1"},
		Containers:   ContainersConfig{Enabled: true, CRI: sockets.CRI, Docker: sockets.Docker},
		HostRoot:     "/",
	}
}

// Validate reports every problem with c, not just the first. Blocks with a Validate of
// their own report for themselves.
func (c *Config) Validate() error {
	var errs []error
	if c.Shards < 0 || c.Shards > maxShards {
		errs = append(errs, fmt.Errorf("shards: %d is not between 0 and %d", c.Shards, maxShards))
	}
	if c.HostRoot == "" {
		errs = append(errs, errors.New(`host_root: it is empty; use "/" unless the host is mounted elsewhere`))
	}
	if c.RecordSamples != "" && c.RecordSamples == c.ReplaySamples {
		errs = append(errs, fmt.Errorf("record_samples: %s is the file that is replayed", c.RecordSamples))
	}
	return errors.Join(append(errs, c.Instance.ValidateFields(sourceType))...)
}

// maxSockets bounds the engines that are asked, each by a goroutine.
const maxSockets = 16

// Validate reports every problem with c.
func (c *ContainersConfig) Validate() error {
	var errs []error
	if n := len(c.CRI) + len(c.Docker); n > maxSockets {
		errs = append(errs, fmt.Errorf("%d sockets are more than %d", n, maxSockets))
	}
	for key, sockets := range map[string][]string{"cri": c.CRI, "docker": c.Docker} {
		for _, s := range sockets {
			if !strings.HasPrefix(s, "/") {
				errs = append(errs, fmt.Errorf("%s: %q is no absolute path of a socket", key, s))
			}
		}
	}
	return errors.Join(errs...)
}

// Validate reports every problem with c.
func (c *RingsConfig) Validate() error {
	var errs []error
	for _, ring := range []struct {
		key  string
		size int
	}{{"bulk", c.Bulk}, {"reserved", c.Reserved}} {
		if ring.size < minRing || ring.size > maxRing || ring.size&(ring.size-1) != 0 {
			errs = append(errs, fmt.Errorf("%s: %d is not a power of two between %d and %d", ring.key, ring.size, minRing, maxRing))
		}
	}
	if c.WakeBytes < 1 || c.WakeBytes > c.Bulk/2 {
		errs = append(errs, fmt.Errorf("wake_bytes: %d is not between 1 and half of bulk, %d", c.WakeBytes, c.Bulk/2))
	}
	if c.PollInterval < time.Millisecond || c.PollInterval > 10*time.Second {
		errs = append(errs, fmt.Errorf("poll_interval: %v is not between 1ms and 10s", c.PollInterval))
	}
	return errors.Join(errs...)
}

// Validate reports what is wrong with c.
func (c *TraceContextConfig) Validate() error {
	if c.Enabled && !strings.HasPrefix(c.Path, "/") {
		return fmt.Errorf("path: %q is not absolute; set enabled: false to do without", c.Path)
	}
	return nil
}

// Validate reports every problem with c.
func (c *ProcessesConfig) Validate() error {
	var errs []error
	if c.Items < 128 {
		errs = append(errs, fmt.Errorf("items: %d is less than 128", c.Items))
	}
	if c.Bytes < 1<<20 {
		errs = append(errs, fmt.Errorf("bytes: %d is less than %d", c.Bytes, 1<<20))
	}
	return errors.Join(errs...)
}
