// Package check gives a condition its meaning: it finds the fields, types the
// constants, puts macros and lists in their place, and reports everything that is
// wrong, not the first alone. Start with Checker.
package check

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/field"
	"github.com/windhover/windhover/rules/ir"
	"github.com/windhover/windhover/rules/syntax"
)

// MaxComparisons is how many comparisons a condition has at most, with its macros
// written out: macros that use each other twice double with each step.
const MaxComparisons = 20_000

// Kind sorts problems by what the loader does about them.
type Kind uint8

const (
	// Invalid: the condition means nothing.
	Invalid Kind = iota
	// Unknown: a field or an event type does not exist; rules may choose to be left
	// out then.
	Unknown
	// UndefinedMacro: there is no macro of that name, or none that is visible.
	UndefinedMacro
	// Suspicious: a warning; the condition probably does not mean what it says.
	Suspicious
	// UnsafeNA: a warning; a field that can be absent is compared with <NA>.
	UnsafeNA
	// Obsolete: a warning; the field is kept for old rules only.
	Obsolete
	// Undelivered: a warning; no source delivers the field.
	Undelivered
)

// Warning reports whether the condition can be used nevertheless.
func (k Kind) Warning() bool { return k >= Suspicious }

// Problem is something that is wrong with a condition.
type Problem struct {
	Kind Kind
	// Span is in the text of Macro, or in that of the condition itself if Macro is
	// empty. Whole is the span of the comparison that it is part of.
	Span, Whole syntax.Span
	Macro       string
	Msg         string
	Hint        string
	Field       string // the field that the problem is about, if it is about one
}

// Macro is a macro as a Checker sees it.
type Macro struct {
	Expr syntax.Expr
	// Index is where the macro was first defined, Visibility where it was last
	// changed: a macro sees those with a smaller index than its own visibility.
	Index, Visibility int
	// Broken says that the macro has been reported already; conditions that use it
	// are not reported for it.
	Broken bool
}

// List is a list whose items are shared by the conditions that name it.
type List struct {
	Items []string
	texts ir.Texts

	looked   bool
	suspects []string // items that constantWarning has to look at
}

// Checker checks the conditions of one source type.
type Checker struct {
	// Source is the source type whose fields the conditions may use.
	Source string
	// Lookup finds a field; nil means field.Lookup.
	Lookup func(text, source string) (*field.Field, error)
	Macros map[string]*Macro
	Lists  []*List // by the number in a mark

	macros map[string]*checkedMacro
	terms  map[string]*ir.Term
	names  []string // of macros, sorted, once they were asked for
	looked int      // how many of them were looked at
}

// checkedMacro is what came of checking a macro for the source.
type checkedMacro struct {
	expr     ir.Expr // nil: it has errors
	size     int     // comparisons, those of macros in it counted again for each use
	problems []Problem
	active   bool // being checked: a use of it now is a loop
	told     bool // its errors have been handed out
}

// Check returns the meaning of x, or nil if there are errors among the problems.
// Errors inside a macro are handed out with the first condition that uses it.
// The size is how many comparisons x has with its macros written out.
func (c *Checker) Check(x syntax.Expr) (out ir.Expr, problems []Problem, size int) {
	if c.macros == nil {
		c.macros = map[string]*checkedMacro{}
		c.terms = map[string]*ir.Term{}
	}
	w := walk{c: c, seen: map[string]bool{}}
	out = w.expr(x)
	if w.failed {
		out = nil
	}
	return out, w.problems, w.size
}

// walk checks one text: that of a condition or of a macro.
type walk struct {
	c          *Checker
	macro      string // whose text it is, if it is a macro's
	visibility int    // of the macro
	whole      syntax.Span
	size       int
	failed     bool
	problems   []Problem
	seen       map[string]bool // macros whose warnings are among the problems
}

// maxProblems is how many problems of one text are handed out if it has errors. To find
// what a name was meant to be takes longer than to read it.
const maxProblems = 100

// full reports whether nothing more is handed out.
func (w *walk) full() bool { return w.failed && len(w.problems) > maxProblems }

func (w *walk) report(p Problem) {
	if w.full() {
		return
	}
	p.Macro, p.Whole = w.macro, w.whole
	if w.failed && len(w.problems) == maxProblems {
		p.Kind, p.Hint = Invalid, ""
		p.Msg = fmt.Sprintf("there are more than %d problems in the condition: the rest of it is not checked", maxProblems)
	}
	w.problems = append(w.problems, p)
	w.failed = w.failed || !p.Kind.Warning()
}

