//go:build amd64 || arm64

package bpf

import (
	"runtime"
	"testing"

	"github.com/windhover/windhover/internal/event"
)

func TestSlotsAreUnique(t *testing.T) {
	t.Parallel()
	seen := map[int]string{}
	for abi := range NumABIs {
		for nr, name := range tables[abi] {
			if name == "" {
				continue
			}
			slot := Slot(abi, nr)
			if other, ok := seen[slot]; ok || slot == OtherSlot {
				t.Errorf("Slot(%d, %d) = %d for %s, which is that of %q or of all others", abi, nr, slot, name, other)
			}
			seen[slot] = name
			if gotABI, gotNR := SlotCall(slot); gotABI != abi || gotNR != nr {
				t.Errorf("SlotCall(%d) = %d, %d, want %d, %d", slot, gotABI, gotNR, abi, nr)
			}
		}
	}
	for _, nr := range []int{-1, 512, 1 << 30} {
		if got := Slot(ABI64, nr); got != OtherSlot {
			t.Errorf("Slot(ABI64, %d) = %d, want %d", nr, got, OtherSlot)
		}
	}
}

func TestSyscallType(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		arch string
		abi  ABI
		nr   int
		want event.Type
	}{
		{"openat of amd64", "amd64", ABI64, 257, event.OpenAt},
		{"openat of i386", "amd64", ABI32, 295, event.OpenAt},
		{"execve of x32 has a number of its own", "amd64", ABIX32, 520, event.Execve},
		{"the 64-bit number of execve is not one of x32", "amd64", ABIX32, 59, event.Unknown},
		{"open of x32 has the 64-bit number", "amd64", ABIX32, 2, event.Open},
		{"setuid with 16-bit IDs", "amd64", ABI32, 23, event.SetUID},
		{"setuid with 32-bit IDs", "amd64", ABI32, 213, event.SetUID},
		{"openat of arm64", "arm64", ABI64, 56, event.OpenAt},
		{"openat of 32-bit ARM", "arm64", ABI32, 322, event.OpenAt},
		{"fchmodat2 has one number everywhere", runtime.GOARCH, ABI32, 452, event.FchmodAt2},
		{"a number beyond the table", runtime.GOARCH, ABI64, 4000, event.Unknown},
		{"a table that does not exist", runtime.GOARCH, NumABIs, 1, event.Unknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if tt.arch != runtime.GOARCH {
				t.Skipf("a number of %s", tt.arch)
			}
			if got := SyscallType(tt.abi, tt.nr); got != tt.want {
				t.Errorf("SyscallType(%d, %d) = %v, want %v", tt.abi, tt.nr, got, tt.want)
			}
		})
	}
}

// Every type that stands for a system call must be one that some table has, or it could
// be wanted and never come.
func TestEveryNamedTypeIsASystemCall(t *testing.T) {
	t.Parallel()
	have := map[event.Type]bool{}
	for abi := range NumABIs {
		for nr := range tables[abi] {
			have[SyscallType(abi, nr)] = true
		}
	}
	for typ := event.Execve; typ < event.PluginEvent; typ++ {
		legacy := map[event.Type]bool{event.Umount: true}
		if !have[typ] && !legacy[typ] && runtime.GOARCH == "amd64" {
			t.Errorf("no system call makes events of type %s", typ)
		}
	}
}
