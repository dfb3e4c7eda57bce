//go:build linux

package stack

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/windhover/windhover/test/stack/peer"
)

// alertTopic reads the alerts that collectors write to a topic.
type alertTopic struct {
	mu     sync.Mutex
	uids   map[string]string // by windhover.record.id
	copies int               // alerts that were there before
	wrong  string            // what is wrong with one of them
}

// readAlerts reads a topic until the test ends.
func readAlerts(tb testing.TB, brokers []string, topic string) *alertTopic {
	tb.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	a := &alertTopic{uids: make(map[string]string)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			c.PollFetches(ctx).EachRecord(func(r *kgo.Record) { a.add(r.Value) })
		}
	}()
	tb.Cleanup(func() {
		cancel()
		<-done
		c.Close()
	})
	return a
}

// add takes a message, which is OTLP.
func (a *alertTopic) add(message []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	logs, err := (&plog.ProtoUnmarshaler{}).UnmarshalLogs(message)
	if err != nil {
		a.wrong = err.Error()
		return
	}
	for _, rl := range logs.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, lr := range sl.LogRecords().All() {
				id, ok := lr.Attributes().Get("windhover.record.id")
				uid, ok2 := lr.Attributes().Get("log.record.uid")
				if !ok || !ok2 {
					a.wrong = fmt.Sprintf("an alert has no identity: %v", lr.Attributes().AsRaw())
					continue
				}
				was, again := a.uids[id.AsString()]
				if again {
					a.copies++
				}
				if again && was != uid.AsString() {
					a.wrong = fmt.Sprintf("record %s has alerts %s and %s", id.AsString(), was, uid.AsString())
				}
				a.uids[id.AsString()] = uid.AsString()
			}
		}
	}
}

// state returns how many different alerts there are, how many copies, and what is wrong.
func (a *alertTopic) state() (different, copies int, wrong string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.uids), a.copies, a.wrong
}

// await waits for n different alerts.
func (a *alertTopic) await(tb testing.TB, timeout time.Duration, n int) {
	tb.Helper()
	peer.Eventually(tb, timeout, fmt.Sprintf("%d different alerts", n), func() (bool, string) {
		different, copies, wrong := a.state()
		if wrong != "" {
			tb.Fatal(wrong)
		}
		return different >= n, fmt.Sprintf("%d, and %d copies", different, copies)
	})
}

// matching is how many audit events there are for one that matches a rule.
const matching = 100

