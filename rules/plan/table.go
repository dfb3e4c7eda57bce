package plan

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/field"
	"github.com/windhover/windhover/rules/ir"
)

// Many rules that each compare the same field with constants of their own are decided in
// one pass: the value is looked up in a table that leads to the rules whose constant it
// is, begins with, ends in, or lies in.

// table leads from a value of the event to conditions. One of its members is set.
//
// Everything that calls appendMatches of a node is in that function: only of a function
// that calls itself, and not of several that call each other, does the compiler see that
// the caller's buffer may stay on the stack.
type table struct {
	text  *textTable
	texts *textsTable
	affix *affixTable
	net   *netTable
}

// column is what a table is made by: a field, and how it is compared. Fields with the
// same name are the same field.
type column struct {
	name string
	by   tableKind
	of   *field.Field
}

type tableKind uint8

const (
	byText tableKind = iota
	byPrefix
	bySuffix
	byNet
)

// maxConstants bounds how many constants of one condition go into a table.
const maxConstants = 128

// columnOf returns the column of a table that x could be decided by, wholly or in part.
func columnOf(x ir.Expr) (column, bool) {
	c, ok := x.(*ir.Compare)
	if !ok || c.Term.Field == nil || c.Right != nil || c.Term.Match == field.MatchList {
		return column{}, false
	}
	col := column{name: c.Term.Field.String(), of: c.Term.Field}
	if c.Nets != nil {
		col.by = byNet
		return col, c.Op != ir.NotEqual && c.Modifier == ir.AnyOf && len(c.Nets) <= maxConstants
	}
	if c.Texts == nil || c.Texts.Len() == 0 || c.Texts.Len() > maxConstants ||
		c.Modifier != ir.AnyOf && c.Texts.Len() > 1 {
		return column{}, false
	}
	switch c.Op {
	case ir.Equal, ir.In, ir.Intersects:
		col.by = byText
	case ir.StartsWith:
		col.by = byPrefix
	case ir.EndsWith:
		col.by = bySuffix
	case ir.Glob:
		for _, s := range c.Texts.All() {
			if literalPrefix(s) == "" {
				return column{}, false
			}
		}
		col.by = byPrefix
	default:
		return column{}, false
	}
	return col, col.by == byText || c.Term.Match == field.MatchOne
}

// entriesOf returns the entries of x in the table of its column. whole says that a value
// with an entry satisfies x; otherwise x is still to be asked.
func entriesOf(x ir.Expr) (entries []string, whole bool) {
	c := x.(*ir.Compare)
	if c.Nets != nil {
		for _, n := range c.Nets {
			entries = append(entries, n.String())
		}
		return entries, true
	}
	if c.Op != ir.Glob {
		return c.Texts.All(), true
	}
	for _, s := range c.Texts.All() {
		entries = append(entries, literalPrefix(s))
	}
	return entries, false
}

