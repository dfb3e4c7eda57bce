package bpf

import "github.com/windhover/windhover/internal/event"

// The bits of a slot, as in include/maps.h.
const (
	slotIdentity = 0x4000
	slotWanted   = 0x8000
)

// identityCalls change what a snapshot of a process holds.
var identityCalls = event.TypesOf(
	event.Chdir, event.Fchdir, event.Chroot, event.SetNS, event.Unshare, event.Prctl,
	event.SetUID, event.SetGID, event.SetREUID, event.SetREGID, event.SetRESUID, event.SetRESGID,
	named("setsid"), named("setpgid"), named("capset"), named("setfsuid"), named("setfsgid"), named("setgroups"), named("pivot_root"),
)

func named(name string) event.Type {
	t, ok := event.TypeByName(name)
	if !ok {
		panic("BUG: bpf: no event type " + name)
	}
	return t
}

// socketCalls are the types of socketcall(2) on i386, by its first argument:
// include/uapi/linux/net.h.
var socketCalls = map[int]event.Type{2: event.Bind, 3: event.Connect, 4: event.Listen, 5: event.Accept, 18: event.Accept4}

// tables is what SetWanted gives to the kernel.
type kernelTables struct {
	slots       [NumSlots]uint16
	socketcalls [32]uint16
	programs    map[event.Type]string // by type
}

// wantedTables makes the kernel's tables for a set of wanted types.
func wantedTables(types event.TypeSet) kernelTables {
	t := kernelTables{programs: map[event.Type]string{}}
	socketcall := named("socketcall")
	demultiplex := false
	for nr, typ := range socketCalls {
		if types.Has(typ) {
			t.socketcalls[nr] = uint16(typ) | slotWanted
			demultiplex = true
		}
	}
	for slot := range OtherSlot {
		abi, nr := SlotCall(slot)
		typ := SyscallType(abi, nr)
		if typ == event.Unknown {
			continue
		}
		// The type is there in any case: the hooks of the scheduler ask for it.
		word := uint16(typ)
		if identityCalls.Has(typ) {
			word |= slotIdentity
		}
		switch program := kernelProgram(typ); {
		case typ == socketcall && demultiplex:
			word |= slotWanted
			t.programs[typ] = "socketcall"
		case types.Has(typ) && program != "":
			word |= slotWanted
			t.programs[typ] = program
		}
		t.slots[slot] = word
	}
	return t
}

// kernelProgram returns the program that dispatch calls for a type.
func kernelProgram(t event.Type) string {
	switch p := t.Spec().Program; p {
	case event.ProgramExec, event.ProgramFork, event.ProgramGeneric:
		return "generic"
	case event.ProgramOpen, event.ProgramSocket:
		return string(p)
	default:
		return ""
	}
}

// descriptor is struct descriptor in include/maps.h.
type descriptor struct {
	NArgs, Lane, Strings, Object, Addr uint8
	Path, Dir                          [2]uint8
	Traits                             uint8
}

const objectRet = 7

// Traits of a descriptor, as in include/maps.h.
const (
	traitOnlyFailed = 1 << iota
	traitPrctl
	traitChdir
	traitChroot
	traitOpenHow
	traitClient
	traitServer
	traitCloneArgs
)

var typeTraits = map[event.Type]uint8{
	event.Prctl:   traitPrctl,
	event.Chdir:   traitChdir,
	event.Chroot:  traitChroot,
	event.OpenAt2: traitOpenHow,
	event.Connect: traitClient,
	event.Accept:  traitServer,
	event.Accept4: traitServer,
	event.Clone3:  traitCloneArgs,
}

// descriptors translates the event table for the kernel side.
func descriptors() [event.MaxTypes]descriptor {
	var ds [event.MaxTypes]descriptor
	for _, spec := range event.Specs() {
		d := descriptor{NArgs: uint8(spec.NArgs), Lane: uint8(spec.Lane), Traits: typeTraits[spec.Type]}
		for _, p := range spec.Params {
			if i, ok := p.From.StrIndex(); ok {
				d.Strings |= 1 << i
			}
		}
		for i, p := range spec.Paths {
			d.Strings |= 1 << p.Arg
			d.Path[i] = uint8(p.Arg + 1)
			if p.Dir != event.CWD {
				d.Dir[i] = uint8(p.Dir + 1)
			}
		}
		if i, ok := spec.Object.ArgIndex(); ok {
			d.Object = uint8(i + 1)
		} else if spec.Object == event.Ret {
			d.Object = objectRet
		}
		if i, ok := spec.SockAddr.ArgIndex(); ok {
			d.Addr = uint8(i + 1)
		}
		if spec.Program == event.ProgramExec || spec.Program == event.ProgramFork {
			d.Traits |= traitOnlyFailed
		}
		ds[spec.Type] = d
	}
	return ds
}
