//go:build linux

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"testing"
	"time"

	"github.com/windhover/windhover/rules"
)

// auditCase is what an API server would report: members of the audit event that
// replace those of a harmless one.
type auditCase struct {
	rule string
	act  map[string]any
	miss map[string]any
	near string // what miss is
}

type object = map[string]any

var auditCases = []auditCase{
	{
		rule: "Shell or program started in a pod",
		act:  object{"verb": "create", "objectRef": object{"resource": "pods", "subresource": "exec", "name": "web", "namespace": "shop"}, "requestURI": "/api/v1/namespaces/shop/pods/web/exec?command=sh&stdin=true", "responseStatus": object{"code": 101}},
		near: "the logs of the pod are read",
		miss: object{"verb": "get", "objectRef": object{"resource": "pods", "subresource": "log", "name": "web", "namespace": "shop"}},
	},
	{
		rule: "Ephemeral container added to a pod",
		act:  object{"verb": "patch", "objectRef": object{"resource": "pods", "subresource": "ephemeralcontainers", "name": "web", "namespace": "shop"}},
		near: "the status of the pod is patched",
		miss: object{"verb": "patch", "objectRef": object{"resource": "pods", "subresource": "status", "name": "web", "namespace": "shop"}},
	},
	{
		rule: "Privileged pod created",
		act:  podCreation(object{"containers": []any{object{"name": "a", "image": "a:1"}, object{"name": "b", "image": "b:1", "securityContext": object{"privileged": true}}}}),
		near: "an unprivileged pod is created",
		miss: podCreation(object{"containers": []any{object{"name": "a", "image": "a:1", "securityContext": object{"privileged": false}}}}),
	},
	{
		rule: "Pod created in the namespaces of its node",
		act:  podCreation(object{"hostPID": true, "containers": []any{object{"name": "a", "image": "a:1"}}}),
		near: "a pod is created with namespaces of its own",
		miss: podCreation(object{"hostNetwork": false, "containers": []any{object{"name": "a", "image": "a:1"}}}),
	},
	{
		rule: "Pod created with a sensitive host path",
		act:  podCreation(object{"containers": []any{object{"name": "a", "image": "a:1"}}, "volumes": []any{object{"name": "v", "hostPath": object{"path": "/etc"}}}}),
		near: "a pod mounts a harmless directory",
		miss: podCreation(object{"containers": []any{object{"name": "a", "image": "a:1"}}, "volumes": []any{object{"name": "v", "hostPath": object{"path": "/srv/data"}}}}),
	},
	{
		rule: "Secrets read by a user",
		act:  object{"verb": "list", "objectRef": object{"resource": "secrets", "namespace": "shop"}},
		near: "config maps are read",
		miss: object{"verb": "list", "objectRef": object{"resource": "configmaps", "namespace": "shop"}},
	},
	{
		rule: "Anonymous request allowed",
		act:  object{"user": object{"username": "system:anonymous"}, "annotations": object{"authorization.k8s.io/decision": "allow"}, "requestURI": "/api/v1/nodes"},
		near: "the health page is read without a name",
		miss: object{"user": object{"username": "system:anonymous"}, "annotations": object{"authorization.k8s.io/decision": "allow"}, "requestURI": "/livez?verbose"},
	},
	{
		rule: "Cluster administrator binding created",
		act:  object{"verb": "create", "objectRef": object{"resource": "clusterrolebindings", "name": "oops"}, "requestObject": object{"roleRef": object{"name": "cluster-admin"}, "subjects": []any{object{"kind": "User", "name": "mallory"}}}},
		near: "somebody is given the right to view",
		miss: object{"verb": "create", "objectRef": object{"resource": "clusterrolebindings", "name": "fine"}, "requestObject": object{"roleRef": object{"name": "view"}}},
	},
	{
		rule: "Role with wildcard rights written",
		act:  object{"verb": "create", "objectRef": object{"resource": "clusterroles", "name": "all"}, "requestObject": object{"rules": []any{object{"apiGroups": []any{""}, "resources": []any{"*"}, "verbs": []any{"get"}}}}},
		near: "a narrow role is written",
		miss: object{"verb": "create", "objectRef": object{"resource": "clusterroles", "name": "one"}, "requestObject": object{"rules": []any{object{"apiGroups": []any{""}, "resources": []any{"pods"}, "verbs": []any{"get"}}}}},
	},
	{
		rule: "Service account token requested by a user",
		act:  object{"verb": "create", "objectRef": object{"resource": "serviceaccounts", "subresource": "token", "name": "robot", "namespace": "shop"}},
		near: "the node's agent asks for it",
		miss: object{"verb": "create", "user": object{"username": "system:node:n1"}, "objectRef": object{"resource": "serviceaccounts", "subresource": "token", "name": "robot", "namespace": "shop"}},
	},
}

