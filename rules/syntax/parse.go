package syntax

import (
	"slices"
	"strconv"
	"strings"
)

// Limits of a condition.
const (
	MaxDepth = 2000    // nested groups and calls
	MaxSize  = 1 << 20 // bytes of text, with the lists that have no Mark written out
)

// Transformers are the names that a call can have.
var Transformers = []string{"tolower", "toupper", "b64", "basename", "len", "join", "concat", "getopt"}

// Mark returns text that stands for list n among the values of a check. A list can
// be written so if each of its items reads as one value: what is parsed is the same,
// but a large list that many conditions name is not read again for each of them.
func Mark(n int) string { return "\x00" + strconv.Itoa(n) + "\x00" }

// Parse reads a condition.
func Parse(text string) (Expr, *Error) {
	if i := strings.IndexByte(text, 0); i >= 0 {
		return nil, &Error{Span: Span{i, i + 1}, Msg: "a condition cannot hold a NUL byte"}
	}
	return ParseMarked(text)
}

// ParseMarked reads a condition in which Marks stand for lists.
func ParseMarked(text string) (Expr, *Error) {
	x, errs := ParseAll(text)
	if len(errs) > 0 {
		return nil, errs[0]
	}
	return x, nil
}

// ParseAll is ParseMarked that reports every error: after one it goes on with the next
// operand.
func ParseAll(text string) (Expr, []*Error) {
	if len(text) > MaxSize {
		return nil, []*Error{{Span: Span{0, 1}, Msg: "the condition is larger than " + strconv.Itoa(MaxSize>>20) + " MiB"}}
	}
	p := parser{lexer: lexer{text: text}}
	x := p.or()
	p.close(false)
	if p.err != nil {
		p.errs = append(p.errs, p.err)
	}
	if len(p.errs) > 0 {
		return nil, p.errs
	}
	return x, nil
}

// ParseOperand reads a field or a call that is the whole of text.
func ParseOperand(text string) (Operand, *Error) {
	p := parser{lexer: lexer{text: text}}
	x := p.operand()
	if p.err == nil && (x == nil || !p.end()) {
		p.fail(p.pos, "want a field, or a transformer of one")
	}
	if p.err != nil {
		return nil, p.err
	}
	return x, nil
}

// parser reads by recursive descent. Once err is set, every method returns, up to one
// that can go on behind the error.
type parser struct {
	lexer
	depth int
	err   *Error
	errs  []*Error // those that were gone on behind
	fatal bool     // nothing behind err is read
}

// maxErrors is how many errors of a condition are reported.
const maxErrors = 20

// resume goes on behind an error in the operand that starts at start: at the next "and",
// "or" or closing parenthesis that belongs to no group in the operand. It reports whether
// that is possible.
func (p *parser) resume(start int) bool {
	if p.err == nil {
		return true
	}
	if p.fatal || len(p.errs)+1 >= maxErrors {
		return false
	}
	at := max(p.err.Start, start)
	p.errs, p.err = append(p.errs, p.err), nil
	groups := 0
	for i := start; i < len(p.text); i++ {
		switch c := p.text[i]; {
		case c == '"' || c == '\'':
			if n := strings.IndexByte(p.text[i+1:], c); n >= 0 {
				i += n + 1
			}
		case c == '(':
			groups++
		case c == ')':
			if groups--; groups < 0 && i >= at {
				p.pos = i
				return true
			}
			groups = max(groups, 0)
		case groups == 0 && i >= at && (i == 0 || !isBare(p.text[i-1])) && p.joins(i):
			p.pos = i
			return true
		}
	}
	p.pos = len(p.text)
	return true
}

// joins reports whether the word at i is "and" or "or".
func (p *parser) joins(i int) bool {
	w := p.word(i)
	return w == "and" || w == "or"
}

// close reads what may follow a condition: nothing, or the parenthesis that ends its
// group.
func (p *parser) close(group bool) {
	for p.err == nil {
		p.blanks()
		switch {
		case p.end() && !group:
			return
		case p.end():
			if len(p.errs) == 0 { // else it may have been passed
				p.fail(p.pos, `want ")" before the end of the condition`)
			}
			return
		case group && p.accept(")"):
			return
		}
		p.unexpected()
		start := p.pos
		if p.accept(")") { // of no group
			start = p.pos
		}
		if !p.resume(start) {
			return
		}
		if p.acceptWord("and") || p.acceptWord("or") {
			p.or()
		}
	}
}

func (p *parser) fail(at int, msg string) {
	if p.err != nil {
		return
	}
	end := at
	for end < len(p.text) && isBare(p.text[end]) {
		end++
	}
	p.err = &Error{Span: Span{at, max(end, at+1)}, Msg: msg}
	if at < len(p.text) && p.text[at] == 0 {
		p.err.Mark = true
	}
}

