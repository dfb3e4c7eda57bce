package rulesprocessor

import (
	"fmt"
	"testing"

	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
)

func TestRecordsAreToldApart(t *testing.T) {
	t.Parallel()
	identity := func(change func(plog.Logs)) string {
		ld := batch("a password")
		lr := first(ld)
		lr.Attributes().PutEmptySlice("list").AppendEmpty().SetInt(1)
		lr.Attributes().PutEmptyMap("map").PutDouble("pi", 3.14)
		if change != nil {
			change(ld)
		}
		r := record{rl: ld.ResourceLogs().At(0), sl: ld.ResourceLogs().At(0).ScopeLogs().At(0), lr: lr}
		return fmt.Sprintf("%x", r.AppendIdentity(nil))
	}
	same := identity(nil)
	for _, tt := range []struct {
		name   string
		same   bool
		change func(plog.Logs)
	}{
		{"a copy", true, nil},
		{"observed later", true, func(ld plog.Logs) { first(ld).SetObservedTimestamp(1) }},
		{"attributes in another order", true, func(ld plog.Logs) {
			m := first(ld).Attributes()
			m.Remove("user.name")
			m.PutStr("user.name", "eve")
		}},
		{"another time", false, func(ld plog.Logs) { first(ld).SetTimestamp(1) }},
		{"another body", false, func(ld plog.Logs) { first(ld).Body().SetStr("a") }},
		{"the body as bytes", false, func(ld plog.Logs) { first(ld).Body().SetEmptyBytes().FromRaw([]byte("a password")) }},
		{"another severity", false, func(ld plog.Logs) { first(ld).SetSeverityNumber(1) }},
		{"another severity text", false, func(ld plog.Logs) { first(ld).SetSeverityText("x") }},
		{"another event name", false, func(ld plog.Logs) { first(ld).SetEventName("x") }},
		{"another trace", false, func(ld plog.Logs) { first(ld).SetTraceID(pcommon.TraceID{9}) }},
		{"another span", false, func(ld plog.Logs) { first(ld).SetSpanID(pcommon.SpanID{9}) }},
		{"another attribute", false, func(ld plog.Logs) { first(ld).Attributes().PutStr("user.name", "x") }},
		{"an attribute more", false, func(ld plog.Logs) { first(ld).Attributes().PutBool("x", true) }},
		{"another item of a list", false, func(ld plog.Logs) {
			v, _ := first(ld).Attributes().Get("list")
			v.Slice().At(0).SetInt(2)
		}},
		{"another member of a map", false, func(ld plog.Logs) {
			v, _ := first(ld).Attributes().Get("map")
			v.Map().PutDouble("pi", 3.15)
		}},
		{"another resource", false, func(ld plog.Logs) { ld.ResourceLogs().At(0).Resource().Attributes().PutStr("host.name", "h2") }},
		{"another scope", false, func(ld plog.Logs) { ld.ResourceLogs().At(0).ScopeLogs().At(0).Scope().SetName("x") }},
		{"an identifier of its own", false, func(ld plog.Logs) { first(ld).Attributes().PutStr(recordUID, "r1") }},
	} {
		if got := identity(tt.change); (got == same) != tt.same {
			t.Errorf("%s: %s beside %s", tt.name, got, same)
		}
	}
	named := func(body string) string {
		return identity(func(ld plog.Logs) {
			first(ld).Body().SetStr(body)
			first(ld).Attributes().PutStr(recordUID, "r1")
		})
	}
	if named("a") != named("b") {
		t.Error("records with the same identifier of their own are told apart")
	}
}

// A sender that was put off, or a consumer that begins again where another ended, brings
// records once more.
func TestRecordsThatComeTwiceMakeTheSameAlerts(t *testing.T) {
	t.Parallel()
	uids := func() (all []string) {
		var sink consumertest.LogsSink
		l := newPlace(t, testRules).start(func(c *Config) {
			c.Mode = modeAlertsOnly
			c.Fold.Enabled = false
			c.Sources = []SourceConfig{{"aws_cloudtrail", "log.body contains eventID"}}
		}, &sink)
		if err := l.ConsumeLogs(t.Context(), batch(
			"Failed password for eve", "another password", `{"Records":[{"eventID":"e1","eventName":"a","eventTime":"2026-01-02T03:04:05Z"},{"eventID":"e2","eventName":"a","eventTime":"2026-01-02T03:04:05Z"}]}`,
		)); err != nil {
			t.Fatal(err)
		}
		for _, ld := range sink.AllLogs() {
			for _, lr := range ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().All() {
				uid, _ := lr.Attributes().Get("log.record.uid")
				id, _ := lr.Attributes().Get("windhover.record.id")
				all = append(all, uid.Str()+" "+id.Str())
			}
		}
		return all
	}
	got, again := uids(), uids()
	if len(got) != 5 || fmt.Sprint(got) != fmt.Sprint(again) {
		t.Errorf("the alerts are %q, and the second time %q", got, again)
	}
	seen := map[string]bool{}
	for _, s := range got {
		if seen[s] {
			t.Errorf("two alerts are %s", s)
		}
		seen[s] = true
	}
}
