package plan

import (
	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/field"
)

// getoptList returns the options and their values as one list.
func getoptList(list textsFunc, letters textFunc) textsFunc {
	return func(ev *event.Event, dst [][]byte) ([][]byte, bool) {
		l, ok := letters(ev)
		if !ok {
			return dst, false
		}
		room := textRoom.Get().(*[][]byte)
		defer textRoom.Put(room)
		if *room, ok = list(ev, (*room)[:0]); !ok {
			return dst, false
		}
		return field.AppendOptions(dst, *room, l), true
	}
}

// getoptOne returns the last value of one option, or its letter if it takes none.
func getoptOne(list textsFunc, letters textFunc, letter byte) textFunc {
	return func(ev *event.Event) ([]byte, bool) {
		l, ok := letters(ev)
		if !ok {
			return nil, false
		}
		room := textRoom.Get().(*[][]byte)
		defer textRoom.Put(room)
		if *room, ok = list(ev, (*room)[:0]); !ok {
			return nil, false
		}
		return field.Option(*room, l, letter)
	}
}
