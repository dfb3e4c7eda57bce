package state

import (
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/windhover/windhover/internal/event"
)

const second = 1_000_000_000

// snap describes a process whose parent is a, the first of lineage.
func snap(pid int32, name string, lineage ...Ancestor) *Snapshot {
	s := &Snapshot{PID: pid, Start: int64(pid) * second, Name: []byte(name)}
	for i, a := range lineage {
		if i == 0 {
			s.Image.PPID, s.ParentStart = a.PID, a.Start
		}
		s.AddAncestor(a)
	}
	return s
}

func ancestor(pid int32, name string) Ancestor {
	return Ancestor{PID: pid, Start: int64(pid) * second, Name: []byte(name)}
}

// names returns p's name and those above it.
func names(p *event.Process) []string {
	var s []string
	for ; p != nil; p = p.Parent() {
		s = append(s, string(p.Image().Name))
	}
	return s
}

func TestAnnounceMakesAnImage(t *testing.T) {
	t.Parallel()
	s := NewTable(Settings{Shards: 1}).Shard(0)
	in := snap(10, "sh", ancestor(1, "init"))
	in.ExePath = []byte("/usr/bin/dash")
	in.Args = []byte("/bin/sh\x00-c\x00id; ls")
	in.Env = []byte("A=1\x00B=")
	in.CWD = []byte("/root")
	in.Cgroup = []byte("/")
	in.CgroupV1 = []byte("/docker/3ad7b26ded6d8e7b23da7d48fe889434573036c27ae5a74837233de441c3601e")
	in.Image.UID = 7
	p, before := s.Announce(in)
	if before != nil {
		t.Errorf("the image before is %v, want none", before)
	}
	for _, b := range [][]byte{in.Name, in.ExePath, in.Args, in.Env, in.CWD, in.Cgroup, in.CgroupV1} {
		clear(b) // borrowed memory is used again
	}
	i := p.Image()
	type view struct {
		Name, Exe, ExePath, Cmdline, ArgLine, CWD, Cgroup, ContainerID string
		Args, Env                                                      string
		UID                                                            uint32
	}
	got := view{
		string(i.Name), string(i.Exe), string(i.ExePath), string(i.Cmdline), string(i.ArgLine), string(i.CWD), string(i.Cgroup), string(i.ContainerID),
		fmt.Sprintf("%q", i.Args), fmt.Sprintf("%q", i.Env), i.UID,
	}
	want := view{
		"sh", "/bin/sh", "/usr/bin/dash", "sh -c id; ls", "-c id; ls", "/root/",
		"/docker/3ad7b26ded6d8e7b23da7d48fe889434573036c27ae5a74837233de441c3601e", "3ad7b26ded6d",
		`["-c" "id; ls"]`, `["A=1" "B="]`, 7,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("image (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"sh", "init"}, names(p)); diff != "" {
		t.Errorf("lineage (-want +got):\n%s", diff)
	}
}

func TestProcessesAreFoundByIdentity(t *testing.T) {
	t.Parallel()
	s := NewTable(Settings{Shards: 1}).Shard(0)
	p, _ := s.Announce(snap(10, "a"))
	for _, tt := range []struct {
		name  string
		pid   int32
		start int64
		want  *event.Process
	}{
		{"PID and start", 10, 10 * second, p},
		{"the same again", 10, 10 * second, p},
		{"another start is another process", 10, 11 * second, nil},
		{"another PID is another process", 11, 10 * second, nil},
		{"nothing", 0, 0, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := s.Lookup(tt.pid, tt.start); got != tt.want {
				t.Errorf("Lookup(%d, %d) = %v, want %v", tt.pid, tt.start, got, tt.want)
			}
		})
	}
}

