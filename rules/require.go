package rules

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/windhover/windhover/internal/field"
)

// EngineVersion is the version of the rule language that Windhover speaks, in the
// numbers of Falco's engine.
const EngineVersion = "0.62.0"

var engineVersion = func() version {
	v, ok := parseVersion(EngineVersion)
	if !ok {
		panic("BUG: rules: EngineVersion is not a version")
	}
	return v
}()

// builtIn are the plugins of Falco whose sources and fields Windhover has itself, and
// the version of each whose fields they are.
var builtIn = map[string]version{
	"cloudtrail":   {0, 17, 1},
	"container":    {0, 7, 1},
	"gcpaudit":     {0, 8, 1},
	"github":       {0, 10, 1},
	"json":         {0, 7, 4},
	"k8saudit":     {0, 18, 0},
	"k8saudit-aks": {0, 6, 0},
	"k8saudit-eks": {0, 12, 0},
	"k8saudit-gke": {0, 9, 0},
	"k8saudit-ovh": {0, 6, 0},
	"k8smeta":      {0, 4, 1},
	"okta":         {0, 12, 0},
}

// pluginRequirement asks for one of several plugins.
type pluginRequirement struct {
	context *context
	any     []pluginVersion
}

type pluginVersion struct {
	name    string
	version version
}

func (c *collector) engineVersion(at *context, n *yaml.Node) {
	node := at.scalar(n, "required_engine_version")
	want, ok := version{}, false
	if minor, number := unsigned(node.Value); number {
		want, ok = version{engineVersion[0], minor, engineVersion[2]}, true
	} else {
		want, ok = parseVersion(node.Value)
	}
	if !ok {
		at.fail(ErrYAMLValidate, "required_engine_version %q is neither a number nor a version such as 0.43.0", node.Value)
	}
	if !engineVersion.satisfies(want) {
		at.fail(ErrValidate, "the rules require version %v of the rule language, but this is version %v", want, engineVersion)
	}
	if slices.Compare(want[:], c.engine[:]) > 0 {
		c.engine = want
	}
}

func (c *collector) pluginVersions(at *context, n *yaml.Node) {
	node := get(n, "required_plugin_versions")
	at.node = node
	if node.Kind != yaml.SequenceNode {
		at.fail(ErrYAMLValidate, "required_plugin_versions takes a list, not %s", kindName(node))
	}
	for _, entry := range node.Content {
		entry = resolve(entry)
		in := at.in("required plugin versions entry", "", entry)
		if entry.Kind != yaml.MappingNode {
			in.fail(ErrYAMLValidate, "a required plugin is a mapping with name and version, not %s", kindName(entry))
		}
		req := pluginRequirement{context: in}
		in.plugin(entry, &req)
		if alternatives := get(entry, "alternatives"); alternatives != nil {
			if alternatives.Kind != yaml.SequenceNode {
				in.fail(ErrYAMLValidate, "alternatives takes a list, not %s", kindName(alternatives))
			}
			for _, a := range alternatives.Content {
				a = resolve(a)
				in.in("required plugin versions alternative", "", a).plugin(a, &req)
			}
		}
		c.plugins = append(c.plugins, req)
	}
}

// plugin reads a name and a version.
func (c *context) plugin(n *yaml.Node, req *pluginRequirement) {
	c.itemName = c.scalar(n, "name").Value
	text := c.scalar(n, "version").Value
	v, ok := parseVersion(text)
	if !ok {
		c.fail(ErrValidate, "version %q of plugin %q is not a version such as 0.13.0", text, c.itemName)
	}
	for _, p := range req.any {
		if p.name == c.itemName {
			c.fail(ErrValidate, "plugin %q is named twice in one requirement", c.itemName)
		}
	}
	req.any = append(req.any, pluginVersion{c.itemName, v})
}

// checkPlugins reports the requirements that nothing built in satisfies.
func (c *compiler) checkPlugins() {
	for _, req := range c.state.plugins {
		var wants []string
		satisfied, hint := false, ""
		for _, p := range req.any {
			wants = append(wants, fmt.Sprintf("%s (>= %v)", p.name, p.version))
			if have, ok := builtIn[p.name]; ok {
				// The first name that is there decides, as with loaded plugins.
				satisfied = have.satisfies(p.version)
				hint = fmt.Sprintf("what is built in for %s has version %v", p.name, have)
				break
			}
		}
		if !satisfied {
			p := req.context.problem(ErrValidate, "plugin requirement not satisfied: nothing built in stands for %s", strings.Join(wants, " or "))
			p.Hint = hint
			c.errors.add(p)
		}
	}
}

// sourceTypes returns every source type that has fields of its own.
func sourceTypes() []string {
	var out []string
	for _, f := range field.Table() {
		for _, s := range f.Sources {
			if !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
	}
	slices.Sort(out)
	return out
}
