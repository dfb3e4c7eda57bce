package field

import (
	"bytes"

	"github.com/windhover/windhover/internal/document"
	"github.com/windhover/windhover/internal/event"
)

// plugins are the names of Falco's plugins whose events those of a source are.
var plugins = map[string][]byte{
	K8sAudit: []byte("k8saudit"), CloudTrail: []byte("cloudtrail"), Okta: []byte("okta"),
	GitHub: []byte("github"), GCPAudit: []byte("gcpaudit"),
}

// pluginFields tell of the documents of a source what a plugin of Falco does.
var pluginFields = []*Field{
	{
		Name: "evt.pluginname", Kind: KindText, Types: event.TypesOf(event.PluginEvent),
		Doc: "Name of the plugin of Falco that reports events of this source.",
		Text: func(ev *event.Event) ([]byte, bool) {
			if ev.Source == nil {
				return nil, false
			}
			name, ok := plugins[ev.Source.Type]
			return name, ok
		},
	},
	{
		Name: "evt.plugininfo", Kind: KindText, Types: event.TypesOf(event.PluginEvent),
		Doc: "The event in one line: a summary of calls of AWS and of GitHub's webhooks, else the document.",
		Text: func(ev *event.Event) ([]byte, bool) {
			if ev.Doc == nil || ev.Source == nil {
				return nil, false
			}
			doc := ev.Doc.Root()
			switch ev.Source.Type {
			case CloudTrail:
				return awsLine(ev, doc)
			case GitHub:
				return githubLine(ev, doc)
			}
			return doc.JSON(), true
		},
	},
}

// awsLine reads a call as: region user service name summary.
func awsLine(ev *event.Event, doc document.Value) ([]byte, bool) {
	region, ok1 := present(doc.Get("awsRegion"))
	service, ok2 := present(doc.Get("eventSource"))
	name, ok3 := present(doc.Get("eventName"))
	if !ok1 || !ok2 || !ok3 {
		return nil, false
	}
	summary, _ := awsSummary(ev, doc)
	start := len(ev.Scratch)
	s := append(ev.Scratch, region...)
	if user, _ := awsUser(ev, doc.Get("userIdentity")); len(user) > 0 {
		s = append(append(s, ' '), user...)
	}
	if short, ok := bytes.CutSuffix(service, []byte(".amazonaws.com")); ok && len(short) > 0 {
		service = short
	}
	for _, part := range [][]byte{service, name, summary} {
		s = append(append(s, ' '), part...)
	}
	ev.Scratch = s
	return tail(ev, start), true
}

// githubLine reads a webhook as: github type user:name repo:address action:name.
func githubLine(ev *event.Event, doc document.Value) ([]byte, bool) {
	start := len(ev.Scratch)
	s := append(append(ev.Scratch, "github "...), stringOf(doc.Get("webhook_type"))...)
	for _, part := range []struct {
		label string
		value document.Value
	}{
		{" user:", doc.Get("sender").Get("login")}, {" repo:", doc.Get("repository").Get("html_url")}, {" action:", doc.Get("action")},
	} {
		if v, ok := present(part.value); ok {
			s = append(append(s, part.label...), v...)
		}
	}
	ev.Scratch = s
	return tail(ev, start), true
}
