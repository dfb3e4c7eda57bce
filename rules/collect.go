package rules

import (
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/windhover/windhover/internal/field"
)

// state is what the files read so far define. Items are kept in the order of their
// first definition.
type state struct {
	clock     int // counts definitions
	revisions int // of what was defined before
	lists     table[*list]
	macros    table[*macro]
	rules     table[*rule]
	engine    version // the highest that was required
	plugins   []pluginRequirement
	broken    map[string]bool // names of items that could not be read
	copied    int             // bytes that were copied to append to them
}

// table holds items by name and in order.
type table[T any] struct {
	order  []T
	byName map[string]T
}

func (t *table[T]) add(name string, v T) {
	if t.byName == nil {
		t.byName = map[string]T{}
	}
	t.byName[name] = v
	t.order = append(t.order, v)
}

// entity is what lists, macros and rules have in common. Index is when it was first
// defined; visibility, when it was last changed.
type entity struct {
	name              string
	index, visibility int
	context           *context
}

type list struct {
	entity
	items []string
}

type macro struct {
	entity
	condition        located
	conditionContext *context
}

type rule struct {
	entity
	condition, output, desc located
	conditionContext        *context // nil: there is no condition, or none that could be read
	outputContext           *context // nil: there is no output that could be read
	sourceUnread            bool     // the key is there, but says nothing that can be used
	priority                Priority
	source                  string
	known                   bool // the source type is
	tags                    []string
	enabled                 bool
	warnTypes               bool
	skipUnknown             bool
	capture                 bool
	captureDuration         uint32
	exceptions              []*exception
	counted
}

// collector reads one file into the state.
type collector struct {
	*state
	page     *page
	sources  func(string) bool
	lookup   func(text, source string) (*field.Field, error)
	errors   problems
	warnings problems
}

func (c *collector) warn(p Problem) { c.warnings.add(p) }

// kinds are the kinds of items in the order in which the first key is looked for.
var kinds = []struct {
	key   string
	known []string
	read  func(*collector, *context, *yaml.Node)
}{
	{"required_engine_version", nil, (*collector).engineVersion},
	{"required_plugin_versions", nil, (*collector).pluginVersions},
	{"list", []string{"items", "append", "override"}, (*collector).list},
	{"macro", []string{"condition", "append", "override"}, (*collector).macro},
	{"rule", []string{
		"condition", "output", "desc", "priority", "source", "enabled", "capture", "capture_duration",
		"warn_evttypes", "skip-if-unknown-filter", "tags", "exceptions", "override", "append", "threshold", "sequence",
	}, (*collector).rule},
}

// read reads the documents of the page, and all their items whatever is wrong with some.
func (c *collector) read() {
	root := &context{itemType: itemContent, page: c.page}
	docs, err := c.page.documents()
	if err != nil {
		p := root.problem(ErrYAMLParse, "%s", err.msg)
		p.Line = min(max(err.line, 1), len(c.page.lines)) // the end of the file may be a line too far
		p.Excerpt = c.page.line(p.Line)
		p.Width = max(len(strings.TrimSpace(p.Excerpt)), 1)
		p.Column = len(p.Excerpt) - len(strings.TrimLeft(p.Excerpt, " \t")) + 1
		c.errors.add(p)
		return
	}
	for _, doc := range docs {
		n := doc
		if n.Kind == yaml.DocumentNode {
			if len(n.Content) == 0 {
				continue
			}
			n = resolve(n.Content[0])
		}
		switch {
		case n.Kind == 0 || isNull(n):
			continue
		case n.Kind == yaml.ScalarNode:
			c.errors.add(root.problem(ErrYAMLValidate, "the document is text, not a list of rules, macros and lists"))
			continue
		case n.Kind != yaml.SequenceNode:
			c.errors.add(root.problem(ErrYAMLValidate, "the document is a mapping, not a list of rules, macros and lists: start each with \"- \""))
			continue
		}
		for _, item := range n.Content {
			if c.errors.full() {
				return
			}
			c.item(root, resolve(item))
		}
	}
}

