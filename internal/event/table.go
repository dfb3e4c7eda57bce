package event

// Type identifies a kind of event: a system call, a step in the life of a process,
// or the document of a JSON-shaped source.
type Type uint16

// The types that the kernel side knows by name come first. Every other system call
// of Linux has a type too (see generic.go): it can be captured with its raw
// arguments.
const (
	Unknown Type = iota
	Proc         // a process announces itself; no rule sees it
	ProcExit
	Execve
	ExecveAt
	Clone
	Clone3
	Fork
	Vfork
	Open
	OpenAt
	OpenAt2
	Creat
	Connect
	Accept
	Accept4
	Bind
	Listen
	Unlink
	UnlinkAt
	Rename
	RenameAt
	RenameAt2
	Mkdir
	MkdirAt
	Rmdir
	Link
	LinkAt
	Symlink
	SymlinkAt
	Chmod
	Fchmod
	FchmodAt
	FchmodAt2
	Chown
	Lchown
	Fchown
	FchownAt
	SetUID
	SetGID
	SetREUID
	SetREGID
	SetRESUID
	SetRESGID
	SetNS
	Unshare
	Mount
	Umount
	Umount2
	Ptrace
	MemfdCreate
	BPF
	InitModule
	FinitModule
	Prctl
	Kill
	Tkill
	Tgkill
	Chdir
	Fchdir
	Chroot

	// PluginEvent is the type of every event of a JSON-shaped source.
	PluginEvent

	numNamed
)

// Lane says how a sample travels: a flood in one lane cannot push out what is in
// the other.
type Lane uint8

// The values are part of the contract with bpf/include/event.h.
const (
	LaneBulk Lane = iota
	LaneReserved

	NumLanes
)

func (l Lane) String() string { return [NumLanes]string{"bulk", "reserved"}[l] }

// Spec describes one event type. The table of Specs is the only place that knows
// the parameters of an event: the kernel's collector, the decoder, the fields
// evt.arg.* and the reference page derive from it.
type Spec struct {
	Type     Type
	Name     string // as rules write it: evt.type = Name
	Doc      string // one line
	Category string // evt.category
	Lane     Lane
	Program  Program // kernel program that collects it
	NArgs    int     // raw arguments copied into the sample
	Paths    []PathArg
	Object   From    // where the descriptor of the object is: Ret, Arg(i) or None
	SockAddr From    // argument that points to a struct sockaddr, or None
	Params   []Param // in the order of evt.arg[n]
}

// Program names a kernel program; each is a function in bpf/hooks.
type Program string

const (
	// ProgramGeneric copies what the Spec describes: arguments, strings, base
	// directories, the object behind a descriptor.
	ProgramGeneric Program = "generic"
	// ProgramOpen adds the opened file to what ProgramGeneric copies.
	ProgramOpen Program = "open"
	// ProgramSocket adds both ends of the socket.
	ProgramSocket Program = "socket"
	// ProgramExec, ProgramFork, ProgramExit hang at the scheduler's trace points.
	ProgramExec Program = "exec"
	ProgramFork Program = "fork"
	ProgramExit Program = "exit"
	// ProgramNone: user space makes the event.
	ProgramNone Program = ""
)

// PathArg is a path argument and the directory it is relative to.
type PathArg struct {
	Arg int // argument that points to the path
	Dir int // argument that is the directory's descriptor, or CWD
}

// CWD stands for the working directory in PathArg.Dir.
const CWD = -1

// From says where the value of a parameter is in an Event.
type From uint8

// Arg(i) and Str(i) are From values too.
const (
	None From = iota
	Ret
	FileDev
	FileIno
	FilePath
	SockTuple
	SockAddr
	Computed // by the decoder or an accessor; see the field table

	fromArg = 16
	fromStr = 32
)

// Arg is raw argument i.
func Arg(i int) From { return From(fromArg + i) }

// Str is the user string that argument i points to.
func Str(i int) From { return From(fromStr + i) }

// ArgIndex returns i if f is Arg(i).
func (f From) ArgIndex() (i int, ok bool) { return int(f) - fromArg, f >= fromArg && f < fromStr }

