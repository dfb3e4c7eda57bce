package correlate

import (
	"cmp"
	"maps"
	"slices"
)

// entry is what was counted for one rule and one combination of values. One of times,
// values and steps is in use. Events may come in any order: a window is any span of time
// of its length. What is farthest from the match that came last is forgotten first, and
// only to make room.
type entry struct {
	key    string
	within int64
	newest int64 // when the last match happened

	times  []int64 // of matches, sorted
	values map[uint64]int64
	steps  [][]mark // by step, each sorted

	bytes      int64
	in         *queue
	prev, next *entry
}

// mark is a match of a step. Two at the same time are in the order of their arrival.
type mark struct {
	time    int64
	arrival uint64
}

func compareMarks(a, b mark) int {
	return cmp.Or(cmp.Compare(a.time, b.time), cmp.Compare(a.arrival, b.arrival))
}

// Sizes of what an entry is made of, for accounting; the exact overhead of the allocator
// does not matter.
const (
	sizeOfEntry = 256
	sizeOfTime  = 8
	sizeOfValue = 48
	sizeOfMarks = 24
	sizeOfMark  = 16
)

func (e *entry) size() int64 {
	n := sizeOfEntry + len(e.key) + cap(e.times)*sizeOfTime + len(e.values)*sizeOfValue + len(e.steps)*sizeOfMarks
	for _, s := range e.steps {
		n += cap(s) * sizeOfMark
	}
	return int64(n)
}

// over reports whether nothing that is counted can be in a window with a match now, nor
// with one that comes late by a window.
func (e *entry) over(now int64) bool {
	return now > e.newest && between(e.newest, now) > 2*uint64(e.within)
}

// between returns the time from a to b, which is not before a. Documents can tell any
// times, whose difference may be more than an int64 holds.
func between(a, b int64) uint64 { return uint64(b) - uint64(a) }

// spread times as many matches as make an alert are kept. As each window holds fewer of
// them than that, they reach over more than one window before the last match: one that
// comes that much later than it happened still counts.
const spread = 4

// addTime counts a match and reports whether there are count of them in a window; o is
// told which.
func (e *entry) addTime(t int64, count int, o *Outcome) bool {
	i, _ := slices.BinarySearch(e.times, t)
	e.times = slices.Insert(e.times, i, t)
	if e.window(e.times, i, count, o) {
		return true
	}
	if len(e.times) >= spread*count {
		e.times = withoutFarthest(e.times, t, func(t int64) int64 { return t })
	}
	return false
}

// window reports whether count of the sorted times, among them number i, are in a
// window.
func (e *entry) window(times []int64, i, count int, o *Outcome) bool {
	for first := max(i-count+1, 0); first <= i && first+count <= len(times); first++ {
		if from, to := times[first], times[first+count-1]; between(from, to) <= uint64(e.within) {
			o.First, o.Last = from, to
			return true
		}
	}
	return false
}

// withoutFarthest returns the sorted list without what is farthest from t.
func withoutFarthest[T any](list []T, t int64, time func(T) int64) []T {
	if last := len(list) - 1; between(time(list[0]), t) < between(t, time(list[last])) {
		return list[:last]
	}
	return list[1:]
}

// addValue counts a value and reports whether there are count different ones in a
// window; o is told which.
func (e *entry) addValue(v uint64, t int64, count int, o *Outcome) bool {
	if e.values == nil {
		e.values = map[uint64]int64{}
	}
	e.values[v] = t
	if len(e.values) < count {
		return false
	}
	for v, at := range e.values {
		if t > at && between(at, t) > uint64(e.within) {
			delete(e.values, v)
		}
	}
	if len(e.values) < count {
		return false
	}
	times := slices.Sorted(maps.Values(e.values))
	i, _ := slices.BinarySearch(times, t)
	if e.window(times, i, count, o) {
		return true
	}
	if last := times[len(times)-1]; len(times) >= spread*count {
		maps.DeleteFunc(e.values, func(_ uint64, at int64) bool { return at == last })
	}
	return false
}

// maxMarks is how many matches of a step are kept: those before the last matter only
// where events arrive out of order.
const maxMarks = 8

// addStep counts a match of a step.
func (e *entry) addStep(at int, m mark) {
	s := e.steps[at]
	i, _ := slices.BinarySearchFunc(s, m, compareMarks)
	s = slices.Insert(s, i, m)
	if len(s) > maxMarks {
		s = withoutFarthest(s, m.time, func(m mark) int64 { return m.time })
	}
	e.steps[at] = s
}

// chain reports whether the steps were matched one after the other in a window, and
// tells o when.
func (e *entry) chain(o *Outcome) bool {
	final := len(e.steps) - 1
	for _, end := range e.steps[final] {
		at, next := final, end
		for at > 0 {
			// The latest match before the next step leaves the most room for the others.
			s := e.steps[at-1]
			i, _ := slices.BinarySearchFunc(s, next, compareMarks)
			if i == 0 {
				break
			}
			at, next = at-1, s[i-1]
		}
		if at == 0 && between(next.time, end.time) <= uint64(e.within) {
			o.First, o.Last = next.time, end.time
			return true
		}
	}
	return false
}
