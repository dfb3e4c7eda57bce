package field

import (
	"math"
	"net/netip"
	"strconv"

	"github.com/windhover/windhover/internal/event"
)

// isText, isIP: which accessor a kind has. All others are numbers.
func (k Kind) isText() bool { return k == KindText || k == KindPath || k == KindBytes }
func (k Kind) isIP() bool   { return k == KindIP || k == KindNet }

// String returns the kind in one word, for people.
func (k Kind) String() string { return kindNames[k] }

var kindNames = [...]string{
	KindText: "text", KindPath: "path", KindBytes: "bytes", KindInt: "int", KindUint: "uint", KindBool: "bool",
	KindTime: "time", KindDuration: "duration", KindPort: "port", KindFloat: "float", KindIP: "ip", KindNet: "network",
}

// AppendValueText appends the value of f on ev as outputs show it, and reports false
// if there is none. Lists are in parentheses; a field that stands for every ancestor
// shows them separated by spaces. Texts are built in dst and the event's scratch
// memory, without allocating unless one is full; lists of numbers are not.
func AppendValueText(dst []byte, f *Field, ev *event.Event) ([]byte, bool) {
	if f.Match != MatchOne {
		return appendListText(dst, f, ev)
	}
	switch {
	case f.Kind == KindBytes:
		b, ok := f.Text(ev)
		if !ok {
			return dst, false
		}
		return appendPrintable(dst, b), true
	case f.Kind.isText():
		b, ok := f.Text(ev)
		return append(dst, b...), ok
	case f.Kind.isIP():
		ip, ok := f.IP(ev)
		if !ok {
			return dst, false
		}
		return ip.AppendTo(dst), true
	}
	n, ok := f.Int(ev)
	if !ok {
		return dst, false
	}
	return f.appendInt(dst, n), true
}

// appendInt appends a number of f as outputs show it.
func (f *Field) appendInt(dst []byte, n int64) []byte {
	switch {
	case f.Print != PrintDec:
		return appendNumber(dst, n, f.Print)
	case f.Kind == KindBool:
		return strconv.AppendBool(dst, n != 0)
	case f.Kind == KindFloat:
		return strconv.AppendFloat(dst, math.Float64frombits(uint64(n)), 'f', 1, 64)
	case f.Kind == KindInt:
		return strconv.AppendInt(dst, n, 10)
	}
	return strconv.AppendUint(dst, uint64(n), 10)
}

// separators of a list in an output.
func (f *Field) separators() (first, between, last string) {
	if f.Match == MatchAny {
		return "", " ", ""
	}
	return "(", ",", ")"
}

func appendListText(dst []byte, f *Field, ev *event.Event) ([]byte, bool) {
	start := len(dst)
	first, between, last := f.separators()
	dst = append(dst, first...)
	found := false
	switch {
	case f.AppendText != nil:
		from := len(ev.ScratchList)
		ev.ScratchList = f.AppendText(ev, ev.ScratchList)
		for i, b := range ev.ScratchList[from:] {
			if found = true; i > 0 {
				dst = append(dst, between...)
			}
			dst = append(dst, b...)
		}
		ev.ScratchList = ev.ScratchList[:from]
	case f.AppendIP != nil:
		var memory [2]netip.Addr
		for i, ip := range f.AppendIP(ev, memory[:0]) {
			if found = true; i > 0 {
				dst = append(dst, between...)
			}
			dst = ip.AppendTo(dst)
		}
	default:
		var memory [8]int64
		for i, n := range f.AppendInt(ev, memory[:0]) {
			if found = true; i > 0 {
				dst = append(dst, between...)
			}
			dst = f.appendInt(dst, n)
		}
	}
	if !found {
		return dst[:start], false
	}
	return append(dst, last...), true
}

// Value returns the value of f on ev, owned by the caller. A clock's reading is the
// time itself; a number that is not written in decimal is a text, as it is in Falco's
// alerts.
func (f *Field) Value(ev *event.Event) Value {
	v := Value{Kind: f.Kind}
	switch {
	case f.Clock:
		v.Kind, v.Int, v.Valid = KindTime, ev.Time, true
	case f.Match == MatchList:
		v.List, v.Valid = f.list(ev)
	case f.Match != MatchOne || f.Print == PrintHex || f.Print == PrintOct || f.Kind == KindBytes:
		b, ok := AppendValueText(nil, f, ev)
		if f.Kind != KindBytes {
			v.Kind = KindText
		}
		v.Text, v.Valid = string(b), ok
	case f.Kind.isText():
		b, ok := f.Text(ev)
		v.Text, v.Valid = string(b), ok
	case f.Kind.isIP():
		v.IP, v.Valid = f.IP(ev)
	default:
		v.Int, v.Valid = f.Int(ev)
	}
	return v
}

// list returns every value of f as text.
func (f *Field) list(ev *event.Event) ([]string, bool) {
	var list []string
	switch {
	case f.AppendText != nil:
		for _, b := range f.AppendText(ev, nil) {
			list = append(list, string(b))
		}
	case f.AppendIP != nil:
		for _, ip := range f.AppendIP(ev, nil) {
			list = append(list, ip.String())
		}
	default:
		for _, n := range f.AppendInt(ev, nil) {
			list = append(list, string(f.appendInt(nil, n)))
		}
	}
	return list, list != nil
}

// AppendScratchList appends every value of a list of numbers or addresses, as text, to
// the list scratch of ev. It reports false if there is none.
func (f *Field) AppendScratchList(ev *event.Event) bool {
	from := len(ev.ScratchList)
	add := func(start int) {
		ev.ScratchList = append(ev.ScratchList, tail(ev, start))
	}
	switch {
	case f.AppendIP != nil:
		for _, ip := range f.AppendIP(ev, nil) {
			start := len(ev.Scratch)
			ev.Scratch = ip.AppendTo(ev.Scratch)
			add(start)
		}
	case f.AppendInt != nil:
		for _, n := range f.AppendInt(ev, nil) {
			start := len(ev.Scratch)
			ev.Scratch = f.appendInt(ev.Scratch, n)
			add(start)
		}
	}
	return len(ev.ScratchList) > from
}