// item reads one item. What is wrong with it ends the item, not the file.
func (c *collector) item(root *context, n *yaml.Node) {
	if isNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		at := root.in("rules content item", "", n)
		c.errors.add(at.problem(ErrYAMLValidate, "an item is a mapping, not %s", kindName(n)))
		return
	}
	for _, k := range kinds {
		value := get(n, k.key)
		if value == nil {
			continue
		}
		at := root.in(strings.ReplaceAll(k.key, "required_plugin_versions", "required plugin versions"), "", n)
		if !c.try(func() {
			k.read(c, at, n)
			c.unknownKeys(at, n, k.key, k.known)
		}) {
			c.broken[k.key+" "+value.Value] = true
		}
		return
	}
	c.warn(root.in("rules content item", "", n).problem(WarnUnknownItem,
		"the item is none of list, macro, rule, required_engine_version and required_plugin_versions: it is ignored"))
}

// try runs f, which an error may end, and reports whether none did.
func (c *collector) try(f func()) (ok bool) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case stop:
			c.errors.add(r.p)
			ok = false
		case ended:
			ok = false
		default:
			panic(r)
		}
	}()
	f()
	return true
}

func (c *collector) unknownKeys(at *context, n *yaml.Node, kind string, known []string) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := resolve(n.Content[i])
		if key.Value == kind || slices.Contains(known, key.Value) {
			continue
		}
		if c.warnings.full() {
			return
		}
		p := at.in("value for", key.Value, n.Content[i]).problem(WarnUnknownKey, "unknown key %q: it is ignored", key.Value)
		p.Hint = didYouMean(key.Value, known)
		c.warn(p)
	}
}

// maxCopied is how many bytes may be copied to append to items: what is appended often to
// something long takes long.
const maxCopied = 10 << 20

// copies counts n things of a size that are copied to append to an item.
func (c *collector) copies(at *context, n, size int) {
	if c.copied += n * size; c.copied > maxCopied {
		kind, name := at.item()
		at.fail(ErrValidate, "too much is appended to %s %q: write it as one", kind, name)
	}
}

func (c *collector) tick() int {
	c.clock++
	return c.clock
}

// appends reads the key append and warns about it; ok is false if it is wrong, which was
// reported.
func (c *collector) appends(at *context, n *yaml.Node) (on, ok bool) {
	if ok = c.try(func() { on, _ = at.bool(n, "append") }); !ok {
		v := get(n, "condition")
		return v != nil && continues(v.Value), false
	}
	if !on {
		return false, true
	}
	k, _ := entry(n, "append")
	p := at.in("value for", "append", k).problem(WarnDeprecated, "key \"append\" is deprecated")
	p.Hint = "say append for each key under override instead"
	c.warn(p)
	if get(n, "override") != nil {
		p := at.problem(ErrYAMLValidate, "keys \"append\" and \"override\" exclude each other")
		p.Hint = "say append for each key under override"
		c.errors.add(p)
		return true, false
	}
	return true, true
}

func (c *collector) list(at *context, n *yaml.Node) {
	at.itemName = at.scalar(n, "list").Value
	if !isListName(at.itemName) {
		c.warn(at.problem(WarnInvalidListName, "name %q of a list has a quote, a parenthesis, a comma, an equal sign or a blank in it", at.itemName))
	}
	var items []string
	read := c.try(func() {
		nodes, ok := at.texts(n, "items", "list item")
		if !ok {
			at.fail(ErrYAMLValidate, "key \"items\" is missing")
		}
		items = c.page.items(get(n, "items"), nodes)
	})
	add, ok := c.changes(at, n, "items")
	l, exists := c.lists.byName[at.itemName]
	if add && !exists {
		at.fail(ErrValidate, "list %q cannot be appended to: there is none before", at.itemName)
	}
	if !read || !ok {
		panic(ended{})
	}
	now := c.tick()
	if exists {
		c.revisions++
	} else {
		l = &list{entity: entity{name: at.itemName, index: now}}
		c.lists.add(at.itemName, l)
	}
	l.visibility = now
	if !add {
		l.items, l.context = nil, at
	}
	l.items = append(l.items, items...)
	delete(c.broken, "list "+at.itemName)
}

func isListName(s string) bool { return !strings.ContainsAny(s, "()\"' \t\r\n\v\f=,") }

func isMacroName(s string) bool {
	letters := 0
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
			letters++
		case i > 0 && letters > 0 && (c >= '0' && c <= '9' || c == '_'):
		default:
			return false
		}
	}
	return letters > 0
}

