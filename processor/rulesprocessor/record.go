package rulesprocessor

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"math"
	"strconv"
	"unsafe"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/windhover/windhover/internal/document"
	"github.com/windhover/windhover/internal/event"
)

// record is the log record that an event is made of.
type record struct {
	rl plog.ResourceLogs
	sl plog.ScopeLogs
	lr plog.LogRecord

	kept   bool    // origins are asked for
	origin *origin // of rl; nil: it was not asked for yet
}

// of sets the resource of the records that follow.
func (r *record) of(rl plog.ResourceLogs) { *r = record{rl: rl, kept: r.kept} }

// Severity implements event.Log.
func (r *record) Severity() (int64, bool) {
	n := r.lr.SeverityNumber()
	return int64(n), n != plog.SeverityNumberUnspecified
}

// Text implements event.Log.
func (r *record) Text(ev *event.Event, part event.LogPart, key string) ([]byte, bool) {
	switch part {
	case event.LogBody:
		return textOf(ev, r.lr.Body())
	case event.LogSeverityText:
		return whole(r.lr.SeverityText())
	case event.LogEventName:
		return whole(r.lr.EventName())
	case event.LogAttribute:
		return attribute(ev, r.lr.Attributes(), key)
	case event.ResourceAttribute:
		return attribute(ev, r.rl.Resource().Attributes(), key)
	case event.ScopeName:
		return whole(r.sl.Scope().Name())
	case event.ScopeVersion:
		return whole(r.sl.Scope().Version())
	case event.LogTraceID:
		id := r.lr.TraceID()
		return hexOf(ev, id[:], id.IsEmpty())
	case event.LogSpanID:
		id := r.lr.SpanID()
		return hexOf(ev, id[:], id.IsEmpty())
	}
	return nil, false
}

func attribute(ev *event.Event, m pcommon.Map, key string) ([]byte, bool) {
	v, ok := m.Get(key)
	if !ok {
		return nil, false
	}
	return textOf(ev, v)
}

func whole(s string) ([]byte, bool) { return bytesOf(s), s != "" }

func hexOf(ev *event.Event, id []byte, empty bool) ([]byte, bool) {
	if empty {
		return nil, false
	}
	start := len(ev.Scratch)
	ev.Scratch = hex.AppendEncode(ev.Scratch, id)
	return ev.Scratch[start:len(ev.Scratch):len(ev.Scratch)], true
}

// bytesOf returns s without copying it. Nobody writes to what an accessor returns, and
// the record outlives the event.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// textOf returns a text or bytes as they are and any other value as JSON.
func textOf(ev *event.Event, v pcommon.Value) ([]byte, bool) {
	switch v.Type() {
	case pcommon.ValueTypeEmpty:
		return nil, false
	case pcommon.ValueTypeStr:
		return bytesOf(v.Str()), true
	}
	start := len(ev.Scratch)
	if v.Type() == pcommon.ValueTypeBytes {
		ev.Scratch = appendBytes(ev.Scratch, v.Bytes())
	} else {
		ev.Scratch = appendJSON(ev.Scratch, v, 0)
	}
	return ev.Scratch[start:len(ev.Scratch):len(ev.Scratch)], true
}

func appendBytes(dst []byte, b pcommon.ByteSlice) []byte {
	for i := range b.Len() {
		dst = append(dst, b.At(i))
	}
	return dst
}

// maxDepth bounds how deep values are written; what is deeper is null.
const maxDepth = 64

// appendJSON appends a value as JSON.
func appendJSON(dst []byte, v pcommon.Value, depth int) []byte {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		return appendQuoted(dst, v.Str())
	case pcommon.ValueTypeInt:
		return strconv.AppendInt(dst, v.Int(), 10)
	case pcommon.ValueTypeBool:
		return strconv.AppendBool(dst, v.Bool())
	case pcommon.ValueTypeDouble:
		if f := v.Double(); !math.IsNaN(f) && !math.IsInf(f, 0) {
			return strconv.AppendFloat(dst, f, 'g', -1, 64)
		}
	case pcommon.ValueTypeBytes:
		raw := appendBytes(nil, v.Bytes())
		return append(base64.StdEncoding.AppendEncode(append(dst, '"'), raw), '"')
	case pcommon.ValueTypeSlice:
		if depth == maxDepth {
			break
		}
		dst = append(dst, '[')
		list := v.Slice()
		for i := range list.Len() {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendJSON(dst, list.At(i), depth+1)
		}
		return append(dst, ']')
	case pcommon.ValueTypeMap:
		if depth == maxDepth {
			break
		}
		dst = append(dst, '{')
		first := true
		for k, member := range v.Map().All() {
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = append(appendQuoted(dst, k), ':')
			dst = appendJSON(dst, member, depth+1)
		}
		return append(dst, '}')
	}
	return append(dst, "null"...)
}

// appendQuoted appends s as a JSON string.
func appendQuoted(dst []byte, s string) []byte {
	const digits = "0123456789abcdef"
	dst = append(dst, '"')
	from := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue // the parser reads what is not valid UTF-8 as U+FFFD
		}
		dst = append(dst, s[from:i]...)
		from = i + 1
		if c == '"' || c == '\\' {
			dst = append(dst, '\\', c)
			continue
		}
		dst = append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
	}
	return append(append(dst, s[from:]...), '"')
}

// text returns the JSON of the event that the record holds, nil if it holds none: the
// body, what a string in it holds, or what stands at the configured path.
func (w *worker) text() []byte {
	var b []byte
	switch v := w.record.lr.Body(); v.Type() {
	case pcommon.ValueTypeStr:
		b = bytesOf(v.Str())
	case pcommon.ValueTypeBytes:
		w.body = appendBytes(w.body[:0], v.Bytes())
		b = w.body
	case pcommon.ValueTypeMap, pcommon.ValueTypeSlice:
		w.body = appendJSON(w.body[:0], v, 0)
		b = w.body
	}
	if b = w.unquote(&w.quoted, b); b == nil || w.p.path == nil {
		return b
	}
	if w.wrapped.Parse(b, w.p.limits) != nil {
		return nil
	}
	v := w.wrapped.Find(w.p.path)
	if k := v.Kind(); k != document.String && k != document.Object && k != document.Array {
		return nil
	}
	return w.unquote(&w.inner, v.Text())
}

// unquote returns b if it may be JSON, or what it holds if it is a string, read into d.
func (w *worker) unquote(d *document.Document, b []byte) []byte {
	b = bytes.TrimLeft(b, " \t\r\n")
	if len(b) == 0 {
		return nil
	}
	switch b[0] {
	case '{', '[':
		return b
	case '"':
		if d.Parse(b, w.p.limits) == nil {
			return d.Root().Text()
		}
	}
	return nil
}