// StrIndex returns i if f is Str(i).
func (f From) StrIndex() (i int, ok bool) { return int(f) - fromStr, f >= fromStr }

// ParamKind is the type of a parameter, which decides its text.
type ParamKind uint8

const (
	KindInt   ParamKind = iota // signed decimal
	KindUint                   // unsigned decimal
	KindHex                    // unsigned hexadecimal
	KindOct                    // octal, such as a mode
	KindErrno                  // 0, or the name of the error
	KindFD                     // descriptor, with what it refers to in evt.args
	KindPID
	KindUID
	KindGID
	KindSignal
	KindPath    // path: absolute, or relative to the working directory
	KindRelPath // path relative to the directory parameter before it
	KindText
	KindBytes
	KindFlags // set of Flags, joined by "|"
	KindEnum  // one of Flags
	KindTuple // both ends of a connection
	KindAddr  // socket address
	KindTime
)

// Param is one parameter of an event.
type Param struct {
	Name  string
	Kind  ParamKind
	From  From
	Flags *FlagTable // for KindFlags and KindEnum
}

// named holds the Specs of the types with parameters of their own.
var named = [numNamed]Spec{
	Unknown: {Name: "unknown", Doc: "An event of a type that is not known.", Category: "other"},
	Proc:    {Name: "procinfo", Doc: "A process announces itself: what it is, from the kernel's structures.", Category: "internal", Lane: LaneReserved},

	ProcExit: {
		Name: "procexit", Doc: "The last thread of a process ended.", Category: "process", Lane: LaneReserved, Program: ProgramExit,
		Params: []Param{{"status", KindErrno, Ret, nil}, {"ret", KindInt, Computed, nil}, {"sig", KindSignal, Computed, nil}, {"core", KindUint, Computed, nil}, {"reaper_tid", KindPID, None, nil}},
	},
	Execve: {
		Name: "execve", Doc: "Executes a program.", Category: "process", Lane: LaneReserved, Program: ProgramExec, NArgs: 3,
		Paths:  []PathArg{{Arg: 0, Dir: CWD}},
		Params: execParams(Str(0)),
	},
	ExecveAt: {
		Name: "execveat", Doc: "Executes a program relative to a directory descriptor.", Category: "process", Lane: LaneReserved, Program: ProgramExec, NArgs: 5,
		Paths:  []PathArg{{Arg: 1, Dir: 0}},
		Params: execParams(Str(1)),
	},
	Clone:  {Name: "clone", Doc: "Creates a process or thread.", Category: "process", Lane: LaneReserved, Program: ProgramFork, NArgs: 5, Params: forkParams},
	Clone3: {Name: "clone3", Doc: "Creates a process or thread.", Category: "process", Lane: LaneReserved, Program: ProgramFork, NArgs: 2, Params: forkParams},
	Fork:   {Name: "fork", Doc: "Creates a process.", Category: "process", Lane: LaneReserved, Program: ProgramFork, Params: forkParams},
	Vfork:  {Name: "vfork", Doc: "Creates a process that borrows the caller's memory.", Category: "process", Lane: LaneReserved, Program: ProgramFork, Params: forkParams},

	Open: {
		Name: "open", Doc: "Opens or creates a file.", Category: "file", Program: ProgramOpen, NArgs: 3,
		Paths: []PathArg{{Arg: 0, Dir: CWD}}, Object: Ret,
		Params: []Param{{"fd", KindFD, Ret, nil}, {"name", KindPath, Str(0), nil}, {"flags", KindFlags, Arg(1), FileFlagTable}, {"mode", KindOct, Arg(2), nil}, {"dev", KindHex, FileDev, nil}, {"ino", KindUint, FileIno, nil}},
	},
	OpenAt: {
		Name: "openat", Doc: "Opens or creates a file relative to a directory descriptor.", Category: "file", Program: ProgramOpen, NArgs: 4,
		Paths: []PathArg{{Arg: 1, Dir: 0}}, Object: Ret,
		Params: []Param{{"fd", KindFD, Ret, nil}, {"dirfd", KindFD, Arg(0), nil}, {"name", KindRelPath, Str(1), nil}, {"flags", KindFlags, Arg(2), FileFlagTable}, {"mode", KindOct, Arg(3), nil}, {"dev", KindHex, FileDev, nil}, {"ino", KindUint, FileIno, nil}},
	},
	// The kernel program replaces the pointer to struct open_how by its members:
	// argument 2 is flags, 3 mode, 4 resolve.
	OpenAt2: {
		Name: "openat2", Doc: "Opens or creates a file, with rules for how its path is resolved.", Category: "file", Program: ProgramOpen, NArgs: 5,
		Paths: []PathArg{{Arg: 1, Dir: 0}}, Object: Ret,
		Params: []Param{{"fd", KindFD, Ret, nil}, {"dirfd", KindFD, Arg(0), nil}, {"name", KindRelPath, Str(1), nil}, {"flags", KindFlags, Arg(2), FileFlagTable}, {"mode", KindOct, Arg(3), nil}, {"resolve", KindFlags, Arg(4), OpenAt2FlagTable}, {"dev", KindHex, FileDev, nil}, {"ino", KindUint, FileIno, nil}},
	},
	Creat: {
		Name: "creat", Doc: "Creates a file.", Category: "file", Program: ProgramOpen, NArgs: 2,
		Paths: []PathArg{{Arg: 0, Dir: CWD}}, Object: Ret,
		Params: []Param{{"fd", KindFD, Ret, nil}, {"name", KindPath, Str(0), nil}, {"mode", KindOct, Arg(1), nil}, {"dev", KindHex, FileDev, nil}, {"ino", KindUint, FileIno, nil}, {"creat_flags", KindFlags, Computed, CreatFlagTable}},
	},

	Connect: {
		Name: "connect", Doc: "Connects a socket.", Category: "net", Program: ProgramSocket, NArgs: 3, Object: Arg(0), SockAddr: Arg(1),
		Params: []Param{{"res", KindErrno, Ret, nil}, {"tuple", KindTuple, SockTuple, nil}, {"fd", KindFD, Arg(0), nil}, {"addr", KindAddr, SockAddr, nil}},
	},
	Accept: {
		Name: "accept", Doc: "Accepts a connection.", Category: "net", Program: ProgramSocket, NArgs: 1, Object: Ret,
		Params: []Param{{"fd", KindFD, Ret, nil}, {"tuple", KindTuple, SockTuple, nil}, {"queuepct", KindUint, None, nil}, {"queuelen", KindUint, None, nil}, {"queuemax", KindUint, None, nil}},
	},
	Accept4: {
		Name: "accept4", Doc: "Accepts a connection.", Category: "net", Program: ProgramSocket, NArgs: 4, Object: Ret,
		Params: []Param{{"fd", KindFD, Ret, nil}, {"tuple", KindTuple, SockTuple, nil}, {"queuepct", KindUint, None, nil}, {"queuelen", KindUint, None, nil}, {"queuemax", KindUint, None, nil}, {"flags", KindHex, Arg(3), nil}},
	},
	Bind: {
		Name: "bind", Doc: "Gives a socket an address.", Category: "net", Program: ProgramSocket, NArgs: 3, Object: Arg(0), SockAddr: Arg(1),
		Params: []Param{{"res", KindErrno, Ret, nil}, {"addr", KindAddr, SockAddr, nil}, {"fd", KindFD, Arg(0), nil}},
	},
	Listen: {
		Name: "listen", Doc: "Makes a socket take connections.", Category: "net", Program: ProgramSocket, NArgs: 2, Object: Arg(0),
		Params: []Param{{"res", KindErrno, Ret, nil}, {"fd", KindFD, Arg(0), nil}, {"backlog", KindInt, Arg(1), nil}},
	},

	Unlink: {
		Name: "unlink", Doc: "Removes a name of a file.", Category: "file", Program: ProgramGeneric, NArgs: 1, Paths: []PathArg{{Arg: 0, Dir: CWD}},
		Params: []Param{{"res", KindErrno, Ret, nil}, {"path", KindPath, Str(0), nil}},
	},
	UnlinkAt: {
		Name: "unlinkat", Doc: "Removes a name of a file or a directory.", Category: "file", Program: ProgramGeneric, NArgs: 3, Paths: []PathArg{{Arg: 1, Dir: 0}},
		Params: []Param{{"res", KindErrno, Ret, nil}, {"dirfd", KindFD, Arg(0), nil}, {"name", KindRelPath, Str(1), nil}, {"flags", KindFlags, Arg(2), UnlinkAtFlagTable}},
	},
	Rename: {
		Name: "rename", Doc: "Renames a file.", Category: "file", Program: ProgramGeneric, NArgs: 2, Paths: []PathArg{{Arg: 0, Dir: CWD}, {Arg: 1, Dir: CWD}},
		Params: []Param{{"res", KindErrno, Ret, nil}, {"oldpath", KindPath, Str(0), nil}, {"newpath", KindPath, Str(1), nil}},
	},
	RenameAt: {
		Name: "renameat", Doc: "Renames a file.", Category: "file", Program: ProgramGeneric, NArgs: 4, Paths: []PathArg{{Arg: 1, Dir: 0}, {Arg: 3, Dir: 2}},
		Params: []Param{{"res", KindErrno, Ret, nil}, {"olddirfd", KindFD, Arg(0), nil}, {"oldpath", KindRelPath, Str(1), nil}, {"newdirfd", KindFD, Arg(2), nil}, {"newpath", KindRelPath, Str(3), nil}},
	},
	RenameAt2: {
		Name: "renameat2", Doc: "Renames or exchanges files.", Category: "file", Program: ProgramGeneric, NArgs: 5, Paths: []PathArg{{Arg: 1, Dir: 0}, {Arg: 3, Dir: 2}},
		Params: []Param{{"res", KindErrno, Ret, nil}, {"olddirfd", KindFD, Arg(0), nil}, {"oldpath", KindRelPath, Str(1), nil}, {"newdirfd", KindFD, Arg(2), nil}, {"newpath", KindRelPath, Str(3), nil}, {"flags", KindFlags, Arg(4), RenameAt2FlagTable}},
	},
	Mkdir: {
		Name: "mkdir", Doc: "Makes a directory.", Category: "file", Program: ProgramGeneric, NArgs: 2, Paths: []PathArg{{Arg: 0, Dir: CWD}},
		Params: []Param{{"res", KindErrno, Ret, nil}, {"path", KindPath, Str(0), nil}, {"mode", KindHex, Arg(1), nil}},
	},
	MkdirAt: {
		Name: "mkdirat", Doc: "Makes a directory.", Category: "file", Program: ProgramGeneric, NArgs: 3, Paths: []PathArg{{Arg: 1, Dir: 0}},
		Params: []Param{{"res", KindErrno, Ret, nil}, {"dirfd", KindFD, Arg(0), nil}, {"path", KindRelPath, Str(1), nil}, {"mode", KindHex, Arg(2), nil}},
	},
	Rmdir: {
		Name: "rmdir", Doc: "Removes a directory.", Category: "file", Program: ProgramGeneric, NArgs: 1, Paths: []PathArg{{Arg: 0, Dir: CWD}},
		Params: []Param{{"res", KindErrno, Ret, nil}, {"path", KindPath, Str(0), nil}},
	},
	Link: {
		Name: "link", Doc: "Gives a file another name.", Category: "file", Program: ProgramGeneric, NArgs: 2, Paths: []PathArg{{Arg: 0, Dir: CWD}, {Arg: 1, Dir: CWD}},
		Params: []Param{{"res", KindErrno, Ret, nil}, {"oldpath", KindPath, Str(0), nil}, {"newpath", KindPath, Str(1), nil}},
	},
	LinkAt: {
		Name: "linkat", Doc: "Gives a file another name.", Category: "file", Program: ProgramGeneric, NArgs: 5, Paths: []PathArg{{Arg: 1, Dir: 0}, {Arg: 3, Dir: 2}},
		Params: []Param{{"res", KindErrno, Ret, nil}, {"olddir", KindFD, Arg(0), nil}, {"oldpath", KindRelPath, Str(1), nil}, {"newdir", KindFD, Arg(2), nil}, {"newpath", KindRelPath, Str(3), nil}, {"flags", KindFlags, Arg(4), LinkAtFlagTable}},
	},
	Symlink: {
		Name: "symlink", Doc: "Makes a symbolic link.", Category: "file", Program: ProgramGeneric, NArgs: 2, Paths: []PathArg{{Arg: 1, Dir: CWD}},
		Params: []Param{{"res", KindErrno, Ret, nil}, {"target", KindText, Str(0), nil}, {"linkpath", KindPath, Str(1), nil}},
	},
	SymlinkAt: {
		Name: "symlinkat", Doc: "Makes a symbolic link.", Category: "file", Program: ProgramGeneric, NArgs: 3, Paths: []PathArg{{Arg: 2, Dir: 1}},
		Params: []Param{{"res", KindErrno, Ret, nil}, {"target", KindText, Str(0), nil}, {"linkdirfd", KindFD, Arg(1), nil}, {"linkpath", KindRelPath, Str(2), nil}},
	},
	Chmod: {
		Name: "chmod", Doc: "Changes the mode of a file.", Category: "file", Program: ProgramGeneric, NArgs: 2, Paths: []PathArg{{Arg: 0, Dir: CWD}},
		Params: []Param{{"res", KindErrno, Ret, nil}, {"filename", KindPath, Str(0), nil}, {"mode", KindFlags, Arg(1), ChmodModeTable}},
	},
	Fchmod: {
		Name: "fchmod", Doc: "Changes the mode of an open file.", Category: "file", Program: ProgramGeneric, NArgs: 2, Object: Arg(0),
		Params: []Param{{"res", KindErrno, Ret, nil}, {"fd", KindFD, Arg(0), nil}, {"mode", KindFlags, Arg(1), ChmodModeTable}},
	},
	FchmodAt: {
		Name: "fchmodat", Doc: "Changes the mode of a file.", Category: "file", Program: ProgramGeneric, NArgs: 3, Paths: []PathArg{{Arg: 1, Dir: 0}},
		Params: []Param{{"res", KindErrno, Ret, nil}, {"dirfd", KindFD, Arg(0), nil}, {"filename", KindRelPath, Str(1), nil}, {"mode", KindFlags, Arg(2), ChmodModeTable}},
	},
	// fchmodat2(2) is what a C library calls since Linux 6.6 when flags are given.
	FchmodAt2: {
		Name: "fchmodat2", Doc: "Changes the mode of a file, with flags.", Category: "file", Program: ProgramGeneric, NArgs: 4, Paths: []PathArg{{Arg: 1, Dir: 0}},
		Params: []Param{{"res", KindErrno, Ret, nil}, {"dirfd", KindFD, Arg(0), nil}, {"filename", KindRelPath, Str(1), nil}, {"mode", KindFlags, Arg(2), ChmodModeTable}, {"flags", KindHex, Arg(3), nil}},
	},
	Chown: {
		Name: "chown", Doc: "Changes the owner of a file.", Category: "file", Program: ProgramGeneric, NArgs: 3, Paths: []PathArg{{Arg: 0, Dir: CWD}},
		Params: []Param{{"res", KindErrno, Ret, nil}, {"path", KindPath, Str(0), nil}, {"uid", KindUID, Arg(1), nil}, {"gid", KindGID, Arg(2), nil}},
	},
	Lchown: {
		Name: "lchown", Doc: "Changes the owner of a file or symbolic link.", Category: "file", Program: ProgramGeneric, NArgs: 3, Paths: []PathArg{{Arg: 0, Dir: CWD}},
		Params: []Param{{"res", KindErrno, Ret, nil}, {"path", KindPath, Str(0), nil}, {"uid", KindUID, Arg(1), nil}, {"gid", KindGID, Arg(2), nil}},
	},
	Fchown: {
		Name: "fchown", Doc: "Changes the owner of an open file.", Category: "file", Program: ProgramGeneric, NArgs: 3, Object: Arg(0),
		Params: []Param{{"res", KindErrno, Ret, nil}, {"fd", KindFD, Arg(0), nil}, {"uid", KindUID, Arg(1), nil}, {"gid", KindGID, Arg(2), nil}},
	},
	FchownAt: {
		Name: "fchownat", Doc: "Changes the owner of a file.", Category: "file", Program: ProgramGeneric, NArgs: 5, Paths: []PathArg{{Arg: 1, Dir: 0}},
		Params: []Param{{"res", KindErrno, Ret, nil}, {"dirfd", KindFD, Arg(0), nil}, {"pathname", KindRelPath, Str(1), nil}, {"uid", KindUID, Arg(2), nil}, {"gid", KindGID, Arg(3), nil}, {"flags", KindFlags, Arg(4), FchownAtFlagTable}},
	},

	SetUID:    {Name: "setuid", Doc: "Sets the user ID.", Category: "user", Lane: LaneReserved, Program: ProgramGeneric, NArgs: 1, Params: []Param{{"res", KindErrno, Ret, nil}, {"uid", KindUID, Arg(0), nil}}},
	SetGID:    {Name: "setgid", Doc: "Sets the group ID.", Category: "user", Lane: LaneReserved, Program: ProgramGeneric, NArgs: 1, Params: []Param{{"res", KindErrno, Ret, nil}, {"gid", KindGID, Arg(0), nil}}},
	SetREUID:  {Name: "setreuid", Doc: "Sets real and effective user ID.", Category: "user", Lane: LaneReserved, Program: ProgramGeneric, NArgs: 2, Params: []Param{{"res", KindErrno, Ret, nil}, {"ruid", KindUID, Arg(0), nil}, {"euid", KindUID, Arg(1), nil}}},
	SetREGID:  {Name: "setregid", Doc: "Sets real and effective group ID.", Category: "user", Lane: LaneReserved, Program: ProgramGeneric, NArgs: 2, Params: []Param{{"res", KindErrno, Ret, nil}, {"rgid", KindGID, Arg(0), nil}, {"egid", KindGID, Arg(1), nil}}},
	SetRESUID: {Name: "setresuid", Doc: "Sets real, effective and saved user ID.", Category: "user", Lane: LaneReserved, Program: ProgramGeneric, NArgs: 3, Params: []Param{{"res", KindErrno, Ret, nil}, {"ruid", KindUID, Arg(0), nil}, {"euid", KindUID, Arg(1), nil}, {"suid", KindUID, Arg(2), nil}}},
	SetRESGID: {Name: "setresgid", Doc: "Sets real, effective and saved group ID.", Category: "user", Lane: LaneReserved, Program: ProgramGeneric, NArgs: 3, Params: []Param{{"res", KindErrno, Ret, nil}, {"rgid", KindGID, Arg(0), nil}, {"egid", KindGID, Arg(1), nil}, {"sgid", KindGID, Arg(2), nil}}},
	SetNS:     {Name: "setns", Doc: "Enters a namespace.", Category: "process", Lane: LaneReserved, Program: ProgramGeneric, NArgs: 2, Object: Arg(0), Params: []Param{{"res", KindErrno, Ret, nil}, {"fd", KindFD, Arg(0), nil}, {"nstype", KindFlags, Arg(1), CloneFlagTable}}},
	Unshare:   {Name: "unshare", Doc: "Moves the caller into new namespaces.", Category: "process", Lane: LaneReserved, Program: ProgramGeneric, NArgs: 1, Params: []Param{{"res", KindErrno, Ret, nil}, {"flags", KindFlags, Arg(0), CloneFlagTable}}},
	Mount: {
		Name: "mount", Doc: "Mounts a file system.", Category: "file", Lane: LaneReserved, Program: ProgramGeneric, NArgs: 4, Paths: []PathArg{{Arg: 1, Dir: CWD}},
		Params: []Param{{"res", KindErrno, Ret, nil}, {"dev", KindText, Str(0), nil}, {"dir", KindPath, Str(1), nil}, {"type", KindText, Str(2), nil}, {"flags", KindFlags, Arg(3), MountFlagTable}},
	},
	Umount: {
		Name: "umount", Doc: "Unmounts a file system.", Category: "file", Lane: LaneReserved, Program: ProgramGeneric, NArgs: 1, Paths: []PathArg{{Arg: 0, Dir: CWD}},
		Params: []Param{{"res", KindErrno, Ret, nil}, {"name", KindPath, Str(0), nil}},
	},
	Umount2: {
		Name: "umount2", Doc: "Unmounts a file system, with flags.", Category: "file", Lane: LaneReserved, Program: ProgramGeneric, NArgs: 2, Paths: []PathArg{{Arg: 0, Dir: CWD}},
		Params: []Param{{"res", KindErrno, Ret, nil}, {"name", KindPath, Str(0), nil}, {"flags", KindFlags, Arg(1), UmountFlagTable}},
	},
	Ptrace: {
		Name: "ptrace", Doc: "Traces or changes another process.", Category: "process", Lane: LaneReserved, Program: ProgramGeneric, NArgs: 4,
		Params: []Param{{"res", KindErrno, Ret, nil}, {"addr", KindHex, Arg(2), nil}, {"data", KindHex, Arg(3), nil}, {"request", KindEnum, Arg(0), PtraceRequestTable}, {"pid", KindPID, Arg(1), nil}},
	},
	MemfdCreate: {
		Name: "memfd_create", Doc: "Makes an anonymous file in memory.", Category: "memory", Lane: LaneReserved, Program: ProgramGeneric, NArgs: 2, Object: Ret,
		Params: []Param{{"fd", KindFD, Ret, nil}, {"name", KindText, Str(0), nil}, {"flags", KindFlags, Arg(1), MemfdFlagTable}},
	},
	BPF: {Name: "bpf", Doc: "A command to the BPF subsystem.", Category: "other", Lane: LaneReserved, Program: ProgramGeneric, NArgs: 1, Object: Ret, Params: []Param{{"fd", KindFD, Ret, nil}, {"cmd", KindEnum, Arg(0), BPFCommandTable}}},
	InitModule: {
		Name: "init_module", Doc: "Loads a kernel module from memory.", Category: "other", Lane: LaneReserved, Program: ProgramGeneric, NArgs: 3,
		Params: []Param{{"res", KindErrno, Ret, nil}, {"img", KindHex, Arg(0), nil}, {"length", KindUint, Arg(1), nil}, {"uargs", KindText, Str(2), nil}},
	},
	FinitModule: {
		Name: "finit_module", Doc: "Loads a kernel module from a file.", Category: "other", Lane: LaneReserved, Program: ProgramGeneric, NArgs: 3, Object: Arg(0),
		Params: []Param{{"res", KindErrno, Ret, nil}, {"fd", KindFD, Arg(0), nil}, {"uargs", KindText, Str(1), nil}, {"flags", KindFlags, Arg(2), FinitModuleFlagTable}},
	},
	// The kernel program copies argument 1 as a string only for PR_SET_NAME.
	Prctl: {
		Name: "prctl", Doc: "Operates on the calling process or thread.", Category: "process", Program: ProgramGeneric, NArgs: 2,
		Params: []Param{{"res", KindErrno, Ret, nil}, {"option", KindEnum, Arg(0), PrctlOptionTable}, {"arg2_str", KindText, Str(1), nil}, {"arg2_int", KindInt, Arg(1), nil}},
	},
	Kill:   {Name: "kill", Doc: "Sends a signal to a process.", Category: "signal", Program: ProgramGeneric, NArgs: 2, Params: []Param{{"res", KindErrno, Ret, nil}, {"pid", KindPID, Arg(0), nil}, {"sig", KindSignal, Arg(1), nil}}},
	Tkill:  {Name: "tkill", Doc: "Sends a signal to a thread.", Category: "signal", Program: ProgramGeneric, NArgs: 2, Params: []Param{{"res", KindErrno, Ret, nil}, {"tid", KindPID, Arg(0), nil}, {"sig", KindSignal, Arg(1), nil}}},
	Tgkill: {Name: "tgkill", Doc: "Sends a signal to a thread of a process.", Category: "signal", Program: ProgramGeneric, NArgs: 3, Params: []Param{{"res", KindErrno, Ret, nil}, {"pid", KindPID, Arg(0), nil}, {"tid", KindPID, Arg(1), nil}, {"sig", KindSignal, Arg(2), nil}}},
	Chdir: {
		Name: "chdir", Doc: "Changes the working directory.", Category: "file", Program: ProgramGeneric, NArgs: 1, Paths: []PathArg{{Arg: 0, Dir: CWD}},
		Params: []Param{{"res", KindErrno, Ret, nil}, {"path", KindPath, Str(0), nil}},
	},
	Fchdir: {Name: "fchdir", Doc: "Changes the working directory.", Category: "file", Program: ProgramGeneric, NArgs: 1, Object: Arg(0), Params: []Param{{"res", KindErrno, Ret, nil}, {"fd", KindFD, Arg(0), nil}}},
	Chroot: {
		Name: "chroot", Doc: "Changes the root directory.", Category: "process", Lane: LaneReserved, Program: ProgramGeneric, NArgs: 1, Paths: []PathArg{{Arg: 0, Dir: CWD}},
		Params: []Param{{"res", KindErrno, Ret, nil}, {"path", KindPath, Str(0), nil}},
	},

	PluginEvent: {Name: "pluginevent", Doc: "An event of a source that reports documents.", Category: "other"},
}

