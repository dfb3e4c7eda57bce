package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/windhover/windhover/internal/event"
)

// What a DropConfig can ask for when a source loses events.
const (
	ActionIgnore = "ignore" // count only
	ActionLog    = "log"    // a line in the log, as CRITICAL
	ActionAlert  = "alert"  // an alert record
	ActionExit   = "exit"   // the source fails and the process ends
)

// DropConfig is what a user sets about lost events. Whatever it says, losses are
// counted and the source is lossy while they last.
type DropConfig struct {
	// Actions are ignore, or any of log, alert and exit.
	Actions []string `mapstructure:"actions"`
	// Threshold is the percentage of the events of one second from which on their loss
	// matters: 0 to 100; 0 is any.
	Threshold float64 `mapstructure:"threshold"`
	// Interval is the time in which one episode more may be reported.
	Interval time.Duration `mapstructure:"interval"`
	// Burst is how many episodes may be reported at once.
	Burst int `mapstructure:"burst"`
	// SimulateDrops pretends losses for 5 seconds of every minute, to rehearse the
	// actions. The counters stay true.
	SimulateDrops bool `mapstructure:"simulate_drops"`
}

// DefaultDropConfig returns what applies unless the user sets something else.
func DefaultDropConfig() DropConfig {
	return DropConfig{Actions: []string{ActionLog, ActionAlert}, Interval: 30 * time.Second, Burst: 10}
}

// Validate reports every problem with c.
func (c *DropConfig) Validate() error {
	var errs []error
	if len(c.Actions) == 0 {
		errs = append(errs, errors.New("actions: none given; use [ignore] to do nothing"))
	}
	for _, a := range c.Actions {
		if !slices.Contains([]string{ActionIgnore, ActionLog, ActionAlert, ActionExit}, a) {
			errs = append(errs, fmt.Errorf("actions: no action %q; there are ignore, log, alert, exit", a))
		}
	}
	if slices.Contains(c.Actions, ActionIgnore) && len(c.Actions) > 1 {
		errs = append(errs, errors.New("actions: ignore excludes every other action"))
	}
	if !(c.Threshold >= 0 && c.Threshold <= 100) {
		errs = append(errs, fmt.Errorf("threshold: %v is not a percentage between 0 and 100", c.Threshold))
	}
	if c.Interval <= 0 {
		errs = append(errs, fmt.Errorf("interval: %v is not positive", c.Interval))
	}
	if c.Burst < 1 {
		errs = append(errs, fmt.Errorf("burst: %d is less than 1", c.Burst))
	}
	return errors.Join(errs...)
}

// DropActions are how the owner of a source does what a DropConfig asks for. None of
// them may block.
type DropActions struct {
	// Log and Alert get the episode when it opens and, with its End set, when it
	// closes. They may keep it.
	Log   func(*Episode)
	Alert func(*Episode)
	// Exit is called once, with the reason.
	Exit func(error)
}

const (
	// dropPeriod is how often a source is looked at.
	dropPeriod = time.Second
	// quietPeriod is how long there must be no losses for an episode to close.
	quietPeriod = 5 * time.Second
	// topTypes and topContainers are how many of them an episode names.
	topTypes      = 5
	topContainers = 5
)

// DropWatcher watches one source for losses. It belongs to one goroutine.
type DropWatcher struct {
	s       *Source
	config  DropConfig
	actions DropActions

	snapshot Snapshot
	seen     bool // the fields below hold the second before
	produced uint64
	types    [event.MaxTypes]uint64
	by       losses
	lost     map[string]uint64 // by container

	started    time.Time
	open       *Episode
	openTypes  [event.MaxTypes]uint64
	openLosers map[string]uint64
	last       time.Time // of the last second with losses in the open episode
	reported   bool      // the open episode was reported
	suppressed uint64
	exited     bool

	tokens   float64
	refilled time.Time
}

// NewDropWatcher returns a watcher of s with a valid configuration. Actions that the
// configuration asks for must be set.
func NewDropWatcher(s *Source, c DropConfig, a DropActions) *DropWatcher {
	return &DropWatcher{s: s, config: c, actions: a, tokens: float64(c.Burst), lost: map[string]uint64{}, openLosers: map[string]uint64{}}
}

// Run looks at the source every second until ctx is done, then once more, and closes
// an episode that is still open.
func (d *DropWatcher) Run(ctx context.Context) {
	ticker := time.NewTicker(dropPeriod)
	defer ticker.Stop()
	d.Look(time.Now())
	for {
		select {
		case now := <-ticker.C:
			d.Look(now)
		case <-ctx.Done():
			d.Look(time.Now())
			d.Close(time.Now())
			return
		}
	}
}

// Look reads the counters of the source and acts on what it lost since the last look.
func (d *DropWatcher) Look(now time.Time) {
	d.s.Snapshot(&d.snapshot)
	second := Episode{Start: now}
	var (
		produced uint64
		types    [event.MaxTypes]uint64
		by       losses
	)
	for t := range d.snapshot.Produced {
		produced += d.snapshot.Produced[t]
		for lane := range d.snapshot.Dropped[t] {
			for r, n := range d.snapshot.Dropped[t][lane] {
				types[t] += n
				by[lane][r] += n
			}
		}
	}
	var delta [event.MaxTypes]uint64
	losers := map[string]uint64{}
	if d.seen {
		second.Produced = grown(produced, d.produced)
		for t := range types {
			delta[t] = grown(types[t], d.types[t])
			second.Dropped += delta[t]
		}
		for lane := range by {
			for r := range by[lane] {
				n := grown(by[lane][r], d.by[lane][r])
				second.ByLane[lane] += n
				second.ByReason[r] += n
			}
		}
		for _, c := range d.snapshot.Losers {
			if n := grown(c.Count, d.lost[c.Container]); n > 0 {
				losers[c.Container] = n
			}
		}
	} else {
		d.seen, d.started, d.refilled = true, now, now
	}
	d.produced, d.types, d.by = produced, types, by
	for _, c := range d.snapshot.Losers {
		d.lost[c.Container] = c.Count
	}

	if d.config.SimulateDrops && now.Sub(d.started)%time.Minute < quietPeriod {
		pretend(&second, &delta, losers)
	}
	d.judge(now, &second, &delta, losers)
}

