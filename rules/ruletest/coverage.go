package ruletest

import (
	"fmt"
	"slices"

	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/rules"
	"github.com/windhover/windhover/rules/ir"
	"github.com/windhover/windhover/rules/plan"
)

// Coverage says which branches of conditions were decided by some test.
type Coverage struct {
	Rules, RulesMatched       int
	Branches, BranchesCovered int
	// Open are the branches that were not, in the order of the rules.
	Open []Branch
}

// Branch is a part of a condition that makes a difference.
type Branch struct {
	Rule         string
	File         string
	Line, Column int
	Text         string
	// Why says what no test has shown.
	Why string
}

func (b Branch) String() string {
	return fmt.Sprintf("%s:%d:%d: %s: %s", b.File, b.Line, b.Column, b.Rule, b.Why)
}

// coverage watches what events decide.
//
// Two kinds of branches count. An alternative, an operand of "or", is covered by an event
// that the rule matches and for which the alternative holds. A requirement, an operand of
// "and" on the way to the whole condition, is covered by a near miss: an event that the
// rule would match without it.
type coverage struct {
	rules []*coveredRule
	seen  map[string]*branch // alternatives of macros count once
	order []*branch
}

type coveredRule struct {
	view         *rules.RuleView
	matched      bool
	alternatives []probe
	requirements []probe
}

// probe tells whether an event shows a branch to work.
type probe struct {
	branch *branch
	holds  plan.Matcher
}

type branch struct {
	Branch
	covered bool
}

func (c *coverage) add(in *rules.Inspection) {
	c.seen = map[string]*branch{}
	for _, v := range in.Rules {
		if !v.Enabled {
			continue
		}
		r := &coveredRule{view: v}
		c.rules = append(c.rules, r)
		c.alternatives(r, v.Root)
		c.requirements(r, v.Root)
	}
}

// branch returns the branch that n is, the same for each use of a macro.
func (c *coverage) branch(r *coveredRule, n *rules.Node, why string) *branch {
	file, line, column := r.view.Place(n)
	key := fmt.Sprint(file, line, column, why)
	if b := c.seen[key]; b != nil {
		return b
	}
	b := &branch{Branch: Branch{Rule: r.view.Name, File: file, Line: line, Column: column, Text: n.String(), Why: why}}
	if n.Macro != "" && n.Use == "" {
		b.Rule = "macro " + n.Macro
	}
	c.seen[key] = b
	c.order = append(c.order, b)
	return b
}

// alternatives finds the operands of "or" that can make the rule match.
func (c *coverage) alternatives(r *coveredRule, n *rules.Node) {
	switch n.Expr.(type) {
	case *ir.Not:
		return
	case *ir.Or:
		for _, x := range n.X {
			b := c.branch(r, x, fmt.Sprintf("no case matches by way of %q", x))
			r.alternatives = append(r.alternatives, probe{b, plan.CompileOne(x.Expr)})
		}
	}
	for _, x := range n.X {
		c.alternatives(r, x)
	}
}

// requirements finds the operands of "and" that can keep the rule from matching. A macro
// is one.
func (c *coverage) requirements(r *coveredRule, n *rules.Node) {
	if _, ok := n.Expr.(*ir.And); !ok {
		return
	}
	for _, x := range n.X {
		if _, ok := x.Expr.(*ir.And); ok && x.Use == "" {
			c.requirements(r, x)
			continue
		}
		if decided(x.Expr) {
			continue
		}
		b := c.branch(r, x, fmt.Sprintf("no case is a near miss because of %q", x))
		b.Rule = r.view.Name
		r.requirements = append(r.requirements, probe{b, plan.CompileOne(without(r.view.Root, x))})
	}
}

// decided reports whether x does not depend on fields: a number that all events have,
// the type of the event, which the index of the rules decides, or a list that is empty.
func decided(x ir.Expr) bool {
	switch x := x.(type) {
	case *ir.Const, *ir.Types:
		return true
	case *ir.Not:
		return decided(x.X)
	case *ir.Compare:
		return x.Right == nil && (x.Texts == nil || len(x.Texts.Values) == 0) &&
			len(x.Ints)+len(x.Addrs)+len(x.Nets)+len(x.Regexp) == 0
	}
	return false
}

// without returns the condition n with target always true.
func without(n, target *rules.Node) ir.Expr {
	if n == target {
		return &ir.Const{Value: true}
	}
	and, ok := n.Expr.(*ir.And)
	if !ok || !contains(n, target) {
		return n.Expr
	}
	out := &ir.And{X: slices.Clone(and.X)}
	for i, x := range n.X {
		out.X[i] = without(x, target)
	}
	return out
}

func contains(n, target *rules.Node) bool {
	return n == target || slices.ContainsFunc(n.X, func(x *rules.Node) bool { return contains(x, target) })
}

// event notes what ev shows.
func (c *coverage) event(ev *event.Event, matches []*rules.Rule) {
	for _, r := range c.rules {
		if r.view.Source != ev.Source.Type {
			continue
		}
		if slices.Contains(matches, r.view.Rule) {
			r.matched = true
			for _, p := range r.alternatives {
				p.branch.covered = p.branch.covered || p.holds(ev)
			}
			continue
		}
		if !r.view.Types.Has(ev.Type) {
			continue
		}
		for _, p := range r.requirements {
			p.branch.covered = p.branch.covered || p.holds(ev)
		}
	}
}

func (c *coverage) result() Coverage {
	out := Coverage{Rules: len(c.rules), Branches: len(c.order)}
	for _, r := range c.rules {
		if r.matched {
			out.RulesMatched++
			continue
		}
		file, line, column := r.view.Place(r.view.Root)
		out.Open = append(out.Open, Branch{Rule: r.view.Name, File: file, Line: line, Column: column, Text: r.view.Root.String(), Why: "no case matches"})
	}
	for _, b := range c.order {
		if b.covered {
			out.BranchesCovered++
			continue
		}
		if i := slices.IndexFunc(c.rules, func(r *coveredRule) bool { return r.view.Name == b.Rule }); i >= 0 && !c.rules[i].matched {
			continue // said of the whole rule
		}
		out.Open = append(out.Open, b.Branch)
	}
	return out
}
