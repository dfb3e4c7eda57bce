package feed

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/field"
	"github.com/windhover/windhover/internal/ledger"
)

// recorder is a sink that remembers.
type recorder struct {
	produced int
	ids      []string // auditID of each event that was handled
	times    []int64
	dropped  map[string]int
}

func (r *recorder) Produced(_ event.Type, n int) { r.produced += n }

func (r *recorder) Handle(ev *event.Event) {
	r.ids = append(r.ids, string(ev.Doc.Root().Get("auditID").Text()))
	r.times = append(r.times, ev.Time)
}

func (r *recorder) Drop(_ event.Type, _ event.Lane, reason ledger.DropReason) {
	if r.dropped == nil {
		r.dropped = map[string]int{}
	}
	r.dropped[reason.String()]++
}

// audit returns an event with that ID.
func audit(id string) string {
	return `{"kind":"Event","auditID":"` + id + `","stageTimestamp":"2024-05-13T13:13:49.999999Z"}`
}

func TestBatchHandles(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, in string
		ids      string // of the events that are handled
		refused  string // the first refusal
		broken   bool
		dropped  map[string]int
	}{
		{"one event", audit("a"), "a", "", false, nil},
		{"a list", `{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[` + audit("a") + `,` + audit("b") + `]}`, "a b", "", false, nil},
		{"an empty list", `{"kind":"EventList","items":[]}`, "", "", false, nil},
		{"an array", `[` + audit("a") + `,` + audit("b") + `]`, "a b", "", false, nil},
		{"lines", audit("a") + "\r\n" + audit("b") + "\n", "a b", "", false, nil},
		{"items of a list have no kind", `{"kind":"EventList","items":[{"auditID":"a","stageTimestamp":"2024-05-13T13:13:49Z"}]}`, "a", "", false, nil},
		{"the time of the request if there is none of the stage", `{"auditID":"a","requestReceivedTimestamp":"2024-05-13T13:13:49Z"}`, "a", "", false, nil},
		{"a kind of the wrong type", `[` + audit("a") + `,{"kind":7},` + audit("b") + `]`, "a b", "offset 79, 10 bytes: its kind is not Event", false, map[string]int{"malformed": 1}},
		{"another kind", `{"kind":"Pod"}`, "", "offset 0, 14 bytes: its kind is not Event", false, map[string]int{"malformed": 1}},
		{"no object", `[1,"x",null]`, "", "offset 1, 1 bytes: its kind is not Event", false, map[string]int{"malformed": 3}},
		{"no time", `{"kind":"Event"}`, "", "offset 0, 16 bytes: " + errAuditTime.Error(), false, map[string]int{"malformed": 1}},
		{"a time of the wrong type", `{"stageTimestamp":1}`, "", "offset 0, 20 bytes: " + errAuditTime.Error(), false, map[string]int{"malformed": 1}},
		{"a time in words", `{"stageTimestamp":"yesterday"}`, "", "offset 0, 30 bytes: " + errAuditTime.Error(), false, map[string]int{"malformed": 1}},
		{"a time beyond 64 bits", `{"stageTimestamp":"9999-12-31T23:59:59Z"}`, "", "offset 0, 41 bytes: " + errAuditTime.Error(), false, map[string]int{"malformed": 1}},
		{"a malformed neighbour", `[` + audit("a") + `,{"x":nul},` + audit("b") + `]`, "a b", "offset 79, 9 bytes: read document: offset 8: unexpected '}', want null", false, map[string]int{"malformed": 1}},
		{"a neighbour that is too large", `[` + audit("a") + `,{"x":"` + strings.Repeat("x", 1024) + `"},` + audit("b") + `]`, "a b", "offset 79, 1032 bytes: read document: offset 1024: document of 1032 bytes, limit is 1024", false, map[string]int{"oversize": 1}},
		{"a neighbour of too many values", `[` + audit("a") + `,[],{"x":[` + strings.Repeat("0,", 450) + `0]},` + audit("b") + `]`, "a b", "offset 82, 909 bytes: read document: offset 810: more than 405 values", false, map[string]int{"oversize": 1}},
		{"a batch that ends early", `{"kind":"EventList","items":[` + audit("a") + `,{"kind":"Ev`, "a", "offset 0, 118 bytes: read document: offset 118: the document ends too early", true, map[string]int{"malformed": 1}},
		{"no JSON at all", "\x00\x01", "", "offset 0, 2 bytes: read document: offset 0: unexpected '\\x00', want a value", false, map[string]int{"malformed": 1}},
		{"space only", " \n", "", "", false, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var r recorder
			o := NewDecoder(&r, FormatOf(field.K8sAudit), 1024).Batch([]byte(tt.in))
			refused := ""
			if o.Refused > 0 {
				refused = o.First.String()
			}
			if diff := cmp.Diff(tt.refused, refused); diff != "" {
				t.Errorf("batch(%q): first refusal (-want +got):\n%s", tt.in, diff)
			}
			if diff := cmp.Diff(tt.ids, strings.Join(r.ids, " ")); diff != "" {
				t.Errorf("batch(%q): events (-want +got):\n%s", tt.in, diff)
			}
			if diff := cmp.Diff(tt.dropped, r.dropped); diff != "" {
				t.Errorf("batch(%q): dropped (-want +got):\n%s", tt.in, diff)
			}
			if got := o.Broken != nil; got != tt.broken {
				t.Errorf("batch(%q): broken: %v, want %v", tt.in, o.Broken, tt.broken)
			}
			if o.Handled != len(r.ids) || r.produced != o.Handled+o.Refused {
				t.Errorf("batch(%q): %d handled, %d refused, %d produced", tt.in, o.Handled, o.Refused, r.produced)
			}
		})
	}
}

