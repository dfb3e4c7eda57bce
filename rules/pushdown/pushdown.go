// Package pushdown works out which events need not be captured because no rule can
// match them.
//
// The result over-approximates: it holds the type of every event that some condition
// matches, and may hold others. Each step only widens:
//
//	and:  the types that every operand may hold for
//	or:   the types that one operand may hold for
//	leaf: the named types; the types that have the field; else every type
//
// and the same for what may be false, so that a negation swaps the two.
package pushdown

import (
	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/rules/ir"
)

// Types returns the types of the events that may satisfy x.
func Types(x ir.Expr) event.TypeSet {
	w := walk{all: event.AllTypes(), done: map[ir.Expr]verdict{}}
	return w.expr(x).holds
}

// verdict says for which types of events a condition may hold, and for which it may
// not hold.
type verdict struct{ holds, fails event.TypeSet }

type walk struct {
	all  event.TypeSet
	done map[ir.Expr]verdict // conditions share the trees of macros
}

func (w *walk) expr(x ir.Expr) verdict {
	switch x.(type) {
	case *ir.And, *ir.Or, *ir.Not:
	default:
		return leafTypes(x, w.all)
	}
	v, ok := w.done[x]
	if !ok {
		v = w.newExpr(x)
		w.done[x] = v
	}
	return v
}

func (w *walk) newExpr(x ir.Expr) verdict {
	switch x := x.(type) {
	case *ir.And:
		v := verdict{holds: w.all}
		for _, x := range x.X {
			o := w.expr(x)
			v = verdict{v.holds.Intersect(o.holds), v.fails.Union(o.fails)}
		}
		return v
	case *ir.Or:
		v := verdict{fails: w.all}
		for _, x := range x.X {
			o := w.expr(x)
			v = verdict{v.holds.Union(o.holds), v.fails.Intersect(o.fails)}
		}
		return v
	case *ir.Not:
		v := w.expr(x.X)
		return verdict{v.fails, v.holds}
	}
	panic("BUG: pushdown: a leaf is no tree")
}

func leafTypes(x ir.Expr, all event.TypeSet) verdict {
	v := verdict{all, all}
	switch x := x.(type) {
	case *ir.Const:
		if x.Value {
			return verdict{holds: all}
		}
		return verdict{fails: all}
	case *ir.Types:
		return verdict{x.Set, x.Set.Complement()}
	case *ir.Exists:
		v.holds = having(x.Term, all)
	case *ir.Compare:
		v.holds = having(x.Term, all)
		if x.Right != nil {
			v.holds = v.holds.Intersect(having(x.Right, all))
		}
	}
	return v
}

// having returns the types of events on which t may have a value.
func having(t *ir.Term, all event.TypeSet) event.TypeSet {
	for t.Field == nil && len(t.Args) == 1 {
		t = t.Args[0]
	}
	f := t.Field
	switch {
	case f == nil:
		return all
	case f.Missing:
		return event.TypeSet{}
	case f.Types == (event.TypeSet{}):
		return all
	}
	return f.Types
}
