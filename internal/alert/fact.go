package alert

import (
	"fmt"
	"sync"

	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/field"
)

// factNames are the fields that every alert of a source type carries, whether its
// output names them or not: who did what to which object, where.
var factNames = map[string][]string{
	"syscall": {
		"user.name", "fs.path.name", "container.name", "container.image.repository",
		"container.image.tag", "container.image.digest", "k8s.ns.name", "k8s.pod.name", "k8s.pod.uid",
	},
	"k8s_audit": {
		"ka.auditid", "ka.stage", "ka.verb", "ka.uri", "ka.user.name", "ka.user.groups",
		"ka.impuser.name", "ka.target.resource", "ka.target.subresource", "ka.target.name",
		"ka.target.namespace", "ka.target.pod.name", "ka.response.code", "ka.useragent", "ka.sourceips",
		"ka.cluster.name",
	},
	"aws_cloudtrail": {
		"ct.user.principalid", "ct.user", "ct.user.arn", "ct.srcip", "ct.useragent", "ct.recipientaccountid",
		"ct.user.accountid", "ct.region", "ct.src", "ct.name", "ct.error",
	},
	"okta": {
		"okta.actor.id", "okta.actor.alternateid", "okta.actor.name", "okta.client.ip", "okta.useragent.raw",
		"okta.evt.type", "okta.result",
	},
	"github": {
		"github.user", "github.type", "github.action", "github.repo.url", "github.repo.name", "github.owner",
	},
	"gcp_auditlog": {
		"gcp.user", "gcp.callerIP", "gcp.userAgent", "gcp.projectId", "gcp.location", "gcp.resourceName",
		"gcp.serviceName", "gcp.methodName",
	},
}

// factFields resolves factNames, without those that no source delivers.
var factFields = sync.OnceValue(func() map[string][]*field.Field {
	m := map[string][]*field.Field{}
	for source, names := range factNames {
		for _, name := range names {
			f, err := field.Lookup(name, source)
			if err != nil {
				panic(fmt.Sprintf("BUG: alert: look up %s: %v", name, err))
			}
			if !f.Missing {
				m[source] = append(m[source], f)
			}
		}
	}
	return m
})

// facts returns the values that ev has, copied.
func facts(ev *event.Event) []Field {
	fields := factFields()[ev.Source.Type]
	var out []Field
	for _, f := range fields {
		v := f.Value(ev)
		if !v.Valid {
			continue
		}
		if out == nil {
			out = make([]Field, 0, len(fields))
		}
		out = append(out, Field{f.String(), v})
	}
	return out
}

// FactNames returns the names of every fact that an alert can carry.
func FactNames() []string {
	var all []string
	for _, names := range factNames {
		all = append(all, names...)
	}
	return all
}
