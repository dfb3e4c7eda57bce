package instance

import (
	"github.com/windhover/windhover/internal/alert"
	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/ledger"
	"github.com/windhover/windhover/rules"
)

// Rules returns the rules that events are shown to.
func (in *Instance) Rules() *rules.Live { return in.live }

// Origin returns the source that events name as theirs.
func (in *Instance) Origin() *event.Source { return in.origin }

// NoticeDrops queues the notice that events were lost.
func (in *Instance) NoticeDrops(e *ledger.Episode) {
	if reason, ok := in.Alerts.Push(alert.NewDropNotice(in.origin, e, in.live.Generation())); !ok {
		in.Account.NoticeLost(reason)
		return
	}
	in.Account.Noticed()
}
