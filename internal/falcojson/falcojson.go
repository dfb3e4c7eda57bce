// Package falcojson shows alert records with the keys of Falco's JSON output, for
// programs that know those. It reads log records only. Start with Append.
package falcojson

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/windhover/windhover/internal/otlp"
)

// object is one alert. encoding/json writes members in this order, Falco's own.
type object struct {
	Hostname     string         `json:"hostname"`
	Message      *string        `json:"message,omitempty"`
	Output       *string        `json:"output,omitempty"`
	OutputFields map[string]any `json:"output_fields,omitzero"`
	Priority     string         `json:"priority"`
	Rule         string         `json:"rule"`
	Source       string         `json:"source"`
	Tags         []string       `json:"tags,omitzero"`
	Time         string         `json:"time"`
}

// Settings choose what an object has.
type Settings struct {
	// Line puts time and priority before the output and the time among the fields, as
	// Falco does; else the output is what the rule printed.
	Line bool
	// ISO8601 writes the time of a line as UTC with the date; else it is the time of day
	// in Location.
	ISO8601  bool
	Location *time.Location
	// Message adds what the rule printed as a member of its own.
	Message                    bool
	NoOutput, NoFields, NoTags bool
	// Hostname stands in where a record names no host.
	Hostname string
}

// Layouts of times. All have nanoseconds always, so that lines sort as text.
const (
	layoutTime = "2006-01-02T15:04:05.000000000Z"
	layoutISO  = "2006-01-02T15:04:05.000000000-0700"
	layoutDay  = "15:04:05.000000000"
)

// sourceInternal is what Falco names as the source of its own messages.
const sourceInternal = "internal"

// Append appends an object and a line feed for each record.
func Append(dst []byte, ld plog.Logs, s *Settings) []byte {
	buf := bytes.NewBuffer(dst)
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	for _, rl := range ld.ResourceLogs().All() {
		host := s.Hostname
		if v, ok := rl.Resource().Attributes().Get(otlp.AttributeHostName); ok {
			host = v.AsString()
		}
		for _, sl := range rl.ScopeLogs().All() {
			for _, r := range sl.LogRecords().All() {
				o := objectOf(r, host, s)
				if err := enc.Encode(&o); err != nil {
					panic("BUG: falcojson: encode an object: " + err.Error())
				}
			}
		}
	}
	return buf.Bytes()
}

// TimeOf returns when the event happened, or at least when it was noticed.
func TimeOf(r plog.LogRecord) time.Time {
	if r.Timestamp() != 0 {
		return r.Timestamp().AsTime()
	}
	return r.ObservedTimestamp().AsTime()
}

func objectOf(r plog.LogRecord, host string, s *Settings) object {
	fields := map[string]any{}
	o := object{
		Hostname: host,
		Priority: r.SeverityText(),
		Rule:     r.EventName(), // of a record that no rule made
		Tags:     []string{},
		Time:     TimeOf(r).UTC().Format(layoutTime),
	}
	byRule := false
	for k, v := range r.Attributes().All() {
		switch k {
		case otlp.AttributeRuleName:
			o.Rule, byRule = v.AsString(), true
		case otlp.AttributeSourceType:
			o.Source = v.AsString()
		case otlp.AttributeRuleTags:
			if v.Type() == pcommon.ValueTypeSlice {
				for _, tag := range v.Slice().All() {
					o.Tags = append(o.Tags, tag.AsString())
				}
			}
		case otlp.AttributeOutputFields:
			if v.Type() == pcommon.ValueTypeMap {
				for k, e := range v.Map().All() {
					fields[k] = plain(e, 1)
				}
			}
		default:
			// What a notice tells is in no output field.
			if strings.HasPrefix(k, otlp.PrefixDrop) || strings.HasPrefix(k, otlp.PrefixFold) {
				fields[k] = plain(v, 0)
			}
		}
	}
	text := r.Body().AsString()
	output := text
	if s.Line {
		slices.Sort(o.Tags)
		output = o.line(TimeOf(r), text, fields, byRule, s)
	}
	if !s.NoOutput {
		o.Output = &output
	}
	if s.Message {
		o.Message = &text
	}
	if !s.NoFields {
		o.OutputFields = fields
	}
	if s.NoTags {
		o.Tags = nil
	}
	return o
}

// line returns the line that Falco prints, and adds its time to the fields. A message
// of the program about itself has neither, nor tags.
func (o *object) line(at time.Time, text string, fields map[string]any, byRule bool, s *Settings) string {
	if !byRule {
		o.Source, o.Tags = sourceInternal, nil
		return text
	}
	key, layout, location := "evt.time", layoutDay, s.Location
	if s.ISO8601 {
		key, layout, location = "evt.time.iso8601", layoutISO, time.UTC
	}
	if location == nil {
		location = time.Local
	}
	if _, have := fields[key]; !have {
		fields[key] = at.UnixNano()
	}
	return at.In(location).Format(layout) + ": " + o.Priority + " " + text
}

// maxDepth bounds how deep a value is followed.
const maxDepth = 32

// plain returns v as JSON can write it.
func plain(v pcommon.Value, depth int) any {
	if depth > maxDepth {
		return nil
	}
	switch v.Type() {
	case pcommon.ValueTypeMap:
		m := make(map[string]any, v.Map().Len())
		for k, e := range v.Map().All() {
			m[k] = plain(e, depth+1)
		}
		return m
	case pcommon.ValueTypeSlice:
		s := make([]any, 0, v.Slice().Len())
		for _, e := range v.Slice().All() {
			s = append(s, plain(e, depth+1))
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
