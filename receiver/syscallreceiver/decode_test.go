package syscallreceiver

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"github.com/windhover/windhover/internal/event"
)

// sampleBuilder writes a sample as the kernel side does.
type sampleBuilder struct{ b []byte }

func newSample(t event.Type, ret int64, args ...uint64) *sampleBuilder {
	n := binary.NativeEndian
	b := make([]byte, sizeofSample)
	n.PutUint64(b[0:], 5_000)
	n.PutUint64(b[8:], 1_000)
	n.PutUint64(b[16:], uint64(ret))
	n.PutUint32(b[24:], 42)
	n.PutUint32(b[28:], 43)
	n.PutUint32(b[32:], 1000)
	n.PutUint32(b[36:], 100)
	n.PutUint16(b[40:], uint16(t))
	n.PutUint16(b[44:], 3)
	b[46] = byte(len(args))
	for _, a := range args {
		b = n.AppendUint64(b, a)
	}
	return &sampleBuilder{b}
}

func (s *sampleBuilder) section(tag byte, payload []byte) *sampleBuilder {
	s.b = append(s.b, tag, 0)
	s.b = binary.NativeEndian.AppendUint16(s.b, uint16(len(payload)))
	s.b = append(s.b, payload...)
	return s
}

func (s *sampleBuilder) text(tag byte, text string) *sampleBuilder {
	return s.section(tag, []byte(text))
}

func (s *sampleBuilder) file(ino uint64, dev, mode, flags uint32) *sampleBuilder {
	n := binary.NativeEndian
	p := n.AppendUint64(nil, ino)
	for _, v := range []uint32{dev, mode, flags} {
		p = n.AppendUint32(p, v)
	}
	return s.section(tagFile, p)
}

func (s *sampleBuilder) sock(family uint16, role event.Role, local, remote netip.AddrPort) *sampleBuilder {
	n := binary.NativeEndian
	p := n.AppendUint64(nil, 777)
	p = n.AppendUint16(p, family)
	p = n.AppendUint16(p, 1)
	p = n.AppendUint16(p, 6)
	p = append(p, 2, byte(role))
	p = n.AppendUint16(p, local.Port())
	p = n.AppendUint16(p, remote.Port())
	for _, a := range []netip.Addr{local.Addr(), remote.Addr()} {
		var ip [16]byte
		copy(ip[:], a.AsSlice())
		p = append(p, ip[:]...)
	}
	return s.section(tagSock, p)
}

func (s *sampleBuilder) proc(pid int32, name string) *sampleBuilder {
	n := binary.NativeEndian
	p := make([]byte, sizeofProc)
	n.PutUint64(p[0:], 500)
	n.PutUint32(p[68:], exeWritable|uint32(event.FileMemfd))
	n.PutUint32(p[72:], uint32(pid))
	n.PutUint64(p[80:], 1_000)
	n.PutUint32(p[88:], 7)
	n.PutUint32(p[132:], 0xffffffff)
	copy(p[156:], name)
	return s.section(tagProc, p)
}

func TestDecodeOpen(t *testing.T) {
	t.Parallel()
	d := decoder{offset: 1_000_000, source: &event.Source{Name: "s", Type: "syscall"}}
	b := newSample(event.OpenAt, 5, 0xffffff9c, 0x7ffe, 0x241, 0o644).
		text(tagStr0+1, "x/../y").
		text(tagBase, "/tmp").
		file(11, 8<<20|1, 0o100644, uint32(event.FileCreated)).
		text(tagPath, "/tmp/y").b
	if err := d.decode(b); err != nil {
		t.Fatal(err)
	}
	want := event.Event{
		Type: event.OpenAt, Source: d.source, Time: 1_005_000, TID: 43, CPU: 3, Ret: 5, UID: 1000, GID: 100,
		Args: [6]uint64{0xffffff9c, 0x7ffe, 0x241, 0o644},
		Str:  [6][]byte{1: []byte("x/../y")},
		Base: []byte("/tmp"),
		File: event.File{Path: []byte("/tmp/y"), Dev: 8<<20 | 1, Ino: 11, Mode: 0o100644, Flags: event.FileCreated},
		Has:  event.HasFile,
	}
	if diff := cmp.Diff(want, d.ev); diff != "" {
		t.Errorf("event (-want +got):\n%s", diff)
	}
	if d.pid != 42 || d.start != 1_000 || d.hasSnap {
		t.Errorf("pid %d, start %d, snapshot %t; want 42, 1000, false", d.pid, d.start, d.hasSnap)
	}
}

