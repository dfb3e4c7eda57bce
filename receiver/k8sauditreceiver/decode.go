package k8sauditreceiver

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/windhover/windhover/internal/document"
	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/ledger"
)

// eventList is the object that the API server wraps a batch in.
var eventList = document.Envelope{List: "items", Tag: "kind", Name: "EventList"}

var (
	pathKind     = mustCompile("kind")
	pathTime     = mustCompile("stageTimestamp")
	pathReceived = mustCompile("requestReceivedTimestamp")
)

func mustCompile(expr string) *document.Path {
	p, err := document.CompilePath(expr)
	if err != nil {
		panic("BUG: k8sauditreceiver: " + err.Error())
	}
	return p
}

// sink is what a decoder passes events to: a pipeline.Worker.
type sink interface {
	Produced(t event.Type, n int)
	Handle(ev *event.Event)
	Drop(t event.Type, l event.Lane, r ledger.DropReason)
}

// decoder turns batches of documents into events. Its memory is reused; one goroutine
// at a time uses it.
type decoder struct {
	sink   sink
	limits document.Limits

	split document.Splitter
	doc   document.Document
	ev    event.Event
}

// keep is how many bytes of documents a decoder keeps memory for.
const keep = 256 << 10

// bytesPerNode bounds the values in an event by its size: the densest parts of an audit
// event have one for four bytes, a document made to take memory one for two.
const bytesPerNode = 3

func newDecoder(s sink, maxEventBytes int) *decoder {
	return &decoder{sink: s, limits: document.Limits{Bytes: maxEventBytes, Nodes: maxEventBytes/bytesPerNode + 64}}
}

// outcome is what became of a batch.
type outcome struct {
	handled, refused int
	first            refusal // the first of those that were refused
	// broken is set if the batch itself could not be read to its end.
	broken error
}

// refusal is a document that is no event, or one beyond a limit.
type refusal struct {
	offset, size int
	err          error
}

func (r refusal) String() string {
	return fmt.Sprintf("offset %d, %d bytes: %v", r.offset, r.size, r.err)
}

// batch handles every event in b: single ones one after the other, lists, arrays. What
// cannot be read costs no neighbour, unless it is the batch that ends early.
func (d *decoder) batch(b []byte) outcome {
	var o outcome
	d.split.Reset(b, eventList)
	for {
		text, offset, ok, err := d.split.Next()
		if err != nil {
			o.broken = err
			o.refuse(refusal{0, len(b), err})
			d.refuse(ledger.DropMalformed)
			return o
		}
		if !ok {
			return o
		}
		if err := d.one(text); err != nil {
			o.refuse(refusal{offset, len(text), err})
			continue
		}
		o.handled++
	}
}

func (o *outcome) refuse(r refusal) {
	if o.refused == 0 {
		o.first = r
	}
	o.refused++
}

func (d *decoder) refuse(r ledger.DropReason) {
	d.sink.Produced(event.PluginEvent, 1)
	d.sink.Drop(event.PluginEvent, event.LaneBulk, r)
}

// What is wrong with a document that is no audit event.
var (
	errKind = errors.New("its kind is not Event")
	errTime = errors.New("it has no stageTimestamp, nor a requestReceivedTimestamp, in RFC 3339")
)

// one handles the event in text.
func (d *decoder) one(text []byte) error {
	if err := d.doc.Parse(text, d.limits); err != nil {
		reason := ledger.DropMalformed
		var e *document.Error
		if errors.As(err, &e) && (e.Reason == document.TooLarge || e.Reason == document.TooDeep || e.Reason == document.TooMany) {
			reason = ledger.DropOversize
		}
		d.refuse(reason)
		return err
	}
	if len(text) > keep {
		defer d.doc.Trim(keep)
	}
	if kind := d.doc.Find(pathKind); kind.Kind() != document.Absent && string(kind.Text()) != "Event" || d.doc.Root().Kind() != document.Object {
		d.refuse(ledger.DropMalformed)
		return errKind
	}
	t, ok := when(d.doc.Find(pathTime))
	if !ok {
		t, ok = when(d.doc.Find(pathReceived))
	}
	if !ok {
		d.refuse(ledger.DropMalformed)
		return errTime
	}
	d.ev.Reset()
	d.ev.Type, d.ev.Time, d.ev.Doc = event.PluginEvent, t, &d.doc
	d.sink.Produced(event.PluginEvent, 1)
	d.sink.Handle(&d.ev)
	if cap(d.ev.Scratch) > keep {
		d.ev.Scratch = nil
	}
	return nil
}

// when reads a time, in nanoseconds since the Unix epoch.
func when(v document.Value) (int64, bool) {
	if v.Kind() != document.String {
		return 0, false
	}
	var t time.Time
	if err := t.UnmarshalText(v.Text()); err != nil {
		return 0, false
	}
	const seconds = math.MaxInt64 / int64(time.Second)
	if s := t.Unix(); s <= -seconds || s >= seconds {
		return 0, false
	}
	return t.UnixNano(), true
}
