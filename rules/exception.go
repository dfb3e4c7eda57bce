package rules

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/windhover/windhover/rules/check"
	"github.com/windhover/windhover/rules/syntax"
)

// exception is one entry of the exceptions of a rule: events with these values are no
// match.
type exception struct {
	name    string
	context *context // as a part of the rule
	// single says that there is one field, not a list of fields; values are compared
	// as one list then.
	single bool
	given  bool // fields are
	fields []located
	comps  []string // empty: the default
	compAt []located
	one    bool // comps is a single operator, not a list
	values []exceptionValue
	listed bool // values are given
	broken bool // something is wrong with it, and was reported
}

// exceptionValue is one entry of values, or one element of a tuple: a value, or a list
// of them.
type exceptionValue struct {
	text   located
	list   []exceptionValue
	isList bool
}

// readExceptions reads the key exceptions without judging what it says. Fields may be absent
// only where exceptions are appended to others.
func (c *collector) readExceptions(at *context, n *yaml.Node, appended bool) []*exception {
	node := get(n, "exceptions")
	if node == nil || isNull(node) {
		return nil
	}
	all := at.in("exceptions", "", node)
	if node.Kind != yaml.SequenceNode {
		all.fail(ErrYAMLValidate, "key \"exceptions\" takes a list, not %s", kindName(node))
	}
	var out []*exception
	for _, entry := range node.Content {
		if c.errors.full() {
			break
		}
		entry = resolve(entry)
		in := all.in("exception", "", entry)
		x := &exception{}
		if !c.try(func() {
			if entry.Kind != yaml.MappingNode {
				in.fail(ErrYAMLValidate, "an exception is a mapping, not %s", kindName(entry))
			}
			x.name = in.scalar(entry, "name").Value
		}) {
			continue
		}
		x.context = at.in("exception", x.name, entry)
		in.itemName = x.name
		if get(entry, "fields") == nil && !appended {
			c.errors.add(x.context.problem(ErrYAMLValidate, "exception %q has no fields", x.name))
			x.broken = true
		}
		c.readException(in, entry, x)
		out = append(out, x)
	}
	return out
}

// readException reads what an exception with a name consists of.
func (c *collector) readException(in *context, entry *yaml.Node, x *exception) {
	read := func(key string, f func(v *yaml.Node)) {
		if v := get(entry, key); v != nil && !isNull(v) && !c.try(func() { f(v) }) {
			x.broken = true
		}
	}
	read("fields", func(f *yaml.Node) {
		x.single = f.Kind == yaml.ScalarNode
		x.fields = c.scalars(in, "fields", f)
		x.given = len(x.fields) > 0
	})
	read("comps", func(f *yaml.Node) {
		x.one = f.Kind == yaml.ScalarNode
		for _, s := range c.scalars(in, "comps", f) {
			x.comps, x.compAt = append(x.comps, strings.Join(strings.Fields(s.s), " ")), append(x.compAt, s)
		}
	})
	read("values", func(v *yaml.Node) {
		if v.Kind != yaml.SequenceNode {
			in.in("exception values", "", v).fail(ErrYAMLValidate, "key \"values\" of exception %q takes a list, not %s", x.name, kindName(v))
		}
		x.listed = true
		for _, e := range v.Content {
			x.values = append(x.values, c.exceptionValue(in, resolve(e), 0))
		}
	})
}

func (c *collector) scalars(in *context, key string, n *yaml.Node) []located {
	if n.Kind == yaml.ScalarNode {
		if n.Value == "" {
			in.fail(ErrYAMLValidate, "key %q of an exception has an empty value", key)
		}
		return []located{scalarText(c.page, n)}
	}
	if n.Kind != yaml.SequenceNode {
		in.fail(ErrYAMLValidate, "key %q of an exception takes a value or a list, not %s", key, kindName(n))
	}
	var out []located
	for _, e := range n.Content {
		if e = resolve(e); e.Kind != yaml.ScalarNode {
			in.fail(ErrYAMLValidate, "key %q of an exception takes a list of single values, not of %ss", key, strings.TrimPrefix(kindName(e), "a "))
		}
		if e.Value == "" {
			in.fail(ErrYAMLValidate, "key %q of an exception has an empty item", key)
		}
		out = append(out, scalarText(c.page, e))
	}
	return out
}

func (c *collector) exceptionValue(in *context, n *yaml.Node, depth int) exceptionValue {
	switch {
	case isNull(n) && depth > 0:
		in.in("exception value", "", n).fail(ErrCompileCondition, "an exception compares with nothing here: a value is missing")
	case n.Kind == yaml.ScalarNode && n.Value == "" && !isNull(n):
		in.in("exception value", "", n).failHint("to compare with an empty text, write '\"\"'", "an exception has an empty value")
	case n.Kind == yaml.ScalarNode:
		return exceptionValue{text: scalarText(c.page, n)}
	case n.Kind != yaml.SequenceNode || depth == 2:
		in.in("exception value", "", n).fail(ErrYAMLValidate, "a value of an exception is a value or a list, not %s", kindName(n))
	}
	v := exceptionValue{isList: true, text: located{parts: []part{{page: c.page, node: n}}}}
	for _, e := range n.Content {
		v.list = append(v.list, c.exceptionValue(in, resolve(e), depth+1))
	}
	return v
}

