package field

import (
	"errors"
	"strconv"

	"github.com/windhover/windhover/internal/event"
)

var errPathSide = errors.New("not src or dst")

// paramNear returns a LookupError for a parameter that no event has.
func paramNear(name string) error {
	err := &LookupError{Msg: "no event has a parameter " + strconv.Quote(name)}
	best, most := "", len(name)/4+2
	for _, s := range event.Specs() {
		for i := range s.Params {
			if len(name) > 64 {
				break
			}
			if d := distance(name, s.Params[i].Name, most); d < most {
				best, most = s.Params[i].Name, d
			}
		}
	}
	if best != "" {
		err.Hint = "did you mean " + strconv.Quote(best) + "?"
	}
	return err
}

// bindTypeIs binds evt.type.is to the name of a type.
func bindTypeIs(b *Field, arg string) error {
	t, ok := event.TypeByName(arg)
	if !ok {
		if _, err := strconv.ParseUint(arg, 10, 16); err == nil {
			return &LookupError{Msg: "evt.type.is takes the name of a type, not a number"}
		}
		return &LookupError{Msg: "no event type " + strconv.Quote(arg)}
	}
	b.Int = func(ev *event.Event) (int64, bool) { return truth(ev.Type == t) }
	return nil
}

// bindArg binds evt.arg to the number or name of a parameter.
func bindArg(b *Field, arg string) error {
	if n, err := strconv.ParseUint(arg, 10, 8); err == nil {
		b.Text = func(ev *event.Event) ([]byte, bool) {
			params := ev.Type.Spec().Params
			if n >= uint64(len(params)) {
				return nil, false
			}
			return argText(ev, &params[n])
		}
		return nil
	}
	at, types, like := positionsOf(arg)
	if like == nil {
		return b.bindForeign(arg)
	}
	b.Types = types
	b.Text = func(ev *event.Event) ([]byte, bool) {
		p := at.of(ev)
		if p == nil {
			return nil, false
		}
		return argText(ev, p)
	}
	return nil
}

func argText(ev *event.Event, p *event.Param) ([]byte, bool) {
	start := len(ev.Scratch)
	var ok bool
	ev.Scratch, ok = appendArg(ev.Scratch, ev, p)
	return tail(ev, start), ok
}

// bindRawArg binds evt.rawarg to the name of a parameter. The parameter decides the
// kind of the field.
func bindRawArg(b *Field, arg string) error {
	at, types, like := positionsOf(arg)
	if like == nil {
		return b.bindForeign(arg)
	}
	b.Types = types
	b.Kind, b.Print = kindOfParam(like)
	if !isNumeric(like.Kind) {
		b.Text = func(ev *event.Event) ([]byte, bool) {
			p := at.of(ev)
			if p == nil {
				return nil, false
			}
			return paramBytes(ev, p)
		}
		return nil
	}
	b.Text = nil
	b.Int = func(ev *event.Event) (int64, bool) {
		p := at.of(ev)
		if p == nil {
			return 0, false
		}
		return paramNumber(ev, p)
	}
	return nil
}

// kindOfParam returns the kind of a field that is a parameter, and how it prints.
func kindOfParam(p *event.Param) (Kind, Print) {
	switch p.Kind {
	case event.KindText, event.KindTuple, event.KindAddr:
		return KindText, PrintDec
	case event.KindPath, event.KindRelPath:
		return KindPath, PrintDec
	case event.KindBytes:
		return KindBytes, PrintDec
	case event.KindHex:
		return KindUint, PrintHex
	case event.KindOct:
		return KindUint, PrintOct
	case event.KindFlags:
		if p.Flags == event.ChmodModeTable {
			return KindUint, PrintOct
		}
		return KindUint, PrintHex
	case event.KindUint, event.KindUID, event.KindGID, event.KindEnum, event.KindSignal:
		return KindUint, PrintDec
	case event.KindTime:
		return KindTime, PrintDec
	}
	return KindInt, PrintDec
}

// bindForeign binds the name of a parameter that the rule language knows and no event
// of ours has: it loads and never has a value.
func (f *Field) bindForeign(arg string) error {
	kind, ok := foreignParams[arg]
	if !ok {
		return paramNear(arg)
	}
	if f.Name == "evt.rawarg" {
		f.Kind = kind
	}
	f.Missing = true
	setMissing(f)
	return nil
}
