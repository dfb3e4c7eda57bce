package otlp

import (
	"crypto/sha256"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/windhover/windhover/internal/alert"
	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/field"
	"github.com/windhover/windhover/internal/ledger"
	"github.com/windhover/windhover/rules"
)

// Names of the events that Windhover sends.
const (
	EventAlert         = "windhover.alert"
	EventAlertsFolded  = "windhover.alerts_folded"
	EventEventsDropped = "windhover.events_dropped"
)

// attributeGeneration is on every alert, and on the scope of every metric.
const attributeGeneration = "windhover.ruleset.generation"

// Attributes that exporters of other shapes read from a record.
const (
	AttributeRuleName     = "security_rule.name"
	AttributeRuleTags     = "windhover.rule.tags"
	AttributeSourceType   = "windhover.source.type"
	AttributeRecordID     = "windhover.record.id"
	AttributeOutputFields = "falco.output_fields"
	AttributeHostName     = "host.name"
	// PrefixDrop begins the attributes of a notice that a source lost events.
	PrefixDrop = "windhover.drop."
	// PrefixFold begins the attributes of a notice that stands for repeats of an alert.
	PrefixFold = "windhover.fold."
)

// severities follow the table for syslog in the OpenTelemetry log data model, in the
// order of rules.Priority.
var severities = [...]plog.SeverityNumber{
	rules.Emergency:     plog.SeverityNumberFatal,
	rules.Alert:         plog.SeverityNumberError3,
	rules.Critical:      plog.SeverityNumberError2,
	rules.Error:         plog.SeverityNumberError,
	rules.Warning:       plog.SeverityNumberWarn,
	rules.Notice:        plog.SeverityNumberInfo2,
	rules.Informational: plog.SeverityNumberInfo,
	rules.Debug:         plog.SeverityNumberDebug,
}

// facts maps the fields that alerts carry beside their output to attributes of the
// record or of its resource.
var facts = map[string]struct {
	key      string
	resource bool
}{
	"user.name":                  {"process.user.name", false},
	"fs.path.name":               {"file.path", false},
	"container.name":             {"container.name", true},
	"container.image.repository": {"container.image.name", true},
	"container.image.tag":        {"container.image.tags", true},
	"container.image.digest":     {"container.image.repo_digests", true},
	"k8s.ns.name":                {"k8s.namespace.name", true},
	"k8s.pod.name":               {"k8s.pod.name", true},
	"k8s.pod.uid":                {"k8s.pod.uid", true},

	"ka.auditid":            {"windhover.k8s.audit.id", false},
	"ka.stage":              {"windhover.k8s.audit.stage", false},
	"ka.verb":               {"windhover.k8s.audit.verb", false},
	"ka.target.resource":    {"windhover.k8s.target.resource", false},
	"ka.target.subresource": {"windhover.k8s.target.subresource", false},
	"ka.target.name":        {"windhover.k8s.target.name", false},
	"ka.target.namespace":   {"k8s.namespace.name", false},
	"ka.uri":                {"url.original", false},
	"ka.user.name":          {"user.name", false},
	"ka.user.groups":        {"user.roles", false},
	"ka.impuser.name":       {"windhover.k8s.impersonated_user.name", false},
	"ka.response.code":      {"http.response.status_code", false},
	"ka.useragent":          {"user_agent.original", false},
	"ka.sourceips":          {"client.address", false},
	"ka.cluster.name":       {"k8s.cluster.name", true},

	"ct.user.principalid":    {"user.id", false},
	"ct.user":                {"user.name", false},
	"ct.user.arn":            {"windhover.aws.user.arn", false},
	"ct.srcip":               {"client.address", false},
	"ct.useragent":           {"user_agent.original", false},
	"ct.recipientaccountid":  {"cloud.account.id", false},
	"ct.user.accountid":      {"cloud.account.id", false},
	"ct.region":              {"cloud.region", false},
	"ct.src":                 {"windhover.event.service", false},
	"ct.name":                {"windhover.event.action", false},
	"ct.error":               {"error.type", false},
	"okta.actor.id":          {"user.id", false},
	"okta.actor.alternateid": {"user.name", false},
	"okta.actor.name":        {"user.full_name", false},
	"okta.client.ip":         {"client.address", false},
	"okta.useragent.raw":     {"user_agent.original", false},
	"okta.evt.type":          {"windhover.event.action", false},
	"okta.result":            {"windhover.event.outcome", false},
	"github.user":            {"user.name", false},
	"github.type":            {"windhover.event.action", false},
	"github.action":          {"windhover.github.action", false},
	"github.repo.url":        {"vcs.repository.url.full", false},
	"github.repo.name":       {"vcs.repository.name", false},
	"github.owner":           {"vcs.owner.name", false},
	"gcp.user":               {"user.name", false},
	"gcp.callerIP":           {"client.address", false},
	"gcp.userAgent":          {"user_agent.original", false},
	"gcp.projectId":          {"cloud.account.id", false},
	"gcp.location":           {"cloud.region", false},
	"gcp.resourceName":       {"cloud.resource_id", false},
	"gcp.serviceName":        {"windhover.event.service", false},
	"gcp.methodName":         {"windhover.event.action", false},
}

