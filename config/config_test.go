package config

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

var types = map[Section][]string{
	Receivers:  {"windhover_syscall", "windhover_k8saudit"},
	Exporters:  {"windhover_console", "otlp_grpc", "otlp_http"},
	Extensions: {"windhover_rules", "file_storage"},
}

// load merges files given as texts, named 1.yaml, 2.yaml and so on.
func load(tb testing.TB, env []string, flags []Setting, files ...string) (*Loaded, error) {
	tb.Helper()
	variables := environment(env)
	var (
		layers   []layer
		problems Problems
	)
	for i, text := range files {
		l, ps := parseFile(string(rune('1'+i))+".yaml", []byte(text), variables)
		layers, problems = append(layers, l), append(problems, ps...)
	}
	return merge(Settings{Types: types, Env: env, Flags: flags}, variables, layers, problems)
}

func setting(tb testing.TB, s string) Setting {
	tb.Helper()
	st, err := ParseSetting(s)
	if err != nil {
		tb.Fatal(err)
	}
	return st
}

func TestLaterLayersWin(t *testing.T) {
	t.Parallel()
	const file = "server: {address: 'file:1'}\nshutdown_timeout: 3s\ntelemetry: {logs: {level: warn}}\n"
	for _, tt := range []struct {
		name, path string
		files      []string
		env, set   []string
		want       any
		origin     string
	}{
		{"nothing is set", "server::address", nil, nil, nil, "127.0.0.1:9464", "default"},
		{"a file wins over the default", "server::address", []string{file}, nil, nil, "file:1", "1.yaml:1:10"},
		{"a later file wins over an earlier one", "server::address", []string{file, "server:\n  address: second:1\n"}, nil, nil, "second:1", "2.yaml:2:3"},
		{"what a later file leaves out stays", "shutdown_timeout", []string{file, "server: {address: x:1}"}, nil, nil, "3s", "1.yaml:2:1"},
		{"a variable wins over files", "server::address", []string{file}, []string{"WINDHOVER_SERVER__ADDRESS=env:1"}, nil, "env:1", "WINDHOVER_SERVER__ADDRESS"},
		{"a flag wins over all", "server::address", []string{file}, []string{"WINDHOVER_SERVER__ADDRESS=env:1"}, []string{"server::address=flag:1"}, "flag:1", "--set"},
		{"the last flag wins", "server::address", nil, nil, []string{"server.address=a:1", "server.address=b:1"}, "b:1", "--set"},
		{"dots separate levels where :: does not", "telemetry::logs::level", []string{file}, nil, []string{"telemetry.logs.level=debug"}, "debug", "--set"},
		{"an address is no YAML mapping", "server::address", nil, nil, []string{"server::address=[::]:9464"}, "[::]:9464", "--set"},
		{"a number is a number", "memory_limit", nil, []string{"WINDHOVER_MEMORY_LIMIT=1048576"}, nil, 1048576, "WINDHOVER_MEMORY_LIMIT"},
		{"an empty text is a text", "server::address", nil, []string{"WINDHOVER_SERVER__ADDRESS="}, nil, "", "WINDHOVER_SERVER__ADDRESS"},
		{"a component's key", "receivers::windhover_syscall::bulk_size", nil, []string{"WINDHOVER_RECEIVERS__WINDHOVER_SYSCALL__BULK_SIZE=4096"}, nil, 4096, "WINDHOVER_RECEIVERS__WINDHOVER_SYSCALL__BULK_SIZE"},
		{"a list", "extensions::windhover_rules::files", nil, nil, []string{"extensions.windhover_rules.files=[a.yaml, b.yaml]"}, []any{"a.yaml", "b.yaml"}, "--set"},
		{"a named component by its variable", "receivers::windhover_k8saudit/a::path", []string{"receivers: {windhover_k8saudit/a: {path: /x}}"}, []string{"WINDHOVER_RECEIVERS__WINDHOVER_K8SAUDIT_A__PATH=/y"}, nil, "/y", "WINDHOVER_RECEIVERS__WINDHOVER_K8SAUDIT_A__PATH"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var flags []Setting
			for _, s := range tt.set {
				flags = append(flags, setting(t, s))
			}
			l, err := load(t, tt.env, flags, tt.files...)
			if err != nil {
				t.Fatal(err)
			}
			got := at(l.tree, tt.path)
			if d, ok := got.(time.Duration); ok {
				got = d.String()
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.path, diff)
			}
			if got := l.Origin(tt.path).String(); got != tt.origin {
				t.Errorf("origin of %s = %q, want %q", tt.path, got, tt.origin)
			}
		})
	}
}

