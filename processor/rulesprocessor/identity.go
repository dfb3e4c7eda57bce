package rulesprocessor

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
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
