package rules

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/field"
	"github.com/windhover/windhover/rules/check"
	"github.com/windhover/windhover/rules/ir"
	"github.com/windhover/windhover/rules/output"
	"github.com/windhover/windhover/rules/pushdown"
	"github.com/windhover/windhover/rules/syntax"
)

// Matching says how many rules an event may match.
type Matching string

const (
	// MatchAll reports every rule that an event satisfies.
	MatchAll Matching = "all"
	// MatchFirst reports the first one.
	MatchFirst Matching = "first"
)

// Options choose what is made of the files.
type Options struct {
	// MinPriority leaves out rules that matter less; nil: none.
	MinPriority *Priority
	// Matching is MatchAll if it is empty.
	Matching Matching
	// Select turns rules on and off after loading, one selector after the other.
	Select []Selector
	// Append adds to the outputs of rules.
	Append []AppendOutput
	// Sources are source types besides those that have fields of their own.
	Sources []string
	// Lookup finds fields; nil means field.Lookup. Tests of rules have their own.
	Lookup func(text, source string) (*field.Field, error)
}

// AppendOutput adds to the output of the rules that it is for: those of the source, with
// the name and with all of the tags that it names.
type AppendOutput struct {
	Source, Rule string
	Tags         []string
	Output       string       // text for the end of the output
	Suggested    bool         // the output also gets the fields that are worth having for the source
	Fields       []ExtraField // values that alerts carry besides those of the output
}

// ExtraField is a value that alerts carry under a key: a field as it is if Field is set,
// else a text in the format of outputs.
type ExtraField struct {
	Key, Format string
	Field       string
}

// text returns what a adds to the output of a rule for a source.
func (a *AppendOutput) text(source string) string {
	var parts []string
	if a.Output != "" {
		parts = append(parts, a.Output)
	}
	if a.Suggested {
		for _, f := range field.Table() {
			// One without a value would say <NA> in every alert.
			if f.Suggested && !f.Missing && f.In(source) {
				parts = append(parts, strings.ReplaceAll(f.Name, ".", "_")+"=%"+f.Name)
			}
		}
	}
	return strings.Join(parts, " ")
}

func (a *AppendOutput) matches(r *rule) bool {
	return (a.Source == "" || a.Source == r.source) && (a.Rule == "" || a.Rule == r.name) &&
		!slices.ContainsFunc(a.Tags, func(t string) bool { return !slices.Contains(r.tags, t) })
}

// Selector turns rules on or off by name or tag.
type Selector struct {
	Enable bool
	Rule   string // a name; * stands for any text
	Tag    string
}

func (s Selector) matches(r *Rule) bool {
	if s.Tag != "" {
		return slices.Contains(r.Tags, s.Tag)
	}
	return wildcard(s.Rule, r.Name)
}

// wildcard reports whether name is what pattern says.
func wildcard(pattern, name string) bool {
	first, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == name
	}
	name, ok := strings.CutPrefix(name, first)
	if !ok {
		return false
	}
	parts := strings.Split(rest, "*")
	for _, p := range parts[:len(parts)-1] {
		i := strings.Index(name, p)
		if i < 0 {
			return false
		}
		name = name[i+len(p):]
	}
	return strings.HasSuffix(name, parts[len(parts)-1])
}

// Compile makes a Set of the files, which are read one after the other: what a file
// defines, later ones may change. The Set is nil if the Report has errors.
func Compile(files []File, o Options) (*Set, *Report) {
	c, r := compileFiles(files, o)
	if !r.OK() {
		return nil, r
	}
	return newSet(c, files, c.options), r
}

// compileFiles reads and compiles the files one after the other, and returns the
// compiler of the state after the last.
func compileFiles(files []File, o Options) (*compiler, *Report) {
	return compileEach(files, o, false)
}

