// Package syntax reads and prints conditions of the rule language: text in, tree
// out. It knows the grammar and nothing of fields, types, lists or macros; package
// check gives the tree its meaning. Start with Parse.
//
// The grammar, where BLANK is any of space, tab, backspace, CR and LF:
//
//	expr      = and { "or" ( BLANK and | "(" expr ")" ) }
//	and       = not { "and" ( BLANK not | "(" expr ")" ) }
//	not       = { "not" BLANK } ( "not(" expr ")" | check )
//	check     = "(" expr ")" | operand comparison | macro
//	operand   = field | call
//	field     = name "." name { "." name } [ "[" argument "]" ]
//	call      = transformer "(" arg { "," arg } ")" [ "[" argument "]" ]
//	arg       = number | quoted | "(" [ arg { "," arg } ] ")" | operand
//	comparison = "exists"
//	           | ( "<" | "<=" | ">" | ">=" ) ( call | "val(" field ")" | number )
//	           | text-operator ( call | "val(" field ")" | quoted | bare )
//	           | text-operator modifier list
//	           | ( "in" | "intersects" | "pmatch" ) ( list | call | "val(" field ")" )
//	list      = "(" [ value { "," value } ] ")" | name
//
// A text operator that is a word is followed by a BLANK. "or(" and "and(" take the
// group alone as their operand, so "a or(b) and c" is not a condition.
package syntax

// Op is a comparison operator.
type Op uint8

// The operators of the language; "==" is Equal too.
const (
	Exists Op = iota
	Equal
	NotEqual
	Less
	LessEqual
	Greater
	GreaterEqual
	Glob
	IGlob
	Contains
	IContains
	BContains
	StartsWith
	BStartsWith
	EndsWith
	Regex
	Intersects
	In
	PMatch

	NumOps
)

var opText = [NumOps]string{
	"exists", "=", "!=", "<", "<=", ">", ">=", "glob", "iglob", "contains", "icontains",
	"bcontains", "startswith", "bstartswith", "endswith", "regex", "intersects", "in", "pmatch",
}

func (op Op) String() string { return opText[op] }

// OpByText returns the operator that is written as text.
func OpByText(text string) (Op, bool) {
	if text == "==" {
		return Equal, true
	}
	for op, t := range opText {
		if t == text {
			return Op(op), true
		}
	}
	return 0, false
}

// TakesList reports whether op compares with a list.
func (op Op) TakesList() bool { return op == In || op == Intersects || op == PMatch }

// TakesModifier reports whether op may be followed by a Modifier.
func (op Op) TakesModifier() bool {
	switch op {
	case Exists, Less, LessEqual, Greater, GreaterEqual, In, Intersects, PMatch:
		return false
	}
	return true
}

// Modifier says how many values of a list must satisfy an operator.
type Modifier uint8

// The modifiers; None means that there is one value, or that the operator takes a
// list itself.
const (
	None Modifier = iota
	OneOf
	AnyOf
	AllOf
)

var modifierText = [...]string{"", "oneof", "anyof", "allof"}

func (m Modifier) String() string { return modifierText[m] }

// ModifierByText returns the modifier that is written as text.
func ModifierByText(text string) (Modifier, bool) {
	for m, t := range modifierText {
		if m > 0 && t == text {
			return Modifier(m), true
		}
	}
	return None, false
}

// Span is a range of bytes of the parsed text.
type Span struct{ Start, End int }

// Range returns the span itself; every node has it by embedding.
func (s Span) Range() Span { return s }

// Expr is a condition: And, Or, Not, Macro or Check.
type Expr interface {
	Range() Span
	appendText(dst []byte) []byte
}

type (
	// And holds if every one of X does; there are at least two.
	And struct {
		Span
		X []Expr
	}
	// Or holds if one of X does; there are at least two.
	Or struct {
		Span
		X []Expr
	}
	// Not holds if X does not; X is no Not.
	Not struct {
		Span
		X Expr
	}
	// Macro stands for the condition of that name.
	Macro struct {
		Span
		Name string
	}
	// Check compares Left.
	Check struct {
		Span
		Left     Operand
		Op       Op
		OpSpan   Span
		Modifier Modifier
		// Right is set if the right side is computed from the event; else Values
		// holds the constants: none for Exists, one unless Op takes a list or there
		// is a modifier.
		Right  Operand
		Values []Value
		// Lists are lists that stand for further values, in the order of the text;
		// see Mark.
		Lists []ListRef
	}
)

// Operand is a Field, a Call, or, as an argument of a call only, a Literal or a
// List.
type Operand interface {
	Range() Span
	appendText(dst []byte) []byte
	operand()
}

type (
	// Field names a field, with its argument if it has one.
	Field struct {
		Span
		Name   string
		Arg    string
		HasArg bool
		// Val says that it is written as val(field).
		Val bool
	}
	// Call applies a transformer.
	Call struct {
		Span
		Name   string
		Args   []Operand
		Arg    string // in brackets after the parentheses
		HasArg bool
	}
	// Literal is a constant argument of a call.
	Literal struct {
		Span
		Value Value
	}
	// List is a list in parentheses as an argument of a call.
	List struct {
		Span
		Items []Operand
	}
)

func (*Field) operand()   {}
func (*Call) operand()    {}
func (*Literal) operand() {}
func (*List) operand()    {}

// Value is a constant, unquoted and with its escapes replaced.
type Value struct {
	Span
	Text   string
	Number bool // it stands after a numeric operator, or is a number as an argument
}

// ListRef stands among the values of a check for the values of a list.
type ListRef struct {
	At   int // it comes before Values[At]
	List int // as its mark has it
}

// Error is what is wrong with a condition.
type Error struct {
	Span
	Msg string
	// Mark says that the text has a mark where only the words of the list could
	// stand, if anything.
	Mark bool
	// Word is the unknown word that the error is about, and Known those that could
	// stand there.
	Word  string
	Known []string
}

func (e *Error) Error() string { return e.Msg }
