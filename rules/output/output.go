// Package output reads the format of a rule's output and writes it for an event: text
// with fields and transformers after percent signs. Start with Parse.
//
// The format is literal text and
//
//	"%" [ width ] ( field | transformer "(" argument { "," argument } ")" )
//
// where a field is the longest text that is one, so that a dot or a letter after it is
// literal again. A width pads with spaces on the right, and cuts. There is no escape
// for "%".
package output

import (
	"strconv"
	"unicode/utf8"

	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/field"
)

// Template is the format of an output. It is immutable and safe for concurrent use.
type Template struct {
	text   string
	parts  []part
	fields []*field.Field
}

// part is literal text, or a term with its width.
type part struct {
	literal string
	term    *term // nil: literal
	width   int   // 0: as long as the value
}

// Problem is one thing that is wrong with a format, and where in its text.
type Problem struct {
	Offset, Len int
	Msg, Hint   string
}

// Fields returns the fields of the template in the order of their first use, those
// inside of transformers too. The caller must not change it.
func (t *Template) Fields() []*field.Field { return t.fields }

// String returns the text that was parsed.
func (t *Template) String() string { return t.text }

var notAvailable = []byte("<NA>")

// AppendText appends the output for ev. What ev has no value for shows as <NA>. It
// allocates only if dst or the scratch memory of ev is full, but for lists of numbers
// and addresses.
func (t *Template) AppendText(dst []byte, ev *event.Event) []byte {
	for i := range t.parts {
		p := &t.parts[i]
		if p.term == nil {
			dst = append(dst, p.literal...)
			continue
		}
		start := len(dst)
		var ok bool
		if dst, ok = p.term.appendText(dst, ev); !ok {
			dst = append(dst[:start], notAvailable...)
		}
		if p.width > 0 {
			dst = fit(dst, start, p.width)
		}
	}
	return dst
}

// fit makes what follows start width bytes long. It does not cut a character in two.
func fit(dst []byte, start, width int) []byte {
	end := start + width
	if len(dst) > end {
		cut := end
		for cut > start && !utf8.RuneStart(dst[cut]) {
			cut--
		}
		dst = dst[:cut]
	}
	for len(dst) < end {
		dst = append(dst, ' ')
	}
	return dst
}

// fn is a transformer.
type fn uint8

const (
	fnNone fn = iota // a field or a constant
	fnLower
	fnUpper
	fnBase64
	fnBasename
	fnLen
	fnJoin
	fnConcat
	fnGetopt
)

var fnByName = map[string]fn{
	"tolower": fnLower, "toupper": fnUpper, "b64": fnBase64, "basename": fnBasename,
	"len": fnLen, "join": fnJoin, "concat": fnConcat, "getopt": fnGetopt,
}

// term is a value that is made of an event: a field, a constant, or a transformer of
// terms.
type term struct {
	kind field.Kind
	list bool

	field   *field.Field
	text    []byte  // of a constant
	items   []*term // of a constant list
	isConst bool

	fn     fn
	args   []*term
	option byte // getopt with a letter in brackets
}

// appendText appends the value as outputs show it.
func (t *term) appendText(dst []byte, ev *event.Event) ([]byte, bool) {
	if t.field != nil {
		return field.AppendValueText(dst, t.field, ev)
	}
	if !t.list {
		b, ok := t.value(ev)
		return append(dst, b...), ok
	}
	from := len(ev.ScratchList)
	defer func() { ev.ScratchList = ev.ScratchList[:from] }()
	if !t.values(ev) {
		return dst, false
	}
	dst = append(dst, '(')
	for i, b := range ev.ScratchList[from:] {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, b...)
	}
	return append(dst, ')'), true
}

// value returns a single value as bytes that live as long as the event: of a text, its
// own bytes.
func (t *term) value(ev *event.Event) ([]byte, bool) {
	switch {
	case t.isConst:
		return t.text, true
	case t.field != nil && t.field.Text != nil:
		return t.field.Text(ev)
	case t.field != nil:
		start := len(ev.Scratch)
		dst, ok := field.AppendValueText(ev.Scratch, t.field, ev)
		ev.Scratch = dst
		return dst[start:len(dst):len(dst)], ok
	}
	switch t.fn {
	case fnLen:
		return t.length(ev)
	case fnConcat:
		return t.concat(ev)
	case fnJoin:
		return t.join(ev)
	case fnGetopt:
		from := len(ev.ScratchList)
		defer func() { ev.ScratchList = ev.ScratchList[:from] }()
		letters, ok := t.args[1].value(ev)
		if !ok || !t.args[0].values(ev) {
			return nil, false
		}
		return field.Option(ev.ScratchList[from:], letters, t.option)
	}
	b, ok := t.args[0].value(ev)
	if !ok {
		return nil, false
	}
	return t.apply(ev, b)
}

