// Package document reads JSON documents into memory that is reused, and finds
// values in them by path.
//
// Start with Document: Parse fills it, a Path finds values in it. A Splitter cuts
// batches and streams of documents into single ones.
//
// What is accepted is RFC 8259, no more and no less. Two things the standard leaves
// open: of members with the same key the last counts; and text that is not valid
// UTF-8, or an escaped half of a surrogate pair, reads as U+FFFD. Numbers keep the
// digits they were written with, of whatever size.
package document

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
	"unicode/utf8"
)

// Limits bound what Parse accepts. A zero member means its default.
type Limits struct {
	Bytes int // size of the document: 16 MiB
	Depth int // containers inside each other: 10,000
	Nodes int // values and keys: 4 million
}

// The defaults and the largest values of Limits. Offsets are kept in 32 bits.
const (
	defaultBytes = 16 << 20
	defaultDepth = 10_000
	defaultNodes = 4 << 20
	maxBytes     = 1 << 30
)

// Reason says why a document was refused.
type Reason uint8

const (
	// Malformed: the text is not JSON.
	Malformed Reason = iota
	// Incomplete: the text ends inside a document.
	Incomplete
	// TooLarge, TooDeep, TooMany: the document is beyond a limit.
	TooLarge
	TooDeep
	TooMany
)

// Reasons is how many reasons there are.
const Reasons = int(TooMany) + 1

func (r Reason) String() string {
	return [...]string{"malformed", "incomplete", "too_large", "too_deep", "too_many_values"}[r]
}

// Error says why and where a document was refused.
type Error struct {
	Reason Reason
	Offset int // bytes before the place
	Detail string
}

func (e *Error) Error() string {
	return fmt.Sprintf("read document: offset %d: %s", e.Offset, e.Detail)
}

// Kind is the type of a JSON value.
type Kind uint8

const (
	Absent Kind = iota // no value at all: what a path finds where there is nothing
	Null
	False
	True
	Number
	String
	Array
	Object
)

func (k Kind) String() string {
	return [...]string{"absent", "null", "false", "true", "number", "string", "array", "object"}[k]
}

// node is one value or key. The nodes of a document are in the order of its text: a
// container is followed by its elements, a key by its value.
type node struct {
	// start and end delimit the text: of a string without its quotes; of a container
	// whose compact form was asked for, in Document.built.
	start, end uint32
	// next is the index after the last node of a container. For a string that was
	// decoded it is the length of the result. While a container is open it holds the
	// number of spaces before it, and end the index of the container around it.
	next uint32
	// n is the number of elements or members; for a decoded string, where it is in
	// Document.built.
	n     uint32
	kind  Kind
	flags flags
}

type flags uint8

const (
	encoded flags = 1 << iota // a string whose text is not what it stands for
	invalid                   // a string that is not valid UTF-8
	spaced                    // a container with space or invalid UTF-8 inside
	built                     // the decoded or compact form is in Document.built
)

// none is the index of no node.
const none = ^uint32(0)

// Document is one parsed JSON value. It is used by one goroutine, and its memory is
// reused by the next Parse: values and texts from it are valid until then.
type Document struct {
	src   []byte
	nodes []node
	built []byte // decoded strings and compact containers
	found []Value

	memo  []memo
	round uint32 // parses so far: what memo entries are valid for

	later  func() []byte // what to parse when somebody asks, if not nil
	limits Limits
}

// Parse makes d the document in b. It keeps b, which must not change while d is in
// use. If it reports an *Error, d is empty.
func (d *Document) Parse(b []byte, l Limits) error {
	d.Reset()
	if err := d.load(b, l); err != nil {
		d.Reset()
		return err
	}
	return nil
}

// ParseLater makes d the document in what read returns. It is called, at most once,
// when somebody asks for a value; if what it returns is nil, no JSON or beyond a limit,
// d is empty.
func (d *Document) ParseLater(read func() []byte, l Limits) {
	d.Reset()
	d.later, d.limits = read, l
}

func (d *Document) load(b []byte, l Limits) error {
	if l.Bytes <= 0 {
		l.Bytes = defaultBytes
	}
	if l.Depth <= 0 {
		l.Depth = defaultDepth
	}
	if l.Nodes <= 0 {
		l.Nodes = defaultNodes
	}
	if limit := min(l.Bytes, maxBytes); len(b) > limit {
		return &Error{TooLarge, limit, fmt.Sprintf("document of %d bytes, limit is %d", len(b), limit)}
	}
	d.src = b
	return d.parse(l)
}

// Reset empties d and lets go of the bytes it was parsed from.
func (d *Document) Reset() {
	d.src, d.nodes, d.built, d.later = nil, d.nodes[:0], d.built[:0], nil
	d.round++
	if d.round == 0 { // wrapped: old entries would look valid
		clear(d.memo)
		d.round = 1
	}
}

