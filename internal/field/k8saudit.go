package field

import (
	"bytes"
	"strings"

	"github.com/windhover/windhover/internal/document"
	"github.com/windhover/windhover/internal/event"
)

// k8sauditGroups lists the fields of Kubernetes audit events. A document without an
// auditID is none, and has none of them.
func k8sauditGroups() []group {
	return []group{{"k8saudit", []string{K8sAudit}, k8sauditFields}}
}

var k8sauditFields = documentFields(k8sauditRows(), "auditID")

func k8sauditRows() []row {
	rows := []row{
		{name: "ka.auditid", path: `auditID`, one: rawText, doc: "ID of the request; all stages of it have the same."},
		{name: "ka.stage", path: `stage`, one: rawText, doc: "Stage of the request: RequestReceived, ResponseStarted, ResponseComplete or Panic."},
		{name: "ka.auth.decision", path: `annotations["authorization.k8s.io/decision"]`, one: rawText, doc: "What the authorizer decided: allow or forbid."},
		{name: "ka.auth.reason", path: `annotations["authorization.k8s.io/reason"]`, one: rawText, doc: "Why the authorizer decided so."},
		{name: "ka.auth.openshift.decision", path: `annotations["authentication.openshift.io/decision"]`, one: rawText, doc: "What OpenShift's authentication decided."},
		{name: "ka.validations.admission.policy.failure", path: `annotations["validation.policy.admission.k8s.io/validation_failure"]`, one: rawText, doc: "Failures of validating admission policies."},
		{name: "ka.security.pod.violations", path: `annotations["pod-security.kubernetes.io/audit-violations"]`, one: rawText, doc: "Violations of the pod security standard of the namespace."},
		{name: "ka.auth.openshift.username", path: `annotations["authentication.openshift.io/username"]`, one: rawText, doc: "User that OpenShift authenticated."},
		{name: "ka.user.name", path: `user.username`, one: rawText, doc: "User that made the request."},
		{name: "ka.user.groups", path: `user.groups[]`, each: rawTexts, doc: "Groups of the user."},
		{name: "ka.impuser.name", path: `impersonatedUser.username`, one: rawText, doc: "User that the request was made as, if it impersonates one."},
		{name: "ka.verb", path: `verb`, one: rawText, doc: "What was asked for: get, list, watch, create, update, patch, delete …"},
		{name: "ka.uri", path: `requestURI`, one: rawText, doc: "URI of the request, as the client sent it."},
		{name: "ka.uri.param", path: `requestURI`, key: uriParam, doc: "First value of a parameter in the query of the URI, decoded."},
		{name: "ka.target.name", path: `objectRef.name`, one: rawText, doc: "Name of the object the request is about."},
		{name: "ka.target.namespace", path: `objectRef.namespace`, one: rawText, doc: "Namespace of the object the request is about."},
		{name: "ka.target.resource", path: `objectRef.resource`, one: rawText, doc: "Resource the request is about, such as pods."},
		{name: "ka.target.subresource", path: `objectRef.subresource`, one: rawText, doc: "Part of the resource the request is about, such as exec."},
		{name: "ka.target.pod.name", path: `responseObject.metadata.name`, one: targetPod, doc: "Name of the pod in the response, if the request is about pods themselves."},
		{name: "ka.req.binding.subjects", path: `requestObject.subjects[]`, each: rawTexts, doc: "Subjects of a role binding, each as JSON."},
		{name: "ka.req.binding.subjects.user_names", path: `requestObject.subjects[]`, each: subject("User", "name"), doc: "Users that a role binding names."},
		{name: "ka.req.binding.subjects.serviceaccount_names", path: `requestObject.subjects[]`, each: subject("ServiceAccount", "name"), doc: "Service accounts that a role binding names."},
		{name: "ka.req.binding.subjects.serviceaccount_ns_names", path: `requestObject.subjects[]`, each: subject("ServiceAccount", "namespace", "name"), doc: "Service accounts that a role binding names with their namespace, as namespace:name."},
		{name: "ka.req.binding.subjects.group_names", path: `requestObject.subjects[]`, each: subject("Group", "name"), doc: "Groups that a role binding names."},
		{name: "ka.req.binding.role", path: `requestObject.roleRef.name`, one: rawText, doc: "Role that a role binding gives."},
		{name: "ka.req.binding.subject.has_name", path: `auditID`, key: func(string) func(*event.Event, document.Value) ([]byte, bool) { return always("true") }, deprecated: true, doc: "Always true. Use ka.req.binding.subjects.user_names and its like."},
		{name: "ka.req.configmap.name", path: `objectRef.name`, one: rawText, doc: "Name of the object, meant for config maps."},
		{name: "ka.req.configmap.obj", path: `requestObject.data`, one: rawText, doc: "What a config map holds, as JSON."},
	}
	rows = append(rows, containerRows("containers", "container")...)
	rows = append(rows,
		row{name: "ka.req.container.image", path: `requestObject.spec.containers[0]?.image`, one: rawText, deprecated: true, doc: "Image of the first container. Use ka.req.pod.containers.image."},
		row{name: "ka.req.container.image.repository", path: `requestObject.spec.containers[0]?.image`, one: repository, deprecated: true, doc: "Image of the first container without its tag. Use ka.req.pod.containers.image.repository."},
		row{name: "ka.req.pod.host_ipc", path: `requestObject.spec.hostIPC`, one: rawText, doc: "Whether the pod uses the host's IPC namespace."},
		row{name: "ka.req.pod.host_network", path: `requestObject.spec.hostNetwork`, one: rawText, doc: "Whether the pod uses the host's network."},
		row{name: "ka.req.container.host_network", path: `requestObject.spec.hostNetwork`, one: rawText, deprecated: true, doc: "Another name of ka.req.pod.host_network."},
		row{name: "ka.req.pod.host_pid", path: `requestObject.spec.hostPID`, one: rawText, doc: "Whether the pod uses the host's process IDs."},
		row{name: "ka.req.container.privileged", path: `requestObject.spec.containers`, one: anyPrivileged, deprecated: true, doc: "Whether any container is privileged. Use ka.req.pod.containers.privileged."},
		row{name: "ka.req.pod.run_as_user", path: `requestObject.spec.securityContext.runAsUser`, one: rawText, doc: "User ID that the pod sets for its containers."},
		row{name: "ka.req.pod.run_as_group", path: `requestObject.spec.securityContext.runAsGroup`, one: rawText, doc: "Group ID that the pod sets for its containers."},
		row{name: "ka.req.role.rules", path: `requestObject.rules[]`, each: rawTexts, doc: "Rules of a role, each as JSON."},
		row{name: "ka.req.role.rules.apiGroups", path: `requestObject.rules[]?.apiGroups[]`, each: rawTexts, indexed: true, doc: "API groups in the rules of a role, or in one rule."},
		row{name: "ka.req.role.rules.nonResourceURLs", path: `requestObject.rules[]?.nonResourceURLs[]`, each: rawTexts, indexed: true, doc: "URLs in the rules of a role, or in one rule."},
		row{name: "ka.req.role.rules.verbs", path: `requestObject.rules[]?.verbs[]`, each: rawTexts, indexed: true, doc: "Verbs in the rules of a role, or in one rule."},
		row{name: "ka.req.role.rules.resources", path: `requestObject.rules[]?.resources[]`, each: rawTexts, indexed: true, doc: "Resources in the rules of a role, or in one rule."},
		row{name: "ka.req.pod.fs_group", path: `requestObject.spec.securityContext.fsGroup`, one: rawText, doc: "Group ID that owns the pod's volumes."},
		row{name: "ka.req.pod.supplemental_groups", path: `requestObject.spec.securityContext.supplementalGroups[]`, each: rawTexts, doc: "More group IDs that the pod sets for its containers."},
		row{name: "ka.req.service.type", path: `requestObject.spec.type`, one: rawText, doc: "Type of a service, such as NodePort."},
		row{name: "ka.req.service.ports", path: `requestObject.spec.ports`, each: rawTexts, indexed: true, doc: "Ports of a service: one item, the whole list as JSON, whatever the index."},
		row{name: "ka.req.pod.volumes.hostpath", path: `requestObject.spec.volumes[]?.hostPath.path`, each: rawTexts, indexed: true, doc: "Paths of the host that the pod's volumes show."},
		row{name: "ka.req.volume.hostpath", path: `requestObject.spec.volumes`, key: hostPath, deprecated: true, doc: "Whether a volume shows a path of the host; * at its end stands for anything. Use ka.req.pod.volumes.hostpath."},
		row{name: "ka.req.pod.volumes.flexvolume_driver", path: `requestObject.spec.volumes[]?.flexVolume.driver`, each: rawTexts, indexed: true, doc: "Drivers of the pod's flex volumes."},
		row{name: "ka.req.pod.volumes.volume_type", path: `requestObject.spec.volumes[]?`, each: volumeTypes, indexed: true, doc: "Types of the pod's volumes, such as hostPath."},
		row{name: "ka.resp.name", path: `responseObject.metadata.name`, one: rawText, doc: "Name of the object in the response."},
		row{name: "ka.response.code", path: `responseStatus.code`, one: rawText, doc: "HTTP status of the response."},
		row{name: "ka.response.reason", path: `responseStatus.reason`, one: rawText, doc: "Why the response is a failure, such as Forbidden."},
		row{name: "ka.useragent", path: `userAgent`, one: rawText, doc: "What the client calls itself."},
		row{name: "ka.sourceips", path: `sourceIPs[]`, each: rawTexts, indexed: true, doc: "Addresses of the client and of proxies between."},
		row{name: "ka.cluster.name", path: `annotations.cluster_name`, one: rawText, doc: "Name of the cluster, where the platform notes it."},
	)
	rows = append(rows, containerRows("initContainers", "init container")...)
	return append(rows, containerRows("ephemeralContainers", "ephemeral container")...)
}

