package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/plog"
)

// shared returns the path of a file of the shared data, or skips the test.
func shared(tb testing.TB, name string) string {
	tb.Helper()
	dir := os.Getenv("WINDHOVER_SHARED")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared")
	}
	path := filepath.Join(dir, filepath.FromSlash(name))
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		tb.Skipf("no conformance data: %v; set WINDHOVER_SHARED", err)
	}
	return path
}

// falcoLines returns the alerts of a replay with --output json, without the host.
func falcoLines(tb testing.TB, stdout string) []map[string]any {
	tb.Helper()
	list := []map[string]any{}
	for line := range strings.Lines(stdout) {
		var a map[string]any
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			tb.Fatalf("%s: %v", line, err)
		}
		if a["hostname"] == "" || a["hostname"] == nil {
			tb.Errorf("no hostname in %s", line)
		}
		delete(a, "hostname")
		list = append(list, a)
	}
	return list
}

// verdicts returns the alerts that Falco has for each document of an index.
func verdicts(tb testing.TB, index, source string) map[string][]map[string]any {
	tb.Helper()
	data, err := os.ReadFile(shared(tb, index))
	if err != nil {
		tb.Fatal(err)
	}
	var all struct {
		Documents map[string]struct{ Alerts []map[string]any }
	}
	if err := json.Unmarshal(data, &all); err != nil {
		tb.Fatal(err)
	}
	out := map[string][]map[string]any{}
	for name, d := range all.Documents {
		list := []map[string]any{}
		for _, a := range d.Alerts {
			a["source"] = source
			list = append(list, a)
		}
		out[name] = list
	}
	return out
}

func TestReplayAgreesWithFalco(t *testing.T) {
	t.Parallel()
	trail := filepath.Join(t.TempDir(), "trail.yaml")
	write(t, trail, trailRules)
	for _, tt := range []struct {
		index, dir, source, rules string
		known                     func(rule string) bool
	}{
		{"conformance/k8s-audit/public.json", "conformance/k8s-audit/public", "k8s_audit", shared(t, "peer-rules/k8s_audit_rules.yaml"), nil},
		{"conformance/k8s-audit/made.json", "conformance/k8s-audit/made", "k8s_audit", shared(t, "peer-rules/k8s_audit_rules.yaml"), nil},
		{"conformance/cloudtrail/made.json", "conformance/cloudtrail/made", "aws_cloudtrail", trail, func(rule string) bool {
			return strings.Contains(trailRules, "- rule: "+rule+"\n")
		}},
	} {
		t.Run(tt.dir, func(t *testing.T) {
			t.Parallel()
			alerts := 0
			for name, want := range verdicts(t, tt.index, tt.source) {
				code, stdout, stderr := windhover(t, t.Context(), nil, "replay", "--source", tt.source,
					"--rule-matching", "all", "--output", "json", "-r", tt.rules, filepath.Join(shared(t, tt.dir), name))
				if code != exitOK {
					t.Fatalf("replay %s: code %d: %s", name, code, stderr)
				}
				if tt.known != nil {
					some := []map[string]any{}
					for _, a := range want {
						if tt.known(a["rule"].(string)) {
							some = append(some, a)
						}
					}
					want = some
				}
				got := falcoLines(t, stdout)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", name, diff)
				}
				alerts += len(got)
			}
			if alerts == 0 {
				t.Error("no alerts were compared")
			}
		})
	}
}

// trailRules give the alerts of some rules that the CloudTrail documents were shown to.
const trailRules = `
- rule: Create AWS user
  desc: A user was made.
  condition: ct.name = CreateUser and not ct.error exists
  output: A new AWS user has been created (requesting user=%ct.user, requesting IP=%ct.srcip, AWS region=%ct.region, new user created=%ct.request.username)
  priority: INFO
  source: aws_cloudtrail
  tags: [cloud, aws, aws_iam]
- rule: Put Bucket ACL
  desc: The rights of a bucket were changed.
  condition: ct.name = PutBucketAcl and not ct.error exists
  output: The permissions on an existing bucket have been set using access control lists. (requesting user=%ct.user, requesting IP=%ct.srcip, AWS region=%ct.region, bucket name=%s3.bucket)
  priority: WARNING
  source: aws_cloudtrail
  tags: [cloud, aws, aws_s3]
`

