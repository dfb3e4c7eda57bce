package field

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/windhover/windhover/internal/document"
	"github.com/windhover/windhover/internal/event"
)

// shared returns a file of the shared conformance data, or skips the test.
func shared(tb testing.TB, name string) []byte {
	tb.Helper()
	dir := os.Getenv("WINDHOVER_SHARED")
	if dir == "" {
		dir = "../../../shared"
	}
	b, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
	if errors.Is(err, fs.ErrNotExist) {
		tb.Skipf("no conformance data: %v; set WINDHOVER_SHARED", err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// verdicts is what Falco answers for documents: every field that has a value.
type verdicts struct {
	Documents map[string]struct {
		Events []map[string]any
	}
	Fields []string
}

// differences are the fields whose value is not Falco's on purpose; docs/compatibility.md
// has the reasons.
var differences = map[string]string{
	"ka.sourceips":             "Falco looks in requestObject.rules[] and finds nothing",
	"ct.request.documentname":  "Falco looks for a key of another spelling and finds nothing",
	"evt.num":                  "not a field of the document",
	".eff_run_as_user[index]":  "Falco has no value when an index is given",
	".eff_run_as_group[index]": "Falco has no value when an index is given",
}

func differs(name string) bool {
	plain, _, indexed := strings.Cut(name, "[")
	if differences[plain] != "" {
		return true
	}
	i := strings.LastIndexByte(plain, '.')
	return indexed && differences[plain[i:]+"[index]"] != ""
}

// answer is the value of a field as the conformance data writes it.
func answer(f *Field, ev *event.Event) any {
	switch {
	case f.AppendText != nil:
		texts := f.AppendText(ev, nil)
		if len(texts) == 0 {
			return nil
		}
		var list []any
		for _, t := range texts {
			list = append(list, string(t))
		}
		return list
	case f.Int != nil:
		if n, ok := f.Int(ev); ok {
			return float64(n)
		}
	case f.Text != nil:
		if t, ok := f.Text(ev); ok {
			return string(t)
		}
	}
	return nil
}

func testConformance(t *testing.T, sourceType, index, dir string, env document.Envelope, timePath string) {
	t.Helper()
	var v verdicts
	if err := json.Unmarshal(shared(t, index), &v); err != nil {
		t.Fatal(err)
	}
	fields := make(map[string]*Field)
	for _, name := range v.Fields {
		if strings.HasPrefix(name, "evt.") {
			continue
		}
		f, err := Lookup(name, sourceType)
		if err != nil {
			t.Fatal(err)
		}
		fields[name] = f
	}
	when, err := document.CompilePath(timePath)
	if err != nil {
		t.Fatal(err)
	}
	events := 0
	for name, want := range v.Documents {
		var s document.Splitter
		s.Reset(shared(t, dir+"/"+name), env)
		var got []map[string]any
		for {
			text, _, ok, err := s.Next()
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if !ok {
				break
			}
			ev := event.Event{Type: event.PluginEvent, Doc: new(document.Document)}
			if err := ev.Doc.Parse(text, document.Limits{}); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if ev.Doc.Find(when).Kind() != document.String {
				continue // without a time it is no event
			}
			answers := make(map[string]any)
			for field, f := range fields {
				if a := answer(f, &ev); a != nil && !differs(field) {
					answers[field] = a
				}
			}
			got = append(got, answers)
		}
		for _, e := range want.Events {
			delete(e, "time")
			for field := range e {
				if differs(field) {
					delete(e, field)
				}
			}
		}
		if diff := cmp.Diff(want.Events, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		events += len(got)
	}
	if events < 20 && len(v.Documents) > 1 {
		t.Errorf("compared %d events of %s: too few", events, index)
	}
}

func TestKubernetesAuditFieldsAgreeWithFalco(t *testing.T) {
	t.Parallel()
	env := document.Envelope{List: "items", Tag: "kind", Name: "EventList"}
	for _, set := range []string{"made", "public"} {
		t.Run(set, func(t *testing.T) {
			t.Parallel()
			testConformance(t, K8sAudit, "conformance/k8s-audit/"+set+".json", "conformance/k8s-audit/"+set, env, "stageTimestamp")
		})
	}
}

func TestCloudTrailFieldsAgreeWithFalco(t *testing.T) {
	t.Parallel()
	env := document.Envelope{List: "Records"}
	for _, set := range []struct{ index, dir string }{{"made.json", "made"}, {"verdicts.json", "."}} {
		t.Run(set.index, func(t *testing.T) {
			t.Parallel()
			testConformance(t, CloudTrail, "conformance/cloudtrail/"+set.index, "conformance/cloudtrail/"+set.dir, env, "eventTime")
		})
	}
}
