package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

// mistakes is a rules file with several of them, and things that are only suspicious.
const mistakes = `- list: shell_programs
  items: [bash, sh]

- macro: started
  condition: evt.type = execvee and proc.nmae in (shell_programs)

- rule: shell
  desc: d
  condition: started and proc.pname = nginx and spwned
  output: shell %proc.cmdline
  priority: WARNING

- rule: third
  desc: d
  condition: evt.type = execve
  output: shell %proc.cmdlin
  priority: WARNING

- rule: other
  desc: d
  condition: evt.type = execve
  output: o
  priority: WARNNING
`

const suspicious = `- list: shell_programs
  items: [bash, sh]

- rule: shell
  desc: d
  condition: >
    evt.type = execve and proc.name in (shell_progams)
    and proc.name in (shell_programs) and proc.name = zsh
  output: shell %proc.cmdline
  priority: WARNING
`

func TestCheckReports(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, text, format, golden string
		code                       int
	}{
		{"every error at once", mistakes, "text", "check-errors.txt", exitFailed},
		{"errors as JSON", mistakes, "json", "check-errors.json", exitFailed},
		{"errors as SARIF", mistakes, "sarif", "check-errors.sarif", exitFailed},
		{"lints", suspicious, "text", "check-lints.txt", exitOK},
		{"lints as JSON", suspicious, "json", "check-lints.json", exitOK},
		{"lints as SARIF", suspicious, "sarif", "check-lints.sarif", exitOK},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			file := filepath.Join(dir, "my rules.yaml")
			write(t, file, tt.text)
			code, stdout, stderr := windhover(t, t.Context(), nil, "check", "--format", tt.format, file)
			if code != tt.code || stderr != "" {
				t.Errorf("check: code %d, want %d; stderr %q", code, tt.code, stderr)
			}
			if tt.format != "text" && !json.Valid([]byte(stdout)) {
				t.Errorf("check --format %s prints no JSON: %s", tt.format, stdout)
			}
			golden(t, filepath.Join("testdata", tt.golden), strings.ReplaceAll(stdout, filepath.ToSlash(dir)+"/", "/"))
		})
	}
}

func TestCheckReportsFilesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for format, extension := range map[string]string{"text": "txt", "json": "json", "sarif": "sarif"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			file := filepath.Join(dir, "rules.yaml")
			write(t, file, "- rule: r\n  desc: d\n  condition: evt.type = opne\n  output: o\n  priority: INFO\n")
			code, stdout, stderr := windhover(t, t.Context(), nil, "check", "--format", format, filepath.Join(dir, "none.yaml"), file)
			if code != exitFailed || stderr != "" {
				t.Errorf("check: code %d, want %d; stderr %q", code, exitFailed, stderr)
			}
			golden(t, filepath.Join("testdata", "check-unread."+extension), strings.ReplaceAll(stdout, filepath.ToSlash(dir)+"/", "/"))
		})
	}
}

func TestSARIFRepeatsNoLongLine(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "r.yaml")
	write(t, file, "- rule: r\n  desc: d\n  output: o\n  priority: INFO\n  condition: evt.type = open"+strings.Repeat(" or proc.nmae = x", 100)+"\n")
	_, stdout, _ := windhover(t, t.Context(), nil, "check", "--format", "sarif", file)
	if n := strings.Count(stdout, "proc.nmae = x"); n != 0 || strings.Count(stdout, `"startColumn"`) != 100 {
		t.Errorf("a line with 100 mistakes: %d regions, want 100; %d copies of its parts, want none", strings.Count(stdout, `"startColumn"`), n)
	}
}

func TestCheckStrictFailsOnWarnings(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "r.yaml")
	write(t, file, suspicious)
	if code, _, _ := windhover(t, t.Context(), nil, "check", "--strict", file); code != exitFailed {
		t.Errorf("check --strict of a file with warnings: code %d, want %d", code, exitFailed)
	}
	write(t, file, strings.Replace(suspicious, "shell_progams)\n    and proc.name in (shell_programs) and proc.name = zsh", "shell_programs)", 1))
	if code, stdout, _ := windhover(t, t.Context(), nil, "check", "--strict", file); code != exitOK {
		t.Errorf("check --strict of a right file: code %d, want 0\n%s", code, stdout)
	}
}
