package rulesprocessor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/ledger"
	"github.com/windhover/windhover/rules"
)

const testRules = `
- rule: Bad Login
  desc: A login failed.
  condition: log.body startswith "Failed password" and log.severity >= 9
  output: "login on %resource.attribute[host.name] failed by %log.attribute[user.name] in %scope.name (%log.trace_id)"
  priority: WARNING
  tags: [T1110]
  source: log
- rule: Any Login
  desc: A login was tried.
  condition: log.body contains password
  output: "login"
  priority: NOTICE
  source: log
- rule: Named in JSON
  desc: The body is JSON with a name.
  condition: json.value[/name] exists
  output: "name %json.value[/name]"
  priority: NOTICE
  source: log
- rule: Pod Deleted
  desc: A pod was deleted.
  condition: ka.verb = delete
  output: "%ka.user.name deleted %ka.target.name"
  priority: CRITICAL
  source: k8s_audit
- rule: Any Trail
  desc: A call.
  condition: ct.name exists
  output: "call %ct.name"
  priority: NOTICE
  source: aws_cloudtrail
`

// place is a host with rules and a book.
type place struct {
	tb   testing.TB
	live *rules.Live
	book ledger.Book
}

func newPlace(tb testing.TB, text string) *place {
	tb.Helper()
	set, report := rules.Compile([]rules.File{{Name: "test.yaml", Data: []byte(text)}}, rules.Options{})
	if set == nil {
		tb.Fatalf("compile rules: %v", report)
	}
	return &place{tb: tb, live: rules.NewLive(set)}
}

func (p *place) Live() *rules.Live                           { return p.live }
func (p *place) Start(context.Context, component.Host) error { return nil }
func (p *place) Shutdown(context.Context) error              { return nil }
func (p *place) Book() *ledger.Book                          { return &p.book }

func (p *place) GetExtensions() map[component.ID]component.Component {
	return map[component.ID]component.Component{component.MustNewID("windhover_rules"): p}
}

// start starts a processor and shuts it down with the test. Then its accounts balance.
func (p *place) start(change func(*Config), next consumer.Logs) processor.Logs {
	p.tb.Helper()
	c := createDefaultConfig().(*Config)
	if change != nil {
		change(c)
	}
	if err := confmap.Validate(c); err != nil {
		p.tb.Fatal(err)
	}
	l, err := NewFactory().CreateLogs(p.tb.Context(), processortest.NewNopSettings(component.MustNewType("windhover_rules")), c, next)
	if err != nil {
		p.tb.Fatal(err)
	}
	if err := l.Start(p.tb.Context(), p); err != nil {
		p.tb.Fatal(err)
	}
	accounts := p.book.Sources()
	p.tb.Cleanup(func() {
		if err := l.Shutdown(context.Background()); err != nil {
			p.tb.Error(err)
		}
		for _, s := range accounts {
			var snap ledger.Snapshot
			s.Snapshot(&snap)
			if err := snap.AtRest(); err != nil {
				p.tb.Error(err)
			}
			if _, alerts := snap.Matched(); alerts+snap.AllNotices() != snap.Acknowledged+snap.Failed[ledger.FailRefused]+snap.Failed[ledger.FailPermanent] {
				p.tb.Errorf("%s: %d alerts and notices, %d acknowledged, failed %v", s.Name(), alerts+snap.AllNotices(), snap.Acknowledged, snap.Failed)
			}
		}
		if n := len(p.book.Sources()); n != 0 {
			p.tb.Errorf("%d accounts are left in the book", n)
		}
	})
	return l
}

func (p *place) account(name string) *ledger.Snapshot {
	p.tb.Helper()
	for _, s := range p.book.Sources() {
		if s.Name() == name {
			var snap ledger.Snapshot
			s.Snapshot(&snap)
			return &snap
		}
	}
	p.tb.Fatalf("no account of %s", name)
	return nil
}

