//go:build linux

package peer

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// WindhoverEnv and CollectorEnv name binaries to test instead of those of this tree.
const (
	WindhoverEnv = "WINDHOVER_BINARY"
	CollectorEnv = "WINDHOVER_COLLECTOR_CONTRIB"
)

// buildWindhover builds the windhover binary of this tree, once for the test process.
// Another one may do so at the same time: each has its own file, which then takes the
// place of the old one.
var buildWindhover = sync.OnceValues(func() (string, error) {
	if name := os.Getenv(WindhoverEnv); name != "" {
		return name, nil
	}
	dir := filepath.Join(Root(), ".cache", "stack")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	name := filepath.Join(dir, "windhover")
	fresh := fmt.Sprintf("%s.%d", name, os.Getpid())
	build := exec.Command("go", "build", "-o", fresh, "./cmd/windhover")
	build.Dir = Root()
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build windhover: %w\n%s", err, out)
	}
	return name, os.Rename(fresh, name)
})

// WindhoverBinary returns the path of the windhover binary of this tree.
func WindhoverBinary(tb testing.TB) string {
	tb.Helper()
	name, err := buildWindhover()
	if err != nil {
		tb.Fatal(err)
	}
	return name
}

// Windhover runs "windhover run" with args, such as "-c" and the path of a
// configuration, on a server address of its own, and waits until every source is
// ready. Its Process has /metrics and /readyz at URL, alerts in Stdout.
func Windhover(tb testing.TB, args ...string) *Process {
	tb.Helper()
	return windhover(tb, "/readyz", args)
}

// StartWindhover is Windhover without the wait for its sources: for one of which a
// source cannot become ready.
func StartWindhover(tb testing.TB, args ...string) *Process {
	tb.Helper()
	return windhover(tb, "/healthz", args)
}

func windhover(tb testing.TB, ready string, args []string) *Process {
	tb.Helper()
	return serve(tb, WindhoverBinary(tb), ready, func(address string) []string {
		return append([]string{"run", "--set", "server::address=" + address}, args...)
	})
}

// Collector runs the collector that "make collector-contrib" builds with the
// configuration files, merged in their order, and waits until it says that it is
// ready. The configurations refer to env as ${env:NAME}.
func Collector(tb testing.TB, configPaths []string, env map[string]string) *Process {
	tb.Helper()
	binary := os.Getenv(CollectorEnv)
	if binary == "" {
		binary = tool(tb, "bin/windhover-collector-contrib", "collector-contrib")
	}
	var args []string
	for _, path := range configPaths {
		abs, err := filepath.Abs(path)
		if err != nil {
			tb.Fatal(err)
		}
		args = append(args, "--config", abs)
	}
	p := launch(tb, binary, args, env)
	p.AwaitOutput("Everything is ready. Begin running and processing data.")
	return p
}
