//go:build linux

package stack

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/windhover/windhover/test/stack/peer"
)

// TestSecretsDoNotReachTheDisk has alerts with secrets wait in a persistent queue, and in
// a file of Falco's JSON: what is on the disk has none of them.
func TestSecretsDoNotReachTheDisk(t *testing.T) {
	t.Parallel()
	const secret = "hunter2-s3cr3t"
	dir := t.TempDir()
	queue, alerts, audit := filepath.Join(dir, "queue"), filepath.Join(dir, "alerts.json"), peer.Free(t)
	w := peer.Windhover(t, "-r", peer.WriteFile(t, "rules.yaml", `
- rule: Command run in a pod
  desc: d
  condition: ka.target.subresource = exec
  output: "%ka.user.name runs %ka.uri.param[command] in %ka.target.name (uri=%ka.uri agent=%ka.useragent id=%ka.auditid)"
  priority: WARNING
  source: k8s_audit
`), "-c", peer.WriteFile(t, "windhover.yaml", fmt.Sprintf(`
extensions: {file_storage: {directory: %q, create_directory: true}}
receivers: {windhover_k8saudit: {endpoint: %q, fold: {window: 500ms}}}
exporters:
  otlp_http: {logs_endpoint: "http://%s/v1/logs", sending_queue: {storage: file_storage}, retry_on_failure: {max_elapsed_time: 0s}}
  windhover_falco_json: {file: {path: %q}}
telemetry: {metrics: {exporters: []}}
`, queue, audit, peer.Free(t), alerts))) // nobody is there

	commands := []string{
		"curl -H 'Authorization: Bearer " + secret + "' https://x.test", "mysql -uroot -p" + secret, "psql postgres://bob:" + secret + "@db/x",
		"env AWS_SECRET_ACCESS_KEY=" + secret + " aws s3 ls", "vault login --token " + secret,
	}
	const rounds = 3 // the second and the third are folded
	for round := range rounds {
		for i, command := range commands {
			body := fmt.Sprintf(`{"kind":"Event","auditID":"%d-%d","stage":"ResponseComplete","stageTimestamp":"2026-01-02T03:04:05Z","verb":"create","user":{"username":"eve"},
				"userAgent":"x --password=%s","requestURI":%q,"objectRef":{"resource":"pods","subresource":"exec","name":"p"}}`,
				round, i, secret, "/api/v1/namespaces/a/pods/p/exec?command="+url.QueryEscape(command))
			if status, err := postOnce(t.Context(), http.DefaultClient, "http://"+audit+"/k8s-audit", []byte(body)); err != nil || status != http.StatusOK {
				t.Fatalf("the webhook answers %d, %v", status, err)
			}
		}
	}
	peer.Eventually(t, 30*time.Second, "alerts and the records of their repeats are on the disk", func() (bool, string) {
		n := countLines(t, alerts)
		return n >= 2*len(commands), fmt.Sprint(n, " lines")
	})
	w.Kill() // what waits in the queue stays there

	files, masked := 0, 0
	if err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if bytes.Contains(b, []byte(secret)) {
			t.Errorf("%s has a secret", path)
		}
		if n := bytes.Count(b, []byte("[redacted]")); n > 0 {
			files++
			masked += n
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if files < 2 {
		t.Errorf("alerts are in %d files, want the queue and the file of alerts", files)
	}
	peer.Claim(t, "secrets in %d kinds of commands reach no disk: %d places in the persistent queue and the file of alerts say [redacted]", len(commands), masked)
}
