package jsonreceiver

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"

	"github.com/windhover/windhover/internal/feed"
	"github.com/windhover/windhover/internal/field"
)

// contentTypes are those that requests may have.
var contentTypes = []string{"application/json", "application/x-ndjson", "application/jsonl"}

// admit returns what requests go through before their body is read as events, nil if
// that is nothing.
func (c *Config) admit() func(*http.Request, []byte) ([]byte, error) {
	secret, named := []byte(c.Secret), c.Source == field.GitHub
	if len(secret) == 0 && !named {
		return nil
	}
	return func(r *http.Request, body []byte) ([]byte, error) {
		if len(secret) > 0 && !signed(secret, body, r.Header.Get("X-Hub-Signature-256")) {
			return nil, &feed.StatusError{Status: http.StatusUnauthorized, Msg: "X-Hub-Signature-256: it is not the signature of the body"}
		}
		if named {
			return withType(body, r.Header.Get("X-GitHub-Event"))
		}
		return body, nil
	}
}

// signed reports whether header is the signature of body, in a time that does not tell
// how much of it is right.
func signed(secret, body []byte, header string) bool {
	text, ok := strings.CutPrefix(header, "sha256=")
	got, err := hex.DecodeString(text)
	if !ok || err != nil {
		return false
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write(body)
	return hmac.Equal(got, mac.Sum(nil))
}

// withType puts the type of a webhook event, which GitHub sends in a header, at the end
// of its document: of members with the same key the last counts.
func withType(body []byte, eventType string) ([]byte, error) {
	if eventType == "" {
		return body, nil
	}
	if strings.Trim(eventType, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
		return nil, &feed.StatusError{Status: http.StatusBadRequest, Msg: "X-GitHub-Event: it is no type of an event"}
	}
	open, ok := bytes.CutSuffix(bytes.TrimRight(body, " \t\r\n"), []byte("}"))
	if !ok {
		return body, nil
	}
	member := `"webhook_type":"` + eventType + `"}`
	if !bytes.HasSuffix(bytes.TrimRight(open, " \t\r\n"), []byte("{")) {
		member = "," + member
	}
	return append(open, member...), nil
}
