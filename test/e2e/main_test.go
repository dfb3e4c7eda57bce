//go:build linux

// Package e2e runs the daemon as a user does: the real binary, the real kernel, real
// system calls, real receivers.
//
// The tests need root and BPF. Where they lack them they skip with the reason; with
// WINDHOVER_REQUIRE_KERNEL=1 they fail instead.
package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// actorEnv names the case that a re-executed test binary acts out.
const actorEnv = "WINDHOVER_E2E_ACT"

// daemonBinary is the windhover binary that TestMain built.
var daemonBinary string

func TestMain(m *testing.M) {
	switch name := os.Getenv(actorEnv); name {
	case "":
	case receiverCase:
		os.Exit(receive(os.Args[1], os.Args[2]))
	case floodCase:
		os.Exit(flood())
	case idleCase:
		os.Exit(0)
	default:
		os.Exit(act(name))
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "windhover-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	daemonBinary = filepath.Join(dir, "windhover")
	build := exec.Command("go", "build", "-o", daemonBinary, "github.com/windhover/windhover/cmd/windhover")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build windhover: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// alertLine is an alert as --output json prints it.
type alertLine struct {
	Time         string         `json:"time"`
	Rule         string         `json:"rule"`
	Priority     string         `json:"priority"`
	Source       string         `json:"source"`
	Tags         []string       `json:"tags"`
	Output       string         `json:"output"`
	OutputFields map[string]any `json:"output_fields"`

	seen time.Time // when the line was read
}

func (a *alertLine) field(name string) string {
	if v := a.OutputFields[name]; v != nil {
		return fmt.Sprint(v)
	}
	return ""
}

// daemon is a running windhover.
type daemon struct {
	tb     testing.TB
	cmd    *exec.Cmd
	server string // address of /metrics and /readyz
	stderr *syncBuffer
	eof    chan struct{}

	mu     sync.Mutex
	alerts []*alertLine
	grown  chan struct{} // closed and renewed when alerts grows
}

// startDaemon runs windhover with config, which may use {server} for the address of
// its own server, and waits until every source is ready.
func startDaemon(tb testing.TB, config string, args ...string) *daemon {
	tb.Helper()
	d := launchDaemon(tb, config, args...)
	d.waitReady()
	return d
}

// launchDaemon runs windhover and does not wait for it.
func launchDaemon(tb testing.TB, config string, args ...string) *daemon {
	tb.Helper()
	d := &daemon{tb: tb, server: freeAddress(tb), stderr: &syncBuffer{}, eof: make(chan struct{}), grown: make(chan struct{})}
	file := filepath.Join(tb.TempDir(), "windhover.yaml")
	config = "server: {address: \"" + d.server + "\"}\n" + config
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		tb.Fatal(err)
	}
	d.cmd = exec.Command(daemonBinary, append([]string{"run", "-c", file, "--output", "json"}, args...)...)
	d.cmd.Stderr = d.stderr
	d.cmd.Env = append(os.Environ(), "TZ=UTC")
	stdout, err := d.cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := d.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	go d.read(stdout)
	tb.Cleanup(func() {
		if d.cmd.ProcessState == nil {
			d.kill()
		}
		if tb.Failed() {
			tb.Logf("stderr of windhover, the end:\n%s", d.stderr.tail(4000))
		}
	})
	return d
}

func (d *daemon) read(r io.Reader) {
	defer close(d.eof)
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		a := &alertLine{seen: time.Now()}
		if err := json.Unmarshal(lines.Bytes(), a); err != nil || a.Rule == "" {
			continue
		}
		d.mu.Lock()
		d.alerts = append(d.alerts, a)
		close(d.grown)
		d.grown = make(chan struct{})
		d.mu.Unlock()
	}
}

// await returns the first alert, past or future, that ok accepts.
func (d *daemon) await(ctx context.Context, ok func(*alertLine) bool) (*alertLine, error) {
	for next := 0; ; {
		d.mu.Lock()
		alerts, grown := d.alerts, d.grown
		d.mu.Unlock()
		for ; next < len(alerts); next++ {
			if ok(alerts[next]) {
				return alerts[next], nil
			}
		}
		select {
		case <-grown:
		case <-d.eof:
			d.mu.Lock()
			done := next == len(d.alerts)
			d.mu.Unlock()
			if done {
				return nil, errors.New("windhover ended")
			}
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// all returns the alerts so far.
func (d *daemon) all() []*alertLine {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.alerts
}

// waitReady waits until /readyz says so.
func (d *daemon) waitReady() {
	d.tb.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		resp, err := http.Get("http://" + d.server + "/readyz")
		if err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-d.eof:
			_ = d.cmd.Wait()
			d.tb.Fatalf("windhover ended before it was ready: %v\n%s", d.cmd.ProcessState, d.stderr)
		case <-time.After(20 * time.Millisecond): // poll: the server offers no notification
		}
		if time.Now().After(deadline) {
			d.tb.Fatalf("windhover is not ready after 30 s: %v\n%s", err, d.stderr)
		}
	}
}

// stop ends windhover with SIGTERM and waits until all of its output is read.
func (d *daemon) stop() {
	d.tb.Helper()
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		d.tb.Fatal(err)
	}
	select {
	case <-d.eof:
	case <-time.After(20 * time.Second):
		d.tb.Fatalf("windhover does not end on SIGTERM\n%s", d.stderr)
	}
	if err := d.cmd.Wait(); err != nil {
		d.tb.Fatalf("windhover ended with %v\n%s", err, d.stderr)
	}
}

// kill ends windhover with SIGKILL.
func (d *daemon) kill() {
	_ = d.cmd.Process.Kill()
	<-d.eof
	_ = d.cmd.Wait()
}

// page returns the body of a page of the daemon's server.
func (d *daemon) page(path string) string {
	d.tb.Helper()
	resp, err := http.Get("http://" + d.server + path)
	if err != nil {
		d.tb.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		d.tb.Fatal(err)
	}
	return string(body)
}

// freeAddress returns a loopback address that nobody listens on.
func freeAddress(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// syncBuffer is a bytes.Buffer for a writer and a reader at the same time.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.TrimSpace(s.b.String())
}

// tail returns the last n bytes.
func (s *syncBuffer) tail(n int) string {
	text := s.String()
	return text[max(0, len(text)-n):]
}
