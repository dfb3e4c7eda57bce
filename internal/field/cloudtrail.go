package field

import (
	"bytes"
	"strconv"

	"github.com/windhover/windhover/internal/document"
	"github.com/windhover/windhover/internal/event"
)

var cloudtrailFields = documentFields(cloudtrailRows(), "")

func cloudtrailRows() []row {
	rows := []row{
		{name: "ct.id", path: `eventID`, one: orEmpty, doc: "ID of the event."},
		{name: "ct.error", path: `errorCode`, one: orEmpty, doc: "Error code, if the call failed."},
		{name: "ct.errormessage", path: `errorMessage`, one: orEmpty, doc: "Description of the error."},
		{name: "ct.time", path: `eventTime`, one: orEmpty, hidden: true, doc: "When the call was made, as AWS wrote it."},
		{name: "ct.src", path: `eventSource`, one: orEmpty, doc: "Service that was called, such as s3.amazonaws.com."},
		{name: "ct.shortsrc", path: `eventSource`, one: shortSource, doc: "Service that was called, without .amazonaws.com."},
		{name: "ct.name", path: `eventName`, one: orEmpty, doc: "Call that was made, such as PutObject."},
		{name: "ct.user", path: `userIdentity`, one: awsUser, doc: "Who made the call: the user, the role that was assumed, or the calling service."},
		{name: "ct.originaluser", path: `userIdentity`, one: awsOriginalUser, doc: "Who made the call: the user, or the name of the session of the role that was assumed."},
		{name: "ct.user.accountid", path: ``, one: awsAccount, doc: "Account of who made the call, or else the account that received it."},
		{name: "ct.user.identitytype", path: `userIdentity.type`, one: orEmpty, doc: "Kind of who made the call, such as IAMUser."},
		{name: "ct.user.principalid", path: `userIdentity.principalId`, one: orEmpty, doc: "Unique ID of who made the call."},
		{name: "ct.user.arn", path: `userIdentity.arn`, one: orEmpty, doc: "ARN of who made the call."},
		{name: "ct.region", path: `awsRegion`, one: orEmpty, doc: "Region of the call."},
		{name: "ct.response", path: `responseElements`, one: asJSON, doc: "What the call answered, as JSON."},
		{name: "ct.request", path: `requestParameters`, one: asJSON, doc: "Parameters of the call, as JSON."},
		{name: "ct.srcip", path: `sourceIPAddress`, one: orEmpty, doc: "Address of the caller, or the name of the calling service."},
		{name: "ct.useragent", path: `userAgent`, one: orEmpty, doc: "What the caller's client calls itself."},
		{name: "ct.info", path: ``, one: awsSummary, doc: "The call in one line."},
		{name: "ct.managementevent", path: `managementEvent`, one: isTrue, doc: "Whether the call manages resources."},
		{name: "ct.readonly", path: `readOnly`, one: isTrue, doc: "Whether the call changes nothing."},
		{name: "ct.requestid", path: `requestID`, one: orEmpty, doc: "ID of the request."},
		{name: "ct.eventtype", path: `eventType`, one: orEmpty, doc: "Type of the event, such as AwsApiCall."},
		{name: "ct.apiversion", path: `apiVersion`, one: orEmpty, doc: "Version of the API that was called."},
		{name: "ct.resources", path: `resources`, one: elements, doc: "Resources of the call, each as JSON, joined by commas."},
		{name: "ct.recipientaccountid", path: `recipientAccountId`, one: orEmpty, doc: "Account that received the event."},
		{name: "ct.serviceeventdetails", path: `serviceEventDetails`, one: orEmpty, doc: "What a service tells of its event, if that is a text."},
		{name: "ct.sharedeventid", path: `sharedEventID`, one: orEmpty, doc: "ID of the action that several accounts have events of."},
		{name: "ct.vpcendpointid", path: `vpcEndpointId`, one: orEmpty, doc: "VPC endpoint the call came through."},
		{name: "ct.eventcategory", path: `eventCategory`, one: orEmpty, doc: "Category of the event: Management, Data or Insight."},
		{name: "ct.sessioncredentialfromconsole", path: `sessionCredentialFromConsole`, one: isTrue, doc: "Whether the call came from a session of the console."},
		{name: "ct.edgedevicedetails", path: `edgeDeviceDetails`, one: orEmpty, doc: "Edge devices the call is about, if that is a text."},
		{name: "ct.additionaleventdata", path: `additionalEventData`, one: asJSON, doc: "More about the call, as JSON."},

		{name: "s3.uri", path: `requestParameters`, one: bucketURI, doc: "Object of the call, as s3://bucket/key."},
		{name: "s3.bucket", path: `requestParameters.bucketName`, one: orEmpty, doc: "Bucket of the call."},
		{name: "s3.key", path: `requestParameters.key`, one: orEmpty, doc: "Key of the object of the call."},
		{name: "s3.bytes", path: `additionalEventData`, number: transferred, doc: "Bytes that went in and out."},
		{name: "s3.bytes.in", path: `additionalEventData.bytesTransferredIn`, number: byteCount, hidden: true, doc: "Bytes that went in."},
		{name: "s3.bytes.out", path: `additionalEventData.bytesTransferredOut`, number: byteCount, hidden: true, doc: "Bytes that went out."},
		{name: "s3.cnt.get", path: ``, number: one(func(name string) bool { return name == "GetObject" }), hidden: true, doc: "1 if the call is GetObject."},
		{name: "s3.cnt.put", path: ``, number: one(func(name string) bool { return name == "PutObject" }), hidden: true, doc: "1 if the call is PutObject."},
		{name: "s3.cnt.other", path: ``, number: one(func(name string) bool { return name != "GetObject" && name != "PutObject" }), hidden: true, doc: "1 if the call is another one."},
		{name: "ec2.name", path: `requestParameters.tagSpecificationSet.items`, one: instanceName, doc: "Name that the tags of an instance give it."},
		{name: "ec2.imageid", path: ``, one: firstImage, deprecated: true, doc: "Image of the first instance. Use ec2.imageids."},
		{name: "ecr.repository", path: `requestParameters.repositoryName`, one: orEmpty, doc: "Repository of container images."},
		{name: "ecr.imagetag", path: `requestParameters.imageTag`, one: orEmpty, doc: "Tag of a container image."},
		{name: "iam.role", path: `requestParameters.roleName`, one: orEmpty, doc: "Role of the call."},
		{name: "iam.policy", path: `requestParameters.policyName`, one: orEmpty, doc: "Policy of the call."},
	}
	for _, p := range []struct{ name, path, doc string }{
		{"response.subnetid", `responseElements.subnetId`, "Subnet in the answer."},
		{"response.reservationid", `responseElements.reservationId`, "Reservation in the answer."},
		{"request.availabilityzone", `requestParameters.availabilityZone`, "Availability zone in the parameters."},
		{"request.cluster", `requestParameters.cluster`, "Cluster in the parameters."},
		{"request.functionname", `requestParameters.functionName`, "Function in the parameters."},
		{"request.groupname", `requestParameters.groupName`, "Group in the parameters."},
		{"request.host", `requestParameters.Host`, "Host in the parameters."},
		{"request.name", `requestParameters.name`, "Name in the parameters."},
		{"request.policy", `requestParameters.policy`, "Policy in the parameters."},
		{"request.reason", `requestParameters.reason`, "Reason in the parameters."},
		{"request.target", `requestParameters.target`, "Target in the parameters."},
		{"request.documentname", `requestParameters.documentName`, "Document in the parameters."},
		{"request.serialnumber", `requestParameters.serialNumber`, "Serial number in the parameters."},
		{"request.servicename", `requestParameters.serviceName`, "Service in the parameters."},
		{"request.subnetid", `requestParameters.subnetId`, "Subnet in the parameters."},
		{"request.taskdefinition", `requestParameters.taskDefinition`, "Task definition in the parameters."},
		{"request.username", `requestParameters.userName`, "User in the parameters."},
		{"addendum.reason", `addendum.reason`, "Why an earlier event is sent again."},
		{"addendum.updatedfields", `addendum.updatedFields`, "What differs from the earlier event."},
		{"addendum.originalrequestid", `addendum.originalRequestID`, "Request ID of the earlier event."},
		{"addendum.originaleventid", `addendum.originalEventID`, "ID of the earlier event."},
		{"tlsdetails.tlsversion", `tlsDetails.tlsVersion`, "TLS version of the call."},
		{"tlsdetails.ciphersuite", `tlsDetails.cipherSuite`, "Cipher suite of the call."},
		{"tlsdetails.clientprovidedhostheader", `tlsDetails.clientProvidedHostHeader`, "Host that the client asked for."},
	} {
		rows = append(rows, row{name: "ct." + p.name, path: p.path, one: orEmpty, doc: p.doc})
	}
	return rows
}

