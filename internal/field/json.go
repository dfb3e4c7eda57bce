package field

import (
	"strconv"
	"strings"

	"github.com/windhover/windhover/internal/document"
	"github.com/windhover/windhover/internal/event"
)

// The source types whose events are documents.
const (
	K8sAudit   = "k8s_audit"
	CloudTrail = "aws_cloudtrail"
	Okta       = "okta"
	GitHub     = "github"
	GCPAudit   = "gcp_auditlog"
	JSON       = "json"
	Log        = "log"
)

// row is a field of a document as data: where its values are, and how they read.
type row struct {
	name string
	// path leads to the values. The index in the brackets of a field takes the place of
	// the first "[]" in it.
	path string
	doc  string
	// Exactly one is set: one reads the first value, each every value (a list), all the
	// values together (a list); number reads an unsigned number; key makes the reading for
	// one argument.
	one    func(*event.Event, document.Value) ([]byte, bool)
	each   func(*event.Event, [][]byte, document.Value) [][]byte
	all    func(*event.Event, [][]byte, []document.Value) [][]byte
	number func(*event.Event, document.Value) (int64, bool)
	key    func(arg string) func(*event.Event, document.Value) ([]byte, bool)

	indexed    bool // takes an index in brackets, if it likes
	deprecated bool
	hidden     bool
}

// documentFields makes the fields of rows. If gate is not empty, documents without a
// value there have none of them.
func documentFields(rows []row, gate string) []*Field {
	var g *document.Path
	if gate != "" {
		g = mustCompile(gate)
	}
	fields := make([]*Field, len(rows))
	for i := range rows {
		fields[i] = rows[i].field(g)
	}
	return fields
}

func mustCompile(expr string) *document.Path {
	p, err := document.CompilePath(expr)
	if err != nil {
		panic("BUG: field: " + err.Error())
	}
	return p
}

func (r row) field(gate *document.Path) *Field {
	f := &Field{
		Name: r.name, Kind: KindText, Doc: r.doc, Deprecated: r.deprecated, Hidden: r.hidden,
		Types: event.TypesOf(event.PluginEvent),
	}
	if r.key != nil {
		f.Arg = ArgRequired
		f.Bind = func(arg string) (*Field, error) {
			if arg == "" {
				return nil, errEmptyArg
			}
			b, one := f.bound(arg), r
			one.one = r.key(arg)
			one.read(b, mustCompile(r.path), gate)
			return b, nil
		}
		return f
	}
	r.read(f, mustCompile(r.path), gate)
	if r.indexed {
		f.Arg = ArgOptional
		f.Bind = func(arg string) (*Field, error) {
			if !isIndex(arg) {
				return nil, errIndex
			}
			b := f.bound(arg)
			r.read(b, mustCompile(strings.Replace(r.path, "[]", "["+arg+"]", 1)), gate)
			return b, nil
		}
	}
	return f
}

// isIndex reports whether s is a number as paths take it: no sign, no leading zero.
func isIndex(s string) bool {
	n, err := strconv.ParseUint(s, 10, 31)
	return err == nil && strconv.FormatUint(n, 10) == s
}

// read sets the accessor of f.
func (r row) read(f *Field, path, gate *document.Path) {
	in := func(ev *event.Event) bool {
		return ev.Doc != nil && (gate == nil || ev.Doc.Find(gate).Kind() != document.Absent)
	}
	switch {
	case r.number != nil:
		f.Kind = KindUint
		f.Int = func(ev *event.Event) (int64, bool) {
			if !in(ev) {
				return 0, false
			}
			v := ev.Doc.Find(path)
			if v.Kind() == document.Absent {
				return 0, false
			}
			return r.number(ev, v)
		}
	case r.all != nil:
		f.Match = MatchList
		f.AppendText = func(ev *event.Event, dst [][]byte) [][]byte {
			if in(ev) {
				dst = r.all(ev, dst, ev.Doc.FindAll(path))
			}
			return dst
		}
	case r.each != nil:
		f.Match = MatchList
		f.AppendText = func(ev *event.Event, dst [][]byte) [][]byte {
			if in(ev) {
				for _, v := range ev.Doc.FindAll(path) {
					dst = r.each(ev, dst, v)
				}
			}
			return dst
		}
	default:
		f.Text = func(ev *event.Event) ([]byte, bool) {
			if !in(ev) {
				return nil, false
			}
			v := ev.Doc.Find(path)
			if v.Kind() == document.Absent {
				return nil, false
			}
			return r.one(ev, v)
		}
	}
}

// text reads a string as it is and any other value as JSON; null is no value.
func text(_ *event.Event, v document.Value) ([]byte, bool) {
	return v.Text(), v.Kind() != document.Null
}

// rawText is text, but null reads null.
func rawText(_ *event.Event, v document.Value) ([]byte, bool) { return v.Text(), true }

// rawTexts reads one element of a list as rawText does.
func rawTexts(_ *event.Event, dst [][]byte, v document.Value) [][]byte { return append(dst, v.Text()) }

// always reads s wherever there is a value.
func always(s string) func(*event.Event, document.Value) ([]byte, bool) {
	b := []byte(s)
	return func(*event.Event, document.Value) ([]byte, bool) { return b, true }
}

var textTrue, textFalse = []byte("true"), []byte("false")

// textOf returns the text of a truth value.
func textOf(b bool) []byte {
	if b {
		return textTrue
	}
	return textFalse
}

var jsonFields = documentFields(jsonRows("json", false), "")

var jsonAliases = documentFields(jsonRows("jevt", true), "")

func jsonRows(class string, alias bool) []row {
	doc := func(s, of string) string {
		if alias {
			return "Another name of " + of + "."
		}
		return s
	}
	rows := []row{
		{
			name: class + ".value", doc: doc("The value at a JSON pointer: a string as it reads, any other value as JSON.", "json.value"),
			key: func(pointer string) func(*event.Event, document.Value) ([]byte, bool) {
				path := document.CompilePointer(pointer)
				return func(ev *event.Event, _ document.Value) ([]byte, bool) {
					v := ev.Doc.Find(path)
					return v.Text(), v.Kind() != document.Absent
				}
			},
		},
		{
			name: class + ".obj", doc: doc("The whole document, indented by two spaces.", "json.obj"),
			one: func(ev *event.Event, v document.Value) ([]byte, bool) {
				start := len(ev.Scratch)
				ev.Scratch = v.AppendIndented(ev.Scratch)
				return tail(ev, start), true
			},
		},
		{
			name: class + ".rawtime", doc: doc("The time of the event in nanoseconds since the Unix epoch.", "json.rawtime"),
			one: func(ev *event.Event, _ document.Value) ([]byte, bool) {
				start := len(ev.Scratch)
				ev.Scratch = strconv.AppendInt(ev.Scratch, ev.Time, 10)
				return tail(ev, start), true
			},
		},
	}
	return rows
}

// jsonGroups lists the fields of the other sources that report documents.
func jsonGroups() []group {
	return []group{
		{"json", nil, jsonFields},
		{"json", nil, jsonAliases},
		{"cloudtrail", []string{CloudTrail}, append(cloudtrailFields, imageIDs)},
		{"okta", []string{Okta}, oktaFields},
		{"github", []string{GitHub}, githubFields},
		{"gcpaudit", []string{GCPAudit}, gcpFields},
	}
}
