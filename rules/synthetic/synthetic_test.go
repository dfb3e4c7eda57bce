package synthetic

import (
	"strings"
	"testing"

	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/field"
)

func TestFieldsReadTheEventOfTheLastParse(t *testing.T) {
	t.Parallel()
	var e Events
	get := func(name string) string {
		f, err := e.Lookup(name, field.Syscall)
		if err != nil {
			t.Fatal(err)
		}
		b, ok := field.AppendValueText(nil, f, &e.event)
		if !ok {
			return "-"
		}
		return string(b)
	}
	for _, tt := range []struct{ name, event, field, want string }{
		{"a text", `{"proc.name": "bash"}`, "proc.name", "bash"},
		{"an empty text", `{"proc.name": ""}`, "proc.name", ""},
		{"a field that is absent", `{}`, "proc.name", "-"},
		{"a field without a value", `{"proc.name": null}`, "proc.name", "-"},
		{"a number", `{"proc.pid": 7}`, "proc.pid", "7"},
		{"a large number", `{"proc.duration": 18446744073709551615}`, "proc.duration", "18446744073709551615"},
		{"a truth value", `{"evt.is_open_write": true}`, "evt.is_open_write", "true"},
		{"an address", `{"fd.sip": "::1"}`, "fd.sip", "::1"},
		{"a field with an argument", `{"proc.env[HOME]": "/root"}`, "proc.env[HOME]", "/root"},
		{"every ancestor", `{"proc.aname": ["a", "b"]}`, "proc.aname", "a b"},
		{"one ancestor of the list", `{"proc.aname": ["a", "b"]}`, "proc.aname[2]", "b"},
		{"an ancestor past the list", `{"proc.aname": ["a", "b"]}`, "proc.aname[3]", "-"},
		{"a field that no source delivers", `{"container.image.repository": "x"}`, "container.image.repository", "x"},
		{"the type", `{"evt.type": "execve"}`, "evt.type", "execve"},
	} {
		if _, err := e.Parse([]byte(tt.event)); err != nil {
			t.Errorf("%s: Parse(%s): %v", tt.name, tt.event, err)
			continue
		}
		if got := get(tt.field); got != tt.want {
			t.Errorf("%s: field %s of %s is %q, want %q", tt.name, tt.field, tt.event, got, tt.want)
		}
	}
}

func TestParseSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	var e Events
	for text, want := range map[string]string{
		`{"proc.nmae": 1}`:                      `no field "proc.nmae"`,
		`{"proc.pid": "x"}`:                     `not a value of kind int`,
		`{"proc.name": ["a"]}`:                  `one value, not a list`,
		`{"proc.name": {}}`:                     `takes a text, a number or a truth value`,
		`{"fd.sip": "x"}`:                       `is not an address`,
		`{"evt.type": "opne"}`:                  `no event type "opne"`,
		`{} {}`:                                 `more than one object`,
		`[`:                                     `read event:`,
		`{"source": "syscall", "ka.verb": "x"}`: `ka.verb`,
	} {
		if _, err := e.Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%s): %v, want an error with %q", text, err, want)
		}
	}
}

func TestSourcesHaveTheirTypeOfEvents(t *testing.T) {
	t.Parallel()
	var e Events
	ev, err := e.Parse([]byte(`{"source": "k8s_audit", "ka.verb": "get"}`))
	if err != nil {
		t.Fatal(err)
	}
	if ev.Type != event.PluginEvent || ev.Source.Type != "k8s_audit" {
		t.Errorf("type %v of source %s, want pluginevent of k8s_audit", ev.Type, ev.Source.Type)
	}
}
