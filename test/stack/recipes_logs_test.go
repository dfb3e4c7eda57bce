//go:build linux

package stack

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/windhover/windhover/test/stack/peer"
)

// appendLines appends documents to a file, each as one line.
func appendLines(tb testing.TB, path string, lines ...string) {
	tb.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	for _, l := range lines {
		if _, err := f.WriteString(strings.ReplaceAll(l, "\n", " ") + "\n"); err != nil {
			tb.Fatal(err)
		}
	}
}

func TestRecipeFilelogK8sAudit(t *testing.T) {
	t.Parallel()
	store := peer.VictoriaLogs(t)
	dir := t.TempDir()
	log := filepath.Join(dir, "audit.log")
	env := map[string]string{
		"AUDIT_LOG": filepath.Join(dir, "audit*.log"), "LOGS_URL": store.OTLPEndpoint(), "STATE": filepath.Join(dir, "state"), "HOSTNAME": "control-0",
	}
	appendLines(t, log, secretRead("shop", "before"), auditEvent("calm", "system:kube-scheduler", "get", "shop", "pods", "a", ""))
	collector := cook(t, "filelog-k8s-audit", env)
	await(t, store, 1, "*")

	// The file is rotated, and the collector is away for a while.
	if err := os.Rename(log, filepath.Join(dir, "audit-1.log")); err != nil {
		t.Fatal(err)
	}
	appendLines(t, log, adminBinding("rotated"))
	await(t, store, 2, "*")
	collector.Stop()
	appendLines(t, log, privilegedPod("shop", "meanwhile"))
	cook(t, "filelog-k8s-audit", env)
	rows := await(t, store, 3, "*")

	want := []string{"Cluster administrator binding created", "Privileged pod created", "Secrets read by a user"}
	if got := rulesOf(rows); !slices.Equal(got, want) {
		t.Errorf("alerts = %q, want %q", got, want)
	}
	for _, r := range rows {
		if r["host.name"] != "control-0" || r["service.name"] != "kube-apiserver" {
			t.Errorf("the alert is of host %v and service %v, want those of its record", r["host.name"], r["service.name"])
		}
	}
	peer.Claim(t, "filelog-k8s-audit: file_log and windhover_rules report 3 of 4 audit events, across a rotation and a restart, each once")
}

func TestRecipeFilelogNginx(t *testing.T) {
	t.Parallel()
	store := peer.VictoriaLogs(t)
	log := filepath.Join(t.TempDir(), "access.log")
	at := time.Now().UTC().Add(-time.Hour).Truncate(time.Second)
	line := func(client, path string, status int) string {
		return fmt.Sprintf(`%s - - [%s] "GET %s HTTP/1.1" %d 612 "-" "curl/8.5.0"`, client, at.Format("02/Jan/2006:15:04:05 -0700"), path, status)
	}
	lines := []string{
		line("192.0.2.1", "/", 200),
		line("192.0.2.1", "/.env", 404), // not there: nothing was read
		line("192.0.2.2", "/app/.env", 200),
		line("192.0.2.3", "/static/..%2f..%2fetc/passwd", 400),
		"what is no access log line",
	}
	for i := range 25 {
		lines = append(lines, line("192.0.2.4", fmt.Sprintf("/admin%d", i), 403))
	}
	appendLines(t, log, lines...)
	cook(t, "filelog-nginx", map[string]string{"ACCESS_LOG": log, "LOGS_URL": store.OTLPEndpoint(), "RULES": recipeRules("web")})

	alerts := await(t, store, 3, `event_name:="windhover.alert"`)
	want := []string{"Many refused requests of a client", "Path traversal in a request", "Secret file of a web site read"}
	if got := rulesOf(alerts); !slices.Equal(got, want) {
		t.Errorf("alerts = %q, want %q", got, want)
	}
	for _, a := range alerts {
		if a["_time"] != at.Format(time.RFC3339) || a["service.name"] != "nginx" {
			t.Errorf("the alert is of %v at %v, want of nginx at %v", a["service.name"], a["_time"], at.Format(time.RFC3339))
		}
	}
	records := await(t, store, len(lines), `!event_name:="windhover.alert"`)
	severe := store.Query(t, `severity_number:>=13 !event_name:="windhover.alert"`)
	if len(severe) != 27 {
		t.Errorf("%d records have a severity from their status, want 27", len(severe))
	}
	peer.Claim(t, "filelog-nginx: %d lines pass, and 3 alerts of source log with their lines' time and service, one of them for 25 refusals", len(records))
}

