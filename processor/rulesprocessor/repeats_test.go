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
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/windhover/windhover/rules"
)

const repeatRules = `
- rule: Any Login
  desc: A login was tried.
  condition: log.body contains password
  output: "login"
  priority: NOTICE
  source: log
`

// told is what records of alerts come to.
type told struct {
	alerts, notices []string // by resource
	matches         int64    // that they stand for
}

func tell(batches []plog.Logs) (t told) {
	for _, ld := range batches {
		for _, rl := range ld.ResourceLogs().All() {
			host, _ := rl.Resource().Attributes().Get("host.name")
			for _, sl := range rl.ScopeLogs().All() {
				for _, lr := range sl.LogRecords().All() {
					uid, _ := lr.Attributes().Get("log.record.uid")
					switch lr.EventName() {
					case "windhover.alert":
						t.alerts = append(t.alerts, host.Str()+" "+uid.Str())
						t.matches++
					case "windhover.alerts_folded":
						first, _ := lr.Attributes().Get("windhover.fold.first_uid")
						reason, _ := lr.Attributes().Get("windhover.fold.reason")
						count, _ := lr.Attributes().Get("windhover.fold.count")
						t.notices = append(t.notices, fmt.Sprint(host.Str(), " ", first.Str(), " ", count.Int(), " ", reason.Str()))
						t.matches += count.Int()
					}
				}
			}
		}
	}
	return t
}

// run starts a processor whose end the test decides.
func (p *place) run(change func(*Config), next consumer.Logs) (consume func(plog.Logs) error, stop func()) {
	p.tb.Helper()
	l := p.start(change, next)
	var once sync.Once
	return func(ld plog.Logs) error { return l.ConsumeLogs(p.tb.Context(), ld) },
		func() {
			once.Do(func() {
				if err := l.Shutdown(context.Background()); err != nil {
					p.tb.Error(err)
				}
			})
		}
}

