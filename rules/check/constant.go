package check

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"regexp"
	rsyntax "regexp/syntax"
	"strconv"
	"strings"
	"sync"

	"github.com/windhover/windhover/internal/field"
	"github.com/windhover/windhover/rules/ir"
	"github.com/windhover/windhover/rules/syntax"
)

// foreignTypes are names of event types that rules may use although no source of
// Windhover reports such events: a comparison with one never holds.
var foreignTypes = []string{
	"syscall", "NA", "send", "recv", "switch", "drop", "scapevent", "container", "signaldeliver",
	"cpu_hotplug", "k8s", "tracer", "mesos", "notification", "infra", "page_fault", "useradded",
	"userdeleted", "groupadded", "groupdeleted", "asyncevent", "task", "task_file_pipe",
	"task_file_memfd", "task_file_regular", "task_file_directory", "task_file_socket_inet",
	"task_file_socket_inet6", "task_file_socket_unix", "task_file_socket_netlink", "task_file_anon_inode",
}

// typeAliases are names of the rule language for system calls that the kernel calls
// otherwise.
var typeAliases = map[string]string{"pread": "pread64", "pwrite": "pwrite64", "prlimit": "prlimit64"}

// compareConstants resolves a comparison with constants.
func (w *walk) compareConstants(x *syntax.Check, left *ir.Term) ir.Expr {
	c := &ir.Compare{Term: left, Op: irOps[x.Op], Modifier: irModifiers[x.Modifier]}
	switch left.Kind {
	case field.KindText, field.KindPath, field.KindBytes:
		return w.compareText(x, c)
	}
	ok := true
	for v := range w.operands(x) {
		if w.full() {
			return nil
		}
		err := appendConstant(c, v.Text)
		if err != nil {
			w.report(Problem{Span: v.Span, Msg: err.Error()})
			ok = false
		}
	}
	if !ok {
		return nil
	}
	if left.Field != nil && left.Field.Name == "evt.num" {
		return foldNumber(c)
	}
	return c
}

// appendConstant reads text as a value of the kind that c compares.
func appendConstant(c *ir.Compare, text string) error {
	switch c.Term.Kind {
	case field.KindIP:
		ip, err := netip.ParseAddr(text)
		if err != nil || ip.Zone() != "" {
			if _, err := netip.ParsePrefix(text); err == nil {
				return fmt.Errorf("%q is a network, not an address", text)
			}
			return fmt.Errorf("%q is not an IP address", text)
		}
		c.Addrs = append(c.Addrs, ip)
		return nil
	case field.KindNet:
		p, err := netip.ParsePrefix(text)
		if err != nil {
			if _, err := netip.ParseAddr(text); err == nil {
				return fmt.Errorf("%q is an address, not a network: write %s/LENGTH", text, text)
			}
			return fmt.Errorf("%q is not a network such as 10.0.0.0/8", text)
		}
		c.Nets = append(c.Nets, p.Masked())
		return nil
	}
	n, err := number(c.Term.Kind, text)
	if err != nil {
		return err
	}
	c.Ints = append(c.Ints, n)
	return nil
}

// number reads text as the number that a field of kind k holds.
func number(k field.Kind, text string) (int64, error) {
	switch k {
	case field.KindBool:
		switch text {
		case "true":
			return 1, nil
		case "false":
			return 0, nil
		}
		return 0, fmt.Errorf("%q is not a truth value: write true or false", text)
	case field.KindPort:
		if text == "" {
			return 0, nil
		}
		if port, ok := services[text]; ok {
			return int64(port), nil
		}
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return 0, fmt.Errorf("%q is not a port: neither a number up to 65535 nor the name of a service", text)
		}
		return int64(n), nil
	case field.KindUint, field.KindTime, field.KindDuration:
		if n, err := strconv.ParseUint(strings.TrimPrefix(text, "+"), 10, 64); err == nil {
			return int64(n), nil
		}
		// As in the language's origin, a negative number wraps around: -1 is the
		// largest.
		if n, err := strconv.ParseInt(text, 10, 64); err == nil && n < 0 {
			return n, nil
		}
	case field.KindFloat:
		if n, err := strconv.ParseInt(text, 10, 32); err == nil {
			return int64(math.Float64bits(float64(n))), nil
		}
	default:
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n, nil
		}
	}
	if n, ok := withoutUnit(text); ok {
		return 0, fmt.Errorf("%q is not a number: durations are nanoseconds, so write %d", text, n)
	}
	return 0, fmt.Errorf("%q is not a decimal number that fits the field", text)
}