func TestRecipeSyslog(t *testing.T) {
	t.Parallel()
	store := peer.VictoriaLogs(t)
	address := peer.Free(t)
	cook(t, "syslog", map[string]string{"SYSLOG": address, "LOGS_URL": store.OTLPEndpoint(), "RULES": recipeRules("sshd")})
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	at := time.Now().UTC()
	send := func(host, app, message string) {
		if _, err := fmt.Fprintf(conn, "<86>1 %s %s %s 4711 - - %s\n", at.Format(time.RFC3339), host, app, message); err != nil {
			t.Fatal(err)
		}
	}
	send("web-1", "sshd", "Accepted publickey for alice from 192.0.2.1 port 50022 ssh2")
	send("web-1", "sshd", "Accepted publickey for root from 192.0.2.1 port 50023 ssh2")
	for range 5 {
		send("web-2", "sshd-session", "Failed password for root from 192.0.2.9 port 50024 ssh2")
	}
	send("web-3", "cron", "Accepted publickey for root from cron") // not sshd

	alerts := await(t, store, 2, `event_name:="windhover.alert"`)
	byHost := make(map[any]any)
	for _, a := range alerts {
		byHost[a["host.name"]] = a["security_rule.name"]
	}
	if byHost["web-1"] != "Root logged in by SSH" || byHost["web-2"] != "Passwords guessed by SSH" {
		t.Errorf("alerts by host = %v, want a login of root on web-1 and guesses on web-2", byHost)
	}
	await(t, store, 8, `!event_name:="windhover.alert"`)
	peer.Claim(t, "syslog: 8 messages pass, and 2 alerts about the hosts that sent them")
}

const (
	stopLogging = `{"eventVersion":"1.09","eventID":"e-1","eventTime":"2026-11-24T10:11:12Z","eventSource":"cloudtrail.amazonaws.com",
"eventName":"StopLogging","awsRegion":"eu-central-1","sourceIPAddress":"192.0.2.1","userIdentity":{"type":"IAMUser","userName":"mallory","accountId":"123456789012"}}`
	getObject = `{"eventVersion":"1.09","eventID":"e-2","eventTime":"2026-11-24T10:11:13Z","eventSource":"s3.amazonaws.com",
"eventName":"GetObject","awsRegion":"eu-central-1","sourceIPAddress":"192.0.2.1","userIdentity":{"type":"IAMUser","userName":"alice","accountId":"123456789012"}}`
	oktaGrant = `{"uuid":"o-1","published":"2026-11-24T10:11:14.000Z","eventType":"user.account.privilege.grant","outcome":{"result":"SUCCESS"},
"actor":{"alternateId":"mallory@example.com","type":"User"},"client":{"ipAddress":"192.0.2.1"},"target":[{"type":"User","alternateId":"eve@example.com"}]}`
	gcpKey = `{"insertId":"g-1","timestamp":"2026-11-24T10:11:15Z","logName":"projects/p/logs/cloudaudit.googleapis.com%2Factivity",
"resource":{"type":"service_account","labels":{"project_id":"p"}},"protoPayload":{"@type":"type.googleapis.com/google.cloud.audit.AuditLog",
"methodName":"google.iam.admin.v1.CreateServiceAccountKey","serviceName":"iam.googleapis.com","resourceName":"projects/-/serviceAccounts/1",
"authenticationInfo":{"principalEmail":"mallory@example.com"},"requestMetadata":{"callerIp":"192.0.2.1"}}}`
	githubPublic = `{"webhook_type":"repository","action":"publicized","sender":{"login":"mallory"},
"repository":{"full_name":"example/secrets","html_url":"https://github.com/example/secrets","private":false,"owner":{"login":"example"}}}`
)

