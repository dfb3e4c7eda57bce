package rules

import (
	"bytes"
	"slices"

	"go.yaml.in/yaml/v3"
)

// A list may have a million items, and the YAML parser takes some 500 bytes for each. So
// what is long and simple is taken out before it reads the file: stretches of items of
// one word each. The parser sees the first item of a stretch, and where it finds that
// item in a sequence, the others belong behind it. Where it does not (the stretch is
// part of a text), the file is read again with the stretch in its place.

// minRun is how many items make a stretch worth taking out.
const minRun = 32

// run is a stretch of items that is taken out.
type run struct {
	first      int // offset in the file of the item before, which stays
	start, end int // offsets in the file of what is taken out
	at         int // offset of start in what is left
	flow       bool
}

// thinned is a page without its runs.
type thinned struct {
	*page       // what is left
	file  *page // where it comes from
	runs  []run // in order
	found []bool
}

// runs returns the stretches of the page of at least least items.
func (p *page) runs(least int) []run {
	var out []run
	add := func(r run, n int) {
		if n >= least {
			out = append(out, r)
		}
	}
	// Line is where the next line starts, or a later one; bracket, where the next bracket is.
	for i, line, bracket := 0, 0, 0; i < len(p.data); {
		switch c := p.data[i]; {
		case c == '[':
			i = p.flowRun(i+1, add)
		case (c == '-' || c == ' ') && (i == 0 || p.data[i-1] == '\n'):
			i = p.blockRun(i, add)
		default:
			// Only these two begin a stretch, and the second only at the start of a line.
			if i >= line {
				line = p.find(i, '\n') + 1
			}
			if i >= bracket {
				bracket = p.find(i, '[')
			}
			i = min(line, bracket)
		}
	}
	return out
}

// find returns the offset of the next c from offset i on, or that of the end of the file.
func (p *page) find(i int, c byte) int {
	if n := bytes.IndexByte(p.data[i:], c); n >= 0 {
		return i + n
	}
	return len(p.data)
}

// blockRun reads lines of the same indent with an item each, from the line at i on. It
// returns where to go on. The last item stays, as the next line may belong to it.
func (p *page) blockRun(i int, add func(r run, n int)) int {
	first, next, indent := p.blockItem(i)
	if next == 0 {
		for i < len(p.data) && (p.data[i] == ' ' || p.data[i] == '-') {
			i++
		}
		return i
	}
	start, n := next, 0
	last := start
	for i = next; ; n++ {
		_, next, in := p.blockItem(i)
		if next == 0 || in != indent {
			break
		}
		last, i = i, next
	}
	add(run{first: first, start: start, end: last}, n-1)
	return i
}

// blockItem reads a line that is an item of one word, and returns where the word starts,
// where the next line does, and the indent; next is 0 if it is none.
func (p *page) blockItem(i int) (word, next, indent int) {
	start := i
	for i < len(p.data) && p.data[i] == ' ' {
		i++
	}
	indent = i - start
	if i+2 > len(p.data) || p.data[i] != '-' || p.data[i+1] != ' ' {
		return 0, 0, 0
	}
	for i++; i < len(p.data) && p.data[i] == ' '; i++ {
	}
	word = i
	if i = p.word(i, false); i < 0 {
		return 0, 0, 0
	}
	end := i
	for i < len(p.data) && (p.data[i] == ' ' || p.data[i] == '\r') {
		i++
	}
	if i < len(p.data) && p.data[i] == '#' && i > end {
		n := bytes.IndexByte(p.data[i:], '\n')
		if n < 0 {
			return 0, 0, 0
		}
		i += n
	}
	if i >= len(p.data) || p.data[i] != '\n' {
		return 0, 0, 0
	}
	return word, i + 1, indent
}

