package ruletest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/windhover/windhover/internal/correlate"
	"github.com/windhover/windhover/rules"
	"github.com/windhover/windhover/rules/synthetic"
)

// Runner runs tests against one set of rules. It is for one goroutine.
type Runner struct {
	in       *rules.Inspection
	events   synthetic.Events
	coverage coverage
}

// NewRunner compiles rules for tests. The Runner is nil if the Report has errors.
func NewRunner(files []rules.File) (*Runner, *rules.Report) {
	r := &Runner{}
	in, report := rules.Inspect(files, rules.Options{Lookup: r.events.Lookup})
	if !report.OK() {
		return nil, report
	}
	r.in = in
	r.coverage.add(in)
	return r, report
}

// Run returns what is wrong with the alerts of t, or nothing.
func (r *Runner) Run(t *Test) []string {
	for _, name := range append([]string{t.Rule}, names(t.Alerts)...) {
		if name != "" && !slices.ContainsFunc(r.in.Rules, func(v *rules.RuleView) bool { return v.Name == name }) {
			return []string{fmt.Sprintf("there is no rule %q", name)}
		}
	}
	var got []Expected
	count := correlate.New(correlate.DefaultConfig()).Worker()
	for i, text := range t.Events {
		ev, err := r.events.Parse(text)
		if err != nil {
			return []string{fmt.Sprintf("event %d: %v", i+1, err)}
		}
		matches := r.in.Set.AppendMatches(nil, ev)
		r.coverage.event(ev, matches)
		for _, o := range count.AppendOutcomes(nil, r.in.Set, ev, matches) {
			m := o.Rule
			if o.Below {
				continue
			}
			if t.Rule == "" || m.Name == t.Rule {
				got = append(got, Expected{Rule: m.Name, Event: i + 1, Output: string(m.Output.AppendText(nil, ev))})
			}
		}
	}
	return compare(t.Alerts, got)
}

func names(list []Expected) []string {
	out := make([]string, len(list))
	for i := range list {
		out[i] = list[i].Rule
	}
	return out
}

// compare pairs expected alerts with those that came, in whatever order.
func compare(want, got []Expected) []string {
	var wrong []string
	taken := make([]bool, len(got))
	for _, w := range want {
		found, near := -1, -1
		for i, g := range got {
			if taken[i] || g.Rule != w.Rule || w.Event != 0 && w.Event != g.Event {
				continue
			}
			if near = i; (w.Output == "" || w.Output == g.Output) && strings.Contains(g.Output, w.Contains) {
				found = i
				break
			}
		}
		switch {
		case found >= 0:
			taken[found] = true
		case near >= 0 && w.Output != "":
			taken[near] = true
			wrong = append(wrong, fmt.Sprintf("output of %q is\n  %q, want\n  %q", w.Rule, got[near].Output, w.Output))
		case near >= 0:
			taken[near] = true
			wrong = append(wrong, fmt.Sprintf("output of %q is\n  %q, want it to contain\n  %q", w.Rule, got[near].Output, w.Contains))
		default:
			wrong = append(wrong, fmt.Sprintf("no alert of %q%s", w.Rule, onEvent(w.Event)))
		}
	}
	for i, g := range got {
		if !taken[i] {
			wrong = append(wrong, fmt.Sprintf("unexpected alert of %q%s: %s", g.Rule, onEvent(g.Event), g.Output))
		}
	}
	return wrong
}

func onEvent(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" on event %d", n)
}

// Coverage returns which parts of the rules the tests that were run have shown to work.
func (r *Runner) Coverage() Coverage { return r.coverage.result() }
