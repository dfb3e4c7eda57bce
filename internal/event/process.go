package event

import "sync/atomic"

// Process is a thread group: its identity is (PID, Start), never the PID alone.
// It is shared by goroutines; what changes (the image, at exec) is swapped as a
// whole, so whoever holds an Image has a consistent one.
type Process struct {
	PID   int32
	Start int64 // nanoseconds since boot (CLOCK_BOOTTIME), identifies the process with PID

	parent atomic.Pointer[Process]
	image  atomic.Pointer[Image]
	exited atomic.Int64
}

// Image is what a process runs, as of its last announcement. It is immutable.
//
// A nil slice means that the value is not known (an ancestor of which only the name
// was announced, for example); an empty one, that it is empty.
type Image struct {
	Name    []byte   // comm: at most 15 bytes
	Exe     []byte   // first argument
	ExePath []byte   // path of the executable as the kernel resolved it
	Args    [][]byte // arguments after the first
	Cmdline []byte   // Name and Args, joined by spaces
	ArgLine []byte   // Args joined by spaces
	Env     [][]byte // NAME=value
	CWD     []byte   // absolute, ends in a slash

	PPID                       int32
	SID, PGID                  int32
	VPID, VTID, VPGID, VSID    int32 // in the process's own PID namespace
	UID, GID, EUID, EGID       uint32
	LoginUID                   int32 // -1: not set
	TTY                        uint32
	CapInheritable             uint64
	CapPermitted, CapEffective uint64

	ExeIno              uint64
	ExeDev              uint32
	ExeCtime, ExeMtime  int64 // nanoseconds since the Unix epoch
	ExeFlags            FileFlags
	ExeWritable         bool
	Cgroup              []byte        // path of the process in the unified or the first named hierarchy
	ContainerID         []byte        // the first 12 characters of the container's ID; empty: host
	ContainerFullID     []byte        // the whole ID; empty: host
	PodUID              []byte        // UID of the container's pod in Kubernetes; empty: none
	Container           *ContainerRef // what its engine tells of the container; nil: nobody asks
	PIDNS, MntNS, NetNS uint32
	PIDNSInit           int64 // start of the PID namespace's init, nanoseconds since the Unix epoch
	ExecTime            int64 // nanoseconds since the Unix epoch; 0: no exec seen
	CloneTime           int64 // start, nanoseconds since the Unix epoch

	// Names gives the names of user and group IDs where the process runs, such as
	// Event.UID or LoginUID. It may be nil, which knows root only.
	Names *Names
}

var unknownImage Image

// Image returns what the process runs. It is never nil.
func (p *Process) Image() *Image {
	if i := p.image.Load(); i != nil {
		return i
	}
	return &unknownImage
}

// Known reports whether the image was announced, or stands for one that was not.
func (i *Image) Known() bool { return i != &unknownImage }

// SetImage swaps the image. Only the owner of the process table calls it.
func (p *Process) SetImage(i *Image) { p.image.Store(i) }

// Parent returns the parent process, or nil if it is not known.
func (p *Process) Parent() *Process { return p.parent.Load() }

// SetParent sets the parent. Only the owner of the process table calls it.
func (p *Process) SetParent(parent *Process) { p.parent.Store(parent) }

// Exited returns when the process exited, in nanoseconds since boot, or 0.
func (p *Process) Exited() int64 { return p.exited.Load() }

// SetExited marks the process as gone at boot time t.
func (p *Process) SetExited(t int64) { p.exited.Store(t) }
