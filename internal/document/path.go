package document

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// Path is a way from the root of a document to values in it. It is immutable, and
// there is one Path for equal expressions, so that a document remembers what a path
// led to however many fields and rules ask.
type Path struct {
	parent *Path // nil: this is the root
	step   step
	id     uint32
	// last is the path up to the first step that leads to many values, rest the steps
	// from there on; rest is empty if there is no such step.
	last *Path
	rest []step
}

// step is one step of a path. Exactly one kind of target is set by kind.
type step struct {
	kind  stepKind
	key   string
	index int
	loose bool // what is no array counts as the element
}

type stepKind uint8

const (
	stepKey   stepKind = iota // the member key
	stepIndex                 // element index
	stepToken                 // the member key, or element index if it is an array
	stepEach                  // every element
)

// paths holds every path that was compiled. It only grows, by what configuration and
// rules name, never by what an event contains.
var paths = struct {
	sync.Mutex
	byKey map[pathKey]*Path
}{byKey: map[pathKey]*Path{}}

var root = func() *Path {
	p := &Path{}
	p.last = p
	return p
}()

type pathKey struct {
	parent *Path
	step   step
}

// RootPath returns the path to the whole document.
func RootPath() *Path { return root }

// then returns the path that goes one step on from p.
func (p *Path) then(s step) *Path {
	paths.Lock()
	defer paths.Unlock()
	k := pathKey{p, s}
	if q := paths.byKey[k]; q != nil {
		return q
	}
	q := &Path{parent: p, step: s, id: uint32(len(paths.byKey)) + 1}
	switch {
	case len(p.rest) > 0 || s.kind == stepEach:
		q.last = p.last
		q.rest = append(append([]step(nil), p.rest...), s)
	default:
		q.last = q
	}
	paths.byKey[k] = q
	return q
}

// CompilePath compiles an expression such as
//
//	spec.containers[].image
//	spec.containers[0].image
//	annotations["authorization.k8s.io/decision"]
//
//	spec.containers[]?.image
//
// Keys are joined by dots. What is in brackets is the index of an element, a key in
// quotes, or nothing: every element. With a question mark after the brackets, what is no
// array stands for its element, and arrays in an array are taken apart, too. The empty
// expression is the whole document.
func CompilePath(expr string) (*Path, error) {
	p := RootPath()
	for i := 0; i < len(expr); {
		if expr[i] == '[' {
			inside := expr[i+1:]
			if strings.HasPrefix(inside, `"`) {
				quoted, err := strconv.QuotedPrefix(inside)
				if err != nil {
					return nil, fmt.Errorf("compile path %q: offset %d: the key has no closing quote", expr, i)
				}
				key, err := strconv.Unquote(quoted)
				if err != nil || !strings.HasPrefix(inside[len(quoted):], "]") {
					return nil, fmt.Errorf("compile path %q: offset %d: want ] after the key", expr, i+1+len(quoted))
				}
				p = p.then(step{kind: stepKey, key: key})
				i += len(quoted) + 2
				continue
			}
			index, _, ok := strings.Cut(inside, "]")
			if !ok {
				return nil, fmt.Errorf("compile path %q: offset %d: [ has no ]", expr, i)
			}
			loose := strings.HasPrefix(inside[len(index)+1:], "?")
			if loose {
				i++
			}
			if index == "" {
				p = p.then(step{kind: stepEach, loose: loose})
			} else {
				n, ok := parseIndex(index)
				if !ok {
					return nil, fmt.Errorf("compile path %q: offset %d: %q is no index; a key in brackets takes quotes", expr, i+1, index)
				}
				p = p.then(step{kind: stepIndex, index: n, loose: loose})
			}
			i += len(index) + 2
			continue
		}
		if i > 0 {
			if expr[i] != '.' {
				return nil, fmt.Errorf("compile path %q: offset %d: want . or [", expr, i)
			}
			i++
		}
		end := i
		for end < len(expr) && expr[end] != '.' && expr[end] != '[' {
			end++
		}
		if end == i {
			return nil, fmt.Errorf("compile path %q: offset %d: want a key", expr, i)
		}
		p = p.then(step{kind: stepKey, key: expr[i:end]})
		i = end
	}
	return p, nil
}

// CompilePointer compiles a JSON pointer (RFC 6901). The slash at the start may be
// left out; the empty pointer is the whole document.
func CompilePointer(pointer string) *Path {
	p := RootPath()
	if pointer == "" {
		return p
	}
	for token := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		token = unescapePointer.Replace(token)
		s := step{kind: stepToken, key: token, index: -1}
		if n, ok := parseIndex(token); ok {
			s.index = n
		}
		p = p.then(s)
	}
	return p
}

var unescapePointer = strings.NewReplacer("~1", "/", "~0", "~")

// parseIndex reads a number without sign and leading zeros.
func parseIndex(s string) (int, bool) {
	if s == "" || len(s) > 1 && s[0] == '0' {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(s, 10, 32)
	return int(n), err == nil
}

// Many reports whether p can lead to more than one value.
func (p *Path) Many() bool { return len(p.rest) > 0 }

// memo is what a path of one step or more led to, in the parse of round.
type memo struct {
	round uint32
	node  uint32
}

// Find returns the value p leads to, the first one if there are several; Absent if
// there is none.
func (d *Document) Find(p *Path) Value {
	if !p.Many() {
		return d.one(p)
	}
	if all := d.FindAll(p); len(all) > 0 {
		return all[0]
	}
	return Value{}
}

// FindAll returns every value p leads to, in the order of the document. The slice is
// valid until the next call.
func (d *Document) FindAll(p *Path) []Value {
	d.found = d.found[:0]
	v := d.one(p.last)
	if v.d == nil {
		return nil
	}
	if !p.Many() {
		d.found = append(d.found, v)
		return d.found
	}
	d.spread(v, p.rest)
	return d.found
}

// one follows p, which leads to one value at most.
func (d *Document) one(p *Path) Value {
	if p.parent == nil {
		return d.Root()
	}
	if int(p.id) >= len(d.memo) {
		d.memo = append(d.memo, make([]memo, int(p.id)+64-len(d.memo))...)
	}
	m := &d.memo[p.id]
	if m.round != d.round {
		v := p.step.from(d.one(p.parent))
		m = &d.memo[p.id] // the parent may have moved it
		m.round, m.node = d.round, none
		if v.d != nil {
			m.node = v.i
		}
	}
	if m.node == none {
		return Value{}
	}
	return Value{d, m.node}
}

func (s *step) from(v Value) Value {
	switch {
	case s.kind == stepKey, s.kind == stepToken && v.Kind() != Array:
		return v.Get(s.key)
	case s.loose && v.Kind() != Array:
		return v
	default:
		return v.Index(s.index)
	}
}

// spread appends to d.found what steps lead to from v.
func (d *Document) spread(v Value, steps []step) {
	for i := range steps {
		if s := &steps[i]; s.kind == stepEach {
			if s.loose && v.Kind() != Array {
				continue
			}
			rest := steps[i+1:]
			if s.loose {
				rest = steps[i:] // for arrays in the array
			}
			for e := v.Elements(); e.Next(); {
				d.spread(e.Value(), rest)
			}
			return
		}
		v = steps[i].from(v)
	}
	if v.d != nil {
		d.found = append(d.found, v)
	}
}
