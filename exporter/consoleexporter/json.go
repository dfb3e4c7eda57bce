package consoleexporter

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/windhover/windhover/internal/otlp"
)

// line is one alert with the keys of Falco's JSON output.
type line struct {
	Hostname     string         `json:"hostname"`
	Output       string         `json:"output"`
	OutputFields map[string]any `json:"output_fields"`
	Priority     string         `json:"priority"`
	Rule         string         `json:"rule"`
	Source       string         `json:"source"`
	Tags         []string       `json:"tags"`
	Time         string         `json:"time"`
}

// timeLayout has nanoseconds always, so that lines sort as text.
const timeLayout = "2006-01-02T15:04:05.000000000Z"

// appendJSON appends one object and a line feed for each record.
func appendJSON(dst []byte, ld plog.Logs) []byte {
	buf := bytes.NewBuffer(dst)
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	for _, rl := range ld.ResourceLogs().All() {
		host := ""
		if v, ok := rl.Resource().Attributes().Get(otlp.AttributeHostName); ok {
			host = v.AsString()
		}
		for _, sl := range rl.ScopeLogs().All() {
			for _, r := range sl.LogRecords().All() {
				l := lineOf(r, host)
				if err := enc.Encode(&l); err != nil {
					panic("BUG: consoleexporter: encode a line: " + err.Error())
				}
			}
		}
	}
	return buf.Bytes()
}

func lineOf(r plog.LogRecord, host string) line {
	l := line{
		Hostname:     host,
		Output:       r.Body().AsString(),
		OutputFields: map[string]any{},
		Priority:     r.SeverityText(),
		Rule:         r.EventName(), // of a record that no rule made
		Tags:         []string{},
		Time:         timeOf(r).UTC().Format(timeLayout),
	}
	for k, v := range r.Attributes().All() {
		switch k {
		case otlp.AttributeRuleName:
			l.Rule = v.AsString()
		case otlp.AttributeSourceType:
			l.Source = v.AsString()
		case otlp.AttributeRuleTags:
			if v.Type() == pcommon.ValueTypeSlice {
				for _, tag := range v.Slice().All() {
					l.Tags = append(l.Tags, tag.AsString())
				}
			}
		case otlp.AttributeOutputFields:
			if v.Type() == pcommon.ValueTypeMap {
				l.OutputFields = plain(v).(map[string]any)
			}
		default:
			// A notice has no output fields, but facts.
			if strings.HasPrefix(k, otlp.PrefixDrop) {
				l.OutputFields[k] = plain(v)
			}
		}
	}
	return l
}

// maxDepth bounds how deep a value is followed.
const maxDepth = 32

// plain returns v as JSON can write it.
func plain(v pcommon.Value) any { return plainAt(v, 0) }

func plainAt(v pcommon.Value, depth int) any {
	if depth > maxDepth {
		return nil
	}
	switch v.Type() {
	case pcommon.ValueTypeMap:
		m := make(map[string]any, v.Map().Len())
		for k, e := range v.Map().All() {
			m[k] = plainAt(e, depth+1)
		}
		return m
	case pcommon.ValueTypeSlice:
		s := make([]any, 0, v.Slice().Len())
		for _, e := range v.Slice().All() {
			s = append(s, plainAt(e, depth+1))
		}
		return s
	case pcommon.ValueTypeDouble:
		if f := v.Double(); math.IsNaN(f) || math.IsInf(f, 0) {
			return nil
		}
		return v.Double()
	case pcommon.ValueTypeBytes:
		return v.Bytes().AsRaw()
	default:
		return v.AsRaw()
	}
}
