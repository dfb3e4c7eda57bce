package plan

import (
	"bytes"
	"strings"
)

// pathTree holds paths by their components, to find out whether one of them is a
// prefix of a path.
type pathTree struct {
	end   bool // a path ends here: every longer one matches
	next  map[string]*pathTree
	globs []pathGlob
}

type pathGlob struct {
	pattern *glob
	text    string
	next    *pathTree
}

func newPathTree(paths []string) *pathTree {
	root := &pathTree{}
	for _, p := range paths {
		t := root
		for c := range strings.SplitSeq(p, "/") {
			if c != "" {
				t = t.child(c)
			}
		}
		t.end = true
	}
	return root
}

func (t *pathTree) child(c string) *pathTree {
	if strings.ContainsAny(c, "?*[") {
		for i := range t.globs {
			if t.globs[i].text == c {
				return t.globs[i].next
			}
		}
		next := &pathTree{}
		t.globs = append(t.globs, pathGlob{newGlob(c, false), c, next})
		return next
	}
	if t.next == nil {
		t.next = map[string]*pathTree{}
	}
	next := t.next[c]
	if next == nil {
		next = &pathTree{}
		t.next[c] = next
	}
	return next
}

// match reports whether a path of the tree is a prefix of p, by components; empty
// components do not count.
func (t *pathTree) match(p []byte) bool {
	for {
		if t.end {
			return true
		}
		for len(p) > 0 && p[0] == '/' {
			p = p[1:]
		}
		if len(p) == 0 {
			return false
		}
		c := p
		if i := bytes.IndexByte(p, '/'); i >= 0 {
			c = p[:i]
		}
		p = p[len(c):]
		next := t.next[string(c)]
		if len(t.globs) > 0 {
			if next != nil && next.match(p) {
				return true
			}
			for i := range t.globs {
				if g := &t.globs[i]; g.pattern.match(c) && g.next.match(p) {
					return true
				}
			}
			return false
		}
		if next == nil {
			return false
		}
		t = next
	}
}