// apply applies a transformer of one text.
func (t *term) apply(ev *event.Event, b []byte) ([]byte, bool) {
	start := len(ev.Scratch)
	ok := true
	switch t.fn {
	case fnLower:
		ev.Scratch = field.AppendLower(ev.Scratch, b)
	case fnUpper:
		ev.Scratch = field.AppendUpper(ev.Scratch, b)
	case fnBase64:
		ev.Scratch, ok = field.AppendBase64Decoded(ev.Scratch, b)
	default:
		return field.Basename(b), true
	}
	return ev.Scratch[start:len(ev.Scratch):len(ev.Scratch)], ok
}

// values appends every value of a list to the list scratch of ev.
func (t *term) values(ev *event.Event) bool {
	from := len(ev.ScratchList)
	switch {
	case t.isConst:
		for _, item := range t.items {
			b, ok := item.value(ev)
			if !ok {
				return false
			}
			ev.ScratchList = append(ev.ScratchList, b)
		}
		return true
	case t.field != nil && t.field.AppendText != nil:
		ev.ScratchList = t.field.AppendText(ev, ev.ScratchList)
		return len(ev.ScratchList) > from
	case t.field != nil:
		return t.field.AppendScratchList(ev)
	case t.fn == fnGetopt:
		letters, ok := t.args[1].value(ev)
		if !ok || !t.args[0].values(ev) {
			return false
		}
		args := len(ev.ScratchList)
		ev.ScratchList = field.AppendOptions(ev.ScratchList, ev.ScratchList[from:args], letters)
		n := copy(ev.ScratchList[from:], ev.ScratchList[args:])
		ev.ScratchList = ev.ScratchList[:from+n]
		return true
	}
	if !t.args[0].values(ev) {
		return false
	}
	for i, b := range ev.ScratchList[from:] {
		v, ok := t.apply(ev, b)
		if !ok {
			return false
		}
		ev.ScratchList[from+i] = v
	}
	return true
}

func (t *term) length(ev *event.Event) ([]byte, bool) {
	a := t.args[0]
	var n int
	if a.list {
		from := len(ev.ScratchList)
		ok := a.values(ev)
		n = len(ev.ScratchList) - from
		ev.ScratchList = ev.ScratchList[:from]
		if !ok {
			return nil, false
		}
	} else {
		b, ok := a.value(ev)
		if !ok {
			return nil, false
		}
		if n = len(b); a.kind != field.KindBytes {
			n = field.TextLen(b)
		}
	}
	start := len(ev.Scratch)
	ev.Scratch = strconv.AppendInt(ev.Scratch, int64(n), 10)
	return ev.Scratch[start:len(ev.Scratch):len(ev.Scratch)], true
}

func (t *term) concat(ev *event.Event) ([]byte, bool) {
	from := len(ev.ScratchList)
	defer func() { ev.ScratchList = ev.ScratchList[:from] }()
	for _, a := range t.args {
		b, ok := a.value(ev)
		if !ok {
			return nil, false
		}
		ev.ScratchList = append(ev.ScratchList, b)
	}
	return glue(ev, from, nil), true
}

func (t *term) join(ev *event.Event) ([]byte, bool) {
	from := len(ev.ScratchList)
	defer func() { ev.ScratchList = ev.ScratchList[:from] }()
	between, ok := t.args[0].value(ev)
	if !ok || !t.args[1].values(ev) {
		return nil, false
	}
	return glue(ev, from, between), true
}

// glue joins the list scratch of ev from there on.
func glue(ev *event.Event, from int, between []byte) []byte {
	start := len(ev.Scratch)
	for i, b := range ev.ScratchList[from:] {
		if i > 0 {
			ev.Scratch = append(ev.Scratch, between...)
		}
		ev.Scratch = append(ev.Scratch, b...)
	}
	return ev.Scratch[start:len(ev.Scratch):len(ev.Scratch)]
}
