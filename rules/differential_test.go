package rules

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/windhover/windhover/internal/field"
	"github.com/windhover/windhover/rules/syntax"
	"github.com/windhover/windhover/rules/synthetic"
)

// naive decides conditions by walking their trees for one event: slowly, with copies,
// and as plainly as the rule language is described.
type naive struct {
	source string
	object map[string]any // the event as it is written
	macros map[string]string
}

func (n naive) holds(text string) bool {
	x, err := syntax.Parse(text)
	if err != nil {
		panic(fmt.Sprintf("%s: %v", text, err))
	}
	return n.expr(x)
}

func (n naive) expr(x syntax.Expr) bool {
	switch x := x.(type) {
	case *syntax.And:
		for _, y := range x.X {
			if !n.expr(y) {
				return false
			}
		}
		return true
	case *syntax.Or:
		return slices.ContainsFunc(x.X, n.expr)
	case *syntax.Not:
		return !n.expr(x.X)
	case *syntax.Macro:
		return n.holds(n.macros[x.Name])
	}
	return n.check(x.(*syntax.Check))
}

// term is the value of an operand: nothing, one value, or several.
type term struct {
	kind   field.Kind
	match  field.Match
	values []any // string, int64, uint64, netip.Addr
}

func (n naive) term(x syntax.Operand) term {
	switch x := x.(type) {
	case *syntax.Field:
		text := x.Name
		if x.HasArg {
			text += "[" + x.Arg + "]"
		}
		f, err := field.Lookup(text, n.source)
		if err != nil {
			panic(err)
		}
		t := term{kind: f.Kind, match: f.Match}
		v, ok := n.object[text]
		if !ok || v == nil {
			return t
		}
		list, ok := v.([]any)
		if !ok {
			list = []any{v}
		}
		for _, e := range list {
			t.values = append(t.values, value(f.Kind, fmt.Sprint(e)))
		}
		return t
	case *syntax.Literal:
		return term{values: []any{x.Value.Text}}
	case *syntax.List:
		t := term{match: field.MatchList}
		for _, item := range x.Items {
			v := n.term(item).values
			if len(v) == 0 {
				return term{match: field.MatchList}
			}
			t.values = append(t.values, fmt.Sprint(v[0]))
		}
		return t
	}
	c := x.(*syntax.Call)
	var args []term
	for _, a := range c.Args {
		args = append(args, n.term(a))
	}
	t := args[0]
	each := func(f func(string) (any, bool)) term {
		out := term{kind: t.kind, match: t.match}
		for _, v := range t.values {
			if w, ok := f(v.(string)); ok {
				out.values = append(out.values, w)
			}
		}
		return out
	}
	switch c.Name {
	case "tolower":
		return each(func(s string) (any, bool) { return strings.ToLower(s), true })
	case "toupper":
		return each(func(s string) (any, bool) { return strings.ToUpper(s), true })
	case "basename":
		return each(func(s string) (any, bool) { p := strings.Split(s, "/"); return p[len(p)-1], true })
	case "len":
		if t.match == field.MatchList {
			out := term{kind: field.KindUint}
			if len(t.values) > 0 {
				out.values = []any{uint64(len(t.values))}
			}
			return out
		}
		out := each(func(s string) (any, bool) { return uint64(len(s)), true })
		out.kind = field.KindUint
		return out
	case "concat":
		s := ""
		for _, a := range args {
			if len(a.values) == 0 {
				return term{}
			}
			s += a.values[0].(string)
		}
		return term{values: []any{s}}
	case "join":
		if len(args[1].values) == 0 {
			return term{}
		}
		var parts []string
		for _, v := range args[1].values {
			parts = append(parts, fmt.Sprint(v))
		}
		return term{values: []any{strings.Join(parts, args[0].values[0].(string))}}
	}
	panic("transformer " + c.Name)
}

// value reads text as a value of a kind.
func value(k field.Kind, text string) any {
	switch k {
	case field.KindText, field.KindPath, field.KindBytes:
		return text
	case field.KindIP, field.KindNet:
		return netip.MustParseAddr(text)
	case field.KindBool:
		if text == "true" {
			return int64(1)
		}
		return int64(0)
	case field.KindInt:
		v, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			panic(err)
		}
		return v
	}
	v, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		panic(err)
	}
	return v
}

