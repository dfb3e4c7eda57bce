package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/windhover/windhover/cmd/windhover/host"
	"github.com/windhover/windhover/config"
)

const (
	module        = "github.com/windhover/windhover/"
	referenceFile = "../../config/windhover.yaml"

	referenceHead = `# Every key of the configuration with its default. "make golden" writes this file from
# the comments in the code. A configuration file needs only the keys that it changes;
# windhover config shows what files, variables and flags come to.

`
	referenceFoot = `
# Other components. Their blocks have the keys that they have in an OpenTelemetry Collector.
#
# receivers:
#   windhover_k8saudit/webhook:
#     endpoint: 0.0.0.0:9765          # the API server posts to http://…:9765/k8s-audit
#   windhover_k8saudit/file:
#     files: {include: [/var/log/kubernetes/audit/*.log]}
#   windhover_json/trail:
#     source: aws_cloudtrail          # or okta, github, gcp_auditlog, k8s_audit, json
#     files: {include: [/var/log/trail/*.json.gz]}
# exporters:
#   otlp_grpc:
#     endpoint: collector:4317
#     sending_queue: {storage: file_storage}
#   otlp_http:
#     endpoint: https://otlp.example.com
#     headers: {authorization: "${env:OTLP_TOKEN}"}
#   windhover_falco_json/sidekick:
#     http: {endpoint: "http://falcosidekick:2801/"}   # or file, program, syslog
# extensions:
#   file_storage: {directory: /var/lib/windhover, create_directory: true}
`
)

// componentDocs are the comments above the components of the default configuration.
var componentDocs = map[string]string{
	"receivers::windhover_syscall": "The system calls of this host. Takes the capabilities BPF, PERFMON, SYS_PTRACE and DAC_READ_SEARCH, or root.",
	"exporters::windhover_console": "Alerts as lines on standard output, for people and for pipes.",
	"extensions::windhover_rules":  "The rules, shared by all receivers and read again when they change or on SIGHUP.",
}

// The reference file is made of the defaults and of the comments on the structs that
// hold them, so that a key has one description.
func TestReferenceFileIsMadeOfTheDefaults(t *testing.T) {
	t.Parallel()
	loaded, err := config.Load(config.Settings{Types: factories().Types()})
	if err != nil {
		t.Fatal(err)
	}
	blocks, err := host.Configure(loaded, factories())
	if err != nil {
		t.Fatal(err)
	}
	tree, err := blocks.Effective()
	if err != nil {
		t.Fatal(err)
	}
	d := docs{}
	var b bytes.Buffer
	b.WriteString(referenceHead)
	err = config.Write(&b, tree, func(path []string) (above, behind string) {
		return wrap(d.comment(t, blocks, path), 92-2*len(path)), ""
	})
	if err != nil {
		t.Fatal(err)
	}
	b.WriteString(referenceFoot)
	golden(t, referenceFile, b.String())

	fromFile, err := config.Load(config.Settings{Files: []string{referenceFile}, Types: factories().Types()})
	if err != nil {
		t.Fatal(err)
	}
	again, err := host.Configure(fromFile, factories())
	if err != nil {
		t.Fatal(err)
	}
	loadedTree, err := again.Effective()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(tree, loadedTree); diff != "" {
		t.Errorf("configuration of the reference file (-defaults +file):\n%s", diff)
	}
}

// docs are the comments on fields, by package path, type and field name.
type docs map[string]map[string]string

// comment returns what the code says of the key at a path, or nothing where the struct
// is another module's.
func (d docs) comment(tb testing.TB, b *host.Blocks, path []string) string {
	tb.Helper()
	if len(path) == 2 {
		if text, ok := componentDocs[strings.Join(path, "::")]; ok {
			return text
		}
	}
	root, below := reflect.TypeOf(b.Config), path
	if len(path) > 2 {
		for _, s := range b.Sources {
			if path[0] == "receivers" && path[1] == s.ID.String() {
				root, below = reflect.TypeOf(s.Config), path[2:]
			}
		}
		for _, e := range b.Exporters {
			if path[0] == "exporters" && path[1] == e.ID.String() {
				root, below = reflect.TypeOf(e.Config), path[2:]
			}
		}
		for _, e := range b.Extensions {
			if path[0] == "extensions" && path[1] == e.ID.String() {
				root, below = reflect.TypeOf(e.Config), path[2:]
			}
		}
	}
	return d.find(tb, root, below)
}

func (d docs) find(tb testing.TB, t reflect.Type, path []string) string {
	tb.Helper()
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return ""
	}
	for f := range t.Fields() {
		name, rest, _ := strings.Cut(f.Tag.Get("mapstructure"), ",")
		switch {
		case strings.Contains(rest, "squash"):
			if text := d.find(tb, f.Type, path); text != "" {
				return text
			}
		case name != path[0]:
		case len(path) > 1:
			return d.find(tb, f.Type, path[1:])
		default:
			return strings.TrimPrefix(d.of(tb, t)[f.Name], f.Name+" ")
		}
	}
	return ""
}

// of returns the comments on the fields of a struct of this module.
func (d docs) of(tb testing.TB, t reflect.Type) map[string]string {
	tb.Helper()
	dir, ours := strings.CutPrefix(t.PkgPath(), module)
	if !ours {
		return nil
	}
	key := dir + "." + t.Name()
	if d[key] != nil {
		return d[key]
	}
	d[key] = map[string]string{}
	files, err := filepath.Glob(filepath.Join("../..", dir, "*.go"))
	if err != nil {
		tb.Fatal(err)
	}
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			tb.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok || spec.Name.Name != t.Name() {
				return true
			}
			s, ok := spec.Type.(*ast.StructType)
			if !ok {
				return true
			}
			for _, f := range s.Fields.List {
				text := strings.Join(strings.Fields(f.Doc.Text()+f.Comment.Text()), " ")
				for _, name := range f.Names {
					if text == "" && !strings.Contains(f.Tag.Value, "squash") {
						tb.Errorf("%s.%s has no comment: it is the description of its key", key, name)
					}
					d[key][name.Name] = text
				}
			}
			return true
		})
	}
	return d[key]
}

// wrap breaks text into lines of at most width, and starts it with a capital.
func wrap(text string, width int) string {
	if text == "" {
		return ""
	}
	text = strings.TrimPrefix(strings.TrimPrefix(text, "is "), "are ")
	text = strings.ToUpper(text[:1]) + text[1:]
	var b strings.Builder
	n := 0
	for word := range strings.FieldsSeq(text) {
		switch {
		case n == 0:
		case n+1+len(word) > width:
			b.WriteByte('\n')
			n = 0
		default:
			b.WriteByte(' ')
			n++
		}
		n += len(word)
		fmt.Fprint(&b, word)
	}
	return b.String()
}
