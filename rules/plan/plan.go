// Package plan turns checked conditions into the functions that decide them. All work
// that does not depend on the event is done here, once: conditions are cut down to
// what an event of each type can make true, constants become sets, and what several
// rules ask is asked once. Start with Compile.
package plan

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/field"
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
	// alone holds the same conditions, each by itself.
	alone [event.MaxTypes][]Single
}

// Single is a condition that shares nothing with others: what it takes to decide it is
// what it would take if it were the only one.
type Single struct {
	Match Matcher
	Cond  int // its position in what was compiled
}

// Compile plans conds. Program refers to them by their position.
func Compile(conds []Condition) *Program {
	p := &Program{}
	b := newBuilder()
	marks := typeMarks(conds)
	same := map[string]event.Type{} // types that no condition tells apart share their plan
	var as [event.MaxTypes]event.Type
	var todos [event.MaxTypes][]todo
	for t := range event.Type(event.NumTypes()) {
		sig := signature(t, conds, marks)
		first, ok := same[sig]
		if !ok {
			first = t
			same[sig] = t
			todos[t] = b.todos(conds, t)
			if len(todos[t]) > 0 {
				p.byType[t] = b.node(slices.Clone(todos[t]))
			}
		}
		as[t] = first
		p.byType[t] = p.byType[first]
	}
	// Afterwards, so that what matches lies together in memory.
	for t := range event.Type(event.NumTypes()) {
		if as[t] == t {
			p.alone[t] = b.alone(todos[t])
		}
		p.alone[t] = p.alone[as[t]]
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
		dst = dst[:start+unique(dst[start:])]
	}
	return dst
}

// unique moves the first of equal neighbours to the front and returns how many there are.
func unique(s []int32) int {
	n := 1
	for _, v := range s[1:] {
		if v != s[n-1] {
			s[n] = v
			n++
		}
	}
	return n
}

// Alone returns the conditions that an event of type t may satisfy, each by itself. The
// caller must not change it.
func (p *Program) Alone(t event.Type) []Single { return p.alone[t] }

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

// A condition that an event leads to in two ways is appended twice.
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
		switch t := n.tables[i]; {
		case t.text != nil:
			if v, ok := t.text.get(ev); ok {
				if then := t.text.then[string(v)]; then != nil {
					dst = then.appendMatches(dst, ev)
				}
			}
		case t.affix != nil:
			v, ok := t.affix.get(ev)
			if !ok {
				continue
			}
			w := affixWalk[*node]{at: t.affix.tree}
			if then := w.at.then; then != nil {
				dst = then.appendMatches(dst, ev)
			}
			for then, ok := w.next(v, t.affix.suffix); ok; then, ok = w.next(v, t.affix.suffix) {
				dst = then.appendMatches(dst, ev)
			}
		case t.texts != nil:
			room := textRoom.Get().(*[][]byte)
			*room, _ = t.texts.list(ev, (*room)[:0])
			for _, v := range *room {
				if then := t.texts.then[string(v)]; then != nil {
					dst = then.appendMatches(dst, ev)
				}
			}
			textRoom.Put(room)
		case t.net != nil:
			room := addrRoom.Get().(*[]netip.Addr)
			*room = t.net.list(ev, (*room)[:0])
			for _, a := range *room {
				for _, length := range t.net.lengths(a) {
					if then := t.net.in(a, length); then != nil {
						dst = then.appendMatches(dst, ev)
					}
				}
			}
			addrRoom.Put(room)
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
	sets     map[*ir.Texts]*textSet
	paths    map[*ir.Texts]*pathTree
	keys     map[ir.Expr]string
}

func newBuilder() *builder {
	return &builder{
		matchers: map[string]Matcher{},
		sets:     map[*ir.Texts]*textSet{},
		paths:    map[*ir.Texts]*pathTree{},
		keys:     map[ir.Expr]string{},
	}
}

// todos returns what there is to decide of every condition that an event of type t may
// satisfy.
func (b *builder) todos(conds []Condition, t event.Type) []todo {
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
	return todos
}

