//go:build linux

package kernel

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/windhover/windhover/bpf"
	"github.com/windhover/windhover/internal/event"
)

// announcements returns what was said of a process, and its events, in order.
func (p *probe) announcements(pid int32) []event.Type {
	var types []event.Type
	for _, s := range p.all() {
		if s.PID == pid {
			types = append(types, s.Type)
		}
	}
	return types
}

func openFile(tb testing.TB, name string) {
	tb.Helper()
	fd, err := unix.Open(name, unix.O_RDONLY, 0)
	if err != nil {
		tb.Fatalf("open %s: %v", name, err)
	}
	if err := unix.Close(fd); err != nil {
		tb.Fatal(err)
	}
}

func TestAnnounce(t *testing.T) {
	p := start(t, self, event.OpenAt, event.Chdir)
	dir := t.TempDir()
	marker := filepath.Join(dir, "marker")
	if err := os.WriteFile(marker, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	old := cwd(t)
	openFile(t, marker)
	openFile(t, marker)
	t.Chdir(dir)
	openFile(t, "marker")
	p.awaitOwn(event.OpenAt, func(s *sample) bool { return s.str(1) == "marker" })

	var got []event.Type
	var snapshots []*sample
	for _, s := range p.all() {
		if s.PID != int32(os.Getpid()) {
			continue
		}
		switch {
		case s.Type == event.Proc:
			snapshots = append(snapshots, s)
			got = append(got, s.Type)
		case s.str(1) == marker || s.str(1) == "marker" || s.Type == event.Chdir:
			got = append(got, s.Type)
		}
	}
	got = slices.Compact(got)
	want := []event.Type{event.Proc, event.OpenAt, event.Chdir, event.Proc, event.OpenAt}
	if !slices.Equal(got, want) {
		t.Fatalf("events = %v, want a snapshot before the first and after the change of directory: %v", got, want)
	}
	if got, want := snapshots[0].image(t).CWD, old; got != want {
		t.Errorf("working directory in the first snapshot = %q, want %q", got, want)
	}
	if got := snapshots[1].image(t).CWD; got != dir {
		t.Errorf("working directory in the second snapshot = %q, want %q", got, dir)
	}
	if s := snapshots[0]; s.Lane != event.LaneReserved || s.image(t).PID != int32(os.Getpid()) {
		t.Errorf("snapshot in lane %d of process %d, want lane %d and %d", s.Lane, s.image(t).PID, event.LaneReserved, os.Getpid())
	}
}

func TestAnnounceAgainAfterAChangeOfCredentials(t *testing.T) {
	p := start(t, self, event.OpenAt)
	pid := run(t, child(t, "credentials", "/etc/passwd"))
	p.await("exit", func(s *sample) bool { return s.Type == event.ProcExit && s.PID == pid })
	var uids []uint32
	var writable []bool
	for _, s := range p.all() {
		if s.PID == pid && s.Sections[tagProc] != nil && s.Type != event.Clone {
			uids = append(uids, s.u32(tagProc, procUID), s.u32(tagProc, procEUID))
			writable = append(writable, s.u32(tagProc, procExeFlags)&exeWritable != 0)
		}
	}
	// The exec of the child, then the announcement after setresuid, which no rule wants.
	if want := []uint32{0, 0, 65534, 65533}; !slices.Equal(uids, want) {
		t.Errorf("real and effective users in snapshots = %v, want %v", uids, want)
	}
	if want := []bool{true, false}; !slices.Equal(writable, want) {
		t.Errorf("the process may write to its executable = %v, want %v", writable, want)
	}
}

func TestAnnounceProcessWhoseFirstThreadEnded(t *testing.T) {
	p := start(t, self, event.OpenAt)
	if err := p.SetWanted(event.TypesOf(event.OpenAt)); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	marker := filepath.Join(dir, "marker")
	if err := os.WriteFile(marker, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	pid := run(t, child(t, "zombie leader", marker))
	s := p.await("open", func(s *sample) bool { return s.PID == pid && s.str(1) == marker })
	if s.TID == s.PID {
		t.Errorf("the event came from the first thread, which had ended: %v", s)
	}
	if got := s.text(tagPath); got != marker {
		t.Errorf("path = %q, want %q", got, marker)
	}
	exit := p.await("exit", func(s *sample) bool { return s.Type == event.ProcExit && s.PID == pid })
	if exit.Start != s.Start {
		t.Errorf("start at exit = %d, at open %d: want the same", exit.Start, s.Start)
	}
}

// A snapshot that finds no room does not count: the process is announced by its next
// event.
func TestAnnounceAfterADroppedExec(t *testing.T) {
	c := self
	c.Shards, c.ReservedSize = 1, 4096
	p := start(t, c, event.OpenAt)
	// The command line makes the snapshot larger than the ring.
	cmd := child(t, "credentials", "/etc/passwd")
	cmd.Args = append(cmd.Args, string(slices.Repeat([]byte("x"), 6000)))
	pid := run(t, cmd)
	p.await("exit", func(s *sample) bool { return s.Type == event.ProcExit && s.PID == pid })
	p.stop()
	var c1 bpf.Counters
	if err := p.ReadCounters(&c1); err != nil {
		t.Fatal(err)
	}
	if n := c1.Dropped[event.Execve][event.LaneReserved][bpf.DropRingFull]; n == 0 {
		t.Errorf("no exec was dropped: the test shows nothing")
	}
	if n := c1.Dropped[event.Proc][event.LaneReserved][bpf.DropRingFull]; n < 2 {
		t.Errorf("%d announcements were tried, want one per event after the dropped exec", n)
	}
	for _, typ := range p.announcements(pid) {
		if typ == event.Execve || typ == event.Proc {
			t.Errorf("a %s got into a ring it does not fit in", typ)
		}
	}
}

func TestOwnEventsAreDiscarded(t *testing.T) {
	c := self
	c.ObserveSelf = false
	p := start(t, c, event.OpenAt, event.Clone, event.Clone3, event.Vfork)
	openFile(t, "/etc/passwd")
	pid := run(t, child(t, "credentials", "/etc/passwd"))
	p.await("open by a child", func(s *sample) bool { return s.Type == event.OpenAt && s.PID == pid })
	p.await("exit of a child", func(s *sample) bool { return s.Type == event.ProcExit && s.PID == pid })
	p.stop()
	if types := p.announcements(int32(os.Getpid())); len(types) > 0 {
		t.Errorf("events of the process that reads = %v, want none", types)
	}
	var counters bpf.Counters
	if err := p.ReadCounters(&counters); err != nil {
		t.Fatal(err)
	}
	if counters.Own < 2 {
		t.Errorf("discarded = %d, want at least the open and the fork", counters.Own)
	}
}