func (p *parser) failKnown(at int, msg string, known []string) {
	if p.err == nil {
		p.fail(at, msg)
		p.err.Word, p.err.Known = p.word(at), known
	}
}

// word returns the word at offset i, for messages.
func (p *parser) word(i int) string {
	w, _ := (&lexer{text: p.text, pos: i}).span(isBare)
	if len(w) > 40 {
		w = w[:40]
	}
	return w
}

// found says what is at the cursor, for messages.
func (p *parser) found() string {
	if p.end() {
		return "the end of the condition"
	}
	if w := p.word(p.pos); w != "" {
		return strconv.Quote(w)
	}
	return strconv.Quote(p.text[p.pos : p.pos+1])
}

// unexpected fails at what follows a complete condition.
func (p *parser) unexpected() {
	start := p.pos
	for start > 0 && isBlank(p.text[start-1]) {
		start--
	}
	end := start
	for start > 0 && isBare(p.text[start-1]) {
		start--
	}
	before := p.text[start:end]
	if before == "" && end > 0 {
		before = p.text[end-1 : end]
	}
	if len(before) > 40 {
		before = before[len(before)-40:]
	}
	want := `"and" or "or"`
	if p.depth > 0 {
		want = `"and", "or" or ")"`
	}
	p.failKnown(p.pos, "unexpected "+p.found()+" after "+strconv.Quote(before)+", want "+want, []string{"and", "or"})
}

func (p *parser) enter() bool {
	if p.depth++; p.depth > MaxDepth {
		p.fatal = true
		p.fail(p.pos, "the condition nests deeper than "+strconv.Itoa(MaxDepth)+" levels")
	}
	return p.err == nil
}

func (p *parser) leave() { p.depth-- }

// remainder reads the rest of a group after its opening parenthesis.
func (p *parser) remainder() Expr {
	if !p.enter() {
		return nil
	}
	defer p.leave()
	x := p.or()
	if p.close(true); p.err != nil {
		return nil
	}
	return x
}

func (p *parser) or() Expr {
	return p.chain("or", (*parser).and, func(s Span, xs []Expr) Expr { return &Or{s, xs} })
}

func (p *parser) and() Expr {
	return p.chain("and", (*parser).not, func(s Span, xs []Expr) Expr { return &And{s, xs} })
}

// chain reads operands joined by a word.
func (p *parser) chain(word string, operand func(*parser) Expr, join func(Span, []Expr) Expr) Expr {
	p.blanks()
	start := p.pos
	x := operand(p)
	if !p.resume(start) {
		return nil
	}
	end := p.pos
	xs := []Expr{x}
	for p.blanks(); p.accept(word); p.blanks() {
		next := p.pos
		switch {
		case p.blanks():
			x = operand(p)
		case p.accept("("):
			x = p.remainder()
		default:
			p.fail(p.pos, `want a blank or "(" after "`+word+`", found `+p.found())
		}
		if !p.resume(next) {
			return nil
		}
		end = p.pos
		xs = append(xs, x)
	}
	if len(xs) == 1 {
		return x
	}
	return join(Span{start, end}, xs)
}

func (p *parser) not() Expr {
	p.blanks()
	start, negated := p.pos, false
	for {
		at := p.pos
		if !p.acceptWord("not") {
			break
		}
		if p.blanks() {
			negated = !negated
			continue
		}
		if p.accept("(") {
			x := p.remainder()
			if p.err != nil {
				return nil
			}
			if !negated {
				return p.negate(start, x)
			}
			return x
		}
		p.pos = at
		p.fail(at+len("not"), `want a blank or "(" after "not"`)
		return nil
	}
	x := p.check()
	if p.err != nil || !negated {
		return x
	}
	return p.negate(start, x)
}

func (p *parser) negate(start int, x Expr) Expr {
	if n, ok := x.(*Not); ok {
		return n.X
	}
	return &Not{Span{start, p.pos}, x}
}

func (p *parser) check() Expr {
	start := p.pos
	if p.accept("(") {
		return p.remainder()
	}
	if left := p.operand(); p.err != nil {
		return nil
	} else if left != nil {
		return p.comparison(start, left)
	}
	if name, ok := p.name(); ok {
		return &Macro{Span{start, p.pos}, name}
	}
	p.fail(p.pos, "want a field, a macro or a group in parentheses, found "+p.found())
	return nil
}

