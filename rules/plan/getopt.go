package plan

import (
	"bytes"

	"github.com/windhover/windhover/internal/event"
)

// unknownOption stands for an option that is not in the list of options.
var unknownOption = []byte("?")

// options reads short options as getopt(3) does: spec names the letters, each with a
// colon after it if it takes a value. It calls f for each option, with its letter and
// its value, which is nil if it takes none. It stops at "--", at the first argument
// that is no option, and at "-"; long options are skipped.
func options(args [][]byte, spec []byte, f func(letter, value []byte)) {
	for i := 0; i < len(args); i++ {
		a := args[i]
		if len(a) < 2 || a[0] != '-' || len(a) == 2 && a[1] == '-' {
			return
		}
		if a[1] == '-' {
			continue
		}
		for j := 1; j < len(a); j++ {
			at := bytes.IndexByte(spec, a[j])
			if a[j] == ':' || at < 0 {
				f(unknownOption, nil)
				continue
			}
			letter := a[j : j+1]
			if at+1 == len(spec) || spec[at+1] != ':' {
				f(letter, nil)
				continue
			}
			value := a[j+1:]
			if len(value) == 0 && i+1 < len(args) {
				i++
				value = args[i]
			}
			if value == nil {
				value = []byte{}
			}
			f(letter, value)
			break
		}
	}
}

// getoptList returns the options and their values as one list.
func getoptList(list textsFunc, spec textFunc) textsFunc {
	return func(ev *event.Event, dst [][]byte) ([][]byte, bool) {
		s, ok := spec(ev)
		if !ok {
			return dst, false
		}
		room := textRoom.Get().(*[][]byte)
		defer textRoom.Put(room)
		if *room, ok = list(ev, (*room)[:0]); !ok {
			return dst, false
		}
		options(*room, s, func(letter, value []byte) {
			dst = append(dst, letter)
			if value != nil {
				dst = append(dst, value)
			}
		})
		return dst, true
	}
}

// getoptOne returns the last value of one option, or its letter if it takes none.
func getoptOne(list textsFunc, spec textFunc, letter byte) textFunc {
	return func(ev *event.Event) ([]byte, bool) {
		s, ok := spec(ev)
		if !ok {
			return nil, false
		}
		room := textRoom.Get().(*[][]byte)
		defer textRoom.Put(room)
		if *room, ok = list(ev, (*room)[:0]); !ok {
			return nil, false
		}
		var last []byte
		options(*room, s, func(l, value []byte) {
			if l[0] != letter {
				return
			}
			if last = value; value == nil {
				last = l
			}
		})
		return last, last != nil
	}
}
