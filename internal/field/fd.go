package field

import (
	"bytes"
	"net/netip"
	"strconv"

	"github.com/windhover/windhover/internal/event"
)

// Numbers of Linux that the decoder leaves as they are.
const (
	familyUnix    = 1
	familyInet    = 2
	familyInet6   = 10
	familyNetlink = 16

	socketStream = 1
	socketDgram  = 2
	socketRaw    = 3

	protoICMP   = 1
	protoTCP    = 6
	protoUDP    = 17
	protoICMPv6 = 58

	tcpEstablished = 1

	modeType = 0o170000
	modeDir  = 0o040000
	modeFIFO = 0o010000
)

// descriptor returns the number of the descriptor that ev is about. It is -1 for a
// call that failed to make one.
func descriptor(ev *event.Event) (int64, bool) {
	object := ev.Type.Spec().Object
	if object == event.Ret {
		return max(ev.Ret, -1), true
	}
	if i, ok := object.ArgIndex(); ok {
		return int64(int32(ev.Args[i])), true
	}
	return 0, false
}

func hasObject(ev *event.Event) bool { return ev.Type.Spec().Object != event.None }

// file returns the file behind the descriptor.
func file(ev *event.Event) (*event.File, bool) {
	return &ev.File, ev.Has&event.HasFile != 0 && hasObject(ev)
}

// socket returns the socket behind the descriptor.
func socket(ev *event.Event) (*event.Socket, bool) {
	return &ev.Sock, ev.Has&event.HasSock != 0 && hasObject(ev)
}

// fdKind is a kind of file behind a descriptor: its word and its letter.
type fdKind struct {
	word   []byte
	letter byte
}

var (
	kindFile      = fdKind{[]byte("file"), 'f'}
	kindDirectory = fdKind{[]byte("directory"), 'd'}
	kindPipe      = fdKind{[]byte("pipe"), 'p'}
	kindMemfd     = fdKind{[]byte("memfd"), 'm'}
	kindBPF       = fdKind{[]byte("bpf"), 'b'}
	kindUnix      = fdKind{[]byte("unix"), 'u'}
	kindIPv4      = fdKind{[]byte("ipv4"), '4'}
	kindIPv6      = fdKind{[]byte("ipv6"), '6'}
	kindNetlink   = fdKind{[]byte("netlink"), 'n'}
	kindUnknown   = fdKind{notAvailable, 'o'}
)

// anonKinds are the files without a place, by the start of the name that the kernel
// gives them.
var anonKinds = []struct {
	prefix []byte
	fdKind
}{
	{[]byte("anon_inode:bpf-"), kindBPF},
	{[]byte("anon_inode:[eventfd]"), fdKind{[]byte("event"), 'e'}},
	{[]byte("anon_inode:[eventpoll]"), fdKind{[]byte("eventpoll"), 'l'}},
	{[]byte("anon_inode:[signalfd]"), fdKind{[]byte("signalfd"), 's'}},
	{[]byte("anon_inode:[timerfd]"), fdKind{[]byte("timerfd"), 't'}},
	{[]byte("anon_inode:inotify"), fdKind{[]byte("inotify"), 'i'}},
	{[]byte("anon_inode:[userfaultfd]"), fdKind{[]byte("userfaultfd"), 'u'}},
	{[]byte("anon_inode:[io_uring]"), fdKind{[]byte("io_uring"), 'r'}},
	{[]byte("anon_inode:[pidfd]"), fdKind{[]byte("pidfd"), 'P'}},
}

// kindOf returns the kind of ev's object. It reports false if the object is not known.
func kindOf(ev *event.Event) (fdKind, bool) {
	if s, ok := socket(ev); ok {
		switch s.Family {
		case familyUnix:
			return kindUnix, true
		case familyInet:
			return kindIPv4, true
		case familyInet6:
			return kindIPv6, true
		case familyNetlink:
			return kindNetlink, true
		}
		return kindUnknown, true
	}
	f, ok := file(ev)
	if !ok {
		switch {
		case ev.Type == event.BPF && ev.Ret >= 0:
			return kindBPF, true
		case ev.Type == event.MemfdCreate && ev.Ret >= 0:
			return kindMemfd, true
		}
		return kindUnknown, false
	}
	switch {
	case f.Flags&event.FileMemfd != 0 || ev.Type == event.MemfdCreate:
		return kindMemfd, true
	case ev.Type == event.BPF:
		return kindBPF, true
	case f.Mode&modeType == modeDir:
		return kindDirectory, true
	case f.Mode&modeType == modeFIFO:
		return kindPipe, true
	}
	for i := range anonKinds {
		if bytes.HasPrefix(f.Path, anonKinds[i].prefix) {
			return anonKinds[i].fdKind, true
		}
	}
	return kindFile, true
}

