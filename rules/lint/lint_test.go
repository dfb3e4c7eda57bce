package lint

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/windhover/windhover/rules"
)

// found returns the lints of a rules file, a line each.
func found(tb testing.TB, text string) string {
	tb.Helper()
	in, report := rules.Inspect([]rules.File{{Name: "r.yaml", Data: []byte(text)}}, rules.Options{})
	if err := report.Err(); err != nil {
		tb.Fatal(err)
	}
	var b strings.Builder
	for _, p := range Check(in) {
		fmt.Fprintf(&b, "%d:%d %s %s\n", p.Line, p.Column, p.Code, p.Msg)
	}
	return b.String()
}

// rule returns a rules file with one rule.
func rule(condition string) string {
	return "- rule: r\n  desc: d\n  condition: >-\n    " + condition + "\n  output: o\n  priority: INFO\n"
}

func TestConditions(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, condition, want string }{
		{"nothing is wrong", "evt.type = openat and proc.name = a and not fd.name in (b, c)", ""},
		{"two values at once", "evt.type = openat and proc.name = a and proc.name = b", `LINT_NEVER_HOLDS the rule never matches: proc.name cannot be both "a" and "b"`},
		{"two sets without a common value", "evt.type = openat and proc.name in (a, b) and proc.name in (c, d)", "LINT_NEVER_HOLDS the rule never matches: proc.name cannot be both one of 2 values such as \"a\" and one of 2 values such as \"c\""},
		{"two sets with a common value", "evt.type = openat and proc.name in (a, b) and proc.name in (b, c)", ""},
		{"a value that is excluded", "evt.type = openat and proc.name = a and not proc.name in (a, b)", `LINT_NEVER_HOLDS the rule never matches: proc.name cannot be "a", which is excluded`},
		{"a value without the prefix", "evt.type = openat and fd.name = /etc/x and fd.name startswith /usr", `LINT_NEVER_HOLDS the rule never matches: fd.name cannot be "/etc/x" where "fd.name startswith /usr" holds`},
		{"a value with the prefix", "evt.type = openat and fd.name = /usr/x and fd.name startswith /usr", ""},
		{"an empty range", "evt.type = openat and fd.num > 5 and fd.num < 3", "LINT_NEVER_HOLDS the rule never matches: fd.num cannot be at least 6 and at most 2"},
		{"a range", "evt.type = openat and fd.num > 3 and fd.num < 5", ""},
		{"a value that must be absent", "evt.type = openat and proc.name = a and not proc.name exists", "LINT_NEVER_HOLDS the rule never matches: proc.name cannot have a value and have none"},
		{"a condition and its opposite", "evt.type = openat and proc.name glob a* and not proc.name glob a*", `LINT_NEVER_HOLDS the rule never matches: "proc.name glob a*" cannot hold together with its opposite`},
		{"exclusions alone hold for a missing value", "evt.type = openat and not proc.name != a and not proc.name != b", ""},
		{"two event types at once", "evt.type = openat and evt.type = connect", "LINT_NEVER_HOLDS the rule never matches: no type of event satisfies all that its condition asks"},
		{"a field that these events do not have", "evt.type = connect and fs.path.name = /x", "LINT_NEVER_HOLDS the rule never matches: no type of event satisfies all that its condition asks"},
		{"two inequalities joined by or", "evt.type = openat and (proc.name != a or proc.name != b)", "LINT_ALWAYS_HOLDS \"proc.name != a or proc.name != b\" always holds: whatever proc.name is, one of the alternatives is true"},
		{"a condition or its opposite", "evt.type = openat and (proc.name glob a* or not proc.name glob a*)", "LINT_ALWAYS_HOLDS \"proc.name glob a* or not proc.name glob a*\" always holds: either \"proc.name glob a*\" holds or its opposite"},
		{"an alternative of other events", "evt.type = openat and (proc.name = a or evt.type = connect and proc.name = b)", "LINT_NEVER_HOLDS \"evt.type = connect and proc.name = b\" never holds here: the event types that it needs are excluded around it"},
		{"an alternative that contradicts itself", "evt.type = openat and (proc.name = a or proc.pid = 1 and proc.pid = 2)", "LINT_NEVER_HOLDS \"proc.pid = 1 and proc.pid = 2\" never holds: proc.pid cannot be both 1 and 2"},
		{"a rule that is turned off on purpose", "evt.type = openat and evt.num = 0", ""},
		{"an inequality where some events have no such field", "evt.type in (openat, unlink) and fs.path.name != /x and evt.type != connect", ""},
		{"an inequality on one of two kinds of events", "evt.type in (execve, unlink) and (fs.path.name != /x or proc.name = a)", `LINT_NEGATIVE_ON_MISSING field fs.path.name has no value on execve, so "fs.path.name != /x" does not hold there`},
		{"an exclusion that excludes nothing", "evt.type = connect and not fs.path.name startswith /x", `LINT_NEGATIVE_ON_MISSING field fs.path.name has no value on connect, so "not fs.path.name startswith /x" always holds there`},
		{"an ancestor that differs", "evt.type = execve and proc.aname != sshd", `LINT_NOT_EQUAL_ANY "proc.aname != sshd" holds if one of the values of proc.aname differs, and they nearly always do`},
		{"no ancestor", "evt.type = execve and not proc.aname = sshd", ""},
		{"a missing value as text", `evt.type = execve and proc.pname = "<NA>"`, "LINT_NA_TEXT field proc.pname has no value where outputs print <NA>: it is never equal to that text"},
		{"a name that can be <NA>", `evt.type = execve and user.name = "<NA>"`, ""},
		{"a field as outputs name it", `evt.type = execve and proc.pname = %proc.name`, `LINT_FIELD_AS_TEXT "%proc.name" is a text here: the percent sign names fields in outputs only`},
		{"a slip of a field", `evt.type = execve and proc.pname = proc.nmae`, `LINT_FIELD_AS_TEXT "proc.nmae" is a text here, though it looks like the field proc.name`},
		{"a file name with a dot", `evt.type = execve and proc.name = user.sh`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := strings.TrimSpace(found(t, rule(tt.condition)))
			if _, text, ok := strings.Cut(got, " "); ok {
				got = text
			}
			if got != tt.want {
				t.Errorf("Check(%s)\n got %s\nwant %s", tt.condition, got, tt.want)
			}
		})
	}
}

