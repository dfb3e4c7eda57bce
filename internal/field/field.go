// Package field is the table of every field that a rule can name.
//
// To add a field, add one entry to the table of its class (evt.go, proc.go, fd.go,
// user.go, container.go, k8saudit.go …). Conditions, outputs, the reference page
// and "windhover fields" all read the table.
package field

import (
	"net/netip"

	"github.com/windhover/windhover/internal/event"
)

// Kind is the type of a field's values. It decides which accessor is set, which
// operators are allowed and how a value is written.
type Kind uint8

const (
	KindText     Kind = iota // Text
	KindPath                 // Text: a path
	KindBytes                // Text: a byte buffer
	KindInt                  // Int: signed
	KindUint                 // Int: the bits of an unsigned number
	KindBool                 // Int: 0 or 1
	KindTime                 // Int: nanoseconds since the Unix epoch
	KindDuration             // Int: nanoseconds
	KindPort                 // Int: 0..65535
	KindFloat                // Int: the bits of a float64
	KindIP                   // IP
	KindNet                  // IP: an address that is compared with networks
)

// Match says what a comparison means on a field that has several values at once.
type Match uint8

const (
	// MatchOne: the field has at most one value.
	MatchOne Match = iota
	// MatchAny: true if any value satisfies the operator, "!=" too (proc.aname
	// without an index: some ancestor).
	MatchAny
	// MatchEither: true if any value satisfies the operator, but "!=" is true only
	// if every value differs (fd.ip: both ends).
	MatchEither
	// MatchList: a list; only "in" (every value is in the set), "intersects" (some
	// value is) and "exists" apply.
	MatchList
)

// ArgForm says what may stand in the brackets after a field's name.
type ArgForm uint8

const (
	ArgNone ArgForm = iota
	ArgOptional
	ArgRequired
)

// Print says how a number is written.
type Print uint8

const (
	PrintDec  Print = iota
	PrintHex        // upper case, without a prefix
	PrintOct        // with a leading zero
	PrintPad9       // decimal, padded with zeros to nine digits
)

// Field is one entry of the table.
//
// Exactly one accessor is set for Match one: that of its Kind. An accessor reports
// false if the event has no such value: absent is not the same as empty. Fields with
// several values have an Append accessor instead. An accessor never blocks; text that
// it has to build goes to the event's Scratch and lives as long as the event, so no
// accessor allocates.
type Field struct {
	Name  string
	Class string // evt, proc, fd, user, ka …
	Kind  Kind
	Match Match
	Arg   ArgForm
	// Dotted says that the argument may follow a dot instead of standing in
	// brackets, as in evt.arg.flags.
	Dotted bool
	Print  Print
	Doc    string

	// Sources names the source types that have the field; nil: every source.
	Sources []string
	// Missing says that no source delivers the field: it loads, and has no value.
	Missing bool
	// Deprecated says that the rule language merely keeps it: using it gives a warning.
	Deprecated bool
	// FilterOnly: made for conditions. An output shows every value the field has.
	FilterOnly bool
	// Hidden: not listed unless asked for.
	Hidden bool
	// Suggested: what suggested_output adds to outputs of the field's sources.
	Suggested bool
	// Clock: the text is a reading of the event's time; as a typed value the field is
	// that time.
	Clock bool
	// NoTransform: refuses transformers. NoCompare: cannot stand on the right-hand side
	// of a comparison.
	NoTransform, NoCompare bool

	Text func(*event.Event) ([]byte, bool)
	Int  func(*event.Event) (int64, bool)
	IP   func(*event.Event) (netip.Addr, bool)

	// AppendText, AppendInt and AppendIP append every value to dst and return it.
	AppendText func(ev *event.Event, dst [][]byte) [][]byte
	AppendInt  func(ev *event.Event, dst []int64) []int64
	AppendIP   func(ev *event.Event, dst []netip.Addr) []netip.Addr

	// argLen returns how much of a text after the dot is an argument; set if Dotted.
	argLen func(text string) int

	// Bind returns the field for one argument: a copy with its accessors set. It is
	// set if Arg is not ArgNone. The error says what is wrong with the argument.
	Bind func(arg string) (*Field, error)
	// Key is the argument a bound field was made with; Bound says that it is one.
	Key   string
	Bound bool

	// Types are the event types on which the field can have a value; the zero set
	// means every type.
	Types event.TypeSet
}

// Value is one owned value of a field, as alerts carry it. At most one of the
// members beside Kind is used; a list uses List.
type Value struct {
	Kind  Kind
	Text  string
	Int   int64
	IP    netip.Addr
	List  []string
	Valid bool // false: the event has no such value
}