// alone returns what decides each of todos by itself.
func (b *builder) alone(todos []todo) []Single {
	alone := make([]Single, len(todos))
	for i, td := range todos {
		alone[i] = Single{allOf(b.each(td.conj, true)), int(td.cond)}
	}
	return alone
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

// minTable is how many conditions a table is made for.
const minTable = 3

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
		shared, most := b.mostShared(todos)
		by, rows := mostInTable(todos)
		switch {
		case rows >= minTable && rows >= most:
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

// maxGuard is what a guard may cost, in nanoseconds: it is asked of every event.
const maxGuard = 40

// mostShared returns what most todos require, and how many do.
func (b *builder) mostShared(todos []todo) (key string, most int) {
	count := map[string]int{}
	for _, td := range todos {
		for _, k := range td.keys {
			count[k]++
		}
	}
	most = 1
	for _, td := range todos {
		for i, x := range td.conj {
			if _, not := x.(*ir.Not); not {
				continue // it mostly holds, and spares nothing
			}
			if cost(x) > maxGuard {
				continue // what else a condition requires spares it, if asked first
			}
			if c := count[td.keys[i]]; c > most {
				key, most = td.keys[i], c
			}
		}
	}
	return key, most
}

// mostInTable returns the table that most todos can be put into, and how many can.
func mostInTable(todos []todo) (by column, most int) {
	count := map[column]int{}
	var order []column // so that the plan is always the same
	for _, td := range todos {
		seen := map[column]bool{}
		for _, x := range td.conj {
			c, ok := columnOf(x)
			if !ok || seen[c] {
				continue
			}
			seen[c] = true
			if count[c]++; count[c] == 1 {
				order = append(order, c)
			}
		}
	}
	for _, c := range order {
		if count[c] > most {
			by, most = c, count[c]
		}
	}
	return by, most
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

// decided is td after a table has looked at part of conjunct i: it does not go into
// another table.
func (td todo) decided(i int) todo {
	next := todo{td.cond, slices.Clone(td.conj), slices.Clone(td.keys)}
	next.conj[i] = &ir.And{X: []ir.Expr{td.conj[i]}}
	return next
}

func (td todo) without(i int) todo {
	return todo{
		td.cond,
		slices.Delete(slices.Clone(td.conj), i, i+1),
		slices.Delete(slices.Clone(td.keys), i, i+1),
	}
}

// table moves the todos that have an entry in a column into a table, and returns the
// others.
func (b *builder) table(n *node, todos []todo, by column) []todo {
	var out []todo
	rows := map[string][]todo{}
	var order []string
	for _, td := range todos {
		i := slices.IndexFunc(td.conj, func(x ir.Expr) bool {
			c, ok := columnOf(x)
			return ok && c == by
		})
		if i < 0 {
			out = append(out, td)
			continue
		}
		entries, whole := entriesOf(td.conj[i])
		rest := td.decided(i)
		if whole {
			rest = td.without(i)
		}
		seen := map[string]bool{}
		for _, s := range entries {
			if seen[s] {
				continue
			}
			seen[s] = true
			if rows[s] == nil {
				order = append(order, s)
			}
			rows[s] = append(rows[s], rest)
		}
	}
	then := make(map[string]*node, len(rows))
	for _, s := range order {
		then[s] = b.node(rows[s])
	}
	n.tables = append(n.tables, newTable(by, order, then))
	return out
}

// all returns the matcher of a conjunction.
func (b *builder) all(xs []ir.Expr) Matcher {
	if len(xs) == 1 {
		return b.matcher(xs[0])
	}
	return b.matcher(&ir.And{X: xs})
}

// cost estimates the time to decide x, in nanoseconds.
func cost(x ir.Expr) int {
	switch x := x.(type) {
	case *ir.And:
		return costs(x.X)
	case *ir.Or:
		return costs(x.X)
	case *ir.Not:
		return 1 + cost(x.X)
	case *ir.Exists:
		return termCost(x.Term)
	case *ir.Compare:
		n := termCost(x.Term)
		if x.Right != nil {
			return n + termCost(x.Right) + 5
		}
		each := 1
		switch x.Op {
		case ir.Contains:
			each = 10
		case ir.IContains:
			each = 40
		case ir.Glob, ir.IGlob:
			each = 20
		case ir.Regexp:
			each = 200
		case ir.PMatch:
			return n + 40
		}
		if x.Texts != nil {
			return n + each*min(x.Texts.Len(), 15)
		}
		return n + min(len(x.Ints)+2*len(x.Addrs)+3*len(x.Nets), 15)
	}
	return 0
}

func costs(xs []ir.Expr) int {
	n := 0
	for _, x := range xs {
		n += cost(x)
	}
	return n
}

func termCost(t *ir.Term) int {
	n := 3
	if t.Field != nil && strings.HasPrefix(t.Field.Name, "evt.arg") {
		n += 60 // a text that is put together
	}
	if t.Match != field.MatchOne {
		n += 25
	}
	if t.Func != ir.NoFunc {
		n += 20
	}
	for _, a := range t.Args {
		n += termCost(a)
	}
	for _, a := range t.Items {
		n += termCost(a)
	}
	return n
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
		return allOf(b.each(x.X, true))
	case *ir.Or:
		return anyOf(b.alternatives(x.X))
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

// each returns the matchers of xs, those first that decide the whole soonest: nothing that
// a condition asks has an effect, so the order is free. A comparison mostly fails, so its
// negation mostly holds: it rarely ends a conjunction, and often a disjunction.
func (b *builder) each(xs []ir.Expr, conjunction bool) []Matcher {
	const rarely = 6
	delay := func(x ir.Expr) int {
		n := cost(x)
		if _, not := x.(*ir.Not); not == conjunction {
			n *= rarely
		}
		return n
	}
	xs = slices.Clone(xs)
	slices.SortStableFunc(xs, func(x, y ir.Expr) int { return delay(x) - delay(y) })
	ms := make([]Matcher, len(xs))
	for i, x := range xs {
		ms[i] = b.matcher(x)
	}
	return ms
}

// alternatives returns matchers of which one must hold. Alternatives that look at how the
// same text begins, or ends, are decided in one pass.
func (b *builder) alternatives(xs []ir.Expr) []Matcher {
	group := func(x ir.Expr) (column, bool) {
		c, ok := columnOf(x)
		if ok && c.by == byText {
			c.by = byPrefix // the whole text is a prefix too
		}
		return c, ok && c.by != byNet && x.(*ir.Compare).Term.Match == field.MatchOne
	}
	count := map[column]int{}
	for _, x := range xs {
		if c, ok := group(x); ok {
			count[c]++
		}
	}
	var ms []Matcher
	var rest []ir.Expr
	done := map[column]bool{}
	for _, x := range xs {
		c, ok := group(x)
		switch {
		case !ok || count[c] < 2:
			rest = append(rest, x)
		case !done[c]:
			done[c] = true
			same := slices.DeleteFunc(slices.Clone(xs), func(y ir.Expr) bool {
				d, ok := group(y)
				return !ok || d != c
			})
			ms = append(ms, affixMatcher(c, same))
		}
	}
	return append(ms, b.each(rest, false)...)
}

func allOf(ms []Matcher) Matcher {
	switch len(ms) {
	case 1:
		return ms[0]
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
	case 1:
		return ms[0]
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