func (n naive) check(x *syntax.Check) bool {
	left := n.term(x.Left)
	if x.Op == syntax.Exists {
		return len(left.values) > 0
	}
	if len(left.values) == 0 {
		return false
	}
	// satisfied decides one value of the left side.
	satisfied := func(v any) bool {
		if x.Right != nil {
			return slices.ContainsFunc(n.term(x.Right).values, func(r any) bool { return compare(x.Op, v, r) })
		}
		if x.Op == syntax.PMatch {
			return slices.ContainsFunc(x.Values, func(c syntax.Value) bool { return isBelow(v.(string), c.Text) })
		}
		count := 0
		values := slices.Clone(x.Values)
		for _, c := range x.Values { // the words of the big lists that events have
			switch c.Text {
			case "big":
				values = append(values, syntax.Value{Text: "a"}, syntax.Value{Text: "ab"}, syntax.Value{Text: "aB"})
			case "large":
				values = append(values, syntax.Value{Text: "b"}, syntax.Value{Text: "ba"})
			}
		}
		for _, c := range values {
			ok := false
			switch left.kind {
			case field.KindNet:
				p := netip.MustParsePrefix(c.Text)
				a := v.(netip.Addr)
				inside := p.Addr().Is4() == a.Is4() && netip.PrefixFrom(a, p.Bits()).Masked() == p.Masked()
				ok = inside == (x.Op != syntax.NotEqual)
			default:
				ok = compare(x.Op, v, value(left.kind, c.Text))
			}
			if ok {
				count++
			}
		}
		switch x.Modifier {
		case syntax.AllOf:
			return count == len(x.Values)
		case syntax.OneOf:
			return count == 1
		}
		return count > 0
	}
	all := left.match == field.MatchEither && x.Op == syntax.NotEqual || left.match == field.MatchList && x.Op == syntax.In
	if x.Right != nil && left.match == field.MatchEither && x.Op == syntax.NotEqual {
		panic("not in the generator")
	}
	for _, v := range left.values {
		if satisfied(v) != all {
			return !all
		}
	}
	return all
}

func compare(op syntax.Op, a, b any) bool {
	switch op {
	case syntax.Equal, syntax.In, syntax.Intersects:
		return a == b
	case syntax.NotEqual:
		return a != b
	}
	if s, ok := a.(string); ok {
		t := b.(string)
		switch op {
		case syntax.Contains:
			return strings.Contains(s, t)
		case syntax.IContains:
			return strings.Contains(strings.ToLower(s), strings.ToLower(t))
		case syntax.StartsWith:
			return strings.HasPrefix(s, t)
		case syntax.EndsWith:
			return strings.HasSuffix(s, t)
		case syntax.Glob:
			return fnmatch(t, s)
		case syntax.IGlob:
			return fnmatch(strings.ToLower(t), strings.ToLower(s))
		case syntax.Regex:
			re := regexp.MustCompilePOSIX(t)
			for i := range len(s) + 1 { // the longest match from the first byte
				if m := re.FindStringIndex(s[:len(s)-i]); m != nil && m[0] == 0 && m[1] == len(s) {
					return true
				}
			}
			return false
		}
	}
	less, equal := false, a == b
	switch a := a.(type) {
	case string:
		less = a < b.(string)
	case int64:
		less = a < b.(int64)
	case uint64:
		less = a < b.(uint64)
	}
	switch op {
	case syntax.Less:
		return less
	case syntax.LessEqual:
		return less || equal
	case syntax.Greater:
		return !less && !equal
	case syntax.GreaterEqual:
		return !less
	}
	panic("operator " + op.String())
}

// fnmatch knows "*", "?" and nothing else.
func fnmatch(p, s string) bool {
	switch {
	case p == "":
		return s == ""
	case p[0] == '*':
		return fnmatch(p[1:], s) || s != "" && fnmatch(p, s[1:])
	case s == "":
		return false
	}
	return (p[0] == '?' || p[0] == s[0]) && fnmatch(p[1:], s[1:])
}

