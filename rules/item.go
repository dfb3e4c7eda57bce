package rules

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/windhover/windhover/rules/syntax"
)

// context is the way from a file to one of its nodes, for reports.
type context struct {
	parent   *context
	itemType string
	itemName string
	page     *page
	node     *yaml.Node
}

func (c *context) in(itemType, itemName string, n *yaml.Node) *context {
	return &context{c, itemType, itemName, c.page, n}
}

func (c *context) position() Position {
	if c.node == nil {
		return Position{Name: c.page.name}
	}
	return Position{c.page.name, c.node.Line - 1, c.node.Column - 1, c.page.offset(c.node.Line, c.node.Column)}
}

func (c *context) locations() []Location {
	var ls []Location
	if c.parent != nil {
		ls = c.parent.locations()
	}
	return append(ls, Location{c.itemType, c.itemName, c.position()})
}

// item returns the kind and name of the rule, macro or list that c is in.
func (c *context) item() (kind, name string) {
	for ; c != nil; c = c.parent {
		switch c.itemType {
		case "rule", "macro", "list":
			return c.itemType, c.itemName
		}
	}
	return "", ""
}

// problem returns a problem with the node of c.
func (c *context) problem(code Code, format string, args ...any) Problem {
	p := Problem{Code: code, Msg: fmt.Sprintf(format, args...), File: c.page.name, Line: 1, Column: 1, Width: 1, Locations: c.locations()}
	p.Item, p.Name = c.item()
	if c.node != nil {
		p.Line, p.Column = c.node.Line, c.node.Column
		if c.node.Kind == yaml.ScalarNode {
			p.Width = utf8.RuneCountInString(c.node.Value)
		}
	}
	p.Excerpt = c.page.line(p.Line)
	return p
}

// stop ends the reading of an item, or of a part of it, with an error; ended, after
// errors that were reported.
type (
	stop  struct{ p Problem }
	ended struct{}
)

// fail ends the reading of the item with an error.
func (c *context) fail(code Code, format string, args ...any) {
	panic(stop{c.problem(code, format, args...)})
}

// failHint ends the reading of the item with advice: its structure is wrong.
func (c *context) failHint(hint, format string, args ...any) {
	p := c.problem(ErrYAMLValidate, format, args...)
	p.Hint = hint
	panic(stop{p})
}

const (
	itemContent   = "rules content"
	itemCondition = "condition expression"
)

// scalar returns the value of a required key: a scalar that is not empty.
func (c *context) scalar(m *yaml.Node, key string) *yaml.Node {
	n := get(m, key)
	if n == nil {
		p := c.problem(ErrYAMLValidate, "key %q is missing", key)
		panic(stop{p})
	}
	return c.scalarOf(n, key)
}

func (c *context) scalarOf(n *yaml.Node, key string) *yaml.Node {
	if isNull(n) {
		c.fail(ErrYAMLValidate, "key %q has no value", key)
	}
	v := c.in("value for", key, n)
	if n.Kind != yaml.ScalarNode {
		v.fail(ErrYAMLValidate, "key %q takes one value, not %s", key, kindName(n))
	}
	if n.Value == "" {
		v.fail(ErrYAMLValidate, "key %q has an empty value", key)
	}
	return n
}

func kindName(n *yaml.Node) string {
	switch n.Kind {
	case yaml.SequenceNode:
		return "a list"
	case yaml.MappingNode:
		return "a mapping"
	}
	return "a single value"
}

// bool returns the value of a key that is a truth value; ok is false if it is absent.
func (c *context) bool(m *yaml.Node, key string) (v, ok bool) {
	n := get(m, key)
	if n == nil {
		return false, false
	}
	n = c.scalarOf(n, key)
	if v, ok = boolean(n.Value); !ok {
		c.in("value for", key, n).fail(ErrYAMLValidate, "key %q takes true or false, not %q", key, n.Value)
	}
	return v, true
}

// number returns the value of a key that is a number, if it is there.
func (c *context) number(m *yaml.Node, key string) (v uint32, ok bool) {
	n := get(m, key)
	if n == nil {
		return 0, false
	}
	n = c.scalarOf(n, key)
	if v, ok = unsigned(n.Value); !ok {
		c.in("value for", key, n).fail(ErrYAMLValidate, "key %q takes a number from 0 to %d, not %q", key, uint32(1<<32-1), n.Value)
	}
	return v, true
}

// texts returns the value of a key that is a list of scalars, if it is there.
func (c *context) texts(m *yaml.Node, key string, itemType string) (list []*yaml.Node, ok bool) {
	n := get(m, key)
	if n == nil {
		return nil, false
	}
	if isNull(n) {
		c.fail(ErrYAMLValidate, "key %q has no value", key)
	}
	v := c.in("value for", key, n)
	if n.Kind != yaml.SequenceNode {
		v.failHint("write ["+strings.TrimSpace(n.Value)+"]", "key %q takes a list, not %s", key, kindName(n))
	}
	for _, item := range n.Content {
		item = resolve(item)
		if isNull(item) {
			v.in(itemType, "", item).fail(ErrYAMLValidate, "key %q has an item without a value", key)
		}
		if item.Kind != yaml.ScalarNode {
			v.in(itemType, "", item).fail(ErrYAMLValidate, "key %q takes a list of single values, not of %ss", key, strings.TrimPrefix(kindName(item), "a "))
		}
		list = append(list, item)
	}
	return list, true
}

