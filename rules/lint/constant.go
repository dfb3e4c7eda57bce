package lint

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/field"
	"github.com/windhover/windhover/rules"
	"github.com/windhover/windhover/rules/ir"
	"github.com/windhover/windhover/rules/pushdown"
	"github.com/windhover/windhover/rules/syntax"
)

// verdict is what is known of a condition without an event.
type verdict struct {
	truth  truth
	reason string
	at     *rules.Node // where it comes from
}

type truth uint8

const (
	open   truth = iota // it depends on the event
	never               // it holds for no event
	always              // it holds for every event, or at least for every value
)

var unknown = &verdict{}

// constants reports conditions, and parts of them, that do not depend on the event.
func (l *linter) constants(r *rules.RuleView, types event.TypeSet) {
	v := l.verdict(r.Root)
	told := map[*rules.Node]bool{}
	switch {
	case v.truth == never:
		l.report(r.Problem(rules.LintNever, v.at, "the rule never matches: "+v.reason, ""))
		told[v.at] = true
	case v.truth == always:
		l.report(r.Problem(rules.LintAlways, v.at, "the condition of the rule always holds: "+v.reason, ""))
		told[v.at] = true
	case r.Source == field.Syscall && types == (event.TypeSet{}) && !missing(r.Root) && !deliberate(r.Root):
		l.report(r.Problem(rules.LintNever, r.Root,
			"the rule never matches: no type of event satisfies all that its condition asks", ""))
		return
	}
	l.parts(r, r.Root, types, false, told)
}

// parts reports the parts of n that are constant, the innermost of each.
func (l *linter) parts(r *rules.RuleView, n *rules.Node, types event.TypeSet, negated bool, told map[*rules.Node]bool) {
	v := l.verdict(n)
	if v.truth != open && v.at == n && !told[n] {
		told[n] = true
		if v.truth == never {
			l.report(r.Problem(rules.LintNever, n, fmt.Sprintf("%q never holds: %s", short(n), v.reason), ""))
		} else {
			l.report(r.Problem(rules.LintAlways, n, fmt.Sprintf("%q always holds: %s", short(n), v.reason), ""))
		}
	}
	_, not := n.Expr.(*ir.Not)
	_, or := n.Expr.(*ir.Or)
	_, and := n.Expr.(*ir.And)
	for i, x := range n.X {
		near := types
		if and && !negated {
			for j, other := range n.X {
				if i != j {
					near = near.Intersect(pushdown.Types(other.Expr))
				}
			}
		}
		// An alternative of a macro may be meant for another rule.
		if or && !negated && x.Macro == "" && x.Use == "" && r.Source == field.Syscall && l.verdict(x).truth == open &&
			types != (event.TypeSet{}) && pushdown.Types(x.Expr).Intersect(types) == (event.TypeSet{}) && !missing(x) && !deliberate(x) {
			l.report(r.Problem(rules.LintNever, x,
				fmt.Sprintf("%q never holds here: the event types that it needs are excluded around it", short(x)), ""))
			continue
		}
		l.parts(r, x, near, negated != not, told)
	}
}

// short returns the text of n for a message.
func short(n *rules.Node) string {
	const most = 60
	s := []rune(n.String())
	if len(s) > most {
		return string(s[:most]) + "..."
	}
	return string(s)
}

// missing reports whether n asks for a field that no source delivers: package rules says
// so.
func missing(n *rules.Node) bool {
	found := false
	ir.Fields(n.Expr, func(f *field.Field) { found = found || f.Missing })
	return found
}

// deliberate reports whether n is off on purpose, by a number that no event has, or asks for
// events that no source reports: rules that are written for other programs do.
func deliberate(n *rules.Node) bool {
	switch x := n.Expr.(type) {
	case *ir.Const:
		return true
	case *ir.Types:
		return x.Set == (event.TypeSet{})
	}
	return slices.ContainsFunc(n.X, deliberate)
}

// verdict decides n, or leaves it open.
func (l *linter) verdict(n *rules.Node) *verdict {
	if v, ok := l.verdicts[n.Expr]; ok {
		return v
	}
	v := l.decide(n)
	l.verdicts[n.Expr] = v
	return v
}

func (l *linter) decide(n *rules.Node) *verdict {
	switch n.Expr.(type) {
	case *ir.Not:
		if v := l.verdict(n.X[0]); v.truth == never {
			return &verdict{always, v.reason, v.at}
		} else if v.truth == always {
			return &verdict{never, v.reason, v.at}
		}
	case *ir.And:
		return l.chain(n, never, always, false)
	case *ir.Or:
		return l.chain(n, always, never, true)
	}
	return unknown
}

