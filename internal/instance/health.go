package instance

import (
	"maps"
	"slices"
	"strings"
	"sync"
)

// health sums up what is wrong with the parts of a source. It is safe for concurrent
// use.
type health struct {
	// changed is called with the reasons, empty if all is well, when they change.
	changed func(reason string)

	mu     sync.Mutex
	parts  map[string]string
	known  bool
	last   string
	closed bool
}

// set says what is wrong with a part, or with an empty reason that nothing is.
func (h *health) set(part, reason string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if reason == "" {
		delete(h.parts, part)
	} else {
		h.parts[part] = reason
	}
	if h.closed {
		return
	}
	var all []string
	for _, part := range slices.Sorted(maps.Keys(h.parts)) {
		all = append(all, h.parts[part])
	}
	now := strings.Join(all, "; ")
	if h.known && now == h.last {
		return
	}
	h.known, h.last = true, now
	h.changed(now)
}

// close ends the reports: the source failed or ended. It reports false if it was
// closed before.
func (h *health) close() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	was := h.closed
	h.closed = true
	return !was
}
