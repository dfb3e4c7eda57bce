package rules

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/windhover/windhover/internal/field"
)

// Threshold says how many matches with equal values of By make an alert.
type Threshold struct {
	// Count is the number of matches or, if Distinct is set, of different values of it.
	Count    int
	Within   time.Duration
	By       []*field.Field
	Distinct *field.Field
}

// Sequence says which rules make an alert when they match one after the other, on
// events with equal values of By.
type Sequence struct {
	Of     []string
	Within time.Duration
	By     []*field.Field
}

// String returns t in words.
func (t *Threshold) String() string {
	what := "matches"
	if t.Distinct != nil {
		what = "different " + t.Distinct.String()
	}
	return fmt.Sprintf("%d %s within %s%s", t.Count, what, shortTime(t.Within), inWords(t.By))
}

// String returns s in words.
func (s *Sequence) String() string {
	return fmt.Sprintf("%s within %s%s", strings.Join(s.Of, ", then "), shortTime(s.Within), inWords(s.By))
}

// shortTime writes 1m instead of 1m0s.
func shortTime(d time.Duration) string {
	s := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(s, zero) {
			s = s[:len(s)-2]
		}
	}
	return s
}

func inWords(by []*field.Field) string {
	if len(by) == 0 {
		return ""
	}
	names := make([]string, len(by))
	for i, f := range by {
		names[i] = f.String()
	}
	return " by " + strings.Join(names, ", ")
}

// Step is the place of a rule in a sequence: At counts from 0.
type Step struct {
	Rule *Rule
	At   int
}

// Counts reports whether r speaks of several events: a match of its condition is no
// alert yet.
func (r *Rule) Counts() bool { return r.Threshold != nil || r.Sequence != nil }

// By returns the fields by whose values r counts.
func (r *Rule) By() []*field.Field {
	switch {
	case r.Threshold != nil:
		return r.Threshold.By
	case r.Sequence != nil:
		return r.Sequence.By
	}
	return nil
}

// Bounds of what a rule may count: each step and each match of a key takes memory.
const (
	maxCount    = 10_000
	maxDistinct = 1_000
	maxSteps    = 16
	maxKeyParts = 8
	minWithin   = time.Millisecond
	maxWithin   = 7 * 24 * time.Hour
)

var (
	thresholdKeys = []string{"count", "within", "by", "distinct"}
	sequenceKeys  = []string{"of", "within", "by"}
)

// counted are the keys threshold and sequence as they were read.
type counted struct {
	threshold *Threshold
	sequence  *Sequence
	at        *context // of the sequence
	of        []*context
}

// counting reads those of the keys threshold and sequence which want accepts.
func (c *collector) counting(at *context, n *yaml.Node, r *rule, want func(key string) bool) {
	if k, v := entry(n, "threshold"); v != nil && want("threshold") {
		r.threshold = c.threshold(at.in("value for", "threshold", k), v, r)
	}
	if k, v := entry(n, "sequence"); v != nil && want("sequence") {
		in := at.in("value for", "sequence", k)
		r.sequence, r.of = c.sequence(in, v, r)
		r.at = in
	}
	if r.threshold != nil && r.sequence != nil {
		at.fail(ErrYAMLValidate, "keys \"threshold\" and \"sequence\" exclude each other")
	}
}

func (c *collector) threshold(in *context, n *yaml.Node, r *rule) *Threshold {
	c.keys(in, n, "threshold", thresholdKeys)
	t := &Threshold{Within: within(in, n), By: c.by(in, n, r)}
	most := uint32(maxCount)
	if d := get(n, "distinct"); d != nil {
		t.Distinct = c.keyField(in.in("value for", "distinct", in.scalarOf(d, "distinct")), r)
		most = maxDistinct
	}
	node := in.scalar(n, "count")
	count, ok := unsigned(node.Value)
	if !ok || count < 2 || count > most {
		in.in("value for", "count", node).fail(ErrYAMLValidate, "key \"count\" takes a number from 2 to %d, not %q", most, node.Value)
	}
	t.Count = int(count)
	return t
}

func (c *collector) sequence(in *context, n *yaml.Node, r *rule) (*Sequence, []*context) {
	c.keys(in, n, "sequence", sequenceKeys)
	s := &Sequence{Within: within(in, n), By: c.by(in, n, r)}
	list, _ := in.texts(n, "of", "value for")
	if len(list) < 2 || len(list) > maxSteps {
		in.fail(ErrYAMLValidate, "key \"of\" takes from 2 to %d names of rules, not %d", maxSteps, len(list))
	}
	var of []*context
	for _, name := range list {
		s.Of = append(s.Of, name.Value)
		of = append(of, in.in("value for", "of", name))
	}
	return s, of
}

// keys refuses what is not a mapping and warns about keys that are not known.
func (c *collector) keys(in *context, n *yaml.Node, key string, known []string) {
	if n.Kind != yaml.MappingNode {
		in.fail(ErrYAMLValidate, "key %q takes a mapping, not %s", key, kindName(n))
	}
	c.unknownKeys(in, n, "", known)
}

