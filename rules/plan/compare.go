package plan

import (
	"bytes"
	"math"
	"net/netip"
	"slices"
	"strings"
	"unsafe"

	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/field"
	"github.com/windhover/windhover/rules/ir"
)

func existsMatcher(t *ir.Term) Matcher {
	switch {
	case t.Match != field.MatchOne:
		list := listOf(t)
		return func(ev *event.Event) bool {
			room := textRoom.Get().(*[][]byte)
			var ok bool
			*room, ok = list(ev, (*room)[:0])
			textRoom.Put(room)
			return ok
		}
	case isText(t.Kind):
		get := textOf(t)
		return func(ev *event.Event) bool {
			_, ok := get(ev)
			return ok
		}
	case isAddr(t.Kind):
		get := addrOf(t)
		return func(ev *event.Event) bool {
			_, ok := get(ev)
			return ok
		}
	}
	get := intOf(t)
	return func(ev *event.Event) bool {
		_, ok := get(ev)
		return ok
	}
}

// over says how the truth of a comparison follows from that of each value.
type over uint8

const (
	some   over = iota // true for some value
	every              // true for every value; there is at least one
	vacant             // true for every value of a list, which may be empty
)

func overOf(x *ir.Compare) over {
	switch {
	case x.Term.Match == field.MatchList && x.Op == ir.In:
		return vacant
	case x.Term.Match == field.MatchEither && x.Op == ir.NotEqual:
		return every
	}
	return some
}

func compareMatcher(b *builder, x *ir.Compare) Matcher {
	var m Matcher
	switch {
	case x.Right != nil:
		m = pairMatcher(x)
	case isText(x.Term.Kind):
		m = textMatcher(x, textTest(b, x))
	case isAddr(x.Term.Kind):
		m = addrMatcher(x, addrTest(x))
	default:
		m = intMatcher(x, intTest(x))
	}
	if x.Term.Field != nil && (x.Right == nil || x.Right.Field != nil) {
		return m
	}
	// What transformers build is of no use after the comparison.
	return func(ev *event.Event) bool {
		n := len(ev.Scratch)
		v := m(ev)
		ev.Scratch = ev.Scratch[:n]
		return v
	}
}

func textMatcher(x *ir.Compare, test func([]byte) bool) Matcher {
	if x.Term.Match == field.MatchOne {
		get := textOf(x.Term)
		return func(ev *event.Event) bool {
			v, ok := get(ev)
			return ok && test(v)
		}
	}
	list, over := listOf(x.Term), overOf(x)
	return func(ev *event.Event) bool {
		room := textRoom.Get().(*[][]byte)
		vs, ok := list(ev, (*room)[:0])
		*room = vs
		ok = ok && hold(over, vs, test)
		textRoom.Put(room)
		return ok
	}
}

// hold reports whether as many of vs pass test as o asks for.
func hold[T any](o over, vs []T, test func(T) bool) bool {
	want := o == some
	for _, v := range vs {
		if test(v) == want {
			return want
		}
	}
	return !want && (o == vacant || len(vs) > 0)
}

func intMatcher(x *ir.Compare, test func(int64) bool) Matcher {
	if x.Term.Match == field.MatchOne {
		get := intOf(x.Term)
		return func(ev *event.Event) bool {
			v, ok := get(ev)
			return ok && test(v)
		}
	}
	list, over := intsOf(x.Term), overOf(x)
	return func(ev *event.Event) bool {
		room := intRoom.Get().(*[]int64)
		vs := list(ev, (*room)[:0])
		*room = vs
		ok := len(vs) > 0 && hold(over, vs, test)
		intRoom.Put(room)
		return ok
	}
}

func addrMatcher(x *ir.Compare, test func(netip.Addr) bool) Matcher {
	if x.Term.Match == field.MatchOne {
		get := addrOf(x.Term)
		return func(ev *event.Event) bool {
			v, ok := get(ev)
			return ok && test(v)
		}
	}
	list, over := addrsOf(x.Term), overOf(x)
	return func(ev *event.Event) bool {
		room := addrRoom.Get().(*[]netip.Addr)
		vs := list(ev, (*room)[:0])
		*room = vs
		ok := len(vs) > 0 && hold(over, vs, test)
		addrRoom.Put(room)
		return ok
	}
}

// combine joins the tests of each operand as the modifier says.
func combine[T any](m ir.Modifier, tests []func(T) bool) func(T) bool {
	if len(tests) == 1 {
		return tests[0]
	}
	switch m {
	case ir.AnyOf:
		return func(v T) bool {
			for _, test := range tests {
				if test(v) {
					return true
				}
			}
			return false
		}
	case ir.AllOf:
		return func(v T) bool {
			for _, test := range tests {
				if !test(v) {
					return false
				}
			}
			return true
		}
	}
	return func(v T) bool {
		n := 0
		for _, test := range tests {
			if test(v) {
				n++
			}
		}
		return n == 1
	}
}