var (
	testTime  = time.Date(2024, 5, 13, 13, 13, 49, 123, time.UTC)
	testTrace = pcommon.TraceID{1, 2, 3, 15: 255}
	testSpan  = pcommon.SpanID{4, 7: 254}
)

// batch returns records with these bodies, of one resource and scope.
func batch(bodies ...string) plog.Logs {
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	rl.Resource().Attributes().PutStr("host.name", "h1")
	sl := rl.ScopeLogs().AppendEmpty()
	sl.Scope().SetName("sshd")
	for _, b := range bodies {
		lr := sl.LogRecords().AppendEmpty()
		lr.SetTimestamp(pcommon.NewTimestampFromTime(testTime))
		lr.SetSeverityNumber(plog.SeverityNumberInfo)
		lr.SetTraceID(testTrace)
		lr.SetSpanID(testSpan)
		lr.Attributes().PutStr("user.name", "eve")
		lr.Body().SetStr(b)
	}
	return ld
}

// first returns the first record of a batch.
func first(ld plog.Logs) plog.LogRecord {
	return ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
}

// lines describes every record: resource, scope, rule and body.
func lines(batches []plog.Logs) []string {
	var all []string
	for _, ld := range batches {
		for _, rl := range ld.ResourceLogs().All() {
			host, _ := rl.Resource().Attributes().Get("host.name")
			for _, sl := range rl.ScopeLogs().All() {
				scope := sl.Scope().Name()[strings.LastIndexByte(sl.Scope().Name(), '/')+1:]
				for _, lr := range sl.LogRecords().All() {
					s := host.Str() + " " + scope + ": " + lr.Body().AsString()
					if rule, ok := lr.Attributes().Get("security_rule.name"); ok {
						s += " [" + rule.Str() + "]"
					}
					all = append(all, s)
				}
			}
		}
	}
	return all
}

