package rules

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windhover/windhover/rules/syntax"
)

func report(text string) *Report {
	_, r := Compile([]File{{Name: "r.yaml", Data: []byte(text)}}, Options{})
	return r
}

func TestProblemsPointIntoTheFile(t *testing.T) {
	t.Parallel()
	const tail = "\n  output: .\n  priority: INFO\n  desc: d\n"
	for _, tt := range []struct {
		name, text string
		want       string // of the first problem: line:column excerpt at the mark
	}{
		{"a plain scalar", "- rule: r\n  condition: evt.type=open and proc.nmae=a" + tail, "2:32 proc.nmae"},
		{"a plain scalar over lines", "- rule: r\n  condition: evt.type=open\n    and proc.nmae=a" + tail, "3:9 proc.nmae"},
		{"a literal block", "- rule: r\n  condition: |\n    evt.type=open\n\n      and proc.nmae=a" + tail, "5:11 proc.nmae"},
		{"a folded block", "- rule: r\n  condition: >\n    evt.type=open\n    and\n    proc.nmae=a" + tail, "5:5 proc.nmae"},
		{"a folded block with a header", "- rule: r\n  condition: >-  # why\n    evt.type=open and proc.nmae=a" + tail, "3:23 proc.nmae"},
		{"double quotes", "- rule: r\n  condition: \"evt.type=open and proc.cmdline=\\\"a\\\" and proc.nmae=a\"" + tail, "2:56 proc.nmae"},
		{"double quotes with other escapes", "- rule: r\n  condition: \"proc.name = '\\u00e9\\x41' and evt.type=open and proc.nmae=a\"" + tail, "2:62 proc.nmae"},
		{"double quotes over lines", "- rule: r\n  condition: \"evt.type=open \\\n     and\n     proc.nmae=a\"" + tail, "4:6 proc.nmae"},
		{"single quotes", "- rule: r\n  condition: 'proc.name = ''a'' and proc.nmae=a and evt.type=open'" + tail, "2:37 proc.nmae"},
		{"after characters of several bytes", "- rule: r\n  condition: proc.name = é and proc.nmae=a and evt.type=open" + tail, "2:32 proc.nmae"},
		{"after a list", "- list: l\n  items: [x, y]\n- rule: r\n  condition: evt.type=open and proc.name in (l) and proc.nmae=a" + tail, "4:53 proc.nmae"},
		{"in the text of a list", "- list: l\n  items: [x, '(']\n- rule: r\n  condition: evt.type=open and proc.name in (l)" + tail, "4:46 l"},
		{"in what was appended", "- rule: r\n  condition: evt.type=open" + tail + "- rule: r\n  condition: and proc.nmae=a\n  override: {condition: append}\n", "7:18 proc.nmae"},
		{"in a macro", "- macro: m\n  condition: proc.nmae=a\n- rule: r\n  condition: evt.type=open and m" + tail, "2:14 proc.nmae"},
		{"in an exception", "- rule: r\n  condition: evt.type=open" + tail + "  exceptions:\n  - name: e\n    fields: [proc.pid]\n    values:\n    - [seven]\n", "10:8 seven"},
		{"in an output", "- rule: r\n  condition: evt.type=open\n  output: >\n    name=%proc.name\n    x=%proc.nmae\n  priority: INFO\n  desc: d\n", "5:8 proc.nmae"},
		{"with windows line ends", "- rule: r\r\n  condition: >\r\n    evt.type=open\r\n    and proc.nmae=a\r\n  output: .\r\n  priority: INFO\r\n  desc: d\r\n", "4:9 proc.nmae"},
		{"in the second document", "---\n- list: l\n  items: [a]\n---\n- rule: r\n  condition: evt.type=open and proc.name in (l) and proc.nmae=a" + tail, "6:53 proc.nmae"},
		{"through an alias", "- macro: m\n  condition: &c evt.type=open and proc.nmae=a\n- rule: r\n  condition: *c" + tail, "2:35 proc.nmae"},
		{"a syntax error of YAML", "- rule: r\n  condition: [\n", "2:3 condition: ["},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := report(tt.text)
			errs := r.Errors()
			if len(errs) == 0 {
				t.Fatalf("Compile of %q: no error", tt.text)
			}
			p := errs[0]
			runes := []rune(p.Excerpt)
			at := min(p.Column-1, len(runes))
			got := fmt.Sprintf("%d:%d %s", p.Line, p.Column, string(runes[at:min(at+p.Width, len(runes))]))
			if got != tt.want {
				t.Errorf("Compile of %q: %s\n got %s\nwant %s", tt.text, p.String(), got, tt.want)
			}
		})
	}
}

