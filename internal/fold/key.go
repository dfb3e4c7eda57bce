package fold

import (
	"encoding/binary"

	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/field"
	"github.com/windhover/windhover/rules"
)

// volatile are the fields that differ between two occurrences of the same thing, beside
// those that are times and durations: numbers that the kernel or the source counts up.
var volatile = map[string]bool{
	"evt.num": true, "evt.cpu": true, "evt.outputtime": true,
	"proc.pid": true, "proc.ppid": true, "proc.apid": true, "proc.vpid": true, "proc.pvpid": true,
	"proc.sid": true, "proc.pgid": true, "proc.vpgid": true, "proc.fdopencount": true,
	"proc.pidns_init_start_ts": true,
	"thread.tid":               true, "thread.vtid": true, "thread.nametid": true,
	"fd.num": true, "fd.cport": true,
	"ka.auditid": true,
	"ct.id":      true, "ct.time": true, "ct.requestid": true, "ct.sharedeventid": true,
	"gcp.time":       true,
	"okta.published": true, "okta.transaction.id": true,
	"log.trace_id": true, "log.span_id": true,
	"json.rawtime": true, "jevt.rawtime": true,
}

func isVolatile(f *field.Field) bool {
	return f.Clock || f.Kind == field.KindTime || f.Kind == field.KindDuration || volatile[f.Name]
}

// parts are the fields of a rule: those that make the key, and those whose values are
// told.
type parts struct {
	stable   []*field.Field
	changing []*field.Field
}

// split divides the fields of r's output. With a configured key, that is it.
func split(r *rules.Rule, configured []*field.Field) *parts {
	p := &parts{stable: configured}
	for _, f := range r.Output.Fields() {
		switch {
		case isVolatile(f), configured != nil && !contains(configured, f):
			p.changing = append(p.changing, f)
		case configured == nil:
			p.stable = append(p.stable, f)
		}
	}
	// What was counted apart is told apart.
	for _, f := range r.By() {
		if configured == nil && !contains(p.stable, f) {
			p.stable = append(p.stable, f)
		}
	}
	return p
}

func contains(fields []*field.Field, f *field.Field) bool {
	for _, c := range fields {
		if c.String() == f.String() {
			return true
		}
	}
	return false
}

// appendKey appends what alerts of r must have in common with that of ev to be its
// repeats. Where it happened is a part of it whatever the output says: one container is
// not folded with another. A length before each part keeps two keys from being equal by
// chance.
func appendKey(dst []byte, ev *event.Event, r *rules.Rule, stable []*field.Field) []byte {
	dst = appendPart(dst, r.Source)
	dst = appendPart(dst, r.Name)
	dst = appendPart(dst, r.Hash)
	if ev.Source != nil {
		dst = appendPart(dst, ev.Source.Host)
	}
	if ev.Proc != nil {
		dst = appendPart(dst, ev.Proc.Image().ContainerID)
	}
	if ev.Log != nil {
		if o := ev.Log.Origin(); o != nil {
			dst = appendPart(dst, o.Key())
		}
	}
	for _, f := range stable {
		from := len(dst)
		dst = append(dst, 0, 0, 0, 0)
		var ok bool
		if dst, ok = field.AppendValueText(dst, f, ev); !ok {
			binary.NativeEndian.PutUint32(dst[from:], ^uint32(0))
			dst = dst[:from+4]
			continue
		}
		binary.NativeEndian.PutUint32(dst[from:], uint32(len(dst)-from-4))
	}
	return dst
}

func appendPart[T string | []byte](dst []byte, part T) []byte {
	dst = binary.NativeEndian.AppendUint32(dst, uint32(len(part)))
	return append(dst, part...)
}