func TestSectionsOfFilesReplaceTheDefaultComponents(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, file string
		set        []string
		want       map[Section][]string
	}{
		{
			"without a file", "", nil,
			map[Section][]string{Receivers: {"windhover_syscall"}, Exporters: {"windhover_console"}, Extensions: {"windhover_rules"}},
		},
		{
			"a file that names receivers is all there is", "receivers: {windhover_k8saudit: }", nil,
			map[Section][]string{Receivers: {"windhover_k8saudit"}, Exporters: {"windhover_console"}, Extensions: {"windhover_rules"}},
		},
		{
			"extensions are added", "extensions: {file_storage: {directory: /x}}", nil,
			map[Section][]string{Receivers: {"windhover_syscall"}, Exporters: {"windhover_console"}, Extensions: {"file_storage", "windhover_rules"}},
		},
		{
			"a flag adds", "",
			[]string{"exporters.otlp_grpc.endpoint=x:1"},
			map[Section][]string{Receivers: {"windhover_syscall"}, Exporters: {"otlp_grpc", "windhover_console"}, Extensions: {"windhover_rules"}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var flags []Setting
			for _, s := range tt.set {
				flags = append(flags, setting(t, s))
			}
			l, err := load(t, nil, flags, tt.file)
			if err != nil {
				t.Fatal(err)
			}
			got := map[Section][]string{}
			for _, s := range sections {
				got[s] = l.IDs(s)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("components (-want +got):\n%s", diff)
			}
		})
	}
}

func TestVariablesOfOthersAreNotOurs(t *testing.T) {
	t.Parallel()
	env := []string{"WINDHOVER_PORT=tcp://10.0.0.1:80", "WINDHOVER_SERVICE_HOST=10.0.0.1", "PATH=/bin", "=C:=C:\\"}
	l, err := load(t, env, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Default(), l.Config); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
}

func TestVariablesInFiles(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, value, want string }{
		{"is put in", "${env:HOST}:9464", "box:9464"},
		{"has a default if it is missing", "${env:NONE:-x}:1", "x:1"},
		{"may be empty", "${env:EMPTY:-x}", ""},
		{"needs no env:", "${HOST}", "box"},
		{"is not looked for behind two dollars", "$${env:HOST}", "${env:HOST}"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l, err := load(t, []string{"HOST=box", "EMPTY="}, nil, "server: {address: '"+tt.value+"'}")
			if err != nil {
				t.Fatal(err)
			}
			if got := l.Config.Server.Address; got != tt.want {
				t.Errorf("address %s = %q, want %q", tt.value, got, tt.want)
			}
		})
	}
	l, err := load(t, []string{"LIMIT=4096"}, nil, "memory_limit: ${env:LIMIT}")
	if err != nil {
		t.Fatal(err)
	}
	if got := l.Config.MemoryLimit; got != 4096 {
		t.Errorf("memory limit = %d, want the number 4096", got)
	}
}

