package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// root is the directory of go.mod, seen from this package.
const root = "../.."

// file is one Go file of the root module, whatever its build tags.
type file struct {
	name      string // path from the root, with slashes
	dir       string
	generated bool
	syntax    *ast.File
	fset      *token.FileSet
}

func (f file) test() bool { return strings.HasSuffix(f.name, "_test.go") }

func (f file) imports() []string {
	var paths []string
	for _, spec := range f.syntax.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			panic("BUG: arch: import path that parses but does not unquote: " + spec.Path.Value)
		}
		paths = append(paths, p)
	}
	return paths
}

type tree struct {
	files []file
	err   error
}

// parse reads the files here, rather than asking go list, so that the tests see
// every platform's files and are not served from the test cache when one changed.
var parse = sync.OnceValue(func() tree {
	var t tree
	t.err = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name != root && foreign(name, d.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(name) != ".go" {
			return nil
		}
		fset := token.NewFileSet()
		syntax, err := parser.ParseFile(fset, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		t.files = append(t.files, file{
			name: rel, dir: path.Dir(rel), generated: ast.IsGenerated(syntax), syntax: syntax, fset: fset,
		})
		return nil
	})
	return t
})

// foreign reports whether the go tool leaves the directory out of the root module.
func foreign(name, last string) bool {
	if strings.HasPrefix(last, ".") || strings.HasPrefix(last, "_") || last == "testdata" {
		return true
	}
	_, err := os.Stat(filepath.Join(name, "go.mod"))
	return err == nil
}

func repository(tb testing.TB) tree {
	tb.Helper()
	t := parse()
	if t.err != nil {
		tb.Fatalf("read repository: %v", t.err)
	}
	if len(t.files) == 0 {
		tb.Fatalf("read repository: no Go file below %s", root)
	}
	return t
}

func TestEveryPackageHasAComment(t *testing.T) {
	t.Parallel()
	commented := map[string]bool{}
	for _, f := range repository(t).files {
		// What a generator wrote alone, or a directory of tests, has no reader who
		// looks for where to start.
		if f.generated || f.test() {
			continue
		}
		prefix := "Package " + f.syntax.Name.Name + " "
		if f.syntax.Name.Name == "main" {
			prefix = ""
		}
		doc := f.syntax.Doc.Text()
		commented[f.dir] = commented[f.dir] || doc != "" && strings.HasPrefix(doc, prefix)
	}
	for dir, ok := range commented {
		if !ok {
			t.Errorf("package %s has no comment that says what it is for and where to start", dir)
		}
	}
}

func TestEveryComponentIsComplete(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{"receiver/*", "processor/*", "exporter/*", "rules/rulesextension"} {
		dirs, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, dir := range dirs {
			for _, name := range []string{"metadata.yaml", "doc.go", "README.md", "config.go", "factory.go"} {
				if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
					t.Errorf("a component has a %s: %v", name, err)
				}
			}
		}
	}
}

var program = regexp.MustCompile(`(?m)^int BPF_PROG\((\w+)`)

func TestEveryKernelProgramHasATest(t *testing.T) {
	t.Parallel()
	hooks, err := filepath.Glob(filepath.Join(root, "bpf/hooks/*.bpf.h"))
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]bool{}
	for _, f := range repository(t).files {
		if !f.test() || f.dir != "test/kernel" {
			continue
		}
		for _, d := range f.syntax.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil {
				tests[strings.ToLower(fn.Name.Name)] = true
			}
		}
	}
	if len(tests) == 0 {
		return // neither half of the pair stands
	}
	for _, hook := range hooks {
		text, err := os.ReadFile(hook)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range program.FindAllStringSubmatch(string(text), -1) {
			name := strings.TrimSuffix(m[1], "_exit")
			if !tests["test"+strings.ReplaceAll(name, "_", "")] {
				t.Errorf("%s: program %s has no test of its name in test/kernel", filepath.Base(hook), m[1])
			}
		}
	}
}

// forbidden are the calls that no package but main makes, and why.
var forbidden = []struct {
	pkg, names, why string
}{
	{"os", "Exit", "errors come back to main, which alone ends the process"},
	{"log", "Fatal Fatalf Fatalln Panic Panicf Panicln", "errors come back to main, which alone ends the process"},
	{"time", "Sleep", "wait for a channel or a condition, with a deadline"},
}

func TestNoPackageDoesWhatBelongsElsewhere(t *testing.T) {
	t.Parallel()
	for _, f := range repository(t).files {
		if f.generated || f.test() || f.syntax.Name.Name == "main" {
			continue
		}
		for _, d := range f.syntax.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s: func init: lists are explicit, nothing registers itself", f.fset.Position(fn.Pos()))
			}
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, ok := sel.X.(*ast.Ident)
			if !ok {
				return true
			}
			for _, c := range forbidden {
				if x.Name == c.pkg && listed(c.names, sel.Sel.Name) {
					t.Errorf("%s: %s.%s: %s", f.fset.Position(sel.Pos()), x.Name, sel.Sel.Name, c.why)
				}
			}
			return true
		})
	}
}

// The tests that need a kernel must not be able to pass by being skipped on a
// machine that could run them, so package require alone decides.
func TestKernelTestsSkipInOnePlace(t *testing.T) {
	t.Parallel()
	for _, f := range repository(t).files {
		if !listed("test/kernel test/capture test/e2e test/collector", f.dir) {
			continue
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if ok && listed("Skip Skipf SkipNow", sel.Sel.Name) {
				t.Errorf("%s: %s: call require.Kernel instead", f.fset.Position(call.Pos()), sel.Sel.Name)
			}
			return true
		})
	}
}

func listed(words, word string) bool {
	for w := range strings.FieldsSeq(words) {
		if w == word {
			return true
		}
	}
	return false
}
