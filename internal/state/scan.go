package state

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/windhover/windhover/internal/event"
)

// Bounds of what is kept of a process that is read from procfs: those of the kernel
// side.
const (
	maxArgs    = 8 << 10
	maxEnv     = 4 << 10
	maxCgroup  = 4 << 10
	maxStat    = 4 << 10
	sweepEvery = time.Minute
)

type scanCounters struct{ read, failed atomic.Uint64 }

// Scanner reads processes from procfs: those that ran before the kernel side was
// attached, and later those whose announcement was lost.
type Scanner struct {
	table *Table
	proc  string
	// offset returns what to add to nanoseconds since boot to have nanoseconds since
	// the Unix epoch.
	offset func() int64

	texts *Shard // only its shared texts
}

// NewScanner returns a scanner that fills t from the procfs mounted at proc.
func NewScanner(t *Table, proc string, offset func() int64) *Scanner {
	return &Scanner{
		table: t, proc: proc, offset: offset,
		texts: &Shard{table: t, texts: make(map[string][]byte)},
	}
}

// Scan reads every process that runs. What was announced is newer and stays; what an
// earlier scan found is read again. It is called before the kernel side is attached, so
// that the first events find their ancestors, and after, for what changed in between.
func (s *Scanner) Scan(ctx context.Context) error {
	pids, err := s.pids()
	if err != nil {
		return err
	}
	found := make(map[int32]*event.Process, len(pids))
	parents := make(map[*event.Process]int32, len(pids))
	for _, pid := range pids {
		if ctx.Err() != nil {
			return nil
		}
		p, ppid, err := s.add(pid)
		if err != nil {
			if !errors.Is(err, os.ErrNotExist) {
				s.table.scans.failed.Add(1)
			}
			continue
		}
		found[pid] = p
		parents[p] = ppid
	}
	for p, ppid := range parents {
		if above := found[ppid]; above != nil && above != p && p.Parent() == nil && older(above, p) {
			p.SetParent(above)
		}
	}
	return nil
}

// Run looks up processes whose announcement was lost, and finds those that are gone
// although nobody reported it, until ctx is done.
func (s *Scanner) Run(ctx context.Context) {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case pid := <-s.table.lost:
			p, ppid, err := s.add(pid)
			if err != nil {
				if !errors.Is(err, os.ErrNotExist) {
					s.table.scans.failed.Add(1)
				}
				continue
			}
			if p.Parent() == nil {
				if above, _, err := s.add(ppid); err == nil && above != p && older(above, p) {
					p.SetParent(above)
				}
			}
		case <-ticker.C:
			s.sweep()
		}
	}
}

func (s *Scanner) pids() ([]int32, error) {
	d, err := os.Open(s.proc)
	if err != nil {
		return nil, fmt.Errorf("read processes: %w", err)
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("read processes: %w", err)
	}
	var pids []int32
	for _, name := range names {
		if pid, err := strconv.ParseInt(name, 10, 32); err == nil && pid > 0 {
			pids = append(pids, int32(pid))
		}
	}
	return pids, nil
}

// add puts process pid among those that wait, unless more is known of it already, and
// returns it with its parent's PID.
func (s *Scanner) add(pid int32) (*event.Process, int32, error) {
	snap, err := s.read(pid)
	if err != nil {
		return nil, 0, err
	}
	t, k := s.table, keyOf(snap.PID, snap.Start)
	ppid := snap.Image.PPID
	image, n := s.texts.image(snap, nil, nil)

	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.find(k); p != nil {
		return p, ppid, nil
	}
	e, ok := t.waiting[k]
	if ok && !e.named && !e.scanned {
		return e.p, ppid, nil
	}
	if !ok {
		e.p = &event.Process{PID: snap.PID, Start: snap.Start}
	}
	e.p.SetImage(image)
	t.putWaiting(k, entry{p: e.p, bytes: n, scanned: true})
	t.scans.read.Add(1)
	return e.p, ppid, nil
}

// read reads the snapshot of process pid.
func (s *Scanner) read(pid int32) (*Snapshot, error) {
	task := s.proc + "/" + strconv.Itoa(int(pid))
	snap := &Snapshot{PID: pid}
	i := &snap.Image
	if err := s.readStat(task, snap); err != nil {
		return nil, err
	}
	i.VPID, i.VTID, i.VPGID, i.VSID = pid, pid, i.PGID, i.SID
	if err := readStatus(task, i); err != nil {
		return nil, err
	}
	i.CloneTime = snap.Start + s.offset()
	snap.Args = readList(task+"/cmdline", maxArgs)
	snap.Env = readList(task+"/environ", maxEnv)
	if exe, err := os.Readlink(task + "/exe"); err == nil {
		exe, deleted := strings.CutSuffix(exe, " (deleted)")
		if deleted {
			i.ExeFlags |= event.FileDeleted
		}
		if strings.HasPrefix(exe, "/memfd:") {
			i.ExeFlags |= event.FileMemfd
		}
		snap.ExePath = []byte(exe)
		setExe(i, task+"/exe")
	}
	if cwd, err := os.Readlink(task + "/cwd"); err == nil {
		snap.CWD = []byte(cwd)
	}
	if b, err := readBounded(task+"/cgroup", maxCgroup); err == nil {
		snap.Cgroup, snap.CgroupV1 = parseCgroup(b)
	}
	i.LoginUID = -1
	if b, err := readBounded(task+"/loginuid", 32); err == nil {
		if uid, err := strconv.ParseUint(string(bytes.TrimSpace(b)), 10, 32); err == nil {
			i.LoginUID = int32(uint32(uid))
		}
	}
	i.PIDNS, _ = namespace(task, "pid")
	i.MntNS, _ = namespace(task, "mnt")
	i.NetNS, _ = namespace(task, "net")
	return snap, nil
}