// containerRows returns the rows of one list of containers in a pod.
func containerRows(list, what string) []row {
	name := func(s string) string { return "ka.req.pod." + list + "." + s }
	path := func(s string) string { return "requestObject.spec." + list + "[]?" + s }
	rows := []row{
		{name: name("args"), path: path(`.args`), all: joined, doc: "Arguments of each " + what + ", joined by spaces."},
		{name: name("command"), path: path(`.command`), all: joined, doc: "Command of each " + what + ", joined by spaces."},
		{name: name("name"), path: path(``), all: ofEach("name", rawTexts), doc: "Name of each " + what + "."},
		{name: name("image"), path: path(``), all: ofEach("image", rawTexts), doc: "Image of each " + what + "."},
		{name: name("image.repository"), path: path(``), all: ofEach("image", repositories), doc: "Image of each " + what + ", up to the first colon or at sign."},
		{name: name("host_port"), path: path(`.ports`), all: hostPorts, doc: "For each port of each " + what + ", its port of the host, or of the container if it has none."},
		{name: name("privileged"), path: path(`.securityContext.privileged`), each: rawTexts, doc: "Whether it is privileged, for each " + what + " that says so."},
		{name: name("allow_privilege_escalation"), path: path(`.securityContext.allowPrivilegeEscalation`), each: rawTexts, doc: "Whether a process can gain privileges, for each " + what + " that says so."},
		{name: name("read_only_fs"), path: path(`.securityContext.readOnlyRootFilesystem`), each: rawTexts, doc: "Whether the root file system is read-only, for each " + what + " that says so."},
		{name: name("run_as_user"), path: path(`.securityContext.runAsUser`), each: rawTexts, doc: "User ID, for each " + what + " that sets one."},
		{name: name("eff_run_as_user"), path: path(``), all: effective("runAsUser"), doc: "For each " + what + ", runAsUser beside its name, else of the pod's spec, else 0. The security context is not looked at."},
		{name: name("run_as_group"), path: path(`.securityContext.runAsGroup`), each: rawTexts, doc: "Group ID, for each " + what + " that sets one."},
		{name: name("eff_run_as_group"), path: path(``), all: effective("runAsGroup"), doc: "For each " + what + ", runAsGroup beside its name, else of the pod's spec, else 0. The security context is not looked at."},
		{name: name("proc_mount"), path: path(`.securityContext.procMount`), each: rawTexts, doc: "How /proc is mounted, for each " + what + " that says so."},
		{name: name("add_capabilities"), path: path(`.securityContext.capabilities.add`), each: rawTexts, doc: "Capabilities added, for each " + what + " that adds any, as JSON."},
	}
	kept := rows[:0]
	for _, r := range rows {
		r.indexed = true
		// An ephemeral container has no ports.
		if list != "ephemeralContainers" || r.name != name("host_port") {
			kept = append(kept, r)
		}
	}
	return kept
}

