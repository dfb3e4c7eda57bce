package document

import (
	"bytes"
	"fmt"
)

// Envelope describes the object that a format wraps a list of documents in.
type Envelope struct {
	List string // key of the list, such as items; empty: there is no such object
	In   string // key of an object in that object that has the list; empty: it has it itself
	// Tag and Name, if set, are a member that the object has besides, such as kind:
	// EventList. An object whose Tag is another is a single document.
	Tag, Name string
}

// Bounds of what Single tries.
const (
	maxSingle = 64 << 10
	startOf   = 128 // bytes in which an envelope shows itself, most of the time
)

// Single reads b into d if it is one document that is an object and no envelope, and
// reports whether it is. If not, a Splitter says what there is in b. Most batches are one
// document: they need not be looked through for its end before it is read.
func (e Envelope) Single(d *Document, b []byte, l Limits) bool {
	i := skipSpace(b, 0)
	if i == len(b) || b[i] != '{' || len(b) > maxSingle {
		return false
	}
	if e.List != "" {
		start := b[i:min(len(b), i+startOf)]
		if bytes.Contains(start, []byte(e.List)) || e.Name != "" && bytes.Contains(start, []byte(e.Name)) {
			return false
		}
	}
	return d.Parse(b, l) == nil && !e.wraps(d.Root())
}

// wraps reports whether v is the envelope.
func (e Envelope) wraps(v Value) bool {
	if e.List == "" || e.Tag != "" && string(v.Get(e.Tag).Text()) != e.Name {
		return false
	}
	if e.In != "" {
		v = v.Get(e.In)
	}
	return v.Get(e.List).Kind() == Array
}

// Splitter cuts a batch into its documents without reading them whole: one after the
// other with any space between them (JSON lines are that), in arrays, and in the
// Envelope, inside each other up to a few levels. A document whose brackets match is
// cut out even if what is between them is no JSON, so that it costs no neighbour.
//
// Set up with Reset, then call Next. A Splitter allocates only for errors.
type Splitter struct {
	b     []byte
	env   Envelope
	i     int
	state splitState
	// depth is the number of lists around i, objects how many of an envelope's objects
	// are open around each, which have more members after the list; an array has none.
	depth   int
	objects [maxLists]uint8
}

type splitState uint8

const (
	splitFirst splitState = iota // a document may start, or the list end
	splitNext                    // a comma or the end of the list
	splitDone
)

// maxLists bounds how many lists may be inside each other.
const maxLists = 8

// Reset makes s split b, which must not change while s is in use.
func (s *Splitter) Reset(b []byte, env Envelope) {
	*s = Splitter{b: b, env: env}
	if len(b) >= 3 && b[0] == 0xEF && b[1] == 0xBB && b[2] == 0xBF {
		s.i = 3 // byte order mark
	}
}

// Next returns the text of the next document and its offset in the batch; ok is false
// after the last one. An *Error says where the batch itself is no longer readable:
// nothing follows it.
func (s *Splitter) Next() (text []byte, offset int, ok bool, err error) {
	text, offset, ok, err = s.next()
	if err != nil {
		s.state = splitDone
	}
	return text, offset, ok, err
}

func (s *Splitter) next() (text []byte, offset int, ok bool, err error) {
	for s.state != splitDone {
		s.i = skipSpace(s.b, s.i)
		if s.i >= len(s.b) {
			if s.depth > 0 {
				return nil, 0, false, incomplete(s.i)
			}
			break
		}
		c := s.b[s.i]
		if s.depth > 0 && (c == ']' || s.state == splitNext) {
			switch c {
			case ',':
				s.i++
				s.i = skipSpace(s.b, s.i)
				if s.i >= len(s.b) {
					return nil, 0, false, incomplete(s.i)
				}
				if s.b[s.i] == ']' {
					return nil, 0, false, unexpected(s.b, s.i, "a value")
				}
				s.state = splitFirst
			case ']':
				s.i++
				if err := s.leave(); err != nil {
					return nil, 0, false, err
				}
			default:
				return nil, 0, false, unexpected(s.b, s.i, "',' or ']'")
			}
			continue
		}
		start := s.i
		switch c {
		case '[':
			if err := s.enter(start+1, 0); err != nil {
				return nil, 0, false, err
			}
			continue
		case '{':
			list, end, err := s.object()
			if err != nil {
				return nil, 0, false, err
			}
			if list > 0 {
				objects := uint8(1)
				if s.env.In != "" {
					objects = 2
				}
				if err := s.enter(list, objects); err != nil {
					return nil, 0, false, err
				}
				continue
			}
			s.i = end
		default:
			if s.i, err = skipValue(s.b, start); err != nil {
				return nil, 0, false, err
			}
		}
		s.state = splitNext
		return s.b[start:s.i], start, true, nil
	}
	s.state = splitDone
	return nil, 0, false, nil
}

// enter goes into the list whose first element is at or after i.
func (s *Splitter) enter(i int, objects uint8) error {
	if s.depth == maxLists {
		return &Error{TooDeep, s.i, fmt.Sprintf("more than %d lists inside each other", maxLists)}
	}
	s.objects[s.depth] = objects
	s.depth++
	s.i = i
	s.state = splitFirst
	return nil
}

