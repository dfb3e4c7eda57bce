// Package replay runs recorded documents through rules: files of audit events and the
// like, as long as it takes and without losing any. Start with Player.
package replay

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/windhover/windhover/internal/alert"
	"github.com/windhover/windhover/internal/correlate"
	"github.com/windhover/windhover/internal/document"
	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/rules"
)

// MaxDocument bounds one document.
const MaxDocument = 16 << 20

// bytesPerNode bounds the values in a document by its size.
const bytesPerNode = 3

// Settings of a Player.
type Settings struct {
	Rules  *rules.Set
	Source *event.Source
	// Envelope is the object that a list of events comes in.
	Envelope document.Envelope
	// Time returns when the event in a document happened, in nanoseconds since the Unix
	// epoch, or why the document is no event. If it is nil, every object is an event and
	// happened when its file was last changed.
	Time func(*document.Document) (int64, error)
	// Alert takes each alert as it is made.
	Alert func(*alert.Alert) error
	// Progress, if set, is called from time to time with how much of the current file
	// was read.
	Progress func(file string, offset int64)
}

// Refusal is a document that is no event of the source.
type Refusal struct {
	File   string
	Offset int64
	Err    error
}

func (r Refusal) String() string { return fmt.Sprintf("%s: offset %d: %v", r.File, r.Offset, r.Err) }

// maxRefusals bounds how many refusals are kept; all are counted.
const maxRefusals = 1000

// Summary is what came of everything that was played.
type Summary struct {
	Events    uint64
	Alerts    map[string]uint64 // by rule
	Refused   uint64
	Refusals  []Refusal         // the first of them
	Reasons   map[string]uint64 // how many were refused for each reason
	Documents uint64
}

// Player runs documents through rules, file after file.
type Player struct {
	settings Settings
	doc      document.Document
	ev       event.Event
	matches  []*rules.Rule
	count    *correlate.Worker
	outcomes []correlate.Outcome
	limits   document.Limits
	sum      Summary
}

// NewPlayer returns a player.
func NewPlayer(s Settings) *Player {
	return &Player{
		settings: s,
		count:    correlate.New(correlate.DefaultConfig()).Worker(),
		limits:   document.Limits{Bytes: MaxDocument, Nodes: MaxDocument / bytesPerNode},
		sum:      Summary{Alerts: map[string]uint64{}, Reasons: map[string]uint64{}},
	}
}

// Summary returns what came of what was played so far.
func (p *Player) Summary() *Summary { return &p.sum }

// every is after how many documents Progress is called.
const every = 256

// Play runs the documents in r through the rules. The error says why reading or writing
// ended before the end; documents that cannot be read are part of the Summary.
func (p *Player) Play(ctx context.Context, file string, changed time.Time, r io.Reader) error {
	s, err := NewStream(r, p.settings.Envelope)
	if err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	for n := 0; ; n++ {
		if n%every == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			if p.settings.Progress != nil {
				p.settings.Progress(file, s.Offset())
			}
		}
		item, err := s.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read %s: offset %d: %w", file, s.Offset(), err)
		}
		p.sum.Documents++
		if item.Err != nil {
			p.refuse(file, item.Offset, item.Err)
			continue
		}
		if err := p.one(file, changed, item); err != nil {
			return err
		}
	}
}

func (p *Player) refuse(file string, offset int64, err error) {
	p.sum.Refused++
	p.sum.Reasons[err.Error()]++
	if len(p.sum.Refusals) < maxRefusals {
		p.sum.Refusals = append(p.sum.Refusals, Refusal{file, offset, err})
	}
}

func (p *Player) one(file string, changed time.Time, item Item) error {
	if err := p.doc.Parse(item.Text, p.limits); err != nil {
		offset := item.Offset
		if e, ok := errors.AsType[*document.Error](err); ok {
			offset += int64(e.Offset)
			err = errors.New(e.Detail)
		}
		p.refuse(file, offset, err)
		return nil
	}
	at, err := p.when(changed)
	if err != nil {
		p.refuse(file, item.Offset, err)
		return nil
	}
	p.sum.Events++
	p.ev.Reset()
	p.ev.Type, p.ev.Time, p.ev.Num = event.PluginEvent, at, p.sum.Events
	p.ev.Source, p.ev.Doc = p.settings.Source, &p.doc
	p.matches = p.settings.Rules.AppendMatches(p.matches[:0], &p.ev)
	p.outcomes = p.count.AppendOutcomes(p.outcomes[:0], p.settings.Rules, &p.ev, p.matches)
	for i := range p.outcomes {
		o := &p.outcomes[i]
		if o.Below {
			continue
		}
		r := o.Rule
		p.sum.Alerts[r.Name]++
		a := alert.New(&p.ev, r, 0)
		a.Count(o)
		a.UID = uid(r, item.Text)
		if err := p.settings.Alert(a); err != nil {
			return err
		}
	}
	return nil
}

func (p *Player) when(changed time.Time) (int64, error) {
	if p.settings.Time != nil {
		return p.settings.Time(&p.doc)
	}
	if p.doc.Root().Kind() != document.Object {
		return 0, errNoDocument
	}
	return changed.UnixNano(), nil
}

// uid returns the identifier of an alert, a UUID of version 8: the same whenever the same
// document is played with the same rule, so that receivers can tell a repeat.
func uid(r *rules.Rule, text []byte) alert.UID {
	h := sha256.New()
	for _, b := range [][]byte{[]byte(r.Source), []byte(r.Name), text} {
		h.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(b))))
		h.Write(b)
	}
	u := alert.UID(h.Sum(nil)[:16])
	u[6] = u[6]&0x0f | 0x80
	u[8] = u[8]&0x3f | 0x80
	return u
}
