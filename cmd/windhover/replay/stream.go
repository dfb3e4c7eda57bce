package replay

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/windhover/windhover/internal/document"
)

// Bounds of what a Stream keeps in memory.
const (
	firstBuffer = 256 << 10
	maxValue    = 24 << 20 // a batch, such as an array; what is longer is read in parts
	maxNesting  = 10_000
)

// Stream cuts what it reads into documents: single ones, lines, arrays, and the
// envelope of the source type, in any order and with any space between them. What
// cannot be read costs no neighbour: it goes on with the next document that it finds.
// What begins like a gzip file is unpacked; offsets are those of the unpacked text.
type Stream struct {
	r   io.Reader
	env document.Envelope
	max int // longest batch

	buf    []byte
	start  int   // of what was not handed out
	offset int64 // of buf[0]
	end    bool  // there is no more to read
	failed error // why reading ended early

	// While a batch is split: where it ends, where its last document ended, and why it
	// is not whole, if it is not.
	split    document.Splitter
	batch    int
	last     int
	broken   *breach
	inBatch  bool
	inPieces bool // between documents, the rest of a list may stand
}

// Item is a document, or why there is none at an offset.
type Item struct {
	Text   []byte // valid until the next call
	Offset int64
	Err    error
}

// breach is a place where text stops being JSON.
type breach struct {
	at    int
	err   error
	next  bool // a document starts at the place
	large bool // it is as long as a batch may be
}

// NewStream returns a stream of the documents in r.
func NewStream(r io.Reader, env document.Envelope) (*Stream, error) {
	s := &Stream{r: r, env: env, max: maxValue, buf: make([]byte, 0, firstBuffer)}
	for len(s.buf) < 3 && !s.end {
		s.fill()
	}
	if bytes.HasPrefix(s.buf, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(io.MultiReader(bytes.NewReader(slices.Clone(s.buf)), r))
		if err != nil {
			return nil, fmt.Errorf("unpack: %w", err)
		}
		s.r, s.buf, s.end, s.failed = z, s.buf[:0], false, nil
		for len(s.buf) < 3 && !s.end {
			s.fill()
		}
	}
	if bytes.HasPrefix(s.buf, []byte{0xEF, 0xBB, 0xBF}) {
		s.start = 3 // byte order mark
	}
	return s, nil
}

// fill reads more, after it moved what was not handed out to the front.
func (s *Stream) fill() {
	if s.start > 0 {
		n := copy(s.buf, s.buf[s.start:])
		s.buf = s.buf[:n]
		s.offset += int64(s.start)
		s.start = 0
	}
	if len(s.buf) == cap(s.buf) {
		s.buf = slices.Grow(s.buf, len(s.buf))
	}
	n, err := s.r.Read(s.buf[len(s.buf):cap(s.buf)])
	s.buf = s.buf[:len(s.buf)+n]
	if err != nil {
		s.end = true
		if !errors.Is(err, io.EOF) {
			s.failed = err
		}
	}
}

// Offset returns how far the stream was read.
func (s *Stream) Offset() int64 { return s.offset + int64(s.start) }

// Next returns the next item. The error is io.EOF at the end, or why reading failed.
func (s *Stream) Next() (Item, error) {
	for {
		if s.inBatch {
			text, off, ok, err := s.split.Next()
			switch {
			case ok:
				at := s.start + off
				s.last = at + len(text)
				return Item{Text: text, Offset: s.offset + int64(at)}, nil
			case err != nil:
				s.inBatch = false
				if item, ok := s.resume(err); ok {
					return item, nil
				}
			default:
				s.inBatch = false
				s.start = s.batch
			}
			continue
		}
		if !s.skip() {
			if s.failed != nil {
				return Item{}, s.failed
			}
			return Item{}, io.EOF
		}
		if c := s.buf[s.start]; c != '{' && c != '[' {
			return s.garbage(), nil
		}
		s.batch, s.broken = s.scan()
		s.last = s.start
		s.split.Reset(s.buf[s.start:s.batch], s.env)
		s.inBatch = true
	}
}

// skip goes to the next byte that belongs to a document.
func (s *Stream) skip() bool {
	for {
		for ; s.start < len(s.buf); s.start++ {
			switch s.buf[s.start] {
			case ' ', '\t', '\r', '\n':
			case ',', ']', '}':
				if !s.inPieces {
					return true
				}
			case '"':
				if !s.inPieces {
					return true
				}
				s.member()
				s.start-- // the loop goes on behind it
			default:
				return true
			}
		}
		if s.end {
			return false
		}
		s.fill()
	}
}

// member skips a member of the object that a list is in, behind the list.
func (s *Stream) member() {
	s.text()
	for c, ok := s.peek(); ok && (c == ':' || c == ' ' || c == '\t' || c == '\r' || c == '\n'); c, ok = s.peek() {
		s.start++
	}
	switch c, _ := s.peek(); c {
	case '{', '[':
		s.start, _ = s.scan()
	case '"':
		s.text()
	default:
		for ok := true; ok && c != ',' && c != '}' && c != ']' && c != '\n'; c, ok = s.peek() {
			s.start++
		}
		s.start = min(s.start, len(s.buf))
	}
}

// text skips a text in quotes; it ends with its line at last.
func (s *Stream) text() {
	s.start++
	escaped := false
	for c, ok := s.peek(); ok; c, ok = s.peek() {
		s.start++
		switch {
		case c == '"' && !escaped, c == '\n':
			return
		default:
			escaped = c == '\\' && !escaped
		}
	}
}

