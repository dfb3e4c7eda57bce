package plan

import (
	"encoding/binary"
	"strconv"
	"unsafe"

	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/field"
	"github.com/windhover/windhover/rules/ir"
)

// folder cuts conditions down to what is left to decide for events of one type.
type folder struct {
	t    *event.Type
	done map[ir.Expr]ir.Expr
}

// fold simplifies x, for events of type t if t is given.
func fold(x ir.Expr, t *event.Type) ir.Expr {
	f := folder{t: t, done: map[ir.Expr]ir.Expr{}}
	return f.fold(x)
}

var (
	never  = &ir.Const{Value: false}
	always = &ir.Const{Value: true}
)

func constant(v bool) ir.Expr {
	if v {
		return always
	}
	return never
}

func (f *folder) fold(x ir.Expr) ir.Expr {
	if y, ok := f.done[x]; ok {
		return y
	}
	y := f.foldNew(x)
	f.done[x] = y
	return y
}

func (f *folder) foldNew(x ir.Expr) ir.Expr {
	switch x := x.(type) {
	case *ir.And:
		xs, end := f.chain(x.X, false)
		switch {
		case end:
			return never
		case len(xs) == 0:
			return always
		case len(xs) == 1:
			return xs[0]
		}
		return &ir.And{X: xs}
	case *ir.Or:
		xs, end := f.chain(x.X, true)
		switch {
		case end:
			return always
		case len(xs) == 0:
			return never
		}
		if xs = joinEqualities(xs); len(xs) == 1 {
			return xs[0]
		}
		return &ir.Or{X: xs}
	case *ir.Not:
		switch y := f.fold(x.X).(type) {
		case *ir.Const:
			return constant(!y.Value)
		case *ir.Not:
			return y.X
		default:
			return &ir.Not{X: y}
		}
	case *ir.Types:
		if f.t != nil {
			return constant(x.Set.Has(*f.t))
		}
	case *ir.Exists:
		if f.missing(x.Term) {
			return never
		}
	case *ir.Compare:
		if f.t != nil && onType(x) {
			return constant(compareMatcher(newBuilder(), x)(&event.Event{Type: *f.t}))
		}
		if f.missing(x.Term) || x.Right != nil && f.missing(x.Right) {
			return never
		}
	}
	return x
}

// chain folds xs and leaves out what decides nothing. end says that one of them is
// the constant that decides the whole.
func (f *folder) chain(xs []ir.Expr, decides bool) (out []ir.Expr, end bool) {
	for _, x := range xs {
		y := f.fold(x)
		if c, ok := y.(*ir.Const); ok {
			if c.Value == decides {
				return nil, true
			}
			continue
		}
		out = append(out, y)
	}
	return out, false
}

// onType reports whether x compares the name of the event's type with constants.
func onType(x *ir.Compare) bool {
	return x.Term.Field != nil && x.Term.Field.Name == "evt.type" && x.Right == nil
}

// only returns the field without which t has no value.
func only(t *ir.Term) *field.Field {
	for t.Field == nil && len(t.Args) == 1 {
		t = t.Args[0]
	}
	return t.Field
}

// missing reports whether no event of the type has a value for t.
func (f *folder) missing(t *ir.Term) bool {
	o := only(t)
	return o != nil && (o.Missing || f.t != nil && o.Types != (event.TypeSet{}) && !o.Types.Has(*f.t))
}

// isEquality reports whether c holds if its term is one of some texts.
func isEquality(c *ir.Compare) bool {
	if c.Right != nil || c.Texts == nil || c.Term.Match == field.MatchList {
		return false
	}
	return (c.Op == ir.In || c.Op == ir.Intersects || c.Op == ir.Equal) &&
		(c.Modifier == ir.AnyOf || c.Texts.Len() == 1)
}

// joinEqualities makes one set of the constants that alternatives compare the same
// field with.
func joinEqualities(xs []ir.Expr) []ir.Expr {
	var out []ir.Expr
	at := map[string]int{}
	for _, x := range xs {
		c, ok := x.(*ir.Compare)
		if !ok || !isEquality(c) || c.Term.Field == nil || c.Texts.Len() > maxConstants {
			out = append(out, x)
			continue
		}
		name := c.Term.Field.String()
		i, ok := at[name]
		if !ok {
			at[name] = len(out)
			out = append(out, x)
			continue
		}
		before := out[i].(*ir.Compare)
		joined := append(append([]string{}, before.Texts.Values...), c.Texts.Values...)
		out[i] = &ir.Compare{Term: before.Term, Op: ir.In, Texts: &ir.Texts{Values: joined}}
	}
	return out
}

// key returns a text that is the same for expressions that are the same.
func (b *builder) key(x ir.Expr) string {
	k, ok := b.keys[x]
	if !ok {
		k = string(b.appendKey(nil, x))
		b.keys[x] = k
	}
	return k
}

func (b *builder) appendKey(dst []byte, x ir.Expr) []byte {
	switch x := x.(type) {
	case *ir.And:
		dst = append(dst, '&')
		return b.appendKeys(dst, x.X)
	case *ir.Or:
		dst = append(dst, '|')
		return b.appendKeys(dst, x.X)
	case *ir.Not:
		return append(append(dst, '!'), b.key(x.X)...)
	case *ir.Const:
		return strconv.AppendBool(dst, x.Value)
	case *ir.Types:
		dst = append(dst, 'T')
		for _, w := range x.Set {
			dst = binary.LittleEndian.AppendUint64(dst, w)
		}
		return dst
	case *ir.Exists:
		return appendTermKey(append(dst, 'E'), x.Term)
	case *ir.Compare:
		dst = append(dst, 'C', byte(x.Op), byte(x.Modifier))
		dst = appendTermKey(dst, x.Term)
		if x.Right != nil {
			return appendTermKey(append(dst, 'R'), x.Right)
		}
		if x.Texts != nil {
			for _, l := range x.Texts.Lists {
				dst = append(dst, '@')
				dst = binary.LittleEndian.AppendUint64(dst, uint64(uintptr(unsafe.Pointer(l))))
			}
			for _, s := range x.Texts.Values {
				dst = binary.AppendUvarint(dst, uint64(len(s)))
				dst = append(dst, s...)
			}
		}
		for _, n := range x.Ints {
			dst = binary.LittleEndian.AppendUint64(dst, uint64(n))
		}
		for _, a := range x.Addrs {
			dst = append(a.AppendTo(dst), ',')
		}
		for _, n := range x.Nets {
			dst = append(n.AppendTo(dst), ',')
		}
		return dst
	}
	panic("BUG: plan: unknown expression")
}

func (b *builder) appendKeys(dst []byte, xs []ir.Expr) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(xs)))
	for _, x := range xs {
		k := b.key(x)
		dst = binary.AppendUvarint(dst, uint64(len(k)))
		dst = append(dst, k...)
	}
	return dst
}

func appendTermKey(dst []byte, t *ir.Term) []byte {
	if t.Field != nil {
		s := t.Field.String()
		dst = binary.AppendUvarint(append(dst, 'F'), uint64(len(s)))
		return append(dst, s...)
	}
	dst = append(dst, 'f', byte(t.Func), byte(t.Match))
	dst = binary.AppendUvarint(dst, uint64(len(t.Text)))
	dst = append(dst, t.Text...)
	for _, ts := range [2][]*ir.Term{t.Args, t.Items} {
		dst = binary.AppendUvarint(dst, uint64(len(ts)))
		for _, t := range ts {
			dst = appendTermKey(dst, t)
		}
	}
	return dst
}
