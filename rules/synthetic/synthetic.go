// Package synthetic makes events from what is written by hand: a JSON object whose keys
// are fields, any field of the rule language by name. Tests of rules use it, where the
// events of a real source are too many or too hard to cause. Start with Events.
package synthetic

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/field"
)

// Events makes synthetic events, one at a time, and finds fields that read them. Rules
// that match them are compiled with its Lookup. It is for one goroutine.
type Events struct {
	values map[string]value
	event  event.Event
}

// value is what a key of the object says: a list has one entry per element.
type value struct {
	texts [][]byte
	ints  []int64
	addrs []netip.Addr
}

// MaxSize bounds the text of one event.
const MaxSize = 1 << 20

// Parse makes the event that text describes. It and what fields read of it are valid
// until the next Parse. The key "source" names the source type and is "syscall" if it is
// absent; a key without a value, null, is a field without a value, as if it were absent.
func (e *Events) Parse(text []byte) (*event.Event, error) {
	if len(text) > MaxSize {
		return nil, fmt.Errorf("read event: larger than %d bytes", MaxSize)
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var object map[string]any
	if err := dec.Decode(&object); err != nil {
		return nil, fmt.Errorf("read event: %w", err)
	}
	if dec.More() {
		return nil, errors.New("read event: more than one object on a line")
	}
	source := field.Syscall
	if s, ok := object["source"].(string); ok {
		source = s
	}
	delete(object, "source")
	typ := event.PluginEvent
	if source == field.Syscall {
		typ = event.OpenAt
	}
	e.values = make(map[string]value, len(object))
	if name, ok := object["evt.type"].(string); ok {
		if typ, ok = event.TypeByName(name); !ok {
			return nil, fmt.Errorf("read event: no event type %q", name)
		}
	} else {
		e.values["evt.type"] = value{texts: [][]byte{[]byte(typ.String())}}
	}
	if source == field.Syscall {
		e.values["evt.dir"] = value{texts: [][]byte{[]byte("<")}} // as of every call
	}
	var errs []error
	for name, v := range object {
		if v == nil {
			continue
		}
		f, err := field.Lookup(name, source)
		if err == nil {
			err = e.set(f, v)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("read event: %w", err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	e.event = event.Event{
		Type: typ, Source: &event.Source{Name: "synthetic", Type: source}, Num: 1,
		Time: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC).UnixNano(),
	}
	if t, ok := e.values["evt.rawtime"]; ok && len(t.ints) == 1 {
		e.event.Time = t.ints[0]
	}
	return &e.event, nil
}

func (e *Events) set(f *field.Field, v any) error {
	elements := []any{v}
	if list, ok := v.([]any); ok {
		if f.Match == field.MatchOne {
			return fmt.Errorf("field %s has one value, not a list", f)
		}
		elements = list
	}
	var out value
	for _, x := range elements {
		if err := out.add(f, x); err != nil {
			return err
		}
	}
	e.values[f.String()] = out
	return nil
}

func (v *value) add(f *field.Field, x any) error {
	text := fmt.Sprint(x)
	switch x.(type) {
	case string, json.Number, bool:
	default:
		return fmt.Errorf("field %s takes a text, a number or a truth value, not %T", f, x)
	}
	var n int64
	var err error
	switch f.Kind {
	case field.KindText, field.KindPath, field.KindBytes:
		v.texts = append(v.texts, []byte(text))
		return nil
	case field.KindIP, field.KindNet:
		a, err := netip.ParseAddr(text)
		if err != nil {
			return fmt.Errorf("field %s: %q is not an address", f, text)
		}
		v.addrs = append(v.addrs, a)
		return nil
	case field.KindBool:
		var b bool
		if b, err = strconv.ParseBool(text); b {
			n = 1
		}
	case field.KindFloat:
		var d float64
		d, err = strconv.ParseFloat(text, 64)
		n = int64(math.Float64bits(d))
	case field.KindInt:
		n, err = strconv.ParseInt(text, 10, 64)
	default:
		var u uint64
		u, err = strconv.ParseUint(text, 10, 64)
		n = int64(u)
	}
	if err != nil {
		return fmt.Errorf("field %s: %q is not a value of kind %s", f, text, f.Kind)
	}
	v.ints = append(v.ints, n)
	return nil
}

// Lookup returns the field that text names, with accessors that read the event of the
// last Parse. It is what check.Checker and output.ParseWith take.
func (e *Events) Lookup(text, source string) (*field.Field, error) {
	f, err := field.Lookup(text, source)
	if err != nil {
		return nil, err
	}
	if f.Name == "evt.type" {
		return f, nil // the plan asks it for types without an event
	}
	g := *f
	g.Missing, g.Types = false, event.TypeSet{}
	g.Text, g.Int, g.IP, g.AppendText, g.AppendInt, g.AppendIP = nil, nil, nil, nil, nil, nil
	key, one := g.String(), g.Match == field.MatchOne
	read := func() value { return e.read(key) }
	switch g.Kind {
	case field.KindText, field.KindPath, field.KindBytes:
		if one {
			g.Text = func(*event.Event) ([]byte, bool) { return first(read().texts) }
		} else {
			g.AppendText = func(_ *event.Event, dst [][]byte) [][]byte { return append(dst, read().texts...) }
		}
	case field.KindIP, field.KindNet:
		if one {
			g.IP = func(*event.Event) (netip.Addr, bool) { return first(read().addrs) }
		} else {
			g.AppendIP = func(_ *event.Event, dst []netip.Addr) []netip.Addr { return append(dst, read().addrs...) }
		}
	default:
		if one {
			g.Int = func(*event.Event) (int64, bool) { return first(read().ints) }
		} else {
			g.AppendInt = func(_ *event.Event, dst []int64) []int64 { return append(dst, read().ints...) }
		}
	}
	return &g, nil
}

// read returns the value of a field. The ancestor at a position, as in proc.aname[2], is
// also part of the list without one.
func (e *Events) read(key string) value {
	if v, ok := e.values[key]; ok {
		return v
	}
	name, arg, ok := strings.Cut(key, "[")
	n, err := strconv.Atoi(strings.TrimSuffix(arg, "]"))
	if !ok || err != nil || n < 1 || !slices.Contains(ancestors, name) {
		return value{}
	}
	all := e.values[name]
	var v value
	if n <= len(all.texts) {
		v.texts = all.texts[n-1 : n]
	}
	if n <= len(all.ints) {
		v.ints = all.ints[n-1 : n]
	}
	return v
}

// ancestors are the fields that stand for every ancestor of a process, the parent first.
var ancestors = []string{"proc.aname", "proc.aexe", "proc.aexepath", "proc.acmdline", "proc.apid"}

func first[T any](vs []T) (v T, ok bool) {
	if len(vs) == 0 {
		return v, false
	}
	return vs[0], true
}
