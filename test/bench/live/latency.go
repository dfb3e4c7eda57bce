//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// latencyRules match what latency does: an execution, which travels in the reserved
// lane, and an open, which travels in the bulk lane.
const latencyRules = `
- rule: execve
  desc: The marked program.
  condition: evt.type = execve and proc.name = marked-program
  output: marked
  priority: CRITICAL # not folded
- rule: openat
  desc: The marked file.
  condition: evt.type = openat and fd.name endswith /marked-file
  output: marked
  priority: CRITICAL # not folded
`

const probes = 300 // of each kind

// latency measures the time from a system call to its alert on stdout, at rest and
// under load. It adds the rules of the measurement to the default ones.
func latency() error {
	dir, err := os.MkdirTemp("", "latency-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	extra := filepath.Join(dir, "latency.yaml")
	if err := os.WriteFile(extra, []byte(latencyRules), 0o600); err != nil {
		return err
	}
	program := filepath.Join(dir, "marked-program")
	self, err := os.ReadFile(*loadgen)
	if err != nil {
		return err
	}
	if err := os.WriteFile(program, self, 0o755); err != nil {
		return err
	}
	rules := *rulesFile
	if rules == "" {
		rules = "rules/library"
	}
	fmt.Println("\n| latency of an alert on stdout | p50 ms | p99 ms | max ms | alerts |")
	fmt.Println("|---|---|---|---|---|")
	for _, load := range []string{"", "mix"} {
		if err := latencyUnder(load, dir, program, rules, extra); err != nil {
			return err
		}
	}
	return nil
}

func latencyUnder(load, dir, program, rules, extra string) error {
	daemon := exec.Command(*windhover, "run", "--output", "json", "-r", rules, "-r", extra)
	stdout, err := daemon.StdoutPipe()
	if err != nil {
		return err
	}
	if err := daemon.Start(); err != nil {
		return err
	}
	delays := map[string][]time.Duration{}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			now := time.Now()
			var a struct {
				Rule string    `json:"rule"`
				Time time.Time `json:"time"`
			}
			if json.Unmarshal(lines.Bytes(), &a) == nil && (a.Rule == "execve" || a.Rule == "openat") {
				delays[a.Rule] = append(delays[a.Rule], now.Sub(a.Time))
			}
		}
	}()
	t := &tracer{cmd: daemon}
	if err := t.awaitReady(); err != nil {
		return err
	}
	if load != "" {
		generator := exec.Command(*loadgen, load, "2", strconv.Itoa(1<<30))
		if err := generator.Start(); err != nil {
			return err
		}
		defer func() {
			_ = generator.Process.Kill()
			_ = generator.Wait()
		}()
	}
	for range probes {
		if err := exec.Command(program, "true").Run(); err != nil {
			return err
		}
		_, _ = os.Stat(dir)
		if f, err := os.Open(filepath.Join(dir, "marked-file")); err == nil {
			f.Close()
		} else if f, err := os.Create(filepath.Join(dir, "marked-file")); err == nil {
			f.Close()
		}
		time.Sleep(time.Duration(5+rand.IntN(20)) * time.Millisecond)
	}
	time.Sleep(time.Second)
	t.stop()
	<-read
	name := "at rest"
	if load != "" {
		name = "under the " + load + " of 2 threads"
	}
	for _, rule := range []string{"execve", "openat"} {
		d := delays[rule]
		if len(d) == 0 {
			return fmt.Errorf("no alert of %s came", rule)
		}
		slices.Sort(d)
		ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
		fmt.Printf("| %s, %s | %.1f | %.1f | %.1f | %d of %d |\n", rule, name, ms(d[len(d)/2]), ms(d[len(d)*99/100]), ms(d[len(d)-1]), len(d), probes)
	}
	return nil
}
