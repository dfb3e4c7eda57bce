// Package plan turns checked conditions into the functions that decide them. All work
// that does not depend on the event is done here, once: conditions are cut down to
// what an event of each type can make true, constants become sets, and what several
// rules ask is asked once. Start with Compile.
package plan

import (
	"slices"

	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/rules/ir"
)

// Matcher reports whether an event satisfies a condition. It never blocks, is safe
// for concurrent use, and allocates nothing once the event's scratch memory has
// grown to what the condition takes.
type Matcher func(*event.Event) bool

// Condition is one condition of a program.
type Condition struct {
	Expr  ir.Expr
	Types event.TypeSet // events of other types never satisfy it
}

// Program decides many conditions at once. It is immutable and safe for concurrent
// use.
type Program struct {
	// byType holds the conditions that an event of a type may satisfy; nil: none.
	byType [event.MaxTypes]*node
}

// Compile plans conds. Program refers to them by their position.
func Compile(conds []Condition) *Program {
	p := &Program{}
	b := newBuilder()
	marks := typeMarks(conds)
	same := map[string]*node{} // types that no condition tells apart share their plan
	for t := range event.NumTypes() {
		sig := signature(event.Type(t), conds, marks)
		n, ok := same[sig]
		if !ok {
			n = b.program(conds, event.Type(t))
			same[sig] = n
		}
		p.byType[t] = n
	}
	return p
}

// CompileOne plans one condition for events of every type.
func CompileOne(x ir.Expr) Matcher {
	b := newBuilder()
	return b.matcher(fold(x, nil))
}

// AppendMatches appends the positions of the conditions that ev satisfies to dst, in
// ascending order, and returns it.
func (p *Program) AppendMatches(dst []int32, ev *event.Event) []int32 {
	n := p.byType[ev.Type]
	if n == nil {
		return dst
	}
	start, scratch := len(dst), len(ev.Scratch)
	dst = n.appendMatches(dst, ev)
	ev.Scratch = ev.Scratch[:scratch]
	if len(dst)-start > 1 {
		slices.Sort(dst[start:])
	}
	return dst
}

// Wants reports whether any condition may hold for events of type t.
func (p *Program) Wants(t event.Type) bool { return p.byType[t] != nil }

// typeMarks returns every set of types that some condition tells apart.
func typeMarks(conds []Condition) []event.TypeSet {
	m := marker{seen: map[event.TypeSet]bool{}, nodes: map[ir.Expr]bool{}}
	for _, c := range conds {
		m.expr(c.Expr)
	}
	return m.sets
}

type marker struct {
	sets  []event.TypeSet
	seen  map[event.TypeSet]bool
	nodes map[ir.Expr]bool
}

func (m *marker) set(s event.TypeSet) {
	if s != (event.TypeSet{}) && !m.seen[s] {
		m.seen[s] = true
		m.sets = append(m.sets, s)
	}
}

func (m *marker) expr(x ir.Expr) {
	if m.nodes[x] {
		return
	}
	m.nodes[x] = true
	switch x := x.(type) {
	case *ir.And:
		for _, x := range x.X {
			m.expr(x)
		}
	case *ir.Or:
		for _, x := range x.X {
			m.expr(x)
		}
	case *ir.Not:
		m.expr(x.X)
	case *ir.Types:
		m.set(x.Set)
	case *ir.Exists:
		m.term(x.Term)
	case *ir.Compare:
		if onType(x) {
			match := compareMatcher(newBuilder(), x)
			var s event.TypeSet
			for t := range event.NumTypes() {
				if match(&event.Event{Type: event.Type(t)}) {
					s.Add(event.Type(t))
				}
			}
			m.set(s)
			return
		}
		m.term(x.Term)
	}
}

func (m *marker) term(t *ir.Term) {
	if f := only(t); f != nil {
		m.set(f.Types)
	}
}

// signature tells types apart that need plans of their own.
func signature(t event.Type, conds []Condition, marks []event.TypeSet) string {
	b := make([]byte, 0, (len(conds)+len(marks))/8+2)
	var bits byte
	n := 0
	add := func(set bool) {
		if set {
			bits |= 1 << (n % 8)
		}
		if n++; n%8 == 0 {
			b = append(b, bits)
			bits = 0
		}
	}
	for i := range conds {
		add(conds[i].Types.Has(t))
	}
	for i := range marks {
		add(marks[i].Has(t))
	}
	return string(append(b, bits))
}

