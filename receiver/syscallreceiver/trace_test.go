package syscallreceiver

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/windhover/windhover/internal/event"
)

func TestNewsAboutTracesAreLoggedOnce(t *testing.T) {
	t.Parallel()
	type answer struct {
		changed, found bool
		err            error
	}
	layout, denied := errors.New("another layout"), errors.New("permission denied")
	core, logs := observer.New(zap.DebugLevel)
	var next answer
	l := traces{follow: func() (bool, bool, error) { return next.changed, next.found, next.err }, log: zap.New(core)}
	for _, next = range []answer{
		{},
		{},
		{err: layout},
		{err: layout},
		{err: denied},
		{changed: true, found: true},
		{found: true},
		{changed: true, found: true}, // another map
		{changed: true},
		{},
		{err: layout},
	} {
		l.look()
	}
	var got []string
	for _, e := range logs.All() {
		line := e.Level.String() + " " + e.Message
		for _, f := range e.Context {
			line += ": " + f.Interface.(error).Error()
		}
		got = append(got, line)
	}
	want := []string{
		"warn alerts carry no trace: another layout",
		"warn alerts carry no trace: permission denied",
		"info alerts carry the trace of the process",
		"info alerts carry the trace of the process",
		"info alerts carry no trace any more: the map of traces is gone",
		"warn alerts carry no trace: another layout",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

func TestDecodeTrace(t *testing.T) {
	t.Parallel()
	const text = "0123456789abcdefspanspan"
	d := decoder{}
	if err := d.decode(newSample(event.OpenAt, 0).section(tagTrace, []byte(text)).b); err != nil {
		t.Fatal(err)
	}
	if want := (event.Trace{ID: [16]byte([]byte(text[:16])), Span: [8]byte([]byte(text[16:]))}); d.ev.Trace != want {
		t.Errorf("trace = %v, want %v", d.ev.Trace, want)
	}
	if err := d.decode(newSample(event.OpenAt, 0).b); err != nil {
		t.Fatal(err)
	}
	if d.ev.Trace != (event.Trace{}) {
		t.Errorf("the next sample, without a trace, has %v", d.ev.Trace)
	}
	if err := d.decode(newSample(event.OpenAt, 0).section(tagTrace, []byte(text[1:])).b); err == nil {
		t.Error("a trace that is cut off is taken")
	}
}
