//go:build linux

package e2e

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestServiceManagerIsTold plays the service manager: a socket, and what a unit with
// Type=notify and WatchdogSec waits for.
func TestServiceManagerIsTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "3000000")
	// A webhook takes no capability.
	d := startDaemon(t, `receivers: {windhover_k8saudit: {endpoint: "`+freeAddress(t)+`"}}`)

	var told strings.Builder
	hear := func(line string) {
		t.Helper()
		b := make([]byte, 4096)
		for !strings.Contains(told.String(), line) {
			if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
				t.Fatal(err)
			}
			n, err := conn.Read(b)
			if err != nil {
				t.Fatalf("wait for %q: %v; heard:\n%s", line, err, told.String())
			}
			told.Write(append(b[:n], '\n'))
		}
	}
	hear("READY=1\n")
	hear("STATUS=windhover_k8saudit ok\n")
	told.Reset()
	hear("WATCHDOG=1\n")
	d.stop()
	hear("STOPPING=1\n")
}
