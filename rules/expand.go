package rules

import (
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

// expansion is a list as conditions see it.
type expansion struct {
	list   *list
	text   string // its items, written out
	mark   string // stands for text, or nothing
	number int
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
	position := make(map[string]int, len(order))
	odd := false // some name has delimiters in it: no list can be trusted to bring in no other
	for i, l := range order {
		position[l.name] = i
		odd = odd || strings.ContainsFunc(l.name, func(r rune) bool { return r < 0x80 && isListEdge(byte(r)) })
	}
	for i, l := range order {
		items := make([]string, 0, len(l.items))
		for _, item := range l.items {
			other, ok := c.state.lists.byName[item.s]
			if !ok || other.index >= l.visibility {
				items = append(items, quoteItem(item.s))
				continue
			}
			c.usedLists[other] = true
			for _, item := range other.items {
				items = append(items, quoteItem(item.s))
			}
		}
		e := expansion{list: l, text: strings.Join(items, ", ")}
		if values, ok := singleValues(items, position, i); ok && !odd && len(items) > 0 {
			e.number = len(c.markLists)
			e.mark = syntax.Mark(e.number)
			c.markLists = append(c.markLists, &check.List{Items: values})
		}
		c.expansions = append(c.expansions, e)
	}
}

// singleValues returns the values that items read as, if each reads as one and none
// names a list that is replaced after list number own.
func singleValues(items []string, position map[string]int, own int) ([]string, bool) {
	values := make([]string, len(items))
	for i, item := range items {
		v, ok := syntax.ParseValue(item)
		if !ok {
			return nil, false
		}
		values[i] = v
		for rest := item; rest != ""; {
			n := strings.IndexFunc(rest, func(r rune) bool { return r < 0x80 && isListEdge(byte(r)) })
			word := rest
			if n >= 0 {
				word, rest = rest[:n], rest[n+1:]
			} else {
				rest = ""
			}
			if at, ok := position[word]; ok && at > own {
				return nil, false
			}
		}
	}
	return values, true
}

// expand puts the lists into the text of a condition, as marks or written out.
func (c *compiler) expand(t located, marks bool) located {
	for i := range c.expansions {
		if len(t.s) > syntax.MaxSize {
			break // lists that bring in each other multiply; the parser refuses such a text
		}
		e := &c.expansions[i]
		text := e.text
		if marks && e.mark != "" {
			text = e.mark
		}
		var used bool
		if t, used = replaceList(t, e.list.name, text, len(e.list.items) == 0); used {
			c.usedLists[e.list] = true
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