// readStat reads proc_pid_stat(5). The name stands in parentheses and may hold any
// character, also a parenthesis.
func (s *Scanner) readStat(task string, snap *Snapshot) error {
	b, err := readBounded(task+"/stat", maxStat)
	if err != nil {
		return err
	}
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 0 || end < open {
		return fmt.Errorf("parse %s/stat: no name", task)
	}
	snap.Name = b[open+1 : end]
	f := strings.Fields(string(b[end+1:])) // from field 3, the state
	if len(f) < 20 {
		return fmt.Errorf("parse %s/stat: %d fields after the name", task, len(f))
	}
	var n [20]int64
	for i := 1; i < len(n); i++ {
		if n[i], err = strconv.ParseInt(f[i], 10, 64); err != nil {
			return fmt.Errorf("parse %s/stat: field %d: %w", task, i+3, err)
		}
	}
	snap.Image.PPID, snap.Image.PGID, snap.Image.SID = int32(n[1]), int32(n[2]), int32(n[3])
	snap.Image.TTY = uint32(n[4])
	snap.Start = n[19] * tick
	return nil
}

// readStatus reads the credentials and the IDs in the process's own PID namespace
// from proc_pid_status(5).
func readStatus(task string, i *event.Image) error {
	b, err := readBounded(task+"/status", maxStat)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(b)) {
		name, rest, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		f := strings.Fields(rest)
		if len(f) == 0 {
			continue
		}
		last := f[len(f)-1]
		switch name {
		case "Uid":
			if len(f) >= 2 {
				i.UID, i.EUID = number(f[0]), number(f[1])
			}
		case "Gid":
			if len(f) >= 2 {
				i.GID, i.EGID = number(f[0]), number(f[1])
			}
		case "NStgid":
			i.VPID = int32(number(last))
		case "NSpid":
			i.VTID = int32(number(last))
		case "NSpgid":
			i.VPGID = int32(number(last))
		case "NSsid":
			i.VSID = int32(number(last))
		case "CapInh":
			i.CapInheritable = hex(last)
		case "CapPrm":
			i.CapPermitted = hex(last)
		case "CapEff":
			i.CapEffective = hex(last)
		}
	}
	return nil
}

func number(s string) uint32 {
	n, _ := strconv.ParseUint(s, 10, 32)
	return uint32(n)
}

func hex(s string) uint64 {
	n, _ := strconv.ParseUint(s, 16, 64)
	return n
}

// parseCgroup returns the path in the unified hierarchy and in the first other one
// that is not the root, from proc_pid_cgroup(5).
func parseCgroup(b []byte) (unified, first []byte) {
	for line := range bytes.Lines(b) {
		f := bytes.SplitN(bytes.TrimRight(line, "\n"), []byte{':'}, 3)
		if len(f) != 3 {
			continue
		}
		switch {
		case string(f[0]) == "0":
			unified = f[2]
		case first == nil && len(f[2]) > 1:
			first = f[2]
		}
	}
	return unified, first
}

// readList reads strings that end with a NUL each; in the result NULs separate them.
func readList(name string, limit int64) []byte {
	b, err := readBounded(name, limit)
	if err != nil || len(b) == 0 {
		return nil
	}
	if b[len(b)-1] == 0 {
		b = b[:len(b)-1]
	}
	return b
}

func readBounded(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}

// sweep finds processes that are gone although nobody reported it, because the report
// was dropped.
func (s *Scanner) sweep() {
	t := s.table
	for _, sh := range t.shards {
		sh.mu.RLock()
		keys := make([]key, 0, len(sh.procs))
		for k := range sh.procs {
			keys = append(keys, k)
		}
		sh.mu.RUnlock()
		if gone := s.gone(keys); len(gone) > 0 {
			sh.removal.mu.Lock()
			sh.removal.keys = gone
			sh.removal.pending.Store(true)
			sh.removal.mu.Unlock()
		}
	}
	t.mu.Lock()
	keys := make([]key, 0, len(t.waiting))
	for k := range t.waiting {
		keys = append(keys, k)
	}
	t.mu.Unlock()
	gone := s.gone(keys)
	t.mu.Lock()
	for _, k := range gone {
		t.dropWaiting(k)
	}
	t.mu.Unlock()
}

// gone returns those of keys that run no more.
func (s *Scanner) gone(keys []key) []key {
	gone := keys[:0]
	for _, k := range keys {
		var snap Snapshot
		err := s.readStat(s.proc+"/"+strconv.Itoa(int(k.pid)), &snap)
		if errors.Is(err, os.ErrNotExist) || err == nil && keyOf(k.pid, snap.Start) != k {
			gone = append(gone, k)
		}
	}
	return gone
}
