package rules

import (
	"fmt"
	"strings"
)

// Priority says how much a rule matters. Lower is more urgent.
type Priority uint8

// The priorities of the rule language.
const (
	Emergency Priority = iota
	Alert
	Critical
	Error
	Warning
	Notice
	Informational
	Debug
)

var priorityNames = [...]string{"Emergency", "Alert", "Critical", "Error", "Warning", "Notice", "Informational", "Debug"}

func (p Priority) String() string {
	if int(p) >= len(priorityNames) {
		return fmt.Sprintf("Priority(%d)", uint8(p))
	}
	return priorityNames[p]
}

// ParsePriority reads a priority in any case; "info" is short for "informational".
func ParsePriority(text string) (Priority, bool) {
	if strings.EqualFold(text, "info") {
		return Informational, true
	}
	for p, name := range priorityNames {
		if strings.EqualFold(text, name) {
			return Priority(p), true
		}
	}
	return 0, false
}

// UnmarshalText reads a priority.
func (p *Priority) UnmarshalText(text []byte) error {
	v, ok := ParsePriority(string(text))
	if !ok {
		return fmt.Errorf("priority %q is not one of %s", text, strings.ToLower(strings.Join(priorityNames[:], " ")))
	}
	*p = v
	return nil
}

// MarshalText writes the priority in lower case.
func (p Priority) MarshalText() ([]byte, error) {
	return []byte(strings.ToLower(p.String())), nil
}
