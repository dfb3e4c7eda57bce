package field

import "github.com/windhover/windhover/internal/event"

// logSources are the source types whose events can be log records: whatever reports
// documents can also come as records that hold them.
var logSources = []string{Log, JSON, K8sAudit, CloudTrail, Okta, GitHub, GCPAudit}

// logFields are the fields of events that came as log records.
var logFields = []*Field{
	logText("log.body", event.LogBody, "Body of the log record: a text as it reads, any other value as JSON."),
	{
		Name: "log.severity", Kind: KindInt, Types: event.TypesOf(event.PluginEvent),
		Doc: "Severity of the log record as a number: 1 to 4 trace, 5 to 8 debug, 9 to 12 info, 13 to 16 warn, 17 to 20 error, 21 to 24 fatal.",
		Int: func(ev *event.Event) (int64, bool) {
			if ev.Log == nil {
				return 0, false
			}
			return ev.Log.Severity()
		},
	},
	logText("log.severity_text", event.LogSeverityText, "Severity of the log record in the words of who wrote it."),
	logText("log.event_name", event.LogEventName, "Name of the kind of event that the log record is of."),
	logAttribute("log.attribute", event.LogAttribute, "An attribute of the log record: a text as it reads, any other value as JSON."),
	logText("log.trace_id", event.LogTraceID, "Trace that the log record belongs to, in hexadecimal."),
	logText("log.span_id", event.LogSpanID, "Span that the log record belongs to, in hexadecimal."),
	logAttribute("resource.attribute", event.ResourceAttribute, "An attribute of the resource that the log record is about, such as k8s.pod.name."),
	logText("scope.name", event.ScopeName, "Instrumentation scope that the log record came from."),
	logText("scope.version", event.ScopeVersion, "Version of the instrumentation scope."),
}

func logText(name string, part event.LogPart, doc string) *Field {
	return &Field{Name: name, Kind: KindText, Doc: doc, Types: event.TypesOf(event.PluginEvent), Text: textOfLog(part, "")}
}

func logAttribute(name string, part event.LogPart, doc string) *Field {
	f := &Field{Name: name, Kind: KindText, Arg: ArgRequired, Doc: doc, Types: event.TypesOf(event.PluginEvent)}
	return bindable(f, func(b *Field, key string) error {
		b.Text = textOfLog(part, key)
		return nil
	})
}

func textOfLog(part event.LogPart, key string) func(*event.Event) ([]byte, bool) {
	return func(ev *event.Event) ([]byte, bool) {
		if ev.Log == nil {
			return nil, false
		}
		return ev.Log.Text(ev, part, key)
	}
}
