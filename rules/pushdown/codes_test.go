package pushdown_test

import (
	"testing"

	"github.com/windhover/windhover/rules/check"
	"github.com/windhover/windhover/rules/pushdown"
	"github.com/windhover/windhover/rules/syntax"
)

func TestCodesAreCountedLikeThoseOfFalco(t *testing.T) {
	t.Parallel()
	const all = 452 // codes of its table less two; it has 454
	for _, tt := range []struct {
		name, condition string
		want            int
	}{
		{"a call with a start and an end", "evt.type = open", 2},
		{"a call whose parameters once were others", "evt.type in (execve, clone)", 24},
		{"calls without parameters of their own share two", "evt.type in (getpid, gettid, sync)", 2},
		{"an event that is no call", "evt.type = container", 3},
		{"either", "evt.type = open or evt.type = close", 4},
		{"both", "evt.type in (open, close) and evt.type in (close, read) and proc.name = a", 2},
		{"all but one", "evt.type != open", all},
		{"all but those that share two", "not evt.type in (getpid, sync)", all},
		{"what names none", "proc.name = a", all + 2},
		{"what names some in one part only", "evt.type = open or proc.name = a", all + 2},
		{"none", "evt.type = open and evt.type = close", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			x, err := syntax.Parse(tt.condition)
			if err != nil {
				t.Fatal(err)
			}
			c := check.Checker{Source: "syscall"}
			expr, problems, _ := c.Check(x)
			if expr == nil {
				t.Fatalf("Check(%q): %v", tt.condition, problems)
			}
			if got := pushdown.Codes(expr); got != tt.want {
				t.Errorf("Codes(%q) = %d, want %d", tt.condition, got, tt.want)
			}
		})
	}
}