func (w *walk) fail(s syntax.Span, format string, args ...any) {
	w.report(Problem{Span: s, Msg: fmt.Sprintf(format, args...)})
}

func (w *walk) warn(k Kind, s syntax.Span, f *field.Field, format string, args ...any) {
	p := Problem{Kind: k, Span: s, Msg: fmt.Sprintf(format, args...)}
	if f != nil {
		p.Field = f.Name
	}
	w.report(p)
}

// expr returns the meaning of x; what it returns after an error is of no use.
func (w *walk) expr(x syntax.Expr) ir.Expr {
	switch x := x.(type) {
	case *syntax.And:
		return &ir.And{X: w.exprs(x.X)}
	case *syntax.Or:
		return &ir.Or{X: w.exprs(x.X)}
	case *syntax.Not:
		return &ir.Not{X: w.expr(x.X)}
	case *syntax.Macro:
		w.whole = x.Span
		return w.use(x)
	case *syntax.Check:
		if w.full() {
			return nil
		}
		w.whole = x.Span
		w.size++
		return w.check(x)
	}
	panic(fmt.Sprintf("BUG: check: condition %T", x))
}

func (w *walk) exprs(xs []syntax.Expr) []ir.Expr {
	out := make([]ir.Expr, len(xs))
	for i, x := range xs {
		out[i] = w.expr(x)
	}
	return out
}

// use puts a macro in the place of its name.
func (w *walk) use(x *syntax.Macro) ir.Expr {
	m, ok := w.c.Macros[x.Name]
	if !ok || w.macro != "" && m.Index >= w.visibility {
		p := Problem{Kind: UndefinedMacro, Span: x.Span, Msg: fmt.Sprintf("no macro %q", x.Name)}
		if ok {
			p.Msg = fmt.Sprintf("macro %q is defined after this macro, which therefore does not see it", x.Name)
		} else if near := w.nearestWord(x.Name); near != "" {
			p.Hint = fmt.Sprintf("did you mean %q?", near)
		}
		w.report(p)
		return nil
	}
	if m.Broken {
		w.failed = true
		return nil
	}
	done := w.c.macros[x.Name]
	if done == nil {
		done = &checkedMacro{active: true}
		w.c.macros[x.Name] = done
		inner := walk{c: w.c, macro: x.Name, visibility: m.Visibility, seen: map[string]bool{}}
		done.expr = inner.expr(m.Expr)
		done.problems, done.active, done.size = inner.problems, false, inner.size
		if inner.failed {
			done.expr = nil
		}
	}
	if done.active {
		w.report(Problem{Kind: UndefinedMacro, Span: x.Span, Msg: fmt.Sprintf("macro %q refers to itself", x.Name)})
		return nil
	}
	if !w.seen[x.Name] {
		w.seen[x.Name] = true
		for _, p := range done.problems {
			if p.Kind.Warning() || !done.told {
				w.problems = append(w.problems, p)
			}
		}
		done.told = true
	}
	w.failed = w.failed || done.expr == nil
	if w.size += done.size; w.size > MaxComparisons {
		w.size = 0
		w.fail(x.Span, "with its macros written out the condition has more than %d comparisons", MaxComparisons)
	}
	return done.expr
}

// maxNearest is how many names are looked at to find what names were meant to be: it
// takes longer than to read them.
const maxNearest = 100_000

// nearestWord returns the macro that name may have meant.
func (w *walk) nearestWord(name string) string {
	c := w.c
	if c.names == nil {
		c.names = slices.Sorted(maps.Keys(c.Macros))
	}
	if c.looked += len(c.names); c.looked > maxNearest+len(c.names) {
		return ""
	}
	return Nearest(name, c.names)
}

func (w *walk) lookup(text string) (*field.Field, error) {
	if w.c.Lookup != nil {
		return w.c.Lookup(text, w.c.Source)
	}
	return field.Lookup(text, w.c.Source)
}

// term resolves an operand; nil after an error.
func (w *walk) term(x syntax.Operand) *ir.Term {
	text := syntax.OperandText(x)
	if t, ok := w.c.terms[text]; ok {
		if t.Field != nil {
			w.fieldWarnings(t.Field, x.Range())
		}
		return t
	}
	var t *ir.Term
	switch x := x.(type) {
	case *syntax.Field:
		t = w.field(x)
	case *syntax.Call:
		t = w.call(x)
	default:
		panic(fmt.Sprintf("BUG: check: operand %T", x))
	}
	if t != nil {
		w.c.terms[text] = t
	}
	return t
}

