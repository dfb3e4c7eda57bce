package syscallreceiver

import (
	"bytes"
	"encoding/binary"
	"flag"
	"net/netip"
	"os"
	"testing"

	"github.com/windhover/windhover/internal/event"
)

var update = flag.Bool("update", false, "write the golden files")

// mixed is a made day in the life of a host, in samples: a shell starts programs that
// open libraries and files, connect, and end. Some of it is of interest to rules about
// shells and outbound connections.
func mixed(rounds int) [][]byte {
	var samples [][]byte
	now, pid := uint64(1_000_000_000), int32(1000)
	add := func(pid int32, start uint64, s *sampleBuilder) {
		now += 10_000
		n := binary.NativeEndian
		n.PutUint64(s.b[0:], now)
		n.PutUint64(s.b[8:], start)
		n.PutUint32(s.b[24:], uint32(pid))
		n.PutUint32(s.b[28:], uint32(pid))
		samples = append(samples, s.b)
	}
	process := func(pid int32, start uint64, parent int32, parentStart uint64, name string) []byte {
		n := binary.NativeEndian
		p := make([]byte, sizeofProc)
		n.PutUint64(p[0:], parentStart)
		n.PutUint32(p[72:], uint32(pid))
		n.PutUint32(p[76:], uint32(pid))
		n.PutUint64(p[80:], start)
		n.PutUint32(p[88:], uint32(parent))
		n.PutUint32(p[100:], uint32(pid))
		n.PutUint32(p[104:], uint32(pid))
		for at := 116; at < 132; at += 4 {
			n.PutUint32(p[at:], 1000)
		}
		n.PutUint32(p[132:], 0xffffffff)
		copy(p[156:], name)
		return p
	}
	shell, shellStart := pid, now
	add(shell, shellStart, newSample(event.Proc, 0).
		section(tagProc, process(shell, shellStart, 1, 1, "bash")).
		text(tagExe, "/usr/bin/bash").text(tagArgs, "-bash").text(tagEnv, "HOME=/home/ann\x00PATH=/usr/bin").
		text(tagCWD, "/home/ann").text(tagCgroup, "/user.slice/user-1000.slice/session-3.scope"))
	local, remote := netip.MustParseAddrPort("10.0.0.5:40000"), netip.MustParseAddrPort("10.0.0.9:443")
	for range rounds {
		pid++
		start := now
		child := process(pid, start, shell, shellStart, "bash")
		add(shell, shellStart, newSample(event.Clone, int64(pid), 0x1200011, 0, 0, 0, 0).
			section(tagProc, child).text(tagExe, "/usr/bin/bash").text(tagArgs, "-bash").
			text(tagEnv, "HOME=/home/ann\x00PATH=/usr/bin").text(tagCWD, "/home/ann"))
		add(pid, start, newSample(event.Execve, 0).text(tagStr0, "/usr/bin/curl").
			section(tagProc, process(pid, start, shell, shellStart, "curl")).
			text(tagExe, "/usr/bin/curl").text(tagArgs, "curl\x00-s\x00https://example.org").
			text(tagEnv, "HOME=/home/ann\x00PATH=/usr/bin").text(tagCWD, "/home/ann").
			text(tagCgroup, "/user.slice/user-1000.slice/session-3.scope"))
		for _, path := range []string{
			"/etc/ld.so.cache", "/usr/lib/x86_64-linux-gnu/libc.so.6", "/usr/lib/x86_64-linux-gnu/libz.so.1.2.13",
			"/usr/share/locale/locale.alias", "/home/ann/.config/app/settings.json", "/proc/self/maps", "/dev/null", "/var/lib/app/cache.db",
		} {
			add(pid, start, newSample(event.OpenAt, 3, 0xffffff9c, 0x7ffe0000, 0x80000, 0).
				text(tagStr0+1, path).file(4711, 8<<20|1, 0o100644, 0).text(tagPath, path))
		}
		add(pid, start, newSample(event.OpenAt, -2, 0xffffff9c, 0x7ffe0000, 0x80000, 0).
			text(tagStr0+1, "local.conf").text(tagBase, "/home/ann"))
		add(pid, start, newSample(event.OpenAt, 4, 0xffffff9c, 0x7ffe0000, 0x241, 0o644).
			text(tagStr0+1, "/tmp/out").file(4712, 8<<20|1, 0o100644, uint32(event.FileCreated)).text(tagPath, "/tmp/out"))
		add(pid, start, newSample(event.Connect, 0, 5, 0x7ffe0000, 16).
			sock(afInet, event.RoleClient, local, remote))
		add(pid, start, newSample(event.Unlink, 0, 0x7ffe0000).text(tagStr0, "/tmp/out"))
		add(pid, start, newSample(event.ProcExit, 0))
	}
	return samples
}

func TestGoldenSamples(t *testing.T) {
	t.Parallel()
	const name = "testdata/samples.bin"
	want := recorded(t, mixed(3)...)
	if *update {
		if err := os.WriteFile(name, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what mixed makes; use -update", name)
	}
}
