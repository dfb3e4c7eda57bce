package field

import (
	"errors"
	"strconv"
	"strings"

	"github.com/windhover/windhover/internal/event"
)

var errPathSide = errors.New("not src or dst")

// paramNames holds the name of every parameter that an event of ours has.
var paramNames = func() map[string]bool {
	names := make(map[string]bool)
	for _, s := range event.Specs() {
		for i := range s.Params {
			names[s.Params[i].Name] = true
		}
	}
	return names
}()

func isParam(name string) bool {
	_, foreign := foreignParams[name]
	return foreign || paramNames[name]
}

func isType(name string) bool {
	_, ok := event.TypeByName(name)
	return ok
}

// paramLen and typeLen return the length of the parameter or type that text begins with.
func paramLen(text string) int { return longestKnown(text, isParam) }
func typeLen(text string) int  { return longestKnown(text, isType) }

// wordLen returns the length of the letters and underscores that text begins with.
func wordLen(text string) int {
	n := 0
	for n < len(text) && isNameByte(text[n]) && (text[n] < '0' || text[n] > '9') {
		n++
	}
	return n
}

// sideLen returns the length of the side of evt.abspath that text begins with.
func sideLen(text string) int {
	if strings.HasPrefix(text, "src") || strings.HasPrefix(text, "dst") {
		return len("src")
	}
	return 0
}

// paramNear returns a LookupError for a parameter that no event has.
func paramNear(name string) error {
	err := &LookupError{Msg: "no event has a parameter " + strconv.Quote(name)}
	if len(name) > 64 {
		return err
	}
	best, most := "", len(name)/4+2
	for known := range paramNames {
		if d := distance(name, known, most+1); d < most || d == most && best != "" && known < best {
			best, most = known, d
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
