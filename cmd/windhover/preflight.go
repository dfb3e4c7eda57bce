package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/windhover/windhover/bpf"
)

// capabilities are those that watching system calls takes, with what each is for.
var capabilities = []struct {
	bit       uint
	name, use string
}{
	{39, "CAP_BPF", "load the kernel side"},
	{38, "CAP_PERFMON", "attach it and read kernel memory in it"},
	{19, "CAP_SYS_PTRACE", "read what ran before: executables and working directories in /proc"},
	{2, "CAP_DAC_READ_SEARCH", "read user names of containers and environments in /proc"},
}

// sysAdmin stands for CAP_BPF and CAP_PERFMON on every kernel.
const sysAdmin = 21

func (c *command) preflight() *cobra.Command {
	return &cobra.Command{
		Use:   "preflight",
		Short: "say whether this host and user can watch system calls",
		Long: `Preflight loads the kernel side as run does, attaches nothing, and takes it away again.
It lists the capabilities that the process has. The exit code is 3 if something is
missing.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := raiseCapabilities(); err != nil {
				return err
			}
			w := c.stdout
			if release, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
				if _, err := fmt.Fprintf(w, "kernel      Linux %s %s\n", strings.TrimSpace(string(release)), runtime.GOARCH); err != nil {
					return err
				}
			}
			if effective, ok := effectiveCapabilities(); ok {
				for _, cp := range capabilities {
					has := "yes"
					if effective&(1<<cp.bit) == 0 && (cp.bit < 38 || effective&(1<<sysAdmin) == 0) {
						has = "no"
					}
					if _, err := fmt.Fprintf(w, "capability  %-20s %-4s%s\n", cp.name, has, cp.use); err != nil {
						return err
					}
				}
			}
			err := tryProbe()
			if err == nil {
				_, err = fmt.Fprintln(w, "kernel side loads: windhover run can watch system calls")
				return err
			}
			return explain(err)
		},
	}
}

// tryProbe loads a small probe and takes it away again.
func tryProbe() error {
	p, err := bpf.Load(bpf.Config{Shards: 1, BulkSize: 64 << 10, ReservedSize: 64 << 10, WakeBytes: 16 << 10})
	if err != nil {
		return err
	}
	return p.Close()
}

// effectiveCapabilities returns the effective set of this process as a bit mask.
func effectiveCapabilities() (uint64, bool) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(text)) {
		if hex, ok := strings.CutPrefix(line, "CapEff:"); ok {
			mask, err := strconv.ParseUint(strings.TrimSpace(hex), 16, 64)
			return mask, err == nil
		}
	}
	return 0, false
}

// needsHost reports whether an error says that this host or process lacks something.
func needsHost(err error) bool {
	var (
		feature    *bpf.NotSupportedError
		capability *bpf.MissingCapabilityError
		memory     *bpf.NoMemoryError
	)
	return errors.As(err, &feature) || errors.As(err, &capability) || errors.As(err, &memory)
}
