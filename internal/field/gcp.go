package field

import (
	"github.com/windhover/windhover/internal/document"
	"github.com/windhover/windhover/internal/event"
)

var gcpFields = documentFields(gcpRows(), "")

func gcpRows() []row {
	rows := []row{
		{name: "gcp.policyDelta", path: ``, one: gcpPolicyDelta, doc: "How the policy of a bucket or a dataset changed, as JSON."},
		{name: "gcp.location", path: `resource.labels`, one: gcpLocation, doc: "Location of the resource: its region, or that of its zone."},
		{name: "gcp.logging.sink", path: `resource`, one: gcpSink, doc: "Sink of logs."},
	}
	for _, p := range []struct{ name, path, doc string }{
		{"user", `protoPayload.authenticationInfo.principalEmail`, "Who made the call."},
		{"callerIP", `protoPayload.requestMetadata.callerIp`, "Address of the caller."},
		{"userAgent", `protoPayload.requestMetadata.callerSuppliedUserAgent`, "What the caller's client calls itself."},
		{"authorizationInfo", `protoPayload.authorizationInfo`, "Permissions that were checked, as JSON."},
		{"serviceName", `protoPayload.serviceName`, "Service that was called."},
		{"request", `protoPayload.request`, "The request, as JSON."},
		{"methodName", `protoPayload.methodName`, "Method that was called."},
		{"cloudfunctions.function", `resource.labels.function_name`, "Function."},
		{"cloudsql.databaseId", `resource.labels.database_id`, "Database."},
		{"compute.instanceId", `resource.labels.instance_id`, "Instance."},
		{"compute.networkId", `resource.labels.network_id`, "Network."},
		{"compute.subnetwork", `resource.labels.subnetwork_name`, "Name of the subnetwork."},
		{"compute.subnetworkId", `resource.labels.subnetwork_id`, "ID of the subnetwork."},
		{"dns.zone", `resource.labels.zone_name`, "DNS zone."},
		{"iam.serviceAccount", `resource.labels.email_id`, "Service account, as an e-mail address."},
		{"iam.serviceAccountId", `resource.labels.unique_id`, "ID of the service account."},
		{"projectId", `resource.labels.project_id`, "Project."},
		{"resourceName", `protoPayload.resourceName`, "Resource of the call."},
		{"resourceType", `resource.type`, "Type of the resource, such as gcs_bucket."},
		{"resourceLabels", `resource.labels`, "Labels of the resource, as JSON."},
		{"storage.bucket", `resource.labels.bucket_name`, "Bucket."},
		{"time", `timestamp`, "When the call was made, as Google wrote it."},
	} {
		rows = append(rows, row{name: "gcp." + p.name, path: p.path, one: text, doc: p.doc})
	}
	return rows
}

var (
	pathResourceType = mustCompile(`resource.type`)
	pathBucketDelta  = mustCompile(`protoPayload.serviceData.policyDelta.bindingDeltas`)
	pathDatasetDelta = mustCompile(`protoPayload.metadata.datasetChange.bindingDeltas`)
)

func gcpPolicyDelta(ev *event.Event, _ document.Value) ([]byte, bool) {
	path := pathDatasetDelta
	if string(ev.Doc.Find(pathResourceType).Text()) == "gcs_bucket" {
		path = pathBucketDelta
	}
	v := ev.Doc.Find(path)
	return v.Text(), v.Kind() != document.Absent && v.Kind() != document.Null
}

func gcpLocation(_ *event.Event, labels document.Value) ([]byte, bool) {
	for _, key := range []string{"location", "region"} {
		if s, ok := present(labels.Get(key)); ok && len(s) > 0 {
			return s, true
		}
	}
	// A zone is a region with a hyphen and a letter: europe-west1-b.
	zone, ok := present(labels.Get("zone"))
	if !ok || len(zone) < 3 {
		return nil, false
	}
	return zone[:len(zone)-2], true
}

func gcpSink(_ *event.Event, resource document.Value) ([]byte, bool) {
	if string(resource.Get("type").Text()) != "logging_sink" {
		return nil, false
	}
	return present(resource.Get("labels").Get("name"))
}
