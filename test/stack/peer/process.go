//go:build linux

package peer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	// startTimeout bounds how long a program takes until it answers.
	startTimeout = 60 * time.Second
	// stopTimeout bounds how long a program takes to end when asked to.
	stopTimeout = 30 * time.Second
	// outputLimit bounds what is kept of a program's output; the oldest goes first.
	outputLimit = 8 << 20
	// clockTick is the unit of times in /proc/PID/stat on every Linux that Go runs on.
	clockTick = 10 * time.Millisecond
)

// Process is a running program. It is killed when the test ends, and by the kernel if
// the test's process ends first.
type Process struct {
	// URL is where the program's server answers, without a path; empty if it has none
	// that the package knows of.
	URL string

	tb             testing.TB
	name           string
	process        *os.Process
	stdout, stderr *output
	ended          chan struct{} // closed when state is set
	state          *os.ProcessState
}

// launch starts a program and does not wait until it answers.
func launch(tb testing.TB, binary string, args []string, env map[string]string) *Process {
	tb.Helper()
	p := &Process{tb: tb, name: filepath.Base(binary), stdout: &output{}, stderr: &output{}, ended: make(chan struct{})}
	cmd := exec.Command(binary, args...)
	cmd.Dir = tb.TempDir()
	cmd.Stdout, cmd.Stderr = p.stdout, p.stderr
	cmd.Env = append(os.Environ(), "TZ=UTC")
	for k, v := range env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	// A program that hands its output on to a child would keep Wait waiting.
	cmd.WaitDelay = time.Second
	started := make(chan error)
	go func() {
		// The parent of which Pdeathsig speaks is the thread: it must live as long.
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		_ = cmd.Wait() // the state says it
		p.state = cmd.ProcessState
		close(p.ended)
	}()
	if err := <-started; err != nil {
		tb.Fatalf("start %s: %v", p.name, err)
	}
	p.process = cmd.Process
	tb.Cleanup(func() {
		p.Kill()
		if tb.Failed() {
			tb.Logf("%s %s\nthe end of its stderr:\n%s", p.name, strings.Join(args, " "), tail(p.Stderr(), 6000))
		}
	})
	return p
}

// serve starts a program that listens on an address, which args makes its arguments
// of, and waits until path answers 200. It takes another address if somebody else was
// faster.
func serve(tb testing.TB, binary, path string, args func(address string) []string) *Process {
	tb.Helper()
	for try := 1; ; try++ {
		address := Free(tb)
		p := launch(tb, binary, args(address), nil)
		p.URL = "http://" + address
		err := p.await(path)
		if err == nil {
			return p
		}
		if try == 3 || !strings.Contains(p.Stderr(), "address already in use") {
			tb.Fatalf("start %s: %v\n%s", p.name, err, tail(p.Stderr(), 6000))
		}
	}
}

// await waits until a page of the program answers 200.
func (p *Process) await(path string) error {
	deadline := time.Now().Add(startTimeout)
	for {
		status, body, err := fetch(p.tb.Context(), p.URL+path)
		if err == nil && status == http.StatusOK {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("it ended: %v", p.state)
		case <-time.After(20 * time.Millisecond): // poll: another process has no notification for us
		}
		if time.Now().After(deadline) {
			if err == nil {
				err = fmt.Errorf("status %d: %s", status, tail(body, 1000))
			}
			return fmt.Errorf("%s does not answer after %v: %w", path, startTimeout, err)
		}
	}
}

// PID returns the number of the process.
func (p *Process) PID() int { return p.process.Pid }

// Stdout returns what the program wrote to its standard output so far: the last 8 MiB.
func (p *Process) Stdout() string { return p.stdout.String() }

// Stderr returns what the program wrote to its standard error so far: the last 8 MiB.
func (p *Process) Stderr() string { return p.stderr.String() }

// Ended is closed when the program has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// ExitCode returns the exit code of a program that has ended, -1 if a signal ended it.
func (p *Process) ExitCode() int {
	<-p.ended
	return p.state.ExitCode()
}

// Signal sends the program a signal.
func (p *Process) Signal(s syscall.Signal) {
	p.tb.Helper()
	if err := p.process.Signal(s); err != nil {
		p.tb.Fatalf("signal %s: %v", p.name, err)
	}
}

// Stop ends the program with SIGTERM and waits until all of its output is read.
func (p *Process) Stop() {
	p.tb.Helper()
	p.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(stopTimeout):
		p.tb.Fatalf("%s does not end within %v of SIGTERM\n%s", p.name, stopTimeout, tail(p.Stderr(), 6000))
	}
}

