// Package ledger counts what happens to every event, so that nothing is lost in
// silence.
//
// For each source instance the ledger balances at any time:
//
//	produced       = dropped{reason} + delivered + in flight
//	delivered      = evaluated + skipped{reason}
//	matched        = alerts + folded + lost{reason}
//	folded         = reported + open + unreported{reason}
//	alerts+notices = acknowledged + failed{reason} + queued + exporting
//
// In flight is what lies between the kernel and the goroutine that handles events,
// exporting what was taken from the queue and is not answered yet; both are zero at
// rest. A notice is an alert record that no match made alone: one about drops, or one that
// reports how often an alert was folded. Open is what was folded and is to be reported
// at the end of its window.
//
// Start with Source, one per source instance, and Worker, one per goroutine that
// handles its events. Counters of the hot path are plain words owned by one
// goroutine, published now and then; readers see the published ones. Book holds the
// sources of a process, Snapshot reads them, DropWatcher watches one for losses.
package ledger
