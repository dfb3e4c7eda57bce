package config

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// topLevel is the order in which Write puts the keys that readers look for first.
var topLevel = []string{
	"receivers", "exporters", "extensions", "alerts", "telemetry", "server", "memory_limit", "shutdown_timeout",
}

// Comment returns what is written about the key at a path: above it, and behind it.
type Comment func(path []string) (above, behind string)

// Write writes a tree of values as YAML: the top level in its usual order, everything
// below by name.
func Write(w io.Writer, tree map[string]any, comment Comment) error {
	n, err := node(tree, nil, comment)
	if err != nil {
		return err
	}
	e := yaml.NewEncoder(w)
	e.SetIndent(2)
	if err := e.Encode(n); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	return e.Close()
}

// Origins returns the Comment that says of each value where it was set.
func (l *Loaded) Origins() Comment {
	return func(path []string) (above, behind string) {
		p := join(path)
		if at(l.tree, p) == nil && l.origins[p] == (Origin{}) {
			return "", Origin{}.String()
		}
		return "", l.Origin(p).String()
	}
}

func node(v any, path []string, comment Comment) (*yaml.Node, error) {
	m, isMap := v.(map[string]any)
	if !isMap || len(m) == 0 {
		n := &yaml.Node{}
		if isMap {
			n.Kind, n.Tag, n.Style = yaml.MappingNode, "!!map", yaml.FlowStyle
			return n, nil
		}
		if err := n.Encode(redacted(v)); err != nil {
			return nil, fmt.Errorf("write %s: %w", join(path), err)
		}
		if n.Kind == yaml.SequenceNode && flat(n) {
			n.Style = yaml.FlowStyle
		}
		return n, nil
	}
	n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	keys := sortedKeys(m)
	if len(path) == 0 {
		slices.SortStableFunc(keys, func(a, b string) int {
			return slices.Index(topLevel, a) - slices.Index(topLevel, b)
		})
	}
	for _, key := range keys {
		value, err := node(m[key], below(path, key), comment)
		if err != nil {
			return nil, err
		}
		k := &yaml.Node{Kind: yaml.ScalarNode, Value: key}
		above, behind := comment(below(path, key))
		k.HeadComment = above
		// Behind a block the comment would stand on the key's line and be taken for one
		// on all that is in it.
		if value.Kind == yaml.ScalarNode || value.Style == yaml.FlowStyle {
			value.LineComment = behind
		}
		n.Content = append(n.Content, k, value)
	}
	return n, nil
}

func flat(n *yaml.Node) bool {
	return !slices.ContainsFunc(n.Content, func(c *yaml.Node) bool { return c.Kind != yaml.ScalarNode })
}

var credentials = regexp.MustCompile(`(://[^/@\s:]*:)[^/@\s]+@`)

// redacted hides what a URL says of a password. Keys that hold nothing but secrets are of
// a type that hides itself.
func redacted(v any) any {
	switch v := v.(type) {
	case string:
		return credentials.ReplaceAllString(v, "${1}[REDACTED]@")
	case []any:
		if v == nil {
			return nil // null: not the same as an empty list
		}
		out := make([]any, len(v))
		for i := range v {
			out[i] = redacted(v[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, value := range v {
			out[strings.Clone(key)] = redacted(value)
		}
		return out
	default:
		return v
	}
}
