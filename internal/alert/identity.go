package alert

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	"github.com/windhover/windhover/internal/document"
	"github.com/windhover/windhover/internal/event"
	"github.com/windhover/windhover/internal/field"
)

// identities lead to what tells a document from every other of its source, wherever and
// how often it is read. The first part must be there; the others are added to it.
var identities = map[string][]*document.Path{
	field.K8sAudit:   paths("auditID", "stage"),
	field.CloudTrail: paths("eventID"),
	field.Okta:       paths("uuid"),
	field.GitHub:     paths("webhook_delivery"), // the receiver adds it to what GitHub sends
	// An insertId is unique among the entries of one time.
	field.GCPAudit: paths("insertId", "timestamp"),
}

func paths(exprs ...string) []*document.Path {
	list := make([]*document.Path, len(exprs))
	for i, expr := range exprs {
		p, err := document.CompilePath(expr)
		if err != nil {
			panic("BUG: alert: " + err.Error())
		}
		list[i] = p
	}
	return list
}

// Longer identifiers are somebody's idea of a joke; a hash stands for them.
const maxIdentity = 256

// AppendRecordID appends what identifies the document or log record that ev was made of:
// the same whenever and wherever it is read. It appends nothing for a system call.
func AppendRecordID(dst []byte, ev *event.Event) []byte {
	if ev.Doc == nil {
		return dst
	}
	from := len(dst)
	for i, p := range identities[ev.Source.Type] {
		part := ev.Doc.Find(p)
		if i > 0 {
			dst = append(dst, '/')
		}
		if k := part.Kind(); k == document.String || k == document.Number {
			dst = part.AppendText(dst)
		} else if i == 0 {
			break
		}
	}
	if n := len(dst) - from; n > 0 && n <= maxIdentity {
		return dst
	}
	dst = dst[:from]
	h := sha256.New()
	if ev.Log != nil {
		_, _ = h.Write(ev.Log.AppendIdentity(nil))
	}
	if ev.Source.Type != field.Log {
		_, _ = h.Write(ev.Doc.Root().JSON())
	}
	return hex.AppendEncode(dst, h.Sum(nil)[:16])
}

// recordUID makes the UID of the alert that a rule matched a record: the same each time
// the rule sees the record. It is of version 8, made of a hash.
func recordUID(sourceType, recordID, rule string) UID {
	h := sha256.New()
	var size [4]byte
	for _, part := range [...]string{sourceType, recordID, rule} {
		binary.BigEndian.PutUint32(size[:], uint32(len(part)))
		_, _ = h.Write(size[:])
		_, _ = h.Write([]byte(part))
	}
	u := UID(h.Sum(nil)[:16])
	u[6] = u[6]&0x0f | 0x80
	u[8] = u[8]&0x3f | 0x80
	return u
}