func (c *collector) macro(at *context, n *yaml.Node) {
	at.itemName = at.scalar(n, "macro").Value
	if !isMacroName(at.itemName) {
		c.warn(at.problem(WarnInvalidMacroName, "name %q of a macro is not letters, then letters, digits and underscores: conditions cannot use it", at.itemName))
	}
	var node *yaml.Node
	read := c.try(func() { node = at.scalar(n, "condition") })
	add, ok := c.changes(at, n, "condition")
	m, exists := c.macros.byName[at.itemName]
	if add && !exists {
		if read {
			c.stray(at, node, verbAppend)
		}
		at.fail(ErrValidate, "macro %q cannot be appended to: there is none before", at.itemName)
	}
	if !read {
		panic(ended{})
	}
	now := c.tick()
	if exists {
		c.revisions++
	} else {
		m = &macro{entity: entity{name: at.itemName, index: now}}
		c.macros.add(at.itemName, m)
	}
	m.visibility = now
	text := scalarText(c.page, node)
	if add {
		c.copies(at, 1, len(m.condition.s))
		c.copies(at, len(m.condition.parts), partSize)
		m.condition = m.condition.join(" ", text)
	} else {
		m.condition, m.context = text, at
		m.conditionContext = at.in("macro condition", "", node)
	}
	if !ok {
		panic(ended{})
	}
	delete(c.broken, "macro "+at.itemName)
}

// changes reads what a list or a macro says about an earlier one of its name: whether it
// is appended to. What is wrong with that was reported if ok is false.
func (c *collector) changes(at *context, n *yaml.Node, key string) (add, ok bool) {
	add, ok = c.appends(at, n)
	if get(n, "append") != nil && !ok {
		return add, false
	}
	o, fine := c.overrides(at, n, []string{key}, []string{key})
	return add || o[key] == verbAppend, ok && fine
}

// stray keeps a condition that changes an item that is not there, so that its words are
// checked.
func (c *collector) stray(at *context, node *yaml.Node, v verb) {
	t, in := scalarText(c.page, node), at.in("condition", "", node)
	if v == verbAppend {
		t = t.after("evt.num=0 ")
	}
	c.rules.order = append(c.rules.order, &rule{entity: entity{context: at}, condition: t, conditionContext: in, sourceUnread: true})
}

var (
	appendable  = []string{"condition", "output", "desc", "tags", "exceptions"}
	replaceable = []string{
		"condition", "output", "desc", "priority", "capture", "capture_duration", "tags",
		"exceptions", "enabled", "warn_evttypes", "skip-if-unknown-filter", "threshold", "sequence",
	}
)

func (c *collector) rule(at *context, n *yaml.Node) {
	named := c.try(func() { at.itemName = at.scalar(n, "rule").Value })
	r, exists := c.rules.byName[at.itemName]
	adding, ok := c.appends(at, n)
	overrides := map[string]verb(nil)
	if !adding && ok {
		overrides, ok = c.overrides(at, n, appendable, replaceable)
	}
	switch {
	case !named && (adding || overrides != nil):
		panic(ended{}) // what is changed is not known
	case adding:
		overrides = map[string]verb{"condition": verbAppend, "exceptions": verbAppend}
		c.strayRule(at, n, exists, overrides)
		if !exists {
			at.fail(ErrValidate, "rule %q cannot be appended to: there is none before", at.itemName)
		}
		if get(n, "condition") == nil && get(n, "exceptions") == nil {
			at.fail(ErrValidate, "what is appended to a rule has a condition or exceptions")
		}
		c.change(at, n, r, overrides)
	case overrides != nil:
		c.strayRule(at, n, exists, overrides)
		if !exists {
			at.fail(ErrValidate, "rule %q cannot be overridden: there is none before", at.itemName)
		}
		c.change(at, n, r, overrides)
	case get(n, "condition") == nil && get(n, "output") == nil && get(n, "desc") == nil && get(n, "priority") == nil:
		enabled, ok := at.bool(n, "enabled")
		if !ok {
			at.fail(ErrYAMLValidate, "keys \"condition\", \"output\", \"desc\" and \"priority\" are missing; and there is no \"enabled\" to turn an earlier rule on or off")
		}
		p := at.problem(WarnDeprecated, "a rule with nothing but \"enabled\" is deprecated")
		p.Hint = "add \"override: {enabled: replace}\""
		c.warn(p)
		if !exists {
			at.fail(ErrValidate, "rule %q cannot be turned on or off: there is none before", at.itemName)
		}
		r.enabled = enabled
		c.revisions++
	default:
		c.define(at, n)
	}
	if !ok {
		panic(ended{})
	}
	delete(c.broken, "rule "+at.itemName)
}

