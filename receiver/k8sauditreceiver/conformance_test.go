package k8sauditreceiver

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windhover/windhover/internal/alert"
	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/feed"
	"github.com/windhover/windhover/internal/field"
	"github.com/windhover/windhover/internal/ledger"
	"github.com/windhover/windhover/internal/pipeline"
	"github.com/windhover/windhover/rules"
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

// verdict is an alert as Falco writes it.
type verdict struct {
	Output   string         `json:"output"`
	Priority string         `json:"priority"`
	Rule     string         `json:"rule"`
	Tags     []string       `json:"tags"`
	Time     string         `json:"time"`
	Fields   map[string]any `json:"output_fields"`
}

func verdictOf(a *alert.Alert) verdict {
	v := verdict{
		Output: a.Output, Priority: a.Rule.Priority.String(), Rule: a.Rule.Name, Tags: a.Rule.Tags,
		Time: time.Unix(0, a.Time).UTC().Format("2006-01-02T15:04:05.000000000Z"), Fields: map[string]any{},
	}
	for _, f := range a.Fields {
		switch {
		case !f.Value.Valid:
			v.Fields[f.Name] = nil
		case f.Value.List != nil:
			var list []any
			for _, s := range f.Value.List {
				list = append(list, s)
			}
			v.Fields[f.Name] = list
		case f.Value.Kind == field.KindText:
			v.Fields[f.Name] = f.Value.Text
		default:
			v.Fields[f.Name] = float64(f.Value.Int)
		}
	}
	return v
}

func TestAlertsAgreeWithFalco(t *testing.T) {
	t.Parallel()
	set, report := rules.Compile([]rules.File{{Name: "k8s_audit_rules.yaml", Data: shared(t, "peer-rules/k8s_audit_rules.yaml")}}, rules.Options{})
	if set == nil {
		t.Fatalf("compile k8s_audit_rules.yaml: %v", report)
	}
	for _, dir := range []string{"public", "made"} {
		t.Run(dir, func(t *testing.T) {
			t.Parallel()
			var index struct {
				Documents map[string]struct{ Alerts []verdict }
			}
			if err := json.Unmarshal(shared(t, "conformance/k8s-audit/"+dir+".json"), &index); err != nil {
				t.Fatal(err)
			}
			alerts := 0
			for name, want := range index.Documents {
				queue := alert.NewQueue(alert.DefaultQueueConfig())
				worker := pipeline.NewWorker(pipeline.Settings{
					Source: &event.Source{Name: "test", Type: sourceType}, Rules: rules.NewLive(set),
					Ledger: ledger.NewSource("test", sourceType), Alerts: queue,
				})
				feed.NewDecoder(worker, feed.FormatOf(sourceType), 1<<20).Batch(shared(t, "conformance/k8s-audit/"+dir+"/"+name))
				worker.Close()
				queue.Close()
				var got []verdict
				for _, a := range queue.Take(t.Context(), nil, 1000, 0) {
					got = append(got, verdictOf(a))
				}
				// Falco puts the time of day and the priority before every output, and the
				// time among its fields.
				for i := range want.Alerts {
					v := &want.Alerts[i]
					v.Output = strings.TrimPrefix(v.Output, v.Time[len("2006-01-02T"):len(v.Time)-1]+": "+v.Priority+" ")
					delete(v.Fields, "evt.time")
				}
				if diff := cmp.Diff(want.Alerts, got); diff != "" && len(want.Alerts)+len(got) > 0 {
					t.Errorf("%s (-want +got):\n%s", name, diff)
				}
				alerts += len(got)
			}
			if alerts == 0 {
				t.Error("no alerts were compared")
			}
		})
	}
}
