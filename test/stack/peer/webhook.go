//go:build linux

package peer

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Post is one request that a Receiver got.
type Post struct {
	Path   string
	Header http.Header
	Body   []byte
	Status int // what was answered
	Time   time.Time
}

// Receiver is an HTTP server that keeps the requests it gets.
type Receiver struct {
	URL string

	status atomic.Int64
	mu     sync.Mutex
	posts  []Post
}

// Webhook runs a Receiver that answers 200 to everything.
func Webhook(tb testing.TB) *Receiver {
	tb.Helper()
	r := &Receiver{}
	r.status.Store(http.StatusOK)
	s := httptest.NewServer(r)
	tb.Cleanup(s.Close)
	r.URL = s.URL
	return r
}

// ServeHTTP takes one request.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(io.LimitReader(req.Body, pageLimit))
	if err != nil {
		return // the sender went away
	}
	status := int(r.status.Load())
	r.mu.Lock()
	r.posts = append(r.posts, Post{req.URL.Path, req.Header.Clone(), body, status, time.Now()})
	r.mu.Unlock()
	w.WriteHeader(status)
}

// Answer has it answer status from now on.
func (r *Receiver) Answer(status int) { r.status.Store(int64(status)) }

// Posts returns the requests so far.
func (r *Receiver) Posts() []Post {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.posts)
}

// Await waits for the first request, past or future, that ok accepts.
func (r *Receiver) Await(tb testing.TB, timeout time.Duration, what string, ok func(Post) bool) Post {
	tb.Helper()
	var found Post
	Eventually(tb, timeout, what, func() (bool, string) {
		posts := r.Posts()
		for _, p := range posts {
			if ok(p) {
				found = p
				return true, ""
			}
		}
		state := fmt.Sprintf("%d requests", len(posts))
		if n := len(posts); n > 0 {
			state += ", the last: " + tail(string(posts[n-1].Body), 1000)
		}
		return false, state
	})
	return found
}
