package ruletest

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/windhover/windhover/internal/field"
	"github.com/windhover/windhover/rules/check"
)

// Suite is a file of tests in YAML:
//
//	rules: [my-rules.yaml]         # relative to the file; absent: those the caller has
//	source: syscall                # of every event that names none
//	every_event: {evt.type: openat, fd.num: 3}
//	cases:
//	  - case: cat reads the password hashes
//	    event: {fd.name: /etc/shadow, proc.name: cat}
//	    alerts: [Sensitive file read]
//	  - case: passwd reads them
//	    rule: Sensitive file read  # only this rule counts
//	    event: {fd.name: /etc/shadow, proc.name: passwd}
//	    alert: false
type Suite struct {
	Name  string
	Rules []string // paths; nil: not given
	Tests []Test
}

// Test is one case: events, and the alerts that are expected of them.
type Test struct {
	Name string
	File string
	Line int
	Rule string // only alerts of this rule count; empty: all do
	// Events are JSON objects with fields as keys.
	Events [][]byte
	Alerts []Expected
}

// Expected is an alert that a Test expects.
type Expected struct {
	Rule     string
	Event    int    // position of the event, from 1; 0: any
	Output   string // the whole output; empty: any
	Contains string // a part of the output; empty: any
}

// MaxSuiteSize bounds the text of a suite, maxEvents that of its events, which repeat what
// every_event says, and maxMistakes what is reported.
const (
	MaxSuiteSize = 8 << 20
	maxEvents    = 64 << 20
	maxMistakes  = 1000
)

// Mistake is what is wrong with a suite, and where.
type Mistake struct {
	File      string
	Line, Col int
	Msg       string
}

func (m *Mistake) Error() string { return fmt.Sprintf("%s:%d:%d: %s", m.File, m.Line, m.Col, m.Msg) }

// ParseSuite reads a suite. The error joins every Mistake.
func ParseSuite(name string, data []byte) (*Suite, error) {
	if len(data) > MaxSuiteSize {
		return nil, fmt.Errorf("read %s: larger than %d MiB", name, MaxSuiteSize>>20)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("read %s: %s", name, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	r := suiteReader{suite: Suite{Name: name}, source: field.Syscall}
	if len(doc.Content) == 0 {
		return nil, fmt.Errorf("read %s: it is empty", name)
	}
	r.read(doc.Content[0])
	return &r.suite, errors.Join(r.errs...)
}

type suiteReader struct {
	suite  Suite
	source string
	every  *yaml.Node
	size   int // of the events
	errs   []error
}

func (r *suiteReader) fail(n *yaml.Node, format string, args ...any) {
	if len(r.errs) > maxMistakes {
		return
	}
	r.errs = append(r.errs, &Mistake{r.suite.Name, n.Line, n.Column, fmt.Sprintf(format, args...)})
}

// keys calls each for every member of a mapping, and complains about unknown keys.
func (r *suiteReader) keys(n *yaml.Node, what string, known map[string]func(*yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		r.fail(n, "%s is a mapping", what)
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if value.Kind == yaml.AliasNode {
			value = value.Alias
		}
		if f := known[key.Value]; f != nil {
			f(value)
			continue
		}
		names := make([]string, 0, len(known))
		for k := range known {
			names = append(names, k)
		}
		slices.Sort(names)
		if near := check.Nearest(key.Value, names); near != "" {
			r.fail(key, "unknown key %q; did you mean %q?", key.Value, near)
		} else {
			r.fail(key, "unknown key %q; %s has %s", key.Value, what, strings.Join(names, ", "))
		}
	}
}

func (r *suiteReader) text(to *string) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if n.Kind != yaml.ScalarNode {
			r.fail(n, "want a text")
			return
		}
		*to = n.Value
	}
}

func (r *suiteReader) list(each func(*yaml.Node)) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if n.Kind != yaml.SequenceNode {
			r.fail(n, "want a list")
			return
		}
		for _, e := range n.Content {
			if e.Kind == yaml.AliasNode {
				e = e.Alias
			}
			each(e)
		}
	}
}

func (r *suiteReader) read(n *yaml.Node) {
	var cases *yaml.Node
	r.keys(n, "a suite", map[string]func(*yaml.Node){
		"rules": r.list(func(e *yaml.Node) {
			path := ""
			if r.text(&path)(e); path != "" && !filepath.IsAbs(path) {
				path = filepath.Join(filepath.Dir(r.suite.Name), path)
			}
			r.suite.Rules = append(r.suite.Rules, path)
		}),
		"source":      r.text(&r.source),
		"every_event": func(n *yaml.Node) { r.every = n },
		"cases":       func(n *yaml.Node) { cases = n },
	})
	if cases == nil {
		if len(r.errs) == 0 {
			r.fail(n, "there are no cases")
		}
		return
	}
	r.list(r.test)(cases)
}

