package syscallreceiver

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/state"
)

// Sizes, tags and offsets of the contract in bpf/include/event.h.
const (
	sizeofSample   = 48
	sizeofSection  = 4
	sizeofFile     = 20
	sizeofSock     = 52
	sizeofTrace    = 24
	sizeofProc     = 172
	sizeofAncestor = 28
	sizeofComm     = 16

	tagStr0       = 0
	tagStr5       = 5
	tagBase       = 8
	tagBase2      = 9
	tagFile       = 10
	tagPath       = 11
	tagSock       = 12
	tagLocalPath  = 13
	tagRemotePath = 14
	tagAddr       = 15
	tagTrace      = 17
	tagProc       = 32
	tagExe        = 33
	tagArgs       = 34
	tagEnv        = 35
	tagCWD        = 36
	tagCgroup     = 37
	tagCgroupV1   = 38
	tagLineage    = 39

	exeWritable = 1 << 16
)

// Address families that a sample can hold.
const (
	afUnix  = 1
	afInet  = 2
	afInet6 = 10
)

var (
	errShort   = errors.New("sample is shorter than its header")
	errSection = errors.New("section reaches past the end of the sample")
	errType    = errors.New("event type is not known")
)

// decoder turns samples into events, one at a time, without allocating. It is used by
// one goroutine.
type decoder struct {
	// offset is what to add to nanoseconds since boot to have nanoseconds since the
	// Unix epoch.
	offset int64
	source *event.Source

	ev   event.Event
	snap state.Snapshot

	// start is the start of the process that made the event, in nanoseconds since
	// boot: its identity together with pid.
	start int64
	pid   int32
	// hasSnap says that the sample holds a snapshot of a process: for a fork the
	// child, for everything else the process itself.
	hasSnap bool
}

// decode sets d.ev, and d.snap if the sample holds a snapshot, from b. Their slices
// alias b. After an error they hold nothing of use. A section that the decoder does
// not know is skipped; the same section twice counts once, the last.
func (d *decoder) decode(b []byte) error {
	if len(b) < sizeofSample {
		return errShort
	}
	n := binary.NativeEndian
	h, rest := b[:sizeofSample], b[sizeofSample:]

	e := &d.ev
	e.Reset()
	e.Type = event.Type(n.Uint16(h[40:]))
	if int(e.Type) >= event.NumTypes() {
		return errType
	}
	e.Source = d.source
	e.Time = int64(n.Uint64(h[0:])) + d.offset
	d.start = int64(n.Uint64(h[8:]))
	e.Ret = int64(n.Uint64(h[16:]))
	d.pid = int32(n.Uint32(h[24:]))
	e.TID = int32(n.Uint32(h[28:]))
	e.UID = n.Uint32(h[32:])
	e.GID = n.Uint32(h[36:])
	e.Flags = event.Flags(n.Uint16(h[42:]))
	e.CPU = int32(n.Uint16(h[44:]))
	d.hasSnap = false

	nargs := int(h[46])
	if len(rest) < nargs*8 {
		return errShort
	}
	for i := range min(nargs, len(e.Args)) {
		e.Args[i] = n.Uint64(rest[i*8:])
	}
	rest = rest[nargs*8:]

	var addr []byte
	for len(rest) > 0 {
		if len(rest) < sizeofSection {
			return errSection
		}
		tag, size := rest[0], int(n.Uint16(rest[2:]))
		rest = rest[sizeofSection:]
		if len(rest) < size {
			return errSection
		}
		p := rest[:size:size]
		rest = rest[size:]
		switch tag {
		case tagStr0, 1, 2, 3, 4, tagStr5:
			e.Str[tag] = p
		case tagBase:
			e.Base = p
		case tagBase2:
			e.Base2 = p
		case tagFile:
			if size < sizeofFile {
				return errSection
			}
			e.File.Ino = n.Uint64(p[0:])
			e.File.Dev = n.Uint32(p[8:])
			e.File.Mode = n.Uint32(p[12:])
			e.File.Flags = event.FileFlags(n.Uint32(p[16:]))
			e.Has |= event.HasFile
		case tagPath:
			e.File.Path = p
		case tagSock:
			if size < sizeofSock {
				return errSection
			}
			decodeSock(&e.Sock, p)
			e.Has |= event.HasSock
		case tagLocalPath:
			e.Sock.LocalPath = p
		case tagRemotePath:
			e.Sock.RemotePath = p
		case tagAddr:
			addr = p
		case tagTrace:
			if size < sizeofTrace {
				return errSection
			}
			e.Trace = event.Trace{ID: [16]byte(p), Span: [8]byte(p[16:])}
		default:
			if tag < tagProc {
				continue
			}
			if err := d.decodeProcess(tag, p); err != nil {
				return err
			}
		}
	}
	if addr != nil {
		decodeAddr(e, addr)
	}
	return nil
}

