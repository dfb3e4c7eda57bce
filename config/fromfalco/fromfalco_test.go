package fromfalco

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "write the table of docs/falco.md")

func convert(t *testing.T, text string) *Result {
	t.Helper()
	r, err := Convert(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestConvert(t *testing.T) {
	t.Parallel()
	const quiet = "rule_matching: all\nengine: {kind: nodriver}\n" // nothing of what an empty file means
	for _, tc := range []struct{ name, falco, want string }{
		{"an empty file means what Falco does without one", "", `{extensions: {windhover_rules: {rule_matching: first}}, receivers: {windhover_syscall: {}}}`},
		{"rules files stay in their order", quiet + "rules_files: [a.yaml, b.d]", `{extensions: {windhover_rules: {rule_matching: all, files: [a.yaml, b.d]}}}`},
		{"rules are turned off and on as before", quiet + "rules: [{disable: {tag: network}}, {enable: {rule: x*}}]", `{extensions: {windhover_rules: {rule_matching: all, select: [{disable: {tag: network}}, {enable: {rule: x*}}]}}}`},
		{"a preset becomes bytes", "rule_matching: all\nengine: {kind: modern_ebpf, modern_ebpf: {buf_size_preset: 5}}", `{extensions: {windhover_rules: {rule_matching: all}}, receivers: {windhover_syscall: {rings: {bulk: 16777216}}}}`},
		{"drops are told as before, in other units", "rule_matching: all\nsyscall_event_drops: {threshold: .1, actions: [log, alert], rate: .03333, max_burst: 1}", `{extensions: {windhover_rules: {rule_matching: all}}, receivers: {windhover_syscall: {drops: {threshold: 10.0, actions: [log, alert], interval: 30s, burst: 1}}}}`},
		{"a file of JSON", quiet + "json_output: true\nfile_output: {enabled: true, filename: /var/log/a.json}\njson_include_tags_property: false", `{exporters: {windhover_falco_json/file: {file: {path: /var/log/a.json}, include_tags: false}}, extensions: {windhover_rules: {rule_matching: all}}}`},
		{"a file of text", quiet + "file_output: {enabled: true, filename: /var/log/a.log}", `{exporters: {windhover_console/file: {path: /var/log/a.log, format: text}}, extensions: {windhover_rules: {rule_matching: all}}}`},
		{"an output that is off", quiet + "file_output: {enabled: false, filename: /var/log/a.log}\nstdout_output: {enabled: false}", `{extensions: {windhover_rules: {rule_matching: all}}}`},
		{"falcosidekick with a client certificate", quiet + "json_output: true\nhttp_output: {enabled: true, url: 'https://s:2801/', mtls: true, ca_cert: /ca.crt, client_cert: /c.crt, client_key: /c.key, compress_uploads: true, user_agent: falco}\noutput_timeout: 2000", `{exporters: {windhover_falco_json/http: {http: {endpoint: 'https://s:2801/', compression: gzip, headers: {User-Agent: falco}, tls: {ca_file: /ca.crt, cert_file: /c.crt, key_file: /c.key}}, timeout: 2s}}, extensions: {windhover_rules: {rule_matching: all}}}`},
		{"a program and its arguments", quiet + "program_output: {enabled: true, program: /usr/bin/page --team blue}", `{exporters: {windhover_falco_json/program: {program: {command: [/usr/bin/page, --team, blue]}}}, extensions: {windhover_rules: {rule_matching: all}}}`},
		{"the webhook of the k8saudit plugin", quiet + "load_plugins: [k8saudit]\nplugins: [{name: k8saudit, library_path: libk8saudit.so, init_config: {maxEventSize: 262144}, open_params: 'http://:9765/k8s-audit'}, {name: json, library_path: libjson.so}]", `{extensions: {windhover_rules: {rule_matching: all}}, receivers: {windhover_k8saudit: {endpoint: '0.0.0.0:9765', path: /k8s-audit, max_event_bytes: 262144}}}`},
		{"the fields of the json plugin are there", quiet + "load_plugins: [json]\nplugins: [{name: json, library_path: libjson.so}]", `{extensions: {windhover_rules: {rule_matching: all}}}`},
		{"a file of the cloudtrail plugin", quiet + "plugins: [{name: cloudtrail, open_params: /data/trail.json}]", `{extensions: {windhover_rules: {rule_matching: all}}, receivers: {windhover_json/cloudtrail: {source: aws_cloudtrail, files: {include: [/data/trail.json], start_at: beginning}}}}`},
		{"the web server", quiet + "webserver: {enabled: true, listen_port: 8765}", `{extensions: {windhover_rules: {rule_matching: all}}, server: {address: '0.0.0.0:8765'}}`},
		{"metrics that were off keep Windhover's interval", quiet + "metrics: {enabled: false, interval: 1h}", `{extensions: {windhover_rules: {rule_matching: all}}}`},
		{"metrics each hour, a quiet log", quiet + "metrics: {enabled: true, interval: 1h}\nlog_level: warning", `{extensions: {windhover_rules: {rule_matching: all}}, telemetry: {metrics: {interval: 1h}, logs: {level: warn}}}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var want map[string]any
			if err := yaml.Unmarshal([]byte(tc.want), &want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, convert(t, tc.falco).Config); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestConvertSaysWhatIsLost(t *testing.T) {
	t.Parallel()
	got := convert(t, `rule_matching: all
engine: {kind: nodriver}
capture: {enabled: true}
json_ouptut: true
syscall_event_drops: {threshold: .1}
plugins:
  - {name: cloudtrail, open_params: "s3://bucket/trail"}
  - {name: cloudtrail}
  - {name: github, open_params: "*"}
  - {name: k8saudit-eks, open_params: cluster}
program_output: {enabled: true, program: "jq . | mail root"}
`)
	var lines []string
	for _, n := range got.Notes {
		lines = append(lines, n.String())
	}
	want := []string{
		"3: capture.enabled: Not there: Windhover records no .scap files.",
		"4: json_ouptut: Falco 0.44 has no such key",
		"5: syscall_event_drops.threshold: left out: with this engine.kind no system calls are watched",
		"6: plugins: s3 is read by a receiver of a collector: see docs/collector.md",
		"6: plugins: cloudtrail has no open_params: give receivers::windhover_json/cloudtrail an endpoint, or files",
		"6: plugins: github: have the service post to a windhover_json with source: github and an endpoint, as its README says",
		"6: plugins: k8saudit-eks reads the log service of a cloud: have it delivered to the webhook or to the files of a windhover_k8saudit",
		`11: program_output.enabled: no shell reads the command: put "jq . | mail root" into a script and name that`,
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if from := got.From["exporters::windhover_falco_json/program::program"]; from != "program_output.enabled" {
		t.Errorf("the program comes from %q", from)
	}
}

func TestConvertRefuses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, text, want string }{
		{"what is no YAML", "a: [", "read configuration of Falco: yaml"},
		{"a list", "- a", "it is no configuration"},
		{"what is too large", strings.Repeat("#", maxBytes+1), "larger than"},
		{"a bomb", "a: &a [x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b, *b, *b, *b]\nd: &d [*c, *c, *c, *c, *c, *c, *c, *c]\ne: &e [*d, *d, *d, *d, *d, *d, *d, *d]\nf: &f [*e, *e, *e, *e, *e, *e, *e, *e]\ng: [*f, *f, *f, *f, *f, *f, *f, *f]\n", "excessive aliasing"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if _, err := Convert(strings.NewReader(tc.text)); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Convert() = %v, want an error with %q", err, tc.want)
			}
		})
	}
}

func FuzzConvert(f *testing.F) {
	f.Add("engine: {kind: modern_ebpf}\nplugins: [{name: k8saudit, open_params: 'http://:9765'}]")
	f.Add("webserver: {enabled: true, listen_port: [1]}\nsyscall_event_drops: {rate: 1e-300, actions: x}")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := Convert(strings.NewReader(text))
		if err != nil {
			return
		}
		for path := range r.From {
			if !(&carrier{conversion: &conversion{Result: *r}}).has(path) {
				t.Errorf("%s is said to be set and is not", path)
			}
		}
	})
}

// page is where people read the table.
const page = "../../docs/falco.md"

// TestPage keeps the table in docs/falco.md the same as Keys.
func TestPage(t *testing.T) {
	t.Parallel()
	const begin, end = "<!-- keys -->\n", "<!-- /keys -->\n"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, found := strings.Cut(string(text), begin)
	_, tail, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no place for the table: %q and %q", page, begin, end)
	}
	var b strings.Builder
	b.WriteString(head + begin + "| falco.yaml | Windhover | |\n|---|---|---|\n")
	for _, k := range Keys() {
		becomes := "—"
		if len(k.Becomes) > 0 {
			becomes = "`" + strings.Join(k.Becomes, "` `") + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", k.Name, becomes, k.Note)
	}
	b.WriteString(end + tail)
	if *update {
		if err := os.WriteFile(page, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(b.String(), string(text)); diff != "" {
		t.Errorf("%s is old: make golden (-want +got)\n%s", page, diff)
	}
}

// TestKeysSaySomething finds rows without an answer, and keys of Windhover that do not
// exist.
func TestKeysSaySomething(t *testing.T) {
	t.Parallel()
	reference, err := os.ReadFile("../windhover.yaml")
	if err != nil {
		t.Fatal(err)
	}
	// Keys of components that the reference only mentions are documented with them.
	readmes := string(reference) + "insecure_skip_verify" // of the Collector's TLS client
	for _, dir := range []string{"exporter/falcojsonexporter", "receiver/jsonreceiver", "receiver/k8sauditreceiver"} {
		text, err := os.ReadFile(filepath.Join("../..", dir, "README.md"))
		if err != nil {
			t.Fatal(err)
		}
		readmes += string(text)
	}
	for _, k := range Keys() {
		if len(k.Becomes) == 0 && k.Note == "" {
			t.Errorf("%s: nothing is said about it", k.Name)
		}
		if (k.carry == nil) != (len(k.Becomes) == 0) {
			t.Errorf("%s: what is said (%q) is not what is done", k.Name, k.Becomes)
		}
		for _, path := range k.Becomes {
			for level := range strings.SplitSeq(path, Delimiter) {
				if !regexp.MustCompile(`\b` + level + `\b`).MatchString(readmes) {
					t.Errorf("%s: %s: no component has a key %s", k.Name, path, level)
				}
			}
		}
	}
}

// TestEveryKeyOfFalco compares the table with the reference of falco.yaml.
func TestEveryKeyOfFalco(t *testing.T) {
	t.Parallel()
	shared := os.Getenv("WINDHOVER_SHARED")
	if shared == "" {
		shared = "../../../shared"
	}
	text, err := os.ReadFile(filepath.Join(shared, "reference/syscall-sets.md"))
	if err != nil {
		t.Skipf("the reference of falco.yaml is not here: %v", err)
	}
	_, section, _ := strings.Cut(string(text), "## 8. Configuration file")
	section, _, _ = strings.Cut(section, "### 8.1")
	var have []string
	for _, k := range Keys() {
		have = append(have, k.Name)
	}
	wanted := referenceKeys(section)
	if len(wanted) < 80 {
		t.Fatalf("the reference has %d keys only: its form has changed", len(wanted))
	}
	for _, name := range wanted {
		if !slices.Contains(have, name) {
			t.Errorf("nothing is said about %s", name)
		}
	}
	t.Logf("%d keys of the reference, %d rows", len(wanted), len(have))
}

// referenceKeys writes out the first column of the reference's table: "a.b / c" is a.b
// and a.c, "x[].y / z" is x, "h.*" stands for keys that the row names elsewhere.
func referenceKeys(section string) []string {
	var out []string
	for line := range strings.Lines(section) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 || strings.HasPrefix(cells[1], "---") || strings.TrimSpace(cells[1]) == "key" {
			continue
		}
		prefix := ""
		for name := range strings.SplitSeq(strings.NewReplacer(" / ", "\x00", ", ", "\x00").Replace(strings.TrimSpace(cells[1])), "\x00") {
			if before, _, list := strings.Cut(name, "["); list {
				out = append(out, before)
				break
			}
			name = strings.TrimSuffix(name, "{}")
			if before, all := strings.CutSuffix(name, ".*"); all {
				for _, m := range regexp.MustCompile(`(?:^|; |\| )([a-z_0-9]+) [^;|]+`).FindAllStringSubmatch(strings.Join(cells[2:], "|"), -1) {
					if before == "http_output" && m[1] != "rest" {
						out = append(out, before+"."+m[1])
					}
				}
				if before == "webserver" {
					for key := range strings.FieldsSeq("enabled threadiness listen_port listen_address k8s_healthz_endpoint ssl_enabled ssl_certificate prometheus_metrics_enabled") {
						out = append(out, before+"."+key)
					}
				}
				break
			}
			if !strings.Contains(name, ".") && prefix != "" {
				name = prefix + name
			} else if i := strings.LastIndex(name, "."); i >= 0 {
				prefix = name[:i+1]
			}
			out = append(out, name)
		}
	}
	return out
}
