package feed

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/config/confighttp"
	"go.uber.org/zap"

	"github.com/windhover/windhover/internal/alert"
)

const (
	// lingerTime is how long Close waits for requests that are being read.
	lingerTime = 2 * time.Second
	// publishTime is how often the counts of idle workers are made visible.
	publishTime = time.Second
	// retryAfter is the number of seconds after which a sender that was put off may try
	// again. The API server waits that long, then longer and longer.
	retryAfter = "1"
)

// Buffers of bodies start small and grow with what arrives: what a client says that it
// will send takes no memory.
const (
	firstBuffer = 64 << 10
	keptBuffer  = 1 << 20 // larger ones are not kept for the next request
)

// webhook answers the requests of API servers. A request is bounded in size and time,
// requests in number and in memory; events are handled by a fixed number of workers.
type webhook struct {
	settings WebhookSettings
	maxBody  int64
	slots    chan struct{}
	inflight budget
	buffers  sync.Pool // of *[]byte
	workers  chan *worker
	alerts   *alert.Queue
	complain complaints
}

// WebhookConfig is what a user sets for requests that bring events.
type WebhookConfig struct {
	// HTTP is the server of the webhook: endpoint, tls, auth, timeouts,
	// max_request_body_size. Without an endpoint there is no webhook.
	HTTP confighttp.ServerConfig `mapstructure:",squash"`
	// Path is where batches are posted.
	Path string `mapstructure:"path"`
	// MaxConcurrentRequests bounds the requests that are answered at the same time.
	MaxConcurrentRequests int `mapstructure:"max_concurrent_requests"`
	// MaxInflightBytes bounds the memory of the bodies of all requests together.
	MaxInflightBytes int64 `mapstructure:"max_inflight_bytes"`
}

// NewDefaultWebhookConfig returns what applies unless the user sets something else.
func NewDefaultWebhookConfig(path string) WebhookConfig {
	server := confighttp.NewDefaultServerConfig()
	server.MaxRequestBodySize = 12 << 20
	server.ReadHeaderTimeout = 10 * time.Second
	server.ReadTimeout = 30 * time.Second
	server.CompressionAlgorithms = []string{"", "gzip"}
	return WebhookConfig{HTTP: server, Path: path, MaxConcurrentRequests: 256, MaxInflightBytes: 64 << 20}
}

// Enabled reports whether there is a webhook.
func (c *WebhookConfig) Enabled() bool { return c.HTTP.NetAddr.Endpoint != "" }

// maxConnections bounds open connections: every request may have one, and some clients
// keep one without a request.
func (c *WebhookConfig) maxConnections() int { return 4 * c.MaxConcurrentRequests }

// Validate reports every problem with c, not just the first.
func (c *WebhookConfig) Validate() error {
	if !c.Enabled() {
		return nil
	}
	var errs []error
	if !strings.HasPrefix(c.Path, "/") || strings.ContainsAny(c.Path, "{} ?#") {
		errs = append(errs, fmt.Errorf("path: %q is not a path such as /events", c.Path))
	}
	if c.MaxConcurrentRequests < 1 {
		errs = append(errs, fmt.Errorf("max_concurrent_requests: %d is less than 1", c.MaxConcurrentRequests))
	}
	if c.HTTP.MaxRequestBodySize < 1024 {
		errs = append(errs, fmt.Errorf("max_request_body_size: %d is less than 1024", c.HTTP.MaxRequestBodySize))
	}
	// While a buffer grows there are two of them.
	if c.MaxInflightBytes < 2*c.HTTP.MaxRequestBodySize {
		errs = append(errs, fmt.Errorf("max_inflight_bytes: %d is less than twice what one request may have, max_request_body_size: %d", c.MaxInflightBytes, c.HTTP.MaxRequestBodySize))
	}
	for _, t := range []struct {
		key  string
		time time.Duration
	}{{"read_timeout", c.HTTP.ReadTimeout}, {"read_header_timeout", c.HTTP.ReadHeaderTimeout}} {
		if t.time <= 0 {
			errs = append(errs, fmt.Errorf("%s: %v lets a slow client hold a connection for ever; set a time", t.key, t.time))
		}
	}
	return errors.Join(errs...)
}

// WebhookSettings say how requests are taken.
type WebhookSettings struct {
	Settings
	Config WebhookConfig
	// ContentTypes are those that requests may have.
	ContentTypes []string
	// Admit, if set, returns the batch to handle in place of a body, which it may change,
	// or why the request is refused: a *StatusError.
	Admit func(r *http.Request, body []byte) (Admission, error)
	// Challenge, if set, returns the answer to a GET by which a sender makes sure that
	// somebody wants its events; false: it is none.
	Challenge func(r *http.Request) (answer []byte, ok bool)
}

// Admission is what becomes of a request.
type Admission struct {
	Batch []byte
	// Final: the sender would send again, for days, what is refused as unreadable. It is
	// told that all is well; the ledger and the log say what was lost.
	Final bool
}

