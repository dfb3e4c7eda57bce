package ledger

// DropReason says why an event that was wanted is lost.
type DropReason uint8

// The first ones happen in the kernel and are part of the contract with
// bpf/include/event.h, enum drop_reason.
const (
	DropRingFull DropReason = iota
	DropTooLarge
	DropNoScratch
	DropMalformed
	DropOversize
	DropAborted

	NumDropReasons
)

// LostReason says why a match became no alert.
type LostReason uint8

// A match is lost only where its alert is refused.
const (
	LostQueueItems LostReason = iota
	LostQueueBytes
	LostQueueClosed

	NumLostReasons
)

// SkipReason says why a delivered event was shown to no rule.
type SkipReason uint8

// What is skipped still does its work: an announcement updates the process table.
const (
	SkipInternal SkipReason = iota
	SkipSelf

	NumSkipReasons
)

// FailReason says why an alert that left the queue was not taken by what comes next.
type FailReason uint8

// Exporters retry by themselves; a failure here is final.
const (
	FailRefused FailReason = iota
	FailPermanent
	FailShutdown

	NumFailReasons
)

// Reason is one row of a table of reasons: the word in metrics and records, and its
// meaning.
type Reason struct {
	Name string
	Doc  string
	// Kernel: only sources with a kernel side have it.
	Kernel bool
}

// DropReasons is the table of drop reasons.
var DropReasons = [NumDropReasons]Reason{
	DropRingFull:  {"ring_full", "The ring buffer of its shard and lane had no room.", true},
	DropTooLarge:  {"too_large", "The sample did not fit the scratch memory of the kernel side.", true},
	DropNoScratch: {"no_scratch", "Scratch memory was in use by the program that was interrupted.", true},
	DropMalformed: {"malformed", "It could not be decoded.", false},
	DropOversize:  {"oversize", "It exceeded a limit of the source's configuration.", false},
	DropAborted:   {"aborted", "The source stopped before it could be handled.", false},
}

// LostReasons is the table of reasons why a match became no alert.
var LostReasons = [NumLostReasons]Reason{
	LostQueueItems:  {Name: "queue_items", Doc: "The alert queue held as many alerts as it may."},
	LostQueueBytes:  {Name: "queue_bytes", Doc: "The alert queue held as many bytes as it may."},
	LostQueueClosed: {Name: "queue_closed", Doc: "The alert queue was closed."},
}

// SkipReasons is the table of skip reasons.
var SkipReasons = [NumSkipReasons]Reason{
	SkipInternal: {Name: "internal", Doc: "It keeps the process table; no rule can name it."},
	SkipSelf:     {Name: "self", Doc: "Windhover itself caused it."},
}

// FailReasons is the table of reasons why an alert could not be handed on.
var FailReasons = [NumFailReasons]Reason{
	FailRefused:   {Name: "refused", Doc: "The next consumer refused it: its queue is full or it is not able to take more."},
	FailPermanent: {Name: "permanent", Doc: "The next consumer can never take it."},
	FailShutdown:  {Name: "shutdown", Doc: "It was still queued when the time to shut down was over."},
}

func (r DropReason) String() string { return DropReasons[r].Name }
func (r LostReason) String() string { return LostReasons[r].Name }
func (r SkipReason) String() string { return SkipReasons[r].Name }
func (r FailReason) String() string { return FailReasons[r].Name }

// State is how a source is.
type State uint8

// The order is that of a life, not of badness.
const (
	StateStarting State = iota
	StateOK
	StateDegraded
	StateLossy
	StateFailed
	StateEnded

	NumStates
)

// States is the table of states.
var States = [NumStates]Reason{
	StateStarting: {Name: "starting", Doc: "It does not report events yet."},
	StateOK:       {Name: "ok", Doc: "It reports every event."},
	StateDegraded: {Name: "degraded", Doc: "It reports events, but something that it should do does not work."},
	StateLossy:    {Name: "lossy", Doc: "It is losing events."},
	StateFailed:   {Name: "failed", Doc: "It stopped because of an error."},
	StateEnded:    {Name: "ended", Doc: "It reached its end."},
}

func (s State) String() string { return States[s].Name }
