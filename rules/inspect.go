package rules

import (
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/windhover/windhover/rules/ir"
	"github.com/windhover/windhover/rules/syntax"
)

// Inspection is a compiled set and what its rules were made of, for tools that explain,
// criticise and test rules. It is immutable.
type Inspection struct {
	Set *Set
	// Rules are those of Set, in the same order.
	Rules  []*RuleView
	Macros []*MacroView
	Lists  []*ListView
	// Unread are names of items that could not be read.
	Unread []string
	// EngineVersion is the highest version that the files require; 0.0.0: none.
	EngineVersion string
}

// RuleView is a rule and the parts of its condition.
type RuleView struct {
	*Rule
	// Root is the condition with its exceptions and with macros in their place.
	Root       *Node
	Macros     []string // that the condition uses, by way of others too, as they are defined
	Lists      []string // the same
	Exceptions []ExceptionView
	Text       Pieces

	inspected *inspected
	at        *context
	text      located
}

// MacroView is a macro.
type MacroView struct {
	Name      string
	Condition string
	File      string
	Line      int
	Used      bool
	// Expr is the condition as it is written; see RuleView.Root for what it means.
	Expr   syntax.Expr
	Macros []string
	Lists  []string
	Text   Pieces
}

// ListView is a list.
type ListView struct {
	Name  string
	Items []string // with those of lists that it names
	File  string
	Line  int
	Used  bool
	Lists []string
}

// ExceptionView is an exception of a rule.
type ExceptionView struct {
	Name          string
	Fields, Comps []string
	Values        int
}

// Node is a part of a condition.
type Node struct {
	Expr   ir.Expr
	Syntax syntax.Expr
	// Macro is the macro whose text Syntax is in; empty: the rule itself.
	Macro string
	// Use is the macro that the node stands for, if the text has its name here.
	Use string
	X   []*Node // operands of And, Or and Not

	inspected *inspected
	use       syntax.Span // of the name, in the text of macro useIn
	useIn     string
}

// Pieces are the texts that a condition was put together from by appending, in order.
type Pieces struct {
	Texts []string

	at    *context
	text  located
	start []int
}

// inspected is what views have in common.
type inspected struct {
	compiler  *compiler
	listNames []string // by mark
}

// Inspect compiles as Compile does and keeps what the rules were made of. If the Report has
// errors, the Set is nil, and the Inspection has what is right.
func Inspect(files []File, o Options) (*Inspection, *Report) {
	c, r := compileFiles(files, o)
	in := &inspected{compiler: c, listNames: make([]string, len(c.markLists))}
	for i := range c.expansions {
		if e := &c.expansions[i]; e.mark != "" {
			in.listNames[e.number] = e.list.name
		}
	}
	out := &Inspection{EngineVersion: c.state.engine.String()}
	if r.OK() {
		out.Set = newSet(c, files, c.options)
	}
	for name := range c.state.broken {
		if _, name, ok := strings.Cut(name, " "); ok {
			out.Unread = append(out.Unread, name)
		}
	}
	usedMacros := map[string]bool{}
	for i, rule := range c.rules {
		macroNames(c.read[i].tree, usedMacros)
		if rule.Index < 0 {
			continue // left out by its priority
		}
		out.Rules = append(out.Rules, in.rule(rule, c.read[i], c.exprs[i]))
	}
	for _, m := range c.state.macros.order {
		macroNames(c.macros[m.name].Expr, usedMacros)
	}
	for _, m := range c.state.macros.order {
		if c.macros[m.name].Broken {
			out.Unread = append(out.Unread, m.name)
			continue
		}
		out.Macros = append(out.Macros, in.macro(m, usedMacros[m.name]))
	}
	for _, l := range c.state.lists.order {
		v := &ListView{Name: l.name, File: l.context.page.name, Line: l.context.node.Line, Used: c.usedLists[l]}
		v.Items, v.Lists = in.items(l)
		out.Lists = append(out.Lists, v)
	}
	return out, r
}