// compileEach is compileFiles; fresh says that everything is compiled again after each
// file, even if the file cannot have changed what it means.
func compileEach(files []File, o Options, fresh bool) (*compiler, *Report) {
	st := &state{broken: map[string]bool{}}
	if o.Lookup == nil {
		o.Lookup = field.Lookup
	}
	types := append(sourceTypes(), o.Sources...)
	r := &Report{}
	var last *compiler
	for _, f := range files {
		if f.Err != nil {
			r.Files = append(r.Files, unread(f))
			continue
		}
		col := collector{
			state: st, page: newPage(f), lookup: o.Lookup,
			sources: func(s string) bool { return slices.Contains(types, s) },
		}
		col.read()
		// The state after each file must mean something, not just that after the last.
		if last == nil || fresh || !last.continues(len(col.errors) > 0) {
			last = newCompiler(st, o)
			last.more = len(files) > 1 && !fresh
		}
		last.run(len(col.errors) > 0)
		fr := FileReport{Name: f.Name, Errors: append(col.errors, last.errors...), Warnings: col.warnings}
		if len(col.errors) == 0 {
			fr.Warnings = append(fr.Warnings, last.warnings...)
		}
		r.Files = append(r.Files, fr)
	}
	if last == nil {
		last = newCompiler(st, o)
	}
	return last, r
}

// unread is the report of a file that cannot be read. It has no lines to point at.
func unread(f File) FileReport {
	return FileReport{Name: f.Name, Errors: []Problem{{
		Code: ErrFileRead, Msg: fmt.Sprintf("read file: %v", f.Err), File: f.Name,
		Locations: []Location{{ItemType: itemContent, Position: Position{Name: f.Name}}},
	}}}
}

// compiler makes rules of the state after one file.
type compiler struct {
	state   *state
	options Options

	usedLists  map[*list]bool
	expansions []expansion
	markLists  []*check.List
	macros     map[string]*check.Macro
	macroTexts map[string]located
	checkers   map[string]*check.Checker
	byName     map[string]int // positions in expansions
	odd        bool           // names of lists have delimiters in them
	looked     int            // names that were looked at for hints
	written    int            // bytes of lists that were written out
	size       int            // comparisons of all rules
	inherited  int            // items that lists have from other lists
	usedMacros map[string]bool

	// What has been compiled. Another file may add to it, if nothing in it has changed
	// and the new names are not among its words.
	more                   bool // there may be another file
	lists, known, compiled int  // how many lists, macros and rules
	revisions              int  // of the state
	words                  map[string]bool
	kept                   problems // warnings about rules
	failed                 bool

	rules    []*Rule
	exprs    []ir.Expr
	read     []readRule // what rules and exprs were made of
	errors   problems
	warnings problems
}

// readRule is a rule as it was read.
type readRule struct {
	rule *rule
	tree syntax.Expr
	text located // that the tree was read from
}

func newCompiler(st *state, o Options) *compiler {
	return &compiler{
		state: st, options: o,
		usedLists:  map[*list]bool{},
		macros:     map[string]*check.Macro{},
		macroTexts: map[string]located{},
		checkers:   map[string]*check.Checker{},
		byName:     map[string]int{},
		usedMacros: map[string]bool{},
		words:      map[string]bool{},
	}
}

// continues reports whether what a further file adds to the state can be compiled by
// itself: it changed nothing that was there, and gave no meaning to words that are used.
func (c *compiler) continues(incomplete bool) bool {
	if incomplete || c.failed || !c.more || c.revisions != c.state.revisions || c.odd {
		return false
	}
	for _, l := range c.state.lists.order[c.lists:] {
		if c.words[l.name] || isOdd(l.name) {
			return false
		}
	}
	for _, m := range c.state.macros.order[c.known:] {
		if c.words[m.name] {
			return false
		}
	}
	return true
}

// note remembers the words of a text that lists or macros may give a meaning to.
func (c *compiler) note(text string) {
	if !c.more {
		return
	}
	for _, edge := range []func(r rune) bool{
		func(r rune) bool { return r < 0x80 && isListEdge(byte(r)) },
		func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) },
	} {
		for w := range strings.FieldsFuncSeq(text, edge) {
			c.words[w] = true
		}
	}
}

