package plan

import (
	"bytes"
	"strings"
)

// glob is a pattern of fnmatch(3) without flags: "*" and "?" match slashes too, and a
// backslash takes away the meaning of what follows. It works on bytes.
type glob struct {
	tokens []globToken
	fold   bool
	piece  []byte // part of every text that matches; empty if fold
}

type globToken struct {
	kind globKind
	c    byte
	set  *[4]uint64 // of bytes, for globSet
}

type globKind uint8

const (
	globByte globKind = iota
	globAny           // ?
	globStar          // *
	globSet           // […]
)

func newGlob(pattern string, fold bool) *glob {
	g := &glob{fold: fold}
	for i := 0; i < len(pattern); i++ {
		c := pattern[i]
		switch c {
		case '?':
			g.tokens = append(g.tokens, globToken{kind: globAny})
			continue
		case '*':
			if n := len(g.tokens); n == 0 || g.tokens[n-1].kind != globStar {
				g.tokens = append(g.tokens, globToken{kind: globStar})
			}
			continue
		case '[':
			if set, n := globClass(pattern[i:], fold); n > 0 {
				g.tokens = append(g.tokens, globToken{kind: globSet, set: set})
				i += n - 1
				continue
			}
		case '\\':
			if i+1 < len(pattern) {
				i++
				c = pattern[i]
			}
		}
		if fold {
			c = lower(c)
		}
		g.tokens = append(g.tokens, globToken{c: c})
	}
	if !fold {
		g.piece = g.longestPiece()
	}
	return g
}

// longestPiece returns the longest run of bytes that stand for themselves.
func (g *glob) longestPiece() []byte {
	var best, run []byte
	for _, t := range g.tokens {
		if t.kind != globByte {
			run = nil
			continue
		}
		if run = append(run, t.c); len(run) > len(best) {
			best = run
		}
	}
	return best
}

var classes = map[string]func(c byte) bool{
	"alpha": isAlpha, "digit": isDigit,
	"alnum":  func(c byte) bool { return isAlpha(c) || isDigit(c) },
	"upper":  func(c byte) bool { return c >= 'A' && c <= 'Z' },
	"lower":  func(c byte) bool { return c >= 'a' && c <= 'z' },
	"space":  func(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' },
	"blank":  func(c byte) bool { return c == ' ' || c == '\t' },
	"punct":  func(c byte) bool { return c > ' ' && c < 0x7f && !isAlpha(c) && !isDigit(c) },
	"print":  func(c byte) bool { return c >= ' ' && c < 0x7f },
	"graph":  func(c byte) bool { return c > ' ' && c < 0x7f },
	"cntrl":  func(c byte) bool { return c < ' ' || c == 0x7f },
	"xdigit": func(c byte) bool { return isDigit(c) || lower(c) >= 'a' && lower(c) <= 'f' },
}

func isAlpha(c byte) bool { return lower(c) >= 'a' && lower(c) <= 'z' }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// globClass reads a bracket expression at the start of p and returns it and its length,
// or 0 if it does not end: then the bracket stands for itself.
func globClass(p string, fold bool) (*[4]uint64, int) {
	var set [4]uint64
	add := func(c byte) { set[c/64] |= 1 << (c % 64) }
	i := 1
	negated := i < len(p) && (p[i] == '!' || p[i] == '^')
	if negated {
		i++
	}
	for first := true; ; first = false {
		if i >= len(p) {
			return nil, 0
		}
		if p[i] == ']' && !first {
			break
		}
		if strings.HasPrefix(p[i:], "[:") {
			name, _, ok := strings.Cut(p[i+2:], ":]")
			if in := classes[name]; ok && in != nil {
				for c := range 256 {
					if in(byte(c)) {
						add(byte(c))
					}
				}
				i += len(name) + len("[::]")
				continue
			}
		}
		low := p[i]
		if low == '\\' && i+1 < len(p) {
			i++
			low = p[i]
		}
		i++
		high := low
		if i+1 < len(p) && p[i] == '-' && p[i+1] != ']' {
			i++
			if high = p[i]; high == '\\' && i+1 < len(p) {
				i++
				high = p[i]
			}
			i++
		}
		for c := int(low); c <= int(high); c++ {
			add(byte(c))
		}
	}
	if fold {
		for c := byte('a'); c <= 'z'; c++ {
			up := c - ('a' - 'A')
			if set[c/64]>>(c%64)&1|set[up/64]>>(up%64)&1 != 0 {
				add(c)
				add(up)
			}
		}
	}
	if negated {
		for i := range set {
			set[i] = ^set[i]
		}
	}
	return &set, i + 1
}

// match takes time in the product of both lengths at most: a star is tried again only
// until the next one.
func (g *glob) match(v []byte) bool {
	if len(g.piece) > 0 && !bytes.Contains(v, g.piece) {
		return false
	}
	t, star, back := 0, -1, 0
	i := 0
	for i < len(v) {
		if t < len(g.tokens) {
			switch tok := &g.tokens[t]; {
			case tok.kind == globStar:
				star, back = t, i
				t++
				continue
			case g.matchByte(tok, v[i]):
				t++
				i++
				continue
			}
		}
		if star < 0 {
			return false
		}
		back++
		i, t = back, star+1
	}
	for t < len(g.tokens) && g.tokens[t].kind == globStar {
		t++
	}
	return t == len(g.tokens)
}

func (g *glob) matchByte(tok *globToken, c byte) bool {
	switch tok.kind {
	case globAny:
		return true
	case globSet:
		return tok.set[c/64]>>(c%64)&1 != 0
	}
	if g.fold {
		c = lower(c)
	}
	return c == tok.c
}