func TestExecKeepsTheProcessAndSwapsTheImage(t *testing.T) {
	t.Parallel()
	s := NewTable(Settings{Shards: 1}).Shard(0)
	in := snap(10, "sh")
	in.Env = []byte("A=1")
	p, _ := s.Announce(in)
	old := p.Image()

	in = snap(10, "ls")
	in.Env = []byte("A=1")
	in.Image.ExecTime = 99
	q, before := s.Announce(in)
	if q != p {
		t.Errorf("the exec made another process")
	}
	if before != old {
		t.Errorf("the image before is %v, want %v", before, old)
	}
	if got := string(q.Image().Name); got != "ls" {
		t.Errorf("name = %q, want ls", got)
	}
	if string(old.Name) != "sh" {
		t.Errorf("the old image changed: %q", old.Name)
	}
	if &old.Env[0] != &q.Image().Env[0] {
		t.Errorf("the same environment is kept twice")
	}
	q, _ = s.Announce(snap(10, "ls"))
	if got := q.Image().ExecTime; got != 99 {
		t.Errorf("after an announcement the exec time is %d, want 99", got)
	}
}

func TestAncestorsAreFilledAndTakenOver(t *testing.T) {
	t.Parallel()
	table := NewTable(Settings{Shards: 2})
	a, b := table.Shard(0), table.Shard(1)

	child, _ := a.Announce(snap(10, "sh", ancestor(5, "sshd"), ancestor(1, "init")))
	if diff := cmp.Diff([]string{"sh", "sshd", "init"}, names(child)); diff != "" {
		t.Errorf("before the parent is known (-want +got):\n%s", diff)
	}
	in := snap(5, "sshd", ancestor(1, "init"))
	in.Args = []byte("sshd: user")
	parent, before := b.Announce(in)
	if before != nil {
		t.Errorf("a process known by name has an image: %v", before)
	}
	if child.Parent() != parent {
		t.Errorf("the child has another parent than the one announced in the other shard")
	}
	if got := string(child.Parent().Image().Exe); got != "sshd: user" {
		t.Errorf("exe of the parent = %q", got)
	}
	other, _ := a.Announce(snap(11, "ls", ancestor(5, "sshd"), ancestor(1, "init")))
	if other.Parent() != parent {
		t.Errorf("the second child has another parent")
	}
	if got := table.Stats().Processes; got != 4 {
		t.Errorf("%d processes, want 4", got)
	}
}

func TestExitedProcessesStayForALateEvent(t *testing.T) {
	t.Parallel()
	s := NewTable(Settings{Shards: 1}).Shard(0)
	in := snap(10, "a")
	in.Env = []byte("SECRET=1")
	p, _ := s.Announce(in)
	child, _ := s.Announce(snap(11, "b", ancestor(10, "a")))
	s.Exit(10, 10*second, 12*second)
	if got := s.Lookup(10, 10*second); got != p || got.Exited() != 12*second {
		t.Errorf("right after the exit the process is gone")
	}
	for pid := int32(100); pid < 100+graceful; pid++ {
		s.Announce(snap(pid, "x"))
		s.Exit(pid, int64(pid)*second, 0)
	}
	if got := s.Lookup(10, 10*second); got != nil {
		t.Errorf("the exited process is still in the table")
	}
	if child.Parent() != p {
		t.Errorf("the child lost its parent")
	}
	if p.Image().Env != nil {
		t.Errorf("the exited parent keeps its environment")
	}
}

func TestChainsOfExitedParentsAreCut(t *testing.T) {
	t.Parallel()
	s := NewTable(Settings{Shards: 1}).Shard(0)
	last, _ := s.Announce(snap(1, "init"))
	for pid := int32(2); pid < 1000; pid++ {
		last, _ = s.Announce(snap(pid, "a", ancestor(pid-1, "a")))
		s.Exit(pid-1, int64(pid-1)*second, int64(pid)*second)
	}
	if n := len(names(last)); n > maxDepth+2 {
		t.Errorf("%d processes are reachable, want at most %d", n, maxDepth+2)
	}
	if n := s.table.Stats().Processes; n > graceful+2 {
		t.Errorf("%d processes in the table, want at most %d", n, graceful+2)
	}
}