// providers are the clouds that sources tell of, as the conventions call them.
var providers = map[string]string{field.CloudTrail: "aws", field.GCPAudit: "gcp"}

// listAttributes are those whose value is a list in the conventions, even of one.
var listAttributes = map[string]bool{
	"container.image.tags":         true,
	"container.image.repo_digests": true,
	"user.roles":                   true,
}

// EncodeAlerts returns one log record for every alert, grouped by what they are about:
// the host or one of its containers.
func EncodeAlerts(alerts []*alert.Alert, res Resource) plog.Logs {
	logs := plog.NewLogs()
	groups := make(map[string]plog.LogRecordSlice, 4)
	for _, a := range alerts {
		key := groupOf(a)
		records, ok := groups[key]
		if !ok {
			rl := logs.ResourceLogs().AppendEmpty()
			host := res
			if a.Source != nil && a.Source.Host != "" {
				host.HostName = a.Source.Host
			}
			host.Put(rl.Resource().Attributes())
			putContainer(rl.Resource().Attributes(), a)
			scope := rl.ScopeLogs().AppendEmpty()
			scope.Scope().SetName(ScopeName)
			scope.Scope().SetVersion(res.ServiceVersion)
			records = scope.LogRecords()
			groups[key] = records
		}
		encode(records.AppendEmpty(), a, false)
	}
	return logs
}

// groupOf returns a key that is equal for alerts with the same resource.
func groupOf(a *alert.Alert) string {
	var key []byte
	if a.Source != nil {
		key = append(key, a.Source.Host...)
	}
	if onHost(a) {
		return string(key)
	}
	if a.Image != nil {
		key = append(append(key, 0), a.Image.ContainerFullID...)
	}
	for i := range a.Facts {
		if f := &a.Facts[i]; facts[f.Name].resource {
			key = append(append(key, 0), f.Name...)
			key = append(append(key, 0), f.Value.Text...)
		}
	}
	return string(key)
}

// onHost says whether a is about a process in no container. What the fields of rules call
// the container of such a one, "host", is no container.
func onHost(a *alert.Alert) bool { return a.Image != nil && len(a.Image.ContainerID) == 0 }

func putContainer(m pcommon.Map, a *alert.Alert) {
	if onHost(a) {
		return
	}
	if a.Image != nil {
		m.PutStr("container.id", text(string(a.Image.ContainerFullID)))
	}
	w := attributes{m: m}
	for i := range a.Facts {
		if to := facts[a.Facts[i].Name]; to.resource {
			w.fact(to.key, a.Facts[i].Value)
		}
	}
}

// encode makes r the record of a. Facts about the resource are put into it only if the
// resource is not ours: alone.
func encode(r plog.LogRecord, a *alert.Alert, alone bool) {
	r.SetTimestamp(pcommon.Timestamp(a.Time))
	r.SetObservedTimestamp(pcommon.Timestamp(a.Observed))
	r.Body().SetStr(text(a.Output))
	if t := a.Trace; t != (event.Trace{}) {
		r.SetTraceID(t.ID)
		r.SetSpanID(t.Span)
	}

	w := attributes{m: r.Attributes()}
	w.m.EnsureCapacity(48)
	w.str("log.record.uid", a.UID.String())
	w.str(AttributeRecordID, a.RecordID)
	if a.Source != nil {
		w.str("windhover.source.name", a.Source.Name)
		w.str(AttributeSourceType, a.Source.Type)
	}
	w.int(attributeGeneration, int64(a.Generation))

	switch {
	case a.Drop != nil:
		r.SetEventName(EventEventsDropped)
		r.SetSeverityNumber(severities[rules.Critical])
		r.SetSeverityText(rules.Critical.String())
		w.episode(a.Drop)
	case a.Rule != nil:
		r.SetEventName(EventAlert)
		if a.Fold != nil {
			r.SetEventName(EventAlertsFolded)
			w.fold(a.Fold)
		}
		r.SetSeverityNumber(severities[a.Rule.Priority])
		r.SetSeverityText(a.Rule.Priority.String())
		w.str("windhover.event.type", a.Type.String())
		w.rule(a.Rule)
		w.process(a)
		w.file(a)
		w.network(a)
		w.str("cloud.provider", providers[a.Source.Type])
		for i := range a.Facts {
			if to, ok := facts[a.Facts[i].Name]; ok && (alone || !to.resource) {
				w.fact(to.key, a.Facts[i].Value)
			}
		}
		w.pod(a.Facts)
		w.outputFields(a.Fields)
	}
	r.SetDroppedAttributesCount(w.dropped)
}

