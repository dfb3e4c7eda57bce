package otlp

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/windhover/windhover/internal/alert"
)

// AttributeRuleNames lists every rule that matched an annotated record.
const AttributeRuleNames = "windhover.rule.names"

// PutAlert makes the empty record r that of an alert. Its resource and scope are the
// caller's.
func PutAlert(r plog.LogRecord, a *alert.Alert) { encode(r, a, true) }

// Annotate puts into the attributes of a log record what rules say of it: the first of
// alerts in full, of the others the names of their rules.
func Annotate(m pcommon.Map, alerts []*alert.Alert) {
	a := alerts[0]
	w := attributes{m: m}
	w.rule(a.Rule)
	w.str("windhover.rule.priority", a.Rule.Priority.String())
	w.str("windhover.rule.output", a.Output)
	w.str(AttributeSourceType, a.Source.Type)
	w.int("windhover.ruleset.generation", int64(a.Generation))
	w.outputFields(a.Fields)
	names := make([]string, len(alerts))
	for i, a := range alerts {
		names[i] = a.Rule.Name
	}
	w.list(AttributeRuleNames, names)
}