func TestDecodeSnapshot(t *testing.T) {
	t.Parallel()
	n := binary.NativeEndian
	var lineage []byte
	for i := range uint64(12) {
		lineage = n.AppendUint64(lineage, 100-i)
		lineage = n.AppendUint32(lineage, uint32(7+i))
		lineage = append(lineage, "parent\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"...)
	}
	d := decoder{offset: 10}
	b := newSample(event.Proc, 0).proc(42, "sh").
		text(tagExe, "/bin/sh").text(tagArgs, "sh\x00-c\x00").text(tagEnv, "A=1\x00").
		text(tagCWD, "/").text(tagCgroup, "/a").text(tagCgroupV1, "/b").section(tagLineage, lineage).b
	if err := d.decode(b); err != nil {
		t.Fatal(err)
	}
	if !d.hasSnap {
		t.Fatal("no snapshot")
	}
	s := &d.snap
	if s.PID != 42 || s.Start != 1_000 || s.ParentStart != 500 || s.Image.PPID != 7 || s.Image.CloneTime != 1_010 || s.Image.LoginUID != -1 {
		t.Errorf("snapshot = %+v", s)
	}
	if !s.Image.ExeWritable || s.Image.ExeFlags != event.FileMemfd {
		t.Errorf("exe flags = %v, writable %t; want memfd, true", s.Image.ExeFlags, s.Image.ExeWritable)
	}
	got := []string{string(s.Name), string(s.ExePath), string(s.Args), string(s.Env), string(s.CWD), string(s.Cgroup), string(s.CgroupV1)}
	want := []string{"sh", "/bin/sh", "sh\x00-c\x00", "A=1\x00", "/", "/a", "/b"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("texts (-want +got):\n%s", diff)
	}
	if l := s.Lineage(); len(l) != 8 || l[7].PID != 14 || l[7].Start != 93 || string(l[7].Name) != "parent" {
		t.Errorf("lineage = %+v, want 8 ancestors", l)
	}
	if err := d.decode(newSample(event.OpenAt, 0).b); err != nil || d.hasSnap {
		t.Errorf("the next sample has the snapshot of the one before (%v)", err)
	}
}

func TestDecodeSocket(t *testing.T) {
	t.Parallel()
	ap := netip.MustParseAddrPort
	inet := func(port uint16, ip ...byte) []byte {
		p := binary.NativeEndian.AppendUint16(nil, afInet)
		return append(binary.BigEndian.AppendUint16(p, port), append(ip, make([]byte, 8)...)...)
	}
	inet6 := func(port uint16, ip string) []byte {
		p := binary.NativeEndian.AppendUint16(nil, afInet6)
		p = append(binary.BigEndian.AppendUint16(p, port), 0, 0, 0, 0)
		return append(append(p, netip.MustParseAddr(ip).AsSlice()...), 0, 0, 0, 0)
	}
	unix := func(name string) []byte {
		return append(binary.NativeEndian.AppendUint16(nil, afUnix), name...)
	}
	for _, tt := range []struct {
		name string
		in   *sampleBuilder
		want string
	}{
		{"a client's connection", newSample(event.Connect, 0).sock(afInet, event.RoleClient, ap("10.0.0.1:4000"), ap("10.0.0.2:80")), "2 10.0.0.1:4000 10.0.0.2:80"},
		{"an IPv6 connection", newSample(event.Connect, 0).sock(afInet6, event.RoleClient, ap("[fd00::1]:4000"), ap("[fd00::2]:80")), "10 [fd00::1]:4000 [fd00::2]:80"},
		{"IPv4 in an IPv6 socket", newSample(event.Accept4, 9).sock(afInet6, event.RoleServer, ap("[::ffff:10.0.0.1]:80"), ap("[::ffff:10.0.0.2]:4000")), "2 10.0.0.1:80 10.0.0.2:4000"},
		{"IPv4 in an IPv6 socket that listens everywhere", newSample(event.Connect, 9).sock(afInet6, event.RoleServer, ap("[::]:80"), ap("[::ffff:10.0.0.2]:4000")), "2 0.0.0.0:80 10.0.0.2:4000"},
		{"an IPv6 socket that listens everywhere", newSample(event.Listen, 0).sock(afInet6, event.RoleNone, ap("[::]:80"), ap("[::]:0")), "10 [::]:80 [::]:0"},
		{"a refused connection has the address asked for", newSample(event.Connect, -111).sock(afInet, event.RoleClient, ap("10.0.0.1:4000"), ap("0.0.0.0:0")).section(tagAddr, inet(81, 10, 0, 0, 3)), "2 10.0.0.1:4000 10.0.0.3:81 addr"},
		{"a mapped address makes the connection IPv4", newSample(event.Connect, -111).sock(afInet6, event.RoleClient, ap("[::]:4000"), ap("[::]:0")).section(tagAddr, inet6(81, "::ffff:10.0.0.3")), "2 0.0.0.0:4000 10.0.0.3:81 addr"},
		{"an IPv6 address", newSample(event.Connect, -9).section(tagAddr, inet6(81, "fd00::3")), "10 [::]:0 [fd00::3]:81 addr nosock"},
		{"an address cut by the caller", newSample(event.Connect, -22).section(tagAddr, inet(81)[:5]), "0 invalid AddrPort invalid AddrPort nosock"},
		{"an unknown family", newSample(event.Connect, -97).section(tagAddr, []byte{0xff, 0xff, 1, 2}), "0 invalid AddrPort invalid AddrPort nosock"},
		{"a path", newSample(event.Connect, 0).section(tagAddr, unix("/run/x\x00junk")), "1  /run/x addr nosock"},
		{"an abstract name", newSample(event.Connect, 0).text(tagLocalPath, "\x00me").section(tagAddr, unix("\x00x\x00y")), "1 \x00me \x00x\x00y addr nosock"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var d decoder
			if err := d.decode(tt.in.b); err != nil {
				t.Fatal(err)
			}
			if got := describe(&d.ev); got != tt.want {
				t.Errorf("socket = %q, want %q", got, tt.want)
			}
		})
	}
}

