package rules

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/windhover/windhover/rules/syntax"
)

// same compares what comes of files when only what a file adds is compiled after it, with
// what comes of compiling everything again.
func same(t *testing.T, name string, files []File) {
	t.Helper()
	got, gr := compileEach(files, Options{}, false)
	want, wr := compileEach(files, Options{}, true)
	if diff := cmp.Diff(verdict(wr), verdict(gr)); diff != "" {
		t.Errorf("%s: report (-all again +what is new):\n%s", name, diff)
	}
	text := func(c *compiler) string {
		var b strings.Builder
		for i, r := range c.rules {
			in := &inspected{compiler: c}
			fmt.Fprintf(&b, "%s %s %v\n%s\n", r.Name, r.Hash, r.Types, syntax.Text(in.node(c.read[i].tree, c.exprs[i], "").Resolved()))
		}
		return b.String()
	}
	if diff := cmp.Diff(text(want), text(got)); diff != "" {
		t.Errorf("%s: rules (-all again +what is new):\n%s", name, diff)
	}
}

func TestWhatAFileAddsIsCompiledByItself(t *testing.T) {
	t.Parallel()
	rule := ruleText
	for _, tt := range []struct {
		name  string
		files []string
	}{
		{"new items", []string{"- {list: a, items: [x, y]}\n" + rule("r", "evt.type = open and proc.name in (a)"), "- {list: b, items: [a, z]}\n- {macro: m, condition: proc.name in (b)}\n" + rule("s", "evt.type = close and m")}},
		{"a list that was a word", []string{rule("r", "evt.type = open and proc.name in (a, b)"), "- {list: b, items: [c, d]}\n"}},
		{"a macro that was missing", []string{rule("r", "evt.type = open and m"), "- {macro: m, condition: fd.num = 1}\n"}},
		{"a list that was an item", []string{"- {list: a, items: [b, c]}\n" + rule("r", "evt.type = open and proc.name in (a)"), "- {list: b, items: [d]}\n"}},
		{"a list that was a word of a macro", []string{"- {macro: m, condition: proc.name = b}\n" + rule("r", "evt.type = open and m"), "- {list: b, items: [d]}\n"}},
		{"a list that was a value of an exception", []string{rule("r", "evt.type = open") + "  exceptions: [{name: e, fields: proc.name, values: [b]}]\n", "- {list: b, items: [d]}\n"}},
		{"a list whose name has a comma", []string{rule("r", "evt.type = open and proc.name in (a,b)"), "- {list: 'a,b', items: [d]}\n"}},
		{"a list that is appended to", []string{"- {list: a, items: [x]}\n" + rule("r", "evt.type = open and proc.name in (a)"), "- {list: a, items: [y], override: {items: append}}\n", rule("s", "evt.type = open and proc.name in (a)")}},
		{"a rule that is turned off", []string{rule("r", "evt.type = open"), "- {rule: r, enabled: false}\n", rule("s", "evt.type = close")}},
		{"a rule that is defined again", []string{rule("r", "evt.type = open"), rule("s", "evt.type = close"), rule("r", "evt.type = execve")}},
		{"a mistake in between", []string{"- {macro: m, condition: fd.num = 1}\n", rule("r", "evt.type = opne and m"), rule("s", "evt.type = open and m")}},
		{"an item that cannot be read in between", []string{"- {macro: m, condition: fd.num = 1}\n", "- macro: n\n", rule("s", "evt.type = open and n")}},
		{"warnings that stay and go", []string{"- {macro: m, condition: fd.num = 1}\n- {list: l, items: []}\n", rule("r", "evt.num >= 0 and m"), rule("s", "evt.type = open and proc.name in (l)"), rule("u", "evt.dir = < and evt.type = open")}},
		{"a sequence in a later file", []string{rule("r", "evt.type = open"), rule("s", "evt.type = close"), "- {rule: q, desc: d, output: o, priority: INFO, sequence: {of: [r, s], within: 1m}}\n", rule("v", "evt.type = execve")}},
	} {
		var files []File
		for i, text := range tt.files {
			files = append(files, File{Name: fmt.Sprintf("%d.yaml", i), Data: []byte(text)})
		}
		same(t, tt.name, files)
	}
}

func TestPublicRulesCompileTheSameInPieces(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile(shared(t, "peer-rules/falco_rules.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var files []File
	for i, item := range strings.Split("\n"+string(data), "\n- ")[1:] {
		if i%5 == 0 {
			files = append(files, File{Name: fmt.Sprintf("%d.yaml", i)})
		}
		f := &files[len(files)-1]
		f.Data = append(f.Data, "- "+item+"\n"...)
	}
	same(t, "falco_rules.yaml in pieces", files)
	data, err = os.ReadFile(shared(t, "conformance/loader-cases.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases map[string]loaderCase
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	for name, c := range cases {
		files := []File{{Name: "first.yaml", Data: []byte("- {list: first, items: [a]}\n" + ruleText("first", "evt.type = open and proc.name in (first)"))}}
		for i, f := range c.Files {
			files = append(files, File{Name: fmt.Sprintf("%d.yaml", i), Data: []byte(f)})
		}
		same(t, name, files)
	}
}

func TestWhenAFileCanBeCompiledByItself(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, list string
		change     bool
		want       bool
	}{
		{"a new name", "b", false, true},
		{"a name that is an item", "x", false, false},
		{"a name with a blank", "b c", false, false},
		{"a change of what was there", "b", true, false},
	} {
		st := &state{broken: map[string]bool{}}
		st.lists.add("a", &list{entity: entity{name: "a", index: 1, visibility: 1, context: &context{page: newPage(File{})}}, items: []string{"x"}})
		c := newCompiler(st, Options{})
		c.more = true
		c.run(false)
		st.lists.add(tt.list, &list{entity: entity{name: tt.list, index: 2, visibility: 2}})
		if tt.change {
			st.revisions++
		}
		if got := c.continues(false); got != tt.want {
			t.Errorf("%s: what follows can be compiled by itself: %v, want %v", tt.name, got, tt.want)
		}
	}
}
