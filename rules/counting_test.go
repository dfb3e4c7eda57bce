package rules

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCountingInWords(t *testing.T) {
	t.Parallel()
	set, r := Compile([]File{{Name: "r.yaml", Data: []byte(`
- {rule: a, desc: d, condition: evt.type = openat, output: o, priority: INFO, threshold: {count: 5, within: 90s}}
- {rule: b, desc: d, condition: evt.type = openat, output: o, priority: INFO, threshold: {count: 3, within: 2h, by: [proc.name, "proc.aname[2]"], distinct: fd.name}}
- {rule: c, desc: d, output: o, priority: INFO, sequence: {of: [a, b], within: 1m, by: [container.id]}}
- {rule: e, desc: d, output: o, priority: INFO, sequence: {of: [a, b, a], within: 500ms}, enabled: false}
`)}}, Options{})
	if set == nil {
		t.Fatal(r.Err())
	}
	var got []string
	for _, r := range set.Rules() {
		line := r.Name
		if r.Threshold != nil {
			line += ": " + r.Threshold.String()
		}
		if r.Sequence != nil {
			line += ": " + r.Sequence.String() + ": " + r.Condition
		}
		for _, s := range r.Steps {
			line += ", step of " + s.Rule.Name
		}
		got = append(got, line)
	}
	want := []string{
		"a: 5 matches within 1m30s, step of c",
		"b: 3 different fd.name within 2h by proc.name, proc.aname[2], step of c",
		"c: a, then b within 1m by container.id: evt.type = openat",
		"e: a, then b, then a within 500ms: evt.type = openat",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
}

func TestTheHashOfARuleChangesWithWhatItCounts(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for _, counting := range []string{
		"threshold: {count: 2, within: 1m}", "threshold: {count: 3, within: 1m}", "threshold: {count: 2, within: 2m}",
		"threshold: {count: 2, within: 1m, by: [proc.name]}", "threshold: {count: 2, within: 1m, distinct: proc.name}",
		"sequence: {of: [a, b], within: 1m}", "sequence: {of: [b, a], within: 1m}", "sequence: {of: [a, b], within: 2m}",
		"sequence: {of: [a, b], within: 1m, by: [proc.name]}", "tags: [none]",
	} {
		set, r := Compile([]File{{Name: "r.yaml", Data: []byte(`
- {rule: a, desc: d, condition: evt.type = openat, output: o, priority: INFO}
- {rule: b, desc: d, condition: evt.type = openat, output: o, priority: INFO}
- {rule: c, desc: d, condition: evt.type = openat, output: o, priority: INFO, ` + counting + `}
`)}}, Options{})
		if set == nil {
			t.Fatal(r.Err())
		}
		hash := set.Rules()[2].Hash
		if other, ok := seen[hash]; ok {
			t.Errorf("rules with %q and %q have the same hash", counting, other)
		}
		seen[hash] = counting
	}
}

// TestASequenceWithoutAConditionIsChangedLikeAnyRule has no condition to append to.
func TestASequenceWithoutAConditionIsChangedLikeAnyRule(t *testing.T) {
	t.Parallel()
	const text = `
- {rule: a, desc: d, condition: evt.type = openat, output: o, priority: INFO}
- {rule: b, desc: d, output: o, priority: INFO, sequence: {of: [a, a], within: 1m}, exceptions: [{name: x, fields: proc.name, values: [sh]}]}
`
	for _, tt := range []struct{ name, text, want string }{
		{"a condition is appended", "- {rule: b, condition: and fd.num = 1, override: {condition: append}}", `r.yaml:4:28: unexpected "fd.num" after "and", want "and", "or" or ")"`},
		{"a condition is given", "- {rule: b, condition: evt.type = openat and fd.num = 1, override: {condition: replace}}", ""},
		{"exceptions are appended", "- {rule: b, exceptions: [{name: x, values: [bash]}], override: {exceptions: append}}", ""},
		{"the step is appended to", "- {rule: a, condition: and fd.num = 1, override: {condition: append}}", ""},
		{"the step becomes a sequence", "- {rule: a, desc: d, output: o, priority: INFO, sequence: {of: [b, b], within: 1m}}", `r.yaml:4:65: rule "b" is a sequence itself`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			in, r := Inspect([]File{{Name: "r.yaml", Data: []byte(text + tt.text)}}, Options{})
			got := ""
			if errs := r.Errors(); len(errs) > 0 {
				got = errs[0].String()
			} else if in.Rules[1].Root.String() == "" {
				t.Error("the sequence has no condition")
			}
			if got != tt.want {
				t.Errorf("first error of %s:\n got %s\nwant %s", tt.text, got, tt.want)
			}
		})
	}
}
