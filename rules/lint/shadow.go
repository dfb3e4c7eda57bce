package lint

import (
	"fmt"
	"slices"

	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/field"
	"github.com/windhover/windhover/rules"
	"github.com/windhover/windhover/rules/ir"
	"github.com/windhover/windhover/rules/pushdown"
	"github.com/windhover/windhover/rules/syntax"
)

// shadowed reports rules that never alert where only the first rule of an event counts:
// a rule before them matches whatever they match.
func (l *linter) shadowed() {
	asked := make([]*facts, len(l.in.Rules))
	for i, r := range l.in.Rules {
		asked[i] = newFacts(r)
	}
	for i, r := range l.in.Rules {
		if !r.Enabled || r.Counts() || l.verdict(r.Root).truth == never {
			continue
		}
		for j, before := range l.in.Rules[:i] {
			if !before.Enabled || before.Counts() || before.Source != r.Source || r.Types.Intersect(before.Types.Complement()) != (event.TypeSet{}) {
				continue
			}
			if asked[i].imply(before.Root) {
				l.report(r.Problem(rules.LintShadowed, r.Root, fmt.Sprintf(
					"under rule_matching: first, rule %q never alerts: rule %q before it (%s:%d) matches every event that it matches",
					r.Name, l.in.Rules[j].Name, before.File, before.Line),
					"move it up, or narrow the other rule"))
				break
			}
		}
	}
}

// facts are what holds whenever a rule matches.
type facts struct {
	rule  *rules.RuleView
	texts map[string]bool // of the parts of its chain of "and"
	nodes []*rules.Node
}

func newFacts(r *rules.RuleView) *facts {
	f := &facts{rule: r, texts: map[string]bool{}}
	f.add(r.Root)
	return f
}

func (f *facts) add(n *rules.Node) {
	f.texts[syntax.Text(n.Resolved())] = true
	if _, ok := n.Expr.(*ir.And); ok {
		for _, x := range n.X {
			f.add(x)
		}
		return
	}
	f.nodes = append(f.nodes, n)
}

// imply reports whether n holds for every event that the rule matches. It says no where
// it cannot tell.
func (f *facts) imply(n *rules.Node) bool {
	if f.texts[syntax.Text(n.Resolved())] {
		return true
	}
	switch x := n.Expr.(type) {
	case *ir.And:
		return !slices.ContainsFunc(n.X, func(op *rules.Node) bool { return !f.imply(op) })
	case *ir.Or:
		return slices.ContainsFunc(n.X, f.imply)
	case *ir.Types:
		return f.rule.Source == field.Syscall &&
			pushdown.Types(f.rule.Root.Expr).Intersect(x.Set.Complement()).Intersect(seenByRules) == (event.TypeSet{})
	case *ir.Const:
		return x.Value
	case *ir.Compare:
		return slices.ContainsFunc(f.nodes, func(m *rules.Node) bool { return within(m, n, x) })
	}
	return false
}

// within reports whether m asks for values that are all among those of n.
func within(m, n *rules.Node, x *ir.Compare) bool {
	y, ok := m.Expr.(*ir.Compare)
	if !ok || !isSet(x) || !isSet(y) || x.Term.Match != field.MatchOne {
		return false
	}
	if syntax.OperandText(m.Syntax.(*syntax.Check).Left) != syntax.OperandText(n.Syntax.(*syntax.Check).Left) {
		return false
	}
	for _, v := range y.Texts.Values {
		if !slices.Contains(x.Texts.Values, v) {
			return false
		}
	}
	return true
}

func isSet(x *ir.Compare) bool {
	return x.Right == nil && x.Texts != nil && x.Modifier == ir.AnyOf && len(x.Texts.Values) > 0 &&
		(x.Op == ir.Equal || x.Op == ir.In || x.Op == ir.Intersects)
}