// operand reads a field or a call, or returns nil and stays if there is none.
func (p *parser) operand() Operand {
	start := p.pos
	if name, ok := p.fieldName(); ok {
		f := &Field{Name: name}
		f.Arg, f.HasArg = p.bracket()
		f.Span = Span{start, p.pos}
		if p.err != nil {
			return nil
		}
		return f
	}
	name, ok := p.name()
	if !ok || !slices.Contains(Transformers, name) || !p.accept("(") {
		p.pos = start
		return nil
	}
	if !p.enter() {
		return nil
	}
	defer p.leave()
	c := &Call{Name: name, Args: p.args(false)}
	if p.err != nil {
		return nil
	}
	c.Arg, c.HasArg = p.bracket()
	c.Span = Span{start, p.pos}
	if p.err != nil {
		return nil
	}
	return c
}

// bracket reads an argument in brackets, if there is one.
func (p *parser) bracket() (string, bool) {
	if !p.accept("[") {
		return "", false
	}
	arg, ok, err := p.quoted()
	if err != nil {
		p.err = err
		return "", false
	}
	if !ok {
		if arg, ok = p.span(isArg); !ok {
			p.fail(p.pos, `want an argument after "[": a quoted string or a word`)
			return "", false
		}
	}
	if !p.accept("]") {
		p.fail(p.pos, `want "]" after the argument, found `+p.found())
		return "", false
	}
	return arg, true
}

// args reads the arguments of a call, or the items of a list among them, after the
// opening parenthesis.
func (p *parser) args(list bool) []Operand {
	var args []Operand
	p.blanks()
	if list && p.accept(")") {
		return args
	}
	for {
		p.blanks()
		a := p.arg(list)
		if p.err != nil {
			return nil
		}
		args = append(args, a)
		p.blanks()
		if p.accept(")") {
			return args
		}
		if !p.accept(",") {
			p.fail(p.pos, `want "," or ")" after an argument, found `+p.found())
			return nil
		}
	}
}

func (p *parser) arg(inList bool) Operand {
	start := p.pos
	if x := p.operand(); x != nil || p.err != nil {
		return x
	}
	if s, ok, err := p.quoted(); err != nil {
		p.err = err
		return nil
	} else if ok {
		return &Literal{Span{start, p.pos}, Value{Span: Span{start, p.pos}, Text: s}}
	}
	if s, ok := p.number(); ok {
		return &Literal{Span{start, p.pos}, Value{Span: Span{start, p.pos}, Text: s, Number: true}}
	}
	if !inList && p.accept("(") {
		if !p.enter() {
			return nil
		}
		defer p.leave()
		items := p.args(true)
		return &List{Span{start, p.pos}, items}
	}
	p.fail(p.pos, "want a field, a transformer, a quoted string or a number, found "+p.found())
	return nil
}

// op reads an operator. A word of a text operator takes the blank after it.
func (p *parser) op() (Op, Span, bool) {
	start := p.pos
	for _, t := range opTokens {
		if !p.accept(t.text) {
			continue
		}
		end := p.pos
		if t.blank && !p.blanks() {
			p.pos = start
			continue
		}
		return t.op, Span{start, end}, true
	}
	return 0, Span{}, false
}

// opTokens are in the order in which they are tried.
var opTokens = []struct {
	text  string
	op    Op
	blank bool
}{
	{"exists", Exists, false},
	{"<=", LessEqual, false},
	{"<", Less, false},
	{">=", GreaterEqual, false},
	{">", Greater, false},
	{"==", Equal, false},
	{"=", Equal, false},
	{"!=", NotEqual, false},
	{"glob", Glob, true},
	{"iglob", IGlob, true},
	{"contains", Contains, true},
	{"icontains", IContains, true},
	{"bcontains", BContains, true},
	{"startswith", StartsWith, true},
	{"bstartswith", BStartsWith, true},
	{"endswith", EndsWith, true},
	{"regex", Regex, true},
	{"intersects", Intersects, false},
	{"in", In, false},
	{"pmatch", PMatch, false},
}

func (p *parser) comparison(start int, left Operand) Expr {
	p.blanks()
	op, opSpan, ok := p.op()
	if !ok {
		var known []string
		for _, t := range opTokens {
			known = append(known, t.text)
		}
		w := p.word(p.pos)
		if slices.Contains(known, w) {
			p.fail(p.pos, `want a blank after "`+w+`"`)
			return nil
		}
		p.failKnown(p.pos, "want an operator, found "+p.found(), known)
		return nil
	}
	c := &Check{Left: left, Op: op, OpSpan: opSpan}
	blank := p.blanks() || p.pos > opSpan.End
	switch {
	case op == Exists:
		p.pos = opSpan.End
	case op.TakesList():
		p.listRight(c)
	case op.TakesModifier():
		if m, ok := p.modifier(blank); ok {
			c.Modifier = m
			p.blanks()
			p.list(c)
			break
		}
		p.singleRight(c)
	default:
		p.singleRight(c)
	}
	if p.err != nil {
		return nil
	}
	c.Span = Span{start, p.pos}
	return c
}

