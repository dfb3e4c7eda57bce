package document

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Value is one value of a Document. The zero Value is Absent. A Value is valid until
// the document is parsed again; its methods do not allocate once the document's
// memory has grown to what they need.
type Value struct {
	d *Document
	i uint32
}

// Kind returns the type of v.
func (v Value) Kind() Kind {
	if v.d == nil {
		return Absent
	}
	return v.d.nodes[v.i].kind
}

// Len returns the number of elements of an array or members of an object, else 0.
func (v Value) Len() int {
	if k := v.Kind(); k != Array && k != Object {
		return 0
	}
	return int(v.d.nodes[v.i].n)
}

// Get returns the member of an object with the key, the last one if there are
// several; Absent if there is none or v is no object.
func (v Value) Get(key string) Value {
	var found Value
	for m := v.Members(); m.Next(); {
		if m.is(key) {
			found = m.Value()
		}
	}
	return found
}

// Index returns element i of an array; Absent if there is none or v is no array.
func (v Value) Index(i int) Value {
	if i < 0 || i >= v.Len() || v.Kind() != Array {
		return Value{}
	}
	e := v.Elements()
	for range i + 1 {
		e.Next()
	}
	return e.Value()
}

// Elements returns a cursor before the first element of an array. It is empty if v is
// no array.
func (v Value) Elements() Elements {
	if v.Kind() != Array {
		return Elements{}
	}
	return Elements{d: v.d, next: v.i + 1, end: v.d.nodes[v.i].next}
}

// Elements walks over the elements of an array.
type Elements struct {
	d    *Document
	i    uint32
	next uint32
	end  uint32
}

// Next goes to the next element and reports whether there is one.
func (e *Elements) Next() bool {
	if e.next >= e.end {
		return false
	}
	e.i = e.next
	e.next = e.d.after(e.i)
	return true
}

// Value returns the element Next went to.
func (e *Elements) Value() Value { return Value{e.d, e.i} }

// Members returns a cursor before the first member of an object. It is empty if v is
// no object.
func (v Value) Members() Members {
	if v.Kind() != Object {
		return Members{}
	}
	return Members{d: v.d, next: v.i + 1, end: v.d.nodes[v.i].next}
}

// Members walks over the members of an object in the order of the text, also over
// those that a later member with the same key hides.
type Members struct {
	d    *Document
	key  uint32
	next uint32
	end  uint32
}

// Next goes to the next member and reports whether there is one.
func (m *Members) Next() bool {
	if m.next >= m.end {
		return false
	}
	m.key = m.next
	m.next = m.d.after(m.key + 1)
	return true
}

// Key returns the key of the member Next went to.
func (m *Members) Key() []byte { return m.d.text(m.key) }

// Value returns the value of the member Next went to.
func (m *Members) Value() Value { return Value{m.d, m.key + 1} }

func (m *Members) is(key string) bool {
	nd := &m.d.nodes[m.key]
	if nd.flags&encoded == 0 {
		return int(nd.end-nd.start) == len(key) && string(m.d.src[nd.start:nd.end]) == key
	}
	return string(m.d.text(m.key)) == key
}

// after returns the index of the node that follows the value at i.
func (d *Document) after(i uint32) uint32 {
	if nd := &d.nodes[i]; nd.kind >= Array {
		return nd.next
	}
	return i + 1
}

// Text returns a string as it reads, and any other value as compact JSON. The bytes
// belong to the document. It is nil for Absent.
func (v Value) Text() []byte {
	if v.Kind() == String {
		return v.d.text(v.i)
	}
	return v.JSON()
}

// AppendText appends Text to dst.
func (v Value) AppendText(dst []byte) []byte { return append(dst, v.Text()...) }

// JSON returns v as JSON without space between its tokens; members keep their order,
// numbers and escapes the way they were written. The bytes belong to the document. It
// is nil for Absent.
func (v Value) JSON() []byte {
	switch v.Kind() {
	case Absent:
		return nil
	case String:
		nd := &v.d.nodes[v.i]
		s := v.d.src[nd.start-1 : nd.end+1] // with its quotes
		if nd.flags&invalid == 0 {
			return s
		}
		start := len(v.d.built)
		v.d.built = appendCompact(v.d.built, s)
		return v.d.built[start:]
	}
	nd := &v.d.nodes[v.i]
	switch {
	case nd.flags&built != 0:
		return v.d.built[nd.start:nd.end]
	case nd.flags&spaced != 0:
		start := len(v.d.built)
		v.d.built = appendCompact(v.d.built, v.d.src[nd.start:nd.end])
		nd.start, nd.end = uint32(start), uint32(len(v.d.built))
		nd.flags |= built
		return v.d.built[nd.start:nd.end]
	}
	return v.d.src[nd.start:nd.end]
}

// Raw returns v as it was written. It is nil for Absent, and for an array or object
// whose compact form was asked for before, that form.
func (v Value) Raw() []byte {
	switch v.Kind() {
	case Absent:
		return nil
	case Array, Object:
		if v.d.nodes[v.i].flags&built != 0 {
			return v.JSON()
		}
		nd := &v.d.nodes[v.i]
		return v.d.src[nd.start:nd.end]
	}
	return v.JSON()
}

