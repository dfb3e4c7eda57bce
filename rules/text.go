package rules

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// located is text that was put together from places in files, and knows from which.
type located struct {
	s     string
	parts []part // in the order of start; the first starts at 0
}

// part says where a piece of text comes from.
type part struct {
	start int // in the text
	page  *page
	node  *yaml.Node
	off   int // of the piece in the value of node
	// fixed says that every byte of the piece comes from that one place, which is width
	// bytes wide: it was put in the place of something else.
	fixed bool
	width int
}

// partSize is about what a part takes.
const partSize = 64

func scalarText(p *page, n *yaml.Node) located {
	return located{n.Value, []part{{page: p, node: n}}}
}

// join returns t, separator and u.
func (t located) join(separator string, u located) located {
	var b textBuilder
	b.add(t)
	b.literal(separator)
	b.add(u)
	return b.text()
}

// after returns t with text before it that is in no file.
func (t located) after(text string) located {
	var b textBuilder
	b.literal(text)
	b.add(t)
	return b.text()
}

// trim returns t without the white space around it.
func (t located) trim() located {
	s := strings.TrimLeft(t.s, " \t\r\n")
	return t.slice(len(t.s)-len(s), len(t.s)-len(s)+len(strings.TrimRight(s, " \t\r\n")))
}

// slice returns bytes from to to of t.
func (t located) slice(from, to int) located {
	out := located{s: t.s[from:to]}
	for i := t.index(from); i < len(t.parts); i++ {
		p := t.parts[i]
		if p.start >= to && len(out.parts) > 0 {
			break
		}
		if p.start < from {
			if !p.fixed {
				p.off += from - p.start
			}
			p.start = from
		}
		p.start -= from
		out.parts = append(out.parts, p)
	}
	return out
}

// index returns the position of the part that byte off is in.
func (t located) index(off int) int {
	i, found := slices.BinarySearchFunc(t.parts, off, func(p part, off int) int { return p.start - off })
	if !found && i > 0 {
		i--
	}
	return i
}

// at returns the part that byte off is in, and its offset there.
func (t located) at(off int) (part, int) {
	p := t.parts[t.index(off)]
	return p, off - p.start
}

// place returns where byte off of t is in a file, and how many bytes there stand for
// it if it is in something that was replaced, else 0.
func (t located) place(off int) (p *page, line, column, width int) {
	if len(t.parts) == 0 {
		return nil, 0, 0, 0
	}
	q, in := t.at(off)
	if q.fixed {
		in = 0
	}
	line, column = q.page.position(q.page.place(q.node, q.off+in))
	return q.page, line, column, q.width
}

// replaced returns the text of the file that byte off of t stands for, if it was put in
// its place.
func (t located) replaced(off int) (string, bool) {
	if len(t.parts) == 0 {
		return "", false
	}
	q, _ := t.at(off)
	if !q.fixed || q.width == 0 || q.off+q.width > len(q.node.Value) {
		return "", false
	}
	return q.node.Value[q.off : q.off+q.width], true
}

// textBuilder puts a located text together.
type textBuilder struct {
	b     strings.Builder
	parts []part
	last  part // where literals are said to come from
}

func (b *textBuilder) add(t located) {
	start := b.b.Len()
	for _, p := range t.parts {
		p.start += start
		b.parts = append(b.parts, p)
		b.last = p
	}
	b.b.WriteString(t.s)
}

// literal adds text that is in no file: it is said to come from the text before it.
func (b *textBuilder) literal(s string) { b.b.WriteString(s) }

// replacement adds text that stands for piece.
func (b *textBuilder) replacement(s string, piece located) {
	if len(piece.parts) > 0 {
		p := piece.parts[0]
		p.start, p.fixed, p.width = b.b.Len(), true, len(piece.s)
		b.parts = append(b.parts, p)
	}
	b.b.WriteString(s)
}

func (b *textBuilder) text() located {
	if len(b.parts) > 0 && b.parts[0].start > 0 {
		// What literals are before it stand for nothing in a file; they are said to be
		// where it begins.
		head := b.parts[0]
		head.start, head.fixed, head.width = 0, true, 0
		b.parts = slices.Insert(b.parts, 0, head)
	}
	return located{b.b.String(), b.parts}
}