// node decides a group of conditions. What all of a group require is decided before,
// on the way to it.
type node struct {
	always []int32 // nothing is left to decide
	single []leaf
	guards []guard
	tables []table
}

// leaf is one condition, or what is left of it.
type leaf struct {
	match Matcher
	cond  int32
}

// guard is a group of conditions that all require the same.
type guard struct {
	match Matcher
	then  *node
}

// table is a group of conditions that all require a text to be one of some constants.
type table struct {
	get  textFunc
	then map[string]*node
}

func (n *node) appendMatches(dst []int32, ev *event.Event) []int32 {
	dst = append(dst, n.always...)
	for i := range n.single {
		if l := &n.single[i]; l.match(ev) {
			dst = append(dst, l.cond)
		}
	}
	for i := range n.guards {
		if g := &n.guards[i]; g.match(ev) {
			dst = g.then.appendMatches(dst, ev)
		}
	}
	for i := range n.tables {
		t := &n.tables[i]
		if v, ok := t.get(ev); ok {
			if then := t.then[string(v)]; then != nil {
				dst = then.appendMatches(dst, ev)
			}
		}
	}
	return dst
}

// todo is what is left to decide of a condition: all of conj.
type todo struct {
	cond int32
	conj []ir.Expr
	keys []string
}

// builder makes nodes and matchers, and makes what is equal once.
type builder struct {
	matchers map[string]Matcher
	sets     map[*ir.Texts]map[string]struct{}
	paths    map[*ir.Texts]*pathTree
	keys     map[ir.Expr]string
}

func newBuilder() *builder {
	return &builder{
		matchers: map[string]Matcher{},
		sets:     map[*ir.Texts]map[string]struct{}{},
		paths:    map[*ir.Texts]*pathTree{},
		keys:     map[ir.Expr]string{},
	}
}

// program returns the node of every condition that an event of type t may satisfy, or
// nil if there is none.
func (b *builder) program(conds []Condition, t event.Type) *node {
	f := folder{t: &t, done: map[ir.Expr]ir.Expr{}}
	var todos []todo
	for i, c := range conds {
		if !c.Types.Has(t) {
			continue
		}
		x := f.fold(c.Expr)
		if k, ok := x.(*ir.Const); ok && !k.Value {
			continue
		}
		td := todo{cond: int32(i)}
		for _, c := range conjuncts(nil, x) {
			key := b.key(c)
			if !slices.Contains(td.keys, key) {
				td.conj, td.keys = append(td.conj, c), append(td.keys, key)
			}
		}
		todos = append(todos, td)
	}
	if len(todos) == 0 {
		return nil
	}
	return b.node(todos)
}

func conjuncts(dst []ir.Expr, x ir.Expr) []ir.Expr {
	switch x := x.(type) {
	case *ir.And:
		for _, x := range x.X {
			dst = conjuncts(dst, x)
		}
		return dst
	case *ir.Const:
		return dst // true: a condition that is never true is not planned
	}
	return append(dst, x)
}

const (
	minTable     = 3   // conditions that a table is made for
	maxConstants = 128 // constants of one condition in a table
)

// node groups todos by what most of them require.
func (b *builder) node(todos []todo) *node {
	n := &node{}
	todos = slices.DeleteFunc(todos, func(td todo) bool {
		if len(td.conj) == 0 {
			n.always = append(n.always, td.cond)
		}
		return len(td.conj) == 0
	})
	for len(todos) > 1 {
		count := map[string]int{}
		equal := map[textField]int{}
		for _, td := range todos {
			for i, x := range td.conj {
				count[td.keys[i]]++
				if f, ok := equality(x); ok {
					equal[f]++
				}
			}
		}
		shared, most := "", 1
		for _, td := range todos {
			for i, x := range td.conj {
				if _, not := x.(*ir.Not); not {
					continue // it mostly holds, and spares nothing
				}
				if c := count[td.keys[i]]; c > most {
					shared, most = td.keys[i], c
				}
			}
		}
		var by textField
		for _, td := range todos { // in this order, so that the plan is always the same
			for _, x := range td.conj {
				if f, ok := equality(x); ok && equal[f] > equal[by] {
					by = f
				}
			}
		}
		switch {
		case equal[by] >= minTable && equal[by] >= most:
			todos = b.table(n, todos, by)
		case most > 1:
			todos = b.guard(n, todos, shared)
		default:
			for _, td := range todos {
				b.single(n, td)
			}
			return n
		}
	}
	for _, td := range todos {
		b.single(n, td)
	}
	return n
}