func (in *inspected) rule(r *Rule, read readRule, x ir.Expr) *RuleView {
	v := &RuleView{
		Rule: r, Root: in.node(read.tree, x, ""), inspected: in,
		at: read.rule.conditionContext, text: read.text, Text: pieces(read.rule.condition, read.rule.conditionContext),
	}
	v.Macros, v.Lists = in.uses(read.tree, read.text)
	for _, e := range read.rule.exceptions {
		ev := ExceptionView{Name: e.name, Values: len(e.values)}
		for i, f := range e.fields {
			ev.Fields = append(ev.Fields, f.s)
			ev.Comps = append(ev.Comps, e.comp(min(i, max(len(e.comps)-1, 0))))
		}
		v.Exceptions = append(v.Exceptions, ev)
	}
	return v
}

func (in *inspected) macro(m *macro, used bool) *MacroView {
	x := in.compiler.macros[m.name].Expr
	v := &MacroView{
		Name: m.name, Condition: m.condition.s, File: m.context.page.name, Line: m.context.node.Line, Used: used,
		Expr: in.written(x, false), Text: pieces(m.condition, m.conditionContext),
	}
	v.Macros, v.Lists = in.uses(x, in.compiler.macroTexts[m.name])
	return v
}

// items returns the items of l, with those of the lists that it names in their place.
func (in *inspected) items(l *list) (items, lists []string) {
	items = []string{}
	for _, item := range l.items {
		other, ok := in.compiler.state.lists.byName[item]
		if !ok || other.index >= l.visibility {
			items = append(items, item)
			continue
		}
		lists = append(lists, other.name)
		items = append(items, other.items...)
	}
	return items, lists
}

// node pairs a tree with its meaning, which has the same shape.
func (in *inspected) node(x syntax.Expr, e ir.Expr, macro string) *Node {
	n := &Node{Expr: e, Syntax: x, Macro: macro, inspected: in}
	switch x := x.(type) {
	case *syntax.And:
		for i, op := range e.(*ir.And).X {
			n.X = append(n.X, in.node(x.X[i], op, macro))
		}
	case *syntax.Or:
		for i, op := range e.(*ir.Or).X {
			n.X = append(n.X, in.node(x.X[i], op, macro))
		}
	case *syntax.Not:
		n.X = []*Node{in.node(x.X, e.(*ir.Not).X, macro)}
	case *syntax.Macro:
		n = in.node(in.compiler.macros[x.Name].Expr, e, x.Name)
		n.Use, n.use, n.useIn = x.Name, x.Span, macro
	}
	return n
}

// uses returns the macros and lists that a condition uses, in the order of their
// definition.
func (in *inspected) uses(x syntax.Expr, text located) (macros, lists []string) {
	usedMacros, usedLists := map[string]bool{}, map[string]bool{}
	in.collect(x, text, usedMacros, usedLists)
	for _, m := range in.compiler.state.macros.order {
		if usedMacros[m.name] {
			macros = append(macros, m.name)
		}
	}
	for _, l := range in.compiler.state.lists.order {
		if usedLists[l.name] {
			lists = append(lists, l.name)
		}
	}
	return macros, lists
}

func (in *inspected) collect(x syntax.Expr, text located, macros, lists map[string]bool) {
	for _, p := range text.parts {
		if !p.fixed || p.off+p.width > len(p.node.Value) {
			continue
		}
		if l, ok := in.compiler.state.lists.byName[p.node.Value[p.off:p.off+p.width]]; ok {
			in.collectLists(l, lists)
		}
	}
	for _, use := range macroUses(x, nil) {
		if !macros[use.Name] {
			macros[use.Name] = true
			if m := in.compiler.macros[use.Name]; m != nil { // else it was reported
				in.collect(m.Expr, in.compiler.macroTexts[use.Name], macros, lists)
			}
		}
	}
}

func (in *inspected) collectLists(l *list, lists map[string]bool) {
	if lists[l.name] {
		return
	}
	lists[l.name] = true
	_, names := in.items(l)
	for _, name := range names {
		in.collectLists(in.compiler.state.lists.byName[name], lists)
	}
}

