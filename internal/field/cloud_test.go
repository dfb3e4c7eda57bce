package field

import (
	"testing"

	"github.com/google/go-cmp/cmp"
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
		{GCPAudit, gcpEntry, "gcp.user", "alice@example.com"},
		{GCPAudit, gcpEntry, "gcp.location", "europe-west1"},
		{GCPAudit, gcpEntry, "gcp.request", `{"x":[1,2]}`},
		{GCPAudit, gcpEntry, "gcp.policyDelta", `[{"action":"ADD","member":"allUsers"}]`},
		{GCPAudit, gcpEntry, "gcp.logging.sink", nil},
		{GCPAudit, gcpEntry, "gcp.storage.bucket", "b"},
		{CloudTrail, `{"requestParameters":{"tagSpecificationSet":{"items":[{"resourceType":"volume"},{"resourceType":"instance","tags":[{"key":"x","value":"y"},{"key":"Name","value":"web"}]}]}}}`, "ec2.name", "web"},
		{CloudTrail, `{"responseElements":{"instancesSet":{"items":[{"imageId":"ami-1"},{},{"imageId":"ami-2"}]}},"requestParameters":{"imageId":"ami-3"}}`, "ec2.imageids", []any{"ami-1", "ami-2"}},
		{CloudTrail, `{"responseElements":{"instancesSet":{"items":[]}},"requestParameters":{"imageId":"ami-3"}}`, "ec2.imageids[0]", []any{"ami-3"}},
		{CloudTrail, `{"userIdentity":{"type":"AssumedRole","principalId":"AROA:session","arn":"arn:aws:sts::1:assumed-role/a"}}`, "ct.originaluser", "session"},
		{CloudTrail, `{"additionalEventData":{"bytesTransferredIn":1024.0,"bytesTransferredOut":1e3}}`, "s3.bytes", float64(2024)},
		{CloudTrail, `{"additionalEventData":{"bytesTransferredIn":-1}}`, "s3.bytes", nil},
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