// run compiles everything that is not compiled yet. If items could not be read, what they would have defined is
// not missed.
func (c *compiler) run(incomplete bool) {
	defer func() { c.failed = incomplete || len(c.errors) > 0 }()
	c.warnings, c.revisions = slices.Clip(c.kept), c.state.revisions
	c.expandLists()
	for _, m := range c.state.macros.order[c.known:] {
		c.note(m.condition.s)
		x, text := c.parse(m.condition, m.conditionContext)
		c.macros[m.name] = &check.Macro{Expr: x, Index: m.index, Visibility: m.visibility, Broken: x == nil}
		c.macroTexts[m.name] = text
		macroNames(x, c.usedMacros)
	}
	c.known = len(c.state.macros.order)
	for broken := range c.state.broken {
		if name, ok := strings.CutPrefix(broken, "macro "); ok && c.macros[name] == nil {
			c.macros[name] = &check.Macro{Broken: true}
		}
	}
	c.macroLoops()
	for _, r := range c.state.rules.order[c.compiled:] {
		switch {
		case c.errors.full() || c.size > maxComparisons:
			return
		case r.known:
			c.rule(r)
		case r.sourceUnread && r.conditionContext != nil:
			// The fields are not known, but the words are.
			c.parse(r.withExceptions(), r.conditionContext)
		}
	}
	c.compiled, c.kept = len(c.state.rules.order), c.warnings
	c.incompleteSequences()
	if !incomplete {
		c.checkPlugins()
	}
	if incomplete || len(c.errors) > 0 {
		return
	}
	for _, m := range c.state.macros.order {
		if !c.usedMacros[m.name] {
			c.warnings.add(m.context.problem(WarnUnusedMacro, "no rule or macro uses macro %q", m.name))
		}
	}
	for _, l := range c.state.lists.order {
		if !c.usedLists[l] {
			c.warnings.add(l.context.problem(WarnUnusedList, "no rule, macro or list uses list %q", l.name))
		}
	}
}

// macroNames adds the macros that x names to used.
func macroNames(x syntax.Expr, used map[string]bool) {
	switch x := x.(type) {
	case *syntax.And:
		for _, x := range x.X {
			macroNames(x, used)
		}
	case *syntax.Or:
		for _, x := range x.X {
			macroNames(x, used)
		}
	case *syntax.Not:
		macroNames(x.X, used)
	case *syntax.Macro:
		used[x.Name] = true
	}
}

// macroLoops reports macros that refer to unknown or later macros, or to themselves,
// even if no rule uses them.
func (c *compiler) macroLoops() {
	loops := c.loops()
	var names []string
	for _, m := range c.state.macros.order {
		this := c.macros[m.name]
		if this.Expr == nil {
			continue
		}
		for _, use := range macroUses(this.Expr, nil) {
			if c.errors.full() {
				return
			}
			other := c.macros[use.Name]
			var msg, hint string
			switch {
			case other == nil:
				if names == nil {
					names = c.names()
				}
				msg, hint = fmt.Sprintf("no macro %q", use.Name), c.nearest(use.Name, names)
			case other.Broken:
				continue
			case other.Index >= this.Visibility:
				msg = fmt.Sprintf("macro %q is defined after macro %q, which therefore does not see it", use.Name, m.name)
			case loops[m.name] != 0 && loops[m.name] == loops[use.Name]:
				msg = fmt.Sprintf("macro %q refers to itself by way of %q", m.name, use.Name)
			default:
				continue
			}
			text := c.macroTexts[m.name]
			p := m.conditionContext.textProblem(ErrValidate, text, use.Span, msg, hint)
			p.Locations = append(p.Locations, m.conditionContext.conditionContext(text.s, use.Start))
			c.errors.add(p)
			this.Broken = true
		}
	}
}

func (c *compiler) names() []string {
	names := make([]string, 0, len(c.state.macros.order))
	for _, m := range c.state.macros.order {
		names = append(names, m.name)
	}
	return names
}

// maxNearest is how many names are looked at to find what names were meant to be: it
// takes longer than to read them.
const maxNearest = 100_000

