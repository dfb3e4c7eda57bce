package rules

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Limits of a document. They bound what a hostile file can make the reader allocate.
const (
	maxNodes   = 120_000 // values, keys and items that a file may have besides long lists
	maxText    = 3 << 20 // bytes besides long lists
	maxLines   = 2_000_000
	maxNesting = 64 // sequences and mappings inside each other
)

// page is a file that has been read, with what it takes to find a place in it.
type page struct {
	name  string
	data  []byte
	lines []int         // offset of each line
	text  string        // data, once a long line was asked for: excerpts share it
	long  map[int][]int // the steps of long lines

	refused *yamlError // why it is not read
	nodes   int        // how many values it has at most, besides long lists
	left    map[*yaml.Node][]leftOut
}

func newPage(f File) *page {
	p := &page{name: f.Name, data: bytes.TrimPrefix(f.Data, []byte("\xef\xbb\xbf")), lines: []int{0}}
	n := bytes.Count(p.data, []byte{'\n'})
	switch {
	case len(f.Data) > MaxFileSize:
		p.refused = &yamlError{1, "the file is larger than " + strconv.Itoa(MaxFileSize>>20) + " MiB", true}
	case n > maxLines:
		p.refused = &yamlError{1, "the file has more than " + strconv.Itoa(maxLines) + " lines", true}
	}
	if p.refused != nil {
		p.data = p.data[:min(bytes.IndexByte(p.data[:stepWidth], '\n')+1, stepWidth)]
		return p
	}
	p.lines = slices.Grow(p.lines, n)
	for i := 0; i < len(p.data) && len(p.lines) <= maxLines; i++ {
		if p.data[i] >= ' ' && p.data[i] < 0x80 {
			continue
		}
		if n := lineEnd(p.data[i:]); n > 0 {
			i += n - 1
			p.lines = append(p.lines, i+1)
		}
	}
	return p
}

// lineEnd returns the length of the line end that b begins with, as YAML 1.1 has them, or 0.
func lineEnd(b []byte) int {
	switch {
	case b[0] == '\n':
		return 1
	case b[0] == '\r' && len(b) > 1 && b[1] == '\n':
		return 2
	case b[0] == '\r':
		return 1
	case b[0] == 0xc2 && len(b) > 1 && b[1] == 0x85: // U+0085
		return 2
	case b[0] == 0xe2 && len(b) > 2 && b[1] == 0x80 && (b[2] == 0xa8 || b[2] == 0xa9): // U+2028, U+2029
		return 3
	}
	return 0
}

// line returns line n, which counts from 1, without its end.
func (p *page) line(n int) string {
	if n < 1 || n > len(p.lines) {
		return ""
	}
	start, end := p.lines[n-1], len(p.data)
	if n < len(p.lines) {
		end = p.lines[n] - 1
	}
	if end-start <= 2*stepWidth {
		return strings.TrimSuffix(string(p.data[start:end]), "\r")
	}
	if p.text == "" {
		p.text = string(p.data)
	}
	return strings.TrimSuffix(p.text[start:end], "\r")
}

// offset returns the offset of a line and column, which count from 1; columns are
// characters.
func (p *page) offset(line, column int) int {
	if line < 1 || line > len(p.lines) {
		return len(p.data)
	}
	i := p.lines[line-1]
	if steps := p.steps(line); len(steps) > 0 {
		n := min((column-1)/stepWidth, len(steps)-1)
		i, column = steps[n], column-n*stepWidth
	}
	for ; column > 1 && i < len(p.data) && p.data[i] != '\n'; column-- {
		_, n := utf8.DecodeRune(p.data[i:])
		i += n
	}
	return i
}

// stepWidth is the distance of the characters of a long line whose offsets are kept: it
// bounds how far a look-up goes.
const stepWidth = 1024

// steps returns the offsets of every character number stepWidth of a line, from the
// first on; nil for a short line.
func (p *page) steps(line int) []int {
	start, end := p.lines[line-1], len(p.data)
	if line < len(p.lines) {
		end = p.lines[line]
	}
	if end-start <= 2*stepWidth {
		return nil
	}
	if s, ok := p.long[line]; ok {
		return s
	}
	var s []int
	for i, n := start, 0; i < end; n++ {
		if n%stepWidth == 0 {
			s = append(s, i)
		}
		_, size := utf8.DecodeRune(p.data[i:end])
		i += size
	}
	if p.long == nil {
		p.long = map[int][]int{}
	}
	p.long[line] = s
	return s
}

