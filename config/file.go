package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	yamlparser "github.com/knadh/koanf/parsers/yaml"
	"go.yaml.in/yaml/v3"
)

const (
	maxFileSize = 1 << 20
	maxDepth    = 64
)

// layer is one of the maps that a configuration is merged from.
type layer struct {
	values  map[string]any
	origins map[string]Origin // by path; at least one for each leaf
}

// readFile reads a configuration file. Its origins name it as the user did.
func readFile(name string, env map[string]string) (layer, Problems) {
	whole := func(format string, args ...any) (layer, Problems) {
		return layer{}, Problems{{Origin: Origin{Layer: Files, Name: name}, Text: fmt.Sprintf(format, args...)}}
	}
	f, err := os.Open(name)
	if err != nil {
		return whole("%v", cause(err))
	}
	defer func() { _ = f.Close() }() // opened for reading: nothing is lost
	text, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err != nil {
		return whole("%v", cause(err))
	}
	if len(text) > maxFileSize {
		return whole("larger than %d bytes, which no configuration is", maxFileSize)
	}
	return parseFile(name, text, env)
}

// parseFile is readFile for a text that is already in memory.
func parseFile(name string, text []byte, env map[string]string) (layer, Problems) {
	file := Origin{Layer: Files, Name: name}
	var document, next yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return layer{values: map[string]any{}}, nil
	case err != nil:
		return layer{}, Problems{yamlProblem(file, err)}
	}
	if err := decoder.Decode(&next); !errors.Is(err, io.EOF) {
		file.Line = next.Line
		return layer{}, Problems{{Origin: file, Text: "has a second YAML document; a configuration is one: use several -c"}}
	}
	root := document.Content[0]
	if root.Kind != yaml.MappingNode {
		if root.Tag == "!!null" {
			return layer{values: map[string]any{}}, nil
		}
		file.Line, file.Column = root.Line, root.Column
		return layer{}, Problems{{Origin: file, Text: "is not a mapping of keys to values"}}
	}
	values, err := yamlparser.Parser().Unmarshal(text)
	if err != nil {
		return layer{}, Problems{yamlProblem(file, err)}
	}
	l := layer{origins: map[string]Origin{}}
	l.position(file, root, nil)

	r := reader{env: env, layer: l}
	l.values, _ = r.value(values, nil).(map[string]any)
	return l, r.problems
}

var lineOfYAML = regexp.MustCompile(`^(?:yaml: )?(?:unmarshal errors:\s*)?(?:line (\d+): )?`)

// yamlProblem puts the line that the YAML parser names where lines belong.
func yamlProblem(file Origin, err error) Problem {
	text := err.Error()
	if m := lineOfYAML.FindStringSubmatch(text); m != nil {
		text = text[len(m[0]):]
		_, _ = fmt.Sscan(m[1], &file.Line) // no line: 0
	}
	return Problem{Origin: file, Text: "YAML: " + text}
}

// position records where each key of a mapping stands.
func (l *layer) position(file Origin, n *yaml.Node, path []string) {
	if n.Kind != yaml.MappingNode || len(path) > maxDepth {
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := file
		at.Line, at.Column = key.Line, key.Column
		l.origins[join(below(path, key.Value))] = at
		l.position(file, value, below(path, key.Value))
	}
}

// reader turns what the YAML parser made into maps with string keys, with variables put in.
type reader struct {
	env      map[string]string
	layer    layer
	problems Problems
}

func (r *reader) value(v any, path []string) any {
	if len(path) > maxDepth {
		r.problem(path, "nested more than %d deep", maxDepth)
		return nil
	}
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			v[key] = r.value(value, below(path, key))
		}
		return v
	case map[any]any:
		m := make(map[string]any, len(v))
		for key, value := range v {
			name := fmt.Sprint(key)
			m[name] = r.value(value, below(path, name))
		}
		return m
	case []any:
		for i := range v {
			v[i] = r.value(v[i], path)
		}
		return v
	case string:
		return r.expand(v, path)
	default:
		return v
	}
}

func (r *reader) problem(path []string, format string, args ...any) {
	p := join(path)
	r.problems = append(r.problems, Problem{Origin: r.layer.origins[p], Path: p, Text: fmt.Sprintf(format, args...)})
}

var variable = regexp.MustCompile(`\$\$|\$\{[^}]*\}`)

// expand replaces ${env:NAME} and ${env:NAME:-default} as a collector does: a value that
// is nothing but a variable has the type its text would have in YAML; $$ is a dollar sign.
func (r *reader) expand(s string, path []string) any {
	if !strings.Contains(s, "$") {
		return s
	}
	expanded := variable.ReplaceAllStringFunc(s, func(match string) string {
		if match == "$$" {
			return "$"
		}
		inner := match[2 : len(match)-1]
		name, isEnv := strings.CutPrefix(inner, "env:")
		if !isEnv && strings.Contains(inner, ":") {
			r.problem(path, "%s: only ${env:NAME} and ${env:NAME:-default} can be put in", match)
			return match
		}
		name, fallback, hasFallback := strings.Cut(name, ":-")
		value, ok := r.env[name]
		switch {
		case ok:
			return value
		case hasFallback:
			return fallback
		default:
			r.problem(path, "the environment has no %s; set it, or write ${env:%s:-} if it may be missing", name, name)
			return ""
		}
	})
	if variable.FindString(s) == s && s != "$$" {
		return scalar(expanded)
	}
	return expanded
}

// scalar gives text the type that it has as a YAML value. What is not YAML, or is a
// string in it, stays as it is.
func scalar(text string) any {
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		return text
	}
	switch v := v.(type) {
	case nil:
		if text == "null" || text == "~" {
			return nil
		}
		return text
	case string:
		if text[0] == '"' || text[0] == '\'' {
			return v
		}
		return text
	default:
		return v
	}
}

// cause drops from an error of package os the file name that the caller says already.
func cause(err error) error {
	if pe, ok := errors.AsType[*os.PathError](err); ok {
		return pe.Err
	}
	return err
}
