package ledger

import (
	"fmt"
	"strings"
	"time"

	"github.com/windhover/windhover/internal/event"
)

// Episode is a time in which a source lost events: it opens with the first second of
// losses above the threshold and closes after some seconds without.
type Episode struct {
	Source, Type string
	Simulated    bool
	Start        time.Time
	End          time.Time // zero: not over yet
	Peak         uint64    // most events dropped in one second
	Dropped      uint64
	Produced     uint64 // in the same time, the dropped ones included
	ByType       []TypeCount
	ByLane       [event.NumLanes]uint64
	ByReason     [NumDropReasons]uint64
	// ByContainer names those that lost most.
	ByContainer []ContainerCount
	// Suppressed counts the episodes before this one that were not reported, because
	// there were too many.
	Suppressed uint64
}

// TypeCount counts events of one type.
type TypeCount struct {
	Type  event.Type
	Count uint64
}

// Percent returns how much of what was produced was dropped.
func (e *Episode) Percent() float64 {
	if e.Produced == 0 {
		return 0
	}
	return 100 * float64(e.Dropped) / float64(e.Produced)
}

// String describes the episode in one line for people.
func (e *Episode) String() string {
	var b strings.Builder
	if e.Simulated {
		b.WriteString("simulated: ")
	}
	if e.End.IsZero() {
		fmt.Fprintf(&b, "%s is losing events", e.Source)
	} else {
		fmt.Fprintf(&b, "%s lost events for %s", e.Source, e.End.Sub(e.Start).Round(time.Millisecond))
	}
	fmt.Fprintf(&b, ": dropped %d of %d (%.2f %%), at most %d a second, since %s", e.Dropped, e.Produced, e.Percent(), e.Peak, e.Start.UTC().Format(time.RFC3339))
	part := func(title string) func(name string, n uint64) {
		first := true
		return func(name string, n uint64) {
			if n == 0 {
				return
			}
			if first {
				b.WriteString("; " + title)
				first = false
			}
			fmt.Fprintf(&b, " %s=%d", name, n)
		}
	}
	add := part("by type")
	for _, c := range e.ByType {
		add(c.Type.String(), c.Count)
	}
	add = part("by lane")
	for l, n := range e.ByLane {
		add(event.Lane(l).String(), n)
	}
	add = part("by reason")
	for r, n := range e.ByReason {
		add(DropReason(r).String(), n)
	}
	add = part("by container")
	for _, c := range e.ByContainer {
		add(c.Container, c.Count)
	}
	if e.Suppressed > 0 {
		fmt.Fprintf(&b, "; %d episodes before were not reported", e.Suppressed)
	}
	return b.String()
}