var (
	pathResource    = mustCompile(`objectRef.resource`)
	pathSubresource = mustCompile(`objectRef.subresource`)
	pathHostPaths   = mustCompile(`requestObject.spec.volumes[]?.hostPath.path`)
)

func targetPod(ev *event.Event, v document.Value) ([]byte, bool) {
	if string(ev.Doc.Find(pathResource).Text()) != "pods" || len(ev.Doc.Find(pathSubresource).Text()) > 0 {
		return nil, false
	}
	return rawText(ev, v)
}

// joined reads each list of strings as one text. Nothing is read if one is something else.
func joined(ev *event.Event, dst [][]byte, lists []document.Value) [][]byte {
	before := len(dst)
	for _, v := range lists {
		if v.Kind() != document.Array {
			return dst[:before]
		}
		start, first := len(ev.Scratch), true
		for e := v.Elements(); e.Next(); first = false {
			if e.Value().Kind() != document.String {
				return dst[:before]
			}
			if !first {
				ev.Scratch = append(ev.Scratch, ' ')
			}
			ev.Scratch = e.Value().AppendText(ev.Scratch)
		}
		dst = append(dst, tail(ev, start))
	}
	return dst
}

func repository(_ *event.Event, v document.Value) ([]byte, bool) {
	image, _, _ := bytes.Cut(v.Text(), []byte{':'})
	image, _, _ = bytes.Cut(image, []byte{'@'})
	return image, true
}