func TestModesPassOnWhatTheySay(t *testing.T) {
	t.Parallel()
	const trace = "010203000000000000000000000000ff"
	for _, tt := range []struct {
		mode string
		in   []plog.Logs
		want []string
	}{
		{modeAppend, []plog.Logs{batch("Failed password for eve", "hello"), batch("hello")}, []string{
			"h1 sshd: Failed password for eve", "h1 sshd: hello",
			"h1 windhover: login on h1 failed by eve in sshd (" + trace + ") [Bad Login]", "h1 windhover: login [Any Login]",
			"h1 sshd: hello",
		}},
		{modeAlertsOnly, []plog.Logs{batch("Failed password for eve", "hello"), batch("hello")}, []string{
			"h1 windhover: login on h1 failed by eve in sshd (" + trace + ") [Bad Login]", "h1 windhover: login [Any Login]",
		}},
		{modeAnnotate, []plog.Logs{batch("Failed password for eve", "a password", "hello")}, []string{
			"h1 sshd: Failed password for eve [Bad Login]", "h1 sshd: a password [Any Login]", "h1 sshd: hello",
		}},
	} {
		t.Run(tt.mode, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t, testRules)
			var sink consumertest.LogsSink
			l := p.start(func(c *Config) { c.Mode = tt.mode }, &sink)
			if got, want := l.Capabilities().MutatesData, tt.mode != modeAlertsOnly; got != want {
				t.Errorf("MutatesData = %v, want %v", got, want)
			}
			for _, ld := range tt.in {
				if err := l.ConsumeLogs(t.Context(), ld); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(tt.want, lines(sink.AllLogs())); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAlertHasResourceTraceAndTimeOfItsRecord(t *testing.T) {
	t.Parallel()
	p := newPlace(t, testRules)
	var sink consumertest.LogsSink
	l := p.start(func(c *Config) { c.Mode = modeAlertsOnly }, &sink)
	in := batch("Failed password")
	in.ResourceLogs().At(0).SetSchemaUrl("https://schema")
	first(in).SetFlags(plog.DefaultLogRecordFlags.WithIsSampled(true))
	if err := l.ConsumeLogs(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	out := sink.AllLogs()[0]
	if diff := cmp.Diff(map[string]any{"host.name": "h1"}, out.ResourceLogs().At(0).Resource().Attributes().AsRaw()); diff != "" {
		t.Errorf("resource (-want +got):\n%s", diff)
	}
	lr := first(out)
	for _, tt := range []struct {
		what      string
		got, want any
	}{
		{"schema", out.ResourceLogs().At(0).SchemaUrl(), "https://schema"},
		{"time", lr.Timestamp().AsTime(), testTime},
		{"trace", lr.TraceID(), testTrace},
		{"span", lr.SpanID(), testSpan},
		{"sampled", lr.Flags().IsSampled(), true},
		{"severity", lr.SeverityNumber(), plog.SeverityNumberWarn},
		{"event name", lr.EventName(), "windhover.alert"},
	} {
		if diff := cmp.Diff(tt.want, tt.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.what, diff)
		}
	}
}

func TestAnnotationNamesTheMostSevereRuleFirst(t *testing.T) {
	t.Parallel()
	p := newPlace(t, testRules)
	var sink consumertest.LogsSink
	l := p.start(func(c *Config) { c.Mode = modeAnnotate }, &sink)
	if err := l.ConsumeLogs(t.Context(), batch("Failed password")); err != nil {
		t.Fatal(err)
	}
	m := first(sink.AllLogs()[0]).Attributes().AsRaw()
	for key, want := range map[string]any{
		"user.name":                 "eve",
		"security_rule.name":        "Bad Login",
		"security_rule.description": "A login failed.",
		"windhover.rule.priority":   "Warning",
		"windhover.source.type":     "log",
		"windhover.rule.names":      []any{"Bad Login", "Any Login"},
		"threat.technique.id":       []any{"T1110"},
	} {
		if diff := cmp.Diff(want, m[key]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", key, diff)
		}
	}
}

func TestRecordsBelongToTheirSource(t *testing.T) {
	t.Parallel()
	const audit = `{"kind":"Event","auditID":"a","verb":"delete","user":{"username":"eve"},"objectRef":{"name":"p"}}`
	const trail = `{"Records":[{"eventName":"a"},{"eventName":"b"}]}`
	from := func(key, value string, ld plog.Logs) plog.Logs {
		first(ld).Attributes().PutStr(key, value)
		return ld
	}
	mixed := func(c *Config) {
		c.Source = none
		c.SourceAttribute = "source"
		c.Sources = []SourceConfig{
			{"k8s_audit", "log.attribute[file] startswith audit"},
			{none, "log.attribute[file] = junk"},
			{"aws_cloudtrail", "resource.attribute[host.name] = h1 and log.attribute[file] exists"},
		}
	}
	for _, tt := range []struct {
		name   string
		change func(*Config)
		in     plog.Logs
		want   []string
	}{
		{"by configuration", func(c *Config) { c.Source = "k8s_audit" }, batch(audit), []string{"eve deleted p"}},
		{"by configuration, with a list in one record", func(c *Config) { c.Source = "aws_cloudtrail" }, batch(trail), []string{"call a", "call b"}},
		{"by the first condition that holds", mixed, from("file", "audit-1.log", batch(audit)), []string{"eve deleted p"}},
		{"by a later condition", mixed, from("file", "x", batch(trail)), []string{"call a", "call b"}},
		{"to none by a condition", mixed, from("file", "junk", batch(trail)), nil},
		{"to none by configuration", mixed, batch(trail), nil},
		{"by an attribute", mixed, from("source", "aws_cloudtrail", batch(trail)), []string{"call a", "call b"}},
		{"by an attribute, before conditions", mixed, from("file", "junk", from("source", "log", batch("password"))), []string{"login"}},
		{"not by an attribute that names no type", mixed, from("file", "audit", from("source", "falco", batch(audit))), []string{"eve deleted p"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t, testRules)
			var sink consumertest.LogsSink
			l := p.start(func(c *Config) {
				c.Mode = modeAlertsOnly
				tt.change(c)
			}, &sink)
			if err := l.ConsumeLogs(t.Context(), tt.in); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, ld := range sink.AllLogs() {
				for _, lr := range ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().All() {
					got = append(got, lr.Body().Str())
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("alerts (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBodiesThatAreDocumentsAreRead(t *testing.T) {
	t.Parallel()
	body := func(set func(pcommon.Value)) plog.Logs {
		ld := batch("")
		set(first(ld).Body())
		return ld
	}
	for _, tt := range []struct {
		name, document string
		in             plog.Logs
		want           string
	}{
		{"as a text", "", batch(" {\"name\":\"a\"}"), "name a"},
		{"as a text in a text", "", batch(`"{\"name\":\"a\"}"`), "name a"},
		{"as bytes", "", body(func(v pcommon.Value) { v.SetEmptyBytes().FromRaw([]byte(`{"name":"a"}`)) }), "name a"},
		{"as a map", "", body(func(v pcommon.Value) {
			if err := v.SetEmptyMap().FromRaw(map[string]any{"name": "a\"\n\\ü"}); err != nil {
				t.Fatal(err)
			}
		}), "name a\"\n\\ü"},
		{"as a map in which the name is a map", "", body(func(v pcommon.Value) {
			m := v.SetEmptyMap().PutEmptyMap("name")
			m.PutInt("i", -1)
			m.PutBool("b", true)
			m.PutDouble("d", 1.5)
			m.PutEmpty("n")
			m.PutEmptySlice("l").AppendEmpty().SetEmptyBytes().FromRaw([]byte("xyz"))
		}), `name {"i":-1,"b":true,"d":1.5,"n":null,"l":["eHl6"]}`},
		{"as a text inside a document", "log", batch(`{"log":"{\"name\":\"a\"}"}`), "name a"},
		{"as a document inside a document", "log.inner", batch(`{"log":{"inner":{"name":"a"}}}`), "name a"},
		{"as a text inside a map", "log", body(func(v pcommon.Value) { v.SetEmptyMap().PutStr("log", `{"name":"a"}`) }), "name a"},
		{"not if they are none", "", batch("name"), ""},
		{"not if they end early", "", batch(`{"name":"a"`), ""},
		{"not if there is none inside", "log", batch(`{"name":"a"}`), ""},
		{"not if they are numbers", "", body(func(v pcommon.Value) { v.SetInt(1) }), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t, testRules)
			var sink consumertest.LogsSink
			l := p.start(func(c *Config) {
				c.Mode = modeAlertsOnly
				c.Document = tt.document
			}, &sink)
			if err := l.ConsumeLogs(t.Context(), tt.in); err != nil {
				t.Fatal(err)
			}
			got := ""
			if all := sink.AllLogs(); len(all) > 0 {
				got = first(all[0]).Body().Str()
			}
			if got != tt.want {
				t.Errorf("alert %q, want %q", got, tt.want)
			}
		})
	}
}

func TestDocumentsThatCannotBeReadAreCounted(t *testing.T) {
	t.Parallel()
	p := newPlace(t, testRules)
	var sink consumertest.LogsSink
	l := p.start(func(c *Config) {
		c.Source = "aws_cloudtrail"
		c.MaxEventBytes = 1024
	}, &sink)
	large := `{"eventName":"` + strings.Repeat("x", 2000) + `"}`
	in := batch("hello", `{"eventName":`, `[{"eventName":nul},`+large+`,{"eventName":"a"}]`)
	if err := l.ConsumeLogs(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	s := p.account("windhover_rules")
	if got := s.DroppedBy(event.LaneBulk, ledger.DropMalformed); got != 3 {
		t.Errorf("%d malformed, want 3", got)
	}
	if got := s.DroppedBy(event.LaneBulk, ledger.DropOversize); got != 1 {
		t.Errorf("%d oversize, want 1", got)
	}
	if got := sink.LogRecordCount(); got != 4 {
		t.Errorf("%d records were passed on, want three and an alert", got)
	}
}

func TestAlertsAreNotWatchedAgain(t *testing.T) {
	t.Parallel()
	p := newPlace(t, testRules)
	var sink consumertest.LogsSink
	second := p.start(nil, &sink)
	firstOne := newPlace(t, testRules).start(nil, second)
	if err := firstOne.ConsumeLogs(t.Context(), batch("a password")); err != nil {
		t.Fatal(err)
	}
	want := []string{"h1 sshd: a password", "h1 windhover: login [Any Login]", "h1 windhover: login [Any Login]"}
	if diff := cmp.Diff(want, lines(sink.AllLogs())); diff != "" {
		t.Errorf("records after two processors (-want +got):\n%s", diff)
	}
	if got := p.account("windhover_rules").Skipped[event.PluginEvent][ledger.SkipSelf]; got != 1 {
		t.Errorf("%d skipped, want 1", got)
	}
}

func TestWhatTheNextConsumerSaysIsCountedAndPassedOn(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		err      error
		reason   ledger.FailReason
		acked, n uint64
	}{
		{"taken", nil, 0, 2, 0},
		{"refused for now", errors.New("full"), ledger.FailRefused, 0, 2},
		{"refused for ever", consumererror.NewPermanent(errors.New("bad")), ledger.FailPermanent, 0, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t, testRules)
			l := p.start(nil, consumertest.NewErr(tt.err))
			if err := l.ConsumeLogs(t.Context(), batch("Failed password")); !errors.Is(err, tt.err) {
				t.Errorf("ConsumeLogs = %v, want %v", err, tt.err)
			}
			s := p.account("windhover_rules")
			if s.Acknowledged != tt.acked || s.Failed[tt.reason] != tt.n {
				t.Errorf("acknowledged %d, failed %v, want %d and %d", s.Acknowledged, s.Failed, tt.acked, tt.n)
			}
		})
	}
}

func TestContextReachesTheNextConsumer(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{modeAppend, modeAlertsOnly, modeAnnotate} {
		var got []string
		next, err := consumer.NewLogs(func(ctx context.Context, _ plog.Logs) error {
			got = client.FromContext(ctx).Metadata.Get("tenant")
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		l := newPlace(t, testRules).start(func(c *Config) { c.Mode = mode }, next)
		ctx := client.NewContext(t.Context(), client.Info{Metadata: client.NewMetadata(map[string][]string{"tenant": {"blue"}})})
		if err := l.ConsumeLogs(ctx, batch("a password")); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"blue"}, got); diff != "" {
			t.Errorf("metadata in mode %s (-want +got):\n%s", mode, diff)
		}
	}
}

func TestReloadIsSeenByTheNextBatch(t *testing.T) {
	t.Parallel()
	p := newPlace(t, testRules)
	var sink consumertest.LogsSink
	l := p.start(func(c *Config) { c.Mode = modeAlertsOnly }, &sink)
	for _, output := range []string{"one", "two"} {
		p.live.Swap(newPlace(t, strings.ReplaceAll(testRules, `"login"`, output)).live.Set())
		if err := l.ConsumeLogs(t.Context(), batch("a password")); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"h1 windhover: one [Any Login]", "h1 windhover: two [Any Login]"}
	if diff := cmp.Diff(want, lines(sink.AllLogs())); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}
}

func TestManyGoroutinesBringBatches(t *testing.T) {
	t.Parallel()
	p := newPlace(t, testRules)
	var sink consumertest.LogsSink
	l := p.start(func(c *Config) { c.Fold.Enabled = false }, &sink)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 50 {
				if err := l.ConsumeLogs(t.Context(), batch("a password", "hello")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if got := sink.LogRecordCount(); got != 8*50*3 {
		t.Errorf("%d records, want %d", got, 8*50*3)
	}
}

func TestShutdownLosesNothing(t *testing.T) {
	c := createDefaultConfig().(*Config)
	c.Rules = ""
	processortest.VerifyShutdown(t, NewFactory(), c)
}

// textRules and documentRules are conditions of which none holds.
var (
	textRules = []string{
		`log.body contains "attack-%d"`, `log.severity >= 17 and log.body startswith "panic %d"`,
		`log.attribute[http.route] = "/admin/%d"`, `resource.attribute[service.name] = "svc-%d" and log.body contains denied`,
	}
	documentRules = []string{
		`json.value[/eventName] = "Delete%d"`, `json.value[/userIdentity/arn] startswith "arn:aws:iam::%d:"`,
		`json.value[/sourceIPAddress] = "10.0.0.%d" and json.value[/readOnly] = false`, `json.value[/errorCode] = "Denied%d"`,
	}
)

// manyRules returns n rules over records with these conditions.
func manyRules(n int, conditions []string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "- rule: R%d\n  desc: d\n  condition: %s\n  output: o\n  priority: NOTICE\n  source: log\n", i, fmt.Sprintf(conditions[i%len(conditions)], i))
	}
	return b.String()
}

// quiet returns a worker with 20 rules and a batch of records that match none.
func quiet(tb testing.TB, records int, conditions []string) (*worker, plog.Logs) {
	tb.Helper()
	p := newPlace(tb, manyRules(20, conditions))
	l := p.start(func(c *Config) {
		c.SourceAttribute = "source"
		c.Sources = []SourceConfig{{"k8s_audit", "log.attribute[file] startswith audit"}}
	}, consumertest.NewNop()).(*rulesProcessor)
	w := <-l.workers
	tb.Cleanup(func() { l.workers <- w })
	bodies := make([]string, records)
	for i := range bodies {
		bodies[i] = fmt.Sprintf(`10.0.0.%d - - [13/May/2024:13:13:49 +0000] "GET /api/v1/things/%d HTTP/1.1" 200 512 "-" "curl/8.5.0"`, i%256, i)
		if conditions[0] == documentRules[0] {
			bodies[i] = fmt.Sprintf(`{"eventVersion":"1.08","userIdentity":{"type":"IAMUser","principalId":"AIDA%d","arn":"arn:aws:iam::111122223333:user/alice","accountId":"111122223333","userName":"alice"},"eventTime":"2024-05-13T13:13:49Z","eventSource":"s3.amazonaws.com","eventName":"GetObject","awsRegion":"eu-west-1","sourceIPAddress":"192.0.2.1","userAgent":"aws-cli/2.15","requestParameters":{"bucketName":"b","key":"k/%d","Host":"b.s3.amazonaws.com"},"responseElements":null,"readOnly":true,"resources":[{"type":"AWS::S3::Object","ARN":"arn:aws:s3:::b/k"},{"accountId":"111122223333","type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::b"}],"eventType":"AwsApiCall","managementEvent":false,"recipientAccountId":"111122223333","eventCategory":"Data"}`, i, i)
		}
	}
	ld := batch(bodies...)
	ld.ResourceLogs().At(0).Resource().Attributes().PutStr("service.name", "web")
	return w, ld
}

// Not parallel: AllocsPerRun counts what other tests do.
func TestRecordThatMatchesNothingDoesNotAllocate(t *testing.T) {
	for name, conditions := range map[string][]string{"text": textRules, "document": documentRules} {
		w, ld := quiet(t, 100, conditions)
		w.batch(ld)
		if got := testing.AllocsPerRun(10, func() { w.batch(ld) }); got != 0 {
			t.Errorf("a batch of 100 records with a %s: %v allocations, want 0", name, got)
		}
	}
}

// auditEvent is a request as an API server reports it, of about 2 KB.
const auditEvent = `{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"RequestResponse","auditID":"7f1d3f0e-6a55-4c4c-9d5b-3f4d0b8c2a11","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/shop/pods/checkout-6d4cf56db6-x2x9z/status","verb":"patch","user":{"username":"system:node:node-17","groups":["system:nodes","system:authenticated"]},"sourceIPs":["10.20.30.40"],"userAgent":"kubelet/v1.31.2 (linux/amd64) kubernetes/5864a46","objectRef":{"resource":"pods","namespace":"shop","name":"checkout-6d4cf56db6-x2x9z","apiVersion":"v1","subresource":"status"},"responseStatus":{"metadata":{},"code":200},"requestObject":{"status":{"conditions":[{"type":"Ready","status":"True"}]}},"responseObject":{"kind":"Pod","apiVersion":"v1","metadata":{"name":"checkout-6d4cf56db6-x2x9z","namespace":"shop","uid":"9b1f1c0e-1c8b-4b61-a7a5-6d7f3f0f7a11","resourceVersion":"81234567","labels":{"app":"checkout","pod-template-hash":"6d4cf56db6","team":"payments"},"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"checkout-6d4cf56db6","uid":"1c6a36d0-8d7e-4d35-8f0e-9e7bca1a7a52","controller":true}]},"spec":{"containers":[{"name":"checkout","image":"registry.example/shop/checkout:v1.42.0","args":["--port=8080","--log=json"],"env":[{"name":"DB_HOST","value":"db.shop.svc"},{"name":"GOMEMLIMIT","value":"200MiB"}],"resources":{"limits":{"cpu":"500m","memory":"256Mi"},"requests":{"cpu":"100m","memory":"128Mi"}},"volumeMounts":[{"name":"kube-api-access-abcde","readOnly":true,"mountPath":"/var/run/secrets/kubernetes.io/serviceaccount"}],"securityContext":{"runAsNonRoot":true,"allowPrivilegeEscalation":false,"readOnlyRootFilesystem":true}}],"volumes":[{"name":"kube-api-access-abcde","projected":{"defaultMode":420}}],"serviceAccountName":"checkout","nodeName":"node-17","restartPolicy":"Always"}},"requestReceivedTimestamp":"2026-01-02T03:04:05.000000Z","stageTimestamp":"2026-01-02T03:04:05.100000Z","annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":""}}`

func BenchmarkAuditRecordThatMatchesNothing(b *testing.B) {
	conditions := []string{
		`ka.verb = create and ka.target.resource = resource%d`, `ka.user.name = "user%d" and ka.verb in (get, list)`,
		`ka.uri startswith "/apis/example%d.com/"`, `ka.target.namespace = "team-%d" and ka.verb = delete`,
	}
	p := newPlace(b, strings.ReplaceAll(manyRules(20, conditions), "source: log", "source: k8s_audit"))
	l := p.start(func(c *Config) { c.Source = "k8s_audit" }, consumertest.NewNop()).(*rulesProcessor)
	w := <-l.workers
	b.Cleanup(func() { l.workers <- w })
	ld := batch(slices.Repeat([]string{auditEvent}, 1000)...)
	b.ReportAllocs()
	for b.Loop() {
		w.batch(ld)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/record")
}

func BenchmarkRecordThatMatchesNothing(b *testing.B) {
	for _, bb := range []struct {
		name       string
		conditions []string
	}{{"text", textRules}, {"document of 800 bytes", documentRules}} {
		b.Run(bb.name, func(b *testing.B) {
			w, ld := quiet(b, 1000, bb.conditions)
			b.ReportAllocs()
			for b.Loop() {
				w.batch(ld)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/record")
		})
	}
}