// decodeSock sets s from a struct sample_sock. An IPv4 connection of an IPv6 socket
// is given as the IPv4 connection it is.
func decodeSock(s *event.Socket, p []byte) {
	n := binary.NativeEndian
	s.Ino = n.Uint64(p[0:])
	s.Family = n.Uint16(p[8:])
	s.Type = n.Uint16(p[10:])
	s.Proto = n.Uint16(p[12:])
	s.State = p[14]
	s.Role = event.Role(p[15])
	s.LocalPort = n.Uint16(p[16:])
	s.RemotePort = n.Uint16(p[18:])
	copy(s.LocalIP[:], p[20:36])
	copy(s.RemoteIP[:], p[36:52])
	switch s.Family {
	case afInet:
		clear(s.LocalIP[4:])
		clear(s.RemoteIP[4:])
	case afInet6:
		local, remote := mapped(&s.LocalIP), mapped(&s.RemoteIP)
		if (local || remote) && (local || unspecified(&s.LocalIP)) && (remote || unspecified(&s.RemoteIP)) {
			s.Family = afInet
			unmap(&s.LocalIP)
			unmap(&s.RemoteIP)
		}
	}
}

// decodeAddr sets the remote end of e's socket from the struct sockaddr that the
// caller passed, in network byte order. What is too short for its family is ignored:
// the kernel refused it too.
func decodeAddr(e *event.Event, p []byte) {
	if len(p) < 2 {
		return
	}
	s := &e.Sock
	family := binary.NativeEndian.Uint16(p)
	switch family {
	case afUnix:
		// A name in the file system ends at the first NUL; an abstract one starts
		// with a NUL and ends with the address.
		name := p[2:]
		if len(name) > 0 && name[0] != 0 {
			if i := bytes.IndexByte(name, 0); i >= 0 {
				name = name[:i:i]
			}
		}
		s.RemotePath = name
	case afInet:
		if len(p) < 8 {
			return
		}
		s.RemotePort = binary.BigEndian.Uint16(p[2:])
		s.RemoteIP = [16]byte{}
		copy(s.RemoteIP[:4], p[4:8])
	case afInet6:
		if len(p) < 24 {
			return
		}
		s.RemotePort = binary.BigEndian.Uint16(p[2:])
		copy(s.RemoteIP[:], p[8:24])
		switch {
		case mapped(&s.RemoteIP):
			if s.Family == afInet6 && !unspecified(&s.LocalIP) {
				break // the other end is a real IPv6 address: keep them alike
			}
			unmap(&s.RemoteIP)
			s.LocalIP = [16]byte{0: s.LocalIP[0], 1: s.LocalIP[1], 2: s.LocalIP[2], 3: s.LocalIP[3]}
			family = afInet
		case s.Family == afInet:
			s.LocalIP = [16]byte{}
		}
	default:
		return
	}
	s.Family = family
	e.Has |= event.HasAddr
}

var mappedPrefix = [12]byte{10: 0xff, 11: 0xff}

