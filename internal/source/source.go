// Package source declares what an event source is to the rest of Windhover.
package source

import (
	"context"

	"github.com/windhover/windhover/internal/event"
)

// Handler takes an event. The event is borrowed: it is valid until the handler
// returns. A handler never blocks.
type Handler func(*event.Event)

// Source reports events.
type Source interface {
	// Run passes every event to h on the calling goroutine until ctx is done and
	// what is buffered is drained, or the source ends (nil: end of input).
	Run(ctx context.Context, h Handler) error
}