func TestAHundredThousandMatchesAreTwoRecords(t *testing.T) {
	t.Parallel()
	const goroutines, batches, records = 4, 25, 1000
	for _, mode := range []string{modeAppend, modeAlertsOnly} {
		var sink consumertest.LogsSink
		consume, stop := newPlace(t, repeatRules).run(func(c *Config) { c.Mode = mode }, &sink)
		var all sync.WaitGroup
		for range goroutines {
			all.Go(func() {
				for range batches {
					if err := consume(batch(slices.Repeat([]string{"a password"}, records)...)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		all.Wait()
		stop()
		got := tell(sink.AllLogs())
		if len(got.alerts) != 1 || len(got.notices) != 1 || got.matches != goroutines*batches*records {
			t.Errorf("mode %s: the alerts %q and notices %q tell of %d matches, want one each and %d", mode, got.alerts, got.notices, got.matches, goroutines*batches*records)
		}
		if want := got.alerts[0] + " 99999 shutdown"; got.notices[0] != want {
			t.Errorf("mode %s: the notice is %q, want %q", mode, got.notices[0], want)
		}
	}
}

func TestWindowsEndByThemselves(t *testing.T) {
	t.Parallel()
	arrived := make(chan plog.Logs, 10)
	next, err := consumer.NewLogs(func(_ context.Context, ld plog.Logs) error {
		arrived <- ld
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	consume, _ := newPlace(t, repeatRules).run(func(c *Config) {
		c.Mode = modeAlertsOnly
		c.Fold.Window = 100 * time.Millisecond
	}, next)
	if err := consume(batch("a password", "a password", "a password")); err != nil {
		t.Fatal(err)
	}
	late := time.After(20 * time.Second)
	var got []plog.Logs
	for range 2 {
		select {
		case ld := <-arrived:
			got = append(got, ld)
		case <-late:
			t.Fatalf("the record did not come, only %+v", tell(got))
		}
	}
	if all := tell(got); len(all.notices) != 1 || all.notices[0] != all.alerts[0]+" 2 window" {
		t.Errorf("the records are %+v", all)
	}
	if diff := cmp.Diff([]string{"h1 windhover: login [Any Login]", "h1 windhover: login (repeated 2 times from 2024-05-13T13:13:49Z to 2024-05-13T13:13:49Z) [Any Login]"}, lines(got)); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

func TestResourcesAreNotFoldedWithEachOther(t *testing.T) {
	t.Parallel()
	var sink consumertest.LogsSink
	consume, stop := newPlace(t, repeatRules).run(func(c *Config) { c.Mode = modeAlertsOnly }, &sink)
	for range 2 {
		for _, host := range []string{"h1", "h2"} {
			ld := batch("a password", "a password")
			ld.ResourceLogs().At(0).Resource().Attributes().PutStr("host.name", host)
			if err := consume(ld); err != nil {
				t.Fatal(err)
			}
		}
	}
	stop()
	got := tell(sink.AllLogs())
	if len(got.alerts) != 2 || got.alerts[0][:2] != "h1" || got.alerts[1][:2] != "h2" {
		t.Fatalf("the alerts are %q", got.alerts)
	}
	want := []string{got.alerts[0] + " 3 shutdown", got.alerts[1] + " 3 shutdown"}
	slices.Sort(got.notices)
	if diff := cmp.Diff(want, got.notices); diff != "" {
		t.Errorf("notices (-want +got):\n%s", diff)
	}
}

// A batch that is not passed on comes again. Its first alert must not be taken for a
// repeat of itself then.
func TestAnAlertThatWasRefusedIsNotRepeatedByItself(t *testing.T) {
	t.Parallel()
	var sink consumertest.LogsSink
	refuse := true
	next, err := consumer.NewLogs(func(ctx context.Context, ld plog.Logs) error {
		if refuse {
			return errors.New("no room")
		}
		return sink.ConsumeLogs(ctx, ld)
	})
	if err != nil {
		t.Fatal(err)
	}
	consume, stop := newPlace(t, repeatRules).run(func(c *Config) { c.Mode = modeAlertsOnly }, next)
	for range 2 {
		if err := consume(batch("a password")); err == nil {
			t.Fatal("the batch was passed on")
		}
	}
	refuse = false
	if err := consume(batch("a password")); err != nil {
		t.Fatal(err)
	}
	if err := consume(batch("another password")); err != nil {
		t.Fatal(err)
	}
	stop()
	got := tell(sink.AllLogs())
	if len(got.alerts) != 1 || len(got.notices) != 1 || got.notices[0] != got.alerts[0]+" 1 shutdown" {
		t.Errorf("the alerts are %q and the notices %q", got.alerts, got.notices)
	}
}

func TestWhatWasFoldedWithARefusedAlertIsTold(t *testing.T) {
	t.Parallel()
	var sink consumertest.LogsSink
	next, err := consumer.NewLogs(func(ctx context.Context, ld plog.Logs) error {
		if tell([]plog.Logs{ld}).alerts != nil {
			return errors.New("no room")
		}
		return sink.ConsumeLogs(ctx, ld)
	})
	if err != nil {
		t.Fatal(err)
	}
	consume, stop := newPlace(t, repeatRules).run(func(c *Config) { c.Mode = modeAlertsOnly }, next)
	if err := consume(batch("a password", "a password", "a password")); err == nil {
		t.Fatal("the batch was passed on")
	}
	stop()
	if got := tell(sink.AllLogs()); len(got.notices) != 1 || !strings.HasSuffix(got.notices[0], " 2 recalled") {
		t.Errorf("the notices are %q", got.notices)
	}
}

func TestAnnotatedRecordsAreNotFolded(t *testing.T) {
	t.Parallel()
	var sink consumertest.LogsSink
	consume, stop := newPlace(t, repeatRules).run(func(c *Config) { c.Mode = modeAnnotate }, &sink)
	if err := consume(batch("a password", "a password")); err != nil {
		t.Fatal(err)
	}
	stop()
	if diff := cmp.Diff([]string{"h1 sshd: a password [Any Login]", "h1 sshd: a password [Any Login]"}, lines(sink.AllLogs())); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

func TestFieldsToFoldByBelongToASource(t *testing.T) {
	t.Parallel()
	set, _ := rules.Compile(nil, rules.Options{})
	for _, tt := range []struct {
		fields []string
		want   string
	}{
		{[]string{"ka.verb", "log.body"}, ""},
		{[]string{"log.body", "okta.app"}, "fold by okta.app, of log or k8s_audit: "},
	} {
		c := createDefaultConfig().(*Config)
		c.Sources = []SourceConfig{{"k8s_audit", "log.body startswith {"}}
		c.Fold.Fields = tt.fields
		l, err := NewFactory().CreateLogs(t.Context(), processortest.NewNopSettings(component.MustNewType("windhover_rules")), c, consumertest.NewNop())
		if err != nil {
			t.Fatal(err)
		}
		err = l.Start(t.Context(), &place{tb: t, live: rules.NewLive(set)})
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("fold by %q: %v, want %q", tt.fields, err, tt.want)
		}
		if err := l.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
