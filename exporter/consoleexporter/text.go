package consoleexporter

import (
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/windhover/windhover/internal/otlp"
)

// textFormat writes one line for each record: time, priority, rule, output.
type textFormat struct {
	colour   bool
	location *time.Location
	layout   string // of the time; empty: the time of day
}

func (f textFormat) append(dst []byte, ld plog.Logs) []byte {
	for _, rl := range ld.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, r := range sl.LogRecords().All() {
				dst = f.appendRecord(dst, r)
			}
		}
	}
	return dst
}

func (f textFormat) appendRecord(dst []byte, r plog.LogRecord) []byte {
	layout := f.layout
	if layout == "" {
		layout = "15:04:05.000000000"
	}
	dst = append(timeOf(r).In(f.location).AppendFormat(dst, layout), ' ')
	if priority := r.SeverityText(); priority != "" {
		on, off := "", ""
		if f.colour {
			on, off = colourOf(r.SeverityNumber())
		}
		dst = append(dst, on...)
		dst = appendVisible(dst, priority)
		dst = append(dst, off...)
		dst = append(dst, ' ')
	}

	output := r.Body().AsString()
	name := ""
	if v, ok := r.Attributes().Get(otlp.AttributeRuleName); ok {
		name = v.AsString()
	}
	// Outputs often begin with the name of their rule.
	if name != "" && !strings.HasPrefix(output, name) {
		dst = appendVisible(dst, name)
		dst = append(dst, ": "...)
	}
	dst = appendVisible(dst, output)
	return append(dst, '\n')
}

// timeOf returns when the event happened, or at least when it was noticed.
func timeOf(r plog.LogRecord) time.Time {
	if r.Timestamp() != 0 {
		return r.Timestamp().AsTime()
	}
	return r.ObservedTimestamp().AsTime()
}

func colourOf(n plog.SeverityNumber) (on, off string) {
	switch {
	case n >= plog.SeverityNumberError2:
		on = "\x1b[1;31m"
	case n >= plog.SeverityNumberError:
		on = "\x1b[31m"
	case n >= plog.SeverityNumberWarn:
		on = "\x1b[33m"
	case n >= plog.SeverityNumberInfo2:
		on = "\x1b[36m"
	default:
		return "", ""
	}
	return on, "\x1b[0m"
}

// appendVisible appends s with every character escaped that is not seen as itself: a
// file name or an argument must not be able to end the line, to move the cursor, or to
// turn the direction of reading.
func appendVisible(dst []byte, s string) []byte {
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c < utf8.RuneSelf && c != 0x7f {
			dst = append(dst, c)
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			dst = append(dst, '\\', 'x')
			dst = append(dst, "0123456789abcdef"[c>>4], "0123456789abcdef"[c&15])
		case unicode.IsPrint(r):
			dst = append(dst, s[i:i+n]...)
		default:
			q := strconv.AppendQuoteRuneToASCII(nil, r)
			dst = append(dst, q[1:len(q)-1]...)
		}
		i += n
	}
	return dst
}
