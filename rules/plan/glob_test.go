package plan

import (
	"strings"
	"testing"
	"time"
)

// naiveGlob tries every way to read the pattern; it knows no brackets.
func naiveGlob(p, s string) bool {
	switch {
	case p == "":
		return s == ""
	case p[0] == '*':
		return naiveGlob(p[1:], s) || s != "" && naiveGlob(p, s[1:])
	case p[0] == '\\' && len(p) > 1:
		return s != "" && s[0] == p[1] && naiveGlob(p[2:], s[1:])
	case s == "":
		return false
	}
	return (p[0] == '?' || p[0] == s[0]) && naiveGlob(p[1:], s[1:])
}

func FuzzGlob(f *testing.F) {
	for _, s := range [][2]string{{"a*b", "axxb"}, {"*a*b*", "ab"}, {"?", ""}, {`\*`, "*"}, {"**a", "ba"}, {`a\`, `a\`}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, pattern, text string) {
		if strings.Contains(pattern, "[") || len(pattern) > 12 || len(text) > 20 {
			return
		}
		if got, want := newGlob(pattern, false).match([]byte(text)), naiveGlob(pattern, text); got != want {
			t.Errorf("glob %q matches %q: %v, want %v", pattern, text, got, want)
		}
		if prefix := literalPrefix(pattern); naiveGlob(pattern, text) && !strings.HasPrefix(text, prefix) {
			t.Errorf("glob %q matches %q, which does not begin with %q", pattern, text, prefix)
		}
	})
}

func TestGlobSets(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, pattern, yes, no string // yes and no: texts, separated by blanks
	}{
		{"a set", "a[bc]", "ab ac", "ad a"},
		{"a range", "[a-c]", "a b c", "d -"},
		{"a negated set", "[!a]", "b", "a"},
		{"a set negated by a caret", "[^a]", "b", "a"},
		{"a closing bracket first", "[]a]", "] a", "b"},
		{"a minus at the end", "[a-]", "a -", "b"},
		{"a class", "[[:digit:]x]", "1 x", "a"},
		{"a class that is none", "[[:nope:]]", ":] n] []", "1 n"},
		{"a backslash in a set", `[\]]`, "]", `\`},
		{"an open bracket", "[a", "[a", "a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := newGlob(tt.pattern, false)
			for s := range strings.FieldsSeq(tt.yes) {
				if !g.match([]byte(s)) {
					t.Errorf("glob %q does not match %q", tt.pattern, s)
				}
			}
			for s := range strings.FieldsSeq(tt.no) {
				if g.match([]byte(s)) {
					t.Errorf("glob %q matches %q", tt.pattern, s)
				}
			}
		})
	}
	if g := newGlob("[A-C]x", true); !g.match([]byte("bX")) || g.match([]byte("dx")) {
		t.Error("a set without regard to case does not take both cases")
	}
}

func TestGlobTakesNoExponentialTime(t *testing.T) {
	t.Parallel()
	g := newGlob(strings.Repeat("*a", 50)+"b", false)
	start := time.Now()
	if g.match([]byte(strings.Repeat("a", 10_000))) {
		t.Error("the pattern matches without its last byte")
	}
	if d := time.Since(start); d > time.Second {
		t.Errorf("match took %v", d)
	}
}

func TestPathTree(t *testing.T) {
	t.Parallel()
	tree := newPathTree([]string{"/etc", "/home/*/.ssh", "home/u/x", "/a/?/c"})
	for path, want := range map[string]bool{
		"/etc": true, "/etc/passwd": true, "etc": true, "/etcd": false, "/": false, "": false,
		"/home/u/.ssh": true, "/home/u/x/y": true, "/home/v/x": false, "//home//w//.ssh/": true, "/a/b/c": true, "/a/bb/c": false,
	} {
		if got := tree.match([]byte(path)); got != want {
			t.Errorf("a path is a prefix of %q: %v, want %v", path, got, want)
		}
	}
}
