package document

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func mustPath(tb testing.TB, expr string) *Path {
	tb.Helper()
	p, err := CompilePath(expr)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func texts(vs []Value) []string {
	var s []string
	for _, v := range vs {
		s = append(s, string(v.Text()))
	}
	return s
}

const pods = `{
	"spec": {"containers": [
		{"image": "a", "ports": [{"n": 1}, {"n": 2}]},
		{"ports": [{"n": 3}, {}]},
		{"image": "c", "ports": 7}
	]},
	"annotations": {"k8s.io/x": "y", "a\"b": "q"},
	"0": "zero", "a/b": {"~": ["t"]}, "": "empty"
}`

func TestPathLeads(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, expr string
		want       []string
	}{
		{"to a member", `spec.containers[0].image`, []string{"a"}},
		{"to every element", `spec.containers[].image`, []string{"a", "c"}},
		{"through two lists", `spec.containers[].ports[].n`, []string{"1", "2", "3"}},
		{"through one element of the first list", `spec.containers[1].ports[].n`, []string{"3"}},
		{"to an element of each list", `spec.containers[].ports[0].n`, []string{"1", "3"}},
		{"to a key with dots and slashes", `annotations["k8s.io/x"]`, []string{"y"}},
		{"to a key with a quote", `annotations["a\"b"]`, []string{"q"}},
		{"to a key that looks like an index", `0`, []string{"zero"}},
		{"to every element, or to what is no list", `spec.containers[]?.ports[]?.n`, []string{"1", "2", "3"}},
		{"to what is no list", `spec[]?.containers[0]?.image[0]?`, []string{"a"}},
		{"to a number that is no list", `spec.containers[2].ports[]?`, []string{"7"}},
		{"to an element past the last, list or not", `spec.containers[3]?.image`, nil},
		{"nowhere: no such key", `spec.nothing[].x`, nil},
		{"nowhere: after the last element", `spec.containers[3]`, nil},
		{"nowhere: an index of an object", `spec[0]`, nil},
		{"nowhere: elements of a number", `spec.containers[2].ports[]`, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d, p := parsed(t, pods), mustPath(t, tt.expr)
			for range 2 { // followed, then remembered
				if diff := cmp.Diff(tt.want, texts(d.FindAll(p))); diff != "" {
					t.Errorf("FindAll(%s) (-want +got):\n%s", tt.expr, diff)
				}
				first := d.Find(p)
				if len(tt.want) == 0 && first.Kind() != Absent || len(tt.want) > 0 && string(first.Text()) != tt.want[0] {
					t.Errorf("Find(%s) = %q, want the first of %q", tt.expr, first.Text(), tt.want)
				}
			}
		})
	}
}

func TestPointerLeads(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, pointer, want string }{
		{"to a member", "/spec/containers/0/image", "a"},
		{"without the first slash", "spec/containers/0/image", "a"},
		{"through escapes", "/a~1b/~0/0", "t"},
		{"to a number as a key", "/0", "zero"},
		{"to an empty key", "/", "empty"},
		{"nowhere: an index with a leading zero", "/spec/containers/00/image", ""},
		{"nowhere: a key of an array", "/spec/containers/image", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := string(parsed(t, pods).Find(CompilePointer(tt.pointer)).Text()); got != tt.want {
				t.Errorf("Find(%q) = %q, want %q", tt.pointer, got, tt.want)
			}
		})
	}
	if got := parsed(t, `{"a": 1}`).Find(CompilePointer("")).JSON(); string(got) != `{"a":1}` {
		t.Errorf("the empty pointer leads to %q, want the document", got)
	}
}

func TestCompilePathReports(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ expr, want string }{
		{`a[`, `compile path "a[": offset 1: [ has no ]`},
		{`a[x]`, `compile path "a[x]": offset 2: "x" is no index; a key in brackets takes quotes`},
		{`a[-1]`, `compile path "a[-1]": offset 2: "-1" is no index; a key in brackets takes quotes`},
		{`a[01]`, `compile path "a[01]": offset 2: "01" is no index; a key in brackets takes quotes`},
		{`a["x]`, `compile path "a[\"x]": offset 1: the key has no closing quote`},
		{`a["x"`, `compile path "a[\"x\"": offset 5: want ] after the key`},
		{`a..b`, `compile path "a..b": offset 2: want a key`},
		{`.a`, `compile path ".a": offset 0: want a key`},
		{`a[0]b`, `compile path "a[0]b": offset 4: want . or [`},
	} {
		_, err := CompilePath(tt.expr)
		if err == nil || err.Error() != tt.want {
			t.Errorf("CompilePath(%q)\n got %v\nwant %s", tt.expr, err, tt.want)
		}
	}
}

func TestPathRemembersOnlyItsDocument(t *testing.T) {
	t.Parallel()
	p := mustPath(t, `a.b`)
	var d Document
	for _, tt := range []struct{ in, want string }{
		{`{"a":{"b":1}}`, "1"}, {`{"x":0,"a":{"b":2}}`, "2"}, {`{"a":{}}`, ""}, {`3`, ""}, {`{"a":{"b":4}}`, "4"},
	} {
		if err := d.Parse([]byte(tt.in), Limits{}); err != nil {
			t.Fatal(err)
		}
		if got := string(d.Find(p).Text()); got != tt.want {
			t.Errorf("a.b of %s = %q, want %q", tt.in, got, tt.want)
		}
	}
	d.round = ^uint32(0) // the counter wraps at the next parse
	if err := d.Parse([]byte(`{}`), Limits{}); err != nil {
		t.Fatal(err)
	}
	if got := d.Find(p); got.Kind() != Absent {
		t.Errorf("a.b of {} = %q after the counter wrapped", got.Text())
	}
}
