//go:build linux

// Command live measures what Windhover costs a running machine: it makes the load
// generator run without and with the daemon, by turns, and prints medians.
//
//	live -windhover bin/windhover -loadgen bin/loadgen [-rounds 5] [-rules FILE]
//
// It needs root and at least 2 processors. With one thread the generator runs on
// processor 0 and the daemon on 1; with two nothing is pinned.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

var (
	windhover = flag.String("windhover", "bin/windhover", "the daemon")
	loadgen   = flag.String("loadgen", "bin/loadgen", "the load generator")
	rounds    = flag.Int("rounds", 5, "rounds per load")
	rulesFile = flag.String("rules", "", "rules instead of the default ones")
	only      = flag.String("only", "", "run the loads whose name contains this")
)

// load is one row of the table.
type load struct {
	mode         string
	threads, ops int
	rate         float64
}

func (l load) String() string {
	s := fmt.Sprintf("%s, %d thread", l.mode, l.threads)
	if l.threads > 1 {
		s += "s"
	}
	if l.rate > 0 {
		s += fmt.Sprintf(", %.0f operations/s", l.rate)
	}
	return s
}

var loads = []load{
	{"getpid", 1, 3_000_000, 0},
	{"open", 1, 500_000, 0},
	{"openw", 1, 300_000, 0},
	{"connect", 1, 80_000, 0},
	{"open", 2, 400_000, 0},
	{"mix", 2, 30_000, 0},
	{"open", 1, 100_000, 10_000},
}

// tracer is one run of the daemon.
type tracer struct {
	cmd *exec.Cmd
	log *bytes.Buffer // may be nil
}

const server = "127.0.0.1:9464"

func start(pinned bool) (*tracer, error) {
	args := []string{*windhover, "run", "--output", "json"}
	if *rulesFile != "" {
		args = append(args, "-r", *rulesFile)
	}
	if pinned {
		args = append([]string{"taskset", "-c", "1"}, args...)
	}
	t := &tracer{cmd: exec.Command(args[0], args[1:]...), log: &bytes.Buffer{}}
	t.cmd.Stderr = t.log
	if err := t.cmd.Start(); err != nil {
		return nil, err
	}
	if err := t.awaitReady(); err != nil {
		return nil, err
	}
	time.Sleep(300 * time.Millisecond) // the snapshot of what runs is behind it
	return t, nil
}

// awaitReady waits until the daemon's sources are ready, and ends it if they are not.
func (t *tracer) awaitReady() error {
	for range 200 {
		resp, err := http.Get("http://" + server + "/readyz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.stop()
	return fmt.Errorf("windhover is not ready after 10 s:\n%s", t.log)
}

func (t *tracer) stop() {
	_ = t.cmd.Process.Signal(syscall.SIGTERM)
	_ = t.cmd.Wait()
}

// cpu returns the seconds the daemon has computed: schedstat of the process is that
// of its first thread only, so it sums over all.
func (t *tracer) cpu() float64 {
	var ns float64
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", t.cmd.Process.Pid))
	for _, f := range tasks {
		if b, err := os.ReadFile(f); err == nil {
			v, _ := strconv.ParseFloat(strings.Fields(string(b))[0], 64)
			ns += v
		}
	}
	return ns / 1e9
}

// rss returns the resident megabytes of the daemon.
func (t *tracer) rss() float64 {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", t.cmd.Process.Pid))
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kb / 1024
		}
	}
	return 0
}