const minSet = 9 // texts that are looked up rather than compared one by one

// textTest returns the test of one text against the operands of x.
func textTest(b *builder, x *ir.Compare) func([]byte) bool {
	if x.Op == ir.PMatch {
		return b.pathTest(x.Texts)
	}
	oneOf := x.Op == ir.In || x.Op == ir.Intersects || x.Op == ir.Equal && x.Modifier == ir.AnyOf
	if oneOf && x.Texts.Len() != 1 {
		return b.oneOfTexts(x.Texts)
	}
	values := x.Texts.All()
	tests := make([]func([]byte) bool, len(values))
	for i, s := range values {
		if x.Op == ir.Regexp {
			tests[i] = regexpTest(x.Regexp[i], s)
			continue
		}
		tests[i] = singleText(x.Op, s)
	}
	return combine(x.Modifier, tests)
}

// parts returns t as Texts without Lists.
func parts(t *ir.Texts) []*ir.Texts {
	if len(t.Lists) == 0 {
		return []*ir.Texts{t}
	}
	if len(t.Values) == 0 {
		return t.Lists
	}
	return append([]*ir.Texts{{Values: t.Values}}, t.Lists...)
}

// pathTest tests for a path of t that is a prefix.
func (b *builder) pathTest(t *ir.Texts) func([]byte) bool {
	var tests []func([]byte) bool
	for _, part := range parts(t) {
		tree, ok := b.paths[part]
		if !ok {
			tree = newPathTree(part.Values)
			b.paths[part] = tree
		}
		tests = append(tests, tree.match)
	}
	return combine(ir.AnyOf, tests)
}

// oneOfTexts tests for equality with any of t.
func (b *builder) oneOfTexts(t *ir.Texts) func([]byte) bool {
	var tests []func([]byte) bool
	for _, part := range parts(t) {
		values := part.Values
		if len(values) < minSet {
			tests = append(tests, func(v []byte) bool { return slices.Contains(values, text(v)) })
			continue
		}
		set, ok := b.sets[part]
		if !ok {
			set = newTextSet(values)
			b.sets[part] = set
		}
		tests = append(tests, set.test())
	}
	return combine(ir.AnyOf, tests)
}

// textSet is a set of texts. Most texts that are looked for are not in it, and most of
// those are told by their last byte and length, which costs less than to hash them.
type textSet struct {
	texts map[string]struct{}
	// ends has, by the lower bits of the last byte, a bit for each length, those from 63
	// on sharing one.
	ends [64]uint64
	void bool // the empty text is in the set
}

func newTextSet(texts []string) *textSet {
	t := &textSet{texts: make(map[string]struct{}, len(texts))}
	for _, s := range texts {
		t.texts[s] = struct{}{}
		if s == "" {
			t.void = true
			continue
		}
		t.ends[s[len(s)-1]%64] |= 1 << min(len(s), 63)
	}
	return t
}

func (t *textSet) test() func(v []byte) bool {
	return func(v []byte) bool {
		if len(v) == 0 {
			return t.void
		}
		if t.ends[v[len(v)-1]%64]&(1<<min(len(v), 63)) == 0 {
			return false
		}
		_, ok := t.texts[string(v)]
		return ok
	}
}

// text returns v as a string that shares its memory: it must not be kept.
func text(v []byte) string { return unsafe.String(unsafe.SliceData(v), len(v)) }

// singleText returns the test of a text against one operand.
func singleText(op ir.Op, s string) func([]byte) bool {
	want := []byte(s)
	switch op {
	case ir.Equal, ir.In, ir.Intersects:
		return func(v []byte) bool { return string(v) == s }
	case ir.NotEqual:
		return func(v []byte) bool { return string(v) != s }
	case ir.Less:
		return func(v []byte) bool { return string(v) < s }
	case ir.LessEqual:
		return func(v []byte) bool { return string(v) <= s }
	case ir.Greater:
		return func(v []byte) bool { return string(v) > s }
	case ir.GreaterEqual:
		return func(v []byte) bool { return string(v) >= s }
	case ir.Contains:
		return func(v []byte) bool { return bytes.Contains(v, want) }
	case ir.IContains:
		lower := lowered(s)
		return func(v []byte) bool { return containsFold(v, lower) }
	case ir.StartsWith:
		return func(v []byte) bool { return len(v) >= len(s) && string(v[:len(s)]) == s }
	case ir.EndsWith:
		return func(v []byte) bool { return len(v) >= len(s) && string(v[len(v)-len(s):]) == s }
	case ir.Glob:
		return newGlob(s, false).match
	case ir.IGlob:
		return newGlob(s, true).match
	}
	panic("BUG: plan: operator on a text")
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

func lowered(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x80 {
			return rune(lower(byte(r)))
		}
		return r
	}, s)
}

