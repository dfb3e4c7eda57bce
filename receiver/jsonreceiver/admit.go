package jsonreceiver

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/windhover/windhover/internal/document"
	"github.com/windhover/windhover/internal/feed"
	"github.com/windhover/windhover/internal/field"
)

const formType = "application/x-www-form-urlencoded"

// contentTypes returns those that requests may have.
func (c *Config) contentTypes() []string {
	types := []string{"application/json", "application/x-ndjson", "application/jsonl"}
	if c.Source == field.GitHub {
		types = append(types, formType)
	}
	return types
}

// admit returns what requests go through before their body is read as events, nil if
// that is nothing.
func (c *Config) admit() func(*http.Request, []byte) (feed.Admission, error) {
	var steps []func(*http.Request, feed.Admission) (feed.Admission, error)
	if secret := []byte(c.Secret); len(secret) > 0 {
		authentic := signed
		if c.Source == field.Okta {
			authentic = named
		}
		steps = append(steps, func(r *http.Request, a feed.Admission) (feed.Admission, error) {
			return a, authentic(secret, a.Batch, r.Header)
		})
	}
	if c.Source == field.GitHub {
		steps = append(steps, func(r *http.Request, a feed.Admission) (_ feed.Admission, err error) {
			if a.Batch, err = payload(r, a.Batch); err == nil {
				a.Batch, err = withDelivery(a.Batch, r.Header)
			}
			return a, err
		})
	}
	if c.PubSub || c.Source == field.GCPAudit {
		steps = append(steps, func(_ *http.Request, a feed.Admission) (feed.Admission, error) {
			return pushed(a.Batch, c.PubSub)
		})
	}
	if len(steps) == 0 {
		return nil
	}
	return func(r *http.Request, body []byte) (feed.Admission, error) {
		a := feed.Admission{Batch: body}
		for _, step := range steps {
			var err error
			if a, err = step(r, a); err != nil {
				return a, err
			}
		}
		return a, nil
	}
}

// signed reports an error if the requests's signature is not that of its body, in a time
// that does not tell how much of it is right. This is what GitHub does.
func signed(secret, body []byte, h http.Header) error {
	text, ok := strings.CutPrefix(h.Get("X-Hub-Signature-256"), "sha256=")
	got, err := hex.DecodeString(text)
	mac := hmac.New(sha256.New, secret)
	mac.Write(body)
	if !ok || err != nil || !hmac.Equal(got, mac.Sum(nil)) {
		return &feed.StatusError{Status: http.StatusUnauthorized, Msg: "X-Hub-Signature-256: it is not the signature of the body"}
	}
	return nil
}

// named reports an error if a request does not name the secret, which is all that Okta
// does.
func named(secret, _ []byte, h http.Header) error {
	got, want := sha256.Sum256([]byte(h.Get("Authorization"))), sha256.Sum256(secret)
	if subtle.ConstantTimeCompare(got[:], want[:]) == 0 {
		return &feed.StatusError{Status: http.StatusUnauthorized, Msg: "Authorization: it is not the secret"}
	}
	return nil
}

func refused(msg string) error { return &feed.StatusError{Status: http.StatusBadRequest, Msg: msg} }

// payload returns the document in a form.
func payload(r *http.Request, body []byte) ([]byte, error) {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != formType {
		return body, nil
	}
	for member := range bytes.SplitSeq(body, []byte("&")) {
		value, ok := bytes.CutPrefix(member, []byte("payload="))
		if !ok {
			continue
		}
		text, err := unescape(value)
		if err != nil {
			return nil, refused("payload: " + err.Error())
		}
		return text, nil
	}
	return nil, refused("the form has no payload")
}

// unescape returns what a value of a form stands for, in the memory of the value.
func unescape(b []byte) ([]byte, error) {
	n := 0
	for i := 0; i < len(b); i++ {
		c := b[i]
		switch c {
		case '+':
			c = ' '
		case '%':
			if i+2 >= len(b) {
				return nil, url.EscapeError(b[i:])
			}
			if _, err := hex.Decode(b[i:i+1], b[i+1:i+3]); err != nil {
				return nil, url.EscapeError(b[i : i+3])
			}
			c = b[i]
			i += 2
		}
		b[n] = c
		n++
	}
	return b[:n], nil
}

