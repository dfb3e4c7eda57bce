package syntax

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, in, want string }{
		{"one comparison", "proc.name=a", "proc.name = a"},
		{"double equal sign is equal", "proc.name == a", "proc.name = a"},
		{"and binds tighter than or", "a.b=1 or a.b=2 and a.b=3", "(a.b = 1 or (a.b = 2 and a.b = 3))"},
		{"chains are flat", "m and n and o", "(m and n and o)"},
		{"not binds tighter than and", "not m and n", "(not m and n)"},
		{"not applies to the group", "not (m or n)", "not (m or n)"},
		{"not needs no blank before a group", "not(m or n)", "not (m or n)"},
		{"two nots cancel", "not not m", "m"},
		{"two nots cancel over a group", "not (not m)", "m"},
		{"three nots are one", "not not not m", "not m"},
		{"a macro may begin with not", "nothing and m", "(nothing and m)"},
		{"or takes a group without a blank", "m or(n)", "(m or n)"},
		{"and takes a group without a blank", "m and(n or o)", "(m and (n or o))"},
		{"a backspace is a blank", "m\band\bn", "(m and n)"},
		{"line ends are blanks", "m\n  and\r\n\tn", "(m and n)"},
		{"symbols need no blanks", "a.b>=1", "a.b >= 1"},
		{"in needs no blank", "fd.num in(1)", "fd.num in (1)"},
		{"in takes a word that follows at once", "fd.num infoo", "fd.num in (foo)"},
		{"in takes a name for a list", "fd.num in foo", "fd.num in (foo)"},
		{"an empty list", "a.b in ()", "a.b in ()"},
		{"blanks in an empty list", "a.b in ( )", "a.b in ()"},
		{"a list of words and strings", `a.b in (x, "y z" , 'w')`, `a.b in (x, "y z", w)`},
		{"pmatch takes a list", "fd.name pmatch (/etc, /usr/*)", "fd.name pmatch (/etc, /usr/*)"},
		{"exists takes nothing", "a.b exists and m", "(a.b exists and m)"},
		{"a modifier takes a list", "a.b startswith oneof (x, y)", "a.b startswith oneof (x, y)"},
		{"a modifier takes a name", "a.b = anyof foo", "a.b = anyof (foo)"},
		{"a modifier alone is a value", "a.b = oneof and m", "(a.b = oneof and m)"},
		{"a modifier at the end is a value", "a.b = allof", "a.b = allof"},
		{"a number after a numeric operator", "a.b < -1.5", "a.b < -1.5"},
		{"an exponent", "a.b < 1e+3", "a.b < 1e+3"},
		{"a hexadecimal number", "a.b < 0x1F", "a.b < 0x1F"},
		{"an argument in brackets", "proc.aname[2] = a", "proc.aname[2] = a"},
		{"an argument with slashes", "json.value[/a/b] = a", "json.value[/a/b] = a"},
		{"a quoted argument", `ka.x["a b"] = c`, `ka.x["a b"] = c`},
		{"a quoted argument that needs no quotes", `ka.x["ab"] = c`, `ka.x[ab] = c`},
		{"a transformer", "tolower(proc.name) = a", "tolower(proc.name) = a"},
		{"blanks in a transformer", "tolower( proc.name ) = a", "tolower(proc.name) = a"},
		{"a transformer of a transformer", "len(tolower(proc.name)) > 3", "len(tolower(proc.name)) > 3"},
		{"a transformer of several", "concat(proc.name, '-', proc.pname) = a", `concat(proc.name, "-", proc.pname) = a`},
		{"a transformer with a list", "join(',', (proc.name, 'x', 7)) = a", `join(",", (proc.name, "x", 7)) = a`},
		{"a transformer with an argument", "getopt(proc.args, 'ab:')[a] exists", `getopt(proc.args, "ab:")[a] exists`},
		{"a macro may have the name of a transformer", "len and m", "(len and m)"},
		{"a field on the right", "proc.name = val(proc.pname)", "proc.name = val(proc.pname)"},
		{"a transformer on the right", "proc.name = tolower(proc.pname)", "proc.name = tolower(proc.pname)"},
		{"a transformer on the right of a number", "fd.num < len(proc.name)", "fd.num < len(proc.name)"},
		{"a transformer on the right of in", "proc.name in getopt(proc.args, 'a')", `proc.name in getopt(proc.args, "a")`},
		{"the name of a transformer is a value", "proc.name = tolower", "proc.name = tolower"},
		{"an empty string", `a.b = ""`, `a.b = ""`},
		{"escapes", `a.b = "a\n\t\\x\"\x41\/"`, `a.b = "a\n\t\\x\"A/"`},
		{"a backslash before a blank swallows it", `a.b = "a\ b"`, `a.b = "a\\b"`},
		{"a single quote inside double quotes", `a.b = "it's"`, `a.b = "it's"`},
		{"a backslash at the end is written in hexadecimal", `a.b = "a\x5c"`, `a.b = "a\x5c"`},
		{"angle brackets are bare", "ka.verb = <NA>", "ka.verb = <NA>"},
		{"addresses are bare", "fd.ip = fe80::1", "fd.ip = fe80::1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			x, err := Parse(tt.in)
			if err != nil {
				t.Fatalf("Parse(%q): %v", tt.in, err)
			}
			if got := Text(x); got != tt.want {
				t.Errorf("Parse(%q)\n got %s\nwant %s", tt.in, got, tt.want)
			}
			checkRoundTrip(t, x)
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, in string
		at       int
		want     string
	}{
		{"nothing", "", 0, "want a field, a macro or a group in parentheses, found the end of the condition"},
		{"a comment", "a.b=open # and m", 9, `unexpected "#" after "open", want "and" or "or"`},
		{"a closing parenthesis too many", "a.b=open)", 8, `unexpected ")" after "open", want "and" or "or"`},
		{"a group that does not end", "(m or n", 7, `want ")" before the end of the condition`},
		{"something after a glued group", "m or(n) and o", 8, `unexpected "and" after ")", want "and" or "or"`},
		{"and without a second operand", "m and", 5, `want a blank or "(" after "and", found the end of the condition`},
		{"or glued to a word", "m orx", 4, `want a blank or "(" after "or", found "x"`},
		{"no operator", "a.b open", 4, `want an operator, found "open"`},
		{"a word operator without a blank", `a.b contains"x"`, 4, `want a blank after "contains"`},
		{"a string where a number must be", "proc.name < b", 12, `want a number after "<", found "b"`},
		{"a unit after a number", "a.b > 10ms", 8, `unexpected "ms" after "10", want "and" or "or"`},
		{"a list in a list", "a.b in ((a,b))", 8, `want a value, found "("`},
		{"a comma at the end of a list", "a.b in (a,)", 10, `want a value, found ")"`},
		{"a string that does not end", `a.b="a and m`, 4, "the string does not end"},
		{"a string that ends in an escaped backslash", `a.b="a\\" and m`, 4, "the string does not end"},
		{"an unknown escape", `a.b="a\q"`, 6, `unknown escape \q; known are \\ \/ \b \f \n \r \t \xHH \"`},
		{"the other quote escaped", `a.b="a\'"`, 6, `unknown escape \'; known are \\ \/ \b \f \n \r \t \xHH \"`},
		{"half a hexadecimal escape", `a.b="\x4"`, 5, `\x takes two hexadecimal digits`},
		{"a NUL byte in a string", `a.b="\x00"`, 4, "a string cannot hold a NUL byte"},
		{"a NUL byte", "m\x00", 1, "a condition cannot hold a NUL byte"},
		{"an unknown transformer", "reverse(proc.name) = a", 7, `unexpected "(" after "reverse", want "and" or "or"`},
		{"val on the left", "val(proc.name) = a", 3, `unexpected "(" after "val", want "and" or "or"`},
		{"val around a transformer", "a.b = val(len(a.b))", 18, `want a field after "val("`},
		{"an argument that does not end", "proc.aname[2 = a", 12, `want "]" after the argument, found " "`},
		{"an empty argument", "proc.aname[] = a", 11, `want an argument after "[": a quoted string or a word`},
		{"deeper than the limit", strings.Repeat("(", MaxDepth+1) + "m" + strings.Repeat(")", MaxDepth+1), MaxDepth + 1, "the condition nests deeper than 2000 levels"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			x, err := Parse(tt.in)
			if err == nil {
				t.Fatalf("Parse(%q) = %s, want an error", tt.in, Text(x))
			}
			if err.Msg != tt.want || err.Start != tt.at {
				t.Errorf("Parse(%q):\n got %d: %s\nwant %d: %s", tt.in, err.Start, err.Msg, tt.at, tt.want)
			}
		})
	}
}

