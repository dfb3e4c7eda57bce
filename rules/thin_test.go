package rules

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// tree writes what documents hold, with the place of everything.
func tree(p *page, docs []*yaml.Node) string {
	var b strings.Builder
	var write func(n *yaml.Node, depth int)
	write = func(n *yaml.Node, depth int) {
		place := fmt.Sprintf("%d:%d", n.Line, n.Column)
		if n.Value == "" && n.Style == 0 && n.Kind == yaml.ScalarNode {
			place = "nowhere" // perhaps behind the end of the file
		}
		fmt.Fprintf(&b, "%s%s %v %q %s\n", strings.Repeat(" ", depth), place, n.Kind, n.Value, n.Anchor)
		left := p.left[n]
		for i := 0; i <= len(n.Content); i++ {
			for ; len(left) > 0 && left[0].before == i; left = left[1:] {
				for _, item := range left[0].items {
					fmt.Fprintf(&b, "%s%q\n", strings.Repeat(" ", depth+1), item)
				}
			}
			if i == len(n.Content) {
				break
			}
			if c := n.Content[i]; len(p.left[n]) > 0 && c.Kind == yaml.ScalarNode {
				fmt.Fprintf(&b, "%s%q\n", strings.Repeat(" ", depth+1), c.Value)
			} else {
				write(c, depth+1)
			}
		}
	}
	for _, d := range docs {
		write(d, 0)
	}
	return b.String()
}

// whole parses text in one piece.
func whole(text string) (docs []*yaml.Node, err error) {
	dec := yaml.NewDecoder(strings.NewReader(text))
	for {
		var doc yaml.Node
		switch err := dec.Decode(&doc); {
		case errors.Is(err, io.EOF):
			return docs, nil
		case err != nil:
			return nil, err
		}
		docs = append(docs, &doc)
	}
}

var thinTexts = []string{
	"- list: l\n  items: [a, b, c, d, e]\n- rule: r\n  condition: x in (a, b, c)\n",
	"- list: l\n  items:\n    - a\n    - b\n    - c # why\n    - d\n- rule: r\n",
	"- list: l\n  items:\n  - a\n  - b\n  - \"c d\"\n  - 'e'\n  - f\n    g\n",
	"- list: l\n  items: [\n    a, b,\n    c , d,\n  ]\n  override: {items: append}\n",
	"- rule: r\n  desc: |\n    - a\n    - b\n    - c\n    - d\n  tags: [a, b, c, d]\n",
	"- rule: r\n  desc: \"\n    - a\n    - b\n    - c\n    \"\n  tags: [a, ~, null, d]\n",
	"- rule: r\n  desc: see [a, b, c, d]\n  exceptions:\n  - name: x\n    values: [[a, b, c, d], [e, f, g, h]]\n",
	"- a\n- b\n- c\n---\n- list: l\n  items: &x [1, 2, 3, 4]\n- list: m\n  items: *x\n",
	"- list: l\n  items: [a, b, c, d:e, é, f, g, h]\r\n  more: x\r\n",
	"- list: l\n  items: [a, b, c, ..., d, '', \"\", e]\n...\n- b\n",
	"items:\n- a\n- b\n- c\n-d\n- - e\n- - f\n- ? g\n",
	"- list: l\n  items: [{a, b, c}, [a, b, c], x: a, b, c, d]\n  e: [a, b, c,,]\n",
	"- list: l\n  items:\n  - a:b\n  - c:\n  - d\n  - e\n",
}

// checkThin compares a page that is read without its runs with the same in one piece.
func checkThin(t *testing.T, text string) {
	t.Helper()
	p := newPage(File{Name: "r.yaml", Data: []byte(text)})
	runs := p.runs(1)
	docs, err := p.documentsWithout(runs)
	if err != nil && err.limit {
		return
	}
	want, werr := whole(string(p.data))
	if werr != nil {
		if err == nil {
			// Where a run is taken out, the rest must read as it does with the run.
			t.Fatalf("%q is read, but in one piece it is refused: %v", text, werr)
		}
		return
	}
	if err != nil {
		t.Fatalf("%q is refused: %s", text, err.msg)
	}
	got := tree(p, docs)
	ref := newPage(File{Name: "r.yaml", Data: []byte(text)})
	ref.left = map[*yaml.Node][]leftOut{}
	pair(p, docs, ref, want)
	if diff := cmp.Diff(tree(ref, want), got); diff != "" {
		t.Fatalf("%q without its %d runs (-want +got):\n%s", text, len(runs), diff)
	}
}

// pair marks the sequences of want whose like in docs has items beside the tree, so that
// both are written alike.
func pair(p *page, docs []*yaml.Node, ref *page, want []*yaml.Node) {
	for i := range min(len(docs), len(want)) {
		if p.left[docs[i]] != nil {
			ref.left[want[i]] = []leftOut{{before: -1}}
			continue
		}
		pair(p, docs[i].Content, ref, want[i].Content)
	}
}

func TestRunsReadLikeTheWhole(t *testing.T) {
	t.Parallel()
	taken := 0
	for _, text := range thinTexts {
		checkThin(t, text)
		taken += len(newPage(File{Data: []byte(text)}).runs(1))
	}
	if taken < len(thinTexts) {
		t.Errorf("%d runs in %d texts", taken, len(thinTexts))
	}
}

func FuzzRuns(f *testing.F) {
	for _, text := range thinTexts {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		checkThin(t, text)
	})
}

func TestAListOfAMillionItems(t *testing.T) {
	t.Parallel()
	const n = 1_000_000
	var b strings.Builder
	b.WriteString("- list: bad\n  items:\n")
	for i := range n {
		fmt.Fprintf(&b, "  - h%d.example\n", i)
	}
	b.WriteString(ruleText("r", "evt.type = open and proc.name in (bad)"))
	b.WriteString(ruleText("s", "evt.type = open and proc.nmae in (bad)"))
	r := report(b.String())
	want := fmt.Sprintf("r.yaml:%d:35: no field \"proc.nmae\"; did you mean \"proc.name\"?", n+10)
	if errs := r.Errors(); len(errs) != 1 || errs[0].String() != want {
		t.Errorf("errors %v, want %s", r.Err(), want)
	}
}
