package field

import (
	"bytes"

	"github.com/windhover/windhover/internal/document"
	"github.com/windhover/windhover/internal/event"
)

var oktaFields = append(documentFields(oktaRows(), ""), oktaTargets, mfaCount("okta.mfa.failure.countlast"), mfaCount("okta.mfa.deny.countlast"))

func oktaRows() []row {
	rows := []row{
		{name: "okta.app", path: `debugContext.debugData.requestUri`, one: oktaApp, doc: "Application, from the URI of the request."},
		{name: "okta.security.asnumber", path: `securityContext.asNumber`, number: unsigned, doc: "Number of the autonomous system the client is in."},
	}
	for _, t := range []struct{ name, kind, doc string }{
		{"user", "User", "user"}, {"group", "UserGroup", "group"}, {"app", "AppInstance", "application"},
	} {
		name := "okta.target." + t.name + "."
		rows = append(rows, row{name: name + "alternateid", path: `target`, one: lastTarget(t.kind, "alternateId"), doc: "Other ID of the " + t.doc + " that the event is about."})
		if t.name == "app" {
			continue
		}
		rows = append(rows,
			row{name: name + "id", path: `target`, one: lastTarget(t.kind, "id"), doc: "ID of the " + t.doc + " that the event is about."},
			row{name: name + "name", path: `target`, one: lastTarget(t.kind, "displayName"), doc: "Name of the " + t.doc + " that the event is about."})
	}
	for _, p := range []struct{ name, path, doc string }{
		{"behaviors", `debugContext.debugData.behaviors`, "How the behaviour of the user differs from before."},
		{"evt.type", `eventType`, "Type of the event, such as user.session.start."},
		{"evt.legacytype", `legacyEventType`, "Type of the event in the former interface."},
		{"severity", `severity`, "How much the event matters, in Okta's words."},
		{"message", `displayMessage`, "What happened, in words."},
		{"published", `published`, "When the event happened, as Okta wrote it."},
		{"logonlysecuritydata", `debugContext.debugData.logOnlySecurityData`, "What the risk of the request was judged by, as JSON."},
		{"actor.id", `actor.id`, "ID of who acted."},
		{"actor.Type", `actor.type`, "Type of who acted, such as User."},
		{"actor.alternateid", `actor.alternateId`, "Other ID of who acted, such as an e-mail address."},
		{"actor.name", `actor.displayName`, "Name of who acted."},
		{"client.zone", `client.zone`, "Network zone of the client."},
		{"client.ip", `client.ipAddress`, "Address of the client."},
		{"client.device", `client.device`, "Device of the client, such as Computer."},
		{"client.id", `client.id`, "ID of the client of OAuth."},
		{"client.geo.city", `client.geographicalContext.city`, "City of the client."},
		{"client.geo.state", `client.geographicalContext.state`, "State or province of the client."},
		{"client.geo.country", `client.geographicalContext.country`, "Country of the client."},
		{"client.geo.postalcode", `client.geographicalContext.postalCode`, "Postal code of the client."},
		{"client.geo.lat", `client.geographicalContext.geolocation.lat`, "Latitude of the client."},
		{"client.geo.lon", `client.geographicalContext.geolocation.lon`, "Longitude of the client."},
		{"useragent.os", `client.userAgent.os`, "Operating system of the client."},
		{"useragent.browser", `client.userAgent.browser`, "Browser of the client."},
		{"useragent.raw", `client.userAgent.rawUserAgent`, "What the client calls itself."},
		{"result", `outcome.result`, "How it ended, such as SUCCESS."},
		{"reason", `outcome.reason`, "Why it ended so."},
		{"transaction.id", `transaction.id`, "ID of the transaction."},
		{"transaction.type", `transaction.type`, "Type of the transaction, such as WEB."},
		{"requesturi", `debugContext.debugData.requestUri`, "URI of the request."},
		{"principal.id", `debugContext.debugData.originalPrincipal.id`, "ID of who acted first."},
		{"principal.alternateid", `debugContext.debugData.originalPrincipal.alternateId`, "Other ID of who acted first."},
		{"principal.type", `debugContext.debugData.originalPrincipal.type`, "Type of who acted first."},
		{"principal.name", `debugContext.debugData.originalPrincipal.displayName`, "Name of who acted first."},
		{"authentication.step", `authenticationContext.authenticationStep`, "Step of the authentication."},
		{"authentication.sessionid", `authenticationContext.externalSessionId`, "ID of the session."},
		{"authentication.provider", `authenticationContext.authenticationProvider`, "Who authenticated."},
		{"authentication.credentialprovider", `authenticationContext.credentialProvider`, "Who gave the credentials."},
		{"security.asorg", `securityContext.asOrg`, "Organization of the autonomous system."},
		{"security.isp", `securityContext.isp`, "Provider of the client's connection."},
		{"security.domain", `securityContext.domain`, "Domain of the client's address."},
		{"security.isproxy", `securityContext.isProxy`, "Whether the client came through a known proxy."},
	} {
		rows = append(rows, row{name: "okta." + p.name, path: p.path, one: text, doc: p.doc})
	}
	return rows
}

// oktaTargets is a field of its own kind: one text with an index and without one.
var oktaTargets = func() *Field {
	names := row{name: "okta.targets.displayName", path: `target`, one: parenthesized, doc: "Names of what the event is about, in parentheses, or one of them."}.field(nil)
	names.Arg = ArgOptional
	names.Bind = func(arg string) (*Field, error) {
		if !isIndex(arg) {
			return nil, errIndex
		}
		b := names.bound(arg)
		row{one: text}.read(b, mustCompile(`target[`+arg+`].displayName`), nil)
		return b, nil
	}
	return names
}()

func parenthesized(ev *event.Event, targets document.Value) ([]byte, bool) {
	if targets.Len() == 0 {
		return nil, false
	}
	start := len(ev.Scratch)
	ev.Scratch = append(ev.Scratch, '(')
	for e := targets.Elements(); e.Next(); {
		if len(ev.Scratch) > start+1 {
			ev.Scratch = append(ev.Scratch, ',')
		}
		ev.Scratch = e.Value().Get("displayName").AppendText(ev.Scratch)
	}
	ev.Scratch = append(ev.Scratch, ')')
	return tail(ev, start), true
}

// oktaApp reads the second part of a URI such as /app/NAME/ID/sso.
func oktaApp(_ *event.Event, uri document.Value) ([]byte, bool) {
	rest, ok := bytes.CutPrefix(uri.Text(), []byte("/app/"))
	app, _, _ := bytes.Cut(rest, []byte{'/'})
	return app, ok && len(app) > 0
}

// lastTarget reads a member of the last target of a type.
func lastTarget(kind, key string) func(*event.Event, document.Value) ([]byte, bool) {
	return func(_ *event.Event, targets document.Value) ([]byte, bool) {
		var last document.Value
		for e := targets.Elements(); e.Next(); {
			if string(e.Value().Get("type").Text()) == kind {
				last = e.Value()
			}
		}
		return present(last.Get(key))
	}
}