// strayRule keeps what a change of a rule that is not there says of its condition.
func (c *collector) strayRule(at *context, n *yaml.Node, exists bool, verbs map[string]verb) {
	if v := get(n, "condition"); !exists && v != nil && v.Kind == yaml.ScalarNode && v.Value != "" && !isNull(v) && verbs["condition"] != "" {
		c.stray(at, v, verbs["condition"])
	}
}

// define reads the full definition of a rule.
func (c *collector) define(at *context, n *yaml.Node) {
	r := &rule{entity: entity{name: at.itemName, context: at}, source: "syscall", enabled: true, warnTypes: true}
	old, exists := c.rules.byName[at.itemName]
	// What is wrong with one key does not keep the others from being checked.
	var missing []string
	for _, k := range []struct {
		key  string
		read func(*yaml.Node)
	}{
		{"condition", func(v *yaml.Node) {
			r.condition, r.conditionContext = scalarText(c.page, v), at.in("rule condition", "", v)
		}},
		{"output", func(v *yaml.Node) {
			r.output, r.outputContext = scalarText(c.page, v).trim(), at.in("rule output", "", v)
		}},
		{"desc", func(v *yaml.Node) { r.desc = scalarText(c.page, v) }},
		{"priority", func(v *yaml.Node) { r.priority = at.priority(v) }},
	} {
		v := get(n, k.key)
		switch {
		case v != nil:
			c.try(func() { k.read(at.scalarOf(v, k.key)) })
		case k.key == "condition" && get(n, "sequence") != nil: // a sequence is a condition
		default:
			if len(missing) == 0 {
				missing = c.missing(at, n, exists)
			}
		}
	}
	if len(missing) > 0 && (exists || get(n, "override") != nil) {
		panic(ended{}) // it is probably meant to change the earlier rule
	}
	given := false
	if s := get(n, "source"); s != nil {
		r.sourceUnread, given = !c.try(func() { r.source = at.scalarOf(s, "source").Value }), true
	}
	r.known = !r.sourceUnread && c.sources(r.source)
	c.attributes(at, n, r, func(string) bool { return true })
	c.try(func() { c.counting(at, n, r, func(string) bool { return true }) })
	c.try(func() {
		if list, ok := at.texts(n, "tags", "value for"); ok {
			r.tags = tagSet(nil, list)
		}
	})
	if exists && !old.sourceUnread && !r.sourceUnread && old.source != r.source {
		p := at.problem(ErrValidate, "rule %q has source %q, and is defined again with source %q", at.itemName, old.source, r.source)
		if !given {
			p.Hint = "say source: " + old.source
		}
		c.errors.add(p)
		r.known, r.sourceUnread = false, true
	}
	c.try(func() { r.exceptions = c.exceptions(at, n, r) })
	if !r.known && !r.sourceUnread {
		p := at.problem(WarnUnknownSource, "no source %q: the rule is left out", r.source)
		p.Hint = didYouMean(r.source, sourceTypes())
		c.warn(p)
	}
	now := c.tick()
	r.index, r.visibility = now, now
	if exists {
		c.revisions++
		r.index = old.index
		*old = *r
		return
	}
	if at.itemName == "" {
		c.rules.order = append(c.rules.order, r) // to be checked; the name could not be read
		return
	}
	c.rules.add(at.itemName, r)
}

// missing reports the required keys that a rule lacks, as one error, and returns them.
func (c *collector) missing(at *context, n *yaml.Node, exists bool) []string {
	var keys []string
	for _, key := range []string{"condition", "output", "desc", "priority"} {
		if get(n, key) == nil && (key != "condition" || get(n, "sequence") == nil) {
			keys = append(keys, key)
		}
	}
	msg := "key %s is missing"
	if len(keys) > 1 {
		msg = "keys %s are missing"
	}
	p := at.problem(ErrYAMLValidate, msg, quotedList(keys))
	switch {
	case get(n, "override") != nil:
		p.Hint = "key \"override\" takes a mapping, such as {condition: append}"
	case exists:
		p.Hint = "to change the earlier rule, say under override what is done with each key"
	}
	c.errors.add(p)
	return keys
}

// quotedList writes words for a sentence.
func quotedList(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = strconv.Quote(w)
	}
	last := len(quoted) - 1
	if last == 0 {
		return quoted[0]
	}
	return strings.Join(quoted[:last], ", ") + " and " + quoted[last]
}

