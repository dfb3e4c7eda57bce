// Package redact replaces secrets in alerts before they are queued: what reaches a
// queue, a disk or a screen has none of those it knows.
//
// It works on alerts alone; an event that matches nothing never comes here. Start with
// Redactor.
package redact

import (
	"bytes"
	"fmt"
	"math/bits"
	"strings"
	"sync/atomic"

	"github.com/windhover/windhover/internal/alert"
	"github.com/windhover/windhover/internal/event"
)

// Redactor replaces secrets. It is safe for concurrent use.
type Redactor struct {
	index    *index
	patterns []pattern // of the user
	records  atomic.Uint64
}

// New returns a Redactor for the alerts of a source type, or nil if c is not enabled.
// The error says which pattern or field is none.
func New(c Config, sourceType string) (*Redactor, error) {
	if !c.Enabled {
		return nil, nil
	}
	r := &Redactor{index: newIndex(builtin)}
	for i := range c.Patterns {
		p := &c.Patterns[i]
		re, err := p.compile()
		if err != nil {
			return nil, fmt.Errorf("redact by pattern %d: %w", i, err)
		}
		fields, err := p.lookUpFields(sourceType)
		if err != nil {
			return nil, fmt.Errorf("redact by pattern %d: %w", i, err)
		}
		r.patterns = append(r.patterns, pattern{re: re, fields: fields})
	}
	return r, nil
}

// Records returns in how many alerts and notices something was replaced.
func (r *Redactor) Records() uint64 {
	if r == nil {
		return 0
	}
	return r.records.Load()
}

// Alert replaces the secrets in a, which is in no queue yet. What a shares with others
// is left as it is: a gets its own. A nil Redactor does nothing.
func (r *Redactor) Alert(a *alert.Alert) {
	if r == nil {
		return
	}
	p := pass{r: r}
	a.Image = p.image(a.Image, &processFields)
	a.Parent = p.image(a.Parent, &parentFields)
	a.Fields = p.fields(a.Fields)
	a.Facts = p.fields(a.Facts)
	a.File.Path = p.bytes("fd.name", a.File.Path)
	a.Sock.LocalPath = p.bytes("", a.Sock.LocalPath)
	a.Sock.RemotePath = p.bytes("", a.Sock.RemotePath)
	if a.Fold != nil {
		for i := range a.Fold.Values {
			v := &a.Fold.Values[i]
			for j, s := range v.Texts {
				v.Texts[j] = p.text(v.Name, s)
			}
		}
	}
	a.Output = p.output(a.Output)
	if p.changed {
		a.Measure()
		r.records.Add(1)
	}
}

// imageFields are the fields that show parts of an image.
type imageFields struct{ name, exe, exePath, cmdline, args, cwd string }

var (
	processFields = imageFields{"proc.name", "proc.exe", "proc.exepath", "proc.cmdline", "proc.args", "proc.cwd"}
	parentFields  = imageFields{"proc.pname", "proc.pexe", "proc.pexepath", "proc.pcmdline", "", ""}
)

// pass is the redaction of one alert.
type pass struct {
	r       *Redactor
	changed bool
	// known are texts that were replaced as a whole. They can be part of others, in
	// which they could not be told.
	known []replacement
}

type replacement struct{ from, to string }

// text returns s, the value of a field or of nothing that has a name, without secrets.
func (p *pass) text(name, s string) string {
	if s == "" {
		return s
	}
	out := s
	for _, k := range p.known {
		out = strings.ReplaceAll(out, k.from, k.to)
	}
	out = p.match(name, out)
	if out != s {
		p.changed = true
	}
	return out
}

// match replaces what patterns find in s, or in the queries of URLs in it.
func (p *pass) match(name, s string) string { return p.queries(name, p.patterns(name, s)) }

func (p *pass) patterns(name, s string) string {
	for found := p.r.index.candidates(s); found != 0; found &= found - 1 {
		s = builtin[bits.TrailingZeros64(found)].replace(s)
	}
	for i := range p.r.patterns {
		if pt := &p.r.patterns[i]; pt.fields == nil || pt.fields[name] {
			s = pt.replace(s)
		}
	}
	return s
}

// learn makes s be replaced wherever it is part of a text from now on.
func (p *pass) learn(from, to string) {
	if from != to && from != "" {
		p.known = append(p.known, replacement{from, to})
	}
}

