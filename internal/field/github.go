package field

import (
	"bytes"

	"github.com/windhover/windhover/internal/document"
	"github.com/windhover/windhover/internal/event"
)

var githubFields = documentFields([]row{
	{name: "github.type", path: `webhook_type`, one: text, doc: "Type of the webhook event, such as push."},
	{name: "github.action", path: `action`, one: text, doc: "What happened to the object of the event, such as created."},
	{name: "github.user", path: `sender.login`, one: text, doc: "User that caused the event."},
	{name: "github.repo", path: `repository.html_url`, one: text, deprecated: true, doc: "Another name of github.repo.url."},
	{name: "github.repo.url", path: `repository.html_url`, one: text, doc: "Address of the repository."},
	{name: "github.repo.name", path: `repository.html_url`, one: repositoryName, doc: "Repository as owner/name."},
	{name: "github.repo.description", path: `repository.description`, one: text, doc: "Description of the repository."},
	{name: "github.org", path: `organization.login`, one: text, doc: "Organization of the repository."},
	{name: "github.owner", path: `repository.owner.login`, one: text, doc: "Owner of the repository."},
	{name: "github.repo.public", path: `repository`, one: isPublic, doc: "Whether everybody can read the repository."},
	{name: "github.collaborator.name", path: `member.login`, one: text, doc: "User whose membership changed."},
	{name: "github.collaborator.role", path: `changes.permission.to`, one: text, doc: "Permission that the user has now."},
	{name: "github.webhook.id", path: `hook.id`, one: text, doc: "ID of the webhook that changed."},
	{name: "github.webhook.type", path: `hook.type`, one: text, doc: "Type of the webhook that changed."},
	{name: "github.commit.added", path: `commits`, one: commitFiles("added"), doc: "Files that commits add, joined by commas."},
	{name: "github.commit.modified", path: `commits`, one: commitFiles("modified"), doc: "Files that commits change, joined by commas."},
	{name: "github.commit.removed", path: `commits`, one: commitFiles("removed"), doc: "Files that commits remove, joined by commas."},
	{name: "github.workflow.filename", path: `workflow.path`, one: text, doc: "File of the workflow."},
}, "")

func repositoryName(_ *event.Event, url document.Value) ([]byte, bool) {
	return bytes.TrimPrefix(url.Text(), []byte("https://github.com/")), url.Kind() == document.String
}

func isPublic(_ *event.Event, repository document.Value) ([]byte, bool) {
	return textOf(repository.Get("private").Kind() != document.True), repository.Kind() == document.Object
}

func commitFiles(key string) func(*event.Event, document.Value) ([]byte, bool) {
	return func(ev *event.Event, commits document.Value) ([]byte, bool) {
		start := len(ev.Scratch)
		for c := commits.Elements(); c.Next(); {
			for f := c.Value().Get(key).Elements(); f.Next(); {
				if len(ev.Scratch) > start {
					ev.Scratch = append(ev.Scratch, ',')
				}
				ev.Scratch = f.Value().AppendText(ev.Scratch)
			}
		}
		return tail(ev, start), commits.Kind() == document.Array
	}
}