func within(in *context, n *yaml.Node) time.Duration {
	node := in.scalar(n, "within")
	d, err := time.ParseDuration(node.Value)
	v := in.in("value for", "within", node)
	if err != nil {
		hint := "write a number with its unit, such as 30s, 5m or 1h"
		if _, ok := unsigned(node.Value); ok {
			hint = fmt.Sprintf("write %ss", node.Value)
		}
		v.failHint(hint, "key \"within\" takes a duration, not %q", node.Value)
	}
	if d < minWithin || d > maxWithin {
		v.fail(ErrYAMLValidate, "key \"within\" takes a duration from %v to %v, not %v", minWithin, maxWithin, d)
	}
	return d
}

func (c *collector) by(in *context, n *yaml.Node, r *rule) []*field.Field {
	list, ok := in.texts(n, "by", "value for")
	if !ok {
		return nil
	}
	if len(list) > maxKeyParts {
		in.fail(ErrYAMLValidate, "key \"by\" takes at most %d fields, not %d", maxKeyParts, len(list))
	}
	var fields []*field.Field
	for _, node := range list {
		if f := c.keyField(in.in("value for", "by", node), r); f != nil {
			fields = append(fields, f)
		}
	}
	return fields
}

// keyField returns the field that the node of in names; nil if the source of r is not
// known.
func (c *collector) keyField(in *context, r *rule) *field.Field {
	if !r.known {
		return nil
	}
	f, err := c.lookup(in.node.Value, r.source)
	if err != nil {
		in.fail(ErrValidate, "%v", err)
	}
	if f.Missing {
		p := in.problem(WarnExtension, "no source delivers field %s yet: nothing is counted", f)
		p.Field = f.Name
		c.warn(p)
	}
	return f
}

// members reports whether the rules of the sequence of r can be its steps.
func (c *compiler) members(r *rule) bool {
	ok := true
	for i, name := range r.sequence.Of {
		m := c.state.rules.byName[name]
		var msg, hint string
		switch {
		case c.state.broken["rule "+name]:
			ok = false
			continue
		case m == nil:
			names := make([]string, 0, len(c.state.rules.order))
			for _, other := range c.state.rules.order {
				names = append(names, other.name)
			}
			msg, hint = fmt.Sprintf("no rule %q", name), c.nearest(name, names)
		case m.index >= r.visibility:
			msg = fmt.Sprintf("rule %q is defined after the sequence, which therefore does not see it", name)
		case m.sequence != nil:
			msg = fmt.Sprintf("rule %q is a sequence itself", name)
		case m.source != r.source:
			msg = fmt.Sprintf("rule %q has source %q, but the sequence has source %q", name, m.source, r.source)
		default:
			continue
		}
		p := r.of[i].problem(ErrValidate, "%s", msg)
		p.Hint = hint
		c.errors.add(p)
		ok = false
	}
	return ok
}

// withCondition returns r, or if it is a sequence without a condition a copy of it with
// that of the last step.
func (c *compiler) withCondition(r *rule) *rule {
	if r.sequence == nil || r.condition.s != "" {
		return r
	}
	last := c.state.rules.byName[r.sequence.Of[len(r.sequence.Of)-1]]
	out := *r
	out.condition, out.conditionContext = last.withExceptions(), last.conditionContext
	return &out
}

// incompleteSequences warns about sequences with a step that was left out.
func (c *compiler) incompleteSequences() {
	for _, read := range c.read {
		r := read.rule
		if r.sequence == nil {
			continue
		}
		for i, name := range r.sequence.Of {
			if !slices.ContainsFunc(c.rules, func(m *Rule) bool { return m.Name == name }) {
				c.warnings.add(r.of[i].problem(WarnExtension, "rule %q is left out, so the sequence never alerts", name))
			}
		}
	}
}

// appendHash appends what the counting of a rule depends on.
func (k *counted) appendHash(dst []byte) []byte {
	text := func(s string) {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(len(s)))
		dst = append(dst, s...)
	}
	fields := func(fs ...*field.Field) {
		for _, f := range fs {
			text(f.String())
		}
	}
	if t := k.threshold; t != nil {
		text(fmt.Sprintf("threshold %d %d %t", t.Count, t.Within, t.Distinct != nil))
		if t.Distinct != nil {
			fields(t.Distinct)
		}
		fields(t.By...)
	}
	if s := k.sequence; s != nil {
		text(fmt.Sprintf("sequence %d %d", s.Within, len(s.Of)))
		for _, name := range s.Of {
			text(name)
		}
		fields(s.By...)
	}
	return dst
}

// link tells the rules of the sequences that alert which steps they are.
func link(rules []*Rule, all []*Rule) {
	byName := make(map[string]*Rule, len(all))
	for _, r := range all {
		byName[r.Name] = r
	}
	for _, r := range rules {
		if r.Sequence == nil || !r.Enabled {
			continue
		}
		for at, name := range r.Sequence.Of {
			if m := byName[name]; m != nil {
				m.Steps = append(m.Steps, Step{r, at})
			}
		}
	}
}
