package event

import "runtime"

// FlagTable names the values of a flags or enumeration argument. Rules and outputs
// speak of Value, the number that Falco's rule language gives a name; the kernel
// speaks of Native.
type FlagTable struct {
	Name   string
	Enum   bool // one of Values, not a set
	Values []FlagValue
}

// FlagValue is one named value, in the order in which names are printed.
type FlagValue struct {
	Name   string
	Value  uint32
	Native uint32
	// Derived: there is no native bit; the value is added by the decoder.
	Derived bool
}

// Value converts what the kernel was given to the numbers that rules compare with.
// A set loses the bits that have no name; an enumeration keeps what it does not know.
func (t *FlagTable) Value(native uint64) uint32 {
	n := uint32(native)
	if t.Enum {
		unknown := n
		for i := range t.Values {
			v := &t.Values[i]
			if !v.Derived && v.Native == n {
				return v.Value
			}
			if v.Derived && v.Value == 0 {
				unknown = 0 // the table has a name for what it does not know
			}
		}
		return unknown
	}
	switch t {
	case FileFlagTable:
		return fileFlagValue(n)
	case MountFlagTable:
		// Callers of old put a magic number into the upper half.
		if n>>16 == mountMagic {
			n &= 1<<16 - 1
		}
	}
	var value uint32
	for i := range t.Values {
		v := &t.Values[i]
		if !v.Derived && v.Native != 0 && n&v.Native == v.Native {
			value |= v.Value
		}
	}
	return value
}

const mountMagic = 0xc0ed

// fileFlagValue converts open(2) flags. The access mode is a number in two bits, not
// bits of its own.
func fileFlagValue(n uint32) uint32 {
	var value uint32
	for i := range FileFlagTable.Values {
		v := &FileFlagTable.Values[i]
		switch {
		case v.Derived:
		case v.Value <= 3:
			if n&3 == v.Native {
				value |= v.Value
			}
		case n&v.Native == v.Native:
			value |= v.Value
		}
	}
	return value
}

// AppendNames appends the names of value, joined by "|", in the order of the table.
// It appends nothing if value has no name.
func (t *FlagTable) AppendNames(dst []byte, value uint32) []byte {
	start, rest := len(dst), value
	for i := range t.Values {
		v := &t.Values[i]
		// A value that is an entry as a whole ends the search; zero is a name only then.
		if v.Value == value || !t.Enum && v.Value != 0 && rest&v.Value == v.Value {
			if len(dst) > start {
				dst = append(dst, '|')
			}
			dst = append(dst, v.Name...)
			rest &^= v.Value
			if v.Value == value {
				break
			}
		}
	}
	return dst
}

// Some flags of open(2) have other numbers on arm64: arch/arm64/include/uapi/asm/fcntl.h.
var nativeDirectory, nativeDirect, nativeLargefile = func() (directory, direct, largefile uint32) {
	if runtime.GOARCH == "arm64" {
		return 0x4000, 0x10000, 0x20000
	}
	return 0x10000, 0x4000, 0x8000
}()

// FileFlagTable holds file_flags.
var FileFlagTable = &FlagTable{
	Name: "file_flags",
	Values: []FlagValue{
		{"O_LARGEFILE", 0x800, nativeLargefile, false},
		{"O_DIRECTORY", 0x400, nativeDirectory, false},
		{"O_DIRECT", 0x200, nativeDirect, false},
		{"O_TRUNC", 0x100, 0x200, false},
		{"O_SYNC", 0x80, 0x101000, false},
		{"O_NONBLOCK", 0x40, 0x800, false},
		{"O_EXCL", 0x20, 0x80, false},
		{"O_DSYNC", 0x10, 0x1000, false},
		{"O_APPEND", 0x8, 0x400, false},
		{"O_CREAT", 0x4, 0x40, false},
		{"O_RDWR", 0x3, 0x2, false},
		{"O_WRONLY", 0x2, 0x1, false},
		{"O_RDONLY", 0x1, 0x0, false},
		{"O_CLOEXEC", 0x1000, 0x80000, false},
		{"O_NONE", 0x0, 0, true},
		{"O_TMPFILE", 0x2000, 0x400000 | nativeDirectory, false},
		{"O_F_CREATED", 0x4000, 0, true},
		{"FD_UPPER_LAYER", 0x8000, 0, true},
		{"FD_LOWER_LAYER", 0x10000, 0, true},
	},
}