func (p *pass) bytes(name string, b []byte) []byte {
	if len(b) == 0 {
		return b
	}
	if s := string(b); p.text(name, s) != s {
		return []byte(p.text(name, s))
	}
	return b
}

// fields returns list, or a copy where something is replaced.
func (p *pass) fields(list []alert.Field) []alert.Field {
	out := list
	for i := range list {
		f := list[i]
		v := f.Value
		if v.Text != "" {
			if v.Text = p.text(f.Name, v.Text); v.Text != f.Value.Text {
				p.learn(f.Value.Text, v.Text)
			}
		}
		if len(v.List) > 0 {
			v.List = p.list(f.Name, v.List)
		}
		if v.Text == f.Value.Text && (len(v.List) == 0 || &v.List[0] == &f.Value.List[0]) {
			continue
		}
		if &out[0] == &list[0] {
			out = append([]alert.Field(nil), list...)
		}
		out[i].Value = v
	}
	return out
}

// list returns list, or a copy where something is replaced. What is replaced as a whole
// is learnt as it stands in outputs.
func (p *pass) list(name string, list []string) []string {
	out := redactList(list)
	own := &out[0] != &list[0]
	p.changed = p.changed || own
	for i := range out {
		s := p.text(name, out[i])
		if s == out[i] {
			continue
		}
		if !own {
			out, own = append([]string(nil), list...), true
		}
		out[i] = s
	}
	if own {
		for _, separator := range []string{" ", ","} {
			p.learn(strings.Join(list, separator), strings.Join(out, separator))
		}
	}
	return out
}

// image returns i, or a copy where something is replaced. The environment is left out
// of it: no alert shows that of an image but through a field.
func (p *pass) image(i *event.Image, names *imageFields) *event.Image {
	if i == nil {
		return nil
	}
	c := *i
	c.Exe, c.ExePath, c.CWD = p.bytes(names.exe, i.Exe), p.bytes(names.exePath, i.ExePath), p.bytes(names.cwd, i.CWD)
	same := len(c.Exe) == len(i.Exe) && len(c.ExePath) == len(i.ExePath) && len(c.CWD) == len(i.CWD) &&
		bytes.Equal(c.Exe, i.Exe) && bytes.Equal(c.ExePath, i.ExePath) && bytes.Equal(c.CWD, i.CWD)
	if args := p.args(i.Args, names.args); args != nil {
		c.Args = args
		c.ArgLine = bytes.Join(args, []byte(" "))
		p.learn(string(i.ArgLine), string(c.ArgLine))
		same = false
	}
	c.Cmdline, c.ArgLine = p.bytes(names.cmdline, i.Cmdline), p.bytes(names.args, c.ArgLine)
	// A program's name tells which of its short flags takes a password, so more may show
	// in the whole line than in its parts.
	prefix := string(i.Name) + " "
	if line, ok := strings.CutPrefix(string(c.Cmdline), prefix); ok && strings.HasPrefix(string(i.Cmdline), prefix) {
		c.ArgLine = []byte(line)
	}
	if same && bytes.Equal(c.Cmdline, i.Cmdline) && bytes.Equal(c.ArgLine, i.ArgLine) {
		return i
	}
	if !bytes.Equal(c.ArgLine, bytes.Join(c.Args, []byte(" "))) {
		c.Args = bytes.Split(c.ArgLine, []byte(" "))
	}
	p.learn(string(i.Cmdline), string(c.Cmdline))
	p.learn(string(i.ArgLine), string(c.ArgLine))
	c.Env = nil
	return &c
}

// args returns a copy of args with the secrets replaced, or nil if there are none.
func (p *pass) args(args [][]byte, name string) [][]byte {
	if len(args) == 0 {
		return nil
	}
	list := make([]string, len(args))
	for i, a := range args {
		list[i] = string(a)
	}
	out := redactList(list)
	changed := &out[0] != &list[0]
	for i := range out {
		if s := p.match(name, out[i]); s != out[i] {
			if !changed {
				out, changed = append([]string(nil), list...), true
			}
			out[i] = s
		}
	}
	if !changed {
		return nil
	}
	p.changed = true
	redacted := make([][]byte, len(out))
	for i, s := range out {
		redacted[i] = []byte(s)
	}
	return redacted
}

// output returns the rendered output without secrets. Patterns of a field are not
// looked for in it, but what they replaced in the field is.
func (p *pass) output(s string) string { return p.text("", s) }
