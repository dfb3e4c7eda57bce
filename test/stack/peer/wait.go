//go:build linux

package peer

import (
	"fmt"
	"net"
	"os"
	"testing"
	"time"
)

// Claim prints one line that says what a test saw, with its number: "make test-stack"
// shows these lines.
func Claim(tb testing.TB, format string, args ...any) {
	tb.Helper()
	fmt.Fprintf(os.Stdout, "claim: "+format+"\n", args...)
}

// Eventually calls done every 50 ms until it holds, and fails the test when it does not
// within timeout. The state that done returns says in that message how far it came.
func Eventually(tb testing.TB, timeout time.Duration, what string, done func() (ok bool, state string)) {
	tb.Helper()
	ctx := tb.Context()
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	poll := time.NewTicker(50 * time.Millisecond) // another process has no notification for us
	defer poll.Stop()
	for {
		ok, state := done()
		if ok {
			return
		}
		select {
		case <-poll.C:
		case <-deadline.C:
			tb.Fatalf("not within %v: %s; at the end: %s", timeout, what, state)
		case <-ctx.Done():
			tb.Fatalf("the test ended before: %s; at the end: %s", what, state)
		}
	}
}

// Free returns a loopback address that nobody listens on at the moment.
func Free(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
