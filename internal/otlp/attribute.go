package otlp

import (
	"strings"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// Bounds of one log record. Log stores refuse or cut records that are larger: Grafana
// Loki takes 128 entries, those of maps included, and 64 KiB. What does not fit is left
// out and counted in dropped_attributes_count.
const (
	maxAttributes     = 120
	maxAttributeBytes = 56 << 10
	maxValueBytes     = 16 << 10
	maxListItems      = 256
)

// attributes writes the attributes of one record within its bounds.
type attributes struct {
	m       pcommon.Map
	entries int
	bytes   int
	dropped uint32
}

// admit reports whether an attribute, or an entry of a map, of that size still fits.
func (a *attributes) admit(key string, size int) bool {
	if a.entries >= maxAttributes || a.bytes+len(key)+size > maxAttributeBytes {
		a.dropped++
		return false
	}
	a.entries++
	a.bytes += len(key) + size
	return true
}

// str puts a text, unless it is empty.
func (a *attributes) str(key, s string) {
	if s == "" {
		return
	}
	s = text(s)
	if a.admit(key, len(s)) {
		a.m.PutStr(key, s)
	}
}

func (a *attributes) int(key string, n int64) {
	if a.admit(key, 8) {
		a.m.PutInt(key, n)
	}
}

func (a *attributes) bool(key string, b bool) {
	if a.admit(key, 1) {
		a.m.PutBool(key, b)
	}
}

func (a *attributes) double(key string, f float64) {
	if a.admit(key, 8) {
		a.m.PutDouble(key, f)
	}
}

// list puts a list of texts, unless it is empty. It is cut to what fits; list returns
// how many that are.
func (a *attributes) list(key string, items []string) int {
	items = items[:min(len(items), maxListItems)]
	if len(items) == 0 {
		return 0
	}
	size := 0
	for i, s := range items {
		size += len(s)
		if size > maxValueBytes {
			items = items[:i]
			break
		}
	}
	if !a.admit(key, size) {
		return 0
	}
	l := a.m.PutEmptySlice(key)
	l.EnsureCapacity(len(items))
	for _, s := range items {
		l.AppendEmpty().SetStr(text(s))
	}
	return len(items)
}

// text returns s as OTLP allows it: valid UTF-8, no longer than a value may be. File
// names and arguments are any bytes.
func text(s string) string {
	if len(s) > maxValueBytes {
		cut := maxValueBytes
		for cut > maxValueBytes-utf8.UTFMax && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut]
	}
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
