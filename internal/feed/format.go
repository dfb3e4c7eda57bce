package feed

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/windhover/windhover/internal/document"
	"github.com/windhover/windhover/internal/field"
)

// Format says what the events of a source type look like.
type Format struct {
	// Envelope is the object that a list of events comes in.
	Envelope document.Envelope
	// Time returns when the event in a document happened, in nanoseconds since the Unix
	// epoch, or why the document is no event. A format without it takes every object,
	// and the time of its arrival.
	Time func(*document.Document) (int64, error)
}

// SourceTypes are those whose events are documents.
func SourceTypes() []string {
	return []string{field.JSON, field.CloudTrail, field.GCPAudit, field.GitHub, field.K8sAudit, field.Okta}
}

// FormatOf returns the format of a source type of SourceTypes.
func FormatOf(sourceType string) Format {
	switch sourceType {
	case field.K8sAudit:
		return Format{
			Envelope: document.Envelope{List: "items", Tag: "kind", Name: "EventList"},
			Time: func(d *document.Document) (int64, error) {
				if kind := d.Find(pathKind); kind.Kind() != document.Absent && string(kind.Text()) != "Event" || d.Root().Kind() != document.Object {
					return 0, errKind
				}
				if t, ok := FirstTime(d, auditTimes); ok {
					return t, nil
				}
				return 0, errAuditTime
			},
		}
	case field.CloudTrail:
		return Format{Envelope: document.Envelope{List: "Records"}, Time: required(errTrailTime, "eventTime")}
	case field.Okta:
		// Its event hooks send an envelope, its log API arrays.
		return Format{Envelope: document.Envelope{In: "data", List: "events"}, Time: required(errOktaTime, "published")}
	case field.GCPAudit:
		return Format{Envelope: document.Envelope{List: "entries"}, Time: required(errGCPTime, "timestamp", "receiveTimestamp")}
	}
	return Format{}
}

var (
	pathKind   = mustCompile("kind")
	auditTimes = []Clock{{Path: mustCompile("stageTimestamp")}, {Path: mustCompile("requestReceivedTimestamp")}}
)

func mustCompile(expr string) *document.Path {
	p, err := document.CompilePath(expr)
	if err != nil {
		panic("BUG: feed: " + err.Error())
	}
	return p
}

// What is wrong with a document that is no event.
var (
	errNoObject  = errors.New("it is not an object")
	errKind      = errors.New("its kind is not Event")
	errAuditTime = errors.New("it has no stageTimestamp, nor a requestReceivedTimestamp, in RFC 3339")
	errTrailTime = errors.New("it has no eventTime in RFC 3339")
	errOktaTime  = errors.New("it has no published in RFC 3339")
	errGCPTime   = errors.New("it has no timestamp, nor a receiveTimestamp, in RFC 3339")
)

// required reads the time at the first of paths that has one. Without one the document
// is no event, as err says.
func required(err error, paths ...string) func(*document.Document) (int64, error) {
	clocks := make([]Clock, len(paths))
	for i, p := range paths {
		clocks[i].Path = mustCompile(p)
	}
	return func(d *document.Document) (int64, error) {
		if t, ok := FirstTime(d, clocks); ok {
			return t, nil
		}
		return 0, err
	}
}

// TimeOr returns the Time of a Format that takes every object: the time that c reads, or
// that of arrival.
func TimeOr(c Clock) func(*document.Document) (int64, error) {
	return func(d *document.Document) (int64, error) {
		if d.Root().Kind() != document.Object {
			return 0, errNoObject
		}
		if t, ok := c.Read(d); ok {
			return t, nil
		}
		return time.Now().UnixNano(), nil
	}
}

// Clock is a place in documents that has a time.
type Clock struct {
	Path *document.Path
	// Unit is how long a number counts; zero: the time is a text in RFC 3339.
	Unit time.Duration
}

// TimeFormats are the ways to write a time that a Clock reads.
func TimeFormats() []string { return []string{"rfc3339", "unix", "unix_ms", "unix_us", "unix_ns"} }

// NewClock returns the clock at a path, in one of TimeFormats.
func NewClock(path, format string) (Clock, error) {
	p, err := document.CompilePath(path)
	if err != nil {
		return Clock{}, err
	}
	units := []time.Duration{0, time.Second, time.Millisecond, time.Microsecond, time.Nanosecond}
	i := slices.Index(TimeFormats(), format)
	if i < 0 {
		return Clock{}, fmt.Errorf("no format %q; there are %s", format, strings.Join(TimeFormats(), ", "))
	}
	return Clock{p, units[i]}, nil
}

// FirstTime returns the time of the first clock that has one.
func FirstTime(d *document.Document, clocks []Clock) (int64, bool) {
	for i := range clocks {
		if t, ok := clocks[i].Read(d); ok {
			return t, true
		}
	}
	return 0, false
}

// Read returns the time in a document, in nanoseconds since the Unix epoch. A number
// may stand in quotes, and have a fraction.
func (c *Clock) Read(d *document.Document) (int64, bool) {
	v := d.Find(c.Path)
	switch kind := v.Kind(); {
	case c.Unit != 0 && (kind == document.Number || kind == document.String):
		return decimal(v.Text(), c.Unit)
	case c.Unit == 0 && kind == document.String:
		return rfc3339(v.Text())
	}
	return 0, false
}

func rfc3339(text []byte) (int64, bool) {
	var t time.Time
	if err := t.UnmarshalText(text); err != nil {
		return 0, false
	}
	const seconds = math.MaxInt64 / int64(time.Second)
	if s := t.Unix(); s <= -seconds || s >= seconds {
		return 0, false
	}
	return t.UnixNano(), true
}

// decimal reads a number of units. Digits are read as they are: a float64 would lose
// nanoseconds.
func decimal(text []byte, unit time.Duration) (int64, bool) {
	negative := len(text) > 0 && text[0] == '-'
	if negative {
		text = text[1:]
	}
	var n int64
	i := 0
	for ; i < len(text) && isDigit(text[i]); i++ {
		if n > (math.MaxInt64/int64(unit)-9)/10 {
			return 0, false
		}
		n = n*10 + int64(text[i]-'0')
	}
	if i == 0 {
		return 0, false
	}
	n *= int64(unit)
	if i < len(text) && text[i] == '.' {
		digits := text[i+1:]
		for part := int64(unit) / 10; len(digits) > 0 && isDigit(digits[0]); part /= 10 {
			n += part * int64(digits[0]-'0')
			digits = digits[1:]
		}
		i = len(text) - len(digits)
	}
	if i != len(text) || n < 0 {
		return 0, false
	}
	if negative {
		n = -n
	}
	return n, true
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
