package arch

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const module = "github.com/windhover/windhover"

// pkg is one entry of the table of layers. A path that ends in /... stands for the
// directory with all that is below it, one that ends in /* for every such directory at
// that place.
type pkg struct {
	path    string
	outside string // what it imports besides the standard library and the layers above, by prefix
}

// layers is the table of ARCHITECTURE.md: a package imports packages of the layers
// above its own, never its neighbours.
var layers = [][]pkg{
	{{"deploy/grafana", ""}, {"internal/document", ""}, {"internal/arch", ""}, {"rules/library", ""}, {"test/require", ""}},
	{{"internal/event", ""}},
	{{"internal/ledger", ""}, {"internal/field", ""}, {"internal/source", ""}, {"rules/syntax", ""}, {"bpf/internal/gen", ""}},
	{{"rules/ir", ""}, {"rules/output", ""}, {"rules/synthetic", ""}, {"internal/state", ""}},
	{
		{"rules/check", ""},
		{"rules/plan", ""},
		{"rules/pushdown", ""},
		{"internal/container", "go.uber.org/zap google.golang.org/grpc k8s.io/cri-api"},
	},
	{{"rules", "go.yaml.in/yaml/v3"}, {"bpf", "github.com/cilium/ebpf golang.org/x/sys"}, {"bpf/internal/gen", ""}},
	{{"internal/correlate", ""}},
	{{"internal/alert", ""}, {"rules/ruletest", "go.yaml.in/yaml/v3"}, {"rules/lint", ""}},
	{{"internal/fold", ""}, {"internal/redact", ""}},
	{{"internal/pipeline", ""}, {"internal/otlp", "go.opentelemetry.io/collector/pdata go.opentelemetry.io/otel"}},
	{{"internal/instance", sdk}, {"internal/falcojson", "go.opentelemetry.io/collector/pdata"}},
	{{"internal/feed", sdk}},
	{
		{"receiver/*", sdk},
		{"processor/*", sdk},
		{"exporter/*", sdk},
		{"rules/rulesextension/...", sdk + " github.com/fsnotify/fsnotify"},
	},
	{
		{"config", "github.com/knadh/koanf go.opentelemetry.io/collector go.yaml.in/yaml/v3"},
		{"config/fromfalco", "go.yaml.in/yaml/v3"},
	},
	{{"cmd/*", sdk + " github.com/knadh/koanf github.com/spf13 github.com/prometheus/client_golang" +
		" github.com/open-telemetry/opentelemetry-collector-contrib/extension/storage/filestorage"}},
	{{"test/*", sdk + " google.golang.org/grpc github.com/cilium/ebpf k8s.io/cri-api"}},
}

// sdk is what a component of a collector is made of.
const sdk = "go.opentelemetry.io go.uber.org/zap golang.org/x/sys"

// inTests is what every test may import; what mdatagen writes has its own habits.
const (
	inTests          = "github.com/google/go-cmp go.uber.org/goleak golang.org/x/sys github.com/prometheus/client_golang github.com/prometheus/otlptranslator"
	inGeneratedTests = inTests + " github.com/stretchr/testify go.opentelemetry.io"
)

// place returns the row of the table that holds dir, its entry, and the root of the
// package or component that dir belongs to.
func place(dir string) (row int, p pkg, unit string, ok bool) {
	for row, ps := range layers {
		for _, p := range ps {
			if whole, ok := strings.CutSuffix(p.path, "/..."); ok {
				if dir == whole || strings.HasPrefix(dir, whole+"/") {
					return row, p, whole, true
				}
				continue
			}
			if parent, ok := strings.CutSuffix(p.path, "/*"); ok {
				if below, ok := strings.CutPrefix(dir, parent+"/"); ok {
					first, _, _ := strings.Cut(below, "/")
					return row, p, path.Join(parent, first), true
				}
				continue
			}
			if dir == p.path {
				return row, p, dir, true
			}
		}
	}
	return 0, pkg{}, "", false
}