const auditRule = `
- rule: exec
  desc: d
  condition: ka.verb = create and ka.target.subresource = exec
  output: exec by %ka.user.name in %ka.target.name from %ka.impuser.name groups %ka.user.groups
  priority: NOTICE
  source: k8s_audit
  tags: [b, a]
- rule: created
  desc: d
  condition: ka.verb = create
  output: created
  priority: INFO
  source: k8s_audit
- rule: deleted
  desc: d
  condition: ka.verb = delete
  output: deleted
  priority: INFO
  source: k8s_audit
`

// auditLine is an audit event on one line.
func auditLine(verb string) string {
	return fmt.Sprintf(`{"kind":"Event","auditID":"1","stage":"ResponseComplete","verb":%q,"user":{"username":"mallory","groups":["a","b"]},`+
		`"objectRef":{"resource":"pods","subresource":"exec","name":"web"},"stageTimestamp":"2026-01-02T03:04:05.000006Z"}`, verb)
}

func TestReplay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rules, audit := filepath.Join(dir, "rules.yaml"), filepath.Join(dir, "audit.log")
	write(t, rules, auditRule)
	write(t, audit, auditLine("create")+"\n"+auditLine("get")+"\n{\"kind\":\"Ev\n"+auditLine("create")+"\n{\"kind\":\"Event\"}\n")
	took := regexp.MustCompile(`in \S+ \(\d+ events/s\)`)
	for _, tt := range []struct {
		name, golden string
		args         []string
	}{
		{"text", "replay.txt", nil},
		{"the first rule only", "replay-first.txt", []string{"--rule-matching", "first"}},
		{"JSON", "replay.jsonl", []string{"--output", "json"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"replay", "--source", "k8s_audit", "-r", rules, audit}, tt.args...)
			code, stdout, stderr := windhover(t, t.Context(), nil, args...)
			if code != exitOK {
				t.Errorf("replay: code %d, want 0", code)
			}
			host, err := os.Hostname()
			if err != nil {
				t.Fatal(err)
			}
			text := strings.ReplaceAll(stdout, `"hostname":"`+host+`"`, `"hostname":"HOST"`) + "--\n" +
				took.ReplaceAllString(strings.ReplaceAll(stderr, dir, ""), "in TIME")
			golden(t, filepath.Join("testdata", tt.golden), filepath.ToSlash(text))
		})
	}
}

func TestReplayWritesOTLP(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rules, audit := filepath.Join(dir, "rules.yaml"), filepath.Join(dir, "audit.log")
	write(t, rules, auditRule)
	write(t, audit, strings.Repeat(auditLine("create")+"\n", 300))
	uids := map[string]int{}
	for range 2 {
		code, stdout, stderr := windhover(t, t.Context(), nil, "replay", "--source", "k8s_audit", "-r", rules, "--output", "otlp", audit)
		if code != exitOK {
			t.Fatalf("replay: code %d: %s", code, stderr)
		}
		records := 0
		for line := range strings.Lines(stdout) {
			logs, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs([]byte(line))
			if err != nil {
				t.Fatal(err)
			}
			records += logs.LogRecordCount()
			for _, r := range logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().All() {
				uid, _ := r.Attributes().Get("log.record.uid")
				uids[uid.Str()]++
			}
		}
		if records != 600 {
			t.Errorf("replay writes %d records, want 600", records)
		}
	}
	// The same document is the same alert, whenever it is played.
	if len(uids) != 2 {
		t.Errorf("%d different identifiers, want one for each of the 2 rules", len(uids))
	}
}

func TestReplayReadsStandardInput(t *testing.T) {
	t.Parallel()
	rules := filepath.Join(t.TempDir(), "rules.yaml")
	write(t, rules, auditRule)
	var out, errs bytes.Buffer
	c := &command{stdin: strings.NewReader(auditLine("delete")), stdout: &out, stderr: &errs}
	code := c.execute(t.Context(), []string{"replay", "--source", "k8s_audit", "-r", rules, "-"})
	if code != exitOK || !strings.Contains(out.String(), "deleted") {
		t.Errorf("replay of standard input: code %d, output %q\n%s", code, &out, &errs)
	}
}