// nearest returns a hint at the name that was probably meant, or nothing.
func (c *compiler) nearest(name string, names []string) string {
	if c.looked += len(names); c.looked > maxNearest+len(names) {
		return ""
	}
	return didYouMean(name, names)
}

func macroUses(x syntax.Expr, dst []*syntax.Macro) []*syntax.Macro {
	switch x := x.(type) {
	case *syntax.And:
		for _, x := range x.X {
			dst = macroUses(x, dst)
		}
	case *syntax.Or:
		for _, x := range x.X {
			dst = macroUses(x, dst)
		}
	case *syntax.Not:
		return macroUses(x.X, dst)
	case *syntax.Macro:
		return append(dst, x)
	}
	return dst
}

// loops returns the number of the loop that each macro is in, for those that are in one:
// two macros have the same number if each refers to the other, by way of others perhaps.
// It takes each macro once (Tarjan's strongly connected components).
func (c *compiler) loops() map[string]int {
	type visit struct {
		number, low int
		at          int // in open
		open        bool
	}
	visits := map[string]*visit{}
	loops := map[string]int{}
	var open []string
	var walk func(name string) *visit
	walk = func(name string) *visit {
		v := &visit{number: len(visits) + 1, at: len(open), open: true}
		v.low = v.number
		visits[name] = v
		open = append(open, name)
		self := false
		for _, use := range macroUses(c.macros[name].Expr, nil) {
			other := c.macros[use.Name]
			if other == nil || other.Expr == nil {
				continue
			}
			self = self || use.Name == name
			if w := visits[use.Name]; w == nil {
				v.low = min(v.low, walk(use.Name).low)
			} else if w.open {
				v.low = min(v.low, w.number)
			}
		}
		if v.low < v.number {
			return v
		}
		for _, n := range open[v.at:] {
			visits[n].open = false
			if self || len(open)-v.at > 1 {
				loops[n] = v.number
			}
		}
		open = open[:v.at]
		return v
	}
	for _, m := range c.state.macros.order {
		if c.macros[m.name].Expr != nil && visits[m.name] == nil {
			walk(m.name)
		}
	}
	return loops
}

// parse reads a condition with its lists in place and returns it with the text that it
// was read from; nil if it has errors, which are reported.
func (c *compiler) parse(t located, at *context) (syntax.Expr, located) {
	if i := strings.IndexByte(t.s, 0); i >= 0 {
		c.errors.add(at.textProblem(ErrCompileCondition, t, syntax.Span{Start: i, End: i + 1}, "a condition cannot hold a NUL byte", ""))
		return nil, t
	}
	text := c.expand(t, true)
	x, errs := syntax.ParseAll(text.s)
	if len(errs) == 0 {
		return x, text
	}
	if strings.Contains(text.s, "\x00") {
		if text = c.expand(t, false); c.written > maxWritten {
			p := at.problem(ErrCompileCondition, "the lists of all conditions are larger than %d MiB written out", maxWritten>>20)
			p.Hint = "items that are not single words are read for each condition anew"
			c.errors.add(p)
			return nil, t
		}
		if x, errs = syntax.ParseAll(text.s); len(errs) == 0 {
			return x, text
		}
	}
	for _, err := range errs {
		p := at.textProblem(ErrCompileCondition, text, err.Span, err.Msg, "")
		if name, ok := text.replaced(err.Start); ok {
			p.Msg += fmt.Sprintf(" in the text that stands for list %q", name)
		}
		if len(err.Known) > 0 && !slices.Contains(err.Known, err.Word) {
			p.Hint = didYouMean(err.Word, err.Known)
		}
		p.Locations = append(p.Locations, at.conditionContext(text.s, err.Start))
		c.errors.add(p)
	}
	return nil, text
}

func (c *compiler) checker(source string) *check.Checker {
	ch := c.checkers[source]
	if ch == nil {
		ch = &check.Checker{Source: source, Lookup: c.options.Lookup, Macros: c.macros, Lists: c.markLists}
		c.checkers[source] = ch
	}
	ch.Lists = c.markLists
	return ch
}

