package config

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	koanfmap "github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
)

// Delimiter separates the levels of a path, as in a collector: IDs of components may
// contain dots.
const Delimiter = "::"

// Layer is where a value can be set. Later layers win.
type Layer uint8

// The layers, in the order in which they are merged.
const (
	Defaults Layer = iota
	Files
	Env
	Flags
)

// Origin says where a value was set.
type Origin struct {
	Layer        Layer
	Name         string // file, variable or flag
	Line, Column int    // in a file; 0: not known
}

func (o Origin) String() string {
	if o.Layer == Defaults {
		return "default"
	}
	s := o.Name
	if o.Line > 0 {
		s += ":" + strconv.Itoa(o.Line)
	}
	if o.Column > 0 {
		s += ":" + strconv.Itoa(o.Column)
	}
	return s
}

// Setting sets one key.
type Setting struct {
	Path   string
	Value  any
	Origin Origin
}

// ParseSetting reads the key=value of --set. Levels of the key are separated by :: or,
// where it has none, by dots.
func ParseSetting(s string) (Setting, error) {
	path, value, ok := strings.Cut(s, "=")
	if !ok || path == "" {
		return Setting{}, fmt.Errorf("set %q: not of the form key=value, such as server::address=127.0.0.1:9464", s)
	}
	if !strings.Contains(path, Delimiter) {
		path = strings.ReplaceAll(path, ".", Delimiter)
	}
	if slices.Contains(strings.Split(path, Delimiter), "") {
		return Setting{}, fmt.Errorf("set %q: the key has an empty level", s)
	}
	return Setting{Path: path, Value: scalar(value), Origin: Origin{Layer: Flags, Name: "--set"}}, nil
}

// Section is a top-level key that holds components by ID.
type Section string

// The sections.
const (
	Receivers  Section = "receivers"
	Exporters  Section = "exporters"
	Extensions Section = "extensions"
)

var sections = []Section{Receivers, Exporters, Extensions}

// Settings is what Load merges, beside the defaults.
type Settings struct {
	Files []string  // names of YAML files
	Env   []string  // as of os.Environ
	Flags []Setting // in the order of the command line
	// Types are the types of component that there are.
	Types map[Section][]string
}

// Loaded is a merged configuration. It is immutable.
type Loaded struct {
	Config  *Config
	tree    map[string]any
	origins map[string]Origin
}

// Load merges the layers. The error is of type Problems and has all of them.
func Load(s Settings) (*Loaded, error) {
	env := environment(s.Env)
	layers := make([]layer, 0, len(s.Files))
	var problems Problems
	for _, name := range s.Files {
		l, ps := readFile(name, env)
		problems = append(problems, ps...)
		layers = append(layers, l)
	}
	return merge(s, env, layers, problems)
}

func environment(list []string) map[string]string {
	env := make(map[string]string, len(list))
	for _, variable := range list {
		if name, value, ok := strings.Cut(variable, "="); ok {
			env[name] = value
		}
	}
	return env
}

func merge(s Settings, env map[string]string, files []layer, problems Problems) (*Loaded, error) {
	defaults := confmap.New()
	if err := defaults.Marshal(Default()); err != nil {
		panic("BUG: config: the defaults cannot be written: " + err.Error())
	}
	tree := defaults.ToStringMap()
	for _, l := range files {
		for _, section := range []Section{Receivers, Exporters} {
			if _, ok := l.values[string(section)]; ok {
				tree[string(section)] = map[string]any{}
			}
		}
	}

	k := koanf.New(Delimiter)
	origins := map[string]Origin{}
	load := func(l layer) {
		normalize(l.values)
		if err := k.Load(koanfmap.Provider(l.values, ""), nil); err != nil {
			panic("BUG: config: a map cannot be merged: " + err.Error())
		}
		maps.Copy(origins, l.origins)
	}
	load(layer{values: tree})
	for _, l := range files {
		load(l)
	}
	set := func(settings []Setting) {
		for _, st := range settings {
			load(layer{
				values:  nested(strings.Split(st.Path, Delimiter), st.Value),
				origins: map[string]Origin{st.Path: st.Origin},
			})
		}
	}
	fromEnv, ps := envSettings(env, k.Raw())
	problems = append(problems, ps...)
	set(fromEnv)
	set(s.Flags)

	l := &Loaded{Config: &Config{}, tree: k.Raw(), origins: origins}
	problems = append(problems, l.decode(nil, l.tree, l.Config)...)
	problems = append(problems, l.checkComponents(s.Types)...)
	if err := problems.err(); err != nil {
		return nil, err
	}
	return l, nil
}

