// Package lint finds conditions that are right by the language and probably not what
// their author meant. What package rules reports itself is not repeated here. Start
// with Check; docs/rules.md describes every code.
package lint

import (
	"fmt"
	"strings"

	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/field"
	"github.com/windhover/windhover/rules"
	"github.com/windhover/windhover/rules/check"
	"github.com/windhover/windhover/rules/ir"
	"github.com/windhover/windhover/rules/pushdown"
	"github.com/windhover/windhover/rules/syntax"
)

// Check returns what it finds in all rules, in their order. A part of a macro is
// reported with the first rule that uses it, and once.
func Check(in *rules.Inspection) []rules.Problem {
	l := linter{in: in, seen: map[string]bool{}, known: map[string]bool{}, unread: map[string]bool{}, verdicts: map[ir.Expr]*verdict{}}
	for _, m := range in.Macros {
		l.words = append(l.words, m.Name)
		l.known[m.Name] = true
		l.pieces(m.Text, false)
	}
	for _, v := range in.Lists {
		l.words = append(l.words, v.Name)
		l.known[v.Name] = true
	}
	for _, name := range in.Unread {
		l.unread[name] = true
	}
	for _, r := range in.Rules {
		l.pieces(r.Text, true)
		l.rule(r)
	}
	l.shadowed()
	return l.problems
}

type linter struct {
	in       *rules.Inspection
	words    []string // names of macros and lists
	known    map[string]bool
	unread   map[string]bool // names of those that could not be read
	seen     map[string]bool
	verdicts map[ir.Expr]*verdict
	problems []rules.Problem
}

func (l *linter) report(p rules.Problem) {
	key := fmt.Sprint(p.Code, p.File, p.Line, p.Column, p.Msg)
	if !l.seen[key] {
		l.seen[key] = true
		l.problems = append(l.problems, p)
	}
}

func (l *linter) rule(r *rules.RuleView) {
	types := event.TypesOf(event.PluginEvent)
	if r.Source == field.Syscall {
		types = pushdown.Types(r.Root.Expr).Intersect(seenByRules)
	}
	l.constants(r, types)
	l.walk(r, r.Root, types, false)
}

// seenByRules are the types of events that rules for system calls can match.
var seenByRules = event.TypesOf(event.Unknown, event.Proc, event.PluginEvent).Complement()

// walk looks at every comparison of n; types are those of the events for which n
// decides something, and negated says that n counts as its opposite.
func (l *linter) walk(r *rules.RuleView, n *rules.Node, types event.TypeSet, negated bool) {
	switch n.Expr.(type) {
	case *ir.And:
		for i, x := range n.X {
			near := types
			for j, other := range n.X {
				if i != j {
					near = near.Intersect(holding(other, negated))
				}
			}
			l.walk(r, x, near, negated)
		}
		return
	case *ir.Or:
		for _, x := range n.X {
			l.walk(r, x, types, negated)
		}
		return
	case *ir.Not:
		l.walk(r, n.X[0], types, !negated)
		return
	}
	if c, ok := n.Expr.(*ir.Compare); ok {
		l.missing(r, n, c, types, negated)
		l.notEqualAny(r, n, c, negated)
		l.notAvailable(r, n, c)
	}
	if x, ok := n.Syntax.(*syntax.Check); ok {
		for _, v := range x.Values {
			l.text(r, n, x, v)
		}
	}
}

// holding returns the types of the events for which n may hold, or may not if negated.
func holding(n *rules.Node, negated bool) event.TypeSet {
	if negated {
		return event.AllTypes()
	}
	return pushdown.Types(n.Expr)
}