func TestFiles(t *testing.T) {
	t.Parallel()
	const rest = "\n  desc: d\n  output: o\n  priority: INFO\n"
	for _, tt := range []struct{ name, text, want string }{
		{
			"a rule below a broader one",
			"- rule: broad\n  condition: evt.type in (open, openat) and proc.name in (a, b)" + rest +
				"- rule: narrow\n  condition: evt.type = openat and proc.name = a and fd.name = /x" + rest,
			`7:14 LINT_SHADOWED_RULE under rule_matching: first, rule "narrow" never alerts: rule "broad" before it (r.yaml:1) matches every event that it matches` + "\n",
		},
		{
			"a rule above a broader one",
			"- rule: narrow\n  condition: evt.type = openat and proc.name = a and fd.name = /x" + rest +
				"- rule: broad\n  condition: evt.type in (open, openat) and proc.name in (a, b)" + rest, "",
		},
		{
			"a broader rule that counts",
			"- rule: broad\n  threshold: {count: 2, within: 1m}\n  condition: evt.type in (open, openat) and proc.name in (a, b)" + rest +
				"- rule: narrow\n  condition: evt.type = openat and proc.name = a and fd.name = /x" + rest, "",
		},
		{
			"a broader rule that is off",
			"- rule: broad\n  enabled: false\n  condition: evt.type in (open, openat) and proc.name in (a, b)" + rest +
				"- rule: narrow\n  condition: evt.type = openat and proc.name = a and fd.name = /x" + rest, "",
		},
		{
			"and after or",
			"- macro: m\n  condition: proc.name = a or proc.name = b\n- macro: m\n  condition: and proc.pname = c\n  override: {condition: append}\n" +
				"- rule: r\n  condition: evt.type = openat and m" + rest,
			`4:14 LINT_APPEND_PRECEDENCE "and" binds tighter than "or": together with what it is appended to, this does not mean both in full` + "\n",
		},
		{
			"and after a group",
			"- macro: m\n  condition: (proc.name = a or proc.name = b)\n- macro: m\n  condition: and proc.pname = c\n  override: {condition: append}\n" +
				"- rule: r\n  condition: evt.type = openat and m" + rest, "",
		},
		{
			"or in what is appended with and",
			"- rule: r\n  condition: evt.type = openat and proc.name = a" + rest +
				"- rule: r\n  condition: and proc.pname = b or proc.pname = c\n  override: {condition: append}\n",
			`7:14 LINT_APPEND_PRECEDENCE "and" binds tighter than "or": together with what it is appended to, this does not mean both in full` + "\n",
		},
		{
			"or after the condition of a rule",
			"- rule: r\n  condition: evt.type = openat and proc.name = a" + rest +
				"- rule: r\n  condition: or proc.pname = b\n  override: {condition: append}\n",
			`7:14 LINT_APPEND_PRECEDENCE what follows "or" is enough on its own: the rule matches without anything that its condition asked before` + "\n",
		},
		{
			"or after a macro",
			"- macro: m\n  condition: proc.name = a and proc.pid > 1\n- macro: m\n  condition: or proc.name = b\n  override: {condition: append}\n" +
				"- rule: r\n  condition: evt.type = openat and m" + rest, "",
		},
		{
			"a list with a slip",
			"- list: shell_programs\n  items: [a, b]\n- rule: r\n  condition: evt.type = openat and proc.name in (shell_progams) and proc.pname in (shell_programs)" + rest,
			`4:50 LINT_LIST_AS_TEXT no list "shell_progams": it is a text here` + "\n",
		},
		{
			"a macro as a value",
			"- macro: known_shells\n  condition: proc.name in (a, b)\n- rule: r\n  condition: evt.type = openat and known_shells and proc.pname in (known_shells)" + rest,
			`4:68 LINT_LIST_AS_TEXT "known_shells" is a text here, though a list or a macro has this name` + "\n",
		},
		{
			"an empty list is there to be filled",
			"- list: allowed\n  items: []\n- rule: r\n  condition: evt.type = openat and not proc.name in (allowed) and proc.pname in (allowed)" + rest, "",
		},
		{
			"a macro with a part that never holds is reported once",
			"- macro: m\n  condition: (proc.name = a or proc.name = b and proc.name = c)\n" +
				"- rule: r\n  condition: evt.type = openat and m" + rest + "- rule: q\n  condition: evt.type = open and m" + rest,
			`2:32 LINT_NEVER_HOLDS "proc.name = b and proc.name = c" never holds: proc.name cannot be both "b" and "c"` + "\n",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, found(t, tt.text)); diff != "" {
				t.Errorf("Check (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDefaultRulesHaveNoLints(t *testing.T) {
	t.Parallel()
	in, report := rules.Inspect(rules.Library(), rules.Options{})
	if err := report.Err(); err != nil {
		t.Fatal(err)
	}
	for _, p := range Check(in) {
		t.Errorf("%s [%s]", p.String(), p.Code)
	}
}

func TestEveryCodeIsDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []rules.Code{
		rules.LintShadowed, rules.LintNever, rules.LintAlways, rules.LintAppendPrecedence, rules.LintNegativeMissing,
		rules.LintNotEqualAny, rules.LintNAText, rules.LintFieldAsText, rules.LintListAsText,
	} {
		if !strings.Contains(string(page), "\n| `"+string(c)+"` |") {
			t.Errorf("docs/rules.md does not explain %s", c)
		}
		if c.Text() == "" || !c.Warning() {
			t.Errorf("code %s has no text or is no warning", c)
		}
	}
}

func TestRulesThatAreRightAreCheckedBesideThoseThatAreNot(t *testing.T) {
	t.Parallel()
	text := `- list: bad_list
  items: {}
- macro: bad_macro
  condition: proc.name ==
- macro: lost_macro
  condition: proc.name = a and no_macro
- macro: lost_user
  condition: lost_macro or fd.num = 1
- list: bad_lists
  items: [a]
- rule: wrong
  desc: d
  condition: evt.type = open and proc.nmae in (bad_lists)
  output: o
  priority: INFO
- rule: unread
  desc: d
  condition: evt.type = open and proc.name in (bad_list) and bad_macro
  output: o
  priority: INFO
- rule: never
  desc: d
  condition: evt.type = open and fd.num > 5 and fd.num < 3
  output: o
  priority: INFO
`
	in, report := rules.Inspect([]rules.File{{Name: "r.yaml", Data: []byte(text)}}, rules.Options{})
	if report.OK() || in.Set != nil {
		t.Fatalf("the rules are right: %v, and there is a set: %v", report.OK(), in.Set != nil)
	}
	var got []string
	for _, p := range Check(in) {
		got = append(got, fmt.Sprintf("%d %s", p.Line, p.Code))
	}
	if diff := cmp.Diff([]string{"23 LINT_NEVER_HOLDS"}, got); diff != "" {
		t.Errorf("lints (-want +got):\n%s", diff)
	}
}

func FuzzCheck(f *testing.F) {
	for _, s := range []string{
		"- {rule: r, desc: d, condition: 'evt.type=open and m and proc.name in (l)', output: '%proc.name', priority: INFO}\n- {macro: m, condition: n or fd.num=1}\n- {macro: n, condition: o}\n- {list: l, items: [a, k]}\n- {list: k, items: }\n",
		"- {macro: m, condition: fd.num=1}\n- {macro: m, condition: or m, append: true}\n- {rule: r, desc: d, condition: not (m and fd.num in (1,2)), output: o, priority: 1}\n- {rule: r, condition: and x, append: true}\n",
		"- {rule: r, desc: d, condition: proc.name != a or proc.name != b, output: o, priority: INFO, exceptions: [{name: e, fields: [fd.name], values: [[x], [y]]}]}\n- {rule: s, desc: d, output: o, priority: INFO, sequence: {of: [r, t], within: 1s}}\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		in, report := rules.Inspect([]rules.File{{Name: "r.yaml", Data: []byte(text)}}, rules.Options{})
		if (in.Set != nil) != report.OK() {
			t.Fatalf("a set: %v, but the report is fine: %v", in.Set != nil, report.OK())
		}
		for _, p := range Check(in) {
			if p.Msg == "" || p.File != "r.yaml" || p.Line < 1 || p.Column < 1 {
				t.Fatalf("lint without a place: %+v", p)
			}
		}
	})
}