func mapped(ip *[16]byte) bool      { return [12]byte(ip[:12]) == mappedPrefix }
func unspecified(ip *[16]byte) bool { return *ip == [16]byte{} }

// unmap turns ::ffff:a.b.c.d into the 4 bytes of a.b.c.d, and :: into 0.0.0.0.
func unmap(ip *[16]byte) {
	*ip = [16]byte{ip[12], ip[13], ip[14], ip[15]}
}

// decodeProcess sets the part of the snapshot that section tag holds.
func (d *decoder) decodeProcess(tag byte, p []byte) error {
	s := &d.snap
	if !d.hasSnap {
		s.Reset()
		d.hasSnap = true
	}
	switch tag {
	case tagProc:
		if len(p) < sizeofProc {
			return errSection
		}
		d.decodeProc(p)
	case tagExe:
		s.ExePath = p
	case tagArgs:
		s.Args = p
	case tagEnv:
		s.Env = p
	case tagCWD:
		s.CWD = p
	case tagCgroup:
		s.Cgroup = p
	case tagCgroupV1:
		s.CgroupV1 = p
	case tagLineage:
		n := binary.NativeEndian
		for ; len(p) >= sizeofAncestor; p = p[sizeofAncestor:] {
			ok := s.AddAncestor(state.Ancestor{
				Start: int64(n.Uint64(p[0:])),
				PID:   int32(n.Uint32(p[8:])),
				Name:  comm(p[12:sizeofAncestor]),
			})
			if !ok {
				break
			}
		}
	}
	return nil
}

// decodeProc sets the numbers of the snapshot from a struct sample_proc.
func (d *decoder) decodeProc(p []byte) {
	n := binary.NativeEndian
	s := &d.snap
	s.ParentStart = int64(n.Uint64(p[0:]))
	s.PID = int32(n.Uint32(p[72:]))
	s.Start = int64(n.Uint64(p[80:]))
	exeFlags := n.Uint32(p[68:])
	s.Image = event.Image{
		CapInheritable: n.Uint64(p[8:]),
		CapPermitted:   n.Uint64(p[16:]),
		CapEffective:   n.Uint64(p[24:]),
		ExeIno:         n.Uint64(p[32:]),
		ExeCtime:       int64(n.Uint64(p[40:])),
		ExeMtime:       int64(n.Uint64(p[48:])),
		ExeDev:         n.Uint32(p[64:]),
		ExeFlags:       event.FileFlags(exeFlags &^ exeWritable),
		ExeWritable:    exeFlags&exeWritable != 0,
		PPID:           int32(n.Uint32(p[88:])),
		SID:            int32(n.Uint32(p[92:])),
		PGID:           int32(n.Uint32(p[96:])),
		VPID:           int32(n.Uint32(p[100:])),
		VTID:           int32(n.Uint32(p[104:])),
		VPGID:          int32(n.Uint32(p[108:])),
		VSID:           int32(n.Uint32(p[112:])),
		UID:            n.Uint32(p[116:]),
		GID:            n.Uint32(p[120:]),
		EUID:           n.Uint32(p[124:]),
		EGID:           n.Uint32(p[128:]),
		LoginUID:       int32(n.Uint32(p[132:])),
		TTY:            n.Uint32(p[136:]),
		PIDNS:          n.Uint32(p[140:]),
		MntNS:          n.Uint32(p[144:]),
		NetNS:          n.Uint32(p[148:]),
		CloneTime:      s.Start + d.offset,
	}
	if start := int64(n.Uint64(p[56:])); start != 0 {
		s.Image.PIDNSInit = start + d.offset
	}
	s.Name = comm(p[156 : 156+sizeofComm])
}

// comm returns the text of a NUL-padded name.
func comm(p []byte) []byte {
	if i := bytes.IndexByte(p, 0); i >= 0 {
		p = p[:i:i]
	}
	return p
}