// missing reports negative comparisons with a field that has no value on some of the
// events that the comparison is for.
func (l *linter) missing(r *rules.RuleView, n *rules.Node, c *ir.Compare, types event.TypeSet, negated bool) {
	f := c.Term.Field
	if f == nil || f.Missing || f.Types == (event.TypeSet{}) {
		return
	}
	without := types.Intersect(f.Types.Complement())
	if without == (event.TypeSet{}) {
		return
	}
	switch {
	case c.Op == ir.NotEqual && !negated && without != types:
		l.report(r.Problem(rules.LintNegativeMissing, n,
			fmt.Sprintf("field %s has no value on %s, so %q does not hold there", f, typeNames(without), n),
			"where a missing value shall pass, write \"not "+strings.Replace(n.String(), "!=", "=", 1)+"\""))
	case c.Op != ir.NotEqual && negated && without == types:
		l.report(r.Problem(rules.LintNegativeMissing, n,
			fmt.Sprintf("field %s has no value on %s, so \"not %s\" always holds there", f, typeNames(without), n),
			"compare a field that these events have"))
	}
}

// maxNames bounds how many event types a message names.
const maxNames = 4

func typeNames(s event.TypeSet) string {
	var names []string
	for t := range event.NumTypes() {
		if s.Has(event.Type(t)) {
			names = append(names, event.Type(t).String())
		}
	}
	if len(names) > maxNames {
		return fmt.Sprintf("%s and %d other event types", strings.Join(names[:maxNames], ", "), len(names)-maxNames)
	}
	return strings.Join(names, ", ")
}

// notEqualAny reports != on a field with several values, where it holds for almost
// every event.
func (l *linter) notEqualAny(r *rules.RuleView, n *rules.Node, c *ir.Compare, negated bool) {
	if f := c.Term.Field; f != nil && c.Term.Match == field.MatchAny && c.Op == ir.NotEqual && !negated {
		l.report(r.Problem(rules.LintNotEqualAny, n,
			fmt.Sprintf("%q holds if one of the values of %s differs, and they nearly always do", n, f),
			"to ask that none is equal, write \"not "+strings.Replace(n.String(), "!=", "=", 1)+"\""))
	}
}

// withNA are the fields, or the starts of their names, whose text can be <NA>.
var withNA = []string{"user.", "group.", "evt.arg", "fd.type", "fd.l4proto", "ka.", "jevt."}

// notAvailable reports comparisons with the text that outputs show for no value.
func (l *linter) notAvailable(r *rules.RuleView, n *rules.Node, c *ir.Compare) {
	f := c.Term.Field
	if f == nil || c.Texts == nil {
		return
	}
	for _, start := range withNA {
		if strings.HasPrefix(f.Name, start) {
			return
		}
	}
	for _, v := range c.Texts.Values {
		if v == "<NA>" {
			l.report(r.Problem(rules.LintNAText, n,
				fmt.Sprintf("field %s has no value where outputs print <NA>: it is never equal to that text", f),
				fmt.Sprintf("write \"not %s exists\"", f)))
		}
	}
}

// text reports constants that were probably meant to be a field, a list or a macro.
func (l *linter) text(r *rules.RuleView, n *rules.Node, x *syntax.Check, v syntax.Value) {
	span := v.Span
	if span == (syntax.Span{}) {
		span = x.Span
	}
	if name, ok := strings.CutPrefix(v.Text, "%"); ok {
		if _, err := field.Lookup(name, r.Source); err == nil {
			l.report(r.SpanProblem(rules.LintFieldAsText, n.Macro, span,
				fmt.Sprintf("%q is a text here: the percent sign names fields in outputs only", v.Text),
				"to compare with the field, write val("+name+")"))
		}
		return
	}
	if near := nearField(v.Text, r.Source); near != "" {
		l.report(r.SpanProblem(rules.LintFieldAsText, n.Macro, span,
			fmt.Sprintf("%q is a text here, though it looks like the field %s", v.Text, near),
			"to compare with the field, write val("+near+")"))
		return
	}
	if !x.Op.TakesList() && x.Modifier == syntax.None && !l.known[v.Text] {
		return
	}
	// One word may be a name of the user's; with an underscore it is no ordinary text.
	if !strings.Contains(v.Text, "_") || l.unread[v.Text] {
		return
	}
	switch near := check.Nearest(v.Text, l.words); {
	case l.known[v.Text]:
		l.report(r.SpanProblem(rules.LintListAsText, n.Macro, span,
			fmt.Sprintf("%q is a text here, though a list or a macro has this name", v.Text),
			"lists go without quotes; a macro stands for a condition, not for a value"))
	case near != "" && len(near) > 5 && near != v.Text && similar(near, v.Text):
		l.report(r.SpanProblem(rules.LintListAsText, n.Macro, span,
			fmt.Sprintf("no list %q: it is a text here", v.Text), fmt.Sprintf("did you mean %q?", near)))
	}
}