// CreatFlagTable holds creat_flags.
var CreatFlagTable = &FlagTable{
	Name: "creat_flags",
	Values: []FlagValue{
		{"FD_UPPER_LAYER_CREAT", 0x1, 0, true},
		{"FD_LOWER_LAYER_CREAT", 0x2, 0, true},
	},
}

// CloneFlagTable holds clone_flags.
var CloneFlagTable = &FlagTable{
	Name: "clone_flags",
	Values: []FlagValue{
		{"CLONE_FILES", 0x1, 0x400, false},
		{"CLONE_FS", 0x2, 0x200, false},
		{"CLONE_IO", 0x4, 0x80000000, false},
		{"CLONE_NEWIPC", 0x8, 0x8000000, false},
		{"CLONE_NEWNET", 0x10, 0x40000000, false},
		{"CLONE_NEWNS", 0x20, 0x20000, false},
		{"CLONE_NEWPID", 0x40, 0x20000000, false},
		{"CLONE_NEWUTS", 0x80, 0x4000000, false},
		{"CLONE_PARENT", 0x100, 0x8000, false},
		{"CLONE_PARENT_SETTID", 0x200, 0x100000, false},
		{"CLONE_PTRACE", 0x400, 0x2000, false},
		{"CLONE_SIGHAND", 0x800, 0x800, false},
		{"CLONE_SYSVSEM", 0x1000, 0x40000, false},
		{"CLONE_THREAD", 0x2000, 0x10000, false},
		{"CLONE_UNTRACED", 0x4000, 0x800000, false},
		{"CLONE_VM", 0x8000, 0x100, false},
		{"CLONE_INVERTED", 0x10000, 0, true},
		{"NAME_CHANGED", 0x20000, 0, true},
		{"CLOSED", 0x40000, 0, true},
		{"CLONE_NEWUSER", 0x100000, 0x10000000, false},
		{"CLONE_CHILD_CLEARTID", 0x800000, 0x200000, false},
		{"CLONE_CHILD_SETTID", 0x1000000, 0x1000000, false},
		{"CLONE_SETTLS", 0x2000000, 0x80000, false},
		{"CLONE_STOPPED", 0x4000000, 0, true},
		{"CLONE_VFORK", 0x8000000, 0x4000, false},
		{"CLONE_NEWCGROUP", 0x10000000, 0x2000000, false},
		{"CLONE_CHILD_IN_PIDNS", 0x20000000, 0, true},
	},
}

// MountFlagTable holds mount_flags.
var MountFlagTable = &FlagTable{
	Name: "mount_flags",
	Values: []FlagValue{
		{"RDONLY", 0x1, 0x1, false},
		{"NOSUID", 0x2, 0x2, false},
		{"NODEV", 0x4, 0x4, false},
		{"NOEXEC", 0x8, 0x8, false},
		{"SYNCHRONOUS", 0x10, 0x10, false},
		{"REMOUNT", 0x20, 0x20, false},
		{"MANDLOCK", 0x40, 0x40, false},
		{"DIRSYNC", 0x80, 0x80, false},
		{"NOATIME", 0x400, 0x400, false},
		{"NODIRATIME", 0x800, 0x800, false},
		{"BIND", 0x1000, 0x1000, false},
		{"MOVE", 0x2000, 0x2000, false},
		{"REC", 0x4000, 0x4000, false},
		{"SILENT", 0x8000, 0x8000, false},
		{"POSIXACL", 0x10000, 0x10000, false},
		{"UNBINDABLE", 0x20000, 0x20000, false},
		{"PRIVATE", 0x40000, 0x40000, false},
		{"SLAVE", 0x80000, 0x80000, false},
		{"SHARED", 0x100000, 0x100000, false},
		{"RELATIME", 0x200000, 0x200000, false},
		{"KERNMOUNT", 0x400000, 0x400000, false},
		{"I_VERSION", 0x800000, 0x800000, false},
		{"STRICTATIME", 0x1000000, 0x1000000, false},
		{"LAZYTIME", 0x2000000, 0x2000000, false},
		{"NOSEC", 0x10000000, 0x10000000, false},
		{"BORN", 0x20000000, 0x20000000, false},
		{"ACTIVE", 0x40000000, 0x40000000, false},
		{"NOUSER", 0x80000000, 0x80000000, false},
	},
}

