package alert

import (
	"github.com/windhover/windhover/internal/correlate"
	"github.com/windhover/windhover/internal/field"
)

// Count adds what was counted before the alert was made, if its rule counts. It is
// called before the alert is in a Queue.
func (a *Alert) Count(o *correlate.Outcome) {
	if o.Count == 0 {
		return
	}
	key, what := "threshold", "count"
	switch {
	case o.Rule.Sequence != nil:
		key, what = "sequence", "length"
	case o.Rule.Threshold.Distinct != nil:
		what = "distinct"
	}
	a.set(key+"."+what, field.Value{Kind: field.KindInt, Int: int64(o.Count), Valid: true})
	a.set(key+".first", field.Value{Kind: field.KindTime, Int: o.First, Valid: true})
	a.set(key+".last", field.Value{Kind: field.KindTime, Int: o.Last, Valid: true})
	a.Measure()
}

// set gives the field of that name a value, in the place of one that it has.
func (a *Alert) set(name string, v field.Value) {
	for i := range a.Fields {
		if a.Fields[i].Name == name {
			a.Fields[i].Value = v
			return
		}
	}
	a.Fields = append(a.Fields, Field{name, v})
}
