package field

import (
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/windhover/windhover/internal/event"
)

const oktaEvent = `{
	"uuid": "u", "published": "2024-05-13T13:13:49.999Z", "eventType": "user.session.start", "severity": "INFO",
	"actor": {"id": "00u1", "type": "User", "alternateId": "alice@example.com", "displayName": "Alice"},
	"client": {"ipAddress": "198.51.100.7", "geographicalContext": {"city": "Berlin", "geolocation": {"lat": 52.5200, "lon": 13.4}}},
	"outcome": {"result": "FAILURE", "reason": null}, "securityContext": {"asNumber": 64500, "isProxy": false},
	"target": [
		{"id": "1", "type": "User", "displayName": "Bob"}, {"id": "2", "type": "AppInstance", "alternateId": "wiki", "displayName": "Wiki"},
		{"id": "3", "type": "User", "displayName": "Carol"}
	],
	"debugContext": {"debugData": {"requestUri": "/app/wiki/exk1/sso/saml", "originalPrincipal": {"id": "00u0"}}}
}`

const githubPush = `{
	"webhook_type": "push", "sender": {"login": "alice"}, "organization": {"login": "acme"},
	"repository": {"html_url": "https://github.com/acme/app", "private": true, "description": null, "owner": {"login": "acme"}},
	"commits": [{"added": ["a", "b/c"], "modified": [], "removed": ["d"]}, {"added": ["e"]}]
}`

const githubScanned = `{
	"repository": {"html_url": "https://github.com/acme/app"}, "head_commit": {"id": "c0ffee"},
	"files": [{"name": "a", "matches": []}, {"name": "b", "matches": [{"line": 3, "desc": "AWS key"}, {"line": 12, "desc": "token"}]}, {"name": "c", "matches": [{"line": 1, "desc": "key"}]}],
	"workflow_miner_detections": {"matches": [{"type": "xmrig"}, {"type": "xmr"}, {"type": "xmrig"}]}
}`

const gcpEntry = `{
	"timestamp": "2024-05-13T13:13:49Z",
	"resource": {"type": "gcs_bucket", "labels": {"bucket_name": "b", "project_id": "p", "zone": "europe-west1-b"}},
	"protoPayload": {
		"methodName": "storage.setIamPermissions", "authenticationInfo": {"principalEmail": "alice@example.com"}, "request": {"x": [1, 2]},
		"serviceData": {"policyDelta": {"bindingDeltas": [{"action": "ADD", "member": "allUsers"}]}}
	}
}`

func TestCloudFieldReads(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		source, doc, field string
		want               any // nil: missing
	}{
		{Okta, oktaEvent, "okta.evt.type", "user.session.start"},
		{Okta, oktaEvent, "okta.actor.Type", "User"},
		{Okta, oktaEvent, "okta.app", "wiki"},
		{Okta, oktaEvent, "okta.client.geo.lat", "52.5200"},
		{Okta, oktaEvent, "okta.reason", nil},
		{Okta, oktaEvent, "okta.security.asnumber", float64(64500)},
		{Okta, oktaEvent, "okta.security.isproxy", "false"},
		{Okta, oktaEvent, "okta.target.user.name", "Carol"},
		{Okta, oktaEvent, "okta.target.group.name", nil},
		{Okta, oktaEvent, "okta.target.app.alternateid", "wiki"},
		{Okta, oktaEvent, "okta.targets.displayName", "(Bob,Wiki,Carol)"},
		{Okta, oktaEvent, "okta.targets.displayName[1]", "Wiki"},
		{Okta, oktaEvent, "okta.targets.displayName[9]", nil},
		{Okta, oktaEvent, "okta.principal.id", "00u0"},
		{GitHub, githubPush, "github.type", "push"},
		{GitHub, githubPush, "github.repo.name", "acme/app"},
		{GitHub, githubPush, "github.repo.public", "false"},
		{GitHub, githubPush, "github.repo.description", nil},
		{GitHub, githubPush, "github.commit.added", "a,b/c,e"},
		{GitHub, githubPush, "github.commit.modified", ""},
		{GitHub, githubPush, "github.workflow.filename", nil},
		{GitHub, githubPush, "github.diff.has_secrets", nil},
		{GitHub, `{"files": [{"name": "a", "matches": []}, {}]}`, "github.diff.has_secrets", "false"},
		{GitHub, githubScanned, "github.diff.has_secrets", "true"},
		{GitHub, githubScanned, "github.diff.committed_secrets.desc", "AWS key,token,key"},
		{GitHub, githubScanned, "github.diff.committed_secrets.files", "b,b,c"},
		{GitHub, githubScanned, "github.diff.committed_secrets.lines", "3,12,1"},
		{
			GitHub, githubScanned, "github.diff.committed_secrets.links",
			"https://github.com/acme/app/blob/c0ffee/b/#L3,https://github.com/acme/app/blob/c0ffee/b/#L12,https://github.com/acme/app/blob/c0ffee/c/#L1",
		},
		{GitHub, githubScanned, "github.workflow.has_miners", "true"},
		{GitHub, githubScanned, "github.workflow.miners.type", "xmrig,xmr"},
		{GitHub, `{"workflow_miner_detections": {"matches": []}}`, "github.workflow.has_miners", "false"},
		{GCPAudit, gcpEntry, "gcp.user", "alice@example.com"},
		{GCPAudit, gcpEntry, "gcp.location", "europe-west1"},
		{GCPAudit, gcpEntry, "gcp.request", `{"x":[1,2]}`},
		{GCPAudit, gcpEntry, "gcp.policyDelta", `[{"action":"ADD","member":"allUsers"}]`},
		{GCPAudit, gcpEntry, "gcp.logging.sink", nil},
		{GCPAudit, gcpEntry, "gcp.storage.bucket", "b"},
		{CloudTrail, `{"requestParameters":{"tagSpecificationSet":{"items":[{"resourceType":"volume"},{"resourceType":"instance","tags":[{"key":"x","value":"y"},{"key":"Name","value":"web"}]}]}}}`, "ec2.name", "web"},
		{CloudTrail, `{"responseElements":{"instancesSet":{"items":[{"imageId":"ami-1"},{},{"imageId":"ami-2"}]}},"requestParameters":{"imageId":"ami-3"}}`, "ec2.imageids", []any{"ami-1", "ami-2"}},
		{CloudTrail, `{"responseElements":{"instancesSet":{"items":[]}},"requestParameters":{"imageId":"ami-3"}}`, "ec2.imageids[0]", nil},
		{CloudTrail, `{"requestParameters":{"imageId":"ami-3"}}`, "ec2.imageids[0]", []any{"ami-3"}},
		{CloudTrail, `{"requestParameters":{"imageId":"ami-3"}}`, "ec2.imageids[1]", nil},
		{CloudTrail, `{"requestParameters":{"imageId":7}}`, "ec2.imageid", ""},
		{CloudTrail, `{"errorCode":null}`, "ct.error", ""},
		{CloudTrail, `{"sourceIPAddress":{"a":1}}`, "ct.srcip", ""},
		{CloudTrail, `{"responseElements":null}`, "ct.response", "null"},
		{CloudTrail, `{"requestParameters":"x"}`, "ct.request", `"x"`},
		{CloudTrail, `{"readOnly":"true"}`, "ct.readonly", "false"},
		{CloudTrail, `{"eventSource":".amazonaws.com"}`, "ct.shortsrc", ".amazonaws.com"},
		{CloudTrail, `{"userIdentity":{"type":["IAMUser"],"userName":"a"}}`, "ct.user", nil},
		{CloudTrail, `{"userIdentity":{"type":"IAMUser","userName":1}}`, "ct.user", ""},
		{CloudTrail, `{"userIdentity":{"type":"AssumedRole","principalId":"a:b:c"}}`, "ct.originaluser", nil},
		{CloudTrail, `{"userIdentity":{"accountId":1},"recipientAccountId":"2"}`, "ct.user.accountid", ""},
		{CloudTrail, `{}`, "s3.cnt.other", float64(1)},
		{CloudTrail, `{"userIdentity":{"type":"AWSAccount"},"eventName":"X"}`, "ct.info", "<invalid cloudtrail event: eventSource field missing>"},
		{CloudTrail, `{"userIdentity":{"type":"AWSAccount"},"sourceIPAddress":"a","eventName":"X","readOnly":null,"requestParameters":{"key":"k","Host":"h"}}`, "ct.info", "AWSAccount via a → X Key=k"},
		{CloudTrail, `{"userIdentity":{"type":"AssumedRole","principalId":"AROA:session","arn":"arn:aws:sts::1:assumed-role/a"}}`, "ct.originaluser", "session"},
		{CloudTrail, `{"additionalEventData":{"bytesTransferredIn":1024.0,"bytesTransferredOut":1e3}}`, "s3.bytes", float64(2024)},
		{CloudTrail, `{"additionalEventData":{"bytesTransferredIn":-1}}`, "s3.bytes", float64(0)},
		{CloudTrail, `{"additionalEventData":{"bytesTransferredIn":"7","bytesTransferredOut":5}}`, "s3.bytes", float64(5)},
	} {
		t.Run(tt.field, func(t *testing.T) {
			t.Parallel()
			f, err := Lookup(tt.field, tt.source)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, answer(f, documentEvent(t, tt.doc))); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.field, diff)
			}
		})
	}
}

func TestFailedSignInsAreCountedByUserInTheTimeOfTheEvents(t *testing.T) {
	t.Parallel()
	last5, err := Lookup("okta.mfa.failure.countlast[5]", Okta)
	if err != nil {
		t.Fatal(err)
	}
	last60, err := Lookup("okta.mfa.deny.countlast[60]", Okta)
	if err != nil {
		t.Fatal(err)
	}
	deny := func(user string) string {
		return `{"eventType": "user.mfa.okta_verify.deny_push", "actor": {"id": "` + user + `"}}`
	}
	const failed = `{"eventType": "user.authentication.auth_via_mfa", "outcome": {"result": "FAILURE"}, "actor": {"id": "a"}}`
	const passed = `{"eventType": "user.authentication.auth_via_mfa", "outcome": {"result": "SUCCESS"}, "actor": {"id": "a"}}`
	for i, tt := range []struct {
		at        int64 // seconds
		doc       string
		five, min any
	}{
		{100, deny("a"), 1.0, 1.0},
		{102, deny("a"), 2.0, 2.0},
		{102, deny("b"), 1.0, 1.0},
		{103, failed, 1.0, 1.0},
		{104, passed, nil, nil},
		{104, `{"eventType": "user.session.start", "actor": {"id": "a"}}`, nil, nil},
		{107, deny("a"), 1.0, 3.0}, // that at 102 is five seconds old, no longer in them
		{161, deny("a"), 1.0, 3.0},
		{162, deny("a"), 2.0, 3.0},
	} {
		ev := documentEvent(t, tt.doc)
		ev.Time = tt.at * 1e9
		for _, f := range []*Field{last5, last60, last5} { // asked twice, it is one event
			answer(f, ev)
		}
		if diff := cmp.Diff([]any{tt.five, tt.min}, []any{answer(last5, ev), answer(last60, ev)}); diff != "" {
			t.Errorf("event %d (-want +got):\n%s", i, diff)
		}
	}
}

func TestFailedSignInsAreBounded(t *testing.T) {
	t.Parallel()
	var f failures
	for i := range int64(3 * maxFailures) {
		f.count(failureKey{user: "a"}, i, 1)
	}
	if n := f.count(failureKey{user: "a"}, 3*maxFailures, 1e9); n != maxFailures {
		t.Errorf("%d failures of one user are kept, want %d", n, maxFailures)
	}
	for i := range maxFailingUsers + 100 {
		f.count(failureKey{user: strconv.Itoa(i)}, 1, 1)
	}
	if n := len(f.times); n != maxFailingUsers {
		t.Errorf("%d users are kept, want %d", n, maxFailingUsers)
	}
}

func TestPluginFieldsTellOfDocumentsWhatPluginsDo(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, source, doc string
		plugin, info      any // nil: missing
	}{
		{"Kubernetes", K8sAudit, `{"auditID": "1", "verb": "get"}`, "k8saudit", `{"auditID":"1","verb":"get"}`},
		{
			"a call of AWS", CloudTrail,
			`{"awsRegion":"r","eventSource":"s3.amazonaws.com","eventName":"GetObject","userIdentity":{"type":"IAMUser","userName":"a"},"sourceIPAddress":"10.0.0.1"}`,
			"cloudtrail", "r a s3 GetObject a via 10.0.0.1 ← GetObject",
		},
		{"a call of nobody", CloudTrail, `{"awsRegion":"r","eventSource":"x","eventName":"y"}`, "cloudtrail", "r x y <invalid cloudtrail event: userIdentity field missing>"},
		{"no call of AWS", CloudTrail, `{"awsRegion":"r"}`, "cloudtrail", nil},
		{"a webhook", GitHub, githubPush, "github", "github push user:alice repo:https://github.com/acme/app"},
		{"a document of no plugin", JSON, `{"a": 1}`, nil, `{"a":1}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ev := documentEvent(t, tt.doc)
			ev.Source = &event.Source{Type: tt.source}
			var got []any
			for _, f := range pluginFields {
				got = append(got, answer(f, ev))
			}
			if diff := cmp.Diff([]any{tt.plugin, tt.info}, got); diff != "" {
				t.Errorf("plugin and summary of %s (-want +got):\n%s", tt.doc, diff)
			}
		})
	}
}
