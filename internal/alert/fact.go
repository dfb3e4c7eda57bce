package alert

import (
	"sync"

	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/field"
)

// factNames are the fields that every alert of a source type carries, so that alerts
// on documents can be found by who did what to which object.
var factNames = map[string][]string{
	"k8s_audit": {
		"ka.auditid", "ka.stage", "ka.verb", "ka.uri", "ka.user.name", "ka.user.groups",
		"ka.impuser.name", "ka.target.resource", "ka.target.subresource", "ka.target.name",
		"ka.target.namespace", "ka.target.pod.name", "ka.response.code", "ka.useragent", "ka.sourceips[0]",
	},
}

// factFields resolves factNames once. A name that the field table does not have is
// left out; a test holds the two together.
var factFields = sync.OnceValue(func() map[string][]*field.Field {
	m := map[string][]*field.Field{}
	for source, names := range factNames {
		for _, name := range names {
			if f, err := field.Lookup(name, source); err == nil {
				m[source] = append(m[source], f)
			}
		}
	}
	return m
})

func facts(ev *event.Event) []Field {
	fields := factFields()[ev.Source.Type]
	if len(fields) == 0 {
		return nil
	}
	out := make([]Field, 0, len(fields))
	for _, f := range fields {
		if v := f.Value(ev); v.Valid {
			out = append(out, Field{nameOf(f), v})
		}
	}
	return out
}
