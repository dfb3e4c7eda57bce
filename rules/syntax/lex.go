package syntax

import "strings"

// lexer reads tokens at a cursor. Its methods move the cursor only if they succeed.
type lexer struct {
	text string
	pos  int
}

func isBlank(c byte) bool {
	return c == ' ' || c == '\t' || c == '\b' || c == '\r' || c == '\n'
}

// isSpace is the class [:space:], which ends a word.
func isSpace(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isHex(c byte) bool { return isDigit(c) || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F' }

func isNameByte(c byte) bool { return isLetter(c) || isDigit(c) || c == '_' }

// isBare tells bytes of an unquoted value. NUL is part of a mark.
func isBare(c byte) bool {
	switch c {
	case '(', ')', '"', '\'', '=', ',', 0:
		return false
	}
	return !isSpace(c)
}

// isArg tells bytes of an unquoted argument in brackets.
func isArg(c byte) bool {
	switch c {
	case '[', ']', '"', '\'', 0:
		return false
	}
	return !isSpace(c)
}

func (l *lexer) end() bool { return l.pos >= len(l.text) }

// blanks skips blanks and reports whether there were any.
func (l *lexer) blanks() bool {
	start := l.pos
	for l.pos < len(l.text) && isBlank(l.text[l.pos]) {
		l.pos++
	}
	return l.pos > start
}

// accept reads s, whatever follows.
func (l *lexer) accept(s string) bool {
	if strings.HasPrefix(l.text[l.pos:], s) {
		l.pos += len(s)
		return true
	}
	return false
}

// acceptWord reads s if no byte of a name follows.
func (l *lexer) acceptWord(s string) bool {
	next := l.pos + len(s)
	if next < len(l.text) && isNameByte(l.text[next]) {
		return false
	}
	return l.accept(s)
}

// span reads the longest run of bytes that ok accepts.
func (l *lexer) span(ok func(byte) bool) (string, bool) {
	start := l.pos
	for l.pos < len(l.text) && ok(l.text[l.pos]) {
		l.pos++
	}
	return l.text[start:l.pos], l.pos > start
}

// nameEnd returns where the name that starts at i ends; i if there is none.
func (l *lexer) nameEnd(i int) int {
	if i >= len(l.text) || !isLetter(l.text[i]) {
		return i
	}
	for i < len(l.text) && isNameByte(l.text[i]) {
		i++
	}
	return i
}

// name reads a name: letters, then letters, digits and underscores.
func (l *lexer) name() (string, bool) {
	end := l.nameEnd(l.pos)
	if end == l.pos {
		return "", false
	}
	s := l.text[l.pos:end]
	l.pos = end
	return s, true
}

// fieldName reads at least two names joined by dots.
func (l *lexer) fieldName() (string, bool) {
	end := l.nameEnd(l.pos)
	dots := 0
	for end > l.pos && end < len(l.text) && l.text[end] == '.' {
		next := l.nameEnd(end + 1)
		if next == end+1 {
			break
		}
		end, dots = next, dots+1
	}
	if dots == 0 {
		return "", false
	}
	s := l.text[l.pos:end]
	l.pos = end
	return s, true
}

// number reads a decimal number or one with 0x.
func (l *lexer) number() (string, bool) {
	t := l.text[l.pos:]
	if len(t) > 2 && t[0] == '0' && (t[1] == 'x' || t[1] == 'X') && isHex(t[2]) {
		n := 2
		for n < len(t) && isHex(t[n]) {
			n++
		}
		l.pos += n
		return t[:n], true
	}
	n := 0
	if n < len(t) && (t[n] == '+' || t[n] == '-') {
		n++
	}
	first := n
	for n < len(t) && isDigit(t[n]) {
		n++
	}
	if n == first {
		return "", false
	}
	if n < len(t) && t[n] == '.' {
		n++
		for n < len(t) && isDigit(t[n]) {
			n++
		}
	}
	if n+2 < len(t) && (t[n] == 'e' || t[n] == 'E') && (t[n+1] == '+' || t[n+1] == '-') && isDigit(t[n+2]) {
		n += 2
		for n < len(t) && isDigit(t[n]) {
			n++
		}
	}
	l.pos += n
	return t[:n], true
}

// quoted reads a string in quotes and returns it without them and unescaped. ok is
// false, and the cursor stays, if there is no string or it does not end; the closing
// quote is the first that no backslash precedes.
func (l *lexer) quoted() (s string, ok bool, err *Error) {
	if l.end() || l.text[l.pos] != '"' && l.text[l.pos] != '\'' {
		return "", false, nil
	}
	quote, start := l.text[l.pos], l.pos+1
	end := start
	for {
		n := strings.IndexByte(l.text[end:], quote)
		if n < 0 {
			return "", false, nil
		}
		end += n
		if end == start || l.text[end-1] != '\\' {
			break
		}
		end++
	}
	raw := l.text[start:end]
	if strings.IndexByte(raw, '\\') >= 0 {
		if raw, err = unescape(raw, quote, start); err != nil {
			return "", false, err
		}
	}
	if i := strings.IndexByte(raw, 0); i >= 0 {
		return "", false, &Error{Span: Span{l.pos, end + 1}, Msg: "a string cannot hold a NUL byte"}
	}
	l.pos = end + 1
	return raw, true, nil
}

func unescape(raw string, quote byte, start int) (string, *Error) {
	b := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c != '\\' {
			b = append(b, c)
			continue
		}
		i++
		if i == len(raw) {
			return "", &Error{Span: Span{start + i - 1, start + i}, Msg: "a string cannot end in a backslash"}
		}
		switch raw[i] {
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case '\\', '/':
			c = raw[i]
		case ' ':
			c = '\\' // the language reads "\ " as a backslash, without the space
		case 'x':
			if i+2 >= len(raw) || !isHex(raw[i+1]) || !isHex(raw[i+2]) {
				return "", &Error{Span: Span{start + i - 1, start + i + 1}, Msg: `\x takes two hexadecimal digits`}
			}
			c = unhex(raw[i+1])<<4 | unhex(raw[i+2])
			i += 2
		default:
			if raw[i] != quote {
				return "", &Error{
					Span: Span{start + i - 1, start + i + 1},
					Msg:  `unknown escape \` + raw[i:i+1] + `; known are \\ \/ \b \f \n \r \t \xHH \` + string(quote),
				}
			}
			c = quote
		}
		b = append(b, c)
	}
	return string(b), nil
}

func unhex(c byte) byte {
	switch {
	case c >= 'a':
		return c - 'a' + 10
	case c >= 'A':
		return c - 'A' + 10
	}
	return c - '0'
}