func TestEveryErrorIsReportedAtOnce(t *testing.T) {
	t.Parallel()
	r := report(`
- rule: a
  desc: d
  condition: proc.nmae = x and evt.type = opne and fd.num = many
  output: "%proc.nmae %fd.nme"
  priority: INFO
- rule: b
  desc: d
  condition: evt.type = open and
  output: .
  priority: urgent
- rule: c
  desc: d
  condition: evt.type = open and shellprocs
  output: .
  priority: INFO
- macro: shell_procs
  condition: proc.name in (sh, bash
- list: l
`)
	var got []string
	for _, p := range r.Errors() {
		got = append(got, p.String())
	}
	want := []string{
		`r.yaml:11:13: no priority "urgent"; priorities are emergency alert critical error warning notice informational debug`,
		`r.yaml:19:3: key "items" is missing`,
		`r.yaml:18:36: want "," or ")" after a value, found the end of the condition`,
		`r.yaml:5:13: no field "proc.nmae"; did you mean "proc.name"?`,
		`r.yaml:5:24: no field "fd.nme"; did you mean "fd.name"?`,
		`r.yaml:4:14: no field "proc.nmae"; did you mean "proc.name"?`,
		`r.yaml:4:43: no event type "opne"; did you mean "open"?`,
		`r.yaml:4:61: "many" is not a decimal number that fits the field`,
		`r.yaml:9:33: want a blank or "(" after "and", found the end of the condition`,
		`r.yaml:14:34: no macro "shellprocs"; did you mean "shell_procs"?`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}

func TestAnErrorHidesNoOtherOfItsItem(t *testing.T) {
	t.Parallel()
	const fine = "- rule: r\n  desc: d\n  condition: evt.type = open\n  output: o\n  priority: INFO\n"
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{
			"a missing output", "- rule: r\n  desc: d\n  condition: evt.type = opne\n  priority: INFO\n",
			[]string{`1:3: key "output" is missing`, `3:25: no event type "opne"; did you mean "open"?`},
		},
		{
			"several missing keys", "- rule: r\n  condition: evt.type = opne\n  tags: x\n",
			[]string{
				`1:3: keys "output", "desc" and "priority" are missing`, `3:9: key "tags" takes a list, not a single value; write [x]`,
				`2:25: no event type "opne"; did you mean "open"?`,
			},
		},
		{
			"a missing condition", "- rule: r\n  desc: d\n  output: '%proc.nmae'\n  priority: INFO\n",
			[]string{`1:3: key "condition" is missing`, `3:13: no field "proc.nmae"; did you mean "proc.name"?`},
		},
		{
			"a rule without a name", "- rule:\n  desc: d\n  condition: evt.type = opne\n  output: o\n  priority: INFO\n",
			[]string{`1:3: key "rule" has no value`, `3:25: no event type "opne"; did you mean "open"?`},
		},
		{
			"wrong values of several keys",
			"- rule: r\n  desc: []\n  condition: evt.type = opne\n  output: {}\n  priority: HIHG\n  enabled: maybe\n  capture: perhaps\n  capture_duration: long\n  tags: [[a]]\n",
			[]string{
				`4:11: key "output" takes one value, not a mapping`, `2:9: key "desc" takes one value, not a list`,
				`5:13: no priority "HIHG"; priorities are emergency alert critical error warning notice informational debug`,
				`6:12: key "enabled" takes true or false, not "maybe"`, `7:12: key "capture" takes true or false, not "perhaps"`,
				`8:21: key "capture_duration" takes a number from 0 to 4294967295, not "long"`,
				`9:10: key "tags" takes a list of single values, not of lists`, `3:25: no event type "opne"; did you mean "open"?`,
			},
		},
		{
			"a source that is no text", "- rule: r\n  desc: d\n  condition: evt.type = open and\n  output: o\n  priority: INFO\n  source: [k8s_audit]\n",
			[]string{`6:11: key "source" takes one value, not a list`, `3:33: want a blank or "(" after "and", found the end of the condition`},
		},
		{
			"another source than before", "- rule: r\n  desc: d\n  condition: evt.type = open\n  output: o\n  priority: INFO\n  source: syscall\n- rule: r\n  desc: d\n  condition: ka.verb = get and\n  output: o\n  priority: INFO\n  source: k8s_audit\n",
			[]string{`7:3: rule "r" has source "syscall", and is defined again with source "k8s_audit"`, `9:31: want a blank or "(" after "and", found the end of the condition`},
		},
		{
			"several exceptions", fine + "  exceptions:\n  - fields: [proc.name]\n  - name: a\n    fields: [proc.nmae, fd.nme]\n    comps: [=, ist]\n  - name: b\n    values: {}\n  - name: c\n    fields: [proc.name]\n    values: [[a, b]]\n",
			[]string{
				`7:5: key "name" is missing`, `11:5: exception "b" has no fields`, `12:13: key "values" of exception "b" takes a list, not a mapping`,
				`10:16: exception "a": no operator "ist"`, `9:14: exception "a": no field "proc.nmae"; did you mean "proc.name"?`,
				`9:25: exception "a": no field "fd.nme"; did you mean "fd.name"?`, `15:14: exception "c" has 1 fields, but a value with 2 entries`,
			},
		},
		{
			"several entries of override", fine + "- rule: r\n  priority: INFO\n  desc: d\n  override: {priority: append, desc: rplace}\n",
			[]string{`9:14: key "priority" cannot be appended to; use replace instead`, `9:38: override of "desc" is "rplace", want append or replace`},
		},
		{
			"an override and what it changes", fine + "- rule: r\n  condition: or evt.type = opne\n  priority: HIHG\n  tags: [a]\n  override: {condition: apend, priority: append}\n",
			[]string{
				`10:25: override of "condition" is "apend", want append or replace`, `10:32: key "priority" cannot be appended to; use replace instead`,
				`9:9: key "tags" has no entry under override; say append or replace for it under override`,
				`8:13: no priority "HIHG"; priorities are emergency alert critical error warning notice informational debug`,
				`7:28: no event type "opne"; did you mean "open"?`,
			},
		},
		{
			"append beside override", fine + "- rule: r\n  condition: and evt.type = opne\n  append: true\n  override: {condition: append}\n",
			[]string{`6:3: keys "append" and "override" exclude each other; say append for each key under override`, `7:29: no event type "opne"; did you mean "open"?`},
		},
		{
			"a change of a rule that is not there", "- rule: r\n  condition: and evt.type = (\n  override: {condition: append}\n",
			[]string{`1:3: rule "r" cannot be overridden: there is none before`, `2:29: want a value, found "("`},
		},
		{
			"a macro that is changed in a wrong way", "- macro: m\n  condition: evt.type = open\n- macro: m\n  condition: or fd.nme = x\n  override: {condition: add}\n" + ruleText("r", "m"),
			[]string{`5:25: override of "condition" is "add", want append or replace`, `4:17: no field "fd.nme" (in macro "m", used by rule "r"); did you mean "fd.name"?`},
		},
		{
			"values of exceptions", fine + "  exceptions:\n  - name: a\n    fields: [proc.name, fd.name]\n    values:\n    - [a]\n    - b\n    - [a, b]\n    - [a, b, c]\n",
			[]string{
				`10:7: exception "a" has 2 fields, but a value with 1 entries`, `11:7: exception "a" has a list of fields, so each of its values is a list; write [b]`,
				`13:7: exception "a" has 2 fields, but a value with 3 entries`,
			},
		},
		{
			"several keys that are replaced", fine + "- rule: r\n  priority: HIHG\n  condition: evt.type = opne\n  enabled: maybe\n  override: {priority: replace, condition: replace, enabled: replace}\n",
			[]string{
				`7:13: no priority "HIHG"; priorities are emergency alert critical error warning notice informational debug`,
				`9:12: key "enabled" takes true or false, not "maybe"`, `8:25: no event type "opne"; did you mean "open"?`,
			},
		},
		{
			"what is appended to something that could not be read", "- rule: r\n  desc: d\n  condition: []\n  output: o\n  priority: INFO\n- rule: r\n  condition: and fd.num = 1\n  override: {condition: append}\n",
			[]string{`3:14: key "condition" takes one value, not a list`},
		},
		{
			"a change without override", fine + "- rule: r\n  condition: and fd.num = 1\n",
			[]string{`6:3: keys "output", "desc" and "priority" are missing; to change the earlier rule, say under override what is done with each key`},
		},
		{
			"a macro and a list that lack what they are made of and what they are appended to", "- macro: m\n  override: {condition: append}\n- list: l\n  append: true\n",
			[]string{`1:3: key "condition" is missing`, `1:3: override says append for "condition", but there is no "condition"`, `1:3: macro "m" cannot be appended to: there is none before`, `3:3: key "items" is missing`, `3:3: list "l" cannot be appended to: there is none before`},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, p := range report(tt.text).Errors() {
				got = append(got, strings.TrimPrefix(p.String(), "r.yaml:"))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("errors of\n%s(-want +got):\n%s", tt.text, diff)
			}
		})
	}
}

