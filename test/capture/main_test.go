//go:build linux

// Package capture tests the system call receiver against the running kernel: from the
// system call of a child process to the log record at the next consumer.
package capture

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/windhover/windhover/internal/ledger"
	"github.com/windhover/windhover/receiver/syscallreceiver"
	"github.com/windhover/windhover/rules"
)

// deadline bounds every wait of these tests.
const deadline = 30 * time.Second

// childEnv names what a re-executed test binary does instead of testing.
const childEnv = "WINDHOVER_CAPTURE_CHILD"

func TestMain(m *testing.M) {
	if name := os.Getenv(childEnv); name != "" {
		if err := children[name](os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child returns the command that acts out children[name].
func child(t testing.TB, name string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), childEnv+"="+name)
	cmd.Stderr = os.Stderr
	return cmd
}

// arrival is a log record and when it came.
type arrival struct {
	body string
	late time.Duration // since the event
}

// inbox is the next consumer of a receiver.
type inbox struct {
	mu   sync.Mutex
	all  []arrival
	more chan struct{}
}

func (b *inbox) consume(_ context.Context, logs plog.Logs) error {
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, rl := range logs.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, r := range sl.LogRecords().All() {
				b.all = append(b.all, arrival{r.Body().AsString(), now.Sub(r.Timestamp().AsTime())})
			}
		}
	}
	select {
	case b.more <- struct{}{}:
	default:
	}
	return nil
}

func (b *inbox) bodies() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]string, len(b.all))
	for i, a := range b.all {
		out[i] = a.body
	}
	return out
}

// await returns the first record that ok takes.
func (b *inbox) await(t testing.TB, what string, ok func(body string) bool) arrival {
	t.Helper()
	timeout := time.After(deadline)
	for {
		b.mu.Lock()
		i := slices.IndexFunc(b.all, func(a arrival) bool { return ok(a.body) })
		var a arrival
		if i >= 0 {
			a = b.all[i]
		}
		b.mu.Unlock()
		if i >= 0 {
			return a
		}
		select {
		case <-b.more:
		case <-timeout:
			t.Fatalf("no record %s among %d: %.2000q", what, len(b.bodies()), b.bodies())
		}
	}
}

// awaitMore waits until there are more than n records.
func (b *inbox) awaitMore(t testing.TB, n int) {
	t.Helper()
	timeout := time.After(deadline)
	for len(b.bodies()) <= n {
		select {
		case <-b.more:
		case <-timeout:
			t.Fatalf("%d records, want more: %.2000q", n, b.bodies())
		}
	}
}

// awaitText returns the first record with that body.
func (b *inbox) awaitText(t testing.TB, want string) arrival {
	t.Helper()
	return b.await(t, want, func(body string) bool { return body == want })
}

// host is where a receiver under test runs.
type host struct {
	book ledger.Book
	live *rules.Live
}

type extension struct {
	component.StartFunc
	component.ShutdownFunc
	live *rules.Live
}

func (e extension) Live() *rules.Live { return e.live }

func (h *host) Book() *ledger.Book { return &h.book }

func (h *host) GetExtensions() map[component.ID]component.Component {
	return map[component.ID]component.Component{component.MustNewID("windhover_rules"): extension{live: h.live}}
}

func compile(t testing.TB, text string) *rules.Set {
	t.Helper()
	set, report := rules.Compile([]rules.File{{Name: "test.yaml", Data: []byte(text)}}, rules.Options{})
	if set == nil {
		t.Fatal(report.Errors())
	}
	return set
}

// rule returns a rule that prints output when condition holds.
func rule(name, condition, output string) string {
	return fmt.Sprintf("- {rule: %s, desc: d, condition: %q, output: %q, priority: INFO}\n", name, condition, output)
}

// watch is a receiver at work.
type watch struct {
	*inbox
	host     *host
	receiver component.Component
	account  *ledger.Source
}

// start starts a receiver with rules. It is shut down at the end of the test, and its
// account must balance then.
func start(t testing.TB, text string, set ...func(*syscallreceiver.Config)) *watch {
	t.Helper()
	f := syscallreceiver.NewFactory()
	c := f.CreateDefaultConfig().(*syscallreceiver.Config)
	c.Instance.Fold.Enabled = false // the tests count alert by alert
	for _, s := range set {
		s(c)
	}
	w := &watch{inbox: &inbox{more: make(chan struct{}, 1)}, host: &host{live: rules.NewLive(compile(t, text))}}
	next, err := consumer.NewLogs(w.consume)
	if err != nil {
		t.Fatal(err)
	}
	w.receiver, err = f.CreateLogs(t.Context(), receivertest.NewNopSettings(f.Type()), c, next)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.receiver.Start(t.Context(), w.host); err != nil {
		t.Fatal(err)
	}
	w.account = w.host.book.Sources()[0]
	t.Cleanup(func() { w.stop(t) })
	return w
}

// stop shuts the receiver down and checks its account. Calling it again does nothing.
func (w *watch) stop(t testing.TB) {
	t.Helper()
	if w.receiver == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	if err := w.receiver.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	w.receiver = nil
	var s ledger.Snapshot
	w.account.Snapshot(&s)
	if err := s.AtRest(); err != nil {
		t.Error(err)
	}
}

// run runs a command to its end.
func run(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	if out, err := cmd.Output(); err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			out = append(out, exit.Stderr...)
		}
		t.Fatalf("run %s: %v: %s", strings.Join(cmd.Args, " "), err, out)
	}
}

// startOnly starts a receiver that reports to nobody.
func startOnly(f receiver.Factory, c component.Config) error {
	r, err := f.CreateLogs(context.Background(), receivertest.NewNopSettings(f.Type()), c, consumertest.NewNop())
	if err != nil {
		return err
	}
	return r.Start(context.Background(), componenttest.NewNopHost())
}
