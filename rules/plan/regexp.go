package plan

import (
	"bytes"
	"regexp"
	"regexp/syntax"
)

// regexpTest returns the test of a pattern, which is anchored. Texts that lack a piece
// that every match contains are refused without running the automaton.
func regexpTest(re *regexp.Regexp, pattern string) func([]byte) bool {
	tree, err := syntax.Parse(pattern, syntax.POSIX)
	if err != nil {
		return re.Match
	}
	piece := []byte(required(tree))
	if len(piece) == 0 {
		return re.Match
	}
	return func(v []byte) bool { return bytes.Contains(v, piece) && re.Match(v) }
}

// required returns the longest text that is part of every match of x, as far as it is
// plain to see.
func required(x *syntax.Regexp) string {
	switch x.Op {
	case syntax.OpLiteral:
		if x.Flags&syntax.FoldCase == 0 {
			return string(x.Rune)
		}
	case syntax.OpCapture, syntax.OpPlus:
		return required(x.Sub[0])
	case syntax.OpRepeat:
		if x.Min > 0 {
			return required(x.Sub[0])
		}
	case syntax.OpConcat:
		best := ""
		for _, sub := range x.Sub {
			if s := required(sub); len(s) > len(best) {
				best = s
			}
		}
		return best
	}
	return ""
}