func isBelow(path, prefix string) bool {
	split := func(s string) []string {
		return slices.DeleteFunc(strings.Split(s, "/"), func(c string) bool { return c == "" })
	}
	p, q := split(path), split(prefix)
	if len(q) > len(p) {
		return false
	}
	for i := range q {
		if !fnmatch(q[i], p[i]) {
			return false
		}
	}
	return true
}

// generator makes conditions and events from few words, so that they often meet.
type generator struct {
	*rand.Rand
	source string
	macros []string
}

func pick[T any](g *generator, vs ...T) T { return vs[g.IntN(len(vs))] }

var (
	texts  = []string{"", "a", "b", "ab", "ba", "aB", "abc", "/a", "/a/b", "/a/b/c", "a/b"}
	addrs  = []string{"10.0.0.1", "10.0.0.2", "192.168.0.1", "::1", "fe80::1"}
	nets   = []string{"10.0.0.0/8", "10.0.0.0/31", "192.168.0.0/16", "fe80::/10", "::1/128", "0.0.0.0/0"}
	types  = []string{"open", "openat", "execve", "close", "connect"}
	fields = map[string][]string{
		"syscall": {
			"proc.name", "proc.cmdline", "proc.exepath", "fd.name", "proc.pid", "proc.ppid", "evt.is_open_write", "fd.sport", "proc.duration",
			"fd.sip", "fd.snet", "fd.ip", "fd.net", "fd.port", "proc.aname", "proc.apid", "proc.aname[2]",
		},
		"k8s_audit": {"ka.verb", "ka.user.name", "ka.uri", "ka.req.pod.containers.image", "ka.auth.reason"},
	}
)

func (g *generator) lookup(name string) *field.Field {
	f, err := field.Lookup(name, g.source)
	if err != nil {
		panic(err)
	}
	return f
}

func (g *generator) constant(k field.Kind) string {
	switch k {
	case field.KindText, field.KindPath, field.KindBytes:
		return pick(g, texts...)
	case field.KindIP:
		return pick(g, addrs...)
	case field.KindNet:
		return pick(g, nets...)
	case field.KindBool:
		return pick(g, "true", "false")
	case field.KindUint, field.KindDuration:
		return pick(g, "0", "1", "2", "18446744073709551615")
	}
	return strconv.Itoa(g.IntN(4))
}

func quote(s string) string { return `"` + s + `"` }

func (g *generator) list(k field.Kind) string {
	n := g.IntN(4)
	if g.IntN(10) == 0 {
		n = 12 // a set
	}
	var vs []string
	for range n {
		vs = append(vs, quote(g.constant(k)))
	}
	return "(" + strings.Join(vs, ", ") + ")"
}

// themes are comparisons that several rules of a set have, or nearly have, so that they
// meet in one table or under one guard.
var themes = []func(*generator) string{
	func(g *generator) string {
		return "proc.cmdline contains " + pick(g, "anyof", "allof", "oneof") + ` ("a", "b")`
	},
	func(g *generator) string { return `(proc.name = "a" or proc.name = ` + pick(g, `"b"`, `"ab"`) + ")" },
	func(g *generator) string { return "proc.name in " + g.list(field.KindText) },
	func(g *generator) string { return "proc.name = " + quote(g.constant(field.KindText)) },
	func(g *generator) string {
		return "proc.name in (" + pick(g, "big", "big, large", "large", "large, a") + ")"
	},
	func(g *generator) string {
		return "proc.duration " + pick(g, "<", ">", ">=") + " " + g.constant(field.KindDuration)
	},
	func(g *generator) string { return "fd.name startswith " + quote(g.constant(field.KindText)) },
	func(g *generator) string {
		return "fd.name glob " + pick(g, `"/a*"`, `"/a/?"`, `"a*c"`, `"/a/b"`, `"a?"`)
	},
	func(g *generator) string {
		return "(fd.name " + pick(g, "=", "startswith", "glob") + " " + quote(g.constant(field.KindText)) +
			" or fd.name " + pick(g, "=", "startswith", "glob") + " " + pick(g, `"/a"`, `"a*"`) + ")"
	},
	func(g *generator) string { return "fd.name endswith " + quote(g.constant(field.KindText)) },
	func(g *generator) string { return "fd.snet = " + quote(g.constant(field.KindNet)) },
	func(g *generator) string { return "fd.net in " + g.list(field.KindNet) },
	func(g *generator) string { return "proc.aname in " + g.list(field.KindText) },
}