// containsFold reports whether v contains s, which is in lower case, without regard to
// the case of ASCII letters.
func containsFold(v []byte, s string) bool {
	if s == "" {
		return true
	}
	for i := 0; i+len(s) <= len(v); i++ {
		if lower(v[i]) != s[0] {
			continue
		}
		j := 1
		for j < len(s) && lower(v[i+j]) == s[j] {
			j++
		}
		if j == len(s) {
			return true
		}
	}
	return false
}

// intTest returns the test of one number against the operands of x.
func intTest(x *ir.Compare) func(int64) bool {
	op := x.Op
	oneOf := op == ir.In || op == ir.Intersects || op == ir.Equal && x.Modifier == ir.AnyOf
	if oneOf && len(x.Ints) != 1 && x.Term.Kind != field.KindFloat {
		values := x.Ints
		if len(values) < minSet {
			return func(v int64) bool { return slices.Contains(values, v) }
		}
		set := make(map[int64]struct{}, len(values))
		for _, n := range values {
			set[n] = struct{}{}
		}
		return func(v int64) bool {
			_, ok := set[v]
			return ok
		}
	}
	tests := make([]func(int64) bool, len(x.Ints))
	for i, n := range x.Ints {
		less, equal := ordering(x.Term.Kind)
		tests[i] = ordered(op, func(v int64) bool { return less(v, n) }, func(v int64) bool { return equal(v, n) })
		if x.Term.Kind != field.KindFloat {
			tests[i] = singleInt(op, x.Term.Kind, n)
		}
	}
	return combine(x.Modifier, tests)
}

// ordering returns how values of kind k compare.
func ordering(k field.Kind) (less, equal func(a, b int64) bool) {
	equal = func(a, b int64) bool { return a == b }
	switch k {
	case field.KindUint, field.KindTime, field.KindDuration:
		return func(a, b int64) bool { return uint64(a) < uint64(b) }, equal
	case field.KindFloat:
		f := func(n int64) float64 { return math.Float64frombits(uint64(n)) }
		return func(a, b int64) bool { return f(a) < f(b) }, func(a, b int64) bool { return f(a) == f(b) }
	}
	return func(a, b int64) bool { return a < b }, equal
}

// ordered makes a test of an operator from how a value compares.
func ordered[T any](op ir.Op, less, equal func(T) bool) func(T) bool {
	switch op {
	case ir.Equal, ir.In, ir.Intersects:
		return equal
	case ir.NotEqual:
		return func(v T) bool { return !equal(v) }
	case ir.Less:
		return less
	case ir.LessEqual:
		return func(v T) bool { return less(v) || equal(v) }
	case ir.Greater:
		return func(v T) bool { return !less(v) && !equal(v) }
	case ir.GreaterEqual:
		return func(v T) bool { return !less(v) }
	}
	panic("BUG: plan: operator on a number")
}

// singleInt is ordered without its calls.
func singleInt(op ir.Op, k field.Kind, n int64) func(int64) bool {
	// Unsigned numbers compare like signed ones whose sign bit is flipped.
	var flip int64
	switch k {
	case field.KindUint, field.KindTime, field.KindDuration:
		flip = math.MinInt64
	}
	want := n ^ flip
	switch op {
	case ir.Equal, ir.In, ir.Intersects:
		return func(v int64) bool { return v == n }
	case ir.NotEqual:
		return func(v int64) bool { return v != n }
	case ir.Less:
		return func(v int64) bool { return v^flip < want }
	case ir.LessEqual:
		return func(v int64) bool { return v^flip <= want }
	case ir.Greater:
		return func(v int64) bool { return v^flip > want }
	case ir.GreaterEqual:
		return func(v int64) bool { return v^flip >= want }
	}
	panic("BUG: plan: operator on a number")
}

// addrTest returns the test of one address against the operands of x.
func addrTest(x *ir.Compare) func(netip.Addr) bool {
	oneOf := x.Op == ir.In || x.Op == ir.Intersects || x.Op == ir.Equal && x.Modifier == ir.AnyOf
	if oneOf && len(x.Addrs) >= minSet {
		set := make(map[netip.Addr]struct{}, len(x.Addrs))
		for _, a := range x.Addrs {
			set[a] = struct{}{}
		}
		return func(v netip.Addr) bool {
			_, ok := set[v]
			return ok
		}
	}
	var tests []func(netip.Addr) bool
	for _, a := range x.Addrs {
		tests = append(tests, func(v netip.Addr) bool { return v == a })
	}
	for _, n := range x.Nets {
		tests = append(tests, n.Contains)
	}
	if x.Op == ir.NotEqual {
		for i, test := range tests {
			tests[i] = func(v netip.Addr) bool { return !test(v) }
		}
	}
	return combine(x.Modifier, tests)
}

