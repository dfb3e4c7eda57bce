// Package ledger counts what happens to every event, so that nothing is lost in
// silence.
//
// For each source instance the ledger balances at any time:
//
//	produced  = filtered + dropped{reason} + delivered + in flight
//	delivered = evaluated + skipped{reason}
//	matched   = alerts + folded + lost{reason}
//	alerts    = acknowledged + queued + failed{reason}
//
// Counters of the hot path are plain words owned by one goroutine, published now and
// then; readers see the published ones.
package ledger