// grown returns how much a counter grew. One that shrank belongs to a source that was
// loaded anew and counts from zero.
func grown(now, before uint64) uint64 {
	if now < before {
		return now
	}
	return now - before
}

// pretend adds one loss in a hundred events to a second.
func pretend(second *Episode, delta *[event.MaxTypes]uint64, losers map[string]uint64) {
	const produced, dropped = 10_000, 100
	second.Simulated = true
	second.Produced += produced
	second.Dropped += dropped
	second.ByLane[event.LaneBulk] += dropped
	second.ByReason[DropRingFull] += dropped
	delta[event.OpenAt] += dropped
	losers[Host] += dropped
}

func (d *DropWatcher) judge(now time.Time, second *Episode, delta *[event.MaxTypes]uint64, losers map[string]uint64) {
	losing := second.Dropped > 0 && second.Percent() >= d.config.Threshold
	if d.open == nil {
		if !losing {
			return
		}
		d.open = &Episode{Source: d.s.name, Type: d.s.typ, Start: now.Add(-dropPeriod)}
		d.openTypes = [event.MaxTypes]uint64{}
		clear(d.openLosers)
		d.reported = false
	}
	e := d.open
	e.Simulated = e.Simulated || second.Simulated
	e.Produced += second.Produced
	e.Dropped += second.Dropped
	e.Peak = max(e.Peak, second.Dropped)
	for i, n := range second.ByLane {
		e.ByLane[i] += n
	}
	for i, n := range second.ByReason {
		e.ByReason[i] += n
	}
	for t, n := range delta {
		d.openTypes[t] += n
	}
	for container, n := range losers {
		d.openLosers[container] += n
	}
	if losing {
		first := d.last.Before(e.Start)
		d.last = now
		d.s.SetLossy(fmt.Sprintf("dropped %d of %d events since %s", e.Dropped, e.Produced, e.Start.UTC().Format(time.RFC3339)))
		if first {
			d.report(now)
			d.exit(e)
		}
		return
	}
	if now.Sub(d.last) >= quietPeriod {
		d.Close(now)
	}
}

// Close ends the open episode, if there is one.
func (d *DropWatcher) Close(now time.Time) {
	if d.open == nil {
		return
	}
	d.open.End = d.last
	d.s.SetLossy("")
	d.report(now)
	d.open = nil
}

// report passes a copy of the open episode to the actions. Opening takes a token; what
// was opened is closed without one.
func (d *DropWatcher) report(now time.Time) {
	if slices.Contains(d.config.Actions, ActionIgnore) {
		return
	}
	if !d.reported && !d.token(now) {
		if d.open.End.IsZero() {
			return
		}
		d.suppressed++
		return
	}
	d.reported = true
	e := *d.open
	e.Suppressed = d.suppressed
	d.suppressed = 0
	e.ByType = top(&d.openTypes)
	e.ByContainer = topLosers(d.openLosers)
	if d.wants(ActionLog) {
		d.actions.Log(&e)
	}
	if d.wants(ActionAlert) {
		d.actions.Alert(&e)
	}
}

func (d *DropWatcher) exit(e *Episode) {
	if d.exited || !d.wants(ActionExit) {
		return
	}
	d.exited = true
	d.actions.Exit(fmt.Errorf("watch %s: %s", d.s.name, e.String()))
}

func (d *DropWatcher) wants(action string) bool { return slices.Contains(d.config.Actions, action) }

// token takes one from the bucket.
func (d *DropWatcher) token(now time.Time) bool {
	d.tokens = min(d.tokens+now.Sub(d.refilled).Seconds()/d.config.Interval.Seconds(), float64(d.config.Burst))
	d.refilled = now
	const almost = 1 - 1e-9 // a sum of fractions
	if d.tokens < almost {
		return false
	}
	d.tokens--
	return true
}

// top returns the types with the largest counts, largest first.
func top(counts *[event.MaxTypes]uint64) []TypeCount {
	var all []TypeCount
	for t, n := range counts {
		if n > 0 {
			all = append(all, TypeCount{event.Type(t), n})
		}
	}
	slices.SortStableFunc(all, func(a, b TypeCount) int {
		switch {
		case a.Count > b.Count:
			return -1
		case a.Count < b.Count:
			return 1
		}
		return 0
	})
	return slices.Clip(all[:min(len(all), topTypes)])
}

// topLosers returns the containers with the largest counts, largest first.
func topLosers(counts map[string]uint64) []ContainerCount {
	all := make([]ContainerCount, 0, len(counts))
	for name, n := range counts {
		all = append(all, ContainerCount{name, n})
	}
	slices.SortFunc(all, func(a, b ContainerCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Container, b.Container))
	})
	return slices.Clip(all[:min(len(all), topContainers)])
}