// priority returns the priority that a node names.
func (c *context) priority(node *yaml.Node) Priority {
	p, ok := ParsePriority(node.Value)
	if !ok {
		words := make([]string, len(priorityNames))
		for i, w := range priorityNames {
			words[i] = strings.ToLower(w)
		}
		hint := didYouMean(strings.ToLower(node.Value), words)
		if hint == "" {
			hint = "priorities are " + strings.Join(words, " ")
		}
		c.in("rule priority", "", node).failHint(hint, "no priority %q", node.Value)
	}
	return p
}

// attributes reads those of the keys that are single values and optional which want
// accepts.
func (c *collector) attributes(at *context, n *yaml.Node, r *rule, want func(key string) bool) {
	for _, k := range []struct {
		key string
		to  *bool
	}{
		{"enabled", &r.enabled}, {"warn_evttypes", &r.warnTypes}, {"skip-if-unknown-filter", &r.skipUnknown}, {"capture", &r.capture},
	} {
		if !want(k.key) {
			continue
		}
		c.try(func() {
			if v, ok := at.bool(n, k.key); ok {
				*k.to = v
			}
		})
	}
	if want("capture_duration") {
		c.try(func() {
			if v, ok := at.number(n, "capture_duration"); ok {
				r.captureDuration = v
			}
		})
	}
}

// tagSet returns tags with those of list, sorted, each once.
func tagSet(tags []string, list []*yaml.Node) []string {
	tags = slices.Clone(tags)
	for _, n := range list {
		tags = append(tags, n.Value)
	}
	slices.Sort(tags)
	return slices.Compact(tags)
}

// change applies the keys of an item to an earlier rule: what is appended first, then
// what is replaced. A key that cannot be read changes nothing.
func (c *collector) change(at *context, n *yaml.Node, r *rule, verbs map[string]verb) {
	if s := get(n, "source"); s != nil && !isNull(s) && (s.Kind != yaml.ScalarNode || s.Value != "") {
		c.try(func() {
			// It changes nothing, but must be that of the rule where a condition comes with it.
			source := at.scalarOf(s, "source").Value
			if verbs["condition"] != "" && get(n, "condition") != nil && !r.sourceUnread && source != r.source {
				at.fail(ErrValidate, "rule %q has source %q, not %q", at.itemName, r.source, source)
			}
		})
	}
	next := *r
	next.context = at
	text := func(key, itemType string, t *located, ctx **context) {
		node := get(n, key)
		if node == nil || verbs[key] == "" {
			return
		}
		node = at.scalarOf(node, key)
		s := scalarText(c.page, node)
		if key == "output" {
			s = s.trim()
		}
		if verbs[key] == verbAppend && len(t.parts) > 0 {
			c.copies(at, 1, len(t.s))
			c.copies(at, len(t.parts), partSize)
			s = t.join(" ", s)
		} else if verbs[key] == verbAppend && ctx != nil && (key == "output" || r.sequence == nil) {
			return // what it is appended to could not be read
		} else if ctx != nil { // a sequence may have no condition
			*ctx = at.in(itemType, "", node)
		}
		*t = s
	}
	c.try(func() { text("condition", "rule condition", &next.condition, &next.conditionContext) })
	c.try(func() { text("output", "rule output", &next.output, &next.outputContext) })
	c.try(func() { text("desc", "", &next.desc, nil) })
	if verbs["tags"] != "" {
		c.try(func() {
			list, _ := at.texts(n, "tags", "value for")
			var old []string
			if verbs["tags"] == verbAppend {
				old = r.tags
				c.copies(at, len(old), 16)
			}
			next.tags = tagSet(old, list)
		})
	}
	if verbs["exceptions"] != "" && get(n, "exceptions") != nil {
		c.try(func() {
			if verbs["exceptions"] == verbAppend {
				next.exceptions = c.appendExceptions(at, n, r)
			} else {
				next.exceptions = c.exceptions(at, n, r)
			}
		})
	}
	if verbs["priority"] != "" {
		c.try(func() { next.priority = at.priority(at.scalar(n, "priority")) })
	}
	replaced := func(key string) bool { return verbs[key] == verbReplace }
	c.attributes(at, n, &next, replaced)
	c.try(func() { c.counting(at, n, &next, replaced) })
	next.visibility = c.tick()
	c.revisions++
	*r = next
}
