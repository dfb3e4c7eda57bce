package config

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/confmap"
)

// Decode fills cfg, which holds a component's defaults, with what users set for it, and
// validates it. The error is of type Problems.
func (l *Loaded) Decode(s Section, id string, cfg any) error {
	return l.decode([]string{string(s), id}, l.Block(s, id), cfg).err()
}

// DecodeWithout is Decode for a block that has keys of the daemon's own, which cfg lacks.
func (l *Loaded) DecodeWithout(s Section, id string, cfg any, own ...string) error {
	block := map[string]any{}
	for key, value := range l.Block(s, id) {
		if !slices.Contains(own, key) {
			block[key] = value
		}
	}
	return l.decode([]string{string(s), id}, block, cfg).err()
}

func (l *Loaded) decode(path []string, values map[string]any, cfg any) Problems {
	if err := confmap.NewFromStringMap(values).Unmarshal(cfg); err != nil {
		return l.decodeProblems(path, lines(err), reflect.TypeOf(cfg))
	}
	if err := confmap.Validate(cfg); err != nil {
		var problems Problems
		for _, text := range lines(err) {
			problems = append(problems, l.validateProblem(path, text, reflect.TypeOf(cfg)))
		}
		return problems
	}
	return nil
}

// lines takes apart what joined errors say.
func lines(err error) []string {
	var texts []string
	for line := range strings.SplitSeq(err.Error(), "\n") {
		if line = strings.TrimPrefix(strings.TrimSpace(line), "* "); line != "" {
			texts = append(texts, line)
		}
	}
	return texts
}

const (
	heading = "decoding failed due to the following error(s):"
	unknown = "has invalid keys: "
)

var quotedKey = regexp.MustCompile(`^'([^']*)' `)

// decodeProblems reads what the decoder says: a line for each mistake, of the form
//
//	'key.below' what is wrong
//	'key' has invalid keys: a, b
//
// where the root is called by the name of its type. Lines about an optional block come
// after a heading that names it, and nothing says where they end but their keys.
func (l *Loaded) decodeProblems(path, lines []string, t reflect.Type) Problems {
	var (
		problems Problems
		block    []string // named by the last headings
	)
	for _, text := range lines {
		var key string
		if m := quotedKey.FindStringSubmatch(text); m != nil {
			key, text = m[1], text[len(m[0]):]
		}
		levels, ok := resolve(t, block, key)
		if !ok {
			block = nil
			levels, _ = resolve(t, nil, key)
		}
		if text == heading {
			block = levels
			continue
		}
		at := below(path, levels...)
		names, isUnknown := strings.CutPrefix(text, unknown)
		if !isUnknown {
			p := join(at)
			problems = append(problems, Problem{Origin: l.near(p), Path: p, Text: text})
			continue
		}
		for name := range strings.SplitSeq(names, ", ") {
			p := join(below(at, name))
			problems = append(problems, Problem{Origin: l.near(p), Path: p, Text: "unknown key" + didYouMean(name, keysAt(t, levels))})
		}
	}
	return problems
}

// resolve returns the path of a key that the decoder names within a block of t, and
// whether the block can have it.
func resolve(t reflect.Type, block []string, key string) ([]string, bool) {
	if in := typeAt(t, block); in != nil {
		key = strings.TrimPrefix(key, in.String())
	}
	levels := strings.FieldsFunc(key, func(r rune) bool { return r == '.' || r == ':' })
	known := len(levels) == 0 || slices.Contains(keysAt(t, block), levels[0])
	return below(block, levels...), known
}

// validateProblem puts the keys that a message starts with where keys belong.
func (l *Loaded) validateProblem(path []string, text string, t reflect.Type) Problem {
	for {
		key, rest, ok := strings.Cut(text, ": ")
		words := strings.Split(key, Delimiter)
		if !ok || !keys(words) {
			break
		}
		words, t = unsquash(words, t)
		path, text = below(path, words...), rest
	}
	p := join(path)
	return Problem{Origin: l.near(p), Path: p, Text: text}
}

// unsquash leaves out of a path from the validator the structs that are squashed, whose
// fields are keys of the block around, and returns the type that the path leads to.
func unsquash(words []string, t reflect.Type) ([]string, reflect.Type) {
	var path []string
	for _, word := range words {
		in := t
		if in != nil {
			in = structOf(in)
		}
		if in == nil {
			path, t = append(path, word), nil
			continue
		}
		if f, ok := fieldOf(in, word); ok {
			path, t = append(path, word), f
			continue
		}
		f, ok := in.FieldByNameFunc(func(name string) bool { return strings.EqualFold(name, word) })
		if _, squash := tag(f); ok && squash {
			t = f.Type
			continue
		}
		path, t = append(path, word), nil
	}
	return path, t
}

// keys reports whether these words of a message are keys.
func keys(words []string) bool {
	for _, w := range words {
		if w == "" || strings.ContainsAny(w, " \"'") || strings.ToLower(w) != w {
			return false
		}
	}
	return true
}

