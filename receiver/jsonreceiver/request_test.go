package jsonreceiver

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/field"
)

// request is one to a receiver, and what it answers.
type request struct {
	name    string
	method  string // POST if empty
	body    string
	headers []string // key, value, …
	want    string
}

// send makes requests to a receiver at an address, one after the other.
func send(t *testing.T, address string, all []request) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	for _, tt := range all {
		if tt.method == "" {
			tt.method = http.MethodPost
		}
		r, err := http.NewRequestWithContext(t.Context(), tt.method, "http://"+address+"/events", strings.NewReader(tt.body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/json")
		for i := 0; i < len(tt.headers); i += 2 {
			r.Header.Set(tt.headers[i], tt.headers[i+1])
		}
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if diff := cmp.Diff(tt.want, fmt.Sprint(res.StatusCode, " ", strings.TrimSpace(string(text)))); diff != "" {
			t.Errorf("a request %s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func sign(secret, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

func TestGitHubRequestsAreChecked(t *testing.T) {
	t.Parallel()
	p := newPlace(t, everyEvent("github", "%github.type %github.action %json.value[/webhook_delivery]"))
	address := freeAddress(t)
	p.start("a", func(c *Config) {
		c.Source = field.GitHub
		c.Webhook.HTTP.NetAddr.Endpoint = address
		c.Secret = "hush"
	})
	const (
		body     = `{"action":"created","webhook_type":"forged"}` + "\n"
		kind     = "X-GitHub-Event"
		delivery = "X-GitHub-Delivery"
		proof    = "X-Hub-Signature-256"
		number   = "72d3162e-cc78-11e3-81ab-4c9367dc0958"
		wrong    = "401 X-Hub-Signature-256: it is not the signature of the body"
	)
	form := "a=b&payload=" + url.QueryEscape(`{"action":"made & sent + 100%"}`)
	of := []string{"Content-Type", "application/x-www-form-urlencoded", kind, "member", delivery, number}
	send(t, address, []request{
		{"with the signature", "", body, []string{kind, "member", delivery, number, proof, sign("hush", body)}, "200 "},
		{"of an empty document", "", "{}", []string{kind, "ping", proof, sign("hush", "{}")}, "200 "},
		{"that is a form", "", form, append(of, proof, sign("hush", form)), "200 "},
		{"that is a form, with the signature of what is in it", "", form, append(of, proof, sign("hush", `{"action":"made & sent"}`)), wrong},
		{"that is a form without a payload", "", "x=1", append(of, proof, sign("hush", "x=1")), "400 the form has no payload"},
		{"that is a form with a bad escape", "", "payload=%", append(of, proof, sign("hush", "payload=%")), `400 payload: invalid URL escape "%"`},
		{"with the signature of another secret", "", body, []string{kind, "member", proof, sign("hus", body)}, wrong},
		{"with the signature of another body", "", body, []string{kind, "member", proof, sign("hush", body+" ")}, wrong},
		{"with half a signature", "", body, []string{kind, "member", proof, sign("hush", body)[:40]}, wrong},
		{"with a signature of another kind", "", body, []string{kind, "member", proof, "sha1=" + sign("hush", body)[7:]}, wrong},
		{"without a signature", "", body, []string{kind, "member"}, wrong},
		{"of no type", "", body, []string{kind, `x","y":"`, proof, sign("hush", body)}, "400 X-GitHub-Event: it is no type of an event"},
		{"of no delivery", "", body, []string{delivery, `x"`, proof, sign("hush", body)}, "400 X-GitHub-Delivery: it is no number of a delivery"},
	})
	p.awaitAlerts("member created "+number, "ping <NA> <NA>", "member made & sent + 100% "+number)
}

func TestFormsAreForGitHubOnly(t *testing.T) {
	t.Parallel()
	p := newPlace(t, everyEvent("json", "x"))
	address := freeAddress(t)
	p.start("a", func(c *Config) { c.Webhook.HTTP.NetAddr.Endpoint = address })
	send(t, address, []request{{
		"that is a form", "", "payload={}",
		[]string{"Content-Type", "application/x-www-form-urlencoded"},
		"415 Content-Type: want application/json or application/x-ndjson or application/jsonl",
	}})
}

func TestOktaEventHooksAreVerifiedAndTaken(t *testing.T) {
	t.Parallel()
	p := newPlace(t, everyEvent("okta", "%okta.evt.type by %okta.actor.alternateid"))
	address := freeAddress(t)
	p.start("a", func(c *Config) {
		c.Source = field.Okta
		c.Webhook.HTTP.NetAddr.Endpoint = address
		c.Secret = "hush hush"
	})
	const (
		asks = "X-Okta-Verification-Challenge"
		body = `{
			"eventType": "com.okta.event_hook", "eventTypeVersion": "1.0", "cloudEventsVersion": "0.1",
			"source": "https://example.okta.com/api/v1/eventHooks/whor0zNXBfeTPPSQ40g3", "eventId": "b5a188b9-5ece-4636-b041-482ffda96311",
			"data": {"events": [
				{"uuid": "c0bd3ec0-07d3-11f0-8bb0-f5ba6a0e2a3b", "published": "2026-01-02T03:04:05.000Z", "eventType": "group.user_membership.add", "version": "0", "severity": "INFO",
				 "actor": {"id": "00uton", "type": "User", "alternateId": "jane@example.com", "displayName": "Jane Doe", "detailEntry": null},
				 "outcome": {"result": "SUCCESS", "reason": null}, "target": [{"id": "00g1", "type": "UserGroup", "displayName": "Admins"}]},
				{"uuid": "c0bd3ec1-07d3-11f0-8bb0-f5ba6a0e2a3b", "published": "2026-01-02T03:04:06.000Z", "eventType": "user.session.start", "actor": {"alternateId": "joe@example.com"}}
			]},
			"eventTime": "2026-01-02T03:04:07.000Z", "contentType": "application/json"
		}`
	)
	send(t, address, []request{
		{"that verifies the hook", http.MethodGet, "", []string{asks, "r4nd0m-va_lue"}, `200 {"verification":"r4nd0m-va_lue"}`},
		{"that verifies with something else", http.MethodGet, "", []string{asks, `"}<script>`}, `200 {"verification":"\"}\u003cscript\u003e"}`},
		{"that verifies with too much", http.MethodGet, "", []string{asks, strings.Repeat("x", 1025)}, "405 use POST"},
		{"of another kind", http.MethodGet, "", nil, "405 use POST"},
		{"with events", "", body, []string{"Authorization", "hush hush"}, "200 "},
		{"with another secret", "", body, []string{"Authorization", "hush"}, "401 Authorization: it is not the secret"},
		{"without the secret", "", body, nil, "401 Authorization: it is not the secret"},
	})
	p.awaitAlerts("group.user_membership.add by jane@example.com", "user.session.start by joe@example.com")
}

// push is what a Pub/Sub push subscription sends.
func push(data string) string {
	return `{"message": {"attributes": {"logging.googleapis.com/timestamp": "2026-01-02T03:04:05Z", "team": "a"}, "data": "` +
		base64.StdEncoding.EncodeToString([]byte(data)) + `", "messageId": "2070443601311540", "message_id": "2070443601311540",
		"publishTime": "2026-01-02T03:04:06.5Z", "publish_time": "2026-01-02T03:04:06.5Z"}, "subscription": "projects/p1/subscriptions/audit"}`
}

func TestPubSubMessagesAreUnwrapped(t *testing.T) {
	t.Parallel()
	const (
		entry = `{"insertId":"i1","timestamp":"2026-01-02T03:04:05Z","protoPayload":{"methodName":"SetIamPolicy"}}`
		empty = `{"message":{"attributes":{"a":"b"},"messageId":"1"},"subscription":"s"}`
		wrong = `{"message":{"data":"%%%","messageId":"1"},"subscription":"s"}`
	)
	p := newPlace(t, everyEvent("gcp_auditlog", "%gcp.methodName %json.value[/pubsub/attributes/team] %json.value[/pubsub/messageId]"))
	address := freeAddress(t)
	p.start("a", func(c *Config) {
		c.Source = field.GCPAudit
		c.Instance.Fold.Enabled = false
		c.Webhook.HTTP.NetAddr.Endpoint = address
	})
	send(t, address, []request{
		{"with a message", "", push(entry), nil, "200 "},
		{"with a message of two entries", "", push(`{"timestamp":"2026-01-02T03:04:05Z","protoPayload":{"methodName":"a"}}` + "\n" + entry), nil, "200 "},
		{"with an entry that is not in a message", "", `{"timestamp":"2026-01-02T03:04:05Z","protoPayload":{"methodName":"b"}}`, nil, "200 "},
		// Pub/Sub sends again, for a week, whatever is not answered so.
		{"with a message that is no entry", "", push("{}"), nil, "200 "},
		{"with a message without data", "", empty, nil, "200 "},
		{"with a message that is not in base64", "", wrong, nil, "200 "},
		{"with nothing", "", "{}", nil, "400 handled 0 events, refused 1, the first at offset 0, 2 bytes: it has no timestamp, nor a receiveTimestamp, in RFC 3339"},
	})
	p.awaitAlerts("SetIamPolicy a 2070443601311540", "a <NA> <NA>", "SetIamPolicy a 2070443601311540", "b <NA> <NA>")
	p.await("the refused ones to be counted", func() bool { return p.account("a").Produced[event.PluginEvent] == 8 })

	q := newPlace(t, everyEvent("json", "%json.value[/id] %json.value[/pubsub/subscription]"))
	address = freeAddress(t)
	q.start("b", func(c *Config) {
		c.Webhook.HTTP.NetAddr.Endpoint = address
		c.PubSub = true
	})
	send(t, address, []request{
		{"with a message", "", push(`{"id":"a"}`), nil, "200 "},
		{"with something else", "", `{"id":"b"}`, nil, "400 it is no message of a Pub/Sub push subscription"},
	})
	q.awaitAlerts("a projects/p1/subscriptions/audit")
}

// FuzzUnescape compares with the standard library.
func FuzzUnescape(f *testing.F) {
	for _, seed := range []string{"", "a+b", "%7B%22a%22%3A1%7D", "%", "%4", "%zz", "a%2", "%%%", "ü%c3%bc"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		want, wantErr := url.QueryUnescape(text)
		got, err := unescape([]byte(text))
		if string(got) != want || (err == nil) != (wantErr == nil) {
			t.Errorf("unescape(%q) = %q, %v; want %q, %v", text, got, err, want, wantErr)
		}
	})
}

// FuzzPush checks that whatever is pushed becomes a batch that is no larger than what
// came, or is refused, and that what is no message is left as it is.
func FuzzPush(f *testing.F) {
	for _, seed := range []string{push(`{"a":1}`), push("[1]"), push(""), "{}", `{"message":{},"subscription":"s"}`, `{"message":{"data":"e30=","attributes":1},"subscription":"\u0000"}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		for _, always := range []bool{false, true} {
			a, err := pushed([]byte(body), always)
			if err != nil {
				if !always {
					t.Errorf("pushed(%q) = %v", body, err)
				}
				continue
			}
			if len(a.Batch) > len(body)+len("null") {
				t.Errorf("pushed(%q) is %d bytes, %q", body, len(a.Batch), a.Batch)
			}
			if !a.Final && string(a.Batch) != body {
				t.Errorf("pushed(%q) is no message, and becomes %q", body, a.Batch)
			}
		}
	})
}
