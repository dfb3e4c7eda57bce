//go:build linux

package kernel

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/windhover/windhover/bpf"
	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/test/require"
)

const tagTrace = 17

// traceMap is what OpenTelemetry eBPF instrumentation makes.
var traceMap = ebpf.MapSpec{Name: "traces_ctx_v1", Type: ebpf.LRUHash, KeySize: 8, ValueSize: 24, MaxEntries: 1 << 14}

// pinTraces makes a map and pins it under path.
func pinTraces(tb testing.TB, spec ebpf.MapSpec, path string) *ebpf.Map {
	tb.Helper()
	m, err := ebpf.NewMap(&spec)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { m.Close() })
	if err := m.Pin(path); err != nil {
		tb.Fatal(err)
	}
	return m
}

// tracePath returns where a map can be pinned: a directory of the test's own in a file
// system of BPF.
func tracePath(tb testing.TB) string {
	tb.Helper()
	require.Kernel(tb)
	dir := filepath.Join(tb.TempDir(), "bpf")
	if err := os.Mkdir(dir, 0o700); err != nil {
		tb.Fatal(err)
	}
	if err := unix.Mount("bpf", dir, "bpf", 0, ""); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			tb.Error(err)
		}
	})
	return filepath.Join(dir, "traces_ctx_v1")
}

// thisThread returns the key of the calling thread, which the caller has locked.
func thisThread() uint64 { return uint64(os.Getpid())<<32 | uint64(unix.Gettid()) }

func TestTraceOfTheThread(t *testing.T) {
	c := self
	c.TraceContext = tracePath(t)
	p := start(t, c, event.OpenAt, event.SetUID)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	follow := func(wantChanged, wantFound bool) {
		t.Helper()
		changed, found, err := p.FollowTraces()
		if changed != wantChanged || found != wantFound || err != nil {
			t.Fatalf("FollowTraces() = %t, %t, %v, want %t, %t", changed, found, err, wantChanged, wantFound)
		}
	}
	// trace opens a file that nobody else does and returns what its sample says.
	trace := func() []byte {
		t.Helper()
		name := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		openFile(t, name)
		s := p.awaitOwn(event.OpenAt, func(s *sample) bool { return s.str(1) == name && s.Args[2]&unix.O_CREAT == 0 })
		if s.text(tagPath) != name {
			t.Errorf("path = %q, want %q: %v", s.text(tagPath), name, s)
		}
		return s.Sections[tagTrace]
	}
	follow(false, false)
	if got := trace(); got != nil {
		t.Errorf("trace = %x, although there is no map", got)
	}

	m := pinTraces(t, traceMap, c.TraceContext)
	follow(true, true)
	follow(false, true)
	if got := trace(); got != nil {
		t.Errorf("trace = %x, although this thread has none", got)
	}
	want := []byte("0123456789abcdefspanspan")
	if err := m.Put(thisThread(), want); err != nil {
		t.Fatal(err)
	}
	if got := trace(); !bytes.Equal(got, want) {
		t.Errorf("trace = %x, want %x", got, want)
	}
	// The reserved lane too.
	_, _, _ = unix.RawSyscall(unix.SYS_SETUID, 0, 0, 0)
	if got := p.awaitOwn(event.SetUID, func(*sample) bool { return true }).Sections[tagTrace]; !bytes.Equal(got, want) {
		t.Errorf("trace of setuid = %x, want %x", got, want)
	}
	if err := m.Delete(thisThread()); err != nil {
		t.Fatal(err)
	}
	if got := trace(); got != nil {
		t.Errorf("trace = %x, although it has ended", got)
	}

	// The instrumentation starts anew, with another map, and then is removed.
	if err := os.Remove(c.TraceContext); err != nil {
		t.Fatal(err)
	}
	other := pinTraces(t, traceMap, c.TraceContext)
	if err := other.Put(thisThread(), want); err != nil {
		t.Fatal(err)
	}
	follow(true, true)
	if got := trace(); !bytes.Equal(got, want) {
		t.Errorf("trace in the second map = %x, want %x", got, want)
	}
	if err := os.Remove(c.TraceContext); err != nil {
		t.Fatal(err)
	}
	follow(true, false)
	if got := trace(); got != nil {
		t.Errorf("trace = %x, although the map is not pinned any more", got)
	}
}

func TestTraceMapOfAnotherLayoutIsRefused(t *testing.T) {
	c := self
	c.TraceContext = tracePath(t)
	p := start(t, c, event.OpenAt)
	for _, tt := range []struct {
		name string
		spec ebpf.MapSpec
	}{
		{"values of another size", ebpf.MapSpec{Type: ebpf.LRUHash, KeySize: 8, ValueSize: 32, MaxEntries: 16}},
		{"keys of another size", ebpf.MapSpec{Type: ebpf.LRUHash, KeySize: 4, ValueSize: 24, MaxEntries: 16}},
		{"another type", ebpf.MapSpec{Type: ebpf.Hash, KeySize: 8, ValueSize: 24, MaxEntries: 16}},
		{"a list for each CPU", ebpf.MapSpec{Type: ebpf.LRUHash, KeySize: 8, ValueSize: 24, MaxEntries: 1024, Flags: unix.BPF_F_NO_COMMON_LRU}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pinTraces(t, tt.spec, c.TraceContext)
			if changed, found, err := p.FollowTraces(); changed || found || err == nil {
				t.Errorf("FollowTraces() = %t, %t, %v, want an error", changed, found, err)
			} else {
				t.Log(err)
			}
			if err := os.Remove(c.TraceContext); err != nil {
				t.Fatal(err)
			}
		})
	}
	openFile(t, "/etc/passwd")
	if s := p.awaitOwn(event.OpenAt, func(s *sample) bool { return s.str(1) == "/etc/passwd" }); s.Sections[tagTrace] != nil {
		t.Errorf("sample has a trace: %v", s)
	}
}

// A map that is there but not asked for is left alone.
func TestTracesAreNotFollowedUnlessAsked(t *testing.T) {
	require.Kernel(t)
	p, err := bpf.Load(self)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if changed, found, err := p.FollowTraces(); changed || found || err != nil {
		t.Errorf("FollowTraces() = %t, %t, %v, want nothing", changed, found, err)
	}
}