// peek returns the next byte, if there is one.
func (s *Stream) peek() (byte, bool) {
	for s.start >= len(s.buf) {
		if s.end {
			return 0, false
		}
		s.fill()
	}
	return s.buf[s.start], true
}

var errNoDocument = errors.New("a document is an object: it starts with {")

// garbage refuses the rest of a line.
func (s *Stream) garbage() Item {
	item := Item{Offset: s.offset + int64(s.start), Err: errNoDocument}
	s.skipPast('\n')
	return item
}

// skipPast goes behind the next c.
func (s *Stream) skipPast(c byte) {
	for {
		if i := bytes.IndexByte(s.buf[s.start:], c); i >= 0 {
			s.start += i + 1
			return
		}
		s.start = len(s.buf)
		if s.end {
			return
		}
		s.fill()
	}
}

// scan returns where the value at start ends. If brackets and quotes do not match, it
// returns where that shows, with a breach. It moves the value to the front of the buffer
// where it has to read more.
func (s *Stream) scan() (end int, b *breach) {
	var (
		stack    []byte // closers that are due
		last     byte   // the last byte that is no space and in no string
		inString bool
		i        = s.start
	)
	for {
		for ; i < len(s.buf); i++ {
			c := s.buf[i]
			if inString {
				switch c {
				case '\\':
					i++
				case '"':
					inString, last = false, c
				case '\n':
					return i, &breach{at: i, err: errors.New("a string does not end on its line")}
				}
				continue
			}
			switch c {
			case ' ', '\t', '\r', '\n':
				continue
			case '"':
				inString = true
				continue
			case '{', '[':
				if n := len(stack); n > 0 && last != ':' && (stack[n-1] != ']' || last != '[' && last != ',') {
					return i, &breach{at: i, err: fmt.Errorf("%q cannot stand after %q", c, last), next: c == '{'}
				}
				if len(stack) == maxNesting {
					return i, &breach{at: i, err: fmt.Errorf("more than %d brackets inside each other", maxNesting)}
				}
				stack = append(stack, c+2)
			case '}', ']':
				if n := len(stack); stack[n-1] != c {
					return i, &breach{at: i, err: fmt.Errorf("%q closes %q", c, stack[n-1]-2)}
				}
				if stack = stack[:len(stack)-1]; len(stack) == 0 {
					return i + 1, nil
				}
			}
			last = c
		}
		switch {
		case s.end:
			return len(s.buf), &breach{at: len(s.buf), err: errors.New("the text ends inside a document")}
		case len(s.buf)-s.start >= s.max:
			return len(s.buf), &breach{at: len(s.buf), err: fmt.Errorf("it is larger than %d MiB", s.max>>20), large: true}
		}
		before := s.start
		s.fill()
		i -= before
	}
}

// resume goes on behind a document that ends the batch. It returns what to report, if a
// document was lost.
func (s *Stream) resume(err error) (Item, bool) {
	if s.broken == nil {
		s.broken = &breach{at: s.start, err: err}
		if e, ok := errors.AsType[*document.Error](err); ok {
			s.broken.err = errors.New(e.Detail)
			s.broken.at = max(s.start+e.Offset, s.last)
			s.broken.next = s.broken.at < s.batch && s.buf[s.broken.at] == '{'
		}
	}
	b := *s.broken
	inList := s.last > s.start || s.buf[s.start] == '['
	if b.large && inList {
		// Documents of the list were handed out: it goes on piece by piece.
		s.start, s.inPieces = max(s.last, s.start+1), true
		return Item{}, false
	}
	// The document that is broken starts behind the last one that was not.
	at := s.last
	for at < len(s.buf) && (at > s.start || s.buf[at] == '[') && bytes.IndexByte([]byte(" \t\r\n,["), s.buf[at]) >= 0 {
		at++
	}
	item := Item{Offset: s.offset + int64(at), Err: b.err}
	if at < len(s.buf) && at == b.at && b.next {
		s.start, s.inPieces = at, true // only what separates documents is wrong
		return Item{}, false
	}
	if at >= len(s.buf) {
		// The list has no end, but every document in it has one.
		s.start = len(s.buf)
		item.Offset = s.offset + int64(at)
		return item, true
	}
	s.inPieces = true
	if b.next {
		s.start = b.at
		return item, true
	}
	indent := s.indent(at)
	from := b.at
	if b.at == len(s.buf) {
		from = at + 1
	}
	s.start = from
	s.findDocument(indent, inList)
	return item, true
}

// indent returns how many blanks stand before the place on its line, or -1 if there is
// more than blanks.
func (s *Stream) indent(at int) int {
	n := 0
	for i := at - 1; i >= 0 && s.buf[i] != '\n'; i-- {
		if s.buf[i] != ' ' && s.buf[i] != '\t' {
			return -1
		}
		n++
	}
	return n
}

// findDocument goes to the next place where a document probably starts: on a line of its
// own that is indented no more than the one before, or, in a list, behind a comma.
func (s *Stream) findDocument(indent int, inList bool) {
	lineStart, comma, blanks := false, false, 0
	for {
		for i := s.start; i < len(s.buf); i++ {
			switch s.buf[i] {
			case '\n':
				lineStart, blanks = true, 0
			case ' ', '\t':
				blanks++
			case '\r':
			case ',':
				lineStart, comma = false, true
			case '{':
				if lineStart && blanks <= max(indent, 0) || comma && inList && indent < 0 {
					s.start = i
					return
				}
				lineStart, comma = false, false
			default:
				lineStart, comma = false, false
			}
		}
		s.start = len(s.buf)
		if s.end {
			return
		}
		s.fill()
	}
}