// bigLists are lists that are not written out.
func bigLists() string {
	items := func(name string, words ...string) string {
		for i := range 300 {
			words = append(words, fmt.Sprintf("%s%d", name, i))
		}
		return "- list: " + name + "\n  items: [" + strings.Join(words, ", ") + "]\n"
	}
	return items("big", "a", "ab", "aB") + items("large", "b", "ba")
}

// check writes one comparison.
func (g *generator) check() string {
	if g.source == field.Syscall && g.IntN(5) == 0 {
		return pick(g, "evt.type = ", "evt.type != ", "evt.type startswith ") + pick(g, types...)
	}
	name := pick(g, fields[g.source]...)
	f := g.lookup(name)
	kind, match := f.Kind, f.Match
	text := kind == field.KindText || kind == field.KindPath
	if text && !f.NoTransform && g.IntN(4) == 0 {
		switch call := pick(g, "tolower", "toupper", "basename", "len", "concat", "join"); {
		case call == "len":
			name, kind = "len("+name+")", field.KindUint
			if match == field.MatchList {
				match = field.MatchOne
			}
			text = false
		case call == "concat" && match == field.MatchOne:
			name = "concat(" + name + ", 'b')"
		case call == "join" && match == field.MatchList:
			name, match = "join('', "+name+")", field.MatchOne
		case call == "join" && match == field.MatchOne:
			name = "join('', (" + name + ", 'b', 1))"
		case call != "concat" && call != "join":
			name = call + "(" + name + ")"
		}
	}
	if g.IntN(8) == 0 {
		return name + " exists"
	}
	if match == field.MatchList {
		return name + pick(g, " in ", " intersects ") + g.list(kind)
	}
	if match == field.MatchOne && kind != field.KindNet && g.IntN(8) == 0 {
		if other := pick(g, fields[g.source]...); g.lookup(other).Kind == kind && g.lookup(other).Match == field.MatchOne && !g.lookup(other).NoCompare {
			return name + pick(g, " = ", " != ", " in ") + "val(" + other + ")"
		}
	}
	switch {
	case g.IntN(4) == 0:
		return name + pick(g, " in ", " intersects ") + g.list(kind)
	case text && g.IntN(6) == 0:
		return name + " pmatch " + pick(g, "(/a)", "(/a/b, b)", "(/*/b, /a/c)", "(a/?)", "()", "(/)")
	case text && g.IntN(6) == 0:
		return name + " regex " + pick(g, `"a+b*"`, `"(a|ab)(c|)"`, `".*b"`, `"[^/]*"`, `"a|/a/b"`)
	case text && g.IntN(6) == 0:
		return name + pick(g, " glob ", " iglob ") + pick(g, `"a*"`, `"*b"`, `"?"`, `"/*/b"`, `"*B*"`)
	case text:
		op := pick(g, "=", "!=", "contains", "icontains", "startswith", "endswith")
		if g.IntN(4) == 0 {
			return name + " " + op + " " + pick(g, "anyof", "allof", "oneof") + " " + g.list(kind)
		}
		return name + " " + op + " " + quote(g.constant(kind))
	case kind == field.KindIP || kind == field.KindNet || kind == field.KindBool:
		op := pick(g, "=", "!=")
		if g.IntN(4) == 0 {
			return name + " " + op + " " + pick(g, "anyof", "allof", "oneof") + " " + g.list(kind)
		}
		return name + " " + op + " " + quote(g.constant(kind))
	}
	op := pick(g, "=", "!=", "<", "<=", ">", ">=")
	return name + " " + op + " " + g.constant(kind)
}

func (g *generator) condition(depth int) string {
	if depth == 0 || g.IntN(4) == 0 {
		if len(g.macros) > 0 && g.IntN(5) == 0 {
			return pick(g, g.macros...)
		}
		return g.check()
	}
	switch g.IntN(3) {
	case 0:
		return "not (" + g.condition(depth-1) + ")"
	case 1:
		return "(" + g.condition(depth-1) + " or " + g.condition(depth-1) + ")"
	}
	return g.condition(depth-1) + " and " + g.condition(depth-1)
}

