package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// authored is a rules file with something of everything.
const authored = `- required_engine_version: 0.31.0
- list: shells
  items: [bash, sh]
- list: all_shells
  items: [shells, zsh, "a shell"]
- macro: started
  condition: evt.type in (execve, execveat) and evt.failed = false
- macro: unused
  condition: proc.pid = 1

- rule: shell
  desc: >
    A shell was started
    by a server.
  condition: started and proc.name in (all_shells) and (proc.pname = nginx or proc.aname = httpd)
  output: shell %proc.cmdline of %proc.pname (user=%user.name)
  priority: WARNING
  tags: [T1059, process]
  exceptions:
    - name: known
      fields: [proc.cmdline, proc.pname]
      comps: [startswith, "="]
      values:
        - ["sh -c true", nginx]
    - name: users
      fields: user.name
      values: [root]

- rule: program
  desc: A program was started.
  condition: started and proc.exepath glob /tmp/*
  output: program %proc.exepath
  priority: INFO
  enabled: false

- rule: removed
  desc: A file was removed.
  condition: (evt.type = unlink or evt.type = execve and proc.name = rm) and not fs.path.name startswith /tmp
  output: removed %fs.path.name
  priority: INFO

- rule: everything
  desc: Anything.
  condition: proc.name = x and evt.num > 0
  warn_evttypes: false
  output: x
  priority: DEBUG

- rule: exec
  desc: Somebody used exec.
  condition: ka.verb = create and ka.target.subresource in (exec, attach)
  output: exec by %ka.user.name
  priority: NOTICE
  source: k8s_audit
`

func TestRules(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "r.yaml")
	write(t, file, authored)
	for _, tt := range []struct {
		name, golden string
		args         []string
	}{
		{"a list", "rules-list.txt", []string{"rules", "list"}},
		{"a list of one source", "rules-list-k8s.txt", []string{"rules", "list", "--source", "k8s_audit"}},
		{"a list by tag", "rules-list-tag.txt", []string{"rules", "list", "--tag", "T1059"}},
		{"everything as JSON", "rules-list.json", []string{"rules", "list", "--format", "json"}},
		{"a rule", "rules-show.txt", []string{"rules", "show", "shell"}},
		{"a rule as JSON", "rules-show.json", []string{"rules", "show", "shell", "--format", "json"}},
		{"a rule without macros", "rules-show-exec.txt", []string{"rules", "show", "exec"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := windhover(t, t.Context(), nil, append(tt.args, "-r", file)...)
			if code != exitOK || stderr != "" {
				t.Fatalf("windhover %v: code %d: %s", tt.args, code, stderr)
			}
			golden(t, filepath.Join("testdata", tt.golden), strings.ReplaceAll(stdout, filepath.Dir(file), ""))
		})
	}
}

func TestRulesMistakes(t *testing.T) {
	t.Parallel()
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	write(t, bad, "- rule: r\n  desc: d\n  condition: proc.nmae = bash\n  output: o\n  priority: ERROR\n")
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"a rule that is not there", []string{"rules", "show", "Log file cleard"}, `no rule "Log file cleard"; did you mean "Log file cleared"?`},
		{"a rule that is like none", []string{"explain", "x"}, `no rule "x"; see windhover rules list`},
		{"no rule", []string{"rules", "show"}, "windhover rules show --help"},
		{"rules with errors", []string{"rules", "list", "-r", bad}, bad + `:3:14: no field "proc.nmae"; did you mean "proc.name"?`},
		{"an unknown source", []string{"rules", "list", "--source", "syscal"}, `no source "syscal"; there are`},
		{"an unknown format", []string{"rules", "list", "--format", "yaml"}, `--format: no "yaml"; there are text and json`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := windhover(t, t.Context(), nil, tt.args...)
			if code != exitUsage || !strings.Contains(stderr, tt.want) {
				t.Errorf("windhover %v: code %d, want %d with %q in\n%s%s", tt.args, code, exitUsage, tt.want, stdout, stderr)
			}
		})
	}
}
