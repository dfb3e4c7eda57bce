package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/rules"
)

func TestExplain(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "r.yaml")
	write(t, file, authored)
	for _, tt := range []struct{ name, rule, golden string }{
		{"events that other rules need too", "shell", "explain-shell.txt"},
		{"events that only this rule needs", "removed", "explain-removed.txt"},
		{"every event", "everything", "explain-everything.txt"},
		{"documents", "exec", "explain-exec.txt"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := windhover(t, t.Context(), nil, "explain", tt.rule, "-r", file)
			if code != exitOK || stderr != "" {
				t.Fatalf("explain %s: code %d: %s", tt.rule, code, stderr)
			}
			golden(t, filepath.Join("testdata", tt.golden), stdout)
		})
	}
}

// BenchmarkComparisons measures what the cost constants say.
func BenchmarkComparisons(b *testing.B) {
	for _, bb := range []struct{ name, condition string }{
		{"exists", "not proc.name exists"},
		{"number", "proc.pid = 5"},
		{"text", "proc.name = nginx2"},
		{"set", "proc.name in (a, b, c, d, e, f, g, h, i, j)"},
		{"affix", "proc.name startswith postgres"},
		{"contains", "proc.exepath contains /opt/"},
		{"glob", "proc.exepath glob /home/*/.ssh/id_*"},
		{"paths", "proc.exepath pmatch (/opt, /usr/lib, /usr/local/bin)"},
		{"regexp", `proc.exepath regex "/usr/(local|share)/[a-z]+/.*"`},
		{"ancestors", "proc.aname = nginx2"},
		{"transform", "tolower(proc.exepath) = /opt/x"},
	} {
		b.Run(bb.name, func(b *testing.B) {
			text := fmt.Sprintf("- rule: r\n  desc: d\n  condition: evt.type = openat and %s\n  output: o\n  priority: INFO\n", bb.condition)
			set, rep := rules.Compile([]rules.File{{Name: "r.yaml", Data: []byte(text)}}, rules.Options{})
			if err := rep.Err(); err != nil {
				b.Fatal(err)
			}
			p := &event.Process{PID: 7, Start: 1}
			for up, i := p, 0; i < 5; i++ {
				up.SetImage(&event.Image{Name: []byte("nginx"), ExePath: []byte("/usr/sbin/nginx")})
				parent := &event.Process{PID: 6, Start: 1}
				up.SetParent(parent)
				up = parent
			}
			ev := &event.Event{Type: event.OpenAt, Source: &event.Source{Type: "syscall"}, Proc: p}
			var matches []*rules.Rule
			for b.Loop() {
				matches = set.AppendMatches(matches[:0], ev)
			}
			if len(matches) > 0 {
				b.Errorf("%s holds, want a condition that does not", strings.TrimSpace(bb.condition))
			}
		})
	}
}
