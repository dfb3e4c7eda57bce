package main

import (
	"bytes"
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

// windhover runs a command line in this process.
func windhover(tb testing.TB, ctx context.Context, env []string, args ...string) (code int, stdout, stderr string) { //nolint:revive // a test's TB comes first
	tb.Helper()
	var out, errs bytes.Buffer
	c := &command{stdout: &out, stderr: &errs, env: env}
	code = c.execute(ctx, args)
	return code, out.String(), errs.String()
}

func write(tb testing.TB, name, text string) {
	tb.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
}

// golden compares with a file, or writes it.
func golden(tb testing.TB, name, got string) {
	tb.Helper()
	if *update {
		write(tb, name, got)
	}
	want, err := os.ReadFile(name)
	if err != nil {
		tb.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		tb.Errorf("%s differs; run make golden and review (-want +got):\n%s", name, diff)
	}
}

func TestMistakesOnTheCommandLine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := filepath.Join(dir, "c.yaml")
	write(t, config, "receivers:\n  windhover_syscall:\n    rngs: {bulk: 65536}\nservr: {}\n")
	bad := filepath.Join(dir, "bad.yaml")
	write(t, bad, "- rule: r\n  desc: d\n  condition: proc.nmae = bash\n  output: o\n  priority: ERROR\n")
	for _, tt := range []struct {
		name string
		args []string
		code int
		want string // in stdout or stderr
	}{
		{"no such command", []string{"rnu"}, exitUsage, `no command "rnu"; did you mean "run"?`},
		{"no such flag", []string{"run", "--confg=x"}, exitUsage, "unknown flag: --confg; see windhover run --help"},
		{"an argument too many", []string{"version", "x"}, exitUsage, "windhover version --help"},
		{"an argument too few", []string{"check"}, exitUsage, "windhover check --help"},
		{"a setting that sets nothing", []string{"run", "--set", "server"}, exitUsage, `set "server": not of the form key=value`},
		{"an unknown key in a setting", []string{"config", "--set", "server.adress=x"}, exitUsage, `--set: server::adress: unknown key; did you mean "address"?`},
		{"rules that no extension holds", []string{"config", "--set", "receivers.windhover_syscall.rules=windhover_rules/x"}, exitUsage, `--set: receivers::windhover_syscall::rules: no extension "windhover_rules/x"; set extensions::windhover_rules/x`},
		{"offsets that no extension keeps", []string{"config", "--set", "receivers.windhover_k8saudit.files={include: [a.log], storage: file_storage}"}, exitUsage, `--set: receivers::windhover_k8saudit::files::storage: no extension "file_storage"; set extensions::file_storage`},
		{"an unknown key in a file", []string{"run", "-c", config}, exitUsage, config + `:4:1: servr: unknown key; did you mean "server"?`},
		{"an unknown format", []string{"run", "--output", "jsn"}, exitUsage, `--output: exporters::windhover_console::format: `},
		{"a configuration that is not there", []string{"run", "-c", "/no/such.yaml"}, exitUsage, "/no/such.yaml: no such file or directory"},
		{"rules with a mistake are not run", []string{"run", "-r", bad, "--set", "server.address="}, exitUsage, bad + `:3:14: `},
		{"rules with a mistake", []string{"check", bad}, exitFailed, bad + `:3:14: `},
		{"rules that are not there", []string{"check", "/no/such.yaml"}, exitFailed, "/no/such.yaml: read file: no such file or directory"},
		{"a field that is not there", []string{"fields", "proc.nmae"}, exitUsage, `no field starts with "proc.nmae"; did you mean "proc.name"?`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := windhover(t, t.Context(), nil, tt.args...)
			if code != tt.code || !strings.Contains(stdout+stderr, tt.want) {
				t.Errorf("windhover %v: code %d, want %d with %q in\n%s%s", tt.args, code, tt.code, tt.want, stdout, stderr)
			}
		})
	}
}

func TestUnknownKeyOfAComponentIsReportedWithItsPlace(t *testing.T) {
	t.Parallel()
	config := filepath.Join(t.TempDir(), "c.yaml")
	write(t, config, "receivers:\n  windhover_syscall:\n    rings: {blk: 65536}\nexporters:\n  otlp_grpc:\n    endpont: x:1\n")
	code, _, stderr := windhover(t, t.Context(), nil, "run", "-c", config)
	want := config + ":3:13: receivers::windhover_syscall::rings::blk: unknown key; did you mean \"bulk\"?\n" +
		config + ":6:5: exporters::otlp_grpc::endpont: unknown key; did you mean \"endpoint\"?\n"
	if diff := cmp.Diff(want, stderr); diff != "" || code != exitUsage {
		t.Errorf("run: code %d, want %d (-want +got):\n%s", code, exitUsage, diff)
	}
}

