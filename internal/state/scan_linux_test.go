package state

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// procfs makes a directory that looks like a mounted procfs.
func procfs(t *testing.T) string {
	t.Helper()
	return t.TempDir()
}

type fakeProcess struct {
	pid, ppid int32
	ticks     int64
	name      string
	files     map[string]string // beside stat and status
	links     map[string]string
}

func (p fakeProcess) write(t *testing.T, proc string) {
	t.Helper()
	files := map[string]string{
		"stat": fmt.Sprintf("%d (%s) S %d 3 4 1025 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 %d 9 9", p.pid, p.name, p.ppid, p.ticks),
		"status": "Name:\tx\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nNStgid:\t10\t20\nNSpid:\t10\t21\nNSpgid:\t3\t22\nNSsid:\t4\t23\n" +
			"CapInh:\t0000000000000001\nCapPrm:\t0000000000000003\nCapEff:\t000001ffffffffff\n",
	}
	maps.Copy(files, p.files)
	dir := filepath.Join(proc, fmt.Sprint(p.pid))
	if err := os.MkdirAll(filepath.Join(dir, "ns"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, to := range p.links {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}

func noOffset() int64 { return 0 }

func TestScanReadsWhatRuns(t *testing.T) {
	t.Parallel()
	proc := procfs(t)
	exe := filepath.Join(t.TempDir(), "exe")
	if err := os.WriteFile(exe, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	fakeProcess{pid: 1, name: "init", ticks: 1}.write(t, proc)
	fakeProcess{
		pid: 10, ppid: 1, ticks: 500, name: "a) (b",
		files: map[string]string{
			"cmdline": "a\x00b c\x00", "environ": "X=1\x00", "loginuid": "4294967295",
			"cgroup": "1:name=systemd:/docker/3ad7b26ded6d8e7b23da7d48fe889434573036c27ae5a74837233de441c3601e\n0::/\n",
		},
		links: map[string]string{"exe": exe, "cwd": "/tmp", "ns/pid": "pid:[77]", "ns/mnt": "mnt:[78]", "ns/net": "net:[79]"},
	}.write(t, proc)
	if err := os.WriteFile(filepath.Join(proc, "version"), nil, 0o644); err != nil {
		t.Fatal(err)
	}

	table := NewTable(Settings{Shards: 1})
	if err := NewScanner(table, proc, noOffset).Scan(t.Context()); err != nil {
		t.Fatal(err)
	}
	p := table.Shard(0).Lookup(10, 500*tick+1234)
	if p == nil {
		t.Fatal("the process is not known")
	}
	if diff := cmp.Diff([]string{"a) (b", "init"}, names(p)); diff != "" {
		t.Errorf("lineage (-want +got):\n%s", diff)
	}
	i := p.Image()
	got := fmt.Sprintf("%s|%s|%s|%s|%s|%s|%q", i.Exe, i.ExePath, i.Cmdline, i.CWD, i.Cgroup, i.ContainerID, i.Env)
	want := fmt.Sprintf(`a|%s|a) (b b c|/tmp/|/docker/3ad7b26ded6d8e7b23da7d48fe889434573036c27ae5a74837233de441c3601e|3ad7b26ded6d|["X=1"]`, exe)
	if got != want {
		t.Errorf("texts\n got %s\nwant %s", got, want)
	}
	numbers := []uint64{
		uint64(i.PPID), uint64(i.PGID), uint64(i.SID), uint64(i.TTY), uint64(i.UID), uint64(i.EUID), uint64(i.GID), uint64(i.EGID),
		uint64(i.VPID), uint64(i.VTID), uint64(i.VPGID), uint64(i.VSID), i.CapInheritable, i.CapPermitted, i.CapEffective,
		uint64(i.PIDNS), uint64(i.MntNS), uint64(i.NetNS), uint64(i.CloneTime),
	}
	wantNumbers := []uint64{1, 3, 4, 1025, 1, 2, 5, 6, 20, 21, 22, 23, 1, 3, 0x1ffffffffff, 77, 78, 79, 500 * tick}
	if diff := cmp.Diff(wantNumbers, numbers); diff != "" {
		t.Errorf("numbers (-want +got):\n%s", diff)
	}
	if i.LoginUID != -1 || i.ExeIno == 0 || i.ExeMtime == 0 {
		t.Errorf("loginuid %d, exe inode %d, mtime %d; want -1 and the file's", i.LoginUID, i.ExeIno, i.ExeMtime)
	}
}

func TestScanLeavesWhatWasAnnounced(t *testing.T) {
	t.Parallel()
	proc := procfs(t)
	fakeProcess{pid: 10, ppid: 1, ticks: 500, name: "old", files: map[string]string{"cmdline": "old\x00"}}.write(t, proc)
	fakeProcess{pid: 11, ppid: 10, ticks: 500, name: "kid", files: map[string]string{"cmdline": "kid\x00"}}.write(t, proc)
	table := NewTable(Settings{Shards: 2})
	p, _ := table.Shard(1).Announce(&Snapshot{PID: 10, Start: 500*tick + 7, Name: []byte("new")})
	// Of this one only the name is known; the scan knows more.
	kid, _ := table.Shard(1).Announce(&Snapshot{PID: 12, Start: 600 * tick, Name: []byte("x"), lineage: [MaxLineage]Ancestor{{PID: 11, Start: 500*tick + 9, Name: []byte("kid")}}, numLineage: 1, ParentStart: 500*tick + 9, Image: ppid(11)})
	s := NewScanner(table, proc, noOffset)
	if err := s.Scan(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := string(p.Image().Name); got != "new" {
		t.Errorf("the scan overwrote the announcement with %q", got)
	}
	if got := string(kid.Parent().Image().Exe); got != "kid" {
		t.Errorf("exe of the ancestor known by name = %q, want kid", got)
	}
	if kid.Parent().Parent() != p {
		t.Errorf("the scanned process is not below the announced one")
	}
	if got := table.Stats(); got.Processes != 3 || got.Scanned != 1 {
		t.Errorf("%d processes, %d scanned; want 3, 1", got.Processes, got.Scanned)
	}
}

func TestLostProcessesAreLookedUp(t *testing.T) {
	t.Parallel()
	proc := procfs(t)
	fakeProcess{pid: 10, ppid: 0, ticks: 500, name: "a"}.write(t, proc)
	table := NewTable(Settings{Shards: 1})
	sh := table.Shard(0)
	if p := sh.Lookup(10, 500*tick); p != nil {
		t.Fatal("the process is known")
	}
	s := NewScanner(table, proc, noOffset)
	pid := <-table.lost
	if _, _, err := s.add(pid); err != nil {
		t.Fatal(err)
	}
	if p := sh.Lookup(10, 500*tick); p == nil {
		t.Error("the process is not known although it was looked up")
	}
}

func TestSweepFindsWhatIsGone(t *testing.T) {
	t.Parallel()
	proc := procfs(t)
	fakeProcess{pid: 10, ticks: 500, name: "lives"}.write(t, proc)
	fakeProcess{pid: 11, ticks: 900, name: "has the PID of another"}.write(t, proc)
	table := NewTable(Settings{Shards: 1})
	sh := table.Shard(0)
	for _, pid := range []int32{10, 11, 12} {
		sh.Announce(&Snapshot{PID: pid, Start: 500 * tick, Name: []byte("x"), lineage: [MaxLineage]Ancestor{{PID: 99, Start: 1}}, numLineage: 1, ParentStart: 1, Image: ppid(99)})
	}
	NewScanner(table, proc, noOffset).sweep()
	sh.Idle()
	for pid, want := range map[int32]bool{10: true, 11: false, 12: false} {
		if got := sh.Lookup(pid, 500*tick) != nil; got != want {
			t.Errorf("process %d is known: %t, want %t", pid, got, want)
		}
	}
	if got := table.Stats().Processes; got != 1 {
		t.Errorf("%d processes, want 1", got)
	}
}

func TestScanReadsThisProcess(t *testing.T) {
	t.Parallel()
	s := NewScanner(NewTable(Settings{Shards: 1}), "/proc", noOffset)
	snap, err := s.read(int32(os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if string(snap.ExePath) != exe || snap.Image.PPID != int32(os.Getppid()) || snap.Image.EUID != uint32(os.Geteuid()) {
		t.Errorf("exe %q, ppid %d, euid %d; want %q, %d, %d", snap.ExePath, snap.Image.PPID, snap.Image.EUID, exe, os.Getppid(), os.Geteuid())
	}
	if got, want := string(snap.Args), strings.Join(os.Args, "\x00"); got != want {
		t.Errorf("args = %q, want %q", got, want)
	}
}

func TestScanSurvivesHostileFiles(t *testing.T) {
	t.Parallel()
	for _, stat := range []string{"", "1", "1 (x", "1 x) S", "1 (x) S 1", "1 (x) S a b c d e f g h i j k l m n o p q r s t u", strings.Repeat("9", 1<<16)} {
		proc := procfs(t)
		fakeProcess{pid: 1, name: "x", files: map[string]string{"stat": stat}}.write(t, proc)
		table := NewTable(Settings{Shards: 1})
		if err := NewScanner(table, proc, noOffset).Scan(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := table.Stats(); got.Processes != 0 || got.ScanFailed != 1 {
			t.Errorf("stat %.20q: %d processes, %d failed; want 0, 1", stat, got.Processes, got.ScanFailed)
		}
	}
}