// Trim frees memory beyond what documents of about n bytes need, so that one huge
// document does not occupy memory for ever.
func (d *Document) Trim(n int) {
	if cap(d.nodes) > n {
		d.nodes = nil
	}
	if cap(d.built) > n {
		d.built = nil
	}
	if cap(d.found) > n {
		d.found = nil
	}
}

// Root returns the value of the whole document: Absent if it is empty.
func (d *Document) Root() Value {
	if d.later != nil {
		d.settle()
	}
	if len(d.nodes) == 0 {
		return Value{}
	}
	return Value{d, 0}
}

// settle reads what ParseLater was told of.
func (d *Document) settle() {
	read := d.later
	d.later = nil
	if b := read(); b == nil || d.load(b, d.limits) != nil {
		d.src, d.nodes = nil, d.nodes[:0]
	}
}

// parse is a loop without recursion: a document of any depth takes no stack.
func (d *Document) parse(l Limits) error {
	var (
		b      = d.src
		i      = 0
		spaces = 0    // skipped so far
		open   = none // innermost open container
		depth  = 0
		key    = false // a key is wanted, not a value
	)
	if len(b) >= 3 && b[0] == 0xEF && b[1] == 0xBB && b[2] == 0xBF {
		i = 3 // byte order mark
	}
	for {
		// A value or a key starts here.
		from := i
		i = skipSpace(b, i)
		spaces += i - from
		if i >= len(b) {
			return incomplete(i)
		}
		if len(d.nodes) >= l.Nodes {
			return &Error{TooMany, i, fmt.Sprintf("more than %d values", l.Nodes)}
		}
		switch c := b[i]; {
		case c == '"':
			end, fl := skipPlain(b, i+1), flags(0)
			if end >= len(b) || b[end] != '"' { // most strings are plain
				var err error
				if end, fl, err = scanString(b, i); err != nil {
					return err
				}
			}
			if fl&invalid != 0 {
				spaces++ // one more thing that differs in the compact form
			}
			nd := d.grow()
			nd.start, nd.end, nd.next, nd.n, nd.kind, nd.flags = uint32(i+1), uint32(end), 0, 0, String, fl
			i = end + 1
			if key {
				from = i
				i = skipSpace(b, i)
				spaces += i - from
				if i >= len(b) {
					return incomplete(i)
				}
				if b[i] != ':' {
					return unexpected(b, i, "':'")
				}
				i++
				key = false
				continue
			}
		case key:
			return unexpected(b, i, "a key in quotes")
		case c == '{' || c == '[':
			if depth++; depth > l.Depth {
				return &Error{TooDeep, i, fmt.Sprintf("more than %d containers inside each other", l.Depth)}
			}
			kind := Array
			if c == '{' {
				kind = Object
			}
			inner := uint32(len(d.nodes))
			nd := d.grow()
			nd.start, nd.end, nd.next, nd.n, nd.kind, nd.flags = uint32(i), open, uint32(spaces), 0, kind, 0
			open = inner
			from = i + 1
			i = skipSpace(b, from)
			spaces += i - from
			if i >= len(b) {
				return incomplete(i)
			}
			if b[i] != c+2 { // '}' and ']' follow their opening by two
				key = c == '{'
				continue
			}
			open = d.close(open, i+1, spaces)
			depth--
			i++
		default:
			kind, end, err := scanScalar(b, i)
			if err != nil {
				return err
			}
			nd := d.grow()
			nd.start, nd.end, nd.next, nd.n, nd.kind, nd.flags = uint32(i), uint32(end), 0, 0, kind, 0
			i = end
		}
		// A value ended here.
		for {
			from := i
			i = skipSpace(b, i)
			spaces += i - from
			if open == none {
				if i < len(b) {
					return unexpected(b, i, "the end")
				}
				return nil
			}
			if i >= len(b) {
				return incomplete(i)
			}
			parent := &d.nodes[open]
			parent.n++
			if b[i] == ',' {
				i++
				key = parent.kind == Object
				break
			}
			if parent.kind == Object && b[i] != '}' {
				return unexpected(b, i, "',' or '}'")
			}
			if parent.kind == Array && b[i] != ']' {
				return unexpected(b, i, "',' or ']'")
			}
			i++
			open = d.close(open, i, spaces)
			depth--
		}
	}
}

// grow returns a node at the end, with what it held before: the caller sets every field.
// To append a whole node would write it twice, which is a third of the time of a parse.
func (d *Document) grow() *node {
	n := len(d.nodes)
	if n == cap(d.nodes) {
		d.nodes = slices.Grow(d.nodes, 1)
	}
	d.nodes = d.nodes[:n+1]
	return &d.nodes[n]
}

// close ends the container at index i and returns the index of the one around it.
func (d *Document) close(i uint32, end, spaces int) uint32 {
	nd := &d.nodes[i]
	parent := nd.end
	if int(nd.next) != spaces {
		nd.flags |= spaced
	}
	nd.end = uint32(end)
	nd.next = uint32(len(d.nodes))
	return parent
}

