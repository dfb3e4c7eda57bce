//go:build amd64 || arm64

package bpf

import (
	"errors"
	"strings"
	"testing"

	"github.com/windhover/windhover/internal/event"
)

// The programs copy arguments behind the header and then write over those that the
// type does not report: what a descriptor refers to must be before that.
func TestDescriptorsReferToArgumentsThatAreReported(t *testing.T) {
	t.Parallel()
	for typ, d := range descriptors() {
		refers := func(what string, arg int) {
			if arg >= int(d.NArgs) {
				t.Errorf("%s: %s is argument %d of %d", event.Type(typ), what, arg, d.NArgs)
			}
		}
		for arg := range 8 {
			if d.Strings&(1<<arg) != 0 {
				refers("a string", arg)
			}
		}
		for i := range d.Path {
			if d.Path[i] != 0 {
				refers("a path", int(d.Path[i])-1)
			}
			if d.Dir[i] != 0 {
				refers("a directory", int(d.Dir[i])-1)
			}
		}
		if d.Object != 0 && d.Object != objectRet {
			refers("the object", int(d.Object)-1)
		}
		if d.Addr != 0 {
			refers("the address", int(d.Addr)-1)
			if d.Addr != 2 || d.NArgs < 3 {
				t.Errorf("%s: the address is argument %d and its length not the next: the socket program expects 1 and 2", event.Type(typ), d.Addr-1)
			}
		}
		if d.NArgs > 6 {
			t.Errorf("%s: %d arguments", event.Type(typ), d.NArgs)
		}
	}
}

func TestWantedTables(t *testing.T) {
	t.Parallel()
	slot := func(tables kernelTables, typ event.Type) uint16 {
		for slot, word := range tables.slots {
			if event.Type(word&^(slotWanted|slotIdentity)) == typ && slot < slotsPerABI {
				return word
			}
		}
		return 0
	}
	for _, tt := range []struct {
		name     string
		wanted   []event.Type
		typ      event.Type
		bits     uint16
		programs map[event.Type]string
	}{
		{"nothing is wanted", nil, event.OpenAt, 0, nil},
		{"a change of the working directory is noticed all the same", nil, event.Chdir, slotIdentity, nil},
		{"an exec is known to the hook of the scheduler", nil, event.Execve, 0, nil},
		{"openat is wanted", []event.Type{event.OpenAt}, event.OpenAt, slotWanted, map[event.Type]string{event.OpenAt: "open"}},
		{"setuid is wanted and changes the process", []event.Type{event.SetUID}, event.SetUID, slotWanted | slotIdentity, map[event.Type]string{event.SetUID: "generic"}},
		{"a failed exec is wanted", []event.Type{event.Execve}, event.Execve, slotWanted, map[event.Type]string{event.Execve: "generic"}},
		{"what no kernel makes is not asked for", []event.Type{event.PluginEvent, event.Proc, event.ProcExit}, event.OpenAt, 0, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := wantedTables(event.TypesOf(tt.wanted...))
			if word := slot(got, tt.typ); word != uint16(tt.typ)|tt.bits {
				t.Errorf("slot of %s = %#x, want %#x", tt.typ, word, uint16(tt.typ)|tt.bits)
			}
			if len(got.programs) != len(tt.programs) {
				t.Errorf("programs = %v, want %v", got.programs, tt.programs)
			}
			for typ, name := range tt.programs {
				if got.programs[typ] != name {
					t.Errorf("program of %s = %q, want %q", typ, got.programs[typ], name)
				}
			}
		})
	}
}

func TestTypesFitIntoASlot(t *testing.T) {
	t.Parallel()
	if event.MaxTypes-1 >= slotIdentity {
		t.Errorf("%d types do not fit beside the bits of a slot", event.MaxTypes)
	}
}

func TestErrorsSayWhatToDo(t *testing.T) {
	t.Parallel()
	cause := errors.New("cannot allocate memory")
	for _, tt := range []struct {
		name string
		err  error
		want []string
	}{
		{"a capability", &MissingCapabilityError{Missing: []string{"CAP_BPF", "CAP_PERFMON"}}, []string{"CAP_BPF and CAP_PERFMON", "root"}},
		{"a kernel feature", &NotSupportedError{Feature: "BPF helper bpf_loop", Since: "Linux 5.17"}, []string{"bpf_loop", "Linux 5.17"}},
		{"memory", &NoMemoryError{Bytes: 24 << 20, Err: cause}, []string{"24576 KiB", cause.Error(), "smaller rings"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, want := range tt.want {
				if got := tt.err.Error(); !strings.Contains(got, want) {
					t.Errorf("error = %q, want %q in it", got, want)
				}
			}
		})
	}
	if err := error(&NoMemoryError{Err: cause}); !errors.Is(err, cause) {
		t.Errorf("%v does not wrap its cause", err)
	}
}