// auditID names the event number i.
func auditID(i int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", i) }

// produceAudit writes n audit events of about 1 KB to all partitions of a topic, in turn.
func produceAudit(tb testing.TB, brokers []string, topic string, n int) (bytes int64) {
	tb.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.DefaultProduceTopic(topic),
		kgo.RecordPartitioner(kgo.RoundRobinPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.ProducerLinger(20*time.Millisecond), kgo.MaxBufferedRecords(50_000))
	if err != nil {
		tb.Fatal(err)
	}
	defer c.Close()
	var mu sync.Mutex
	var failed error
	at := time.Now().UTC().Format(time.RFC3339Nano)
	for i := range n {
		user, resource := "system:serviceaccount:kube-system:deployment-controller", "replicasets"
		if i%matching == 0 {
			user, resource = "mallory", "secrets"
		}
		event := fmt.Appendf(make([]byte, 0, 1100), `{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":%q,"stage":"ResponseComplete",`+
			`"requestURI":"/apis/apps/v1/namespaces/shop/%[3]s/web-%[4]d","verb":"get","user":{"username":%[2]q,"uid":"9d4f3d1e-5a2b-4b1c-8e6f-0c7a1d2b3e4f",`+
			`"groups":["system:serviceaccounts","system:serviceaccounts:kube-system","system:authenticated"],"extra":{"authentication.kubernetes.io/credential-id":["JTI=6f1f7b2a-1111-4222-8333-944455556666"]}},`+
			`"sourceIPs":["192.0.2.%[5]d"],"userAgent":"kube-controller-manager/v1.33.1 (linux/amd64) kubernetes/5b0a4f1/system:serviceaccount:kube-system:deployment-controller",`+
			`"objectRef":{"resource":%[3]q,"namespace":"shop","name":"web-%[4]d","apiGroup":"apps","apiVersion":"v1"},"responseStatus":{"metadata":{},"code":200},`+
			`"requestReceivedTimestamp":%[6]q,"stageTimestamp":%[6]q,"annotations":{"authorization.k8s.io/decision":"allow",`+
			`"authorization.k8s.io/reason":"RBAC: allowed by ClusterRoleBinding \"system:controller:deployment-controller\" of ClusterRole \"system:controller:deployment-controller\" to ServiceAccount"}}`,
			auditID(i), user, resource, i, i%250, at)
		bytes += int64(len(event))
		c.Produce(tb.Context(), &kgo.Record{Value: event}, func(_ *kgo.Record, err error) {
			if err != nil {
				mu.Lock()
				failed = err
				mu.Unlock()
			}
		})
	}
	if err := c.Flush(tb.Context()); err != nil {
		tb.Fatalf("write to Kafka: %v", err)
	}
	mu.Lock()
	defer mu.Unlock()
	if failed != nil {
		tb.Fatalf("write to Kafka: %v", failed)
	}
	return bytes
}

func TestKafkaTierSurvivesTheDeathOfACollector(t *testing.T) {
	n := 1_000_000
	if testing.Short() {
		n = 300_000
	}
	const topic = "k8s_audit"
	brokers := peer.Kafka(t, topic, "alerts_of_one", "alerts_of_two")
	began := time.Now()
	bytes := produceAudit(t, brokers, topic, n)
	t.Logf("wrote %d events of %d bytes in %v", n, bytes/int64(n), time.Since(began).Round(time.Millisecond))
	tier := func(group string) *peer.Process {
		metrics := peer.Free(t)
		host, port, _ := strings.Cut(metrics, ":")
		// A member of the group hears of another with its next heartbeat.
		own := fmt.Sprintf("receivers: {kafka: {heartbeat_interval: 300ms}}\n"+
			"service: {telemetry: {metrics: {readers: [{pull: {exporter: {prometheus: {host: %s, port: %s}}}}]}}}\n", host, port)
		c := peer.Collector(t, []string{recipe("kafka-rules"), peer.WriteFile(t, "own.yaml", own)},
			map[string]string{"BROKERS": list(brokers), "TOPIC": topic, "GROUP": group, "ALERTS_TOPIC": "alerts_of_" + group, "HEALTH": peer.Free(t)})
		c.URL = "http://" + metrics
		return c
	}
	evaluated := func(c *peer.Process) int { return int(c.Metric("windhover_source_evaluated")) }

	// One collector, for a quarter of the events.
	one := readAlerts(t, brokers, "alerts_of_one")
	c := tier("one")
	lone := measure(t, one, n/matching/20, n/matching/4, c)
	c.Stop()

	// Two, of which one is killed halfway.
	two := readAlerts(t, brokers, "alerts_of_two")
	victim, heir := tier("two"), tier("two")
	peer.Eventually(t, time.Minute, "both collectors evaluate", func() (bool, string) {
		a, b := evaluated(victim), evaluated(heir)
		return a > 0 && b > 0, fmt.Sprintf("%d and %d events", a, b)
	})
	from, _, _ := two.state()
	pair := measure(t, two, from, (from+n/matching)/2, victim, heir)
	half, _, _ := two.state()
	ofVictim := evaluated(victim)
	victim.Kill()
	began = time.Now()
	two.await(t, 5*time.Minute, n/matching)
	took := time.Since(began)
	ofHeir := evaluated(heir)
	heir.Stop()

	different, copies, wrong := two.state()
	if wrong != "" {
		t.Fatal(wrong)
	}
	two.mu.Lock()
	defer two.mu.Unlock()
	for i := 0; i < n; i += matching {
		if id := auditID(i) + "/ResponseComplete"; two.uids[id] == "" {
			t.Fatalf("event %s was not evaluated, or its alert lost; there is %v", id, anyKey(two.uids))
		}
	}
	if different != n/matching {
		t.Errorf("%d different alerts, want %d", different, n/matching)
	}
	if got := ofVictim + ofHeir; got < n*95/100 { // the first figure is of a moment before its end
		t.Errorf("the collectors evaluated %d events between them, want %d", got, n)
	}
	peer.Claim(t, "kafka-rules: one collector evaluates %v, two evaluate %v, with broker, reader and what else runs on the same cores", lone, pair)
	peer.Claim(t, "kafka-rules: %d audit events of %d bytes; of two collectors one evaluates %d and is killed at %d %%, the other evaluates %d and is done %.1f s later: %d different alerts, as many as events that match, and %d copies with the same log.record.uid",
		n, bytes/int64(n), ofVictim, half*matching*100/n, ofHeir, took.Seconds(), different, copies)
}

// pace is how fast collectors evaluate events.
type pace struct {
	rate     float64       // events per second
	perEvent time.Duration // CPU time of the collectors
	rss      int64         // memory of the largest, in bytes
}

func (p pace) String() string {
	return fmt.Sprintf("%.0f events/s (%.1f µs of CPU an event, %d MiB)", p.rate, float64(p.perEvent)/1000, p.rss>>20)
}

// measure says how fast collectors evaluate what leads from one number of alerts to
// another.
func measure(tb testing.TB, a *alertTopic, from, to int, collectors ...*peer.Process) pace {
	tb.Helper()
	cpu := func() (sum time.Duration) {
		for _, c := range collectors {
			sum += c.CPU()
		}
		return sum
	}
	a.await(tb, 5*time.Minute, from)
	first, _, _ := a.state()
	began, before := time.Now(), cpu()
	a.await(tb, 5*time.Minute, to)
	last, _, _ := a.state()
	events := (last - first) * matching
	p := pace{rate: float64(events) / time.Since(began).Seconds(), perEvent: (cpu() - before) / time.Duration(events)}
	for _, c := range collectors {
		p.rss = max(p.rss, c.RSS())
	}
	return p
}

// anyKey returns a key of m.
func anyKey(m map[string]string) string {
	for k := range m {
		return k
	}
	return "none"
}

func TestKafkaTierFromTheAuditLogToTheLogStore(t *testing.T) {
	t.Parallel()
	store := peer.VictoriaLogs(t)
	brokers := peer.Kafka(t, "k8s_audit", "windhover_alerts")
	dir := t.TempDir()
	log := filepath.Join(dir, "audit.log")
	env := map[string]string{"AUDIT_LOG": log, "BROKERS": list(brokers), "STATE": filepath.Join(dir, "state")}
	var lines []string
	for i := range 50 {
		lines = append(lines, secretRead("shop", "s"+strconv.Itoa(i)), auditEvent("calm-"+strconv.Itoa(i), "system:kube-scheduler", "get", "shop", "pods", "a", ""))
	}
	appendLines(t, log, lines...)
	ingest := cook(t, "kafka-ingest", env)
	alerts := readAlerts(t, brokers, "windhover_alerts")
	cook(t, "kafka-rules", map[string]string{"BROKERS": list(brokers), "HEALTH": peer.Free(t)})
	cook(t, "kafka-alerts", map[string]string{"BROKERS": list(brokers), "LOGS_URL": store.OTLPEndpoint()})
	alerts.await(t, time.Minute, 50)
	// After a crash the file is read on from where Kafka had everything, or a bit before.
	ingest.Kill()
	appendLines(t, log, secretRead("shop", "last"))
	cook(t, "kafka-ingest", env)
	alerts.await(t, time.Minute, 51)

	for _, m := range readTopic(t, brokers, "k8s_audit", 101) {
		if !strings.HasPrefix(m, `{"`) || !strings.Contains(m, `"auditID":`) {
			t.Fatalf("a message is no audit event: %s", m)
		}
	}
	rows := store.AwaitRecords(t, 51, "* | uniq by (log.record.uid)")
	if len(rows) != 51 {
		t.Errorf("the log store has %d different alerts, want 51", len(rows))
	}
	peer.Claim(t, "kafka-ingest, kafka-rules, kafka-alerts: of 101 lines of an audit log, 51 match, across a crash; the log store has %d different alerts", len(rows))
}

// readTopic reads the first n messages of a topic.
func readTopic(tb testing.TB, brokers []string, topic string, n int) []string {
	tb.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		tb.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	defer cancel()
	var messages []string
	for len(messages) < n {
		c.PollFetches(ctx).EachRecord(func(r *kgo.Record) { messages = append(messages, string(r.Value)) })
		if ctx.Err() != nil {
			tb.Fatalf("read topic %s: %d messages, want %d", topic, len(messages), n)
		}
	}
	return messages
}