func TestEventTimeIsThatOfTheStage(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, in string }{
		{"with microseconds", "2024-05-13T13:13:49.999999Z"},
		{"with nanoseconds and a zone", "2024-05-13T13:13:49.123456789+02:00"},
		{"before the epoch", "1969-12-31T23:59:59.5Z"},
		{"in the future", "2150-01-01T00:00:00Z"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var r recorder
			NewDecoder(&r, FormatOf(field.K8sAudit), 1024).Batch([]byte(`{"stageTimestamp":"` + tt.in + `","requestReceivedTimestamp":"2000-01-01T00:00:00Z"}`))
			want, err := time.Parse(time.RFC3339Nano, tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]int64{want.UnixNano()}, r.times); diff != "" {
				t.Errorf("time of %s (-want +got):\n%s", tt.in, diff)
			}
		})
	}
}

// tinyEvents returns a batch of about n bytes of the smallest events there are.
func tinyEvents(n int) (batch []byte, events int) {
	batch = append(batch, `{"kind":"EventList","items":[`...)
	for len(batch) < n {
		if events > 0 {
			batch = append(batch, ',')
		}
		batch = append(batch, `{"stageTimestamp":"2024-05-13T13:13:49Z"}`...)
		events++
	}
	return append(batch, "]}"...), events
}

// counter is a sink that only counts.
type counter struct{ produced, handled, dropped int }

func (c *counter) Produced(_ event.Type, n int)                   { c.produced += n }
func (c *counter) Handle(*event.Event)                            { c.handled++ }
func (c *counter) Drop(event.Type, event.Lane, ledger.DropReason) { c.dropped++ }

// Not parallel: AllocsPerRun counts what other tests do.
func TestBatchDoesNotAllocate(t *testing.T) {
	batch, events := tinyEvents(1 << 20)
	var c counter
	d := NewDecoder(&c, FormatOf(field.K8sAudit), 2<<20)
	got := testing.AllocsPerRun(3, func() {
		c = counter{}
		if o := d.Batch(batch); o.Handled != events || o.Refused != 0 {
			t.Fatalf("handled %d, refused %d of %d events", o.Handled, o.Refused, events)
		}
	})
	if got != 0 {
		t.Errorf("a batch of %d events: %v allocations, want 0", events, got)
	}
}

func BenchmarkBatch(b *testing.B) {
	one := `{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"30fdd47c-0000-4000-8000-000000000514","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/default/pods","verb":"create","user":{"username":"alice","groups":["devs","system:authenticated"]},"sourceIPs":["10.0.0.1"],"userAgent":"kubectl/v1.31","objectRef":{"resource":"pods","namespace":"default","name":"p","apiVersion":"v1"},"responseStatus":{"metadata":{},"code":201},"requestReceivedTimestamp":"2024-05-13T13:13:49.9Z","stageTimestamp":"2024-05-13T13:13:49.999999Z","annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":""},"requestObject":{"spec":{"containers":[{"name":"c0","image":"nginx:1.25","securityContext":{"privileged":true},"env":[` + strings.Repeat(`{"name":"VARIABLE","value":"some text"},`, 30) + `{"name":"LAST","value":""}]}]}}}`
	batch := []byte(`{"kind":"EventList","items":[` + strings.Repeat(one+",", 99) + one + `]}`)
	d := NewDecoder(&counter{}, FormatOf(field.K8sAudit), 2<<20)
	b.SetBytes(int64(len(batch)))
	b.ReportAllocs()
	for b.Loop() {
		if o := d.Batch(batch); o.Handled != 100 {
			b.Fatalf("handled %d events", o.Handled)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/event")
}

// FuzzBatch checks that every document is accounted for once, and that on valid JSON
// exactly those are events that a plain reading says are.
func FuzzBatch(f *testing.F) {
	for _, seed := range []string{
		audit("a"), `[` + audit("a") + `,{"kind":7},` + audit("b") + `]`, `{"kind":"EventList","items":[` + audit("a") + `]}`,
		`{"kind":"Event"}`, `{"stageTimestamp":"2024-05-13T13:13:49Z"}`, `{"kind":"EventList","items":[`, `{"stageTimestamp":"2024-05-13t13:13:49z"}`,
		`{"requestReceivedTimestamp":"2024-05-13T13:13:49Z","stageTimestamp":null}`, "\xff", `"x"`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, batch []byte) {
		var r recorder
		o := NewDecoder(&r, FormatOf(field.K8sAudit), 4096).Batch(batch)
		dropped := 0
		for _, n := range r.dropped {
			dropped += n
		}
		if o.Handled != len(r.ids) || o.Refused != dropped || r.produced != o.Handled+o.Refused {
			t.Fatalf("batch(%q): %d handled, %d refused; %d events, %d dropped, %d produced", batch, o.Handled, o.Refused, len(r.ids), dropped, r.produced)
		}
		if !json.Valid(batch) || bytes.ContainsAny(batch, "[]") || len(batch) > 1000 {
			return
		}
		if want := isEvent(batch); want != (o.Handled == 1) {
			t.Fatalf("batch(%q): %d handled, want an event: %v", batch, o.Handled, want)
		}
	})
}

// isEvent reads one document the plain way.
func isEvent(text []byte) bool {
	var members map[string]any
	if json.Unmarshal(text, &members) != nil || members == nil {
		return false
	}
	if kind, set := members["kind"]; set && kind != "Event" {
		return false
	}
	for _, key := range []string{"stageTimestamp", "requestReceivedTimestamp"} {
		s, ok := members[key].(string)
		if !ok {
			continue
		}
		var at time.Time
		if at.UnmarshalText([]byte(s)) == nil && at.Year() > 1678 && at.Year() < 2262 {
			return true
		}
	}
	return false
}
