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
	{name: "github.diff.has_secrets", path: `files`, one: hasSecrets, doc: "Whether commits have secrets in them, by what the receiver of the webhook found."},
	{name: "github.diff.committed_secrets.desc", path: `files`, one: secrets("desc"), doc: "What the secrets are, joined by commas."},
	{name: "github.diff.committed_secrets.files", path: `files`, one: secrets(""), doc: "File of each secret, joined by commas."},
	{name: "github.diff.committed_secrets.lines", path: `files`, one: secrets("line"), doc: "Line of each secret, joined by commas."},
	{name: "github.diff.committed_secrets.links", path: `files`, one: secretLinks, doc: "Address of each secret, joined by commas."},
	{name: "github.workflow.has_miners", path: `workflow_miner_detections.matches`, one: notEmpty, doc: "Whether the workflow runs a miner, by what the receiver of the webhook found."},
	{name: "github.workflow.miners.type", path: `workflow_miner_detections.matches`, one: minerTypes, doc: "Kinds of miners that the workflow runs, joined by commas."},
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

// What a receiver of webhooks found out about the files of a push or a workflow stands in
// the document beside what GitHub sent: files[].matches[] and workflow_miner_detections.

func notEmpty(_ *event.Event, list document.Value) ([]byte, bool) {
	return textOf(list.Len() > 0), list.Kind() == document.Array
}

func hasSecrets(_ *event.Event, files document.Value) ([]byte, bool) {
	for f := files.Elements(); f.Next(); {
		if f.Value().Get("matches").Len() > 0 {
			return textOf(true), true
		}
	}
	return textOf(false), files.Kind() == document.Array
}

// eachSecret appends what text appends for every secret, with commas between them.
func eachSecret(ev *event.Event, files document.Value, text func(dst []byte, file, secret document.Value) []byte) ([]byte, bool) {
	start := len(ev.Scratch)
	for f := files.Elements(); f.Next(); {
		for m := f.Value().Get("matches").Elements(); m.Next(); {
			if len(ev.Scratch) > start {
				ev.Scratch = append(ev.Scratch, ',')
			}
			ev.Scratch = text(ev.Scratch, f.Value(), m.Value())
		}
	}
	return tail(ev, start), files.Kind() == document.Array
}

// secrets reads a member of every secret, or the name of its file if key is empty.
func secrets(key string) func(*event.Event, document.Value) ([]byte, bool) {
	return func(ev *event.Event, files document.Value) ([]byte, bool) {
		return eachSecret(ev, files, func(dst []byte, file, secret document.Value) []byte {
			if key == "" {
				return file.Get("name").AppendText(dst)
			}
			return secret.Get(key).AppendText(dst)
		})
	}
}

var githubRepo, githubHead = mustCompile(`repository.html_url`), mustCompile(`head_commit.id`)

func secretLinks(ev *event.Event, files document.Value) ([]byte, bool) {
	return eachSecret(ev, files, func(dst []byte, file, secret document.Value) []byte {
		dst = ev.Doc.Find(githubRepo).AppendText(dst)
		dst = append(dst, "/blob/"...)
		dst = ev.Doc.Find(githubHead).AppendText(dst)
		dst = append(dst, '/')
		dst = file.Get("name").AppendText(dst)
		dst = append(dst, "/#L"...)
		return secret.Get("line").AppendText(dst)
	})
}

// maxMinerTypes bounds how many kinds a field names: each is compared with those before.
const maxMinerTypes = 64

func minerTypes(ev *event.Event, matches document.Value) ([]byte, bool) {
	start, kinds := len(ev.Scratch), 0
	for m := matches.Elements(); m.Next() && kinds < maxMinerTypes; {
		kind := m.Value().Get("type").Text()
		if hasItem(ev.Scratch[start:], kind) {
			continue
		}
		if kinds++; kinds > 1 {
			ev.Scratch = append(ev.Scratch, ',')
		}
		ev.Scratch = append(ev.Scratch, kind...)
	}
	return tail(ev, start), matches.Kind() == document.Array
}

// hasItem reports whether item is among those of list, which are joined by commas.
func hasItem(list, item []byte) bool {
	for more := len(list) > 0; more; {
		var first []byte
		if first, list, more = bytes.Cut(list, []byte{','}); bytes.Equal(first, item) {
			return true
		}
	}
	return false
}
