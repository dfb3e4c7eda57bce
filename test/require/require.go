// Package require decides where a test that needs a real kernel runs. Such a test
// starts with Kernel, one that takes programs of other projects goes on with Programs.
package require

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
)

// Env makes both fail where they would skip, when set to 1: for a machine that is
// known to have what the tests need.
const Env = "WINDHOVER_REQUIRE_KERNEL"

// The capabilities that loading and attaching the probe takes; see capabilities(7).
const (
	capSysAdmin = 21
	capPerfmon  = 38
	capBPF      = 39
)

// Kernel skips the test, with the reason, on a machine where BPF programs cannot be
// loaded.
func Kernel(tb testing.TB) {
	tb.Helper()
	err := lacking("/sys/kernel/btf/vmlinux", "/proc/self/status")
	if err == nil {
		return
	}
	if os.Getenv(Env) == "1" {
		tb.Fatalf("%v, and %s=1", err, Env)
	}
	tb.Skip(err)
}

// Programs skips the test, with the reason, on a machine that lacks one of the programs.
func Programs(tb testing.TB, names ...string) {
	tb.Helper()
	for _, name := range names {
		_, err := exec.LookPath(name)
		if err == nil {
			continue
		}
		if os.Getenv(Env) == "1" {
			tb.Fatalf("find program: %v, and %s=1", err, Env)
		}
		tb.Skipf("find program: %v", err)
	}
}

// lacking says what this process lacks for BPF, or nil.
func lacking(btf, status string) error {
	if _, err := os.Stat(btf); err != nil {
		return fmt.Errorf("find kernel types: %w", err)
	}
	text, err := os.ReadFile(status)
	if err != nil {
		return fmt.Errorf("read capabilities: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		value, ok := strings.CutPrefix(line, "CapEff:")
		if !ok {
			continue
		}
		set, err := strconv.ParseUint(strings.TrimSpace(value), 16, 64)
		if err != nil {
			return fmt.Errorf("read capabilities: %w", err)
		}
		if set&(1<<capSysAdmin) != 0 || set&(1<<capBPF) != 0 && set&(1<<capPerfmon) != 0 {
			return nil
		}
		return fmt.Errorf("load BPF: needs CAP_BPF and CAP_PERFMON, have %#x", set)
	}
	return fmt.Errorf("read capabilities: no CapEff in %s", status)
}
