package check

import (
	"testing"

	"github.com/windhover/windhover/rules/syntax"
)

func TestNearest(t *testing.T) {
	t.Parallel()
	words := []string{"proc.name", "proc.pname", "proc.aname", "fd.name", "open", "openat"}
	for word, want := range map[string]string{
		"proc.nmae": "proc.name", "proc.pnme": "proc.pname", "opennat": "openat", "oepn": "open", "fd.nam": "fd.name",
		"something else": "", "": "", "x": "",
	} {
		if got := Nearest(word, words); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", word, got, want)
		}
	}
}

// check returns what is wrong with a condition for system calls.
func check(t *testing.T, text string, macros map[string]string) []Problem {
	t.Helper()
	c := Checker{Source: "syscall", Macros: map[string]*Macro{}}
	index := 0
	for name, m := range macros {
		x, err := syntax.Parse(m)
		if err != nil {
			t.Fatalf("Parse(%q): %v", m, err)
		}
		index++
		c.Macros[name] = &Macro{Expr: x, Index: index, Visibility: 100}
	}
	x, err := syntax.Parse(text)
	if err != nil {
		t.Fatalf("Parse(%q): %v", text, err)
	}
	expr, problems, _ := c.Check(x)
	failed := false
	for _, p := range problems {
		failed = failed || !p.Kind.Warning()
	}
	if (expr == nil) != failed {
		t.Errorf("Check(%q): an expression: %v, but errors: %v", text, expr != nil, failed)
	}
	return problems
}

func TestCheckReportsEverything(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, text string
		want       []string // the words that are wrong
	}{
		{"nothing is wrong", "proc.name = a and not fd.num > 3", nil},
		{"each unknown field", "proc.nmae = a or (fd.nme = b and proc.name = c)", []string{"proc.nmae", "fd.nme"}},
		{"both sides", "proc.nmae = val(proc.pnmae)", []string{"proc.nmae", "val(proc.pnmae)"}},
		{"each constant of a list", "fd.num in (1, x, 2, y)", []string{"x", "y"}},
		{"the operator", "fd.num contains 1", []string{"contains"}},
		{"a field in a transformer", "tolower(proc.nmae) = a", []string{"proc.nmae"}},
		{"an unknown type", "evt.type in (open, opne)", []string{"opne"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, p := range check(t, tt.text, nil) {
				got = append(got, tt.text[p.Span.Start:p.Span.End])
			}
			if len(got) != len(tt.want) {
				t.Fatalf("Check(%q) points at %q, want %q", tt.text, got, tt.want)
			}
			for i := range got {
				if got[i] != tt.want[i] {
					t.Errorf("Check(%q) points at %q, want %q", tt.text, got, tt.want)
				}
			}
		})
	}
}

func TestErrorsOfAMacroAreHandedOutOnce(t *testing.T) {
	t.Parallel()
	problems := check(t, "m and m and evt.type = open", map[string]string{"m": "proc.nmae = a"})
	if len(problems) != 1 || problems[0].Macro != "m" || problems[0].Kind != Unknown || problems[0].Hint != `did you mean "proc.name"?` {
		t.Errorf("problems of a condition that uses a macro with an error twice: %+v", problems)
	}
}

func TestMacrosThatDoubleAreRefused(t *testing.T) {
	t.Parallel()
	c := Checker{Source: "syscall", Macros: map[string]*Macro{}}
	text := "proc.name = a"
	for i := range 40 {
		x, err := syntax.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		name := "m" + string(rune('a'+i/26)) + string(rune('a'+i%26))
		c.Macros[name] = &Macro{Expr: x, Index: i, Visibility: i + 1}
		text = name + " and " + name
	}
	x, err := syntax.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if expr, problems, _ := c.Check(x); expr != nil || len(problems) == 0 {
		t.Errorf("2^40 comparisons: an expression: %v, %d problems", expr != nil, len(problems))
	}
}