// UmountFlagTable holds umount_flags.
var UmountFlagTable = &FlagTable{
	Name: "umount_flags",
	Values: []FlagValue{
		{"FORCE", 0x1, 0x1, false},
		{"DETACH", 0x2, 0x2, false},
		{"EXPIRE", 0x4, 0x4, false},
		{"NOFOLLOW", 0x8, 0x8, false},
	},
}

// PtraceRequestTable holds ptrace_requests.
var PtraceRequestTable = &FlagTable{
	Name: "ptrace_requests",
	Enum: true,
	Values: []FlagValue{
		{"PTRACE_SINGLEBLOCK", 0x26, 0x21, false},
		{"PTRACE_SYSEMU_SINGLESTEP", 0x25, 0x20, false},
		{"PTRACE_SYSEMU", 0x24, 0x1f, false},
		{"PTRACE_ARCH_PRCTL", 0x23, 0x1e, false},
		{"PTRACE_SET_THREAD_AREA", 0x22, 0x1a, false},
		{"PTRACE_GET_THREAD_AREA", 0x21, 0x19, false},
		{"PTRACE_OLDSETOPTIONS", 0x20, 0x15, false},
		{"PTRACE_SETFPXREGS", 0x1f, 0x13, false},
		{"PTRACE_GETFPXREGS", 0x1e, 0x12, false},
		{"PTRACE_SETFPREGS", 0x1d, 0xf, false},
		{"PTRACE_GETFPREGS", 0x1c, 0xe, false},
		{"PTRACE_SETREGS", 0x1b, 0xd, false},
		{"PTRACE_GETREGS", 0x1a, 0xc, false},
		{"PTRACE_SETSIGMASK", 0x19, 0x420b, false},
		{"PTRACE_GETSIGMASK", 0x18, 0x420a, false},
		{"PTRACE_PEEKSIGINFO", 0x17, 0x4209, false},
		{"PTRACE_LISTEN", 0x16, 0x4208, false},
		{"PTRACE_INTERRUPT", 0x15, 0x4207, false},
		{"PTRACE_SEIZE", 0x14, 0x4206, false},
		{"PTRACE_SETREGSET", 0x13, 0x4205, false},
		{"PTRACE_GETREGSET", 0x12, 0x4204, false},
		{"PTRACE_SETSIGINFO", 0x11, 0x4203, false},
		{"PTRACE_GETSIGINFO", 0x10, 0x4202, false},
		{"PTRACE_GETEVENTMSG", 0xf, 0x4201, false},
		{"PTRACE_SETOPTIONS", 0xe, 0x4200, false},
		{"PTRACE_SYSCALL", 0xd, 0x18, false},
		{"PTRACE_DETACH", 0xc, 0x11, false},
		{"PTRACE_ATTACH", 0xb, 0x10, false},
		{"PTRACE_SINGLESTEP", 0xa, 0x9, false},
		{"PTRACE_KILL", 0x9, 0x8, false},
		{"PTRACE_CONT", 0x8, 0x7, false},
		{"PTRACE_POKEUSR", 0x7, 0x6, false},
		{"PTRACE_POKEDATA", 0x6, 0x5, false},
		{"PTRACE_POKETEXT", 0x5, 0x4, false},
		{"PTRACE_PEEKUSR", 0x4, 0x3, false},
		{"PTRACE_PEEKDATA", 0x3, 0x2, false},
		{"PTRACE_PEEKTEXT", 0x2, 0x1, false},
		{"PTRACE_TRACEME", 0x1, 0x0, false},
		{"PTRACE_UNKNOWN", 0x0, 0, true},
	},
}

// UnlinkAtFlagTable holds unlinkat_flags.
var UnlinkAtFlagTable = &FlagTable{
	Name: "unlinkat_flags",
	Values: []FlagValue{
		{"AT_REMOVEDIR", 0x200, 0x200, false},
	},
}

// LinkAtFlagTable holds linkat_flags.
var LinkAtFlagTable = &FlagTable{
	Name: "linkat_flags",
	Values: []FlagValue{
		{"AT_SYMLINK_FOLLOW", 0x400, 0x400, false},
		{"AT_EMPTY_PATH", 0x1000, 0x1000, false},
	},
}