func TestMistakesAreReportedAllAtOnce(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, file string
		env, set   []string
		want       string
	}{
		{
			"an unknown key at the top", "servr: {address: x}", nil, nil,
			`1.yaml:1:1: servr: unknown key; did you mean "server"?`,
		},
		{
			"an unknown key below", "telemetry:\n  logs:\n    levell: warn\n", nil, nil,
			`1.yaml:3:5: telemetry::logs::levell: unknown key; did you mean "level"?`,
		},
		{
			"an unknown key in a variable", "",
			[]string{"WINDHOVER_SERVER__ADRESS=x:1", "WINDHOVER_RECEIVER__X=1"},
			nil,
			"WINDHOVER_RECEIVER__X: no key \"RECEIVER\"; did you mean \"RECEIVERS\"?\n" +
				`WINDHOVER_SERVER__ADRESS: server::adress: unknown key; did you mean "address"?`,
		},
		{
			"an unknown key in a flag", "", nil,
			[]string{"server.adress=x:1"},
			`--set: server::adress: unknown key; did you mean "address"?`,
		},
		{
			"a type that no component has", "receivers:\n  windhover_sycall: {}\n", nil, nil,
			`1.yaml:2:3: receivers::windhover_sycall: no receiver of type "windhover_sycall"; did you mean "windhover_syscall"?`,
		},
		{
			"several", "server: 7\nexporters: {otlp_grpc/: {}}\n", nil, nil,
			"1.yaml:1:1: server: expected a map or struct, got \"int\"\n" +
				"1.yaml:2:13: exporters::otlp_grpc/: not the ID of a component, which is type or type/name: in \"otlp_grpc/\" id: the part after / should not be empty",
		},
		{
			"a value out of range", "telemetry:\n  metrics:\n    interval: 1ms\n  logs: {level: warm}\n", nil, nil,
			"1.yaml:3:5: telemetry::metrics::interval: 1ms is less than 1s\n" +
				`1.yaml:4:10: telemetry::logs::level: "warm" is none of [debug info warn error]; did you mean "warn"?`,
		},
		{
			"an exporter that is not configured", "alerts:\n  exporters: [windhover_consol]\n", nil, nil,
			`1.yaml:2:3: alerts::exporters: no exporter "windhover_consol"; did you mean "windhover_console"?`,
		},
		{
			"nothing to watch", "receivers:\n", nil, nil,
			`1.yaml:1:1: receivers: there is none, so there is nothing to watch`,
		},
		{"YAML that is none", "server: {address: x\n", nil, nil, `1.yaml:1: YAML: did not find expected ',' or '}'`},
		{"a key twice", "server: {}\nserver: {}\n", nil, nil, `1.yaml:2: YAML: mapping key "server" already defined at line 1`},
		{"a list", "- server\n", nil, nil, `1.yaml:1:1: is not a mapping of keys to values`},
		{"two documents", "server: {}\n---\nserver: {}\n", nil, nil, `1.yaml:2: has a second YAML document; a configuration is one: use several -c`},
		{
			"a variable that is not set", "server: {address: '${env:NONE}'}", nil, nil,
			`1.yaml:1:10: server::address: the environment has no NONE; set it, or write ${env:NONE:-} if it may be missing`,
		},
		{
			"a source of values that there is not", "server: {address: '${file:/x}'}", nil, nil,
			`1.yaml:1:10: server::address: ${file:/x}: only ${env:NAME} and ${env:NAME:-default} can be put in`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var flags []Setting
			for _, s := range tt.set {
				flags = append(flags, setting(t, s))
			}
			_, err := load(t, tt.env, flags, tt.file)
			var problems Problems
			if !errors.As(err, &problems) {
				t.Fatalf("load(%q) = %v, want problems", tt.file, err)
			}
			if diff := cmp.Diff(tt.want, problems.Error()); diff != "" {
				t.Errorf("load(%q) (-want +got):\n%s", tt.file, diff)
			}
		})
	}
}

func TestFilesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	huge := filepath.Join(t.TempDir(), "huge.yaml")
	if err := os.WriteFile(huge, make([]byte, maxFileSize+1), 0o600); err != nil {
		t.Fatal(err)
	}
	deep := filepath.Join(t.TempDir(), "deep.yaml")
	if err := os.WriteFile(deep, []byte("server: "+strings.Repeat("{a: ", 100)+strings.Repeat("}", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, file, want string }{
		{"missing", "/no/such.yaml", "/no/such.yaml: no such file or directory"},
		{"a directory", "/", "/: is a directory"},
		{"huge", huge, "larger than 1048576 bytes"},
		{"nested without end", deep, "nested more than 64 deep"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := Load(Settings{Files: []string{tt.file}, Types: types}); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Load(%s) = %v, want %q in it", tt.file, err, tt.want)
			}
		})
	}
}

func TestNullMeansEveryExporterAndAnEmptyListNone(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, file string
		null       bool
	}{
		{"nothing is set", "", true},
		{"null", "alerts: {exporters: null}", true},
		{"an empty list", "alerts: {exporters: []}", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l, err := load(t, nil, nil, tt.file)
			if err != nil {
				t.Fatal(err)
			}
			if got := l.Config.Alerts.Exporters; len(got) > 0 || (got == nil) != tt.null {
				t.Errorf("exporters of %q = %#v, want null: %v", tt.file, got, tt.null)
			}
		})
	}
}

func TestParseSettingRefusesWhatSetsNothing(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "server", "=x", "server::=x", "a..b=x"} {
		if got, err := ParseSetting(s); err == nil {
			t.Errorf("ParseSetting(%q) = %v, want an error", s, got)
		}
	}
}

// block is what a component's configuration may look like.
type block struct {
	Endpoint string         `mapstructure:"endpoint"`
	Count    int            `mapstructure:"count"`
	Inner    *inner         `mapstructure:"inner"`
	Squashed squashed       `mapstructure:",squash"`
	Headers  map[string]any `mapstructure:"headers"`
}

type inner struct {
	Timeout time.Duration `mapstructure:"timeout"`
}

type squashed struct {
	Level int `mapstructure:"level"`
}

func (s *squashed) Validate() error {
	if s.Level > 5 {
		return fmt.Errorf("level: %d is too high", s.Level)
	}
	return nil
}