func (b *builder) single(n *node, td todo) {
	n.single = append(n.single, leaf{b.all(td.conj), td.cond})
}

// guard moves the todos that require what key says into a group, and returns the
// others.
func (b *builder) guard(n *node, todos []todo, key string) []todo {
	var in, out []todo
	var match Matcher
	for _, td := range todos {
		i := slices.Index(td.keys, key)
		if i < 0 {
			out = append(out, td)
			continue
		}
		if match == nil {
			match = b.matcher(td.conj[i])
		}
		in = append(in, td.without(i))
	}
	n.guards = append(n.guards, guard{match, b.node(in)})
	return out
}

func (td todo) without(i int) todo {
	return todo{
		td.cond,
		slices.Delete(slices.Clone(td.conj), i, i+1),
		slices.Delete(slices.Clone(td.keys), i, i+1),
	}
}

// table moves the todos that require by to be one of some constants into a group by
// constant, and returns the others.
func (b *builder) table(n *node, todos []todo, by textField) []todo {
	var out []todo
	byText := map[string][]todo{}
	var order []string
	for _, td := range todos {
		i := slices.IndexFunc(td.conj, func(x ir.Expr) bool {
			f, ok := equality(x)
			return ok && f == by
		})
		if i < 0 {
			out = append(out, td)
			continue
		}
		rest := td.without(i)
		seen := map[string]bool{}
		for _, s := range td.conj[i].(*ir.Compare).Texts.Values {
			if seen[s] {
				continue
			}
			seen[s] = true
			if byText[s] == nil {
				order = append(order, s)
			}
			byText[s] = append(byText[s], rest)
		}
	}
	t := table{get: textOf(by.term()), then: make(map[string]*node, len(byText))}
	for _, s := range order {
		t.then[s] = b.node(byText[s])
	}
	n.tables = append(n.tables, t)
	return out
}

// all returns the matcher of a conjunction.
func (b *builder) all(xs []ir.Expr) Matcher {
	if len(xs) == 1 {
		return b.matcher(xs[0])
	}
	return b.matcher(&ir.And{X: xs})
}

// matcher returns the matcher of x, the same for what is equal.
func (b *builder) matcher(x ir.Expr) Matcher {
	key := b.key(x)
	m, ok := b.matchers[key]
	if !ok {
		m = b.make(x)
		b.matchers[key] = m
	}
	return m
}

func (b *builder) make(x ir.Expr) Matcher {
	switch x := x.(type) {
	case *ir.And:
		return allOf(b.each(x.X))
	case *ir.Or:
		return anyOf(b.each(x.X))
	case *ir.Not:
		m := b.matcher(x.X)
		return func(ev *event.Event) bool { return !m(ev) }
	case *ir.Const:
		v := x.Value
		return func(*event.Event) bool { return v }
	case *ir.Types:
		set := x.Set
		return func(ev *event.Event) bool { return set.Has(ev.Type) }
	case *ir.Exists:
		return existsMatcher(x.Term)
	case *ir.Compare:
		return compareMatcher(b, x)
	}
	panic("BUG: plan: unknown expression")
}

func (b *builder) each(xs []ir.Expr) []Matcher {
	ms := make([]Matcher, len(xs))
	for i, x := range xs {
		ms[i] = b.matcher(x)
	}
	return ms
}

func allOf(ms []Matcher) Matcher {
	switch len(ms) {
	case 2:
		m0, m1 := ms[0], ms[1]
		return func(ev *event.Event) bool { return m0(ev) && m1(ev) }
	case 3:
		m0, m1, m2 := ms[0], ms[1], ms[2]
		return func(ev *event.Event) bool { return m0(ev) && m1(ev) && m2(ev) }
	}
	return func(ev *event.Event) bool {
		for _, m := range ms {
			if !m(ev) {
				return false
			}
		}
		return true
	}
}

func anyOf(ms []Matcher) Matcher {
	switch len(ms) {
	case 2:
		m0, m1 := ms[0], ms[1]
		return func(ev *event.Event) bool { return m0(ev) || m1(ev) }
	case 3:
		m0, m1, m2 := ms[0], ms[1], ms[2]
		return func(ev *event.Event) bool { return m0(ev) || m1(ev) || m2(ev) }
	}
	return func(ev *event.Event) bool {
		for _, m := range ms {
			if m(ev) {
				return true
			}
		}
		return false
	}
}
