// Package ir declares the tree of a checked condition: fields are resolved, constants
// have the type of what they are compared with, macros and lists are gone. Package
// check makes it from syntax; plan and pushdown consume it. Start with Expr.
package ir

import (
	"net/netip"
	"regexp"

	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/field"
)

// Expr is a condition: And, Or, Not, Const, Types, Exists or Compare. A tree is
// immutable, and conditions that share a macro share its nodes.
type Expr interface{ expr() }

type (
	// And holds if every one of X does, evaluated from left to right.
	And struct{ X []Expr }
	// Or holds if one of X does, evaluated from left to right.
	Or struct{ X []Expr }
	// Not holds if X does not.
	Not struct{ X Expr }
	// Const holds always or never.
	Const struct{ Value bool }
	// Types holds for events of the types in Set.
	Types struct {
		Set event.TypeSet
		// Named says that the rule names the types one by one. Other comparisons with
		// a type restrict the events too, but the rule language does not count them.
		Named bool
		// Names are the names that a Named comparison has, those of no type too; with
		// Except it holds for all others.
		Names  []string
		Except bool
	}
	// Exists holds if Term has a value.
	Exists struct{ Term *Term }
	// Compare holds if Term has a value and the value, or the values as Term.Match
	// says, satisfy the operator.
	Compare struct {
		Term *Term
		Op   Op
		// Modifier combines several operands; for In and Intersects it is AnyOf.
		Modifier Modifier

		// Right is the other side if it is computed from the event; otherwise the
		// operands are constants, in the form that Term.Kind and Op ask for.
		Right  *Term
		Texts  *Texts
		Ints   []int64
		Addrs  []netip.Addr
		Nets   []netip.Prefix
		Regexp []*regexp.Regexp // unanchored on purpose: they contain their anchors
	}
)

func (*And) expr()     {}
func (*Or) expr()      {}
func (*Not) expr()     {}
func (*Const) expr()   {}
func (*Types) expr()   {}
func (*Exists) expr()  {}
func (*Compare) expr() {}

// Texts are text constants: Values, and those of Lists. A large list is one Texts, which
// all comparisons that name the list share, so that what is made of it is made once.
type Texts struct {
	Values []string
	Lists  []*Texts // have no Lists themselves
}

// Len returns how many texts there are.
func (t *Texts) Len() int {
	n := len(t.Values)
	for _, l := range t.Lists {
		n += len(l.Values)
	}
	return n
}

// All returns every text.
func (t *Texts) All() []string {
	if len(t.Lists) == 0 {
		return t.Values
	}
	all := make([]string, 0, t.Len())
	all = append(all, t.Values...)
	for _, l := range t.Lists {
		all = append(all, l.Values...)
	}
	return all
}

// Op is a comparison operator on a value and one operand, or on a value and all
// operands.
type Op uint8

// The operators. Those from Equal to EndsWith compare with one operand at a time and
// combine by Modifier.
const (
	Equal Op = iota
	NotEqual
	Less
	LessEqual
	Greater
	GreaterEqual
	Glob
	IGlob
	Contains
	IContains
	StartsWith
	EndsWith
	Regexp
	In         // the value, or every value of a list, is one of the operands
	Intersects // the value, or some value of a list, is one of the operands
	PMatch     // an operand is a prefix of the value, by path components
)

// Modifier says how many operands must satisfy the operator.
type Modifier uint8

// The modifiers. With one operand they are the same.
const (
	AnyOf Modifier = iota
	AllOf
	OneOf // exactly one
)

// Term is a value that is computed from an event: a field, or a transformer of terms
// and constants.
type Term struct {
	// Kind and Match are those of the result.
	Kind  field.Kind
	Match field.Match

	Field *field.Field // set for a field

	Func Func // set for a transformer
	Args []*Term
	// Text is the constant, if Field is nil and Func is Literal; for Getopt it is the
	// argument in brackets, if Scalar is set.
	Text string
	// Items are those of a constant list (Func is Literal and Match is MatchList).
	Items  []*Term
	Scalar bool // Getopt with an argument: one value instead of a list
}

// Func is a transformer.
type Func uint8

// The transformers.
const (
	NoFunc Func = iota
	Literal
	ToLower
	ToUpper
	Base64
	Basename
	Len
	Join
	Concat
	Getopt
)

var funcNames = map[string]Func{
	"tolower": ToLower, "toupper": ToUpper, "b64": Base64, "basename": Basename,
	"len": Len, "join": Join, "concat": Concat, "getopt": Getopt,
}

// FuncByName returns the transformer that rules call name.
func FuncByName(name string) (Func, bool) {
	f, ok := funcNames[name]
	return f, ok
}

func (f Func) String() string {
	for name, g := range funcNames {
		if g == f {
			return name
		}
	}
	return "literal"
}

// Fields calls f for every field that x asks for, with repeats.
func Fields(x Expr, f func(*field.Field)) {
	switch x := x.(type) {
	case *And:
		for _, x := range x.X {
			Fields(x, f)
		}
	case *Or:
		for _, x := range x.X {
			Fields(x, f)
		}
	case *Not:
		Fields(x.X, f)
	case *Exists:
		x.Term.fields(f)
	case *Compare:
		x.Term.fields(f)
		if x.Right != nil {
			x.Right.fields(f)
		}
	}
}

func (t *Term) fields(f func(*field.Field)) {
	if t.Field != nil {
		f(t.Field)
	}
	for _, a := range t.Args {
		a.fields(f)
	}
	for _, a := range t.Items {
		a.fields(f)
	}
}
