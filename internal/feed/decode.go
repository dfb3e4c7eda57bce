package feed

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/windhover/windhover/internal/document"
	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/ledger"
)

// Sink is what a Decoder passes events to: a pipeline.Worker.
type Sink interface {
	Produced(t event.Type, n int)
	Handle(ev *event.Event)
	Drop(t event.Type, l event.Lane, r ledger.DropReason)
}

// Decoder turns batches of documents into events. Its memory is reused; one goroutine
// at a time uses it.
type Decoder struct {
	sink   Sink
	format Format
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

// Limits returns what a document of an event may have at most.
func Limits(maxEventBytes int) document.Limits {
	return document.Limits{Bytes: maxEventBytes, Nodes: maxEventBytes/bytesPerNode + 64}
}

// NewDecoder returns a decoder of events of at most maxEventBytes.
func NewDecoder(s Sink, f Format, maxEventBytes int) *Decoder {
	return &Decoder{sink: s, format: f, limits: Limits(maxEventBytes)}
}

// Outcome is what became of a batch.
type Outcome struct {
	Handled, Refused int
	First            Refusal // the first of those that were refused
	// Broken is set if the batch itself could not be read to its end.
	Broken error
}

// Refusal is a document that is no event, or one beyond a limit.
type Refusal struct {
	Offset, Size int
	Err          error
}

func (r Refusal) String() string {
	return fmt.Sprintf("offset %d, %d bytes: %v", r.Offset, r.Size, r.Err)
}

// Batch handles every event in b: single ones one after the other, lists, arrays. What
// cannot be read costs no neighbour, unless it is the batch that ends early.
func (d *Decoder) Batch(b []byte) Outcome {
	var o Outcome
	if d.format.Envelope.Single(&d.doc, b, d.limits) {
		text := bytes.TrimSpace(b)
		if err := d.handle(text); err != nil {
			o.refuse(Refusal{bytes.Index(b, text), len(text), err})
			return o
		}
		o.Handled++
		return o
	}
	d.split.Reset(b, d.format.Envelope)
	for {
		text, offset, ok, err := d.split.Next()
		if err != nil {
			o.Broken = err
			o.refuse(Refusal{0, len(b), err})
			d.refuse(ledger.DropMalformed)
			return o
		}
		if !ok {
			return o
		}
		if err := d.one(text); err != nil {
			o.refuse(Refusal{offset, len(text), err})
			continue
		}
		o.Handled++
	}
}

func (o *Outcome) refuse(r Refusal) {
	if o.Refused == 0 {
		o.First = r
	}
	o.Refused++
}

func (d *Decoder) refuse(r ledger.DropReason) {
	d.sink.Produced(event.PluginEvent, 1)
	d.sink.Drop(event.PluginEvent, event.LaneBulk, r)
}

// DropReasonOf says why a document that Parse refused is lost.
func DropReasonOf(err error) ledger.DropReason {
	if e, ok := errors.AsType[*document.Error](err); ok && (e.Reason == document.TooLarge || e.Reason == document.TooDeep || e.Reason == document.TooMany) {
		return ledger.DropOversize
	}
	return ledger.DropMalformed
}

// one handles the event in text.
func (d *Decoder) one(text []byte) error {
	if err := d.doc.Parse(text, d.limits); err != nil {
		d.refuse(DropReasonOf(err))
		return err
	}
	return d.handle(text)
}

// handle handles the event in text, which is read.
func (d *Decoder) handle(text []byte) error {
	if len(text) > keep {
		defer d.doc.Trim(keep)
	}
	t, err := d.time()
	if err != nil {
		d.refuse(ledger.DropMalformed)
		return err
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

func (d *Decoder) time() (int64, error) {
	if d.format.Time != nil {
		return d.format.Time(&d.doc)
	}
	if d.doc.Root().Kind() != document.Object {
		return 0, errNoObject
	}
	return time.Now().UnixNano(), nil
}