// imageIDs is a field of its own kind: where its values are depends on the call.
var imageIDs = func() *Field {
	f := &Field{
		Name: "ec2.imageids", Kind: KindText, Match: MatchList, Arg: ArgOptional, Doc: "Images of the instances.",
		Types: event.TypesOf(event.PluginEvent), AppendText: func(ev *event.Event, dst [][]byte) [][]byte { return appendImages(ev, dst, -1) },
	}
	f.Bind = func(arg string) (*Field, error) {
		if !isIndex(arg) {
			return nil, errIndex
		}
		n, err := strconv.Atoi(arg)
		if err != nil {
			return nil, errIndex
		}
		b := f.bound(arg)
		b.AppendText = func(ev *event.Event, dst [][]byte) [][]byte { return appendImages(ev, dst, n) }
		return b, nil
	}
	return f
}()

var (
	pathUserIdentity = mustCompile(`userIdentity`)
	pathParameters   = mustCompile(`requestParameters`)
	pathTransfer     = mustCompile(`additionalEventData`)
	pathInstances    = mustCompile(`responseElements.instancesSet.items`)
	pathImages       = []*document.Path{
		mustCompile(`requestParameters.imageId`),
		mustCompile(`requestParameters.DescribeFastLaunchImagesRequest.ImageId.content`),
		mustCompile(`requestParameters.launchSpecification.imageId`),
	}
)