// describe prints what an event says of its socket.
func describe(e *event.Event) string {
	s := &e.Sock
	addr := func(ip [16]byte, port uint16) string {
		switch s.Family {
		case afInet:
			return netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip[:4])), port).String()
		case afInet6:
			return netip.AddrPortFrom(netip.AddrFrom16(ip), port).String()
		}
		return netip.AddrPort{}.String()
	}
	local, remote := addr(s.LocalIP, s.LocalPort), addr(s.RemoteIP, s.RemotePort)
	if s.Family == afUnix {
		local, remote = string(s.LocalPath), string(s.RemotePath)
	}
	out := strconv.Itoa(int(s.Family)) + " " + local + " " + remote
	if e.Has&event.HasAddr != 0 {
		out += " addr"
	}
	if e.Has&event.HasSock == 0 {
		out += " nosock"
	}
	return out
}

func TestDecodeRefusesWhatIsCut(t *testing.T) {
	t.Parallel()
	whole := newSample(event.OpenAt, 5, 1, 2, 3, 4).text(tagStr0+1, "abc").file(1, 2, 3, 4).text(tagPath, "/abc").proc(1, "x").b
	var d decoder
	if err := d.decode(whole); err != nil {
		t.Fatal(err)
	}
	starts := map[int]bool{sizeofSample + 4*8: true} // where a section may end the sample
	for at := sizeofSample + 4*8; at < len(whole); {
		at += sizeofSection + int(binary.NativeEndian.Uint16(whole[at+2:]))
		starts[at] = true
	}
	for n := range whole {
		if err := d.decode(whole[:n]); (err == nil) != starts[n] {
			t.Errorf("decode of the first %d bytes: %v", n, err)
		}
	}
	unknown := newSample(event.Type(event.NumTypes()), 0).b
	if err := d.decode(unknown); !errors.Is(err, errType) {
		t.Errorf("decode of an unknown type: %v, want %v", err, errType)
	}
}

func TestDecodeDoesNotAllocate(t *testing.T) {
	d := decoder{}
	samples := [][]byte{
		newSample(event.OpenAt, 5, 1, 2, 3).text(tagStr0+1, "abc").file(1, 2, 3, 4).text(tagPath, "/abc").b,
		newSample(event.Connect, 0, 1, 2, 3).sock(afInet, 1, netip.MustParseAddrPort("1.2.3.4:5"), netip.MustParseAddrPort("1.2.3.4:5")).b,
		newSample(event.Proc, 0).proc(1, "sh").text(tagArgs, "a\x00b\x00").b,
	}
	if n := testing.AllocsPerRun(100, func() {
		for _, b := range samples {
			if err := d.decode(b); err != nil {
				t.Fatal(err)
			}
		}
	}); n != 0 {
		t.Errorf("decode allocates %v times", n)
	}
}

