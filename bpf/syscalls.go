package bpf

import "github.com/windhover/windhover/internal/event"

// ABI is one of the system call tables of a kernel.
type ABI uint8

// The tables: that of the architecture; the 32-bit one (i386, ARM); x32, which exists
// on amd64 only.
const (
	ABI64 ABI = iota
	ABI32
	ABIX32

	NumABIs
)

// The kernel side counts and looks up system calls by slot: ABI*512 + number. The
// x32 table, which comes last, has numbers up to 547.
const (
	slotsPerABI = 512
	// NumSlots is the length of Counters.Syscalls.
	NumSlots = 2048
	// OtherSlot counts calls with a number beyond every table, and on x86 the returns
	// from signal handlers: the kernel takes the number of rt_sigreturn(2) away.
	OtherSlot = NumSlots - 1
)

// Slot returns the index of a system call in Counters.Syscalls.
func Slot(abi ABI, nr int) int {
	slot := int(abi)*slotsPerABI + nr
	if nr < 0 || slot >= OtherSlot || abi != ABIX32 && nr >= slotsPerABI {
		return OtherSlot
	}
	return slot
}

// SlotCall returns the system call that Slot gave slot to.
func SlotCall(slot int) (abi ABI, nr int) {
	abi = min(ABI(slot/slotsPerABI), ABIX32)
	return abi, slot - int(abi)*slotsPerABI
}

// SyscallName returns what this architecture calls system call nr of a table, or ""
// if there is none.
func SyscallName(abi ABI, nr int) string {
	if abi >= NumABIs || nr < 0 || nr >= len(tables[abi]) {
		return ""
	}
	return tables[abi][nr]
}

// SyscallType returns the type of the events that system call nr of a table makes,
// or event.Unknown. Calls that differ in the width of a number only, such as setuid
// and setuid32 of a 32-bit table, have the same type.
func SyscallType(abi ABI, nr int) event.Type {
	name := SyscallName(abi, nr)
	if wide, ok := wideNames[name]; ok && abi == ABI32 {
		name = wide
	}
	t, ok := event.TypeByName(name)
	if !ok || name == "" {
		return event.Unknown
	}
	return t
}

// wideNames are calls of a 32-bit table that take 32-bit IDs, by the name that the
// 64-bit table has for the same thing.
var wideNames = map[string]string{
	"chown32": "chown", "fchown32": "fchown", "lchown32": "lchown",
	"setuid32": "setuid", "setgid32": "setgid", "setreuid32": "setreuid", "setregid32": "setregid",
	"setresuid32": "setresuid", "setresgid32": "setresgid", "setfsuid32": "setfsuid", "setfsgid32": "setfsgid",
	"getuid32": "getuid", "getgid32": "getgid", "geteuid32": "geteuid", "getegid32": "getegid",
	"getresuid32": "getresuid", "getresgid32": "getresgid", "getgroups32": "getgroups", "setgroups32": "setgroups",
}
