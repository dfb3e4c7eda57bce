//go:build linux

package kernel

import (
	"encoding/binary"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/windhover/windhover/internal/event"
)

// socket is what a test looks at in struct sample_sock.
type socket struct {
	Family, Type  uint16
	Role          event.Role
	Local, Remote netip.AddrPort
	LocalPath     string
	RemotePath    string
}

const (
	sockFamily     = 8
	sockType       = 10
	sockState      = 14
	sockRole       = 15
	sockLocalPort  = 16
	sockRemotePort = 18
	sockLocalIP    = 20
	sockRemoteIP   = 36
	sockSize       = 52
)

func (s *sample) socket(tb testing.TB) socket {
	tb.Helper()
	b := s.Sections[tagSock]
	if len(b) != sockSize {
		tb.Fatalf("struct sample_sock is %d bytes long, want %d: %v", len(b), sockSize, s)
	}
	end := func(ip, port int) netip.AddrPort {
		switch s.u16(tagSock, sockFamily) {
		case unix.AF_INET:
			return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[ip:])), s.u16(tagSock, port))
		case unix.AF_INET6:
			return netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[ip:])), s.u16(tagSock, port))
		}
		return netip.AddrPort{}
	}
	return socket{
		Family: s.u16(tagSock, sockFamily), Type: s.u16(tagSock, sockType), Role: event.Role(b[sockRole]),
		Local: end(sockLocalIP, sockLocalPort), Remote: end(sockRemoteIP, sockRemotePort),
		LocalPath: s.text(tagLocalPath), RemotePath: s.text(tagRemotePath),
	}
}

func inode(tb testing.TB, fd int) uint64 {
	tb.Helper()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		tb.Fatal(err)
	}
	return st.Ino
}

func newSocket(tb testing.TB, family, kind int) int {
	tb.Helper()
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { unix.Close(fd) })
	return fd
}

func addrPort(tb testing.TB, sa unix.Sockaddr) netip.AddrPort {
	tb.Helper()
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
	}
	return netip.AddrPort{}
}

func TestSocket(t *testing.T) {
	p := start(t, self, event.Connect, event.Accept, event.Accept4, event.Bind, event.Listen)
	dir := t.TempDir()
	for _, tt := range []struct {
		name   string
		family int
		server unix.Sockaddr
		remote string // name of the server's end of a unix socket
	}{
		{name: "IPv4", family: unix.AF_INET, server: &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}},
		{name: "IPv6", family: unix.AF_INET6, server: &unix.SockaddrInet6{Addr: [16]byte{15: 1}}},
		{name: "a unix socket with a file", family: unix.AF_UNIX, server: &unix.SockaddrUnix{Name: filepath.Join(dir, "sock")}, remote: filepath.Join(dir, "sock")},
		{name: "a unix socket with an abstract name", family: unix.AF_UNIX, server: &unix.SockaddrUnix{Name: "@windhover-test"}, remote: "\x00windhover-test"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			since := bootTime(t)
			listener, client := newSocket(t, tt.family, unix.SOCK_STREAM), newSocket(t, tt.family, unix.SOCK_STREAM)
			if err := unix.Bind(listener, tt.server); err != nil {
				t.Fatal(err)
			}
			if err := unix.Listen(listener, 9); err != nil {
				t.Fatal(err)
			}
			server, err := unix.Getsockname(listener)
			if err != nil {
				t.Fatal(err)
			}
			if err := unix.Connect(client, server); err != nil {
				t.Fatal(err)
			}
			accepted, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(accepted)
			name, err := unix.Getsockname(client)
			if err != nil {
				t.Fatal(err)
			}
			here, there := addrPort(t, name), addrPort(t, server)
			var none netip.AddrPort
			if there.IsValid() {
				none = netip.AddrPortFrom(zero(there.Addr()), 0)
			}
			for _, want := range []struct {
				typ  event.Type
				fd   int
				role event.Role
				socket
				addr bool
			}{
				{event.Bind, listener, 0, socket{Local: there, Remote: none, LocalPath: tt.remote}, true},
				{event.Listen, listener, 0, socket{Local: there, Remote: none, LocalPath: tt.remote}, false},
				{event.Connect, client, event.RoleClient, socket{Local: here, Remote: there, RemotePath: tt.remote}, true},
				{event.Accept4, accepted, event.RoleServer, socket{Local: there, Remote: here, LocalPath: tt.remote}, false},
			} {
				s := p.awaitOwn(want.typ, func(s *sample) bool {
					return s.Time >= since && (s.Ret == int64(want.fd) || s.Args[0] == uint64(want.fd))
				})
				want.Family, want.Type, want.Role = uint16(tt.family), unix.SOCK_STREAM, want.role
				if diff := cmp.Diff(want.socket, s.socket(t), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
					t.Errorf("%s (-want +got):\n%s", want.typ, diff)
				}
				if got := s.u64(tagSock, 0); got != inode(t, want.fd) {
					t.Errorf("%s: inode = %d, want %d", want.typ, got, inode(t, want.fd))
				}
				addr, ok := s.Sections[tagAddr]
				if ok != want.addr {
					t.Errorf("%s: has the address argument = %t, want %t", want.typ, ok, want.addr)
				}
				if ok && int(binary.NativeEndian.Uint16(addr)) != tt.family {
					t.Errorf("%s: address argument = %x, want one of family %d", want.typ, addr, tt.family)
				}
			}
		})
	}

	t.Run("a connection that is refused", func(t *testing.T) {
		since := bootTime(t)
		client := newSocket(t, unix.AF_INET, unix.SOCK_STREAM)
		err := unix.Connect(client, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: 1})
		if err != unix.ECONNREFUSED {
			t.Fatalf("connect: %v, want %v", err, unix.ECONNREFUSED)
		}
		s := p.awaitOwn(event.Connect, func(s *sample) bool { return s.Time >= since })
		if s.Ret != -int64(unix.ECONNREFUSED) {
			t.Errorf("ret = %d, want %d", s.Ret, -int64(unix.ECONNREFUSED))
		}
		// AF_INET, port 1, 127.0.0.1.
		if got := string(s.Sections[tagAddr]); !strings.HasPrefix(got, "\x02\x00\x00\x01\x7f\x00\x00\x01") {
			t.Errorf("address argument = %x", got)
		}
	})

	t.Run("a connection of datagrams", func(t *testing.T) {
		since := bootTime(t)
		client := newSocket(t, unix.AF_INET, unix.SOCK_DGRAM)
		if err := unix.Connect(client, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 9}, Port: 53}); err != nil {
			t.Fatal(err)
		}
		s := p.awaitOwn(event.Connect, func(s *sample) bool { return s.Time >= since })
		got := s.socket(t)
		if want := netip.MustParseAddrPort("127.0.0.9:53"); got.Type != unix.SOCK_DGRAM || got.Remote != want || got.Local.Port() == 0 {
			t.Errorf("socket = %+v, want datagrams to %v", got, want)
		}
	})

	t.Run("a descriptor that is no socket", func(t *testing.T) {
		since := bootTime(t)
		f, err := os.Open("/etc/passwd")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := unix.Listen(int(f.Fd()), 1); err != unix.ENOTSOCK {
			t.Fatalf("listen: %v, want %v", err, unix.ENOTSOCK)
		}
		s := p.awaitOwn(event.Listen, func(s *sample) bool { return s.Time >= since })
		if got := s.text(tagPath); got != "/etc/passwd" {
			t.Errorf("path of the object = %q, want /etc/passwd", got)
		}
	})
}

// zero is the unspecified address of the family of a.
func zero(a netip.Addr) netip.Addr {
	if a.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}