var letters = func() (texts [256][1]byte) {
	for i := range texts {
		texts[i][0] = byte(i)
	}
	return texts
}()

// endpoint is one end of a connection.
type endpoint struct {
	ip   netip.Addr
	port uint16
}

func isInet(s *event.Socket) bool { return s.Family == familyInet || s.Family == familyInet6 }

func address(s *event.Socket, ip *[16]byte) netip.Addr {
	if s.Family == familyInet {
		return netip.AddrFrom4([4]byte(ip[:4]))
	}
	return netip.AddrFrom16(*ip).Unmap()
}

func local(s *event.Socket) endpoint  { return endpoint{address(s, &s.LocalIP), s.LocalPort} }
func remote(s *event.Socket) endpoint { return endpoint{address(s, &s.RemoteIP), s.RemotePort} }

// isServerSocket reports whether the socket waits for others and has no other end.
func isServerSocket(ev *event.Event, s *event.Socket) bool {
	if ev.Type == event.Bind || ev.Type == event.Listen {
		return true
	}
	return s.Role == event.RoleServer && s.RemotePort == 0 && remote(s).ip.IsUnspecified()
}

// role returns the side of the connection the process is on. Who connects is the
// client, also before there is a connection.
func role(ev *event.Event, s *event.Socket) event.Role {
	if s.Role == event.RoleNone && ev.Type == event.Connect {
		return event.RoleClient
	}
	return s.Role
}

// inetSocket returns the socket if it has addresses.
func inetSocket(ev *event.Event) (*event.Socket, bool) {
	s, ok := socket(ev)
	return s, ok && isInet(s)
}

func clientEnd(ev *event.Event) (endpoint, bool) {
	s, ok := inetSocket(ev)
	if !ok || isServerSocket(ev, s) {
		return endpoint{}, false
	}
	switch role(ev, s) {
	case event.RoleClient:
		return local(s), true
	case event.RoleServer:
		return remote(s), true
	}
	return endpoint{}, false
}

func serverEnd(ev *event.Event) (endpoint, bool) {
	s, ok := inetSocket(ev)
	if !ok {
		return endpoint{}, false
	}
	if isServerSocket(ev, s) {
		return local(s), true
	}
	switch role(ev, s) {
	case event.RoleClient:
		return remote(s), true
	case event.RoleServer:
		return local(s), true
	}
	return endpoint{}, false
}

func localEnd(ev *event.Event) (endpoint, bool) {
	s, ok := inetSocket(ev)
	if !ok {
		return endpoint{}, false
	}
	return local(s), true
}

func remoteEnd(ev *event.Event) (endpoint, bool) {
	s, ok := inetSocket(ev)
	if !ok || isServerSocket(ev, s) {
		return endpoint{}, false
	}
	return remote(s), true
}

func ipOf(end func(*event.Event) (endpoint, bool)) func(*event.Event) (netip.Addr, bool) {
	return func(ev *event.Event) (netip.Addr, bool) {
		e, ok := end(ev)
		return e.ip, ok
	}
}

func portOf(end func(*event.Event) (endpoint, bool)) func(*event.Event) (int64, bool) {
	return func(ev *event.Event) (int64, bool) {
		e, ok := end(ev)
		return int64(e.port), ok
	}
}

func portTextOf(end func(*event.Event) (endpoint, bool)) func(*event.Event) ([]byte, bool) {
	return func(ev *event.Event) ([]byte, bool) {
		e, ok := end(ev)
		if !ok {
			return nil, false
		}
		start := len(ev.Scratch)
		ev.Scratch = strconv.AppendUint(ev.Scratch, uint64(e.port), 10)
		return tail(ev, start), true
	}
}

func appendBothIPs(ev *event.Event, dst []netip.Addr) []netip.Addr {
	if e, ok := localEnd(ev); ok {
		dst = append(dst, e.ip)
	}
	if e, ok := remoteEnd(ev); ok {
		dst = append(dst, e.ip)
	}
	return dst
}

