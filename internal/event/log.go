package event

// Log gives access to the log record that an event was made of. What it returns lives
// as long as the event; what it has to build goes to the event's Scratch.
type Log interface {
	// Text returns a part of the record as text, false if the record has no such part.
	// The key is that of an attribute, for the parts that are one.
	Text(ev *Event, part LogPart, key string) ([]byte, bool)
	// Severity returns the number of the severity, 1 to 24, false if it has none.
	Severity() (int64, bool)
	// AppendIdentity appends what tells the record from others: the identifier that it
	// carries, or else something made of all that it says. It is the same for every copy
	// of the record.
	AppendIdentity(dst []byte) []byte
	// Origin returns what the record is about, nil if nobody asks for that later. Unlike
	// the rest it is kept beyond the event.
	Origin() Origin
}

// Origin is what log records are about: their resource. It is immutable.
type Origin interface {
	// Key tells it from others.
	Key() string
	// Size returns about how many bytes of memory it takes.
	Size() int64
}

// LogPart is a part of a log record that reads as text.
type LogPart uint8

const (
	LogBody LogPart = iota
	LogSeverityText
	LogEventName
	LogAttribute
	LogTraceID
	LogSpanID
	ResourceAttribute
	ScopeName
	ScopeVersion
)
