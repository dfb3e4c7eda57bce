package output_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/field"
	"github.com/windhover/windhover/rules/output"
)

// shellEvent is bash, started by sshd, opening /etc/shadow.
func shellEvent() *event.Event {
	sshd := &event.Process{PID: 10, Start: 1}
	sshd.SetImage(&event.Image{Name: []byte("sshd"), Exe: []byte("/usr/sbin/sshd"), Cmdline: []byte("sshd -D"), ArgLine: []byte("-D"), Args: [][]byte{[]byte("-D")}})
	bash := &event.Process{PID: 20, Start: 2}
	bash.SetParent(sshd)
	bash.SetImage(&event.Image{
		Name: []byte("bash"), Exe: []byte("/bin/bash"), ExePath: []byte("/usr/bin/bash"), Cmdline: []byte("bash -c id"),
		ArgLine: []byte("-c id"), Args: [][]byte{[]byte("-c"), []byte("id")}, Env: [][]byte{[]byte("CODE=aGVsbG8")}, PPID: 10,
	})
	ev := &event.Event{
		Type: event.OpenAt, Source: &event.Source{Name: "live", Type: field.Syscall}, Time: 1700000000123456789, TID: 20, Ret: 3, Proc: bash,
		Has: event.HasFile, File: event.File{Path: []byte("/etc/shadow"), Mode: 0o100640},
	}
	ev.Args[2] = 0
	ev.Str[1] = []byte("/etc/shadow")
	return ev
}

