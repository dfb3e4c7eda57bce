// Package event defines what sources report and rules match: the Event, the
// process and file and socket it is about, and the table of event types.
//
// It is the bottom of the import graph: it holds data, imports only the standard
// library and internal/document, and knows no source and no rule. Start with
// Event; table.go lists every type with its parameters.
package event

import (
	"github.com/windhover/windhover/internal/document"
)

// Flags are properties of the sample an event was decoded from.
type Flags uint16

// The values are part of the contract with bpf/include/event.h.
const (
	// Truncated: a string, path or argument vector was longer than its limit.
	Truncated Flags = 1 << iota
	// Faulted: some user memory could not be read; the value is missing.
	Faulted
	// Compat32: the caller used the 32-bit system call table.
	Compat32
	// X32: the caller used the x32 system call numbers.
	X32
	// Uring: the operation came through io_uring, not a system call.
	Uring
	// Incomplete: a path walk stopped before it reached the root.
	Incomplete
)

// Event is one occurrence reported by a source.
//
// An Event is borrowed: it and every byte slice reachable from it (but for Proc,
// whose contents are immutable) are valid only until the handler it was passed to
// returns. Whoever keeps a value copies it. An Event is used by one goroutine.
type Event struct {
	Type   Type
	Flags  Flags
	Source *Source
	Time   int64  // nanoseconds since the Unix epoch
	Num    uint64 // unique and increasing within one reader of one source

	// The fields below are set for system calls only.

	TID  int32 // host thread ID
	CPU  int32
	Ret  int64    // return value: -errno on failure
	UID  uint32   // effective user ID, in the host's user namespace
	GID  uint32   // effective group ID, in the host's user namespace
	Proc *Process // nil: not known

	// Args are the raw arguments of the call, Str the user strings they point to:
	// Str[i] is what Args[i] pointed to when the call returned, nil if argument i
	// is not a string of this type or could not be read.
	Args [6]uint64
	Str  [6][]byte

	// Base and Base2 are the absolute paths of the directories that the first and
	// second path argument of the call are relative to; nil if that path is
	// absolute.
	Base, Base2 []byte

	File File    // the object, if it is a file: HasFile
	Sock Socket  // the object, if it is a socket: HasSock
	Exec *Image  // for an exec: the image before it, if known
	Has  Objects // which of the objects above are set

	Trace Trace // what the thread worked for; zero: not known

	// Doc is the document of a JSON-shaped event; nil for system calls.
	Doc *document.Document
	// Log is the log record that the event was made of; nil unless it was one.
	Log Log

	// Scratch is memory for texts that accessors build, ScratchList for lists of
	// texts. Both are emptied with the event and keep their memory.
	Scratch     []byte
	ScratchList [][]byte
}

// Trace is a span of a distributed trace: one unit of work that a thread does for some
// request. The zero Trace is none.
type Trace struct {
	ID   [16]byte
	Span [8]byte
}

// Objects says which objects of an Event are set.
type Objects uint8

const (
	HasFile Objects = 1 << iota
	HasSock
	HasAddr // Sock.Remote is the address argument of the call
)

// Source is a source instance: an event's origin. It is immutable.
type Source struct {
	Name  string // instance, such as windhover_k8saudit/a
	Type  string // what rules name in "source:", such as syscall or k8s_audit
	Host  string // name of the host that is watched; empty: not known
	Start int64  // when it began to report, nanoseconds since the Unix epoch; 0: not known
}

// File is a file as the kernel sees it, read when the event happened.
type File struct {
	// Path is absolute in the mount namespace and root of the process, resolved by
	// the kernel: no symbolic link, "." or ".." in it. Empty if it has none.
	Path  []byte
	Dev   uint32 // device number in the kernel's encoding: major<<20 | minor
	Ino   uint64
	Mode  uint32 // st_mode
	Flags FileFlags
}

// FileFlags are properties of an open file.
type FileFlags uint32

const (
	// FileUpper: the inode is in the upper layer of an overlay.
	FileUpper FileFlags = 1 << iota
	// FileLower: the inode is in a lower layer of an overlay.
	FileLower
	// FileCreated: the call created the file.
	FileCreated
	// FileMemfd: an anonymous file made by memfd_create(2).
	FileMemfd
	// FileDeleted: the last name of the file is gone.
	FileDeleted
)

// Socket is a socket as the kernel sees it, read when the event happened.
type Socket struct {
	Family uint16 // AF_UNIX, AF_INET, AF_INET6, AF_NETLINK …
	Type   uint16 // SOCK_STREAM, SOCK_DGRAM …
	Proto  uint16 // IPPROTO_TCP …
	State  uint8  // TCP state
	Role   Role
	// Addresses of AF_INET are 4 bytes in [0:4], of AF_INET6 16 bytes.
	LocalIP, RemoteIP     [16]byte
	LocalPort, RemotePort uint16
	// Names of AF_UNIX; an abstract name starts with a NUL byte.
	LocalPath, RemotePath []byte
	Ino                   uint64 // inode of the socket
}

// Role is the side of a connection the process is on.
type Role uint8

const (
	RoleNone Role = iota
	RoleClient
	RoleServer
)

// Reset clears the event for reuse. Memory of Scratch and ScratchList is kept.
func (e *Event) Reset() {
	*e = Event{Scratch: e.Scratch[:0], ScratchList: e.ScratchList[:0]}
}