func (w *walk) field(x *syntax.Field) *ir.Term {
	text := x.Name
	if x.HasArg {
		text += "[" + x.Arg + "]"
	}
	f, err := w.lookup(text)
	if err != nil {
		p := Problem{Kind: Unknown, Span: x.Span, Msg: err.Error(), Field: x.Name}
		if l, ok := errors.AsType[*field.LookupError](err); ok {
			p.Msg, p.Hint = l.Msg, l.Hint
		}
		w.report(p)
		return nil
	}
	w.fieldWarnings(f, x.Span)
	return &ir.Term{Kind: f.Kind, Match: f.Match, Field: f}
}

// DeprecatedFields are fields of the rule language about whose use a warning is given.
var DeprecatedFields = []string{"evt.dir", "evt.latency", "evt.latency.s", "evt.latency.ns", "evt.latency.human", "evt.wait_latency"}

func (w *walk) fieldWarnings(f *field.Field, s syntax.Span) {
	switch {
	case slices.Contains(DeprecatedFields, f.Name):
		w.warn(Obsolete, s, f, "field %s is deprecated: there are no events for the start of a call", f.Name)
	case f.Missing:
		w.warn(Undelivered, s, f, "no source delivers field %s yet: it has no value", f.Name)
	}
}

func isText(k field.Kind) bool { return k == field.KindText || k == field.KindPath }

// call resolves a transformer.
func (w *walk) call(x *syntax.Call) *ir.Term {
	fn, _ := ir.FuncByName(x.Name)
	single := fn != ir.Join && fn != ir.Concat && fn != ir.Getopt
	switch {
	case x.HasArg && fn != ir.Getopt:
		w.fail(x.Span, "transformer %s takes no argument in brackets", x.Name)
		return nil
	case single && len(x.Args) != 1:
		w.fail(x.Span, "transformer %s takes one argument, not %d", x.Name, len(x.Args))
		return nil
	case fn == ir.Concat && len(x.Args) < 2:
		w.fail(x.Span, "transformer concat takes at least two arguments")
		return nil
	case (fn == ir.Join || fn == ir.Getopt) && len(x.Args) != 2:
		w.fail(x.Span, "transformer %s takes two arguments, not %d", x.Name, len(x.Args))
		return nil
	}
	t := &ir.Term{Func: fn}
	for _, a := range x.Args {
		arg := w.arg(a)
		if arg == nil {
			return nil
		}
		t.Args = append(t.Args, arg)
	}
	refuse := func(i int, want string) *ir.Term {
		w.fail(x.Args[i].Range(), "transformer %s takes %s here, not %s", x.Name, want, describe(t.Args[i]))
		return nil
	}
	if single {
		a := t.Args[0]
		if a.Func == ir.Literal && a.Match != field.MatchList {
			return refuse(0, "a field or a transformer")
		}
		t.Kind, t.Match = a.Kind, a.Match
		textual := isText(a.Kind)
		switch fn {
		case ir.Base64:
			textual = a.Kind == field.KindText || a.Kind == field.KindBytes
		case ir.Len:
			if a.Match == field.MatchList {
				t.Kind, t.Match, textual = field.KindUint, field.MatchOne, true
				break
			}
			textual = textual || a.Kind == field.KindBytes
			t.Kind = field.KindUint
		}
		if !textual {
			return refuse(0, "a text")
		}
		return t
	}
	t.Kind, t.Match = field.KindText, field.MatchOne
	scalar := func(i int) bool {
		return isText(t.Args[i].Kind) && t.Args[i].Match == field.MatchOne
	}
	list := func(i int) bool {
		return t.Args[i].Match == field.MatchList
	}
	switch fn {
	case ir.Concat:
		for i := range t.Args {
			if !scalar(i) {
				return refuse(i, "a text")
			}
		}
	case ir.Join:
		if !scalar(0) {
			return refuse(0, "a text")
		}
		if !list(1) {
			return refuse(1, "a list")
		}
	case ir.Getopt:
		if !list(0) || !isText(t.Args[0].Kind) {
			return refuse(0, "a list of texts")
		}
		if !scalar(1) {
			return refuse(1, "a text")
		}
		if t.Scalar = x.HasArg; t.Scalar {
			if len(x.Arg) != 1 {
				w.fail(x.Span, "getopt takes one letter in brackets, not %q", x.Arg)
				return nil
			}
			t.Text = x.Arg
		} else {
			t.Match = field.MatchList
		}
	}
	return t
}