// problemCodes are the codes of what package check reports.
var problemCodes = map[check.Kind]Code{
	check.Invalid: ErrCompileCondition, check.Unknown: ErrCompileCondition, check.UndefinedMacro: ErrValidate,
	check.Suspicious: WarnCondition, check.UnsafeNA: WarnUnsafeNA, check.Obsolete: WarnDeprecated, check.Undelivered: WarnExtension,
}

// rule compiles one rule.
func (c *compiler) rule(r *rule) {
	tmpl, ok := c.output(r)
	if !ok {
		return
	}
	if r.sequence != nil && !c.members(r) || r.sequence == nil && r.conditionContext == nil {
		return // what is wrong was said
	}
	r = c.withCondition(r)
	extra := c.extra(r)
	condition := r.withExceptions()
	c.note(condition.s)
	x, text := c.parse(condition, r.conditionContext)
	macroNames(x, c.usedMacros)
	if x == nil {
		return
	}
	expr, problems, size := c.checker(r.source).Check(x)
	if c.size += size; c.size > maxComparisons {
		c.errors.add(r.context.problem(ErrCompileCondition, "with their macros written out the rules up to this one have more than %d comparisons", maxComparisons))
		return
	}
	var errors, warnings []Problem
	unknown := -1
	for _, p := range problems {
		at, src := r.conditionContext, text
		if p.Macro != "" {
			m := c.state.macros.byName[p.Macro]
			at, src = m.conditionContext, c.macroTexts[p.Macro]
		}
		q := at.textProblem(problemCodes[p.Kind], src, p.Span, p.Msg, p.Hint)
		q.Field = p.Field
		q.Item, q.Name = "rule", r.name
		q.Locations = append(r.conditionContext.locations(), r.conditionContext.conditionContext(src.s, p.Whole.Start))
		if p.Macro != "" && !p.Kind.Warning() {
			q.Msg += fmt.Sprintf(" (in macro %q, used by rule %q)", p.Macro, r.name)
		}
		if p.Kind.Warning() {
			warnings = append(warnings, q)
			continue
		}
		if p.Kind == check.Unknown && unknown < 0 {
			unknown = len(errors)
		}
		errors = append(errors, q)
	}
	if r.skipUnknown && unknown >= 0 {
		p := errors[unknown]
		p.Code = WarnUnknownFilter
		p.Msg += ": the rule is left out"
		c.warnings.add(p)
		return
	}
	for _, p := range warnings {
		c.warnings.add(p)
	}
	for _, p := range errors {
		c.errors.add(p)
	}
	if expr == nil || tmpl == nil {
		return
	}
	c.add(r, expr, tmpl, text)
	added := c.rules[len(c.rules)-1]
	for _, f := range added.By() {
		extra = append(extra, Extra{Key: f.String(), Field: f})
	}
	added.Extra = extra
	c.read = append(c.read, readRule{r, x, text})
}

// output compiles the output of a rule. The template is nil if it has errors; ok is
// false if the rule is left out.
func (c *compiler) output(r *rule) (t *output.Template, ok bool) {
	if r.outputContext == nil {
		return nil, true // what is wrong was said
	}
	text := r.output
	if i := strings.Index(text.s, "%container.info"); i >= 0 {
		p := r.outputContext.textProblem(WarnDeprecated, text, syntax.Span{Start: i, End: i + len("%container.info")},
			"%container.info is deprecated: it is left out", "name the fields, such as %container.id")
		p.Item, p.Name, p.Field = "rule", r.name, "container.info"
		c.warnings.add(p)
		var b textBuilder
		b.add(text.slice(0, i))
		b.add(text.slice(i+len("%container.info"), len(text.s)))
		text = b.text()
	}
	for i := range c.options.Append {
		if a := &c.options.Append[i]; a.matches(r) {
			if more := a.text(r.source); more != "" {
				text = text.join(" ", located{s: more})
			}
		}
	}
	t, problems := output.ParseWith(text.s, r.source, c.options.Lookup)
	for _, p := range problems {
		q := r.outputContext.textProblem(ErrCompileOutput, text, syntax.Span{Start: p.Offset, End: p.Offset + p.Len}, p.Msg, p.Hint)
		q.Item, q.Name = "rule", r.name
		if r.skipUnknown {
			q.Code = WarnUnknownFilter
			q.Msg += ": the rule is left out"
			c.warnings.add(q)
			return nil, false
		}
		c.errors.add(q)
	}
	if len(problems) > 0 {
		return nil, true
	}
	for _, name := range check.DeprecatedFields {
		if i := strings.Index(text.s, name); i >= 0 {
			p := r.outputContext.textProblem(WarnDeprecated, text, syntax.Span{Start: i, End: i + len(name)},
				fmt.Sprintf("field %s is deprecated: it has no value", name), "")
			p.Item, p.Name, p.Field = "rule", r.name, name
			c.warnings.add(p)
		}
	}
	for _, f := range t.Fields() {
		if f.Missing && !slices.Contains(check.DeprecatedFields, f.Name) {
			p := r.outputContext.problem(WarnExtension, "no source delivers field %s yet: it prints as <NA>", f.Name)
			p.Item, p.Name, p.Field = "rule", r.name, f.Name
			c.warnings.add(p)
		}
	}
	return t, true
}