func (r *suiteReader) test(n *yaml.Node) {
	t := Test{File: r.suite.Name, Line: n.Line}
	source, events, expects := r.source, 0, 0
	alert := ""
	var objects []*yaml.Node
	r.keys(n, "a case", map[string]func(*yaml.Node){
		"case":   r.text(&t.Name),
		"rule":   r.text(&t.Rule),
		"source": r.text(&source),
		"event":  func(n *yaml.Node) { objects = append(objects, n); events++ },
		"events": func(n *yaml.Node) {
			r.list(func(e *yaml.Node) { objects = append(objects, e) })(n)
			events++
		},
		"alert": func(n *yaml.Node) { r.text(&alert)(n); expects++ },
		"alerts": func(n *yaml.Node) {
			r.list(func(e *yaml.Node) { t.Alerts = append(t.Alerts, r.expected(e)) })(n)
			expects++
		},
	})
	if n.Kind != yaml.MappingNode {
		return
	}
	if t.Name == "" {
		r.fail(n, "the case has no name: say under \"case\" what happens")
	}
	if events != 1 {
		r.fail(n, "a case has either \"event\" or \"events\"")
	}
	if expects != 1 {
		r.fail(n, "a case has either \"alerts\", the rules that alert, or \"alert\", true or false")
	}
	switch {
	case alert == "":
	case t.Rule == "":
		r.fail(n, "\"alert\" is about one rule: name it under \"rule\"")
	case alert == "true":
		t.Alerts = []Expected{{Rule: t.Rule}}
	case alert != "false":
		r.fail(n, "\"alert\" is true or false, not %q", alert)
	}
	for _, o := range objects {
		if r.size > maxEvents || len(r.errs) > maxMistakes {
			break
		}
		if text, ok := r.event(o, source); ok {
			if r.size += len(text); r.size > maxEvents {
				r.fail(o, "the events up to this one are larger than %d MiB", maxEvents>>20)
			}
			t.Events = append(t.Events, text)
		}
	}
	r.suite.Tests = append(r.suite.Tests, t)
}

func (r *suiteReader) expected(n *yaml.Node) Expected {
	if n.Kind == yaml.ScalarNode {
		return Expected{Rule: n.Value}
	}
	var e Expected
	r.keys(n, "an alert", map[string]func(*yaml.Node){
		"rule": r.text(&e.Rule), "output": r.text(&e.Output), "contains": r.text(&e.Contains),
		"event": func(n *yaml.Node) {
			if err := n.Decode(&e.Event); err != nil || e.Event < 1 {
				r.fail(n, "\"event\" is the position of an event, from 1")
			}
		},
	})
	if e.Rule == "" {
		r.fail(n, "the alert has no rule")
	}
	return e
}

// event returns the text of an event: every_event, with what the case says in its place.
func (r *suiteReader) event(n *yaml.Node, source string) ([]byte, bool) {
	object := map[string]any{"source": source}
	for _, m := range []*yaml.Node{r.every, n} {
		if m == nil {
			continue
		}
		if m.Kind != yaml.MappingNode {
			r.fail(m, "an event is a mapping of fields")
			return nil, false
		}
		for i := 0; i+1 < len(m.Content); i += 2 {
			object[m.Content[i].Value] = r.value(m.Content[i+1], true)
		}
	}
	text, err := json.Marshal(object)
	if err != nil {
		r.fail(n, "%v", err)
		return nil, false
	}
	return text, true
}

// value returns a scalar as JSON has it, or a list of them.
func (r *suiteReader) value(n *yaml.Node, list bool) any {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch {
	case n.Kind == yaml.SequenceNode && list:
		out := []any{}
		for _, e := range n.Content {
			out = append(out, r.value(e, false))
		}
		return out
	case n.Kind != yaml.ScalarNode:
		r.fail(n, "the value of a field is a text, a number, a truth value or a list of them")
		return nil
	}
	switch n.Tag {
	case "!!null":
		return nil
	case "!!bool":
		var b bool
		if n.Decode(&b) == nil {
			return b
		}
	case "!!int":
		if json.Valid([]byte(n.Value)) {
			return json.Number(n.Value)
		}
	}
	return n.Value
}