// exceptions reads the exceptions of a full definition.
func (c *collector) exceptions(at *context, n *yaml.Node, r *rule) []*exception {
	var out []*exception
	names := map[string]bool{}
	for _, x := range c.readExceptions(at, n, false) {
		if c.errors.full() {
			break
		}
		if names[x.name] {
			c.warnTwice(x)
		}
		names[x.name] = true
		c.validate(x, r, x.values)
		out = append(out, x)
	}
	return out
}

func (c *collector) warnTwice(x *exception) {
	p := x.context.problem(WarnExceptionNameNotUnique, "exception %q is defined twice in the same rule", x.name)
	p.Hint = "give it another name"
	c.warn(p)
}

// appendExceptions returns the exceptions of r with those of an item that appends.
func (c *collector) appendExceptions(at *context, n *yaml.Node, r *rule) []*exception {
	out := append([]*exception{}, r.exceptions...)
	c.copies(at, len(out), 8)
	given := map[string]bool{}
	index := make(map[string]int, len(out)) // of the first with a name
	for i, x := range slices.Backward(out) {
		index[x.name] = i
	}
	for _, x := range c.readExceptions(at, n, true) {
		if c.errors.full() {
			break
		}
		if given[x.name] {
			c.warnTwice(x)
		}
		given[x.name] = true
		if !x.listed {
			c.warn(x.context.problem(WarnAppendNoValues, "exception %q is appended to without values", x.name))
		}
		i, exists := index[x.name]
		if !exists {
			if !x.broken && (!x.given || !x.listed) {
				c.errors.add(x.context.problem(ErrValidate, "exception %q is new to rule %q, so it needs fields and values", x.name, r.name))
				x.broken = true
			}
			c.validate(x, r, x.values)
			index[x.name] = len(out)
			out = append(out, x)
			continue
		}
		old := out[i]
		next := *old
		c.copies(at, len(old.values), valueSize)
		next.values = append(append([]exceptionValue{}, old.values...), x.values...)
		next.context = x.context
		next.broken = old.broken || x.broken
		if x.given || len(x.comps) > 0 {
			c.errors.add(x.context.problem(ErrValidate, "exception %q has its fields and comps already: only values can be appended", x.name))
			next.broken = true
		}
		c.validate(&next, r, x.values)
		out[i] = &next
	}
	return out
}

// valueSize is about what a value of an exception takes.
const valueSize = 80

// validate checks the shape of an exception and of values that are new to it. Each part is
// checked for itself.
func (c *collector) validate(x *exception, r *rule, values []exceptionValue) {
	if x.broken {
		return
	}
	check := func(f func()) {
		if !c.try(f) {
			x.broken = true
		}
	}
	check(func() { x.checkShape() })
	for i, comp := range x.comps {
		check(func() { x.checkOperator(comp, x.compAt[i]) })
	}
	if r.known {
		for _, f := range x.fields {
			check(func() { c.exceptionField(x, f, r.source) })
		}
	}
	if !x.broken {
		for i := range values {
			if c.errors.full() {
				return
			}
			check(func() { x.checkValue(&values[i]) })
		}
	}
}

// checkShape fails unless the keys of x fit each other.
func (x *exception) checkShape() {
	in := x.context
	if !x.given {
		in.fail(ErrValidate, "exception %q has no fields", x.name)
	}
	if x.single && len(x.comps) > 0 && !x.one {
		in.fail(ErrValidate, "exception %q has one field, so comps is one operator, not a list", x.name)
	}
	if !x.single {
		if x.one {
			in.fail(ErrValidate, "exception %q has a list of fields, so comps is a list too", x.name)
		}
		if len(x.comps) > 0 && len(x.comps) != len(x.fields) {
			in.fail(ErrValidate, "exception %q has %d fields but %d comps: there is one operator for each field", x.name, len(x.fields), len(x.comps))
		}
	}
}

// failAt ends the reading with an error at a part of x.
func (x *exception) failAt(t located, hint, format string, args ...any) {
	p := x.context.problem(ErrValidate, format, args...)
	p.Hint = hint
	if page, line, column, _ := t.place(0); page != nil {
		p.File, p.Line, p.Column, p.Excerpt = page.name, line, column, page.line(line)
		p.Width = max(utf8.RuneCountInString(t.s), 1)
	}
	panic(stop{p})
}

