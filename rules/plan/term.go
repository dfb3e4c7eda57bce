package plan

import (
	"net/netip"
	"strconv"
	"sync"

	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/field"
	"github.com/windhover/windhover/rules/ir"
)

// The functions that read a term. What they build is in the event's scratch memory.
type (
	textFunc  func(*event.Event) ([]byte, bool)
	intFunc   func(*event.Event) (int64, bool)
	addrFunc  func(*event.Event) (netip.Addr, bool)
	textsFunc func(ev *event.Event, dst [][]byte) ([][]byte, bool)
	intsFunc  func(ev *event.Event, dst []int64) []int64
	addrsFunc func(ev *event.Event, dst []netip.Addr) []netip.Addr
)

func isText(k field.Kind) bool {
	return k == field.KindText || k == field.KindPath || k == field.KindBytes
}

func isAddr(k field.Kind) bool { return k == field.KindIP || k == field.KindNet }

// textOf returns the function that reads t, which has at most one value and is a text.
func textOf(t *ir.Term) textFunc {
	if t.Field != nil {
		return t.Field.Text
	}
	switch t.Func {
	case ir.Literal:
		b := []byte(t.Text)
		return func(*event.Event) ([]byte, bool) { return b, true }
	case ir.Concat:
		return concat(t.Args)
	case ir.Join:
		return join(textOf(t.Args[0]), listOf(t.Args[1]))
	case ir.Getopt:
		return getoptOne(listOf(t.Args[0]), textOf(t.Args[1]), t.Text[0])
	}
	get, apply := textOf(t.Args[0]), transform(t.Func)
	return func(ev *event.Event) ([]byte, bool) {
		v, ok := get(ev)
		if !ok {
			return nil, false
		}
		return apply(ev, v)
	}
}

// transform returns a transformer of one text into one text.
func transform(f ir.Func) func(ev *event.Event, v []byte) ([]byte, bool) {
	switch f {
	case ir.ToLower:
		return func(ev *event.Event, v []byte) ([]byte, bool) {
			start := len(ev.Scratch)
			ev.Scratch = field.AppendLower(ev.Scratch, v)
			return built(ev, start), true
		}
	case ir.ToUpper:
		return func(ev *event.Event, v []byte) ([]byte, bool) {
			start := len(ev.Scratch)
			ev.Scratch = field.AppendUpper(ev.Scratch, v)
			return built(ev, start), true
		}
	case ir.Basename:
		return func(_ *event.Event, v []byte) ([]byte, bool) { return field.Basename(v), true }
	case ir.Base64:
		return func(ev *event.Event, v []byte) ([]byte, bool) {
			start := len(ev.Scratch)
			var ok bool
			ev.Scratch, ok = field.AppendBase64Decoded(ev.Scratch, v)
			return built(ev, start), ok
		}
	}
	panic("BUG: plan: transformer " + f.String())
}

// built returns what was appended to the event's scratch memory since it had start
// bytes.
func built(ev *event.Event, start int) []byte {
	return ev.Scratch[start:len(ev.Scratch):len(ev.Scratch)]
}

func concat(args []*ir.Term) textFunc {
	gets := make([]textFunc, len(args))
	for i, a := range args {
		gets[i] = textOf(a)
	}
	return func(ev *event.Event) ([]byte, bool) {
		room := textRoom.Get().(*[][]byte)
		defer textRoom.Put(room)
		vs := (*room)[:0]
		for _, get := range gets {
			v, ok := get(ev)
			if !ok {
				return nil, false
			}
			vs = append(vs, v)
		}
		*room = vs
		return joined(ev, nil, vs), true
	}
}

func join(separator textFunc, list textsFunc) textFunc {
	return func(ev *event.Event) ([]byte, bool) {
		sep, ok := separator(ev)
		if !ok {
			return nil, false
		}
		room := textRoom.Get().(*[][]byte)
		defer textRoom.Put(room)
		if *room, ok = list(ev, (*room)[:0]); !ok {
			return nil, false
		}
		return joined(ev, sep, *room), true
	}
}

func joined(ev *event.Event, sep []byte, vs [][]byte) []byte {
	start := len(ev.Scratch)
	for i, v := range vs {
		if i > 0 {
			ev.Scratch = append(ev.Scratch, sep...)
		}
		ev.Scratch = append(ev.Scratch, v...)
	}
	return built(ev, start)
}