// Kill ends the program with SIGKILL, if it has not ended.
func (p *Process) Kill() {
	_ = p.process.Kill()
	<-p.ended
}

// RSS returns the resident memory of the program, in bytes.
func (p *Process) RSS() int64 {
	p.tb.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.PID()))
	if err != nil {
		p.tb.Fatalf("read memory of %s: %v", p.name, err)
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		p.tb.Fatalf("read memory of %s: no resident size in %q", p.name, text)
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		p.tb.Fatalf("read memory of %s: %v", p.name, err)
	}
	return pages * int64(os.Getpagesize())
}

// CPU returns the CPU time that the program took so far.
func (p *Process) CPU() time.Duration {
	p.tb.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
	if err != nil {
		p.tb.Fatalf("read CPU time of %s: %v", p.name, err)
	}
	// The name before the last parenthesis may hold blanks; utime and stime are the
	// 12th and 13th field after it, see proc_pid_stat(5).
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 13 {
		p.tb.Fatalf("read CPU time of %s: %q", p.name, text)
	}
	var ticks int64
	for _, f := range fields[11:13] {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			p.tb.Fatalf("read CPU time of %s: %v", p.name, err)
		}
		ticks += n
	}
	return time.Duration(ticks) * clockTick
}

// Page returns the body of a page of the program's server; any status but 200 fails
// the test.
func (p *Process) Page(path string) string {
	p.tb.Helper()
	status, body, err := fetch(p.tb.Context(), p.URL+path)
	if err != nil {
		p.tb.Fatal(err)
	}
	if status != http.StatusOK {
		p.tb.Fatalf("%s%s answers %d: %s", p.URL, path, status, tail(body, 1000))
	}
	return body
}

// Metric returns the sum of those series of a metric on /metrics whose line contains
// all of with, such as `reason="ring_full"`.
func (p *Process) Metric(name string, with ...string) float64 {
	p.tb.Helper()
	sum := 0.0
next:
	for line := range strings.Lines(p.Page("/metrics")) {
		rest, ok := strings.CutPrefix(line, name)
		if !ok || rest[0] != '{' && rest[0] != ' ' {
			continue
		}
		for _, w := range with {
			if !strings.Contains(rest, w) {
				continue next
			}
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(rest[strings.LastIndexByte(rest, ' ')+1:]), 64)
		if err != nil {
			p.tb.Fatalf("metric line %q: %v", line, err)
		}
		sum += v
	}
	return sum
}

// output keeps the end of what a program writes.
type output struct {
	mu sync.Mutex
	b  []byte
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.b = append(o.b, p...)
	if len(o.b) > outputLimit {
		o.b = append([]byte(nil), o.b[len(o.b)-outputLimit/2:]...)
	}
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.b)
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

// client keeps no connections, so that none outlives the test that made it.
var client = &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// pageLimit bounds an answer.
const pageLimit = 64 << 20

func fetch(ctx context.Context, url string) (status int, body string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, pageLimit+1))
	if err == nil && len(b) > pageLimit {
		err = errors.New("read " + url + ": it is larger than 64 MiB")
	}
	return resp.StatusCode, string(b), err
}

// Root returns the directory of the repository.
var Root = sync.OnceValue(func() string {
	dir, err := os.Getwd()
	if err != nil {
		panic("BUG: peer: no working directory: " + err.Error())
	}
	// A test runs in the directory of its package, at or below test/stack.
	for d := dir; d != filepath.Dir(d); d = filepath.Dir(d) {
		if _, err := os.Stat(filepath.Join(d, "cmd", "windhover", "main.go")); err == nil {
			return d
		}
	}
	panic("BUG: peer: no repository above " + dir)
})

// tool returns the path of a program that a make target builds, below the root of the
// repository.
func tool(tb testing.TB, path, target string) string {
	tb.Helper()
	name := filepath.Join(Root(), path)
	if _, err := os.Stat(name); err != nil {
		tb.Fatalf("find %s: run make %s first", path, target)
	}
	return name
}

// WriteFile writes a file into a directory of the test's own and returns its path.
func WriteFile(tb testing.TB, name, content string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

// AwaitOutput waits until the program has written text, on either output.
func (p *Process) AwaitOutput(text string) {
	p.tb.Helper()
	Eventually(p.tb, startTimeout, fmt.Sprintf("%s writes %q", p.name, text), func() (bool, string) {
		if strings.Contains(p.Stderr(), text) || strings.Contains(p.Stdout(), text) {
			return true, ""
		}
		select {
		case <-p.ended:
			p.tb.Fatalf("%s ended: %v\n%s", p.name, p.state, tail(p.Stderr(), 6000))
		default:
		}
		return false, tail(p.Stderr(), 6000)
	})
}
