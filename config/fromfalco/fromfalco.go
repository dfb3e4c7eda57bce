// Package fromfalco translates a configuration file of Falco into one of Windhover.
//
// Keys is the one table: what becomes of every key that falco.yaml can have, of Falco
// 0.44. Convert carries over what a file sets, docs/falco.md shows the table to people.
package fromfalco

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Delimiter stands between the levels of a key of Windhover's.
const Delimiter = "::"

// maxBytes bounds a file of Falco's; the one that Falco ships has 60 KiB with its comments.
const maxBytes = 4 << 20

// Result is what became of a file.
type Result struct {
	// Config is the configuration for Windhover, as a tree.
	Config map[string]any
	// From tells, by path, which key of Falco's a value of Config comes from.
	From map[string]string
	// Notes say what was not carried over, or not as it was, in the order of the file.
	Notes []Note
}

// Note is about one key of a file.
type Note struct {
	Line int    // in the file, from 1
	Key  string // as falco.yaml names it
	Text string
}

func (n Note) String() string { return fmt.Sprintf("%d: %s: %s", n.Line, n.Key, n.Text) }

// Convert translates a falco.yaml. Keys that Falco does not have are noted, not refused.
// The error says why the text cannot be read.
func Convert(r io.Reader) (*Result, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read configuration of Falco: %w", err)
	}
	if len(text) > maxBytes {
		return nil, fmt.Errorf("read configuration of Falco: larger than %d bytes, which no configuration is", maxBytes)
	}
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		return nil, fmt.Errorf("read configuration of Falco: %w", err)
	}
	c := &conversion{
		values: map[string]any{}, lines: map[string]int{},
		Result: Result{Config: map[string]any{}, From: map[string]string{}},
	}
	if root.Kind == yaml.DocumentNode {
		if err := c.collect(root.Content[0], ""); err != nil {
			return nil, err
		}
	}
	c.translate()
	return &c.Result, nil
}

// conversion is one call of Convert.
type conversion struct {
	Result

	values map[string]any // what the file sets, by the names that Keys has
	lines  map[string]int
}

// collect notes the values below a node under the names that the table gives them.
func (c *conversion) collect(n *yaml.Node, name string) error {
	if n.Kind == yaml.MappingNode && !isKey(name) {
		for i := 0; i+1 < len(n.Content); i += 2 {
			below := n.Content[i].Value
			if name != "" {
				below = name + "." + below
			}
			if err := c.collect(n.Content[i+1], below); err != nil {
				return err
			}
			c.lines[below] = n.Content[i].Line
		}
		return nil
	}
	if name == "" {
		return errors.New("it is no configuration: a file of keys with values is wanted")
	}
	var v any
	if err := n.Decode(&v); err != nil {
		return fmt.Errorf("line %d: read %s: %w", n.Line, name, err)
	}
	c.values[name] = v
	c.lines[name] = n.Line
	return nil
}

func isKey(name string) bool {
	return slices.ContainsFunc(Keys(), func(k Key) bool { return k.Name == name })
}

// translate goes through the table, so that a key is carried over after those before it.
func (c *conversion) translate() {
	known := map[string]bool{}
	for _, k := range Keys() {
		known[k.Name] = true
		v, set := c.values[k.Name]
		switch {
		case set && k.carry != nil:
			k.carry(&carrier{c, k.Name}, v)
		case set:
			c.note(k.Name, k.Note)
		case k.absent != nil:
			k.absent(&carrier{c, k.Name})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.values)) {
		if !known[name] {
			c.note(name, "Falco 0.44 has no such key")
		}
	}
	slices.SortStableFunc(c.Notes, func(a, b Note) int { return a.Line - b.Line })
}

func (c *conversion) note(key, text string) {
	c.Notes = append(c.Notes, Note{c.lines[key], key, strings.ReplaceAll(text, "`", "")})
}

// carrier carries one key over.
type carrier struct {
	*conversion

	key string
}

func (c *carrier) note(format string, args ...any) {
	c.conversion.note(c.key, fmt.Sprintf(format, args...))
}

// set gives the value at a path of Windhover's, such as server::address.
// What is about system calls is left out where there is no receiver of them.
func (c *carrier) set(path string, v any) {
	if strings.HasPrefix(path, syscallReceiver+Delimiter) && !c.has(syscallReceiver) {
		c.note("left out: with this engine.kind no system calls are watched")
		return
	}
	tree, levels := c.Config, strings.Split(path, Delimiter)
	for _, level := range levels[:len(levels)-1] {
		below, ok := tree[level].(map[string]any)
		if !ok {
			below = map[string]any{}
			tree[level] = below
		}
		tree = below
	}
	tree[levels[len(levels)-1]] = v
	c.From[path] = c.key
}

// has says whether a path was set.
func (c *carrier) has(path string) bool {
	var v any = c.Config
	for level := range strings.SplitSeq(path, Delimiter) {
		m, ok := v.(map[string]any)
		if !ok {
			return false
		}
		if v, ok = m[level]; !ok {
			return false
		}
	}
	return true
}

// text reads a key of Falco's; without it, it returns the default.
func (c *carrier) text(key, otherwise string) string {
	if v, ok := c.values[key]; ok && v != nil {
		return fmt.Sprint(v)
	}
	return otherwise
}

// truth says whether a key of Falco's is true.
func (c *carrier) truth(key string) bool { return c.values[key] == true }

// number returns v as a number, if it is one.
func number(v any) (float64, bool) {
	switch v := v.(type) {
	case int:
		return float64(v), true
	case float64:
		return v, !math.IsNaN(v) && !math.IsInf(v, 0)
	}
	return 0, false
}

// list returns the items of v; one value is a list of it.
func list(v any) []any {
	switch v := v.(type) {
	case []any:
		return v
	case nil:
		return nil
	}
	return []any{v}
}