// pairMatcher compares two values of the event.
func pairMatcher(x *ir.Compare) Matcher {
	switch {
	case isText(x.Term.Kind):
		test := textPair(x.Op)
		if x.Term.Match == field.MatchOne && x.Right.Match == field.MatchOne {
			left, right := textOf(x.Term), textOf(x.Right)
			return func(ev *event.Event) bool {
				a, ok := left(ev)
				if !ok {
					return false
				}
				b, ok := right(ev)
				return ok && test(a, b)
			}
		}
		left, right, over := listOf(x.Term), listOf(x.Right), overOf(x)
		return func(ev *event.Event) bool {
			as, bs := textRoom.Get().(*[][]byte), textRoom.Get().(*[][]byte)
			var okA, okB bool
			*as, okA = left(ev, (*as)[:0])
			*bs, okB = right(ev, (*bs)[:0])
			ok := okA && okB && holdPair(over, *as, *bs, test)
			textRoom.Put(as)
			textRoom.Put(bs)
			return ok
		}
	case isAddr(x.Term.Kind):
		left, right, over := addrsOf(x.Term), addrsOf(x.Right), overOf(x)
		negated := x.Op == ir.NotEqual
		test := func(a, b netip.Addr) bool { return (a == b) != negated }
		return func(ev *event.Event) bool {
			as, bs := addrRoom.Get().(*[]netip.Addr), addrRoom.Get().(*[]netip.Addr)
			*as, *bs = left(ev, (*as)[:0]), right(ev, (*bs)[:0])
			ok := len(*as) > 0 && len(*bs) > 0 && holdPair(over, *as, *bs, test)
			addrRoom.Put(as)
			addrRoom.Put(bs)
			return ok
		}
	}
	test := intPair(x.Op, x.Term.Kind)
	left, right, over := intsOf(x.Term), intsOf(x.Right), overOf(x)
	return func(ev *event.Event) bool {
		as, bs := intRoom.Get().(*[]int64), intRoom.Get().(*[]int64)
		*as, *bs = left(ev, (*as)[:0]), right(ev, (*bs)[:0])
		ok := len(*as) > 0 && len(*bs) > 0 && holdPair(over, *as, *bs, test)
		intRoom.Put(as)
		intRoom.Put(bs)
		return ok
	}
}

// holdPair reports whether as many of as as o asks for pass test with some of bs; with
// every of them if o is every.
func holdPair[T any](o over, as, bs []T, test func(a, b T) bool) bool {
	inner := some
	if o == every {
		inner = every
	}
	for _, a := range as {
		found := inner == every
		for _, b := range bs {
			if test(a, b) == (inner == some) {
				found = inner == some
				break
			}
		}
		if found == (o == some) {
			return found
		}
	}
	return o != some
}

func textPair(op ir.Op) func(a, b []byte) bool {
	switch op {
	case ir.Equal, ir.In, ir.Intersects:
		return bytes.Equal
	case ir.NotEqual:
		return func(a, b []byte) bool { return !bytes.Equal(a, b) }
	case ir.Less:
		return func(a, b []byte) bool { return bytes.Compare(a, b) < 0 }
	case ir.LessEqual:
		return func(a, b []byte) bool { return bytes.Compare(a, b) <= 0 }
	case ir.Greater:
		return func(a, b []byte) bool { return bytes.Compare(a, b) > 0 }
	case ir.GreaterEqual:
		return func(a, b []byte) bool { return bytes.Compare(a, b) >= 0 }
	case ir.Contains:
		return bytes.Contains
	case ir.IContains:
		return containsFoldBoth
	case ir.StartsWith:
		return bytes.HasPrefix
	case ir.EndsWith:
		return bytes.HasSuffix
	}
	panic("BUG: plan: operator on two texts")
}

func containsFoldBoth(v, s []byte) bool {
	for i := 0; i+len(s) <= len(v); i++ {
		j := 0
		for j < len(s) && lower(v[i+j]) == lower(s[j]) {
			j++
		}
		if j == len(s) {
			return true
		}
	}
	return false
}

func intPair(op ir.Op, k field.Kind) func(a, b int64) bool {
	less, equal := ordering(k)
	switch op {
	case ir.Equal, ir.In, ir.Intersects:
		return equal
	case ir.NotEqual:
		return func(a, b int64) bool { return !equal(a, b) }
	case ir.Less:
		return less
	case ir.LessEqual:
		return func(a, b int64) bool { return less(a, b) || equal(a, b) }
	case ir.Greater:
		return func(a, b int64) bool { return less(b, a) }
	case ir.GreaterEqual:
		return func(a, b int64) bool { return less(b, a) || equal(a, b) }
	}
	panic("BUG: plan: operator on two numbers")
}
