package syntax

import "strconv"

// Text returns the canonical text of x: groups in parentheses, one blank between
// words, quotes only where a value needs them. Parsing it gives the same tree.
func Text(x Expr) string { return string(x.appendText(nil)) }

// OperandText returns the canonical text of x.
func OperandText(x Operand) string { return string(x.appendText(nil)) }

func appendChain(dst []byte, word string, xs []Expr) []byte {
	dst = append(dst, '(')
	for i, x := range xs {
		if i > 0 {
			dst = append(dst, ' ')
			dst = append(dst, word...)
			dst = append(dst, ' ')
		}
		dst = x.appendText(dst)
	}
	return append(dst, ')')
}

func (x *And) appendText(dst []byte) []byte { return appendChain(dst, "and", x.X) }

func (x *Or) appendText(dst []byte) []byte { return appendChain(dst, "or", x.X) }

func (x *Not) appendText(dst []byte) []byte {
	return x.X.appendText(append(dst, "not "...))
}

func (x *Macro) appendText(dst []byte) []byte { return append(dst, x.Name...) }

func (x *Check) appendText(dst []byte) []byte {
	dst = x.Left.appendText(dst)
	dst = append(dst, ' ')
	dst = append(dst, x.Op.String()...)
	if x.Op == Exists {
		return dst
	}
	dst = append(dst, ' ')
	if x.Modifier != None {
		dst = append(dst, x.Modifier.String()...)
		dst = append(dst, ' ')
	}
	switch {
	case x.Right != nil:
		return x.Right.appendText(dst)
	case x.Modifier == None && !x.Op.TakesList():
		return x.Values[0].appendText(dst)
	}
	dst = append(dst, '(')
	refs, first := x.Lists, true
	comma := func() {
		if !first {
			dst = append(dst, ", "...)
		}
		first = false
	}
	for i := 0; i <= len(x.Values); i++ {
		for ; len(refs) > 0 && refs[0].At == i; refs = refs[1:] {
			comma()
			dst = append(dst, Mark(refs[0].List)...)
		}
		if i < len(x.Values) {
			comma()
			dst = x.Values[i].appendText(dst)
		}
	}
	return append(dst, ')')
}

func (x *Field) appendText(dst []byte) []byte {
	if x.Val {
		dst = append(dst, "val("...)
	}
	dst = append(dst, x.Name...)
	dst = appendBracket(dst, x.Arg, x.HasArg)
	if x.Val {
		dst = append(dst, ')')
	}
	return dst
}

func (x *Call) appendText(dst []byte) []byte {
	dst = append(dst, x.Name...)
	return appendBracket(appendOperands(dst, x.Args), x.Arg, x.HasArg)
}

func (x *List) appendText(dst []byte) []byte { return appendOperands(dst, x.Items) }

func (x *Literal) appendText(dst []byte) []byte {
	if x.Value.Number {
		return append(dst, x.Value.Text...)
	}
	return appendQuoted(dst, x.Value.Text)
}

func appendOperands(dst []byte, xs []Operand) []byte {
	dst = append(dst, '(')
	for i, x := range xs {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = x.appendText(dst)
	}
	return append(dst, ')')
}

func appendBracket(dst []byte, arg string, ok bool) []byte {
	if !ok {
		return dst
	}
	dst = append(dst, '[')
	if all(arg, func(c byte) bool { return isArg(c) && c >= ' ' }) {
		dst = append(dst, arg...)
	} else {
		dst = appendQuoted(dst, arg)
	}
	return append(dst, ']')
}

func (v Value) appendText(dst []byte) []byte {
	if all(v.Text, func(c byte) bool { return isBare(c) && c >= ' ' && c != 0x7f && c != '\\' }) {
		return append(dst, v.Text...)
	}
	return appendQuoted(dst, v.Text)
}

func all(s string, ok func(byte) bool) bool {
	for i := range len(s) {
		if !ok(s[i]) {
			return false
		}
	}
	return s != ""
}

func appendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s) && s[i+1] != '"':
			dst = append(dst, `\\`...)
		case c == '"':
			dst = append(dst, `\"`...)
		case c == '\n':
			dst = append(dst, `\n`...)
		case c == '\r':
			dst = append(dst, `\r`...)
		case c == '\t':
			dst = append(dst, `\t`...)
		case c < ' ' || c == 0x7f || c == '\\':
			// A backslash before a quote would make it no closing one.
			dst = append(dst, `\x`...)
			if c < 16 {
				dst = append(dst, '0')
			}
			dst = strconv.AppendUint(dst, uint64(c), 16)
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

// QuoteValue returns a value as the canonical text of a list has it.
func QuoteValue(s string) string { return string(Value{Text: s}.appendText(nil)) }
