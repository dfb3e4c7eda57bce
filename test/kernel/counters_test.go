//go:build linux

package kernel

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/windhover/windhover/bpf"
	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/test/require"
)

func TestDispatch(t *testing.T) {
	p := start(t, self)
	var before, after bpf.Counters
	if err := p.ReadCounters(&before); err != nil {
		t.Fatal(err)
	}
	const calls = 1000
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for range calls {
		_, _, _ = syscall.RawSyscall(unix.SYS_GETPRIORITY, 0, 0, 0)
		_, _, _ = syscall.RawSyscall(5000, 0, 0, 0)
	}
	if err := p.ReadCounters(&after); err != nil {
		t.Fatal(err)
	}
	slot := bpf.Slot(bpf.ABI64, unix.SYS_GETPRIORITY)
	if got := after.Syscalls[slot] - before.Syscalls[slot]; got < calls || got > calls+50 {
		t.Errorf("getpriority, which nobody wants, was counted %d times, want %d", got, calls)
	}
	if got := after.Syscalls[bpf.OtherSlot] - before.Syscalls[bpf.OtherSlot]; got < calls || got > calls+50 {
		t.Errorf("a number beyond the table was counted %d times, want %d", got, calls)
	}
	typ, _ := event.TypeByName("getpriority")
	if got := after.Produced[typ]; got != 0 {
		t.Errorf("%d events were produced that nobody wants", got)
	}
}

func TestReadCountersAllocatesOnce(t *testing.T) {
	p := start(t, self)
	var c bpf.Counters
	if err := p.ReadCounters(&c); err != nil {
		t.Fatal(err)
	}
	allocs := testing.AllocsPerRun(10, func() {
		if err := p.ReadCounters(&c); err != nil {
			t.Error(err)
		}
	})
	// The statistics of a program are asked of the kernel one by one.
	if most := float64(4 * len(c.Programs)); allocs > most {
		t.Errorf("ReadCounters allocates %v times, want at most %v", allocs, most)
	}
}