func (g *generator) event() map[string]any {
	ev := map[string]any{"source": g.source}
	if g.source == field.Syscall {
		ev["evt.type"] = pick(g, types...)
	}
	for _, name := range fields[g.source] {
		if g.IntN(4) == 0 {
			continue
		}
		f := g.lookup(name)
		one := func() any {
			switch f.Kind {
			case field.KindNet:
				return pick(g, addrs...)
			case field.KindBool:
				return g.IntN(2) == 0
			}
			return g.constant(f.Kind)
		}
		if f.Match == field.MatchOne {
			ev[name] = one()
			continue
		}
		var vs []any
		for range 1 + g.IntN(3) {
			vs = append(vs, one())
		}
		ev[name] = vs
	}
	// The ancestor at a position is part of the list of all.
	delete(ev, "proc.aname[2]")
	if all, _ := ev["proc.aname"].([]any); len(all) > 1 {
		ev["proc.aname[2]"] = all[1]
	}
	return ev
}

// FuzzPlanAgreesWithTheNaiveReading compares what a Set of several rules matches with
// what reading each condition word by word gives, and with the types that the Set asks
// its source for.
func FuzzPlanAgreesWithTheNaiveReading(f *testing.F) {
	for seed := range uint64(300) {
		f.Add(seed, seed*7919)
	}
	f.Fuzz(func(t *testing.T, s1, s2 uint64) {
		g := &generator{Rand: rand.New(rand.NewPCG(s1, s2)), source: field.Syscall}
		if g.IntN(4) == 0 {
			g.source = "k8s_audit"
		}
		var y strings.Builder
		y.WriteString(bigLists())
		macros := map[string]string{}
		for i := range g.IntN(4) {
			name := fmt.Sprintf("m%d", i)
			macros[name] = g.condition(2)
			fmt.Fprintf(&y, "- macro: %s\n  condition: %q\n", name, macros[name])
			g.macros = append(g.macros, name)
		}
		var conds []string
		theme := pick(g, themes...)
		for i := range 1 + g.IntN(12) {
			c := g.condition(g.IntN(5))
			if g.source == field.Syscall && g.IntN(3) > 0 {
				c = theme(g) + " and " + c
			}
			conds = append(conds, c)
			fmt.Fprintf(&y, "- rule: r%d\n  desc: d\n  condition: %q\n  output: .\n  priority: INFO\n  source: %s\n", i, c, g.source)
		}
		var events synthetic.Events
		set, r := Compile([]File{{Name: "r.yaml", Data: []byte(y.String())}}, Options{Lookup: events.Lookup})
		if set == nil {
			t.Fatalf("Compile: %v\n%s", r.Err(), y.String())
		}
		for range 24 {
			object := g.event()
			line, err := json.Marshal(object)
			if err != nil {
				t.Fatal(err)
			}
			ev, err := events.Parse(line)
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]bool{}
			last := -1
			for _, m := range set.AppendMatches(nil, ev) {
				got[m.Name] = true
				if m.Index <= last {
					t.Fatalf("rule %s comes after rule %d\n%s", m.Name, last, y.String())
				}
				last = m.Index
				if types := set.Types(g.source); !types.Has(ev.Type) || !m.Types.Has(ev.Type) {
					t.Fatalf("rule %s matches %s, but does not ask for events of type %v\n%s", m.Name, line, ev.Type, y.String())
				}
			}
			if len(ev.Scratch) != 0 {
				t.Fatalf("%d bytes of scratch memory are in use after matching", len(ev.Scratch))
			}
			alone := set.Alone(ev)
			for i := range alone.Len() {
				if r, ok := alone.Rule(i), alone.Decide(i, ev); ok != got[r.Name] {
					t.Fatalf("rule %s matches by itself: %v, with the others: %v\n%s\nevent %s", r.Name, ok, got[r.Name], y.String(), line)
				}
			}
			n := naive{g.source, object, macros}
			for i, c := range conds {
				name := fmt.Sprintf("r%d", i)
				if want := n.holds(c); got[name] != want {
					t.Fatalf("rule %s matches: %v, want %v\ncondition %s\nmacros %q\nevent %s", name, got[name], want, c, macros, line)
				}
			}
		}
	})
}
