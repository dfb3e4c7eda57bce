//go:build unix

package main

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windhover/windhover/cmd/windhover/host"
)

// manager is a socket as a service manager offers it.
func manager(t *testing.T) (*net.UnixConn, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn, path
}

// heard returns the next datagram, or nothing if none has been sent.
func heard(t *testing.T, conn *net.UnixConn, wait time.Duration) string {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4096)
	n, err := conn.Read(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func TestServiceManagerIsTold(t *testing.T) {
	t.Parallel()
	conn, path := manager(t)
	n, err := newNotifier([]string{"NOTIFY_SOCKET=" + path, "WATCHDOG_USEC=30000000", "WATCHDOG_PID=7"}, 7)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.close)
	begin := time.Unix(1_000_000, 0)
	for _, tt := range []struct {
		name    string
		outlook host.Outlook
		after   time.Duration
		want    string
	}{
		{"a source that starts is a status and life, not readiness", host.Outlook{Text: "a starting"}, 0, "STATUS=a starting\nWATCHDOG=1"},
		{"nothing new is not sent", host.Outlook{Text: "a starting"}, 5 * time.Second, ""},
		{"settled sources are readiness", host.Outlook{Settled: true, Text: "a ok"}, 6 * time.Second, "READY=1\nSTATUS=a ok"},
		{"a third of the watchdog's time is a sign of life", host.Outlook{Settled: true, Text: "a ok"}, 10 * time.Second, "WATCHDOG=1"},
		{"lines of a reason are joined", host.Outlook{Settled: true, Text: "a degraded: x\nWATCHDOG=trigger"}, 11 * time.Second, "STATUS=a degraded: x WATCHDOG=trigger"},
		{"a long text is cut between letters", host.Outlook{Settled: true, Text: "a" + strings.Repeat("é", maxText)}, 12 * time.Second, "STATUS=a" + strings.Repeat("é", maxText/2-1)},
		{"the end is told", host.Outlook{Stopping: true, Text: "delivering"}, 13 * time.Second, "STOPPING=1\nSTATUS=delivering"},
	} {
		if err := n.tell(tt.outlook, begin.Add(tt.after)); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		wait := 5 * time.Second
		if tt.want == "" {
			wait = time.Millisecond // a datagram to a local socket is there once it is sent
		}
		if diff := cmp.Diff(tt.want, heard(t, conn, wait)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestNewNotifier(t *testing.T) {
	t.Parallel()
	_, path := manager(t)
	for _, tt := range []struct {
		name     string
		env      []string
		asked    bool
		watchdog time.Duration
	}{
		{"nobody asks", []string{"WATCHDOG_USEC=1000000"}, false, 0},
		{"a manager without a watchdog", []string{"NOTIFY_SOCKET=" + path}, true, 0},
		{"a watchdog for any process", []string{"NOTIFY_SOCKET=" + path, "WATCHDOG_USEC=2000000"}, true, 2 * time.Second},
		{"a watchdog for another process", []string{"NOTIFY_SOCKET=" + path, "WATCHDOG_USEC=2000000", "WATCHDOG_PID=8"}, true, 0},
		{"a time that is no number", []string{"NOTIFY_SOCKET=" + path, "WATCHDOG_USEC=soon"}, true, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			n, err := newNotifier(tt.env, 7)
			if err != nil {
				t.Fatal(err)
			}
			defer n.close()
			if got := n != nil; got != tt.asked {
				t.Fatalf("newNotifier(%q) asked = %t, want %t", tt.env, got, tt.asked)
			}
			if n != nil && n.watchdog != tt.watchdog {
				t.Errorf("newNotifier(%q) watchdog = %v, want %v", tt.env, n.watchdog, tt.watchdog)
			}
		})
	}
	if _, err := newNotifier([]string{"NOTIFY_SOCKET=" + path + ".gone"}, 7); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("newNotifier of a socket that is not there: %v, want %v", err, os.ErrNotExist)
	}
}