// flowRun reads words with a comma after each, after a bracket or a comma. It returns
// where to go on.
func (p *page) flowRun(i int, add func(r run, n int)) int {
	for {
		first, next := p.flowItem(i)
		if next == 0 {
			// Of another kind: the next may do, if nothing else begins before it.
			n := bytes.IndexAny(p.data[i:], ",[]{}\"'\n")
			if n < 0 || p.data[i+n] != ',' {
				return i
			}
			i += n + 1
			continue
		}
		start, end, n := next, next, 0
		for ; ; n++ {
			_, next := p.flowItem(end)
			if next == 0 {
				break
			}
			end = next
		}
		add(run{first: first, start: start, end: end, flow: true}, n)
		i = end
	}
}

// flowItem reads a word and the comma after it, and returns where the word starts and
// what is behind the comma; next is 0 if it is none.
func (p *page) flowItem(i int) (word, next int) {
	for i < len(p.data) && isWhite(p.data[i]) {
		i++
	}
	word = i
	if i = p.word(i, true); i < 0 {
		return 0, 0
	}
	for i < len(p.data) && isWhite(p.data[i]) {
		i++
	}
	if i >= len(p.data) || p.data[i] != ',' {
		return 0, 0
	}
	return word, i + 1
}

// The bytes of words that mean nothing to YAML. Others are left to its parser.
var wordStart, wordByte = wordBytes("._/+$~^;()="), wordBytes("._/+$~^;()=-@%\\*")

func wordBytes(more string) (set [256]bool) {
	for c := range set {
		set[c] = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
	}
	for _, c := range []byte(more) {
		set[c] = true
	}
	return set
}

// word returns where the word or the quoted text that starts at i ends, or -1 if there is
// none.
func (p *page) word(i int, flow bool) int {
	if i >= len(p.data) {
		return -1
	}
	if q := p.data[i]; q == '"' || q == '\'' {
		for i++; i < len(p.data) && p.data[i] >= ' ' && p.data[i] < 0x7f && p.data[i] != '\\' && p.data[i] != q; i++ {
		}
		if i >= len(p.data) || p.data[i] != q || i+1 < len(p.data) && p.data[i+1] == q {
			return -1
		}
		return i + 1
	}
	if !wordStart[p.data[i]] || bytes.HasPrefix(p.data[i:], []byte("...")) {
		return -1
	}
	start := i
	for i++; i < len(p.data); i++ {
		if c := p.data[i]; c == ':' {
			if flow || i+1 >= len(p.data) || !wordByte[p.data[i+1]] {
				return -1
			}
		} else if !wordByte[c] {
			break
		}
	}
	switch string(p.data[start:i]) {
	case "~", "null", "Null", "NULL":
		return -1 // no text
	}
	return i
}

// thin takes runs out of the page.
func (p *page) thin(runs []run) *thinned {
	t := &thinned{page: p, file: p, runs: slices.Clone(runs), found: make([]bool, len(runs))}
	if len(runs) == 0 {
		return t
	}
	var rest []byte
	done := 0
	for i := range t.runs {
		r := &t.runs[i]
		rest = append(rest, p.data[done:r.start]...)
		r.at, done = len(rest), r.end
	}
	t.page = newPage(File{Name: p.name, Data: append(rest, p.data[done:]...)})
	return t
}

// original returns the offset in the file of an offset in what is left of it.
func (t *thinned) original(off int) int {
	n, _ := slices.BinarySearchFunc(t.runs, off, func(r run, off int) int {
		if r.at <= off {
			return -1
		}
		return 1
	})
	if n == 0 {
		return off
	}
	return off - t.runs[n-1].at + t.runs[n-1].end
}

