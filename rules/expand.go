package rules

import (
	"iter"
	"slices"
	"strings"

	"github.com/windhover/windhover/rules/check"
	"github.com/windhover/windhover/rules/syntax"
)

// In the rule language a list is text: wherever its name stands between delimiters, its
// items take its place, one list after the other in the order of their definition.
// What a list brought in is not searched for earlier lists again.
//
// A list whose items all read as single values does not have to be written out for
// every condition: a mark of package syntax stands for it. Written out it is only if the
// condition cannot be read with the mark.

// isListEdge tells the bytes that may stand around the name of a list.
func isListEdge(c byte) bool {
	switch c {
	case ' ', '\t', '\n', '\r', '(', ')', ',', '=':
		return true
	}
	return false
}

// maxWritten is how many bytes of lists are written out into conditions at most.
const maxWritten = 16 << 20

// maxInherited is how many items lists have at most that are those of the lists in them.
const maxInherited = 1_000_000

// expansion is a list as conditions see it.
type expansion struct {
	list   *list
	items  []string // as they are written
	text   string   // items, once they were written out
	mark   string   // stands for text, or nothing
	number int
	later  []int // positions of later lists that items name
}

// written returns the items as text.
func (e *expansion) written() string {
	if e.text == "" {
		e.text = strings.Join(e.items, ", ")
	}
	return e.text
}

// quoteItem returns an item as it is written into a condition.
func quoteItem(s string) string {
	if strings.Contains(s, " ") && s[0] != '"' && s[0] != '\'' {
		return `"` + s + `"`
	}
	return s
}

// expandLists resolves lists in lists and prepares what conditions need of them.
func (c *compiler) expandLists() {
	order := c.state.lists.order
	for i := c.lists; i < len(order); i++ {
		c.byName[order[i].name] = i
		// Then no list can be trusted to bring in no other.
		c.odd = c.odd || isOdd(order[i].name)
	}
	for ; c.lists < len(order); c.lists++ {
		i, l := c.lists, order[c.lists]
		size := len(l.items)
		for _, item := range l.items {
			if other, ok := c.state.lists.byName[item]; ok && other.index < l.visibility {
				size += len(other.items) - 1
				c.inherited += len(other.items)
			}
		}
		if c.inherited > maxInherited {
			c.errors.add(l.context.problem(ErrValidate, "the lists up to %q have more than %d items that are those of other lists", l.name, maxInherited))
			return
		}
		items := make([]string, 0, size)
		for _, item := range l.items {
			c.note(item)
			other, ok := c.state.lists.byName[item]
			if !ok || other.index >= l.visibility {
				items = append(items, quoteItem(item))
				continue
			}
			c.usedLists[other] = true
			for _, item := range other.items {
				items = append(items, quoteItem(item))
			}
		}
		e := expansion{list: l, items: items}
		values, single := c.singleValues(&e, i)
		if single && len(e.later) == 0 && !c.odd && len(items) > 0 {
			e.number = len(c.markLists)
			e.mark = syntax.Mark(e.number)
			c.markLists = append(c.markLists, &check.List{Items: values})
		}
		c.expansions = append(c.expansions, e)
	}
}

// isOdd reports whether a name has delimiters in it.
func isOdd(name string) bool {
	return strings.ContainsFunc(name, func(r rune) bool { return r < 0x80 && isListEdge(byte(r)) })
}

// singleValues returns the values that the items of list number own read as, if each
// reads as one. It notes the lists that are named among them and are replaced after it.
func (c *compiler) singleValues(e *expansion, own int) ([]string, bool) {
	values, single := e.items, true
	for i, item := range e.items {
		if single {
			var v string
			if v, single = syntax.ParseValue(item); v != item {
				if &values[0] == &e.items[0] {
					values = slices.Clone(values)
				}
				values[i] = v
			}
		}
		for at := range c.named(item) {
			if at > own {
				e.later = append(e.later, at)
			}
		}
	}
	return values, single
}

// named yields the positions of the lists that words of text name.
func (c *compiler) named(text string) iter.Seq[int] {
	return func(yield func(int) bool) {
		for start := 0; start < len(text); {
			end := start
			for end < len(text) && !isListEdge(text[end]) {
				end++
			}
			if at, ok := c.byName[text[start:end]]; ok && !yield(at) {
				return
			}
			start = end + 1
		}
	}
}

// expand puts the lists into the text of a condition, as marks or written out.
func (c *compiler) expand(t located, marks bool) located {
	var next []int // positions of the lists that may be in the text, the lowest last
	for at := range c.named(t.s) {
		next = append(next, at)
	}
	if c.odd {
		next = next[:0]
		for i := range c.expansions {
			next = append(next, i)
		}
	}
	for len(next) > 0 {
		slices.SortFunc(next, func(a, b int) int { return b - a })
		at := next[len(next)-1]
		for len(next) > 0 && next[len(next)-1] == at {
			next = next[:len(next)-1]
		}
		if at >= len(c.expansions) || len(t.s) > syntax.MaxSize || c.written > maxWritten {
			break // lists that bring in each other multiply; the parser refuses such a text
		}
		e := &c.expansions[at]
		text := e.mark
		if !marks || text == "" {
			text = e.written()
		}
		var used bool
		before := len(t.s)
		if t, used = replaceList(t, e.list.name, text, len(e.list.items) == 0); used {
			c.usedLists[e.list] = true
			if text != e.mark {
				c.written += max(len(t.s)-before, 0)
			}
			if !c.odd {
				next = append(next, e.later...) // a list with a mark has none
			}
		}
	}
	return t
}

// replaceList puts text in the place of every occurrence of name.
func replaceList(t located, name, text string, empty bool) (located, bool) {
	if name == "" || !strings.Contains(t.s, name) {
		return t, false
	}
	var b textBuilder
	done, used := 0, false // t.s[:done] is in b
	for from := 0; b.b.Len() <= syntax.MaxSize; {
		n := strings.Index(t.s[from:], name)
		if n < 0 {
			break
		}
		start, end := from+n, from+n+len(name)
		from = start + 1
		if start > 0 && !isListEdge(t.s[start-1]) || end < len(t.s) && !isListEdge(t.s[end]) {
			continue
		}
		piece := t.slice(start, end)
		for start > done && isListBlank(t.s[start-1]) {
			start--
		}
		for end < len(t.s) && isListBlank(t.s[end]) {
			end++
		}
		if empty {
			// A comma goes with the value that is not there.
			if start > done && t.s[start-1] == ',' {
				start--
			} else if end < len(t.s) && t.s[end] == ',' {
				end++
			}
		}
		b.add(t.slice(done, start))
		if start > 0 {
			b.literal(" ")
		}
		b.replacement(text+" ", piece)
		done, from, used = end, end, true
	}
	if !used {
		return t, false
	}
	if done < len(t.s) {
		b.add(t.slice(done, len(t.s)))
	}
	return b.text(), true
}

func isListBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }
