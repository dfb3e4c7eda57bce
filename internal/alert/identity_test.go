package alert

import (
	"regexp"
	"strings"
	"testing"

	"github.com/windhover/windhover/internal/document"
	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/rules"
	"github.com/windhover/windhover/rules/output"
)

// entry is a log record that consists of its identity.
type entry string

func (entry) Text(*event.Event, event.LogPart, string) ([]byte, bool) { return nil, false }
func (entry) Severity() (int64, bool)                                 { return 0, false }
func (e entry) AppendIdentity(dst []byte) []byte                      { return append(dst, e...) }
func (entry) Origin() event.Origin                                    { return nil }

// about returns the alert of a rule on a document; l may be nil.
func about(tb testing.TB, sourceType, text string, l event.Log, rule string) *Alert {
	tb.Helper()
	var d document.Document
	if err := d.Parse([]byte(text), document.Limits{}); err != nil {
		tb.Fatal(err)
	}
	tmpl, problems := output.Parse("x", sourceType)
	if len(problems) > 0 {
		tb.Fatal(problems)
	}
	ev := &event.Event{Type: event.PluginEvent, Source: &event.Source{Name: "s", Type: sourceType}, Doc: &d, Log: l}
	return New(ev, &rules.Rule{Name: rule, Source: sourceType, Output: tmpl}, 1)
}

func TestRecordIDs(t *testing.T) {
	t.Parallel()
	const hash = "a hash"
	for _, tt := range []struct{ name, source, text, want string }{
		{"stages of a request are two", "k8s_audit", `{"auditID":"a1","stage":"ResponseComplete"}`, "a1/ResponseComplete"},
		{"a request without a stage", "k8s_audit", `{"auditID":"a1"}`, "a1/"},
		{"a request without a number", "k8s_audit", `{"stage":"ResponseComplete"}`, hash},
		{"a call", "aws_cloudtrail", `{"eventID":"e1"}`, "e1"},
		{"a call whose number is an object", "aws_cloudtrail", `{"eventID":{}}`, hash},
		{"a call whose number is empty", "aws_cloudtrail", `{"eventID":""}`, hash},
		{"a call whose number is null", "aws_cloudtrail", `{"eventID":null}`, hash},
		{"an identifier that is too long", "aws_cloudtrail", `{"eventID":"` + strings.Repeat("x", 257) + `"}`, hash},
		{"an event of Okta", "okta", `{"uuid":"u1"}`, "u1"},
		{"a delivery of GitHub", "github", `{"webhook_delivery":"d1"}`, "d1"},
		{"an event of GitHub from elsewhere", "github", `{"action":"created"}`, hash},
		{"an entry", "gcp_auditlog", `{"insertId":"i1","timestamp":"2026-01-02T03:04:05Z"}`, "i1/2026-01-02T03:04:05Z"},
		{"any document", "json", `{"eventID":"e1"}`, hash},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := about(t, tt.source, tt.text, nil, "r")
			if tt.want == hash && !regexp.MustCompile("^[0-9a-f]{32}$").MatchString(a.RecordID) || tt.want != hash && a.RecordID != tt.want {
				t.Errorf("the record of %.80s is %q, want %q", tt.text, a.RecordID, tt.want)
			}
			if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(a.UID.String()) {
				t.Errorf("the alert is %s, not a UUID of version 8", a.UID)
			}
		})
	}
}

func TestAnAlertIsTheSameForTheSameRecordAndRule(t *testing.T) {
	t.Parallel()
	uid := func(source, text string, l event.Log, rule string) UID { return about(t, source, text, l, rule).UID }
	const trail = `{"eventID":"e1","eventName":"a"}`
	first := uid("aws_cloudtrail", trail, nil, "r")
	for _, tt := range []struct {
		name string
		uid  UID
		same bool
	}{
		{"the same record again", uid("aws_cloudtrail", trail, nil, "r"), true},
		{"the record with another text", uid("aws_cloudtrail", `{ "eventID": "e1" }`, nil, "r"), true},
		{"the record in a log record", uid("aws_cloudtrail", trail, entry("l1"), "r"), true},
		{"another rule", uid("aws_cloudtrail", trail, nil, "q"), false},
		{"another record", uid("aws_cloudtrail", `{"eventID":"e2"}`, nil, "r"), false},
		{"another source with the same identifier", uid("okta", `{"uuid":"e1"}`, nil, "r"), false},
		{"parts that read the same together", uid("aws_cloudtrail", `{"eventID":"e"}`, nil, "1r"), false},
	} {
		if (tt.uid == first) != tt.same {
			t.Errorf("%s: %s beside %s", tt.name, tt.uid, first)
		}
	}
	document := uid("json", `{"a":1}`, nil, "r")
	if again := uid("json", `{ "a" : 1 }`, nil, "r"); again != document {
		t.Errorf("a document with other spaces is %s beside %s", again, document)
	}
	if other := uid("json", `{"a":2}`, nil, "r"); other == document {
		t.Error("two documents have the same alert")
	}
	line := uid("log", `"text"`, entry("l1"), "r")
	if again := uid("log", `"text"`, entry("l1"), "r"); again != line {
		t.Errorf("a log record that is seen twice is %s and %s", line, again)
	}
	if other := uid("log", `"text"`, entry("l2"), "r"); other == line {
		t.Error("two log records have the same alert")
	}
	if in, other := uid("json", `{"a":1}`, entry("l1"), "r"), uid("json", `{"a":1}`, entry("l2"), "r"); in == other {
		t.Error("equal documents in different log records have the same alert")
	}
}