func TestTableIsBounded(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		settings Settings
	}{
		{"in processes", Settings{Shards: 1, MaxProcesses: 64}},
		{"in bytes", Settings{Shards: 1, MaxBytes: 64 << 10}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			table := NewTable(tt.settings)
			s := table.Shard(0)
			for pid := int32(1); pid <= 1000; pid++ {
				in := snap(pid, "a")
				in.ParentStart, in.Image.PPID = 1, 1<<20+pid // a parent that nobody knows
				in.AddAncestor(Ancestor{PID: 1<<20 + pid, Start: 1, Name: []byte("p")})
				p, _ := s.Announce(in)
				if got := s.Lookup(pid, in.Start); got != p {
					t.Fatalf("process %d was evicted by its own announcement", pid)
				}
			}
			got := table.Stats()
			if limit := table.maxProcs * 2; got.Processes > limit {
				t.Errorf("%d processes, want at most %d", got.Processes, limit)
			}
			if limit := table.maxBytes * 2; got.Bytes > limit {
				t.Errorf("%d bytes, want at most %d", got.Bytes, limit)
			}
			if got.Evicted == 0 || int(got.Evicted)+got.Processes != 2000 {
				t.Errorf("%d evicted and %d kept, want 2000 in all", got.Evicted, got.Processes)
			}
		})
	}
}

func TestCountsReturnToZero(t *testing.T) {
	t.Parallel()
	table := NewTable(Settings{Shards: 1})
	s := table.Shard(0)
	for pid := int32(1); pid <= 100; pid++ {
		in := snap(pid, "a", ancestor(1, "a"))
		in.Args = []byte("a\x00b")
		s.Announce(in)
		s.Announce(in)
	}
	for pid := int32(1); pid <= 100+graceful; pid++ {
		s.Exit(pid, int64(pid)*second, 1)
	}
	if got := table.Stats(); got.Processes != 0 || got.Bytes != 0 {
		t.Errorf("%d processes with %d bytes are left", got.Processes, got.Bytes)
	}
}

func TestLookupDoesNotAllocate(t *testing.T) {
	s := NewTable(Settings{Shards: 1}).Shard(0)
	s.Announce(snap(10, "a"))
	s.Announce(snap(11, "b"))
	s.Lookup(12, 1)
	if n := testing.AllocsPerRun(100, func() {
		s.Lookup(10, 10*second)
		s.Lookup(11, 11*second)
		s.Lookup(12, 1)
	}); n != 0 {
		t.Errorf("Lookup allocates %v times", n)
	}
}

func TestSplitAndSameListAgree(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, in, want string }{
		{"nothing", "", `[]`},
		{"one", "a", `["a"]`},
		{"two", "a\x00bc", `["a" "bc"]`},
		{"an empty argument", "a\x00\x00b", `["a" "" "b"]`},
		{"an empty argument at the end", "a\x00", `["a" ""]`},
		{"only empty arguments", "\x00", `["" ""]`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := split([]byte(tt.in))
			if s := fmt.Sprintf("%q", got); s != tt.want {
				t.Errorf("split(%q) = %s, want %s", tt.in, s, tt.want)
			}
			if len(got) == 0 {
				return
			}
			if !sameList([]byte(tt.in), got[0], got[1:]) {
				t.Errorf("sameList(%q) does not know its own list", tt.in)
			}
			for _, other := range []string{tt.in + "x", tt.in + "\x00", tt.in[:len(tt.in)-1], "x" + tt.in} {
				if sameList([]byte(other), got[0], got[1:]) {
					t.Errorf("sameList(%q) takes it for %q", other, tt.in)
				}
			}
		})
	}
}