// orEmpty reads a string; any other value reads as the empty one.
func orEmpty(_ *event.Event, v document.Value) ([]byte, bool) { return stringOf(v), true }

// stringOf returns a string, or the empty one for any other value.
func stringOf(v document.Value) []byte {
	if v.Kind() != document.String {
		return nil
	}
	return v.Text()
}

// asJSON reads any value as JSON, a string with its quotes.
func asJSON(_ *event.Event, v document.Value) ([]byte, bool) { return v.JSON(), true }

// isTrue reads a truth value; any other value reads as false.
func isTrue(_ *event.Event, v document.Value) ([]byte, bool) {
	return textOf(v.Kind() == document.True), true
}

// appendImages appends the images of the instances of an answer, or number n of them; or
// else the image that was asked for, which is number 0.
func appendImages(ev *event.Event, dst [][]byte, n int) [][]byte {
	if ev.Doc == nil {
		return dst
	}
	if items := ev.Doc.Find(pathInstances); items.Kind() != document.Absent {
		i := 0
		for e := items.Elements(); e.Next(); i++ {
			image := e.Value().Get("imageId")
			if n < 0 && len(stringOf(image)) > 0 || i == n && image.Kind() != document.Absent {
				dst = append(dst, stringOf(image))
			}
		}
		return dst
	}
	if n > 0 {
		return dst
	}
	for _, p := range pathImages {
		if v := ev.Doc.Find(p); v.Kind() != document.Absent {
			return append(dst, stringOf(v))
		}
	}
	return dst
}