func TestAppendText(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, format, want string }{
		{"literal text stays", "nothing to see", "nothing to see"},
		{"an empty format is empty", "", ""},
		{"a field is replaced", "file=%fd.name end", "file=/etc/shadow end"},
		{"a leading star is literal", "*%proc.name", "*bash"},
		{"a field may stand between other letters", "<%proc.name>", "<bash>"},
		{"fields may touch", "%proc.name%proc.pname", "bashsshd"},
		{"the longest name wins", "%proc.exepath", "/usr/bin/bash"},
		{"what follows the longest name is literal", "%proc.namex", "bashx"},
		{"a full stop after a field is literal", "by %proc.name.", "by bash."},
		{"numbers are decimal", "%proc.pid/%proc.ppid", "20/10"},
		{"booleans are words", "%evt.failed", "false"},
		{"an argument in brackets belongs to the field", "%proc.aname[1]", "sshd"},
		{"an argument after a dot belongs to the field", "%evt.arg.flags", "O_RDONLY"},
		{"a full stop after such an argument is literal", "%evt.arg.flags.", "O_RDONLY."},
		{"a quoted argument is unquoted", `%proc.env["CODE"]`, "aGVsbG8"},
		{"brackets after a field without arguments are literal", "%proc.name[1]", "bash[1]"},
		{"an open bracket after a field is literal", "%proc.name[", "bash["},
		{"all ancestors are separated by spaces", "%proc.aname", "sshd"},
		{"a missing value is <NA>", "%fd.sip and %proc.aname[7]", "<NA> and <NA>"},
		{"a width pads", "[%8proc.name]", "[bash    ]"},
		{"a width cuts", "[%2proc.name]", "[ba]"},
		{"a width fits a missing value", "[%6fd.sip]", "[<NA>  ]"},
		{"a width of zero is none", "[%0proc.name]", "[bash]"},
		{"toupper changes letters", "%toupper(proc.name)", "BASH"},
		{"tolower changes letters", "%tolower(evt.arg.flags)", "o_rdonly"},
		{"basename cuts the directory", "%basename(proc.exepath)", "bash"},
		{"len counts bytes", "%len(proc.name)", "4"},
		{"b64 decodes", "%b64(proc.env[CODE])", "hello"},
		{"b64 of what is not base64 is missing", "%b64(proc.cmdline)", "<NA>"},
		{"concat joins texts", `%concat(proc.pname,"/",proc.name)`, "sshd/bash"},
		{"concat with a missing part is missing", "%concat(proc.name,proc.aname[9])", "<NA>"},
		{"join separates a list", `%join("-",(proc.name,"x",proc.pid))`, "bash-x-20"},
		{"getopt lists options and values", `%getopt((proc.args[0],proc.args[1]),"c:")`, "(c,id)"},
		{"getopt with a letter gives the value", `%getopt((proc.args[0],proc.args[1]),"c:")[c]!`, "id!"},
		{"transformers nest", "%toupper(basename(proc.exepath))", "BASH"},
		{"a width applies to a transformer", "[%6toupper(proc.name)]", "[BASH  ]"},
		{"a parenthesis after a field is literal", "%proc.name(x)", "bash(x)"},
		{"the UTC clock is a text", "%evt.time.iso8601", "2023-11-14T22:13:20.123456789+0000"},
		{"a filter field shows what it has", "%fd.ip", "<NA>"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			template, problems := output.Parse(tt.format, field.Syscall)
			if problems != nil {
				t.Fatalf("Parse(%q): %+v", tt.format, problems)
			}
			if got := string(template.AppendText(nil, shellEvent())); got != tt.want {
				t.Errorf("output of %q\n got %q\nwant %q", tt.format, got, tt.want)
			}
			if got := template.String(); got != tt.format {
				t.Errorf("String() = %q, want %q", got, tt.format)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, format string
		want         []output.Problem
	}{
		{"an unknown field", "a %proc.nmae b", []output.Problem{{3, 9, `no field "proc.nmae"`, `did you mean "proc.name"?`}}},
		{"every unknown field", "%fd.nam %usr.name", []output.Problem{
			{1, 6, `no field "fd.nam"`, `did you mean "fd.name"?`},
			{9, 8, `no field "usr.name"`, `did you mean "user.name"?`},
		}},
		{"a percent sign at the end", "50%", []output.Problem{{2, 1, "no field after %", `"%" begins a field, as in %proc.name; there is no way to write the character itself`}}},
		{"a width at the end", "%5", []output.Problem{{0, 2, "no field after %", `"%" begins a field, as in %proc.name; there is no way to write the character itself`}}},
		{"two percent signs", "100%% sure", []output.Problem{{3, 2, "no field after %", `"%" begins a field, as in %proc.name; there is no way to write the character itself`}}},
		{"a huge width", "%99999999999999999999proc.name", []output.Problem{{1, 20, "width is too large", "it is at most 4096"}}},
		{"a field that needs an argument", "%evt.arg", []output.Problem{{1, 7, "field evt.arg needs an argument", "write evt.arg.NAME or evt.arg[NUMBER]"}}},
		{"a parameter of no event", "%evt.arg.flgs", []output.Problem{{1, 12, `no event has a parameter "flgs"`, `did you mean "flags"?`}}},
		{"a field of another source", "%ka.verb", []output.Problem{{1, 7, `source syscall has no field "ka.verb"`, "it belongs to source k8s_audit"}}},
		{"an unknown transformer", "%lower(proc.name)", []output.Problem{{1, 5, `no transformer "lower"`, "there are tolower, toupper, b64, basename, len, join, concat, getopt"}}},
		{"an unknown field in a transformer", "%tolower(proc.nme)", []output.Problem{{9, 8, `no field "proc.nme"`, `did you mean "proc.name"?`}}},
		{"a transformer without its end", "%tolower(proc.name", []output.Problem{{1, 8, "transformer has no closing parenthesis", ""}}},
		{"a transformer of a number", "%tolower(proc.pid)", []output.Problem{{1, 17, "transformer tolower takes a text", ""}}},
		{"a transformer of too many", "%tolower(proc.name,proc.pname)", []output.Problem{{1, 29, "transformer tolower takes one argument, not 2", ""}}},
		{"a transformer on what takes none", "%len(proc.aname)", []output.Problem{{5, 10, "field proc.aname takes no transformer", ""}}},
		{"brackets after tolower are literal, not an argument", "%concat(proc.name)", []output.Problem{{1, 17, "transformer concat takes at least two arguments", ""}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			template, got := output.Parse(tt.format, field.Syscall)
			if template != nil {
				t.Errorf("Parse(%q) returned a template and problems", tt.format)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Parse(%q) problems (-want +got):\n%s", tt.format, diff)
			}
		})
	}
}

func TestFieldsAreInOrderOfFirstUse(t *testing.T) {
	t.Parallel()
	template, problems := output.Parse("%user.name %toupper(proc.name) %user.name %proc.aname[2] %proc.aname[1] %evt.arg.fd", field.Syscall)
	if problems != nil {
		t.Fatal(problems)
	}
	var got []string
	for _, f := range template.Fields() {
		got = append(got, f.String())
	}
	want := []string{"user.name", "proc.name", "proc.aname[2]", "proc.aname[1]", "evt.arg.fd"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Fields (-want +got):\n%s", diff)
	}
}

func TestAWidthDoesNotCutACharacter(t *testing.T) {
	t.Parallel()
	ev := shellEvent()
	ev.File.Path = []byte("/tmp/é")
	template, _ := output.Parse("%6fd.name", field.Syscall)
	if got, want := string(template.AppendText(nil, ev)), "/tmp/ "; got != want {
		t.Errorf("output %q, want %q", got, want)
	}
}

func TestAppendTextDoesNotAllocate(t *testing.T) {
	ev := shellEvent()
	template, problems := output.Parse(`%evt.time %user.name %proc.cmdline %fd.name %proc.aname %evt.args `+
		`%toupper(proc.name) %concat(proc.name,"x") %join(",",(proc.name,proc.pid)) %getopt((proc.args[0],proc.args[1]),"c:") %len(proc.name)`, field.Syscall)
	if problems != nil {
		t.Fatal(problems)
	}
	dst := make([]byte, 0, 4096)
	run := func() {
		ev.Scratch, ev.ScratchList = ev.Scratch[:0], ev.ScratchList[:0]
		dst = template.AppendText(dst[:0], ev)
	}
	run()
	if n := testing.AllocsPerRun(100, run); n != 0 {
		t.Errorf("AppendText allocates %v times", n)
	}
}

func TestHostileFormatsEndQuickly(t *testing.T) {
	t.Parallel()
	for name, format := range map[string]string{
		"percent signs":      strings.Repeat("%", 1<<20),
		"unknown fields":     strings.Repeat("%a.b", 1<<18),
		"one long name":      "%" + strings.Repeat("a.", 1<<19),
		"open transformers":  strings.Repeat("%tolower(", 1<<17),
		"nested calls":       "%" + strings.Repeat("tolower(", 1<<17) + strings.Repeat(")", 1<<17),
		"brackets":           "%proc.name" + strings.Repeat("[", 1<<20),
		"quotes in brackets": "%proc.env[\"" + strings.Repeat("\\\"", 1<<19),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, problems := output.Parse(format, field.Syscall)
			if len(problems) > 50 {
				t.Errorf("%d problems, want at most 50", len(problems))
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add("%evt.time user=%user.name %5proc.name %toupper(proc.name) %%", "syscall")
	f.Add(`%join(", ",(proc.name,"a b")) %ka.verb %getopt((proc.name),"a:")[a]`, "k8s_audit")
	ev := shellEvent()
	f.Fuzz(func(t *testing.T, format, source string) {
		template, problems := output.Parse(format, source)
		if (template == nil) == (len(problems) == 0) {
			t.Fatalf("Parse(%q): template %v with %d problems", format, template, len(problems))
		}
		for _, p := range problems {
			if p.Offset < 0 || p.Len <= 0 || p.Offset+p.Len > len(format) || p.Msg == "" {
				t.Fatalf("Parse(%q): problem %+v is outside of the text", format, p)
			}
		}
		if template == nil {
			return
		}
		again, problems := output.Parse(template.String(), source)
		if problems != nil {
			t.Fatalf("Parse(%q) of its own text: %+v", format, problems)
		}
		ev.Scratch, ev.ScratchList = ev.Scratch[:0], ev.ScratchList[:0]
		first := string(template.AppendText(nil, ev))
		if second := string(again.AppendText([]byte("x"), ev)); second != "x"+first {
			t.Fatalf("Parse(%q) writes %q, then %q", format, first, second)
		}
		if utf8.ValidString(format) && !strings.Contains(format, "%") && first != format {
			t.Fatalf("literal %q became %q", format, first)
		}
	})
}

func BenchmarkAppendText(b *testing.B) {
	ev := shellEvent()
	template, problems := output.Parse("Sensitive file opened (file=%fd.name user=%user.name process=%proc.name parent=%proc.pname command=%proc.cmdline flags=%evt.arg.flags time=%evt.time)", field.Syscall)
	if problems != nil {
		b.Fatal(problems)
	}
	dst := make([]byte, 0, 1024)
	b.ReportAllocs()
	for b.Loop() {
		ev.Scratch = ev.Scratch[:0]
		dst = template.AppendText(dst[:0], ev)
	}
}