// arg resolves an argument of a transformer.
func (w *walk) arg(x syntax.Operand) *ir.Term {
	switch x := x.(type) {
	case *syntax.Literal:
		return &ir.Term{Kind: field.KindText, Func: ir.Literal, Text: x.Value.Text}
	case *syntax.List:
		t := &ir.Term{Kind: field.KindText, Match: field.MatchList, Func: ir.Literal}
		for _, item := range x.Items {
			a := w.arg(item)
			if a == nil {
				return nil
			}
			if !isText(a.Kind) && a.Kind != field.KindInt && a.Kind != field.KindUint {
				w.fail(item.Range(), "a list of a transformer holds texts and numbers, not %s", describe(a))
				return nil
			}
			t.Items = append(t.Items, a)
		}
		return t
	}
	t := w.term(x)
	if t != nil && t.Field != nil && (t.Field.NoTransform || isTypeField(t)) {
		w.fail(x.Range(), "field %s takes no transformer", t.Field.Name)
		return nil
	}
	return t
}

// describe names the type of a term, for messages.
func describe(t *ir.Term) string {
	s := kindText(t.Kind)
	if t.Match == field.MatchList {
		s = "a list of " + strings.TrimPrefix(strings.TrimPrefix(s, "a "), "an ") + "s"
	}
	return s
}

func kindText(k field.Kind) string {
	switch k {
	case field.KindText:
		return "a text"
	case field.KindPath:
		return "a path"
	case field.KindBytes:
		return "a buffer"
	case field.KindInt, field.KindUint:
		return "a number"
	case field.KindFloat:
		return "a fraction"
	case field.KindBool:
		return "a truth value"
	case field.KindTime:
		return "a time"
	case field.KindDuration:
		return "a duration"
	case field.KindPort:
		return "a port"
	case field.KindIP:
		return "an address"
	case field.KindNet:
		return "a network"
	}
	return "a value"
}

// check resolves a comparison.
func (w *walk) check(x *syntax.Check) ir.Expr {
	left := w.term(x.Left)
	if x.Right == nil {
		w.constantWarnings(x)
	}
	if left == nil {
		if x.Right != nil {
			w.term(x.Right)
		}
		return nil
	}
	if x.Op == syntax.Exists {
		if isTypeField(left) {
			return &ir.Types{Set: event.AllTypes(), Named: true, Except: true}
		}
		return &ir.Exists{Term: left}
	}
	if !allowed(left, x.Op) {
		w.fail(x.OpSpan, "operator %q does not apply to %s, which is %s; it takes %s",
			x.Op, syntax.OperandText(x.Left), describe(left), allowedText(left))
		return nil
	}
	if isTypeField(left) {
		return w.types(x, left)
	}
	if x.Right != nil {
		return w.compareTerms(x, left)
	}
	return w.compareConstants(x, left)
}

// isTypeField reports whether t is the name of the event's type.
func isTypeField(t *ir.Term) bool {
	return t.Field != nil && (t.Field.Name == "evt.type" || t.Field.Name == "syscall.type")
}

// allowed says which operators apply to a term.
func allowed(t *ir.Term, op syntax.Op) bool {
	if op == syntax.In || op == syntax.Intersects {
		return true
	}
	if t.Match == field.MatchList {
		return false
	}
	if op == syntax.Equal || op == syntax.NotEqual {
		return true
	}
	switch t.Kind {
	case field.KindText, field.KindPath:
		return op != syntax.BContains && op != syntax.BStartsWith
	case field.KindBytes:
		return op == syntax.Contains || op == syntax.StartsWith || op == syntax.EndsWith ||
			op == syntax.BContains || op == syntax.BStartsWith
	case field.KindBool, field.KindIP, field.KindNet:
		return false
	}
	return op == syntax.Less || op == syntax.LessEqual || op == syntax.Greater || op == syntax.GreaterEqual
}

func allowedText(t *ir.Term) string {
	var ops []string
	for op := range syntax.NumOps {
		if op == syntax.Exists || allowed(t, op) {
			ops = append(ops, op.String())
		}
	}
	return strings.Join(ops, " ")
}

var irOps = map[syntax.Op]ir.Op{
	syntax.Equal: ir.Equal, syntax.NotEqual: ir.NotEqual,
	syntax.Less: ir.Less, syntax.LessEqual: ir.LessEqual, syntax.Greater: ir.Greater, syntax.GreaterEqual: ir.GreaterEqual,
	syntax.Glob: ir.Glob, syntax.IGlob: ir.IGlob,
	syntax.Contains: ir.Contains, syntax.IContains: ir.IContains, syntax.BContains: ir.Contains,
	syntax.StartsWith: ir.StartsWith, syntax.BStartsWith: ir.StartsWith, syntax.EndsWith: ir.EndsWith,
	syntax.Regex: ir.Regexp, syntax.In: ir.In, syntax.Intersects: ir.Intersects, syntax.PMatch: ir.PMatch,
}