func firstImage(ev *event.Event, _ document.Value) ([]byte, bool) {
	var room [1][]byte
	images := appendImages(ev, room[:0], 0)
	if len(images) == 0 {
		return nil, false
	}
	return images[0], true
}

func shortSource(_ *event.Event, v document.Value) ([]byte, bool) {
	name := stringOf(v)
	if short, ok := bytes.CutSuffix(name, []byte(".amazonaws.com")); ok && len(short) > 0 {
		return short, true
	}
	return name, true
}

var (
	identityAccount   = []byte("AWSAccount")
	identityFederated = []byte("FederatedUser")
	identityRole      = []byte("AssumedRole")
)

func awsUser(_ *event.Event, id document.Value) ([]byte, bool) {
	switch string(stringOf(id.Get("type"))) {
	case "Root", "IAMUser":
		return member(id, "userName")
	case "AWSService":
		return member(id, "invokedBy")
	case "AssumedRole":
		if name, ok := member(id.Get("sessionContext").Get("sessionIssuer"), "userName"); ok {
			return name, true
		}
		return identityRole, true
	case "AWSAccount":
		return identityAccount, true
	case "FederatedUser":
		return identityFederated, true
	}
	return nil, false
}

// member reads a member as orEmpty does.
func member(v document.Value, key string) ([]byte, bool) {
	m := v.Get(key)
	return stringOf(m), m.Kind() != document.Absent
}

// present reads a string.
func present(v document.Value) ([]byte, bool) { return v.Text(), v.Kind() == document.String }

func awsOriginalUser(_ *event.Event, id document.Value) ([]byte, bool) {
	if string(stringOf(id.Get("type"))) != "AssumedRole" {
		return member(id, "userName")
	}
	if arn := stringOf(id.Get("arn")); bytes.Count(arn, []byte{'/'}) == 2 {
		return arn[bytes.LastIndexByte(arn, '/')+1:], true
	}
	_, session, ok := bytes.Cut(stringOf(id.Get("principalId")), []byte{':'})
	return session, ok && bytes.IndexByte(session, ':') < 0
}

var pathRecipient = mustCompile(`recipientAccountId`)

func awsAccount(ev *event.Event, _ document.Value) ([]byte, bool) {
	if account, ok := member(ev.Doc.Find(pathUserIdentity), "accountId"); ok {
		return account, true
	}
	recipient := ev.Doc.Find(pathRecipient)
	return stringOf(recipient), recipient.Kind() != document.Absent
}

func elements(ev *event.Event, v document.Value) ([]byte, bool) {
	if v.Len() == 0 {
		return nil, false
	}
	start := len(ev.Scratch)
	for e := v.Elements(); e.Next(); {
		if len(ev.Scratch) > start {
			ev.Scratch = append(ev.Scratch, ',')
		}
		ev.Scratch = append(ev.Scratch, e.Value().JSON()...)
	}
	return tail(ev, start), true
}

func bucketURI(ev *event.Event, parameters document.Value) ([]byte, bool) {
	bucket, ok1 := present(parameters.Get("bucketName"))
	key, ok2 := present(parameters.Get("key"))
	if !ok1 || !ok2 {
		return nil, false
	}
	start := len(ev.Scratch)
	ev.Scratch = append(ev.Scratch, "s3://"...)
	ev.Scratch = append(ev.Scratch, bucket...)
	ev.Scratch = append(ev.Scratch, '/')
	ev.Scratch = append(ev.Scratch, key...)
	return tail(ev, start), true
}

func unsigned(_ *event.Event, v document.Value) (int64, bool) {
	n, ok := v.Uint()
	if !ok {
		// CloudTrail writes byte counts as 1024.0.
		f, isNumber := v.Float()
		const limit = 1 << 63
		if !isNumber || f < 0 || f >= limit {
			return 0, false
		}
		n = uint64(f)
	}
	return int64(n), true
}

