package ruletest

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/windhover/windhover/rules"
)

const twoRules = `
- list: shells
  items: [bash, sh]
- macro: started
  condition: evt.type = execve and evt.failed = false
- rule: shell
  desc: d
  condition: started and (proc.name in (shells) or proc.name startswith z) and not proc.pname = sshd
  output: shell %proc.name of %proc.pname
  priority: INFO
- rule: root
  desc: d
  condition: started and user.uid = 0
  output: root runs %proc.name
  priority: INFO
`

func runner(tb testing.TB, text string) *Runner {
	tb.Helper()
	r, report := NewRunner([]rules.File{{Name: "r.yaml", Data: []byte(text)}})
	if err := report.Err(); err != nil {
		tb.Fatal(err)
	}
	return r
}

func suite(tb testing.TB, text string) *Suite {
	tb.Helper()
	s, err := ParseSuite("dir/s.yaml", []byte(text))
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func TestRunner(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, cases, want string }{
		{"a rule that alerts", "{event: {proc.name: bash}, alerts: [shell]}", ""},
		{"no alert", "{event: {proc.name: ls}, alerts: []}", ""},
		{"two rules, in whatever order", "{event: {proc.name: bash, user.uid: 0}, alerts: [root, shell]}", ""},
		{"an alert that does not come", "{event: {proc.name: ls}, alerts: [shell]}", `no alert of "shell"`},
		{"an alert too many", "{event: {proc.name: bash}, alerts: []}", `unexpected alert of "shell" on event 1: shell bash of <NA>`},
		{"the same alert twice", "{events: [{proc.name: sh}, {proc.name: sh}], alerts: [shell]}", `unexpected alert of "shell" on event 2: shell sh of <NA>`},
		{"the alert of one event", "{events: [{proc.name: ls}, {proc.name: sh}], alerts: [{rule: shell, event: 2}]}", ""},
		{"the alert of another event", "{events: [{proc.name: sh}, {proc.name: ls}], alerts: [{rule: shell, event: 2}]}", `no alert of "shell" on event 2; unexpected alert of "shell" on event 1: shell sh of <NA>`},
		{"an output", "{event: {proc.name: sh, proc.pname: nginx}, alerts: [{rule: shell, output: shell sh of nginx}]}", ""},
		{"another output", "{event: {proc.name: sh, proc.pname: nginx}, alerts: [{rule: shell, output: shell}]}", "output of \"shell\" is\n  \"shell sh of nginx\", want\n  \"shell\""},
		{"a part of an output", "{event: {proc.name: sh, proc.pname: nginx}, alerts: [{rule: shell, contains: of nginx}]}", ""},
		{"no part of an output", "{event: {proc.name: sh}, alerts: [{rule: shell, contains: of nginx}]}", "output of \"shell\" is\n  \"shell sh of <NA>\", want it to contain\n  \"of nginx\""},
		{"one rule of two that alert", "{rule: root, event: {proc.name: bash, user.uid: 0}, alert: true}", ""},
		{"one rule that is silent", "{rule: shell, event: {proc.name: bash, proc.pname: sshd}, alert: false}", ""},
		{"one rule that is not", "{rule: shell, event: {proc.name: bash}, alert: false}", `unexpected alert of "shell" on event 1: shell bash of <NA>`},
		{"a field of every event replaced", "{event: {proc.name: bash, evt.failed: true}, alerts: []}", ""},
		{"a field of every event taken away", "{event: {proc.name: bash, evt.failed: null}, alerts: []}", ""},
		{"a rule that is not there", "{rule: shel, event: {}, alert: false}", `there is no rule "shel"`},
		{"a field that is not there", "{event: {proc.nmae: x}, alerts: []}", `event 1: read event: no field "proc.nmae"; did you mean "proc.name"?`},
		{"a value of another type", "{event: {user.uid: bob}, alerts: []}", `event 1: read event: field user.uid: "bob" is not a value of kind uint`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			text := "every_event: {evt.type: execve, evt.failed: false}\ncases:\n- " + strings.Replace(tt.cases, "{", "{case: c, ", 1)
			s := suite(t, text)
			if got := strings.Join(runner(t, twoRules).Run(&s.Tests[0]), "; "); got != tt.want {
				t.Errorf("Run(%s)\n got %s\nwant %s", tt.cases, got, tt.want)
			}
		})
	}
}

func TestCoverage(t *testing.T) {
	t.Parallel()
	const (
		zShell  = `r.yaml:8:52: shell: no case matches by way of "proc.name startswith z"`
		shells  = `r.yaml:8:27: shell: no case matches by way of "proc.name in (shells)"`
		isShell = `r.yaml:8:27: shell: no case is a near miss because of "proc.name in (shells) or proc.name startswith z"`
		sshd    = `r.yaml:8:80: shell: no case is a near miss because of "not proc.pname = sshd"`
		root    = `r.yaml:13:14: root: no case matches`
	)
	for _, tt := range []struct {
		name, events string
		want         []string
	}{
		{"no case", "[]", []string{"r.yaml:8:14: shell: no case matches", root}},
		{"one of two alternatives", "[{proc.name: bash}]", []string{root, zShell, isShell, sshd}},
		{"an exclusion", "[{proc.name: bash}, {proc.name: zsh}, {proc.name: bash, proc.pname: sshd}]", []string{root, isShell}},
		{"a near miss for two reasons is none", "[{proc.name: ls, proc.pname: sshd}, {proc.name: zsh}]", []string{root, shells, isShell, sshd}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			text := "every_event: {evt.type: execve, evt.failed: false}\ncases:\n- {case: c, events: " + tt.events + ", alerts: []}"
			s := suite(t, text)
			r := runner(t, twoRules)
			r.Run(&s.Tests[0])
			var got []string
			for _, b := range r.Coverage().Open {
				if b.Text != "started" {
					got = append(got, b.String())
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Coverage after %s (-want +got):\n%s", tt.events, diff)
			}
		})
	}
}

