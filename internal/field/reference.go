package field

import (
	"fmt"
	"slices"
	"strings"

	"github.com/windhover/windhover/internal/event"
)

// FieldsReference returns docs/fields.md: every field, by class.
func FieldsReference() string {
	var b strings.Builder
	b.WriteString(`# Fields

<!-- Made of the tables in internal/field by "make golden". -->

What a rule can ask of an event, in conditions and, after a ` + "`%`" + `, in outputs. A comparison with a field that has no value on an event is false, ` + "`!=`" + ` too.

Where the list shows an argument it is needed, unless the type says optional; what shows it after a dot takes it in brackets as well. A *list* has many values and takes ` + "`in`, `intersects` and `exists`" + `. *Any* means that one of the values has to satisfy the comparison; *either* is the same, but ` + "`!=`" + ` holds only if every value differs. Fields marked † load and never have a value: no source delivers them yet.
`)
	for i, f := range table {
		if i == 0 || table[i-1].Class != f.Class || !slices.Equal(table[i-1].Sources, f.Sources) {
			sources := "every source"
			if f.Sources != nil {
				sources = "source " + code(f.Sources)
			}
			fmt.Fprintf(&b, "\n## %s, of %s\n\n| field | type | meaning |\n|---|---|---|\n", f.Class, sources)
		}
		name := f.Name
		switch {
		case f.Arg != ArgNone && f.Dotted:
			name += ".NAME"
		case f.Arg != ArgNone:
			name += "[KEY]"
		}
		fmt.Fprintf(&b, "| `%s`%s | %s | %s |\n", name, mark(f.Missing), f.typeWords(), cell(f.remarks()))
	}
	return b.String()
}

func mark(missing bool) string {
	if missing {
		return " †"
	}
	return ""
}

// typeWords returns the type of f, and what a comparison with it means.
func (f *Field) typeWords() string {
	words := f.Kind.String()
	if f.Name == "evt.rawarg" {
		words = "of the parameter"
	}
	if f.Arg == ArgOptional {
		words += ", argument optional"
	}
	switch f.Match {
	case MatchAny:
		return words + ", any"
	case MatchEither:
		return words + ", either"
	case MatchList:
		return words + ", list"
	}
	return words
}

func (f *Field) remarks() string {
	text := f.Doc
	if f.Deprecated {
		text += " Deprecated."
	}
	if f.FilterOnly {
		text += " Made for conditions."
	}
	return text
}

// cell returns text as it may stand in a table.
func cell(text string) string {
	return strings.NewReplacer("|", "\\|", "<", "&lt;", ">", "&gt;", "\n", " ").Replace(text)
}

func code(words []string) string {
	return "`" + strings.Join(words, "`, `") + "`"
}

// EventsReference returns docs/events.md: every event type with its parameters.
func EventsReference() string {
	var b strings.Builder
	b.WriteString(`# Events

<!-- Made of the table in internal/event by "make golden". -->

What ` + "`evt.type`" + ` can be. An event is reported when the call returns. Its parameters are ` + "`evt.arg.NAME`" + ` and, in this order from 0, ` + "`evt.arg[N]`; `evt.rawarg.NAME`" + ` is their number or text as it was passed. Which calls are captured follows from the rules. Events of the reserved lane cannot be pushed out by a flood of others.

| event | meaning | category | lane | parameters |
|---|---|---|---|---|
`)
	var generic []string
	for i := range event.Specs() {
		s := &event.Specs()[i]
		switch {
		case s.Type == event.Unknown || s.Type == event.Proc:
			continue
		case s.Type > event.PluginEvent:
			generic = append(generic, s.Name)
			continue
		}
		lane := "bulk"
		if s.Lane == event.LaneReserved {
			lane = "reserved"
		}
		if s.Program == event.ProgramNone {
			lane = ""
		}
		var params []string
		for i := range s.Params {
			params = append(params, paramWords(&s.Params[i]))
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", s.Name, cell(s.Doc), s.Category, lane, strings.Join(params, ", "))
	}
	b.WriteString("\n## Names of flags\n\n| parameter type | names, in the order in which they are shown |\n|---|---|\n")
	for _, t := range flagTables() {
		var names []string
		for _, v := range t.Values {
			names = append(names, v.Name)
		}
		fmt.Fprintf(&b, "| %s | %s |\n", strings.ReplaceAll(t.Name, "_", "\\_"), code(names))
	}
	b.WriteString("\n## Other system calls\n\nThese are captured with their raw arguments: parameters `res`, and `arg0` to `arg5` in hexadecimal.\n\n")
	b.WriteString(code(generic) + "\n")
	return b.String()
}

func paramWords(p *event.Param) string {
	kind := paramKindNames[p.Kind]
	if p.Flags != nil {
		kind = strings.ReplaceAll(p.Flags.Name, "_", "\\_")
	}
	if p.From == event.None {
		kind += ", not delivered"
	}
	return fmt.Sprintf("`%s` (%s)", p.Name, kind)
}

var paramKindNames = [...]string{
	event.KindInt: "int", event.KindUint: "uint", event.KindHex: "hexadecimal", event.KindOct: "octal", event.KindErrno: "error",
	event.KindFD: "descriptor", event.KindPID: "process", event.KindUID: "user", event.KindGID: "group", event.KindSignal: "signal",
	event.KindPath: "path", event.KindRelPath: "path", event.KindText: "text", event.KindBytes: "bytes", event.KindFlags: "flags",
	event.KindEnum: "enumeration", event.KindTuple: "connection", event.KindAddr: "address", event.KindTime: "time",
}

// flagTables returns every table that a parameter refers to, in the order of the event
// table.
func flagTables() []*event.FlagTable {
	var tables []*event.FlagTable
	for _, s := range event.Specs() {
		for _, p := range s.Params {
			if p.Flags != nil && !slices.Contains(tables, p.Flags) {
				tables = append(tables, p.Flags)
			}
		}
	}
	return tables
}
