package config

import (
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

var unknownKeys = regexp.MustCompile(`^'([^']*)' has invalid keys: (.*)$`)

func (l *Loaded) decode(path []string, values map[string]any, cfg any) Problems {
	if err := confmap.NewFromStringMap(values).Unmarshal(cfg); err != nil {
		var problems Problems
		for _, text := range messages(err) {
			problems = append(problems, l.decodeProblems(path, text, cfg)...)
		}
		return problems
	}
	if err := confmap.Validate(cfg); err != nil {
		var problems Problems
		for _, text := range messages(err) {
			problems = append(problems, l.valueProblem(path, text, cfg))
		}
		return problems
	}
	return nil
}

// messages takes apart what joined errors say.
func messages(err error) []string {
	var texts []string
	for line := range strings.SplitSeq(err.Error(), "\n") {
		line = strings.TrimPrefix(strings.TrimSpace(line), "* ")
		if line != "" && line != "decoding failed due to the following error(s):" {
			texts = append(texts, line)
		}
	}
	return texts
}

// decodeProblems says which keys are unknown, with the nearest that are not.
func (l *Loaded) decodeProblems(path []string, text string, cfg any) Problems {
	m := unknownKeys.FindStringSubmatch(text)
	if m == nil {
		return Problems{l.valueProblem(path, text, cfg)}
	}
	below := levels(m[1], cfg)
	parent := append(path[:len(path):len(path)], below...)
	known := keysAt(reflect.TypeOf(cfg), below)
	var problems Problems
	for key := range strings.SplitSeq(m[2], ", ") {
		p := join(append(parent[:len(parent):len(parent)], key))
		problems = append(problems, Problem{Origin: l.near(p), Path: p, Text: "unknown key" + didYouMean(key, known)})
	}
	return problems
}

// levels takes apart a key as the decoder names it: from the name of the struct on.
func levels(key string, cfg any) []string {
	if t := structOf(reflect.TypeOf(cfg)); t != nil {
		key = strings.TrimPrefix(key, t.String())
	}
	return strings.FieldsFunc(key, func(r rune) bool { return r == '.' || r == ':' })
}

var quotedKey = regexp.MustCompile(`^'([^']+)'`)

// valueProblem puts the key that a message starts with where keys belong.
func (l *Loaded) valueProblem(path []string, text string, cfg any) Problem {
	below := path
	if m := quotedKey.FindStringSubmatch(text); m != nil {
		text = strings.TrimLeft(text[len(m[0]):], " :")
		below = append(path[:len(path):len(path)], levels(m[1], cfg)...)
	} else {
		for {
			key, rest, ok := strings.Cut(text, ": ")
			words := strings.Split(key, Delimiter)
			if !ok || !keys(words) {
				break
			}
			below, text = append(below[:len(below):len(below)], words...), rest
		}
	}
	p := join(below)
	return Problem{Origin: l.near(p), Path: p, Text: text}
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
	t = structOf(t)
	if t == nil {
		return nil
	}
	if len(path) == 0 {
		return keysOf(t)
	}
	if f, ok := fieldOf(t, path[0]); ok {
		return keysAt(f, path[1:])
	}
	return nil
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
		case strings.HasPrefix(t.Name(), "Optional[") && strings.HasSuffix(t.PkgPath(), "/configoptional"):
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
	return c.ToStringMap(), nil
}