// ChmodModeTable holds chmod_mode.
var ChmodModeTable = &FlagTable{
	Name: "chmod_mode",
	Values: []FlagValue{
		{"S_IXOTH", 0x1, 0x1, false},
		{"S_IWOTH", 0x2, 0x2, false},
		{"S_IROTH", 0x4, 0x4, false},
		{"S_IXGRP", 0x8, 0x8, false},
		{"S_IWGRP", 0x10, 0x10, false},
		{"S_IRGRP", 0x20, 0x20, false},
		{"S_IXUSR", 0x40, 0x40, false},
		{"S_IWUSR", 0x80, 0x80, false},
		{"S_IRUSR", 0x100, 0x100, false},
		{"S_ISVTX", 0x200, 0x200, false},
		{"S_ISGID", 0x400, 0x400, false},
		{"S_ISUID", 0x800, 0x800, false},
	},
}

// RenameAt2FlagTable holds renameat2_flags.
var RenameAt2FlagTable = &FlagTable{
	Name: "renameat2_flags",
	Values: []FlagValue{
		{"RENAME_NOREPLACE", 0x1, 0x1, false},
		{"RENAME_EXCHANGE", 0x2, 0x2, false},
		{"RENAME_WHITEOUT", 0x4, 0x4, false},
	},
}

// OpenAt2FlagTable holds openat2_flags.
var OpenAt2FlagTable = &FlagTable{
	Name: "openat2_flags",
	Values: []FlagValue{
		{"RESOLVE_BENEATH", 0x1, 0x1, false},
		{"RESOLVE_IN_ROOT", 0x2, 0x2, false},
		{"RESOLVE_NO_MAGICLINKS", 0x4, 0x4, false},
		{"RESOLVE_NO_SYMLINKS", 0x8, 0x8, false},
		{"RESOLVE_NO_XDEV", 0x10, 0x10, false},
		{"RESOLVE_CACHED", 0x20, 0x20, false},
	},
}

// ExecveFlagTable holds execve_flags.
var ExecveFlagTable = &FlagTable{
	Name: "execve_flags",
	Values: []FlagValue{
		{"EXE_WRITABLE", 0x1, 0, true},
		{"EXE_UPPER_LAYER", 0x2, 0, true},
		{"EXE_FROM_MEMFD", 0x4, 0, true},
		{"EXE_LOWER_LAYER", 0x8, 0, true},
	},
}

// FchownAtFlagTable holds fchownat_flags.
var FchownAtFlagTable = &FlagTable{
	Name: "fchownat_flags",
	Values: []FlagValue{
		{"AT_SYMLINK_NOFOLLOW", 0x400, 0x100, false},
		{"AT_EMPTY_PATH", 0x1000, 0x1000, false},
	},
}

// PrctlOptionTable holds prctl_options.
var PrctlOptionTable = &FlagTable{
	Name: "prctl_options",
	Enum: true,
	Values: []FlagValue{
		{"PR_GET_DUMPABLE", 0x3, 0x3, false},
		{"PR_SET_DUMPABLE", 0x4, 0x4, false},
		{"PR_GET_KEEPCAPS", 0x7, 0x7, false},
		{"PR_SET_KEEPCAPS", 0x8, 0x8, false},
		{"PR_SET_NAME", 0xf, 0xf, false},
		{"PR_GET_NAME", 0x10, 0x10, false},
		{"PR_GET_SECCOMP", 0x15, 0x15, false},
		{"PR_SET_SECCOMP", 0x16, 0x16, false},
		{"PR_CAPBSET_READ", 0x17, 0x17, false},
		{"PR_CAPBSET_DROP", 0x18, 0x18, false},
		{"PR_GET_SECUREBITS", 0x1b, 0x1b, false},
		{"PR_SET_SECUREBITS", 0x1c, 0x1c, false},
		{"PR_MCE_KILL", 0x21, 0x21, false},
		{"PR_SET_MM", 0x23, 0x23, false},
		{"PR_SET_CHILD_SUBREAPER", 0x24, 0x24, false},
		{"PR_GET_CHILD_SUBREAPER", 0x25, 0x25, false},
		{"PR_SET_NO_NEW_PRIVS", 0x26, 0x26, false},
		{"PR_GET_NO_NEW_PRIVS", 0x27, 0x27, false},
		{"PR_GET_TID_ADDRESS", 0x28, 0x28, false},
		{"PR_SET_THP_DISABLE", 0x29, 0x29, false},
		{"PR_GET_THP_DISABLE", 0x2a, 0x2a, false},
		{"PR_CAP_AMBIENT", 0x2f, 0x2f, false},
	},
}