func (w *attributes) rule(r *rules.Rule) {
	w.str(AttributeRuleName, r.Name)
	w.str("security_rule.description", r.Desc)
	w.str("security_rule.uuid", ruleUUID(r.Source, r.Name))
	w.str("security_rule.version", r.Hash)
	w.str("security_rule.ruleset.name", r.File)
	w.str("windhover.ruleset.sha256", r.Fingerprint)
	w.list(AttributeRuleTags, r.Tags)

	t := threatOf(r.Tags)
	if len(t.tacticIDs)+len(t.techniqueIDs) == 0 {
		return
	}
	if len(t.tacticNames) > 0 {
		w.str("security_rule.category", t.tacticNames[0])
	}
	w.str("threat.framework", "MITRE ATT&CK")
	w.list("threat.tactic.id", t.tacticIDs)
	w.list("threat.tactic.name", t.tacticNames)
	w.list("threat.technique.id", t.techniqueIDs)
}

// ruleUUID returns an identifier of the rule that stays the same on every host and
// through every change of the rule but of its name: a UUID of version 8 made of a
// hash.
func ruleUUID(source, name string) string {
	sum := sha256.Sum256([]byte(source + ":" + name))
	u := alert.UID(sum[:16])
	u[6] = u[6]&0x0f | 0x80
	u[8] = u[8]&0x3f | 0x80
	return u.String()
}

// containerStatus says why the name, the image and the pod of a container are missing;
// nothing where they are not.
var containerStatus = map[event.ContainerStatus]string{
	event.ContainerPending: "pending", event.ContainerUnknown: "unknown",
}

func (w *attributes) process(a *alert.Alert) {
	p, i := a.Proc, a.Image
	if p == nil {
		return
	}
	w.int("process.pid", int64(p.PID))
	if a.TID != 0 {
		w.int("thread.id", int64(a.TID))
	}
	w.int("process.user.id", int64(a.UserID))
	if i == nil || !i.Known() {
		return
	}
	if i.Container != nil { // engines were asked
		w.str("windhover.container.status", containerStatus[i.Container.Status()])
	}
	w.str("process.executable.name", string(i.Name))
	w.str("process.executable.path", string(i.ExePath))
	w.str("process.command_line", string(i.Cmdline))
	args := make([]string, 0, 1+len(i.Args))
	if i.Exe != nil {
		args = append(args, string(i.Exe))
		for _, arg := range i.Args {
			args = append(args, string(arg))
		}
	}
	w.list("process.command_args", args)
	w.str("process.working_directory", string(i.CWD))
	w.int("process.parent_pid", int64(i.PPID))
	if parent := a.Parent; parent != nil {
		w.str("windhover.process.parent.executable.name", string(parent.Name))
		w.str("windhover.process.parent.command_line", string(parent.Cmdline))
	}
	if i.VPID != 0 {
		w.int("process.vpid", int64(i.VPID))
	}
	w.int("process.session_leader.pid", int64(i.SID))
	w.int("process.group_leader.pid", int64(i.PGID))
	w.int("process.real_user.id", int64(i.UID))
	w.bool("process.interactive", i.TTY != 0)
	if i.CloneTime != 0 {
		w.str("process.creation.time", time.Unix(0, i.CloneTime).UTC().Format(time.RFC3339Nano))
	}
	w.str("process.linux.cgroup", string(i.Cgroup))
}

func (w *attributes) file(a *alert.Alert) {
	if a.Has&event.HasFile == 0 {
		return
	}
	f := &a.File
	if path := string(f.Path); path != "" {
		w.str("file.path", path)
		if i := strings.LastIndexByte(path, '/'); i >= 0 {
			w.str("file.directory", path[:max(i, 1)])
			w.str("file.name", path[i+1:])
		}
	}
	if f.Ino != 0 {
		w.str("file.inode", strconv.FormatUint(f.Ino, 10))
	}
	if f.Mode != 0 {
		w.str("file.mode", "0"+strconv.FormatUint(uint64(f.Mode&0o7777), 8))
	}
}

