package rules

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/field"
	"github.com/windhover/windhover/rules/output"
	"github.com/windhover/windhover/rules/plan"
)

// Rule is one compiled rule. It is immutable.
type Rule struct {
	Name, Desc, Source string
	Priority           Priority
	Tags               []string // sorted, each once
	Output             *output.Template
	// Types are the types of events that the rule may match.
	Types event.TypeSet
	// Index is the position of the rule in Set.Rules.
	Index int
	// Enabled says that the rule is matched; other rules only load.
	Enabled bool
	// File and Line are where the rule was last changed.
	File string
	Line int
	// Condition is the text of the condition, with names of macros and lists.
	Condition string
	// Hash changes with what the rule matches and prints; Fingerprint is that of the
	// set the rule is part of.
	Hash, Fingerprint string
	// Capture and CaptureDuration, in milliseconds, are what the rule says about
	// recording events.
	Capture         bool
	CaptureDuration uint32
	// Extra are values that alerts carry besides the fields of Output.
	Extra []Extra
	// Threshold and Sequence say what besides a match it takes for an alert; at most one
	// of them is set. Package internal/correlate counts.
	Threshold *Threshold
	Sequence  *Sequence
	// Steps are the places that the rule has in sequences that alert. A rule with steps
	// is matched even if it is not enabled: then it makes no alerts itself.
	Steps []Step
}

// Extra is a value that alerts carry under a key: that of Field with its type, or, if
// Field is nil, the text of Template.
type Extra struct {
	Key      string
	Field    *field.Field
	Template *output.Template
}

// Set is a compiled set of rules. It is immutable and safe for concurrent use.
type Set struct {
	rules       []*Rule
	sources     []sourceRules
	first       bool
	fingerprint string
}

// sourceRules are the enabled rules of one source type.
type sourceRules struct {
	name    string
	rules   []*Rule // by position in program
	program *plan.Program
	types   event.TypeSet
	counts  bool // some of the rules speak of several events
}

func newSet(c *compiler, files []File, o Options) *Set {
	s := &Set{first: o.Matching == MatchFirst, fingerprint: fingerprint(files)}
	for _, r := range c.rules {
		r.Fingerprint = s.fingerprint
		r.Index = -1
		if o.MinPriority != nil && r.Priority > *o.MinPriority {
			r.Enabled = false
			continue
		}
		for _, sel := range o.Select {
			if sel.matches(r) {
				r.Enabled = sel.Enable
			}
		}
		r.Index = len(s.rules)
		s.rules = append(s.rules, r)
	}
	link(s.rules, c.rules)
	conds := map[string][]plan.Condition{}
	for i, r := range c.rules {
		if !r.Enabled && len(r.Steps) == 0 {
			continue
		}
		src := s.source(r.Source)
		if src == nil {
			s.sources = append(s.sources, sourceRules{name: r.Source})
			src = &s.sources[len(s.sources)-1]
		}
		src.rules = append(src.rules, r)
		src.types = src.types.Union(r.Types)
		src.counts = src.counts || r.Counts()
		conds[r.Source] = append(conds[r.Source], plan.Condition{Expr: c.exprs[i], Types: r.Types})
	}
	for i := range s.sources {
		src := &s.sources[i]
		src.program = plan.Compile(conds[src.name])
	}
	return s
}

func fingerprint(files []File) string {
	h := sha256.New()
	for _, f := range files {
		for _, b := range [][]byte{[]byte(f.Name), f.Data} {
			h.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(b))))
			h.Write(b)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

func (s *Set) source(name string) *sourceRules {
	for i := range s.sources {
		if s.sources[i].name == name {
			return &s.sources[i]
		}
	}
	return nil
}

// Rules returns every rule that was loaded, in the order of their first definition. The
// caller must not change it.
func (s *Set) Rules() []*Rule { return s.rules }

// AppendMatches appends to dst the rules that ev satisfies, in the order of Rules, and
// returns it. It allocates only if dst or the scratch memory of ev is full, and keeps
// no reference to ev. Where Counts is true, package internal/correlate says which of the
// rules make an alert; otherwise all do.
func (s *Set) AppendMatches(dst []*Rule, ev *event.Event) []*Rule {
	src := s.source(ev.Source.Type)
	if src == nil {
		return dst
	}
	var room [16]int32
	found := src.program.AppendMatches(room[:0], ev)
	if s.first && len(found) > 1 && !src.counts {
		found = found[:1]
	}
	for _, i := range found {
		dst = append(dst, src.rules[i])
	}
	return dst
}

// Alone are the rules that an event may satisfy, each by itself: for measuring what
// they cost. To match, AppendMatches is faster, since rules share what they ask.
type Alone struct {
	rules  []*Rule
	single []plan.Single
}

// Alone returns the rules of the event's source that events of its type may satisfy.
func (s *Set) Alone(ev *event.Event) Alone {
	src := s.source(ev.Source.Type)
	if src == nil {
		return Alone{}
	}
	return Alone{src.rules, src.program.Alone(ev.Type)}
}

// Len returns how many rules there are.
func (a Alone) Len() int { return len(a.single) }

// Rule returns rule i.
func (a Alone) Rule(i int) *Rule { return a.rules[a.single[i].Cond] }

// Decide reports whether ev, of the source and type that a is for, satisfies rule i.
func (a Alone) Decide(i int, ev *event.Event) bool { return a.single[i].Match(ev) }

// Counts reports whether rules of a source type speak of several events.
func (s *Set) Counts(sourceType string) bool {
	src := s.source(sourceType)
	return src != nil && src.counts
}

// First reports whether only the first rule that an event satisfies makes an alert. It
// chooses among the rules that speak of one event.
func (s *Set) First() bool { return s.first }

// Types returns the types of events that the rules of a source type ask for.
func (s *Set) Types(sourceType string) event.TypeSet {
	if src := s.source(sourceType); src != nil {
		return src.types
	}
	return event.TypeSet{}
}

// Sources returns the source types that have rules.
func (s *Set) Sources() []string {
	names := make([]string, len(s.sources))
	for i := range s.sources {
		names[i] = s.sources[i].name
	}
	return names
}

// Fingerprint returns the SHA-256 of the files, in hexadecimal.
func (s *Set) Fingerprint() string { return s.fingerprint }