// position is the inverse of offset.
func (p *page) position(offset int) (line, column int) {
	low, high := 0, len(p.lines)
	for high-low > 1 {
		if mid := (low + high) / 2; p.lines[mid] <= offset {
			low = mid
		} else {
			high = mid
		}
	}
	start, before := p.lines[low], 0
	if steps := p.steps(low + 1); len(steps) > 0 {
		n, found := slices.BinarySearch(steps, offset)
		if !found {
			n--
		}
		start, before = steps[n], n*stepWidth
	}
	return low + 1, before + utf8.RuneCount(p.data[start:min(offset, len(p.data))]) + 1
}

// yamlError is a syntax error at a line.
type yamlError struct {
	line  int
	msg   string
	limit bool // it is not what the file says, but how much
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`)

// documents parses the page.
func (p *page) documents() ([]*yaml.Node, *yamlError) {
	if p.refused != nil {
		return nil, p.refused
	}
	return p.documentsWithout(p.runs(minRun))
}

// documentsWithout parses the page; runs are taken out of what the YAML parser reads.
func (p *page) documentsWithout(runs []run) ([]*yaml.Node, *yamlError) {
	for {
		t := p.thin(runs)
		docs, err := t.documents()
		kept := runs[:0:0]
		for i, found := range t.found {
			if found {
				kept = append(kept, runs[i])
			}
		}
		if err != nil && err.limit || len(kept) == len(runs) {
			return docs, err
		}
		// Part of the runs is no sequence, or what is left is no YAML: it is read again
		// with them.
		runs, p.left = kept, nil
	}
}

// documents parses what is left of the file.
func (t *thinned) documents() ([]*yaml.Node, *yamlError) {
	if err := t.bounded(); err != nil {
		err.line, _ = t.file.position(t.original(t.offset(err.line, 1)))
		return nil, err
	}
	dec := yaml.NewDecoder(bytes.NewReader(t.data))
	var docs []*yaml.Node
	for {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return docs, nil
		}
		if err != nil {
			msg, line := err.Error(), 1
			if m := yamlLine.FindStringSubmatch(msg); m != nil {
				msg = m[2]
				if n, err := strconv.Atoi(m[1]); err == nil {
					line = n
				}
			}
			if line <= len(t.lines) {
				line, _ = t.file.position(t.original(t.offset(line, 1)))
			} else {
				line = len(t.file.lines)
			}
			return docs, &yamlError{line: line, msg: msg}
		}
		doc.Line, doc.Column = t.file.position(t.original(t.offset(doc.Line, doc.Column)))
		if err := t.settle(&doc, 0, false); err != nil {
			return docs, err
		}
		docs = append(docs, &doc)
	}
}

// bounded refuses text whose nodes would take too much memory, before any is made.
// Every node takes at least one of these bytes.
func (t *thinned) bounded() *yamlError {
	if len(t.data) > maxText {
		return &yamlError{1, "the file is larger than " + strconv.Itoa(maxText>>20) + " MiB besides its long lists", true}
	}
	nodes, depth, line, indent, atStart := 0, 0, 1, 0, true
	for i, c := range t.data {
		switch c {
		case '\n':
			line++
			nodes++
			indent, atStart = 0, true
			continue
		case ' ':
			continue
		case '-', '?':
			if atStart && i+1 < len(t.data) && isWhite(t.data[i+1]) {
				nodes++
				if indent++; indent > maxNesting {
					return tooDeep(line)
				}
				continue
			}
			if atStart && c == '-' && bytes.HasPrefix(t.data[i:], []byte("---")) {
				nodes += 2 // a document takes as much as several values
			}
		case ',', ':', '&': // an anchor takes as much as a value
			nodes++
		case '[', '{':
			nodes++
			depth++
		case ']', '}':
			depth--
		}
		atStart = false
		if nodes > maxNodes {
			return tooMany(line)
		}
		if depth > 2000 {
			return tooDeep(line)
		}
	}
	t.file.nodes = nodes
	return nil
}

func tooMany(line int) *yamlError {
	return &yamlError{line, "the file has more than " + strconv.Itoa(maxNodes) + " values besides its long lists", true}
}

func tooDeep(line int) *yamlError {
	return &yamlError{line, "more than " + strconv.Itoa(maxNesting) + " nested values", true}
}

// resolve follows an alias. Aliases are followed one at a time, and never all at once,
// so a bomb of them stays small.
func resolve(n *yaml.Node) *yaml.Node {
	for n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// get returns the value of a key of a mapping, the first if there are several, or nil.
func get(m *yaml.Node, key string) *yaml.Node {
	_, v := entry(m, key)
	return v
}

func entry(m *yaml.Node, key string) (k, v *yaml.Node) {
	m = resolve(m)
	if m == nil || m.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(m.Content); i += 2 {
		if k := resolve(m.Content[i]); k.Kind == yaml.ScalarNode && k.Value == key {
			return m.Content[i], resolve(m.Content[i+1])
		}
	}
	return nil, nil
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// boolean reads a truth value as the language has it.
func boolean(text string) (value, ok bool) {
	for _, words := range []struct {
		value bool
		words []string
	}{
		{true, []string{"y", "yes", "true", "on"}},
		{false, []string{"n", "no", "false", "off"}},
	} {
		for _, w := range words.words {
			if text == w || text == strings.ToUpper(w) || text == strings.ToUpper(w[:1])+w[1:] {
				return words.value, true
			}
		}
	}
	return false, false
}

// unsigned reads a 32-bit number: decimal, hexadecimal after 0x, octal after 0.
func unsigned(text string) (uint32, bool) {
	digits, base := text, 10
	switch {
	case strings.HasPrefix(text, "0x") || strings.HasPrefix(text, "0X"):
		digits, base = text[2:], 16
	case len(text) > 1 && text[0] == '0':
		digits, base = text[1:], 8
	}
	n, err := strconv.ParseUint(digits, base, 32)
	return uint32(n), err == nil
}

// place returns the offset in the page of byte off of the value of a scalar.
//
// Folding and indentation change white space only, so the way is to count the other
// bytes: the one that is number n in the value is number n in the file.
func (p *page) place(n *yaml.Node, off int) int {
	i := p.offset(n.Line, n.Column)
	end := len(p.data)
	for i < end && (p.data[i] == '&' && n.Anchor != "" || p.data[i] == '!' && n.Style&yaml.TaggedStyle != 0) {
		for i < end && !isWhite(p.data[i]) {
			i++
		}
		for i < end && isWhite(p.data[i]) {
			i++
		}
	}
	switch n.Style &^ yaml.TaggedStyle {
	case yaml.LiteralStyle, yaml.FoldedStyle:
		for i < end && p.data[i] != '\n' { // the header, with a comment perhaps
			i++
		}
	case yaml.DoubleQuotedStyle, yaml.SingleQuotedStyle:
		i++
	}
	v, at := n.Value, 0
	last := i
	for at < len(v) {
		for i < end && isWhite(p.data[i]) {
			i++
		}
		if isWhite(v[at]) {
			if at >= off {
				// Of white space, what follows the last byte at the same distance.
				return min(last+(off-lastText(v, at)), end)
			}
			at++
			continue
		}
		if at >= off || i >= end {
			return min(i, end)
		}
		width, read := 1, 1
		switch {
		case n.Style&yaml.SingleQuotedStyle != 0 && p.data[i] == '\'':
			read = 2
		case n.Style&yaml.DoubleQuotedStyle != 0 && p.data[i] == '\\':
			read, width = escape(p.data[i:])
			if width == 0 { // an escaped line end
				i += read
				continue
			}
		}
		i += read
		at += width
		last = i
	}
	return min(i, end)
}

func isWhite(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// lastText returns where the text before the white space at offset i of v ends.
func lastText(v string, i int) int {
	for i > 0 && isWhite(v[i-1]) {
		i--
	}
	return i
}

// escape returns how many bytes an escape in double quotes takes in the file, and how
// many in the value.
func escape(b []byte) (read, width int) {
	if len(b) < 2 {
		return 1, 1
	}
	digits := 0
	switch b[1] {
	case '\n', '\r':
		return 2, 0
	case 'x':
		digits = 2
	case 'u':
		digits = 4
	case 'U':
		digits = 8
	case 'N':
		return 2, len("\u0085")
	case '_':
		return 2, len("\u00a0")
	case 'L', 'P':
		return 2, len("\u2028")
	default:
		return 2, 1
	}
	read = min(2+digits, len(b))
	r, err := strconv.ParseUint(string(b[2:read]), 16, 32)
	if err != nil {
		return read, 1
	}
	return read, max(utf8.RuneLen(rune(r)), 1)
}
