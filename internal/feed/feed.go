// Package feed reads events that are JSON documents: from requests, files, sockets and
// standard input. It cuts what arrives into documents and passes each to the pipeline
// of a source instance.
//
// Start with Format, which says what the events of a source type look like, and
// Decoder. OpenWebhook, OpenFiles, OpenSocket and OpenInput are the ways that batches
// come in.
package feed

import (
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/windhover/windhover/internal/alert"
	"github.com/windhover/windhover/internal/instance"
	"github.com/windhover/windhover/internal/pipeline"
)

// Settings are what every feed of a source instance shares.
type Settings struct {
	Instance *instance.Instance
	Format   Format
	// MaxEventBytes bounds one event.
	MaxEventBytes int
}

// worker is a decoder with the worker of the pipeline that it passes events to.
type worker struct {
	*Decoder
	pipeline *pipeline.Worker
}

func newWorker(s Settings) *worker {
	p := s.Instance.Worker()
	return &worker{NewDecoder(p, s.Format, s.MaxEventBytes), p}
}

// full reports whether alerts wait for room.
func full(q *alert.Queue) bool {
	s := q.Stats()
	return s.Items >= s.ItemLimit || s.Bytes >= s.ByteLimit
}

// complaints logs batches with documents that are no events, not more often than a
// person can read: the ledger counts them all.
type complaints struct {
	logger *zap.Logger

	mu      sync.Mutex
	next    time.Time
	between int // documents refused since the last line
}

// complainTime is how often there is a line about refused documents.
const complainTime = 10 * time.Second

func (c *complaints) about(from string, o Outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if now.Before(c.next) {
		c.between += o.Refused
		return
	}
	c.logger.Warn("documents are no events of this source",
		zap.String("from", from), zap.Int("refused", o.Refused), zap.Int("handled", o.Handled),
		zap.Int("offset", o.First.Offset), zap.Int("size", o.First.Size), zap.Error(o.First.Err),
		zap.Int("refused_since_last_line", c.between))
	c.next, c.between = now.Add(complainTime), 0
}