// similar reports whether two words differ by so little that one is a slip of the other.
func similar(a, b string) bool { return check.Nearest(a, []string{b}) == b && abs(len(a)-len(b)) <= 2 }

func abs(n int) int { return max(n, -n) }

// nearField returns the field that text is a slip of, if it has the shape of one.
func nearField(text, source string) string {
	class, rest, ok := strings.Cut(text, ".")
	if !ok || rest == "" || strings.ContainsAny(text, "/ *[]()") {
		return ""
	}
	if _, err := field.Lookup(text, source); err == nil {
		return "" // package check says so
	}
	near := field.Nearest(text, source)
	if !strings.HasPrefix(near, class+".") || abs(len(near)-len(text)) > 1 || len(rest) < 4 || !similar(near, text) {
		return ""
	}
	return near
}

// pieces reports texts that were appended without regard to precedence: read as a
// whole they do not mean (what was there) and (what was appended).
func (l *linter) pieces(p rules.Pieces, rule bool) {
	if len(p.Texts) < 2 {
		return
	}
	before := p.Texts[0]
	for i, added := range p.Texts[1:] {
		word, rest, _ := strings.Cut(strings.TrimSpace(added), " ")
		if j := strings.IndexAny(word, "(\n\t"); j > 0 {
			word, rest = word[:j], strings.TrimPrefix(strings.TrimSpace(added), word[:j])
		}
		whole := before + " " + added
		l.piece(p, i+1, before, word, rest, rule)
		before = whole
	}
}

func (l *linter) piece(p rules.Pieces, i int, before, word, rest string, rule bool) {
	old, err := syntax.Parse(before)
	if err != nil || word != "and" && word != "or" {
		return
	}
	whole, err := syntax.Parse(before + " " + p.Texts[i])
	if err != nil {
		return
	}
	kept, err := syntax.Parse("(" + before + ") " + word + " (" + rest + ")")
	if err != nil {
		return
	}
	switch _, and := old.(*syntax.And); {
	case flatText(whole) != flatText(kept):
		l.report(p.Problem(rules.LintAppendPrecedence, i,
			"\"and\" binds tighter than \"or\": together with what it is appended to, this does not mean both in full",
			"put parentheses around what was there before, or around what is appended"))
	case rule && and && word == "or":
		l.report(p.Problem(rules.LintAppendPrecedence, i,
			"what follows \"or\" is enough on its own: the rule matches without anything that its condition asked before",
			"put parentheses around what was there before, and start with \"and\""))
	}
}

// flatText returns the text of x without groups that change nothing.
func flatText(x syntax.Expr) string {
	var flat func(x syntax.Expr) syntax.Expr
	each := func(xs []syntax.Expr, same func(syntax.Expr) []syntax.Expr) []syntax.Expr {
		var out []syntax.Expr
		for _, x := range xs {
			x = flat(x)
			if inner := same(x); inner != nil {
				out = append(out, inner...)
				continue
			}
			out = append(out, x)
		}
		return out
	}
	flat = func(x syntax.Expr) syntax.Expr {
		switch x := x.(type) {
		case *syntax.And:
			return &syntax.And{X: each(x.X, func(x syntax.Expr) []syntax.Expr {
				if a, ok := x.(*syntax.And); ok {
					return a.X
				}
				return nil
			})}
		case *syntax.Or:
			return &syntax.Or{X: each(x.X, func(x syntax.Expr) []syntax.Expr {
				if o, ok := x.(*syntax.Or); ok {
					return o.X
				}
				return nil
			})}
		case *syntax.Not:
			return &syntax.Not{X: flat(x.X)}
		}
		return x
	}
	return syntax.Text(flat(x))
}