// Values of the kernel's interface: address families and protocols.
const (
	afUnix  = 1
	afInet  = 2
	afInet6 = 10

	protoTCP  = 6
	protoUDP  = 17
	protoSCTP = 132

	sockStream = 1
	sockDgram  = 2
)

func (w *attributes) network(a *alert.Alert) {
	if a.Has&(event.HasSock|event.HasAddr) == 0 {
		return
	}
	s := &a.Sock
	switch s.Family {
	case afInet, afInet6:
		switch {
		case s.Proto == protoTCP, s.Proto == 0 && s.Type == sockStream:
			w.str("network.transport", "tcp")
		case s.Proto == protoUDP, s.Proto == 0 && s.Type == sockDgram:
			w.str("network.transport", "udp")
		case s.Proto == protoSCTP:
			w.str("network.transport", "sctp")
		}
		local, remote := address(s.Family, s.LocalIP), address(s.Family, s.RemoteIP)
		kind := "ipv4"
		if remote.Is6() || local.Is6() && !remote.IsValid() {
			kind = "ipv6"
		}
		w.str("network.type", kind)
		w.end("network.local", local, s.LocalPort)
		w.end("network.peer", remote, s.RemotePort)
	case afUnix:
		w.str("network.transport", "unix")
		w.str("network.local.address", unixName(s.LocalPath))
		w.str("network.peer.address", unixName(s.RemotePath))
	}
	switch s.Role {
	case event.RoleClient:
		w.str("windhover.socket.role", "client")
	case event.RoleServer:
		w.str("windhover.socket.role", "server")
	}
}

func address(family uint16, ip [16]byte) netip.Addr {
	if family == afInet {
		return netip.AddrFrom4([4]byte(ip[:4]))
	}
	return netip.AddrFrom16(ip).Unmap()
}

// end puts one end of a connection; one without a port is not known.
func (w *attributes) end(prefix string, ip netip.Addr, port uint16) {
	if port == 0 && ip.IsUnspecified() {
		return
	}
	w.str(prefix+".address", ip.String())
	if port != 0 {
		w.int(prefix+".port", int64(port))
	}
}

// unixName writes an abstract name as people do, with an @ for its NUL byte.
func unixName(path []byte) string {
	if len(path) > 0 && path[0] == 0 {
		return "@" + string(path[1:])
	}
	return string(path)
}

// pod names the pod that a request to the API server is about.
func (w *attributes) pod(list []alert.Field) {
	var resource, name, pod string
	for i := range list {
		switch list[i].Name {
		case "ka.target.resource":
			resource = list[i].Value.Text
		case "ka.target.name":
			name = list[i].Value.Text
		case "ka.target.pod.name":
			pod = list[i].Value.Text
		}
	}
	if pod == "" && resource == "pods" {
		pod = name
	}
	w.str("k8s.pod.name", pod)
}

// fact puts a value where the conventions want it, and not twice.
func (w *attributes) fact(key string, v field.Value) {
	if !v.Valid {
		return
	}
	if _, have := w.m.Get(key); have {
		return
	}
	switch {
	case listAttributes[key] && v.List == nil:
		if v.Text != "" {
			w.list(key, []string{v.Text})
		}
	case listAttributes[key]:
		w.list(key, v.List)
	case v.List != nil:
		if len(v.List) > 0 {
			w.str(key, v.List[0])
		}
	case key == "http.response.status_code":
		// The field is text in the rule language and a number in the conventions.
		if code, err := strconv.ParseInt(v.Text, 10, 64); err == nil {
			w.int(key, code)
		} else if v.Kind == field.KindInt || v.Kind == field.KindUint {
			w.int(key, v.Int)
		}
	default:
		scalar := pcommon.NewValueEmpty()
		size := putValue(scalar, v)
		if scalar.Type() == pcommon.ValueTypeStr && scalar.Str() == "" {
			return
		}
		if w.admit(key, size) {
			scalar.CopyTo(w.m.PutEmpty(key))
		}
	}
}

// outputFields keeps every field of the output as it is, with its type: null where the
// event has no such value.
func (w *attributes) outputFields(fields []alert.Field) {
	if len(fields) == 0 || !w.admit(AttributeOutputFields, 0) {
		return
	}
	m := w.m.PutEmptyMap(AttributeOutputFields)
	m.EnsureCapacity(min(len(fields), maxAttributes))
	for i := range fields {
		v := pcommon.NewValueEmpty()
		if size := putValue(v, fields[i].Value); w.admit(fields[i].Name, size) {
			v.MoveTo(m.PutEmpty(fields[i].Name))
		}
	}
}

