//go:build linux

package kernel

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/windhover/windhover/bpf"
	"github.com/windhover/windhover/internal/event"
)

// program is a 32-bit program in the making: a sequence of system calls by int 0x80.
type program struct {
	code []byte
	data []byte
	fix  map[int]int // offset in code of an address: offset in data
}

const loadAddress = 0x08048000

// text returns a reference to a string in the program.
type text int

func (p *program) text(s string) text {
	at := len(p.data)
	p.data = append(append(p.data, s...), 0)
	return text(at)
}

func (p *program) words(words ...uint32) text {
	at := len(p.data)
	for _, w := range words {
		p.data = binary.LittleEndian.AppendUint32(p.data, w)
	}
	return text(at)
}

// call appends a system call. Arguments are numbers or texts.
func (p *program) call(nr uint32, args ...any) {
	p.code = append(p.code, 0xb8) // mov eax, imm32
	p.code = binary.LittleEndian.AppendUint32(p.code, nr)
	for i, a := range args {
		p.code = append(p.code, []byte{0xbb, 0xb9, 0xba, 0xbe, 0xbf}[i]) // mov ebx, ecx, edx, esi, edi
		switch a := a.(type) {
		case int:
			p.code = binary.LittleEndian.AppendUint32(p.code, uint32(a))
		case text:
			p.fix[len(p.code)] = int(a)
			p.code = append(p.code, 0, 0, 0, 0)
		}
	}
	p.code = append(p.code, 0xcd, 0x80)
}

const elfHeaders = 52 + 32

// address returns the address that data at offset at has once p has this much code.
func (p *program) address(at text, codeSize int) uint32 {
	return loadAddress + elfHeaders + uint32(codeSize) + uint32(at)
}