func TestParseSuiteReportsEveryMistake(t *testing.T) {
	t.Parallel()
	_, err := ParseSuite("s.yaml", []byte(`casses: []
cases:
  - case: a
    evnt: {}
    alerts: []
  - event: {proc.name: {a: b}}
    alert: true
  - case: c
    rule: r
    event: x
    alert: perhaps
  - case: d
    event: {}
    alerts: [{event: 0, ruel: x}]
`))
	if err == nil {
		t.Fatal("ParseSuite: no error")
	}
	want := `s.yaml:1:1: unknown key "casses"; did you mean "cases"?
s.yaml:4:5: unknown key "evnt"; did you mean "event"?
s.yaml:3:5: a case has either "event" or "events"
s.yaml:6:5: the case has no name: say under "case" what happens
s.yaml:6:5: "alert" is about one rule: name it under "rule"
s.yaml:6:24: the value of a field is a text, a number, a truth value or a list of them
s.yaml:8:5: "alert" is true or false, not "perhaps"
s.yaml:10:12: an event is a mapping of fields
s.yaml:14:22: "event" is the position of an event, from 1
s.yaml:14:25: unknown key "ruel"; did you mean "rule"?
s.yaml:14:14: the alert has no rule`
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Errorf("ParseSuite (-want +got):\n%s", diff)
	}
}

func TestParseSuiteRefuses(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ text, want string }{
		"nothing":         {"", "read s.yaml: it is empty"},
		"a list":          {"[]", "s.yaml:1:1: a suite is a mapping"},
		"no cases":        {"source: syscall", "s.yaml:1:1: there are no cases"},
		"what is no YAML": {"a: [", "read s.yaml: line 1: did not find expected node content"},
	} {
		if _, err := ParseSuite("s.yaml", []byte(tt.text)); err == nil || err.Error() != tt.want {
			t.Errorf("ParseSuite of %s: %v, want %s", name, err, tt.want)
		}
	}
}

// TestDefaultRules runs the cases of the rules that Windhover ships: every rule fires,
// and every branch of its condition makes a difference.
func TestDefaultRules(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../library/tests/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	tested := map[string]bool{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		s, err := ParseSuite(file, data)
		if err != nil {
			t.Fatal(err)
		}
		ruleFiles, err := rules.LoadPaths(s.Rules)
		if err != nil {
			t.Fatal(err)
		}
		r, report := NewRunner(ruleFiles)
		if err := report.Err(); err != nil {
			t.Fatal(err)
		}
		for i := range s.Tests {
			for _, wrong := range r.Run(&s.Tests[i]) {
				t.Errorf("%s:%d: %s: %s", file, s.Tests[i].Line, s.Tests[i].Name, wrong)
			}
		}
		for _, b := range r.Coverage().Open {
			t.Errorf("%s: %s", file, b)
		}
		for _, f := range ruleFiles {
			tested[filepath.Base(f.Name)] = true
		}
	}
	for _, f := range rules.Library() {
		if !tested[filepath.Base(f.Name)] {
			t.Errorf("the rules of %s have no cases in rules/library/tests", f.Name)
		}
	}
}

func TestSuitesThatExpandAreBounded(t *testing.T) {
	t.Parallel()
	text := "every_event: {fd.name: " + strings.Repeat("x", 1<<20) + "}\ncases:\n" + strings.Repeat("- {case: a, event: {}, alerts: []}\n", 1000)
	_, err := ParseSuite("s.yaml", []byte(text))
	if want := "s.yaml:66:20: the events up to this one are larger than 64 MiB"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func FuzzParseSuite(f *testing.F) {
	for _, s := range []string{
		"rules: [r.yaml]\nsource: syscall\nevery_event: {evt.type: openat, fd.num: 3}\ncases:\n- case: a\n  event: {fd.name: /x, proc.args: [a, 1, true, ~]}\n  alerts: [r, {rule: s, event: 1, contains: x}]\n",
		"cases:\n- {case: b, rule: r, events: [{}, {evt.type: open}], alert: false}\n",
		"cases: &c\n- *c\n- {case: x, event: &e {a.b: *e}, alert: maybe}\n",
		"- a\n", "casse: []\n", "cases: {}\n", "cases: [{case: a, event: {x: 0x10, y: 1e400, z: .nan}, alerts: []}]",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSuite("s.yaml", []byte(text))
		if err != nil {
			var joined interface{ Unwrap() []error }
			if errors.As(err, &joined) {
				for _, e := range joined.Unwrap() {
					if m, ok := errors.AsType[*Mistake](e); !ok || m.Line < 1 || m.Col < 1 || m.Msg == "" {
						t.Fatalf("%q: a mistake without a place: %v", text, e)
					}
				}
			}
			return
		}
		if len(s.Tests) == 0 && !strings.Contains(text, "cases") {
			t.Fatalf("%q: read without a mistake, and without cases", text)
		}
		for _, test := range s.Tests {
			if test.Name == "" {
				t.Fatalf("%q: a case without a name", text)
			}
			for _, ev := range test.Events {
				var object map[string]any
				if err := json.Unmarshal(ev, &object); err != nil || object["source"] == nil {
					t.Fatalf("%q: event %q is no object with a source: %v", text, ev, err)
				}
			}
		}
	})
}