// foldNumber decides comparisons with the number of the event, which is at least 1:
// rules say evt.num = 0 for never.
func foldNumber(c *ir.Compare) ir.Expr {
	below := true // every operand is below 1
	for _, n := range c.Ints {
		below = below && uint64(n) < 1
	}
	one := len(c.Ints) == 1 && c.Ints[0] == 1
	switch c.Op {
	case ir.Equal, ir.In, ir.Intersects, ir.LessEqual:
		if below {
			return &ir.Const{Value: false}
		}
	case ir.Less:
		if below || one {
			return &ir.Const{Value: false}
		}
	case ir.NotEqual, ir.Greater:
		if below {
			return &ir.Const{Value: true}
		}
	case ir.GreaterEqual:
		if below || one {
			return &ir.Const{Value: true}
		}
	}
	return c
}

// compareText resolves a comparison with text constants.
func (w *walk) compareText(x *syntax.Check, c *ir.Compare) ir.Expr {
	c.Texts = w.texts(x)
	switch x.Op {
	case syntax.BContains, syntax.BStartsWith:
		decoded := make([]string, c.Texts.Len())
		for i, s := range c.Texts.All() {
			b, err := hex.DecodeString(s)
			if err != nil {
				w.fail(x.Span, "operator %q takes an even number of hexadecimal digits, not %q", x.Op, s)
				return nil
			}
			decoded[i] = string(b)
		}
		c.Texts = &ir.Texts{Values: decoded}
	case syntax.Regex:
		for _, s := range c.Texts.All() {
			re, err := compileRegexp(s)
			if err != nil {
				w.fail(valueSpan(x, s), "read regular expression: %v", err)
				return nil
			}
			c.Regexp = append(c.Regexp, re)
		}
	}
	return c
}

// largeList is how many items a list has that is shared rather than written out.
const largeList = 200

// texts returns the text constants of x.
func (w *walk) texts(x *syntax.Check) *ir.Texts {
	t := &ir.Texts{Values: make([]string, 0, len(x.Values))}
	refs := x.Lists
	for i := 0; i <= len(x.Values); i++ {
		for ; len(refs) > 0 && refs[0].At == i; refs = refs[1:] {
			l := w.c.Lists[refs[0].List]
			if len(l.Items) < largeList {
				t.Values = append(t.Values, l.Items...)
				continue
			}
			l.texts.Values = l.Items
			t.Lists = append(t.Lists, &l.texts)
		}
		if i < len(x.Values) {
			t.Values = append(t.Values, x.Values[i].Text)
		}
	}
	return t
}

// compileRegexp compiles a pattern that must match the whole text. The language is
// that of RE2 without the Perl classes.
func compileRegexp(pattern string) (*regexp.Regexp, error) {
	tree, err := rsyntax.Parse(pattern, rsyntax.POSIX)
	if e, ok := errors.AsType[*rsyntax.Error](err); ok {
		err = fmt.Errorf("%s %q", e.Code, e.Expr)
		if _, perl := rsyntax.Parse(pattern, rsyntax.Perl); perl == nil {
			err = fmt.Errorf("%w; what Perl adds to regular expressions is not part of the rule language: write [0-9], [[:space:]], [[:alnum:]_]", err)
		}
	}
	if err != nil {
		return nil, err
	}
	return regexp.Compile(`\A(?:` + tree.String() + `)\z`)
}

