package rulesprocessor

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/windhover/windhover/internal/event"
)

// recordUID is the attribute that identifies a log record, by the conventions.
const recordUID = "log.record.uid"

// AppendIdentity implements event.Log. The time of observation is not a part of it: that
// differs when a file is read again.
func (r *record) AppendIdentity(dst []byte) []byte {
	if v, ok := r.lr.Attributes().Get(recordUID); ok && v.Type() == pcommon.ValueTypeStr && v.Str() != "" {
		return append(dst, v.Str()...)
	}
	var d digest
	d.number(uint64(r.lr.Timestamp()))
	d.number(uint64(r.lr.SeverityNumber()))
	trace, span := r.lr.TraceID(), r.lr.SpanID()
	d.text(string(trace[:]) + string(span[:]))
	for _, s := range [...]string{r.lr.SeverityText(), r.lr.EventName(), r.sl.Scope().Name(), r.sl.Scope().Version()} {
		d.text(s)
	}
	d.members(r.rl.Resource().Attributes(), 0)
	d.members(r.lr.Attributes(), 0)
	d.value(r.lr.Body(), 0)
	sum := sha256.Sum256(d.b)
	return append(dst, sum[:]...)
}

// origin is the resource of records.
type origin struct {
	resource  pcommon.Resource
	schemaURL string
	key       string
	size      int64
}

// Key implements event.Origin.
func (o *origin) Key() string { return o.key }

// Size implements event.Origin.
func (o *origin) Size() int64 { return o.size }

// Origin implements event.Log. Records of one resource share what it returns.
func (r *record) Origin() event.Origin {
	if !r.kept {
		return nil
	}
	if r.origin == nil {
		var d digest
		d.members(r.rl.Resource().Attributes(), 0)
		sum := sha256.Sum256(d.b)
		// Attributes take about as much memory as their texts and as much again.
		r.origin = &origin{pcommon.NewResource(), r.rl.SchemaUrl(), string(sum[:16]), int64(2*len(d.b) + 256)}
		r.rl.Resource().CopyTo(r.origin.resource)
	}
	return r.origin
}

// digest is a text that two values have in common only if they are equal. The order of
// members does not count: who makes a record from a map writes them in any.
type digest struct{ b []byte }

func (d *digest) number(n uint64) { d.b = binary.BigEndian.AppendUint64(d.b, n) }

func (d *digest) text(s string) {
	d.number(uint64(len(s)))
	d.b = append(d.b, s...)
}

func (d *digest) members(m pcommon.Map, depth int) {
	type member struct {
		key   string
		value pcommon.Value
	}
	list := make([]member, 0, m.Len())
	for k, v := range m.All() {
		list = append(list, member{k, v})
	}
	slices.SortStableFunc(list, func(a, b member) int { return strings.Compare(a.key, b.key) })
	d.number(uint64(len(list)))
	for _, m := range list {
		d.text(m.key)
		d.value(m.value, depth+1)
	}
}

// value adds v. What is deeper than rules see is left out.
func (d *digest) value(v pcommon.Value, depth int) {
	d.b = append(d.b, byte(v.Type()))
	if depth > maxDepth {
		return
	}
	switch v.Type() {
	case pcommon.ValueTypeStr:
		d.text(v.Str())
	case pcommon.ValueTypeInt:
		d.number(uint64(v.Int()))
	case pcommon.ValueTypeBool:
		d.b = append(d.b, v.AsString()...)
	case pcommon.ValueTypeDouble:
		d.number(math.Float64bits(v.Double()))
	case pcommon.ValueTypeBytes:
		d.text(string(v.Bytes().AsRaw()))
	case pcommon.ValueTypeSlice:
		d.number(uint64(v.Slice().Len()))
		for _, item := range v.Slice().All() {
			d.value(item, depth+1)
		}
	case pcommon.ValueTypeMap:
		d.members(v.Map(), depth)
	}
}