// StatusError is why a request is refused.
type StatusError struct {
	Status int
	Msg    string
}

func (e *StatusError) Error() string { return e.Msg }

// OpenWebhook listens, and answers requests until the returned function is called.
func OpenWebhook(ctx context.Context, s WebhookSettings) (func(context.Context) error, error) {
	in, c, workers := s.Instance, s.Config, runtime.GOMAXPROCS(0)
	h := &webhook{
		settings: s,
		maxBody:  c.HTTP.MaxRequestBodySize,
		slots:    make(chan struct{}, c.MaxConcurrentRequests),
		workers:  make(chan *worker, workers),
		alerts:   in.Alerts,
		complain: complaints{
			logger: in.Receiver.Logger,
		},
	}
	h.inflight.left.Store(c.MaxInflightBytes)

	listener, err := listen(context.WithoutCancel(ctx), &c.HTTP, c.maxConnections())
	if err != nil {
		return nil, fmt.Errorf("open webhook: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle(c.Path, h)
	server, err := c.HTTP.ToServer(context.WithoutCancel(ctx), in.Host.GetExtensions(), in.Receiver.TelemetrySettings, mux,
		confighttp.WithErrorHandler(refuseRequest))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open webhook: %w", err), listener.Close())
	}
	// Clients that hang up or fail their handshake are not news.
	server.ErrorLog = nil
	if logger, err := zap.NewStdLogAt(in.Receiver.Logger, zap.DebugLevel); err == nil {
		server.ErrorLog = logger
	}
	for range workers {
		h.workers <- newWorker(s.Settings)
	}

	var running sync.WaitGroup
	running.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			in.Fail(fmt.Errorf("serve webhook on %s: %w", listener.Addr(), err))
		}
	})
	stopPublishing := make(chan struct{})
	running.Go(func() { h.publish(stopPublishing) })
	in.Receiver.Logger.Info("webhook listens", zap.Stringer("address", listener.Addr()), zap.String("path", c.Path), zap.Bool("tls", c.HTTP.TLS.HasValue()))

	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, lingerTime)
		defer cancel()
		err := server.Shutdown(ctx)
		if err != nil {
			// What was read is handled; a body that is still arriving is cut off, and
			// its sender tries again.
			if errors.Is(err, context.DeadlineExceeded) {
				err = nil
			}
			err = errors.Join(err, server.Close())
		}
		close(stopPublishing)
		running.Wait()
		// Nobody but requests takes workers, and a request does not keep one for long.
		for range workers {
			w := <-h.workers
			w.pipeline.Close()
		}
		return err
	}, nil
}

// listen listens for no more than limit connections at a time. TLS is set up first, so
// that an error there leaves no port taken.
func listen(ctx context.Context, c *confighttp.ServerConfig, limit int) (net.Listener, error) {
	var secure *tls.Config
	if c.TLS.HasValue() {
		var err error
		if secure, err = c.TLS.Get().LoadTLSConfig(ctx); err != nil {
			return nil, fmt.Errorf("set up TLS: %w", err)
		}
		secure.NextProtos = []string{"h2", "http/1.1"}
	}
	l, err := c.NetAddr.Listen(ctx)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", c.NetAddr.Endpoint, err)
	}
	l = &limitedListener{Listener: l, limit: int64(limit)}
	if secure != nil {
		l = tls.NewListener(l, secure)
	}
	return l, nil
}

// limitedListener hangs up on connections beyond a limit. To leave them waiting would
// let idle ones keep everybody out for as long as they like.
type limitedListener struct {
	net.Listener
	limit int64
	open  atomic.Int64
}

// Accept returns the next connection within the limit.
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.open.Add(1) <= l.limit {
			return &limitedConn{Conn: conn, listener: l}, nil
		}
		l.open.Add(-1)
		_ = conn.Close()
	}
}

type limitedConn struct {
	net.Conn
	listener *limitedListener
	once     sync.Once
}

// Close closes the connection and makes room for another.
func (c *limitedConn) Close() error {
	c.once.Do(func() { c.listener.open.Add(-1) })
	return c.Conn.Close()
}

// publish makes the counts of workers that have nothing to do visible.
func (h *webhook) publish(stop <-chan struct{}) {
	ticker := time.NewTicker(publishTime)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
		}
		for range cap(h.workers) {
			select {
			case w := <-h.workers:
				w.pipeline.Idle()
				h.workers <- w
			default:
			}
		}
	}
}

// refuseRequest answers a request that is not the fault of an event in it.
func refuseRequest(w http.ResponseWriter, _ *http.Request, message string, status int) {
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", retryAfter)
	}
	http.Error(w, message, status)
}