func repositories(ev *event.Event, dst [][]byte, v document.Value) [][]byte {
	image, _ := repository(ev, v)
	return append(dst, image)
}

// ofEach reads a member of each value. Nothing is read if one lacks it.
func ofEach(key string, read func(*event.Event, [][]byte, document.Value) [][]byte) func(*event.Event, [][]byte, []document.Value) [][]byte {
	return func(ev *event.Event, dst [][]byte, values []document.Value) [][]byte {
		before := len(dst)
		for _, v := range values {
			member := v.Get(key)
			if member.Kind() == document.Absent {
				return dst[:before]
			}
			dst = read(ev, dst, member)
		}
		return dst
	}
}

// hostPorts reads the ports of each container. Nothing is read if those of one are no list.
func hostPorts(_ *event.Event, dst [][]byte, lists []document.Value) [][]byte {
	before := len(dst)
	for _, v := range lists {
		if v.Kind() != document.Array {
			return dst[:before]
		}
		for e := v.Elements(); e.Next(); {
			port := e.Value().Get("hostPort")
			if port.Kind() == document.Absent {
				port = e.Value().Get("containerPort")
			}
			if port.Kind() != document.Absent {
				dst = append(dst, port.Text())
			}
		}
	}
	return dst
}

// effective reads key of each container, else of the spec around it, else 0.
func effective(key string) func(*event.Event, [][]byte, []document.Value) [][]byte {
	inSpec, none := mustCompile("requestObject.spec."+key), []byte{'0'}
	return func(ev *event.Event, dst [][]byte, values []document.Value) [][]byte {
		for _, v := range values {
			id := v.Get(key)
			if id.Kind() == document.Absent {
				id = ev.Doc.Find(inSpec)
			}
			if id.Kind() == document.Absent {
				dst = append(dst, none)
				continue
			}
			dst = append(dst, id.Text())
		}
		return dst
	}
}