// importProblem says what is wrong with an import statement in f, or nothing.
func importProblem(f file, imported string) string {
	row, from, unit, ok := place(f.dir)
	if !ok {
		return fmt.Sprintf("package %s is in no layer: add it to the table in internal/arch/layers_test.go and in ARCHITECTURE.md", f.dir)
	}
	if imported == "C" {
		return "cgo: the binary is static and builds without a C compiler"
	}
	if dir, ours := strings.CutPrefix(imported, module+"/"); ours {
		toRow, _, toUnit, ok := place(dir)
		switch {
		case !ok:
			return fmt.Sprintf("package %s is in no layer: add it to the table in internal/arch/layers_test.go and in ARCHITECTURE.md", dir)
		case f.test() || toUnit == unit || toRow < row:
			return ""
		case toRow == row:
			return fmt.Sprintf("%s must not import %s: they are neighbours in one layer", f.dir, dir)
		default:
			return fmt.Sprintf("%s must not import %s: it is in a layer below", f.dir, dir)
		}
	}
	if first, _, _ := strings.Cut(imported, "/"); !strings.Contains(first, ".") {
		return ""
	}
	allowed := from.outside
	switch {
	case f.test() && f.generated:
		allowed += " " + inGeneratedTests
	case f.test():
		allowed += " " + inTests
	}
	for prefix := range strings.FieldsSeq(allowed) {
		if imported == prefix || strings.HasPrefix(imported, prefix+"/") {
			return ""
		}
	}
	return fmt.Sprintf("%s must not import %s: its entry in internal/arch/layers_test.go does not name it", f.dir, imported)
}

func TestImportsFollowTheLayers(t *testing.T) {
	t.Parallel()
	var seen []string
	for _, f := range repository(t).files {
		imports := f.imports()
		if len(imports) == 0 {
			imports = []string{"fmt"} // a file without imports still needs its place
		}
		for _, imported := range imports {
			problem := importProblem(f, imported)
			if problem != "" && !slices.Contains(seen, problem) {
				seen = append(seen, problem)
				t.Errorf("%s: %s", f.name, problem)
			}
		}
	}
}

func TestImportProblem(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, file, imported, want string }{
		{"a layer above is fine", "rules/plan/plan.go", module + "/rules/ir", ""},
		{"a layer below is not", "rules/ir/ir.go", module + "/rules/plan", "rules/ir must not import rules/plan: it is in a layer below"},
		{"siblings do not know each other", "rules/plan/plan.go", module + "/rules/pushdown", "rules/plan must not import rules/pushdown: they are neighbours in one layer"},
		{"components do not know each other", "receiver/a/a.go", module + "/exporter/b", "receiver/a must not import exporter/b: they are neighbours in one layer"},
		{"receivers do not know each other", "receiver/a/a.go", module + "/receiver/b", "receiver/a must not import receiver/b: they are neighbours in one layer"},
		{"a component knows its own parts", "receiver/a/a.go", module + "/receiver/a/internal/metadata", ""},
		{"the extension knows its own parts", "rules/rulesextension/factory.go", module + "/rules/rulesextension/internal/metadata", ""},
		{"only package bpf talks to the kernel", "receiver/a/a.go", "github.com/cilium/ebpf/ringbuf", "receiver/a must not import github.com/cilium/ebpf/ringbuf: its entry in internal/arch/layers_test.go does not name it"},
		{"package bpf talks to the kernel", "bpf/probe.go", "github.com/cilium/ebpf/ringbuf", ""},
		{"rules know nothing of telemetry", "rules/set.go", "go.opentelemetry.io/collector/pdata/plog", "rules must not import go.opentelemetry.io/collector/pdata/plog: its entry in internal/arch/layers_test.go does not name it"},
		{"a prefix ends at a slash", "bpf/probe.go", "github.com/cilium/ebpf-evil", "bpf must not import github.com/cilium/ebpf-evil: its entry in internal/arch/layers_test.go does not name it"},
		{"events come from the standard library", "internal/event/event.go", "golang.org/x/sys/unix", "internal/event must not import golang.org/x/sys/unix: its entry in internal/arch/layers_test.go does not name it"},
		{"tests compare with go-cmp", "internal/event/event_test.go", "github.com/google/go-cmp/cmp", ""},
		{"tests are written without testify", "internal/event/event_test.go", "github.com/stretchr/testify/require", "internal/event must not import github.com/stretchr/testify/require: its entry in internal/arch/layers_test.go does not name it"},
		{"there is no cgo", "bpf/probe.go", "C", "cgo: the binary is static and builds without a C compiler"},
		{"every package has its place", "internal/stuff/x.go", "fmt", "package internal/stuff is in no layer: add it to the table in internal/arch/layers_test.go and in ARCHITECTURE.md"},
		{"rules is not all that is below it", "rules/stuff/x.go", "fmt", "package rules/stuff is in no layer: add it to the table in internal/arch/layers_test.go and in ARCHITECTURE.md"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := importProblem(file{name: tt.file, dir: path.Dir(tt.file)}, tt.imported)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("importProblem(%s, %q) (-want +got):\n%s", tt.file, tt.imported, diff)
			}
		})
	}
}