// write writes the program as an ELF file.
func (p *program) write(tb testing.TB, name string) {
	tb.Helper()
	for at, offset := range p.fix {
		binary.LittleEndian.PutUint32(p.code[at:], p.address(text(offset), len(p.code)))
	}
	size := uint32(elfHeaders + len(p.code) + len(p.data))
	var b bytes.Buffer
	b.Write([]byte{0x7f, 'E', 'L', 'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	for _, v := range []any{
		uint16(2), uint16(3), uint32(1), // executable, i386
		uint32(loadAddress + elfHeaders), uint32(52), uint32(0), uint32(0),
		uint16(52), uint16(32), uint16(1), uint16(40), uint16(0), uint16(0),
		uint32(1), uint32(0), uint32(loadAddress), uint32(loadAddress), size, size, uint32(7), uint32(4096),
	} {
		if err := binary.Write(&b, binary.LittleEndian, v); err != nil {
			tb.Fatal(err)
		}
	}
	b.Write(p.code)
	b.Write(p.data)
	if err := os.WriteFile(name, b.Bytes(), 0o755); err != nil {
		tb.Fatal(err)
	}
}

// Numbers of arch/x86/entry/syscalls/syscall_32.tbl.
const (
	i386Exit       = 1
	i386Open       = 5
	i386Execve     = 11
	i386Socketcall = 102
	i386Setuid32   = 213
	i386Openat     = 295
	i386Getppid    = 64
)

func TestCallsOfThe32BitTable(t *testing.T) {
	p := start(t, self, event.Open, event.OpenAt, event.Execve, event.SetUID, event.Bind, event.Connect)
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var before, after bpf.Counters
	if err := p.ReadCounters(&before); err != nil {
		t.Fatal(err)
	}

	prog := program{fix: map[int]int{}}
	name := prog.text(file)
	prog.call(i386Open, name, unix.O_RDONLY)
	prog.call(i386Openat, unix.AT_FDCWD, prog.text("file"), unix.O_WRONLY)
	prog.call(i386Execve, prog.text("/missing"), 0, 0)
	prog.call(i386Setuid32, 0)
	for range 3 {
		prog.call(i386Getppid)
	}
	prog.call(i386Exit, 0)
	exe := filepath.Join(dir, "i386")
	prog.write(t, exe)
	cmd := exec.Command(exe)
	cmd.Dir = dir
	pid := run(t, cmd)
	p.await("exit", func(s *sample) bool { return s.Type == event.ProcExit && s.PID == pid })

	of := func(typ event.Type, match func(*sample) bool) *sample {
		t.Helper()
		return p.await(typ.String(), func(s *sample) bool { return s.PID == pid && s.Type == typ && match(s) })
	}
	for _, tt := range []struct {
		typ  event.Type
		arg  int
		str  string
		base string
		path string
		ret  int64
	}{
		{event.Open, 0, file, "", file, 3},
		{event.OpenAt, 1, "file", dir, file, 4},
		{event.Execve, 0, "/missing", "", "", -int64(unix.ENOENT)},
	} {
		s := of(tt.typ, func(s *sample) bool { return s.str(tt.arg) == tt.str })
		if s.Flags != event.Compat32 {
			t.Errorf("%s: flags = %#x, want the 32-bit table", tt.typ, s.Flags)
		}
		if s.Ret != tt.ret || s.text(tagBase) != tt.base || s.text(tagPath) != tt.path {
			t.Errorf("%s: ret %d, directory %q, path %q, want %d, %q, %q", tt.typ, s.Ret, s.text(tagBase), s.text(tagPath), tt.ret, tt.base, tt.path)
		}
	}
	if s := of(event.SetUID, func(*sample) bool { return true }); s.Flags != event.Compat32 {
		t.Errorf("setuid32: flags = %#x, want the 32-bit table", s.Flags)
	}
	if s := of(event.Execve, func(s *sample) bool { return s.Ret == 0 }); s.text(tagExe) != exe {
		t.Errorf("executable = %q, want %q", s.text(tagExe), exe)
	}
	if err := p.ReadCounters(&after); err != nil {
		t.Fatal(err)
	}
	slot := bpf.Slot(bpf.ABI32, i386Getppid)
	if got := after.Syscalls[slot] - before.Syscalls[slot]; got != 3 {
		t.Errorf("getppid of the 32-bit table was counted %d times, want 3", got)
	}
}

func TestSocketcall(t *testing.T) {
	p := start(t, self, event.Bind, event.Connect)
	dir := t.TempDir()
	// The arguments of socketcall(2) are in memory: their address depends on the size of
	// the code, so the program is laid out twice.
	build := func(codeSize int) program {
		prog := program{fix: map[int]int{}}
		local := prog.words(2, 0, 0, 0)                   // AF_INET, any port and address
		remote := prog.words(2|1<<24, 0x0100007f, 0, 0)   // port 1 of 127.0.0.1
		const sockSocket, sockBind, sockConnect = 1, 2, 3 // include/uapi/linux/net.h
		prog.call(i386Socketcall, sockSocket, prog.words(2, 1, 0))
		prog.call(i386Socketcall, sockBind, prog.words(0, prog.address(local, codeSize), 16))
		prog.call(i386Socketcall, sockConnect, prog.words(0, prog.address(remote, codeSize), 16))
		prog.call(i386Exit, 0)
		return prog
	}
	first := build(0)
	prog := build(len(first.code))
	exe := filepath.Join(dir, "socketcall")
	prog.write(t, exe)
	cmd := exec.Command("/bin/sh", "-c", "exec 0>&-; exec "+exe) // the socket is descriptor 0
	pid := run(t, cmd)
	for _, tt := range []struct {
		typ  event.Type
		ret  int64
		role event.Role
		addr string
	}{
		{event.Bind, 0, event.RoleNone, "\x02\x00\x00\x00\x00\x00\x00\x00"},
		{event.Connect, -int64(unix.ECONNREFUSED), event.RoleClient, "\x02\x00\x00\x01\x7f\x00\x00\x01"},
	} {
		s := p.await(tt.typ.String(), func(s *sample) bool { return s.PID == pid && s.Type == tt.typ })
		if s.Ret != tt.ret || s.Flags != event.Compat32 {
			t.Errorf("%s: ret %d, flags %#x, want %d and the 32-bit table", tt.typ, s.Ret, s.Flags, tt.ret)
		}
		if len(s.Args) != 3 || s.Args[0] != 0 || s.Args[2] != 16 {
			t.Errorf("%s: arguments = %x, want those in memory", tt.typ, s.Args)
		}
		if got := s.text(tagAddr); len(got) != 16 || got[:8] != tt.addr {
			t.Errorf("%s: address argument = %x, want %x", tt.typ, got, tt.addr)
		}
		if got := s.socket(t); got.Family != unix.AF_INET || got.Role != tt.role {
			t.Errorf("%s: socket = %+v", tt.typ, got)
		}
	}
}