func podCreation(spec object) object {
	return object{
		"verb": "create", "objectRef": object{"resource": "pods", "name": "web", "namespace": "shop"},
		"requestObject":  object{"metadata": object{"name": "web", "namespace": "shop"}, "spec": spec},
		"responseObject": object{"metadata": object{"name": "web", "namespace": "shop"}},
	}
}

// auditEvent returns a harmless audit event with the members of change.
func auditEvent(id string, change object) object {
	e := object{
		"kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "RequestResponse", "auditID": id,
		"stage": "ResponseComplete", "requestURI": "/api/v1/namespaces/shop/pods", "verb": "get",
		"user":                     object{"username": "somebody", "groups": []any{"system:authenticated"}},
		"sourceIPs":                []any{"192.0.2.7"},
		"userAgent":                id, // in no condition: marks the event
		"objectRef":                object{"resource": "pods", "namespace": "shop"},
		"responseStatus":           object{"code": 200},
		"requestReceivedTimestamp": "2026-01-02T03:04:05.000000Z",
		"stageTimestamp":           "2026-01-02T03:04:05.000001Z",
	}
	maps.Copy(e, change)
	return e
}

// postAudit sends events as one batch and returns the status.
func postAudit(tb testing.TB, url string, events ...object) int {
	tb.Helper()
	body, err := json.Marshal(object{"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": events})
	if err != nil {
		tb.Fatal(err)
	}
	resp, err := http.Post(url, "application/json", bytes.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

func TestEveryKubernetesRuleFiresAndItsNearMissDoesNot(t *testing.T) {
	set, report := rules.Compile(rules.Library(), rules.Options{})
	if set == nil {
		t.Fatalf("the default rules do not compile: %v", report)
	}
	cases := map[string]auditCase{}
	for _, c := range auditCases {
		cases[c.rule] = c
	}
	address := freeAddress(t)
	d := startDaemon(t, fmt.Sprintf("receivers: {windhover_k8saudit: {endpoint: %q, fold: {enabled: false}}}\nexporters: {windhover_console: {}}\n", address))
	url := "http://" + address + "/k8s-audit"

	for _, r := range set.Rules() {
		if r.Source != "k8s_audit" {
			continue
		}
		t.Run(r.Name, func(t *testing.T) {
			c, ok := cases[r.Name]
			if !ok {
				t.Fatalf("rule %q has no case", r.Name)
			}
			if status := postAudit(t, url, auditEvent("miss "+r.Name, c.miss), auditEvent("act "+r.Name, c.act)); status != http.StatusOK {
				t.Fatalf("the webhook answers %d", status)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			a, err := d.await(ctx, func(a *alertLine) bool { return a.Rule == r.Name })
			if err != nil {
				t.Fatalf("no alert: %v", err)
			}
			if want := "2026-01-02T03:04:05.000001000Z"; a.Time != want {
				t.Errorf("time of the alert = %s, want the audit event's, %s", a.Time, want)
			}
			if a.Source != "k8s_audit" {
				t.Errorf("source of the alert = %q, want k8s_audit", a.Source)
			}
		})
	}

	d.stop()
	count := map[string]int{}
	for _, a := range d.all() {
		count[a.Rule]++
	}
	for rule, n := range count {
		if n != 1 {
			t.Errorf("rule %q gave %d alerts, want 1: the near miss (%s) must be silent", rule, n, cases[rule].near)
		}
	}
}
