package rules

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// codes returns the codes of the errors and of the warnings of each file.
func codes(files ...string) string {
	var in []File
	for i, f := range files {
		in = append(in, File{Name: fmt.Sprintf("%d.yaml", i), Data: []byte(f)})
	}
	_, r := Compile(in, Options{})
	var out []string
	for _, f := range r.Files {
		var words []string
		for _, p := range f.Errors {
			words = append(words, strings.TrimPrefix(string(p.Code), "LOAD_"))
		}
		var warnings []string
		for _, p := range f.Warnings {
			if p.Code != WarnExtension {
				warnings = append(warnings, strings.ToLower(strings.TrimPrefix(string(p.Code), "LOAD_")))
			}
		}
		slices.Sort(warnings)
		out = append(out, strings.Join(append(words, warnings...), " "))
	}
	return strings.Join(out, " | ")
}

// These are cases of the kind of conformance/loader-cases.json; what is wanted is what
// the rule language says.
func TestVerdicts(t *testing.T) {
	t.Parallel()
	const tail = ", desc: d, output: o, priority: INFO}\n"
	r := func(condition string) string { return "- {rule: r, condition: '" + condition + "'" + tail }
	fine := r("evt.type = open")
	for _, tt := range []struct {
		name  string
		files []string
		want  string
	}{
		{"an item of a list that is null", []string{"- list: l\n  items: [a, ~]\n"}, "ERR_YAML_VALIDATE"},
		{"an item of a list that is missing", []string{"- list: l\n  items:\n  - a\n  -\n"}, "ERR_YAML_VALIDATE"},
		{"a quoted null in a list", []string{"- list: l\n  items: ['null', \"~\"]\n"}, "unused_list"},
		{"a null among many items", []string{"- list: l\n  items: [" + strings.Repeat("a, ", 50) + "null, " + strings.Repeat("b, ", 50) + "]\n"}, "ERR_YAML_VALIDATE"},
		{"a tag that is null", []string{"- {rule: r, condition: evt.type = open, tags: [a, null]" + tail}, "ERR_YAML_VALIDATE"},
		{"items that are null", []string{"- list: l\n  items:\n"}, "ERR_YAML_VALIDATE"},
		{"items that are a mapping", []string{"- list: l\n  items: {a: b}\n"}, "ERR_YAML_VALIDATE"},
		{"a wrong name and no condition", []string{"- macro: a-b\n"}, "ERR_YAML_VALIDATE invalid_macro_name"},
		{"a wrong name and no items", []string{"- list: a b\n"}, "ERR_YAML_VALIDATE invalid_list_name"},
		{"null items of a document", []string{"- ~\n-\n- {list: l, items: []}\n"}, "unused_list"},
		{"an item that is text, in the second document", []string{"---\n- {list: l, items: []}\n---\n- text\n"}, "ERR_YAML_VALIDATE"},
		{"a document of documents", []string{"- - rule: r\n"}, "ERR_YAML_VALIDATE"},
		{"an alias to nothing", []string{"- list: *l\n"}, "ERR_YAML_PARSE"},
		{"a tab for indentation", []string{"- list: l\n\titems: []\n"}, "ERR_YAML_PARSE"},
		{"a value that begins with an at sign", []string{"- list: @l\n"}, "ERR_YAML_PARSE"},
		{"a version in hexadecimal", []string{"- required_engine_version: 0x10\n"}, ""},
		{"a version with more behind it", []string{"- required_engine_version: 0.31.0-rc1\n"}, ""},
		{"a version of two numbers", []string{"- required_engine_version: '0.31'\n"}, "ERR_YAML_VALIDATE"},
		{"a negative version", []string{"- required_engine_version: -1\n"}, "ERR_YAML_VALIDATE"},
		{"a version that is null", []string{"- required_engine_version:\n"}, "ERR_YAML_VALIDATE"},
		{"a version with another key", []string{"- {required_engine_version: 10, rule: r}\n"}, "unknown_key"},
		{"alternatives that are null", []string{"- required_plugin_versions: [{name: json, version: 0.7.0, alternatives: }]\n"}, "ERR_YAML_VALIDATE"},
		{"an alternative that is text", []string{"- required_plugin_versions: [{name: json, version: 0.7.0, alternatives: [a]}]\n"}, "ERR_YAML_VALIDATE"},
		{"an alternative of the same name", []string{"- required_plugin_versions: [{name: json, version: 0.7.0, alternatives: [{name: json, version: 0.1.0}]}]\n"}, "ERR_VALIDATE"},
		{"an alternative that would do after one that does not", []string{"- required_plugin_versions: [{name: json, version: 0.99.0, alternatives: [{name: okta, version: 0.1.0}]}]\n"}, "ERR_VALIDATE"},
		{"an alternative for a plugin that is not there", []string{"- required_plugin_versions: [{name: nothing, version: 0.99.0, alternatives: [{name: okta, version: 0.1.0}]}]\n"}, ""},
		{"a version of a plugin that is a number", []string{"- required_plugin_versions: [{name: json, version: 7}]\n"}, "ERR_VALIDATE"},
		{"the newest plugins", []string{"- required_plugin_versions: [{name: cloudtrail, version: 0.17.1}, {name: k8saudit, version: 0.18.0}, {name: container, version: 0.7.1}]\n"}, ""},

		{"a source that is given the second time only", []string{fine, "- {rule: r, condition: ka.verb = get, source: k8s_audit" + tail}, " | ERR_VALIDATE"},
		{"a source that is given the first time only", []string{"- {rule: r, condition: ka.verb = get, source: k8s_audit" + tail + fine}, "ERR_VALIDATE"},
		{"the same source twice", []string{"- {rule: r, condition: evt.type = open, source: syscall" + tail + fine}, ""},
		{"another source in an append", []string{fine + "- {rule: r, append: true, condition: and fd.num = 1, source: k8s_audit}\n"}, "ERR_VALIDATE deprecated_item"},
		{"an empty source in an append", []string{fine + "- {rule: r, append: true, condition: and fd.num = 1, source: ''}\n"}, "deprecated_item"},
		{"a source that is a list in an override", []string{fine + "- {rule: r, condition: evt.type = close, source: [], override: {condition: replace}}\n"}, "ERR_YAML_VALIDATE"},
		{"another source in an override of tags", []string{fine + "- {rule: r, tags: [a], source: k8s_audit, override: {tags: append}}\n"}, ""},

		{"an exception without a list of fields", []string{"- {rule: r, condition: evt.type = open, exceptions: [{name: e, fields: []}]" + tail}, "ERR_VALIDATE"},
		{"an exception without fields", []string{"- {rule: r, condition: evt.type = open, exceptions: [{name: e}]" + tail}, "ERR_YAML_VALIDATE"},
		{"an exception with a null for fields", []string{"- {rule: r, condition: evt.type = open, exceptions: [{name: e, fields: }]" + tail}, "ERR_VALIDATE"},
		{"an exception with an empty field", []string{"- {rule: r, condition: evt.type = open, exceptions: [{name: e, fields: ['']}]" + tail}, "ERR_YAML_VALIDATE"},
		{"an exception with an empty value", []string{"- {rule: r, condition: evt.type = open, exceptions: [{name: e, fields: [proc.name], values: [['']]}]" + tail}, "ERR_YAML_VALIDATE"},
		{"an exception with a missing value", []string{"- {rule: r, condition: evt.type = open, exceptions: [{name: e, fields: [proc.name], values: [[~]]}]" + tail}, "ERR_COMPILE_CONDITION"},
		{"an exception whose values are text", []string{"- {rule: r, condition: evt.type = open, exceptions: [{name: e, fields: [proc.name], values: a}]" + tail}, "ERR_YAML_VALIDATE"},
		{"an exception that is text", []string{"- {rule: r, condition: evt.type = open, exceptions: [e]" + tail}, "ERR_YAML_VALIDATE"},
		{"exceptions that are null", []string{"- {rule: r, condition: evt.type = open, exceptions: " + tail}, ""},
		{"an exception twice in an append", []string{fine + "- {rule: r, append: true, exceptions: [{name: e, fields: proc.name, values: [a]}, {name: e, values: [b]}]}\n"}, "deprecated_item exception_name_not_unique"},
		{"no values in an append to what is not there", []string{fine + "- {rule: r, append: true, exceptions: [{name: e}]}\n"}, "ERR_VALIDATE append_no_values deprecated_item"},
		{"a field of another source in an exception", []string{"- {rule: r, condition: evt.type = open, exceptions: [{name: e, fields: [ka.verb]}]" + tail}, "ERR_VALIDATE"},
		{"a comparison of texts with one field", []string{"- {rule: r, condition: evt.type = open, exceptions: [{name: e, fields: proc.name, comps: startswith, values: [a]}]" + tail}, "ERR_VALIDATE"},
		{"values of a wrong type", []string{"- {rule: r, condition: evt.type = open, exceptions: [{name: e, fields: proc.pid, values: [a]}]" + tail}, "ERR_COMPILE_CONDITION"},

		{"an override without a definition, with a wrong key", []string{"- {rule: r, priority: INFO, override: {priority: append}}\n"}, "ERR_YAML_VALIDATE ERR_VALIDATE"},
		{"an override that is empty", []string{"- {rule: r, condition: evt.type = open, override: {}" + tail}, ""},
		{"an override that is null", []string{"- {rule: r, condition: evt.type = open, override: " + tail}, ""},
		{"append that is no truth value", []string{"- {list: l, items: [], append: perhaps}\n"}, "ERR_YAML_VALIDATE"},
		{"append that is false", []string{"- {list: l, items: [], append: false}\n"}, "unused_list"},
		{"a list that is replaced and was not there", []string{"- {list: l, items: [a], override: {items: replace}}\n"}, "unused_list"},
		{"turning off what a later file defines", []string{"- {rule: r, enabled: false}\n", fine}, "ERR_VALIDATE deprecated_item | "},

		{"<NA> in a list", []string{"- {list: l, items: [<NA>]}\n- {rule: r, condition: ka.verb in (l), source: k8s_audit" + tail}, "unsafe_na_check"},
		{"<NA> in a macro", []string{"- {macro: m, condition: ka.verb = <NA>}\n- {rule: r, condition: m, source: k8s_audit" + tail}, "unsafe_na_check"},
		{"<NA> in an exception", []string{"- {rule: r, condition: ka.verb = get, source: k8s_audit, exceptions: [{name: e, fields: [ka.user.name], values: [[<NA>]]}]" + tail}, "unsafe_na_check"},
		{"a field name in a list", []string{"- {list: l, items: [proc.pname]}\n" + r("evt.type = open and proc.name in (l)")}, "compile_condition"},
		{"a deprecated field in a macro", []string{"- {macro: m, condition: evt.dir = <}\n" + r("evt.type = open and m")}, "deprecated_item"},
		{"types that exclude each other", []string{r("evt.type = open and evt.type = close")}, "no_evttype"},
		{"a hundred types without parameters of their own", []string{r("evt.type in (getpid, gettid, getppid, sync, syncfs, fsync, fdatasync, msync, times, time)")}, ""},
		{"all types but one, and no warning wanted", []string{"- {rule: r, condition: evt.type != open, warn_evttypes: no" + tail}, ""},
		{"no type, but another source", []string{"- {rule: r, condition: ka.verb = get, source: k8s_audit" + tail}, ""},
		{"an unknown type in a macro that no rule uses", []string{"- {macro: m, condition: evt.type = opne}\n" + fine}, "unused_macro"},
		{"a macro that a macro uses which is not used", []string{"- {macro: m, condition: fd.num = 1}\n- {macro: n, condition: m}\n" + fine}, "unused_macro"},
		{"a list that a list uses which is not used", []string{"- {list: l, items: [a]}\n- {list: m, items: [l]}\n" + fine}, "unused_list"},
		{"a rule left out for its field uses its macro", []string{"- {macro: m, condition: fd.num = 1}\n- {rule: r, condition: m and proc.nmae = a, skip-if-unknown-filter: true" + tail}, "unknown_filter"},
		{"a rule of an unknown source uses its macro", []string{"- {macro: m, condition: fd.num = 1}\n- {rule: r, condition: m, source: nothing" + tail}, "unknown_source unused_macro"},
		{"an unknown field in an output of a rule that is left out", []string{"- {rule: r, condition: evt.type = open, output: '%proc.nmae', desc: d, priority: INFO, skip-if-unknown-filter: true}\n"}, "unknown_filter"},
		{"a wrong value in a rule that unknown fields leave out", []string{"- {rule: r, condition: evt.type = open and proc.pid = a, skip-if-unknown-filter: true" + tail}, "ERR_COMPILE_CONDITION"},
		{"an error in the first file only", []string{r("proc.nmae = a"), "- {list: l, items: []}\n"}, "ERR_COMPILE_CONDITION | ERR_COMPILE_CONDITION"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := codes(tt.files...); got != tt.want {
				t.Errorf("codes of\n%s got %q\nwant %q", strings.Join(tt.files, "---\n"), got, tt.want)
			}
		})
	}
}
