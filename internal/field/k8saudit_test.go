package field

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/windhover/windhover/internal/document"
	"github.com/windhover/windhover/internal/event"
)

func documentEvent(tb testing.TB, text string) *event.Event {
	tb.Helper()
	ev := &event.Event{Type: event.PluginEvent, Time: 1715606029999999000, Doc: new(document.Document)}
	if err := ev.Doc.Parse([]byte(text), document.Limits{}); err != nil {
		tb.Fatal(err)
	}
	return ev
}

const podAudit = `{
	"auditID": "1", "requestURI": "/exec?command=cat&command=%2Fetc%2Fshadow&tty&a+b=%zz&a+b=c+d&x=1;y=2#z=3", "sourceIPs": ["10.0.0.1", "::1"],
	"objectRef": {"resource": "pods", "name": "p"}, "verb": null, "responseObject": {"metadata": {"name": "q"}},
	"requestObject": {
		"subjects": [{"kind": "ServiceAccount", "name": "ci"}, {"kind": "ServiceAccount", "name": "a", "namespace": "n"}, {"kind": "Group"}],
		"spec": {
			"runAsGroup": 5, "ports": [{"port": 80}],
			"containers": [
				{"image": "host:5000/a@sha256:0", "args": ["--port", "80"], "runAsUser": 7, "ports": [{"containerPort": 80}, {"hostPort": 0, "containerPort": 443}, {}]},
				{"image": "b@sha256:1", "args": [], "securityContext": {"privileged": true, "capabilities": {"add": ["ALL", "NET_ADMIN"]}}}
			],
			"volumes": [{"name": "v", "hostPath": {"path": "/var/lib/x"}}, {"secret": {}, "name": "w"}]
		}
	}
}`

func TestKubernetesAuditFieldReads(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, field string
		want        any // nil: missing
	}{
		{"null reads null", "ka.verb", "null"},
		{"the first value of a parameter", "ka.uri.param[command]", "cat"},
		{"a parameter without a value", "ka.uri.param[tty]", ""},
		{"a parameter whose first value is badly escaped", "ka.uri.param[a b]", "c d"},
		{"a parameter with a semicolon is none", "ka.uri.param[x]", nil},
		{"a fragment is no query", "ka.uri.param[z]", nil},
		{"every client address", "ka.sourceips", []any{"10.0.0.1", "::1"}},
		{"one client address", "ka.sourceips[1]", []any{"::1"}},
		{"the pod of a response", "ka.target.pod.name", "q"},
		{"an image up to its first colon", "ka.req.pod.containers.image.repository", []any{"host", "b"}},
		{"the first image", "ka.req.container.image.repository", "host"},
		{"arguments of each container", "ka.req.pod.containers.args", []any{"--port 80", ""}},
		{"arguments of one container", "ka.req.pod.containers.args[0]", []any{"--port 80"}},
		{"a container that is not there", "ka.req.pod.containers.args[2]", nil},
		{"ports of the host before ports of the container", "ka.req.pod.containers.host_port", []any{"80", "0"}},
		{"capabilities as JSON", "ka.req.pod.containers.add_capabilities", []any{`["ALL","NET_ADMIN"]`}},
		{"the user beside a container, else none", "ka.req.pod.containers.eff_run_as_user", []any{"7", "0"}},
		{"the group of the spec", "ka.req.pod.containers.eff_run_as_group[1]", []any{"5"}},
		{"a privileged container", "ka.req.container.privileged", "true"},
		{"containers that are not there", "ka.req.pod.initContainers.eff_run_as_user", nil},
		{"service accounts with a namespace", "ka.req.binding.subjects.serviceaccount_ns_names", []any{"n:a"}},
		{"a subject without a name", "ka.req.binding.subjects.group_names", nil},
		{"service ports as one list", "ka.req.service.ports[9]", []any{`[{"port":80}]`}},
		{"types of volumes", "ka.req.pod.volumes.volume_type", []any{"hostPath", "secret"}},
		{"a path of the host", "ka.req.volume.hostpath[/var/lib/x]", "true"},
		{"a prefix of a path of the host", "ka.req.volume.hostpath[/var/*]", "true"},
		{"another path of the host", "ka.req.volume.hostpath[/var/lib]", "false"},
		{"a pointer into the document", "json.value[/requestObject/spec/containers/1/args]", "[]"},
		{"a pointer to a number", "jevt.value[/requestObject/spec/runAsGroup]", "5"},
		{"a pointer to nothing", "jevt.value[/nosuch]", nil},
		{"the time of the event", "json.rawtime", "1715606029999999000"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, err := Lookup(tt.field, K8sAudit)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, answer(f, documentEvent(t, podAudit))); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.field, diff)
			}
		})
	}
}

func TestDocumentWithoutAuditIDHasNoAuditFields(t *testing.T) {
	t.Parallel()
	ev := documentEvent(t, `{"verb": "get", "user": {"groups": ["a"]}, "requestObject": {"spec": {"containers": [{}], "volumes": []}}}`)
	for _, f := range k8sauditFields {
		if f.Arg == ArgRequired {
			var err error
			if f, err = f.Bind("a"); err != nil {
				t.Fatal(err)
			}
		}
		if got := answer(f, ev); got != nil {
			t.Errorf("%s = %v, want missing", f, got)
		}
	}
	f, err := Lookup("json.value[/verb]", K8sAudit)
	if err != nil {
		t.Fatal(err)
	}
	if got := answer(f, ev); got != "get" {
		t.Errorf("%s = %v, want get", f, got)
	}
}

