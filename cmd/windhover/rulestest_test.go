package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const testedCases = `
every_event: {evt.type: execve, evt.failed: false}
cases:
  - case: nginx starts a shell
    event: {proc.name: sh, proc.pname: nginx, proc.cmdline: sh -c id, user.name: www}
    alerts: [{rule: shell, output: "shell sh -c id of nginx (user=www)"}]
  - case: sshd starts a shell
    event: {proc.name: sh, proc.pname: sshd}
    alerts: [shell]
  - case: root may
    rule: shell
    event: {proc.name: sh, proc.pname: nginx, user.name: root}
    alert: false
`

func TestRulesTest(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rules, cases, junit := filepath.Join(dir, "r.yaml"), filepath.Join(dir, "cases"), filepath.Join(dir, "junit.xml")
	write(t, rules, authored)
	if err := os.Mkdir(cases, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(cases, "shell.yaml"), testedCases)
	write(t, filepath.Join(cases, "own.txtar"), "A case with its rules.\n-- r.yaml --\n- rule: r\n  desc: d\n  condition: evt.type = openat\n"+
		"  output: opened %fd.name\n  priority: INFO\n-- events.jsonl --\n{\"fd.name\": \"/x\"}\n-- alerts.jsonl --\n{\"event\":1,\"rule\":\"r\",\"output\":\"opened /y\"}\n")
	code, stdout, stderr := windhover(t, t.Context(), nil, "rules", "test", cases, "-r", rules, "--junit", junit, "--verbose")
	if code != exitFailed || stderr != "" {
		t.Errorf("rules test: code %d, want %d\n%s", code, exitFailed, stderr)
	}
	golden(t, filepath.Join("testdata", "rules-test.txt"), strings.ReplaceAll(stdout, dir, ""))
	report, err := os.ReadFile(junit)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, filepath.Join("testdata", "rules-test.xml"), strings.ReplaceAll(string(report), dir, ""))

	write(t, filepath.Join(cases, "shell.yaml"), strings.Replace(testedCases, "sshd}\n    alerts: [shell]", "sshd}\n    alerts: []", 1))
	if err := os.Remove(filepath.Join(cases, "own.txtar")); err != nil {
		t.Fatal(err)
	}
	if code, stdout, _ := windhover(t, t.Context(), nil, "rules", "test", cases, "-r", rules); code != exitOK {
		t.Errorf("rules test of cases that hold: code %d\n%s", code, stdout)
	}
}

func TestRulesTestMistakes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cases, empty := filepath.Join(dir, "c.yaml"), filepath.Join(dir, "empty")
	write(t, cases, "cases:\n  - case: a\n    evnt: {}\n    alerts: []\n")
	if err := os.Mkdir(empty, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"a mistake in a file", []string{cases}, cases + `:3:5: unknown key "evnt"; did you mean "event"?`},
		{"a file that is not there", []string{filepath.Join(dir, "no.yaml")}, "no such file or directory"},
		{"a directory without cases", []string{empty}, "no file of cases in " + empty},
		{"no file", nil, "windhover rules test --help"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			code, _, stderr := windhover(t, t.Context(), nil, append([]string{"rules", "test"}, tt.args...)...)
			if code != exitUsage || !strings.Contains(stderr, tt.want) {
				t.Errorf("rules test %v: code %d, want %d with %q in\n%s", tt.args, code, exitUsage, tt.want, stderr)
			}
		})
	}
}
