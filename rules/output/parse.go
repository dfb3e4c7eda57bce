package output

import (
	"errors"
	"fmt"
	"strings"

	"github.com/windhover/windhover/internal/field"
	"github.com/windhover/windhover/rules/syntax"
)

const (
	maxWidth    = 4096
	maxProblems = 50  // what is wrong beyond that is not told
	maxName     = 128 // bytes of a field without its argument
)

// Parse reads the format of an output for events of that source type. If anything is
// wrong it returns every problem and no template.
func Parse(text, sourceType string) (*Template, []Problem) {
	return ParseWith(text, sourceType, field.Lookup)
}

// ParseWith is Parse with another way to find fields, such as those of events that are
// written by hand.
func ParseWith(text, sourceType string, find func(text, sourceType string) (*field.Field, error)) (*Template, []Problem) {
	p := parser{text: text, source: sourceType, find: find, template: &Template{text: text}, used: make(map[string]bool)}
	for pos := 0; pos < len(text) && len(p.problems) < maxProblems; {
		next := strings.IndexByte(text[pos:], '%')
		if next < 0 {
			next = len(text) - pos
		}
		if next > 0 {
			p.template.parts = append(p.template.parts, part{literal: text[pos : pos+next]})
		}
		if pos += next; pos < len(text) {
			pos = p.percent(pos)
		}
	}
	if len(p.problems) > 0 {
		return nil, p.problems
	}
	return p.template, nil
}

type parser struct {
	text, source string
	find         func(text, sourceType string) (*field.Field, error)
	template     *Template
	used         map[string]bool
	problems     []Problem
}

func (p *parser) problem(from, to int, msg, hint string) {
	p.problems = append(p.problems, Problem{Offset: from, Len: to - from, Msg: msg, Hint: hint})
}

// percent reads what stands at the percent sign at start, and returns where it ends.
func (p *parser) percent(start int) int {
	pos := start + 1
	width := 0
	for pos < len(p.text) && isDigit(p.text[pos]) {
		width = min(width*10+int(p.text[pos]-'0'), maxWidth+1)
		pos++
	}
	if width > maxWidth {
		p.problem(start+1, pos, "width is too large", fmt.Sprintf("it is at most %d", maxWidth))
	}
	name := pos
	for name < len(p.text) && isName(p.text[name]) {
		name++
	}
	switch {
	case name == pos:
		hint := `"%" begins a field, as in %proc.name; there is no way to write the character itself`
		p.problem(start, min(pos+1, len(p.text)), "no field after %", hint)
		// A second percent sign is part of the mistake, not another one.
		if pos < len(p.text) && p.text[pos] == '%' && pos == start+1 {
			pos++
		}
		return pos
	case name < len(p.text) && p.text[name] == '(' && !strings.Contains(p.text[pos:name], "."):
		return p.call(pos, name, width)
	}
	return p.fieldAt(pos, name, width)
}

// add appends a term to the template.
func (p *parser) add(t *term, width int) {
	p.template.parts = append(p.template.parts, part{term: t, width: width})
	p.use(t)
}

// use notes the fields of t.
func (p *parser) use(t *term) {
	if t.field != nil {
		if name := t.field.String(); !p.used[name] {
			p.used[name] = true
			p.template.fields = append(p.template.fields, t.field)
		}
	}
	for _, a := range t.args {
		p.use(a)
	}
	for _, a := range t.items {
		p.use(a)
	}
}

// fieldAt reads the longest field in the name from pos to end and the brackets after it.
func (p *parser) fieldAt(pos, end, width int) int {
	var first error
	if end-pos <= maxName {
		if closing, ok := bracket(p.text, end); ok {
			f, err := p.lookup(p.text[pos:closing])
			if err == nil {
				p.add(termOf(f), width)
				return closing
			}
			first = err
		}
	}
	// What is not a field may have one at its start: "%proc.name." ends a sentence.
	_, n, err := field.LookupPrefix(p.text[pos:min(end, pos+maxName)], p.source)
	var f *field.Field
	if err == nil {
		f, err = p.find(p.text[pos:pos+n], p.source)
	}
	if err == nil {
		p.add(termOf(f), width)
		return pos + n
	}
	if first == nil {
		first = err
	}
	msg, hint := explain(first)
	p.problem(pos, end, msg, hint)
	return end
}

// explain returns an error's message and hint.
func explain(err error) (msg, hint string) {
	if l, ok := errors.AsType[*field.LookupError](err); ok {
		return l.Msg, l.Hint
	}
	return err.Error(), ""
}

// lookup finds a field with its argument as the rule language writes it.
func (p *parser) lookup(text string) (*field.Field, error) {
	x, err := syntax.ParseOperand(text)
	if err != nil {
		return nil, err
	}
	f, ok := x.(*syntax.Field)
	if !ok {
		return nil, errors.New("not a field")
	}
	return p.resolve(f)
}

func (p *parser) resolve(x *syntax.Field) (*field.Field, error) {
	text := x.Name
	if x.HasArg {
		text += "[" + x.Arg + "]"
	}
	return p.find(text, p.source)
}

// bracket returns where the argument in brackets ends that begins at pos, if there is
// one.
func bracket(text string, pos int) (end int, ok bool) {
	if pos+1 >= len(text) || text[pos] != '[' {
		return pos, false
	}
	pos++
	if quote := text[pos]; quote == '"' || quote == '\'' {
		for pos++; pos < len(text) && (text[pos] != quote || text[pos-1] == '\\'); pos++ {
		}
		pos++
		return pos + 1, pos < len(text) && text[pos] == ']'
	}
	for ; pos < len(text); pos++ {
		switch c := text[pos]; {
		case c == ']':
			return pos + 1, true
		case c == '[' || c == '"' || c == '\'' || c == ' ' || c >= '\t' && c <= '\r':
			return pos, false
		}
	}
	return pos, false
}

