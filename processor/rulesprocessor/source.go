package rulesprocessor

import (
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/field"
	"github.com/windhover/windhover/rules"
)

// sources tells which source a record is from. It is immutable.
type sources struct {
	types     []string // that records can be from here
	attribute string
	set       *rules.Set // one rule for each of …
	byRule    []int      // … these types
	other     int        // the type of records that nothing is said about
}

// notAny is the index of source none.
const notAny = -1

var logOrigin = &event.Source{Name: "sources", Type: field.Log}

func newSources(c *Config) (*sources, error) {
	set, err := compile(c.Sources)
	if err != nil {
		return nil, err
	}
	s := &sources{attribute: c.SourceAttribute, set: set}
	if s.attribute != "" {
		s.types = sourceTypes()
	}
	s.other = s.add(c.Source)
	for _, more := range c.Sources {
		s.byRule = append(s.byRule, s.add(more.Source))
	}
	return s, nil
}

func (s *sources) add(name string) int {
	if name == none {
		return notAny
	}
	if i := slices.Index(s.types, name); i >= 0 {
		return i
	}
	s.types = append(s.types, name)
	return len(s.types) - 1
}

// of returns the index of the type of the record that w holds.
func (s *sources) of(w *worker) int {
	if s.attribute != "" {
		if i := s.named(w.record.lr.Attributes()); i >= 0 {
			return i
		}
		if i := s.named(w.record.rl.Resource().Attributes()); i >= 0 {
			return i
		}
	}
	if len(s.byRule) > 0 {
		w.begin()
		w.ev.Source = logOrigin
		w.found = s.set.AppendMatches(w.found[:0], &w.ev)
		if len(w.found) > 0 {
			return s.byRule[w.found[0].Index]
		}
	}
	return s.other
}

func (s *sources) named(m pcommon.Map) int {
	if v, ok := m.Get(s.attribute); ok && v.Type() == pcommon.ValueTypeStr {
		return slices.Index(s.types, v.Str())
	}
	return -1
}
