package ledger

import (
	"cmp"
	"slices"
)

// Bounds of what is told one by one; the rest is one sum, under Other.
const (
	maxContainers = 20
	maxCostly     = 50
)

// Names that stand for no container or rule of their own.
const (
	Host  = "host"  // whatever runs in no container
	Other = "other" // the rest
)

// leaders chooses the largest of many counters, so that few have a name. What it
// chose it keeps, since a counter that comes and goes tells nothing; with overtake, one
// that is twice as large as the smallest takes its place. What is not chosen adds up in
// other, which only grows.
type leaders struct {
	limit    int
	overtake bool
	chosen   map[string]bool
	before   map[string]amount // of those that are not chosen, when they were last seen
	other    amount
	rest     []int // positions, reused
}

// amount is one counter that is ranked, and another that goes with it.
type amount struct{ rank, also uint64 }

// named is an amount with its name.
type named struct {
	name string
	amount
}

func newLeaders(limit int, overtake bool) leaders {
	return leaders{limit: limit, overtake: overtake, chosen: map[string]bool{}, before: map[string]amount{}}
}

// look takes what every counter is now, in any order, each name once.
func (l *leaders) look(all []named) {
	l.rest = l.rest[:0]
	for i := range all {
		if all[i].rank > 0 && !l.chosen[all[i].name] {
			l.rest = append(l.rest, i)
		}
	}
	if len(l.rest) == 0 {
		return
	}
	slices.SortFunc(l.rest, func(i, j int) int {
		return cmp.Or(cmp.Compare(all[j].rank, all[i].rank), cmp.Compare(all[i].name, all[j].name))
	})
	room := min(len(l.rest), l.limit-len(l.chosen))
	for _, i := range l.rest[:room] {
		l.chosen[all[i].name] = true
	}
	rest := l.rest[room:]
	for n, i := range rest {
		if !l.overtake {
			break
		}
		least := l.least(all)
		if least < 0 || all[i].rank <= 2*all[least].rank {
			break // the ones that follow are smaller
		}
		delete(l.chosen, all[least].name)
		l.before[all[least].name] = all[least].amount
		l.chosen[all[i].name] = true
		rest[n] = least
	}
	for _, i := range rest {
		a := &all[i]
		before := l.before[a.name]
		l.other.rank += grown(a.rank, before.rank)
		l.other.also += grown(a.also, before.also)
		l.before[a.name] = a.amount
	}
}

// least returns the position of the smallest that is chosen, or -1.
func (l *leaders) least(all []named) int {
	least := -1
	for i := range all {
		if l.chosen[all[i].name] && (least < 0 || all[i].rank < all[least].rank) {
			least = i
		}
	}
	return least
}