// Int returns a number that is a whole number of 64 bits.
func (v Value) Int() (int64, bool) {
	if v.Kind() != Number {
		return 0, false
	}
	raw := v.Raw()
	neg := raw[0] == '-'
	if neg {
		raw = raw[1:]
	}
	n, ok := parseUint(raw)
	switch {
	case !ok || n > 1<<63 || !neg && n == 1<<63:
		return 0, false
	case neg:
		return -int64(n), true
	}
	return int64(n), true
}

// Uint returns a number that is a whole number of 64 bits without a sign.
func (v Value) Uint() (uint64, bool) {
	if v.Kind() != Number {
		return 0, false
	}
	return parseUint(v.Raw())
}

func parseUint(digits []byte) (uint64, bool) {
	if len(digits) > 20 {
		return 0, false
	}
	var n uint64
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		d := uint64(c - '0')
		if n > (1<<64-1-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, true
}

// Float returns a number as the nearest float64; false if v is no number or beyond
// what a float64 holds. It allocates.
func (v Value) Float() (float64, bool) {
	if v.Kind() != Number {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(v.Raw()), 64)
	return f, err == nil
}

// Bool returns true or false; ok reports whether v is one of them.
func (v Value) Bool() (value, ok bool) {
	k := v.Kind()
	return k == True, k == True || k == False
}

// text returns the string or key at i as it reads. The result is kept, so that many
// readers of one string cost one decoding.
func (d *Document) text(i uint32) []byte {
	nd := &d.nodes[i]
	switch {
	case nd.flags&built != 0:
		return d.built[nd.n : nd.n+nd.next]
	case nd.flags&encoded != 0:
		start := len(d.built)
		d.built = appendDecoded(d.built, d.src[nd.start:nd.end])
		nd.n, nd.next = uint32(start), uint32(len(d.built)-start)
		nd.flags |= built
		return d.built[start:]
	}
	return d.src[nd.start:nd.end]
}

// appendDecoded appends what the text between the quotes of a string stands for.
func appendDecoded(dst, s []byte) []byte {
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c == '\\':
			i += 2
			switch c := s[i-1]; c {
			case 'b':
				dst = append(dst, '\b')
			case 'f':
				dst = append(dst, '\f')
			case 'n':
				dst = append(dst, '\n')
			case 'r':
				dst = append(dst, '\r')
			case 't':
				dst = append(dst, '\t')
			case 'u':
				r := hex4(s[i:])
				i += 4
				if utf16.IsSurrogate(r) {
					low := rune(utf8.RuneError)
					if i+6 <= len(s) && s[i] == '\\' && s[i+1] == 'u' {
						low = hex4(s[i+2:])
					}
					if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
						i += 6
					}
				}
				dst = utf8.AppendRune(dst, r)
			default: // '"', '\\', '/'
				dst = append(dst, c)
			}
		case c < utf8.RuneSelf:
			dst = append(dst, c)
			i++
		default:
			r, n := utf8.DecodeRune(s[i:])
			dst = utf8.AppendRune(dst, r)
			i += n
		}
	}
	return dst
}

func hex4(s []byte) rune {
	var r rune
	for _, c := range s[:4] {
		d, _ := hexDigit(c)
		r = r<<4 | d
	}
	return r
}

// appendCompact appends the JSON text s without space between its tokens and with
// U+FFFD for what is not valid UTF-8.
func appendCompact(dst, s []byte) []byte {
	for i := 0; i < len(s); {
		switch c := s[i]; c {
		case ' ', '\n', '\r', '\t':
			i++
		case '"':
			end := i + 1
			for s[end] != '"' {
				if s[end] == '\\' {
					end++
				}
				end++
			}
			end++
			if utf8.Valid(s[i:end]) {
				dst = append(dst, s[i:end]...)
				i = end
			}
			for i < end {
				r, n := utf8.DecodeRune(s[i:])
				dst = utf8.AppendRune(dst, r)
				i += n
			}
		default:
			dst = append(dst, c)
			i++
		}
	}
	return dst
}

// AppendIndented appends v to dst, one element or member a line, each level indented
// by two spaces.
func (v Value) AppendIndented(dst []byte) []byte {
	s := v.JSON()
	depth := 0
	for i := 0; i < len(s); {
		switch c := s[i]; c {
		case '"':
			end := i + 1
			for s[end] != '"' {
				if s[end] == '\\' {
					end++
				}
				end++
			}
			dst = append(dst, s[i:end+1]...)
			i = end + 1
			continue
		case '{', '[':
			dst = append(dst, c)
			if s[i+1] == c+2 {
				dst = append(dst, c+2)
				i += 2
				continue
			}
			depth++
			dst = appendLine(dst, depth)
		case '}', ']':
			depth--
			dst = appendLine(dst, depth)
			dst = append(dst, c)
		case ',':
			dst = append(dst, c)
			dst = appendLine(dst, depth)
		case ':':
			dst = append(dst, ':', ' ')
		default:
			dst = append(dst, c)
		}
		i++
	}
	return dst
}

// maxIndent bounds the indentation: a deep document would be mostly spaces.
const maxIndent = 32

func appendLine(dst []byte, depth int) []byte {
	dst = append(dst, '\n')
	for range min(depth, maxIndent) {
		dst = append(dst, ' ', ' ')
	}
	return dst
}