// chain decides And and Or: one operand that is strong decides, or two that contradict
// each other; for Or, two whose opposites do.
func (l *linter) chain(n *rules.Node, strong, weak truth, or bool) *verdict {
	weaks := 0
	for _, x := range n.X {
		switch v := l.verdict(x); v.truth {
		case strong:
			return v
		case weak:
			weaks++
		}
	}
	if weaks == len(n.X) {
		return l.verdict(n.X[0])
	}
	c := newConstraints(or)
	c.add(n, or)
	if reason := c.contradiction(); reason != "" {
		return &verdict{strong, reason, n}
	}
	return unknown
}

// constraints are what a chain asks of each term. For Or they are the opposites: if
// these exclude each other, one of the operands always holds.
type constraints struct {
	or    bool
	order []string
	terms map[string]*constraint
	whole map[string]bool // conditions by their text, and whether they count as they are
	both  string          // a condition that is asked for and excluded
}

// constraint is what is asked of one term.
type constraint struct {
	texts                []string // allowed, if hasTexts
	hasTexts, hasNumbers bool
	notTexts             map[string]bool
	tests                []test  // further tests that an allowed text must pass
	ints                 []int64 // allowed, if hasNumbers
	notInts              map[int64]bool
	low, high            int64
	bounded              bool
	exists, absent       bool
	conflict             string
}

type test struct {
	text string
	pass func(string) bool
}

func newConstraints(or bool) *constraints {
	return &constraints{or: or, terms: map[string]*constraint{}, whole: map[string]bool{}}
}

// add collects what n asks for, or excludes if negated; nested chains of the same kind
// are part of it.
func (c *constraints) add(n *rules.Node, negated bool) {
	switch x := n.Expr.(type) {
	case *ir.And:
		if !negated {
			for _, op := range n.X {
				c.add(op, negated)
			}
			return
		}
	case *ir.Or:
		if negated {
			for _, op := range n.X {
				c.add(op, negated)
			}
			return
		}
	case *ir.Not:
		c.add(n.X[0], !negated)
		return
	case *ir.Exists:
		t := c.term(n)
		t.exists = t.exists || !negated
		t.absent = t.absent || negated
		return
	case *ir.Compare:
		if c.compare(n, x, negated) {
			return
		}
	case *ir.Const, *ir.Types:
		return
	}
	text := syntax.Text(n.Resolved())
	if was, ok := c.whole[text]; ok && was == negated && c.both == "" {
		c.both = short(n)
	}
	c.whole[text] = !negated
}

func (c *constraints) term(n *rules.Node) *constraint {
	key := syntax.OperandText(n.Syntax.(*syntax.Check).Left)
	t := c.terms[key]
	if t == nil {
		t = &constraint{notTexts: map[string]bool{}, notInts: map[int64]bool{}, low: math.MinInt64, high: math.MaxInt64}
		c.terms[key] = t
		c.order = append(c.order, key)
	}
	return t
}

// compare adds a comparison, if it says something that can be reckoned with.
func (c *constraints) compare(n *rules.Node, x *ir.Compare, negated bool) bool {
	if x.Right != nil || x.Term.Match != field.MatchOne || x.Term.Field != nil && x.Term.Field.Name == "evt.num" {
		return false
	}
	// A list with a name that is empty is there to be filled.
	if n.HasList() && (x.Texts == nil || len(x.Texts.Values) == 0) {
		return true
	}
	single := x.Modifier == ir.AnyOf
	equal := single && (x.Op == ir.Equal || x.Op == ir.In || x.Op == ir.Intersects)
	differs := x.Op == ir.NotEqual && operands(x) == 1
	if !equal && !differs {
		return c.test(n, x, negated)
	}
	t := c.term(n)
	if differs {
		negated = !negated
	} else if !negated {
		t.exists = true
	}
	switch {
	case x.Texts != nil:
		t.allowTexts(x.Texts.Values, negated)
	case x.Ints != nil:
		t.allowInts(x.Ints, negated)
	default:
		return false
	}
	return true
}

func operands(x *ir.Compare) int {
	if x.Texts != nil {
		return len(x.Texts.Values)
	}
	return len(x.Ints)
}

func (t *constraint) allowTexts(values []string, negated bool) {
	switch {
	case negated:
		for _, v := range values {
			t.notTexts[v] = true
		}
	case !t.hasTexts:
		t.texts, t.hasTexts = slices.Clone(values), true
	default:
		was := t.texts
		t.texts = slices.DeleteFunc(slices.Clone(was), func(v string) bool { return !slices.Contains(values, v) })
		if len(t.texts) == 0 && len(was) > 0 && len(values) > 0 && t.conflict == "" {
			t.conflict = fmt.Sprintf("cannot be both %s and %s", someOf(was), someOf(values))
		}
	}
}