func TestConfigShowsWhereEachValueWasSet(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := filepath.Join(dir, "c.yaml")
	write(t, config, `
receivers:
  windhover_syscall: {on_error: restart}
exporters:
  windhover_console:
  otlp_grpc:
    endpoint: collector:4317
    headers: {authorization: "${env:TOKEN}"}
`)
	code, stdout, stderr := windhover(t, t.Context(),
		[]string{"TOKEN=secret", "WINDHOVER_RECEIVERS__WINDHOVER_SYSCALL__SHARDS=3"},
		"config", "-c", config, "-r", "my.yaml", "--output", "json", "--set", "telemetry.resource={team: red}")
	if code != exitOK || stderr != "" {
		t.Fatalf("config: code %d, want 0\n%s", code, stderr)
	}
	if strings.Contains(stdout, "secret") {
		t.Errorf("config shows a secret:\n%s", stdout)
	}
	golden(t, "testdata/config.yaml", strings.ReplaceAll(stdout, dir, ""))

	// What it prints is a configuration that means the same.
	again := filepath.Join(dir, "again.yaml")
	write(t, again, stdout)
	code, second, stderr := windhover(t, t.Context(), nil, "config", "-c", again)
	if code != exitOK {
		t.Fatalf("config of what config prints: code %d\n%s", code, stderr)
	}
	if diff := cmp.Diff(withoutComments(stdout), withoutComments(second)); diff != "" {
		t.Errorf("config of what config prints (-first +second):\n%s", diff)
	}
}

func withoutComments(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, " # ")
		b.WriteString(strings.TrimRight(line, "\n") + "\n")
	}
	return b.String()
}

func TestHelpTeaches(t *testing.T) {
	t.Parallel()
	var c command
	for _, cmd := range append(c.root().Commands(), c.root()) {
		if cmd.Short == "" {
			t.Errorf("%s has no line in the list of commands", cmd.Name())
		}
		if cmd.HasExample() || cmd.Name() == "version" || cmd.Name() == "preflight" {
			continue
		}
		t.Errorf("%s has no example", cmd.Name())
	}
}

func TestTablesArePrinted(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"version", []string{"version"}, "windhover unknown\n"},
		{"a field with its type and meaning", []string{"fields", "proc.exepath"}, "proc.exepath"},
		{"fields as JSON", []string{"fields", "proc.exepath", "--format", "json"}, `"name": "proc.exepath"`},
		{"fields of another source", []string{"fields", "--source", "k8s_audit", "ka.verb"}, "ka.verb"},
		{"an event with its parameters", []string{"events", "openat2"}, "openat2"},
		{"events as JSON", []string{"events", "openat2", "--format", "json"}, `"name": "openat2"`},
		{"the reference configuration", []string{"config", "--reference"}, "\nreceivers:\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := windhover(t, t.Context(), nil, tt.args...)
			if code != exitOK || !strings.Contains(stdout, tt.want) {
				t.Errorf("windhover %v: code %d, want %q in\n%s%s", tt.args, code, tt.want, stdout, stderr)
			}
		})
	}
}

func TestMemoryLimitOfTheControlGroup(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		group string            // /proc/self/cgroup
		files map[string]string // memory.max by group
		want  int64
	}{
		{"its own", "0::/a/b\n", map[string]string{"a/b": "100\n", "a": "max\n"}, 100},
		{"one above that is less", "0::/a/b\n", map[string]string{"a/b": "100\n", "a": "50\n"}, 50},
		{"that of a container, which sees its group as the root", "0::/\n", map[string]string{"": "70\n"}, 70},
		{"none", "0::/a\n", map[string]string{"a": "max\n"}, 0},
		{"none in version 1", "5:memory:/a\n", map[string]string{"a": "100\n"}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			writeBelow(t, root, "proc/self/cgroup", tt.group)
			for group, text := range tt.files {
				writeBelow(t, root, filepath.Join("sys/fs/cgroup", group, "memory.max"), text)
			}
			got, ok := groupLimit(root)
			if got != tt.want || ok != (tt.want != 0) {
				t.Errorf("groupLimit = %d, %v, want %d", got, ok, tt.want)
			}
		})
	}
}

func writeBelow(tb testing.TB, root, name, text string) {
	tb.Helper()
	name = filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		tb.Fatal(err)
	}
	write(tb, name, text)
}