// ServeHTTP takes one batch. It answers 200 when every event was handled and what
// matched is queued; 400 for what can never be read, so that the sender does not try
// again; 429 or 503 when there is no room now.
func (h *webhook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet && h.settings.Challenge != nil {
		if answer, ok := h.settings.Challenge(r); ok {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(answer)
			return
		}
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		refuseRequest(w, r, "use POST", http.StatusMethodNotAllowed)
		return
	}
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || !slices.Contains(h.settings.ContentTypes, t) {
		refuseRequest(w, r, "Content-Type: want "+strings.Join(h.settings.ContentTypes, " or "), http.StatusUnsupportedMediaType)
		return
	}
	if r.ContentLength > h.maxBody {
		h.tooLarge(w, r)
		return
	}
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	default:
		refuseRequest(w, r, "too many requests at the same time", http.StatusTooManyRequests)
		return
	}
	if full(h.alerts) {
		refuseRequest(w, r, "the alert queue is full", http.StatusServiceUnavailable)
		return
	}
	buf, err := h.read(r.Body)
	defer h.release(buf)
	if err != nil {
		h.unread(w, r, err)
		return
	}
	if len(*buf) == 0 {
		refuseRequest(w, r, "the body is empty", http.StatusBadRequest)
		return
	}
	in := Admission{Batch: *buf}
	if h.settings.Admit != nil {
		// What a body is turned into is no larger, but may stand beside it.
		if !h.inflight.take(int64(len(*buf))) {
			h.unread(w, r, errNoMemory)
			return
		}
		defer h.inflight.give(int64(len(*buf)))
		if in, err = h.settings.Admit(r, *buf); err != nil {
			status := http.StatusBadRequest
			if e, ok := errors.AsType[*StatusError](err); ok {
				status = e.Status
			}
			refuseRequest(w, r, err.Error(), status)
			return
		}
	}
	d := <-h.workers
	o := d.Batch(in.Batch)
	d.pipeline.Idle()
	h.workers <- d
	if o.Refused > 0 {
		h.complain.about(r.RemoteAddr, o)
	}
	if !in.Final && (o.Broken != nil || o.Handled == 0 && o.Refused > 0) {
		refuseRequest(w, r, fmt.Sprintf("handled %d events, refused %d, the first at %v", o.Handled, o.Refused, o.First), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusOK)
}

// errNoMemory: the bodies of all requests together have their limit.
var errNoMemory = errors.New("too much is being received at the same time")

// read returns the body in a buffer that release takes back, also after an error.
func (h *webhook) read(body io.Reader) (*[]byte, error) {
	buf, ok := h.buffers.Get().(*[]byte)
	if !ok {
		buf = new([]byte)
	}
	*buf = (*buf)[:0]
	if !h.inflight.take(int64(cap(*buf))) {
		*buf = nil
		return buf, errNoMemory
	}
	for {
		if len(*buf) == cap(*buf) {
			if err := h.grow(buf); err != nil {
				return buf, err
			}
		}
		n, err := body.Read((*buf)[len(*buf):cap(*buf)])
		*buf = (*buf)[:len(*buf)+n]
		if errors.Is(err, io.EOF) {
			return buf, nil
		}
		if err != nil {
			return buf, err
		}
	}
}

// grow doubles a buffer. The old one is still there while the new one is filled.
func (h *webhook) grow(buf *[]byte) error {
	// One byte more than the largest body: its end is seen without another buffer.
	size := min(max(firstBuffer, 2*cap(*buf)), max(int(h.maxBody)+1, cap(*buf)+1))
	if !h.inflight.take(int64(size)) {
		return errNoMemory
	}
	larger := make([]byte, len(*buf), size)
	copy(larger, *buf)
	h.inflight.give(int64(cap(*buf)))
	*buf = larger
	return nil
}

func (h *webhook) release(buf *[]byte) {
	h.inflight.give(int64(cap(*buf)))
	if cap(*buf) <= keptBuffer {
		h.buffers.Put(buf)
	}
}

// budget is memory that can be taken while there is some left.
type budget struct{ left atomic.Int64 }

func (b *budget) take(n int64) bool {
	if b.left.Add(-n) >= 0 {
		return true
	}
	b.left.Add(n)
	return false
}

func (b *budget) give(n int64) { b.left.Add(n) }

func (h *webhook) tooLarge(w http.ResponseWriter, r *http.Request) {
	refuseRequest(w, r, fmt.Sprintf("the body is larger than %d bytes", h.maxBody), http.StatusRequestEntityTooLarge)
}

// unread answers a request whose body could not be read.
func (h *webhook) unread(w http.ResponseWriter, r *http.Request, err error) {
	var large *http.MaxBytesError
	switch {
	case errors.Is(err, errNoMemory):
		refuseRequest(w, r, err.Error(), http.StatusServiceUnavailable)
	case errors.As(err, &large):
		h.tooLarge(w, r)
	case errors.Is(err, os.ErrDeadlineExceeded):
		refuseRequest(w, r, "the body took too long", http.StatusRequestTimeout)
	default:
		// Too few bytes, broken compression, or the client is gone.
		refuseRequest(w, r, "read body: "+err.Error(), http.StatusBadRequest)
	}
}
