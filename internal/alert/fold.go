package alert

import (
	"fmt"
	"slices"
	"time"

	"github.com/windhover/windhover/internal/event"
)

// Fold tells of repeats of an alert that became no alerts of their own.
type Fold struct {
	// UID is that of the alert that they repeat.
	UID UID
	// Count is how many there are, without that alert.
	Count uint64
	// First and Last are when the first and the last of them happened, in nanoseconds
	// since the Unix epoch.
	First, Last int64
	// Values are some of the values that the fields had which may differ.
	Values []FoldValues
	// EventIDs are identifiers of the first of the events.
	EventIDs []string
	// Reason says why the notice was made.
	Reason string
}

// FoldValues are different values of one field.
type FoldValues struct {
	Name  string
	Texts []string
}

func (f *Fold) size() int {
	n := sizeOfField
	for i := range f.Values {
		n += sizeOfField
		for _, s := range f.Values[i].Texts {
			n += sizeOfEntry + len(s)
		}
	}
	for _, s := range f.EventIDs {
		n += sizeOfEntry + len(s)
	}
	return n
}

// NewFoldNotice returns the notice that f repeats first. It shares what it can with
// first, and all of f.
func NewFoldNotice(first *Alert, f *Fold, now time.Time) *Alert {
	a := *first
	a.UID, a.RecordID = newUID(now.UnixNano()), ""
	a.Time, a.Observed = f.Last, now.UnixNano()
	times := "time"
	if f.Count != 1 {
		times = "times"
	}
	a.Output = fmt.Sprintf("%s (repeated %d %s from %s to %s)", first.Output, f.Count, times,
		time.Unix(0, f.First).UTC().Format(time.RFC3339), time.Unix(0, f.Last).UTC().Format(time.RFC3339))
	a.Fields, a.Facts = slices.Clip(first.Fields), slices.Clip(first.Facts)
	a.Trace = event.Trace{} // each of them may have had its own
	a.Fold = f
	a.Measure()
	return &a
}