// literalPrefix returns the part of a pattern before the first byte that has a meaning.
func literalPrefix(pattern string) string {
	if i := strings.IndexAny(pattern, `*?[\`); i >= 0 {
		return pattern[:i]
	}
	return pattern
}

// newTable makes the table of a column; order holds the keys of then.
func newTable(by column, order []string, then map[string]*node) table {
	t := &ir.Term{Kind: by.of.Kind, Match: by.of.Match, Field: by.of}
	switch {
	case by.by == byNet:
		return table{net: newNetTable(addrsOf(t), order, then)}
	case by.by == byPrefix || by.by == bySuffix:
		tree := &affixTree[*node]{}
		for _, s := range order {
			place := tree.at(affix(s, by.by == bySuffix))
			place.then, place.set = then[s], true
		}
		return table{affix: &affixTable{textOf(t), tree, by.by == bySuffix}}
	case t.Match == field.MatchOne:
		return table{text: &textTable{textOf(t), then}}
	}
	return table{texts: &textsTable{listOf(t), then}}
}

// textTable finds conditions by the one text of a field.
type textTable struct {
	get  textFunc
	then map[string]*node
}

// textsTable finds conditions by any text of a field.
type textsTable struct {
	list textsFunc
	then map[string]*node
}

// affixTable finds conditions by what a text begins with, or ends in.
type affixTable struct {
	get    textFunc
	tree   *affixTree[*node]
	suffix bool
}

// affixWalk is on the way down a tree.
type affixWalk[T any] struct {
	at   *affixTree[T]
	done int // bytes of the text
}

// next goes to the next place in v where the tree holds something and returns it.
func (w *affixWalk[T]) next(v []byte, suffix bool) (then T, ok bool) {
	for w.done < len(v) {
		c := v[w.done]
		if suffix {
			c = v[len(v)-1-w.done]
		}
		i := strings.IndexByte(w.at.first, c)
		if i < 0 {
			return then, false
		}
		n := w.at.next[i]
		if len(v)-w.done < len(n.label) {
			return then, false
		}
		if suffix {
			for j := range len(n.label) {
				if v[len(v)-1-w.done-j] != n.label[j] {
					return then, false
				}
			}
		} else if string(v[w.done:w.done+len(n.label)]) != n.label {
			return then, false
		}
		w.at, w.done = n, w.done+len(n.label)
		if n.set {
			return n.then, true
		}
	}
	return then, false
}

// affixTree holds something for texts, by their beginnings. Suffixes are held from their
// end.
type affixTree[T any] struct {
	label string // from the parent to here
	then  T
	set   bool   // then is
	first string // the first bytes of the labels of next
	next  []*affixTree[T]
}

func affix(s string, suffix bool) string {
	if !suffix {
		return s
	}
	b := []byte(s)
	slices.Reverse(b)
	return string(b)
}

// at returns the place of a text, which it makes if there is none.
func (t *affixTree[T]) at(s string) *affixTree[T] {
	for s != "" {
		i := strings.IndexByte(t.first, s[0])
		if i < 0 {
			n := &affixTree[T]{label: s}
			t.first += s[:1]
			t.next = append(t.next, n)
			return n
		}
		n := t.next[i]
		same := 0
		for same < len(s) && same < len(n.label) && s[same] == n.label[same] {
			same++
		}
		if same < len(n.label) {
			lower := *n
			lower.label = n.label[same:]
			*n = affixTree[T]{label: n.label[:same], first: lower.label[:1], next: []*affixTree[T]{&lower}}
		}
		t, s = n, s[same:]
	}
	return t
}

// affixMatcher holds if one of xs does, which all look at how the text of a column begins
// or ends, or what it is.
func affixMatcher(by column, xs []ir.Expr) Matcher {
	suffix := by.by == bySuffix
	tree := &affixTree[[]func([]byte) bool]{}
	add := func(s string, test func([]byte) bool) {
		place := tree.at(affix(s, suffix))
		place.then, place.set = append(place.then, test), true
	}
	for _, x := range xs {
		c := x.(*ir.Compare)
		for _, s := range c.Texts.All() {
			switch c.Op {
			case ir.StartsWith, ir.EndsWith:
				add(s, func([]byte) bool { return true })
			case ir.Glob:
				add(literalPrefix(s), newGlob(s, false).match)
			default:
				add(s, func(v []byte) bool { return len(v) == len(s) })
			}
		}
	}
	get := textOf(&ir.Term{Kind: by.of.Kind, Match: by.of.Match, Field: by.of})
	some := func(tests []func([]byte) bool, v []byte) bool {
		for _, test := range tests {
			if test(v) {
				return true
			}
		}
		return false
	}
	return func(ev *event.Event) bool {
		v, ok := get(ev)
		if !ok {
			return false
		}
		if some(tree.then, v) {
			return true
		}
		w := affixWalk[[]func([]byte) bool]{at: tree}
		for tests, ok := w.next(v, suffix); ok; tests, ok = w.next(v, suffix) {
			if some(tests, v) {
				return true
			}
		}
		return false
	}
}

// netTable finds conditions by the networks that any address of a field lies in.
type netTable struct {
	list addrsFunc
	bits []uint8 // the lengths of the networks of each family: IPv4 first
	four int     // how many of bits are those of IPv4
	then map[netip.Prefix]*node
}

func newNetTable(list addrsFunc, order []string, then map[string]*node) *netTable {
	t := &netTable{list: list, then: make(map[netip.Prefix]*node, len(then))}
	var bits [2][]uint8
	for _, s := range order {
		p := netip.MustParsePrefix(s)
		t.then[p] = then[s]
		family := 1
		if p.Addr().Is4() {
			family = 0
		}
		if b := uint8(p.Bits()); !slices.Contains(bits[family], b) {
			bits[family] = append(bits[family], b)
		}
	}
	t.bits, t.four = append(bits[0], bits[1]...), len(bits[0])
	return t
}

// lengths returns the lengths of the networks of the family of a.
func (t *netTable) lengths(a netip.Addr) []uint8 {
	if a.Is4() {
		return t.bits[:t.four]
	}
	return t.bits[t.four:]
}

// in returns the conditions of the network of a length that a lies in, or nil.
func (t *netTable) in(a netip.Addr, length uint8) *node {
	p, err := a.Prefix(int(length))
	if err != nil {
		return nil
	}
	return t.then[p]
}