// metric sums a metric over its series.
func metric(prefix string) float64 {
	resp, err := http.Get("http://" + server + "/metrics")
	if err != nil {
		return -1
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	sum := 0.0
	for line := range strings.Lines(string(body)) {
		if strings.HasPrefix(line, prefix) {
			f := strings.Fields(line)
			v, _ := strconv.ParseFloat(f[len(f)-1], 64)
			sum += v
		}
	}
	return sum
}

// measured is what one run of a load gave.
type measured struct {
	nsPerCall, tracerNS, rss, events, drops, cpuShare float64
}

func run(l load, traced bool) (measured, error) {
	var m measured
	var t *tracer
	if traced {
		var err error
		if t, err = start(l.threads == 1); err != nil {
			return m, err
		}
		defer t.stop()
	}
	args := []string{*loadgen, l.mode, strconv.Itoa(l.threads), strconv.Itoa(l.ops), strconv.FormatFloat(l.rate, 'f', -1, 64)}
	if l.threads == 1 {
		args = append([]string{"taskset", "-c", "0"}, args...)
	}
	var cpu0, events0 float64
	if traced {
		events0 = metric("windhover_source_events_total")
		cpu0 = t.cpu() // after the page was made
	}
	out, err := exec.Command(args[0], args[1:]...).Output()
	if err != nil {
		return m, fmt.Errorf("loadgen: %w", err)
	}
	var r struct {
		Syscalls     float64 `json:"syscalls"`
		Wall         float64 `json:"wall"`
		NSPerSyscall float64 `json:"ns_per_syscall_wall"`
	}
	if err := json.Unmarshal(out, &r); err != nil {
		return m, err
	}
	m.nsPerCall = r.NSPerSyscall
	if traced {
		time.Sleep(100 * time.Millisecond) // a reader's longest interval, five times over
		cpu := t.cpu() - cpu0
		time.Sleep(1400 * time.Millisecond) // counters are read once a second
		m.tracerNS = cpu / r.Syscalls * 1e9
		m.cpuShare = cpu / r.Wall * 100
		m.rss = t.rss()
		m.events = metric("windhover_source_events_total") - events0
		m.drops = metric("windhover_source_dropped_total")
		if m.events > 0 {
			m.events /= cpu * 1e6
		}
	}
	return m, nil
}

func median(ms []measured, of func(measured) float64) float64 {
	v := make([]float64, len(ms))
	for i, m := range ms {
		v[i] = of(m)
	}
	slices.Sort(v)
	return v[len(v)/2]
}

func main() {
	flag.Parse()
	if runtime.NumCPU() < 2 {
		fail(errors.New("needs 2 processors"))
	}
	fmt.Println("| load | untraced ns/call | traced ns/call | added | M events per CPU s | CPU % while it ran | RSS MB | drops |")
	fmt.Println("|---|---|---|---|---|---|---|---|")
	for _, l := range loads {
		if *only != "" && !strings.Contains(l.String(), *only) {
			continue
		}
		var without, with []measured
		for range *rounds {
			a, err := run(l, false)
			if err != nil {
				fail(err)
			}
			b, err := run(l, true)
			if err != nil {
				fail(err)
			}
			without, with = append(without, a), append(with, b)
		}
		ns := func(m measured) float64 { return m.nsPerCall }
		u, tr := median(without, ns), median(with, ns)
		drops := 0.0
		for _, m := range with {
			drops = max(drops, m.drops)
		}
		fmt.Printf("| %s | %.0f | %.0f | %+.0f | %.2f | %.2f | %.0f | %.0f |\n", l, u, tr, tr-u,
			median(with, func(m measured) float64 { return m.events }), median(with, func(m measured) float64 { return m.cpuShare }),
			median(with, func(m measured) float64 { return m.rss }), drops)
	}
	idle()
	if err := latency(); err != nil {
		fail(err)
	}
}

// idle measures the daemon with nothing to do.
func idle() {
	t, err := start(false)
	if err != nil {
		fail(err)
	}
	defer t.stop()
	const span = 20 * time.Second
	time.Sleep(10 * time.Second) // what starts, and what was made for that goes
	before := t.cpu()
	time.Sleep(span)
	fmt.Printf("\nidle: %.2f %% of a CPU, RSS %.0f MB\n", (t.cpu()-before)/span.Seconds()*100, t.rss())
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "live:", err)
	os.Exit(1)
}