// written returns x with lists in their place, or with their names if names is set.
func (in *inspected) written(x syntax.Expr, names bool) syntax.Expr {
	each := func(xs []syntax.Expr) []syntax.Expr {
		out := make([]syntax.Expr, len(xs))
		for i, x := range xs {
			out[i] = in.written(x, names)
		}
		return out
	}
	switch x := x.(type) {
	case *syntax.And:
		return &syntax.And{Span: x.Span, X: each(x.X)}
	case *syntax.Or:
		return &syntax.Or{Span: x.Span, X: each(x.X)}
	case *syntax.Not:
		return &syntax.Not{Span: x.Span, X: in.written(x.X, names)}
	case *syntax.Check:
		if len(x.Lists) == 0 {
			return x
		}
		y := *x
		y.Values, y.Lists = nil, nil
		refs := x.Lists
		for i := 0; i <= len(x.Values); i++ {
			for ; len(refs) > 0 && refs[0].At == i; refs = refs[1:] {
				items := in.compiler.markLists[refs[0].List].Items
				if names {
					items = []string{in.listNames[refs[0].List]}
				}
				for _, item := range items {
					y.Values = append(y.Values, syntax.Value{Span: x.Span, Text: item})
				}
			}
			if i < len(x.Values) {
				y.Values = append(y.Values, x.Values[i])
			}
		}
		return &y
	}
	return x
}

// Resolved returns the tree of n with macros and lists in their place.
func (n *Node) Resolved() syntax.Expr {
	each := func() []syntax.Expr {
		out := make([]syntax.Expr, len(n.X))
		for i, x := range n.X {
			out[i] = x.Resolved()
		}
		return out
	}
	switch x := n.Syntax.(type) {
	case *syntax.And:
		return &syntax.And{Span: x.Span, X: each()}
	case *syntax.Or:
		return &syntax.Or{Span: x.Span, X: each()}
	case *syntax.Not:
		return &syntax.Not{Span: x.Span, X: n.X[0].Resolved()}
	}
	return n.inspected.written(n.Syntax, false)
}

// String returns the text of n with the names of macros and lists, on one line.
func (n *Node) String() string {
	if n.Use != "" {
		return n.Use
	}
	text := syntax.Text(n.inspected.written(n.Syntax, true))
	if strings.HasPrefix(text, "(") && strings.HasSuffix(text, ")") && len(n.X) > 1 {
		return text[1 : len(text)-1]
	}
	return text
}

// HasList reports whether n is a comparison with a list that has a name.
func (n *Node) HasList() bool {
	x, ok := n.Syntax.(*syntax.Check)
	return ok && (len(x.Lists) > 0 || len(x.Values) == 0 && x.Right == nil && x.Op != syntax.Exists)
}

// Problem returns a problem with a part of the condition.
func (v *RuleView) Problem(code Code, n *Node, msg, hint string) Problem {
	return v.SpanProblem(code, n.Macro, n.Syntax.Range(), msg, hint)
}

// Place returns where n stands; a macro stands where its name does.
func (v *RuleView) Place(n *Node) (file string, line, column int) {
	p := v.Problem("", n, "", "")
	if n.Use != "" {
		p = v.SpanProblem("", n.useIn, n.use, "", "")
	}
	return p.File, p.Line, p.Column
}

// SpanProblem returns a problem with a span of the condition, or of the text of a macro.
func (v *RuleView) SpanProblem(code Code, macro string, span syntax.Span, msg, hint string) Problem {
	at, text := v.at, v.text
	item, name := "rule", v.Name
	if macro != "" {
		at, text = v.inspected.compiler.state.macros.byName[macro].conditionContext, v.inspected.compiler.macroTexts[macro]
		item, name = "macro", macro
	}
	p := at.textProblem(code, text, span, msg, hint)
	p.Item, p.Name = item, name
	p.Locations = append(p.Locations, at.conditionContext(text.s, span.Start))
	return p
}

// pieces returns what t was put together from.
func pieces(t located, at *context) Pieces {
	p := Pieces{at: at, text: t}
	var last *yaml.Node
	for _, q := range t.parts {
		if q.node != last && !q.fixed {
			p.start = append(p.start, q.start)
			last = q.node
		}
	}
	for i, start := range p.start {
		end := len(t.s)
		if i+1 < len(p.start) {
			end = p.start[i+1]
		}
		p.Texts = append(p.Texts, strings.TrimSpace(t.s[start:end]))
	}
	return p
}

// Problem returns a problem with piece i.
func (p Pieces) Problem(code Code, i int, msg, hint string) Problem {
	start := p.start[i]
	for start < len(p.text.s) && strings.ContainsRune(" \t\r\n", rune(p.text.s[start])) {
		start++
	}
	q := p.at.textProblem(code, p.text, syntax.Span{Start: start, End: start + len(p.Texts[i])}, msg, hint)
	q.Item, q.Name = p.at.item()
	q.Locations = append(q.Locations, p.at.conditionContext(p.text.s, start))
	return q
}