// execParams are the parameters of an exec; what is Computed is in the image of
// the process.
func execParams(filename From) []Param {
	return []Param{
		{"res", KindErrno, Ret, nil},
		{"exe", KindText, Computed, nil},
		{"args", KindBytes, Computed, nil},
		{"tid", KindPID, Computed, nil},
		{"pid", KindPID, Computed, nil},
		{"ptid", KindPID, Computed, nil},
		{"cwd", KindText, Computed, nil},
		{"fdlimit", KindUint, None, nil},
		{"pgft_maj", KindUint, None, nil},
		{"pgft_min", KindUint, None, nil},
		{"vm_size", KindUint, None, nil},
		{"vm_rss", KindUint, None, nil},
		{"vm_swap", KindUint, None, nil},
		{"comm", KindText, Computed, nil},
		{"cgroups", KindBytes, Computed, nil},
		{"env", KindBytes, Computed, nil},
		{"tty", KindUint, Computed, nil},
		{"vpgid", KindPID, Computed, nil},
		{"loginuid", KindUID, Computed, nil},
		{"flags", KindFlags, Computed, ExecveFlagTable},
		{"cap_inheritable", KindHex, Computed, nil},
		{"cap_permitted", KindHex, Computed, nil},
		{"cap_effective", KindHex, Computed, nil},
		{"exe_ino", KindUint, Computed, nil},
		{"exe_ino_ctime", KindTime, Computed, nil},
		{"exe_ino_mtime", KindTime, Computed, nil},
		{"uid", KindUID, Computed, nil},
		{"trusted_exepath", KindPath, Computed, nil},
		{"pgid", KindPID, Computed, nil},
		{"gid", KindGID, Computed, nil},
		{"filename", KindPath, filename, nil},
	}
}

// forkParams are the parameters of a fork. Ret is the new process, whose image is
// that of the caller.
var forkParams = []Param{
	{"res", KindPID, Ret, nil},
	{"exe", KindText, Computed, nil},
	{"args", KindBytes, Computed, nil},
	{"tid", KindPID, Computed, nil},
	{"pid", KindPID, Computed, nil},
	{"ptid", KindPID, Computed, nil},
	{"cwd", KindText, Computed, nil},
	{"fdlimit", KindUint, None, nil},
	{"pgft_maj", KindUint, None, nil},
	{"pgft_min", KindUint, None, nil},
	{"vm_size", KindUint, None, nil},
	{"vm_rss", KindUint, None, nil},
	{"vm_swap", KindUint, None, nil},
	{"comm", KindText, Computed, nil},
	{"cgroups", KindBytes, Computed, nil},
	{"flags", KindFlags, Arg(0), CloneFlagTable},
	{"uid", KindUID, Computed, nil},
	{"gid", KindGID, Computed, nil},
	{"vtid", KindPID, Computed, nil},
	{"vpid", KindPID, Computed, nil},
	{"pidns_init_start_ts", KindUint, Computed, nil},
}