func appendBothPorts(ev *event.Event, dst []int64) []int64 {
	if e, ok := localEnd(ev); ok {
		dst = append(dst, int64(e.port))
	}
	if e, ok := remoteEnd(ev); ok {
		dst = append(dst, int64(e.port))
	}
	return dst
}

func l4proto(s *event.Socket) []byte {
	switch {
	case !isInet(s):
	case s.Type == socketRaw && s.Proto != protoICMP && s.Proto != protoICMPv6:
		return protoNames[3]
	case s.Proto == protoTCP || s.Proto == 0 && s.Type == socketStream:
		return protoNames[0]
	case s.Proto == protoUDP || s.Proto == 0 && s.Type == socketDgram:
		return protoNames[1]
	case s.Proto == protoICMP || s.Proto == protoICMPv6:
		return protoNames[2]
	}
	return notAvailable
}

var (
	protoNames  = [4][]byte{[]byte("tcp"), []byte("udp"), []byte("icmp"), []byte("raw")}
	familyNames = [2][]byte{[]byte("unix"), []byte("ip")}
)

// appendTuple appends both ends of the socket, the client's first.
func appendTuple(dst []byte, ev *event.Event) ([]byte, bool) {
	s, ok := socket(ev)
	switch {
	case !ok:
		return dst, false
	case s.Family == familyUnix:
		return appendUnixName(dst, s), true
	case !isInet(s):
		return dst, false
	case isServerSocket(ev, s):
		return appendEnd(dst, s, local(s)), true
	}
	client, server := local(s), remote(s)
	if role(ev, s) == event.RoleServer {
		client, server = server, client
	}
	dst = appendEnd(dst, s, client)
	dst = append(dst, "->"...)
	return appendEnd(dst, s, server), true
}

// appendEnd appends one end of s. Protocols without ports show the address alone.
func appendEnd(dst []byte, s *event.Socket, e endpoint) []byte {
	if s.Type == socketRaw || s.Proto == protoICMP || s.Proto == protoICMPv6 {
		return e.ip.AppendTo(dst)
	}
	return appendAddrPort(dst, e.ip, e.port)
}

// appendUnixName appends the name of a unix socket's server, or of this end. The
// leading NUL of an abstract name shows as "@".
func appendUnixName(dst []byte, s *event.Socket) []byte {
	name := s.RemotePath
	if len(name) == 0 {
		name = s.LocalPath
	}
	if len(name) > 0 && name[0] == 0 {
		dst = append(dst, '@')
		name = name[1:]
	}
	return append(dst, name...)
}

// appendSockAddr appends the address argument of the call. Bind names this end.
func appendSockAddr(dst []byte, ev *event.Event) ([]byte, bool) {
	s, ok := socket(ev)
	if !ok {
		return dst, false
	}
	end, name := remote, s.RemotePath
	if ev.Type == event.Bind && (ev.Has&event.HasAddr == 0 || ev.Ret >= 0) {
		end, name = local, s.LocalPath
	}
	switch {
	case s.Family == familyUnix:
		if len(name) > 0 && name[0] == 0 {
			dst = append(dst, '@')
			name = name[1:]
		}
		return append(dst, name...), len(name) > 0
	case isInet(s):
		e := end(s)
		return appendAddrPort(dst, e.ip, e.port), true
	}
	dst = append(dst, "family "...)
	return strconv.AppendUint(dst, uint64(s.Family), 10), true
}

// appendObject appends the kind of the object in angle brackets and its name.
func appendObject(dst []byte, ev *event.Event) []byte {
	kind, ok := kindOf(ev)
	if !ok {
		return dst
	}
	dst = append(dst, '<', kind.letter)
	if s, ok := inetSocket(ev); ok {
		if p := l4proto(s); p[0] != '<' {
			dst = append(dst, p[0])
		}
	}
	return appendName(append(dst, '>'), ev)
}

// fdName returns the name of ev's object: the path of a file, both ends of a
// connection. For an open that failed it is the path that was asked for.
func fdName(ev *event.Event) ([]byte, bool) {
	if !hasObject(ev) {
		return nil, false
	}
	if ev.Type == event.MemfdCreate {
		return ev.Str[0], true
	}
	if f, ok := file(ev); ok && len(f.Path) > 0 {
		return f.Path, true
	}
	start := len(ev.Scratch)
	ev.Scratch = appendName(ev.Scratch, ev)
	return tail(ev, start), true
}