func valueSpan(x *syntax.Check, text string) syntax.Span {
	for _, v := range x.Values {
		if v.Text == text {
			return v.Span
		}
	}
	return x.Span
}

// constantWarnings points at constants that probably mean something else.
func (w *walk) constantWarnings(x *syntax.Check) {
	var name string
	if f, ok := x.Left.(*syntax.Field); ok {
		name = f.Name
	}
	unsafe := strings.HasPrefix(name, "ka.") || strings.HasPrefix(name, "jevt.")
	switch x.Op {
	case syntax.Equal, syntax.NotEqual, syntax.In, syntax.Intersects, syntax.PMatch:
	default:
		unsafe = false
	}
	warn := func(v syntax.Value) {
		if unsafe && v.Text == notAvailable {
			w.warn(UnsafeNA, v.Span, nil, "field %s has no value where it prints <NA>: write \"not %s exists\"", name, name)
		}
		w.constantWarning(x, v)
	}
	for _, v := range x.Values {
		warn(v)
	}
	for _, ref := range x.Lists {
		for _, item := range w.c.Lists[ref.List].suspicious() {
			warn(syntax.Value{Span: x.Span, Text: item})
		}
	}
}

const notAvailable = "<NA>"

// suspicious returns the items that may be worth a warning where the list is used.
func (l *List) suspicious() []string {
	if !l.looked {
		l.looked = true
		for _, item := range l.Items {
			if first, _, dot := strings.Cut(item, "."); item == notAvailable || strings.HasSuffix(item, ")") || dot && fieldClasses()[strings.TrimSpace(first)] {
				l.suspects = append(l.suspects, item)
			}
		}
	}
	return l.suspects
}

func (w *walk) constantWarning(x *syntax.Check, v syntax.Value) {
	if v.Number || v.Text == "" {
		return
	}
	if x.Op == syntax.Regex && plainRegexp(v.Text) {
		w.warn(Suspicious, v.Span, nil, "regular expression %q has nothing that a faster contains, startswith, endswith or = could not say", v.Text)
	}
	text := strings.Join(strings.Fields(v.Text), "")
	// Only texts of this shape can be a field: the lookup is not for every constant
	// of a large list.
	switch first, _, _ := strings.Cut(text, "."); {
	case !strings.Contains(text, ".") || !fieldClasses()[first]:
	case strings.HasSuffix(text, ")"):
	default:
		if _, err := w.lookup(text); err == nil {
			w.warn(Suspicious, v.Span, nil, "%q is a text here, though it is the name of a field: to compare with the field, write val(%s)", v.Text, text)
		}
	}
	if open := strings.IndexByte(text, '('); open > 0 && strings.HasSuffix(text, ")") {
		if _, ok := ir.FuncByName(text[:open]); ok || text[:open] == "val" {
			w.warn(Suspicious, v.Span, nil, "%q is a text here, though it looks like a transformer: write it without quotes", v.Text)
		}
	}
}

// fieldClasses are what the names of fields begin with.
var fieldClasses = sync.OnceValue(func() map[string]bool {
	classes := map[string]bool{}
	for _, f := range field.Table() {
		class, _, _ := strings.Cut(f.Name, ".")
		classes[class] = true
	}
	return classes
})

// plainRegexp reports whether a pattern says no more than a faster operator would.
func plainRegexp(p string) bool {
	p = strings.TrimPrefix(p, "^")
	p = strings.TrimPrefix(p, ".*")
	p = strings.TrimSuffix(p, "$")
	p = strings.TrimSuffix(p, ".*")
	return !strings.ContainsAny(p, `\.+*?()|[]{}^$`)
}

// withoutUnit reads a number with a unit of time.
func withoutUnit(s string) (int64, bool) {
	for suffix, unit := range map[string]int64{"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9, "m": 60e9, "h": 3600e9} {
		if n, err := strconv.ParseInt(strings.TrimSuffix(s, suffix), 10, 32); err == nil && strings.HasSuffix(s, suffix) {
			return n * unit, true
		}
	}
	return 0, false
}