func TestJSONObjectIsIndented(t *testing.T) {
	t.Parallel()
	f, err := Lookup("json.obj", JSON)
	if err != nil {
		t.Fatal(err)
	}
	want := "{\n  \"a\": [\n    1\n  ]\n}"
	if got := answer(f, documentEvent(t, `{"a":[1]}`)); got != want {
		t.Errorf("json.obj = %q, want %q", got, want)
	}
}

func TestIndexOfDocumentFieldIsANumber(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"ka.req.pod.containers.image[x]", "ka.req.pod.containers.image[01]", "ka.req.pod.containers.image[-1]",
		"ka.req.pod.containers.image[+1]", "ka.req.pod.containers.image[99999999999]", "ka.user.groups[0]", "ka.uri.param",
	} {
		if f, err := Lookup(text, K8sAudit); err == nil {
			t.Errorf("Lookup(%q) = %s, want an error", text, f)
		}
	}
}

// Not parallel: AllocsPerRun counts what other tests do.
func TestDocumentFieldsDoNotAllocate(t *testing.T) {
	var fields []*Field
	for _, fs := range [][]*Field{k8sauditFields, jsonFields, cloudtrailFields, {imageIDs}, oktaFields, githubFields, gcpFields} {
		for _, f := range fs {
			if f.Arg == ArgRequired {
				arg := "command"
				if f.Kind == KindUint {
					arg = "5"
				}
				var err error
				if f, err = f.Bind(arg); err != nil {
					t.Fatal(err)
				}
			}
			fields = append(fields, f)
		}
	}
	text := []byte(podAudit)
	ev := documentEvent(t, podAudit)
	doc := ev.Doc
	list := make([][]byte, 0, 64)
	values := 0
	got := testing.AllocsPerRun(100, func() {
		ev.Reset()
		ev.Doc, ev.Type = doc, event.PluginEvent
		if err := doc.Parse(text, document.Limits{}); err != nil {
			t.Fatal(err)
		}
		values = 0
		for _, f := range fields {
			switch {
			case f.AppendText != nil:
				values += len(f.AppendText(ev, list[:0]))
			case f.Text != nil:
				if _, ok := f.Text(ev); ok {
					values++
				}
			case f.Int != nil:
				if _, ok := f.Int(ev); ok {
					values++
				}
			}
		}
	})
	if values < 40 {
		t.Errorf("%d values: too few to say something", values)
	}
	if got != 0 {
		t.Errorf("reading every field: %v allocations, want 0", got)
	}
}

func TestKubernetesAuditFieldsOfOddDocuments(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, spec, field string
		want              any // nil: missing
	}{
		{"one container that is no list", `{"containers": {"name": "a", "image": "x:1"}}`, "ka.req.pod.containers.image", []any{"x:1"}},
		{"the first of what is no list", `{"containers": {"name": "a", "image": "x:1"}}`, "ka.req.container.image.repository", "x"},
		{"containers in a list in the list", `{"containers": [[{"name": "a"}, {"name": "b"}], {"name": "c"}]}`, "ka.req.pod.containers.name", []any{"a", "b", "c"}},
		{"a container without a name", `{"containers": [{"name": "a"}, {"image": "x"}]}`, "ka.req.pod.containers.name", nil},
		{"a container that is null", `{"containers": [{"name": "a"}, null]}`, "ka.req.pod.containers.name", nil},
		{"a container without a setting", `{"containers": [{"securityContext": {"privileged": true}}, {}]}`, "ka.req.pod.containers.privileged", []any{"true"}},
		{"a setting that is null", `{"containers": [{"securityContext": {"privileged": null}}]}`, "ka.req.pod.containers.privileged", []any{"null"}},
		{"an image that is no text", `{"containers": [{"image": {"a": 1}}]}`, "ka.req.pod.containers.image.repository", []any{`{"a"`}},
		{"an argument that is no text", `{"containers": [{"args": ["a"]}, {"args": ["b", 1]}]}`, "ka.req.pod.containers.args", nil},
		{"arguments that are text", `{"containers": [{"args": "a b"}]}`, "ka.req.pod.containers.args", nil},
		{"no arguments beside some", `{"containers": [{"args": []}, {}, {"args": ["a", "b"]}]}`, "ka.req.pod.containers.args", []any{"", "a b"}},
		{"ports that are no list", `{"containers": [{"ports": [{"hostPort": 1}]}, {"ports": null}]}`, "ka.req.pod.containers.host_port", nil},
		{"a port of the host that is null", `{"containers": [{"ports": [{"hostPort": null, "containerPort": 2}]}]}`, "ka.req.pod.containers.host_port", []any{"null"}},
		{"a volume that is no list", `{"volumes": {"name": "v", "hostPath": {"path": "/x"}}}`, "ka.req.pod.volumes.hostpath", []any{"/x"}},
		{"containers that are empty", `{"containers": []}`, "ka.req.pod.containers.name", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, err := Lookup(tt.field, K8sAudit)
			if err != nil {
				t.Fatal(err)
			}
			ev := documentEvent(t, `{"auditID": "1", "requestObject": {"spec": `+tt.spec+`}}`)
			if diff := cmp.Diff(tt.want, answer(f, ev)); diff != "" {
				t.Errorf("%s of %s (-want +got):\n%s", tt.field, tt.spec, diff)
			}
		})
	}
}
