package rules

import (
	"slices"
	"testing"
)

// TestRulesByThemselvesMatchTheSame compares what is measured with what matches.
func TestRulesByThemselvesMatchTheSame(t *testing.T) {
	t.Parallel()
	for _, set := range []*Set{mustCompile(t, falcoRules(t)), mustCompile(t, manyRules(300))} {
		for _, ev := range mix() {
			var got []*Rule
			alone := set.Alone(ev)
			for i := range alone.Len() {
				if alone.Decide(i, ev) {
					got = append(got, alone.Rule(i))
				}
			}
			if want := set.AppendMatches(nil, ev); !slices.Equal(got, want) {
				t.Errorf("%v: %v match by themselves, want %v", ev.Type, got, want)
			}
		}
	}
}