// appendName appends the name of ev's object. It leaves the event's scratch memory
// alone, which dst may be.
func appendName(dst []byte, ev *event.Event) []byte {
	f, ok := file(ev)
	switch {
	case ev.Type == event.MemfdCreate:
		return append(dst, ev.Str[0]...)
	case ok && len(f.Path) > 0:
		return append(dst, f.Path...)
	case isOpen(ev.Type):
		dst, _ = appendAbsolute(dst, ev, ev.Type.Spec().Paths[0].Arg)
	default:
		dst, _ = appendTuple(dst, ev)
	}
	return dst
}

// pathName returns the path of ev's object if it is a file or a directory.
func pathName(ev *event.Event) ([]byte, bool) {
	if f, ok := file(ev); ok {
		kind, _ := kindOf(ev)
		return f.Path, (kind.letter == 'f' || kind.letter == 'd') && len(f.Path) > 0
	}
	if isOpen(ev.Type) {
		name, ok := fdName(ev)
		return name, ok && len(name) > 0
	}
	return nil, false
}

func directory(ev *event.Event) ([]byte, bool) {
	path, ok := pathName(ev)
	if !ok {
		return nil, false
	}
	i := bytes.LastIndexByte(path, '/')
	if i <= 0 {
		return slash, true
	}
	return path[:i], true
}

var slash = []byte("/")

func fileName(ev *event.Event) ([]byte, bool) {
	f, ok := file(ev)
	if !ok || len(f.Path) == 0 {
		return nil, false
	}
	if kind, _ := kindOf(ev); kind.letter != 'f' {
		return nil, false
	}
	return f.Path[bytes.LastIndexByte(f.Path, '/')+1:], true
}

// device returns the device of the file behind the descriptor; what is no file has 0.
func device(ev *event.Event) (int64, bool) {
	if f, ok := file(ev); ok {
		return encodeDev(f.Dev), true
	}
	_, ok := socket(ev)
	return 0, ok
}

func hasFileFlag(flag event.FileFlags) func(*event.Event) (int64, bool) {
	return func(ev *event.Event) (int64, bool) {
		if f, ok := file(ev); ok {
			return truth(f.Flags&flag != 0)
		}
		_, ok := socket(ev)
		return 0, ok
	}
}

// withContainer returns the accessor of what of returns, after the container's ID and
// a colon.
func withContainer(of func(*event.Event) ([]byte, bool)) func(*event.Event) ([]byte, bool) {
	return func(ev *event.Event) ([]byte, bool) {
		text, ok := of(ev)
		if !ok {
			return nil, false
		}
		start := len(ev.Scratch)
		if img, ok := imageOf(ev); ok {
			ev.Scratch = append(ev.Scratch, img.ContainerID...)
		}
		ev.Scratch = append(ev.Scratch, ':')
		ev.Scratch = append(ev.Scratch, text...)
		return tail(ev, start), true
	}
}

// objectTypes are the types of events that are about a descriptor.
var objectTypes = func() (s event.TypeSet) {
	for t := range event.NumTypes() {
		if event.Type(t).Spec().Object != event.None {
			s.Add(event.Type(t))
		}
	}
	return s
}()