func (t *constraint) allowInts(values []int64, negated bool) {
	switch {
	case negated:
		for _, v := range values {
			t.notInts[v] = true
		}
	case !t.hasNumbers:
		t.ints, t.hasNumbers = slices.Clone(values), true
	default:
		was := t.ints
		t.ints = slices.DeleteFunc(slices.Clone(was), func(v int64) bool { return !slices.Contains(values, v) })
		if len(t.ints) == 0 && len(was) > 0 && len(values) > 0 && t.conflict == "" {
			t.conflict = fmt.Sprintf("cannot be both %s and %s", someInts(was), someInts(values))
		}
	}
}

func someOf(values []string) string {
	if len(values) == 1 {
		return fmt.Sprintf("%q", values[0])
	}
	return fmt.Sprintf("one of %d values such as %q", len(values), values[0])
}

func someInts(values []int64) string {
	if len(values) == 1 {
		return strconv.FormatInt(values[0], 10)
	}
	return fmt.Sprintf("one of %d values such as %d", len(values), values[0])
}

// test adds comparisons that are no list of values.
func (c *constraints) test(n *rules.Node, x *ir.Compare, negated bool) bool {
	if operands(x) != 1 {
		return false
	}
	if x.Texts != nil {
		v := x.Texts.Values[0]
		var pass func(string) bool
		switch x.Op {
		case ir.StartsWith:
			pass = func(s string) bool { return strings.HasPrefix(s, v) }
		case ir.EndsWith:
			pass = func(s string) bool { return strings.HasSuffix(s, v) }
		case ir.Contains:
			pass = func(s string) bool { return strings.Contains(s, v) }
		default:
			return false
		}
		t := c.term(n)
		text := short(n)
		if negated {
			text = "not " + text
		} else {
			t.exists = true
		}
		t.tests = append(t.tests, test{text, func(s string) bool { return pass(s) != negated }})
		if was, ok := c.whole[syntax.Text(n.Syntax)]; ok && was == negated && c.both == "" {
			c.both = short(n)
		}
		c.whole[syntax.Text(n.Syntax)] = !negated
		return true
	}
	v, signed := x.Ints[0], x.Term.Kind == field.KindInt || x.Term.Kind == field.KindPort
	if !signed && v < 0 {
		return false
	}
	t := c.term(n)
	op := x.Op
	if negated {
		switch op {
		case ir.Less:
			op = ir.GreaterEqual
		case ir.LessEqual:
			op = ir.Greater
		case ir.Greater:
			op = ir.LessEqual
		case ir.GreaterEqual:
			op = ir.Less
		default:
			return false
		}
	} else {
		t.exists = true
	}
	low, high := int64(math.MinInt64), int64(math.MaxInt64)
	switch op {
	case ir.Less:
		if v == math.MinInt64 {
			return false
		}
		high = v - 1
	case ir.LessEqual:
		high = v
	case ir.Greater:
		if v == math.MaxInt64 {
			return false
		}
		low = v + 1
	case ir.GreaterEqual:
		low = v
	default:
		return false
	}
	if !signed && low == math.MinInt64 {
		low = 0 // unsigned numbers above are large
	}
	t.low, t.high, t.bounded = max(t.low, low), min(t.high, high), true
	return true
}

// contradiction says what cannot be at the same time, or nothing.
func (c *constraints) contradiction() string {
	if c.both != "" {
		if c.or {
			return fmt.Sprintf("either %q holds or its opposite", c.both)
		}
		return fmt.Sprintf("%q cannot hold together with its opposite", c.both)
	}
	for _, key := range c.order {
		// What only excludes values also holds where there is none.
		if t := c.terms[key]; !c.or && !t.exists {
			continue
		} else if why := t.contradiction(); why != "" {
			if c.or {
				return fmt.Sprintf("whatever %s is, one of the alternatives is true", key)
			}
			return key + " " + why
		}
	}
	return ""
}

func (t *constraint) contradiction() string {
	switch {
	case t.conflict != "":
		return t.conflict
	case t.exists && t.absent:
		return "cannot have a value and have none"
	case t.bounded && t.low > t.high:
		return fmt.Sprintf("cannot be at least %d and at most %d", t.low, t.high)
	case t.hasTexts && len(t.texts) > 0:
		return t.excludedText()
	case t.hasNumbers && len(t.ints) > 0:
		for _, v := range t.ints {
			if !t.notInts[v] && v >= t.low && v <= t.high {
				return ""
			}
		}
		return fmt.Sprintf("cannot be %s, which is excluded", someInts(t.ints))
	}
	return ""
}

func (t *constraint) excludedText() string {
	why := ""
	for _, v := range t.texts {
		ok := !t.notTexts[v]
		if !ok {
			why = fmt.Sprintf("cannot be %s, which is excluded", someOf(t.texts))
		}
		for _, p := range t.tests {
			if !p.pass(v) {
				ok = false
				why = fmt.Sprintf("cannot be %s where %q holds", someOf(t.texts), p.text)
			}
		}
		if ok {
			return ""
		}
	}
	return why
}