func (b *block) Validate() error {
	if b.Count < 0 {
		return errors.New("count: must not be negative")
	}
	return nil
}

func TestDecodeNamesThePlaceOfAMistake(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, block, want string }{
		{"nothing is wrong", "{endpoint: x, inner: {timeout: 3s}, level: 2, headers: {any: x}}", ""},
		{"unknown key", "{endpont: x}", `1.yaml:1:25: exporters::otlp_grpc::endpont: unknown key; did you mean "endpoint"?`},
		{"unknown key below", "{inner: {timeoutt: 3s}}", `1.yaml:1:33: exporters::otlp_grpc::inner::timeoutt: unknown key; did you mean "timeout"?`},
		{"unknown key near one of a squashed struct", "{levell: 3}", `1.yaml:1:25: exporters::otlp_grpc::levell: unknown key; did you mean "level"?`},
		{"wrong type", "{count: many}", `1.yaml:1:25: exporters::otlp_grpc::count: expected type 'int', got unconvertible type 'string'`},
		{"wrong value in a squashed struct", "{level: 7}", `1.yaml:1:25: exporters::otlp_grpc::level: 7 is too high`},
		{"wrong value", "{count: -1}", `1.yaml:1:25: exporters::otlp_grpc::count: must not be negative`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l, err := load(t, nil, nil, "exporters: {otlp_grpc: "+tt.block+"}")
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if err := l.Decode(Exporters, "otlp_grpc", &block{}); err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Decode(%s) (-want +got):\n%s", tt.block, diff)
			}
		})
	}
}

func TestWriteSaysWhereEachValueWasSet(t *testing.T) {
	t.Parallel()
	l, err := load(t, []string{"WINDHOVER_TELEMETRY__LOGS__LEVEL=warn"}, []Setting{setting(t, "telemetry.metrics.exporters=[otlp_http/b]")},
		"server: {address: 'localhost:1'}\nexporters:\n  otlp_http/b:\n    endpoint: https://user:secret@host/otlp\n    headers: {a: b}\n")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := Write(&b, l.tree, l.Origins()); err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "merged.yaml")
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("Write (-want +got):\n%s", diff)
	}
	again, ps := parseFile("again.yaml", []byte(b.String()), nil)
	if len(ps) > 0 {
		t.Fatal(ps)
	}
	if got := at(again.values, "telemetry::logs::level"); got != "warn" {
		t.Errorf("level read from what was written = %v, want warn", got)
	}
}

func TestEnvNameAndBack(t *testing.T) {
	t.Parallel()
	tree := map[string]any{"receivers": map[string]any{"windhover_k8saudit/a.b": map[string]any{}}}
	const path = "receivers::windhover_k8saudit/a.b::path"
	name := EnvName(path)
	if want := "WINDHOVER_RECEIVERS__WINDHOVER_K8SAUDIT_A_B__PATH"; name != want {
		t.Errorf("EnvName(%q) = %q, want %q", path, name, want)
	}
	got, err := envPath(strings.Split(strings.TrimPrefix(name, EnvPrefix), "__"), tree)
	if err != nil || got != path {
		t.Errorf("envPath(%q) = %q, %v, want %q", name, got, err, path)
	}
}

func FuzzParseFile(f *testing.F) {
	f.Add([]byte("server: {address: x}\nreceivers:\n  windhover_syscall:\n"))
	f.Add([]byte("a: &a [x]\nb: [*a, *a]\n"))
	f.Add([]byte("${env:X}: {1: ${env:X:-3}}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		l, problems := parseFile("f.yaml", text, map[string]string{"X": "1"})
		if len(problems) > 0 {
			return
		}
		loaded, err := merge(Settings{Types: types}, nil, []layer{l}, nil)
		if err != nil {
			return
		}
		// What is accepted is written as what is accepted, and means the same.
		var b strings.Builder
		if err := Write(&b, loaded.tree, func([]string) (string, string) { return "", "" }); err != nil {
			t.Fatalf("Write: %v", err)
		}
		again, problems := parseFile("again.yaml", []byte(strings.ReplaceAll(b.String(), "$", "$$")), nil)
		if len(problems) > 0 {
			t.Fatalf("read what was written: %v\n%s", problems, b.String())
		}
		reloaded, err := merge(Settings{Types: types}, nil, []layer{again}, nil)
		if err != nil {
			t.Fatalf("load what was written: %v\n%s", err, b.String())
		}
		if diff := cmp.Diff(loaded.Config.Server, reloaded.Config.Server); diff != "" {
			t.Errorf("server (-before +after):\n%s", diff)
		}
	})
}