func incomplete(i int) error {
	return &Error{Incomplete, i, "the document ends too early"}
}

func unexpected(b []byte, i int, want string) error {
	r, _ := utf8.DecodeRune(b[i:])
	return &Error{Malformed, i, fmt.Sprintf("unexpected %q, want %s", r, want)}
}

func skipSpace(b []byte, i int) int {
	// One comparison for what is no space, which is most of it.
	for i < len(b) && b[i] <= ' ' && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

// class sorts the bytes of a string.
type class uint8

const (
	plain class = iota
	quote
	backslash
	control
	high // not ASCII
)

var classes = func() (t [256]class) {
	for i := range t {
		switch {
		case i == '"':
			t[i] = quote
		case i == '\\':
			t[i] = backslash
		case i < 0x20:
			t[i] = control
		case i >= 0x80:
			t[i] = high
		}
	}
	return t
}()

// scanString returns the index of the quote that ends the string that starts at b[i].
func scanString(b []byte, i int) (end int, fl flags, err error) {
	start := i + 1
	beyondASCII := false
	for i = start; i < len(b); i++ {
		i = skipPlain(b, i)
		if i >= len(b) {
			break
		}
		switch classes[b[i]] {
		case plain:
		case quote:
			if beyondASCII && !utf8.Valid(b[start:i]) {
				fl |= encoded | invalid
			}
			return i, fl, nil
		case high:
			beyondASCII = true
		case control:
			return 0, 0, unexpected(b, i, "no control character in a string")
		case backslash:
			fl |= encoded
			i++
			if i >= len(b) {
				return 0, 0, incomplete(i)
			}
			switch b[i] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				for range 4 {
					i++
					if i >= len(b) {
						return 0, 0, incomplete(i)
					}
					if _, ok := hexDigit(b[i]); !ok {
						return 0, 0, unexpected(b, i, "a hexadecimal digit")
					}
				}
			default:
				return 0, 0, unexpected(b, i, "an escape")
			}
		}
	}
	return 0, 0, incomplete(i)
}

// skipPlain returns an index at or before the first byte from b[i] on that is not
// plain, looking at eight at a time.
func skipPlain(b []byte, i int) int {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	for ; i+8 <= len(b); i += 8 {
		x := binary.LittleEndian.Uint64(b[i:])
		q := x ^ '"'*ones
		s := x ^ '\\'*ones
		// The top bit of each byte that is a quote, a backslash, a control character or
		// not ASCII. Bits above the lowest one set may be wrong.
		m := ((q-ones)&^q | (s-ones)&^s | (x-' '*ones)&^x | x) & tops
		if m != 0 {
			return i + bits.TrailingZeros64(m)/8
		}
	}
	return i
}

func hexDigit(c byte) (rune, bool) {
	switch {
	case c >= '0' && c <= '9':
		return rune(c - '0'), true
	case c >= 'a' && c <= 'f':
		return rune(c - 'a' + 10), true
	case c >= 'A' && c <= 'F':
		return rune(c - 'A' + 10), true
	}
	return 0, false
}

// scanScalar reads the number or word that starts at b[i].
func scanScalar(b []byte, i int) (Kind, int, error) {
	switch b[i] {
	case 'n':
		return scanWord(b, i, "null", Null)
	case 't':
		return scanWord(b, i, "true", True)
	case 'f':
		return scanWord(b, i, "false", False)
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		end, err := scanNumber(b, i)
		return Number, end, err
	}
	return Absent, 0, unexpected(b, i, "a value")
}

func scanWord(b []byte, i int, word string, kind Kind) (Kind, int, error) {
	for j := range len(word) {
		if i+j >= len(b) {
			return Absent, 0, incomplete(i + j)
		}
		if b[i+j] != word[j] {
			return Absent, 0, unexpected(b, i+j, word)
		}
	}
	return kind, i + len(word), nil
}

func scanNumber(b []byte, i int) (int, error) {
	if b[i] == '-' {
		i++
	}
	switch {
	case i >= len(b):
		return 0, incomplete(i)
	case b[i] == '0':
		i++
	default:
		end := skipDigits(b, i)
		if end == i {
			return 0, digitWanted(b, i)
		}
		i = end
	}
	if i < len(b) && b[i] == '.' {
		end := skipDigits(b, i+1)
		if end == i+1 {
			return 0, digitWanted(b, end)
		}
		i = end
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		end := skipDigits(b, i)
		if end == i {
			return 0, digitWanted(b, i)
		}
		i = end
	}
	return i, nil
}

func digitWanted(b []byte, i int) error {
	if i >= len(b) {
		return incomplete(i)
	}
	return unexpected(b, i, "a digit")
}

func skipDigits(b []byte, i int) int {
	for i < len(b) && b[i] >= '0' && b[i] <= '9' {
		i++
	}
	return i
}