func TestReportText(t *testing.T) {
	t.Parallel()
	r := report("- rule: r\n  desc: d\n  condition: evt.type = open and\tproc.nmae = bash\n  output: .\n  priority: INFO\n")
	var b bytes.Buffer
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	want := `r.yaml:3:34: no field "proc.nmae"; did you mean "proc.name"? [LOAD_ERR_COMPILE_CONDITION]
   condition: evt.type = open and proc.nmae = bash
                                  ^^^^^^^^^
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("WriteText (-want +got):\n%s", diff)
	}
}

func TestReportJSON(t *testing.T) {
	t.Parallel()
	r := report("- rule: r\n  desc: d\n  condition: proc.nmae = a\n  output: .\n  priority: INFO\n  colour: red\n")
	var b bytes.Buffer
	if err := r.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Results []struct {
			Name       string
			Successful bool
			Errors     []struct {
				Code, CodeDesc, Message string
				Context                 struct {
					Locations []Location
					Snippet   string
				}
			}
			Warnings []struct{ Code string }
		} `json:"falco_load_results"`
	}
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	f := got.Results[0]
	if f.Name != "r.yaml" || f.Successful || len(f.Errors) != 1 || len(f.Warnings) != 1 || f.Warnings[0].Code != "LOAD_UNKNOWN_KEY" {
		t.Fatalf("WriteJSON: %s", b.String())
	}
	e := f.Errors[0]
	if e.Code != "LOAD_ERR_COMPILE_CONDITION" || e.CodeDesc != "Error compiling condition" {
		t.Errorf("code %s, description %s", e.Code, e.CodeDesc)
	}
	if diff := cmp.Diff("condition: proc.nmae = a\n           ^^^^^^^^^\n", e.Context.Snippet); diff != "" {
		t.Errorf("snippet (-want +got):\n%s", diff)
	}
	want := []Location{
		{"rules content", "", Position{"r.yaml", 0, 0, 0}},
		{"rule", "r", Position{"r.yaml", 0, 2, 2}},
		{"rule condition", "", Position{"r.yaml", 2, 13, 33}},
		{"condition expression", `"proc.nmae = a..."`, Position{"r.yaml", 3, 14, 33}},
	}
	if diff := cmp.Diff(want, e.Context.Locations); diff != "" {
		t.Errorf("locations (-want +got):\n%s", diff)
	}
}

// A list that is marked reads as the same list written out, whatever stands in it.
func TestMarksReadLikeListsWrittenOut(t *testing.T) {
	t.Parallel()
	words := []string{"a", "b", "l0", "l1", "l2", "x y", "'q'", `"r s"`, "1", "(", "a,b", "", "l1 l2", "/p/*", "é"}
	shapes := []string{
		"fd.name in (%s)", "fd.name in (x, %s, y)", "fd.name in (%s,%s)", "fd.name in %s", "fd.name = %s", "fd.name contains oneof (%s)",
		"fd.name = \"u %s v\"", "%s", "not (m or fd.name in ( %s ))", "fd.name pmatch(%s)", "a%s = b",
	}
	for seed := range uint64(3000) {
		g := rand.New(rand.NewPCG(seed, 1))
		st := &state{broken: map[string]bool{}}
		for i := range 3 {
			l := &list{entity: entity{name: fmt.Sprintf("l%d", i), index: i + 1, visibility: 1 + g.IntN(6)}}
			for range g.IntN(4) {
				l.items = append(l.items, words[g.IntN(len(words))])
			}
			st.lists.add(l.name, l)
		}
		shape := shapes[g.IntN(len(shapes))]
		args := make([]any, strings.Count(shape, "%s"))
		for i := range args {
			args[i] = fmt.Sprintf("l%d", g.IntN(3))
		}
		text := fmt.Sprintf(shape, args...)
		c := newCompiler(st, Options{})
		c.expandLists()
		in := located{s: text}
		each := in // as the language says it: one list after the other
		for i := range c.expansions {
			e := &c.expansions[i]
			each, _ = replaceList(each, e.list.name, e.written(), len(e.list.items) == 0)
		}
		if got := c.expand(in, false).s; got != each.s {
			t.Fatalf("seed %d: %q with its lists written out\n got %s\nwant %s", seed, text, got, each.s)
		}
		written, werr := syntax.Parse(c.expand(in, false).s)
		marked, merr := syntax.ParseMarked(c.expand(in, true).s)
		if merr != nil {
			continue // then the text is read with the lists written out
		}
		if werr != nil {
			t.Fatalf("seed %d: %q reads with marks, but written out it does not: %v", seed, text, werr)
		}
		got := syntax.Text(marked)
		for i, l := range c.markLists {
			var items []string
			for _, item := range l.Items {
				items = append(items, syntax.QuoteValue(item))
			}
			got = strings.ReplaceAll(got, syntax.Mark(i), strings.Join(items, ", "))
		}
		if want := syntax.Text(written); got != want {
			t.Fatalf("seed %d: %q\n got %s\nwant %s", seed, text, got, want)
		}
	}
}

func TestHostileFilesEndQuicklyAndSmall(t *testing.T) {
	bomb := "- list: a\n  items: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c <= 'z'; c++ {
		p := string(c - 1)
		bomb += fmt.Sprintf("- list: %c\n  items: &%c [*%s,*%s,*%s,*%s,*%s,*%s,*%s,*%s,*%s]\n", c, c, p, p, p, p, p, p, p, p, p)
	}
	macros := "- macro: m0\n  condition: proc.name = a\n"
	for i := 1; i < 60; i++ {
		macros += fmt.Sprintf("- macro: m%d\n  condition: m%d and m%d\n", i, i-1, i-1)
	}
	lists := "- list: l0\n  items: [a, a, a, a, a, a, a, a, a, a]\n"
	for i := 1; i < 30; i++ {
		lists += fmt.Sprintf("- list: l%d\n  items: [%s]\n", i, strings.Repeat(fmt.Sprintf("l%d, ", i-1), 9)+"b")
	}
	backwards := ""
	for i := 30; i > 0; i-- { // each names one that is put in its place after it
		backwards += fmt.Sprintf("- list: k%d\n  items: [%s]\n", i, strings.Repeat(fmt.Sprintf("k%d, ", i-1), 9)+"b")
	}
	backwards += "- list: k0\n  items: [x]\n" + ruleText("r", "evt.type = open and proc.name in (k30)")
	for _, tt := range []struct {
		name, text string
		fine       bool
	}{
		{"aliases of aliases", bomb, false},
		{"nested sequences", strings.Repeat("[", 100_000), false},
		{"nested mappings", strings.Repeat("{a: ", 5000), false},
		{"nested blocks", strings.Repeat("- ", 100_000), false},
		{"nested blocks by lines", func() string {
			var b strings.Builder
			for i := range 2000 {
				b.WriteString(strings.Repeat(" ", i) + "a:\n")
			}
			return b.String()
		}(), false},
		{"many items", strings.Repeat("- a\n", 1_000_000), false},
		{"many keys", "- " + strings.Repeat("a: b\n  ", 500_000), false},
		{"a file over the limit", strings.Repeat("#", MaxFileSize+1), false},
		{"a file of line ends", strings.Repeat("\n", MaxFileSize), false},
		{"a long comment", strings.Repeat("#", maxText+1), false},
		{"values to the limit and no end", "- list: l\n  items: [" + strings.Repeat("x!,", maxNodes-10), false},
		{"anchors to the limit", "- list: l\n  items: [" + strings.Repeat("&a x!,", maxNodes/2-10), false},
		{"documents to the limit", strings.Repeat("--- a\n", maxNodes/3-10), false},
		{"a long list and a mistake", "- list: l\n  items:\n" + strings.Repeat("  - host.example.com\n", 1_000_000) + "- rule: [\n", false},
		{"macros that are undefined", each(17_000, "- {macro: m#, condition: a}\n"), false},
		{"macros in a chain", "- {macro: m, condition: fd.num = 1}\n" + each(17_000, "- {macro: m#, condition: m@}\n"), false},
		{"a macro that is appended to often", "- {macro: m, condition: fd.num=1}\n" + strings.Repeat("- {macro: m, condition: or fd.num=1, append: true}\n", 13_000), false},
		{"a rule that is appended to often", ruleText("r", "evt.type = open") + strings.Repeat("- {rule: r, condition: or fd.num=1, append: true}\n", 13_000), false},
		{"a large macro in many rules", "- macro: m\n  condition: fd.num = 1" + strings.Repeat(" or fd.num = 1", 19_000) + "\n" + each(5000, "- {rule: r#, desc: d, condition: m, output: o, priority: INFO}\n"), false},
		{"a list of no numbers in many rules", "- {list: l, items: [" + strings.Repeat("a,", 100_000) + "b]}\n" + each(5000, "- {rule: r#, desc: d, condition: proc.pid in (l), output: o, priority: INFO}\n"), false},
		{"a list with quotes in many rules", "- {list: l, items: [" + strings.Repeat("'a b\"',", 10_000) + "b]}\n" + each(900, "- {rule: r#, desc: d, condition: proc.name in (l), output: o, priority: INFO}\n"), false},
		{"lists that name a long list", "- {list: l, items: [" + strings.Repeat("a,", 100_000) + "b]}\n" + each(10_000, "- {list: l#, items: [l]}\n"), false},
		{"exceptions in great number", ruleText("r", "evt.type = open") + "  exceptions: [" + each(9000, "{name: e#, fields: proc.nmae, values: [a]},") + "]\n", false},
		{"macros that double", macros + ruleText("r", "evt.type = open and m59"), false},
		{"lists of lists", lists + ruleText("r", "evt.type = open and proc.name in (l29)"), true},
		{"lists that multiply", backwards, false},
		{"a condition that nests", ruleText("r", strings.Repeat("(", 3000)+"evt.type=open"+strings.Repeat(")", 3000)), false},
		{"a long condition", ruleText("r", "evt.type=open"+strings.Repeat(" and evt.type=open", 60_000)), false},
		{"a regular expression that repeats", ruleText("r", `evt.type = open and proc.name regex "((a{1,100}){1,100}){1,100}"`), false},
		{"a condition full of mistakes", ruleText("r", "evt.type = open"+strings.Repeat(" or a.b = 1", 15_000)), false},
		{"exceptions full of mistakes", ruleText("r", "evt.type = open") + "  exceptions: [" + strings.Repeat("{name: x},", 40_000) + "]\n", false},
		{"macros full of mistakes", strings.Repeat("- {macro: x}\n", 50_000), false},
		{"bytes that are no text", "- rule: \xff\xfe\x00", false},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		set, r := Compile([]File{{Name: "r.yaml", Data: []byte(tt.text)}}, Options{})
		took := time.Since(start)
		runtime.ReadMemStats(&after)
		if (set != nil) != tt.fine {
			t.Errorf("%s: a set: %v, want %v: %.200v", tt.name, set != nil, tt.fine, r.Err())
		}
		allocated := (after.TotalAlloc - before.TotalAlloc) / 1_000_000
		// The bound of the time is for a machine of its own, so it is shown and not asserted.
		t.Logf("%s: %v of 100ms, %d of 50 MB", tt.name, took.Round(time.Microsecond), allocated)
		if allocated > 50 {
			t.Errorf("%s: allocated %d MB, want at most 50", tt.name, allocated)
		}
	}
}

// each returns text once for each number up to n, which stands for #; the next one stands
// for @.
func each(n int, text string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.NewReplacer("#", strconv.Itoa(i), "@", strconv.Itoa(i+1)).Replace(text))
	}
	return b.String()
}

func TestProblemsOfAFileAreBounded(t *testing.T) {
	t.Parallel()
	r := report(strings.Repeat("- {macro: x}\n", 2*maxProblems))
	errs := r.Files[0].Errors
	if len(errs) != maxProblems+1 {
		t.Fatalf("%d errors are kept, want %d and one that says there are more", len(errs), maxProblems)
	}
	last := errs[maxProblems]
	if want := "r.yaml:1001:3: there are more than 1000 problems like this in the file: the others are left out"; last.String() != want {
		t.Errorf("last error %q, want %q", last.String(), want)
	}
	r = report(ruleText("r", "evt.type = open"+strings.Repeat(" or a.b = 1", 200)))
	errs = r.Files[0].Errors
	if last := errs[len(errs)-1]; len(errs) != 101 || !strings.Contains(last.Msg, "more than 100 problems in the condition") {
		t.Errorf("a condition with 200 mistakes: %d errors, the last %q", len(errs), last.Msg)
	}
}

func TestLinesEndAsYAMLHasThem(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text string
		want []int
	}{
		{"a\nb\r\nc\rd", []int{0, 2, 5, 7}},
		{"a\r\rb\n\n", []int{0, 2, 3, 5, 6}},
		{"a\u0085b\u2028c\u2029d\u2028\r", []int{0, 3, 7, 11, 15, 16}},
		{"", []int{0}},
	} {
		if diff := cmp.Diff(tt.want, newPage(File{Data: []byte(tt.text)}).lines); diff != "" {
			t.Errorf("lines of %q (-want +got):\n%s", tt.text, diff)
		}
	}
	for _, end := range []string{"\n", "\r\n", "\r", "\u2028"} {
		p := report("- rule: r" + end + "  desc: d" + end + "  condition: proc.nmae = a" + end + "  output: o" + end + "  priority: INFO" + end).Errors()[0]
		if p.Line != 3 || p.Column != 14 || !strings.HasPrefix(p.Excerpt, "  condition: proc.nmae = a") {
			t.Errorf("lines that end in %q: error at %d:%d of %q, want 3:14", end, p.Line, p.Column, p.Excerpt)
		}
	}
}

func TestPlacesInLongLines(t *testing.T) {
	t.Parallel()
	for _, filler := range []string{"a", "é", "語"} {
		for _, n := range []int{10, 2000, 2047, 2048, 5000} {
			text := "- rule: r\n  desc: d\n  output: o\n  priority: INFO\n  condition: proc.name = '" + strings.Repeat(filler, n) + "' and proc.nmae = x or evt.type = open\n"
			p := report(text).Errors()[0]
			if want := 33 + n; p.Line != 5 || p.Column != want {
				t.Errorf("after %d times %q: place %d:%d, want 5:%d", n, filler, p.Line, p.Column, want)
			}
			line, mark := p.mark()
			runes := []rune(line)
			if at := strings.Index(mark, "^"); string(runes[at:at+len("proc.nmae")]) != "proc.nmae" || len(runes) > 200 {
				t.Errorf("after %d times %q:\n%s\n%s", n, filler, line, mark)
			}
		}
	}
}

func TestLoadPaths(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{"b.yaml": "b", "a.yml": "a", "c.txt": "c", "d.json": "d"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "e.yaml"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(dir, "c.txt"), filepath.Join(dir, "link.yaml")); err != nil {
		t.Fatal(err)
	}
	files, err := LoadPaths([]string{filepath.Join(dir, "c.txt"), dir})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range files {
		got = append(got, filepath.Base(f.Name)+"="+string(f.Data))
	}
	if diff := cmp.Diff([]string{"c.txt=c", "a.yml=a", "b.yaml=b", "link.yaml=c"}, got); diff != "" {
		t.Errorf("LoadPaths (-want +got):\n%s", diff)
	}
	if _, err := LoadPaths([]string{filepath.Join(dir, "none.yaml")}); err == nil || !strings.Contains(err.Error(), "none.yaml: no such file") {
		t.Errorf("LoadPaths of no file: %v", err)
	}
	files, err = LoadPaths([]string{Builtin, filepath.Join(dir, "c.txt")})
	if want := append(Library(), File{Name: filepath.Join(dir, "c.txt"), Data: []byte("c")}); err != nil || !cmp.Equal(files, want) {
		t.Errorf("LoadPaths of what Windhover ships and a file: %d files, %v", len(files), err)
	}
}

func TestSelectors(t *testing.T) {
	t.Parallel()
	text := ""
	for _, s := range []string{"Shell in container/a", "Shell in container/b", "Other/c"} {
		name, tag, _ := strings.Cut(s, "/")
		text += strings.Replace(ruleText(name+" "+tag, "evt.type = open"), "priority: INFO", "priority: NOTICE\n  tags: ["+tag+"]", 1)
	}
	text += strings.Replace(ruleText("Quiet", "evt.type = open"), "INFO", "DEBUG", 1)
	for _, tt := range []struct {
		name string
		o    Options
		want string
	}{
		{"every rule", Options{}, "Shell in container a,Shell in container b,Other c,Quiet"},
		{"a name", Options{Select: []Selector{{Rule: "Quiet"}}}, "Shell in container a,Shell in container b,Other c"},
		{"a wildcard", Options{Select: []Selector{{Rule: "Shell*"}}}, "Other c,Quiet"},
		{"a wildcard inside", Options{Select: []Selector{{Rule: "S*container*b"}}}, "Shell in container a,Other c,Quiet"},
		{"a tag", Options{Select: []Selector{{Tag: "a"}}}, "Shell in container b,Other c,Quiet"},
		{"one selector after the other", Options{Select: []Selector{{Rule: "*"}, {Enable: true, Tag: "b"}}}, "Shell in container b"},
		{"a priority", Options{MinPriority: new(Notice)}, "Shell in container a,Shell in container b,Other c"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			set, r := Compile([]File{{Name: "r.yaml", Data: []byte(text)}}, tt.o)
			if set == nil {
				t.Fatal(r.Err())
			}
			var got []string
			for _, rule := range set.AppendMatches(nil, mix()[10]) {
				got = append(got, rule.Name)
			}
			if s := strings.Join(got, ","); s != tt.want {
				t.Errorf("rules that match: %s, want %s", s, tt.want)
			}
		})
	}
}

func TestAppendOutput(t *testing.T) {
	t.Parallel()
	text := ruleText("a", "evt.type = open") + strings.Replace(ruleText("b", "evt.type = open"), "priority: INFO", "priority: INFO\n  tags: [x, y]", 1)
	set, r := Compile([]File{{Name: "r.yaml", Data: []byte(text)}}, Options{Append: []AppendOutput{
		{Source: "syscall", Output: "program=%proc.name"},
		{Tags: []string{"x", "y"}, Output: "tagged", Fields: []ExtraField{{Field: "proc.pid"}, {Key: "who", Format: "%proc.name at %evt.num"}}},
		{Tags: []string{"x", "z"}, Output: "both tags are missing"},
		{Rule: "a", Output: "named"},
		{Source: "k8s_audit", Output: "another source"},
	}})
	if set == nil {
		t.Fatal(r.Err())
	}
	ev := mix()[10]
	var got []string
	for _, m := range set.AppendMatches(nil, ev) {
		line := m.Name + ": " + string(m.Output.AppendText(nil, ev))
		for _, e := range m.Extra {
			line += fmt.Sprintf("; %s (typed: %v) %s", e.Key, e.Field != nil, e.Template.AppendText(nil, ev))
		}
		got = append(got, line)
	}
	want := []string{"a: . program=sh named", "b: . program=sh tagged; proc.pid (typed: true) 4242; who (typed: false) sh at 7"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("outputs (-want +got):\n%s", diff)
	}
	_, r = Compile([]File{{Name: "r.yaml", Data: []byte(text)}}, Options{Append: []AppendOutput{{Output: "%proc.nmae"}, {Fields: []ExtraField{{Field: "no.such"}}}}})
	if n := len(r.Errors()); n != 4 {
		t.Errorf("wrong fields in outputs that are appended: %d errors, want one for each rule and field: %v", n, r.Err())
	}
}

func TestLive(t *testing.T) {
	t.Parallel()
	a, b := mustCompile(t), mustCompile(t, File{Name: "r.yaml", Data: []byte(ruleText("r", "evt.type = open"))})
	l := NewLive(a)
	var told []*Set
	cancel := l.OnSwap(func(s *Set) { told = append(told, s) })
	if l.Set() != a || l.Generation() != 0 {
		t.Errorf("generation %d of an empty set, want 0", l.Generation())
	}
	l.Swap(b)
	if l.Set() != b || l.Generation() != 1 {
		t.Errorf("generation %d after a swap, want 1", l.Generation())
	}
	cancel()
	l.Swap(a)
	if !slices.Equal(told, []*Set{b}) {
		t.Errorf("told of %d sets, want the one that was swapped in before cancel", len(told))
	}
}

func TestLibraryCompilesWithoutAWarning(t *testing.T) {
	t.Parallel()
	set, r := Compile(Library(), Options{})
	if set == nil {
		t.Fatal(r.Err())
	}
	for _, p := range r.Warnings() {
		t.Error(p.String())
	}
}

func TestTypesAreThoseThatRulesName(t *testing.T) {
	t.Parallel()
	set := mustCompile(t, File{Name: "r.yaml", Data: []byte(ruleText("a", "evt.type in (open, openat) and proc.name = x") +
		ruleText("b", "not (evt.type != execve or proc.name = y)") + ruleText("c", "evt.num = 0"))})
	types := set.Types("syscall")
	var got []string
	for _, r := range set.Rules() {
		got = append(got, fmt.Sprintf("%s:%d", r.Name, r.Types.Len()))
	}
	if diff := cmp.Diff([]string{"a:2", "b:1", "c:0"}, got); diff != "" {
		t.Errorf("types of rules (-want +got):\n%s", diff)
	}
	if n := types.Len(); n != 3 {
		t.Errorf("the set asks for %d types, want 3", n)
	}
}

func FuzzCompile(f *testing.F) {
	for _, s := range []string{
		"- rule: r\n  desc: d\n  condition: evt.type=open and m\n  output: '%proc.name'\n  priority: INFO\n- macro: m\n  condition: proc.name in (l)\n- list: l\n  items: [a, 'b c']\n",
		"- rule: r\n  desc: d\n  condition: >\n    evt.type=open\n  output: x\n  priority: 3\n  exceptions:\n  - name: e\n    fields: [proc.name, fd.name]\n    comps: [in, startswith]\n    values:\n    - [[a, b], c]\n",
		"- required_plugin_versions:\n  - name: json\n    version: 0.1.0\n    alternatives: [{name: a, version: 1.2.3}]\n- required_engine_version: 0.5\n",
		"- rule: r\n  desc: d\n  condition: evt.type=open\n  output: x\n  priority: 3\n  threshold: {count: 2, within: 1m, by: [fd.name], distinct: proc.name}\n- rule: s\n  desc: d\n  output: x\n  priority: 3\n  sequence: {of: [r, r], within: 5s}\n- rule: s\n  condition: and fd.num=1\n  exceptions: [{name: e, fields: fd.name, values: [a]}]\n  override: {condition: append, exceptions: append}\n",
		"- rule: r\n  append: true\n  condition: and x\n- list: l\n  items: []\n  override: {items: append}\n---\n- &a {rule: b}\n- *a\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		files := []File{{Name: "r.yaml", Data: []byte(text)}}
		set, r := Compile(files, Options{})
		if (set != nil) != r.OK() {
			t.Fatalf("a set: %v, but the report is fine: %v", set != nil, r.OK())
		}
		lines := len(newPage(files[0]).lines)
		for _, p := range append(r.Errors(), r.Warnings()...) {
			if p.Msg == "" || p.File != "r.yaml" || p.Line < 1 || p.Line > lines || p.Column < 1 {
				t.Fatalf("problem without a place in the file: %+v", p)
			}
		}
		var b bytes.Buffer
		if err := r.WriteText(&b); err != nil {
			t.Fatal(err)
		}
		if set == nil {
			return
		}
		for _, ev := range mix() {
			for _, m := range set.AppendMatches(nil, ev) {
				if !m.Types.Has(ev.Type) {
					t.Fatalf("rule %q matches an event of a type that it does not ask for", m.Name)
				}
			}
		}
	})
}