// A flood of opens overflows its rings; not one exec is lost, and every event is
// accounted for.
func TestFlood(t *testing.T) {
	require.Kernel(t)
	const marked = 1000
	p, err := bpf.Load(bpf.Config{ObserveSelf: true, Shards: 2, BulkSize: 64 << 10, ReservedSize: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.SetWanted(event.TypesOf(event.OpenAt)); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	exe := filepath.Join(dir, "marked")
	copyFile(t, "/bin/true", exe)

	var delivered [event.MaxTypes]atomic.Uint64
	var execs atomic.Uint64
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	defer cancel()
	if err := p.Attach(); err != nil {
		t.Fatal(err)
	}
	var readers sync.WaitGroup
	for i := range p.NumShards() {
		readers.Go(func() {
			err := p.Shard(i).Run(ctx, func(lane event.Lane, b []byte) {
				s, err := parse(lane, b)
				if err != nil {
					t.Error(err)
					return
				}
				delivered[s.Type].Add(1)
				if s.Type == event.Execve && s.Ret == 0 && s.text(tagExe) == exe {
					execs.Add(1)
				}
			}, func() {})
			if err != nil {
				t.Error(err)
			}
		})
	}

	floodCtx, endFlood := context.WithCancel(t.Context())
	defer endFlood()
	var flood sync.WaitGroup
	for range 2 {
		flood.Go(func() {
			path := raw(t, "/etc/passwd")
			for floodCtx.Err() == nil {
				for range 100 {
					at := unix.AT_FDCWD
					fd, _, errno := syscall.RawSyscall6(unix.SYS_OPENAT, uintptr(at), path, unix.O_RDONLY, 0, 0, 0)
					if errno == 0 {
						_, _, _ = syscall.RawSyscall(unix.SYS_CLOSE, fd, 0, 0)
					}
				}
			}
		})
	}
	for range marked {
		if err := exec.Command(exe).Run(); err != nil {
			t.Fatal(err)
		}
	}
	endFlood()
	flood.Wait()
	if err := p.Detach(); err != nil {
		t.Fatal(err)
	}
	cancel()
	readers.Wait()

	var c bpf.Counters
	if err := p.ReadCounters(&c); err != nil {
		t.Fatal(err)
	}
	if got := execs.Load(); got != marked {
		t.Errorf("%d execs of the marked program were reported, want %d", got, marked)
	}
	if c.Dropped[event.OpenAt][event.LaneBulk][bpf.DropRingFull] == 0 {
		t.Errorf("the flood did not overflow its rings: the test shows nothing")
	}
	for typ := range event.Type(event.NumTypes()) {
		var dropped uint64
		for lane := range event.NumLanes {
			for reason := range bpf.NumDropReasons {
				n := c.Dropped[typ][lane][reason]
				if dropped += n; n > 0 && (lane == event.LaneReserved || reason != bpf.DropRingFull) {
					t.Errorf("%s: %d dropped in lane %d: %v", typ, n, lane, reason)
				}
			}
		}
		if got := delivered[typ].Load(); got+dropped != c.Produced[typ] {
			t.Errorf("%s: %d delivered and %d dropped, but %d produced", typ, got, dropped, c.Produced[typ])
		}
	}
	t.Logf("openat: %d produced, %d dropped", c.Produced[event.OpenAt], c.DroppedTotal())
}

func copyFile(tb testing.TB, from, to string) {
	tb.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(to, b, 0o755); err != nil {
		tb.Fatal(err)
	}
}

// The reader is woken, not only by the clock: at once by the reserved lane, by the
// bulk lane when enough is pending.
func TestReaderIsWoken(t *testing.T) {
	c := self
	c.Shards, c.PollInterval, c.WakeBytes = 1, time.Minute, 64<<10
	p := start(t, c, event.OpenAt, event.SetUID)
	_, _, _ = syscall.RawSyscall(unix.SYS_SETUID, 0, 0, 0)
	p.awaitOwn(event.SetUID, func(*sample) bool { return true })
	// 1,000 samples of more than 64 bytes each.
	for range 1000 {
		openFile(t, "/etc/passwd")
	}
	p.awaitOwn(event.OpenAt, func(s *sample) bool { return s.str(1) == "/etc/passwd" })
}

// A reader that has looked in vain for a while stops looking; then the first sample of
// the bulk lane wakes it.
func TestReaderThatStoppedLookingIsWoken(t *testing.T) {
	require.Kernel(t)
	p, err := bpf.Load(bpf.Config{ObserveSelf: true, Shards: 1, PollInterval: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := p.SetWanted(event.TypesOf(event.SymlinkAt)); err != nil {
		t.Fatal(err)
	}
	if err := p.Attach(); err != nil {
		t.Fatal(err)
	}
	// A call that little else makes, and at first one that announces this process.
	link := func(target string) {
		t.Helper()
		if err := unix.Symlinkat(target, unix.AT_FDCWD, filepath.Join(t.TempDir(), "link")); err != nil {
			t.Error(err)
		}
	}
	link("first")
	asleep, arrived := make(chan struct{}, 1), make(chan time.Time, 1)
	looks := 0 // in vain, in a row
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var reader sync.WaitGroup
	reader.Go(func() {
		err := p.Shard(0).Run(ctx, func(lane event.Lane, b []byte) {
			looks = 0
			if s, err := parse(lane, b); err == nil && s.str(0) == "second" {
				arrived <- time.Now()
			}
		}, func() {
			if looks++; looks == 6 {
				asleep <- struct{}{}
			}
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-asleep
	begin := time.Now()
	link("second")
	// It looks once a second by itself.
	if took := (<-arrived).Sub(begin); took > 900*time.Millisecond {
		t.Errorf("the sample took %v", took)
	}
	cancel()
	reader.Wait()
}

// Both lanes come out in the order of time.
func TestLanesAreMergedByTime(t *testing.T) {
	p := start(t, self, event.OpenAt, event.SetUID)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	tid := int32(unix.Gettid())
	for range 300 {
		openFile(t, "/etc/passwd")
		_, _, _ = syscall.RawSyscall(unix.SYS_SETUID, 0, 0, 0)
	}
	p.stop()
	var last *sample
	n := 0
	for _, s := range p.all() {
		if s.TID != tid || s.Type == event.Proc {
			continue
		}
		if last != nil && s.Time < last.Time {
			t.Fatalf("%v came after %v", s, last)
		}
		last = s
		n++
	}
	if n < 600 {
		t.Errorf("%d events came, want at least 600", n)
	}
}

func TestLoadWithoutCapabilitiesNamesThem(t *testing.T) {
	require.Kernel(t)
	cmd := child(t, "unprivileged")
	// Where everyone may run it: the test binary is in a directory of root's.
	cmd.Path = filepath.Join("/tmp", "windhover-unprivileged-"+pidText())
	copyFile(t, "/proc/self/exe", cmd.Path)
	t.Cleanup(func() { os.Remove(cmd.Path) })
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	got, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if want := "CAP_BPF CAP_PERFMON"; string(got) != want {
		t.Errorf("missing capabilities = %q, want %q", got, want)
	}
}