// version is a version of three numbers.
type version [3]uint32

func (v version) String() string { return fmt.Sprintf("%d.%d.%d", v[0], v[1], v[2]) }

// parseVersion reads the three numbers at the start of text.
func parseVersion(text string) (v version, ok bool) {
	for i := range v {
		n := 0
		for n < len(text) && text[n] >= '0' && text[n] <= '9' {
			n++
		}
		num, err := strconv.ParseUint(text[:n], 10, 32)
		if err != nil {
			return v, false
		}
		v[i], text = uint32(num), text[n:]
		if i < 2 {
			if !strings.HasPrefix(text, ".") {
				return v, false
			}
			text = text[1:]
		}
	}
	return v, true
}

// satisfies reports whether v can stand in for want: the same major version, and not
// older.
func (v version) satisfies(want version) bool {
	if v[0] != want[0] {
		return false
	}
	if v[1] != want[1] {
		return v[1] > want[1]
	}
	return v[2] >= want[2]
}

// verb is what an override does with a key.
type verb string

const (
	verbAppend  verb = "append"
	verbReplace verb = "replace"
)

// overrides reads the key override: what is done with which key; nil if there is none. It
// reports what is wrong, and takes what was probably meant for it, so that the keys are
// read nevertheless; ok is false then.
func (c *collector) overrides(at *context, m *yaml.Node, appendable, replaceable []string) (verbs map[string]verb, ok bool) {
	o := get(m, "override")
	if o == nil || o.Kind != yaml.MappingNode || len(o.Content) == 0 {
		return nil, true
	}
	oc := at.in("overrides", "", at.node)
	verbs, ok = map[string]verb{}, true
	check := func(f func()) { ok = c.try(f) && ok }
	for i := 0; i+1 < len(o.Content); i += 2 {
		key, value := resolve(o.Content[i]), resolve(o.Content[i+1])
		kc := oc.in("overrides", key.Value, key)
		known := slices.Contains(appendable, key.Value) || slices.Contains(replaceable, key.Value)
		check(func() {
			v := verb(value.Value)
			if known {
				verbs[key.Value] = meant(m, key.Value, appendable)
			}
			switch {
			case value.Kind != yaml.ScalarNode || v != verbAppend && v != verbReplace:
				oc.in("value for", key.Value, value).fail(ErrYAMLValidate, "override of %q is %q, want append or replace", key.Value, value.Value)
			case v == verbAppend && !slices.Contains(appendable, key.Value):
				kc.failHint("use replace instead", "key %q cannot be appended to", key.Value)
			case v == verbReplace && !slices.Contains(replaceable, key.Value):
				kc.fail(ErrYAMLValidate, "key %q cannot be replaced", key.Value)
			}
			verbs[key.Value] = v
			if get(m, key.Value) == nil {
				at.fail(ErrYAMLValidate, "override says %s for %q, but there is no %q", v, key.Value, key.Value)
			}
		})
	}
	m = resolve(m)
	for i := 0; i+1 < len(m.Content); i += 2 {
		key := resolve(m.Content[i]).Value
		if !slices.Contains(appendable, key) && !slices.Contains(replaceable, key) || entryOf(o, key) {
			continue
		}
		verbs[key] = meant(m, key, appendable)
		check(func() {
			at.in("overrides", key, resolve(m.Content[i+1])).failHint("say append or replace for it under override", "key %q has no entry under override", key)
		})
	}
	return verbs, ok
}

func entryOf(m *yaml.Node, key string) bool {
	k, _ := entry(m, key)
	return k != nil
}

// meant returns what is probably meant to be done with a key.
func meant(m *yaml.Node, key string, appendable []string) verb {
	if v := get(m, key); v != nil && slices.Contains(appendable, key) && continues(v.Value) {
		return verbAppend
	}
	return verbReplace
}

// continues reports whether text can only be the end of a condition.
func continues(text string) bool {
	word, _, _ := strings.Cut(strings.Join(strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune(" \t\r\n(", r) }), " "), " ")
	return word == "and" || word == "or"
}

// conditionContext is the context of a place in a condition, as Falco's validator gives
// it: the position in the text is added to that of the node.
func (c *context) conditionContext(text string, off int) Location {
	line, column := 1, 1
	for i := range min(off, len(text)) {
		if column++; text[i] == '\n' {
			line, column = line+1, 1
		}
	}
	p := c.position()
	p.Line += line
	p.Column += column
	p.Offset += off
	name := text
	if len(name) > 17 {
		name = name[:17]
	}
	return Location{itemCondition, `"` + name + `..."`, p}
}

// textProblem returns a problem with a part of text t, whose node is that of c.
func (c *context) textProblem(code Code, t located, s syntax.Span, msg, hint string) Problem {
	p := c.problem(code, "%s", msg)
	p.Hint = hint
	page, line, column, width := t.place(s.Start)
	if page == nil {
		return p
	}
	p.File, p.Line, p.Column, p.Excerpt = page.name, line, column, page.line(line)
	p.Width = max(width, 1)
	if width == 0 {
		// What is meant may be split over lines; the mark ends with the line.
		if end, l, col, w := t.place(max(s.End-1, s.Start)); end == page && w == 0 && l == line && col >= column {
			p.Width = col - column + 1
		} else {
			p.Width = max(utf8.RuneCountInString(p.Excerpt)-column+1, 1)
		}
	}
	return p
}