// call reads a transformer whose name is from pos to open, where its parenthesis is.
func (p *parser) call(pos, open, width int) int {
	if name := p.text[pos:open]; fnByName[name] == fnNone {
		p.problem(pos, open, fmt.Sprintf("no transformer %q", name), "there are "+strings.Join(syntax.Transformers, ", "))
		return open
	}
	end := closing(p.text, open)
	if end < 0 {
		p.problem(pos, open+1, "transformer has no closing parenthesis", "")
		return open + 1
	}
	if after, ok := bracket(p.text, end); ok && p.text[pos:open] == "getopt" {
		end = after
	}
	x, err := syntax.ParseOperand(p.text[pos:end])
	if err != nil {
		at := pos + err.Start
		p.problem(at, min(max(pos+err.End, at+1), end), err.Msg, "")
		return end
	}
	before := len(p.problems)
	t := p.term(x, pos)
	if t != nil && len(p.problems) == before {
		p.add(t, width)
	}
	return end
}

// closing returns where the parenthesis at open closes, after it, or -1.
func closing(text string, open int) int {
	depth := 0
	for i := open; i < len(text); i++ {
		switch c := text[i]; c {
		case '"', '\'':
			for i++; i < len(text) && (text[i] != c || text[i-1] == '\\'); i++ {
			}
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return -1
}

func termOf(f *field.Field) *term {
	return &term{kind: f.Kind, list: f.Match != field.MatchOne, field: f}
}

// term resolves an operand whose text begins at base. It returns nil, and notes the
// problem, if something is wrong with it.
func (p *parser) term(x syntax.Operand, base int) *term {
	from, to := base+x.Range().Start, base+x.Range().End
	switch x := x.(type) {
	case *syntax.Literal:
		return &term{kind: field.KindText, isConst: true, text: []byte(x.Value.Text)}
	case *syntax.List:
		t := &term{kind: field.KindText, list: true, isConst: true}
		for _, item := range x.Items {
			i := p.term(item, base)
			if i == nil {
				return nil
			}
			if i.list || !i.isText() && i.kind != field.KindInt && i.kind != field.KindUint {
				p.problem(base+item.Range().Start, base+item.Range().End, "a list in a transformer holds texts and numbers", "")
				return nil
			}
			t.items = append(t.items, i)
		}
		return t
	case *syntax.Field:
		if x.Val {
			p.problem(from, to, "val() belongs on the right-hand side of a comparison", "")
			return nil
		}
		f, err := p.resolve(x)
		if err != nil {
			msg, hint := explain(err)
			p.problem(from, to, msg, hint)
			return nil
		}
		if f.NoTransform {
			p.problem(from, to, fmt.Sprintf("field %s takes no transformer", f.Name), "")
			return nil
		}
		return termOf(f)
	case *syntax.Call:
		return p.callTerm(x, base)
	}
	panic("BUG: output: operand of an unknown type")
}

func (t *term) isText() bool { return t.kind == field.KindText || t.kind == field.KindPath }

func (p *parser) callTerm(x *syntax.Call, base int) *term {
	t := &term{kind: field.KindText, fn: fnByName[x.Name]}
	for _, a := range x.Args {
		arg := p.term(a, base)
		if arg == nil {
			return nil
		}
		t.args = append(t.args, arg)
	}
	if msg := t.check(x); msg != "" {
		p.problem(base+x.Start, base+x.End, fmt.Sprintf("transformer %s %s", x.Name, msg), "")
		return nil
	}
	return t
}

// check completes t and says what is wrong with its arguments, or nothing.
func (t *term) check(x *syntax.Call) string {
	n := len(t.args)
	switch {
	case x.HasArg && t.fn != fnGetopt:
		return "takes no argument in brackets"
	case t.fn == fnConcat && n < 2:
		return "takes at least two arguments"
	case (t.fn == fnJoin || t.fn == fnGetopt) && n != 2:
		return fmt.Sprintf("takes two arguments, not %d", n)
	case t.fn < fnJoin && n != 1:
		return fmt.Sprintf("takes one argument, not %d", n)
	}
	a := t.args[0]
	switch t.fn {
	case fnConcat:
		for _, a := range t.args {
			if a.list || !a.isText() {
				return "takes texts"
			}
		}
	case fnJoin:
		if a.list || !a.isText() || !t.args[1].list {
			return "takes a text and a list"
		}
	case fnGetopt:
		if !a.list || !a.isText() || t.args[1].list || !t.args[1].isText() {
			return "takes a list of texts and a text"
		}
		if t.list = !x.HasArg; x.HasArg {
			if len(x.Arg) != 1 {
				return "takes one letter in brackets"
			}
			t.option = x.Arg[0]
		}
	case fnLen:
		if t.kind = field.KindUint; !a.list && !a.isText() && a.kind != field.KindBytes {
			return "takes a text or a list"
		}
	case fnBase64:
		if t.kind, t.list = a.kind, a.list; a.kind != field.KindText && a.kind != field.KindBytes {
			return "takes a text that is no path"
		}
	default:
		if t.kind, t.list = a.kind, a.list; !a.isText() {
			return "takes a text"
		}
	}
	if t.fn <= fnLen && a.isConst {
		return "takes a field or a transformer"
	}
	return ""
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isName(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || isDigit(c) || c == '_' || c == '.'
}
