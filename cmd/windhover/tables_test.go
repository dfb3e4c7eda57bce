package main

import (
	"strings"
	"testing"
)

func TestTables(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		args []string
		code int
		want string // a line of the output, or a part of what is wrong
	}{
		{"fields as Markdown", []string{"fields", "proc.aname", "--format", "markdown"}, exitOK, "| `proc.aname[ARG]?` | text | "},
		{"a heading for each class", []string{"fields", "ka.verb", "--format", "markdown"}, exitOK, "## k8saudit (k8s_audit)"},
		{"a list among fields", []string{"fields", "ka.user.groups", "--format", "json"}, exitOK, `    "list": true,`},
		{"fields of an unknown source", []string{"fields", "--source", "k8saudit"}, exitUsage, `no source "k8saudit"; there are aws_cloudtrail, `},
		{"events as Markdown", []string{"events", "openat2", "--format", "markdown"}, exitOK, "| `openat2` | "},
		{"events of documents", []string{"events", "--source", "k8s_audit"}, exitOK, "pluginevent"},
		{"events as something else", []string{"events", "--format", "csv"}, exitUsage, `--format: no "csv"; there are text, json and markdown`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := windhover(t, t.Context(), nil, tt.args...)
			if code != tt.code || !strings.Contains("\n"+stdout+stderr, tt.want) {
				t.Errorf("windhover %v: code %d, want %d with %q in\n%s%s", tt.args, code, tt.code, tt.want, stdout, stderr)
			}
		})
	}
	if code, stdout, _ := windhover(t, t.Context(), nil, "events", "--source", "syscall", "pluginevent"); code != exitUsage {
		t.Errorf("events of system calls have %q: code %d, want %d", stdout, code, exitUsage)
	}
}