var irModifiers = map[syntax.Modifier]ir.Modifier{
	syntax.None: ir.AnyOf, syntax.AnyOf: ir.AnyOf, syntax.AllOf: ir.AllOf, syntax.OneOf: ir.OneOf,
}

// compareTerms resolves a comparison of two values of the event.
func (w *walk) compareTerms(x *syntax.Check, left *ir.Term) ir.Expr {
	right := w.term(x.Right)
	if right == nil {
		return nil
	}
	switch {
	case x.Op == syntax.PMatch || x.Op == syntax.Regex || x.Op == syntax.Glob || x.Op == syntax.IGlob:
		w.fail(x.OpSpan, "operator %q takes a constant on its right side", x.Op)
		return nil
	case right.Field != nil && right.Field.NoCompare:
		w.fail(x.Right.Range(), "field %s cannot stand on the right side", right.Field.Name)
		return nil
	case left.Kind == field.KindNet:
		w.fail(x.Right.Range(), "%s is compared with networks, not with a value of the event", syntax.OperandText(x.Left))
		return nil
	case left.Kind != right.Kind || (left.Match == field.MatchList) != (right.Match == field.MatchList):
		w.fail(x.Right.Range(), "%s is %s, but %s is %s",
			syntax.OperandText(x.Left), describe(left), syntax.OperandText(x.Right), describe(right))
		return nil
	}
	return &ir.Compare{Term: left, Op: irOps[x.Op], Right: right}
}

// operands yields the constants of x, lists written out.
func (w *walk) operands(x *syntax.Check) iter.Seq[syntax.Value] {
	return func(yield func(syntax.Value) bool) {
		refs := x.Lists
		for i := 0; i <= len(x.Values); i++ {
			for ; len(refs) > 0 && refs[0].At == i; refs = refs[1:] {
				for _, item := range w.c.Lists[refs[0].List].Items {
					if !yield(syntax.Value{Span: x.Span, Text: item}) {
						return
					}
				}
			}
			if i < len(x.Values) && !yield(x.Values[i]) {
				return
			}
		}
	}
}

// types resolves a comparison with the event's type.
func (w *walk) types(x *syntax.Check, left *ir.Term) ir.Expr {
	if x.Right != nil {
		w.fail(x.Right.Range(), "%s is compared with constants only", left.Field.Name)
		return nil
	}
	ok := true
	for v := range w.operands(x) {
		if w.full() {
			return nil
		}
		switch x.Op {
		case syntax.Equal, syntax.NotEqual, syntax.In, syntax.Intersects:
			ok = w.typeName(v) && ok
		}
	}
	if !ok {
		return nil
	}
	named := x.Modifier == syntax.None || x.Modifier == syntax.AnyOf && x.Op == syntax.Equal
	if named {
		set, names := event.TypeSet{}, []string(nil)
		for v := range w.operands(x) {
			names = append(names, v.Text)
			if t, ok := typeByName(v.Text); ok {
				set.Add(t)
			}
		}
		switch x.Op {
		case syntax.Equal, syntax.In, syntax.Intersects:
			return &ir.Types{Set: set, Named: x.Op != syntax.Intersects, Names: names}
		case syntax.NotEqual:
			return &ir.Types{Set: set.Complement(), Named: true, Names: names, Except: true}
		}
	}
	return w.compareConstants(x, left)
}

// typeName reports whether v names an event type, or complains.
func (w *walk) typeName(v syntax.Value) bool {
	if _, ok := typeByName(v.Text); ok || slices.Contains(foreignTypes, v.Text) {
		return true
	}
	p := Problem{Kind: Unknown, Span: v.Span, Msg: fmt.Sprintf("no event type %q", v.Text)}
	names := make([]string, 0, event.NumTypes())
	for _, s := range event.Specs() {
		names = append(names, s.Name)
	}
	if near := Nearest(v.Text, names); near != "" {
		p.Hint = fmt.Sprintf("did you mean %q?", near)
	}
	w.report(p)
	return false
}

// typeByName returns the type that rules call name, if rules can see it.
func typeByName(name string) (event.Type, bool) {
	if alias, ok := typeAliases[name]; ok {
		name = alias
	}
	t, ok := event.TypeByName(name)
	return t, ok && t != event.Unknown && t != event.Proc
}