// settle gives the nodes under n their places in the file and puts what was taken out
// where it belongs: items of a list beside the tree, others into it. Level is the depth
// of n.
func (t *thinned) settle(n *yaml.Node, level int, items bool) *yamlError {
	if level > maxNesting {
		return tooDeep(n.Line)
	}
	var after []int // children that a run follows
	var which []int // the run
	for i, c := range n.Content {
		if len(t.runs) > 0 {
			off := t.original(t.offset(c.Line, c.Column))
			if n.Kind == yaml.SequenceNode && c.Kind == yaml.ScalarNode {
				if r, ok := slices.BinarySearchFunc(t.runs, off, func(r run, off int) int { return r.first - off }); ok && !t.found[r] && t.runs[r].flow == (n.Style&yaml.FlowStyle != 0) {
					t.found[r] = true
					after, which = append(after, i), append(which, r)
				}
			}
			c.Line, c.Column = t.file.position(off)
		}
		// The key of what lists are made of, in an item of a document.
		of := level == 2 && n.Kind == yaml.MappingNode && i%2 == 1 && n.Content[i-1].Value == "items"
		if err := t.settle(c, level+1, of); err != nil {
			return err
		}
	}
	switch {
	case len(after) == 0:
	case items:
		if t.file.left == nil {
			t.file.left = map[*yaml.Node][]leftOut{}
		}
		for i, at := range after {
			r := t.runs[which[i]]
			t.file.left[n] = append(t.file.left[n], leftOut{at + 1, t.file.words(r.start, r.end, r.flow)})
		}
	default:
		var content []*yaml.Node
		done := 0
		for i, at := range after {
			r := t.runs[which[i]]
			content = append(content, n.Content[done:at+1]...)
			done = at + 1
			if t.file.nodes += bytes.Count(t.file.data[r.start:r.end], []byte{'\n'}) + bytes.Count(t.file.data[r.start:r.end], []byte{','}); t.file.nodes > maxNodes {
				return tooMany(n.Content[at].Line)
			}
			content = t.file.appendNodes(content, r.start, r.end, r.flow)
		}
		n.Content = append(content, n.Content[done:]...)
	}
	return nil
}

// leftOut are items of a sequence that the tree does not have, and how many are before
// them that it has.
type leftOut struct {
	before int
	items  []string
}

// each calls f with the place of every word of a run.
func (p *page) each(start, end int, flow bool, f func(word, end int)) {
	for start < end {
		var word, next int
		if flow {
			word, next = p.flowItem(start)
		} else {
			word, next, _ = p.blockItem(start)
		}
		f(word, p.word(word, flow))
		start = next
	}
}

// words returns the values of a run.
func (p *page) words(start, end int, flow bool) []string {
	if p.text == "" {
		p.text = string(p.data)
	}
	n := 0
	p.each(start, end, flow, func(int, int) { n++ })
	out := make([]string, 0, n)
	p.each(start, end, flow, func(word, end int) { out = append(out, unquoted(p.text[word:end])) })
	return out
}

func unquoted(s string) string {
	if s[0] == '"' || s[0] == '\'' {
		return s[1 : len(s)-1]
	}
	return s
}

// appendNodes appends a node for each item of a run.
func (p *page) appendNodes(nodes []*yaml.Node, start, end int, flow bool) []*yaml.Node {
	p.each(start, end, flow, func(word, end int) {
		text := string(p.data[word:end])
		n := &yaml.Node{Kind: yaml.ScalarNode, Value: unquoted(text), Tag: "!!str"}
		switch {
		case text[0] == '"':
			n.Style = yaml.DoubleQuotedStyle
		case text[0] == '\'':
			n.Style = yaml.SingleQuotedStyle
		}
		n.Line, n.Column = p.position(word)
		nodes = append(nodes, n)
	})
	return nodes
}

// items returns the values of a sequence, with those that were left out of the tree.
func (p *page) items(n *yaml.Node, list []*yaml.Node) []string {
	left := p.left[n]
	size := len(list)
	for _, l := range left {
		size += len(l.items)
	}
	out := make([]string, 0, size)
	for i := 0; i <= len(list); i++ {
		for ; len(left) > 0 && left[0].before == i; left = left[1:] {
			out = append(out, left[0].items...)
		}
		if i < len(list) {
			out = append(out, list[i].Value)
		}
	}
	return out
}