func TestDepthAtTheLimitIsFine(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("(", MaxDepth) + "m" + strings.Repeat(")", MaxDepth)
	if _, err := Parse(text); err != nil {
		t.Errorf("Parse of %d groups: %v", MaxDepth, err)
	}
}

func TestHostileTextEndsQuickly(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"quotes that never close": "a.b in (" + strings.Repeat(`"`, MaxSize-10),
		"opening parentheses":     strings.Repeat("(", MaxSize),
		"nots":                    strings.Repeat("not ", MaxSize/4),
		"transformers":            strings.Repeat("len(", MaxSize/4),
		"values":                  "a.b in (" + strings.Repeat("a,", MaxSize/2-10),
		"a text over the limit":   strings.Repeat(" ", MaxSize+1),
	} {
		start := time.Now()
		if _, err := Parse(text); err == nil {
			t.Errorf("Parse of %s: no error", name)
		}
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("Parse of %s took %v", name, d)
		}
	}
}

func TestMarksStandForLists(t *testing.T) {
	t.Parallel()
	text := fmt.Sprintf("a.b in (%s, x, %s)", Mark(3), Mark(12))
	x, err := ParseMarked(text)
	if err != nil {
		t.Fatalf("ParseMarked(%q): %v", text, err)
	}
	want := []ListRef{{At: 0, List: 3}, {At: 1, List: 12}}
	if diff := cmp.Diff(want, x.(*Check).Lists); diff != "" {
		t.Errorf("lists of %q (-want +got):\n%s", text, diff)
	}
	if got := Text(x); got != text {
		t.Errorf("Text = %q, want %q", got, text)
	}
	for _, text := range []string{Mark(1), "a.b = " + Mark(1), "a.b in " + Mark(1), "m and " + Mark(1)} {
		if _, err := ParseMarked(text); err == nil || !err.Mark {
			t.Errorf("ParseMarked(%q) = %v, want an error about the mark", text, err)
		}
	}
}