func anyPrivileged(_ *event.Event, v document.Value) ([]byte, bool) {
	for e := v.Elements(); e.Next(); {
		if e.Value().Get("securityContext").Get("privileged").Kind() == document.True {
			return textTrue, true
		}
	}
	return textFalse, true
}

// subject reads keys of a subject of one kind, joined by colons. A subject without one
// of them has no text.
func subject(kind string, keys ...string) func(*event.Event, [][]byte, document.Value) [][]byte {
	return func(ev *event.Event, dst [][]byte, v document.Value) [][]byte {
		if string(v.Get("kind").Text()) != kind {
			return dst
		}
		if len(keys) == 1 {
			if name := v.Get(keys[0]); name.Kind() != document.Absent {
				dst = append(dst, name.Text())
			}
			return dst
		}
		start := len(ev.Scratch)
		for i, key := range keys {
			name := v.Get(key)
			if name.Kind() == document.Absent {
				ev.Scratch = ev.Scratch[:start]
				return dst
			}
			if i > 0 {
				ev.Scratch = append(ev.Scratch, ':')
			}
			ev.Scratch = name.AppendText(ev.Scratch)
		}
		return append(dst, tail(ev, start))
	}
}

// volumeTypes reads the key of a volume that is not its name.
func volumeTypes(_ *event.Event, dst [][]byte, v document.Value) [][]byte {
	for m := v.Members(); m.Next(); {
		if key := m.Key(); string(key) != "name" {
			dst = append(dst, key)
		}
	}
	return dst
}

func hostPath(want string) func(*event.Event, document.Value) ([]byte, bool) {
	prefix, isPrefix := strings.CutSuffix(want, "*")
	return func(ev *event.Event, _ document.Value) ([]byte, bool) {
		for _, v := range ev.Doc.FindAll(pathHostPaths) {
			p := v.Text()
			if string(p) == want || isPrefix && len(p) >= len(prefix) && string(p[:len(prefix)]) == prefix {
				return textTrue, true
			}
		}
		return textFalse, true
	}
}

// uriParam reads the first value of one parameter. A parameter that is not escaped as
// it should be is passed over.
func uriParam(want string) func(*event.Event, document.Value) ([]byte, bool) {
	return func(ev *event.Event, v document.Value) ([]byte, bool) {
		uri, _, _ := bytes.Cut(v.Text(), []byte{'#'})
		_, query, _ := bytes.Cut(uri, []byte{'?'})
		for len(query) > 0 {
			var pair []byte
			pair, query, _ = bytes.Cut(query, []byte{'&'})
			if bytes.IndexByte(pair, ';') >= 0 {
				continue
			}
			key, value, _ := bytes.Cut(pair, []byte{'='})
			start := len(ev.Scratch)
			ok := unescape(ev, key) && string(ev.Scratch[start:]) == want
			ev.Scratch = ev.Scratch[:start]
			if !ok {
				continue
			}
			if unescape(ev, value) {
				return tail(ev, start), true
			}
			ev.Scratch = ev.Scratch[:start]
		}
		return nil, false
	}
}

// unescape appends to the event's scratch memory what s of a query stands for.
func unescape(ev *event.Event, s []byte) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '+':
			ev.Scratch = append(ev.Scratch, ' ')
		case '%':
			if i+2 >= len(s) {
				return false
			}
			high, ok1 := hexDigit(s[i+1])
			low, ok2 := hexDigit(s[i+2])
			if !ok1 || !ok2 {
				return false
			}
			ev.Scratch = append(ev.Scratch, high<<4|low)
			i += 2
		default:
			ev.Scratch = append(ev.Scratch, c)
		}
	}
	return true
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}