// TestLayoutIsThatOfTheHeader reads the structs and enums of the contract from the C
// header.
func TestLayoutIsThatOfTheHeader(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../bpf/include/event.h")
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile(`(?s)/\*.*?\*/`).ReplaceAllString(string(b), "")
	sizes := map[string]int{"__u8": 1, "__u16": 2, "__u32": 4, "__s32": 4, "__u64": 8, "__s64": 8}
	got := map[string]int{}
	for _, m := range regexp.MustCompile(`(?s)struct (\w+) \{(.*?)\} __attribute__\(\(packed\)\)`).FindAllStringSubmatch(text, -1) {
		offset := 0
		for line := range strings.SplitSeq(m[2], ";") {
			f := strings.Fields(line)
			if len(f) == 0 {
				continue
			}
			size, ok := sizes[f[0]]
			if !ok {
				t.Fatalf("struct %s has a member of unknown type %q", m[1], f[0])
			}
			for name := range strings.SplitSeq(strings.Join(f[1:], ""), ",") {
				name, count, isArray := strings.Cut(name, "[")
				got[m[1]+"."+name] = offset
				n := 1
				if isArray {
					n, _ = strconv.Atoi(strings.TrimSuffix(count, "]"))
				}
				offset += size * n
			}
		}
		got["sizeof "+m[1]] = offset
	}
	for _, m := range regexp.MustCompile(`(SECTION_\w+)\s*=\s*(\d+)`).FindAllStringSubmatch(text, -1) {
		got[m[1]], _ = strconv.Atoi(m[2])
	}
	want := map[string]int{
		"sizeof sample": sizeofSample, "sample.time": 0, "sample.start": 8, "sample.ret": 16, "sample.pid": 24, "sample.tid": 28,
		"sample.uid": 32, "sample.gid": 36, "sample.type": 40, "sample.flags": 42, "sample.cpu": 44, "sample.nargs": 46, "sample.reserved": 47,
		"sizeof section": sizeofSection, "section.tag": 0, "section.reserved": 1, "section.len": 2,
		"sizeof sample_file": sizeofFile, "sample_file.ino": 0, "sample_file.dev": 8, "sample_file.mode": 12, "sample_file.flags": 16,
		"sizeof sample_sock": sizeofSock, "sample_sock.ino": 0, "sample_sock.family": 8, "sample_sock.type": 10, "sample_sock.proto": 12,
		"sample_sock.state": 14, "sample_sock.role": 15, "sample_sock.local_port": 16, "sample_sock.remote_port": 18, "sample_sock.local_ip": 20, "sample_sock.remote_ip": 36,
		"sizeof sample_trace": sizeofTrace, "sample_trace.trace_id": 0, "sample_trace.span_id": 16,
		"sizeof sample_proc": sizeofProc, "sample_proc.parent_start": 0, "sample_proc.cap_inheritable": 8, "sample_proc.cap_permitted": 16, "sample_proc.cap_effective": 24,
		"sample_proc.exe_ino": 32, "sample_proc.exe_ctime": 40, "sample_proc.exe_mtime": 48, "sample_proc.pidns_init_start": 56, "sample_proc.exe_dev": 64, "sample_proc.exe_flags": 68,
		"sample_proc.pid": 72, "sample_proc.tid": 76, "sample_proc.start": 80, "sample_proc.ppid": 88, "sample_proc.sid": 92, "sample_proc.pgid": 96,
		"sample_proc.vpid": 100, "sample_proc.vtid": 104, "sample_proc.vpgid": 108, "sample_proc.vsid": 112,
		"sample_proc.uid": 116, "sample_proc.gid": 120, "sample_proc.euid": 124, "sample_proc.egid": 128, "sample_proc.loginuid": 132, "sample_proc.tty": 136,
		"sample_proc.pidns": 140, "sample_proc.mntns": 144, "sample_proc.netns": 148, "sample_proc.thread_flags": 152, "sample_proc.comm": 156,
		"sizeof sample_ancestor": sizeofAncestor, "sample_ancestor.start": 0, "sample_ancestor.pid": 8, "sample_ancestor.comm": 12,
		"SECTION_STR0": tagStr0, "SECTION_BASE": tagBase, "SECTION_BASE2": tagBase2, "SECTION_FILE": tagFile, "SECTION_PATH": tagPath, "SECTION_SOCK": tagSock,
		"SECTION_LOCAL_PATH": tagLocalPath, "SECTION_REMOTE_PATH": tagRemotePath, "SECTION_ADDR": tagAddr, "SECTION_DATA": 16, "SECTION_TRACE": tagTrace,
		"SECTION_PROC": tagProc, "SECTION_EXE": tagExe, "SECTION_ARGS": tagArgs, "SECTION_ENV": tagEnv, "SECTION_CWD": tagCWD,
		"SECTION_CGROUP": tagCgroup, "SECTION_CGROUP_V1": tagCgroupV1, "SECTION_LINEAGE": tagLineage,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the decoder does not fit bpf/include/event.h (-decoder +header):\n%s", diff)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(newSample(event.OpenAt, 5, 1, 2, 3).text(tagStr0+1, "abc").file(1, 2, 3, 4).text(tagPath, "/abc").b)
	f.Add(newSample(event.Connect, -1).sock(afInet6, 1, netip.MustParseAddrPort("[::]:5"), netip.MustParseAddrPort("[::ffff:1.2.3.4]:5")).section(tagAddr, []byte{10, 0, 1}).b)
	f.Add(newSample(event.Execve, 0).proc(1, "sh").text(tagArgs, "a\x00b\x00").text(tagLineage, strings.Repeat("x", 100)).b)
	f.Fuzz(func(t *testing.T, in []byte) {
		b := bytes.Clone(in)
		var d, again decoder
		err := d.decode(b)
		if !bytes.Equal(b, in) {
			t.Fatal("decode changed the sample")
		}
		// What a decoder did before makes no difference.
		_ = again.decode(newSample(event.Execve, 0, 1, 2, 3).proc(1, "sh").text(tagStr0, "x").b)
		if e := again.decode(b); !errors.Is(e, err) {
			t.Fatalf("decoded again: %v, before: %v", e, err)
		}
		if err != nil {
			return
		}
		if diff := cmp.Diff(d.ev, again.ev); diff != "" {
			t.Fatalf("decoded again (-first +second):\n%s", diff)
		}
		inside := func(name string, p []byte) {
			if len(p) == 0 {
				return
			}
			from, at := uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(unsafe.Pointer(unsafe.SliceData(p)))
			if at < from || at+uintptr(cap(p)) > from+uintptr(len(b)) {
				t.Fatalf("%s reaches outside the sample", name)
			}
		}
		e := &d.ev
		for i, s := range e.Str {
			inside("string "+strconv.Itoa(i), s)
		}
		inside("base", e.Base)
		inside("base2", e.Base2)
		inside("path", e.File.Path)
		inside("local path", e.Sock.LocalPath)
		inside("remote path", e.Sock.RemotePath)
		if !d.hasSnap {
			return
		}
		if diff := cmp.Diff(d.snap.Image, again.snap.Image); diff != "" {
			t.Fatalf("snapshot decoded again (-first +second):\n%s", diff)
		}
		for _, p := range [][]byte{d.snap.Name, d.snap.ExePath, d.snap.Args, d.snap.Env, d.snap.CWD, d.snap.Cgroup, d.snap.CgroupV1} {
			inside("snapshot", p)
		}
		for _, a := range d.snap.Lineage() {
			inside("ancestor", a.Name)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	open := newSample(event.OpenAt, 5, 0xffffff9c, 0x7ffe, 0x241, 0o644).
		text(tagStr0+1, "/usr/lib/x86_64-linux-gnu/libc.so.6").
		file(11, 8<<20|1, 0o100644, 0).text(tagPath, "/usr/lib/x86_64-linux-gnu/libc.so.6").b
	connect := newSample(event.Connect, -111, 3, 4, 16).
		sock(afInet, event.RoleClient, netip.MustParseAddrPort("127.0.0.1:5"), netip.MustParseAddrPort("127.0.0.1:5")).b
	for _, bb := range []struct {
		name   string
		sample []byte
	}{{"open", open}, {"connect", connect}} {
		b.Run(bb.name, func(b *testing.B) {
			var d decoder
			b.ReportAllocs()
			for b.Loop() {
				if err := d.decode(bb.sample); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