func TestChildrenInAnotherShard(t *testing.T) {
	t.Parallel()
	table := NewTable(Settings{Shards: 2})
	a, b := table.Shard(0), table.Shard(1)
	parent, _ := a.Announce(snap(5, "sh"))
	a.AnnounceOther(snap(10, "sh", ancestor(5, "sh")))
	child := b.Lookup(10, 10*second)
	if child == nil || child.Parent() != parent {
		t.Fatalf("the child is %v, want one below its parent", child)
	}
	if got := table.Find(10, 10*second); got != child {
		t.Errorf("Find = %v, want %v", got, child)
	}
	if got := table.Find(5, 5*second); got != parent {
		t.Errorf("Find = %v, want %v", got, parent)
	}
	b.Announce(snap(10, "ls", ancestor(5, "sh")))
	a.AnnounceOther(snap(10, "sh", ancestor(5, "sh"))) // late
	if got := string(child.Image().Name); got != "ls" {
		t.Errorf("the late fork made it %q again", got)
	}
	a.AnnounceOther(snap(11, "sh", ancestor(5, "sh")))
	b.Exit(11, 11*second, 12*second)
	if got := table.Find(11, 11*second); got != nil {
		t.Errorf("the child that exited without an event is still known")
	}
}

func TestAProcessKnownByNameIsBetterThanNone(t *testing.T) {
	t.Parallel()
	table := NewTable(Settings{Shards: 1})
	s := table.Shard(0)
	child, _ := s.Announce(snap(10, "sh", ancestor(5, "sshd")))
	for range 2 {
		if p := s.Lookup(5, 5*second); p != child.Parent() {
			t.Errorf("Lookup = %v, want the parent known by name", p)
		}
	}
	select {
	case pid := <-table.lost:
		if pid != 5 {
			t.Errorf("asked for process %d, want 5", pid)
		}
	default:
		t.Error("nobody was asked for more")
	}
	p, _ := s.Announce(snap(5, "sshd"))
	if p != child.Parent() || s.Lookup(5, 5*second) != p {
		t.Errorf("the announcement made another process")
	}
}

func BenchmarkLookup(b *testing.B) {
	s := NewTable(Settings{Shards: 1}).Shard(0)
	for pid := int32(1); pid <= 512; pid++ {
		s.Announce(snap(pid, "a"))
	}
	b.Run("same process", func(b *testing.B) {
		for b.Loop() {
			s.Lookup(7, 7*second)
		}
	})
	b.Run("another process each time", func(b *testing.B) {
		pid := int32(0)
		for b.Loop() {
			pid = pid%512 + 1
			s.Lookup(pid, int64(pid)*second)
		}
	})
}

func ppid(pid int32) event.Image { return event.Image{PPID: pid} }

func TestShardsWorkAtTheSameTime(t *testing.T) {
	t.Parallel()
	const shards, procs = 4, 500
	table := NewTable(Settings{Shards: shards})
	var wg sync.WaitGroup
	for i := range shards {
		wg.Go(func() {
			s := table.Shard(i)
			for pid := int32(2); pid < procs; pid++ {
				lineage := []Ancestor{ancestor(pid/2, "p"), ancestor(pid/4, "p")}
				if pid < 4 {
					lineage = lineage[:1]
				}
				in := snap(pid, "p", lineage...)
				if int(pid)%shards == i {
					s.Announce(in)
				} else if pid%7 == 0 {
					s.AnnounceOther(in)
				}
				table.Find(pid, int64(pid)*second)
				if int(pid)%shards == i && s.Lookup(pid, int64(pid)*second) == nil {
					t.Errorf("process %d is not known to its shard", pid)
				}
			}
		})
	}
	wg.Wait()
	seen := map[string]*event.Process{}
	for pid := int32(2); pid < procs; pid++ {
		p := table.Find(pid, int64(pid)*second)
		for q := p; q != nil; q = q.Parent() {
			name := fmt.Sprint(q.PID)
			if other, ok := seen[name]; ok && other != q {
				t.Fatalf("process %s exists twice", name)
			}
			seen[name] = q
		}
		if p.Parent() == nil {
			t.Fatalf("process %d has no parent", pid)
		}
	}
}
