package field

import (
	"slices"
	"strconv"
	"sync"

	"github.com/windhover/windhover/internal/event"
)

// Bounds of what is remembered of failed sign-ins.
const (
	maxFailingUsers = 10_000
	maxFailures     = 200 // of one user
)

// failures remembers when users failed or refused to prove who they are: the only state
// that fields have. A moment is kept once, so how many comparisons ask for it does not
// matter. It is safe for concurrent use.
type failures struct {
	mu    sync.Mutex
	times map[failureKey][]int64
}

type failureKey struct{ source, kind, user string }

// count notes an event and returns how many of its kind, its user and its source came in
// the time before it, itself included.
func (f *failures) count(k failureKey, at, within int64) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	times, known := f.times[k]
	if !known && len(f.times) >= maxFailingUsers {
		for other := range f.times { // any one
			delete(f.times, other)
			break
		}
	}
	if i, found := slices.BinarySearch(times, at); !found {
		if times = slices.Insert(times, i, at); len(times) > maxFailures {
			times = times[1:]
		}
		if f.times == nil {
			f.times = map[failureKey][]int64{}
		}
		f.times[k] = times
	}
	i, _ := slices.BinarySearch(times, at-within+1)
	return int64(len(times) - i)
}

var (
	oktaFailures failures

	oktaEventType, oktaOutcome, oktaActor = mustCompile(`eventType`), mustCompile(`outcome.result`), mustCompile(`actor.id`)
)

// mfaCount makes a field that counts failed sign-ins of the user of an event that is one.
func mfaCount(name string) *Field {
	f := &Field{
		Name: name, Kind: KindUint, Arg: ArgRequired, Types: event.TypesOf(event.PluginEvent),
		Doc: "How often the user failed or refused to confirm a sign-in in so many seconds; only on events that say so.",
	}
	f.Bind = func(arg string) (*Field, error) {
		if !isIndex(arg) {
			return nil, errIndex
		}
		seconds, err := strconv.ParseInt(arg, 10, 32)
		if err != nil {
			return nil, errIndex
		}
		b := f.bound(arg)
		b.Int = func(ev *event.Event) (int64, bool) {
			if ev.Doc == nil {
				return 0, false
			}
			kind := string(ev.Doc.Find(oktaEventType).Text())
			switch kind {
			case "user.mfa.okta_verify.deny_push":
			case "user.authentication.auth_via_mfa":
				if string(ev.Doc.Find(oktaOutcome).Text()) != "FAILURE" {
					return 0, false
				}
			default:
				return 0, false
			}
			k := failureKey{kind: kind, user: string(ev.Doc.Find(oktaActor).Text())}
			if ev.Source != nil {
				k.source = ev.Source.Name
			}
			return oktaFailures.count(k, ev.Time, seconds*1e9), true
		}
		return b, nil
	}
	return f
}
