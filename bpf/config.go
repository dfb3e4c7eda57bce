package bpf

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// Config is how Load sets up the probe. The zero value of a member means its default.
type Config struct {
	// Shards is the number of readers, each with a ring per lane: the events of a
	// process all come through one shard. Default: the number of CPUs, at most 16.
	Shards int
	// BulkSize and ReservedSize are the sizes in bytes of one ring of each lane: powers
	// of two and multiples of the page size. Default: 8 MiB and 4 MiB.
	BulkSize, ReservedSize int
	// WakeBytes is how much is pending in a bulk ring before its reader is woken.
	// Default: 128 KiB, at most a quarter of BulkSize.
	WakeBytes int
	// PollInterval is how long a sample may lie in a bulk ring before its reader looks.
	// Default: 20 ms.
	PollInterval time.Duration
	// ObserveSelf reports the events of the calling process too. By default they are
	// discarded and counted.
	ObserveSelf bool
	// TraceContext is the path under which OpenTelemetry eBPF instrumentation pins the
	// traces that threads work for. Empty: samples do not say. See Probe.FollowTraces.
	TraceContext string
	// ProbeRead reads kernel structures by calls of a helper, as on kernels before 6.2
	// where there is no typed cast. It is slower.
	ProbeRead bool
}

const maxShards = 64 // MAX_SHARDS in include/maps.h

// withDefaults returns c with every default filled in for a machine with cpus CPUs.
func (c Config) withDefaults(cpus int) Config {
	if c.Shards == 0 {
		c.Shards = min(cpus, 16)
	}
	if c.BulkSize == 0 {
		c.BulkSize = 8 << 20
	}
	if c.ReservedSize == 0 {
		c.ReservedSize = 4 << 20
	}
	if c.WakeBytes == 0 {
		c.WakeBytes = min(128<<10, c.BulkSize/4)
	}
	if c.PollInterval == 0 {
		c.PollInterval = 20 * time.Millisecond
	}
	return c
}

// Validate reports every problem with c, not just the first.
func (c Config) Validate() error {
	var errs []error
	if c.Shards < 0 || c.Shards > maxShards {
		errs = append(errs, fmt.Errorf("shards: %d is not between 0 and %d", c.Shards, maxShards))
	}
	for _, r := range []struct {
		name string
		size int
	}{{"bulk size", c.BulkSize}, {"reserved size", c.ReservedSize}} {
		if n := r.size; n != 0 && (n < 0 || n&(n-1) != 0 || n%os.Getpagesize() != 0 || n > 1<<30) {
			errs = append(errs, fmt.Errorf("%s: %d is not a power of two from %d to %d", r.name, n, os.Getpagesize(), 1<<30))
		}
	}
	if c.WakeBytes < 0 || c.BulkSize != 0 && c.WakeBytes > c.BulkSize {
		errs = append(errs, fmt.Errorf("wake bytes: %d is not between 0 and the bulk size", c.WakeBytes))
	}
	if c.PollInterval < 0 || c.PollInterval != 0 && c.PollInterval < time.Millisecond || c.PollInterval > time.Minute {
		errs = append(errs, fmt.Errorf("poll interval: %v is not between 1ms and 1m", c.PollInterval))
	}
	return errors.Join(errs...)
}

// NotSupportedError says that the running kernel lacks something that the probe needs.
type NotSupportedError struct {
	Feature string // what is missing
	Since   string // where it is to be found: a kernel version, or an option
}

func (e *NotSupportedError) Error() string {
	return fmt.Sprintf("load probe: this kernel has no %s: it takes %s", e.Feature, e.Since)
}

// MissingCapabilityError says that the calling process may not load the probe.
type MissingCapabilityError struct {
	Missing []string // names as in capabilities(7)
}

func (e *MissingCapabilityError) Error() string {
	return fmt.Sprintf("load probe: needs %s: run as root or grant them (systemd AmbientCapabilities, securityContext.capabilities.add, setcap); sources other than system calls need none", joined(e.Missing))
}

// joined returns "a, b and c".
func joined(names []string) string {
	last := len(names) - 1
	if last < 1 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

// NoMemoryError says that the kernel refused the memory of rings and maps.
type NoMemoryError struct {
	Bytes int // asked for, rings only
	Err   error
}

func (e *NoMemoryError) Error() string {
	return fmt.Sprintf("load probe: memory for rings of %d KiB refused: %v: raise the memory limit of the service or container, or choose smaller rings or fewer shards", e.Bytes>>10, e.Err)
}

func (e *NoMemoryError) Unwrap() error { return e.Err }