// normalize gives components without a block an empty one, as a collector does.
func normalize(values map[string]any) {
	for _, section := range sections {
		v, ok := values[string(section)]
		if !ok {
			continue
		}
		if v == nil {
			values[string(section)] = map[string]any{}
			continue
		}
		components, _ := v.(map[string]any)
		for id, block := range components {
			if block == nil {
				components[id] = map[string]any{}
			}
		}
	}
}

func nested(path []string, value any) map[string]any {
	if len(path) == 1 {
		return map[string]any{path[0]: value}
	}
	return map[string]any{path[0]: nested(path[1:], value)}
}

// below returns a path of its own for what is below another one.
func below(path []string, keys ...string) []string { return append(slices.Clip(path), keys...) }

func join(path []string) string { return strings.Join(path, Delimiter) }

// Origin says where the value at a path was set: at the path, or with something above or
// below it.
func (l *Loaded) Origin(path string) Origin {
	if o, ok := l.origins[path]; ok {
		return o
	}
	if v := at(l.tree, path); v == nil {
		return Origin{} // a component's default
	}
	for {
		i := strings.LastIndex(path, Delimiter)
		if i < 0 {
			return Origin{}
		}
		path = path[:i]
		if o, ok := l.origins[path]; ok && o.Layer > Files {
			return o // one flag set a whole map
		}
	}
}

// near is Origin for a value that may not exist: the closest thing that a user wrote.
func (l *Loaded) near(path string) Origin {
	for {
		if o, ok := l.origins[path]; ok {
			return o
		}
		i := strings.LastIndex(path, Delimiter)
		if i < 0 {
			return Origin{}
		}
		path = path[:i]
	}
}

func at(tree map[string]any, path string) any {
	var v any = tree
	for key := range strings.SplitSeq(path, Delimiter) {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[key]
	}
	return v
}

// IDs returns the components of a section, sorted.
func (l *Loaded) IDs(s Section) []string {
	components, _ := l.tree[string(s)].(map[string]any)
	return sortedKeys(components)
}

// Block returns what users set for a component. The caller must not change it.
func (l *Loaded) Block(s Section, id string) map[string]any {
	block, _ := at(l.tree, join([]string{string(s), id})).(map[string]any)
	return block
}

// checkComponents reports IDs that name no component.
func (l *Loaded) checkComponents(types map[Section][]string) Problems {
	var problems Problems
	for _, section := range sections {
		for _, id := range l.IDs(section) {
			path := join([]string{string(section), id})
			report := func(format string, args ...any) {
				problems = append(problems, Problem{Origin: l.near(path), Path: path, Text: fmt.Sprintf(format, args...)})
			}
			var parsed component.ID
			if err := parsed.UnmarshalText([]byte(id)); err != nil {
				report("not the ID of a component, which is type or type/name: %v", err)
				continue
			}
			typ := parsed.Type().String()
			if known := types[section]; !slices.Contains(known, typ) {
				report("no %s of type %q%s", strings.TrimSuffix(string(section), "s"), typ, didYouMean(typ, known))
			}
		}
	}
	return problems
}

// Problem returns the error for a component's key that its own configuration lacks.
func (l *Loaded) Problem(s Section, id, key, text string) error {
	path := join([]string{string(s), id, key})
	return Problems{{Origin: l.near(path), Path: path, Text: text}}
}