// extra compiles what options add to the alerts of a rule besides its output.
func (c *compiler) extra(r *rule) []Extra {
	var out []Extra
	for i := range c.options.Append {
		a := &c.options.Append[i]
		if !a.matches(r) || r.outputContext == nil {
			continue
		}
		for _, f := range a.Fields {
			e := Extra{Key: f.Key}
			format := f.Format
			if f.Field != "" {
				format, e.Key = "%"+f.Field, f.Field
			}
			t, problems := output.ParseWith(format, r.source, c.options.Lookup)
			for _, p := range problems {
				q := r.outputContext.problem(ErrCompileOutput, "output that is appended: %s", p.Msg)
				q.Hint, q.Item, q.Name = p.Hint, "rule", r.name
				c.errors.add(q)
			}
			if len(problems) > 0 {
				continue
			}
			if e.Template = t; f.Field != "" && len(t.Fields()) == 1 {
				e.Field = t.Fields()[0]
			}
			out = append(out, e)
		}
	}
	return out
}

// visible are the types of events that rules can see.
var visible = func() event.TypeSet {
	s := event.AllTypes()
	return s.Intersect(event.TypesOf(event.Unknown, event.Proc, event.PluginEvent).Complement())
}()

// maxEventCodes is how many event codes a rule may name before it counts as one that
// names none.
const maxEventCodes = 100

// maxComparisons is how many comparisons all conditions have at most, with their macros
// written out.
const maxComparisons = 100_000

// add completes the rule.
func (c *compiler) add(r *rule, x ir.Expr, t *output.Template, text located) {
	types := event.TypesOf(event.PluginEvent)
	if r.source == field.Syscall {
		types = pushdown.Types(x).Intersect(visible)
		if codes := pushdown.Codes(x); r.warnTypes && (codes == 0 || codes > maxEventCodes) {
			p := r.conditionContext.problem(WarnNoEventType, "the rule names no event types, so it needs every event: that costs much")
			p.Hint = "start the condition with evt.type in (...)"
			p.Width = 1
			c.warnings.add(p)
		}
	}
	out := &Rule{
		Name: r.name, Desc: r.desc.s, Source: r.source, Priority: r.priority, Tags: r.tags, Output: t, Types: types,
		Condition: r.condition.s, Enabled: r.enabled, File: r.context.page.name, Line: r.context.node.Line,
		Capture: r.capture, CaptureDuration: r.captureDuration,
		Index:     len(c.rules),
		Threshold: r.threshold, Sequence: r.sequence,
	}
	h := sha256.New()
	for _, s := range []string{r.name, r.source, r.priority.String(), text.s, r.output.s} {
		h.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(s))))
		h.Write([]byte(s))
	}
	h.Write(r.appendHash(nil))
	out.Hash = hex.EncodeToString(h.Sum(nil)[:8])
	c.rules = append(c.rules, out)
	c.exprs = append(c.exprs, x)
}