// produce writes messages to Kafka and waits until they are there.
func produce(tb testing.TB, brokers []string, records ...*kgo.Record) {
	tb.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		tb.Fatal(err)
	}
	defer c.Close()
	if err := c.ProduceSync(tb.Context(), records...).FirstErr(); err != nil {
		tb.Fatalf("write to Kafka: %v", err)
	}
}

// list writes texts as a YAML list.
func list(texts []string) string { return "[" + strings.Join(texts, ", ") + "]" }

func TestRecipeKafkaCloud(t *testing.T) {
	t.Parallel()
	store := peer.VictoriaLogs(t)
	brokers := peer.Kafka(t, "aws_cloudtrail", "okta", "gcp_auditlog", "github")
	produce(t, brokers,
		&kgo.Record{Topic: "aws_cloudtrail", Value: []byte(`{"Records":[` + getObject + `,` + stopLogging + `]}`)},
		&kgo.Record{Topic: "okta", Value: []byte(oktaGrant)},
		&kgo.Record{Topic: "gcp_auditlog", Value: []byte(gcpKey)},
		&kgo.Record{Topic: "github", Value: []byte(githubPublic)},
		&kgo.Record{Topic: "okta", Value: []byte("what is no document")},
	)
	cook(t, "kafka-cloud", map[string]string{"BROKERS": list(brokers), "LOGS_URL": store.OTLPEndpoint(), "RULES": recipeRules("cloud")})
	var got []string
	for _, r := range await(t, store, 4, "*") {
		got = append(got, fmt.Sprintf("%v: %v", r["windhover.source.type"], r["_msg"]))
	}
	slices.Sort(got)
	want := []string{
		"aws_cloudtrail: CloudTrail turned off (call=StopLogging user=mallory account=123456789012 region=eu-central-1 client=192.0.2.1)",
		"gcp_auditlog: Key of a service account made (user=mallory@example.com account=projects/-/serviceAccounts/1 client=192.0.2.1)",
		"github: Repository made public (user=mallory repository=example/secrets)",
		"okta: Administrator made in Okta (by=mallory@example.com user=eve@example.com client=192.0.2.1)",
	}
	if !slices.Equal(got, want) {
		t.Errorf("alerts:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	peer.Claim(t, "kafka-cloud: topics of 4 sources, 6 events, 4 alerts, one by the rules of each source")
}

// quoted returns s as a JSON string, in one line.
func quoted(tb testing.TB, s string) string {
	tb.Helper()
	var compact bytes.Buffer
	if err := json.Compact(&compact, []byte(s)); err != nil {
		tb.Fatal(err)
	}
	b, err := json.Marshal(compact.String())
	if err != nil {
		tb.Fatal(err)
	}
	return string(b)
}

func TestRecipesForS3AndPubSubWithAnotherReceiver(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, body, want string }{
		{"s3-cloudtrail", `{"Records":[` + getObject + `,` + stopLogging + `]}`, "CloudTrail turned off"},
		{"pubsub-gcp", gcpKey, "Key of a service account made"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			store := peer.VictoriaLogs(t)
			env := map[string]string{"LOGS_URL": store.OTLPEndpoint(), "RULES": recipeRules("cloud"), "STATE": filepath.Join(t.TempDir(), "state"), "OTLP_HTTP": peer.Free(t)}
			peer.Collector(t, []string{withOTLP(t, tt.name), peer.WriteFile(t, "quiet.yaml", quiet)}, env)
			postOTLP(t, env["OTLP_HTTP"], `{"scopeLogs": [{"logRecords": [{"body": {"stringValue": `+quoted(t, tt.body)+`}}]}]}`)
			rows := await(t, store, 1, "*")
			if got := rows[0]["security_rule.name"]; got != tt.want {
				t.Errorf("rule of the alert = %v, want %v", got, tt.want)
			}
		})
	}
}