// leave goes out of the innermost list; s.i is after its bracket.
func (s *Splitter) leave() error {
	s.depth--
	s.state = splitNext
	for range s.objects[s.depth] { // the rest of the envelope
		end, err := skipOpen(s.b, s.i)
		if err != nil {
			return err
		}
		s.i = end
	}
	return nil
}

// object looks at the object at s.i. If it is the envelope, list is the index after
// the bracket of its list, else end is the index after the object.
func (s *Splitter) object() (list, end int, err error) {
	b := s.b
	if s.env.List == "" {
		end, err = skipValue(b, s.i)
		return 0, end, err
	}
	tagged := s.env.Tag == ""
	outer := s.env.In != ""
	for i := skipSpace(b, s.i+1); ; {
		if i >= len(b) {
			return 0, 0, incomplete(i)
		}
		if b[i] == '}' {
			if tagged && list > 0 {
				return list, 0, nil
			}
			return 0, i + 1, nil
		}
		key, at, ok := member(b, i)
		if !ok {
			// Not the object of a document: Parse will say what is wrong with it.
			end, err = skipOpen(b, i)
			return 0, end, err
		}
		switch {
		case outer:
			if string(key) == s.env.In && b[at] == '{' {
				if list = innerList(b, at, s.env.List); list > 0 {
					return list, 0, nil
				}
			}
		case string(key) == s.env.List && b[at] == '[':
			list = at + 1
			if tagged {
				return list, 0, nil
			}
		case s.env.Tag != "" && string(key) == s.env.Tag:
			if !isString(b[at:], s.env.Name) {
				end, err = skipOpen(b, at)
				return 0, end, err
			}
			tagged = true
			if list > 0 {
				return list, 0, nil
			}
		}
		if i, err = skipValue(b, at); err != nil {
			return 0, 0, err
		}
		i = skipSpace(b, i)
		if i < len(b) && b[i] == ',' {
			i = skipSpace(b, i+1)
		}
	}
}

// innerList returns the index after the bracket of the list that the object at b[i] has
// under a key, 0 if it has none or is cut short before it.
func innerList(b []byte, i int, name string) int {
	for i = skipSpace(b, i+1); i < len(b) && b[i] != '}'; {
		key, at, ok := member(b, i)
		if !ok {
			return 0
		}
		if string(key) == name && b[at] == '[' {
			return at + 1
		}
		var err error
		if i, err = skipValue(b, at); err != nil {
			return 0
		}
		i = skipSpace(b, i)
		if i < len(b) && b[i] == ',' {
			i = skipSpace(b, i+1)
		}
	}
	return 0
}

// member reads the key at b[i] and returns the index of its value.
func member(b []byte, i int) (key []byte, at int, ok bool) {
	if b[i] != '"' {
		return nil, 0, false
	}
	end, ok := stringEnd(b, i)
	if !ok {
		return nil, 0, false
	}
	at = skipSpace(b, end+1)
	if at >= len(b) || b[at] != ':' {
		return nil, 0, false
	}
	at = skipSpace(b, at+1)
	return b[i+1 : end], at, at < len(b)
}

func isString(b []byte, want string) bool {
	return len(b) >= len(want)+2 && b[0] == '"' && b[len(want)+1] == '"' && string(b[1:1+len(want)]) == want
}

// stringEnd returns the index of the quote that ends the string at b[i].
func stringEnd(b []byte, i int) (int, bool) {
	for i++; i < len(b); i++ {
		i = skipPlain(b, i)
		if i >= len(b) {
			break
		}
		switch b[i] {
		case '"':
			return i, true
		case '\\':
			i++
		}
	}
	return len(b), false
}

// skipValue returns the index after the value at b[i], which is not space. It looks at
// quotes and brackets only.
func skipValue(b []byte, i int) (int, error) {
	switch b[i] {
	case '{', '[':
		return skipOpen(b, i+1)
	case '"':
		end, ok := stringEnd(b, i)
		if !ok {
			return 0, incomplete(end)
		}
		return end + 1, nil
	}
	start := i
	for i < len(b) {
		switch b[i] {
		case ' ', '\n', '\r', '\t', ',', ']', '}', ':', '{', '[', '"':
			if i == start {
				return 0, unexpected(b, i, "a value")
			}
			return i, nil
		}
		i++
	}
	return i, nil
}

// skipOpen returns the index after the bracket that closes the container that b[i] is
// in.
func skipOpen(b []byte, i int) (int, error) {
	open := 1
	for ; i < len(b); i++ {
		switch b[i] {
		case '"':
			end, ok := stringEnd(b, i)
			if !ok {
				return 0, incomplete(end)
			}
			i = end
		case '{', '[':
			open++
		case '}', ']':
			open--
			if open == 0 {
				return i + 1, nil
			}
		}
	}
	return 0, incomplete(len(b))
}

// End returns the index after the first document in b, 0 if b ends inside it. It looks
// at quotes and brackets only. Text that begins neither an object nor an array ends with
// its line.
func End(b []byte) int {
	i := 0
	if len(b) >= 3 && b[0] == 0xEF && b[1] == 0xBB && b[2] == 0xBF {
		i = 3 // byte order mark
	}
	i = skipSpace(b, i)
	if i < len(b) && (b[i] == '{' || b[i] == '[') {
		end, err := skipOpen(b, i+1)
		if err != nil {
			return 0
		}
		return end
	}
	for ; i < len(b); i++ {
		if b[i] == '\n' {
			return i + 1
		}
	}
	return 0
}
