package field

import (
	"errors"
	"fmt"
	"strings"
)

// LookupError says why a text is not a field.
type LookupError struct {
	Msg  string
	Hint string // what may have been meant, as a phrase, or nothing
}

func (e *LookupError) Error() string {
	if e.Hint == "" {
		return e.Msg
	}
	return e.Msg + "; " + e.Hint
}

var (
	errEmptyArg = errors.New("empty argument")
	errIndex    = errors.New("not a number")
)

// Lookup returns the field that text names for events of that source type, bound to
// its argument if it has one: proc.name, proc.aname[2], evt.arg.flags. What stands
// in the brackets is the argument, without quotes and escapes if it had any. The
// error is a *LookupError.
func Lookup(text, sourceType string) (*Field, error) {
	f, rest := find(text, sourceType)
	if f == nil {
		return nil, unknown(text, sourceType)
	}
	switch {
	case rest == "":
		if f.Arg == ArgRequired {
			return nil, &LookupError{Msg: fmt.Sprintf("field %s needs an argument", f.Name), Hint: "write " + f.example()}
		}
		return f, nil
	case f.Arg != ArgNone && len(rest) > 2 && rest[0] == '[' && rest[len(rest)-1] == ']':
		return f.bind(rest[1 : len(rest)-1])
	case f.Arg != ArgNone && f.Dotted && len(rest) > 1 && rest[0] == '.':
		return f.bind(rest[1:])
	case f.Arg == ArgNone && rest[0] == '[':
		return nil, &LookupError{Msg: fmt.Sprintf("field %s takes no argument", f.Name)}
	}
	return nil, unknown(text, sourceType)
}

// LookupPrefix returns the longest field that text begins with, and where it ends. Only
// an argument after a dot counts; brackets are for the caller to find. It returns the
// error of Lookup if there is no field.
func LookupPrefix(text, sourceType string) (f *Field, end int, err error) {
	f, rest := find(text, sourceType)
	if f == nil {
		return nil, 0, unknown(text, sourceType)
	}
	end = len(text) - len(rest)
	if f.Dotted && len(rest) > 1 && rest[0] == '.' {
		if n := f.argLen(rest[1:]); n > 0 {
			if b, err := f.Bind(rest[1 : 1+n]); err == nil {
				return b, end + 1 + n, nil
			}
		}
	}
	if f.Arg == ArgRequired {
		f, err = Lookup(text, sourceType)
		return f, len(text), err
	}
	return f, end, nil
}

// longestKnown returns the length of the longest name that text begins with and known
// accepts.
func longestKnown(text string, known func(string) bool) int {
	n := 0
	for n < min(len(text), 64) && isNameByte(text[n]) {
		n++
	}
	for ; n > 0; n-- {
		if known(text[:n]) {
			return n
		}
	}
	return 0
}

func isNameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
}

// find returns the field of the first class that has one whose name starts text, the
// one with the longest name there, and what is left of the text.
func find(text, sourceType string) (f *Field, rest string) {
	for _, c := range table {
		if f != nil && c.Class != f.Class {
			break
		}
		if !strings.HasPrefix(text, c.Name) || !c.In(sourceType) {
			continue
		}
		if f == nil || len(c.Name) > len(f.Name) {
			f, rest = c, text[len(c.Name):]
		}
	}
	return f, rest
}

func (f *Field) bind(arg string) (*Field, error) {
	if n := len(arg); n >= 2 && (arg[0] == '"' || arg[0] == '\'') && arg[n-1] == arg[0] {
		arg = unquoted(arg)
	}
	b, err := f.Bind(arg)
	if err == nil {
		return b, nil
	}
	if _, ok := errors.AsType[*LookupError](err); ok {
		return nil, err
	}
	return nil, &LookupError{Msg: fmt.Sprintf("argument %q of field %s: %v", arg, f.Name, err), Hint: "write " + f.example()}
}

// unquoted undoes quoted. Other escapes are the business of the rule language's lexer.
func unquoted(s string) string {
	quote := s[0]
	var b strings.Builder
	for i := 1; i < len(s)-1; i++ {
		if s[i] == '\\' && i+1 < len(s)-1 && (s[i+1] == quote || s[i+1] == '\\') {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// example returns the field with an argument, for messages.
func (f *Field) example() string {
	switch {
	case f.Name == "evt.arg":
		return "evt.arg.NAME or evt.arg[NUMBER]"
	case f.Dotted:
		return f.Name + ".NAME"
	case f.Class == "process" && f.Name != "proc.env" && f.Name != "proc.aenv":
		return f.Name + "[NUMBER]"
	default:
		return f.Name + "[KEY]"
	}
}

func unknown(text, sourceType string) error {
	name, _, _ := strings.Cut(text, "[")
	for _, f := range table {
		if f.Name == name && !f.In(sourceType) {
			return &LookupError{
				Msg:  fmt.Sprintf("source %s has no field %q", sourceType, text),
				Hint: "it belongs to source " + strings.Join(f.Sources, ", "),
			}
		}
	}
	err := &LookupError{Msg: fmt.Sprintf("no field %q", text)}
	if near := Nearest(text, sourceType); near != "" {
		err.Hint = fmt.Sprintf("did you mean %q?", near)
	}
	return err
}

// Nearest returns the field of that source type whose name is most like name, or
// nothing if none is like it.
func Nearest(name, sourceType string) string {
	name, _, _ = strings.Cut(name, "[")
	const longest = 64
	if len(name) > longest {
		return ""
	}
	best, most := "", len(name)/4+2
	for _, f := range table {
		if !f.In(sourceType) || len(f.Name) > longest {
			continue
		}
		d := distance(name, f.Name, most+1)
		// Of two that are as near, what was typed may be the start of one.
		if d < most || d == most && best != "" && strings.HasPrefix(f.Name, name) && !strings.HasPrefix(best, name) {
			best, most = f.Name, d
		}
	}
	return best
}

// distance returns how many insertions, deletions, substitutions and swaps of
// neighbours lie between a and b, or most if there are no fewer. Neither is longer
// than 64 bytes.
func distance(a, b string, most int) int {
	if d := len(a) - len(b); d >= most || -d >= most {
		return most
	}
	var rows [3][65]int
	before, last, row := &rows[0], &rows[1], &rows[2]
	for j := range len(b) + 1 {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		least := i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
			least = min(least, row[j])
		}
		if least >= most {
			return most
		}
		before, last, row = last, row, before
	}
	return min(last[len(b)], most)
}