const (
	lower  = "abcdefghijklmnopqrstuvwxyz"
	upper  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits = "0123456789"

	maxDelivery = 128
)

// withDelivery puts what GitHub sends in headers, the type of the event and the number of
// the delivery, into the document.
func withDelivery(body []byte, h http.Header) ([]byte, error) {
	kind, delivery := h.Get("X-GitHub-Event"), h.Get("X-GitHub-Delivery")
	if strings.Trim(kind, lower+digits+"_") != "" {
		return nil, refused("X-GitHub-Event: it is no type of an event")
	}
	if len(delivery) > maxDelivery || strings.Trim(delivery, lower+upper+digits+"-") != "" {
		return nil, refused("X-GitHub-Delivery: it is no number of a delivery")
	}
	var members []string
	if kind != "" {
		members = append(members, `"webhook_type":"`+kind+`"`)
	}
	if delivery != "" {
		members = append(members, `"webhook_delivery":"`+delivery+`"`)
	}
	return withMembers(body, members), nil
}

// withMembers puts members at the end of a document that is an object: of those with the
// same key the last counts. It changes body.
func withMembers(body []byte, members []string) []byte {
	if len(members) == 0 {
		return body
	}
	open, ok := bytes.CutSuffix(bytes.TrimRight(body, " \t\r\n"), []byte("}"))
	if !ok {
		return body
	}
	all := strings.Join(members, ",") + "}"
	if !bytes.HasSuffix(bytes.TrimRight(open, " \t\r\n"), []byte("{")) {
		all = "," + all
	}
	return append(open, all...)
}

var (
	pathMessage      = mustCompile("message")
	pathSubscription = mustCompile("subscription")

	// pushLimits bound the envelope of a message, whose data is one value.
	pushLimits = document.Limits{Nodes: 10_000, Depth: 16}
)

func mustCompile(expr string) *document.Path {
	p, err := document.CompilePath(expr)
	if err != nil {
		panic("BUG: jsonreceiver: " + err.Error())
	}
	return p
}

// pushed returns what is in the message that a Pub/Sub subscription pushes, with what is
// known of the message beside it. Other bodies are what they are, unless always is set.
func pushed(body []byte, always bool) (feed.Admission, error) {
	var d document.Document
	limits := pushLimits
	limits.Bytes = len(body)
	if err := d.Parse(body, limits); err != nil || d.Find(pathMessage).Kind() != document.Object || d.Find(pathSubscription).Kind() != document.String {
		if always {
			return feed.Admission{}, refused("it is no message of a Pub/Sub push subscription")
		}
		return feed.Admission{Batch: body}, nil
	}
	message := d.Find(pathMessage)
	encoded := message.Get("data").Text()
	data := make([]byte, base64.StdEncoding.DecodedLen(len(encoded)))
	n, err := base64.StdEncoding.Decode(data, encoded)
	if err != nil || n == 0 {
		// It is counted as a document that is no event, and not sent again.
		return feed.Admission{Batch: []byte("null"), Final: true}, nil
	}
	var about strings.Builder
	about.WriteString(`"pubsub":{"subscription":`)
	about.Write(d.Find(pathSubscription).JSON())
	for _, key := range [...]string{"messageId", "publishTime", "orderingKey", "attributes"} {
		if v := message.Get(key); v.Kind() != document.Absent {
			about.WriteString(`,"` + key + `":`)
			about.Write(v.JSON())
		}
	}
	return feed.Admission{Batch: withMembers(data[:n], []string{about.String() + "}"}), Final: true}, nil
}

// maxChallenge bounds what is sent back to who asks.
const maxChallenge = 1024

// challenge answers the request by which Okta verifies an event hook. Anybody may make
// it: the answer tells nothing that was not asked.
func challenge(r *http.Request) ([]byte, bool) {
	value := r.Header.Get("X-Okta-Verification-Challenge")
	if value == "" || len(value) > maxChallenge {
		return nil, false
	}
	answer, err := json.Marshal(struct {
		Verification string `json:"verification"`
	}{value})
	return answer, err == nil
}