// HasKey reports whether a configuration struct, or a pointer to one, has a key at its
// top level.
func HasKey(cfg any, key string) bool {
	return slices.Contains(keysAt(reflect.TypeOf(cfg), nil), key)
}

// keysAt returns the keys that a configuration of type t has below a path, as far as its
// types tell.
func keysAt(t reflect.Type, path []string) []string {
	if t = typeAt(t, path); t != nil {
		return keysOf(t)
	}
	return nil
}

// typeAt returns the struct that is the configuration at a path, or nil if it is none.
func typeAt(t reflect.Type, path []string) reflect.Type {
	for _, key := range path {
		if t = structOf(t); t == nil {
			return nil
		}
		f, ok := fieldOf(t, key)
		if !ok {
			return nil
		}
		t = f
	}
	return structOf(t)
}

// structOf looks through pointers, and through the optional values of a collector, whose
// content is their first field.
func structOf(t reflect.Type) reflect.Type {
	for {
		switch {
		case t.Kind() == reflect.Pointer:
			t = t.Elem()
		case t.Kind() != reflect.Struct:
			return nil
		case isOptional(t):
			t = t.Field(0).Type
		default:
			return t
		}
	}
}

func keysOf(t reflect.Type) []string {
	var names []string
	for f := range t.Fields() {
		if !f.IsExported() {
			continue
		}
		name, squash := tag(f)
		switch {
		case squash:
			if inner := structOf(f.Type); inner != nil {
				names = append(names, keysOf(inner)...)
			}
		case name != "":
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func fieldOf(t reflect.Type, key string) (reflect.Type, bool) {
	for f := range t.Fields() {
		if !f.IsExported() {
			continue
		}
		name, squash := tag(f)
		if squash {
			if inner := structOf(f.Type); inner != nil {
				if found, ok := fieldOf(inner, key); ok {
					return found, true
				}
			}
		}
		if name == key {
			return f.Type, true
		}
	}
	return nil, false
}

func tag(f reflect.StructField) (name string, squash bool) {
	name, rest, _ := strings.Cut(f.Tag.Get("mapstructure"), ",")
	if name == "-" {
		return "", false
	}
	return name, strings.Contains(rest, "squash")
}

// errUnwritable cannot happen with the structs of a collector's components.
var errUnwritable = errors.New("configuration cannot be written")

// Effective returns cfg, a filled configuration struct, as the map that would fill it.
// Secrets are left out: their place says so.
func Effective(cfg any) (map[string]any, error) {
	c := confmap.New()
	if err := c.Marshal(cfg); err != nil {
		return nil, fmt.Errorf("%w: %w", errUnwritable, err)
	}
	m := c.ToStringMap()
	if err := putTexts(reflect.ValueOf(cfg), m); err != nil {
		return nil, fmt.Errorf("%w: %w", errUnwritable, err)
	}
	return m, nil
}

// putTexts writes into m the values that confmap cannot write: structs which become
// text by a method of their pointer, such as the sizer of a queue.
func putTexts(v reflect.Value, m map[string]any) error {
	if v = valueOf(v); !v.IsValid() {
		return nil
	}
	for f, field := range v.Fields() {
		name, squash := tag(f)
		switch {
		case !f.IsExported() || m == nil:
		case squash:
			if err := putTexts(field, m); err != nil {
				return err
			}
		case isOptional(f.Type) && !valueOf(field).IsValid():
			// Null would turn the block on; only this says that it is off.
			delete(m, name)
			if structOf(f.Type) != nil {
				m[name] = map[string]any{"enabled": false}
			}
		case f.Type.Kind() == reflect.Struct && opaque(f.Type):
			p := reflect.New(f.Type)
			p.Elem().Set(field)
			if t, ok := reflect.TypeAssert[encoding.TextMarshaler](p); ok {
				text, err := t.MarshalText()
				if err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
				m[name] = string(text)
			}
		default:
			block, _ := m[name].(map[string]any)
			if err := putTexts(field, block); err != nil {
				return err
			}
		}
	}
	return nil
}

// opaque reports whether a struct shows nothing of itself.
func opaque(t reflect.Type) bool {
	for f := range t.Fields() {
		if f.IsExported() {
			return false
		}
	}
	return !isOptional(t)
}

// valueOf is structOf for a value; it is invalid where there is none.
func valueOf(v reflect.Value) reflect.Value {
	for v.IsValid() {
		switch {
		case v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface:
			v = v.Elem()
		case v.Kind() != reflect.Struct:
			return reflect.Value{}
		case isOptional(v.Type()):
			p := reflect.New(v.Type())
			p.Elem().Set(v)
			v = p.MethodByName("Get").Call(nil)[0]
		default:
			return v
		}
	}
	return v
}

func isOptional(t reflect.Type) bool {
	return strings.HasPrefix(t.Name(), "Optional[") && strings.HasSuffix(t.PkgPath(), "/configoptional")
}