func TestReplayTakesTheConfigurationOfRun(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rules, audit, config := filepath.Join(dir, "rules.yaml"), filepath.Join(dir, "audit.log"), filepath.Join(dir, "windhover.yaml")
	write(t, rules, auditRule)
	write(t, audit, auditLine("create"))
	write(t, config, `
extensions:
  windhover_rules:
    files: [`+rules+`]
    rule_matching: first
    select: [{disable: {rule: exec}}]
    append_output:
    - match: {source: k8s_audit}
      extra_output: by %ka.user.name
      extra_fields: [ka.verb]
`)
	type line struct {
		Rule, Output string
		Fields       map[string]any `json:"output_fields"`
	}
	appended := map[string]any{"ka.user.name": "mallory", "ka.verb": "create"}
	both := []line{
		{"exec", "exec by mallory in web from <NA> groups (a,b) by mallory", map[string]any{
			"ka.user.name": "mallory", "ka.verb": "create", "ka.target.name": "web", "ka.impuser.name": nil, "ka.user.groups": []any{"a", "b"},
		}},
		{"created", "created by mallory", appended},
	}
	for _, tt := range []struct {
		name string
		args []string
		want []line
	}{
		{"a file", []string{"-c", config}, both[1:]},
		{"a file and a setting", []string{"-c", config, "--set", "extensions::windhover_rules::select=[]"}, both[:1]},
		{"rule matching that is given wins", []string{"-c", config, "--set", "extensions::windhover_rules::select=[]", "--rule-matching", "all"}, both},
		{"rules that are given win", []string{"--set", "extensions::windhover_rules::files=[/no/such.yaml]", "-r", rules, "--set", "extensions::windhover_rules::rule_matching=first", "--set", "extensions::windhover_rules::append_output=[{extra_output: by %ka.user.name, extra_fields: [ka.verb]}]"}, both[:1]},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := windhover(t, t.Context(), nil, append([]string{"replay", "--source", "k8s_audit", "--output", "json", audit}, tt.args...)...)
			if code != exitOK {
				t.Fatalf("replay: code %d: %s", code, stderr)
			}
			var got []line
			for text := range strings.Lines(stdout) {
				var l line
				if err := json.Unmarshal([]byte(text), &l); err != nil {
					t.Fatalf("%s: %v", text, err)
				}
				delete(l.Fields, "evt.time")
				l.Output = strings.SplitN(l.Output, " ", 3)[2] // after the time and the priority
				got = append(got, l)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("alerts (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReplayMistakes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rules, audit := filepath.Join(dir, "rules.yaml"), filepath.Join(dir, "audit.log")
	write(t, rules, auditRule)
	write(t, audit, auditLine("delete"))
	for _, tt := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"no source", []string{"replay", audit}, exitUsage, `--source: no ""; there are aws_cloudtrail, gcp_auditlog, github, json, k8s_audit and okta`},
		{"a source without rules", []string{"replay", "--source", "okta", "-r", rules, audit}, exitUsage, "no rule is for source okta; there are rules for k8s_audit"},
		{"a file that is not there", []string{"replay", "--source", "k8s_audit", "-r", rules, filepath.Join(dir, "no.log"), audit}, exitFailed, "alerts: 1,"},
		{"a directory", []string{"replay", "--source", "k8s_audit", "-r", rules, dir}, exitFailed, "read " + dir},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			code, _, stderr := windhover(t, t.Context(), nil, tt.args...)
			if code != tt.code || !strings.Contains(stderr, tt.want) {
				t.Errorf("windhover %v: code %d, want %d with %q in\n%s", tt.args, code, tt.code, tt.want, stderr)
			}
		})
	}
}

func TestReplayEndsWhenNobodyReads(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("pipes of Windows end otherwise")
	}
	dir := t.TempDir()
	rules, audit := filepath.Join(dir, "rules.yaml"), filepath.Join(dir, "audit.log")
	write(t, rules, auditRule)
	write(t, audit, strings.Repeat(auditLine("delete")+"\n", 1000))
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Close() }()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	var errs bytes.Buffer
	c := &command{stdout: w, stderr: &errs}
	if code := c.execute(t.Context(), []string{"replay", "--source", "k8s_audit", "-r", rules, audit}); code != exitFailed {
		t.Errorf("replay to a pipe that nobody reads: code %d, want %d\n%s", code, exitFailed, &errs)
	}
}