// byteCount is unsigned, but what is no such number reads as 0.
func byteCount(ev *event.Event, v document.Value) (int64, bool) {
	n, _ := unsigned(ev, v)
	return n, v.Kind() != document.Absent
}

func transferred(ev *event.Event, v document.Value) (int64, bool) {
	in, ok1 := byteCount(ev, v.Get("bytesTransferredIn"))
	out, ok2 := byteCount(ev, v.Get("bytesTransferredOut"))
	return in + out, ok1 || ok2
}

// one reads 1 if the call is a wanted one, and nothing otherwise.
func one(wanted func(string) bool) func(*event.Event, document.Value) (int64, bool) {
	return func(_ *event.Event, doc document.Value) (int64, bool) {
		return 1, wanted(string(stringOf(doc.Get("eventName"))))
	}
}

// instanceName reads the name that the last of the instances has.
func instanceName(_ *event.Event, items document.Value) (name []byte, ok bool) {
	for e := items.Elements(); e.Next(); {
		if string(stringOf(e.Value().Get("resourceType"))) != "instance" {
			continue
		}
		for tag := e.Value().Get("tags").Elements(); tag.Next(); {
			if string(stringOf(tag.Value().Get("key"))) == "Name" {
				name = stringOf(tag.Value().Get("value"))
				break
			}
		}
	}
	return name, len(name) > 0
}

// These are what Falco writes of a call that lacks something: rules compare with the first.
var (
	noUser = []byte("<invalid cloudtrail event: userIdentity field missing>")
	noFrom = []byte("<invalid cloudtrail event: eventSource field missing>")
	noName = []byte("<invalid cloudtrail event: eventName field missing>")
)

// awsSummary reads a call as: user via address → name, and what it was about. The arrow
// points left if nothing was changed, and has an exclamation mark if the call failed.
func awsSummary(ev *event.Event, doc document.Value) ([]byte, bool) {
	user, hasUser := awsUser(ev, ev.Doc.Find(pathUserIdentity))
	from, hasFrom := member(doc, "sourceIPAddress")
	name, hasName := member(doc, "eventName")
	switch {
	case !hasUser:
		return noUser, true
	case !hasFrom:
		return noFrom, true
	case !hasName:
		return noName, true
	}
	parameters := ev.Doc.Find(pathParameters)
	start := len(ev.Scratch)
	s := append(ev.Scratch, user...)
	if !bytes.Equal(from, user) {
		s = append(append(s, " via "...), from...)
	}
	s = append(s, ' ')
	if doc.Get("errorCode").Kind() != document.Absent {
		s = append(s, '!')
	}
	if only := doc.Get("readOnly").Kind(); only != document.Absent && only != document.True {
		s = append(s, "→ "...)
	} else {
		s = append(s, "← "...)
	}
	s = append(s, name...)
	if string(name) == "PutBucketPublicAccessBlock" {
		block := parameters.Get("PublicAccessBlockConfiguration")
		if block.Kind() == document.Object {
			s = append(s, ' ')
			for _, key := range []string{"BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"} {
				s = append(append(append(s, key...), '='), textOf(block.Get(key).Kind() == document.True)...)
				s = append(s, ' ')
			}
		}
		ev.Scratch = s
		return tail(ev, start), true
	}
	if n, ok := transferred(ev, ev.Doc.Find(pathTransfer)); ok {
		s = strconv.AppendUint(append(s, " Size="...), uint64(n), 10)
	}
	bucket, hasBucket := present(parameters.Get("bucketName"))
	key, hasKey := present(parameters.Get("key"))
	if hasBucket && hasKey {
		s = append(append(append(append(s, " URI=s3://"...), bucket...), '/'), key...)
	} else {
		for _, part := range []struct{ key, label string }{{"bucketName", " Bucket="}, {"key", " Key="}, {"Host", " Host="}} {
			if v, ok := member(parameters, part.key); ok {
				s = append(append(s, part.label...), v...)
				break
			}
		}
	}
	ev.Scratch = s
	return tail(ev, start), true
}
