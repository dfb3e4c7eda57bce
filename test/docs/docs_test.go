//go:build linux

package docs

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/windhover/windhover/test/require"
)

// limit bounds a block, and what is waited for in the output of one that runs on.
const limit = 2 * time.Minute

// root is the repository, tools a directory with the binary that the pages call.
var root, tools string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "windhover-docs-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	tools = dir
	if root, err = filepath.Abs("../.."); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "windhover"), "./cmd/windhover")
	build.Dir = root
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build windhover: %v\n%s", err, out)
		return 1
	}
	// Pages say sudo where it takes root; a machine where everything is root may lack it.
	if _, err := exec.LookPath("sudo"); err != nil && os.Geteuid() == 0 {
		if err := os.WriteFile(filepath.Join(dir, "sudo"), []byte("#!/bin/sh\nexec \"$@\"\n"), 0o755); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return m.Run()
}

// pages are those whose commands people type, as paths from the root.
func pages(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(root, "docs/*.md"))
	if err != nil || len(found) < 10 {
		t.Fatalf("the pages are not where they were: %d, %v", len(found), err)
	}
	out := []string{"README.md"}
	for _, f := range found {
		out = append(out, "docs/"+filepath.Base(f))
	}
	return out
}

func read(t *testing.T, page string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, page))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestCommands runs every page from top to bottom.
func TestCommands(t *testing.T) {
	for _, page := range pages(t) {
		bs := blocks(read(t, page))
		for _, b := range bs {
			if strings.HasPrefix(b.text, "windhover ") && !b.isShell() {
				t.Errorf("%s:%d: commands in a block that is not marked as sh", page, b.line)
			}
		}
		t.Run(page, func(t *testing.T) { runPage(t, page, bs) })
	}
}

func runPage(t *testing.T, page string, bs []block) {
	dir := t.TempDir()
	var (
		last    *process // the block that an output belongs to
		running *process
		ran     int
	)
	for _, b := range bs {
		where := fmt.Sprintf("%s:%d", page, b.line)
		switch {
		case b.language == "text" && last != nil:
			if missing := last.wait(t, b.text); missing != "" {
				t.Fatalf("%s: the output lacks the line %q:\n%s", where, missing, last.output())
			}
			continue
		case !b.isShell():
			last = nil
			continue
		case b.reason() != "":
			t.Logf("%s: does not run: %s", where, b.reason())
			last = nil
			continue
		}
		if strings.Contains(b.text, "windhover run") && b.runsOn() {
			require.Kernel(t)
		}
		p := start(t, b, dir)
		ran++
		last = p
		if b.runsOn() {
			running = p
			continue
		}
		if err := p.end(t); err != nil {
			text := p.output()
			if running != nil {
				text += "\nbeside it:\n" + running.output()
			}
			t.Fatalf("%s: %v\n%s\n%s", where, err, b.text, text)
		}
		if running != nil && strings.TrimSpace(p.output()) == "" {
			last = running // what it causes is to be seen there
		}
	}
	t.Logf("%d blocks ran", ran)
}

// process is a block that was started.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // once done is closed

	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{} // closed when text grows
}

func start(t *testing.T, b block, dir string) *process {
	t.Helper()
	p := &process{done: make(chan struct{}), changed: make(chan struct{})}
	p.cmd = exec.Command("bash", "-euo", "pipefail", "-c", b.text)
	p.cmd.Dir = dir
	if b.inRepository() {
		p.cmd.Dir = root
	}
	p.cmd.Env = append(os.Environ(), "PATH="+tools+":"+os.Getenv("PATH"), "PAGER=cat", "TERM=dumb")
	p.cmd.Stdout, p.cmd.Stderr = p, p
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.WaitDelay = 10 * time.Second
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() { p.stop(t) })
	return p
}

// Write takes what the process prints.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.changed)
	p.changed = make(chan struct{})
	return p.text.Write(b)
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// wait waits until the output has the lines of want, and returns the first that is
// missing when the process has ended or the time is over.
func (p *process) wait(t *testing.T, want string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for {
		p.mu.Lock()
		changed, text := p.changed, p.text.String()
		p.mu.Unlock()
		missing := lacks(text, want)
		if missing == "" {
			return ""
		}
		select {
		case <-changed:
		case <-p.done:
			return lacks(p.output(), want)
		case <-ctx.Done():
			return missing
		}
	}
}

// end waits for the end of the process.
func (p *process) end(t *testing.T) error {
	t.Helper()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-p.done:
		return p.err
	case <-timer.C:
		return fmt.Errorf("it runs for more than %v; say \"Run on\" before a block that does not end", limit)
	}
}

// stop ends the process and what it started.
func (p *process) stop(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		_ = syscall.Kill(-p.cmd.Process.Pid, signal) // it may have ended
		timer := time.NewTimer(20 * time.Second)
		defer timer.Stop()
		select {
		case <-p.done:
			return
		case <-timer.C:
		}
	}
	t.Errorf("a block does not end:\n%s", p.output())
}

// TestLinks follows every link that does not leave the repository.
func TestLinks(t *testing.T) {
	t.Parallel()
	linked := map[string]bool{}
	all := append(pages(t), "ARCHITECTURE.md", "CONTRIBUTING.md")
	readmes, err := filepath.Glob(filepath.Join(root, "*/*/README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range readmes {
		rel, err := filepath.Rel(root, r)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, rel)
	}
	for _, page := range all {
		text := read(t, page)
		for _, target := range targets(text) {
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			file, fragment, _ := strings.Cut(target, "#")
			path := page
			if file != "" {
				path = filepath.Join(filepath.Dir(page), file)
			}
			to, err := os.Stat(filepath.Join(root, path))
			if err != nil {
				t.Errorf("%s: the link %s leads nowhere", page, target)
				continue
			}
			if page == "docs/README.md" {
				linked[path] = true
			}
			if fragment != "" && !to.IsDir() && !anchors(read(t, path))[fragment] {
				t.Errorf("%s: %s has no section #%s", page, path, fragment)
			}
		}
	}
	for _, page := range pages(t) {
		if page != "docs/README.md" && page != "README.md" && !linked[page] {
			t.Errorf("docs/README.md does not list %s", page)
		}
	}
}

func TestLacks(t *testing.T) {
	t.Parallel()
	const output = "one 12\ntwo (x=3)\nthree\n"
	for _, tc := range []struct{ name, want, missing string }{
		{"all lines", "one 12\ntwo (x=3)\nthree\n", ""},
		{"part of a line, and a line between them left out", "one\n…\nthree\n", ""},
		{"anything in a line", "two (x=…)\n", ""},
		{"another order", "three\none 12\n", "one 12"},
		{"another line", "two (x=4)\n", "two (x=4)"},
	} {
		if got := lacks(output, tc.want); got != tc.missing {
			t.Errorf("%s: lacks %q, want %q", tc.name, got, tc.missing)
		}
	}
}

func TestBlocks(t *testing.T) {
	t.Parallel()
	const page = "# a\n\nNeeds a cluster:\n\n```sh\nkubectl\n```\n\nsaid\n\nRun on, in another terminal:\n\n```sh\nwindhover run\n```\n\n```text\nalert\n```\n"
	got := blocks(page)
	if len(got) != 3 || got[0].reason() != "Needs a cluster" || got[1].reason() != "" || !got[1].runsOn() || got[2].before != "" {
		t.Errorf("blocks() = %+v", got)
	}
	if got[1].line != 14 || got[1].text != "windhover run\n" {
		t.Errorf("the second block is %+v", got[1])
	}
}
