package field

import (
	"testing"

	"github.com/windhover/windhover/internal/event"
)

// record is a log record of which every part reads as its number and key.
type record struct{ severity int64 }

func (record) Text(ev *event.Event, part event.LogPart, key string) ([]byte, bool) {
	start := len(ev.Scratch)
	ev.Scratch = append(append(ev.Scratch, '0'+byte(part)), key...)
	return tail(ev, start), key != "none"
}

func (r record) Severity() (int64, bool) { return r.severity, r.severity != 0 }

func (record) AppendIdentity(dst []byte) []byte { return append(dst, "record"...) }
func (record) Origin() event.Origin             { return nil }

func TestFieldsOfLogRecords(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, field, want string }{
		{"body", "log.body", "0"},
		{"severity as a number", "log.severity", "17"},
		{"severity as a word", "log.severity_text", "1"},
		{"event name", "log.event_name", "2"},
		{"attribute", "log.attribute[http.request.method]", "3http.request.method"},
		{"attribute in quotes", `log.attribute["a b"]`, "3a b"},
		{"attribute that is not there", "log.attribute[none]", "<NA>"},
		{"trace", "log.trace_id", "4"},
		{"span", "log.span_id", "5"},
		{"attribute of the resource", "resource.attribute[k8s.pod.name]", "6k8s.pod.name"},
		{"scope", "scope.name", "7"},
		{"version of the scope", "scope.version", "8"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, source := range []string{Log, K8sAudit, JSON} {
				f, err := Lookup(tt.field, source)
				if err != nil {
					t.Fatalf("Lookup(%q, %s): %v", tt.field, source, err)
				}
				got := "<NA>"
				if b, ok := AppendValueText(nil, f, &event.Event{Log: record{17}}); ok {
					got = string(b)
				}
				if got != tt.want {
					t.Errorf("%s = %q, want %q", tt.field, got, tt.want)
				}
				if b, ok := AppendValueText(nil, f, &event.Event{}); ok {
					t.Errorf("%s of an event that was no log record = %q, want none", tt.field, b)
				}
			}
		})
	}
	if _, err := Lookup("log.body", Syscall); err == nil {
		t.Error("system calls have a log.body")
	}
}
