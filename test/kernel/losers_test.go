//go:build linux

package kernel

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/windhover/windhover/bpf"
	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/test/require"
)

// cgroupRoot mounts the default hierarchy of cgroups and returns where.
func cgroupRoot(tb testing.TB) string {
	tb.Helper()
	require.Kernel(tb)
	dir := filepath.Join(tb.TempDir(), "cgroup")
	if err := os.Mkdir(dir, 0o700); err != nil {
		tb.Fatal(err)
	}
	if err := unix.Mount("cgroup2", dir, "cgroup2", 0, ""); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			tb.Error(err)
		}
	})
	return dir
}

// newCgroup makes a cgroup at path and removes it at the end of the test.
func newCgroup(tb testing.TB, path string) string {
	tb.Helper()
	if err := os.MkdirAll(path, 0o755); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := unix.Rmdir(path); err != nil {
			tb.Errorf("remove cgroup %s: %v", path, err)
		}
	})
	return path
}

// silent loads and attaches a probe with one small ring for opens that nobody reads.
func silent(tb testing.TB) *bpf.Probe {
	tb.Helper()
	require.Kernel(tb)
	p, err := bpf.Load(bpf.Config{ObserveSelf: true, Shards: 1, BulkSize: 4096, ReservedSize: 1 << 20})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { p.Close() })
	if err := p.SetWanted(event.TypesOf(event.OpenAt)); err != nil {
		tb.Fatal(err)
	}
	if err := p.Attach(); err != nil {
		tb.Fatal(err)
	}
	for range 100 {
		openFile(tb, "/etc/passwd")
	}
	return p
}

func losersChild(args []string) error {
	// Joins the cgroups args[1:], and in each opens a file as often as args[0] says.
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	for _, cgroup := range args[1:] {
		if err := os.WriteFile(filepath.Join(cgroup, "cgroup.procs"), []byte("0"), 0); err != nil {
			return err
		}
		for range n {
			fd, err := unix.Open("/etc/passwd", unix.O_RDONLY, 0)
			if err != nil {
				return err
			}
			if err := unix.Close(fd); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkLosers reads the counters and fails unless every loss is in one place.
func checkLosers(tb testing.TB, p *bpf.Probe) bpf.Counters {
	tb.Helper()
	if err := p.Detach(); err != nil {
		tb.Fatal(err)
	}
	var c bpf.Counters
	if err := p.ReadCounters(&c); err != nil {
		tb.Fatal(err)
	}
	sum := c.Unattributed
	for _, l := range c.Losers {
		sum += l.Dropped
	}
	if total := c.DroppedTotal(); sum != total || total == 0 {
		tb.Errorf("%d losses are counted by cgroup, want %d, and not 0", sum, total)
	}
	return c
}

func TestLossesAreCountedByCgroup(t *testing.T) {
	root := cgroupRoot(t)
	p := silent(t)
	const id = "3ad7b26ded6d8e7b23da7d48fe889434573036c27ae5a74837233de441c3601e"
	deep := newCgroup(t, filepath.Join(root, "windhover-test.slice"))
	deep = newCgroup(t, filepath.Join(deep, "docker-"+id+".scope"))
	long := newCgroup(t, filepath.Join(root, strings.Repeat("l", 200)))
	long = newCgroup(t, filepath.Join(long, strings.Repeat("o", 200)))
	long = newCgroup(t, filepath.Join(long, strings.Repeat("n", 200)))
	run(t, child(t, "losers", "1000", deep))
	run(t, child(t, "losers", "2000", long))
	c := checkLosers(t, p)
	of := map[string]uint64{}
	for _, l := range c.Losers {
		of[l.Cgroup] += l.Dropped
	}
	path := "/windhover-test.slice/docker-" + id + ".scope"
	// What the program opens until it runs is in that cgroup only in part.
	if got := of[path]; got < 1000 || got > 1200 {
		t.Errorf("%s lost %d events, want 1000 and a few: %v", path, got, of)
	}
	if got := of[""]; got < 2000 || got > 2200 {
		t.Errorf("a cgroup with a path that is too long lost %d events, want 2000 and a few: %v", got, of)
	}
	if got := of["/"]; got == 0 {
		t.Errorf("nothing was lost in the root: %v", of)
	}
}

// More cgroups lose events than there is room for.
func TestLossesOfTooManyCgroupsAreCounted(t *testing.T) {
	root := cgroupRoot(t)
	p := silent(t)
	const cgroups, room = 530, 512
	var paths []string
	top := newCgroup(t, filepath.Join(root, "windhover-many"))
	for i := range cgroups {
		paths = append(paths, newCgroup(t, filepath.Join(top, fmt.Sprint(i))))
	}
	run(t, child(t, "losers", append([]string{"10"}, paths...)...))
	c := checkLosers(t, p)
	if len(c.Losers) != room {
		t.Errorf("%d cgroups are told apart, want %d", len(c.Losers), room)
	}
	if least := uint64(10 * (cgroups - room)); c.Unattributed < least {
		t.Errorf("%d losses are without a cgroup, want at least %d", c.Unattributed, least)
	}
}