// modifier reads a modifier if a list follows; otherwise the word is a value.
func (p *parser) modifier(blank bool) (Modifier, bool) {
	start := p.pos
	name, ok := p.name()
	m, known := ModifierByText(name)
	if !ok || !known || !blank || !p.blanks() {
		p.pos = start
		return None, false
	}
	follows := *p
	next, ok := follows.name()
	if p.end() || p.text[p.pos] != '(' && p.text[p.pos] != 0 && (!ok || next == "and" || next == "or" || next == "not") {
		p.pos = start
		return None, false
	}
	return m, true
}

// computed reads a right side that comes from the event.
func (p *parser) computed() Operand {
	start := p.pos
	if p.accept("val(") {
		p.blanks()
		x := p.operand()
		if p.err != nil {
			return nil
		}
		f, ok := x.(*Field)
		if !ok {
			p.fail(p.pos, `want a field after "val("`)
			return nil
		}
		p.blanks()
		if !p.accept(")") {
			p.fail(p.pos, `want ")" after the field, found `+p.found())
			return nil
		}
		f.Val, f.Span = true, Span{start, p.pos}
		return f
	}
	if name, ok := p.name(); !ok || !slices.Contains(Transformers, name) || p.end() || p.text[p.pos] != '(' {
		p.pos = start
		return nil
	}
	p.pos = start
	return p.operand()
}

func (p *parser) singleRight(c *Check) {
	start := p.pos
	if c.Right = p.computed(); c.Right != nil || p.err != nil {
		return
	}
	var v Value
	if !c.Op.TakesModifier() {
		s, ok := p.number()
		if !ok {
			p.fail(p.pos, `want a number after "`+c.Op.String()+`", found `+p.found())
			return
		}
		v = Value{Span{start, p.pos}, s, true}
	} else if v = p.value(); p.err != nil {
		return
	}
	c.Values = []Value{v}
}

// value reads a quoted string or a bare word.
func (p *parser) value() Value {
	start := p.pos
	s, ok, err := p.quoted()
	if err != nil {
		p.err = err
		return Value{}
	}
	if ok {
		return Value{Span{start, p.pos}, s, false}
	}
	if s, ok = p.span(isBare); !ok {
		msg := "want a value, found " + p.found()
		if start < len(p.text) && (p.text[start] == '"' || p.text[start] == '\'') {
			msg = "the string does not end"
		}
		p.fail(start, msg)
		return Value{}
	}
	return Value{Span{start, p.pos}, s, false}
}

func (p *parser) listRight(c *Check) {
	if !p.end() && (p.text[p.pos] == '(' || p.text[p.pos] == 0) {
		p.list(c)
		return
	}
	if c.Right = p.computed(); c.Right != nil || p.err != nil {
		return
	}
	p.list(c)
}

// list reads a list in parentheses, or a name: a list that is not known is a list of
// its name.
func (p *parser) list(c *Check) {
	start := p.pos
	if !p.accept("(") {
		name, ok := p.name()
		if !ok {
			p.fail(p.pos, "want a list in parentheses, found "+p.found())
			return
		}
		c.Values = []Value{{Span{start, p.pos}, name, false}}
		return
	}
	p.blanks()
	if p.accept(")") {
		return
	}
	for {
		p.blanks()
		if n, ok := p.mark(); ok {
			c.Lists = append(c.Lists, ListRef{len(c.Values), n})
		} else {
			v := p.value()
			if p.err != nil {
				return
			}
			c.Values = append(c.Values, v)
		}
		p.blanks()
		if p.accept(")") {
			return
		}
		if !p.accept(",") {
			p.fail(p.pos, `want "," or ")" after a value, found `+p.found())
			return
		}
	}
}

// mark reads a mark and returns its number.
func (p *parser) mark() (int, bool) {
	if p.end() || p.text[p.pos] != 0 {
		return 0, false
	}
	n := strings.IndexByte(p.text[p.pos+1:], 0)
	if n < 0 {
		return 0, false
	}
	list, err := strconv.Atoi(p.text[p.pos+1 : p.pos+1+n])
	if err != nil {
		return 0, false
	}
	p.pos += n + 2
	return list, true
}

// ParseValue reads text as one value, quoted or bare, and returns it.
func ParseValue(text string) (string, bool) {
	p := parser{lexer: lexer{text: text}}
	v := p.value()
	return v.Text, p.err == nil && p.end()
}