// checkOperator fails unless x can compare with comp, which is written at.
func (x *exception) checkOperator(comp string, at located) {
	op, modifier, ok := operator(comp)
	if !ok {
		x.failAt(at, didYouMean(comp, operators()), "exception %q: no operator %q", x.name, comp)
	}
	if x.single && op != syntax.In && op != syntax.PMatch && op != syntax.Intersects && modifier == syntax.None {
		x.failAt(at, "", "exception %q compares one field with a list, so its operator is in, pmatch, intersects or one with oneof, anyof or allof, not %q", x.name, comp)
	}
}

// checkValue fails unless v has as many entries as x has fields.
func (x *exception) checkValue(v *exceptionValue) {
	switch {
	case x.single && v.isList:
		x.failAt(v.text, "", "exception %q has one field, so each of its values is a single value, not a list", x.name)
	case !x.single && !v.isList:
		x.failAt(v.text, "write ["+v.text.s+"]", "exception %q has a list of fields, so each of its values is a list", x.name)
	case !x.single && len(v.list) != len(x.fields):
		x.failAt(v.text, "", "exception %q has %d fields, but a value with %d entries", x.name, len(x.fields), len(v.list))
	}
}

// exceptionField checks that the left side of a comparison is a field or a transformer
// of one.
func (c *collector) exceptionField(x *exception, text located, source string) {
	operand, err := syntax.ParseOperand(text.s)
	if err != nil {
		x.failAt(text, "", "exception %q: %q is not a field", x.name, text.s)
	}
	// An "exists" asks nothing more of the operand than that it has a meaning.
	ch := check.Checker{Source: source, Lookup: c.lookup}
	_, problems, _ := ch.Check(&syntax.Check{Left: operand, Op: syntax.Exists})
	for _, p := range problems {
		if !p.Kind.Warning() {
			x.failAt(text, p.Hint, "exception %q: %s", x.name, p.Msg)
		}
	}
}

// operator reads an operator with a modifier perhaps.
func operator(text string) (syntax.Op, syntax.Modifier, bool) {
	word, mod, modified := strings.Cut(text, " ")
	op, ok := syntax.OpByText(word)
	if !ok || op == syntax.Exists {
		return 0, syntax.None, false
	}
	if !modified {
		return op, syntax.None, true
	}
	m, ok := syntax.ModifierByText(mod)
	return op, m, ok && op.TakesModifier()
}

func operators() []string {
	var out []string
	for op := syntax.Equal; op < syntax.NumOps; op++ {
		out = append(out, op.String())
	}
	return out
}

// withExceptions returns the condition of r, less its exceptions. The language defines
// it as text, so that lists may stand for values.
func (r *rule) withExceptions() located {
	if len(r.exceptions) == 0 {
		return r.condition
	}
	var b textBuilder
	b.literal("(")
	b.add(r.condition)
	b.literal(")")
	for _, x := range r.exceptions {
		if len(x.values) == 0 || x.broken {
			continue
		}
		b.literal(" and not ")
		x.write(&b)
	}
	return b.text()
}

func (x *exception) comp(i int) string {
	switch {
	case len(x.comps) > 0:
		return x.comps[i]
	case x.single:
		return "in"
	}
	return "="
}

func takesList(comp string) bool {
	op, m, ok := operator(comp)
	return ok && (op.TakesList() || m != syntax.None)
}

func (x *exception) write(b *textBuilder) {
	b.literal("(")
	if x.single {
		b.add(x.fields[0])
		b.literal(" " + x.comp(0) + " ")
		writeList(b, x.values)
		b.literal(")")
		return
	}
	for i, v := range x.values {
		if i > 0 {
			b.literal(" or ")
		}
		b.literal("(")
		for j, element := range v.list {
			if j > 0 {
				b.literal(" and ")
			}
			b.add(x.fields[j])
			b.literal(" " + x.comp(j) + " ")
			switch {
			case element.isList:
				writeList(b, element.list)
			case takesList(x.comp(j)) && !strings.HasPrefix(element.text.s, "("):
				writeList(b, []exceptionValue{element})
			case takesList(x.comp(j)):
				b.add(element.text)
			default:
				writeValue(b, element.text)
			}
		}
		b.literal(")")
	}
	b.literal(")")
}

func writeList(b *textBuilder, values []exceptionValue) {
	b.literal("(")
	for i, v := range values {
		if i > 0 {
			b.literal(", ")
		}
		writeValue(b, v.text)
	}
	b.literal(")")
}

// writeValue quotes as the language does: a blank makes quotes, nothing is escaped.
func writeValue(b *textBuilder, v located) {
	if strings.Contains(v.s, " ") && v.s[0] != '"' && v.s[0] != '\'' {
		b.literal(`"`)
		b.add(v)
		b.literal(`"`)
		return
	}
	b.add(v)
}

// didYouMean returns a hint at the word that was probably meant, or nothing.
func didYouMean(word string, words []string) string {
	if near := check.Nearest(word, words); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return ""
}