// MemfdFlagTable holds memfd_create_flags.
var MemfdFlagTable = &FlagTable{
	Name: "memfd_create_flags",
	Values: []FlagValue{
		{"MFD_CLOEXEC", 0x1, 0x1, false},
		{"MFD_ALLOW_SEALING", 0x2, 0x2, false},
		{"MFD_HUGETLB", 0x4, 0x4, false},
	},
}

// BPFCommandTable holds bpf_commands.
var BPFCommandTable = &FlagTable{
	Name: "bpf_commands",
	Enum: true,
	Values: []FlagValue{
		{"BPF_MAP_CREATE", 0x0, 0x0, false},
		{"BPF_MAP_LOOKUP_ELEM", 0x1, 0x1, false},
		{"BPF_MAP_UPDATE_ELEM", 0x2, 0x2, false},
		{"BPF_MAP_DELETE_ELEM", 0x3, 0x3, false},
		{"BPF_MAP_GET_NEXT_KEY", 0x4, 0x4, false},
		{"BPF_PROG_LOAD", 0x5, 0x5, false},
		{"BPF_OBJ_PIN", 0x6, 0x6, false},
		{"BPF_OBJ_GET", 0x7, 0x7, false},
		{"BPF_PROG_ATTACH", 0x8, 0x8, false},
		{"BPF_PROG_DETACH", 0x9, 0x9, false},
		{"BPF_PROG_TEST_RUN", 0xa, 0xa, false},
		{"BPF_PROG_RUN", 0xa, 0xa, false},
		{"BPF_PROG_GET_NEXT_ID", 0xb, 0xb, false},
		{"BPF_MAP_GET_NEXT_ID", 0xc, 0xc, false},
		{"BPF_PROG_GET_FD_BY_ID", 0xd, 0xd, false},
		{"BPF_MAP_GET_FD_BY_ID", 0xe, 0xe, false},
		{"BPF_OBJ_GET_INFO_BY_FD", 0xf, 0xf, false},
		{"BPF_PROG_QUERY", 0x10, 0x10, false},
		{"BPF_RAW_TRACEPOINT_OPEN", 0x11, 0x11, false},
		{"BPF_BTF_LOAD", 0x12, 0x12, false},
		{"BPF_BTF_GET_FD_BY_ID", 0x13, 0x13, false},
		{"BPF_TASK_FD_QUERY", 0x14, 0x14, false},
		{"BPF_MAP_LOOKUP_AND_DELETE_ELEM", 0x15, 0x15, false},
		{"BPF_MAP_FREEZE", 0x16, 0x16, false},
		{"BPF_BTF_GET_NEXT_ID", 0x17, 0x17, false},
		{"BPF_MAP_LOOKUP_BATCH", 0x18, 0x18, false},
		{"BPF_MAP_LOOKUP_AND_DELETE_BATCH", 0x19, 0x19, false},
		{"BPF_MAP_UPDATE_BATCH", 0x1a, 0x1a, false},
		{"BPF_MAP_DELETE_BATCH", 0x1b, 0x1b, false},
		{"BPF_LINK_CREATE", 0x1c, 0x1c, false},
		{"BPF_LINK_UPDATE", 0x1d, 0x1d, false},
		{"BPF_LINK_GET_FD_BY_ID", 0x1e, 0x1e, false},
		{"BPF_LINK_GET_NEXT_ID", 0x1f, 0x1f, false},
		{"BPF_ENABLE_STATS", 0x20, 0x20, false},
		{"BPF_ITER_CREATE", 0x21, 0x21, false},
		{"BPF_LINK_DETACH", 0x22, 0x22, false},
		{"BPF_PROG_BIND_MAP", 0x23, 0x23, false},
	},
}

// FinitModuleFlagTable holds finit_module_flags.
var FinitModuleFlagTable = &FlagTable{
	Name: "finit_module_flags",
	Values: []FlagValue{
		{"MODULE_INIT_IGNORE_MODVERSIONS", 0x1, 0x1, false},
		{"MODULE_INIT_IGNORE_VERMAGIC", 0x2, 0x2, false},
		{"MODULE_INIT_COMPRESSED_FILE", 0x4, 0x4, false},
	},
}