func TestParseOperand(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"proc.name":          "proc.name",
		"proc.aname[2]":      "proc.aname[2]",
		"tolower(proc.name)": "tolower(proc.name)",
		"proc":               "",
		"proc.name ":         "",
		"proc.name = a":      "",
		"tolower(":           "",
	} {
		got := ""
		if x, err := ParseOperand(in); err == nil {
			got = OperandText(x)
		}
		if got != want {
			t.Errorf("ParseOperand(%q) = %q, want %q", in, got, want)
		}
	}
}

// sameTree compares trees but for where they were read.
func sameTree(a, b Expr) string {
	return cmp.Diff(a, b, cmpopts.IgnoreTypes(Span{}), cmpopts.EquateEmpty())
}

func checkRoundTrip(tb testing.TB, x Expr) {
	tb.Helper()
	text := Text(x)
	again, err := Parse(text)
	if err != nil {
		tb.Fatalf("Parse of the canonical text %q: %v", text, err)
	}
	if diff := sameTree(x, again); diff != "" {
		tb.Errorf("tree of the canonical text %q (-first +second):\n%s", text, diff)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"a.b = 1 or not (m and x.y in (a, 'b c'))", `a.b = "\x41\\"`, "tolower(a.b[x]) startswith anyof (q)",
		"a.b <= 0x12", "join(',', (a.b, 1)) = val(c.d)", "a.b in(\"\\\"\",c)", "not not not a", "a or(b)",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		x, err := Parse(text)
		if err != nil {
			if err.Start < 0 || err.Start > len(text) || err.End < err.Start || err.Msg == "" {
				t.Fatalf("Parse(%q): error %+v is out of the text", text, err)
			}
			return
		}
		checkRoundTrip(t, x)
	})
}

func TestEveryErrorOfAConditionIsReported(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, in, want string }{
		{"operands", "proc.name & x and fd.num = and fd.name", "10 31"},
		{"alternatives", "proc.name ~ a or b c or fd.num <", "10 19 32"},
		{"inside a group and behind it", "(proc.name ~ a or fd.num < b) and fd.name ~ c", "11 27 42"},
		{"inside a list", "proc.name in (a, =b) and fd.num ~ 1", "17 32"},
		{"after not", "not proc.name ~ a and not", "14 25"},
		{"a value that is no value", "proc.name = ( and fd.num < x", "12"},
		{"a string that does not end", "proc.name = \"a and fd.num < x", "12 28"},
		{"one word too many", "a b and c", "2"},
		{"a group glued to or", "a or(b) and c", "8"},
		{"a parenthesis too many", "a) and b) or c d", "1 8 15"},
		{"a parenthesis too few", "(a and (b or c)", "15"},
		{"a list without its end", "proc.name in (a, b and c", "19"},
		{"an operator of another language", "proc.name == a && fd.num = 1 || b", "15"},
		{"words that only look like and", "proc.name ~ land and band.x = y", "10"},
		{"a group that is empty", "() and fd.num ~ 1", "1 14"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			x, errs := ParseAll(tt.in)
			var got []string
			for _, err := range errs {
				got = append(got, strconv.Itoa(err.Start))
			}
			if s := strings.Join(got, " "); s != tt.want || x != nil {
				t.Errorf("ParseAll(%q): errors at %s, want %s: %v", tt.in, s, tt.want, errs)
			}
		})
	}
	if _, errs := ParseAll(strings.Repeat("a.b ~ c and ", 100) + "a.b = c"); len(errs) != maxErrors {
		t.Errorf("100 errors: %d are reported, want %d", len(errs), maxErrors)
	}
}
