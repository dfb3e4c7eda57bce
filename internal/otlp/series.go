package otlp

import "github.com/windhover/windhover/internal/ledger"

// maxRuleSeries bounds the series of windhover.alerts, those of all sources together.
const maxRuleSeries = 1000

// otherRules stands for the rules that have no series of their own.
const otherRules = "other"

// ruleSeries says which rules of which sources have a series of their own: those that
// were seen first, and for good, so that no counter ever goes back. The zero value has
// none yet.
type ruleSeries map[ruleOfSource]struct{}

type ruleOfSource struct {
	source string
	rule   ledger.RuleKey
}

// admit reports whether the rule has a series of its own, and gives it one if there is
// room.
func (s *ruleSeries) admit(source string, rule ledger.RuleKey) bool {
	k := ruleOfSource{source, rule}
	if _, ok := (*s)[k]; ok {
		return true
	}
	if len(*s) >= maxRuleSeries || rule.Name == otherRules {
		return false
	}
	if *s == nil {
		*s = ruleSeries{}
	}
	(*s)[k] = struct{}{}
	return true
}
