package otlp

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/windhover/windhover/internal/alert"
	"github.com/windhover/windhover/internal/document"
	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/field"
	"github.com/windhover/windhover/internal/ledger"
	"github.com/windhover/windhover/rules"
	"github.com/windhover/windhover/rules/output"
)

var update = flag.Bool("update", false, "write golden files")

// golden compares got with a file, or writes it with -update.
func golden(tb testing.TB, name string, got []byte) {
	tb.Helper()
	if *update {
		if err := os.WriteFile(name, got, 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		tb.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		tb.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// indented returns JSON that can be reviewed.
func indented(tb testing.TB, b []byte) []byte {
	tb.Helper()
	var out bytes.Buffer
	if err := json.Indent(&out, b, "", "  "); err != nil {
		tb.Fatal(err)
	}
	out.WriteByte('\n')
	return out.Bytes()
}

const (
	testTime     = 1_767_323_045_000_000_007
	testObserved = 1_767_323_045_000_900_000
)

var testResource = Resource{
	ServiceVersion: "1.2.3", HostName: "node-1", HostID: "0123456789abcdef", HostArch: "amd64",
	OSType: "linux", NodeName: "node-1.example", ClusterName: "shop",
}

var syscallSource = &event.Source{Name: "windhover_syscall", Type: "syscall"}

func text1(s string) field.Value { return field.Value{Kind: field.KindText, Text: s, Valid: true} }

func number(n int64) field.Value          { return field.Value{Kind: field.KindInt, Int: n, Valid: true} }
func uid(n byte) (u alert.UID)            { u[6], u[8], u[15] = 0x70, 0x80, n; return u }
func absent(k field.Kind) (v field.Value) { v.Kind = k; return v }

// openAlert is an alert on a file opened by a process in a container.
func openAlert() *alert.Alert {
	parent := &event.Process{PID: 4000}
	parent.SetImage(&event.Image{Name: []byte("nginx"), Cmdline: []byte("nginx -g daemon off;")})
	p := &event.Process{PID: 4711, Start: 99}
	image := &event.Image{
		Name: []byte("cat"), Exe: []byte("cat"), ExePath: []byte("/usr/bin/cat"),
		Args: [][]byte{[]byte("/etc/shadow"), []byte("\xff\xfe")}, Cmdline: []byte("cat /etc/shadow \xff\xfe"),
		CWD: []byte("/root/"), PPID: 4000, SID: 3999, PGID: 4711, VPID: 12, UID: 1000, EUID: 0, TTY: 34816,
		Cgroup: []byte("/kubepods/pod1/c1"), ContainerID: []byte("3ad7b26ded6d"), ContainerFullID: []byte("3ad7b26ded6d8e7b23da7d48fe889434573036c27ae5a74837233de441c3601e"), Container: new(event.ContainerRef), CloneTime: testTime - int64(time.Second),
	}
	p.SetImage(image)
	return &alert.Alert{
		UID: uid(1), Time: testTime, Observed: testObserved, Source: syscallSource, Generation: 7,
		Output: "Sensitive file opened (file=/etc/shadow)", Type: event.OpenAt,
		Rule: &rules.Rule{
			Name: "Sensitive file opened", Desc: "Somebody read passwords.", Source: "syscall", Priority: rules.Warning,
			Tags: []string{"host", "mitre_credential_access", "mitre_collection", "T1003.008", "T1552"},
			File: "linux.yaml", Hash: strings.Repeat("cd", 8), Fingerprint: strings.Repeat("ab", 32),
		},
		Fields: []alert.Field{
			{Name: "fd.name", Value: text1("/etc/shadow")},
			{Name: "proc.pid", Value: number(4711)},
			{Name: "proc.args", Value: field.Value{Kind: field.KindText, List: []string{"/etc/shadow", "\xff"}, Valid: true}},
			{Name: "proc.is_exe_writable", Value: field.Value{Kind: field.KindBool, Int: 1, Valid: true}},
			{Name: "fd.rip", Value: field.Value{Kind: field.KindIP, IP: netip.MustParseAddr("192.0.2.1"), Valid: true}},
			{Name: "evt.arg.arg0", Value: field.Value{Kind: field.KindUint, Int: -1, Valid: true}},
			{Name: "evt.share", Value: field.Value{Kind: field.KindFloat, Int: int64(math.Float64bits(0.5)), Valid: true}},
			{Name: "container.name", Value: absent(field.KindText)},
		},
		Proc: p, Image: image, Parent: parent.Image(), TID: 4712, UserID: 0, GroupID: 0,
		Has:   event.HasFile,
		File:  event.File{Path: []byte("/etc/shadow"), Ino: 131, Mode: 0o100640},
		Trace: event.Trace{ID: [16]byte{0: 0xab, 15: 1}, Span: [8]byte{0: 0xcd, 7: 2}},
		Facts: []alert.Field{{Name: "user.name", Value: text1("root")}, {Name: "fs.path.name", Value: text1("/etc/shadow")}},
	}
}

// connectAlert is an alert on a connection made by a process of the host.
func connectAlert() *alert.Alert {
	p := &event.Process{PID: 50}
	p.SetImage(&event.Image{Name: []byte("curl"), PPID: 1})
	sock := event.Socket{Family: afInet, Type: sockStream, Proto: protoTCP, Role: event.RoleClient, LocalPort: 40000, RemotePort: 443}
	copy(sock.LocalIP[:], []byte{10, 0, 0, 1})
	copy(sock.RemoteIP[:], []byte{192, 0, 2, 7})
	return &alert.Alert{
		UID: uid(2), Time: testTime, Observed: testObserved, Source: syscallSource, Generation: 7,
		Output: "Outbound connection", Type: event.Connect,
		Rule: &rules.Rule{Name: "Outbound connection", Source: "syscall", Priority: rules.Notice, File: "linux.yaml"},
		Proc: p, Image: p.Image(), TID: 50, UserID: 1000, Has: event.HasSock | event.HasAddr, Sock: sock,
	}
}

func auditAlert() *alert.Alert {
	return &alert.Alert{
		UID: uid(3), Time: testTime, Observed: testObserved,
		Source: &event.Source{Name: "windhover_k8saudit/a", Type: "k8s_audit"}, Generation: 7,
		Output: "Shell in a pod", Type: event.PluginEvent,
		Rule:   &rules.Rule{Name: "Shell in a pod", Source: "k8s_audit", Priority: rules.Emergency, Tags: []string{"TA0002", "t1609"}, File: "kubernetes-audit.yaml"},
		Fields: []alert.Field{{Name: "ka.user.name", Value: text1("mallory")}, {Name: "ka.target.name", Value: text1("web-0")}},
		Facts: []alert.Field{
			{Name: "ka.auditid", Value: text1("7f1d3f0e")},
			{Name: "ka.verb", Value: text1("create")},
			{Name: "ka.uri", Value: text1("/api/v1/namespaces/shop/pods/web-0/exec?command=sh")},
			{Name: "ka.user.name", Value: text1("mallory")},
			{Name: "ka.user.groups", Value: field.Value{Kind: field.KindText, List: []string{"system:authenticated"}, Valid: true}},
			{Name: "ka.target.resource", Value: text1("pods")},
			{Name: "ka.target.subresource", Value: text1("exec")},
			{Name: "ka.target.name", Value: text1("web-0")},
			{Name: "ka.target.namespace", Value: text1("shop")},
			{Name: "ka.response.code", Value: text1("101")},
			{Name: "ka.sourceips", Value: field.Value{Kind: field.KindText, List: []string{"192.0.2.7", "10.0.0.1"}, Valid: true}},
		},
	}
}

// documentAlert is the alert on a document of a source.
func documentAlert(tb testing.TB, sourceType, text string) *alert.Alert {
	tb.Helper()
	var d document.Document
	if err := d.Parse([]byte(text), document.Limits{}); err != nil {
		tb.Fatal(err)
	}
	tmpl, problems := output.Parse("it happened", sourceType)
	if len(problems) > 0 {
		tb.Fatal(problems)
	}
	a := alert.New(&event.Event{
		Type: event.PluginEvent, Time: testTime, Doc: &d, Source: &event.Source{Name: "windhover_json", Type: sourceType},
	}, &rules.Rule{Name: "It happened", Source: sourceType, Priority: rules.Notice, File: "cloud.yaml", Output: tmpl}, 7)
	a.Observed = testObserved
	return a
}

// cloudAlerts are alerts on events of cloud services, as these write them.
func cloudAlerts(tb testing.TB) []*alert.Alert {
	tb.Helper()
	return []*alert.Alert{
		documentAlert(tb, field.CloudTrail, `{"eventVersion":"1.08","eventID":"3038ebd2-c98a-4c65-9b6e-e22506292313","eventTime":"2026-01-02T03:04:05Z",
			"eventSource":"iam.amazonaws.com","eventName":"CreateUser","awsRegion":"us-east-1","sourceIPAddress":"192.0.2.0","userAgent":"aws-cli/2.15.0",
			"userIdentity":{"type":"IAMUser","principalId":"EXAMPLE6E4XEGITWATV6R","arn":"arn:aws:iam::777788889999:user/Mary_Major","accountId":"777788889999","userName":"Mary_Major"},
			"errorCode":"AccessDenied","recipientAccountId":"111122223333"}`),
		documentAlert(tb, field.Okta, `{"uuid":"8c4ba2c3-1f2b-11ee-9e47-4f6e2a1c7d50","published":"2026-01-02T03:04:05.123Z","eventType":"user.session.start",
			"actor":{"id":"00u1gwl6m0xdPyHIJ0h8","type":"User","alternateId":"jane@example.com","displayName":"Jane Doe"},
			"client":{"ipAddress":"192.0.2.1","userAgent":{"rawUserAgent":"Mozilla/5.0"}},"outcome":{"result":"FAILURE"}}`),
		documentAlert(tb, field.GitHub, `{"action":"publicized","repository":{"name":"shop","html_url":"https://github.com/example/shop","owner":{"login":"example"}},
			"sender":{"login":"octocat"},"webhook_type":"repository","webhook_delivery":"72d3162e-cc78-11e3-81ab-4c9367dc0958"}`),
		documentAlert(tb, field.GCPAudit, `{"insertId":"1ch5hxve1oao4","timestamp":"2026-01-02T03:04:05.678Z","protoPayload":{"authenticationInfo":{"principalEmail":"jane@example.com"},
			"requestMetadata":{"callerIp":"192.0.2.2","callerSuppliedUserAgent":"google-cloud-sdk"},"serviceName":"storage.googleapis.com","methodName":"storage.setIamPermissions",
			"resourceName":"projects/_/buckets/shop"},"resource":{"type":"gcs_bucket","labels":{"location":"europe-west1","project_id":"shop-1"}}}`),
		documentAlert(tb, field.JSON, `{"message": "hello"}`),
	}
}

func TestCloudAlerts(t *testing.T) {
	t.Parallel()
	b, err := (&plog.JSONMarshaler{}).MarshalLogs(EncodeAlerts(cloudAlerts(t), testResource))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, filepath.Join("testdata", "clouds.json"), indented(t, b))
}

// A record keeps its own resource, so what the alert knows of it stands beside it.
func TestAlertOnARecordKeepsFactsAboutTheResource(t *testing.T) {
	t.Parallel()
	a := auditAlert()
	a.Facts = append(a.Facts, alert.Field{Name: "ka.cluster.name", Value: text1("shop")})
	r := plog.NewLogRecord()
	PutAlert(r, a)
	if v, ok := r.Attributes().Get("k8s.cluster.name"); !ok || v.Str() != "shop" {
		t.Errorf("k8s.cluster.name = %q, want shop", v.AsString())
	}
}

func dropNotice() *alert.Alert {
	e := &ledger.Episode{
		Source: "windhover_syscall", Type: "syscall", Start: time.Unix(0, testTime), End: time.Unix(0, testTime+4e9),
		Peak: 700, Dropped: 1000, Produced: 8000, ByType: []ledger.TypeCount{{Type: event.OpenAt, Count: 990}, {Type: event.Execve, Count: 10}},
	}
	e.ByLane[event.LaneBulk], e.ByLane[event.LaneReserved] = 990, 10
	e.ByReason[ledger.DropRingFull] = 1000
	e.ByContainer = []ledger.ContainerCount{{Container: "3ad7b26ded6d", Count: 900}, {Container: ledger.Host, Count: 100}}
	return &alert.Alert{UID: uid(4), Time: testTime + 4e9, Observed: testObserved, Source: syscallSource, Generation: 7, Output: e.String(), Drop: e}
}

func foldNotice() *alert.Alert {
	first := connectAlert()
	a := alert.NewFoldNotice(first, &alert.Fold{
		UID: first.UID, Count: 99_999, First: testTime + 1e9, Last: testTime + 9e9, Reason: "window",
		Values:   []alert.FoldValues{{Name: "proc.pid", Texts: []string{"51", "52"}}},
		EventIDs: []string{"1767323046000000007/51", "1767323047000000007/52"},
	}, time.Unix(0, testTime+10e9))
	a.UID = uid(6)
	return a
}

func TestEncodeAlerts(t *testing.T) {
	t.Parallel()
	second := openAlert()
	second.UID = uid(5)
	logs := EncodeAlerts([]*alert.Alert{openAlert(), connectAlert(), auditAlert(), dropNotice(), second, foldNotice()}, testResource)
	b, err := (&plog.JSONMarshaler{}).MarshalLogs(logs)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, filepath.Join("testdata", "alerts.json"), indented(t, b))
	if got := logs.ResourceLogs().Len(); got != 2 {
		t.Errorf("there are %d resources, want the host and one container", got)
	}
	if got := logs.LogRecordCount(); got != 6 {
		t.Errorf("there are %d records, want 6", got)
	}
}

func TestSeverities(t *testing.T) {
	t.Parallel()
	var got []string
	for p := rules.Emergency; p <= rules.Debug; p++ {
		got = append(got, fmt.Sprintf("%s %d", p, severities[p]))
	}
	want := []string{"Emergency 21", "Alert 19", "Critical 18", "Error 17", "Warning 13", "Notice 10", "Informational 9", "Debug 5"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestThreatOf(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		tags []string
		want threat
	}{
		{"tags without a threat are none", []string{"host", "container", "T10", "TA1", "T1059.4", "Txxxx", "maturity_stable"}, threat{}},
		{"a tactic by name", []string{"mitre_execution"}, threat{[]string{"TA0002"}, []string{"Execution"}, nil}},
		{"a tactic by ID", []string{"TA0004"}, threat{[]string{"TA0004"}, []string{"Privilege Escalation"}, nil}},
		{"a tactic is not told twice", []string{"mitre_execution", "TA0002"}, threat{[]string{"TA0002"}, []string{"Execution"}, nil}},
		{"techniques with and without a part", []string{"T1059", "T1059.004"}, threat{nil, nil, []string{"T1059", "T1059.004"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, threatOf(tt.tags), cmp.AllowUnexported(threat{})); diff != "" {
				t.Errorf("threatOf(%q) (-want +got):\n%s", tt.tags, diff)
			}
		})
	}
}

func TestRecordsAreBounded(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", maxValueBytes)
	for _, tt := range []struct {
		name    string
		change  func(a *alert.Alert)
		dropped bool
	}{
		{"a long output is cut", func(a *alert.Alert) { a.Output = long }, false},
		{"a long value is cut", func(a *alert.Alert) { a.File.Path = []byte("/" + long) }, false},
		{"many long values are left out", func(a *alert.Alert) {
			for i := range 100 {
				a.Fields = append(a.Fields, alert.Field{Name: fmt.Sprint("f", i), Value: text1(long)})
			}
		}, true},
		{"many fields are left out", func(a *alert.Alert) {
			for i := range 100_000 {
				a.Fields = append(a.Fields, alert.Field{Name: fmt.Sprint("f", i), Value: number(1)})
			}
		}, true},
		{"a long list is cut", func(a *alert.Alert) {
			a.Fields = []alert.Field{{Name: "f", Value: field.Value{List: slices.Repeat([]string{"x"}, 100_000), Valid: true}}}
		}, false},
		{"many tags are cut", func(a *alert.Alert) {
			r := *a.Rule
			r.Tags = slices.Repeat([]string{"tag"}, 100_000)
			a.Rule = &r
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := openAlert()
			tt.change(a)
			logs := EncodeAlerts([]*alert.Alert{a}, testResource)
			record := logs.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
			if got := record.DroppedAttributesCount() > 0; got != tt.dropped {
				t.Errorf("dropped %d attributes", record.DroppedAttributesCount())
			}
			if n := record.Attributes().Len(); n > maxAttributes {
				t.Errorf("the record has %d attributes", n)
			}
			if !utf8.ValidString(record.Body().Str()) {
				t.Errorf("the body is cut in the middle of a character")
			}
			if n := (&plog.ProtoMarshaler{}).LogsSize(logs); n > 128<<10 {
				t.Errorf("the message has %d bytes", n)
			}
		})
	}
}

func TestEveryTextIsValidUTF8(t *testing.T) {
	t.Parallel()
	a := openAlert()
	a.Output = "\xff"
	b, err := (&plog.JSONMarshaler{}).MarshalLogs(EncodeAlerts([]*alert.Alert{a}, testResource))
	if err != nil {
		t.Fatal(err)
	}
	if !utf8.Valid(b) {
		t.Errorf("the message is not valid UTF-8: %q", b)
	}
}

func TestFactsHaveAPlace(t *testing.T) {
	t.Parallel()
	for _, name := range alert.FactNames() {
		// The pod of a request is worked out of several facts.
		if _, ok := facts[name]; !ok && name != "ka.target.pod.name" {
			t.Errorf("alerts carry %s, and no attribute does", name)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	alerts := make([]*alert.Alert, 128)
	for i := range alerts {
		alerts[i] = openAlert()
	}
	b.ReportAllocs()
	for b.Loop() {
		EncodeAlerts(alerts, testResource)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(alerts)), "ns/alert")
}

// TestEveryAttributeIsDocumented holds docs/alerts.md and what is sent together.
func TestEveryAttributeIsDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "alerts.md"))
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	full := openAlert()
	for name := range facts {
		keys = append(keys, facts[name].key)
		full.Facts = append(full.Facts, alert.Field{Name: name, Value: text1("1")})
	}
	logs := EncodeAlerts([]*alert.Alert{full, connectAlert(), auditAlert(), dropNotice(), foldNotice()}, testResource)
	EncodeAlerts(cloudAlerts(t), testResource).ResourceLogs().MoveAndAppendTo(logs.ResourceLogs())
	for _, rl := range logs.ResourceLogs().All() {
		for k := range rl.Resource().Attributes().All() {
			keys = append(keys, k)
		}
		for _, r := range rl.ScopeLogs().At(0).LogRecords().All() {
			for k := range r.Attributes().All() {
				keys = append(keys, k)
			}
		}
	}
	for _, k := range slices.Compact(slices.Sorted(slices.Values(keys))) {
		if !bytes.Contains(page, []byte("`"+k+"`")) {
			t.Errorf("docs/alerts.md does not mention %s", k)
		}
	}
	for m := range bytes.SplitSeq(page, []byte("`")) {
		name := string(m)
		if documented := strings.Count(name, ".") > 0 && !strings.ContainsAny(name, " \n|"); documented && !slices.Contains(keys, name) &&
			!slices.Contains([]string{EventAlert, EventAlertsFolded, EventEventsDropped, "T1059.004"}, name) {
			t.Errorf("docs/alerts.md mentions %s, which no alert has", name)
		}
	}
}