// putValue sets to from v and returns its size.
func putValue(to pcommon.Value, v field.Value) int {
	if !v.Valid {
		return 1
	}
	if v.List != nil {
		l := to.SetEmptySlice()
		size := 0
		for i, s := range v.List {
			s = text(s)
			if i == maxListItems || size+len(s) > maxValueBytes {
				break
			}
			l.AppendEmpty().SetStr(s)
			size += len(s)
		}
		return size
	}
	switch v.Kind {
	case field.KindInt, field.KindTime, field.KindDuration, field.KindPort:
		to.SetInt(v.Int)
	case field.KindUint:
		// OTLP has no unsigned number: the upper half goes as text.
		if v.Int < 0 {
			to.SetStr(strconv.FormatUint(uint64(v.Int), 10))
			break
		}
		to.SetInt(v.Int)
	case field.KindBool:
		to.SetBool(v.Int != 0)
	case field.KindFloat:
		to.SetDouble(math.Float64frombits(uint64(v.Int)))
	case field.KindIP, field.KindNet:
		if v.IP.IsValid() {
			to.SetStr(v.IP.String())
		} else {
			to.SetStr(text(v.Text))
		}
	default:
		s := text(v.Text)
		to.SetStr(s)
		return len(s)
	}
	return 8
}

// episode puts the counts of a notice that a source lost events.
func (w *attributes) episode(e *ledger.Episode) {
	w.str(PrefixDrop+"start", e.Start.UTC().Format(time.RFC3339Nano))
	phase := "open"
	if !e.End.IsZero() {
		phase = "closed"
		w.str(PrefixDrop+"end", e.End.UTC().Format(time.RFC3339Nano))
	}
	w.str(PrefixDrop+"phase", phase)
	w.bool(PrefixDrop+"simulated", e.Simulated)
	w.int(PrefixDrop+"dropped", int64(e.Dropped))
	w.int(PrefixDrop+"produced", int64(e.Produced))
	w.double(PrefixDrop+"percent", e.Percent())
	w.int(PrefixDrop+"peak_per_second", int64(e.Peak))
	w.int(PrefixDrop+"suppressed_episodes", int64(e.Suppressed))
	types := w.counts(PrefixDrop + "event_types")
	for _, c := range e.ByType {
		types(c.Type.String(), c.Count)
	}
	lanes := w.counts(PrefixDrop + "lanes")
	for l, n := range e.ByLane {
		lanes(event.Lane(l).String(), n)
	}
	reasons := w.counts(PrefixDrop + "reasons")
	for r, n := range e.ByReason {
		reasons(ledger.DropReason(r).String(), n)
	}
	containers := w.counts(PrefixDrop + "containers")
	for _, c := range e.ByContainer {
		containers(text(c.Container), c.Count)
	}
}

// fold puts what is known of the repeats of an alert.
func (w *attributes) fold(f *alert.Fold) {
	w.int(PrefixFold+"count", int64(f.Count))
	w.str(PrefixFold+"start", time.Unix(0, f.First).UTC().Format(time.RFC3339Nano))
	w.str(PrefixFold+"end", time.Unix(0, f.Last).UTC().Format(time.RFC3339Nano))
	w.str(PrefixFold+"reason", f.Reason)
	w.str(PrefixFold+"first_uid", f.UID.String())
	listed := w.list(PrefixFold+"event_ids", f.EventIDs)
	if omitted := int64(f.Count) - int64(listed); omitted > 0 {
		w.int(PrefixFold+"event_ids_omitted", omitted)
	}
	if len(f.Values) == 0 || !w.admit(PrefixFold+"values", 0) {
		return
	}
	m := w.m.PutEmptyMap(PrefixFold + "values")
	for i := range f.Values {
		v := attributes{m: m, entries: w.entries, bytes: w.bytes}
		v.list(f.Values[i].Name, f.Values[i].Texts)
		w.entries, w.bytes, w.dropped = v.entries, v.bytes, w.dropped+v.dropped
	}
}

// counts puts a map and returns how to add a count to it; zeros are left out.
func (w *attributes) counts(key string) func(name string, n uint64) {
	if !w.admit(key, 0) {
		return func(string, uint64) {}
	}
	m := w.m.PutEmptyMap(key)
	return func(name string, n uint64) {
		if n > 0 && w.admit(name, 8) {
			m.PutInt(name, int64(n))
		}
	}
}
