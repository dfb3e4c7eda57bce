package field

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/windhover/windhover/internal/event"
)

// Syscall is the source type of Linux system calls.
const Syscall = "syscall"

// group is one class of fields, of one owner. Groups are asked in order: the first
// one that has a field whose name starts the text decides what the text means.
type group struct {
	class   string
	sources []string // nil: every source
	fields  []*Field
}

// groups lists every field there is.
func groups() []group {
	syscall := []string{Syscall}
	gs := []group{
		{"evt", nil, genericFields},
		{"evt", nil, pluginFields},
		{"evt", syscall, evtFields},
		{"process", syscall, procFields},
		{"user", syscall, userFields},
		{"group", syscall, groupFields},
		{"fd", syscall, fdFields},
		{"fs.path", syscall, pathFields},
		{"container", syscall, containerFields},
		{"k8smeta", syscall, k8smetaFields},
	}
	gs = append(gs, k8sauditGroups()...)
	gs = append(gs, jsonGroups()...)
	gs = append(gs, group{"log", logSources, logFields})
	return append(gs, undeliveredGroups()...)
}

var table = func() []*Field {
	gs := groups()
	var classes []string
	for _, g := range gs {
		if !slices.Contains(classes, g.class) {
			classes = append(classes, g.class)
		}
	}
	var t []*Field
	seen := make(map[string]bool)
	for _, class := range classes {
		for _, g := range gs {
			if g.class == class {
				t = g.appendTo(t, seen)
			}
		}
	}
	return t
}()

// appendTo completes the fields of g and appends them to t. A field that a source
// delivers comes before its row among the undelivered ones, and replaces it.
func (g group) appendTo(t []*Field, seen map[string]bool) []*Field {
	for _, f := range g.fields {
		if seen[f.Name] && f.Missing {
			continue
		}
		if seen[f.Name] {
			panic("BUG: field: two fields named " + f.Name)
		}
		seen[f.Name] = true
		f.Class = g.class
		if f.Sources == nil {
			f.Sources = g.sources
		}
		if f.Missing {
			setMissing(f)
		}
		t = append(t, f)
	}
	return t
}

// setMissing gives f the accessors of a field that never has a value, and a Bind
// that takes any argument.
func setMissing(f *Field) {
	f.Text, f.Int, f.IP = nil, nil, nil
	f.AppendText, f.AppendInt, f.AppendIP = nil, nil, nil
	one := f.Match == MatchOne
	switch f.Kind {
	case KindText, KindPath, KindBytes:
		if one {
			f.Text = func(*event.Event) ([]byte, bool) { return nil, false }
		} else {
			f.AppendText = func(_ *event.Event, dst [][]byte) [][]byte { return dst }
		}
	case KindIP, KindNet:
		if one {
			f.IP = func(*event.Event) (netip.Addr, bool) { return netip.Addr{}, false }
		} else {
			f.AppendIP = func(_ *event.Event, dst []netip.Addr) []netip.Addr { return dst }
		}
	default:
		if one {
			f.Int = func(*event.Event) (int64, bool) { return 0, false }
		} else {
			f.AppendInt = func(_ *event.Event, dst []int64) []int64 { return dst }
		}
	}
	if f.Arg != ArgNone && f.Bind == nil {
		bindable(f, func(*Field, string) error { return nil })
	}
}

// bindable returns f with a Bind that copies it and lets bind set the accessors of
// the copy.
func bindable(f *Field, bind func(b *Field, arg string) error) *Field {
	f.Bind = func(arg string) (*Field, error) {
		if arg == "" {
			return nil, errEmptyArg
		}
		b := f.bound(arg)
		if err := bind(b, arg); err != nil {
			return nil, err
		}
		return b, nil
	}
	return f
}

// bound returns a copy of f with its argument; the caller sets the accessors.
func (f *Field) bound(arg string) *Field {
	b := *f
	b.Key, b.Bound = arg, true
	return &b
}

// Table returns every field, by class and in the order of the reference. The caller
// must not change it.
func Table() []*Field { return table }

// In reports whether events of that source type have the field.
func (f *Field) In(sourceType string) bool {
	return f.Sources == nil || slices.Contains(f.Sources, sourceType)
}

// String returns the field as rules write it, with its argument.
func (f *Field) String() string {
	switch {
	case !f.Bound:
		return f.Name
	case f.Dotted && isDottable(f.Key):
		return f.Name + "." + f.Key
	case strings.ContainsAny(f.Key, " \t\r\n[]\"'"):
		return f.Name + "[" + quoted(f.Key) + "]"
	default:
		return f.Name + "[" + f.Key + "]"
	}
}

// quoted returns s in quotes, as the rule language reads it.
func quoted(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	b.WriteByte('"')
	return b.String()
}

// isDottable reports whether an argument may follow a dot: names may, positions may
// not.
func isDottable(arg string) bool {
	if arg == "" || arg[0] >= '0' && arg[0] <= '9' {
		return false
	}
	for i := range len(arg) {
		if !isNameByte(arg[i]) {
			return false
		}
	}
	return true
}
