package ruletest

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write what the cases give into them")

// TestCases runs test/cases: one behaviour of the rule language each.
func TestCases(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../test/cases/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("no case in test/cases")
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			c, err := Parse(data)
			if err != nil {
				t.Fatal(err)
			}
			alerts, report, err := c.Run()
			if err != nil {
				t.Fatal(err)
			}
			if *update {
				if err := os.WriteFile(file, Update(data, alerts, report), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(c.Report, report); diff != "" {
				t.Errorf("report (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.Alerts, alerts); diff != "" {
				t.Errorf("alerts (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"a case without rules": "-- events.jsonl --\n{}\n",
		"an unknown part":      "-- a.yaml --\n-- b.txt --\n",
	} {
		if _, err := Parse([]byte(text)); err == nil {
			t.Errorf("Parse of %s: no error", name)
		}
	}
}

func TestUpdateKeepsWhatRunDoesNotWrite(t *testing.T) {
	t.Parallel()
	in := "Why.\n\n-- a.yaml --\n- x\n-- events.jsonl --\n{}\n-- alerts.jsonl --\nold\n"
	want := "Why.\n\n-- a.yaml --\n- x\n-- events.jsonl --\n{}\n-- alerts.jsonl --\nnew\n"
	if diff := cmp.Diff(want, string(Update([]byte(in), "new\n", ""))); diff != "" {
		t.Errorf("Update (-want +got):\n%s", diff)
	}
}