var fdFields = ofObjects([]*Field{
	{Name: "fd.num", Kind: KindInt, Doc: "Number of the descriptor that the call is about or made.", Int: descriptor},
	{
		Name: "fd.type", Kind: KindText,
		Doc: "What the descriptor refers to: file, directory, ipv4, ipv6, unix, netlink, pipe, memfd, bpf, event, eventpoll, signalfd, timerfd, inotify, userfaultfd, io_uring, pidfd.",
		Text: func(ev *event.Event) ([]byte, bool) {
			kind, ok := kindOf(ev)
			return kind.word, ok
		},
	},
	{
		Name: "fd.typechar", Kind: KindText,
		Doc: "The same as one character: f d 4 6 u n p m b e l s t i r P, and o for what is not known.",
		Text: func(ev *event.Event) ([]byte, bool) {
			if !hasObject(ev) {
				return nil, false
			}
			kind, ok := kindOf(ev)
			if !ok && isOpen(ev.Type) {
				kind = kindFile
			}
			return letters[kind.letter][:], true
		},
	},
	{
		Name: "fd.name", Kind: KindText, Text: fdName,
		Doc: "Full name of what the descriptor refers to: the path of a file as the kernel resolved it, client->server addresses of a connection, address of a listening socket, name of a unix socket. For an open that failed, the path asked for.",
	},
	{Name: "fd.directory", Kind: KindText, Doc: "Directory part of the file's path.", Text: directory},
	{Name: "fd.filename", Kind: KindText, Doc: "Last part of the file's path.", Text: fileName},
	{
		Name: "fd.ip", Kind: KindIP, Match: MatchEither, FilterOnly: true, NoCompare: true, NoTransform: true,
		Doc: "Address of either end of the connection.", AppendIP: appendBothIPs,
	},
	{Name: "fd.cip", Kind: KindIP, Doc: "Address of the client.", IP: ipOf(clientEnd)},
	{Name: "fd.sip", Kind: KindIP, Doc: "Address of the server.", IP: ipOf(serverEnd)},
	{Name: "fd.lip", Kind: KindIP, Doc: "Address of this end.", IP: ipOf(localEnd)},
	{Name: "fd.rip", Kind: KindIP, Doc: "Address of the other end.", IP: ipOf(remoteEnd)},
	{
		Name: "fd.port", Kind: KindPort, Match: MatchEither, FilterOnly: true, NoCompare: true, NoTransform: true,
		Doc: "Port of either end of the connection.", AppendInt: appendBothPorts,
	},
	{Name: "fd.cport", Kind: KindPort, Doc: "Port of the client.", Int: portOf(clientEnd)},
	{Name: "fd.sport", Kind: KindPort, Doc: "Port of the server.", Int: portOf(serverEnd)},
	{Name: "fd.lport", Kind: KindPort, Doc: "Port of this end.", Int: portOf(localEnd)},
	{Name: "fd.rport", Kind: KindPort, Doc: "Port of the other end.", Int: portOf(remoteEnd)},
	{
		Name: "fd.l4proto", Kind: KindText, Doc: "Protocol of the connection: tcp, udp, icmp, raw, or <NA> for what has none.",
		Text: func(ev *event.Event) ([]byte, bool) {
			if s, ok := socket(ev); ok {
				return l4proto(s), true
			}
			_, ok := file(ev)
			return notAvailable, ok
		},
	},
	{
		Name: "fd.sockfamily", Kind: KindText, Doc: "Family of the socket: ip or unix.",
		Text: func(ev *event.Event) ([]byte, bool) {
			s, ok := socket(ev)
			switch {
			case ok && isInet(s):
				return familyNames[1], true
			case ok && s.Family == familyUnix:
				return familyNames[0], true
			}
			return nil, false
		},
	},
	{
		Name: "fd.is_server", Kind: KindBool, Doc: "The process is on the server's side of the connection.",
		Int: func(ev *event.Event) (int64, bool) {
			if s, ok := socket(ev); ok {
				return truth(isServerSocket(ev, s) || s.Role == event.RoleServer)
			}
			_, ok := file(ev)
			return 0, ok
		},
	},
	{
		Name: "fd.uid", Kind: KindText, Doc: "Thread ID and number of the descriptor, one after the other.",
		Text: func(ev *event.Event) ([]byte, bool) {
			n, ok := descriptor(ev)
			if !ok {
				return nil, false
			}
			start := len(ev.Scratch)
			ev.Scratch = strconv.AppendInt(ev.Scratch, int64(ev.TID), 10)
			ev.Scratch = strconv.AppendInt(ev.Scratch, n, 10)
			return tail(ev, start), true
		},
	},
	{Name: "fd.containername", Kind: KindText, Doc: "Container ID, a colon and fd.name.", Text: withContainer(fdName)},
	{Name: "fd.containerdirectory", Kind: KindText, Doc: "Container ID, a colon and fd.directory.", Text: withContainer(directory)},
	{
		Name: "fd.proto", Kind: KindPort, Match: MatchEither, FilterOnly: true, NoCompare: true, NoTransform: true,
		Doc: "Port of either end of the connection.", AppendInt: appendBothPorts,
	},
	{Name: "fd.cproto", Kind: KindText, Doc: "Port of the client, as text.", Text: portTextOf(clientEnd)},
	{Name: "fd.sproto", Kind: KindText, Doc: "Port of the server, as text.", Text: portTextOf(serverEnd)},
	{Name: "fd.lproto", Kind: KindText, Doc: "Port of this end, as text.", Text: portTextOf(localEnd)},
	{Name: "fd.rproto", Kind: KindText, Doc: "Port of the other end, as text.", Text: portTextOf(remoteEnd)},
	{
		Name: "fd.net", Kind: KindNet, Match: MatchEither, FilterOnly: true, NoCompare: true, NoTransform: true,
		Doc: "Either end of the connection is in a network.", AppendIP: appendBothIPs,
	},
	{
		Name: "fd.cnet", Kind: KindNet, FilterOnly: true, NoCompare: true, NoTransform: true,
		Doc: "The client is in a network.", IP: ipOf(clientEnd),
	},
	{
		Name: "fd.snet", Kind: KindNet, FilterOnly: true, NoCompare: true, NoTransform: true,
		Doc: "The server is in a network.", IP: ipOf(serverEnd),
	},
	{
		Name: "fd.lnet", Kind: KindNet, FilterOnly: true, NoCompare: true, NoTransform: true,
		Doc: "This end is in a network.", IP: ipOf(localEnd),
	},
	{
		Name: "fd.rnet", Kind: KindNet, FilterOnly: true, NoCompare: true, NoTransform: true,
		Doc: "The other end is in a network.", IP: ipOf(remoteEnd),
	},
	{
		Name: "fd.connected", Kind: KindBool, Doc: "The socket is connected.",
		Int: func(ev *event.Event) (int64, bool) {
			s, ok := socket(ev)
			if !ok {
				_, ok = file(ev)
				return 0, ok
			}
			if s.State != 0 && isInet(s) && s.Proto == protoTCP {
				return truth(s.State == tcpEstablished)
			}
			connects := ev.Type == event.Connect || ev.Type == event.Accept || ev.Type == event.Accept4
			return truth(connects && ev.Ret >= 0)
		},
	},
	{
		Name: "fd.name_changed", Kind: KindBool, Doc: "The call gave the descriptor its name.",
		Int: func(ev *event.Event) (int64, bool) {
			if _, ok := kindOf(ev); !ok {
				return 0, false
			}
			named := isOpen(ev.Type) || ev.Type == event.MemfdCreate || ev.Type == event.Connect ||
				ev.Type == event.Accept || ev.Type == event.Accept4 || ev.Type == event.Bind
			return truth(named && ev.Ret >= 0)
		},
	},
	{
		Name: "fd.dev", Kind: KindInt, Print: PrintHex, Doc: "Device of the file, as stat(2) numbers it.", Int: device,
	},
	{
		Name: "fd.dev.major", Kind: KindInt, Doc: "Major number of the device.",
		Int: func(ev *event.Event) (int64, bool) {
			dev, ok := device(ev)
			return dev >> 8 & 0xfff, ok
		},
	},
	{
		Name: "fd.dev.minor", Kind: KindInt, Doc: "Minor number of the device.",
		Int: func(ev *event.Event) (int64, bool) {
			dev, ok := device(ev)
			return dev&0xff | dev>>12&0xfff00, ok
		},
	},
	{
		Name: "fd.ino", Kind: KindInt, Doc: "Inode number of the file or socket.",
		Int: func(ev *event.Event) (int64, bool) {
			if f, ok := file(ev); ok {
				return int64(f.Ino), true
			}
			s, ok := socket(ev)
			return int64(s.Ino), ok
		},
	},
	{
		Name: "fd.nameraw", Kind: KindText, Doc: "Path of the file as the caller gave it to the call that opened it.",
		Types: event.TypesOf(event.Open, event.OpenAt, event.OpenAt2, event.Creat),
		Text: func(ev *event.Event) ([]byte, bool) {
			if !isOpen(ev.Type) {
				return nil, false
			}
			return known(ev.Str[ev.Type.Spec().Paths[0].Arg])
		},
	},
	{Name: "fd.is_upper_layer", Kind: KindBool, Doc: "The file is in the upper layer of an overlay file system.", Int: hasFileFlag(event.FileUpper)},
	{Name: "fd.is_lower_layer", Kind: KindBool, Doc: "The file is in a lower layer of an overlay file system.", Int: hasFileFlag(event.FileLower)},
})

// ofObjects says of fields that only events about a descriptor have them.
func ofObjects(fields []*Field) []*Field {
	for _, f := range fields {
		if f.Types == (event.TypeSet{}) {
			f.Types = objectTypes
		}
	}
	return fields
}