// listOf returns the function that appends every value of t as a text. It reports
// false if there is no value at all, not even an empty list.
func listOf(t *ir.Term) textsFunc {
	switch {
	case t.Field != nil && t.Match == field.MatchOne:
		one := textOrNumber(t)
		return func(ev *event.Event, dst [][]byte) ([][]byte, bool) {
			v, ok := one(ev)
			if !ok {
				return dst, false
			}
			return append(dst, v), true
		}
	case t.Field != nil && isText(t.Kind):
		all := t.Field.AppendText
		return func(ev *event.Event, dst [][]byte) ([][]byte, bool) {
			n := len(dst)
			dst = all(ev, dst)
			return dst, len(dst) > n
		}
	case t.Field != nil && isAddr(t.Kind):
		all := addrsOf(t)
		return func(ev *event.Event, dst [][]byte) ([][]byte, bool) {
			b := addrRoom.Get().(*[]netip.Addr)
			*b = all(ev, (*b)[:0])
			for _, a := range *b {
				start := len(ev.Scratch)
				ev.Scratch = a.AppendTo(ev.Scratch)
				dst = append(dst, built(ev, start))
			}
			ok := len(*b) > 0
			addrRoom.Put(b)
			return dst, ok
		}
	case t.Field != nil:
		all := intsOf(t)
		return func(ev *event.Event, dst [][]byte) ([][]byte, bool) {
			b := intRoom.Get().(*[]int64)
			*b = all(ev, (*b)[:0])
			for _, n := range *b {
				start := len(ev.Scratch)
				ev.Scratch = strconv.AppendInt(ev.Scratch, n, 10)
				dst = append(dst, built(ev, start))
			}
			ok := len(*b) > 0
			intRoom.Put(b)
			return dst, ok
		}
	case t.Func == ir.Literal && t.Match == field.MatchList:
		return literalList(t.Items)
	case t.Func == ir.Getopt && !t.Scalar:
		return getoptList(listOf(t.Args[0]), textOf(t.Args[1]))
	case t.Match == field.MatchOne:
		one := textOf(t)
		return func(ev *event.Event, dst [][]byte) ([][]byte, bool) {
			v, ok := one(ev)
			if !ok {
				return dst, false
			}
			return append(dst, v), true
		}
	}
	list, apply := listOf(t.Args[0]), transform(t.Func)
	return func(ev *event.Event, dst [][]byte) ([][]byte, bool) {
		n := len(dst)
		dst, ok := list(ev, dst)
		kept := dst[:n]
		for _, v := range dst[n:] {
			if v, ok := apply(ev, v); ok {
				kept = append(kept, v)
			}
		}
		return kept, ok
	}
}

// textOrNumber reads a text or a number, as a text.
func textOrNumber(t *ir.Term) textFunc {
	if isText(t.Kind) {
		return textOf(t)
	}
	get, unsigned := intOf(t), t.Kind != field.KindInt
	return func(ev *event.Event) ([]byte, bool) {
		n, ok := get(ev)
		if !ok {
			return nil, false
		}
		start := len(ev.Scratch)
		if unsigned {
			ev.Scratch = strconv.AppendUint(ev.Scratch, uint64(n), 10)
		} else {
			ev.Scratch = strconv.AppendInt(ev.Scratch, n, 10)
		}
		return built(ev, start), true
	}
}

// literalList reads a list that the rule writes out. An item without a value makes the
// list have none.
func literalList(items []*ir.Term) textsFunc {
	lists := make([]textsFunc, len(items))
	for i, t := range items {
		if t.Match == field.MatchOne {
			one := textOrNumber(t)
			lists[i] = func(ev *event.Event, dst [][]byte) ([][]byte, bool) {
				v, ok := one(ev)
				return append(dst, v), ok
			}
			continue
		}
		lists[i] = listOf(t)
	}
	return func(ev *event.Event, dst [][]byte) ([][]byte, bool) {
		n := len(dst)
		for _, list := range lists {
			var ok bool
			if dst, ok = list(ev, dst); !ok {
				return dst[:n], false
			}
		}
		return dst, true
	}
}

// intOf returns the function that reads t, which has at most one value and is a number.
func intOf(t *ir.Term) intFunc {
	if t.Field != nil {
		return t.Field.Int
	}
	if t.Func != ir.Len {
		panic("BUG: plan: transformer " + t.Func.String() + " gives no number")
	}
	a := t.Args[0]
	if a.Match != field.MatchOne {
		list := listOf(a)
		return func(ev *event.Event) (int64, bool) {
			room := textRoom.Get().(*[][]byte)
			vs, ok := list(ev, (*room)[:0])
			*room = vs
			textRoom.Put(room)
			return int64(len(vs)), ok
		}
	}
	get, buffer := textOf(a), a.Kind == field.KindBytes
	return func(ev *event.Event) (int64, bool) {
		v, ok := get(ev)
		if buffer {
			return int64(len(v)), ok
		}
		return int64(field.TextLen(v)), ok
	}
}

// intsOf returns the function that appends every value of t.
func intsOf(t *ir.Term) intsFunc {
	if t.Match == field.MatchOne {
		get := intOf(t)
		return func(ev *event.Event, dst []int64) []int64 {
			if n, ok := get(ev); ok {
				dst = append(dst, n)
			}
			return dst
		}
	}
	if t.Field != nil {
		return t.Field.AppendInt
	}
	// The length of each of several texts.
	list := listOf(t.Args[0])
	return func(ev *event.Event, dst []int64) []int64 {
		room := textRoom.Get().(*[][]byte)
		*room, _ = list(ev, (*room)[:0])
		for _, v := range *room {
			dst = append(dst, int64(field.TextLen(v)))
		}
		textRoom.Put(room)
		return dst
	}
}

func addrOf(t *ir.Term) addrFunc { return t.Field.IP }

func addrsOf(t *ir.Term) addrsFunc {
	if t.Match != field.MatchOne {
		return t.Field.AppendIP
	}
	get := addrOf(t)
	return func(ev *event.Event, dst []netip.Addr) []netip.Addr {
		if a, ok := get(ev); ok {
			dst = append(dst, a)
		}
		return dst
	}
}

// Memory for values of fields that have several.
var (
	textRoom = sync.Pool{New: func() any { b := make([][]byte, 0, 64); return &b }}
	intRoom  = sync.Pool{New: func() any { b := make([]int64, 0, 64); return &b }}
	addrRoom = sync.Pool{New: func() any { b := make([]netip.Addr, 0, 8); return &b }}
)
