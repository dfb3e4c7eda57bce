package deploy

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"
)

var updateGolden = flag.CommandLine.Bool("update", false, "write the golden files")

const (
	repository = "../.."
	chart      = repository + "/deploy/helm/windhover"
)

// tool returns the path of a program that make builds from its module in tools/.
func tool(tb testing.TB, name string) string {
	tb.Helper()
	path, err := filepath.Abs(filepath.Join(repository, ".cache/bin", name))
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		tb.Fatalf("find %s: %v; make test-deploy builds it", name, err)
	}
	return path
}

// built holds the path of windhover, built once from this tree.
var built = sync.OnceValues(func() (string, error) {
	path, err := filepath.Abs(filepath.Join(repository, ".cache/deploy/windhover"))
	if err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-o", path, "./cmd/windhover")
	build.Dir = repository
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", errors.New(string(out))
	}
	return path, nil
})

// windhover returns the path of the daemon's binary.
func windhover(tb testing.TB) string {
	tb.Helper()
	path, err := built()
	if err != nil {
		tb.Fatalf("build windhover: %v", err)
	}
	return path
}

// output runs a program and returns what it wrote on stdout.
func output(tb testing.TB, name string, args ...string) (string, error) {
	tb.Helper()
	cmd := exec.CommandContext(tb.Context(), name, args...)
	cmd.Env = append(os.Environ(), "HOME="+tb.TempDir())
	out, err := cmd.Output()
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		err = errors.New(strings.TrimSpace(string(e.Stderr)))
	}
	return string(out), err
}

// valueSets are the files in testdata/values: what users make of the chart.
func valueSets(tb testing.TB) []string {
	tb.Helper()
	files, err := filepath.Glob("testdata/values/*.yaml")
	if err != nil || len(files) == 0 {
		tb.Fatalf("list value sets: %d, %v", len(files), err)
	}
	for i := range files {
		files[i] = strings.TrimSuffix(filepath.Base(files[i]), ".yaml")
	}
	return files
}

// template renders the chart as helm template does for a release wh in namespace security.
func template(tb testing.TB, set string, args ...string) (string, error) {
	tb.Helper()
	args = append([]string{"template", "wh", chart, "-n", "security", "-f", "testdata/values/" + set + ".yaml"}, args...)
	return output(tb, tool(tb, "helm"), args...)
}

// object is one of a manifest, decoded into its type.
type object struct {
	kind, name string
	value      any
}

// manifest is what a tool rendered.
type manifest struct {
	text    string
	objects []object
}

var strict = serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()

// decode reads a manifest. A key that the type of its object lacks is an error.
func decode(tb testing.TB, text string) *manifest {
	tb.Helper()
	m := &manifest{text: text}
	documents := utilyaml.NewYAMLReader(bufio.NewReader(strings.NewReader(text)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return m
		}
		if err != nil {
			tb.Fatalf("read manifest: %v", err)
		}
		var head metav1.PartialObjectMetadata
		if err := yaml.Unmarshal(document, &head); err != nil {
			tb.Fatalf("read manifest: %v\n%s", err, document)
		}
		if head.Kind == "" {
			if len(bytes.TrimSpace(withoutComments(document))) > 0 {
				tb.Errorf("manifest has a document without a kind:\n%s", document)
			}
			continue
		}
		value, err := decodeObject(&head, document)
		if err != nil {
			tb.Errorf("decode %s %s: %v\n%s", head.Kind, head.Name, err, document)
			continue
		}
		m.objects = append(m.objects, object{head.Kind, head.Name, value})
	}
}

func withoutComments(document []byte) []byte {
	return regexp.MustCompile(`(?m)^\s*(#.*|---)$`).ReplaceAll(document, nil)
}

func decodeObject(head *metav1.PartialObjectMetadata, document []byte) (any, error) {
	if custom := customResource(head.APIVersion, head.Kind); custom != nil {
		return custom, yaml.UnmarshalStrict(document, custom)
	}
	value, _, err := strict.Decode(document, nil, nil)
	return value, err
}

// find returns the object of a type and name.
func find[T any](tb testing.TB, m *manifest, name string) T {
	tb.Helper()
	for _, o := range m.objects {
		if v, ok := o.value.(T); ok && o.name == name {
			return v
		}
	}
	var none T
	tb.Fatalf("manifest has no %T %s", none, name)
	return none
}

// workload is what runs pods.
type workload struct {
	kind, name string
	selector   *metav1.LabelSelector
	template   *corev1.PodTemplateSpec
	claims     []corev1.PersistentVolumeClaim
}

func (w *workload) container() *corev1.Container { return &w.template.Spec.Containers[0] }

// workloads returns what runs pods, in the order of the manifest.
func (m *manifest) workloads() []*workload {
	var out []*workload
	for _, o := range m.objects {
		switch v := o.value.(type) {
		case *appsv1.DaemonSet:
			out = append(out, &workload{o.kind, o.name, v.Spec.Selector, &v.Spec.Template, nil})
		case *appsv1.Deployment:
			out = append(out, &workload{o.kind, o.name, v.Spec.Selector, &v.Spec.Template, nil})
		case *appsv1.StatefulSet:
			out = append(out, &workload{o.kind, o.name, v.Spec.Selector, &v.Spec.Template, v.Spec.VolumeClaimTemplates})
		}
	}
	return out
}

// golden compares got with a file, or writes the file with -update.
func golden(tb testing.TB, file, got string) {
	tb.Helper()
	if *updateGolden {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			tb.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		tb.Fatalf("%v; write it with: make golden-deploy", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		tb.Errorf("%s (-want +got); if it is meant: make golden-deploy\n%s", file, diff)
	}
}
